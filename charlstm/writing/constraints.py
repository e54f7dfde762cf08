"""What one line of a text can be asked to be: its length, its ends, its rhyme, its words.

A `Constraint` is one wish about one line at a time. `charlstm.writing.form` makes constraints of
what a user asks for, and `charlstm.writing.composer` writes lines that meet them.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from charlstm.errors import Part
from charlstm.text.letters import counted, first_letter, last_letter, letters, parting
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.rhyme import ending, endings_on, rhyme, sounds, words_ending_in
from charlstm.writing.spelling import Spelling
from charlstm.writing.words import APOSTROPHES, first_word, has_word, in_word, may_begin

# Marks after which a Chinese line of verse ends, though the text line goes on.
_CLAUSE_MARKS = "，。！？；"
# At least this many units must rhyme with the first of a rhyme, so that it can be answered; fewer
# where they are words that the model has seen.
_ANSWERS, _KNOWN_ANSWERS = 6, 3
# Where a line has no length, a word that must occur begins after at most this many characters.
_ROOM_HAN, _ROOM_LATIN = 5, 20


@dataclass(frozen=True)
class LineSoFar:
    """A line as far as it has been written, and where in the text it is.

    Attributes:
        before: the finished lines of the text above it.
        text: what it has so far; for `Constraint.fits`, the whole line without its line break.
        chance: a number in [0, 1), the same from its first character to its last, for constraints
            that leave something to chance.
        after: the lines below it that are there already, where it is written anew between others.
    """

    before: tuple[str, ...]
    text: str
    chance: float = 0.0
    after: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """The other lines of the text that are there."""
        return self.before + self.after

    @property
    def number(self) -> int:
        """Which line of the text it is, from 0."""
        return len(self.before)

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters that count for its length, as people see them: no punctuation, no spaces."""
        return counted(self.text)


class Constraint:
    """One wish about the lines of a text; a kind of wish overrides the methods that it needs.

    `fits` decides. The others steer, so that lines that fit are found at all: what they rule out
    is never drawn. All but `endings` are asked before every character, so they should be quick.

    Attributes:
        wish: what the wish is called when it cannot be met: a few words, or the setting that asked
            for it.
    """

    wish: Part = "the form"

    def fits(self, so_far: LineSoFar) -> bool:
        """Return whether the finished line is as it should be."""
        return True

    def allowed(self, so_far: LineSoFar) -> str | None:
        """Return the characters that may come next inside the line; ``None`` for all."""
        return None

    def may_end(self, so_far: LineSoFar) -> bool:
        """Return whether the line may end here."""
        return True

    def must_end(self, so_far: LineSoFar) -> bool:
        """Return whether the line must end here; punctuation may still follow."""
        return False

    def endings(self, so_far: LineSoFar) -> frozenset[str] | None:
        """Return the units, a Han character or a word in lower case, that the line may end on.

        ``None`` for all. It is asked once, before the line is written, so it depends only on the
        lines before. A candidate is taken back to where its last unit began, and led to one of
        these.
        """
        return None


def line_ends(vocabulary: Vocabulary) -> str:
    """Return the characters at which a line ends, the commonest first; usually the line break.

    Where a Chinese text has more clauses than lines, as prose does and poems printed two verses to
    a line do, a line of verse ends with its clause. Without line breaks it ends with a space as
    well, and where there is none of these, nothing is returned.
    """
    frequency = dict(zip(vocabulary.characters, vocabulary.counts[1:], strict=True))
    marks = [mark for mark in _CLAUSE_MARKS if mark in frequency]
    breaks = frequency.get("\n", 0)
    if breaks and sum(frequency[mark] for mark in marks) <= breaks:
        return "\n"
    spaces = " " if " " in frequency and not breaks else ""
    return "".join(sorted([*marks, *spaces], key=lambda mark: -frequency[mark]))


