"""Starts the one-process binary with one location, and a TCP proxy that can fail on command."""

import asyncio
import base64
import ctypes
import hashlib
import hmac
import json
import os
import signal
import tempfile
import time
import urllib.request
from pathlib import Path

# Far longer than anything takes, so that no test fails on a busy machine.
WITHIN = 20.0

BINARY = os.environ.get("CLINICWIRE_BIN") or Path(__file__).parents[3] / "target/debug/clinicwire"
# The tests sign tokens themselves, because they also need expired ones.
SECRET = "the edge tests' own secret"
PR_SET_PDEATHSIG = 1
SOCKET_PATH = "/connection/websocket"
QUEUE = "harbour.general"
ROOM = "harbour.room-1"


def _die_with_parent():
    """Makes the kernel kill the server when the test process ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def token(expires_in, **claims):
    """Signs a development token, by default of an admin, as `gateway::access::auth` defines it."""

    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    header = {"alg": "HS256", "typ": "JWT", "kid": "insecure-development-key"}
    body = {
        "iss": "clinicwire-development", "aud": "clinicwire", "sub": "test-admin",
        "iat": int(time.time()) - 60, "exp": time.time() + expires_in,
        "tenant": "demo", "role": "admin", **claims,
    }
    signed = b".".join(encode(json.dumps(part).encode()) for part in (header, body))
    key = hashlib.sha256(hashlib.sha256(SECRET.encode()).digest() + b"token").digest()
    mac = encode(hmac.new(key, signed, hashlib.sha256).digest())
    return b".".join((signed, mac)).decode()


def summary(view):
    """Sums up the state of a ticket, such as `waiting 2`, or of a line, such as `line of 3`."""
    if "entries" in view:
        return f"line of {len(view['entries']) - 1}"  # one entry is the queue itself
    if "from" in view:
        return "step"
    return f"{view['state']} {view['ahead']}" if "ahead" in view else view["state"]


class Clinic:
    """A running binary with one location."""

    def __init__(self, process, ready):
        self._process = process
        self.url = ready["url"]
        self.socket_url = self.url.replace("http", "ws") + SOCKET_PATH
        self.tokens = ready["tokens"]
        self.admin = ready["tokens"]["admin"]

    @classmethod
    async def start(cls, *flags, earlier=()):
        """Starts the binary with these flags too, waits until it serves, and creates a location,
        after the `earlier` ones."""
        with tempfile.TemporaryDirectory() as directory:
            ready, log = Path(directory, "ready.json"), Path(directory, "log")
            arguments = [
                "--empty", "--listen", "127.0.0.1:0", "--ready-file", str(ready),
                f"--insecure-development-key={SECRET}", *flags,
            ]
            with log.open("wb") as stderr:
                process = await asyncio.create_subprocess_exec(
                    str(BINARY), *arguments,
                    stdout=asyncio.subprocess.DEVNULL, stderr=stderr, preexec_fn=_die_with_parent,
                )
            deadline = time.monotonic() + WITHIN
            while not ready.exists():
                if process.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the clinic does not serve:\n{log.read_text()}")
                await asyncio.sleep(0.01)
            clinic = cls(process, json.loads(ready.read_text()))
        place = {"name": "Harbour Clinic", "time_zone": "America/Toronto", "languages": ["en"]}
        for location in (*earlier, "harbour"):
            await clinic.ask("PUT", f"locations/{location}", place)
        await clinic.ask("PUT", f"queues/{QUEUE}", {"name": "General medicine", "prefix": "A"})
        await clinic.ask("PUT", f"stations/{ROOM}", {"name": "Room 1"})
        await clinic.ask("POST", f"queues/{QUEUE}/open")
        return clinic

    async def stop(self, by=signal.SIGKILL):
        if self._process.returncode is None:
            self._process.send_signal(by)
        await self._process.wait()

    async def ask(self, method, path, body=None):
        """Sends a request and answers its result."""
        return (await self.answer(method, path, body)).get("result")

    async def answer(self, method, path, body=None, bearer=None):
        """Sends a request and answers the whole answer."""
        request = urllib.request.Request(
            f"{self.url}/v1/{path}", json.dumps(body or {}).encode(), method=method,
            headers={
                "authorization": f"Bearer {bearer or self.admin}",
                "content-type": "application/json", "clinicwire-reason": "A test of clients",
            },
        )

        def answer():
            with urllib.request.urlopen(request, timeout=WITHIN) as response:
                return json.load(response)

        return await asyncio.to_thread(answer)

    async def issue(self):
        """Issues a ticket and answers its id."""
        return (await self.ask("POST", f"queues/{QUEUE}/tickets"))["ticket"]

    async def revoke(self, **target):
        """Revokes tokens, such as `kind="subject", id="phone"`."""
        await self.answer("POST", "revocations", target)

    async def change_limits(self, limits):
        """Changes limits while the binary runs, as a super admin."""
        bearer = token(60, role="super_admin", sub="test-super-admin")
        await self.answer("PUT", "limits", {"limits": limits}, bearer)

    async def until_asked(self):
        """Waits until the server has received the first subscribe to a ticket."""
        line = 'clinicwire_subscriptions{kind="ticket"} 1\n'

        def metrics():
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=WITHIN) as response:
                return response.read().decode()

        while line not in await asyncio.to_thread(metrics):
            await asyncio.sleep(0.01)

    async def call(self, ticket):
        await self.ask("POST", f"tickets/{ticket}/call", {"station": ROOM, "force": True})

    async def order(self, ticket, action):
        await self.ask("POST", f"tickets/{ticket}/{action}")


class Proxy:
    """Passes TCP on to a server until it is cut."""

    def __init__(self, url):
        self.mend(url)
        self._open = set()

    @classmethod
    async def to(cls, url):
        proxy = cls(url)
        proxy._server = await asyncio.start_server(proxy._pass, "127.0.0.1", 0)
        return proxy

    @property
    def url(self):
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    @property
    def socket_url(self):
        return self.url.replace("http", "ws") + SOCKET_PATH

    def cut(self):
        """Aborts every connection, and each new one."""
        self._target = None
        for writer in self._open:
            writer.transport.abort()

    def mend(self, url):
        """Passes new connections on to a server, which may be another one."""
        self._target = url.removeprefix("http://").split(":")

    async def close(self):
        self.cut()
        self._server.close()

    async def _pass(self, near, near_writer):
        if self._target is None:
            near_writer.transport.abort()
            return
        try:
            far, far_writer = await asyncio.open_connection(*self._target)
        except ConnectionError:  # the server has ended
            near_writer.transport.abort()
            return
        ends = {near_writer, far_writer}
        self._open |= ends
        await asyncio.gather(self._copy(near, far_writer), self._copy(far, near_writer))
        self._open -= ends

    @staticmethod
    async def _copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the proxy was cut
        finally:
            writer.close()


class ClinicScenarios:
    """What the scenarios of each client need. A subclass is an `IsolatedAsyncioTestCase` too."""

    async def start(self, *flags, earlier=()):
        clinic = await Clinic.start(*flags, earlier=earlier)
        self.addAsyncCleanup(clinic.stop)
        return clinic

    async def proxy(self, clinic):
        proxy = await Proxy.to(clinic.url)
        self.addAsyncCleanup(proxy.close)
        return proxy
