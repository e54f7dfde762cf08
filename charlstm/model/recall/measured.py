"""A text as what is remembered sees it, and as the blend of that with a network.

    p = (1 - share) p_network + share p_ngram,    then what the song so far adds to that

with a share that follows from how well the two have just predicted, see
`charlstm.model.recall.shares`. That is linear: the probability of a character needs nothing of all
others, and a text is measured with one number of each part a character. Where the alphabet is small
the two are multiplied instead, see `charlstm.model.recall.product`; that takes the network's logits
of all characters, a stretch of the text at a time.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import Real, nats_of
from charlstm.model.recall.product import Grams
from charlstm.model.recall.shares import gain, leads, share_after
from charlstm.recipes.named import SHARE

Logits = NDArray[np.floating[Any]] | None
"""``[M, V]``: what a network gives to all characters; ``None`` will do where it is the sum."""


class Surprisal(NamedTuple):
    """Negative logarithms of what a model gives to M characters, in nats.

    Attributes:
        static: ``[M]``: of network and n-gram model.
        whole: ``[M]``: with the song so far.
        lead: how much the n-gram model leads after them.
    """

    static: Real
    whole: Real
    lead: float


@dataclass(frozen=True)
class Measured:
    """What a recall gives to each character of a text but the first, ``[N - 1]`` each.

    Where a character is never predicted, it gives nothing.

    Attributes:
        ngram: the probability that the n-gram model gives it; ``None`` if there is none.
        keep: by what its probability is multiplied for what the song has said so far.
        add: what is added then.
        begins: whether a song begins with it.
        grams: what the n-gram model gives to all other characters, where network and n-gram model
            are multiplied; ``None`` where they are added.
    """

    ngram: Real | None
    keep: Real
    add: Real
    begins: NDArray[np.bool_]
    grams: Grams | None = None

    def part(self, places: slice) -> "Measured":
        """Return the same of some of the characters."""
        return Measured(
            None if self.ngram is None else self.ngram[places],
            self.keep[places],
            self.add[places],
            self.begins[places],
            None if self.grams is None else self.grams.part(places),
        )

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
        self,
        network: Real,
        share: float = SHARE,
        start: int = 0,
        lead: Real | None = None,
        logits: Logits = None,
    ) -> Real:
        """Return the probabilities of network and n-gram model, without the song so far.

        Args:
            network: see `leads`.
            share: of the n-gram model, where nothing has been predicted yet.
            start: where they begin.
            lead: what `leads` returns, where that is known; it begins with none where ``None``.
            logits: of the same characters.
        """
        if self.ngram is None:
            return network
        part = slice(start, start + len(network))
        if share == 1:
            return self.ngram[part]
        lead = self.leads(network, start) if lead is None else lead
        shares = share_after(lead[:-1], share)
        if self.grams is None:
            return (1 - shares) * network + shares * self.ngram[part]
        assert logits is not None, "a product is of all characters"
        return self.grams.part(part).multiplied(logits, shares)

    def blended(
        self,
        network: Real,
        share: float = SHARE,
        start: int = 0,
        lead: Real | None = None,
        logits: Logits = None,
    ) -> Real:
        """Return the probabilities of the blend; see `static`."""
        static = self.static(network, share, start, lead, logits)
        return self.with_song(static, strength_of(share), start)

    def with_song(self, static: Real, strength: float = 1.0, start: int = 0) -> Real:
        """Return what becomes of probabilities with what the song has said so far.

        Args:
            static: ``[M]``: without it.
            strength: how much of the difference is made, from 0 to 1.
            start: where they begin.
        """
        part = slice(start, start + len(static))
        keep = 1 - strength * (1 - self.keep[part])
        return keep * static + strength * self.add[part]

    def surprisal(
        self,
        nats: Real,
        share: float = SHARE,
        start: int = 0,
        lead: float = 0.0,
        logits: Logits = None,
    ) -> Surprisal:
        """Return what `static` and `blended` return as negative logarithms, and the lead after it.

        Args:
            nats: ``[M]``: the negative logarithms of the network's probabilities.
            share: see `static`.
            start: see there.
            lead: before the first.
            logits: see there.
        """
        network = np.exp(-nats)
        known = self.leads(network, start, lead)
        static = self.static(network, share, start, known, logits)
        whole = self.with_song(static, strength_of(share), start)
        return Surprisal(nats_of(static), nats_of(whole), float(known[-1]))


def strength_of(share: float) -> float:
    """Return how much the song so far counts: all of it, less if the n-gram model counts less."""
    return min(share / SHARE, 1.0)
