"""The n-gram model of a text, against the formulas of Chen & Goodman 1998 written down plainly.

What is here is dictionaries and float64, one gram at a time, and shares no line with the library.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlstm.model.recall.counting import count_levels
from charlstm.model.recall.ngram import NGram

EXACT = 1e-9
DATA = Path(__file__).parent.parent / "data"

Gram = tuple[int, ...]


class Plain:
    """A modified Kneser-Ney model in dictionaries."""

    def __init__(
        self, text: Sequence[int], order: int, end: int | None, predicted: Sequence[int]
    ) -> None:
        self.end, self.predicted = end, set(predicted)
        times = [self.grams(text, length) for length in range(1, order + 1)]
        while not times[-1]:
            times.pop()
        self.order = len(times)
        # For all but the longest: how many different characters stand before a gram. Where none
        # ever does, at the beginning of a song or of the text, how often it comes.
        self.counts: list[dict[Gram, int]] = []
        for length, counted in enumerate(times, start=1):
            before: dict[Gram, set[int]] = defaultdict(set)
            for gram in times[length] if length < self.order else ():
                before[gram[1:]].add(gram[0])
            self.counts.append({gram: len(before[gram]) or counted[gram] for gram in counted})
        self.after: dict[Gram, dict[int, int]] = defaultdict(dict)
        for counts in self.counts:
            for gram, n in counts.items():
                self.after[gram[:-1]][gram[-1]] = n
        self.discounts = [self.discounts_of(Counter(counts.values())) for counts in self.counts]

    def grams(self, text: Sequence[int], length: int) -> Counter[Gram]:
        """Count the grams of a length: of a song, with the mark before it, or the mark after it."""
        cuts = (tuple(text[at : at + length]) for at in range(len(text) - length + 1))
        return Counter(gram for gram in cuts if self.end not in gram[1:-1] or self.end is None)

    @staticmethod
    def discounts_of(n: Counter[int]) -> list[float]:
        """Return D1, D2 and D3+: section 2.4.5 of the paper."""
        found = []
        for j in (1, 2, 3):
            estimate = 0.0
            if n[1] and n[j]:
                Y = n[1] / (n[1] + 2 * n[2])
                estimate = j - (j + 1) * Y * n[j + 1] / n[j]
            found.append(estimate if 0 < estimate < j else j / 2)
        return found

    def probability(self, context: Gram, w: int) -> float:
        """Return p(w | context)."""
        if context:
            lower = self.probability(context[1:], w)
        else:
            lower = 1 / len(self.predicted) if w in self.predicted else 0.0
        if context not in self.after:
            return lower
        after, D = self.after[context], self.discounts[len(context)]
        total = sum(after.values())
        gamma = sum(D[min(n, 3) - 1] for n in after.values()) / total
        n = after.get(w, 0)
        return (n - D[min(n, 3) - 1] if n else 0.0) / total + gamma * lower

    def context(self, read: Sequence[int]) -> Gram:
        """Return the characters that are looked at: no more than a song, and its mark."""
        context = tuple(read[max(len(read) - self.order + 1, 0) :])
        if self.end in context:
            context = context[max(k for k, one in enumerate(context) if one == self.end) :]
        return context


def model_of(
    text: Sequence[int],
    V: int,  # noqa: N803
    order: int,
    end: int | None = None,
    never: Sequence[int] = (),
    dtype: type[np.floating] = np.float64,
) -> NGram:
    unpredicted = np.isin(np.arange(V), never) if never else None
    levels = count_levels(np.array(text), V, order=order, end=end, dtype=dtype)
    return NGram(levels, V, end, unpredicted)


def plain_of(
    text: Sequence[int],
    V: int,  # noqa: N803
    order: int,
    end: int | None = None,
    never: Sequence[int] = (),
) -> Plain:
    return Plain(text, order, end, [w for w in range(V) if w not in never])


def distributions(model: NGram, text: Sequence[int]) -> NDArray[np.float64]:
    """Return what is expected before each character of a text, and after all: ``[N + 1, V]``."""
    contexts = model.start()
    found = [model.expected(contexts)[0]]
    for character in text:
        likely = model.step(contexts, [character])
        np.testing.assert_allclose(likely, found[-1][character], rtol=0, atol=EXACT)
        found.append(model.expected(contexts)[0])
    return np.array(found)


END = 2
TEXTS = st.lists(st.integers(0, 4), min_size=1, max_size=60)
# As songs are: the mark is rare, and there is one at the head.
SONGS = st.lists(st.lists(st.sampled_from([0, 1, 3, 4]), max_size=15), min_size=1, max_size=5).map(
    lambda songs: [END, *(one for song in songs for one in (*song, END))]
)


def check(text: Sequence[int], other: Sequence[int], order: int, end: int | None) -> None:
    """Hold a model of `text` to the formulas, over `other`."""
    V, never = 7, (5,)  # 6 is never read, and predicted; 5 neither
    model, plain = model_of(text, V, order, end, never), plain_of(text, V, order, end, never)
    assert model.order == plain.order
    found = distributions(model, other)
    for at, expected in enumerate(found):
        context = plain.context(other[:at])
        wanted = [plain.probability(context, w) for w in range(V)]
        np.testing.assert_allclose(expected, wanted, rtol=0, atol=EXACT)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=EXACT)
    assert not found[:, 5].any()
    assert (found[:, 6] > 0).all()
    one_by_one = found[np.arange(1, len(other)), other[1:]]
    at_once = model.probabilities(np.array(other))
    np.testing.assert_allclose(at_once, one_by_one, rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(TEXTS, TEXTS, st.integers(1, 5))
def test_a_text_of_one_piece_is_expected_as_the_formulas_say(
    text: list[int], other: list[int], order: int
) -> None:
    check(text, other, order, None)
    check(text, text, order, None)


@settings(max_examples=40)
@given(SONGS, SONGS, st.integers(1, 5))
def test_songs_are_expected_as_the_formulas_say(
    text: list[int], other: list[int], order: int
) -> None:
    check(text, other, order, END)
    check(text, text, order, END)


@settings(max_examples=20)
@given(TEXTS, TEXTS, st.integers(1, 5))
def test_marks_in_any_place_are_no_harm(text: list[int], other: list[int], order: int) -> None:
    check(text, other, order, END)


@pytest.mark.parametrize("end", [None, 0])
def test_the_discounts_of_a_language_are_those_of_the_formulas(end: int | None) -> None:
    lyrics = (DATA / "lyrics_en.txt").read_text(encoding="utf-8")[:3_000]
    characters = sorted(set(lyrics))  # of which the line break is the first
    V, text = len(characters), [characters.index(one) for one in lyrics]
    plain, model = plain_of(text, V, 4, end), model_of(text, V, 4, end)
    for D in plain.discounts[2:]:
        assert 0 < D[0] < D[1] < D[2]
        assert D != [0.5, 1.0, 1.5]  # they were estimated
    other = text[:20] + np.random.default_rng(4).integers(0, V, size=10).tolist()
    for at, expected in enumerate(distributions(model, other)):
        wanted = [plain.probability(plain.context(other[:at]), w) for w in range(V)]
        np.testing.assert_allclose(expected, wanted, rtol=0, atol=EXACT)


def test_no_gram_reaches_across_the_mark() -> None:
    # After "0 1" there always comes the mark, and then 3.
    model = model_of([END, 3, 0, 1, END, 3, 0, 1, END, 3, 4, 0, END], 5, 4, END)
    contexts = model.start(2)
    for first, second in ((0, 4), (1, 4), (END, END)):
        model.step(contexts, [first, second])
    after_one, after_other = model.expected(contexts)
    np.testing.assert_array_equal(after_one, after_other)
    assert after_one.argmax() == 3


@settings(max_examples=20)
@given(SONGS, st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=20))
def test_streams_side_by_side_are_expected_as_each_alone(
    text: list[int], rows: list[list[int]]
) -> None:
    model = model_of(text, 6, 4, END)
    contexts = model.start(3)
    for row in rows:
        model.step(contexts, row)
    taken = contexts.take([2, 0, 0])
    before = model.expected(contexts)
    for stream in range(3):
        alone = distributions(model, [row[stream] for row in rows])[-1]
        np.testing.assert_allclose(before[stream], alone, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model.expected(taken), before[[2, 0, 0]])
    np.testing.assert_allclose(model.of_end(contexts), before[:, END], rtol=0, atol=1e-12)
    model.step(taken, [0, 1, 3])
    np.testing.assert_array_equal(model.expected(contexts), before)


@settings(max_examples=20)
@given(TEXTS, TEXTS)
def test_how_likely_one_character_is_is_told_at_every_place(
    text: list[int], read: list[int]
) -> None:
    model = model_of(text, 6, 4, END)
    ids = np.array([*read, 0])
    every = distributions(model, ids.tolist())
    for character in (0, END):
        found = model.probabilities(ids, character)
        expected = [row[character] for row in every[1 : len(ids)]]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model_of(text, 6, 4).of_end(model.start(2)), [0, 0])


@settings(max_examples=20)
@given(TEXTS, TEXTS)
def test_where_a_stream_stands_depends_on_its_last_characters_alone(
    text: list[int], read: list[int]
) -> None:
    model = model_of(text, 6, 4)
    long, short = distributions(model, read), distributions(model, read[-3:])
    np.testing.assert_array_equal(long[-1], short[-1])


def test_float32_is_as_near_as_it_can_be() -> None:
    text = np.random.default_rng(5).integers(0, 9, size=900).tolist()
    exact, short = (model_of(text, 9, 5, dtype=kind) for kind in (np.float64, np.float32))
    near, exactly = short.probabilities(np.array(text)), exact.probabilities(np.array(text))
    np.testing.assert_allclose(near, exactly, rtol=0, atol=1e-6)
    np.testing.assert_allclose(distributions(short, text[:99]).sum(axis=1), 1, rtol=0, atol=1e-6)


def test_of_too_many_grams_the_longest_are_left_out() -> None:
    text = np.random.default_rng(6).integers(0, 9, size=900)
    sizes = [len(level.symbols) for level in count_levels(text, 9, order=5)]
    assert len(sizes) == 5
    for most, order in ((10**9, 5), (sum(sizes), 5), (sum(sizes) - 1, 4), (sizes[0], 1), (0, 1)):
        levels = count_levels(text, 9, order=5, most=most, dtype=np.float64)
        assert len(levels) == order
        # What is the longest then is counted as often as it comes.
        shorter = count_levels(text, 9, order=order, dtype=np.float64)
        np.testing.assert_array_equal(levels[-1].shares, shorter[-1].shares)
