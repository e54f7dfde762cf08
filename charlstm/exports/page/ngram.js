// The n-gram model of the training text: how likely each character is after the last few.
//
// With c a context, c' the same without its first character and w what follows (modified
// Kneser-Ney),
//
//     p(w | c) = share(c w) + kept(c) p(w | c')
//
// down to all characters alike. charlstm/model/recall/counting.py says how the shares were counted,
// charlstm/exports/grams.py how they are packed.

/** Numbers that stand one after the other in base64, little-endian. */
class Packed {
  constructor(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
    this.view = new DataView(bytes.buffer);
    this.at = 0;
  }

  /** The next few whole numbers, of so many bytes each. */
  wholes(count, bytes) {
    const read = { 1: "getUint8", 2: "getUint16", 4: "getUint32" }[bytes];
    const numbers = new Uint32Array(count);
    for (let k = 0; k < count; k++, this.at += bytes) numbers[k] = this.view[read](this.at, true);
    return numbers;
  }

  /** The next few float32. */
  floats(count) {
    const numbers = new Float32Array(count);
    for (let k = 0; k < count; k++, this.at += 4) numbers[k] = this.view.getFloat32(this.at, true);
    return numbers;
  }
}

/**
 * What follows the contexts of one length: the last character of each gram, and its share; where
 * what follows each context begins, by ascending id; and what that leaves to the next shorter one.
 * The contexts are numbered as the grams are that are one character shorter.
 */
function unpackedLevel({ different, grams, bytes }, contexts, packed) {
  const values = packed.floats(different);
  const shares = new Float32Array(grams);
  packed.wholes(grams, bytes[0]).forEach((which, at) => (shares[at] = values[which]));
  const symbols = packed.wholes(grams, bytes[1]);
  const followers = packed.wholes(contexts, bytes[2]);
  const starts = new Uint32Array(contexts + 1);
  const kept = new Float32Array(contexts);
  for (let context = 0, at = 0; context < contexts; context++) {
    const stop = at + followers[context];
    let sum = 0;
    for (; at < stop; at++) sum += shares[at];
    starts[context + 1] = stop;
    kept[context] = Math.min(Math.max(1 - sum, 0), 1);
  }
  return { symbols, shares, starts, kept };
}

class NGram {
  /**
   * @param {Object[]} levels what the page says of the grams of 1, 2, ... characters
   * @param {Packed} packed the grams
   * @param {number} size V
   * @param {Set<number>} unpredicted the ids that are never predicted
   */
  constructor(levels, packed, size, unpredicted) {
    let contexts = 1;
    this.levels = levels.map((level) => {
      const unpacked = unpackedLevel(level, contexts, packed);
      contexts = level.grams;
      return unpacked;
    });
    if (packed.at !== packed.view.byteLength) throw new Error("the grams of this page are not whole");
    const [{ symbols, shares, kept }] = this.levels;
    const even = kept[0] / (size - unpredicted.size);
    // What is expected without any context.
    this.alone = Float64Array.from({ length: size }, (_, id) => (unpredicted.has(id) ? 0 : even));
    symbols.forEach((id, at) => (this.alone[id] += shares[at]));
  }

  /**
   * What has been read before any character: the numbers of the grams of 0, 1, ... characters that
   * were read last, as far as the training text has them.
   */
  start() {
    return [0];
  }

  /**
   * What has been read after one more character. Of what was before a song only its mark counts:
   * nothing follows a longer context that ends with one.
   */
  after(contexts, id) {
    const read = [0];
    for (let length = 0; length < contexts.length && length < this.levels.length - 1; length++) {
      const at = this.find(length, contexts[length], id);
      if (at < 0) break; // what the text does not have is in nothing longer either
      read.push(at);
    }
    return read;
  }

  /** The number of the gram of a context and a character; -1 where the text has none. */
  find(length, context, id) {
    const { symbols, starts } = this.levels[length];
    let low = starts[context];
    let high = starts[context + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (symbols[middle] < id) low = middle + 1;
      else high = middle;
    }
    return low < starts[context + 1] && symbols[low] === id ? low : -1;
  }

  /** How likely a character is next. */
  probability(contexts, id) {
    let likely = this.alone[id];
    for (let length = 1; length < contexts.length; length++) {
      const { shares, kept } = this.levels[length];
      const at = this.find(length, contexts[length], id);
      likely = likely * kept[contexts[length]] + (at < 0 ? 0 : shares[at]);
    }
    return likely;
  }

  /** Add a share of the distribution of the next character. */
  addTo(expected, contexts, share) {
    for (let length = contexts.length - 1; length > 0; length--) {
      const { symbols, shares, starts, kept } = this.levels[length];
      const context = contexts[length];
      for (let at = starts[context]; at < starts[context + 1]; at++) {
        expected[symbols[at]] += share * shares[at];
      }
      share *= kept[context];
    }
    for (let id = 0; id < expected.length; id++) expected[id] += share * this.alone[id];
  }
}
