r"""Letters as people see them, which may be several code points: é, रा, שָׁ, a family of emoji.

A letter is an extended grapheme cluster of UAX #29, as ``\X`` of the library ``regex`` finds it.
A model predicts code points; what is counted, cut or shown for people goes by letters. In most
texts every code point is a letter, which is seen at once and without that library.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

# Code points of which none belongs to the same letter as another of them; not all that are so.
_PLAIN = re.compile(
    "[\n\t -~\u00a0-\u00a8\u00aa-\u00ac\u00af-\u02ff"  # not © and ®, which a joiner may join
    "\u0370-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0e01-\u0e30\u0e40-\u0e46"
    "\u1e00-\u1fff\u2010-\u2027\u2030-\u203b\u20a0-\u20c0\u3000-\u3029\u3031-\u303c\u3041-\u3096\u309b-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufdd0\uff01-\uff9d\ufffd"
    "\U00020000-\U0003ffff\U00100000-\U0010fffd]*"
)
# Where a letter begins depends on what is before it: in the line, and no further back than this.
_LOOKED_BACK = 1_000

LONGEST = 32
"""Hardly a letter of any language or any emoji has more code points."""


def is_plain(text: str) -> bool:
    """Return whether every code point of a text is known to be a letter, quickly."""
    return _PLAIN.fullmatch(text) is not None


def letters(text: str) -> list[str]:
    """Return the letters of a text, of whatever kind: spaces, punctuation and emoji too."""
    if is_plain(text):
        return list(text)
    found: list[str] = _pattern().findall(text)
    return found


def number_of_letters(text: str) -> int:
    """Return how many letters a text has."""
    return len(text) if is_plain(text) else len(letters(text))


def last_letter(text: str) -> str:
    """Return the letter that a text ends on; empty where there is none."""
    return text[start_of_letter(text, len(text) - 1) :] if text else ""


def first_letter(text: str) -> str:
    """Return the letter that a text begins with; empty where there is none."""
    return text[: end_of_letter(text, 1)]


@lru_cache(maxsize=1 << 14)
def joins(letter: str, character: str) -> bool:
    """Return whether a code point after a letter, or a part of one, belongs to it."""
    if not letter or is_plain(letter[-1] + character):
        return False
    return len(letters(letter + character)[-1]) > 1


@lru_cache(maxsize=1 << 10)
def joining(letter: str, characters: str) -> str:
    """Return those of some code points that would belong to a letter if they followed it."""
    if is_plain(letter + characters):
        return ""
    return "".join(character for character in characters if joins(letter, character))


@lru_cache(maxsize=1 << 8)
def parting(letter: str, characters: str) -> str:
    """Return those of some code points that would begin another letter if they followed one."""
    together = joining(letter, characters)
    return "".join(c for c in characters if c not in together) if together else characters


def may_cut(text: str, at: int) -> bool:
    """Return whether a new letter begins after `at` code points of a text, or it ends there."""
    return start_of_letter(text, at) == at


def start_of_letter(text: str, at: int) -> int:
    """Return where the letter begins that the code point ``text[at]`` belongs to."""
    if not 0 < at < len(text) or is_plain(text[at - 1 : at + 1]):
        return at
    start = max(at - _LOOKED_BACK, 0)
    start = max(text.rfind("\n", start, at) + 1, start)
    return at + 1 - len(letters(text[start : at + 1])[-1])


def end_of_letter(text: str, at: int) -> int:
    """Return the first place from `at` on where a new letter begins; the text's end if none."""
    at = min(at, len(text))
    while not may_cut(text, at):
        at += 1
    return at


def last_letters(text: str, count: int) -> str:
    """Return the end of a text that has this many letters; all of it where there are fewer."""
    end = text[len(text) - count :] if count < len(text) else text
    if is_plain(end) and may_cut(text, len(text) - len(end)):
        return end
    many = 4 * count
    while True:
        start = start_of_letter(text, max(len(text) - many, 0))
        found = letters(text[start:])
        if len(found) >= count or not start:
            return "".join(found[max(len(found) - count, 0) :])
        many *= 2


@lru_cache(maxsize=1 << 14)
def counts(letter: str) -> bool:
    """Return whether a letter counts for a line's length: those of words, digits and Han do."""
    return any(unicodedata.category(character)[0] in "LN" for character in letter)


def counted(line: str) -> tuple[str, ...]:
    """Return the letters of a line that count: neither its punctuation nor its spaces."""
    return tuple(letter for letter in letters(line) if counts(letter))


@cache
def _pattern() -> Any:
    import regex  # only here, because most texts and the help do without it

    return regex.compile(r"\X")
