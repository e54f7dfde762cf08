"""Steps down the gradient: the loss of a window, its gradient, and where that leads."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from charlstm.model.charlm import CharLM
from charlstm.model.recurrent.equations import State
from charlstm.recipes.recipe import Recipe
from charlstm.training.batches import IGNORED, Window
from charlstm.training.optimizer import make_optimizer


class Descent:
    """Goes down the gradient of a model's loss, one window after the other.

    Args:
        recipe: what decides how.
        model: the one that learns, where it computes.

    Attributes:
        optimizer: what moves its weights.
        state: ``h`` and ``c``, ``[L, B, H]`` each, as they go into the next window.
    """

    def __init__(self, recipe: Recipe, model: CharLM) -> None:
        self._recipe = recipe
        self._model = model
        self._device = model.head.weight.device
        self._generator = torch.Generator(self._device)
        self.optimizer = make_optimizer(model, recipe)
        self.state: State = model.zero_state(recipe.batch)

    def gradient(self, window: Window, step: int) -> Tensor:
        """Read a window; leave the gradient of its loss in the weights, clipped.

        Args:
            window: what is read; `state` goes on over it.
            step: how many steps were made before.

        Returns:
            The loss, in nats a character, where the model computes.
        """
        state = self._model.zero_state(window.inputs.shape[1]) if window.fresh else self.state
        inputs, targets = window.inputs.to(self._device), window.targets.to(self._device)
        loss, state = self._backward(state, inputs, targets, window.counted, step)
        if self._recipe.clip:
            self._clip()
        # The state goes on to the next window, the gradient does not: that is the truncation.
        self.state = tuple(part.detach().to(self._model.head.weight.dtype) for part in state)
        return loss.detach()

    def move(self, rate: float) -> None:
        """Make the step that the gradients ask for, at a learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        self.optimizer.step()

    def _backward(
        self, state: State, inputs: Tensor, targets: Tensor, counted: int, step: int
    ) -> tuple[Tensor, State]:
        """Leave the loss's gradients in the weights; return it, and the state after the window."""
        # Dropout depends on the seed and the step alone, so that a resumed run has the same masks.
        self._generator.manual_seed((self._recipe.seed * 1_000_003 + step) % 2**63)
        low = self._recipe.precision == "bfloat16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=low):
            logits, state = self._model(inputs, state, self._generator)
        loss = functional.cross_entropy(
            logits.to(self._model.head.weight.dtype).flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORED,
            # The mean of nothing is no number, the sum of nothing is 0.
            reduction="mean" if counted else "sum",
        )
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
