"""Checking what a person, or a file, asks for: whole numbers, numbers, choices."""

import math
import reprlib
import sys

from charlstm.errors import SettingError
from charlstm.figures import LARGEST


def shown(value: object) -> str:
    """Return a value as an error shows it, shortened if it is long."""
    return reprlib.repr(value)


def check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Check a whole number in [low, high].

    Raises:
        SettingError: it is not.
    """
    if type(value) is not int or value < low or (high is not None and value > high):
        upper = f"to {high:,}" if high is not None else "up"
        raise SettingError(name, f"a whole number from {low} {upper}", shown(value))


def check_count(name: str, value: object, low: int) -> None:
    """Check a whole number from `low` up, limited only by what can be computed with.

    Raises:
        SettingError: it is not.
    """
    check_whole(name, value, low)
    check_whole(name, value, low, LARGEST)


def check_real(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    """Check a finite number in [low, high]; with `above`, in (low, high].

    Raises:
        SettingError: it is not.
    """
    if isinstance(value, float | int) and not isinstance(value, bool):
        inside = low < value <= high if above else low <= value <= high
        # A whole number may be beyond every float, or beyond what torch takes for one.
        if inside and abs(value) <= (sys.float_info.max if isinstance(value, float) else LARGEST):
            return
    lower = f"above {low:g}" if above else f"from {low:g}"
    upper = f" to {high:g}" if math.isfinite(high) else "" if above else " up"
    raise SettingError(name, f"a number {lower}{upper}", shown(value))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check a choice among several words.

    Raises:
        SettingError: it is none of them.
    """
    if value not in choices:
        raise SettingError(name, f"one of {', '.join(choices)}", shown(value))
