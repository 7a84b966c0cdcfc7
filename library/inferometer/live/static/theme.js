// The colours of page.css, for the canvases, which cannot read it themselves.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** The value of a custom property: colour("ttft") reads --ttft. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A `#rgb` or `#rrggbb` colour of the sheet with some transparency. */
export function faded(name, alpha) {
  const hex = colour(name).slice(1);
  const wide = hex.length === 3 ? [...hex].map((digit) => digit + digit).join("") : hex;
  const parts = [0, 2, 4].map((at) => parseInt(wide.slice(at, at + 2), 16));
  return `rgba(${parts.join(", ")}, ${alpha})`;
}

export function onThemeChange(listener) {
  dark.addEventListener("change", listener);
}

export const FONT = '11px Inter, ui-sans-serif, system-ui, sans-serif';
