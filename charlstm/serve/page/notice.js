// How a song is kept, in a word beside it, and in a sentence above it where something is wrong.

import { el } from "./dom.js";
import { t } from "./strings.js";

const WORDS = {
  saved: "saved",
  saving: "saving",
  waiting: "saving",
  gone: "not-saved",
  in_use: "elsewhere",
  changed: "not-saved",
  refused: "not-saved",
};
// What is said where the server had nothing to say.
const SENTENCES = { gone: "gone-song", in_use: "in-use", changed: "changed" };

/** Says how a song is kept. */
export class Notice {
  constructor() {
    this.word = el("span", { class: "saved" });
    this.element = el("div", { class: "notice", role: "alert" });
    this.about = null;
    this.said = "";
  }

  /**
   * Say a sentence above the song.
   * @param {string} sentence nothing takes it away
   * @param {HTMLElement[]} [acts] what one may do
   */
  say(sentence, acts = []) {
    this.about = null;
    this.element.replaceChildren(...(sentence ? [el("p", {}, sentence), ...acts] : []));
  }

  /**
   * Say how the song is kept.
   * @param {import("./keeping.js").State} state
   * @param {string} sentence the server's
   * @param {HTMLElement[]} acts
   */
  keep(state, sentence, acts) {
    // With words that were saved, a sentence tells why the form was not; the form says it too.
    const word = state === "saved" && sentence ? "saved-words" : WORDS[state];
    this.word.textContent = t(word);
    this.word.dataset.state = state;
    if (WORDS[state] === "saving") return;
    if (state !== "saved") {
      const said = sentence || t(SENTENCES[state] ?? "not-saved");
      if (this.about === state && this.said === said) return; // it would be read out again
      this.say(said, acts);
      this.about = state;
      this.said = said;
    } else if (this.about) this.say("");
  }
}
