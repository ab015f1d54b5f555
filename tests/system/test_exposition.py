"""What expositions hold beside numbers: native histograms (protobuf), exemplars, start times (protobuf, and _created of OpenMetrics).
It arrives, from files and from targets that negotiate; and a real Prometheus that scrapes the same makes the same of it."""
import time

from expo import *
from harness import *
from remote import OPENMETRICS, TEXT

NOW = int(time.time()) * 1000
BORN = NOW - 3600000 + 250
EVERY = ("--interval", "300ms", "--scrape-timeout", "30s")
NATIVE = ("--native-histograms",)
TRACE = lambda n: {"trace_id": f"{n:032x}"}


def page(n=1):
    """All that a protobuf exposition can carry. The even scrapes lack some of it."""
    both = histogram(12 + n, 18.5, [(0.1, 2, (TRACE(1), 0.05, None)), (1, 5, (TRACE(2), 0.7, NOW - 5000)), (1e6, 12, None)], BORN,
                     native(3, 0.001, 1, ([(-4, 2), (3, 3)], [2, 1, 0, 4, 3 + n]), ([(0, 1)], [1])))
    out = [
        family("plain_total", COUNTER, metric(counter(41 + n, (TRACE(3), 1.5, NOW - 4000), BORN), code="200"),
               metric(counter(1, (TRACE(4), 2.5, None)), code="5\"0\\0"), help="A counter.\nTwo lines."),
        family("temperature_celsius", GAUGE, metric(gauge(-0.5), room="küche"), metric(gauge(float("inf")), room="bath"), unit="celsius"),
        family("odd", UNTYPED, metric(untyped(float("nan")))),
        family("latency_seconds", SUMMARY, metric(quantiles(7 + n, 3.25, [(0.5, 0.1), (1, float("nan"))], BORN), path="/")),
        family("sizes_bytes", HISTOGRAM, metric(histogram(9, 5000, [(1, 2, None), (1e6, 9, (TRACE(5), 500000, NOW - 3000))], BORN), a="b"),
               metric(histogram(3, 2, [(2.5, 3, None), (float("inf"), 3, (TRACE(6), 1, NOW - 2000))]), a="c")),
        family("depth", GAUGE_HISTOGRAM, metric(histogram(4, 8, [(10, 4, None)]))),
        family("both_seconds", HISTOGRAM, metric(both, path="/a")),
        family("own_exemplars_seconds", HISTOGRAM, metric(histogram(3, 6, (), BORN, native(8, 0, 0, ([(300, 2)], [1, 2])), [
            (TRACE(7), 2.9, NOW - 1000), (TRACE(8), 3, None), (TRACE(9), 2.8, NOW - 6000)]))),
        family("nothing_yet", HISTOGRAM, metric(histogram(0, 0, (), None, native(3, 0, 0, ([(0, 0)], []))))),
        family("gone_float", HISTOGRAM, metric(histogram(0, 12.5, (), None, native_float(0, 0.5, 0.25, ([(0, 3)], [1.5, 0, 2.25])), count_float=4))),
        family("gone", HISTOGRAM, metric(histogram(2, 3, (), None, native(0, 0, 0, ([(1, 1)], [2]))))),
        family("level", GAUGE_HISTOGRAM, metric(histogram(2, 3, (), None, native(1, 0, 0, ([(1, 1)], [2]), ((), ()))))),
    ]
    return b"".join(f for f in out if n % 2 or b"gone" not in f)


def named(records):
    """(name, other labels, what it is) of each record, times left out."""
    out = []
    for r in records:
        labels = dict(r["labels"])
        skip = ("labels", "time_ms", "tenant", "start_ms")
        out.append((labels.pop("__name__"), tuple(sorted(labels.items())), json.dumps({k: v for k, v in r.items() if k not in skip})))
    return out


class Kept(Case):
    def forget(self):
        """What has been received."""
        self.receiver.terminate()
        self.receiver.wait()
        self.accepted.unlink()


