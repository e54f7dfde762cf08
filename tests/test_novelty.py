import itertools
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.evaluation import matching
from charlstm.evaluation.novelty import SIZES, Novelty, Passage, TrainingText


def plain_windows(text: str, first: int, n: int) -> list[str]:
    starts = range(len(text) - n + 1)
    return [text[start : start + n] for start in starts if start + n > first]


def plain_passages(training: str, texts: Sequence[str], after: Sequence[int]) -> list[Passage]:
    found: list[Passage] = []
    for number, (text, first) in enumerate(zip(texts, after, strict=True)):
        for start, end in itertools.combinations(range(len(text) + 1), 2):
            if end - start < 4 or end <= first or text[start:end] not in training:
                continue
            longer_left = start > 0 and text[start - 1 : end] in training
            longer_right = end < len(text) and text[start : end + 1] in training
            if not longer_left and not longer_right:
                place = training.index(text[start:end])
                found.append(Passage(number, start, text[start:end], place))
    found.sort(key=lambda passage: -len(passage.text))
    once: dict[str, Passage] = {}
    for passage in found:
        once.setdefault(passage.text, passage)
    return list(once.values())


def plain_lines(text: str, first: int) -> list[str]:
    lines, at = [], 0
    for line in text.split("\n"):
        written = [at + n for n, character in enumerate(line) if not character.isspace()]
        if written and written[-1] >= first:
            lines.append(line.strip())
        at += len(line) + 1
    return lines


def check(training: str, texts: Sequence[str], after: Sequence[int], most: int = 10) -> Novelty:
    """Hold every figure against a reference that looks for each stretch in turn."""
    found = TrainingText(training).novelty(texts, after=after, most=most)
    pairs = list(zip(texts, after, strict=True))
    windows = {
        n: [w for text, first in pairs for w in plain_windows(text, first, n)] for n in SIZES
    }
    assert found.windows == {n: len(windows[n]) for n in SIZES}
    assert found.copied == {n: sum(w in training for w in windows[n]) for n in SIZES}
    assert list(found.passages) == plain_passages(training, texts, after)[:most]
    lines = [line for text, first in pairs for line in plain_lines(text, first)]
    whole = {line.strip() for line in training.split("\n")}
    assert found.lines == len(lines)
    assert found.verbatim_lines == sum(line in whole for line in lines)
    return found


def plain_followers(training: str, passage: str) -> str:
    length = len(passage)
    starts = range(len(training) - length)
    return "".join(
        sorted({training[s + length] for s in starts if training[s : s + length] == passage})
    )


ALPHABETS = ["ab", "abc\n ", "床前明月光\n，", "a\U0001d11e\ud800\udfff\n"]
texts_over = st.sampled_from(ALPHABETS).flatmap(
    lambda alphabet: st.tuples(
        st.text(alphabet, max_size=120),
        st.lists(
            st.tuples(st.text(alphabet, max_size=40), st.integers(0, 20)), min_size=0, max_size=3
        ),
    )
)


@settings(max_examples=150, deadline=None)
@given(texts_over, st.sampled_from([1, 3, 10]))
@example(("abab", [("abab", 4), ("abab", 0)]), 10)
def test_every_figure_is_that_of_a_search_for_each_stretch(
    case: tuple[str, list[tuple[str, int]]], most: int
) -> None:
    training, pairs = case
    check(training, [text for text, _ in pairs], [first for _, first in pairs], most)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(ALPHABETS), st.sampled_from([1, 2, 10, 100]))
def test_passages_pieced_together_from_the_training_text_are_all_found(
    seed: int, alphabet: str, most: int
) -> None:
    rng = random.Random(seed)
    motifs = ["".join(rng.choices(alphabet, k=rng.randint(1, 25))) for _ in range(4)]
    training = "".join(rng.choices(motifs, k=rng.randint(1, 25)))
    texts = []
    for _ in range(rng.randint(1, 3)):
        cuts = [rng.randrange(len(training)) for _ in range(rng.randint(1, 4))]
        texts.append("".join(training[cut : cut + rng.randint(1, 40)] for cut in cuts)[:90])
    check(training, texts, [rng.randint(0, len(text)) for text in texts], most)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(ALPHABETS))
