"""Follows a ticket with the published Python client, in both encodings of its protocol."""

import asyncio
import json
import unittest

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from clinic import WITHIN, Clinic, Proxy, token


def state(data):
    """Sums up the state of a ticket, such as `waiting 2`. With Protobuf the data comes as bytes."""
    view = json.loads(data) if isinstance(data, bytes) else data
    return f"{view['state']} {view['ahead']}" if "ahead" in view else view["state"]


class Connection(ClientEventHandler):
    def __init__(self):
        self.connecting, self.ended = asyncio.Queue(), asyncio.Queue()

    async def on_connecting(self, ctx):
        self.connecting.put_nowait(ctx.reason)

    async def on_disconnected(self, ctx):
        self.ended.put_nowait(ctx.code)


class Follower(SubscriptionEventHandler):
    def __init__(self):
        self.events = asyncio.Queue()

    async def on_subscribed(self, ctx):
        event = "recovered" if ctx.recovered else f"subscribed anew: {state(ctx.data)}"
        self.events.put_nowait((event, ctx.stream_position.offset))

    async def on_unsubscribed(self, ctx):
        self.events.put_nowait((f"unsubscribed: {ctx.code}", None))

    async def on_publication(self, ctx):
        self.events.put_nowait((state(ctx.pub.data), ctx.pub.offset))


class TicketTest(unittest.IsolatedAsyncioTestCase):
    async def test_json_client_follows_ticket_and_resumes(self):
        await self.follow(use_protobuf=False)

    async def test_protobuf_client_follows_ticket_and_resumes(self):
        await self.follow(use_protobuf=True)

    async def test_client_survives_refresh_by_expired_token(self):
        """The new token expires on its way. An error reply would end the client for good."""
        clinic = await Clinic.start()
        self.addAsyncCleanup(clinic.stop)
        own = await clinic.issue()
        tokens = [token(-1), token(3600)]

        async def get_token():
            return tokens.pop(0)

        connection, self.follower = Connection(), Follower()
        address = clinic.url.replace("http", "ws") + "/connection/websocket"
        client = Client(
            address, connection, token=token(1.5), get_token=get_token,
            min_reconnect_delay=0.01, max_reconnect_delay=0.1,
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.new_subscription(f"ticket:{own}", self.follower).subscribe()
        await self.expect("subscribed anew: waiting 0")
        await self.expect("recovered")
        await clinic.order(own, "hold")
        await self.expect("on_hold")

    async def test_json_client_is_refused_renewed_and_revoked(self):
        await self.lose_rights(use_protobuf=False)

    async def test_protobuf_client_is_refused_renewed_and_revoked(self):
        await self.lose_rights(use_protobuf=True)

    async def lose_rights(self, use_protobuf):
        """The ticket of another patient is refused. A token that must be replaced interrupts
        nothing. A revoked one ends the client for good."""
        clinic = await Clinic.start()
        self.addAsyncCleanup(clinic.stop)
        own, other = await clinic.issue(), await clinic.issue()
        rights = {"role": "patient", "sub": "phone", "tickets": [own]}

        async def get_token():
            return token(3600, **rights, permission_version=2)

        connection, self.follower = Connection(), Follower()
        address = clinic.url.replace("http", "ws") + "/connection/websocket"
        client = Client(
            address, connection, token=token(3600, **rights, permission_version=1),
            get_token=get_token, use_protobuf=use_protobuf,
            min_reconnect_delay=0.01, max_reconnect_delay=0.1,
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.new_subscription(f"ticket:{other}", self.follower).subscribe()
        await self.expect("unsubscribed: 103")
        await client.new_subscription(f"ticket:{own}", self.follower).subscribe()
        await self.expect("subscribed anew: waiting 0")
        await clinic.revoke(kind="permissions", id="phone", permission_version=2)
        await self.expect("recovered")
        await clinic.revoke(kind="subject", id="phone")
        self.assertEqual(await asyncio.wait_for(connection.ended.get(), WITHIN), 3507)

    async def follow(self, use_protobuf):
        clinic = await Clinic.start()
        self.addAsyncCleanup(clinic.stop)
        proxy = await Proxy.to(clinic.url)
        self.addAsyncCleanup(proxy.close)
        first, second, own = [await clinic.issue() for _ in range(3)]
        connection, self.follower = Connection(), Follower()
        client = Client(
            proxy.address, connection, token=clinic.admin, use_protobuf=use_protobuf,
            min_reconnect_delay=0.01, max_reconnect_delay=0.1,
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.new_subscription(f"ticket:{own}", self.follower).subscribe()

        start = await self.expect("subscribed anew: waiting 2")
        await connection.connecting.get()
        await clinic.call(first)
        moved = await self.expect("waiting 1")
        self.assertLess(start, moved)

        proxy.cut()
        await asyncio.wait_for(connection.connecting.get(), WITHIN)
        await clinic.call(second)
        proxy.mend()
        await self.expect("recovered")
        self.assertLess(moved, await self.expect("waiting 0"))

        await clinic.call(own)
        await self.expect("called")
        await clinic.order(own, "start")
        await self.expect("in_service")
        await clinic.order(own, "complete")
        await self.expect("completed")

    async def expect(self, what):
        """Asserts that the next event is `what`, and answers its position."""
        event, offset = await asyncio.wait_for(self.follower.events.get(), WITHIN)
        self.assertEqual(event, what)
        return offset


if __name__ == "__main__":
    unittest.main()
