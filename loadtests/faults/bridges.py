"""The row of the fault matrix about bridges, which read the topics of booking systems."""

import collections
import datetime
import json
import subprocess
import threading
import time

from clinic import BIN, TENANT, until
from kafka import producer, tool
from traffic import Traffic, measured

TOPIC, SOURCE = "booking.his", "his"
# Seconds between two records of the booking system, so that a bridge is busy when it is killed.
PAUSE_S = 0.005
# One of so many records cannot be read.
UNREADABLE = 100
# Of a hundred facts, so many are about a new appointment, and of the others so many cancel theirs.
NEW, CANCELLED = 30, 20


class BookingSystem(threading.Thread):
    """Appends whole facts about appointments to its own topic, and a few records that cannot be
    read."""

    def __init__(self, clinic, random, locations):
        super().__init__(daemon=True)
        self.clinic, self.random, self.locations = clinic, random, locations
        self.stopping = threading.Event()
        self.facts, self.unreadable, self.code = 0, 0, None
        # Appointments that may change, and the newest version and status of all.
        self.booked = collections.deque(maxlen=50)
        self.versions, self.status = collections.Counter(), {}

    def run(self):
        command = producer(self.clinic, TOPIC)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while not self.stopping.is_set():
            if self.random.randrange(UNREADABLE):
                line, self.facts = self.fact(self.facts), self.facts + 1
            else:
                line, self.unreadable = "NULL\tx\t{no fact", self.unreadable + 1
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            time.sleep(PAUSE_S)
        process.communicate()
        self.code = process.returncode

    def fact(self, number):
        if not self.booked or self.random.randrange(100) < NEW:
            key = f"key-{number}"
            self.booked.append(key)
        else:
            key = self.random.choice(self.booked)
        self.versions[key] += 1
        self.status[key] = "booked"
        if self.versions[key] > 1 and self.random.randrange(100) < CANCELLED:
            self.status[key] = "cancelled"
            self.booked.remove(key)
        days = datetime.timedelta(days=1, minutes=self.random.randrange(60 * 24 * 30))
        start = datetime.datetime.now(datetime.UTC) + days
        fact = {
            "location": self.locations[int(key[4:]) % len(self.locations)],
            "key": key,
            "version": self.versions[key],
            "status": self.status[key],
            "start": start.isoformat(timespec="seconds"),
            "end": (start + datetime.timedelta(minutes=20)).isoformat(timespec="seconds"),
        }
        return f"ce_id:booking-{number:07}\t{key}\t{json.dumps(fact)}"

    def end(self):
        """Waits until everything is appended."""
        self.stopping.set()
        self.join()
        if self.code != 0:
            raise RuntimeError("the booking system could not append its records")


def start_bridge(clinic, number):
    command = [BIN / "clinicwire-processors", "bridge", "--source-topic", TOPIC]
    command += ["--tenant", TENANT, "--source", SOURCE]
    command += ["--listen", f"127.0.0.1:{clinic.port + 350 + number}"]
    clinic.start(f"bridge-{number}", command)


def applied(clinic):
    """How many facts took effect."""
    facts = "kind = 'applied' and command like 'booking-%'"
    return int(
        clinic.sql(f"select count(distinct command) from clinicwire.journal where {facts}")[0][0]
    )


def bridges_killed(run):
    """Row 25. Kills one of two bridges again and again, and Kafka under both. Each fact must take
    effect once, the newest one of an appointment last, and what cannot be read must be parked."""
    clinic, kills = run.clinic(), run.length(8, 40)
    tool(clinic, "TopicCommand", "--create", "--topic", TOPIC, "--partitions", 6)
    traffic = Traffic(clinic, run.seed)
    traffic.begin(seconds=run.length(150, 700))
    for number in range(2):
        start_bridge(clinic, number)
    booking = BookingSystem(clinic, run.random, [c.location for c in traffic.callers])
    booking.start()
    recover = []
    for kill in range(kills):
        time.sleep(run.random.uniform(1, 4))
        sent, at, number = booking.facts, time.monotonic(), run.random.randrange(2)
        if kill % 8 == 7:
            clinic.kill_server("kafka")
            clinic.start_server("kafka")
        else:
            clinic.kill(f"bridge-{number}")
            start_bridge(clinic, number)
        until("facts take effect", lambda sent=sent: applied(clinic) >= sent)
        recover.append(time.monotonic() - at)
    booking.end()
    until("all facts take effect", lambda: applied(clinic) >= booking.facts)
    until("the rest is parked", lambda: clinic.count("parked") >= booking.unreadable)
    traffic.recovered(time.monotonic())
    return judged(clinic, traffic, booking, kills, recover)


def judged(clinic, traffic, booking, kills, recover):
    count = "select count(*) from clinicwire.journal where kind = 'repeated'"
    repeated = int(clinic.sql(f"{count} and command like 'booking-%'")[0][0])
    rows = "select source_key, status from clinicwire.appointment"
    found = {key: status for key, status in clinic.sql(rows)}
    wrong = sum(found.get(key) != status for key, status in booking.status.items())
    figures = traffic.end()
    figures["acked"] += booking.facts
    figures["lost"] += booking.facts - applied(clinic)
    if wrong:
        figures["other"]["appointments that are not as the last fact says"] = wrong
    note = (
        f"{booking.facts} facts about {len(booking.status)} appointments, {repeated} were passed "
        f"on again and had no second effect; {booking.unreadable} that cannot be read were parked, "
        f"{clinic.count('parked') - booking.unreadable} of them twice; the recovery is when all "
        f"facts sent before have taken effect"
    )
    length = f"{kills} kills, {kills // 8} of them of Kafka"
    held = repeated > 0
    return measured(figures, length, recover=recover, limit=30, note=note, held=held)
