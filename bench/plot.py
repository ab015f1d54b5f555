"""The figures as one SVG: bars of CPU a record with the memory beside them, below them the curves of growth."""
import html
import math

import growth

OURS, OTHERS, AXIS = "#3465a4", "#aaa", "#888"
WIDTH, BAR, CELL_W, CELL_H, COLUMNS = 840, 30, 280, 190, 3


def text(x, y, what, **attributes):
    more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
    return f'<text x="{x:.0f}" y="{y:.0f}"{more}>{html.escape(what)}</text>'


def bars(rows):
    top = max(r["us"] for r in rows)
    for i, r in enumerate(rows):
        y, width = 44 + BAR * i, max(300 * r["us"] / top, 1)
        memory = f', {r["rss_mib"]:.0f} MiB' if r["rss_mib"] else ""
        yield text(8, y + 14, r["who"])
        yield f'<rect x="340" y="{y}" width="{width:.0f}" height="18" rx="2" fill="{OURS if r["who"].startswith("gcw") else OTHERS}"/>'
        yield text(348 + width, y + 14, f'{r["us"]:.2f} us{memory}')


def cell(curve, left, top):
    """The x axis is logarithmic where it spans more than a factor of 20; y starts at zero, so that flat looks flat."""
    xs, ys = zip(*curve["points"])
    scale = math.log if xs[-1] / xs[0] > 20 else float
    low, high, most = scale(xs[0]), scale(xs[-1]), max(ys) * 1.15

    def place(x, y):
        return left + 40 + (CELL_W - 70) * (scale(x) - low) / (high - low), top + CELL_H - 40 - (CELL_H - 80) * y / most
    at = [place(x, y) for x, y in curve["points"]]
    floor = top + CELL_H - 40
    yield text(left + 8, top + 16, f'{curve["title"]} ({curve["unit"]})', font_size=12)
    yield f'<path d="M{left + 32},{top + 30}V{floor}H{left + CELL_W - 16}" fill="none" stroke="{AXIS}"/>'
    yield f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}" fill="none" stroke="{OURS}" stroke-width="2"/>'
    for (x, y), (n, v) in zip(at, curve["points"]):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{OURS}"/>'
        yield text(x, y - 7, f"{v:.2f}" if v < 10 else f"{v:.0f}", font_size=10, text_anchor="middle")
        yield text(x, floor + 14, growth.short(n), font_size=10, text_anchor="middle")


def svg(rows, curves):
    under = 64 + BAR * len(rows)
    height = under + CELL_H * math.ceil(len(curves) / COLUMNS)
    parts = [text(8, 24, "CPU for each record, whole process; peak memory", font_size=15), *bars(rows)]
    for i, curve in enumerate(curves):
        parts += cell(curve, CELL_W * (i % COLUMNS), under + CELL_H * (i // COLUMNS))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')
