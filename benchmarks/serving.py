"""Many who ask at once: our server, and the same one with an eager loop in the engine's place.

    python -m benchmarks.serving [--rounds 5] [--json FILE]

Real servers, each in a process of its own, asked over real connections. The eager loop is what a
tutorial would put behind a server: one call of `nn.LSTM` a character, one text after the other.
"""

import asyncio
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

import charlstm
from benchmarks.measure import Row, faster, show
from charlstm.serve.programs.asked import MOST_CHARACTERS

LYRICS = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"
HIDDEN, STREAMS = 256, 64
# Nobody waits longer for a text to begin.
REACH_MILLISECONDS = 100.0


def serve_eagerly(root: Path) -> None:
    """Run the same server, with the textbook's loop behind it."""
    import torch

    from benchmarks.textbook import TextbookLibrary, write_eagerly
    from charlstm.serve.programs.engine import Asking, Engine
    from charlstm.serve.server import Server
    from charlstm.writing.company import Text

    torch.set_num_threads(1)
    vocabulary = charlstm.load(root=root).info.vocabulary
    model = TextbookLibrary(len(vocabulary), HIDDEN).requires_grad_(False)
    names = ["\ufffd", *vocabulary.characters]
    orders: queue.Queue[tuple[Asking, Text]] = queue.Queue()

    def write_on() -> None:
        while True:
            asking, text = orders.get()
            for drawn in write_eagerly(model, text.task.characters, 0.8):
                text.push(names[drawn])
                asking.loop.call_soon_threadsafe(asking.changed.set)
                if text.is_over:
                    break

    class Eager(Engine):
        """Writes one text after the other."""

        def ask(self, *asked: Any, **_: Any) -> Asking:
            tasks = asked[2]
            asking = Asking(asyncio.get_running_loop())
            asking.texts = [Text(task, 0, None) for task in tasks]
            for text in asking.texts:
                orders.put((asking, text))
            return asking

    threading.Thread(target=write_on, daemon=True).start()
    server = Server(root, port=0, engine=Eager())
    print(server.address, flush=True)
    server.serve()


@contextmanager
def server(where: Path, *, eager: bool) -> Iterator[str]:
    """Run a server; yield its address."""
    command = ["charlstm", "serve", "--no-browser", "--port", "0"]
    if eager:
        command = ["benchmarks.serving", "--eager"]
    # The package that is measured is the one that measures.
    places = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=where,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def written(address: str, characters: int, seed: int) -> tuple[float, int]:
    """Ask for a text; return after how many seconds it began, and its characters."""
    parts = urlsplit(address)
    # A form of the text that ends nowhere before: it counts lines.
    body = json.dumps(
        {"lines": 100_000, "max_tokens": characters, "seed": seed, "stream": True}
    ).encode()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    first, count = 0.0, 0
    try:
        writer.write(
            f"POST /v1/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            f"Authorization: Bearer {parts.query.removeprefix('token=')}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        async for line in reader:
            if line.startswith(b"data: {"):
                first = first or time.perf_counter() - began
                count += len(json.loads(line[6:])["choices"][0]["text"])
    finally:
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
    return first, count


async def together(address: str, streams: int, characters: int) -> float:
    """Return how many characters a second all streams have together."""
    began = time.perf_counter()
    every = await asyncio.gather(*(written(address, characters, k) for k in range(streams)))
    seconds = time.perf_counter() - began
    return sum(count for _, count in every) / seconds


async def beginning(address: str, streams: int, characters: int, times: int) -> list[float]:
    """Return after how many milliseconds new texts began, one by one, while the others ran."""
    others = [asyncio.ensure_future(written(address, characters, k)) for k in range(streams - 1)]
    await asyncio.sleep(0.5)
    began = []
    for k in range(times):
        first, _ = await written(address, 3, streams + k)
        began.append(1000 * first)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return began


def figures(
    address: str, rounds: int, streams: int, characters: int
) -> tuple[list[float], list[float]]:
    """Return characters a second, of one stream and of all, round by round."""
    asyncio.run(together(address, 2, 5))
    one = [asyncio.run(together(address, 1, characters)) for _ in range(rounds)]
    many = [asyncio.run(together(address, streams, characters)) for _ in range(rounds)]
    return one, many


def rows_of(where: Path, rounds: int, streams: int, characters: int, recall: str) -> list[Row]:
    """Measure both servers on one run."""
    with server(where, eager=False) as ours, server(where, eager=True) as eager:
        one, many = figures(ours, rounds, streams, characters)
        # Its texts are written one after the other, so that shorter ones tell as much.
        short = max(characters // 8, 5)
        eager_one, eager_many = figures(eager, rounds, streams, short)
        first = asyncio.run(beginning(ours, streams, MOST_CHARACTERS, 4 * rounds))
        eager_first = asyncio.run(beginning(eager, streams, 8 * short, 1))
    middle = statistics.median
    work = f"{streams} streams at once, {recall}"

    def row(
        name: str, against: str, ours: Sequence[float], theirs: Sequence[float], reach: float | None
    ) -> Row:
        # The time of a character: what is faster takes less.
        ratio = faster([1 / each for each in ours], [1 / each for each in theirs])
        return Row(name, against, middle(ours), middle(theirs), "chars/s", ratio, reach)

    return [
        row(work, "one stream of the same server", many, one, 3.0),
        row(work, "an eager loop behind the same server", many, eager_many, None),
        row(f"one stream, {recall}", "an eager loop behind the same server", one, eager_one, None),
        Row(f"a text begins while {streams - 1} are written, {recall}",
            "an eager loop behind the same server", middle(first), middle(eager_first), "ms",
            middle(first) / middle(eager_first), None, below=True),
        Row(f"the slowest of {len(first)} to begin, {recall}", "at most", max(first),
            REACH_MILLISECONDS, "ms", max(first) / REACH_MILLISECONDS, 1.0, below=True),
    ]  # fmt: skip


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    quick: Annotated[bool, typer.Option(help="Few and short texts, to see that it runs.")] = False,
    eager: Annotated[bool, typer.Option("--eager", hidden=True)] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure servers."""
    if eager:
        serve_eagerly(Path("checkpoints"))
        return
    streams, characters = (3, 10) if quick else (STREAMS, 400)
    rows = []
    for name, recall in (("the network alone", 0.0), ("with recall", None)):
        with tempfile.TemporaryDirectory() as directory:
            where = Path(directory)
            share: dict[str, Any] = {} if recall is None else {"recall": recall}
            charlstm.train(
                LYRICS, root=where / "checkpoints", steps=2, hidden=HIDDEN, precision="float32",
                **share,
            )  # fmt: skip
            rows += rows_of(where, 1 if quick else rounds, streams, characters, name)
    show("A server", rows, file)


if __name__ == "__main__":
    typer.run(main)
