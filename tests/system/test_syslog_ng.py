"""gcw push logs as syslog-ng's program() destination, the configuration as pasted, in a real syslog-ng."""
import random
import time

from harness import *

SNIPPET = ROOT / "plugin" / "hosts" / "syslog-ng" / "gcw.conf"
OPTIONS = ROOT / "plugin" / "hosts" / "syslog-ng" / "gcw-options.conf"
AUTH = ("--tenant", "logs=654321")


class Journal(Case):
    def push(self, url, *args):
        p = subprocess.Popen([GCW, "push", "logs", "-u", url, "--journal", "-s", "logs_batch_age=1h", *args], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        self.processes.append(p)
        for f in (p.stdin, p.stdout, p.stderr):
            self.addCleanup(f.close)
        return p

    def test_lines_that_were_read_survive_kill_9_before_any_batch_closed(self):
        url, queue = self.receive(), self.dir / "queue"
        p = self.push(url, "-s", f"queue_dir={queue}")
        lines = b"".join(b"n %d\n" % n for n in range(1000))
        p.stdin.write(lines + b"not the whole")
        p.stdin.flush()
        wait_for("journal", lambda: sum(f.stat().st_size for f in queue.glob("uncommitted.*")) == len(lines))
        p.kill()
        p.wait()
        self.assertEqual(self.records("entry"), [])
        p = self.push(url, "-s", f"queue_dir={queue}")
        out, err = p.communicate(b"n 1000\nlast, without an end", timeout=60)
        self.assertEqual((p.returncode, out), (0, b""), err)
        self.assertEqual([r["line"] for r in self.records("entry")], [f"n {n}" for n in range(1001)] + ["last, without an end"])
        self.assertEqual([f.stat().st_size for f in queue.glob("uncommitted.*")], [0, 0])

    def test_journal_without_queue_dir_is_refused_in_words(self):
        p = self.push(self.receive())
        _, err = p.communicate(timeout=60)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn(b"--journal needs queue_dir", err)


class SyslogNg(Case):
    LINES = int(os.environ.get("SYSLOG_NG_LINES", "20000"))

    def setUp(self):
        super().setUp()
        self.binary = os.environ.get("SYSLOG_NG") or shutil.which("syslog-ng", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.binary:
            print("SKIPPED: syslog-ng not found")
            self.skipTest("syslog-ng not found")
        self.port = free_port()

    def receive(self, *args):
        return super().receive("--token-file", str(self.token_file()), *AUTH, *args)

    def restart_receiver(self, url):
        return self.receive("--listen", url.removeprefix("http://"))

    def run_syslog_ng(self, url):
        snippet, options = SNIPPET.read_text(), OPTIONS.read_text()
        for there, here in (("/usr/local/bin/gcw", GCW), ("/etc/gcw/syslog-ng.conf", self.dir / "gcw.conf"),
                            ("/var/log/gcw-syslog-ng.log", self.dir / "gcw.log")):
            self.assertIn(there, snippet)
            snippet = snippet.replace(there, str(here))
        for there, here in (("https://logs-prod-006.grafana.net", url), ("/etc/gcw/token", self.token_file()),
                            ("/var/lib/gcw/syslog-ng", self.dir / "queue")):
            self.assertIn(there, options)
            options = options.replace(there, str(here))
        (self.dir / "gcw.conf").write_text(options + "retry_min = 10ms\nretry_max = 100ms\npark_probe = 100ms\n")
        version = subprocess.run([self.binary, "--version"], capture_output=True, text=True, timeout=60).stdout
        version = next(l.split()[-1] for l in version.splitlines() if l.startswith("Config version"))
        (self.dir / "syslog-ng.conf").write_text(f"""@version: {version}
options {{ keep-hostname(yes); log-msg-size(300000); stats-freq(0); }};
source s_src {{
    network(ip("127.0.0.1") port({self.port}) transport("tcp"));
    unix-dgram("{self.dir}/log");
}};
{snippet}
""")
        p = self.start(self.binary, "-F", "--no-caps", "-f", str(self.dir / "syslog-ng.conf"), "-R", str(self.dir / "persist"),
                       "-c", str(self.dir / "ctl"), "-p", str(self.dir / "pid"))
        wait_for("syslog-ng", lambda: self.connect().close() is None)
        return p

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, first, count):
        stamp = time.strftime("%b %e %H:%M:%S").encode()
        with self.connect() as s:
            s.sendall(b"".join(b"<14>%s h app[7]: n %d\n" % (stamp, n) for n in range(first, first + count)))

    def arrived(self):
        return [int(r["line"][2:]) for r in self.records("entry") if r["line"].startswith("n ")]

    def worker(self):
        for d in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (d / "cmdline").read_bytes().startswith(GCW.encode()) and str(self.dir).encode() + b"/gcw.conf" in (d / "cmdline").read_bytes():
                    return int(d.name)
            except OSError:
                pass
        return None

    def wait_for_all(self, numbers):
        wait_for(f"{len(numbers)} lines", lambda: set(self.arrived()) >= set(numbers), 120)

    def test_snippet_as_pasted_maps_every_field(self):
        self.run_syslog_ng(self.receive())
        stamp = time.strftime("%b %e %H:%M:%S")
        with self.connect() as s:
            s.sendall(f"<34>{stamp} web-1 su[77]: five \"Zürich\" 🙂 \\ {{}}\n".encode() + f"<14>{stamp} h a: ".encode() + b"x" * 200000 + b"\n" +
                      f"<14>{stamp} h a: bytes ".encode() + b"\xff\xfe\xc0 \x01\x1f end\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            wait_for("unix socket", lambda: s.connect(str(self.dir / "log")) is None)
            s.send(f"<86>{stamp} sshd[99]: by socket".encode())
        got = wait_for("four lines", lambda: (lambda g: len(g) >= 4 and g)({r["line"]: r for r in self.records("entry")
                                                                           if r["labels"]["app"] in ("su", "a", "sshd")}), 60)
        five = got['five "Zürich" 🙂 \\ {}']
        self.assertEqual(five["labels"], {"job": "syslog", "host": "web-1", "app": "su", "severity": "crit"})
        self.assertEqual(five["metadata"], {"facility": "auth", "procid": "77"})
        self.assertEqual(five["tenant"], "654321")
        self.assertEqual(int(five["time_ns"]) // 10**9 % 60, int(stamp[-2:]))
        self.assertIn("x" * 200000, got)
        self.assertEqual(got["by socket"]["metadata"]["facility"], "authpriv")
        # bytes that are not UTF-8 syslog-ng itself writes as \xNN in JSON
        self.assertIn("bytes \\xff\\xfe\\xc0 \x01\x1f end", got)

    def test_equal_lines_of_one_second_all_arrive(self):
        self.run_syslog_ng(self.receive())
        stamp = time.strftime("%b %e %H:%M:%S")
        with self.connect() as s:
            s.sendall(f"<13>{stamp} h app: the same\n".encode() * 500)
        wait_for("500 lines", lambda: len([r for r in self.records("entry") if r["line"] == "the same"]) >= 500, 60)

    def test_receiver_killed_and_restarted_costs_no_line(self):
        url = self.receive()
        p = self.run_syslog_ng(url)
        size = self.LINES // 10
        for i in range(10):
            self.send(i * size, size)
            if i == 2:
                self.receiver.kill()
                self.receiver.wait()
            if i == 7:
                self.restart_receiver(url)
        self.wait_for_all(range(10 * size))
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        print(f"receiver killed once: {10 * size} lines, all arrived, {len(self.arrived()) - 10 * size} twice")

    def test_what_gcw_has_on_disk_survives_kill_9(self):
        url = self.receive()
        self.receiver.kill()
        self.receiver.wait()
        self.run_syslog_ng(url)
        self.send(0, 5000)

        def on_disk():
            run = self.gcw("queue", "list", "--json", self.dir / "queue")
            return sum(r.get("records", 0) for r in map(json.loads, run.stdout.decode().splitlines())) >= 5000

        wait_for("lines on disk", on_disk, 60)
        os.kill(wait_for("gcw", self.worker), signal.SIGKILL)
        self.restart_receiver(url)
        self.send(5000, 1)
        self.wait_for_all(range(5001))

    def test_gcw_killed_with_9_is_started_again_and_what_it_held_is_counted(self):
        self.run_syslog_ng(self.receive())
        rng, size, kills = random.Random(5), self.LINES // 8, 0
        for i in range(8):
            pid = wait_for("gcw", self.worker)
            self.send(i * size, size)
            time.sleep(rng.uniform(0, 0.05))
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
            wait_for("another gcw", lambda: self.worker() not in (None, pid))
        self.send(8 * size, 1)
        self.wait_for_all([8 * size])
        got = self.arrived()
        lost = 8 * size + 1 - len(set(got))
        # of a kill: a pipe of 64 KiB, and a piece as large that was read from it; lines are longer than 100 bytes there
        self.assertLessEqual(lost, kills * 2 * 65536 // 100)
        print(f"gcw killed -9 {kills} times: {8 * size + 1} lines, {lost} lost (syslog-ng's program() has no confirmation), "
              f"{len(got) - len(set(got))} twice")


if __name__ == "__main__":
    unittest.main()
