"""The module in a real Fluent Bit, beside its own outputs: the same records, and nothing lost when it matters."""
import http.server
import signal
import socketserver
import threading

from flb import *
from loki import start_loki

LOKI_PATH = "/loki/api/v1/push"


def keyed(records):
    """Entries as a sorted list that can be compared."""
    return sorted((sorted(r["labels"].items()), r["time_ns"], r["line"], sorted((r.get("metadata") or {}).items())) for r in records)


class Start(FluentBit):
    def refused(self, want, **keys):
        p = self.launch(self.service(), self.section("INPUT", name="dummy"), self.ours(**keys))
        self.assertNotEqual(p.wait(60), 0)
        self.assertIn(want, self.log_of(p))

    def test_a_bad_value_stops_the_start(self):
        if self.version < (2, 2, 1):
            # the host frees what it frees again (facts of these versions): it ends, if not cleanly; 2.2.0 goes on
            self.skipTest("versions before 2.2.1 do not survive a failed start")
        self.refused('retry_min: "soon" is not allowed: duration, 10ms..1h', logs_url="http://127.0.0.1:1", retry_min="soon")
        self.refused("no destination: set logs_url, metrics_url or both", log_level="info")
        self.refused("metrics_url: the path is missing", metrics_url="http://127.0.0.1:1")

    def test_misspelt_keys_are_named_and_secrets_are_not(self):
        port, out = self.receiver_at("r")
        p = self.launch(self.service(), self.section("INPUT", name="dummy", samples=1),
                        self.ours(logs_url=f"http://127.0.0.1:{port}", lable_keys="$x", http_user="me", http_passwd="secret-passwd"))
        self.await_log(p, "lable_keys: no such option; label_keys is meant?")
        self.await_records(p, out, "entry", lambda r: len(r) >= 1, "the line")
        self.assertNotIn("secret-passwd", self.stop(p))

    def test_it_loads_by_plugins_file(self):
        port, out = self.receiver_at("r")
        (self.dir / "plugins.conf").write_text(f"[PLUGINS]\n    Path {MODULE}\n")
        conf = self.dir / "main.conf"
        conf.write_text(self.service(plugins_file=self.dir / "plugins.conf") + self.section("INPUT", name="dummy", samples=3) +
                        self.ours(logs_url=f"http://127.0.0.1:{port}"))
        self.loads([str(self.binary), "-c", str(conf)], out)

    def test_it_loads_by_yaml(self):
        self.since(3, 2, 0)
        port, out = self.receiver_at("r")
        conf = self.dir / "main.yaml"
        conf.write_text(f"""
plugins: [{MODULE}]
service: {{flush: 0.2, grace: 5}}
pipeline:
  inputs: [{{name: dummy, samples: 3}}]
  outputs: [{{name: grafana_cloud, match: '*', logs_url: 'http://127.0.0.1:{port}', labels: 'a=b, c=d'}}]
""")
        self.loads([str(self.binary), "-c", str(conf)], out)

    def loads(self, command, out):
        with open(self.dir / "flb.log", "wb") as log:
            p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=clean_env(), start_new_session=True)
        p.log = self.dir / "flb.log"
        self.processes.append(p)
        self.await_records(p, out, "entry", lambda r: len(r) == 3, "three lines")
        self.stop(p)


