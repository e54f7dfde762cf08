from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from charlstm.errors import RecipeError
from charlstm.machine import BACKENDS
from charlstm.model.charlm import CharLM
from charlstm.model.devices import choose_backend
from charlstm.recipes.architecture import (
    CELLS,
    LIBRARY_CELLS,
    Architecture,
)

T, B, V = 6, 3, 7


def pair(architecture: Architecture) -> tuple[CharLM, CharLM]:
    """Return both backends in float64 with the same random weights."""
    scratch = CharLM(architecture, V, backend="scratch").double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in scratch.parameters():
            parameter.normal_(0, 0.6, generator=generator)
    library = CharLM(architecture, V, backend="torch").double()
    library.load_state_dict(scratch.state_dict())
    return scratch, library


def some_state(architecture: Architecture) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    shape = (architecture.layers, B, architecture.hidden)
    return tuple(
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for _ in architecture.state_names
    )


def everything(model: CharLM, ids: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return the outputs, the final state and every gradient of a loss that needs them all."""
    state = some_state(model.architecture)
    model.zero_grad()
    logits, last = model(ids, state)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    # The state that goes on must carry gradients too, each number with another weight.
    for place, part in enumerate(last, start=1):
        loss = loss + (part * torch.linspace(-1, place, part.numel()).view_as(part)).sum()
    torch.autograd.backward(loss)
    found = {"logits": logits.detach()}
    for name, before, after in zip(model.architecture.state_names, state, last, strict=True):
        assert before.grad is not None
        found[f"final {name}"] = after.detach()
        found[f"gradient of initial {name}"] = before.grad
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[f"gradient of {name}"] = parameter.grad
    return found


@pytest.mark.parametrize("embedding", [0, 5], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", LIBRARY_CELLS)
def test_scratch_and_torch_agree_on_outputs_states_and_every_gradient(
    cell: str, layers: int, embedding: int
) -> None:
    architecture = Architecture(cell=cell, hidden=4, layers=layers, embedding=embedding)
    scratch, library = pair(architecture)
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(V, (T, B), generator=generator)
    targets = torch.randint(V, (T, B), generator=generator)
    ours, theirs = everything(scratch, ids, targets), everything(library, ids, targets)
    states = len(architecture.state_names)
    assert len(ours) == 1 + 2 * states + len(architecture.parameter_shapes(V))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.abs().max() > 1e-3, f"{name} says nothing"
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-10, msg=name)


def test_a_window_too_large_for_one_pass_backward_agrees_too() -> None:
    architecture = Architecture(hidden=320)
    scratch, library = pair(architecture)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in scratch.parameters():
            parameter.mul_(0.1)
    library.load_state_dict(scratch.state_dict())
    # 204,800 numbers a step, of which the backward pass takes half a million at a time.
    ids = torch.randint(V, (5, 160), generator=generator)
    gradients = []
    for model in (scratch, library):
        state = tuple(part.requires_grad_() for part in model.zero_state(160))
        logits, _ = model(ids, state)
        torch.autograd.backward(
            functional.cross_entropy(logits[:-1].flatten(0, 1), ids[1:].flatten())
        )
        gradients.append([*(part.grad for part in state), *(p.grad for p in model.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs is not None
        assert theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", LIBRARY_CELLS)
def test_windows_read_one_after_the_other_can_be_learned_from_in_any_order(cell: str) -> None:
    scratch, library = pair(Architecture(cell=cell, hidden=4, layers=2))
    windows = [torch.arange(at, at + T * B).view(T, B) % V for at in range(3)]
    found = []
    for model in (scratch, library):
        losses = []
        for ids in windows:
            logits, _ = model(ids, model.zero_state(B))
            losses.append(functional.cross_entropy(logits.flatten(0, 1), ids.flatten()))
            with torch.no_grad():
                model(windows[0], model.zero_state(B))
        gradients = [
            torch.autograd.grad(losses[place], list(model.parameters()), retain_graph=True)
            for place in (1, 0, 2, 1)
        ]
        found.append(gradients)
    for ours, theirs in zip(*found, strict=True):
        for gradient, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", LIBRARY_CELLS)
@pytest.mark.parametrize("wrote", ["scratch", "torch"])
def test_one_checkpoint_opens_in_both_backends(cell: str, wrote: str, tmp_path: Path) -> None:
    architecture = Architecture(cell=cell, hidden=4, layers=2, embedding=3)
    reads = "torch" if wrote == "scratch" else "scratch"
    writer = CharLM(architecture, V, backend=wrote)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in writer.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    save_file(writer.state_dict(), tmp_path / "model.safetensors")
    reader = CharLM(architecture, V, backend=reads)
    reader.load_state_dict(load_file(tmp_path / "model.safetensors"))
    ids = torch.arange(T)[:, None]
    written, _ = writer(ids, writer.zero_state(1))
    read, _ = reader(ids, reader.zero_state(1))
    torch.testing.assert_close(read, written, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_a_backend_reads_vectors_and_ids_that_stand_for_one_hot_vectors_alike(
    backend: str,
) -> None:
    scratch, library = pair(Architecture(hidden=4))
    layers = (scratch if backend == "scratch" else library).recurrent
    ids = torch.arange(T * B).view(T, B) % V
    vectors = torch.zeros(T, B, V, dtype=torch.float64)
    for t in range(T):
        for stream in range(B):
            vectors[t, stream, ids[t, stream]] = 1
    state = some_state(Architecture(hidden=4))
    by_id, by_vector = layers.unroll(ids, state), layers.unroll(vectors, state)
    for found, expected in zip(
        chain([by_id[0]], by_id[1]), chain([by_vector[0]], by_vector[1]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", ["peephole", "coupled"])
def test_asking_torch_for_a_cell_that_it_lacks_says_what_to_do(cell: str) -> None:
    with pytest.raises(RecipeError) as caught:
        CharLM(Architecture(cell=cell, hidden=4), V, backend="torch")
    assert str(caught.value) == (
        f"torch has no {cell} cell; use backend='scratch', or one of lstm, gru, rnn."
    )


def test_a_backend_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(RecipeError) as caught:
        CharLM(Architecture(hidden=4), V, backend="keras")
    assert str(caught.value) == "backend must be one of scratch, torch, not 'keras'."


def test_auto_is_scratch_for_a_one_hot_lstm_on_a_cpu_and_for_the_cells_that_torch_lacks() -> None:
    chosen = {
        (cell, embedding, device): choose_backend(
            "auto", Architecture(cell=cell, hidden=4, embedding=embedding), torch.device(device)
        )
        for cell in CELLS
        for embedding in (0, 5)
        for device in ("cpu", "cuda", "mps")
    }
    ours = {asked for asked, backend in chosen.items() if backend == "scratch"}
    without_a_layer = {asked for asked in chosen if asked[0] in ("peephole", "coupled")}
    assert ours == {("lstm", 0, "cpu")} | without_a_layer
    assert set(chosen.values()) == {"scratch", "torch"}


@pytest.mark.parametrize("embedding", [0, 5])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("cell", CELLS)
def test_auto_gives_a_backend_that_has_the_cell_and_a_wish_is_kept(
    cell: str, device: str, embedding: int
) -> None:
    architecture = Architecture(cell=cell, hidden=4, embedding=embedding)
    chosen = choose_backend("auto", architecture, torch.device(device))
    assert chosen in (BACKENDS if cell in LIBRARY_CELLS else ["scratch"])
    assert CharLM(architecture, V, backend=chosen).architecture == architecture
    for wish in BACKENDS:
        assert choose_backend(wish, architecture, torch.device(device)) == wish
