// Which charts there are, and what each of them draws of a point. The order is that of the page.

import { Bars, OUTCOME_BARS, REASON_BARS } from "./bars.js";
import { LineChart } from "./chart.js";
import { count, objective, rate, seconds, share, text } from "./format.js";
import { HeatMap } from "./heat.js";
import { logRange, logTicks, shareRange, zeroRange } from "./scales.js";
import { comparable, goodput, limitLines } from "./slo.js";
import { coreShare } from "./tiles.js";

const SLOS_DRAWN = 6; // as many colours as can be told apart

const LATENCY = {
  format: seconds,
  scale: { distr: 3 },
  range: (low, high, limits) => logRange(low, Math.max(high, ...limits.map(({ value }) => value))),
  axis: {
    splits: (_plot, _axis, low, high) => logTicks(low, high),
    values: (_plot, ticks) => ticks.map((tick) => text(seconds(tick))),
    filter: (_plot, ticks) => ticks,
  },
};

const COSTS = { ...LATENCY, range: (low, high) => logRange(low, high) };

const fromZero = (least) => (_low, high) => zeroRange(high, least);

const quantiles = (name, tone) => [
  { label: "p99", tone, width: 1.5, value: (point) => point[name].p99 },
  { label: "p90", tone, width: 1, value: (point) => point[name].p90 },
  { label: "p50", tone, width: 2.5, value: (point) => point[name].p50 },
];

const quantileBands = (tone) => [
  { between: [1, 2], tone, alpha: 0.12 },
  { between: [2, 3], tone, alpha: 0.28 },
];

const limits = (name) => (point) =>
  limitLines(point, name).map(({ value, names }) => ({
    value,
    label: `limit of ${names.join(", ")}: ${text(seconds(value))}`,
    tone: "bad",
  }));

const both = ({ streaming, waiting }) => (streaming === null || waiting === null ? null : streaming + waiting);

function goodputSeries(points) {
  const names = Object.keys(points.at(-1)?.slos ?? {}).slice(0, SLOS_DRAWN);
  return names.map((name, at) => ({
    label: name,
    tone: `slo-${at + 1}`,
    value: (point) => (point.slos?.[name] ? goodput(point.slos[name]) : null),
  }));
}

function objectiveLines(point) {
  return Object.entries(point.slos)
    .slice(0, SLOS_DRAWN)
    .map(([name, slo], at) => ({ name, slo, tone: `slo-${at + 1}` })) // the tone of its curve
    .filter(({ slo }) => comparable(slo))
    .map(({ name, slo, tone }) => ({
      value: slo.objective,
      label: `${name} promises ${text(objective(slo.objective))}`,
      tone,
    }));
}

