// A card with a line chart. What is drawn comes from a spec (see cards.js); uPlot does the drawing.

import { info, make } from "./elements.js";
import { text } from "./format.js";
import { FONT, colour, faded } from "./theme.js";

const SYNC = "inferometer";
const EDGE_WIDTH = 26; // CSS pixels: half of a time in words

/** The frame that every card has: title, explanation, legend, plot, caption. */
export function frame({ id, title, explanation, caption, wide }) {
  const legend = make("div", { class: "legend" });
  const plot = make("div", { class: "plot", role: "img", "aria-label": title });
  const root = make(
    "article",
    { class: `card wide-${wide}`, id },
    make("div", { class: "card-head" }, make("h2", {}, title), info(title, explanation)),
    legend,
    plot,
    make("p", { class: "caption" }, caption),
  );
  return { root, legend, plot };
}

/** Columns for uPlot; a pause between two points becomes a gap and is never bridged. */
export function columns(points, values, pauseMs) {
  const table = [[], ...values.map(() => [])];
  let last = null;
  for (const point of points) {
    if (last !== null && point.time_ms - last > pauseMs) {
      table[0].push((last + 1) / 1000);
      table.slice(1).forEach((column) => column.push(null));
    }
    last = point.time_ms;
    table[0].push(point.time_ms / 1000);
    values.forEach((value, at) => table[at + 1].push(value(point) ?? null));
  }
  return table;
}

export function axes(spec) {
  const shared = { font: FONT, stroke: colour("faint"), grid: { stroke: colour("grid"), width: 1 } };
  return [
    { ...shared, ticks: { show: false }, grid: { show: false }, space: 70, size: 26, values: clockTimes, filter: inside },
    { ...shared, ticks: { show: false }, size: spec.axisWidth ?? 58, space: 30, ...spec.axis },
  ];
}

/** Leave out times whose words would reach beyond the edge. */
function inside(plot, ticks) {
  const { min, max } = plot.scales.x;
  const marginS = ((max - min) * EDGE_WIDTH) / plot.width;
  return ticks.map((tick) => (tick > max - marginS ? null : tick));
}

function clockTimes(_plot, ticks) {
  const whole = ticks.every((tick) => tick % 60 === 0);
  return ticks.map((tick) => {
    if (tick === null) return null;
    const time = new Date(tick * 1000);
    const parts = [time.getHours(), time.getMinutes(), ...(whole ? [] : [time.getSeconds()])];
    return parts.map((part) => String(part).padStart(2, "0")).join(":");
  });
}

/** Dashed lines for what was promised, with their names. */
export function drawLimits(plot, limits) {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  ctx.font = FONT.replace("11px", `${10.5 * ratio}px`);
  for (const { value, label, tone } of limits) {
    const y = plot.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(tone);
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(label, bbox.left + 6 * ratio, y - 3 * ratio);
  }
  ctx.restore();
}

export class LineChart {
  constructor(spec) {
    this.spec = spec;
    Object.assign(this, frame(spec));
    this.points = [];
    this.series = [];
    this.limits = [];
    this.table = [[]];
  }

  update(points, view) {
    const { spec } = this;
    this.points = points;
    const latest = points.at(-1) ?? null;
    const series = typeof spec.series === "function" ? spec.series(points) : spec.series;
    this.limits = latest && spec.limits ? spec.limits(latest) : [];
    this.table = columns(points, series.map((one) => one.value), view.pauseMs);
    if (!this.chart || this.names !== series.map((one) => one.label).join()) this.build(series);
    this.chart.batch(() => {
      this.chart.setData(this.table, false);
      this.chart.setScale("x", { min: view.from, max: view.to });
    });
    this.tell(this.chart.cursor.idx);
  }

  /** Draw anew: after a change of theme, or when other series are there. */
  build(series) {
    this.series = series;
    this.names = series.map((one) => one.label).join();
    this.chart?.destroy();
    this.chart = new uPlot(this.options(), this.table, this.plot);
    this.observer ??= new ResizeObserver(() => this.chart.setSize(this.size()));
    this.observer.observe(this.plot);
    this.legend.replaceChildren(...series.map((one) => this.entry(one)));
  }

  rebuild() {
    if (this.chart) this.build(this.series);
  }

  size() {
    return { width: Math.max(this.plot.clientWidth, 100), height: Math.max(this.plot.clientHeight, 120) };
  }

  options() {
    const { spec } = this;
    const range = (_plot, low, high) => spec.range(low, high, this.limits);
    return {
      ...this.size(),
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: SYNC }, points: { size: 7 } },
      scales: { x: { time: true, auto: false }, y: { range, ...spec.scale } },
      axes: axes(spec),
      series: [{}, ...this.series.map(line)],
      bands: (spec.bands ?? []).map(({ between, tone, alpha }) => ({ series: between, fill: faded(tone, alpha) })),
      hooks: {
        draw: [(plot) => drawLimits(plot, this.limits)],
        setCursor: [(plot) => this.tell(plot.cursor.idx)],
      },
    };
  }

  entry({ label, tone, block, dash }) {
    const mark = make("i", { class: [block ? "block" : "", dash ? "dashed" : ""].join(" ") });
    mark.style.background = colour(tone);
    return make("span", {}, mark, label, make("b", { "data-series": label }, ""));
  }

  /** Write the values under the cursor into the legend; without a cursor, the newest. */
  tell(index) {
    const point = this.pointAt(index ?? this.table[0].length - 1);
    const values = this.legend.querySelectorAll("b");
    const words = this.series.map((one, place) => {
      const value = point ? ((one.told ?? one.value)(point) ?? null) : null;
      const told = text((one.format ?? this.spec.format)(value));
      values[place].textContent = told;
      return `${one.label} ${told}`;
    });
    if (index === null || index === undefined) {
      this.plot.setAttribute("aria-label", `${this.spec.title}: ${words.join(", ")}`);
    }
  }

  pointAt(index) {
    const time = this.table[0][index]; // undefined without any point, and then nothing is found
    return this.points.findLast((point) => point.time_ms / 1000 <= time + 1e-6) ?? null;
  }
}

function line({ label, tone, width = 2, fill, dash }) {
  return {
    label,
    stroke: colour(tone),
    width,
    dash,
    fill: fill ? faded(tone, fill) : undefined,
    points: { show: false },
    spanGaps: false,
  };
}
