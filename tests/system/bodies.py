"""Bodies of pushes, good and hostile: (name, body, Content-Type, other headers). Those of one table go to a real receiver and to
`gcw receive`."""
import gzip
import json
import struct
import zlib

JSON, PROTO = "application/json", "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def snappy(data):
    """Literals only: no compressor needed."""
    out = bytearray(varint(len(data)))
    for i in range(0, len(data), 60):
        out.append((len(data[i:i + 60]) - 1) << 2)
        out += data[i:i + 60]
    return bytes(out)


def num(number, value):
    return varint(number << 3) + varint(value)


def raw(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def dbl(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


# ---- Loki ---------------------------------------------------------------------------------------------------------------

def loki_json(now):
    t, minute, day = str(now), 60 * 10**9, 86400 * 10**9
    push = lambda labels='{"a":"b"}', values=f'[["{t}","x"]]': f'{{"streams":[{{"stream":{labels},"values":{values}}}]}}'
    entry = lambda time=t, rest='"x"': push(values=f'[["{time}",{rest}]]')
    ok, out = push(), []
    add = lambda name, body, content_type=JSON, **headers: out.append(
        (name, body if isinstance(body, bytes) else body.encode(), content_type, {k.replace("_", "-"): v for k, v in headers.items()}))
    for c in ("", "; charset=utf-8", ";", "; charsetutf-8", "; a=b; A=c", '; a="b c"', "; a=", "; a=b c", '; a="b', "n", "/x"):
        add(f"type {c}", ok, JSON + c)
    for c in ("", "text/plain", "*/*", "json"):
        add(f"type alone {c}", ok, c)
    body = ok.encode()
    for name, b in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("deflate", zlib.compress(body)[2:-4]), ("snappy", body),
                    ("snappy", snappy(body)), ("zstd", body), ("identity", body), ("GZIP", gzip.compress(body)), ("gzip", body), ("gzip", b""),
                    ("gzip, gzip", gzip.compress(body)), ("", body), ("br", body), ("deflate", zlib.compress(body)[2:-6])):
        add(f"encoding {name} {len(b)}", b, Content_Encoding=name)
    for b in ("", "{}", "[]", "1", '"x"', '{"streams":null}', '{"streams":[]}', '{"streams":{}}', '{"streams":1}', '{"streams":[null]}',
              '{"streams":[1]}', '{"streams":["x"]}', '{"streams":[[]]}', '{"streams":[{"stream":{"a":"b"},"values":null}]}', ok[:-1], ok[:-3],
              ok.replace("]]", "],]"), ok.replace('"}', '",}'), "\ufeff" + ok, ok.replace('"', "'"), ok.replace("]}]", "]},]")):
        add(f"root {b[:60]}", b)
    for labels in ("{}", '{"a":""}', '{"":"b"}', '{"1a":"b"}', '{"a-b":"c"}', '{"a.b":"c"}', '{"a:b":"c"}', '{"é":"c"}', '{"a b":"c"}', '{"_":"c"}',
                   '{"__backfill__":"1"}', '{"__stream_shard__":"1"}', '{"a":"\ufffd"}', '{"a":"\\ufffd"}', '{"a":"\\ud800"}', '{"a":"\\x"}',
                   '{"a":"x\\ny"}', '{"a":"x\\u0000y"}', '{"a":"b\\"c"}', '{"on":"x","by":"y"}', '{"service_name":"x"}', '"x"', "[]", "1",
                   *(json.dumps({"a": "x" * n}) for n in (2048, 2049)), *(json.dumps({"n" * n: "x"}) for n in (1024, 1025)),
                   *(json.dumps({f"l{i}": "x" for i in range(n)}) for n in (15, 16)), json.dumps({"service_name": "x", **{f"l{i}": "x" for i in range(15)}})):
        add(f"labels {labels[:50]} {len(labels)}", push(labels))
    for values in ("{}", '"x"', "[]", "[[]]", f'["{t}","x"]', f'[["{t}","x",[]]]', f'[["{t}","x","y"]]', f'[["{t}","x",{{"a":"b"}}]]', f"[[{t},\"x\"]]",
                   *(f'[["{t}","x",{{"a":{v}}}]]' for v in ("1", "null", "true", '{"b":"c"}')), *(f'[["{t}",{v}]]' for v in ("1", "{}", "[]", "true")),
                   *(f'[["{t}","x",{json.dumps({n: "b"}, ensure_ascii=False)}]]' for n in ("", "_", ".", "é", "é1", "a.b"))):
        add(f"values {values[:60].replace(t, 'T')}", push(values=values))
    for time in ("", f"{t} ", f" {t}", f"+{t}", "1.5e18", "0x10", "1_000", "9223372036854775808", "-5", "0", "2026-11-25T16:00:00Z", f"00{t}", "-", "--5"):
        add(f"time '{time.replace(t, 'T')}'", entry(time))
    for name, at in (("too old", -7 * day - 10 * minute), ("old", -7 * day + 10 * minute), ("too new", 20 * minute), ("new", 5 * minute)):
        add(name, push(f'{{"time":"{name}"}}', f'[["{now + at}","x"]]'))
    add("too far behind", push('{"o":"1"}', f'[["{t}","x"],["{now - 70 * minute}","y"]]'))
    add("ascending", push('{"o":"2"}', f'[["{now - 70 * minute}","y"],["{t}","x"]]'))
    for name, rest in (("line of 256 KiB", '"%s"' % ("x" * 262144)), ("a longer line", '"%s"' % ("x" * 262145)),
                       *((f"metadata of {n} bytes", '"x",{"a":"%s"}' % ("y" * (n - 1))) for n in (65536, 65537)),
                       *((f"{n} pairs of metadata", '"x",' + json.dumps({f"m{i}": "x" for i in range(n)})) for n in (128, 129))):
        add(name, entry(rest=rest))
    return out


def loki_proto(now):
    out, t = [], now
    add = lambda name, message, content_type=PROTO, packed=True, **headers: out.append(
        (name, snappy(message) if packed else message, content_type, {k.replace("_", "-"): v for k, v in headers.items()}))
    time = lambda ns=t: num(1, ns // 10**9) + (num(2, ns % 10**9) if ns % 10**9 else b"")
    entry = lambda line="x", ns=t, meta=(): raw(1, time(ns)) + raw(2, line) + b"".join(raw(3, raw(1, a) + raw(2, b)) for a, b in meta)
    push = lambda labels='{a="b"}', entries=None: raw(1, raw(1, labels) + b"".join(raw(2, e) for e in ([entry()] if entries is None else entries)))
    add("fine", push())
    for c in ("; a=b", ";", "; x"):
        add(f"type {c}", push(), PROTO + c)
    message = snappy(push())
    for name, b in (("snappy", message), ("gzip", gzip.compress(message)), ("deflate", zlib.compress(message)[2:-4]), ("gzip", message),
                    ("identity", message), ("", push()), ("snappy", message[:-1]), ("snappy", message + b"x"), ("snappy", b""),
                    ("snappy", b"\xff\x06\x00\x00sNaPpY" + message)):
        add(f"encoding {name} {len(b)}", b, packed=False, **({"Content_Encoding": name} if name else {}))
    for name, m in (("empty", b""), ("cut", push()[:-1]), ("cut shorter", push()[:-3]), ("group left open", push() + b"\x53"), ("group's end", push() + b"\x54"),
                    ("field 0", b"\x02\x00" + push()), ("wire type 6", push() + b"\x4e"), ("labels as number", raw(1, num(1, 1) + raw(2, entry()))),
                    ("stream as number", num(1, 1)), ("time as number", push(entries=[num(1, 1) + raw(2, "x")])), ("length of 10 bytes", b"\x0a" + b"\xff" * 9 + b"\x7f")):
        add(name, m)
    for n in (-1, 10**9, 2**31 - 1, 999999999):
        add(f"nanos {n}", push(entries=[raw(1, num(1, t // 10**9) + num(2, n)) + raw(2, "x")]))
    for n in (-1, 2**63 - 1, 253402300800, 9223372037):
        add(f"seconds {n}", push(entries=[raw(1, num(1, n)) + raw(2, "x")]))
    for name in ("", "_", "é", ".", "a"):
        add(f"metadata '{name}'", push(entries=[entry(meta=[(name, "b")])]))
    for text in ("{}", '{a="b"', 'a="b"}', 'a="b"', '{a="b",}', '{a="b",,c="d"}', '{,a="b"}', '{a="b" c="d"}', "{a=b}", '{ a = "b" , c = "d" }', '{a="b"}x',
                 '{a="b"}{c="d"}', '{a="b\nc"}', '{a="b\\nc"}', '{a="\\x41"}', '{a="\\u00e9"}', '{a="\\ud800"}', '{a="\\U00110000"}', '{a="\\q"}', '{a="\ufffd"}',
                 '{a="b",a="c"}', '{a="b",a="b"}', '{a!="b"}', '{a=~"b"}', "{a}", '{1a="b"}', '{a-b="c"}', '{a:b="c"}', '{é="c"}', '{__backfill__="1"}', '{a="b";c="d"}',
                 '{a="b"}\0', '{a="é"}', '{a="%s"}' % ("x" * 2049)):
        add(f"labels {text[:40]!r}", push(text))
    return out


# ---- remote write -------------------------------------------------------------------------------------------------------

def sample(ms, value=1.0):
    return dbl(1, value) + num(2, ms)


def histogram(ms, schema=3, count=5, spans=((0, 2),), deltas=(2, 1), bounds=None, more=b"", zero_threshold=0.0, zero_count=0):
    zigzag = lambda n: n << 1 ^ n >> 63
    body = num(1, count) + dbl(3, 18.4) + num(4, zigzag(schema)) + dbl(5, zero_threshold) + num(6, zero_count)
    body += b"".join(raw(11, (num(1, zigzag(o)) if o else b"") + num(2, n)) for o, n in spans) + raw(12, b"".join(varint(zigzag(d)) for d in deltas))
    return body + num(15, ms) + (raw(16, b"".join(struct.pack("<d", b) for b in bounds)) if bounds is not None else b"") + more


class Series:
    """A series under a name of its own each time, in the form of either protocol."""
    count = 0

    def __init__(self, two):
        self.two = two

    def name(self):
        Series.count += 1
        return "__name__", f"judged_{Series.count}"

    def pack(self, labels=None, samples=(), histograms=(), exemplars=(), metadata=num(1, 2)):
        labels = [self.name()] if labels is None else labels
        if not self.two:
            body = b"".join(raw(1, raw(1, a) + raw(2, b)) for a, b in labels) + b"".join(raw(2, s) for s in samples)
            return raw(1, body + b"".join(raw(3, b"".join(raw(1, raw(1, a) + raw(2, b)) for a, b in ls) + dbl(2, 1.0) + num(3, ms)) for ls, ms in exemplars) +
                       b"".join(raw(4, h) for h in histograms))
        symbols = [""]

        def ref(text):
            if text not in symbols:
                symbols.append(text)
            return varint(symbols.index(text))
        body = raw(1, b"".join(ref(t) for pair in labels for t in pair)) + b"".join(raw(2, s) for s in samples) + b"".join(raw(3, h) for h in histograms)
        body += b"".join(raw(4, raw(1, b"".join(ref(t) for pair in ls for t in pair)) + dbl(2, 1.0) + num(3, ms)) for ls, ms in exemplars) + raw(5, metadata)
        return b"".join(raw(4, s) for s in symbols) + raw(5, body)


def remote_write(now, two):
    out, s = [], Series(two)
    plain = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0" if two else "0.1.0", "User-Agent": "test/1"}
    kind = V2 if two else PROTO

    def add(name, message, content_type=kind, headers=plain, packed=True):
        out.append((name, snappy(message) if packed else message, content_type, headers))
    pack = lambda *args, **kw: s.pack(*args, **{"samples": [sample(now)], **kw})
    add("fine", pack())
    for c in ("application/json", "text/plain", kind.replace("write.v2", "write.v3") if two else PROTO + ";proto=x"):
        add(f"type {c}", pack(), c)
    for e in ("gzip", "zstd", "identity"):
        add(f"encoding {e}", pack(), headers={**plain, "Content-Encoding": e})
    message = pack()
    for name, b in (("no body", b""), ("not packed", message), ("cut", snappy(message)[:-1]), ("framed", b"\xff\x06\x00\x00sNaPpY" + snappy(message)),
                    ("a length of 1 TiB", varint(1 << 40) + b"x"), ("more behind", snappy(message) + b"x")):
        add(name, b, packed=False)
    for name, b in (("cut message", message[:-1]), ("cut shorter", message[:-3]), ("wire type 6", message + b"\x4e"), ("field 0", message + b"\x02\x00"),
                    ("series as number", message + (b"\x28\x01" if two else b"\x08\x01"))):
        add(name, b)
    n = s.name
    for name, labels in (("no labels", []), ("no name", [("a", "b")]), ("an empty name", [("", "x"), n()]), ("a name twice", [n(), ("a", "1"), ("a", "2")]),
                         ("a bad value", [n(), ("a", b"\xff")]), ("a bad name", [n(), (b"a\xff", "x")]), ("values of UTF-8", [n(), ("a", "é🙂")])):
        add(name, pack(labels))
    for name, samples in (("ascending", [sample(now - 1000), sample(now)]), ("descending", [sample(now), sample(now - 1000)]), ("one time, two values", [sample(now), sample(now, 2.0)]),
                          ("time 0", [sample(0)]), ("a year ago", [sample(now - 365 * 86400000)]), ("a year ahead", [sample(now + 365 * 86400000)]),
                          ("value as number", [num(1, 1) + num(2, now)]), ("time as text", [dbl(1, 1.0) + raw(2, "x")]), ("a time of 11 bytes", [dbl(1, 1.0) + b"\x10" + b"\xff" * 10])):
        add(name, pack(samples=samples))
    add("an exemplar", pack(exemplars=[([("trace_id", "x")], now)]))
    h = lambda name, **kw: add(f"histogram, {name}", pack(samples=(), histograms=[histogram(now, **kw)]))
    h("fine")
    h("another count", count=6)
    h("a negative bucket", deltas=(2, -3), count=1)
    h("spans for more", spans=((0, 3),))
    h("spans for fewer", spans=((0, 1),))
    h("a span back", spans=((0, 1), (-1, 1)))
    h("a huge span", spans=((0, 2**31),))
    h("bounds beside schema 3", bounds=(1.0,))
    custom = dict(schema=-53, bounds=(1.0, 2.0), spans=((0, 3),), deltas=(1, 1, 0))
    for name, kw in (("", {}), ("falling", {"bounds": (2.0, 1.0)}), ("equal", {"bounds": (1.0, 1.0)}), ("infinite", {"bounds": (1.0, float("inf"))}), ("too few", {"bounds": (1.0,)}),
                     ("with a zero bucket", {"zero_count": 1, "count": 6}), ("with a zero threshold", {"zero_threshold": .5}), ("below the first", {"spans": ((-1, 3),)}),
                     ("beyond the last", {"spans": ((2, 3),)})):
        if two or name:
            h(f"custom bounds {name}", **{**custom, **kw})
    if two:
        head = b"".join(raw(4, x) for x in ("", "__name__", "judged_refs"))
        for name, refs in (("odd references", (1, 2, 1)), ("a reference too far", (1, 3)), ("the largest reference", (1, 2**32 - 1))):
            add(name, head + raw(5, raw(1, b"".join(map(varint, refs))) + raw(2, sample(now)) + raw(5, num(1, 2))))
        for name, metadata in (("help too far", num(1, 1) + num(3, 99)), ("unit too far", num(1, 1) + num(4, 99))):
            add(name, pack(metadata=metadata))
    return out


__all__ = ["loki_json", "loki_proto", "remote_write"]
