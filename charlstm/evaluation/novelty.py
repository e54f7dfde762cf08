"""How much of a text appears in the text that a model learned from."""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from charlstm.evaluation.matching import LONGEST, SHORTEST, Compared, Matcher
from charlstm.text.letters import (
    end_of_letter,
    is_plain,
    may_cut,
    number_of_letters,
    start_of_letter,
)

_WORD = re.compile("[a-z]+(?:'[a-z]+)*'?")
# Of a passage that begins or ends inside a letter at its first place, so many others are tried.
_PLACES = 64

SIZES = range(SHORTEST, LONGEST + 1)
"""The n of the n-grams whose share is reported."""


@dataclass(frozen=True)
class Passage:
    """A stretch of a text that appears in the training text and cannot be extended on either side.

    It consists of whole letters, as people see them, of both texts.

    Attributes:
        sample: which of the texts it is a part of, from 0.
        start: how many characters come before it in that text.
        text: its characters.
        place: how many characters of the training text come before its first appearance there.
    """

    sample: int
    start: int
    text: str
    place: int

    @property
    def letters(self) -> int:
        """How many letters it has."""
        return number_of_letters(self.text)


@dataclass(frozen=True)
class Novelty:
    """What some texts have in common with a training text.

    Attributes:
        windows: how many n-grams the texts have, for each n of `SIZES`.
        copied: how many of them appear in the training text.
        passages: what was copied, those of the most letters first, then in the order of the texts;
            of identical ones only the first.
        lines: how many lines have more than white space.
        verbatim_lines: how many of them are whole lines of the training text, white space around
            them aside.
    """

    windows: dict[int, int]
    copied: dict[int, int]
    passages: tuple[Passage, ...]
    lines: int
    verbatim_lines: int

    def share(self, n: int) -> float | None:
        """Return the share of n-grams that appear in the training text; ``None`` without any."""
        return self.copied[n] / self.windows[n] if self.windows[n] else None

    @property
    def longest(self) -> Passage | None:
        """The longest passage; ``None`` when nothing of four letters was copied."""
        return self.passages[0] if self.passages else None

    def to_json(self) -> dict[str, Any]:
        """Return every figure by name, as plain values for a program."""
        return {
            "ngrams": [
                {
                    "n": n,
                    "windows": self.windows[n],
                    "copied": self.copied[n],
                    "share": self.share(n),
                }
                for n in self.windows
            ],
            "passages": [asdict(passage) for passage in self.passages],
            "lines": self.lines,
            "verbatim_lines": self.verbatim_lines,
        }


