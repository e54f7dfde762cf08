"""What a text can be asked to be: lines of a length, an acrostic, rhymes, words that it must have.

A `Form` is the whole wish, as it is said on the command line; a `Constraint` is one part of it,
about one line at a time. `charlstm.composing` writes lines that meet them.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from charlstm.errors import RecipeError
from charlstm.prefix import readable
from charlstm.recipes import check_whole
from charlstm.rhyme import (
    ending,
    endings_on,
    require_rhyme_libraries,
    rhyme,
    sounds,
    words_ending_in,
)
from charlstm.vocabulary import Vocabulary

# Of a form that says nothing about the number of lines.
_LINES = 4
_APOSTROPHES = ("'", "’")
# Marks after which a Chinese line of verse ends, though the text line goes on.
_CLAUSE_MARKS = "，。！？；"
# So many units must rhyme with the first of a rhyme, so that it can be answered.
_ANSWERS = 6
# The longest word, or line, that can be asked for.
_LONGEST = 100
# A line without a length has room for any word.
_UNBOUNDED = 10**6
# Where a line has no length, a word that must occur begins among its first so many characters.
_ROOM_HAN, _ROOM_LATIN = 5, 20


@dataclass(frozen=True)
class Draft:
    """A line as far as it is written, and where it stands.

    Attributes:
        before: the finished lines of the text above it.
        line: what it has so far; for `Constraint.fits`, the whole line without its line break.
        chance: a number in [0, 1), the same from its first character to its last, for constraints
            that leave something to chance.
    """

    before: tuple[str, ...]
    line: str
    chance: float = 0.0

    @property
    def number(self) -> int:
        """Which line of the text it is, from 0."""
        return len(self.before)


class Constraint:
    """One wish about the lines of a text; a kind of wish overrides the methods that it needs.

    `fits` decides. The others steer, so that lines that fit are found at all: what they rule out
    is never drawn. All but `endings` are asked before every character, so they should be quick.

    Attributes:
        wish: how the wish is called when it cannot be met.
    """

    wish = "the form"

    def fits(self, draft: Draft) -> bool:
        """Return whether the finished line is as it should be."""
        return True

    def allowed(self, draft: Draft) -> str | None:
        """Return the characters that may come next inside the line; ``None`` for all."""
        return None

    def may_end(self, draft: Draft) -> bool:
        """Return whether the line may end here."""
        return True

    def must_end(self, draft: Draft) -> bool:
        """Return whether the line must end here; punctuation may still follow."""
        return False

    def endings(self, draft: Draft) -> frozenset[str] | None:
        """Return the units, a Han character or a word in lower case, that the line may end on.

        ``None`` for all. It is asked once, before the line is written, so it depends on the lines
        before alone. A candidate is taken back to where its last unit began, and led to one of
        these.
        """
        return None


def line_ends(vocabulary: Vocabulary) -> str:
    """Return the characters at which a line ends, the commonest first; usually the line break.

    Where a Chinese text has more clauses than lines, as prose has and poems printed two verses to
    a line, a line of verse ends with its clause. Without line breaks it ends with a space as well,
    and where there is nothing of all that, nothing is returned.
    """
    frequency = dict(zip(vocabulary.characters, vocabulary.counts[1:], strict=True))
    marks = [mark for mark in _CLAUSE_MARKS if mark in frequency]
    breaks = frequency.get("\n", 0)
    if breaks and sum(frequency[mark] for mark in marks) <= breaks:
        return "\n"
    spaces = " " if " " in frequency and not breaks else ""
    return "".join(sorted([*marks, *spaces], key=lambda mark: -frequency[mark]))


@lru_cache(maxsize=1 << 14)
def counts(character: str) -> bool:
    """Return whether a character counts for a line's length: letters, digits and Han do."""
    return unicodedata.category(character)[0] in "LN"


def counted(line: str) -> str:
    """Return `line` without what does not count: its punctuation, its spaces."""
    return "".join(character for character in line if counts(character))


@dataclass(frozen=True)
class LineLength(Constraint):
    """Lines of so many characters, punctuation and spaces aside.

    Attributes:
        lengths: the least and the most for each line; after the last it begins again.
        wish: see `Constraint`.
    """

    lengths: tuple[tuple[int, int], ...]
    wish: str = "the line length"

    def fits(self, draft: Draft) -> bool:
        """See `Constraint`."""
        least, most = self._length(draft)
        return least <= len(counted(draft.line)) <= most

    def may_end(self, draft: Draft) -> bool:
        """See `Constraint`."""
        return len(counted(draft.line)) >= self._length(draft)[0]

    def must_end(self, draft: Draft) -> bool:
        """See `Constraint`."""
        return len(counted(draft.line)) >= self._length(draft)[1]

    def _length(self, draft: Draft) -> tuple[int, int]:
        return self.lengths[draft.number % len(self.lengths)]


