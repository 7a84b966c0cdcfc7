// Time to first token as a heat map: one column per moment, one row per bucket, darker = more.

import { axes, drawLimits, frame } from "./chart.js";
import { make } from "./elements.js";
import { seconds, text } from "./format.js";
import { limitLines } from "./slo.js";
import { colour } from "./theme.js";

const CELL_WIDTH_MIN = 6; // CSS pixels; more points than that are drawn as one column
const ALPHA_MIN = 0.16;

export class HeatMap {
  constructor(spec) {
    this.spec = spec;
    Object.assign(this, frame(spec));
    this.told = make("b", { "data-series": "heat" });
    this.legend.append(make("span", {}, "first tokens", this.told));
    this.cells = [];
    this.rows = { low: 0, high: 1 };
  }

  update(points, view) {
    const latest = points.findLast((point) => point.heat_edges.length > 0);
    this.edges = latest ? latest.heat_edges : [];
    this.limits = latest ? limitLines(latest, "ttft") : [];
    this.cells = this.gather(points, view);
    this.rows = visible(this.cells, this.edges.length);
    this.chart ?? this.build();
    this.chart.batch(() => {
      this.chart.setData([[view.from, view.to], [0, 0]], false);
      this.chart.setScale("x", { min: view.from, max: view.to });
      this.chart.setScale("y", { min: this.rows.low, max: this.rows.high });
    });
    this.tell(null);
  }

  rebuild() {
    if (this.chart) this.build();
  }

  /** Columns wide enough to be seen; points of another life, with other edges, are left out. */
  gather(points, view) {
    const shape = this.edges.join();
    const stepS = view.intervalS;
    const perPixel = (view.to - view.from) / Math.max(this.plot.clientWidth, 200);
    const widthS = Math.max(1, Math.round((CELL_WIDTH_MIN * perPixel) / stepS)) * stepS;
    const cells = new Map();
    for (const point of points) {
      if (point.heat.length === 0 || point.heat_edges.join() !== shape) continue;
      const at = Math.floor(point.time_ms / 1000 / widthS) * widthS;
      const known = cells.get(at);
      cells.set(at, known ? known.map((count, row) => count + point.heat[row]) : point.heat);
    }
    return [...cells].map(([at, counts]) => ({ at, widthS, counts }));
  }

  build() {
    this.chart?.destroy();
    this.chart = new uPlot(this.options(), [[0], [0]], this.plot);
    this.observer ??= new ResizeObserver(() => this.chart.setSize(this.size()));
    this.observer.observe(this.plot);
  }

  size() {
    return { width: Math.max(this.plot.clientWidth, 100), height: Math.max(this.plot.clientHeight, 120) };
  }

  options() {
    const axis = {
      splits: () => this.ticks(),
      values: (_plot, rows) => rows.map((row) => text(seconds(this.edges[row - 1] ?? 0))),
      grid: { show: false },
    };
    return {
      ...this.size(),
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "inferometer" }, points: { show: false } },
      scales: { x: { time: true, auto: false }, y: { auto: false } },
      axes: axes({ axis }),
      series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
      hooks: {
        draw: [(plot) => this.draw(plot), (plot) => drawLimits(plot, this.limitRows())],
        setCursor: [(plot) => this.tell(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null)],
      },
    };
  }

  ticks() {
    const { low, high } = this.rows;
    const every = Math.ceil((high - low) / 7);
    const ticks = [];
    for (let row = high; row > low; row -= every) if (this.edges[row - 1]) ticks.push(row);
    return ticks.reverse();
  }

  draw(plot) {
    const { ctx } = plot;
    const most = Math.max(1, ...this.cells.flatMap(({ counts }) => counts));
    const tint = colour("heat");
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    for (const { at, widthS, counts } of this.cells) {
      const left = plot.valToPos(at, "x", true);
      const right = plot.valToPos(at + widthS, "x", true);
      counts.forEach((count, row) => {
        if (count === 0) return;
        const top = plot.valToPos(row + 1, "y", true);
        const bottom = plot.valToPos(row, "y", true);
        ctx.fillStyle = `rgba(${tint}, ${ALPHA_MIN + (1 - ALPHA_MIN) * Math.sqrt(count / most)})`;
        ctx.fillRect(Math.floor(left), top, Math.max(1, Math.ceil(right) - Math.floor(left)), Math.max(1, bottom - top - 1));
      });
    }
    ctx.restore();
  }

  /** A declared limit is an edge of the buckets, so its line lies exactly between two rows. */
  limitRows() {
    const rows = this.limits.map(({ value, names }) => ({
      value: this.edges.findIndex((edge) => edge !== null && Math.abs(edge - value) < 1e-9) + 1,
      label: `limit of ${names.join(", ")}: ${text(seconds(value))}`,
      tone: "bad",
    }));
    return rows.filter(({ value }) => value > 0);
  }

  tell(time) {
    const cell = time === null ? this.cells.at(-1) : this.cells.find(({ at, widthS }) => at <= time && time < at + widthS);
    const total = cell ? cell.counts.reduce((sum, count) => sum + count, 0) : null;
    this.told.textContent = total === null ? "no data" : `${total} in ${cell.widthS === 1 ? "a second" : `${cell.widthS} s`}`;
  }
}

/** The rows that hold anything, with one empty row around them. */
function visible(cells, rows) {
  const used = cells.flatMap(({ counts }) => counts.flatMap((count, row) => (count > 0 ? [row] : [])));
  if (used.length === 0) return { low: 0, high: Math.max(rows, 1) };
  const low = Math.max(0, used.reduce((one, other) => Math.min(one, other)) - 1);
  const high = Math.min(rows, used.reduce((one, other) => Math.max(one, other)) + 2);
  return { low, high };
}
