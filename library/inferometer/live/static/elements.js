// Small makers of DOM nodes. Text goes in as text: nothing that a server says is ever read as HTML.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

let tooltips = 0;

/** The round "?" that explains a quantity, on hover and on keyboard focus. */
export function info(title, explanation) {
  const id = `tip-${(tooltips += 1)}`;
  return make(
    "span",
    { class: "info" },
    make("button", { type: "button", "aria-label": `What is ${title}?`, "aria-describedby": id }, "?"),
    make("span", { role: "tooltip", id }, explanation),
  );
}

/** Show a figure of `format.js` in `node`. */
export function show(node, { number, unit, unknown }) {
  node.classList.toggle("unknown", unknown);
  node.replaceChildren(number, ...(unit ? [make("span", { class: "unit" }, unit)] : []));
}
