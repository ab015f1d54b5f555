"""What the public compliance suite for senders asks of requests (prometheus/compliance, remotewrite/sender), as tests of ours by its
names, each against the last request, as there."""
import math
import time

from sender import *

LONG = "x" * 10000
FUTURE = int(time.time() * 1000) + 240007
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
test_long{{{"l" * 64}="1",text="{"words " * 300}",value="{LONG}"}} 1
test_future 1 {FUTURE}
special{{kind="nan"}} NaN
special{{kind="inf"}} +Inf
special{{kind="ninf"}} -Inf
special{{kind="zero"}} 0
special{{kind="negative"}} -123.45
# HELP test_help first \\\\ and "quotes"
# HELP test_help second
# TYPE test_help gauge
test_help 1
# TYPE no_help_total counter
no_help_total 3
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


class Protocol(Sender):
    page = PAGE

    def test_must_content_type_protobuf(self):
        self.assertIn("application/x-protobuf", self.last.headers["Content-Type"])

    def test_must_content_encoding_snappy(self):
        self.assertEqual(self.last.headers["Content-Encoding"], "snappy")

    def test_must_version_header_present(self):
        self.assertTrue(self.last.headers["X-Prometheus-Remote-Write-Version"])

    def test_must_user_agent_present(self):
        self.assertRegex(self.last.headers["User-Agent"], r"^gcw/\S+")

    def test_must_snappy_block_format(self):
        self.assertTrue(self.last.body)
        self.assertFalse(self.last.body.startswith(b"\xff\x06\x00\x00sNaPpY"))

    def test_must_protobuf_parseable(self):
        self.assertTrue(self.series())

    def test_must_http_method(self):
        self.assertEqual({r.method for r in self.sink.requests}, {"POST"})


class Protocol1(Sender):
    page = PAGE

    def test_should_rw1_version_header_and_remote_write_1_configuration(self):
        self.assertEqual(self.last.headers["X-Prometheus-Remote-Write-Version"], "0.1.0")

    def test_should_rw1_content_type(self):
        self.assertEqual(self.last.headers["Content-Type"], "application/x-protobuf")

    def test_must_rw1_samples_encoding(self):
        self.assertTrue(all(len(s.samples) == 1 for s in self.series()))

    def test_must_rw1_labels_encoding(self):
        self.assertTrue(all(s.labels for s in self.series()))

    def fields_of_series(self):
        """Field numbers inside TimeSeries and Sample, and those of the request."""
        series = [v for r in self.sink.requests for n, v in fields(unsnappy(r.body)) if n == 1]
        return ({n for v in series for n, _ in fields(v)}, {n for v in series for n, m in fields(v) if n == 2 for n, _ in fields(m)},
                {n for r in self.sink.requests for n, _ in fields(unsnappy(r.body))})

    def test_must_rw1_no_native_histograms(self):
        self.assertEqual(self.fields_of_series()[0], {1, 2})

    def test_must_rw1_no_start_timestamp(self):
        self.assertEqual(self.fields_of_series()[1], {1, 2})

    def test_must_rw1_symbol_table_not_used(self):
        self.assertLessEqual(self.fields_of_series()[2], {1, 3})

    def test_may_rw1_metadata_handling(self):
        self.assertIn("http_requests_total", self.metadata())


class Protocol2(Sender):
    page, protocol = PAGE, "2.0"

    def test_should_content_type_with_proto_param(self):
        self.assertEqual(self.last.headers["Content-Type"], "application/x-protobuf;" + V2)  # a blank would be taken for 1.0

    def test_should_version_header_value(self):
        self.assertEqual(self.last.headers["X-Prometheus-Remote-Write-Version"], "2.0.0")


