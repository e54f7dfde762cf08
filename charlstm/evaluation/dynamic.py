"""Dynamic evaluation: a model that goes on learning from the text it is measured on.

Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models": every character is predicted
before the model learns from it, so the figure is as honest as the static one, but it answers
another question: how well the model predicts once it may adapt to this very text.
"""

import copy
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.model.charlm import CharLM
from charlstm.model.threads import Threads
from charlstm.text.vocabulary import Ids

# Four settings were tried, on text before the last tenth of Tiny Shakespeare with a model that had
# not seen it. Rates of 3e-4 and 5e-4 with this decay did best and equally well; this is in between.
_SEGMENT = 20
_RATE = 4e-4
_DECAY = 1e-3
_EPSILON = 1e-5


@torch.enable_grad()
def dynamic_surprisal(
    model: CharLM,
    ids: Ids,
    *,
    unpredicted: NDArray[np.bool_] | None = None,
    on_progress: Callable[[int], object] | None = None,
    threads: Threads | None = None,
) -> Tensor:
    """Return the negative log-likelihood of every character but the first, adapting on the way.

    The text is read in short segments. After each one every weight takes a step against its
    gradient g, scaled by the root mean square of its gradients so far, and is drawn back a little
    towards where it began: ``w <- w - rate * g / rms(g) + decay * (w_0 - w)``. The paper takes
    the mean square over the training text; here it is over the text read so far, so that the
    run directory is all that is needed.

    Args:
        model: any backend, any device; it is copied, and stays as it is.
        ids: ``[N]`` the text, N >= 2.
        unpredicted: ``[V]``: the ids that are read and not learned from; ``None`` if all are.
        on_progress: called after each segment with the number of characters in it.
        threads: chooses with how many torch computes; ``None`` leaves them alone.

    Returns:
        ``[N - 1]`` float32 on the CPU, in nats.
    """
    # In training mode, without which cuDNN has no backward pass.
    model = copy.deepcopy(model).train()
    device = model.head.weight.device
    weights: list[Tensor] = list(model.parameters())
    start = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]

    text = torch.from_numpy(np.asarray(ids, dtype=np.int64)).to(device)[:, None]
    nats = torch.empty(len(ids) - 1)
    counted = None if unpredicted is None else torch.from_numpy(~unpredicted[ids[:]]).to(device)
    state = model.zero_state(1)
    for count, at in enumerate(range(0, len(nats), _SEGMENT), start=1):
        with threads.piece() if threads is not None else nullcontext():
            segment = text[at : at + _SEGMENT + 1]
            logits, state = model(segment[:-1], state)
            losses = functional.cross_entropy(
                logits.flatten(0, 1), segment[1:].flatten(), reduction="none"
            )
            nats[at : at + _SEGMENT] = losses.detach().cpu()
            state = tuple(part.detach() for part in state)
            model.zero_grad()
            learned = losses
            if counted is not None:
                learned = losses[counted[at + 1 : at + 1 + len(losses)]]
            # The mean of nothing is no number, the sum of nothing is 0.
            torch.autograd.backward(learned.mean() if len(learned) else learned.sum())
            with torch.no_grad():
                gradients = [weight.grad for weight in weights if weight.grad is not None]
                torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 / count)
                scales = torch._foreach_sqrt(squares)
                torch._foreach_add_(scales, _EPSILON)
                torch._foreach_lerp_(weights, start, _DECAY)
                torch._foreach_addcdiv_(weights, gradients, scales, -_RATE)
        if on_progress is not None:
            on_progress(len(segment) - 1)
    return nats
