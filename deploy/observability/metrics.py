"""Writes docs/metrics.md, the table of all metrics: metrics.py [--check [SCRAPE…]].

Names and helps come from the sources, labels from LABELS. --check compares the table with what
would be written, and labels with those in scrapes of /metrics.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "docs" / "metrics.md"
PROGRAMS = {
    "Gateways": ["gateway/src/node/metrics.rs", "gateway/src/node/metrics"],
    "Processors, workers and bridges": [
        "processors/src/servers/metrics.rs",
        "processors/src/servers/metrics",
    ],
}
# Labels that more than one metric has, by the beginning of the name.
LABELS = {
    "clinicwire_alerts_total": "result",
    "clinicwire_audit_(next|lag|failing)": "partition",
    "clinicwire_bridge_records": "became",
    "clinicwire_(bytes_written|connections|deliveries)": "transport",
    "clinicwire_closes": "reason",
    "clinicwire_commands": "kind, result",
    "clinicwire_condition": "condition",
    "clinicwire_errors": "code",
    "clinicwire_(frames_encoded|subscriptions)": "kind",
    "clinicwire_http_request_seconds": "class, route",
    "clinicwire_http_requests": "route, status",
    "clinicwire_kafka_client": "client",
    "clinicwire_limited": "limit",
    "clinicwire_postgres_connections": "pool, state",
    "clinicwire_processor_aggregates": "source",
    "clinicwire_(partitions_ahead|partition_strays|rows_retired)": "table",
    "clinicwire_processor_(dirty|failing|lag|next|outbox)": "partition, topic",
    "clinicwire_processor_facts": "change",
    "clinicwire_processor_records": "became",
    "clinicwire_spans": "result",
    "clinicwire_tenants": "state",
    "clinicwire_tenant_errors": "class, tenant",
    "clinicwire_tls_(handshakes|reloads)": "result",
    "clinicwire_uploads": "result",
    "clinicwire_view_fetches": "source",
    "clinicwire_webhook_attempts": "result",
    "clinicwire_worker_attempts": "ended",
    "clinicwire_worker_rule": "rule",
}
LITERAL = r'"((?:[^"\\]|\\.|\\\n)*)"'
# The name, then the help or a variable with it.
METRIC = re.compile(r'"(clinicwire_[a-z_]+)",\s*(?:' + LITERAL + r"|help)", re.DOTALL)
HELP = re.compile(r"let help = " + LITERAL, re.DOTALL)

HEAD = """# Metrics

All series that the programs export, with their labels. No label has an id or a name of a person;
one has tenants.
[Rules and dashboards](../deploy/observability/README.md) use every one of them.
"""


def text_of(paths):
    """The sources without their tests."""
    for path in paths:
        file = ROOT / path
        for each in [file] if file.is_file() else sorted(file.glob("*.rs")):
            yield each.read_text().split("#[cfg(test)]")[0]


def plain(literal):
    """A literal of Rust as it is printed."""
    return re.sub(r"\\\n\s*", "", literal).replace('\\"', '"')


def labels_of(name):
    """The labels of a metric."""
    return next((labels for begin, labels in LABELS.items() if re.match(begin, name)), "")


def rows(paths):
    """Name and help of each metric."""
    for text in text_of(paths):
        for match in METRIC.finditer(text):
            literal = match[2]
            if literal is None:
                literal = [*HELP.finditer(text, 0, match.start())][-1][1]
            yield match[1], plain(literal)


def table():
    """The whole page."""
    parts = [HEAD]
    for title, paths in PROGRAMS.items():
        parts.append(f"\n## {title}\n\n| metric | labels | meaning |\n|---|---|---|\n")
        for name, text in sorted(rows(paths)):
            labels = ", ".join(f"`{label}`" for label in labels_of(name).split(", ") if label)
            parts.append(f"| `{name}` | {labels} | {text.replace('|', '/')} |\n")
    return "".join(parts)


def wrong_labels(files):
    """What a scrape shows and LABELS has not, a line each."""
    for file in files:
        for line in pathlib.Path(file).read_text().splitlines():
            if match := re.match(r"(clinicwire_[a-z_]+)(?:\{(.*)\})? ", line):
                name = re.sub(r"_(bucket|count|sum)$", "", match[1])
                found = sorted(set(re.findall(r'([a-z_]+)="', match[2] or "")) - {"le"})
                if ", ".join(found) != labels_of(name):
                    yield f"{name} has the labels {found}"


def main():
    """Writes or checks the table."""
    if "--check" not in sys.argv:
        TABLE.write_text(table())
        return
    if not TABLE.exists() or TABLE.read_text() != table():
        sys.exit("run deploy/observability/metrics.py: docs/metrics.md must be written anew")
    if found := sorted(set(wrong_labels(sys.argv[2:]))):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
