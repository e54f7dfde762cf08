"""The part of a text that a search chooses on, and how long trainings on it take.

The held-out part of the whole text is what the winner will be measured on. What lies before it is a
text by itself: trials learn from it, and are judged on as much at its end.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import CorpusError
from charlstm.files import unwritable, utf8, write_pieces
from charlstm.machine import Machine
from charlstm.model.devices import prepare
from charlstm.recipes.named import settings_of
from charlstm.recipes.recipe import Recipe
from charlstm.recipes.wish import Wish
from charlstm.sessions.fitting import Material, check_memory, fit_recipe
from charlstm.sessions.probe import choose_threads, time_steps
from charlstm.sessions.tried import SearchPlan
from charlstm.text.corpus import Corpus
from charlstm.text.earlier import Earlier
from charlstm.text.formats.format import Format
from charlstm.text.mapped import DIRECTORY
from charlstm.text.separators import FILES
from charlstm.text.splitting import split

# Hidden, so that nobody who reads a folder of texts reads it as well.
_FILE = ".search.txt"
# Of so many passes and more, only whole ones are made.
_WHOLE_PASSES = 8


@dataclass(frozen=True)
class Early:
    """That part, as a text by itself.

    Attributes:
        material: where it is.
        corpus: the same, read.
        validation: the share of it that trials are judged on.
        ratio: how many times as much is learned from the whole text.
    """

    material: Material
    corpus: Corpus
    validation: float
    ratio: float

    @classmethod
    def of(cls, corpus: Corpus, recipe: Recipe, root: Path) -> "Early":
        """Set aside what the winner will be measured on, and write down what lies before.

        Args:
            corpus: the whole text.
            recipe: that says how much of it is held out.
            root: the directory of the search.

        Raises:
            CorpusError: the text is too small.
            RunError: it cannot be written.
        """
        cut = cut_of(corpus, recipe)
        path = root / _FILE
        hashed = hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            # With the marks between its songs, which part it in the same places again.
            for piece in utf8(corpus.pieces(0, cut)):
                hashed.update(piece)
                yield piece

        try:
            write_pieces(path, pieces())
        except OSError as error:
            raise unwritable(path, error) from None
        parted = None if corpus.songs is None else FILES
        earlier = Earlier(parted=parted, formats={hashed.hexdigest(): Format()})
        material = Material([path], "utf-8", earlier=earlier)
        validation = min((len(corpus) - cut) / cut, 0.5)
        wish = _wish(recipe.override(validation=validation), parted)
        early = material.open(root / DIRECTORY, wish.text)
        return cls(material, early, validation, cut / cut_of(early, wish.fulfilled(*early.size)))

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return a recipe that holds out what trials are judged on."""
        return recipe.override(validation=self.validation)

    def wish(self, recipe: Recipe) -> Wish:
        """Return what asks for a recipe on this text."""
        return _wish(self.recipe(recipe), None if self.corpus.songs is None else FILES)

    def plan(self, wish: Wish, corpus: Corpus, machine: Machine, longest: float) -> SearchPlan:
        """Return how long trials learn, and what the recipe is in that time.

        Args:
            wish: what is asked for, for all trials.
            corpus: the whole text.
            machine: what computes.
            longest: seconds that a trial may take at most.

        Raises:
            RecipeError: this machine cannot train it.
        """
        recipe = wish.fulfilled(*corpus.size)
        _, pass_seconds = self._pace(recipe, machine)
        own = recipe.epochs * pass_seconds
        seconds = min(own, longest)
        if seconds < own:
            recipe = wish.fulfilled(*corpus.size, passes=seconds / pass_seconds)
        return SearchPlan(recipe, seconds, own, self.ratio)

    def budget(self, plan: SearchPlan, recipe: Recipe, machine: Machine) -> dict[str, int | None]:
        """Return the epochs or the steps that a trial has time for.

        They are settled before it begins, so that nothing in it is decided by a clock: what was
        stopped goes on bit for bit.

        Raises:
            RecipeError: this machine cannot train it.
        """
        if recipe == plan.recipe and not plan.shortened:
            return {"epochs": recipe.epochs, "steps": None}
        epoch_steps, pass_seconds = self._pace(recipe, machine)
        passes = plan.seconds / pass_seconds
        if passes >= _WHOLE_PASSES:
            return {"epochs": int(passes), "steps": None}
        return {"epochs": math.ceil(passes), "steps": max(1, round(passes * epoch_steps))}

    def _pace(self, recipe: Recipe, machine: Machine) -> tuple[int, float]:
        """Return in how many steps and seconds a trial reads its text once and is measured."""
        fitted = fit_recipe(self.corpus, self.recipe(recipe))
        computing = prepare(machine, fitted.recipe.architecture)
        check_memory(fitted, computing)
        choose_threads(fitted, computing)
        trainer = fitted.trainer(computing)
        (step,) = time_steps([trainer])
        # Measuring takes about a third of what learning from as much text does.
        measuring = fitted.held_out / fitted.cut / 3
        return trainer.windows.steps, trainer.windows.steps * step * (1 + measuring)


def _wish(recipe: Recipe, parted: str | None) -> Wish:
    songs = "off" if parted is None else "auto"
    return Wish(settings={**settings_of(recipe), "songs": songs, "field": None})


def cut_of(corpus: Corpus, recipe: Recipe) -> int:
    """Return where the held-out part of a text begins.

    Raises:
        CorpusError: it has none.
    """
    cut = split(corpus, recipe.validation)
    if not 1 < len(corpus) - cut < len(corpus):
        raise CorpusError(
            "A search needs two parts of the text that nobody learns from, one to choose on and "
            "one to measure what was chosen, and this text is too small for them: add text."
        )
    return cut
