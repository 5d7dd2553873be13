// A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//
//     lookup normalize_text
//     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//     stream {"id":"normalize_text","payload":{"text":"one two three"}}
//     cancel                                      (ends the last stream)

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { connect, MsgHdrsImpl, NoRespondersError } from "@nats-io/transport-node";

const PREFIX = process.env.SUBJECT_PREFIX ?? "beamline.registry";
const INSTANCE_ID = process.env.INSTANCE_ID; // Of the sidecar in this pod.
const DEADLINE_MS = Number(process.env.DEADLINE_MS ?? 5000);
const MARGIN_MS = 500; // What a reply may take on its way.

// Whose answer it is. An extension's own error says that the call was carried out.
function kind(said) {
  const code = said?.get("Nats-Service-Error-Code");
  if (!code) return said?.get("Beamline-Stream") || "ok";
  return `${said.has("Beamline-Extension-Error") ? "extension" : "registry"} ${code}`;
}

// Prints each reply with its sender: the sidecar of this pod, else one of the group.
async function ask(verb, payload, fields) {
  // It would be sent after the reconnect, when nobody waits any more.
  if (!nc.info) throw new Error("disconnected");
  const subjects = [["group", `${PREFIX}.${verb}`]];
  if (INSTANCE_ID && !verb.startsWith("all.")) {
    subjects.unshift(["local", `${PREFIX}.local.${INSTANCE_ID}.${verb}`]);
  }
  const headers = MsgHdrsImpl.fromRecord(fields);
  for (const [via, subject] of subjects) {
    // `noMux`, an inbox for this request alone: once it is gone, the registry ends its stream.
    const options = { headers, maxWait: DEADLINE_MS + MARGIN_MS, noMux: true };
    try {
      for await (const reply of await nc.requestMany(subject, payload, options)) {
        console.log(via, kind(reply.headers), reply.string());
        if (reply.headers?.get("Beamline-Stream") !== "chunk") return;
      }
      throw new Error("timeout");
    } catch (error) {
      // Nobody is there, says the server at once; so nothing was carried out.
      if (!(error instanceof NoRespondersError)) throw error;
    }
  }
  throw new Error("no responders");
}

const servers = process.env.NATS_URL ?? "nats://127.0.0.1:4222";
const nc = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 200 });
const calls = new Set();
let last; // The id of the last stream.
for await (const line of createInterface({ input: process.stdin })) {
  let [, verb, payload] = line.match(/^(\S*) ?(.*)$/);
  // After the deadline, the registry gives up too.
  const fields = { "Beamline-Deadline-Ms": `${DEADLINE_MS}` };
  if (verb === "stream") {
    [verb, last] = ["invoke", randomBytes(8).toString("hex")];
    Object.assign(fields, { "Beamline-Accept": "stream", "Beamline-Call-Id": last });
  } else if (verb === "cancel") {
    // Asks every sidecar; the one that has the call answers.
    [verb, payload] = ["all.cancel", JSON.stringify({ call: last })];
  }
  const call = ask(verb, payload, fields)
    // After a timeout nobody knows whether a call was carried out: it is not repeated here.
    .catch((error) => console.log("failed", error.message))
    .finally(() => calls.delete(call));
  calls.add(call);
}
await Promise.all(calls);
await nc.drain();
