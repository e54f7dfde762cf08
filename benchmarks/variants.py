"""What the second tanh of the LSTM is worth, and a forget gate that begins half open.

    python -m benchmarks.variants [TEXT] [--epochs 10] [--seeds 3] [--rate 0.003]

The same songs, recipe and seeds for each: the cell as it is, one that gives h = o c in place of
o tanh(c), and the first again with a forget bias that begins at 0 in place of 1. Autograd goes
through all of them step by step, so that nothing but the cell differs. The figure is the held-out
perplexity of the network alone after its best epoch; beside it the largest |h| that the layer gave
after the last one, over the first 1,000 characters of what is held out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, sigmoid, tanh

from charlstm.figures import perplexity
from charlstm.model.charlm import CharLM
from charlstm.model.recurrent.beginnings import Beginnings
from charlstm.model.recurrent.equations import State, Weights, lstm, run
from charlstm.model.recurrent.scratch import ScratchRecurrent
from charlstm.recipes.named import auto
from charlstm.text.corpus import IdArray
from charlstm.text.reading import read_corpus
from charlstm.text.songs import END
from charlstm.text.splitting import split
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.batches import fit
from charlstm.training.trainer import Trainer

LYRICS = Path(__file__).parent.parent / "data" / "lyrics_en.txt"


def without_second_tanh(a: Tensor, state: State, weights: Weights) -> State:
    """Return a step of the LSTM that gives its cell state as it is, as far as o lets it."""
    h, c = state
    i, f, g, o = (a + h @ weights.U.T + weights.b).chunk(4, dim=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * c, c


class AsItIs(ScratchRecurrent):
    """Layers whose steps autograd goes through."""

    def _layer(
        self, layer: int, inputs: Tensor, state: State, begins: Beginnings | None
    ) -> tuple[Tensor, State]:
        return run(lstm, self._input_share(inputs, layer), state, self._weights(layer), begins)


class WithoutSecondTanh(ScratchRecurrent):
    """The same without the second tanh."""

    def _layer(
        self, layer: int, inputs: Tensor, state: State, begins: Beginnings | None
    ) -> tuple[Tensor, State]:
        step, share = without_second_tanh, self._input_share(inputs, layer)
        return run(step, share, state, self._weights(layer), begins)


@dataclass(frozen=True)
class Variant:
    """A cell, and how its forget gate begins."""

    name: str
    layers: type[ScratchRecurrent] = AsItIs
    forget_bias: float = 1.0


VARIANTS = (
    Variant("h = o tanh(c)"),
    Variant("h = o c", layers=WithoutSecondTanh),
    Variant("forget bias 0", forget_bias=0.0),
)


def learn(variant: Variant, texts: tuple[str, str], seed: int, **settings: float) -> list[float]:
    """Train; return the best held-out perplexity, and the largest |h|."""
    vocabulary = Vocabulary.build(texts[0])
    learned, held_out = (vocabulary.encode(text) for text in texts)
    recipe = auto(sum(map(len, texts)), len(vocabulary))
    batch, window = fit(len(learned), recipe.batch, recipe.window)
    recipe = recipe.override(
        batch=batch, window=window, seed=seed, patience=0, precision="float32", **settings
    )
    trainer = Trainer(
        recipe,
        learned,
        held_out,
        len(vocabulary),
        end=vocabulary.end,
        ends=np.flatnonzero(learned == vocabulary.end),
        backend="scratch",
        device=torch.device("cpu"),
    )
    layers = trainer.model.recurrent
    layers.__class__ = variant.layers  # the weights stay, and another step goes over them
    bias = layers.get_parameter("bias_ih_l0")
    with torch.no_grad():
        bias.chunk(4)[1].fill_(variant.forget_bias)
    for _ in trainer.run():
        pass
    return [perplexity(trainer.best_loss), largest(trainer.model, held_out[:1000])]


@torch.inference_mode()
def largest(model: CharLM, ids: IdArray) -> float:
    """Return the largest |h| over a text that is read from zero."""
    assert model.embedding is not None
    vectors = model.embedding(torch.from_numpy(ids.astype(np.int64))[:, None])
    outputs, _ = model.recurrent.unroll(vectors, model.zero_state(1))
    return float(outputs.abs().max())


def main(
    text: Annotated[Path, typer.Argument(help="Songs.")] = LYRICS,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    rate: Annotated[float, typer.Option(help="The learning rate.")] = 0.003,
    hidden: Annotated[int, typer.Option(min=1)] = 64,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
) -> None:
    """Train each variant and print what it comes to."""
    torch.set_num_threads(threads)
    corpus = read_corpus([text])
    cut = split(corpus, 0.1)
    texts = corpus.text[:cut] + END, corpus.text[cut:]
    settings = {"epochs": epochs, "hidden": hidden, "learning_rate": rate}
    print("| | held-out perplexity | seed by seed | largest abs(h) |\n|---|---|---|---|")
    for variant in VARIANTS:
        found = np.array([learn(variant, texts, seed, **settings) for seed in range(seeds)])
        each = ", ".join(f"{figure:.3f}" for figure in found[:, 0])
        print(f"| {variant.name} | {found[:, 0].mean():.3f} | {each} | {found[:, 1].max():.2f} |")


if __name__ == "__main__":
    typer.run(main)
