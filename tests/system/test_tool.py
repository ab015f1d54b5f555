"""The tool as a user meets it: credentials, failures, exit codes, help."""
import base64
import http.server
import pty
import re
import select
import threading

from harness import *

METRIC = b"up{job=\"a\"} 1\n"


class Credentials(Case):
    """The token is in no output, whatever happens."""

    def push(self, *args, stdin=METRIC, env=None, **kw):
        run = self.gcw("push", "metrics", "--timeout", "2s", "--summary", "json", *args, stdin=stdin, env=env, **kw)
        pair = base64.b64encode(f"123456:{TOKEN}".encode())
        for output in (run.stdout, run.stderr):
            self.assertNotIn(TOKEN.encode(), output)
            self.assertNotIn(pair, output)
        return run

    def serve(self, scope="metrics:write"):
        return self.receive("--tenant", "123456", "--token-file", self.token_file(), "--scope", scope) + "/api/prom/push"

    VERBOSE = ("--verbose", "--set", "trace=on")

    def test_right_token_is_taken_and_not_shown(self):
        url = self.serve()
        run = self.push("--url", url, "--tenant", "123456", "--token-file", self.dir / "token", *self.VERBOSE)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(b"POST /api/prom/push", run.stderr)
        run = self.push("--url", url, "--tenant", "123456", *self.VERBOSE, env={"GCW_TOKEN": TOKEN})
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_missing_scope_and_wrong_tenant_say_what_to_check(self):
        url = self.serve("logs:write")
        for tenant in ("123456", "999"):
            run = self.push("--url", url, "--tenant", tenant, "--token-file", self.dir / "token", *self.VERBOSE)
            self.assertEqual(run.returncode, 1)
            for word in (b"parked", b"scope", b"tenant", b"HTTP 401"):
                self.assertIn(word, run.stderr)
            s = summary(run)
            self.assertEqual((s["in"], s["dropped"]), (1, 1))

    def test_token_replaced_while_running_delivers_what_waited(self):
        url = self.serve()
        other = self.dir / "other"
        other.write_text("glc_EXAMPLEwrong")
        p = subprocess.Popen([GCW, "push", "metrics", "--url", url, "--tenant", "123456", "--token-file", str(other), "--set",
                              "token_check=100ms", "--timeout", "60s", "--summary", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=clean_env())
        p.stdin.write(METRIC)
        p.stdin.close()
        p.stdin = None
        wait_for("a refusal", lambda: get_json(url.replace("/api/prom/push", "/stats")) and "401" in get(url.replace("/api/prom/push", "/stats")))
        (self.dir / "new").write_text(TOKEN)
        (self.dir / "new").replace(other)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        self.assertNotIn(TOKEN.encode(), out + err)
        self.assertEqual(len(self.records("sample")), 1)

    def test_bad_use_of_secrets_is_refused_at_the_start(self):
        self.token_file()
        for args, word in [
            (("--url", "http://192.0.2.1/api/prom/push", "--tenant", "1", "--token-file", self.dir / "token"), b"clear text"),
            (("--url", "http://127.0.0.1/x", "--set", f"token={TOKEN}"), b"command line"),
            (("--url", "http://127.0.0.1/x", "--tenant", "1\r\nX: y"), b"metrics_tenant"),
            (("--url", f"http://1:{TOKEN}@127.0.0.1/x",), b"do not belong"),
        ]:
            run = self.push(*args)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertIn(word, run.stderr)

    def test_redirect_is_not_followed(self):
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append((self.server.server_port, self.headers.get("Authorization")))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(307)
                self.send_header("Location", f"http://127.0.0.1:{second.server_port}/api/prom/push")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        first, second = (http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
        for s in (first, second):
            threading.Thread(target=s.serve_forever, daemon=True).start()
        self.token_file()
        run = self.push("--url", f"http://127.0.0.1:{first.server_port}/api/prom/push", "--tenant", "123456", "--token-file", self.dir / "token",
                        *self.VERBOSE)
        first.shutdown(), second.shutdown(), first.server_close(), second.server_close()
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"redirected", run.stderr)
        self.assertEqual({port for port, _ in seen}, {first.server_port})

    def test_tenant_header_and_bearer(self):
        base = self.receive("--auth", "tenant")
        run = self.push("--url", base + "/api/v1/push", "--tenant", "team-a")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.records("sample")[0]["tenant"], "team-a")


