"""The song so far: what it has said already, it may say again.

In a context that the song has had before, what followed there is expected once more, as in the
Pitman-Yor processes of Teh 2006, "A Hierarchical Bayesian Language Model based on Pitman-Yor
Processes". Contexts of a few lengths are looked at. With ``n_k(w)`` how often ``w`` followed the
k-th of them so far, ``T_k`` how often anything did, and ``U_k`` how many different characters did,

    p_k(w) = (n_k(w) - D [n_k(w) > 0] + (pull_k + D U_k) p_(k-1)(w)) / (T_k + pull_k)

where that context came before; else ``p_k = p_(k-1)``. Below the first is p, what the model expects
without the song. The whole is linear in it: ``keep p + add``.

A song has never said its own end, and would put it off with all that it has said. So of what is
added the end has the share that the n-gram model gives it, and all else what that leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.followers import LENGTHS, LONGEST, Followers
from charlstm.model.recall.ngram import Real, memory_of

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
        ids: ``[N, LONGEST + reach]``; V where there is nothing yet.
        counts: ``[N, V]``: how often each character is among the last `reach`.
        most: how many of those any stream has.
        alike: ``[N, reach]``: with how many characters, `LONGEST` at most, the text before each one
            ends as the text does now. ``None`` where it is not known: it follows from `ids`.
        followers: of a stream that is alone. ``None`` where they are not known: they follow from
            `ids` too, but not soon, so what was one of many is reckoned with as many are.
    """

    ids: NDArray[np.int32]
    counts: NDArray[np.float32]
    most: int
    alike: NDArray[np.int8] | None = None
    followers: Followers | None = None

    @property
    def is_alone(self) -> bool:
        """Whether this is one stream, of which there are followers, or can be."""
        return self.alike is None and len(self.ids) == 1

    def take(self, streams: Sequence[int] | NDArray[np.integer[Any]]) -> "Said":
        """Return an independent copy whose stream k stands where stream ``streams[k]`` does."""
        rows = np.asarray(streams, dtype=np.intp)
        alike = None if self.alike is None else self.alike[rows]
        return Said(self.ids[rows], self.counts[rows], self.most, alike)

    def part(self, streams: slice) -> "Said":
        """Return some of the streams, in the same memory."""
        if len(self.ids[streams]) == len(self.ids):
            return self
        alike = None if self.alike is None else self.alike[streams]
        return Said(self.ids[streams], self.counts[streams], self.most, alike)


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
    alike = [said.alike[stream] for said, stream in streams if said.alike is not None]
    return Said(
        np.stack([said.ids[stream] for said, stream in streams]),
        np.stack([said.counts[stream] for said, stream in streams]),
        max(said.most for said, _ in streams),
        np.stack(alike) if len(alike) == len(streams) else None,
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
        V = self.vocabulary_size
        ids = np.full((streams, LONGEST + self.reach), V, dtype=np.int32)
        return Said(ids, np.zeros((streams, V), dtype=np.float32), 0)

    def step(self, said: Said, ids: Sequence[int]) -> None:
        """Read one character in each stream, N of them; `said` moves on."""
        column = np.array(ids, dtype=np.int32)
        if said.is_alone:
            self._followers(said).read(ids[0])
        elif n := said.most:
            alike = self._alike(said)[:, -n:]
            # The text before a character, and that character, against the text up to now: one
            # more place that is alike, or none. It stands one place to the left from now on.
            alike += alike < LONGEST
            alike *= said.ids[:, -n:] == column[:, None]
        if said.most == self.reach:
            self._count(said, said.ids[:, LONGEST].tolist(), -1)
        self._count(said, ids, 1)
        said.most = n = min(said.most + 1, self.reach)
        said.ids[:, -n - LONGEST : -1] = said.ids[:, self.reach - n + 1 :]
        said.ids[:, -1] = column
        if self.end is not None and self.end in ids:
            self._forget(said, np.flatnonzero(column == self.end))

    def _count(self, said: Said, ids: Sequence[int], by: int) -> None:
        for stream, character in enumerate(ids):
            if character < self.vocabulary_size:
                said.counts[stream, character] += by

    def _forget(self, said: Said, ended: NDArray[np.intp]) -> None:
        said.ids[ended] = self.vocabulary_size
        if said.alike is not None:
            said.alike[ended] = 0
        said.counts[ended] = 0
        if len(ended) == len(said.ids):
            said.most = 0

    def _followers(self, said: Said) -> Followers:
        """Return what followed what in the only stream."""
        if said.followers is None:
            said.followers = Followers(self.end, self.reach)
            ids = said.ids[0]
            for character in ids[ids < self.vocabulary_size].tolist():
                said.followers.read(character)
        return said.followers

    def _alike(self, said: Said) -> NDArray[np.int8]:
        """Return with how many characters each text before ends as the text does now."""
        if said.alike is None:
            ids, now = said.ids, said.ids.shape[1]
            said.alike = np.zeros((len(ids), self.reach), dtype=np.int8)
            is_alike = np.ones(said.alike.shape, dtype=bool)
            for back in range(1, LONGEST + 1):
                last = ids[:, -back, None]
                is_alike &= ids[:, LONGEST - back : now - back] == last
                is_alike &= last < self.vocabulary_size
                said.alike += is_alike
        return said.alike

    def add_to(
        self,
        expected: NDArray[Any],
        said: Said,
        pull: Pull,
        strength: float = 1.0,
        ending: Real | None = None,
    ) -> None:
        """Turn what is expected without the songs into what is with them, in place.

        Args:
            expected: ``[N, V]``, in float32 or float64.
            said: what the songs have said.
            pull: of the text.
            strength: how much of the difference is made, from 0 to 1.
            ending: ``[N]``: how likely the n-gram model finds the end of each song; ``None`` where
                there is none.
        """
        if not said.most:
            return
        if ending is None or self.end is None:
            ending = np.zeros(len(expected))
        if said.is_alone:
            self.add_to_one(expected[0], said, pull, strength, float(ending[0]))
            return
        left = _add_to_many(expected, said, self._alike(said), pull, strength, ending)
        if self.end is not None:
            expected[:, self.end] += (left * ending).astype(expected.dtype)

    def add_to_one(
        self, expected: NDArray[Any], said: Said, pull: Pull, strength: float, ending: float
    ) -> None:
        """Do what `add_to` does, for a stream that is alone.

        Few characters followed the longer contexts: numbers are faster than arrays of few.

        Args:
            expected: ``[V]``, in float32 or float64, in one piece.
            said: what its song has said, see `Said.is_alone`.
            pull: of the text.
            strength: how much of the difference is made, from 0 to 1.
            ending: how likely the n-gram model finds the end of the song; 0 where there is none.
        """
        followers, D = self._followers(said), pull.discount
        rows = followers.here
        keep, weights = 1.0, list[float]()
        for k in range(len(rows) - 1, -1, -1):
            # The shortest context was followed by all that was said.
            total = pull.pulls[k] + (sum(rows[k].values()) if k else len(followers))
            weights.append(strength * (1 - ending) * keep / total)
            keep *= (pull.pulls[k] + D * len(rows[k])) / total
        expected *= 1 - strength * (1 - keep)
        if rows:
            expected += _discounted(said.counts[0], weights.pop(), D, expected.dtype)
        numbers = memory_of(expected)
        for row, weight in zip(rows[1:], reversed(weights), strict=True):
            for character, number in row.items():
                numbers[character] += weight * (number - D)
        if self.end is not None:
            numbers[self.end] += strength * (1 - keep) * ending


def _discounted(
    counts: NDArray[Any], weights: Any, discount: float, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return how often each character was said, less the discount, times a weight."""
    rest: NDArray[Any] = np.subtract(counts, discount, dtype=dtype)
    np.maximum(rest, 0, out=rest)
    rest *= weights
    return rest


def _add_to_many(
    expected: NDArray[Any],
    said: Said,
    alike: NDArray[np.int8],
    pull: Pull,
    strength: float,
    ending: Real,
) -> Real:
    """Add all but the end; return how much is added in all, ``[N]``. See `SoFar.add_to`."""
    N, V, n = *expected.shape, said.most
    places = np.flatnonzero(alike[:, -n:] != 0)
    rows, columns = places // n, places % n - n
    level = _LEVEL[alike[rows, columns]]
    # In order, what followed the longest context stands last of its like.
    which = np.sort((rows * V + said.ids[rows, columns]) * _LEVELS + level)
    which, level = np.divmod(which, _LEVELS)
    is_last = np.ones(len(which), dtype=bool)
    is_last[:-1] = which[1:] != which[:-1]
    within = which // V * _LEVELS + level

    def at_least(those: NDArray[np.intp], of_all: NDArray[Any]) -> Real:
        exactly = np.bincount(those, minlength=N * _LEVELS).reshape(N, _LEVELS)
        longer = np.cumsum(exactly[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
        longer[:, 0] = of_all
        return longer

    tally = Tally(
        at_least(within, said.counts.sum(axis=1)),
        at_least(within[is_last], np.count_nonzero(said.counts, axis=1)),
    )
    keep, adds = balance(tally, pull)
    adds *= strength * (1 - ending)[:, None]
    D = pull.discount
    expected *= (1 - strength * (1 - keep))[:, None].astype(expected.dtype)
    weights = adds[:, :1].astype(expected.dtype)
    expected += _discounted(said.counts, weights, D, expected.dtype)
    if len(which):
        shares = (adds - adds[:, :1]).reshape(-1)[within] * (1 - D * is_last)
        ends = np.flatnonzero(is_last)
        sums = np.add.reduceat(shares, np.append(0, ends[:-1] + 1))
        expected[which[ends] // V, which[ends] % V] += sums
    return strength * (1 - keep)


@dataclass(frozen=True)
class Followed:
    """How often each character of a text had followed what was before it.

    Attributes:
        tally: of what was before, ``[N, K]`` each.
        same: ``[N, K]``: n(w): how often it was the character itself.
    """

    tally: Tally
    same: NDArray[Any]

    def part(self, places: NDArray[np.bool_]) -> "Followed":
        """Return the same of some of the characters."""
        tally = Tally(self.tally.all[places], self.tally.different[places])
        return Followed(tally, self.same[places])

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
    text = np.asarray(ids).tolist()
    every, different, same = (np.zeros((len(text) - 1, _LEVELS), np.int32) for _ in range(3))
    followers = Followers(so_far.end, so_far.reach)
    followers.read(text[0])
    for place, character in enumerate(text[1:]):
        for level, row in enumerate(followers.here):
            every[place, level] = sum(row.values()) if level else len(followers)
            different[place, level] = len(row)
            same[place, level] = row.get(character, 0)
        followers.read(character)
    return Followed(Tally(every, different), same)
