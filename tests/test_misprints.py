"""The slips that circulate about the LSTM, each seen to be one; docs/equations.md lists them."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional

from charlstm.figures import perplexity
from charlstm.model.charlm import CharLM
from charlstm.model.initialization import initialize
from charlstm.model.recurrent.equations import State, Weights, coupled, gru, lstm, peephole, run
from charlstm.recipes.architecture import Architecture

T, B, H, V = 8, 3, 4, 7


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def some_weights(blocks: int = 4) -> Weights:
    return Weights(normal(blocks * H, H, seed=1), normal(blocks * H, seed=2))


def a_step() -> tuple[Tensor, State, Weights]:
    """Return what one step of an LSTM for one stream takes."""
    state = (normal(1, H, seed=4), normal(1, H, seed=5))
    return normal(1, 4 * H, seed=3), state, some_weights()


def gates(a: Tensor, state: State, weights: Weights) -> tuple[Tensor, ...]:
    i, f, g, o = (a + state[0] @ weights.U.T + weights.b).chunk(4, dim=-1)
    return sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)


def negated(block: int, a: Tensor, weights: Weights) -> tuple[Tensor, Weights]:
    """Return the input's share and the weights with all of one gate negated."""
    sign = torch.ones(len(weights.b), dtype=a.dtype)
    sign[block * H : (block + 1) * H] = -1
    return a * sign, Weights(weights.U * sign[:, None], weights.b * sign)


def is_near(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=0, atol=1e-10)


# The cell.


def test_a_candidate_through_a_sigmoid_can_only_add() -> None:
    a, weights = normal(200, 1, 4 * H, seed=6), some_weights()
    zero: State = (torch.zeros(1, H, dtype=a.dtype), torch.zeros(1, H, dtype=a.dtype))
    state, lowest, lowest_slip = zero, 0.0, 0.0
    slip = zero
    for a_t in a:
        state = lstm(a_t, state, weights)
        lowest = min(lowest, float(state[1].min()))
        i, f, _, o = gates(a_t, slip, weights)
        c = f * slip[1] + i * sigmoid((a_t + slip[0] @ weights.U.T + weights.b).chunk(4, -1)[2])
        slip = (o * tanh(c), c)
        lowest_slip = min(lowest_slip, float(c.min()))
    assert lowest_slip == 0.0
    assert lowest < -0.5


def test_without_the_last_tanh_the_output_has_no_bound() -> None:
    a, (h, _), weights = a_step()
    large = torch.full((1, H), 50.0, dtype=a.dtype)
    i, f, g, o = gates(a, (h, large), weights)
    assert float((o * (f * large + i * g)).abs().max()) > 1
    assert float(lstm(a, (h, large), weights)[0].abs().max()) <= 1


def test_the_output_gates_peephole_looks_at_the_new_cell_state() -> None:
    a, (h, c), weights = a_step()
    p = normal(3, H, seed=7)
    i, f, g, o = (a + h @ weights.U.T + weights.b).chunk(4, dim=-1)
    new = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * tanh(g)
    found, _ = peephole(a, (h, c), weights._replace(p=p))
    assert is_near(found, sigmoid(o + p[2] * new) * tanh(new))
    assert not is_near(found, sigmoid(o + p[2] * c) * tanh(new))


def test_coupling_the_other_way_round_is_the_same_cell_with_its_gate_negated() -> None:
    a, weights = normal(B, 3 * H, seed=3), some_weights(3)
    state = (normal(B, H, seed=4), normal(B, H, seed=5))

    def from_the_input_gate(a: Tensor, weights: Weights) -> Tensor:
        i, g, o = (a + state[0] @ weights.U.T + weights.b).chunk(3, dim=-1)
        c = (1 - sigmoid(i)) * state[1] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c)

    found, _ = coupled(a, state, weights)
    assert is_near(found, from_the_input_gate(*negated(0, a, weights)))
    assert not is_near(found, from_the_input_gate(a, weights))


# The GRU.


def test_the_update_gate_read_the_other_way_round_is_the_same_gate_negated() -> None:
    a, h, weights = normal(B, 3 * H, seed=3), normal(B, H, seed=4), some_weights(3)

    def taking_the_new(a: Tensor, weights: Weights) -> Tensor:
        u_r, u_z, u_n = (h @ weights.U.T + weights.b).chunk(3, -1)
        a_r, a_z, a_n = a.chunk(3, -1)
        z, n = sigmoid(a_z + u_z), tanh(a_n + sigmoid(a_r + u_r) * u_n)
        return (1 - z) * h + z * n

    (found,) = gru(a, (h,), weights)
    assert is_near(found, taking_the_new(*negated(1, a, weights)))
    assert not is_near(found, taking_the_new(a, weights))


