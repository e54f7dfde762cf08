// The song as a text field, and behind it the same text drawn once more for what a field cannot
// show: shades, underlines, grey text that may follow.
//
// It is an ordinary textarea, so that input methods, spell checkers, screen readers and a phone's
// keyboard find what they know. While an input method composes, nothing here acts.

import { el } from "./dom.js";
import { firstWord, lineAt, sharedEnd, sharedStart } from "./text.js";
import { carried, pieces } from "./marks.js";
import { t } from "./strings.js";

/**
 * The editor of a song.
 *
 * It tells what happens by `onInput(text)`, when the person changed the text; `onCursor()`, when the
 * cursor went elsewhere or the text changed; `onKey(event)`, before a key does what it does, which
 * returns whether the key was used; `onStep(way)`, for a step back or on that the browser asks for;
 * `onGhost(text)` and `onDismiss()`, when grey text was taken or let go; `onGrey()`, when there is
 * some or no longer.
 */
export class Editor {
  #composing = false;
  #lines = [];
  #ghost = "";
  #marks = null;
  #shown = { copies: false, surprisal: false, rhymes: false };
  #cursor = -1;

  /** @param {Object<string, Function>} on */
  constructor(on) {
    this.on = on;
    this.mirror = el("div", { class: "mirror", "aria-hidden": "true" });
    this.field = el("textarea", {
      class: "song-field",
      id: "song",
      dir: "auto",
      rows: 1,
      spellcheck: "false",
      autocapitalize: "sentences",
      autocomplete: "off",
      "aria-label": t("the-song"),
      "aria-describedby": "song-keys",
    });
    this.element = el(
      "div",
      { class: "editor song-type" },
      this.mirror,
      this.field,
      el("p", { class: "unseen", id: "song-keys" }, t("song-keys")),
    );
    this.#listen();
    this.#draw();
  }

