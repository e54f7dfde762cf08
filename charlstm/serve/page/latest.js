// Questions of which only the last one counts.

import { pause } from "./api.js";

/** Asks after a rest, and drops what was asked before. */
export class Latest {
  #controller = null;

  /**
   * Ask, and hand over the answer unless something else was asked meanwhile.
   * @param {number} rest in milliseconds, to wait for more before asking
   * @param {(signal: AbortSignal) => Promise<any>} question
   * @param {(answer: any) => void} onAnswer
   * @param {(problem: Error) => void} onProblem
   */
  async ask(rest, question, onAnswer, onProblem) {
    this.drop();
    const controller = new AbortController();
    this.#controller = controller;
    let answer;
    try {
      await pause(rest, controller.signal);
      answer = await question(controller.signal);
    } catch (problem) {
      if (!controller.signal.aborted) onProblem(problem);
      return;
    }
    if (controller.signal.aborted) return;
    this.#controller = null;
    onAnswer(answer);
  }

  /** Let go of what was asked. */
  drop() {
    this.#controller?.abort();
    this.#controller = null;
  }

  /** Whether something was asked and not answered. */
  get waiting() {
    return this.#controller !== null;
  }
}
