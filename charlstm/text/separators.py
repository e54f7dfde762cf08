"""Where one song ends and the next begins, inside of one text."""

import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from charlstm.checks import shown
from charlstm.errors import SettingError, shortened
from charlstm.text.songs import END, SYMBOL, with_ends

FILES = "files"
"""What tells songs apart that need no separator: each has a file, a row or an object."""

# With fewer songs, or if most of the text is in longer ones, it is a stream: a book has chapters.
_FEWEST = 5
_SHORTEST, _LONGEST = 20, 4_000
# Lines are looked at once they are whole; one of more characters than this is none that parts.
_LONGEST_LINE = 1 << 20

# Of a longer pattern, its beginning and its end are shown.
_SHOWN = 60
# What a text begins with whose songs have labels.
_LABELLED = re.compile(f"({END}{SYMBOL.pattern}+)")

_BLANK = r"[^\S\n]*"
_NUMBER = r"\d{1,4}|[IVXLCivxlc]{1,8}|[一二三四五六七八九十百零〇]{1,5}"
_NUMBERED = (
    rf"^(?={_BLANK}(?:(?:(?ai:No|Nr|Song|Track|Poem|Sonnet|Chapter)|第|其){_BLANK}[.#]?{_BLANK}"
    rf"(?P<after>{_NUMBER})(?:{_BLANK}[首章曲支篇]|\b)[^\n]{{0,80}}"
    rf"|(?P<before>{_NUMBER})[.、:：)）][^\n]{{0,80}}|(?P<alone>{_NUMBER}){_BLANK})$)"
)


@dataclass(frozen=True)
class Separator:
    """What tells songs apart.

    Attributes:
        name: by which `separator_named` finds it.
        told: what a report calls it.
        part: puts `END` where songs end in a text of whole lines, the last one without its line
            break and not empty.
        sound: whether what it would part is what it is meant for.
    """

    name: str
    told: str
    part: Callable[[str], str]
    sound: Callable[[str], bool] = lambda _text: True

    def marked(self, pieces: Iterable[str], *, labelled: bool = False) -> Iterator[str]:
        """Yield a text with `END` wherever a song ends, a piece at a time.

        Args:
            pieces: the text.
            labelled: whether each `END` in it is followed by the symbols of labels, which are no
                part of a line.
        """
        part = self._part_labelled if labelled else self.part
        waiting = ""
        for piece in pieces:
            waiting += piece
            # Up to the last line that is not empty: how many empty ones follow is not known yet.
            whole = len(waiting[: waiting.rfind("\n") + 1].rstrip())
            if whole:
                # The line break by itself, because there is no empty line after it.
                after = waiting.index("\n", whole)
                yield part(waiting[:after])
                yield "\n"
                waiting = waiting[after + 1 :]
            elif len(waiting) > _LONGEST_LINE:
                yield waiting
                waiting = ""
        yield part(waiting)

    def _part_labelled(self, text: str) -> str:
        parts = _LABELLED.split(text)
        return "".join(part if k % 2 else self.part(part) for k, part in enumerate(parts))


def _inserted(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(END, text)


def _count_up(text: str) -> bool:
    """Whether numbered headings are numbered one after the other."""
    found = [match[match.lastgroup or 0] for match in _lines(_NUMBERED).finditer(text)]
    numbers = [_number(digits) for digits in found]
    ups = sum(after == before + 1 for before, after in itertools.pairwise(numbers))
    return ups >= 0.9 * (len(numbers) - 1)


_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def _number(digits: str) -> int:
    """Return what a number is, in Arabic, Roman or Chinese digits."""
    if digits.isdecimal():
        return int(digits)
    if digits[0].upper() in _ROMAN:
        values = [_ROMAN[digit] for digit in digits.upper()]
        pairs = zip(values, [*values[1:], 0], strict=True)
        return sum(-value if value < after else value for value, after in pairs)
    total, last = 0, 0
    for digit in digits:
        if digit in "十百":
            total += max(last, 1) * (10 if digit == "十" else 100)
            last = 0
        else:
            last = _DIGITS[digit]
    return total + last


def _lines(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


@cache
def _separators() -> tuple[Separator, ...]:
    """Return all that are looked for, in that order."""
    blank = _BLANK
    return (
        Separator(FILES, "each a file, a row or an object", lambda text: text),
        Separator(
            "rules",
            "lines of *** or the like",
            partial(_inserted, _lines(rf"^{blank}([*=_~#+-])(?:{blank}\1){{2,}}{blank}$")),
        ),
        Separator(
            "titles",
            "titles in 《》",
            partial(_inserted, _lines(rf"^(?={blank}《[^《》\n]{{1,80}}》{blank}$)")),
        ),
        Separator(
            "empty lines",
            "two or more empty lines",
            partial(_inserted, _lines(rf"^(?:{blank}\n){{2,}}")),
        ),
        Separator("numbers", "numbered headings", partial(_inserted, _lines(_NUMBERED)), _count_up),
    )


def find_separator(sample: str) -> Separator | None:
    """Return what tells the songs of a text apart; ``None`` if it has none.

    Args:
        sample: the beginning of the text, with `END` between its files, rows and objects.
    """
    for separator in _separators():
        lengths = _lengths(separator, sample)
        if len(lengths) >= _FEWEST and _are_songs(lengths) and separator.sound(sample):
            return separator
    return None


def parts(separator: Separator, sample: str) -> bool:
    """Return whether a separator finds more than one song at the beginning of a text."""
    return len(_lengths(separator, sample)) > 1


def _lengths(separator: Separator, sample: str) -> list[int]:
    marked = "".join(with_ends([separator.part(sample.rstrip())]))
    return [len(song) for song in marked.split(END) if song]


def _are_songs(lengths: list[int]) -> bool:
    """Whether texts of these lengths may be songs."""
    short = sum(length for length in lengths if length <= _LONGEST)
    return sorted(lengths)[len(lengths) // 2] >= _SHORTEST and 2 * short > sum(lengths)


def separator_named(name: str) -> Separator | None:
    """Return the separator of a name, as a run keeps it; ``None`` if there is none."""
    return next((known for known in _separators() if known.name == name), None)


def separator_of(pattern: str) -> Separator:
    """Return what parts a text at the lines that a regular expression matches whole.

    A line with letters or digits is the title of the song that begins there; another is left out.

    Raises:
        SettingError: it is no regular expression.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what may mean something else one day means this today
            compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingError(
            "songs", "auto, off or a regular expression", f"{shown(pattern)}: {error}"
        ) from None

    def marked(line: str) -> str:
        if compiled.fullmatch(line) is None:
            return line
        return END + line if any(map(str.isalnum, line)) else END

    return Separator(
        "pattern",
        f"lines like {shortened(pattern, _SHOWN)}",
        lambda text: "\n".join(map(marked, text.split("\n"))),
    )
