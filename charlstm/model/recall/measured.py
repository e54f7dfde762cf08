"""A text as what is remembered sees it, and as the blend of that with a network.

    p = (1 - share) p_network + share p_ngram,    then what the song so far adds to that

with a share that follows from how well the two have just predicted, see
`charlstm.model.recall.shares`. Linear, because then the probability of a character needs nothing of
all others: a text is measured with one number of each part a character.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import Real, nats_of
from charlstm.model.recall.shares import gain, leads, share_after
from charlstm.recipes.named import SHARE


@dataclass(frozen=True)
class Measured:
    """What a recall gives to each character of a text but the first, ``[N - 1]`` each.

    Where a character is never predicted, it gives nothing.

    Attributes:
        ngram: the probability that the n-gram model gives it; ``None`` if there is none.
        keep: by what its probability is multiplied for what the song has said so far.
        add: what is added then.
        begins: whether a song begins with it.
    """

    ngram: Real | None
    keep: Real
    add: Real
    begins: NDArray[np.bool_]

    def leads(self, network: Real, start: int = 0, lead: float = 0.0) -> Real:
        """Return how much the n-gram model leads before each of M characters, and after the last.

        Args:
            network: ``[M]``: the network's probabilities of the characters from the one at `start`
                on.
            start: where they begin.
            lead: before the first.
        """
        part = slice(start, start + len(network))
        if self.ngram is None:
            return np.zeros(len(network) + 1)
        # What is never predicted tells nothing.
        ngram = self.ngram[part]
        gains = np.where(ngram > 0, gain(network, ngram), 0.0)
        return leads(gains, self.begins[part], lead)

    def static(
        self, network: Real, share: float = SHARE, start: int = 0, lead: Real | None = None
    ) -> Real:
        """Return the probabilities of network and n-gram model, without the song so far.

        Args:
            network: see `leads`.
            share: of the n-gram model, where nothing has been predicted yet.
            start: where they begin.
            lead: what `leads` returns, where that is known; it begins with none where ``None``.
        """
        if self.ngram is None:
            return network
        lead = self.leads(network, start) if lead is None else lead
        shares = share_after(lead[:-1], share)
        return (1 - shares) * network + shares * self.ngram[start : start + len(network)]

    def blended(
        self,
        network: Real,
        share: float = SHARE,
        start: int = 0,
        lead: Real | None = None,
        strength: float | None = None,
    ) -> Real:
        """Return the probabilities of the blend; see `static`.

        Args:
            network: see there.
            share: see there.
            start: see there.
            lead: see there.
            strength: of the song so far; what goes with the share where ``None``.
        """
        part = slice(start, start + len(network))
        strength = strength_of(share) if strength is None else strength
        keep = 1 - strength * (1 - self.keep[part])
        return keep * self.static(network, share, start, lead) + strength * self.add[part]

    def surprisal(
        self, nats: Real, share: float = SHARE, start: int = 0, lead: float = 0.0
    ) -> tuple[Real, float]:
        """Return what `blended` returns as negative logarithms, and the lead after it.

        Args:
            nats: ``[M]``: the negative logarithms of the network's probabilities.
            share: see `blended`.
            start: see there.
            lead: before the first.
        """
        network = np.exp(-nats)
        known = self.leads(network, start, lead)
        return nats_of(self.blended(network, share, start, known)), float(known[-1])


def strength_of(share: float) -> float:
    """Return how much the song so far counts: all of it, less if the n-gram model counts less."""
    return min(share / SHARE, 1.0)