class Symbols(Sender):
    page, protocol = PAGE, "2.0"

    def symbols(self):
        return symbols_of(self.last.body)

    def test_must_empty_string_at_index_zero(self):
        self.assertEqual(self.symbols()[0], "")

    def test_recommended_string_deduplication(self):
        self.assertEqual(len(set(self.symbols())), len(self.symbols()))

    def test_recommended_efficient_symbol_reuse(self):
        used = {ref for s in self.series() for ref in (*s.refs, *(s.metadata or ())[1:])}
        self.assertEqual(used | {0}, set(range(len(self.symbols()))))  # each is there for somebody

    def test_must_labels_refs_valid_indices(self):
        n = len(self.symbols())
        self.assertTrue(all(s.refs and max(s.refs) < n for s in self.series()))

    def test_must_labels_refs_even_length(self):
        self.assertTrue(all(len(s.refs) % 2 == 0 for s in self.series()))

    def test_must_metadata_help_refs_valid(self):
        n = len(self.symbols())
        self.assertTrue(all(ref < n for s in self.series() if s.metadata for ref in s.metadata[1:]))

    def test_should_metadata_consistent_across_series(self):
        families = {}
        for s in self.series():
            families.setdefault(dict(s.labels)["__name__"], set()).add(s.metadata)
        self.assertEqual({name for name, m in families.items() if len(m) > 1}, set())

    def test_should_samples_with_metadata(self):
        self.assertTrue(self.series("http_requests_total"))
        for s in self.series("http_requests_total"):
            self.assertEqual((len(s.samples), s.metadata[0]), (1, 1))
            self.assertEqual(self.symbols()[s.metadata[1]], 'Requests, "all" of them.')

    def test_recommended_metadata_batching(self):
        self.assertGreaterEqual(sum(bool(s.metadata and s.metadata[0]) for s in self.series()), 2)

    def test_may_metadata_empty_help_allowed(self):
        [s, *_] = self.series("no_help_total")
        self.assertEqual((s.metadata[0], s.metadata[1]), (1, 0))

    def test_must_every_series_has_a_sample(self):
        self.assertTrue(all(s.samples for s in self.series()))

    def starts(self):
        return [(start, ms) for s in self.series() for start, (_, ms) in zip(s.starts, s.samples)]

    def test_should_start_timestamp_zero_handling(self):
        self.assertTrue(all(start == 0 or start > 1e12 for start, _ in self.starts()))

    def test_should_start_timestamp_before_sample_timestamp(self):
        self.assertTrue(all(start <= ms for start, ms in self.starts()))


class SymbolTableEfficiency(Sender):
    protocol = "2.0"
    page = "".join(f'test_metric{{method="{m}",status="{c}"}} 1\n' for m in ("GET", "POST") for c in ("200", "500"))

    def test_symbol_table_efficiency(self):
        self.assertLessEqual(len(symbols_of(self.last.body)), 30)

    def test_recommended_handles_varying_cardinality(self):
        symbols = symbols_of(self.last.body)
        self.assertEqual([symbols.count(word) for word in ("method", "status", "GET", "POST", "200", "500")], [1] * 6)
        self.assertEqual(len(self.named("test_metric")) % 4, 0)


