"""Held-out songs that the training text has as well, or nearly: they flatter whoever is measured.

A text of songs may hold one of them twice, in two versions or as a chorus by itself. A model that
has learned the one is measured on the other.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from charlstm.text.corpus import Corpus

# A song is a twin if this share of its passages of so many characters is in the training text.
_LENGTH, _SHARE = 12, 0.5
# A longer text is not looked at: that would take longer than people wait before a training.
_LONGEST = 1 << 25
_PIECE = 1 << 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def twins(corpus: Corpus, cut: int) -> list[str]:
    """Return the first lines of the held-out songs that are, for the most part, learned as well.

    Args:
        corpus: of songs.
        cut: where its held-out part begins.
    """
    if len(corpus) > _LONGEST:
        return []
    measured = list(_hashes(corpus, cut, len(corpus)))
    if not measured:
        return []
    hashes = np.concatenate(measured)
    known = np.unique(hashes)
    learned = np.zeros(len(known), dtype=bool)
    for piece in _hashes(corpus, 0, cut):
        places = np.minimum(np.searchsorted(known, piece), len(known) - 1)
        learned[places[known[places] == piece]] = True
    found = []
    ends = corpus.ends[corpus.ends >= cut]
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        first = begin + 1 + len(corpus.labels.names)
        own = hashes[first - cut : max(end - _LENGTH + 1, first) - cut]
        if len(own) and learned[np.searchsorted(known, own)].mean() >= _SHARE:
            song = "".join(corpus.pieces(first, end))
            found.append(song.partition("\n")[0])
    return found


def _hashes(corpus: Corpus, start: int, end: int) -> Iterator[NDArray[np.uint64]]:
    """Yield a hash of the passage that begins at each place, where a whole one does."""
    for at in range(start, end - _LENGTH + 1, _PIECE):
        ids = corpus.ids[at : min(at + _PIECE + _LENGTH - 1, end)].astype(np.uint64) + np.uint64(1)
        size = len(ids) - _LENGTH + 1
        hashes = np.zeros(size, dtype=np.uint64)
        for k in range(_LENGTH):
            hashes *= _FACTOR
            hashes ^= ids[k : k + size]
            hashes ^= hashes >> np.uint64(29)
        yield hashes
        corpus.release()
