"""collectd's write plugin in the real daemon: every value compared with what csv and write_prometheus say of the same run."""
import re
import struct
import time

from harness import *

MODULE = pathlib.Path(GCW).parent / "collectd" / "grafana_cloud.so"
STALE = "7ff0000000000002"
TYPES = """
four_kinds g:GAUGE:U:U, c:COUNTER:0:U, d:DERIVE:U:U, a:ABSOLUTE:0:U
"""


class Collectd(Case):
    def setUp(self):
        super().setUp()
        self.binary = need("collectd")
        if not MODULE.exists():
            print(f"SKIPPED: {MODULE} was not built: no collectd headers (Debian: collectd-dev)")
            self.skipTest("collectd module not built")
        (self.dir / "types.db").write_text(TYPES)
        self.base, self.csv = self.dir / "base", self.dir / "csv"
        self.base.mkdir(exist_ok=True)

    def configure(self, block, plugins=("csv", "unixsock"), more="", interval=1):
        conf = f"""
Hostname "testhost"
FQDNLookup false
BaseDir "{self.base}"
PIDFile "{self.dir}/pid"
TypesDB "/usr/share/collectd/types.db" "{self.dir}/types.db"
Interval {interval}
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File stdout
</Plugin>
{chr(10).join(f"LoadPlugin {p}" for p in plugins)}
<Plugin csv>
  DataDir "{self.csv}"
</Plugin>
<Plugin unixsock>
  SocketFile "{self.dir}/sock"
  DeleteSocket true
  SocketGroup "{__import__('grp').getgrgid(os.getgid()).gr_name}"
</Plugin>
{more}
PluginDir "{MODULE.parent}"
LoadPlugin grafana_cloud
<Plugin grafana_cloud>
{block}
</Plugin>
"""
        (self.dir / "collectd.conf").write_text(conf)
        return self.dir / "collectd.conf"

    def run_collectd(self, *args, **kw):
        return self.run_conf(self.configure(*args, **kw), kw.get("plugins", ("unixsock",)))

    def run_conf(self, conf, plugins):
        log = self.dir / f"collectd-{len(self.processes)}.log"
        p = self.start(self.binary, "-f", "-C", str(conf))
        wait_for("collectd", lambda: p.poll() is not None or "Initialization complete" in log.read_text())
        if p.poll() is not None:
            raise AssertionError(log.read_text())
        if "unixsock" in plugins:
            self.socket = wait_for("unixsock", self.connect)
        return p

    def connect(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.dir / "sock"))
            f = s.makefile("rw", newline="\n")
        self.addCleanup(f.close)
        return f

    def tell(self, line):
        self.socket.write(line + "\n")
        self.socket.flush()
        answer = self.socket.readline()
        self.assertTrue(answer.startswith("0 "), (line, answer))

    def stop(self, p):
        p.terminate()
        return p.wait(60)

    def log_text(self):
        return "".join(f.read_text() for f in self.dir.glob("collectd-*.log"))

    def metrics(self, url, more=""):
        return f'<Metrics>\nURL "{url}/api/v1/push"\n{more}\n</Metrics>\n'

    # ---- what csv says ----

    def kinds(self):
        out = {}
        for path in ("/usr/share/collectd/types.db", self.dir / "types.db"):
            for line in pathlib.Path(path).read_text().splitlines():
                if line.strip() and not line.startswith("#"):
                    name, sources = line.split(None, 1)
                    out[name] = [s.strip().split(":")[:2] for s in sources.split(",")]
        return out

    def expected(self):
        """(name, labels) -> [(ms, text)], from the files of csv and the naming rule of write_prometheus."""
        out, kinds = {}, self.kinds()
        for path in self.csv.rglob("*-????-??-??"):
            host, plugin, type_ = path.relative_to(self.csv).parts
            plugin, _, plugin_instance = plugin.partition("-")
            type_, _, type_instance = type_[:-11].partition("-")
            labels = {"instance": host}
            if plugin_instance:
                labels[plugin] = plugin_instance
            if type_instance:
                labels["type" if plugin_instance else plugin] = type_instance
            for i, (source, kind) in enumerate(kinds[type_]):
                parts = ["collectd"] + [plugin] * (plugin != type_) + [type_] + [source] * (source != "value")
                name = "_".join(parts + ["total"] * (kind in ("COUNTER", "DERIVE")))
                key = (name, tuple(sorted(labels.items())))
                for line in path.read_text().splitlines()[1:]:
                    cells = line.split(",")
                    out.setdefault(key, []).append((float(cells[0]) * 1000, cells[1 + i], kind))
        return out

    def accepted_samples(self):
        out = {}
        for r in self.records("sample"):
            labels = dict(r["labels"])
            key = (labels.pop("__name__"), tuple(sorted(labels.items())))
            if r["bits"] != STALE:  # ours alone: the end of what collectd calls missing
                out.setdefault(key, []).append((r["time_ms"], r["bits"]))
        return out

    def assert_same_as_csv(self, got, dropped=()):
        want = self.expected()
        self.assertGreater(len(want), 10)
        self.assertEqual(sorted(got), sorted(want))
        for key, values in want.items():
            have, values = sorted(got[key]), sorted(values)
            self.assertEqual(len(have), len(values), key)
            for (ms, bits), (csv_ms, text, kind) in zip(have, values):
                value = struct.unpack(">d", bytes.fromhex(bits))[0]
                self.assertLessEqual(abs(ms - csv_ms), 1.001, key)  # csv rounds a double
                if kind == "GAUGE":
                    self.assertEqual(f"{value:f}".replace("-nan", "nan"), text.replace("-nan", "nan"), key)
                else:
                    self.assertEqual(value, float(int(text)), key)


