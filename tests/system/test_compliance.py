"""What the public compliance suite for senders asks (prometheus/compliance, remotewrite/sender), as tests of ours by its names,
each against the last request, as there."""
import math
import re
import socket
import threading
import time

from harness import *
from remote import *

LONG = "x" * 10000
PAGE = f"""# HELP http_requests_total Requests, "all" of them.
# TYPE http_requests_total counter
http_requests_total{{method="GET",path="/a?b=c&d"}} 42
http_requests_total{{method="POST",path="/a"}} 7
# HELP test_metric A gauge.
# TYPE test_metric gauge
test_metric{{zone="z",a="1",Upper="u",_x="y",many_1="1",many_2="2",many_3="3",many_4="4",many_5="5",many_6="6"}} 123.45
test_integer 42
test_zero 0
test_negative -15.5
test_inf +Inf
test_minus_inf -Inf
test_nan NaN
test_large 1.797e308
test_small 2.2e-308
test_scientific 1.23e-4
test_precise 0.1234567890123456
test_unicode{{city="Zürich",smile="🙂",chinese="测试"}} 1
test_special{{path="/x/y",query="a=b&c=d"}} 1
test_empty{{gone="",here="1"}} 1
test:with:colons 1
{"long_" * 150 + "name"} 1
test_long{{{"l" * 64}="1",value="{LONG}"}} 1
test_future 1 {int(time.time() * 1000) + 240000}
# HELP test_help first \\\\ and "quotes"
# HELP test_help second
# TYPE test_help gauge
test_help 1
# HELP request_seconds How long.
# TYPE request_seconds histogram
request_seconds_bucket{{le="0.1"}} 10
request_seconds_bucket{{le="1"}} 90
request_seconds_bucket{{le="+Inf"}} 100
request_seconds_sum 250.5
request_seconds_count 100
# TYPE empty_seconds histogram
empty_seconds_bucket{{le="+Inf"}} 0
empty_seconds_sum 0
empty_seconds_count 0
# TYPE large_seconds histogram
large_seconds_bucket{{le="+Inf"}} 1000000000
large_seconds_sum 1
large_seconds_count 1000000000
# HELP rpc_seconds Quantiles.
# TYPE rpc_seconds summary
rpc_seconds{{quantile="0.5"}} 0.05
rpc_seconds_sum 17
rpc_seconds_count 270
"""


class Sender(Case):
    """One sender a class: scrapes PAGE, sends to a receiver that says yes, and gets SIGINT after its first request."""

    page, args, protocol = PAGE, (), "1.0"

    heard = {}  # what a sender of a page said is looked at by all who ask for the same

    @classmethod
    def setUpClass(cls):
        key = (cls.page, cls.args, cls.protocol)
        if key not in cls.heard:
            exporter, sink, case = Exporter(cls.page), Sink(), cls("run")
            case.setUp()
            try:
                case.send(exporter, sink, lambda: sink.requests, (*cls.args, "--signal-timeout", "30s"))
            finally:
                case.tearDown()
                exporter.stop()
                sink.stop()
            cls.heard[key] = exporter, sink
        cls.exporter, cls.sink = cls.heard[key]

    def run_sender(self, exporter, url, *args):
        return self.start(GCW, "push", "metrics", "--url", url, "--scrape", exporter.url, "--job", "test", "--interval", "200ms",
                          "--scrape-timeout", "30s", "--keep-series", "--signal-timeout", "1s", "--set", f"metrics_protocol={self.protocol}", *args)

    def send(self, exporter, sink, until, args=()):
        """Runs a sender until something is true, then interrupts it: it must end well."""
        p = self.run_sender(exporter, sink.url, "--set", "metrics_batch_age=500ms", *args)
        wait_for("the sender's work", until, 120)
        self.assertIsNone(p.poll())
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(60), 0)

    @property
    def last(self):
        return self.sink.requests[-1]

    def series(self, name=None):
        return [s for s in read(self.last)[0] if name is None or dict(s.labels)["__name__"] == name]

    def value(self, name):
        values = {bits for s in self.series(name) for bits, _ in s.samples}
        self.assertEqual(len(values), 1, name)
        return number(values.pop())

    def metadata(self):
        """By family: 2.0 tells it with each series."""
        return {re.sub("_(bucket|sum|count)$", "", m.family) if m.type in (3, 5) else m.family: m for r in self.sink.requests for m in read(r)[1]}

    def run(self, result=None):
        if result is not None:
            return super().run(result)


