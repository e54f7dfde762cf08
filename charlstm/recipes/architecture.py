"""What a model is made of: its cell, its sizes, and the shape of every weight."""

import math
from dataclasses import dataclass

from charlstm.checks import check_choice, check_whole

CELLS = ("lstm", "peephole", "coupled", "gru", "rnn")
"""The cells of the scratch backend; `charlstm.model.recurrent.equations` has their formulas."""
LIBRARY_CELLS = ("lstm", "gru", "rnn")
"""The cells that torch has as well."""
_BLOCKS = {"lstm": 4, "peephole": 4, "coupled": 3, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Architecture:
    """What must be known to rebuild a model around its weights, besides its vocabulary.

    Attributes:
        cell: one of `CELLS`.
        hidden: H, the width of the hidden state.
        layers: L, how many recurrent layers are stacked.
        embedding: the width of the learned character vectors; 0 feeds one-hot vectors.
    """

    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    embedding: int = 0

    def __post_init__(self) -> None:
        check_choice("cell", self.cell, CELLS)
        check_whole("hidden", self.hidden, 1, 65_536)
        check_whole("layers", self.layers, 1, 64)
        check_whole("embedding", self.embedding, 0, 65_536)

    @property
    def title(self) -> str:
        """What it is called in a report: ``1 × lstm 256``."""
        return f"{self.layers} × {self.cell} {self.hidden}"

    @property
    def blocks(self) -> int:
        """How many blocks of H rows the cell's weight matrices have: one per gate or candidate."""
        return _BLOCKS[self.cell]

    @property
    def state_names(self) -> tuple[str, ...]:
        """The parts of the state, each ``[L, B, H]``: ``h``, and ``c`` where the cell has one."""
        return ("h", "c") if self.cell in ("lstm", "peephole", "coupled") else ("h",)

    def input_size(self, layer: int, vocabulary_size: int) -> int:
        """I of one layer: what comes up from the layer, or from the characters, below it."""
        return self.hidden if layer else self.embedding or vocabulary_size

    def parameter_shapes(self, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every weight, as in the checkpoint, in its order."""
        rows = self.blocks * self.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        if self.embedding:
            shapes["embedding.weight"] = (vocabulary_size, self.embedding)
        for layer in range(self.layers):
            into = self.input_size(layer, vocabulary_size)
            shapes[f"recurrent.weight_ih_l{layer}"] = (rows, into)
            shapes[f"recurrent.weight_hh_l{layer}"] = (rows, self.hidden)
            shapes[f"recurrent.bias_ih_l{layer}"] = (rows,)
            shapes[f"recurrent.bias_hh_l{layer}"] = (rows,)
            if self.cell == "peephole":
                shapes[f"recurrent.weight_peephole_l{layer}"] = (3, self.hidden)
        shapes["head.weight"] = (vocabulary_size, self.hidden)
        shapes["head.bias"] = (vocabulary_size,)
        return shapes

    def parameter_count(self, vocabulary_size: int) -> int:
        """Return how many numbers are learned."""
        return sum(math.prod(shape) for shape in self.parameter_shapes(vocabulary_size).values())
