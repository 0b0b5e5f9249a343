#!/usr/bin/env python3
"""Replaces running programs behind a proxy while clients of the swarm follow and check everything.

  deploy/dev/servers run -- loadtests/rolling.py restarts BIN
  deploy/dev/servers run -- loadtests/rolling.py versions OLD_BIN NEW_BIN

`restarts` runs two gateways behind Caddy and one process of processors, and restarts one of the
three every 30 s for 10 minutes.
`versions` runs old gateways with new processors and the reverse: OLD_BIN is what
`loadtests/old-version REF` prints. BIN has the programs and, with NEW_BIN, the swarm. Prints a
table, and exits with 0 when every promise held, no log has an error and few clients got a snapshot.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CADDY = ROOT / "target/tools/caddy/usr/bin/caddy"
WORDS = "words of a rolling restart"
LOCATION = "rolling"
# How long a program may take to be ready, or to end. A debug build on a busy machine is slow.
PATIENCE_S = 60
# A node is not ready for this long before it closes its listener: Caddy looks every half second.
DRAIN_DELAY_S, DRAIN_S = 2, 5
# The share of returns that may be by snapshot.
MOST_SNAPSHOTS = 0.001

CADDYFILE = """
{{
	admin off
	auto_https off
}}
http://127.0.0.1:{proxy} {{
	reverse_proxy {nodes} {{
		lb_policy least_conn
		lb_try_duration 10s
		lb_try_interval 100ms
		health_uri /health/ready
		health_interval 500ms
		health_timeout 2s
		fail_duration 1s
		flush_interval -1
	}}
}}
"""


def call(url, token=None, body=None):
    """The status of an answer, or None without one."""
    request = urllib.request.Request(url, method="PUT" if body else "GET")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    if body:
        request.add_header("content-type", "application/json")
        request.add_header("idempotency-key", "a-location-of-a-rolling-restart")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def await_that(what, holds):
    """Waits until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"rolling: {what}: not within {PATIENCE_S} s")
        time.sleep(0.05)


