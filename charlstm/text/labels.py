"""Labels: what is told of a song besides its words, and read by a model before them.

Each value, such as an artist, is one symbol that exists only inside the program, of the last plane
of Unicode, which no character is ever in. A song without a value has the symbol of none.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from charlstm.errors import CorpusError, RecipeError, Setting
from charlstm.text.formats.names import plainly
from charlstm.text.songs import FIRST_SYMBOL, SYMBOL, SYMBOLS, Opening

FOLDER = "folder"
"""The label that every file has: the name of the folder that it lies in."""

_TITLE = "title"
# An error lists so many values at most, and as many if it knows the nearest.
_LISTED, _NEAREST, _NEAR = 12, 5, 0.5
_LONGEST_SHOWN = 60

Label = Mapping[str, str]
"""The values that are asked for, by the names of the labels."""


@dataclass(frozen=True)
class Labels:
    """The labels that the songs of a text have.

    Attributes:
        names: of the labels, in the order in which a model reads them.
        values: by each name, its values and their symbols, in the order met.
    """

    names: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))

    def __bool__(self) -> bool:
        """Whether songs have any."""
        return bool(self.names)

    @property
    def none(self) -> str:
        """What is read before a song without values: a symbol for each name."""
        return "".join(chr(FIRST_SYMBOL + place) for place in range(len(self.names)))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Of each symbol, which of the names it belongs to, those of none first."""
        places = {symbol: place for place, symbol in enumerate(self.none)}
        for place, name in enumerate(self.names):
            places.update(dict.fromkeys(self.values[name].values(), place))
        return MappingProxyType(places)

    def among(self, characters: Collection[str]) -> "Labels":
        """Return the labels with only those values whose symbols are among some characters."""
        values = {
            name: {value: symbol for value, symbol in known.items() if symbol in characters}
            for name, known in self.values.items()
        }
        return Labels(self.names, values)

    def stripped(self, text: str) -> str:
        """Return a text without symbols."""
        return SYMBOL.sub("", text) if self else text

    def symbols(self, label: Label) -> str:
        """Return what is read before a song with some values; of all other names it has none.

        Raises:
            RecipeError: there is no such label or no such value; says which ones there are.
        """
        if not self and label:
            raise RecipeError(
                "The model has learned no labels: leave ",
                Setting("label"),
                " out, or train a model with ",
                Setting("labels"),
                ".",
            )
        wished = {}
        for name, value in label.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise RecipeError(
                    Setting("label"), " must be names with values, as in artist and Sappho."
                )
            called = plainly(name)
            if called not in self.names:
                raise RecipeError(
                    f"The model has learned no label called {_shown(name)}: it has "
                    f"{_listed(self.names)}."
                )
            wished[called] = self._symbol(called, value)
        pairs = zip(self.names, self.none, strict=True)
        return "".join(wished.get(name, none) for name, none in pairs)

    def _symbol(self, name: str, value: str) -> str:
        known, cleaned = self.values[name], _cleaned(value)
        if cleaned in known:
            return known[cleaned]
        alike = [one for one in known if one.casefold() == cleaned.casefold()]
        if len(alike) == 1:
            return known[alike[0]]
        raise RecipeError(
            Setting("label", f"{name}={value}"),
            f" is not what the model has learned: {_instead(cleaned, known)}",
        )

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return them as plain values: of each value, which of all symbols it has."""
        return {
            name: {value: ord(symbol) - FIRST_SYMBOL for value, symbol in self.values[name].items()}
            for name in self.names
        }

    @classmethod
    def from_json(cls, value: object) -> "Labels":
        """Rebuild and check what `to_json` returned.

        Raises:
            TypeError, ValueError: it is not that.
        """
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            raise TypeError("labels must hold objects.")
        numbers = [number for one in value.values() for number in one.values()]
        if not all(type(number) is int for number in numbers):
            raise TypeError("labels must hold whole numbers.")
        if numbers and not len(value) <= min(numbers) <= max(numbers) < SYMBOLS:
            raise ValueError(f"labels must be numbered from {len(value)} to {SYMBOLS - 1:,}.")
        if len(set(numbers)) < len(numbers):
            raise ValueError("labels must not have the same number twice.")
        for text in (*value, *(text for one in value.values() for text in one)):
            text.encode()  # half of a character could not be written again
        return cls(
            tuple(value),
            {
                name: {one: chr(FIRST_SYMBOL + number) for one, number in numbered.items()}
                for name, numbered in value.items()
            },
        )


class Labeller:
    """Gives songs their symbols while they are read.

    Args:
        names: of the labels that are asked for.
        known: values that have a symbol already; none if ``None``.
        growing: whether values that are new get symbols, or count as none.
    """

    def __init__(
        self, names: tuple[str, ...], known: Labels | None = None, *, growing: bool = True
    ) -> None:
        self._names = names
        known = known or Labels()
        self._values = {name: dict(known.values.get(name, {})) for name in names}
        used = [ord(symbol) for one in known.values.values() for symbol in one.values()]
        self._next = max([FIRST_SYMBOL + len(names) - 1, *used]) + 1
        self._growing = growing
        self._none = Labels(names, self._values).none
        self._met: Counter[str] = Counter()

    @property
    def labels(self) -> Labels:
        """All that songs have had."""
        return Labels(self._names, {name: dict(self._values[name]) for name in self._names})

    def symbols(self, song: Opening, folder: str | None) -> str:
        """Return the symbols of a song.

        Args:
            song: what is told of it.
            folder: that its file lies in.

        Raises:
            CorpusError: there are more values than symbols.
        """
        if not self._names:
            return ""
        told = {FOLDER: folder or "", _TITLE: song.title or "", **song.fields}
        self._met.update(name for name, value in told.items() if value)
        pairs = zip(self._names, self._none, strict=True)
        return "".join(self._symbol(name, told.get(name, ""), none) for name, none in pairs)

    def _symbol(self, name: str, value: str, none: str) -> str:
        value, known = _cleaned(value), self._values[name]
        if value and value not in known and self._growing:
            if self._next >= FIRST_SYMBOL + SYMBOLS:
                raise CorpusError(
                    f"The songs have more than {SYMBOLS:,} different values of ",
                    Setting("labels", self._names),
                    ", too many to learn from: leave the one out in which all songs differ.",
                )
            known[value] = chr(self._next)
            self._next += 1
        return known.get(value, none)

    def check(self) -> None:
        """Check that each label was met in a song.

        Raises:
            CorpusError: one was not; says what is told of the songs.
        """
        missing = [name for name in self._names if not self._values[name]]
        if missing and self._growing:
            there = [name for name, _ in self._met.most_common()]
            known = f"what is told of them is {_listed(there)}" if there else "nothing is"
            near = _nearest(missing[0], there)
            meant = f"; did you mean {near[0]}?" if near else "."
            raise CorpusError(
                f"Of no song a {_shown(missing[0])} is told, so it cannot be a label: "
                f"{known}{meant}"
            )


def check_names(given: object) -> tuple[str, ...]:
    """Return the names of labels as they are compared.

    Raises:
        ValueError: they are none.
    """
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        raise ValueError("they are no names")
    plain = []
    for name in names:
        if not isinstance(name, str) or not plainly(name) or "=" in name:
            raise ValueError("they are no names")
        plain.append(plainly(name))
    if len(set(plain)) < len(plain):
        raise ValueError("one comes twice")
    return tuple(plain)


def without_symbols(text: str) -> tuple[str, int]:
    """Return a text with U+FFFD for what would look like a symbol, and how often it did."""
    return SYMBOL.subn("\ufffd", text)


def _cleaned(value: str) -> str:
    """Return a value on one line, composed, and without halves of characters."""
    whole = value.encode(errors="replace").decode()
    return " ".join(unicodedata.normalize("NFC", SYMBOL.sub("\ufffd", whole)).split())


def _instead(value: str, known: Collection[str]) -> str:
    """Say which values there are, or the nearest if they are many."""
    if len(known) <= _LISTED:
        return f"it has {_listed(known)}." if known else "it has none."
    near = _nearest(value, known)
    listed = _listed(near or list(known)[:_NEAREST])
    return (
        f"of {len(known):,} the nearest are {listed}."
        if near
        else (f"there are {len(known):,}, such as {listed}.")
    )


def _nearest(value: str, known: Collection[str]) -> list[str]:
    import difflib  # only here, because hardly anybody needs it

    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    wanted = value.casefold()
    # What is meant is often typed in part.
    parts = [one for one in folded if wanted and wanted in one]
    close = difflib.get_close_matches(wanted, folded, n=_NEAREST, cutoff=_NEAR)
    return [folded[one] for one in dict.fromkeys([*close, *parts])][:_NEAREST]


def _listed(values: Collection[str]) -> str:
    shown = [_shown(one) for one in list(values)[:_LISTED]]
    if len(values) > _LISTED:
        shown.append(f"{len(values) - _LISTED:,} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
