"""The song so far: what it has said already, it may say again.

In a context that the song has had before, what followed there is expected once more, as in the
Pitman-Yor processes of Teh 2006, "A Hierarchical Bayesian Language Model based on Pitman-Yor
Processes". Contexts of a few lengths are looked at. With ``n_k(w)`` how often ``w`` followed the
k-th of them so far, ``T_k`` how often anything did, and ``U_k`` how many different characters did,

    p_k(w) = (n_k(w) - D [n_k(w) > 0] + (pull_k + D U_k) p_(k-1)(w)) / (T_k + pull_k)

where that context came before; else ``p_k = p_(k-1)``. Below the first is p, what the model expects
without the song. The whole is linear in it: ``keep p + add``.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import Real

LENGTHS = (0, 1, 2, 3, 4, 6, 9, 14, 20)
"""Of how many characters the contexts are; K of them."""

LONGEST = LENGTHS[-1]

REACH = 1000
"""How many characters back what followed is counted."""

_LEVELS = len(LENGTHS)
# Of so many characters that are alike, the number of the longest context among them.
_LEVEL = np.searchsorted(LENGTHS, np.arange(LONGEST + 1), side="right") - 1


@dataclass(frozen=True)
class Pull:
    """How strongly a text holds to what it expects, against what the song has said.

    Attributes:
        discount: D, from 0 to below 1.
        pulls: ``[K]``: of contexts of each length: how many characters the song must have said
            there to count as much as all that was expected.
    """

    discount: float
    pulls: tuple[float, ...]


@dataclass
class Said:
    """What N streams have read of their songs, the newest character last.

    Attributes:
        ids: ``[N, reach]``; V where there is nothing yet.
        alike: ``[N, reach]``: with how many characters, `LONGEST` at most, the text before each one
            ends as the text does now.
        most: how many characters any stream has.
    """

    ids: NDArray[np.int32]
    alike: NDArray[np.int8]
    most: int

    def take(self, streams: Sequence[int] | NDArray[np.integer[Any]]) -> "Said":
        """Return an independent copy whose stream k stands where stream ``streams[k]`` does."""
        rows = np.asarray(streams, dtype=np.intp)
        return Said(self.ids[rows], self.alike[rows], self.most)


@dataclass(frozen=True)
class Tally:
    """How often what followed a stream's last characters; see the head of this file.

    Attributes:
        all: ``[N, K]``: T of contexts of each length.
        different: ``[N, K]``: U of each.
    """

    all: NDArray[Any]
    different: NDArray[Any]


def balance(tally: Tally, pull: Pull) -> tuple[Real, Real]:
    """Return by what the expectation without the song is multiplied, and what each count adds.

    Returns:
        keep, ``[N]``, and what a character adds to its own probability that was said once, where
        the longest context that it followed is of each length, ``[N, K]``.
    """
    pulls = np.array(pull.pulls)
    known = tally.all > 0
    total = np.where(known, tally.all + pulls, 1.0)
    left = np.where(known, (pulls + pull.discount * tally.different) / total, 1.0)
    # What the longer contexts leave to each, and to what is expected without the song.
    through = np.asarray(np.cumprod(left[:, ::-1], axis=1)[:, ::-1], dtype=np.float64)
    later = np.ones_like(left)
    later[:, :-1] = through[:, 1:]
    adds: Real = np.cumsum(np.where(known, later / total, 0.0), axis=1)
    return through[:, 0], adds


def gathered(streams: Sequence[tuple[Said, int]]) -> Said:
    """Return what streams of different moments have said, side by side."""
    return Said(
        np.stack([said.ids[stream] for said, stream in streams]),
        np.stack([said.alike[stream] for said, stream in streams]),
        max(said.most for said, _ in streams),
    )


class SoFar:
    """What streams have said so far.

    Args:
        vocabulary_size: V.
        end: the id of the mark between songs, with which everything is forgotten; ``None`` for a
            text of one piece.
        reach: how many characters back are counted.
    """

    def __init__(self, vocabulary_size: int, end: int | None = None, reach: int = REACH) -> None:
        self.vocabulary_size = vocabulary_size
        self.end = end
        self.reach = reach

    def start(self, streams: int = 1) -> Said:
        """Return what N streams have said before any character."""
        shape = (streams, self.reach)
        return Said(
            np.full(shape, self.vocabulary_size, dtype=np.int32), np.zeros(shape, dtype=np.int8), 0
        )

    def step(self, said: Said, ids: Sequence[int]) -> None:
        """Read one character in each stream, N of them; `said` moves on."""
        n, column = said.most, np.array(ids, dtype=np.int32)
        if n:
            before, alike = said.ids[:, -n:], said.alike[:, -n:]
            # The text before a character, and that character, against the text up to now: one
            # more place that is alike, or none. It stands one place to the left from now on.
            alike += 1
            alike *= before == column[:, None]
            np.minimum(alike, LONGEST, out=alike)
        said.most = n = min(n + 1, self.reach)
        said.ids[:, -n:-1] = said.ids[:, self.reach - n + 1 :]
        said.ids[:, -1] = column
        if self.end is not None and self.end in ids:
            ended = np.flatnonzero(column == self.end)
            said.ids[ended] = self.vocabulary_size
            said.alike[ended] = 0
            if len(ended) == len(said.ids):
                said.most = 0

    def tally(self, said: Said) -> "tuple[Tally, NDArray[np.bool_]]":
        """Count what followed the streams' last characters.

        Returns:
            The counts, and for each of the last ``said.most`` characters whether it is the one that
            stands for all its like: of those that have followed the longest context, the newest.
        """
        N, n, V = len(said.ids), said.most, self.vocabulary_size
        ids, alike = said.ids[:, -n:], said.alike[:, -n:]
        is_said = ids < V
        rows = np.arange(N)[:, None]
        place = (rows * (V + 1) + ids).reshape(-1)
        rank = (alike.astype(np.int32) * n + np.arange(n, dtype=np.int32)).reshape(-1)
        best = np.full(N * (V + 1), -1, dtype=np.int32)
        np.maximum.at(best, place, rank)
        stands = (best[place] == rank).reshape(N, n) & is_said
        level = (rows * _LEVELS + _LEVEL[alike]).reshape(-1)

        def at_least(weights: NDArray[np.bool_]) -> Real:
            exactly = np.bincount(level, weights.reshape(-1), N * _LEVELS)
            counts = np.cumsum(exactly.reshape(N, -1)[:, ::-1], axis=1)[:, ::-1]
            return np.asarray(counts, dtype=np.float64)

        return Tally(at_least(is_said), at_least(stands)), stands

    def add_to(self, expected: Real, said: Said, pull: Pull, strength: float = 1.0) -> None:
        """Turn what is expected without the songs into what is with them, in place.

        Args:
            expected: ``[N, V]``.
            said: what the songs have said.
            pull: of the text.
            strength: how much of the difference is made, from 0 to 1.
        """
        N, n, V = len(said.ids), said.most, self.vocabulary_size
        if not n:
            return
        tally, stands = self.tally(said)
        keep, adds = balance(tally, pull)
        expected *= 1 - strength * (1 - keep[:, None])
        ids, rows = said.ids[:, -n:], np.arange(N)[:, None]
        shares = strength * adds[rows, _LEVEL[said.alike[:, -n:]]]
        shares *= 1.0 - pull.discount * stands
        place = (rows * (V + 1) + ids).reshape(-1)
        added = np.bincount(place, shares.reshape(-1), N * (V + 1))
        expected += added.reshape(N, V + 1)[:, :V]


@dataclass(frozen=True)
class Followed:
    """How often each character of a text had followed what was before it.

    Attributes:
        tally: of what was before, ``[N, K]`` each.
        same: ``[N, K]``: n(w): how often it was the character itself.
    """

    tally: Tally
    same: NDArray[Any]

    def weigh(self, pull: Pull) -> tuple[Real, Real]:
        """Return by what each character's probability is multiplied, and what is added, ``[N]``."""
        keep, adds = balance(self.tally, pull)
        each = np.diff(adds, axis=1, prepend=0.0)
        own = self.same - pull.discount * (self.same > 0)
        return keep, np.einsum("nk,nk->n", each, own)


