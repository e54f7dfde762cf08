"""The recipes with a name: one that suits a text and a budget, and two exercises of a book."""

import dataclasses
import math
from typing import Any

from charlstm.checks import check_choice
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import SETTINGS, Recipe
from charlstm.text.corpus import TextOptions

NAMES = ("auto", "d2l", "time-machine")
"""What they are called."""

SHARE = 0.4
"""The share of an n-gram model that was best, or nearly so, for every text that was tried."""

# A text of fewer characters than this is small.
_SMALL = 100_000
# An alphabet is large when its characters appear fewer times than this on average.
_RARE = 50
# A large text is not read more often than this, however much time there is.
_MOST_PASSES = 40
# This many characters measure a model to a hundredth of a nat.
_HELD_OUT = 1_000_000


def d2l(backend: str = "scratch") -> Recipe:
    """Return the lyrics exercise of Dive into Deep Learning, setting for setting.

    The first edition trains it twice: from scratch, with the weights drawn by hand, and with the
    library's LSTM and the library's own initialisation. Training perplexity is the figure there,
    so nothing is held out. Its windows leave out the end of each row: 8 steps an epoch.
    """
    return Recipe(
        name="d2l",
        architecture=Architecture(cell="lstm", hidden=256, layers=1, embedding=0),
        initialization="torch" if backend == "torch" else "d2l",
        optimizer="sgd",
        learning_rate=100.0,
        schedule="constant",
        clip=0.01,
        batch=32,
        window=35,
        sampling="consecutive",
        layout="whole",
        epochs=160,
        validation=0.0,
        text=TextOptions(newline="space", limit=10_000, songs="off"),
    )


def time_machine(backend: str = "scratch") -> Recipe:
    """Return the Time Machine exercise of Dive into Deep Learning, setting for setting.

    The second edition trains it as `d2l` is trained in the first, on lower-case letters and single
    spaces. Windows begin elsewhere in every epoch; training perplexity is the figure here too.
    """
    return Recipe(
        name="time-machine",
        architecture=Architecture(cell="lstm", hidden=256, layers=1, embedding=0),
        initialization="torch" if backend == "torch" else "d2l",
        optimizer="sgd",
        learning_rate=1.0,
        schedule="constant",
        clip=1.0,
        batch=32,
        window=35,
        sampling="consecutive",
        layout="offset",
        epochs=500,
        validation=0.0,
        text=TextOptions(newline="space", limit=10_000, songs="off", letters_only=True),
    )


def auto(characters: int, alphabet: int, passes: float | None = None) -> Recipe:
    """Return a recipe that suits a text and a budget.

    A small text is read often by a strongly regularised model; a large one is read a few
    times by a wider model. ``docs/recipes.md`` has the experiments behind the numbers.

    Args:
        characters: in the text, held-out part included.
        alphabet: how many different ones.
        passes: how often the text can be read; ``None`` for as often as is sensible.
    """
    # Characters that appear in the text only a few times each are soon learned by heart.
    head_rate = 0.5 if characters < _RARE * alphabet else 4.0
    if characters < _SMALL:
        # However much time there is, more reading than this would only teach it to copy.
        return Recipe(
            name="auto",
            architecture=Architecture(hidden=256, embedding=256),
            optimizer="adamw",
            head_rate=head_rate,
            weight_decay=0.3,
            dropout=0.5,
            batch=16,
            window=64,
            epochs=50,
            patience=10,
            precision="auto",
            recall=SHARE,
        )
    epochs = round(min(max(10 * math.sqrt(1e6 / characters), 1), 20))
    if passes is None:
        passes = epochs
    else:
        # Twice as many: the minutes should end it, even if steps turn out to be quicker.
        passes = min(passes, _MOST_PASSES)
        epochs = math.ceil(min(2 * passes, _MOST_PASSES))
    return Recipe(
        name="auto",
        architecture=Architecture(hidden=512, embedding=128),
        optimizer="adamw",
        learning_rate=0.004,
        head_rate=head_rate,
        weight_decay=0.1,
        # What is read once or twice cannot be learned by heart.
        dropout=0.0 if passes < 2.5 else 0.1 if passes < 5 else 0.2 if passes < 8 else 0.3,
        batch=16,
        # Little time is better spent on many steps than on long ones.
        window=32 if passes < 5 else 50,
        # Neighbours of a large collection are alike, and a batch had better have many kinds.
        sampling="songs",
        epochs=epochs,
        patience=5,
        validation=min(0.1, _HELD_OUT / characters),
        precision="auto",
        recall=SHARE,
    )


def explain(recipe: Recipe, characters: int, alphabet: int) -> str:
    """Return in a few words which recipe it is, and why the text got it; see `auto`."""
    if recipe.name != "auto":
        return recipe.name
    size = f"under {_SMALL:,}" if characters < _SMALL else f"{_SMALL:,} or more"
    seen = round(characters / alphabet)
    often = "once" if seen == 1 else f"{seen:,} times"
    return f"auto, for {size} characters, each seen {often} on average"


def named(
    name: str,
    characters: int = 1,
    alphabet: int = 1,
    *,
    backend: str = "auto",
    passes: float | None = None,
) -> Recipe:
    """Return the recipe called `name`; the arguments are those of `auto`, `d2l`, `time_machine`."""
    check_choice("recipe", name, NAMES)
    exercises = {"d2l": d2l, "time-machine": time_machine}
    if name in exercises:
        return exercises[name](backend)
    return auto(characters, alphabet, passes)


def differing(
    recipe: Recipe,
    characters: int,
    alphabet: int,
    *,
    backend: str = "auto",
    started: bool = False,
) -> dict[str, tuple[Any, Any]]:
    """Return the settings of a recipe that the one it is named after has otherwise, both of each.

    What follows from the time or the machine that a training had is none of them: epochs of a
    budget in minutes, and the precision that was found to be faster.

    Args:
        recipe: as a training had it.
        characters: of its text, held-out part included.
        alphabet: how many different ones are known of it; the text may have had some more.
        backend: that trained it.
        started: whether it began with the weights of another run, and learns more slowly.
    """
    if recipe.name not in NAMES:
        return {}
    passes = None if recipe.minutes is None else (recipe.epochs - 0.5) / 2
    # What was held out may have had characters of its own.
    theirs = [
        settings_of(named(recipe.name, characters, size, backend=backend, passes=passes))
        for size in (alphabet, alphabet * 5 // 4)
    ]
    left_out = {"epochs"} if recipe.minutes is not None else set()
    if theirs[0]["precision"] == "auto":
        left_out.add("precision")
    if started:
        left_out.add("learning_rate")
    mine = settings_of(recipe)
    return {
        name: (mine[name], theirs[0][name])
        for name in SETTINGS
        if name not in left_out and all(mine[name] != other[name] for other in theirs)
    }


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a person can choose of a recipe, of its architecture and of its text, by name."""
    return {
        entry.name: getattr(part, entry.name)
        for part in (recipe, recipe.architecture, recipe.text)
        for entry in dataclasses.fields(part)
        if entry.name in SETTINGS
    }
