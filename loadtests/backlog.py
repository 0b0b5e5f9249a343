#!/usr/bin/env python3
"""How fast one process of processors works off a backlog, and what its CPU does meanwhile.

  deploy/dev/servers run --fsync -- loadtests/backlog.py [SECONDS [FULL_DAYS [TICKETS]]]

A swarm sends commands to 24 locations for SECONDS (30 by default). Then the processors end, and the
same records are appended for another tenant, without the end of their validity: the backlog. `perf`
watches the processors that work it off. With FULL_DAYS the database has rows of 90 days before
(days/run has the words). BIN names the directory of the programs.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "faults"))
import kafka
from clinic import BIN, Clinic, until
from rolling import WORDS

TICKS = os.sysconf("SC_CLK_TCK")
TOP = 25
DAYS = pathlib.Path(__file__).resolve().parent / "days/run"


def commands(clinic, seconds):
    """Sends commands, and returns their records for another tenant, where all have effect again."""
    command = [BIN / "swarm", f"--insecure-development-key={WORDS}", "--url", clinic.urls[0]]
    command += ["commands", "--at-once", 256, "--seconds", seconds]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    again = []
    for line in kafka.records(clinic):
        headers, key, value = line.split("\t", 2)
        kept = [part for part in headers.split(";;") if not part.startswith("ce_validuntil:")]
        if key.startswith("demo/"):
            again.append("\t".join([";;".join(kept), key.replace("demo/", "again/", 1), value]))
    return again


def decided(clinic):
    with contextlib.suppress(RuntimeError):
        url = f"http://127.0.0.1:{clinic.health[0]}"
        name = 'clinicwire_processor_records_total{became="applied"}'
        return int(clinic.metric(url, re.escape(name)))
    return 0  # it does not answer yet


def cpu_s(pid):
    """User and system seconds of a process."""
    parts = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


def profile(clinic):
    """The functions that took most of the CPU, as `perf` names them."""
    report = ["perf", "report", "-i", clinic.directory / "perf.data", "--stdio", "--no-children"]
    report += ["--percent-limit", "0.4", "-g", "none", "--sort", "symbol"]
    done = subprocess.run(list(map(str, report)), check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"perf reports nothing: {done.stderr[-500:]}")
    lines = [line for line in done.stdout.splitlines() if line.strip() and line[0] != "#"]
    return [line.strip()[:100] for line in lines[:TOP]]


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    days = sys.argv[2:]
    clinic = Clinic(pathlib.Path(tempfile.mkdtemp(prefix="clinicwire-backlog-")))
    try:
        if days:
            clinic.run("prepare", check=True)
            subprocess.run([DAYS, clinic.environment["CLINICWIRE_POSTGRES"], *days], check=True)
        clinic.begin(processors=1, gateways=1)
        backlog = commands(clinic, seconds)
        clinic.stop("processor-0")
        kafka.produce(clinic, backlog)
        clinic.start_processor(0)
        pid = clinic.running["processor-0"].pid
        watch = ["perf", "record", "-q", "-F", 499, "-g", "-p", pid, "-o"]
        clinic.start("perf", [*watch, clinic.directory / "perf.data"])
        before = until("the first is decided", lambda: decided(clinic))
        begun, used = time.monotonic(), cpu_s(pid)
        until("all are decided", lambda: decided(clinic) >= len(backlog), 600)
        took, used = time.monotonic() - begun, cpu_s(pid) - used
        clinic.stop("perf")
        count = len(backlog) - before
        if count <= 0:
            sys.exit("the backlog was gone before it was watched: send commands for longer")
        print(f"{count} commands in {took:.1f} s: {count / took:.0f} a second")
        print(
            f"{used / count * 1e6:.0f} us of CPU of the processors for each, {os.cpu_count()} cores"
        )
        print("\n".join(profile(clinic)))
    finally:
        clinic.stop_all()


if __name__ == "__main__":
    main()
