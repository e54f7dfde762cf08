"""Writing with one and with two threads of NumPy's matrix library, alone and beside a busy loop.

    python -m benchmarks.products [--rounds 7] [--json FILE]

The number of threads is OpenBLAS's, which it reads as it is loaded, so each number has a process of
its own. All of them stand ready, and write in turn. Whether they write the same texts is told as
well: the sums in a product depend on how it is parted.
"""

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.busy import beside_a_busy_loop
from benchmarks.measure import Row, faster, show

COUNTS = (1, 2)
# How wide the layer is, how many streams there are, and how many characters each of them gets.
WORKS = ((256, 1, 4000), (512, 1, 4000), (256, 64, 200), (512, 64, 200))

# Writes when it is told to, and says how long that took and what came of it.
_WRITER = """
import hashlib, sys, time
from benchmarks.sampling import sampler
from charlstm.writing.decoding import Decoding
hidden, streams, length = map(int, sys.argv[1:])
ours, decoding = sampler(hidden), Decoding(temperature=0.8)
for line in sys.stdin:
    began = time.perf_counter()
    texts = ours.generate_many("", samples=streams, length=length, decoding=decoding, seed=1)
    seconds = time.perf_counter() - began
    digest = hashlib.sha256("\\n".join(texts).encode()).hexdigest()
    print(seconds, digest, flush=True)
"""


class Writer:
    """A process that writes the same texts whenever it is asked."""

    def __init__(self, threads: int, work: tuple[int, int, int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, *map(str, work)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.digest = ""
        self.seconds()

    def seconds(self) -> float:
        """Write once and return how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, self.digest = self._process.stdout.readline().split()
        return float(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextlib.contextmanager
def _writers(work: tuple[int, int, int]) -> Iterator[list[Writer]]:
    with contextlib.ExitStack() as stack:
        writers = []
        for threads in COUNTS:
            writers.append(Writer(threads, work))
            stack.callback(writers[-1].close)
        yield writers


def measured(work: tuple[int, int, int], rounds: int) -> list[Row]:
    """Measure one work, alone and beside a busy loop."""
    hidden, streams, length = work
    rows = []
    with _writers(work) as writers:
        for where in ("alone", "beside a busy loop"):
            with beside_a_busy_loop() if where != "alone" else contextlib.nullcontext():
                taken = [[writer.seconds() for writer in writers] for _ in range(rounds)]
            one, two = ([times[place] for times in taken] for place in range(len(COUNTS)))
            ours, theirs = (streams * length / statistics.median(times) for times in (two, one))
            same = len({writer.digest for writer in writers}) == 1
            texts = "the same texts" if same else "other texts"
            title = f"H {hidden}, {streams} at once, {where}: two threads, {texts}"
            rows.append(Row(title, "one thread", ours, theirs, "chars/s", faster(two, one), None))
    return rows


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure."""
    rows = [row for work in WORKS for row in measured(work, rounds)]
    show("Writing with two threads and with one", rows, file)


if __name__ == "__main__":
    typer.run(main)
