from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from charlstm.cli.names import option
from charlstm.errors import RecipeError, Setting, UnknownCharactersError
from charlstm.text.letters import counted, counts
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.constraints import (
    Acrostic,
    AcrosticEnd,
    Constraint,
    LineLength,
    LineSoFar,
    Must,
    Rhyme,
)
from charlstm.writing.form import Form

ENGLISH = Vocabulary.build("abcdefghijklmnopqrstuvwxyzTHE '’,.!?\n")
CHINESE = Vocabulary.build("春眠不觉晓处闻啼鸟天年边前远见看来开海爱在外花家风雨，。！ \n")


def draft(line: str, before: Sequence[str] = (), chance: float = 0.0) -> LineSoFar:
    return LineSoFar(tuple(before), line, chance)


def refusal(**parts: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        Form(**parts)
    return str(caught.value)


def test_a_constraint_that_overrides_nothing_leaves_everything_open() -> None:
    free = Constraint()
    here = draft("分开", ["不分开"])
    assert free.fits(here)
    assert free.may_end(here)
    assert not free.must_end(here)
    assert free.allowed(here) is None
    assert free.endings(here) is None


def test_a_draft_knows_its_number() -> None:
    assert draft("a").number == 0
    assert draft("a", ["b", "c"]).number == 2


# How much a line has.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("春眠不觉晓", "春眠不觉晓"),
        ("“春眠，不 觉\u3000晓！”——…《》、；：？。", "春眠不觉晓"),
        ("Don't stop, 99 times!", "Dontstop99times"),
        ("ＡＢ！，．１", "ＡＢ１"),
        ("二〇二六 々", "二〇二六々"),
        ("é ç ß", "éçß"),
        ("♪ ~ ❤ 😀 -", ""),
        ("", ""),
    ],
)
def test_punctuation_spaces_and_signs_do_not_count(line: str, expected: str) -> None:
    assert "".join(counted(line)) == expected


def test_an_emoji_does_not_count_whatever_invisible_characters_it_has() -> None:
    # The heart in red has a variation selector, the family joiners.
    assert [c for c in "❤️" if counts(c)] == []
    assert counted("👨‍👩‍👧 1") == ("1",)


# Reading what was asked for.


@pytest.mark.parametrize(
    "wrong", ["0", "101", "9-6", "0-3", "7-", "-7", "5,", ",5", "5,,7", "seven", "5;7", "7.5", " "]
)
def test_a_line_length_that_is_none_is_refused(wrong: str) -> None:
    assert refusal(line_length=wrong) == (
        f"A line length is a number from 1 to 100, a span as in 6-9, or several of them as in "
        f"5,7,5,7; not {wrong!r}."
    )


@pytest.mark.parametrize(
    ("written", "lengths"),
    [
        ("7", ((7, 7),)),
        ("6-9", ((6, 9),)),
        ("5,7,5,7", ((5, 5), (7, 7), (5, 5), (7, 7))),
        (" 5 , 6 - 9 ", ((5, 5), (6, 9))),
        ("1", ((1, 1),)),
        ("100", ((100, 100),)),
        ("3-3", ((3, 3),)),
    ],
)
def test_line_lengths_are_numbers_and_spans(
    written: str, lengths: tuple[tuple[int, int], ...]
) -> None:
    (constraint,) = Form(line_length=written).constraints(CHINESE)
    assert constraint == LineLength(lengths, Setting("line_length", written))


@pytest.mark.parametrize("wrong", ["A1", "AA BB", "甲乙", "A-B", "A,B", "Ä"])
def test_a_rhyme_scheme_that_is_none_is_refused(wrong: str) -> None:
    expected = f"A rhyme scheme is a letter a line, as in AABA or ABAB, not {wrong!r}."
    assert refusal(rhyme=wrong) == expected


