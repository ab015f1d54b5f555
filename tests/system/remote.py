"""For tests of senders: an exporter to scrape, and a receiver that keeps each request as it came and reads it with a decoder of its own."""
import collections
import gzip
import http.server
import struct
import threading
import time


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # many targets are asked at once


class Server:
    def __init__(self, handler):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            owner = self

            def log_message(self, *args):
                pass

            def do_GET(self):
                handler(self)

            do_POST = do_GET

        self.http = Listener(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *args: None  # the other side has gone: that is what some tests are about
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        self.address = "127.0.0.1:%d" % self.http.server_address[1]

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def answer(request, status, body=b"", headers=()):
    if status == 204:
        body = b""  # bytes behind it would be taken for the answer to the next request
    try:
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except OSError:
        pass  # the other side has gone


TEXT, OPENMETRICS = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exporter(Server):
    """Answers with `page`: a text, or a function of the number of the scrape (from 1) that returns one. None is a 503. Of every
    second answer the last `cut` bytes lack."""

    def __init__(self, page, content_type=TEXT):
        self.page, self.content_type, self.seen, self.delay, self.cut = page, content_type, [], 0, 0
        super().__init__(Exporter.serve)
        self.url = f"http://{self.address}/metrics"

    @staticmethod
    def serve(request):
        self = request.owner
        with self.lock:
            self.seen.append(dict(request.headers))
            page = self.page(len(self.seen)) if callable(self.page) else self.page
        time.sleep(self.delay)
        if page is None:
            return answer(request, 503, b"no metrics today")
        body, headers = page if isinstance(page, bytes) else page.encode(), []
        if self.content_type:
            headers.append(("Content-Type", self.content_type))
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, _ = gzip.compress(body), headers.append(("Content-Encoding", "gzip"))
        answer(request, 200, body[:len(body) - (self.cut if len(self.seen) % 2 == 0 else 0)], headers)


Request = collections.namedtuple("Request", "time headers body status method")


class Sink(Server):
    """Takes remote write, 1.0 and 2.0. `reply(n)` of the number of the request (from 1) returns status, body, headers, seconds to
    wait. A 2.0 request that is answered with a success is told that all of it was written."""

    def __init__(self, reply=lambda n: (204, b"", (), 0)):
        self.reply, self.requests = reply, []
        super().__init__(Sink.take)
        self.url = f"http://{self.address}/api/v1/write"

    @staticmethod
    def take(request):
        self = request.owner
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self.lock:
            status, text, headers, seconds = self.reply(len(self.requests) + 1)
            self.requests.append(Request(time.monotonic(), request.headers, body, status, request.command))
        time.sleep(seconds)
        if status < 300 and V2 in request.headers.get("Content-Type", ""):
            series, _ = read_rw2(body)
            headers = [*headers, *((f"X-Prometheus-Remote-Write-{what}-Written", str(n)) for what, n in (
                ("Samples", sum(len(s.samples) for s in series)), ("Histograms", sum(len(s.histograms) for s in series)), ("Exemplars", sum(len(s.exemplars) for s in series))))]
        answer(request, status, text, headers)


# ---- a body taken apart -------------------------------------------------------------------------------------------------

def unsnappy(data):
    """The block format, https://github.com/google/snappy/blob/main/format_description.txt."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        kind = tag & 3
        if kind == 0:
            n = tag >> 2
            if n >= 60:
                extra = n - 59
                n, at = int.from_bytes(data[at:at + extra], "little"), at + extra
            out += data[at:at + n + 1]
            at += n + 1
            continue
        if kind == 1:
            n, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        else:
            width = 2 if kind == 2 else 4
            n, offset, at = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little"), at + width
        if not 0 < offset <= len(out):
            raise ValueError("snappy: bad offset")
        for _ in range(n):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError("snappy: another length than announced")
    return bytes(out)


def varint(data, at):
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of each field: ints, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif key & 7 == 2:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
            if len(value) < n:
                raise ValueError("protobuf: cut off")
        else:
            raise ValueError("protobuf: wire type %d" % (key & 7))
        yield key >> 3, value


V2 = "proto=io.prometheus.write.v2.Request"
# [(name, value)], [(bits, ms)]; in 2.0 the rest
Series = collections.namedtuple("Series", "labels samples refs starts exemplars metadata histograms", defaults=((), (), (), None, ()))
Metadata = collections.namedtuple("Metadata", "type family help unit")
STALE = 0x7FF0000000000002


def read_rw1(body):
    """Series and metadata of a WriteRequest of remote write 1.0."""
    series, metadata = [], []
    for number, value in fields(unsnappy(body)):
        if number == 1:
            labels, samples = [], []
            for inner, message in fields(value):
                if inner == 1:
                    pair = dict(fields(message))
                    labels.append((pair.get(1, b"").decode(), pair.get(2, b"").decode()))
                elif inner == 2:
                    sample = dict(fields(message))
                    ms = sample.get(2, 0)
                    samples.append((struct.unpack("<Q", sample.get(1, bytes(8)))[0], ms - (1 << 64 if ms >> 63 else 0)))
                else:
                    raise ValueError(f"TimeSeries field {inner}: not in remote write 1.0")
            series.append(Series(labels, samples))
        elif number == 3:
            m = dict(fields(value))
            metadata.append(Metadata(m.get(1, 0), m.get(2, b"").decode(), m.get(4, b"").decode(), m.get(5, b"").decode()))
        else:
            raise ValueError(f"WriteRequest field {number}: not in remote write 1.0")
    return series, metadata


def packed(data):
    at, out = 0, []
    while at < len(data):
        value, at = varint(data, at)
        out.append(value)
    return out


def signed(value):
    return value - (1 << 64 if value >> 63 else 0)


def symbols_of(body):
    return [value.decode() for number, value in fields(unsnappy(body)) if number == 4]


def read_rw2(body):
    """Series, and the metadata they carry, of a Request of remote write 2.0; of a histogram the fields as they stand there."""
    symbols, series, metadata = symbols_of(body), [], []
    for number, value in fields(unsnappy(body)):
        if number not in (4, 5):
            raise ValueError(f"Request field {number}: not in remote write 2.0")
        if number == 4:
            continue
        refs, samples, starts, exemplars, meta, histograms = [], [], [], [], None, []
        for inner, message in fields(value):
            if inner == 1:
                refs += packed(message)
            elif inner == 2:
                s = dict(fields(message))
                samples.append((struct.unpack("<Q", s.get(1, bytes(8)))[0], signed(s.get(2, 0))))
                starts.append(signed(s.get(3, 0)))
            elif inner == 3:
                histograms.append(list(fields(message)))
            elif inner == 4:
                exemplars.append(dict(fields(message)))
            elif inner == 5:
                m = dict(fields(message))
                meta = (m.get(1, 0), m.get(3, 0), m.get(4, 0))
            else:
                raise ValueError(f"TimeSeries field {inner}: not expected here")
        labels = [(symbols[a], symbols[b]) for a, b in zip(refs[::2], refs[1::2])]
        series.append(Series(labels, samples, refs, starts, exemplars, meta, histograms))
        if meta and meta[0]:
            metadata.append(Metadata(meta[0], dict(labels)["__name__"], symbols[meta[1]], symbols[meta[2]]))
    return series, metadata


def read(request):
    return read_rw2(request.body) if V2 in request.headers["Content-Type"] else read_rw1(request.body)


def number(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def flat(sink):
    """Every sample that was sent so far, in order: (name, labels without the name, bits, ms)."""
    out = []
    for r in list(sink.requests):
        for s in read(r)[0]:
            labels = dict(s.labels)
            name = labels.pop("__name__")
            out += [(name, labels, bits, ms) for bits, ms in s.samples]
    return out
