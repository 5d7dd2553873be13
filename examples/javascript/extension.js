// An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.

import { setTimeout as pause } from "node:timers/promises";
import { connect, MsgHdrsImpl } from "@nats-io/transport-node";

const SUBJECT = "beamline.ext.pre.normalize_text.v1";
const CANCELLED = `${process.env.SUBJECT_PREFIX ?? "beamline.registry"}.cancelled.normalize_text`;
const NO_TEXT = { "Nats-Service-Error-Code": "422", "Nats-Service-Error": "no text" };

async function answer(request, signal) {
  const reply = (body, fields) =>
    request.respond(JSON.stringify(body), { headers: fields && MsgHdrsImpl.fromRecord(fields) });
  let text;
  try {
    text = request.json().payload.text;
  } catch {
    // Not JSON, or not what it should be.
  }
  if (typeof text !== "string") {
    // 4xx is the caller's fault: it is not retried, and the circuit does not move.
    return reply({ error: "payload.text is missing" }, NO_TEXT);
  }
  if (request.headers?.get("Beamline-Accept") !== "stream") {
    return reply({ payload: { text: text.trim().toLowerCase() } });
  }
  for (const word of text.toLowerCase().match(/\S+/g) ?? []) {
    reply({ delta: word }, { "Beamline-Stream": "chunk" });
    await pause(100, undefined, { signal }); // This one works hard.
  }
  reply(undefined, { "Beamline-Stream": "end" });
}

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222";
const nc = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 200 });
const calls = new Map(); // The calls in hand, each with its headers and what ends it.

function onRequest(error, request) {
  if (error) return console.error(error); // Not permitted, for example.
  const ending = new AbortController();
  const call = answer(request, ending.signal)
    .catch((error) => ending.signal.aborted || console.error(error))
    .finally(() => calls.delete(call));
  calls.set(call, { headers: request.headers, ending });
}

function onCancelled(error, message) {
  if (error) return console.error(error);
  const call = message.headers?.get("Beamline-Call-Id");
  if (!call) return;
  const attempt = message.headers.get("Beamline-Attempt"); // Without it, the whole call.
  for (const { headers, ending } of calls.values()) {
    if (headers?.get("Beamline-Call-Id") !== call) continue;
    if (attempt && headers.get("Beamline-Attempt") !== attempt) continue;
    console.log("cancelled", call);
    ending.abort();
  }
}

// A queue group, so that each request goes to one replica; a cancellation goes to all of them.
const requests = nc.subscribe(SUBJECT, { queue: "normalize_text", callback: onRequest });
nc.subscribe(CANCELLED, { callback: onCancelled });
await nc.flush();
console.log("ready");

await new Promise((stop) => process.once("SIGTERM", stop));
await requests.drain(); // No new calls; those in hand are finished.
await Promise.all(calls.keys());
await nc.drain();
