// Many films: sent in parts, and a table that fills as they are scored.
import { field, takes } from "./files.js";
import { makeTable } from "./table.js";
import { ask, save, upload } from "./server.js";
import { open } from "./study.js";
import { onReturn, turnTo, turnToFilm } from "./tabs.js";

let element, table, job = "", chosen = [], latest = 0;
const find = (selector) => element.querySelector(selector);

export function start(root) {
  element = root;
  table = makeTable(root, openRow);
  for (const input of element.querySelectorAll("input[type=file]")) field(input, read);
  takes("worklist", read);
  onReturn((film) => {
    const row = film.job === job && table.rows()[film.index];
    if (row) openRow(row);
  });
  find(".cancel").addEventListener("click", () => cancel());
  find(".again").addEventListener("click", again);
  find(".csv").addEventListener("click", async () => {
    try {
      const { csv } = await ask("table", { job, indices: table.shown().map((row) => row.index) });
      save("worklist.csv", "text/csv", csv);
    } catch (error) {
      say(error.message, { again: true });
    }
  });
}

function say(words, { cancel = false, again = false } = {}) {
  find(".progress").textContent = words;
  find(".cancel").hidden = !cancel;
  find(".again").hidden = !again || !chosen.length;
}

function again() {
  turnTo("worklist");
  read(chosen);
}

async function cancel() {
  latest++; // what is still sent is sent in vain
  say(`Cancelled: ${table.rows().length} films were read.`, { again: true });
  if (job) await ask("stop", { job }).catch((error) => say(error.message));
}

async function read(files) {
  const ticket = ++latest, before = job;
  if (before) ask("stop", { job: before }).catch(() => {}); // it ends by itself, too, when no one asks any more
  [chosen, job] = [files, ""];
  table.clear();
  let sending = true, polling = null;
  say(`Sending ${files.length === 1 ? files[0].name : `${files.length} files`} …`, { cancel: true });
  const poll = async () => {
    for (;;) {
      const { rows, total, running, failed } = await ask("rows", { job, after: table.rows().length });
      if (ticket !== latest) return;
      table.add(rows);
      if (!running && !sending && table.rows().length >= total) {
        say(failed ? "The server failed at one of these films; the others are below." : "", { again: failed });
        return;
      }
      say(`Read ${table.rows().length} of ${total}${sending ? " that were sent" : ""} …`, { cancel: true });
      if (!running && sending) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  try {
    await upload(files, async (part) => {
      if (ticket !== latest) throw new Error("");
      const added = await ask("add_films", { files: part, job: job || null });
      if (ticket !== latest) return;
      job = added.job;
      polling = polling || poll();
      polling.catch(() => {}); // awaited below
    });
    sending = false;
    await polling;
  } catch (error) {
    if (ticket === latest) say(error.message, { again: true });
  }
}

function openRow(row) {
  const of = job;
  table.mark(row);
  turnToFilm({ job: of, index: row.index });
  open(row.file, async () => ({ kind: "listed", job: of, index: row.index }), {
    job: of,
    rows: () => table.shown(),
    position: () => `${table.place(row) + 1} of ${table.shown().length}`,
    turn: (step) => {
      const next = table.shown()[table.place(row) + step];
      if (next) openRow(next);
    },
    again,
  });
}