@pytest.mark.parametrize("name", ["acrostic", "acrostic_end"])
@pytest.mark.parametrize("wrong", ["春，眠", "a-b", "❤", "!"])
def test_an_acrostic_of_anything_but_letters_is_refused(name: str, wrong: str) -> None:
    expected = f"{name} needs letters, one for each line, not {wrong!r}."
    assert refusal(**{name: wrong}) == expected


@pytest.mark.parametrize("name", ["acrostic", "acrostic_end"])
def test_an_acrostic_longer_than_the_text_is_refused(name: str) -> None:
    assert refusal(**{name: "春 眠不"}, lines=2) == (
        f"{name} has 3 characters and lines is 2; each of them needs a line."
    )
    assert Form(**{name: "春 眠不"}, lines=3).count == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["", " love", "love ", "lo\nve", "\u3000"])
def test_a_must_that_is_no_word_is_refused(wrong: str) -> None:
    expected = "must needs a word, without spaces or line breaks around it."
    assert refusal(must=("love", wrong)) == expected


@pytest.mark.parametrize(("wrong", "shown"), [(0, "0"), (-2, "-2"), (1.5, "1.5"), (True, "True")])
def test_lines_must_be_a_whole_number(wrong: Any, shown: str) -> None:
    assert refusal(lines=wrong) == f"lines must be a whole number from 1 up, not {shown}."


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ({}, 4),
        ({"lines": 7}, 7),
        ({"line_length": "7"}, 4),
        ({"line_length": "6-9"}, 4),
        ({"line_length": "5,7,5"}, 3),
        ({"rhyme": "AABBCC"}, 6),
        ({"rhyme": "AA", "line_length": "5,7,5"}, 3),
        ({"rhyme": "AABBA", "line_length": "5,7,5"}, 5),
        ({"acrostic": "春眠"}, 2),
        ({"acrostic": "春 眠 不"}, 3),
        ({"acrostic": "春眠", "acrostic_end": "春眠不"}, 3),
        ({"acrostic": "春眠", "rhyme": "AABA"}, 4),
        ({"acrostic": "春眠", "lines": 5}, 5),
        ({"must": ("春",)}, 4),
        ({"rhyme": "AABA", "lines": 8}, 8),
    ],
)
def test_a_form_has_as_many_lines_as_it_speaks_of(parts: dict[str, Any], count: int) -> None:
    assert Form(**parts).count == count


def test_a_number_of_lines_alone_is_no_constraint() -> None:
    assert not Form().has_constraints
    assert not Form(lines=3).has_constraints
    for part in (
        {"line_length": "7"},
        {"acrostic": "春"},
        {"acrostic_end": "春"},
        {"rhyme": "AA"},
        {"must": ("春",)},
    ):
        assert Form(**part).has_constraints


def test_a_form_becomes_the_constraints_that_it_asks_for_and_names_them() -> None:
    form = Form(
        line_length="5",
        acrostic="春 眠",
        acrostic_end="天 年",
        rhyme="aa",
        must=("花", "风雨"),
    )
    found = form.constraints(CHINESE)
    wishes = [constraint.wish for constraint in found]
    assert wishes == [
        Setting("line_length", "5"),
        Setting("acrostic", "春 眠"),
        Setting("acrostic_end", "天 年"),
        Setting("rhyme", "aa"),
        Setting("must", ("花", "风雨")),
    ]
    assert [
        option(constraint.wish) for constraint in found if isinstance(constraint.wish, Setting)
    ] == [
        "--line-length 5",
        "--acrostic 春 眠",
        "--acrostic-end 天 年",
        "--rhyme aa",
        "--must 花 --must 风雨",
    ]
    assert found[1] == Acrostic("春眠", CHINESE.characters, None, wishes[1])
    assert found[2] == AcrosticEnd(
        "天年", CHINESE.characters, None, Setting("acrostic_end", "天 年")
    )
    assert found[3] == Rhyme("AA", CHINESE.characters, None, 0, wishes[3])
    assert Form().constraints(CHINESE) == []


