const status = element.querySelector(".status");
element.addEventListener("click", async (event) => {
  if (!event.target.closest("button")) return;
  status.textContent = "Packing …";
  try {
    const made = await server.labels_zip();
    const bytes = Uint8Array.from(atob(made.base64), (letter) => letter.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type: "application/zip" }));
    link.download = made.name;
    link.click();
    URL.revokeObjectURL(link.href);
    status.textContent = "";
  } catch (error) {
    status.textContent = "The labels could not be packed.";
  }
});
