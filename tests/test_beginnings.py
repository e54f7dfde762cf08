from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from charlstm.model.charlm import CharLM
from charlstm.model.devices import library_has_bfloat16
from charlstm.model.network import Network
from charlstm.model.recurrent import bptt
from charlstm.model.recurrent.beginnings import Beginnings, beginnings, by_step
from charlstm.model.recurrent.bptt import Workspace, lstm_window
from charlstm.model.recurrent.equations import STEPS, State, Weights, run
from charlstm.model.recurrent.scratch import ScratchRecurrent
from charlstm.model.surprisal import surprisal
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture

T, B, H, V, END = 6, 3, 4, 7, 2
BOTH = [(cell, "scratch") for cell in CELLS] + [(cell, "torch") for cell in LIBRARY_CELLS]

# Where the mark stands: steps and streams.
PLACES = {
    "nowhere": [],
    "at the first step": [(0, 1)],
    "at the first step of every stream": [(0, 0), (0, 1), (0, 2)],
    "at the last step": [(5, 0)],
    "at steps one after the other": [(2, 1), (3, 1), (4, 1)],
    "in several streams at once": [(1, 0), (1, 2), (4, 1), (4, 2)],
    "everywhere": [(t, stream) for t in range(T) for stream in range(B)],
}
SOMEWHERE = [(0, 2), (2, 0), (2, 1), (3, 1), (5, 0)]
places = pytest.mark.parametrize("marks", PLACES.values(), ids=PLACES)


def some_ids(marks: Sequence[tuple[int, int]]) -> Tensor:
    """Return ``[T, B]`` ids with the mark in these places only."""
    ids = torch.randint(END + 1, V, (T, B), generator=torch.Generator().manual_seed(3))
    for t, stream in marks:
        ids[t, stream] = END
    return ids


def model_of(
    architecture: Architecture, end: int | None = END, backend: str = "scratch", dropout: float = 0
) -> CharLM:
    """Return a model in float64 whose weights depend on the architecture alone."""
    model = CharLM(architecture, V, backend=backend, end=end, dropout=dropout).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, shape in architecture.parameter_shapes(V).items():
            model.get_parameter(name).copy_(0.6 * torch.randn(shape, generator=generator))
    return model


def some_state(architecture: Architecture) -> State:
    generator = torch.Generator().manual_seed(2)
    shape = (architecture.layers, B, architecture.hidden)
    return tuple(
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for _ in architecture.state_names
    )


Read = Callable[[CharLM, Tensor, State], tuple[Tensor, State]]


def at_once(model: CharLM, ids: Tensor, state: State) -> tuple[Tensor, State]:
    logits, last = model(ids, state)
    return logits, last


def song_by_song(model: CharLM, ids: Tensor, state: State) -> tuple[Tensor, State]:
    """Read each song of each stream by itself, with a model that does not know of the mark."""
    assert model.end is None
    logits, last = [], []
    for stream in range(B):
        before = tuple(part[:, stream : stream + 1] for part in state)
        read = []
        for t in range(T):
            if ids[t, stream] == END:
                before = model.zero_state(1)
            scores, before = model(ids[t : t + 1, stream : stream + 1], before)
            read.append(scores)
        logits.append(torch.cat(read))
        last.append(before)
    return torch.cat(logits, 1), tuple(torch.cat(parts, 1) for parts in zip(*last, strict=True))


def weighed(results: Sequence[Tensor]) -> Tensor:
    """Return a loss that needs every number of the results, each with another weight."""
    terms = [
        (part * torch.linspace(-1, 2, part.numel(), dtype=torch.float64).view_as(part)).sum()
        for part in results
    ]
    return torch.stack(terms).sum()


def everything(read: Read, model: CharLM, ids: Tensor) -> dict[str, Tensor]:
    """Return the outputs, the final state and every gradient of a loss that needs them all."""
    state = some_state(model.architecture)
    logits, last = read(model, ids, state)
    targets = ids.flip(0)
    loss = weighed(last) + functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="sum"
    )
    names = model.architecture.state_names
    given = {f"initial {name}": part for name, part in zip(names, state, strict=True)}
    given |= dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(given.values()), materialize_grads=True)
    return {
        "logits": logits,
        **{f"final {name}": part for name, part in zip(names, last, strict=True)},
        **{f"gradient of {name}": part for name, part in zip(given, gradients, strict=True)},
    }


