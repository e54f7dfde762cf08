"""What a network is blended with, and the two as one model.

    p = (1 - share) p_network + share p_ngram,    then what the song so far adds to that

Linear, because then the probability of a character needs nothing of all others: a text is measured
with one number of each part a character.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.model.network import Array, Memory, Network, State
from charlstm.model.recall.counting import count_levels
from charlstm.model.recall.fitting import fit_pull
from charlstm.model.recall.ngram import SMALL_ALPHABET, TINY, Contexts, NGram, Real, nats_of
from charlstm.model.recall.so_far import LONGEST, Pull, Said, SoFar, follow, gathered
from charlstm.recipes.named import SHARE
from charlstm.text.vocabulary import UNKNOWN, Ids

MOST_CHARACTERS = 8_000_000
"""Of a longer text so many at its end are counted."""

# In a large alphabet longer grams take more memory than they are worth.
_ORDERS = (7, 5)
# More grams are not kept.
_MOST_GRAMS = 16_000_000
# Below this temperature only the likeliest is left of what is expected without the song.
_COLDEST = 0.05
# A text is measured in pieces of so many characters.
_PIECE = 1 << 20
# So many streams are blended at once.
_BLOCK = 32


@dataclass(frozen=True)
class Measured:
    """What a recall gives to each character of a text but the first, ``[N - 1]`` each.

    Where a character is never predicted, it gives nothing.

    Attributes:
        ngram: the probability that the n-gram model gives it; ``None`` if there is none.
        keep: by what its probability is multiplied for what the song has said so far.
        add: what is added then.
    """

    ngram: Real | None
    keep: Real
    add: Real

    def static(self, network: Real, share: float = SHARE, start: int = 0) -> Real:
        """Return the probabilities of network and n-gram model, without the song so far.

        Args:
            network: the network's, of the characters from the one at `start` on.
            share: of the n-gram model.
            start: where they begin.
        """
        if self.ngram is None:
            return network
        return (1 - share) * network + share * self.ngram[start : start + len(network)]

    def blended(
        self, network: Real, share: float = SHARE, start: int = 0, strength: float | None = None
    ) -> Real:
        """Return the probabilities of the blend; see `static`.

        Args:
            network: see there.
            share: see there.
            start: see there.
            strength: of the song so far; what goes with the share where ``None``.
        """
        part = slice(start, start + len(network))
        strength = strength_of(share) if strength is None else strength
        keep = 1 - strength * (1 - self.keep[part])
        return keep * self.static(network, share, start) + strength * self.add[part]

    def surprisal(self, nats: Real, share: float = SHARE, start: int = 0) -> Real:
        """Return what `blended` returns as negative logarithms, of the network's."""
        return nats_of(self.blended(np.exp(-nats), share, start))


def strength_of(share: float) -> float:
    """Return how much the song so far counts: all of it, less if the n-gram model counts less."""
    return min(share / SHARE, 1.0)


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

    @classmethod
    def learn(
        cls,
        ids: Ids,
        vocabulary_size: int,
        *,
        newline: int | None = None,
        end: int | None = None,
        unpredicted: NDArray[np.bool_] | None = None,
        grams: bool = True,
    ) -> "Recall":
        """Count a training text.

        Args:
            ids: ``[N]`` the text; of a long one the last `MOST_CHARACTERS` are counted.
            vocabulary_size: V.
            newline: the id of the line break; ``None`` if there is none.
            end: the id of the mark between songs.
            unpredicted: ``[V]``: the ids that are read and never predicted.
            grams: whether its grams are kept.
        """
        text = newest(ids, unpredicted)
        order = order_for(vocabulary_size)
        pull = fit_pull(text, vocabulary_size, order=order, end=end, unpredicted=unpredicted)
        ngram = None
        if grams:
            ngram = count_ngram(text, vocabulary_size, end=end, unpredicted=unpredicted)
        line = 0 if newline is None else _line(text, newline, end)
        return cls(vocabulary_size, pull, line, ngram, end, unpredicted)

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
        return Measured(ngram, keep, add)

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


def newest(ids: Ids, unpredicted: NDArray[np.bool_] | None = None) -> NDArray[np.integer[Any]]:
    """Return what is counted of a text: its last 8 million characters, without labels."""
    text = np.asarray(ids[max(len(ids) - MOST_CHARACTERS, 0) :])
    return text if unpredicted is None else text[~unpredicted[text]]


def order_for(vocabulary_size: int) -> int:
    """Return of how many characters the longest grams are."""
    return _ORDERS[vocabulary_size > SMALL_ALPHABET]