def test_the_reset_gate_before_the_product_is_another_cell() -> None:
    a, h, weights = normal(B, 3 * H, seed=3), normal(B, H, seed=4), some_weights(3)

    def before_the_product(weights: Weights) -> Tensor:
        U_n, b_n = weights.U[2 * H :], weights.b[2 * H :]
        u_r, u_z, _ = (h @ weights.U.T + weights.b).chunk(3, -1)
        a_r, a_z, a_n = a.chunk(3, -1)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = tanh(a_n + (r * h) @ U_n.T + b_n)
        return (1 - z) * n + z * h

    (found,) = gru(a, (h,), weights)
    assert not is_near(found, before_the_product(weights))
    # They meet where no unit speaks to another, and the recurrent bias of n is 0.
    weights.U[2 * H :], weights.b[2 * H :] = torch.diag(normal(H, seed=8)), 0
    (found,) = gru(a, (h,), weights)
    assert is_near(found, before_the_product(weights))


# What the library takes.


def test_the_librarys_input_has_time_first_and_nobody_is_told_who_mistakes_it() -> None:
    layer = nn.LSTM(5, H).double()
    x = normal(T, B, 5, seed=1)
    outputs, (h, _) = layer(x)
    assert (outputs.shape, h.shape) == ((T, B, H), (1, B, H))
    # Eight streams of three steps each, where three of eight were meant: no error, other numbers.
    swapped, (h, _) = layer(x.transpose(0, 1))
    assert (swapped.shape, h.shape) == ((B, T, H), (1, T, H))
    assert not is_near(swapped.transpose(0, 1), outputs)
    layer.batch_first = True
    assert is_near(layer(x.transpose(0, 1))[0].transpose(0, 1), outputs)


def test_a_forget_bias_of_one_in_both_biases_is_two() -> None:
    layer = nn.LSTM(V, H)
    biases: list[Tensor] = [weight for name, weight in layer.named_parameters() if "bias" in name]
    with torch.no_grad():
        for weight in biases:
            weight[H : 2 * H] = 1.0
    assert torch.stack(biases).sum(0)[H : 2 * H].tolist() == [2.0] * H
    model = CharLM(Architecture(hidden=H), V)
    initialize(model, "orthogonal", torch.Generator().manual_seed(1))
    weights = dict(model.named_parameters())
    both = weights["recurrent.bias_ih_l0"] + weights["recurrent.bias_hh_l0"]
    assert both[H : 2 * H].tolist() == [1.0] * H


# The output and its figures.


def test_sigmoids_of_the_logits_are_no_distribution() -> None:
    logits = normal(V, seed=1)
    assert float(logits.softmax(-1).sum()) == pytest.approx(1)
    assert abs(float(sigmoid(logits).sum()) - 1) > 0.5
    # Nor are they one that was scaled: they stand in other proportions.
    shares = sigmoid(logits) / sigmoid(logits).sum()
    assert not torch.allclose(shares, logits.softmax(-1), rtol=0, atol=0.05)


def test_softmax_before_the_librarys_loss_is_taken_twice() -> None:
    logits, targets = 10 * normal(B, V, seed=1), torch.arange(B)
    loss = -logits.log_softmax(-1)[torch.arange(B), targets].mean()
    assert is_near(functional.cross_entropy(logits, targets), loss)
    twice = functional.cross_entropy(logits.softmax(-1), targets)
    assert not is_near(twice, loss)
    # It cannot even come near 0: the best that probabilities can be is 1 beside zeros.
    best = functional.cross_entropy(functional.one_hot(targets, V).double(), targets)
    assert float(best) == pytest.approx(math.log(math.e + V - 1) - 1)


def test_the_mean_of_perplexities_is_above_the_perplexity_of_the_mean() -> None:
    # The mean loss of three batches of as many characters.
    losses = [1.0, 2.0, 3.0]
    assert perplexity(sum(losses) / 3) == pytest.approx(math.e**2)
    assert sum(map(perplexity, losses)) / 3 == pytest.approx((math.e + math.e**2 + math.e**3) / 3)
    assert sum(map(perplexity, losses)) / 3 > 1.3 * perplexity(sum(losses) / 3)
    # Of batches that are not, the mean of the losses is wrong as well.
    nats, characters = [100.0, 3.0], [100, 1]
    assert perplexity(sum(nats) / sum(characters)) < perplexity((1.0 + 3.0) / 2)


# The backward pass.


