"""Targets that want credentials or TLS, and files of targets: gcw push metrics --targets."""
import base64
import ssl

from harness import *
from remote import *

PASSWORD = "EXAMPLE horse battery"
# of PASSWORD, by bcrypt at its least cost
HASH = "$2b$04$abcdefghijklmnopqrstuuRggv523DPEGASiAw.LroXmP5GrQn9m."


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Guarded(Exporter):
    """An exporter that wants to see who comes. `wants` is the Authorization header it takes, else it answers with `refusal`; `moved`
    a function of the path to where it sends one on. Kept of each request: path, Authorization, and the client's certificate."""

    def __init__(self, page="a 1\n", tls=None):
        self.wants, self.refusal, self.moved, self.paths, self.shown, self.names = None, 401, {}, [], [], []
        super().__init__(page)
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
            self.url = f"https://{self.address}/metrics"
        self.http.RequestHandlerClass.do_GET = Guarded.guard

    @staticmethod
    def guard(request):
        self = request.owner
        shown = request.headers.get("Authorization")
        certificate = request.connection.getpeercert() if isinstance(request.connection, ssl.SSLSocket) else None
        with self.lock:
            self.paths.append(request.path)
            self.shown.append(shown)
            self.names.append(dict(pair for rdn in certificate["subject"] for pair in rdn)["commonName"] if certificate else None)
        request.close_connection = True  # each scrape comes by a connection of its own
        if request.path in self.moved:
            answer(request, 302, b"", [("Location", self.moved[request.path]), ("Connection", "close")])
        elif self.wants and shown != self.wants:
            answer(request, self.refusal, b"you showed " + str(shown).encode(), [("Connection", "close")])
        else:
            Exporter.serve(request)


class Access(Case):
    def setUp(self):
        super().setUp()
        self.sink = Sink()
        self.addCleanup(self.sink.stop)

    def target(self, *args, **kw):
        t = Guarded(*args, **kw)
        self.addCleanup(t.stop)
        return t

    def put(self, name, content):
        """A new file takes the old one's name, as careful programs do."""
        (self.dir / "next").write_text(content)
        (self.dir / "next").rename(self.dir / name)
        return self.dir / name

    def targets(self, *lines, name="targets"):
        return self.put(name, "".join(line + "\n" for line in lines))

    ARGS = ("--scrape-timeout", "30s", "--set", "metrics_batch_age=10ms", "--set", "metrics_metadata=off", "--verbose", "--set", "trace=on")

    def scrape(self, *args, rounds=1, code=0, stdin=None):
        run = self.gcw("push", "metrics", "--url", self.sink.url, "--interval", "200ms", *self.ARGS, "--scrapes", rounds, *args, stdin=stdin)
        self.look(run.stdout + run.stderr)
        self.assertEqual(run.returncode, code, run.stderr)
        return run.stderr.decode()

    def running(self, *args):
        p = self.start(GCW, "push", "metrics", "--url", self.sink.url, "--interval", "100ms", *self.ARGS, *map(str, args))
        self.log = lambda: (self.dir / f"gcw-{self.processes.index(p)}.log").read_text()
        self.addCleanup(lambda: self.look((self.dir / f"gcw-{self.processes.index(p)}.log").read_bytes()) if self.dir.exists() else None)
        return p

    def end(self, p):
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(30), 0, self.log())
        self.look(self.log().encode())

    def look(self, output):
        """No secret in it, in no form."""
        for secret in (PASSWORD, TOKEN):
            self.assertNotIn(secret.encode(), output)
            self.assertNotIn(secret[4:].encode(), output)
            for before in ("", "1", "12"):
                code = base64.b64encode((before + secret).encode()).decode()
                self.assertNotIn(code[4:20].encode(), output)

    def ups(self):
        """What `up` was, for each job, in order; None for a marker."""
        out = {}
        for name, labels, bits, _ in flat(self.sink):
            if name == "up":
                out.setdefault(labels["job"], []).append(None if bits == STALE else number(bits))
        return out


