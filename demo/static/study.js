// One film at a time: what is asked last is what is shown, and nothing of the film before stands beside its name.
import { feedback } from "./feedback.js";
import { field, listen, takes } from "./files.js";
import { prior } from "./prior.js";
import { ask, connect, upload } from "./server.js";
import { listenToTabs, turnTo } from "./tabs.js";
import { makeViewer } from "./viewer.js";

let element, viewer, form, before, latest = 0, list = null;
const find = (selector) => element.querySelector(selector);

export function start(root, server) {
  connect(server);
  listen();
  listenToTabs();
  element = root;
  viewer = makeViewer(find("#viewer"), { turn, leave: () => list && turnTo("worklist"), changed: () => before?.changed() });
  before = prior(root, viewer);
  form = feedback(find("#feedback"));
  field(find(".pick input"));
  takes("study", ([chosen]) => open(chosen.name, () => sent(chosen)));
  find(".turn").addEventListener("click", (event) => {
    const button = event.target.closest("[data-turn]");
    if (button) turn(Number(button.dataset.turn));
  });
  greet().catch((error) => refuse(error.message));
}

async function sent(chosen) {
  let film;
  await upload([chosen], ([each]) => (film = each));
  return film;
}

// Reads a film. `where` gives what the server is to read, once that is known; `around` is the worklist it stands in.
export async function open(name, where, around = null) {
  const ticket = ++latest;
  list = around;
  clear(name);
  try {
    const film = await where();
    if (ticket !== latest) return;
    const answer = await ask("read", { film });
    if (ticket === latest) show(answer, film);
  } catch (error) {
    if (ticket !== latest) return;
    find(".name").textContent = name;
    viewer.clear("Not read");
    refuse(error.message);
  }
}

function refuse(words) {
  const box = document.createElement("div"), text = document.createElement("p");
  Object.assign(box, { className: "refusal", role: "alert" });
  text.textContent = words;
  box.append(text);
  find("#headline").replaceChildren(box);
  if (list?.again) {
    const again = document.createElement("button");
    Object.assign(again, { type: "button", className: "plain", textContent: "Read the worklist again" });
    again.addEventListener("click", list.again);
    box.append(again);
  }
}

function clear(name) {
  find(".name").textContent = `Reading ${name}…`;
  element.querySelector(".study").setAttribute("aria-busy", "true");
  viewer.clear("Reading…");
  before.clear();
  find("#headline").replaceChildren();
  find("#findings").replaceChildren();
  form.hide();
  find(".turn").hidden = !list;
  if (list) find(".position").textContent = list.position();
}

function show(answer, film) {
  find(".name").textContent = answer.name;
  element.querySelector(".study").removeAttribute("aria-busy");
  find("#headline").innerHTML = answer.headline; // escaped by the server's templates
  find("#findings").innerHTML = answer.findings + answer.standing;
  form.show(answer, film);
  const around = list;
  viewer.show(answer.view, () => ask("whole", { film }), {
    shown: () => before.ready(film, around),
    result: () => ask("result", { film }),
  });
  viewer.focus();
}

function turn(step) {
  list?.turn(step);
}

async function greet() {
  const { films, about } = await ask("greet");
  if (latest === 0) find("#headline").innerHTML = about; // escaped by the server's templates
  find(".examples").append(...films.map(({ name, picture, words }, index) => {
    const button = document.createElement("button"), image = document.createElement("img");
    Object.assign(image, { src: picture, alt: words });
    Object.assign(button, { type: "button", title: words });
    button.dataset.name = name;
    button.classList.toggle("wrong", words.includes("wrongly"));
    button.append(image);
    button.addEventListener("click", () => open(name, async () => ({ kind: "example", index })));
    return button;
  }));
}
