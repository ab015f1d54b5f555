"""What the public compliance suite for senders asks of what a sender makes of answers and errors, as tests of ours by its names."""
import socket
import threading

from sender import *


class Answers(Sender):
    setUpClass = classmethod(lambda cls: None)

    def against(self, reply, until, args=(), page="test_metric 1\n"):
        exporter, self.sink = Exporter(page), Sink(reply)
        self.addCleanup(exporter.stop)
        self.addCleanup(self.sink.stop)
        self.send(exporter, self.sink, lambda: until(exporter), args)
        return self.sink.requests

    def never_again(self, status, body=b"no"):
        """Over several scrapes: what was refused is not sent again."""
        requests = self.against(lambda n: (status, body, (), 0), lambda e: self.sink.requests and len(e.seen) >= 6, ("--set", "park_probe=1h"))
        bodies = [r.body for r in requests]
        self.assertEqual(len(set(bodies)), len(bodies))

    def once_more(self, status, headers=()):
        """After one such answer: the same bytes again."""
        requests = self.against(lambda n: (status, b"wait", headers, 0) if n == 1 else (204, b"", (), 0), lambda e: len(self.sink.requests) >= 2,
                                ("--set", "retry_min=100ms"))
        self.assertEqual(requests[0].body, requests[1].body)
        self.assertEqual(requests[1].headers["Retry-Attempt"], "1")
        return requests

    def test_must_no_retry_on_400(self):
        self.never_again(400)

    def test_must_no_retry_on_401(self):
        # the data is kept, and tried again after park_probe, a minute, or when the token changes
        self.never_again(401)
        self.assertLessEqual(len(self.sink.requests), 2)

    def test_must_no_retry_on_404(self):
        self.never_again(404)
        self.assertLessEqual(len(self.sink.requests), 2)

    def test_should_no_retry_on_413(self):
        # in parts, each of which is another request: none of them is sent twice
        self.never_again(413)

    def test_may_retry_on_429(self):
        first, second, *_ = self.once_more(429, (("Retry-After", "1"),))
        self.assertGreaterEqual(second.time - first.time, 1)

    def test_must_retry_on_500(self):
        self.once_more(500)

    def test_must_retry_on_503(self):
        self.once_more(503)

    def test_should_retry_on_502(self):
        self.once_more(502)

    def test_should_retry_on_504(self):
        self.once_more(504)

    def success(self, status, body=b"", headers=()):
        requests = self.against(lambda n: (status, body, headers, 0), lambda e: len(self.sink.requests) >= 2)
        self.assertEqual(len({r.body for r in requests}), len(requests))

    def test_must_handle_204_no_content(self):
        self.success(204)

    def test_must_handle_200_ok_and_should_ignore_response_body_on_success(self):
        self.success(200, b"<html>whatever</html>" * 100)

    def test_may_process_written_count_headers(self):
        # of a 1.0 request they say nothing: a receiver is known that sent zeros by mistake
        self.success(204, headers=(("X-Prometheus-Remote-Write-Samples-Written", "0"),))

    def test_should_handle_missing_written_headers(self):
        # a 400 without them: nothing was written, and nothing is sent again
        self.never_again(400, b"Bad request")

    def test_must_log_error_messages_verbatim_and_should_handle_large_error_body(self):
        words = b"Error: Invalid label name '__invalid__'"
        self.never_again(400, words + b" x" * (1 << 19))
        logs = b"".join(p.read_bytes() for p in self.dir.glob("*.log"))
        self.assertIn(words, logs)


class PartialWrite(Case):
    def test_should_handle_partial_write_response(self):
        # a 400 that says how much of it was written: the rest is counted as rejected, the whole is not sent again
        written = (("X-Prometheus-Remote-Write-Samples-Written", "2"),)
        exporter, sink = Exporter("sample_1 1\nsample_2 2\nsample_3 3\n"), Sink(lambda n: (400, b"Rejected 1 sample", written, 0))
        self.addCleanup(exporter.stop)
        self.addCleanup(sink.stop)
        run = self.gcw("push", "metrics", "--url", sink.url, "--scrape", exporter.url, "--interval", "200ms", "--scrape-timeout", "30s", "--scrapes", 2,
                       "--keep-series", "--summary", "json", "--set", "metrics_protocol=2.0")
        told, count = summary(run), len(sink.requests)
        self.assertEqual(len({r.body for r in sink.requests}), count)
        self.assertEqual((told["delivered"], told["rejected"]), (2 * count, sum(len(s.samples) for r in sink.requests for s in read(r)[0]) - 2 * count))


class Backoff(Sender):
    """A receiver that is always busy: one run, looked at by all."""

    page, args = "test_metric 42\n", ("--set", "retry_min=100ms")
    reply = staticmethod(lambda n: (503, b"Service unavailable", (), 0))
    until = staticmethod(lambda exporter, sink: len(sink.requests) >= 5)

    def gaps(self):
        # from when the receiver had a request to when it had the next: no load can shorten that
        return [b.time - a.time for a, b in zip(self.sink.requests, self.sink.requests[1:5])]

    def test_must_backoff_required(self):
        self.assertEqual(len({r.body for r in self.sink.requests[:5]}), 1)
        self.assertEqual([r.headers["Retry-Attempt"] for r in self.sink.requests[:5]], [None, "1", "2", "3", "4"])
        self.assertTrue(all(gap >= 0.09 for gap in self.gaps()))

    def test_should_exponential_backoff_on_retries(self):
        for i, gap in enumerate(self.gaps()):
            self.assertGreaterEqual(gap, 0.1 * 2**i * 0.9)

    def test_recommended_backoff_with_jitter(self):
        self.assertEqual(len(set(self.gaps())), 4)


