"""A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.

    lookup normalize_text
    invoke {"id":"normalize_text","payload":{"text":" Hi "}}
    stream {"id":"normalize_text","payload":{"text":"one two three"}}
    cancel                                      (ends the last stream)
"""

import asyncio
import os
import secrets
import sys

import nats

PREFIX = os.environ.get("SUBJECT_PREFIX", "beamline.registry")
INSTANCE_ID = os.environ.get("INSTANCE_ID")  # Of the sidecar in this pod.
DEADLINE_MS = int(os.environ.get("DEADLINE_MS", "5000"))
MARGIN = 0.5  # Seconds that a reply may take on its way.


def kind(headers):
    """Whose answer it is. An extension's own error says that the call was carried out."""
    if "Nats-Service-Error-Code" in headers:
        who = "extension" if "Beamline-Extension-Error" in headers else "registry"
        return f"{who} {headers['Nats-Service-Error-Code']}"
    return headers.get("Beamline-Stream", "ok")


async def replies(nc, verb, payload, headers):
    """The replies to a request, with who gave them: the sidecar of this pod, else one of the group."""
    if not nc.is_connected:  # It would be sent after the reconnect, when nobody waits any more.
        raise ConnectionError("disconnected")
    subjects = [("group", f"{PREFIX}.{verb}")]
    if INSTANCE_ID and not verb.startswith("all."):
        subjects.insert(0, ("local", f"{PREFIX}.local.{INSTANCE_ID}.{verb}"))
    clock = asyncio.get_running_loop().time
    end = clock() + DEADLINE_MS / 1000 + MARGIN
    for via, subject in subjects:
        inbox = nc.new_inbox()
        waiting = await nc.subscribe(inbox)
        try:
            await nc.publish(subject, payload.encode(), inbox, headers)
            while True:
                message = await waiting.next_msg(end - clock())
                said = message.headers or {}
                if said.get("Status") == "503":
                    break  # Nobody is there, says the server at once; so nothing was carried out.
                yield via, kind(said), message.data.decode()
                if said.get("Beamline-Stream") != "chunk":
                    return
        finally:
            await waiting.unsubscribe()
    raise ConnectionError("no responders")


async def show(*request):
    try:
        async for reply in replies(*request):
            print(*reply, flush=True)
    except (nats.errors.Error, OSError) as error:
        # After a timeout nobody knows whether a call was carried out: it is not repeated here.
        print("failed", error, flush=True)


async def on_error(error):
    print("nats:", error, file=sys.stderr)  # By default, a traceback for every attempt to reconnect.


async def main():
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    nc = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=on_error
    )
    tasks, call = set(), None
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, _, payload = line.rstrip("\n").partition(" ")
        headers = {"Beamline-Deadline-Ms": str(DEADLINE_MS)}  # After it, the registry gives up too.
        if verb == "stream":
            verb, call = "invoke", secrets.token_hex(8)
            headers |= {"Beamline-Accept": "stream", "Beamline-Call-Id": call}
        elif verb == "cancel":  # Asks every sidecar; the one that has the call answers.
            verb, payload = "all.cancel", f'{{"call":"{call}"}}'
        task = asyncio.create_task(show(nc, verb, payload, headers))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await nc.drain()


asyncio.run(main())
