"""The way to the receiver through nginx: certificates, HTTP/2, proxies, age of connections, and no secret on it."""
import base64
import http.server
import re
import select
import socket
import threading

from harness import *

TENANT = "123456"
METRIC = b"up 1\n"


def lines(n, start=0):
    return b"".join(b"number_%d 1\n" % k for k in range(start, start + n))


class NetCase(Case):
    def nginx(self, upstream, servers, certificate="server"):
        """One nginx; `servers` are the directives of a server each. Returns their ports."""
        program = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else need("nginx"))
        ports = [free_port() for _ in servers]
        blocks = ""
        for port, directives in zip(ports, servers):
            files = "" if "ssl_certificate " in directives else f"ssl_certificate {certificate}.crt; ssl_certificate_key {certificate}.key;"
            location = "" if "location" in directives else f"location / {{ proxy_pass {upstream}; proxy_http_version 1.1; }}"
            blocks += f"server {{ listen 127.0.0.1:{port} ssl http2; {files} {directives} {location} }}\n"
        temp = " ".join(f"{kind}_temp_path {self.dir}/temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        (self.dir / "nginx.conf").write_text(f"""{user} daemon off; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx-error.log;
            events {{}} http {{ {temp} client_max_body_size 100m;
            log_format wire '$connection $server_port $server_protocol $ssl_protocol $status $request';
            access_log {self.dir}/access.log wire; ssl_protocols TLSv1.2 TLSv1.3; {blocks} }}""")
        self.start(program, "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"))
        for port in ports:
            wait_for("nginx", lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
        return ports

    def access(self):
        """The requests nginx saw: connection, port, protocol, TLS, status."""
        path = self.dir / "access.log"
        return [line.split()[:5] for line in path.read_text().splitlines()] if path.exists() else []

    def receiver(self):
        return self.receive("--tenant", TENANT, "--token-file", self.token_file())

    def push(self, port, *args, stdin=METRIC, timeout="30s", env=None):
        run = self.gcw("push", "metrics", "--url", f"https://127.0.0.1:{port}/api/v1/push", "--tenant", TENANT, "--token-file", self.dir / "token",
                       "--set", "retry_min=10ms", "--set", "retry_max=100ms", "--timeout", timeout, "--summary", "json", *args, stdin=stdin, env=env)
        self.no_secret(run.stdout + run.stderr)
        return run

    def no_secret(self, text, token=TOKEN):
        """Neither the token nor any piece of its base64, whatever stands before it."""
        self.assertNotIn(token.encode(), text)
        self.assertNotIn(token[6:18].encode(), text)
        for before in ("", "1", "12"):
            code = base64.b64encode((before + token).encode()).decode()
            for at in range(4, len(code) - 12, 4):
                self.assertNotIn(code[at:at + 8].encode(), text)

    def delivered(self, run, count):
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(summary(run)["delivered"], count)
        self.assertEqual(len(self.records("sample")), count)


class Tls(NetCase):
    def test_server_certificates_and_versions(self):
        """Those that hold are taken; with the others nothing is sent, and the words say why."""
        self.authority(), self.authority("other")
        self.certificate("server"), self.certificate("name", alt="DNS:elsewhere.example"), self.certificate("old", days=-1)
        self.certificate("self", ca=None), self.certificate("stranger", ca="other")
        use = "ssl_certificate {0}.crt; ssl_certificate_key {0}.key;".format
        good, name, old, lonely, stranger, first, second = self.nginx(self.receiver(), [
            "", use("name"), use("old"), use("self"), use("stranger"),
            "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;", "ssl_protocols TLSv1.2;"])
        ca = ("--set", f"ca_file={self.dir}/ca.crt")
        v13 = ("--set", "tls_min_version=1.3")
        for port, args, words in [(good, (), b"certificate"), (name, ca, b"subject name"), (old, ca, b"expired"), (lonely, ca, b"certificate"),
                                  (stranger, ca, b"certificate"), (first, ca, b"tls"), (second, ca + v13, b"tls")]:
            with self.subTest(words=words, args=args):
                run = self.push(port, *args, timeout="1s")
                self.assertEqual(run.returncode, 1)
                self.assertEqual(summary(run)["dropped"], 1)  # kept until its time was up: another certificate may come
                self.assertIn(words, run.stderr.lower())
                self.assertEqual(self.access(), [])
        sent = 0
        for port, args, protocol in [(good, ca, "TLSv1.3"), (good, ca + v13, "TLSv1.3"), (second, ca, "TLSv1.2"),
                                     (lonely, ("--set", f"ca_file={self.dir}/self.crt"), "TLSv1.3"), (old, ("--set", "tls_verify=off"), "TLSv1.3")]:
            sent += 1
            self.delivered_so_far(self.push(port, *args), sent)
            self.assertEqual(self.access()[-1][1:4], [str(port), "HTTP/2.0", protocol])

    def delivered_so_far(self, run, count):
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(len(self.records("sample")), count)

    def test_ca_file_that_holds_no_certificate(self):
        self.authority(), self.certificate("server")
        port, = self.nginx(self.receiver(), [""])
        (self.dir / "nonsense.crt").write_text("nonsense\n")
        run = self.push(port, "--set", f"ca_file={self.dir}/nonsense.crt", timeout="1s")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(b"nonsense.crt", run.stderr)
        self.assertEqual(self.access(), [])

    def test_ca_file_is_trusted_instead_of_the_systems_certificates(self):
        self.authority(), self.certificate("server")
        port, = self.nginx(self.receiver(), [""])
        run = self.push(port, "--set", f"ca_file={self.dir}/ca.crt", "--set", "trace=on", "--verbose")
        self.delivered(run, 1)
        self.assertIn(f"CAfile: {self.dir}/ca.crt".encode(), run.stderr)
        self.assertIn(b"CApath: none", run.stderr)

    def test_client_certificate(self):
        """The one that is asked for opens the door; without it, or with a wrong one, the data is kept, not taken for refused."""
        self.authority(), self.authority("other")
        self.certificate("server"), self.certificate("client"), self.certificate("stranger", ca="other")
        port, = self.nginx(self.receiver(), ["ssl_verify_client on; ssl_client_certificate ca.crt;"])
        ca = ("--set", f"ca_file={self.dir}/ca.crt")
        pair = lambda n, k: ("--set", f"client_cert={self.dir}/{n}.crt", "--set", f"client_key={self.dir}/{k}.key")
        self.delivered(self.push(port, *ca, *pair("client", "client")), 1)
        for args, word in (((), b"certificate"), (pair("stranger", "stranger"), b"certificate"), (pair("client", "stranger"), b"key")):
            with self.subTest(args=args):
                run = self.push(port, *ca, *args, timeout="1s")
                s = summary(run)
                self.assertEqual((run.returncode, s["rejected"], s["dropped"]), (1, 0, 1), run.stderr)
                self.assertIn(word, run.stderr.lower())
                self.assertEqual(len(self.records("sample")), 1)


class Http2(NetCase):
    def setUp(self):
        super().setUp()
        self.authority(), self.certificate("server")
        self.ca = ("--set", f"ca_file={self.dir}/ca.crt")

    def test_http2_is_used_where_offered_and_only_if_wanted(self):
        port, = self.nginx(self.receiver(), [""])
        for version, protocol in [("auto", "HTTP/2.0"), ("2", "HTTP/2.0"), ("1.1", "HTTP/1.1")]:
            run = self.push(port, *self.ca, "--set", f"http_version={version}")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(self.access()[-1][2], protocol)

    def test_bytes_of_a_request_are_counted(self):
        port, = self.nginx(self.receiver(), [""])
        run = self.push(port, *self.ca, stdin=lines(5000))
        self.delivered(run, 5000)
        self.assertGreater(summary(run)["bytes_sent"], 5000)

    def test_goaway_with_requests_side_by_side_loses_nothing_and_doubles_nothing(self):
        """keepalive_requests: after so many nginx sends GOAWAY, while other streams of the connection are under way."""
        port, = self.nginx(self.receiver(), ["keepalive_requests 3;"])
        run = self.push(port, *self.ca, "--set", "metrics_lanes=8", "--set", "metrics_batch_records=50", stdin=lines(10000))
        self.delivered(run, 10000)
        self.assertEqual(len({r["labels"]["__name__"] for r in self.records("sample")}), 10000)
        self.assertEqual({protocol for _, _, protocol, _, _ in self.access()}, {"HTTP/2.0"})
        self.assertGreater(len({connection for connection, *_ in self.access()}), 20)

    def test_streams_of_a_connection_do_not_wait_for_each_other(self):
        """Many lanes share one connection from the first; each request gets its own answer."""
        port, = self.nginx(self.receiver(), [""])
        run = self.push(port, *self.ca, "--set", "metrics_lanes=8", "--set", "metrics_batch_records=100", stdin=lines(10000))
        self.delivered(run, 10000)
        self.assertEqual(len({connection for connection, *_ in self.access()}), 1)

    def follow(self, port, *args):
        """A push that lives on; returns what has it send and awaits the delivery."""
        p = subprocess.Popen([GCW, "push", "metrics", "--url", f"https://127.0.0.1:{port}/api/v1/push", "--tenant", TENANT, "--token-file",
                              self.dir / "token", "--set", "metrics_batch_age=10ms", "--summary", "json", *self.ca, *args], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        self.addCleanup(lambda: [f.close() for f in (p.stdin, p.stdout, p.stderr) if f])
        self.processes.append(p)

        def say(start, n=1):
            p.stdin.write(lines(n, start))
            p.stdin.flush()
        return p, say

    def finish(self, p):
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        return json.loads(out)

    def test_connection_is_kept_for_its_lifetime_and_then_left(self):
        port, = self.nginx(self.receiver(), [""])
        for lifetime, renewed in (("1h", False), ("1s", True)):
            p, say = self.follow(port, "--set", f"connection_lifetime={lifetime}")
            seen = len(self.access())
            begin, n = time.monotonic(), 0
            connections = lambda: {connection for connection, *_ in self.access()[seen:]}
            while (time.monotonic() < begin + 2.5 or renewed) and len(connections()) < 2 and time.monotonic() < begin + 30:
                n += 1
                say(n)
                wait_for("delivery", lambda: len(self.access()) >= seen + n)
            self.assertEqual(len(connections()), 2 if renewed else 1)
            self.assertEqual(self.finish(p)["delivered"], n)

    def test_connection_that_is_never_idle_is_left_too(self):
        """Eight lanes, answers after 20 to 90 ms: for several lifetimes there is always a request under way."""
        self.token_file()
        answered = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                answered.append(None)
                time.sleep(0.02 + 0.01 * (len(answered) * 5 % 8))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        self.addCleanup(lambda: (slow.shutdown(), slow.server_close()))
        port, = self.nginx(f"http://127.0.0.1:{slow.server_port}", [""])
        run = self.push(port, *self.ca, "--set", "connection_lifetime=1s", "--set", "metrics_lanes=8", "--set", "metrics_batch_records=5",
                        stdin=lines(4000))
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 4000), run.stderr)
        served = {}
        for connection, *_ in self.access():
            served[connection] = served.get(connection, 0) + 1
        print(served)
        self.assertLess(max(served.values()), 0.5 * sum(served.values()))


class Proxy(NetCase):
    """A proxy that passes on tunnels and plain requests, and notes what it sees."""

    def setUp(self):
        super().setUp()
        self.authority(), self.certificate("server")
        self.ca = ("--set", f"ca_file={self.dir}/ca.crt")
        case = self
        self.seen, self.refusals = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def note(self):
                case.seen.append(f"{self.command} {self.path}\n{self.headers}")
                if not case.refusals:
                    return False
                self.send_response(case.refusals.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True

            def do_CONNECT(self):
                if self.note():
                    return
                host, port = self.path.rsplit(":", 1)
                try:
                    far = socket.create_connection((host, int(port)))
                except OSError:
                    return self.send_error(502)
                with far:
                    self.send_response(200)
                    self.end_headers()
                    ends = {self.connection: far, far: self.connection}
                    while True:
                        for end in select.select(list(ends), [], [])[0]:
                            data = end.recv(65536)
                            if not data:
                                return
                            ends[end].sendall(data)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.note():
                    return
                headers = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(self.path, body, headers)) as r:
                    self.send_response(r.status)
                    for name, value in r.headers.items():
                        if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                            self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(lambda: (self.server.shutdown(), self.server.server_close()))
        self.proxy = f"http://127.0.0.1:{self.server.server_port}"

    def test_tls_goes_through_a_tunnel_and_the_proxy_sees_no_secret(self):
        port, = self.nginx(self.receiver(), [""])
        self.delivered(self.push(port, *self.ca, "--set", f"proxy={self.proxy}"), 1)
        self.assertEqual([s.split()[:2] for s in self.seen], [["CONNECT", f"127.0.0.1:{port}"]])
        self.assertNotIn("uthorization", self.seen[0])
        self.no_secret(self.seen[0].encode())
        self.assertEqual(self.access()[-1][2], "HTTP/2.0")

    def test_plain_http_goes_through_the_proxy(self):
        url = self.receive("--auth", "tenant")
        run = self.gcw("push", "metrics", "--url", url + "/api/v1/push", "--tenant", "a", "--set", f"proxy={self.proxy}", stdin=METRIC)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual([s.split()[:2] for s in self.seen], [["POST", url + "/api/v1/push"]])

    def test_proxy_of_the_environment_is_for_other_hosts_than_this(self):
        self.certificate("server", alt="DNS:receiver.invalid")
        port, = self.nginx(self.receiver(), [""])
        url = self.receive("--auth", "tenant")
        env = {"http_proxy": self.proxy, "https_proxy": self.proxy}
        run = self.gcw("push", "metrics", "--url", url + "/api/v1/push", "--tenant", "a", stdin=METRIC, env=env)
        self.assertEqual((run.returncode, self.seen), (0, []), run.stderr)
        self.gcw("push", "metrics", "--url", "https://receiver.invalid/api/v1/push", "--tenant", "a", "--timeout", "1s", stdin=METRIC, env=env)
        self.assertEqual(self.seen[0].split()[:2], ["CONNECT", "receiver.invalid:443"])
        seen = len(self.seen)
        env["no_proxy"] = "receiver.invalid"
        self.gcw("push", "metrics", "--url", "https://receiver.invalid/api/v1/push", "--tenant", "a", "--timeout", "1s", stdin=METRIC, env=env)
        self.assertEqual(len(self.seen), seen)

    def test_proxy_in_trouble_is_tried_again_whatever_it_says(self):
        self.refusals += [502, 503, 400, 403, 404]
        port, = self.nginx(self.receiver(), [""])
        self.delivered(self.push(port, *self.ca, "--set", f"proxy={self.proxy}"), 1)
        self.assertEqual(len(self.seen), 6)

    def test_proxy_that_wants_credentials_is_named(self):
        self.refusals += [407] * 100
        port, = self.nginx(self.receiver(), [""])
        run = self.push(port, *self.ca, "--set", f"proxy={self.proxy}", timeout="1s")
        self.assertEqual((run.returncode, summary(run)["dropped"]), (1, 1))
        self.assertIn(b"check the proxy", run.stderr)
        self.assertEqual(len(self.seen), 1)  # it is parked, not hammered

    def test_proxys_own_credentials_go_to_the_proxy_and_into_no_log(self):
        secret = "glc_EXAMPLEproxyPassword"
        port, = self.nginx(self.receiver(), [""])
        run = self.push(port, *self.ca, "--set", f"proxy=http://me:{secret}@127.0.0.1:{self.server.server_port}", "--verbose", "--set", "trace=on")
        self.delivered(run, 1)
        code = base64.b64encode(f"me:{secret}".encode()).decode()
        self.assertIn(f"Proxy-Authorization: Basic {code}", self.seen[0])
        self.assertNotIn(secret.encode(), run.stdout + run.stderr)
        self.assertNotIn(code.encode(), run.stdout + run.stderr)


class Secrets(NetCase):
    """The noisiest settings, a server that shows what it was sent, and all that comes out."""

    def setUp(self):
        super().setUp()
        self.authority(), self.certificate("server")
        self.token_file()

    # The whole header, then what is left of it when it is cut somewhere.
    ECHO = ("location / {{ add_header X-Seen $http_authorization always; add_header Set-Cookie $http_authorization always; "
            "return {} 'you sent $http_authorization'; }}")

    def look(self, output):
        self.no_secret(output)
        return output.decode()

    def test_tool_at_its_loudest(self):
        ports = self.nginx("", [self.ECHO.format(status) for status in (401, 400, 503, 200)])
        for port in ports:
            for args in ((), ("--set", "metrics_auth=bearer"), ("--set", "metrics_auth=tenant"), ("--set", "http_version=1.1")):
                run = self.push(port, "--set", f"ca_file={self.dir}/ca.crt", "--set", "trace=on", "--verbose", *args, timeout="500ms")
                text = self.look(run.stdout + run.stderr)
                self.assertIn("/api/v1/push", text)  # loud indeed
                self.assertRegex(text, re.compile("x-seen: .*\\*\\*\\*", re.I))

    def test_library_with_a_log_callback(self):
        program = self.dir / "loud"
        ask = lambda *p: subprocess.run(["pkg-config", "--libs", *p], capture_output=True, text=True, check=True).stdout.split()
        build = pathlib.Path(GCW).parent
        sanitizer = {"asan": ["clang", "-fsanitize=address,undefined"], "tsan": ["clang", "-fsanitize=thread"]}.get(build.name, ["cc"])
        deflate = ["libdeflate"] if subprocess.run(["pkg-config", "--exists", "libdeflate"]).returncode == 0 else []
        subprocess.run([*sanitizer, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/plugin/include", str(ROOT / "tests/system/loud.c"), "-o",
                        str(program), str(build / "libgcw.a"), *ask("libcurl", "zlib", "libprotobuf-c", *deflate), "-lsnappy", "-lm", "-pthread"],
                       check=True)
        ports = self.nginx("", [self.ECHO.format(status) for status in (401, 503)])
        for port in ports:
            for env in ({}, {"GCW_TOKEN": TOKEN}, {"GCW_METRICS_AUTH": "bearer"}):
                run = subprocess.run([program, f"https://127.0.0.1:{port}/api/v1/push", TENANT, self.dir / "token", self.dir / "ca.crt"],
                                     capture_output=True, env=clean_env(**env), timeout=60)
                self.assertEqual(run.returncode, 0, run.stdout)
                text = self.look(run.stdout + run.stderr)
                for words in ("log 4 http: ", "report dropped", "option token_file", "stats "):
                    self.assertIn(words, text)

    def test_process_shows_no_token_to_others(self):
        """Neither its arguments nor its threads' names; the file's path may be seen."""
        url = self.receiver()
        p = subprocess.Popen([GCW, "push", "metrics", "--url", url + "/api/v1/push", "--tenant", TENANT, "--token-file", self.dir / "token",
                              "--set", "metrics_batch_age=10ms"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        self.addCleanup(lambda: [f.close() for f in (p.stdin, p.stderr) if f])
        self.processes.append(p)
        p.stdin.write(METRIC)
        p.stdin.flush()
        wait_for("delivery", lambda: self.records("sample"))
        for name in ("cmdline", "environ", "comm", "status"):
            self.no_secret(pathlib.Path(f"/proc/{p.pid}/{name}").read_bytes())
        _, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0, err)


if __name__ == "__main__":
    unittest.main()
