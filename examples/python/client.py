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
PATIENCE = DEADLINE_MS / 1000 + 0.5  # Seconds: the last reply has to travel.


def kind(headers):
    """Whose answer it is. An extension's own error says that the call was carried out."""
    if "Nats-Service-Error-Code" in headers:
        who = "extension" if "Beamline-Extension-Error" in headers else "registry"
        return f"{who} {headers['Nats-Service-Error-Code']}"
    return headers.get("Beamline-Stream", "ok")


async def ask(nc, verb, payload, headers):
    """Prints each reply with its sender: the sidecar of this pod, else one of the group."""
    if not nc.is_connected:  # It would be sent after the reconnect, when nobody waits any more.
        raise ConnectionError("disconnected")
    subjects = [("group", f"{PREFIX}.{verb}")]
    if INSTANCE_ID and not verb.startswith("all."):
        subjects.insert(0, ("local", f"{PREFIX}.local.{INSTANCE_ID}.{verb}"))
    for via, subject in subjects:
        replies = await nc.subscribe(nc.new_inbox())
        try:
            await nc.publish(subject, payload.encode(), replies.subject, headers)
            async for reply in replies.messages:
                said = reply.headers or {}
                if said.get("Status") == "503":
                    break  # Nobody is there, says the server at once; so nothing was carried out.
                print(via, kind(said), reply.data.decode(), flush=True)
                if said.get("Beamline-Stream") != "chunk":
                    return
        finally:
            await replies.unsubscribe()
    raise ConnectionError("no responders")


async def show(*request):
    try:
        await asyncio.wait_for(ask(*request), PATIENCE)
    except (nats.errors.Error, OSError, asyncio.TimeoutError) as error:
        # After a timeout nobody knows whether a call was carried out: it is not repeated here.
        print("failed", repr(error), flush=True)


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "localhost"), max_reconnect_attempts=-1)
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
