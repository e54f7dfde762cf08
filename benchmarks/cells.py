"""What a training step of each cell costs, under the same conditions.

    python -m benchmarks.cells [--rounds 40] [--threads 1]

The model, batch and window of the recipe for small texts, in float32; characters are drawn, since
what they are costs nothing. All cells make a step in turn, and the figure is the fastest of each:
what other programs take from a step says nothing about the cell.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.measure import in_turn, machine
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS
from charlstm.recipes.named import auto
from charlstm.training.events import Step
from charlstm.training.trainer import Trainer

VOCABULARY = 52
WORKS = [(cell, "torch") for cell in LIBRARY_CELLS] + [(cell, "scratch") for cell in CELLS]


def step_of(cell: str, backend: str, hidden: int) -> Callable[[], object]:
    """Return a function that makes one optimiser step."""
    recipe = auto(15_000, VOCABULARY).override(
        cell=cell, hidden=hidden, epochs=1_000_000, patience=0, precision="float32", validation=0.0
    )
    characters = recipe.batch * recipe.window * 20 + 1
    ids = np.random.default_rng(0).integers(1, VOCABULARY, size=characters).astype(np.uint16)
    where = torch.device("cpu")
    events = Trainer(recipe, ids, ids[:0], VOCABULARY, backend=backend, device=where).run()

    def step() -> None:
        while not isinstance(next(events), Step):
            pass

    return step


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 40,
    hidden: Annotated[int, typer.Option(min=1)] = 256,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
) -> None:
    """Time a step of each and print them."""
    torch.set_num_threads(threads)
    seconds = in_turn([step_of(cell, backend, hidden) for cell, backend in WORKS], rounds)
    fastest = dict(zip(WORKS, map(min, seconds), strict=True))
    print(machine(), "\n\n| backend | cell | a step | of the LSTM's |\n|---|---|---|---|", sep="")
    for (cell, backend), least in fastest.items():
        share = least / fastest["lstm", backend]
        print(f"| {backend} | {cell} | {1000 * least:.1f} ms | {share:.2f} |")


if __name__ == "__main__":
    typer.run(main)
