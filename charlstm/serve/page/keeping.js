// Keeping a song: it is saved on the server's disk shortly after each change, and held by one tab.
//
// A song never lies in the browser alone for longer than it takes to save it. While the server
// does not answer, the text stays in the page, a copy lies in the tab's own store in case it is
// loaded again, and it is saved when the server is back.

import { CLIENT, Gone, Refused, ofRun, patience, pause, post } from "./api.js";
import { sentenceOf } from "./questions.js";

const SOON = 500;
const ALIVE = 20_000;

/**
 * What may be the matter with a song.
 * @typedef {"saved"|"saving"|"waiting"|"gone"|"in_use"|"changed"|"refused"} State
 */

/** Holds one song for this tab. */
export class Keeping {
  #revision = 0;
  #saved = null;
  #dirty = false;
  #busy = false;
  #stopped = new AbortController();
  #attempts = 0;
  #lost = false;
  #problem = ""; // with what was saved, which was saved all the same

  /**
   * @param {string} run
   * @param {string} id
   * @param {() => {text: string, settings: Object, tree: Object}} snapshot of the song as it is
   * @param {(state: State, sentence: string) => void} onState
   */
  constructor(run, id, snapshot, onState) {
    this.run = run;
    this.id = id;
    this.snapshot = snapshot;
    this.onState = onState;
    this.held = false;
  }

  #at(what) {
    return ofRun(this.run, "songs", this.id, what);
  }

  get #store() {
    return `song ${this.run} ${this.id}`;
  }

  /**
   * Open the song.
   * @param {boolean} takeOver from another tab
   * @returns {Promise<Object>} what the server tells of it
   * @throws {Refused|Gone}
   */
  async open(takeOver = false) {
    this.#lost = false;
    const told = await post(this.#at("open"), { client: CLIENT, take_over: takeOver });
    this.#revision = told.revision;
    this.#saved = told.text;
    if (!this.held) this.#begin();
    this.held = true;
    sessionStorage.setItem("held", this.#store);
    return told;
  }

  /** Give up what this tab could not save. */
  forget() {
    sessionStorage.removeItem(this.#store);
    this.#dirty = false;
  }

  /** Whether this tab had the song before it was loaded again, and nobody took it meanwhile. */
  get wasOurs() {
    const [how] = performance.getEntriesByType("navigation");
    return how?.type === "reload" && sessionStorage.getItem("held") === this.#store;
  }

  /** What this tab could not save before it was loaded again; null if there is nothing. */
  get unsaved() {
    const text = sessionStorage.getItem(this.#store);
    return text === this.#saved ? null : text;
  }

  #begin() {
    if (this.#stopped.signal.aborted) this.#stopped = new AbortController();
    this.#keepAlive(this.#stopped.signal);
    addEventListener("pagehide", this.#leave);
    addEventListener("beforeunload", this.#warn);
  }

  async #keepAlive(signal) {
    while (!signal.aborted) {
      try {
        await pause(ALIVE, signal);
        if (!this.#lost) await post(this.#at("alive"), { client: CLIENT }, { signal });
      } catch (problem) {
        if (signal.aborted) return;
        // Whatever it is, a save finds it out and says it.
        this.#lost = true;
        this.changed();
      }
    }
  }

  /** Say that the song is another than before. */
  changed() {
    this.#dirty = true;
    if (!this.#busy) this.#save(SOON);
  }

  async #save(rest) {
    const { signal } = this.#stopped;
    this.#busy = true;
    if (!this.#lost) this.onState("waiting", "");
    try {
      // What is typed meanwhile is gathered again, so that a disk is not written at every letter.
      do {
        await pause(rest, signal);
        if (this.#dirty) await this.#saveOnce(signal);
      } while (this.#dirty);
      this.onState("saved", this.#problem);
    } catch (problem) {
      if (!signal.aborted && problem.name !== "AbortError") this.#stuck(problem);
    } finally {
      this.#busy = false;
    }
  }

  async #saveOnce(signal) {
    const song = this.snapshot();
    try {
      if (this.#lost) await this.#again(signal);
      this.#dirty = false;
      this.onState("saving", "");
      const body = { client: CLIENT, revision: this.#revision, ...song };
      const told = await post(this.#at("save"), body, { signal });
      this.#revision = told.revision;
      this.#problem = told.problem ?? "";
      this.#saved = song.text;
      this.#attempts = 0;
      sessionStorage.removeItem(this.#store);
    } catch (problem) {
      this.#dirty = true;
      if (problem.code === "changed" && !this.#lost) {
        // Perhaps by this very tab, whose last words before it was loaded again came late: then
        // what stands on disk is what stands here.
        this.#lost = true;
        return;
      }
      if (!(problem instanceof Gone) || signal.aborted) throw problem;
      this.#lost = true;
      sessionStorage.setItem(this.#store, this.snapshot().text);
      this.onState("gone", "");
      await pause(patience(this.#attempts), signal);
      this.#attempts += 1;
    }
  }

  // A server that was started again holds no songs. The song is ours as long as it is as we left
  // it; what it is now is told by opening it.
  async #again(signal) {
    const body = { client: CLIENT, take_over: false };
    const told = await post(this.#at("open"), body, { signal });
    if (told.text !== this.#saved && told.text !== this.snapshot().text) {
      throw new Refused(409, { code: "changed", message: "" });
    }
    this.#revision = told.revision;
    this.#lost = false;
  }

  #stuck(problem) {
    const state = ["in_use", "changed"].includes(problem.code) ? problem.code : "refused";
    sessionStorage.setItem(this.#store, this.snapshot().text);
    if (state === "in_use") sessionStorage.removeItem("held");
    this.#lost = true;
    this.onState(state, sentenceOf(problem));
  }

  /** Whether everything is on the server's disk. */
  get safe() {
    return !this.#dirty && !this.#busy;
  }

  /** Wait until everything is on disk, but not long. */
  async settle() {
    for (let wait = 0; wait < 40 && !this.safe; wait += 1) await pause(50);
  }

  #warn = (event) => {
    if (this.safe) return;
    this.#leave(event);
    event.preventDefault();
  };

  // The page goes away: its words are sent along, and the song is free for others. Words alone: a
  // browser takes no more than 64 KiB at such a moment. What was on its way may be cut off.
  #leave = (event) => {
    if (!this.safe && !this.#lost) {
      const { text } = this.snapshot();
      const body = { client: CLIENT, revision: this.#revision, text };
      sessionStorage.setItem(this.#store, text);
      post(this.#at("save"), body, { keepalive: true }).catch(() => {});
    }
    if (event.type === "pagehide") this.#close();
  };

  #close() {
    if (this.held) post(this.#at("close"), { client: CLIENT }, { keepalive: true }).catch(() => {});
    this.held = false;
  }

  /** Leave the song: save what is left, and let others have it. */
  async end() {
    removeEventListener("pagehide", this.#leave);
    removeEventListener("beforeunload", this.#warn);
    if (this.held && !this.#lost) await this.settle();
    if (this.#dirty) sessionStorage.setItem(this.#store, this.snapshot().text);
    this.#stopped.abort();
    this.#close();
  }
}
