// A song on the desk: what the person does with it, and what follows from that.

import { Refused, pause } from "./api.js";
import { announce, button, download } from "./dom.js";
import { Continuing } from "./continuing.js";
import { Editor } from "./editor.js";
import { formPanel } from "./form.js";
import { historyView } from "./history.js";
import { Keeping } from "./keeping.js";
import { Notice } from "./notice.js";
import { Offering } from "./offering.js";
import { sentenceOf } from "./questions.js";
import { Reading } from "./reading.js";
import { Sheet } from "./sheet.js";
import { songsPanel } from "./songs.js";
import { t } from "./strings.js";
import { fileName, firstLine, shortened } from "./text.js";
import { Tree } from "./tree.js";

// In milliseconds: after what one did on purpose, while one looks around, and while one types.
const AT_ONCE = 80;
const LOOKING = 300;
const TYPING = 600;
// So long after it was found to be open elsewhere, a song is asked for again.
const ASKED_AGAIN = 2500;

/** One song on the desk of one run. */
export class Writing {
  #typedLine = null; // the line that is being typed, which is gone on with rather than written anew
  #wasGone = false;

  /**
   * @param {Object} run as the server tells of it
   * @param {string} id the song's
   * @param {AbortSignal} left when the desk is left
   */
  constructor(run, id, left) {
    this.run = run;
    this.id = id;
    this.left = left;
    this.tree = new Tree();
    this.notice = new Notice();
    this.editor = new Editor({
      onInput: (text) => this.#typed(text),
      onCursor: () => this.#moved(),
      onKey: (event) => this.#key(event),
      onGhost: (text) => this.#continued(text),
      onDismiss: () => this.continuing.dismiss(),
      onStep: (way) => this.#step(way),
      onGrey: () => this.reading.say(),
    });
    this.form = formPanel(run, () => this.#settled());
    this.reading = new Reading(run, this.editor, () => this.form.settings);
    this.continuing = new Continuing(run, this.editor, () => this.form.settings);
    this.offering = new Offering(run, this.editor, this.form, {
      onTake: (line, place) => this.#take(line, place),
      onBack: () => this.editor.field.focus(),
      isTyping: (line) => this.#typedLine === line,
    });
    this.history = historyView((step) => this.#go(step));
    this.songs = songsPanel(run.name, id, {
      onTrouble: (sentence) => this.notice.say(sentence),
      beforeRemove: () => this.keeping.end(),
      onDownload: () => this.#download(),
    });
    this.keeping = new Keeping(
      run.name,
      id,
      () => this.#snapshot(),
      (state, sentence) => this.#kept(state, sentence),
    );
    this.sheet = new Sheet(this, left, {
      onStep: (way) => this.#step(way),
      onKey: (event) => this.#key(event),
    });
    this.element = this.sheet.element;
  }

  /** Open the song. */
  async begin() {
    this.#allow(false);
    this.songs.refresh().catch((problem) => this.notice.say(sentenceOf(problem)));
    await this.#open(this.keeping.wasOurs);
  }

  async #open(takeOver, ours = null) {
    let told;
    try {
      told = await this.keeping.open(takeOver);
    } catch (problem) {
      if (!(problem instanceof Refused) || problem.code !== "in_use") throw problem;
      this.#kept("in_use", problem.message);
      return;
    }
    if (this.left.aborted) return;
    const unsaved = ours ?? this.keeping.unsaved;
    this.tree = new Tree(told.tree);
    this.tree.take(told.text, "typed");
    const behind = unsaved !== null && unsaved !== told.text;
    // What this page had and the disk has not is the next step: both are kept.
    if (behind) this.tree.take(unsaved, "typed");
    this.form.show(told.settings);
    this.#allow(true);
    this.notice.say(told.problem ?? "");
    this.#kept("saved", "");
    if (behind) this.keeping.changed();
    this.editor.set(this.tree.text, this.tree.text.length);
    this.editor.field.focus({ preventScroll: true });
    this.#refresh(AT_ONCE);
  }

  // A song that is held elsewhere is shown and left alone.
  #allow(writing) {
    this.editor.readOnly = !writing;
    this.sheet.allow(writing);
    if (!writing) this.#quiet();
  }