class Failures(Case):
    def run_against(self, *mischief, args=()):
        base = self.receive(*mischief)
        return self.gcw("push", "metrics", "--url", base + "/api/v1/push", "--timeout", "30s", "--summary", "json", *args,
                        stdin=b"".join(b"m%d 1\n" % i for i in range(100)))

    def adds_up(self, run):
        s = summary(run)
        self.assertEqual(s["in"], s["delivered"] + s["rejected"] + s["expired"] + s["dropped"] + s["refused"])
        return s

    def test_503_is_retried_until_it_works(self):
        run = self.run_against("--misbehave", "status=503:2")
        s = self.adds_up(run)
        self.assertEqual((run.returncode, s["delivered"], s["retries"]), (0, 100, 2), run.stderr)
        self.assertEqual(run.stderr.count(b"delivery fails"), 1)

    def test_reset_after_the_request_was_taken_resends_the_same_samples(self):
        run = self.run_against("--misbehave", "reset=after", "--misbehave", "count=1")
        s = self.adds_up(run)
        self.assertEqual((run.returncode, s["delivered"]), (0, 100), run.stderr)

    def test_400_is_not_resent(self):
        run = self.run_against("--misbehave", "status=400")
        s = self.adds_up(run)
        self.assertEqual((run.returncode, s["rejected"], s["requests"]), (1, 100, 1), run.stderr)

    def test_unreachable_receiver_ends_at_the_timeout(self):
        run = self.gcw("push", "metrics", "--url", f"http://127.0.0.1:{free_port()}/api/v1/write", "--timeout", "1s", "--summary", "json", stdin=METRIC)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(self.adds_up(run)["dropped"], 1)


