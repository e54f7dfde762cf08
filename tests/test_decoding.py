import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlstm.errors import RecipeError
from charlstm.model.cells import Array
from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import (
    Decoding,
    MaxCopy,
    NoLoops,
    NoRepeat,
    loop_period,
)
from charlstm.writing.drawer import Drawer, choose
from charlstm.writing.sampler import Sampler

DEAD_END = (
    "No character is left that may follow: no_repeat, max_copy or another processor has ruled "
    "out every one. Allow longer passages."
)
LETTERS = "分开不说我们 ，。abcé\n"
WORDS = Vocabulary.build(LETTERS)


def drawn_at_random(vocabulary: Vocabulary, seed: int, spread: float = 0.7) -> Sampler:
    """Return a model that is as sure of itself as one that has learned."""
    architecture = Architecture(hidden=12, embedding=5)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, spread, shape).astype(np.float32)
        for name, shape in architecture.parameter_shapes(len(vocabulary)).items()
    }
    return Sampler(Network(architecture, weights, len(vocabulary)), vocabulary)


def chain(text: str, unseen: float = 0.01) -> Sampler:
    """Return a model that has learned which character follows which in `text`, and nothing else."""
    vocabulary = Vocabulary.build(text)
    V = len(vocabulary)
    counts = np.full((V, V), unseen)
    ids = vocabulary.encode(text)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    weights = {
        # Saturated, so that the hidden state is the last character, one-hot.
        "recurrent.weight_ih_l0": 20 * np.eye(V, dtype=np.float32),
        "recurrent.weight_hh_l0": np.zeros((V, V), dtype=np.float32),
        "recurrent.bias_ih_l0": np.zeros(V, dtype=np.float32),
        "recurrent.bias_hh_l0": np.zeros(V, dtype=np.float32),
        "head.weight": np.log(counts / counts.sum(axis=1, keepdims=True)).T.astype(np.float32),
        "head.bias": np.zeros(V, dtype=np.float32),
    }
    return Sampler(Network(Architecture("rnn", V), weights, V), vocabulary)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return drawn_at_random(WORDS, seed=10)


# The draw itself.

# <unk> would be likelier than all of them together.
SHARES = np.array([5.0, 0.3, 0.05, 0.5, 0.15])


def shares_drawn(logits: Array, decoding: Decoding, draws: int = 2000) -> dict[int, float]:
    """Return each character's share of what uniform numbers, evenly spread, lead to."""
    uniforms = (np.arange(draws) + 0.5) / draws
    drawer = Drawer(decoding, len(logits), draws)
    found = drawer.all(np.tile(logits, (draws, 1)), uniforms).tolist()
    single = Drawer(decoding, len(logits))
    assert [single.one(logits.copy()[None], uniform) for uniform in uniforms[::100]] == found[::100]
    return {character: count / draws for character, count in Counter(found).items()}


@pytest.mark.parametrize("temperature", [0, 1e-3, 1e-10, 1e-38, 1e-40, 1e-50, 1e-300, 5e-324])
def test_a_tiny_temperature_is_greedy_and_does_not_overflow(temperature: float) -> None:
    decoding = Decoding(temperature)
    rng = np.random.default_rng(3)
    logits = (50 * rng.permuted(np.tile(np.arange(40), (20, 1)), axis=1)).astype(np.float32)
    likeliest = (1 + logits[:, 1:].argmax(axis=1)).tolist()
    assert [choose(row, decoding, rng) for row in logits] == likeliest
    found = Drawer(decoding, 40, 20).all(logits.copy(), rng.random(20))
    assert found.tolist() == likeliest


