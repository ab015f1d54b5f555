#!/usr/bin/env python3
"""Prometheus 3 ($PROMETHEUS3, or fetched by tests/deps), vmagent ($VMAGENT, or fetched; 1.145) and `gcw push metrics --scrape` poll the
same awkward targets for a while; what each forwards is compared series by series, scrape by scrape. `make peers` on a machine that is
not busy, as scrapes that come too late shift what follows; doc/scraping.md is what came of it.

A target answers its n-th scrape by each of the three with its n-th page; the last one stays."""
import collections
import gzip
import re
import sys
import time

from harness import *
from remote import OPENMETRICS, STALE, TEXT, Server, answer

ROUNDS = 6
START = int(time.time() * 1000) // 60000 * 60000 + 180000  # times of the targets' own: agents leave out what is older than themselves

CASES = {}  # name -> (answer of the n-th scrape, settings)
# Where gcw differs from Prometheus, and why.
ON_PURPOSE = {}


def case(name, *pages, content_type=TEXT, why=None, **settings):
    def serve(request, n):
        page = pages[min(n, len(pages)) - 1]
        page = page(n) if callable(page) else page
        if page is None:
            return answer(request, 503, b"not now")
        status, headers = settings.get("status", 200), [("Content-Type", content_type)] if content_type is not None else []
        answer(request, status, page.encode() if isinstance(page, str) else page, headers + settings.get("headers", []))
    CASES[name] = (settings.pop("serve", serve), settings)
    if why:
        ON_PURPOSE[name] = why


def counting(text):
    return [text.replace("$n", str(n)) for n in range(1, ROUNDS + 1)]


LINES = "a line that does not parse costs itself alone"

case("plain", *counting('a{x="1"} $n\nb $n\n'))
case("twice", 'a 1\na 2\nb{x="1",y="2"} 1\nb{y="2",x="1"} 1\n')
case("label_twice", 'a{x="1",x="2"} 1\nb 2\n', why=LINES)
case("own_times_twice", f"a 1 {START}\na 2 {START + 1000}\na 3 {START + 1000}\nb 1\n")
case("own_times_back", *[f"a {n} {START - n * 1000}\nb {n} {START + n * 1000}\nc {n} {START}\n" for n in range(1, ROUNDS + 1)])
case("own_times_off", *counting(f"a $n {START}\nb $n\n"), own=True)
case("far_ahead", f"a 1 {START + 10**9}\nb 1\n", why="far ahead: the receiver's to refuse")
LABELS = ('a{job="j",instance="i",x="1"} 1\nb{job=""} 2\nc{exported_job="e",job="j"} 3\nd{exported_job="e"} 4\n'
          'e{exported_exported_job="f",exported_job="e",job="j"} 5\nf{instance=""} 6\ng{exported_instance="x",instance=""} 7\n')
case("labels", LABELS)
case("labels_honoured", LABELS, honor=True)
case("reports", 'up 5\nscrape_duration_seconds 6\nscrape_samples_scraped{x="1"} 7\nup{job="j"} 8\na 1\n')
case("reports_honoured", 'up 5\nup{job="j"} 8\na 1\n', honor=True)
case("vanish", "a 1\nb 1\n", "a 1\n", "a 1\nb 2\n", "b 3\n", "a 2\nb 3\n")
case("vanish_own_times", f"a 1 {START}\nb 1\n", "b 1\n", f"a 2 {START + 1000}\nb 1\n", "b 1\n")
case("own_times_begin", "a 1\nb 1\n", f"a 2 {START}\nb 2\n", why="goes on where Prometheus ends it")
case("fails", "a 1\nb 1\n", None, None, "a 1\n", "a 2\nb 2\n")
case("empty", "a 1\n", "", "a 2\n", "", "\n")
for status in (204, 206, 404, 500):
    case(f"status_{status}", "" if status == 204 else "a 1\n", status=status)
case("parse_error", "a 1\nb 1\n", "a 1\n!!!\nb 2\n", "a 2\nb 2\n", why=LINES)
for name, text in (("crlf", "a 1\r\nb 2\r\n"), ("hex", "a 0x10\nb 1\n"), ("range", "a 1e400\nb 1\n"), ("type", "# TYPE b nonsense\nb 2\n"), ("bytes", b'a{x="\xff"} 1\nb 2\n'),
                   ("digit", "1a 1\nb 1\n"), ("colon", 'a{x:y="1"} 1\nb 1\n'), ("no_value", "a\nb 1\n"), ("more", "a 1 2 3\nb 1\n"), ("float_time", f"a 1 {START}.5\nb 1\n")):
    case(f"odd_{name}", text, why=LINES)
