"""The forward pass of a trained model with NumPy alone, one character at a time.

At one character a step the cost is in the number of calls, so a step makes as few as it can:

- A layer's recurrent matrix is stacked on that of whatever reads its output (the next layer or
  the head), and each has its bias as a last column, met by a 1 at the end of ``h``. One product per
  layer and character gives the next step's recurrent share and this step's output.
- The input of the first layer is a row of a table, with the bias in it.
- sigmoid(x) = (tanh(x/2) + 1) / 2: the rows of the gates are halved beforehand and come first, so
  that one call of tanh serves gates and candidate, and two more finish all gates together.
- All results go into buffers, and those and all views into them are made once per state.

Shapes: ``N`` streams side by side, ``[N, ...]``; ``G`` blocks of H rows a cell.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.recipes.architecture import Architecture

Array = NDArray[np.float32]

Temperature = float | NDArray[np.float64]
"""Of all streams, or ``[N]`` of each."""


class _Cell(NamedTuple):
    """How a cell's blocks are laid out here.

    Attributes:
        sigmoids: the blocks of the checkpoint that are gates, in the order that they have
            here, before the candidate.
        candidate: the block that goes through tanh.
        step: advances one layer's ``h`` and ``c``, in place.
    """

    sigmoids: tuple[int, ...]
    candidate: int
    step: "Callable[[Array, _Layer], None]"

    @property
    def order(self) -> tuple[int, ...]:
        return (*self.sigmoids, self.candidate)


class _Layer:
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

    def with_rows(self, rows: Callable[[Array], Array]) -> "_Layer":
        """Return a layer whose state is made from this one's by `rows`, which must copy."""
        return _Layer(
            rows(self.h_and_one),
            rows(self.c),
            rows(self.products),
            len(self.blocks),
            self.peephole,
        )


class Memory(NamedTuple):
    """What one layer remembers of N streams: a state without what follows from it.

    Attributes:
        h_and_one: ``[N, H+1]``, the hidden state and a column of ones.
        c: ``[N, H]``, the cell state.
    """

    h_and_one: Array
    c: Array


@dataclass
class State:
    """Where N streams stand: all that a model remembers of what it has read."""

    layers: list[_Layer]

    @property
    def logits(self) -> Array:
        """``[N, V]``, of the next character, in memory that the next step overwrites."""
        return self.layers[-1].above

    def copy(self) -> "State":
        """Return an independent state that stands at the same place."""
        return State([layer.with_rows(np.copy) for layer in self.layers])

    def take(self, streams: Sequence[int] | NDArray[np.integer]) -> "State":
        """Return an independent state whose stream k stands where stream ``streams[k]`` is here.

        ``take([0] * 40)`` is forty continuations of one text, for a few kilobytes each.
        """
        rows = np.asarray(streams, dtype=np.intp)
        return State([layer.with_rows(lambda array: array[rows]) for layer in self.layers])

    def remember(self) -> "list[Memory]":
        """Return the least that `Network.gather` needs to make a state like this one."""
        return [Memory(layer.h_and_one.copy(), layer.c.copy()) for layer in self.layers]


