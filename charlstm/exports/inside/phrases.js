// A phrase: which units are high there and not around it, and where else they are so together.

/** A threshold between low and high bytes of a unit, after Otsu (1979): the two differ most. */
function threshold(codes) {
  const histogram = new Float64Array(256);
  for (const code of codes) histogram[code + 128]++;
  const sum = histogram.reduce((total, many, k) => total + many * k, 0);
  let [below, sumBelow, best, most] = [0, 0, 128, -1];
  for (let k = 0; k < 255; k++) {
    below += histogram[k];
    sumBelow += histogram[k] * k;
    const above = codes.length - below;
    if (!below || !above) continue;
    const between = below * above * (sumBelow / below - (sum - sumBelow) / above) ** 2;
    if (between > most) [best, most] = [k, between];
  }
  return best - 128; // high is what is larger
}

/** For each character, whether a unit is on there: on the side of its threshold that was told. */
function firing(codes, limit, high) {
  return Uint8Array.from(codes, (code) => Number(code > limit === high));
}

const share = (on, from, to) => {
  let many = 0;
  for (let t = from; t < to; t++) many += on[t];
  return to > from ? many / (to - from) : 0;
};

/** As many characters as this around a phrase must differ from it, or as long as it is. */
const AROUND = 8;
const UNITS = 6;

/**
 * The units that are on throughout a phrase and mostly off around it, the clearest first.
 * @returns {{layer: number, unit: number, high: boolean, on: Uint8Array}[]}
 */
function unitsOf(activations, from, to) {
  const wide = Math.max(AROUND, to - from);
  const [first, last] = [Math.max(from - wide, 0), Math.min(to + wide, activations.length)];
  const found = [];
  activations.layers.forEach((_, layer) => {
    for (let unit = 0; unit < activations.hidden; unit++) {
      const codes = activations.codes(layer, unit, activations.memory);
      const limit = threshold(codes);
      const high = codes[from] > limit;
      const on = firing(codes, limit, high);
      if (share(on, from, to) < 1) continue;
      const around = share(on, first, from) * (from - first) + share(on, to, last) * (last - to);
      const outside = around / Math.max(from - first + last - to, 1);
      const score = (1 - outside) * (1 - share(on, 0, activations.length));
      if (outside < 0.5) found.push({ layer, unit, high, on, score });
    }
  });
  return found.sort((one, other) => other.score - one.score).slice(0, UNITS);
}

/** Other passages where most of some units are on together: [from, to, how many of them]. */
function passagesOf(units, from, to, length) {
  const many = new Uint8Array(length);
  for (const { on } of units) for (let t = 0; t < length; t++) many[t] += on[t];
  for (let least = units.length; least > units.length / 2; least--) {
    const found = [];
    for (let t = 0; t < length; t++) {
      if (many[t] < least) continue;
      const start = t;
      while (t < length && many[t] >= least) t++;
      if (t <= from || start >= to) found.push([start, t, least]);
    }
    if (found.length) {
      // The longest are the likest to a phrase.
      return found.sort(([a, b], [c, d]) => d - c - (b - a)).slice(0, 8);
    }
  }
  return [];
}
