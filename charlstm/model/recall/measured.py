"""A text as what is remembered sees it, and as the blend of that with a network.

    p = (1 - share) p_network + share p_ngram,    then what the song so far adds to that

Linear, because then the probability of a character needs nothing of all others: a text is measured
with one number of each part a character.
"""

from dataclasses import dataclass

import numpy as np

from charlstm.model.recall.ngram import Real, nats_of
from charlstm.recipes.named import SHARE


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
