// What a reader says of the film that is shown: one answer for each film and reader, which may be changed or taken back.
import { ask } from "./server.js";

const READER = "cxr-reader";

export function feedback(form) {
  const find = (selector) => form.querySelector(selector);
  const kept = find("#kept"), comment = find("textarea"), keep = find("input[type=checkbox]"), reader = find(".reader");
  const comments = new Map(); // of this page; the server tells them to no one
  let answer = null, film = null;
  reader.value = localStorage.getItem(READER) || "";

  async function say(label) {
    const of = answer, key = `${answer.sha256} ${reader.value}`;
    if (!label || !reader.value.trim()) {
      kept.textContent = label ? "Give your initials first." : "Choose a label first.";
      if (label) reader.focus();
      return;
    }
    kept.textContent = "Saving …";
    try {
      const { sha256, predicted } = answer;
      const said = await ask("answer", { film, sha256, predicted, label, reader: reader.value, comment: comment.value, keep: keep.checked });
      comments.set(key, comment.value);
      if (of !== answer) return;
      kept.innerHTML = said.kept; // escaped by the server's template
      tick(label);
      find("#undo").hidden = false;
    } catch (error) {
      if (of === answer) kept.textContent = error.message;
    }
  }

  async function before() {
    const of = answer, name = reader.value.trim();
    find("#undo").hidden = true;
    tick("");
    if (!of || !name) return;
    const { label, error } = await ask("answered", { sha256: of.sha256, reader: name }).catch((error) => ({ error }));
    if (error && of === answer) kept.textContent = error.message;
    if (of !== answer || !label) return;
    tick(label);
    comment.value = comments.get(`${of.sha256} ${reader.value}`) || "";
    kept.textContent = `You said: ${label.replaceAll("_", " ")}.`;
    find("#undo").hidden = false;
  }

  function tick(label) {
    for (const input of form.querySelectorAll("input[name=label]")) input.checked = input.value === label;
  }

  function labels(names) {
    find(".labels").replaceChildren(...names.map((name) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "label", value: name });
      label.append(input, ` ${name.replaceAll("_", " ")}`);
      return label;
    }));
  }

  find("#agree").addEventListener("click", () => say(answer.predicted));
  find("#undo").addEventListener("click", async () => {
    const of = answer;
    await ask("withdraw", { sha256: of.sha256, reader: reader.value }).catch((error) => (kept.textContent = error.message));
    if (of !== answer) return;
    tick("");
    find("#undo").hidden = true;
    kept.textContent = "Taken back.";
  });
  reader.addEventListener("change", () => {
    localStorage.setItem(READER, reader.value.trim());
    kept.textContent = "";
    before();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(form.elements.label?.value);
  });

  return {
    hide() {
      form.hidden = true;
      answer = null;
    },
    show(given, from) {
      [answer, film] = [given, from];
      form.hidden = !given.readable;
      comment.value = kept.textContent = "";
      keep.checked = false;
      labels(given.labels);
      find("#agree").hidden = !given.named; // no class is named that there is no ground for
      find("#agree").textContent = `Agree: ${given.named.replaceAll("_", " ")}`;
      before();
    },
  };
}
