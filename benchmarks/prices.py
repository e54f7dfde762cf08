"""What it costs in held-out loss when two workers do not train exactly.

    python -m benchmarks.prices [--seeds 3] [--limit 100000] tinyshakespeare.txt

The same number of epochs of the same text, in every way and with every seed, by whole commands. The
loss is that of the network alone after the last epoch, in nats a character; a price is the mean
difference from the same seed with every step made together, and the least and the greatest.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import charlstm
from benchmarks.workers import LYRICS, trained

WAYS: dict[str, Sequence[str]] = {
    "every step together": (),
    "--compress bfloat16": ("--compress", "bfloat16"),
    "--sync-every 8": ("--sync-every", "8"),
    "--sync-every 64": ("--sync-every", "64"),
}
COMMON = (
    *("--recall", "0", "--sample-every", "0", "--patience", "0", "--no-index", "--quiet"),
    *("--precision", "float32", "--workers", "2", "--threads", "1", "--name", "measured"),
)


@dataclass(frozen=True)
class Text:
    """What is trained on, and how.

    Attributes:
        name: as the table has it.
        path: of the text.
        settings: with which options.
    """

    name: str
    path: Path
    settings: Sequence[str]

    def loss(self, root: Path, way: Sequence[str], seed: int) -> float:
        """Train; return the held-out loss after the last epoch."""
        seeded = ("--seed", str(seed))
        trained(root, ["train", str(self.path.resolve()), *self.settings, *COMMON, *way, *seeded])
        last = charlstm.load(root=root / "checkpoints").info.last
        assert last is not None
        assert last.validation_loss is not None
        return last.validation_loss


def price(losses: Sequence[float], exact: Sequence[float]) -> str:
    """Return the mean difference, and its range."""
    differences = [loss - other for loss, other in zip(losses, exact, strict=True)]
    low, high = min(differences), max(differences)
    return f"{statistics.mean(differences):+.3f} ({low:+.3f} to {high:+.3f})"


def main(
    shakespeare: Annotated[Path, typer.Argument(help="Tiny Shakespeare, a text file.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    limit: Annotated[int, typer.Option(help="Characters of Tiny Shakespeare.")] = 100_000,
    quick: Annotated[bool, typer.Option(help="Tiny models, to see that it runs.")] = False,
) -> None:
    """Measure what is lost where workers do not train exactly."""
    began = time.perf_counter()
    small = ("--hidden", "8", "--batch", "4", "--epochs", "1", "--steps", "9") if quick else ()
    texts = [
        Text(
            f"Tiny Shakespeare, {limit:,} characters, H 128, {epochs} epochs",
            shakespeare,
            ("--limit", str(limit), "--hidden", "128", "--epochs", str(epochs), *small),
        ),
        Text(
            f"data/lyrics_zh.txt, {2 * epochs} epochs",
            LYRICS,
            ("--epochs", str(2 * epochs), *small),
        ),
    ]
    print("| text | way | held-out loss | price |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for text in texts[: 1 if quick else None]:
            ways: dict[str, list[float]] = {}
            for way, options in list(WAYS.items())[:: 2 if quick else 1]:
                ways[way] = [text.loss(Path(name), options, seed) for seed in range(seeds)]
                exact = ways["every step together"]
                told = price(ways[way], exact) if ways[way] is not exact else ""
                loss = statistics.mean(ways[way])
                print(f"| {text.name} | {way} | {loss:.3f} | {told} |", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    typer.run(main)
