#!/usr/bin/env python3
"""Records fixtures: what real versions of Fluent Bit hand to an output, and what their own loki output makes of it.

    tests/hosts/fluent-bit/record.py FLUENT-BIT... [--only=NAME] [--out=FOLDER]

Each version runs each scenario it can, with two outputs on the same input: record.c, which keeps the chunks, and `loki`
towards a sink in here. Of NAME and VERSION come NAME-VERSION.msgpack (the chunks, back to back), NAME-VERSION.json (the
streams of all pushes, if there were any) and NAME-VERSION.conf (tag and options, for the test that replays it)."""
import http.server
import json
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "fixtures" / "fluent-bit"
WAIT_S = 30

TYPES = {
    "log": "GET /a \"quoted\" \\ back\ttab\nline \u00e9 \u20ac \U0001f600 \u007f",
    "int": 42, "negative": -7, "big": 9223372036854775807, "true": True, "false": False, "null": None, "empty": "",
    "half": 0.5, "tenth": 0.1, "whole": 3.0, "small": 1e-7, "large": 1e300, "nines": 9.3,
    "nested": {"a": {"b": [1, "two", {"c": []}], "d": {}}}, "list": [[], [[1]], "x"],
}
POD = {
    "log": "request done", "stream": "stdout", "level": "warn", "status": 200,
    "kubernetes": {"pod_name": "web-7d4-x2x", "namespace_name": "shop", "container_name": "web", "host": "node-1",
                   "labels": {"app.kubernetes.io/name": "web", "tier": "front", "9lives": "cat"},
                   "list": ["first", {"second": "deep"}]},
}
POD_LABELS = {"labels": "job=kube, cluster=test, pod=$kubernetes['pod_name'], part=$TAG[0], item=$kubernetes['list'][1]['second']",
              "label_keys": "$level,$kubernetes['namespace_name'],$none"}
OTLP = {"resourceLogs": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}},
                                {"key": "host.name", "value": {"stringValue": "h1"}}]},
    "scopeLogs": [{"scope": {"name": "lib", "version": "1.2"}, "logRecords": [
        {"timeUnixNano": "1700000000123456789", "observedTimeUnixNano": "1700000001000000000", "severityNumber": 9,
         "severityText": "Info", "body": {"stringValue": "first"}, "traceId": "0a0b0c0d0e0f00010203040506070809",
         "spanId": "0102030405060708", "flags": 1,
         "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}, {"key": "n", "value": {"intValue": "5"}}]},
        {"timeUnixNano": "1700000000223456789", "severityNumber": 17, "severityText": "Error",
         "body": {"kvlistValue": {"values": [{"key": "msg", "value": {"stringValue": "second"}},
                                             {"key": "code", "value": {"intValue": "7"}}]}}}]}]}]}


def text(value):
    return json.dumps(value, ensure_ascii=False)


def dummy(record, tag="kube.var.log"):
    return ["name dummy", f"tag {tag}", "rate 1", "samples 2", f"dummy {text(record)}"]


def tail(lines):
    def make(folder, _port):
        (folder / "in.log").write_bytes(b"".join(line + b"\n" for line in lines))
        return ["name tail", "tag tail.log", f"path {folder}/in.log", "read_from_head on"]
    return make


def packed(value):
    """Enough MessagePack for a forward message."""
    if isinstance(value, str):
        raw = value.encode()
        return bytes([0xd9, len(raw)]) + raw
    if isinstance(value, bytes):
        return bytes([0xc4, len(value)]) + value
    if isinstance(value, int):
        return struct.pack(">BI", 0xce, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xcb, value)
    if isinstance(value, tuple):  # an event time
        return struct.pack(">BBII", 0xd7, 0, *value)
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
    return bytes([0x80 | len(value)]) + b"".join(packed(x) for pair in value.items() for x in pair)


def forward_send(port):
    message = ["app.web", [[1700000000, {"log": "whole seconds"}], [(1700000001, 5), {"log": "event time", "raw": b"bytes"}]]]
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(packed(message))
        time.sleep(0.2)


def otlp_send(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/logs", json.dumps(OTLP).encode(),
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).read()