def close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("embedding", [0, 5], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "backend"), BOTH)
@places
def test_a_window_with_marks_is_its_songs_each_from_the_zero_state(
    marks: list[tuple[int, int]], cell: str, backend: str, layers: int, embedding: int
) -> None:
    architecture = Architecture(cell, H, layers, embedding)
    ids = some_ids(marks)
    found = everything(at_once, model_of(architecture, backend=backend), ids)
    expected = everything(song_by_song, model_of(architecture, end=None), ids)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-10, msg=name)
    stopped = [stream for stream in range(B) if (0, stream) in marks]
    for name in architecture.state_names:
        into = found[f"gradient of initial {name}"]
        assert not into[:, stopped].any()
        if embedding and len(marks) < T * B:
            assert bool(into.any()) == (len(stopped) < B)


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_nothing_after_a_mark_depends_on_what_stands_before_it(cell: str, backend: str) -> None:
    model = model_of(Architecture(cell, H, 2, 5), backend=backend)
    inputs = torch.randn(T, B, 5, dtype=torch.float64).requires_grad_()
    begins = beginnings(some_ids([(3, 1)]), END)
    outputs, last = model.recurrent.unroll(inputs, some_state(model.architecture), None, begins)
    after = [outputs[3:, 1], *(part[:, 1] for part in last)]
    (gradient,) = torch.autograd.grad(weighed(after), inputs)
    assert not gradient[:3].any()
    assert gradient[3:, 1].all()
    # What the loss says about the steps before the mark reaches them all the same.
    outputs, _ = model.recurrent.unroll(inputs, some_state(model.architecture), None, begins)
    (gradient,) = torch.autograd.grad(weighed([outputs]), inputs)
    assert gradient.all()


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_a_model_that_knows_no_mark_reads_on(cell: str, backend: str) -> None:
    architecture = Architecture(cell, H, 2, 5)
    knows, does_not = (model_of(architecture, end, backend) for end in (END, None))
    without, state = some_ids([]), some_state(architecture)
    close_to_the_bit = zip(
        everything(at_once, knows, without).values(),
        everything(at_once, does_not, without).values(),
        strict=True,
    )
    assert all(torch.equal(one, other) for one, other in close_to_the_bit)
    marked = some_ids(SOMEWHERE)
    assert float((knows(marked, state)[0] - does_not(marked, state)[0]).detach().abs().max()) > 0.01


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_layers_with_beginnings_are_the_equations_under_autograd(cell: str, layers: int) -> None:
    model = model_of(Architecture(cell, H, layers, 5))
    state = some_state(model.architecture)
    inputs = torch.randn(T, B, 5, dtype=torch.float64).requires_grad_()
    begins = beginnings(some_ids(SOMEWHERE), END)

    def by_the_equations() -> list[Tensor]:
        outputs, last = inputs, []
        for layer in range(layers):

            def get(name: str, layer: int = layer) -> Tensor:
                return model.recurrent.get_parameter(f"{name}_l{layer}")

            a = outputs @ get("weight_ih").T + get("bias_ih")
            p = get("weight_peephole") if cell == "peephole" else None
            weights = Weights(get("weight_hh"), get("bias_hh"), p)
            before = tuple(part[layer] for part in state)
            outputs, after = run(STEPS[cell], a, before, weights, begins)
            last.append(after)
        return [outputs, *(torch.stack(parts) for parts in zip(*last, strict=True))]

    outputs, last = model.recurrent.unroll(inputs, state, None, begins)
    found, expected = [outputs, *last], by_the_equations()
    leaves = [inputs, *state, *model.recurrent.parameters()]
    close(found, expected)
    close(
        torch.autograd.grad(weighed(found), leaves),
        torch.autograd.grad(weighed(expected), leaves),
    )


