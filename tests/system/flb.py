"""A real Fluent Bit, from PATH or $FLUENT_BIT, with our module loaded."""
import re

from harness import *

MODULE = ROOT / "build" / "out_grafana_cloud.so"


class FluentBit(Case):
    def setUp(self):
        super().setUp()
        self.binary = need("fluent-bit")
        text = subprocess.run([self.binary, "--version"], capture_output=True, text=True, timeout=30).stdout
        self.version = tuple(map(int, re.search(r"v?(\d+)\.(\d+)\.(\d+)", text).groups()))

    def since(self, *version):
        if self.version < version:
            self.skipTest(f"Fluent Bit {'.'.join(map(str, version))} and later")

    def receiver_at(self, name, *args):
        """A stand-in receiver of that name; returns port and file of what it accepts."""
        out, port = self.dir / f"{name}.ndjson", self.dir / f"{name}.port"
        self.start(GCW, "receive", "--port-file", str(port), "--out", str(out), *map(str, args))
        wait_for("gcw receive", lambda: port.exists() and port.read_text().strip())
        return int(port.read_text()), out

    @staticmethod
    def accepted_in(path, kind):
        if not path.exists():
            return []
        found = []
        with open(path) as f:
            for line in f:
                if not line.endswith("\n"):
                    break  # being written
                record = json.loads(line)
                if record["type"] == kind:
                    found.append(record)
        return found

    def section(self, kind, /, **keys):
        """A section of the classic format; a list gives a key several times."""
        lines = [f"[{kind}]"]
        for key, value in keys.items():
            for v in value if isinstance(value, list) else [value]:
                lines.append(f"    {key.rstrip('_')} {v}")
        return "\n".join(lines) + "\n"

    def service(self, **keys):
        return self.section("SERVICE", **{"flush": "0.2", "grace": 5, "log_level": "info", **keys})

    def ours(self, **keys):
        return self.section("OUTPUT", **{"name": "grafana_cloud", "match": "*", "retry_min": "50ms", "retry_max": "200ms", **keys})

    def launch(self, *sections, name="fluent-bit.conf", args=(), env=None):
        """Starts it; what it logs is in self.log_of(process)."""
        conf = self.dir / name
        conf.write_text("".join(sections))
        log = self.dir / f"flb-{len(self.processes)}.log"
        # in a group of its own: nobody else's signals reach it
        with open(log, "wb") as out:
            p = subprocess.Popen([self.binary, "-e", str(MODULE), "-c", str(conf), *args], stdout=out, stderr=subprocess.STDOUT,
                                 cwd=self.dir, env=env or clean_env(), start_new_session=True)
        p.log = log
        self.processes.append(p)
        return p

    @staticmethod
    def log_of(p):
        return p.log.read_text(errors="replace")

    def stop(self, p):
        p.terminate()
        try:
            code = p.wait(60)
        except subprocess.TimeoutExpired:
            self.fail("it does not end:\n" + self.log_of(p)[-3000:])
        self.assertEqual(code, 0, self.log_of(p)[-3000:])
        return self.log_of(p)

    def await_log(self, p, text, seconds=60):
        def look():
            if p.poll() is not None and text not in self.log_of(p):
                raise AssertionError(f"ended with {p.returncode} before {text!r}:\n{self.log_of(p)[-3000:]}")
            return text in self.log_of(p)
        wait_for(repr(text), look, seconds)

    def await_records(self, p, path, kind, condition, what, seconds=60):
        def look():
            if p.poll() is not None:
                raise AssertionError(f"ended with {p.returncode}:\n{self.log_of(p)[-3000:]}")
            found = self.accepted_in(path, kind)
            return found if condition(found) else None
        try:
            return wait_for(what, look, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log_of(p)[-3000:]}") from None