def test_a_training_text_is_read_in_pieces_without_a_seam(seed: int, alphabet: str) -> None:
    rng = random.Random(seed)
    training = "".join(rng.choices(alphabet, k=150))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_PIECE", rng.randint(1, 40))
        check(training, [training[20:90], "".join(rng.choices(alphabet, k=30))], [0, 0])
        text = TrainingText(training)
        for start, length in itertools.product(range(0, 150, 7), (0, 1, 5)):
            passage = training[start : start + length]
            assert text.followers(passage) == plain_followers(training, passage)


@settings(max_examples=60, deadline=None)
@given(texts_over, st.sampled_from([0, 1, 2**63 + 1]))
def test_hashes_that_collide_change_no_result(
    case: tuple[str, list[tuple[str, int]]], factor: int
) -> None:
    training, pairs = case
    with pytest.MonkeyPatch.context() as patch:
        # Nothing but an odd factor keeps keys apart, and 0 would make them one.
        patch.setattr(matching, "_FACTOR", factor or 1)
        patch.setattr(matching, "_SHORT_FACTOR", factor % 2**32)
        check(training, [text for text, _ in pairs], [first for _, first in pairs])
        patch.setattr(matching, "_FACTOR", factor)
        text = TrainingText(training)
        for start in range(0, len(training), 5):
            passage = training[start : start + 3]
            assert text.followers(passage) == plain_followers(training, passage)


@pytest.mark.parametrize("places", [0, 2])
def test_a_passage_of_frequent_parts_is_found_by_a_search_of_the_whole_text(
    places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "_PLACES", places)
    check(("-" * 30 + "ab") * 3, ["-" * 40 + "a" + "-" * 20 + "ab--", "b" + "-" * 15], [0, 0], 100)


def test_nothing_is_found_over_the_border_of_two_texts() -> None:
    found = check("床前明月光疑是地上霜\n", ["床前明月", "光疑是地上霜\n", "床", "前明月"], [0] * 4)
    assert [passage.text for passage in found.passages] == ["光疑是地上霜\n", "床前明月"]
    assert found.windows[4] == 1 + 4


def test_a_passage_says_where_it_stands_in_its_text_and_in_the_training_text() -> None:
    found = TrainingText("zero\none two three\n").novelty(["nothing", "and two three!"])
    assert found.longest == found.passages[0] == Passage(1, 3, " two three", 8)
    assert [passage.text for passage in found.passages] == [" two three"]


def test_what_lies_wholly_in_a_prefix_does_not_count_and_what_reaches_beyond_it_does() -> None:
    training, text = "one two three\nfour\n", "one two three\nfive\nfour"
    found = check(training, [text], [12])
    assert found.passages[0] == Passage(0, 0, "one two three\nf", 0)
    assert (found.lines, found.verbatim_lines) == (3, 2)
    found = check(training, [text], [15])
    assert [passage.text for passage in found.passages] == ["e\nfour"]
    assert (found.lines, found.verbatim_lines) == (2, 1)
    assert found.windows[4] == len("ive\nfour")
    assert check(training, [text], [100]).windows[4] == 0


def test_one_number_says_for_all_texts_what_was_given() -> None:
    training = TrainingText("one two three\n")
    texts = ["one two", "two three"]
    assert training.novelty(texts, after=5) == training.novelty(texts, after=[5, 5])
    assert training.novelty(texts, after=5) != training.novelty(texts)


def test_a_line_is_verbatim_when_it_is_a_whole_line_apart_from_space_around_it() -> None:
    found = TrainingText("\u3000床前明月光\r\none two\n\n").novelty(
        ["床前明月光 \n one\n\none two\n \u3000\ntwo", "one two\r\n"]
    )
    assert (found.lines, found.verbatim_lines) == (5, 3)


@pytest.mark.parametrize("training", ["", "a", "abc", "abcd", "abcdefgh"])
@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a"], ["abc"], ["abcd"], ["", "abcde"]])
def test_short_and_empty_texts_have_figures(training: str, texts: list[str]) -> None:
    found = check(training, texts, [0] * len(texts))
    assert found.share(12) is None
    copied = len(training) >= 4
    expected = {"abcd": float(copied), "abcde": copied / 2 + (training == "abcdefgh") / 2}
    assert found.share(4) == expected.get("".join(texts))
    assert (found.longest is None) == (not found.passages)


