"""The formulas of docs/equations.md that have no test where they are computed.

The gradients of a step, by hand, for the cells whose backward pass is left to autograd; and what
follows from the formulas, which the page says in words.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from charlstm.model.charlm import CharLM
from charlstm.model.recurrent.equations import STEPS, State, Weights, lstm, run
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.training.optimizer import make_optimizer

T, B, H, V = 6, 3, 4, 7


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


class Gradients(NamedTuple):
    """What a step back leaves, named as in ``docs/backpropagation.md``."""

    d_a: Tensor
    d_weight: Tensor
    d_b: Tensor
    d_state: State
    d_p: Tensor | None = None


# Each takes the input's share, the state before, the weights, and the gradient of the state after.


def lstm_back(a: Tensor, state: State, weights: Weights, after: State) -> Gradients:
    (h, c), (U, b, _), (d_h, d_c) = state, weights, after
    i, f, g, o = (a + h @ U.T + b).chunk(4, dim=-1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    tanh_c = (f * c + i * g).tanh()
    d_c = d_c + d_h * o * (1 - tanh_c**2)
    d_a_i = d_c * g * i * (1 - i)
    d_a_f = d_c * c * f * (1 - f)
    d_a_g = d_c * i * (1 - g**2)
    d_a_o = d_h * tanh_c * o * (1 - o)
    d_a = torch.cat((d_a_i, d_a_f, d_a_g, d_a_o), dim=-1)
    return Gradients(d_a, d_a.T @ h, d_a.sum(0), (d_a @ U, d_c * f))


def peephole_back(a: Tensor, state: State, weights: Weights, after: State) -> Gradients:
    (h, c), (U, b, p), (d_h, d_c) = state, weights, after
    assert p is not None
    p_i, p_f, p_o = p
    i, f, g, o = (a + h @ U.T + b).chunk(4, dim=-1)
    i, f, g = (i + p_i * c).sigmoid(), (f + p_f * c).sigmoid(), g.tanh()
    c_t = f * c + i * g
    o, tanh_c = (o + p_o * c_t).sigmoid(), c_t.tanh()
    d_a_o = d_h * tanh_c * o * (1 - o)
    d_c = d_c + d_h * o * (1 - tanh_c**2) + d_a_o * p_o
    d_a_i = d_c * g * i * (1 - i)
    d_a_f = d_c * c * f * (1 - f)
    d_a_g = d_c * i * (1 - g**2)
    d_a = torch.cat((d_a_i, d_a_f, d_a_g, d_a_o), dim=-1)
    d_p = torch.stack([(d_a_i * c).sum(0), (d_a_f * c).sum(0), (d_a_o * c_t).sum(0)])
    before = (d_a @ U, d_c * f + d_a_i * p_i + d_a_f * p_f)
    return Gradients(d_a, d_a.T @ h, d_a.sum(0), before, d_p)


def coupled_back(a: Tensor, state: State, weights: Weights, after: State) -> Gradients:
    (h, c), (U, b, _), (d_h, d_c) = state, weights, after
    f, g, o = (a + h @ U.T + b).chunk(3, dim=-1)
    f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
    tanh_c = (f * c + (1 - f) * g).tanh()
    d_c = d_c + d_h * o * (1 - tanh_c**2)
    d_a_f = d_c * (c - g) * f * (1 - f)
    d_a_g = d_c * (1 - f) * (1 - g**2)
    d_a_o = d_h * tanh_c * o * (1 - o)
    d_a = torch.cat((d_a_f, d_a_g, d_a_o), dim=-1)
    return Gradients(d_a, d_a.T @ h, d_a.sum(0), (d_a @ U, d_c * f))


def gru_back(a: Tensor, state: State, weights: Weights, after: State) -> Gradients:
    (h,), (U, b, _), (d_h,) = state, weights, after
    a_r, a_z, a_n = a.chunk(3, dim=-1)
    u_r, u_z, u_n = (h @ U.T + b).chunk(3, dim=-1)
    r, z = (a_r + u_r).sigmoid(), (a_z + u_z).sigmoid()
    n = (a_n + r * u_n).tanh()
    d_a_n = d_h * (1 - z) * (1 - n**2)
    d_a_z = d_h * (h - n) * z * (1 - z)
    d_a_r = d_a_n * u_n * r * (1 - r)
    d_u = torch.cat((d_a_r, d_a_z, d_a_n * r), dim=-1)
    d_a = torch.cat((d_a_r, d_a_z, d_a_n), dim=-1)
    return Gradients(d_a, d_u.T @ h, d_u.sum(0), (d_h * z + d_u @ U,))


def rnn_back(a: Tensor, state: State, weights: Weights, after: State) -> Gradients:
    (h,), (U, b, _), (d_h,) = state, weights, after
    d_a = d_h * (1 - (a + h @ U.T + b).tanh() ** 2)
    return Gradients(d_a, d_a.T @ h, d_a.sum(0), (d_a @ U,))


BACK: dict[str, Callable[[Tensor, State, Weights, State], Gradients]] = {
    "lstm": lstm_back,
    "peephole": peephole_back,
    "coupled": coupled_back,
    "gru": gru_back,
    "rnn": rnn_back,
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_back_by_hand_is_what_autograd_makes_of_the_step(cell: str) -> None:
    architecture = Architecture(cell, hidden=H)
    rows, parts = architecture.blocks * H, range(len(architecture.state_names))
    a, U, b = normal(B, rows, seed=1), normal(rows, H, seed=2), normal(rows, seed=3)
    p = normal(3, H, seed=4) if cell == "peephole" else None
    state = tuple(normal(B, H, seed=5 + part) for part in parts)
    after = tuple(normal(B, H, seed=7 + part) for part in parts)
    leaves = [leaf for leaf in (a, U, b, *state, p) if leaf is not None]
    for leaf in leaves:
        leaf.requires_grad_()
    expected = torch.autograd.grad(STEPS[cell](a, state, Weights(U, b, p)), leaves, after)
    with torch.no_grad():
        found = BACK[cell](a, state, Weights(U, b, p), after)
    ours = [found.d_a, found.d_weight, found.d_b, *found.d_state, found.d_p]
    for mine, theirs in zip([one for one in ours if one is not None], expected, strict=True):
        close(mine, theirs)


def test_the_gradient_of_the_logits_is_what_was_expected_less_what_came() -> None:
    logits = normal(T * B, V, seed=1).requires_grad_()
    targets = torch.arange(T * B) % V
    (found,) = torch.autograd.grad(functional.cross_entropy(logits, targets), logits)
    came = functional.one_hot(targets, V)
    close(found, (logits.detach().softmax(-1) - came) / (T * B))


def test_a_temperature_divides_the_logits_and_softmax_forgets_what_is_added_to_all() -> None:
    logits = normal(V, seed=1)
    close((logits + 3).softmax(-1), logits.softmax(-1))
    cold = (logits / 0.5).softmax(-1)
    close(cold, logits.softmax(-1) ** 2 / (logits.softmax(-1) ** 2).sum())


# How long a unit remembers.


def test_what_a_unit_keeps_decays_by_its_forget_gate_and_lasts_one_over_one_less_of_it() -> None:
    f = torch.tensor([0.5, 0.9, 0.99], dtype=torch.float64)
    # Gates that no input and no state moves: f as above, i and o of 1, a candidate of 0.
    a = torch.stack(
        (torch.full_like(f, 50), f.logit(), torch.zeros_like(f), torch.full_like(f, 50))
    )
    weights = Weights(torch.zeros(12, 3, dtype=torch.float64), torch.zeros(12, dtype=torch.float64))
    state: State = (torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))
    kept = []
    for step in range(5_000):
        kept.append(state[1][0])
        close(state[1][0], f**step)
        state = lstm(a.view(1, -1), state, weights)
    # Each step is counted with what is left at it.
    torch.testing.assert_close(torch.stack(kept).sum(0), 1 / (1 - f))


def test_without_a_recurrent_matrix_the_cell_state_passes_its_gradient_through_f_alone() -> None:
    a = normal(T, B, 4 * H, seed=1)
    c = normal(B, H, seed=2).requires_grad_()
    none = Weights(torch.zeros(4 * H, H, dtype=a.dtype), torch.zeros(4 * H, dtype=a.dtype))
    _, (_, last) = run(lstm, a, (torch.zeros_like(c), c), none)
    (found,) = torch.autograd.grad(last.sum(), c)
    close(found, a.chunk(4, dim=-1)[1].sigmoid().prod(0))


# The biases.


def test_two_biases_are_one_in_every_cell_but_the_gru() -> None:
    for cell in CELLS:
        architecture = Architecture(cell, hidden=H)
        rows = architecture.blocks * H
        a, U = normal(B, rows, seed=1), normal(rows, H, seed=2)
        b_ih, b_hh = normal(rows, seed=3), normal(rows, seed=4)
        p = normal(3, H, seed=5) if cell == "peephole" else None
        state = tuple(normal(B, H, seed=6) for _ in architecture.state_names)
        two = STEPS[cell](a + b_ih, state, Weights(U, b_hh, p))[0]
        one = STEPS[cell](a, state, Weights(U, b_ih + b_hh, p))[0]
        assert torch.allclose(one, two, rtol=0, atol=1e-12) == (cell != "gru")


# The optimisers.


def plainly(
    kind: str, weight: Tensor, gradients: list[Tensor], rate: float, decay: float
) -> Tensor:
    """Return a weight after a step for each gradient."""
    m, v = torch.zeros_like(weight), torch.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        if kind == "sgd":
            weight = weight - rate * gradient
            continue
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        mean, square = m / (1 - 0.9**step), v / (1 - 0.999**step)
        weight = weight - rate * decay * weight - rate * mean / (square.sqrt() + 1e-8)
    return weight


@pytest.mark.parametrize(("kind", "decay"), [("sgd", 0.0), ("adam", 0.0), ("adamw", 0.2)])
def test_an_optimiser_makes_the_steps_of_its_formulas(kind: str, decay: float) -> None:
    model = CharLM(Architecture(hidden=H), V)
    recipe = Recipe(name="test", optimizer=kind, learning_rate=0.03, weight_decay=decay)
    optimizer = make_optimizer(model, recipe)
    weight = model.head.weight
    with torch.no_grad():
        weight.copy_(normal(*weight.shape, seed=1))
    before, gradients = weight.detach().clone(), [normal(V, H, seed=k).float() for k in (2, 3, 4)]
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    found = weight.detach()
    torch.testing.assert_close(
        found, plainly(kind, before, gradients, 0.03, decay), rtol=0, atol=1e-6
    )
