"""The run that a new one starts from: its weights, and what must stay as it is."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import RecipeError, Setting
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays


@dataclass(frozen=True)
class Origin:
    """The run that a new one starts from.

    Attributes:
        directory: where it lives.
        info: what its ``run.json`` says.
    """

    directory: RunDirectory
    info: RunInfo

    @classmethod
    def of(cls, run: str | Path | None, root: Path) -> "Origin | None":
        """Return the run to start from, ``None`` if none is named.

        Raises:
            RunError: there is none, or it is damaged.
        """
        if run is None:
            return None
        directory = RunDirectory.find(run, root)
        return cls(directory, directory.read_info())

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.directory.path)

    def weights(self) -> Arrays:
        """Read its weights.

        Raises:
            RunError: they are missing or damaged.
        """
        return self.directory.read_model(self.info)

    def settle(self, wish: Wish) -> Wish:
        """Return `wish` with this run's architecture and text options, which must stay.

        Raises:
            RecipeError: another one is asked for.
        """
        recipe = self.info.recipe
        kept = {
            **dataclasses.asdict(recipe.architecture),
            "normalize": recipe.text.normalize,
            "newline": recipe.text.newline,
            "tidy": recipe.text.tidy,
            "letters_only": recipe.text.letters_only,
        }
        if recipe.text.labels:
            kept["labels"] = recipe.text.labels
            if "labels" in wish.settings:
                wish = wish.changed(labels=wish.text.labels)
        for name, value in kept.items():
            if wish.settings.get(name) not in (None, value):
                # Normalising is only ever turned off.
                asked = Setting(name, False) if name == "normalize" else Setting(name)
                raise RecipeError(
                    f"{self.name} has {name} {value}, and so does whatever starts from it; leave ",
                    asked,
                    " out.",
                )
        return wish.changed(**kept)
