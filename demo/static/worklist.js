// The table of many films. File names and reasons come from strangers: they are only ever written as text.
const find = (selector) => element.querySelector(selector);
const body = find("tbody"), search = find("input[type=search]"), [show, label] = element.querySelectorAll("select");
const order = { by: "score", down: true };
let list = { rows: [], classes: [], csv: "" };

function percent(share) {
  if (share > 0.999) return ">\u00a099.9\u00a0%";
  return share < 0.001 ? "<\u00a00.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`;
}

function cell(row, text, kind) {
  const made = document.createElement("td");
  made.textContent = text;
  if (kind) made.className = kind;
  row.append(made);
  return made;
}

function line(film) {
  const row = document.createElement("tr");
  row.className = film.accepted ? (film.flag ? "flagged" : "calm") : "refused";
  const picture = cell(row, "", "thumbnail");
  if (film.thumbnail) {
    const image = document.createElement("img");
    Object.assign(image, { src: film.thumbnail, alt: "", width: 48, height: 48 });
    picture.append(image);
  }
  const open = document.createElement("button");
  open.type = "button";
  open.textContent = film.file;
  open.setAttribute("aria-label", `Open ${film.file}`);
  cell(row, "", "file").append(open);
  row.addEventListener("click", () => trigger("open", { index: film.index }));
  if (!film.accepted) {
    cell(row, "");
    cell(row, "✕ not read");
    Object.assign(cell(row, film.reason, "reason"), { colSpan: 2 });
    return row;
  }
  cell(row, percent(film.score), "figure");
  cell(row, film.flag === null ? "not calibrated" : film.flag ? "▲ flagged" : "○ no");
  cell(row, `${film.predicted.replaceAll("_", " ")}, ${percent(film.probability)}`);
  cell(row, film.warnings.join("; "), "reason");
  return row;
}

function wanted(film) {
  const kind = !film.accepted ? "refused" : film.flag ? "flagged" : "calm";
  const named = film.file.toLowerCase().includes(search.value.trim().toLowerCase());
  return named && (show.value === "all" || show.value === kind) && (!label.value || label.value === film.predicted);
}

function draw() {
  const value = (film) => (film[order.by] === null ? -1 : film[order.by]);
  const compare = (a, b) => (typeof value(a) === "string" ? value(a).localeCompare(value(b)) : value(a) - value(b));
  const rows = list.rows.filter(wanted).sort((a, b) => (order.down ? compare(b, a) : compare(a, b)));
  body.replaceChildren(...rows.map(line));
  find(".count").textContent = `${rows.length} of ${list.rows.length} films`;
  element.querySelectorAll("th[data-by]").forEach((header) => {
    if (header.dataset.by === order.by) header.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  });
}

find("thead").addEventListener("click", (event) => {
  const header = event.target.closest("th[data-by]");
  if (!header) return;
  order.down = header.dataset.by === order.by ? !order.down : header.dataset.by !== "file" && header.dataset.by !== "predicted";
  order.by = header.dataset.by;
  draw();
});
for (const control of [search, show, label]) control.addEventListener("input", draw);
find(".csv").addEventListener("click", () => {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([list.csv], { type: "text/csv" }));
  anchor.download = "worklist.csv";
  anchor.click();
  URL.revokeObjectURL(anchor.href);
});

function take(value) {
  list = value || { rows: [], classes: [], csv: "" };
  find(".worklist").hidden = !value;
  const any = label.options[0];
  label.replaceChildren(any, ...list.classes.map((name) => new Option(name.replaceAll("_", " "), name)));
  Object.assign(order, { by: "score", down: true });
  search.value = label.value = "";
  show.value = "all";
  draw();
}
watch("value", () => take(props.value || null));
take(props.value || null);
