"""Receivers that do not behave: slow, cut, lying, huge, redirecting, with certificates that do not hold. The writer keeps
its data, its memory and its secrets."""
import re
import socket
import ssl
import subprocess
import threading
import warnings

from harness import *

LINES = b"".join(b"number %d\n" % n for n in range(2000))


def peak_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


class Server(threading.Thread):
    """Calls answer(connection, number) for each connection, with the request read first."""

    def __init__(self, answer, tls=None, address=("127.0.0.1", 0)):
        super().__init__(daemon=True)
        self.socket = socket.create_server(address)
        self.port = self.socket.getsockname()[1]
        self.answer, self.tls, self.seen, self.requests = answer, tls, [], 0
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                while self.one(connection):
                    pass
        except OSError:
            pass

    def one(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return False
            head += more
        head, body = head.split(b"\r\n\r\n", 1)
        length = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                return False
            body += more
        self.seen.append(head)
        self.requests += 1
        return self.answer(connection, self.requests)

    def close(self):
        self.socket.close()


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Hostile(Case):
    def push(self, answer, *args, after=3, lines=LINES):
        """The first `after` requests get the hostile answer, then all is well; everything must arrive."""
        server = Server(lambda c, n: answer(c) if n <= after else (c.sendall(OK) or True))
        self.addCleanup(server.close)
        run = self.gcw("push", "logs", "-u", f"http://127.0.0.1:{server.port}", "-t", "123456", "--token-file", self.token_file(), "-s",
                       "retry_min=10ms", "-s", "retry_max=50ms", "-s", "request_timeout=1s", "-s", "park_probe=100ms", "--summary", "json",
                       "--verbose", *args, stdin=lines)
        self.assertNotIn(TOKEN.encode(), run.stdout + run.stderr)
        self.assertEqual((run.returncode, summary(run)["delivered"]), (0, 2000), run.stderr[-2000:])
        self.assertGreater(server.requests, after)
        return server

    def test_answer_cut_in_the_head(self):
        self.push(lambda c: c.sendall(b"HTTP/1.1 20"))

    def test_no_answer_at_all(self):
        self.push(lambda c: None)

    def test_answer_that_never_comes(self):
        self.push(lambda c: threading.Event().wait(3), after=1)

    def test_answer_a_byte_at_a_time(self):
        def drip(c):
            for b in b"HTTP/1.1 503 x\r\ncontent-length: 40\r\n\r\n":
                c.sendall(bytes([b]))
            return None
        self.push(drip)

    def test_wrong_content_length(self):
        self.push(lambda c: c.sendall(b"HTTP/1.1 503 x\r\ncontent-length: 100\r\n\r\nshort"))
        self.push(lambda c: c.sendall(b"HTTP/1.1 503 x\r\ncontent-length: -5\r\n\r\n"))

    def test_garbage_instead_of_http(self):
        self.push(lambda c: c.sendall(b"\x00\xff\x16\x03" * 100))

    def test_chunked_garbage(self):
        self.push(lambda c: c.sendall(b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\nzzzz\r\nnonsense"))

    def test_endless_headers(self):
        def headers(c):
            c.sendall(b"HTTP/1.1 503 x\r\n")
            for _ in range(20000):
                c.sendall(b"x-more: " + b"y" * 100 + b"\r\n")
        self.push(headers)

    def test_error_body_of_100_mb_takes_no_memory(self):
        def huge(c):
            c.sendall(b"HTTP/1.1 500 x\r\ncontent-length: 104857600\r\n\r\n")
            for _ in range(100):
                c.sendall(b"x" * 1048576)
        server = Server(lambda c, n: huge(c) if n <= 3 else (c.sendall(OK) or True))
        self.addCleanup(server.close)
        p = subprocess.Popen([GCW, "push", "logs", "-u", f"http://127.0.0.1:{server.port}", "-s", "retry_min=10ms", "-s", "retry_max=50ms",
                              "-s", "logs_batch_age=50ms"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_env())
        p.stdin.write(LINES)
        p.stdin.flush()
        wait_for("the fourth request", lambda: server.requests > 3)
        peak = peak_kib(p.pid)
        p.stdin.close()
        self.assertEqual(p.wait(60), 0)
        self.assertLess(peak, (64 if pathlib.Path(GCW).parent.name == "build" else 400) * 1024)

    def test_redirect_sends_no_credentials_elsewhere(self):
        other = Server(lambda c, n: c.sendall(OK) or True)
        self.addCleanup(other.close)
        self.push(lambda c: c.sendall(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n" % other.port) or True)
        self.assertEqual(other.requests, 0)

    def test_resent_requests_are_the_same_bytes_and_metrics_name_the_attempt(self):
        server = Server(lambda c, n: c.sendall(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n" if n < 4 else b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") or True)
        self.addCleanup(server.close)
        run = self.gcw("push", "metrics", "-u", f"http://127.0.0.1:{server.port}/api/v1/write", "-s", "retry_min=10ms", "-s",
                       "metrics_protocol=1.0", stdin=b"a 1\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        attempts = [[line for line in head.split(b"\r\n") if line.lower().startswith(b"retry-attempt")] for head in server.seen]
        self.assertEqual(attempts, [[], [b"Retry-Attempt: 1"], [b"Retry-Attempt: 2"], [b"Retry-Attempt: 3"]])


class Tls(Case):
    def certificate(self, name, ca=None, alt="IP:127.0.0.1"):
        key, crt = self.dir / f"{name}.key", self.dir / f"{name}.crt"
        signed = ["-CA", str(ca) + ".crt", "-CAkey", str(ca) + ".key"] if ca else []
        extension = ["-addext", f"subjectAltName={alt}"] if alt else ["-addext", "basicConstraints=critical,CA:TRUE"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj",
                        f"/CN={name}", *extension, *signed], check=True, capture_output=True)
        return crt, key

    def push(self, crt, key, *args, versions=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        if versions:
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = versions
            context.set_ciphers("ALL:@SECLEVEL=0")
        server = Server(lambda c, n: c.sendall(OK) or True, tls=context)
        self.addCleanup(server.close)
        run = self.gcw("push", "logs", "-u", f"https://127.0.0.1:{server.port}", "-t", "123456", "--token-file", self.token_file(), "--timeout",
                       "1s", "--summary", "json", *args, stdin=b"one line\n")
        self.assertNotIn(TOKEN.encode(), run.stdout + run.stderr)
        return run, server

    def refused(self, run, server, word):
        self.assertEqual(run.returncode, 1)
        self.assertEqual(server.requests, 0)
        self.assertIn(word, run.stderr.decode().lower())

    def test_certificate_of_a_given_authority_is_taken(self):
        self.certificate("ca", alt=None)
        crt, key = self.certificate("good", self.dir / "ca")
        run, server = self.push(crt, key, "-s", f"ca_file={self.dir}/ca.crt")
        self.assertEqual((run.returncode, server.requests), (0, 1), run.stderr)

    def test_self_signed_and_wrong_name_are_refused_before_anything_is_sent(self):
        self.refused(*self.push(*self.certificate("self")), "check ca_file")
        self.certificate("ca", alt=None)
        crt, key = self.certificate("wrong", self.dir / "ca", alt="DNS:elsewhere.example")
        self.refused(*self.push(crt, key, "-s", f"ca_file={self.dir}/ca.crt"), "name")

    def test_expired_certificate_is_refused(self):
        self.certificate("ca", alt=None)
        crt, key = self.certificate("old", self.dir / "ca")
        request, old = self.dir / "old.csr", self.dir / "expired.crt"
        subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=old", "-out", request], check=True, capture_output=True)
        (self.dir / "db").touch()
        (self.dir / "ca.conf").write_text("[ca]\ndefault_ca=x\n[x]\ndatabase=db\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n"
                                          "policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\n")
        subprocess.run(["openssl", "ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile", "ca.key", "-in", request, "-out", old,
                        "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"], check=True, capture_output=True, cwd=self.dir)
        crt = old
        self.refused(*self.push(crt, key, "-s", f"ca_file={self.dir}/ca.crt"), "certificate")

    def test_old_tls_is_refused(self):
        crt, key = self.certificate("self")
        self.refused(*self.push(crt, key, "-s", f"ca_file={crt}", versions=ssl.TLSVersion.TLSv1_1), "tls")


class Connections(Case):
    def follow(self, url, *args, env=()):
        """A push that gets one line at a time; returns what writes a line."""
        p = subprocess.Popen([*env, GCW, "push", "logs", "-u", url, "-s", "logs_batch_age=10ms", "-s", "retry_min=10ms", "-s", "retry_max=100ms",
                              "--summary", "json", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        self.addCleanup(lambda: [f.close() for f in (p.stdin, p.stdout, p.stderr)])
        self.processes.append(p)

        def say(n):
            p.stdin.write(b"number %d\n" % n)
            p.stdin.flush()
        return p, say

    def test_http2_goaway_loses_nothing(self):
        nginx = need("nginx") if shutil.which("nginx") else "/usr/sbin/nginx"
        url = self.receive()
        Tls.certificate(self, "ca", alt=None)
        crt, key = Tls.certificate(self, "server", self.dir / "ca")
        port = free_port()
        (self.dir / "nginx.conf").write_text(f"""daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log;
            events {{}} http {{ access_log {self.dir}/access.log; client_body_temp_path {self.dir}; proxy_temp_path {self.dir};
            fastcgi_temp_path {self.dir}; uwsgi_temp_path {self.dir}; scgi_temp_path {self.dir};
            server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {crt}; ssl_certificate_key {key}; keepalive_requests 3;
            location / {{ proxy_pass {url}; }} }} }}""")
        self.start(nginx, "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"))
        wait_for("nginx", lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
        p, say = self.follow(f"https://127.0.0.1:{port}", "-s", f"ca_file={self.dir}/ca.crt")
        for n in range(20):
            say(n)
            wait_for("delivery", lambda: len(self.records("entry")) == n + 1)
        out, err = p.communicate(timeout=30)
        self.assertEqual((p.returncode, json.loads(out)["delivered"]), (0, 20), err)
        self.assertEqual([r["line"] for r in self.records("entry")], [f"number {n}" for n in range(20)])
        log = (self.dir / "access.log").read_text().splitlines()
        self.assertEqual([line for line in log if "HTTP/2.0" not in line], [])

    def test_name_that_changes_its_address_is_followed(self):
        hosts = self.dir / "hosts"
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            print("SKIPPED: a mount namespace cannot be made")
            self.skipTest("no mount namespace")
        first, second = Server(lambda c, n: c.sendall(OK) or True), None
        self.addCleanup(first.close)
        second = Server(lambda c, n: c.sendall(OK) or True, address=("127.0.0.2", first.port))
        self.addCleanup(second.close)
        hosts.write_text("127.0.0.1 receiver.test\n")
        p, say = self.follow(f"http://receiver.test:{first.port}", "-s", "connection_lifetime=1s",
                             env=("unshare", "-m", "sh", "-c", f"mount --bind {hosts} /etc/hosts && exec \"$@\"", "-"))
        say(0)
        wait_for("the first address", lambda: first.requests == 1)
        hosts.write_text("127.0.0.2 receiver.test\n")

        def turn():
            turn.n += 1
            say(turn.n)
            time.sleep(0.2)
            return second.requests
        turn.n = 0
        wait_for("the second address", turn)
        out, err = p.communicate(timeout=30)
        self.assertEqual((p.returncode, json.loads(out)["delivered"]), (0, turn.n + 1), err)


class Token(Case):
    """The token is replaced while it is in use, well and badly."""

    def test_nothing_is_lost_or_leaked_while_the_token_file_is_replaced(self):
        good = self.token_file()
        url = self.receive("--tenant", "123456", "--token-file", good, "--scope", "logs:write")
        used = self.dir / "used"
        used.write_text(TOKEN)
        log = open(self.dir / "log", "wb")
        self.addCleanup(log.close)
        p = subprocess.Popen([GCW, "push", "logs", "-u", url, "-t", "123456", "--token-file", used, "-s", "token_check=100ms", "-s",
                              "logs_batch_age=20ms", "-s", "park_probe=200ms", "-s", f"queue_dir={self.dir}/queue", "--verbose",
                              "--summary", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=clean_env())
        states = [TOKEN.encode(), b"", TOKEN[:10].encode(), b"glc_EXAMPLEwrong", TOKEN.encode(), b"two words", TOKEN.encode() + b"\n", b"\xff\xfe", TOKEN.encode()]
        for n, state in enumerate(states):
            (self.dir / "next").write_bytes(state)
            (self.dir / "next").replace(used)
            p.stdin.write(b"number %d\n" % n)
            p.stdin.flush()
            before = get(url + "/stats")
            if state.strip() == TOKEN.encode():
                wait_for("delivery", lambda: len(self.records("entry")) == n + 1)
            else:
                wait_for("a refusal or a word", lambda: get(url + "/stats") != before or (self.dir / "log").read_bytes().count(b"parked"))
        out, _ = p.communicate(timeout=60)
        self.assertEqual((p.returncode, json.loads(out)["delivered"]), (0, len(states)))
        self.assertEqual([r["line"] for r in self.records("entry")], [f"number {n}" for n in range(len(states))])
        self.assertNotIn(TOKEN.encode(), (self.dir / "log").read_bytes())
        self.assertNotIn(TOKEN[:10].encode(), (self.dir / "log").read_bytes())


class Outage(Case):
    """The receiver is away for a time worth a lot of data, then comes back."""

    MB = int(os.environ.get("OUTAGE_MB", "100"))

    def test_all_arrives_in_order_memory_stays_flat_and_what_is_new_is_not_starved(self):
        line = b"number %d " + b"x" * 290 + b"\n"
        count = self.MB * 1000000 // 300
        url = self.receive("-m", "status=503")
        err = open(self.dir / "err", "wb")
        self.addCleanup(err.close)
        p = subprocess.Popen([GCW, "push", "logs", "-u", url, "-s", f"queue_dir={self.dir}/queue", "-s", "logs_compression=none", "-s",
                              "retry_max=500ms", "-s", "queue_limit=64GiB", "-s", "logs_batch_age=50ms", "--timeout", "10m", "--summary", "json"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=clean_env())
        for n in range(count):
            p.stdin.write(line % n)
        p.stdin.flush()
        listed = lambda: sum(f.stat().st_size for f in (self.dir / "queue").glob("*.seg"))
        wait_for("the backlog", lambda: listed() > self.MB * 1000000 * 0.95, 300)
        waiting = peak_kib(p.pid)
        # memory_limit of 4 MiB, libraries, read buffer; a sanitizer takes several times that
        self.assertLess(waiting, (40 if pathlib.Path(GCW).parent.name == "build" else 400) * 1024)
        get(url + "/control", data=b"clear=on")
        # while the backlog goes out, new lines are taken, and they arrive although their writer is still at work
        live, deadline = count, time.monotonic() + 300
        while live < count + 20 or not self.arrived(count):
            self.assertLess(time.monotonic(), deadline, "no new line arrives")
            p.stdin.write(line % live)
            p.stdin.flush()
            live += 1
            time.sleep(0.02)
        self.assertIsNone(p.poll())
        out, _ = p.communicate(timeout=600)
        s = json.loads(out)
        self.assertEqual((p.returncode, s["in"], s["delivered"]), (0, live, live), (self.dir / "err").read_text())
        with open(self.accepted) as f:
            for n, record in enumerate(f):
                self.assertIn(f'"number {n} ', record)
        self.assertEqual(n + 1, live)

    def arrived(self, number):
        """Whether a line of that number or a later one is among the last that were accepted."""
        if not self.accepted.exists():
            return False
        with open(self.accepted, "rb") as f:
            f.seek(max(0, self.accepted.stat().st_size - 8192))
            return any(int(n) >= number for n in re.findall(rb'"number (\d+) ', f.read()))


if __name__ == "__main__":
    unittest.main()
