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


class Loki(Case):
    def test_lines_come_back_from_a_real_loki(self):
        binary, port = need("loki"), free_port()
        (self.dir / "loki.yaml").write_text(f"""
auth_enabled: false
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {free_port()}}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {self.dir}/loki
  storage: {{filesystem: {{chunks_directory: {self.dir}/loki/chunks, rules_directory: {self.dir}/loki/rules}}}}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
storage_config: {{object_store: {{filesystem: {{dir: {self.dir}/loki/objects}}}}}}
schema_config: {{configs: [{{from: 2020-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: i_, period: 24h}}}}]}}
limits_config: {{discover_service_name: [], discover_log_levels: false, max_entries_limit_per_query: 0, max_query_length: 0}}
ingester: {{lifecycler: {{min_ready_duration: 0s}}}}
""")
        self.start(binary, f"-config.file={self.dir}/loki.yaml")
        base = f"http://127.0.0.1:{port}"
        wait_for("loki", lambda: "ready" in get(base + "/ready"), 60)
        lines = corpus(20000)
        run = self.gcw("push", "logs", "--url", base, "--label", "job=t", "--summary", "json", stdin=b"\n".join(lines))
        self.assertEqual(run.returncode, 0, run.stderr)
        got, start, end = [], 0, int(__import__("time").time() * 1e9) + 10**12
        start = end - 2 * 10**12
        while True:
            q = urllib.parse.urlencode({"query": '{job="t"}', "start": start, "end": end, "limit": 5000, "direction": "forward"})
            page = [v for s in get_json(f"{base}/loki/api/v1/query_range?{q}")["data"]["result"] for v in s["values"]]
            if not page:
                break
            page.sort(key=lambda v: int(v[0]))
            got += page
            start = int(page[-1][0]) + 1
        self.assertEqual([v[1] for v in got], [l[:262144].decode("utf-8", "replace") for l in lines])


if __name__ == "__main__":
    unittest.main()
