"""How the cost of a record grows: with the number of series, of labels, of lines, with their length, with the size of a batch.
Each curve is one quantity over one other, everything else as users get it."""
import contextlib

import inputs
import programs


def short(n):
    """1000 -> 1k, 65536 -> 64Ki: as an axis wants it."""
    for unit, step in [("Mi", 1 << 20), ("Ki", 1 << 10), ("M", 1000000), ("k", 1000)]:
        if n >= step and n % step == 0:
            return f"{n // step}{unit}"
    return str(n)


def curve(title, unit, xs, measure):
    """`measure` gives one number of each x, or a dictionary of them: then a curve each, named by the key."""
    points = [(x, measure(x)) for x in xs]
    if not isinstance(points[0][1], dict):
        return [{"title": title, "unit": unit, "points": points}]
    return [{"title": f"{title}: {key}" if key else title, "unit": u, "points": [(x, y[key, u]) for x, y in points]} for key, u in points[0][1]]


@contextlib.contextmanager
def file_of(build, make, *args):
    path = build.out / "in.growth"
    make(path, *args)
    try:
        yield path
    finally:
        path.unlink()


def pushed(build, args, count, *command):
    """CPU us a record and MiB of a push, the middle of as many rounds as everything else."""
    results = sorted((build.measure(build.gcw, "push", *command) for _ in range(args.rounds)), key=lambda r: r["cpu_s"])
    r = results[len(results) // 2]
    return {("", "us a record"): r["cpu_s"] / count * 1e6, ("peak RSS", "MiB"): r["rss_kib"] / 1024}


def metrics_curves(build, args, to):
    samples = args.samples // 2

    def by_series(series):
        with file_of(build, inputs.metrics_file, samples, series) as path:
            return pushed(build, args, samples, "metrics", "-q", "--set", "metrics_protocol=1.0", "--url", to.url + "/api/v1/push", path)
    yield from curve("push metrics, by series", "us a record", [s for s in [1000, 10000, 100000, 1000000] if s <= samples], by_series)


def logs_curves(build, args, to):
    plain = ["logs", "-q", "--label", "job=bench", "--set", "logs_compression=none", "--url", to.url]

    def by_lines(lines):
        with file_of(build, inputs.logs_file, lines) as path:
            return pushed(build, args, lines, *plain, path)

    def by_length(length):
        lines = args.lines // 4 * 306 // max(length, 306)
        with file_of(build, inputs.logs_file_of_length, lines, length) as path:
            return pushed(build, args, lines, *plain, path)["", "us a record"]

    yield from curve("push logs, by lines", "us a record", [args.lines // 20, args.lines // 4, args.lines], by_lines)
    yield from curve("push logs, by bytes of a line", "us a record", [50, 100, 306, 1000, 3000], by_length)
    lines = args.lines // 4
    with file_of(build, inputs.logs_file, lines) as path:
        yield from curve("push logs, by bytes of a batch", "us a record", [65536, 262144, 524288, 1048576, 4194304], lambda size: pushed(
            build, args, lines, *plain, "--set", f"logs_batch_bytes={size}", path))


def library_curves(build, args):
    def sealed(*options):
        return build.json_of("bench_seal", *options)["least_total_us"]
    some = args.series // 10
    yield from curve("library, by series", "us a sample", [args.series // 100, some, args.series],
                     lambda n: sealed("--series", n, "--samples", max(n, some)))
    yield from curve("library, by labels", "us a sample", [2, 6, 11, 20, 30], lambda n: sealed("--series", some, "--labels", n))
    yield from curve("library, by bytes of a batch", "us a sample", [65536, 262144, 1048576, 4194304],
                     lambda n: sealed("--series", some, "--batch-bytes", n))


def curves(build, args):
    with programs.sink(build) as to:
        found = [*metrics_curves(build, args, to), *logs_curves(build, args, to)]
    return found + list(library_curves(build, args))
