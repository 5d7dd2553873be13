// Figures formatted for reading, and elements made without markup from data.

const MISSING = "–";

/** A share of 0 to 1 as a percentage; 100 % only when nothing failed. */
export function rate(share) {
  if (share == null) return MISSING;
  const percent = share * 100;
  if (percent === 100 || percent === 0) return `${percent} %`;
  if (percent > 99.9) return `${Math.floor(percent * 100) / 100} %`;
  return `${percent.toFixed(1)} %`;
}

/** Milliseconds with three figures. */
export function latency(ms) {
  if (ms == null) return MISSING;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 100) return `${ms.toFixed(1)} ms`;
  if (ms < 10_000) return `${Math.round(ms).toLocaleString("en")} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** A number with thousands apart. */
export const count = (number) => Math.round(number).toLocaleString("en");

/** A span of time in its two largest units. */
export function span(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The time of day of a moment. */
export const clock = (moment) =>
  Number.isFinite(moment) ? new Date(moment).toLocaleTimeString("en-GB") : MISSING;

/** Date and time of a moment, by the clock of the reader, with its zone. */
export function moment(text) {
  if (!text) return MISSING;
  const at = new Date(text);
  return `${at.toLocaleDateString("en-CA")} ${at.toLocaleTimeString("en-GB", { timeZoneName: "short" })}`;
}

/** An element with attributes and children; text stays text, whatever it contains. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value != null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/** Sets text only where it differs, so that nothing is laid out anew for nothing. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
