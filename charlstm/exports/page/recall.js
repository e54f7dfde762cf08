// What a model remembers, and how that is blended with its network: the grams of the training text,
// and the song so far. docs/recall.md has the formulas, charlstm/model/recall/ the same in Python.

// What has no probability keeps so much of it, so that there is a logarithm.
const TINY = 1e-30;
// Below this temperature only the likeliest is left of what is expected without the song.
const COLDEST = 0.05;

// Of how many characters the contexts are in which the song is looked at; see followers.py.
const LENGTHS = [0, 1, 2, 3, 4, 6, 9, 14, 20];
const LONGEST_CONTEXT = LENGTHS.at(-1);
// How many characters back what followed is counted.
const REACH = 1000;

/** What a song has said, as far back as that counts. */
class Said {
  constructor() {
    this.forget();
  }

  forget() {
    this.ids = [];
    // With how many characters the text before each of these ends as the text does now.
    this.alike = [];
  }

  /** Read one character, by its id. */
  read(id) {
    // The text before a character, and that character, against the text up to now: one more that is
    // alike, or none. It is what stands before the next one.
    const longer = (place) => Math.min(this.alike[place] + 1, LONGEST_CONTEXT);
    this.alike = this.ids.map((one, place) => (one === id ? longer(place) : 0));
    this.ids.push(id);
    if (this.ids.length > REACH) this.ids.shift();
    else this.alike.unshift(0);
  }

  /** How often which character followed what was read last: of the contexts of each length. */
  followers() {
    const rows = LENGTHS.map(() => new Map());
    this.ids.forEach((id, place) => {
      for (let k = 0; k < rows.length && LENGTHS[k] <= this.alike[place]; k++) {
        rows[k].set(id, (rows[k].get(id) ?? 0) + 1);
      }
    });
    return rows;
  }

  /**
   * Turn what is expected without the song into what is with it, in place. With n(w) how often w
   * followed the k-th context, T how often anything did and U how many different ones did,
   *
   *     p_k(w) = (n(w) - D + (pull_k + D U) p_(k-1)(w)) / (T + pull_k)
   *
   * @param {Float64Array} expected p_0
   * @param {{discount: number, pulls: number[], strength: number}} recall `strength`: how much of the
   *   difference is made, from 0 to 1
   * @param {number|null} end the id of what ends a song
   * @param {number} ending how likely that is; a song has never said it, and would put it off
   */
  addTo(expected, { discount, pulls, strength }, end, ending) {
    const rows = this.followers();
    // From the longest context on: what it leaves is the share of all shorter ones.
    const weights = [];
    let left = 1;
    for (let k = rows.length - 1; k >= 0; k--) {
      if (!rows[k].size) continue;
      let total = pulls[k];
      for (const number of rows[k].values()) total += number;
      weights[k] = left / total;
      left *= (pulls[k] + discount * rows[k].size) / total;
    }
    const said = strength * (1 - left);
    for (let id = 0; id < expected.length; id++) expected[id] *= 1 - said;
    rows.forEach((row, k) => {
      const weight = strength * (1 - ending) * weights[k];
      for (const [id, number] of row) expected[id] += weight * (number - discount);
    });
    if (end !== null) expected[end] += said * ending;
  }
}

// How much of what a character tells of the two is believed, and what is left of that one character
// later; see shares.py.
const RATE = 0.05;
const KEPT = 0.95;

/** A network and what is remembered, read as a network is. */
class Blend {
  /**
   * @param {Network} network
   * @param {Object} recall what the page says of it: share, strength, discount, pulls, unpredicted
   * @param {NGram|null} ngram of the training text, if the page has it
   * @param {number} temperature that the logits will be divided by
   */
  constructor(network, recall, ngram, temperature = 1) {
    this.network = network;
    this.recall = recall;
    this.ngram = ngram;
    this.temperature = Math.max(temperature, COLDEST);
    this.end = network.end;
    this.unpredicted = new Set(recall.unpredicted);
  }

  /** The same blend for another temperature; a state of one is one of the other. */
  at(temperature) {
    return new Blend(this.network, this.recall, this.ngram, temperature);
  }

  /** Where the blend stands before any character. */
  start() {
    return {
      network: this.network.start(),
      // What the network expects there, once it was asked.
      probabilities: null,
      contexts: this.ngram?.start(),
      // How much the n-gram model leads, in nats.
      lead: 0,
      said: new Said(),
    };
  }

  /** Read one character, by its id; `state` moves on. */
  step(state, id) {
    // Labels are read by the network alone.
    if (!this.unpredicted.has(id)) {
      if (this.ngram) {
        const ngram = this.ngram.probability(state.contexts, id);
        const network = this.alone(state)[id];
        state.lead = KEPT * state.lead + log(ngram + TINY) - log(network + TINY);
        state.contexts = this.ngram.after(state.contexts, id);
      }
      state.said.read(id);
    }
    // With the end of a song everything is forgotten.
    if (id === this.end) {
      state.lead = 0;
      state.said.forget();
    }
    this.network.step(state.network, id);
    state.probabilities = null;
  }

  /** What the network expects, `[V]`. */
  alone(state) {
    state.probabilities ??= this.network.probabilities(state.network);
    return state.probabilities;
  }

  /** How much the n-gram model counts: more, the better it has just predicted. */
  share(state) {
    const odds = this.recall.share * exp(RATE * state.lead);
    return odds / (odds + (1 - this.recall.share));
  }

  /** The distribution of the next character, `[V]`. */
  expected(state) {
    const { ngram, end } = this;
    const share = this.share(state);
    const expected = this.alone(state).map((likely) => (1 - share) * likely);
    if (ngram) ngram.addTo(expected, state.contexts, share);
    this.shape(expected);
    const ending = ngram && end !== null ? ngram.probability(state.contexts, end) : 0;
    state.said.addTo(expected, this.recall, end, ending);
    return expected.map((likely) => Math.max(likely, TINY));
  }

  /**
   * Bring what is expected without the song to the temperature, in place. What the song has said is
   * as likely as it is: sharpened as well, it would grow with every repetition.
   */
  shape(expected) {
    // What has no probability, a label where only the n-gram model is asked, keeps next to none.
    for (let id = 0; id < expected.length; id++) expected[id] += TINY;
    if (this.temperature === 1) return;
    const logits = expected.map((likely) => log(likely) / this.temperature);
    softmax(logits).forEach((likely, id) => (expected[id] = likely + TINY));
  }

  /** Logarithms of the distribution times the temperature, `[V]`. */
  logits(state) {
    return this.expected(state).map((likely) => this.temperature * log(likely));
  }

  /** How likely the next character is, as a natural logarithm, at temperature 1. */
  logProbability(state, id) {
    const expected = this.at(1).expected(state);
    let sum = 0;
    for (const likely of expected) sum += likely;
    return log(expected[id] / sum);
  }
}
