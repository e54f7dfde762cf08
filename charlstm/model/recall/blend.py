"""A network and what is remembered as one model, read character by character."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.model.cells import Array
from charlstm.model.network import Memory, Network, State, Temperature
from charlstm.model.recall.measured import strength_of
from charlstm.model.recall.ngram import TINY, Contexts, Real
from charlstm.model.recall.recall import Recall
from charlstm.model.recall.shares import KEPT, gain, share_after
from charlstm.model.recall.so_far import Said, gathered
from charlstm.recipes.named import SHARE
from charlstm.text.vocabulary import UNKNOWN

# Below this temperature only the likeliest is left of what is expected without the song.
_COLDEST = 0.05
_LEAST = np.float32(TINY)
# So many probabilities are blended at once, in memory of this many times four bytes.
_BLOCK = 1 << 18


def blend(network: Network, recall: Recall | None, share: float) -> "Network | Blend":
    """Return a network blended with a share of a recall, or alone where that is nothing."""
    return network if recall is None or not share else Blend(network, recall, share)


class BlendMemory(NamedTuple):
    """The least that `Blend.gather` needs of N streams."""

    network: list[Memory]
    contexts: Contexts
    said: Said
    lead: Real


@dataclass
class BlendState:
    """Where N streams stand.

    Attributes:
        network: where the network does.
        contexts: which grams they have read.
        said: what their songs have said.
        lead: ``[N]``: how much the n-gram model leads, see `charlstm.model.recall.shares`.
        logits: ``[N, V]``, of the next character, in memory that the next step overwrites.
        totals: ``[N, 1]``: the logarithms of the sums by which the network's probabilities are
            divided; ``None`` where they are not known yet.
    """

    network: State
    contexts: Contexts
    said: Said
    lead: Real
    logits: Array
    totals: Real | None = None

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
            self.lead[rows],
            self.logits[rows],
        )

    def remember(self) -> BlendMemory:
        """Return the least that `Blend.gather` needs to make a state like this one."""
        streams = range(len(self.logits))
        return BlendMemory(
            self.network.remember(),
            self.contexts.take(streams),
            self.said.take(streams),
            self.lead.copy(),
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
        share: of the n-gram model where nothing is read yet, above 0 to 1.
        temperature: that the logits will be divided by, those of each stream by its own if there
            are several.
    """

    def __init__(
        self,
        network: Network,
        recall: Recall,
        share: float = SHARE,
        temperature: Temperature = 1.0,
    ) -> None:
        self.network = network
        self.recall = recall
        self.temperature: Temperature
        if isinstance(temperature, np.ndarray):
            self.temperature = np.maximum(temperature, _COLDEST)
        else:
            self.temperature = max(float(temperature), _COLDEST)
        self._asked = share
        self.share = share if recall.ngram is not None else 0.0
        self.strength = strength_of(share)
        self.vocabulary_size = network.vocabulary_size
        self.end = network.end
        self.line = recall.line
        labels = () if recall.unpredicted is None else np.flatnonzero(recall.unpredicted).tolist()
        self._unpredicted = frozenset(labels)
        self._ones = np.ones(self.vocabulary_size, dtype=np.float32)

    def __repr__(self) -> str:
        return f"<Blend: {self.network}, {self.recall.ngram}, {self.share:.2f} of the second>"

    def at(self, temperature: Temperature) -> "Blend":
        """Return the same blend for another temperature; a state of one is one of the other."""
        return Blend(self.network, self.recall, self._asked, temperature)

    def apart(self) -> "Blend":
        """Return the same blend, in which no stream depends on those beside it, bit for bit.

        Of two streams and more, that is: a single one is added up in another order.
        """
        return Blend(self.network.apart(), self.recall, self._asked, self.temperature)

    def logits(self, state: BlendState) -> Array:
        """Return ``[N, V]`` logits of the next character, at temperature 1."""
        return self.at(1.0)._blended(replace(state, logits=np.empty_like(state.logits))).logits

    def shares(self, state: BlendState) -> Real:
        """Return how much the n-gram model counts in each stream, ``[N]``."""
        return share_after(state.lead, self.share)

    def start(self, streams: int = 1) -> BlendState:
        """Return the state before any character, for `streams` streams."""
        ngram, V = self.recall.ngram, self.vocabulary_size
        nothing = Contexts(np.empty((streams, 0), dtype=np.int64))
        contexts = nothing if ngram is None else ngram.start(streams)
        said = self.recall.so_far.start(streams)
        logits = np.empty((streams, V), dtype=np.float32)
        network, lead = self.network.start(streams), np.zeros(streams)
        return self._blended(BlendState(network, contexts, said, lead, logits))

    def take(
        self, state: BlendState, streams: Sequence[int] | NDArray[np.integer[Any]]
    ) -> BlendState:
        """Return what ``state.take`` does, with the logits that belong to this temperature."""
        return self._blended(state.take(streams))

    def gather(self, streams: Sequence[tuple[BlendMemory, int]]) -> BlendState:
        """Return an independent state of streams that were remembered at different places."""
        V, numbers = self.vocabulary_size, [stream for _, stream in streams]
        network = self.network.gather([(memory.network, stream) for memory, stream in streams])
        contexts = Contexts(np.stack([memory.contexts.nodes[stream] for memory, stream in streams]))
        said = gathered([(memory.said, stream) for memory, stream in streams])
        lead = np.array([memory.lead[stream] for memory, stream in streams])
        logits = np.empty((len(numbers), V), dtype=np.float32)
        return self._blended(BlendState(network, contexts, said, lead, logits))

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
        N = len(state.logits)
        each = ids.tolist() if isinstance(ids, np.ndarray) else [ids] * N
        # Labels are read in all streams at once; what else draws one is a text that has ended.
        if not self._unpredicted.issuperset(each):
            if not self._unpredicted.isdisjoint(each):
                each = [UNKNOWN if one in self._unpredicted else one for one in each]
            if self.recall.ngram is not None:
                likely = self.recall.ngram.step(state.contexts, each)
                self._lead(state, each, likely)
            self.recall.so_far.step(state.said, each)
        self.network.step(state.network, ids)
        state.totals = None

    def _lead(self, state: BlendState, ids: list[int], likely: Real) -> None:
        """Reckon with how likely the two have found a character in each stream."""
        logits, totals = state.network.logits, state.totals
        if totals is None:
            highest = logits.max(axis=1, keepdims=True)
            totals = highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
        rows: Any = np.arange(len(ids))
        read: Any = ids
        if len(ids) == 1:  # numbers instead of arrays of one
            rows, read = 0, ids[0]
        given = np.exp(logits[rows, read] - totals[rows, 0])
        state.lead[rows] = KEPT * state.lead[rows] + gain(given, likely[rows])
        if self.end is not None and self.end in ids:
            state.lead[np.array(ids) == self.end] = 0

    def _blended(self, state: BlendState) -> BlendState:
        """Put the logits of where the parts of a state stand into it."""
        temperature = self.temperature
        if isinstance(temperature, float) and state.said.is_alone:
            self._blend_one(state, temperature)
        else:
            self._blend_many(state)
        return state

    def _blend_one(self, state: BlendState, temperature: float) -> None:
        """Do what `_blend_many` does for a stream that is alone, in two thirds of the time."""
        logits, expected = state.network.logits[0], state.logits[0]
        ngram = self.recall.ngram
        share = share_after(float(state.lead[0]), self.share)
        highest = float(logits[logits.argmax()])
        np.subtract(logits, highest, out=expected)
        np.exp(expected, out=expected)
        total = float(expected @ self._ones)
        state.totals = np.array([[highest + math.log(total)]])
        expected *= (1 - share) / total
        ending = 0.0
        if ngram is not None:
            nodes = state.contexts.known()[0]
            ngram.add_after(expected, nodes, share)
            ending = ngram.end_after(nodes)
        expected += TINY
        if temperature != 1:
            np.log(expected, out=expected)
            expected -= expected[expected.argmax()]
            expected *= 1 / temperature
            np.exp(expected, out=expected)
            expected *= 1 / float(expected @ self._ones)
            expected += TINY
        self.recall.so_far.add_to_one(expected, state.said, self.recall.pull, self.strength, ending)
        np.maximum(expected, _LEAST, out=expected)
        np.log(expected, out=expected)
        expected *= temperature

    def _blend_many(self, state: BlendState) -> None:
        N = len(state.logits)
        state.totals = np.empty((N, 1))
        shares = self.shares(state)
        # In blocks that stay in the processor's cache.
        block = max(_BLOCK // self.vocabulary_size, 1)
        for start in range(0, N, block):
            part = slice(start, start + block)
            logits, expected = state.network.logits[part], state.logits[part]
            highest = logits.max(axis=1, keepdims=True)
            np.subtract(logits, highest, out=expected)
            np.exp(expected, out=expected)
            sums = expected.sum(axis=1, keepdims=True)
            state.totals[part] = highest + np.log(sums)
            expected *= _column(1 - shares[part]) / sums
            self._recall(expected, part, state, shares[part])
            # A song that only repeats itself leaves nothing to all else.
            np.maximum(expected, _LEAST, out=expected)
            np.log(expected, out=expected)
            expected *= self._of(self.temperature, part)

    def _recall(self, expected: Array, part: slice, state: BlendState, shares: Real) -> None:
        """Turn what a network expects, times its shares, into what the model does, in place."""
        contexts, said = state.contexts.take(part), state.said.part(part)
        if self.recall.ngram is not None:
            self.recall.ngram.add_to(expected, contexts, shares)
        # What has no probability, a label where only the n-gram model is asked, keeps next to none.
        expected += TINY
        # Where each stream has its own, what happens to one does not depend on those of the others.
        if isinstance(self.temperature, np.ndarray) or self.temperature != 1:
            np.log(expected, out=expected)
            expected -= expected.max(axis=1, keepdims=True)
            expected *= self._of(1 / self.temperature, part)
            np.exp(expected, out=expected)
            expected *= 1 / expected.sum(axis=1, keepdims=True)
            expected += TINY
        ending = None if self.recall.ngram is None else self.recall.ngram.of_end(contexts)
        self.recall.so_far.add_to(expected, said, self.recall.pull, self.strength, ending)

    def _of(self, temperature: Temperature, part: slice) -> Array | float:
        """Return what each row is multiplied by, ``[N, 1]``, or all of them."""
        return _column(temperature[part]) if isinstance(temperature, np.ndarray) else temperature


def _column(numbers: Real) -> Array:
    """Return a number for each row, ``[N, 1]``."""
    return numbers.astype(np.float32)[:, None]