# What the model has never seen.


@pytest.mark.parametrize(
    ("parts", "setting"),
    [
        ({"acrostic": "春离"}, "acrostic"),
        ({"acrostic_end": "春离"}, "acrostic_end"),
        ({"must": ("春", "离春")}, "must"),
    ],
)
def test_a_character_that_the_model_has_never_seen_is_named(
    parts: dict[str, Any], setting: str
) -> None:
    with pytest.raises(UnknownCharactersError) as caught:
        Form(**parts).constraints(CHINESE)
    assert str(caught.value) == (
        f"The model has never seen '离' of {setting}. Choose characters that its training text has."
    )


def test_an_acrostic_may_be_written_in_either_case_and_a_must_word_may_not() -> None:
    capitals = Vocabulary.build("ABCDE \n")
    for part in ({"acrostic": "abE"}, {"acrostic_end": "abE"}):
        assert Form(**part).constraints(capitals)  # type: ignore[arg-type]
    with pytest.raises(UnknownCharactersError) as caught:
        Form(must=("bad",)).constraints(capitals)
    assert str(caught.value).startswith(
        "The model has never seen 'b' (it has 'B'), 'a' (it has 'A'), 'd' (it has 'D') of must. "
    )


# The length of lines.


def test_a_line_of_one_length_ends_there_and_nowhere_else() -> None:
    five = LineLength(((5, 5),))
    for line, fits in (("春眠不觉", False), ("春眠不觉晓", True), ("春眠不觉晓处", False)):
        assert five.fits(draft(line)) is fits
    assert [five.may_end(draft("春眠不觉晓处"[:n])) for n in range(6)] == [False] * 5 + [True]
    assert [five.must_end(draft("春眠不觉晓处"[:n])) for n in range(7)] == [False] * 5 + [True] * 2
    assert five.allowed(draft("春")) is None
    assert five.endings(draft("春眠不觉晓")) is None


def test_a_line_of_a_span_may_end_before_it_must() -> None:
    span = LineLength(((2, 4),))
    lines = ["春眠不觉晓"[:n] for n in range(6)]
    assert [span.fits(draft(line)) for line in lines] == [False, False, True, True, True, False]
    assert [span.may_end(draft(line)) for line in lines[:5]] == [False, False, True, True, True]
    assert [span.must_end(draft(line)) for line in lines[:5]] == [False] * 4 + [True]


@pytest.mark.parametrize(
    "line", ["春眠不觉晓，", "“春眠，不觉晓。”", " 春 眠 不 觉 晓 ", "no, way!", "it's 'me'"]
)
def test_punctuation_full_or_half_width_and_spaces_leave_a_length_as_it_is(line: str) -> None:
    assert LineLength(((5, 5),)).fits(draft(line))
    assert LineLength(((5, 5),)).must_end(draft(line))
    assert not LineLength(((6, 6),)).may_end(draft(line))


def test_lengths_begin_again_after_the_last() -> None:
    lengths = LineLength(((1, 1), (2, 2), (3, 4)))
    found = [
        [n for n in range(1, 6) if lengths.fits(draft("春" * n, ["雨"] * number))]
        for number in range(7)
    ]
    assert found == [[1], [2], [3, 4], [1], [2], [3, 4], [1]]


# Acrostics.


def test_an_acrostic_is_the_first_character_of_each_line() -> None:
    acrostic = Acrostic("春T1")
    assert acrostic.allowed(draft("")) == "春春"
    assert acrostic.allowed(draft("春")) is None
    assert acrostic.allowed(draft("", ["春"])) == "T"  # a capital letter stays one
    assert set(acrostic.allowed(draft("", ["春", "t"])) or "") == {"1"}
    assert acrostic.allowed(draft("", ["春", "t", "1"])) is None
    assert acrostic.fits(draft("春眠"))
    assert not acrostic.fits(draft("眠春"))
    for line in ("the", "The", "“The", "  ’the"):
        assert acrostic.fits(draft(line, ["春"]))
    assert not acrostic.fits(draft("a the", ["春"]))
    assert acrostic.fits(draft("anything", ["春", "t", "1"]))
    assert acrostic.may_end(draft("春"))
    assert acrostic.endings(draft("春")) is None


