import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from commandline import Charlstm
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import start_session

import charlstm as package
from charlstm.text import tidying
from charlstm.text.corpus import TextOptions
from charlstm.text.reading import read_corpus
from charlstm.text.songs import END
from charlstm.text.tidying import LINE_ENDS, SPACES, notes

TIDY = TextOptions(tidy=True)
SMALL = {"hidden": 4, "embedding": 3, "batch": 4, "window": 16, "epochs": 1}


def in_pieces(text: str, sizes: Sequence[int]) -> list[str]:
    cuts = [0, *accumulate(sizes), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


# Line ends.


def test_the_line_ends_are_those_that_python_knows_of_but_for_separators_of_data() -> None:
    every = {c for c in map(chr, range(sys.maxunicode + 1)) if len(f"a{c}b".splitlines()) == 2}
    assert set(LINE_ENDS) == every - set("\n\r\x1c\x1d\x1e")


@pytest.mark.parametrize("end", LINE_ENDS)
def test_a_line_end_of_any_kind_becomes_a_line_feed_unless_the_run_is_older(end: str) -> None:
    assert TextOptions().apply(f"a{end}b\r{end}") == "a\nb\n\n"
    assert TextOptions(newline="space").apply(f"a{end}b") == "a b"
    assert TextOptions(line_ends="plain").apply(f"a{end}b\r{end}") == f"a{end}b\n{end}"


def test_a_file_that_ends_a_line_in_its_own_way_gets_no_further_empty_line(tmp_path: Path) -> None:
    for place, text in enumerate(("a\u2029\u2029", "b\x85", "c")):
        (tmp_path / f"{place}.txt").write_text(text, encoding="utf-8")
    assert read_corpus([tmp_path]).text == "a\n\nb\n\nc"


# Spaces and marks.


def test_the_spaces_are_all_that_unicode_has_but_the_plain_and_the_ideographic_one() -> None:
    every = {c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) == "Zs"}
    assert set(SPACES) == every - {" ", "\u3000"}
    assert TIDY.apply(f"a{SPACES}b\u3000c") == f"a{' ' * len(SPACES)}b\u3000c"
    unnormalised = TextOptions(normalize=False)
    assert unnormalised.apply(SPACES) == SPACES


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("soft\xadhyphen, zero\u200bwidth, word\u2060joiner, mark\ufeff", "softhyphen, zerowidth, "
         "wordjoiner, mark"),
        ("left\u200e to \u202dright\u202c and \u2066back\u2069\u061c", "left to right and back"),
        ("e\u200b\u0301", "é"),
        ("Quoi\u202f? Oui\xa0!", "Quoi ? Oui !"),
        ("a\ufe0f \ufe0e\n\ufe0fか\U000e0100", "a \nか"),
        ("→\ufe0f 漢\ufe0f", "→ 漢"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f"),  # one says all
    ],
)  # fmt: skip
def test_what_nobody_sees_is_left_out_and_spaces_are_plain(text: str, tidied: str) -> None:
    assert TIDY.apply(text) == tidied
    assert TextOptions().apply(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d❤\ufe0f\u200d👨 👁\ufe0f\u200d🗨\ufe0f 1\ufe0f\u20e3 ☎\ufe0e 🏴\u200d☠\ufe0f",
        "می\u200cخواهم क्\u200dष ශ්\u200dරී",  # joiners, and what keeps letters apart
        "a\u200db\u200cc",
        "ภาษา\u200bไทย ភាសា\u200bខ្មែរ မြန်မာ\u200bစာ",
        "שלום\u200f! (abc\u200e) א\u202bב\u202c",
        "ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ ᠠ\u180b ᠨ\u180eᠠ",
        "葛\U000e0100城 辻\U000e0101 ，\ufe00 ∩\ufe00 0\ufe00",
        "日本\u3000語",
    ],
)
def test_what_a_script_or_an_emoji_needs_stays(text: str) -> None:
    assert TIDY.apply(text) == unicodedata.normalize("NFC", text)


def test_marks_of_direction_stay_in_the_lines_that_have_something_to_be_directed() -> None:
    assert TIDY.apply("a\u200eb\nא\u200eb\r\nc\u200e\u2028") == "ab\nא\u200eb\nc\n"
    assert TIDY.apply(f"{END}a\u200eb{END}") == f"{END}ab{END}"
    long = "a\u200e" + "b" * 5_000
    assert TIDY.apply(f"{long}א\u200e") == "a" + "b" * 5_000 + "א\u200e"


def test_a_line_of_any_length_is_never_parted_between_an_emoji_and_its_selector() -> None:
    for before in range(4_090, 4_100):
        text = "\u200e" + "b" * before + "❤\ufe0f" * 3
        tidied = "b" * before + "❤\ufe0f" * 3
        assert TIDY.apply(text) == tidied
        assert "".join(TIDY.apply_to(in_pieces(text, [4_097, 1, 1]))) == tidied


HARD = "".join(
    ["ab\u0301\n\r 1❤👩漢かא", LINE_ENDS, "\xa0\u2000\u202f\u3000", "\xad\u200b\ufeff\u2060",
     "\u200d\u200c\u061c\u200e\u202e\u2069", "\ufe0f\ufe0e\ufe00\U000e0100", "ไᠠ\u180b0，"]
)  # fmt: skip


