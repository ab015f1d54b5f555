"""What the system tests share: the tool, servers on free loopback ports, waiting with a deadline."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
GCW = os.environ.get("GCW") or str(ROOT / "build" / "gcw")
TOKEN = "glc_EXAMPLEtokenForTests0123456789"


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GCW_") and not k.lower().endswith("_proxy")}
    env.update(more)
    return env


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=30):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, urllib.error.URLError, json.JSONDecodeError):
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def get(url, data=None, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=20) as r:
        return r.read().decode()


def get_json(url, headers=None):
    return json.loads(get(url, headers=headers))


# What tests/deps fetches from a later Debian, as tests name it (and, in capitals, the environment).
LATER = {"prometheus3": "prometheus", "victoria-metrics-later": "victoria-metrics", "vmagent": "vmagent"}


def path_of(program):
    """Path of a server: the environment's, the later Debian's, the installed one."""
    fetched = ROOT / "build" / "peers" / "later" / LATER.get(program, "")
    return os.environ.get(program.upper().replace("-", "_")) or (str(fetched) if fetched.is_file() else shutil.which(program))


def need(*programs):
    """Path of the first of them that there is, or a loud skip."""
    path = next(filter(None, map(path_of, programs)), None)
    if not path:
        print(f"SKIPPED: {programs[0]} not found")
        raise unittest.SkipTest(f"{programs[0]} not found")
    return path


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gcw-test-"))
        self.processes = []

    def tearDown(self):
        for p in self.processes:
            if p.poll() is None:
                p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, *args, env=None):
        log = open(self.dir / f"{pathlib.Path(args[0]).name}-{len(self.processes)}.log", "wb")
        p = subprocess.Popen(args, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir, env=env or clean_env())
        log.close()
        self.processes.append(p)
        return p

    def gcw(self, *args, stdin=None, env=None, timeout=120):
        """Runs the tool to its end."""
        return subprocess.run([GCW, *map(str, args)], input=stdin, capture_output=True, env=clean_env(**(env or {})), cwd=self.dir,
                              timeout=timeout)

    def receive(self, *args):
        """A stand-in receiver; returns its base URL. What it accepts goes to self.accepted."""
        self.accepted = self.dir / "accepted.ndjson"
        port = self.dir / f"port{len(self.processes)}"
        self.receiver = self.start(GCW, "receive", "--port-file", str(port), "--out", str(self.accepted), *map(str, args))
        wait_for("gcw receive", lambda: port.exists() and port.read_text().strip())
        return "http://127.0.0.1:" + port.read_text().strip()

    def records(self, kind):
        if not self.accepted.exists():
            return []
        with open(self.accepted) as f:
            return [r for r in map(json.loads, f) if r["type"] == kind]

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=self.dir)

    def authority(self, name="ca"):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                     f"{name}.crt", "-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")
        return self.dir / f"{name}.crt"

    def certificate(self, name, ca="ca", alt="IP:127.0.0.1", days=2):
        """Signed by `ca`, or by itself; days=-1: it has run out."""
        (self.dir / "extensions").write_text(f"subjectAltName={alt}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                     "-subj", f"/CN={name}")
        signed = ("-CA", f"{ca}.crt", "-CAkey", f"{ca}.key") if ca else ("-signkey", f"{name}.key")
        self.openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-days", days, "-extfile", "extensions", "-out", f"{name}.crt")
    def program(self, name):
        """Builds tests/system/NAME.c against gcw.h and libgcw.a; returns its path."""
        out = self.dir / name
        if out.exists():
            return out
        libs = "-lcurl -lprotobuf-c -lsnappy -lz -lm -pthread".split()
        deflate = subprocess.run(["pkg-config", "--libs", "libdeflate"], capture_output=True, text=True).stdout.split()
        (self.dir / "gcw.h").symlink_to(ROOT / "plugin/include/gcw.h")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{self.dir}", str(ROOT / f"tests/system/{name}.c"), "-o", str(out),
                        str(ROOT / "build/libgcw.a"), *libs, *deflate], check=True)
        return out

    def prometheus(self, binary, *args, scrape=None, config=""):
        """Starts one that takes remote write, and scrapes an address as job `scraped`; returns its base URL."""
        port = free_port()
        job = f'scrape_configs: [{{job_name: scraped, scrape_interval: 1s, static_configs: [{{targets: ["{scrape}"]}}]}}]\n'
        (self.dir / "prometheus.yml").write_text("global: {}\n" + (job if scrape else "") + config)
        self.start(binary, f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data{port}",
                   f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                   "--enable-feature=exemplar-storage,native-histograms", *args)
        base = f"http://127.0.0.1:{port}"
        wait_for("prometheus", lambda: get(base + "/-/ready"), 120)
        return base

    def token_file(self, token=TOKEN):
        path = self.dir / "token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        return path


def summary(run):
    return json.loads(run.stdout.decode().strip().splitlines()[-1])


__all__ = [n for n in dir() if not n.startswith("_")]
