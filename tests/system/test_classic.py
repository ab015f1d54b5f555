"""Classic histograms and summaries of an application that hands them over whole: what receivers make of them."""
import time

from harness import *
import remote

NOW = int(time.time() * 1000) // 1000 * 1000
TRACE = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}


class Classic(Case):
    """tests/system/classic.c sends two histograms twice, one that ends, and a summary."""

    def classic(self, url, protocol, *options):
        run = subprocess.run([self.program("classic"), url, protocol, str(NOW), *options], capture_output=True, env=clean_env(), timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        return json.loads(run.stdout)

    def check_receiver(self, kind, protocol):
        (self.dir / "accepted.ndjson").unlink(missing_ok=True)
        base = self.receive("-m", f"remote_write={kind}")
        s = self.classic(base + "/api/v1/push", protocol)
        self.assertEqual((s["accepted"], s["delivered"], s["exemplars"]), (46, 46, 1))
        rows = [(r["labels"]["__name__"], r["labels"].get("le"), float(r["value"]), r["time_ms"] - NOW) for r in self.records("sample")]
        took = [r[1:] for r in rows if r[0] == "cl_seconds_bucket"]
        self.assertEqual(took, [(le, n * k, at) for k, at in ((1, -15000), (2, 0))
                                for le, n in (("0.1", 1), ("0.5", 3), ("1", 6), ("2500000", 10), ("+Inf", 10))])
        self.assertEqual([r[2:] for r in rows if r[0] in ("cl_seconds_sum", "cl_seconds_count")], [(12.5, -15000), (10, -15000), (25, 0), (20, 0)])
        self.assertEqual({r[0] for r in rows if r[0].startswith("cl_waiting")}, {"cl_waiting_bucket", "cl_waiting_gsum", "cl_waiting_gcount"})
        two = kind == "both" and protocol == "auto"
        self.assertEqual({r["labels"]["__name__"]: r.get("start_ms") for r in self.records("sample") if r["labels"]["__name__"] in
                          ("cl_seconds_bucket", "cl_waiting_bucket", "cl_summary", "cl_summary_sum")},
                         {"cl_seconds_bucket": NOW - 60000 if two else None, "cl_waiting_bucket": None, "cl_summary": None,
                          "cl_summary_sum": NOW - 60000 if two else None})
        meta = {(r["family"], r["metric_type"], r["unit"]) for r in self.records("metadata")}
        if not two:  # in 2.0 it stands with each series
            self.assertEqual(meta, {("cl_seconds", "histogram", "seconds"), ("cl_waiting", "gaugehistogram", "seconds"),
                                    ("cl_ended", "histogram", "seconds"), ("cl_summary", "summary", "")})

    def test_a_strict_receiver_takes_all_of_it_in_both_versions(self):
        for kind, protocol in (("both", "auto"), ("both", "1.0"), ("1.0", "auto")):
            with self.subTest(receiver=kind, protocol=protocol):
                self.check_receiver(kind, protocol)

    def query(self, expression):
        q = urllib.parse.urlencode({"query": expression, "time": NOW / 1000})
        return get_json(f"{self.base}/api/v1/query?{q}")["data"]["result"]

    def value(self, expression):
        result, = self.query(expression)
        return float(result["value"][1])

    def check_prometheus(self, binary, protocol):
        self.base = self.prometheus(need(binary))
        s = self.classic(self.base + "/api/v1/write", protocol)
        self.assertEqual((s["accepted"], s["delivered"], s["exemplars"]), (46, 46, 1))
        # 20 observations: rank 10 is the 4th of 6 in (0.5, 1], rank 6 is the last in (0.1, 0.5]
        for of in ("cl_seconds_bucket", "rate(cl_seconds_bucket[1m])", "cl_waiting_bucket"):
            self.assertAlmostEqual(self.value(f"histogram_quantile(0.5, {of})"), 0.5 + 0.5 * 4 / 6, 9, of)
            self.assertAlmostEqual(self.value(f"histogram_quantile(0.3, {of})"), 0.5, 9, of)
            self.assertAlmostEqual(self.value(f"histogram_quantile(0.05, {of})"), 0.05, 9, of)
        self.assertEqual(self.value("cl_seconds_sum / cl_seconds_count"), 1.25)
        self.assertEqual((self.value("cl_waiting_gcount"), self.value("cl_waiting_gsum")), (20, 25))
        self.assertEqual(self.query('{__name__=~"cl_ended.*"}'), [])  # all of its series have
        self.assertEqual(len(self.query('{__name__=~"cl_ended.*"}[1m]')), 7)
        self.assertEqual({r["metric"]["quantile"]: r["value"][1] for r in self.query("cl_summary")}, {"0.5": "0.25", "1": "4"})
        self.assertEqual((self.value("cl_summary_sum"), self.value("cl_summary_count")), (12.5, 10))
        q = urllib.parse.urlencode({"query": "cl_seconds_bucket", "start": NOW / 1000 - 100, "end": NOW / 1000 + 100})
        found, = get_json(f"{self.base}/api/v1/query_exemplars?{q}")["data"]
        self.assertEqual((found["seriesLabels"]["le"], [(e["labels"], e["value"]) for e in found["exemplars"]]), ("1", [(TRACE, "0.75")]))

    def test_prometheus_3_finds_the_quantiles_of_what_came_in_2(self):
        self.check_prometheus("prometheus3", "auto")

    def test_prometheus_3_finds_the_quantiles_of_what_came_in_1(self):
        self.check_prometheus("prometheus3", "1.0")

    def test_prometheus_2_42_finds_the_quantiles(self):
        self.check_prometheus("prometheus", "auto")

    def test_the_same_series_as_prometheus_3_makes_of_a_scrape(self):
        """With le_format=openmetrics; the page is written as client libraries do."""
        page = "# TYPE cl_seconds histogram\n" + "".join(f'cl_seconds_bucket{{le="{le}"}} {n}\n' for le, n in (
            ("0.1", 2), ("0.5", 6), ("1", 12), ("2.5e+06", 20), ("+Inf", 20))) + "cl_seconds_sum 25\ncl_seconds_count 20\n"
        page += "# TYPE cl_summary summary\n" + 'cl_summary{quantile="0.5"} 0.25\ncl_summary{quantile="1"} 4\ncl_summary_sum 1\ncl_summary_count 1\n'
        exporter = remote.Exporter(page)
        self.addCleanup(exporter.stop)
        self.base = self.prometheus(need("prometheus3"), scrape=exporter.address)
        self.classic(self.base + "/api/v1/write", "auto", "le_format", "openmetrics")
        labels = lambda job: {tuple(sorted((k, v) for k, v in r["metric"].items() if k not in ("job", "instance"))) for r in
                              get_json(f"{self.base}/api/v1/query?" + urllib.parse.urlencode(
                                  {"query": '{job="%s",__name__=~"cl_(seconds|summary).*"}' % job}))["data"]["result"]}
        scraped = wait_for("a scrape", lambda: labels("scraped"))
        self.assertEqual(len(scraped), 11)
        self.assertEqual(scraped, labels("classic"))


if __name__ == "__main__":
    unittest.main()
