"""Where parts of one text, the compared one, appear in another that is far longer.

So it is the compared text that is indexed, anew each time, and the other that is scanned. Each
n-gram of it gets a number, its name, and each place of the other text where it appears gets the
same. The name of an (n+1)-gram follows from that of its first n characters and its last character:
so the places grow fewer from n to n+1, and as names stand for characters and not for hashes, two
n-grams are never taken for the same one.
"""

import bisect
import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.text.corpus import code_points

SHORTEST, LONGEST = 4, 12
"""The least and the greatest n of the n-grams that are counted."""

# The training text is scanned a piece at a time, so that temporary arrays stay small.
_PIECE = 1 << 20
# Comes between two texts and after the last. It is no code point, so no training text has it.
_BORDER = 0x110000
# Odd, so that multiplying by it modulo 2^64 loses nothing; 2^64 and 2^32 over the golden ratio.
_FACTOR = 0x9E3779B97F4A7C15
_SHORT_FACTOR = 0x9E3779B1
# A string whose rarest n-gram has more places than this is looked for in the whole text.
_PLACES = 64
# After this many compared characters, partial results are returned: a few seconds' worth.
_EFFORT = 10**9
# A comparison counts as this many more, however short it is.
_COMPARISON = 500

_Numbers = NDArray[np.uint32]
_Indices = NDArray[np.int64]
_Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Compared:
    """The texts to look for, as one.

    Attributes:
        text: all of them, with a meaningless character after each.
        codes: their code points, with `_BORDER` after each text.
        starts: where each begins.
        given: for every character, where what was written begins in the text it belongs to.
    """

    text: str
    codes: _Numbers
    starts: list[int]
    given: _Indices

    @classmethod
    def of(cls, texts: Sequence[str], given: Sequence[int]) -> "Compared":
        """Join `texts`, each of which begins with `given` characters that were not written."""
        lengths = [len(text) + 1 for text in texts]
        starts = [0, *itertools.accumulate(lengths)]
        joined = "".join(text + "\n" for text in texts)
        codes = code_points(joined).copy()
        codes[np.array(starts[1:], np.int64) - 1] = _BORDER
        firsts = np.array(starts[:-1], np.int64) + np.array(given, np.int64)
        return cls(joined, codes, starts[:-1], np.repeat(firsts, lengths))


