"""Sends generated requests by the served OpenAPI document, and uses a client made of it.

`SCHEMATHESIS_SECONDS` is the time for each role: `make schemathesis` takes longer than `make test`.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from clinic import QUEUE, Clinic

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "10"))
# Requests that end or change what the caller itself may do.
SKIPPED = "/v1/(revocations|sessions/.*|tokens/renew)$"
# The promises of the document about answers. Of the other checks, two know nothing of tokens with
# roles, and two take each valid id for one that exists.
CHECKS = ",".join([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    # How much a run covers depends on the machine, and long runs still find forms that the document
    # does not describe, so only `make schemathesis` asks for them.
    *(["form_is_described"] if "SCHEMATHESIS_SECONDS" in os.environ else []),
])
HOOKS = {"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "openapi_checks"}
PAGE = Path(__file__).parents[3] / "docs/api.md"


def snippet(language):
    """The code in `language` on the page about the API."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


async def run(*command, **options):
    """Runs a program and answers its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


class OpenApiTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.clinic = await Clinic.start("--limit=all=off")
        self.addAsyncCleanup(self.clinic.stop)
        self.document = f"{self.clinic.url}/v1/openapi.json"

    async def test_answers_to_generated_requests_are_documented(self):
        await self.clinic.issue()
        for role in ("admin", "source", "patient"):
            with self.subTest(role), tempfile.TemporaryDirectory() as directory:
                code, output = await run(
                    BIN / "st", "run", self.document, "--checks", CHECKS, "--max-time", SECONDS,
                    "--phases", "coverage,fuzzing", "--exclude-path-regex", SKIPPED,
                    "--header", f"Authorization: Bearer {self.clinic.tokens[role]}",
                    "--generation-deterministic", "--max-examples", 10, "--no-color",
                    "--continue-on-failure", "--warnings", "off", cwd=directory,
                    env={**os.environ, **HOOKS},
                )
                self.assertEqual(code, 0, output)

    async def test_generated_python_client_puts_somebody_in_line(self):
        with tempfile.TemporaryDirectory() as directory:
            # The generator formats its code by `ruff`, which it looks up on the path.
            path = f"{BIN}:{os.environ['PATH']}"
            generate = snippet("sh python").replace("http://127.0.0.1:8080", self.clinic.url)
            code, output = await run(
                *generate.split(), cwd=directory, env={**os.environ, "PATH": path}
            )
            self.assertEqual(code, 0, output)
            Path(directory, "client.py").write_text(snippet("python"))
            code, output = await run(
                sys.executable, "client.py", self.clinic.url, self.clinic.admin, QUEUE,
                cwd=directory,
            )
        self.assertEqual((code, output), (0, "A-001\n"))


if __name__ == "__main__":
    unittest.main()
