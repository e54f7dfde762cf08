import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlstm.evaluation.adapting import Read, adapting_surprisal
from charlstm.evaluation.perplexity import evaluate
from charlstm.model.charlm import CharLM
from charlstm.model.recall.learning import count_ngram, learn_recall
from charlstm.model.recall.product import LINEAR, WAYS
from charlstm.model.recall.recall import Recall
from charlstm.recipes.architecture import Architecture
from charlstm.text.songs import END
from charlstm.text.vocabulary import Vocabulary

LEARNED = "".join(
    f"{END}song {n}\nlet it go on {'and on ' * (n % 3)}\nlet it go on\n" for n in range(40)
)
HELD_OUT = f"{END}songs\nlet it be on and on\nlet it be on and on\n{END}gone\nlet it go\n{END}"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.build(LEARNED + "b")


@pytest.fixture(scope="module", params=WAYS)
def recall(vocabulary: Vocabulary, request: pytest.FixtureRequest) -> Recall:
    ids = vocabulary.encode(LEARNED)
    return replace(learn_recall(ids, len(vocabulary), end=vocabulary.end), way=request.param)


def some_logits(ids: np.ndarray, V: int, seed: int) -> np.ndarray:  # noqa: N803
    """Return normalised logits of all characters but the first, ``[N - 1, V]``."""
    logits = np.random.default_rng(seed).normal(0, 2, (len(ids) - 1, V))
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def reads(ids: np.ndarray, *logits: np.ndarray, size: int = 10_000) -> Iterator[Read]:
    """Yield a text in stretches, as networks with these logits read it."""
    places = np.arange(len(ids) - 1)
    nats = [-each[places, ids[1:]] for each in logits]
    for start in range(0, len(places), size):
        part = slice(start, start + size)
        yield Read(nats[0][part], nats[-1][part], logits[0][part], logits[-1][part])


def test_the_weights_are_those_of_bayes_after_all_that_was_read(
    vocabulary: Vocabulary, recall: Recall
) -> None:
    ids, V = vocabulary.encode(HELD_OUT), len(vocabulary)
    static, dynamic = some_logits(ids, V, 1), some_logits(ids, V, 2)
    found, in_stretches = (
        adapting_surprisal(
            recall, recall.measure(ids), None, ids, reads(ids, static, dynamic, size=size)
        )
        for size in (10_000, 7)
    )
    np.testing.assert_allclose(in_stretches, found, rtol=1e-9)
    measured = recall.measure(ids)
    assert recall.ngram is not None
    contexts = recall.ngram.start()
    choices = list(
        itertools.product((0, 0.5, 1), (k / 10 for k in range(1, 8)), (0, 0.25, 0.5, 0.75, 1))
    )
    believed = dict.fromkeys(choices, 1.0)
    leads = dict.fromkeys((0, 0.5, 1), 0.0)
    for place in range(len(ids) - 1):
        chances, target = {}, ids[place + 1]
        recall.ngram.step(contexts, [int(ids[place])])
        ngram = recall.ngram.expected(contexts)[0]
        if ids[place] == vocabulary.end:
            leads = dict.fromkeys(leads, 0.0)
        networks = {
            learning: (1 - learning) * np.exp(static[place]) + learning * np.exp(dynamic[place])
            for learning in leads
        }
        for learning, share, strength in choices:
            network = networks[learning]
            odds = share / (1 - share) * math.exp(0.05 * leads[learning])
            if recall.way == LINEAR:
                expected = (network + odds * ngram)[target] / (1 + odds)
            else:
                w = 1.5 * odds / (1 + 1.5 * odds)
                c = 1 + 0.2 * w * (1 - w)
                product = network ** (c * (1 - w)) * ngram ** (c * w)
                expected = product[target] / product.sum()
            keep = 1 - strength * (1 - measured.keep[place])
            chance = keep * expected + strength * measured.add[place]
            chances[learning, share, strength] = chance
        mean = sum(believed[c] * chances[c] for c in choices) / sum(believed.values())
        assert found[place] == pytest.approx(-math.log(mean), rel=1e-9)
        believed = {c: believed[c] * chances[c] for c in choices}
        for learning, network in networks.items():
            lead = math.log(ngram[target] / network[target])
            leads[learning] = 0.95 * leads[learning] + lead


def test_it_counts_what_it_has_read_and_nothing_of_what_comes(
    vocabulary: Vocabulary, recall: Recall
) -> None:
    learned, ids = vocabulary.encode(LEARNED), vocabulary.encode(HELD_OUT * 3)
    logits = some_logits(ids, len(vocabulary), 3)
    still, counting = (
        adapting_surprisal(recall, recall.measure(ids), text, ids, reads(ids, logits, size=50))
        for text in (None, learned)
    )
    # What comes a second time is expected sooner once it has been counted.
    again = slice(2 * len(HELD_OUT), None)
    assert counting[again].sum() < still[again].sum() - 1
    half = len(ids) // 2
    # As many characters as before, so that they are counted as often.
    other = np.concatenate((ids[:half], ids[half:][::-1]))
    changed = adapting_surprisal(
        recall, recall.measure(other), learned, other, reads(other, logits, size=50)
    )
    np.testing.assert_allclose(changed[: half - 1], counting[: half - 1], rtol=1e-12)


def test_the_figures_of_a_blend_are_told_beside_those_of_its_parts(
    vocabulary: Vocabulary, recall: Recall
) -> None:
    model = CharLM(Architecture(hidden=4), len(vocabulary), end=vocabulary.end)
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    ids, learned = vocabulary.encode(HELD_OUT), vocabulary.encode(LEARNED)
    found = evaluate(
        model, vocabulary, HELD_OUT, recall=recall, share=0.4, learned=learned, dynamic=True
    )
    V, measured = len(vocabulary), recall.measure(ids)
    assert measured.ngram is not None
    even = np.full((len(ids) - 1, V), 1 / V)
    static = measured.static(even[:, 0], 0.4, logits=np.log(even))
    expected = {
        "lstm": math.log(V),
        "recall": -np.log(static).mean(),
        "so_far": -np.log(measured.keep * static + measured.add).mean(),
        "five_gram": -np.log(
            count_ngram(learned, V, order=5, end=vocabulary.end).probabilities(ids)
        ).mean(),
    }
    assert {name: found.parts[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found.loss == found.parts["so_far"]
    parts = found.parts
    in_order = [parts[name] or 0.0 for name in ("lstm", "recall", "so_far")]
    assert in_order == sorted(in_order, reverse=True)
    assert parts["adapting"] not in (None, found.dynamic_loss)
