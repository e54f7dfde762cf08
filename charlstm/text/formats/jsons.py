"""JSON and JSON Lines: songs in objects and lists, however deep.

A song is a string, or a list of strings which are its lines, in a field whose name says so, or that
a path leads to; a list of such lists is a song in stanzas. Short fields beside it, and beside the
objects that it is in, are told with it.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeGuard

from charlstm.errors import CorpusError, Setting
from charlstm.text.formats.account import Account
from charlstm.text.formats.lines import LONGEST, in_blocks
from charlstm.text.formats.lrc import without_times
from charlstm.text.formats.names import listed, opening, plainly, texts_among
from charlstm.text.songs import Opening

LONGEST_JSON = 256_000_000
"""JSON of more characters is not held in memory."""

# Objects in objects deeper than this are nobody's songs.
_DEEPEST = 100

# What players of music call other texts than the song's own.
_TRANSLATED = frozenset({"tlyric", "romalrc", "klyric", "translation", "translations"})

_NO_JSON = "line without valid JSON"

Record = dict[str, Any]


def read_json(
    pieces: Iterator[str], name: str, account: Account, *, field: str | None
) -> Iterator[Opening | str]:
    """Yield the songs in one value.

    Args:
        pieces: the text.
        name: of its file.
        account: counts the records without a text.
        field: the path to the text, its parts with points between them; where ``None``, one of the
            usual names.

    Raises:
        CorpusError: it is not JSON, is too long, or there is no such field.
    """
    parts, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > LONGEST_JSON:
            raise CorpusError(
                f"{name} is JSON of more than {LONGEST_JSON:,} characters, which has to be held in "
                "memory as a whole: save it as JSON Lines, an object a line."
            )
        parts.append(piece)
    text = "".join(parts)
    del parts
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(name, text, error) from None
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{name} is JSON that cannot be read: {_reason(error)}.") from None
    del text
    search = _Search(field, name, account)
    records = value if isinstance(value, list) else [value]
    for record in records:
        yield from search.songs(record)
    search.check()


def read_json_lines(
    pieces: Iterator[str], name: str, account: Account, *, field: str | None
) -> Iterator[Opening | str]:
    """Yield the songs in the values of all lines.

    Args:
        pieces: the text.
        name: of its file.
        account: counts the lines that are no JSON, and the records without a text.
        field: see `read_json`.

    Raises:
        CorpusError: no line is JSON, one is too long, or there is no such field.
    """
    search = _Search(field, name, account)
    decode = json.JSONDecoder().decode
    line = 0
    for block in in_blocks(pieces, name, longest=LONGEST):
        for text in block.removesuffix("\n").split("\n"):
            line += 1
            if not text or text.isspace():
                continue
            try:
                record = decode(text)
            except (ValueError, RecursionError):
                account.leave_out(_NO_JSON, line=line)
                continue
            yield from search.songs(record, line=line)
    search.check()


class _Search:
    """Finds the songs in records."""

    def __init__(self, field: str | None, name: str, account: Account) -> None:
        self._field = field
        self._path = field.split(".") if field is not None else []
        self._name = name
        self._account = account
        self._seen: dict[str, None] = {}
        self._found = 0
        self._empty = 0

    def songs(self, record: object, *, line: int | None = None) -> Iterator[Opening | str]:
        """Yield the songs in one record.

        Args:
            record: a value of JSON.
            line: that it stands in, if that is known.
        """
        met = False
        for told, where, value in self._texts(record, {}, 0):
            met = True
            text = without_times(_joined(value).strip("\n"), self._account)
            if not text.strip():
                self._empty += 1
                self._account.leave_out("record without text", line=line)
                continue
            self._found += 1
            if where:
                self._account.fields[where] += 1
            yield opening(told, self._account)
            yield self._account.whole(text) + "\n"
        if not met:
            self._account.leave_out("record without text", line=line)
            if len(self._seen) < 50:
                self._seen.update(dict.fromkeys(_paths(record)))

    def check(self) -> None:
        """Raise an error that lists the fields where no song was found."""
        if self._found or self._empty:
            return
        if not self._seen and (first := self._account.first.get(_NO_JSON)):
            raise CorpusError(
                f"{self._name} is JSON Lines without a line that can be read; the first that is no "
                f"valid JSON is line {first:,}."
            )
        wanted = "that is called like one" if self._field is None else f"called {self._field}"
        there = f"The fields are {listed(self._seen)}" if self._seen else "There are no fields"
        raise CorpusError(
            f"{self._name} is JSON without a text {wanted}. {there}: say which one holds the text "
            "with ",
            Setting("field"),
            ", a path like data.lyrics.",
        )

    def _texts(
        self, value: object, outer: Record, depth: int
    ) -> Iterator[tuple[Record, str, str | list[Any]]]:
        """Yield every text in a value, with what is told beside it and the field it is in."""
        if depth > _DEEPEST:
            self._account.leave_out("object that is too deep")
        elif depth == 0 and self._field is None and _is_text(value):
            yield {}, "", value
        elif isinstance(value, list):
            for one in value:
                yield from self._texts(one, outer, depth + 1)
        elif isinstance(value, dict):
            found = list(self._here(value, outer))
            if found:
                yield from found
                return
            told = {**outer, **_short(value)}
            for name, one in value.items():
                if isinstance(one, dict | list):
                    if name in _TRANSLATED and self._field is None:
                        self._account.leave_out("translation", int(bool(one)))
                    else:
                        yield from self._texts(one, told, depth + 1)

    def _here(self, record: Record, outer: Record) -> Iterator[tuple[Record, str, str | list[Any]]]:
        """Yield the texts that a record itself has."""
        if self._field is None:
            for name in texts_among(tuple(record)):
                if _is_text(record[name]):
                    rest = {key: one for key, one in record.items() if key != name}
                    yield {**outer, **rest}, name, record[name]
                    return
        else:
            for told, value in _followed(record, [self._field], outer):
                yield told, self._field, value
                return
            for told, value in _followed(record, self._path, outer):
                yield told, self._field, value


def _followed(
    value: object, path: list[str], outer: Record
) -> Iterator[tuple[Record, str | list[Any]]]:
    """Yield what is at the end of a path, through all lists on the way, and what is told there."""
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield from _followed(one, path, outer)
    elif isinstance(value, dict):
        step, *further = path
        names = [step] if step in value else [key for key in value if plainly(key) == plainly(step)]
        for name in names[:1]:
            if further:
                yield from _followed(value[name], further, {**outer, **_short(value)})
            elif _is_text(value[name]):
                rest = {key: one for key, one in value.items() if key != name}
                yield {**outer, **rest}, value[name]


def _is_lines(value: object) -> TypeGuard[str | list[Any]]:
    """Whether it is a string or a list of strings."""
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def _is_text(value: object) -> TypeGuard[str | list[Any]]:
    """Whether it is a string, lines, or stanzas of lines."""
    if isinstance(value, list) and all(isinstance(one, list) for one in value):
        return all(map(_is_lines, value))
    return _is_lines(value)


def _joined(value: str | list[Any]) -> str:
    """Return the text of a string, of lines, or of stanzas of lines."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    between = "\n\n" if any(isinstance(one, list) for one in value) else "\n"
    return between.join(map(_joined, value))


def _short(record: Record) -> Record:
    """Return what may be told of all songs in an object."""
    return {name: one for name, one in record.items() if not isinstance(one, dict | list)}


def _paths(value: object, before: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths to the fields of a record that a song might be in, outermost first."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and depth < 4:
        for name, one in list(value.items())[:50]:
            if isinstance(one, str | list):
                yield before + name
            yield from _paths(one, f"{before}{name}.", depth + 1)


def _broken(name: str, text: str, error: json.JSONDecodeError) -> CorpusError:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return CorpusError(
            f"{name} is JSON that breaks off in line {error.lineno:,}: it is not whole. Save or "
            "download it again."
        )
    return CorpusError(
        f"{name} is JSON with a mistake in line {error.lineno:,}, at character {error.colno:,}: "
        f"{error.msg}."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its lists and objects are nested too deep"
    return "it has a number with too many digits"
