// The engine of the page that `l2s export --format web` writes: the network runs in the browser.

import * as ort from "./ort.wasm.min.mjs";

export const place = "Photos are parsed in this browser and do not leave it.";

const LONGEST = 2048;  // larger photos are reduced, so that phones keep up
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
const session = ort.InferenceSession.create("parser.onnx", { executionProviders: ["wasm"] });

/** Parse a photo as a whole: its pixels, upright, and the class id of each. */
export async function parse(file, model) {
  const photo = await pixels(file);
  return { photo, ids: await classes(photo, model) };
}

/** Parse a square inside of a photo: the class id of each pixel of the photo, background outside of the square. */
export async function look(photo, { left, top, side }, model) {
  const cut = new Uint8ClampedArray(4 * side * side), ids = new Uint8Array(photo.width * photo.height);
  for (let y = 0; y < side; y += 1) {
    const from = 4 * ((top + y) * photo.width + left);
    cut.set(photo.data.subarray(from, from + 4 * side), 4 * y * side);
  }
  const found = await classes({ data: cut, width: side, height: side }, model);
  for (let y = 0; y < side; y += 1) ids.set(found.subarray(y * side, (y + 1) * side), (top + y) * photo.width + left);
  return ids;
}

async function classes(photo, model) {
  const side = Number(model.image_size), box = place_of(photo, side, model.resize);
  const tensor = new ort.Tensor("uint8", square(photo, box, side, model.resize), [1, side, side, 3]);
  const { probabilities } = await (await session).run({ image: tensor }, ["probabilities"]);
  return decide(probabilities, box, photo.width, photo.height);
}

async function pixels(file) {
  const image = await createImageBitmap(file).catch(() => { throw new Error("This browser cannot read that file as a photo."); });
  const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, Math.round(scale * length)));
  const paper = new OffscreenCanvas(width, height).getContext("2d");
  Object.assign(paper, { fillStyle: "white", imageSmoothingQuality: "high" });
  paper.fillRect(0, 0, width, height);
  paper.drawImage(image, 0, 0, width, height);
  return paper.getImageData(0, 0, width, height);
}

/** Where the photo lies in the square: input_pipeline.images.geometry.fit_box. */
function place_of({ width, height }, side, rule) {
  if (rule.startsWith("stretch")) return { left: 0, top: 0, width: side, height: side };
  const scale = side / Math.max(width, height);
  const [w, h] = [width, height].map((length) => Math.max(1, Math.round(scale * length)));
  return { left: Math.floor((side - w) / 2), top: Math.floor((side - h) / 2), width: w, height: h };
}

/** Resize the photo into its box and repeat its border around it: RGB bytes. */
function square(photo, box, side, rule) {
  const kernel = rule.endsWith("bicubic") ? [cubic, 2] : [triangle, 1];
  const columns = weights(photo.width, box.width, ...kernel), rows = weights(photo.height, box.height, ...kernel);
  const narrow = new Float32Array(photo.height * box.width * 3);
  for (let y = 0; y < photo.height; y += 1) {
    for (let x = 0; x < box.width; x += 1) {
      const { first, taps } = columns[x];
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let t = 0; t < taps.length; t += 1) sum += taps[t] * photo.data[4 * (y * photo.width + first + t) + c];
        narrow[3 * (y * box.width + x) + c] = Math.min(255, Math.max(0, Math.round(sum)));  // as Pillow does
      }
    }
  }
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y += 1) {
    const { first, taps } = rows[Math.min(box.height - 1, Math.max(0, y - box.top))];
    for (let x = 0; x < side; x += 1) {
      const column = Math.min(box.width - 1, Math.max(0, x - box.left));
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let t = 0; t < taps.length; t += 1) sum += taps[t] * narrow[3 * ((first + t) * box.width + column) + c];
        out[3 * (y * side + x) + c] = Math.min(255, Math.max(0, Math.round(sum)));
      }
    }
  }
  return out;
}

const triangle = (x) => Math.max(0, 1 - Math.abs(x));

function cubic(x) {  // Keys, a = -1/2
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

/** The antialiased weights of each new pixel of a row: the kernel widens with the reduction. */
function weights(old, fresh, kernel, support) {
  const scale = old / fresh, wide = Math.max(1, scale);
  return Array.from({ length: fresh }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support * wide + 0.5));
    const end = Math.min(old, Math.floor(centre + support * wide + 0.5));
    const taps = Array.from({ length: end - first }, (_, t) => kernel((first + t + 0.5 - centre) / wide));
    const total = taps.reduce((sum, tap) => sum + tap, 0);
    return { first, taps: taps.map((tap) => tap / total) };
  });
}

/** The most probable class of each pixel of the photo; probabilities are interpolated within the box. */
function decide({ data, dims: [, side, , classes] }, box, width, height) {
  const ids = new Uint8Array(width * height), line = new Float32Array(box.width * classes);
  const columns = between(width, box.width), rows = between(height, box.height);
  for (let y = 0; y < height; y += 1) {
    const [above, below, v] = rows[y];
    for (let i = 0, x = box.left * classes; i < line.length; i += 1, x += 1) {
      const upper = data[(box.top + above) * side * classes + x], lower = data[(box.top + below) * side * classes + x];
      line[i] = upper + v * (lower - upper);
    }
    for (let x = 0; x < width; x += 1) {
      const [left, right, u] = columns[x];
      let best = -1;
      for (let k = 0; k < classes; k += 1) {
        const a = line[left * classes + k], value = a + u * (line[right * classes + k] - a);
        if (value > best) { best = value; ids[y * width + x] = k; }
      }
    }
  }
  return ids;
}

/** The two old pixels around each new one, and the weight of the second. */
function between(fresh, old) {
  return Array.from({ length: fresh }, (_, i) => {
    const at = Math.min(old - 1, Math.max(0, ((i + 0.5) * old) / fresh - 0.5)), first = Math.floor(at);
    return [first, Math.min(old - 1, first + 1), at - first];
  });
}
