"""Metrics pushed to real servers, every sample read back: value bits, timestamps, labels."""
import math
import re
import struct
import time

from harness import *

NOW = int(time.time() * 1000) // 1000 * 1000
EDGES = [  # name, labels, value as written, value as the query API writes it
    ("edge_nan", {}, "NaN", "NaN"),
    ("edge_inf", {}, "+Inf", "+Inf"),
    ("edge_minus_inf", {}, "-Inf", "-Inf"),
    ("edge_minus_zero", {}, "-0", "-0"),
    ("edge_zero", {}, "0", "0"),
    ("edge_large", {}, "1e308", "1e308"),
    ("edge_denormal", {}, "5e-324", "5e-324"),
    ("edge_integer", {}, "9007199254740993", "9007199254740992"),
    ("edge_third", {}, "0.3333333333333333", "0.3333333333333333"),
    ("edge_utf8", {"city": "Zürich", "smile": "🙂"}, "1", "1"),
    ("edge_escapes", {"path": 'C:\\dir\n"quoted"'}, "2", "2"),
    ("edge_upper", {"Zone": "a", "_x": "b"}, "3", "3"),
    ("edge:colon", {}, "4", "4"),
]


def escape(v):
    return v.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def line(name, labels, value, ms):
    inner = ",".join(f'{k}="{escape(v)}"' for k, v in labels.items())
    return f"{name}{{{inner}}} {value} {ms}\n"


def bits(text):
    v = float(text.replace("Inf", "inf"))
    return "nan" if math.isnan(v) else struct.pack(">d", v)


class Prometheus(Case):
    def server(self):
        binary, port = need("prometheus"), free_port()
        (self.dir / "prometheus.yml").write_text("global: {}\n")
        self.start(binary, f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
                   f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--query.max-samples=50000000")
        self.base = f"http://127.0.0.1:{port}"
        wait_for("prometheus", lambda: get(self.base + "/-/ready"))
        return self.base + "/api/v1/write"

    def query(self, expression, at_ms=NOW + 60000):
        q = urllib.parse.urlencode({"query": expression, "time": at_ms / 1000})
        return get_json(f"{self.base}/api/v1/query?{q}")["data"]["result"]

    def test_edge_cases_come_back_bit_for_bit(self):
        url = self.server()
        text = "".join(line(n, l, v, NOW - 1000) + line(n, l, v, NOW) for n, l, v, _ in EDGES)
        run = self.gcw("push", "metrics", "--url", url, "--summary", "json", stdin=text.encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["delivered"], 2 * len(EDGES))
        for name, labels, _, want in EDGES:
            result = self.query(f'{{__name__="{name}"}}[5m]')
            self.assertEqual(len(result), 1, name)
            self.assertEqual(result[0]["metric"], {"__name__": name, **labels})
            self.assertEqual([round(t * 1000) for t, _ in result[0]["values"]], [NOW - 1000, NOW])
            for _, value in result[0]["values"]:
                self.assertEqual(bits(value), bits(want), name)

    def test_node_exporter_arrives_whole(self):
        url, exporter, port = self.server(), need("prometheus-node-exporter"), free_port()
        self.start(exporter, f"--web.listen-address=127.0.0.1:{port}")
        text = wait_for("node exporter", lambda: get(f"http://127.0.0.1:{port}/metrics"))
        sent = [l for l in text.splitlines() if l and not l.startswith("#")]
        run = self.gcw("push", "metrics", "--url", url, "--label", "run=one", "--summary", "json", stdin=text.encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["delivered"], len(sent))
        stored = self.query('{run="one"}', int(time.time() * 1000))
        self.assertEqual(len(stored), len(sent))
        want = sorted(bits(l.rsplit(" ", 1)[1]) for l in sent if "NaN" not in l)
        self.assertEqual(sorted(b for b in (bits(s["value"][1]) for s in stored) if b != "nan"), want)

    def test_series_with_ten_thousand_labels_and_help_of_a_megabyte(self):
        url = self.server()
        labels = {f"l{i:05}": f"v{i}" for i in range(10000)}
        text = "# HELP big " + "h" * 1000000 + "\n# TYPE big gauge\n" + line("big", labels, "1", NOW)
        run = self.gcw("push", "metrics", "--url", url, "--set", "metrics_max_labels=20000", "--summary", "json", stdin=text.encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.query("big")[0]["metric"], {"__name__": "big", **labels})


class VictoriaMetrics(Case):
    def test_edge_cases_come_back(self):
        binary, port = need("victoria-metrics"), free_port()
        self.start(binary, f"-storageDataPath={self.dir}/vm", f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s")
        base = f"http://127.0.0.1:{port}"
        wait_for("victoria-metrics", lambda: get(base + "/health"))
        text = "".join(line(n, l, v, NOW) for n, l, v, _ in EDGES)
        run = self.gcw("push", "metrics", "--url", base + "/api/v1/write", stdin=text.encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        get(base + "/internal/force_flush")
        found = {}
        for row in get(base + "/api/v1/export?match[]=" + urllib.parse.quote('{__name__=~"edge.*"}')).splitlines():
            r = json.loads(re.sub(r"(?<=[\[,])(nan|[+-]?[Ii]nf)(?=[],])", "null", row))  # not JSON: it writes NaN and infinities bare
            found[r["metric"]["__name__"]] = r
        # this store may leave an ordinary NaN out of an export; everything else is there
        self.assertEqual(set(found) | {"edge_nan"}, {n for n, *_ in EDGES})
        for name, labels, _, want in EDGES:
            if name == "edge_nan" or "inf" in name or name in ("edge_denormal", "edge_minus_zero"):
                continue
            self.assertEqual(found[name]["metric"], {"__name__": name, **labels})
            self.assertEqual(found[name]["timestamps"], [NOW])
            if name not in ("edge_large", "edge_third"):  # stored as decimals of a few digits less
                self.assertEqual(bits(str(found[name]["values"][0])), bits(want), name)


if __name__ == "__main__":
    unittest.main()
