from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError, count
from charlstm.text.vocabulary import Ids
from charlstm.training.batches import FEWEST_CHARACTERS, Window, Windows, fit

SAMPLINGS = ("consecutive", "songs", "random")
LAYOUTS = ("even", "whole", "offset")

quick = settings(deadline=None, max_examples=60)


class Size(NamedTuple):
    characters: int
    batch: int
    window: int


# Every size that `fit` lets through, down to a text that the batch barely fills.
SIZES = st.builds(
    lambda batch, window, more: Size(batch * window + more, batch, window),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 70),
)


def places(characters: int) -> Ids:
    """Return a text whose ids are their own places in it."""
    return np.arange(characters, dtype=np.uint16)


def windows(size: Size, sampling: str, seed: int = 0, layout: str = "even") -> Windows:
    return Windows(
        places(size.characters),
        batch=size.batch,
        window=size.window,
        sampling=sampling,
        seed=seed,
        layout=layout,
    )


def inputs(yielded: list[Window]) -> list[list[list[int]]]:
    return [window.inputs.tolist() for window in yielded]


@quick
@given(SIZES, st.sampled_from(SAMPLINGS), st.integers(0, 3), st.sampled_from(LAYOUTS))
def test_a_window_is_a_piece_of_the_text_in_each_column_and_its_targets_come_one_later(
    size: Size, sampling: str, number: int, layout: str
) -> None:
    source = windows(size, sampling, layout=layout)
    yielded = list(source.epoch(number))
    assert len(yielded) == source.steps > 0
    for window in yielded:
        length, batch = window.inputs.shape
        assert batch == size.batch
        assert 1 <= length <= size.window
        assert window.inputs.dtype == window.targets.dtype == torch.int64
        assert torch.equal(window.targets, window.inputs + 1)
        assert torch.equal(window.inputs, window.inputs[0] + torch.arange(length)[:, None])
        assert window.inputs.min() >= 0
        assert window.targets.max() < size.characters


@quick
@given(SIZES, st.sampled_from(LAYOUTS), st.integers(0, 3))
def test_consecutive_windows_continue_each_other_column_by_column(
    size: Size, layout: str, number: int
) -> None:
    yielded = list(windows(size, "consecutive", layout=layout).epoch(number))
    for before, after in pairwise(yielded):
        assert torch.equal(after.inputs[0], before.targets[-1])


@quick
@given(SIZES)
def test_one_epoch_of_consecutive_windows_sees_every_place(size: Size) -> None:
    yielded = list(windows(size, "consecutive").epoch(0))
    read = torch.cat([window.inputs for window in yielded])
    assert set(read.flatten().tolist()) == set(range(size.characters - 1))
    # What is read twice are the joints of neighbouring rows, at most one character each.
    assert read.numel() - (size.characters - 1) < size.batch


