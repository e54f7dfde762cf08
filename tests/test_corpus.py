import hashlib
import re
import sys
import tempfile
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError, SettingError
from charlstm.text import corpus, locations
from charlstm.text.corpus import TextOptions
from charlstm.text.earlier import Earlier
from charlstm.text.reading import Reading, held_in_memory, read_corpus
from charlstm.text.songs import END

SIMPLIFIED = (
    "夜里的街灯还亮着，我一个人走在回家的路上。\n"
    "你说过的话，像雨一样落下来，打湿了我的肩膀。\n"
    "时间慢慢地走，我们慢慢地忘，谁还记得那一年的夏天？\n"
)
# As runs from before 0.2.0 have their files.
JOINED = Earlier(apart=False)


def file(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


# The form of the text.


def test_every_kind_of_line_break_becomes_a_line_feed() -> None:
    assert TextOptions().apply("one\r\ntwo\rthree\n\r\n\r\rfour") == "one\ntwo\nthree\n\n\n\nfour"


def test_line_breaks_become_spaces_on_request() -> None:
    assert TextOptions(newline="space").apply("one\r\ntwo\r\rthree\n") == "one two  three "


def test_letters_and_their_accents_are_composed_unless_told_not_to() -> None:
    apart = "cafe\u0301 \u1112\u1161\u11ab が"
    assert TextOptions().apply(apart) == "caf\u00e9 \ud55c が"
    assert TextOptions(normalize=False).apply(apart) == apart


def test_full_width_characters_stay_full_width() -> None:
    assert TextOptions().apply("，ＡＢ①ﬁ") == "，ＡＢ①ﬁ"


@settings(deadline=None, max_examples=60)
@given(
    st.text("ab\r\n\x0b\u2028\u0301é분\u1112\u1161"),
    st.booleans(),
    st.sampled_from(["keep", "space"]),
)
def test_text_in_the_right_form_stays_as_it_is(text: str, normalize: bool, newline: str) -> None:
    options = TextOptions(normalize=normalize, newline=newline)
    once = options.apply(text)
    assert options.apply(once) == once
    assert "\r" not in once
    assert newline == "keep" or "\n" not in once
    assert not normalize or unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"newline": "tab"}, "newline must be 'keep' or 'space', not 'tab'."),
        ({"limit": 0}, "limit must be a whole number from 1 up, not 0."),
        ({"limit": True}, "limit must be a whole number from 1 up, not True."),
        ({"limit": 2.5}, "limit must be a whole number from 1 up, not 2.5."),
        ({"normalize": 1}, "normalize must be true or false, not 1."),
        ({"tidy": "yes"}, "tidy must be true or false, not 'yes'."),
        ({"line_ends": "old"}, "line_ends must be 'unicode' or 'plain', not 'old'."),
    ],
)
def test_an_option_out_of_its_range_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        TextOptions(**options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_the_limit_counts_characters_of_the_finished_text(tmp_path: Path) -> None:
    path = file(tmp_path / "song.txt", "e\u0301\r\n\r\ne\u0301x")
    assert read_corpus([path], options=TextOptions(limit=4)).text == "é\n\né"
    assert read_corpus([path], options=TextOptions(limit=5)).text == "é\n\néx"
    assert read_corpus([path], options=TextOptions(limit=500)).text == "é\n\néx"


def test_the_limit_runs_over_all_files_together(tmp_path: Path) -> None:
    first, second = file(tmp_path / "1.txt", "abc"), file(tmp_path / "2.txt", "def")
    assert read_corpus([first, second], options=TextOptions(limit=6)).text == "abc\n\nd"


# A text comes in pieces, wherever they are cut.

# Letters with and without accents, marks of several classes, one of which decomposes; the parts of
# Korean syllables and whole ones; vowels that are composed with each other; what is never composed.
HARD = (
    "aeA\u0308\u0301\u0323\u0344\u0345éǖΩ\u1112\u1161\u11ab한하\u09c7\u09be\u0bc6\u0bbe"
    "\u0dd9\u0dcf\u0dca\u0915\u093c\u0958\u0f71\u0f72\u0f73か\u3099が分豈😀👩\u200d\ufe0f\r\n "
    "\x0c\x85\u2028"
)
MARKS = "\u0301\u0323\u0308"


def in_pieces(text: str, sizes: Sequence[int]) -> list[str]:
    cuts = [0, *(sum(sizes[: place + 1]) for place in range(len(sizes))), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


@settings(deadline=None, max_examples=250)
@given(
    st.text(HARD, max_size=40), st.lists(st.integers(0, 7)), st.booleans(), st.sampled_from("ks")
)
def test_the_form_of_a_text_does_not_depend_on_where_pieces_are_cut(
    text: str, sizes: list[int], normalize: bool, newline: str
) -> None:
    options = TextOptions(normalize=normalize, newline={"k": "keep", "s": "space"}[newline])
    expected = re.sub("\r\n|[\r\x0c\x85\u2028]", "\n", text)
    if newline == "s":
        expected = expected.replace("\n", " ")
    if normalize:
        expected = unicodedata.normalize("NFC", expected)
    assert "".join(options.apply_to(in_pieces(text, sizes))) == expected
    assert options.apply(text) == expected


def test_whatever_is_composed_with_a_character_before_it_is_never_parted_from_it() -> None:
    second = {"\u1161", "\u1175", "\u11a8", "\u11c2"}  # Korean is composed by rule
    for character in map(chr, range(sys.maxunicode + 1)):
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second.add(chr(int(parts[1], 16)))
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0]):
            second.add(character)
    assert len(second) > 500
    assert not [f"{ord(one):x}" for one in second if corpus._begins_anew(one)]


