// Gradio's tabs, by their names; where the reader is stands in the address, so that Back and Forward work, and each tab
// keeps its place on the page.
const button = (name) => document.getElementById(`tab-${name}-button`);
const nameOf = (tab) => tab.id.replace(/^tab-|-button$/g, "");
const scrolls = {}, reopeners = [];
let quiet = false;

export function current() {
  const chosen = document.querySelector('#tabs [role="tab"][aria-selected="true"]');
  return chosen ? nameOf(chosen) : "study";
}

export function turnTo(name) {
  if (current() !== name) button(name)?.click();
}

// Turns to the study of one film of a worklist, and notes that in the address; names of files stay out of it.
export function turnToFilm(film) {
  quietly(() => turnTo("study"));
  if (JSON.stringify(history.state?.film) !== JSON.stringify(film)) {
    history.pushState({ tab: "study", film }, "", `#film-${film.index + 1}`);
  }
}

// Calls back with a film when Back or Forward leads to it.
export function onReturn(reopen) {
  reopeners.push(reopen);
}

function quietly(act) {
  quiet = true;
  act();
  quiet = false;
}

export function listenToTabs() {
  document.getElementById("tabs").addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (!tab || nameOf(tab) === current()) return;
    const next = nameOf(tab);
    scrolls[current()] = window.scrollY;
    requestAnimationFrame(() => requestAnimationFrame(() => window.scrollTo(0, scrolls[next] || 0)));
    if (!quiet) history.pushState({ tab: next }, "", `#${next}`);
  }, true); // before Gradio turns to it
  window.addEventListener("popstate", ({ state }) => {
    quietly(() => turnTo(state?.tab || "study"));
    if (state?.film) reopeners.forEach((reopen) => reopen(state.film));
  });
  const asked = location.hash.slice(1);
  history.replaceState({ tab: button(asked) ? asked : "study" }, "");
  if (button(asked)) quietly(() => turnTo(asked));
}
