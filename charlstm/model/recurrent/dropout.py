"""Dropout with a generator of its own.

The library's draws from one generator for the whole process, which threads would share in an
unknown order; and a resumed run could not have the masks of an uninterrupted one.
"""

import math

import torch
from torch import Tensor

from charlstm.model.rows import Rows


def drop(
    x: Tensor, share: float, generator: torch.Generator | None, rows: Rows | None = None
) -> Tensor:
    """Zero a random `share` of `x`, and scale the rest to keep its mean (Hinton et al. 2012).

    Args:
        x: any shape; ``[T, B, ...]`` where it is of some `rows`.
        share: in [0, 1).
        generator: on the device of `x`; ``None`` drops nothing, as outside of training.
        rows: those of the batch that `x` has, where it has not all. What is dropped of them is what
            would be dropped if all were here.
    """
    if generator is None or not share:
        return x
    # One 64-bit draw serves four numbers: drawing is what dropout costs.
    shape = x.shape if rows is None else (x.shape[0], rows.whole, *x.shape[2:])
    size = math.prod(shape)
    draws = torch.empty(-(-size // 4), dtype=torch.int64, device=x.device)
    draws.random_(-(2**63), None, generator=generator)
    numbers = draws.view(torch.int16)[:size].view(shape)
    if rows is not None:
        numbers = numbers[:, rows.part]
    kept = numbers >= round(share * 2**16) - 2**15
    return x * kept.to(x.dtype).div_(1 - share)
