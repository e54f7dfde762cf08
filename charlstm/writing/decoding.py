"""From logits to the next character: the settings, what may change the logits, and the draw.

A processor is any function of what was written and of the ``[V]`` logits of what comes next, which
it changes in place; ``-inf`` rules a character out. It remembers nothing, so a text can be branched
or taken back without telling it.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checks import check_real, check_whole
from charlstm.model.cells import Array
from charlstm.text.letters import last_letter, last_letters, number_of_letters, parting
from charlstm.text.vocabulary import UNKNOWN, Vocabulary

Processor = Callable[[str, Array], None]
"""Called with the text so far and the logits of the next character.

The text begins with the prefix, normalised but otherwise as it was given: a processor sees what a
person sees, including the characters that the model has never seen.
"""

COLD = 1e-6
"""Below this a temperature is zero: dividing by it could only overflow."""

# A loop is a passage three times in a row, with at least this many characters in all: "la la la"
# may stay, and so may "。。。". Passages of up to a third of what is looked at are found.
_LOOP_TIMES = 3
_LOOP_CHARACTERS = 12
_LOOKED_AT = 600
# A passage is searched for by its last characters.
_ENDING = 8
# A song that is drawn comes upon what it has said more often than one that somebody thought of,
# and what it remembers then leads it on. Half a line is what people say again without meaning to,
# and so are a few characters.
_NO_ACCIDENT = 4
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
        no_repeat: never write n characters in a row that the text has already; with 0 a model that
            remembers what it has written says half a line again at most, see `processors`, and any
            other whatever it likes.
        allow_loops: do not lead out of passages that come three times in a row, and do not hold
            what is said again to half a line.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    no_repeat: int = 0
    allow_loops: bool = False

    def __post_init__(self) -> None:
        check_real("temperature", self.temperature, 0, 100)
        check_whole("top_k", self.top_k, 0)
        check_real("top_p", self.top_p, 0, 1, above=True)
        check_real("min_p", self.min_p, 0, 1)
        check_whole("no_repeat", self.no_repeat, 0)

    def processors(self, vocabulary: Vocabulary, line: int = 0) -> tuple[Processor, ...]:
        """Return the processors that `no_repeat` and `allow_loops` ask for.

        Args:
            vocabulary: of the logits.
            line: of how many characters a line is, where the model remembers what it has written;
                no more than half of one comes again.
        """
        chosen: list[Processor] = []
        most = self.no_repeat
        if line and not most and not self.allow_loops:
            most = max(line // 2, _NO_ACCIDENT) + 1
        if most:
            chosen.append(NoRepeat(most, vocabulary, gives_way=not self.no_repeat))
        if not self.allow_loops:
            chosen.append(NoLoops(vocabulary))
        return tuple(chosen)


IN_DECODING = {part.name: f"decoding=Decoding({part.name}=...)" for part in fields(Decoding)}
"""How its parts are said where a whole `Decoding` is asked for."""


def without(ids: NDArray[np.intp]) -> Processor:
    """Return what rules some ids out everywhere."""
    # With a number it takes a third of the time, at every character.
    chosen = int(ids[0]) if len(ids) == 1 else ids

    def rule_out(_written: str, logits: Array) -> None:
        logits[chosen] = -np.inf

    return rule_out


class NoRepeat:
    """Rules out what would write the same n characters a second time.

    Args:
        n: how many, from 1.
        vocabulary: of the logits.
        gives_way: whether they may be written again where nothing else is left.
    """

    def __init__(self, n: int, vocabulary: Vocabulary, *, gives_way: bool = False) -> None:
        check_whole("no_repeat", n, 1)
        self._n = n
        self._vocabulary = vocabulary
        self._gives_way = gives_way

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out in place; see `Processor`."""
        known = self._n - 1
        if len(written) < known:
            return
        last = written[len(written) - known :]
        followers = set()
        at = written.find(last)
        while 0 <= at < len(written) - known:
            followers.add(written[at + known])
            at = written.find(last, at + 1)
        if followers:
            again = self._vocabulary.encode("".join(followers))
            _rule_out(again, logits, gives_way=self._gives_way)


class MaxCopy:
    """Rules out what would copy more than a given number of letters in a row.

    Args:
        most: how many letters, as people see them, may be copied, from 1.
        followers: returns every character that follows a passage in what must not be copied, as
            `charlstm.evaluation.novelty.TrainingText.followers` does.
        vocabulary: of the logits.
    """

    def __init__(self, most: int, followers: Callable[[str], str], vocabulary: Vocabulary) -> None:
        check_whole("max_copy", most, 1)
        self._most = most
        self._followers = followers
        self._vocabulary = vocabulary

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out in place; see `Processor`."""
        passage = last_letters(written, self._most)
        if number_of_letters(passage) < self._most:
            return
        # What belongs to the last letter makes the passage no longer.
        copied_on = parting(last_letter(passage), self._followers(passage))
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
            _rule_out(self._vocabulary.encode(written[-period]), logits, gives_way=True)


def _rule_out(ids: NDArray[np.integer[Any]], logits: Array, *, gives_way: bool) -> None:
    """Rule some ids out in place, unless nothing else is left and they give way to that."""
    kept = logits[ids]
    logits[ids] = -np.inf
    if gives_way and logits[UNKNOWN + 1 :].max(initial=-np.inf) == -np.inf:
        logits[ids] = kept


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
    at = text.rfind(ending, begin, end - 1)
    while at >= 0:
        period = end - _ENDING - at
        span = max(_LOOP_TIMES * period, _LOOP_CHARACTERS)
        if span > end - begin:
            return 0
        if text[end - span : end - period] == text[end - span + period : end]:
            return period
        at = text.rfind(ending, begin, at + _ENDING - 1)
    return 0
