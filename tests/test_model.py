import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.model.charlm import CharLM
from charlstm.model.initialization import initialize
from charlstm.model.recurrent.dropout import drop
from charlstm.model.surprisal import surprisal
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture

V = 11
BLOCKS = {"lstm": 4, "peephole": 4, "coupled": 3, "gru": 3, "rnn": 1}
BOTH = [(cell, "scratch") for cell in CELLS] + [(cell, "torch") for cell in LIBRARY_CELLS]


def build(
    cell: str = "lstm",
    *,
    scheme: str = "orthogonal",
    backend: str = "scratch",
    hidden: int = 8,
    layers: int = 2,
    embedding: int = 5,
    dropout: float = 0.0,
    seed: int = 0,
) -> CharLM:
    architecture = Architecture(cell, hidden, layers, embedding)
    model = CharLM(architecture, V, backend=backend, dropout=dropout)
    initialize(model, scheme, torch.Generator().manual_seed(seed))
    return model


def some_text(length: int, seed: int = 3) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, V, size=length).astype(np.uint16)


def step_by_step(model: CharLM, ids: NDArray[np.uint16]) -> list[float]:
    """Return every surprisal, from one character read at a time and a plain softmax."""
    state = model.zero_state(1)
    nats = []
    with torch.no_grad():
        for read, target in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True):
            logits, state = model(torch.tensor([[read]]), state)
            scores = logits[0, 0].double().numpy()
            highest = float(scores.max())
            total = float(np.exp(scores - highest).sum())
            nats.append(highest + math.log(total) - float(scores[target]))
    return nats


@pytest.mark.parametrize("embedding", [0, 5])
@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_parameters_have_the_names_shapes_and_order_of_the_architecture(
    cell: str, backend: str, embedding: int
) -> None:
    model = CharLM(Architecture(cell, 6, 2, embedding), V, backend=backend)
    found = [(name, tuple(weight.shape)) for name, weight in model.named_parameters()]
    G = BLOCKS[cell]
    peepholes = cell == "peephole"
    assert found == [
        *([("embedding.weight", (V, 5))] if embedding else []),
        ("recurrent.weight_ih_l0", (G * 6, embedding or V)),
        ("recurrent.weight_hh_l0", (G * 6, 6)),
        ("recurrent.bias_ih_l0", (G * 6,)),
        ("recurrent.bias_hh_l0", (G * 6,)),
        *([("recurrent.weight_peephole_l0", (3, 6))] if peepholes else []),
        ("recurrent.weight_ih_l1", (G * 6, 6)),
        ("recurrent.weight_hh_l1", (G * 6, 6)),
        ("recurrent.bias_ih_l1", (G * 6,)),
        ("recurrent.bias_hh_l1", (G * 6,)),
        *([("recurrent.weight_peephole_l1", (3, 6))] if peepholes else []),
        ("head.weight", (V, 6)),
        ("head.bias", (V,)),
    ]
    assert found == list(model.architecture.parameter_shapes(V).items())
    assert model.architecture.parameter_count(V) == sum(
        weight.numel() for weight in model.parameters()
    )


@pytest.mark.parametrize("scheme", ["orthogonal", "d2l", "torch"])
@pytest.mark.parametrize("cell", LIBRARY_CELLS)
def test_the_same_generator_gives_the_same_weights_on_both_backends(cell: str, scheme: str) -> None:
    torch.manual_seed(1)
    scratch = build(cell, scheme=scheme, seed=7).state_dict()
    torch.manual_seed(2)
    library = build(cell, scheme=scheme, seed=7, backend="torch").state_dict()
    another = build(cell, scheme=scheme, seed=8).state_dict()
    assert scratch.keys() == library.keys()
    assert all(torch.equal(weight, library[name]) for name, weight in scratch.items())
    assert not torch.equal(scratch["recurrent.weight_hh_l0"], another["recurrent.weight_hh_l0"])


@pytest.mark.parametrize("cell", CELLS)
def test_d2l_draws_matrices_with_deviation_a_hundredth_and_leaves_biases_zero(cell: str) -> None:
    model = build(cell, scheme="d2l", hidden=64)
    for name, weight in model.state_dict().items():
        if "bias" in name:
            assert not weight.any(), name
            continue
        # The bounds are five standard errors.
        error = 5 / math.sqrt(weight.numel())
        assert float(weight.std()) == pytest.approx(0.01, rel=error), name
        assert abs(float(weight.mean())) < 0.01 * error, name


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal_makes_every_recurrent_block_orthogonal(cell: str) -> None:
    model = build(cell, hidden=8)
    blocks = []
    for layer in range(2):
        weight = model.recurrent.get_parameter(f"weight_hh_l{layer}").detach().double().numpy()
        blocks += [weight[row : row + 8] for row in range(0, len(weight), 8)]
    assert len(blocks) == 2 * BLOCKS[cell]
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-6)
    assert len({block.tobytes() for block in blocks}) == len(blocks)