class Settings(Access):
    def test_each_target_has_its_own_labels_and_limits(self):
        page = 'a{site="theirs"} 1 1700000000000\n'
        first, second = self.target(page), self.target(page)
        self.scrape("--keep-series", "--targets", self.targets(
            "# two of them", "", f'{first.url} job=one label.site="north wing" label.instance=router own_timestamps=on timeout=7s',
            f"{second.url} job=two label.site=south honor_labels=on"))
        got = {(labels["job"], name): (labels, ms) for name, labels, _, ms in flat(self.sink)}
        self.assertEqual(got["one", "a"][0], {"job": "one", "instance": "router", "site": "north wing", "exported_site": "theirs"})
        self.assertEqual(got["one", "up"][0], {"job": "one", "instance": "router", "site": "north wing"})
        self.assertEqual(got["two", "a"], ({"job": "two", "instance": second.address, "site": "theirs"}, 1700000000000))
        self.assertEqual(got["one", "a"][1], got["one", "up"][1])
        self.assertEqual([float(t.seen[0]["X-Prometheus-Scrape-Timeout-Seconds"]) for t in (first, second)], [7, 30])

    def test_each_target_has_its_own_interval(self):
        fast, slow = self.target(), self.target()
        p = self.running("--targets", self.targets(f"{fast.url} job=fast", f"{slow.url} job=slow interval=1s"))
        wait_for("the fast one is scraped more often", lambda: 2 <= len(slow.seen) <= len(fast.seen) - 5)
        self.end(p)

    def test_parameters_of_the_url_reach_the_exporter(self):
        probe = self.target("probe_success 1\n")
        url = f"http://{probe.address}/probe?module=icmp&target="
        self.scrape("--keep-series", "--targets", self.targets(f"{url}a.example job=ping label.instance=a.example", f"{url}b.example%2Fx job=ping label.instance=b"))
        self.assertEqual(sorted(probe.paths), ["/probe?module=icmp&target=a.example", "/probe?module=icmp&target=b.example%2Fx"])
        self.assertEqual({labels["instance"] for name, labels, *_ in flat(self.sink) if name == "probe_success"}, {"a.example", "b"})

    def test_targets_come_from_several_files_and_the_command_line(self):
        one, two, three = self.target(), self.target(), self.target()
        self.put("more", f"{two.url} job=two\n")
        self.scrape("--scrape", f"three={three.url}", "--targets", self.targets(f"{one.url} job=one"), "--targets", self.dir / "more")
        self.assertEqual({job: up[0] for job, up in self.ups().items()}, {"one": 1, "two": 1, "three": 1})

    def test_what_is_wrong_is_told_before_anything_is_sent(self):
        t = self.target()
        empty, token = self.put("empty", ""), self.token_file()
        for args, words in (
                (("--targets", self.targets("# only", f"{t.url} intervall=1s", name="typo")), "typo:2: unknown key \"intervall\"; the nearest known one is \"interval\""),
                (("--targets", self.dir / "absent"), "absent: No such file"), (("--targets", self.targets("# nothing", name="nothing")), "no target in any file"),
                (("--scrape", "http://u:p@x/"), "--scrape-user and --scrape-password-file"), (("--scrape", t.url, "--scrape-user", "me"), "one needs the other"),
                (("--scrape", t.url, "--scrape-token-file", empty), "it is empty"), (("--scrape", t.url, "--scrape-ca-file", "absent"), "ca_file: absent"),
                (("--scrape", "http://target.example/", "--scrape-token-file", token), "in clear text"),
                (("--scrape", t.url, "--scrape-body-limit", "big"), "--scrape-body-limit: \"big\" is not allowed: 1B..4GiB"),
                (("--scrape", t.url, "--scrape", t.url + "/other"), "has the same labels"), (("--targets", self.dir / "typo", "file.prom"), "no files beside it")):
            self.assertIn(words, self.scrape(*args, code=2))
        self.assertEqual((t.paths, self.sink.requests), ([], []))

    def test_the_example_of_a_file_is_good(self):
        text = (ROOT / "plugin/cli/scrape/examples/targets").read_text().replace("/etc/gcw", str(self.dir))
        for name in ("router.password", "plant.token", "ca.crt", "client.crt", "client.key"):
            self.put(name, "something")
        self.put("example", text)
        err = self.scrape("--targets", self.dir / "example", "--targets", self.targets("nonsense"), code=2)
        self.assertIn("targets:1: \"nonsense\" is no http or https URL", err)  # the first file was through by then

    def test_help_and_man_page_name_every_key(self):
        text = self.gcw("push", "metrics", "--help").stdout.decode()
        page = self.gcw("help", "man", "gcw").stdout.decode().replace("\\", "")
        keys = "job interval timeout body_limit honor_labels own_timestamps user password_file token_file cleartext ca_file cert_file key_file insecure"
        for key in keys.split():
            self.assertIn(f"[{key}]", text)
            self.assertIn(f"[{key}]", page)


