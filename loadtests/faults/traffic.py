"""The load beside a fault: callers that remember every acknowledged command, clients of the swarm
that check every message, and the comparison of both with the journal."""

import collections
import http.client
import json
import math
import operator
import random
import subprocess
import threading
import time
import types
from concurrent import futures

from clinic import BIN, TENANT, log, sign, until

# Each caller has a location of its own; so many that most partitions have one.
CALLERS = 8
PAUSE_S = 0.1
ROLLBACKS = ("version_fell", "epoch_changed", "position_rose", "state_went_back")
GAPS = ("gap", "version_mismatch", "never_arrived", "wrong_view")
# A quarter of the clients uses each, with a queue of its own.
TRANSPORTS = ("ws", "ws-protobuf", "sse", "socketio")


class Caller(threading.Thread):
    """Issues a ticket and lets it leave, again and again. A command without an outcome is repeated
    under its key, at any node."""

    def __init__(self, urls, tenant, location, seed, pause=PAUSE_S):
        super().__init__(daemon=True)
        self.urls, self.tenant, self.location, self.pause = urls, tenant, location, pause
        self.random = random.Random(seed)
        rights = {"tenant": tenant, "sub": location, "locations": [location]}
        self.tokens = {role: sign(role, **rights) for role in ("admin", "reception")}
        # Of each acknowledged command: its version, when it was first sent and acknowledged.
        self.acked, self.refused, self.disturbed = {}, collections.Counter(), []
        # Commands that were refused because they were not decided in 30 s.
        self.expired = set()
        self.stopping = threading.Event()
        self.connections = {}

    def exchange(self, url, method, path, key=None, body=None, role="reception"):
        """Sends one request. The status is 0 when no answer came."""
        host = url.removeprefix("http://")
        headers = {"authorization": f"Bearer {self.tokens[role]}"}
        headers |= {"idempotency-key": key, "content-type": "application/json"} if key else {}
        try:
            if host not in self.connections:
                self.connections[host] = http.client.HTTPConnection(host, timeout=10)
            data = json.dumps(body or {}) if key else None
            self.connections[host].request(method, path, data, headers)
            answer = self.connections[host].getresponse()
            return answer.status, answer.read(), answer.headers
        except (OSError, http.client.HTTPException):
            if connection := self.connections.pop(host, None):
                connection.close()
            return 0, b"", {}

    def command(self, method, path, body=None, role="reception"):
        """Sends a command until it has an outcome, which is returned."""
        key, began, poll = f"{self.random.getrandbits(128):032x}", time.monotonic(), None
        while not self.stopping.is_set() or time.monotonic() < began + 90:
            url = self.random.choice(self.urls)
            asked = ("GET", poll, None) if poll else (method, path, key, body, role)
            status, text, headers = self.exchange(url, *asked)
            if status == 202:
                poll = headers["location"]
            elif 200 <= status < 300:
                outcome = json.loads(text)
                # A question about a refused command is answered by 200, with its code.
                if "version" in outcome:
                    self.acked[key] = (outcome["version"], began, time.monotonic())
                    return outcome
                if outcome.get("code") != "command_expired":
                    self.refused[f"{outcome.get('code')}"] += 1
                    return None
                self.expired.add(key)
                return self.command(method, path, body, role)
            elif status == 409 and b"command_expired" in text:
                self.expired.add(key)
                return self.command(method, path, body, role)
            elif status in (0, 404, 408, 429) or status >= 500:
                poll = None
            else:
                self.refused[f"{status} {json.loads(text).get('code')}"] += 1
                return None
            self.disturbed.append((time.monotonic(), status))
            time.sleep(0.1)
        self.refused["no outcome"] += 1
        return None

    def open(self, waiting):
        site = {"name": "Fault", "time_zone": "UTC", "languages": ["en"]}
        self.command("PUT", f"/v1/locations/{self.location}", site, "admin")
        queue = f"/v1/queues/{self.location}.general"
        self.command("PUT", queue, {"name": "General", "prefix": "F"}, "admin")
        self.command("POST", f"{queue}/open")
        for _ in range(waiting):
            self.command("POST", f"{queue}/tickets")

    def run(self):
        path = f"/v1/queues/{self.location}.general/tickets"
        while not self.stopping.is_set():
            if issued := self.command("POST", path):
                time.sleep(self.pause * 2 * self.random.random())
                self.command("POST", f"/v1/tickets/{issued['result']['ticket']}/leave")
            time.sleep(self.pause * 2 * self.random.random())