def test_the_highest_temperature_comes_near_to_chance() -> None:
    logits = np.array([50, 3, 2, 1, 0], dtype=np.float32)
    rng = np.random.default_rng(1)
    found = Counter(choose(logits, Decoding(temperature=100), rng) for _ in range(4000))
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(count - 1000) < 140 for count in found.values())


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1}])
def test_keeping_only_the_likeliest_is_greedy(sampler: Sampler, cut: dict[str, Any]) -> None:
    greedy = Decoding(0, allow_loops=True)
    expected = sampler.generate("分开", length=25, decoding=greedy)
    decoding = Decoding(1.5, allow_loops=True, **cut)
    for seed in range(3):
        assert sampler.generate("分开", length=25, decoding=decoding, seed=seed) == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_choices_are_as_frequent_as_the_softmax_says(temperature: float) -> None:
    logits = np.array([9.0, 1.0, -0.5, 0.3, 2.0, -1.0], dtype=np.float32)
    weights = [math.exp(logit / temperature) for logit in logits[1:].tolist()]
    rng = np.random.default_rng(7)
    draws = 10_000
    found = Counter(choose(logits, Decoding(temperature), rng) for _ in range(draws))
    assert found[0] == 0
    expected = [draws * weight / sum(weights) for weight in weights]
    distance = sum(
        (found[place] - count) ** 2 / count for place, count in enumerate(expected, start=1)
    )
    # Chi-square with four degrees of freedom is above this once in a hundred thousand times.
    assert distance < 28.5


@pytest.mark.parametrize(
    ("decoding", "kept"),
    [
        (Decoding(1.0, top_k=2), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_k=3), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, top_k=99), {3: 0.5, 1: 0.3, 4: 0.15, 2: 0.05}),
        (Decoding(1.0, top_p=0.4), {3: 1.0}),
        (Decoding(1.0, top_p=0.7), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_p=0.9), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, top_p=0.999), {3: 0.5, 1: 0.3, 4: 0.15, 2: 0.05}),
        # The nucleus is one of what top-k left: 0.6 of 0.8 is 0.48.
        (Decoding(1.0, top_k=2, top_p=0.6), {3: 1.0}),
        # Temperature comes first: at 1/2 the shares are those of the squares.
        (Decoding(0.5, top_p=0.9), {3: 2500 / 3400, 1: 900 / 3400}),
        # The likeliest has 0.5; the others are 0.6, 0.3 and 0.1 times as likely.
        (Decoding(1.0, min_p=0.09), {3: 0.5, 1: 0.3, 4: 0.15, 2: 0.05}),
        (Decoding(1.0, min_p=0.11), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, min_p=0.29), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, min_p=0.31), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, min_p=0.61), {3: 1.0}),
        # At 1/2 they are 0.36, 0.09 and 0.01 times as likely; at 2, 0.77, 0.55 and 0.32.
        (Decoding(0.5, min_p=0.31), {3: 2500 / 3400, 1: 900 / 3400}),
        (Decoding(0.5, min_p=0.37), {3: 1.0}),
        (
            Decoding(2.0, min_p=0.33),
            {
                3: 50**0.5 / (50**0.5 + 30**0.5 + 15**0.5),
                1: 30**0.5 / (50**0.5 + 30**0.5 + 15**0.5),
                4: 15**0.5 / (50**0.5 + 30**0.5 + 15**0.5),
            },
        ),
        # Whichever cuts off more decides.
        (Decoding(1.0, top_k=2, min_p=0.29), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_k=3, min_p=0.31), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_p=0.7, min_p=0.29), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_p=0.9, min_p=0.61), {3: 1.0}),
    ],
)
def test_top_k_top_p_and_min_p_keep_the_likeliest_in_their_proportions(
    decoding: Decoding, kept: dict[int, float]
) -> None:
    found = shares_drawn(np.log(SHARES).astype(np.float32), decoding)
    assert found == {character: pytest.approx(share, abs=1e-3) for character, share in kept.items()}


def test_min_p_keeps_all_that_are_as_likely_as_the_likeliest() -> None:
    logits = np.array([9, 2, 1, 2, 2], dtype=np.float32)
    assert set(shares_drawn(logits, Decoding(1.3, min_p=1.0))) == {1, 3, 4}


