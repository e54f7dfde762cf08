// Files from a person's disk to the server: what was dropped, in pieces that a request may hold.

import { post } from "./api.js";

// Base64 takes four characters for three bytes, and a request has at most 4 MiB of it.
const PIECE = 2_400_000;
const MANY = 200; // files a request

/**
 * @typedef {{path: string, file: File}} Found
 */

/**
 * Return the files of a drop, those in folders with their paths, in the order of their paths.
 * @param {DataTransfer} dropped
 * @returns {Promise<Found[]>}
 */
export async function filesOfDrop(dropped) {
  const items = [...dropped.items].filter((item) => item.kind === "file");
  // All at once: after the first wait the browser has forgotten the others.
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ path: entry.name, file: entry });
    else if (entry) await walk(entry, found);
  }
  return ordered(found);
}

/**
 * Let files be dropped on something.
 * @param {HTMLElement} place
 * @param {(found: Found[], text: string) => void} onDrop with the text, if one was dropped instead
 * @param {(problem: Error) => void} onProblem
 */
export function acceptDrops(place, onDrop, onProblem) {
  const over = (is) => (event) => {
    event.preventDefault();
    // The pointer is still over it while it goes from one part of it to another.
    if (is || !place.contains(event.relatedTarget)) place.classList.toggle("over", is);
  };
  place.addEventListener("dragenter", over(true));
  place.addEventListener("dragover", over(true));
  place.addEventListener("dragleave", over(false));
  place.addEventListener("drop", async (event) => {
    event.preventDefault();
    place.classList.remove("over");
    const text = event.dataTransfer.getData("text"); // gone after the first wait
    try {
      onDrop(await filesOfDrop(event.dataTransfer), text);
    } catch (problem) {
      onProblem(problem);
    }
  });
}

/**
 * Return the files that were chosen in a dialog.
 * @param {FileList} chosen
 * @returns {Found[]}
 */
export function filesOfInput(chosen) {
  return ordered(
    Array.from(chosen, (file) => ({ path: file.webkitRelativePath || file.name, file })),
  );
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A folder tells its files a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const below of some) await walk(below, found);
  }
}

function ordered(found) {
  // What begins with a dot is hidden (.git, .DS_Store), and the command line passes it over too.
  const seen = found.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  return seen.sort((one, other) => compare(one.path, other.path));
}

async function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/**
 * Send files to a text that the server gathers.
 * @param {string} text its id
 * @param {Found[]} found
 * @param {(share: number) => void} onProgress 0 to 1
 * @param {AbortSignal} signal
 */
export async function send(text, found, onProgress, signal) {
  const all = found.reduce((sum, { file }) => sum + file.size, 0) || 1;
  let sent = 0;
  let pieces = [];
  let held = 0;
  const flush = async () => {
    if (!pieces.length) return;
    await post(`/api/texts/${encodeURIComponent(text)}/files`, { files: pieces }, { signal });
    sent += held;
    onProgress(sent / all);
    pieces = [];
    held = 0;
  };
  for (const { path, file } of found) {
    let at = 0;
    do {
      const blob = file.slice(at, at + PIECE - held);
      at += blob.size;
      held += blob.size;
      pieces.push({ path, data: blob.size ? await base64(blob) : "", more: at < file.size });
      if (held >= PIECE || pieces.length >= MANY) await flush();
    } while (at < file.size);
  }
  await flush();
}