class TrainingText:
    """A text that a model learned from, ready for others to be compared with it.

    Takes 4 bytes a character besides the text.

    Args:
        text: the training text, normalised as the model read it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._matcher = Matcher(text)

    def __repr__(self) -> str:
        return f"<TrainingText: {len(self._text):,} characters>"

    def novelty(
        self, texts: Sequence[str], *, after: Sequence[int] | int = 0, most: int = 10
    ) -> Novelty:
        """Return what of `texts` appears in the training text.

        The counts are exact for every text. So are the passages, except where both texts are full
        of loops: some can then be missing or shortened, because the search for them ends after
        some seconds.

        Args:
            texts: what was written; nothing is found across the border between two of them.
            after: how many characters at the beginning of a text were given and not written, one
                number for all texts or one for each. N-grams, passages and lines that lie wholly
                within them do not count; what begins there and reaches beyond does.
            most: how many passages to report at most.
        """
        given = [after] * len(texts) if isinstance(after, int) else list(after)
        compared = Compared.of(texts, given)
        longest, stretches = self._matcher.compare(compared)
        plain = is_plain(compared.text) and self._is_plain
        # Those with the most characters need not be those with the most letters.
        looked_at = most if plain else _PLACES + most
        spans = self._matcher.spans(compared, longest, stretches, looked_at) if most > 0 else []
        ends = np.arange(len(longest))
        copied = {
            n: int(np.count_nonzero((longest >= n) & (ends + n > compared.given))) for n in SIZES
        }
        windows = {
            n: sum(
                max(0, len(text) - n + 1 - max(0, first - n + 1))
                for text, first in zip(texts, given, strict=True)
            )
            for n in SIZES
        }
        written = [
            line
            for text, first in zip(texts, given, strict=True)
            for line in _written_lines(text, first)
        ]
        known = set(written).intersection(map(str.strip, self._text.split("\n")))
        return Novelty(
            windows=windows,
            copied=copied,
            passages=tuple(self._passages(compared, spans, looked_at, plain=plain)[:most]),
            lines=len(written),
            verbatim_lines=sum(line in known for line in written),
        )

    @cached_property
    def _is_plain(self) -> bool:
        return is_plain(self._text)

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words in Latin letters, in lower case and with straight apostrophes."""
        words = set(_WORD.findall(self._text.casefold().replace("’", "'")))
        # An apostrophe at the end of a word (lovin') may just as well be a closing quote.
        return frozenset(words | {word.rstrip("'") for word in words})

    def line_at(self, place: int) -> tuple[int, str]:
        """Return the number, from 1, and the text of the line that holds the character `place`.

        A line break belongs to the line it ends.
        """
        number = self._text.count("\n", 0, place) + 1
        start = self._text.rfind("\n", 0, place) + 1
        end = self._text.find("\n", place)
        return number, self._text[start : end if end >= 0 else len(self._text)]

    def around(self, passage: Passage, characters: int) -> tuple[str, str]:
        """Return this many characters of the training text before a passage, and after it.

        There are more where the last of them is a part of a letter.
        """
        end = passage.place + len(passage.text)
        first = start_of_letter(self._text, max(passage.place - characters, 0))
        last = end_of_letter(self._text, end + characters)
        return self._text[first : passage.place], self._text[end:last]

    def followers(self, passage: str, known: int | None = None) -> str:
        """Return every character that follows `passage` in the training text, each once, sorted.

        The first call for each new length sorts 8 bytes a character of the training text. Later
        calls take microseconds, except the first for a frequent passage: a tenth of a microsecond
        for each place where it appears.

        Args:
            passage: what is followed.
            known: find its places by this many of its last characters, so that passages of
                different lengths can share an order; by all of them where ``None``.
        """
        return self._matcher.followers(passage, known)

    def _passages(
        self, compared: Compared, spans: list[tuple[int, int]], most: int, *, plain: bool
    ) -> list[Passage]:
        passages: dict[str, Passage] = {}
        for start, end in spans:
            if len(passages) >= most:
                break
            if not plain:
                start, end = self._whole(compared.text, start, end)
                if number_of_letters(compared.text[start:end]) < SHORTEST:
                    continue
            text = compared.text[start:end]
            if end > compared.given[start] and text not in passages:
                number = bisect.bisect_right(compared.starts, start) - 1
                place = self._place(text)
                passages[text] = Passage(number, start - compared.starts[number], text, place)
        return sorted(passages.values(), key=lambda passage: -passage.letters)

    def _whole(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Return the part of ``text[start:end]`` that is of whole letters in both texts."""
        while True:
            start, end = end_of_letter(text, start), start_of_letter(text, end)
            if start >= end:
                return start, start
            place = self._place(text[start:end])
            begins, ends = may_cut(self._text, place), may_cut(self._text, place + end - start)
            if begins and ends:
                return start, end
            start, end = start + (not begins), end - (not ends)

    def _place(self, text: str) -> int:
        """Return where a copied text appears first, if possible as whole letters."""
        first = place = self._text.find(text)
        for _ in range(_PLACES):
            if may_cut(self._text, place) and may_cut(self._text, place + len(text)):
                return place
            place = self._text.find(text, place + 1)
            if place < 0:
                break
        return first


def _written_lines(text: str, first: int) -> Iterator[str]:
    """Yield the lines, stripped, that are not empty and do not lie wholly before `first`."""
    at = 0
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped and at + len(line.rstrip()) > first:
            yield stripped
        at += len(line) + 1
