element.addEventListener("click", (event) => {
  const chosen = event.target.closest("button[data-index]");
  if (chosen) trigger("example", { index: Number(chosen.dataset.index) });
});
