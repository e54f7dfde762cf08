// The network: from the characters read so far to the logits of the next one.
//
// H hidden units, V characters, L layers. Weights have the names, shapes and gate order of
// PyTorch's nn.LSTM, nn.GRU and nn.RNN; they were rounded to float16 for this page, and everything
// is computed from them in float64.

/** The numbers that float16s in base64 stand for. */
function halves(base64) {
  const bytes = atob(base64);
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const size = exponent
      ? (1 + fraction) * POWERS[1074 + exponent - 15]
      : fraction * POWERS[1074 - 14];
    table[bits] = bits >> 15 ? -size : size;
  }
  const numbers = new Float32Array(bytes.length / 2);
  for (let k = 0; k < numbers.length; k++) {
    numbers[k] = table[bytes.charCodeAt(2 * k) | (bytes.charCodeAt(2 * k + 1) << 8)];
  }
  return numbers;
}

/** sums = bias + matrix vector, the rows of the matrix one after the other. */
function product(sums, bias, matrix, vector) {
  const width = vector.length;
  const even = width - (width % 4);
  for (let row = 0, at = 0; row < sums.length; row++) {
    // Four sums, because a processor can add to all of them at once; always in this order.
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let k = 0;
    for (; k < even; k += 4, at += 4) {
      a += matrix[at] * vector[k];
      b += matrix[at + 1] * vector[k + 1];
      c += matrix[at + 2] * vector[k + 2];
      d += matrix[at + 3] * vector[k + 3];
    }
    for (; k < width; k++, at++) a += matrix[at] * vector[k];
    sums[row] = bias[row] + (a + b + (c + d));
  }
}

function highestOf(numbers) {
  let highest = -Infinity;
  for (const number of numbers) if (number > highest) highest = number;
  return highest;
}

/** The probabilities that logits stand for. */
function softmax(logits) {
  const highest = highestOf(logits);
  const weights = logits.map((logit) => exp(logit - highest));
  let sum = 0;
  for (const weight of weights) sum += weight;
  return weights.map((weight) => weight / sum);
}

// One step of each cell for one unit k, in place: from the input's share `x` and the recurrent
// share `u` of the pre-activations, a block of H for each gate, to the next h and c.
const CELLS = {
  lstm: (x, u, h, c, H, k) => {
    const i = sigmoid(x[k] + u[k]);
    const f = sigmoid(x[k + H] + u[k + H]);
    const g = tanh(x[k + 2 * H] + u[k + 2 * H]);
    const o = sigmoid(x[k + 3 * H] + u[k + 3 * H]);
    c[k] = f * c[k] + i * g;
    h[k] = o * tanh(c[k]);
  },
  // Its gates see the cell state as well, the output gate the new one.
  peephole: (x, u, h, c, H, k, p) => {
    const i = sigmoid(x[k] + u[k] + p[k] * c[k]);
    const f = sigmoid(x[k + H] + u[k + H] + p[k + H] * c[k]);
    const g = tanh(x[k + 2 * H] + u[k + 2 * H]);
    c[k] = f * c[k] + i * g;
    const o = sigmoid(x[k + 3 * H] + u[k + 3 * H] + p[k + 2 * H] * c[k]);
    h[k] = o * tanh(c[k]);
  },
  // It writes as much as it forgets.
  coupled: (x, u, h, c, H, k) => {
    const f = sigmoid(x[k] + u[k]);
    const g = tanh(x[k + H] + u[k + H]);
    const o = sigmoid(x[k + 2 * H] + u[k + 2 * H]);
    c[k] = f * c[k] + (1 - f) * g;
    h[k] = o * tanh(c[k]);
  },
  gru: (x, u, h, _c, H, k) => {
    const r = sigmoid(x[k] + u[k]);
    const z = sigmoid(x[k + H] + u[k + H]);
    const n = tanh(x[k + 2 * H] + r * u[k + 2 * H]);
    h[k] = (1 - z) * n + z * h[k];
  },
  rnn: (x, u, h, _c, _H, k) => {
    h[k] = tanh(x[k] + u[k]);
  },
};

class Network {
  /**
   * @param {Object} model what the page says of it: cell, hidden, layers, embedding, end, and the
   *   names and shapes of the weights in their order
   * @param {Float32Array} numbers all weights
   */
  constructor(model, numbers) {
    this.cell = CELLS[model.cell];
    this.hidden = model.hidden;
    this.layers = model.layers;
    this.embedding = model.embedding;
    this.end = model.end;
    this.weights = {};
    let at = 0;
    for (const [name, shape] of model.weights) {
      const size = shape.reduce((a, b) => a * b);
      this.weights[name] = numbers.subarray(at, at + size);
      at += size;
    }
    if (at !== numbers.length) throw new Error("the weights of this page are not whole");
    this.size = this.weights["head.bias"].length;
    const rows = this.weights["recurrent.bias_hh_l0"].length;
    this.x = new Float64Array(rows);
    this.u = new Float64Array(rows);
    this.embedded = new Float64Array(model.embedding);
  }

  /** Where the network stands before any character: the h and c of each layer. */
  start() {
    const zeros = () => new Float64Array(this.hidden);
    return Array.from({ length: this.layers }, () => ({ h: zeros(), c: zeros() }));
  }

  /** Read one character, by its id; `state` moves on. */
  step(state, id) {
    // What ends a song begins the next: nothing before it is remembered.
    if (id === this.end) {
      for (const { h, c } of state) {
        h.fill(0);
        c.fill(0);
      }
    }
    const { x, u, weights, hidden } = this;
    for (let layer = 0; layer < this.layers; layer++) {
      const named = (name) => weights[`recurrent.${name}_l${layer}`];
      const { h, c } = state[layer];
      if (layer) product(x, named("bias_ih"), named("weight_ih"), state[layer - 1].h);
      else this.look(id, named("bias_ih"), named("weight_ih"));
      product(u, named("bias_hh"), named("weight_hh"), h);
      const peephole = named("weight_peephole");
      for (let k = 0; k < hidden; k++) this.cell(x, u, h, c, hidden, k, peephole);
    }
  }

  /** Put the first layer's share of a character into `x`. */
  look(id, bias, matrix) {
    const { x, embedding } = this;
    if (embedding) {
      const from = id * embedding;
      this.embedded.set(this.weights["embedding.weight"].subarray(from, from + embedding));
      product(x, bias, matrix, this.embedded);
    } else {
      // A one-hot vector takes a column of the matrix.
      for (let row = 0; row < x.length; row++) x[row] = bias[row] + matrix[row * this.size + id];
    }
  }

  /** The logits of the next character, `[V]`. */
  logits(state) {
    const logits = new Float64Array(this.size);
    product(logits, this.weights["head.bias"], this.weights["head.weight"], state.at(-1).h);
    return logits;
  }

  /** How likely each next character is, `[V]`. */
  probabilities(state) {
    return softmax(this.logits(state));
  }

  /** How likely the next character is, as a natural logarithm. */
  logProbability(state, id) {
    const logits = this.logits(state);
    const highest = highestOf(logits);
    let sum = 0;
    for (const logit of logits) sum += exp(logit - highest);
    return logits[id] - highest - log(sum);
  }

  /** What writes at a temperature: whatever that is, the logits are the same. */
  at(_temperature) {
    return this;
  }
}
