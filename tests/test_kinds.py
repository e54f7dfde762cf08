import json

import pytest

from charlstm.text.kinds import text_kind

SRT = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\nthe rain gave up\n\n" for n in range(1, 9))
LRC = "[ti:Rain]\n[ar:Nobody]\n" + "".join(f"[00:0{n}.20]the rain gave up\n" for n in range(9))
CSV = "artist,song,text\n" + 'Nobody,Rain,"the rain gave up\nabove the station"\n' * 8
TSV = "artist\tsong\n" + "Nobody\tRain\n" * 8
HTML = "<html><body>\n" + "<p>the rain gave up</p>\n" * 8
FRAGMENT = "<p>the rain<br/>gave up</p>\n" * 8
JSON = json.dumps([{"title": "Rain", "lines": ["the rain gave up"]}] * 4, indent=1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SRT, "SRT subtitles"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nthe rain gave up\n", "WebVTT subtitles"),
        (LRC, "LRC lyrics"),
        (CSV, "a table (CSV)"),
        (TSV, "a table (TSV)"),
        (HTML, "HTML"),
        (FRAGMENT, "HTML or XML"),
        ('<?xml version="1.0"?>\n<song>the rain gave up</song>\n', "XML"),
        ("{\\rtf1\\ansi the rain gave up\\par}\n", "RTF"),
        (JSON, "JSON"),
    ],
)
def test_text_with_a_form_is_recognised(text: str, kind: str) -> None:
    found = text_kind(text)
    assert found is not None
    assert found[0] == kind
    again = text_kind("\ufeff" + text.replace("\n", "\r\n"))
    assert again == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "the rain, the wind, the sea\n" * 20,
        "she wrote <b>never</b> on the glass\nand left\n" * 3,
        "[Chorus]\nthe rain gave up\n" * 8,
        "at 00:12 the rain gave up\n" * 8,
        "{he said} and [she said]\nnothing\n" * 8,
        "雨停了，风停了，人走了\n" * 20,
        "1. the rain\n2. the wind\n" * 8,
    ],
)
def test_a_poem_is_plain_text_whatever_it_mentions(text: str) -> None:
    assert text_kind(text) is None