case("no_newline", "a 1\nb 2")
case("blank_lines", "\n\na 1\n\n  \n# c\n#\nb 2\n")
case("spaces", 'a   1\nb\t2\nc { x = "1" } 3\ne{x="1",} 5\nf{} 6\ng 7 \nh{x="1"}8\n')
case("escapes", 'a{x="q\\"b\\\\n\\nz\\q"} 1\nb{x="é🙂"} 2\nc{x=""} 3\n')
case("numbers", "a NaN\nb +Inf\nc -Inf\nd 1e3\ng Inf\nh inf\ni nan\nj .5\nk 5.\nl +3\nm -0\no 4.9e-324\np 0.1\n", why="-0 keeps its sign")
case("names", '{"my.metric",x="1"} 1\nb 1\n', why="names of other letters are mended by label_policy")
case("bounds", '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n', why='le="1" stays as exposed')
case("openmetrics", "# TYPE c counter\nc_total 5\nc_created 1700000000.25\n# TYPE g gauge\ng 1 %.3f\n# EOF\n" % (START / 1000), content_type=OPENMETRICS)
case("openmetrics_types", '# TYPE i info\ni_info{v="1"} 1\n# TYPE s stateset\ns{s="a"} 1\ns{s="b"} 0\n# TYPE u unknown\nu 4\n# EOF\n', content_type=OPENMETRICS)
case("openmetrics_cut", "# TYPE c counter\nc_total 5\n# EOF\n", "# TYPE c counter\nc_total 5\n", "# TYPE c counter\nc_total 5\n# EOF\n", content_type=OPENMETRICS,
     why="scrape_samples_scraped counts nothing of a scrape that failed")
for i, content_type in enumerate((None, "", "text/plain", "text/plain; version=1.0.0", "text/html", "application/octet-stream", "TEXT/PLAIN; version=0.0.4",
                                  "text/plain;version=0.0.4;escaping=underscores", "text/plain; charset", "*/*", "garbage")):
    case(f"type_{i}", "a 1\n", content_type=content_type)
case("many", *["".join(f'm{{i="{k}"}} {n}\n' for k in range(3000)) for n in range(1, ROUNDS + 1)])
for k in range(20):
    case(f"more_{k}", *counting("a $n\n"))


def zipped(request, n):
    body = gzip.compress(b"a %d\n" % n)
    body = {0: body + b"more", 1: body, 2: body[:-6], 3: b"a 7\n"}[n % 4]
    answer(request, 200, body, [("Content-Type", TEXT), ("Content-Encoding", "gzip")])


def encoded(request, n):
    answer(request, 200, b"a 1\n", [("Content-Type", TEXT), ("Content-Encoding", ["identity", "br", "deflate", "x-gzip"][n % 4])])


def begin(request, *headers):
    request.close_connection = True
    request.send_response(200)
    for name, value in (("Content-Type", TEXT), *headers):
        request.send_header(name, value)
    request.end_headers()


def cut(request, n):
    begin(request, ("Content-Length", "20" if n % 2 == 0 else "8"))
    request.wfile.write(b"a 1\nb 2\n")


def chunked(request, n):
    begin(request, ("Transfer-Encoding", "chunked"))
    request.wfile.write(b"4\r\na 1\n\r\n" + (b"0\r\n\r\n" if n % 2 else b""))


def no_length(request, n):
    begin(request)
    request.wfile.write(b"a 1\n")


def slow(request, n):
    time.sleep(0 if n % 2 else 5)
    answer(request, 200, b"a %d\n" % n, [("Content-Type", TEXT)])


def redirect(request, n):
    if request.path.endswith("/there"):
        return answer(request, 200, b"a 1\n", [("Content-Type", TEXT)])
    answer(request, (302, 301, 307, 308)[n % 4], b"", [("Location", request.path + "/there")])


def around(request, n):
    answer(request, 302, b"", [("Location", request.path + "/there")])


for serve in (zipped, encoded, cut, chunked, no_length, slow, redirect, around):
    case(serve.__name__, serve=serve)