def test_the_equations_take_a_step_from_zero_where_a_stream_begins() -> None:
    a = torch.randn(2, B, 4 * H, dtype=torch.float64)
    weights = Weights(torch.randn(4 * H, H, dtype=torch.float64), torch.zeros(4 * H).double())
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(2))
    ids = torch.tensor([[0, 0, 0], [END, 0, END]])
    outputs, last = run(STEPS["lstm"], a, state, weights, beginnings(ids, END))
    between = STEPS["lstm"](a[0], state, weights)
    assert torch.equal(outputs[0], between[0])
    kept = torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64)
    end = STEPS["lstm"](a[1], tuple(kept * part for part in between), weights)
    close([outputs[1], *last], [end[0], *end])


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck_holds_where_streams_begin(cell: str) -> None:
    layers = model_of(Architecture(cell, 3, 2, 2)).recurrent
    assert isinstance(layers, ScratchRecurrent)
    inputs = torch.randn(4, B, 2, dtype=torch.float64).requires_grad_()
    state = some_state(layers.architecture)
    begins = beginnings(some_ids([(0, 2), (1, 0), (2, 0), (2, 1), (3, 1)])[:4], END)

    # gradcheck moves the numbers of each tensor in place, so the layers see every weight move.
    def unrolled(inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        outputs, last = layers.unroll(inputs, rest[: len(state)], None, begins)
        return outputs, *last

    assert torch.autograd.gradcheck(unrolled, (inputs, *state, *layers.parameters()))


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("steps_at_once", [1, 2, 4, 100])
def test_the_hand_derived_pass_begins_anew_whatever_the_chunks_and_twice_where_a_graph_is_kept(
    steps_at_once: int, one_hot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bptt, "_CHUNK", steps_at_once * 4 * B * H)
    ids = some_ids(SOMEWHERE)
    model = model_of(Architecture("lstm", H, 1, 0 if one_hot else 5))
    weight_ih, weight_hh, bias, _ = model.recurrent.parameters()
    h, c = (part[0].detach().requires_grad_() for part in some_state(model.architecture))
    vectors = torch.randn(T, B, 5, dtype=torch.float64)
    inputs = functional.one_hot(ids, V).double() if one_hot else vectors
    begins, leaves = beginnings(ids, END), [h, c, weight_ih, weight_hh, bias]
    given = ids if one_hot else inputs
    outputs, last = lstm_window(given, (h, c), weight_ih, bias, weight_hh, Workspace(), begins)
    ours = [outputs, *last]
    weights = Weights(weight_hh, torch.zeros(4 * H, dtype=torch.float64))
    outputs, end = run(STEPS["lstm"], inputs @ weight_ih.T + bias, (h, c), weights, begins)
    close(ours, [outputs, *end])
    expected = torch.autograd.grad(weighed([outputs, *end]), leaves)
    close(torch.autograd.grad(weighed(ours), leaves, retain_graph=True), expected)
    close(torch.autograd.grad(weighed(ours), leaves), expected)


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_dropout_draws_what_it_draws_without_marks(cell: str, backend: str) -> None:
    architecture = Architecture(cell, H, 3, 5)
    marked, generator = some_ids(SOMEWHERE), torch.Generator()

    def read(ids: Tensor, dropout: float, end: int | None) -> Tensor:
        model = model_of(architecture, end, backend, dropout)
        logits: Tensor = model(ids, some_state(architecture), generator.manual_seed(4))[0]
        return logits.detach()

    # So small a share drops nothing, but the layers run one by one.
    close([read(marked, 1e-15, END)], [read(marked, 0.0, END)])
    assert torch.equal(read(some_ids([]), 0.5, END), read(some_ids([]), 0.5, None))
    # Nothing has begun by the second step but one stream at the first.
    close([read(marked, 0.5, END)[:2, :2]], [read(marked, 0.5, None)[:2, :2]])


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_a_song_in_bfloat16_depends_on_no_song_before_it(backend: str) -> None:
    if backend == "torch" and not library_has_bfloat16():
        pytest.skip("The library's LSTM has no bfloat16 on this processor.")
    model = model_of(Architecture("lstm", H, 2, 5), backend=backend).float()
    first, second = some_ids([(3, 0), (3, 1), (3, 2)]), some_ids([(3, 0), (3, 1), (3, 2)])
    second[:3] = second[:3].flip(0)
    found = []
    for ids in (first, second):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, last = model(ids, model.zero_state(B))
        loss = logits[3:].float().square().sum() + weighed([part.double() for part in last])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        found.append([logits[3:].float(), *last, *gradients])
    assert not torch.equal(model(first, model.zero_state(B))[0][:3],
                           model(second, model.zero_state(B))[0][:3])  # fmt: skip
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("embedding", [0, 5], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_the_network_begins_anew_where_the_torch_model_does(
    cell: str, layers: int, embedding: int
) -> None:
    model = model_of(Architecture(cell, H, layers, embedding)).float()
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    network = Network(model.architecture, weights, V, end=END)
    ids = torch.cat([some_ids(marks) for marks in PLACES.values()])
    with torch.no_grad():
        expected = model(ids, model.zero_state(B))[0].numpy()
    state = network.start(B)
    found = np.stack([network.step(state, characters).copy() for characters in ids.numpy()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    for stream in range(B):
        one, counted = network.start(), network.start()
        for t, character in enumerate(ids[:, stream].tolist()):
            alone = network.step(one, np.array([character]))
            np.testing.assert_allclose(alone[0], expected[t, stream], rtol=0, atol=1e-4)
            network.step(counted, character)
            np.testing.assert_array_equal(counted.logits, alone)
    reads_on = Network(model.architecture, weights, V)
    state = reads_on.start(B)
    on = np.stack([reads_on.step(state, characters).copy() for characters in ids.numpy()])
    assert np.abs(on - found).max() > 0.01


@pytest.mark.parametrize("cell", CELLS)
def test_all_streams_of_the_network_that_read_the_mark_stand_where_a_song_begins(cell: str) -> None:
    model = model_of(Architecture(cell, H, 2, 5)).float()
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    network = Network(model.architecture, weights, V, end=END)
    used, fresh = network.start(B), network.start(B)
    for characters in some_ids([]).numpy():
        network.step(used, characters)
    network.read(used, [END])
    network.read(fresh, [END])
    for layer, other in zip(used.layers, fresh.layers, strict=True):
        for found, expected in ((layer.h_and_one, other.h_and_one), (layer.c, other.c),
                                (layer.products, other.products)):  # fmt: skip
            np.testing.assert_array_equal(found, expected)


def test_a_text_of_songs_has_the_same_surprisal_whatever_the_number_of_streams() -> None:
    model = CharLM(Architecture("lstm", 8, 1, 5), V, end=END)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.7, generator=generator)
        # It remembers for longer than the run-up: only the mark makes it forget.
        model.recurrent.get_parameter("bias_ih_l0")[8:16] = 8.0
    rng = np.random.default_rng(6)
    songs = [rng.integers(END + 1, V, size=size) for size in rng.integers(0, 40, size=50)]
    ids = np.concatenate([[END], *(part for song in songs for part in (song, [END]))])
    ids = ids.astype(np.uint16)
    one = surprisal(model, ids)
    for streams in (2, 5, 9):
        found = surprisal(model, ids, streams=streams, run_up=45)
        torch.testing.assert_close(found, one, rtol=0, atol=1e-5)
    # A song has the same figures wherever it stands.
    order = np.random.default_rng(7).permutation(len(songs))
    starts = np.cumsum([0, *(len(song) + 1 for song in songs)])
    moved = np.concatenate([[END], *(part for k in order for part in (songs[k], [END]))])
    elsewhere = surprisal(model, moved.astype(np.uint16))
    expected = torch.cat([one[starts[k] : starts[k + 1]] for k in order])
    torch.testing.assert_close(elsewhere, expected, rtol=0, atol=1e-5)
    model.end = None
    reads_on = surprisal(model, ids)
    apart = surprisal(model, ids, streams=5, run_up=45) - reads_on
    assert float(apart.abs().max()) > 1e-2


def test_beginnings_name_the_streams_of_each_step_and_their_places_in_the_window() -> None:
    found = beginnings(torch.tensor([[0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]]), 0)
    assert isinstance(found, Beginnings)
    assert {t: streams.tolist() for t, streams in found.streams.items()} == {
        0: [0, 2],
        2: [0, 1],
        3: [1, 2],
    }
    assert found.places.tolist() == [0, 2, 6, 7, 10, 11]
    steps = by_step(found, 4)
    assert [streams if streams is None else streams.tolist() for streams in steps] == [
        [0, 2], None, [0, 1], [1, 2],
    ]  # fmt: skip
    assert beginnings(torch.ones(4, 3, dtype=torch.int64), 0) is None
    assert by_step(None, 3) == [None, None, None]