class Matcher:
    """A text in which parts of others are looked for; takes 4 bytes a character besides it.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._codes = code_points(text)
        self._followers: _Followers | None = None

    def compare(self, compared: Compared) -> tuple[_Indices, "_Stretches"]:
        """Return the largest n <= 12 of the n-grams found at each character, and the 12-grams.

        An n below 4 is reported as 0.
        """
        codes = compared.codes
        longest = np.zeros(len(codes), np.int64)
        alphabet = np.unique(codes)
        # 0: a character that the compared text does not have.
        ids = np.zeros(_BORDER + 1, np.uint32)
        ids[alphabet] = np.arange(1, len(alphabet) + 1)
        base = len(alphabet) + 1

        # Where its n-grams appear, and their names: in the compared text, and in each piece of
        # the training text. An id is the name of a 1-gram.
        at = np.arange(len(codes))
        names = ids[codes]
        pieces = [(places, ids[self._codes[places]]) for places in self._candidates(codes)]
        for n in range(2, LONGEST + 1):
            inside = at + n <= len(codes)
            at, names = at[inside], names[inside]
            index = _Names(_keys(names, base, ids[codes[at + n - 1]]))
            appears = np.zeros(len(index), np.bool_)
            for number, (places, have) in enumerate(pieces):
                fit = np.searchsorted(places, len(self._codes) - n, side="right")
                places, have = places[:fit], have[:fit]
                have, hit = index.find(_keys(have, base, ids[self._codes[places + (n - 1)]]))
                pieces[number] = places[hit], have[hit]
                appears[have[hit]] = True
            kept = appears[index.names]
            at, names = at[kept], index.names[kept]
            if n >= SHORTEST:
                longest[at] = n
        return longest, _Stretches(at, names, pieces)

    def _candidates(self, codes: _Numbers) -> Iterator[_Numbers]:
        """Yield, for each piece, the places whose 4-gram can be among the compared ones."""
        bits = min(max((16 * len(codes)).bit_length(), 10), 22)
        table = np.zeros(1 << bits, np.bool_)
        table[_slots(codes, bits)] = True
        for start in range(0, len(self._codes), _PIECE):
            piece = self._codes[start : start + _PIECE + SHORTEST - 1]
            places = np.flatnonzero(table[_slots(piece, bits)]).astype(np.uint32)
            yield places + np.uint32(start)

    def spans(
        self, compared: Compared, longest: _Indices, stretches: "_Stretches", most: int
    ) -> list[tuple[int, int]]:
        """Return start and end of what the text has too and cannot be extended on either side.

        Args:
            compared: what was compared.
            longest: see `compare`.
            stretches: see `compare`.
            most: how many of the longest must be among them.

        Returns:
            The longest first, then in the order of the compared text.
        """
        # What reaches no further than something that began before it is only a part of that.
        reach = np.arange(len(longest)) + longest
        before = np.concatenate(([0], np.maximum.accumulate(reach)[:-1]))[: len(reach)]
        short = np.flatnonzero((longest > 0) & (longest < LONGEST) & (reach > before))
        spans = list(self._long_spans(compared, stretches, most))
        spans += zip(short.tolist(), reach[short].tolist(), strict=True)
        return sorted(spans, key=lambda span: (span[0] - span[1], span[0]))

    def followers(self, passage: str, known: int | None = None) -> str:
        """Return every character that follows `passage` in the text, each once, sorted.

        Its places are found by its last `known` characters, by all of it where ``None``. Only
        another number needs another order.
        """
        known = len(passage) if known is None else known
        followers = self._followers
        if followers is None or followers.length != known:
            # Lets go of the old order before the new one is made; another thread may ask meanwhile.
            followers = self._followers = None
            followers = self._followers = _Followers(self._text, self._codes, known)
        return followers.after(passage)

    def _long_spans(
        self, compared: Compared, stretches: "_Stretches", most: int
    ) -> Iterator[tuple[int, int]]:
        """Yield start and end of passages of 12 characters and more: at least the `most` longest.

        A passage may go on from one compared character to the next where the 12-grams at both
        appear in the training text; where one of them does not, no passage goes on. The stretches
        without such a gap are searched from the longest, and as most are a single passage, few of
        them need be.
        """
        seen: set[str] = set()
        told: set[str] = set()
        lengths: list[int] = []  # a heap of the `most` longest
        search = _Search(self._text, compared, stretches)
        for first, last in stretches.spans():
            if len(lengths) == most and lengths[0] > last - first:
                return
            stretch = compared.text[first:last]
            if last <= compared.given[first] or stretch in seen:
                continue
            if first >= compared.given[first]:
                seen.add(stretch)
            for start, end in search.passages(first, last):
                yield start, end
                passage = compared.text[start:end]
                if end > compared.given[start] and passage not in told:
                    told.add(passage)
                    heapq.heappush(lengths, end - start)
                    if len(lengths) > most:
                        heapq.heappop(lengths)


class _Names:
    """Numbers for keys, such that equal keys have equal numbers.

    Args:
        keys: as many as there are places; `names` are their numbers.
    """

    def __init__(self, keys: _Keys) -> None:
        # The product is the key in another form: its first bits spread the keys over the table,
        # and no two keys become one.
        values, names = np.unique(keys * np.uint64(_FACTOR), return_inverse=True)
        self.names = names.astype(np.uint32)
        bits = min(max((2 * len(values)).bit_length(), 1), 20)
        self._shift = np.uint64(64 - bits)
        counts = np.bincount((values >> self._shift).astype(np.int64), minlength=1 << bits)
        # Where the values with the same first bits begin, and at the end where the last ones end.
        self._first = np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)
        # One more, so that there is something to read after the last.
        self._values = np.concatenate((values, values[-1:]))

    def __len__(self) -> int:
        return max(len(self._values) - 1, 0)

    def find(self, keys: _Keys) -> tuple[_Numbers, NDArray[np.bool_]]:
        """Return the name of each key, and whether it has one."""
        if not len(self):
            return np.zeros(len(keys), np.uint32), np.zeros(len(keys), np.bool_)
        values = keys * np.uint64(_FACTOR)
        slots = (values >> self._shift).astype(np.int64)
        names = self._first[slots]
        hit = self._values[names] == values
        # Where several share their first bits, it may be one of the others.
        rest = np.flatnonzero(~hit & (self._first[slots + 1] > names + 1))
        names[rest] = np.searchsorted(self._values[:-1], values[rest])
        hit[rest] = self._values[names[rest]] == values[rest]
        return names, hit


class _Stretches:
    """Where 12-grams of the compared text appear in the training text.

    Args:
        at: the places in the compared text, ascending.
        names: the name of the 12-gram at each.
        pieces: the places in the training text and the names there.
    """

    def __init__(
        self, at: _Indices, names: _Numbers, pieces: list[tuple[_Numbers, _Numbers]]
    ) -> None:
        self._at = at
        self._names = names
        have = np.concatenate([have for _, have in pieces] or [np.zeros(0, np.uint32)])
        self._order = np.argsort(have, kind="stable")
        places = [places for places, _ in pieces] or [np.zeros(0, np.uint32)]
        self._places = np.concatenate(places)
        counts = np.bincount(have, minlength=int(names.max(initial=0)) + 1)
        self._ends = np.cumsum(counts)
        self._counts = counts[names]

    def spans(self) -> list[tuple[int, int]]:
        """Return where each stretch without a gap begins and ends, the longest first."""
        gaps = np.flatnonzero(np.diff(self._at) > 1)
        firsts = self._at[np.concatenate(([0], gaps + 1))] if len(self._at) else self._at
        lasts = self._at[np.concatenate((gaps, [-1]))] if len(self._at) else self._at
        spans = zip(firsts.tolist(), (lasts + LONGEST).tolist(), strict=True)
        return sorted(spans, key=lambda span: (span[0] - span[1], span[0]))

    def rarest(self, start: int, end: int) -> tuple[int, int, int]:
        """Return which 12-gram within a stretch appears in the fewest places.

        Returns:
            How far after `start` it begins, and the two arguments with which `places` says where.
        """
        first = int(np.searchsorted(self._at, start))
        behind = int(np.argmin(self._counts[first : first + end - start - LONGEST + 1]))
        last = int(self._ends[self._names[first + behind]])
        return behind, last - int(self._counts[first + behind]), last

    def places(self, first: int, last: int) -> list[int]:
        """Return places in the training text, ascending."""
        places: list[int] = self._places[self._order[first:last]].tolist()
        return places


class _Search:
    """Finds the passages of a stretch by asking of some of its parts whether they were copied."""

    def __init__(self, text: str, compared: Compared, stretches: _Stretches) -> None:
        self._text = text
        self._compared = compared.text
        self._stretches = stretches
        self._effort = _EFFORT

    def passages(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each passage of the stretch, from left to right.

        What begins later ends no earlier, and any part of something copied was copied: so ends
        and starts are found by bisection.
        """
        start = first
        while self._effort > 0:
            end = last
            if not self._copied(start, last):

                def ends_at(end: int, start: int = start) -> bool:
                    return not self._copied(start, end + 1)

                ends = range(start + LONGEST, last - 1)
                end = ends.start + bisect.bisect_left(ends, True, key=ends_at)
            yield start, end
            if end == last:
                return

            def goes_on(start: int, end: int = end) -> bool:
                return self._copied(start, end + 1)

            starts = range(start + 1, end - LONGEST + 1)
            start = starts.start + bisect.bisect_left(starts, True, key=goes_on)

    def _copied(self, start: int, end: int) -> bool:
        if self._effort <= 0:
            return False
        self._effort -= _COMPARISON
        wanted = self._compared[start:end]
        behind, first, last = self._stretches.rarest(start, end)
        if last - first <= _PLACES:
            return any(
                place >= behind and self._text.startswith(wanted, place - behind)
                for place in self._stretches.places(first, last)
            )
        # Comparing at each place could cost their number times the length; this cannot.
        self._effort -= len(self._text)
        return wanted in self._text


