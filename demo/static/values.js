// What a film holds, and how it is shown: numbers, and the stored value that each number stands for.

// The picture that comes first: greys, which the window that is set at first has made of stored values.
export function fromPicture(picture, { level, width, is_inverted: inverted }) {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  Object.assign(canvas, { width: picture.width, height: picture.height });
  context.drawImage(picture, 0, 0);
  const data = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const low = level - 0.5 - (width - 1) / 2;
  return {
    numbers: Uint8Array.from(data, (pixel) => pixel & 255),
    width: canvas.width,
    height: canvas.height,
    count: 256,
    valueOf: (grey) => low + ((inverted ? 255 - grey : grey) / 255) * (width - 1),
  };
}

// All that the file holds: differences along the rows, low bytes before high bytes, deflated; see demo/pictures.py.
export async function unpack({ base64, width, height, lowest }, { highest }) {
  const text = atob(base64), packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = width * height, numbers = new Uint16Array(size);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0, last = 0; column < width; column++, at++) {
      last = (last + planes[at] + (planes[size + at] << 8)) & 0xffff;
      numbers[at] = last;
    }
  }
  return { numbers, width, height, count: highest - lowest + 1, valueOf: (number) => lowest + number };
}
