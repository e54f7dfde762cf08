"""Reading a text that is too long for memory, and training on it.

python -m benchmarks.reading [--megabytes 2000] [--vocabulary 20000] [--json FILE]

Makes a text in a temporary directory, of the size asked for; its ids take about as much again.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.measure import Row, faster, in_turn, show
from charlstm.text.corpus import TextOptions
from charlstm.text.mapped import LONGEST_IN_MEMORY, open_corpus

_PIECE = 1_000_000


def write_text(path: Path, size: int, vocabulary: int) -> None:
    """Write about `size` bytes: half of them lines of English letters, half of Chinese characters.

    Both are drawn so that the k-th character comes 1/k times as often as the first.
    """
    generator = np.random.default_rng(0)
    latin = np.array(list(" etaoinshrdlcumwfgypbvk"))
    chinese = np.array([chr(0x4E00 + k) for k in range(vocabulary)])
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            for letters, count in ((latin, _PIECE), (chinese, _PIECE // 3)):
                chances = 1 / np.arange(1, len(letters) + 1)
                drawn = generator.choice(letters, count, p=chances / chances.sum())
                drawn[40::41] = "\n"
                file.write("".join(drawn) + "\n")


def read_plainly(path: Path) -> object:
    """Read a text as most programs of this kind do: whole, and a character at a time."""
    text = path.read_text(encoding="utf-8")
    ids = {character: number for number, character in enumerate(sorted(set(text)))}
    return np.array([ids[character] for character in text], dtype=np.int64)


def speeds(directory: Path, path: Path, rounds: int) -> list[Row]:
    """Read a text of moderate size in both ways."""
    part = directory / "part.txt"
    with path.open("rb") as file:
        part.write_bytes(file.read(LONGEST_IN_MEMORY + (1 << 20)).rpartition(b"\n")[0])

    def ours() -> None:
        shutil.rmtree(directory / "cache", ignore_errors=True)
        open_corpus([part], cache=directory / "cache", options=TextOptions())

    seconds = in_turn([ours, lambda: read_plainly(part)], rounds)
    megabytes = part.stat().st_size / 1e6
    ours_speed, plain_speed = (megabytes / statistics.median(times) for times in seconds)
    return [
        Row("a text to ids", "a list of numbers", ours_speed, plain_speed, "MB/s",
            faster(*seconds), 1)
    ]  # fmt: skip


def whole(directory: Path, path: Path) -> list[Row]:
    """Read all of it, once without a cache and once from it, and train on it in another process."""
    megabytes = path.stat().st_size / 1e6
    times = []
    for _ in range(2):
        began = time.perf_counter()
        corpus = open_corpus([path], cache=directory / "cache", options=TextOptions())
        times.append(time.perf_counter() - began)
    code = "from charlstm.cli import main; main()"
    settings = ["--steps", "100", "--validation", "0.0001", "--sample-every", "0"]
    subprocess.run(
        [sys.executable, "-c", code, "train", str(path), *settings], cwd=directory, check=True
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    speed = megabytes / times[0]
    size = f"{megabytes:,.0f} MB, {len(corpus.alphabet):,} different characters"
    return [
        Row(f"{size}: read", "40 MB a second", speed, 40, "MB/s", speed / 40, 1),
        Row(f"{size}: found again", "reading it", times[1], times[0], "s", times[1] / times[0],
            0.5, below=True),
        Row(f"{size}: peak memory of training", "1.5 GB", peak, 1500, "MB", peak / 1500, 1,
            below=True),
    ]  # fmt: skip


def main(
    megabytes: Annotated[int, typer.Option(help="How long the text is.")] = 2000,
    vocabulary: Annotated[int, typer.Option(help="How many Chinese characters.")] = 20_000,
    rounds: Annotated[int, typer.Option(help="How often each way of reading is timed.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write the figures here as well.")] = None,
) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "text.txt"
        write_text(path, megabytes * 1_000_000, vocabulary)
        rows = speeds(directory, path, rounds)
        shutil.rmtree(directory / "cache", ignore_errors=True)
        show("Reading", rows + whole(directory, path), json)


if __name__ == "__main__":
    typer.run(main)
