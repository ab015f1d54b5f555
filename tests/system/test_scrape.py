"""gcw push metrics --scrape: what targets expose arrives, with the labels, reports and markers that go with it."""
import time

from harness import *
from remote import *

# what is looked at here is the same in either protocol

# The interval is short, so that tests are; the timeout is long, so that a loaded machine fails none.
EVERY = ("--interval", "300ms", "--scrape-timeout", "30s")


class Scrape(Case):
    def exporter(self, *args, **kw):
        e = Exporter(*args, **kw)
        self.addCleanup(e.stop)
        return e

    def sink(self, *args):
        s = Sink(*args)
        self.addCleanup(s.stop)
        return s

    def scrape(self, sink, *targets, rounds=1, args=(), code=0):
        """Scrapes each target `rounds` times; what came of it."""
        run = self.gcw("push", "metrics", "--url", sink.url, *[a for t in targets for a in ("--scrape", t)], *EVERY, "--scrapes",
                       rounds, "--summary", "json", *args)
        self.assertEqual(run.returncode, code, run.stderr)
        self.stderr = run.stderr.decode()
        return flat(sink)

    def test_samples_have_job_and_instance_and_the_time_of_the_scrape(self):
        e, sink = self.exporter('a{x="1"} 5\nb 6\n'), self.sink()
        before = time.time() * 1000
        got = self.scrape(sink, f"node={e.url}", args=("--label", "site=here", "--keep-series"))
        after = time.time() * 1000
        values = {(name, tuple(sorted(labels.items()))): number(bits) for name, labels, bits, _ in got}
        own = (("instance", e.address), ("job", "node"), ("site", "here"))
        self.assertEqual(values[("a", (*own, ("x", "1")))], 5)
        self.assertEqual(values[("b", own)], 6)
        self.assertEqual(len({ms for *_, ms in got}), 1)
        self.assertTrue(all(before - 3 <= ms <= after + 3 for *_, ms in got))

    def test_exemplars_of_openmetrics_arrive_with_their_samples(self):
        page = ('# TYPE c counter\nc_total{a="1"} 7 # {trace_id="ab12"} 2.5 1700000000.5\nc_total{a="2"} 8 # {trace_id="cd"} 3\n# EOF\n')
        e = self.exporter(page, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        for protocol in ("1.0", "2.0"):
            url = self.receive() + "/api/v1/push"
            run = self.gcw("push", "metrics", "--url", url, "--scrape", e.url, *EVERY, "--scrapes", 1, "--set",
                           f"metrics_protocol={protocol}", "--set", "metrics_exemplars=on",
                           "--summary", "json")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual([summary(run)[key] for key in ("exemplars", "exemplars_left_out", "histograms", "histograms_left_out")], [2, 0, 0, 0])
            got = {r["labels"]["a"]: r for r in self.records("exemplar")}
            stamp, = {r["time_ms"] for r in self.records("sample") if r["labels"]["__name__"] == "c_total" and float(r["value"]) > 0}
            self.assertEqual((got["1"]["exemplar"], got["1"]["value"], got["1"]["time_ms"]), ({"trace_id": "ab12"}, "2.5", 1700000000500))
            self.assertEqual((got["2"]["exemplar"], got["2"]["value"], got["2"]["time_ms"]), ({"trace_id": "cd"}, "3", stamp))
            self.receiver.terminate()
            self.receiver.wait()
            self.accepted.unlink()

    def test_reports_tell_of_each_scrape(self):
        e, sink = self.exporter(lambda n: "a 1\nb 2\n" + ("c 3\n" if n > 1 else "")), self.sink()
        got = self.scrape(sink, f"node={e.url}", rounds=2, args=("--keep-series",))
        seen = {}
        for name, labels, bits, ms in got:
            if name == "up" or name.startswith("scrape_"):
                self.assertEqual(labels, {"job": "node", "instance": e.address})
                seen.setdefault(name, []).append(number(bits))
        duration = seen.pop("scrape_duration_seconds")
        self.assertEqual(seen, {"up": [1, 1], "scrape_samples_scraped": [2, 3], "scrape_samples_post_metric_relabeling": [2, 3],
                                "scrape_series_added": [2, 1]})
        self.assertTrue(all(d > 0 for d in duration), duration)

    def test_a_series_that_vanishes_ends_with_a_stale_marker(self):
        e, sink = self.exporter(lambda n: "a 1\n" + ("b 2\n" if n != 2 else "")), self.sink()
        got = self.scrape(sink, e.url, rounds=3, args=("--keep-series",))
        b = [(bits, ms) for name, _, bits, ms in got if name == "b"]
        times = sorted({ms for name, _, _, ms in got if name == "up"})
        self.assertEqual([(bits == STALE, ms) for bits, ms in b], [(False, times[0]), (True, times[1]), (False, times[2])])
        self.assertFalse(any(bits == STALE for name, _, bits, _ in got if name != "b"))

    def test_all_series_end_when_a_scrape_fails(self):
        e, sink = self.exporter(lambda n: None if n in (2, 3) else "a 1\nb 2\n"), self.sink()
        got = self.scrape(sink, e.url, rounds=4, args=("--keep-series",))
        up = [(number(bits), ms) for name, _, bits, ms in got if name == "up"]
        self.assertEqual([v for v, _ in up], [1, 0, 0, 1])
        for series in "ab":  # one marker, not one for each failure
            self.assertEqual([(bits == STALE, ms) for name, _, bits, ms in got if name == series],
                             [(False, up[0][1]), (True, up[1][1]), (False, up[3][1])])
        self.assertEqual(self.stderr.count("scrape failed: HTTP 503"), 1)
        self.assertEqual(self.stderr.count("scraped again"), 1)

    def test_all_series_end_with_the_tool_unless_they_are_to_be_kept(self):
        e = self.exporter("a 1\n")
        for keep in (True, False):
            sink = self.sink()
            got = self.scrape(sink, e.url, args=("--keep-series",) if keep else ())
            ended = {name for name, _, bits, _ in got if bits == STALE}
            names = {name for name, *_ in got}
            self.assertEqual(ended, set() if keep else names)
            self.assertEqual(len(names), 6)
            for name in ended:  # the marker comes behind
                times = [(ms, bits == STALE) for n, _, bits, ms in got if n == name]
                self.assertEqual([s for _, s in sorted(times)], [False, True])

    def test_labels_of_the_target_win_unless_honoured(self):
        page = 'a{job="theirs",instance="i",exported_instance="e"} 1\n'
        e, want = self.exporter(page), {"exported_job": "theirs", "exported_instance": "e", "exported_exported_instance": "i"}
        sink = self.sink()
        [labels] = [l for name, l, *_ in self.scrape(sink, e.url, args=("--keep-series",)) if name == "a"]
        self.assertEqual(labels, {**want, "job": "gcw", "instance": e.address})
        sink = self.sink()
        [labels] = [l for name, l, *_ in self.scrape(sink, e.url, args=("--keep-series", "--honor-labels")) if name == "a"]
        self.assertEqual(labels, {"job": "theirs", "instance": "i", "exported_instance": "e"})

    def test_timestamps_are_honoured_and_such_series_end_without_a_marker(self):
        ms = int(time.time() * 1000) - 60000
        e = self.exporter(lambda n: f"a 1 {ms + n}\n")
        sink = self.sink()
        got = self.scrape(sink, e.url, rounds=2)
        self.assertEqual([(number(bits), t) for name, _, bits, t in got if name == "a"], [(1, ms + 1), (1, ms + 2)])
        sink = self.sink()
        got = self.scrape(sink, e.url, args=("--own-timestamps", "--keep-series"))
        self.assertEqual([t for name, _, _, t in got if name == "a"], [t for name, _, _, t in got if name == "up"])

    def test_what_did_not_arrive_whole_is_a_failed_scrape(self):
        """A target does not lose its series because of that."""
        for content_type, cut, words in ((TEXT, 4, "gzip"), (TEXT, 15, "gzip"), (OPENMETRICS, 4, "gzip")):
            e, sink = self.exporter("a 1\nb 1\n# EOF\n", content_type=content_type), self.sink()
            e.cut = cut
            got = self.scrape(sink, e.url, rounds=3, args=("--keep-series",))
            self.assertEqual([number(bits) for name, _, bits, _ in got if name == "up"], [1, 0, 1])
            self.assertEqual([bits == STALE for name, _, bits, _ in got if name == "b"], [False, True, False])
            self.assertIn(words, self.stderr)
        e, sink = self.exporter(lambda n: "a 1\n" + ("# EOF\n" if n == 1 else "# EOF\nb 1\n" if n == 2 else "a 2\n"), content_type=OPENMETRICS), self.sink()
        got = self.scrape(sink, e.url, rounds=3, args=("--keep-series",))
        self.assertEqual([number(bits) for name, _, bits, _ in got if name == "up"], [1, 0, 0])
        self.assertEqual([bits == STALE for name, _, bits, _ in got if name == "a"], [False, True])
        self.assertIn("# EOF", self.stderr)

    def test_encodings_that_were_not_asked_for_are_passed_over(self):
        sink = self.sink()
        for encoding in ("identity", "br", "x-gzip"):
            e = Server(lambda request: answer(request, 200, b"a 1\n", [("Content-Type", TEXT), ("Content-Encoding", encoding)]))
            self.addCleanup(e.stop)
            self.scrape(sink, f"{encoding}=http://{e.address}/metrics", args=("--keep-series",))
        self.assertEqual([labels["job"] for name, labels, *_ in flat(sink) if name == "a"], ["identity", "br", "x-gzip"])

    def test_times_that_are_not_newer_are_sent_once(self):
        ms = int(time.time() * 1000) - 60000
        pages = [f"a 1 {ms}\nb 1 {ms}\n", f"a 1 {ms}\nb 2 {ms}\n", f"a 1 {ms}\nb 3 {ms - 1}\n", f"a 1 {ms + 1}\nb 4 {ms + 1}\nb 5 {ms + 2}\nb 6 {ms + 2}\n"]
        e, sink = self.exporter(lambda n: pages[n - 1]), self.sink()
        got = self.scrape(sink, e.url, rounds=4, code=3)
        self.assertEqual([(number(bits), t - ms) for name, _, bits, t in got if name == "a"], [(1, 0), (1, 1)])
        self.assertEqual([(number(bits), t - ms) for name, _, bits, t in got if name == "b"], [(1, 0), (4, 1), (5, 2)])
        kept = [number(bits) for name, _, bits, _ in got if name == "scrape_samples_post_metric_relabeling" and bits != STALE]
        self.assertEqual(kept, [2, 2, 2, 4])
        self.assertEqual(self.stderr.count("not newer than what the series had before"), 3)

    def test_formats_are_asked_for_and_told_apart_by_their_type(self):
        metrics = "# TYPE a counter\na_total 5 1700000000.5\n# TYPE b gauge\nb 1\n# EOF\n"
        for content_type, want in ((OPENMETRICS, [1700000000500]), (None, [1700000000500]), (TEXT, [])):
            e, sink = self.exporter(metrics, content_type=content_type), self.sink()
            # as 0.0.4 the time is no integer: the line is told, and the scrape goes on
            got = self.scrape(sink, e.url, args=("--keep-series",), code=3 if content_type == TEXT else 0)
            self.assertEqual([ms for name, _, _, ms in got if name == "a_total"], want)
            self.assertEqual([number(bits) for name, _, bits, _ in got if name == "up"], [1])
            accept = e.seen[0]["Accept"]
            self.assertLess(accept.index("application/openmetrics-text;version=1.0.0"), accept.index("text/plain;version=0.0.4"))
            self.assertIn("gzip", e.seen[0]["Accept-Encoding"])
            self.assertEqual(float(e.seen[0]["X-Prometheus-Scrape-Timeout-Seconds"]), 30)
            self.assertTrue(e.seen[0]["User-Agent"].startswith("gcw/"))

    def test_a_slow_target_times_out_and_holds_up_no_other(self):
        slow, fast, sink = self.exporter("a 1\n"), self.exporter("b 1\n"), self.sink()
        slow.delay = 300
        run = self.gcw("push", "metrics", "--url", sink.url, "--scrape", f"slow={slow.url}", "--scrape", f"fast={fast.url}", "--interval", "500ms",
                       "--scrape-timeout", "6s", "--scrapes", 2, "--keep-series")
        self.assertEqual(run.returncode, 0, run.stderr)
        got = flat(sink)
        up = {job: [(number(bits), ms) for name, l, bits, ms in got if name == "up" and l["job"] == job] for job in ("slow", "fast")}
        self.assertEqual({job: [v for v, _ in u] for job, u in up.items()}, {"slow": [0, 0], "fast": [1, 1]})
        self.assertLess(up["fast"][1][1], up["slow"][1][1])
        self.assertIn(b"imed out", run.stderr)

    def test_a_target_that_is_away_is_down_and_comes_up(self):
        port, sink = free_port(), self.sink()
        got = self.scrape(sink, f"http://127.0.0.1:{port}/metrics", args=("--keep-series",))
        self.assertEqual([number(bits) for name, _, bits, _ in got if name == "up"], [0])
        self.assertEqual({name for name, *_ in got if not name.startswith("scrape_")}, {"up"})

    def test_lines_that_do_not_parse_cost_themselves_alone(self):
        e, sink = self.exporter("a 1\nnonsense here\nb 2\nb 3\n# HELP c ends in a backslash\\\nc 4"), self.sink()
        got = self.scrape(sink, e.url, args=("--keep-series",), code=3)
        self.assertEqual([(name, number(bits)) for name, _, bits, _ in got if len(name) == 1], [("a", 1), ("b", 2), ("c", 4)])
        self.assertIn(f"{e.url}:2: ", self.stderr)
        self.assertIn("the series stands there twice", self.stderr)

    def test_an_answer_that_holds_no_metrics_is_a_failed_scrape(self):
        e, sink = self.exporter(lambda n: "a 1\n" if n != 2 else "<!DOCTYPE html>\n<title>Sign in</title>\n"), self.sink()
        got = self.scrape(sink, e.url, rounds=3, args=("--keep-series",), code=3)
        self.assertEqual([number(bits) for name, _, bits, _ in got if name == "up"], [1, 0, 1])
        self.assertEqual([bits == STALE for name, _, bits, _ in got if name == "a"], [False, True, False])
        self.assertIn("scrape failed: not a line of the answer is a sample", self.stderr)

    def test_a_label_that_stands_twice_costs_its_line(self):
        e, sink = self.exporter('a{x="1",y="2",x="3"} 1\nb 2\n'), self.sink()
        got = self.scrape(sink, e.url, args=("--keep-series",), code=3)
        self.assertEqual([name for name, *_ in got if len(name) == 1], ["b"])
        self.assertEqual([number(bits) for name, _, bits, _ in got if name in ("up", "scrape_samples_scraped")], [1, 1])
        self.assertIn(f"{e.url}:1: a label stands there twice", self.stderr)

    def test_the_same_series_written_in_two_ways_is_one(self):
        e = self.exporter(lambda n: 'a{x="1",y="2"} 1\n' + ('a{y="2",x="1"} 2\n' if n == 1 else ""))
        sink = self.sink()
        got = self.scrape(sink, e.url, rounds=2, args=("--keep-series",), code=3)
        self.assertEqual([number(bits) for name, _, bits, _ in got if name == "a"], [1, 1])
        self.assertFalse(any(bits == STALE for *_, bits, _ in got))

    def test_each_scrape_is_in_one_request(self):
        pages = "".join(f'a{{i="{i}"}} {i}\n' for i in range(5000))
        e, sink = self.exporter(pages), self.sink()
        run = self.gcw("push", "metrics", "--url", sink.url, "--scrape", e.url, *EVERY, "--scrapes", 6, "--keep-series", "--set",
                       "metrics_batch_age=10ms", "--set", "metrics_batch_bytes=4MiB")
        self.assertEqual(run.returncode, 0, run.stderr)
        where = {}
        for i, r in enumerate(sink.requests):
            for s in read(r)[0]:
                where.setdefault(s.samples[0][1], set()).add(i)
        self.assertEqual([len(requests) for requests in where.values()], [1] * 6)

    def test_sigint_sends_what_is_there_and_ends_well(self):
        e, sink = self.exporter("a 1\n"), self.sink()
        p = self.start(GCW, "push", "metrics", "--url", sink.url, "--scrape", e.url, *EVERY)
        wait_for("three scrapes", lambda: len(e.seen) >= 3)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(30), 0)
        a = [bits for name, _, bits, _ in flat(sink) if name == "a"]
        self.assertGreaterEqual(len(a), 3)
        self.assertEqual([bits == STALE for bits in a], [False] * (len(a) - 1) + [True])

    def test_an_outage_loses_nothing_with_a_queue_directory(self):
        e, sink = self.exporter(lambda n: f"a {n}\n"), self.sink(lambda n: (503 if n < 4 else 204, b"", (), 0))
        got = self.scrape(sink, e.url, rounds=4, args=("--keep-series", "--set", f"queue_dir={self.dir}/queue", "--set", "retry_min=100ms",
                                                       "--set", "metrics_batch_age=10ms"))
        taken = [s for r in sink.requests if r.status == 204 for s in read(r)[0]]
        self.assertEqual([number(s.samples[0][0]) for s in taken if ("__name__", "a") in s.labels], [1, 2, 3, 4])

    def test_wrong_options_are_refused_in_words(self):
        for args, words in ((("--scrape", "node:9100/metrics"), b"no http or https URL"), (("--scrape", "http://u:p@x/"), b"a user in it"),
                            (("--scrape", "=http://x/"), b"the job before '=' is empty"), (("--scrape", "http://x/", "--interval", "1ms"), b"--interval"),
                            (("--scrape", "http://x/", "--scrapes", "0"), b"--scrapes"), (("--scrape", "http://x/", "file.prom"), b"no files beside it"),
                            (("--scrape", "http://x/", "--job", ""), b"--job")):
            run = self.gcw("push", "metrics", "--url", "http://127.0.0.1:1/api/v1/write", *args)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertIn(words, run.stderr)


