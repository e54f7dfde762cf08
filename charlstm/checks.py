"""Checking what a person, or a file, asks for: whole numbers, numbers, choices."""

import inspect
import math
import reprlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping

from charlstm.errors import SettingError, UnknownSettingError
from charlstm.figures import LARGEST

# How alike a name must be to one that it is taken for, from 0 to 1.
_NEAR = 0.7


def shown(value: object) -> str:
    """Return a value as an error shows it, shortened if it is long."""
    return reprlib.repr(value)


def keywords(function: Callable[..., object]) -> list[str]:
    """Return what can be given to a function by its name, what it only passes on aside."""
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def check_known(
    given: Iterable[str], known: Collection[str], elsewhere: Mapping[str, str] | None = None
) -> None:
    """Check that there are settings of these names, and suggest the nearest where there are not.

    Args:
        given: the names.
        known: those that there are.
        elsewhere: names that are called so elsewhere, and what they are called here.

    Raises:
        UnknownSettingError: there is none of such a name.
    """
    unknown = sorted(set(given).difference(known))
    if not unknown:
        return
    import difflib  # only here, because hardly anybody needs it

    meant = {**dict(zip(known, known, strict=True)), **(elsewhere or {})}
    near = [difflib.get_close_matches(name, meant, n=1, cutoff=_NEAR) for name in unknown]
    suggested = dict.fromkeys(meant[match] for matches in near for match in matches)
    question = f": did you mean {' and '.join(suggested)}?" if suggested else "."
    raise UnknownSettingError(f"There is no setting called {', '.join(unknown)}{question}")


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
    to = " and at most" if above else " to"
    upper = f"{to} {high:g}" if math.isfinite(high) else "" if above else " up"
    raise SettingError(name, f"a number {lower}{upper}", shown(value))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check a choice among several words.

    Raises:
        SettingError: it is none of them.
    """
    if value not in choices:
        raise SettingError(name, f"one of {', '.join(choices)}", shown(value))
