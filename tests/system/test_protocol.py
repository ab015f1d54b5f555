"""Remote write 2.0 and 1.0: whatever a receiver speaks, everything that can be said there arrives, once, and what cannot is
counted. Real receivers give back what they were sent: values to the bit, histograms bucket by bucket, exemplars."""
import math
import struct
import time

from harness import *

NOW = int(time.time() * 1000) // 1000 * 1000
KINDS = ["both", "1.0", "silent", "400"]  # gcw receive --misbehave remote_write=...
TRACE = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}


def labels(name):
    return {"__name__": name, "job": "points"}


class Points(Case):
    """tests/system/points.c sends one point of each kind."""
    keeps_minus_zero = True

    def setUp(self):
        super().setUp()
        self.points_program = self.program("points")

    def points(self, url, protocol, *tenant, code=0, now=NOW):
        run = subprocess.run([self.points_program, url, protocol, str(now), *tenant], capture_output=True, env=clean_env(), timeout=60)
        self.assertEqual(run.returncode, code, run.stderr.decode())
        return json.loads(run.stdout), run.stderr.decode()

    def check_records(self, two):
        samples = [(r["labels"]["__name__"], r["bits"], r["time_ms"], r.get("start_ms")) for r in self.records("sample")]
        self.assertEqual(samples, [("pt_counter_total", "4045000000000000", NOW, NOW - 60000 if two else None),
                                   ("pt_ended", "3ff0000000000000", NOW - 1000, None),
                                   ("pt_ended", "7ff0000000000002", NOW, None),
                                   ("pt_minus_zero", "8000000000000000", NOW, None)])
        self.check_exemplar(NOW)
        self.check_histograms(two, NOW - 60000 if two else None)
        self.check_metadata({r["family"]: (r["metric_type"], r["help"], r["unit"]) for r in self.records("metadata")}, two)

    def check_exemplar(self, now):
        exemplar, = self.records("exemplar")
        self.assertEqual((exemplar["labels"], exemplar["exemplar"], exemplar["value"], exemplar["time_ms"]),
                         (labels("pt_counter_total"), TRACE, "2.5", now - 1000))

    def check_histograms(self, two, start_ms):
        got = {r["labels"]["__name__"]: r for r in self.records("histogram")}
        self.assertEqual(set(got), {"pt_int", "pt_float"} | ({"pt_custom"} if two else set()))
        h = got["pt_int"]
        self.assertEqual((h["schema"], h["count"], h["sum"], h["zero_count"], h["zero_threshold"], h["positive"], h["negative"], h.get("start_ms")),
                         (3, "22", "18.4", "7", "0.001", [[-1, "2"], [0, "1"], [4, "3"]], [[2, "4"], [3, "5"]], start_ms))
        h = got["pt_float"]
        self.assertEqual((h["float"], h["count"], h["sum"], h["zero_count"], h["reset_hint"], h["positive"]),
                         (True, "4.75", "-1.5", "1", 3, [[-1, "0.5"], [0, "1.25"], [4, "2"]]))
        if two:
            h = got["pt_custom"]
            self.assertEqual((h["schema"], h["count"], h["positive"], h["custom_values"]),
                             (-53, "5", [[0, "1"], [1, "2"], [2, "2"]], ["1", "2"]))

    def check_metadata(self, got, two):
        types = dict(pt_counter_total="counter", pt_ended="gauge", pt_minus_zero="gauge", pt_int="histogram", pt_float="gaugehistogram")
        if two:
            types["pt_custom"] = "histogram"
        got.pop(None if two else "pt_custom", None)  # 1.0 cannot say this one, but may describe it
        self.assertEqual(got, {family: (kind, "One of a kind.", "points") for family, kind in types.items()})

    def test_all_that_can_be_said_arrives_whatever_the_receiver_speaks(self):
        for kind in KINDS:
            for protocol in ("auto", "1.0"):
                with self.subTest(receiver=kind, protocol=protocol):
                    two = kind == "both" and protocol == "auto"
                    (self.dir / "accepted.ndjson").unlink(missing_ok=True)
                    base = self.receive("-m", f"remote_write={kind}")
                    s, said = self.points(base + "/api/v1/push", protocol)
                    self.assertEqual((s["accepted"], s["delivered"], s["rejected"], s["refused"]), (7, 7 if two else 6, 0 if two else 1, 1), said)
                    self.assertEqual("2.0 offered again" in said, kind != "both" and protocol == "auto", said)
                    self.assertEqual("not to be said in remote write 1.0" in said, not two, said)
                    self.check_records(two)

    def test_2_alone_holds_the_data_for_a_receiver_of_1_until_that_is_updated(self):
        base = self.receive("-m", "remote_write=1.0")
        p = subprocess.Popen([GCW, "push", "metrics", "-u", base + "/api/v1/push", "-s", "metrics_protocol=2.0", "-s", "park_probe=100ms",
                              "--summary", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        p.stdin.write(b"a 1\n")
        p.stdin.close()
        wait_for("two tries", lambda: get_json(base + "/stats")["status"].get("415", 0) >= 2)
        self.assertEqual(self.records("sample"), [])
        get(base + "/control", data=b"clear=on")
        self.assertEqual(p.wait(30), 0, p.stderr.read())
        self.assertEqual(len(self.records("sample")), 1)
        p.stdout.close(), p.stderr.close()

    def test_a_backlog_on_disk_in_2_reaches_a_receiver_of_1(self):
        base = self.receive("-m", "status=503")
        queue = ["-s", f"queue_dir={self.dir}/queue", "-s", "retry_min=50ms", "-s", "retry_max=100ms"]
        text = b"".join(b'm{n="%d"} %d\n' % (n, n) for n in range(2000))
        run = self.gcw("push", "metrics", "-u", base + "/api/v1/push", *queue, "--timeout", "1s", "--summary", "json", stdin=text)
        self.assertEqual(summary(run)["on_disk"], 2000, run.stderr)
        listed = self.gcw("queue", "inspect", "--json", self.dir / "queue").stdout.decode()
        self.assertIn("remote-write-2.0", listed)
        get(base + "/control", data=b"clear=on")
        get(base + "/control", data=b"remote_write=silent")
        run = self.gcw("push", "metrics", "-u", base + "/api/v1/push", *queue, "--summary", "json", stdin=b"")
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 2000), run.stderr)
        self.assertEqual([float(r["value"]) for r in self.records("sample")], list(map(float, range(2000))))

    # ---- real receivers

    def prometheus_write(self, binary, **how):
        self.base = self.prometheus(binary, **how)
        return self.base + "/api/v1/write"

    def ask(self, what, **parameters):
        return get_json(f"{self.base}/api/v1/{what}?{urllib.parse.urlencode(parameters)}")["data"]

    def query(self, expression):
        return self.ask("query", query=expression, time=NOW / 1000)["result"]

    def check_prometheus(self, two):
        self.assertEqual([(r["metric"], r["value"][1]) for r in self.query("pt_counter_total")], [(labels("pt_counter_total"), "42")])
        self.assertEqual(self.query("pt_ended"), [])  # it has ended
        self.assertEqual([v for _, v in self.query("pt_ended[1m]")[0]["values"]], ["1"])
        value, = [float(r["value"][1]) for r in self.query("pt_minus_zero")]
        self.assertEqual(struct.pack(">d", value), struct.pack(">d", -0.0 if self.keeps_minus_zero else 0.0))
        exemplars, = self.ask("query_exemplars", query="pt_counter_total", start=NOW / 1000 - 100, end=NOW / 1000 + 100)
        self.assertEqual([(e["labels"], e["value"], round(e["timestamp"] * 1000)) for e in exemplars["exemplars"]], [(TRACE, "2.5", NOW - 1000)])
        step = 2 ** (2 ** -3)
        self.histogram("pt_int", 22, 18.4, [(-step ** 3, -step ** 2, 5), (-step ** 2, -step, 4), (-0.001, 0.001, 7), (step ** -2, step ** -1, 2),
                                            (step ** -1, 1, 1), (step ** 3, step ** 4, 3)])
        self.histogram("pt_float", 4.75, -1.5, [(-0.001, 0.001, 1), (0.25, 0.5, 0.5), (0.5, 1, 1.25), (8, 16, 2)])
        if two:
            self.histogram("pt_custom", 5, 9.5, [(-math.inf, 1, 1), (1, 2, 2), (2, math.inf, 2)])

    def histogram(self, name, count, total, buckets):
        h = self.query(name)[0]["histogram"][1]
        self.assertEqual((float(h["count"]), float(h["sum"])), (count, total), name)
        got = [(float(low), float(high), float(n)) for _, low, high, n in h["buckets"]]
        self.assertEqual(len(got), len(buckets), (name, got))
        for (low, high, n), want in zip(got, buckets):
            self.assertEqual(n, want[2], name)
            for bound, wanted in ((low, want[0]), (high, want[1])):
                self.assertTrue(bound == wanted or math.isclose(bound, wanted, rel_tol=1e-12), (name, bound, wanted))

    def check_says(self, url, *ends):
        """What `gcw check` says with each metrics_protocol; nothing is stored. None = no."""
        for protocol, end in zip(("auto", "1.0", "2.0"), ends):
            run = self.gcw("check", "--metrics-url", url, "-s", f"metrics_protocol={protocol}")
            self.assertEqual(run.returncode, 1 if end is None else 0, run.stdout)
            self.assertIn(end or "set metrics_protocol to auto or 1.0", run.stdout.decode())

    def test_check_knows_what_real_receivers_speak_and_stores_nothing(self):
        one, two = "remote write 1.0\n", "remote write 2.0\n"
        fallen = "remote write 1.0 (the receiver does not take 2.0: HTTP 204 without its counts)\n"
        with self.subTest("prometheus"):
            self.check_says(self.prometheus_write(need("prometheus")), fallen, one, None)
            self.assertEqual(get_json(self.base + "/api/v1/labels")["data"], [])
        with self.subTest("prometheus3"):
            self.check_says(self.prometheus_write(need("prometheus3")), two, one, two)
            self.assertEqual(get_json(self.base + "/api/v1/labels")["data"], [])
        with self.subTest("victoria-metrics"):
            self.check_says(self.victoria_metrics(), fallen, one, None)
            get(self.base + "/internal/force_flush")
            self.assertEqual(get_json(self.base + "/api/v1/labels")["data"], [])

    def test_prometheus_3_gives_back_what_it_was_sent_in_2(self):
        s, said = self.points(self.prometheus_write(need("prometheus3")), "auto")
        self.assertEqual((s["delivered"], s["rejected"], s["requests"]), (7, 0, 1), said)
        self.check_prometheus(True)

    def test_prometheus_3_gives_back_what_it_was_sent_in_1(self):
        s, said = self.points(self.prometheus_write(need("prometheus3")), "1.0")
        self.assertEqual((s["delivered"], s["rejected"], s["requests"]), (6, 1, 1), said)
        self.check_prometheus(False)

    def check_poison(self, binary):
        """A 1.0 request with 999 good samples and one that Prometheus refuses, for which it throws away all of it."""
        url = self.prometheus_write(binary)
        one = ("-s", "metrics_protocol=1.0", "--summary", "json")
        sample = lambda name, value, ms: b"%s %d %d\n" % (name, value, ms)
        for case, ms in (("older", NOW - 1000), ("other", NOW), ("ancient", NOW - 36_000_000)):
            with self.subTest(case):
                name, good = b"%s_bad" % case.encode(), b"%s_good" % case.encode()
                self.assertEqual(self.gcw("push", "metrics", "-u", url, *one, stdin=sample(name, 1, NOW)).returncode, 0)
                text = b"".join(sample(b'%s{n="%d"}' % (good, n), n, NOW - 500) + sample(b'%s{n="%d"}' % (good, n), n + 1, NOW)
                                if n != 250 else sample(name, 2, ms) for n in range(500))
                run = self.gcw("push", "metrics", "-u", url, *one, stdin=text)
                s = summary(run)
                self.assertEqual((run.returncode, s["delivered"], s["rejected"]), (1, 998, 1), run.stderr)
                self.assertLess(s["requests"], 25)
                got = {r["metric"]["n"]: [v for _, v in r["values"]] for r in self.query(f"{case}_good[10s]")}
                self.assertEqual(got, {str(n): [str(n), str(n + 1)] for n in range(500) if n != 250})
                self.assertEqual([r["value"][1] for r in self.query(f"{case}_bad")], ["1"])
        with self.subTest("all of it"):
            run = self.gcw("push", "metrics", "-u", url, *one, stdin=b"".join(sample(b'all{n="%d"}' % n, n, NOW - 36_000_000) for n in range(1000)))
            self.assertEqual((summary(run)["delivered"], summary(run)["rejected"]), (0, 1000))
            self.assertLess(summary(run)["requests"], 80)
        with self.subTest("off"):
            run = self.gcw("push", "metrics", "-u", url, *one, "-s", "metrics_split_rejected=off",
                           stdin=sample(b"off_good", 1, NOW) + sample(b"older_bad", 2, NOW - 1000))
            self.assertEqual((summary(run)["delivered"], summary(run)["rejected"], summary(run)["requests"]), (0, 2, 1))

    def test_prometheus_2_42_keeps_the_good_samples_of_a_request_with_a_bad_one(self):
        self.check_poison(need("prometheus"))

    def test_prometheus_3_keeps_the_good_samples_of_a_request_with_a_bad_one(self):
        self.check_poison(need("prometheus3"))

    def test_prometheus_3_forwards_metadata_exemplars_and_histograms_as_it_was_sent_them(self):
        """Its API has metadata of scraped targets alone; its own remote write tells what else it has kept. It puts exemplars into entries
        without a sample, which 2.0 does not allow: they are read from 1.0."""
        two = self.receive() + "/api/v1/push"
        exemplars = self.dir / "exemplars.ndjson"
        one = self.receive("--limit", "metrics_strict=0", "--out", exemplars) + "/api/v1/push"
        more = "send_exemplars: true, send_native_histograms: true, queue_config: {batch_send_deadline: 100ms}"
        url = self.prometheus_write(need("prometheus3"), config=f"""
remote_write:
- {{url: "{two}", protobuf_message: io.prometheus.write.v2.Request, {more}}}
- {{url: "{one}", {more}}}
""")
        now = int(time.time() * 1000) + 60_000  # what is older than its start is not forwarded
        s, said = self.points(url, "auto", now=now)
        self.assertEqual((s["delivered"], s["rejected"], s["requests"]), (7, 0, 1), said)
        wait_for("the points", lambda: len(self.records("sample")) == 4 and len(self.records("histogram")) == 3)
        self.check_metadata({r["family"]: (r["metric_type"], r["help"], r["unit"]) for r in self.records("metadata")}, True)
        self.check_histograms(True, None)
        self.accepted = exemplars
        wait_for("the exemplar", lambda: self.records("exemplar"))
        self.check_exemplar(now)

    def test_victoria_metrics_gives_back_metadata(self):
        binary = need("victoria-metrics-later", "victoria-metrics")
        if b"-enableMetadata" not in subprocess.run([binary, "-help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60).stdout:
            print(f"SKIPPED: {binary} is older than metadata")
            self.skipTest("an older victoria-metrics")
        for protocol in ("auto", "1.0"):
            with self.subTest(protocol=protocol):
                s, said = self.points(self.victoria_metrics("-enableMetadata", binary=binary), protocol)
                self.assertEqual((s["delivered"], s["rejected"]), (6, 1), said)
                got = {family: [(m["type"].replace(" ", ""), m["help"], m["unit"]) for m in all_of_it]
                       for family, all_of_it in get_json(self.base + "/api/v1/metadata")["data"].items()}
                self.assertEqual({len(m) for m in got.values()}, {1})
                self.check_metadata({family: m for family, (m,) in got.items()}, False)

    def test_prometheus_2_42_loses_nothing_of_what_1_can_say(self):
        s, said = self.points(self.prometheus_write(need("prometheus")), "auto")
        self.assertEqual((s["delivered"], s["rejected"]), (6, 1), said)
        self.assertIn("2.0 offered again", said)
        self.check_prometheus(False)

    def test_prometheus_3_counts_exactly_what_it_kept(self):
        url = self.prometheus_write(need("prometheus3"))
        stamp = lambda ms: b" %d\n" % (NOW + ms)
        run = self.gcw("push", "metrics", "-u", url, "--summary", "json", stdin=b"a 1" + stamp(0))
        self.assertEqual(run.returncode, 0, run.stderr)
        text = b"".join(b'b{n="%d"} 1' % n + stamp(0) for n in range(50)) + b"a 2" + stamp(0) + b"a 3" + stamp(-1000) + b"c 1" + stamp(0)
        run = self.gcw("push", "metrics", "-u", url, "--summary", "json", stdin=text)
        s = summary(run)
        self.assertEqual((s["delivered"], s["rejected"]), (51, 2), run.stderr)
        self.assertEqual(len(self.query('{__name__=~"b|c"}')), 51)

    def victoria_metrics(self, *args, binary=None):
        port = free_port()
        self.start(binary or need("victoria-metrics"), f"-storageDataPath={self.dir}/vm{port}", f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s", *args)
        self.base = f"http://127.0.0.1:{port}"
        wait_for("victoria-metrics", lambda: get(self.base + "/health"))
        return self.base + "/api/v1/write"

    def test_victoria_metrics_loses_no_sample(self):
        url = self.victoria_metrics()
        text = b"".join(b'vm{n="%d"} %d %d\n' % (n, n, NOW) for n in range(500))
        run = self.gcw("push", "metrics", "-u", url, "--summary", "json", stdin=text)
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 500), run.stderr)
        get(self.base + "/internal/force_flush")
        rows = get(self.base + "/api/v1/export?match[]=vm").splitlines()
        self.assertEqual({(r["metric"]["n"], r["values"][0]) for r in map(json.loads, rows)}, {(str(n), n) for n in range(500)})


if __name__ == "__main__":
    unittest.main()
