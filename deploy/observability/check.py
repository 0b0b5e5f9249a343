"""Compares rules and dashboards with what the programs export: check.py [SCRAPE…].

Every series that a rule or a dashboard names must be one of the programs', every series of the
programs must be on a dashboard, and every alert must have a page in docs/runbooks. The names are
read from the sources. With files, each a scrape of /metrics, matchers are compared too: the label
must be there, and of labels whose values are a closed set the value.
"""

import json
import pathlib
import re
import sys

import yaml
from metrics import PROGRAMS, text_of

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# Labels that Prometheus adds, and series of its own.
ADDED = {"job", "instance", "le"}
OWN = {"up"}
# Labels of which a program shows every value from its start.
CLOSED = {"became", "condition", "ended", "limit", "reason", "transport"}
SELECTOR = re.compile(r"\b([a-z][a-z_:0-9]*)\s*(?:\{([^}]*)\})")
NAME = re.compile(r"\b(clinicwire[_:][a-z_:0-9]*)")


def rules():
    """All rules, with their files."""
    for file in sorted(HERE.glob("rules/*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def expressions():
    """Where each expression is, and the expression."""
    for file, rule in rules():
        yield f"{file}: {rule.get('alert', rule.get('record'))}", rule["expr"]
    for file in sorted(HERE.glob("dashboards/*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]


def names_in_sources():
    """The names of metrics in the sources: a histogram has three series."""
    names = set()
    for paths in PROGRAMS.values():
        for text in text_of(paths):
            names |= set(re.findall(r'"(clinicwire_[a-z_]+)"', text))
    return names


def base(name):
    """The metric of a series of a histogram."""
    return re.sub(r"_(bucket|count|sum)$", "", name)


def scraped(files):
    """Names of metrics, and of each the values of its labels."""
    names, labels = set(), {}
    for file in files:
        for line in pathlib.Path(file).read_text().splitlines():
            if line.startswith("# TYPE "):
                names.add(line.split()[2])
            elif match := re.match(r"([a-z_]+)(?:\{(.*)\})? ", line):
                values = labels.setdefault(base(match[1]), {})
                for label, value in re.findall(r'([a-z_]+)="([^"]*)"', match[2] or ""):
                    values.setdefault(label, set()).add(value)
    return names, labels


def faults(names, labels):
    """What is wrong, a line each."""
    records = {rule["record"] for _, rule in rules() if "record" in rule}
    used = set()
    for where, expression in expressions():
        for name in NAME.findall(expression):
            if name not in records and name not in names and base(name) not in names:
                yield f"{where}: nothing exports {name}"
            used.add(base(name))
        for name, matchers in SELECTOR.findall(expression):
            known = labels.get(base(name), {})
            for label, value in re.findall(r'([a-z_]+)=~?"([^"]*)"', matchers):
                if label in ADDED or name in OWN or not labels:
                    continue
                if known and label not in known:
                    yield f"{where}: {name} has no label {label}"
                elif label in CLOSED and not any(
                    re.fullmatch(value, each) for each in known[label]
                ):
                    yield f"{where}: {name} never has {label}={value}"
    for name in sorted(names - used):
        yield f"no dashboard and no rule shows {name}"
    for file, rule in rules():
        if "alert" in rule:
            page = ROOT / "docs" / rule["annotations"]["runbook_url"]
            if not page.exists():
                yield f"{file}: {rule['alert']} has no page {page.relative_to(ROOT)}"
            elif rule["alert"] not in page.read_text():
                yield f"{page.relative_to(ROOT)} does not name {rule['alert']}"


def main():
    """Prints the faults, and fails if there is one."""
    files = sys.argv[1:]
    names, labels = names_in_sources(), {}
    if files:
        exported, labels = scraped(files)
        if unknown := exported - names:
            sys.exit(f"not found in the sources: {', '.join(sorted(unknown))}")
    if len(names) < 30:
        sys.exit("the programs' metrics were not found")
    found = list(faults(names, labels))
    print("\n".join(found) or f"{len(names)} metrics agree with rules and dashboards")
    sys.exit(1 if found else 0)


main()