class Lines(FluentBit):
    maxDiff = None

    def test_every_line_of_a_file_arrives_once_and_in_order(self):
        port, out = self.receiver_at("r")
        lines = [f"line {i:06} " + "x" * (i % 300) for i in range(20000)]
        (self.dir / "in.log").write_text("\n".join(lines) + "\n")
        for workers in ("0", "1"):
            label = f"w{workers}"
            p = self.launch(self.service(), self.section("INPUT", name="tail", path=self.dir / "in.log", read_from_head="on"),
                            self.ours(logs_url=f"http://127.0.0.1:{port}", workers=workers, labels=f"run={label}", drop_single_key="raw"))
            got = self.await_records(p, out, "entry", lambda r: sum(x["labels"] == {"run": label} for x in r) >= len(lines), "all lines")
            self.stop(p)
            got = [r for r in self.accepted_in(out, "entry") if r["labels"] == {"run": label}]
            self.assertEqual(len(got), len(lines))
            got.sort(key=lambda r: int(r["time_ns"]))
            self.assertEqual(sorted(r["line"] for r in got), lines)

    def test_the_same_lines_as_the_loki_output(self):
        """Every row is one configuration, given to both under the same names."""
        record = ('{"log":"GET /  \\"quoted\\" \\u00e9 \\ud83d\\ude42","level":"warn","n":42,"f":1.5,"ok":true,"nil":null,"list":[1,"a"],'
                  '"kubernetes":{"pod_name":"web-1","namespace_name":"shop","container_name":"web","host":"node-a",'
                  '"labels":{"app":"web","tier":"front"}}}')
        if self.version < (4, 0, 0):  # these make bytes of it that are no UTF-8, and their output hands them on
            record = record.replace("\\ud83d\\ude42", "")
        (self.dir / "map.json").write_text('{"kubernetes":{"container_name":"container","pod_name":"pod"},"level":"severity"}')
        rows = [
            {},
            {"labels": "job=a"},
            {"labels": "job=a, pod=$kubernetes['pod_name']"},
            {"labels": "job=a", "label_keys": "$level,$n"},
            {"labels": "job=a", "remove_keys": "level,kubernetes,list"},
            {"labels": "job=a", "auto_kubernetes_labels": "on"},
            {"labels": "job=a", "remove_keys": "kubernetes,level,n,f,ok,nil,list", "drop_single_key": "on"},
        ]
        if self.version >= (2, 1, 0):  # 1.9 has no label_map_path, and writes no fractions into key_value lines
            rows += [{"labels": "job=a", "line_format": "key_value", "remove_keys": "log,kubernetes,list"},
                     {"labels": "job=a", "label_map_path": self.dir / "map.json"}]
        if self.version >= (3, 0, 0):
            rows.append({"labels": "job=a", "structured_metadata": "pod=$kubernetes['pod_name'], who=me"})
        for row in rows:  # a process each: the loki output, several times in one, mixes up what is to be removed
            with self.subTest(row):
                self.compare(record, row)

    def compare(self, record, row):
        port, out = self.receiver_at(f"r{len(self.processes)}", "--auth", "tenant")
        as_then = {}  # what its output did in earlier versions: doc/fluent-bit-records.md
        if self.version < (3, 2, 4):
            as_then["escape_unicode"] = "off"
        if self.version < (4, 0, 5) and "remove_keys" not in row:
            as_then["remove_label_keys"] = "off"
        p = self.launch(self.service(), self.section("INPUT", name="dummy", dummy=record, samples=3, rate=10),
                        self.section("OUTPUT", name="loki", match="*", host="127.0.0.1", port=port, tenant_id="theirs", **row),
                        self.ours(logs_url=f"http://127.0.0.1:{port}", tenant_id="ours", **row, **as_then))
        got = self.await_records(p, out, "entry", lambda r: len(r) >= 6, "both outputs' lines")
        self.stop(p)
        theirs, ours = ([r for r in got if r["tenant"] == who] for who in ("theirs", "ours"))
        self.assertEqual(len(theirs), 3)
        self.assertEqual(keyed(ours), keyed(theirs))

    def test_what_another_fluent_bit_forwards(self):
        port, out = self.receiver_at("r")
        link = free_port()
        p = self.launch(self.service(), self.section("INPUT", name="forward", listen="127.0.0.1", port=link),
                        self.ours(logs_url=f"http://127.0.0.1:{port}", labels="from=forward"), name="in.conf")
        wait_for("the forward input", lambda: socket.create_connection(("127.0.0.1", link), 1).close() or True)
        q = self.launch(self.service(), self.section("INPUT", name="dummy", dummy='{"m":"hello"}', samples=5, rate=10),
                        self.section("OUTPUT", name="forward", match="*", host="127.0.0.1", port=link), name="out.conf")
        got = self.await_records(p, out, "entry", lambda r: len(r) >= 5, "five lines")
        self.stop(q)
        self.stop(p)
        self.assertEqual({r["line"] for r in got}, {'{"m":"hello"}'})

    def test_lines_come_back_from_a_real_loki(self):
        base = start_loki(self, ", discover_service_name: [], discover_log_levels: false")
        p = self.launch(self.service(), self.section("INPUT", name="dummy", dummy='{"m":"hello","level":"info"}', samples=7, rate=20),
                        self.ours(logs_url=base, labels="job=flb, level=$level", ack="delivered", workers=1))

        def lines():
            query = urllib.parse.urlencode({"query": '{job="flb",level="info"}', "since": "1h", "limit": 100})
            result = get_json(f"{base}/loki/api/v1/query_range?{query}")["data"]["result"]
            values = [v[1] for stream in result for v in stream["values"]]
            return values if len(values) == 7 else None
        wait_for("the lines in Loki", lines, 60)
        self.stop(p)