class Exemplars(Sender):
    protocol, content_type = "2.0", OPENMETRICS
    page = """# TYPE http_requests counter
http_requests_total{code="200"} 1000 # {trace_id="abc123",span_id="def456"} 99.5 1700000000.123
http_requests_total{code="500"} 3 # {request="r-1",user="\u00fc"} 1
# HELP request_seconds How long.
# TYPE request_seconds histogram
request_seconds_bucket{le="0.1"} 10 # {trace_id="ex1"} 0.05 1700000000.0
request_seconds_bucket{le="0.5"} 50 # {trace_id="ex2"} 0.3 1700000001.0
request_seconds_bucket{le="+Inf"} 100
request_seconds_sum 50.0
request_seconds_count 100
# TYPE memory_bytes gauge
# UNIT memory_bytes bytes
memory_bytes 1048576
# EOF
"""

    def all(self, name=None):
        """Series with exemplars, of all requests, each with its symbols: one that did not change need not be sent again."""
        out = [(symbols_of(r.body), s) for r in self.sink.requests for s in read(r)[0] if s.exemplars and (not name or ("__name__", name) in s.labels)]
        self.assertTrue(out, name)
        return out

    def exemplars(self, name, **labels):
        """Of a series: [(labels, value, ms)]."""
        out = []
        for symbols, s in self.all(name):
            if labels.items() <= dict(s.labels).items():
                for e in s.exemplars:
                    refs = packed(e.get(1, b""))
                    out.append(({symbols[a]: symbols[b] for a, b in zip(refs[::2], refs[1::2])}, struct.unpack("<d", e[2])[0], signed(e[3])))
        self.assertTrue(out, name)
        return out

    def test_may_exemplar_with_trace_id(self):
        self.assertEqual({e[0]["trace_id"] for e in self.exemplars("http_requests_total", code="200")}, {"abc123"})

    def test_may_exemplar_with_span_id(self):
        self.assertEqual({e[0]["span_id"] for e in self.exemplars("http_requests_total", code="200")}, {"def456"})

    def test_must_exemplar_value_valid(self):
        self.assertEqual({e[1] for e in self.exemplars("http_requests_total", code="200")}, {99.5})

    def test_must_exemplar_timestamp_valid(self):
        self.assertEqual({e[2] for e in self.exemplars("http_requests_total", code="200")}, {1700000000123})
        stamps = {ms for _, _, ms in self.named("http_requests_total")}
        self.assertLessEqual({e[2] for e in self.exemplars("http_requests_total", code="500")}, stamps)  # its sample's, as it has none

    def test_must_exemplar_labels_valid_refs(self):
        self.assertTrue(all(0 < ref < len(symbols) for symbols, s in self.all() for e in s.exemplars for ref in packed(e[1])))

    def test_must_exemplar_labels_even_length(self):
        self.assertTrue(all(len(packed(e[1])) % 2 == 0 for _, s in self.all() for e in s.exemplars))

    def test_may_exemplar_custom_labels(self):
        self.assertIn({"request": "r-1", "user": "\u00fc"}, [e[0] for e in self.exemplars("http_requests_total", code="500")])

    def test_may_exemplar_on_histogram(self):
        self.assertEqual({e[0]["trace_id"] for e in self.exemplars("request_seconds_bucket", le="0.1")}, {"ex1"})

    def test_may_multiple_exemplars_per_series(self):
        # a line of OpenMetrics has one, so a series has one a scrape: none of its neighbours' are mixed in
        self.assertEqual({e[0]["trace_id"] for e in self.exemplars("request_seconds_bucket", le="0.5")}, {"ex2"})

    def test_may_samples_with_exemplars(self):
        self.assertTrue(all(s.samples for _, s in self.all()))  # none on its own, which receivers refuse

    def test_may_histogram_with_metadata_and_exemplars(self):
        self.assertEqual({s.metadata[0] for _, s in self.all("request_seconds_bucket")}, {3})

    def test_may_metadata_unit(self):
        [s, *_] = self.series("memory_bytes")
        self.assertEqual(symbols_of(self.last.body)[s.metadata[2]], "bytes")


