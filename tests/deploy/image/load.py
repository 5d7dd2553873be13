"""Routers that ask without pause, and an extension that takes its time."""

import asyncio
import collections
import json

import nats
import nats.errors

# Longer than anything here can take: who has no answer by then has lost the request.
PATIENCE_SECONDS = 30
EXTENSION_LATENCY_SECONDS = 0.2
LOOKUPS_AT_ONCE = 32
CALLS_AT_ONCE = 32
EXTENSION = "anthropic_claude"


class Load:
    """Counts what requests come to: `answered`, `refused` (nobody has subscribed, said at once),
    `error` (an error of the registry), `lost` (no answer)."""

    def __init__(self):
        self.lookups = collections.Counter()
        self.calls = collections.Counter()
        self.errors = []
        self.ending = asyncio.Event()

    async def run(self, url, meanwhile):
        """Load until `meanwhile` is over."""
        client = await nats.connect(url)
        await client.subscribe("beamline.provider.>", cb=self.extension)
        await client.flush()
        lookup = ("beamline.registry.lookup", {"id": EXTENSION}, self.lookups)
        call = ("beamline.registry.invoke", {"id": EXTENSION, "payload": {}}, self.calls)
        routers = [self.router(client, *lookup) for _ in range(LOOKUPS_AT_ONCE)]
        routers += [self.router(client, *call) for _ in range(CALLS_AT_ONCE)]
        routers = asyncio.gather(*routers)
        try:
            await meanwhile(self)
        finally:
            self.ending.set()
            await routers
            await client.close()

    @staticmethod
    async def extension(message):
        async def answer():
            await asyncio.sleep(EXTENSION_LATENCY_SECONDS)
            await message.respond(b'{"text":"done"}')

        asyncio.create_task(answer())

    async def router(self, client, subject, request, counts):
        while not self.ending.is_set():
            try:
                reply = await client.request(
                    subject, json.dumps(request).encode(), timeout=PATIENCE_SECONDS
                )
            except nats.errors.NoRespondersError:
                counts["refused"] += 1
                # As a router would: not at once again.
                await asyncio.sleep(0.01)
            except nats.errors.TimeoutError:
                counts["lost"] += 1
            else:
                if (reply.headers or {}).get("Nats-Service-Error-Code"):
                    counts["error"] += 1
                    self.errors.append(reply.data.decode())
                else:
                    counts["answered"] += 1

    async def more(self, kind, count):
        """Waits for so many further outcomes of this kind, of lookups and of calls."""
        lookups = self.lookups[kind] + count
        calls = self.calls[kind] + count
        async with asyncio.timeout(60):
            while self.lookups[kind] < lookups or self.calls[kind] < calls:
                await asyncio.sleep(0.02)
