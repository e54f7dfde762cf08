import math
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlstm.errors import CorpusError, count
from charlstm.evaluation.dynamic import dynamic_surprisal
from charlstm.evaluation.perplexity import Evaluation, evaluate
from charlstm.model.charlm import CharLM
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture
from charlstm.text.vocabulary import Vocabulary

LEARNED = "分开了还是分开 la la\n不分开\n" * 3
# Some of it is not in the vocabulary, and its characters take from 1 to 4 bytes.
TEXT = "分开 la é é 𝄞 再见\n不分开 la la 𝄞\n" * 2
H = 6

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.build(LEARNED)


def some_model(vocabulary: Vocabulary, cell: str, backend: str = "scratch") -> CharLM:
    embedding = 0 if cell in ("gru", "coupled") else 3
    model = CharLM(Architecture(cell, H, 2, embedding), len(vocabulary), backend=backend)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.8, generator=generator)
    return model


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


# One step of a layer each: from a = W x + b_ih, u = U h + b_hh, h, c and the peephole weights to
# the new h and c.


def lstm(a: Array, u: Array, h: Array, c: Array, p: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(a + u, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def peephole(a: Array, u: Array, h: Array, c: Array, p: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(a + u, 4)
    new = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
    return sigmoid(o + p[2] * new) * np.tanh(new), new


def coupled(a: Array, u: Array, h: Array, c: Array, p: Array) -> tuple[Array, Array]:
    f, g, o = np.split(a + u, 3)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(a: Array, u: Array, h: Array, c: Array, p: Array) -> tuple[Array, Array]:
    (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3), np.split(u, 3)
    z = sigmoid(a_z + u_z)
    n = np.tanh(a_n + sigmoid(a_r + u_r) * u_n)
    return (1 - z) * n + z * h, c


def rnn(a: Array, u: Array, h: Array, c: Array, p: Array) -> tuple[Array, Array]:
    return np.tanh(a + u), c


Step = Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]
STEPS: dict[str, Step] = {
    "lstm": lstm,
    "peephole": peephole,
    "coupled": coupled,
    "gru": gru,
    "rnn": rnn,
}


def plain_nats(weights: dict[str, Any], cell: str, ids: list[int]) -> list[float]:
    """Return the surprisal of every character but the first, in NumPy and float64."""
    w = {name: weight.numpy().astype(np.float64) for name, weight in weights.items()}
    h, c, nats = np.zeros((2, H)), np.zeros((2, H)), []
    for read, target in pairwise(ids):
        if "embedding.weight" in w:
            x = w["embedding.weight"][read]
        else:
            x = np.zeros(w["recurrent.weight_ih_l0"].shape[1])
            x[read] = 1.0
        for layer in range(2):
            a = w[f"recurrent.weight_ih_l{layer}"] @ x + w[f"recurrent.bias_ih_l{layer}"]
            u = w[f"recurrent.weight_hh_l{layer}"] @ h[layer] + w[f"recurrent.bias_hh_l{layer}"]
            p = w.get(f"recurrent.weight_peephole_l{layer}", np.zeros((3, H)))
            h[layer], c[layer] = STEPS[cell](a, u, h[layer], c[layer], p)
            x = h[layer]
        scores = w["head.weight"] @ x + w["head.bias"]
        nats.append(float(np.log(np.exp(scores).sum()) - scores[target]))
    return nats


def plain_ids(text: str) -> list[int]:
    """Number the characters by falling count, then code point, from 1; 0 is whatever is not."""
    order = sorted(set(LEARNED), key=lambda character: (-LEARNED.count(character), character))
    return [order.index(character) + 1 if character in order else 0 for character in text]


@pytest.mark.parametrize("cell", CELLS)
def test_every_figure_equals_a_plain_computation(cell: str, vocabulary: Vocabulary) -> None:
    model = some_model(vocabulary, cell)
    found = evaluate(model, vocabulary, TEXT)
    ids = plain_ids(TEXT)
    nats = plain_nats(model.state_dict(), cell, ids)
    loss = math.fsum(nats) / len(nats)
    total_bits = math.fsum(nats) / math.log(2)
    assert len(nats) == len(TEXT) - 1
    assert found.loss == pytest.approx(loss, rel=1e-6)
    assert found.perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    assert found.bits_per_character == pytest.approx(total_bits / len(nats), rel=1e-6)
    assert found.bits_per_byte == pytest.approx(total_bits / len(TEXT[1:].encode()), rel=1e-6)
    assert found.characters == len(nats)
    assert found.utf8_bytes == len(TEXT[1:].encode())
    assert found.unknown_share == ids[1:].count(0) / len(nats)
    assert 0.1 < found.unknown_share < 0.5
    assert found.uniform_perplexity == len(set(LEARNED)) + 1
    assert found.surprisal.shape == (len(nats),)
    assert found.surprisal.tolist() == pytest.approx([x / math.log(2) for x in nats], rel=1e-5)


def test_the_mean_of_the_surprisal_is_the_bits_per_character(vocabulary: Vocabulary) -> None:
    found = evaluate(some_model(vocabulary, "lstm"), vocabulary, TEXT)
    mean = math.fsum(found.surprisal.tolist()) / found.characters
    assert mean == pytest.approx(found.bits_per_character, rel=1e-6)


def test_the_standard_error_is_that_of_twenty_pieces(vocabulary: Vocabulary) -> None:
    text = "".join(random.Random(1).choices("分开我不 abc\n", k=407))
    found = evaluate(some_model(vocabulary, "lstm"), vocabulary, text)
    nats = [bit * math.log(2) for bit in found.surprisal.tolist()]
    # 406 targets: six pieces of 21, and fourteen of 20.
    pieces = [nats[21 * k : 21 * k + 21] for k in range(6)]
    pieces += [nats[126 + 20 * k : 146 + 20 * k] for k in range(14)]
    means = [math.fsum(piece) / len(piece) for piece in pieces]
    assert found.standard_error == pytest.approx(statistics.stdev(means) / math.sqrt(20), rel=1e-6)
    assert evaluate(some_model(vocabulary, "lstm"), vocabulary, text[:401]).standard_error
    few = evaluate(some_model(vocabulary, "lstm"), vocabulary, text[:400])
    assert few.standard_error is None


def test_the_unigram_figure_knows_only_the_counts_of_the_training_text(
    vocabulary: Vocabulary,
) -> None:
    found = evaluate(some_model(vocabulary, "lstm"), vocabulary, TEXT)
    # One is added to every count, that of <unk> among them.
    total = len(LEARNED) + len(set(LEARNED)) + 1
    nats = [-math.log((LEARNED.count(character) + 1) / total) for character in TEXT[1:]]
    assert found.unigram_perplexity == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-12)


def test_the_unigram_figure_counts_rare_characters_as_unknown() -> None:
    learned = "aaaabbbcd"
    vocabulary = Vocabulary.build(learned, min_count=2)
    found = evaluate(some_model(vocabulary, "lstm"), vocabulary, "acab")
    # a: 4 + 1, b: 3 + 1, <unk>: 2 + 1; of 12.
    expected = -(math.log(3 / 12) + math.log(5 / 12) + math.log(4 / 12)) / 3
    assert found.unigram_perplexity == pytest.approx(math.exp(expected), rel=1e-12)
    assert found.unknown_share == pytest.approx(1 / 3)
    assert found.uniform_perplexity == 3.0


@pytest.mark.parametrize("cell", LIBRARY_CELLS)
def test_the_figures_do_not_depend_on_the_backend(cell: str, vocabulary: Vocabulary) -> None:
    scratch = some_model(vocabulary, cell)
    library = some_model(vocabulary, cell, backend="torch")
    library.load_state_dict(scratch.state_dict())
    ours = flat(evaluate(scratch, vocabulary, TEXT).to_json())
    theirs = flat(evaluate(library, vocabulary, TEXT).to_json())
    assert ours == pytest.approx(theirs, rel=1e-6)


def flat(value: dict[str, Any]) -> dict[str, Any]:
    """Return all numbers of an object and of those in it, by their paths."""
    numbers = {}
    for name, entry in value.items():
        inner = flat(entry) if isinstance(entry, dict) else {"": entry}
        told = {path: number for path, number in inner.items() if number is not None}
        numbers.update({f"{name}/{path}": number for path, number in told.items()})
    return numbers


def test_a_model_that_knows_nothing_has_the_perplexity_of_chance(vocabulary: Vocabulary) -> None:
    model = CharLM(Architecture(hidden=4), len(vocabulary))
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    found = evaluate(model, vocabulary, TEXT)
    assert found.perplexity == pytest.approx(found.uniform_perplexity, rel=1e-6)


def test_the_plain_values_have_the_names_that_programs_read(vocabulary: Vocabulary) -> None:
    found = evaluate(some_model(vocabulary, "lstm"), vocabulary, TEXT)
    value = found.to_json()
    assert list(value) == [
        "loss",
        "perplexity",
        "bits_per_character",
        "bits_per_byte",
        "characters",
        "ends",
        "character_loss",
        "standard_error",
        "unknown_share",
        "uniform_perplexity",
        "unigram_perplexity",
        "lstm",
        "recall",
        "so_far",
        "five_gram",
        "unigram",
        "uniform",
    ]
    assert all(value[name] == getattr(found, name) for name in list(value)[:11])
    assert value["lstm"] == {
        "loss": found.loss,
        "perplexity": found.perplexity,
        "bits_per_character": found.bits_per_character,
    }
    assert value["uniform"]["perplexity"] == pytest.approx(found.uniform_perplexity, rel=1e-12)
    # There is no blend, and no training text.
    assert [value[name] for name in ("recall", "so_far", "five_gram")] == [None] * 3


def test_dynamic_figures_are_there_only_when_asked_for(vocabulary: Vocabulary) -> None:
    model = some_model(vocabulary, "lstm")
    static = evaluate(model, vocabulary, TEXT)
    dynamic = evaluate(model, vocabulary, TEXT, dynamic=True)
    assert static.dynamic_loss is None
    assert dynamic.dynamic_loss is not None
    # It comes on top, and changes no other figure.
    assert replace(dynamic, dynamic_loss=None, adapting_loss=None) == static
    value = dynamic.to_json()
    assert value.keys() - static.to_json().keys() == {
        "dynamic_loss",
        "dynamic_perplexity",
        "dynamic_bits_per_character",
        "adapting",
    }
    assert value["adapting"]["loss"] == dynamic.dynamic_loss
    assert value["dynamic_loss"] == dynamic.dynamic_loss
    assert value["dynamic_perplexity"] == pytest.approx(math.exp(dynamic.dynamic_loss), rel=1e-12)
    assert value["dynamic_bits_per_character"] == pytest.approx(
        dynamic.dynamic_loss / math.log(2), rel=1e-12
    )


def test_the_dynamic_loss_is_the_mean_over_all_predicted_characters(
    vocabulary: Vocabulary,
) -> None:
    model, text = some_model(vocabulary, "gru"), TEXT + "分开 la"
    told: list[int] = []
    found = evaluate(model, vocabulary, text, dynamic=True, on_progress=told.append)
    nats = dynamic_surprisal(model, np.array(plain_ids(text), dtype=np.uint16)).tolist()
    assert found.dynamic_loss == pytest.approx(math.fsum(nats) / (len(text) - 1), rel=1e-9)
    assert sum(told) == found.characters


def test_without_dynamic_evaluation_no_progress_is_told(vocabulary: Vocabulary) -> None:
    told: list[int] = []
    evaluate(some_model(vocabulary, "lstm"), vocabulary, TEXT, on_progress=told.append)
    assert told == []


def test_a_perplexity_beyond_a_float_is_infinite() -> None:
    found = Evaluation(
        loss=1e6,
        characters=3,
        utf8_bytes=3,
        unknown_share=0.0,
        uniform_perplexity=5.0,
        unigram_perplexity=4.0,
        surprisal=np.zeros(3, np.float32),
    )
    assert found.perplexity == math.inf
    assert found.bits_per_character == found.bits_per_byte == 1e6 / math.log(2)


def test_measuring_changes_neither_the_model_nor_its_mode(vocabulary: Vocabulary) -> None:
    model = some_model(vocabulary, "lstm").train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    first = evaluate(model, vocabulary, TEXT, dynamic=True)
    assert evaluate(model, vocabulary, TEXT, dynamic=True) == first
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("text", ["", "分"])
def test_a_text_of_fewer_than_two_characters_is_refused(text: str, vocabulary: Vocabulary) -> None:
    with pytest.raises(CorpusError) as caught:
        evaluate(some_model(vocabulary, "lstm"), vocabulary, text)
    assert str(caught.value) == (
        f"A text of {count(len(text), 'character')} cannot be measured: at least 2 are needed, "
        "since the first is only read."
    )


def test_two_characters_are_enough(vocabulary: Vocabulary) -> None:
    model = some_model(vocabulary, "rnn")
    found = evaluate(model, vocabulary, "分开")
    assert found.characters == 1
    expected = plain_nats(model.state_dict(), "rnn", plain_ids("分开"))
    assert found.loss == pytest.approx(expected[0], rel=1e-6)
