"""Prometheus' delimited protobuf exposition, packed by hand, and a target that negotiates the format as exporters do."""
import gzip
import struct

from remote import Server, answer

COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def varint(v):
    out = bytearray()
    v &= (1 << 64) - 1
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    return varint(v << 1 ^ v >> 63)


def integer(number, v):
    return varint(number << 3) + varint(v)


def double(number, v):
    return varint(number << 3 | 1) + struct.pack("<d", v)


def piece(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def when(number, ms):
    return b"" if ms is None else piece(number, integer(1, ms // 1000) + integer(2, ms % 1000 * 1000000))


def labels(pairs, number=1):
    return b"".join(piece(number, piece(1, k) + piece(2, v)) for k, v in pairs.items())


def exemplar(number, e):
    """(labels, value, ms or None)"""
    return b"" if e is None else piece(number, labels(e[0]) + double(2, e[1]) + when(3, e[2]))


def counter(value, e=None, created=None):
    return piece(3, double(1, value) + exemplar(2, e) + when(3, created))


def gauge(value):
    return piece(2, double(1, value))


def untyped(value):
    return piece(5, double(1, value))


def quantiles(count, total, values, created=None):
    return piece(4, integer(1, count) + double(2, total) + b"".join(piece(3, double(1, q) + double(2, v)) for q, v in values) +
                 when(4, created))


def histogram(count, total, buckets=(), created=None, native=b"", exemplars=(), count_float=None):
    """buckets: (bound, count, exemplar or None)"""
    return piece(7, integer(1, count) + double(2, total) +
                 b"".join(piece(3, integer(1, n) + double(2, bound) + exemplar(3, e)) for bound, n, e in buckets) +
                 (b"" if count_float is None else double(4, count_float)) + native + when(15, created) +
                 b"".join(exemplar(16, e) for e in exemplars))


def spans(number, pairs):
    return b"".join(piece(number, varint(8) + zigzag(offset) + integer(2, length)) for offset, length in pairs)


def deltas(number, counts):
    """One field for each, as proto2 has them; read as well as packed ones."""
    return b"".join(varint(number << 3) + zigzag(b - a) for a, b in zip([0, *counts], counts))


def native(schema, threshold=0.0, zero=0, positive=((), ()), negative=((), ())):
    """(spans, counts) of each side."""
    return (varint(5 << 3) + zigzag(schema) + double(6, threshold) + integer(7, zero) + spans(9, negative[0]) + deltas(10, negative[1]) +
            spans(12, positive[0]) + deltas(13, positive[1]))


def native_float(schema, threshold, zero, positive, negative=((), ())):
    packed = lambda number, values: piece(number, struct.pack(f"<{len(values)}d", *values)) if values else b""
    return (varint(5 << 3) + zigzag(schema) + double(6, threshold) + double(8, zero) + spans(9, negative[0]) + packed(11, negative[1]) +
            spans(12, positive[0]) + packed(14, positive[1]))


def metric(value, ms=0, **pairs):
    return labels(pairs) + value + (integer(6, ms) if ms else b"")


def family(name, kind, *metrics, help="", unit=""):
    body = piece(1, name) + (piece(2, help) if help else b"") + integer(3, kind) + b"".join(piece(4, m) for m in metrics)
    body += piece(5, unit) if unit else b""
    return varint(len(body)) + body


class Negotiator(Server):
    """Answers with `pages[type](n)` of the first content type in `pages` that the Accept header names, n being the number of the scrape
    of that client, from 1; or of the last one."""

    def __init__(self, pages):
        self.pages, self.scrapes, self.accepts = pages, {}, {}
        super().__init__(Negotiator.serve)
        self.url = f"http://{self.address}/metrics"

    @staticmethod
    def serve(request):
        self = request.owner
        agent = request.headers.get("User-Agent", "").split("/")[0].lower()
        accept = request.headers.get("Accept", "")
        with self.lock:
            n = self.scrapes[agent] = self.scrapes.get(agent, 0) + 1
            self.accepts[agent] = accept
        kind = next((t for t in self.pages if t.split(";")[0] in accept), list(self.pages)[-1])
        body, headers = self.pages[kind](n), [("Content-Type", kind)]
        body = body.encode() if isinstance(body, str) else body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, _ = gzip.compress(body), headers.append(("Content-Encoding", "gzip"))
        answer(request, 200, body, headers)
