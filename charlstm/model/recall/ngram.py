"""The n-gram model of the training text, read one character at a time or over a whole text."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.counting import Level, Whole

Real = NDArray[np.float64]

TINY = 1e-30
"""What has no probability keeps so much of it, so that there is a logarithm."""

SMALL_ALPHABET = 500
"""One of no more characters has words of many; with thousands a word has one or two."""

# Contexts of so many characters, in a small alphabet and in a large one, come so often and are
# followed by so many that what is expected after them is remembered as a whole: a million numbers.
_SHORT = (3, 1)
_MOST_NUMBERS = 1_000_000
# After so many contexts it is remembered how likely the end is.
_MOST_ENDS = 20_000


@dataclass
class Contexts:
    """Where N streams stand: which grams they have just read.

    Attributes:
        nodes: ``[N, K]``: the numbers of the grams of 0, 1, ... K - 1 characters that each stream
            has read last; -1 for those that the training text does not have.
    """

    nodes: Whole

    def take(self, streams: Sequence[int] | slice) -> "Contexts":
        """Return where some of the streams stand; independent of this, unless it is a slice."""
        return Contexts(self.nodes[streams])

    def known(self) -> list[list[int]]:
        """Return of each stream the numbers of those that the training text has."""
        return [
            nodes[: nodes.index(-1)] if nodes[-1] < 0 else nodes for nodes in self.nodes.tolist()
        ]


class NGram:
    """A modified Kneser-Ney model; see `charlstm.model.recall.counting`.

    Args:
        levels: of 1 to K characters.
        vocabulary_size: V.
        end: the id of the mark between songs, which nothing is remembered across; ``None`` for a
            text of one piece.
        unpredicted: ``[V]``: the ids that are never predicted and have no probability; ``None`` if
            all are.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        vocabulary_size: int,
        end: int | None = None,
        unpredicted: NDArray[np.bool_] | None = None,
    ) -> None:
        self.levels = tuple(levels)
        self.vocabulary_size = vocabulary_size
        self.end = end
        self._unpredicted = unpredicted
        first = self.levels[0]
        even = np.ones(vocabulary_size)
        if unpredicted is not None:
            even[unpredicted] = 0
        # What is expected without any context.
        self._alone: Real = even * (float(first.kept[0]) / even.sum())
        self._alone[first.symbols] += first.shares
        # As they are looked up one by one, without making an object of NumPy's each time.
        self._tables = [
            (
                memory_of(np.ascontiguousarray(level.symbols)),
                memory_of(np.ascontiguousarray(level.starts)),
                memory_of(np.ascontiguousarray(level.shares)),
                memory_of(np.ascontiguousarray(level.kept)),
            )
            for level in self.levels
        ]
        self._short = _SHORT[vocabulary_size > SMALL_ALPHABET]
        self._rows: dict[tuple[str, int, int], NDArray[Any]] = {}
        self._ends: dict[tuple[int, int], float] = {}

    def __repr__(self) -> str:
        grams = sum(len(level.symbols) for level in self.levels)
        return f"<NGram: {self.order} characters, {grams:,} grams>"

    @cached_property
    def _keys(self) -> list[Whole]:
        """The grams of each level, see `_keys_of`; made when many streams are read."""
        return [_keys_of(level, self.vocabulary_size) for level in self.levels]

    @property
    def order(self) -> int:
        """K: of how many characters the longest gram is."""
        return len(self.levels)

    def start(self, streams: int = 1) -> Contexts:
        """Return where N streams stand before any character."""
        nodes = np.full((streams, self.order), -1)
        nodes[:, 0] = 0
        return Contexts(nodes)

    def step(self, contexts: Contexts, ids: Sequence[int]) -> Real:
        """Read one character in each stream, N of them; `contexts` moves on.

        Returns:
            ``[N]``: how likely each was.
        """
        if len(ids) == 1:
            return np.array([self._step_one(contexts, ids[0])])
        return self._step_many(contexts.nodes, np.array(ids))

    def _step_one(self, contexts: Contexts, character: int) -> float:
        # Of what was read before a song only the mark is remembered.
        most = min(1, self.order - 1) if character == self.end else self.order - 1
        read, likely, known = [0], float(self._alone[character]), True
        for length, node in enumerate(contexts.known()[0]):
            symbols, starts, shares, kept = self._tables[length]
            if length:
                likely *= kept[node]
            if not known:
                continue  # what the text does not have is in nothing longer either
            stop = starts[node + 1]
            at = bisect_left(symbols, character, starts[node], stop)
            known = at < stop and symbols[at] == character
            if known and length:
                likely += shares[at]
            if known and length < most:
                read.append(at)
        contexts.nodes[0, : len(read)] = read
        contexts.nodes[0, len(read) :] = -1
        return likely

    def _step_many(self, nodes: Whole, ids: Whole) -> Real:
        likely = self._alone[ids]
        found = ids
        for length, (level, keys) in enumerate(zip(self.levels, self._keys, strict=True)):
            before = nodes[:, length].copy()
            # What has been read is found one level further up from now on.
            if length:
                nodes[:, length] = found
                likely *= np.where(before >= 0, level.kept[before], 1.0)
            found = _found(keys, before * self.vocabulary_size + ids)
            if length:
                likely += np.where(found >= 0, level.shares[found], 0.0)
        if self.end is not None:
            nodes[ids == self.end, 2:] = -1
        return likely

    def expected(self, contexts: Contexts) -> Real:
        """Return the distribution of the next character in each stream, ``[N, V]``."""
        expected = np.zeros((len(contexts.nodes), self.vocabulary_size))
        self.add_to(expected, contexts, np.ones(len(expected)))
        return expected

    def add_to(self, expected: NDArray[Any], contexts: Contexts, shares: NDArray[Any]) -> None:
        """Add a share of the distribution of the next character in each stream.

        Args:
            expected: ``[N, V]``, in float32 or float64, in one piece.
            contexts: where the streams stand.
            shares: ``[N]``, of each distribution.
        """
        if len(expected) == 1:
            self.add_after(expected[0], contexts.known()[0], float(shares[0]))
        else:
            self._add_to_many(expected, contexts, shares)

    def add_after(self, expected: NDArray[Any], nodes: list[int], share: float) -> None:
        """Add a share of the distribution of the next character in one stream.

        Args:
            expected: ``[V]``, in float32 or float64, in one piece.
            nodes: where the stream stands, of `Contexts.known`.
            share: of the distribution.
        """
        numbers = memory_of(expected)
        for length in range(len(nodes) - 1, self._short, -1):
            symbols, starts, shares, kept = self._tables[length]
            node = nodes[length]
            part = slice(starts[node], starts[node + 1])
            for symbol, one in zip(symbols[part], shares[part], strict=True):
                numbers[symbol] += share * one
            share *= kept[node]
        expected += share * self._after(nodes[: self._short + 1], expected.dtype)

    def _add_to_many(
        self, expected: NDArray[Any], contexts: Contexts, shares: NDArray[Any]
    ) -> None:
        flat, left = expected.reshape(-1), shares.astype(np.float64)
        for length in range(self.order - 1, self._short, -1):
            level, nodes = self.levels[length], contexts.nodes[:, length]
            streams = np.flatnonzero(nodes >= 0)
            nodes = nodes[streams]
            starts = level.starts[nodes].astype(np.int64)
            sizes = level.starts[nodes + 1] - starts
            # starts[0], starts[0] + 1, ... of each context, one after the other.
            followers = np.arange(sizes.sum()) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
            rows = np.repeat(streams * self.vocabulary_size, sizes)
            more = np.repeat(left[streams], sizes) * level.shares[followers]
            flat[rows + level.symbols[followers]] += more
            left[streams] *= level.kept[nodes]
        after = [self._after(read[: self._short + 1], expected.dtype) for read in contexts.known()]
        short = np.concatenate(after).reshape(expected.shape)
        short *= left.astype(expected.dtype)[:, None]
        expected += short

    def _after(self, nodes: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the distribution after a short context, ``[V]``, which comes again and again."""
        key = (dtype.char, len(nodes), nodes[-1])
        expected = self._rows.get(key)
        if expected is None:
            expected = self._alone.copy()
            for level, node in zip(self.levels[1:], nodes[1:], strict=False):
                part = slice(level.starts[node], level.starts[node + 1])
                expected *= level.kept[node]
                expected[level.symbols[part]] += level.shares[part]
            if len(self._rows) * self.vocabulary_size > _MOST_NUMBERS:
                self._rows.clear()
            self._rows[key] = expected = expected.astype(dtype)
        return expected

    def of_end(self, contexts: Contexts) -> Real:
        """Return how likely the song ends in each stream, ``[N]``; 0 in a text of one piece."""
        return np.array([self.end_after(nodes) for nodes in contexts.known()])

    def end_after(self, nodes: list[int]) -> float:
        """Return how likely the song ends after one context; 0 in a text of one piece."""
        end = self.end
        if end is None:
            return 0.0
        key = (len(nodes), nodes[-1])
        likely = self._ends.get(key)
        if likely is None:
            likely = float(self._alone[end])
            for (symbols, starts, shares, kept), node in zip(
                self._tables[1:], nodes[1:], strict=False
            ):
                likely *= kept[node]
                at = bisect_left(symbols, end, starts[node], starts[node + 1])
                if at < starts[node + 1] and symbols[at] == end:
                    likely += shares[at]
            if len(self._ends) == _MOST_ENDS:
                self._ends.clear()
            self._ends[key] = likely
        return likely

    def probabilities(self, ids: NDArray[np.integer[Any]], of: int | None = None) -> Real:
        """Return the probability of each character of a text but the first, ``[N - 1]``.

        Args:
            ids: ``[N]`` the text; what is never predicted is passed over, with a probability of 0.
            of: the probability of this character at each place, instead of the one that is there.
        """
        text: Whole = np.asarray(ids, dtype=np.int64)
        if self._unpredicted is not None and (given := self._unpredicted[text]).any():
            every = np.zeros(len(text))
            every[np.flatnonzero(~given)[1:]] = self._probabilities(text[~given], of)
            return every[1:]
        return self._probabilities(text, of)

    def _probabilities(self, ids: Whole, of: int | None) -> Real:
        ends = np.zeros(len(ids), dtype=bool) if self.end is None else ids == self.end
        targets = ids if of is None else np.full(len(ids), of)
        result = self._alone[targets]
        before: Whole = np.zeros(len(ids), dtype=np.int64)
        for length, level in enumerate(self.levels, start=1):
            keys = _keys_of(level, self.vocabulary_size)
            read = _found(keys, before * self.vocabulary_size + ids)
            if length > 1:
                at = read if of is None else _found(keys, before * self.vocabulary_size + targets)
                result *= np.where(before >= 0, level.kept[before], 1.0)
                result += np.where(at >= 0, level.shares[at], 0.0)
            # What was read before the next character, one longer.
            before = np.concatenate(([-1], read[:-1]))
            if length > 1:
                before[1:][ends[:-1]] = -1
        expected: Real = result[1:]
        return expected


def nats_of(probabilities: Real) -> Real:
    """Return the negative logarithms of some probabilities."""
    nats: Real = -np.log(np.maximum(probabilities, TINY))
    return nats


def _keys_of(level: Level, vocabulary_size: int) -> Whole:
    """Return a number for each gram of a level, its context's times V and its symbol: ascending."""
    contexts = np.repeat(np.arange(len(level.kept)), np.diff(level.starts))
    keys: Whole = contexts * vocabulary_size + level.symbols
    return keys


def _found(keys: Whole, wanted: Whole) -> Whole:
    """Return where keys stand among others that ascend; -1 for those that do not."""
    at = np.searchsorted(keys, wanted)
    return np.where(keys[np.minimum(at, len(keys) - 1)] == wanted, at, -1)


def memory_of(array: NDArray[Any]) -> Any:
    """Return the memory of an array, which single numbers are read from and written to fastest."""
    return memoryview(array)  # type: ignore[arg-type]