def test_lines_of_an_acrostic_are_led_to_begin_with_words_of_the_training_text() -> None:
    words = frozenset({"the", "then", "time", "i'm", "sea"})
    acrostic = Acrostic("ti", ENGLISH.characters, words)
    assert acrostic.allowed(draft("“t")) == "hi"
    assert not acrostic.may_end(draft("th"))
    after_the = acrostic.allowed(draft("The")) or ""
    assert set(after_the) == {"n", " ", ",", ".", "!", "?", "\n"}
    assert acrostic.may_end(draft("the"))
    assert set(acrostic.allowed(draft("time")) or "") == {" ", ",", ".", "!", "?", "\n"}
    # After the first word, all is free.
    assert acrostic.allowed(draft("the ")) is None
    assert acrostic.allowed(draft("then, s")) is None
    assert set(acrostic.allowed(draft("i", ["the sea"])) or "") == {"'"}
    assert acrostic.fits(draft("tx"))  # whoever writes it: only the letter is asked for
    # A word that was given and leads to none of them goes on as it likes.
    assert acrostic.allowed(draft("tx")) is None
    assert acrostic.may_end(draft("tx"))
    # Without a word that begins so, the model is left to itself, as it is without words.
    assert Acrostic("o", ENGLISH.characters, words).allowed(draft("o")) is None
    assert Acrostic("t", ENGLISH.characters).allowed(draft("t")) is None
    assert Acrostic("o", ENGLISH.characters, words).may_end(draft("o"))


def test_a_word_that_must_occur_may_begin_a_line_of_an_acrostic() -> None:
    words = frozenset({"the", "then"})
    form = Form(lines=1, acrostic="T", must=("Txyz",))
    acrostic, must = form.constraints(ENGLISH, np.random.default_rng(1), words)
    assert must.allowed(draft("T")) == "x"
    assert acrostic.allowed(draft("T")) is None


def test_lines_that_rhyme_with_nothing_or_not_with_each_other_do_not_end_a_rhyme() -> None:
    scheme = Rhyme("AAAA", CHINESE.characters)
    # What has no sound is passed over, and of lines that do not rhyme the last one is answered.
    assert scheme.endings(draft("", ["春花", "???"])) == frozenset("家")
    assert scheme.endings(draft("", ["春花", "不觉"])) == frozenset("家")  # 觉 is alone
    assert scheme.endings(draft("", ["春花", "大海"])) == frozenset("来开爱在外")
    assert scheme.fits(draft("花开", ["春花", "大海"]))
    assert not scheme.fits(draft("春家", ["春花", "大海"]))
    # With nothing to answer, it begins anew.
    assert scheme.endings(draft("", ["???", "123"])) is None


def test_an_acrostic_is_still_asked_for_behind_an_opening_quote() -> None:
    assert set(Acrostic("t").allowed(draft("“")) or "") == set("Tt")


def test_a_han_acrostic_at_the_end_is_an_ending_that_lines_are_led_to() -> None:
    ends = AcrosticEnd("天年", CHINESE.characters)
    assert ends.endings(draft("春眠")) == frozenset("天")
    assert ends.endings(draft("春眠", ["春天"])) == frozenset("年")
    assert ends.endings(draft("春眠", ["春天", "一年"])) is None
    assert ends.may_end(draft("春眠"))
    assert ends.fits(draft("春天"))
    assert ends.fits(draft("“春天！”"))
    assert not ends.fits(draft("天春"))
    assert ends.fits(draft("天春", ["春天", "一年"]))