class Values(Collectd):
    SEVERAL = ["cpu", "memory", "load", "interface", "df"]

    def csv_lines(self):
        return sum(len(f.read_text().splitlines()) for h in ("h1", "h2") for f in (self.csv / h).rglob("*-????-??-??"))

    def put(self, rounds=3):
        """Every kind of data source, edges of their ranges, odd names; times of our own, so that rounds can follow at once."""
        now = int(time.time())
        for n in range(rounds):
            at = now - 20 + n
            self.tell(f'PUTVAL "h1/one-i/gauge-t" interval=1 {at}:{n + 0.1}')
            self.tell(f'PUTVAL "h1/one/gauge" interval=1 {at}:{(-1e300, 5e-5, 1/3)[n % 3]!r}')
            self.tell(f'PUTVAL "h1/one/gauge-unknown" interval=1 {at}:U')
            self.tell(f'PUTVAL "h1/one/counter-large" interval=1 {at}:{2**63 + 4096 * n}')
            self.tell(f'PUTVAL "h1/one/derive-negative" interval=1 {at}:{-2**62 + 1024 * n}')
            self.tell(f'PUTVAL "h1/one/absolute" interval=1 {at}:{2**53 + 2 * n}')
            self.tell(f'PUTVAL "h2/two-x y/four_kinds-z.z" interval=1 {at}:{n}.5:{n}:{-n}:{n}')
            self.tell(f'PUTVAL "h2/four_kinds/four_kinds" interval=1 {at}:{n}:{n}:{n}:{n}')
            self.tell(f'PUTVAL "h2/odd-Zürich \\\\ 🙂/gauge-a=b" interval=1 {at}:{n}')
            self.tell(f'PUTVAL "h2/disk-sda/disk_octets" interval=1 {at}:{n}:{n * 2}')
            # several write threads: the next round could overtake this one, and csv creates a file twice
            wait_for("round in csv", lambda: self.csv_lines() >= 10 * (n + 2))

    def test_every_value_is_what_csv_and_write_prometheus_say_of_the_same_run(self):
        base, port = self.receive(), free_port()
        # batches that no age or size closes: everything arrives by the flush at shutdown
        p = self.run_collectd(self.metrics(base, "BatchAge 3600"), plugins=[*self.SEVERAL, "csv", "unixsock", "write_prometheus"],
                              more=f'<Plugin write_prometheus>\nHost "127.0.0.1"\nPort {port}\n</Plugin>')
        self.put()
        wait_for("three intervals of cpu", lambda: any(len(f.read_text().splitlines()) > 3 for f in self.csv.rglob("cpu-user-*")))
        exposed = get(f"http://127.0.0.1:{port}/metrics")
        self.assertEqual(self.records("sample"), [])
        self.assertEqual(self.stop(p), 0, self.log_text())
        got = self.accepted_samples()
        self.assert_same_as_csv(got)
        types = {r["family"]: r["metric_type"] for r in self.records("metadata")} if self.records("metadata") else {}
        seen = set()
        for line in exposed.splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertEqual(types[name], kind)
            m = re.fullmatch(r"(\w+)\{(.*)\} (\S+) (\d+)", line)
            if not m:
                continue
            labels = {k: re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), v) for k, v in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2])}
            key = (m[1], tuple(sorted(labels.items())))
            at = {ms: struct.unpack(">d", bytes.fromhex(bits))[0] for ms, bits in got[key]}
            value = at[int(m[4])]
            form = "%.15g" % value if types[m[1]] == "gauge" else "%.0f" % value
            self.assertEqual(form, m[3].replace("-nan", "nan"), line)
            seen.add(key)
        self.assertGreater(len(seen), 30)
        self.assertTrue(any(name == "collectd_cpu_total" for name, _ in seen))

    def test_values_come_back_from_a_real_prometheus(self):
        prometheus, port = need("prometheus"), free_port()
        (self.dir / "prometheus.yml").write_text("global: {}\n")
        self.start(prometheus, f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
                   f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver")
        base = f"http://127.0.0.1:{port}"
        wait_for("prometheus", lambda: "Ready" in get(base + "/-/ready"), 60)
        p = self.run_collectd(f'<Metrics>\nURL "{base}/api/v1/write"\nBatchAge "200ms"\n</Metrics>', plugins=[*self.SEVERAL, "csv"])
        wait_for("three intervals of cpu", lambda: any(len(f.read_text().splitlines()) > 3 for f in self.csv.rglob("cpu-user-*")))
        self.assertEqual(self.stop(p), 0, self.log_text())
        got, end = {}, time.time() + 5
        q = urllib.parse.urlencode({"query": '{__name__=~"collectd_.*"}[1h]', "time": end})
        for s in get_json(f"{base}/api/v1/query?{q}")["data"]["result"]:
            labels = dict(s["metric"])
            key = (labels.pop("__name__"), tuple(sorted(labels.items())))
            got[key] = [(round(t * 1000), struct.pack(">d", float(v)).hex()) for t, v in s["values"]]
        self.assert_same_as_csv(got)

    def test_several_write_threads_lose_and_mix_up_nothing(self):
        base, count = self.receive(), 3000
        self.run_collectd(self.metrics(base, 'BatchAge "100ms"'), plugins=["unixsock"], more="WriteThreads 8")
        at = int(time.time())
        want = {(f"i{n}", source): float(n + k * 0.25) for n in range(count) for k, source in enumerate(("shortterm", "midterm", "longterm"))}
        for n in range(count):
            self.tell(f'PUTVAL "h1/load-i{n}/load" interval=3600 {at}:{n}:{n + 0.25}:{n + 0.5}')
        wait_for("all values", lambda: len(self.records("sample")) >= len(want), 60)
        got = {(r["labels"]["load"], r["labels"]["__name__"].rpartition("_")[2]): float(r["value"]) for r in self.records("sample")}
        self.assertEqual(got, want)
        self.assertEqual(len(self.records("sample")), len(want))

    def test_identifier_that_vanished_ends_with_a_stale_marker(self):
        base = self.receive()
        self.run_collectd(self.metrics(base, 'BatchAge "100ms"'), more="Timeout 2")
        at = int(time.time())
        self.tell(f'PUTVAL "h1/one/gauge" interval=1 {at}:7')
        wait_for("stale marker", lambda: [r for r in self.records("sample") if r["bits"] == STALE], 60)
        times = [r["time_ms"] for r in self.records("sample") if r["labels"]["__name__"] == "collectd_one_gauge"]
        self.assertEqual(times, [at * 1000, at * 1000 + 500])
        self.tell(f'PUTVAL "h1/one/gauge" interval=1 {at + 1}:8')
        wait_for("value behind it", lambda: [r for r in self.records("sample") if r["value"] == "8"])

    def test_writer_statistics_are_values_on_request(self):
        base = self.receive()
        self.run_collectd('ReportStats true\n' + self.metrics(base, 'BatchAge "100ms"'), plugins=["unixsock", "memory"])
        wait_for("delivered", lambda: [r for r in self.records("sample") if r["labels"]["__name__"] == "collectd_grafana_cloud_derive_total"
                                       and r["labels"]["type"] == "delivered" and float(r["value"]) > 0], 60)


class Notifications(Collectd):
    def test_notifications_are_entries_with_labels_and_metadata(self):
        base = self.receive()
        p = self.run_collectd(f'<Logs>\nURL "{base}"\nBatchAge 3600\nLabel "team" "a,b"\n</Logs>\n', plugins=["unixsock", "threshold"], more="""
<Plugin threshold>
  <Type "gauge">
    WarningMax 10
    FailureMax 100
  </Type>
</Plugin>""")
        now = int(time.time())
        for severity in ("okay", "warning", "failure"):
            self.tell(f'PUTNOTIF severity={severity} time={now} host=h1 plugin=p plugin_instance=pi type=t type_instance=ti s:ticket=T-1 '
                      f'message="it is {severity}"')
        self.tell(f'PUTVAL "h1/one/gauge-x" interval=1 {now}:50')
        wait_for("threshold", lambda: "plugin = one" in self.log_text())
        self.assertEqual(self.stop(p), 0, self.log_text())
        got = {r["line"]: r for r in self.records("entry")}
        for severity, level in (("okay", "info"), ("warning", "warn"), ("failure", "error")):
            r = got[f"it is {severity}"]
            self.assertEqual(r["labels"], {"team": "a,b", "severity": severity, "instance": "h1", "plugin": "p"})
            self.assertEqual(r["metadata"], {"level": level, "detected_level": level, "plugin_instance": "pi", "type": "t", "type_instance": "ti", "ticket": "T-1"})
            self.assertEqual(r["time_ns"], str(now * 10**9))
        threshold, = [r for r in got.values() if r["metadata"].get("DataSource") == "value"]
        self.assertEqual(threshold["labels"]["severity"], "warning")
        self.assertEqual(threshold["metadata"]["CurrentValue"], "50")
        self.assertEqual(threshold["metadata"]["WarningMax"], "10")


class Configuration(Collectd):
    BAD = [  # block, what the log must say
        ('<Metrics>\nURL "ftp://x"\n</Metrics>', ["metrics_url", "ftp", "http or https"]),
        ('<Metrics>\nURL "http://127.0.0.1:1/api/v1/push"\nBatchAge "9x"\n</Metrics>', ["metrics_batch_age", "9x", "10ms..1h"]),
        ('<Metrics>\nURL "http://127.0.0.1:1/api/v1/push"\nBatchAgee 1\n</Metrics>', ["BatchAgee", "metrics_batch_age"]),
        ('<Metrics>\nURL "http://127.0.0.1:1/api/v1/push"\nQueueDir "/x"\n</Metrics>', ["QueueDir", "unknown option"]),
        ('QueueDirr "/x"', ["QueueDirr", "queue_dir"]),
        ('Overflow "never"', ["overflow", "never", "drop_oldest"]),
        ('TokenFile "/a" "/b"', ["TokenFile", "one value"]),
        ('<Metrik>\nURL "http://127.0.0.1:1/x"\n</Metrik>', ["Metrik", "<Metrics> and <Logs>"]),
        ('<Logs>\nURL "http://127.0.0.1:1"\nLabel "a"\n</Logs>', ["Label", "a name and a value"]),
        ('ShutdownTimeout "soon"\n<Logs>\nURL "http://127.0.0.1:1"\n</Logs>', ["ShutdownTimeout", "soon", "0..1h"]),
        ('ReportStats "yes"\n<Logs>\nURL "http://127.0.0.1:1"\n</Logs>', ["ReportStats", "true or false"]),
        ('ConfigFile "/nowhere/gcw.conf"', ["/nowhere/gcw.conf"]),
        ('Overflow "error"', ["metrics_url", "logs_url"]),
    ]

    def test_bad_value_stops_the_start_with_key_value_and_what_is_allowed(self):
        for block, words in self.BAD:
            conf = self.configure(block, plugins=())
            run = subprocess.run([self.binary, "-f", "-C", conf], capture_output=True, text=True, timeout=60, env=clean_env(), cwd=self.dir)
            said = [l for l in (run.stdout + run.stderr).splitlines() if "grafana_cloud plugin" in l]
            self.assertNotEqual(run.returncode, 0, block)
            for word in words:
                self.assertIn(word, "\n".join(said), block)

    def test_every_option_goes_by_its_own_name_and_in_the_style_of_collectd(self):
        base = self.receive()
        (self.dir / "gcw.conf").write_text(f"metrics_tenant = 77\nretry_max = 1m\n")
        p = self.run_collectd(f'ConfigFile "{self.dir}/gcw.conf"\nqueue_dir "{self.dir}/q"\nQueueMode "spill"\nTlsVerify true\n'
                              f'metrics_url "{base}/api/v1/push"\nHeaders "X-A: 1" "X-B: 2"\nRetryMin 0.5\nMemoryLimit 33554432\n'
                              f'<Metrics>\nLabels "a=1" "b=2"\nbatch_age "100ms"\nLabel "c" "3"\n</Metrics>')
        self.tell('PUTVAL "h1/one/gauge" interval=1 N:7')
        r = wait_for("sample", lambda: self.records("sample"))[0]
        self.assertEqual({k: r["labels"].get(k) for k in "abc"}, {"a": "1", "b": "2", "c": "3"})
        self.assertTrue((self.dir / "q").is_dir())
        self.assertEqual(self.stop(p), 0, self.log_text())

    def test_example_works_as_pasted(self):
        token = self.token_file()
        base = self.receive("--token-file", str(token), "--tenant", "metrics=123456", "--tenant", "logs=654321")
        example = (ROOT / "plugin/hosts/collectd/grafana_cloud.conf").read_text()
        for there, here in (("/etc/gcw/token", token), ("/var/lib/collectd/gcw", self.dir / "q"),
                            ("https://prometheus-prod-01.grafana.net", base), ("https://logs-prod-006.grafana.net", base)):
            self.assertEqual(example.count(str(there)), 1, there)
            example = example.replace(str(there), str(here))
        conf = self.configure("")
        conf.write_text(conf.read_text().partition("LoadPlugin grafana_cloud")[0] + example)
        p = self.run_conf(conf, ["unixsock"])
        self.tell('PUTVAL "h1/one/gauge" interval=1 N:7')
        self.tell(f'PUTNOTIF severity=okay time={int(time.time())} host=h1 message="fine"')
        wait_for("value in csv", lambda: list(self.csv.rglob("gauge-*")))
        self.assertEqual(self.stop(p), 0, self.log_text())
        sample, = self.records("sample")
        self.assertEqual(sample["labels"], {"__name__": "collectd_one_gauge", "instance": "h1", "job": "collectd"})
        self.assertEqual(sample["tenant"], "123456")
        entry, = self.records("entry")
        self.assertEqual((entry["line"], entry["labels"], entry["tenant"]),
                         ("fine", {"severity": "okay", "instance": "h1", "job": "collectd"}, "654321"))

    def test_token_reaches_the_receiver_and_no_log(self):
        token = self.token_file()
        base = self.receive("--token-file", str(token), "--tenant", "metrics=123")
        p = self.run_collectd(f'TokenFile "{token}"\nTrace true\nLogLevel "debug"\n' + self.metrics(base, 'Tenant "123"\nBatchAge "100ms"'))
        self.tell('PUTVAL "h1/one/gauge" interval=1 N:7')
        self.assertEqual(wait_for("sample", lambda: self.records("sample"))[0]["tenant"], "123")
        self.assertEqual(self.stop(p), 0)
        self.assertNotIn(TOKEN, self.log_text())


class Outage(Collectd):
    IDENTIFIERS = 12

    def receive(self, *args):
        self.start_s = int(time.time()) - 300
        return super().receive(*args)

    def run_collectd(self, block, more="", **kw):
        # values of one identifier that come this fast could change places between write threads
        return super().run_collectd(block, more="WriteThreads 1\n" + more, **kw)

    def put(self, first, count):
        for n in range(first, first + count):
            for i in range(self.IDENTIFIERS):
                self.tell(f'PUTVAL "h1/one-{i}/derive" interval=3600 {self.start_s + n}:{n}')
        # what stands in collectd's own queue at shutdown it drops
        wait_for("values in csv", lambda: self.csv_lines() >= self.IDENTIFIERS * (first + count + 1))

    def csv_lines(self):
        return sum(len(f.read_text().splitlines()) for f in (self.csv / "h1").rglob("*-????-??-??"))

    def assert_arrived(self, count):
        """Each value put, none else; twice only where an answer may have been lost."""
        got = {k: sorted(set(v)) for k, v in self.accepted_samples().items() if ("instance", "h1") in k[1]}
        want = [((self.start_s + n) * 1000, struct.pack(">d", n).hex()) for n in range(count)]
        self.assertEqual(len(got), self.IDENTIFIERS)
        for key, values in got.items():
            self.assertEqual(values, want, key)

    def arrived(self):
        return len([r for r in self.records("sample") if r["labels"]["instance"] == "h1"])

    def outage(self, base):
        get(base + "/control", data=b"status=503")

    def well(self, base):
        get(base + "/control", data=b"clear=on")

    def test_outage_is_bridged_and_nothing_is_lost(self):
        base = self.receive()
        p = self.run_collectd('RetryMin "50ms"\nRetryMax "200ms"\n' + self.metrics(base, 'BatchAge "50ms"'))
        self.put(0, 20)
        self.outage(base)
        self.put(20, 40)
        wait_for("refused push", lambda: "503" in self.log_text())
        self.well(base)
        self.put(60, 20)
        self.assertEqual(self.stop(p), 0, self.log_text())
        self.assert_arrived(80)

    def test_shutdown_in_an_outage_ends_in_time_and_counts_what_is_lost(self):
        base = self.receive()
        p = self.run_collectd('ShutdownTimeout "300ms"\n' + self.metrics(base, 'BatchAge "50ms"'))
        self.outage(base)
        self.put(0, 3)
        self.assertNotEqual(self.stop(p), 0)
        self.assertIn("lost at shutdown: 36 values", self.log_text())

    def test_queue_dir_keeps_what_a_shutdown_in_an_outage_left(self):
        base = self.receive()
        block = f'QueueDir "{self.dir}/q"\nShutdownTimeout 0.3\n' + self.metrics(base, 'BatchAge "50ms"')
        p = self.run_collectd(block)
        self.outage(base)
        self.put(0, 10)
        self.assertEqual(self.stop(p), 0, self.log_text())
        self.assertEqual(self.records("sample"), [])
        self.well(base)
        p = self.run_collectd(block)
        self.put(10, 10)
        wait_for("all values", lambda: self.arrived() >= 240, 60)
        self.assertEqual(self.stop(p), 0, self.log_text())
        self.assert_arrived(20)

    def test_queue_dir_survives_kill_9(self):
        base = self.receive()
        block = f'QueueDir "{self.dir}/q"\nReportStats true\n' + self.metrics(base, 'BatchAge "50ms"')
        p = self.run_collectd(block, interval=3600)
        self.outage(base)
        self.put(0, 20)

        def on_disk():
            run = self.gcw("queue", "list", "--json", self.dir / "q")
            return sum(r["records"] for r in map(json.loads, run.stdout.decode().splitlines()) if "records" in r) >= 240

        wait_for("values on disk", on_disk)
        p.kill()
        p.wait()
        self.well(base)
        p = self.run_collectd(block)
        wait_for("all values", lambda: self.arrived() >= 240, 60)
        self.assertEqual(self.stop(p), 0, self.log_text())
        self.assert_arrived(20)


class Isolation(Collectd):
    def names(self, *args):
        return {l.split()[-1] for l in subprocess.run(["nm", "-D", *args, MODULE], capture_output=True, text=True, check=True).stdout.splitlines()}

    def test_module_exports_its_entry_point_alone(self):
        self.assertEqual(self.names("--defined-only"), {"module_register"})

    def test_module_binds_of_the_host_nothing_but_its_plugin_api(self):
        unversioned = {n for n in self.names("--undefined-only") if "@" not in n}
        foreign = {n for n in unversioned if not re.match(r"plugin_(register_\w+|log|dispatch_values)$", n)}
        # zlib, libdeflate and protobuf-c are linked in
        self.assertEqual(foreign - {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}, set())


del Collectd

if __name__ == "__main__":
    unittest.main()
