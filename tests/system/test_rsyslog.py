"""gcw push logs --transactions, by itself and under a real rsyslog: no line is lost, whoever is killed."""
import calendar
import random
import threading
import time

from harness import *

PEERS = ROOT / "build" / "peers" / "rsyslog"
SNIPPET = ROOT / "plugin" / "hosts" / "rsyslog" / "gcw.conf"
OPTIONS = ROOT / "plugin" / "hosts" / "rsyslog" / "gcw-options.conf"
FAST = ("-s", "retry_min=10ms", "-s", "retry_max=100ms", "-s", "park_probe=100ms")


def numbers(lines):
    return [int(l[2:]) for l in lines if l.startswith("n ")]


class Transactions(Case):
    """The protocol of omprog, spoken by hand."""

    def push(self, url, *args):
        p = subprocess.Popen([GCW, "push", "logs", "-u", url, "--transactions", *FAST, *args], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_env())
        self.processes.append(p)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.stdin.close)
        return p

    def answer(self, p):
        return p.stdout.readline().decode().lstrip(".")

    def say(self, p, line):
        p.stdin.write(line.encode() + b"\n")
        p.stdin.flush()
        return self.answer(p)

    def begin(self, p):
        self.assertEqual(self.say(p, "BEGIN TRANSACTION"), "OK\n")

    def test_lines_of_a_transaction_are_safe_at_its_commit_and_in_order(self):
        p = self.push(self.receive("-m", "status=503:2"))
        self.assertEqual(self.answer(p), "OK\n")
        for t in range(3):
            self.begin(p)
            for n in range(20):
                self.assertEqual(self.say(p, f"n {t * 20 + n}"), "DEFER_COMMIT\n")
            self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
            self.assertEqual(numbers(r["line"] for r in self.records("entry")), list(range((t + 1) * 20)))
        self.assertEqual(self.say(p, "n 60"), "OK\n")  # outside a transaction
        self.assertEqual(len(self.records("entry")), 61)
        p.stdin.close()
        self.assertEqual(p.wait(30), 0)

    def test_transaction_cut_short_by_kill_9_is_taken_up_before_anything_else(self):
        url, queue = self.receive(), self.dir / "queue"
        args = ("-s", f"queue_dir={queue}", "-s", "logs_batch_age=1h")
        p = self.push(url, *args)
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        for n in range(100):
            self.assertEqual(self.say(p, f"n {n}"), "DEFER_COMMIT\n")
        p.kill()
        p.wait()
        written = max(queue.glob("uncommitted.*"), key=lambda f: f.stat().st_size)
        with open(written, "ab") as f:
            f.write(b"n 100 was never answered and comes aga")
        p = self.push(url, *args)
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        self.assertEqual(self.say(p, "n 100"), "DEFER_COMMIT\n")
        self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
        p.stdin.close()
        self.assertEqual(p.wait(30), 0)
        self.assertEqual([r["line"] for r in self.records("entry")], [f"n {n}" for n in range(101)])

    def test_commit_waits_for_the_journal_alone_and_batches_fill_as_ever(self):
        url, queue = self.receive(), self.dir / "queue"
        args = ("-s", f"queue_dir={queue}", "-s", "logs_batch_age=1h")
        p = self.push(url, *args)
        self.assertEqual(self.answer(p), "OK\n")
        for n in range(50):
            self.begin(p)
            self.assertEqual(self.say(p, f"n {n}"), "DEFER_COMMIT\n")
            self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
        self.assertEqual(self.records("entry"), [])
        p.kill()
        p.wait()
        p = self.push(url, *args)
        self.assertEqual(self.answer(p), "OK\n")
        self.assertEqual([(queue / f"uncommitted.{i}").stat().st_size for i in range(2)], [0, 0])
        p.stdin.close()
        self.assertEqual(p.wait(30), 0)
        self.assertEqual(numbers(r["line"] for r in self.records("entry")), list(range(50)))

    def test_journal_is_emptied_while_lines_go_on(self):
        p = self.push(self.receive(), "-s", f"queue_dir={self.dir}/queue", "-s", "logs_batch_age=20ms")
        self.assertEqual(self.answer(p), "OK\n")
        count = 0
        while count < 20000:
            self.begin(p)
            for _ in range(100):
                self.assertEqual(self.say(p, f"n {count} " + "x" * 100), "DEFER_COMMIT\n")
                count += 1
            self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
        p.stdin.close()
        self.assertEqual(p.wait(60), 0)
        self.assertEqual([int(r["line"].split()[1]) for r in self.records("entry")], list(range(count)))
        self.assertEqual([f.stat().st_size for f in (self.dir / "queue").glob("uncommitted.*")], [0, 0])

    def test_transaction_begun_again_keeps_what_was_answered(self):
        p = self.push(self.receive())
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        self.assertEqual(self.say(p, "n 0"), "DEFER_COMMIT\n")
        self.begin(p)
        self.assertEqual(self.say(p, "n 1"), "DEFER_COMMIT\n")
        self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
        self.assertEqual(numbers(r["line"] for r in self.records("entry")), [0, 1])

    def test_dots_keep_the_feeder_waiting_while_the_receiver_is_away(self):
        url = self.receive("-m", "status=503")
        p = self.push(url)
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        self.assertEqual(self.say(p, "n 0"), "DEFER_COMMIT\n")
        p.stdin.write(b"COMMIT TRANSACTION\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.read(1), b".")
        get(url + "/control", data=b"clear=on")
        self.assertEqual(self.answer(p), "OK\n")
        self.assertEqual(len(self.records("entry")), 1)

    def test_line_that_cannot_be_parsed_is_delivered_as_it_is(self):
        p = self.push(self.receive(), "--timestamp-key", "t", "--line-key", "m", "--label-key", "a")
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        for line in ('{"m":"cut', '{"t":"yesterday","m":"no time","a":"b"}', '{"m":"no label"}'):
            self.assertEqual(self.say(p, line), "DEFER_COMMIT\n")
        self.assertEqual(self.say(p, "COMMIT TRANSACTION"), "OK\n")
        got = {r["line"]: r["labels"] for r in self.records("entry")}
        self.assertEqual(got, {'{"m":"cut': {"job": "gcw"}, "no time": {"a": "b"}, "no label": {"job": "gcw"}})

    def test_lines_dropped_by_policy_are_asked_for_again(self):
        p = self.push(self.receive("-m", "status=503"), "-s", "max_age=1s")
        self.assertEqual(self.answer(p), "OK\n")
        self.begin(p)
        self.assertEqual(self.say(p, "n 0"), "DEFER_COMMIT\n")
        self.assertNotIn(self.say(p, "COMMIT TRANSACTION"), ("OK\n", "DEFER_COMMIT\n"))


class Rsyslog(Case):
    def setUp(self):
        super().setUp()
        self.modules = []
        self.binary = os.environ.get("RSYSLOGD") or shutil.which("rsyslogd", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.binary and (PEERS / "usr/sbin/rsyslogd").exists():
            self.binary = str(PEERS / "usr/sbin/rsyslogd")
            self.modules = ["-M", str(next(PEERS.glob("usr/lib/*/rsyslog")))]
        if not self.binary:
            print("SKIPPED: rsyslogd not found")
            self.skipTest("rsyslogd not found")
        (self.dir / "work").mkdir()
        self.port = free_port()

    def configure(self, url, inputs="", options="", without=()):
        snippet, gcw_options = SNIPPET.read_text(), OPTIONS.read_text()
        for there, here in (("/usr/local/bin/gcw", GCW), ("/etc/gcw/rsyslog.conf", self.dir / "gcw.conf"),
                            ("/var/log/gcw-rsyslog.log", self.dir / "gcw.log")):
            self.assertIn(there, snippet)
            snippet = snippet.replace(there, str(here))
        for there, here in (("https://logs-prod-006.grafana.net", url), ("/etc/gcw/token", self.token_file()),
                            ("/var/lib/gcw/rsyslog", self.dir / "queue")):
            self.assertIn(there, gcw_options)
            gcw_options = gcw_options.replace(there, str(here))
        gcw_options = "".join(l + "\n" for l in gcw_options.splitlines() if not l.startswith(tuple(without)) or not without)
        (self.dir / "gcw.conf").write_text(gcw_options + "retry_min = 10ms\nretry_max = 100ms\npark_probe = 100ms\n" + options)
        (self.dir / "rsyslog.conf").write_text(f"""
global(workDirectory="{self.dir}/work" maxMessageSize="300k")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{self.port}")
{inputs}
{snippet}
""")

    def run_rsyslog(self):
        p = self.start(self.binary, "-n", "-f", str(self.dir / "rsyslog.conf"), "-i", str(self.dir / "pid"), *self.modules)
        wait_for("rsyslogd", lambda: self.connect().close() is None)
        return p

    def receive(self, *args):
        return super().receive("--token-file", str(self.token_file()), "--tenant", "logs=654321", *args)

    def restart_receiver(self, port):
        return super().receive("--token-file", str(self.token_file()), "--tenant", "logs=654321", "--listen", f"127.0.0.1:{port}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, lines):
        with self.connect() as s:
            s.sendall(b"".join(b"<14>1 %s h app 7 ID - " % self.now() + l + b"\n" for l in lines))

    def now(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S.123456Z", time.gmtime()).encode()

    def arrived(self):
        return numbers(r["line"] for r in self.records("entry"))

    def wait_for_all(self, count, seconds=60):
        def all_there():
            return len(set(self.arrived())) >= count
        try:
            wait_for(f"{count} lines", all_there, seconds)
        except AssertionError as e:
            got = set(self.arrived())
            raise AssertionError(f"{e}; {len(got)} arrived, missing {sorted(set(range(count)) - got)[:5]}...\n{self.log_text()[-3000:]}")
        got = self.arrived()
        self.assertEqual(set(got), set(range(count)))
        return len(got) - count

    def worker(self, p):
        """The gcw that rsyslog runs."""
        for d in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (d / "stat").read_text().rpartition(")")[2].split()[1] == str(p.pid) and "transactions" in (d / "cmdline").read_text():
                    return int(d.name)
            except OSError:
                pass
        return None

    def log_text(self):
        return "".join(f.read_text(errors="replace") for f in self.dir.glob("*.log"))


class Snippet(Rsyslog):
    def test_snippet_as_pasted_maps_every_field(self):
        url = self.receive()
        (self.dir / "app.log").write_text("from a file\n")
        self.configure(url, f"""
module(load="imfile")
input(type="imfile" file="{self.dir}/app.log" tag="filed:" severity="notice" facility="local3")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{self.dir}/log" CreatePath="on")
""")
        p, now = self.run_rsyslog(), self.now().decode()
        with self.connect() as s:
            s.sendall(f"<34>1 {now} web-1 su 77 ID47 - five\n<13>{time.strftime('%b %e %H:%M:%S')} old-1 app[12]: three\n".encode())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            wait_for("unix socket", lambda: s.connect(str(self.dir / "log")) is None)
            s.send(f"<86>{time.strftime('%b %e %H:%M:%S')} sshd[99]: by socket".encode())
        by_line = wait_for("four lines", lambda: (lambda got: {"five", "three", "by socket", "from a file"} <= set(got) and got)(
            {r["line"]: r for r in self.records("entry")}), 60)
        self.assertEqual(by_line["five"]["labels"], {"job": "syslog", "host": "web-1", "app": "su", "severity": "crit"})
        self.assertEqual(by_line["five"]["metadata"], {"facility": "auth", "procid": "77", "msgid": "ID47"})
        self.assertEqual(by_line["five"]["time_ns"], str(calendar.timegm(time.strptime(now, "%Y-%m-%dT%H:%M:%S.123456Z")) * 10**9 + 123456000))
        self.assertEqual(by_line["five"]["tenant"], "654321")
        self.assertEqual(by_line["three"]["labels"], {"job": "syslog", "host": "old-1", "app": "app", "severity": "notice"})
        self.assertEqual(by_line["three"]["metadata"]["procid"], "12")
        self.assertEqual(by_line["by socket"]["labels"]["app"], "sshd")
        self.assertEqual(by_line["by socket"]["metadata"]["facility"], "authpriv")
        self.assertEqual((by_line["from a file"]["labels"]["app"], by_line["from a file"]["metadata"]["facility"]), ("filed", "local3"))
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        self.assertNotIn(TOKEN, self.log_text())

    def test_lines_of_any_bytes_and_length_arrive(self):
        url = self.receive()
        self.configure(url)
        self.run_rsyslog()
        lines = ["Zürich 🙂", '{"a":"b\\"c"} \\ /', "x" * 200000, "a  b", "trailing  "]
        raw = [l.encode() for l in lines] + [b"bytes \xff\xfe \xc0\xaf \xed\xa0\x80 end"] + [b"high " + bytes(range(0x80, 0x100))]
        # control characters rsyslog itself writes as #ooo (parser.escapeControlCharactersOnReceive)
        raw.append(b"low " + bytes(b for b in range(1, 32) if b != 10))
        want = {r.decode("utf-8", "replace") for r in raw[:-1]} | {"low " + "".join(f"#{b:03o}" for b in range(1, 32) if b != 10)}
        with self.connect() as s:
            s.sendall(b"".join(b"<14>1 %s h app - - - %s\n" % (self.now(), r) for r in raw))
        got = wait_for("lines", lambda: (lambda g: len(g) >= len(want) and g)([r["line"] for r in self.records("entry") if r["labels"]["app"] == "app"]), 60)
        self.assertEqual(sorted(got), sorted(want))

    def test_equal_lines_of_one_second_all_arrive(self):
        self.configure(self.receive())
        self.run_rsyslog()
        stamp = time.strftime("%b %e %H:%M:%S")
        with self.connect() as s:
            s.sendall(f"<13>{stamp} h app: the same\n".encode() * 500)
        wait_for("500 lines", lambda: len([r for r in self.records("entry") if r["line"] == "the same"]) >= 500, 60)
        self.assertEqual(len([r for r in self.records("entry") if r["line"] == "the same"]), 500)


class Killed(Rsyslog):
    LINES = int(os.environ.get("RSYSLOG_LINES", "20000"))

    def send_slowly(self, count, pieces, between):
        size = count // pieces
        for i in range(pieces):
            self.send([b"n %d" % n for n in range(i * size, (i + 1) * size)])
            between(i)

    def test_receiver_killed_and_restarted_costs_no_line(self):
        url = self.receive()
        self.configure(url)
        p = self.run_rsyslog()

        def between(i):
            if i == 2:
                self.receiver.kill()
                self.receiver.wait()
            if i == 7:
                self.restart_receiver(url.rpartition(":")[2])

        self.send_slowly(self.LINES, 10, between)
        twice = self.wait_for_all(self.LINES)
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        print(f"receiver killed once: {self.LINES} lines, all arrived, {twice} twice")

    def test_receiver_killed_without_queue_dir_costs_no_line(self):
        url = self.receive()
        self.configure(url, without=("queue_dir",))
        self.run_rsyslog()

        def between(i):
            if i == 2:
                self.receiver.kill()
                self.receiver.wait()
            if i == 7:
                time.sleep(4)  # longer than a dot takes
                self.restart_receiver(url.rpartition(":")[2])

        self.send_slowly(self.LINES, 10, between)
        print(f"receiver killed once, no queue_dir: {self.LINES} lines, all arrived, {self.wait_for_all(self.LINES)} twice")

    def test_gcw_killed_with_9_costs_no_line(self):
        url, rng, kills = self.receive(), random.Random(3), []
        self.configure(url)
        p = self.run_rsyslog()

        def between(i):
            pid = wait_for("gcw", lambda: self.worker(p))
            time.sleep(rng.uniform(0, 0.05))  # at any moment: within a transaction, between two, at a commit
            try:
                os.kill(pid, signal.SIGKILL)
                kills.append(pid)
            except ProcessLookupError:
                pass

        self.send_slowly(self.LINES, 8, between)
        twice = self.wait_for_all(self.LINES)
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        print(f"gcw killed -9 {len(set(kills))} times: {self.LINES} lines, all arrived, {twice} twice")

    def test_gcw_that_cannot_start_is_tried_again_until_it_can(self):
        url = self.receive()
        self.configure(url)
        token = self.token_file()
        token.unlink()
        p = self.run_rsyslog()
        self.send([b"n %d" % n for n in range(1000)])
        wait_for("word of why", lambda: "token" in (self.dir / "gcw.log").read_text(), 60)
        self.assertIsNone(p.poll())
        self.token_file()
        self.wait_for_all(1000)

    def test_rsyslog_stopped_in_an_outage_loses_no_line_of_a_file(self):
        url = self.receive()
        self.receiver.kill()
        self.receiver.wait()
        log = self.dir / "app.log"
        log.write_text("".join(f"n {n}\n" for n in range(self.LINES)))
        self.configure(url, f'module(load="imfile")\ninput(type="imfile" file="{log}" tag="app:" persistStateInterval="1000")\n')
        p = self.run_rsyslog()
        wait_for("something on disk", lambda: any(f.stat().st_size > 100000 for f in (self.dir / "queue").glob("*.gcw*")) or
                 sum(f.stat().st_size for f in (self.dir / "queue").iterdir()) > 50000, 60)
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        self.restart_receiver(url.rpartition(":")[2])
        with open(log, "a") as f:
            f.write(f"n {self.LINES}\n")
        p = self.run_rsyslog()
        twice = self.wait_for_all(self.LINES + 1)
        p.terminate()
        self.assertEqual(p.wait(60), 0)
        print(f"rsyslog stopped in an outage: {self.LINES + 1} lines of a file, all arrived, {twice} twice")


del Rsyslog

if __name__ == "__main__":
    unittest.main()
