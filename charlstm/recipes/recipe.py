"""Every hyperparameter there is, and what each may be."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from charlstm.checks import (
    check_choice,
    check_count,
    check_known,
    check_real,
    check_whole,
    shown,
)
from charlstm.errors import RecipeError, Setting, SettingError
from charlstm.recipes.architecture import Architecture
from charlstm.text.corpus import TextOptions

PRECISIONS = ("auto", "float32", "bfloat16")
SAMPLINGS = ("consecutive", "songs", "random")
COMPRESSIONS = ("bfloat16",)
LAYOUTS = ("even", "whole", "offset")

# What Python and torch take before anything is trained.
_PROCESS_BYTES = 430_000_000


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    With a corpus, a backend, a machine and its number of threads, a recipe determines the weights,
    bit for bit on a CPU, once ``precision`` is not ``"auto"``; so it does with a number of workers.

    Attributes:
        name: the recipe's name, for the record.
        architecture: what is trained.
        initialization: ``"orthogonal"`` (recurrent matrices orthogonal, input matrices uniform,
            forget bias 1), ``"d2l"`` (normal with deviation 0.01, biases 0) or ``"torch"`` (all
            uniform within 1/sqrt(H), the library's own).
        optimizer: ``"sgd"``, ``"adam"`` or ``"adamw"``.
        learning_rate: its peak.
        head_rate: the head learns at this many times that rate. It sees hidden states within
            [-1, 1], and a few steps do not make its weights as large as they must be.
        schedule: ``"constant"``, or ``"cosine"``: a short linear warm-up, then half a cosine
            down to a hundredth of the peak at the last step.
        weight_decay: AdamW's, on matrices only.
        clip: the largest global norm of the gradient; 0 does not clip.
        dropout: the share of what passes upward that is dropped in training: from the embedding,
            between layers and into the head (Zaremba et al. 2014). A one-hot input is left whole.
        batch: B, how many streams are read side by side.
        window: T, how many characters the gradient reaches back.
        sampling: ``"consecutive"`` windows that carry the state on; ``"songs"``, the same with the
            songs in another order in every epoch; or ``"random"`` windows that start from zero.
        layout: of windows that are not random: ``"even"`` leaves out nothing. As Dive into Deep
            Learning has them, ``"whole"`` leaves out what fills no window at the end of each row,
            and ``"offset"`` begins elsewhere in every epoch besides; nobody chooses these two but
            by the recipes of that book.
        epochs: how often the training text is read.
        steps: stop after this many optimiser steps, if that comes first.
        minutes: stop after this many minutes, if they are over first; the schedule then ends with
            them, whatever the machine's speed.
        patience: stop when the held-out loss has not improved for this many epochs; ``None`` or 0
            for never.
        validation: the share held out from the end of the text.
        min_count: characters seen fewer times become ``<unk>``.
        precision: ``"float32"``; ``"bfloat16"``, which rounds the operands of matrix products
            (weights and sums stay float32, as do gates and states in the scratch backend's
            LSTM, while torch's own layers keep their states in bfloat16 within a window); or
            ``"auto"``, which times both and takes the faster one.
        recall: the share of what is remembered of the training text in what the model expects,
            see `charlstm.model.recall.blend`; 0 for the network alone.
        seed: of the weights, the order of the windows and the dropout.
        compress: ``"bfloat16"``: several workers tell each other numbers that are rounded to it;
            ``None``: as they are.
        sync_every: after how many steps several workers meet, see `charlstm.training.meetings`; 1
            makes each step together, which is the training of one process. A single worker makes
            that one whatever this and `compress` are.
        text: how the text is normalised.
    """

    name: str
    architecture: Architecture = field(default_factory=Architecture)
    initialization: str = "orthogonal"
    optimizer: str = "adam"
    learning_rate: float = 0.003
    head_rate: float = 1.0
    schedule: str = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    dropout: float = 0.0
    batch: int = 32
    window: int = 64
    sampling: str = "consecutive"
    layout: str = "even"
    epochs: int = 20
    steps: int | None = None
    minutes: float | None = None
    patience: int | None = None
    validation: float = 0.1
    min_count: int = 1
    precision: str = "float32"
    recall: float = 0.0
    seed: int = 0
    compress: str | None = None
    sync_every: int = 1
    text: TextOptions = field(default_factory=TextOptions)

    def __post_init__(self) -> None:
        # It is shown, and the name of a stranger's recipe must not be able to pass for a report.
        if not isinstance(self.name, str) or not self.name.isprintable() or len(self.name) > 100:
            raise SettingError("name", "a line of text", shown(self.name))
        check_choice("initialization", self.initialization, ("orthogonal", "d2l", "torch"))
        check_choice("optimizer", self.optimizer, ("sgd", "adam", "adamw"))
        check_real("learning_rate", self.learning_rate, 0, math.inf, above=True)
        check_real("head_rate", self.head_rate, 0, math.inf, above=True)
        check_choice("schedule", self.schedule, ("constant", "cosine"))
        check_real("weight_decay", self.weight_decay, 0, 1)
        check_real("clip", self.clip, 0, math.inf)
        check_real("dropout", self.dropout, 0, 0.95)
        check_whole("batch", self.batch, 1, 65_536)
        check_whole("window", self.window, 1, 65_536)
        check_choice("sampling", self.sampling, SAMPLINGS)
        check_choice("layout", self.layout, LAYOUTS)
        check_count("epochs", self.epochs, 1)
        if self.steps is not None:
            check_count("steps", self.steps, 1)
        if self.minutes is not None:
            check_real("minutes", self.minutes, 0, math.inf, above=True)
        if self.patience is not None:
            check_count("patience", self.patience, 0)
        check_real("validation", self.validation, 0, 0.5)
        check_count("min_count", self.min_count, 1)
        check_choice("precision", self.precision, PRECISIONS)
        check_real("recall", self.recall, 0, 1)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        if self.compress is not None:
            check_choice("compress", self.compress, COMPRESSIONS)
        check_count("sync_every", self.sync_every, 1)
        if self.weight_decay and self.optimizer != "adamw":
            raise RecipeError(
                Setting("weight_decay"),
                " goes with ",
                Setting("optimizer", "adamw"),
                f"; {self.optimizer} does not use it.",
            )
        if self.text.letters_only and self.text.newline != "space":
            raise RecipeError(
                Setting("letters_only"),
                " makes spaces of line breaks as well: say so with ",
                Setting("newline", "space"),
                ".",
            )

    def override(self, **settings: Any) -> "Recipe":
        """Return this recipe with the settings that are not ``None`` replaced.

        Fields of the architecture and of the text options are named like the recipe's own.

        Raises:
            RecipeError: a value is out of range.
            UnknownSettingError: there is no such setting.
        """
        check_known(settings.keys() - _WHOLE, SETTINGS)
        given = {name: value for name, value in settings.items() if value is not None}
        if given.get("optimizer", "adamw") != "adamw":
            given.setdefault("weight_decay", 0.0)  # the recipe's own would be in the way
        parts: dict[str, Any] = {"architecture": self.architecture, "text": self.text}
        for part, old in parts.items():
            names = {entry.name for entry in dataclasses.fields(old)}
            inside = {name: given.pop(name) for name in names & given.keys()}
            if inside:
                given[part] = dataclasses.replace(old, **inside)
        return dataclasses.replace(self, **given)