@pytest.mark.parametrize("cell", CELLS)
def test_orthogonal_opens_the_forget_gate_and_leaves_all_other_biases_zero(cell: str) -> None:
    model = build(cell, hidden=4)
    forget = {"lstm": [4, 5, 6, 7], "peephole": [4, 5, 6, 7], "coupled": [0, 1, 2, 3]}.get(cell, [])
    for layer in range(2):
        bias = model.recurrent.get_parameter(f"bias_ih_l{layer}").tolist()
        assert bias == [1.0 if row in forget else 0.0 for row in range(4 * BLOCKS[cell])]
        assert not model.recurrent.get_parameter(f"bias_hh_l{layer}").any()
        if cell == "peephole":
            assert not model.recurrent.get_parameter(f"weight_peephole_l{layer}").any()
    assert not model.head.bias.any()


def test_orthogonal_draws_the_other_matrices_within_one_over_the_root_of_h() -> None:
    model = build(hidden=64, embedding=32)
    for name in ("recurrent.weight_ih_l0", "recurrent.weight_ih_l1", "head.weight"):
        largest = float(model.state_dict()[name].abs().max())
        assert 0.95 / 8 < largest <= 1 / 8, name


@pytest.mark.parametrize("cell", CELLS)
def test_the_scheme_called_torch_draws_everything_within_one_over_the_root_of_h(cell: str) -> None:
    model = build(cell, scheme="torch", hidden=64, embedding=0)
    for name, weight in model.state_dict().items():
        assert float(weight.abs().max()) <= 1 / 8, name
        # Uniform: the deviation is the bound over the root of three.
        error = 5 / math.sqrt(weight.numel())
        assert float(weight.std()) == pytest.approx(1 / 8 / math.sqrt(3), rel=error), name


