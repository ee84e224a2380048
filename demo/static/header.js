const button = element.querySelector(".theme");
const saved = localStorage.getItem("cxr-theme");
function apply(theme) {
  document.body.classList.toggle("dark", theme === "dark");
  document.documentElement.style.colorScheme = theme;
  button.setAttribute("aria-pressed", String(theme === "dark"));
  button.textContent = theme === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-label", theme === "dark" ? "Switch to light mode" : "Switch to dark reading mode");
}
apply(saved || (document.body.classList.contains("dark") || matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
button.addEventListener("click", () => {
  const theme = document.body.classList.contains("dark") ? "light" : "dark";
  localStorage.setItem("cxr-theme", theme);
  apply(theme);
});
