"""The token stream as ``[T, B]`` windows, in the order in which training reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.errors import CorpusError, Setting, count
from charlstm.text.vocabulary import Ids

IGNORED = -100
"""The target of what is read and never predicted, as torch's losses have it."""

# A label is read as none in one song of so many, so that a model can do without.
_HIDDEN = 10

FEWEST_CHARACTERS = 100
"""A training text shorter than this teaches nothing that could be measured."""


@dataclass(frozen=True)
class Window:
    """What one optimiser step reads.

    Attributes:
        inputs: ``[T, B]`` int64, the ids read.
        targets: ``[T, B]`` int64, the ids that follow them, or `IGNORED`.
        fresh: whether the state must be zero before this window.
        counted: how many targets are predicted.
    """

    inputs: Tensor
    targets: Tensor
    fresh: bool
    counted: int


@dataclass(frozen=True)
class Labelled:
    """The labels of the songs in a text.

    Attributes:
        places: ``[V]``: of each id that is a label's, which of the names; -1 of all others.
        none: ``[names]``: the id that is read where a song has none of a name.
        ends: where songs begin and end in the text, ascending.
    """

    places: NDArray[np.int64]
    none: NDArray[np.int64]
    ends: NDArray[np.int64]

    def hidden(self, seed: int, epoch: int) -> NDArray[np.bool_]:
        """Return ``[songs, names]``: which labels are read as none in an epoch.

        In one song of ten none has a label; in the others each has none in one of ten, if there are
        several.
        """
        generator = np.random.default_rng([seed, epoch, 1])
        drawn = generator.random((len(self.ends), 1 + len(self.none))) < 1 / _HIDDEN
        several = len(self.none) > 1
        return np.logical_or(drawn[:, :1], drawn[:, 1:] & several)


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
        seed: of the order, and of the labels that are hidden.
        labels: of the songs; they are read and never predicted. ``None`` if there are none.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        batch: int,
        window: int,
        sampling: str,
        seed: int,
        labels: Labelled | None = None,
    ) -> None:
        assert batch * window < len(ids), "fit() comes first"
        self.ids = ids
        self.labels = labels
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
        hidden = None if self.labels is None else self.labels.hidden(self.seed, number)
        if self.sampling == "consecutive":
            rows = np.arange(B) * (len(self.ids) - 1) // B
            for step in range(start, self.steps):
                begin, end = self._begin(step), self._begin(step + 1)
                yield self._window(rows + begin, end - begin, step == 0, hidden)
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
                yield self._window(order[step * B : (step + 1) * B], T, True, hidden)

    def _begin(self, step: int) -> int:
        """Return where in its row window `step` begins."""
        return -(-step * self._row // self.steps)

    def _window(
        self,
        starts: NDArray[np.int64],
        length: int,
        fresh: bool,
        hidden: NDArray[np.bool_] | None,
    ) -> Window:
        places = starts[:, None] + np.arange(length + 1)
        rows = self.ids[places]
        text = np.ascontiguousarray(rows.T, dtype=np.int64)
        if self.labels is None:
            ids = torch.from_numpy(text)
            return Window(ids[:-1], ids[1:], fresh, length * len(starts))
        names = self.labels.places[text]
        is_label = names >= 0
        at, name = places.T[is_label], names[is_label]
        assert hidden is not None, "there are labels to hide"
        song = np.searchsorted(self.labels.ends, at) - 1
        targets = np.where(is_label, IGNORED, text)[1:]
        text[is_label] = np.where(hidden[song, name], self.labels.none[name], text[is_label])
        counted = targets.size - int(is_label[1:].sum())
        return Window(torch.from_numpy(text[:-1]), torch.from_numpy(targets), fresh, counted)
