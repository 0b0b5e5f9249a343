"""Row of the fault matrix about time: nothing breaks, leaks or grows under a constant load."""

import json
import pathlib
import statistics
import subprocess
import time

from clinic import BIN, TENANT, log, sign
from traffic import TRANSPORTS, Caller, Traffic, measured

EVERY_S = 30
# Clients of each transport come and go so often, and then so many times.
CHURN_EVERY_S, CHURN = 600, ["--clients", 25, "--rounds", 20, "--missed", 1]
# What a program may hold more of than before: connections of a pool, and of clients that come back.
MOST_MORE = 30


def soak(run):
    """Row 23. Commands and followers at a constant pace, and other clients that come and go."""
    clinic, minutes = run.clinic(), run.length(30, 24 * 60)
    traffic, breaches = Traffic(clinic, run.seed, pause=0.5), {}
    traffic.begin(seconds=60 * minutes, clients=200)
    begun = churned = time.monotonic()
    samples, returned = [], 0
    while (now := time.monotonic()) < begun + 60 * minutes:
        samples.append(((now - begun) / 3600, programs(clinic)))
        time.sleep(EVERY_S)
        if now >= churned:
            churned = now + CHURN_EVERY_S
            for transport in TRANSPORTS:
                document = come_and_go(clinic, transport)
                breaches |= document["breaches"]
                returned += document["figures"]["resumed_by_delta"]
    figures = traffic.end()
    figures["other"] |= breaches
    notes = [f"{returned:.0f} times a client went and came back by delta"]
    for name in samples[0][1]:
        more, note = growth(name, samples)
        figures["other"] |= more
        notes.append(note)
    return measured(figures, f"{minutes} min", note="; ".join(notes), held=returned > 0)


def come_and_go(clinic, transport):
    """Runs clients that are cut and resume, in a location of their own. Returns their report."""
    location, report = f"churn-{transport}", clinic.directory / f"churn-{transport}.json"
    site = {"name": "Churn", "time_zone": "UTC", "languages": ["en"]}
    Caller(clinic.urls, TENANT, location, 0).command(
        "PUT", f"/v1/locations/{location}", site, "admin"
    )
    tokens = [sign(role, locations=[location]) for role in ("reception", "admin")]
    command = [BIN / "swarm", "--location", location, "--json", report]
    command += ["--token", tokens[0], "--admin-token", tokens[1]]
    command += [part for url in clinic.urls for part in ("--url", url)]
    command += ["--patience", 240, "reconnect", "--transport", transport, *CHURN]
    with open(report.with_suffix(".txt"), "wb") as output:
        subprocess.run([str(part) for part in command], check=False, stderr=output)
    return json.loads(report.read_text())


def programs(clinic):
    """The resident MiB, open files and threads of each program."""
    found = {}
    for name, program in clinic.running.items():
        of = pathlib.Path(f"/proc/{program.pid}")
        kib = next(x for x in (of / "status").read_text().splitlines() if x.startswith("VmRSS"))
        counts = [sum(1 for _ in (of / part).iterdir()) for part in ("fd", "task")]
        found[name] = [int(kib.split()[1]) / 1024, *counts]
    return found


def growth(name, samples):
    """What a program holds more of at the end, and its memory in words. Caches fill in the first
    third. Connections vary, so the fewest of the second third and of the last are compared."""
    third = len(samples) // 3
    hours, rows = zip(*[(at, of[name]) for at, of in samples[third:]], strict=True)
    memory = [row[0] for row in rows]
    slope = statistics.linear_regression(hours, memory).slope / statistics.mean(memory)
    more = {}
    for part, title in enumerate(("open files", "threads"), 1):
        before, after = (min(row[part] for row in half) for half in (rows[:third], rows[third:]))
        if after > before + MOST_MORE:
            more[f"{name}: {title}"] = after - before
    log(f"{name}: {rows[0]} to {rows[-1]}, {slope:+.1%} an hour")
    note = f"{name} {memory[0]:.0f} to {memory[-1]:.0f} MiB, {slope:+.1%} an hour"
    return more, note
