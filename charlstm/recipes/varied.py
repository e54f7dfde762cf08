"""Settings that have several values in turn, as they are written down: ``window=35,64``."""

import dataclasses
import typing
from collections.abc import Iterable
from contextlib import suppress

from charlstm.checks import check_known
from charlstm.errors import RecipeError, Setting
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import SETTINGS, Recipe
from charlstm.text.corpus import TextOptions

Value = int | float | str
"""What a setting can be, where it can be varied."""

# Perplexities of other characters, or of another text, are not to be compared.
_MEASURED = {entry.name for entry in dataclasses.fields(TextOptions)} | {"validation", "min_count"}
_TYPES = {
    entry.name: entry.type for part in (Recipe, Architecture) for entry in dataclasses.fields(part)
}


def varied(told: Iterable[tuple[str, str]]) -> dict[str, tuple[Value, ...]]:
    """Return the values that settings are to have in turn, in the order told.

    Whether a setting may have such a value is for the recipe to say.

    Args:
        told: the name of each setting, and its values, separated by commas.

    Raises:
        RecipeError: a setting cannot be varied, has no value, or is named twice.
        UnknownSettingError: there is no such setting.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for name, values in told:
        check_varied(name)
        if name in found:
            raise RecipeError(
                Setting(name), " is varied twice: name all its values at once, as in 1,2,3."
            )
        parts = [part.strip() for part in values.split(",") if part.strip()]
        if not parts:
            raise RecipeError(Setting(name), " is to be varied and has no values.")
        found[name] = tuple(dict.fromkeys(value_of(name, part) for part in parts))
    return found


def check_varied(name: str) -> None:
    """Check that models which differ in a setting can be compared.

    Raises:
        RecipeError: they cannot.
        UnknownSettingError: there is no such setting.
    """
    check_known([name], SETTINGS)
    if name == "cell":
        raise RecipeError(
            "Cells are not varied like other settings: name them as ", Setting("cells"), "."
        )
    if name in _MEASURED:
        raise RecipeError(
            Setting(name),
            " decides what is measured, so models that differ in it cannot be compared.",
        )


def value_of(name: str, told: str) -> Value:
    """Return what was written as the value of a setting, or the words as they are."""
    for kind in (int, float):
        if kind in (_TYPES[name], *typing.get_args(_TYPES[name])):
            with suppress(ValueError):
                return kind(told)
    return told


def shown_value(value: Value) -> str:
    """Return a value as short as it can be told."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
