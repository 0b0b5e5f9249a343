"""Runs the receiver that the guide of webhooks shows, with events of a running clinic."""

import asyncio
import os
import re
import socket
import sys
import tempfile
import unittest
from pathlib import Path

from clinic import WITHIN, Clinic

GUIDE = Path(__file__).parents[3] / "docs/guides/webhooks.md"


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


async def until_listens(port):
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


class WebhookTest(unittest.IsolatedAsyncioTestCase):
    async def test_receiver_of_the_guide_verifies_events(self):
        clinic = await Clinic.start("--webhook-network", "127.0.0.0/8")
        self.addAsyncCleanup(clinic.stop)
        port = free_port()
        created = await clinic.answer(
            "POST", "webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["ticket.called"]}
        )
        snippet = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL).group(1)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "receiver.py")
            file.write_text(snippet)
            environment = os.environ | {"PORT": str(port), "WEBHOOK_SECRET": created["secret"]}
            receiver = await asyncio.create_subprocess_exec(
                sys.executable, str(file), env=environment,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await asyncio.wait_for(until_listens(port), WITHIN)
                await clinic.call(await clinic.issue())
                line = await asyncio.wait_for(receiver.stdout.readline(), WITHIN)
                self.assertRegex(line.decode(), r"^ticket\.called e_[0-9a-f]{32}\n$")
            finally:
                receiver.kill()
                await receiver.wait()
