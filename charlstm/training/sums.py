"""The gradients of all workers, summed before a step is made, and some numbers with them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from charlstm.training.distributed import Workers


class Sums:
    """What all workers put together with every step; its memory is used again for the next.

    Args:
        weights: whose gradients.
        numbers: how many go with them.
        rounded: whether the gradients are rounded on their way; the numbers never are.
    """

    def __init__(self, weights: Sequence[Tensor], numbers: int, *, rounded: bool) -> None:
        size = sum(weight.numel() for weight in weights)
        self._all = weights[0].new_zeros(size + numbers)
        self._gradients, self._numbers = self._all[:size], self._all[size:]
        self._rounded = rounded
        # Laid out as the weights are, which are not all laid out by rows.
        self._views = []
        at = 0
        for weight in weights:
            self._views.append(self._all.as_strided(weight.size(), weight.stride(), at))
            at += weight.numel()

    def of(
        self, workers: Workers, weights: Sequence[Tensor], numbers: Sequence[Tensor | float]
    ) -> list[float]:
        """Let the weights have the sums of all gradients; return the sums of the numbers.

        Raises:
            WorkerError: another worker is gone.
        """
        for weight, view in zip(weights, self._views, strict=True):
            assert weight.grad is not None, "a backward pass comes first"
            view.copy_(weight.grad)
            weight.grad = view
        told = self._numbers.to(torch.float64, copy=True) if self._rounded else self._numbers
        for place, number in enumerate(numbers):
            told[place] = number
        if self._rounded:
            workers.sum_rounded(self._gradients, told)
        else:
            workers.sum(self._all)
        sums: list[float] = told.tolist()
        return sums

    def multiply(self, factor: float) -> None:
        """Multiply all gradients."""
        if factor != 1:
            self._gradients.mul_(factor)
