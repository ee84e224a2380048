// The film, its window, zoom and activation maps. Everything happens here; the server is not asked again.
// Names come from strangers: they are only ever written as text, never as HTML.
const find = (selector) => element.querySelector(selector);
const stage = find(".stage"), pan = find(".pan"), film = find("canvas.film"), heat = find("canvas.heat"), lungs = find("canvas.lungs");
const INFERNO = ["#000004", "#1f0c48", "#550f6d", "#88226a", "#ba3655", "#e35933", "#f98e09", "#f9c932", "#fcffa4"];
const START = { opacity: 45, level: 128, width: 256 };
const view = { ...START, scale: 1, x: 0, y: 0, invert: false, chosen: "", hidden: false, lungs: true };
const LUNG_COLOURS = ["#ffb000", "#00c8ff"]; // the patient's right lung, and the left
let study = null, grey = null;

const PALETTE = Array.from({ length: 256 }, (_, value) => {
  const at = (value / 255) * (INFERNO.length - 1), low = Math.min(Math.floor(at), INFERNO.length - 2), part = at - low;
  const channel = (colour, index) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16);
  return [0, 1, 2].map((i) => Math.round((1 - part) * channel(INFERNO[low], i) + part * channel(INFERNO[low + 1], i)));
});

function drawFilm() {
  if (!grey) return;
  const context = film.getContext("2d"), picture = context.createImageData(film.width, film.height);
  const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
    const seen = ((value - (view.level - 0.5)) / (view.width - 1) + 0.5) * 255; // DICOM PS3.3 C.11.2.1.2.1
    return view.invert ? 255 - seen : seen;
  });
  for (let i = 0, j = 0; i < grey.length; i++, j += 4) {
    picture.data[j] = picture.data[j + 1] = picture.data[j + 2] = table[grey[i]];
    picture.data[j + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function outline(context, strength, side, size, level) {
  // Marching squares: where the strength crosses the level, so that colour is not the only mark.
  const cell = size / side, at = (x, y) => strength[y * side + x];
  context.beginPath();
  for (let y = 0; y < side - 1; y++) {
    for (let x = 0; x < side - 1; x++) {
      const corners = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      const places = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossings = [];
      for (let i = 0; i < 4; i++) {
        const a = corners[i], b = corners[(i + 1) % 4];
        if (a >= level !== b >= level) {
          const part = (level - a) / (b - a), from = places[i], to = places[(i + 1) % 4];
          crossings.push([from[0] + part * (to[0] - from[0]) + 0.5, from[1] + part * (to[1] - from[1]) + 0.5]);
        }
      }
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        context.moveTo(crossings[i][0] * cell, crossings[i][1] * cell);
        context.lineTo(crossings[i + 1][0] * cell, crossings[i + 1][1] * cell);
      }
    }
  }
  context.strokeStyle = "rgba(0, 0, 0, 0.7)";
  context.lineWidth = 4;
  context.stroke();
  context.strokeStyle = "#fff";
  context.lineWidth = 1.5;
  context.stroke();
}

function drawHeat() {
  const context = heat.getContext("2d");
  context.clearRect(0, 0, heat.width, heat.height);
  const map = study && !view.hidden && study.maps.find((each) => each.name === view.chosen);
  find(".where").textContent = map ? map.words : study && study.maps.length ? "No map is shown." : "";
  heat.dataset.shown = map ? map.name : "";
  if (!map || view.opacity === 0) return;
  const side = study.side, strength = Uint8Array.from(atob(map.bytes), (letter) => letter.charCodeAt(0));
  const small = document.createElement("canvas");
  small.width = small.height = side;
  const picture = small.getContext("2d").createImageData(side, side);
  strength.forEach((value, i) => {
    const [red, green, blue] = PALETTE[value];
    picture.data.set([red, green, blue, Math.round((view.opacity / 100) * value)], 4 * i);
  });
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, heat.width, heat.height);
  const largest = Math.max(...strength);
  if (largest >= 8) outline(context, strength, side, heat.width, largest / 2);
}

function drawLungs() {
  const context = lungs.getContext("2d"), { width, height } = lungs;
  context.clearRect(0, 0, width, height);
  const shown = study && view.lungs ? study.lungs : [];
  lungs.dataset.shown = String(shown.length > 0);
  shown.forEach((lines, side) => {
    for (const [ink, thick] of [["rgba(0, 0, 0, .6)", 5], [LUNG_COLOURS[side], 2.5]]) {
      context.beginPath();
      for (const line of lines) line.forEach(([x, y], i) => (i ? context.lineTo(x * width, y * height) : context.moveTo(x * width, y * height)));
      Object.assign(context, { strokeStyle: ink, lineWidth: thick, lineJoin: "round" });
      context.stroke();
    }
  });
}

function place() {
  const limit = 50 * (view.scale - 1);
  view.x = Math.max(-limit, Math.min(limit, view.x));
  view.y = Math.max(-limit, Math.min(limit, view.y));
  pan.style.transform = `translate(${view.x}%, ${view.y}%) scale(${view.scale})`;
  stage.classList.toggle("zoomed", view.scale > 1);
}

function zoom(factor) {
  view.scale = Math.max(1, Math.min(8, view.scale * factor));
  place();
}

function showSliders() {
  element.querySelectorAll("input[type=range]").forEach((input) => {
    input.value = view[input.dataset.of];
    input.nextElementSibling.textContent = input.dataset.of === "opacity" ? `${view.opacity} %` : view[input.dataset.of];
  });
  find("[data-do=invert]").setAttribute("aria-pressed", String(view.invert));
  find("[data-do=lungs]").setAttribute("aria-pressed", String(view.lungs));
}

