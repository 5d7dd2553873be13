"""An extension: trims a text and makes it lower case; word by word for a caller that takes a stream."""

import asyncio
import json
import os
import signal

import nats

SUBJECT = "beamline.ext.pre.normalize_text.v1"
CANCELLED = os.environ.get("SUBJECT_PREFIX", "beamline.registry") + ".cancelled.normalize_text"
NO_TEXT = {"Nats-Service-Error-Code": "422", "Nats-Service-Error": "no text"}


async def answer(nc, request):
    def reply(body, headers=None):
        return nc.publish(request.reply, json.dumps(body).encode(), headers=headers)

    try:
        text = json.loads(request.data)["payload"]["text"]
    except (ValueError, LookupError, TypeError):  # Not JSON, or not what it should be.
        text = None
    if not isinstance(text, str):
        # 4xx is the caller's fault: it is not retried, and the circuit does not move.
        return await reply({"error": "payload.text is missing"}, NO_TEXT)
    if (request.headers or {}).get("Beamline-Accept") != "stream":
        return await reply({"payload": {"text": text.strip().lower()}})
    for word in text.lower().split():
        await reply({"delta": word}, {"Beamline-Stream": "chunk"})
        await asyncio.sleep(0.1)  # This one works hard.
    await nc.publish(request.reply, headers={"Beamline-Stream": "end"})


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "localhost"), max_reconnect_attempts=-1)
    calls = {}  # The tasks in hand, each with the headers of its request.

    async def on_request(request):
        task = asyncio.create_task(answer(nc, request))  # The next request must not wait for it.
        calls[task] = request.headers or {}  # A router that calls by itself may send none.
        task.add_done_callback(calls.pop)

    async def on_cancelled(message):
        named = message.headers or {}
        for task, headers in list(calls.items()):
            # A call, or one attempt of it.
            if "Beamline-Call-Id" in named and named.items() <= headers.items():
                print("cancelled", named["Beamline-Call-Id"], flush=True)
                task.cancel()

    requests = await nc.subscribe(SUBJECT, "normalize_text", on_request)  # Each to one replica.
    await nc.subscribe(CANCELLED, cb=on_cancelled)  # Without a queue group: each to all of them.
    await nc.flush()
    print("ready", flush=True)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await requests.drain()  # No new calls; those in hand are finished.
    await asyncio.gather(*calls, return_exceptions=True)
    await nc.drain()


asyncio.run(main())
