"""What a run remembers of its text, as a page has it.

The grams are packed level by level, and of each level, with G grams of C contexts and S different
shares among them, one array after the other, little-endian:

    different    ``[S]`` float32: these shares, ascending
    shares       ``[G]``: which of them each gram has
    symbols      ``[G]``: the last character of each
    followers    ``[C]``: how many grams begin with each context

Whole numbers have as few bytes as the largest of an array needs. What each context keeps follows
from the shares, see `charlstm.model.recall.counting.Level.of`. Nothing is rounded: a text has few
different shares, because most of its grams come once or twice, and so do most contexts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.counting import Level
from charlstm.model.recall.measured import strength_of
from charlstm.model.recall.recall import Recall

MOST_GRAMS = 1_000_000
"""A page has no more: a million take five megabytes of it, more than the weights of most models."""


@dataclass(frozen=True)
class Grams:
    """The grams that a page has.

    Attributes:
        levels: of 1, 2, ... characters; none where the run keeps none.
        left_out: how many longer ones the run has.
    """

    levels: tuple[Level, ...] = ()
    left_out: int = 0

    @classmethod
    def of(cls, recall: Recall) -> "Grams":
        """Return the grams of a recall that have room: of the shortest ones, all of a length."""
        if recall.ngram is None:
            return cls()
        levels = recall.ngram.levels
        sums = np.cumsum([len(level.symbols) for level in levels])
        # Without those of one character there is nothing to be blended with.
        kept = max(int(np.searchsorted(sums, MOST_GRAMS, side="right")), 1)
        return cls(levels[:kept], int(sums[-1] - sums[kept - 1]))

    @property
    def number(self) -> int:
        """How many there are."""
        return sum(len(level.symbols) for level in self.levels)

    @property
    def longest(self) -> int:
        """Of how many characters the longest are."""
        return len(self.levels)


def pack_recall(recall: Recall, share: float) -> tuple[dict[str, Any], bytes]:
    """Return what a page is told of what its network is blended with, and its grams.

    Args:
        recall: of the run.
        share: of the n-gram model where nothing is read yet, above 0 to 1.
    """
    grams = Grams.of(recall)
    packed = [_packed(level) for level in grams.levels]
    unpredicted = [] if recall.unpredicted is None else np.flatnonzero(recall.unpredicted).tolist()
    told = {
        "share": share if packed else 0.0,
        "strength": strength_of(share),
        "discount": recall.pull.discount,
        "pulls": list(recall.pull.pulls),
        "line": recall.line,
        "unpredicted": unpredicted,
        "levels": [told for told, _ in packed],
        "grams": grams.number,
        "left_out": grams.left_out,
    }
    return told, b"".join(data for _, data in packed)


def _packed(level: Level) -> tuple[dict[str, Any], bytes]:
    """Return what the page is told of a level, and the level."""
    different, which = np.unique(level.shares, return_inverse=True)
    wholes = [_narrow(one) for one in (which, level.symbols, np.diff(level.starts))]
    told = {
        "different": len(different),
        "grams": len(level.symbols),
        "bytes": [one.itemsize for one in wholes],
    }
    return told, b"".join(one.tobytes() for one in (different.astype("<f4"), *wholes))


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in as few bytes as they need."""
    largest = int(numbers.max(initial=0))
    return numbers.astype(np.min_scalar_type(largest).newbyteorder("<"))
