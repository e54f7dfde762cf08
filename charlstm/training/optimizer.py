"""The optimiser of a training, and its moments as plain arrays."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charlstm.model.charlm import CharLM
from charlstm.recipes.recipe import Recipe
from charlstm.runs.tensors import Arrays

_WARM_UP_STEPS = 20
_FLOOR = 0.01


def make_optimizer(model: CharLM, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser, with the weights in groups that are treated alike.

    A group's ``times`` is what the learning rate is multiplied by for its weights.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in model.named_parameters():
        times = recipe.head_rate if name.startswith("head.") else 1.0
        decay = recipe.weight_decay if weight.ndim > 1 else 0.0
        groups.setdefault((times, decay), []).append(weight)
    options = [
        {"params": weights, "times": times, "weight_decay": decay}
        for (times, decay), weights in groups.items()
    ]
    kind: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    # One call for all weights of a group, where the device has it.
    fused = model.head.weight.device.type in ("cpu", "cuda")
    optimizer: torch.optim.Optimizer = kind[recipe.optimizer](
        options, lr=recipe.learning_rate, fused=fused
    )
    return optimizer


def planned_rate(recipe: Recipe, step: int, progress: float, scale: float) -> float:
    """Return the learning rate of the next step, by the recipe's schedule.

    Args:
        recipe: of the training.
        step: how many steps were made.
        progress: how much of its plan is done, from 0 to 1.
        scale: what the recipe's rate is multiplied by.
    """
    peak = recipe.learning_rate * scale
    if recipe.schedule == "constant":
        return peak
    warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
    decay = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * warm_up * (_FLOOR + (1 - _FLOOR) * decay)


def moments_of(model: CharLM, optimizer: torch.optim.Optimizer) -> Arrays:
    """Return a copy of an optimiser's moments, called ``<weight>/<moment>``."""
    moments: Arrays = {}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                moments[f"{name}/{moment}"] = value.detach().cpu().numpy().copy()
    return moments


def restore_moments(model: CharLM, optimizer: torch.optim.Optimizer, moments: Arrays) -> None:
    """Give an optimiser the moments that `moments_of` returned."""
    parameters = dict(model.named_parameters())
    optimizer.state.clear()  # before its first step it has none
    for key, value in moments.items():
        name, moment = key.rsplit("/", 1)
        parameter = parameters[name]
        tensor = torch.from_numpy(np.array(value))
        # The moments have their parameter's memory layout; Adam's count of steps is a scalar.
        if tensor.ndim:
            tensor = torch.empty_like(parameter).copy_(tensor)
        optimizer.state[parameter][moment] = tensor.to(parameter.device)
