// How the desk is laid out: songs and history, the sheet with the song, proposals and the form.

import { button, el, svg } from "./dom.js";
import { t } from "./strings.js";

// Where there is room for three columns, as the style sheet has it.
const WIDE = "(min-width: 70rem)";
const NOT_NARROW = "(min-width: 52rem)";
const BACK = "M9 6 4 11l5 5M4.5 11H14a5 5 0 0 1 5 5v2";
const FORWARD = "M15 6l5 5-5 5M19.5 11H10a5 5 0 0 0-5 5v2";

/** The desk as one sees it. */
export class Sheet {
  /**
   * @param {import("./writing.js").Writing} writing whose parts are laid out
   * @param {AbortSignal} left
   * @param {{onStep: (way: string) => void, onKey: (event: KeyboardEvent) => boolean}} on
   */
  constructor(writing, left, on) {
    const { editor, form, history, notice, offering, reading, run, songs } = writing;
    this.editor = editor;
    this.undo = arrow("back", BACK, "Control+Z", () => on.onStep("back"));
    this.redo = arrow("forward", FORWARD, "Control+Shift+Z", () => on.onStep("on"));
    const title = el("summary", {}, el("h2", {}, t("history")));
    this.past = el("details", { class: "panel past" }, title, history.element);
    this.beside = el(
      "aside",
      { class: "right", "aria-label": t("proposals-and-form") },
      offering.element,
      form.element,
    );
    const others = { class: "run-name", href: "#/", dir: "auto", title: t("other-model") };
    this.element = el(
      "div",
      { class: "desk" },
      el("h1", { class: "unseen" }, t("desk-of", { name: run.name })),
      el(
        "aside",
        { class: "left", "aria-label": t("songs-and-history") },
        el("a", others, run.name),
        songs.element,
        this.past,
      ),
      el(
        "section",
        { class: "middle", "aria-label": t("the-song") },
        el(
          "div",
          { class: "song-bar" },
          el("div", { class: "acts" }, this.undo, this.redo, ...reading.toggles),
          notice.word,
        ),
        notice.element,
        paper(editor),
        el("div", { class: "below" }, reading.under, reading.sums),
      ),
      this.beside,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.target.matches("input, select, textarea") || event.defaultPrevented) return;
      if (on.onKey(event)) event.preventDefault();
    });
    form.element.open = matchMedia(NOT_NARROW).matches;
    foldBelow(WIDE, [songs.element, this.past], left);
  }

  /**
   * Say which steps there are.
   * @param {boolean} back
   * @param {boolean} on
   */
  steps(back, on) {
    this.undo.disabled = !back;
    this.redo.disabled = !on;
  }

  /**
   * Let the person write, or only look.
   * @param {boolean} writing
   */
  allow(writing) {
    for (const part of [this.beside, this.past]) part.inert = !writing;
    if (!writing) this.steps(false, false);
  }

  /** Lead back to the song after a click; who walks by keys or on a touch screen stays. */
  takeFocusBack() {
    const byKeys = this.beside.matches(":has(:focus-visible)");
    if (byKeys || !matchMedia("(pointer: fine)").matches) return;
    this.editor.field.focus({ preventScroll: true });
  }
}

function arrow(name, path, keys, act) {
  const drawing = { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" };
  const icon = svg("svg", drawing, svg("path", { d: path }));
  const said = { "aria-label": t(name), title: t(name), "aria-keyshortcuts": keys };
  return button(icon, act, { class: "act quiet", ...said });
}

// The empty part of the sheet belongs to the song.
function paper(editor) {
  const sheet = el("div", { class: "paper" }, editor.element);
  sheet.addEventListener("mousedown", (event) => {
    if (event.target !== sheet) return;
    event.preventDefault();
    editor.field.focus();
  });
  return sheet;
}

function foldBelow(width, panels, left) {
  const wide = matchMedia(width);
  const fold = () => {
    for (const panel of panels) panel.open = wide.matches;
  };
  fold();
  wide.addEventListener("change", fold, { signal: left });
}
