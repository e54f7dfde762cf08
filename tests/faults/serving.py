"""Ask a server too much, badly, and all at once, and show that it answers everybody else.

    python -m tests.faults.serving [--times 10]

Many clients ask for streams together; some read a byte now and then, some send half a request and
wait, some leave in the middle. Others send bodies of 100 MB, prompts of a million characters, what
is no UTF-8, no JSON and no HTTP, wrong tokens, and names and origins that are not the server's. All
that is wrong must be refused, all that is right must be answered as it would be alone, and in the
end the server must have said nothing on its standard error and end when it is told to.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

import charlstm

from .patience import HANGS_AFTER

_LETTERS = "分开我们在车站等你 说好不\n"
_CLIENTS = 200
_LONGEST_PROMPT = 1_000_000
_HUGE = 100_000_000


@dataclass
class Counts:
    """What was asked, and what came of it."""

    texts_together: int = 0
    slow_readers: int = 0
    half_requests: int = 0
    left_in_the_middle: int = 0
    huge_bodies: int = 0
    huge_prompts: int = 0
    no_requests: int = 0
    wrong_tokens: int = 0
    foreign_names: int = 0
    slowest_milliseconds: float = 0.0
    """Of those that asked for a few characters while the others went on."""
    megabytes_more: float = 0.0
    """Of the server's memory, in the end."""

    def __str__(self) -> str:
        """Return the counts as a table."""
        return "\n".join(
            f"{field.name.replace('_', ' '):<22}{getattr(self, field.name):>8.4g}"
            for field in fields(self)
        )


