"""A whole form, as it is asked for on the command line: lengths, acrostics, rhymes, words."""

import re
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from charlstm.checks import check_whole
from charlstm.errors import RecipeError, Setting, count
from charlstm.text.corpus import TextOptions
from charlstm.text.letters import counted, counts, letters, number_of_letters
from charlstm.text.unseen import readable
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.constraints import (
    Acrostic,
    AcrosticEnd,
    Constraint,
    LineLength,
    Must,
    Rhyme,
    is_unit,
    line_ends,
)
from charlstm.writing.rhyme import require_rhyme_libraries, require_rhyming_language, rhyme

# Where nothing says how many lines there are.
_LINES = 4
# A form of more lines would take hours, and all of it is kept in memory.
_MOST_LINES = 10_000
# The longest word, or line, that can be asked for.
_LONGEST = 100
# A line without a length has room for any word.
_UNBOUNDED = 10**6


@dataclass(frozen=True)
class Form:
    """What a text should be; its parts are combined, and its letters are those that people see.

    Attributes:
        lines: how many; where ``None``, as many as the other parts imply, else four.
        line_length: letters per line, not counting punctuation and spaces: ``"7"``, ``"6-9"``,
            ``"5,7,5,7"``.
        acrostic: the first letters of the lines, together.
        acrostic_end: their last letters, together.
        rhyme: a letter for each line: ``"AABA"``.
        must: words that occur somewhere.

    Raises:
        RecipeError: a part cannot be understood, or two cannot be combined.
    """

    lines: int | None = None
    line_length: str = ""
    acrostic: str = ""
    acrostic_end: str = ""
    rhyme: str = ""
    must: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.must, str):  # which is a sequence of texts too
            object.__setattr__(self, "must", (self.must,))
        if self.lines is not None:
            check_whole("lines", self.lines, 1)
            if self.has_constraints:
                check_whole("lines", self.lines, 1, _MOST_LINES)
        _ = self.lengths
        if self.rhyme and not re.fullmatch("[A-Za-z]+", self.rhyme):
            raise RecipeError(
                f"A rhyme scheme is a letter a line, as in AABA or ABAB, not {self.rhyme!r}."
            )
        if self.rhyme and len(set(self.rhyme.upper())) == len(self.rhyme):
            raise RecipeError(
                f"No two lines of the rhyme scheme {self.rhyme} have the same letter, so none "
                "would rhyme."
            )
        first = self.rhyme[: self.lines].upper()
        if self.rhyme and len(set(first)) == len(first):
            raise RecipeError(
                Setting("lines", self.lines),
                " leaves no two lines of ",
                Setting("rhyme", self.rhyme),
                " that rhyme.",
            )
        for name, text in (("acrostic", self.acrostic), ("acrostic_end", self.acrostic_end)):
            if text and not (_letters(text) and all(map(counts, _letters(text)))):
                raise RecipeError(
                    Setting(name), f" needs letters, one for each line, not {text!r}."
                )
            if self.lines is not None and len(_letters(text)) > self.lines:
                raise RecipeError(
                    Setting(name),
                    f" has {len(_letters(text))} characters and ",
                    Setting("lines"),
                    f" is {self.lines}; each of them needs a line.",
                )
        if not all(word.strip() == word and word and "\n" not in word for word in self.must):
            raise RecipeError(
                Setting("must"), " needs a word, without spaces or line breaks around it."
            )
        for word in self.must:
            if number_of_letters(word) > _LONGEST:
                raise RecipeError(
                    Setting("must"),
                    f" can have at most {_LONGEST} characters, not {number_of_letters(word):,}.",
                )

    @property
    def has_constraints(self) -> bool:
        """Whether anything is asked for beyond a number of lines."""
        return bool(
            self.line_length or self.acrostic or self.acrostic_end or self.rhyme or self.must
        )

    @property
    def leads_to_words(self) -> bool:
        """Whether lines are led to the words that they begin or end with."""
        return bool(self.rhyme or self.acrostic or self.acrostic_end)

    @property
    def count(self) -> int:
        """How many lines the text has."""
        several = len(self.lengths) if "," in self.line_length else 0
        parts = (_letters(self.acrostic), _letters(self.acrostic_end), self.rhyme)
        return self.lines or max(several, *map(len, parts)) or _LINES

    def as_read(self, options: TextOptions) -> "Form":
        """Return this form with its texts in the form of a training text."""
        return replace(
            self,
            acrostic=options.apply(self.acrostic),
            acrostic_end=options.apply(self.acrostic_end),
            must=tuple(map(options.apply, self.must)),
        )

    def constraints(
        self,
        vocabulary: Vocabulary,
        generator: np.random.Generator | None = None,
        words: frozenset[str] | None = None,
    ) -> list[Constraint]:
        """Return the parts of this form.

        Args:
            vocabulary: the model's; the texts are as it reads them, see `as_read`.
            generator: chooses the line for each word of `must`; where ``None``, as for a text whose
                end is open, each line has one of them until all have occurred.
            words: the words in Latin letters, in lower case, that lines are led to begin and to end
                with, if any of them fit; where ``None``, they may begin with anything, and end on
                any word of the dictionary.

        Raises:
            UnknownCharactersError: a part has characters that the model has never seen.
            RecipeError: two parts cannot be combined, or rhymes are asked for in a language whose
                rhymes are not known.
            MissingLibraryError: see `charlstm.writing.rhyme.require_rhyme_libraries`.
        """
        parts: list[Constraint] = []
        if self.lengths:
            parts.append(LineLength(self.lengths, Setting("line_length", self.line_length)))
        if self.acrostic:
            asked = "".join(_letters(self.acrostic))
            self._check_known(asked, "acrostic", vocabulary, either_case=True)
            asked = "".join(c if c in vocabulary else c.swapcase() for c in asked)
            wish = Setting("acrostic", self.acrostic)
            # A word that must occur may be none of them, and come first.
            leading = None if self.must else words
            parts.append(Acrostic(asked, vocabulary.characters, leading, wish))
        if self.acrostic_end:
            asked = "".join(_letters(self.acrostic_end))
            self._check_known(asked, "acrostic_end", vocabulary, either_case=True)
            wish = Setting("acrostic_end", self.acrostic_end)
            parts.append(AcrosticEnd(asked, vocabulary.characters, words, wish))
        if self.rhyme:
            require_rhyme_libraries()
            require_rhyming_language(vocabulary, words)
            scheme = self.rhyme.upper()
            wish = Setting("rhyme", self.rhyme)
            wanted = Rhyme(scheme, vocabulary.characters, words, wish=wish)
            # Where the ends are given, they need no other answers.
            parts.append(replace(wanted, answers=0) if self.acrostic_end else wanted)
            self._check_ends_rhyme(scheme)
        for word in self.must:
            self._check_known(word, "must", vocabulary)
            if any(mark in word for mark in line_ends(vocabulary)):
                raise RecipeError(
                    Setting("must", word),
                    " holds a character at which the model's lines end, so no line can have it.",
                )
        return [*parts, *self._musts(generator)]

    def _musts(self, generator: np.random.Generator | None) -> list[Constraint]:
        """Put every word in a line that has room for it."""
        if not self.must:
            return []
        room = [most for _, most in self.lengths] or [_UNBOUNDED]
        # The longest first: the others find room more easily.
        words = sorted(self.must, key=lambda word: -len(counted(word)))
        if len(counted(words[0])) > max(room):
            raise RecipeError(
                Setting("must", words[0]),
                " does not fit into a line of ",
                Setting("line_length", self.line_length),
                ".",
            )
        if generator is None:
            return [Must(self.must, None, self.lengths, Setting("must", self.must))]
        left = [room[line % len(room)] for line in range(self.count)]
        chosen: dict[int, list[str]] = {}
        for word in words:
            size = len(counted(word))
            roomy = [line for line in range(self.count) if left[line] >= size]
            if not roomy:
                raise RecipeError(
                    Setting("must", word),
                    f" finds no room beside the others in {count(self.count, 'line')} of ",
                    Setting("line_length", self.line_length),
                    ".",
                )
            line = roomy[int(generator.integers(len(roomy)))]
            chosen.setdefault(line, []).append(word)
            left[line] -= size
        return [
            Must(tuple(placed), line, self.lengths, Setting("must", tuple(placed)))
            for line, placed in chosen.items()
        ]

    @cached_property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """The least and the most characters of each line; empty where lines have no length."""
        if not self.line_length:
            return ()
        spans = []
        for part in self.line_length.split(","):
            match = re.fullmatch(r"\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?\s*", part)
            least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= least <= most <= _LONGEST:
                raise RecipeError(
                    f"A line length is a number from 1 to {_LONGEST}, a span as in 6-9, or "
                    f"several of them as in 5,7,5,7; not {self.line_length!r}."
                )
            spans.append((least, most))
        return tuple(spans)

    def _check_known(
        self, text: str, name: str, vocabulary: Vocabulary, *, either_case: bool = False
    ) -> None:
        if either_case:
            text = "".join(c for c in text if c.swapcase() not in vocabulary)
        advice = "Choose characters that its training text has."
        readable(text, vocabulary, "error", what=Setting(name), advice=(advice,))

    def _check_ends_rhyme(self, scheme: str) -> None:
        """Check that the characters asked for at the lines' ends rhyme where they should."""
        ends = _letters(self.acrostic_end)
        if not all(map(is_unit, ends)):
            return
        for number, end in enumerate(ends):
            place = number % len(scheme)
            for other in range(place):
                earlier = ends[number - place + other]
                if scheme[other] == scheme[place] and not rhyme(earlier, end):
                    raise RecipeError(
                        Setting("rhyme", self.rhyme),
                        f" asks for lines that rhyme, and {earlier} and {end} of ",
                        Setting("acrostic_end"),
                        f" do not{': nothing rhymes with itself' if earlier == end else ''}.",
                    )


def _letters(acrostic: str) -> list[str]:
    """Return the letters asked for; spaces between them do not matter."""
    return letters("".join(acrostic.split()))
