"""Follows a clinic with the published Socket.IO client, on each of its transports."""

import asyncio
import signal
import unittest

import socketio

from clinic import QUEUE, WITHIN, ClinicScenarios, summary, token

CHANNEL = f"queue:{QUEUE}"
BOARD = "board:harbour"
HOUR = 3600


def fold(view, event):
    """Applies an event to the view of its channel. Answers `None` if a step is missing."""
    data = event["data"]
    if event["type"] == "delta":
        if not view or (event["epoch"], data["from"]) != (view["epoch"], view["version"]):
            return None
        entries = view["data"]["entries"] | data.get("set", {})
        gone = data.get("remove", ())
        data = {"entries": {key: entry for key, entry in entries.items() if key not in gone}}
    return {"epoch": event["epoch"], "version": event["version"], "data": data}


class App:
    """The published client, and everything that it received."""

    def __init__(self, bearer=None, *channels):
        self.bearer = bearer
        self.views = dict.fromkeys(channels)
        self.connections = 0
        self.events, self.closes, self.losses, self.refusals = (asyncio.Queue() for _ in range(4))
        # Tests reconnect often, so the usual pauses would only slow them down.
        self.socket = socketio.AsyncClient(
            reconnection_delay=0.01, reconnection_delay_max=0.1, randomization_factor=0,
        )
        self.socket.on("connect", self._count)
        self.socket.on("disconnect", self.losses.put_nowait)
        self.socket.on("connect_error", self.refusals.put_nowait)
        self.socket.on("close", self.closes.put_nowait)
        for kind in ("ticket", "queue", "board"):
            self.socket.on(kind, self._take)

    def _count(self):
        self.connections += 1

    def _take(self, event):
        view = fold(self.views.get(event["channel"]), event)
        self.views[event["channel"]] = view
        what = f"{event['type']}: {summary(view['data'])}" if view else "a step is missing"
        self.events.put_nowait(what)

    def auth(self):
        """The handshake of each connection. It resumes the channels at the held positions."""
        wanted = [{"channel": channel, **self.position(channel)} for channel in self.views]
        return {"subscribe": wanted, **({"token": self.bearer} if self.bearer else {})}

    def position(self, channel):
        view = self.views[channel]
        return {"epoch": view["epoch"], "version": view["version"]} if view else {}

    async def subscribe(self, channel):
        """Subscribes, and answers the acknowledgement."""
        answer = await self.socket.call("subscribe", {"channel": channel}, timeout=WITHIN)
        if "data" in answer:
            self._take(answer)
        return answer


