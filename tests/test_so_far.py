"""The song so far, against its formula written down plainly: one context at a time."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlstm.model.recall.fitting import fit_pull
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.so_far import Pull, Said, SoFar, follow, gathered

EXACT = 1e-9
V, END = 6, 2

# A different one for each length, so that no two can be taken for each other.
PULL = Pull(0.37, tuple(40 / (1 + k) + 0.1 * k for k in range(len(LENGTHS))))

Real = NDArray[np.float64]


def plain(
    read: Sequence[int],
    expected: Sequence[float],
    *,
    pull: Pull = PULL,
    end: int | None = END,
    reach: int = 1000,
) -> Real:
    """Return what is expected after a text, by what is expected without its last song."""
    begin = 0
    if end is not None and end in read:
        begin = max(at for at, one in enumerate(read) if one == end) + 1
    p = {w: float(expected[w]) for w in range(len(expected))}
    now = len(read)
    for length, strength in zip(LENGTHS, pull.pulls, strict=True):
        if now - length < begin:
            break
        context = read[now - length : now]
        n = Counter(
            read[at]
            for at in range(max(begin + length, now - reach), now)
            if read[at - length : at] == context
        )
        if not n:
            break
        T, U, D = n.total(), len(n), pull.discount
        p = {
            w: (max(n[w] - D, 0.0) * (n[w] > 0) + (strength + D * U) * p[w]) / (T + strength)
            for w in p
        }
    return np.array([p[w] for w in range(len(expected))])


def without(rng: np.random.Generator, streams: int = 1) -> Real:
    """Return some distributions that are expected without the song."""
    return np.asarray(rng.dirichlet(np.ones(V), size=streams))


# Two characters and a rare mark: contexts of 20 characters come again.
TEXTS = st.lists(st.sampled_from([0, 0, 0, 1, 1, 4]), max_size=12).flatmap(
    lambda verse: st.lists(
        st.sampled_from([*[verse] * 4, [END], [3], [5], [0, 1]]), min_size=1, max_size=9
    ).map(lambda verses: [one for verse in verses for one in verse] or [0])
)
REACHES = st.sampled_from([1, 2, 3, 7, 25, 1000])


@settings(max_examples=60)
@given(TEXTS, REACHES, st.booleans())
def test_every_character_is_expected_as_the_formula_says(
    text: list[int], reach: int, songs: bool
) -> None:
    end = END if songs else None
    so_far = SoFar(V, end, reach)
    rng = np.random.default_rng(len(text))
    said = so_far.start()
    for at, character in enumerate(text):
        so_far.step(said, [character])
        expected = without(rng)
        wanted = plain(text[: at + 1], expected[0], end=end, reach=reach)
        so_far.add_to(expected, said, PULL)
        np.testing.assert_allclose(expected[0], wanted, rtol=0, atol=EXACT)
        assert expected.sum() == pytest.approx(1, abs=EXACT)


@settings(max_examples=60)
@given(TEXTS, REACHES, st.booleans())
def test_a_whole_text_is_measured_as_it_is_read_one_by_one(
    text: list[int], reach: int, songs: bool
) -> None:
    text = [*text, 0]
    end = END if songs else None
    expected = without(np.random.default_rng(len(text)), len(text) - 1)
    keep, add = follow(SoFar(V, end, reach), np.array(text)).weigh(PULL)
    assert keep.shape == add.shape == (len(text) - 1,)
    for at, character in enumerate(text[1:], start=1):
        wanted = plain(text[:at], expected[at - 1], end=end, reach=reach)[character]
        found = keep[at - 1] * expected[at - 1][character] + add[at - 1]
        assert found == pytest.approx(wanted, abs=EXACT)


def long_text() -> list[int]:
    """Return songs with refrains longer than the longest context, and one that has none."""
    rng = np.random.default_rng(9)
    refrain = rng.integers(3, V, size=50).tolist()
    text: list[int] = []
    for song in range(4):
        for _ in range(3):
            verse = rng.choice([0, 1, 3, 4, 5], size=30).tolist()
            text += verse + (refrain if song else [])
        text.append(END)
    return text


def test_refrains_longer_than_the_longest_context_are_counted_as_the_formula_says() -> None:
    text = long_text()
    so_far, said = SoFar(V, END), SoFar(V, END).start()
    expected = without(np.random.default_rng(1), len(text))
    for at, character in enumerate(text):
        so_far.step(said, [character])
        wanted = plain(text[: at + 1], expected[at])
        now = expected[at : at + 1].copy()
        so_far.add_to(now, said, PULL)
        np.testing.assert_allclose(now[0], wanted, rtol=0, atol=EXACT)


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from([0, 0, 1, END]), min_size=3, max_size=3), max_size=40))
def test_streams_side_by_side_are_each_as_it_would_be_alone(rows: list[list[int]]) -> None:
    so_far = SoFar(V, END, reach=25)
    said = so_far.start(3)
    for row in rows:
        so_far.step(said, row)
    expected = without(np.random.default_rng(2), 3)
    wanted = [
        plain([row[stream] for row in rows], expected[stream], reach=25) for stream in range(3)
    ]
    moved = expected.copy()
    so_far.add_to(moved, said, PULL)
    np.testing.assert_allclose(moved, wanted, rtol=0, atol=EXACT)

    # Taken in another order, and gathered from two places: the same, and independent.
    order = [2, 0, 0]
    for other in (
        said.take(order),
        gathered([(said, 2), (said.take([0]), 0), (said.take([1, 0]), 1)]),
    ):
        again = expected[order].copy()
        so_far.add_to(again, other, PULL)
        np.testing.assert_allclose(again, moved[order], rtol=0, atol=EXACT)
        so_far.step(other, [1, END, 0])
        again = expected.copy()
        so_far.add_to(again, said, PULL)
        np.testing.assert_array_equal(again, moved)
        reads = [[row[stream] for row in rows] for stream in order]
        later = expected.copy()
        so_far.add_to(later, other, PULL)
        for stream, last in enumerate((1, END, 0)):
            after = plain([*reads[stream], last], expected[stream], reach=25)
            np.testing.assert_allclose(later[stream], after, rtol=0, atol=EXACT)


def test_streams_of_different_moments_stand_side_by_side() -> None:
    so_far = SoFar(V, END)
    reads: list[list[int]] = [[0, 1, 0, 1], [4], [], [0, 1, END], [0, 1, END, 3, 3]]
    remembered: list[tuple[Said, int]] = []
    for read in reads:
        said = so_far.start()
        for character in read:
            so_far.step(said, [character])
        remembered.append((said, 0))
    together = gathered(remembered)
    expected = without(np.random.default_rng(3), len(reads))
    found = expected.copy()
    so_far.add_to(found, together, PULL)
    for stream, read in enumerate(reads):
        wanted = plain(read, expected[stream])
        np.testing.assert_allclose(found[stream], wanted, rtol=0, atol=EXACT)


@settings(max_examples=30)
@given(TEXTS, st.sampled_from([3, 7, 25]))
def test_what_is_updated_is_what_is_built_anew_from_all_that_counts(
    text: list[int], reach: int
) -> None:
    so_far = SoFar(V, None, reach)
    said, anew = so_far.start(), so_far.start()
    for character in text:
        so_far.step(said, [character])
    # What followed further back than it reaches does not count, but is context still.
    for character in text[-reach - LENGTHS[-1] :]:
        so_far.step(anew, [character])
    expected = without(np.random.default_rng(4))
    found, built = expected.copy(), expected.copy()
    so_far.add_to(found, said, PULL)
    so_far.add_to(built, anew, PULL)
    np.testing.assert_allclose(found, built, rtol=0, atol=1e-12)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_of_the_difference_a_part_is_made(strength: float) -> None:
    so_far, said = SoFar(V, END), SoFar(V, END).start()
    for character in [0, 1, 3, 0, 1, 3, 0, 1]:
        so_far.step(said, [character])
    expected = without(np.random.default_rng(5))
    whole, part = expected.copy(), expected.copy()
    so_far.add_to(whole, said, PULL)
    so_far.add_to(part, said, PULL, strength)
    np.testing.assert_allclose(part, expected + strength * (whole - expected), atol=1e-12)


def test_with_the_end_of_a_song_everything_is_forgotten() -> None:
    so_far, said = SoFar(V, END), SoFar(V, END).start(2)
    for row in ([0, 0], [1, 1], [0, END]):
        so_far.step(said, row)
    expected = without(np.random.default_rng(6), 2)
    found = expected.copy()
    so_far.add_to(found, said, PULL)
    np.testing.assert_array_equal(found[1], expected[1])
    assert np.abs(found[0] - expected[0]).max() > 0.01


@settings(max_examples=40)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.floats(0, 1), st.floats(0, 1))
def test_a_song_does_not_put_off_its_end(
    texts: list[list[int]], ending: float, strength: float
) -> None:
    so_far = SoFar(V, END)
    streams = []
    for text in texts:
        said = so_far.start()
        for character in text:
            so_far.step(said, [character])
        streams.append((said, 0))
    many, chances = gathered(streams), np.full(len(texts), ending)
    before = without(np.random.default_rng(len(texts)), len(texts))
    found, apart = before.copy(), before.copy()
    so_far.add_to(found, many, PULL, strength, chances)
    so_far.add_to(apart, many, PULL, strength)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=EXACT)
    # What the end alone keeps says how much of everything is kept.
    kept = 1 - (before[:, END] - apart[:, END]) / before[:, END]
    np.testing.assert_allclose(
        found[:, END], kept * before[:, END] + (1 - kept) * ending, rtol=0, atol=EXACT
    )
    others = [one for one in range(V) if one != END]
    expected = kept[:, None] * before + (1 - ending) * (apart - kept[:, None] * before)
    np.testing.assert_allclose(found[:, others], expected[:, others], rtol=0, atol=EXACT)


# How strongly a text holds to what it expects.


def songs_of(refrain: bool) -> NDArray[np.int64]:
    """Return 25 songs of three verses; with a refrain after each, or a verse that is new."""
    rng = np.random.default_rng(7)
    text = [0]
    for _ in range(25):
        chorus = rng.integers(1, 30, size=40)
        for _ in range(3):
            text += rng.integers(1, 30, size=40).tolist()
            text += (chorus if refrain else rng.integers(1, 30, size=40)).tolist()
        text.append(0)
    return np.array(text)


def gain(ids: NDArray[np.int64], pull: Pull) -> float:
    """Return how many nats a character the song so far saves, where all are equally likely."""
    keep, add = follow(SoFar(30, 0), ids).weigh(pull)
    return float(np.log((keep / 30 + add) * 30).mean())


def test_how_much_songs_repeat_is_found_on_them() -> None:
    with_refrain, without_any = songs_of(True), songs_of(False)
    shuffled = with_refrain.copy()
    np.random.default_rng(8).shuffle(shuffled[1:-1])
    texts = (with_refrain, without_any, shuffled)
    strong, weak, weakest = (fit_pull(ids, 30, order=3, end=0) for ids in texts)
    for pull in (strong, weak, weakest):
        assert 0 <= pull.discount < 1
        assert len(pull.pulls) == len(LENGTHS)
        assert all(number > 0 for number in pull.pulls)
    # A third of its characters are all but certain: ln 30 each.
    assert gain(with_refrain, strong) > 0.25 * np.log(30)
    assert abs(gain(without_any, weak)) < 0.02
    assert abs(gain(shuffled, weakest)) < 0.02
    assert gain(with_refrain, weak) < gain(with_refrain, strong)
    assert gain(without_any, strong) < gain(without_any, weak) + 1e-6


@pytest.mark.parametrize("length", range(1, 30))
@pytest.mark.parametrize("end", [None, 0])
def test_a_text_of_any_size_has_a_pull(length: int, end: int | None) -> None:
    ids = np.arange(length) * 7 % 5
    pull = fit_pull(ids, 5, order=5, end=end)
    assert all(map(np.isfinite, (pull.discount, *pull.pulls)))
