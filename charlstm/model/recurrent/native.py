"""The torch backend: the library's own recurrent layers, behind the same method."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm.model.recurrent.beginnings import Beginnings
from charlstm.model.recurrent.dropout import drop
from charlstm.model.recurrent.equations import State, zeroed
from charlstm.model.rows import Rows
from charlstm.recipes.architecture import Architecture


class _Unroll(nn.RNNBase):
    # What the module calls, for one layer at a time.
    _run: Callable[..., tuple[Tensor, ...]]
    drops = 0.0

    def unroll(
        self,
        inputs: Tensor,
        state: State,
        generator: torch.Generator | None = None,
        begins: Beginnings | None = None,
        rows: Rows | None = None,
    ) -> tuple[Tensor, State]:
        """Run every layer over a window; arguments and results as in `ScratchRecurrent.unroll`."""
        if inputs.dtype == torch.int64:
            dtype = next(self.parameters()).dtype
            inputs = functional.one_hot(inputs, self.input_size).to(dtype)
        if generator is not None and self.drops and self.num_layers > 1:
            return self._by_layers(inputs, state, generator, begins, rows)
        return _in_stretches(self._all_layers, inputs, state, begins)

    def _by_layers(
        self,
        inputs: Tensor,
        state: State,
        generator: torch.Generator,
        begins: Beginnings | None,
        rows: Rows | None,
    ) -> tuple[Tensor, State]:
        """Drop between the layers with our generator: the module has only the library's."""
        outputs, last = inputs, []
        for layer in range(self.num_layers):
            if layer:
                outputs = drop(outputs, self.drops, generator, rows)
            before = tuple(part[layer : layer + 1] for part in state)
            outputs, after = _in_stretches(partial(self._layer, layer), outputs, before, begins)
            last.append(after)
        return outputs, tuple(torch.cat(parts) for parts in zip(*last, strict=True))

    # The library wants h alone where there is no c, and returns it alone.

    def _all_layers(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, last = self(inputs, state if len(state) > 1 else state[0])
        return outputs, last if isinstance(last, tuple) else (last,)

    def _layer(self, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, *last = self._run(
            inputs,
            state if len(state) > 1 else state[0],
            self.all_weights[layer],
            True,  # biases
            1,  # layer
            0.0,  # dropout
            self.training,
            False,  # bidirectional
            False,  # batch first
        )
        return outputs, tuple(last)


def _in_stretches(
    run: Callable[[Tensor, State], tuple[Tensor, State]],
    inputs: Tensor,
    state: State,
    begins: Beginnings | None,
) -> tuple[Tensor, State]:
    """Run over a window, cut at the steps at which a stream begins.

    The library has no other way to change a state on its way but a packed sequence, of the
    stretches of each stream. On a CPU its fast kernels do not take one: the LSTM takes two to three
    times as long as cut, the others a fifth to two thirds longer.
    """
    if begins is None:
        return run(inputs, state)
    starts = [0, *(t for t in begins.streams if t)]
    ends = [*starts[1:], len(inputs)]
    # One split, not many slices: the gradient of each slice would be as large as the window.
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    stretches = torch.split(inputs, lengths)
    outputs = []
    for start, stretch in zip(starts, stretches, strict=True):
        if start in begins.streams:
            state = zeroed(state, begins.streams[start])
        output, state = run(stretch, state)
        outputs.append(output)
    return torch.cat(outputs), state


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