class Use(Case):
    def test_malformed_lines_are_named_and_the_rest_is_sent(self):
        base = self.receive()
        (self.dir / "in.prom").write_bytes(b"good 1\nbad{ 2\ngood 3 1\nalso_good 2")
        run = self.gcw("push", "metrics", "--url", base + "/api/v1/push", "--set", "trace=off", self.dir / "in.prom")
        self.assertIn(b"in.prom:2: ", run.stderr)
        self.assertIn(run.returncode, (1, 3), run.stderr)
        self.assertIn("also_good", {r["labels"]["__name__"] for r in self.records("sample")})

    def test_exit_codes_of_usage_and_missing_files(self):
        base = self.receive()
        self.assertEqual(self.gcw("push", "metrics").returncode, 2)
        self.assertEqual(self.gcw("push", "metrics", "--nonsense").returncode, 2)
        self.assertEqual(self.gcw("push", "nothing").returncode, 2)
        self.assertEqual(self.gcw("push", "metrics", "--url", base + "/api/v1/push", "/nonexistent").returncode, 4)

    def test_precedence_of_file_environment_and_options(self):
        base = self.receive("--auth", "tenant")
        (self.dir / "c").write_text(f"metrics_url = {base}/api/v1/push\nmetrics_tenant = from-file\n")
        for env, args, want in [({}, (), "from-file"), ({"GCW_METRICS_TENANT": "from-env"}, (), "from-env"),
                                ({"GCW_METRICS_TENANT": "from-env"}, ("--tenant", "from-option"), "from-option")]:
            run = self.gcw("push", "metrics", "-c", self.dir / "c", *args, stdin=METRIC, env=env)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(self.records("sample")[-1]["tenant"], want)

    def test_a_sample_arrives_while_the_pipe_is_open_and_sigint_ends_cleanly(self):
        base = self.receive()
        p = subprocess.Popen([GCW, "push", "metrics", "--url", base + "/api/v1/push", "--set", "metrics_batch_age=100ms"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        p.stdin.write(METRIC)
        p.stdin.flush()
        wait_for("the sample", lambda: self.records("sample"))
        p.stdin.write(b"later 1\n")
        p.stdin.flush()
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0, err)

    def test_help_version_and_pages(self):
        for args in (["--version"], ["help"], ["help", "push", "metrics"], ["push", "logs", "--help"], ["receive", "--help"],
                     ["help", "options"], ["help", "man", "gcw"], ["help", "man", "gcw.conf"]):
            run = self.gcw(*args)
            self.assertEqual(run.returncode, 0, args)
            self.assertTrue(run.stdout)
        self.assertEqual((ROOT / "doc" / "options.md").read_bytes(), self.gcw("help", "options", "--markdown").stdout, "run `make docs`")
        self.assertEqual((ROOT / "vendor-notes" / "answers.md").read_bytes(), self.gcw("help", "answers", "--markdown").stdout,
                         "run `make docs`")

    def test_check_says_what_each_receiver_thinks_and_stores_nothing(self):
        base = self.receive("--tenant", "123456", "--token-file", self.token_file(), "--scope", "metrics:write")
        token = ("--token-file", self.dir / "token")
        both = ("--metrics-url", base + "/api/prom/push", "--metrics-tenant", "123456", "--logs-url", base, "--logs-tenant", "123456")
        run = self.gcw("check", *both[:4], *token)
        self.assertEqual((run.returncode, run.stderr), (0, b""))
        self.assertRegex(run.stdout, rb"metrics +\S+ tenant 123456: ok, HTTP 200")
        run = self.gcw("check", *both, *token, "-v")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stdout, rb"metrics +\S+ tenant 123456: ok")
        self.assertRegex(run.stdout, rb"logs +\S+ tenant 123456: HTTP 401, .*invalid scope")
        self.assertIn(b"logs:write", run.stdout)
        self.assertNotIn(TOKEN.encode(), run.stdout + run.stderr)
        run = self.gcw("check", "--metrics-url", base + "/api/prom/push", "--metrics-tenant", "777", *token)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"check the tenant", run.stdout)
        run = self.gcw("check", "--metrics-url", f"http://127.0.0.1:{free_port()}/api/v1/push")
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"not reached", run.stdout)
        run = self.gcw("check", "--metrics-url", base + "/loki/api/v1/push")
        self.assertEqual(run.returncode, 2)
        self.assertEqual(self.gcw("check").returncode, 2)
        self.assertEqual(self.records("sample") + self.records("entry"), [])

    def test_check_tells_which_remote_write_the_receiver_takes(self):
        no = {"1.0": "HTTP 415", "silent": "HTTP 204 without its counts", "400": "HTTP 400"}
        for kind in ("both", *no):
            base = self.receive("-m", f"remote_write={kind}")
            for protocol in ("auto", "1.0", "2.0"):
                with self.subTest(receiver=kind, protocol=protocol):
                    run = self.gcw("check", "--metrics-url", base + "/api/v1/push", "-s", f"metrics_protocol={protocol}")
                    taken = protocol != "2.0" or kind == "both"
                    self.assertEqual(run.returncode, 0 if taken else 1, run.stdout)
                    ending = {"1.0": "remote write 1.0", "2.0": "remote write 2.0"}.get(protocol, "remote write 2.0" if kind == "both" else
                             f"remote write 1.0 (the receiver does not take 2.0: {no.get(kind)})")
                    if taken:
                        self.assertRegex(run.stdout.decode().strip(), r": ok, HTTP 200 in \d+ ms, " + re.escape(ending) + "$")
                    else:
                        self.assertIn(b"set metrics_protocol to auto or 1.0", run.stdout)
            self.assertEqual(self.records("sample") + self.records("metadata"), [])

    def test_check_finds_a_receiver_of_1_that_fails_over_2(self):
        base = self.receive("-m", "status=500:1")
        run = self.gcw("check", "--metrics-url", base + "/api/v1/push")
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn(b"remote write 1.0 (the receiver does not take 2.0: HTTP 500)", run.stdout)

    def test_check_tries_logs_in_the_encoding_that_the_writer_would_use(self):
        for encoding, said in (("json", "JSON"), ("protobuf", "protobuf")):
            base = self.receive()
            run = self.gcw("check", "--logs-url", base, "-s", f"logs_encoding={encoding}")
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertRegex(run.stdout.decode().strip(), r": ok, HTTP 204 in \d+ ms, " + said + "$")
            self.assertEqual(self.records("entry"), [])

    def terminal(self, *args):
        """Runs the tool with standard error on a terminal while input comes slowly; returns what was seen there."""
        try:
            ours, theirs = pty.openpty()
        except OSError as e:
            print(f"SKIPPED: no terminal to be had: {e}")
            self.skipTest(str(e))
        p = subprocess.Popen([GCW, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs, env=clean_env())
        os.close(theirs)
        seen = b""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and b"records" not in seen:
            try:
                p.stdin.write(METRIC)
                p.stdin.flush()
            except BrokenPipeError:
                break
            if select.select([ours], [], [], 0.05)[0]:
                seen += os.read(ours, 65536)
        p.stdin.close()
        while select.select([ours], [], [], 30)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            seen += more
        os.close(ours)
        return p.wait(30), seen.decode()

    def test_the_summary_counts_exemplars_where_there_are_some(self):
        page = b'# TYPE c counter\nc_total{a="1"} 7 # {trace_id="ab"} 2.5\nc_total{a="2"} 8\n# EOF\n'
        base = self.receive()
        for args, words in (((), b"exemplars: sent 1, left out 0; native histograms: sent 0, left out 0"),
                            (("-s", "metrics_exemplars=off"), b"exemplars: sent 0, left out 1;")):
            run = self.gcw("push", "metrics", "--url", base + "/api/v1/push", "-s", "metrics_protocol=1.0", *args, stdin=page)
            self.assertIn(words, run.stderr)
        run = self.gcw("push", "metrics", "--url", base + "/api/v1/push", stdin=b"a 1\n")
        self.assertNotIn(b"exemplars", run.stderr)

    def test_progress_is_shown_on_a_terminal_and_wiped_before_the_summary(self):
        url = self.receive("--discard") + "/api/v1/push"
        code, seen = self.terminal("push", "metrics", "--url", url)
        self.assertEqual(code, 0, seen)
        self.assertRegex(seen, r"\r\x1b\[K[0-9.]+ k?B, \d+ records, \d+/s, \d+ pending, \d+ in flight")
        self.assertNotIn("records", seen[seen.rindex("\x1b[K"):seen.rindex("metrics: in")])

    def test_no_progress_in_a_pipe(self):
        run = self.gcw("push", "metrics", "--url", self.receive("--discard") + "/api/v1/push", stdin=METRIC * 1000)
        self.assertNotIn(b"\x1b", run.stderr + run.stdout)

    def test_memory_stays_flat_over_a_long_stream(self):
        base = self.receive("--discard")
        script = ("import sys\nfor k in range(20):\n sys.stdout.write(''.join('m{i=\"%d\",pad=\"%s\"} 1 %d\\n' % (i, 'x' * 100, k) for i in range(20000)))")
        source = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE)
        p = subprocess.Popen(["/usr/bin/env", "python3", "-c",
                              "import os,sys,resource,subprocess as s;r=s.run(sys.argv[1:]).returncode;"
                              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);sys.exit(r)",
                              GCW, "push", "metrics", "--quiet", "--url", base + "/api/v1/push"],
                             stdin=source.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        source.stdout.close()
        out, err = p.communicate(timeout=120)
        source.wait()
        self.assertEqual(p.returncode, 0, err)
        self.assertLess(int(out), 40 * 1024)


if __name__ == "__main__":
    unittest.main()
