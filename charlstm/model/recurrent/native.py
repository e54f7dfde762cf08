"""The torch backend: the library's own recurrent layers, behind the same method."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm.model.recurrent.dropout import drop
from charlstm.model.recurrent.equations import State
from charlstm.recipes.architecture import Architecture


class _Unroll(nn.RNNBase):
    # What the module calls, for one layer at a time.
    _run: Callable[..., tuple[Tensor, ...]]
    drops = 0.0

    def unroll(
        self, inputs: Tensor, state: State, generator: torch.Generator | None = None
    ) -> tuple[Tensor, State]:
        """Run every layer over a window; arguments and results as in `ScratchRecurrent.unroll`."""
        if inputs.dtype == torch.int64:
            dtype = next(self.parameters()).dtype
            inputs = functional.one_hot(inputs, self.input_size).to(dtype)
        if generator is not None and self.drops and self.num_layers > 1:
            return self._by_layers(inputs, state, generator)
        # The library wants h alone where there is no c, and returns it alone.
        outputs, last = self(inputs, state if len(state) > 1 else state[0])
        return outputs, last if isinstance(last, tuple) else (last,)

    def _by_layers(
        self, inputs: Tensor, state: State, generator: torch.Generator
    ) -> tuple[Tensor, State]:
        """Drop between the layers with our generator: the module has only the library's."""
        outputs, last = inputs, []
        for layer in range(self.num_layers):
            if layer:
                outputs = drop(outputs, self.drops, generator)
            before = tuple(part[layer : layer + 1] for part in state)
            outputs, *after = self._run(
                outputs,
                before if len(before) > 1 else before[0],
                self.all_weights[layer],
                True,  # biases
                1,  # layer
                0.0,  # dropout
                self.training,
                False,  # bidirectional
                False,  # batch first
            )
            last.append(after)
        return outputs, tuple(torch.cat(parts) for parts in zip(*last, strict=True))


class NativeLSTM(_Unroll, nn.LSTM):
    """`torch.nn.LSTM`."""

    _run = staticmethod(torch.lstm)


class NativeGRU(_Unroll, nn.GRU):
    """`torch.nn.GRU`."""

    _run = staticmethod(torch.gru)


class NativeRNN(_Unroll, nn.RNN):
    """`torch.nn.RNN`, with tanh."""

    _run = staticmethod(torch.rnn_tanh)


Native = NativeLSTM | NativeGRU | NativeRNN

_LAYERS: dict[str, type[Native]] = {"lstm": NativeLSTM, "gru": NativeGRU, "rnn": NativeRNN}


def native(architecture: Architecture, vocabulary_size: int, dropout: float) -> Native:
    """Build the library's layers; the arguments are those of `ScratchRecurrent`."""
    layers = _LAYERS[architecture.cell](
        architecture.input_size(0, vocabulary_size), architecture.hidden, architecture.layers
    )
    layers.drops = dropout
    return layers
