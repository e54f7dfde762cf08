"""What a training step of each cell costs, under the same conditions.

    python -m benchmarks.cells [--rounds 20]

The model, batch and window of the recipe for small texts, in float32 and with one thread;
characters are drawn, since what they are costs nothing. All cells make a step in turn, and the
figure is the median of the processor's time: what other programs take meanwhile is not counted.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.measure import machine
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
    rounds: Annotated[int, typer.Option(min=1)] = 20,
    hidden: Annotated[int, typer.Option(min=1)] = 256,
) -> None:
    """Time a step of each and print them."""
    torch.set_num_threads(1)
    steps = {(cell, backend): step_of(cell, backend, hidden) for cell, backend in WORKS}
    for step in steps.values():
        step()
    seconds: dict[tuple[str, str], list[float]] = {work: [] for work in WORKS}
    for _ in range(rounds):
        for work, step in steps.items():
            began = time.process_time()
            step()
            seconds[work].append(time.process_time() - began)
    typical = {work: 1000 * statistics.median(each) for work, each in seconds.items()}
    print(machine(), "\n\n| backend | cell | a step | of the LSTM's |\n|---|---|---|---|", sep="")
    for (cell, backend), taken in typical.items():
        share = taken / typical["lstm", backend]
        print(f"| {backend} | {cell} | {taken:.1f} ms | {share:.2f} |")


if __name__ == "__main__":
    typer.run(main)
