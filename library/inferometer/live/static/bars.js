// Cards that list shares as bars: why requests were bad, and how requests ended.

import { info, make } from "./elements.js";
import { digits, text, rate } from "./format.js";
import { reasons } from "./slo.js";

const REASONS = {
  ttft: "first token came too late",
  itl: "too many slow tokens",
  gap: "a silence was too long",
  tpot: "tokens were too slow on average",
  e2e: "the whole answer took too long",
  fluidity: "the text did not flow",
  error: "the request failed",
};

const OUTCOMES = {
  success: ["success", "good"],
  client_cancel: ["client left", "soft"],
  client_error: ["client error", "soft"],
  rejected: ["rejected: overload", "warn"],
  upstream_error: ["server error", "bad"],
  stream_error: ["error in the stream", "bad"],
  truncated: ["cut off", "bad"],
  timeout: ["timeout", "bad"],
  drain_cut: ["cut at drain", "bad"],
  proxy_error: ["sidecar failed", "bad"],
};

export const REASON_BARS = {
  id: "card-reasons",
  title: "Why requests were bad",
  explanation:
    "The first limit of an SLO that each bad request broke. Verdicts are given as soon as they are certain, so a request that hangs is here before it ends.",
  caption: (about) => `Bad verdicts of all SLOs, last ${about.slo_window_s} s`,
  wide: 4,
  rows: (point) =>
    Object.entries(reasons(point.slos)).map(([name, value]) => ({
      name,
      value,
      label: `${name}: ${REASONS[name] ?? "another reason"}`,
      told: digits(value),
      tone: "bad",
    })),
  empty: (point) => (Object.keys(point.slos).length ? "No request was bad." : "No SLO is declared, so nothing is judged."),
};

export const OUTCOME_BARS = {
  id: "card-outcomes",
  title: "How requests ended",
  explanation:
    "Each request has exactly one outcome. A client that leaves is neither a success nor a failure of the server.",
  caption: (about) => `Requests per second, last ${about.window_s} s`,
  wide: 3,
  rows: (point, about) =>
    Object.entries(point.outcomes ?? {}).map(([name, value]) => ({
      name,
      value,
      label: (OUTCOMES[name] ?? [name])[0],
      told: text(rate(value / about.window_s, "/s")),
      tone: (OUTCOMES[name] ?? ["", "soft"])[1],
    })),
  empty: (point) => (point.outcomes === null ? "no data" : "No request ended."),
};

export class Bars {
  constructor(spec) {
    this.spec = spec;
    this.list = make("ul", { class: "bars" });
    this.nothing = make("p", { class: "empty" });
    this.caption = make("p", { class: "caption" });
    this.root = make(
      "article",
      { class: `card wide-${spec.wide}`, id: spec.id },
      make("div", { class: "card-head" }, make("h2", {}, spec.title), info(spec.title, spec.explanation)),
      this.list,
      this.nothing,
      this.caption,
    );
    this.caption.style.marginTop = "auto";
  }

  update(points, view) {
    const point = points.at(-1);
    this.caption.textContent = this.spec.caption(view.about);
    const rows = point ? this.spec.rows(point, view.about).sort((one, other) => other.value - one.value) : [];
    const total = rows.reduce((sum, { value }) => sum + value, 0);
    this.list.replaceChildren(...rows.map((row) => bar(row, total)));
    this.nothing.hidden = rows.length > 0;
    this.nothing.textContent = point ? this.spec.empty(point) : "no data";
  }
}

function bar({ name, label, value, told, tone }, total) {
  const fill = make("span", { class: "fill", "data-tone": tone });
  fill.style.width = `${(100 * value) / total}%`;
  return make(
    "li",
    { "data-row": name },
    make("span", {}, label),
    make("span", { class: "value" }, told),
    make("span", { class: "track", "aria-hidden": "true" }, fill),
  );
}
