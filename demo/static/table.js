// The worklist's table. File names and reasons come from strangers: they are only ever written as text.
export function makeTable(element, open) {
  const find = (selector) => element.querySelector(selector);
  const body = find("tbody"), search = find("input[type=search]"), kind = find("select.kind"), label = find("select.class");
  const order = { by: "score", down: true }, lines = new Map(), opened = new Set();
  let all = [], shown = [];

  const percent = (share) => {
    if (share > 0.999) return ">\u00a099.9\u00a0%";
    return share < 0.001 ? "<\u00a00.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`;
  };
  const kindOf = (film) => (!film.accepted ? "refused" : film.flag ? "flagged" : "calm");

  function line(film) {
    const row = document.createElement("tr");
    const cell = (text, className, heading) => {
      const made = document.createElement("td");
      made.textContent = text;
      if (className) made.className = className;
      if (heading) made.dataset.heading = heading;
      row.append(made);
      return made;
    };
    row.className = kindOf(film);
    const picture = cell("", "thumbnail"), button = document.createElement("button");
    if (film.thumbnail) picture.append(Object.assign(document.createElement("img"), { src: film.thumbnail, alt: "", width: 48, height: 48, loading: "lazy" }));
    Object.assign(button, { type: "button", textContent: film.file });
    cell("", "file").append(button);
    row.addEventListener("click", () => open(film));
    if (!film.accepted) {
      cell("", "figure");
      cell("✕ not read", "flag");
      Object.assign(cell(film.reason, "reason"), { colSpan: 2 });
      return row;
    }
    cell(percent(film.score), "figure", "Abnormal");
    cell(film.flag === null ? "not calibrated" : film.flag ? "▲ flagged" : "○ no", "flag");
    cell(film.predicted.replaceAll("_", " "), "predicted");
    cell(film.warnings.join("; "), "reason");
    return row;
  }

  function wanted(film) {
    const named = film.file.toLowerCase().includes(search.value.trim().toLowerCase());
    const alike = kind.value === "all" || (kind.value === "unread" ? !opened.has(film.index) : kind.value === kindOf(film));
    return named && alike && (!label.value || label.value === film.predicted);
  }

  function draw() {
    const value = (film) => (film[order.by] === null ? -1 : film[order.by]);
    const collator = new Intl.Collator(undefined, { numeric: true });
    const compare = (a, b) => (typeof value(a) === "string" ? collator.compare(value(a), value(b)) : value(a) - value(b)) || a.index - b.index;
    shown = all.filter(wanted).sort((a, b) => (order.down ? compare(b, a) : compare(a, b)));
    body.replaceChildren(...shown.map((film) => lines.get(film.index)));
    find(".count").textContent = `${shown.length} of ${all.length} films`;
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
  for (const control of [search, kind, label]) control.addEventListener("input", draw);

  return {
    rows: () => all,
    shown: () => shown,
    place: (film) => shown.findIndex((each) => each.index === film.index),
    add(films) {
      if (!films.length) return;
      for (const film of films) lines.set(film.index, line(film));
      all = all.concat(films);
      const known = new Set(Array.from(label.options, (option) => option.value));
      const classes = new Set(films.map((film) => film.predicted).filter((name) => name && !known.has(name)));
      label.append(...[...classes].sort().map((name) => new Option(name.replaceAll("_", " "), name)));
      find(".found").hidden = false;
      draw();
    },
    clear() {
      all = [];
      lines.clear();
      opened.clear();
      find(".found").hidden = true;
      draw();
    },
    mark(film) {
      opened.add(film.index);
      const row = lines.get(film.index);
      row.classList.add("opened");
      row.querySelector("td.file button").setAttribute("aria-description", "opened");
    },
  };
}