def follow(so_far: SoFar, ids: NDArray[np.integer[Any]]) -> Followed:
    """Count for every character of a text but the first what had followed what is before it.

    Args:
        so_far: how far back is counted, and what ends a song.
        ids: ``[N]`` the text, N >= 2, without anything that is never predicted.
    """
    # Contexts are slices of a string: the fastest keys there are.
    text = "".join(map(chr, np.asarray(ids).tolist()))
    end = None if so_far.end is None else chr(so_far.end)
    shape = (len(text) - 1, _LEVELS)
    every, different, same = (np.zeros(shape, dtype=np.int32) for _ in range(3))
    followed: defaultdict[str, dict[str, int]] = defaultdict(dict)
    totals: defaultdict[str, int] = defaultdict(int)
    begin = 0
    for now, character in enumerate(text):
        contexts = _contexts(text, begin, now)
        for level, context in enumerate(contexts if now else ()):
            if not (total := totals[context]):
                break
            row = followed[context]
            every[now - 1, level], different[now - 1, level] = total, len(row)
            same[now - 1, level] = row.get(character, 0)
        if character == end:
            followed.clear()
            totals.clear()
            begin = now + 1
            continue
        for context in contexts:
            totals[context] += 1
            row = followed[context]
            row[character] = row.get(character, 0) + 1
        if (old := now - so_far.reach) >= begin:
            _forget(_contexts(text, begin, old), text[old], followed, totals)
    return Followed(Tally(every, different), same)


def _contexts(text: str, begin: int, now: int) -> list[str]:
    """Return the contexts of the character at `now`, in a song that begins at `begin`."""
    return [text[now - length : now] for length in LENGTHS if now - length >= begin]


def _forget(
    contexts: list[str],
    character: str,
    followed: dict[str, dict[str, int]],
    totals: dict[str, int],
) -> None:
    """Take what followed at one place off the counts."""
    for context in contexts:
        row = followed[context]
        totals[context] -= 1
        row[character] -= 1
        if not row[character]:
            del row[character]
        if not row:
            del followed[context], totals[context]
