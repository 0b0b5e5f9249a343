"""Row of the fault matrix about time: under a constant load nothing breaks, and no program holds
more and more memory, files or threads."""

import collections
import json
import pathlib
import statistics
import subprocess
import time

from clinic import log
from traffic import (
    GAPS,
    ROLLBACKS,
    TRANSPORTS,
    Traffic,
    measured,
    open_location,
    swarm_command,
)

EVERY_S = 30
# Every ten minutes, clients of each transport are cut and resume twenty times: 2,000 connections.
CHURN_EVERY_S, CHURN_WITHIN_S = 600, 300
CHURN = ["--clients", 25, "--rounds", 20, "--missed", 1]
# A leak of one in fifty of these connections is found within an hour. Pools vary by less.
MOST_MORE = 30
# Caches are full after the first third. What the allocator keeps varies by a few MiB.
MOST_MORE_MIB, MOST_GROWTH = 8, 1.2


def soak(run):
    """Row 23. Commands and followers at a constant pace, and other clients that come and go."""
    clinic, minutes = run.clinic(), run.length(30, 24 * 60)
    traffic, breaches = Traffic(clinic, run.seed, pause=0.5), collections.Counter()
    traffic.begin(seconds=60 * minutes, clients=200)
    begun = churned = time.monotonic()
    samples, returned, anew = [], 0, 0
    while (now := time.monotonic()) < begun + 60 * minutes:
        if (found := programs(clinic)) is None:
            break  # a program ended, which `end` reports
        samples.append(((now - begun) / 3600, found))
        time.sleep(EVERY_S)
        if now >= churned:
            churned = now + CHURN_EVERY_S
            for transport in TRANSPORTS:
                document = come_and_go(clinic, transport)
                breaches.update(document["breaches"])
                returned += document["figures"]["resumed_by_delta"]
                anew += document["figures"]["resumed_by_snapshot"]
    figures = traffic.end()
    figures["gaps"] += sum(breaches.pop(name, 0) for name in GAPS)
    figures["rollbacks"] += sum(breaches.pop(name, 0) for name in ROLLBACKS)
    for name, count in breaches.items():
        figures["other"][name] = figures["other"].get(name, 0) + count
    notes = [f"{returned:.0f} times a client went and came back by delta, {anew:.0f} by snapshot"]
    for name in samples[0][1]:
        more, note = growth(name, samples)
        figures["other"] |= more
        notes.append(note)
    return measured(figures, f"{minutes} min", note="; ".join(notes), held=returned > 0)


def come_and_go(clinic, transport):
    """Runs clients that are cut and resume, in a location of their own. Returns their report."""
    location, report = f"churn-{transport}", clinic.directory / f"churn-{transport}.json"
    report.unlink(missing_ok=True)
    open_location(clinic.urls, location)
    command = swarm_command(clinic.urls, location, report)
    command += ["reconnect", "--transport", transport, *CHURN]
    text = report.with_suffix(".txt")
    with open(text, "wb") as output:
        words = [str(part) for part in command]
        subprocess.run(words, check=False, stderr=output, timeout=CHURN_WITHIN_S)
    if not report.exists():
        raise RuntimeError(f"clients of {transport} have no report: {text.read_text()[-500:]}")
    return json.loads(report.read_text())


def programs(clinic):
    """The resident MiB, open files and threads of each program. None when one has ended."""
    found = {}
    for name, program in clinic.running.items():
        if program.poll() is not None:
            return None
        process = pathlib.Path(f"/proc/{program.pid}")
        lines = (process / "status").read_text().splitlines()
        kib = next(line for line in lines if line.startswith("VmRSS")).split()[1]
        counts = [sum(1 for _ in (process / part).iterdir()) for part in ("fd", "task")]
        found[name] = [int(kib) / 1024, *counts]
    return found


def growth(name, samples):
    """What a program holds more of in the last third than in the second, and its memory in words.
    Connections vary, so the fewest of both are compared."""
    third = len(samples) // 3
    hours, rows = zip(*[(at, found[name]) for at, found in samples[third:]], strict=True)
    second, last = rows[: max(1, third)], rows[max(1, third) :] or rows
    more = {}
    for part, title in enumerate(("MiB", "open files", "threads")):
        before, after = (min(row[part] for row in some) for some in (second, last))
        most = (
            max(before + MOST_MORE_MIB, before * MOST_GROWTH) if part == 0 else before + MOST_MORE
        )
        if after > most:
            more[f"{name}: {title}"] = round(after - before)
    memory = [row[0] for row in rows]
    slope = 0
    if len(rows) > 1:
        slope = statistics.linear_regression(hours, memory).slope / statistics.mean(memory)
    log(f"{name}: {rows[0]} to {rows[-1]}, {slope:+.1%} an hour")
    return more, f"{name} {memory[0]:.0f} to {memory[-1]:.0f} MiB, {slope:+.1%} an hour"