  #quiet() {
    for (const asking of [this.offering, this.continuing, this.reading]) asking.drop();
  }

  /** Leave the desk. */
  async end() {
    this.#quiet();
    this.editor.end();
    await this.keeping.end();
  }

  #snapshot() {
    return { text: this.editor.text, settings: this.form.settings, tree: this.tree.toJSON() };
  }

  #download() {
    download(`${fileName(this.editor.text) || this.id}.txt`, this.editor.text);
  }

  // How it is kept.

  #kept(state, sentence) {
    const ours = this.keeping.held ? this.editor.text : null;
    const act = (label, doing, kind = "act") => button(t(label), doing, { class: kind });
    const save = act("download", () => this.#download());
    const acts = {
      gone: () => [save],
      in_use: () => [act("take-over", () => this.#reopen(ours), "act primary")],
      changed: () => [
        act("keep-mine", () => this.#reopen(ours), "act primary"),
        act("take-theirs", () => this.#reopen(null)),
      ],
      refused: () => [act("again", () => this.keeping.changed()), save],
    };
    if (state === "in_use") {
      this.#allow(false);
      this.#waitFor(ours);
    }
    this.notice.keep(state, sentence, acts[state]?.() ?? []);
    if (state === "saved") {
      this.#retell();
      if (this.#wasGone) this.#refresh(0); // what was asked meanwhile was not answered
      this.#wasGone = false;
    } else if (state === "gone") this.#wasGone = true;
  }

  // Where it is open it may be closed: then it opens here by itself.
  async #waitFor(ours) {
    try {
      await pause(ASKED_AGAIN, this.left);
      if (this.editor.readOnly) await this.#open(false, ours);
    } catch {
      // Without an answer the question above the song stays, with the button to take it over.
    }
  }

  async #reopen(ours) {
    if (ours === null) this.keeping.forget();
    try {
      await this.#open(true, ours);
    } catch (problem) {
      const again = button(t("again"), () => this.#reopen(ours), { class: "act" });
      this.notice.say(sentenceOf(problem), [again]);
    }
  }

  // What the person does.

  #typed(text) {
    this.continuing.typed();
    this.#typedLine = this.editor.line.index;
    this.tree.type(text);
    this.#changed(TYPING);
  }

  #moved() {
    const { index } = this.editor.line;
    if (this.#typedLine !== index) this.#typedLine = null;
    this.offering.moved(index);
    this.reading.say();
    this.offering.propose(LOOKING);
    this.#continue();
  }

  #key(event) {
    const { ctrlKey, altKey, metaKey, shiftKey, code } = event;
    if (event.isComposing || event.getModifierState?.("AltGraph")) return false;
    const key = event.key.toLowerCase();
    if ((ctrlKey || metaKey) && !altKey && key === "z") return this.#step(shiftKey ? "on" : "back");
    if (ctrlKey && !altKey && !metaKey && key === "y") return this.#step("on");
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1];
    if (digit === undefined || ctrlKey === altKey || metaKey || shiftKey) return false;
    this.offering.digit(Number(digit));
    return true;
  }

  #take(line, place) {
    if (this.editor.readOnly || this.editor.composing) return;
    const rest = this.editor.text.slice(place.line.end);
    const anew = place.mode === "anew";
    // After the last line the next one begins; elsewhere what follows stays as it is.
    const behind = rest.trim() || anew ? rest : "\n";
    const end = place.before.length + line.length + (behind === "\n" && !anew ? 1 : 0);
    this.#typedLine = null;
    this.tree.take(place.before + line + behind, anew ? "anew" : "taken");
    this.editor.set(this.tree.text, end);
    announce(t("taken", { line }));
    this.sheet.takeFocusBack();
    this.#changed(AT_ONCE);
  }

  #continued(text) {
    this.#typedLine = this.editor.line.index;
    this.tree.take(text, "taken");
    this.#changed(LOOKING);
  }

  #settled() {
    this.keeping.changed();
    this.offering.propose(TYPING);
  }

  #step(way) {
    if (this.editor.readOnly || this.editor.composing) return true;
    if (way === "back" ? this.tree.back() : this.tree.on()) this.#stepped();
    return true;
  }

  #go(step) {
    if (this.editor.readOnly || step === this.tree.current) return;
    this.tree.go(step);
    this.#stepped();
  }

  #stepped() {
    this.#typedLine = null;
    this.editor.set(this.tree.text);
    this.#changed(AT_ONCE);
  }

  // What follows.

  #changed(rest) {
    this.keeping.changed();
    this.#refresh(rest);
  }

  #refresh(rest) {
    this.sheet.steps(this.tree.canGoBack, this.tree.canGoOn);
    this.history.show(this.tree);
    this.offering.moved(this.editor.line.index);
    this.#retell();
    this.reading.say();
    this.offering.propose(rest);
    this.#continue();
    this.reading.read(Math.max(rest, LOOKING));
  }

  #continue() {
    if (this.#typedLine === this.editor.line.index) this.continuing.ask(LOOKING);
    else this.continuing.drop();
  }

  #retell() {
    this.songs.retell(this.editor.text);
    const title = firstLine(this.editor.text) || t("untitled");
    document.title = `${shortened(title, 30)} – charlstm`;
  }
}
