"""What a run keeps of what its model is blended with: the grams of its training text.

``run.json`` says how many there are and how strongly the text holds to what it expects;
``recall.safetensors`` has the grams, level by level, as `charlstm.model.recall.counting` describes
them.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as to_safetensors

from charlstm.checks import check_real
from charlstm.errors import Part, RunError, Setting
from charlstm.files import ADVICE
from charlstm.model.recall.counting import Level
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.ngram import NGram
from charlstm.model.recall.recall import Recall
from charlstm.model.recall.so_far import Pull
from charlstm.runs.fields import counted, typed
from charlstm.runs.tensors import Shapes, WholeNumbers, read_tensors
from charlstm.text.vocabulary import Vocabulary

NAME = "recall.safetensors"
"""The file of the grams."""
WITHOUT_GRAMS: tuple[Part, ...] = (
    " Without it the network alone can still write and be measured, with ",
    Setting("recall", 0),
    ".",
)
"""What to do about one that cannot be read."""

# No pull is weaker or stronger. With one of nothing, what the song has not said could not be said.
_WEAKEST, _STRONGEST = 1e-6, 1e7
# No gram has more characters.
_LONGEST = 100
# Shares are rounded, and so are their sums.
_ROUNDED = 1e-3


@dataclass(frozen=True)
class Remembered:
    """What ``run.json`` says of it.

    Attributes:
        pull: how strongly the text holds to what it expects.
        line: see `charlstm.model.recall.recall.Recall`.
        grams: how many grams of 1, 2, ... characters there are; nothing if none are kept.
    """

    pull: Pull
    line: int
    grams: tuple[int, ...] = ()

    @classmethod
    def of(cls, recall: Recall | None) -> "Remembered | None":
        """Return what is to be said of a recall; ``None`` of none."""
        if recall is None:
            return None
        levels = () if recall.ngram is None else recall.ngram.levels
        return cls(recall.pull, recall.line, tuple(len(level.symbols) for level in levels))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``run.json``."""
        return {
            "discount": self.pull.discount,
            "pulls": list(self.pull.pulls),
            "line": self.line,
            "grams": list(self.grams),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Remembered":
        """Rebuild and check what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, CharLSTMError: a field is not what it must be.
        """
        pulls, grams = typed(value, "pulls", list), typed(value, "grams", list)
        if len(pulls) != len(LENGTHS):
            raise ValueError(f"pulls must be {len(LENGTHS)} numbers.")
        check_real("discount", value["discount"], 0, 0.99)
        for pull in pulls:
            check_real("pulls", pull, _WEAKEST, _STRONGEST)
        if not all(type(number) is int and 0 < number < 2**32 for number in grams):
            raise TypeError("grams must be whole numbers.")
        if len(grams) > _LONGEST:
            raise ValueError(f"grams must be no more than {_LONGEST} numbers.")
        pull = Pull(float(value["discount"]), tuple(map(float, pulls)))
        return cls(pull, counted(value, "line"), tuple(grams))


def gram_bytes(recall: Recall) -> bytes | None:
    """Return what ``recall.safetensors`` holds; ``None`` where no grams are kept."""
    if recall.ngram is None:
        return None
    tensors: dict[str, NDArray[Any]] = {}
    for length, level in enumerate(recall.ngram.levels, start=1):
        tensors[f"{length}/symbols"] = level.symbols
        tensors[f"{length}/shares"] = level.shares
        tensors[f"{length}/starts"] = level.starts
    return to_safetensors(tensors)


def read_recall(path: Path, remembered: Remembered, vocabulary: Vocabulary) -> Recall:
    """Return the recall of a run.

    Args:
        path: of the file of its grams, which is read if there should be one.
        remembered: what ``run.json`` says.
        vocabulary: of the run.

    Raises:
        RunError: the file is missing, or is not what it must be.
    """
    V, end, unpredicted = len(vocabulary), vocabulary.end, vocabulary.unpredicted
    ngram = None
    if remembered.grams:
        try:
            levels = _levels(path, remembered.grams, V)
        except RunError as error:
            raise RunError(*error.message.parts, *WITHOUT_GRAMS) from None
        ngram = NGram(levels, V, end, unpredicted)
    return Recall(V, remembered.pull, remembered.line, ngram, end, unpredicted)


def _levels(path: Path, grams: tuple[int, ...], V: int) -> list[Level]:  # noqa: N803
    kind = "U16" if V <= 1 << 16 else "U32"
    shapes: Shapes = {}
    for length, (contexts, number) in enumerate(itertools.pairwise((1, *grams)), start=1):
        shapes[f"{length}/symbols"] = WholeNumbers(kind, number)
        shapes[f"{length}/shares"] = (number,)
        shapes[f"{length}/starts"] = WholeNumbers("U32", contexts + 1)
    tensors = read_tensors(path, lambda _: shapes)
    levels = []
    for length in range(1, len(grams) + 1):
        symbols, shares, starts = (
            tensors[f"{length}/{name}"] for name in ("symbols", "shares", "starts")
        )
        if not (_in_order(symbols, starts, V) and _are_shares(shares, starts)):
            raise RunError(
                f"{path} is damaged: its grams of {length} are no probabilities. {ADVICE}"
            )
        levels.append(Level.of(symbols, shares, starts))
    return levels


def _in_order(symbols: NDArray[Any], starts: NDArray[Any], V: int) -> bool:  # noqa: N803
    """Return whether what follows each context stands together, by ascending id."""
    within = (
        starts[0] == 0 and starts[-1] == len(symbols) and bool((starts[:-1] <= starts[1:]).all())
    )
    if not within or symbols.max() >= V:
        return False
    begins = np.zeros(len(symbols) + 1, dtype=bool)
    begins[starts] = True
    return bool(((symbols[1:] > symbols[:-1]) | begins[1:-1]).all())


def _are_shares(shares: NDArray[Any], starts: NDArray[Any]) -> bool:
    """Return whether the shares that follow each context are no more than all, none negative."""
    return bool(shares.min() >= 0 and _sums(shares, starts).max() <= 1 + _ROUNDED)


def _sums(shares: NDArray[Any], starts: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the shares that follow each context come to."""
    sums = np.concatenate(([0.0], np.cumsum(shares, dtype=np.float64)))
    every: NDArray[np.float64] = np.diff(sums[starts])
    return every
