// One film, read by two runs.
import { field, takes } from "./files.js";
import { ask, upload } from "./server.js";
import { makeViewer } from "./viewer.js";

export function start(element) {
  const find = (selector) => element.querySelector(selector);
  const sides = Array.from(element.querySelectorAll(".both > section"), (section) => ({
    viewer: makeViewer(section),
    findings: section.querySelector(".findings"),
    name: section.querySelector("h3"),
  }));
  let latest = 0;

  async function read([chosen]) {
    const ticket = ++latest;
    find(".name").textContent = `Reading ${chosen.name}…`;
    find("#agreement").replaceChildren();
    sides.forEach(({ viewer, findings }) => { viewer.clear("Reading…"); findings.replaceChildren(); });
    try {
      let film;
      await upload([chosen], ([each]) => (film = each));
      const answer = await ask("compare", { film });
      if (ticket !== latest) return;
      find(".name").textContent = answer.name;
      find("#agreement").innerHTML = answer.agreement; // escaped by the server's templates
      answer.answers.forEach(({ view, findings, model }, index) => {
        sides[index].name.textContent = model;
        sides[index].findings.innerHTML = findings;
        sides[index].viewer.show(view, () => ask("whole", { film }));
      });
    } catch (error) {
      if (ticket !== latest) return;
      find(".name").textContent = chosen.name;
      find("#agreement").textContent = error.message;
    }
  }

  field(find("input"), read);
  takes("compare", read);
}
