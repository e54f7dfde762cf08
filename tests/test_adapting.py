import itertools
import math

import numpy as np
import pytest
import torch

from charlstm.evaluation.adapting import adapting_surprisal
from charlstm.evaluation.perplexity import evaluate
from charlstm.model.charlm import CharLM
from charlstm.model.recall.learning import count_ngram, learn_recall
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


@pytest.fixture(scope="module")
def recall(vocabulary: Vocabulary) -> Recall:
    ids = vocabulary.encode(LEARNED)
    return learn_recall(ids, len(vocabulary), end=vocabulary.end)


def some_nats(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1.5, length).astype(np.float32)


def test_the_weights_are_those_of_bayes_after_all_that_was_read(
    vocabulary: Vocabulary, recall: Recall
) -> None:
    ids = vocabulary.encode(HELD_OUT)
    static, dynamic = some_nats(len(ids) - 1, 1), some_nats(len(ids) - 1, 2)
    found = adapting_surprisal(recall, recall.measure(ids), None, ids, static, dynamic)
    measured = recall.measure(ids)
    assert measured.ngram is not None
    choices = list(
        itertools.product((0, 0.5, 1), (k / 10 for k in range(1, 8)), (0, 0.25, 0.5, 0.75, 1))
    )
    believed = dict.fromkeys(choices, 1.0)
    leads = dict.fromkeys((0, 0.5, 1), 0.0)
    for place in range(len(ids) - 1):
        chances, ngram = {}, measured.ngram[place]
        if ids[place] == vocabulary.end:
            leads = dict.fromkeys(leads, 0.0)
        for learning, share, strength in choices:
            network = (1 - learning) * math.exp(-static[place])
            network += learning * math.exp(-dynamic[place])
            odds = share / (1 - share) * math.exp(0.05 * leads[learning])
            expected = (network + odds * ngram) / (1 + odds)
            keep = 1 - strength * (1 - measured.keep[place])
            chance = keep * expected + strength * measured.add[place]
            chances[learning, share, strength] = chance
        mean = sum(believed[c] * chances[c] for c in choices) / sum(believed.values())
        assert found[place] == pytest.approx(-math.log(mean), rel=1e-9)
        believed = {c: believed[c] * chances[c] for c in choices}
        for learning in leads:
            network = (1 - learning) * math.exp(-static[place])
            network += learning * math.exp(-dynamic[place])
            leads[learning] = 0.95 * leads[learning] + math.log(ngram / network)


def test_it_counts_what_it_has_read_and_nothing_of_what_comes(
    vocabulary: Vocabulary, recall: Recall
) -> None:
    learned, ids = vocabulary.encode(LEARNED), vocabulary.encode(HELD_OUT * 3)
    nats = some_nats(len(ids) - 1, 3)
    still = adapting_surprisal(recall, recall.measure(ids), None, ids, nats, nats)
    counting = adapting_surprisal(recall, recall.measure(ids), learned, ids, nats, nats)
    # What comes a second time is expected sooner once it has been counted.
    again = slice(2 * len(HELD_OUT), None)
    assert counting[again].sum() < still[again].sum() - 1
    half = len(ids) // 2
    other = np.concatenate((ids[:half], ids[:half][::-1]))
    changed = adapting_surprisal(
        recall,
        recall.measure(other),
        learned,
        other,
        nats[: len(other) - 1],
        nats[: len(other) - 1],
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
    static = measured.static(np.full(len(ids) - 1, 1 / V), 0.4)
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
