// Questions to the server, and uploads. A refusal is an Error whose message is a sentence for the reader.
const FILES = 50, BYTES = 200 * 2 ** 20; // of one upload; a request may have 512 MiB
let server = null;
export const base = new URL(`${new URL(window.gradio_config.root).pathname.replace(/[/]$/, "")}/`, location.origin);

export function connect(given) {
  server = server || given;
}

export async function ask(name, asked = {}) {
  const answer = await server[name](asked).catch(() => {
    throw new Error("The server does not answer. Is it running? Try again.");
  });
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function parts(chosen) {
  const made = [];
  let bytes = Infinity;
  for (const each of chosen) {
    if (bytes + each.file.size > BYTES || made.at(-1).length === FILES) {
      made.push([]);
      bytes = 0;
    }
    made.at(-1).push(each);
    bytes += each.file.size;
  }
  return made;
}

// Sends files, and hands over each part as soon as it has arrived: what the server calls them, under their own names.
export async function upload(chosen, arrived) {
  for (const part of parts(chosen)) {
    const form = new FormData();
    for (const { file } of part) form.append("files", file, file.name || "film");
    const answer = await fetch(new URL("gradio_api/upload", base), { method: "POST", body: form }).catch(() => {
      throw new Error("The upload was broken off: the file is too large, or the server is not running.");
    });
    if (!answer.ok) throw new Error(answer.status === 507 ? await answer.text() : "The server does not take the file: it is too large.");
    const paths = await answer.json();
    await arrived(part.map(({ name }, index) => ({ kind: "upload", path: paths[index], name })));
  }
}

export function save(name, kind, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