class Credentials(Access):
    def test_targets_are_shown_what_their_line_names(self):
        """Options say it for all; a line overrides them, or sets them aside."""
        self.put("password", PASSWORD + "\n"), self.token_file()
        plain, other, bearer, none = (self.target() for _ in range(4))
        self.scrape("--scrape", f"plain={plain.url}", "--scrape-user", "me", "--scrape-password-file", self.dir / "password", "--targets", self.targets(
            f"{other.url} job=other user=you", f"{bearer.url} job=bearer token_file={self.dir}/token", f'{none.url} job=none user="" password_file=""'))
        self.assertEqual([t.shown for t in (plain, other, bearer, none)],
                         [[basic("me", PASSWORD)], [basic("you", PASSWORD)], [f"Bearer {TOKEN}"], [None]])

    def test_a_secret_that_comes_through_a_pipe_is_for_all_targets(self):
        one, two = self.target(), self.target()
        self.scrape("--scrape", f"one={one.url}", "--scrape", f"two={two.url}", "--scrape-token-file", "/dev/stdin", rounds=2, stdin=TOKEN.encode() + b"\n")
        self.assertEqual([set(t.shown) for t in (one, two)], [{f"Bearer {TOKEN}"}] * 2)

    def test_a_replaced_token_is_used_without_a_restart(self):
        t = self.target()
        t.wants = f"Bearer {TOKEN}"
        self.put("token", "EXAMPLEold")
        p = self.running("--targets", self.targets(f"{t.url} job=t token_file={self.dir}/token"))
        wait_for("it is refused", lambda: "scrape failed: HTTP 401: it does not take what token_file holds" in self.log())
        self.put("token", TOKEN)
        wait_for("it is taken", lambda: "scraped again" in self.log())
        wait_for("it is up", lambda: self.ups()["t"][-1] == 1)
        self.put("token", "")  # being written: what was read before stays
        wait_for("it is told", lambda: "what was read before stays in use" in self.log())
        n = len(t.paths)
        wait_for("two more", lambda: len(t.paths) > n + 2)
        self.assertEqual(t.shown[-1], t.wants)
        for name in ("cmdline", "environ"):
            self.look(pathlib.Path(f"/proc/{p.pid}/{name}").read_bytes())
        self.end(p)

    def test_redirects_are_followed_but_credentials_go_to_no_other_host(self):
        self.token_file()
        other, t = self.target(), self.target()
        port, where = other.address.split(":")[1], t.url.replace("/metrics", "/inner")
        for location, shown in ((where, f"Bearer {TOKEN}"), (f"http://127.0.0.1:{port}/metrics", None), (f"http://localhost:{port}/metrics", None)):
            t.moved = {"/metrics": location}
            t.shown, other.shown = [], []
            self.scrape("--scrape", f"t={t.url}", "--scrape-token-file", self.dir / "token")
            self.assertEqual((t.shown + other.shown)[:2], [f"Bearer {TOKEN}", shown], location)
        other.wants = "Basic x"
        self.assertIn("HTTP 401 after a redirect", self.scrape("--scrape", f"t={t.url}", "--scrape-token-file", self.dir / "token"))

    def test_no_credentials_go_on_over_http_when_https_was_asked(self):
        self.token_file(), self.authority(), self.certificate("server")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self.dir / "server.crt", self.dir / "server.key")
        clear, t = self.target(), self.target(tls=tls)
        t.moved = {"/metrics": clear.url}
        self.scrape("--scrape", t.url, "--scrape-token-file", self.dir / "token", "--scrape-ca-file", self.dir / "ca.crt")
        self.assertEqual((t.shown, clear.shown), ([f"Bearer {TOKEN}"], [None]))


class Failures(Access):
    def test_each_kind_of_failure_is_told_once_in_words(self):
        """up is 0 each time; the words come when the state changes, not with each scrape."""
        self.token_file()
        t, large, slow = self.target(), self.target("a 1\n" * 100), self.target()
        slow.delay, away = 5, free_port()
        t.wants = "Bearer another"
        err = self.scrape("--targets", self.targets(
            f"{t.url} job=refused token_file={self.dir}/token", f"{t.url} job=nothing_shown", f"{large.url} job=large body_limit=64B",
            f"http://127.0.0.1:{away}/ job=away", f"{slow.url} job=slow timeout=200ms"), rounds=3)
        self.assertEqual({job: up[:3] for job, up in self.ups().items()}, {job: [0] * 3 for job in ("refused", "nothing_shown", "large", "away", "slow")})
        for words in ("HTTP 401: it does not take what token_file holds", "HTTP 401: it wants credentials (user and password_file, or token_file)",
                      "the answer is larger than 64B (body_limit)", "Failed to connect", "imed out"):
            self.assertEqual(err.count(words), 1, err)
        self.assertNotIn("scraped again", err)

    def test_another_kind_of_failure_is_told_too(self):
        t = self.target()
        t.wants = "Bearer x"
        p = self.running("--scrape", f"t={t.url}")
        wait_for("401", lambda: "scrape failed: HTTP 401: it wants credentials" in self.log())
        t.refusal = 403
        wait_for("403", lambda: "scrape failed: HTTP 403: it wants credentials" in self.log())
        t.wants = None
        wait_for("again", lambda: "scraped again" in self.log())
        self.end(p)
        self.assertEqual(self.log().count("scrape failed"), 2)