def plainly(text: str) -> tuple[str, Counter[str]]:
    """Tidy a short text, and count what was changed, one character after the other."""
    changed: Counter[str] = Counter()
    lines = ""
    for character in text.replace("\r\n", "\n").replace("\r", "\n"):
        changed[character] += character in LINE_ENDS
        lines += "\n" if character in LINE_ENDS else character
    found = ""
    for line in lines.splitlines(keepends=True):
        for before, character in zip("\n" + line, line, strict=False):
            needed = {
                "\u202f": before in "ᠠ\u180b",
                "\u200b": before == "ไ",
                "\ufe0f": before in "10❤👩",
                "\ufe0e": before in "10❤👩",
                "\ufe00": before in "0漢，",
                "\U000e0100": before == "漢",
                **dict.fromkeys("\u061c\u200e\u202e\u2069", "א" in line),
                **dict.fromkeys("\xa0\u2000\xad\ufeff\u2060", False),
            }.get(character, True)
            changed[character] += not needed
            found += character if needed else " " * (character in SPACES)
    return unicodedata.normalize("NFC", found), +changed


@settings(deadline=None, max_examples=300)
@given(st.text(HARD, max_size=30), st.lists(st.integers(0, 7), max_size=6))
def test_a_text_is_tidied_alike_wherever_pieces_are_cut(text: str, sizes: list[int]) -> None:
    expected, counted = plainly(text)
    changed: Counter[str] = Counter()
    assert "".join(TIDY.apply_to(in_pieces(text, sizes), changed)) == expected
    assert changed == counted
    assert TIDY.apply(text) == expected
    assert TIDY.apply(expected) == expected


@settings(deadline=None, max_examples=100)
@given(
    st.text("ab\u200e❤\ufe0fא\xa0\n", min_size=20, max_size=60),
    st.lists(st.integers(0, 9), max_size=9),
)
def test_a_line_too_long_to_be_held_is_parted_alike_wherever_pieces_are_cut(
    text: str, sizes: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidying, "_LONGEST_LINE", 5)
        line = f"[^\n]{{0,4}}\n|[^\n]{{5}}{tidying._LOOKED_FOR}?|[^\n]+"
        patch.setattr(tidying, "_LINE", re.compile(line))
        assert "".join(TIDY.apply_to(in_pieces(text, sizes))) == TIDY.apply(text)


# What is told of it.


def told(changed: dict[str, int], kept: dict[str, int]) -> list[str]:
    return [str(message) for message in notes(changed, kept)]


def test_what_was_changed_is_told_by_name_and_number_and_the_rest_is_summed() -> None:
    assert told({}, {"a": 3, " ": 5, "\u3000": 1}) == []
    assert told({"\x85": 1_204, "\f": 1}, {}) == [
        "Read as line breaks: 1,204 next lines (U+0085) and 1 form feed (U+000C)."
    ]
    spaces = dict.fromkeys("\xa0\u2003\u2004\u2005\u2006", 2) | {"\u2005": 7}
    assert told(spaces | {"\xad": 1, "\ufe0f": 2}, {}) == [
        "Read as spaces: 7 four-per-em spaces (U+2005), 2 no-break spaces (U+00A0), 2 em spaces "
        "(U+2003) and 4 of 2 other kinds.",
        "Left out, because nobody sees them there: 2 variation selectors (U+FE0F) and 1 soft "
        "hyphen (U+00AD).",
    ]
    assert told({}, {"\xa0": 1_204}) == [
        "Learned beside the space, though they look alike: 1,204 no-break spaces (U+00A0). tidy "
        "reads them as spaces."
    ]


def test_the_report_of_a_training_tells_it_and_the_run_reads_a_prefix_alike(
    tmp_path: Path, process: Charlstm
) -> None:
    charlstm = partial(process, where=tmp_path)
    (tmp_path / "song.txt").write_text("la\xa0la\u2028lo\xad lo\n" * 30, encoding="utf-8")
    options = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
    plain = charlstm("train", "song.txt", *options)
    assert "Read as line breaks: 30 line separators (U+2028).\n" in plain.stderr
    assert (
        "Learned beside the space, though they look alike: 30 no-break spaces (U+00A0). --tidy "
        "reads them as spaces.\n"
    ) in plain.stderr
    tidy = charlstm("train", "song.txt", *options, "--tidy", "--prefix", "la\xa0l")
    assert "Read as spaces: 30 no-break spaces (U+00A0).\n" in tidy.stderr
    assert "there: 30 soft hyphens (U+00AD).\n" in tidy.stderr
    model = package.load(tmp_path / "checkpoints" / "song-2")
    assert "\xa0" not in model.info.vocabulary
    for typed in ("la\xa0la\x85", "la\u200b la\n"):
        assert model.generate(typed, length=5, seed=1)[-5:] == model.generate(
            "la la\n", length=5, seed=1
        )[-5:]  # fmt: skip
    assert charlstm("train", "--resume", "--epochs", "2").code == 0
    refused = charlstm("train", "--resume", "--name", "song", "--epochs", "3", "--tidy")
    assert (
        "song was trained with another --tidy; a resumed run keeps its settings." in refused.stderr
    )


def test_a_run_that_starts_from_a_tidy_one_is_tidy(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text("la\xa0la lo lo\n" * 30, encoding="utf-8")
    settings = {**SMALL, "tidy": True}
    list(start_session([path], settings=settings, root=tmp_path, name="old").events())
    new = start_session([path], settings={"epochs": 1}, root=tmp_path, start_from="old")
    assert new.plan.recipe.text.tidy
    assert new.plan.corpus.text == "la la lo lo\n" * 30
