"""Rows of the fault matrix: programs that are killed, stopped, replaced or flooded."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time

from clinic import BIN, ROOT, log, until
from rolling import MOST_SNAPSHOTS, WORDS
from traffic import Traffic, measured


def processors_killed(run):
    """Row 1. Kills one of two processors at random moments, then both of them between two steps
    of a batch: a server is stopped, so that the batch waits for it."""
    clinic = run.clinic(proxied=True)
    kills, each = run.length(20, 100), run.length(3, 25)
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=4 * kills + 40 * each)
    recover = []
    for _ in range(kills):
        time.sleep(run.random.uniform(0.2, 1.5))
        number, at = run.random.randrange(2), time.monotonic()
        clinic.kill(f"processor-{number}")
        clinic.start_processor(number)
        recover.append(traffic.recovered(at))
    for step in STEPS:
        for _ in range(each):
            at = killed_within(clinic, step)
            recover.append(traffic.recovered(at))
    length = f"{kills} kills at random, {each} each at {len(STEPS)} steps"
    return measured(traffic.end(), length, recover=recover, limit=10)


STEPS = ("before the commit", "before its answer", "before Redis", "inside the relay")


def killed_within(clinic, step):
    """Kills both processors in this step, and starts them again. Returns when."""
    waits = {
        # A stopped server has the statements, and applies them when it goes on.
        "before the commit": lambda: held(clinic, "postgres", None),
        "before its answer": lambda: cut(clinic, "processor-.-postgres", "journal"),
        "before Redis": lambda: cut(clinic, "processor-.-redis", "journal"),
        "inside the relay": lambda: held(clinic, "kafka", "outbox"),
    }
    return waits[step]()


def kill_both(clinic):
    for name in clinic.processors():
        clinic.kill(name)
    return time.monotonic()


def cut(clinic, proxy, table):
    """Kills while answers of a server do not arrive, once the table has further rows."""
    before = clinic.count(table)
    with clinic.toxic(proxy, "downstream", timeout=0):
        until("a batch is committed", lambda: clinic.count(table) > before)
        at = kill_both(clinic)
    for number in range(2):
        clinic.start_processor(number)
    return at


def held(clinic, server, table):
    """Kills while a server is stopped, once the table has rows."""
    while True:
        clinic.kill_server(server, "-STOP")
        time.sleep(0.3)
        if table is None or clinic.count(table):
            break
        clinic.kill_server(server, "-CONT")
        time.sleep(0.2)
    at = kill_both(clinic)
    clinic.kill_server(server, "-CONT")
    for number in range(2):
        clinic.start_processor(number)
    return at


def zombie(run):
    """Row 2. Stops a processor in the middle of batches until another one owns its partitions,
    then lets it go on."""
    clinic = run.clinic(proxied=True)
    rounds, seconds = run.length((2, 30), (3, 90))
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=rounds * (seconds + 15))
    detect, recover = [], []
    for turn in range(rounds):
        at = time.monotonic()
        name = f"processor-{turn % 2}"
        # Its statements reach PostgreSQL when another processor owns the partitions.
        with clinic.toxic(f"{name}-postgres", "upstream", "latency", latency=seconds * 1000):
            time.sleep(0.5)
            clinic.signal(name, signal.SIGSTOP)
            recover.append(traffic.recovered(at, ready=False))
            detect.append(traffic.detected(at))
        log(f"taken over after {recover[-1]:.1f} s")
        time.sleep(max(0, at + seconds - time.monotonic()))
        clinic.signal(name, signal.SIGCONT)
        traffic.recovered(time.monotonic())
    figures = traffic.end()
    # A statement that does not find its checkpoint divides by zero.
    fenced = pathlib.Path(clinic.servers, "postgres.log").read_text().count("division by zero")
    return measured(
        figures,
        f"{rounds} stops of {seconds} s",
        detect,
        recover,
        limit=15,
        note=f"PostgreSQL refused {fenced} batches of an old owner",
        held=fenced > 0,
    )


def gateways_killed(run):
    """Row 3. Kills one of two gateways behind Caddy; its clients come back by the other one."""
    clinic = run.clinic()
    clients = run.length(1_000, 5_000)
    clinic.start_proxy()
    through = [f"http://127.0.0.1:{clinic.proxy}"]
    traffic = Traffic(clinic, run.seed, urls=through)
    traffic.begin(seconds=90, clients=clients, rate=0.5)
    for number in range(2):
        clinic.kill(f"gateway-{number}")
        time.sleep(15)
        clinic.start_node(number)
        until("the gateway is ready", clinic.is_ready)
        time.sleep(5)
    figures = traffic.end()
    swarm = figures["swarm"]
    back = swarm.returned_by_delta + swarm.returned_by_snapshot
    share = swarm.returned_by_delta / max(1, back)
    note = f"{back:.0f} clients came back, {share:.1%} of them by delta"
    return measured(
        figures,
        f"{clients} clients, 2 kills",
        recover=returns(vars(swarm)),
        limit=15,
        note=note,
        held=back >= clients / 3 and share >= 0.95,
    )


def returns(figures):
    """The quantiles of the times of clients that came back."""
    return {n: figures[f"lost_to_returned_{n}_ms"] / 1e3 for n in ("p50", "p99", "max")}


# Changes a second, each of which `rolling.py` demands an outcome for.
RATE = 2


def rolling_deploys(run):
    """Row 20. Restarts gateways behind Caddy, and the processors, in turn."""
    minutes, every, clients = run.length((4, 30, 300), (60, 60, 2_000))
    command = [sys.executable, ROOT / "loadtests/rolling.py", "restarts", BIN]
    command += ["--minutes", minutes, "--every", every, "--clients", clients, "--rate", RATE]
    done = subprocess.run([str(p) for p in command], check=False, capture_output=True, text=True)
    log(done.stdout + done.stderr)
    rows = [line.rsplit(None, 1) for line in done.stdout.splitlines() if len(line.split()) == 2]
    found = {name: float(value.rstrip("%")) for name, value in rows if value[0].isdigit()}
    # The servers still run, and have the journal.
    figures = Traffic(run.clinic(begin=False), run.seed, callers=0).end()
    figures["acked"] = int(minutes * 60 * RATE)
    figures["lost"] = max(0, figures["acked"] - figures["applied"])
    by = [found.get(f"returned_by_{way}", 0) for way in ("delta", "snapshot")]
    note = f"{sum(by):.0f} clients came back, {by[1]:.0f} of them by snapshot"
    # A snapshot is a dear way back, and loses nothing.
    dear = by[1] > MOST_SNAPSHOTS * sum(by)
    if dear:
        note += "; **that is above its target of 0.1 %**"
    sound = found.get("breaches") == 0 and re.search(r"errors in logs +0\n", done.stdout)
    if done.returncode and not (dear and sound):
        figures["other"]["rolling.py"] = done.stdout[-500:]
    recover = returns(found)
    return measured(
        figures,
        f"{minutes} min, one each {every} s, {clients} clients",
        recover=recover,
        limit=15,
        note=note,
    )


def rebuilt(run):
    """Row 21. Rebuilds each location from its journal while all of them change, and kills every
    second rebuild somewhere on its way."""
    clinic, seconds = run.clinic(), run.length(30, 180)
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=2 * seconds)
    time.sleep(seconds)
    middle = time.monotonic()
    recover, versions, killed = [], 0, 0
    while time.monotonic() < middle + seconds:
        for caller in traffic.running():
            at = time.monotonic()
            rebuild = ["rebuild", "--tenant", "demo", "--location", caller.location]
            done = clinic.run(*rebuild, check=True)
            versions += int(re.search(r"version (\d+)\s*$", done.stdout)[1])
            recover.append(time.monotonic() - at)
            killed += not clinic.ends_within(run.random.uniform(0, recover[-1]), *rebuild)
    p99 = [traffic.quantile(0.99, until=middle), traffic.quantile(0.99, since=middle)]
    note = (
        f"{len(recover)} rebuilds of {versions} versions, and {killed} that were killed on their "
        f"way; p99 of commands {p99[0]:.2f} s before, {p99[1]:.2f} s meanwhile"
        f"{above(p99, 1.2)}; the recovery is the time of a rebuild"
    )
    return measured(traffic.end(), f"{seconds} s", recover=recover, note=note, held=killed > 0)


def above(p99, target):
    """What the note of a row says of commands that took longer beside other work. No promise is
    broken then, and other work on the machine may be the cause."""
    over = p99[1] > target * p99[0]
    return f", **above its target of {target} times**" if over else ""


# A quiet tenant sends about 4 commands a second, and the noisy one 200.
QUIET, NOISY = {"callers": 2, "pause": 0.4}, ["--at-once", "64", "--pause", "300"]


def noisy_tenant(run):
    """Row 22. One tenant sends fifty times the commands of another one, without limits."""
    clinic, seconds = run.clinic(), run.length(30, 180)
    traffic = Traffic(clinic, run.seed, tenant="quiet", **QUIET)
    traffic.begin(seconds=2 * seconds + 10)
    # The first commands find empty caches, and clients that still connect.
    time.sleep(10)
    begun = time.monotonic()
    time.sleep(seconds)
    middle, report = time.monotonic(), clinic.directory / "noisy.json"
    command = [BIN / "swarm", f"--insecure-development-key={WORDS}", "--json", report]
    command += [part for url in clinic.urls for part in ("--url", url)]
    command += ["commands", "--seconds", seconds, *NOISY]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    alone = traffic.quantile(0.99, since=begun, until=middle)
    p99 = [alone, traffic.quantile(0.99, since=middle)]
    rate = json.loads(report.read_text())["figures"]["commands_per_second"]
    own = sum(len(caller.acked) for caller in traffic.callers) / (2 * seconds)
    note = (
        f"the noisy tenant sent {rate:.0f} commands a second; p99 of the quiet one "
        f"{p99[0]:.3f} s alone, {p99[1]:.3f} s beside it{above(p99, 2)}"
    )
    length, held = f"{seconds} s alone, {seconds} s beside", rate >= 20 * own
    return measured(traffic.end(), length, note=note, held=held)


def workers_killed(run):
    """Row 24. Kills one of two processors, whose workers check claims files, again and again. Each
    file must be checked once to its end, and its list be what was planted."""
    clinic, files = run.clinic(CLINICWIRE_RUN_WORKERS="2"), run.length(40, 200)
    traffic, report = Traffic(clinic, run.seed), clinic.directory / "runs.json"
    seconds = run.length(120, 420)
    traffic.begin(seconds=seconds)
    # The last kill leaves time for the clients to come back.
    last = time.monotonic() + seconds - 30
    command = [BIN / "swarm", f"--insecure-development-key={WORDS}", "--json", report]
    command += [part for url in clinic.urls for part in ("--url", url)]
    command += ["--command-deadline", 480, "runs", "--rows", 50_000, "--tenants", 4]
    command += ["--runs", files, "--files", 2, "--seed", run.seed, "--within", 1800]
    with open(report.with_suffix(".txt"), "wb") as output:
        swarm = subprocess.Popen([str(part) for part in command], stderr=output)
    kills, recover = 0, []
    while swarm.poll() is None and time.monotonic() < last:
        time.sleep(run.random.uniform(1, 6))
        # A file whose third worker is lost is given up, as it should be.
        if clinic.sql("select run from clinicwire.run_work where tries > 2 limit 1"):
            continue
        number, at = run.random.randrange(2), time.monotonic()
        clinic.kill(f"processor-{number}")
        clinic.start_processor(number)
        kills += 1
        recover.append(traffic.recovered(at))
    swarm.wait()
    document = json.loads(report.read_text())
    again, figures = document["figures"]["attempts_made_again"], traffic.end()
    figures["other"] |= document["breaches"]
    note = f"{files} files of 50,000 rows; {again:.0f} attempts were made again by another worker"
    held = swarm.returncode == 0 and again > 0
    return measured(figures, f"{kills} kills", recover=recover, limit=10, note=note, held=held)
