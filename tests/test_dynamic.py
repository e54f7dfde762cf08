import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.evaluation.dynamic import _DECAY, _EPSILON, _RATE, _SEGMENT, dynamic_surprisal
from charlstm.model.charlm import CharLM
from charlstm.model.surprisal import surprisal
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture

V, H = 7, 5
# Five whole segments and a shorter one.
PREDICTED = 5 * _SEGMENT + _SEGMENT // 2

BUILDS = [("scratch", cell) for cell in CELLS] + [("torch", cell) for cell in LIBRARY_CELLS]


def some_model(
    cell: str = "lstm", backend: str = "scratch", *, embedding: int = 0, dropout: float = 0.0
) -> CharLM:
    """Return a model of two layers in float64, the same one for the same cell and embedding."""
    architecture = Architecture(cell, H, 2, embedding)
    model = CharLM(architecture, V, backend=backend, dropout=dropout).double()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.6, generator=generator)
    return model


def some_ids(characters: int = PREDICTED + 1) -> NDArray[np.uint16]:
    """Return a rhythm that can be learned, with every fifth id at random."""
    noise = np.random.default_rng(5).integers(0, V, size=characters)
    place = np.arange(characters)
    return np.where(place % 5 == 4, noise, place % 3).astype(np.uint16)


# One step of a layer each: from a = W x + b_ih, u = U h + b_hh, h, c and the peephole weights to
# the new h and c.


