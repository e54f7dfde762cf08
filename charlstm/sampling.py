"""Continuing a prefix, with NumPy alone.

At one character a step what costs is the number of calls, so a step makes as few as it can:

- A layer's recurrent matrix stands on the matrix of whatever reads its output (the next layer or
  the head), and each matrix has its bias as a last column, met by a 1 at the end of ``h``. One
  product a layer and character gives the next step's recurrent share and this step's output.
- The input of the first layer is a row of a table.
- sigmoid(x) = (tanh(x/2) + 1) / 2: with the rows of the gates halved beforehand, one call of tanh
  serves gates and candidate together.
- All results go into buffers that were made once.

Shapes: ``N`` streams side by side, ``[N, ...]``; G blocks of H a cell.
"""

import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.corpus import TextOptions
from charlstm.errors import RecipeError, UnknownCharactersError
from charlstm.recipes import Architecture
from charlstm.vocabulary import UNKNOWN, Vocabulary

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Decoding:
    """How the next character is drawn from the distribution.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest character.
        top_k: draw among the k likeliest only; 0 for all.
        top_p: draw among the likeliest that together reach this probability.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise RecipeError(
                f"temperature must be a number from 0 to 100, not {self.temperature!r}."
            )
        if self.top_k < 0:
            raise RecipeError(f"top-k must be a whole number from 0 up, not {self.top_k!r}.")
        if not 0 < self.top_p <= 1:
            raise RecipeError(f"top-p must be a number above 0 to 1, not {self.top_p!r}.")


@dataclass
class State:
    """Where N streams stand: all that a model remembers of what it has read.

    Attributes:
        h: per layer ``[N, H+1]``, the hidden state and a column of ones.
        c: per layer ``[N, H]``, the cell state; unused where the cell has none.
        products: per layer ``[N, G*H + ...]``: the recurrent share of the next step's
            pre-activations, then what the layer above, or the head, reads.
    """

    h: list[Array]
    c: list[Array]
    products: list[Array]

    def copy(self) -> "State":
        """Return a state of its own that stands at the same place."""
        return State(
            [part.copy() for part in self.h],
            [part.copy() for part in self.c],
            [part.copy() for part in self.products],
        )


class Network:
    """The forward pass of a trained model, one character at a time.

    Args:
        architecture: any cell, any number of layers, one-hot or embedded input.
        weights: float32, named as in the checkpoint.
        vocabulary_size: V.
    """

    def __init__(
        self, architecture: Architecture, weights: Mapping[str, NDArray[Any]], vocabulary_size: int
    ) -> None:
        H, L = architecture.hidden, architecture.layers
        self.architecture = architecture
        self.vocabulary_size = vocabulary_size
        self._gates = architecture.blocks * H
        self._cell = _CELLS[architecture.cell]
        scale = _gate_scale(architecture)[:, None]

        def get(name: str, layer: int) -> Array:
            return np.asarray(weights[f"recurrent.{name}_l{layer}"], dtype=np.float32)

        def with_bias(weight: Array, bias: Array) -> Array:
            return np.concatenate((weight, bias[:, None]), axis=1)

        self._stacks: list[Array] = []
        for layer in range(L):
            recurrent = scale * with_bias(get("weight_hh", layer), get("bias_hh", layer))
            if layer + 1 < L:
                above = scale * with_bias(get("weight_ih", layer + 1), get("bias_ih", layer + 1))
            else:
                above = with_bias(weights["head.weight"], weights["head.bias"])
            # Transposed as a view: the product of a row of h with it runs along its rows.
            self._stacks.append(np.ascontiguousarray(np.concatenate((recurrent, above))).T)
        first = scale * get("weight_ih", 0)
        rows = weights["embedding.weight"] @ first.T if architecture.embedding else first.T
        self._table: Array = np.ascontiguousarray(rows + scale[:, 0] * get("bias_ih", 0))
        self._peepholes: list[Array] = []
        if architecture.cell == "peephole":
            # The same halving as for the rows of the gates, i, f and o.
            self._peepholes = [0.5 * get("weight_peephole", layer) for layer in range(L)]

    def start(self, streams: int = 1) -> State:
        """Return the state before any character, for `streams` streams."""
        H = self.architecture.hidden
        h, c, products = [], [], []
        for stack in self._stacks:
            initial = np.zeros((streams, H + 1), dtype=np.float32)
            initial[:, H] = 1.0
            h.append(initial)
            c.append(np.zeros((streams, H), dtype=np.float32))
            products.append(initial @ stack)
        return State(h, c, products)

    def step(self, state: State, ids: NDArray[np.integer]) -> Array:
        """Read one character in each stream; `state` moves on.

        Args:
            state: what `start` returned, or a copy of it at any later place.
            ids: ``[N]``, the characters read.

        Returns:
            ``[N, V]`` logits of the next character, a view that the next step overwrites.
        """
        G, H = self._gates, self.architecture.hidden
        share: Array = self._table[ids]
        for layer, stack in enumerate(self._stacks):
            h, products = state.h[layer], state.products[layer]
            peephole = self._peepholes[layer] if self._peepholes else None
            self._cell(share, products[:, :G], h[:, :H], state.c[layer], peephole)
            np.matmul(h, stack, out=products)
            share = products[:, G:]
        return share


def _gate_scale(architecture: Architecture) -> Array:
    """Return 1/2 for every row whose pre-activation goes through a sigmoid, else 1: ``[G*H]``."""
    halved = {
        "lstm": (0.5, 0.5, 1, 0.5),
        "peephole": (0.5, 0.5, 1, 0.5),
        "coupled": (0.5, 1, 0.5),
        "gru": (0.5, 0.5, 1),
        "rnn": (1,),
    }[architecture.cell]
    return np.repeat(np.array(halved, dtype=np.float32), architecture.hidden)


def _sigmoid_from_tanh(gate: Array) -> Array:
    """In place: what tanh(x/2) left -> sigmoid(x)."""
    gate *= 0.5
    gate += 0.5
    return gate


# Each of these makes one step of its cell in place: from the input's and the recurrent share of
# the pre-activations it moves h (and c) on. `charlstm.recurrent.equations` has the formulas.


def _lstm(a: Array, u: Array, h: Array, c: Array, _peephole: Array | None) -> None:
    H = h.shape[1]
    u += a
    np.tanh(u, out=u)
    i, f = u[:, :H], u[:, H : 2 * H]
    g, o = u[:, 2 * H : 3 * H], u[:, 3 * H :]
    _sigmoid_from_tanh(u[:, : 2 * H])
    _sigmoid_from_tanh(o)
    c *= f
    i *= g
    c += i
    np.tanh(c, out=h)
    h *= o


def _peephole_lstm(a: Array, u: Array, h: Array, c: Array, peephole: Array | None) -> None:
    assert peephole is not None
    H = h.shape[1]
    p_i, p_f, p_o = peephole
    u += a
    i, f = u[:, :H], u[:, H : 2 * H]
    g, o = u[:, 2 * H : 3 * H], u[:, 3 * H :]
    i += p_i * c
    f += p_f * c
    np.tanh(u[:, : 3 * H], out=u[:, : 3 * H])
    _sigmoid_from_tanh(u[:, : 2 * H])
    c *= f
    i *= g
    c += i
    o += p_o * c
    np.tanh(o, out=o)
    _sigmoid_from_tanh(o)
    np.tanh(c, out=h)
    h *= o


def _coupled(a: Array, u: Array, h: Array, c: Array, _peephole: Array | None) -> None:
    H = h.shape[1]
    u += a
    np.tanh(u, out=u)
    f, g, o = u[:, :H], u[:, H : 2 * H], u[:, 2 * H :]
    _sigmoid_from_tanh(f)
    _sigmoid_from_tanh(o)
    c -= g  # f c + (1 - f) g = f (c - g) + g
    c *= f
    c += g
    np.tanh(c, out=h)
    h *= o


def _gru(a: Array, u: Array, h: Array, _c: Array, _peephole: Array | None) -> None:
    H = h.shape[1]
    gates, n = u[:, : 2 * H], u[:, 2 * H :]
    gates += a[:, : 2 * H]
    np.tanh(gates, out=gates)
    _sigmoid_from_tanh(gates)
    r, z = gates[:, :H], gates[:, H:]
    n *= r
    n += a[:, 2 * H :]
    np.tanh(n, out=n)
    h -= n  # (1 - z) n + z h = z (h - n) + n
    h *= z
    h += n


def _rnn(a: Array, u: Array, h: Array, _c: Array, _peephole: Array | None) -> None:
    u += a
    np.tanh(u, out=h)


_CELLS: dict[str, Callable[[Array, Array, Array, Array, Array | None], None]] = {
    "lstm": _lstm,
    "peephole": _peephole_lstm,
    "coupled": _coupled,
    "gru": _gru,
    "rnn": _rnn,
}


@dataclass
class Sampler:
    """A model that writes.

    Attributes:
        network: its forward pass.
        vocabulary: its characters.
        text: how its training text was normalised; prefixes are treated alike.
    """

    network: Network
    vocabulary: Vocabulary
    text: TextOptions = field(default_factory=TextOptions)

    def stream(
        self,
        prefix: str = "",
        *,
        length: int = 200,
        decoding: Decoding | None = None,
        seed: int | None = None,
        unknown: str = "error",
    ) -> Iterator[str]:
        """Continue `prefix`, one character at a time.

        The model reads a line break first where its vocabulary has one, so that the prefix
        begins a line.

        Args:
            prefix: what to continue; may be empty.
            length: how many characters to write, the prefix not counted.
            decoding: how each is drawn.
            seed: the same one writes the same text; a fresh one where ``None``.
            unknown: what to do with characters of the prefix that the model has never seen:
                ``"error"``, ``"skip"`` them, or ``"map"`` them to the nearest the vocabulary has.

        Raises:
            UnknownCharactersError: with ``unknown="error"``, naming each of them.
            RecipeError: a setting is out of its range.
        """
        if length < 0:
            raise RecipeError(f"length must be a whole number from 0 up, not {length!r}.")
        read = readable(self.text.apply(prefix), self.vocabulary, unknown)
        return self._stream(read, length, decoding or Decoding(), seed)

    def generate(
        self,
        prefix: str = "",
        *,
        length: int = 200,
        decoding: Decoding | None = None,
        seed: int | None = None,
        unknown: str = "error",
    ) -> str:
        """Return `prefix` and its continuation; the arguments are those of `stream`."""
        written = self.stream(prefix, length=length, decoding=decoding, seed=seed, unknown=unknown)
        return prefix + "".join(written)

    def _stream(
        self, read: str, length: int, decoding: Decoding, seed: int | None
    ) -> Iterator[str]:
        generator = np.random.default_rng(fresh_seed() if seed is None else seed)
        state = self.network.start()
        if "\n" in self.vocabulary:
            read = "\n" + read
        elif not read and length:
            # Nothing to read, not even a line's beginning: start as often as the text does.
            counts = np.array(self.vocabulary.counts[1:], dtype=np.float64)
            first = 1 + generator.choice(len(counts), p=counts / counts.sum())
            read = self.vocabulary.decode([first])
            yield read
            length -= 1
        logits = np.empty(0, dtype=np.float32)
        for character in self.vocabulary.encode(read):
            logits = self.network.step(state, np.array([character]))
        for position in range(length):
            chosen = choose(logits[0], decoding, generator)
            yield self.vocabulary.decode([chosen])
            if position + 1 < length:
                logits = self.network.step(state, np.array([chosen]))


def fresh_seed() -> int:
    """Return a seed that was not used before, short enough to type."""
    return secrets.randbelow(2**32)


def choose(logits: Array, decoding: Decoding, generator: np.random.Generator) -> int:
    """Draw the next character's id from ``[V]`` logits; never `<unk>`.

    Temperature first, then top-k, then top-p, then one uniform number through the inverse of the
    cumulative distribution.
    """
    logits = logits.copy()
    logits[UNKNOWN] = -np.inf
    if decoding.temperature == 0:
        return int(logits.argmax())
    # Subtracting the maximum first: a tiny temperature then gives -inf and 0, never inf - inf.
    logits -= logits.max()
    logits /= np.float32(decoding.temperature)
    if 0 < decoding.top_k < len(logits) - 1:
        least = np.partition(logits, -decoding.top_k)[-decoding.top_k]
        logits[logits < least] = -np.inf
    np.exp(logits, out=logits)
    if decoding.top_p < 1:
        _keep_nucleus(logits, decoding.top_p)
    cumulative = np.cumsum(logits, dtype=np.float64)
    drawn = generator.random() * cumulative[-1]
    return int(np.searchsorted(cumulative, drawn, side="right"))


def _keep_nucleus(weights: Array, top_p: float) -> None:
    """In place: zero all but the likeliest characters that together reach `top_p`."""
    order = np.argsort(-weights, kind="stable")
    reached = np.cumsum(weights[order], dtype=np.float64)
    kept = int(np.searchsorted(reached, top_p * reached[-1])) + 1
    weights[order[kept:]] = 0.0


def readable(prefix: str, vocabulary: Vocabulary, unknown: str) -> str:
    """Return `prefix` as the model can read it.

    Args:
        prefix: normalised.
        vocabulary: the model's.
        unknown: see `Sampler.stream`. A character that nothing in the vocabulary resembles is
            read as ``<unk>`` when mapping.

    Raises:
        UnknownCharactersError: with ``"error"``, naming each character that the model has never
            seen and what the vocabulary has in its place.
        RecipeError: `unknown` is none of the three.
    """
    if unknown not in ("error", "skip", "map"):
        raise RecipeError(f"unknown must be error, skip or map, not {unknown!r}.")
    strangers = {
        character: lookalike(character, vocabulary)
        for character in prefix
        if character not in vocabulary
    }
    if not strangers:
        return prefix
    if unknown == "skip":
        return "".join(character for character in prefix if character not in strangers)
    if unknown == "map":
        # What resembles nothing stays as it is, and the vocabulary reads it as <unk>.
        return "".join(strangers.get(character) or character for character in prefix)
    named = [
        f"{_shown(character)} (it has {_shown(instead)})" if instead else _shown(character)
        for character, instead in strangers.items()
    ]
    raise UnknownCharactersError(
        f"The model has never seen {', '.join(named)} of the prefix. Change the prefix, or let "
        "--unknown skip leave such characters out, or --unknown map put what is nearest in their "
        "place."
    )


_PUNCTUATION = {
    ",": "，、", ".": "。．", "!": "！", "?": "？", ":": "：", ";": "；", "(": "（", ")": "）",
    '"': "“”「『", "'": "‘’", "~": "～", "-": "—–", " ": "\u3000\n", "…": "⋯", "—": "-–",
    "，": "、, ", "。": ".\n", "、": "， ", "“": '"「', "”": '"」', "‘": "'", "’": "'",
    "「": "“", "」": "”", "《": "〈", "》": "〉", "\u3000": " ", "\t": " ", "\n": " ",
}  # fmt: skip


def lookalike(character: str, vocabulary: Vocabulary) -> str | None:
    """Return what the vocabulary has in the place of `character`: another width, case or form."""
    candidates: list[str] = [
        unicodedata.normalize("NFKC", character),
        character.swapcase(),
        *_PUNCTUATION.get(character, ""),
    ]
    if "!" <= character <= "~":
        candidates.append(chr(ord(character) + 0xFEE0))  # the full-width forms
        candidates.append(chr(ord(character.swapcase()) + 0xFEE0))
    folded = unicodedata.normalize("NFKC", character)
    candidates.append(folded.swapcase())
    # é -> e: the letter without its marks.
    candidates.append(unicodedata.normalize("NFKD", character)[:1])
    for candidate in candidates:
        if candidate and all(part in vocabulary for part in candidate):
            return candidate
    return None


def _shown(text: str) -> str:
    """Quote for a message; what does not print is shown by its code point."""
    if text.isprintable() and not text.isspace():
        return f"'{text}'"
    return " ".join(f"U+{ord(character):04X}" for character in text)
