"""The torch backend: the library's own recurrent layers, behind the same method."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm.recipes import Architecture
from charlstm.recurrent.equations import State


class _Unroll(nn.RNNBase):
    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Run every layer over a window; arguments and results as in `ScratchRecurrent.unroll`."""
        if inputs.dtype == torch.int64:
            dtype = next(self.parameters()).dtype
            inputs = functional.one_hot(inputs, self.input_size).to(dtype)
        # The library wants h alone where there is no c, and gives it back alone.
        outputs, last = self(inputs, state if len(state) > 1 else state[0])
        return outputs, last if isinstance(last, tuple) else (last,)


class NativeLSTM(_Unroll, nn.LSTM):
    """`torch.nn.LSTM`."""


class NativeGRU(_Unroll, nn.GRU):
    """`torch.nn.GRU`."""


class NativeRNN(_Unroll, nn.RNN):
    """`torch.nn.RNN`, with tanh."""


Native = NativeLSTM | NativeGRU | NativeRNN

_LAYERS: dict[str, type[Native]] = {"lstm": NativeLSTM, "gru": NativeGRU, "rnn": NativeRNN}


def native(architecture: Architecture, vocabulary_size: int, dropout: float) -> Native:
    """Build the library's layers; the arguments are those of `ScratchRecurrent`."""
    return _LAYERS[architecture.cell](
        architecture.input_size(0, vocabulary_size),
        architecture.hidden,
        architecture.layers,
        # With one layer there is nothing between layers, and the library would warn.
        dropout=dropout if architecture.layers > 1 else 0.0,
    )