class Tls(Access):
    def context(self, name, **more):
        c = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, **more)
        c.load_cert_chain(self.dir / f"{name}.crt", self.dir / f"{name}.key")
        return c

    def test_certificates_that_hold_are_taken_and_others_named(self):
        self.authority(), self.authority("other")
        self.certificate("server"), self.certificate("name", alt="DNS:elsewhere.example"), self.certificate("old", days=-1)
        good, name, old = (self.target(tls=self.context(c)) for c in ("server", "name", "old"))
        self.put("bad.crt", "no certificate\n")
        plain = self.target()
        err = self.scrape("--scrape-ca-file", self.dir / "ca.crt", "--targets", self.targets(
            f"{good.url} job=good", f"{good.url} job=unknown ca_file=other.crt", f"{good.url} job=system ca_file=", f"{name.url} job=name",
            f"{old.url} job=old", f"{good.url} job=bad ca_file=bad.crt", f"https://{plain.address}/ job=plain",
            f"{old.url} job=blind insecure=on", f"{name.url} job=blind2 insecure=on"))
        self.assertEqual({job for job, up in self.ups().items() if up[0] == 1}, {"good", "blind", "blind2"})
        lines = [line for line in err.splitlines() if "scrape failed" in line]
        self.assertEqual(len(lines), 6, err)
        for words in ("nothing in ca_file vouches for it", "ca_file can name what to trust", "subject name", "expired", "see ca_file"):
            self.assertEqual(sum(words in line for line in lines), 1, (words, err))
        self.assertEqual(sum(f"https://{plain.address}/" in line and "SSL" in line for line in lines), 1, err)
        self.assertEqual(err.count("certificates are not checked"), 1)

    def test_client_certificates_are_shown_and_rotate(self):
        self.authority(), self.certificate("server"), self.certificate("one"), self.certificate("two")
        self.authority("other"), self.certificate("stranger", ca="other")
        tls = self.context("server", cafile=self.dir / "ca.crt")
        tls.verify_mode = ssl.CERT_REQUIRED
        t = self.target(tls=tls)
        copy = lambda name: [self.put(f"client.{kind}", (self.dir / f"{name}.{kind}").read_text()) for kind in ("key", "crt")]
        copy("one")
        p = self.running("--scrape-ca-file", self.dir / "ca.crt", "--targets", self.targets(
            f"{t.url} job=shown cert_file=client.crt key_file=client.key", f"{t.url} job=nothing",
            f"{t.url} job=stranger cert_file=stranger.crt key_file=stranger.key"))
        wait_for("both have been", lambda: {"shown", "nothing", "stranger"} <= set(self.ups()))
        ups = self.ups()
        self.assertEqual((ups["shown"][0], ups["nothing"][0], ups["stranger"][0]), (1, 0, 0), self.log())
        self.assertEqual(set(t.names), {"one"})
        copy("two")
        wait_for("the new one is shown", lambda: "two" in t.names)
        self.end(p)
        for hint in ("it may want cert_file and key_file", "it may not take the certificate in cert_file"):
            self.assertRegex(self.log(), f"scrape failed: .*({hint}|SSL_connect)")  # the latter from a server with TLS 1.2

    def test_another_authority_counts_from_the_next_connection_on(self):
        self.authority(), self.authority("other"), self.certificate("server")
        t = self.target(tls=self.context("server"))
        self.put("trust.crt", (self.dir / "other.crt").read_text())
        p = self.running("--scrape", f"t={t.url}", "--scrape-ca-file", "trust.crt")
        wait_for("it is not trusted", lambda: "scrape failed" in self.log())
        self.put("trust.crt", (self.dir / "ca.crt").read_text())
        wait_for("it is", lambda: "scraped again" in self.log())
        self.end(p)