# name: (least version, input, options of the loki output, what to send once it runs)
SCENARIOS = {
    "types": ((1, 9), lambda f, p: dummy(TYPES), {"labels": "job=app"}, None),
    "default": ((1, 9), lambda f, p: dummy({"log": "x"}), {}, None),
    "pod": ((1, 9), lambda f, p: dummy(POD), dict(POD_LABELS, remove_keys="stream,$kubernetes['host']", auto_kubernetes_labels="on"), None),
    "single": ((1, 9), lambda f, p: dummy({"log": "only \"this\"", "level": "info"}),
               {"label_keys": "$level", "remove_keys": "none", "drop_single_key": "on"}, None),
    "pairs": ((2, 0), lambda f, p: dummy({"log": "two words", "n": 1, "f": 0.5, "w": 2.0, "t": True, "z": None}),
              {"labels": "job=app", "line_format": "key_value"}, None),
    "metadata": ((4, 0), lambda f, p: dummy(POD), {"labels": "job=kube", "structured_metadata": "level=$level,where=here,$status",
                                                  "structured_metadata_map_keys": "$kubernetes['labels'],$kubernetes"}, None),
    "raw": ((4, 0), lambda f, p: dummy({"log": "only \"this\""}), {"labels": "job=app", "drop_single_key": "raw"}, None),
    "map": ((2, 0), lambda f, p: dummy(POD), {"label_map_path": json.dumps({"kubernetes": {"pod_name": "pod", "labels": {"tier": "tier"}},
                                                                            "stream": "stream"})}, None),
    "tail": ((1, 9), tail([b"plain line", b'{"json": "in a string"}', "\u00e9\u00e8".encode(), b""]), {"labels": "job=tail"}, None),
    "forward": ((1, 9), lambda f, p: ["name forward", "listen 127.0.0.1", f"port {p}"], {"labels": "job=fwd,tag=$TAG"}, forward_send),
    "otlp": ((3, 1), lambda f, p: ["name opentelemetry", "listen 127.0.0.1", f"port {p}", "tag otel"], {"labels": "job=otel"}, otlp_send),
}

# "cannot compose request payload": the loki output of these fails where records stand in groups
NO_LOKI = {("otlp", "4.0.14"), ("otlp", "4.2.8")}


class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.streams += json.loads(body)["streams"]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_that(what, ready):
    deadline = time.monotonic() + WAIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {WAIT_S} s")
        time.sleep(0.1)


def send_when_open(send, port):
    def ready():
        try:
            send(port)
            return True
        except OSError:
            return False
    await_that("sending", ready)


def config_text(inputs, options, chunks, port, folder):
    sections = ["[SERVICE]", "flush 1", "grace 1", "log_level warn", "[INPUT]", *inputs,
                "[OUTPUT]", "name gcw_record", "match *", f"path {chunks}",
                "[OUTPUT]", "name loki", "match *", "host 127.0.0.1", f"port {port}"]
    for key, value in options.items():
        if key == "label_map_path":
            (folder / "map.json").write_text(value)
            value = folder / "map.json"
        sections.append(f"{key} {value}")
    return "\n".join(line if line.startswith("[") else "    " + line for line in sections) + "\n"


def record(binary, version, name, module, out):
    least, inputs, options, send = SCENARIOS[name]
    if tuple(map(int, version.split(".")[:2])) < least:
        return
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    sink.streams = []
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as where:
        folder, port = pathlib.Path(where), free_port()
        chunks, conf = folder / "chunks", folder / "fluent-bit.conf"
        conf.write_text(config_text(inputs(folder, port), options, chunks, sink.server_port, folder))
        host = subprocess.Popen([binary, "-e", module, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if send:
                send_when_open(send, port)
            await_that(f"{name} {version}: a chunk", lambda: chunks.exists() and chunks.stat().st_size > 0)
            if (name, version) not in NO_LOKI:
                await_that(f"{name} {version}: two records", lambda: sum(len(s["values"]) for s in sink.streams) >= 2)
            time.sleep(1.5)  # the other output's turn
        finally:
            host.send_signal(signal.SIGTERM)
            host.wait(WAIT_S)
            sink.shutdown()
        base = out / f"{name}-{version}"
        pathlib.Path(f"{base}.msgpack").write_bytes(chunks.read_bytes())
        if sink.streams:
            pathlib.Path(f"{base}.json").write_text(json.dumps(sink.streams, indent=1) + "\n")
        tag = {"tail": "tail.log", "forward": "app.web", "otlp": "otel"}.get(name, "kube.var.log")
        pathlib.Path(f"{base}.conf").write_text("".join(f"{k} {v}\n" for k, v in {"tag": tag, **options}.items()))
        print(f"{base.name}: {chunks.stat().st_size} bytes, {len(sink.streams)} streams")


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    only = [a.split("=", 1)[1] for a in sys.argv[1:] if a.startswith("--only=")]
    out = next((pathlib.Path(a.split("=", 1)[1]) for a in sys.argv[1:] if a.startswith("--out=")), FIXTURES)
    if not args:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as where:
        module = pathlib.Path(where) / "record.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", module, HERE / "record.c"], check=True)
        for binary in args:
            shown = subprocess.run([shutil.which(binary) or binary, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"v(\d+\.\d+\.\d+)", shown)[1]
            for name in only or SCENARIOS:
                record(binary, version, name, module, out)


if __name__ == "__main__":
    main()
