"""What is remembered of a training text."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.followers import LONGEST
from charlstm.model.recall.measured import Measured
from charlstm.model.recall.ngram import NGram, Real
from charlstm.model.recall.so_far import Pull, SoFar, follow
from charlstm.text.vocabulary import Ids

MOST_CHARACTERS = 8_000_000
"""Of a longer text so many at its end are counted."""

# What counting was measured to take at most: of a large alphabet, a character of the text.
_COUNTING_BYTES = 210

# A text is measured in pieces of so many characters.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Recall:
    """What is remembered of a training text.

    Attributes:
        vocabulary_size: V.
        pull: how strongly it holds to what it expects, against what the song has said.
        ngram: the model of its grams; ``None`` if they are not kept.
        line: of how many characters a line of the text is, the middle one by length; 0 if it has
            no lines.
        end: the id of the mark between songs; ``None`` for a text of one piece.
        unpredicted: ``[V]``: the ids that are read and never predicted; ``None`` if all are.
    """

    vocabulary_size: int
    pull: Pull
    line: int = 0
    ngram: NGram | None = None
    end: int | None = None
    unpredicted: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def so_far(self) -> SoFar:
        """What counts the song so far."""
        return SoFar(self.vocabulary_size, self.end)

    def measure(self, ids: Ids) -> Measured:
        """Return what this gives to each character of a text but the first.

        Args:
            ids: ``[N]`` the text, N >= 2.
        """
        text = np.asarray(ids[:])
        ngram = None if self.ngram is None else np.zeros(len(text) - 1)
        keep, add = np.ones(len(text) - 1), np.zeros(len(text) - 1)
        # What is counted of the characters before, and the labels that may be among them.
        run_up = 2 * (self.so_far.reach + LONGEST)
        for start in range(0, len(text) - 1, _PIECE):
            first = max(start - run_up, 0)
            piece, skipped = text[first : start + _PIECE + 1], start - first
            here = slice(start, start + len(piece) - 1 - skipped)
            if ngram is not None and self.ngram is not None:
                ngram[here] = self.ngram.probabilities(piece)[skipped:]
            keep[here], add[here] = (part[skipped:] for part in self._said(piece))
        begins = text[:-1] == (-1 if self.end is None else self.end)
        return Measured(ngram, keep, add, begins)

    def _said(self, text: NDArray[np.integer[Any]]) -> tuple[Real, Real]:
        """Return ``keep`` and ``add`` of each character of a text but the first."""
        keep, add = np.ones(len(text)), np.zeros(len(text))
        predicted = np.arange(len(text))
        if self.unpredicted is not None:
            predicted = np.flatnonzero(~self.unpredicted[text])
        if len(predicted) > 1:
            followed = follow(self.so_far, text[predicted])
            keep[predicted[1:]], add[predicted[1:]] = followed.weigh(self.pull)
            if self.ngram is not None and self.end is not None:
                ending = self.ngram.probabilities(text, self.end)
                of_end = (1 - keep[1:]) * ending
                add[1:] = np.where(text[1:] == self.end, of_end, add[1:] * (1 - ending))
        return keep[1:], add[1:]


def counting_bytes(characters: int) -> int:
    """Return about how much memory it takes to learn a text of so many characters."""
    return _COUNTING_BYTES * min(characters, MOST_CHARACTERS)
