"""What a text is: plain, or in one of the forms that songs come in; and what reads each."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath

from charlstm.errors import CorpusError
from charlstm.text.formats.account import Account
from charlstm.text.formats.format import Format
from charlstm.text.formats.jsons import read_json, read_json_lines
from charlstm.text.formats.lrc import SUNG, TAGGED, read_lrc
from charlstm.text.formats.subtitles import TIMES, read_subtitles
from charlstm.text.formats.tables import DELIMITERS, read_table, table_kind
from charlstm.text.kinds import is_tagged, marked_up
from charlstm.text.songs import Opening

LOOKED_AT = 1 << 17
"""So many bytes of a text are looked at to find out what it is."""

# Of the beginning so many lines are looked at.
_LINES = 400
_NUMBER = re.compile(r"\s*\d+\s*")
# The names of JSON: "title": "...
_NAME = re.compile(r'"[^"\n]*"\s*:\s*(["\[{\d-]|true|false|null)')
_STRINGS = re.compile(r'\[\s*"(?:[^"\\]|\\.)*"\s*[,\]]')

Reader = Callable[[Iterator[str], str, Account], Iterator[Opening | str]]
"""Takes the pieces of a text, the name of its file and an account; yields songs."""


def songs_of(
    form: Format, pieces: Iterator[str], name: str, account: Account
) -> Iterator[Opening | str]:
    """Yield the songs of a text; of a plain one its pieces, as they are.

    Args:
        form: what it is; no Word document, which has no text before it is read.
        pieces: the text.
        name: of its file.
        account: counts what is left out.

    Raises:
        CorpusError: it cannot be read as what it is, or there is no text in it.
    """
    if form.is_plain:
        return pieces
    return with_text(_reader(form)(pieces, name, account), form, name, account)


def _reader(form: Format) -> Reader:
    if form.name in DELIMITERS:
        return partial(read_table, delimiter=DELIMITERS[form.name], field=form.field)
    if form.name in ("JSON", "JSON Lines"):
        return partial(read_json if form.name == "JSON" else read_json_lines, field=form.field)
    if form.name in ("SRT", "WebVTT"):
        return partial(read_subtitles, web=form.name == "WebVTT")
    assert form.name == "LRC", form.name
    return read_lrc


def with_text(
    songs: Iterator[Opening | str], form: Format, name: str, account: Account
) -> Iterator[Opening | str]:
    """Yield songs, and raise `CorpusError` if there is no text among them."""
    has_text = False
    for item in songs:
        has_text = has_text or (isinstance(item, str) and not item.isspace())
        yield item
    if not has_text:
        left_out = ", ".join(account.told())
        beside = f" besides {left_out}" if left_out else ""
        raise CorpusError(f"{name} is {form.name} without any text{beside}: leave the file out.")


def find_format(head: str, name: str, *, whole: bool, field: str | None = None) -> Format:
    """Return what a text is by what is in it; its name counts only where that leaves a doubt.

    Args:
        head: the beginning of the text.
        name: of its file.
        whole: whether that is all of it.
        field: the column or path that is asked for, if one is.

    Raises:
        CorpusError: it is text for machines, such as HTML, that holds no songs for us.
    """
    head = head.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in head.split("\n") if line.strip()][:_LINES]
    if not lines:
        return Format()
    named = PurePath(name.lower().removesuffix(".gz")).suffix
    if (markup := marked_up(lines)) is not None:
        raise _refused(name, markup)
    if (kind := _json(head.strip(), named, whole=whole)) is not None:
        return Format(kind, field)
    is_table = named in (".csv", ".tsv")
    table = table_kind(head, whole=whole, named=is_table, field=field)
    # The lines of a table may begin with times, and the lines with times may have commas.
    if (kind := None if table and is_table else _timed(lines, named)) is not None:
        return Format(kind)
    if table is None and is_tagged(lines):
        raise _refused(name, "HTML or XML")
    return Format() if table is None else Format(table, field)


def _refused(name: str, kind: str) -> CorpusError:
    return CorpusError(
        f"{name} is {kind}, not plain text: save its words as plain text (UTF-8) with the program "
        "that it belongs to, and name that file."
    )


def _timed(lines: list[str], named: str) -> str | None:
    """Return which form with times a text has; ``None`` if it has none."""
    times = [place for place, line in enumerate(lines) if TIMES.match(line)]
    if lines[0].strip().casefold().startswith("webvtt") and (times or len(lines) < 3):
        return "WebVTT"
    first = lines[times[0] - 1] if times and times[0] else ""
    begins = bool(times) and times[0] <= 1 and (not times[0] or _NUMBER.fullmatch(first))
    often = len(times) >= 2 and len(times) >= len(lines) / 8
    if often or (times and (begins or named in (".srt", ".vtt"))):
        return "WebVTT" if named == ".vtt" else "SRT"
    sung = sum(1 for line in lines if SUNG.match(line))
    tagged = sum(1 for line in lines if TAGGED.match(line))
    mostly = sung + tagged > len(lines) / 2 and max(sung, tagged) > 1
    return "LRC" if mostly or (sung + tagged and named == ".lrc") else None


def _json(head: str, named: str, *, whole: bool) -> str | None:
    """Return which form of JSON a text has; ``None`` if it has none."""
    if not head.startswith(("{", "[", '"')):
        return None
    lines = named in (".jsonl", ".ndjson")
    is_named = lines or named == ".json"
    try:
        value, end = json.JSONDecoder().raw_decode(head)
    except (ValueError, RecursionError):
        names = sum(1 for _ in _NAME.finditer(head))
        if head.startswith('"') or not (is_named or names >= 2 or _STRINGS.match(head)):
            return None
        # A first line that is longer than what is looked at is a value of its own.
        endless = not whole and "\n" not in head and named != ".json" and head.startswith("{")
        return "JSON Lines" if lines or endless or _is_line(head) else "JSON"
    if isinstance(value, str):
        return "JSON Lines" if lines else None
    rest = head[end:].lstrip(" \t\n")
    if not rest and (value or is_named):
        return "JSON Lines" if lines else "JSON"
    parted = "\n" in head[end : len(head) - len(rest)]
    if rest.startswith(("{", "[", '"')) and parted and (is_named or _NAME.match(rest, 1)):
        return "JSON Lines"
    return "JSON" if is_named or (isinstance(value, dict) and value) else None


def _is_line(head: str) -> bool:
    """Whether one of the first lines is an object by itself, outside of any other."""
    if not head.startswith("{"):
        return False
    for line in head.split("\n", 3)[:3]:
        try:
            if isinstance(json.loads(line), dict):
                return True
        except (ValueError, RecursionError):
            continue
    return False
