// An earlier film beside the one that is read, its window, zoom and place tied to it.
import { ask, upload } from "./server.js";
import { makeViewer } from "./viewer.js";

// `main` is the viewer of the film that is read; returns what the study tells of it.
export function prior(element, main) {
  const find = (selector) => element.querySelector(selector);
  const section = find("#prior"), select = find("#prior select"), suggested = find("#prior-suggested"), opener = find("#prior-open");
  let latest = 0, list = null, following = false;
  const viewer = makeViewer(find("#prior-viewer"), { changed: () => tie(viewer, main) });

  // One viewer's window and place for the other; what that changes is not told back.
  function tie(from, to) {
    if (following || section.hidden || !find(".linked").checked || !from?.shows() || !to.shows()) return;
    following = true;
    to.follow(from.state());
    following = false;
  }

  function toggle(shown) {
    section.hidden = !shown;
    element.querySelector(".study").classList.toggle("two", shown);
    opener.setAttribute("aria-expanded", String(shown));
    find(".before").hidden = shown || !main.shows();
  }

  async function show(name, where) {
    const ticket = ++latest;
    toggle(true);
    find(".prior-name").textContent = `Reading ${name}…`;
    find("#prior .said").textContent = "";
    viewer.clear("Reading…");
    try {
      const film = await where();
      const answer = await ask("read", { film });
      if (ticket !== latest) return;
      find(".prior-name").textContent = `Prior: ${answer.name}`;
      await viewer.show({ ...answer.view, maps: [], lungs: [] }, () => ask("whole", { film }), { shown: () => tie(main, viewer) });
    } catch (error) {
      if (ticket !== latest) return;
      find(".prior-name").textContent = name;
      viewer.clear("Not read");
      find("#prior .said").textContent = error.message;
    }
  }

  function showRow(row) {
    show(row.file, async () => ({ kind: "listed", job: list.job, index: row.index }));
  }

  opener.addEventListener("click", () => {
    toggle(true);
    find("#prior-upload").focus();
  });
  find("#prior .close").addEventListener("click", () => {
    close();
    opener.focus();
  });
  find("#prior-upload").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (!file) return;
    show(file.name, async () => {
      let film;
      await upload([{ file, name: file.name }], ([each]) => (film = each));
      return film;
    });
  });
  select.addEventListener("change", () => {
    const row = list?.rows().find((each) => String(each.index) === select.value);
    if (row) showRow(row);
  });
  find(".linked").addEventListener("change", () => tie(main, viewer));

  function close() {
    latest++;
    viewer.clear();
    find(".prior-name").textContent = "No prior film";
    find("#prior .said").textContent = "";
    toggle(false);
  }

  return {
    changed: () => tie(main, viewer),
    // Another film is read: the prior of the one before goes with it.
    clear() {
      close();
      find(".before").hidden = suggested.hidden = true;
    },
    // A film stands: `around` is the worklist that it is of, where it is of one.
    async ready(film, around) {
      list = around;
      find(".before").hidden = false;
      find(".listed").hidden = !list;
      if (!list) return;
      const rows = list.rows().filter((row) => row.index !== film.index);
      select.replaceChildren(new Option("choose", ""), ...rows.map((row) => new Option(row.file, row.index)));
      const ticket = latest;
      const { films } = await ask("priors", { kind: "listed", job: film.job, index: film.index }).catch(() => ({ films: [] }));
      const earlier = films.filter(({ days }) => days === null || days >= 0).sort((a, b) => (a.days ?? Infinity) - (b.days ?? Infinity));
      const row = earlier.length && list.rows().find((each) => each.index === earlier[0].index);
      if (!row || ticket !== latest) return;
      const days = earlier[0].days;
      suggested.textContent = `Same patient${days === null ? "" : days === 0 ? ", the same day" : `, ${days} ${days === 1 ? "day" : "days"} earlier`}: ${row.file}`;
      suggested.onclick = () => showRow(row);
      suggested.hidden = false;
    },
  };
}
