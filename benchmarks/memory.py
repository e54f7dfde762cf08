"""The memory of each of two workers beside that of one process, with a text of gigabytes.

    python -m benchmarks.memory [--megabytes 2000] [--json FILE]

Whole commands, on Linux. Several times a second each process is asked (`/proc/PID/smaps_rollup`)
how much memory it has of its own (`Anonymous`: what is no page of a file) and how much in all
(`Rss`: with the pages of the text and of the libraries, which processes share). The figures are
the most that was seen. The text and its ids lie in a temporary directory, about twice its size.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.measure import Row, show
from benchmarks.reading import write_text

_PIECE, _SOON = 20_000_000, 0.1
_VOCABULARY = 2000
SETTINGS = ("--validation", "0.0001", "--sample-every", "0", "--threads", "1", "--quiet")


def repeated(path: Path, size: int) -> None:
    """Write about `size` bytes: a drawn text of 20 MB, again and again."""
    write_text(path, min(_PIECE, size), _VOCABULARY)
    piece = path.read_bytes()
    with path.open("ab") as file:
        while file.tell() < size:
            file.write(piece)


def peaks(root: Path, arguments: Sequence[str]) -> list[dict[str, float]]:
    """Train; return the most megabytes that each of its workers had, by rank."""
    command = [sys.executable, "-m", "charlstm", "train", *arguments]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    most: dict[int, dict[str, float]] = {}
    while process.poll() is None:
        with suppress(psutil.Error):
            one = psutil.Process(process.pid)
            for worker in one.children(recursive=True) or [one]:
                with suppress(OSError, KeyError, psutil.Error):
                    rank = int(worker.environ().get("RANK", "0"))
                    known = most.setdefault(rank, {})
                    for name, size in sizes(worker.pid).items():
                        known[name] = max(known.get(name, 0.0), size)
        time.sleep(_SOON)
    if process.returncode:
        raise SystemExit(f"a training has ended with {process.returncode}")
    return [most[rank] for rank in sorted(most)]


def sizes(pid: int) -> dict[str, float]:
    """Return how many megabytes a process has, by what the system calls them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    told = dict(line.split(":") for line in lines)
    return {name: int(told[name].split()[0]) * 1024 / 1e6 for name in ("Anonymous", "Rss")}


def main(
    megabytes: Annotated[int, typer.Option(min=1)] = 2000,
    steps: Annotated[int, typer.Option(min=1)] = 100,
    quick: Annotated[bool, typer.Option(help="A small text, to see that it runs.")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure the memory of workers."""
    began = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        repeated(root / "text.txt", 200_000 if quick else megabytes * 1_000_000)
        small = ("--hidden", "8", "--batch", "4") if quick else ()
        arguments = ("text.txt", *SETTINGS, "--steps", str(steps), *small)
        peaks(root, [*arguments, "--recall", "0"])  # makes the ids, which the others find
        kinds = (("the network alone", ("--recall", "0")), ("with recall", ()))
        for title, options in kinds[:1] if quick else kinds:
            (one,) = peaks(root, [*arguments, *options])
            for rank, worker in enumerate(peaks(root, [*arguments, *options, "--workers", "2"])):
                for kind, field in (("its own", "Anonymous"), ("with shared pages", "Rss")):
                    rows.append(
                        Row(
                            f"worker {rank} of 2, {title}: {kind}",
                            "one process",
                            worker[field],
                            one[field],
                            "MB",
                            worker[field] / one[field],
                            1.1,
                            below=True,
                        )
                    )
    size = "a small text" if quick else f"{megabytes:,} MB of text"
    show(f"Memory of workers, {size} ({time.perf_counter() - began:.0f} s)", rows, file)


if __name__ == "__main__":
    typer.run(main)
