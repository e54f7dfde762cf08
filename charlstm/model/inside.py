"""What a layer went through while it read: every gate at every step, by its letter.

A step follows from the state before it. So whoever knows all states of a text needs one product
for all steps together, and these formulas: those of `charlstm.model.recurrent.equations`, over
``[T, H]`` at once.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from charlstm.model.cells import Array

Blocks = Mapping[str, Array]
"""A share of the pre-activations, ``[T, H]`` each, by the letter of what it goes into."""

LETTERS = {"lstm": "ifgo", "peephole": "ifgo", "coupled": "fgo", "gru": "rzn", "rnn": "h"}
"""What each block of a cell's weights goes into, in the order of the checkpoint."""

QUANTITIES = {
    "lstm": ("c", "h", "i", "f", "o", "g", "kept", "written"),
    "peephole": ("c", "h", "i", "f", "o", "g", "kept", "written"),
    "coupled": ("c", "h", "f", "o", "g", "kept", "written"),
    "gru": ("h", "r", "z", "n", "kept", "written"),
    "rnn": ("h",),
}
"""What there is to see of a unit of each cell, what it remembers first."""


class Memories(NamedTuple):
    """The states of a layer, one for each step.

    Attributes:
        h: ``[T, H]``.
        c: ``[T, H]``; zeros where the cell has no cell state.
    """

    h: Array
    c: Array


class Steps(NamedTuple):
    """What T steps of one layer went through.

    Attributes:
        sums: by letter, ``[T, H]``: what goes through the sigmoid or the tanh of each gate and
            candidate; for the candidate of a GRU, with the reset gate in it.
        values: by letter, ``[T, H]``: the gates, from 0 to 1, the candidate, and the state after
            the step.
        kept: ``[T, H]``: what the new state has of the old one, f c or z h; ``None`` where no
            gate decides that.
        written: ``[T, H]``: what it has of the candidate, i g or (1 - z) n; the same.
    """

    sums: dict[str, Array]
    values: dict[str, Array]
    kept: Array | None
    written: Array | None

    def of(self, what: str) -> Array:
        """Return one of `QUANTITIES`, ``[T, H]``."""
        found = {**self.values, "kept": self.kept, "written": self.written}[what]
        assert found is not None, "a cell's quantities are those that it has"
        return found

    @property
    def keeping(self) -> Array | None:
        """``[T, H]``: the gate that keeps, f or z; ``None`` for a cell without one."""
        return self.values.get("f", self.values.get("z"))

    @property
    def memory(self) -> Array:
        """``[T, H]``: c, or h for a cell that has no other state."""
        return self.values.get("c", self.values["h"])


class Inside(NamedTuple):
    """What happened in a network while it read T characters.

    Attributes:
        layers: what each layer went through.
        logits: ``[T, V]``, of the character after each.
    """

    layers: list[Steps]
    logits: Array


def steps(
    cell: str, a: Blocks, u: Blocks, before: Memories, after: Memories, peephole: Array | None
) -> Steps:
    """Return what T steps went through.

    Args:
        cell: one of `charlstm.recipes.architecture.CELLS`.
        a: the input's share of each step, ``W_ih x + b_ih``.
        u: the share of the state before it, ``W_hh h + b_hh``.
        before: the states before the steps.
        after: the states after them.
        peephole: ``[3, H]``, of the gates i, f, o; ``None`` for other cells.
    """
    return _CELLS[cell](a, u, before, after, peephole)


def _sigmoid(x: Array) -> Array:
    gate: Array = (np.tanh(x * np.float32(0.5)) + 1) * np.float32(0.5)
    return gate


def _lstm(a: Blocks, u: Blocks, before: Memories, after: Memories, p: Array | None) -> Steps:
    sums = {letter: a[letter] + u[letter] for letter in "ifgo"}
    if p is not None:
        p_i, p_f, p_o = p
        sums["i"] += p_i * before.c
        sums["f"] += p_f * before.c
        sums["o"] += p_o * after.c  # the output gate looks at the new cell state
    i, f, o = (_sigmoid(sums[letter]) for letter in "ifo")
    g = np.tanh(sums["g"])
    values = {"i": i, "f": f, "g": g, "o": o, "c": after.c, "h": after.h}
    return Steps(sums, values, f * before.c, i * g)


def _coupled(a: Blocks, u: Blocks, before: Memories, after: Memories, _: Array | None) -> Steps:
    sums = {letter: a[letter] + u[letter] for letter in "fgo"}
    f, o = _sigmoid(sums["f"]), _sigmoid(sums["o"])
    g = np.tanh(sums["g"])
    values = {"f": f, "g": g, "o": o, "c": after.c, "h": after.h}
    return Steps(sums, values, f * before.c, (1 - f) * g)


def _gru(a: Blocks, u: Blocks, before: Memories, after: Memories, _: Array | None) -> Steps:
    sums = {letter: a[letter] + u[letter] for letter in "rz"}
    r, z = _sigmoid(sums["r"]), _sigmoid(sums["z"])
    sums["n"] = a["n"] + r * u["n"]
    n = np.tanh(sums["n"])
    return Steps(sums, {"r": r, "z": z, "n": n, "h": after.h}, z * before.h, (1 - z) * n)


def _rnn(a: Blocks, u: Blocks, before: Memories, after: Memories, _: Array | None) -> Steps:
    return Steps({"h": a["h"] + u["h"]}, {"h": after.h}, None, None)


_Cell = Callable[[Blocks, Blocks, Memories, Memories, Array | None], Steps]
_CELLS: dict[str, _Cell] = {
    "lstm": _lstm,
    "peephole": _lstm,
    "coupled": _coupled,
    "gru": _gru,
    "rnn": _rnn,
}
