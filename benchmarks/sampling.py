"""Writing text: ours beside an eager loop and the bare product, and as whole commands.

python -m benchmarks.sampling [--rounds 9] [--json FILE]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

import charlstm
from benchmarks.measure import Row, faster, in_turn, show
from benchmarks.textbook import TextbookLibrary, write_eagerly
from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding
from charlstm.writing.sampler import Sampler

V, H = 1027, 256
STREAMS = 256


def sampler(hidden: int = H) -> Sampler:
    """Return a sampler of our size, or of another width, with random weights."""
    architecture = Architecture(hidden=hidden)
    generator = np.random.default_rng(0)
    weights = {
        name: generator.normal(scale=0.1, size=shape).astype(np.float32)
        for name, shape in architecture.parameter_shapes(V).items()
    }
    characters = "".join(chr(0x4E00 + k) for k in range(V - 1))
    return Sampler(Network(architecture, weights, V), Vocabulary(characters, [0] + [1] * (V - 1)))


def bare_products(count: int) -> None:
    """Multiply the stacked matrix of our size by a vector, `count` times, and nothing else."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(4 * H + V, H + 1)).astype(np.float32)
    vector = generator.normal(size=H + 1).astype(np.float32)
    product = np.empty(len(matrix), dtype=np.float32)
    for _ in range(count):
        np.dot(matrix, vector, out=product)


def in_process(rounds: int, length: int, streams: int) -> list[Row]:
    """Measure the sampler itself."""
    ours = sampler()
    eager = TextbookLibrary(V, H)
    decoding = Decoding(temperature=0.8)
    each = max(1, length // 10)
    one, loop, bare, many = in_turn(
        [
            lambda: ours.generate("", length=length, decoding=decoding, seed=1),
            lambda: write_eagerly(eager, each, 0.8),
            lambda: bare_products(length),
            lambda: ours.generate_many("", samples=streams, length=each, decoding=decoding, seed=1),
        ],
        rounds,
    )

    def rate(seconds: list[float], characters: int) -> float:
        return characters / statistics.median(seconds)

    per_one = [seconds / length for seconds in one]
    work = f"one stream, V {V}, H {H}, temperature 0.8"
    return [
        Row(work, "an eager nn.LSTM loop", rate(one, length), rate(loop, each), "chars/s",
            faster(per_one, [seconds / each for seconds in loop]), 10.0),
        Row(work, "the bare stacked product", rate(one, length), rate(bare, length), "chars/s",
            faster(one, bare), 0.4),
        Row(f"{streams} streams at once", "one stream", rate(many, each * streams),
            rate(one, length), "chars/s",
            faster([seconds / (each * streams) for seconds in many], per_one), 4.0),
    ]  # fmt: skip


def whole_process(rounds: int, *, warm_up: bool = True) -> list[Row]:
    """Measure commands from their start to their end."""
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        lyrics = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"
        charlstm.train(
            lyrics, root=where / "checkpoints", steps=2, hidden=H, embedding=0, batch=8,
            precision="float32",
        )  # fmt: skip

        def command(*words: str) -> Callable[[], object]:
            return lambda: subprocess.run(
                [sys.executable, *words], cwd=where, check=True, capture_output=True
            )

        # The installed command is this module with a line around it.
        write, helped, torch_alone = in_turn(
            [
                command("-m", "charlstm", "generate", "--prefix", "分开", "--length", "200"),
                command("-m", "charlstm", "--help"),
                command("-c", "import torch"),
            ],
            rounds,
            warm_up=warm_up,
        )
    return [
        Row(work, "python -c 'import torch'", 1000 * statistics.median(ours),
            1000 * statistics.median(torch_alone), "ms", 1 / faster(ours, torch_alone), reach,
            below=True)
        for work, ours, reach in (
            ("charlstm generate --prefix 分开 --length 200", write, 0.35),
            ("charlstm --help", helped, 0.15),
        )
    ]  # fmt: skip


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    quick: Annotated[bool, typer.Option(help="Short texts, to see that it runs.")] = False,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure writing."""
    torch.manual_seed(0)
    began = time.perf_counter()
    if quick:
        rows = in_process(1, 20, 4) + whole_process(1, warm_up=False)
    else:
        rows = in_process(rounds, 10_000, STREAMS) + whole_process(rounds)
    show(f"Writing ({time.perf_counter() - began:.0f} s)", rows, file)


if __name__ == "__main__":
    typer.run(main)