def test_a_latin_acrostic_at_the_end_leads_to_words_that_end_so() -> None:
    ends = AcrosticEnd("eX", "abcdefghijklmnopqrstuwxyz ")
    words = ends.endings(draft("my "))
    assert words is not None
    assert {"the", "home", "alone"} <= words
    assert "love" not in words  # it cannot be spelled with these
    assert all(word.endswith("e") for word in words)
    assert ends.may_end(draft("th"))
    assert not ends.fits(draft("th"))
    more = ends.endings(draft("my ", ["the"]))
    assert more is not None
    assert {"fox", "six"} <= more
    assert ends.endings(draft("my ", ["the", "fox"])) is None


def test_without_the_dictionary_lines_end_only_on_the_letter_in_either_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = AcrosticEnd("eX", "abcdefghijklmnopqrstuvwxyz ")
    monkeypatch.setattr(
        "charlstm.writing.constraints.words_ending_in", lambda letter, characters: None
    )
    assert ends.endings(draft("the")) is None
    for line, met in (("the", True), ("THE!", True), ("th", False), ("e the th", False)):
        assert ends.may_end(draft(line)) is met
        assert ends.fits(draft(line)) is met
    assert ends.fits(draft("fax", ["the"]))
    assert not ends.fits(draft("the", ["the"]))
    assert ends.may_end(draft("free", ["the", "fax"]))


# Rhymes.


def test_the_first_line_of_a_rhyme_ends_on_something_that_can_be_answered() -> None:
    scheme = Rhyme("AA", CHINESE.characters)
    assert scheme.endings(draft("春天")) is None
    assert scheme.fits(draft("春天，"))  # 眠天年边前远见看
    assert not scheme.fits(draft("春花"))  # 家 alone answers
    assert not scheme.fits(draft("春天 9"))
    english = Rhyme("AA", ENGLISH.characters)
    assert english.fits(draft("all the night"))
    assert not english.fits(draft("an orange"))
    assert not english.fits(draft("zzxqy"))


def test_a_later_line_of_a_rhyme_answers_on_another_unit() -> None:
    scheme = Rhyme("AABA", CHINESE.characters)
    before = ["春天。"]
    assert scheme.endings(draft("", before)) == frozenset("眠年边前远见看")
    assert scheme.fits(draft("不见！”", before))
    assert not scheme.fits(draft("天天", before))  # no unit rhymes with itself
    assert not scheme.fits(draft("不来", before))
    # The third line is free, also to rhyme.
    assert scheme.endings(draft("", ["春天", "不见"])) is None
    assert scheme.fits(draft("不来", ["春天", "不见"]))
    assert scheme.fits(draft("春天", ["春天", "不见"]))
    fourth = ["春天", "不见", "不来"]
    assert scheme.endings(draft("", fourth)) == frozenset("眠年边前远看")
    assert not scheme.fits(draft("不见", fourth))
    assert scheme.fits(draft("不远", fourth))


def test_english_lines_rhyme_on_words_in_either_case_that_the_model_can_spell() -> None:
    scheme = Rhyme("ABAB", ENGLISH.characters)
    before = ["All the NIGHT!", "my heart"]
    endings = scheme.endings(draft("", before))
    assert endings is not None
    assert {"light", "tonight", "bite"} <= endings
    assert "night" not in endings
    assert all(word == word.lower() for word in endings)
    few = Rhyme("ABAB", "lightan\n").endings(draft("", before)) or frozenset()
    assert {"light"} <= few
    assert all(set(word) <= set("lightan") for word in few)
    assert scheme.fits(draft("turn on the Light.", before))
    assert not scheme.fits(draft("a silent night", before))
    assert not scheme.fits(draft("so far", before))
    assert not scheme.fits(draft("lights", before))


