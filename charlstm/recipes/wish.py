"""What is asked of a training, before it is known what text it gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from charlstm.checks import check_known
from charlstm.recipes.named import named
from charlstm.recipes.recipe import SETTINGS, Recipe
from charlstm.text.corpus import TextOptions

# The recipe's learning rate times this, for weights that have learned already.
_FROM_RATE = 0.3


@dataclass(frozen=True)
class Wish:
    """A recipe by its name, and what should differ from it.

    Attributes:
        recipe: ``"auto"``, ``"d2l"`` or ``"time-machine"``.
        settings: what should differ, by the names of `Recipe`, of its architecture and of its text
            options; what is ``None`` does not differ.
        start_from: the name or path of a run whose weights to begin with instead of random ones.

    Raises:
        RecipeError: a setting is out of range, or two cannot be combined.
        UnknownSettingError: there is no such setting.
    """

    recipe: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    start_from: str | Path | None = None

    def __post_init__(self) -> None:
        check_known(self.settings, SETTINGS)
        given = {name: value for name, value in self.settings.items() if value is not None}
        object.__setattr__(self, "settings", MappingProxyType(given))
        named(self.recipe).override(**given)

    @property
    def text(self) -> TextOptions:
        """How the text is to be normalised."""
        options = {entry.name for entry in fields(TextOptions)}
        given = {name: self.settings[name] for name in options & self.settings.keys()}
        return named(self.recipe).override(**given).text

    def changed(self, **settings: Any) -> "Wish":
        """Return this wish with other settings; ``None`` takes one back."""
        return Wish(self.recipe, {**self.settings, **settings}, self.start_from)

    def fulfilled(
        self, characters: int, alphabet: int, *, backend: str = "auto", passes: float | None = None
    ) -> Recipe:
        """Return the recipe for a text.

        Args:
            characters: of the text, its held-out part included.
            alphabet: how many different ones.
            backend: what was asked for.
            passes: how often there is time to read the text; see `charlstm.recipes.named.auto`.
        """
        recipe = named(self.recipe, characters, alphabet, backend=backend, passes=passes)
        if self.start_from is not None:
            recipe = recipe.override(learning_rate=recipe.learning_rate * _FROM_RATE)
        return recipe.override(**self.settings)
