"""Rows of the fault matrix about Kafka's records: three brokers, a topic that is created again,
and records that are repeated, reordered, late or unreadable. Uses Kafka's own tools."""

import collections
import contextlib
import json
import pathlib
import re
import subprocess
import threading
import time

from clinic import ROOT, get, log, sign, until
from traffic import Traffic, measured

JARS = ROOT / "target/kafka"
TOOLS = ROOT / "target/tools/kafka/jars"
CARE = "clinicwire.care.v1"
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"


def command(jars, main, *arguments):
    java = ["java", "-XX:TieredStopAtLevel=1", QUIET, "-cp", f"{jars}/*", main]
    return [*java, *map(str, arguments)]


def tool_command(clinic, name, *arguments):
    server = ["--bootstrap-server", clinic.environment["CLINICWIRE_KAFKA"]]
    return command(TOOLS, f"org.apache.kafka.tools.{name}", *server, *arguments)


def tool(clinic, name, *arguments, **options):
    """Runs a tool of Kafka, such as `TopicCommand`."""
    tool = tool_command(clinic, name, *arguments)
    done = subprocess.run(tool, check=False, capture_output=True, **options)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.decode()[-2000:]}")
    return done.stdout.decode(errors="replace")


class Brokers:
    """Three brokers, made from the settings of the one that the servers have."""

    def __init__(self, clinic):
        self.clinic, first = clinic, clinic.port + 400
        self.ports = [first, first + 2, first + 4]
        voters = ",".join(f"{n + 1}@127.0.0.1:{p + 1}" for n, p in enumerate(self.ports))
        given = pathlib.Path(clinic.servers, "kafka.properties").read_text()
        given = re.sub(r"\\\n", "", given)
        self.files = []
        for number, port in enumerate(self.ports, 1):
            data = clinic.directory / f"broker-{number}"
            changed = {
                "node.id": number,
                "controller.quorum.voters": voters,
                "log.dirs": data,
                "listeners": f"BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}",
                "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "offsets.topic.replication.factor": 3,
                "unclean.leader.election.enable": "false",
                "transaction.state.log.replication.factor": 3,
                "transaction.state.log.min.isr": 2,
            }
            kept = [
                line
                for line in given.splitlines()
                if line.split("=")[0] not in changed and "secure" not in line
            ]
            file = clinic.directory / f"broker-{number}.properties"
            file.write_text("\n".join([*kept, *(f"{k}={v}" for k, v in changed.items())]) + "\n")
            form = ["format", "--cluster-id", "Y2xpbmljd2lyZS1kZXYtMQ", "--config", file]
            storage = command(JARS, "kafka.tools.StorageTool", *form)
            done = subprocess.run(storage, check=False, capture_output=True)
            if done.returncode:
                raise RuntimeError(done.stderr.decode())
            self.files.append(file)
        addresses = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        clinic.environment["CLINICWIRE_KAFKA"] = addresses
        clinic.environment["CLINICWIRE_REPLICATION_FACTOR"] = "3"
        clinic.environment["CLINICWIRE_MIN_INSYNC_REPLICAS"] = "2"
        for number in range(3):
            self.start(number)
        until("the brokers answer", lambda: self.topics("--list") is not None)

    def topics(self, *arguments):
        with contextlib.suppress(RuntimeError):
            return tool(self.clinic, "TopicCommand", *arguments)

    def start(self, number):
        self.clinic.start(
            f"broker-{number}",
            [
                "java",
                "-Xms128m",
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-cp",
                f"{JARS}/*",
                "kafka.Kafka",
                self.files[number],
            ],
        )

    def whole(self):
        """Whether each partition has all of its replicas."""
        return self.topics("--describe", "--under-replicated-partitions") == ""


