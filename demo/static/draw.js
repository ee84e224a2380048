// What is painted: the film through its window, activation maps, outlines of lungs and maps, distances.
const INFERNO = ["#000004", "#1f0c48", "#550f6d", "#88226a", "#ba3655", "#e35933", "#f98e09", "#f9c932", "#fcffa4"];
const LUNG_COLOURS = ["#ffb000", "#00c8ff"]; // the patient's right lung, and the left

const PALETTE = Array.from({ length: 256 }, (_, value) => {
  const at = (value / 255) * (INFERNO.length - 1), low = Math.min(Math.floor(at), INFERNO.length - 2), part = at - low;
  const channel = (colour, index) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16);
  return [0, 1, 2].map((i) => Math.round((1 - part) * channel(INFERNO[low], i) + part * channel(INFERNO[low + 1], i)));
});

// A film (see values.js) through a window, as DICOM PS3.3 C.11.2.1.2.1 has it.
export function paintFilm(canvas, { numbers, count, valueOf }, { level, width }, inverted) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  const shades = Uint8ClampedArray.from({ length: count }, (_, number) => {
    const seen = ((valueOf(number) - (level - 0.5)) / (width - 1) + 0.5) * 255;
    return inverted ? 255 - seen : seen;
  });
  const table = Uint32Array.from(shades, (shade) => (0xff << 24) | (shade << 16) | (shade << 8) | shade);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < numbers.length; i++) pixels[i] = table[numbers[i]];
  context.putImageData(picture, 0, 0);
}

export function paintHeat(canvas, map, side, opacity) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!map || opacity === 0) return;
  const strength = Uint8Array.from(atob(map.bytes), (letter) => letter.charCodeAt(0));
  const small = document.createElement("canvas");
  small.width = small.height = side;
  const picture = small.getContext("2d").createImageData(side, side);
  strength.forEach((value, i) => {
    picture.data.set([...PALETTE[value], Math.round((opacity / 100) * value)], 4 * i);
  });
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  const largest = Math.max(...strength);
  if (largest >= 8) outline(context, strength, side, canvas.width, largest / 2);
}

// Marching squares: where the strength crosses the level, so that colour is not the only mark.
function outline(context, strength, side, size, level) {
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
  twice(context, "rgba(0, 0, 0, 0.7)", 4, "#fff", 1.5);
}

export function paintLungs(canvas, lungs) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  lungs.forEach((lines, side) => {
    context.beginPath();
    for (const line of lines) line.forEach(([x, y], i) => (i ? context.lineTo(x * width, y * height) : context.moveTo(x * width, y * height)));
    twice(context, "rgba(0, 0, 0, .6)", 5, LUNG_COLOURS[side], 2.5);
  });
}

function twice(context, under, wide, ink, thin) {
  context.lineJoin = "round";
  for (const [colour, width] of [[under, wide], [ink, thin]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }
}

export function paintLegend(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${PALETTE[Math.round((x / (canvas.width - 1)) * 255)].join(",")})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

// A line between two points of a film, in shares of it, and its length.
export function drawRuler(ruler, stage, pan, line, study) {
  const box = pan.getBoundingClientRect(), outer = stage.getBoundingClientRect();
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
