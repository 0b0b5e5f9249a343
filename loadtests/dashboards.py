#!/usr/bin/env python3
"""Names the panels of the dashboards that a real Prometheus does not fill while a swarm runs.

  deploy/dev/servers run -- target/tools/deploy/bin/python loadtests/dashboards.py BIN

Two gateways behind Caddy and one process of processors serve patients and dashboards over every
transport. Prometheus scrapes them each second and evaluates the rules. Then the expressions of each
panel are asked for. Faults have no series as long as all is well. Needs
`make target/tools/bin/promtool target/tools/deploy/.installed`.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from rolling import LOCATION, ROOT, Clinic, await_that, begin, call

sys.path.append(str(ROOT / "deploy/tools"))
import prometheus  # of that folder

PROGRAM = ROOT / "target/tools/bin/prometheus"
# One point for each of this many seconds. The rates are those of half a minute.
STEP_S, RATE = 2, "30s"


def start_prometheus(clinic):
    """Starts Prometheus, which scrapes the programs of the clinic. Returns its address."""
    gateways = [f"127.0.0.1:{port}" for port in clinic.nodes]
    settings = prometheus.configuration(gateways, [f"127.0.0.1:{clinic.metrics}"])
    file, address = clinic.directory / "prometheus.json", f"127.0.0.1:{clinic.proxy + 60}"
    file.write_text(json.dumps(settings))
    data = f"--storage.tsdb.path={clinic.directory}/prometheus"
    options = [f"--config.file={file}", data, f"--web.listen-address={address}"]
    clinic.start("prometheus", [PROGRAM, *options])
    await_that("Prometheus is ready", lambda: call(f"http://{address}/-/ready") == 200)
    return f"http://{address}"


def run_swarm(clinic, arguments, tokens):
    """Runs patients and dashboards over every transport."""
    command = [arguments.swarm or arguments.bin / "swarm"]
    command += ["--url", f"http://127.0.0.1:{clinic.proxy}", "--location", LOCATION]
    command += ["--token", tokens["reception"], "--admin-token", tokens["admin"]]
    command += ["width", "--patients", arguments.patients, "--dashboards", arguments.patients // 10]
    command += ["--rate", arguments.rate, "--seconds", arguments.seconds]
    if subprocess.run([str(part) for part in command], check=False).returncode:
        sys.exit("dashboards: the swarm failed")


def has_data(url, panel, start, end):
    """Whether one of the panel's expressions had a number at some time."""
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", RATE)
        query = {"query": expression, "start": start, "end": end, "step": STEP_S}
        for series in prometheus.get(url, "query_range", **query)["result"]:
            if any(math.isfinite(float(value)) for _, value in series["values"]):
                return True
    return False


def look(url, start, end):
    """Names the empty panels of each dashboard."""
    for file in sorted((ROOT / "deploy/observability/dashboards").glob("*.json")):
        panels = json.loads(file.read_text())["panels"]
        empty = [panel["title"] for panel in panels if not has_data(url, panel, start, end)]
        print(f"{file.stem}: {len(panels) - len(empty)} of {len(panels)} panels have data")
        for title in empty:
            print(f"  no data: {title}")


def main():
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--rate", type=float, default=5, help="changes a second")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--swarm", type=pathlib.Path, help="the swarm, if it is not in BIN")
    arguments = parser.parse_args()
    if "CLINICWIRE_SERVERS_PORT" not in os.environ:
        sys.exit("dashboards: needs servers: deploy/dev/servers run -- loadtests/dashboards.py …")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="clinicwire-panels-"))
        clinic = Clinic(pathlib.Path(directory))
        stack.callback(clinic.stop_all)
        start = time.time()
        tokens = begin(clinic, arguments.bin, arguments)
        url = start_prometheus(clinic)
        run_swarm(clinic, arguments, tokens)
        look(url, start, time.time())


if __name__ == "__main__":
    main()
