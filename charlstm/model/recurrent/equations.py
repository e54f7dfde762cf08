"""One step of each cell, written as in the papers.

Every function takes ``a``, ``[B, G*H]``: the input's share of the pre-activations,
``W_ih x_t + b_ih``, in blocks of H columns, one per gate. It does not depend on the state, so
whoever runs many steps computes it for all of them at once. The state goes in as
``h, c`` of ``[B, H]`` each (``h`` alone where there is no cell state) and comes out the same way.
``U`` is ``weight_hh``, ``[G*H, H]``, and ``b`` is ``bias_hh``, ``[G*H]``.

Blocks are in the order of `torch.nn`: i, f, g, o for the LSTM; r, z, n for the GRU.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, sigmoid, tanh

from charlstm.model.recurrent.beginnings import Beginnings, by_step

State = tuple[Tensor, ...]
"""``(h, c)`` or ``(h,)``."""


class Weights(NamedTuple):
    """What a step needs besides its input and its state.

    Attributes:
        U: ``weight_hh``, ``[G*H, H]``.
        b: ``bias_hh``, ``[G*H]``.
        p: the peephole weights ``[3, H]`` of the gates i, f, o; ``None`` for other cells.
    """

    U: Tensor
    b: Tensor
    p: Tensor | None = None


def lstm(a: Tensor, state: State, weights: Weights) -> State:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""
    h, c = state
    i, f, g, o = (a + h @ weights.U.T + weights.b).chunk(4, dim=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


def peephole(a: Tensor, state: State, weights: Weights) -> State:
    """Return a step of the LSTM whose gates also see the cell state (Gers & Schmidhuber 2000).

    The input and forget gates look at the old cell state, the output gate at the new one.
    """
    h, c = state
    assert weights.p is not None
    p_i, p_f, p_o = weights.p
    i, f, g, o = (a + h @ weights.U.T + weights.b).chunk(4, dim=-1)
    i, f, g = sigmoid(i + p_i * c), sigmoid(f + p_f * c), tanh(g)
    c = f * c + i * g
    o = sigmoid(o + p_o * c)
    h = o * tanh(c)
    return h, c


def coupled(a: Tensor, state: State, weights: Weights) -> State:
    """Return a step of the LSTM with coupled gates: i = 1 - f (CIFG; Greff et al. 2017).

    The new cell state is a convex combination of the old one and the candidate. Blocks: f, g, o.
    """
    h, c = state
    f, g, o = (a + h @ weights.U.T + weights.b).chunk(3, dim=-1)
    f, g, o = sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, c


def gru(a: Tensor, state: State, weights: Weights) -> State:
    """Gated recurrent unit (Cho et al. 2014), the reset gate after the product, as in cuDNN."""
    (h,) = state
    a_r, a_z, a_n = a.chunk(3, dim=-1)
    u_r, u_z, u_n = (h @ weights.U.T + weights.b).chunk(3, dim=-1)
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = tanh(a_n + r * u_n)
    return ((1 - z) * n + z * h,)


def rnn(a: Tensor, state: State, weights: Weights) -> State:
    """Return a step of the plain recurrent network (Elman 1990), with tanh."""
    (h,) = state
    return (tanh(a + h @ weights.U.T + weights.b),)


def zeroed(state: State, streams: Tensor) -> State:
    """Return a state that is zero in some streams, past which no gradient flows.

    Args:
        state: ``[..., B, H]`` each.
        streams: which, int64.
    """
    return tuple(part.index_fill(-2, streams, 0) for part in state)


Step = Callable[[Tensor, State, Weights], State]

STEPS: dict[str, Step] = {
    "lstm": lstm,
    "peephole": peephole,
    "coupled": coupled,
    "gru": gru,
    "rnn": rnn,
}


def run(
    step: Step, a: Tensor, state: State, weights: Weights, begins: Beginnings | None = None
) -> tuple[Tensor, State]:
    """Apply `step` over time.

    Args:
        step: one of `STEPS`.
        a: ``[T, B, G*H]``, the input's share of every step.
        state: the state before the first step.
        weights: of the layer.
        begins: where the state before a step is zero.

    Returns:
        The hidden states ``[T, B, H]`` and the state after the last step.
    """
    outputs = []
    for a_t, streams in zip(a.unbind(), by_step(begins, len(a)), strict=True):
        if streams is not None:
            state = zeroed(state, streams)
        state = step(a_t, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs), state