def count_ngram(
    text: NDArray[np.integer[Any]],
    vocabulary_size: int,
    *,
    order: int | None = None,
    end: int | None = None,
    unpredicted: NDArray[np.bool_] | None = None,
) -> NGram:
    """Count the grams of a text as `newest` returns it.

    Args:
        text: ``[N]``.
        vocabulary_size: V.
        order: of the longest grams; that of `order_for` where ``None``.
        end: the id of the mark between songs.
        unpredicted: ``[V]``: the ids that are never predicted.
    """
    order = order or order_for(vocabulary_size)
    levels = count_levels(text, vocabulary_size, order=order, end=end, most=_MOST_GRAMS)
    return NGram(levels, vocabulary_size, end, unpredicted)


def _line(text: NDArray[np.integer[Any]], newline: int, end: int | None) -> int:
    """Return the length of the middle one of the lines that are not empty."""
    breaks = text == newline if end is None else (text == newline) | (text == end)
    lengths = np.diff(np.flatnonzero(breaks), prepend=-1) - 1
    lengths = lengths[lengths > 0]
    return int(np.median(lengths)) if len(lengths) else 0


def blend(network: Network, recall: Recall | None, share: float) -> "Network | Blend":
    """Return a network blended with a share of a recall, or alone where that is nothing."""
    return network if recall is None or not share else Blend(network, recall, share)


class BlendMemory(NamedTuple):
    """The least that `Blend.gather` needs of N streams."""

    network: list[Memory]
    contexts: Contexts
    said: Said


@dataclass
class BlendState:
    """Where N streams stand.

    Attributes:
        network: where the network does.
        contexts: which grams they have read.
        said: what their songs have said.
        logits: ``[N, V]``, of the next character, in memory that the next step overwrites.
    """

    network: State
    contexts: Contexts
    said: Said
    logits: Array

    def copy(self) -> "BlendState":
        """Return an independent state that stands at the same place."""
        return self.take(range(len(self.logits)))

    def take(self, streams: Sequence[int] | NDArray[np.integer[Any]]) -> "BlendState":
        """Return an independent state whose stream k stands where stream ``streams[k]`` is here."""
        rows = [int(stream) for stream in streams]
        return BlendState(
            self.network.take(rows),
            self.contexts.take(rows),
            self.said.take(rows),
            self.logits[rows],
        )

    def remember(self) -> BlendMemory:
        """Return the least that `Blend.gather` needs to make a state like this one."""
        streams = range(len(self.logits))
        return BlendMemory(
            self.network.remember(), self.contexts.take(streams), self.said.take(streams)
        )


