"""Workers that make steps of their own, and meet now and then: cheaper to tell, and not exact.

Where every step is made together, the gradient goes over the network with each. Here each worker
goes down the gradient of its own rows for K steps, with an optimiser and a clip of its own. Then
they meet: what their weights have changed by is averaged, each worker counting as many times as it
has rows, and the average is a step of an outer optimiser (DiLoCo, Douillard et al. 2023):

    d = sum_r (rows of r / B) (w_r - w)         the mean change since the last meeting
    m = MOMENTUM m + d
    w = w + RATE (d + MOMENTUM m)               Nesterov momentum

The inner optimiser's moments are averaged as well. So when they part again all workers have the
same weights, moments and m, and that is what a save holds: any number of workers can go on from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from charlstm.model.charlm import CharLM
from charlstm.recipes.recipe import Recipe
from charlstm.runs.tensors import Arrays
from charlstm.training.distributed import Workers

RATE, MOMENTUM = 1.0, 0.5
"""Of the outer step."""


@dataclass(frozen=True)
class Rhythm:
    """After which steps all workers meet: every so many, and whenever something may be decided.

    Attributes:
        every: K; 1 for every step.
        epoch: how many steps an epoch has: they meet at its end, where it is measured.
        last: how many steps there are: they meet after the last of them.
    """

    every: int
    epoch: int
    last: int

    def meets(self, step: int) -> bool:
        """Return whether they meet after so many steps."""
        return step % self.every == 0 or step % self.epoch == 0 or step >= self.last

    def before(self, step: int) -> int:
        """Return after how many steps they met before, for a step after which they meet."""
        return max((step - 1) // each * each for each in (self.every, self.epoch))


class Meetings:
    """Where one of several workers stands between two meetings.

    Args:
        workers: all of them.
        recipe: what they follow.
        model: the one that learns.
        optimizer: what moves its weights.
    """

    def __init__(
        self, workers: Workers, recipe: Recipe, model: CharLM, optimizer: torch.optim.Optimizer
    ) -> None:
        rows = workers.rows(recipe.batch)
        self._share = rows.number / rows.whole
        self._workers = workers
        self._rounded = recipe.compress is not None
        self._optimizer = optimizer
        self._weights = dict(model.named_parameters())
        self._momentum = {name: torch.zeros_like(w) for name, w in self._weights.items()}
        self._before: list[Tensor] | None = None

    @property
    def are_apart(self) -> bool:
        """Whether this worker has made steps since the last meeting."""
        return self._before is not None

    @property
    def momentum(self) -> Arrays:
        """A copy of m, by the names of the weights."""
        return {name: m.cpu().numpy().copy() for name, m in self._momentum.items()}

    def restore(self, momentum: Arrays) -> None:
        """Go on from a meeting, with what `momentum` returned there."""
        self._before = None
        for name, m in self._momentum.items():
            m.copy_(torch.from_numpy(momentum[name]))

    def part(self) -> None:
        """Remember the weights that all have, before a step that this worker makes alone."""
        if self._before is None:
            self._before = [weight.detach().clone() for weight in self._weights.values()]

    def meet(self, numbers: Sequence[float]) -> list[float]:
        """Let all workers have the same weights and moments; all do so at the same moment.

        Args:
            numbers: what this worker tells besides.

        Returns:
            The sums of what all have told.

        Raises:
            WorkerError: another worker is gone.
        """
        assert self._before is not None, "a step comes first"
        weights = [weight.detach() for weight in self._weights.values()]
        moments = [
            moment
            for weight in self._weights.values()
            # In an order of its own: what was restored is not in the order of what was made.
            for _, moment in sorted(self._optimizer.state[weight].items())
            if moment is not None and moment.ndim  # Adam's count of steps is the same for all
        ]
        changes = [w - before for w, before in zip(weights, self._before, strict=True)]
        # However long the others take for their steps: only what is told is hurried.
        self._workers.meet()
        told = self._share * torch.cat([part.flatten() for part in (*changes, *moments)])
        sums = self._sum(told, numbers)
        parts = torch.split(told, [part.numel() for part in (*weights, *moments)])
        means = [
            mean.view(part.shape) for mean, part in zip(parts, (*weights, *moments), strict=True)
        ]
        for w, before, m, d in zip(
            weights, self._before, self._momentum.values(), means, strict=False
        ):
            m.mul_(MOMENTUM).add_(d)
            w.copy_(before + RATE * (d + MOMENTUM * m))
        for moment, mean in zip(moments, means[len(weights) :], strict=True):
            moment.copy_(mean)
        self._before = None
        return sums

    def _sum(self, values: Tensor, numbers: Sequence[float]) -> list[float]:
        """Replace values by their sums; return those of numbers, which are never rounded."""
        exact = torch.tensor(numbers, dtype=torch.float64, device=values.device)
        if self._rounded:
            self._workers.sum_rounded(values, exact)
        else:
            self._workers.sum(values)
            self._workers.sum(exact)
        sums: list[float] = exact.tolist()
        return sums
