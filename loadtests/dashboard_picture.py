"""One dashboard as a picture in SVG: its panels, with the series that Prometheus returned."""

import html
import re

UNIT, ROW = 60, 30  # a column and a row of the grid, in pixels
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 30, 62  # around the lines of a panel
ENTRIES = 8  # of a legend
COLOURS = ["#2f6db3", "#b3562f", "#3a8f4d", "#8a4fb0", "#c29b1d", "#2a9d9d", "#c0416f", "#666"]
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#444}.title{font-size:13px;font-weight:600}"
    ".panel{fill:#fff;stroke:#ccc}.grid{stroke:#eee}polyline{fill:none;stroke-width:1.5}"
    ".none{font-size:14px;fill:#999}.page{fill:#f4f5f7}"
)


def amount(value, unit):
    """A value with its unit, as Grafana shows it."""
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    if unit == "s" and value:
        for factor, name in ((1 / 86_400, "d"), (1, "s"), (1e3, "ms"), (1e6, "µs")):
            if value * factor >= 1:
                return f"{value * factor:.4g} {name}"
    step, names = (1024, ["", "Ki", "Mi", "Gi"]) if unit == "bytes" else (1000, ["", "k", "M", "G"])
    power = 0
    while abs(value) >= step and power < 3:
        value, power = value / step, power + 1
    suffix = {"ops": "/s", "Bps": "B/s", "bytes": "B", "s": "s"}.get(unit, "")
    return f"{value:.4g} {names[power]}{suffix}".strip()


def legend(pattern, labels):
    """The name of a series: a pattern with its labels."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), pattern)


def draw(dashboard, series, start, end):
    """The picture. `series` has for each panel's id the names and points of its lines."""
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    width = UNIT * 24
    height = ROW * max(place["y"] + place["h"] for place in places)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" role="img">',
        f"<title>{html.escape(dashboard['title'])}</title><style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for panel in dashboard["panels"]:
        parts += draw_panel(panel, series[panel["id"]], start, end)
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_panel(panel, lines, start, end):
    """One panel: axes, lines and legend."""
    place, unit = panel["gridPos"], panel["fieldConfig"]["defaults"]["unit"]
    width, height = place["w"] * UNIT - 6, place["h"] * ROW - 6
    inner_width, inner_height = width - LEFT - RIGHT, height - TOP - BOTTOM
    yield f'<g transform="translate({place["x"] * UNIT + 3} {place["y"] * ROW + 3})">'
    yield f'<rect class="panel" width="{width}" height="{height}" rx="3"/>'
    yield f'<text class="title" x="10" y="18">{html.escape(panel["title"])}</text>'
    if not lines:
        middle = f'x="{width / 2}" y="{height / 2}" text-anchor="middle"'
        yield f'<text class="none" {middle}>No data</text></g>'
        return
    top = max((value for _, points in lines for _, value in points), default=0) or 1
    for step in range(5):
        y = TOP + inner_height * (1 - step / 4)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{LEFT + inner_width}"/>'
        label = html.escape(amount(top * step / 4, unit))
        yield f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(
            f"{LEFT + inner_width * (at - start) / (end - start):.1f},"
            f"{TOP + inner_height * (1 - value / top):.1f}"
            for at, value in points
        )
        yield f'<polyline stroke="{colour}" points="{places}"/>'
        if number < ENTRIES:
            x = LEFT + (number % 2) * inner_width / 2
            y = TOP + inner_height + 16 + 13 * (number // 2)
            yield f'<circle cx="{x:.0f}" cy="{y - 4:.0f}" r="4" fill="{colour}"/>'
            yield f'<text x="{x + 8:.0f}" y="{y:.0f}">{html.escape(name[:34])}</text>'
    yield "</g>"
