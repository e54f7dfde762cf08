"""The draw: from logits to the next character, for many streams at once."""

import secrets
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from charlstm.checks import check_whole
from charlstm.errors import RecipeError, Setting
from charlstm.model.cells import Array
from charlstm.text.vocabulary import UNKNOWN
from charlstm.writing.decoding import COLD, Decoding

# Uniform numbers are drawn this many at a time: a call to the generator costs as much for one.
_BLOCK = 256
# For many streams the weights are summed in groups of this many; see `Drawer.all`.
_GROUP = 32


class Drawer:
    """Draws one character a step for each of N streams, through buffers made once.

    Args:
        decoding: how.
        vocabulary_size: V.
        streams: how many there may be at most.
    """

    def __init__(self, decoding: Decoding, vocabulary_size: int, streams: int = 1) -> None:
        self._decoding = decoding
        groups = -(-vocabulary_size // _GROUP)
        # Whole groups: the places past the vocabulary keep a weight of 0.
        self._weights = np.zeros((streams, groups * _GROUP), dtype=np.float32)
        self._ones = np.ones(_GROUP, dtype=np.float32)

    def one(self, logits: Array, uniform: float) -> int:
        """Draw by a uniform number from ``[1, V]`` float32 logits, which are overwritten.

        Never ``<unk>``.

        Raises:
            RecipeError: every character is ruled out.
        """
        row = logits[0]
        row[UNKNOWN] = -np.inf
        if self._decoding.temperature < COLD:
            likeliest = int(row.argmax())
            check_left(row[likeliest])
            return likeliest
        cumulative = self._weigh(logits)[0].cumsum(dtype=np.float64)
        return int(cumulative.searchsorted(uniform * cumulative[-1], side="right"))

    def all(self, logits: Array, uniforms: NDArray[np.float64]) -> NDArray[np.intp]:
        """Draw by N uniform numbers from ``[N, V]`` float32 logits, which are overwritten.

        N is at most `streams`. A cumulative sum cannot be vectorised, a sum can: so the group that
        the uniform number falls into is found from the groups' sums, and only that group is summed
        up step by step.

        Raises:
            RecipeError: every character of a stream is ruled out.
        """
        logits[:, UNKNOWN] = -np.inf
        if self._decoding.temperature < COLD:
            likeliest: NDArray[np.intp] = logits.argmax(axis=1)
            check_left(logits.max(axis=1).min())
            return likeliest
        groups = self._weigh(logits).reshape(len(logits), -1, _GROUP)
        sums = (groups @ self._ones).cumsum(axis=1, dtype=np.float64)
        drawn = uniforms * sums[:, -1]
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
        weights = self._weights[: len(logits), : logits.shape[1]]
        # The maximum first: a tiny temperature then gives exp(-inf) = 0, never inf - inf.
        highest = logits.max(axis=1, keepdims=True)
        # Reducing one number takes as long as reducing many.
        check_left(highest[0, 0] if len(logits) == 1 else highest.min())
        np.subtract(logits, highest, out=weights)
        if decoding.temperature != 1:
            weights /= np.float32(decoding.temperature)
        if 0 < decoding.top_k < logits.shape[1] - 1:
            _keep_likeliest(weights, decoding.top_k)
        np.exp(weights, out=weights)
        if decoding.top_p < 1:
            for row in weights:
                _keep_nucleus(row, decoding.top_p)
        if decoding.min_p > 0:
            weights[weights < np.float32(decoding.min_p)] = 0.0  # the likeliest has a weight of 1
        return self._weights[: len(logits)]


def check_left(highest: np.floating) -> None:
    """Check that something may follow.

    Args:
        highest: of the logits.

    Raises:
        RecipeError: nothing may.
    """
    if highest == -np.inf:
        raise RecipeError(
            "No character is left that may follow: ",
            Setting("no_repeat"),
            ", ",
            Setting("max_copy"),
            " or another processor has ruled out every one. Allow longer passages.",
        )


def choose(logits: Array, decoding: Decoding, generator: np.random.Generator) -> int:
    """Draw the next character's id from ``[V]`` logits; never ``<unk>``.

    Temperature first, then top-k, top-p and min-p, then one uniform number through the inverse of
    the cumulative distribution.
    """
    return Drawer(decoding, len(logits)).one(logits.copy()[None], generator.random())


def uniforms(generators: list[np.random.Generator]) -> Iterator[NDArray[np.float64]]:
    """Yield a number in [0, 1) from each generator, again and again."""
    while True:
        yield from np.stack([rng.random(_BLOCK) for rng in generators], axis=1)


def first_seed(seed: int | None) -> int:
    """Return a seed that was asked for, or a random one for ``None``.

    Raises:
        RecipeError: it is no whole number from 0.
    """
    if seed is None:
        return fresh_seed()
    check_whole("seed", seed, 0)
    return seed


def fresh_seed() -> int:
    """Return a random seed, short enough to type."""
    return secrets.randbelow(2**32)


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