class Labels(Sender):
    page = PAGE

    def names(self):
        return [[n for n, _ in s.labels] for s in self.series()]

    def test_must_label_lexicographic_ordering(self):
        self.assertTrue(self.series("test_metric"))
        for names in self.names():
            self.assertEqual(names, sorted(names, key=str.encode))

    def test_must_metric_name_label_present(self):
        self.assertTrue(all("__name__" in names for names in self.names()))

    def test_must_metric_name_format_valid(self):
        for s in self.series():
            self.assertRegex(dict(s.labels)["__name__"], r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")

    def test_must_label_name_format_valid(self):
        self.assertTrue(all(re.match(r"^[a-zA-Z_][a-zA-Z0-9_]*$", n) for names in self.names() for n in names))

    def test_must_no_duplicate_label_names(self):
        self.assertTrue(all(len(set(names)) == len(names) for names in self.names()))

    def test_must_label_names_not_empty(self):
        self.assertTrue(all(all(names) for names in self.names()))

    def test_may_label_values_may_be_empty(self):
        # both specifications forbid to send them: the label is left out, which means the same
        self.assertTrue(all(v for s in self.series() for _, v in s.labels))
        self.assertEqual({n for n, _ in self.series("test_empty")[0].labels}, {"__name__", "here", "instance", "job"})

    def test_should_reserved_label_prefix(self):
        self.assertEqual({n for names in self.names() for n in names if n.startswith("__")}, {"__name__"})

    def test_must_unicode_in_label_values_and_unicode_in_labels(self):
        labels = dict(self.series("test_unicode")[0].labels)
        self.assertEqual((labels["city"], labels["smile"], labels["chinese"]), ("Zürich", "🙂", "测试"))

    def test_must_special_chars_in_label_values(self):
        labels = dict(self.series("test_special")[0].labels)
        self.assertEqual((labels["path"], labels["query"]), ("/x/y", "a=b&c=d"))

    def test_should_very_long_label_names(self):
        self.assertIn("l" * 64, dict(self.series("test_long")[0].labels))

    def test_should_very_long_label_values(self):
        self.assertEqual(dict(self.series("test_long")[0].labels)["text"], "words " * 300)

    def test_should_many_labels_per_series(self):
        self.assertEqual(len(self.series("test_metric")[0].labels), 13)

    def test_should_job_instance_labels_present(self):
        self.assertEqual({dict(s.labels)["job"] for s in self.series()}, {"test"})
        self.assertEqual({dict(s.labels)["instance"] for s in self.series()}, {self.exporter.address})

    def test_should_mixed_labels_and_metadata(self):
        self.assertEqual({(labels["method"], labels["path"]) for labels, _, _ in self.named("http_requests_total")}, {("GET", "/a?b=c&d"), ("POST", "/a")})
        self.assertEqual(self.metadata()["http_requests_total"].type, 1)


class Samples(Sender):
    page = PAGE

    def test_must_float_value_encoding(self):
        self.assertEqual(self.value("test_metric"), 123.45)

    def test_must_integer_value_encoding(self):
        self.assertEqual(self.value("test_integer"), 42)

    def test_must_zero_value_encoding(self):
        self.assertEqual(self.value("test_zero"), 0)

    def test_must_negative_value_encoding(self):
        self.assertEqual(self.value("test_negative"), -15.5)

    def test_must_positive_infinity_encoding(self):
        self.assertEqual(self.value("test_inf"), math.inf)

    def test_must_negative_infinity_encoding(self):
        self.assertEqual(self.value("test_minus_inf"), -math.inf)

    def test_must_nan_encoding(self):
        self.assertEqual({bits for s in self.series("test_nan") for bits, _ in s.samples}, {0x7FF8000000000001})

    def test_must_special_float_combinations(self):
        got = {labels["kind"]: bits for labels, bits, _ in self.named("special")}
        self.assertEqual({k: b if k == "nan" else number(b) for k, b in got.items()},
                         {"nan": 0x7FF8000000000001, "inf": math.inf, "ninf": -math.inf, "zero": 0, "negative": -123.45})

    def test_must_large_float_values(self):
        self.assertEqual(self.value("test_large"), 1.797e308)

    def test_must_small_float_values(self):
        self.assertEqual(self.value("test_small"), 2.2e-308)

    def test_must_scientific_notation(self):
        self.assertEqual(self.value("test_scientific"), 1.23e-4)

    def test_should_precision_preservation(self):
        self.assertEqual(self.value("test_precise"), 0.1234567890123456)

    def test_must_timestamp_milliseconds_format_and_timestamp_int64_milliseconds(self):
        self.assertTrue(all(1e12 < ms < 1e16 for s in self.series() for _, ms in s.samples))

    def test_should_timestamp_recent_and_timestamp_future_values(self):
        now = time.time() * 1000
        self.assertTrue(all(now - 3600000 < ms < now + 300000 for s in self.series() for _, ms in s.samples))

    def test_should_timestamp_precision(self):
        # what was written to the millisecond arrives so
        self.assertEqual({ms for _, _, ms in self.named("test_future")}, {FUTURE})

    def test_must_multiple_samples_same_series(self):
        # a series has one sample a scrape, each with a time of its own
        times = [ms for labels, _, ms in self.named("test_metric")]
        self.assertEqual(len(set(times)), len(times))

    def test_must_sample_ordering_and_timestamp_ordering_within_series(self):
        seen = {}
        for r in self.sink.requests:
            for s in read(r)[0]:
                for _, ms in s.samples:
                    key = tuple(s.labels)
                    self.assertGreaterEqual(ms, seen.get(key, 0))
                    seen[key] = ms


class MetadataAndFamilies(Sender):
    page = PAGE

    def test_should_metadata_type_counter(self):
        self.assertEqual(self.metadata()["http_requests_total"].type, 1)

    def test_should_metadata_type_gauge(self):
        self.assertEqual(self.metadata()["test_metric"].type, 2)

    def test_should_metadata_type_histogram(self):
        self.assertEqual(self.metadata()["request_seconds"].type, 3)

    def test_should_metadata_type_summary(self):
        self.assertEqual(self.metadata()["rpc_seconds"].type, 5)

    def test_should_metadata_help_text_and_metadata_help_with_special_chars(self):
        self.assertEqual(self.metadata()["http_requests_total"].help, 'Requests, "all" of them.')

    def test_should_metadata_help_with_newlines(self):
        # two HELP lines, which no format has: the first one is taken, and the sample is not lost
        self.assertEqual(self.metadata()["test_help"].help, 'first \\ and "quotes"')
        self.assertEqual(self.value("test_help"), 1)

    def test_must_histogram_count_present(self):
        self.assertEqual(self.value("request_seconds_count"), 100)

    def test_must_histogram_sum_present(self):
        self.assertEqual(self.value("request_seconds_sum"), 250.5)

    def test_should_histogram_buckets_ordered(self):
        buckets = [(float(dict(s.labels)["le"].replace("Inf", "inf")), number(s.samples[0][0])) for s in self.series("request_seconds_bucket")][-3:]
        self.assertEqual(buckets, [(0.1, 10), (1, 90), (math.inf, 100)])

    def test_should_histogram_empty_buckets(self):
        self.assertEqual((self.value("empty_seconds_bucket"), self.value("empty_seconds_count")), (0, 0))

    def test_must_histogram_large_counts(self):
        self.assertEqual(self.value("large_seconds_count"), 1e9)

    def test_must_histogram_timestamp(self):
        self.assertEqual({ms for _, _, ms in self.named("request_seconds_count")}, {ms for _, _, ms in self.named("request_seconds_sum")})

    def test_must_complete_metric_family(self):
        self.assertEqual({len(self.named(f"request_seconds_{part}")) // n for part, n in (("bucket", 3), ("sum", 1), ("count", 1))},
                         {len(self.named("up"))})

    def test_must_multiple_metric_types_and_mixed_sample_and_histogram_families(self):
        self.assertEqual((self.value("rpc_seconds_count"), self.value("rpc_seconds_sum"), self.value("rpc_seconds")), (270, 17, 0.05))
        self.assertLessEqual({"http_requests_total", "test_metric", "request_seconds", "rpc_seconds"}, set(self.metadata()))

    def test_must_real_world_scenario(self):
        self.assertTrue(all(dict(s.labels)["__name__"] and s.samples for s in self.series()))

    def test_recommended_multiple_series_per_request(self):
        self.assertGreaterEqual(len({dict(s.labels)["__name__"] for s in self.series()}), 20)


class EdgeCases(Sender):
    page = PAGE

    def test_must_metric_name_with_colons(self):
        self.assertEqual(self.value("test:with:colons"), 1)

    def test_should_very_long_metric_name(self):
        self.assertEqual(self.value("long_" * 150 + "name"), 1)

    def test_should_huge_label_values(self):
        # cut at 2048 bytes, the receivers' limit, with a hash of the whole: refused by them it would be lost
        value = dict(self.series("test_long")[0].labels)["value"]
        self.assertTrue(value.startswith("x" * 2000) and len(value) == 2048, len(value))

    def test_should_future_timestamp(self):
        self.assertEqual([(number(bits), ms) for _, bits, ms in self.named("test_future")], [(1, FUTURE)])  # once, as it is one sample


class HugeLabelsKept(Sender):
    page, args = PAGE, ("--set", "metrics_max_label_value=16KiB")

    def test_should_huge_label_values_kept_when_the_receiver_takes_them(self):
        self.assertEqual(dict(self.series("test_long")[0].labels)["value"], LONG)


class ManySeries(Sender):
    page = "".join(f'many{{i="{i}"}} {i}\n' for i in range(12000))

    def test_recommended_batch_size_reasonable(self):
        self.assertTrue(all(1 <= len(read(r)[0]) <= 10000 for r in self.sink.requests))

    def test_should_robustness_under_load_and_recommended_many_timeseries_high_cardinality(self):
        self.assertEqual(len({tuple(s.labels) for r in self.sink.requests for s in read(r)[0]}), 12000 + 5)

    def test_recommended_high_cardinality_labels(self):
        for labels, bits, _ in self.named("many"):
            self.assertEqual(number(bits), int(labels["i"]))


class OddInput(Sender):
    page = ("# HELP a ends in a backslash\\\na 1\na 2\nb{x=\"1\"} StaleNaN\nc 1 \ufffd\nd 1 0\ne{x=\"1\",} 5 \n\n\nbad{x=} 1\n" +
            "".join(f"many_{i} {i}\n" for i in range(30)) + "last 7")

    def test_should_odd_lines_do_not_cost_the_good_ones(self):
        names = {dict(s.labels)["__name__"] for s in self.series()}
        self.assertTrue({"a", "e", "last", "up"} <= names, names)
        self.assertGreaterEqual(len(names), 30)
        self.assertEqual(self.value("a"), 1)  # of two the first, as a receiver would have it

    def test_should_zero_timestamp(self):
        self.assertEqual([ms for _, _, ms in self.named("d")], [0])


class EmptyScrape(Sender):
    page = "# No metrics\n"

    def test_should_empty_scrape(self):
        self.assertEqual(self.value("up"), 1)
        self.assertEqual(self.value("scrape_samples_scraped"), 0)


class SamplesSorted(Sender):
    since, page = FUTURE - 300000, "".join(f"test_counter_total {i} {FUTURE - 300000 + 15000 * i}\n" for i in range(3))
    until = arrived("up", 3)

    def test_must_samples_sorted(self):
        # also over several scrapes of the same page
        self.assertEqual([(number(bits), ms - self.since) for _, bits, ms in self.named("test_counter_total")], [(i, 15000 * i) for i in range(3)])


class StaleMarker(Sender):
    page = staticmethod(lambda n: "test_metric 1\nother 1\n" if n == 1 else "other 1\n")
    until = arrived("test_metric", 2)

    def test_should_stale_marker(self):
        self.assertEqual([bits == STALE for _, bits, _ in self.named("test_metric")], [False, True])


also_in_2(globals(), Protocol, Labels, Samples, MetadataAndFamilies, EdgeCases, ManySeries, OddInput, EmptyScrape, SamplesSorted,
          StaleMarker)
del Sender

if __name__ == "__main__":
    unittest.main()
