"""Text that a program hands over itself, instead of naming the files that it is in."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from charlstm.checks import shown
from charlstm.errors import CorpusError
from charlstm.text.formats.format import Format
from charlstm.text.locations import Text
from charlstm.text.songs import END

NAME = "memory"
"""What such a text is called where a file would have its name."""

ENCODING = "utf-8"
"""What it is encoded in on its way."""

# What the words of a song are called that is a mapping.
_TEXT = "text"
# No system has names as long as this.
_LONGEST_NAME = 1_000


Song = str | Mapping[str, object]
"""A song, or a song as ``"text"`` with what else is told of it by name."""


def handed_over(text: str | Iterable[Song]) -> Text:
    """Return a text of one's own, as if it were a file.

    Args:
        text: the text, or several songs.

    Raises:
        CorpusError: it is no text.
    """
    if isinstance(text, bytes):
        raise CorpusError(
            "Text in memory must be a string, not bytes: decode it first, as in "
            "text=data.decode('utf-8')."
        )
    if hasattr(text, "read"):  # its lines would be taken for songs
        raise CorpusError(
            "Text in memory must be a string, not an open file: read it first, as in "
            "text=file.read()."
        )
    if isinstance(text, os.PathLike) or not isinstance(text, Iterable):
        raise CorpusError(f"Text in memory must be a string or a list of them, not {shown(text)}.")
    if isinstance(text, Mapping):
        raise CorpusError("Text in memory must be a string or a list: put the song into a list.")
    if isinstance(text, str):
        whole, form = text, Format()
    else:
        songs = [_checked(song) for song in text]
        told = any(isinstance(song, Mapping) for song in songs)
        whole = _as_lines(songs) if told else _joined(songs)
        form = Format("JSON Lines", _TEXT) if told else Format()
    try:
        data = whole.encode(ENCODING)
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"Text in memory must be made of characters, and what stands at place "
            f"{error.start:,} is half of one: U+{ord(whole[error.start]):04X}."
        ) from None
    return Text(NAME, partial(BytesIO, data), form=form)


def _checked(song: object) -> Song:
    """Return a song, or raise an error if it is none."""
    if isinstance(song, str):
        return song
    if not isinstance(song, Mapping):
        raise CorpusError(
            f"A list of songs must hold strings, or mappings with a text, not {shown(song)}."
        )
    if not isinstance(song.get(_TEXT), str) or not all(isinstance(name, str) for name in song):
        raise CorpusError(
            f"A song that is a mapping must have its words as {_TEXT!r}, a string, and what else "
            f"is told of it by name: {shown(song)} has not."
        )
    return song


def _joined(songs: Iterable[Song]) -> str:
    parts = [song.strip("\r\n") for song in songs if isinstance(song, str) and song.strip()]
    return END.join(parts) + "\n" * bool(parts)


def _as_lines(songs: Iterable[Song]) -> str:
    """Return songs as JSON, a line each, with what of each is told."""
    import json  # only here, because most songs are told nothing of

    told = ({_TEXT: song} if isinstance(song, str) else dict(song) for song in songs)
    lines = (json.dumps(song, ensure_ascii=False, default=str) + "\n" for song in told)
    return "".join(lines)


def check_places(places: str | Path | Iterable[str | Path]) -> Sequence[str | Path]:
    """Return the places that a program names, or the one, if they can be places.

    Raises:
        CorpusError: one is no name, or is the text itself.
    """
    named = [places] if isinstance(places, str | os.PathLike) else list(places)
    for place in named:
        if not isinstance(place, str | os.PathLike):
            raise CorpusError(
                f"A place is the name of a file or a folder, not {shown(place)}. Name several one "
                "after the other; hand text itself over as text=..."
            )
        long = "\n" in str(place) or len(str(place)) > _LONGEST_NAME
        if long and not os.path.lexists(place):
            raise CorpusError(
                f"There is no file or folder called {shown(str(place))}. If that is the text "
                "itself, hand it over as text=..."
            )
    return named
