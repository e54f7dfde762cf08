"""The settings that a search tries, and from where to where."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from charlstm.checks import check_known, shown
from charlstm.errors import Part, RecipeError, Setting, SettingError
from charlstm.recipes.recipe import SETTINGS, Recipe
from charlstm.recipes.varied import value_of

# From this width on layers are whole multiples of so many, which is what processors like.
_WIDE, _MULTIPLE = 64, 8
# So many digits of a number say enough of it.
_DIGITS = 3


@dataclass(frozen=True)
class Range:
    """What a setting may be in a search.

    Attributes:
        low: at least.
        high: at most.
        whole: whether it is a whole number.
        even: whether what is twice as large is as far everywhere, as for rates and widths.
        multiple: whether large ones are whole multiples of a small number.
    """

    low: float
    high: float
    whole: bool = False
    even: bool = True
    multiple: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def holding(self, value: float) -> "Range":
        """Return this range, or a wider one that holds a value."""
        low, high = min(self.low, value), max(self.high, value)
        return replace(self, low=low, high=high, even=self.even and low > 0)

    def rounded(self, value: float) -> int | float:
        """Return the nearest value that is told in few digits and is in the range."""
        if self.multiple and value >= _WIDE:
            value = _MULTIPLE * round(value / _MULTIPLE)
        value = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        value = min(max(value, self.low), self.high)
        return int(value) if self.whole else float(value)


RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "hidden": Range(64, 768, whole=True, multiple=True),
        "layers": Range(1, 3, whole=True, even=False),
        "embedding": Range(16, 512, whole=True, multiple=True),
        "dropout": Range(0.0, 0.7, even=False),
        "learning_rate": Range(0.0005, 0.02),
        "head_rate": Range(0.25, 8.0),
        "weight_decay": Range(0.003, 1.0),
        "batch": Range(4, 64, whole=True),
        "window": Range(16, 128, whole=True),
    }
)
"""What is searched unless something else is asked for: around what has ever suited some text."""


def ranges(told: Iterable[tuple[str, str | None]] = ()) -> dict[str, Range]:
    """Return the ranges that are asked for; all of `RANGES` if none are.

    Args:
        told: names of settings, and the bounds of each as ``64..512``, or ``None`` for those that
            stand here.

    Raises:
        RecipeError: a setting is not searched, or is named twice.
        SettingError: the bounds are none, or not what the setting may be.
        UnknownSettingError: there is no such setting.
    """
    found: dict[str, Range] = {}
    for name, bounds in told:
        check_known([name], SETTINGS)
        if name not in RANGES:
            known: list[Part] = [part for one in RANGES for part in (", ", Setting(one))]
            raise RecipeError(
                Setting(name), " is no setting that is searched; those are ", *known[1:], "."
            )
        if name in found:
            raise RecipeError(Setting(name), " is named twice: once is enough.")
        found[name] = RANGES[name] if bounds is None else _bounded(name, bounds)
    return found or dict(RANGES)


def _bounded(name: str, bounds: str) -> Range:
    low, dots, high = bounds.partition("..")
    values = [value_of(name, part.strip()) for part in (low, high)]
    if not dots or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise SettingError(name, "a range such as 64..512 here", shown(bounds))
    for value in values:
        # What the recipe cannot be with, the search need not try.
        Recipe("search", optimizer="adamw").override(**{name: value})
    numbers = [float(value) for value in values]
    if numbers[0] >= numbers[1]:
        raise SettingError(name, "a range from a smaller to a larger number", shown(bounds))
    entry = RANGES[name]
    return replace(entry, low=numbers[0], high=numbers[1], even=entry.even and numbers[0] > 0)