  #listen() {
    const { field } = this;
    field.addEventListener("compositionstart", () => {
      this.#composing = true;
      this.hideGhost();
    });
    field.addEventListener("compositionend", () => {
      this.#composing = false;
      // Some browsers send the input event before this one, some after: both are taken.
      this.#changed();
    });
    field.addEventListener("input", () => {
      this.hideGhost();
      if (this.#composing) this.#draw();
      else this.#changed();
    });
    field.addEventListener("beforeinput", (event) => {
      const steps = { historyUndo: "back", historyRedo: "on" };
      if (!(event.inputType in steps)) return;
      event.preventDefault(); // the field's own steps know no branches
      if (!this.#composing) this.on.onStep(steps[event.inputType]);
    });
    field.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("selectionchange", this.#moved);
    field.addEventListener("focus", this.#moved);
    field.addEventListener("blur", () => this.hideGhost());
  }

  /** Let go of what listens. */
  end() {
    document.removeEventListener("selectionchange", this.#moved);
  }

  #moved = () => {
    if (this.#composing || document.activeElement !== this.field) return;
    const cursor = this.field.selectionStart;
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.hideGhost();
    this.#draw();
    this.on.onCursor();
  };

  #changed() {
    this.#cursor = this.field.selectionStart;
    this.#draw();
    this.on.onInput(this.text);
    this.on.onCursor();
  }

  #key(event) {
    // 229 is a key that an input method has taken, in browsers that do not say so otherwise.
    if (event.isComposing || this.#composing || event.keyCode === 229) return;
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey;
    if (this.#ghost && plain && event.key === "Tab") {
      event.preventDefault();
      this.#acceptGhost(this.#ghost);
    } else if (this.#ghost && plain && event.key === "Escape") {
      event.preventDefault();
      this.hideGhost();
      this.on.onDismiss();
    } else if (this.#ghost && event.key === "ArrowRight" && (event.ctrlKey || event.altKey)) {
      event.preventDefault();
      this.#acceptGhost(firstWord(this.#ghost));
    } else if (this.on.onKey(event)) {
      event.preventDefault();
    }
  }

  #acceptGhost(text) {
    const at = this.field.selectionStart;
    this.hideGhost();
    const whole = this.text.slice(0, at) + text + this.text.slice(at);
    this.set(whole, at + text.length);
    this.on.onGhost(whole);
  }

  /** Whether an input method is at work. */
  get composing() {
    return this.#composing;
  }

  /** The text. */
  get text() {
    return this.field.value;
  }

  /** Where the cursor stands, in UTF-16 units. */
  get cursor() {
    return this.field.selectionStart;
  }

  /** The line under the cursor. */
  get line() {
    return lineAt(this.text, this.field.selectionStart);
  }

  /** Whether more than a place is selected. */
  get selecting() {
    return this.field.selectionStart !== this.field.selectionEnd;
  }

  /**
   * Put another text in, with the cursor at a place, or behind what changed.
   * @param {string} text
   * @param {number} [cursor]
   */
  set(text, cursor) {
    const before = this.text;
    let at = cursor;
    if (at === undefined) {
      const start = sharedStart(before, text);
      at = text.length - sharedEnd(before, text, start);
      if (before === text) at = this.field.selectionStart;
    }
    this.hideGhost();
    if (before !== text) this.field.value = text;
    this.field.setSelectionRange(at, at);
    this.#cursor = at;
    this.#draw();
  }

  get readOnly() {
    return this.field.readOnly;
  }

  /** @param {boolean} readOnly */
  set readOnly(readOnly) {
    this.field.readOnly = readOnly;
    this.element.classList.toggle("read-only", readOnly);
  }

  /**
   * Show grey text after the cursor.
   * @param {string} text
   */
  showGhost(text) {
    if (this.#composing || this.selecting || document.activeElement !== this.field) return;
    this.#ghost = text;
    this.#draw();
    this.on.onGrey();
  }

  /** Show no grey text. */
  hideGhost() {
    if (!this.#ghost) return;
    this.#ghost = "";
    this.#draw();
    this.on.onGrey();
  }

  /** The grey text. */
  get ghost() {
    return this.#ghost;
  }

  /**
   * Show shades and underlines.
   * @param {import("./marks.js").Marks|null} marks
   * @param {{copies: boolean, surprisal: boolean, rhymes: boolean}} shown
   */
  mark(marks, shown) {
    this.#marks = marks;
    this.#shown = shown;
    this.#draw();
  }

  /** What is marked, as far as it still holds for the text. */
  get marks() {
    return this.#marks && carried(this.#marks, this.text);
  }

  #draw() {
    const text = this.text;
    const marks = this.marks;
    const here = this.line;
    const lastLine = here.end === text.length;
    let start = 0;
    const wanted = text.split("\n").map((line, index) => {
      const cut = pieces(line, start, marks, this.#shown);
      start += line.length + 1;
      const now = index === here.index;
      const ghost = now ? this.#ghost : "";
      const key = JSON.stringify([cut, now, ghost]);
      return { key, cut, now, ghost, at: this.cursor - here.start, lastLine };
    });
    let same = 0;
    const old = this.#lines;
    while (same < old.length && same < wanted.length && old[same] === wanted[same].key) same += 1;
    while (this.mirror.childNodes.length > wanted.length) this.mirror.lastChild.remove();
    for (let index = same; index < wanted.length; index += 1) {
      if (old[index] === wanted[index].key) continue;
      const line = drawnLine(wanted[index]);
      const there = this.mirror.childNodes[index];
      if (there) there.replaceWith(line);
      else this.mirror.append(line);
    }
    this.#lines = wanted.map(({ key }) => key);
  }
}

// Grey text stands where the cursor is, which is at the end of its line. In the last line it may
// need another row; elsewhere it must not move the rows below it away from the field's.
function drawnLine({ cut, now, ghost, lastLine }) {
  const line = el("div", { dir: "auto", class: now ? "line now" : "line" });
  for (const { text, kind } of cut) {
    line.append(kind ? el("span", { class: kind }, text) : text);
  }
  if (ghost) line.append(el("span", { class: lastLine ? "ghost" : "ghost over" }, ghost));
  if (!cut.length && !ghost) line.append("\u200b");
  return line;
}
