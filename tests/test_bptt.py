import pytest
import torch
from torch import Tensor

from charlstm.model.recurrent import bptt
from charlstm.model.recurrent.bptt import Workspace, lstm_window
from charlstm.model.recurrent.equations import Weights, lstm, run

T, B, H, V = 9, 3, 5, 11


def leaves(inputs: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    shapes = {
        "weight_ih": (4 * H, inputs),
        "bias": (4 * H,),
        "weight_hh": (4 * H, H),
        "h": (B, H),
        "c": (B, H),
    }
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for name, shape in shapes.items()
    }


def windows(inputs: Tensor, leaf: dict[str, Tensor], workspace: Workspace) -> list[Tensor]:
    outputs, state = lstm_window(
        inputs,
        (leaf["h"], leaf["c"]),
        leaf["weight_ih"],
        leaf["bias"],
        leaf["weight_hh"],
        workspace,
    )
    return [outputs, *state]


def by_equations(inputs: Tensor, leaf: dict[str, Tensor]) -> list[Tensor]:
    if inputs.dtype == torch.int64:
        inputs = torch.nn.functional.one_hot(inputs, V).double()
    a = inputs @ leaf["weight_ih"].T + leaf["bias"]
    none = torch.zeros(4 * H, dtype=torch.float64)
    outputs, state = run(lstm, a, (leaf["h"], leaf["c"]), Weights(leaf["weight_hh"], none))
    return [outputs, *state]


def loss(results: list[Tensor]) -> Tensor:
    """Weigh every number of the results differently."""
    terms = [
        (result * torch.linspace(-1, 2, result.numel(), dtype=torch.float64).view_as(result)).sum()
        for result in results
    ]
    return torch.stack(terms).sum()


def random_ids() -> Tensor:
    return torch.randint(0, V, (T, B), generator=torch.Generator().manual_seed(5))


def close(left: list[Tensor], right: list[Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("steps_at_once", [1, 2, 4, 9, 100])
@pytest.mark.parametrize("one_hot", [True, False])
def test_a_window_is_what_autograd_makes_of_the_equations_whatever_the_chunks(
    one_hot: bool, steps_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bptt, "_CHUNK", steps_at_once * 4 * B * H)
    leaf = leaves(V if one_hot else 6)
    given = list(leaf.values())
    inputs = random_ids()
    if not one_hot:
        inputs = torch.randn(T, B, 6, dtype=torch.float64).requires_grad_()
        given.append(inputs)
    ours, reference = windows(inputs, leaf, Workspace()), by_equations(inputs, leaf)
    close(ours, reference)
    close(
        list(torch.autograd.grad(loss(ours), given)),
        list(torch.autograd.grad(loss(reference), given)),
    )


def test_a_graph_that_is_kept_gives_the_same_gradients_twice() -> None:
    leaf = leaves(V)
    given = list(leaf.values())
    total = loss(windows(random_ids(), leaf, Workspace()))
    first = torch.autograd.grad(total, given, retain_graph=True)
    close(list(first), list(torch.autograd.grad(total, given)))


def test_two_windows_in_flight_do_not_share_their_buffer() -> None:
    leaf, workspace = leaves(V), Workspace()
    given = list(leaf.values())
    alone = torch.autograd.grad(loss(windows(random_ids(), leaf, Workspace())), given)
    first = windows(random_ids(), leaf, workspace)
    windows(random_ids().flip(0), leaf, workspace)
    close(list(torch.autograd.grad(loss(first), given)), list(alone))


def test_the_buffer_outlives_a_window_and_serves_shorter_ones() -> None:
    leaf, workspace = leaves(V), Workspace()
    torch.autograd.grad(loss(windows(random_ids(), leaf, workspace)), list(leaf.values()))
    held = workspace.lend((T, B, 4 * H), leaf["h"])
    workspace.give_back(held)
    shorter = workspace.lend((T - 1, B, 4 * H), leaf["h"])
    assert shorter.data_ptr() == held.data_ptr()


def test_a_window_read_in_inference_mode_leaves_training_possible() -> None:
    leaf, workspace = leaves(V), Workspace()
    given = list(leaf.values())
    with torch.inference_mode():
        windows(random_ids(), leaf, workspace)
    found = torch.autograd.grad(loss(windows(random_ids(), leaf, workspace)), given)
    close(list(found), list(torch.autograd.grad(loss(by_equations(random_ids(), leaf)), given)))
