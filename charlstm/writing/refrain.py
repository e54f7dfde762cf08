"""The refrain: a stanza that returns, as one does in the training songs.

Stanzas are parted by empty lines. A single line is none: it is a title, or a call in between.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charlstm.checks import check_whole
from charlstm.errors import RecipeError, Setting
from charlstm.model.cells import Array
from charlstm.text.songs import END
from charlstm.text.vocabulary import UNKNOWN, Vocabulary
from charlstm.writing.alike import alike, pairs
from charlstm.writing.decoding import Processor

# The end of a line and the empty ones after it.
_GAP = re.compile(r"\n(?:[^\S\n]*\n)+")
# A stanza has come back where so large a share of its lines is the same or nearly: many a chorus
# changes when it returns.
_BACK = 0.5
# So many songs say what is common.
_MOST_SONGS = 1_000
# Songs of more stanzas are something else, and all pairs would be compared.
_MOST_STANZAS = 40


class Stanza(NamedTuple):
    """A part of a text.

    Attributes:
        line: the number of its first line, from 1.
        text: its lines, without a line break at its end.
    """

    line: int
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.split("\n")

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.line + self.text.count("\n")


def stanzas(text: str) -> list[Stanza]:
    """Return the stanzas of a text, the one under way too if it has two lines."""
    found, at, line = [], 0, 1
    ends = [(gap.start(), gap.end()) for gap in _GAP.finditer(text)]
    for end, following in [*ends, (len(text), len(text))]:
        part = text[at:end].removesuffix("\n")
        begins = len(part) - len(part.lstrip("\n"))
        if "\n" in (part := part[begins:]):
            found.append(Stanza(line + begins, part))
        line += text.count("\n", at, following)
        at = following
    return found


@dataclass(frozen=True)
class Refrain:
    """Which stanza of a song returns: ``Refrain(2, 4)`` is the second, as the fourth.

    Attributes:
        stanza: its number, from 1; see `stanzas`.
        returns: as which one it comes again.
        most_lines: no stanza before that has more.

    Raises:
        RecipeError: there is no such stanza, or it would come before itself.
    """

    stanza: int
    returns: int
    most_lines: int = 100

    def __post_init__(self) -> None:
        check_whole("refrain", self.stanza, 1)
        if self.returns <= self.stanza:
            raise RecipeError(
                Setting("refrain"),
                f" lets a stanza return after itself: number {self.stanza} cannot be number "
                f"{self.returns} too.",
            )

    @classmethod
    def of(cls, songs: Iterable[str]) -> "Refrain | None":
        """Return the refrain that is commonest in songs; ``None`` if nothing comes back in any."""
        places: Counter[tuple[int, int]] = Counter()
        longest = 2
        for song in itertools.islice(songs, _MOST_SONGS):
            lines = [stanza.lines for stanza in stanzas(song)][:_MOST_STANZAS]
            longest = max(longest, *map(len, lines)) if lines else longest
            if (place := _first_back(lines)) is not None:
                places[place] += 1
        if not places:
            return None
        # Of those that are equally common, the earliest.
        place = min(places, key=lambda place: (-places[place], place))
        return cls(*place, longest)

    def lines(self, text: str) -> list[tuple[int, int]]:
        """Return the first and the last line of the stanza in a text, and where it returned.

        The lines are counted from 1; there is one pair if it has not returned, none if the text
        does not have it.
        """
        all_of_it = stanzas(text)
        if len(all_of_it) < self.stanza:
            return []
        said, *later = all_of_it[self.stanza - 1 :]
        again = [stanza for stanza in later if f"{stanza.text}\n".startswith(f"{said.text}\n")]
        return [(stanza.line, stanza.line + len(said.lines) - 1) for stanza in (said, *again[:1])]


def _first_back(song: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """Return the numbers, from 1, of the first stanza that comes back, and of its return."""
    read = [[pairs(line) for line in stanza] for stanza in song]
    for (number, one), (later, other) in itertools.combinations(enumerate(read, start=1), 2):
        same = sum(map(alike, one, other))
        if same >= _BACK * max(len(one), len(other)):
            return number, later
    return None


class Returning:
    """Lets a stanza of a song return; until it has, the song does not end.

    Where the stanza returns, it is all that may follow. What others rule out does not hold there,
    and what must not come again by accident is sought without it: it was asked for.

    Args:
        refrain: which stanza, and where.
        vocabulary: of the logits.
        unrepeated: processors of what was written, without the stanza that returned.
        others: processors of all that was written.
    """

    def __init__(
        self,
        refrain: Refrain,
        vocabulary: Vocabulary,
        unrepeated: Sequence[Processor] = (),
        others: Sequence[Processor] = (),
    ) -> None:
        self._refrain = refrain
        self._vocabulary = vocabulary
        self._unrepeated = tuple(unrepeated)
        self._others = tuple(others)

    def __call__(self, written: str, logits: Array) -> None:
        """Rule out in place; see `charlstm.writing.decoding.Processor`."""
        parts = _GAP.split(written)
        whole, begun = [part for part in parts[:-1] if "\n" in part], parts[-1]
        number, returns = self._refrain.stanza, self._refrain.returns
        if len(whole) >= number:
            said = whole[number - 1].lstrip("\n")
            back = f"{said}\n"
            if begun.startswith(back) or any(
                f"{part}\n".startswith(back) for part in whole[number:]
            ):
                at = written.find(back, written.find(back) + len(back))
                self._ask(written, f"{written[:at]}{END}{written[at + len(back) :]}", logits)
                return
            # A prefix may hold what the model cannot write.
            rest = back[len(begun) :] if back.startswith(begun) else ""
            if len(whole) >= returns - 1 and rest and UNKNOWN not in self._vocabulary.encode(rest):
                self._only(rest[0], logits)
                return
        if begun.endswith("\n") and begun.count("\n") >= self._refrain.most_lines:
            self._only("\n", logits)
            return
        self._ask(written, written, logits)
        if self._vocabulary.end is not None:
            logits[self._vocabulary.end] = -np.inf

    def _only(self, character: str, logits: Array) -> None:
        logits.fill(-np.inf)
        logits[self._vocabulary.encode(character)] = 0.0

    def _ask(self, written: str, new: str, logits: Array) -> None:
        for process in self._unrepeated:
            process(new, logits)
        for process in self._others:
            process(written, logits)
