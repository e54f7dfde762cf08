"""Steps down the gradient: the loss of a window, its gradient, and where that leads."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from charlstm.model.charlm import CharLM
from charlstm.model.recurrent.equations import State
from charlstm.recipes.recipe import Recipe
from charlstm.runs.tensors import Arrays
from charlstm.training.batches import IGNORED, Window
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.meetings import Meetings
from charlstm.training.optimizer import make_optimizer
from charlstm.training.sums import Sums


class Seen(NamedTuple):
    """What a window came to in all rows of the batch; while workers are apart, in this one's.

    Attributes:
        nats: the summed loss; where the model computes, unless others have told of theirs.
        counted: of how many characters.
        told: the sums of what each worker told the others.
    """

    nats: Tensor | float
    counted: int
    told: Sequence[float]


class Descent:
    """Goes down the gradient of a model's loss, one window after the other.

    Several workers read some rows of each window and have the same weights: the sum of their
    gradients is that of the whole window, whoever reads which, up to the order of the sum. Where
    the recipe lets them meet only now and then, each makes steps of its own in between.

    Args:
        recipe: what decides how.
        model: the one that learns, where it computes.
        workers: who reads the rows.

    Attributes:
        optimizer: what moves its weights.
    """

    def __init__(self, recipe: Recipe, model: CharLM, workers: Workers = ALONE) -> None:
        self._recipe = recipe
        self._model = model
        self._workers = workers
        self._rows = workers.rows(recipe.batch)
        # Alone a worker drops what it would have dropped without knowing of others.
        self._dropping = self._rows if workers.count > 1 else None
        self._device = model.head.weight.device
        self._generator = torch.Generator(self._device)
        self.optimizer = make_optimizer(model, recipe)
        self._meetings: Meetings | None = None
        if workers.is_joined and recipe.sync_every > 1:
            self._meetings = Meetings(workers, recipe, model, self.optimizer)
        self._is_summed = workers.is_joined and self._meetings is None
        self._sums: Sums | None = None
        # ``h`` and ``c`` of the rows that are read here, ``[L, B, H]`` each, as they go into the
        # next window; and those of all rows, while they are known.
        self._state: State = model.zero_state(self._rows.number)
        self._whole: State | None = model.zero_state(recipe.batch)

    def gradient(self, window: Window, step: int, tell: Sequence[float] = ()) -> Seen:
        """Read a window; leave the gradient of its loss in the weights, clipped.

        Args:
            window: what is read, and what the state goes on over.
            step: how many steps were made before.
            tell: what this worker tells the others with it, unless that waits until they `meet`.

        Raises:
            WorkerError: another worker is gone.
        """
        if self._meetings is not None:
            self._meetings.part()
            tell = ()
        state = self._model.zero_state(window.inputs.shape[1]) if window.fresh else self._state
        inputs, targets = window.inputs.to(self._device), window.targets.to(self._device)
        loss, state = self._backward(state, inputs, targets, window.counted, step)
        seen = Seen(loss.detach() * window.counted, window.counted, tell)
        if self._is_summed:
            seen = self._put_together(loss.detach(), self._scale(inputs), window.counted, tell)
        if self._recipe.clip:
            self._clip()
        # The state goes on to the next window, the gradient does not: that is the truncation.
        self._state = tuple(part.detach().to(self._model.head.weight.dtype) for part in state)
        self._whole = None
        return seen

    def move(self, rate: float) -> None:
        """Make the step that the gradients ask for, at a learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        self.optimizer.step()

    @property
    def is_apart(self) -> bool:
        """Whether this worker has weights of its own, until all meet."""
        return self._meetings is not None and self._meetings.are_apart

    def meet(self, read: tuple[float, int], tell: Sequence[float]) -> Seen:
        """Let all workers have the same weights again; all do so at the same moment.

        Args:
            read: the summed loss of this worker's rows since they met, and of how many characters.
            tell: what this worker tells the others with it.

        Returns:
            What all of them have read.

        Raises:
            WorkerError: another worker is gone.
        """
        assert self._meetings is not None
        nats, counted, *told = self._meetings.meet([*read, *tell])
        return Seen(nats, round(counted), told)

    @property
    def outer(self) -> Arrays:
        """The momentum of workers that meet now and then; 0 where there is only one."""
        if self._recipe.sync_every == 1:
            return {}
        if self._meetings is not None:
            return self._meetings.momentum
        weights = self._model.named_parameters()
        return {name: torch.zeros_like(weight).cpu().numpy() for name, weight in weights}

    @property
    def knows_all(self) -> bool:
        """Whether the state of all rows is known here, as it always is to a single worker."""
        return self._whole is not None or not self._workers.is_joined

    @property
    def state(self) -> State:
        """``h`` and ``c`` of all rows, ``[L, B, H]`` each, as they go into the next window."""
        if not self._workers.is_joined:
            return self._state
        assert self._whole is not None, "gather() comes first"
        return self._whole

    def restore(self, state: Arrays, outer: Arrays) -> None:
        """Go on from a state of all rows, ``[L, B, H]`` by the names of its parts, and `outer`."""
        if self._meetings is not None:
            self._meetings.restore(outer)
        names = self._recipe.architecture.state_names
        self._whole = tuple(torch.from_numpy(state[name]).to(self._device) for name in names)
        self._state = tuple(part[:, self._rows.part].contiguous() for part in self._whole)

    def gather(self) -> None:
        """Put the state of all rows together; all workers do at the same moment.

        Raises:
            WorkerError: another worker is gone.
        """
        if not self.knows_all:
            # Zero where others know better: adding it changes no number.
            whole = torch.stack(self._model.zero_state(self._recipe.batch))
            whole[:, :, self._rows.part] = torch.stack(self._state)
            self._workers.sum(whole)
            self._whole = tuple(whole)

    def align(self) -> None:
        """Let all workers have the weights of the one that leads; all do at the same moment.

        They have them already where all processors round alike.

        Raises:
            WorkerError: another worker is gone.
        """
        if self._workers.is_joined:
            weights = [weight.detach() for weight in self._model.parameters()]
            told = torch.cat([weight.flatten() for weight in weights])
            self._workers.copy(told)
            parts = torch.split(told, [weight.numel() for weight in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.copy_(part.view(weight.shape))

    def _scale(self, inputs: Tensor) -> int:
        """Return what all workers divide their loss by before it is summed.

        It keeps the numbers in the middle of their range, and every worker knows it; over how many
        characters the loss is to be averaged it knows only afterwards.
        """
        return len(inputs) * self._recipe.batch

    def _put_together(self, loss: Tensor, scale: int, counted: int, tell: Sequence[float]) -> Seen:
        """Replace the gradients, and what is told with them, by those of all workers."""
        weights = list(self._model.parameters())
        if self._sums is None:
            rounded = self._recipe.compress is not None
            self._sums = Sums(weights, 2 + len(tell), rounded=rounded)
        nats, total, *told = self._sums.of(self._workers, weights, [loss, counted, *tell])
        if total:
            self._sums.multiply(scale / total)
        return Seen(nats * scale, round(total), told)

    def _backward(
        self, state: State, inputs: Tensor, targets: Tensor, counted: int, step: int
    ) -> tuple[Tensor, State]:
        """Leave the loss's gradients in the weights; return it, and the state after the window."""
        # Dropout depends on the seed and the step alone, so that a resumed run has the same masks.
        self._generator.manual_seed((self._recipe.seed * 1_000_003 + step) % 2**63)
        low = self._recipe.precision == "bfloat16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=low):
            logits, state = self._model(inputs, state, self._generator, self._dropping)
        loss = functional.cross_entropy(
            logits.to(self._model.head.weight.dtype).flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORED,
            # The mean of nothing is no number, the sum of nothing is 0.
            reduction="mean" if counted and not self._is_summed else "sum",
        )
        if self._is_summed:
            loss = loss / self._scale(inputs)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        return loss, state

    def _clip(self) -> None:
        """Scale the whole gradient down where its global norm is above the recipe's."""
        weights = list(self._model.parameters())
        norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        # Multiplying by 1 would be a pass over all gradients for nothing. A GPU does it rather
        # than wait for the comparison.
        if self._device.type != "cpu" or norm > self._recipe.clip:
            clip_grads_with_norm_(weights, self._recipe.clip, norm)
