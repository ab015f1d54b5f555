"""What the first public compliance suite for senders asked, that for remote write 1.0 alone, as tests of ours by its names."""
import re

from sender import *


class Types(Sender):
    until = arrived("counter", 3)
    page = staticmethod(lambda n: f"""# TYPE counter counter
counter {n - 1}
# TYPE now gauge
now 42
# TYPE histogram histogram
histogram_bucket{{le="1.0"}} 1
histogram_bucket{{le="2.0"}} 2
histogram_bucket{{le="+Inf"}} 2
histogram_sum 3
histogram_count 2
# TYPE summary summary
summary{{quantile="0.5"}} 2
summary{{quantile="0.9"}} 3
summary_sum 6
summary_count 3
""")

    def values(self, name, **labels):
        return [number(bits) for have, bits, _ in self.named(name) if labels.items() <= have.items()]

    def test_counter(self):
        got = self.values("counter")
        self.assertEqual(got, [float(i) for i in range(len(got))])
        self.assertGreater(len(got), 2)

    def test_gauge(self):
        self.assertEqual(set(self.values("now")), {42})

    def test_histogram(self):
        parts = [self.values("histogram_bucket", le=le) for le in ("1.0", "2.0", "+Inf")] + [self.values("histogram_sum"), self.values("histogram_count")]
        self.assertEqual([set(p) for p in parts], [{1}, {2}, {2}, {3}, {2}])
        self.assertEqual(len({len(p) for p in parts}), 1)

    def test_summary(self):
        parts = [self.values("summary", quantile=q) for q in ("0.5", "0.9")] + [self.values("summary_sum"), self.values("summary_count")]
        self.assertEqual([set(p) for p in parts], [{2}, {3}, {6}, {3}])
        self.assertEqual(len({len(p) for p in parts}), 1)

    def test_up(self):
        self.assertEqual(set(self.values("up", job="test")), {1})

    def every_label(self, name):
        return {dict(s.labels).get(name) for r in self.sink.requests for s in read(r)[0]}

    def test_job_label(self):
        self.assertEqual(self.every_label("job"), {"test"})

    def test_instance_label(self):
        self.assertEqual(self.every_label("instance"), {self.exporter.address})

    def test_timestamp(self):
        for name in ("now", "up"):
            times = [ms for _, _, ms in self.named(name)]
            self.assertEqual(times, sorted(set(times)))

    def test_headers(self):
        for r in self.sink.requests:
            self.assertEqual([r.headers[name] for name in ("Content-Encoding", "Content-Type", "X-Prometheus-Remote-Write-Version")],
                             ["snappy", "application/x-protobuf", "0.1.0"])


class Labels(Sender):
    def came(self):
        return [sorted(have.items()) for have, _, _ in self.named("test")]

    def wanted(self, **labels):
        self.assertEqual({tuple(l) for l in self.came()}, {tuple(sorted({"job": "test", "instance": self.exporter.address, **labels}.items()))})


class SortedLabels(Labels):
    page = "\n# HELP test A gauge\n# TYPE test gauge\ntest{b=\"2\",a=\"1\"} 1.0\n"

    def test_sorted_labels(self):
        self.wanted(a="1", b="2")
        self.assertTrue(all([n for n, _ in s.labels] == sorted(n for n, _ in s.labels) for s in self.series()))


class EmptyLabels(Labels):
    page = "\n# HELP test A gauge\n# TYPE test gauge\ntest{a=\"\"} 1.0\n"

    def test_empty_labels(self):
        self.wanted()


class HonorLabels(Labels):
    page = "\n# HELP test A gauge\n# TYPE test gauge\ntest{job=\"original\", instance=\"foo\"} 1.0\n"

    def test_honor_labels(self):
        self.wanted(exported_job="original", exported_instance="foo")


class Refused(Labels):
    """What is no exposition: nothing of it arrives, and the scrape has failed."""

    def refused(self):
        self.assertEqual({re.sub("^scrape_.*", "", dict(s.labels)["__name__"]) for s in self.series()}, {"", "up"})
        self.assertEqual({number(bits) for _, bits, _ in self.named("up")}, {0})


class RepeatedLabels(Refused):
    page = "\n# HELP test A gauge\n# TYPE test gauge\ntest{a=\"1\",a=\"1\"} 1.0\n"

    def test_repeated_labels(self):
        self.refused()


class NameLabel(Refused):
    page = "\n# HELP test A gauge\n# TYPE test gauge\n{label=\"value\"} 1.0\n"

    def test_name_label(self):
        self.refused()


class Invalid(Refused):
    page = "\n# this is not valid prometheus\n1234notvali}{ 444\n"

    def test_invalid(self):
        self.refused()


class Staleness(Sender):
    until = arrived("stale", 2)
    page = staticmethod(lambda n: "stale 1\n" if n == 1 else "# nothing\n")

    def test_staleness(self):
        self.assertEqual([bits == STALE for _, bits, _ in self.named("stale")], [False, True])


class Ordering(Sender):
    """Answers that are late now and then do not bring the samples of a series out of order."""

    until = staticmethod(lambda exporter, sink: len(sink.requests) >= 6)
    page = "".join(f'test{{i="{i}"}} 1\n' for i in range(1000))
    reply = staticmethod(lambda n: (204, b"", (), (0, 0.6, 0.1)[n % 3]))

    def test_ordering(self):
        last = {}
        for labels, _, ms in self.named("test"):
            self.assertLess(last.get(labels["i"], 0), ms)
            last[labels["i"]] = ms
        self.assertEqual(len(last), 1000)


class Retries500(Sender):
    page, args = "now 1\n", ("--set", "retry_min=100ms")
    until = staticmethod(lambda exporter, sink: len(sink.requests) >= 3)
    reply = staticmethod(lambda n: (500 if n == 1 else 204, b"", (), 0))

    def times(self, requests):
        return {ms for r in requests for s in read(r)[0] if ("__name__", "now") in s.labels for _, ms in s.samples}

    def test_retries_500(self):
        self.assertLessEqual(self.times(self.sink.requests[:1]), self.times(self.sink.requests[1:]))


class Retries400(Retries500):
    reply = staticmethod(lambda n: (400 if n == 1 else 204, b"", (), 0))
    test_retries_500 = None

    def test_retries_400(self):
        self.assertTrue(self.times(self.sink.requests[:1]))
        self.assertFalse(self.times(self.sink.requests[:1]) & self.times(self.sink.requests[1:]))


del Sender, Labels, Refused

if __name__ == "__main__":
    unittest.main()