class Reload(Access):
    def test_sighup_begins_what_is_new_ends_what_is_gone_and_leaves_the_rest(self):
        stays, goes, comes = self.target("s 1\n"), self.target("g 1\n"), self.target("c 1\n")
        p = self.running("--targets", self.targets(f"{stays.url} job=stays", f"{goes.url} job=goes"))
        wait_for("both are up", lambda: all(self.ups().get(job, [0])[-1] == 1 for job in ("stays", "goes")))
        self.targets("# moved down", f"{comes.url}   job=comes", f'{stays.url} job="stays"')
        p.send_signal(signal.SIGHUP)
        wait_for("the new one is up", lambda: self.ups().get("comes", [0])[-1] == 1)
        self.assertIn("targets read again: 1 go on, 1 begin, 1 ended", self.log())
        ended = lambda: {name for name, labels, bits, _ in flat(self.sink) if labels["job"] == "goes" and bits == STALE}
        wait_for("markers", lambda: len(ended()) == 6)
        n, m = len(goes.paths), len(stays.paths)
        wait_for("the rest goes on", lambda: len(stays.paths) > m + 3)
        self.assertEqual(len(goes.paths), n)

        self.targets(f"{comes.url} job=comes nonsense=1")
        p.send_signal(signal.SIGHUP)
        wait_for("it is refused", lambda: "targets:1: unknown key \"nonsense\"" in self.log())
        self.assertIn("the targets stay as they were", self.log())
        m = len(stays.paths), len(comes.paths)
        wait_for("both go on", lambda: len(stays.paths) > m[0] + 1 and len(comes.paths) > m[1] + 1)
        got = [(name, number(bits)) for name, labels, bits, _ in flat(self.sink) if labels["job"] == "stays"]
        self.assertNotIn(None, self.ups()["stays"])
        self.assertEqual([v for name, v in got if name == "scrape_series_added"].count(1), 1)  # as if nothing had been
        self.end(p)

    def test_a_target_whose_settings_change_ends_and_begins_in_order(self):
        t = self.target()
        p = self.running("--targets", self.targets(f"{t.url} job=t"))
        wait_for("it is up", lambda: self.ups().get("t", [0])[-1] == 1)
        self.targets(f"{t.url} job=t interval=150ms honor_labels=on")
        p.send_signal(signal.SIGHUP)
        wait_for("it is again", lambda: None in self.ups()["t"] and self.ups()["t"][-1] == 1)
        self.end(p)
        times = [ms for name, _, _, ms in flat(self.sink) if name == "up"]
        self.assertEqual(times, sorted(set(times)))


class Peers(Access):
    def web(self):
        self.authority(), self.certificate("server"), self.certificate("client")
        self.put("password", PASSWORD)
        self.put("web.yml", f"""tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt,
            client_auth_type: RequireAndVerifyClientCert}}
basic_auth_users: {{me: "{HASH}"}}
""")

    def scraped(self, url):
        """Up with all that it wants, and down with less."""
        wait_for("it listens", lambda: socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))).close() is None)
        err = self.scrape("--scrape-ca-file", "ca.crt", "--scrape-cert-file", "client.crt", "--scrape-key-file", "client.key", "--targets", self.targets(
            f"{url} job=good user=me password_file=password", f"{url} job=wrong user=you password_file=password", f"{url} job=none",
            f'{url} job=no_cert user=me password_file=password cert_file="" key_file=""'), "--keep-series")
        self.assertEqual(self.ups(), {"good": [1], "wrong": [0], "none": [0], "no_cert": [0]}, err)
        self.assertIn("HTTP 401: it does not take user with what password_file holds", err)
        self.assertIn("HTTP 401: it wants credentials", err)
        return {name for name, labels, *_ in flat(self.sink) if labels["job"] == "good"}

    def test_node_exporter_with_tls_client_certificates_and_basic_authentication(self):
        program, port = need("prometheus-node-exporter"), free_port()
        self.web()
        self.start(program, f"--web.listen-address=127.0.0.1:{port}", "--web.config.file=web.yml")
        self.assertIn("node_load1", self.scraped(f"https://127.0.0.1:{port}/metrics"))

    def test_prometheus_with_the_same(self):
        program, port = need("prometheus"), free_port()
        self.web()
        self.put("prometheus.yml", "global: {}\n")
        self.start(program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}", "--web.config.file=web.yml")
        self.assertIn("prometheus_build_info", self.scraped(f"https://127.0.0.1:{port}/metrics"))


if __name__ == "__main__":
    unittest.main()
