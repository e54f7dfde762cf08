"""From logits to the next character: the settings, what may change the logits, and the draw.

A processor is any function of what was written and of the ``[V]`` logits of what comes next, which
it changes in place; ``-inf`` rules a character out. It remembers nothing, so a text can be branched
or taken back without telling it.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import RecipeError
from charlstm.model.network import Array
from charlstm.recipes.recipe import check_real, check_whole
from charlstm.text.vocabulary import UNKNOWN, Vocabulary

Processor = Callable[[str, Array], None]
"""Called with the text so far and the logits of the next character.

The text begins with the prefix, normalised but otherwise as it was given: a processor sees what a
person sees, including the characters that the model has never seen.
"""

# Below this a temperature is zero: dividing by it could only overflow.
_COLD = 1e-6
# For many streams the weights are summed in groups of this many; see `Drawer.all`.
_GROUP = 32

# A loop is a passage three times in a row, with at least this many characters in all: "la la la"
# may stay, and so may "。。。". Passages of up to a third of what is looked at are found.
_LOOP_TIMES = 3
_LOOP_CHARACTERS = 12
_LOOKED_AT = 600
# A passage is searched for by its last characters.
_ENDING = 8
# Only the text as it was after every eighth character is looked at, so that a loop is remembered
# for a while without remembering anything.
_STRIDE = 8


@dataclass(frozen=True)
class Decoding:
    """How the next character is drawn from the distribution.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest character.
        top_k: draw among the k likeliest only; 0 for all.
        top_p: draw among the likeliest that together reach this probability.
        min_p: draw only among those with at least this share of the likeliest one's probability;
            0 for all.
        no_repeat: never write n characters in a row that the text has already; 0 turns this off.
        allow_loops: do not lead out of passages that come three times in a row.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    no_repeat: int = 0
    allow_loops: bool = False

    def __post_init__(self) -> None:
        check_real("temperature", self.temperature, 0, 100)
        check_whole("top-k", self.top_k, 0)
        check_real("top-p", self.top_p, 0, 1, above=True)
        check_real("min-p", self.min_p, 0, 1)
        check_whole("no-repeat", self.no_repeat, 0)

    def processors(self, vocabulary: Vocabulary) -> tuple[Processor, ...]:
        """Return the processors that `no_repeat` and `allow_loops` ask for."""
        chosen: list[Processor] = []
        if self.no_repeat:
            chosen.append(NoRepeat(self.no_repeat, vocabulary))
        if not self.allow_loops:
            chosen.append(NoLoops(vocabulary))
        return tuple(chosen)


class NoRepeat:
    """Rules out what would write the same n characters a second time.

    Args:
        n: how many, from 1.
        vocabulary: of the logits.
    """

    def __init__(self, n: int, vocabulary: Vocabulary) -> None:
        check_whole("no-repeat", n, 1)
        self._n = n
        self._vocabulary = vocabulary

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out in place; see `Processor`."""
        known = self._n - 1
        if len(written) < known:
            return
        last = written[len(written) - known :]
        followers = set()
        found = written.find(last)
        while 0 <= found < len(written) - known:
            followers.add(written[found + known])
            found = written.find(last, found + 1)
        if followers:
            logits[self._vocabulary.encode("".join(followers))] = -np.inf


class MaxCopy:
    """Rules out what would copy more than a given number of characters in a row.

    Args:
        most: how many may be copied, from 1.
        followers: returns every character that follows a passage in what must not be copied, as
            `charlstm.evaluation.novelty.TrainingText.followers` does.
        vocabulary: of the logits.
    """

    def __init__(self, most: int, followers: Callable[[str], str], vocabulary: Vocabulary) -> None:
        check_whole("max-copy", most, 1)
        self._most = most
        self._followers = followers
        self._vocabulary = vocabulary

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out in place; see `Processor`."""
        if len(written) >= self._most:
            copied_on = self._followers(written[-self._most :])
            logits[self._vocabulary.encode(copied_on)] = -np.inf


class NoLoops:
    """Leads out of a loop: its next character is ruled out, and the temperature raised for a while.

    The highest of the logits after Gumbel noise was added to them is a draw at temperature 1, so
    the noise raises the temperature, whatever it is. It follows from the text alone: a text that
    always takes the likeliest character leaves its loop as well, and in the same way each time.

    Args:
        vocabulary: of the logits.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out and raise in place; see `Processor`."""
        if period := loop_period(written, len(written) - len(written) % _STRIDE):
            seed = zlib.crc32(written.encode("utf-8", "surrogatepass"))
            logits += np.random.default_rng(seed).gumbel(size=len(logits)).astype(np.float32)
            again = self._vocabulary.encode(written[-period])
            kept = logits[again]
            logits[again] = -np.inf
            if logits[UNKNOWN + 1 :].max(initial=-np.inf) == -np.inf:
                logits[again] = kept  # there is nothing else


def loop_period(text: str, end: int | None = None) -> int:
    """Return the length of the passage that ``text[:end]`` ends with three times over, or 0.

    Together the three must have 12 characters; a shorter passage must come more often.
    """
    end = len(text) if end is None else end
    if end < _LOOP_CHARACTERS:
        return 0
    begin = max(end - _LOOKED_AT, 0)
    ending = text[end - _ENDING : end]
    # An earlier place with the same ending says what the passage might be; the nearest first.
    found = text.rfind(ending, begin, end - 1)
    while found >= 0:
        period = end - _ENDING - found
        span = max(_LOOP_TIMES * period, _LOOP_CHARACTERS)
        if span > end - begin:
            return 0
        if text[end - span : end - period] == text[end - span + period : end]:
            return period
        found = text.rfind(ending, begin, found + _ENDING - 1)
    return 0


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
        if self._decoding.temperature < _COLD:
            likeliest = int(row.argmax())
            _check_left(row[likeliest])
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
        if self._decoding.temperature < _COLD:
            likeliest: NDArray[np.intp] = logits.argmax(axis=1)
            _check_left(logits.max(axis=1).min())
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
        _check_left(highest[0, 0] if len(logits) == 1 else highest.min())
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


def _check_left(highest: np.floating) -> None:
    if highest == -np.inf:
        raise RecipeError(
            "No character is left that may follow: --no-repeat, --max-copy or another processor "
            "has ruled out every one. Allow longer passages."
        )


def choose(logits: Array, decoding: Decoding, generator: np.random.Generator) -> int:
    """Draw the next character's id from ``[V]`` logits; never ``<unk>``.

    Temperature first, then top-k, top-p and min-p, then one uniform number through the inverse of
    the cumulative distribution.
    """
    return Drawer(decoding, len(logits)).one(logits.copy()[None], generator.random())


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
