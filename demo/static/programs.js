// The example for programs, with this server's address in it.
import { base } from "./server.js";

export function start(element) {
  element.querySelector(".address").textContent = base.href.replace(/[/]$/, "");
}
