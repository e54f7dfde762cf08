// The desk: a song in the middle, what the model proposes beside it, and every way it has taken.

import { Refused, get, ofRun, post } from "./api.js";
import { announce, button, download, el, svg } from "./dom.js";
import { Editor } from "./editor.js";
import { shownFigure, shownPercent } from "./figures.js";
import { formPanel } from "./form.js";
import { historyView } from "./history.js";
import { Keeping } from "./keeping.js";
import { Latest } from "./latest.js";
import { copiedShare, copyAt, marksOf } from "./marks.js";
import { proposalsPanel } from "./proposals.js";
import { sentenceOf, trouble } from "./questions.js";
import { songsPanel } from "./songs.js";
import { t } from "./strings.js";
import { shortened } from "./text.js";
import { Tree } from "./tree.js";

const COUNT = 5;
// In milliseconds: after what one did on purpose, and while one types.
const AT_ONCE = 80;
const WHILE_TYPING = 600;
const REMEMBERED = 40;

/**
 * Show a song on the desk.
 * @param {HTMLElement} room
 * @param {string[]} path run and song; without them, the last ones
 * @param {AbortSignal} left
 */
export async function showDesk(room, path, left) {
  const failed = trouble();
  try {
    const run = await chosenRun(path[0]);
    if (!run) return room.append(noModel());
    if (run.state === "damaged" || run.state === "empty") {
      return room.append(unusable(run));
    }
    const id = path[1] ?? (await chosenSong(run.name));
    if (left.aborted) return undefined;
    const address = `#/desk/${encodeURIComponent(run.name)}/${encodeURIComponent(id)}`;
    if (location.hash !== address) history.replaceState(null, "", address);
    localStorage.setItem("run", run.name);
    const desk = new Desk(room, run, id, left);
    left.addEventListener("abort", () => desk.end());
    await desk.begin();
  } catch (problem) {
    if (left.aborted) return undefined;
    room.append(el("div", { class: "page" }, failed));
    failed.say(sentenceOf(problem));
    failed.append(" ", button(t("again"), () => dispatchEvent(new HashChangeEvent("hashchange"))));
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
    el("a", { class: "act primary", href: "#/new" }, t("new-model")),
  );
}

function unusable(run) {
  return el(
    "div",
    { class: "page narrow" },
    el("h1", { dir: "auto" }, run.name),
    el("p", { class: "trouble" }, run.problem ?? t(`state-${run.state}`)),
    el("a", { class: "act", href: "#/" }, t("models")),
  );
}

/** One song on the desk of one run. */
class Desk {
  #proposing = new Latest();
  #continuing = new Latest();
  #reading = new Latest();
  #known = new Map(); // what was proposed for a place, so that going back shows it again
  #typedLine = null; // the line that is being typed, which is gone on with rather than written anew
  #mode = null; // what the person chose for a line instead
  #shownFor = null;
  #dismissed = false;

