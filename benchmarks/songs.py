"""What a model gains by knowing where songs end: the same songs, told apart and as one stream.

python -m benchmarks.songs TEXT [--songs PATTERN] [--limit N] [--epochs N] [--seeds N]
    [--sampling consecutive|songs]

Both models learn the same songs with the same recipe, and both are measured on the same held-out
ones. The figure is all their nats over the characters of the songs: what tells songs apart, the
mark in the one and the empty lines in the other, is paid for by each and counted in neither. With
each seed the text that is learned begins with another song: of a small text it makes as much of a
difference where the streams of a batch begin.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from charlstm.model.surprisal import mean_surprisal
from charlstm.recipes.named import auto
from charlstm.text.corpus import TextOptions
from charlstm.text.reading import read_corpus
from charlstm.text.songs import END
from charlstm.text.splitting import split
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.batches import fit
from charlstm.training.trainer import Trainer


@dataclass(frozen=True)
class Measured:
    """One training.

    Attributes:
        told_apart: whether the model knew where songs end.
        seed: of the training.
        loss: nats a character of the held-out songs.
        epoch: which was the best.
    """

    told_apart: bool
    seed: int
    loss: float
    epoch: int


def measure(
    text: Annotated[Path, typer.Argument(help="Songs.")],
    songs: Annotated[str, typer.Option(help="What tells them apart.")] = "auto",
    limit: Annotated[int | None, typer.Option(help="Characters read.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.")] = None,
    sampling: Annotated[str | None, typer.Option(help="Instead of the recipe's own.")] = None,
    between: Annotated[int, typer.Option(help="Empty lines between two songs of a stream.")] = 2,
    seeds: Annotated[int, typer.Option(help="How many trainings of each kind.")] = 3,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 1,
    written: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Train both ways and print the losses."""
    torch.set_num_threads(threads)
    corpus = read_corpus([text], options=TextOptions(songs=songs, limit=limit))
    if corpus.songs is None:
        raise typer.BadParameter(f"no songs are found in {text}; --songs tells them apart.")
    cut = split(corpus, auto(*corpus.size).validation)
    learned, held_out = corpus.text[:cut], corpus.text[cut:]
    characters = len(held_out.replace(END, ""))
    found = []
    parts = learned.split(END)[1:]
    for seed in range(seeds):
        first = seed * len(parts) // seeds
        begun = "".join(END + song for song in parts[first:] + parts[:first])
        for told_apart in (True, False):
            texts = (begun + END, held_out)
            if not told_apart:  # whose first character is only read as well
                gap = "\n" * between
                texts = (begun[1:].replace(END, gap), "\n" + held_out[1:].replace(END, gap))
            nats, epoch = _train(*texts, seed=seed, epochs=epochs, sampling=sampling)
            found.append(Measured(told_apart, seed, nats / characters, epoch))
            typer.echo(
                f"seed {seed}, {'told apart' if told_apart else 'one stream'}: "
                f"{found[-1].loss:.4f} nats a character, best epoch {found[-1].epoch}"
            )
    for told_apart in (True, False):
        losses = [one.loss for one in found if one.told_apart == told_apart]
        name = "told apart" if told_apart else "one stream"
        typer.echo(f"{name}: {sum(losses) / len(losses):.4f}")
    if written is not None:
        written.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


def _train(
    learned: str, held_out: str, *, seed: int, epochs: int | None, sampling: str | None
) -> tuple[float, int]:
    """Return all nats of a held-out text, and after which epoch that was."""
    vocabulary = Vocabulary.build(learned)
    ids = vocabulary.encode(learned)
    recipe = auto(len(learned) + len(held_out), len(vocabulary))
    batch, window = fit(len(ids), recipe.batch, recipe.window)
    recipe = recipe.override(
        batch=batch,
        window=window,
        seed=seed,
        epochs=epochs,
        sampling=sampling,
        precision="bfloat16",
    )
    measured = vocabulary.encode(held_out)
    trainer = Trainer(
        recipe,
        ids,
        measured,
        len(vocabulary),
        end=vocabulary.end,
        ends=None if vocabulary.end is None else np.flatnonzero(ids == vocabulary.end),
        backend="scratch",
        device=torch.device("cpu"),
    )
    for _ in trainer.run():
        pass
    best = trainer.snapshot().best_weights
    trainer.model.load_state_dict({name: torch.from_numpy(part) for name, part in best.items()})
    loss = mean_surprisal(trainer.model, measured).network
    return loss * (len(measured) - 1), trainer.best_epoch


if __name__ == "__main__":
    typer.run(measure)