def test_the_hidden_state_passes_its_gradient_on_through_each_gate() -> None:
    a, (h, c), weights = a_step()
    jacobian = torch.func.jacrev(lambda h: lstm(a, (h, c), weights)[0])(h)[0, :, 0]
    i, f, g, o = (gate[0] for gate in gates(a, (h, c), weights))
    U_i, U_f, U_g, U_o = weights.U.chunk(4)
    new = f * c[0] + i * g
    outer = o * (1 - tanh(new) ** 2)
    terms = [
        (outer * g * i * (1 - i))[:, None] * U_i,
        (outer * c[0] * f * (1 - f))[:, None] * U_f,
        (outer * i * (1 - g**2))[:, None] * U_g,
        (tanh(new) * o * (1 - o))[:, None] * U_o,
    ]
    assert is_near(jacobian, torch.stack(terms).sum(0))
    for missing in range(4):
        rest = [term for place, term in enumerate(terms) if place != missing]
        assert not is_near(jacobian, torch.stack(rest).sum(0))


def test_the_gradient_of_the_cell_state_comes_through_the_output_and_from_the_step_after() -> None:
    a, (_, c), weights = a_step()
    o_before = sigmoid(normal(1, H, seed=6))
    c.requires_grad_()
    h = o_before * tanh(c)
    (expected,) = torch.autograd.grad(lstm(a, (h, c), weights)[0].sum(), c)

    h, c = h.detach().requires_grad_(), c.detach()
    (d_h,) = torch.autograd.grad(lstm(a, (h, c), weights)[0].sum(), h)
    c.requires_grad_()
    (through_c,) = torch.autograd.grad(lstm(a, (h.detach(), c), weights)[0].sum(), c)
    through_h = d_h * o_before * (1 - tanh(c) ** 2)
    assert is_near(expected, through_h + through_c)
    assert not is_near(expected, through_h)
    assert not is_near(expected, through_c)


def test_a_gates_derivative_is_of_what_goes_into_it_and_is_told_by_what_comes_out() -> None:
    x = normal(H, seed=1).requires_grad_()
    gate = sigmoid(x)
    (expected,) = torch.autograd.grad(gate.sum(), x)
    assert is_near(expected, gate * (1 - gate))
    assert not is_near(expected, sigmoid(gate) * (1 - sigmoid(gate)))
    candidate = tanh(x)
    (expected,) = torch.autograd.grad(candidate.sum(), x)
    assert is_near(expected, 1 - candidate**2)
    assert not is_near(expected, 1 - tanh(candidate) ** 2)


def test_a_truncated_gradient_lacks_what_came_before_the_window_through_h_and_through_c() -> None:
    a, U = normal(T, B, 4 * H, seed=3), normal(4 * H, H, seed=1).requires_grad_()
    b = normal(4 * H, seed=2)
    zero: State = (torch.zeros(B, H, dtype=a.dtype), torch.zeros(B, H, dtype=a.dtype))

    def gradient(kept: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
        """Read in two windows; `kept`: whether h and c bring the gradient over the edge."""
        _, state = run(lstm, a[: T // 2], zero, Weights(U, b))
        state = tuple(
            part if keep else part.detach() for part, keep in zip(state, kept, strict=True)
        )
        outputs, _ = run(lstm, a[T // 2 :], state, Weights(U, b))
        return outputs.detach(), torch.autograd.grad(outputs.sum(), U)[0]

    outputs, truncated = gradient((False, False))
    found = [gradient(kept) for kept in ((True, False), (False, True), (True, True))]
    # What is read is the same, for the state goes on; what is learned from it is not.
    assert all(is_near(outputs, others) for others, _ in found)
    all_ = [truncated, *(one for _, one in found)]
    assert not any(is_near(one, other) for one, other in pairwise(all_))
    assert not is_near(truncated, all_[-1])


def test_a_state_that_is_not_detached_leads_back_into_a_window_that_is_gone() -> None:
    layer = nn.LSTM(5, H).double()
    x = normal(2, T, B, 5, seed=1)
    outputs, state = layer(x[0])
    torch.autograd.backward(outputs.sum())
    outputs, _ = layer(x[1], state)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.backward(outputs.sum())


# The step.


def test_clipping_each_number_is_not_clipping_the_norm() -> None:
    gradient = torch.tensor([3.0, 4.0])
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = gradient.clone()
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-4)
    weight.grad = gradient.clone()
    nn.utils.clip_grad_value_([weight], 1.0)
    # As long as the root of two, and in another direction.
    assert weight.grad.tolist() == [1.0, 1.0]


def test_the_norm_of_each_weight_is_not_the_norm_of_all() -> None:
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    first.grad, second.grad = torch.tensor([3.0]), torch.tensor([4.0])
    nn.utils.clip_grad_norm_([first, second], 1.0)
    assert float(second.grad / first.grad) == pytest.approx(4 / 3)
    first.grad, second.grad = torch.tensor([3.0]), torch.tensor([4.0])
    for weight in (first, second):
        nn.utils.clip_grad_norm_([weight], 1.0)
    assert float(second.grad / first.grad) == pytest.approx(1)
