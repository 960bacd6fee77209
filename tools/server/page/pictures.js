// From files to pictures that the server can read. A file goes as it is wherever possible: only
// formats that the server does not know, photos that lie on their side, and what is beyond the
// server's limit are drawn anew.

/** What the server decodes by itself. */
const READABLE = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

/**
 * A picture of `file`: `{ name, width, height, url, data }`, where `url` shows it on this page and
 * `data` is the data URL to send. Throws an Error with a sentence if it is none.
 */
export async function readPicture(file) {
  const name = file.name || "picture";
  const url = URL.createObjectURL(file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    const { naturalWidth: width, naturalHeight: height } = image;
    const asItIs = READABLE.includes(file.type) && !(await isTurned(file));
    const data = asItIs ? await dataUrl(file) : drawn(image, width, height);
    return { name, width, height, url, data };
  } catch {
    URL.revokeObjectURL(url);
    throw new Error(`${name} is not a picture that this browser can read. PNG, JPEG, WebP, GIF and BMP will do.`);
  }
}

/** Gives the memory of a picture back that is shown no more. */
export function forgetPicture(picture) {
  URL.revokeObjectURL(picture.url);
}

/**
 * Makes the largest of `pictures` smaller until they are sent in at most `limit` bytes together.
 * Returns how many were changed.
 */
export async function shrinkToFit(pictures, limit) {
  const changed = new Set();
  for (;;) {
    const total = pictures.reduce((sum, { data }) => sum + data.length, 0);
    if (total <= limit) return changed.size;
    const largest = pictures.reduce((a, b) => (b.data.length > a.data.length ? b : a));
    const factor = Math.min(0.8, Math.sqrt(Math.max(largest.data.length - (total - limit), 1) / largest.data.length));
    const [width, height] = [largest.width, largest.height].map((side) => Math.floor(side * factor));
    if (!width || !height) return changed.size;
    const image = new Image();
    image.src = largest.url;
    await image.decode();
    Object.assign(largest, { width, height, data: drawn(image, width, height) });
    changed.add(largest);
  }
}

/** `image` as a JPEG file of that size. Transparency becomes white, as in the model's preprocessing. */
function drawn(image, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas.toDataURL("image/jpeg", 0.92);
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/**
 * Whether a JPEG file is to be turned or mirrored before it is shown (tag 0x112, orientation, of its
 * EXIF data). Browsers do that, the model's preprocessing does not.
 */
async function isTurned(file) {
  if (file.type !== "image/jpeg") return false;
  const view = new DataView(await file.slice(0, 1 << 17).arrayBuffer());
  try {
    for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint16(at) !== 0xffe1 || view.getUint32(at + 4) !== 0x45786966) continue;
      const tiff = at + 10;
      const little = view.getUint16(tiff) === 0x4949;
      const directory = tiff + view.getUint32(tiff + 4, little);
      const n = view.getUint16(directory, little);
      for (let i = 0; i < n; i++) {
        const entry = directory + 2 + 12 * i;
        if (view.getUint16(entry, little) === 0x112) return view.getUint16(entry + 8, little) > 1;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return false;
}
