// A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//
//     lookup normalize_text
//     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//     stream {"id":"normalize_text","payload":{"text":"one two three"}}
//     cancel                                      (ends the last stream)

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { connect, createInbox, headers } from "@nats-io/transport-node";

const PREFIX = process.env.SUBJECT_PREFIX ?? "beamline.registry";
const INSTANCE_ID = process.env.INSTANCE_ID; // Of the sidecar in this pod.
const DEADLINE_MS = Number(process.env.DEADLINE_MS ?? 5000);
const MARGIN_MS = 500; // What a reply may take on its way.

// Whose answer it is. An extension's own error says that the call was carried out.
function kind(said) {
  const code = said.get("Nats-Service-Error-Code");
  if (!code) return said.get("Beamline-Stream") || "ok";
  return `${said.has("Beamline-Extension-Error") ? "extension" : "registry"} ${code}`;
}

// The replies to a request, with who gave them: the sidecar of this pod, else one of the group.
async function* replies(verb, payload, head) {
  // It would be sent after the reconnect, when nobody waits any more.
  if (!connected) throw new Error("disconnected");
  const subjects = [["group", `${PREFIX}.${verb}`]];
  if (INSTANCE_ID && !verb.startsWith("all.")) {
    subjects.unshift(["local", `${PREFIX}.local.${INSTANCE_ID}.${verb}`]);
  }
  const end = Date.now() + DEADLINE_MS + MARGIN_MS;
  for (const [via, subject] of subjects) {
    const reply = createInbox();
    const waiting = nc.subscribe(reply);
    const timer = setTimeout(() => waiting.unsubscribe(), end - Date.now());
    try {
      nc.publish(subject, payload, { reply, headers: head });
      let nobody = false;
      for await (const message of waiting) {
        const said = message.headers ?? headers();
        nobody = said.code === 503; // Says the server, at once; so nothing was carried out.
        if (nobody) break;
        yield [via, kind(said), message.string()];
        if (said.get("Beamline-Stream") !== "chunk") return;
      }
      if (!nobody) throw new Error("timeout");
    } finally {
      clearTimeout(timer);
      waiting.unsubscribe();
    }
  }
  throw new Error("no responders");
}

async function show(...request) {
  try {
    for await (const reply of replies(...request)) console.log(...reply);
  } catch (error) {
    // After a timeout nobody knows whether a call was carried out: it is not repeated here.
    console.log("failed", error.message);
  }
}

let connected = true;
const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
  reconnectTimeWait: 200,
});
(async () => {
  for await (const { type } of nc.status()) {
    if (["disconnect", "reconnect"].includes(type)) connected = type === "reconnect";
  }
})();
const calls = new Set();
let call;
for await (const line of createInterface({ input: process.stdin })) {
  let [, verb, payload] = line.match(/^(\S*) ?(.*)$/);
  const head = headers();
  head.set("Beamline-Deadline-Ms", `${DEADLINE_MS}`); // After it, the registry gives up too.
  if (verb === "stream") {
    [verb, call] = ["invoke", randomBytes(8).toString("hex")];
    head.set("Beamline-Accept", "stream");
    head.set("Beamline-Call-Id", call);
  } else if (verb === "cancel") {
    // Asks every sidecar; the one that has the call answers.
    [verb, payload] = ["all.cancel", JSON.stringify({ call })];
  }
  const shown = show(verb, payload, head).finally(() => calls.delete(shown));
  calls.add(shown);
}
await Promise.all(calls);
await nc.drain();