def test_what_is_ruled_out_is_not_the_likeliest_that_min_p_compares_with() -> None:
    logits = np.log(SHARES).astype(np.float32)
    logits[3] = -np.inf
    # Beside 0.3, 0.15 is half as likely; beside the 0.5 ruled out it would be 0.3 times.
    found = shares_drawn(logits, Decoding(1.0, min_p=0.4))
    assert found == {1: pytest.approx(30 / 45, abs=1e-3), 4: pytest.approx(15 / 45, abs=1e-3)}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([2, 5, 32, 33, 64, 100]),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([0, 1, 3, 40]),
    st.sampled_from([1.0, 0.9, 0.3]),
    st.sampled_from([0.0, 0.05, 0.7]),
)
def test_a_draw_inverts_the_cumulative_distribution_of_what_the_settings_keep(
    seed: int, size: int, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, size).astype(np.float32)
    logits[rng.random(size) < 0.3] = -np.inf
    logits[0], logits[-1] = 30, 0
    weights = {
        place: math.exp(float(logits[place]) / temperature)
        for place in range(1, size)
        if logits[place] > -np.inf
    }
    falling = sorted(weights, key=lambda place: -weights[place])[: top_k or None]
    total, kept = sum(weights[place] for place in falling), set[int]()
    reached = 0.0
    for place in falling:
        if reached < top_p * total and weights[place] >= min_p * weights[falling[0]]:
            kept.add(place)
        reached += weights[place]

    uniforms = np.concatenate(([0.0, 1 - 2**-53], rng.random(30)))
    decoding = Decoding(temperature, top_k, top_p, min_p)
    rows = np.tile(logits, (len(uniforms), 1))
    together = Drawer(decoding, size, len(uniforms)).all(rows, uniforms)
    single = Drawer(decoding, size)
    alone = [single.one(logits.copy()[None], uniform) for uniform in uniforms]
    left = sum(weights[place] for place in kept)
    for character, uniform in zip(
        [*together.tolist(), *alone], [*uniforms, *uniforms], strict=True
    ):
        assert character in kept
        below = sum(weights[place] for place in kept if place < character)
        assert below - 1e-5 * left <= uniform * left
        assert uniform * left <= below + weights[character] + 1e-5 * left


def test_choosing_leaves_the_logits_as_they_were() -> None:
    logits = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    choose(logits, Decoding(0.5, top_k=1, top_p=0.5, min_p=0.5), np.random.default_rng(1))
    assert logits.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be a number from 0 to 100, not -0.1."),
        ({"temperature": 101}, "temperature must be a number from 0 to 100, not 101."),
        ({"temperature": math.nan}, "temperature must be a number from 0 to 100, not nan."),
        ({"temperature": math.inf}, "temperature must be a number from 0 to 100, not inf."),
        ({"top_k": -1}, "top_k must be a whole number from 0 up, not -1."),
        ({"top_k": 2.5}, "top_k must be a whole number from 0 up, not 2.5."),
        ({"top_p": 0}, "top_p must be a number above 0 and at most 1, not 0."),
        ({"top_p": 1.1}, "top_p must be a number above 0 and at most 1, not 1.1."),
        ({"top_p": math.nan}, "top_p must be a number above 0 and at most 1, not nan."),
        ({"min_p": -0.1}, "min_p must be a number from 0 to 1, not -0.1."),
        ({"min_p": 1.1}, "min_p must be a number from 0 to 1, not 1.1."),
        ({"min_p": math.nan}, "min_p must be a number from 0 to 1, not nan."),
        ({"no_repeat": -1}, "no_repeat must be a whole number from 0 up, not -1."),
        ({"no_repeat": 2.5}, "no_repeat must be a whole number from 0 up, not 2.5."),
    ],
)
def test_a_decoding_out_of_its_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Decoding(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_where_every_character_is_ruled_out_is_a_dead_end(temperature: float) -> None:
    decoding = Decoding(temperature)
    # <unk> is not ruled out, but it is never written.
    dead = np.array([3, *[-np.inf] * 4], dtype=np.float32)
    alive = np.arange(5, dtype=np.float32)
    with pytest.raises(RecipeError) as caught:
        choose(dead, decoding, np.random.default_rng(1))
    assert str(caught.value) == DEAD_END
    with pytest.raises(RecipeError) as caught:
        Drawer(decoding, 5, 2).all(np.stack([alive, dead]), np.array([0.5, 0.5]))
    assert str(caught.value) == DEAD_END


# What may not be written again.


def ruled_out(process: Callable[[str, Array], None], written: str, vocabulary: Vocabulary) -> str:
    """Return the characters that `process` rules out, having checked that it changes no other."""
    logits = np.random.default_rng(1).normal(0, 2, len(vocabulary)).astype(np.float32)
    before = logits.copy()
    process(written, logits)
    out = logits == -np.inf
    np.testing.assert_array_equal(logits[~out], before[~out])
    return "".join(sorted(vocabulary.decode(np.flatnonzero(out))))


def repeated(text: str, n: int, after: int = 0) -> list[str]:
    """Return the n-grams that end behind the first `after` characters and stood there before."""
    return [
        text[end - n : end]
        for end in range(max(n, after + 1), len(text) + 1)
        if text[end - n : end] in text[: end - 1]
    ]


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=25), st.integers(1, 6))
@example("", 1)
@example("aaa", 3)
def test_no_repeat_rules_out_what_would_stand_there_twice_and_nothing_else(
    written: str, n: int
) -> None:
    abcd = Vocabulary.build("abcd")
    expected = [c for c in "abcd" if repeated(written + c, n, len(written))]
    assert ruled_out(NoRepeat(n, abcd), written, abcd) == "".join(expected)


