// Joins the stream to what it moves.

import { Details } from "./details.js";
import { Events } from "./events.js";
import { Facts } from "./facts.js";
import { Feed, hasToken, keepToken } from "./feed.js";
import { clock } from "./format.js";
import { Table } from "./table.js";

const facts = new Facts();
const events = new Events();
const table = new Table((id) => details.open(id));
const details = new Details((id) => table.rows.get(id), () => facts.hasDatabase);
let complete = false;

/** What changed of a record, found by comparing a row with its last state; null where that is no event. */
function change({ enabled, version }, before) {
  if (!before) return "was created";
  if (before.enabled !== enabled) return enabled ? "was enabled" : "was disabled";
  return before.version === version ? null : `changed from ${before.version} to ${version}`;
}

/** Adds the changes of records. Several of one revision are in its note: one line, with ids and actor. */
function tell(taken) {
  if (!complete) return;
  const changes = taken
    .map(([{ id, figures }, before]) => ({ id, revision: figures.revision, text: change(figures, before) }))
    .filter(({ text }) => text);
  for (const { id, revision, text } of changes) {
    const alone = changes.filter((other) => other.revision === revision).length === 1;
    if (alone) events.add({ at: Date.now(), tone: "plain", id, text });
  }
}

const hear = {
  hello({ boot, stats, notes }) {
    complete = false;
    facts.begin(boot);
    facts.show(stats);
    table.begin();
    events.begin(boot, Date.parse(stats.started_at));
    for (const note of notes) events.add(note);
  },
  rows({ rows = [], gone = [] }) {
    tell(rows.map((figures) => table.take(figures)));
    for (const id of gone) table.remove(id);
    if (gone.length === 1) events.add({ at: Date.now(), tone: "plain", text: `${gone[0]} was removed` });
    details.draw();
  },
  ready() {
    table.end();
    complete = true;
    details.follow();
  },
  stats: (stats) => facts.show(stats),
  tick(points) {
    table.tick(points);
    details.draw();
  },
  note(note) {
    events.add(note);
    if (note.tone === "bad") events.announce(`${note.id ?? "Registry"}: ${note.text}`);
  },
};

const link = document.getElementById("link");
let away = false;

function showLink(state, why) {
  const live = state === "live";
  link.dataset.tone = live ? "good" : state === "asleep" ? "idle" : "bad";
  document.body.classList.toggle("away", !live);
  if (live) link.textContent = "live";
  else if (!away) link.textContent = `${complete ? `as of ${clock(Date.now())}` : "no data"}: ${why}`;
  if (away === live) events.announce(live ? "The page is live again." : `The page is not live: ${why}.`);
  away = !live;
}

/** Asks for a token until one is given. */
function wantToken() {
  const dialog = document.getElementById("token");
  const secret = document.getElementById("secret");
  document.getElementById("refused").textContent = hasToken() ? "That token was refused." : "";
  secret.value = "";
  dialog.showModal();
  return new Promise((given) => {
    dialog.addEventListener("close", () => {
      if (secret.value) keepToken(secret.value.trim());
      given();
    }, { once: true });
  });
}

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  const filter = document.getElementById("filter");
  if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    filter.focus();
  }
});

new Feed((kind, data) => hear[kind]?.(data), showLink, wantToken).follow();
