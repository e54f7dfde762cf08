"""The forward pass of a trained model with NumPy alone, one character at a time.

At one character a step the cost is in the number of calls, so a step makes as few as it can:

- A layer's recurrent matrix is stacked on that of whatever reads its output (the next layer or
  the head), and each has its bias as a last column, met by a 1 at the end of ``h``. One product per
  layer and character gives the next step's recurrent share and this step's output.
- The input of the first layer is a row of a table, with the bias in it.
- The rows of the gates come first and are halved beforehand; `charlstm.model.cells` says why.
- All results go into buffers, and those and all views into them are made once per state.

Shapes: ``N`` streams side by side, ``[N, ...]``; ``G`` blocks of H rows a cell.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.model import inside
from charlstm.model.cells import CELLS, Array, Layer
from charlstm.recipes.architecture import Architecture

Temperature = float | NDArray[np.float64]
"""Of all streams, or ``[N]`` of each."""


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

    layers: list[Layer]

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
        self._cell = CELLS[architecture.cell]
        self._product = _product
        L = architecture.layers
        self._off: list[tuple[list[int], list[int]] | None] = [None] * L

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

    @property
    def head(self) -> Array:
        """``[V, H]``: what each unit of the last layer adds to the logit of each character."""
        width = self.architecture.blocks * self.architecture.hidden
        rows: Array = self._stacks[-1][:-1, width:].T
        return rows

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

    def without(self, units: Sequence[tuple[int, int]]) -> "Network":
        """Return the same network, in whose stream n a unit is switched off: its h is always 0.

        Nothing that it remembers reaches anything else then.

        Args:
            units: of the first streams, the layer and the number of the unit, from 0; in those
                after them all are on.
        """
        network = copy.copy(self)
        network._off = []
        for layer in range(self.architecture.layers):
            here = [(n, unit) for n, (of, unit) in enumerate(units) if of == layer]
            network._off.append(
                ([n for n, _ in here], [unit for _, unit in here]) if here else None
            )
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
            layers.append(Layer(h_and_one, c, products, self.architecture.blocks, peephole))
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
            layers.append(Layer(*parts, self.architecture.blocks, peephole))
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
        for layer, stack, off in zip(state.layers, self._stacks, self._off, strict=True):
            self._cell.step(share, layer)
            if off is not None:
                layer.h[off] = 0.0
            self._product(layer.h_and_one, stack, layer.products)
            share = layer.above
        return share

    def read(self, state: State, ids: Iterable[int]) -> None:
        """Read characters one after the other, the same in each stream; `state` advances."""
        for character in ids:
            self.step(state, int(character))

    def inside(self, state: State, ids: Sequence[int] | NDArray[np.integer]) -> inside.Inside:
        """Read characters in one stream and return what happened inside; `state` advances.

        Args:
            state: of one stream.
            ids: ``[T]``, T >= 1.
        """
        L, T, H = self.architecture.layers, len(ids), self.architecture.hidden
        h_and_one = np.zeros((L, T + 1, H + 1), dtype=np.float32)
        c = np.zeros((L, T + 1, H), dtype=np.float32)
        for t in range(T + 1):
            if t:
                self.step(state, int(ids[t - 1]))
            for k, layer in enumerate(state.layers):
                h_and_one[k, t], c[k, t] = layer.h_and_one[0], layer.c[0]
        earlier, c_before = h_and_one[:, :-1].copy(), c[:, :-1].copy()
        if self.end is not None:
            begins = np.asarray(ids) == self.end
            earlier[:, begins, :H] = c_before[:, begins] = 0.0
        width = self.architecture.blocks * H
        share, found = self._table[np.asarray(ids)], []
        for k, (stack, peephole) in enumerate(zip(self._stacks, self._peepholes, strict=True)):
            found.append(
                inside.steps(
                    self.architecture.cell,
                    self._lettered(share),
                    self._lettered(_product(earlier[k], stack[:, :width], None)),
                    inside.Memories(earlier[k, :, :H], c_before[k]),
                    inside.Memories(h_and_one[k, 1:, :H], c[k, 1:]),
                    None if peephole is None else 2 * peephole,
                )
            )
            share = _product(h_and_one[k, 1:], stack[:, width:], None)
        return inside.Inside(found, share)

    def _lettered(self, rows: Array) -> dict[str, Array]:
        """``[T, G*H]`` as arranged here -> the blocks by their letters, no longer halved."""
        letters = inside.LETTERS[self.architecture.cell]
        blocks = np.split(rows, self.architecture.blocks, axis=1)
        whole = [*(2 * block for block in blocks[:-1]), blocks[-1]]
        return {letters[k]: block for k, block in zip(self._cell.order, whole, strict=True)}

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
