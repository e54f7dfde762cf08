import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from charlstm.model.recurrent.equations import STEPS, Weights, run
from charlstm.model.recurrent.scratch import ScratchRecurrent
from charlstm.recipes.architecture import CELLS, Architecture

B, H, V = 2, 3, 4
WIDTH = 2  # of the embedding
BLOCKS = {"lstm": 4, "peephole": 4, "coupled": 3, "gru": 3, "rnn": 1}
HAS_CELL_STATE = ("lstm", "peephole", "coupled")

Vector = list[float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(left: Vector, right: Vector) -> float:
    return math.fsum(x * y for x, y in zip(left, right, strict=True))


# Each takes one stream: the input's share of row k (`a`), the recurrent share of row k (`u`),
# the old state and the peephole weights; and returns the new h and c.


def plain_lstm(
    a: Vector, u: Vector, _h: Vector, c: Vector, _p: list[Vector]
) -> tuple[Vector, Vector]:
    new_h, new_c = [], []
    for j in range(H):
        i = sigmoid(a[j] + u[j])
        f = sigmoid(a[H + j] + u[H + j])
        g = math.tanh(a[2 * H + j] + u[2 * H + j])
        o = sigmoid(a[3 * H + j] + u[3 * H + j])
        new_c.append(f * c[j] + i * g)
        new_h.append(o * math.tanh(new_c[j]))
    return new_h, new_c


def plain_peephole(
    a: Vector, u: Vector, _h: Vector, c: Vector, p: list[Vector]
) -> tuple[Vector, Vector]:
    new_h, new_c = [], []
    for j in range(H):
        i = sigmoid(a[j] + u[j] + p[0][j] * c[j])
        f = sigmoid(a[H + j] + u[H + j] + p[1][j] * c[j])
        g = math.tanh(a[2 * H + j] + u[2 * H + j])
        new_c.append(f * c[j] + i * g)
        o = sigmoid(a[3 * H + j] + u[3 * H + j] + p[2][j] * new_c[j])
        new_h.append(o * math.tanh(new_c[j]))
    return new_h, new_c


def plain_coupled(
    a: Vector, u: Vector, _h: Vector, c: Vector, _p: list[Vector]
) -> tuple[Vector, Vector]:
    new_h, new_c = [], []
    for j in range(H):
        f = sigmoid(a[j] + u[j])
        g = math.tanh(a[H + j] + u[H + j])
        o = sigmoid(a[2 * H + j] + u[2 * H + j])
        new_c.append(f * c[j] + (1 - f) * g)
        new_h.append(o * math.tanh(new_c[j]))
    return new_h, new_c


def plain_gru(
    a: Vector, u: Vector, h: Vector, _c: Vector, _p: list[Vector]
) -> tuple[Vector, Vector]:
    new_h = []
    for j in range(H):
        r = sigmoid(a[j] + u[j])
        z = sigmoid(a[H + j] + u[H + j])
        n = math.tanh(a[2 * H + j] + r * u[2 * H + j])
        new_h.append((1 - z) * n + z * h[j])
    return new_h, []


def plain_rnn(
    a: Vector, u: Vector, _h: Vector, _c: Vector, _p: list[Vector]
) -> tuple[Vector, Vector]:
    return [math.tanh(a[j] + u[j]) for j in range(H)], []


PlainStep = Callable[[Vector, Vector, Vector, Vector, list[Vector]], tuple[Vector, Vector]]

PLAIN: dict[str, PlainStep] = {
    "lstm": plain_lstm,
    "peephole": plain_peephole,
    "coupled": plain_coupled,
    "gru": plain_gru,
    "rnn": plain_rnn,
}


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def some_weights(cell: str) -> Weights:
    rows = BLOCKS[cell] * H
    p = normal(3, H, seed=3) if cell == "peephole" else None
    return Weights(normal(rows, H, seed=1), normal(rows, seed=2), p)


def some_state(cell: str) -> tuple[Tensor, ...]:
    h, c = normal(B, H, seed=4).tanh(), 2 * normal(B, H, seed=5)
    return (h, c) if cell in HAS_CELL_STATE else (h,)


def some_layers(cell: str) -> ScratchRecurrent:
    architecture = Architecture(cell=cell, hidden=H, layers=2, embedding=WIDTH)
    layers = ScratchRecurrent(architecture, V, dropout=0.0).double()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return layers


def test_every_cell_of_the_recipes_has_an_equation_here() -> None:
    assert tuple(STEPS) == CELLS


@pytest.mark.parametrize("cell", CELLS)
def test_one_step_follows_the_formulas_number_by_number(cell: str) -> None:
    a, weights, state = normal(B, BLOCKS[cell] * H, seed=7), some_weights(cell), some_state(cell)
    new = STEPS[cell](a, state, weights)
    p = [] if weights.p is None else weights.p.tolist()
    for stream in range(B):
        h = state[0][stream].tolist()
        c = state[1][stream].tolist() if len(state) > 1 else []
        rows = zip(weights.U.tolist(), weights.b.tolist(), strict=True)
        u = [dot(row, h) + bias for row, bias in rows]
        expected_h, expected_c = PLAIN[cell](a[stream].tolist(), u, h, c, p)
        assert new[0][stream].tolist() == pytest.approx(expected_h, rel=0, abs=1e-14)
        if cell in HAS_CELL_STATE:
            assert new[1][stream].tolist() == pytest.approx(expected_c, rel=0, abs=1e-14)
        else:
            assert len(new) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_running_along_time_hands_the_state_from_step_to_step(cell: str) -> None:
    a, weights = normal(4, B, BLOCKS[cell] * H, seed=8), some_weights(cell)
    outputs, last = run(STEPS[cell], a, some_state(cell), weights)
    assert outputs.shape == (4, B, H)
    state = some_state(cell)
    for t in range(4):
        state = STEPS[cell](a[t], state, weights)
        assert torch.equal(outputs[t], state[0])
    assert len(last) == len(state)
    assert all(torch.equal(found, part) for found, part in zip(last, state, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_layers_and_their_gradients_are_those_of_the_equations_under_autograd(cell: str) -> None:
    layers = some_layers(cell)
    state = tuple(
        normal(2, B, H, seed=10 + place).requires_grad_()
        for place in range(2 if cell in HAS_CELL_STATE else 1)
    )
    inputs = normal(5, B, WIDTH, seed=9).requires_grad_()
    leaves = (inputs, *state, *layers.parameters())

    def by_the_equations() -> list[Tensor]:
        outputs, last = inputs, []
        for layer in range(2):
            named = {
                name.removesuffix(f"_l{layer}"): weight
                for name, weight in layers.named_parameters()
                if name.endswith(f"_l{layer}")
            }
            a = outputs @ named["weight_ih"].T + named["bias_ih"]
            weights = Weights(named["weight_hh"], named["bias_hh"], named.get("weight_peephole"))
            before = tuple(part[layer] for part in state)
            outputs, after = run(STEPS[cell], a, before, weights)
            last.append(after)
        return [outputs, *(torch.stack(parts) for parts in zip(*last, strict=True))]

    outputs, last = layers.unroll(inputs, state)
    found, expected = [outputs, *last], by_the_equations()
    along = [normal(*part.shape, seed=20 + place) for place, part in enumerate(expected)]
    found += torch.autograd.grad(found, leaves, along)
    expected += torch.autograd.grad(expected, leaves, along)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck_holds_for_all_weights_the_inputs_and_the_initial_state(cell: str) -> None:
    layers = some_layers(cell)
    weights = tuple(layers.parameters())
    inputs = normal(3, B, WIDTH, seed=9).requires_grad_()
    state = tuple(
        normal(2, B, H, seed=10 + place).requires_grad_()
        for place in range(2 if cell in HAS_CELL_STATE else 1)
    )

    # gradcheck moves the numbers of each tensor in place, so the layers see every weight move.
    def unrolled(inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        outputs, last = layers.unroll(inputs, rest[: len(state)])
        return outputs, *last

    assert len(weights) == (10 if cell == "peephole" else 8)
    assert torch.autograd.gradcheck(unrolled, (inputs, *state, *weights))


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck_holds_where_ids_stand_for_one_hot_vectors(cell: str) -> None:
    architecture = Architecture(cell=cell, hidden=2, layers=1)
    layers = ScratchRecurrent(architecture, V, dropout=0.0).double()
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    # An id that is read twice must gather both gradients, and one that is not read none.
    ids = torch.tensor([[0, 2], [2, 3], [0, 2]])
    state = tuple(
        normal(1, B, 2, seed=12 + place) for place in range(2 if cell in HAS_CELL_STATE else 1)
    )

    def unrolled(*_weights: Tensor) -> tuple[Tensor, ...]:
        outputs, last = layers.unroll(ids, state)
        return outputs, *last

    assert torch.autograd.gradcheck(unrolled, tuple(layers.parameters()))
    torch.autograd.backward(unrolled()[0].sum())
    into = layers.get_parameter("weight_ih_l0").grad
    assert into is not None
    assert not into[:, 1].any()
    assert into[:, [0, 2, 3]].all()


@pytest.mark.parametrize("cell", CELLS)
def test_a_window_read_in_two_parts_is_the_window_read_at_once(cell: str) -> None:
    layers = some_layers(cell)
    inputs = normal(7, B, WIDTH, seed=13)
    state = tuple(
        normal(2, B, H, seed=14 + place) for place in range(2 if cell in HAS_CELL_STATE else 1)
    )
    whole, last = layers.unroll(inputs, state)
    first, between = layers.unroll(inputs[:3], state)
    second, end = layers.unroll(inputs[3:], between)
    torch.testing.assert_close(torch.cat((first, second)), whole, rtol=0, atol=1e-14)
    for found, expected in zip(end, last, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
