"""Training steps: ours beside the textbook's, and the two backends beside each other.

python -m benchmarks.training [--device cuda] [--rounds 15] [--json FILE]
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer

from benchmarks.measure import Row, faster, in_turn, show
from benchmarks.textbook import TextbookLibrary, TextbookScratch, TextbookTrainer
from charlstm.model.devices import may_have_fast_bfloat16, prepare_cpu
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.training.batches import Window
from charlstm.training.events import Step
from charlstm.training.trainer import Trainer

Size = tuple[int, int, int, int]
"""V, H, B, T."""

SMALL: Size = (1027, 256, 32, 35)
LARGE: Size = (65, 512, 64, 100)


def named(size: Size) -> str:
    """Return how a size is written in the tables."""
    return "V {}, H {}, B {}, T {}".format(*size)


def trainer(size: Size, backend: str, precision: str, device: str) -> Trainer:
    """Return our trainer over a random text that it will not finish."""
    V, H, B, T = size
    recipe = Recipe(
        name="benchmark",
        architecture=Architecture(hidden=H),
        schedule="constant",
        batch=B,
        window=T,
        epochs=1_000_000,
        validation=0.0,
        precision=precision,
    )
    ids = np.random.default_rng(0).integers(1, V, size=B * T * 50 + 1).astype(np.uint16)
    where = torch.device(device)
    return Trainer(recipe, ids, ids[:0], V, backend=backend, device=where)


def our_step(size: Size, backend: str, precision: str, device: str) -> Callable[[], object]:
    """Return a function that makes one optimiser step of ours."""
    events = trainer(size, backend, precision, device).run()

    def step() -> None:
        while not isinstance(next(events), Step):
            pass
        _wait(device)

    return step


def textbook_step(
    size: Size, kind: type[TextbookScratch] | type[TextbookLibrary], device: str
) -> Callable[[], object]:
    """Return a function that makes one optimiser step of the textbook's."""
    V, H, *_ = size
    book = TextbookTrainer(kind(V, H), torch.device(device))
    windows: list[Window] = list(trainer(size, "scratch", "float32", "cpu").windows.epoch(0))[:20]
    pairs = [(window.inputs.to(device), window.targets.to(device)) for window in windows]
    place = iter(range(10**9))

    def step() -> None:
        book.step(*pairs[next(place) % len(pairs)])
        _wait(device)

    return step


def compare(
    work: str,
    against: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    reach: float | None,
) -> Row:
    """Time two steps in turn."""
    our, their = in_turn([ours, theirs], rounds)
    medians = 1000 * statistics.median(our), 1000 * statistics.median(their)
    return Row(work, against, *medians, "ms", faster(our, their), reach)


def peak_memory(size: Size, backend: str) -> float:
    """Return the MB that five steps add to a process at their peak, in a process of their own."""
    program = f"import benchmarks.training as t; print(t.grown({size!r}, {backend!r}))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def grown(size: Size, backend: str) -> float:
    """Return how many MB this process grows by over five steps, at their peak; at least 1."""
    torch.randn(64, 64) @ torch.randn(64, 64)  # the library's own buffers are not ours
    before = _memory("VmRSS")
    step = our_step(size, backend, "float32", "cpu")
    for _ in range(5):
        step()
    return max(1.0, _memory("VmHWM") - before)


def _memory(name: str) -> float:
    """Return a line of Linux's account of this process in MB: VmRSS is now, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def on_cpu(rounds: int, small: Size, large: Size, in_memory: Sequence[Size]) -> list[Row]:
    """Measure the table of a CPU; the memory, in processes of their own, of these sizes only."""

    def scratch(size: Size, precision: str = "float32") -> Callable[[], object]:
        return our_step(size, "scratch", precision, "cpu")

    rows = [
        compare(f"scratch float32, {named(small)}", "textbook from scratch", scratch(small),
                textbook_step(small, TextbookScratch, "cpu"), rounds, 3.0),
        compare(f"scratch float32, {named(small)}", "textbook nn.LSTM", scratch(small),
                textbook_step(small, TextbookLibrary, "cpu"), rounds, 3.0),
        compare(f"scratch float32, {named(small)}", "our torch backend", scratch(small),
                our_step(small, "torch", "float32", "cpu"), rounds, 1.0),
        compare(f"scratch float32, {named(large)}", "our torch backend", scratch(large),
                our_step(large, "torch", "float32", "cpu"), rounds, 1.0),
    ]  # fmt: skip
    if may_have_fast_bfloat16(torch.device("cpu"), "torch"):
        rows += [
            compare(f"torch bfloat16, {named(small)}", "textbook nn.LSTM",
                    our_step(small, "torch", "bfloat16", "cpu"),
                    textbook_step(small, TextbookLibrary, "cpu"), rounds, 5.0),
            *(
                compare(f"scratch bfloat16, {named(size)}", "scratch float32",
                        scratch(size, "bfloat16"), scratch(size), rounds, 2.0)
                for size in (small, large)
            ),
        ]  # fmt: skip
    for size in in_memory if sys.platform == "linux" else ():
        ours, theirs = peak_memory(size, "scratch"), peak_memory(size, "torch")
        rows.append(
            Row(f"peak memory of scratch, {named(size)}", "our torch backend", ours, theirs, "MB",
                ours / theirs, 1.25, below=True)
        )  # fmt: skip
    return rows


def on_gpu(rounds: int, sizes: Sequence[Size]) -> list[Row]:
    """Measure the table of a GPU, where everything is compared with cuDNN."""
    torch.backends.cudnn.allow_tf32 = False  # or "float32" would be true of our own layers only
    rows = []
    for size in sizes:
        anchor = our_step(size, "torch", "float32", "cuda")
        for work, step in (
            ("scratch float32", our_step(size, "scratch", "float32", "cuda")),
            ("scratch bfloat16", our_step(size, "scratch", "bfloat16", "cuda")),
            ("textbook from scratch", textbook_step(size, TextbookScratch, "cuda")),
            ("textbook nn.LSTM", textbook_step(size, TextbookLibrary, "cuda")),
        ):
            against = "our torch backend (cuDNN)"
            rows.append(compare(f"{work}, {named(size)}", against, step, anchor, rounds, None))
    return rows


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main(
    device: Literal["cpu", "cuda"] = "cpu",
    rounds: Annotated[int, typer.Option(min=1)] = 15,
    quick: Annotated[bool, typer.Option(help="One round of tiny sizes: does it run?")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure training steps."""
    prepare_cpu(None)
    torch.manual_seed(0)
    sizes = ((50, 16, 4, 5), (20, 16, 4, 6)) if quick else (SMALL, LARGE)
    rounds = 1 if quick else rounds
    in_memory = sizes[:1] if quick else sizes
    rows = on_cpu(rounds, *sizes, in_memory) if device == "cpu" else on_gpu(rounds, sizes)
    show("Training: forward, backward, clip, optimiser step", rows, file, device)


if __name__ == "__main__":
    typer.run(main)