def test_texts_without_spaces_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else they would be cut in words, where they are longest.
    monkeypatch.setattr(corpus, "_LONGEST_WORD", 8)
    for text in ("ひらがなだけのうた" * 9, "천사" * 20, "👩‍👧" * 30, "𠮷野家" * 9, "วันนี้" * 20):
        text = unicodedata.normalize("NFD", text)
        whole = unicodedata.normalize("NFC", text)
        assert "".join(TextOptions().apply_to(in_pieces(text, [9] * 4))) == whole


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([0, 1, 100, 255, 256, 257, 400, 5000, 9000]), max_size=3),
    st.lists(st.sampled_from([1, 100, 257, 4096, 5000])),
)
def test_marks_in_hundreds_stay_as_they_are_wherever_pieces_are_cut(
    runs: list[int], sizes: list[int]
) -> None:
    text = "".join(f"가e{MARKS * (run // 3)}{MARKS[: run % 3]}" for run in runs)
    expected = "".join(
        f"가e{many}" if len(many) > 256 else unicodedata.normalize("NFC", f"가e{many}")
        for many in text.split("가e")[1:]
    )
    options = TextOptions()
    assert "".join(options.apply_to(in_pieces(text, sizes))) == expected
    assert options.apply(expected) == expected


# Some marks are in the wrong order; some are two at once, and no marks by their own properties.
@pytest.mark.parametrize("marks", [MARKS[:2], "\u0344\u0323", "\u0f73\u0301", "\u0f71\u0f81"])
def test_two_hundred_thousand_marks_on_one_letter_take_no_time(marks: str) -> None:
    text = "e" + marks * 100_000 + "\n"
    began = time.process_time()
    pieces = list(TextOptions().apply_to(in_pieces(text, [1 << 16] * 3)))
    assert time.process_time() - began < 2
    assert "".join(pieces) == text


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(HARD, max_size=12), min_size=1, max_size=4), st.integers(1, 7))
def test_a_corpus_is_the_same_however_little_of_it_is_read_at_once(
    texts: list[str], size: int
) -> None:
    with tempfile.TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        codecs = ("utf-8", "utf-16", "utf-32", "utf-8-sig")
        files = [
            file(Path(where, f"{place}.txt"), "分开" + text, codecs[place % 4])
            for place, text in enumerate(texts)
        ]
        whole = read_corpus(files)
        patch.setattr(locations, "PIECE", size)
        cut = read_corpus(files)
        patch.undo()
        joined = read_corpus(files, earlier=JOINED)
    assert cut.text == whole.text
    assert (cut.sha256, cut.sources, len(cut)) == (whole.sha256, whole.sources, len(whole))
    assert cut.sha256 == hashlib.sha256(cut.text.encode()).hexdigest()
    assert cut.counts() == whole.counts() == Counter(whole.text)
    for read, breaks in ((joined, 1), (whole, 2)):
        expected = ""
        for text in texts:
            text = re.sub("\r\n|[\r\x0c\x85\u2028]", "\n", text)
            while expected and not expected.endswith("\n" * breaks):
                expected += "\n"
            expected += "分开" + text
        assert read.text == unicodedata.normalize("NFC", expected)


def test_a_line_break_at_the_end_of_a_file_is_not_one_with_that_at_the_beginning_of_the_next(
    tmp_path: Path,
) -> None:
    first, second = file(tmp_path / "1.txt", "a\r"), file(tmp_path / "2.txt", "\nb")
    empty = file(tmp_path / "3.txt", "")
    for places in ([first, second], [first, empty, second]):
        assert read_corpus(places).text == "a\n\n\nb"
        assert read_corpus(places, earlier=JOINED).text == "a\n\nb"


def test_the_line_breaks_at_the_end_of_a_file_are_all_seen_however_little_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [file(tmp_path / "1.txt", "one two\n\n"), file(tmp_path / "2.txt", "three")]
    monkeypatch.setattr(locations, "PIECE", 1)
    assert read_corpus(places).text == "one two\n\nthree"


