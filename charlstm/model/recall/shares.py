"""How much of the n-gram model counts, from how well the two have just predicted.

    log odds = log(share / (1 - share)) + RATE lead
    lead = sum_k KEPT^k (log p_ngram - log p_network)

over the characters that the song has said, k = 0 for the newest. It is the weight that Bayes gives
to the n-gram model, if each character told only so much of what it tells, and were forgotten in
time: one share for all texts is wrong where the two are not equally good.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import TINY, Real

# Of one stream a number is faster than an array of one.
Number = TypeVar("Number", Real, float)

RATE = 0.05
"""How much of what a character tells is believed."""

KEPT = 0.95
"""What is left of that one character later."""


def share_after(lead: Number, share: float) -> Number:
    """Return how much the n-gram model counts.

    Args:
        lead: ``[N]``, or one number: of the n-gram model, in nats.
        share: how much it counts where nothing has been predicted yet, from 0 to 1; of 0 and 1
            nothing leads away.
    """
    odds = share * np.exp(RATE * lead)
    shares: Number = odds / (odds + (1 - share))
    return shares


def gain(network: Number, ngram: Number) -> Number:
    """Return by how many nats the n-gram model has predicted better.

    Args:
        network: ``[N]``, or one number: probabilities that the network has given to characters.
        ngram: those of the n-gram model.
    """
    better: Number = np.log(ngram + TINY) - np.log(network + TINY)
    return better


def leads(gains: Real, begins: NDArray[np.bool_], lead: float = 0.0) -> Real:
    """Return how much the n-gram model leads before each of N characters, and after the last.

    Args:
        gains: ``[N]``, see `gain`.
        begins: ``[N]``: whether a song begins with a character: nothing was predicted before it.
        lead: before the first.
    """
    found = np.empty(len(gains) + 1)
    for at, (better, first) in enumerate(zip(gains.tolist(), begins.tolist(), strict=True)):
        found[at] = lead = 0.0 if first else lead
        lead = KEPT * lead + better
    found[-1] = lead
    return found
