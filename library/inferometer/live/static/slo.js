// What the verdicts of an SLO say: share that was good, how fast the budget burns, in words.

const BURN_BAD = 6; // the factor at which a page would go out within hours (SRE workbook, chapter 5)

/** The share of judged requests that were good; null without any. */
export function goodput({ good, bad }) {
  return good + bad > 0 ? good / (good + bad) : null;
}

const UNITS = { request: "requests", token: "tokens", slice: "slices of time" };

/** Of what the objective is a share; verdicts are of requests, so nothing else can be compared. */
export function unit(slo) {
  return UNITS[slo.weight];
}

/** Whether the share of good requests can be held against the objective. */
export function comparable(slo) {
  return slo.objective !== null && slo.weight === "request";
}

/** How many times faster than allowed the error budget is spent; null where it is not known. */
export function burn(slo) {
  const share = goodput(slo);
  if (share === null || !comparable(slo) || slo.objective >= 1) return null;
  return (1 - share) / (1 - slo.objective);
}

export function verdict(slo) {
  const factor = burn(slo);
  if (factor === null) return "unknown";
  if (factor <= 1) return "good";
  return factor > BURN_BAD ? "bad" : "warn";
}

/** The SLO that is worst off: the one that burns fastest, else the first. */
export function worst(slos) {
  const names = Object.keys(slos);
  if (names.length === 0) return null;
  const name = names.reduce((one, other) => ((burn(slos[other]) ?? -1) > (burn(slos[one]) ?? -1) ? other : one));
  return { name, ...slos[name] };
}

/** All bad verdicts by their reason. */
export function reasons(slos) {
  const total = {};
  for (const slo of Object.values(slos)) {
    for (const [reason, count] of Object.entries(slo.reasons)) total[reason] = (total[reason] ?? 0) + count;
  }
  return total;
}

/** The strictest declared limit of one objective, such as "ttft", as lines for a chart. */
export function limitLines(point, objective) {
  const lines = new Map();
  for (const [name, slo] of Object.entries(point.slos)) {
    const value = slo.limits[objective];
    if (value !== undefined) lines.set(value, [...(lines.get(value) ?? []), name]);
  }
  return [...lines].map(([value, names]) => ({ value, names }));
}
