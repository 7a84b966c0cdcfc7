// The small curve at the foot of a tile: no axes, no cursor, the same time as the charts below.

import { columns } from "./chart.js";
import { colour, faded } from "./theme.js";

export class Spark {
  constructor(root, { tone, value, range }) {
    this.root = root;
    this.tone = tone;
    this.value = value;
    this.range = range;
  }

  update(points, view) {
    const table = columns(points, [this.value], view.pauseMs);
    this.chart ?? this.build(table);
    this.chart.batch(() => {
      this.chart.setData(table, false);
      this.chart.setScale("x", { min: view.from, max: view.to });
    });
  }

  rebuild() {
    if (this.chart) this.build(this.chart.data);
  }

  build(table) {
    this.chart?.destroy();
    const size = () => ({ width: Math.max(this.root.clientWidth, 60), height: 40 });
    const options = {
      ...size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [4, 0, 0, 0],
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: true, auto: false }, y: { range: (_plot, low, high) => this.range(low, high) } },
      series: [{}, { stroke: colour(this.tone), width: 1.5, fill: faded(this.tone, 0.14), points: { show: false } }],
    };
    this.chart = new uPlot(options, table, this.root);
    this.observer ??= new ResizeObserver(() => this.chart.setSize(size()));
    this.observer.observe(this.root);
  }
}
