"""Text that a program hands over itself, instead of naming the files that it is in."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from charlstm.checks import shown
from charlstm.errors import CorpusError
from charlstm.text.locations import Text
from charlstm.text.songs import END

NAME = "memory"
"""What such a text is called where a file would have its name."""

ENCODING = "utf-8"
"""What it is encoded in on its way."""

# No system has names as long as this.
_LONGEST_NAME = 1_000


def handed_over(text: str | Iterable[str]) -> Text:
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
    whole = text if isinstance(text, str) else _joined(text)
    try:
        data = whole.encode(ENCODING)
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"Text in memory must be made of characters, and what stands at place "
            f"{error.start:,} is half of one: U+{ord(whole[error.start]):04X}."
        ) from None
    return Text(NAME, partial(BytesIO, data), marked=not isinstance(text, str), plain=True)


def _joined(songs: Iterable[str]) -> str:
    parts = []
    for song in songs:
        if not isinstance(song, str):
            raise CorpusError(f"A list of songs must hold strings, not {shown(song)}.")
        if song.strip():
            parts.append(song.strip("\r\n"))
    return END.join(parts) + "\n" * bool(parts)


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