def open_location(urls, location):
    """Creates a location for clients of the swarm."""
    site = {"name": "Swarm", "time_zone": "UTC", "languages": ["en"]}
    Caller(urls, TENANT, location, 0).command("PUT", f"/v1/locations/{location}", site, "admin")


def swarm_command(urls, location, report):
    """The beginning of a command of the swarm, up to its scenario."""
    tokens = [sign(role, locations=[location]) for role in ("reception", "admin")]
    command = [BIN / "swarm", "--location", location, "--json", report]
    command += ["--token", tokens[0], "--admin-token", tokens[1]]
    command += [part for url in urls for part in ("--url", url)]
    return [*command, "--patience", 240]


class Traffic:
    """Callers and clients of one run."""

    def __init__(self, clinic, seed, callers=CALLERS, tenant=TENANT, pause=PAUSE_S, urls=None):
        # A swarm for each transport.
        self.clinic, self.swarms = clinic, {}
        # Recoveries that clients of the swarm did not live to see.
        self.early = 0
        self.urls = urls or clinic.urls
        names = [f"fault-{number}" for number in range(callers)]
        self.callers = [Caller(self.urls, tenant, n, f"{seed} {n}", pause) for n in names]

    def begin(self, seconds=0, clients=100, rate=2.0, waiting=0):
        """Starts the callers, and with `seconds` clients that follow a queue for that long. So many
        tickets are `waiting` from the start."""
        with futures.ThreadPoolExecutor(len(self.callers)) as pool:
            list(pool.map(lambda caller: caller.open(waiting // len(self.callers)), self.callers))
        for caller in self.callers:
            caller.start()
        if seconds:
            open_location(self.urls, "swarm")
            for transport in TRANSPORTS:
                share = [clients // len(TRANSPORTS), seconds * rate / len(TRANSPORTS)]
                self.swarms[transport] = self.start_swarm(transport, *map(round, share), seconds)
            until("clients are connected", lambda: self.connected() >= clients)
        time.sleep(2)

    def start_swarm(self, transport, clients, changes, seconds):
        """Clients that follow a queue, which changes at a constant pace for so many seconds."""
        command = swarm_command(self.urls, "swarm", self.report(transport))
        command += ["--command-deadline", 480, "fanout"]
        command += ["--transport", transport, "--listeners", clients]
        command += ["--changes", changes, "--rate", changes / seconds]
        with open(self.report(transport).with_suffix(".txt"), "wb") as output:
            return subprocess.Popen([str(part) for part in command], stderr=output)

    def report(self, transport):
        """The file for the report of a swarm. What it prints is beside it."""
        return self.clinic.directory / f"swarm-{transport}.json"

    def pause(self):
        """Lets every caller get its outcome and stop."""
        for caller in self.callers:
            if not caller.is_alive() and not caller.stopping.is_set():
                caller.refused["a caller ended by itself"] += 1
            caller.stopping.set()
        for caller in self.callers:
            caller.join()

    def resume(self):
        """Starts callers of the same locations; the commands of the earlier ones stay known."""
        new = [
            Caller(self.urls, c.tenant, c.location, f"{c.location} again", c.pause)
            for c in self.callers
            if not c.is_alive()
        ]
        self.callers += new
        for caller in new:
            caller.start()

    def running(self):
        return [caller for caller in self.callers if caller.is_alive()]

    def connected(self):
        ended = [name for name, swarm in self.swarms.items() if swarm.poll() is not None]
        if ended:
            raise RuntimeError(f"swarms ended early: {ended}")
        return sum(self.clinic.metric(url, "clinicwire_connections") for url in self.clinic.urls)

    def detected(self, since):
        """Seconds until a caller got no outcome at once, or None."""
        seen = [at for caller in self.callers for at, _ in list(caller.disturbed) if at > since]
        return min(seen) - since if seen else None

    def recovered(self, since, seconds=180, ready=True):
        """Seconds until every caller got an outcome of a command that it first sent after `since`,
        and every program was ready."""

        def first(caller):
            acked = list(caller.acked.values())[-2000:]
            return min((end for _, begun, end in acked if begun >= since), default=None)

        until("callers recover", lambda: all(first(c) for c in self.running()), seconds)
        if ready:
            until("programs are ready", self.clinic.is_ready, seconds)
        self.early += any(swarm.poll() is not None for swarm in self.swarms.values())
        ends = [first(caller) for caller in self.running()]
        return max(time.monotonic(), *ends) - since if ready else max(ends) - since

    def quantile(self, share, since=0, until=math.inf):
        """A quantile of the seconds that commands took."""
        times = [
            e - b for c in self.callers for _, b, e in list(c.acked.values()) if since < b < until
        ]
        return sorted(times)[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    def end(self):
        """Stops callers and clients, and compares what they saw with journal and read models."""
        self.pause()
        breaches, swarm = self.seen()
        figures = self.audit()
        figures["gaps"] += sum(breaches.pop(name, 0) for name in GAPS)
        figures["rollbacks"] = sum(breaches.pop(name, 0) for name in ROLLBACKS)
        for caller in self.callers:
            breaches.update(caller.refused)
        running = self.clinic.running.items()
        ended = {name: "ended" for name, program in running if program.poll() is not None}
        figures["other"] = dict(breaches) | ended
        if self.early:
            figures["other"]["recoveries after the end of the swarm"] = self.early
        figures["swarm"] = types.SimpleNamespace(**swarm)
        verified = self.verify()
        figures["verify"] = "equal" if verified.returncode == 0 else verified.stdout[-1500:]
        chain = self.clinic.run("audit", "verify")
        figures["audit"] = chain.stdout.splitlines()[-1] if chain.stdout else chain.stderr[-300:]
        if chain.returncode:
            figures["other"]["audit"] = figures["audit"]
        return figures

    def seen(self):
        """Breaches and figures of all clients. Counts are added up; of times, the slowest transport
        is told."""
        breaches, figures = collections.Counter(), {}
        for transport, swarm in self.swarms.items():
            swarm.wait(1200)
            if not self.report(transport).exists():
                raise RuntimeError(f"the swarm of {transport} has no report")
            document = json.loads(self.report(transport).read_text())
            breaches.update(document["breaches"])
            for name, value in document["figures"].items():
                join = max if name.endswith("_ms") else operator.add
                figures[name] = join(figures[name], value) if name in figures else value
        return breaches, figures

    def verify(self):
        """Compares journal, read models and Redis, once repairs of Redis have ended."""
        last = None

        def equal():
            nonlocal last
            last = self.clinic.run("verify")
            return last.returncode == 0 and " 0 views wait" in last.stdout

        try:
            until("journal, read models and Redis are equal", equal)
        except TimeoutError:
            log(f"verify: {last.stdout[-3000:]} {last.stderr[-500:]}")
            last.returncode = last.returncode or 1
        return last

    def audit(self):
        """Looks for every acknowledged command in the journal."""
        rows = self.clinic.sql(
            "select tenant, aggregate, coalesce(command, ''), kind, epoch, version "
            "from clinicwire.journal"
        )
        applied, versions = collections.defaultdict(list), collections.defaultdict(list)
        for tenant, aggregate, command, kind, epoch, version in rows:
            if kind == "applied":
                applied[tenant, aggregate, command].append(int(version))
            if version:
                versions[tenant, aggregate, epoch].append(int(version))
        acked = [
            (c.tenant, c.location, key, of[0]) for c in self.callers for key, of in c.acked.items()
        ]
        expired = sum(
            bool(applied[c.tenant, c.location, key]) for c in self.callers for key in c.expired
        )
        return {
            "acked": len(acked),
            # Not applied, or not at the version that was acknowledged.
            "lost": sum(version not in applied[tuple(command)] for *command, version in acked),
            "duplicated": sum(len(of) - 1 for of in applied.values() if of) + expired,
            "gaps": sum(max(v) - min(v) + 1 != len(v) for v in versions.values()),
            "applied": sum(map(len, applied.values())),
        }


def quantiles(times):
    times = sorted(time for time in times or [] if time is not None)
    if not times:
        return None
    at = {"p50": 0.5, "p99": 0.99, "max": 1}
    return {name: times[max(0, math.ceil(share * len(times)) - 1)] for name, share in at.items()}


def measured(figures, length, detect=None, recover=None, limit=None, note="", held=True):
    """The figures of a row. A recovery above `limit` seconds is told, and breaks no promise: other
    work on the machine may cause it."""
    swarm = vars(figures.pop("swarm", types.SimpleNamespace()))
    detect = quantiles(detect)
    recover = recover if isinstance(recover, dict) else quantiles(recover)
    whole = not any(figures[name] for name in ("lost", "duplicated", "gaps", "rollbacks", "other"))
    held = held and whole and figures["verify"] == "equal"
    if limit and recover and recover["p99"] > limit:
        note += f"; **the recovery is above its target of {limit} s**"
    names = ("deliveries", "connections_lost", "returned_by_delta", "returned_by_snapshot")
    figures["swarm"] = {name: swarm[name] for name in names if name in swarm}
    return figures | {
        "length": length,
        "detect": detect,
        "recover": recover,
        "note": note,
        "held": held,
    }