class Network:
    """A trained model that reads characters and says what it expects next.

    Args:
        architecture: any cell, any number of layers, one-hot or embedded input.
        weights: float32, named as in the checkpoint.
        vocabulary_size: V.
        end: the id of the mark between songs; a stream that reads it begins anew. ``None`` for a
            text of one piece. See `charlstm.model.charlm.CharLM`.
    """

    _product: "Callable[[Array, Array, Array | None], Array]"

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, NDArray[Any]],
        vocabulary_size: int,
        end: int | None = None,
    ) -> None:
        self.architecture = architecture
        self.vocabulary_size = vocabulary_size
        self.end = end
        self.line = 0
        self._cell = _CELLS[architecture.cell]
        self._product = _product
        L = architecture.layers

        def stacked(kind: str, layer: int) -> Array:
            """Return a weight with its bias as a last column, its rows in the order used here."""
            weight = weights[f"recurrent.weight_{kind}_l{layer}"]
            bias = weights[f"recurrent.bias_{kind}_l{layer}"]
            return self._arranged(np.concatenate((weight, bias[:, None]), axis=1))

        head = np.concatenate((weights["head.weight"], weights["head.bias"][:, None]), axis=1)
        readers = [*(stacked("ih", layer) for layer in range(1, L)), head]
        # Transposed as views: the product of a row of h with one of them runs along its rows.
        self._stacks = [
            np.ascontiguousarray(np.concatenate((stacked("hh", layer), reader)), np.float32).T
            for layer, reader in enumerate(readers)
        ]
        first = stacked("ih", 0)
        rows = first[:, :-1].T
        if architecture.embedding:
            rows = weights["embedding.weight"] @ rows
        self._table: Array = np.ascontiguousarray(rows + first[:, -1], dtype=np.float32)
        self._peepholes: list[Array | None] = [None] * L
        if architecture.cell == "peephole":
            # Of gates only, so halved as the gates' rows are.
            self._peepholes = [
                np.float32(0.5) * weights[f"recurrent.weight_peephole_l{layer}"]
                for layer in range(L)
            ]

    def __repr__(self) -> str:
        return f"<Network: {self.architecture.title}>"

    def at(self, _temperature: Temperature) -> "Network":
        """Return the network itself: its logits are those of every temperature."""
        return self

    def apart(self) -> "Network":
        """Return the same network, in which no stream depends on those beside it, bit for bit.

        A matrix library adds up a row's products in an order that depends on how many rows there
        are. Here each row is multiplied by itself, which takes twice as long for many.
        """
        network = copy.copy(self)
        network._product = _product_of_rows
        return network

    def logits(self, state: State) -> Array:
        """Return ``[N, V]`` logits of the next character, as ``state.logits`` has them."""
        return state.logits

    def start(self, streams: int = 1) -> State:
        """Return the state before any character, for `streams` streams."""
        H = self.architecture.hidden
        layers = []
        for stack, peephole in zip(self._stacks, self._peepholes, strict=True):
            h_and_one = np.zeros((streams, H + 1), dtype=np.float32)
            h_and_one[:, H] = 1.0
            c = np.zeros((streams, H), dtype=np.float32)
            products = self._product(h_and_one, stack, None)
            layers.append(_Layer(h_and_one, c, products, self.architecture.blocks, peephole))
        return State(layers)

    def take(self, state: State, streams: "Sequence[int] | NDArray[np.integer]") -> State:
        """Return what ``state.take`` does: logits are those of every temperature."""
        return state.take(streams)

    def gather(self, streams: "Sequence[tuple[list[Memory], int]]") -> State:
        """Return an independent state of streams that were remembered at different places.

        Args:
            streams: of each, what `State.remember` returned, and its number there.
        """
        layers = []
        for layer, (stack, peephole) in enumerate(zip(self._stacks, self._peepholes, strict=True)):
            h_and_one = np.stack([memory[layer].h_and_one[stream] for memory, stream in streams])
            c = np.stack([memory[layer].c[stream] for memory, stream in streams])
            parts = (h_and_one, c, self._product(h_and_one, stack, None))
            layers.append(_Layer(*parts, self.architecture.blocks, peephole))
        return State(layers)

    def step(self, state: State, ids: int | NDArray[np.integer]) -> Array:
        """Read one character in each stream; `state` advances.

        Args:
            state: what `start` returned, or a copy of it at any later place.
            ids: ``[N]``, the characters read, or the one that all streams read.

        Returns:
            ``[N, V]`` logits of the next character, in memory that the next step overwrites.
        """
        if self.end is not None:
            self._begin(state, ids)
        share: Array = self._table[ids]
        for layer, stack in zip(state.layers, self._stacks, strict=True):
            self._cell.step(share, layer)
            self._product(layer.h_and_one, stack, layer.products)
            share = layer.above
        return share

    def read(self, state: State, ids: Iterable[int]) -> None:
        """Read characters one after the other, the same in each stream; `state` advances."""
        for character in ids:
            self.step(state, int(character))

    def _begin(self, state: State, ids: int | NDArray[np.integer]) -> None:
        """Bring the streams that are about to read the end mark back to where `start` is."""
        streams: Any = slice(None)
        if isinstance(ids, np.ndarray):
            # A list of few is searched sooner than an array is compared.
            if self.end not in ids.tolist():
                return
            streams = ids == self.end
        elif ids != self.end:
            return
        for layer, stack in zip(state.layers, self._stacks, strict=True):
            layer.h[streams] = 0.0
            layer.c[streams] = 0.0
            layer.u[streams] = stack[-1, : layer.u.shape[1]]  # what the zero state's product is

    def _arranged(self, rows: Array) -> Array:
        """``[G*H, ...]`` as in the checkpoint -> gates first and halved, the candidate last."""
        blocks = rows.reshape(self.architecture.blocks, self.architecture.hidden, -1)
        arranged = blocks[list(self._cell.order)]
        arranged[:-1] *= np.float32(0.5)
        return arranged.reshape(rows.shape)


def _product(left: Array, right: Array, out: Array | None) -> Array:
    """Multiply two matrices."""
    # A matrix library's kernel may leave flags set by what lies beside its numbers.
    with np.errstate(invalid="ignore"):
        product: Array = np.matmul(left, right, out=out)
    return product


def _product_of_rows(left: Array, right: Array, out: Array | None) -> Array:
    """Multiply two matrices, each row of the first one as if it were alone."""
    rows = left[:, None, :]
    return _product(rows, right, None if out is None else out[:, None, :])[:, 0]


# One step of each cell, in place: from the input's share `a` and the recurrent share `u` of the
# pre-activations to the next h and c. `charlstm.model.recurrent.equations` has the formulas.


def _finish_gates(gates: Array) -> None:
    """Turn what tanh(x/2) left into sigmoid(x)."""
    gates *= 0.5
    gates += 0.5


def _lstm(a: Array, layer: _Layer) -> None:
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


def _peephole(a: Array, layer: _Layer) -> None:
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


def _coupled(a: Array, layer: _Layer) -> None:
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


def _gru(a: Array, layer: _Layer) -> None:
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


def _rnn(a: Array, layer: _Layer) -> None:
    u = layer.u
    u += a
    np.tanh(u, out=layer.h)


_CELLS = {
    "lstm": _Cell(sigmoids=(0, 1, 3), candidate=2, step=_lstm),
    "peephole": _Cell(sigmoids=(0, 1, 3), candidate=2, step=_peephole),
    "coupled": _Cell(sigmoids=(0, 2), candidate=1, step=_coupled),
    "gru": _Cell(sigmoids=(0, 1), candidate=2, step=_gru),
    "rnn": _Cell(sigmoids=(), candidate=0, step=_rnn),
}
