// Writing: what is read before a text, the draw, and the way out of loops, as on the command line.

// Whether a prefix begins a song or a line, so much of it decides.
const DECIDES = 200;
/** Below this a temperature is zero. */
const COLD = 1e-6;
// A song that is drawn comes upon what it has said more often than one that somebody thought of, and
// what it remembers then leads it on. Half a line is what people say again without meaning to, and so
// are a few characters.
const NO_ACCIDENT = 4;

/**
 * What may be read before a text, of which the likeliest is taken, each as ids.
 * @param {Object} model
 * @param {number[]} labels the ids of the song's labels
 * @param {boolean} begun whether there is a text
 */
function marksBefore(model, labels, begun) {
  const { vocabulary } = model;
  const song = [vocabulary.id(END), ...labels];
  let marks = vocabulary.has("\n") ? [[vocabulary.id("\n")]] : [];
  if (labels.length) marks = marks.map((mark) => [...song, ...mark]);
  if (model.songs) marks.unshift(song);
  return begun ? marks : marks.slice(0, 1);
}

/** Read a text; yields now and then, and returns where the network stands. */
function* reading(model, text, labels) {
  const { network } = model;
  const ids = model.vocabulary.encode(text);
  const marks = marksBefore(model, labels, ids.length > 0);
  const begun = (mark) => {
    const state = network.start();
    for (const id of mark) network.step(state, id);
    return state;
  };
  let [chosen = []] = marks;
  let best = -Infinity;
  for (const mark of marks.length > 1 ? marks : []) {
    const state = begun(mark);
    let likely = 0;
    for (const id of ids.slice(0, DECIDES)) {
      likely += network.logProbability(state, id);
      network.step(state, id);
      yield "";
    }
    if (likely > best) [chosen, best] = [mark, likely];
  }
  const state = begun(chosen);
  for (const id of ids) {
    network.step(state, id);
    yield "";
  }
  return state;
}

/** How likely the model finds each character of a text after a prefix, as natural logarithms. */
function logProbabilities(model, text, prefix, labels) {
  const read = reading(model, asRead(prefix, model.vocabulary, "map"), labels);
  let next = read.next();
  while (!next.done) next = read.next();
  return model.vocabulary.encode(text).map((id) => {
    const likely = model.network.logProbability(next.value, id);
    model.network.step(next.value, id);
    return likely;
  });
}

/**
 * Continue a prefix; yields what is written bit by bit, and "" while it reads.
 * @param {Object} model
 * @param {Object} wish
 * @param {string} wish.prefix normalised
 * @param {string} wish.read as the model reads it
 * @param {number[]} wish.labels the ids of the song's labels
 * @param {number|null} wish.most how many letters to write at most; its own measure where null
 * @param {number|null} wish.lines how many lines to write
 * @param {number} wish.temperature
 * @param {number} wish.topP
 * @param {string} wish.seed
 * @returns {Generator<string, boolean>} whether the song has ended by itself
 */
function* writing(model, wish) {
  const { vocabulary } = model;
  const network = model.network.at(wish.temperature);
  const songs = model.songs && wish.lines === null;
  const most = wish.most ?? (songs ? model.song_letters : model.letters * (wish.lines ?? 1));
  // Where every character is a letter, and none is an end, they need not be looked at one by one.
  const counted = model.plain && !model.songs;
  const looked = wish.lines !== null || !counted;
  const ending = looked && new Ending(wish.prefix, wish.lines, counted ? null : most, songs, vocabulary);
  const never = model.marks.filter((id) => !(songs && id === model.end));
  const random = new Random(wish.seed);
  const written = Array.from(wish.prefix);
  const line = model.recall?.line ?? 0;
  const mostAgain = line && Math.max(Math.floor(line / 2), NO_ACCIDENT);
  let state = null;
  if (wish.read || marksBefore(model, wish.labels, false).length) {
    state = yield* reading(model, wish.read, wish.labels);
  }
  for (let left = counted ? most : most * LONGEST + 1; most && left > 0; left--) {
    // Where there is nothing to read, the first character is drawn by how often each has come.
    const logits = Float32Array.from(state ? network.logits(state) : model.counts.map(log));
    for (const id of never) logits[id] = -Infinity;
    if (mostAgain) holdBack(written, logits, vocabulary, mostAgain);
    leaveLoop(written, logits, vocabulary);
    const id = state ? draw(logits, wish.temperature, wish.topP, random) : draw(logits, 1, 1, random);
    if (id < 0) break;
    const character = vocabulary.names[id];
    written.push(character);
    yield ending ? ending.push(character) : character;
    if (ending?.reached) return ending.song;
    state ??= network.start();
    if (left > 1) network.step(state, id);
  }
  if (ending) yield ending.rest();
  return false;
}

