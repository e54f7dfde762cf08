"""What a reader knows of each character of a text: where it stands, and what it is part of.

These are the things that the units of a model are held against; see `charlstm.evaluation.gates`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.text.scripts import HAN, LATIN
from charlstm.text.songs import END

_CLOSING = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】", "〔": "〕", "［": "］"}
_CLOSING |= {"《": "》", "〈": "〉"}
# Single quotation marks are left out: most of them are apostrophes.
_QUOTES = {"“": "”", "「": "」", "『": "』", "«": "»", "„": "“", '"': '"', "＂": "＂"}
_WORD = re.compile(f"(?:{LATIN.pattern}|['’])+")
# What is so rare in a text, or so common, that its figure would be that of a few places.
_FEWEST = 20


@dataclass(frozen=True)
class Thing:
    """Something that a reader knows of each character, as a number.

    Attributes:
        name: what it is called.
        values: ``[N]`` float32, for each character of the text: how far, or 1 for yes and 0 for no.
    """

    name: str
    values: NDArray[np.float32]


def things(text: str) -> list[Thing]:
    """Return what a reader knows of each character of a text, as far as it tells places apart.

    Args:
        text: N characters, the ends of songs among them.
    """
    found = []
    for name, values in _all(text):
        _, places = np.unique(values, return_counts=True)
        # Many have the commonest value; what is told apart is the others.
        if len(text) - places.max() >= _FEWEST:
            found.append(Thing(name, values))
    return found


def _all(text: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if not text:
        return
    lines = _lines(text)
    place = [k for line in lines for k in range(1, len(line) + 1)]
    yield "place in the line", _numbers(place)
    left = [len(line) - k for line in lines for k in range(1, len(line) + 1)]
    yield "distance to the line's end", _numbers(left)
    yield "first line of a stanza", _numbers(_first_lines(lines))
    yield "rhyme position", _numbers(_rhyming(lines))
    yield "inside brackets", _numbers(_inside(text, _CLOSING))
    yield "inside quotes", _numbers(_inside(text, _QUOTES))
    yield "after punctuation", _numbers(_after_punctuation(text))
    yield "place in the word", _numbers(_in_word(text))
    yield "capital letter", _numbers([character.isupper() for character in text])
    yield "Latin letter", _numbers([LATIN.match(character) is not None for character in text])
    yield "Han character", _numbers([HAN.match(character) is not None for character in text])


def _numbers(values: list[int] | list[bool]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def _lines(text: str) -> list[str]:
    """Return the lines of a text, each with what ends it: a line break, or the end of a song."""
    return re.findall(f"[^\n{END}]*[\n{END}]|[^\n{END}]+$", text)


def _is_empty(line: str) -> bool:
    return not line.strip(f" \t\r\n{END}\u3000")


def _first_lines(lines: list[str]) -> list[int]:
    """Return 1 for characters of a line that has none before it in its stanza."""
    found: list[int] = []
    apart = True
    for line in lines:
        empty = _is_empty(line)
        found += [int(apart and not empty)] * len(line)
        apart = empty or line.endswith(END)
    return found


def _rhyming(lines: list[str]) -> list[int]:
    """Return 1 for characters where a line rhymes: its last word, or its last Han character."""
    found: list[int] = []
    for line in lines:
        marks = [0] * len(line)
        letters = [k for k, character in enumerate(line) if character.isalpha()]
        if letters:
            last = letters[-1]
            words = [word for word in _WORD.finditer(line) if word.start() <= last < word.end()]
            start = words[0].start() if words else last
            marks[start : last + 1] = [1] * (last + 1 - start)
        found += marks
    return found


def _inside(text: str, closing: dict[str, str]) -> list[int]:
    """Return 1 from what opens to before what closes it; an empty line closes all."""
    found, waiting, blank = [], list[str](), False
    for character in text:
        if character == END or (character == "\n" and blank):
            waiting.clear()
        blank = character == "\n" or (blank and character in " \t\r\u3000")
        if waiting and character == waiting[-1]:
            waiting.pop()
        elif character in closing:
            waiting.append(closing[character])
        found.append(int(bool(waiting)))
    return found


def _after_punctuation(text: str) -> list[int]:
    """Return 1 for punctuation, and for the spaces that follow it."""
    found, after = [], False
    for character in text:
        if not character.isspace():
            # An apostrophe is a part of a word.
            after = unicodedata.category(character)[0] == "P" and character not in "'’"
        elif character == "\n":
            after = False
        found.append(int(after))
    return found


def _in_word(text: str) -> list[int]:
    """Return how many characters of a word in Latin letters were read; 0 outside of words."""
    found = [0] * len(text)
    for word in _WORD.finditer(text):
        found[word.start() : word.end()] = range(1, len(word[0]) + 1)
    return found
