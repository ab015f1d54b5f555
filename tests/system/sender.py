"""A scraping sender as the public compliance suite drives it (prometheus/compliance, remotewrite/sender): it scrapes a page, sends to a
receiver, and gets SIGINT. What it said is then looked at by all tests that ask for the same."""
import re

from harness import *
from remote import *


class Sender(Case):
    """One sender a class. With `until` None it is interrupted after its first request; else when until(exporter, sink) is true."""

    page, content_type, args, protocol, until = "", TEXT, (), "1.0", None
    reply = staticmethod(lambda n: (204, b"", (), 0))

    heard = {}

    @classmethod
    def setUpClass(cls):
        key = (cls.page, cls.content_type, cls.args, cls.protocol, cls.reply, cls.until)
        if key not in cls.heard:
            exporter, sink, case = Exporter(cls.page, cls.content_type), Sink(cls.reply), cls("run")
            case.setUp()
            try:
                case.send(exporter, sink, lambda: cls.until(exporter, sink) if cls.until else sink.requests, (*cls.args, "--signal-timeout", "30s"))
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

    def named(self, name):
        """What came under a name, in all requests: [(labels without it, bits, ms)]."""
        return [({n: v for n, v in s.labels if n != "__name__"}, bits, ms) for r in self.sink.requests for s in read(r)[0]
                if ("__name__", name) in s.labels for bits, ms in s.samples]

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


def arrived(name, count):
    """A condition: so many samples of that name have come."""
    return staticmethod(lambda exporter, sink: sum(len(s.samples) for r in list(sink.requests) for s in read(r)[0] if ("__name__", name) in s.labels) >= count)


def also_in_2(namespace, *classes):
    """What holds in 1.0 holds in 2.0."""
    for one in classes:
        name = one.__name__ + "V2"
        namespace[name] = type(name, (one,), {"protocol": "2.0", "__module__": namespace["__name__"]})
