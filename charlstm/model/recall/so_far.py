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

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import Real, add_few

LENGTHS = (0, 1, 2, 3, 4, 6, 9, 14, 20)
"""Of how many characters the contexts are; K of them."""

LONGEST = LENGTHS[-1]

REACH = 1000
"""How many characters back what followed is counted."""

_LEVELS = len(LENGTHS)
# Of so many characters that are alike, the number of the longest context among them.
_LEVEL = np.searchsorted(LENGTHS, np.arange(LONGEST + 1), side="right") - 1
_LEVEL_OF: list[int] = _LEVEL.tolist()


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
        counts: ``[N, V]``: how often each character is among `ids`.
        most: how many characters any stream has.
    """

    ids: NDArray[np.int32]
    alike: NDArray[np.int8]
    counts: NDArray[np.float32]
    most: int

    def take(self, streams: Sequence[int] | NDArray[np.integer[Any]]) -> "Said":
        """Return an independent copy whose stream k stands where stream ``streams[k]`` does."""
        rows = np.asarray(streams, dtype=np.intp)
        return Said(self.ids[rows], self.alike[rows], self.counts[rows], self.most)

    def part(self, streams: slice) -> "Said":
        """Return some of the streams, in the same memory."""
        return Said(self.ids[streams], self.alike[streams], self.counts[streams], self.most)


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
        np.stack([said.counts[stream] for said, stream in streams]),
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
        shape, V = (streams, self.reach), self.vocabulary_size
        return Said(
            np.full(shape, V, dtype=np.int32),
            np.zeros(shape, dtype=np.int8),
            np.zeros((streams, V), dtype=np.float32),
            0,
        )

    def step(self, said: Said, ids: Sequence[int]) -> None:
        """Read one character in each stream, N of them; `said` moves on."""
        n, column = said.most, np.array(ids, dtype=np.int32)
        if n:
            before, alike = said.ids[:, -n:], said.alike[:, -n:]
            # The text before a character, and that character, against the text up to now: one
            # more place that is alike, or none. It stands one place to the left from now on.
            alike += alike < LONGEST
            alike *= before == column[:, None]
        if n == self.reach:
            self._count(said, said.ids[:, 0].tolist(), -1)
        self._count(said, ids, 1)
        said.most = n = min(n + 1, self.reach)
        said.ids[:, -n:-1] = said.ids[:, self.reach - n + 1 :]
        said.ids[:, -1] = column
        if self.end is not None and self.end in ids:
            self._forget(said, np.flatnonzero(column == self.end))

    def _count(self, said: Said, ids: Sequence[int], by: int) -> None:
        for counts, character in zip(said.counts, ids, strict=True):
            if character < self.vocabulary_size:
                counts[character] += by

    def _forget(self, said: Said, ended: NDArray[np.intp]) -> None:
        said.ids[ended] = self.vocabulary_size
        said.alike[ended] = 0
        said.counts[ended] = 0
        if len(ended) == len(said.ids):
            said.most = 0

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
        if len(expected) == 1:
            left = _add_to_one(expected[0], said, pull, strength, float(ending[0]))
        else:
            left = _add_to_many(expected, said, pull, strength, ending)
        if self.end is not None:
            expected[:, self.end] += (left * ending).astype(expected.dtype)


def _add_to_one(
    expected: NDArray[Any], said: Said, pull: Pull, strength: float, ending: float
) -> Real:
    """Add all but the end; return how much is added in all, ``[1]``. See `SoFar.add_to`.

    Few characters are alike: numbers are faster than arrays of few.
    """
    n, counts = said.most, said.counts[0].astype(expected.dtype, copy=False)
    alike = said.alike[0, -n:]
    places = alike.astype(bool).nonzero()[0]
    ids = said.ids[0, -n:].take(places)
    pairs = Counter(zip(ids.tolist(), alike.take(places).tolist(), strict=True))
    every, different, longest = [0] * _LEVELS, [0] * _LEVELS, dict[int, int]()
    for (character, length), number in pairs.items():
        level = _LEVEL_OF[length]
        every[level] += number
        if longest.get(character, 0) < level:
            longest[character] = level
    for level in longest.values():
        different[level] += 1
    every, different = _at_least(every), _at_least(different)
    signs, ones = np.sign(counts), np.ones_like(counts)
    every[0], different[0] = int(counts @ ones), int(signs @ ones)
    keep, adds = _balance_one(every, different, pull)
    least, D = adds[0], pull.discount
    shares = {character: D * (least - adds[level]) for character, level in longest.items()}
    for (character, length), number in pairs.items():
        shares[character] += number * (adds[_LEVEL_OF[length]] - least)
    signs *= -D
    signs += counts
    signs *= strength * (1 - ending) * least
    expected *= 1 - strength * (1 - keep)
    expected += signs
    add_few(expected, shares, strength * (1 - ending))
    return np.array([strength * (1 - keep)])


def _at_least(exactly: list[int]) -> list[int]:
    """Return how often each length or a longer one is there, by how often each is."""
    return list(accumulate(reversed(exactly)))[::-1]


def _balance_one(every: list[int], different: list[int], pull: Pull) -> tuple[float, list[float]]:
    """Return what `balance` does, of one stream and up to the longest context that came before."""
    later, adds = 1.0, list[float]()
    known = [one for one in zip(every, different, pull.pulls, strict=True) if one[0]]
    for T, U, held in reversed(known):
        total = T + held
        adds.append(later / total)
        later *= (held + pull.discount * U) / total
    return later, list(accumulate(reversed(adds))) or [0.0]


def _add_to_many(
    expected: NDArray[Any], said: Said, pull: Pull, strength: float, ending: Real
) -> Real:
    """Add all but the end; return how much is added in all, ``[N]``. See `SoFar.add_to`."""
    N, V, n = *expected.shape, said.most
    places = np.flatnonzero(said.alike[:, -n:] != 0)
    rows, columns = places // n, places % n - n
    level = _LEVEL[said.alike[rows, columns]]
    # In order, what followed the longest context stands last of its like.
    alike = np.sort((rows * V + said.ids[rows, columns]) * _LEVELS + level)
    which, level = np.divmod(alike, _LEVELS)
    is_last = np.ones(len(which), dtype=bool)
    is_last[:-1] = which[1:] != which[:-1]
    within = which // V * _LEVELS + level
    counts, signs = said.counts, np.sign(said.counts)

    def at_least(those: NDArray[np.intp], of_all: NDArray[Any]) -> Real:
        exactly = np.bincount(those, minlength=N * _LEVELS).reshape(N, _LEVELS)
        longer = np.cumsum(exactly[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
        longer[:, 0] = of_all
        return longer

    tally = Tally(
        at_least(within, counts.sum(axis=1)), at_least(within[is_last], signs.sum(axis=1))
    )
    keep, adds = balance(tally, pull)
    adds *= strength * (1 - ending)[:, None]
    weights, D = adds[:, :1].astype(expected.dtype), pull.discount
    expected *= (1 - strength * (1 - keep))[:, None].astype(expected.dtype)
    expected += counts * weights
    expected -= signs * (weights * expected.dtype.type(D))
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
