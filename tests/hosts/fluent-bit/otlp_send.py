#!/usr/bin/env python3
"""Sends OpenTelemetry metrics of every type as OTLP/HTTP protobuf, written by hand: otlp_send.py URL [TIMES].

Each time is an export one second later than the last by its times, the first one of now."""
import struct
import sys
import time
import urllib.request

SECOND = 1_000_000_000
DELTA, CUMULATIVE = 1, 2


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def zigzag(field, n):
    return number(field, n << 1 ^ n >> 63)


def fixed(field, n):
    return varint(field << 3 | 1) + struct.pack("<q", n)


def double(field, d):
    return varint(field << 3 | 1) + struct.pack("<d", d)


def part(field, body):
    body = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(body)) + body


def attribute(field, key, value):
    kinds = {str: lambda v: part(1, v), bool: lambda v: number(2, v), int: lambda v: number(3, v), float: lambda v: double(4, v)}
    return part(field, part(1, key) + part(2, kinds[type(value)](value)))


def attributes(field, pairs):
    return b"".join(attribute(field, k, v) for k, v in pairs.items())


def metric(name, field, points, description="", unit="", temporality=None, monotonic=None):
    data = b"".join(part(1, p) for p in points)
    data += number(2, temporality) if temporality else b""
    data += number(3, monotonic) if monotonic is not None else b""
    return part(2, part(1, name) + part(2, description) + part(3, unit) + part(field, data))


def times(now):
    return fixed(2, now - SECOND) + fixed(3, now)


def integer(now, value, **labels):
    return times(now) + fixed(6, value) + attributes(7, labels)


def real(now, value, **labels):
    return times(now) + double(4, value) + attributes(7, labels)


def packed(field, form, values):
    return part(field, b"".join(struct.pack(form, v) for v in values))


def histogram(now, counts, bounds, total, **labels):
    return (times(now) + fixed(4, sum(counts)) + double(5, total) + packed(6, "<Q", counts) + packed(7, "<d", bounds)
            + attributes(9, labels))


def exponential(now, scale, zero, positive, negative, total, **labels):
    def side(field, offset, counts):
        return part(field, zigzag(1, offset) + part(2, b"".join(varint(c) for c in counts))) if counts else b""
    count = zero + sum(positive[1]) + sum(negative[1])
    return (attributes(1, labels) + times(now) + fixed(4, count) + double(5, total) + zigzag(6, scale) + fixed(7, zero)
            + side(8, *positive) + side(9, *negative))


def summary(now, count, total, quantiles, **labels):
    return (times(now) + fixed(4, count) + double(5, total) + attributes(7, labels)
            + b"".join(part(6, double(1, q) + double(2, v)) for q, v in quantiles.items()))


def export(k, now):
    metrics = [
        metric("http.server.requests", 7, [integer(now, 10 * (k + 1), **{"http.route": "/a", "ok": True}),
                                           integer(now, 2**53 + 1, **{"http.route": "/b"})],
               "Requests served", "{request}", CUMULATIVE, True),
        metric("jobs.done", 7, [real(now, 2.5 + k, queue="fast"), real(now, 1.0, queue="slow")], "Jobs since the last export",
               "1", DELTA, True),
        metric("queue.length", 5, [integer(now, -3)], "", ""),
        metric("load.ratio", 5, [real(now, 0.1, cpu=1), real(now, float("nan"), cpu=2)], "Load", "1"),
        metric("http.server.duration", 9, [histogram(now, [1 + k, 2, 0, 3], [0.1, 0.25, 1.0], 7.5, method="GET")], "Duration",
               "s", CUMULATIVE),
        metric("batch.size", 9, [histogram(now, [4, 1], [100.0], 250.0)], "Batches since the last export", "By", DELTA),
        metric("rpc.time", 10, [exponential(now, 1, 2, (-1, [1, 0, 4]), (0, [1]), 5.5, peer="x")], "Exponential", "s",
               CUMULATIVE),
        metric("rpc.new", 10, [exponential(now, 0, 0, (k, [3]), (0, []), 9.0)], "Exponential, delta", "s", DELTA),
        metric("gc.pause", 11, [summary(now, 7, 0.5, {0.5: 0.01, 0.99: 0.2})], "Pauses", "s"),
    ]
    resource = attributes(1, {"service.name": "shop", "service.namespace": "prod", "service.instance.id": "i-1",
                              "host.cpus": 4, "cloud.spot": True})
    scope = part(1, part(1, "otlp_send") + part(2, "1")) + b"".join(metrics)
    return part(1, part(1, resource) + part(2, scope))


def send(url, count):
    start = time.time_ns() // SECOND * SECOND + 123_456_789
    for k in range(count):
        body = export(k, start + k * SECOND)
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
