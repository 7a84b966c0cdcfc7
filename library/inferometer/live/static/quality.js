// The foot of the page: what the numbers above rest on, and what is missing from them.

import { make } from "./elements.js";
import { bytes, seconds, share, text, whole } from "./format.js";

const COUNTED = ["server", "server_cumulative", "events", "token_ids", "tokenizer"];

const COUNTED_WELL = 0.9; // answers that a client has left have only their chunks counted

const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

const named = (counts) => Object.entries(counts).map(([name, count]) => `${text(whole(count))} ${name}`).join(", ");

function coverage({ quality }) {
  const all = total(quality.usage);
  if (all === 0) return { tone: "unknown", value: "no data", words: "of answers with an exact token count" };
  const known = COUNTED.reduce((sum, source) => sum + (quality.usage[source] ?? 0), 0);
  const none = quality.usage.none ?? 0;
  const why = none ? "; clients can ask for usage with stream_options" : "";
  return {
    tone: none || known < all * COUNTED_WELL ? "warn" : "good",
    value: text(share(known / all)),
    words: `of answers with an exact token count (${named(quality.usage)})${why}`,
  };
}

function unmeasured({ slos }) {
  const count = Object.values(slos).reduce((sum, slo) => sum + slo.unmeasured, 0);
  return { tone: count ? "warn" : "good", value: text(whole(count)), words: "verdicts left out because something could not be measured" };
}

function loss(counts, tone, words) {
  const count = total(counts);
  const detail = count ? ` (${named(counts)})` : "";
  return { tone: count ? tone : "good", value: text(whole(count)), words: words + detail };
}

function answering(point) {
  const all = point.answering === point.targets;
  return { tone: all ? "good" : "bad", value: `${point.answering} of ${point.targets}`, words: "sidecars answer" };
}

function lag({ cost }) {
  const { p99 } = cost.lag;
  if (p99 === null) return { tone: "unknown", value: "no data", words: "error bar of every time" };
  return { tone: p99 < 0.01 ? "good" : "warn", value: text(seconds(p99)), words: "lateness of timers (p99): the error bar of every time" };
}

function memory({ cost }) {
  if (cost.memory_bytes === null) return { tone: "unknown", value: "no data", words: "of memory used" };
  const ring = cost.ring_fill === null ? "" : `; the measuring queue is ${text(share(cost.ring_fill))} full`;
  return { tone: "good", value: text(bytes(cost.memory_bytes)), words: `of memory used by sidecars${ring}` };
}

const FACTS = [
  coverage,
  unmeasured,
  ({ quality }) => loss(quality.dropped, "bad", "events lost because a queue was full"),
  ({ quality }) => loss(quality.unparsed, "warn", "answers seen as bytes only"),
  ({ quality }) => loss(quality.internal_errors, "bad", "faults inside the sidecar"),
  lag,
  memory,
  answering,
];

export function showQuality(list, point) {
  const facts = point.answering === 0 ? [answering(point)] : FACTS.map((fact) => fact(point));
  list.replaceChildren(
    ...facts.map(({ tone, value, words }) =>
      make("li", { "data-tone": tone }, make("span", {}, make("b", {}, value), ` ${words}`)),
    ),
  );
}
