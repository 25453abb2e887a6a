// A line over the last ten minutes, drawn again at each look: a picture, a sentence for screen readers, and numbers.

import { drawn, element, fillTable, tell } from "./elements.js";
import { clock, short } from "./format.js";

const SPAN_MS = 600_000;
const GAP_MS = 30_000;
const HEIGHT = 144;
const LEFT = 44, RIGHT = 6, TOP = 8, BOTTOM = 18;

export class Chart {
  constructor(figure, valueOf, told) {
    this.figure = figure;
    this.valueOf = valueOf;
    this.told = told;
    this.title = figure.dataset.title;
    this.readout = element("span", { class: "hint" });
    this.picture = drawn("svg", { role: "img" });
    this.table = element("table", { "aria-label": this.title });
    this.numbers = element("details", { toggle: () => this.draw(this.samples ?? []) },
      element("summary", {}, "Numbers"), this.table);
    figure.append(element("h3", {}, this.title), this.readout, this.picture, this.numbers);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
  }

  draw(samples) {
    this.samples = samples;
    const points = samples.filter((sample) => this.valueOf(sample) !== null);
    const last = points.at(-1);
    const width = Math.max(200, this.picture.clientWidth || 600);
    const end = samples.at(-1)?.at_ms ?? 0;
    const top = niceTop(Math.max(0, ...points.map((sample) => this.valueOf(sample))));
    this.x = (at) => LEFT + (width - LEFT - RIGHT) * (1 - (end - at) / SPAN_MS);
    this.y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    this.points = points.filter((sample) => end - sample.at_ms <= SPAN_MS);
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", this.sentence(last));
    this.picture.replaceChildren(...this.grid(top, width), ...this.lines());
    if (!this.pointed) tell(this.readout, last ? this.told(this.valueOf(last)) : "no numbers yet");
    if (this.numbers.open) this.list();
  }

  sentence(last) {
    if (!last) return `${this.title}: no numbers yet`;
    const values = this.points.map(this.valueOf);
    const range = `from ${short(Math.min(...values))} to ${short(Math.max(...values))}`;
    return `${this.title}: ${this.told(this.valueOf(last))} now, ${range} in the last ten minutes`;
  }

  grid(top, width) {
    const rows = [0, top / 2, top].flatMap((value) => [
      drawn("line", { class: "chart-grid", x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      drawn("text", { class: "chart-label", x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, short(value)),
    ]);
    const times = [[LEFT, "start", "10 min ago"], [width - RIGHT, "end", "now"]].map(([x, anchor, text]) =>
      drawn("text", { class: "chart-label", x, y: HEIGHT - 3, "text-anchor": anchor }, text));
    return [...rows, ...times];
  }

  lines() {
    const base = this.y(0);
    return runs(this.points).flatMap((run) => {
      const steps = run.map((sample) => `${this.x(sample.at_ms).toFixed(1)},${this.y(this.valueOf(sample)).toFixed(1)}`);
      const first = this.x(run[0].at_ms).toFixed(1), last = this.x(run.at(-1).at_ms).toFixed(1);
      return [
        drawn("path", { class: "chart-area", d: `M${first},${base} L${steps.join(" ")} L${last},${base}Z` }),
        drawn("path", { class: "chart-line", d: `M${steps.join(" L")}` }),
      ];
    });
  }

  point(event) {
    this.picture.querySelector(".chart-mark")?.remove();
    this.pointed = event !== null && this.points?.length > 0;
    if (!this.pointed) return;
    const x = event.offsetX;
    const near = this.points.reduce((best, sample) =>
      Math.abs(this.x(sample.at_ms) - x) < Math.abs(this.x(best.at_ms) - x) ? sample : best);
    const mark = { class: "chart-mark", cx: this.x(near.at_ms), cy: this.y(this.valueOf(near)), r: 4 };
    this.picture.append(drawn("circle", mark));
    tell(this.readout, `${this.told(this.valueOf(near))} at ${clock(near.at_ms)}`);
  }

  list() {
    const rows = this.points.filter((_, index) => (this.points.length - 1 - index) % 30 === 0).reverse();
    fillTable(this.table, [
      { title: "time", cell: (sample) => clock(sample.at_ms) },
      { title: "value", number: true, cell: (sample) => this.told(this.valueOf(sample)) },
    ], rows, (sample) => String(sample.at_ms));
  }
}

// Between looks that lie far apart nothing is known, so nothing is drawn.
function runs(points) {
  const found = [];
  for (const point of points) {
    const run = found.at(-1);
    if (run && point.at_ms - run.at(-1).at_ms <= GAP_MS) run.push(point);
    else found.push([point]);
  }
  return found;
}

// The next of 1, 2, 5, 10, 20, 50 …
export function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value) ?? 10 * power;
}
