"""The figures that people quote, against a computation that shares no line with the library.

Everything here is NumPy in float64, one character at a time, from the papers' equations. The
library computes in float32, so a figure of one character may be a few float32 roundings away; a
mean over hundreds of characters is held to 1e-6.
"""

import functools
import json
import math
import os
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from directories import empty_run, put_held_out
from faults.patience import HANGS_AFTER
from numpy.typing import NDArray

from charlstm.evaluation.perplexity import Evaluation, evaluate
from charlstm.model.charlm import CharLM
from charlstm.model.network import Network
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.runs.info import RunInfo
from charlstm.text.vocabulary import Vocabulary
from charlstm.trained import TrainedModel
from charlstm.training.events import EpochEnd
from charlstm.training.trainer import Trainer
from charlstm.writing.sampler import Sampler

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]

LEARNED = "分开了还是分开 la la é\n不分开😀 雨停了 🌧\n雪\n" * 9 + "龙Ω"
# Characters of 1 to 4 bytes; some the vocabulary lacks, some only the training text had once.
TEXT = "分开 la é 😀 再见\n不分开 雨停了 🌧 𝄞 龙 zz\n还是分开了 雪 雪 雪\n" * 12
FEWEST = 2
H = 24
WIDTH = 10

# A float32 has 24 bits. The nats of one character come out of sums of some thirty products and of
# a logarithm over V exponentials, of numbers up to about 10.
ONE_CHARACTER = 1e-5
MEAN = 1e-6


# The papers' equations. `x` is what a layer reads, `h` and `c` its state, `w` its weights.


def sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def one_layer(cell: str, w: dict[str, Array], x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """Return the new ``h`` and ``c``; the blocks of H rows stand as in `torch.nn`."""
    W, U, b_W, b_U = w["weight_ih"], w["weight_hh"], w["bias_ih"], w["bias_hh"]

    def W_(k: int) -> Array:  # noqa: N802, the input's share of block k
        return W[k * H : (k + 1) * H] @ x + b_W[k * H : (k + 1) * H]

    def U_(k: int) -> Array:  # noqa: N802, the state's share of block k
        return U[k * H : (k + 1) * H] @ h + b_U[k * H : (k + 1) * H]

    if cell == "lstm":  # Hochreiter & Schmidhuber 1997, forget gate: Gers et al. 2000
        i, f, o = (sigmoid(W_(k) + U_(k)) for k in (0, 1, 3))
        c = f * c + i * np.tanh(W_(2) + U_(2))
        return o * np.tanh(c), c
    if cell == "peephole":  # Gers & Schmidhuber 2000: i and f see the old c, o the new one
        p_i, p_f, p_o = w["weight_peephole"]
        i, f = sigmoid(W_(0) + U_(0) + p_i * c), sigmoid(W_(1) + U_(1) + p_f * c)
        c = f * c + i * np.tanh(W_(2) + U_(2))
        return sigmoid(W_(3) + U_(3) + p_o * c) * np.tanh(c), c
    if cell == "coupled":  # Greff et al. 2017: i = 1 - f
        f, g, o = sigmoid(W_(0) + U_(0)), np.tanh(W_(1) + U_(1)), sigmoid(W_(2) + U_(2))
        c = f * c + (1 - f) * g
        return o * np.tanh(c), c
    if cell == "gru":  # Cho et al. 2014, the reset gate behind the product
        r, z = sigmoid(W_(0) + U_(0)), sigmoid(W_(1) + U_(1))
        return (1 - z) * np.tanh(W_(2) + r * U_(2)) + z * h, c
    assert cell == "rnn"  # Elman 1990
    return np.tanh(W_(0) + U_(0)), c


def plain_nats(cell: str, layers: int, weights: Weights, ids: list[int]) -> Array:
    """Return -ln p of every character but the first, which is read from the zero state."""
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    of_layer = [
        {
            name.removeprefix("recurrent.").removesuffix(f"_l{layer}"): array
            for name, array in exact.items()
            if name.endswith(f"_l{layer}")
        }
        for layer in range(layers)
    ]
    h, c = np.zeros((layers, H)), np.zeros((layers, H))
    nats = []
    for read, target in pairwise(ids):
        if "embedding.weight" in exact:
            x = exact["embedding.weight"][read]
        else:
            x = np.zeros(len(exact["head.bias"]))
            x[read] = 1.0
        for layer in range(layers):
            h[layer], c[layer] = one_layer(cell, of_layer[layer], x, h[layer], c[layer])
            x = h[layer]
        scores = exact["head.weight"] @ x + exact["head.bias"]
        highest = scores.max()
        nats.append(float(np.log(np.exp(scores - highest).sum()) + highest - scores[target]))
    return np.array(nats)


def plain_characters() -> list[str]:
    """Return what the vocabulary holds: by falling count, then code point, behind ``<unk>``."""
    kept = [one for one in set(LEARNED) if LEARNED.count(one) >= FEWEST]
    return sorted(kept, key=lambda one: (-LEARNED.count(one), one))


def plain_ids(text: str) -> list[int]:
    known = {character: number for number, character in enumerate(plain_characters(), start=1)}
    return [known.get(character, 0) for character in text]


def plain_unigram_loss(text: str) -> float:
    """Return the loss of the counts, one added to each; what is rare was counted as ``<unk>``."""
    known = plain_characters()
    rare = sum(1 for character in LEARNED if character not in known)
    total = len(LEARNED) + len(known) + 1
    nats = [
        -math.log(((LEARNED.count(one) if one in known else rare) + 1) / total) for one in text[1:]
    ]
    return math.fsum(nats) / len(nats)


@dataclass(frozen=True)
class Case:
    """A model with random weights, and what it makes of `TEXT` by the equations above."""

    architecture: Architecture
    weights: Weights
    nats: Array

    @property
    def backends(self) -> tuple[str, ...]:
        return ("scratch", "torch") if self.architecture.cell in LIBRARY_CELLS else ("scratch",)

    def model(self, backend: str, vocabulary: Vocabulary) -> CharLM:
        model = CharLM(self.architecture, len(vocabulary), backend=backend)
        model.load_state_dict({name: torch.from_numpy(w) for name, w in self.weights.items()})
        return model


def some_weights(architecture: Architecture, vocabulary_size: int) -> Weights:
    """Return random weights of the size that training leaves: gates that open, clear opinions."""
    rng = np.random.default_rng(11)
    # The outputs of the cells with an output gate are smaller.
    head = 2.0 if "c" in architecture.state_names else 0.7
    sizes = {"head.weight": head, "embedding.weight": 1.0, "recurrent.weight_ih_l0": 0.7}
    return {
        name: rng.normal(0, sizes.get(name, 1 / math.sqrt(H)), shape).astype(np.float32)
        for name, shape in architecture.parameter_shapes(vocabulary_size).items()
    }


@functools.cache
def some_case(cell: str, layers: int, embedding: int) -> Case:
    architecture = Architecture(cell, H, layers, embedding)
    weights = some_weights(architecture, len(plain_characters()) + 1)
    return Case(architecture, weights, plain_nats(cell, layers, weights, plain_ids(TEXT)))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.build(LEARNED, min_count=FEWEST)


every_case = pytest.mark.parametrize(
    ("cell", "layers", "embedding"),
    [(cell, layers, width) for cell in CELLS for layers in (1, 2) for width in (0, WIDTH)],
)


def assert_trusted(found: Evaluation, nats: Array, text: str) -> None:
    """Check every figure of `found` against the nats of each character of `text`."""
    total, count = math.fsum(nats), len(text) - 1
    loss, bits = total / count, total / math.log(2)
    size = sum(len(character.encode()) for character in text[1:])
    ids = plain_ids(text)
    assert found.loss == pytest.approx(loss, rel=0, abs=MEAN)
    assert found.perplexity == pytest.approx(math.exp(loss), rel=MEAN)
    assert found.bits_per_character == pytest.approx(bits / count, rel=0, abs=MEAN)
    assert found.bits_per_byte == pytest.approx(bits / size, rel=0, abs=MEAN)
    assert (found.characters, found.utf8_bytes) == (count, size)
    assert found.unknown_share == ids[1:].count(0) / count
    assert found.uniform_perplexity == len(plain_characters()) + 1
    unigram = math.exp(plain_unigram_loss(text))
    assert found.unigram_perplexity == pytest.approx(unigram, rel=1e-12)
    assert found.surprisal.shape == (count,)
    np.testing.assert_allclose(found.surprisal, nats / math.log(2), rtol=0, atol=ONE_CHARACTER)


def test_the_text_is_one_that_could_tell_a_difference(vocabulary: Vocabulary) -> None:
    assert vocabulary.characters == "".join(plain_characters())
    assert vocabulary.encode(TEXT).tolist() == plain_ids(TEXT)
    assert len(TEXT) > 400
    assert {len(character.encode()) for character in TEXT} == {1, 2, 3, 4}
    assert 0.05 < plain_ids(TEXT).count(0) / len(TEXT) < 0.3
    # Opinions that are often wrong: a slip in an equation cannot hide in a flat distribution.
    for cell in CELLS:
        nats = some_case(cell, 1, WIDTH).nats
        assert nats.min() < 2
        assert nats.max() > 6


@every_case
def test_every_figure_of_the_evaluator_is_that_of_the_equations(
    cell: str, layers: int, embedding: int, vocabulary: Vocabulary
) -> None:
    case = some_case(cell, layers, embedding)
    for backend in case.backends:
        found = evaluate(case.model(backend, vocabulary), vocabulary, TEXT)
        assert_trusted(found, case.nats, TEXT)


@every_case
def test_a_run_that_is_opened_has_the_figures_of_the_equations(
    cell: str, layers: int, embedding: int, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    case = some_case(cell, layers, embedding)
    run = empty_run(tmp_path / "run")
    run.write_info(
        RunInfo(
            recipe=Recipe(name="some", architecture=case.architecture, min_count=FEWEST),
            vocabulary=vocabulary,
            sources=(),
            places=("song.txt",),
            encoding=None,
            corpus_sha256="",
            training_characters=len(LEARNED),
            held_out_characters=len(TEXT),
            backend="scratch",
        )
    )
    run.write_model(case.weights)
    put_held_out(run, TEXT)
    opened = TrainedModel(run)
    for backend in (*case.backends, "auto"):
        assert_trusted(opened.perplexity(backend=backend, device="cpu"), case.nats, TEXT)
    # A text of one's own is brought into the form of the training text before it is measured.
    raw = unicodedata.normalize("NFD", TEXT).replace("\n", "\r\n")
    assert len(raw) > len(TEXT)
    assert_trusted(opened.perplexity(raw, device="cpu"), case.nats, TEXT)


@every_case
def test_the_sampler_finds_each_character_as_likely_as_the_equations_do(
    cell: str, layers: int, embedding: int, vocabulary: Vocabulary
) -> None:
    case = some_case(cell, layers, embedding)
    sampler = Sampler(Network(case.architecture, case.weights, len(vocabulary)), vocabulary)
    found = sampler.log_probabilities(TEXT[40:], prefix=TEXT[:40])
    # It reads a line break first; by the fortieth character that can still be told.
    expected = plain_nats(cell, layers, case.weights, plain_ids("\n" + TEXT))[40:]
    np.testing.assert_allclose(found, -expected, rtol=0, atol=ONE_CHARACTER)
    assert found.mean() == pytest.approx(-expected.mean(), rel=0, abs=MEAN)


@pytest.mark.parametrize("backend", ["scratch", "torch"])
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_held_out_loss_of_training_is_that_of_the_equations(
    cell: str, backend: str, vocabulary: Vocabulary
) -> None:
    held_out = TEXT * 7
    recipe = Recipe(
        name="some",
        architecture=Architecture(cell, H, 1, WIDTH),
        optimizer="adamw",
        learning_rate=0.01,
        batch=8,
        window=16,
        epochs=1,
    )
    trainer = Trainer(
        recipe,
        vocabulary.encode(LEARNED),
        vocabulary.encode(held_out),
        len(vocabulary),
        backend=backend,
        device=torch.device("cpu"),
    )
    (ended,) = (event for event in trainer.run() if isinstance(event, EpochEnd))
    nats = plain_nats(cell, 1, trainer.weights(), plain_ids(held_out))
    # Several streams of 512 characters' run-up each.
    assert len(nats) > 2 * 1024
    # A network of this size has forgotten by then where it began, so one pass says the same.
    assert ended.report.validation_loss == pytest.approx(math.fsum(nats) / len(nats), abs=MEAN)


TRAIN_ON_BOTH = """
import hashlib, json, sys
from pathlib import Path
from charlstm.api import train
place, found = Path(sys.argv[1]), {}
for backend in ("scratch", "torch"):
    model = train(
        place / "song.txt", root=place / sys.argv[2], name=backend, backend=backend, threads=1,
        device="cpu", hidden=24, layers=2, embedding=8, dropout=0.3, batch=8, window=16, epochs=3,
        seed=5,
    )
    weights = model.directory.read_model(model.info)
    found[backend] = {
        name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in weights.items()
    }
    found[backend]["text"] = model.generate("分开", length=40, seed=1)
print(json.dumps(found))
"""


def test_two_processes_train_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text(LEARNED * 5, encoding="utf-8")
    # Another seed of Python's hashes is another order of every set.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN_ON_BOTH, str(tmp_path), name],
            env={**os.environ, "PYTHONHASHSEED": name, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for name in ("1", "2")
    ]
    answers: list[dict[str, Any]] = []
    for process in processes:
        output, errors = process.communicate(timeout=HANGS_AFTER)
        assert process.returncode == 0, errors
        answers.append(json.loads(output))
    assert answers[0] == answers[1]
    for weights in answers[0].values():
        assert len(weights) == 1 + 2 * 4 + 2 + 1
        assert len(set(weights.values())) == len(weights)
