// The registry itself: where its data comes from, how old it is, and what it is connected to.

import { count, element, span, write } from "./format.js";

const STALE_MS = 120_000; // Twice the usual sync interval.

/** Name, text and tone of each fact; `per` gives what happened per second. */
function facts(stats, per) {
  const { source, active_source: active } = stats;
  const stale = stats.staleness_ms;
  const waiting = source === "auto" && active === "fixtures";
  const list = [
    ["Extensions", `${count(stats.enabled_extensions)} of ${count(stats.total_extensions)} enabled`, "plain"],
    ["Source", `${active}${source === "auto" ? " (auto)" : ""}`, waiting ? "warn" : active === "none" ? "bad" : "plain"],
    ["Revision", count(stats.revision), "plain"],
    ["NATS", stats.nats.state, stats.nats.state === "up" ? "good" : "bad"],
  ];
  if (stats.database.state !== "off" || source !== "fixtures") {
    list.push(
      ["Database", stats.database.state, { up: "good", away: "bad" }[stats.database.state] ?? "idle"],
      ["Listener", stats.listener.state, { listening: "good", polling: "warn" }[stats.listener.state] ?? "idle"],
      ["Confirmed", stale == null ? "never" : stale < 1000 ? "just now" : `${span(stale)} ago`, stale == null || stale > STALE_MS ? "warn" : "plain"],
    );
  }
  return [
    ...list,
    ["Lookups", `${per("lookups", stats.lookups.hits + stats.lookups.misses)}/s`, "plain"],
    ["Calls", `${per("calls", calls(stats.invocations))}/s`, "plain"],
    ["Up for", span(Date.now() - Date.parse(stats.started_at)), "plain"],
  ];
}

const calls = ({ success, failure, timeout, neutral, rejected, overloaded }) =>
  success + failure + timeout + neutral + rejected + overloaded;

export class Facts {
  #list = document.getElementById("facts");
  #faults = document.getElementById("faults");
  #tiles = new Map();
  #before = {};
  #boot;
  #faultsShown = "";

  show(stats) {
    if (this.#boot !== stats.started_at) this.#before = {};
    this.#boot = stats.started_at;
    const at = stats.uptime_ms;
    const per = (name, now) => {
      const before = this.#before[name];
      const seconds = before && (at - before.at) / 1000;
      const figure = seconds > 0 ? (now - before.now) / seconds : before?.figure;
      this.#before[name] = { now, at, figure };
      return count(figure ?? 0);
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
    this.#showFaults(stats);
  }

  #showFaults({ quarantined, quarantined_total: total }) {
    const key = JSON.stringify(quarantined);
    if (this.#faultsShown === key) return;
    this.#faultsShown = key;
    this.#faults.hidden = total === 0;
    const [summary, list] = this.#faults.children;
    write(summary, total === 1 ? "1 record is quarantined" : `${count(total)} records are quarantined`);
    list.replaceChildren(...quarantined.map(({ origin, reason }) =>
      element("li", {}, element("code", {}, origin), ` ${reason}`)));
    if (total > quarantined.length) list.append(element("li", {}, `and ${count(total - quarantined.length)} more`));
  }
}
