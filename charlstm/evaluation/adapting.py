"""A blend that goes on counting and learning as it reads, as compressors do.

Every character is predicted before anything is learned of it. The network learns as
`charlstm.evaluation.dynamic` has it, the n-gram model counts what has been read with what it was
trained on, the song so far is what it is anyway, and the weights of the blend follow from how well
each choice of them has predicted the text up to there: with weight ``w_k`` in proportion to the
probability that the k-th choice gave to all characters so far, ``p = sum_k w_k p_k``. That is the
mean over all choices after Bayes, and in all never worse than the best of them by more than the
logarithm of their number.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.learning import count_ngram, newest
from charlstm.model.recall.measured import Measured
from charlstm.model.recall.ngram import Real, nats_of
from charlstm.model.recall.recall import Recall
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


def adapting_surprisal(
    recall: Recall,
    measured: Measured,
    learned: IdArray | None,
    ids: IdArray,
    nats: NDArray[np.floating[Any]],
    dynamic_nats: NDArray[np.floating[Any]],
) -> Real:
    """Return the negative log-likelihood of every character but the first, adapting on the way.

    Args:
        recall: of the training text.
        measured: what it gives to the text.
        learned: the training text, with the mark that its last song ends with; where it is not
            kept, the grams stay as they were counted.
        ids: ``[N]`` the text, N >= 2.
        nats: ``[N - 1]``: of the network, in nats.
        dynamic_nats: the same of the network that goes on learning.

    Returns:
        ``[N - 1]``, in nats. Where a character is never predicted, it is of no account.
    """
    counted = measured.ngram
    if counted is not None and learned is not None:
        counted = _counting_on(recall, learned, ids)
    measured = replace(measured, ngram=counted)
    static, dynamic = np.exp(-nats.astype(np.float64)), np.exp(-dynamic_nats.astype(np.float64))
    predicted = np.ones(len(nats), dtype=bool)
    if recall.unpredicted is not None:
        predicted = ~recall.unpredicted[ids[1:]]
    # Of each choice: the logarithm of what it has given to all characters so far.
    total, weighed = np.full(len(nats), -np.inf), np.full(len(nats), -np.inf)
    for learning in _LEARNING:
        network = (1 - learning) * static + learning * dynamic
        lead = measured.leads(network)
        for share, strength in itertools.product(_SHARES, _STRENGTHS):
            logs = -nats_of(measured.blended(network, share, lead=lead, strength=strength))
            before = np.concatenate(([0.0], np.cumsum(np.where(predicted, logs, 0.0))[:-1]))
            np.logaddexp(total, before, out=total)
            np.logaddexp(weighed, before + logs, out=weighed)
    surprisal: Real = total - weighed
    return surprisal


def _counting_on(recall: Recall, learned: IdArray, ids: IdArray) -> Real:
    """Return what the n-gram model gives to each character, counted anew now and then."""
    result = np.empty(len(ids) - 1)
    # A text of songs begins with the mark that the last one learned ends with.
    begun = 0 if recall.end is None else 1
    times = min(max(_COUNTED // len(learned), 1), _COUNTS)
    size = math.ceil(len(result) / times)
    for start in range(0, len(result), size):
        text = newest(np.concatenate((learned, ids[begun : start + 1])), recall.unpredicted)
        ngram = count_ngram(
            text, recall.vocabulary_size, end=recall.end, unpredicted=recall.unpredicted
        )
        first = max(start - _RUN_UP, 0)
        result[start : start + size] = ngram.probabilities(ids[first : start + size + 1])[
            start - first :
        ]
    return result