def test_what_nobody_asked_for_gives_way_where_nothing_else_is_left() -> None:
    ab = Vocabulary.build("ab")
    every = "".join("".join(five) for five in itertools.product("ab", repeat=5))
    asked, unasked = (Decoding(no_repeat=n).processors(ab, line=8)[0] for n in (5, 0))
    assert (ruled_out(asked, every, ab), ruled_out(unasked, every, ab)) == ("ab", "")
    # Where something is left, both rule out the same.
    assert ruled_out(asked, "aaaab aaaa", ab) == ruled_out(unasked, "aaaab aaaa", ab) == "b"


@pytest.mark.parametrize("temperature", [0, 0.8, 3])
@pytest.mark.parametrize(("n", "length"), [(1, 10), (2, 40), (3, 150), (4, 150)])
def test_no_passage_of_n_characters_is_written_twice(
    sampler: Sampler, n: int, length: int, temperature: float
) -> None:
    decoding = Decoding(temperature, no_repeat=n, allow_loops=True)
    texts = sampler.generate_many("分开", samples=8, length=length, decoding=decoding, seed=1)
    texts.append(sampler.generate("分开", length=length, decoding=decoding, seed=9))
    for text in texts:
        assert len(text) == 2 + length
        assert repeated(text, n) == []
    free = Decoding(temperature, allow_loops=True)
    assert repeated(sampler.generate("分开", length=length, decoding=free, seed=9), n)


def test_what_the_prefix_repeats_itself_is_not_repeated_once_more(sampler: Sampler) -> None:
    prefix = "分开分开，我们"
    decoding = Decoding(1.5, no_repeat=2)
    for seed in range(5):
        text = sampler.generate(prefix, length=30, decoding=decoding, seed=seed)
        assert text.startswith(prefix)
        assert repeated(text, 2, len(prefix)) == []


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_without_repeating_a_character_the_alphabet_is_used_up(
    sampler: Sampler, temperature: float
) -> None:
    decoding, left = Decoding(temperature, no_repeat=1), len(LETTERS) - 2
    for samples in (1, 3):
        for text in sampler.generate_many(
            "分开", samples=samples, length=left, decoding=decoding, seed=2
        ):
            assert sorted(text) == sorted(LETTERS)
        with pytest.raises(RecipeError) as caught:
            sampler.generate_many(
                "分开", samples=samples, length=left + 1, decoding=decoding, seed=2
            )
        assert str(caught.value) == DEAD_END
    stream = sampler.stream("分开", length=left + 1, decoding=decoding, seed=2)
    assert len([next(stream) for _ in range(left)]) == left
    with pytest.raises(RecipeError, match=r"^No character is left"):
        next(stream)


VERSE = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n明月几时有，把酒问青天。\n"


def following(passage: str) -> str:
    """Return what follows `passage` in `VERSE`."""
    places = range(len(VERSE) - len(passage))
    return "".join({VERSE[p + len(passage)] for p in places if VERSE.startswith(passage, p)})


