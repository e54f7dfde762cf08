import json

import pytest

from charlstm.errors import CorpusError
from charlstm.text.formats.which import find_format

SRT = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\nthe rain gave up\n\n" for n in range(1, 9))
VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\nthe rain gave up\n"
LRC = "[ti:Rain]\n[ar:Nobody]\n" + "".join(f"[00:0{n}.20]the rain gave up\n" for n in range(9))
CSV = "artist,song,text\n" + 'Nobody,Rain,"the rain gave up\nabove the station"\n' * 8
TSV = "artist\tsong\n" + "Nobody\tRain\n" * 8
HTML = "<html><body>\n" + "<p>the rain gave up</p>\n" * 8
FRAGMENT = "<p>the rain<br/>gave up</p>\n" * 8
SONG = {"title": "Rain", "lines": ["the rain gave up"]}
JSON = json.dumps([SONG] * 4, indent=1)
JSON_LINES = (json.dumps(SONG) + "\n") * 4


def found(text: str, name: str = "song.txt", *, whole: bool = True) -> str:
    return find_format(text, name, whole=whole).name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SRT, "SRT"),
        (SRT.split("\n\n")[0], "SRT"),
        (VTT, "WebVTT"),
        (LRC, "LRC"),
        (CSV, "CSV"),
        (CSV.replace(",", ";"), "CSV with semicolons"),
        ("text;title\n" + "la li;La\n" * 2, "CSV with semicolons"),
        ("title,lyrics\nRain,the rain gave up\n", "CSV"),
        (TSV, "TSV"),
        (JSON, "JSON"),
        (json.dumps(SONG), "JSON"),
        (json.dumps(["the rain gave up", "la"]), "JSON"),
        (JSON[:40], "JSON"),
        (JSON_LINES, "JSON Lines"),
        (JSON_LINES + '{"title": "Ra', "JSON Lines"),
        ('{"title": "Ra\n' + JSON_LINES, "JSON Lines"),
    ],
)
def test_a_text_with_a_form_is_recognised_whatever_it_is_called(text: str, kind: str) -> None:
    assert found(text) == kind
    assert found("\ufeff" + text.replace("\n", "\r\n")) == kind
    assert found(text, "song.lrc") == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HTML, "HTML"),
        (FRAGMENT, "HTML or XML"),
        ('<?xml version="1.0"?>\n<song>the rain gave up</song>\n', "XML"),
        ("{\\rtf1\\ansi the rain gave up\\par}\n", "RTF"),
        ("[Script Info]\nTitle: Rain\n", r"subtitles of another kind \(ASS\)"),
    ],
)
def test_what_machines_read_is_refused_by_its_name(text: str, kind: str) -> None:
    with pytest.raises(CorpusError, match=rf"^song\.txt is {kind}, not plain text: save its words"):
        found("\ufeff" + text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "the rain, the wind, the sea\n" * 20,
        "she wrote <b>never</b> on the glass\nand left\n" * 3,
        "[Chorus]\nthe rain gave up\n" * 8,
        "[Chorus: Ann]\n[Verse]\n[Verse]\n",
        "at 00:12 the rain gave up\n" * 8,
        "the rain gave up\n[00:12]\nabove the station\n",
        "[00:12]",
        "{he said} and [she said]\nnothing\n" * 8,
        "[1]\n[2]\nthe rain gave up\n",
        "{}\nthe rain gave up\n",
        '"the rain", she said\n' * 8,
        "雨停了，风停了，人走了\n" * 20,
        "1. the rain\n2. the wind\n" * 8,
        "text, lyrics\nlove, hate\n",
        "lyrics\nthe rain gave up\n",
    ],
)
def test_a_poem_is_plain_text_whatever_it_mentions(text: str) -> None:
    assert found(text) == "plain text"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("song.lrc", "[00:12.00]the rain\nabove the station\nla\n", "LRC"),
        ("song.lrc", "the rain gave up\nla\n", "plain text"),
        ("song.vtt", SRT, "WebVTT"),
        ("song.srt", "Rain\n\n00:01,000 --> 00:02,000\nla\n", "SRT"),
        ("songs.csv", "lyrics\nthe rain gave up\n", "CSV"),
        ("songs.CSV.gz", "lyrics\nthe rain gave up\n", "CSV"),
        ("songs.csv", "words,mood\nthe rain gave up,sad\n", "CSV"),
        ("songs.csv", "the rain gave up\nabove the station\n", "plain text"),
        ("songs.tsv", "title\tlyrics\nRain\tthe rain, the wind\n", "TSV"),
        ("songs.json", "[]", "JSON"),
        ("songs.json", "the rain gave up\n", "plain text"),
        ("songs.jsonl", '"the rain gave up"\n"la"\n', "JSON Lines"),
        ("songs.jsonl", json.dumps(SONG), "JSON Lines"),
    ],
)
def test_a_name_decides_where_the_text_leaves_a_doubt(name: str, text: str, kind: str) -> None:
    assert found(text, name) == kind


def test_a_long_first_record_is_recognised_before_its_end() -> None:
    words = "the rain gave up " * 10
    table = f'title,lyrics\nRain,"{words}'
    assert found(table, whole=False) == "CSV"
    line = json.dumps({"title": "Rain", "lyrics": words, "year": 1})[:-10]
    assert found(line, whole=False) == "JSON Lines"
    assert found(line, "songs.json", whole=False) == "JSON"
    assert found("[\n" + line, whole=False) == "JSON"