def test_no_passages_are_returned_when_none_are_asked_for() -> None:
    text = "one two three four"
    assert TrainingText(text).novelty([text], most=0).passages == ()


def test_a_long_copy_is_one_passage() -> None:
    rng = random.Random(3)
    training = "".join(rng.choices("abcdefgh \n", k=60_000))
    text = "xyz" + training[10_000:40_000] + "xyz" + training[100:300]
    found = TrainingText(training).novelty([text], most=2)
    assert found.passages == (
        Passage(0, 3, training[10_000:40_000], 10_000),
        Passage(0, 30_006, training[100:300], 100),
    )


def test_the_longest_passages_of_a_large_text_come_before_all_others() -> None:
    rng = random.Random(4)
    training = "".join(rng.choices("床前明月光疑是地上霜", k=20_000))
    cuts = rng.sample(range(0, 19_000, 100), 60)
    # Neighbours of every length, some of which go on a little in the next by chance.
    text = "".join(training[cut : cut + 20 + number] for number, cut in enumerate(cuts))
    expected, end = [], 0
    for start in range(len(text)):
        before = end
        while end < len(text) and text[start : end + 1] in training:
            end += 1
        if end > before:
            expected.append(Passage(0, start, text[start:end], training.index(text[start:end])))
    expected.sort(key=lambda passage: -len(passage.text))
    for most in (1, 5, 40):
        found = TrainingText(training).novelty([text], most=most)
        assert list(found.passages) == expected[:most]


def letters(first: int, count: int) -> str:
    return "".join(chr(0x4E00 + code) for code in range(first, first + count))


@pytest.mark.parametrize("overlap", [1, 9, 10, 11, 12, 13, 20])
@pytest.mark.parametrize("length", [12, 13, 14, 21, 30])
def test_passages_that_overlap_are_told_apart(length: int, overlap: int) -> None:
    starts = range(0, 70, max(length - overlap, 1))
    training = "|".join(letters(start, length) for start in starts)
    found = check(training, [letters(0, 80)], [0], most=100)
    assert len(found.passages) > 2


# Two passages of 20 characters that overlap, and a third that stands for itself.
FIRST, SECOND, THIRD = letters(0, 20), letters(9, 20), letters(50, 20)
BOTH = letters(0, 29)


def test_of_passages_of_one_length_the_first_in_the_text_is_returned() -> None:
    training = f"{FIRST}|{SECOND}|{THIRD}"
    found = check(training, [f"{THIRD}-{BOTH}"], [0], most=1)
    assert found.longest == Passage(0, 0, THIRD, 42)
    found = check(training, [f"{BOTH}-{THIRD}"], [0], most=2)
    assert [passage.text for passage in found.passages] == [FIRST, SECOND]


def test_a_passage_comes_before_shorter_ones_that_overlap() -> None:
    longer = letters(50, 25)
    found = check(f"{FIRST}|{SECOND}|{longer}", [f"{BOTH}-{longer}"], [0], most=1)
    assert [passage.text for passage in found.passages] == [longer]


def test_what_was_given_is_no_passage_but_is_one_where_it_is_written_again() -> None:
    training = f"{FIRST}|{SECOND}|{THIRD[:12]}"
    found = check(training, [BOTH, BOTH], [20, 0])
    assert found.passages[:2] == (Passage(0, 9, SECOND, 21), Passage(1, 0, FIRST, 0))
    # What was given and what was told already take no place of what is shorter.
    check(training, [BOTH, THIRD[:12]], [20, 0], most=2)
    check(training, [BOTH, FIRST, THIRD[:12]], [0, 0, 0], most=3)


RUNS = "".join("-" * length + " " * (length % 7) + "\n" for length in range(1, 300))


