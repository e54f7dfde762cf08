// The songs that are being written with a model: a list, new ones, and those given up.

import { get, ofRun, post } from "./api.js";
import { announce, button, el } from "./dom.js";
import { shownWhen } from "./figures.js";
import { ask, sentenceOf } from "./questions.js";
import { t } from "./strings.js";

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
      await post(ofRun(run, "songs", song.id, "remove"));
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
        el("span", { class: "soft" }, `${t("n-lines", { n: song.lines })} · ${shownWhen(song.saved)}`),
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
    el("div", { class: "acts" }, begin, button(t("download"), on.onDownload, { class: "act quiet" })),
  );
  /** Show the title of the open song as it is now, before it is saved. */
  const retitle = (text) => {
    const title = list.querySelector(".here .title");
    const first = text.split("\n").find((line) => line.trim());
    if (title) title.textContent = first?.trim() || t("untitled");
  };
  return { element, refresh, retitle };
}
