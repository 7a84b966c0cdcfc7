// Wires the feed to what is shown. State that outlives a redraw: the span, the source, the pause.

import { makeCards } from "./cards.js";
import { make } from "./elements.js";
import { Feed } from "./feed.js";
import { showQuality } from "./quality.js";
import { onThemeChange } from "./theme.js";
import { makeTiles } from "./tiles.js";

const PAUSE_INTERVALS = 2.5; // two points further apart than that have a gap between them

const at = (id) => document.getElementById(id);

const parts = [...makeTiles(), ...makeCards()];
const feed = new Feed(refresh);
let spanS = 60;
let paused = false;

function refresh() {
  showStatus();
  if (!feed.about || paused) return;
  showSources(feed.about.sources);
  draw();
}

function draw() {
  const { about, points } = feed;
  if (!about) return;
  const latest = points.at(-1);
  const to = latest ? latest.time_ms / 1000 : Date.now() / 1000;
  const view = {
    about,
    to,
    from: to - spanS,
    intervalS: about.interval_s,
    pauseMs: about.interval_s * 1000 * PAUSE_INTERVALS,
  };
  const shown = points.filter((point) => point.time_ms / 1000 >= view.from - about.interval_s);
  for (const part of parts) part.update(shown, view);
  if (latest) showQuality(at("facts"), latest);
  at("about").textContent =
    `inferometer ${about.version} · latencies and rates over the last ${about.window_s} s, ` +
    `verdicts over ${about.slo_window_s} s, read every ${about.interval_s} s`;
}

function showStatus() {
  const state = feed.lost ? "lost" : paused ? "paused" : feed.about ? "live" : "waiting";
  const words = {
    lost: "the page's server is gone",
    paused: "paused",
    live: `live, every ${feed.about?.interval_s} s`,
    waiting: "connecting",
  };
  const status = at("status");
  if (status.dataset.state !== state) status.textContent = words[state];
  status.dataset.state = state;
}

function showSources(sources) {
  const select = at("source");
  const ids = ["all", ...sources.map(({ id }) => id)];
  if ([...select.options].map(({ value }) => value).join() !== ids.join()) {
    const options = sources.map(({ id, name }) => make("option", { value: id }, name));
    select.replaceChildren(make("option", { value: "all" }, `all ${sources.length} together`), ...options);
    select.value = feed.source;
  }
  at("source-choice").hidden = sources.length < 2;
  const silent = sources.filter(({ error }) => error !== null);
  at("banner").hidden = silent.length === 0;
  const words = silent.map(({ name, error }) => `${name}: ${error}`).join(" · ");
  if (at("banner").textContent !== words) at("banner").textContent = words;
}

function choosePressed(buttons, pressed) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
}

at("tiles").append(...parts.filter(({ root }) => root.classList.contains("tile")).map(({ root }) => root));
at("cards").append(...parts.filter(({ root }) => root.classList.contains("card")).map(({ root }) => root));

const spans = [...document.querySelectorAll("[data-span]")];
for (const button of spans) {
  button.addEventListener("click", () => {
    spanS = Number(button.dataset.span);
    choosePressed(spans, button);
    draw();
  });
}
at("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.currentTarget.setAttribute("aria-pressed", String(paused));
  refresh();
});
at("source").addEventListener("change", (event) => feed.choose(event.target.value));
onThemeChange(() => {
  for (const part of parts) part.rebuild?.();
  draw();
});
feed.start();
