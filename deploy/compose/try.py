"""Runs the compose file without a container engine, to prove it: try.py BIN [CADDY]. As root.

Each service gets a network namespace of its own, with the names of the others in its /etc/hosts,
and a root of its own (an overlay) with its secrets and volumes mounted as the file says. Its
program is the machine's, in place of the image's; environment and command are those of the file.
Needs the programs in BIN, Redis, PostgreSQL, the jars of Kafka (`deploy/dev/servers install`) and
Caddy. Prints what it saw: a frame through Caddy with TLS, and the same while a gateway stops.
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROUTER = "clinicwire-router"
LIMIT_S = 90


def run(command, **options):
    """Runs a command that must succeed."""
    return subprocess.run(shlex.split(command), check=True, **options)


def expand(value):
    """`${NAME:-default}` as compose reads it, from our environment."""
    return re.sub(
        r"\$\{(\w+):-([^}]*)\}", lambda match: os.environ.get(match[1]) or match[2], str(value)
    )


class Network:
    """A star of namespaces around a router, which needs no bridge."""

    def __init__(self, names):
        self.address = {name: f"172.30.77.{10 + at}" for at, name in enumerate(names)}
        run(f"ip netns add {ROUTER}")
        run(f"ip netns exec {ROUTER} sysctl -q -w net.ipv4.ip_forward=1")
        for name, address in self.address.items():
            space, link = f"clinicwire-{name}", f"v{address.rsplit('.', 1)[1]}"
            run(f"ip netns add {space}")
            run(f"ip link add {link} netns {ROUTER} type veth peer name eth0 netns {space}")
            for where, commands in {
                ROUTER: [
                    f"addr add 172.30.77.1/32 dev {link}",
                    f"link set {link} up",
                    f"route add {address}/32 dev {link}",
                ],
                space: [
                    "link set lo up",
                    f"addr add {address}/32 dev eth0",
                    "link set eth0 up",
                    "route add 172.30.77.1 dev eth0 scope link",
                    "route add default via 172.30.77.1",
                ],
            }.items():
                for command in commands:
                    run(f"ip -n {where} {command}")

    def hosts(self):
        """The lines of /etc/hosts."""
        lines = [f"{address} {name}" for name, address in self.address.items()]
        return "\n".join(["127.0.0.1 localhost", *lines, ""])

    def remove(self):
        """Deletes all namespaces."""
        for name in [ROUTER, *(f"clinicwire-{name}" for name in self.address)]:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


class Trial:
    """The services that run."""

    def __init__(self, work, bin_directory, caddy):
        self.work, self.bin, self.caddy = work, bin_directory, caddy
        self.file = yaml.safe_load((HERE / "compose.yaml").read_text())
        self.services = self.file["services"]
        self.network = Network(self.services)
        self.running = {}

    def mounts(self, service):
        """Pairs of what is mounted and where."""
        for secret in service.get("secrets", []):
            source = HERE / self.file["secrets"][secret]["file"]
            yield source, f"/run/secrets/{secret}"
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            path = HERE / source if source.startswith(".") else self.work / "volumes" / source
            if not path.exists():
                path.mkdir(parents=True)
                path.chmod(0o777)
            yield path, target

    def start(self, name, command=None, user=None):
        """Starts a service, or `command` in its place. Returns the process."""
        service = self.services[name]
        overlay = self.work / "roots" / f"{name}-{time.monotonic_ns()}"
        for part in ("upper", "work", "root"):
            (overlay / part).mkdir(parents=True)
        hosts = self.work / "hosts"
        hosts.write_text(self.network.hosts())
        root = overlay / "root"
        lines = [
            "set -e",
            f"o=lowerdir=/,upperdir={overlay}/upper,workdir={overlay}/work",
            f"mount -t overlay overlay -o $o {root}",
            f"mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev",
        ]
        for source, target in [*self.mounts(service), (hosts, "/etc/hosts")]:
            if source.is_dir():
                lines.append(f"mkdir -p {root}{target}")
            else:
                directory = f"{root}{os.path.dirname(target)}"
                lines.append(f"mkdir -p {directory}; chmod 755 {directory}; touch {root}{target}")
            lines.append(f"mount --bind {source} {root}{target}")
        identity = f"--userspec={user}" if user else ""
        lines.append(f"exec chroot {identity} {root} {command or self.command(name)}")
        environment = {"PATH": os.environ["PATH"], "HOME": "/root"}
        for key, value in service.get("environment", {}).items():
            environment[key] = expand(value)
        inside = ["ip", "netns", "exec", f"clinicwire-{name}", "unshare", "--mount"]
        with open(self.work / f"{name}.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*inside, "sh", "-c", "\n".join(lines)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[name] = process
        return process

    def finish(self, name, command=None, user=None):
        """Runs a step of a service that must succeed."""
        if self.start(name, command, user).wait():
            self.fail(f"a step of {name} failed")

    def fail(self, what):
        """Ends the trial with the ends of all logs."""
        for log in sorted(self.work.glob("*.log")):
            print(f"--- {log.name}", *log.read_text().splitlines()[-8:], sep="\n")
        sys.exit(what)

    def command(self, name):
        """The machine's program in place of the image's, with the command of the file."""
        command = self.services[name].get("command", "")
        if name.startswith("gateway"):
            # What the image sets.
            listen = "CLINICWIRE_LISTEN=0.0.0.0:8080 CLINICWIRE_PRIVATE_LISTEN=0.0.0.0:9100"
            return f"env {listen} {self.bin}/clinicwire-gateway {command or 'run'}"
        if name in ("prepare", "processors"):
            listen = "CLINICWIRE_METRICS_LISTEN=0.0.0.0:9101"
            return f"env {listen} {self.bin}/clinicwire-processors {command}"
        if name == "caddy":
            return f"{self.caddy} run --config /etc/caddy/Caddyfile"
        return command

    def inside(self, name, command):
        """Runs a command in the network of a service."""
        prefix = ["ip", "netns", "exec", f"clinicwire-{name}"]
        return subprocess.run([*prefix, *command], check=False, capture_output=True, text=True)

    def await_port(self, name, port):
        """Waits until a service listens."""
        address = self.network.address[name]
        test = ["bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]

        def listens():
            if self.running[name].poll() is not None:
                self.fail(f"{name} has ended")
            return self.inside(name, test).returncode == 0

        self.await_true(f"{name}:{port}", listens)

    def await_true(self, what, test):
        """Waits until a test holds."""
        deadline = time.monotonic() + LIMIT_S
        while not test():
            if time.monotonic() > deadline:
                self.fail(f"not within {LIMIT_S} s: {what}")
            time.sleep(0.1)

    def start_kafka(self):
        """As the image does: properties from the environment, a format, and the broker."""
        settings = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): value
            for key, value in self.services["kafka"]["environment"].items()
        }
        properties = self.work / "kafka.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        java = f"java -Xmx384m -cp '{ROOT}/target/kafka/*'"
        step = f"{java} kafka.tools.StorageTool format --cluster-id Y2xpbmljd2lyZS1kZXYtMQ"
        self.finish("kafka", f"{step} --config {properties}")
        self.start("kafka", f"{java} kafka.Kafka {properties}")

    def start_postgres(self):
        """As the image does: a new cluster, the scripts of its directory, then the server."""
        programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        data = self.services["postgres"]["volumes"][0].split(":")[1]
        script = self.work / "postgres.sh"
        script.write_text(
            f"""set -e
            PATH={programs}:$PATH
            cd /
            initdb -D {data} -U postgres -A trust
            pg_ctl -w -D {data} -o "-k /tmp -h ''" start
            for file in /docker-entrypoint-initdb.d/*.sql; do
              psql -q -h /tmp -U postgres -f "$file"
            done
            pg_ctl -w -D {data} stop
            echo host all all all scram-sha-256 >{data}/pg_hba.conf
            """
        )
        account = "setpriv --reuid postgres --regid postgres --init-groups"
        steps = f"chown postgres {data} && exec {account} sh {script}"
        self.finish("postgres", f"sh -c '{steps}'")
        options = self.services["postgres"]["command"].removeprefix("postgres ")
        server = f"{programs}/postgres -D {data} -k /tmp -h 0.0.0.0 {options}"
        self.start("postgres", f"{account} {server}")

    def start_all(self):
        """In the order of `depends_on`."""
        self.start_kafka()
        self.start_postgres()
        self.start("redis", user="999:1000")
        for name, port in {"kafka": 9092, "postgres": 5432, "redis": 6379}.items():
            self.await_port(name, port)
        self.finish("prepare", user="65532:65532")
        for name in ("processors", "gateway-1", "gateway-2"):
            self.start(name, user="65532:65532")
        for name in ("gateway-1", "gateway-2"):
            self.await_port(name, 8080)
        self.start("caddy")
        self.await_port("caddy", 443)
        print("all services run, each in its own network and root")

    def curl(self, path, *options):
        """A request to Caddy, as a browser at localhost sends it."""
        base = ["curl", "-sk", "--max-time", "10", f"https://localhost{path}"]
        return self.inside("caddy", [*base, *options]).stdout

    def stop(self):
        """Ends everything that was started."""
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self.network.remove()


def use(trial):
    """A person in line, and the board: through Caddy, with both gateways and with one."""
    issuer = HERE / "secrets" / "issuer"
    signed = run(f"{ROOT}/deploy/local-issuer token {issuer} admin", capture_output=True, text=True)
    token = signed.stdout.strip()
    headers = ["-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json"]

    def send(method, path, body):
        answer = trial.curl(path, "-X", method, "-d", json.dumps(body), *headers)
        try:
            return json.loads(answer)
        except ValueError:
            trial.fail(f"{method} {path}: {answer!r}")

    trial.await_true("a ready gateway", lambda: trial.curl("/health/ready").startswith("ready"))
    site = {"name": "Harbour", "time_zone": "America/Toronto", "languages": ["fr"]}
    send("PUT", "/v1/locations/harbour", site)
    send("PUT", "/v1/queues/harbour.general", {"name": "General", "prefix": "A"})
    send("POST", "/v1/queues/harbour.general/open", {})

    def frame():
        once = send("POST", "/v1/stream-tickets", {"channels": ["board:harbour"]})["ticket"]
        path = f"/v1/stream?channel=board:harbour&ticket={once}"
        return "event: snapshot" in trial.curl(path, "--max-time", "2")

    issued = send("POST", "/v1/queues/harbour.general/tickets", {})
    if issued.get("outcome") != "applied" or not frame():
        trial.fail(f"no ticket or no frame: {issued}")
    print("a ticket is issued, and a board is sent through Caddy with TLS")
    os.killpg(trial.running["gateway-1"].pid, signal.SIGTERM)
    count = 0
    while trial.running["gateway-1"].poll() is None or count < 10:
        issued = send("POST", "/v1/queues/harbour.general/tickets", {})
        if issued.get("outcome") != "applied":
            trial.fail(f"while a gateway stops: {issued}")
        count += 1
        time.sleep(0.2)
    if not frame():
        trial.fail("no frame by the other gateway")
    print(f"{count} commands while a gateway stopped: all applied")


def main():
    """Starts, uses and stops everything."""
    bin_directory = pathlib.Path(sys.argv[1]).resolve()
    caddy = sys.argv[2] if len(sys.argv) > 2 else "caddy"
    run(str(HERE / "init"), stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="clinicwire-compose.") as work:
        os.chmod(work, 0o755)
        trial = Trial(pathlib.Path(work), bin_directory, caddy)
        try:
            trial.start_all()
            use(trial)
        finally:
            trial.stop()


main()