# The parts of a recipe that are replaced as a whole, if at all.
_WHOLE = {"name", "architecture", "text"}
# How older versions, and books, did what nobody would choose today.
_OLD = {"line_ends", "layout"}

SETTINGS = tuple(
    entry.name
    for part in (Recipe, Architecture, TextOptions)
    for entry in dataclasses.fields(part)
    if entry.name not in _WHOLE | _OLD
)
"""What a person can choose, by the names of the recipe and of its two parts."""


def training_bytes(recipe: Recipe, vocabulary_size: int, workers: int = 1) -> int:
    """Return about how much memory a training takes in one process, not counting the text.

    Args:
        recipe: of the training.
        vocabulary_size: V.
        workers: how many processes share its batch.
    """
    architecture = recipe.architecture
    weights = architecture.parameter_count(vocabulary_size)
    moments = 0 if recipe.optimizer == "sgd" else 2
    # Weights, gradients and moments; the best weights; then the weights and moments three times:
    # to go back to, to be saved, and as the bytes of the file.
    kept = 4 * weights * (2 + moments + 1 + 3 * (1 + moments))
    if workers > 1:
        # What goes to the others. Where they meet now and then that is weights and moments, beside
        # those of the last meeting and the outer momentum, which is kept three times as well.
        apart = recipe.sync_every > 1
        kept += 4 * weights * (2 * (1 + moments) + 1 + 4 if apart else 1)
    # Logits, their logarithms and their gradient; a layer's gates, their gradients and its states.
    widest = 3 * vocabulary_size + 12 * architecture.hidden * architecture.layers
    widest += 3 * (architecture.embedding or 0)
    rows = -(-recipe.batch // workers)
    return _PROCESS_BYTES + kept + 4 * rows * recipe.window * widest


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Return `recipe` as plain values for ``run.json``."""
    return dataclasses.asdict(recipe)


def recipe_from_json(value: object) -> Recipe:
    """Rebuild and check a recipe from what `recipe_to_json` wrote.

    Raises:
        RecipeError: a field is missing, unknown or out of range.
    """
    fields = dict(_fields(value, Recipe))
    fields["architecture"] = Architecture(**_fields(fields["architecture"], Architecture))
    fields["text"] = TextOptions(**_fields(fields["text"], TextOptions))
    return Recipe(**fields)


def _fields(value: object, kind: type[Any]) -> dict[str, Any]:
    names = {entry.name for entry in dataclasses.fields(kind)}
    if not isinstance(value, dict) or value.keys() != names:
        raise RecipeError(f"{kind.__name__.lower()} must have the fields {sorted(names)}.")
    return value
