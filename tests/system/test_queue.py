"""The disk queue on the real thing: kill -9, outages, full disks, damage, `gcw queue`."""
import os
import random
import re
import select
import shutil
import signal
import subprocess
import threading
import time

from harness import *
from remote import Sink, number, read

KILLS = int(os.environ.get("TORTURE_KILLS", "200"))


def numbers(lines):
    return [int(m.group(1)) for m in (re.match(r"number (\d+)$", line) for line in lines) if m]


class Torture(Case):
    def setUp(self):
        super().setUp()
        build = pathlib.Path(GCW).parent
        sanitize = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(build.name, [])
        self.program = self.dir / "torture"
        flags = subprocess.run(["pkg-config", "--libs", "libcurl", "zlib", "libprotobuf-c"], capture_output=True, text=True).stdout.split()
        deflate = subprocess.run(["pkg-config", "--libs", "libdeflate"], capture_output=True, text=True).stdout.split()
        subprocess.run(["clang" if sanitize else "cc", "-O1", *sanitize, "-I", str(ROOT / "plugin/include"), str(ROOT / "tests/system/torture.c"), str(build / "libgcw.a"),
                        *flags, *deflate, "-lsnappy", "-lm", "-pthread", "-o", str(self.program)], check=True)

    def accepted_numbers(self):
        return numbers(r["line"] for r in self.records("entry"))

    def test_every_record_with_a_receipt_arrives_through_kill_9(self):
        url = self.receive()
        rng = random.Random(20250101)
        queue, first, ranges = self.dir / "queue", 1, []
        weather = ["", "status=503:0.3", "reset=after&count=5", "reset=before&count=5", "latency=20", "status=429&count=5",
                   "status=401&count=2"]
        for kill in range(KILLS):
            get(url + "/control", data=b"clear=on")
            get(url + "/control", data=(rng.choice(weather) or "clear=on").encode())
            p = subprocess.Popen([self.program, url, queue, str(first), "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if kill % 2:  # every other one gets as far as its first receipt, however slow the machine
                select.select([p.stdout], [], [], 30)
            time.sleep(rng.uniform(0.01, 0.15))  # when it dies is meant to be chance
            p.kill()
            out, err = p.communicate()
            self.assertNotIn(b"does not hold", err)
            self.assertNotIn(b"Sanitizer", err)
            told = [int(n) for n in out.split()]
            if told:
                ranges.append((first, told[-1]))
            # what had no receipt may have arrived too: no number is used twice
            first = (told[-1] if told else first) + 100000
        get(url + "/control", data=b"clear=on")
        end = self.gcw("queue", "replay", "--logs-url", url, queue)
        self.assertEqual(end.returncode, 0, end.stderr)
        arrived = self.accepted_numbers()
        have = set(arrived)
        expected = [n for a, b in ranges for n in range(a, b + 1)]
        self.assertGreater(len(expected), KILLS)
        self.assertEqual([n for n in expected if n not in have], [])
        self.assertEqual([f.name for f in queue.iterdir()], ["lock"])
        print(f"{KILLS} kills, {len(expected)} records with a receipt, all arrived; {len(arrived) - len(have)} of {len(arrived)} came twice")


class Confirm(Case):
    """gcw push logs --confirm: a line that was confirmed arrives, whatever happens to the process."""

    def push(self, url, *args):
        return subprocess.Popen([GCW, "push", "logs", "-u", url, "--confirm", "-s", "retry_min=10ms", "-s", "retry_max=50ms", "-s",
                                 "park_probe=100ms", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env=clean_env())

    def test_every_line_is_confirmed_when_it_was_delivered(self):
        url = self.receive("-m", "status=503:3")
        p = self.push(url)
        self.assertEqual(p.stdout.readline(), b"OK\n")
        for n in range(20):
            p.stdin.write(b"number %d\n" % n)
            p.stdin.flush()
            self.assertEqual(p.stdout.readline(), b"OK\n")
            self.assertEqual(len(self.records("entry")), n + 1)
        out, _ = p.communicate(timeout=30)
        self.assertEqual((p.returncode, out), (0, b""))

    def test_confirmed_lines_arrive_through_kill_9(self):
        url, rng, queue = self.receive(), random.Random(7), self.dir / "queue"
        weather = ["clear=on", "status=503:0.3", "reset=after&count=5", "reset=before&count=5", "latency=20", "status=429&count=5"]
        expected, first = [], 1
        for _ in range(max(KILLS // 4, 1)):
            get(url + "/control", data=b"clear=on")
            get(url + "/control", data=rng.choice(weather).encode())
            p = self.push(url, "-s", f"queue_dir={queue}")
            killer = threading.Timer(rng.uniform(0.05, 0.3), p.kill)
            killer.start()
            n, confirmed = first, first - 1
            try:
                p.stdout.readline()
                while True:
                    count = rng.randrange(1, 20)
                    p.stdin.write(b"".join(b"number %d\n" % k for k in range(n, n + count)))
                    p.stdin.flush()
                    n += count
                    for _ in range(count):
                        if p.stdout.readline() != b"OK\n":
                            raise BrokenPipeError
                        confirmed += 1
            except BrokenPipeError:
                pass
            killer.join()
            p.wait()
            p.stdout.close()
            try:
                p.stdin.close()
            except BrokenPipeError:
                pass
            expected += range(first, confirmed + 1)
            first = n + 1000
        get(url + "/control", data=b"clear=on")
        end = self.gcw("queue", "replay", "--logs-url", url, queue)
        self.assertEqual(end.returncode, 0, end.stderr)
        have = set(numbers(r["line"] for r in self.records("entry")))
        self.assertGreater(len(expected), KILLS // 4)
        self.assertEqual([n for n in expected if n not in have], [])
        print(f"{max(KILLS // 4, 1)} kills of gcw push, {len(expected)} lines confirmed, all arrived")


class Directory(Case):
    """One push leaves a backlog, another sends it; in between something happens to the directory."""

    LINES = 20000

    def setUp(self):
        super().setUp()
        self.queue = self.dir / "queue"
        self.closed = f"http://127.0.0.1:{free_port()}"

    def push(self, url, lines, *args, timeout="1s"):
        text = "".join(f"number {n}\n" for n in lines).encode()
        return self.gcw("push", "logs", "-u", url, "-s", f"queue_dir={self.queue}", "-s", "logs_batch_records=500", "-s",
                        "logs_compression=none", "--timeout", timeout, "--summary", "json", *args, stdin=text)

    def backlog(self, *args):
        run = self.push(self.closed, range(self.LINES), *args)
        self.assertEqual(run.returncode, 5, run.stderr)
        s = summary(run)
        self.assertEqual((s["in"], s["on_disk"], s["delivered"], s["dropped"]), (self.LINES, self.LINES, 0, 0))
        requests = self.gcw("queue", "inspect", "--json", self.queue).stdout.decode().splitlines()
        self.first_request = json.loads(requests[0])["records"]
        return sorted(self.queue.glob("*.seg"))

    def replay(self, *args):
        url = self.receive()
        return self.gcw("queue", "replay", "--logs-url", url, self.queue, *args)

    def arrived(self):
        return numbers(r["line"] for r in self.records("entry"))

    def listed(self):
        out = self.gcw("queue", "list", "--json", self.queue).stdout.decode().splitlines()
        return [json.loads(line) for line in out]

    def test_backlog_is_listed_kept_and_sent_in_order_by_the_next_push(self):
        self.backlog()
        listed = self.listed()
        self.assertEqual([(r["signal"], r["records"], r["damaged"]) for r in listed], [("logs", self.LINES, 0)])
        for f in self.queue.iterdir():
            self.assertEqual(f.stat().st_mode & 0o077, 0, f)
        run = self.push(self.receive(), [self.LINES], timeout="30s")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["recovered"], self.LINES)
        self.assertEqual(self.arrived(), list(range(self.LINES + 1)))
        self.assertEqual(self.listed(), [])

    def test_torn_tail_is_cut(self):
        last = self.backlog()[-1]
        with open(last, "r+b") as f:
            f.truncate(last.stat().st_size - 1000)
        end = self.replay()
        arrived = self.arrived()
        self.assertEqual(end.returncode, 0, end.stderr)
        self.assertEqual(arrived, list(range(len(arrived))))
        self.assertGreater(len(arrived), self.LINES - 1000)

    def test_damaged_record_costs_itself_alone_and_is_named(self):
        first = self.backlog()[0]
        with open(first, "r+b") as f:
            f.seek(2048 + 88 + 5000)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 1]))
        self.assertEqual([r["damaged"] for r in self.listed()], [1])
        end = self.replay()
        self.assertEqual(end.returncode, 1, end.stderr)
        self.assertIn(f"damaged on disk: {first.name} at 2048", end.stderr.decode())
        lost = self.first_request
        self.assertIn(f"delivered {self.LINES - lost} + rejected 0 + expired 0 + dropped {lost}", end.stdout.decode())
        self.assertEqual(self.arrived(), list(range(lost, self.LINES)))

    def test_damaged_head_of_a_record_costs_that_record(self):
        first = self.backlog()[0]
        with open(first, "r+b") as f:
            f.seek(2048 + 9)
            f.write(b"\xff")
        end = self.replay()
        self.assertEqual(end.returncode, 1, end.stderr)
        self.assertEqual(self.arrived(), list(range(self.first_request, self.LINES)))

    def test_other_version_is_refused_in_words_and_kept(self):
        first = self.backlog()[0]
        with open(first, "r+b") as f:
            for at in (8, 520):
                f.seek(at)
                f.write(b"\x63\0\0\0")
        before = first.read_bytes()
        end = self.replay()
        self.assertEqual(end.returncode, 2)
        self.assertIn("format version 99", end.stderr.decode())
        self.assertEqual(first.read_bytes(), before)

    def test_files_of_version_1_are_read_and_marked(self):
        """Two of its three requests of a sample each are taken, one by one; the third waits, and comes later."""
        self.queue.mkdir(0o700)
        shutil.copytree(ROOT / "tests/fixtures/queue-version-1", self.queue, dirs_exist_ok=True)
        sink = Sink(lambda n: (204 if n <= 2 else 503, b"", (), 0))
        self.addCleanup(sink.stop)
        first = self.start(GCW, "push", "metrics", "-u", sink.url, "-s", f"queue_dir={self.queue}", "--signal-timeout", "1ms", "/dev/null")
        wait_for("the third request", lambda: len(sink.requests) > 2)
        first.send_signal(signal.SIGINT)
        first.wait(30)
        taken = [series for request in sink.requests if request.status == 204 for series in read(request)[0]]
        self.assertEqual([(dict(s.labels)["n"], [(number(bits), ms) for bits, ms in s.samples]) for s in taken],
                         [("1", [(1, 1764000000000)]), ("2", [(2, 1764000000000)])])
        end = self.gcw("queue", "replay", "--metrics-url", self.receive() + "/api/v1/push", self.queue)
        self.assertEqual(end.returncode, 0, end.stderr)
        self.assertEqual([(r["labels"]["n"], r["value"]) for r in self.records("sample")], [("3", "3")])

    def test_second_writer_is_refused(self):
        self.backlog()
        url = self.receive("-m", "status=503")
        holder = self.start(GCW, "push", "logs", "-u", url, "-s", f"queue_dir={self.queue}", "--timeout", "60s", "/dev/null")
        wait_for("the writer", lambda: b"a writer is using" in self.gcw("queue", "list", self.queue).stderr)
        for run in (self.push(url, [1]), self.gcw("queue", "drop", "--yes", self.queue)):
            self.assertEqual(run.returncode, 2)
            self.assertIn("another process or writer uses it", run.stderr.decode())
        self.assertIsNone(holder.poll())

    def test_directory_open_to_others_is_refused(self):
        self.queue.mkdir()
        self.queue.chmod(0o777)
        run = self.push(self.closed, [1])
        self.assertEqual(run.returncode, 2)
        self.assertIn("others may write", run.stderr.decode())

    def test_removed_directory_loses_what_was_in_it_alone_and_comes_back(self):
        url = self.receive("-m", "status=503")
        p = subprocess.Popen([GCW, "push", "logs", "-u", url, "-s", f"queue_dir={self.queue}", "-s", "logs_batch_age=50ms", "-s",
                              "retry_max=200ms", "-s", "retry_min=50ms", "--summary", "json"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        p.stdin.write(b"number 1\n")
        p.stdin.flush()
        wait_for("a file", lambda: list(self.queue.glob("*.seg")))
        shutil.rmtree(self.queue)
        p.stdin.write(b"number 2\n")
        p.stdin.flush()
        wait_for("a new file", lambda: list(self.queue.glob("*.seg")))
        get(url + "/control", data=b"clear=on")
        out, err = p.communicate(timeout=60)
        s = json.loads(out)
        self.assertEqual(s["in"], 2)
        self.assertEqual(s["delivered"] + s["dropped"], 2)
        self.assertIn(2, self.arrived())

    def test_drop_oldest_keeps_the_disk_limit_and_counts_what_it_drops(self):
        run = self.push(self.closed, range(400000), "-s", "queue_limit=1MiB", "-s", "overflow=drop_oldest", "-s",
                        "memory_limit=8MiB", "-s", "logs_batch_bytes=64KiB")
        s = summary(run)
        self.assertLessEqual(sum(f.stat().st_size for f in self.queue.iterdir()), 1 << 20)
        self.assertGreater(s["dropped"], 0)
        self.assertEqual(s["dropped"] + s["on_disk"], s["in"])
        end = self.replay()
        self.assertEqual(end.returncode, 0, end.stderr)
        arrived = self.arrived()
        self.assertEqual(arrived, list(range(400000 - s["on_disk"], 400000)))  # the newest, without a gap


class FullDisk(Case):
    def test_full_disk_goes_on_in_memory_says_so_and_comes_back(self):
        mount = self.dir / "small"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], capture_output=True).returncode != 0:
            print("SKIPPED: a tmpfs cannot be mounted")
            self.skipTest("no tmpfs")
        try:
            url = self.receive("-m", "status=503")
            text = b"".join(b"number %d %s\n" % (n, os.urandom(60).hex().encode()) for n in range(20000))
            err = open(self.dir / "err", "wb")
            self.addCleanup(err.close)
            p = subprocess.Popen([GCW, "push", "logs", "-u", url, "-s", f"queue_dir={mount}/queue", "-s", "logs_batch_bytes=64KiB", "-s",
                                  "retry_max=200ms", "-s", "retry_min=50ms", "-s", "logs_batch_age=50ms", "--summary", "json"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=err, env=clean_env())
            p.stdin.write(text)
            p.stdin.flush()
            wait_for("the word", lambda: b"No space left" in (self.dir / "err").read_bytes())
            get(url + "/control", data=b"clear=on")
            out, _ = p.communicate(timeout=60)
            s = json.loads(out)
            self.assertEqual((p.returncode, s["in"], s["delivered"]), (0, 20000, 20000), (self.dir / "err").read_text())
            self.assertEqual([int(r["line"].split()[1]) for r in self.records("entry")], list(range(20000)))
        finally:
            subprocess.run(["umount", "-l", mount])


class Parts(Case):
    def test_request_that_is_too_large_arrives_in_parts_in_order(self):
        url = self.receive("--limit", "logs_body_bytes=20KiB")
        lines = b"".join(b"number %d\n" % n for n in range(20000))
        run = self.gcw("push", "logs", "-u", url, "--summary", "json", stdin=lines)
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 20000), run.stderr)
        self.assertEqual(numbers(r["line"] for r in self.records("entry")), list(range(20000)))
        self.assertEqual(run.stderr.count(b"sent in parts"), 1)

    def test_single_record_that_is_too_large_is_rejected_and_the_rest_arrives(self):
        url = self.receive("--limit", "logs_body_bytes=20KiB")
        lines = b"".join(b"number %d\n" % n for n in range(1000)) + b"x" * 60000 + b"\n" + b"number 1000\n"
        run = self.gcw("push", "logs", "-u", url, "--summary", "json", "-s", "logs_compression=none", stdin=lines)
        s = summary(run)
        self.assertEqual((run.returncode, s["delivered"], s["rejected"]), (1, 1001, 1), run.stderr)
        self.assertEqual(numbers(r["line"] for r in self.records("entry")), list(range(1001)))

    def test_metrics_in_parts_are_the_same_samples(self):
        url = self.receive("-m", "status=413:1", "-m", "over=8KiB")
        text = "".join(f'm{{n="{n}"}} {n}\n' for n in range(5000)).encode()
        run = self.gcw("push", "metrics", "-u", url + "/api/v1/write", "--summary", "json", stdin=text)
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 5000), run.stderr)
        self.assertEqual([int(r["labels"]["n"]) for r in self.records("sample")], list(range(5000)))


if __name__ == "__main__":
    unittest.main()
