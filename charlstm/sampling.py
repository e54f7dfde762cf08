"""Continuing a prefix, with NumPy alone."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from charlstm.corpus import TextOptions
from charlstm.network import Array, Network
from charlstm.prefix import readable
from charlstm.recipes import check_real, check_whole
from charlstm.vocabulary import UNKNOWN, Vocabulary

# Below this a temperature is zero: dividing by it could only overflow.
_COLD = 1e-6
# For many streams the weights are summed in groups of so many; see `_Drawer.all`.
_GROUP = 32
# Uniform numbers are drawn so many at a time: a call of the generator costs as much for one.
_BLOCK = 256


# The next id of every stream.
Ids = NDArray[np.intp] | tuple[int]


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
        check_real("temperature", self.temperature, 0, 100)
        check_whole("top-k", self.top_k, 0)
        check_real("top-p", self.top_p, 0, 1, above=True)


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
        steps = self._write(prefix, 1, length, decoding, seed, unknown)
        names = ["\ufffd", *self.vocabulary.characters]
        return (names[ids[0]] for ids in steps)

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

    def generate_many(
        self,
        prefix: str = "",
        *,
        samples: int,
        length: int = 200,
        decoding: Decoding | None = None,
        seed: int | None = None,
        unknown: str = "error",
    ) -> list[str]:
        """Return `samples` texts that begin with `prefix`, written side by side.

        Together they cost far less than one after the other, because the streams share their
        matrix products. Sample k draws from a generator of its own, seeded with ``seed + k``.

        Args:
            prefix: see `stream`, as for the others.
            samples: how many, from 1.
            length: of each.
            decoding: of each.
            seed: of the first.
            unknown: see `stream`.

        Raises:
            UnknownCharactersError: as in `stream`.
            RecipeError: a setting is out of its range.
        """
        check_whole("samples", samples, 1)
        steps = list(self._write(prefix, samples, length, decoding, seed, unknown))
        streams = np.array(steps, dtype=np.intp).reshape(len(steps), samples).T
        return [prefix + self.vocabulary.decode(ids) for ids in streams]

    def _write(
        self,
        prefix: str,
        samples: int,
        length: int,
        decoding: Decoding | None,
        seed: int | None,
        unknown: str,
    ) -> Iterator[Ids]:
        """Check what was asked for; return what yields every stream's next id."""
        check_whole("length", length, 0)
        if seed is not None:
            check_whole("seed", seed, 0)
        read = readable(self.text.apply(prefix), self.vocabulary, unknown)
        first = fresh_seed() if seed is None else seed
        generators = [np.random.default_rng(first + k) for k in range(samples)]
        return self._draw(read, length, decoding or Decoding(), generators)

    def _draw(
        self,
        read: str,
        length: int,
        decoding: Decoding,
        generators: list[np.random.Generator],
    ) -> Iterator[Ids]:
        network = self.network
        state = network.start(len(generators))
        if "\n" in self.vocabulary:
            read = "\n" + read
        elif not read and length:
            # Nothing to read, not even a line's beginning: begin as often as the text does.
            counts = np.array(self.vocabulary.counts[1:], dtype=np.float64)
            chances = counts / counts.sum()
            first = np.array([1 + rng.choice(len(chances), p=chances) for rng in generators])
            yield first
            length -= 1
            logits = network.step(state, first)
        for character in self.vocabulary.encode(read):
            logits = network.step(state, int(character))
        draw = _Drawer(decoding, network.vocabulary_size, generators)
        for left in range(length, 0, -1):
            if len(generators) == 1:  # without the arrays, which would cost as much as the sums
                only = draw.one(logits)
                yield (only,)
                if left > 1:
                    logits = network.step(state, only)
            else:
                chosen = draw.all(logits)
                yield chosen
                if left > 1:
                    logits = network.step(state, chosen)


def fresh_seed() -> int:
    """Return a seed that was not used before, short enough to type."""
    return secrets.randbelow(2**32)


def choose(logits: Array, decoding: Decoding, generator: np.random.Generator) -> int:
    """Draw the next character's id from ``[V]`` logits; never ``<unk>``.

    Temperature first, then top-k, then top-p, then one uniform number through the inverse of the
    cumulative distribution.
    """
    return _Drawer(decoding, len(logits), [generator]).one(logits.copy()[None])