class Judge(Case):
    def test_the_node_exporter_satisfies_the_strict_judge(self):
        port = free_port()
        self.start(need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}")
        target = f"http://127.0.0.1:{port}/metrics"
        wait_for("node exporter", lambda: get(target))
        base = self.receive()
        run = self.gcw("push", "metrics", "--url", base + "/api/v1/push", "--scrape", f"node={target}", *EVERY, "--scrapes", 3,
                       "--summary", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        got = self.records("sample")
        self.assertEqual(summary(run)["delivered"], len(got))
        names = {r["labels"]["__name__"] for r in got}
        self.assertTrue({"node_cpu_seconds_total", "up", "scrape_samples_scraped"} <= names)
        self.assertEqual({r["labels"]["job"] for r in got}, {"node"})
        last = {}
        for r in got:
            last[json.dumps(r["labels"])] = r["bits"]
        self.assertEqual(set(last.values()), {"7ff0000000000002"})  # everything has ended


class Prometheus(Case):
    def test_what_was_scraped_is_read_back_and_has_ended(self):
        base, node = self.prometheus(need("prometheus")), free_port()
        self.start(need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{node}")
        target = f"http://127.0.0.1:{node}/metrics"
        wait_for("node exporter", lambda: get(target))

        def query(expression, at):
            q = urllib.parse.urlencode({"query": expression, "time": at})
            return get_json(f"{base}/api/v1/query?{q}")["data"]["result"]

        run = self.gcw("push", "metrics", "--url", base + "/api/v1/write", "--scrape", f"node={target}", *EVERY, "--scrapes", 4,
                       "--summary", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["rejected"], 0)
        now = time.time()
        [up] = query('up{job="node"}[10m]', now)
        self.assertEqual([v for _, v in up["values"]], ["1"] * 4)
        self.assertEqual(query('{job="node"}', now + 1), [])  # stale: gone at once, not after five minutes
        was = float(up["values"][-1][0])
        self.assertGreater(len(query('{job="node"}', was)), 100)
        [scraped] = query('scrape_samples_scraped{job="node"}', was)
        [count] = query('count({job="node"})', was)
        self.assertEqual(int(count["value"][1]), int(scraped["value"][1]) + 5)


if __name__ == "__main__":
    unittest.main()