  constructor(room, run, id, left) {
    this.run = run;
    this.id = id;
    this.left = left;
    this.tree = new Tree();
    this.editor = new Editor({
      onInput: (text) => this.#typed(text),
      onCursor: () => this.#moved(),
      onKey: (event) => this.#key(event),
      onGhost: (text, rest) => this.#continued(text, rest),
      onDismiss: () => this.#dismiss(),
      onStep: (way) => this.#step(way),
      onGrey: () => this.#say(),
    });
    this.proposals = proposalsPanel({
      onTake: (line) => this.#take(line),
      onOther: () => this.#propose(0, "other"),
      onMore: () => this.#propose(0, "more"),
      onMode: (mode) => this.#choose(mode),
      onBack: () => this.editor.field.focus(),
    });
    this.form = formPanel(run, () => this.#settled());
    this.history = historyView((step) => this.#go(step));
    this.songs = songsPanel(run.name, id, {
      onTrouble: (sentence) => this.banner(sentence, []),
      beforeRemove: () => this.#giveUp(),
      onDownload: () => this.#download(),
    });
    this.keeping = new Keeping(run.name, id, () => this.#snapshot(), (state, sentence) =>
      this.#kept(state, sentence),
    );
    this.shown = { copies: stored("copies", true) && run.is_kept, surprisal: stored("surprisal", false), rhymes: stored("rhymes", false) };
    this.#lay(room);
  }

  #lay(room) {
    this.saved = el("span", { class: "saved" });
    this.notice = el("div", { class: "notice", role: "alert" });
    this.under = el("p", { class: "under" });
    this.sums = el("p", { class: "sums soft" });
    this.undo = this.#arrow("back", "back", "Control+Z", "M9 6 4 11l5 5M4.5 11H14a5 5 0 0 1 5 5v2");
    this.redo = this.#arrow("on", "forward", "Control+Shift+Z", "M15 6l5 5-5 5M19.5 11H10a5 5 0 0 0-5 5v2");
    const bar = el(
      "div",
      { class: "song-bar" },
      el("div", { class: "acts" }, this.undo, this.redo, this.#toggle("copies"), this.#toggle("surprisal"), this.#toggle("rhymes")),
      this.saved,
    );
    const wide = matchMedia("(min-width: 70rem)");
    this.past = el(
      "details",
      { class: "panel past" },
      el("summary", {}, el("h2", {}, t("history"))),
      this.history.element,
    );
    const fold = () => {
      for (const panel of [this.past, this.songs.element]) panel.open = wide.matches;
    };
    fold();
    wide.addEventListener("change", fold, { signal: this.left });
    this.form.element.open = matchMedia("(min-width: 48rem)").matches;
    this.beside = el(
      "aside",
      { class: "right", "aria-label": t("proposals-and-form") },
      this.proposals.element,
      this.form.element,
    );
    const paper = el("div", { class: "paper" }, this.editor.element);
    paper.addEventListener("mousedown", (event) => {
      if (event.target !== paper) return;
      event.preventDefault(); // the empty part of the sheet belongs to the song
      this.editor.field.focus();
    });
    this.element = el(
      "div",
      { class: "desk" },
      el("h1", { class: "unseen" }, t("desk-of", { name: this.run.name })),
      el("aside", { class: "left", "aria-label": t("songs-and-history") },
        el("a", { class: "run-name", href: "#/", dir: "auto", title: t("other-model") }, this.run.name),
        this.songs.element, this.past),
      el("section", { class: "middle", "aria-label": t("the-song") }, bar, this.notice, paper,
        el("div", { class: "below" }, this.under, this.sums)),
      this.beside,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.target.matches("input, select, textarea") || event.defaultPrevented) return;
      if (this.#key(event)) event.preventDefault();
    });
    room.append(this.element);
  }

  #arrow(way, name, keys, path) {
    const icon = svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path }));
    const said = { "aria-label": t(name), title: t(name), "aria-keyshortcuts": keys };
    return button(icon, () => this.#step(way), { class: "act quiet", ...said });
  }

  #download() {
    download(`${fileName(this.editor.text) || this.id}.txt`, this.editor.text);
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
        this.#say();
        this.#read(0);
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

  /** Open the song. */
  async begin() {
    this.#allow(false);
    this.songs.refresh().catch((problem) => this.banner(sentenceOf(problem), []));
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
    if (this.tree.text !== told.text) this.tree.take(told.text, "typed");
    const behind = unsaved !== null && unsaved !== told.text;
    // What this page had and the disk has not is the next step: both are kept.
    if (behind) this.tree.take(unsaved, "typed");
    this.form.show(told.settings);
    this.#allow(true);
    this.banner(told.problem ?? "", []);
    this.#kept("saved", "");
    if (behind) this.keeping.changed();
    this.editor.set(this.tree.text, this.tree.text.length);
    this.editor.field.focus({ preventScroll: true });
    this.#refresh(AT_ONCE);
  }

  // A song that is held elsewhere is shown and left alone.
  #allow(writing) {
    this.editor.readOnly = !writing;
    for (const part of [this.beside, this.past]) part.inert = !writing;
    if (writing) return;
    for (const question of [this.#proposing, this.#continuing, this.#reading]) question.drop();
    this.undo.disabled = true;
    this.redo.disabled = true;
  }

  /** Leave the desk. */
  async end() {
    for (const question of [this.#proposing, this.#continuing, this.#reading]) question.drop();
    this.editor.end();
    await this.keeping.end();
  }

  async #giveUp() {
    await this.keeping.end();
  }

  #snapshot() {
    return { text: this.editor.text, settings: this.form.settings, tree: this.tree.toJSON() };
  }

  // What is said about the song and its keeping.

  /**
   * Say something above the song.
   * @param {string} sentence nothing takes it away
   * @param {HTMLElement[]} acts
   */
  banner(sentence, acts) {
    this.notice.replaceChildren(...(sentence ? [el("p", {}, sentence), ...acts] : []));
  }

  #kept(state, sentence) {
    const said = { saved: "saved", saving: "saving", waiting: "saving", gone: "not-saved", in_use: "elsewhere", changed: "not-saved", refused: "not-saved" };
    // With words that were saved, a sentence tells why the form was not; the form says it too.
    this.saved.textContent = t(state === "saved" && sentence ? "saved-words" : said[state]);
    this.saved.dataset.state = state;
    const save = button(t("download"), () => this.#download(), { class: "act" });
    if (state === "gone") this.banner(t("gone-song"), [save]);
    else if (state === "in_use") {
      this.#allow(false);
      const ours = this.keeping.held ? this.editor.text : null;
      this.banner(sentence || t("in-use"), [
        button(t("take-over"), () => this.#reopen(true, ours), { class: "act primary" }),
      ]);
    } else if (state === "changed") {
      const ours = this.editor.text;
      this.banner(sentence || t("changed"), [
        button(t("keep-mine"), () => this.#reopen(true, ours), { class: "act primary" }),
        button(t("take-theirs"), () => this.#reopen(true, null, true), { class: "act" }),
      ]);
    } else if (state === "refused") {
      this.banner(sentence, [button(t("again"), () => this.keeping.changed(), { class: "act" }), save]);
    } else if (this.notice.querySelector("button")) this.banner("", []);
    if (state === "saved") {
      this.#retell();
      if (this.wasGone) this.#refresh(0); // what was asked meanwhile was not answered
    }
    this.wasGone = state === "gone" || (this.wasGone && state !== "saved");
  }

  async #reopen(takeOver, ours, forget = false) {
    if (forget) this.keeping.forget();
    try {
      await this.#open(takeOver, ours);
    } catch (problem) {
      this.banner(sentenceOf(problem), [
        button(t("again"), () => this.#reopen(takeOver, ours), { class: "act" }),
      ]);
    }
  }

  #retell() {
    this.songs.retell(this.editor.text);
    const first = this.editor.text.split("\n").find((line) => line.trim());
    document.title = `${first ? shortened(first.trim(), 30) : t("untitled")} – charlstm`;
  }

  // What the person does.

  #typed(text) {
    this.#dismissed = false;
    this.#typedLine = this.editor.line.index;
    this.tree.type(text);
    this.keeping.changed();
    this.#refresh(WHILE_TYPING);
  }

  #moved() {
    const { index } = this.editor.line;
    if (this.#typedLine !== null && this.#typedLine !== index) this.#typedLine = null;
    if (this.#mode && this.#mode.line !== index) this.#mode = null;
    this.#say();
    this.#propose(WHILE_TYPING / 2);
    this.#continue();
  }

  #key(event) {
    const { ctrlKey, altKey, metaKey, shiftKey, key, code } = event;
    if (event.isComposing || event.getModifierState?.("AltGraph")) return false;
    if ((ctrlKey || metaKey) && !altKey && key.toLowerCase() === "z") return this.#step(shiftKey ? "on" : "back");
    if (ctrlKey && !altKey && !metaKey && key.toLowerCase() === "y") return this.#step("on");
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1];
    if (digit === undefined || ctrlKey === altKey || metaKey || shiftKey) return false;
    if (digit === "0") this.#propose(0, "other");
    else this.proposals.take(Number(digit));
    return true;
  }

  #take(line) {
    if (this.editor.field.readOnly || this.editor.composing) return;
    const place = this.#place();
    if (!this.#shownFor || this.#shownFor.before !== place.before) return; // it was for another line
    const { text } = this.editor;
    const rest = text.slice(place.line.end);
    const last = !rest.trim();
    const behind = last && place.mode !== "anew" ? "\n" : rest;
    const whole = place.before + line + behind;
    const end = place.before.length + line.length;
    this.#typedLine = null;
    this.#mode = null;
    this.tree.take(whole, place.mode === "anew" ? "anew" : "taken");
    this.editor.set(whole, behind === "\n" && place.mode !== "anew" ? end + 1 : end);
    announce(t("taken", { line }));
    this.keeping.changed();
    if (!this.element.querySelector(".proposing").matches(":focus-visible, :has(:focus-visible)") && matchMedia("(pointer: fine)").matches) {
      this.editor.field.focus({ preventScroll: true });
    }
    this.#refresh(AT_ONCE);
  }

  #continued(text) {
    this.#typedLine = this.editor.line.index;
    this.tree.take(text, "taken");
    this.keeping.changed();
    this.#refresh(WHILE_TYPING / 2);
  }

  #dismiss() {
    this.#dismissed = true;
    this.#continuing.drop();
    announce(t("dismissed"));
  }

  #choose(mode) {
    this.#mode = { line: this.editor.line.index, mode };
    this.#propose(0);
  }

  #settled() {
    this.keeping.changed();
    this.#propose(WHILE_TYPING);
  }

  #step(way) {
    if (this.editor.field.readOnly || this.editor.composing) return true;
    if (way === "back" ? this.tree.back() : this.tree.on()) this.#stepped();
    return true;
  }

  #go(step) {
    if (this.editor.field.readOnly || step === this.tree.current) return;
    this.tree.go(step);
    this.#stepped();
  }

  #stepped() {
    this.#typedLine = null;
    this.#mode = null;
    this.editor.set(this.tree.text);
    this.keeping.changed();
    this.#refresh(AT_ONCE);
  }

  // What the page does after that.

  #refresh(rest) {
    this.undo.disabled = !this.tree.canGoBack;
    this.redo.disabled = !this.tree.canGoOn;
    this.history.show(this.tree);
    this.#retell();
    this.#say();
    this.#propose(rest);
    this.#continue();
    this.#read(Math.max(rest, 300));
  }

  #place() {
    const { text, line, cursor } = this.editor;
    const typing = this.#typedLine === line.index && !text.slice(cursor, line.end).trim();
    let mode = "next";
    if (line.text.trim()) mode = this.#mode?.mode ?? (typing ? "begun" : "anew");
    const behind = text.slice(line.end + 1);
    const begun = cursor > line.start ? text.slice(line.start, cursor) : line.text;
    return {
      line,
      mode,
      before: text.slice(0, line.start),
      begun: mode === "begun" ? begun : "",
      after: behind.trim() ? behind : "",
      without: mode === "anew" ? [line.text] : [],
    };
  }

  #propose(rest, how = "first") {
    if (this.editor.field.readOnly) return;
    const place = this.#place();
    const { before, begun, after, without, line, mode } = place;
    this.proposals.about(line.index + 1, mode, begun);
    const settings = this.form.settings;
    const key = JSON.stringify([before, begun, after, without, settings]);
    const known = this.#known.get(key);
    if (known && how === "first") {
      this.#proposing.drop();
      this.#showProposals(place, known);
      return;
    }
    this.proposals.waiting(true);
    this.form.blame(null);
    const seen = known?.seen ?? [];
    const question = {
      client: this.keeping.client,
      before, begun, after, settings,
      count: COUNT,
      without: [...without, ...seen],
      seed: null,
    };
    this.#proposing.ask(
      rest,
      (signal) => post(ofRun(this.run.name, "propose"), question, { signal }),
      (answer) => {
        const proposals = how === "more" ? [...known.proposals, ...answer.proposals] : answer.proposals;
        const lines = answer.proposals.map((proposal) => proposal.line);
        const told = { ...answer, proposals, seen: [...seen, ...lines] };
        this.#known.set(key, told);
        if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value);
        this.#showProposals(place, told);
      },
      (problem) => {
        this.proposals.waiting(false);
        this.proposals.show(known?.proposals ?? [], sentenceOf(problem));
        this.form.blame(problem.param ?? null);
      },
    );
  }

  #showProposals(place, { proposals, problem, end_probability: end }) {
    this.#shownFor = place;
    this.proposals.waiting(false);
    const sentences = [problem ?? ""];
    const { lines } = this.form.settings;
    if (place.mode === "next" && lines && stanzaBefore(place.before) >= lines) {
      sentences.push(t("form-full", { n: lines }));
    } else if (place.mode === "next" && end !== null && end > 0.2) {
      sentences.push(t("may-end", { likely: shownPercent(end) }));
    }
    this.proposals.show(proposals, sentences.filter(Boolean).join(" "));
  }

  #continue() {
    const { text, line, cursor, selecting, composing } = this.editor;
    const typing = this.#typedLine === line.index && line.text.trim();
    if (!typing || this.#dismissed || selecting || composing || text.slice(cursor, line.end).trim()) {
      this.#continuing.drop();
      return;
    }
    const question = { before: text.slice(0, cursor), after: text.slice(cursor, line.end), settings: this.form.settings };
    this.#continuing.ask(
      WHILE_TYPING / 2,
      (signal) => post(ofRun(this.run.name, "continue"), question, { signal }),
      ({ text: more }) => {
        const one = more.split("\n")[0];
        if (!one || this.editor.text !== text || this.editor.cursor !== cursor) return;
        this.editor.showGhost(one);
        if (this.editor.ghost) announce(t("ghost-says", { text: one }));
      },
      () => {}, // grey text is no loss
    );
  }

  #read(rest) {
    const { text } = this.editor;
    if (!Object.values(this.shown).some(Boolean) || !text.trim()) {
      this.#reading.drop();
      this.#say();
      return;
    }
    if (this.reading?.text === text) return;
    this.#reading.ask(
      rest,
      (signal) => post(ofRun(this.run.name, "read"), { text, label: this.form.settings.label }, { signal }),
      (read) => {
        this.reading = { text, read };
        const marks = marksOf(text, read);
        this.copied = copiedShare(marks);
        this.editor.mark(marks, this.shown);
        this.#say();
      },
      () => {}, // shades come with the next change
    );
  }

  // Below the song: the copy under the cursor, and the figures of the whole.
  #say() {
    if (!this.under) return;
    const copy = this.shown.copies ? copyAt(this.editor.marks, this.editor.cursor) : null;
    this.under.classList.toggle("soft", Boolean(this.editor.ghost));
    if (this.editor.ghost) this.under.textContent = t("ghost-hint");
    else if (copy) {
      this.under.textContent = t("copy-here", { text: copy.text.replaceAll("\n", " ⏎ "), source: copy.source });
    } else this.under.textContent = "";
    const read = this.reading?.read;
    const fresh = read && this.editor.text.trim();
    const said = [];
    if (fresh && this.shown.copies && read.copies && this.copied !== null) {
      said.push(t("copied-share", { share: shownPercent(this.copied) }));
    }
    if (fresh && this.shown.copies && read.copies_problem) said.push(read.copies_problem);
    if (fresh && this.shown.rhymes && read.rhymes === null) said.push(t("no-rhymes"));
    if (fresh && this.shown.surprisal) said.push(t("bits", { n: shownFigure(read.bits_per_character, 2) }));
    this.sums.textContent = said.join(" · ");
  }
}

// How many lines there are since the last empty one.
function stanzaBefore(before) {
  const lines = before.replace(/\n$/, "").split("\n");
  return lines.length - 1 - lines.findLastIndex((line) => !line.trim());
}

function stored(name, usual) {
  const value = localStorage.getItem(name);
  return value === null ? usual : value === "true";
}

// What no file system stumbles over, of the first line.
function fileName(text) {
  const first = text.split("\n").find((line) => line.trim()) ?? "";
  return shortened(first.replace(/[\\/:*?"<>|\u0000-\u001f]/g, " ").trim(), 40).replace(/^\.+|[.…]+$/g, "");
}
