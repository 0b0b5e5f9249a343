"""Follows a clinic with the published Python client, in both encodings of its protocol."""

import asyncio
import json
import unittest

from centrifuge import (
    Client,
    ClientEventHandler,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

from clinic import QUEUE, WITHIN, ClinicScenarios, summary, token

# The number of channels that one connection may follow.
MAX_CHANNELS = 64


def state(data):
    """Sums up a view. With Protobuf the data comes as bytes."""
    return summary(json.loads(data) if isinstance(data, bytes) else data)


class Connection(ClientEventHandler):
    def __init__(self):
        self.connecting, self.ended, self.refused = (asyncio.Queue() for _ in range(3))

    async def on_connecting(self, ctx):
        self.connecting.put_nowait(ctx.reason)

    async def on_disconnected(self, ctx):
        self.ended.put_nowait(ctx.code)

    async def on_error(self, ctx):
        if isinstance(ctx.error, ReplyError):
            self.refused.put_nowait(ctx.error.code)


class Follower(SubscriptionEventHandler):
    def __init__(self):
        self.events, self.refused = asyncio.Queue(), asyncio.Queue()
        self.epoch = None

    async def on_subscribed(self, ctx):
        self.epoch = ctx.stream_position.epoch
        anew = "reset" if ctx.was_recovering else "subscribed anew"
        event = "recovered" if ctx.recovered else f"{anew}: {state(ctx.data)}"
        self.events.put_nowait((event, ctx.stream_position.offset))

    async def on_unsubscribed(self, ctx):
        self.events.put_nowait((f"unsubscribed: {ctx.code}", None))

    async def on_publication(self, ctx):
        self.events.put_nowait((state(ctx.pub.data), ctx.pub.offset))

    async def on_error(self, ctx):
        self.refused.put_nowait(ctx.error.code)


class Scenarios(ClinicScenarios):
    """What a client goes through, in the encoding that a subclass names."""

    use_protobuf = False

    async def asyncSetUp(self):
        self.connection, self.follower = Connection(), Follower()

    async def connect(self, address, token, get_token=None):
        client = Client(
            address, self.connection, token=token, get_token=get_token,
            use_protobuf=self.use_protobuf, min_reconnect_delay=0.01, max_reconnect_delay=0.1,
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        return client

    async def follow(self, client, channel, get_state=None):
        subscription = client.new_subscription(
            channel, self.follower, get_state=get_state,
            min_resubscribe_delay=0.01, max_resubscribe_delay=0.1,
        )
        await subscription.subscribe()

    async def expect(self, what):
        """Asserts that the next event is `what`, and answers its position."""
        event, offset = await asyncio.wait_for(self.follower.events.get(), WITHIN)
        self.assertEqual(event, what)
        return offset

    async def test_follows_ticket_and_resumes(self):
        clinic = await self.start()
        proxy = await self.proxy(clinic)
        first, second, own = [await clinic.issue() for _ in range(3)]
        client = await self.connect(proxy.socket_url, clinic.admin)
        await self.follow(client, f"ticket:{own}")

        start = await self.expect("subscribed anew: waiting 2")
        await self.connection.connecting.get()
        await clinic.call(first)
        moved = await self.expect("waiting 1")
        self.assertLess(start, moved)

        proxy.cut()
        await asyncio.wait_for(self.connection.connecting.get(), WITHIN)
        await clinic.call(second)
        proxy.mend(clinic.url)
        await self.expect("recovered")
        self.assertLess(moved, await self.expect("waiting 0"))

        await clinic.call(own)
        await self.expect("called")
        await clinic.order(own, "start")
        await self.expect("in_service")
        await clinic.order(own, "complete")
        await self.expect("completed")

    async def test_waits_for_node_that_is_behind(self):
        """As if another node, one version ahead, had sent the position."""
        clinic = await self.start()
        own = await clinic.issue()
        known = await clinic.answer("GET", f"tickets/{own}")
        newer = StreamPosition(offset=known["version"] + 1, epoch=known["epoch"])

        async def get_state(channel):
            return newer

        client = await self.connect(clinic.socket_url, clinic.admin)
        following = asyncio.create_task(self.follow(client, f"ticket:{own}", get_state))
        await asyncio.wait_for(clinic.until_asked(), WITHIN)
        await clinic.order(own, "hold")
        self.assertEqual(await self.expect("recovered"), newer.offset)
        await following
        await clinic.order(own, "resume")
        self.assertEqual(await self.expect("waiting 0"), newer.offset + 1)

    async def test_starts_over_after_change_of_epoch(self):
        """A program that keeps nothing restarts with fewer changes than the client has seen."""
        clinic = await self.start()
        for _ in range(3):
            await clinic.issue()
        proxy = await self.proxy(clinic)
        client = await self.connect(proxy.socket_url, clinic.admin)
        await self.follow(client, f"queue:{QUEUE}")
        await self.expect("subscribed anew: line of 3")
        epoch = self.follower.epoch

        proxy.cut()
        await clinic.stop()
        # Epochs are seconds, and one more for each further location of the same second.
        clinic = await self.start(earlier=["elsewhere"])
        await clinic.issue()
        proxy.mend(clinic.url)
        await self.expect("reset: line of 1")
        self.assertLess(int(epoch), int(self.follower.epoch))
        await clinic.issue()
        await self.expect("step")

    async def test_survives_refresh_by_expired_token(self):
        """The new token expires on its way. An error reply would end the client for good."""
        clinic = await self.start()
        own = await clinic.issue()
        tokens = [token(-1), token(3600)]

        async def get_token():
            return tokens.pop(0)

        client = await self.connect(clinic.socket_url, token(1.5), get_token)
        await self.follow(client, f"ticket:{own}")
        await self.expect("subscribed anew: waiting 0")
        await self.expect("recovered")
        await clinic.order(own, "hold")
        await self.expect("on_hold")

    async def test_refreshes_token_without_interruption(self):
        """The new token covers one ticket less, and only the subscription to that ticket ends."""
        clinic = await self.start()
        own, other = await clinic.issue(), await clinic.issue()
        rights = {"role": "patient", "sub": "phone"}

        async def get_token():
            return token(3600, **rights, tickets=[own])

        # The client asks for a token after seven seconds.
        both = token(10, **rights, tickets=[own, other])
        client = await self.connect(clinic.socket_url, both, get_token)
        await self.follow(client, f"ticket:{own}")
        await self.expect("subscribed anew: waiting 0")
        await self.follow(client, f"ticket:{other}")
        await self.expect("subscribed anew: waiting 1")
        await self.expect("unsubscribed: 2000")
        await clinic.order(own, "hold")
        await self.expect("on_hold")
        self.assertEqual(self.connection.connecting.qsize(), 1)

    async def test_is_refused_renewed_and_revoked(self):
        """The ticket of another patient is refused. A token that must be replaced interrupts
        nothing. A revoked one ends the client for good."""
        clinic = await self.start()
        own, other = await clinic.issue(), await clinic.issue()
        rights = {"role": "patient", "sub": "phone", "tickets": [own]}

        async def get_token():
            return token(3600, **rights, permission_version=2)

        older = token(3600, **rights, permission_version=1)
        client = await self.connect(clinic.socket_url, older, get_token)
        await self.follow(client, f"ticket:{other}")
        await self.expect("unsubscribed: 103")
        await self.follow(client, f"ticket:{own}")
        await self.expect("subscribed anew: waiting 0")
        await clinic.revoke(kind="permissions", id="phone", permission_version=2)
        await self.expect("recovered")
        await clinic.revoke(kind="subject", id="phone")
        self.assertEqual(await asyncio.wait_for(self.connection.ended.get(), WITHIN), 3507)

    async def test_connects_once_another_connection_has_ended(self):
        clinic = await self.start("--limit=connections-subject=1")
        own = await clinic.issue()
        first = await self.connect(clinic.socket_url, clinic.admin)
        second = await self.connect(clinic.socket_url, clinic.admin)
        await self.follow(second, f"ticket:{own}")
        self.assertEqual(await asyncio.wait_for(self.connection.refused.get(), WITHIN), 111)
        await first.disconnect()
        await self.expect("subscribed anew: waiting 0")

    async def test_subscribes_again_once_its_rate_allows(self):
        clinic = await self.start("--limit=subscribes-subject=1/3600")
        own, other = await clinic.issue(), await clinic.issue()
        client = await self.connect(clinic.socket_url, clinic.admin)
        await self.follow(client, f"ticket:{own}")
        await self.expect("subscribed anew: waiting 0")
        await self.follow(client, f"ticket:{other}")
        self.assertEqual(await asyncio.wait_for(self.follower.refused.get(), WITHIN), 111)
        await clinic.change_limits({"subscribes-subject": "off"})
        await self.expect("subscribed anew: waiting 1")

    async def test_follows_as_many_channels_as_it_may(self):
        """One channel more ends its own subscription, and no other."""
        clinic = await self.start()
        client = await self.connect(clinic.socket_url, clinic.admin)
        for ahead in range(MAX_CHANNELS):
            last = await clinic.issue()
            await self.follow(client, f"ticket:{last}")
            await self.expect(f"subscribed anew: waiting {ahead}")
        await self.follow(client, f"ticket:{await clinic.issue()}")
        await self.expect("unsubscribed: 106")
        await clinic.order(last, "hold")
        await self.expect("on_hold")


class JsonTest(Scenarios, unittest.IsolatedAsyncioTestCase):
    use_protobuf = False


class ProtobufTest(Scenarios, unittest.IsolatedAsyncioTestCase):
    use_protobuf = True


if __name__ == "__main__":
    unittest.main()