@dataclass(frozen=True)
class Acrostic(Constraint):
    """The n-th line begins with the n-th of some characters, in either case (藏头诗).

    Attributes:
        characters: one for each line; lines after them are free.
        wish: see `Constraint`.
    """

    characters: str
    wish: str = "the acrostic"

    def fits(self, draft: Draft) -> bool:
        """See `Constraint`."""
        asked = self.characters[draft.number : draft.number + 1]
        return not asked or counted(draft.line)[:1].casefold() == asked.casefold()

    def allowed(self, draft: Draft) -> str | None:
        """See `Constraint`."""
        asked = self.characters[draft.number : draft.number + 1]
        return None if counted(draft.line) or not asked else asked + asked.swapcase()


@dataclass(frozen=True)
class AcrosticEnd(Constraint):
    """The n-th line ends with the n-th of some characters, in either case.

    Attributes:
        letters: one for each line; lines after them are free.
        characters: the model's.
        wish: see `Constraint`.
    """

    letters: str
    characters: str
    wish: str = "the acrostic at the end"

    def fits(self, draft: Draft) -> bool:
        """See `Constraint`."""
        return self._met(draft)

    def may_end(self, draft: Draft) -> bool:
        """See `Constraint`."""
        # Where there are endings, they are put where the line ends by itself.
        return self.endings(draft) is not None or self._met(draft)

    def endings(self, draft: Draft) -> frozenset[str] | None:
        """See `Constraint`."""
        asked = self.letters[draft.number : draft.number + 1]
        if _is_unit(asked):
            return frozenset({asked})
        # Without the dictionary the line must come to the letter by itself.
        return words_ending_in(asked, self.characters) if asked else None

    def _met(self, draft: Draft) -> bool:
        asked = self.letters[draft.number : draft.number + 1]
        return not asked or counted(draft.line)[-1:].casefold() == asked.casefold()


@dataclass(frozen=True)
class Rhyme(Constraint):
    """Lines with the same letter rhyme; see `charlstm.rhyme`.

    Attributes:
        scheme: a letter for each line, ``AABA``; further lines begin it again with sounds of their
            own.
        characters: the model's.
        answers: so many units must rhyme with the first one of a rhyme, so that it can be answered.
        wish: see `Constraint`.
    """

    scheme: str
    characters: str
    answers: int = _ANSWERS
    wish: str = "the rhyme"

    def fits(self, draft: Draft) -> bool:
        """See `Constraint`."""
        if not self._rhymes_at_all(draft):
            return True
        earlier = self._earlier(draft)
        if not earlier:
            return len(endings_on(sounds(draft.line), self.characters)) >= self.answers
        return all(rhyme(draft.line, line) for line in earlier)

    def endings(self, draft: Draft) -> frozenset[str] | None:
        """See `Constraint`."""
        earlier = self._earlier(draft)
        if not earlier:
            return None
        shared = frozenset.intersection(*map(sounds, earlier))
        used = {line[slice(*ending(line))].casefold() for line in earlier}
        return endings_on(shared, self.characters) - used

    def _rhymes_at_all(self, draft: Draft) -> bool:
        return self.scheme.count(self.scheme[draft.number % len(self.scheme)]) > 1

    def _earlier(self, draft: Draft) -> list[str]:
        """Return the lines before it with which it must rhyme."""
        place = draft.number % len(self.scheme)
        first = draft.number - place
        return [
            draft.before[first + other]
            for other in range(place)
            if self.scheme[other] == self.scheme[place]
        ]


@dataclass(frozen=True)
class Must(Constraint):
    """Words occur in one of the lines, one after the other where the line has none of them yet.

    Attributes:
        words: what must occur.
        line: which line they are put in, unless one before has them; ``None`` for the next one.
        room: how many characters may stand before them in that line.
        wish: see `Constraint`.
    """

    words: tuple[str, ...]
    line: int | None
    room: int
    wish: str = "the word that must occur"

    def fits(self, draft: Draft) -> bool:
        """See `Constraint`."""
        return not self._missing(draft)

    def allowed(self, draft: Draft) -> str | None:
        """See `Constraint`."""
        missing = self._missing(draft)
        if not missing:
            return None
        word, line = missing[0], draft.line
        for length in range(min(len(word) - 1, len(line)), 0, -1):
            if line.endswith(word[:length]) and _may_begin(word, line[:-length]):
                return word[length]
        due = len(counted(line)) >= int(draft.chance * (self.room + 1))
        return word[0] if due and _may_begin(word, line) else None

    def may_end(self, draft: Draft) -> bool:
        """See `Constraint`."""
        return not self._missing(draft)

    def _missing(self, draft: Draft) -> list[str]:
        if self.line is not None and draft.number != self.line:
            return []
        lines = (*draft.before, draft.line)
        return [word for word in self.words if not any(_has(line, word) for line in lines)]