class BackoffLimit(Backoff):
    args = ("--set", "retry_min=100ms", "--set", "retry_max=100ms")
    until = staticmethod(lambda exporter, sink: len(sink.requests) >= 14)
    test_must_backoff_required = test_should_exponential_backoff_on_retries = test_recommended_backoff_with_jitter = None

    def test_should_backoff_max_delay(self):
        # doubled each time, the last of these delays would be seven minutes: more than was waited for
        self.assertGreaterEqual(len(self.sink.requests), 14)


# ---- the older protocol where the newer is not spoken -------------------------------------------------------------------

class Fallback(Sender):
    """A receiver that says 415 once, which every 1.0 receiver should to a 2.0 request."""

    page, args, protocol = "test_metric 42\n", ("--set", "retry_min=100ms"), "auto"
    reply = staticmethod(lambda n: (415, b"RW 2.0 not supported, please use RW 1.0", (), 0) if n == 1 else (204, b"", (), 0))
    until = staticmethod(lambda exporter, sink: sum(r.status == 204 for r in sink.requests) >= 3)

    def headers(self, name):
        return [r.headers[name] for r in self.sink.requests]

    def test_should_fallback_on_415_unsupported_media_type(self):
        first, again = self.sink.requests[0], self.sink.requests[1]
        self.assertEqual({(s.labels[0], *sample) for s in read_rw2(first.body)[0] for sample in s.samples},
                         {(s.labels[0], *sample) for s in read_rw1(again.body)[0] for sample in s.samples})

    def test_should_retry_with_different_version(self):
        self.assertEqual(self.headers("X-Prometheus-Remote-Write-Version")[:2], ["2.0.0", "0.1.0"])

    def test_must_fallback_header_changes(self):
        self.assertEqual(self.headers("Content-Type")[:2], ["application/x-protobuf;" + V2, "application/x-protobuf"])

    def test_should_accept_success_after_fallback(self):
        bodies = [r.body for r in self.sink.requests if r.status == 204]
        self.assertEqual(len(set(bodies)), len(bodies))

    def test_should_persistent_fallback_choice(self):
        self.assertEqual(set(self.headers("X-Prometheus-Remote-Write-Version")[1:]), {"0.1.0"})


class NoFallback(Sender):
    page, protocol = "test_metric 42\n", "auto"
    until = staticmethod(lambda exporter, sink: len(sink.requests) >= 3)

    def test_must_no_fallback_on_2xx(self):
        self.assertEqual({r.headers["X-Prometheus-Remote-Write-Version"] for r in self.sink.requests}, {"2.0.0"})

    def test_should_content_type_negotiation(self):
        self.assertEqual({r.headers["Content-Type"] for r in self.sink.requests}, {"application/x-protobuf;" + V2})


# ---- errors --------------------------------------------------------------------------------------------------------------

class Errors(Sender):
    """Whatever the network does, the sender scrapes on until it is interrupted, and ends well."""

    setUpClass = classmethod(lambda cls: None)

    def lives(self, url, *args):
        exporter = Exporter("test_metric 1\n")
        self.addCleanup(exporter.stop)
        p = self.run_sender(exporter, url, "--set", "metrics_batch_age=10ms", "--set", "retry_min=100ms", *args)
        wait_for("scrapes", lambda: len(exporter.seen) >= 4, 120)
        self.assertIsNone(p.poll())
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(60), 0)

    def raw(self, data):
        """A server that answers any connection with these bytes."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(1 << 16)
                        connection.sendall(data)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return "http://127.0.0.1:%d/api/v1/write" % server.getsockname()[1]

    def sink_url(self, reply):
        sink = Sink(reply)
        self.addCleanup(sink.stop)
        return sink.url

    def test_should_handle_connection_refused(self):
        self.lives(f"http://127.0.0.1:{free_port()}/api/v1/write")

    def test_should_dns_resolution_failure(self):
        self.lives(f"http://{'x' * 64}.invalid/api/v1/write")  # no name server is asked for such a name

    def test_should_handle_timeout(self):
        self.lives(self.sink_url(lambda n: (204, b"", (), 300)), "--set", "request_timeout=1s")

    def test_should_handle_partial_write(self):
        self.lives(self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\npartial"))

    def test_should_handle_malformed_response(self):
        self.lives(self.raw(b"this is no HTTP\r\n\r\n"))

    def test_should_handle_invalid_status_code(self):
        self.lives(self.raw(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"))

    def test_should_handle_empty_response(self):
        self.lives(self.raw(b""))

    def test_should_handle_large_error_response(self):
        self.lives(self.sink_url(lambda n: (400, b"x" * (1 << 20), (), 0)))

    def test_must_sender_continues_after_errors(self):
        self.lives(self.sink_url(lambda n: (500, b"Internal server error", (), 0)))

    def test_should_invalid_url_scheme(self):
        # told at once, which is another end than of a sender that lives on: nothing could ever be delivered
        run = self.gcw("push", "metrics", "--url", "invalid://x/", "--scrape", "http://127.0.0.1:1/")
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"metrics_url", run.stderr)


also_in_2(globals(), Answers)
del Sender

if __name__ == "__main__":
    unittest.main()
