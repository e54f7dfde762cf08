"""How strongly a text holds to what it expects, found on the training text itself.

Each of a few stretches of the training text is predicted by an n-gram model of the rest, as a text
that was never read would be, and the pulls are those with which what the song has said so far
helps most there. Nothing that is held out is looked at.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.counting import count_levels
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.ngram import NGram, Real
from charlstm.model.recall.so_far import Followed, Pull, SoFar, Tally, follow

# Of each fifth of the text so many characters are looked at.
_STRETCHES = 5
_STRETCH = 6_000
# A longer text loses so little with all of them that it is counted once, without any.
_LONG = 10 * _STRETCHES * _STRETCH
# Each stretch of a shorter text has a character at most, of which nothing is to be learned.
_LEAST_TEXT = 2 * _STRETCHES
# Pulls are tried between e^-3, a twentieth of a character, and e^14, a million: never.
_LEAST, _MOST = -3.0, 14.0
_BEGIN = Pull(0.5, tuple(float(np.exp(max(10 - 1.5 * k, 1.0))) for k in LENGTHS))


def fit_pull(
    ids: NDArray[np.integer[Any]],
    vocabulary_size: int,
    *,
    order: int,
    end: int | None = None,
    unpredicted: NDArray[np.bool_] | None = None,
) -> Pull:
    """Return the pull with which a text predicts its own songs best.

    Args:
        ids: ``[N]`` the training text, without anything that is never predicted. Of fewer than ten
            characters nothing can be left out, and a usual pull is returned.
        vocabulary_size: V.
        order: of the n-gram model.
        end: the id of the mark between songs.
        unpredicted: ``[V]``: the ids that are never predicted.
    """
    ids = np.asarray(ids)
    stretches = _stretches(ids, end)
    if len(ids) < _LEAST_TEXT or not stretches:
        return _BEGIN
    apart = [list(stretches)] if len(ids) > _LONG else [[stretch] for stretch in stretches]
    so_far = SoFar(vocabulary_size, end)
    expected: list[Real] = []
    followed: list[Followed] = []
    for left_out in apart:
        rest = np.ones(len(ids), dtype=bool)
        for start, stop in left_out:
            rest[start:stop] = False
        levels = count_levels(ids[rest], vocabulary_size, order=order, end=end)
        ngram = NGram(levels, vocabulary_size, end, unpredicted)
        for start, stop in left_out:
            text = ids[start:stop]
            # The end of a song is as likely with it as without.
            counted = np.ones(len(text) - 1, dtype=bool) if end is None else text[1:] != end
            expected.append(ngram.probabilities(text)[counted])
            followed.append(follow(so_far, text).part(counted))
    tally = Tally(
        np.concatenate([part.tally.all for part in followed]),
        np.concatenate([part.tally.different for part in followed]),
    )
    same = np.concatenate([part.same for part in followed])
    return _best(Followed(tally, same), np.concatenate(expected))


def _stretches(ids: NDArray[np.integer[Any]], end: int | None) -> list[tuple[int, int]]:
    """Return where a few stretches of the text begin and end; of songs, where songs do."""
    borders = [len(ids) * k // _STRETCHES for k in range(_STRETCHES + 1)]
    if end is not None:
        marks = np.flatnonzero(ids == end)
        if len(marks) > _STRETCHES:
            near = np.searchsorted(marks, borders[1:-1])
            borders[1:-1] = marks[np.minimum(near, len(marks) - 1)].tolist()
    pairs = ((start, min(stop, start + _STRETCH)) for start, stop in itertools.pairwise(borders))
    return [(start, stop) for start, stop in pairs if stop - start > 1]


class _Search:
    """The loss of some text under a pull, quick to find again when one number has changed.

    Only the places where a context came before are looked at, of which there are fewer the longer
    it is; and when the pull of a context changes, what the shorter ones expect does not.
    """

    def __init__(self, followed: Followed, expected: Real) -> None:
        self._levels = []
        for length in range(len(LENGTHS)):
            known = np.flatnonzero(followed.tally.all[:, length])
            self._levels.append(
                (
                    known,
                    followed.tally.all[known, length].astype(np.float64),
                    followed.tally.different[known, length].astype(np.float64),
                    followed.same[known, length].astype(np.float64),
                )
            )
        self._expected = [expected]
        self.pull = _BEGIN
        self.lowest, found = self._try(_BEGIN, 0)
        self._expected += found

    def _try(self, pull: Pull, first: int) -> tuple[float, list[Real]]:
        """Return the loss, and what is expected with each context from the `first` one on."""
        expected = self._expected[first]
        found = []
        for length in range(first, len(LENGTHS)):
            known, every, different, same = self._levels[length]
            D, strength = pull.discount, pull.pulls[length]
            shares = same - D * (same > 0) + (strength + D * different) * expected[known]
            expected = expected.copy()
            expected[known] = shares / (every + strength)
            found.append(expected)
        return -float(np.log(expected).mean()), found

    def move(self, place: int, by: float) -> bool:
        """Move one number if that is better, and say whether it is."""
        tried, first = _moved(self.pull, place, by), max(place, 0)
        loss, found = self._try(tried, first)
        if loss > self.lowest - 1e-6:
            return False
        self.pull, self.lowest = tried, loss
        self._expected[first + 1 :] = found
        return True


def _best(followed: Followed, expected: Real) -> Pull:
    """Search one number after the other, in ever smaller steps."""
    search, step = _Search(followed, expected), 2.0
    while step > 0.2:
        moved = [
            search.move(place, sign * step)
            for place, sign in itertools.product(range(-1, len(LENGTHS)), (1.0, -1.0))
        ]
        if not any(moved):
            step /= 2
    return search.pull


def _moved(pull: Pull, place: int, by: float) -> Pull:
    """Return a pull with one number moved: the discount, or the logarithm of one of the pulls."""
    if place < 0:
        return Pull(float(np.clip(pull.discount + by / 10, 0.0, 0.95)), pull.pulls)
    pulls = list(pull.pulls)
    pulls[place] = float(np.exp(np.clip(np.log(pulls[place]) + by, _LEAST, _MOST)))
    return Pull(pull.discount, tuple(pulls))
