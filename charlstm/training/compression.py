"""Numbers rounded for their way from worker to worker, beside others that are not.

A sum goes round in two messages, as one that nobody rounds does. In the first each worker tells
every other one its part of all values, in bfloat16 (8 bits of the number instead of 24, the same
range), and what must stay exact with it; whoever has a part adds up what it was told, in float32.
In the second it tells the sum of its part to all, in bfloat16 again. So a value is rounded twice,
however many workers there are, and all of them get the same bits. Rounding takes no instructions
that a processor might lack.
"""

import torch
from torch import Tensor


def packed(values: Tensor, numbers: Tensor, count: int) -> Tensor:
    """Return what a worker tells each of so many.

    Args:
        values: ``[N]``, to be rounded.
        numbers: ``[M]``, float64, told to each of them as they are.
        count: of the workers, itself included.

    Returns:
        ``[count, bytes]``, uint8.
    """
    part = -(-len(values) // count)
    parts = values.new_zeros(count * part, dtype=torch.bfloat16)
    parts[: len(values)] = values
    rounded = parts.view(torch.uint8).view(count, -1)
    return torch.cat([rounded, numbers.view(torch.uint8).expand(count, -1)], dim=1)


def summed(told: Tensor, numbers: int) -> tuple[Tensor, Tensor]:
    """Return the sums of what all workers have told this one.

    Args:
        told: ``[count, bytes]``, uint8, what each of them had `packed` for it.
        numbers: M, how many of them were to stay exact.

    Returns:
        Its part of the values, bfloat16, and the numbers, ``[M]``, float64.
    """
    exact = 8 * numbers
    rounded, rest = told[:, : told.shape[1] - exact], told[:, told.shape[1] - exact :]
    part = rounded.contiguous().view(torch.bfloat16).float().sum(0).to(torch.bfloat16)
    return part, rest.contiguous().view(torch.float64).sum(0)
