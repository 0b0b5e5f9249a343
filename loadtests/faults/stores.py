"""Rows of the fault matrix: Kafka, Redis and PostgreSQL that crash, vanish or cannot be reached."""

import json
import pathlib
import subprocess
import time

from clinic import get, log, sign, until
from traffic import Traffic, measured


def outage(traffic, begin, end, seconds, detect, recover):
    """Lets a fault last for some seconds, and measures the time until a caller or a health check
    noticed it, and the recovery since its end, which is when a server answers again."""
    since, signs = time.monotonic(), []
    begin()
    while time.monotonic() < since + seconds:
        if not signs and traffic.clinic.signs():
            signs.append(time.monotonic() - since)
        time.sleep(0.1)
    end()
    ended = time.monotonic()
    recover.append(traffic.recovered(ended))
    noticed = [time for time in (traffic.detected(since), *signs) if time is not None]
    detect.append(min(noticed, default=None))
    log(f"detected after {detect[-1]} s, recovered {recover[-1]:.1f} s after its end")


def kafka_down(run):
    """Row 5. Kills Kafka and starts it again much later."""
    clinic, seconds = run.clinic(), run.length(60, 300)
    traffic, detect, recover = Traffic(clinic, run.seed), [], []
    traffic.begin(seconds=seconds + 60)
    before, seen = clinic.rss_mib(), {}
    reader = sign("reception", locations=["fault-0"])

    def start():
        seen["read"], text = get(f"{clinic.urls[0]}/v1/queues/fault-0.general", reader, timeout=15)
        seen["code"] = json.loads(text or "{}").get("code", "the view")
        seen["connected"] = sum(clinic.metric(url, "clinicwire_connections") for url in clinic.urls)
        seen["grown"] = clinic.rss_mib() - before
        clinic.start_server("kafka")

    outage(traffic, lambda: clinic.kill_server("kafka"), start, seconds, detect, recover)
    note = (
        "at the end of the outage {connected:.0f} clients were connected, a read was answered "
        "by {read} ({code}), and memory had grown by {grown} MiB"
    )
    return measured(
        traffic.end(),
        f"{seconds} s",
        detect,
        recover,
        limit=30,
        note=note.format(**seen),
        held=seen["grown"] < 64 and seen["connected"] >= 100,
    )


def redis_lost(run):
    """Row 7. Empties Redis, restarts it empty, and replaces it by a replica that lacks writes."""
    clinic, waiting = run.clinic(proxied=True), run.length(2_000, 100_000)
    # A location takes 10,000 tickets.
    traffic, detect, recover = Traffic(clinic, run.seed, callers=12), [], []
    # Clients live to see the last copy, at some 500 views a second.
    traffic.begin(seconds=run.length(180, 1200), waiting=waiting)
    for lose in (
        lambda: clinic.redis("FLUSHALL"),
        lambda: restart_redis(clinic),
        lambda: fail_over(clinic),
    ):
        lose()
        at = time.monotonic()
        until("the loss is noticed", lambda: lacking(clinic))
        detect.append(time.monotonic() - at)
        until("views are copied", lambda: not lacking(clinic), 600)
        recover.append(max(time.monotonic() - at, traffic.recovered(at)))
        log(f"noticed after {detect[-1]:.1f} s, all views copied after {recover[-1]:.1f} s")
        time.sleep(5)
    note = (
        f"at the end there were {clinic.count('view')} views; the recovery is when the last "
        "one was copied"
    )
    return measured(traffic.end(), f"{waiting} tickets wait", detect, recover, limit=60, note=note)


def lacking(clinic):
    """How many views Redis may lack."""
    query = "select count(*) from clinicwire.view where dirty or suspect"
    return int(clinic.sql(query)[0][0])


def restart_redis(clinic):
    clinic.kill_server("redis")
    clinic.start_server("redis")


