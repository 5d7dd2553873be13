// An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.

import { setTimeout as pause } from "node:timers/promises";
import { connect, headers } from "@nats-io/transport-node";

const ID = "normalize_text";
const SUBJECT = "beamline.ext.pre.normalize_text.v1";
const CANCELLED = `${process.env.SUBJECT_PREFIX ?? "beamline.registry"}.cancelled.${ID}`;
const NO_TEXT = { "Nats-Service-Error-Code": "422", "Nats-Service-Error": "no text" };
const PAUSE_MS = 100; // Between two words of a stream: this one works hard.

async function answer(request, reply, signal) {
  const text = request.json().payload.text;
  if (typeof text !== "string") {
    // 4xx is the caller's fault: it is not retried, and the circuit does not move.
    return reply({ error: "payload.text is missing" }, NO_TEXT);
  }
  if (request.headers?.get("Beamline-Accept") !== "stream") {
    return reply({ payload: { text: text.trim().toLowerCase() } });
  }
  for (const word of text.toLowerCase().match(/\S+/g) ?? []) {
    reply({ delta: word }, { "Beamline-Stream": "chunk" });
    await pause(PAUSE_MS, undefined, { signal });
  }
  reply(undefined, { "Beamline-Stream": "end" });
}

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
  reconnectTimeWait: 200,
});
const calls = new Map(); // The calls in hand, each with what ends it.

function onRequest(_, request) {
  const reply = (body, fields = {}) => {
    const head = headers();
    for (const [name, value] of Object.entries(fields)) head.set(name, value);
    request.respond(body && JSON.stringify(body), { headers: head });
  };
  const ending = new AbortController();
  const call = answer(request, reply, ending.signal)
    .catch((error) => ending.signal.aborted || console.error(error))
    .finally(() => calls.delete(call));
  calls.set(call, { ending, request });
}

function onCancelled(_, message) {
  const [call, attempt] = named(message);
  for (const { ending, request } of calls.values()) {
    const [itsCall, itsAttempt] = named(request);
    if (itsCall !== call || (attempt && attempt !== itsAttempt)) continue;
    console.log("cancelled", call);
    ending.abort();
  }
}

const named = ({ headers }) => ["Call-Id", "Attempt"].map((name) => headers?.get(`Beamline-${name}`));

// A queue group, so that each request goes to one replica; a cancellation goes to all of them.
const requests = nc.subscribe(SUBJECT, { queue: ID, callback: onRequest });
nc.subscribe(CANCELLED, { callback: onCancelled });
await nc.flush();
console.log("ready");

await new Promise((stop) => ["SIGTERM", "SIGINT"].forEach((sign) => process.once(sign, stop)));
await requests.drain(); // No new calls; those in hand are finished.
await Promise.all(calls.keys());
await nc.drain();
