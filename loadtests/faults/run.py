#!/usr/bin/env python3
"""Runs rows of the fault matrix on real servers and programs, and writes docs/faults.md.

  loadtests/faults/run.py [ROW …]       without arguments all rows but 23, which takes a day

FAULTS_SHORT=1 shortens long rows, SEED= repeats the random choices of a run, and BIN= names the
directory of the programs (target/release). Results of earlier runs stay in results.json, and so in
the table, until their row is run again. Exits with 1 when a row broke a promise.
"""

import datetime
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback

import bridges
import disks
import kafka
import processes
import soak
import stores
from clinic import BIN, ROOT, SERVERS, Clinic, log

HERE = pathlib.Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results.json", ROOT / "docs/faults.md"
ROWS = {
    1: ("kill -9 of processors", processes.processors_killed),
    2: ("a processor stops, and goes on as a zombie", processes.zombie),
    3: ("kill -9 of gateways", processes.gateways_killed),
    4: ("kill -9 of one of three brokers", kafka.broker_killed),
    5: ("Kafka is down", stores.kafka_down),
    6: ("the topic of commands is created again", kafka.topic_recreated),
    7: ("Redis is emptied, restarted, and replaced by a replica that is behind", stores.redis_lost),
    8: ("PostgreSQL crashes; answers to COMMIT are lost", stores.postgres_crashes),
    9: ("half-open and one-way networks", stores.networks),
    10: ("full disks of PostgreSQL and Kafka", disks.disks_full),
    12: ("records are repeated, reordered and late", kafka.repeated_records),
    13: ("records that cannot be read", kafka.poison),
    20: ("rolling deploys", processes.rolling_deploys),
    21: ("rebuilds beside live traffic", processes.rebuilt),
    22: ("a noisy tenant", processes.noisy_tenant),
    23: ("none: a constant load for a day", soak.soak),
    24: ("kill -9 of workers that check claims files", processes.workers_killed),
    25: ("kill -9 of bridges, and of Kafka under them", bridges.bridges_killed),
}


class Run:
    """One run of one row: its seed, its length and its programs."""

    def __init__(self, row):
        self.short = bool(os.environ.get("FAULTS_SHORT"))
        self.seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
        self.random = random.Random(f"{self.seed} {row}")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"clinicwire-fault-{row}-"))
        self.clinics, self.cleanups = [], []

    def length(self, short, full):
        return short if self.short else full

    def clinic(self, begin=True, programs=None, **settings):
        clinic = Clinic(self.directory, **settings)
        self.clinics.append(clinic)
        if begin:
            clinic.begin(**(programs or {}))
        return clinic


def run_row(row, file):
    """Runs one row on the servers of the environment, and writes its figures."""
    run, began = Run(row), time.monotonic()
    try:
        figures = ROWS[row][1](run)
    except Exception as error:  # noqa: BLE001 (a row that fails ends no other one)
        traceback.print_exc()
        figures = {"held": False, "note": f"the run failed: {error}", "length": "–"}
    finally:
        for clinic in run.clinics:
            clinic.end()
        for cleanup in run.cleanups:
            cleanup()
    figures |= {"seed": run.seed, "short": run.short, "took_s": round(time.monotonic() - began)}
    print(json.dumps(figures), flush=True)
    pathlib.Path(file).write_text(json.dumps(figures))
    if figures["held"]:
        shutil.rmtree(run.directory)
    else:
        log(f"not everything held: see {run.directory}")


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} cores of {platform.machine()}, {memory} GiB, {platform.system()}"


def main():
    if sys.argv[1:2] == ["--row"]:
        return run_row(int(sys.argv[2]), sys.argv[3])
    chosen = [int(row) for row in sys.argv[1:]] or [row for row in ROWS if row != 23]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    broken = []
    for row in chosen:
        log(f"row {row}: {ROWS[row][0]}")
        load = round(os.getloadavg()[0], 1)
        with tempfile.NamedTemporaryFile() as file:
            inner = [sys.executable, __file__, "--row", str(row), file.name]
            subprocess.run([SERVERS, "run", "--", *inner], check=False)
            text = pathlib.Path(file.name).read_text()
        if not text:  # the servers did not start
            broken.append(row)
            continue
        figures = json.loads(text) | {"date": datetime.date.today().isoformat(), "commit": commit}
        figures |= {"machine": machine(), "build": BIN.name, "load": load}
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[str(row)] = figures
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        write_page(results)
        if not figures["held"]:
            broken.append(row)
    if broken:
        sys.exit(f"rows that broke a promise: {broken}")


def seconds(times):
    if not times:
        return "–"
    return f"{times['p50']:.1f} / {times['p99']:.1f} / {times['max']:.1f}"


def write_page(results):
    """Replaces the generated part of the page."""
    lines = [
        "`"
        + "FAULTS_SHORT=1 " * any(one.get("short") for one in results.values())
        + "make faults`; seconds are the median, the 99th percentile and the longest.",
        "",
    ]
    lines += [
        (
            "| row | fault | length | acked | lost | doubled | gaps | back | detect, s | "
            "recover, s | seed | date, commit | held |"
        ),
        "|" + "---|" * 13,
    ]
    notes = []
    for row, (title, _) in ROWS.items():
        one = results.get(str(row))
        if not one:
            lines.append(f"| {row} | {title} | not run |" + " |" * 10)
            continue
        counts = [one.get(n, "–") for n in ("acked", "lost", "duplicated", "gaps", "rollbacks")]
        length = one.get("length", "–") + (", shortened" if one.get("short") else "")
        cells = [row, title, length, *counts, seconds(one.get("detect"))]
        cells += [seconds(one.get("recover")), one.get("seed", "–")]
        cells += [f"{one['date']}, {one['commit']}", "yes" if one["held"] else "**no**"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        if not one["held"] and one.get("other"):
            other = ", ".join(f"{name} ({count})" for name, count in one["other"].items())
            one["note"] += f"; it did not hold because of {other}"
        if one.get("note"):
            notes += textwrap.wrap(f"- Row {row}: {one['note']}.", 100, subsequent_indent="  ")
    builds = {(one["machine"], one["build"]) for one in results.values()}
    loads = [one["load"] for one in results.values() if "load" in one] or [0]
    lines += ["", *notes, ""]
    lines += [f"Machine: {machine}; build: {build}." for machine, build in sorted(builds)]
    lines += textwrap.wrap(
        f"Other programs shared the cores, with a load average of {min(loads)} to {max(loads)} "
        "before rows: times are upper bounds.",
        100,
    )
    text = PAGE.read_text()
    begin, end = "<!-- written by make faults -->\n", "<!-- end -->"
    before, rest = text.split(begin)
    page = before + begin + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end)[1]
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