def test_a_mark_at_the_beginning_of_a_file_is_not_set_on_the_last_letter_of_another(
    tmp_path: Path,
) -> None:
    first, second = file(tmp_path / "1.txt", "e"), file(tmp_path / "2.txt", "\u0301")
    assert read_corpus([first, second]).text == "e\n\n\u0301"


def test_the_limit_is_kept_however_little_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "song.txt", "e\u0301\r\n\r\ne\u0301x" * 3)
    monkeypatch.setattr(locations, "PIECE", 1)
    for limit in range(1, 14):
        limited = read_corpus([path], options=TextOptions(limit=limit))
        assert limited.text == ("é\n\néx" * 3)[:limit]
        assert limited.sources[0].characters == 27  # of the file, all of it


# It is read twice.


@pytest.mark.parametrize("after", ["La la", "la l", "la laa", ""])
def test_a_corpus_that_is_changed_while_it_is_read_is_refused(tmp_path: Path, after: str) -> None:
    path = file(tmp_path / "song.txt", "la la")
    with Reading([path], options=TextOptions()) as reading:
        file(path, after)
        with pytest.raises(CorpusError) as caught:
            held_in_memory(reading)
    assert str(caught.value) == (
        "The corpus changed while it was being read: run the command again when it no longer "
        "changes."
    )


@pytest.mark.parametrize("members", [["a"], ["a", "b", "c"], ["b", "a"]])
def test_an_archive_that_is_changed_while_it_is_read_is_refused(
    tmp_path: Path, members: list[str]
) -> None:
    path = tmp_path / "songs.zip"

    def archive(texts: list[str]) -> None:
        with zipfile.ZipFile(path, "w") as opened:
            for place, text in enumerate(texts):
                opened.writestr(f"{place}.txt", text)

    archive(["a", "b"])
    with Reading([path], options=TextOptions()) as reading:
        archive(members)
        with pytest.raises(
            CorpusError, match=r"^The corpus changed while it was being read: .* longer changes\.$"
        ):
            held_in_memory(reading)


def test_who_reads_is_told_how_much_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "PIECE", 4)
    paths = [file(tmp_path / "1.txt", "la la"), file(tmp_path / "2.txt", "分开")]
    told: list[tuple[int, int]] = []
    with Reading(
        paths, options=TextOptions(), on_read=lambda *numbers: told.append(numbers)
    ) as reading:
        held_in_memory(reading)
    assert told == [(4, 11), (5, 11), (9, 11), (11, 11)]


# What a corpus is known by, and its split.


def test_a_text_of_more_characters_than_two_bytes_can_number_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x1_2000)]))
    path = file(tmp_path / "song.txt", text)
    options = TextOptions(normalize=False)
    monkeypatch.setattr(locations, "PIECE", 100_000)
    read = read_corpus([path], options=options)
    assert read.ids.dtype == np.uint32
    # \r and five others have become \n, and so has what would end a song.
    assert len(read.alphabet) == len(text) - 7 > 1 << 16
    assert read.text == options.apply(text.replace(END, "\n\n"))
    short = file(tmp_path / "short.txt", text[: 1 << 16])
    assert read_corpus([short], options=options).ids.dtype == np.uint16


def test_a_part_of_a_corpus_is_a_part_of_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_corpus([file(tmp_path / "song.txt", SIMPLIFIED)])
    monkeypatch.setattr(corpus, "_PIECE", 5)
    assert "".join(read.pieces(3, 31)) == SIMPLIFIED[3:31]
    assert list(read.pieces(3, 11)) == [SIMPLIFIED[3:8], SIMPLIFIED[8:11]]
    assert read.counts(3, 31) == Counter(SIMPLIFIED[3:31])
    assert read.counts(7, 7) == {}
    assert read.lines == 3
    assert read.size == (len(SIMPLIFIED), len(set(SIMPLIFIED)))
    assert (read.memory_bytes, read.file_bytes) == (2 * len(SIMPLIFIED), 0)


@pytest.mark.parametrize(
    ("text", "lines"), [("a", 1), ("a\n", 1), ("a\nb", 2), ("a\nb\n", 2), ("a\n\n", 2), ("\n", 1)]
)
def test_a_line_break_ends_a_line_and_begins_none(tmp_path: Path, text: str, lines: int) -> None:
    assert read_corpus([file(tmp_path / "song.txt", text)]).lines == lines


def test_the_hash_of_a_corpus_is_that_of_its_text_however_it_was_stored(tmp_path: Path) -> None:
    plain = file(tmp_path / "plain.txt", SIMPLIFIED)
    other = file(tmp_path / "other.txt", SIMPLIFIED.replace("\n", "\r\n"), "gb18030")
    assert read_corpus([plain]).sha256 == hashlib.sha256(SIMPLIFIED.encode()).hexdigest()
    assert read_corpus([other]).sha256 == read_corpus([plain]).sha256
    shorter = read_corpus([plain], options=TextOptions(limit=20))
    assert shorter.sha256 != read_corpus([plain]).sha256
