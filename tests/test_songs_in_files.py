"""Songs out of files as people have them; each reader by itself."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError
from charlstm.text.formats import jsons, lines, lrc, tables
from charlstm.text.formats.account import Account, together
from charlstm.text.formats.format import FORMATS, PLAIN, WORD, Format
from charlstm.text.formats.which import find_format, songs_of
from charlstm.text.songs import Opening


def cut(text: str, size: int) -> Iterator[str]:
    yield from (text[at : at + size] for at in range(0, len(text), size))


def read(
    text: str, form: str | None = None, *, name: str = "song", field: str | None = None
) -> tuple[list[tuple[str | None, dict[str, str], str]], Account]:
    """Return the title, the fields and the text of each song, and what was left out."""
    account = Account()
    found = Format(form, field) if form else find_format(text, name, whole=True, field=field)
    songs: list[tuple[str | None, dict[str, str], str]] = []
    for item in songs_of(found, iter([text]), name, account):
        if isinstance(item, Opening):
            songs.append((item.title, dict(item.fields), ""))
        else:
            title, fields, before = songs.pop()
            songs.append((title, fields, before + item))
    return songs, account


def texts(text: str, form: str | None = None, *, field: str | None = None) -> list[str]:
    return [song for _, _, song in read(text, form, field=field)[0]]


def message(text: str, form: str | None = None, *, field: str | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        read(text, form, field=field)
    return str(caught.value)


# LRC.


def test_lrc_loses_its_times_and_keeps_what_its_tags_say() -> None:
    text = (
        "[ti:Harbour]\n[ar:The Lanterns]\n[al:Low Tide]\n[by:someone]\n[offset:+200]\n"
        "[00:01.00]the boats are home\n[00:04.50]\n[00:05]and so am I\n"
    )
    songs, account = read(text)
    assert songs == [
        (
            "Harbour",
            {"artist": "The Lanterns", "album": "Low Tide"},
            "the boats are home\n\nand so am I\n",
        )
    ]
    assert account.told() == ("3 timestamps", "2 tags")


@pytest.mark.parametrize(
    "line",
    [
        "[00:01.00]<00:01.00>the <00:01.40>boats <00:01.90>are home",
        "[00:01.00] [00:01.00]the [00:01.40]boats [00:01.90]are home",
        "[00:01:00]the boats<00:01.40> are home  ",
    ],
)
def test_times_of_words_go_with_their_spaces(line: str) -> None:
    assert texts(f"{line}\n[00:05.00]la\n") == ["the boats are home\nla\n"]


def test_the_first_line_of_a_time_is_kept_and_its_translation_counted() -> None:
    text = "".join(
        f"[00:0{n}.00]{line}\n"
        for n, line in ((1, "船都回来了"), (1, "the boats are home"), (2, "我也是"), (2, "so am I"))
    )
    songs, account = read(text)
    assert songs[0][2] == "船都回来了\n我也是\n"
    assert account.told() == ("4 timestamps", "2 translations")


def test_a_translation_that_follows_the_whole_song_is_told_apart_too() -> None:
    text = "[00:01.00]船\n[00:02.00]我\n[00:01.00]boats\n[00:02.00]me\n"
    assert texts(text) == ["船\n我\n"]


def test_lines_that_nobody_has_timed_are_no_translations() -> None:
    text = "".join(f"[00:00.00]line {n}\n" for n in range(6))
    assert texts(text) == ["".join(f"line {n}\n" for n in range(6))]


def test_a_line_that_is_sung_several_times_stands_wherever_it_is_sung() -> None:
    text = "[00:01.00][00:09.00]refrain\n[00:05.00]verse\n[01:10.00]end\n[00:10.00]more\n"
    assert texts(text) == ["refrain\nverse\nrefrain\nmore\nend\n"]


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (("00:02.5", "00:02.45"), "b a"),
        (("00:02.50", "00:02:45"), "b a"),
        (("1:02", "00:59.99"), "b a"),
        (("01:00:01.00", "59:59.00"), "b a"),
        (("00:02.500", "00:02.50"), "a"),
    ],
)
def test_times_are_compared_by_what_they_mean(times: tuple[str, str], order: str) -> None:
    text = "".join(f"[{time}]{line}\n" for time, line in zip(times, "ab", strict=True))
    assert texts(text)[0].split() == order.split()


def test_empty_lines_part_stanzas_unless_they_stand_between_all_lines() -> None:
    timed = [f"[00:0{n}.00]line {n}" for n in range(4)]
    stanzas = "\n".join([*timed[:2], "", *timed[2:]])
    assert texts(stanzas) == ["line 0\nline 1\n\nline 2\nline 3\n"]
    assert texts("\n\n".join(timed)) == ["line 0\nline 1\nline 2\nline 3\n"]


def test_a_line_without_a_time_stays_with_the_one_before_it() -> None:
    text = "by nobody\n[00:05.00]second\n[00:01.00]first\nand its rest\n"
    assert texts(text, "LRC") == ["by nobody\nfirst\nand its rest\nsecond\n"]


def test_tags_after_a_song_begin_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 30)
    text = "".join(f"[ti:{n}]\n[ar:x]\n[00:01.00]la {n}\n[00:02.00]li\n" for n in range(5))
    songs, account = read(text)
    assert [(title, song) for title, _, song in songs] == [
        (str(n), f"la {n}\nli\n") for n in range(5)
    ]
    assert account.told() == ("10 timestamps",)


def test_lrc_in_which_nothing_is_sung_is_refused() -> None:
    assert message("[ti:Rain]\n[ar:x]\n[by:y]\n") == (
        "song is LRC without any text besides 1 tag: leave the file out."
    )
    assert "without any text besides 2 timestamps, 1 song without words: leave" in message(
        "[00:01.00]\n[00:02.00]\n"
    )


def test_a_song_of_lrc_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lrc, "_LONGEST_SONG", 1_000)
    monkeypatch.setattr(lines, "_BLOCK", 100)
    assert "with a song of more than 1,000 characters" in message("[00:01.00]la\n" * 200)


# Subtitles.


def test_srt_keeps_the_lines_of_its_cues() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:02,000 X1:40\n<i>the boats</i>\n{\\an8}are home\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\n<font color='#fff'>1999</font>\n2000\n"
        "3\n00:00:05,000 --> 00:00:06,000\n\n"
        "4\n00:00:07,000 --> 00:00:08,000\nI <3 you, a < b\n"
    )
    songs, account = read(text)
    assert songs == [(None, {}, "the boats\nare home\n1999\n2000\nI <3 you, a < b\n")]
    assert account.told() == ("5 tags", "4 cue numbers", "4 cue times")


def test_webvtt_loses_its_head_its_notes_and_the_names_of_its_cues() -> None:
    text = (
        "WEBVTT - a film\nKind: captions\n\nSTYLE\n::cue { color: red }\n\n"
        "NOTE nobody reads\nthis\n\nREGION\nid:left\n\n"
        "intro\n00:01.000 --> 00:02.000 align:start\n<v Ann>the <c.loud>boats</c> &amp; I\n\n"
        "00:03.000 --> 00:04.000\n<00:03.500>NOTE this\nwell\n"
    )
    songs, account = read(text)
    assert songs == [(None, {}, "the boats & I\nNOTE this\nwell\n")]
    assert dict(account.left_out) == {
        "header line": 2, "style": 2, "note": 1, "cue number": 1, "cue time": 2, "tag": 4,
    }  # fmt: skip


def test_subtitles_without_words_are_refused() -> None:
    assert message("1\n00:00:01,000 --> 00:00:02,000\n\n") == (
        "song is SRT without any text besides 1 cue number, 1 cue time: leave the file out."
    )


# Tables.


def table(*rows: list[str], delimiter: str = ",") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "column", ["lyrics", "LYRIC", "Text", "content", "body", "歌词", "歌詞", "内容", " Song_Lyrics"]
)
def test_a_row_of_a_table_is_a_song(column: str, delimiter: str) -> None:
    text = table(
        ["Song", "Artist", column, "Year"],
        ["Harbour", "The Lanterns", 'the boats, "home"\n\nand; so\tam I', "1999"],
        ["Tide", "", "low\n", ""],
        delimiter=delimiter,
    )
    songs, account = read("\ufeff" + text.replace("\n", "\r\n"))
    assert songs == [
        (
            "Harbour",
            {"artist": "The Lanterns", "year": "1999"},
            'the boats, "home"\n\nand; so\tam I\n',
        ),
        ("Tide", {}, "low\n"),
    ]
    assert account.told() == ()
    assert account.fields == {column.strip(): 2}


def test_the_likeliest_of_several_columns_has_the_text() -> None:
    text = table(["text", "lyrics"], ["about it", "la la"])
    assert texts(text) == ["la la\n"]
    assert texts(text, field="TEXT") == ["about it\n"]


def test_a_table_without_a_column_for_the_text_lists_those_it_has() -> None:
    text = table(["words of it", "mood"], ["la", "sad"])
    assert message(text, "CSV") == (
        "song is a table without a column whose name says that it has the text. Its first row has: "
        "words of it, mood. Say which one it is with field, or save the words as plain text."
    )
    assert "without a column called lyrics. Its first row has: words of it, mood." in message(
        text, "CSV", field="lyrics"
    )
    assert texts(text, "CSV", field="words of it") == ["la\n"]


def test_rows_that_cannot_be_songs_are_counted_and_the_first_is_shown() -> None:
    text = "title,lyrics\nA,la\nB\nC,li, lo\nD,\nE,lu,\n\nF\n"
    songs, account = read(text, "CSV")
    assert [(title, song) for title, _, song in songs] == [("A", "la\n"), ("E", "lu\n")]
    assert account.told() == (
        "2 rows with too few columns (the first in line 3)",
        "1 row with too many columns (line 4)",
        "1 row without text (line 5)",
    )


def test_a_quote_that_is_never_closed_is_an_error_that_says_where_its_row_begins() -> None:
    text = 'title,lyrics\nA,"la\nla"\nB,"li\nlo\n'
    assert message(text) == (
        "song is a table in which a quote is opened and never closed, in the row that begins in "
        "line 4: close it there."
    )


def test_a_field_may_be_long_and_the_limit_of_others_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit()
    song = "la la\n" * 100_000
    pieces = songs_of(
        Format("CSV"), cut(table(["lyrics", "x"], [song, "y"]), 70_000), "song", Account()
    )
    assert isinstance(next(pieces), Opening)
    assert csv.field_size_limit() == before
    assert next(pieces) == song
    assert csv.field_size_limit() == before
    monkeypatch.setattr(tables, "LONGEST", 1_000)
    assert "a row of more than 1,000 characters, which begins in line 2: a quote may be" in (
        message(table(["lyrics", "x"], [song, "y"]), "CSV")
    )
    assert csv.field_size_limit() == before


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"^a\.csv has more than 100 characters in line 3, "):
        list(lines.in_blocks(cut("la\nla\n" + "x" * 101, 7), "a.csv", longest=100))


# JSON.


def test_songs_are_found_in_json_at_any_depth_with_what_is_told_of_them() -> None:
    value = {
        "artist": "The Lanterns",
        "albums": [
            {"album": "Low Tide", "songs": [{"title": "Harbour", "lyrics": "the boats\nare home"}]},
            {"album": "Ebb", "songs": [{"title": "Sand", "lyrics": ["grain", "by grain"]}]},
        ],
    }
    songs, account = read(json.dumps(value, indent=1))
    assert songs == [
        ("Harbour", {"artist": "The Lanterns", "album": "Low Tide"}, "the boats\nare home\n"),
        ("Sand", {"artist": "The Lanterns", "album": "Ebb"}, "grain\nby grain\n"),
    ]
    assert account.told() == ()
    assert account.fields == {"lyrics": 2}


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ([{"paragraphs": ["la", "li"]}], "paragraphs", ["la\nli\n"]),
        ([{"data": {"words of it": "la"}}], "data.words of it", ["la\n"]),
        ({"data": [{"words of it": "la"}, {"words of it": "li"}]}, "words of it", ["la\n", "li\n"]),
        ({"all": {"data": [{"lyrics": "la", "x": 1}]}}, "data.lyrics", ["la\n"]),
        ([{"a.b": "la"}], "a.b", ["la\n"]),
        ([{"stanzas": [["la", "li"], ["lo"]]}], None, ["la\nli\n\nlo\n"]),
        ([[["la", "li"], ["lo"]]], None, ["la\nli\n\nlo\n"]),
        (["la", "li"], None, ["la\n", "li\n"]),
        ([["la", "li"], ["lo"]], None, ["la\nli\n", "lo\n"]),
        ({"text": "about", "lyrics": "la"}, None, ["la\n"]),
        ({"text": {"lyrics": "la\r\nli"}}, None, ["la\nli\n"]),
    ],
)
def test_the_text_is_where_the_field_or_its_name_says(
    value: object, field: str | None, expected: list[str]
) -> None:
    assert texts(json.dumps(value), "JSON", field=field) == expected
    if isinstance(value, dict):
        assert texts(json.dumps([value]), "JSON", field=field) == expected
        assert texts(json.dumps(value), "JSON Lines", field=field) == expected


def test_lyrics_with_times_lose_them_in_json_and_in_tables_too() -> None:
    song = "[ti:Rain]\n[00:01.00]la\n[00:02.00]li\n"
    answer = {"lrc": {"lyric": song}, "tlyric": {"lyric": "[00:01.00]other"}, "code": 200}
    songs, account = read(json.dumps(answer))
    assert songs == [(None, {"code": "200"}, "la\nli\n")]
    assert account.told() == ("2 timestamps", "1 translation")
    text = table(["title", "lyrics"], *(["Rain", song] for _ in range(30)))
    assert read(text, name="songs.csv")[0] == [("Rain", {}, "la\nli\n")] * 30
    assert texts(table(["lyrics", "x"], ["at [00:12]\nla", "y"]), "CSV") == ["at [00:12]\nla\n"]


def test_json_without_the_field_lists_those_it_has() -> None:
    text = json.dumps([{"id": 1, "name": "Rain", "data": {"words of it": "la"}}])
    assert message(text) == (
        "song is JSON without a text that is called like one. The fields are name, "
        "data.words of it: say which one holds the text with field, a path like data.lyrics."
    )
    assert "JSON without a text called lyrics. The fields are name," in message(
        text, field="lyrics"
    )


def test_json_lines_are_read_one_by_one_and_broken_ones_counted() -> None:
    good = json.dumps({"title": "Rain", "lyrics": "la\u2028la", "year": 1999, "tags": ["x"]})
    text = f'{good}\n\n{{"lyrics": "li\n{good}\n[1]\n{{"lyrics": ""}}\n{{"lyrics": "lo'
    songs, account = read(text)
    assert songs == [("Rain", {"year": "1999"}, "la\u2028la\n")] * 2
    assert account.told() == (
        "2 fields",
        "2 lines without valid JSON (the first in line 3)",
        "2 records without text (the first in line 5)",
    )


def test_json_lines_of_which_none_can_be_read_are_refused() -> None:
    assert message('\n{"lyrics": "la', "JSON Lines") == (
        "song is JSON Lines without a line that can be read; the first that is no valid JSON is "
        "line 2."
    )


def test_broken_json_is_an_error_that_says_where() -> None:
    text = json.dumps([{"lyrics": "la", "title": "x"}] * 3, indent=1)
    assert message(text[:-12]) == (
        "song is JSON that breaks off in line 12: it is not whole. Save or download it again."
    )
    assert message(text[:-2]).startswith("song is JSON that breaks off in line 13: ")
    assert message(text.replace('"la",', '"la"', 1)) == (
        "song is JSON with a mistake in line 4, at character 3: Expecting ',' delimiter."
    )
    assert "JSON that cannot be read: its lists and objects are nested too deep." in message(
        "[" * 100_000, "JSON"
    )
    assert "it has a number with too many digits" in message(f"[{'1' * 5_000}]", "JSON")


def test_json_that_is_too_long_for_memory_is_to_be_saved_line_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsons, "LONGEST_JSON", 1_000)
    assert message(json.dumps([{"lyrics": "la" * 1_000}])) == (
        "song is JSON of more than 1,000 characters, which has to be held in memory as a whole: "
        "save it as JSON Lines, an object a line."
    )


def test_halves_of_characters_and_nul_are_replaced_and_counted() -> None:
    text = '[{"lyrics": "la\\ud800 \\ud83d\\ude00\\u0000", "ti\\udc00": "x\\ud801"}]'
    songs, account = read(text)
    assert songs == [(None, {"ti\ufffd": "x\ufffd"}, "la\ufffd 😀\ufffd\n")]
    assert account.told() == ("4 broken characters",)


def test_what_is_told_of_several_files_is_told_together() -> None:
    accounts = [Account(), Account()]
    accounts[0].leave_out("row without text", 2, line=7)
    accounts[1].leave_out("row without text", 3, line=9)
    accounts[1].leave_out("timestamp", 2_113)
    assert together(accounts).told() == ("2,113 timestamps", "5 rows without text")
    assert together(accounts[:1]).told() == ("2 rows without text (the first in line 7)",)
    assert Account.from_json(json.loads(json.dumps(accounts[0].to_json()))) == accounts[0]


# Whatever comes, and however it is cut.

PARTS = (
    *("la", "分开", " ", "\n", "\r\n", "\r", "\n\n", "-", "\0", "\ufeff", "\u2028", "\x85", "\x0b"),
    *("[00:01.00]", "[00:01.5]", "<00:01.00>", "[ti:", "[ar:x]", "]", "[", "1", "<i>", "{\\an8}"),
    *("00:00:01,000 --> 00:00:02,000", "WEBVTT", "NOTE", "&amp;", "&#0;", "&#xd800;", "\ufdd0"),
    *('"', '""', ",", ";", "\t", "lyrics", "title", "text", "\ufdd1\ufdd1end", "{", "}", ":", "\\"),
    *("\\ud800", "\\n", '{"lyrics": "la"}', '"title": "x"', "null", "1e999"),
)
READABLE = [form for form in FORMATS if form not in (PLAIN, WORD)]
MESSY = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)


def outcome(text: str, size: int, form: Format) -> list[Any]:
    account = Account()
    songs: list[Any] = []
    try:
        for item in songs_of(form, cut(text, size), "song", account):
            if isinstance(item, Opening):
                songs.append((item.title, dict(item.fields)))
            else:
                item.encode()
                if songs and isinstance(songs[-1], str):
                    item = songs.pop() + item
                songs.append(item)
    except CorpusError as error:
        return [str(error)]
    return [*songs, account.to_json()]


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(MESSY, st.text()),
    st.sampled_from(READABLE),
    st.sampled_from([None, "lyrics", "a.b", "title"]),
    st.integers(1, 9),
)
def test_any_text_is_read_or_refused_and_the_same_wherever_it_is_cut(
    text: str, form: str, field: str | None, size: int
) -> None:
    whole = outcome(text, 1 << 20, Format(form, field))
    assert outcome(text, size, Format(form, field)) == whole
    block = lines._BLOCK
    try:
        lines._BLOCK = 5
        assert outcome(text, size, Format(form, field)) == whole
    finally:
        lines._BLOCK = block


@settings(deadline=None, max_examples=400)
@given(st.one_of(MESSY, st.text()), st.sampled_from(["a.txt", "a.lrc", "a.csv", "a.json", "a.vtt"]))
def test_any_text_is_something(text: str, name: str) -> None:
    try:
        form = find_format(text, name, whole=True)
    except CorpusError:
        return
    assert form.name in FORMATS
    if form.is_plain:
        assert outcome(text, 3, form) in ([text, Account().to_json()], [Account().to_json()])


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\ufdd1"), max_size=20)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from([",", ";", "\t"]))
def test_what_a_table_was_written_with_is_what_is_read(
    rows: list[tuple[str, str]], delimiter: str
) -> None:
    text = table(["id", "lyrics"], *map(list, rows), delimiter=delimiter)
    form = next(kind for kind, other in tables.DELIMITERS.items() if other == delimiter)
    expected = [f"{song.strip(chr(10))}\n" for _, song in rows if song.strip()]
    found = outcome(text, 5, Format(form))[:-1]
    assert [item for item in found if isinstance(item, str)] == [
        song.replace("\0", "\ufffd") for song in expected
    ]


@settings(deadline=None)
@given(st.lists(CELLS, max_size=6), st.booleans())
def test_what_json_was_written_with_is_what_is_read(songs: list[str], ascii_only: bool) -> None:
    text = "".join(json.dumps({"lyrics": song}, ensure_ascii=ascii_only) + "\n" for song in songs)
    expected = [f"{song.strip(chr(10))}\n" for song in songs if song.strip()]
    found = outcome(text, 5, Format("JSON Lines"))[:-1]
    assert [item for item in found if isinstance(item, str)] == [
        song.replace("\0", "\ufffd") for song in expected
    ]
