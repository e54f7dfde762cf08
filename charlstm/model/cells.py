"""One step of each cell with NumPy, in place, in as few calls as it can be made of.

sigmoid(x) = (tanh(x/2) + 1) / 2: the rows of the gates are halved beforehand and come before the
candidate, so that one call of tanh serves gates and candidate, and two more finish all gates
together. `charlstm.model.recurrent.equations` has the formulas as they stand in the papers.

Shapes: ``N`` streams side by side, ``[N, ...]``; ``G`` blocks of H rows a cell.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Cell(NamedTuple):
    """How a cell's blocks are laid out here.

    Attributes:
        sigmoids: the blocks of the checkpoint that are gates, in the order that they have
            here, before the candidate.
        candidate: the block that goes through tanh.
        step: advances one layer's ``h`` and ``c``, in place.
    """

    sigmoids: tuple[int, ...]
    candidate: int
    step: "Callable[[Array, Layer], None]"

    @property
    def order(self) -> tuple[int, ...]:
        """The blocks of the checkpoint in the order that they have here."""
        return (*self.sigmoids, self.candidate)


class Layer:
    """One layer's buffers and the views into them.

    Attributes:
        h: ``[N, H]``, the hidden state.
        h_and_one: ``[N, H+1]``, the same memory and a column of ones.
        c: ``[N, H]``, the cell state, if the cell has one.
        products: ``[N, G*H + ...]``: the recurrent share of the next step's pre-activations, then
            what the layer above, or the head, reads.
        u: ``[N, G*H]``, the first part of `products`.
        gates: ``[N, (G-1)*H]``, those of its blocks that go through a sigmoid, together.
        blocks: the G blocks one by one.
        above: the second part of `products`.
        peephole: ``[3, H]`` or nothing.
    """

    def __init__(
        self, h_and_one: Array, c: Array, products: Array, blocks: int, peephole: Array | None
    ) -> None:
        H = c.shape[1]
        self.h_and_one, self.c, self.products, self.peephole = h_and_one, c, products, peephole
        self.h = h_and_one[:, :H]
        self.u, self.above = products[:, : blocks * H], products[:, blocks * H :]
        self.gates = self.u[:, : (blocks - 1) * H]
        self.blocks = tuple(self.u[:, k * H : (k + 1) * H] for k in range(blocks))

    def with_rows(self, rows: Callable[[Array], Array]) -> "Layer":
        """Return a layer whose state is made from this one's by `rows`, which must copy."""
        return Layer(
            rows(self.h_and_one),
            rows(self.c),
            rows(self.products),
            len(self.blocks),
            self.peephole,
        )


# From the input's share `a` and the recurrent share `u` of the pre-activations to the next h and c.


def _finish_gates(gates: Array) -> None:
    """Turn what tanh(x/2) left into sigmoid(x)."""
    gates *= 0.5
    gates += 0.5


def _lstm(a: Array, layer: Layer) -> None:
    i, f, o, g = layer.blocks
    c, h = layer.c, layer.h
    u = layer.u
    u += a
    np.tanh(u, out=u)
    _finish_gates(layer.gates)
    c *= f
    i *= g
    c += i
    np.tanh(c, out=h)
    h *= o


def _peephole(a: Array, layer: Layer) -> None:
    assert layer.peephole is not None
    p_i, p_f, p_o = layer.peephole
    i, f, o, g = layer.blocks
    c, h = layer.c, layer.h
    u = layer.u
    u += a
    i += p_i * c
    f += p_f * c
    for block in (i, f, g):
        np.tanh(block, out=block)
    _finish_gates(i)
    _finish_gates(f)
    c *= f
    i *= g
    c += i
    o += p_o * c  # the output gate looks at the new cell state
    np.tanh(o, out=o)
    _finish_gates(o)
    np.tanh(c, out=h)
    h *= o


def _coupled(a: Array, layer: Layer) -> None:
    f, o, g = layer.blocks
    c, h = layer.c, layer.h
    u = layer.u
    u += a
    np.tanh(u, out=u)
    _finish_gates(layer.gates)
    c -= g  # f c + (1 - f) g = f (c - g) + g
    c *= f
    c += g
    np.tanh(c, out=h)
    h *= o


def _gru(a: Array, layer: Layer) -> None:
    gates, h = layer.gates, layer.h
    r, z, n = layer.blocks
    width = gates.shape[1]
    gates += a[..., :width]
    np.tanh(gates, out=gates)
    _finish_gates(gates)
    n *= r
    n += a[..., width:]
    np.tanh(n, out=n)
    h -= n  # (1 - z) n + z h = z (h - n) + n
    h *= z
    h += n


def _rnn(a: Array, layer: Layer) -> None:
    u = layer.u
    u += a
    np.tanh(u, out=layer.h)


CELLS = {
    "lstm": Cell(sigmoids=(0, 1, 3), candidate=2, step=_lstm),
    "peephole": Cell(sigmoids=(0, 1, 3), candidate=2, step=_peephole),
    "coupled": Cell(sigmoids=(0, 2), candidate=1, step=_coupled),
    "gru": Cell(sigmoids=(0, 1), candidate=2, step=_gru),
    "rnn": Cell(sigmoids=(), candidate=0, step=_rnn),
}
