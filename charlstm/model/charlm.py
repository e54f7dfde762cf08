"""The language model: characters in, a distribution over the next character out."""

import torch
from torch import Tensor, nn

from charlstm.checks import check_choice
from charlstm.errors import RecipeError, Setting
from charlstm.machine import BACKENDS
from charlstm.model.recurrent.beginnings import beginnings
from charlstm.model.recurrent.dropout import drop
from charlstm.model.recurrent.equations import State
from charlstm.model.recurrent.native import Native, native
from charlstm.model.recurrent.scratch import ScratchRecurrent
from charlstm.model.rows import Rows
from charlstm.recipes.architecture import LIBRARY_CELLS, Architecture


class CharLM(nn.Module):
    """One-hot characters or an embedding -> recurrent layers -> a linear head.

    Args:
        architecture: what to build.
        vocabulary_size: V.
        backend: ``"scratch"`` or ``"torch"``; the weights are the same.
        dropout: see `charlstm.recipes.recipe.Recipe`.
        end: the id of the mark between songs. Reading it begins anew: the state before it is
            zero in that stream, so that no song depends on another, and what its own weights make
            of the zero state is what a song begins with. ``None`` for a text of one piece.

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
        end: int | None = None,
    ) -> None:
        super().__init__()
        check_choice("backend", backend, BACKENDS)
        if backend == "torch" and architecture.cell not in LIBRARY_CELLS:
            raise RecipeError(
                f"torch has no {architecture.cell} cell; use ",
                Setting("backend", "scratch"),
                f", or one of {', '.join(LIBRARY_CELLS)}.",
            )
        self.architecture = architecture
        self.vocabulary_size = vocabulary_size
        self.dropout = dropout
        self.end = end
        self.embedding = (
            nn.Embedding(vocabulary_size, architecture.embedding)
            if architecture.embedding
            else None
        )
        build = ScratchRecurrent if backend == "scratch" else native
        self.recurrent: ScratchRecurrent | Native = build(architecture, vocabulary_size, dropout)
        self.head = nn.Linear(architecture.hidden, vocabulary_size)

    def forward(
        self,
        ids: Tensor,
        state: State,
        generator: torch.Generator | None = None,
        rows: Rows | None = None,
    ) -> tuple[Tensor, State]:
        """Read a window.

        Args:
            ids: ``[T, B]`` int64.
            state: what `zero_state` or an earlier call returned; ``[L, B, H]`` each.
            generator: of the dropout, on the model's device; ``None`` drops nothing.
            rows: those of the batch that `ids` has, where other workers read the rest of it.

        Returns:
            The logits of the character after each one read, ``[T, B, V]``, and the new state.
        """
        begins = None if self.end is None else beginnings(ids, self.end)
        inputs = ids
        if self.embedding is not None:
            inputs = drop(self.embedding(ids), self.dropout, generator, rows)
        outputs, state = self.recurrent.unroll(inputs, state, generator, begins, rows)
        return self.head(drop(outputs, self.dropout, generator, rows)), state

    def zero_state(self, batch: int) -> State:
        """Return the state before any character, for `batch` streams."""
        like = self.head.weight
        shape = (self.architecture.layers, batch, self.architecture.hidden)
        return tuple(like.new_zeros(shape) for _ in self.architecture.state_names)