def test_a_second_stanza_rhymes_anew() -> None:
    scheme = Rhyme("AAB", CHINESE.characters)
    before = ["春天", "不见", "花"]
    assert scheme.endings(draft("", before)) is None
    assert scheme.fits(draft("大海", before))
    assert scheme.fits(draft("春天", before))
    assert not scheme.fits(draft("桃花", before))
    answered = scheme.endings(draft("", [*before, "大海"]))
    assert answered == frozenset("来开爱在外")
    # B stands once: the third line of each stanza is free.
    assert scheme.endings(draft("", [*before, "大海", "不来"])) is None
    assert scheme.fits(draft("风雨", [*before, "大海", "不来"]))


def test_lines_are_led_to_the_words_of_the_training_text_where_some_of_them_fit() -> None:
    before = ["in the night"]
    everything = Rhyme("AA", ENGLISH.characters).endings(draft("", before))
    assert everything is not None
    assert everything > {"light", "kite", "dwight"}
    known = Rhyme("AA", ENGLISH.characters, frozenset({"night", "light", "kite", "day"}))
    assert known.endings(draft("", before)) == frozenset({"light", "kite"})
    assert known.fits(draft("in the night"))
    assert not known.fits(draft("every knight"))
    # Two answers are too few to begin a rhyme with, and a rhyme begun elsewhere is still answered.
    few = Rhyme("AA", ENGLISH.characters, frozenset({"night", "light", "day"}))
    assert not few.fits(draft("in the night"))
    none = Rhyme("AA", ENGLISH.characters, frozenset({"day"}))
    assert none.endings(draft("", before)) == everything
    ends = AcrosticEnd("t", ENGLISH.characters, frozenset({"night", "day"}))
    assert ends.endings(draft("")) == frozenset({"night"})
    # What is not written in Latin letters is not among the words, and needs not be.
    han = Rhyme("AA", CHINESE.characters, frozenset({"day"}))
    assert han.endings(draft("", ["春花"])) == frozenset("家")


def test_the_letters_of_a_scheme_may_be_small() -> None:
    (constraint,) = Form(rhyme="aBAb").constraints(CHINESE)
    assert isinstance(constraint, Rhyme)
    assert constraint.scheme == "ABAB"


# Words that must occur.


def test_a_word_is_due_at_once_or_later_as_chance_has_it() -> None:
    must = Must(("风雨",), lengths=((5, 5),))
    asked = [
        [must.allowed(draft("春眠不觉"[:n], chance=chance)) for n in range(5)]
        for chance in (0.0, 0.3, 0.6, 0.99)
    ]
    assert asked == [
        ["风"] * 5,
        [None, "风", "风", "风", "风"],
        [None, None, "风", "风", "风"],
        [None, None, None, "风", "风"],
    ]


def test_a_word_that_has_begun_is_finished_and_then_all_is_free() -> None:
    must = Must(("风雨",), lengths=((5, 5),))
    assert must.allowed(draft("风", chance=0.99)) == "雨"
    assert must.allowed(draft("春风")) == "雨"
    assert must.allowed(draft("春风雨")) is None
    assert not must.may_end(draft("春风"))
    assert must.may_end(draft("春风雨"))
    assert must.fits(draft("春风雨来"))
    assert not must.fits(draft("春雨风"))
    assert not must.must_end(draft("春风雨"))
    assert must.endings(draft("春")) is None


def test_a_word_stands_in_one_line_and_is_not_asked_for_again() -> None:
    must = Must(("风雨",), lengths=((5, 5),))
    before = ["春风雨来"]
    assert must.fits(draft("花", before))
    assert must.allowed(draft("花", before)) is None
    assert must.may_end(draft("花", before))
    assert not must.fits(draft("花", ["花", "家"]))


