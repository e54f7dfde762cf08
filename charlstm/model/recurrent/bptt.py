"""The LSTM over a window, forward and backward, with the backward pass derived by hand.

The derivation is in ``docs/backpropagation.md``, in the names used here. What makes the pair
fast on a CPU, where a step of a layer is small and every call counts:

- The input's share of all pre-activations is one gather (one-hot) or one product, before the loop.
- A step is one product and a few calls in place, on views that were cut before the loop.
- One buffer of ``[T, B, 4H]`` holds the pre-activations, then the gates, and in the backward pass
  the gradient of the pre-activations: a step reads its gates for the last time just before it
  writes its gradient over them. It outlives the window, because fresh memory of that size costs
  more in page faults than the arithmetic on it.
- The derivative factors are computed for many steps at once, but for no more than stay in the
  cache until their steps use them.
- The weights' gradients are one product each, after the loop.
- Streams that begin anew cost something at their steps only.

Under `torch.autocast` the operands of all products are rounded to its type, bfloat16, and nothing
else is: pre-activations, gates, states and gradients are sums in float32, as the weights are.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlstm.model.recurrent.beginnings import Beginnings, by_step

# The derivative factors of this many numbers at a time: 2 MB in float32.
_CHUNK = 1 << 19

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class Workspace:
    """Lends one layer its large buffer, window after window.

    While a graph holds the buffer it is not lent again: a second forward pass before the first
    one's backward gets memory of its own.
    """

    def __init__(self) -> None:
        self._idle: Tensor | None = None

    def lend(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return an uninitialised tensor of this shape, of the type and device of `like`."""
        idle, self._idle = self._idle, None
        size = torch.Size(shape).numel()
        if (
            idle is None
            or idle.numel() < size
            or (idle.dtype, idle.device)
            != (
                like.dtype,
                like.device,
            )
        ):
            idle = torch.empty(size, dtype=like.dtype, device=like.device)
        return idle[:size].view(shape)

    def give_back(self, buffer: Tensor) -> None:
        """Take the buffer of a finished window back."""
        # Torch forbids writing to memory made in inference mode outside of it.
        if not buffer.is_inference():
            self._idle = buffer.detach().view(-1)


