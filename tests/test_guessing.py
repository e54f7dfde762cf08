"""Texts that do not say their encoding; the lines are those of ``benchmarks.encodings``."""

import pytest

from benchmarks.encodings import TEXTS, text_of
from charlstm.text.encodings import decode, find_encoding
from charlstm.text.guessing import Guess

CASES = [
    (language, encoding) for language, (encodings, _) in TEXTS.items() for encoding in encodings
]


def guess(data: bytes) -> Guess | None:
    return find_encoding(lambda: [data], name="song.txt").guess


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_text_in_an_old_encoding_comes_back_as_it_was(language: str, encoding: str) -> None:
    # Of Apple's Cyrillic only the capitals differ from Windows', and few lines have one.
    size = 40 if encoding == "mac_cyrillic" else 12
    text = text_of(TEXTS[language][1], size, 1)
    assert decode(text.encode(encoding), name="song.txt")[0] == text


@pytest.mark.parametrize("language", ["Russian", "Greek", "Polish", "Czech"])
def test_a_text_in_capitals_comes_back_as_well(language: str) -> None:
    encodings, lines = TEXTS[language]
    text = text_of(lines, 30, 2).upper()
    assert decode(text.encode(encodings[0]), name="song.txt")[0] == text


@pytest.mark.parametrize("size", [1, 3, 12])
def test_japanese_in_half_width_katakana_alone_comes_back_as_it_was(size: int) -> None:
    lines = ("ｴｷﾉ ﾔﾈﾆ ｱﾒｶﾞ ﾔﾝﾀﾞ", "ｷﾐﾊ ﾏﾄﾞﾆ ﾅﾏｴｦ ｶｲﾀ", "ｶｾﾞｶﾞ ﾌｹﾊﾞ ｷｴﾃｼﾏｳ", "ﾀﾞﾚﾉ ｱｶﾘｶﾞ ﾏﾀﾞ ﾂｲﾃﾙ")
    for seed in range(4):
        text = text_of(lines, size, seed)
        for written in (text, text.replace(" ", "")):
            assert decode(written.encode("shift_jis"), name="song.txt") == (written, "shift_jis")


def test_what_is_certain_is_not_called_a_guess() -> None:
    text = text_of(TEXTS["Polish"][1], 12, 1)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert guess(text.encode(encoding)) is None
    assert guess(b"la la\n") is None
    assert find_encoding(lambda: [b"\xb9"], name="song.txt", encoding="cp1250").guess is None


def test_a_guess_says_how_sure_it_is_what_else_there_is_and_the_first_line_that_tells() -> None:
    found = guess("la la\n\nźródło bije\nświt\n".encode("cp1250") * 9)
    assert found is not None
    assert (found.encoding, found.line) == ("cp1250", "źródło bije")
    assert found.sure > 0.9
    assert found.others


def test_one_word_is_not_guessed_as_surely_as_many() -> None:
    long = guess(text_of(TEXTS["Swedish"][1], 100, 1).encode("mac_roman"))
    short = guess("så\n".encode("mac_roman"))
    assert long is not None
    assert short is not None
    assert short.sure < 0.8 < long.sure


def test_characters_that_were_lost_before_do_not_hide_the_encoding() -> None:
    # As a converter leaves it: simplified characters that Big5 does not have are question marks.
    text = "我们说好看海的\n你听风停了\n".encode("big5", "replace").decode("big5") * 20
    assert decode(text.encode("big5"), name="song.txt") == (text, "big5")


def test_the_guess_of_a_long_text_looks_at_the_lines_that_tell() -> None:
    text = "nothing but plain words here\n" * 60_000 + "zażółć gęślą jaźń\n" * 3
    assert decode(text.encode("iso8859_2"), name="song.txt")[0] == text


def test_a_text_in_one_line_is_guessed_too() -> None:
    text = "дождь затих на крыше вокзала " * 50_000
    assert decode(text.encode("koi8_r"), name="song.txt")[0] == text
