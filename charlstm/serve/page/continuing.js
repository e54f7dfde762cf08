// How the line under the cursor would go on: grey text behind the cursor.

import { ofRun, post } from "./api.js";
import { announce } from "./dom.js";
import { Latest } from "./latest.js";
import { t } from "./strings.js";

/** Asks how a line goes on. */
export class Continuing {
  #asking = new Latest();
  #dismissed = false; // until something is typed again

  /**
   * @param {Object} run
   * @param {import("./editor.js").Editor} editor
   * @param {() => Object} settings
   */
  constructor(run, editor, settings) {
    this.run = run;
    this.editor = editor;
    this.settings = settings;
  }

  /** Ask for nothing any more. */
  drop() {
    this.#asking.drop();
  }

  /** Something was typed. */
  typed() {
    this.#dismissed = false;
  }

  /** The person does not want it. */
  dismiss() {
    this.#dismissed = true;
    this.drop();
    announce(t("dismissed"));
  }

  /**
   * Show how the line goes on, where the cursor stands at its end.
   * @param {number} rest how long to wait for more, in milliseconds
   */
  ask(rest) {
    const { text, line, cursor, selecting, composing } = this.editor;
    const inside = text.slice(cursor, line.end).trim();
    if (this.#dismissed || selecting || composing || inside || !line.text.trim()) {
      this.drop();
      return;
    }
    const before = text.slice(0, cursor);
    const question = { before, after: text.slice(cursor, line.end), settings: this.settings() };
    this.#asking.ask(
      rest,
      (signal) => post(ofRun(this.run.name, "continue"), question, { signal }),
      ({ text: more }) => {
        const [one] = more.split("\n");
        if (!one || this.editor.text !== text || this.editor.cursor !== cursor) return;
        this.editor.showGhost(one);
        if (this.editor.ghost) announce(t("ghost-says", { text: one }));
      },
      () => {}, // a line that is not gone on with is no loss
    );
  }
}