function choose(name) {
  view.chosen = name;
  view.hidden = name === "";
  element.querySelectorAll(".choices input").forEach((input) => (input.checked = input.value === name));
  drawHeat();
}

const actions = {
  in: () => zoom(1.25),
  out: () => zoom(0.8),
  invert: () => { view.invert = !view.invert; drawFilm(); },
  lungs: () => { view.lungs = !view.lungs; drawLungs(); },
  reset: () => { Object.assign(view, START, { scale: 1, x: 0, y: 0, invert: false }); place(); drawFilm(); drawHeat(); },
};
const keys = {
  "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.reset, i: actions.invert, l: actions.lungs,
  m: () => { view.hidden = !view.hidden; drawHeat(); },
  ArrowLeft: () => { view.x += 5; place(); }, ArrowRight: () => { view.x -= 5; place(); },
  ArrowUp: () => { view.y += 5; place(); }, ArrowDown: () => { view.y -= 5; place(); },
};

stage.addEventListener("keydown", (event) => {
  const act = keys[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.target !== stage) return;
  if (event.key.startsWith("Arrow") && view.scale === 1) return;
  event.preventDefault();
  act();
  showSliders();
});
find(".zoom").addEventListener("click", (event) => {
  const act = actions[event.target.dataset.do];
  if (act) { act(); showSliders(); }
});
element.addEventListener("input", (event) => {
  const name = event.target.dataset.of;
  if (!name) return;
  view[name] = Number(event.target.value);
  showSliders();
  name === "opacity" ? drawHeat() : drawFilm();
});
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && document.activeElement !== stage) return; // the page scrolls until the film is taken up
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
}, { passive: false });
stage.addEventListener("dblclick", (event) => {
  if (!event.target.closest(".zoom")) { view.scale > 1 ? Object.assign(view, { scale: 1 }) : zoom(2); place(); }
});

// A drag moves a zoomed film; with Shift or the right button it sets window level and width, as on a workstation.
let drag = null;
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".zoom") || !grey) return;
  drag = { x: event.clientX, y: event.clientY, windowing: event.shiftKey || event.button === 2 };
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
  Object.assign(drag, { x: event.clientX, y: event.clientY });
  if (drag.windowing) {
    view.width = Math.round(Math.max(2, Math.min(512, view.width + dx)));
    view.level = Math.round(Math.max(0, Math.min(255, view.level - dy / 2)));
    showSliders();
    drawFilm();
  } else if (view.scale > 1) {
    view.x += (100 * dx) / pan.clientWidth;
    view.y += (100 * dy) / pan.clientHeight;
    place();
  }
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (drag = null));
stage.addEventListener("contextmenu", (event) => event.preventDefault());

// A film dropped on the stage goes where the upload field would send it.
stage.addEventListener("dragover", (event) => event.preventDefault());
stage.addEventListener("drop", (event) => {
  event.preventDefault();
  const field = document.querySelector("#film-upload input[type=file]");
  if (!field || element.closest("#viewer") === null || !event.dataTransfer.files.length) return;
  const one = new DataTransfer();
  one.items.add(event.dataTransfer.files[0]);
  field.files = one.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
});

function choices() {
  const names = study.maps.map((map) => map.name);
  const group = `map-${Math.random().toString(36).slice(2)}`;
  find(".choices").replaceChildren(...["", ...names].map((name) => {
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
    const link = document.createElement("button");
    link.type = "button";
    link.textContent = file.kind === "text/html" ? "Result as a page" : "Result as JSON";
    link.addEventListener("click", () => {
      const anchor = document.createElement("a");
      anchor.href = URL.createObjectURL(new Blob([file.text], { type: file.kind }));
      anchor.download = file.name;
      anchor.click();
      URL.revokeObjectURL(anchor.href);
    });
    return link;
  }));
}

function show(value) {
  study = value;
  grey = null;
  Object.assign(view, START, { scale: 1, x: 0, y: 0, invert: false });
  element.querySelector(".viewer").classList.toggle("loaded", Boolean(study && study.film));
  find(".tools").hidden = !study;
  find(".viewer").classList.toggle("mapped", Boolean(study && study.maps.length));
  find("[data-do=lungs]").hidden = !(study && study.lungs.length);
  place();
  showSliders();
  if (!study) return;
  choices();
  downloads();
  choose(study.chosen);
  if (!study.film) return;
  const picture = new Image();
  picture.onload = () => {
    if (study !== value) return; // another film came meanwhile
    const { width, height } = picture;
    Object.assign(film, { width, height });
    Object.assign(heat, { width: 768, height: 768 });
    Object.assign(lungs, { width: 1024, height: Math.round((1024 * height) / width) }); // fine lines, however small the film
    pan.style.setProperty("--ratio", width / height);
    film.setAttribute("aria-label", study.alt);
    const context = film.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const data = context.getImageData(0, 0, width, height).data;
    grey = new Uint8Array(width * height).map((_, i) => data[4 * i]);
    drawFilm();
    drawHeat();
    drawLungs();
    film.dataset.ready = "true";
  };
  film.dataset.ready = "false";
  picture.src = study.film;
}

const legend = find(".legend canvas").getContext("2d");
for (let x = 0; x < 160; x++) {
  legend.fillStyle = `rgb(${PALETTE[Math.round((x / 159) * 255)].join(",")})`;
  legend.fillRect(x, 0, 1, 8);
}
watch("value", () => show(props.value || null));
show(props.value || null);