class Files(Kept):
    def push(self, *args, stdin=None, protocol="2.0", code=0):
        url = self.receive() + "/api/v1/push"
        run = self.gcw("push", "metrics", "--url", url, "--set", f"metrics_protocol={protocol}", "--set", "metrics_exemplars=on", "--summary",
                       "json", *args, stdin=stdin)
        self.assertEqual(run.returncode, code, run.stderr)
        self.stderr = run.stderr.decode()
        return run

    def series(self, kind="sample"):
        return {(r["labels"]["__name__"], *sorted((k, v) for k, v in r["labels"].items() if k != "__name__")): r for r in self.records(kind)}

    def test_protobuf_arrives_in_2_and_in_1(self):
        (self.dir / "page.pb").write_bytes(page() + family("minus_zero", GAUGE, metric(gauge(-0.0))))
        for protocol in ("2.0", "1.0"):
            with self.subTest(protocol):
                run = self.push(self.dir / "page.pb", protocol=protocol)
                s, h = self.series(), self.series("histogram")
                self.assertEqual(len(s) + len(h), summary(run)["delivered"])
                start = BORN if protocol == "2.0" else None
                plain = s[("plain_total", ("code", "200"))]
                self.assertEqual((plain["value"], plain.get("start_ms")), ("42", start))
                self.assertEqual(s[("temperature_celsius", ("room", "küche"))]["value"], "-0.5")
                self.assertEqual(s[("minus_zero",)]["bits"], "8000000000000000")
                self.assertEqual(sorted(k[1:] for k in s if k[0] == "sizes_bytes_bucket"), sorted(
                    (("a", a), ("le", le)) for a, le in (("b", "1.0"), ("b", "1e+06"), ("b", "+Inf"), ("c", "2.5"), ("c", "+Inf"))))
                self.assertEqual(s[("latency_seconds", ("path", "/"), ("quantile", "0.5"))].get("start_ms"), start)
                self.assertEqual({k[0] for k in s if k[0].startswith("both_")}, set())  # the native one is taken
                both = h[("both_seconds", ("path", "/a"))]
                self.assertEqual((both["schema"], both["count"], both["sum"], both["zero_count"], both["zero_threshold"], both["positive"],
                                  both["negative"], both.get("start_ms"), both["reset_hint"]),
                                 (3, "13", "18.5", "1", "0.001", [[-4, "2"], [-3, "1"], [2, "4"], [3, "4"]], [[0, "1"]], start, 0))
                self.assertEqual((h[("gone_float",)]["float"], h[("gone_float",)]["positive"]), (True, [[0, "1.5"], [2, "2.25"]]))
                self.assertEqual(h[("level",)]["reset_hint"], 3)
                self.assertEqual(h[("nothing_yet",)]["positive"], [])
                exemplars = [(r["labels"]["__name__"], r["exemplar"], r["value"], r["time_ms"]) for r in self.records("exemplar")]
                self.assertIn(("plain_total", TRACE(3), "1.5", NOW - 4000), exemplars)
                self.assertIn(("both_seconds", TRACE(2), "0.7", NOW - 5000), exemplars)
                self.assertEqual([e[1] for e in exemplars if e[0] == "own_exemplars_seconds"], [TRACE(9), TRACE(7)])
                self.assertEqual(len(exemplars), 7)
                meta = {r["family"]: r for r in self.records("metadata")}
                self.assertEqual((meta["plain_total"]["help"], meta["plain_total"]["metric_type"]), ("A counter.\nTwo lines.", "counter"))
                self.forget()

    def test_classic_buckets_beside_native_ones_on_request_and_from_standard_input(self):
        self.push("--classic-histograms", "--format", "protobuf", "-", stdin=page())
        s, h = self.series(), self.series("histogram")
        self.assertIn(("both_seconds", ("path", "/a")), h)
        self.assertEqual(s[("both_seconds_bucket", ("le", "1e+06"), ("path", "/a"))]["value"], "12")
        self.assertEqual(s[("both_seconds_bucket", ("le", "+Inf"), ("path", "/a"))]["value"], "13")

    def test_what_is_wrong_in_protobuf_is_named_by_message_and_family(self):
        bad = family("bad", GAUGE, metric(gauge(1)), metric(gauge(1), **{"x": b"\xff"})) + \
            family("wrong_seconds", HISTOGRAM, metric(histogram(5, 1, (), None, native(0, 0, 0, ([(0, 1)], [2]))))) + family("good", GAUGE, metric(gauge(7)))
        run = self.push("-", stdin=bad, code=1)
        self.assertEqual({k[0] for k in self.series()}, {"bad", "good"})
        self.assertIn("standard input: message 1: metric 2: the value of label x is not valid UTF-8: `bad`", self.stderr)
        self.assertRegex(self.stderr, "standard input: message 2: .*the buckets do not add up to the count: `wrong_seconds`")
        self.assertEqual((summary(run)["refused"], summary(run)["malformed_lines"]), (1, 1))

    OM = ("# TYPE c counter\nc_total{a=\"1\"} 5 # {trace_id=\"ab\"} 1 2\nc_created{a=\"1\"} %s\nc_total{a=\"2\"} 6\n"
          "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\nh_created %s\n"
          "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 2\ns_created %s\n# TYPE g gauge\ng 3\ng_created 4\n# EOF\n") % ((BORN / 1000,) * 3)

    def test_created_of_openmetrics_is_the_start_time(self):
        counted = {("c_total", ("a", "1")), ("h_bucket", ("le", "1.0")), ("h_bucket", ("le", "+Inf")), ("h_count",), ("h_sum",),
                   ("s", ("quantile", "0.5")), ("s_count",)}
        rest = {("c_total", ("a", "2")), ("g",), ("g_created",)}
        created = {("c_created", ("a", "1")), ("h_created",), ("s_created",)}
        for protocol, args, all_of_it in (("2.0", (), counted | rest | created), ("1.0", (), counted | rest | created),
                                          ("2.0", ("--drop-created",), counted | rest)):
            with self.subTest(protocol=protocol, args=args):
                self.push(*args, "-", stdin=self.OM.encode(), protocol=protocol)
                s = self.series()
                self.assertEqual(set(s), all_of_it)
                self.assertEqual({k: r["start_ms"] for k, r in s.items() if "start_ms" in r}, dict.fromkeys(counted, BORN) if protocol == "2.0" else {})
                self.assertEqual(len(self.records("exemplar")), 1)
                self.forget()


