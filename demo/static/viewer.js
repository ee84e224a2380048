// The film, its window, zoom and activation maps. Everything happens here; the server is not asked again.
// Names come from strangers: they are only ever written as text, never as HTML.
import { paintFilm, paintHeat, paintLegend, paintLungs } from "./draw.js";
import { hands } from "./hands.js";
import { save } from "./server.js";

const OPACITY = 45, LARGEST = 16; // per cent; times

// Brings a viewer to life; `element` holds the markup of viewer.html. Returns what shows a film in it.
export function makeViewer(element, { turn = () => {}, leave = () => {} } = {}) {
  const find = (selector) => element.querySelector(selector);
  const stage = find(".stage"), pan = find(".pan"), film = find("canvas.film"), heat = find("canvas.heat"), lungs = find("canvas.lungs");
  const view = { opacity: OPACITY, level: 128, width: 256, scale: 1, x: 0, y: 0, invert: false, chosen: "", hidden: false, lungs: true, measuring: false };
  let study = null, grey = null, top = 255, line = null;
  film.getContext("2d", { willReadFrequently: true }); // how it is first asked for decides

  const drawFilm = () => { if (grey) paintFilm(film, grey, top, view); };
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
  function drawLine() {
    const box = pan.getBoundingClientRect(), outer = stage.getBoundingClientRect(), ruler = find(".ruler");
    ruler.classList.toggle("shown", Boolean(line));
    if (!line) return;
    const at = ([x, y]) => [box.left - outer.left + x * box.width, box.top - outer.top + y * box.height];
    const [[x1, y1], [x2, y2]] = line.map(at);
    ruler.querySelectorAll("line").forEach((each) => Object.entries({ x1, y1, x2, y2 }).forEach(([name, value]) => each.setAttribute(name, value)));
    const words = ruler.querySelector("text"), [across, down] = study.size;
    const [right, below] = [(line[1][0] - line[0][0]) * across, (line[1][1] - line[0][1]) * down];
    const [stepDown, stepAcross] = study.spacing || [1, 1];
    words.textContent = `${Math.hypot(right * stepAcross, below * stepDown).toFixed(study.spacing ? 1 : 0)} ${study.spacing ? "mm" : "pixels"}`;
    words.setAttribute("x", Math.max(x1, x2) + 8);
    words.setAttribute("y", (y1 + y2) / 2);
  }

  function place() {
    const limit = (side) => (side * (view.scale - 1)) / 2;
    view.x = Math.max(-limit(pan.clientWidth), Math.min(limit(pan.clientWidth), view.x));
    view.y = Math.max(-limit(pan.clientHeight), Math.min(limit(pan.clientHeight), view.y));
    pan.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("zoomed", view.scale > 1);
    drawLine();
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
    view.width = Math.round(Math.max(2, Math.min(2 * (top + 1), view.width + right * (top + 1))));
    view.level = Math.round(Math.max(0, Math.min(top, view.level - down * (top + 1))));
    showControls();
    drawFilm();
  }
  function measure(event, when) {
    const box = pan.getBoundingClientRect();
    const point = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((each) => Math.max(0, Math.min(1, each)));
    line = when === "begun" ? [point, point] : [line[0], point];
    drawLine();
  }

  function showControls() {
    element.querySelectorAll("input[type=range]").forEach((input) => {
      const name = input.dataset.of;
      if (name !== "opacity") input.max = name === "level" ? top : 2 * (top + 1);
      input.value = view[name];
      input.nextElementSibling.textContent = name === "opacity" ? `${view.opacity} %` : view[name];
    });
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

  const fit = () => { Object.assign(view, { scale: 1, x: 0, y: 0 }); place(); };
  const actions = {
    in: () => zoom(1.25),
    out: () => zoom(0.8),
    fit,
    invert: () => { view.invert = !view.invert; drawFilm(); },
    lungs: () => { view.lungs = !view.lungs; drawLungs(); },
    map: () => { view.hidden = !view.hidden; drawHeat(); },
    measure: () => { view.measuring = !view.measuring; },
    reset: () => { Object.assign(view, study.window, { opacity: OPACITY, invert: false, measuring: false }); line = null; fit(); drawFilm(); drawHeat(); },
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
  function downloads() {
    find(".downloads").replaceChildren(...(study.files || []).map((file) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = file.kind === "text/html" ? "Result as a page" : "Result as JSON";
      button.addEventListener("click", () => save(file.name, file.kind, file.text));
      return button;
    }));
  }

  function clear(words = "No film") {
    study = grey = line = null;
    film.dataset.ready = "false";
    film.setAttribute("aria-label", "");
    find(".empty").textContent = words;
    find(".depth").textContent = "";
    find(".viewer").classList.remove("loaded", "mapped");
    stage.dataset.empty = "true";
    find(".tools").hidden = true;
    for (const canvas of [film, heat, lungs]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    drawLine();
  }

  // Shows a film and its maps; `whole` asks for the picture in full size where the first is a smaller one.
  async function show(value, whole) {
    clear("The file holds no picture.");
    study = value;
    top = 255;
    Object.assign(view, study.window, { scale: 1, x: 0, y: 0, invert: false, hidden: false, opacity: OPACITY, measuring: false });
    find(".viewer").classList.toggle("mapped", study.maps.length > 0);
    find("[data-do=lungs]").hidden = study.lungs.length === 0;
    find(".tools").hidden = !study.film && !study.files.length;
    choices();
    downloads();
    choose(study.chosen);
    showControls();
    if (!study.film || !(await load(value, study.film))) return;
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
    if (film.width === study.size[0]) return;
    try {
      const { picture } = await whole();
      await load(value, picture);
    } catch (error) {
      if (study === value) find(".depth").textContent += `; in full size: ${error.message}`;
    }
  }

  // Paints a picture of the film; says whether it is still the one that is asked for.
  async function load(value, uri) {
    const picture = new Image();
    picture.src = uri;
    await picture.decode();
    if (study !== value) return false; // another film came meanwhile
    const { width, height } = picture;
    Object.assign(film, { width, height });
    const context = film.getContext("2d");
    context.drawImage(picture, 0, 0);
    const data = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    grey = Uint8Array.from(data, (pixel) => pixel & 255);
    const all = width === study.size[0] ? "" : ` of ${study.size[0]} x ${study.size[1]}`;
    find(".depth").textContent = `${width} x ${height}${all} pixels, ${study.depth}`;
    drawFilm();
    return true;
  }

  paintLegend(find(".legend canvas"));
  return { show, clear, focus: () => stage.focus({ preventScroll: true }) };
}
