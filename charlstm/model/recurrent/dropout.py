"""Dropout with a generator of its own.

The library's draws from one generator for the whole process, which threads would share in an
unknown order; and a resumed run could not have the masks of an uninterrupted one.
"""

import torch
from torch import Tensor


def drop(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Zero a random `share` of `x`, and scale the rest to keep its mean (Hinton et al. 2012).

    Args:
        x: any shape.
        share: in [0, 1).
        generator: on the device of `x`; ``None`` drops nothing, as outside of training.
    """
    if generator is None or not share:
        return x
    # One 64-bit draw serves four numbers: drawing is what dropout costs.
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    draws.random_(-(2**63), None, generator=generator)
    numbers = draws.view(torch.int16)[: x.numel()].view(x.shape)
    kept = numbers >= round(share * 2**16) - 2**15
    return x * kept.to(x.dtype).div_(1 - share)