def longest_copy(text: str, after: int) -> int:
    """Return the longest passage of `VERSE` in `text` that reaches beyond `after` characters."""
    return max(
        end - start
        for end in range(after + 1, len(text) + 1)
        for start in range(end + 1)
        if text[start:end] in VERSE
    )


@pytest.mark.parametrize(
    ("written", "most", "expected"),
    [
        ("", 1, ""),
        ("明", 1, "月"),
        ("明", 2, ""),
        ("明月", 2, "光，几"),
        ("望明月", 2, "光，几"),
        ("望明月", 3, "，"),
        ("望明月", 4, ""),
        ("明明", 2, ""),
        ("天。\n", 3, ""),
    ],
)
def test_max_copy_rules_out_what_follows_the_last_characters(
    written: str, most: int, expected: str
) -> None:
    vocabulary = Vocabulary.build(VERSE)
    found = ruled_out(MaxCopy(most, following, vocabulary), written, vocabulary)
    assert found == "".join(sorted(expected))


@pytest.mark.parametrize("most", [1, 2, 3, 5])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_no_more_than_so_many_characters_in_a_row_are_copied(most: int, temperature: float) -> None:
    model = chain(VERSE)
    decoding = Decoding(temperature)
    free = model.generate("床前", length=60, decoding=decoding, seed=1)
    assert longest_copy(free, 2) > 5
    process = MaxCopy(most, following, model.vocabulary)
    texts = model.generate_many(
        "床前", samples=3, length=60, decoding=decoding, processors=[process], seed=1
    )
    for text in texts:
        assert longest_copy(text, 2) == most


def test_a_prefix_that_is_copied_already_is_copied_no_further() -> None:
    model = chain(VERSE)
    process = MaxCopy(4, following, model.vocabulary)
    text = model.generate("床前明月光，疑是", length=20, processors=[process], seed=1)
    assert text[8] != "地"
    assert longest_copy(text, 8) <= 4


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_copying_nothing_where_all_is_a_copy_is_a_dead_end(temperature: float) -> None:
    vocabulary = Vocabulary.build("abc")
    model = drawn_at_random(vocabulary, seed=1)
    process = MaxCopy(1, lambda passage: "abc", vocabulary)
    for samples in (1, 2):
        with pytest.raises(RecipeError) as caught:
            model.generate_many(
                samples=samples, decoding=Decoding(temperature), processors=[process], seed=1
            )
        assert str(caught.value) == DEAD_END


def test_a_longest_copy_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        MaxCopy(0, following, WORDS)
    assert str(caught.value) == "max_copy must be a whole number from 1 up, not 0."


# Loops.