class Clinic:
    """Two gateways behind Caddy, and one process of processors, each replaceable."""

    def __init__(self, directory):
        self.directory = directory
        first = int(os.environ["CLINICWIRE_SERVERS_PORT"]) + 300
        self.proxy, self.metrics, *self.nodes = range(first, first + 4)
        self.running = {}
        files = directory / "files"
        files.mkdir()
        self.environment = os.environ | {
            "CLINICWIRE_FILES": f"file://{files}",
            "CLINICWIRE_INSECURE_DEVELOPMENT_KEY": WORDS,
            "CLINICWIRE_INSECURE_POSTGRES_LOGIN": "true",
            "CLINICWIRE_LIMIT": "all=off",
            "CLINICWIRE_DRAIN_DELAY": str(DRAIN_DELAY_S),
            "CLINICWIRE_DRAIN": str(DRAIN_S),
            "CLINICWIRE_INSTANCE": "rolling",
            "CLINICWIRE_METRICS_LISTEN": f"127.0.0.1:{self.metrics}",
        }

    def start(self, name, command):
        """Starts a program whose log is kept."""
        with open(self.directory / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [str(part) for part in command], env=self.environment, stdout=log, stderr=log
            )

    def await_log(self, name, text):
        """Waits until the log of a program has a text. Fails when the program ends first."""
        log = self.directory / f"{name}.log"

        def holds():
            if text in log.read_text():
                return True
            if self.running[name].poll() is not None:
                sys.exit(f"rolling: {name} ended: {log.read_text()[-2000:]}")
            return False

        await_that(f"{name} is ready", holds)

    def stop(self, name):
        """Asks a program to end, and waits."""
        program = self.running.pop(name)
        program.send_signal(signal.SIGTERM)
        program.wait(PATIENCE_S)

    def stop_all(self):
        """Ends everything."""
        for program in self.running.values():
            program.send_signal(signal.SIGTERM)
        for program in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(PATIENCE_S)
            program.kill()

    def prepare(self, programs):
        """Migrations and topics."""
        command = [programs / "clinicwire-processors", "prepare"]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, check=False, text=True
        )
        if done.returncode:
            sys.exit(f"rolling: prepare: {done.stderr[-2000:]}")

    def start_processors(self, programs):
        """Starts the processors, and waits until they process. Returns the seconds that took."""
        begun = time.monotonic()
        self.start("processors", [programs / "clinicwire-processors", "run"])
        ready = f"http://127.0.0.1:{self.metrics}/health/ready"
        await_that("the processors are ready", lambda: call(ready) == 200)
        return time.monotonic() - begun

    def start_gateway(self, programs, number):
        """Starts a gateway, and waits until it is ready. Returns the seconds that took."""
        begun, port = time.monotonic(), self.nodes[number]
        command = [programs / "clinicwire-gateway", "run", "--listen", f"127.0.0.1:{port}"]
        self.start(f"gateway-{number}", command)
        ready = f"http://127.0.0.1:{port}/health/ready"
        await_that(f"gateway {number} is ready", lambda: call(ready) == 200)
        return time.monotonic() - begun

    def replace(self, programs, name):
        """Restarts `gateway-0`, `gateway-1` or `processors`. Returns the seconds until the old one
        had ended, and until the new one was ready."""
        begun = time.monotonic()
        self.stop(name)
        ended = time.monotonic() - begun
        if name == "processors":
            return ended, self.start_processors(programs)
        return ended, self.start_gateway(programs, int(name[-1]))

    def start_proxy(self):
        """Starts Caddy, and waits until it passes requests on."""
        text = CADDYFILE.format(
            proxy=self.proxy, nodes=" ".join(f"127.0.0.1:{port}" for port in self.nodes)
        )
        file = self.directory / "Caddyfile"
        file.write_text(text)
        self.start("caddy", [CADDY, "run", "--config", file, "--adapter", "caddyfile"])
        url = f"http://127.0.0.1:{self.proxy}/health/ready"
        await_that("Caddy passes requests on", lambda: call(url) == 200)

    def token(self, programs, role):
        """A token signed with the development key."""
        command = [programs / "clinicwire-gateway", "token", "--role", role]
        command += ["--location", LOCATION]
        made = subprocess.run(command, env=self.environment, check=True, capture_output=True)
        return made.stdout.decode().strip()

    def swarm(self, programs, tokens, arguments, seconds):
        """Starts clients that follow a board or queue through the proxy, while it changes."""
        report = self.directory / "swarm.json"
        command = [arguments.swarm or programs / "swarm"]
        command += ["--url", f"http://127.0.0.1:{self.proxy}", "--location", LOCATION]
        command += ["--token", tokens["reception"], "--admin-token", tokens["admin"]]
        command += ["--patience", "120", "--command-deadline", "90", "--json", report, "fanout"]
        command += ["--listeners", arguments.clients, "--transport", arguments.transport]
        changes = int(seconds * arguments.rate)
        command += ["--changes", changes, "--rate", arguments.rate]
        program = subprocess.Popen([str(part) for part in command])
        self.running["swarm"] = program
        return program, report

    def errors(self):
        """The lines with an error in the logs of the programs."""
        lines = []
        for log in sorted(self.directory.glob("*.log")):
            if log.name != "caddy.log":
                text = log.read_text(errors="replace")
                lines += [line for line in text.splitlines() if " ERROR " in line]
        return lines


def begin(clinic, old, arguments):
    """Starts everything, and waits until the clinic has a location."""
    clinic.prepare(old)
    clinic.start_processors(old)
    for number in range(len(clinic.nodes)):
        clinic.start_gateway(old, number)
    clinic.start_proxy()
    tokens = {role: clinic.token(old, role) for role in ("admin", "reception")}
    settings = {"name": "Rolling", "time_zone": "UTC", "languages": ["en"]}
    url = f"http://127.0.0.1:{clinic.proxy}/v1/locations/{LOCATION}"
    await_that("a location", lambda: call(url, tokens["admin"], settings) in (200, 202))
    return tokens


def await_clients(clinic, program, clients):
    """Waits until the gateways have the clients."""

    def connected():
        if program.poll() is not None:
            sys.exit("rolling: the swarm ended early")
        total = 0
        for port in clinic.nodes:
            url = f"http://127.0.0.1:{port}/metrics"
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith("clinicwire_connections{"):
                        total += int(float(line.rsplit(" ", 1)[1]))
        return total >= clients

    await_that("the clients are connected", connected)


def restarts(clinic, arguments):
    """Restarts the gateways and the processors in turn."""
    tokens = begin(clinic, arguments.bin, arguments)
    seconds = arguments.minutes * 60
    program, report = clinic.swarm(arguments.bin, tokens, arguments, seconds)
    await_clients(clinic, program, arguments.clients)
    titles = ("at, s", "program", "ended after, s", "ready after, s")
    print("{:>8} {:>7} {:>10} {:>15} {:>15}".format("restart", *titles))
    names = [f"gateway-{number}" for number in range(len(clinic.nodes))] + ["processors"]
    begun, turn = time.monotonic(), 0
    # The last restart leaves time for the clients to come back.
    while time.monotonic() - begun + arguments.every < seconds:
        time.sleep(max(0, (turn + 1) * arguments.every - (time.monotonic() - begun)))
        at = time.monotonic() - begun
        name = names[turn % len(names)]
        ended, ready = clinic.replace(arguments.bin, name)
        turn += 1
        print(f"{turn:>8} {at:>7.0f} {name:>10} {ended:>15.1f} {ready:>15.1f}", flush=True)
    return finish(clinic, program, report)


