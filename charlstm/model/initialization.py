"""Random weights to begin with, the same for every backend and device."""

import math

import torch
from torch import nn

from charlstm.model.charlm import CharLM


@torch.no_grad()
def initialize(model: CharLM, scheme: str, generator: torch.Generator) -> None:
    """Draw every weight anew, in the order of the checkpoint, whatever the backend.

    Args:
        model: on any device.
        scheme: ``"orthogonal"``, ``"d2l"`` or ``"torch"``; see `charlstm.recipes.recipe.Recipe`.
        generator: a CPU generator; the same one gives the same weights on every device.
    """
    architecture, V = model.architecture, model.vocabulary_size
    H = architecture.hidden
    bound = 1 / math.sqrt(H)
    parameters = dict(model.named_parameters())
    for name, shape in architecture.parameter_shapes(V).items():
        weight = torch.zeros(shape)
        if scheme == "d2l":
            if len(shape) > 1:
                weight.normal_(0, 0.01, generator=generator)
        elif scheme == "torch" and name != "embedding.weight":
            weight.uniform_(-bound, bound, generator=generator)
        elif ".weight_hh" in name:
            for block in weight.view(-1, H, H):
                nn.init.orthogonal_(block, generator=generator)
        elif ".bias_ih" in name and architecture.cell in ("lstm", "peephole", "coupled"):
            forget = 0 if architecture.cell == "coupled" else H
            weight[forget : forget + H] = 1.0
        elif name == "embedding.weight":
            weight.normal_(0, 1, generator=generator)
        elif len(shape) > 1 and "peephole" not in name:
            weight.uniform_(-bound, bound, generator=generator)
        parameters[name].copy_(weight)