def broker_killed(run):
    """Row 4. Kills one of three brokers, each in turn: leaders of partitions, of the controllers
    and the coordinator of the group change."""
    clinic = run.clinic(begin=False)
    clinic.kill_server("kafka")
    brokers = Brokers(clinic)
    clinic.begin()
    rounds, seconds = run.length(3, 9), 15
    traffic, detect, recover = Traffic(clinic, run.seed), [], []
    traffic.begin(seconds=rounds * 60)
    for turn in range(rounds):
        number, at = turn % 3, time.monotonic()
        clinic.kill(f"broker-{number}")
        recover.append(traffic.recovered(at, ready=False))
        detect.append(traffic.detected(at))
        log(f"broker {number}: recovered after {recover[-1]:.1f} s")
        time.sleep(max(0, at + seconds - time.monotonic()))
        brokers.start(number)
        until("all replicas are in sync", brokers.whole)
    note = "min.insync.replicas 2, acks all; one of them was the active controller"
    return measured(traffic.end(), f"{rounds} kills", detect, recover, limit=15, note=note)


def topic_recreated(run):
    """Row 6. Deletes `care` and creates it again while processors run, then accepts it."""
    clinic = run.clinic()
    traffic, detect = Traffic(clinic, run.seed), []
    # Clients go on: a change that is too late once the topic is accepted is sent again.
    traffic.begin(seconds=run.length(60, 120))
    time.sleep(10)
    traffic.pause()
    before = kinds(clinic)
    at = time.monotonic()
    tool(clinic, "TopicCommand", "--delete", "--topic", CARE)
    gone = lambda: CARE not in tool(clinic, "TopicCommand", "--list").split()
    until("the topic is deleted", gone)
    tool(
        clinic,
        "TopicCommand",
        "--create",
        "--topic",
        CARE,
        "--partitions",
        "12",
        "--config",
        "message.timestamp.type=LogAppendTime",
    )
    created = time.monotonic()
    # A process that holds its partitions compares them at the next claim.
    until("the alarm", lambda: clinic.processor_metric("clinicwire_processor_topic_replaced"))
    detect.append(time.monotonic() - created)
    status, _ = get(
        f"{clinic.urls[0]}/v1/queues/fault-0.general/tickets",
        sign("reception", locations=["fault-0"]),
        "POST",
        {},
        {"idempotency-key": "x"},
        timeout=15,
    )
    held = kinds(clinic) == before and clinic.unready()
    accepted = time.monotonic()
    clinic.run("topic", "accept", "--all", check=True)
    traffic.resume()
    recover = [traffic.recovered(accepted)]
    log(f"created after {created - at:.1f} s, alarm {detect[0]:.1f} s later")
    note = (
        f"while stopped a command is answered by {status}, and nothing is applied; "
        "`topic accept --all` lets it go on"
    )
    return measured(
        traffic.end(),
        "1 topic of 12 partitions",
        detect,
        recover,
        limit=30,
        note=note,
        held=bool(held),
    )


def records(clinic):
    """All records of `care` with their headers, as lines that `produce` takes."""
    form = ["print.headers=true", "print.key=true", "headers.separator=;;", "null.literal=NULL"]
    form = [part for one in form for part in ("--formatter-property", one)]
    count = clinic.sql(f"select count(*) from clinicwire.journal where topic = '{CARE}'")[0][0]
    text = tool(
        clinic,
        "consumer.ConsoleConsumer",
        "--topic",
        CARE,
        "--from-beginning",
        "--max-messages",
        count,
        "--timeout-ms",
        60_000,
        *form,
    )
    return [line for line in text.splitlines() if line.count("\t") >= 2]


def producer(clinic, topic=CARE):
    """The command that appends the records of its input, lines of headers, key and value, however
    long Kafka is away."""
    form = ["parse.headers=true", "parse.key=true", "headers.separator=;;", "null.marker=NULL"]
    form = [part for one in form for part in ("--reader-property", one)]
    # Without the timeout, records would wait a second for others.
    patience = ["--message-send-max-retries", 1000, "--timeout", 1]
    return tool_command(clinic, "ConsoleProducer", "--topic", topic, *patience, *form)


def produce(clinic, lines):
    """Appends records to `care`."""
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run(producer(clinic), check=True, capture_output=True, input=text.encode())


def kinds(clinic):
    """How many records of callers were applied, refused, repeated and parked."""
    own = "where aggregate like '%fault-%' group by kind"
    rows = clinic.sql(f"select kind, count(*) from clinicwire.journal {own}")
    return collections.Counter({kind: int(count) for kind, count in rows})


