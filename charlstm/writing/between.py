"""Which of several lines lead on to a text that follows them already."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.reader import Standing
from charlstm.writing.sampler import Sampler

# So many characters of what follows decide: a later one hardly depends on the line any more.
_DECIDES = 60


def log_likelihoods(
    sampler: Sampler, state: Standing, lines: Sequence[str], following: str
) -> NDArray[np.float64]:
    """Return how likely a text is after each of several lines, all of them read side by side.

    By Bayes, the probability of a line between two others is that of the line after what is before
    it, times this.

    Args:
        sampler: the model.
        state: where it stands before the lines; stays as it is.
        lines: each as the model reads it, with what ends it.
        following: the text; characters that the model has never seen are read as what is nearest.

    Returns:
        ``[len(lines)]``, natural logarithms, at temperature 1, of the first sixty characters of
        the text together.
    """
    network = sampler.network
    read = sampler.prefix(following, "map").read[:_DECIDES]
    state = _read_apart(sampler, state, lines)
    summed = np.zeros(len(lines))
    for character in sampler.vocabulary.encode(read):
        logits = network.logits(state).astype(np.float64)
        highest = logits.max(axis=1)
        log_sums = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
        summed += logits[:, character] - log_sums
        network.step(state, np.full(len(lines), character, dtype=np.intp))
    return summed


def _read_apart(sampler: Sampler, state: Standing, texts: Sequence[str]) -> Standing:
    """Return where a model stands after each of several texts of different lengths."""
    network = sampler.network
    ids = [sampler.vocabulary.encode(text).astype(np.intp) for text in texts]
    state = network.take(state, [0] * len(ids))
    running = list(range(len(ids)))
    ended: dict[int, tuple[Any, int]] = {}
    for place in range(max(map(len, ids)) + 1):
        rows = [row for row, one in enumerate(running) if len(ids[one]) > place]
        if len(rows) < len(running):
            memory = state.remember()
            ended |= {
                one: (memory, row) for row, one in enumerate(running) if len(ids[one]) == place
            }
            if not rows:
                break
            running, state = [running[row] for row in rows], state.take(rows)
        network.step(state, np.array([ids[one][place] for one in running]))
    gathered: Standing = network.gather([ended[one] for one in range(len(ids))])
    return gathered
