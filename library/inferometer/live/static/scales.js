// Ranges and ticks of the axes.

const STEPS = [
  { decades: 1.9, steps: [1, 2, 5] },
  { decades: 3.2, steps: [1, 3] },
  { decades: Infinity, steps: [1] },
];

/** Ticks between two positive numbers: fewer of each decade, the more decades there are. */
export function logTicks(low, high) {
  const { steps } = STEPS.find(({ decades }) => Math.log10(high / low) <= decades);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    ticks.push(...steps.map((step) => Number((step * 10 ** power).toPrecision(1))));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** A range for latencies: some room on both sides, and never narrower than one decade and a half. */
export function logRange(low, high) {
  if (low === null || high === null || !(high > 0)) return [0.001, 1];
  let from = Math.max(low, 1e-6) / 1.5;
  let to = high * 1.5;
  const widening = Math.sqrt(30 / (to / from));
  if (widening > 1) {
    from /= widening;
    to *= widening;
  }
  return [from, to];
}

/** From zero to a little above the highest value. */
export function zeroRange(high, least) {
  return [0, Math.max(high === null ? 0 : high * 1.12, least)];
}

/** From a little below the lowest share to 100 %. */
export function shareRange(low) {
  const from = low === null ? 0.9 : Math.min(low, 0.98);
  return [Math.max(0, from - (1 - from) * 0.25), 1 + (1 - from) * 0.06];
}