class _Drawer:
    """Draws one character a step for each of N streams, through buffers made once."""

    def __init__(
        self, decoding: Decoding, vocabulary_size: int, generators: list[np.random.Generator]
    ) -> None:
        self._decoding = decoding
        self._generators = generators
        groups = -(-vocabulary_size // _GROUP)
        # Whole groups: the places past the vocabulary keep a weight of 0.
        self._weights = np.zeros((len(generators), groups * _GROUP), dtype=np.float32)
        self._ones = np.ones(_GROUP, dtype=np.float32)
        self._uniform: NDArray[np.float64] = np.empty((len(generators), 0))
        self._used = 0

    def one(self, logits: Array) -> int:
        """Draw from ``[1, V]`` logits, which are used up."""
        row = logits[0]
        row[UNKNOWN] = -np.inf
        if self._decoding.temperature < _COLD:
            return int(row.argmax())
        cumulative = self._weigh(logits)[0].cumsum(dtype=np.float64)
        drawn = self._next_uniform()[0] * cumulative[-1]
        return int(cumulative.searchsorted(drawn, side="right"))

    def all(self, logits: Array) -> NDArray[np.intp]:
        """Draw from ``[N, V]`` logits, which are used up.

        A cumulative sum cannot be vectorised, a sum can: so the group that the uniform number
        falls into is found by the groups' sums, and only that group is summed up step by step.
        """
        logits[:, UNKNOWN] = -np.inf
        if self._decoding.temperature < _COLD:
            likeliest: NDArray[np.intp] = logits.argmax(axis=1)
            return likeliest
        groups = self._weigh(logits).reshape(len(logits), -1, _GROUP)
        sums = (groups @ self._ones).cumsum(axis=1, dtype=np.float64)
        drawn = self._next_uniform() * sums[:, -1]
        group = np.count_nonzero(sums <= drawn[:, None], axis=1)
        streams = np.arange(len(logits))
        inside = groups[streams, group].cumsum(axis=1, dtype=np.float64)
        rest = drawn - np.where(group > 0, sums[streams, group - 1], 0.0)
        # Rounding must not lead past the group's last weight that is not 0.
        rest = np.minimum(rest, np.nextafter(inside[:, -1], 0.0))
        chosen: NDArray[np.intp] = group * _GROUP + np.count_nonzero(
            inside <= rest[:, None], axis=1
        )
        return chosen

    def _weigh(self, logits: Array) -> Array:
        """Return every stream's weights, not normalised, ``[N, V and a few zeros]``."""
        decoding = self._decoding
        weights = self._weights[:, : logits.shape[1]]
        # The maximum first: a tiny temperature then gives exp(-inf) = 0, never inf - inf.
        np.subtract(logits, logits.max(axis=1, keepdims=True), out=weights)
        if decoding.temperature != 1:
            weights /= np.float32(decoding.temperature)
        if 0 < decoding.top_k < logits.shape[1] - 1:
            _keep_likeliest(weights, decoding.top_k)
        np.exp(weights, out=weights)
        if decoding.top_p < 1:
            for row in weights:
                _keep_nucleus(row, decoding.top_p)
        return self._weights

    def _next_uniform(self) -> NDArray[np.float64]:
        if self._used == self._uniform.shape[1]:
            self._uniform = np.stack([rng.random(_BLOCK) for rng in self._generators])
            self._used = 0
        self._used += 1
        column: NDArray[np.float64] = self._uniform[:, self._used - 1]
        return column


def _keep_likeliest(logits: Array, top_k: int) -> None:
    """In place: rule out all but the `top_k` likeliest characters of each stream."""
    # Stable, so that among equals the lower id stays, as it does for temperature 0.
    order = np.argsort(-logits, axis=1, kind="stable")
    np.put_along_axis(logits, order[:, top_k:], -np.inf, axis=1)


def _keep_nucleus(weights: Array, top_p: float) -> None:
    """In place: zero all but the likeliest characters that together reach `top_p`."""
    order = np.argsort(-weights, kind="stable")
    reached = np.cumsum(weights[order], dtype=np.float64)
    kept = int(np.searchsorted(reached, top_p * reached[-1])) + 1
    weights[order[kept:]] = 0.0
