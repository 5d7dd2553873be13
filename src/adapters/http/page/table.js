// The table: which rows are shown, in which order, and no more of them than are scrolled to.

import { count, element, write } from "./format.js";
import { Row, STATES } from "./row.js";

/** Rows made at a time. A browser lays this many out in a few milliseconds. */
const STEP = 150;
/** While figures move, rows change places at most so often. */
const RESORT_MS = 3_000;

const CHIPS = [["all", "All"], ["open", "Open"], ["half_open", "Half-open"], ["resting", "Resting"], ["degraded", "Degraded"], ["auto_disabled", "Auto-disabled"], ["disabled", "Disabled"]];
const byId = (a, b) => (a.id < b.id ? -1 : 1);

export class Table {
  /** All rows, by id. */
  rows = new Map();
  #body = document.querySelector("tbody");
  #heads = [...document.querySelectorAll("thead th")];
  #filter = document.getElementById("filter");
  #type = document.getElementById("type");
  #more = document.getElementById("more");
  #empty = document.getElementById("empty");
  #chips = new Map();
  #state = "all";
  #sort = { column: "state", down: false };
  #limit = STEP;
  #shown = [];
  #due = false;
  #sorted = 0;
  #timer;
  #seen = new Set();

  /** `open(id)` shows the details of an extension. */
  constructor(open) {
    this.#read(new URLSearchParams(location.search));
    this.#makeChips();
    for (const head of this.#heads) {
      head.firstElementChild.addEventListener("click", () => this.#sortBy(head.dataset.sort));
    }
    for (const input of [this.#filter, this.#type]) {
      input.addEventListener("input", () => this.#anew());
    }
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    this.#more.addEventListener("click", () => this.#extend());
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.#extend(), { rootMargin: "600px" })
      .observe(this.#more);
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row && !getSelection().toString()) open(row.querySelector(".name").dataset.id);
    });
    this.#body.addEventListener("keydown", (event) => this.#walk(event));
    this.#markSort();
  }

  /** A snapshot begins: what it does not name is gone. */
  begin() {
    this.#seen = new Set();
  }

  end() {
    for (const id of this.rows.keys()) if (!this.#seen.has(id)) this.remove(id);
    this.#anew();
  }

  /** Takes figures of one extension; its row, and its figures before. */
  take(figures) {
    let row = this.rows.get(figures.id);
    if (!row) this.rows.set(figures.id, (row = new Row(figures.id)));
    this.#seen.add(figures.id);
    const before = row.take(figures);
    // A new state is worth a move at once; a figure that moved is not.
    this.refresh(before?.state !== row.state);
    return [row, before];
  }

  remove(id) {
    this.rows.get(id)?.forget();
    this.rows.delete(id);
    this.refresh(true);
  }

  tick(points) {
    for (const [id, row] of this.rows) row.tick(points[id] ?? null);
    this.refresh(false);
  }

  /** Puts rows where they belong, in the next frame, or later while nothing but figures moved. */
  refresh(now) {
    if (this.#due) return;
    const wait = this.#sorted + RESORT_MS - performance.now();
    if (now || wait <= 0) {
      this.#due = true;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      requestAnimationFrame(() => this.#arrange());
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.refresh(true);
      }, wait);
    }
  }

  #anew() {
    this.#limit = STEP;
    this.#keep();
    this.refresh(true);
  }

  /** Shows what the address asks for. */
  #read(asked) {
    this.#filter.value = asked.get("q") ?? "";
    this.#type.value = asked.get("type") ?? "";
    if (CHIPS.some(([state]) => state === asked.get("state"))) this.#state = asked.get("state");
    const [column, direction] = (asked.get("sort") ?? "").split(":");
    if (this.#heads.some((head) => head.dataset.sort === column)) this.#sort = { column, down: direction === "down" };
  }

