// Charts of the last minutes. A point is [successes, failures, p50 in ms, p99 in ms]; null stands
// for an interval without calls.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const fixed = (number) => Number(number.toFixed(1));

/** Bars from the bottom; `bottom` and `top` give the ends of each as shares of the height. */
function bars(points, width, height, ends) {
  const step = width / points.length;
  let path = "";
  points.forEach((point, at) => {
    const [from, to] = point ? ends(point) : [0, 0];
    if (to <= from) return;
    // A bar of one pixel for whatever is not nothing.
    const y = fixed(height - Math.max(to * height, from * height + 1));
    path += `M${fixed(at * step)} ${fixed(height - from * height)}V${y}h${fixed(step * 0.75)}V${fixed(height - from * height)}z`;
  });
  return path;
}

/** A line through the points that have a value, broken where there is none. */
function line(points, width, height, value, most) {
  const step = width / points.length;
  let path = "";
  let drawing = false;
  points.forEach((point, at) => {
    const share = point && value(point) != null ? value(point) / most : null;
    if (share === null) {
      drawing = false;
      return;
    }
    const [x, y] = [fixed((at + 0.4) * step), fixed(height - 1 - share * (height - 2))];
    // A point that stands alone would be no line: it is drawn one step wide.
    const alone = !points[at - 1] && !points[at + 1];
    path += drawing ? `L${x} ${y}` : `M${x} ${y}${alone ? `h${fixed(step)}` : ""}`;
    drawing = true;
  });
  return path;
}

const most = (points, value) =>
  points.reduce((top, point) => Math.max(top, point ? value(point) ?? 0 : 0), 0);

function paths(points, width, height) {
  const calls = most(points, (point) => point[0] + point[1]) || 1;
  const slowest = most(points, (point) => point[3]) || 1;
  return {
    fine: bars(points, width, height, (p) => [p[1] / calls, (p[0] + p[1]) / calls]),
    failed: bars(points, width, height, (p) => [0, p[1] / calls]),
    p99: line(points, width, height, (p) => p[3], slowest),
  };
}

/** The small chart of a row; `draw` it as often as there are new points. */
export class Spark {
  static #width = 120;
  static #height = 26;

  constructor() {
    const [width, height] = [Spark.#width, Spark.#height];
    this.node = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.parts = {};
    for (const part of ["fine", "failed", "p99"]) {
      this.parts[part] = this.node.appendChild(shape("path", { class: part }));
    }
  }

  draw(points) {
    for (const [part, path] of Object.entries(paths(points, Spark.#width, Spark.#height))) {
      if (this.parts[part].getAttribute("d") !== path) this.parts[part].setAttribute("d", path);
    }
  }
}

/** Two charts with axes, for the details: calls, and latencies. */
export function large(points, latency, count) {
  const [width, height] = [330, 64];
  const calls = most(points, (point) => point[0] + point[1]);
  const slowest = most(points, (point) => point[3]);
  const chart = (title, parts, label) => {
    const svg = shape("svg", { viewBox: `0 -18 ${width} ${height + 34}`, class: "large", role: "img", "aria-label": label });
    svg.append(shape("path", { class: "grid", d: `M0 .5H${width}M0 ${height / 2}H${width}M0 ${height}H${width}` }));
    for (const [part, path] of parts) svg.append(shape("path", { class: part, d: path }));
    const text = shape("text", { x: 0, y: -6 });
    text.textContent = title;
    svg.append(text);
    for (const [x, anchor, label] of [[0, "start", "5 min ago"], [width, "end", "now"]]) {
      const mark = shape("text", { x, y: height + 13, class: "axis", "text-anchor": anchor });
      mark.textContent = label;
      svg.append(mark);
    }
    return svg;
  };
  const { fine, failed } = paths(points, width, height);
  const failures = points.reduce((sum, point) => sum + (point?.[1] ?? 0), 0);
  return [
    chart(calls ? `Calls: at most ${count(calls)} in 5 s` : "No calls in 5 minutes", [["fine", fine], ["failed", failed]],
      `Calls: at most ${count(calls)} in 5 seconds; ${count(failures)} failed in 5 minutes`),
    chart(slowest ? `p50 and p99: at most ${latency(slowest)}` : "No latency", [
      ["p50", line(points, width, height, (p) => p[2], slowest || 1)],
      ["p99", line(points, width, height, (p) => p[3], slowest || 1)],
    ], `Latency: p99 at most ${latency(slowest || null)} in the last 5 minutes`),
  ];
}
