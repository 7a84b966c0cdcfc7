// The top row: what matters now, as big numbers, each with the curve of the last minutes.

import { info, make, show } from "./elements.js";
import { bytes, count, objective, rate, seconds, share, text, whole } from "./format.js";
import { shareRange, zeroRange } from "./scales.js";
import { burn, comparable, goodput, unit, verdict, worst } from "./slo.js";
import { Spark } from "./spark.js";

const fromZero = (_low, high) => zeroRange(high, 1e-6);

const worstShare = (point) => {
  const slo = worst(point.slos);
  return slo === null ? null : goodput(slo);
};

const sum = (...parts) => (parts.some((part) => part === null) ? null : parts.reduce((a, b) => a + b, 0));

const more = (count, words) => (count ? `, ${text(whole(count))} ${words}` : "");

const TILES = [
  {
    id: "ttft",
    title: "Time to first token",
    explanation:
      "From the last byte of the request's head to the first generated text, at the sidecar. Half of the requests are faster than p50, one in a hundred is slower than p99. Clients that gave up count as waiting at least that long.",
    tone: "ttft",
    figures: [
      { label: "p50", main: true, value: (point) => seconds(point.ttft.p50) },
      { label: "p99", value: (point) => seconds(point.ttft.p99) },
    ],
    note: (point) => (point.ttft.count > 0 ? `${text(whole(point.ttft.count))} waits${more(point.abandoned, "given up")}` : "no request in the window"),
    curve: (point) => point.ttft.p99,
    range: fromZero,
  },
  {
    id: "itl",
    title: "Inter-token latency",
    explanation:
      "The pause between two tokens of one answer, weighted by tokens. It decides how smoothly text appears; 50 ms are 20 tokens a second for a reader.",
    tone: "itl",
    figures: [
      { label: "p50", main: true, value: (point) => seconds(point.itl.p50) },
      { label: "p99", value: (point) => seconds(point.itl.p99) },
    ],
    note: (point) => (point.itl.count > 0 ? `${text(whole(point.itl.count))} gaps${more(point.stalls, "stalls")}` : "no tokens counted"),
    curve: (point) => point.itl.p99,
    range: fromZero,
  },
  {
    id: "tokens",
    title: "Tokens per second",
    explanation:
      "Tokens of finished answers, all requests together. They are counted when an answer ends, as the server states them, so long answers arrive as steps.",
    tone: "tokens",
    figures: [
      { label: "output", main: true, value: (point) => count(point.output_rate) },
      { label: "input", value: (point) => count(point.input_rate) },
    ],
    note: (point) => `${text(rate(point.requests_rate, "requests/s"))}`,
    curve: (point) => point.output_rate,
    range: fromZero,
  },
  {
    id: "goodput",
    title: "Goodput",
    explanation:
      "Share of judged requests that met every limit of the SLO. The verdict compares it with the objective: a budget that burns 1× lasts exactly as long as promised, above that it runs out early. With several SLOs, the one that is worst off. An objective for tokens or for slices of time is shown, but not compared: a share of requests says nothing of it.",
    tone: "goodput",
    figures: [
      {
        label: "good",
        main: true,
        value: (point) => share(worstShare(point)),
        relabel: (point) => worst(point.slos)?.name ?? "no SLO is declared",
      },
    ],
    verdict: true,
    curve: worstShare,
    range: (low) => shareRange(low),
  },
  {
    id: "flight",
    title: "In flight",
    explanation:
      "Requests that are being served now: waiting have no token yet (queue and prefill), streaming are generating.",
    tone: "streaming",
    figures: [
      { label: "streaming", main: true, value: (point) => count(point.streaming) },
      { label: "waiting", value: (point) => count(point.waiting) },
    ],
    note: (point) => (point.waiting > 0 ? `oldest waits ${text(seconds(point.oldest_wait_s))}` : ""),
    curve: (point) => sum(point.streaming, point.waiting),
    range: fromZero,
  },
  {
    id: "cost",
    title: "Cost of the sidecar",
    explanation:
      "What measuring takes: the time that the sidecar adds to a request before it goes on to the server (p50), and the share of one core that it uses.",
    tone: "cost",
    figures: [
      { label: "added, p50", main: true, value: (point) => seconds(point.cost.head.p50) },
      { label: "CPU", value: (point) => coreShare(point.cost.cores) },
    ],
    note: (point) => (point.cost.memory_bytes === null ? "" : `${text(bytes(point.cost.memory_bytes))} of memory`),
    curve: (point) => point.cost.cores,
    range: fromZero,
  },
];

/** Cores as a share of one core. */
export function coreShare(cores) {
  return cores === null ? share(null) : rate(cores * 100, "%");
}

class Tile {
  constructor(spec) {
    this.spec = spec;
    this.labels = spec.figures.map(({ label }) => make("dt", {}, label));
    this.values = spec.figures.map(({ label }) => make("dd", { "data-figure": label }));
    this.note = make("p", { class: "note" });
    const spark = make("div", { class: "spark", "aria-hidden": "true" });
    this.spark = new Spark(spark, { tone: spec.tone, value: spec.curve, range: spec.range });
    const figures = spec.figures.map(({ main }, at) =>
      make("dl", { class: main ? "figure main" : "figure" }, this.labels[at], this.values[at]),
    );
    this.root = make(
      "article",
      { class: "tile", id: `tile-${spec.id}` },
      make("div", { class: "tile-head" }, make("h2", {}, spec.title), info(spec.title, spec.explanation)),
      make("div", { class: "figures" }, ...figures),
      this.note,
      spark,
    );
  }

  update(points, view) {
    const point = points.at(-1);
    if (point) {
      this.spec.figures.forEach(({ value, relabel }, at) => {
        show(this.values[at], value(point));
        if (relabel) this.labels[at].textContent = relabel(point);
      });
      if (this.spec.verdict) this.note.replaceChildren(...verdictWords(point));
      else this.note.textContent = this.spec.note(point);
    }
    this.spark.update(points, view);
  }
}

/** The verdict in colour and in words, and which promise it is about. */
function verdictWords(point) {
  const slo = worst(point.slos);
  if (slo === null) return [""];
  const of = comparable(slo) ? "" : ` of ${unit(slo)}, not of requests`;
  const promise = slo.objective === null ? "no objective" : `goal ${text(objective(slo.objective))}${of}`;
  const given = verdict(slo);
  if (given === "unknown") return [promise];
  const words = given === "good" ? "held" : `burns ${text(rate(burn(slo), ""))}×`;
  return [make("span", { class: "verdict", "data-verdict": given }, words), ` ${promise}`];
}

export function makeTiles() {
  return TILES.map((spec) => new Tile(spec));
}