@dataclass(frozen=True)
class LineLength(Constraint):
    """Lines of a given number of letters, not counting punctuation and spaces.

    Attributes:
        lengths: the least and the most for each line; after the last they begin again.
        wish: see `Constraint`.
    """

    lengths: tuple[tuple[int, int], ...]
    wish: Part = "the line length"

    def fits(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        least, most = self._length(so_far)
        return least <= len(so_far.letters) <= most

    def may_end(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        return len(so_far.letters) >= self._length(so_far)[0]

    def must_end(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        return len(so_far.letters) >= self._length(so_far)[1]

    def _length(self, so_far: LineSoFar) -> tuple[int, int]:
        return self.lengths[so_far.number % len(self.lengths)]


@dataclass(frozen=True)
class Acrostic(Constraint):
    """The n-th line begins with the n-th of some letters (藏头诗).

    A capital letter is written as one, a small one in either case.

    Attributes:
        letters: one for each line, as people see them; lines after them are free.
        characters: the model's.
        words: the words in Latin letters, in lower case, that lines are led to begin with, if any
            of them begins with the letter; where ``None``, whatever the model makes of it.
        wish: see `Constraint`.
    """

    letters: str
    characters: str = ""
    words: frozenset[str] | None = None
    wish: Part = "the acrostic"

    def fits(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        asked = self._asked(so_far)
        return not asked or "".join(so_far.letters[:1]).casefold() == asked.casefold()

    def allowed(self, so_far: LineSoFar) -> str | None:
        """See `Constraint`."""
        asked = self._asked(so_far)
        if not asked:
            return None
        if left := self._left(so_far):
            return left[0] if asked.isupper() else left[0] + left[0].swapcase()
        led = self._next(so_far)
        follow = None
        if led is not None:
            follow = led[0] + self._between_words if led[1] else led[0]
        if so_far.letters == (last := last_letter(so_far.text),):
            # What would make another letter of it may not follow.
            apart = parting(last, self.characters)
            if apart != self.characters:
                return apart if follow is None else "".join(c for c in follow if c in apart)
        return follow

    def may_end(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        if so_far.letters and self._left(so_far):
            return False
        led = self._next(so_far)
        return led is None or led[1]

    def _left(self, so_far: LineSoFar) -> str:
        """Return what is left to write of the letter asked for; empty once another is begun."""
        asked, begun = self._asked(so_far), so_far.letters
        if len(asked) < 2:
            return "" if begun else asked
        last = last_letter(so_far.text)
        if begun and begun != (last,):
            return ""
        if last and asked.casefold().startswith(last.casefold()):
            return asked[len(last) :]
        return "" if begun else asked

    def _next(self, so_far: LineSoFar) -> tuple[str, bool] | None:
        """Return the letters that lead on within the first word, and whether it is complete.

        ``None`` if it is led nowhere: after it, and if it was given and begins none of the words.
        """
        spelling = self._spellings.get(self._asked(so_far).casefold())
        begun = first_word(so_far.text)
        if spelling is None or not begun:
            return None
        letters, complete = spelling.next(begun)
        return (letters, complete) if letters or complete else None

    def _asked(self, so_far: LineSoFar) -> str:
        return "".join(self._letters[so_far.number : so_far.number + 1])

    @cached_property
    def _letters(self) -> list[str]:
        return letters(self.letters)

    @cached_property
    def _spellings(self) -> dict[str, Spelling]:
        """The words that lines may begin with, by their first letters."""
        by_letter: dict[str, set[str]] = {}
        for word in self.words or ():
            by_letter.setdefault(word[0], set()).add(word)
        asked = {letter.casefold() for letter in self._letters} & by_letter.keys()
        return {c: Spelling(frozenset(by_letter[c]), self.characters) for c in asked}

    @cached_property
    def _between_words(self) -> str:
        return "".join(c for c in self.characters if not in_word(c) and c not in APOSTROPHES)


@dataclass(frozen=True)
class AcrosticEnd(Constraint):
    """The n-th line ends with the n-th of some letters, in either case.

    Attributes:
        letters: one for each line, as people see them; lines after them are free.
        characters: the model's.
        words: the words in Latin letters, in lower case, that lines are led to end on, if any of
            them fit; where ``None``, those of the whole dictionary, rare names included.
        wish: see `Constraint`.
    """

    letters: str
    characters: str
    words: frozenset[str] | None = None
    wish: Part = "the acrostic at the end"

    def fits(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        return self._met(so_far)

    def may_end(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        # Where there are endings, one of them is put where the line ends by itself.
        return so_far.number in self._endings or self._met(so_far)

    def endings(self, so_far: LineSoFar) -> frozenset[str] | None:
        """See `Constraint`."""
        return self._endings.get(so_far.number)

    @cached_property
    def _letters(self) -> list[str]:
        return letters(self.letters)

    @cached_property
    def _endings(self) -> dict[int, frozenset[str]]:
        """The units that lines are led to end on, by the number of the line."""
        spellings = {}
        for number, asked in enumerate(self._letters):
            # Without the dictionary the line must come to the letter by itself.
            words = None
            if is_unit(asked):
                words = frozenset({asked})
            elif len(asked) == 1:
                words = words_ending_in(asked, self.characters)
            if words is not None:
                spellings[number] = _preferred(words, self.words)
        return spellings

    def _met(self, so_far: LineSoFar) -> bool:
        asked = "".join(self._letters[so_far.number : so_far.number + 1])
        return not asked or "".join(so_far.letters[-1:]).casefold() == asked.casefold()


@dataclass(frozen=True)
class Rhyme(Constraint):
    """Lines with the same letter rhyme; see `charlstm.writing.rhyme`.

    Attributes:
        scheme: a letter for each line, ``AABA``; further lines begin it again with sounds of their
            own.
        characters: the model's.
        words: see `AcrosticEnd`.
        answers: how many units must rhyme with the first of a rhyme, so that it can be answered.
        wish: see `Constraint`.
    """

    scheme: str
    characters: str
    words: frozenset[str] | None = None
    answers: int = _ANSWERS
    wish: Part = "the rhyme"

    def fits(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        if not self._rhymes_at_all(so_far):
            return True
        earlier = self._to_answer(so_far)
        if not earlier:
            unit, answers = _unit(so_far.text), self._endings_on(sounds(so_far.text))
            if not self.answers or self.words is None or not in_word(unit[:1]):
                return len(answers) >= self.answers
            return unit in self.words and len(answers & self.words) >= _KNOWN_ANSWERS
        return all(rhyme(so_far.text, line) for line in earlier)

    def endings(self, so_far: LineSoFar) -> frozenset[str] | None:
        """See `Constraint`."""
        earlier = self._to_answer(so_far)
        if not earlier:
            return None
        shared = frozenset.intersection(*map(sounds, earlier))
        used = {_unit(line) for line in earlier}
        return self._endings_on(shared) - used

    def _endings_on(self, heard: frozenset[str]) -> frozenset[str]:
        return _answers_to(heard, self.characters, self.words)

    def _rhymes_at_all(self, so_far: LineSoFar) -> bool:
        return self.scheme.count(self.scheme[so_far.number % len(self.scheme)]) > 1

    def _to_answer(self, so_far: LineSoFar) -> list[str]:
        """Return the lines that are there with which it must rhyme."""
        place = so_far.number % len(self.scheme)
        first = so_far.number - place
        # Without the line itself, those of the same rhyme and those of others stand in order.
        scheme = self.scheme[:place] + self.scheme[place + 1 :]
        lines = [
            line
            for line, letter in zip(so_far.others[first:], scheme, strict=False)
            if letter == self.scheme[place]
        ]
        # Lines of somebody's own may end on what nothing rhymes with, or not rhyme with each other:
        # then the last one that can be answered is.
        answerable = [line for line in lines if self._endings_on(sounds(line)) - {_unit(line)}]
        together = answerable and self._endings_on(frozenset.intersection(*map(sounds, answerable)))
        return answerable if together else answerable[-1:]


@dataclass(frozen=True)
class Must(Constraint):
    """Words that must occur in one of the lines.

    Attributes:
        words: what must occur.
        line: the line that has all those that no line before it has; where ``None``, each line has
            one of them, as long as some are missing.
        lengths: see `LineLength`; empty where lines have no length.
        wish: see `Constraint`.
    """

    words: tuple[str, ...]
    line: int | None = None
    lengths: tuple[tuple[int, int], ...] = ()
    wish: Part = "the word that must occur"

    def fits(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        return not self._missing(so_far)

    def allowed(self, so_far: LineSoFar) -> str | None:
        """See `Constraint`."""
        missing = self._missing(so_far)
        if not missing:
            return None
        word, line = missing[0], so_far.text
        for length in range(min(len(word) - 1, len(line)), 0, -1):
            if line.endswith(word[:length]) and may_begin(word, line[:-length]):
                return word[length]
        due = len(counted(line)) >= int(so_far.chance * (self._room(so_far) + 1))
        return word[0] if due and may_begin(word, line) else None

    def may_end(self, so_far: LineSoFar) -> bool:
        """See `Constraint`."""
        return not self._missing(so_far)

    def _missing(self, so_far: LineSoFar) -> list[str]:
        return [word for word in self._asked(so_far) if not has_word(so_far.text, word)]

    def _asked(self, so_far: LineSoFar) -> list[str]:
        """Return the words that this line must have."""
        if self.line not in (None, so_far.number):
            return []
        new = [
            word for word in self.words if not any(has_word(line, word) for line in so_far.others)
        ]
        if self.line is not None:
            return new
        most = self._most(so_far)
        return [word for word in new if most is None or len(counted(word)) <= most][:1]

    def _room(self, so_far: LineSoFar) -> int:
        """Return how many characters may come before the first of them."""
        asked, most = self._asked(so_far), self._most(so_far)
        if most is None:
            return _ROOM_LATIN if in_word(first_letter(asked[0])) else _ROOM_HAN
        return most - sum(len(counted(word)) for word in asked)

    def _most(self, so_far: LineSoFar) -> int | None:
        return self.lengths[so_far.number % len(self.lengths)][1] if self.lengths else None


def _unit(line: str) -> str:
    """Return what a line rhymes on, in lower case and with straight apostrophes."""
    return line[slice(*ending(line))].casefold().replace("’", "'")


def _preferred(endings: frozenset[str], words: frozenset[str] | None) -> frozenset[str]:
    """Return the endings that are not words in Latin letters, or are among `words`."""
    if words is None:
        return endings
    return frozenset(one for one in endings if one in words or not in_word(one[0])) or endings


@lru_cache(maxsize=1 << 10)
def _answers_to(
    heard: frozenset[str], characters: str, words: frozenset[str] | None
) -> frozenset[str]:
    return _preferred(endings_on(heard, characters), words)


def is_unit(letter: str) -> bool:
    """Return whether this is a Han character, which is a unit by itself."""
    return len(letter) == 1 and not in_word(letter) and ending(letter) == (0, 1)