@dataclass(frozen=True)
class Form:
    """What a text should be; its parts are combined.

    Attributes:
        lines: how many; where ``None``, what the other parts speak of, else four.
        line_length: characters a line, punctuation and spaces aside: ``"7"``, ``"6-9"``,
            ``"5,7,5,7"``.
        acrostic: the first characters of the lines, together.
        acrostic_end: their last characters, together.
        rhyme: a letter a line: ``"AABA"``.
        must: words that occur somewhere.

    Raises:
        RecipeError: a part cannot be understood, or two exclude each other.
    """

    lines: int | None = None
    line_length: str = ""
    acrostic: str = ""
    acrostic_end: str = ""
    rhyme: str = ""
    must: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.lines is not None:
            check_whole("lines", self.lines, 1)
        self._lengths()
        if self.rhyme and not re.fullmatch("[A-Za-z]+", self.rhyme):
            raise RecipeError(
                f"A rhyme scheme is a letter a line, as in AABA or ABAB, not {self.rhyme!r}."
            )
        if self.rhyme and len(set(self.rhyme.upper())) == len(self.rhyme):
            raise RecipeError(
                f"No two lines of the rhyme scheme {self.rhyme} have the same letter, so none "
                "would rhyme."
            )
        for option, text in (("acrostic", self.acrostic), ("acrostic-end", self.acrostic_end)):
            if text and not (_letters(text) and all(map(counts, _letters(text)))):
                raise RecipeError(f"--{option} needs letters, one for each line, not {text!r}.")
            if self.lines is not None and len(_letters(text)) > self.lines:
                raise RecipeError(
                    f"--{option} has {len(_letters(text))} characters and --lines is "
                    f"{self.lines}; there is a line for each of them."
                )
        if not all(word.strip() == word and word and "\n" not in word for word in self.must):
            raise RecipeError("--must needs a word, without spaces or line breaks around it.")
        for word in self.must:
            if len(word) > _LONGEST:
                raise RecipeError(f"--must can have {_LONGEST} characters, not {len(word):,}.")

    def __bool__(self) -> bool:
        """Whether anything is asked for beyond a number of lines."""
        return bool(
            self.line_length or self.acrostic or self.acrostic_end or self.rhyme or self.must
        )

    @property
    def count(self) -> int:
        """How many lines the text has."""
        several = len(self._lengths()) if "," in self.line_length else 0
        parts = (_letters(self.acrostic), _letters(self.acrostic_end), self.rhyme)
        return self.lines or max(several, *map(len, parts)) or _LINES

    def constraints(
        self, vocabulary: Vocabulary, generator: np.random.Generator | None = None
    ) -> list[Constraint]:
        """Return the parts of this form.

        Args:
            vocabulary: the model's.
            generator: says in which line each word of `must` stands; where ``None`` it stands in
                the next line that is written.

        Raises:
            UnknownCharactersError: a part has characters that the model has never seen.
            RecipeError: two parts exclude each other.
            MissingLibraryError: see `charlstm.rhyme.require_rhyme_libraries`.
        """
        found: list[Constraint] = []
        lengths = self._lengths()
        if lengths:
            found.append(LineLength(lengths, f"--line-length {self.line_length}"))
        if self.acrostic:
            letters = _letters(self.acrostic)
            self._check_known(letters, "acrostic", vocabulary, either_case=True)
            found.append(Acrostic(letters, f"--acrostic {self.acrostic}"))
        if self.acrostic_end:
            letters = _letters(self.acrostic_end)
            self._check_known(letters, "acrostic-end", vocabulary, either_case=True)
            wish = f"--acrostic-end {self.acrostic_end}"
            found.append(AcrosticEnd(letters, vocabulary.characters, wish))
        if self.rhyme:
            require_rhyme_libraries()
            scheme = self.rhyme.upper()
            # Where the ends are given, they need no other answers.
            answers = 0 if self.acrostic_end else _ANSWERS
            wish = f"--rhyme {self.rhyme}"
            found.append(Rhyme(scheme, vocabulary.characters, answers, wish))
            self._check_ends_rhyme(scheme)
        for word in self.must:
            self._check_known(word, "must", vocabulary)
            if any(mark in word for mark in line_ends(vocabulary)):
                raise RecipeError(
                    f"--must {word} holds a character at which the model's lines end, so no line "
                    "can have it."
                )
        return [*found, *self._musts(generator)]

    def _musts(self, generator: np.random.Generator | None) -> list[Constraint]:
        """Put every word in a line that has room for it."""
        if not self.must:
            return []
        lengths = self._lengths()
        count = 1 if generator is None else self.count
        # What is left of each line.
        free = [lengths[line % len(lengths)][1] if lengths else _UNBOUNDED for line in range(count)]
        words: dict[int, list[str]] = {}
        for word in self.must:
            size = len(counted(word))
            roomy = [line for line in range(count) if free[line] >= size]
            if not roomy:
                raise RecipeError(
                    f"--must {word} does not fit into a line of --line-length {self.line_length}."
                )
            line = roomy[0 if generator is None else int(generator.integers(len(roomy)))]
            words.setdefault(line, []).append(word)
            free[line] -= size
        found: list[Constraint] = []
        for line, chosen in words.items():
            room = free[line]
            if not lengths:
                room = _ROOM_LATIN if _in_word(chosen[0][0]) else _ROOM_HAN
            at = None if generator is None else line
            wish = " ".join(f"--must {word}" for word in chosen)
            found.append(Must(tuple(chosen), at, room, wish))
        return found

    def _lengths(self) -> tuple[tuple[int, int], ...]:
        if not self.line_length:
            return ()
        found = []
        for part in self.line_length.split(","):
            match = re.fullmatch(r"\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?\s*", part)
            least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= least <= most <= _LONGEST:
                raise RecipeError(
                    f"A line length is a number from 1 to {_LONGEST}, a span as in 6-9, or "
                    f"several of them as in 5,7,5,7; not {self.line_length!r}."
                )
            found.append((least, most))
        return tuple(found)

    def _check_known(
        self, text: str, option: str, vocabulary: Vocabulary, *, either_case: bool = False
    ) -> None:
        if either_case:
            text = "".join(c for c in text if c.swapcase() not in vocabulary)
        advice = "Its training text does not have them: choose others."
        readable(text, vocabulary, "error", what=f"--{option}", advice=advice)

    def _check_ends_rhyme(self, scheme: str) -> None:
        """Check that the characters asked for at the lines' ends rhyme where they should."""
        ends = _letters(self.acrostic_end)
        if not all(map(_is_unit, ends)):
            return
        for number, end in enumerate(ends):
            place = number % len(scheme)
            for other in range(place):
                earlier = ends[number - place + other]
                if scheme[other] == scheme[place] and not rhyme(earlier, end):
                    raise RecipeError(
                        f"--rhyme {self.rhyme} asks for lines that rhyme, and the characters "
                        f"{earlier} and {end} of --acrostic-end do not."
                    )


