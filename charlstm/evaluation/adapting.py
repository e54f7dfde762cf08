"""A blend that goes on counting and learning as it reads, as compressors do.

Every character is predicted before anything is learned of it. The network learns as
`charlstm.evaluation.dynamic` has it, the n-gram model counts what has been read with what it was
trained on, the song so far is what it is anyway, and the weights of the blend follow from how well
each choice of them has predicted the text up to there: with weight ``w_k`` in proportion to the
probability that the k-th choice gave to all characters so far, ``p = sum_k w_k p_k``. That is the
mean over all choices after Bayes, and in all never worse than the best of them by more than the
logarithm of their number.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.learning import count_ngram, newest
from charlstm.model.recall.measured import Logits, Measured
from charlstm.model.recall.ngram import TINY, Real, nats_of
from charlstm.model.recall.product import Grams
from charlstm.model.recall.recall import Recall
from charlstm.model.recall.shares import share_after
from charlstm.text.corpus import IdArray

# The grams are counted anew so many times, or of so many characters in all, and what is before a
# character is read so far back.
_COUNTS = 20
_COUNTED = 20_000_000
_RUN_UP = 100
# Of the n-gram model, of what the song so far says, and of the network that has gone on learning.
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEARNING = (0.0, 0.5, 1.0)


class Read(NamedTuple):
    """A stretch of a text as two networks have read it.

    Attributes:
        nats: ``[M]``: of the network, in nats.
        dynamic_nats: ``[M]``: of the one that goes on learning.
        logits: ``[M, V]``: of the network; ``None`` will do where network and grams are added.
        dynamic_logits: of the other.
    """

    nats: NDArray[np.floating[Any]]
    dynamic_nats: NDArray[np.floating[Any]]
    logits: Logits = None
    dynamic_logits: Logits = None

    def part(self, places: slice) -> "Read":
        """Return the same of some of the characters."""
        return Read(
            self.nats[places],
            self.dynamic_nats[places],
            None if self.logits is None else self.logits[places],
            None if self.dynamic_logits is None else self.dynamic_logits[places],
        )

    def mean(self, learning: float) -> tuple[Real, Logits]:
        """Return the probabilities of both networks' mean, and the logits of all characters.

        Args:
            learning: the share of the one that goes on learning.
        """
        static, dynamic = np.exp(-np.float64(self.nats)), np.exp(-np.float64(self.dynamic_nats))
        likely = (1 - learning) * static + learning * dynamic
        if self.logits is None or self.dynamic_logits is None or learning in (0, 1):
            return likely, self.dynamic_logits if learning == 1 else self.logits
        every = (1 - learning) * _softmax(self.logits) + learning * _softmax(self.dynamic_logits)
        return likely, np.log(every + TINY)


def adapting_surprisal(
    recall: Recall,
    measured: Measured,
    learned: IdArray | None,
    ids: IdArray,
    reads: Iterable[Read],
) -> Real:
    """Return the negative log-likelihood of every character but the first, adapting on the way.

    Args:
        recall: of the training text.
        measured: what it gives to the text.
        learned: the training text, with the mark that its last song ends with; where it is not
            kept, the grams stay as they were counted.
        ids: ``[N]`` the text, N >= 2.
        reads: the text without its first character, one stretch after the other.

    Returns:
        ``[N - 1]``, in nats. Where a character is never predicted, it is of no account.
    """
    counts = measured.ngram is not None and learned is not None
    size = len(ids) - 1
    if counts and learned is not None:
        times = min(max(_COUNTED // len(learned), 1), _COUNTS)
        size = math.ceil(size / times)
    weights, at, found = _Weights(), 0, list[Real]()
    section = measured
    for read in _cut(reads, size):
        if counts and learned is not None and at % size == 0:
            section = _counted_on(recall, measured, learned, ids, slice(at, at + size))
        within = at % size
        predicted = np.ones(len(read.nats), dtype=bool)
        if recall.unpredicted is not None:
            predicted = ~recall.unpredicted[ids[at + 1 : at + 1 + len(predicted)]]
        here = section.part(slice(within, within + len(predicted)))
        found.append(weights.surprisal(here, read, predicted))
        at += len(predicted)
    return np.concatenate(found)


class _Weights:
    """How much each choice is believed, and what follows from it."""

    def __init__(self) -> None:
        # The logarithm of what each has given to all characters so far.
        self._given = dict[tuple[float, float, float], float]()
        # How much the n-gram model leads each network.
        self._leads = dict[float, float]()

    def surprisal(self, measured: Measured, read: Read, predicted: NDArray[np.bool_]) -> Real:
        """Return the surprisal of M characters that come next, and learn from them.

        Args:
            measured: what a recall gives to them.
            read: what the networks do.
            predicted: ``[M]``: which of them are predicted.
        """
        total, weighed = np.full((2, len(predicted)), -np.inf)
        for learning in _LEARNING:
            network, logits = read.mean(learning)
            lead = measured.leads(network, lead=self._leads.get(learning, 0.0))
            self._leads[learning] = float(lead[-1])
            statics = _statics(measured, network, lead, logits)
            for share, static in zip(_SHARES, statics, strict=True):
                for strength in _STRENGTHS:
                    logs = -nats_of(measured.with_song(static, strength))
                    choice = (learning, share, strength)
                    sums = np.cumsum(np.where(predicted, logs, 0.0))
                    before = np.concatenate(([0.0], sums[:-1])) + self._given.get(choice, 0.0)
                    self._given[choice] = self._given.get(choice, 0.0) + float(sums[-1])
                    np.logaddexp(total, before, out=total)
                    np.logaddexp(weighed, before + logs, out=weighed)
        surprisal: Real = total - weighed
        return surprisal


def _statics(measured: Measured, network: Real, lead: Real, logits: Logits) -> Iterable[Real]:
    """Return what network and n-gram model come to with each of the shares, ``[M]`` each."""
    if measured.grams is None:
        return (measured.static(network, share, lead=lead) for share in _SHARES)
    assert logits is not None, "a product is of all characters"
    shares = np.array([share_after(lead[:-1], share) for share in _SHARES])
    return list(measured.grams.multiplied(logits, shares))


def _softmax(logits: NDArray[np.floating[Any]]) -> Real:
    likely = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _cut(reads: Iterable[Read], size: int) -> Iterator[Read]:
    """Yield stretches none of which reaches across a multiple of `size` characters."""
    at = 0
    for read in reads:
        begun = 0
        while begun < len(read.nats):
            stop = min(begun + size - at % size, len(read.nats))
            yield read.part(slice(begun, stop))
            at, begun = at + stop - begun, stop


def _counted_on(
    recall: Recall, measured: Measured, learned: IdArray, ids: IdArray, part: slice
) -> Measured:
    """Return a part of a text, with grams that are counted from all that was before it as well."""
    # A text of songs begins with the mark that the last one learned ends with.
    begun = 0 if recall.end is None else 1
    text = newest(np.concatenate((learned, ids[begun : part.start + 1])), recall.unpredicted)
    ngram = count_ngram(
        text, recall.vocabulary_size, end=recall.end, unpredicted=recall.unpredicted
    )
    first = max(part.start - _RUN_UP, 0)
    read = ids[first : part.stop + 1]
    skipped = part.start - first
    grams = None
    if measured.grams is not None:
        grams = Grams(ngram, ngram.nodes(read[:-1])[skipped:], read[skipped + 1 :])
    likely = ngram.probabilities(read)[skipped:]
    return replace(measured.part(part), ngram=likely, grams=grams)
