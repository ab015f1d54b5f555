#!/usr/bin/env python3
"""Records fixtures of metrics: what real versions of Fluent Bit hand to an output, and what their own
prometheus_remote_write output makes of it.

    tests/hosts/fluent-bit/record_metrics.py FLUENT-BIT... [--only=NAME] [--out=FOLDER]

Each version runs each scenario with two outputs on the same input: record_metrics.c, which keeps the chunks, and
prometheus_remote_write towards a sink in here, which takes everything: what that output makes of OpenTelemetry's names no
receiver would. Of NAME and VERSION come metrics-NAME-VERSION.msgpack (the chunks, back to
back) and metrics-NAME-VERSION.series (each sample the built-in output sent: labels by name, value, @ms; sorted)."""
import http.server
import pathlib
import re
import shutil
import signal
import subprocess
import struct
import sys
import tempfile
import threading
import time

import otlp_send
from record import FIXTURES, HERE, WAIT_S, await_that, free_port, send_when_open

SCRAPED = """\
# HELP demo_requests_total Requests served
# TYPE demo_requests_total counter
demo_requests_total{{method="GET",code="200"}} {n}00
demo_requests_total{{method="PUT",code="500"}} 3
# HELP demo_temp_celsius Temperature
# TYPE demo_temp_celsius gauge
demo_temp_celsius{{room="kitchen"}} 21.5
demo_temp_celsius{{room=""}} -3.25
# TYPE demo_seen gauge
demo_seen 5 {ms}
# HELP demo_latency_seconds Latency
# TYPE demo_latency_seconds histogram
demo_latency_seconds_bucket{{path="/a",le="0.1"}} {n}
demo_latency_seconds_bucket{{path="/a",le="0.25"}} 12
demo_latency_seconds_bucket{{path="/a",le="1"}} 12
demo_latency_seconds_bucket{{path="/a",le="+Inf"}} 15
demo_latency_seconds_sum{{path="/a"}} 12.75
demo_latency_seconds_count{{path="/a"}} 15
# HELP demo_rpc_seconds Calls
# TYPE demo_rpc_seconds summary
demo_rpc_seconds{{quantile="0.5"}} 0.01
demo_rpc_seconds{{quantile="0.99"}} 0.25
demo_rpc_seconds_sum 3.5
demo_rpc_seconds_count 70
# TYPE demo_plain untyped
demo_plain 42
"""


class Exporter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ms = int(time.time() * 1000)
    n = 0

    def do_GET(self):
        Exporter.n += 1
        body = SCRAPED.format(n=Exporter.n, ms=Exporter.ms).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # the host is stopping

    def log_message(self, *_):
        pass


def scrape(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Exporter.n = 0
    return ["name prometheus_scrape", "host 127.0.0.1", f"port {port}", "scrape_interval 1s", "metrics_path /metrics"]


# name: (input of a port, what to send once it runs)
SCENARIOS = {
    "scrape": (scrape, None),
    "fluentbit": (lambda p: ["name fluentbit_metrics", "scrape_interval 1"], None),
    "node": (lambda p: ["name node_exporter_metrics", "scrape_interval 1", "metrics loadavg"], None),
    "otlp": (lambda p: ["name opentelemetry", "listen 127.0.0.1", f"port {p}"],
             lambda p: otlp_send.send(f"http://127.0.0.1:{p}/v1/metrics", 2)),
}


def config_text(inputs, chunks, port):
    sections = ["[SERVICE]", "flush 1", "grace 1", "log_level warn", "[INPUT]", *inputs, "tag metrics",
                "[OUTPUT]", "name gcw_record", "match *", f"path {chunks}",
                "[OUTPUT]", "name prometheus_remote_write", "match *", "host 127.0.0.1", f"port {port}", "uri /api/v1/push"]
    return "\n".join(line if line.startswith("[") else "    " + line for line in sections) + "\n"


def varint(data, i):
    value, shift = 0, 0
    while True:
        value |= (data[i] & 127) << shift
        i, shift = i + 1, shift + 7
        if data[i - 1] < 128:
            return value, i


def unsnapped(data):
    """A snappy block."""
    out = bytearray()
    _, i = varint(data, 0)
    while i < len(data):
        tag = data[i]
        i += 1
        if tag & 3 == 0:
            n, more = tag >> 2, max(0, (tag >> 2) - 59)
            if more:
                n, i = int.from_bytes(data[i:i + more], "little"), i + more
            out += data[i:i + n + 1]
            i += n + 1
            continue
        if tag & 3 == 1:
            n, back, i = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[i], i + 1
        else:
            size = 2 if tag & 3 == 2 else 4
            n, back, i = (tag >> 2) + 1, int.from_bytes(data[i:i + size], "little"), i + size
        for _ in range(n):
            out.append(out[-back])
    return bytes(out)


def fields(data):
    """(number, value) of a protobuf message."""
    i = 0
    while i < len(data):
        key, i = varint(data, i)
        if key & 7 == 0:
            value, i = varint(data, i)
        elif key & 7 == 1:
            value, i = struct.unpack("<d", data[i:i + 8])[0], i + 8
        else:
            n, i = varint(data, i)
            value, i = data[i:i + n], i + n
        yield key >> 3, value


def samples(body):
    """Of a remote-write request, as text. Zeros are left out on the wire."""
    for number, series in fields(unsnapped(body)):
        if number != 1:
            continue
        parts = list(fields(series))
        labels = sorted((f.get(1, b"").decode(), f.get(2, b"").decode()) for n, v in parts if n == 1 for f in [dict(fields(v))])
        for f in (dict(fields(v)) for n, v in parts if n == 2):
            yield ",".join(f'{k}="{v}"' for k, v in labels) + f" {f.get(1, 0.0):.17g} @{f.get(2, 0)}"


class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.samples += samples(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def record(binary, version, name, module, out):
    inputs, send = SCENARIOS[name]
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    sink.samples = []
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as where:
        folder, port = pathlib.Path(where), free_port()
        chunks, conf = folder / "chunks", folder / "fluent-bit.conf"
        conf.write_text(config_text(inputs(port), chunks, sink.server_port))
        host = subprocess.Popen([binary, "-q", "-e", module, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if send:
                send_when_open(send, port)
            await_that(f"{name} {version}: samples", lambda: sink.samples)
            time.sleep(1.5)  # a second chunk, and the other output's turn
        finally:
            host.send_signal(signal.SIGTERM)
            host.wait(WAIT_S)
            sink.shutdown()
        base = out / f"metrics-{name}-{version}"
        pathlib.Path(f"{base}.msgpack").write_bytes(chunks.read_bytes())
        pathlib.Path(f"{base}.series").write_text("".join(s + "\n" for s in sorted(sink.samples)))
        print(f"{base.name}: {chunks.stat().st_size} bytes")


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    options = dict(a[2:].split("=", 1) for a in sys.argv[1:] if a.startswith("--"))
    if not args:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as where:
        module = pathlib.Path(where) / "record.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", module, HERE / "record_metrics.c"], check=True)
        for binary in args:
            shown = subprocess.run([shutil.which(binary) or binary, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"v(\d+\.\d+\.\d+)", shown)[1]
            for name in [options["only"]] if "only" in options else SCENARIOS:
                record(binary, version, name, module, pathlib.Path(options.get("out", FIXTURES)))


if __name__ == "__main__":
    main()
