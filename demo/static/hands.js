// The mouse, the pen and fingers on a film: drag for the window, wheel and pinch to zoom, middle or space drag to pan.
const PAGE_LINE = 16; // pixels that a line of a wheel counts for

// Calls back with `window(dx, dy)` in shares of the stage, `pan(dx, dy)` in pixels and `zoom(factor, x, y)` at a point of
// the stage, counted from its middle; `measure(point, ended)` while the tool for distances is on.
export function hands(stage, { window: setWindow, pan, zoom, fit, measure, isMeasuring, isZoomed }) {
  const pointers = new Map();
  let mode = "", spaceDown = false;

  const middle = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  };
  const modeOf = (event) => {
    if (event.button === 1 || spaceDown) return "pan";
    if (isMeasuring()) return "measure";
    if (event.pointerType === "touch") return isZoomed() ? "pan" : "";
    return event.button === 0 ? "window" : "";
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button") || stage.dataset.empty === "true") return;
    pointers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
    mode = pointers.size === 2 ? "pinch" : modeOf(event);
    if (mode === "measure") measure(event, "begun");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    if (mode === "window") setWindow(dx / stage.clientWidth, dy / stage.clientHeight);
    else if (mode === "pan") pan(dx, dy);
    else if (mode === "measure") measure(event, "moved");
    else if (mode === "pinch") pinch(before, event);
    pointers.set(event.pointerId, event);
  });
  function pinch(before, event) {
    const [other] = [...pointers.values()].filter((each) => each.pointerId !== event.pointerId);
    if (!other) return;
    const apart = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY);
    const [x, y] = middle({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
    zoom(apart(event) / Math.max(1, apart(before)), x, y);
    pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      mode = "";
    });
  }
  stage.addEventListener("wheel", (event) => {
    if (stage.dataset.empty === "true") return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? PAGE_LINE : 1);
    zoom(Math.exp(-Math.max(-100, Math.min(100, pixels)) / 400), ...middle(event));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    if (!event.target.closest("button")) fit();
  });
  stage.addEventListener("auxclick", (event) => event.preventDefault());
  stage.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target !== stage) return;
    event.preventDefault();
    spaceDown = true;
  });
  for (const end of ["keyup", "blur"]) stage.addEventListener(end, (event) => { if (end === "blur" || event.key === " ") spaceDown = false; });
}
