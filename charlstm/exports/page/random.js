// The generator that numbers are drawn from: PCG64, seeded as NumPy's default_rng(seed) is.
//
// O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
// Random Number Generation". It is made of whole numbers alone, so a seed gives the same ones in
// every browser, and those that the command line draws by.

const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const WORD = 64n;
const POOL = 4;

/** What a seed is stirred into: numpy.random.SeedSequence, in numbers of 32 bits. */
function seedWords(seed, count) {
  const entropy = [];
  for (let rest = BigInt(seed); rest || !entropy.length; rest >>= 32n) {
    entropy.push(Number(rest & 0xffffffffn));
  }
  let factor = 0x43b0d7e5;
  const hashed = (value) => {
    value ^= factor;
    factor = Math.imul(factor, 0x931e8875);
    value = Math.imul(value, factor);
    return value ^ (value >>> 16);
  };
  const mixed = (x, y) => {
    const value = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return value ^ (value >>> 16);
  };
  const pool = Array.from({ length: POOL }, (_, place) => hashed(entropy[place] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
    }
  }
  for (const word of entropy.slice(POOL)) {
    for (let to = 0; to < POOL; to++) pool[to] = mixed(pool[to], hashed(word));
  }
  factor = 0x8b51f9dd;
  return Array.from({ length: count }, (_, place) => {
    let value = pool[place % POOL] ^ factor;
    factor = Math.imul(factor, 0x58f38ded);
    value = Math.imul(value, factor);
    return (value ^ (value >>> 16)) >>> 0;
  });
}

class Random {
  /** @param {string|number|bigint} seed a whole number from 0 */
  constructor(seed) {
    const words = seedWords(seed, 8).map(BigInt);
    const [high, low, sequenceHigh, sequenceLow] = [0, 2, 4, 6].map(
      (place) => words[place] | (words[place + 1] << 32n),
    );
    this.increment = BigInt.asUintN(128, (((sequenceHigh << WORD) | sequenceLow) << 1n) | 1n);
    this.state = 0n;
    this.step();
    this.state += (high << WORD) | low;
    this.step();
  }

  step() {
    this.state = BigInt.asUintN(128, this.state * MULTIPLIER + this.increment);
  }

  /** A number from 0 to below 1, in steps of 2^-53. */
  next() {
    this.step();
    const folded = BigInt.asUintN(64, this.state >> WORD) ^ BigInt.asUintN(64, this.state);
    const turned = this.state >> 122n;
    const bits = BigInt.asUintN(64, (folded >> turned) | (folded << (WORD - turned)));
    return Number(bits >> 11n) / 9007199254740992;
  }

  /** A number by Gumbel's distribution: what is added to logits has the highest of them drawn. */
  gumbel() {
    const uniform = 1 - this.next();
    return uniform < 1 ? -log(-log(uniform)) : this.gumbel();
  }
}

/** A seed that nobody has asked for, short enough to type. */
function freshSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

/** The CRC-32 of some bytes, by which a text seeds what leads it out of a loop. */
function crc32(bytes) {
  let rest = -1;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  }
  return ~rest >>> 0;
}
