// The engine of the page that `l2s serve` shows: photos go to the server on this machine.

export const place = "Photos go to the server on this machine and are not stored.";

async function answer(path, body) {
  const response = await fetch(path, { method: "POST", body });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

/** Parse a photo: its pixels, upright, and the class id of each. */
export async function parse(file) {
  const response = await answer("parse", file);
  const [width, height] = response.headers.get("X-Size").split("x").map(Number);
  const bytes = new Uint8Array(await response.arrayBuffer()), count = width * height;
  const photo = new ImageData(width, height), { data } = photo;
  for (let to = 0, from = count; from < bytes.length; to += 4, from += 3) {
    data[to] = bytes[from]; data[to + 1] = bytes[from + 1]; data[to + 2] = bytes[from + 2]; data[to + 3] = 255;
  }
  return { photo, ids: bytes.subarray(0, count) };
}

/** Give the first face parts of the second: a PNG. */
export async function swap(target, source, regions) {
  const query = new URLSearchParams({ regions: regions.join(","), first: target.size });
  return (await answer(`swap?${query}`, new Blob([target, source]))).blob();
}
