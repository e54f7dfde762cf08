"""Reading a text that is too long for memory, and training on it.

python -m benchmarks.reading [--megabytes 2000] [--vocabulary 20000] [--json FILE]

Makes a text in a temporary directory, of the size asked for; its ids take about as much again.
"""

import csv
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.measure import Row, faster, in_turn, show
from charlstm.text.corpus import TextOptions
from charlstm.text.mapped import LONGEST_IN_MEMORY, open_corpus
from charlstm.text.reading import read_corpus

_PIECE = 1_000_000
# Songs in other forms than plain text, and the lines of each.
_SONGS, _SUNG = 10_000, 40


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


def forms(directory: Path, rounds: int) -> list[Row]:
    """Read the same songs in the forms that people have them in, and as plain text."""
    generator = np.random.default_rng(0)
    chinese, latin = (
        ["雨停了你还不来", "后来谁都没有问", "风吹过旧城的桥"],
        ["a", "train", "left", "at", "nine"],
    )
    songs = []
    for number in range(_SONGS):
        words = chinese if number % 2 else latin
        drawn = generator.choice(words, (_SUNG, 1 if number % 2 else 7))
        songs.append((f"Song {number}", "The Lanterns", [" ".join(line) for line in drawn]))
    paths = [directory / name for name in ("a.txt", "a.csv", "a.jsonl", "a.json", "a.lrc", "a.srt")]
    plain, table, lines, tree, lrc, srt = (path.open("w", encoding="utf-8") for path in paths)
    rows = csv.writer(table)
    rows.writerow(["title", "artist", "lyrics"])
    for title, artist, sung in songs:
        text = "\n".join(sung)
        plain.write(f"{title}\n\n{text}\n\n")
        rows.writerow([title, artist, text])
        said = {"title": title, "artist": artist, "lyrics": text}
        lines.write(json.dumps(said, ensure_ascii=False) + "\n")
        lrc.write(f"[ti:{title}]\n[ar:{artist}]\n[by:nobody]\n")
        for place, line in enumerate(sung):
            time = f"{place // 15:02}:{place % 15 * 4:02}"
            lrc.write(f"[{time}.50]{line}\n")
            srt.write(f"{place + 1}\n00:{time},500 --> 00:{time},900\n{line}\n\n")
    json.dump([{"title": title, "lines": sung} for title, _, sung in songs], tree)
    for file in (plain, table, lines, tree, lrc, srt):
        file.close()
    seconds = in_turn([partial(read_corpus, [path]) for path in paths], rounds)
    speeds = [
        path.stat().st_size / 1e6 / statistics.median(times)
        for path, times in zip(paths, seconds, strict=True)
    ]
    return [
        Row(f"songs in {path.suffix}", "20 MB of file a second", speed, 20, "MB/s", speed / 20, 1)
        for path, speed in zip(paths, speeds, strict=True)
    ]


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
    figures: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here as well.")
    ] = None,
) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "text.txt"
        write_text(path, megabytes * 1_000_000, vocabulary)
        rows = speeds(directory, path, rounds)
        shutil.rmtree(directory / "cache", ignore_errors=True)
        rows += forms(directory, rounds)
        show("Reading", rows + whole(directory, path), figures)


if __name__ == "__main__":
    typer.run(main)
