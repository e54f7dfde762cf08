"""Songs in a text: the mark that ends one, what opens one, and how many there are."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

END = "\ufdd0"
"""The mark before the first song, between any two and after the last.

Unicode keeps this code point for use inside of programs: it is no character and never will be. A
file that has it all the same is parted there.
"""

FIRST_SYMBOL, SYMBOLS = 0x100000, 0xFFFE
"""The first of the code points that stand for labels, and how many there are.

They are for private use, and no text has them while labels are asked for; see
`charlstm.text.labels`.
"""

SYMBOL = re.compile(f"[{chr(FIRST_SYMBOL)}-{chr(FIRST_SYMBOL + SYMBOLS - 1)}]")
"""One of them."""

_LEADING = re.compile(f"{SYMBOL.pattern}*")
# White space is held back until it is clear whether a song ends there, but no more than this.
_LONGEST_BLANK = 1 << 20


@dataclass(frozen=True)
class Opening:
    """The beginning of a song among the pieces of a text; what follows it is its text.

    Attributes:
        title: if it has one that does not stand in its text.
        fields: what else is told of it, by name: the artist, the genre, the year.
    """

    title: str | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Songs:
    """How many songs a text has, and how long they are.

    Attributes:
        number: how many.
        shortest: the characters of the shortest one, the line break at its end included.
        median: of the middle one; of the longer of two.
        longest: of the longest one.
        parted: what tells them apart; see `charlstm.text.separators.Separator`.
    """

    number: int
    shortest: int
    median: int
    longest: int
    parted: str


def as_read(text: str) -> str:
    """Return a text as people read it: with an empty line instead of `END` between two songs."""
    return text.removeprefix(END).removesuffix(END).replace(END, "\n")


def without_ends(text: str) -> str:
    """Return a text of somebody's own without what exists inside of the program only."""
    return text.replace(END, "")


def with_ends(pieces: Iterable[str], labels: str = "") -> Iterator[str]:
    """Yield a text with `END` before the first song, between any two and after the last.

    Each song then ends with one line break. Empty lines around it are left out, and so is a song
    of nothing but white space.

    Args:
        pieces: the text, with `END` wherever a song may end; any number of them in a row.
        labels: the symbols that each song begins with, until `END` and as many others come; see
            `charlstm.text.labels`.
    """
    yield END
    begun, blank = False, ""
    for piece in pieces:
        for number, part in enumerate(piece.split(END)):
            if number:
                if begun:
                    yield "\n" + END
                begun, blank = False, ""
            text = blank + part
            if not begun:
                if labels and (found := _LEADING.match(text)) and (symbols := found[0]):
                    text = text[len(symbols) :]
                    # Fewer where the text was cut off behind them.
                    labels = symbols if len(symbols) == len(labels) else labels
                text = text[_first_line(text) :]
            kept = len(text.rstrip())
            if labels and kept and not begun:
                yield labels
            begun = begun or kept > 0
            if begun and len(text) - kept > _LONGEST_BLANK:
                kept = len(text)
            if kept:
                yield text[:kept]
            blank = text[kept:]
    if begun:
        yield "\n" + END


def _first_line(text: str) -> int:
    """Return where the first line begins that is not empty, or the last if all are."""
    return text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1
