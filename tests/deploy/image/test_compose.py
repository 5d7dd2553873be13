"""deploy/compose.yaml: its nats-server, Postgres, migration and registry, as they stand there."""

import asyncio
import json
import os
import pathlib
import subprocess
import unittest
import uuid

import nats
from docker import IMAGE

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Prometheus and Grafana have no part in this, and no stand-ins where no images can be had.
SERVICES = ["nats", "postgres", "roles", "migrate", "grants", "registry"]


class Compose(unittest.TestCase):
    def setUp(self):
        self.project = f"beamline-test-{uuid.uuid4().hex[:8]}"
        self.addCleanup(self.compose, "down", "--volumes", "--timeout=5")
        self.compose("up", "--detach", "--wait", "--wait-timeout=120", *SERVICES)

    def compose(self, *arguments):
        """`docker compose`, with the image under test, ports of its own and a name of its own."""
        override = json.dumps({"services": {n: {"image": IMAGE} for n in ("migrate", "registry")}})
        command = [ROOT / "scripts" / "compose", "--project-name", self.project]
        command += ["--file", ROOT / "deploy" / "compose.yaml", "--file", "-"]
        ports = {"NATS_PORT": "0", "POSTGRES_PORT": "0", "REGISTRY_PORT": "0"}
        done = subprocess.run(
            [*command, *arguments],
            input=override,
            env={**os.environ, **ports},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"compose {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def ask(self, user, subject, request):
        """What a user of deploy/nats is answered."""
        return asyncio.run(self.request(user, subject, request))

    async def request(self, user, subject, request):
        url = f"nats://{self.compose('port', 'nats', '4222')}"
        client = await nats.connect(
            url, user=user, password=user, inbox_prefix=f"_INBOX.{user}".encode()
        )
        try:
            reply = await client.request(subject, json.dumps(request).encode(), timeout=10)
        finally:
            await client.close()
        return json.loads(reply.data)

    def test_routers_ask_and_administrators_change(self):
        found = self.ask("router", "beamline.registry.lookup", {"id": "normalize_text"})
        self.assertEqual(found["subject"], "beamline.ext.pre.normalize_text.v1")
        stats = self.ask("router", "beamline.registry.stats", {})
        self.assertEqual(stats["active_source"], "database")
        self.assertEqual(stats["total_extensions"], 6)

        # Written by the daemon's own user of Postgres, who owns nothing.
        change = {"id": "normalize_text", "timeout_ms": 321}
        changed = self.ask("alice", "beamline.registry.as.alice.update", change)
        self.assertEqual(changed["timeout_ms"], 321, changed)
        self.assertEqual(changed["updated_by"], "alice")

        self.compose("stop", "postgres")
        found = self.ask("router", "beamline.registry.lookup", {"id": "normalize_text"})
        self.assertEqual(found["timeout_ms"], 321)


if __name__ == "__main__":
    unittest.main()
