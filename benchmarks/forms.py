"""How reliably and how fast a form is met, and what the index of a run costs.

python -m benchmarks.forms [--run tang] [--seeds 100] [--json FILE]

The figures of the README are those of a model of Tang poems and the form that is the default here.
"""

import bz2
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

import charlstm
from benchmarks.measure import Row, faster, in_turn, show
from charlstm.errors import FormError
from charlstm.text.letters import counted
from charlstm.writing.form import Form
from charlstm.writing.rhyme import rhyme

LYRICS = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"


def met(text: str, form: Form) -> bool:
    """Return whether a text has the line length, the acrostic and the rhymes of a form."""
    lines = text.split("\n")
    length = int(form.line_length)
    pairs = [
        (one, other)
        for one in range(len(lines))
        for other in range(one)
        if form.rhyme[one] == form.rhyme[other]
    ]
    return (
        len(lines) == form.count
        and all(len(counted(line)) == length for line in lines)
        and "".join(counted(line)[0] for line in lines) == form.acrostic
        and all(rhyme(lines[one], lines[other]) for one, other in pairs)
    )


def forms(model: charlstm.TrainedModel, form: Form, seeds: int) -> list[Row]:
    """Write the form with this many seeds."""
    _ = model.sampler
    succeeded, times = 0, []
    for seed in range(seeds):
        began = time.perf_counter()
        with contextlib.suppress(FormError):
            succeeded += met(model.compose(form, seed=seed), form)
        times.append(time.perf_counter() - began)
    work = f"{form.acrostic}, {form.line_length} characters a line, {form.rhyme}"
    return [
        Row(f"{work}: met", "seeds", succeeded, seeds, "texts", succeeded / seeds, 0.95),
        Row(f"{work}: median", "2 seconds", statistics.median(times), 2, "s",
            statistics.median(times) / 2, 1.0, below=True),
        Row(f"{work}: slowest", "2 seconds", max(times), 2, "s", max(times) / 2, 1.0, below=True),
    ]  # fmt: skip


def index(model: charlstm.TrainedModel, rounds: int) -> list[Row]:
    """Make the index of the model's training text, and write with it and without."""
    text = model.directory.read_index(model.info) or ""
    size = len(text.encode())
    packed, free, steered = in_turn(
        [
            lambda: bz2.compress(text.encode()),
            lambda: model.generate(length=1000, seed=1),
            lambda: model.generate(length=1000, seed=1, max_copy=6),
        ],
        rounds,
    )
    seconds = statistics.median(packed)
    megabytes = size / 1e6 / seconds
    small = len(bz2.compress(text.encode())) / size
    return [
        Row("making the index", "5 MB a second", megabytes, 5, "MB/s", megabytes / 5, 1.0),
        Row("size of the index", "the text", small * size / 1e6, size / 1e6, "MB", small, None,
            below=True),
        Row("1,000 characters with max_copy 6", "without", statistics.median(steered),
            statistics.median(free), "s", faster(steered, free), None),
    ]  # fmt: skip


def main(
    run: Annotated[str | None, typer.Option(help="A run's name in checkpoints/.")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 100,
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    quick: Annotated[bool, typer.Option(help="A tiny model, to see that it runs.")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure forms."""
    began = time.perf_counter()
    if quick:
        with tempfile.TemporaryDirectory() as name:
            model = charlstm.train(LYRICS, root=Path(name), steps=2, hidden=16, batch=8)
            form = Form(line_length="5", acrostic="我我我我", rhyme="AABA")
            rows = forms(model, form, 2) + index(model, 1)
    else:
        model = charlstm.load(run)
        form = Form(line_length="7", acrostic="春夏秋冬", rhyme="AABA")
        rows = forms(model, form, seeds) + index(model, rounds)
    show(f"Forms ({time.perf_counter() - began:.0f} s)", rows, file)


if __name__ == "__main__":
    typer.run(main)
