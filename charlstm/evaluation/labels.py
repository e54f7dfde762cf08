"""What the labels of songs are worth: a text measured with them, with none and with others'."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.figures import perplexity
from charlstm.text.corpus import IdArray
from charlstm.text.vocabulary import Vocabulary

# More songs are better than worse, and by more than chance, if the difference is so many standard
# deviations of what coins would do. What they gain together says less: one song that a wrong label
# leads astray can outweigh all others.
_DEVIATIONS = 2.0
# Of the order in which the labels are shuffled, so that a run always has the same figure.
_SEED = 0

Measure = Callable[[IdArray], NDArray[np.float32]]
"""Returns the nats of every id of a text but the first."""


@dataclass(frozen=True)
class Worth:
    """A text of songs with labels under one model.

    Attributes:
        loss: with its labels, in nats a predicted symbol.
        none_loss: with every label read as none.
        shuffled_loss: with every song's labels those of some song of the text; ``None`` if all
            have the same.
        certain: whether both are higher, and by no chance: so many more songs are predicted better
            with their labels than worse.
    """

    loss: float
    none_loss: float
    shuffled_loss: float | None
    certain: bool

    @property
    def share(self) -> float:
        """By which share the labels make the perplexity lower, than either is; 0 if by chance."""
        if not self.certain:
            return 0.0
        others = (loss for loss in (self.none_loss, self.shuffled_loss) if loss is not None)
        return 1 - perplexity(self.loss) / perplexity(min(others))

    def to_json(self) -> dict[str, float | None]:
        """Return every figure by its name."""
        shuffled = self.shuffled_loss
        return {
            "label_none_loss": self.none_loss,
            "label_none_perplexity": perplexity(self.none_loss),
            "label_shuffled_loss": shuffled,
            "label_shuffled_perplexity": None if shuffled is None else perplexity(shuffled),
            "label_share": self.share,
        }


def worth(
    vocabulary: Vocabulary, ids: IdArray, nats: NDArray[np.float32], measure: Measure
) -> Worth | None:
    """Return what the labels in a text are worth; ``None`` if it has none.

    Args:
        vocabulary: the model's.
        ids: ``[N]`` the text, with the ends of songs and their labels.
        nats: ``[N - 1]`` what `measure` returns for it.
        measure: the model.
    """
    if vocabulary.places is None:
        return None
    places = vocabulary.places[ids]
    none_ids, shuffled_ids = ids.copy(), ids.copy()
    for place, none in enumerate(vocabulary.encode(vocabulary.labels.none)):
        at = np.flatnonzero(places == place)
        none_ids[at] = none
        # Begun anew, so that the labels of a song stay together.
        shuffled_ids[at] = ids[np.random.default_rng(_SEED).permutation(at)]
    if np.array_equal(none_ids, ids):
        return None
    counted = places[1:] < 0
    song = np.cumsum(ids[:-1] == vocabulary.end)[counted]
    song -= song[0]
    nats = nats[counted].astype(np.float64)

    def compared(others: IdArray) -> tuple[float, bool]:
        other = measure(others)[counted].astype(np.float64)
        gains = np.bincount(song, other - nats)
        better, worse = int((gains > 0).sum()), int((gains < 0).sum())
        more = better - worse > _DEVIATIONS * math.sqrt(better + worse)
        return float(other.mean()), more and float(gains.sum()) > 0

    none_loss, certain = compared(none_ids)
    shuffled_loss = None
    if not np.array_equal(shuffled_ids, ids):
        shuffled_loss, also = compared(shuffled_ids)
        certain = certain and also
    return Worth(float(nats.mean()), none_loss, shuffled_loss, certain)
