"""Row 10 of the fault matrix: full disks, as small tmpfs mounts. Needs root."""

import errno
import pathlib
import subprocess
import time

from clinic import log, until
from traffic import Traffic, measured

SIZE = "320m"


def move(run, clinic, server):
    """Moves the data of a server to a disk of its own, which is small. Returns its directory."""
    data = pathlib.Path(clinic.servers, server)
    clinic.server("kill", clinic.servers, server)
    kept = data.with_suffix(".kept")
    data.rename(kept)
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", data], check=True)
    run.cleanups.append(lambda: unmount(clinic, server, data))
    subprocess.run(["cp", "-a", f"{kept}/.", data], check=True)
    clinic.start_server(server)
    return data


def unmount(clinic, server, data):
    clinic.kill_server(server)
    subprocess.run(["umount", "--lazy", data], check=True)


def fill(data):
    """Writes a file until the disk is full."""
    with open(data / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def disks_full(run):
    """Row 10. Fills the disk of PostgreSQL, then that of Kafka, and frees them again."""
    clinic, seconds = run.clinic(begin=False), run.length(30, 120)
    disks = {server: move(run, clinic, server) for server in ("postgres", "kafka")}
    clinic.begin()
    traffic, detect, recover = Traffic(clinic, run.seed), [], []
    traffic.begin(seconds=2 * (seconds + 60))
    said = []
    for server, data in disks.items():
        at = time.monotonic()
        while traffic.detected(at) is None and time.monotonic() < at + seconds:
            fill(data)  # again, because the server frees and reuses files
            time.sleep(0.5)
        detect.append(traffic.detected(at))
        time.sleep(max(0, at + seconds - time.monotonic()))
        (data / "filler").unlink()
        freed = time.monotonic()
        gone = not is_running(clinic, server)
        if gone:
            clinic.start_server(server)
        recover.append(traffic.recovered(freed))
        said.append(f"{server} {'ended and was started' if gone else 'went on'}")
        log(f"{said[-1]}; detected {detect[-1]} s, recovered {recover[-1]:.1f} s")
    parked = clinic.count("parked")
    lag = "clinicwire_audit_lag_seconds"
    until("the audit is stored", lambda: not clinic.processor_metric(lag))
    note = f"{', '.join(said)} once space was back; {parked} records were parked"
    return measured(
        traffic.end(), f"{seconds} s each", detect, recover, limit=30, note=note, held=not parked
    )


def is_running(clinic, server):
    pid = pathlib.Path(clinic.servers, f"{server}.pid").read_text().split()[0]
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(") ", 1)[1][0] != "Z"
