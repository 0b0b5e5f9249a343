"""The programs of a fault run: two gateways and two processors on private servers, each of which
can be killed, stopped or put behind a proxy, and what they and their database say."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "loadtests"))
import rolling

BIN = pathlib.Path(os.environ.get("BIN", ROOT / "target/release")).resolve()
SERVERS = ROOT / "deploy/dev/servers"
TOXIPROXY = ROOT / "target/tools/bin/toxiproxy"
TENANT = "demo"
PROGRAMS = ("processor-0", "processor-1", "gateway-0", "gateway-1")
# A debug build on a machine that others use too takes this long to become ready.
PATIENCE_S = 120


def log(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def until(what, holds, seconds=PATIENCE_S):
    """Waits until a condition holds, and returns what it said."""
    deadline = time.monotonic() + seconds
    while not (said := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)
    return said


def get(url, token=None, method="GET", body=None, headers=None, timeout=5):
    """Status and text of an answer. The status is 0 when no answer came."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    if token:
        request.add_header("authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError, urllib.error.URLError):
        return 0, ""


def sign(role, tenant=TENANT, **claims):
    """A token of a week, signed with the development key as `DevelopmentIssuer` of crates/testing
    signs."""
    now = int(time.time())
    head = {"alg": "HS256", "kid": "insecure-development-key", "typ": "JWT"}
    body = {"iss": "clinicwire-development", "aud": "clinicwire", "sub": f"somebody-{role}"}
    body |= {
        "exp": now + 7 * 86_400,
        "nbf": now - 60,
        "iat": now - 60,
        "tenant": tenant,
        "role": role,
    }
    key = hashlib.sha256(hashlib.sha256(rolling.WORDS.encode()).digest() + b"token").digest()

    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    text = b".".join(encode(json.dumps(part).encode()) for part in (head, body | claims))
    return (text + b"." + encode(hmac.digest(key, text, "sha256"))).decode()


class Clinic(rolling.Clinic):
    """Two gateways and two processors. With `proxied`, Redis and PostgreSQL are behind a proxy for
    each program, such as `processor-0-redis`; with `kafka_too`, Kafka is as well."""

    def __init__(self, directory, proxied=False, kafka_too=False, **environment):
        super().__init__(directory)
        self.servers = os.environ["CLINICWIRE_SERVERS"]
        self.port = int(os.environ["CLINICWIRE_SERVERS_PORT"])
        self.health = [self.port + 310 + number for number in range(2)]
        self.api = f"http://127.0.0.1:{self.port + 320}"
        self.proxied, self.kafka_too = proxied, kafka_too
        self.environment |= {"CLINICWIRE_RUN_WORKERS": "0", "CLINICWIRE_DRAIN_DELAY": "0"}
        self.environment |= {"CLINICWIRE_DRAIN": "1"} | environment
        self.urls = [f"http://127.0.0.1:{node}" for node in self.nodes]

    def begin(self, processors=2, gateways=2):
        """Migrations and topics, then all programs."""
        if self.proxied:
            self.start_toxiproxy()
        if self.kafka_too:
            self.start_kafka_proxies()
        self.run("prepare", check=True)
        for number in range(processors):
            self.start_processor(number)
        for number in range(gateways):
            self.start_node(number)
        until("everything is ready", self.is_ready)

    # ---- programs

    def start_processor(self, number):
        more = {"CLINICWIRE_INSTANCE": f"faults-{number}"}
        more["CLINICWIRE_METRICS_LISTEN"] = f"127.0.0.1:{self.health[number]}"
        command = [BIN / "clinicwire-processors", "run"]
        self.start_with(f"processor-{number}", command, self.behind(f"processor-{number}") | more)

    def start_node(self, number):
        command = [BIN / "clinicwire-gateway", "run"]
        command += ["--listen", f"127.0.0.1:{self.nodes[number]}"]
        self.start_with(f"gateway-{number}", command, self.behind(f"gateway-{number}"))

    def start_with(self, name, command, more):
        ours, self.environment = self.environment, self.environment | more
        self.start(name, command)
        self.environment = ours

    def signal(self, name, number):
        self.running[name].send_signal(number)

    def kill(self, name):
        """Kills a program, as a crash would."""
        program = self.running.pop(name)
        program.kill()
        program.wait()

    def processors(self):
        return [name for name in self.running if name.startswith("processor")]

    def is_ready(self):
        return not self.unready()

    def unready(self):
        """The running programs that are not ready."""
        return [name for name, (status, _) in self.healths().items() if status != 200]

    def signs(self):
        """What tells an operator of a fault: programs whose health names a condition, such as a
        server that is down, and the alert about views that Redis lacks."""
        signs = [name for name, (_, text) in self.healths().items() if text.strip() != "ready"]
        with contextlib.suppress(RuntimeError):
            if self.processor_metric("clinicwire_processor_dirty_views"):
                signs.append("views are dirty")
        return signs

    def healths(self):
        addresses = {f"gateway-{n}": url for n, url in enumerate(self.urls)}
        addresses |= {f"processor-{n}": f"http://127.0.0.1:{p}" for n, p in enumerate(self.health)}
        running = {name: url for name, url in addresses.items() if name in self.running}
        return {name: get(f"{url}/health/ready", timeout=2) for name, url in running.items()}

    def run(self, *arguments, check=False, seconds=600, **more):
        """Runs a subcommand of the processors, and kills it after so many seconds."""
        command = [str(BIN / "clinicwire-processors"), *arguments]
        done = subprocess.run(
            command,
            check=False,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check and done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
        return done

    def ends_within(self, seconds, *arguments):
        """Runs a subcommand of the processors. Whether it ended before it was killed."""
        try:
            return self.run(*arguments, check=True, seconds=seconds) is not None
        except subprocess.TimeoutExpired:
            return False

    def metric(self, url, name):
        """The sum of a metric over its labels."""
        lines = get(f"{url}/metrics")[1].splitlines()
        if not lines:
            raise RuntimeError(f"{url} exports nothing")
        found = [line for line in lines if re.match(rf"{name}[ {{]", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def processor_metric(self, name):
        return sum(self.metric(f"http://127.0.0.1:{port}", name) for port in self.health)

    def rss_mib(self):
        """The largest resident memory of a program."""
        kib = []
        for name, program in self.running.items():
            if name.startswith(("gateway", "processor")):
                with contextlib.suppress(OSError, TypeError):
                    text = pathlib.Path(f"/proc/{program.pid}/status").read_text()
                    kib.append(int(re.search(r"VmRSS:\s+(\d+)", text)[1]))
        return max(kib, default=0) // 1024

    def logged(self, text):
        """How often the programs logged a text."""
        logs = self.directory.glob("*.log")
        return sum(file.read_text(errors="replace").count(text) for file in logs)

    # ---- servers

    def server(self, *arguments):
        done = subprocess.run(
            [SERVERS, *arguments], check=False, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise RuntimeError(f"servers {arguments}: {done.stderr[-3000:]}")

    def kill_server(self, name, signal_name="-9"):
        self.server("kill", self.servers, name, signal_name)

    def start_server(self, name):
        self.server("start-one", self.servers, name)

    def sql(self, text):
        """Rows of a query that sees every tenant."""
        url = self.environment["CLINICWIRE_POSTGRES"].replace("//clinicwire:", "//administrator:")
        command = ["psql", url, "-qAtX", "-F", "\t", "-c", text]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def count(self, table):
        return int(self.sql(f"select count(*) from clinicwire.{table}")[0][0])

    def redis(self, *arguments, port=None):
        secret = os.environ["CLINICWIRE_SERVERS_SECRET"]
        command = ["redis-cli", "-p", str(port or self.port + 2), *arguments]
        done = subprocess.run(
            command,
            check=False,
            env=os.environ | {"REDISCLI_AUTH": secret},
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    # ---- proxies

    def start_toxiproxy(self):
        self.start_with("toxiproxy", [TOXIPROXY, "-port", self.port + 320], {"LOG_LEVEL": "error"})
        until("toxiproxy listens", lambda: get(f"{self.api}/version")[0] == 200)
        listen = self.port + 330
        for program in PROGRAMS:
            for server, port in (("redis", self.port + 2), ("postgres", self.port + 3)):
                listen += 1
                self.proxy_to(f"{program}-{server}", listen, port)

    def proxy_to(self, name, listen, port):
        proxy = {"name": name, "listen": f"127.0.0.1:{listen}", "enabled": True}
        self.toxi("POST", "/proxies", proxy | {"upstream": f"127.0.0.1:{port}"})

    def start_kafka_proxies(self):
        """Puts Kafka behind a proxy for each program, such as `processor-0-kafka`: a client goes to
        the address that its broker advertises, so each program gets a listener of its own."""
        listeners, advertised, kinds = [], [], []
        for number, program in enumerate(PROGRAMS):
            name, port = f"PROXY{number}", self.port + 350 + number
            listen = port + len(PROGRAMS)
            self.proxy_to(f"{program}-kafka", listen, port)
            listeners.append(f"{name}://127.0.0.1:{port}")
            advertised.append(f"{name}://127.0.0.1:{listen}")
            kinds.append(f"{name}:PLAINTEXT")
        file = pathlib.Path(self.servers, "kafka.properties")
        text = file.read_text().replace("\\\n", "")
        own = re.search(r"^listeners=(.*),CONTROLLER", text, re.MULTILINE)[1]
        text = text.replace("\nlisteners=", f"\nlisteners={','.join(listeners)},")
        text = text.replace("protocol.map=", f"protocol.map={','.join(kinds)},")
        file.write_text(f"{text}advertised.listeners={own},{','.join(advertised)}\n")
        self.kill_server("kafka")
        self.start_server("kafka")

    def toxi(self, method, path, body=None):
        status, text = get(self.api + path, method=method, body=body)
        if not 200 <= status < 300:
            raise RuntimeError(f"toxiproxy: {method} {path}: {status} {text}")
        return json.loads(text) if text else None

    def behind(self, program):
        """The addresses of the servers for this program."""
        if not self.proxied:
            return {}
        proxies = self.toxi("GET", "/proxies")
        changed = {}
        for server in ("redis", "postgres", "kafka"):
            if proxy := proxies.get(f"{program}-{server}"):
                variable = f"CLINICWIRE_{server.upper()}"
                given = self.environment[variable]
                changed[variable] = re.sub(r"127\.0\.0\.1:\d+", proxy["listen"], given)
        return changed

    @contextlib.contextmanager
    def toxic(self, proxies, streams, kind="timeout", **attributes):
        """Disturbs the proxies whose names match, in the directions `upstream` and `downstream`.
        The toxic `timeout` lets no byte through; with 0 ms the connections stay open."""
        names = [name for name in self.toxi("GET", "/proxies") if re.fullmatch(proxies, name)]
        each = [(name, stream) for name in names for stream in streams.split()]
        for name, stream in each:
            toxic = {"name": stream, "type": kind, "stream": stream, "attributes": attributes}
            self.toxi("POST", f"/proxies/{name}/toxics", toxic)
        try:
            yield
        finally:
            for name, stream in each:
                self.toxi("DELETE", f"/proxies/{name}/toxics/{stream}")

    def end(self):
        for program in self.running.values():
            program.kill()
            program.wait()
