"""An extension: trims a text and makes it lower case; word by word for a caller that takes a stream."""

import asyncio
import json
import os
import signal
import sys

import nats

ID = "normalize_text"
SUBJECT = "beamline.ext.pre.normalize_text.v1"
CANCELLED = os.environ.get("SUBJECT_PREFIX", "beamline.registry") + ".cancelled." + ID
NO_TEXT = {"Nats-Service-Error-Code": "422", "Nats-Service-Error": "no text"}
PAUSE = 0.1  # Seconds between two words of a stream: this one works hard.


async def answer(request, reply):
    payload = json.loads(request.data)["payload"]
    text = payload.get("text") if isinstance(payload, dict) else None
    if not isinstance(text, str):
        # 4xx is the caller's fault: it is not retried, and the circuit does not move.
        await reply({"error": "payload.text is missing"}, NO_TEXT)
    elif request.headers.get("Beamline-Accept") != "stream":
        await reply({"payload": {"text": text.strip().lower()}})
    else:
        for word in text.lower().split():
            await reply({"delta": word}, {"Beamline-Stream": "chunk"})
            await asyncio.sleep(PAUSE)
        await reply(None, {"Beamline-Stream": "end"})


async def on_error(error):
    print("nats:", error, file=sys.stderr)  # By default, a traceback for every attempt to reconnect.


async def main():
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    nc = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=on_error
    )
    calls = {}  # The tasks in hand, each with its call and attempt: what a cancellation names.

    async def on_request(request):
        def reply(body, headers=None):
            data = b"" if body is None else json.dumps(body).encode()
            return nc.publish(request.reply, data, headers=headers)

        # A task each: the next request must not wait for this one.
        task = asyncio.create_task(answer(request, reply))
        calls[task] = [request.headers.get("Beamline-" + name) for name in ("Call-Id", "Attempt")]
        task.add_done_callback(calls.pop)

    async def on_cancelled(message):
        call, attempt = (message.headers.get("Beamline-" + name) for name in ("Call-Id", "Attempt"))
        for task, (its_call, its_attempt) in list(calls.items()):
            if its_call == call and attempt in (None, its_attempt):
                print("cancelled", call, flush=True)
                task.cancel()

    # A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    requests = await nc.subscribe(SUBJECT, ID, cb=on_request)
    await nc.subscribe(CANCELLED, cb=on_cancelled)
    await nc.flush()
    print("ready", flush=True)

    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await stop.wait()
    await requests.drain()  # No new calls; those in hand are finished.
    await asyncio.gather(*calls, return_exceptions=True)
    await nc.drain()


asyncio.run(main())