def lstm(a: Tensor, u: Tensor, h: Tensor, c: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (a + u).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def peephole(a: Tensor, u: Tensor, h: Tensor, c: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (a + u).chunk(4)
    new = (f + p[1] * c).sigmoid() * c + (i + p[0] * c).sigmoid() * g.tanh()
    return (o + p[2] * new).sigmoid() * new.tanh(), new


def coupled(a: Tensor, u: Tensor, h: Tensor, c: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    f, g, o = (a + u).chunk(3)
    c = f.sigmoid() * c + (1 - f.sigmoid()) * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(a: Tensor, u: Tensor, h: Tensor, c: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3), u.chunk(3)
    z = (a_z + u_z).sigmoid()
    n = (a_n + (a_r + u_r).sigmoid() * u_n).tanh()
    return (1 - z) * n + z * h, c


def rnn(a: Tensor, u: Tensor, h: Tensor, c: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    return (a + u).tanh(), c


Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
STEPS: dict[str, Step] = {
    "lstm": lstm,
    "peephole": peephole,
    "coupled": coupled,
    "gru": gru,
    "rnn": rnn,
}


def plain_nats(cell: str, weights: dict[str, Tensor], ids: list[int]) -> list[float]:
    """Read, predict and adapt, a character and a weight at a time, in float64."""
    w = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    zeros = torch.zeros(H, dtype=torch.float64)
    h, c = [zeros, zeros], [zeros, zeros]
    nats: list[float] = []
    segments = 0
    while len(nats) < len(ids) - 1:
        losses = []
        for at in range(len(nats), min(len(nats) + _SEGMENT, len(ids) - 1)):
            if "embedding.weight" in w:
                x = w["embedding.weight"][ids[at]]
            else:
                x = torch.eye(V, dtype=torch.float64)[ids[at]]
            for k in range(2):
                a = w[f"recurrent.weight_ih_l{k}"] @ x + w[f"recurrent.bias_ih_l{k}"]
                u = w[f"recurrent.weight_hh_l{k}"] @ h[k] + w[f"recurrent.bias_hh_l{k}"]
                p = w.get(f"recurrent.weight_peephole_l{k}", zeros)
                h[k], c[k] = STEPS[cell](a, u, h[k], c[k], p)
                x = h[k]
            scores = w["head.weight"] @ x + w["head.bias"]
            losses.append(scores.exp().sum().log() - scores[ids[at + 1]])
        nats += [float(loss.detach()) for loss in losses]
        gradients = torch.autograd.grad(torch.stack(losses).mean(), list(w.values()))
        h, c = [part.detach() for part in h], [part.detach() for part in c]
        segments += 1
        for name, g in zip(list(w), gradients, strict=True):
            squares[name] += g * g
            rms = (squares[name] / segments).sqrt()
            old = w[name].detach()
            drawn_back = old + _DECAY * (weights[name] - old)
            w[name] = (drawn_back - _RATE * g / (rms + _EPSILON)).requires_grad_()
    return nats


@pytest.mark.parametrize("embedding", [0, 3], ids=["one-hot", "embedding"])
@pytest.mark.parametrize(("backend", "cell"), BUILDS)
def test_adapting_equals_a_plain_computation(backend: str, cell: str, embedding: int) -> None:
    model, ids = some_model(cell, backend, embedding=embedding), some_ids()
    found = dynamic_surprisal(model, ids)
    expected = plain_nats(cell, model.state_dict(), ids.tolist())
    assert found.shape == (PREDICTED,)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    # What was learned is far above that tolerance.
    assert (found - surprisal(model, ids))[_SEGMENT:].abs().max() > 1e-3


def test_the_first_segment_is_predicted_as_without_adapting() -> None:
    model, ids = some_model(), some_ids()
    static, dynamic = surprisal(model, ids), dynamic_surprisal(model, ids)
    assert dynamic[:_SEGMENT].tolist() == pytest.approx(static[:_SEGMENT].tolist(), rel=1e-6)
    assert dynamic[_SEGMENT].item() != pytest.approx(static[_SEGMENT].item(), rel=1e-6)


@pytest.mark.parametrize("changed", [2 * _SEGMENT, 2 * _SEGMENT + 1, PREDICTED])
def test_no_prediction_knows_a_character_that_comes_after_it(changed: int) -> None:
    ids = some_ids()
    other = ids.copy()
    other[changed] = (ids[changed] + 1) % V
    # Character k is predicted at place k - 1.
    first, second = dynamic_surprisal(some_model(), ids), dynamic_surprisal(some_model(), other)
    assert torch.equal(first[: changed - 1], second[: changed - 1])
    assert not torch.equal(first[changed - 1], second[changed - 1])


@pytest.mark.parametrize(("backend", "cell"), BUILDS)
def test_a_repetitive_text_is_predicted_better_once_the_model_adapts(
    backend: str, cell: str
) -> None:
    model = some_model(cell, backend)
    ids = np.tile(np.array([1, 4, 2, 6], dtype=np.uint16), 20 * _SEGMENT // 4)
    static, dynamic = surprisal(model, ids), dynamic_surprisal(model, ids)
    assert dynamic.mean() < static.mean() - 0.005
    # And better and better.
    half = len(dynamic) // 2
    assert dynamic[half:].mean() < dynamic[:half].mean() - 0.005


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_the_model_that_was_passed_in_stays_as_it_is(backend: str, training: bool) -> None:
    model, ids = some_model(backend=backend, dropout=0.3).train(training), some_ids()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    first = dynamic_surprisal(model, ids)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(weight.grad is None for weight in model.parameters())
    assert all(module.training is training for module in model.modules())
    assert model.dropout == 0.3
    assert torch.equal(dynamic_surprisal(model, ids), first)


def test_gradients_that_the_model_holds_are_neither_used_nor_lost() -> None:
    model, ids = some_model(), some_ids()
    expected = dynamic_surprisal(model, ids)
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 3.0)
    assert torch.equal(dynamic_surprisal(model, ids), expected)
    for weight in model.parameters():
        assert weight.grad is not None
        assert bool((weight.grad == 3.0).all())


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_a_model_built_with_dropout_drops_nothing(backend: str) -> None:
    ids = some_ids()
    plain = some_model(backend=backend, embedding=3)
    dropping = some_model(backend=backend, embedding=3, dropout=0.5).train()
    assert torch.equal(dynamic_surprisal(dropping, ids), dynamic_surprisal(plain, ids))


@pytest.mark.parametrize("predicted", [1, _SEGMENT - 1, _SEGMENT])
def test_a_text_that_ends_before_anything_is_learned_has_the_static_figures(
    predicted: int,
) -> None:
    model, ids = some_model(), some_ids(predicted + 1)
    found = dynamic_surprisal(model, ids)
    assert found.shape == (predicted,)
    assert found.tolist() == pytest.approx(surprisal(model, ids).tolist(), rel=1e-6)


@pytest.mark.parametrize("predicted", [1, _SEGMENT, _SEGMENT + 1, PREDICTED])
def test_progress_is_told_after_each_segment_and_adds_up_to_what_was_predicted(
    predicted: int,
) -> None:
    told: list[int] = []
    dynamic_surprisal(some_model(), some_ids(predicted + 1), on_progress=told.append)
    assert sum(told) == predicted
    assert len(told) == math.ceil(predicted / _SEGMENT)
    assert all(0 < count <= _SEGMENT for count in told)
