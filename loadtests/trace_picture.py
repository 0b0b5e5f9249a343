"""The spans of one trace as lines of text and as a picture in SVG."""

import html

WIDTH, LEFT, ROW, TOP = 960, 330, 22, 44
COLOURS = {"clinicwire-gateway": "#2f6db3", "clinicwire-processors": "#b3562f"}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.small{font-size:11px;fill:#555}"
    ".line{stroke:#ddd}rect.page{fill:#fff}"
)


def tree(spans, root):
    """The spans in order, each with its depth below the span `root` of the caller."""
    below = {}
    for span in spans:
        below.setdefault(span.get("parentSpanId", ""), []).append(span)
    found, open_spans = [], [(0, root)]
    while open_spans:
        depth, parent = open_spans.pop()
        if depth:
            found.append((depth - 1, parent))
            parent = parent["spanId"]
        children = sorted(below.get(parent, []), key=lambda span: int(span["startTimeUnixNano"]))
        open_spans += [(depth + 1, child) for child in reversed(children)]
    return found


def fault(spans, root):
    """Why the spans are not one tree, or None."""
    ids = {span["spanId"] for span in spans} | {root}
    orphans = [span["name"] for span in spans if span.get("parentSpanId") not in ids]
    if orphans:
        return f"without a parent: {orphans}"
    if len({span["spanId"] for span in spans}) != len(spans):
        return "a span came twice"
    backwards = [s["name"] for s in spans if begin(s) > end(s)]
    return f"ends before it begins: {backwards}" if backwards else None


def begin(span):
    """When it began, in nanoseconds since 1970."""
    return int(span["startTimeUnixNano"])


def end(span):
    """When it ended, in nanoseconds since 1970."""
    return int(span["endTimeUnixNano"])


def processes(spans):
    """A short name of each process: gateways have numbers."""
    names, gateways = {}, 0
    for span in sorted(spans, key=begin):
        key = (span["process"], span["instance"])
        if key not in names:
            if is_gateway := span["process"] == "clinicwire-gateway":
                gateways += 1
            names[key] = f"gateway {gateways}" if is_gateway else "processors"
    return names


def lines(spans, root):
    """A line of text for each span."""
    first, names = min(map(begin, spans)), processes(spans)
    for depth, span in tree(spans, root):
        process = names[span["process"], span["instance"]]
        name = f"{'  ' * depth}{span['name']}"
        yield (
            f"{process:<11} {name:<46} {(begin(span) - first) / 1e6:>7.2f} ms"
            f" for {(end(span) - begin(span)) / 1e6:>6.2f} ms"
        )


def draw(spans, root, tapped, seen):
    """The picture: a row for each span, from the tap on the desk to the frame on the phone."""
    rows, names = tree(spans, root), processes(spans)
    last = max([seen, *map(end, spans)])
    height = TOP + ROW * (len(rows) + 2) + 12

    def x(time):
        return LEFT + (WIDTH - LEFT - 60) * (time - tapped) / (last - tapped)

    def text(left, top, words, kind="", anchor="start"):
        words = html.escape(words)
        return (
            f'<text class="{kind}" x="{left:.1f}" y="{top}" text-anchor="{anchor}">{words}</text>'
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>The trace of a call, from the tap on a desk to the frame on a phone</title>",
        f'<style>{STYLE}</style><rect class="page" width="{WIDTH}" height="{height}"/>',
    ]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if (last - tapped) / 1e6 / s < 12)
    for tick in range(0, int((last - tapped) / 1e6) + 1, step):
        at = x(tapped + tick * 1e6)
        parts.append(f'<path class="line" d="M{at:.1f} {TOP - 12}V{height - 12}"/>')
        parts.append(text(at, TOP - 18, f"{tick} ms", "small", "middle"))
    top = TOP + 14
    parts.append(text(12, top, "tap on “call next”"))
    parts.append(f'<circle cx="{x(tapped):.1f}" cy="{top - 4}" r="5" fill="#333"/>')
    for depth, span in rows:
        top += ROW
        colour, took = COLOURS[span["process"]], (end(span) - begin(span)) / 1e6
        process = names[span["process"], span["instance"]]
        left, right = x(begin(span)), x(end(span))
        parts.append(text(12 + 10 * depth, top, span["name"]))
        parts.append(
            f'<rect x="{left:.1f}" y="{top - 11}" width="{max(2, right - left):.1f}" height="14"'
            f' rx="2" fill="{colour}"/>'
        )
        words = f"{process}, {took:.1f} ms"
        fits = right < WIDTH - 150
        at, anchor = (right + 5, "start") if fits else (left - 5, "end")
        parts.append(text(at, top, words, "small", anchor))
    top += ROW
    parts.append(text(12, top, "frame on the phone"))
    parts.append(f'<circle cx="{x(seen):.1f}" cy="{top - 4}" r="5" fill="#333"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