@pytest.mark.parametrize(
    ("training", "text", "longest"),
    [
        ("a" * 100_000, "a" * 100_000, 100_000),
        ("ab" * 50_000, "ba" * 30_000, 60_000),
        (("-" * 500 + "b") * 200, "b" + "-" * 20_000, 501),
        (RUNS, RUNS, len(RUNS)),
        (" " * 50_000, "\n \n  x" * 5_000, 2),
    ],
    ids=["one letter", "two letters", "dashes", "runs", "spaces"],
)
def test_loops_are_looked_at_within_seconds(training: str, text: str, longest: int) -> None:
    # The time of this process alone, which a busy machine does not prolong.
    begun = time.process_time()
    found = TrainingText(training).novelty([text])
    assert time.process_time() - begun < 10
    assert (len(found.longest.text) if found.longest else 2) == longest
    windows = {training[start : start + 12] for start in range(len(training) - 11)}
    starts = range(len(text) - 11)
    assert found.copied[12] == sum(text[start : start + 12] in windows for start in starts)


def test_a_search_that_ends_early_tells_copies_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training, text = ("-" * 50 + "b") * 20, "-" * 70 + "b" + "-" * 60
    whole = TrainingText(training).novelty([text], most=100)
    for effort in (0, 600, 2_000, 5_000, 20_000):
        monkeypatch.setattr(matching, "_EFFORT", effort)
        found = TrainingText(training).novelty([text], most=100)
        assert found.copied == whole.copied
        assert all(passage.text in training for passage in found.passages)
        assert all(passage.text in text for passage in found.passages)
        assert sum(map(len, (p.text for p in found.passages))) <= sum(
            map(len, (p.text for p in whole.passages))
        )


def test_a_place_is_told_by_the_line_it_is_in() -> None:
    training = "zero\n\n床前明月光\nlast"
    text = TrainingText(training)
    lines = training.split("\n")
    expected = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        for _ in range(len(line) + (number < len(lines)))
    ]
    assert [text.line_at(place) for place in range(len(training))] == expected


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ALPHABETS).flatmap(lambda a: st.tuples(st.text(a), st.text(a, max_size=9))))
def test_followers_are_all_characters_after_a_passage_and_no_others(case: tuple[str, str]) -> None:
    training, other = case
    text = TrainingText(training)
    for length in (len(other), 0, 1, 2, 4, 50):
        for passage in (other, training[:length], training[3:][:length], training[-length:]):
            assert text.followers(passage) == plain_followers(training, passage)


def test_followers_of_a_frequent_passage_are_found_once_and_told_every_time() -> None:
    training = "ab" * 3_000 + "ac" + "ad"
    text = TrainingText(training)
    assert [text.followers("a") for _ in range(3)] == ["bcd"] * 3
    assert [text.followers("ba"), text.followers("a"), text.followers("d")] == ["bc", "bcd", ""]


class Watched(str):
    """A text that counts how often something is compared with a part of it."""

    comparisons = 0

    def startswith(self, *arguments: Any) -> bool:
        self.comparisons += 1
        return super().startswith(*arguments)


def test_followers_are_found_by_looking_at_few_places() -> None:
    rng = random.Random(5)
    training = Watched("".join(rng.choices("床前明月光疑是地上霜，\n", k=50_000)))
    text = TrainingText(training)
    for length in (1, 20):  # thousands of places and one
        passages = {training[start : start + length] for start in range(0, 20_000, 10)}
        for passage in passages:
            text.followers(passage)
        training.comparisons = 0
        for passage in passages:
            text.followers(passage)
        # Of frequent ones the answer is kept; of the others another one may have the same hash.
        assert training.comparisons < 2 * len(passages)


def test_a_hash_depends_on_every_character_of_its_passage() -> None:
    # Or else a table has few of its slots in use, and each search takes the time of many.
    codes = np.arange(4, dtype=np.uint32)
    for place in range(4):
        changed = np.tile(codes, (1_000, 1))
        changed[:, place] = np.arange(1_000)
        slots = {int(matching._slots(row, 16)[0]) for row in changed}
        assert len(slots) > 900


def test_novelty_is_told_as_plain_values() -> None:
    found = TrainingText("one two three\n").novelty(["one two four\nfive"])
    told = json.loads(json.dumps(found.to_json()))
    assert told["ngrams"][0] == {
        "n": 4,
        "windows": 14,
        "copied": found.copied[4],
        "share": found.copied[4] / 14,
    }
    assert [size["n"] for size in told["ngrams"]] == list(SIZES)
    assert told["passages"] == [{"sample": 0, "start": 0, "text": "one two ", "place": 0}]
    assert (told["lines"], told["verbatim_lines"]) == (2, 0)
