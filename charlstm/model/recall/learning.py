"""What is remembered of a training text, learned: its grams are counted, its pulls found."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.counting import count_levels
from charlstm.model.recall.fitting import fit_pull
from charlstm.model.recall.ngram import SMALL_ALPHABET, NGram
from charlstm.model.recall.recall import MOST_CHARACTERS, Recall
from charlstm.text.vocabulary import Ids

# In a large alphabet longer grams take more memory than they are worth.
_ORDERS = (7, 5)
# More grams are not kept.
_MOST_GRAMS = 16_000_000


def learn_recall(
    ids: Ids,
    vocabulary_size: int,
    *,
    newline: int | None = None,
    end: int | None = None,
    unpredicted: NDArray[np.bool_] | None = None,
    grams: bool = True,
) -> Recall:
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
    return Recall(vocabulary_size, pull, line, ngram, end, unpredicted)


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