/**
 * Draw the next character: temperature, then top-p, then one number from 0 to 1.
 * @param {Float32Array} logits is overwritten
 * @returns {number} its id, never <unk>; -1 where nothing is left
 */
function draw(logits, temperature, topP, random) {
  logits[UNKNOWN] = -Infinity;
  // Greedy writing draws nothing.
  const uniform = temperature < COLD ? 0 : random.next();
  let likeliest = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[likeliest]) likeliest = id;
  const highest = logits[likeliest];
  if (highest === -Infinity) return -1;
  if (temperature < COLD) return likeliest;
  const weights = logits;
  for (let id = 0; id < weights.length; id++) {
    const scaled = Math.fround(Math.fround(weights[id] - highest) / Math.fround(temperature));
    weights[id] = exp(scaled);
  }
  if (topP < 1) keepNucleus(weights, topP);
  let total = 0;
  for (const weight of weights) total += weight;
  let sum = 0;
  for (let id = 0; id < weights.length; id++) {
    sum += weights[id];
    if (sum > uniform * total) return id;
  }
  return likeliest;
}

/** Leave the likeliest characters that together reach a probability, of the weights of all. */
function keepNucleus(weights, topP) {
  let total = 0;
  for (const weight of weights) total += weight;
  // The likeliest has a weight of 1. Few come near it, and sorting few is fast; if they are not
  // enough, all are sorted.
  const all = Array.from(weights.keys());
  let order = all.filter((id) => weights[id] > 0.001);
  if (order.reduce((sum, id) => sum + weights[id], 0) < topP * total) order = all;
  order.sort((one, other) => weights[other] - weights[one] || one - other);
  const kept = new Float32Array(weights.length);
  let sum = 0;
  for (const id of order) {
    if (sum >= topP * total) break;
    kept[id] = weights[id];
    sum += weights[id];
  }
  weights.set(kept);
}

/** Whether a text has the same so many characters from two of its places on. */
function areAlike(text, one, other, length) {
  while (length && text[one + length - 1] === text[other + length - 1]) length--;
  return !length;
}

/** Rule some ids out in place, unless nothing else is left. */
function ruleOut(ids, logits) {
  const kept = ids.map((id) => logits[id]);
  for (const id of ids) logits[id] = -Infinity;
  if (!logits.every((logit, id) => id === UNKNOWN || logit === -Infinity)) return;
  ids.forEach((id, place) => (logits[id] = kept[place]));
}

/** Rule out what would write more than so many characters a second time, in place. */
function holdBack(written, logits, vocabulary, most) {
  const last = written.length - most;
  const again = new Set();
  for (let at = 0; at < last; at++) {
    if (areAlike(written, at, last, most)) again.add(vocabulary.id(written[at + most]));
  }
  ruleOut([...again], logits);
}

// A loop is a passage three times in a row, with at least 12 characters in all. Passages of up to a
// third of 600 characters are found, by their last 8; only the text as it was after every eighth
// character is looked at, so that a loop is remembered for a while without remembering anything.
const LOOP = { times: 3, characters: 12, looked: 600, ending: 8, stride: 8 };

/** Rule out what would go on in a loop, and raise the temperature for a while, in place. */
function leaveLoop(written, logits, vocabulary) {
  const period = loopPeriod(written, written.length - (written.length % LOOP.stride));
  if (!period) return;
  // The highest after Gumbel noise was added is a draw. It follows from the text alone.
  const random = new Random(crc32(new TextEncoder().encode(written.join(""))));
  for (let id = 0; id < logits.length; id++) logits[id] += Math.fround(random.gumbel());
  ruleOut([vocabulary.id(written.at(-period))], logits);
}

/** The length of the passage that a text's first `end` characters end with three times, or 0. */
function loopPeriod(text, end) {
  if (end < LOOP.characters) return 0;
  const begin = Math.max(end - LOOP.looked, 0);
  // An earlier place with the same ending says what the passage might be; the nearest first.
  for (let period = 1; end - LOOP.ending - period >= begin; period++) {
    if (!areAlike(text, end - LOOP.ending, end - LOOP.ending - period, LOOP.ending)) continue;
    const span = Math.max(LOOP.times * period, LOOP.characters);
    if (span > end - begin) return 0;
    if (areAlike(text, end - span, end - span + period, span - period)) return period;
  }
  return 0;
}