def versions(clinic, arguments):
    """Runs old gateways with new processors, both new, and new gateways with old processors."""
    old, new = arguments.old, arguments.new
    # Gateways and processors of each step: as an upgrade goes, and the whole way back.
    steps = [(old, old), (old, new), (new, new), (new, old), (old, old)]
    if arguments.migrate_late:
        steps = [(old, old), (new, old), (new, new), (old, new), (new, new)]
    tokens = begin(clinic, old, arguments)
    program, report = clinic.swarm(new, tokens, arguments, arguments.every * (len(steps) + 1))
    await_clients(clinic, program, arguments.clients)
    begun, now = time.monotonic(), (old, old)
    for turn, (gateways, processors) in enumerate(steps):
        time.sleep(max(0, turn * arguments.every - (time.monotonic() - begun)))
        at = time.monotonic() - begun
        if processors != now[1]:
            if processors == new:
                clinic.prepare(new)
            clinic.replace(processors, "processors")
        if gateways != now[0]:
            for number in range(len(clinic.nodes)):
                clinic.replace(gateways, f"gateway-{number}")
        now = (gateways, processors)
        took = time.monotonic() - begun - at
        names = ["new" if programs == new else "old" for programs in now]
        print(
            f"{at:>6.0f} s  {names[0]} gateways, {names[1]} processors, after {took:.1f} s",
            flush=True,
        )
    return finish(clinic, program, report)


def finish(clinic, program, report):
    """Waits for the swarm, prints its figures, and says whether everything held."""
    status = program.wait(3600)
    clinic.running.pop("swarm")
    if not report.exists():
        sys.exit("rolling: the swarm has no report")
    document = json.loads(report.read_text())
    figures, breaches = document["figures"], document["breaches"]
    names = ["deliveries", "duplicates", "commands_answered_202", "commands_sent_again"]
    names += ["connections_lost", "returned_by_delta", "returned_by_snapshot"]
    names += [f"lost_to_returned_{share}_ms" for share in ("p50", "p95", "p99", "max")]
    names += [f"record_to_client_{share}_ms" for share in ("p50", "p95", "p99", "max")]
    print()
    for name in names:
        print(f"{name:<28} {figures.get(name, 0):>14.1f}")
    print(f"{'breaches':<28} {sum(breaches.values()):>14}  {breaches or ''}")
    errors = clinic.errors()
    print(f"{'errors in logs':<28} {len(errors):>14}")
    for line in errors[:10]:
        print(f"  {line[:160]}")
    by_snapshot = figures.get("returned_by_snapshot", 0)
    returns = by_snapshot + figures.get("returned_by_delta", 0)
    few = by_snapshot <= MOST_SNAPSHOTS * returns
    print(f"{'snapshots among returns':<28} {by_snapshot / max(1, returns):>14.4%}")
    return status == 0 and not errors and few


def main():
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    restarting, versioning = modes.add_parser("restarts"), modes.add_parser("versions")
    restarting.add_argument("bin", type=pathlib.Path)
    restarting.add_argument("--minutes", type=float, default=10)
    versioning.add_argument("old", type=pathlib.Path)
    versioning.add_argument("new", type=pathlib.Path)
    versioning.add_argument(
        "--migrate-late",
        action="store_true",
        help="new gateways begin before the migration, which old processors do not work with",
    )
    for mode, clients in (restarting, 2_000), (versioning, 200):
        mode.add_argument("--clients", type=int, default=clients)
        mode.add_argument("--rate", type=float, default=2, help="changes a second")
        mode.add_argument("--every", type=float, default=30, help="seconds between two steps")
        mode.add_argument("--transport", default="ws")
        mode.add_argument("--swarm", type=pathlib.Path, help="the swarm, if it is not in BIN")
    arguments = parser.parse_args()
    if "CLINICWIRE_SERVERS_PORT" not in os.environ:
        sys.exit("rolling: needs servers: deploy/dev/servers run -- loadtests/rolling.py …")
    if not CADDY.exists():
        sys.exit(f"rolling: {CADDY} is missing: make {CADDY.relative_to(ROOT)}")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="clinicwire-rolling-"))
    clinic = Clinic(directory)
    try:
        held = {"restarts": restarts, "versions": versions}[arguments.mode](clinic, arguments)
    finally:
        clinic.stop_all()
    print("every promise held" if held else f"not everything held: see {directory}")
    sys.exit(not held)


if __name__ == "__main__":
    main()
