"""Small trainers: a text of random ids and a recipe for it; and what a run leaves."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from charlstm.model.threads import Threads
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.training.trainer import Trainer

V = 7
CPU = torch.device("cpu")

Ids = NDArray[np.uint16]
Weights = dict[str, NDArray[Any]]

# Two rows of 24 characters, read in three windows of 8.
ROWS, T, WINDOWS = 2, 8, 3
TEXT: Ids = np.random.default_rng(1).integers(0, V, size=ROWS * T * WINDOWS + 1).astype(np.uint16)
OTHER: Ids = np.random.default_rng(2).integers(0, V, size=40).astype(np.uint16)
NOTHING: Ids = np.array([], dtype=np.uint16)

SMALL = Recipe(
    name="test",
    architecture=Architecture(hidden=6, embedding=4),
    batch=ROWS,
    window=T,
    epochs=2,
    schedule="constant",
)


def trainer_for(
    recipe: Recipe = SMALL,
    *,
    text: Ids = TEXT,
    held_out: Ids = NOTHING,
    backend: str = "scratch",
    threads: Threads | None = None,
) -> Trainer:
    return Trainer(recipe, text, held_out, V, backend=backend, device=CPU, threads=threads)


def files(directory: Path) -> dict[str, bytes]:
    """Return what is in each file of a directory, but for a run's lock."""
    paths = (path for path in directory.iterdir() if path.is_file() and path.name != ".lock")
    return {path.name: path.read_bytes() for path in paths}


def history(directory: Path) -> list[dict[str, Any]]:
    """Return what a run says of each of its epochs."""
    lines = (directory / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def skip_what_no_processor_here_can(cell: str, backend: str, precision: str) -> None:
    """Skip a test of torch's own layer in bfloat16 where this processor cannot compute it."""
    if (backend, precision) == ("torch", "bfloat16") and (why := _why_no_bfloat16(cell)):
        pytest.skip(f"torch has no {cell} layer in bfloat16 for this processor: {why}")


@cache
def _why_no_bfloat16(cell: str) -> str:
    """Try it, because which processors can is torch's to know; return what it says if it fails."""
    layers: dict[str, Callable[[int, int], nn.Module]] = {
        "lstm": nn.LSTM,
        "gru": nn.GRU,
        "rnn": nn.RNN,
    }
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layers[cell](2, 2)(torch.zeros(1, 1, 2))
    except RuntimeError as error:
        return str(error).partition(". ")[0]
    return ""
