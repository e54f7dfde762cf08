// The page: three rooms, of which the address after # says which is shown.

import { el } from "./dom.js";
import { showDesk } from "./desk.js";
import { showMeasure } from "./measure.js";
import { showModels } from "./models.js";
import { showNew } from "./new.js";
import { LANGUAGE, t } from "./strings.js";
import { showTraining } from "./watch.js";

const ROOMS = {
  "": { show: showModels, of: "models", title: "models" },
  new: { show: showNew, of: "models", title: "new-model" },
  training: { show: showTraining, of: "models", title: "training" },
  desk: { show: showDesk, of: "desk", title: "desk" },
  measure: { show: showMeasure, of: "measure", title: "measure" },
};
const DOORS = { models: "#/", desk: "#/desk", measure: "#/measure" };

let leaving = new AbortController();
let first = true;

async function enter() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name, ...path] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  const room = ROOMS[name] ?? ROOMS[""];
  document.title = `${t(room.title)} – charlstm`;
  showDoors(room.of);
  const place = document.getElementById("room");
  // What a room still adds after it was left goes to a place that is no longer shown.
  const inside = el("div", { class: `room ${name || "models"}` });
  place.replaceChildren(inside);
  if (!first) {
    scrollTo(0, 0);
    place.focus({ preventScroll: true });
  }
  first = false;
  await room.show(inside, path.filter(Boolean), signal);
  if (!signal.aborted) inside.dataset.shown = "true";
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function showDoors(now) {
  document
    .getElementById("rooms")
    .replaceChildren(
      ...Object.entries(DOORS).map(([name, href]) =>
        el("a", { href, "aria-current": name === now ? "page" : null }, t(name)),
      ),
    );
}

document.documentElement.lang = LANGUAGE;
const skip = document.getElementById("skip");
skip.textContent = t("skip");
skip.addEventListener("click", (event) => {
  event.preventDefault(); // the address after # names a room
  document.getElementById("room").focus();
});
document.getElementById("rooms").setAttribute("aria-label", t("rooms"));
// What is dropped beside the place for it must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
addEventListener("hashchange", enter);
// A page that the browser had put away has given its song back.
addEventListener("pageshow", (event) => event.persisted && location.reload());
enter();