def _letters(acrostic: str) -> str:
    return "".join(acrostic.split())


def _is_unit(character: str) -> bool:
    """Return whether this is a Han character, which is a unit by itself."""
    return bool(character) and not _in_word(character) and ending(character) == (0, 1)


@lru_cache(maxsize=1 << 14)
def _in_word(character: str) -> bool:
    """Return whether a character belongs to words that are set apart by spaces."""
    name = unicodedata.name(character, "") if character else ""
    return character.isalpha() and not name.startswith(("CJK", "HIRAGANA", "KATAKANA"))


def _may_begin(word: str, line: str) -> bool:
    """Return whether `word` may follow `line` without becoming a part of a longer one."""
    before = line[:-1] if line.endswith(_APOSTROPHES) else line
    return not (_in_word(word[0]) and _in_word(before[-1:]))


def _has(line: str, word: str) -> bool:
    """Return whether `word` occurs in `line`, not as a part of a longer one."""
    found = line.find(word)
    while found >= 0:
        end = found + len(word)
        # Of can't, can is a part: an apostrophe with a letter behind it goes on with the word.
        goes_on = _in_word(line[end : end + 1]) or (
            line[end : end + 1] in _APOSTROPHES and _in_word(line[end + 1 : end + 2])
        )
        if _may_begin(word, line[:found]) and not (_in_word(word[-1]) and goes_on):
            return True
        found = line.find(word, found + 1)
    return False
