"""Network and n-gram model multiplied: the blend of small alphabets.

    p = p_network^a p_ngram^b / Z
    a = c (1 - w),    b = c w,    c = 1 + CURVE w (1 - w),    w = 3 share / (2 + share)

with the Z that makes it sum to one: a logarithmic opinion pool (Genest & Zidek 1986), or product of
experts (Hinton 2002). What either finds impossible stays so, which their sum forgets: with few
characters both know well what cannot come; of thousands most are rare, and a veto may be a mistake.
A share of 0 is the network, one of 1 the n-gram model, and with the usual one, 0.4, both count
alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.recall.ngram import TINY, Contexts, NGram, Nodes, Real
from charlstm.model.recall.shares import Number

LINEAR, PRODUCT = "linear", "product"
"""How network and n-gram model are blended: their sum, or this."""

WAYS = (LINEAR, PRODUCT)
"""All of them, by the names that ``run.json`` has."""

LARGEST_ALPHABET = 1_000
"""With no more characters the product is better."""

CURVE = 0.2
"""How much sharper than a geometric mean it is: by a twentieth where both count alike."""

# So many numbers of distributions are multiplied at once, which stay in the processor's cache.
_BLOCK = 1 << 16


def way_for(vocabulary_size: int) -> str:
    """Return how a model of so many characters is blended."""
    return PRODUCT if vocabulary_size <= LARGEST_ALPHABET else LINEAR


def powers(shares: Number) -> tuple[Number, Number]:
    """Return a and b for the share of the n-gram model, ``[N]`` or one number."""
    weights = 3 * shares / (2 + shares)
    sharper = 1 + CURVE * weights * (1 - weights)
    return sharper * (1 - weights), sharper * weights


@dataclass(frozen=True)
class Grams:
    """What an n-gram model expects at each place of a text, made where it is asked for.

    Attributes:
        ngram: the model.
        nodes: ``[N, K]``: what had been read before each place, see `Contexts`.
        ids: ``[N]``: what came there.
    """

    ngram: NGram
    nodes: Nodes
    ids: NDArray[np.integer[Any]]

    def part(self, places: slice) -> "Grams":
        """Return the same of some of the places."""
        return Grams(self.ngram, self.nodes[places], self.ids[places])

    def multiplied(self, logits: NDArray[np.floating[Any]], shares: Real) -> Real:
        """Return how likely the product of a network and this finds what came at each place.

        Args:
            logits: ``[N, V]``: of the network.
            shares: ``[N]``: of this, or ``[S, N]`` for several at once.

        Returns:
            As many as there are shares.
        """
        result = np.empty(shares.shape)
        block = max(_BLOCK // self.ngram.vocabulary_size, 1)
        for start in range(0, len(self.ids), block):
            part = slice(start, start + block)
            ids = self.ids[part]
            given, expected = logits[part].astype(np.float64), self._logarithms(part)
            for which in np.ndindex(shares.shape[:-1]):
                result[which][part] = _product(given, expected, shares[which][part], ids)
        return result

    def _logarithms(self, part: slice) -> Real:
        """Return ``[M, V]`` logarithms of what is expected; of what never comes, minus infinity."""
        expected = self.ngram.spread(Contexts(self.nodes[part]))
        np.maximum(expected, TINY, out=expected)
        np.log(expected, out=expected)
        if self.ngram.unpredicted is not None:
            expected[:, self.ngram.unpredicted] = -np.inf
        return expected


def _product(logits: Real, expected: Real, shares: Real, ids: NDArray[np.integer[Any]]) -> Real:
    a, b = powers(shares)
    # With nothing of the n-gram model there would be 0 times infinity.
    whole = np.maximum(b, TINY)[:, None] * expected
    whole += a[:, None] * logits
    whole -= whole.max(axis=1, keepdims=True)
    np.exp(whole, out=whole)
    likely: Real = whole[np.arange(len(ids)), ids] / whole.sum(axis=1)
    return likely