class Client:
    """Talks to a server, a connection for each request.

    Args:
        address: that the server has printed.
        counts: what is counted.
    """

    def __init__(self, address: str, counts: Counts) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._token = parts.query.removeprefix("token=")
        self.counts = counts
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection, which `close` closes in the end if nobody has."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()

    def head(self, length: int, **headers: str) -> bytes:
        """Return the head of a request to complete a text; headers may be others."""
        usual = {
            "Host": f"{self._host}:{self._port}",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "Connection": "close",
        }
        lines = [f"{name}: {value}" for name, value in {**usual, **headers}.items()]
        return "\r\n".join(["POST /v1/completions HTTP/1.1", *lines, "", ""]).encode()

    async def ask(self, body: object, **headers: str) -> tuple[int, bytes]:
        """Send a request; return the status and the body of its answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reader, writer = await self.connect()
        try:
            # Who is refused may be so before all was said.
            with suppress(ConnectionError):
                writer.write(self.head(len(data), **headers) + data)
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(), HANGS_AFTER)
        finally:
            writer.close()
        head, _, told = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), told

    async def text(self, seed: int, characters: int = 40, **more: object) -> str:
        """Return a text, streamed."""
        asked = {"seed": seed, "max_tokens": characters, "lines": 1000, "stream": True, **more}
        status, told = await self.ask(asked)
        assert status == 200, told
        lines = [line for line in told.decode().split("\n") if line.startswith("data: {")]
        return "".join(json.loads(line[6:])["choices"][0]["text"] for line in lines)

    async def expect(self, status: int, body: object, **headers: str) -> None:
        """Check that a request is refused, in a sentence."""
        found, told = await self.ask(body, **headers)
        assert found == status, (found, told)
        assert b'"message"' in told

    async def answered(self) -> None:
        """Check that somebody who wants little gets it, and count how long that takes."""
        began = time.perf_counter()
        assert len(await self.text(1, 3)) == 3
        took = 1000 * (time.perf_counter() - began)
        self.counts.slowest_milliseconds = max(self.counts.slowest_milliseconds, took)


async def _together(client: Client, clients: int) -> None:
    """Many texts at once are those that each would be alone."""
    alone = [await client.text(seed) for seed in range(5)]
    texts = await asyncio.gather(*(client.text(seed) for seed in range(clients)))
    assert texts[:5] == alone
    client.counts.texts_together += clients


async def _slow_readers(client: Client, clients: int) -> None:
    """Who reads slowly holds nobody up."""

    async def read_slowly(seed: int) -> None:
        reader, writer = await client.connect()
        body = json.dumps({"seed": seed, "max_tokens": 2000, "lines": 999, "stream": True})
        writer.write(client.head(len(body)) + body.encode())
        for _ in range(20):
            assert await reader.read(1)
            await asyncio.sleep(0.05)
        writer.close()
        client.counts.slow_readers += 1

    reading = asyncio.gather(*(read_slowly(seed) for seed in range(clients)))
    while not reading.done():
        await client.answered()
        await asyncio.sleep(0.05)
    await reading


async def _half_requests(client: Client, clients: int) -> None:
    """Who says half of something and waits holds nobody up."""
    connections = []
    for number in range(clients):
        _, writer = await client.connect()
        head = client.head(100)
        writer.write(head[: random.randrange(len(head))] if number % 2 else head + b"{")
        connections.append(writer)
    for _ in range(10):
        await client.answered()
    for writer in connections:
        writer.close()
    client.counts.half_requests += clients


async def _leavers(client: Client, clients: int) -> None:
    """Who leaves frees his place."""

    async def leave(seed: int) -> None:
        reader, writer = await client.connect()
        body = json.dumps({"seed": seed, "max_tokens": 100_000, "lines": 99_999, "stream": True})
        writer.write(client.head(len(body)) + body.encode())
        await reader.read(100)
        writer.transport.abort()
        client.counts.left_in_the_middle += 1

    await asyncio.gather(*(leave(seed) for seed in range(clients)))
    await client.answered()


async def _huge(client: Client, times: int) -> None:
    """What is too large is refused; a long prompt is read while others are answered."""
    for _ in range(times):
        await client.expect(413, b" " * _HUGE)
        client.counts.huge_bodies += 1
    prompt = (_LETTERS * (_LONGEST_PROMPT // len(_LETTERS) + 1))[:_LONGEST_PROMPT]
    asked = {"prompt": prompt, "max_tokens": 1, "stream": True}
    reading = [asyncio.ensure_future(client.ask(asked)) for _ in range(2)]
    for _ in range(10):
        await client.answered()
    for task in reading:
        task.cancel()
        client.counts.huge_prompts += 1


async def _no_requests(client: Client, times: int) -> None:
    """What is no request is refused, or the connection ended."""
    for body in (b"\xff\xfe", b"{", b"[1]", b"nul", b'{"prompt": 1e999}', b"[" * 10_000):
        await client.expect(400, body)
        client.counts.no_requests += 1
    for _ in range(times):
        reader, writer = await client.connect()
        writer.write(random.randbytes(random.randrange(1, 3000)) + b"\r\n\r\n")
        writer.write_eof()
        # The connection may be ended before all of it has come.
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        client.counts.no_requests += 1


async def _strangers(client: Client, times: int) -> None:
    """Who has no business here is told so, before anything else is looked at."""
    for number in range(times):
        await client.expect(401, b"junk", Authorization=f"Bearer {number}")
        client.counts.wrong_tokens += 1
        await client.expect(421, {}, Host=f"evil-{number}.example")
        await client.expect(403, {}, Origin=f"https://evil-{number}.example")
        client.counts.foreign_names += 2


async def disturb(address: str, counts: Counts, times: int) -> None:
    """Do all of it, some things `times` times."""
    client = Client(address, counts)
    await client.answered()
    counts.slowest_milliseconds = 0.0
    works: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: _together(client, min(_CLIENTS, 20 * times)),
        lambda: _slow_readers(client, 3 * times),
        lambda: _half_requests(client, 20 * times),
        lambda: _leavers(client, 10 * times),
        lambda: _huge(client, max(times // 5, 1)),
        lambda: _no_requests(client, 20 * times),
        lambda: _strangers(client, 5 * times),
        lambda: _together(client, min(_CLIENTS, 10 * times)),
    ]
    for work in works:
        await _in_time(work())
        await client.close()


async def _in_time(work: Awaitable[None]) -> None:
    await asyncio.wait_for(work, HANGS_AFTER)


def serve_and_disturb(times: int) -> Counts:
    """Serve a small model, disturb the server, and check that nothing came of it."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as said:
        where = Path(directory)
        charlstm.train(
            text=_LETTERS * 50, root=where / "checkpoints", epochs=1, hidden=16, embedding=8,
            progress=False,
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "charlstm", "serve", "--no-browser", "--port", "0"],
            cwd=where,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            memory = psutil.Process(process.pid).memory_info().rss
            asyncio.run(disturb(address, counts, times))
            more = psutil.Process(process.pid).memory_info().rss - memory
            counts.megabytes_more = more / 1e6
            process.terminate()
            process.communicate(timeout=HANGS_AFTER)
        finally:
            process.kill()
        assert process.returncode == 0, process.returncode
        said.seek(0)
        (told,) = said.read().splitlines()  # where the page is
        assert "browser" in told, told
    return counts


def main() -> None:
    """Disturb a server and print what was done."""
    parser = argparse.ArgumentParser(description="Disturb a server and print what was done.")
    parser.add_argument("--times", type=int, default=10, help="how often each thing is done")
    print(serve_and_disturb(parser.parse_args().times))


if __name__ == "__main__":
    main()
