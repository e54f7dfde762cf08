"""Which of several lines lead on to a text that follows them already."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.writing.point import Point
from charlstm.writing.sampler import Sampler

# So many characters of what follows decide: a later one hardly depends on the line any more.
_DECIDES = 100


def log_likelihoods(
    sampler: Sampler, points: Sequence[Point], following: str
) -> NDArray[np.float64]:
    """Return how likely a text is after each of several points, all of them read side by side.

    By Bayes, the probability of a line between two others is that of the line after what is before
    it, times this.

    Args:
        sampler: the model.
        points: where it may stand before the text.
        following: the text; characters that the model has never seen are read as what is nearest.

    Returns:
        ``[len(points)]``, natural logarithms, at temperature 1, of the first hundred characters of
        the text together.
    """
    network = sampler.network
    read = sampler.prefix(following, "map").read[:_DECIDES]
    state = network.gather([(point.state.remember(), 0) for point in points])
    summed = np.zeros(len(points))
    for character in sampler.vocabulary.encode(read):
        logits = network.logits(state).astype(np.float64)
        highest = logits.max(axis=1)
        log_sums = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
        summed += logits[:, character] - log_sums
        network.step(state, np.full(len(points), character, dtype=np.intp))
    return summed