@quick
@given(SIZES)
def test_consecutive_windows_are_as_few_as_can_be_and_as_even_as_can_be(size: Size) -> None:
    lengths = [len(window.inputs) for window in windows(size, "consecutive").epoch(0)]
    assert len(lengths) == -(-sum(lengths) // size.window)
    assert max(lengths) - min(lengths) <= 1


def in_the_first_edition(text: Ids, batch: int, window: int) -> list[list[list[int]]]:
    """Return the inputs of an epoch as the book's program makes them."""
    length = len(text) // batch
    rows = text[: batch * length].reshape(batch, length)
    epoch = range((length - 1) // window)
    return [rows[:, i * window : (i + 1) * window].T.tolist() for i in epoch]


def in_the_second_edition(text: Ids, batch: int, window: int, offset: int) -> list[list[list[int]]]:
    """Return the inputs of an epoch as the book's program makes them from an offset on."""
    many = (len(text) - offset - 1) // batch * batch
    rows = text[offset : offset + many].reshape(batch, -1)
    epoch = range(rows.shape[1] // window)
    return [rows[:, i * window : (i + 1) * window].T.tolist() for i in epoch]


@quick
@given(SIZES)
def test_whole_windows_are_those_of_the_first_edition_where_it_has_any(size: Size) -> None:
    yielded = inputs(list(windows(size, "consecutive", layout="whole").epoch(0)))
    book = in_the_first_edition(places(size.characters), size.batch, size.window)
    assert yielded == book or (not book and len(yielded) == 1)


@quick
@given(SIZES, st.integers(0, 3))
def test_windows_from_an_offset_are_those_of_the_second_edition(size: Size, number: int) -> None:
    source = windows(size, "consecutive", layout="offset")
    yielded = inputs(list(source.epoch(number)))
    offset = yielded[0][0][0]
    assert 0 <= offset <= size.window
    book = in_the_second_edition(places(size.characters), size.batch, size.window, offset)
    # Where an early offset would leave room for one more window, every epoch has as many steps.
    assert yielded == book[: source.steps]
    assert len(book) - source.steps <= 1
    assert source.characters(source.steps) == size.batch * size.window * source.steps


def test_an_epoch_of_the_books_has_eight_steps_and_the_second_begins_anywhere_in_a_window() -> None:
    for layout, steps in {"even": 9, "whole": 8, "offset": 8}.items():
        assert windows(Size(10_000, 32, 35), "consecutive", layout=layout).steps == steps
    source = windows(Size(10_000, 32, 35), "consecutive", seed=5, layout="offset")
    first = [int(next(source.epoch(number)).inputs[0, 0]) for number in range(1_000)]
    assert set(first) == set(range(36))


@quick
@given(SIZES, st.integers(0, 3))
def test_one_epoch_of_random_windows_sees_no_place_twice_and_passes_over_few(
    size: Size, number: int
) -> None:
    yielded = list(windows(size, "random").epoch(number))
    read = torch.cat([window.inputs.flatten() for window in yielded]).tolist()
    assert len(read) == len(set(read))
    assert all(window.inputs.shape == (size.window, size.batch) for window in yielded)
    # Less than one more window, and less than one more batch of them.
    assert size.characters - 1 - len(read) < size.window * (size.batch + 1)


@pytest.mark.parametrize("size", [Size(54, 4, 5), Size(21, 2, 9), Size(41, 4, 10)])
def test_random_windows_see_every_place_over_some_epochs(size: Size) -> None:
    source = windows(size, "random", seed=3)
    seen: set[int] = set()
    for number in range(100):
        for window in source.epoch(number):
            seen.update(window.inputs.flatten().tolist())
    assert seen == set(range(size.characters - 1))


@quick
@given(SIZES, st.sampled_from(SAMPLINGS))
def test_the_state_starts_anew_with_an_epoch_or_with_every_random_window(
    size: Size, sampling: str
) -> None:
    fresh = [window.fresh for window in windows(size, sampling).epoch(2)]
    if sampling == "random":
        assert all(fresh)
    else:
        assert fresh == [True] + [False] * (len(fresh) - 1)


@quick
@given(SIZES, st.sampled_from(SAMPLINGS), st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_an_epoch_is_a_function_of_the_seed_and_its_number(
    size: Size, sampling: str, seed: int, number: int
) -> None:
    used = windows(size, sampling, seed)
    for earlier in range(number):
        list(used.epoch(earlier))
    new = windows(size, sampling, seed)
    assert inputs(list(used.epoch(number))) == inputs(list(new.epoch(number)))


def test_every_seed_and_every_epoch_has_its_own_random_order() -> None:
    size = Size(1_000, 4, 5)
    orders = [
        inputs(list(windows(size, "random", seed).epoch(number)))
        for seed in range(4)
        for number in range(4)
    ]
    assert all(a != b for place, a in enumerate(orders) for b in orders[:place])


def test_consecutive_windows_come_in_the_same_order_in_every_epoch_and_for_every_seed() -> None:
    size = Size(1_000, 4, 5)
    first = inputs(list(windows(size, "consecutive", 1).epoch(0)))
    assert inputs(list(windows(size, "consecutive", 2).epoch(7))) == first


@quick
@given(SIZES, st.sampled_from(SAMPLINGS), st.data())
def test_starting_at_a_window_skips_those_before_it(
    size: Size, sampling: str, data: st.DataObject
) -> None:
    source = windows(size, sampling)
    start = data.draw(st.integers(0, source.steps))
    whole, rest = list(source.epoch(1)), list(source.epoch(1, start))
    assert inputs(rest) == inputs(whole[start:])
    assert [window.fresh for window in rest] == [window.fresh for window in whole[start:]]


@quick
@given(SIZES, st.sampled_from(SAMPLINGS))
def test_the_characters_of_some_steps_are_those_that_were_yielded(
    size: Size, sampling: str
) -> None:
    source = windows(size, sampling)
    assert source.characters(0) == 0
    read = steps = 0
    for number in range(3):
        for window in source.epoch(number):
            read += window.inputs.numel()
            steps += 1
            assert source.characters(steps) == read


# The songs of a text in another order.

# What stands before the first song, its songs, and what stands after the last one.
PARTED = st.tuples(
    st.integers(0, 4), st.lists(st.integers(1, 9), min_size=2, max_size=30), st.integers(1, 4)
).filter(lambda parts: parts[0] + sum(parts[1]) + parts[2] > 12)


def of_songs(
    parts: tuple[int, list[int], int], sampling: str = "songs", seed: int = 0
) -> tuple[Windows, list[tuple[int, ...]]]:
    """Return windows over such a text, whose ids are places, and its parts."""
    before, songs, after = parts
    joints = np.cumsum([0, before, *songs, after])
    ids = places(int(joints[-1]))
    source = Windows(ids, batch=2, window=5, sampling=sampling, seed=seed, ends=joints[1:-1])
    return source, [tuple(ids[a:b].tolist()) for a, b in pairwise(joints)]


def text_of(source: Windows, number: int) -> list[int]:
    """Return the text in the order in which an epoch reads it: row after row."""
    read = torch.cat([window.inputs for window in source.epoch(number)])
    last = list(source.epoch(number))[-1].targets[-1]
    characters = len(source.ids)
    text = np.full(characters, -1)
    for row, start in enumerate(np.arange(source.batch) * (characters - 1) // source.batch):
        text[start : start + len(read)] = read[:, row].numpy()
        text[start + len(read)] = last[row]
    return [int(place) for place in text]


@quick
@given(PARTED, st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_of_songs_reads_every_song_whole_and_each_once(
    parts: tuple[int, list[int], int], seed: int, number: int
) -> None:
    source, (before, *songs, after) = of_songs(parts, seed=seed)
    text = text_of(source, number)
    assert text[: len(before)] == list(before)
    assert text[len(text) - len(after) :] == list(after)
    by_first = {song[0]: song for song in songs}
    at, order = len(before), []
    while at < len(text) - len(after):
        song = by_first[text[at]]
        assert tuple(text[at : at + len(song)]) == song
        order.append(song)
        at += len(song)
    assert sorted(order) == songs


@quick
@given(PARTED, st.integers(0, 3))
def test_what_follows_a_character_in_reordered_songs_is_its_target(
    parts: tuple[int, list[int], int], number: int
) -> None:
    source, _ = of_songs(parts)
    text = text_of(source, number)
    following = dict(pairwise(text))
    for window in source.epoch(number):
        for read, target in zip(window.inputs.flatten(), window.targets.flatten(), strict=True):
            assert following[int(read)] == int(target)


def test_every_seed_and_every_epoch_has_its_own_order_of_songs() -> None:
    parts = (0, [7] * 40, 1)
    orders = [
        text_of(of_songs(parts, seed=seed)[0], number) for seed in range(3) for number in range(3)
    ]
    assert all(a != b for place, a in enumerate(orders) for b in orders[:place])
    assert text_of(of_songs(parts)[0], 1) == orders[1]
    late = list(of_songs(parts)[0].epoch(1, start=9))
    assert inputs(late) == inputs(list(of_songs(parts)[0].epoch(1)))[9:]


def test_only_songs_are_reordered_and_only_where_it_is_asked_for() -> None:
    parts = (0, [7] * 40, 1)
    plain = inputs(list(of_songs(parts, "consecutive")[0].epoch(3)))
    ids = of_songs(parts)[0].ids
    for ends in (None, np.empty(0, dtype=np.int64)):
        piece = Windows(ids, batch=2, window=5, sampling="songs", seed=0, ends=ends)
        assert inputs(list(piece.epoch(3))) == plain


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_ids_come_through_whatever_their_width(kind: type[np.unsignedinteger]) -> None:
    highest = int(np.iinfo(kind).max)
    ids = (highest - np.arange(101)).astype(kind)
    source = Windows(ids, batch=2, window=10, sampling="consecutive", seed=0)
    read = torch.cat([window.inputs for window in source.epoch(0)])
    assert read.T.flatten().tolist() == [highest - place for place in range(100)]


def test_the_rows_of_a_small_example_are_these() -> None:
    source = windows(Size(12, 3, 3), "consecutive")
    # 11 places to read in 3 rows of 4, which begin at 0, 3 and 7: the joint at 3 is read twice.
    first, second = source.epoch(0)
    assert first.inputs.T.tolist() == [[0, 1], [3, 4], [7, 8]]
    assert first.targets.T.tolist() == [[1, 2], [4, 5], [8, 9]]
    assert second.inputs.T.tolist() == [[2, 3], [5, 6], [9, 10]]
    assert second.targets.T.tolist() == [[3, 4], [6, 7], [10, 11]]


# Fitting.


@quick
@given(st.integers(FEWEST_CHARACTERS, 3_000), st.integers(1, 300), st.integers(1, 4_000))
def test_batch_and_window_shrink_no_more_than_they_must_and_the_batch_first(
    characters: int, batch: int, window: int
) -> None:
    fitted_batch, fitted_window = fit(characters, batch, window)
    readable = characters - 1  # the last character is a target only
    assert fitted_batch >= 1
    assert fitted_window >= 1
    assert fitted_batch * fitted_window <= readable
    assert fitted_window == (window if window <= readable else readable)
    assert fitted_batch == batch or (
        fitted_batch < batch and (fitted_batch + 1) * fitted_window > readable
    )


@pytest.mark.parametrize(
    ("asked", "fitted"),
    [
        ((1_001, 32, 31), (32, 31)),
        ((1_001, 32, 32), (31, 32)),
        ((1_001, 32, 501), (1, 501)),
        ((1_001, 32, 5_000), (1, 1_000)),
        ((100, 1, 99), (1, 99)),
    ],
)
def test_a_small_text_gets_the_batch_that_it_fills(
    asked: tuple[int, int, int], fitted: tuple[int, int]
) -> None:
    assert fit(*asked) == fitted


@pytest.mark.parametrize("characters", [0, 1, 99])
def test_a_text_that_is_too_small_to_learn_from_is_refused(characters: int) -> None:
    with pytest.raises(CorpusError) as caught:
        fit(characters, 1, 1)
    assert str(caught.value) == (
        f"The training text has {count(characters, 'character')}; at least 100 are needed "
        "(10,000 or more before it learns to spell). Add text, or hold out less with validation."
    )
