// The songs that are being written with a model: a list, new ones, and those given up.

import { CLIENT, get, ofRun, post } from "./api.js";
import { announce, button, el } from "./dom.js";
import { shownWhen } from "./figures.js";
import { ask, sentenceOf } from "./questions.js";
import { t } from "./strings.js";

function about(lines, saved) {
  return `${t("n-lines", { n: lines })} · ${shownWhen(saved)}`;
}

/**
 * Make the list of a run's songs.
 * @param {string} run
 * @param {string} open the one that is on the desk
 * @param {{onTrouble: (sentence: string) => void, beforeRemove: (id: string) => Promise<void>,
 *   onDownload: () => void}} on
 */
export function songsPanel(run, open, on) {
  const list = el("ul", { class: "songs", "aria-label": t("songs") });
  const place = encodeURIComponent(run);
  const acting = (doing) => async () => {
    try {
      await doing();
    } catch (problem) {
      on.onTrouble(sentenceOf(problem));
    }
  };
  const begin = button(
    t("new-song"),
    acting(async () => {
      const { id } = await post(ofRun(run, "songs"), { text: "" });
      location.hash = `#/desk/${place}/${encodeURIComponent(id)}`;
    }),
    { class: "act" },
  );
  const removing = (song) =>
    acting(async () => {
      const title = song.title || t("untitled");
      if (!(await ask(t("remove-song?", { title }), t("remove-song-detail"), t("remove")))) return;
      if (song.id === open) await on.beforeRemove(song.id);
      await post(ofRun(run, "songs", song.id, "remove"), { client: CLIENT });
      announce(t("removed", { name: title }));
      if (song.id === open) location.hash = `#/desk/${place}`;
      else await refresh();
    });
  const itemOf = (song) => {
    const title = song.title || t("untitled");
    const here = song.id === open;
    return el(
      "li",
      { class: here ? "here" : null },
      el(
        "a",
        {
          href: `#/desk/${place}/${encodeURIComponent(song.id)}`,
          "aria-current": here ? "page" : null,
        },
        el("span", { class: "title", dir: "auto" }, title),
        el("span", { class: "soft" }, about(song.lines, song.saved)),
      ),
      button("×", removing(song), { class: "remove", "aria-label": t("remove-song", { title }) }),
    );
  };
  const refresh = async () => {
    const { songs } = await get(ofRun(run, "songs"));
    list.replaceChildren(...songs.map(itemOf));
    return songs;
  };
  const element = el(
    "details",
    { class: "panel" },
    el("summary", {}, el("h2", {}, t("songs"))),
    list,
    el(
      "div",
      { class: "acts" },
      begin,
      button(t("download"), on.onDownload, { class: "act quiet" }),
    ),
  );
  /** Tell of the open song what it is now. */
  const retell = (text) => {
    const here = list.querySelector(".here");
    if (!here) return;
    const lines = text.split("\n").filter((line) => line.trim());
    here.querySelector(".title").textContent = lines[0]?.trim() || t("untitled");
    here.querySelector(".soft").textContent = about(lines.length, Date.now() / 1000);
  };
  return { element, refresh, retell };
}