def test_a_word_with_a_line_of_its_own_is_asked_for_there_alone() -> None:
    must = Must(("风雨",), 1, ((5, 5),))
    assert must.fits(draft("花"))
    assert must.allowed(draft("")) is None
    assert not must.fits(draft("花", ["家"]))
    assert must.allowed(draft("", ["家"])) == "风"
    assert must.fits(draft("花", ["风雨"]))
    assert must.fits(draft("花", ["家", "风雨"]))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("love", True),
        ("my love!", True),
        ("“love”", True),
        ("love-song", True),
        ("lovely", False),
        ("glove", False),
        ("gloves and love", True),
        ("lovely love", True),
        ("Love", False),
        ("我love你", True),
        ("lo ve", False),
    ],
)
def test_a_latin_word_is_a_whole_word(line: str, found: bool) -> None:
    assert Must(("love",)).fits(draft(line)) is found


@pytest.mark.parametrize(("word", "line"), [("can", "I can't"), ("don", "don’t go"), ("s", "it's")])
def test_a_word_is_not_found_in_another_that_has_an_apostrophe(word: str, line: str) -> None:
    assert not Must((word,)).fits(draft(line))


def test_a_latin_word_begins_only_where_a_word_may() -> None:
    must = Must(("love",))
    assert must.allowed(draft("my")) is None
    assert must.allowed(draft("my ")) == "l"
    assert must.allowed(draft("my l")) == "o"
    assert must.allowed(draft("mel")) is None
    assert must.allowed(draft("我")) == "l"
    assert must.allowed(draft("lovely")) is None
    assert must.allowed(draft("lovely ")) == "l"


@pytest.mark.parametrize("line", ["春风雨来", "风雨", "花，风雨。"])
def test_a_han_word_stands_anywhere(line: str) -> None:
    assert Must(("风雨",)).fits(draft(line))


def test_several_words_with_spaces_between_are_one_wish() -> None:
    must = Must(("the sea",))
    assert must.allowed(draft("see the")) == " "
    assert must.fits(draft("see the sea"))
    assert not must.fits(draft("see the seas"))


def test_without_a_generator_a_word_is_asked_for_in_the_next_line() -> None:
    (_, must) = Form(line_length="7", must=("风雨",)).constraints(CHINESE)
    assert must == Must(("风雨",), None, ((7, 7),), Setting("must", ("风雨",)))
    (must,) = Form(must=("风雨",)).constraints(CHINESE)
    assert must == Must(("风雨",), None, (), Setting("must", ("风雨",)))


def test_a_generator_spreads_words_over_the_lines_where_there_is_room() -> None:
    form = Form(line_length="1,7,2-5,1", must=("风雨来",))
    found = {
        (must.line, must.lengths)
        for seed in range(40)
        for must in form.constraints(CHINESE, np.random.default_rng(seed))
        if isinstance(must, Must)
    }
    assert found == {(1, form.lengths), (2, form.lengths)}
    free = Form(lines=3, must=("风", "雨"))
    places = {
        tuple(
            (must.line, must.words)
            for must in free.constraints(CHINESE, np.random.default_rng(seed))
            if isinstance(must, Must)
        )
        for seed in range(60)
    }
    # Three lines for both, which are one wish then, and six ways to part them.
    assert len(places) == 9
    assert {len(found) for found in places} == {1, 2}
    again = free.constraints(CHINESE, np.random.default_rng(7))
    assert free.constraints(CHINESE, np.random.default_rng(7)) == again


# Parts that cannot be combined.


def test_one_word_is_one_word_without_a_tuple_too() -> None:
    assert Form(must="love") == Form(must=("love",))  # type: ignore[arg-type]


def test_without_a_generator_each_line_has_one_of_the_words_that_it_has_room_for() -> None:
    (_, must) = Form(line_length="2,5", must=("风雨来", "春天", "风")).constraints(CHINESE)
    assert must.allowed(draft("")) == "春"
    assert not must.fits(draft("风"))
    assert must.fits(draft("春天"))
    # What has occurred is not asked for again, and what was too long for one line is for the next.
    assert must.allowed(draft("", ["春天"])) == "风"
    assert not must.fits(draft("风春天", ["春天"]))
    assert must.fits(draft("风雨来", ["春天"]))
    assert must.allowed(draft("", ["春天", "风雨来"])) is None  # the 风 of 风雨来 is one