const CHARTS = [
  {
    kind: LineChart,
    ...LATENCY,
    id: "card-ttft",
    title: "Time to first token",
    explanation:
      "From the request's head to its first generated text, reasoning included. The bands lie between p50, p90 and p99. The scale is logarithmic. Waits that clients gave up count as at least that long.",
    caption: "Quantiles over a sliding window; how long people look at an empty answer",
    wide: 6,
    series: quantiles("ttft", "ttft"),
    bands: quantileBands("ttft"),
    limits: limits("ttft"),
  },
  {
    kind: LineChart,
    ...LATENCY,
    id: "card-itl",
    title: "Inter-token latency",
    explanation:
      "The pause between two tokens, each token counted once. p50 is the normal pace; p99 shows hiccups, such as a long prompt that is read in between.",
    caption: "Quantiles over a sliding window; how smoothly text appears",
    wide: 6,
    series: quantiles("itl", "itl"),
    bands: quantileBands("itl"),
    limits: limits("itl"),
  },
  {
    kind: HeatMap,
    id: "card-heat",
    title: "Every wait for a first token",
    explanation:
      "Each column is a moment, each row a bucket of the histogram; the fuller the colour, the more requests got their first token after that wait. Two bands mean two kinds of requests, which no average shows.",
    caption: "Buckets of the histogram over time; the row's edges are exact",
    wide: 8,
  },
  { kind: Bars, ...REASON_BARS },
  {
    kind: LineChart,
    format: (value) => rate(value, "/s"),
    range: fromZero(1),
    id: "card-tokens",
    title: "Tokens per second",
    explanation:
      "Tokens of the answers that ended in the window, all requests together, as the server counted them. Where answers carry no token counts there is no line.",
    caption: "Throughput of finished answers",
    wide: 4,
    series: [
      { label: "output", tone: "tokens", fill: 0.16, value: (point) => point.output_rate },
      { label: "input", tone: "input", width: 1.5, value: (point) => point.input_rate },
    ],
  },
  {
    kind: LineChart,
    format: share,
    range: (low, _high, lines) => shareRange(Math.min(low ?? 1, ...lines.map(({ value }) => value))),
    axis: { values: (_plot, ticks) => ticks.map((tick) => (tick > 1 ? "" : text(objective(tick)))) },
    id: "card-goodput",
    title: "Goodput against the objective",
    explanation:
      "Share of judged requests that met all limits of an SLO: first token, pace, pauses, and no error. Below its dashed line, the SLO spends its error budget faster than allowed. An SLO that counts tokens or slices of time has no line: its promise is no share of requests.",
    caption: "Good ÷ (good + bad) over the SLO window",
    wide: 4,
    series: goodputSeries,
    limits: objectiveLines,
  },
  {
    kind: LineChart,
    format: count,
    range: fromZero(4),
    id: "card-flight",
    title: "Requests in flight",
    explanation:
      "Stacked: requests that are streaming, and on top those that still wait for their first token. A growing top is a queue.",
    caption: "Gauges of the sidecar at each moment",
    wide: 4,
    series: [
      { label: "waiting", tone: "waiting", width: 1, block: true, value: both, told: (point) => point.waiting },
      { label: "streaming", tone: "streaming", width: 1, block: true, fill: 0.55, value: (point) => point.streaming },
    ],
    bands: [{ between: [1, 2], tone: "waiting", alpha: 0.7 }],
  },
  {
    kind: LineChart,
    ...COSTS,
    id: "card-cost",
    title: "What the sidecar adds",
    explanation:
      "request: from the whole head at the sidecar to its first byte on the way to the server. chunk: from reading a piece of the answer to handing it to the client. loop lag: how late the sidecar's own timers are, the error bar of all times here.",
    caption: "Delay that the sidecar itself causes; log scale",
    wide: 6,
    series: [
      { label: "request p99", tone: "cost", width: 1.5, dash: [4, 3], value: (point) => point.cost.head.p99 },
      { label: "request p50", tone: "cost", value: (point) => point.cost.head.p50 },
      { label: "chunk p99", tone: "cost-2", width: 1.5, dash: [4, 3], value: (point) => point.cost.chunk.p99 },
      { label: "chunk p50", tone: "cost-2", value: (point) => point.cost.chunk.p50 },
      { label: "loop lag p99", tone: "cost-3", width: 1.5, value: (point) => point.cost.lag.p99 },
    ],
  },
  {
    kind: LineChart,
    format: coreShare,
    range: fromZero(0.05),
    axis: { values: (_plot, ticks) => ticks.map((tick) => text(coreShare(tick))) },
    id: "card-cpu",
    title: "CPU of the sidecar",
    explanation: "CPU time of the sidecar's process, as a share of one core: relaying and measuring together.",
    caption: "Share of one core",
    wide: 3,
    series: [{ label: "CPU", tone: "cost", fill: 0.16, value: (point) => point.cost.cores }],
  },
  { kind: Bars, ...OUTCOME_BARS },
];

export function makeCards() {
  return CHARTS.map(({ kind: Kind, ...spec }) => new Kind(spec));
}
