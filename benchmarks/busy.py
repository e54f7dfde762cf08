"""Training beside another program: how much slower a step is, and what the choice of threads saves.

    python -m benchmarks.busy

A busy loop keeps one processor from us, as a browser might. The steps are those of the default
recipe for a small text; those with chosen threads look at the machine as a training does.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.measure import Row, show
from charlstm.model.devices import prepare_cpu
from charlstm.model.threads import Threads, counts_to_choose_from
from charlstm.recipes.named import auto
from charlstm.training.trainer import Trainer

# As the bundled Chinese lyrics.
CHARACTERS, V = 30_432, 1_630


@contextmanager
def beside_a_busy_loop() -> Iterator[None]:
    """Keep one processor busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(0.5)
            yield
        finally:
            process.kill()


def step_seconds(counts: tuple[int, ...], seconds: float) -> float:
    """Return the median time of a step, after a comparison of these numbers of threads."""
    recipe = auto(CHARACTERS, V).override(precision="float32")
    ids = np.random.default_rng(0).integers(1, V, size=CHARACTERS).astype(np.uint16)
    threads = Threads(counts)
    trainer = Trainer(
        recipe,
        ids,
        ids[:0],
        V,
        backend="torch",
        device=torch.device("cpu"),
        threads=threads,
    )
    while threads.is_comparing:
        trainer.time_step()
    times = [trainer.time_step()]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        times.append(trainer.time_step())
    return statistics.median(times)


def main(
    seconds: Annotated[float, typer.Option(min=0.0, help="Of steps, for each figure.")] = 10.0,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure steps alone and beside a busy loop, with chosen threads and with fixed ones."""
    prepare_cpu(None)
    most = torch.get_num_threads()
    rows = []
    for name, counts, reach in (
        ("chosen threads", counts_to_choose_from(most), 2.2),
        (f"always {most}", (most,), None),
        ("always 1", (1,), None),
    ):
        alone = step_seconds(counts, seconds)
        with beside_a_busy_loop():
            beside = step_seconds(counts, seconds)
        rows.append(
            Row(f"{name}: beside a busy loop", "alone", 1000 * beside, 1000 * alone, "ms",
                beside / alone, reach, below=True)
        )  # fmt: skip
    show("A step of the default recipe for a small text", rows, file)


if __name__ == "__main__":
    typer.run(main)