def lstm_window(
    inputs: Tensor,
    state: tuple[Tensor, Tensor],
    weight_ih: Tensor,
    bias: Tensor,
    weight_hh: Tensor,
    workspace: Workspace,
    begins: Beginnings | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run one LSTM layer over a window, as `equations.run` with `equations.lstm` would.

    Args:
        inputs: ``[T, B]`` ids, which stand for one-hot vectors, or ``[T, B, I]`` vectors.
        state: ``h`` and ``c`` before the window, ``[B, H]`` each.
        weight_ih: ``[4H, I]``, blocks i, f, g, o.
        bias: ``[4H]``, ``bias_ih + bias_hh``.
        weight_hh: ``[4H, H]``.
        workspace: of this layer.
        begins: where the state before a step is zero.

    Returns:
        The hidden states ``[T, B, H]`` and the state after the window.
    """
    given = (inputs, *state, weight_ih, bias, weight_hh)
    device = inputs.device.type
    low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    # What is rounded is decided here, product by product, so autocast must not do it again.
    with torch.autocast(device, enabled=False):
        outputs, h, c = _Window.apply(  # type: ignore[no-untyped-call]
            *given, workspace, low, begins, torch.is_grad_enabled()
        )
    return outputs, (h, c)


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        h_0: Tensor,
        c_0: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        weight_hh: Tensor,
        workspace: Workspace,
        low: torch.dtype | None,
        begins: Beginnings | None,
        differentiable: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        given = (inputs, h_0, c_0, weight_ih, bias, weight_hh)
        gates, h, c, tanh_c = _forward(*given, workspace, low, begins)
        if differentiable:
            ctx.save_for_backward(*given, h, c, tanh_c)
            ctx.gates, ctx.workspace, ctx.low, ctx.begins = gates, workspace, low, begins
        else:
            workspace.give_back(gates)
        # The last states are copies: as views they would keep the whole window alive.
        return h[1:], h[-1].clone(), c[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Any, ...]:
        inputs, h_0, c_0, weight_ih, bias, weight_hh, h, c, tanh_c = ctx.saved_tensors
        low, begins = ctx.low, ctx.begins
        gates, ctx.gates = ctx.gates, None
        if gates is None:
            # The graph was kept and this is its second backward pass; the first one left its
            # gradients where the gates were.
            given = (inputs, h_0, c_0, weight_ih, bias, weight_hh)
            gates, *_ = _forward(*given, ctx.workspace, low, begins)
        d_a, d_h, d_c = _backward(gates, c, tanh_c, weight_hh, d_outputs, d_h, d_c, low, begins)

        flat = _rounded(d_a.flatten(0, 1), low)
        d_inputs = None
        if inputs.dtype == torch.int64:
            # The gradient of a table whose rows were taken: each row's gradients added up. It
            # has the memory layout of the parameter, so nobody has to copy it.
            d_weight_ih = torch.ops.aten.embedding_dense_backward(
                d_a, inputs, weight_ih.shape[1], -1, False
            ).T
            d_bias = d_weight_ih.sum(1)  # every row of d_a is in it once
        else:
            d_bias = d_a.sum((0, 1))
            d_weight_ih = (flat.T @ _rounded(inputs.flatten(0, 1), low)).to(d_a.dtype)
            if ctx.needs_input_grad[0]:
                d_inputs = (flat @ _rounded(weight_ih, low)).view_as(inputs).to(inputs.dtype)
        if begins is not None:
            # h has the outputs, which nobody may change, where the state before was zero. A zero
            # on the other side of the product does the same, now that d_a has served the others.
            flat.index_fill_(0, begins.places, 0)
        d_weight_hh = (flat.T @ _rounded(h[:-1].flatten(0, 1), low)).to(d_a.dtype)
        ctx.workspace.give_back(d_a)
        return d_inputs, d_h, d_c, d_weight_ih, d_bias, d_weight_hh, None, None, None, None


def _forward(
    inputs: Tensor,
    h_0: Tensor,
    c_0: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    weight_hh: Tensor,
    workspace: Workspace,
    low: torch.dtype | None,
    begins: Beginnings | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gates ``[T, B, 4H]``, h and c ``[T+1, B, H]``, tanh(c) ``[T, B, H]``.

    Where a stream begins, c before the step is zero in what is returned; h, which has the outputs,
    is not.
    """
    T, B = inputs.shape[:2]
    H = weight_hh.shape[1]
    a = workspace.lend((T, B, 4 * H), like=h_0)
    if inputs.dtype == torch.int64:
        # With the bias in the table, not added afterwards: the table is the smaller of the two.
        table = weight_ih.T + bias
        torch.index_select(table, 0, inputs.flatten(), out=a.view(T * B, 4 * H))
    else:
        flat = a.view(T * B, 4 * H)
        if low is None:
            torch.addmm(bias, inputs.flatten(0, 1), weight_ih.T, out=flat)
        else:
            flat.copy_(_rounded(inputs.flatten(0, 1), low) @ _rounded(weight_ih, low).T)
            flat += bias

    h, c = h_0.new_empty(T + 1, B, H), h_0.new_empty(T + 1, B, H)
    tanh_c = h_0.new_empty(T, B, H)
    h[0], c[0] = h_0, c_0
    add_product, one = _multiplier(weight_hh.T, low, like=h_0, add=True), h_0.new_ones(())
    steps = zip(
        a.unbind(),
        *(block.unbind() for block in a.view(T, B, 4, H).unbind(2)),
        h.unbind(),
        h[1:].unbind(),
        c.unbind(),
        c[1:].unbind(),
        tanh_c.unbind(),
        by_step(begins, T),
        strict=False,  # h and c have one more
    )
    for a_t, i, f, g, o, h_before, h_t, c_before, c_t, tanh_c_t, streams in steps:
        if streams is not None:
            h_before = h_before.index_fill(0, streams, 0)
            c_before.index_fill_(0, streams, 0)
        add_product(h_before, a_t)
        # tanh(x) = 1 - 2 sigmoid(-2x), and torch's sigmoid is several times as fast as its tanh:
        # the candidate goes through one call together with the gates.
        g.mul_(-2)
        a_t.sigmoid_()
        torch.sub(one, g, alpha=2, out=g)
        torch.mul(f, c_before, out=c_t)
        c_t.addcmul_(i, g)
        torch.mul(c_t, -2, out=tanh_c_t)
        tanh_c_t.sigmoid_()
        torch.sub(one, tanh_c_t, alpha=2, out=tanh_c_t)
        torch.mul(o, tanh_c_t, out=h_t)
    return a, h, c, tanh_c


def _backward(
    gates: Tensor,
    c: Tensor,
    tanh_c: Tensor,
    weight_hh: Tensor,
    d_outputs: Tensor,
    d_h_last: Tensor,
    d_c_last: Tensor,
    low: torch.dtype | None,
    begins: Beginnings | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the pre-activations, written over `gates`, and of h_0 and c_0."""
    T, B, H = tanh_c.shape
    d_h, d_c, d_c_before = d_h_last.clone(), d_c_last.clone(), torch.empty_like(d_c_last)
    multiply = _multiplier(weight_hh, low, like=d_h)
    chunk = max(1, _CHUNK // (4 * B * H))
    factors = gates.new_empty(min(chunk, T), B, 4, H)
    d_tanh = gates.new_empty(min(chunk, T), B, H)
    blocks, streams_by_step = gates.view(T, B, 4, H), by_step(begins, T)
    for stop in range(T, 0, -chunk):
        start = max(0, stop - chunk)
        at, size = slice(start, stop), stop - start
        i, f, g, o = blocks[at].unbind(2)
        # Everything in the gradient of a step that does not depend on the steps after it.
        _sigmoid_backward(g, i, grad_input=factors[:size, :, 0])  # g i (1 - i)
        _sigmoid_backward(c[at], f, grad_input=factors[:size, :, 1])  # c_before f (1 - f)
        _tanh_backward(i, g, grad_input=factors[:size, :, 2])  # i (1 - g^2)
        _sigmoid_backward(tanh_c[at], o, grad_input=factors[:size, :, 3])  # tanh(c) o (1 - o)
        _tanh_backward(o, tanh_c[at], grad_input=d_tanh[:size])  # o (1 - tanh(c)^2)
        steps = zip(
            d_outputs[at].unbind(),
            d_tanh.unbind(),
            factors[:, :, :3].unbind(),
            factors[:, :, 3].unbind(),
            f.unbind(),
            gates[at].unbind(),
            blocks[at, :, :3].unbind(),
            o.unbind(),
            streams_by_step[at],
            strict=False,  # the last chunk may be shorter than its buffers
        )
        for d_output, d_tanh_t, factors_ifg, factor_o, f_t, d_a, d_ifg, d_o, streams in reversed(
            list(steps)
        ):
            d_h.add_(d_output)
            d_c.addcmul_(d_h, d_tanh_t)
            torch.mul(d_c, f_t, out=d_c_before)  # before f is overwritten
            torch.mul(factors_ifg, d_c.unsqueeze(1), out=d_ifg)
            torch.mul(factor_o, d_h, out=d_o)
            multiply(d_a, d_h)
            if streams is not None:
                d_h.index_fill_(0, streams, 0)
                d_c_before.index_fill_(0, streams, 0)
            d_c, d_c_before = d_c_before, d_c
    return gates, d_h, d_c


def _rounded(tensor: Tensor, low: torch.dtype | None) -> Tensor:
    return tensor if low is None else tensor.to(low)


def _multiplier(
    matrix: Tensor, low: torch.dtype | None, like: Tensor, *, add: bool = False
) -> Callable[[Tensor, Tensor], object]:
    """Return a function that writes ``rows @ matrix`` into its second argument, or adds it."""
    if low is None:
        if add:
            return lambda rows, out: out.addmm_(rows, matrix)
        return lambda rows, out: torch.mm(rows, matrix, out=out)
    B = like.shape[0]
    matrix = matrix.to(low)
    rounded = like.new_empty((B, matrix.shape[0]), dtype=low)
    product = like.new_empty((B, matrix.shape[1]), dtype=low)

    def multiply(rows: Tensor, out: Tensor) -> None:
        torch.mm(rounded.copy_(rows), matrix, out=product)
        if add:
            out.add_(product)
        else:
            out.copy_(product)

    return multiply