class Protocol(Sender):
    def test_must_content_type_protobuf(self):
        self.assertIn("application/x-protobuf", self.last.headers["Content-Type"])

    def test_must_content_encoding_snappy(self):
        self.assertEqual(self.last.headers["Content-Encoding"], "snappy")

    def test_must_version_header_present(self):
        self.assertTrue(self.last.headers["X-Prometheus-Remote-Write-Version"])

    def test_must_user_agent_present(self):
        self.assertTrue(self.last.headers["User-Agent"])

    def test_must_snappy_block_format(self):
        self.assertTrue(self.last.body)
        self.assertFalse(self.last.body.startswith(b"\xff\x06\x00\x00sNaPpY"))

    def test_must_protobuf_parseable(self):
        self.assertTrue(self.series())


class Protocol1(Sender):
    def test_should_rw1_version_header(self):
        self.assertEqual(self.last.headers["X-Prometheus-Remote-Write-Version"], "0.1.0")

    def test_should_rw1_content_type(self):
        self.assertEqual(self.last.headers["Content-Type"], "application/x-protobuf")

    def test_must_rw1_samples_and_labels_encoding(self):
        self.assertTrue(all(s.labels and len(s.samples) == 1 for s in self.series()))

    def test_must_rw1_no_native_histograms_no_start_timestamp_symbol_table_not_used(self):
        for r in self.sink.requests:
            read_rw1(r.body)  # knows no other fields

    def test_may_rw1_metadata_handling(self):
        self.assertIn("http_requests_total", self.metadata())


class Protocol2(Sender):
    protocol = "2.0"

    def test_should_content_type_with_proto_param(self):
        self.assertEqual(self.last.headers["Content-Type"], "application/x-protobuf;" + V2)  # a blank would be taken for 1.0

    def test_should_version_header_value(self):
        self.assertEqual(self.last.headers["X-Prometheus-Remote-Write-Version"], "2.0.0")


class Symbols(Sender):
    protocol = "2.0"

    def test_must_empty_string_at_index_zero(self):
        self.assertEqual(symbols_of(self.last.body)[0], "")

    def test_recommended_string_deduplication_and_efficient_symbol_reuse(self):
        symbols = symbols_of(self.last.body)
        self.assertEqual(len(set(symbols)), len(symbols))

    def test_must_labels_refs_valid_indices_and_even_length(self):
        symbols = symbols_of(self.last.body)
        for s in self.series():
            self.assertTrue(s.refs and len(s.refs) % 2 == 0)
            self.assertLess(max(s.refs), len(symbols))

    def test_must_metadata_help_refs_valid(self):
        n = len(symbols_of(self.last.body))
        self.assertTrue(all(ref < n for s in self.series() if s.metadata for ref in s.metadata[1:]))

    def test_should_metadata_consistent_across_series(self):
        families = {}
        for s in self.series():
            families.setdefault(dict(s.labels)["__name__"], set()).add(s.metadata)
        self.assertEqual({name for name, m in families.items() if len(m) > 1}, set())

    def test_should_metadata_rides_with_the_samples(self):
        for s in self.series("http_requests_total"):
            self.assertEqual(s.metadata[0], 1)
            self.assertEqual(symbols_of(self.last.body)[s.metadata[1]], 'Requests, "all" of them.')

    def test_must_every_series_has_a_sample(self):
        self.assertTrue(all(s.samples for s in self.series()))

    def test_should_start_timestamp_zero_or_before_the_sample(self):
        self.assertTrue(all(start == 0 or 1e12 < start <= ms for s in self.series() for start, (_, ms) in zip(s.starts, s.samples)))


class SymbolTableEfficiency(Sender):
    protocol = "2.0"
    page = "".join(f'test_metric{{method="{m}",status="{c}"}} 1\n' for m in ("GET", "POST") for c in ("200", "500"))

    def test_symbol_table_efficiency(self):
        self.assertLessEqual(len(symbols_of(self.last.body)), 30)


