// Which lines are proposed: for the line under the cursor, to go on with it or to write it anew.

import { CLIENT, ofRun, post } from "./api.js";
import { shownPercent } from "./figures.js";
import { Latest } from "./latest.js";
import { proposalsPanel } from "./proposals.js";
import { sentenceOf } from "./questions.js";
import { t } from "./strings.js";

const COUNT = 5;
// So many places are remembered with what was proposed there, so that going back shows it again.
const REMEMBERED = 40;
// From this probability on it is said that a song may end.
const LIKELY_END = 0.2;

/**
 * @typedef {{line: Object, mode: "next"|"begun"|"anew", before: string, begun: string,
 *   after: string, without: string[]}} Place
 */

/** Asks for lines and offers them. */
export class Offering {
  #asking = new Latest();
  #known = new Map();
  #mode = null; // what the person chose for a line
  #offered = null; // the place that the lines shown were proposed for

  /**
   * @param {Object} run
   * @param {import("./editor.js").Editor} editor
   * @param {Object} form
   * @param {{onTake: (line: string, place: Place) => void, onBack: () => void,
   *   isTyping: (line: number) => boolean}} on
   */
  constructor(run, editor, form, on) {
    this.run = run;
    this.editor = editor;
    this.form = form;
    this.on = on;
    this.panel = proposalsPanel({
      onTake: (line) => this.#take(line),
      onOther: () => this.propose(0, "other"),
      onMore: () => this.propose(0, "more"),
      onMode: (mode) => this.#choose(mode),
      onBack: on.onBack,
    });
  }

  get element() {
    return this.panel.element;
  }

  /** Ask for nothing any more. */
  drop() {
    this.#asking.drop();
  }

  /**
   * Take a line by its number; 0 asks for others.
   * @param {number} digit
   */
  digit(digit) {
    if (digit === 0) this.propose(0, "other");
    else this.panel.take(digit);
  }

  /**
   * Forget what was chosen for another line.
   * @param {number} line
   */
  moved(line) {
    if (this.#mode?.line !== line) this.#mode = null;
  }

  #choose(mode) {
    this.#mode = { line: this.editor.line.index, mode };
    this.propose(0);
  }

  #take(line) {
    const place = this.#place();
    // While others are on their way, those that are shown may be for another line.
    if (this.#offered?.before !== place.before) return;
    this.#mode = null;
    this.on.onTake(line, place);
  }

  /** @returns {Place} */
  #place() {
    const { text, line, cursor } = this.editor;
    const typing = this.on.isTyping(line.index) && !text.slice(cursor, line.end).trim();
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

  /**
   * Propose lines.
   * @param {number} rest how long to wait for more, in milliseconds
   * @param {"first"|"other"|"more"} [how]
   */
  propose(rest, how = "first") {
    if (this.editor.readOnly) return;
    const place = this.#place();
    const { before, begun, after, without } = place;
    const { settings } = this.form;
    this.panel.about(place.line.index + 1, place.mode);
    const key = JSON.stringify([before, begun, after, without, settings]);
    const known = this.#known.get(key);
    if (known && how === "first") {
      this.#asking.drop();
      this.#show(place, known);
      return;
    }
    this.panel.waiting(true);
    this.form.blame(null);
    const seen = known?.seen ?? [];
    const wish = { before, begun, after, settings, count: COUNT, seed: null };
    const question = { client: CLIENT, ...wish, without: [...without, ...seen] };
    this.#asking.ask(
      rest,
      (signal) => post(ofRun(this.run.name, "propose"), question, { signal }),
      (answer) => {
        const earlier = how === "more" ? (known?.proposals ?? []) : [];
        const lines = answer.proposals.map((proposal) => proposal.line);
        const proposals = [...earlier, ...answer.proposals];
        this.#remember(key, { ...answer, proposals, seen: [...seen, ...lines] });
        this.#show(place, this.#known.get(key));
      },
      (problem) => {
        this.panel.waiting(false);
        this.panel.show(known?.proposals ?? [], sentenceOf(problem));
        this.form.blame(problem.param ?? null);
      },
    );
  }

  #remember(key, told) {
    this.#known.set(key, told);
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value);
  }

  #show(place, { proposals, problem, end_probability: end }) {
    this.#offered = place;
    this.panel.waiting(false);
    const sentences = [problem ?? ""];
    const { lines } = this.form.settings;
    if (place.mode === "next" && lines && linesOfStanza(place.before) >= lines) {
      sentences.push(t("form-full", { n: lines }));
    } else if (place.mode === "next" && end > LIKELY_END) {
      sentences.push(t("may-end", { likely: shownPercent(end) }));
    }
    this.panel.show(proposals, sentences.filter(Boolean).join(" "));
  }
}

// How many lines there are since the last empty one.
function linesOfStanza(before) {
  const lines = before.replace(/\n$/, "").split("\n");
  return lines.length - 1 - lines.findLastIndex((line) => !line.trim());
}
