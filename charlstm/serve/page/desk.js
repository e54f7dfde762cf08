// The room of the desk: which model and which song are on it.

import { get, ofRun, post } from "./api.js";
import { button, el } from "./dom.js";
import { sentenceOf, trouble } from "./questions.js";
import { t } from "./strings.js";
import { Writing } from "./writing.js";

/**
 * Show a song on the desk.
 * @param {HTMLElement} room
 * @param {string[]} path run and song; without them, the last ones
 * @param {AbortSignal} left
 */
export async function showDesk(room, path, left) {
  try {
    const run = await chosenRun(path[0]);
    if (!run) return room.append(noModel());
    if (run.state === "damaged" || run.state === "empty") return room.append(unusable(run));
    const id = path[1] ?? (await chosenSong(run.name));
    if (left.aborted) return undefined;
    const address = `#/desk/${encodeURIComponent(run.name)}/${encodeURIComponent(id)}`;
    if (location.hash !== address) history.replaceState(null, "", address);
    localStorage.setItem("run", run.name);
    const writing = new Writing(run, id, left);
    room.append(writing.element);
    left.addEventListener("abort", () => writing.end());
    await writing.begin();
  } catch (problem) {
    if (!left.aborted) room.replaceChildren(failure(problem));
  }
  return undefined;
}

async function chosenRun(name) {
  if (name) return get(ofRun(name));
  const { runs } = await get("/api/runs");
  const usable = runs.filter((run) => run.state === "ready" || run.state === "stopped");
  return usable.find((run) => run.name === localStorage.getItem("run")) ?? usable[0] ?? null;
}

async function chosenSong(run) {
  const { songs } = await get(ofRun(run, "songs"));
  if (songs.length) return songs.reduce((one, other) => (other.saved > one.saved ? other : one)).id;
  return (await post(ofRun(run, "songs"), { text: "" })).id;
}

function noModel() {
  return el(
    "div",
    { class: "page narrow" },
    el("h1", {}, t("no-model")),
    el("p", {}, t("no-model-how")),
    el("p", {}, el("a", { class: "act primary", href: "#/new" }, t("new-model"))),
  );
}

function unusable(run) {
  return el(
    "div",
    { class: "page narrow" },
    el("h1", { dir: "auto" }, run.name),
    el("p", { class: "trouble" }, run.problem ?? t(`state-${run.state}`)),
    el("p", {}, el("a", { class: "act", href: "#/" }, t("models"))),
  );
}

function failure(problem) {
  const failed = trouble();
  failed.say(sentenceOf(problem));
  const again = button(t("again"), () => dispatchEvent(new HashChangeEvent("hashchange")), {
    class: "act",
  });
  const models = el("a", { class: "act", href: "#/" }, t("models"));
  return el("div", { class: "page narrow" }, failed, el("div", { class: "acts" }, again, models));
}
