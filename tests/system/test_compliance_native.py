"""What the public compliance suite for senders asks of native histograms and start times, which targets expose as protobuf and, the
latter, as _created of OpenMetrics; as tests of ours by its names."""
from expo import *
from sender import *


def unzigzag(v):
    return v >> 1 ^ -(v & 1)


class Native(Sender):
    protocol, content_type, args = "2.0", PROTOBUF, ("--native-histograms",)
    created = 1700000000123
    page = b"".join([
        family("request_seconds", HISTOGRAM, metric(histogram(100, 250.5, created=created, native=native(
            3, 0.001, 5, ([(0, 2), (3, 1)], [40, 30, 10]), ([(-1, 1)], [15]))))),
        family("empty_seconds", HISTOGRAM, metric(histogram(0, 0, native=native(3, 0.001)))),
        family("large_seconds", HISTOGRAM, metric(histogram(10**9, 5e9, native=native(0, 0.001, 0, ([(0, 1)], [10**9]))))),
        family("requests_total", COUNTER, metric(counter(7, created=created))), family("temperature", GAUGE, metric(gauge(22.5)))])

    def histogram(self, name="request_seconds"):
        """Of the first such series in the last request, the fields of its histogram, by number."""
        s = self.series(name)[0]
        got = {}
        for number, value in s.histograms[0]:
            got.setdefault(number, []).append(value)
        return got

    def test_must_native_histogram_structure(self):
        self.assertEqual(set(self.histogram()), {1, 3, 4, 5, 6, 8, 9, 11, 12, 15, 17})
        self.assertEqual({dict(s.labels)["__name__"] for s in self.series() if s.histograms}, {"request_seconds", "empty_seconds", "large_seconds"})

    def test_must_histogram_count_present(self):
        self.assertEqual(self.histogram()[1], [100])

    def test_must_histogram_sum_present(self):
        self.assertEqual(self.histogram()[3], [struct.pack("<d", 250.5)])

    def test_must_histogram_schema(self):
        self.assertEqual(unzigzag(self.histogram()[4][0]), 3)

    def spans(self, number):
        return [(unzigzag(dict(fields(v)).get(1, 0)), dict(fields(v))[2]) for v in self.histogram()[number]]

    def test_may_histogram_positive_buckets_and_should_histogram_buckets_ordered(self):
        self.assertEqual((self.spans(11), [unzigzag(v) for v in packed(self.histogram()[12][0])]), ([(0, 2), (3, 1)], [40, -10, -20]))

    def test_may_histogram_negative_buckets(self):
        self.assertEqual((self.spans(8), [unzigzag(v) for v in packed(self.histogram()[9][0])]), ([(-1, 1)], [15]))

    def test_may_histogram_zero_bucket(self):
        self.assertEqual((self.histogram()[5], self.histogram()[6]), ([struct.pack("<d", 0.001)], [5]))

    def test_must_histogram_timestamp(self):
        self.assertIn(self.histogram()[15][0], {ms for _, _, ms in self.named("up")})

    def test_must_histogram_no_mixed_with_samples(self):
        self.assertTrue(all(bool(s.samples) != bool(s.histograms) for s in self.series()))

    def test_should_histogram_empty_buckets(self):
        self.assertEqual((self.histogram("empty_seconds")[1], self.histogram("empty_seconds")[6]), ([0], [0]))

    def test_must_histogram_large_counts(self):
        self.assertEqual(self.histogram("large_seconds")[1], [10**9])

    def test_should_start_timestamp_for_histograms(self):
        self.assertEqual(self.histogram()[17], [self.created])

    def test_should_start_timestamp_for_counters(self):
        self.assertEqual({start for s in self.series("requests_total") for start in s.starts}, {self.created})


class Created(Sender):
    protocol, content_type = "2.0", OPENMETRICS
    page = """# TYPE test_counter counter
test_counter_total 101.13
test_counter_created 1700000000.123
# TYPE test_histogram histogram
test_histogram_count 100
test_histogram_sum 250.0
test_histogram_bucket{le="+Inf"} 100
test_histogram_created 1700000000.123
# TYPE test_gauge gauge
test_gauge 2
# EOF
"""

    def starts(self, name):
        return {start for s in self.series(name) for start in s.starts}

    def test_should_start_timestamp_for_counters(self):
        self.assertEqual(self.starts("test_counter_total"), {1700000000123})

    def test_should_start_timestamp_for_histograms(self):
        self.assertEqual([self.starts(f"test_histogram_{part}") for part in ("count", "sum", "bucket")], [{1700000000123}] * 3)

    def test_should_start_timestamp_zero_handling(self):
        self.assertEqual(self.starts("test_gauge") | self.starts("up"), {0})


del Sender

if __name__ == "__main__":
    unittest.main()
