// One extension in the table: its figures, its elements, and what is compared when sorting.

import { Spark } from "./chart.js";
import { element, latency, rate, write } from "./format.js";

export const POINTS = 60;

/** States in the order in which they want attention: name, mark, tone. The mark says in grey what
 *  the colour says. */
export const STATES = {
  open: ["open", "▲", "bad"],
  auto_disabled: ["auto-disabled", "✕", "bad"],
  half_open: ["half-open", "◐", "warn"],
  resting: ["resting", "◇", "warn"],
  degraded: ["degraded", "▽", "warn"],
  ok: ["ok", "●", "good"],
  no_data: ["no data", "·", "idle"],
  disabled: ["disabled", "○", "idle"],
};
const RANKS = Object.fromEntries(Object.keys(STATES).map((state, rank) => [state, rank]));

export class Row {
  #cells;
  #spark;

  constructor(id) {
    this.id = id;
    this.points = Array(POINTS).fill(null);
  }

  /** Takes new figures; what changed of its state, for the events. */
  take({ history, ...figures }) {
    const before = this.figures && { ...this.figures, state: this.state };
    this.figures = figures;
    this.state = figures.state;
    const { id, type, version, subject, owner = "", team = "" } = figures;
    this.text = `${id} ${type} ${version} ${subject} ${owner} ${team}`.toLowerCase();
    if (history) this.points = [...Array(POINTS - history.length).fill(null), ...history];
    this.#sum();
    if (this.#cells) this.draw();
    return before;
  }

  /** An interval went by; `point` is null without calls. */
  tick(point) {
    this.points.push(point);
    while (this.points.length > POINTS) this.points.shift();
    this.#sum();
    if (this.#cells) this.draw();
  }

  #sum() {
    let [successes, failures] = [0, 0];
    for (const point of this.points) {
      if (!point) continue;
      successes += point[0];
      failures += point[1];
    }
    this.calls = successes + failures;
    this.recent = this.calls ? successes / this.calls : null;
  }

  get rate() {
    return this.recent ?? this.figures.success_rate;
  }

  /** What a column sorts by; null goes to the end. */
  key(column) {
    switch (column) {
      case "state": return RANKS[this.state];
      case "rate": return this.rate;
      case "p50": return this.figures.p50_ms;
      case "p99": return this.figures.p99_ms;
      case "calls": return this.calls || null;
      default: return this.figures[column];
    }
  }

  get button() {
    return this.#cells.name;
  }

  /** Its table row, made when it is first shown. */
  get node() {
    if (!this.#cells) this.#make();
    return this.#cells.row;
  }

  /** Lets go of its elements, which the table no longer shows. */
  forget() {
    this.#cells?.row.remove();
    this.#cells = undefined;
    this.#spark = undefined;
  }

  #make() {
    const cell = (kind, ...inside) => element("td", { role: "cell", class: kind }, ...inside);
    const name = element("button", { type: "button", class: "name" }, this.id);
    name.dataset.id = this.id;
    const sub = element("span", { class: "sub" });
    const pill = element("span", { class: "pill" });
    this.#spark = new Spark();
    const cells = {
      name, sub, pill,
      type: cell("wide type"), version: cell("wide"), rate: cell("number rate"),
      p50: cell("number p50"), p99: cell("number p99"),
    };
    cells.row = element("tr", { role: "row" },
      element("th", { role: "rowheader", scope: "row" }, name, sub),
      cells.type, cells.version, cell("state", pill), cells.rate, cells.p50, cells.p99,
      cell("chart", this.#spark.node));
    this.#cells = cells;
    this.draw();
  }

  draw() {
    const { figures, recent } = this;
    const cells = this.#cells;
    const [word, mark, tone] = STATES[this.state];
    write(cells.type, figures.type);
    write(cells.version, figures.version);
    write(cells.sub, `${figures.type} · ${figures.version}`);
    // A version that fails is named, unless it is the current one.
    write(cells.pill, `${mark} ${word}${figures.ailing ? ` ${figures.ailing}` : ""}`);
    cells.pill.dataset.tone = tone;
    cells.row.dataset.state = this.state;
    write(cells.rate, rate(this.rate));
    cells.rate.dataset.old = recent === null;
    cells.rate.dataset.tone = recent === null || recent >= 0.95 ? "plain" : recent < 0.8 ? "bad" : "warn";
    write(cells.p50, latency(figures.p50_ms));
    write(cells.p99, latency(figures.p99_ms));
    this.#spark.draw(this.points);
  }
}
