"""Characters that look like others, or like nothing: line ends, spaces, and marks nobody sees.

A model tells a no-break space from a space, and nobody who reads its text does. Line ends are made
one in any text. What else is here is done only to a text that is to be tidied, and only where it
changes nothing for a reader: joiners stay wherever they are, selectors stay where the character
before them has variants, marks of direction where there is something to be directed.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from charlstm.errors import Message, Setting, count

LINE_ENDS = "\v\f\x85\u2028\u2029"
"""What ends a line beside line feeds and carriage returns."""

SPACES = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
"""Every space (Zs) but the plain one and the ideographic one, which is as wide as a character."""

# Where lines may be broken, and where they may not; byte order marks inside a text.
_INVISIBLE = "\xad\u2060\ufeff"
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# What some scripts and emoji need after certain characters, the others being the same everywhere.
_NO_WIDTH = "\u200b"
_NARROW = "\u202f"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_NEEDED_SOMEWHERE = re.compile(f"[{_NO_WIDTH}{_NARROW}{_SELECTORS}]")
_EVERYWHERE = SPACES.replace(_NARROW, "") + _INVISIBLE
_LOOKED_FOR = f"[{SPACES}{_INVISIBLE}{_NO_WIDTH}{_DIRECTIONS}{_SELECTORS}]"
_ANY = re.compile(_LOOKED_FOR)
_ANY_DIRECTION = re.compile(f"[{_DIRECTIONS}]")

# Whether marks of direction do something is decided by the line, or by so much of a longer one.
_LONGEST_LINE = 4096
# What is taken for a line must not end between a character and a mark that is kept because of it.
_LINE = re.compile(
    f"[^\n]{{0,{_LONGEST_LINE - 1}}}\n|[^\n]{{{_LONGEST_LINE}}}{_LOOKED_FOR}?|[^\n]+"
)
# The blocks of scripts that are written from right to left, without their mark of direction and
# without what is no character: the end of a song among them.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010800-\U00010fff"
    "\U0001e800-\U0001efff]"
)
# Scripts without spaces, where a space of no width says where a word ends: Thai, Lao, Burmese,
# Khmer, Tai Tham, Balinese, Javanese and their like.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f"
    "\ua980-\ua9ff\uaa60-\uaadf]"
)
# Variants are registered for Chinese characters; for signs of mathematics, punctuation that is
# centred or in a corner, and some letters; and for emoji, which may be text or pictures. The
# selectors of Mongolian are characters of their own, and never touched.
_VARIED = (
    r"[\p{Han}\p{Sm}\p{Myanmar}\p{Phags_Pa}\p{Manichaean}\p{Egyptian_Hieroglyphs}"
    "0\u2018\u2019\u201c\u201d\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f]"
)

# Unicode has no names for controls.
_CONTROLS = {"\v": "line tabulation", "\f": "form feed", "\x85": "next line"}
# More kinds are not told one by one.
_TOLD = 3


def with_line_feeds(
    pieces: Iterable[str], changed: Counter[str], *, unicode: bool = True
) -> Iterator[str]:
    r"""Yield the text that `pieces` make together with all its line ends as ``\n``.

    Args:
        pieces: of a text, cut anywhere.
        changed: counts what was changed, but for ``\r``.
        unicode: whether the line ends of `LINE_ENDS` are some.
    """
    waiting = ""
    for piece in pieces:
        text = waiting + piece
        waiting = "\r" * text.endswith("\r")  # a line feed may follow
        yield _with_line_feeds(text.removesuffix("\r"), changed, unicode=unicode)
    yield waiting and "\n"


def _with_line_feeds(text: str, changed: Counter[str], *, unicode: bool) -> str:
    # Each is looked for alone: one search for all of them takes a hundred times as long.
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for end in LINE_ENDS if unicode else "":
        if end in text:
            changed[end] += text.count(end)
            text = text.replace(end, "\n")
    return text


def tidied(pieces: Iterable[str], changed: Counter[str]) -> Iterator[str]:
    """Yield the text that `pieces` make together, tidied.

    `SPACES` become plain ones, but for the narrow one that joins an ending to a Mongolian word.
    What is left out: soft hyphens, word joiners and byte order marks; spaces of no width, except in
    scripts without others; marks of direction in a line where nothing runs from right to left;
    selectors after a character that has no variants.

    Args:
        pieces: of a text with line feeds, cut anywhere.
        changed: counts what was changed.
    """
    waiting = ""
    for piece in pieces:
        text = waiting + piece
        ready = text.rfind("\n") + 1
        while len(text) - ready > _LONGEST_LINE + 1:
            ready += _LONGEST_LINE
            ready += _ANY.match(text, ready) is not None
        waiting = text[ready:]
        yield _tidied(text[:ready], changed)
    yield _tidied(waiting, changed)


def _tidied(text: str, changed: Counter[str]) -> str:
    if not _ANY.search(text):
        return text
    lines = [text]
    if _ANY_DIRECTION.search(text) and _RIGHT_TO_LEFT.search(text):
        lines = _LINE.findall(text)
    return "".join(_line_tidied(line, changed) for line in lines)


def _line_tidied(line: str, changed: Counter[str]) -> str:
    def instead(found: re.Match[str]) -> str:
        mark, at = found[0], found.start()
        if at and _is_needed(mark, line[at - 1]):
            return mark
        changed[mark] += 1
        return _instead(mark)

    # First, because these depend on what stood before them.
    tidied = _NEEDED_SOMEWHERE.sub(instead, line)
    everywhere = _EVERYWHERE
    if _ANY_DIRECTION.search(line) and not _RIGHT_TO_LEFT.search(line):
        everywhere += _DIRECTIONS
    for character in everywhere:
        if character in tidied:
            changed[character] += tidied.count(character)
            tidied = tidied.replace(character, _instead(character))
    return tidied


def _instead(character: str) -> str:
    return " " if character in SPACES else ""


@lru_cache(maxsize=1 << 16)
def _is_needed(mark: str, before: str) -> bool:
    """Whether a mark that is needed somewhere does something after a character."""
    if mark == _NARROW:
        return "\u1800" <= before <= "\u18af"  # Mongolian
    if mark == _NO_WIDTH:
        return _WITHOUT_SPACES.match(before) is not None
    import regex  # only here, because few texts need it

    varied = r"\p{Emoji}" if mark in "\ufe0e\ufe0f" else _VARIED if mark < "\ufe10" else r"\p{Han}"
    return regex.match(varied, before) is not None


def notes(changed: Mapping[str, int], kept: Mapping[str, int]) -> tuple[Message, ...]:
    """Say what of a text was changed, and which spaces are learned beside the plain one.

    Args:
        changed: characters, and how many of each were changed.
        kept: characters that the text has, and how many of each.
    """
    ends = {end: many for end, many in changed.items() if end in LINE_ENDS}
    spaces = {space: many for space, many in changed.items() if space in SPACES}
    left_out = {mark: changed[mark] for mark in changed if mark not in LINE_ENDS + SPACES}
    beside = {space: many for space, many in kept.items() if space in SPACES}
    told = []
    if ends:
        told.append(Message(f"Read as line breaks: {_listed(ends)}."))
    if spaces:
        told.append(Message(f"Read as spaces: {_listed(spaces)}."))
    if left_out:
        told.append(Message(f"Left out, because nobody sees them there: {_listed(left_out)}."))
    if beside:
        told.append(
            Message(
                "Learned beside the space, though they look alike: ",
                f"{_listed(beside)}. ",
                Setting("tidy"),
                " reads them as spaces.",
            )
        )
    return tuple(told)


def _listed(counts: Mapping[str, int]) -> str:
    """Return characters with their numbers and names, the commonest first."""
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    parts = [
        f"{count(many, _name(character))} (U+{ord(character):04X})"
        for character, many in ranked[:_TOLD]
    ]
    if len(ranked) > _TOLD:
        others = sum(many for _, many in ranked[_TOLD:])
        parts.append(f"{others:,} of {count(len(ranked) - _TOLD, 'other kind')}")
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _name(character: str) -> str:
    if "\ufe00" <= character <= "\ufe0f" or character >= "\U000e0100":
        return "variation selector"  # they have numbers, and the code point is told as well
    return _CONTROLS.get(character) or unicodedata.name(character, "character").lower()
