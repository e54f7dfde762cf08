import random
import subprocess
import sys

import pytest
import regex
from faults.patience import HANGS_AFTER
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.text.letters import (
    counted,
    counts,
    end_of_letter,
    first_letter,
    is_plain,
    joining,
    joins,
    last_letter,
    last_letters,
    letters,
    may_cut,
    number_of_letters,
    parting,
    start_of_letter,
)

FAMILY = "👨\u200d👩\u200d👧"
STRANGE = st.text("a分\nराि्שָׁ\u0301\u200d\ufe0f👨👩🇩🇪ᄒ\u1161\u11ab한\u0600", max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("分开 la\n", ["分", "开", " ", "l", "a", "\n"]),
        ("राम", ["रा", "म"]),
        ("שָׁלוֹם", ["שָׁ", "ל", "וֹ", "ם"]),
        ("A\u0308O\u0308", ["A\u0308", "O\u0308"]),
        ("ᄒ\u1161\u11ab국", ["ᄒ\u1161\u11ab", "국"]),
        (
            f"a{FAMILY}🇩🇪🇫🇷❤\ufe0f1\ufe0f\u20e3",
            ["a", FAMILY, "🇩🇪", "🇫🇷", "❤\ufe0f", "1\ufe0f\u20e3"],
        ),
        ("நி", ["நி"]),
        ("กำ", ["กำ"]),
    ],
)
def test_letters_are_what_a_person_sees_as_one(text: str, expected: list[str]) -> None:
    assert letters(text) == expected
    assert number_of_letters(text) == len(expected)
    assert first_letter(text) == (expected or [""])[0]
    assert last_letter(text) == (expected or [""])[-1]


def test_plain_characters_never_belong_to_the_letter_before_them() -> None:
    plain = [chr(code) for code in range(0x110000) if code not in range(0xD800, 0xE000)]
    plain = [character for character in plain if is_plain(character)]
    assert len(plain) > 100_000
    for seed in range(3):
        random.Random(seed).shuffle(plain)
        assert regex.findall(r"\X", "".join(plain)) == plain
    doubled = [character for character in plain for _ in range(2)]
    assert regex.findall(r"\X", "".join(doubled)) == doubled


def test_the_usual_texts_are_plain() -> None:
    assert is_plain("“分开”，不分开……《歌》！\n\tDon't — “stop” né ¿qué? ЁЖ ὀδ 한국 かな ＡＢ")
    assert not any(map(is_plain, ("e\u0301", "\r", FAMILY, "रा", "©", "\u200d", "🇩", "ﾞ")))


@settings(deadline=None, max_examples=300)
@given(STRANGE)
def test_cuts_lie_between_letters_and_nowhere_else(text: str) -> None:
    found = letters(text)
    ends = {0}
    for letter in found:
        ends.add(max(ends) + len(letter))
    for at in range(len(text) + 1):
        assert may_cut(text, at) == (at in ends)
        assert start_of_letter(text, at) == max(end for end in ends if end <= at)
        assert end_of_letter(text, at) == min(end for end in ends if end >= at)
    for count in range(1, len(found) + 2):
        assert last_letters(text, count) == "".join(found[-count:])


@settings(deadline=None, max_examples=300)
@given(STRANGE, st.sampled_from("a\nराि्\u0301\u200d\ufe0f👩🇪\u11ab분"))
def test_a_character_joins_a_letter_or_begins_another(text: str, character: str) -> None:
    last = last_letter(text)
    joined = number_of_letters(text + character) == number_of_letters(text)
    if text:
        assert joins(last, character) == joined
    assert (character in joining(last, f"x{character}")) == joined * bool(text)
    assert (character in parting(last, f"x{character}")) != joined * bool(text)


def test_a_letter_counts_where_a_part_of_it_is_one_of_a_word_or_a_number() -> None:
    assert counted("राम, שָׁ 9️⃣ ❤️!") == ("रा", "म", "שָׁ", "9️⃣")
    assert not any(map(counts, (FAMILY, "🇩🇪", "\u0301", " ", "，", "ि")))


def test_of_a_long_line_the_last_letters_are_found_as_well() -> None:
    text = "रा" * 5_000
    assert last_letters(text, 3) == "रा" * 3
    assert may_cut(text, 8_000)
    assert not may_cut(text, 8_001)


def test_a_text_of_plain_letters_does_not_need_the_library() -> None:
    code = (
        "import sys\n"
        "from charlstm.text.letters import letters, may_cut\n"
        "assert len(letters('分开 la')) == 5 and may_cut('分开', 1)\n"
        "assert 'regex' not in sys.modules\n"
        "assert len(letters('e\\u0301')) == 1\n"
        "assert 'regex' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANGS_AFTER)