def test_words_for_which_the_lines_together_have_no_room_are_refused() -> None:
    form = Form(lines=2, line_length="3", must=("春", "风雨", "天边", "花"))
    assert len(form.constraints(CHINESE, np.random.default_rng(1))) == 3
    form = Form(lines=2, line_length="3", must=("春风", "风雨", "天边"))
    with pytest.raises(RecipeError) as caught:
        form.constraints(CHINESE, np.random.default_rng(1))
    assert str(caught.value) == (
        "must='天边' finds no room beside the others in 2 lines of line_length='3'."
    )


def test_a_scheme_of_which_no_two_lines_that_rhyme_are_left_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        Form(lines=2, rhyme="ABAB")
    assert str(caught.value) == "lines=2 leaves no two lines of rhyme='ABAB' that rhyme."
    assert Form(lines=3, rhyme="ABAB").count == 3


@pytest.mark.parametrize("seed", [None, 1])
def test_a_word_longer_than_every_line_is_refused(seed: int | None) -> None:
    generator = None if seed is None else np.random.default_rng(seed)
    with pytest.raises(RecipeError) as caught:
        Form(line_length="1,2", must=("风雨来",)).constraints(CHINESE, generator)
    assert str(caught.value) == "must='风雨来' does not fit into a line of line_length='1,2'."


def test_what_does_not_count_in_a_line_does_not_count_in_a_word_that_it_must_have() -> None:
    form = Form(line_length="4", must=("a, b c",))
    (_, must) = form.constraints(ENGLISH, np.random.default_rng(1))
    # There is room for one character before it.
    before = ["x"]
    assert must.allowed(draft("", before, chance=0.99)) is None
    assert must.allowed(draft("x ", before, chance=0.99)) == "a"


def test_ends_that_do_not_rhyme_where_they_should_are_refused() -> None:
    form = Form(acrostic_end="天来年海", rhyme="AABA")
    with pytest.raises(RecipeError) as caught:
        form.constraints(CHINESE)
    assert str(caught.value) == (
        "rhyme='AABA' asks for lines that rhyme, and 天 and 来 of acrostic_end do not."
    )
    assert len(Form(acrostic_end="天来年海", rhyme="ABAB").constraints(CHINESE)) == 2
    assert len(Form(acrostic_end="天 年", rhyme="AABB").constraints(CHINESE)) == 2


def test_ends_that_do_not_rhyme_in_a_later_stanza_are_refused_too() -> None:
    form = Form(acrostic_end="天年天海", rhyme="AA")
    with pytest.raises(RecipeError, match="天 and 海 of acrostic_end do not"):
        form.constraints(CHINESE)
    # Stanzas need not rhyme with each other.
    assert len(Form(acrostic_end="天年来海", rhyme="AA").constraints(CHINESE)) == 2


def test_the_same_end_twice_in_a_rhyme_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"天 and 天 .* do not: nothing rhymes with itself\.$"):
        Form(acrostic_end="天天", rhyme="AA").constraints(CHINESE)


def test_a_form_of_more_lines_than_can_be_written_is_refused() -> None:
    assert Form(lines=20_000).count == 20_000
    with pytest.raises(RecipeError) as caught:
        Form(lines=20_000, line_length="7")
    assert str(caught.value) == ("lines must be a whole number from 1 to 10,000, not 20000.")


def test_a_rhyme_whose_ends_are_all_asked_for_needs_no_others_that_answer() -> None:
    rhyme = next(
        constraint
        for constraint in Form(acrostic_end="花家", rhyme="AA").constraints(CHINESE)
        if isinstance(constraint, Rhyme)
    )
    assert rhyme.fits(draft("春花"))
