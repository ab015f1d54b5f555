"""Running what is measured: our programs, the peers, and the receivers they push to. CPU is of the whole process, all
threads, user and system; peak RSS as the kernel counts it."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    pass


def get(url):
    with urllib.request.urlopen(url, timeout=20) as r:
        return r.read().decode()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            value = condition()
            if value:
                return value
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Build:
    """Our programs in a build folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.out = self.folder / "bench"
        self.gcw = str(self.folder / "gcw")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GCW_") and not k.lower().endswith("_proxy")}
        for needed in [self.folder / "gcw", self.out / "bin" / "bench_measure"]:
            if not needed.exists():
                raise Failed(f"{needed} is missing: `make all bench-bins` first")

    def program(self, name):
        return str(self.out / "bin" / name)

    def measure(self, *args, stdin=subprocess.DEVNULL):
        """Runs a command to its end: {cpu_s, rss_kib, ...}. It must succeed: for gcw that says all was delivered."""
        result = self.out / "measured.json"
        p = subprocess.run([self.program("bench_measure"), str(result), *map(str, args)], stdin=stdin, env=self.env,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise Failed(f"{args[:3]}: {p.stderr.strip()}")
        r = json.loads(result.read_text())
        if r["exit"] != 0:
            raise Failed(f"{' '.join(map(str, args[:3]))} ended with {r['exit']}: {p.stderr.strip()[-500:]}")
        return r

    def json_of(self, name, *args):
        """What one of the bench programs printed."""
        p = subprocess.run([self.program(name), *map(str, args)], env=self.env, capture_output=True, text=True)
        if p.returncode != 0:
            raise Failed(f"{name}: {p.stderr.strip()[-500:]}")
        return json.loads(p.stdout)


class Sink:
    """`gcw receive --discard`: answers success and counts bytes."""

    def __init__(self, build):
        port = build.out / "port"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen([build.gcw, "receive", "--discard", "--port-file", str(port)], env=build.env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the receiver", lambda: port.exists() and port.read_text().strip(), 20)
        self.port = int(port.read_text())
        self.url = f"http://127.0.0.1:{self.port}"

    def bytes(self):
        """Body bytes answered with success so far."""
        stats = json.loads(get(self.url + "/stats"))
        if any(not code.startswith("2") for code in stats["status"]):
            raise Failed(f"the receiver refused something: {stats['status']}")
        return stats["bytes_wire"]

    def close(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def sink(build):
    s = Sink(build)
    try:
        yield s
    finally:
        s.close()


@contextlib.contextmanager
def capture(path):
    """A receiver that keeps the bodies as they came, each behind its length. Yields its URL."""
    with open(path, "wb") as out:
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    out.write(struct.pack("<Q", len(body)) + body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class Target(socketserver.ThreadingTCPServer):
    """Shows series, other values every time; counts how often it was asked."""
    daemon_threads = True
    allow_reuse_address = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            k = self.server.asked = self.server.asked + 1
            body = ("# TYPE http_request_duration_seconds_bucket gauge\n" +
                    "".join(f"{s}{(i * 7 + k) % 1000}\n" for i, s in enumerate(self.server.series))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    def __init__(self, series):
        super().__init__(("127.0.0.1", 0), Target.Handler)
        self.series, self.asked = series, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *args):
        pass  # the host hangs up in the middle when it is stopped


# ---- peers: daemons that do not end by themselves -------------------------------------------------------------------


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_kib(pid):
    return int(re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def cpu_when_quiet(process, done, seconds=600):
    """CPU seconds used when the work was done: since then `done()` was true, and for 1.5 s next to no CPU was used."""
    deadline, quiet_since, at = time.monotonic() + seconds, None, 0.0
    while True:
        now, cpu = time.monotonic(), cpu_of(process.pid)
        if process.poll() is not None or now > deadline:
            raise Failed(f"{process.args[0]} ended, or was not done within {seconds} s")
        if quiet_since is None or cpu - at > 0.03 or not done():
            quiet_since, at = now, cpu
        elif now - quiet_since > 1.5:
            return at
        time.sleep(0.1)


@contextlib.contextmanager
def daemon(args, env, log):
    with open(log, "w") as out:
        p = subprocess.Popen(args, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield p
        finally:
            p.kill()
            p.wait()


def vmagent_program():
    return shutil.which("vmagent")


def vmagent(build, to, path, samples):
    """The file is posted to vmagent, which pushes it on; without its start, which takes some CPU too."""
    queue, port = build.out / "vmagent", free_port()
    shutil.rmtree(queue, ignore_errors=True)
    args = ["vmagent", f"-remoteWrite.url={to.url}/api/v1/write", f"-remoteWrite.tmpDataPath={queue}", f"-httpListenAddr=127.0.0.1:{port}"]
    if "-remoteWrite.forcePromProto" in subprocess.run(["vmagent", "-help"], capture_output=True, text=True).stderr:
        args.append("-remoteWrite.forcePromProto")  # newer ones prefer a protocol of their own
    with daemon(args, build.env, build.out / "vmagent.log") as p:
        here = f"http://127.0.0.1:{port}"
        wait_for("vmagent", lambda: get(here + "/health"), 20)
        before, bytes_before = cpu_of(p.pid), to.bytes()
        subprocess.run(["curl", "-sf", "-T", str(path), "-X", "POST", here + "/api/v1/import/prometheus"], check=True)
        cpu, rss = cpu_when_quiet(p, lambda: to.bytes() > bytes_before), peak_kib(p.pid)
        sent, metrics = to.bytes() - bytes_before, get(here + "/metrics")
        rows, size = (int(float(re.search(rf"^vmagent_remotewrite_block_size_{what}_sum (\S+)", metrics, re.M)[1])) for what in ["rows", "bytes"])
        if rows != samples or size != sent:
            raise Failed(f"vmagent sent {rows} of {samples} samples in {size} bytes; {sent} bytes arrived")
    shutil.rmtree(queue, ignore_errors=True)
    return {"cpu_s": cpu - before, "rss_kib": rss, "bytes": sent}


# The cheapest way that was found to get lines escaped into JSON; format-json with substr takes about twice the CPU.
SYSLOG_NG = r"""@version: 3.38
options { stats-freq(0); keep-hostname(yes); use-dns(no); dns-cache(no); time-reopen(1); };
source s { file("@FILE@" flags(no-parse) follow-freq(1) log-fetch-limit(1000) log-iw-size(20000)); };
template t { template("[\"${R_UNIXTIME}000000000\",\"${MSG}\"]"); template-escape(yes); };
destination d { http(url("@URL@/loki/api/v1/push") method("POST") headers("Content-Type: application/json")
  body-prefix("{\"streams\":[{\"stream\":{\"job\":\"bench\"},\"values\":[") delimiter(",") body-suffix("]}]}") body("$(template t)")
  batch-lines(100000) batch-bytes(1024Kb) batch-timeout(1000) log-fifo-size(40000)); };
log { source(s); destination(d); flags(flow-control); };
"""


def syslog_ng_program():
    found = shutil.which("syslog-ng") or shutil.which("syslog-ng", path="/usr/sbin")
    modules = subprocess.run([found, "--module-registry"], capture_output=True, text=True).stdout if found else ""
    return found if re.search(r"^Module: http$", modules, re.M) else None


def syslog_ng(build, to, path, lines):
    """A file source and the http() destination with a Loki push as template, no compression; its start included."""
    folder = build.out / "syslog-ng"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    conf = folder / "conf"
    conf.write_text(SYSLOG_NG.replace("@FILE@", str(path)).replace("@URL@", to.url))
    args = [syslog_ng_program(), "-F", "-f", conf, "-R", folder / "persist", "-p", folder / "pid", "-c", folder / "ctl", "--no-caps"]
    bytes_before, least = to.bytes(), os.path.getsize(path)
    with daemon(list(map(str, args)), build.env, build.out / "syslog-ng.log") as p:
        cpu = cpu_when_quiet(p, lambda: to.bytes() - bytes_before >= least)
        rss, sent = peak_kib(p.pid), to.bytes() - bytes_before
    shutil.rmtree(folder, ignore_errors=True)
    return {"cpu_s": cpu, "rss_kib": rss, "bytes": sent}


def version(*command, pattern=r"(\d+\.\d+[\w.+~-]*)"):
    """What a program or Debian says of a version; None if it is not there."""
    with contextlib.suppress(OSError):
        found = re.search(pattern, subprocess.run(command, capture_output=True, text=True).stdout)
        return found and found[1]
