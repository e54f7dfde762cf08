"""One stream is reckoned with numbers and many with arrays: both come to the same."""

import numpy as np
import pytest

from charlstm.model.recall.counting import count_levels
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.ngram import NGram
from charlstm.model.recall.so_far import Pull, SoFar, follow

END = 1
PULL = Pull(0.37, tuple(40 / (1 + k) + 0.1 * k for k in range(len(LENGTHS))))


def songs(V: int, length: int) -> np.ndarray:  # noqa: N803
    """Return a text in which passages come again, with marks between its songs."""
    rng = np.random.default_rng(V)
    verse = rng.integers(2, V, size=30)
    parts: list[np.ndarray] = [np.array([END])]
    while sum(map(len, parts)) < length:
        parts += [verse, rng.integers(2, V, size=rng.integers(1, 60))]
        if rng.random() < 0.05:
            parts.append(np.array([END]))
    return np.concatenate(parts)[:length]


@pytest.mark.parametrize("V", [7, 600])
def test_a_text_is_expected_alike_by_one_stream_by_many_and_as_a_whole(V: int) -> None:  # noqa: N803
    text = songs(V, 1500)
    ngram = NGram(count_levels(text, V, order=6, end=END), V, END)
    so_far = SoFar(V, END, reach=300)
    read = [text[start : start + 700] for start in (0, 200, 750)]
    whole = [(ngram.probabilities(ids), *follow(so_far, ids).weigh(PULL)) for ids in read]
    contexts, said = ngram.start(3), so_far.start(3)
    alone = [(ngram.start(), so_far.start()) for _ in read]
    for at in range(699):
        ids = [int(one[at]) for one in read]
        ngram.step(contexts, ids)
        so_far.step(said, ids)
        for (one, said_by_one), character in zip(alone, ids, strict=True):
            ngram.step(one, [character])
            so_far.step(said_by_one, [character])
        if at % 7:
            continue
        many = ngram.expected(contexts)
        before = many.copy()
        so_far.add_to(many, said, PULL)
        for stream, (one, said_by_one) in enumerate(alone):
            expected = ngram.expected(one)
            np.testing.assert_allclose(expected[0], before[stream], rtol=0, atol=1e-12)
            character = read[stream][at + 1]
            probability, keep, add = (part[at] for part in whole[stream])
            assert expected[0, character] == pytest.approx(probability, abs=1e-12)
            so_far.add_to(expected, said_by_one, PULL)
            np.testing.assert_allclose(expected[0], many[stream], rtol=0, atol=1e-12)
            assert expected[0, character] == pytest.approx(keep * probability + add, abs=1e-12)
            assert expected.sum() == pytest.approx(1, abs=1e-6)  # shares are float32


@pytest.mark.parametrize("streams", [1, 3])
def test_float32_is_enough_for_what_is_drawn(streams: int) -> None:
    V = 7
    text = songs(V, 900)
    ngram = NGram(count_levels(text, V, order=6, end=END), V, END)
    so_far = SoFar(V, END)
    contexts, said = ngram.start(streams), so_far.start(streams)
    for at in range(300):
        ids = [int(text[at + 100 * stream]) for stream in range(streams)]
        ngram.step(contexts, ids)
        so_far.step(said, ids)
    exact, rough = np.zeros((streams, V)), np.zeros((streams, V), dtype=np.float32)
    for expected in (exact, rough):
        ngram.add_to(expected, contexts, np.linspace(0.4, 0.9, streams))
        so_far.add_to(expected, said, PULL, 0.5)
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, rtol=1e-5)
    assert exact.max() > 0.1
