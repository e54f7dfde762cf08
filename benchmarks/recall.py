"""What it costs to write with what a model remembers: speed, opening, memory, learning.

python -m benchmarks.recall [--run NAME] [--rounds 9] [--json FILE]
"""

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import charlstm
from benchmarks.measure import Row, faster, in_turn, show
from charlstm.model.recall.learning import learn_recall
from charlstm.runs.remembered import NAME
from charlstm.writing.sampler import open_sampler

LYRICS = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"
STREAMS = 256


def writing(
    model: charlstm.TrainedModel, rounds: int, length: int, streams: int, aim: float
) -> Row:
    """Write with what is remembered and without, the same number of characters."""
    samplers = (model.recalling(None), model.recalling(0.0))
    # Lines are counted, more than there will be, so that no song ends by itself.
    works = [
        partial(sampler.generate_many, "\n", samples=streams, length=length, lines=length, seed=1)
        for sampler in samplers
    ]
    characters = [sum(len(text) - 1 for text in work()) for work in works]
    times = [
        [seconds / number for seconds in all_seconds]
        for all_seconds, number in zip(in_turn(works, rounds), characters, strict=True)
    ]
    ours, theirs = (1 / statistics.median(each) for each in times)
    work = "one stream" if streams == 1 else f"{streams} streams at once"
    return Row(work, "recall 0", ours, theirs, "chars/s", faster(*times), aim)


def keeping(model: charlstm.TrainedModel, rounds: int) -> list[Row]:
    """Open the run with what it remembers and without; learn it anew."""
    directory, info = model.directory, model.info
    text = directory.read_index(info) or ""
    megabytes = len(text.encode()) / 1e6
    ids, V = info.vocabulary.encode(text), len(info.vocabulary)
    newline = int(info.vocabulary.encode("\n")[0])
    opened, without, learned = in_turn(
        [
            lambda: open_sampler(directory, info),
            lambda: open_sampler(directory, info, 0.0),
            lambda: learn_recall(ids, V, newline=newline, end=info.vocabulary.end),
        ],
        rounds,
    )
    later = 1000 * statistics.median(a - b for a, b in zip(opened, without, strict=True))
    later = max(later, 0.001)
    recall = directory.read_recall(info)
    levels = () if recall is None or recall.ngram is None else recall.ngram.levels
    memory = sum(
        part.nbytes
        for level in levels
        for part in (level.symbols, level.shares, level.starts, level.kept)
    )
    memory_aim, file = 20 * megabytes, (directory.path / NAME).stat().st_size
    learning = statistics.median(learned)
    return [
        Row("opening, later by", "150 ms", later, 150, "ms", later / 150, 1.0, below=True),
        Row("memory", "20 times the text", memory / 1e6, memory_aim, "MB",
            memory / 1e6 / memory_aim, 1.0, below=True),
        Row("file", "the text", file / 1e6, megabytes, "MB", file / 1e6 / megabytes, None,
            below=True),
        Row("learning", "3 s", learning, 3.0, "s", learning / 3, 1.0, below=True),
    ]  # fmt: skip


def main(
    run: Annotated[str | None, typer.Option(help="A run's name in checkpoints/.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    quick: Annotated[bool, typer.Option(help="A tiny model, to see that it runs.")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure recall."""
    began = time.perf_counter()
    if quick:
        with tempfile.TemporaryDirectory() as name:
            model = charlstm.train(LYRICS, root=Path(name), steps=2, hidden=16, batch=8)
            rows = [writing(model, 1, 20, 1, 0.6), writing(model, 1, 20, 4, 0.5)]
            rows += keeping(model, 1)
    else:
        model = charlstm.load(run)
        rows = [writing(model, rounds, 2000, 1, 0.6), writing(model, rounds, 200, STREAMS, 0.5)]
        rows += keeping(model, rounds)
    show(f"Recall ({time.perf_counter() - began:.0f} s)", rows, file)


if __name__ == "__main__":
    typer.run(main)