def ends_in_loop(text: str) -> int:
    """Return the shortest passage that `text` ends with three times, of twelve characters."""
    for period in range(1, len(text) // 3 + 1):
        span = max(3 * period, 12)
        if len(text) >= span and all(
            text[-place] == text[-place - period] for place in range(1, span - period + 1)
        ):
            return period
    return 0


@settings(max_examples=400, deadline=None)
@given(
    st.text("ab", max_size=12),
    st.text("abc。", min_size=1, max_size=14),
    st.integers(1, 14),
    st.integers(0, 14),
)
@example("", "", 1, 0)
@example("x", "la ", 4, 0)
@example("x", "la ", 3, 2)
@example("", "。", 11, 0)
@example("", "。", 12, 0)
@example("", "abcdefgh", 3, 0)
@example("", "baaaaaaaaaa", 3, 0)
def test_a_loop_is_what_stands_there_three_times_over_in_twelve_characters(
    before: str, passage: str, times: int, more: int
) -> None:
    text = before + passage * times + passage[:more]
    found, expected = loop_period(text), ends_in_loop(text)
    assert bool(found) == bool(expected)
    if found:  # the shortest passage is sought by the text's last eight characters
        assert found % expected == 0


@pytest.mark.parametrize("period", [1, 2, 3, 4, 5, 8, 13, 40, 80])
def test_a_loop_is_found_as_soon_as_it_is_one(period: int) -> None:
    passage = "".join(chr(0x4E00 + place) for place in range(period))
    text = "xyz" + passage * 30
    span = max(3 * period, 12)
    found = [loop_period(text[:end]) for end in range(3, 3 + span + 20)]
    assert found == [0] * span + [period] * 20


def test_three_words_or_a_row_of_marks_are_no_loop() -> None:
    for text in ("la la la", "好好好", "。。。。。。", "-----------", "abcdabcdab", ""):
        assert loop_period(text) == 0


def test_a_loop_of_lines_that_hold_a_smaller_one_is_found() -> None:
    verse = ("春眠不觉晓啊哦\n" * 2 + "处处闻啼鸟啊哦\n" * 2) * 8
    assert [loop_period(verse[:end]) for end in range(96, len(verse) + 1, 8)] == [32] * 21


def test_greedy_text_comes_out_of_loops_of_loops() -> None:
    text = chain(VERSE).generate("床", length=1000, decoding=Decoding(0))
    looping = [
        (end, period)
        for end in range(12, len(text) - 8)
        if (period := ends_in_loop(text[max(end - 240, 0) : end]))
    ]
    assert len(looping) > 10
    for end, period in looping:  # eight characters later it was noticed
        assert text[end : end + 8] != text[end - period : end - period + 8]


def test_what_would_go_on_with_a_loop_stays_where_there_is_nothing_else() -> None:
    one = Vocabulary.build("aaa")
    logits = np.array([-np.inf, 1.0], dtype=np.float32)
    NoLoops(one)("a" * 16, logits)
    assert logits[1] > -np.inf
    assert set(drawn_at_random(one, 1).generate("a", length=30, seed=1)) == {"a"}


def test_a_loop_that_was_left_is_none() -> None:
    assert loop_period("abcd" * 9) == 4
    assert loop_period("abcd" * 9 + "x") == 0


def test_out_of_a_loop_the_next_character_is_ruled_out_and_the_others_are_shaken() -> None:
    abc = Vocabulary.build("abcd")
    logits = np.array([0, 6, 3, 1.5, -3], dtype=np.float32)
    id_of = {character: int(abc.encode(character)[0]) for character in "abcd"}

    def processed(written: str) -> NDArray[np.float32]:
        row = logits.copy()
        NoLoops(abc)(written, row)
        return row

    for written, left_out in (("abcd" * 4, "a"), ("abcd" * 4 + "ab", "c"), ("bcda" * 6, "b")):
        found = processed(written)
        assert found[id_of[left_out]] == -np.inf
        others = [place for place in range(5) if place != id_of[left_out]]
        assert np.isfinite(found[others]).all()
        assert (found[others] != logits[others]).all()
        np.testing.assert_array_equal(processed(written), found)  # by the text alone
    # Shaken for as long as the loop was looked for, also where it was left at once.
    warm = processed("abcd" * 4 + "bba")
    assert np.count_nonzero(warm != logits) == 5
    # The highest of them is a draw at temperature 1 of what is left.
    drawn = Counter(
        int(processed(f"{number:05}" + "abcd" * 4 + "abc").argmax()) for number in range(4000)
    )
    shares = np.exp(logits.astype(float))
    shares[id_of["d"]] = 0
    for place, share in enumerate(shares / shares.sum()):
        assert abs(drawn[place] - 4000 * share) < 5 * math.sqrt(4000 * share * (1 - share)) + 1
    for written in ("", "abcd", "abcd" * 3, "dcab" + "abcd" * 2, "abcd" * 4 + "bbacdbac"):
        np.testing.assert_array_equal(processed(written), logits)


def longest_run(text: str, period: int) -> int:
    """Return the longest stretch of `text` that goes on repeating passages of `period`."""
    longest = run = 0
    for place in range(period, len(text)):
        run = run + 1 if text[place] == text[place - period] else 0
        longest = max(longest, run)
    return longest + period


@pytest.mark.parametrize("seed", range(6))
def test_a_greedy_model_that_loops_for_ever_gets_out_of_it_unless_it_may_stay(seed: int) -> None:
    model = drawn_at_random(WORDS, seed)
    stuck = model.generate("分", length=400, decoding=Decoding(0, allow_loops=True))
    period = ends_in_loop(stuck)
    assert longest_run(stuck, period) > 300
    free = model.generate("分", length=400, decoding=Decoding(0))
    assert longest_run(free, period) < max(3 * period, 12) + 8
    parted = next(place for place in range(400) if stuck[place] != free[place])
    # It is the same text up to the first place where a loop was found.
    assert parted % 8 == 0
    assert ends_in_loop(free[:parted])


@pytest.mark.parametrize("temperature", [0, 0.2, 0.5])
@pytest.mark.parametrize(
    "text",
    ["la" * 9 + " ", "la la la\n" * 9, "分开我们不说，" * 9, VERSE[:26] * 9],
    ids=["la", "la line", "short", "couplet"],
)
def test_at_every_eighth_character_a_repetitive_model_leaves_its_loop(
    text: str, temperature: float
) -> None:
    model = chain(text)

    def loops_gone_on_with(allow: bool) -> list[bool]:
        gone_on = []
        decoding = Decoding(temperature, allow_loops=allow)
        for seed in range(3):
            written = model.generate(text[:1], length=300, decoding=decoding, seed=seed)
            for mark in range(16, 301, 8):
                seen = written[max(mark - 240, 0) : mark]
                period = ends_in_loop(seen)
                if period:
                    gone_on.append(written[mark] == written[mark - period])
        return gone_on

    assert not any(loops_gone_on_with(False))
    if temperature == 0:
        assert len(loops_gone_on_with(False)) > 5
        assert any(loops_gone_on_with(True))


def test_a_loop_of_the_prefix_is_not_gone_on_with() -> None:
    model = chain("la la la\n" * 9)
    for temperature in (0, 0.8):
        text = model.generate("la " * 8, length=1, decoding=Decoding(temperature), seed=1)
        assert text[-1] != "l"


def test_greedy_text_is_the_same_for_any_seed_also_out_of_loops(sampler: Sampler) -> None:
    for decoding in (Decoding(0), Decoding(0, no_repeat=4), Decoding(0, min_p=0.5, top_k=3)):
        texts = {
            sampler.generate("分开", length=150, decoding=decoding, seed=seed) for seed in range(4)
        }
        assert len(texts) == 1


def test_text_without_loops_is_what_it_would_be_if_they_were_allowed() -> None:
    rng = random.Random(1)
    model = chain("".join(rng.choices("abcdefghijkl", k=2000)))
    for seed in range(3):
        free, bound = (
            model.generate("a", length=200, decoding=decoding, seed=seed)
            for decoding in (Decoding(allow_loops=True), Decoding())
        )
        assert free == bound


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(0),
        Decoding(0.3),
        Decoding(0.8, min_p=0.1),
        Decoding(1.2, top_k=5, top_p=0.9, min_p=0.05),
        Decoding(0, no_repeat=3),
        Decoding(0.8, no_repeat=3, allow_loops=True),
        Decoding(0.8, no_repeat=2, min_p=0.2),
    ],
)
def test_side_by_side_every_setting_writes_what_it_writes_alone(
    sampler: Sampler, decoding: Decoding
) -> None:
    found = sampler.generate_many("分开", samples=4, length=45, decoding=decoding, seed=5)
    assert found == [
        sampler.generate("分开", length=45, decoding=decoding, seed=5 + k) for k in range(4)
    ]


@pytest.mark.parametrize(
    ("line", "decoding", "most"),
    [
        (12, Decoding(), 6),
        (13, Decoding(), 6),
        (3, Decoding(), 4),  # a few characters always may
        (0, Decoding(), None),
        (12, Decoding(no_repeat=9), 8),
        (12, Decoding(allow_loops=True), None),
    ],
)
def test_where_the_model_remembers_half_a_line_may_come_again(
    line: int, decoding: Decoding, most: int | None
) -> None:
    text = "abcdefghijklmnop"
    known = Vocabulary.build(text)
    for again in range(1, len(text)):
        written = text + "p" + text[:again]
        left_out = {
            character
            for process in decoding.processors(known, line)
            for character in ruled_out(process, written, known)
        }
        too_long = most is not None and again >= most
        assert left_out == ({text[again]} if too_long else set())