class Scraping(Kept):
    def target(self, pages):
        t = Negotiator(pages)
        self.addCleanup(t.stop)
        return t

    def scrape(self, *targets, args=(), rounds=1, protocol="2.0"):
        """(job, URL) of each target."""
        url = self.receive() + "/api/v1/push"
        run = self.gcw("push", "metrics", "--url", url, *[a for job, t in targets for a in ("--scrape", f"{job}={t}")], *EVERY, "--scrapes",
                       rounds, "--set", f"metrics_protocol={protocol}", "--set", "metrics_exemplars=on", "--summary", "json", "--keep-series",
                       *args)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run


class Targets(Scraping):
    def test_protobuf_is_asked_for_only_with_native_histograms(self):
        t = self.target({PROTOBUF: page, TEXT: lambda n: "text 1\n"})
        self.scrape(("node", t.url))
        self.assertNotIn("protobuf", t.accepts["gcw"])
        self.assertEqual([r for r in self.records("sample") if r["labels"]["__name__"] == "text"][0]["value"], "1")
        self.forget()
        self.scrape(("node", t.url), args=NATIVE)
        kinds = [kind.partition(";") for kind in t.accepts["gcw"].split(",")]
        self.assertEqual([k[0] for k in kinds], ["application/vnd.google.protobuf", "application/openmetrics-text", "text/plain", "*/*"])
        self.assertIn("proto=io.prometheus.client.MetricFamily;encoding=delimited", kinds[0][2])
        weight = [float(k[2].partition("q=")[2]) for k in kinds]
        self.assertEqual(sorted(set(weight), reverse=True), weight)
        self.assertIn("both_seconds", {r["labels"]["__name__"] for r in self.records("histogram")})

    def test_the_content_type_decides_what_is_read(self):
        t = self.target({TEXT: lambda n: "text 1\n"})
        self.scrape(("node", t.url), args=NATIVE)
        self.assertIn("text", {r["labels"]["__name__"] for r in self.records("sample")})
        self.forget()
        t = self.target({PROTOBUF: page})  # though it was not asked for: what is classic
        self.scrape(("node", t.url))
        self.assertEqual(self.records("histogram"), [])
        self.assertIn("both_seconds_bucket", {r["labels"]["__name__"] for r in self.records("sample")})

    def test_histograms_that_vanish_end_as_histograms(self):
        t = self.target({PROTOBUF: page})
        for protocol in ("2.0", "1.0"):
            t.scrapes.clear()
            self.scrape(("node", t.url), args=NATIVE, rounds=3, protocol=protocol)
            for name, is_float in (("gone", False), ("gone_float", True)):
                got = [r for r in self.records("histogram") if r["labels"]["__name__"] == name]
                self.assertEqual([r.get("float", False) for r in got], [is_float] * 3)
                self.assertEqual([(r["positive"] != [], "stale" in r["sum"].lower() or r["sum"] == "NaN") for r in got],
                                 [(True, False), (False, True), (True, False)])
            self.forget()


