"""Modified Kneser-Ney: how often what follows what in a text, as shares of probability.

Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling". With ``c``
a context, ``c'`` the same without its first character and ``w`` what follows,

    p(w | c) = (n(c w) - D(n(c w))) / n(c) + kept(c) p(w | c'),    kept(c) = sum_w D(n(c w)) / n(c)

down to the uniform distribution. ``n`` is the number of times in the text for the longest contexts,
and for all others the number of different characters that the text has before ``c w``; what a song
begins with has nothing before it and is counted as often as it comes. ``D`` is one discount for
what was counted once, one for twice, one for more often.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """What follows the contexts of one length, k - 1 characters.

    The contexts are numbered as the grams of the level below are, which end with them; what follows
    the same context stands together, by ascending id.

    Attributes:
        symbols: ``[G]``: the last character of each gram of k characters.
        shares: ``[G]``: ``(n(c w) - D(n(c w))) / n(c)`` of each.
        starts: ``[C + 1]``: where what follows each context begins.
        kept: ``[C]``: what each context leaves to the next shorter one, all that its shares lack of
            1.
    """

    symbols: NDArray[np.unsignedinteger[Any]]
    shares: NDArray[np.floating[Any]]
    starts: NDArray[np.unsignedinteger[Any]]
    kept: NDArray[np.floating[Any]]

    @classmethod
    def of(
        cls,
        symbols: NDArray[np.unsignedinteger[Any]],
        shares: NDArray[np.floating[Any]],
        starts: NDArray[np.unsignedinteger[Any]],
    ) -> "Level":
        """Return a level from what it is stored as."""
        contexts = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        kept = 1 - np.bincount(contexts, shares, len(starts) - 1)
        return cls(symbols, shares, starts, np.clip(kept, 0, 1).astype(shares.dtype))


def count_levels(
    ids: NDArray[np.integer[Any]],
    vocabulary_size: int,
    *,
    order: int,
    end: int | None = None,
    most: int | None = None,
    dtype: type[np.floating[Any]] = np.float32,
) -> list[Level]:
    """Count the grams of a text of up to `order` characters.

    Args:
        ids: ``[N]`` the text, N >= 1, without anything that is never predicted.
        vocabulary_size: V.
        order: of the longest grams, from 1.
        end: the id of the mark between songs: no gram reaches across one. It is predicted, and it
            is the first character of what a song begins with.
        most: no more grams than this in all: longer ones are left out.
        dtype: of shares.

    Returns:
        The levels of 1 to `order` characters, or fewer if the text has no longer grams, or too
        many.
    """
    levels: list[Level] = []
    contexts = 1
    total = 0
    grams = _grams(np.asarray(ids, dtype=np.int64), vocabulary_size, order, end)
    this = next(grams)
    while True:
        longer = next(grams, None)
        if longer is not None and most is not None and total + this.size + longer.size > most:
            longer = None
        levels.append(_level(this, longer, contexts, vocabulary_size, dtype))
        if longer is None:
            return levels
        contexts, total, this = this.size, total + this.size, longer


@dataclass(frozen=True)
class _Grams:
    """The different grams of one length.

    Attributes:
        keys: ``[G]``, ascending: V times the number of the context, and the last character.
        counts: ``[G]``: how often each comes.
        first: ``[G]``: where each comes first, by its last character.
        at: ``[N]``: the number of the gram that ends at each character; -1 where none does.
    """

    keys: Whole
    counts: Whole
    first: Whole
    at: Whole

    @property
    def size(self) -> int:
        return len(self.keys)


def _grams(ids: Whole, vocabulary_size: int, order: int, end: int | None) -> Iterator[_Grams]:
    """Yield the grams of 1, 2, ... `order` characters, as long as there are any."""
    N = len(ids)
    ends = np.zeros(N, dtype=bool) if end is None else ids == end
    fits = np.ones(N, dtype=bool)  # whether a gram that ends here stays within its song
    at = np.zeros(N, dtype=np.int64)  # the empty one ends everywhere
    for length in range(1, order + 1):
        if length > 1:
            before = np.concatenate(([False], fits[:-1] & (at[:-1] >= 0)))
            if length > 2:
                # Of a context the first character may be the mark, no other.
                before[1:] &= ~ends[:-1]
            fits = before
        places = np.flatnonzero(fits)
        if not len(places):
            return
        contexts = at[places - 1] if length > 1 else np.zeros(len(places), dtype=np.int64)
        keys, first, inverse, counts = np.unique(
            contexts * vocabulary_size + ids[places],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        at = np.full(N, -1, dtype=np.int64)
        at[places] = inverse
        yield _Grams(keys, counts, places[first], at)


def _level(
    grams: _Grams,
    longer: _Grams | None,
    contexts: int,
    vocabulary_size: int,
    dtype: type[np.floating[Any]],
) -> Level:
    """Turn counts into shares."""
    counts = grams.counts
    if longer is not None:
        # In how many ways the grams of this length are the end of a longer one.
        before = np.bincount(grams.at[longer.first], minlength=grams.size)
        counts = np.where(before > 0, before, counts)
    discounts = discount_by_count(counts)[np.minimum(counts, 3)]
    context, symbols = np.divmod(grams.keys, vocabulary_size)
    all_of = np.bincount(context, weights=counts, minlength=contexts)
    followers = np.bincount(context, minlength=contexts)
    return Level.of(
        symbols.astype(np.uint16 if vocabulary_size <= 1 << 16 else np.uint32),
        ((counts - discounts) / all_of[context]).astype(dtype),
        np.concatenate(([0], np.cumsum(followers))).astype(np.uint32),
    )


def discount_by_count(counts: Whole) -> NDArray[np.float64]:
    """Return what is taken off counts of 0, 1, 2 and of 3 and more.

    ``D_j = j - (j + 1) Y n_(j+1) / n_j`` with ``Y = n_1 / (n_1 + 2 n_2)``, where ``n_j`` grams were
    counted j times. A text may have too few grams for that; it is then half of the count.
    """
    n = [int((counts == j).sum()) for j in range(5)]
    discounts = np.zeros(4)
    for j in (1, 2, 3):
        discounts[j] = j / 2
        if n[1] and n[j]:
            Y = n[1] / (n[1] + 2 * n[2])
            estimate = j - (j + 1) * Y * n[j + 1] / n[j]
            if 0 < estimate < j:
                discounts[j] = estimate
    return discounts