@pytest.mark.parametrize("scheme", ["orthogonal", "torch"])
def test_an_embedding_is_drawn_with_deviation_one(scheme: str) -> None:
    model = build(scheme=scheme, embedding=300)
    assert float(model.state_dict()["embedding.weight"].std()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_the_first_state_is_zero_and_has_the_parts_of_the_cell(cell: str, backend: str) -> None:
    state = build(cell, backend=backend).zero_state(3)
    assert len(state) == (2 if cell in ("lstm", "peephole", "coupled") else 1)
    for part in state:
        assert part.shape == (2, 3, 8)
        assert not part.any()


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_dropout_takes_a_generator_and_is_off_without_one(cell: str, backend: str) -> None:
    dropping = build(cell, backend=backend, dropout=0.5, layers=2)
    whole = build(cell, backend=backend, layers=2)
    ids = torch.from_numpy(some_text(12).astype(np.int64)).view(6, 2)

    def read(model: CharLM, generator: torch.Generator | None = None) -> Tensor:
        logits: Tensor = model(ids, model.zero_state(2), generator)[0]
        return logits.detach()

    generator = torch.Generator().manual_seed(1)
    first, second = read(dropping, generator), read(dropping, generator)
    assert not torch.equal(first, second)
    assert torch.equal(read(dropping, generator.manual_seed(1)), first)
    assert torch.equal(read(dropping), read(whole))
    assert torch.equal(read(whole, generator), read(whole))


def test_what_dropout_leaves_is_scaled_so_that_the_mean_stays() -> None:
    generator = torch.Generator().manual_seed(3)
    ones = torch.ones(100, 100)
    found = drop(ones, 0.75, generator)
    assert set(found.flatten().tolist()) == {0.0, 4.0}
    assert float(found.mean()) == pytest.approx(1.0, abs=0.05)
    assert drop(ones, 0.75, None) is ones
    assert drop(ones, 0.0, generator) is ones


@pytest.mark.parametrize("cell", LIBRARY_CELLS)
def test_the_library_s_layers_run_one_by_one_where_something_is_dropped(cell: str) -> None:
    model = build(cell, backend="torch", layers=3, dropout=1e-9)
    ids = torch.from_numpy(some_text(12).astype(np.int64)).view(6, 2)
    logits, state = model(ids, model.zero_state(2))
    by_layers = model(ids, model.zero_state(2), torch.Generator().manual_seed(0))
    torch.testing.assert_close(by_layers, (logits, state))


@pytest.mark.parametrize("backend", ["scratch", "torch"])
@pytest.mark.parametrize("embedding", [0, 5])
def test_dropout_falls_on_the_embedding_between_layers_and_into_the_head_and_nowhere_else(
    backend: str, embedding: int
) -> None:
    model = build(backend=backend, embedding=embedding, dropout=0.75, layers=2, hidden=64)
    found: dict[str, Tensor] = {}
    model.head.register_forward_pre_hook(lambda _, inputs: found.update(head=inputs[0]))
    if model.embedding is not None:
        model.embedding.register_forward_hook(lambda _, __, output: found.update(embedded=output))
    generator = torch.Generator().manual_seed(5)
    ids = torch.from_numpy(some_text(40).astype(np.int64)).view(20, 2)
    _, state = model(ids, model.zero_state(2), generator)
    assert float((found["head"] == 0).float().mean()) == pytest.approx(0.75, abs=0.05)
    # What goes on in time is never dropped.
    assert all(bool(part.all()) for part in state)
    _, again = model(ids, model.zero_state(2), generator)
    first_layer_moved = not torch.equal(state[0][0], again[0][0])
    assert first_layer_moved == bool(embedding)
    assert not torch.equal(state[0][1], again[0][1])


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_surprisal_equals_reading_one_character_at_a_time(cell: str, backend: str) -> None:
    model, ids = build(cell, scheme="torch", backend=backend), some_text(60)
    found = surprisal(model, ids)
    assert found.dtype == torch.float32
    assert found.shape == (59,)
    assert found.tolist() == pytest.approx(step_by_step(model, ids), abs=2e-6)


def test_surprisal_does_not_depend_on_how_a_text_is_cut_in_pieces() -> None:
    # With so many characters to choose among, only 16 steps are computed at once.
    many = 1 << 19
    model = CharLM(Architecture(hidden=2, embedding=2), many)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 1, generator=generator)
    ids = np.random.default_rng(2).integers(0, many, size=41).astype(np.uint32)
    lengths = []
    model.head.register_forward_hook(lambda _, __, output: lengths.append(len(output)))
    found = surprisal(model, ids)
    assert len(lengths) > 1
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(ids[:-1].astype(np.int64))[:, None], model.zero_state(1))
    scores = logits[:, 0].double().numpy()
    expected = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(40), ids[1:]]
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("length", [2, 3, 20, 33, 50, 51, 52, 53, 97, 100])
@pytest.mark.parametrize("streams", [1, 2, 3, 5, 16])
def test_surprisal_counts_every_target_once_and_in_its_place(length: int, streams: int) -> None:
    # This model finds every character as surprising as the bias says, whatever came before, and
    # no character stands in the text twice.
    model = CharLM(Architecture(hidden=1), 100)
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    bias = np.random.default_rng(4).normal(size=100)
    model.head.bias.data.copy_(torch.from_numpy(bias))
    ids = np.random.default_rng(5).permutation(100)[:length].astype(np.uint16)
    nats = math.log(np.exp(bias).sum()) - bias
    found = surprisal(model, ids, streams=streams, run_up=5)
    assert found.tolist() == pytest.approx(nats[ids[1:]].tolist(), abs=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_several_streams_come_close_to_one(cell: str) -> None:
    model, ids = build(cell, scheme="torch"), some_text(401)
    with torch.no_grad():
        model.head.weight.mul_(10)
    one = surprisal(model, ids)
    several = surprisal(model, ids, streams=4, run_up=50)
    torch.testing.assert_close(several, one, rtol=0, atol=1e-4)
    # It is the run-up that brings them together.
    short = surprisal(model, ids, streams=4, run_up=1)
    assert float((short - one).abs().max()) > 1e-2


def test_a_text_too_short_for_several_streams_is_read_in_one() -> None:
    model, ids = build(scheme="torch"), some_text(60)
    assert torch.equal(surprisal(model, ids, streams=16), surprisal(model, ids))


@pytest.mark.parametrize("training", [True, False])
def test_surprisal_leaves_the_model_as_it_was_and_drops_nothing_meanwhile(training: bool) -> None:
    model, ids = build(dropout=0.9), some_text(60)
    expected = surprisal(build(), ids)
    model.train(training)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    assert torch.equal(surprisal(model, ids), expected)
    assert [module.training for module in model.modules()] == modes
    assert model.training is training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
