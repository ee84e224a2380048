// Files that are dropped, pasted or picked, anywhere on the page, are taken by the tab that is open.
// Many of them, folders and archives go to the worklist.
import { current, turnTo } from "./tabs.js";

const TABS = ["study", "worklist", "compare"], takers = {}, awaited = {};

export function takes(tab, taker) {
  takers[tab] = taker;
  awaited[tab]?.(taker);
}

// Gradio makes a tab when it is first turned to.
const ready = async (tab) => takers[tab] || new Promise((resolve) => (awaited[tab] = resolve));

export async function offer(chosen) {
  if (!chosen.length) return;
  const many = chosen.length > 1 || /\.zip$/i.test(chosen[0].name);
  const tab = many ? "worklist" : TABS.includes(current()) ? current() : "study";
  turnTo(tab);
  (await ready(tab))(chosen);
}

// A field to pick files by, beside its button.
export function field(input, taker = offer) {
  const take = () => {
    const chosen = named(input.files);
    input.value = ""; // so that the same file can be picked again
    if (chosen.length) taker(chosen);
  };
  input.addEventListener("change", take);
  take(); // what was picked before this script had come
}

function named(files) {
  return Array.from(files, (file) => ({ file, name: file.webkitRelativePath || file.name || "pasted film" }));
}

async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return file.name.startsWith(".") ? [] : [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return found;
    for (const each of some) found.push(...(await below(each)));
  }
}

async function dropped(transfer) {
  const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return named(transfer.files);
  return (await Promise.all(entries.map(below))).flat();
}

export function listen() {
  const holdsFiles = (event) => Array.from(event.dataTransfer?.types || []).includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", async (event) => {
    document.body.classList.remove("dropping");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    offer(await dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      offer(named(event.clipboardData.files));
    }
  });
}
