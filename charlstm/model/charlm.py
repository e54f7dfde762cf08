"""The language model: characters in, a distribution over the next character out."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm.errors import RecipeError
from charlstm.model.recurrent.dropout import drop
from charlstm.model.recurrent.equations import State
from charlstm.model.recurrent.native import Native, native
from charlstm.model.recurrent.scratch import ScratchRecurrent
from charlstm.recipes.recipe import BACKENDS, LIBRARY_CELLS, Architecture
from charlstm.text.vocabulary import Ids


class CharLM(nn.Module):
    """One-hot characters or an embedding -> recurrent layers -> a linear head.

    Args:
        architecture: what to build.
        vocabulary_size: V.
        backend: ``"scratch"`` or ``"torch"``; the weights are the same.
        dropout: see `charlstm.recipes.recipe.Recipe`.

    Raises:
        RecipeError: the backend has no such cell.
    """

    def __init__(
        self,
        architecture: Architecture,
        vocabulary_size: int,
        *,
        backend: str = "scratch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if backend not in BACKENDS:
            raise RecipeError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}.")
        if backend == "torch" and architecture.cell not in LIBRARY_CELLS:
            raise RecipeError(
                f"torch has no {architecture.cell} cell; use --backend scratch, or one of "
                f"{', '.join(LIBRARY_CELLS)}."
            )
        self.architecture = architecture
        self.vocabulary_size = vocabulary_size
        self.dropout = dropout
        self.embedding = (
            nn.Embedding(vocabulary_size, architecture.embedding)
            if architecture.embedding
            else None
        )
        build = ScratchRecurrent if backend == "scratch" else native
        self.recurrent: ScratchRecurrent | Native = build(architecture, vocabulary_size, dropout)
        self.head = nn.Linear(architecture.hidden, vocabulary_size)

    def forward(
        self, ids: Tensor, state: State, generator: torch.Generator | None = None
    ) -> tuple[Tensor, State]:
        """Read a window.

        Args:
            ids: ``[T, B]`` int64.
            state: what `zero_state` or an earlier call returned; ``[L, B, H]`` each.
            generator: of the dropout, on the model's device; ``None`` drops nothing.

        Returns:
            The logits of the character after each one read, ``[T, B, V]``, and the new state.
        """
        inputs = ids
        if self.embedding is not None:
            inputs = drop(self.embedding(ids), self.dropout, generator)
        outputs, state = self.recurrent.unroll(inputs, state, generator)
        return self.head(drop(outputs, self.dropout, generator)), state

    def zero_state(self, batch: int) -> State:
        """Return the state before any character, for `batch` streams."""
        like = self.head.weight
        shape = (self.architecture.layers, batch, self.architecture.hidden)
        return tuple(like.new_zeros(shape) for _ in self.architecture.state_names)


def choose_backend(wish: str, architecture: Architecture, device: torch.device) -> str:
    """Return the backend that ``auto`` stands for: the one place where this is decided.

    According to ``benchmarks/``, on a CPU our LSTM is faster with one-hot input, which it does not
    multiply, and the library's layers with an embedding; on a GPU cuDNN is.
    """
    if wish != "auto":
        return wish
    if architecture.cell not in LIBRARY_CELLS:
        return "scratch"
    one_hot_lstm = architecture.cell == "lstm" and not architecture.embedding
    return "scratch" if one_hot_lstm and device.type == "cpu" else "torch"


@torch.no_grad()
def initialize(model: CharLM, scheme: str, generator: torch.Generator) -> None:
    """Draw every weight anew, in the order of the checkpoint, whatever the backend.

    Args:
        model: on any device.
        scheme: ``"orthogonal"``, ``"d2l"`` or ``"torch"``; see `charlstm.recipes.recipe.Recipe`.
        generator: a CPU generator; the same one gives the same weights on every device.
    """
    architecture, V = model.architecture, model.vocabulary_size
    H = architecture.hidden
    bound = 1 / math.sqrt(H)
    parameters = dict(model.named_parameters())
    for name, shape in architecture.parameter_shapes(V).items():
        weight = torch.zeros(shape)
        if scheme == "d2l":
            if len(shape) > 1:
                weight.normal_(0, 0.01, generator=generator)
        elif scheme == "torch" and name != "embedding.weight":
            weight.uniform_(-bound, bound, generator=generator)
        elif ".weight_hh" in name:
            for block in weight.view(-1, H, H):
                nn.init.orthogonal_(block, generator=generator)
        elif ".bias_ih" in name and architecture.cell in ("lstm", "peephole", "coupled"):
            forget = 0 if architecture.cell == "coupled" else H
            weight[forget : forget + H] = 1.0
        elif name == "embedding.weight":
            weight.normal_(0, 1, generator=generator)
        elif len(shape) > 1 and "peephole" not in name:
            weight.uniform_(-bound, bound, generator=generator)
        parameters[name].copy_(weight)


def surprisal(model: CharLM, ids: Ids, *, streams: int = 1, run_up: int = 512) -> Tensor:
    """Return the negative log-likelihood of every character of a text but the first.

    The state is carried through the whole text. With several streams the text is cut into as
    many pieces that are read side by side, each after the `run_up` characters before it, which are
    read but not counted: by then a forgetful network has the state that one pass would have had.

    Args:
        model: nothing is dropped, and nothing in it changes.
        ids: ``[N]`` the text, N >= 2.
        streams: how many pieces.
        run_up: characters read before each piece.

    Returns:
        ``[N - 1]`` float32 on the CPU, in nats.
    """
    result = torch.empty(len(ids) - 1)
    for start, nats in _read(model, ids, streams, run_up):
        result[start : start + len(nats)] = nats
    return result


def mean_surprisal(model: CharLM, ids: Ids, *, streams: int = 1, run_up: int = 512) -> float:
    """Return the mean of what `surprisal` returns, without ever holding it whole."""
    nats = sum(float(nats.double().sum()) for _, nats in _read(model, ids, streams, run_up))
    return nats / (len(ids) - 1)


@torch.no_grad()
def _read(model: CharLM, ids: Ids, streams: int, run_up: int) -> Iterator[tuple[int, Tensor]]:
    """Yield stretches of a text's surprisal, each with its place; every place comes once."""
    total = len(ids) - 1
    streams = max(1, min(streams, total // max(2 * run_up, 1)))
    # The first stream counts all that it reads, run_up + length; each of the others, length more.
    length = -(-(total - run_up) // streams) if streams > 1 else total
    reach = run_up + length if streams > 1 else total
    starts = [min(k * length, total - reach) for k in range(streams)]
    # Where the stream before ends, counted from where this one begins.
    uncounted = [0, *(starts[k - 1] + reach - starts[k] for k in range(1, streams))]

    device = model.head.weight.device
    state = model.zero_state(streams)
    # Whatever is largest at a position, the logits or a layer's gates and states: about 32 MB.
    widest = max(model.vocabulary_size, 8 * model.architecture.hidden)
    piece = max(1, (1 << 23) // (streams * widest))
    for at in range(0, reach, piece):
        end = min(at + piece, reach)
        rows = np.stack([ids[start + at : start + end + 1] for start in starts], axis=1)
        text = torch.from_numpy(rows.astype(np.int64)).to(device)
        logits, state = model(text[:-1], state)
        loss = functional.cross_entropy(logits.flatten(0, 1), text[1:].flatten(), reduction="none")
        nats = loss.view(-1, streams).cpu()
        for k, start in enumerate(starts):
            skipped = max(uncounted[k] - at, 0)
            if skipped < end - at:
                yield start + at + skipped, nats[skipped:, k]