class _Followers:
    """The places of a text in the order of the hash of the `length` characters there.

    Args:
        text: the text.
        codes: its code points.
        length: that of the passages whose followers are wanted.
    """

    def __init__(self, text: str, codes: _Numbers, length: int) -> None:
        self.length = length
        self._text = text
        self._frequent: dict[str, str] = {}
        # A place and the first bits of its hash share one number, so sorting is all it takes.
        count = max(len(text) - length, 0)
        self._bits = max(count.bit_length(), 1)
        self._mask = (1 << self._bits) - 1
        self._sorted = np.empty(count, np.uint64)
        for start in range(0, count, _PIECE):
            size = min(_PIECE, count - start)
            hashes = np.zeros(size, np.uint64)
            for further in range(start, start + length):
                hashes += codes[further : further + size]
                hashes *= np.uint64(_FACTOR)
            hashes &= np.uint64(2**64 - 1 - self._mask)
            hashes |= np.arange(start, start + size, dtype=np.uint64)
            self._sorted[start : start + size] = hashes
        self._sorted.sort()

    def after(self, passage: str) -> str:
        """Return the characters that follow `passage`, of `length` or more, each once, sorted."""
        if passage in self._frequent:
            return self._frequent[passage]
        value = 0
        before = len(passage) - self.length
        for character in passage[before:]:
            value = (value + ord(character)) * _FACTOR % 2**64
        limits = np.array([value & ~self._mask, value | self._mask], np.uint64)
        # No place has all bits set: there are fewer places than that.
        first, last = np.searchsorted(self._sorted, limits).tolist()
        places: list[int] = (self._sorted[first:last] & np.uint64(self._mask)).tolist()
        text, length = self._text, self.length
        # Another passage may have the same bits, so the characters themselves are compared.
        characters = {
            text[place + length]
            for place in places
            if place >= before and text.startswith(passage, place - before)
        }
        followers = "".join(sorted(characters))
        if len(places) > _PLACES:
            self._frequent[passage] = followers
        return followers


def _slots(codes: _Numbers, bits: int) -> _Numbers:
    """Return `bits` bits for each 4-gram."""
    count = max(len(codes) - SHORTEST + 1, 0)
    slots = np.zeros(count, np.uint32)
    for further in range(SHORTEST):
        slots += codes[further : further + count]
        slots *= np.uint32(_SHORT_FACTOR)
    slots >>= np.uint32(32 - bits)
    return slots


def _keys(names: _Numbers, base: int, ids: _Numbers) -> _Keys:
    """Return numbers that stand for the names of n-grams and the characters after them."""
    return names.astype(np.uint64) * np.uint64(base) + ids