class Peers(Case):
    def targets(self):
        count = self.count = collections.Counter()

        def serve(request):
            agent = request.headers.get("User-Agent", "")
            who = "prometheus" if agent.startswith("Prometheus") else "vmagent" if agent.startswith("vm_promscrape") else "gcw"
            name, *behind = request.path.strip("/").split("/")
            with request.owner.lock:
                count[who, name] += not behind
                n = count[who, name]
            try:
                CASES[name][0](request, n)
            except OSError:
                pass
        server = Server(serve)
        self.addCleanup(server.stop)
        return server.address

    def jobs(self, address, more):
        return "global: {scrape_interval: 2s, scrape_timeout: 1900ms}\nscrape_configs:\n" + "".join(
            f"- {{job_name: {name}, metrics_path: /{name}, honor_labels: {str(s.get('honor', False)).lower()}, "
            f"honor_timestamps: {str(not s.get('own', False)).lower()}{more}, static_configs: [{{targets: ['{address}']}}]}}\n" for name, (_, s) in CASES.items())

    def scrapers(self, address):
        """Each writes to a receiver of its own."""
        files, ends = {}, []
        for who in ("prometheus", "vmagent", "gcw"):
            port, files[who] = self.dir / f"{who}.port", self.dir / f"{who}.ndjson"
            self.start(GCW, "receive", "--port-file", str(port), "--out", str(files[who]), *[a for l in (
                "strict=off", "out_of_order_window=3650d", "head_window=3650d", "future=3650d", "labels=0", "label_value_bytes=0") for a in ("--limit", f"metrics_{l}")])
            url = "http://127.0.0.1:" + wait_for("gcw receive", lambda: port.exists() and port.read_text().strip()) + "/api/v1/write"
            if who == "prometheus":
                (self.dir / "p.yml").write_text(self.jobs(address, ", fallback_scrape_protocol: PrometheusText0.0.4") +
                                                f"remote_write: [{{url: '{url}', queue_config: {{batch_send_deadline: 200ms}}, metadata_config: {{send: false}}}}]\n")
                ends.append(self.start(need("prometheus3"), f"--config.file={self.dir}/p.yml", "--agent", f"--storage.agent.path={self.dir}/agent",
                                       f"--web.listen-address=127.0.0.1:{free_port()}"))
            elif who == "vmagent":
                (self.dir / "v.yml").write_text(self.jobs(address, ""))
                ends.append(self.start(need("vmagent"), f"-promscrape.config={self.dir}/v.yml", f"-remoteWrite.url={url}", "-remoteWrite.forcePromProto",
                                       f"-remoteWrite.tmpDataPath={self.dir}/vm", f"-httpListenAddr=127.0.0.1:{free_port()}", "-remoteWrite.flushInterval=200ms"))
            else:
                for settings, options in ({}, ()), ({"honor": True}, ("--honor-labels",)), ({"own": True}, ("--own-timestamps",)):
                    names = [n for n, (_, s) in CASES.items() if {k: v for k, v in s.items() if k in ("honor", "own")} == settings]
                    ends.append(self.start(GCW, "push", "metrics", "--url", url, "--interval", "2s", "--scrape-timeout", "1900ms", "--keep-series", "--set",
                                           "metrics_protocol=1.0", *options, *[a for n in names for a in ("--scrape", f"{n}=http://{address}/{n}")]))
        return files, ends

    def forwarded(self, path, address):
        """Job -> series -> what came of its first scrapes: (number of the scrape, or the target's own time; value)."""
        jobs = collections.defaultdict(list)
        for line in open(path):
            r = json.loads(line)
            if r["type"] == "sample":
                labels = r["labels"]
                jobs[next((labels[k] for k in ("job", "exported_job") if labels.get(k) in CASES), None)].append(r)
        out = {}
        for job, records in jobs.items():
            own = {"__name__": "up", "job": job, "instance": address}
            scrapes = {t: i for i, t in enumerate(sorted({int(r["time_ms"]) for r in records if r["labels"] == own}))}
            series = collections.defaultdict(set)
            for r in records:
                name, t = r["labels"]["__name__"], int(r["time_ms"])
                if max(scrapes, default=0) < t < START - 60000:
                    continue  # of a scrape that was not over
                if scrapes.get(t, 0) < ROUNDS and not re.fullmatch("scrape_(series_added|.*_limit|.*_current|timeout_seconds|response_size_bytes)", name):
                    known = name == "scrape_duration_seconds" and r["labels"] == {**own, "__name__": name}
                    series[json.dumps(r["labels"], sort_keys=True)].add((scrapes.get(t, f"at {t - START}"), "some" if known else
                                                                         "ends" if int(r["bits"], 16) == STALE else r["value"]))
            out[job] = series
        return out

    def test_what_is_forwarded_is_equal_or_differs_on_purpose(self):
        address = self.targets()
        files, ends = self.scrapers(address)
        missing = lambda: sorted((who, name) for who in files for name in CASES if self.count[who, name] < ROUNDS + 2)
        try:
            wait_for("scrapes", lambda: not missing(), 60)
        except AssertionError:
            self.fail(f"too few scrapes: {missing()[:5]}")
        time.sleep(3)  # for what is on its way: this one is no test of every day
        for p in ends:
            p.kill() if p in ends[:2] else p.send_signal(signal.SIGINT)
            p.wait(30)
        theirs, vm, ours = (self.forwarded(files[who], address) for who in ("prometheus", "vmagent", "gcw"))
        surprises = []
        for name in CASES:
            keys = [k for k in sorted({*theirs[name], *ours[name]}) if theirs[name][k] != ours[name][k]]
            if not keys:
                continue
            print(f"{name}: {ON_PURPOSE.get(name, 'UNEXPECTED')}", file=sys.stderr)
            for k in keys[:3]:
                for who, what in (("prometheus", theirs), ("vmagent", vm), ("gcw", ours)):
                    print(f"    {who:10} {k[:90]} {sorted(map(str, what[name][k]))[:4]}", file=sys.stderr)
            surprises += [] if name in ON_PURPOSE else [name]
        said = [line for log in self.dir.glob("gcw-*.log") for line in log.read_text().splitlines() if any(f"/{name}: " in line for name in surprises)]
        print(f"{len(CASES)} targets", *said, sep="\n", file=sys.stderr)
        self.assertEqual(surprises, [])


if __name__ == "__main__":
    unittest.main()
