"""A real Loki ($LOKI, or in PATH): what was pushed, in either form, is read back equal."""
import time

from harness import *
from shapes import *
from loki import start_loki
from test_logs import corpus

ENCODINGS = ("json", "protobuf")


class Loki(Case):
    def server(self, limits="", more="", auth="false"):
        self.base = start_loki(self, limits, more, auth)
        return self.base

    def read(self, query, since=None, tenant="x"):
        """Every (labels, time, line, structured metadata) of a query, in the order of time."""
        end = int(time.time() * 1e9) + 10**12
        got, start = [], since or end - 4 * 10**12
        while True:
            q = urllib.parse.urlencode({"query": query, "start": start, "end": end, "limit": 5000, "direction": "forward"})
            answer = json.loads(get(f"{self.base}/loki/api/v1/query_range?{q}", headers={
                "X-Loki-Response-Encoding-Flags": "categorize-labels", "X-Scope-OrgID": tenant}))
            page = [(s["stream"], int(v[0]), v[1], v[2].get("structuredMetadata", {})) for s in answer["data"]["result"] for v in s["values"]]
            if not page:
                return got
            page.sort(key=lambda r: r[1])
            got += page
            start = page[-1][1] + 1

    def push(self, encoding, lines, *args, code=0):
        run = self.gcw("push", "logs", "--url", self.base, "--label", f"form={encoding}", "--set", f"logs_encoding={encoding}", "--summary",
                       "json", *args, stdin=b"\n".join(l if isinstance(l, bytes) else l.encode() for l in lines))
        self.assertEqual(run.returncode, code, run.stderr)
        return summary(run)

    def test_lines_come_back_from_a_real_loki(self):
        self.server(", discover_service_name: [], discover_log_levels: false")
        lines = corpus(10000)
        for encoding in ENCODINGS:
            run = self.gcw("check", "--logs-url", self.base, "--set", f"logs_encoding={encoding}")
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertEqual(self.read('{job=~".+"}'), [])
            self.push(encoding, lines)
            got = self.read(f'{{form="{encoding}"}}')
            self.assertEqual([r[2] for r in got], [l[:262144].decode("utf-8", "replace") for l in lines])

    def test_times_metadata_and_labels_are_equal_in_both_forms(self):
        self.server(", discover_service_name: [], discover_log_levels: false")
        now = int(time.time() * 1e9) - 10**10
        records = [{"ts": str(now + i * 1001), "level": ["info", 'a "q" \\ \n b', "Zürich 🙂"][i % 3], "trace.id": f"{i:x}",
                    "note": ["plain", "é \u2028 \t", ""][i % 3], "msg": f"line {i}"} for i in range(3000)]
        keys = ("--timestamp-key", "ts", "--timestamp-format", "unix_ns", "--label-key", "level", "--metadata-key", "trace.id",
                "--metadata-key", "note", "--line-key", "msg")
        want = [(r["level"], int(r["ts"]), r["msg"], {"trace_id": r["trace.id"], **({"note": r["note"]} if r["note"] else {})}) for r in records]
        for encoding in ENCODINGS:
            self.push(encoding, [json.dumps(r) for r in records], *keys)
            got = self.read(f'{{form="{encoding}"}}')
            self.assertEqual([(r[0]["level"], *r[1:]) for r in got], want)
            self.assertEqual({tuple(r[0]) for r in got}, {("form", "level")})

    def test_labels_of_any_bytes_never_fail_a_push(self):
        self.server(", discover_service_name: [], discover_log_levels: false")
        values = [bytes([b]) for b in range(1, 256)] + ["\ufffd".encode(), b"\xed\xa0\x80", "🙂".encode()]
        for encoding in ENCODINGS:
            args = []
            for i in range(0, len(values), 20):
                args += ["--label", b"l%d=x" % i + b"".join(values[i:i + 20]).replace(b"=", b"") + b"y"]
            run = subprocess.run([GCW, "push", "logs", "--url", self.base, "--label", f"form={encoding}", "--set", f"logs_encoding={encoding}",
                                  *args], input=b"one", capture_output=True, env=clean_env(), timeout=60)
            # bytes that a configuration value can't hold are refused at start; nothing may fail at the server
            self.assertIn(run.returncode, (0, 2), run.stderr)
            keys = [f"k{i}" for i in range(13)]
            record = {k: "".join(map(chr, range(i * 40, i * 40 + 40))) + "\ufffd" for i, k in enumerate(keys)}
            self.push(encoding, [json.dumps(record)], *[a for k in keys for a in ("--label-key", k)])
            [got] = self.read(f'{{form="{encoding}", k0=~".+"}}')
            self.assertEqual({k: got[0][k] for k in keys}, {k: v.replace("\ufffd", "?") for k, v in record.items()})

    def test_service_and_level_are_what_the_server_would_have_set(self):
        """Two tenants: in one the server finds, in the other it takes what gcw found."""
        overrides = self.dir / "overrides.yaml"
        overrides.write_text("overrides: {told: {discover_service_name: [], discover_log_levels: false}}\n")
        self.server(more=f"runtime_config: {{file: {overrides}}}", auth="true")
        shapes, now = Shapes(1), int(time.time() * 1e9) - 10**9
        names = sorted({n for _ in range(500) for n in service_labels(shapes.r)})
        records = [{"ts": str(now + i), "line": shapes.line(), "labels": {"n": "x", **service_labels(shapes.r)},
                    "metadata": {shapes.r.choice(["severity_number", "lvl", "detected_level", "x"]): shapes.r.choice(["0", "9", "25", "Err", "odd"])}
                    if shapes.r.random() < .2 else {}} for i in range(400)]
        keys = ["--timestamp-key", "ts", "--timestamp-format", "unix_ns", "--line-key", "line"]
        # a key with a dot in it would be a path
        for n in names:
            keys += ["--label-key", f"labels.{n}={n}"] if "." not in n else []
        for n in ("severity_number", "lvl", "detected_level", "x"):
            keys += ["--metadata-key", f"metadata.{n}={n}"]
        seen = {}
        for tenant, option in (("finds", "off"), ("told", "auto")):
            self.push("protobuf", [json.dumps(r) for r in records], *keys, "--tenant", tenant, "--set", f"logs_service_name={option}",
                      "--set", f"logs_detected_level={option}")
            seen[tenant] = self.read('{form="protobuf"}', tenant=tenant)
            self.assertEqual(len(seen[tenant]), len(records))
        for found, told in zip(seen["finds"], seen["told"]):
            self.assertIn("service_name", found[0])
            if found[3].get("detected_level") != told[3]["detected_level"]:  # what was given, the server brings into form, too
                told[3]["detected_level"] = {"Err": "error"}.get(told[3]["detected_level"])
            self.assertEqual(told, found)

    def test_metadata_names_become_what_the_server_makes_of_them(self):
        self.server(", discover_service_name: [], discover_log_levels: false")
        shapes, now = Shapes(2), int(time.time() * 1e9) - 10**9
        names = sorted({shapes.name() for _ in range(60)} | {"a.b", "a_b", "__a__", "__a.b__", "___a__", "1a", "_"})[:60]
        keys = [a for i, n in enumerate(names) for a in ("--metadata-key", f"k{i}={n}")]
        records = [(now + i, sorted(shapes.r.sample(range(len(names)), shapes.r.randrange(1, 8)))) for i in range(300)]
        value = lambda i, k: str(i) + ("\ufffd" if (i + k) % 5 == 0 else "")
        lines = [json.dumps({"ts": str(t), "line": "x", **{f"k{k}": value(i, k) + str(k) for k in picked}}) for i, (t, picked) in enumerate(records)]
        # names without a letter or digit fail a push, and gcw leaves them out
        raw = [[str(t), "x", {names[k]: value(i, k) + str(k) for k in picked if any(c.isascii() and c.isalnum() for c in names[k])}]
               for i, (t, picked) in enumerate(records)]
        get(self.base + "/loki/api/v1/push", json.dumps({"streams": [{"stream": {"form": "raw"}, "values": raw}]}).encode(),
            {"Content-Type": "application/json"})
        want = [r[1:] for r in self.read('{form="raw"}')]
        self.assertEqual(len(want), len(records))
        for encoding in ENCODINGS:
            self.push(encoding, lines, "--timestamp-key", "ts", "--timestamp-format", "unix_ns", "--line-key", "line", *keys)
            self.assertEqual([r[1:] for r in self.read(f'{{form="{encoding}"}}')], want)

    def test_equal_entries_are_all_kept_when_their_times_are_made_unique(self):
        self.server()
        now = int(time.time()) - 60
        lines = [json.dumps({"ts": now, "msg": "same"})] * 50
        keys = ("--timestamp-key", "ts", "--timestamp-format", "unix_s", "--line-key", "msg")
        for unique, want in (("off", 1), ("on", 50)):
            self.push("json", lines, *keys, "--label", f"unique={unique}", "--set", f"logs_unique_times={unique}")
            got = self.read(f'{{unique="{unique}"}}')
            self.assertEqual([r[1] for r in got], [now * 10**9 + i for i in range(want)])

    def test_what_a_stream_rate_turns_away_comes_again(self):
        """Loki says so of the last stream of a push only."""
        self.server(", per_stream_rate_limit: 100KB, per_stream_rate_limit_burst: 40KB, shard_streams: {enabled: false}")
        lines = [json.dumps({"s": "big" if i % 2 else f"s{i % 7}", "m": f"{i} " + "x" * (300 if i % 2 else 100)}) for i in range(1000)]
        s = self.push("json", lines, "--label-key", "s", "--line-key", "m", "--set", "logs_batch_bytes=30KiB")
        self.assertEqual(s["delivered"], len(lines))
        self.assertEqual(sorted(int(r[2].split()[0]) for r in self.read('{form="json"}')), list(range(1000)))

    def test_entries_outside_the_window_are_sent_dropped_or_restamped(self):
        self.server()
        now = int(time.time())
        lines = [json.dumps({"ts": t, "msg": m}) for t, m in ((now - 8 * 86400, "old"), (now - 30, "fine"), (now + 3600, "new"))]
        keys = ("--timestamp-key", "ts", "--timestamp-format", "unix_s", "--line-key", "msg")
        counts = {}
        for policy, code in (("send", 1), ("drop", 1), ("restamp", 0)):
            s = self.push("json", lines, *keys, "--label", f"policy={policy}", "--set", f"logs_window_policy={policy}", code=code)
            self.assertEqual(s["in"], s["delivered"] + s["rejected"] + s["dropped"], s)
            counts[policy] = (s["delivered"], s["rejected"], s["dropped"])
        self.assertEqual(counts, {"send": (1, 2, 0), "drop": (1, 0, 2), "restamp": (3, 0, 0)})
        moved = {r[2]: r[3].get("original_timestamp") for r in self.read('{policy="restamp"}')}
        self.assertEqual(moved, {"old": str((now - 8 * 86400) * 10**9), "fine": None, "new": str((now + 3600) * 10**9)})


if __name__ == "__main__":
    unittest.main()
