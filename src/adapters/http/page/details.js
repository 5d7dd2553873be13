// One extension in full: read when it is opened, and again when its figures show that it changed.

import { large } from "./chart.js";
import { ask } from "./feed.js";
import { count, element, latency, moment, rate } from "./format.js";
import { STATES } from "./row.js";

const AUDITED = 12;

export class Details {
  #dialog = document.getElementById("details");
  #row;
  #charts;
  #figures;
  #version;

  /** `find(id)` gives the row of an extension, `hasAudit()` returns whether there is an audit. */
  constructor(find, hasAudit) {
    this.find = find;
    this.hasAudit = hasAudit;
    this.#dialog.addEventListener("close", () => {
      this.#row = undefined;
      if (location.hash.startsWith("#/")) history.replaceState(null, "", location.pathname + location.search);
    });
    // A click beside the dialog closes it.
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    addEventListener("hashchange", () => this.follow());
  }

  open(id) {
    if (location.hash === `#/${id}`) this.follow();
    else location.hash = `/${id}`;
  }

  /** Shows what the address names. */
  follow() {
    // With a slash, so that no id is taken for a part of the page.
    const row = this.find(location.hash.replace(/^#\//, ""));
    if (!row || row === this.#row) return;
    this.#row = row;
    this.#version = undefined;
    this.#charts = element("div", { class: "charts" });
    this.#figures = element("dl", { class: "figures" });
    const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "✕");
    close.addEventListener("click", () => this.#dialog.close());
    this.record = element("div", { class: "record" }, element("p", { class: "note" }, "Reading…"));
    this.#dialog.replaceChildren(
      element("header", {}, element("h2", { id: "details-title" }, row.id), close),
      this.#charts, this.#figures, this.record);
    this.draw();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#read(row);
  }

  /** The figures of the extension that is shown moved. */
  draw() {
    const row = this.#row;
    if (!row) return;
    const { figures } = row;
    const [word, mark, tone] = STATES[row.state];
    const fact = (name, text, toned) => element("div", {}, element("dt", {}, name), element("dd", { "data-tone": toned }, text));
    this.#charts.replaceChildren(...large(row.points, latency, count));
    this.#figures.replaceChildren(
      fact("State", `${mark} ${word}${figures.ailing ? ` ${figures.ailing}` : ""}`, tone),
      fact("Success, 5 min", rate(row.recent)),
      fact("Success, all time", rate(figures.success_rate)),
      fact("Calls, 5 min", count(row.calls)),
      fact("p50", latency(figures.p50_ms)),
      fact("p99", latency(figures.p99_ms)));
    const version = JSON.stringify([figures.revision, row.state]);
    if (this.#version && this.#version !== version) this.#read(row);
    this.#version = version;
  }

  async #read(row) {
    const id = encodeURIComponent(row.id);
    const get = async (path, revive) => {
      const answer = await ask(path);
      return [answer.ok, JSON.parse(await answer.text(), revive)];
    };
    try {
      const [[found, record], [, health], [, { circuits = [] }], [answered, audit]] = await Promise.all([
        get(`admin/extensions/${id}`, exact),
        get(`admin/extensions/${id}/health`),
        get(`admin/circuits?id=${id}`),
        this.hasAudit() ? get(`live/changes?id=${id}&limit=${AUDITED}`) : [false, { error: { message: "this sidecar serves files" } }],
      ]);
      if (this.#row !== row) return; // Another one was opened meanwhile.
      if (!found) throw new Error(record.error.message);
      const cut = new Map(circuits.map((it) => [it.version, it]));
      const own = new Map((health.versions ?? []).map((it) => [it.version, { ...it, circuit: cut.get(it.version) ?? {} }]));
      this.record.replaceChildren(
        ...helps(record, row, own), ...plain(record), ...versions(record, own), ...failed(health.failures), ...instances(record, circuits),
        ...audited(answered ? audit.entries : [], audit.error), ...documents(record));
    } catch (error) {
      if (this.#row === row) this.record.replaceChildren(element("p", { class: "notice" }, `Cannot read this extension: ${error.message}`));
    }
  }
}

/** Keeps the text of a number that would be written as another one; `JSON.stringify` writes it. */
const exact = (_key, value, { source } = {}) =>
  typeof value === "number" && source && source !== String(value) ? JSON.rawJSON(source) : value;

function table(title, heads, rows, none) {
  const head = element("h3", {}, title);
  if (!rows.length) return [head, element("p", { class: "note" }, none)];
  return [head, element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell ?? "–")))))))];
}

const code = (text) => element("code", {}, text);