class Labels(Sender):
    def names(self):
        return [[n for n, _ in s.labels] for s in self.series()]

    def test_must_label_lexicographic_ordering(self):
        self.assertTrue(self.series("test_metric"))
        for names in self.names():
            self.assertEqual(names, sorted(names, key=str.encode))

    def test_must_metric_name_label_present_and_format_valid(self):
        for s in self.series():
            self.assertRegex(dict(s.labels)["__name__"], r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")

    def test_must_label_name_format_valid(self):
        self.assertTrue(all(re.match(r"^[a-zA-Z_][a-zA-Z0-9_]*$", n) for names in self.names() for n in names))

    def test_must_no_duplicate_label_names(self):
        self.assertTrue(all(len(set(names)) == len(names) for names in self.names()))

    def test_must_label_names_not_empty(self):
        self.assertTrue(all(all(names) for names in self.names()))

    def test_must_no_empty_label_values(self):
        self.assertTrue(all(v for s in self.series() for _, v in s.labels))
        self.assertEqual({n for n, _ in self.series("test_empty")[0].labels}, {"__name__", "here", "instance", "job"})

    def test_should_reserved_label_prefix(self):
        self.assertEqual({n for names in self.names() for n in names if n.startswith("__")}, {"__name__"})

    def test_must_unicode_in_label_values(self):
        labels = dict(self.series("test_unicode")[0].labels)
        self.assertEqual((labels["city"], labels["smile"], labels["chinese"]), ("Zürich", "🙂", "测试"))

    def test_must_special_chars_in_label_values(self):
        labels = dict(self.series("test_special")[0].labels)
        self.assertEqual((labels["path"], labels["query"]), ("/x/y", "a=b&c=d"))

    def test_should_very_long_label_names_and_many_labels_per_series(self):
        self.assertIn("l" * 64, dict(self.series("test_long")[0].labels))
        self.assertEqual(len(self.series("test_metric")[0].labels), 13)

    def test_should_job_instance_labels_present(self):
        self.assertEqual({dict(s.labels)["job"] for s in self.series()}, {"test"})
        self.assertEqual({dict(s.labels)["instance"] for s in self.series()}, {self.exporter.address})


class Samples(Sender):
    def test_must_values_are_encoded_exactly(self):
        for name, want in (("test_metric", 123.45), ("test_integer", 42), ("test_zero", 0), ("test_negative", -15.5), ("test_inf", math.inf),
                           ("test_minus_inf", -math.inf), ("test_large", 1.797e308), ("test_small", 2.2e-308), ("test_scientific", 1.23e-4),
                           ("test_precise", 0.1234567890123456)):
            with self.subTest(name):
                self.assertEqual(self.value(name), want)

    def test_must_nan_encoding(self):
        self.assertEqual({bits for s in self.series("test_nan") for bits, _ in s.samples}, {0x7FF8000000000001})

    def test_must_timestamp_milliseconds_format(self):
        self.assertTrue(all(1e12 < ms < 1e16 for s in self.series() for _, ms in s.samples))

    def test_should_timestamp_recent_and_not_far_ahead(self):
        now = time.time() * 1000
        self.assertTrue(all(now - 600000 < ms < now + 300000 for s in self.series() for _, ms in s.samples))

    def test_must_sample_ordering_within_series(self):
        seen = {}
        for r in self.sink.requests:
            for s in read(r)[0]:
                for _, ms in s.samples:
                    key = tuple(s.labels)
                    self.assertGreaterEqual(ms, seen.get(key, 0))
                    seen[key] = ms


class MetadataAndFamilies(Sender):
    def test_should_metadata_types(self):
        types = {f: m.type for f, m in self.metadata().items()}
        self.assertEqual((types["http_requests_total"], types["test_metric"], types["request_seconds"], types["rpc_seconds"]), (1, 2, 3, 5))

    def test_should_metadata_help_text_with_special_chars(self):
        self.assertEqual(self.metadata()["http_requests_total"].help, 'Requests, "all" of them.')

    def test_should_metadata_help_with_newlines_two_help_lines(self):
        self.assertEqual(self.metadata()["test_help"].help, 'first \\ and "quotes"')
        self.assertEqual(self.value("test_help"), 1)

    def test_must_histogram_count_and_sum_present(self):
        self.assertEqual((self.value("request_seconds_count"), self.value("request_seconds_sum")), (100, 250.5))

    def test_should_histogram_buckets_ordered_and_empty_ones_kept(self):
        buckets = [(float(dict(s.labels)["le"].replace("Inf", "inf")), number(s.samples[0][0])) for s in self.series("request_seconds_bucket")][-3:]
        self.assertEqual(buckets, [(0.1, 10), (1, 90), (math.inf, 100)])
        self.assertEqual(self.value("empty_seconds_count"), 0)

    def test_must_histogram_large_counts(self):
        self.assertEqual(self.value("large_seconds_count"), 1e9)

    def test_must_complete_metric_family_and_multiple_metric_types(self):
        self.assertEqual((self.value("rpc_seconds_count"), self.value("rpc_seconds_sum"), self.value("rpc_seconds")), (270, 17, 0.05))

    def test_recommended_multiple_series_per_request(self):
        self.assertGreaterEqual(len({dict(s.labels)["__name__"] for s in self.series()}), 20)


class EdgeCases(Sender):
    def test_must_metric_name_with_colons(self):
        self.assertEqual(self.value("test:with:colons"), 1)

    def test_should_very_long_metric_name(self):
        self.assertEqual(self.value("long_" * 150 + "name"), 1)

    def test_should_huge_label_values(self):
        # cut at 2048 bytes, the receivers' limit, with a hash of the whole: refused by them it would be lost
        value = dict(self.series("test_long")[0].labels)["value"]
        self.assertTrue(value.startswith("x" * 2000) and len(value) == 2048, len(value))

    def test_should_timestamp_future_values(self):
        self.assertEqual(self.value("test_future"), 1)


class HugeLabelsKept(Sender):
    args = ("--set", "metrics_max_label_value=16KiB")

    def test_should_huge_label_values_kept_when_the_receiver_takes_them(self):
        self.assertEqual(dict(self.series("test_long")[0].labels)["value"], LONG)


class ManySeries(Sender):
    page = "".join(f'many{{i="{i}"}} {i}\n' for i in range(12000))

    def test_recommended_batch_size_reasonable(self):
        self.assertTrue(all(1 <= len(read(r)[0]) <= 10000 for r in self.sink.requests))

    def test_recommended_nothing_is_lost_of_many_series(self):
        self.assertEqual(len({tuple(s.labels) for r in self.sink.requests for s in read(r)[0]}), 12000 + 5)


class OddInput(Sender):
    page = ("# HELP a ends in a backslash\\\na 1\na 2\nb{x=\"1\"} StaleNaN\nc 1 \ufffd\nd 1 0\ne{x=\"1\",} 5 \n\n\nbad{x=} 1\n" +
            "".join(f"many_{i} {i}\n" for i in range(30)) + "last 7")

    def test_should_odd_lines_do_not_cost_the_good_ones(self):
        names = {dict(s.labels)["__name__"] for s in self.series()}
        self.assertTrue({"a", "e", "last", "up"} <= names, names)
        self.assertGreaterEqual(len(names), 30)
        self.assertEqual(self.value("a"), 1)  # of two the first, as a receiver would have it

    def test_should_zero_timestamp(self):
        self.assertEqual({ms for s in self.series("d") for _, ms in s.samples}, {0})


class EmptyScrape(Sender):
    page = ""

    def test_should_empty_scrape(self):
        self.assertEqual(self.value("up"), 1)
        self.assertEqual(self.value("scrape_samples_scraped"), 0)


class StaleMarker(Sender):
    page = staticmethod(lambda n: "test_metric 1\nother 1\n" if n == 1 else "other 1\n")

    def send(self, exporter, sink, until, args=()):
        super().send(exporter, sink, lambda: any(b"test_metric" in unsnappy(r.body) for r in sink.requests) and len(exporter.seen) > 3, args)

    def test_should_stale_marker(self):
        bits = [b for r in self.sink.requests for s in read(r)[0] if ("__name__", "test_metric") in s.labels for b, _ in s.samples]
        self.assertEqual([b == STALE for b in bits], [False, True])


# ---- answers ------------------------------------------------------------------------------------------------------------

class Answers(Sender):
    setUpClass = classmethod(lambda cls: None)

    def against(self, reply, until, args=(), page="test_metric 1\n"):
        exporter, self.sink = Exporter(page), Sink(reply)
        self.addCleanup(exporter.stop)
        self.addCleanup(self.sink.stop)
        self.send(exporter, self.sink, lambda: until(exporter), args)
        return self.sink.requests

    def never_again(self, status):
        """Over several scrapes: what was refused is not sent again."""
        requests = self.against(lambda n: (status, b"no", (), 0), lambda e: self.sink.requests and len(e.seen) >= 6, ("--set", "park_probe=1h"))
        bodies = [r.body for r in requests]
        self.assertEqual(len(set(bodies)), len(bodies))

    def once_more(self, status, headers=()):
        """After one such answer: the same bytes again."""
        requests = self.against(lambda n: (status if n == 1 else 204, b"wait", headers, 0), lambda e: len(self.sink.requests) >= 2,
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

    def test_must_backoff_and_should_grow(self):
        # measured from when the receiver had a request to when it had the next: no load can shorten that
        requests = self.against(lambda n: (503, b"", (), 0), lambda e: len(self.sink.requests) >= 5, ("--set", "retry_min=100ms"))
        self.assertEqual(len({r.body for r in requests[:5]}), 1)
        self.assertEqual([r.headers["Retry-Attempt"] for r in requests[:5]], [None, "1", "2", "3", "4"])
        for i, (a, b) in enumerate(zip(requests, requests[1:5])):
            self.assertGreaterEqual(b.time - a.time, 0.1 * 2**i * 0.9)

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

    def test_must_no_fallback_on_2xx(self):
        requests = self.against(lambda n: (204, b"", (), 0), lambda e: len(self.sink.requests) >= 3)
        self.assertEqual(len({r.headers["X-Prometheus-Remote-Write-Version"] for r in requests}), 1)

    def falls_back(self, reply):
        """With a receiver that says no to 2.0: everything arrives as 1.0, and no other attempt at 2.0 is made."""
        self.protocol = "auto"
        requests = self.against(reply, lambda e: sum(r.status == 204 for r in self.sink.requests) >= 3, ("--set", "retry_min=100ms"))
        versions = [r.headers["X-Prometheus-Remote-Write-Version"] for r in requests]
        self.assertEqual(versions, ["2.0.0"] + ["0.1.0"] * (len(versions) - 1))
        first = {(s.labels[0], b, ms) for s in read_rw2(requests[0].body)[0] for b, ms in s.samples}
        again = {(s.labels[0], b, ms) for s in read_rw1(requests[1].body)[0] for b, ms in s.samples}
        self.assertEqual(first, again)

    def test_should_fallback_on_415_unsupported_media_type_and_persistent_fallback_choice(self):
        self.falls_back(lambda n: (415 if n == 1 else 204, b"unsupported", (), 0))

    def test_must_no_fallback_on_2xx_with_written_headers(self):
        self.protocol = "auto"
        requests = self.against(lambda n: (204, b"", (), 0), lambda e: len(self.sink.requests) >= 3)
        self.assertEqual({r.headers["X-Prometheus-Remote-Write-Version"] for r in requests}, {"2.0.0"})

    def test_must_log_error_messages_and_should_handle_large_error_body(self):
        self.never_again(400)
        exporter, sink = Exporter("test_metric 1\n"), Sink(lambda n: (400, b"the receiver's own words " + b"x" * (1 << 20), (), 0))
        self.addCleanup(exporter.stop)
        self.addCleanup(sink.stop)
        self.send(exporter, sink, lambda: len(sink.requests) >= 2)
        logs = b"".join(p.read_bytes() for p in self.dir.glob("gcw-*.log"))
        self.assertIn(b"the receiver's own words", logs)


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

    def test_should_handle_connection_refused(self):
        self.lives(f"http://127.0.0.1:{free_port()}/api/v1/write")

    def test_should_handle_dns_resolution_failure(self):
        self.lives(f"http://{'x' * 64}.invalid/api/v1/write")  # no name server is asked for such a name

    def test_should_handle_timeout(self):
        sink = Sink(lambda n: (204, b"", (), 300))
        self.addCleanup(sink.stop)
        self.lives(sink.url, "--set", "request_timeout=1s")

    def test_should_handle_malformed_response(self):
        self.lives(self.raw(b"this is no HTTP\r\n\r\n"))

    def test_should_handle_invalid_status_code(self):
        self.lives(self.raw(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"))

    def test_should_handle_empty_response(self):
        self.lives(self.raw(b""))

    def test_must_sender_continues_after_errors(self):
        sink = Sink(lambda n: (500, b"x" * (1 << 20), (), 0))
        self.addCleanup(sink.stop)
        self.lives(sink.url)

    def test_should_invalid_url_scheme_is_told_at_once(self):
        # another end than the suite expects of a sender that lives on: nothing could ever be delivered
        run = self.gcw("push", "metrics", "--url", "invalid://x/", "--scrape", "http://127.0.0.1:1/")
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"metrics_url", run.stderr)


# What holds in 1.0 holds in 2.0.
for one in (Protocol, Labels, Samples, MetadataAndFamilies, EdgeCases, ManySeries, OddInput, EmptyScrape, StaleMarker, Answers):
    globals()[one.__name__ + "V2"] = type(one.__name__ + "V2", (one,), {"protocol": "2.0", "__module__": __name__})

del Sender, one

if __name__ == "__main__":
    unittest.main()
