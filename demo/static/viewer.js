// The film, its window, zoom and activation maps. The server is asked again for all of a large film, and for files.
// Names come from strangers: they are only ever written as text, never as HTML.
import { drawRuler, paintFilm, paintHeat, paintLegend, paintLungs } from "./draw.js";
import { hands } from "./hands.js";
import { save } from "./server.js";
import { fromPicture, unpack } from "./values.js";

const OPACITY = 45, LARGEST = 16; // per cent; times
const DWELL = 300; // milliseconds on a film before all of it is asked for: who turns pages has none of each

// Brings a viewer to life; `element` holds the markup of viewer.html. Returns what shows a film in it.
// `changed` is told of each new window and place, see `state`.
export function makeViewer(element, { turn = () => {}, leave = () => {}, changed = () => {} } = {}) {
  const find = (selector) => element.querySelector(selector);
  const stage = find(".stage"), pan = find(".pan"), film = find("canvas.film"), heat = find("canvas.heat"), lungs = find("canvas.lungs");
  const view = { opacity: OPACITY, level: 128, width: 256, scale: 1, x: 0, y: 0, invert: false, chosen: "", hidden: false, lungs: true, measuring: false };
  let study = null, held = null, line = null, asked = 0, result = null;

  const range = () => study.window.highest - study.window.lowest + 1;
  function paint() {
    if (held) paintFilm(film, held, view, view.invert !== study.window.is_inverted);
  }
  function drawFilm() {
    paint();
    changed();
  }
  function drawSoon() {
    cancelAnimationFrame(asked); // a mouse tells more places than a screen shows
    asked = requestAnimationFrame(paint);
    changed();
  }
  function drawHeat() {
    const map = study && !view.hidden && study.maps.find((each) => each.name === view.chosen);
    find(".where").textContent = map ? map.words : study && study.maps.length ? "No map is shown." : "";
    heat.dataset.shown = map ? map.name : "";
    paintHeat(heat, map, study?.side, view.opacity);
  }
  function drawLungs() {
    const shown = study && view.lungs ? study.lungs : [];
    lungs.dataset.shown = String(shown.length > 0);
    paintLungs(lungs, shown);
  }
  const drawLine = () => drawRuler(find(".ruler"), stage, pan, line, study);

  function place() {
    const limit = (side) => (side * (view.scale - 1)) / 2;
    view.x = Math.max(-limit(pan.clientWidth), Math.min(limit(pan.clientWidth), view.x));
    view.y = Math.max(-limit(pan.clientHeight), Math.min(limit(pan.clientHeight), view.y));
    pan.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("zoomed", view.scale > 1);
    drawLine();
    changed();
  }
  function zoom(factor, x = 0, y = 0) {
    const scale = Math.max(1, Math.min(LARGEST, view.scale * factor)), grown = scale / view.scale;
    Object.assign(view, { scale, x: x - grown * (x - view.x), y: y - grown * (y - view.y) });
    place();
  }
  function move(dx, dy) {
    Object.assign(view, { x: view.x + dx, y: view.y + dy });
    place();
  }
  function setWindow(right, down) {
    view.width = Math.round(Math.max(2, Math.min(2 * range(), view.width + right * range())));
    view.level = Math.round(Math.max(study.window.lowest, Math.min(study.window.highest, view.level - down * range())));
    showControls();
    drawSoon();
  }
  function measure(event, when) {
    const box = pan.getBoundingClientRect();
    const point = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((each) => Math.max(0, Math.min(1, each)));
    line = when === "begun" ? [point, point] : [line[0], point];
    drawLine();
  }

  function showControls() {
    if (!study) return; // the key that was pressed asked for another film
    element.querySelectorAll("input[type=range]").forEach((input) => {
      const name = input.dataset.of;
      if (name === "level") Object.assign(input, { min: study.window.lowest, max: study.window.highest });
      if (name === "width") input.max = 2 * range();
      input.value = view[name];
      input.nextElementSibling.textContent = name === "opacity" ? `${view.opacity} %` : Math.round(view[name]);
    });
    find(".levels").textContent = held ? `Level ${Math.round(view.level)}  Width ${Math.round(view.width)}` : "";
    for (const [name, on] of [["invert", view.invert], ["lungs", view.lungs], ["measure", view.measuring]]) {
      find(`[data-do=${name}]`).setAttribute("aria-pressed", String(on));
    }
    stage.classList.toggle("measuring", view.measuring);
  }
  function choose(name) {
    view.chosen = name;
    view.hidden = name === "";
    element.querySelectorAll(".choices input").forEach((input) => (input.checked = input.value === name));
    drawHeat();
  }
  function number(which) {
    const map = study?.maps[which];
    if (map) choose(map.name);
  }
  const start = () => ({ level: study.window.level, width: study.window.width });
  const fit = () => { Object.assign(view, { scale: 1, x: 0, y: 0 }); place(); };
  const actions = {
    in: () => zoom(1.25),
    out: () => zoom(0.8),
    fit,
    invert: () => { view.invert = !view.invert; drawFilm(); },
    lungs: () => { view.lungs = !view.lungs; drawLungs(); },
    map: () => { view.hidden = !view.hidden; drawHeat(); },
    measure: () => { view.measuring = !view.measuring; },
    reset: () => { Object.assign(view, start(), { opacity: OPACITY, invert: false, measuring: false }); line = null; fit(); drawFilm(); drawHeat(); },
    escape: () => {
      if (!line && !view.measuring) leave();
      line = null;
      view.measuring = false;
      drawLine();
    },
  };
  const keys = {
    "+": actions.in, "=": actions.in, "-": actions.out, 0: fit, f: fit, r: actions.reset, i: actions.invert, l: actions.lungs, m: actions.map, d: actions.measure,
    1: () => number(0), 2: () => number(1), 3: () => number(2), 4: () => number(3), j: () => turn(1), k: () => turn(-1), Escape: actions.escape,
  };
  const arrows = { ArrowLeft: [30, 0], ArrowRight: [-30, 0], ArrowUp: [0, 30], ArrowDown: [0, -30] };

  hands(stage, { window: setWindow, pan: move, zoom, fit, measure, isMeasuring: () => view.measuring, isZoomed: () => view.scale > 1 });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== stage || !study) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (arrows[event.key] && view.scale > 1) move(...arrows[event.key]);
    else if (act) act();
    else return;
    event.preventDefault();
    showControls();
  });
  find(".zoom").addEventListener("click", (event) => {
    const act = actions[event.target.dataset.do];
    if (act) { act(); showControls(); }
  });
  element.addEventListener("input", (event) => {
    const name = event.target.dataset.of;
    if (!name) return;
    view[name] = Number(event.target.value);
    showControls();
    name === "opacity" ? drawHeat() : drawFilm();
  });
  new ResizeObserver(() => { if (study) place(); }).observe(stage);

  function choices() {
    const group = `map-${Math.random().toString(36).slice(2)}`;
    find(".choices").replaceChildren(...["", ...study.maps.map((map) => map.name)].map((name) => {
      const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
      Object.assign(input, { type: "radio", name: group, value: name });
      input.addEventListener("change", () => choose(name));
      text.textContent = name === "" ? "None" : name.replaceAll("_", " ");
      label.append(input, text);
      return label;
    }));
  }
  find(".downloads").addEventListener("click", async ({ target }) => {
    if (!target.dataset.kind) return;
    const failed = find(".downloads .failed");
    failed.textContent = "";
    const file = await result().then(({ files }) => files.find(({ kind }) => kind === target.dataset.kind), (error) => { failed.textContent = error.message; });
    if (file) save(file.name, file.kind, file.text);
  });

  function clear(words = "No film") {
    study = held = line = null;
    for (const each of [".levels", ".depth", ".failed"]) find(each).textContent = "";
    film.dataset.ready = "false";
    film.setAttribute("aria-label", "");
    find(".empty").textContent = words;
    find(".viewer").classList.remove("loaded", "mapped");
    stage.dataset.empty = "true";
    find(".tools").hidden = true;
    for (const canvas of [film, heat, lungs]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    drawLine();
  }

  // Shows a film and its maps, then calls `shown`; `whole` asks for all of a file that is larger, `result` for the answer as files.
  async function show(value, whole, { shown = () => {}, result: asFiles = null } = {}) {
    clear("The file holds no picture.");
    [study, result] = [value, asFiles];
    Object.assign(view, start(), { scale: 1, x: 0, y: 0, invert: false, hidden: false, opacity: OPACITY, measuring: false });
    find(".viewer").classList.toggle("mapped", study.maps.length > 0);
    find("[data-do=lungs]").hidden = study.lungs.length === 0;
    find(".tools").hidden = !study.film && !result;
    find(".downloads").hidden = !result;
    choices();
    choose(study.chosen);
    showControls();
    if (!study.film) return;
    const picture = Object.assign(new Image(), { src: study.film });
    await picture.decode();
    if (study !== value) return; // another film came meanwhile
    hold(fromPicture(picture, study.window), study.is_whole);
    find(".viewer").classList.add("loaded");
    stage.dataset.empty = "false";
    film.setAttribute("aria-label", study.alt);
    Object.assign(heat, { width: 768, height: 768 });
    Object.assign(lungs, { width: 1024, height: Math.round((1024 * film.height) / film.width) }); // fine lines, however small the film
    pan.style.setProperty("--ratio", film.width / film.height);
    drawHeat();
    drawLungs();
    place();
    film.dataset.ready = "true";
    shown();
    if (study.is_whole) return;
    await new Promise((resolve) => setTimeout(resolve, DWELL));
    try {
      const all = study === value && (await unpack(await whole(), study.window));
      if (all && study === value) hold(all, true);
    } catch (error) {
      if (study === value) find(".depth").textContent += `; all of it: ${error.message}`;
    }
  }

  // Takes numbers to show, and says what of the film they are.
  function hold(all, inFullDepth) {
    held = all;
    Object.assign(film, { width: held.width, height: held.height });
    const { size, window: { bits }, origin } = study;
    const pixels = `${held.width} x ${held.height}${held.width === size[0] ? "" : ` of ${size[0]} x ${size[1]}`} pixels`;
    const depth = inFullDepth || bits === 8 ? `${bits} bits` : `8 of ${bits} bits`;
    find(".depth").textContent = `${pixels}, ${depth}${origin ? ` (${origin})` : ""}`;
    stage.dataset.whole = String(inFullDepth);
    showControls();
    paint();
  }

  // Window and place, in shares of the film's own, so that one of other values and another size can follow.
  function state() {
    const { level, width } = start();
    return { level: (view.level - level) / width, width: view.width / width, invert: view.invert, scale: view.scale, x: view.x / pan.clientWidth, y: view.y / pan.clientHeight };
  }
  function follow(other) {
    if (!held) return;
    const { level, width } = start();
    Object.assign(view, { level: level + other.level * width, width: Math.max(2, other.width * width), invert: other.invert, scale: other.scale, x: other.x * pan.clientWidth, y: other.y * pan.clientHeight });
    place();
    drawSoon();
    showControls();
  }

  paintLegend(find(".legend canvas"));
  return { show, clear, follow, state, shows: () => Boolean(held), focus: () => stage.focus({ preventScroll: true }) };
}
