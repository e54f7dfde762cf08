"""Training in two processes of one thread each, beside one process with two threads.

    python -m benchmarks.workers [--rounds 3] [--precision float32] [--json FILE]

Whole commands, in turn; the figures are those that they report of their steps. A busy loop keeps
one processor from them in the last rows, as a browser might.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import charlstm
from benchmarks.busy import beside_a_busy_loop
from benchmarks.measure import Row, show

LYRICS = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"
LETTERS, CHARACTERS = 64, 1_000_000
LARGE = ("--hidden", "512", "--embedding", "0", "--batch", "64", "--window", "100")
"""Options of a large model."""

PLAIN = (
    *("--recall", "0", "--sample-every", "0", "--validation", "0", "--songs", "off"),
    *("--patience", "0", "--quiet", "--name", "measured"),
)
"""Options for nothing but steps."""


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        name: as the table has it.
        text: on what.
        settings: with which options.
        steps: how many.
        reach: how many times as fast two workers should be.
    """

    name: str
    text: Path
    settings: Sequence[str]
    steps: int
    reach: float

    def step_milliseconds(self, root: Path, workers: int, threads: int) -> float:
        """Train, and return what a step has taken."""
        command = ["train", str(self.text), *self.settings, *PLAIN, "--steps", str(self.steps)]
        return trained(root, [*command, "--workers", str(workers), "--threads", str(threads)])


def trained(root: Path, arguments: Sequence[str]) -> float:
    """Run a command that trains; return what a step has taken, in milliseconds."""
    command = [sys.executable, "-m", "charlstm", *arguments]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return step_milliseconds(root)


def step_milliseconds(root: Path) -> float:
    """Return what a step of the newest run has taken."""
    last = charlstm.load(root=root / "checkpoints").info.last
    assert last is not None
    return 1000 * last.seconds / last.step


def in_turn(works: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Return what each work returns in each round."""
    return list(map(list, zip(*([work() for work in works] for _ in range(rounds)), strict=True)))


def compare(work: Work, root: Path, rounds: int, *, busy: bool = True) -> list[Row]:
    """Train with two workers and with one process, alone and beside a busy loop."""

    def measured(workers: int, threads: int, beside: bool) -> float:
        with beside_a_busy_loop() if beside else nullcontext():
            return work.step_milliseconds(root, workers, threads)

    kinds = [(2, 1, False), (1, 2, False), (2, 1, True), (1, 2, True)]
    two, one, *loaded = in_turn(
        [partial(measured, *kind) for kind in (kinds if busy else kinds[:2])], rounds
    )
    gain = statistics.median(b / a for a, b in zip(two, one, strict=True))
    medians = statistics.median(two), statistics.median(one)
    rows = [
        Row(f"2 workers, {work.name}", "1 process, 2 threads", *medians, "ms", gain, work.reach)
    ]
    for name, quiet, beside, reach in zip(
        ("2 workers", "1 process, 2 threads"), (two, one), loaded, (2.2, None), strict=False
    ):
        slower = statistics.median(b / a for a, b in zip(quiet, beside, strict=True))
        medians = statistics.median(beside), statistics.median(quiet)
        title = f"{name} beside a busy loop, {work.name}"
        rows.append(Row(title, "alone", *medians, "ms", slower, reach, below=True))
    return rows


def letters(path: Path) -> Path:
    """Write a text of 65 different characters."""
    drawn = np.random.default_rng(0).integers(0, LETTERS, CHARACTERS) + ord("0")
    lines = drawn.astype(np.uint32).reshape(-1, 50)
    lines[:, -1] = ord("\n")
    path.write_text(lines.tobytes().decode("utf-32-le"), encoding="utf-8")
    return path


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    precision: Annotated[str, typer.Option()] = "float32",
    quick: Annotated[bool, typer.Option(help="Tiny models, to see that it runs.")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure workers."""
    began = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        works = [
            Work("V 65, H 512, B 64, T 100", letters(root / "letters.txt"), LARGE, 40, 1.15),
            Work("data/lyrics_zh.txt, default", LYRICS, (), 300, 1.0),
        ]
        if quick:
            works = [Work("tiny", LYRICS, ("--hidden", "8", "--batch", "4"), 3, 1.0)]
        for work in works:
            work = replace(work, settings=(*work.settings, "--precision", precision))
            rows += compare(work, root, 1 if quick else rounds, busy=not quick)
    show(f"Workers, {precision} ({time.perf_counter() - began:.0f} s)", rows, file)


if __name__ == "__main__":
    typer.run(main)
