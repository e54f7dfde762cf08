"""The token stream as ``[T, B]`` windows, in the order in which training reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.errors import CorpusError, Setting, count
from charlstm.text.vocabulary import Ids

FEWEST_CHARACTERS = 100
"""A training text shorter than this teaches nothing that could be measured."""


@dataclass(frozen=True)
class Window:
    """What one optimiser step reads.

    Attributes:
        inputs: ``[T, B]`` int64, the ids read.
        targets: ``[T, B]`` int64, the ids that follow them.
        fresh: whether the state must be zero before this window.
    """

    inputs: Tensor
    targets: Tensor
    fresh: bool


def fit(characters: int, batch: int, window: int) -> tuple[int, int]:
    """Shrink batch and window, the batch first, until a text fills at least one batch of windows.

    Raises:
        CorpusError: the text is too small to learn from.
    """
    if characters < FEWEST_CHARACTERS:
        raise CorpusError(
            f"The training text has {count(characters, 'character')}; at least "
            f"{FEWEST_CHARACTERS:,} are needed (10,000 or more before it learns to spell). "
            "Add text, or hold out less with ",
            Setting("validation"),
            ".",
        )
    window = min(window, characters - 1)
    return min(batch, (characters - 1) // window), window


class Windows:
    """Every epoch's windows over one text.

    An epoch is a function of the seed and its number alone, so a resumed run finds its place
    without replaying anything.

    Args:
        ids: ``[N]`` the text.
        batch: B. ``fit`` returns the values that a small text allows.
        window: T; consecutive windows may be a little shorter, to come out even.
        sampling: ``"consecutive"`` or ``"random"``.
        seed: of the order.
    """

    def __init__(self, ids: Ids, *, batch: int, window: int, sampling: str, seed: int) -> None:
        assert batch * window < len(ids), "fit() comes first"
        self.ids = ids
        self.batch, self.window = batch, window
        self.sampling = sampling
        self.seed = seed
        if sampling == "consecutive":
            # Rows begin at even distances and are as long as the longest distance, so that some
            # neighbours share one character and none is ever left out. Their windows are as even
            # as possible, at most T long, so that no step is made on a sliver.
            self._row = -(-(len(ids) - 1) // batch)
            self.steps = -(-self._row // window)
        else:
            self.steps = (len(ids) - 1) // window // batch
            self._row = self.steps * window

    def characters(self, steps: int) -> int:
        """Return how many characters the first `steps` optimiser steps read."""
        epochs, windows = divmod(steps, self.steps)
        return self.batch * (epochs * self._row + self._begin(windows))

    def epoch(self, number: int, start: int = 0) -> Iterator[Window]:
        """Yield the windows of epoch `number` (from 0), from window `start` on."""
        B, T = self.batch, self.window
        if self.sampling == "consecutive":
            rows = np.arange(B) * (len(self.ids) - 1) // B
            for step in range(start, self.steps):
                begin, end = self._begin(step), self._begin(step + 1)
                yield self._window(rows + begin, end - begin, fresh=step == 0)
        else:
            generator = np.random.default_rng([self.seed, number])
            pieces = (len(self.ids) - 1) // T
            # The pieces begin elsewhere in every epoch, and those left over, which do not fill a
            # batch, differ each time: nothing is left out for long.
            offset = int(generator.integers(0, len(self.ids) - pieces * T))
            # In place: for gigabytes of text the numbers of its pieces take hundreds of megabytes.
            order = generator.permutation(pieces)
            order *= T
            order += offset
            for step in range(start, self.steps):
                yield self._window(order[step * B : (step + 1) * B], T, fresh=True)

    def _begin(self, step: int) -> int:
        """Return where in its row window `step` begins."""
        return -(-step * self._row // self.steps)

    def _window(self, starts: NDArray[np.int64], length: int, *, fresh: bool) -> Window:
        rows = self.ids[starts[:, None] + np.arange(length + 1)]
        text = torch.from_numpy(np.ascontiguousarray(rows.T, dtype=np.int64))
        return Window(text[:-1], text[1:], fresh)
