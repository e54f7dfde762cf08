// What the bytes of the page hold, of every unit at every character, and what follows from it.
//
// A byte is a place on a curve: q = 127 log(1 + s|x|) / log(1 + s m) with the sign of x, where m is
// the largest number of its unit, so that numbers near 0 are told more exactly than large ones.

/** What is from 0 to 1; all else is symmetric about 0. */
const GATES = new Set(["i", "f", "o", "r", "z"]);

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** What follows from what is stored, [T] each: `x` is what went into each gate, and the memory. */
const CELLS = {
  lstm: (x) => states({ i: x.i.map(sigmoid), f: x.f.map(sigmoid), o: x.o.map(sigmoid), g: x.g.map(Math.tanh) }, x.c),
  coupled: (x) => {
    const f = x.f.map(sigmoid);
    const { i, ...rest } = states({ i: f.map((one) => 1 - one), f, o: x.o.map(sigmoid), g: x.g.map(Math.tanh) }, x.c);
    return rest;
  },
  gru: (x) => {
    const [r, z, n, h] = [x.r.map(sigmoid), x.z.map(sigmoid), x.n.map(Math.tanh), x.h];
    const written = n.map((one, t) => (1 - z[t]) * one);
    return { r, z, n, h, written, kept: h.map((one, t) => one - written[t]) };
  },
  rnn: (x) => ({ h: x.h.map(Math.tanh) }),
};
CELLS.peephole = CELLS.lstm;

/** The states of an LSTM: what was written is i g, and what is in c besides was kept. */
function states({ i, f, o, g }, c) {
  const written = i.map((one, t) => one * g[t]);
  const kept = c.map((one, t) => one - written[t]);
  return { i, f, o, g, c, h: c.map((one, t) => o[t] * Math.tanh(one)), kept, written };
}

class Activations {
  constructor(told, bytes) {
    const length = told.text.length;
    [this.cell, this.length, this.hidden] = [told.cell, length, told.hidden];
    this.layers = Array.from({ length: told.layers }, () => ({}));
    let at = 0;
    for (const [layer, letter, largest] of told.arrays) {
      const codes = bytes.subarray(at, at + told.hidden * length);
      this.layers[layer][letter] = { codes, curves: largest.map((one) => curve(told.curve, one)) };
      at += codes.length;
    }
    // The rows of the head: what a unit of the last layer adds to the logit of a character.
    this.head = bytes.subarray(at);
    this.scales = told.scales;
    this.memory = "c" in this.layers[0] ? "c" : "h";
    this.known = new Map();
  }

  /** The bytes of one array of a unit, [T]. */
  codes(layer, unit, letter) {
    return this.layers[layer][letter].codes.subarray(unit * this.length, (unit + 1) * this.length);
  }

  /** What went into the gates of a unit, and its memory, by letter, [T] each. */
  stored(layer, unit) {
    const found = {};
    for (const [letter, { curves }] of Object.entries(this.layers[layer])) {
      found[letter] = Float32Array.from(this.codes(layer, unit, letter), curves[unit]);
    }
    return found;
  }

  /** All that can be shown of a unit, by letter, [T] each. */
  of(layer, unit) {
    const name = `${layer}.${unit}`;
    if (!this.known.has(name)) {
      if (this.known.size > 64) this.known.clear();
      this.known.set(name, CELLS[this.cell](this.stored(layer, unit)));
    }
    return this.known.get(name);
  }

  /** h of all units of the last layer after one character. */
  outputs(t) {
    const layer = this.layers.length - 1;
    const one = (unit, letter) => this.layers[layer][letter].curves[unit](this.codes(layer, unit, letter)[t]);
    return Float32Array.from({ length: this.hidden }, (_, unit) => {
      if (this.cell === "gru") return one(unit, "h");
      if (this.cell === "rnn") return Math.tanh(one(unit, "h"));
      return sigmoid(one(unit, "o")) * Math.tanh(one(unit, "c"));
    });
  }

  /** What each unit of the last layer adds to the logit of a character, beside all others. */
  shares(t, character) {
    const row = this.head.subarray(character * this.hidden, (character + 1) * this.hidden);
    return this.outputs(t).map((h, unit) => h * row[unit] * this.scales[character]);
  }
}

/** What a byte of a unit stands for. */
function curve(steepness, largest) {
  const whole = Math.log1p(steepness * largest);
  return (code) => (Math.sign(code) * Math.expm1((Math.abs(code) / 127) * whole)) / steepness;
}

/** Bytes that stand in the page. */
function unpacked(base64) {
  const text = atob(base64.replace(/\s+/g, ""));
  return Int8Array.from(text, (character) => character.charCodeAt(0));
}
