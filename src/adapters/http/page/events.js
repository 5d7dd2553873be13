// What happened, newest first.

import { clock, element } from "./format.js";

const KEPT = 100;
const ANNOUNCE_MS = 2_000;

export class Events {
  #list = document.querySelector("#events ol");
  #none = document.querySelector("#events .notice");
  #alert = document.getElementById("alert");
  #announced = -Infinity;
  #boot;

  /** A snapshot repeats the notes it has; notes from before a restart of the registry stay. */
  begin(boot, at) {
    if (this.#boot === boot) this.#list.replaceChildren();
    else if (this.#boot) this.add({ at, tone: "plain", text: "the registry was restarted" });
    this.#boot = boot;
  }

  /** Adds `{at, tone, id?, text}`. */
  add({ at, tone, id, text }) {
    this.#none.hidden = true;
    const link = id && element("a", { href: `#/${id}` }, id);
    this.#list.prepend(element("li", { "data-tone": tone },
      element("time", { datetime: Number.isFinite(at) && new Date(at).toISOString() }, clock(at)),
      element("span", {}, link, link && " ", text)));
    while (this.#list.children.length > KEPT) this.#list.lastElementChild.remove();
  }

  /** Announces something to screen readers; seldom. */
  announce(text) {
    const now = performance.now();
    if (now - this.#announced < ANNOUNCE_MS) return;
    this.#announced = now;
    this.#alert.textContent = text;
  }
}
