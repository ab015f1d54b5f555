"""The input files: the same bytes in every run."""
import random
import re

EPOCH_MS, SCRAPE_MS = 1700000000000, 15000
METHODS, STATUSES = ["GET", "POST", "PUT", "DELETE"], ["200", "204", "400", "404", "500"]
BOUNDS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "+Inf"]


def scatter(i):
    """40 bits that look random, from a number: as in common.c."""
    return ((i + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 24


def series(i):
    """A name and ten labels; with value and time a line of about 236 bytes."""
    h = scatter(i)
    return (f'http_request_duration_seconds_bucket{{cluster="prod-eu-west-1",instance="10.{h & 255}.{h >> 8 & 255}.{h >> 16 & 255}:9090",'
            f'job="api",le="0.{i % 13}",method="GET",namespace="default",path="/api/v1/things/{i % 97}",pod="api-{h:010x}-{i:05x}",'
            f'status="200",zone="{"abc"[i % 3]}"}} ')


def series_of_pods(i):
    """One instance for all, and a pod of its own for each: as series_of_pods() in common.c."""
    instance = re.search('instance="[^"]*"', series(0))[0]
    return re.sub('pod="[^"]*"', f'pod="api-{scatter(i) & 0xffffff:06x}"', re.sub('instance="[^"]*"', instance, series(i)))


def series_of_target(i):
    """Histograms of one target: as series_of_target() in common.c."""
    n = i // len(BOUNDS)
    own = {"le": BOUNDS[i % len(BOUNDS)], "method": METHODS[n // 5 % 4], "path": f"/api/v1/things/{n // 20}", "status": STATUSES[n % 5]}
    return re.sub("(" + "|".join(own) + ')="[^"]*"', lambda m: f'{m[1]}="{own[m[1]]}"', series(0))


def metrics_file(path, samples, count):
    """Exposition text: `count` series, one scrape after the other. Returns the mean length of a line."""
    names = [series(i) for i in range(count)] if count <= 200000 else None
    with open(path, "w") as f:
        for n in range(samples):
            i, k = n % count, n // count
            f.write(f"{names[i] if names else series(i)}{(i * 7 + k) % 1000} {EPOCH_MS + k * SCRAPE_MS}\n")
        return f.tell() / samples


def log_line(rng, i):
    """A JSON line of about 306 bytes, line end included."""
    return (f'{{"time":"2026-11-24T06:00:{i % 60:02}.{i % 1000000:06}Z","level":"{rng.choice(["info", "warn", "debug"])}","msg":"request handled",'
            f'"method":"GET","path":"/api/v1/things/{rng.randrange(1000)}","status":{rng.choice([200, 200, 404])},"duration_ms":{rng.random() * 100:.3f},'
            f'"trace_id":"{rng.getrandbits(128):032x}","span_id":"{rng.getrandbits(64):016x}","user":"u{rng.randrange(10**6):06}",'
            f'"host":"web-{rng.randrange(40)}.prod.example.com","ua":"Mozilla/5.0 (X11;)"}}\n')


def logs_file(path, lines):
    """Returns the mean length of a line."""
    rng = random.Random(2)
    with open(path, "w") as f:
        for i in range(lines):
            f.write(log_line(rng, i))
        return f.tell() / lines


def logs_file_of_length(path, lines, length):
    """Lines of exactly `length` bytes, line end included, cut from the same text."""
    rng, text = random.Random(3), ""
    with open(path, "w") as f:
        for i in range(lines):
            while len(text) < length:
                text += log_line(rng, i).rstrip("\n")
            f.write(text[:length - 1] + "\n")
            text = text[length - 1:]