class Scenarios(ClinicScenarios):
    """What a client goes through, on the transports that a subclass names."""

    transports = []

    async def connect(self, url, app):
        self.addAsyncCleanup(app.socket.disconnect)
        await app.socket.connect(
            url, auth=app.auth, transports=self.transports, wait_timeout=WITHIN,
        )
        return app

    async def next(self, queue):
        return await asyncio.wait_for(queue.get(), WITHIN)

    async def expect(self, app, what):
        self.assertEqual(await self.next(app.events), what)

    async def assert_agrees(self, app, channel, load):
        """Waits until the view is as new as the snapshot of HTTP, and compares the two."""

        async def load_same():
            while (snapshot := await load())["version"] != app.views[channel]["version"]:
                await asyncio.sleep(0.01)
            return snapshot

        snapshot = await asyncio.wait_for(load_same(), WITHIN)
        view = app.views[channel]
        self.assertEqual(view["epoch"], snapshot["epoch"])
        self.assertEqual(view["data"]["entries"], snapshot["entries"])

    async def test_follows_ticket_through_its_life(self):
        clinic = await self.start()
        ahead, own = await clinic.issue(), await clinic.issue()
        app = await self.connect(clinic.url, App(patient(own)))
        await app.subscribe(f"ticket:{own}")
        await self.expect(app, "state: waiting 1")
        await clinic.call(ahead)
        await self.expect(app, "state: waiting 0")
        for action, state in (("hold", "on_hold"), ("resume", "waiting 0")):
            await clinic.order(own, action)
            await self.expect(app, f"state: {state}")
        await clinic.call(own)
        await self.expect(app, "state: called")
        for action, state in (("start", "in_service"), ("complete", "completed")):
            await clinic.order(own, action)
            await self.expect(app, f"state: {state}")
        self.assertEqual(app.connections, 1)
        self.assertEqual(app.socket.transport(), self.transports[-1])

    async def test_folds_channels_of_its_handshake(self):
        clinic = await self.start()
        app = await self.connect(clinic.url, App(clinic.admin, CHANNEL, BOARD))
        for _ in app.views:
            self.assertRegex(await self.next(app.events), "^snapshot")
        first = await clinic.issue()
        await clinic.issue()
        await clinic.call(first)
        for channel, path in ((CHANNEL, f"queues/{QUEUE}"), (BOARD, "boards/harbour")):
            await self.assert_agrees(app, channel, lambda: clinic.answer("GET", path))

    async def test_resumes_with_one_merged_delta(self):
        clinic = await self.start()
        proxy = await self.proxy(clinic)
        app = await self.connect(proxy.url, App(clinic.admin, CHANNEL))
        await self.expect(app, "snapshot: line of 0")
        first = await clinic.issue()
        await self.expect(app, "delta: line of 1")

        proxy.cut()
        await self.next(app.losses)
        await clinic.issue()
        await clinic.issue()
        await clinic.order(first, "hold")
        proxy.mend(clinic.url)
        await self.expect(app, "delta: line of 3")
        await clinic.issue()
        await self.expect(app, "delta: line of 4")
        await self.assert_agrees(app, CHANNEL, lambda: clinic.answer("GET", f"queues/{QUEUE}"))
        self.assertEqual(app.connections, 2)

    async def test_starts_over_at_next_server(self):
        clinic = await self.start()
        for _ in range(3):
            await clinic.issue()
        proxy = await self.proxy(clinic)
        app = await self.connect(proxy.url, App(clinic.admin, CHANNEL))
        await self.expect(app, "snapshot: line of 3")

        await clinic.stop(signal.SIGTERM)
        farewell = {"code": 3001, "reason": "shutdown", "reconnect": True}
        self.assertEqual(await self.next(app.closes), farewell)
        # Epochs are seconds, and one more for each further location of the same second.
        clinic = await self.start(earlier=["elsewhere"])
        await clinic.issue()
        proxy.mend(clinic.url)
        await self.expect(app, "snapshot: line of 1")
        await clinic.issue()
        await self.expect(app, "delta: line of 2")
        # Cleanup ends the server first, and the client would connect again.
        await app.socket.disconnect()

    async def test_refused_token_comes_with_its_code(self):
        clinic = await self.start()
        for bearer, code, retry in (
            (None, "token_missing", False),
            ("x", "token_invalid", False),
            (token(HOUR, aud="another"), "token_wrong_audience", False),
            (token(-1), "token_expired", True),
        ):
            with self.subTest(code):
                app = App(bearer)
                with self.assertRaises(socketio.exceptions.ConnectionError):
                    await self.connect(clinic.url, app)
                refusal = await self.next(app.refusals)
                told = [refusal["message"], refusal["data"]["code"], refusal["data"]["retry"]]
                self.assertEqual(told, [code, code, retry])
                self.assertIn("token", refusal["data"]["message"])
                self.assertEqual((app.connections, app.refusals.qsize()), (0, 0))

    async def test_expired_token_is_replaced_before_connecting(self):
        clinic = await self.start()
        app = App(token(-1), CHANNEL)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            await self.connect(clinic.url, app)
        app.bearer = token(HOUR)
        await self.connect(clinic.url, app)
        await self.expect(app, "snapshot: line of 0")

    async def test_ticket_of_another_patient_is_refused(self):
        clinic = await self.start()
        own, other = await clinic.issue(), await clinic.issue()
        app = await self.connect(clinic.url, App(patient(own)))
        for channel in (f"ticket:{other}", CHANNEL):
            error = (await app.subscribe(channel))["error"]
            self.assertEqual((error["code"], error["retry"]), ("forbidden", False))
        await app.subscribe(f"ticket:{own}")
        await self.expect(app, "state: waiting 0")
        self.assertEqual(app.connections, 1)

    async def test_revoked_token_ends_client(self):
        clinic = await self.start()
        own = await clinic.issue()
        app = await self.connect(clinic.url, App(patient(own), f"ticket:{own}"))
        await self.expect(app, "state: waiting 0")
        await clinic.revoke(kind="subject", id="phone")
        farewell = {"code": 3507, "reason": "permission denied", "reconnect": False}
        self.assertEqual(await self.next(app.closes), farewell)
        self.assertEqual(await self.next(app.losses), "server disconnect")
        # Answers once the client is disconnected and does not reconnect.
        await asyncio.wait_for(app.socket.wait(), WITHIN)
        self.assertEqual(app.connections, 1)


def patient(*tickets):
    return token(HOUR, role="patient", sub="phone", tickets=tickets)


class WebSocketTest(Scenarios, unittest.IsolatedAsyncioTestCase):
    transports = ["websocket"]


class PollingTest(Scenarios, unittest.IsolatedAsyncioTestCase):
    transports = ["polling"]


class UpgradeTest(Scenarios, unittest.IsolatedAsyncioTestCase):
    transports = ["polling", "websocket"]


if __name__ == "__main__":
    unittest.main()