/** Commands for what is wrong, to be copied. */
function helps(record, row, own) {
  const { id } = record;
  const ailing = row.figures.ailing;
  const rolledOut = record.versions.some(({ version, rollout }) => version === ailing && rollout);
  const forced = [...own.values()].filter(({ circuit }) => circuit.forced);
  const commands = [
    ["bad", "warn"].includes(STATES[row.state][2]) && `health ${id}`,
    rolledOut && `rollout ${id} ${ailing} 0`,
    ...forced.map(({ version, current }) => `circuit ${id} reset${current ? "" : ` --version ${version}`}`),
    (!record.enabled || record.auto_disabled) && `enable ${id}`,
    `explain ${id} --context tenant_id=…`,
  ];
  return [element("div", { class: "helps" }, ...commands.filter(Boolean).map((command) => {
    const text = `beamline-registry ${command}`;
    const copy = element("button", { type: "button", "aria-label": `Copy ${text}` }, "Copy");
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    });
    // Browsers give a clipboard to pages of this host, and to those with TLS.
    return element("div", {}, code(text), navigator.clipboard && copy);
  }))];
}

function plain(record) {
  const facts = [
    ["Type", record.type], ["Owner", record.owner], ["Subject", code(record.subject)],
    ["Timeout", `${count(record.timeout_ms)} ms`], ["Retries", record.retry],
    ["Enabled", record.enabled ? (record.auto_disabled ? "yes, but disabled automatically" : "yes") : "no"],
    ["Fallback", record.fallback.join(", ")], ["Warnings", record.warnings?.join("; ")], ["Revision", record.revision],
    ["Changed", record.updated_at && `${moment(record.updated_at)} by ${record.updated_by ?? "?"}`],
    ["Created", record.created_at && `${moment(record.created_at)} by ${record.created_by ?? "?"}`],
  ];
  return [element("dl", { class: "plain" }, ...facts.filter(([, value]) => value !== "" && value != null).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))))];
}

function state(own, version) {
  const found = own.get(version);
  const forced = found?.circuit.forced ? ", forced" : "";
  if (!found || found.state === "no_data") return element("span", { class: "idle" }, `not called${forced}`);
  const [word, mark, tone] = STATES[found.state];
  const pill = element("span", { class: "pill", "data-tone": tone }, `${mark} ${word}${forced}`);
  const more = [
    found.failing_since && `since ${moment(found.failing_since)}`,
    found.rests_until && `until ${moment(found.rests_until)}`,
    found.circuit.retry_at && `next try ${moment(found.circuit.retry_at)}`,
  ];
  return element("span", {}, pill, ` ${more.filter(Boolean).join(", ")}`);
}

/** The last failures: absent for readers who may not see the error texts of extensions, and while there are none. */
function failed(failures = []) {
  if (!failures.length) return [];
  return table("Last failures", ["When", "Version", "Instance", "What", "Error", "Tenant"], failures.map((it) =>
    [moment(it.at), it.version, it.instance, [it.kind.replaceAll("_", " "), it.code].filter(Boolean).join(" "), it.error, it.tenant_id]), "");
}

function versions(record, own) {
  const rollout = ({ routing_rules, rollout }) => {
    if (rollout) return `${JSON.stringify(rollout.percent)} % by ${rollout.by}`;
    return routing_rules ? code(JSON.stringify(routing_rules)) : null;
  };
  const row = (version, current) => [
    current ? element("b", {}, `${version.version} (current)`) : version.version,
    version.enabled ? "yes" : "no", state(own, version.version), rollout(version), code(version.subject),
  ];
  const others = record.versions.filter(({ version }) => version !== record.version);
  return table("Versions", ["Version", "Enabled", "State", "For", "Subject"],
    [row(record, true), ...others.map((version) => row(version, false))], "");
}

/** The instances, and which of them rest after push-back; calls go on at the others. */
function instances(record, circuits) {
  const rests = new Map(circuits.flatMap(({ resting = [] }) => resting.map((it) => [it.instance_id, it.until])));
  const state = (id) => rests.has(id) ? element("span", {},
    element("span", { class: "pill", "data-tone": "warn" }, "◇ resting"), ` until ${moment(rests.get(id))}`) : null;
  return table("Instances", ["Instance", "Version", "Weight", "Enabled", "State", "Subject"],
    record.instances.map(({ instance_id, version, weight, enabled, subject }) =>
      [instance_id, version, weight, enabled ? "yes" : "no", state(instance_id), code(subject)]),
    "None: calls go to the version's own subject.");
}

function audited(entries, error) {
  const none = error ? `Audit unavailable: ${error.message}.` : "Nothing yet.";
  return table("Recent audit", ["When", "What", "By", "Fields"], entries.map((entry) =>
    [moment(entry.timestamp), entry.action.replaceAll("_", " "), entry.changed_by, entry.changes?.join(", ")]), none);
}

function documents(record) {
  return ["config", "metadata", "circuit_breaker"].filter((field) => Object.keys(record[field] ?? {}).length).map((field) =>
    element("details", {}, element("summary", {}, field.replace("_", " ")), element("pre", {}, JSON.stringify(record[field], null, 2))));
}