class Prometheus(Scraping):
    """The same targets, scraped by gcw and by Prometheus, both sending to the stand-in receiver: what arrives is the same."""

    maxDiff = None

    def prometheus(self, targets, receiver="", features="native-histograms,exemplar-storage"):
        """(job, target, protocol or None) of each."""
        binary, port = need("prometheus3"), free_port()
        # in 1.0: it sends exemplars as series without samples, which 2.0 forbids
        write = {"url": receiver, "protobuf_message": "prometheus.WriteRequest", "send_exemplars": True, "send_native_histograms": True,
                 "queue_config": {"batch_send_deadline": "100ms", "max_shards": 1}}
        config = {"global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"},
                  "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [t.address]}], **({"scrape_protocols": [p]} if p else {})}
                                     for job, t, p in targets],
                  **({"remote_write": [write]} if receiver else {})}
        (self.dir / f"{port}.yml").write_text(json.dumps(config))
        self.start(binary, f"--config.file={self.dir}/{port}.yml", f"--storage.tsdb.path={self.dir}/data{port}",
                       f"--web.listen-address=127.0.0.1:{port}", f"--enable-feature={features}")
        base = f"http://127.0.0.1:{port}"
        wait_for("prometheus", lambda: get(base + "/-/ready"))
        return base

    def tearDown(self):
        for p in self.processes:  # its own end takes seconds
            p.kill()
        super().tearDown()

    def scrapes(self, job, rounds):
        """What was received of the first scrapes: of each, sorted, the records without times; and their times."""
        samples = [r for kind in ("sample", "histogram") for r in self.records(kind) if r["labels"].get("job") == job]
        stamps = sorted({r["time_ms"] for r in samples if r["labels"]["__name__"] == "up"})[:rounds]
        return [sorted(named(r for r in samples if r["time_ms"] == ms and r["labels"]["__name__"] != "scrape_duration_seconds"))
                for ms in stamps], stamps

    def exemplars(self, job, stamps):
        """Each once; one that has the time of a scrape by the number of that."""
        return sorted({(*named([r])[0], r["time_ms"] if r["time_ms"] not in stamps else f"scrape {stamps.index(r['time_ms'])}")
                       for r in self.records("exemplar") if r["labels"]["job"] == job}, key=str)

    def own_metrics(self):
        """Those of a Prometheus, once for all."""
        base = self.prometheus([])
        with urllib.request.urlopen(urllib.request.Request(base + "/metrics", headers={"Accept": PROTOBUF}), timeout=20) as r:
            self.assertIn("application/vnd.google.protobuf", r.headers["Content-Type"])
            own = r.read()
        self.processes[-1].kill()
        return own

    def starts(self, base):
        """Prometheus does not forward start times; it stores a zero at that time if it is told to."""
        q = urllib.parse.urlencode({"query": '{job=~"proto|om",__name__=~"._.*"}[5m]'})
        rows = wait_for("samples", lambda: (found := get_json(f"{base}/api/v1/query?{q}")["data"]["result"]) and len(found) >= 8 and found)
        return {r["metric"]["__name__"]: round(r["values"][0][0] * 1000) for r in rows if float(r["values"][0][1]) == 0}

    def test_what_it_makes_of_a_target_is_what_gcw_makes_of_it(self):
        rounds, born = 4, NOW - 30000 + 123
        need("prometheus3")
        own = self.own_metrics()
        proto = lambda n: family("p_total", COUNTER, metric(counter(5 + n, None, born))) + \
            family("q_seconds", SUMMARY, metric(quantiles(3, 2, [(0.5, 1)], born)))
        om = lambda n: (f"# TYPE o counter\no_total{{a=\"b\"}} {n}\no_created{{a=\"b\"}} {born / 1000}\n"
                        f"# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 2\nh_count 2\nh_sum 3\nh_created {born / 1000}\n# EOF\n")
        targets = [("page", self.target({PROTOBUF: page}), None), ("own", self.target({PROTOBUF: lambda n: own}), None),
                   ("proto", self.target({PROTOBUF: proto}), None), ("om", self.target({OPENMETRICS: om}), "OpenMetricsText1.0.0")]
        jobs = [job for job, _, _ in targets]
        run = self.scrape(*[(job, t.url) for job, t, _ in targets], args=(*NATIVE, "--drop-created"), rounds=rounds)
        self.assertEqual((summary(run)["malformed_lines"], summary(run)["refused"], summary(run)["changed"]), (0, 0, 0))
        ours = {job: self.scrapes(job, rounds) for job in jobs}
        our_exemplars = {job: self.exemplars(job, ours[job][1]) for job in jobs}
        our_starts = {r["labels"]["__name__"]: r.get("start_ms") for r in self.records("sample") if r["labels"].get("job") in ("proto", "om")
                      and r["labels"]["__name__"][1] == "_"}
        self.forget()
        starts = self.prometheus(targets[2:], features="native-histograms,created-timestamp-zero-ingestion")
        self.prometheus(targets[:2], self.receive("--limit", "metrics_strict=off") + "/api/v1/push")
        wait_for("scrapes", lambda: all(len(self.scrapes(job, rounds + 2)[0]) == rounds + 2 for job in jobs[:2]))
        for job in jobs[:2]:
            theirs, stamps = self.scrapes(job, rounds)
            self.assertIn(("up", "1"), [(name, json.loads(what).get("value")) for name, _, what in theirs[0]])
            for n in range(rounds):
                self.assertEqual(ours[job][0][n], theirs[n], f"{job}, scrape {n + 1}")
            self.assertEqual(our_exemplars[job], self.exemplars(job, stamps))
            self.assertTrue(any(json.loads(what)["type"] == "histogram" for _, _, what in theirs[0]))
        self.assertEqual(len(our_exemplars["page"]), 7)
        self.assertEqual(len(our_starts), 8)
        self.assertEqual(our_starts, self.starts(starts))


if __name__ == "__main__":
    unittest.main()