def settled(clinic):
    """Whether every record of `care` is committed."""
    return clinic.run("topic", "check").returncode == 0 and not clinic.processor_metric(
        "clinicwire_processor_lag_seconds"
    )


def repeated_records(run):
    """Row 12. Two producers append every record of the topic again, twice, in another order; then
    once more after the outcomes of commands have been deleted for their age."""
    clinic = run.clinic()
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=run.length(60, 400))
    time.sleep(run.length(15, 120))
    # Those of the callers, who pause meanwhile; the clients' queue goes on changing.
    given = [line for line in records(clinic) if "fault-" in line.split("\t")[1]]
    again, late = given * 2, list(given)
    run.random.shuffle(again)
    run.random.shuffle(late)
    before = kinds(clinic)
    halves = [threading.Thread(target=produce, args=(clinic, again[n::2])) for n in range(2)]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    traffic.recovered(time.monotonic())
    traffic.pause()
    until("all is processed", lambda: settled(clinic))
    repeated = kinds(clinic)["repeated"] - before["repeated"]
    before = kinds(clinic)
    # Commands are valid for 30 s. What the processors forget after 48 hours is forgotten now.
    time.sleep(31)
    clinic.sql("delete from clinicwire.outcome")
    produce(clinic, late)
    until("all is processed", lambda: settled(clinic))
    forgotten = kinds(clinic) - before
    figures = traffic.end()
    note = (
        f"{len(again)} repeated records and {len(late)} when their keys are forgotten; "
        f"{repeated} were answered by their first outcome, and the late ones were "
        f"{', '.join(f'{kind} ({count})' for kind, count in sorted(forgotten.items()))}"
    )
    return measured(
        figures,
        f"{len(given)} records",
        note=note,
        held=repeated >= len(again) * 0.9 and sum(forgotten.values()) >= len(late),
    )


def unreadable(good, name):
    """Records that cannot be read, made from a good one, with a planted name of a patient."""
    headers, key, value = good.split("\t")
    return {
        "bad JSON": f"{headers}\t{key}\t{{{name}",
        "wrong schema": f"{headers}\t{key}\t" + json.dumps({"x": name}),
        "no headers": f"NULL\t{key}\t{value}",
        "null key": f"{headers}\tNULL\t{value}",
        "tombstone": f"{headers}\t{key}\tNULL",
    }


def poison(run):
    """Row 13. Appends records that cannot be read, a few among good ones, then only such."""
    name, reader = "Zebulonqx", sign("reception", locations=["fault-0"])
    clinic = run.clinic(CLINICWIRE_PARKED_LIMIT="100")
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=60)
    bad = unreadable(records(clinic)[-1], name)
    # Fewer than the limit, also when no good record comes between them.
    few = [line for line in bad.values() for _ in range(run.length(4, 18))]
    run.random.shuffle(few)
    produce(clinic, few)
    traffic.recovered(time.monotonic())
    until("poison is parked", lambda: clinic.count("parked") >= len(few))
    parked = clinic.count("parked")
    produce(clinic, [bad["bad JSON"]] * 300)
    at = time.monotonic()
    until("a partition stops", lambda: "stopped" in json.dumps(clinic.healths()))
    detect, restarted = time.monotonic() - at, time.monotonic()
    while clinic.unready():
        for process in clinic.processors():
            clinic.stop(process)
            clinic.start_processor(int(process[-1]))
        time.sleep(5)
    recover = traffic.recovered(restarted)
    path = f"{clinic.urls[0]}/v1/queues/fault-0.general/tickets"
    large, _ = get(path, reader, "POST", {"x": "x" * (1 << 20)})
    figures = traffic.end()
    leaked = clinic.logged(name)
    note = (
        f"{parked} of {len(few)} records of {len(bad)} kinds were parked one by one, the "
        f"planted name is {leaked} times in the logs; 300 in a row stopped their partition, "
        f"and restarts took it past them; 1 MiB by HTTP is answered by {large}"
    )
    return measured(
        figures,
        f"{len(few)} and 300 records",
        [detect],
        [recover],
        note=note,
        held=parked >= len(few) and not leaked,
    )