  /** Keeps in the address what is shown, so that it can be sent to somebody. */
  #keep() {
    const { column, down } = this.#sort;
    const shown = {
      q: this.#filter.value.trim(),
      type: this.#type.value,
      state: this.#state === "all" ? "" : this.#state,
      sort: column === "state" && !down ? "" : `${column}${down ? ":down" : ""}`,
    };
    const query = new URLSearchParams(Object.entries(shown).filter(([, value]) => value)).toString();
    history.replaceState(null, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
  }

  #extend() {
    if (this.#more.hidden) return;
    this.#limit += STEP;
    this.refresh(true);
  }

  #sortBy(column) {
    const { column: before, down } = this.#sort;
    // Numbers begin with the largest, but a rate with the worst.
    const first = ["p50", "p99", "calls"].includes(column);
    this.#sort = { column, down: column === before ? !down : first };
    this.#markSort();
    this.#anew();
  }

  #markSort() {
    for (const head of this.#heads) {
      const { column, down } = this.#sort;
      if (head.dataset.sort === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  #wanted() {
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const type = this.#type.value;
    const counts = { all: 0 };
    const wanted = [];
    for (const row of this.rows.values()) {
      if (type && row.figures.type !== type) continue;
      if (!words.every((word) => row.text.includes(word))) continue;
      counts.all += 1;
      counts[row.state] = (counts[row.state] ?? 0) + 1;
      if (this.#state === "all" || row.state === this.#state) wanted.push(row);
    }
    this.#count(counts);
    return wanted;
  }

  #arrange() {
    this.#due = false;
    this.#sorted = performance.now();
    const wanted = this.#wanted();
    const { column, down } = this.#sort;
    const keyed = wanted.map((row) => [row.key(column), row]);
    keyed.sort(([a, one], [b, other]) => {
      if (a == null || b == null) return (a == null) - (b == null) || byId(one, other);
      if (a === b) return byId(one, other);
      return (a < b) === down ? 1 : -1;
    });
    const rows = keyed.slice(0, this.#limit).map(([, row]) => row);
    const focused = document.activeElement;
    const kept = new Set(rows);
    for (const row of this.#shown) if (!kept.has(row)) row.forget();
    // Only rows in the wrong place are moved.
    let place = this.#body.firstElementChild;
    for (const row of rows) {
      const node = row.node;
      if (node === place) place = place.nextElementSibling;
      else this.#body.insertBefore(node, place);
    }
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    this.#shown = rows;
    const left = wanted.length - rows.length;
    this.#more.hidden = left <= 0;
    write(this.#more, `Show more (${count(left)} left)`);
    this.#empty.hidden = wanted.length > 0;
    write(this.#empty, this.rows.size ? "No extension matches." : "There are no extensions yet.");
  }

  #makeChips() {
    const place = document.getElementById("states");
    for (const [state, label] of CHIPS) {
      const input = element("input", { type: "radio", name: "state", value: state, checked: state === this.#state });
      input.addEventListener("change", () => {
        this.#state = state;
        this.#anew();
      });
      const number = element("b", {}, "0");
      const chip = element("label", { "data-tone": STATES[state]?.[2] ?? "plain" }, input, element("span", {}, `${label} `, number));
      this.#chips.set(state, { chip, number });
      place.append(chip);
    }
  }

  #count(counts) {
    for (const [state, { chip, number }] of this.#chips) {
      write(number, count(counts[state] ?? 0));
      // What is never there is not offered, unless it is what was chosen.
      const rare = ["half_open", "resting", "degraded", "auto_disabled", "disabled"].includes(state);
      chip.hidden = rare && !counts[state] && this.#state !== state;
      chip.classList.toggle("none", !counts[state]);
    }
  }

  /** Arrow keys go from row to row. */
  #walk(event) {
    const rows = this.#shown;
    const at = rows.findIndex((row) => row.button === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (at < 0 || to === undefined || !rows[to]) return;
    event.preventDefault();
    rows[to].button.focus();
  }
}