class Blend:
    """A network and what it is blended with, read as a `charlstm.model.network.Network` is.

    Its logits are logarithms of probabilities, times the temperature: whoever divides them by it
    has those of what is expected without the song at that temperature, and of what the song has
    said as likely as it is. A temperature is there to play safe; to say the same again is not. A
    song that hardened with everything it repeats would soon say nothing new. Below a temperature of
    0.05 only the likeliest is left of what is expected, and the logits are those of 0.05.

    Args:
        network: the network.
        recall: of its training text.
        share: of the n-gram model, above 0 to 1.
        temperature: that the logits will be divided by.
    """

    def __init__(
        self,
        network: Network,
        recall: Recall,
        share: float = SHARE,
        temperature: float = 1.0,
    ) -> None:
        self.network = network
        self.recall = recall
        self.temperature = max(temperature, _COLDEST)
        self._asked = share
        self.share = share if recall.ngram is not None else 0.0
        self.strength = strength_of(share)
        self.vocabulary_size = network.vocabulary_size
        self.end = network.end
        self.line = recall.line
        self._ones = np.ones(self.vocabulary_size, dtype=np.float32)

    def __repr__(self) -> str:
        return f"<Blend: {self.network}, {self.recall.ngram}, {self.share:.2f} of the second>"

    def at(self, temperature: float) -> "Blend":
        """Return the same blend for another temperature; a state of one is one of the other."""
        return Blend(self.network, self.recall, self._asked, temperature)

    def logits(self, state: BlendState) -> Array:
        """Return ``[N, V]`` logits of the next character, at temperature 1."""
        return self.at(1.0)._blended(replace(state, logits=np.empty_like(state.logits))).logits

    def start(self, streams: int = 1) -> BlendState:
        """Return the state before any character, for `streams` streams."""
        ngram, V = self.recall.ngram, self.vocabulary_size
        nothing = Contexts([[] for _ in range(streams)])
        contexts = nothing if ngram is None else ngram.start(streams)
        said = self.recall.so_far.start(streams)
        logits = np.empty((streams, V), dtype=np.float32)
        return self._blended(BlendState(self.network.start(streams), contexts, said, logits))

    def take(
        self, state: BlendState, streams: Sequence[int] | NDArray[np.integer[Any]]
    ) -> BlendState:
        """Return what ``state.take`` does, with the logits that belong to this temperature."""
        return self._blended(state.take(streams))

    def gather(self, streams: Sequence[tuple[BlendMemory, int]]) -> BlendState:
        """Return an independent state of streams that were remembered at different places."""
        V, numbers = self.vocabulary_size, [stream for _, stream in streams]
        network = self.network.gather([(memory.network, stream) for memory, stream in streams])
        nodes = [memory.contexts.nodes[stream].copy() for memory, stream in streams]
        contexts = Contexts(nodes)
        said = gathered([(memory.said, stream) for memory, stream in streams])
        logits = np.empty((len(numbers), V), dtype=np.float32)
        return self._blended(BlendState(network, contexts, said, logits))

    def step(self, state: BlendState, ids: int | NDArray[np.integer[Any]]) -> Array:
        """Read one character in each stream; `state` advances.

        Args:
            state: what `start` returned, or a copy of it at any later place.
            ids: ``[N]``, the characters read, or the one that all streams read.

        Returns:
            ``[N, V]`` logits of the next character, in memory that the next step overwrites.
        """
        self._move(state, ids)
        return self._blended(state).logits

    def read(self, state: BlendState, ids: Iterable[int]) -> None:
        """Read characters one after the other, the same in each stream; `state` advances."""
        for character in ids:
            self._move(state, int(character))
        self._blended(state)

    def _move(self, state: BlendState, ids: int | NDArray[np.integer[Any]]) -> None:
        self.network.step(state.network, ids)
        N = len(state.logits)
        each = ids.tolist() if isinstance(ids, np.ndarray) else [ids] * N
        unpredicted = self.recall.unpredicted
        if unpredicted is not None and (labels := unpredicted[each]).any():
            if labels.all():
                return
            # Labels are read in all streams at once; what else draws one is a text that has ended.
            each = np.where(labels, UNKNOWN, each).tolist()
        if self.recall.ngram is not None:
            self.recall.ngram.step(state.contexts, each)
        self.recall.so_far.step(state.said, each)

    def _blended(self, state: BlendState) -> BlendState:
        """Put the logits of where the parts of a state stand into it."""
        # In blocks that stay in the processor's cache.
        for start in range(0, len(state.logits), _BLOCK):
            part = slice(start, start + _BLOCK)
            expected = self._expected(
                state.network.logits[part],
                Contexts(state.contexts.nodes[part]),
                state.said.part(part),
            )
            np.log(expected, out=expected)
            np.multiply(expected, self.temperature, out=state.logits[part])
        return state

    def _expected(self, logits: Array, contexts: Contexts, said: Said) -> Array:
        """Return the distribution of the next character in each stream, ``[N, V]``."""
        expected: Array = logits - self._highest(logits)
        np.exp(expected, out=expected)
        expected *= (1 - self.share) / self._sums(expected)
        if self.recall.ngram is not None:
            self.recall.ngram.add_to(expected, contexts, self.share)
        # What has no probability, a label where only the n-gram model is asked, keeps next to none.
        expected += TINY
        if self.temperature != 1:
            np.log(expected, out=expected)
            expected -= self._highest(expected)
            expected *= 1 / self.temperature
            np.exp(expected, out=expected)
            expected *= 1 / self._sums(expected)
            expected += TINY
        ending = None if self.recall.ngram is None else self.recall.ngram.of_end(contexts)
        self.recall.so_far.add_to(expected, said, self.recall.pull, self.strength, ending)
        return expected

    # Of one stream these take a third of the time that the general way does.

    def _highest(self, rows: Array) -> Array | float:
        """Return the highest number of each row, ``[N, 1]``, or that of the only one."""
        if len(rows) == 1:
            return float(rows[0, rows.argmax()])
        highest: Array = rows.max(axis=1, keepdims=True)
        return highest

    def _sums(self, rows: Array) -> Array | float:
        """Return the sum of each row, ``[N, 1]``, or that of the only one."""
        if len(rows) == 1:
            return float(rows[0] @ self._ones)
        sums: Array = rows.sum(axis=1, keepdims=True)
        return sums
