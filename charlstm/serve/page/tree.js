// The undo tree of a song: every step is kept, and going back and taking another way keeps both.

import { lineAt, sharedStart } from "./text.js";

// The server keeps this many; the oldest ends of branches go first.
const MOST = 500;
// In UTF-16 units, of all steps together: all of it is sent when the song is saved.
const MOST_TEXT = 1_000_000;
// Typing goes on in one step until it rests, or until the line is another one.
const REST = 4;

/**
 * @typedef {{id: number, parent: number|null, text: string, at: number, how: string}} Step
 */

/** A song and the ways by which it came to be. */
export class Tree {
  /** @param {{nodes: Step[], current: number}} [kept] */
  constructor(kept) {
    const nodes = kept?.nodes?.length ? kept.nodes : [Tree.#start("")];
    this.steps = new Map(nodes.map((node) => [node.id, { ...node }]));
    const last = nodes.at(-1).id;
    this.current = this.steps.has(kept?.current) ? kept.current : last;
    // Of each step, the way on that was taken last: where «forward» leads.
    this.ways = new Map();
    for (const { id, parent } of nodes) this.ways.set(parent, id);
    this.#walkTo(this.current);
    this.typing = null;
  }

  static #start(text) {
    return { id: 0, parent: null, text, at: Date.now() / 1000, how: "start" };
  }

  /** The text where the tree stands. */
  get text() {
    return this.steps.get(this.current).text;
  }

  /** Whether there is a step before this one. */
  get canGoBack() {
    return this.steps.get(this.current).parent !== null;
  }

  /** Whether there is a step after this one. */
  get canGoOn() {
    return this.ways.has(this.current);
  }

  /**
   * Take what was typed; it belongs to the step before while nobody rests, and a line break belongs
   * to the line that it ends.
   * @param {string} text
   */
  type(text) {
    if (text === this.text) return;
    const line = lineAt(text, sharedStart(this.text, text)).index;
    const now = Date.now() / 1000;
    const step = this.steps.get(this.current);
    const same = this.typing && this.typing.id === this.current && this.typing.line === line;
    if (same && now - this.typing.at < REST && !this.canGoOn) {
      step.text = text;
      step.at = now;
      this.typing.at = now;
      return;
    }
    this.take(text, "typed");
    this.typing = { id: this.current, line, at: now };
  }

  /**
   * Make a step.
   * @param {string} text
   * @param {string} how
   */
  take(text, how) {
    this.typing = null;
    if (text === this.text) return;
    const id = Math.max(...this.steps.keys()) + 1;
    this.steps.set(id, { id, parent: this.current, text, at: Date.now() / 1000, how });
    this.ways.set(this.current, id);
    this.current = id;
    this.#prune();
  }

  /** Go one step back; return whether there was one. */
  back() {
    if (!this.canGoBack) return false;
    this.current = this.steps.get(this.current).parent;
    this.typing = null;
    return true;
  }

  /** Go one step on, the way that was taken last; return whether there was one. */
  on() {
    if (!this.canGoOn) return false;
    this.current = this.ways.get(this.current);
    this.typing = null;
    return true;
  }

  /**
   * Go to any step.
   * @param {number} id
   */
  go(id) {
    this.current = id;
    this.typing = null;
    this.#walkTo(id);
  }

  /** What the server keeps. */
  toJSON() {
    const nodes = [...this.steps.values()].sort((one, other) => one.id - other.id);
    return { nodes, current: this.current };
  }

  #walkTo(id) {
    for (let at = this.steps.get(id); at && at.parent !== null; at = this.steps.get(at.parent)) {
      this.ways.set(at.parent, at.id);
    }
  }

  #prune() {
    while (this.steps.size > MOST || (this.steps.size > 2 && this.#size() > MOST_TEXT)) {
      const parents = new Set([...this.steps.values()].map((step) => step.parent));
      const leaves = [...this.steps.values()].filter(
        (step) => !parents.has(step.id) && step.id !== this.current,
      );
      if (leaves.length)
        this.#forget(leaves.reduce((one, other) => (other.at < one.at ? other : one)));
      else this.#shorten();
    }
  }

  #size() {
    return [...this.steps.values()].reduce((sum, step) => sum + step.text.length, 0);
  }

  #forget(leaf) {
    this.steps.delete(leaf.id);
    if (this.ways.get(leaf.parent) !== leaf.id) return;
    const others = [...this.steps.values()].filter((step) => step.parent === leaf.parent);
    if (others.length) this.ways.set(leaf.parent, others.at(-1).id);
    else this.ways.delete(leaf.parent);
  }

  // One long way without branches: what was first is forgotten, and the second is the start.
  #shorten() {
    const first = [...this.steps.values()].find((step) => step.parent === null);
    const second = [...this.steps.values()].find((step) => step.parent === first.id);
    this.steps.delete(first.id);
    this.ways.delete(first.id);
    second.parent = null;
    second.how = "start";
  }
}

/**
 * Lay a tree out in rows by age, and in lanes so that no two ways lie on each other.
 * @param {Tree} tree
 * @returns {{step: Step, row: number, lane: number, from: {row: number, lane: number}|null}[]}
 */
export function laidOut(tree) {
  const steps = [...tree.steps.values()].sort((one, other) => one.id - other.id);
  const places = new Map();
  const continued = new Set();
  const last = lastRows(steps);
  const ends = []; // of each lane, the row after which it is free
  return steps.map((step, row) => {
    const from = places.get(step.parent) ?? null;
    let lane = 0;
    if (from && !continued.has(step.parent)) {
      continued.add(step.parent);
      lane = from.lane;
    } else if (from) {
      lane = ends.findIndex((end) => end < from.row);
      if (lane < 0) lane = ends.length;
    }
    ends[lane] = Math.max(ends[lane] ?? -1, last.get(step.id));
    const place = { step, row, lane, from };
    places.set(step.id, place);
    return place;
  });
}

// Of each step, the row in which the way that goes on straight from it ends.
function lastRows(steps) {
  const rows = new Map(steps.map((step, row) => [step.id, row]));
  const first = new Map();
  for (const step of steps) if (!first.has(step.parent)) first.set(step.parent, step.id);
  const last = new Map();
  for (const step of [...steps].reverse()) {
    const next = first.get(step.id);
    last.set(step.id, next === undefined ? rows.get(step.id) : last.get(next));
  }
  return last;
}
