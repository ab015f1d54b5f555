"""A real Cortex ($CORTEX, or in PATH), the multi-tenant receiver that Mimir comes from, with remote write 1.0 and 2.0: what was
pushed is read back equal, what it refuses of a request is counted, and nothing is lost when it is killed."""
import time

import test_protocol
from harness import *
from remote import OPENMETRICS, Exporter

NOW = test_protocol.NOW
PROTOCOLS = ("1.0", "2.0")


class Cortex(Case):
    # one of each kind of point, and how it is read back
    points, query = test_protocol.Points.points, test_protocol.Points.query
    histogram, check_points = test_protocol.Points.histogram, test_protocol.Points.check_prometheus
    keeps_minus_zero = False  # its parts pass samples to each other without what compares equal to 0

    @classmethod
    def setUpClass(cls):
        cls.binary, cls.home, cls.port, cls.process = need("cortex"), pathlib.Path(tempfile.mkdtemp(prefix="gcw-test-")), free_port(), None
        cls.base, cls.overrides = f"http://127.0.0.1:{cls.port}", {}
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        (cls.home / "alerts").mkdir()
        cls.limit("nobody")
        (cls.home / "cortex.yaml").write_text(f"""
auth_enabled: true
server: {{http_listen_address: 127.0.0.1, http_listen_port: {cls.port}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {free_port()}}}
distributor: {{shard_by_all_labels: true, max_recv_msg_size: 300000, ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
ingester:
  lifecycler: {{address: 127.0.0.1, min_ready_duration: 0s, final_sleep: 0s, num_tokens: 16, ring: {{kvstore: {{store: inmemory}}, replication_factor: 1}}}}
blocks_storage:
  backend: filesystem
  filesystem: {{dir: {cls.home}/blocks}}
  tsdb: {{dir: {cls.home}/tsdb}}
  bucket_store: {{sync_dir: {cls.home}/sync}}
compactor: {{data_dir: {cls.home}/compactor, sharding_ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}}}
ruler_storage: {{backend: local, local: {{directory: {cls.home}/rules}}}}
alertmanager: {{external_url: "http://127.0.0.1/alertmanager", cluster: {{listen_address: ""}}}}
alertmanager_storage: {{backend: local, local: {{path: {cls.home}/alerts}}}}
limits: {{enable_native_histograms: true, max_exemplars: 1000, ingestion_rate: 1000000, ingestion_burst_size: 1000000}}
runtime_config: {{file: {cls.home}/runtime.yaml, period: 100ms}}
""")
        cls.addClassCleanup(lambda: cls.process and cls.kill())
        cls.serve()

    @classmethod
    def serve(cls, two=True):
        with open(cls.home / "cortex.log", "ab") as log:
            cls.process = subprocess.Popen([cls.binary, f"-config.file={cls.home}/cortex.yaml", f"-distributor.remote-writev2-enabled={str(two).lower()}"],
                                           stdout=log, stderr=subprocess.STDOUT, env=clean_env(), cwd=cls.home)
        wait_for("cortex", lambda: cls.process.poll() is not None or get(cls.base + "/ready").startswith("ready"), 120)
        if cls.process.poll() is not None:
            raise AssertionError("cortex ended: " + (cls.home / "cortex.log").read_text()[-2000:])

    @classmethod
    def kill(cls):
        cls.process.kill()
        cls.process.wait()

    @classmethod
    def limit(cls, tenant, **limits):
        """Limits of a tenant, changed while Cortex runs; it is waited for that they are in force."""
        cls.overrides[tenant] = limits
        temporary = cls.home / "runtime.new"
        temporary.write_text(json.dumps({"overrides": cls.overrides}))
        temporary.rename(cls.home / "runtime.yaml")
        if cls.process:
            wait_for("limits in force", lambda: all(f"{k}: {v}" in cls.in_force(tenant) for k, v in limits.items()))

    @classmethod
    def in_force(cls, tenant):
        return get(cls.base + "/runtime_config?mode=diff").partition(f"{tenant}:\n")[2]

    def setUp(self):
        super().setUp()
        self.tenant = self.id().rpartition(".")[2][:60]
        self.url = self.base + "/api/v1/push"

    def as_tenant(self, name):
        self.tenant = name

    def ask(self, what, **parameters):
        q = urllib.parse.urlencode(parameters)
        return get_json(f"{self.base}/prometheus/api/v1/{what}?{q}", {"X-Scope-OrgID": self.tenant})["data"]

    def stored(self, selector):
        """[(labels, ((time, value), ...)), ...] of the last quarter of an hour, and what is next."""
        result = self.ask("query", query=f"{selector}[30m]", time=NOW / 1000 + 900)["result"]
        return sorted((sorted(r["metric"].items()), tuple((round(t * 1000), v) for t, v in r["values"])) for r in result)

    def push(self, text, *settings, protocol="auto"):
        args = [a for s in (f"metrics_protocol={protocol}", "retry_min=10ms", "retry_max=50ms", *settings) for a in ("--set", s)]
        run = self.gcw("push", "metrics", "--url", self.url, "--tenant", self.tenant, *args, "--summary", "json", stdin=text.encode())
        s = summary(run)
        self.assertEqual(s["in"], s["delivered"] + s["rejected"], run.stderr)
        return s, run

    # ---- what is stored

    def test_all_kinds_of_points_come_back_equal(self):
        self.points_program = self.program("points")
        for protocol in ("1.0", "2.0", "auto"):
            with self.subTest(protocol):
                self.as_tenant("points-" + protocol)
                two = protocol != "1.0"
                s, said = self.points(self.url, protocol, self.tenant)
                self.assertEqual((s["delivered"], s["rejected"], s["requests"]), (7 if two else 6, 0 if two else 1, 1), said)
                self.check_points(two)
                known = {name: (m["type"], m["help"]) for name, (m,) in self.ask("metadata").items()}
                self.assertEqual(known["pt_counter_total"], ("counter", "One of a kind."))

    def test_scraped_series_are_those_that_prometheus_sends(self):
        binary = need("prometheus3")
        exporter = Exporter("up_before 1\n# EOF\n", OPENMETRICS)
        self.addCleanup(exporter.stop)
        write = "".join(f"""
- url: {self.url}
  headers: {{X-Scope-OrgID: scraped-prometheus-{name}}}
  protobuf_message: {message}
  metadata_config: {{send_interval: 1s}}
  queue_config: {{batch_send_deadline: 200ms}}""" for name, message in (("1.0", "prometheus.WriteRequest"), ("2.0", "io.prometheus.write.v2.Request")))
        (self.dir / "prometheus.yml").write_text(f"""
scrape_configs: [{{job_name: fixed, scrape_interval: 1s, static_configs: [{{targets: ["{exporter.address}"]}}]}}]
remote_write:{write}
""")
        self.start(binary, f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data", f"--web.listen-address=127.0.0.1:{free_port()}",
                   "--enable-feature=metadata-wal-records")
        for protocol in PROTOCOLS:
            self.start(GCW, "push", "metrics", "--url", self.url, "--tenant", "scraped-gcw-" + protocol, "--set", f"metrics_protocol={protocol}", "--set",
                       "metrics_batch_age=200ms", "--scrape", f"fixed={exporter.url}", "--interval", "1s")
        wait_for("scrapes by each", lambda: {"Prometheus", "gcw"} <= {s["User-Agent"].partition("/")[0] for s in exporter.seen}, 60)
        now = int(time.time()) + 120  # Prometheus passes on what is newer than its start
        exporter.page = "".join((
            "# TYPE fixed gauge\n# HELP fixed As it was.\n", *(f'fixed{{n="{n}",q="a \\"b\\" \\\\ é"}} {n / 7} {now}.{n:03}\n' for n in range(200)),
            "# TYPE jobs counter\n", f'jobs_total 17 {now} # {{trace_id="abc"}} 1 {now}\n',
            "# TYPE took histogram\n", *(f'took_bucket{{le="{le}"}} {n} {now}\n' for le, n in (("0.1", 3), ("2.5", 5), ("+Inf", 8))),
            f"took_sum 9.25 {now}\ntook_count 8 {now}\n", "# TYPE odd gauge\n", f'odd{{n="nan"}} NaN {now}\nodd{{n="inf"}} +Inf {now}\n# EOF\n'))

        def all_of(sender):
            self.as_tenant("scraped-" + sender)
            data = self.stored('{__name__=~"fixed|jobs.*|took.*|odd"}')
            families = {k: v for k, v in self.ask("metadata").items() if k.startswith(("fixed", "jobs", "took", "odd"))}
            return len(data) == 208 and len(families) >= 4 and (data, families)

        got = {(who, protocol): wait_for(f"{who} {protocol}", lambda: all_of(f"{who}-{protocol}"), 60) for who in ("gcw", "prometheus") for protocol in PROTOCOLS}
        for protocol in PROTOCOLS:
            self.assertEqual(got["gcw", protocol], got["prometheus", protocol], protocol)
        self.assertEqual(got["gcw", "1.0"][0], got["gcw", "2.0"][0])

    # ---- what is refused

    def test_what_it_leaves_out_of_a_request_is_counted_and_the_rest_is_kept(self):
        wide = ",".join(f'l{n}="x"' for n in range(40))
        bad = {  # what is pushed before, what is refused of the next request
            "labels": ("", f"wide{{{wide}}} 1 {NOW}"),
            "value": ("", f'long{{v="{"x" * 3000}"}} 1 {NOW}'),
            "future": ("", f"future 1 {NOW + 3600000}"),
            "order": (f"late 1 {NOW}\n", f"late 1 {NOW - 1000}"),
            "twice": (f"twice 1 {NOW}\n", f"twice 2 {NOW}"),
            "bounds": (f"any 1 {NOW}\n", f"ancient 1 {NOW - 86400000}"),
        }
        good = "".join(f'good{{n="{n}"}} {n} {NOW}\n' for n in range(20))
        for protocol in PROTOCOLS:
            for name, (before, refused) in bad.items():
                with self.subTest(name, protocol=protocol):
                    self.as_tenant(f"refused-{name}-{protocol}")
                    if before:
                        self.push(before, protocol=protocol)
                    s, run = self.push(good + refused + "\n", "metrics_max_labels=100", "metrics_max_label_value=8KiB", protocol=protocol)
                    self.assertEqual((run.returncode, s["delivered"], s["rejected"]), (1, 20, 1), run.stderr)
                    self.assertEqual(len(self.stored("good")), 20)

    def test_series_limit_keeps_the_known_and_is_changed_at_run_time(self):
        series = "".join(f'limited{{n="{n}"}} 1 %d\n' for n in range(20))
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                self.as_tenant("series-" + protocol)
                self.limit(self.tenant, max_series_per_user=10)
                s, run = self.push(series % ((NOW,) * 20), protocol=protocol)
                self.assertEqual((run.returncode, s["requests"]), (1, 1), run.stderr)
                self.assertGreaterEqual(s["rejected"], 1)
                self.assertEqual(len(self.stored("limited")), 10)
                self.limit(self.tenant, max_series_per_user=100)
                s, run = self.push(series % ((NOW + 1000,) * 20), protocol=protocol)
                self.assertEqual((run.returncode, s["delivered"]), (0, 20), run.stderr)
                self.assertEqual(sum(len(values) for _, values in self.stored("limited")), 30)

    def test_request_above_the_burst_or_too_large_goes_in_parts(self):
        text = "".join(f'parts{{n="{n}",filler="{"x" * 60}"}} {n} {NOW}\n' for n in range(5000))
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                self.as_tenant("burst-" + protocol)
                self.limit(self.tenant, ingestion_rate=100000, ingestion_burst_size=4000)
                s, run = self.push(text, protocol=protocol)
                self.assertEqual((run.returncode, s["delivered"]), (0, 5000), run.stderr)
                self.assertEqual(len(self.stored("parts")), 5000)
        self.as_tenant("large")
        s, run = self.push(text, "metrics_batch_bytes=4MiB", protocol="1.0")
        self.assertEqual((run.returncode, s["delivered"], s["requests"] > 2), (0, 5000, True), run.stderr)
        self.assertEqual(len(self.stored("parts")), 5000)

    def test_without_a_tenant_nothing_is_lost(self):
        run = self.gcw("check", "--metrics-url", self.url)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(b"401", run.stdout + run.stderr)
        run = self.gcw("push", "metrics", "--url", self.url, "--set", f"queue_dir={self.dir}/queue", "--timeout", "1s", "--summary", "json", stdin=b"kept 1\n")
        self.assertEqual((summary(run)["on_disk"], summary(run)["rejected"]), (1, 0), run.stderr)
        run = self.gcw("check", "--metrics-url", self.url, "--metrics-tenant", "somebody")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    # ---- killed

    def test_killed_and_back_without_2_it_has_everything_once(self):
        count = lambda: len(self.stored("killed"))
        lines = [b'killed{n="%d"} %d %d\n' % (n, n, NOW) for n in range(10000)]
        args = [a for s in ("retry_min=20ms", "retry_max=200ms", f"queue_dir={self.dir}/queue", "metrics_batch_records=250", "metrics_batch_age=100ms")
                for a in ("--set", s)]
        p = subprocess.Popen([GCW, "push", "metrics", "--url", self.url, "--tenant", self.tenant, "-v", *args, "--summary", "json"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        self.processes.append(p)
        p.stdin.writelines(lines[:5000])
        p.stdin.flush()
        wait_for("some of it", count)
        self.addCleanup(lambda: (self.kill(), self.serve()))
        self.kill()
        p.stdin.writelines(lines[5000:])
        p.stdin.flush()
        self.serve(two=False)
        out, err = p.communicate(timeout=120)
        s = json.loads(out.decode().strip().splitlines()[-1])
        self.assertEqual((p.returncode, s["delivered"], s["rejected"]), (0, 10000, 0), err)
        self.assertIn(b"2.0 offered again", err)
        self.assertEqual({(dict(labels)["n"], values) for labels, values in self.stored("killed")}, {(str(n), ((NOW, str(n)),)) for n in range(10000)})


if __name__ == "__main__":
    unittest.main()
