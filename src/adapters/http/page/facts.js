// The registry itself: where its data comes from, how old it is, and what it is connected to.

import { count, element, span, write } from "./format.js";

/** Name, text and tone of each fact; `per` gives what happened per second. */
function facts(stats, per) {
  const { source, active_source: active } = stats;
  const stale = stats.staleness_ms;
  const waiting = source === "auto" && active === "fixtures";
  const list = [
    ["Enabled", `${count(stats.enabled_extensions)} of ${count(stats.total_extensions)}`, "plain"],
    ["Source", `${active}${source === "auto" ? " (auto)" : ""}`, waiting ? "warn" : active === "none" ? "bad" : "plain"],
    ["Revision", count(stats.revision), "plain"],
    ["NATS", stats.nats.state, stats.nats.state === "up" ? "good" : "bad"],
  ];
  if (hasDatabase(stats)) {
    list.push(
      ["Database", stats.database.state, { up: "good", away: "bad", failing: "bad" }[stats.database.state] ?? "idle"],
      ["Listener", stats.listener.state, { listening: "good", polling: "warn" }[stats.listener.state] ?? "idle"],
      ["Confirmed", stale == null ? "never" : stale < 1000 ? "just now" : `${span(stale)} ago`, stats.database.state !== "up" ? "warn" : "plain"],
    );
  }
  return [
    ...list,
    ["Lookups", per("lookups", stats.lookups.hits + stats.lookups.misses), "plain"],
    ["Calls", per("calls", calls(stats.invocations)), "plain"],
    ["Up for", span(stats.uptime_ms), "plain"],
  ];
}

const hasDatabase = ({ source, database }) => source !== "fixtures" || database.state !== "off";

const calls = ({ success, failure, timeout, neutral, pushed_back, cancelled, rejected, overloaded }) =>
  success + failure + timeout + neutral + pushed_back + cancelled + rejected + overloaded;

export class Facts {
  #list = document.getElementById("facts");
  #faults = new Foldout("faults");
  #sidecars = new Foldout("sidecars");
  #error = document.getElementById("error");
  #tiles = new Map();
  #before = {};
  #boot;

  /** Whether there is a database, and so an audit. */
  hasDatabase = false;

  /** Figures of another run of the registry begin at zero. */
  begin(boot) {
    if (this.#boot !== boot) this.#before = {};
    this.#boot = boot;
  }

  show(stats) {
    this.hasDatabase = hasDatabase(stats);
    const at = stats.uptime_ms;
    const per = (name, now) => {
      const before = this.#before[name] ?? { now, at, text: "–" };
      const seconds = (at - before.at) / 1000;
      // Over less than a second a rate would be noise.
      const text = seconds < 0.9 ? before.text : `${count((now - before.now) / seconds)}/s`;
      this.#before[name] = seconds < 0.9 ? before : { now, at, text };
      return text;
    };
    for (const [name, text, tone] of facts(stats, per)) {
      let tile = this.#tiles.get(name);
      if (!tile) {
        tile = element("dd");
        this.#tiles.set(name, tile);
        this.#list.append(element("div", {}, element("dt", {}, name), tile));
      }
      write(tile, text);
      tile.dataset.tone = tone;
    }
    const version = `${stats.instance_id} · ${stats.version}`;
    write(document.getElementById("instance"), version);
    document.title = `${stats.instance_id} – beamline-registry`;
    this.#error.hidden = !stats.last_error;
    write(this.#error, `The last load failed: ${stats.last_error}`);
    const { quarantined, quarantined_total: faults, sidecars: { total, instance_ids: ids } } = stats;
    this.#faults.show(faults, faults === 1 ? "1 record is quarantined" : `${count(faults)} records are quarantined`,
      quarantined.map(({ origin, reason }) => [origin, reason]));
    // Alone there is nobody else to look at.
    this.#sidecars.show(total > 1 ? total : 0, `${count(total)} sidecars share this database`,
      ids.map(id => [id, id === stats.instance_id ? "this page" : ""]));
  }
}

/** A heading that unfolds a list of codes, each with a few words; hidden while there is nothing to list. */
class Foldout {
  #details;
  #shown = "";

  constructor(id) {
    this.#details = document.getElementById(id);
  }

  show(total, title, items) {
    const key = JSON.stringify([total, items]);
    if (this.#shown === key) return;
    this.#shown = key;
    this.#details.hidden = total === 0;
    const [summary, list] = this.#details.children;
    write(summary, title);
    list.replaceChildren(...items.map(([code, words]) =>
      element("li", {}, element("code", {}, code), ` ${words}`)));
    if (total > items.length) list.append(element("li", {}, `and ${count(total - items.length)} more`));
  }
}
