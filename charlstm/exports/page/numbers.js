// exp, log and tanh from the four operations, which are the same in every browser, bit for bit.
//
// Those of Math may differ in the last bit from one browser to another, and a text that is drawn
// would then go another way at some character.

const LN2_HIGH = 0.6931471803691238; // with so many zero bits that its product with k is exact
const LN2_LOW = 1.9082149292705877e-10; // the rest of ln 2
const SQRT_HALF = 0.7071067811865476;

// 2^k for k from -1074 to 1023, by doubling and halving, which is exact.
const POWERS = new Float64Array(2098);
POWERS[1074] = 1;
for (let k = 1075; k < 2098; k++) POWERS[k] = POWERS[k - 1] * 2;
for (let k = 1073; k >= 0; k--) POWERS[k] = POWERS[k + 1] / 2;

// 1/n: a product takes a fraction of the time that a division does.
const PARTS = Float64Array.from({ length: 24 }, (_, n) => 1 / n);

/** e^x: 2^k e^r with |r| below ln(2)/2, and the series of e^r. */
function exp(x) {
  if (!(x > -740)) return Number.isNaN(x) ? x : 0;
  if (x > 709) return Infinity;
  const k = Math.floor(x / Math.LN2 + 0.5);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  let sum = 1;
  for (let n = 14; n > 0; n--) sum = 1 + r * PARTS[n] * sum;
  return sum * POWERS[k + 1074];
}

// A float64 is its sign, eleven bits of exponent and 52 of fraction.
const BITS = new DataView(new ArrayBuffer(8));

/** ln x for x that are not tiny: x = 2^k m, and the series of ln m in (m - 1)/(m + 1). */
function log(x) {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  BITS.setFloat64(0, x);
  let k = ((BITS.getUint32(0) >> 20) & 2047) - 1023;
  let m = x * POWERS[1074 - k];
  if (m > 2 * SQRT_HALF) [m, k] = [m / 2, k + 1];
  const s = (m - 1) / (m + 1);
  let sum = 0;
  for (let n = 23; n > 0; n -= 2) sum = sum * s * s + PARTS[n];
  return k * LN2_HIGH + (k * LN2_LOW + 2 * s * sum);
}

/** (e^x - e^-x) / (e^x + e^-x), to the last bits of 1. */
function tanh(x) {
  const size = 1 - 2 / (exp(2 * Math.abs(x)) + 1);
  return x < 0 ? -size : size;
}

/** 1 / (1 + e^-x), what a gate lets through. */
function sigmoid(x) {
  return 1 / (1 + exp(-x));
}
