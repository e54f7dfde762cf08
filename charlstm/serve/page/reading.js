// The song as the model reads it: what is copied, what surprises, what rhymes; each can be shown.

import { ofRun, post } from "./api.js";
import { button, el } from "./dom.js";
import { shownFigure, shownPercent } from "./figures.js";
import { Latest } from "./latest.js";
import { copiedShare, copyAt, marksOf } from "./marks.js";
import { t } from "./strings.js";

const USUAL = { copies: true, surprisal: false, rhymes: false };

/** Reads a song and shows what was found. */
export class Reading {
  #asking = new Latest();
  #read = null;

  /**
   * @param {Object} run
   * @param {import("./editor.js").Editor} editor
   * @param {() => Object} settings
   */
  constructor(run, editor, settings) {
    this.run = run;
    this.editor = editor;
    this.settings = settings;
    this.shown = Object.fromEntries(
      Object.entries(USUAL).map(([name, usual]) => [name, stored(name, usual)]),
    );
    if (!run.is_kept) this.shown.copies = false;
    this.toggles = Object.keys(USUAL).map((name) => this.#toggle(name));
    this.under = el("p", { class: "under" });
    this.sums = el("p", { class: "sums soft" });
  }

  #toggle(name) {
    const impossible = name === "copies" && !this.run.is_kept;
    const toggle = button(
      el("span", {}, t(`show-${name}`)),
      () => {
        this.shown[name] = !this.shown[name];
        localStorage.setItem(name, String(this.shown[name]));
        toggle.setAttribute("aria-pressed", String(this.shown[name]));
        this.editor.mark(this.editor.marks, this.shown);
        this.say();
        this.read(0);
      },
      {
        class: `act toggle ${name}`,
        "aria-pressed": String(this.shown[name]),
        disabled: impossible,
        title: impossible ? t("no-copies-kept") : null,
      },
    );
    return toggle;
  }

  /** Ask for nothing any more. */
  drop() {
    this.#asking.drop();
  }

  /**
   * Read the song, if anything of it is to be shown.
   * @param {number} rest how long to wait for more, in milliseconds
   */
  read(rest) {
    const { text } = this.editor;
    if (!Object.values(this.shown).some(Boolean) || !text.trim()) {
      this.drop();
      this.say();
      return;
    }
    if (this.#read?.text === text) return;
    const question = { text, label: this.settings().label };
    this.#asking.ask(
      rest,
      (signal) => post(ofRun(this.run.name, "read"), question, { signal }),
      (told) => {
        const marks = marksOf(text, told);
        this.#read = { text, told, copied: copiedShare(marks) };
        this.editor.mark(marks, this.shown);
        this.say();
      },
      () => {}, // it is read again after the next change
    );
  }

  /** Say below the song what is under the cursor, and the figures of the whole. */
  say() {
    const { ghost, marks, cursor } = this.editor;
    const copy = this.shown.copies ? copyAt(marks, cursor) : null;
    this.under.classList.toggle("soft", Boolean(ghost));
    this.under.textContent = ghost ? t("ghost-hint") : copy ? copySays(copy) : "";
    this.sums.textContent = this.editor.text.trim() ? this.#sums().join(" · ") : "";
  }

  #sums() {
    if (!this.#read) return [];
    const { told, copied } = this.#read;
    const said = [];
    if (this.shown.copies && told.copies && copied !== null) {
      said.push(t("copied-share", { share: shownPercent(copied) }));
    }
    if (this.shown.copies && told.copies_problem) said.push(told.copies_problem);
    if (this.shown.rhymes && told.rhymes === null) said.push(t("no-rhymes"));
    if (this.shown.surprisal) said.push(t("bits", { n: shownFigure(told.bits_per_character, 2) }));
    return said;
  }
}

function copySays({ text, source }) {
  return t("copy-here", { text: text.replaceAll("\n", " ⏎ "), source });
}

function stored(name, usual) {
  const value = localStorage.getItem(name);
  return value === null ? usual : value === "true";
}
