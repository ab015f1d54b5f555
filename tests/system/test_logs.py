"""Log lines of any bytes, each back exactly once and in order."""
import random

from harness import *


def corpus(count):
    rng = random.Random(20231114)
    words = (ROOT / "LICENSE").read_text().split()
    lines = [bytes([b]) * (b % 7 + 1) for b in range(256) if b not in (10, 13)]
    lines += [b"", b"x" * 300000, "Zürich 🙂".encode(), b"\xed\xa0\x80 \xc0\xaf \xf5\x80 \xe2\x82", b'{"a":"b\\"c"}\ttab']
    while len(lines) < count:
        lines.append(f"{len(lines)} level={rng.choice(['info', 'warn'])} ".encode() + " ".join(rng.choices(words, k=20)).encode())
    return lines


class Receive(Case):
    def test_two_hundred_thousand_lines_of_any_bytes_arrive_once_and_in_order(self):
        base, lines = self.receive(), corpus(200000)
        (self.dir / "in.log").write_bytes(b"\n".join(lines))
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--summary", "json", self.dir / "in.log")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["delivered"], len(lines))
        got = self.records("entry")
        self.assertEqual([r["line"] for r in got], [l[:262144].decode("utf-8", "replace") for l in lines])
        times = [int(r["time_ns"]) for r in got]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(got[0]["labels"], {"job": "t"})

    def test_json_keys_become_time_labels_and_metadata(self):
        base, now = self.receive(), int(__import__("time").time())
        text = f'{{"ts":"{now}.000000005","level":"warn","trace.id":"ab","msg":"one"}}\nnot json\n{{"ts":{now},"level":"info","msg":"two"}}\n'
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--timestamp-key", "ts", "--timestamp-format", "unix_s",
                       "--label-key", "level", "--metadata-key", "trace.id", "--line-key", "msg", "--summary", "json", stdin=text.encode())
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn(b"standard input:2: ", run.stderr)
        by_line = {r["line"]: r for r in self.records("entry")}
        self.assertEqual(by_line["one"]["labels"], {"job": "t", "level": "warn"})
        self.assertEqual(by_line["one"]["metadata"], {"trace_id": "ab"})
        self.assertEqual(by_line["one"]["time_ns"], str(now * 10**9 + 5))
        self.assertEqual(by_line["two"]["time_ns"], str(now * 10**9))


class Protobuf(Case):
    """The other form of a push, at the strict judge."""

    def test_lines_of_any_bytes_arrive_once_and_in_order(self):
        base, lines = self.receive(), corpus(20000)
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--set", "logs_encoding=protobuf", "--summary", "json",
                       stdin=b"\n".join(lines))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual([r["line"] for r in self.records("entry")], [l[:262144].decode("utf-8", "replace") for l in lines])

    def test_labels_and_metadata_of_any_bytes_arrive(self):
        base, now = self.receive(), int(__import__("time").time())
        label, text = 'C:\\dir "x"\n\u00e9', 'm"\\\n\u00e9'
        line = json.dumps({"ts": now, "l": label, "trace.id": text, "msg": "one"})
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--timestamp-key", "ts", "--timestamp-format", "unix_s", "--label-key",
                       "l", "--metadata-key", "trace.id", "--line-key", "msg", "--set", "logs_encoding=protobuf", stdin=line.encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        [got] = self.records("entry")
        self.assertEqual((got["labels"], got["metadata"], got["line"]), ({"job": "t", "l": label}, {"trace_id": text}, "one"))
        self.assertEqual(got["time_ns"], str(now * 10**9))

    def test_what_is_too_large_is_sent_in_parts(self):
        base, lines = self.receive("--limit", "logs_decoded_bytes=20000"), [f"{i} {'x' * (i % 300)}" for i in range(3000)]
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--set", "logs_encoding=protobuf", "--summary", "json",
                       stdin="\n".join(lines).encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual([r["line"] for r in self.records("entry")], lines)
        self.assertGreater(summary(run)["requests"], 10)

    def test_what_waits_on_disk_is_protobuf_when_it_is_sent(self):
        queue, lines = self.dir / "queue", [f"line {i}" for i in range(100)]
        run = self.gcw("push", "logs", "--url", f"http://127.0.0.1:{free_port()}", "--label", "job=t", "--set", "logs_encoding=protobuf",
                       "--set", f"queue_dir={queue}", "--timeout", "300ms", stdin="\n".join(lines).encode())
        self.assertEqual(run.returncode, 5, run.stderr)
        self.assertIn(b'"protocol":"loki-protobuf"', self.gcw("queue", "inspect", "--json", queue).stdout)
        base = self.receive()
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--set", f"queue_dir={queue}", stdin=b"")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual([r["line"] for r in self.records("entry")], lines)


if __name__ == "__main__":
    unittest.main()