class Safety(FluentBit):
    """What is acknowledged is safe, and what is not comes again."""

    def tail(self, **keys):
        return self.section("INPUT", name="tail", path=self.dir / "in.log", db=self.dir / "tail.db", read_from_head="on",
                            **{"storage.type": "filesystem"}, **keys)

    def write(self, first, count):
        with open(self.dir / "in.log", "a") as f:
            f.writelines(f"line-{i:06}\n" for i in range(first, first + count))
        return {f"line-{i:06}" for i in range(first, first + count)}

    def output(self, port, **keys):
        return self.ours(logs_url=f"http://127.0.0.1:{port}", retry_limit="no_limits", drop_single_key="raw", labels="job=a", **keys)

    def everything(self, p, out, want):
        return self.await_records(p, out, "entry", lambda r: want <= {x["line"] for x in r}, f"{len(want)} lines", 120)

    def test_delivered_an_outage_and_a_restart_lose_nothing(self):
        service = self.service(**{"storage.path": self.dir / "storage", "scheduler.base": 1, "scheduler.cap": 2})
        if self.version < (1, 9, 0):
            self.skipTest("scheduler.base")
        port, out = self.receiver_at("r", "--misbehave", "status=503:5")
        want = self.write(0, 3000)
        output = self.output(port, ack="delivered", workers=2, ack_timeout="200ms")
        p = self.launch(service, self.tail(), output)
        self.everything(p, out, want)
        self.stop(p)
        want |= self.write(3000, 3000)
        p = self.launch(service, self.tail(), output)
        self.everything(p, out, want)
        self.stop(p)

    def killed(self, service, output, out_port, revive):
        """Lines are written while the process is killed again and again; at the end each has arrived."""
        want, seen = set(), 0
        for _ in range(4):
            want |= self.write(seen, 2000)
            seen += 2000
            p = self.launch(service, self.tail(), output)
            self.await_log(p, "ack=")
            time.sleep(0.3)  # any moment will do
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
        p = self.launch(service, self.tail(), output)
        self.everything(p, out_port, want)
        return p

    def test_delivered_kill_9_loses_no_line(self):
        port, out = self.receiver_at("r", "--misbehave", "latency=100ms")
        service = self.service(**{"storage.path": self.dir / "storage", "storage.sync": "full", "scheduler.base": 1, "scheduler.cap": 2})
        self.stop(self.killed(service, self.output(port, ack="delivered", workers=1), out, None))

    def test_durable_kill_9_while_the_receiver_is_away_loses_no_line(self):
        port, out = self.receiver_at("r", "--misbehave", "status=503:200")
        service = self.service(**{"storage.path": self.dir / "storage", "storage.sync": "full", "scheduler.base": 1, "scheduler.cap": 2})
        self.stop(self.killed(service, self.output(port, queue_dir=self.dir / "queue", workers=1), out, None))

    def test_the_end_delivers_what_was_only_queued(self):
        port, out = self.receiver_at("r")
        want = self.write(0, 5000)
        p = self.launch(self.service(**{"storage.path": self.dir / "storage", "http_server": "on", "http_listen": "127.0.0.1", "http_port": (api := free_port())}),
                        self.tail(), self.output(port, logs_batch_age="1h", logs_batch_bytes="4MiB", ack="queued"))
        wait_for("the host to have handed all over", lambda: next(iter(get_json(f"http://127.0.0.1:{api}/api/v1/metrics")["output"].values()))
                 ["proc_records"] == 5000)
        self.assertEqual(self.accepted_in(out, "entry"), [])
        log = self.stop(p)
        got = {r["line"] for r in self.accepted_in(out, "entry")}
        self.assertEqual(got, want)
        self.assertIn("logs: 5000 records delivered, 0 rejected, 0 expired, 0 dropped, 0 left on disk", log)

    def test_no_engine_thread_is_held_up_by_a_receiver_that_hangs(self):
        """Another output goes on getting its lines while ours waits for an answer that does not come."""
        self.since(2, 0, 0)  # in 1.9 a RETRY of any output, its own `retry` too, keeps the others waiting
        port, out = self.receiver_at("r", "--misbehave", "latency=300s")
        other, other_out = self.receiver_at("other")
        p = self.launch(self.service(), self.section("INPUT", name="dummy", rate=5, samples=25),
                        self.output(port, ack="delivered", request_timeout="5m"),
                        self.section("OUTPUT", name="loki", match="*", host="127.0.0.1", port=other, workers=1))
        self.await_records(p, other_out, "entry", lambda r: len(r) >= 25, "the other output's lines", 120)
        os.killpg(p.pid, signal.SIGKILL)

    def test_hot_reload_goes_on_with_the_new_settings(self):
        self.since(2, 2, 1)
        port, out = self.receiver_at("r")
        output = self.ours(logs_url=f"http://127.0.0.1:{port}", labels="job=first", queue_dir=self.dir / "queue")
        sections = [self.service(hot_reload="on"), self.section("INPUT", name="dummy", rate=20)]
        p = self.launch(*sections, output)
        self.await_records(p, out, "entry", lambda r: len(r) > 5, "lines")
        for generation in range(3):
            label = f"again-{generation}"
            conf = self.dir / "fluent-bit.conf"
            conf.write_text(conf.read_text().replace("job=first", "job=" + label).replace(f"job=again-{generation - 1}", "job=" + label))
            p.send_signal(signal.SIGHUP)
            self.await_records(p, out, "entry", lambda r: sum(x["labels"] == {"job": label} for x in r) > 5, f"lines of {label}")
        self.assertNotIn("locked", self.stop(p))

    def test_into_the_background(self):
        port, out = self.receiver_at("r")
        conf = self.dir / "d.conf"
        conf.write_text(self.service(daemon="on") + self.section("INPUT", name="dummy", samples=3, rate=10) +
                        self.ours(logs_url=f"http://127.0.0.1:{port}", labels="job=daemon"))
        p = subprocess.Popen([self.binary, "-e", str(MODULE), "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=clean_env(), start_new_session=True)
        self.processes.append(p)
        try:
            wait_for("lines from the background", lambda: len(self.accepted_in(out, "entry")) == 3)
        finally:
            for pid in os.listdir("/proc"):
                try:
                    if pid.isdigit() and str(conf) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                        os.kill(int(pid), signal.SIGTERM)
                except OSError:
                    pass


class Exposition(http.server.BaseHTTPRequestHandler):
    """A target to scrape; what it shows is the server's `text`."""

    def do_GET(self):
        body = self.server.text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


TARGET = """# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{path="/a",code="200"} 17
requests_total{path="/b",code="500"} 3
# HELP room_celsius How warm.
# TYPE room_celsius gauge
room_celsius{room="kitchen"} 21.5
room_celsius{room="hall"} -4
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 1
took_seconds_bucket{le="1"} 4
took_seconds_bucket{le="+Inf"} 5
took_seconds_sum 3.25
took_seconds_count 5
# HELP size_bytes How large.
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 10
size_bytes{quantile="0.99"} 90
size_bytes_sum 200
size_bytes_count 9
# HELP plain Something.
# TYPE plain untyped
plain 7
"""


def series(records):
    """{label set: value} of the last sample each; le and quantile as numbers."""
    found = {}
    for r in records:
        labels = {k: str(float(v)) if k in ("le", "quantile") else v for k, v in r["labels"].items()}
        found[tuple(sorted(labels.items()))] = r["value"]
    return found


class Metrics(FluentBit):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.since(4, 2, 3)

    def target(self, text):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Exposition)
        server.daemon_threads = True
        server.handle_error = lambda *args: None  # the host hangs up in the middle when it is stopped
        server.text = text
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def beside(self, *inputs, **keys):
        """The same input through both; returns the series of each."""
        port, out = self.receiver_at("ours")
        their_port, their_out = self.receiver_at("theirs", "--limit", "metrics_strict=off")
        p = self.launch(self.service(), *inputs, self.ours(metrics_url=f"http://127.0.0.1:{port}/api/v1/push", **keys),
                        self.section("OUTPUT", name="prometheus_remote_write", match="*", host="127.0.0.1", port=their_port, uri="/api/v1/push"))
        self.await_records(p, their_out, "sample", lambda r: len(r) > 0, "their samples")
        self.await_records(p, out, "sample", lambda r: len(r) > 0, "our samples")
        time.sleep(2.5)  # some rounds more
        log = self.stop(p)
        return series(self.accepted_in(out, "sample")), series(self.accepted_in(their_out, "sample")), log

    def test_scraped_series_are_those_of_the_remote_write_output(self):
        port = self.target(TARGET)
        ours, theirs, _ = self.beside(self.section("INPUT", name="prometheus_scrape", host="127.0.0.1", port=port, scrape_interval="1s", metrics_path="/m"))
        self.assertEqual(ours, theirs)
        self.assertEqual(ours[(("__name__", "room_celsius"), ("room", "hall"))], "-4")

    def test_node_exporter_and_own_metrics_have_the_names_of_the_remote_write_output(self):
        ours, theirs, _ = self.beside(self.section("INPUT", name="node_exporter_metrics", scrape_interval="1s"),
                                      self.section("INPUT", name="fluentbit_metrics", scrape_interval="1s"), ack="delivered", workers=1)
        names = lambda s: {dict(labels)["__name__"] for labels in s}
        self.assertIn("node_cpu_seconds_total", names(ours))
        self.assertIn("fluentbit_uptime", names(ours))
        # theirs sends series that were never set, too
        self.assertEqual(names(ours) - names(theirs), set())
        missing = {labels for labels in theirs if labels not in ours and theirs[labels] != 0}
        self.assertEqual({l for l in missing if dict(l)["__name__"].startswith("node_")}, set())

    def test_samples_come_back_from_a_real_prometheus(self):
        binary, port = need("prometheus"), free_port()
        (self.dir / "p.yml").write_text("")
        help_text = subprocess.run([binary, "--help"], capture_output=True, text=True).stdout
        flag = "--web.enable-remote-write-receiver" if "enable-remote-write-receiver" in help_text else "--enable-feature=remote-write-receiver"
        self.start(binary, f"--config.file={self.dir}/p.yml", f"--storage.tsdb.path={self.dir}/prom", f"--web.listen-address=127.0.0.1:{port}", flag)
        self.query_back(f"http://127.0.0.1:{port}", "/api/v1/write")

    def test_samples_come_back_from_a_real_victoria_metrics(self):
        port = free_port()
        self.start(need("victoria-metrics"), f"-storageDataPath={self.dir}/vm", f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s",
                   "-retentionPeriod=1")
        self.query_back(f"http://127.0.0.1:{port}", "/api/v1/write")

    def query_back(self, base, path):
        wait_for("the server", lambda: get(base + "/-/ready") or True, 120)
        target = self.target(TARGET)
        p = self.launch(self.service(), self.section("INPUT", name="prometheus_scrape", host="127.0.0.1", port=target, scrape_interval="1s", metrics_path="/m"),
                        self.ours(metrics_url=base + path, add_label="site lab"))

        def back(query):
            result = get_json(f"{base}/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
            return [float(r["value"][1]) for r in result]
        wait_for("the samples", lambda: back('requests_total{path="/a",site="lab"}') == [17], 60)
        self.assertEqual(back('sum(took_seconds_bucket{le=~"1|1.0"})'), [4])
        self.assertEqual(sorted(back("room_celsius")), [-4, 21.5])
        self.assertEqual(back('size_bytes{quantile="0.99"}'), [90])
        self.stop(p)


class Documents(FluentBit):
    """What users paste works: with addresses, paths and token of the test put in, and nothing else changed."""

    def snippets(self, path, language):
        return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)

    def paste(self, text, name, signals, extra=()):
        (self.dir / "app").mkdir(exist_ok=True)
        (self.dir / "state").mkdir(exist_ok=True)
        (self.dir / "app" / "a.log").write_text("one\ntwo\n")
        (self.dir / "app" / "web-1_shop_web-0123456789abcdef.log").write_text(
            "2026-11-24T06:00:00.000000001Z stdout F one\n2026-11-24T06:00:00.000000002Z stdout F two\n")
        port, out = self.receiver_at(f"r{len(self.processes)}", "--token-file", self.token_file(), "-t", "metrics=123456", "-t", "logs=654321",
                                     "--limit", "logs_past=0")
        base = f"http://127.0.0.1:{port}"
        for old, new in (("https://logs-prod-006.grafana.net", base), ("https://prometheus-prod-01.grafana.net", base),
                         ("/etc/fluent-bit/token", self.token_file()), ("/run/secrets/grafana-cloud/token", self.token_file()),
                         ("/usr/local/lib/fluent-bit/out_grafana_cloud.so", MODULE), ("/fluent-bit/out_grafana_cloud.so", MODULE),
                         ("/var/log/app/*.log", self.dir / "app/a.log"), ("/var/log/containers/*.log", self.dir / "app/web*.log"),
                         ("/var/lib/fluent-bit", self.dir / "state"), *extra):
            text = text.replace(str(old), str(new))
        text = re.sub(r"(scrape_interval:? +)\d+", r"\g<1>1", text)
        p = self.launch(text, name=name, env=clean_env(HOSTNAME="web-1"))
        for signal_name in signals:
            kind = {"logs": "entry", "metrics": "sample"}[signal_name]
            self.await_records(p, out, kind, lambda r: len(r) >= 2, signal_name)
        self.stop(p)
        return out

    def test_snippets_of_the_manual(self):
        manual = ROOT / "doc" / "fluent-bit.md"
        done = 0
        for i, text in enumerate(self.snippets(manual, "ini")):
            signals = [s for s in ("logs", "metrics") if f"{s}_url" in text]
            if signals and (signals == ["logs"] or self.version >= (4, 2, 3)):
                self.paste(text, f"manual-{i}.conf", signals)
                done += 1
        if self.version >= (3, 2, 0):
            for i, text in enumerate(self.snippets(manual, "yaml")):
                self.paste(text, f"manual-{i}.yaml", ["logs", "metrics"] if self.version >= (4, 2, 3) else ["logs"])
                done += 1
        self.assertGreater(done, 0)

    def test_snippets_of_the_readme(self):
        for i, text in enumerate(self.snippets(ROOT / "README.md", "ini")):
            self.paste(text, f"readme-{i}.conf", ["logs"])

    def test_examples(self):
        self.since(3, 2, 0)
        signals = ["logs", "metrics"] if self.version >= (4, 2, 3) else ["logs"]
        examples = ROOT / "plugin" / "hosts" / "fluent-bit" / "examples"
        (self.dir / "plugins.conf").write_text((examples / "plugins.conf").read_text().replace(
            "/usr/local/lib/fluent-bit/out_grafana_cloud.so", str(MODULE)))
        self.paste((examples / "fluent-bit.conf").read_text(), "fluent-bit.conf", signals)
        shutil.rmtree(self.dir / "state")
        self.paste((examples / "fluent-bit.yaml").read_text(), "fluent-bit.yaml", signals)

    def test_the_daemonsets_configuration(self):
        """What its ConfigMap holds; metadata of pods made up, as there is no API server to ask."""
        self.since(3, 2, 0)
        text = (ROOT / "plugin" / "hosts" / "fluent-bit" / "examples" / "daemonset.yaml").read_text()
        block = re.search(r"  fluent-bit\.yaml: \|\n((?:    .*\n|\n)+)", text)[1]
        block = "".join(line[4:] for line in block.splitlines(keepends=True))
        extra = [("annotations: off", "annotations: off\n      dummy_meta: on\n      kube_tag_prefix: kube" + str(self.dir / "app/").replace("/", ".") + "."),
                 ("skip_long_lines: on", "skip_long_lines: on\n      read_from_head: on")]
        out = self.paste(block, "daemonset.yaml", ["logs"], extra)
        entry = self.accepted_in(out, "entry")[0]
        self.assertEqual(entry["labels"].get("cluster"), "lab")
        self.assertIn(entry["line"], ("one", "two"))

    def test_the_manual_has_every_option_of_the_module(self):
        text = "".join(page.read_text() for page in (ROOT / "doc").glob("fluent-bit*.md"))
        names = re.findall(r'\{\{"(\w+)",', (ROOT / "plugin" / "hosts" / "fluent-bit" / "own.c").read_text())
        names += re.findall(r'\n    \{"(\w+)", (?:apply|differs|not_here)', (ROOT / "plugin" / "hosts" / "fluent-bit" / "carried.c").read_text())
        self.assertGreater(len(names), 25)
        self.assertEqual([n for n in names if f"`{n}" not in text and n not in ("aws_service", "aws_region")], [])


if __name__ == "__main__":
    unittest.main()
