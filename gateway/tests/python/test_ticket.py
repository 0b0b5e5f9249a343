"""Follows a ticket with the published Python client, in both forms of its protocol."""

import asyncio
import json
import unittest

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from clinic import WITHIN, Clinic, Line


def state(data):
    """Makes `waiting 2` of a ticket's state. In Protobuf the client passes data on as bytes."""
    seen = json.loads(data) if isinstance(data, bytes) else data
    return f"{seen['state']} {seen['ahead']}" if "ahead" in seen else seen["state"]


class Connection(ClientEventHandler):
    def __init__(self):
        self.connecting = asyncio.Queue()

    async def on_connecting(self, ctx):
        self.connecting.put_nowait(ctx.reason)


class Follower(SubscriptionEventHandler):
    def __init__(self):
        self.heard = asyncio.Queue()

    async def on_subscribed(self, ctx):
        what = "recovered" if ctx.recovered else f"subscribed anew: {state(ctx.data)}"
        self.heard.put_nowait((what, ctx.stream_position.offset))

    async def on_publication(self, ctx):
        self.heard.put_nowait((state(ctx.pub.data), ctx.pub.offset))


class ATicket(unittest.IsolatedAsyncioTestCase):
    async def test_is_followed_through_its_life_and_a_reconnect_in_json(self):
        await self.follow(use_protobuf=False)

    async def test_is_followed_through_its_life_and_a_reconnect_in_protobuf(self):
        await self.follow(use_protobuf=True)

    async def follow(self, use_protobuf):
        clinic = await Clinic.start()
        self.addAsyncCleanup(clinic.stop)
        line = await Line.to(clinic.url)
        self.addAsyncCleanup(line.close)
        first, second, own = [await clinic.issue() for _ in range(3)]
        connection, self.follower = Connection(), Follower()
        client = Client(
            line.address, connection, token=clinic.admin, use_protobuf=use_protobuf,
            min_reconnect_delay=0.01, max_reconnect_delay=0.1,
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.new_subscription(f"ticket:{own}", self.follower).subscribe()

        begun = await self.expect("subscribed anew: waiting 2")
        await connection.connecting.get()
        await clinic.call(first)
        moved = await self.expect("waiting 1")
        self.assertLess(begun, moved)

        line.cut()
        await asyncio.wait_for(connection.connecting.get(), WITHIN)
        await clinic.call(second)
        line.mend()
        await self.expect("recovered")
        self.assertLess(moved, await self.expect("waiting 0"))

        await clinic.call(own)
        await self.expect("called")
        await clinic.order(own, "start")
        await self.expect("in_service")
        await clinic.order(own, "complete")
        await self.expect("completed")

    async def expect(self, what):
        """The next thing heard is that; answers its position."""
        heard, offset = await asyncio.wait_for(self.follower.heard.get(), WITHIN)
        self.assertEqual(heard, what)
        return offset


if __name__ == "__main__":
    unittest.main()
