"""The scratch backend: layers over time, from the equations.

The LSTM, which is used most, goes through its hand-derived pair of passes in
`charlstm.model.recurrent.bptt`; the other cells through `charlstm.model.recurrent.equations` and
autograd.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm.model.recurrent.beginnings import Beginnings
from charlstm.model.recurrent.bptt import Workspace, lstm_window
from charlstm.model.recurrent.dropout import drop
from charlstm.model.recurrent.equations import STEPS, State, Weights, run
from charlstm.model.rows import Rows
from charlstm.recipes.architecture import Architecture


class ScratchRecurrent(nn.Module):
    """L recurrent layers of one cell, with the parameter names and shapes of `torch.nn.LSTM`.

    Args:
        architecture: which cell, how wide, how many layers.
        vocabulary_size: V, which is the first layer's input size where there is no embedding.
        dropout: the share of each layer's output that is dropped on its way to the next.
    """

    def __init__(self, architecture: Architecture, vocabulary_size: int, dropout: float) -> None:
        super().__init__()
        self.architecture = architecture
        self.dropout = dropout
        prefix = "recurrent."
        for name, shape in architecture.parameter_shapes(vocabulary_size).items():
            if name.startswith(prefix):
                weight = torch.zeros(shape)
                if name == "recurrent.weight_ih_l0" and not architecture.embedding:
                    # One-hot input takes columns of this matrix: laid out by columns, each is
                    # one stretch of memory, in the gradient and the optimiser's moments too.
                    weight = torch.zeros(shape[::-1]).T
                self.register_parameter(name.removeprefix(prefix), nn.Parameter(weight))
        self._workspaces = [Workspace() for _ in range(architecture.layers)]

    def unroll(
        self,
        inputs: Tensor,
        state: State,
        generator: torch.Generator | None = None,
        begins: Beginnings | None = None,
        rows: Rows | None = None,
    ) -> tuple[Tensor, State]:
        """Run every layer over a window.

        Args:
            inputs: ``[T, B]`` ids, which stand for one-hot vectors, or ``[T, B, I]`` vectors.
            state: ``h`` and, where the cell has one, ``c``; ``[L, B, H]`` each.
            generator: of the dropout between layers; ``None`` drops nothing.
            begins: where the state before a step is zero, in every layer.
            rows: those of the batch that are read, where others read the rest of it.

        Returns:
            The last layer's hidden states, ``[T, B, H]``, and the state after the window.
        """
        outputs, last = inputs, []
        for layer in range(self.architecture.layers):
            if layer:
                outputs = drop(outputs, self.dropout, generator, rows)
            before = tuple(part[layer] for part in state)
            outputs, after = self._layer(layer, outputs, before, begins)
            last.append(after)
        return outputs, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    def _layer(
        self, layer: int, inputs: Tensor, state: State, begins: Beginnings | None
    ) -> tuple[Tensor, State]:
        if self.architecture.cell == "lstm":
            h, c = state
            return lstm_window(
                inputs,
                (h, c),
                self._get("weight_ih", layer),
                self._get("bias_ih", layer) + self._get("bias_hh", layer),
                self._get("weight_hh", layer),
                self._workspaces[layer],
                begins,
            )
        step = STEPS[self.architecture.cell]
        return run(step, self._input_share(inputs, layer), state, self._weights(layer), begins)

    def _input_share(self, inputs: Tensor, layer: int) -> Tensor:
        """``W_ih x + b_ih`` of a whole window, ``[T, B, G*H]``."""
        weight, bias = self._get("weight_ih", layer), self._get("bias_ih", layer)
        if inputs.dtype == torch.int64:
            # W_ih times a one-hot vector is a column of W_ih.
            return functional.embedding(inputs, weight.T) + bias
        return functional.linear(inputs, weight, bias)

    def _weights(self, layer: int) -> Weights:
        peephole = None
        if self.architecture.cell == "peephole":
            peephole = self._get("weight_peephole", layer)
        return Weights(self._get("weight_hh", layer), self._get("bias_hh", layer), peephole)

    def _get(self, name: str, layer: int) -> Tensor:
        parameter: Tensor = getattr(self, f"{name}_l{layer}")
        return parameter
