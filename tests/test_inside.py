"""What happened inside a network, held to the equations; and units that are switched off."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, sigmoid, tanh

from charlstm.model.inside import LETTERS, Inside
from charlstm.model.network import Network
from charlstm.model.recurrent.equations import STEPS, Weights
from charlstm.recipes.architecture import CELLS, Architecture

V, H, END = 11, 7, 3
IDS = np.array([4, 1, 0, 9, END, 2, 2, 10, 5, END, END, 8, 7, 6, 1, 4])


def assert_near(found: Any, right: Any, within: float = 1e-6) -> None:
    np.testing.assert_allclose(found, right, rtol=0, atol=within)


class Layer(NamedTuple):
    """What a layer goes through by `equations`, in float64.

    Attributes:
        a: ``[T, G, H]``, the input's share of each block.
        u: ``[T, G, H]``, the share of the state before.
        before: the states before the steps, ``[T, H]`` each.
        after: the states after them.
        p: the peephole weights, if any.
    """

    a: Tensor
    u: Tensor
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    p: Tensor | None


def drawn(architecture: Architecture) -> dict[str, Any]:
    random = np.random.default_rng(2)
    shapes = architecture.parameter_shapes(V)
    return {name: random.normal(0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}


def by_equations(
    architecture: Architecture, weights: dict[str, Any], end: int | None
) -> tuple[list[Layer], Tensor]:
    """Return what each layer goes through, and the logits."""
    w = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    table = w["embedding.weight"] if architecture.embedding else torch.eye(V).double()
    x, layers = table[torch.from_numpy(IDS)], []
    for k in range(architecture.layers):
        U, b = w[f"recurrent.weight_hh_l{k}"], w[f"recurrent.bias_hh_l{k}"]
        p = w.get(f"recurrent.weight_peephole_l{k}")
        a = x @ w[f"recurrent.weight_ih_l{k}"].T + w[f"recurrent.bias_ih_l{k}"]
        zero = tuple(torch.zeros(H).double() for _ in architecture.state_names)
        state, before, after = zero, [], []
        for t in range(len(IDS)):
            before.append(zero if IDS[t] == end else state)
            state = STEPS[architecture.cell](a[t], before[-1], Weights(U, b, p))
            after.append(state)
        old, new = (tuple(map(torch.stack, zip(*each, strict=True))) for each in (before, after))
        u = old[0] @ U.T + b
        blocks = (len(IDS), -1, H)
        layers.append(Layer(a.reshape(blocks), u.reshape(blocks), old, new, p))
        x = new[0]
    return layers, x @ w["head.weight"].T + w["head.bias"]


Read = tuple[str, Inside, list[Layer], Tensor]


@pytest.fixture(params=[(cell, L, end) for cell in CELLS for L in (1, 2) for end in (None, END)])
def read(request: pytest.FixtureRequest) -> Read:
    """Return a cell, what happened in its network, and the same by `equations`."""
    cell, layers, end = request.param
    architecture = Architecture(cell, hidden=H, layers=layers, embedding=5 * (layers - 1))
    weights = drawn(architecture)
    network = Network(architecture, weights, V, end)
    return cell, network.inside(network.start(), IDS), *by_equations(architecture, weights, end)


def test_the_states_are_those_of_the_equations(read: Read) -> None:
    _, inside, layers, logits = read
    assert_near(inside.logits, logits, 3e-6)
    for steps, layer in zip(inside.layers, layers, strict=True):
        assert_near(steps.values["h"], layer.after[0])
        if len(layer.after) > 1:
            assert_near(steps.values["c"], layer.after[1])
            assert steps.memory is steps.values["c"]
        else:
            assert "c" not in steps.values
            assert steps.memory is steps.values["h"]


def gates(cell: str, layer: Layer) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what goes into each gate and candidate, and what comes out, as in the papers."""
    x = {letter: layer.a[:, k] + layer.u[:, k] for k, letter in enumerate(LETTERS[cell])}
    if cell == "peephole":
        assert layer.p is not None
        x["i"] = x["i"] + layer.p[0] * layer.before[1]
        x["f"] = x["f"] + layer.p[1] * layer.before[1]
        x["o"] = x["o"] + layer.p[2] * layer.after[1]
    if cell == "gru":
        x["n"] = layer.a[:, 2] + sigmoid(x["r"]) * layer.u[:, 2]
    return {k: (into, tanh(into) if k in "gnh" else sigmoid(into)) for k, into in x.items()}


def test_gates_and_candidates_are_those_of_the_equations(read: Read) -> None:
    cell, inside, layers, _ = read
    for steps, layer in zip(inside.layers, layers, strict=True):
        found = gates(cell, layer)
        assert set(steps.sums) == set(found) == set(LETTERS[cell])
        for letter, (into, out) in found.items():
            assert_near(steps.sums[letter], into, 3e-6)
            assert_near(steps.values[letter], out)


def test_what_was_kept_and_what_was_written_make_the_new_state(read: Read) -> None:
    cell, inside, _, _ = read
    for steps in inside.layers:
        if cell == "rnn":
            assert steps.kept is None
            assert steps.written is None
            assert steps.keeping is None
            continue
        assert steps.kept is not None
        assert steps.written is not None
        assert_near(steps.kept + steps.written, steps.memory)
        assert steps.keeping is steps.values["z" if cell == "gru" else "f"]


def test_a_text_read_in_two_parts_is_the_same_text() -> None:
    architecture = Architecture(hidden=H, layers=2)
    network = Network(architecture, drawn(architecture), V, END)
    whole = network.inside(network.start(), IDS)
    state = network.start()
    parts = [network.inside(state, IDS[:5]), network.inside(state, IDS[5:])]
    for k, steps in enumerate(whole.layers):
        for letter, values in steps.values.items():
            pieces = [part.layers[k].values[letter] for part in parts]
            assert_near(np.concatenate(pieces), values)
    logits = np.concatenate([part.logits for part in parts])
    assert_near(logits, whole.logits, 1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_unit_that_is_off_is_one_that_nothing_reads(cell: str) -> None:
    architecture = Architecture(cell, hidden=H, layers=2)
    weights = drawn(architecture)
    off = [(0, 2), (1, 5), (0, 0)]
    network = Network(architecture, weights, V, END).without(off)
    state = network.start(len(off))
    together = [network.step(state, character).copy() for character in IDS.tolist()]
    for n, (layer, unit) in enumerate(off):
        cut = {name: array.copy() for name, array in weights.items()}
        cut[f"recurrent.weight_hh_l{layer}"][:, unit] = 0
        cut["head.weight" if layer else "recurrent.weight_ih_l1"][:, unit] = 0
        alone = Network(architecture, cut, V, END)
        own = alone.start()
        for logits, character in zip(together, IDS.tolist(), strict=True):
            assert_near(logits[n], alone.step(own, character)[0], 1e-5)


def test_without_leaves_the_network_as_it_is() -> None:
    architecture = Architecture(hidden=H)
    network = Network(architecture, drawn(architecture), V)
    before = network.step(network.start(), 4).copy()
    off = network.without([(0, 1)])
    assert not np.array_equal(off.step(off.start(), 4), before)
    assert np.array_equal(network.step(network.start(), 4), before)
