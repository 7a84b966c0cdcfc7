// Numbers to words. Every function takes null for "not known" and never turns it into a zero.

export const UNKNOWN = Object.freeze({ number: "no data", unit: "", unknown: true });

const figure = (number, unit = "") => ({ number, unit, unknown: false });

/** Three significant digits, without an exponent; thousands are grouped. */
export function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  if (size >= 10) return value.toFixed(1);
  return size >= 1 ? value.toFixed(2) : trimmed(value);
}

function trimmed(value) {
  return value === 0 ? "0" : String(Number(value.toPrecision(2)));
}

/** A duration in the unit that reads best: µs, ms or s. */
export function seconds(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value !== 0 && value < 0.0009995) return figure(digits(round3(value * 1e6)), "µs");
  if (value < 0.9995) return figure(digits(round3(value * 1e3)), "ms");
  return figure(digits(round3(value)), "s");
}

function round3(value) {
  return Number(value.toPrecision(3));
}

export function count(value) {
  return value === null || value === undefined ? UNKNOWN : figure(digits(round3(value)));
}

export function whole(value) {
  return value === null || value === undefined ? UNKNOWN : figure(Math.round(value).toLocaleString("en-US"));
}

export function rate(value, unit) {
  if (value === null || value === undefined) return UNKNOWN;
  return figure(digits(round3(value)), unit);
}

/** A share from 0 to 1 as percent; 99.95 is not rounded up to 100. */
export function share(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const percent = value * 100;
  if (percent === 0 || percent === 100) return figure(String(percent), "%");
  if (percent < 0.1) return figure("< 0.1", "%");
  const places = percent > 99 ? 2 : 1;
  const scale = 10 ** places;
  return figure((Math.floor(percent * scale + 1e-6) / scale).toFixed(places), "%");
}

/** A promise such as 0.99, as it was written: 99 %. */
export function objective(value) {
  return value === null || value === undefined ? UNKNOWN : figure(String(Number((value * 100).toFixed(4))), "%");
}

export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return value >= 1e9 ? figure((value / 1e9).toFixed(2), "GB") : figure(digits(round3(value / 1e6)), "MB");
}

/** A figure as one text. */
export function text({ number, unit }) {
  return unit ? `${number} ${unit}` : number;
}
