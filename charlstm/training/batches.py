"""The token stream as ``[T, B]`` windows, in the order in which training reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.errors import CorpusError, Setting, count
from charlstm.model.rows import Rows
from charlstm.text.vocabulary import Ids

IGNORED = -100
"""The target of what is read and never predicted, as torch's losses have it."""

Ends = NDArray[np.int64]
"""Where songs begin and end in a text, ascending: one more than there are songs."""

# A label is read as none in one song of so many, so that a model can do without.
_HIDDEN = 10

# What tells one stream of random numbers from another that has the same seed and epoch.
_LABELS, _ORDER, _OFFSET = 1, 9, 17

FEWEST_CHARACTERS = 100
"""A training text shorter than this teaches nothing that could be measured."""


@dataclass(frozen=True)
class Window:
    """What one optimiser step reads.

    B is how many rows are read here.

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
        ends: of the songs in the text.
    """

    places: NDArray[np.int64]
    none: NDArray[np.int64]
    ends: Ends

    def hidden(self, seed: int, epoch: int) -> NDArray[np.bool_]:
        """Return ``[songs, names]``: which labels are read as none in an epoch.

        In one song of ten none has a label; in the others each has none in one of ten, if there are
        several.
        """
        generator = np.random.default_rng([seed, epoch, _LABELS])
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


class _Reordered:
    """A text whose songs stand in another order, as places in the text that there is.

    What stands before the first song and after the last one stays where it is.

    Args:
        ends: of its songs.
        generator: of the order.
    """

    def __init__(self, ends: Ends, generator: np.random.Generator) -> None:
        order = generator.permutation(len(ends) - 1)
        begins = np.empty(len(ends) + 1, dtype=np.int64)
        begins[0], begins[1] = 0, ends[0]
        np.cumsum(np.diff(ends)[order], out=begins[2:])
        begins[2:] += ends[0]
        self._begins = begins
        self._shifts = np.zeros_like(begins)
        self._shifts[1:-1] = ends[order] - begins[1:-1]

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where what has these places in the new order stands in the text."""
        song = np.searchsorted(self._begins, places, side="right") - 1
        return places + self._shifts[song]


class Windows:
    """Every epoch's windows over one text.

    An epoch is a function of the seed and its number alone, so a resumed run finds its place
    without replaying anything.

    Args:
        ids: ``[N]`` the text.
        batch: B. ``fit`` returns the values that a small text allows.
        window: T; consecutive windows may be a little shorter, to come out even.
        sampling: ``"consecutive"``, ``"songs"`` or ``"random"``.
        layout: of windows that are not random: ``"even"`` leaves out nothing; ``"whole"`` and
            ``"offset"`` have windows of T, as Dive into Deep Learning has them in its first and in
            its second edition, and leave out what fills none at the end of each row.
        seed: of the order, and of the labels that are hidden.
        labels: of the songs; they are read and never predicted. ``None`` if there are none.
        ends: of the songs; ``None`` or nothing for a text of one piece, which ``"songs"`` reads as
            ``"consecutive"`` does.
        rows: those of the batch that are read here; all where ``None``. What stands in a row does
            not depend on whose the others are.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        batch: int,
        window: int,
        sampling: str,
        seed: int,
        layout: str = "even",
        labels: Labelled | None = None,
        ends: Ends | None = None,
        rows: Rows | None = None,
    ) -> None:
        assert batch * window < len(ids), "fit() comes first"
        self.ids = ids
        self.labels = labels
        self.batch, self.window = batch, window
        self.sampling, self.layout = sampling, layout
        self.seed = seed
        self._part = (rows or Rows.dealt(batch)).part
        self._ends = None
        if sampling == "songs" and ends is not None and len(ends) > 1:
            self._ends = ends
        if sampling == "random":
            self.steps = (len(ids) - 1) // window // batch
            self._row = self.steps * window
        elif layout == "even":
            # Rows begin at even distances and are as long as the longest distance, so that some
            # neighbours share one character and none is ever left out. Their windows are as even
            # as possible, at most T long, so that no step is made on a sliver.
            self._row = -(-(len(ids) - 1) // batch)
            self.steps = -(-self._row // window)
        else:
            # In the first edition a row's targets lie within the row; in the second they need not,
            # and the latest beginning decides here, so that all epochs have as many steps.
            whole = layout == "whole"
            row = len(ids) // batch - 1 if whole else (len(ids) - window - 1) // batch
            self.steps = max(row // window, 1)
            self._row = self.steps * window

    def characters(self, steps: int) -> int:
        """Return how many characters the first `steps` optimiser steps read."""
        epochs, windows = divmod(steps, self.steps)
        return self.batch * (epochs * self._row + self._begin(windows))

    def epoch(self, number: int, start: int = 0) -> Iterator[Window]:
        """Yield the windows of epoch `number` (from 0), from window `start` on."""
        B, T = self.batch, self.window
        hidden = None if self.labels is None else self.labels.hidden(self.seed, number)
        if self.sampling != "random":
            moved = None
            if self._ends is not None:
                generator = np.random.default_rng([self.seed, number, _ORDER])
                moved = _Reordered(self._ends, generator)
            rows = self._rows(number)[self._part]
            for step in range(start, self.steps):
                begin, end = self._begin(step), self._begin(step + 1)
                yield self._window(rows + begin, end - begin, step == 0, hidden, moved)
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
                rows = order[step * B : (step + 1) * B][self._part]
                yield self._window(rows, T, True, hidden)

    def _rows(self, number: int) -> NDArray[np.int64]:
        """Return where the rows of epoch `number` begin, where windows are not random."""
        N, B = len(self.ids), self.batch
        if self.layout == "even":
            return np.arange(B) * (N - 1) // B
        offset = 0
        if self.layout == "offset":
            latest = min(self.window, N - 1 - B * self._row)  # of a short text
            generator = np.random.default_rng([self.seed, number, _OFFSET])
            offset = int(generator.integers(0, latest + 1))
        within = self.layout == "whole" and self._row < N // B
        return offset + np.arange(B) * (N // B if within else (N - offset - 1) // B)

    def _begin(self, step: int) -> int:
        """Return where in its row window `step` begins."""
        return -(-step * self._row // self.steps)

    def _window(
        self,
        starts: NDArray[np.int64],
        length: int,
        fresh: bool,
        hidden: NDArray[np.bool_] | None,
        moved: _Reordered | None = None,
    ) -> Window:
        places = starts[:, None] + np.arange(length + 1)
        if moved is not None:
            places = moved(places)
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
