// The readers' answers and the runs' reports, to download.
import { ask, save } from "./server.js";

export function start(element) {
  element.querySelector("button").addEventListener("click", () => load(element.querySelector(".status"), async () => {
    const made = await ask("labels_zip");
    save(made.name, "application/zip", Uint8Array.from(atob(made.base64), (letter) => letter.charCodeAt(0)));
  }));
  document.getElementById("tabs").addEventListener("click", (event) => {
    const button = event.target.closest("[data-report]");
    if (button) load(button.nextElementSibling, async () => {
      const { html } = await ask("report", { index: Number(button.dataset.report) });
      save("report.html", "text/html", html);
    });
  });
}

async function load(status, make) {
  status.textContent = "Packing …";
  try {
    await make();
    status.textContent = "";
  } catch (error) {
    status.textContent = error.message;
  }
}