def fail_over(clinic):
    """Promotes a replica that was stopped while the primary went on."""
    port = clinic.port + 340
    text = pathlib.Path(clinic.servers, "redis.conf").read_text()
    lines = [line for line in text.splitlines() if not line.startswith(("port", "tls-"))]
    lines += [f"port {port}", f"replicaof 127.0.0.1 {clinic.port + 2}"]
    lines += [line.replace("requirepass", "masterauth") for line in lines if "requirepass" in line]
    (clinic.directory / "replica.conf").write_text("\n".join(lines) + "\n")
    clinic.start("replica", ["redis-server", clinic.directory / "replica.conf"])
    linked = "master_link_status:up"
    until("the replica follows", lambda: linked in clinic.redis("info", "replication", port=port))
    clinic.signal("replica", 19)
    # More than the buffers of the socket hold, so that the replica really lacks what follows.
    filler = "x" * 60_000
    for number in range(200):
        clinic.redis("setex", f"filler-{number}", "5", filler)
    time.sleep(5)
    clinic.kill_server("redis")
    clinic.signal("replica", 18)
    clinic.redis("replicaof", "no", "one", port=port)
    for name in ("processor-0", "processor-1", "gateway-0", "gateway-1"):
        clinic.toxi("POST", f"/proxies/{name}-redis", {"upstream": f"127.0.0.1:{port}"})
    # `verify` reads Redis without a proxy.
    variable = "CLINICWIRE_REDIS"
    clinic.environment[variable] = clinic.environment[variable].replace(
        str(clinic.port + 2), str(port)
    )


def postgres_crashes(run):
    """Row 8. Stops PostgreSQL at once, and cuts its connections while commits are answered."""
    clinic = run.clinic(proxied=True)
    crashes, cuts = run.length((3, 30), (10, 200))
    traffic, detect, recover = Traffic(clinic, run.seed), [], []
    traffic.begin(seconds=crashes * 25 + cuts * 2)
    for turn in range(crashes):
        how = ("-9", "-QUIT")[turn % 2]
        outage(
            traffic,
            lambda how=how: crash(clinic, how),
            lambda: clinic.start_server("postgres"),
            5,
            detect,
            recover,
        )
    unknown = clinic.logged("a call to the ledger failed")
    for _ in range(cuts):
        time.sleep(run.random.uniform(0.05, 0.5))
        with clinic.toxic("processor-.-postgres", "downstream", timeout=1):
            time.sleep(0.05)
        at = time.monotonic()
        recover.append(traffic.recovered(at))
    unknown = clinic.logged("a call to the ledger failed") - unknown
    note = f"{unknown} calls to PostgreSQL lost their answer by the {cuts} cuts"
    return measured(
        traffic.end(),
        f"{crashes} crashes of 5 s, {cuts} cuts",
        detect,
        recover,
        limit=30,
        note=note,
        held=None not in detect and unknown >= cuts,
    )


def crash(clinic, how):
    clinic.kill_server("postgres", how)
    until(
        "PostgreSQL has ended",
        lambda: (
            subprocess.run(
                ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(clinic.port + 3)], check=False
            ).returncode
        ),
    )
    if how != "-9":
        time.sleep(1)


CUTS = (
    ("gateway-.-redis", "upstream downstream"),
    ("processor-.-redis", "downstream"),
    ("processor-.-postgres", "upstream downstream"),
    ("processor-.-postgres", "upstream"),
    ("processor-0-postgres", "downstream"),
    ("processor-0-kafka", "upstream downstream"),
    ("processor-.-kafka", "downstream"),
    ("gateway-.-kafka", "upstream"),
    ("gateway-.-.*", "upstream downstream"),
)


def networks(run):
    """Row 9. Connections stay open and carry nothing, in one direction or both."""
    clinic, seconds = run.clinic(proxied=True, kafka_too=True), run.length(25, 120)
    traffic, detect, recover = Traffic(clinic, run.seed), [], []
    traffic.begin(seconds=len(CUTS) * (seconds + 10))
    before = clinic.rss_mib()
    for proxies, streams in CUTS:
        toxic = clinic.toxic(proxies, streams, timeout=0)
        log(f"{proxies} {streams}")
        outage(
            traffic,
            toxic.__enter__,
            lambda toxic=toxic: toxic.__exit__(None, None, None),
            seconds,
            detect,
            recover,
        )
    grown = clinic.rss_mib() - before
    note = (
        f"memory grew by {grown} MiB; gateways and processors to Kafka, Redis and PostgreSQL, both "
        "ways and one way"
    )
    held = grown < 64 and None not in detect and max(detect) < 15
    return measured(
        traffic.end(),
        f"{len(CUTS)} cuts of {seconds} s",
        detect,
        recover,
        limit=30,
        note=note,
        held=held,
    )
