"""Every hyperparameter there is, what each may be, and the named recipes.

Nothing here needs torch: the command line and the NumPy sampler read architectures too.
"""

import dataclasses
import math
import reprlib
import sys
from dataclasses import dataclass, field
from typing import Any

from charlstm.errors import CorpusError, RecipeError
from charlstm.figures import LARGEST
from charlstm.text.corpus import TextOptions

CELLS = ("lstm", "peephole", "coupled", "gru", "rnn")
"""The cells of the scratch backend; `charlstm.model.recurrent.equations` has their formulas."""

LIBRARY_CELLS = ("lstm", "gru", "rnn")
"""The cells that torch has as well."""

BACKENDS = ("scratch", "torch")
DEVICES = ("cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")

# A text of fewer characters than this is small.
_SMALL = 100_000

# An alphabet is large when its characters appear fewer times than this on average.
_RARE = 50

# A large text is not read more often than this, however much time there is.
_MOST_PASSES = 40

# This many characters measure a model to a hundredth of a nat.
_HELD_OUT = 1_000_000

# What Python and torch take before anything is trained.
_PROCESS_BYTES = 430_000_000

_BLOCKS = {"lstm": 4, "peephole": 4, "coupled": 3, "gru": 3, "rnn": 1}


def shown(value: object) -> str:
    """Return a value as an error shows it, shortened if it is long."""
    return reprlib.repr(value)


def check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Check a whole number in [low, high].

    Raises:
        RecipeError: it is not.
    """
    if type(value) is not int or value < low or (high is not None and value > high):
        upper = f"to {high:,}" if high is not None else "up"
        raise RecipeError(f"{name} must be a whole number from {low} {upper}, not {shown(value)}.")


def check_real(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    """Check a finite number in [low, high]; with `above`, in (low, high].

    Raises:
        RecipeError: it is not.
    """
    if isinstance(value, float | int) and not isinstance(value, bool):
        inside = low < value <= high if above else low <= value <= high
        # A whole number may be beyond every float, or beyond what torch takes for one.
        if inside and abs(value) <= (sys.float_info.max if isinstance(value, float) else LARGEST):
            return
    lower = f"above {low:g}" if above else f"from {low:g}"
    upper = f" to {high:g}" if math.isfinite(high) else "" if above else " up"
    raise RecipeError(f"{name} must be a number {lower}{upper}, not {shown(value)}.")


def _check_count(name: str, value: object, low: int) -> None:
    """Check a whole number, limited only by what can be computed with."""
    check_whole(name, value, low)
    check_whole(name, value, low, LARGEST)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecipeError(f"{name} must be one of {', '.join(choices)}, not {shown(value)}.")


@dataclass(frozen=True)
class Architecture:
    """What must be known to rebuild a model around its weights, besides its vocabulary.

    Attributes:
        cell: one of `CELLS`.
        hidden: H, the width of the hidden state.
        layers: L, how many recurrent layers are stacked.
        embedding: the width of the learned character vectors; 0 feeds one-hot vectors.
    """

    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    embedding: int = 0

    def __post_init__(self) -> None:
        _choice("cell", self.cell, CELLS)
        check_whole("hidden", self.hidden, 1, 65_536)
        check_whole("layers", self.layers, 1, 64)
        check_whole("embedding", self.embedding, 0, 65_536)

    @property
    def blocks(self) -> int:
        """How many blocks of H rows the cell's weight matrices have: one per gate or candidate."""
        return _BLOCKS[self.cell]

    @property
    def state_names(self) -> tuple[str, ...]:
        """The parts of the state, each ``[L, B, H]``: ``h``, and ``c`` where the cell has one."""
        return ("h", "c") if self.cell in ("lstm", "peephole", "coupled") else ("h",)

    def input_size(self, layer: int, vocabulary_size: int) -> int:
        """I of one layer: what comes up from the layer, or from the characters, below it."""
        return self.hidden if layer else self.embedding or vocabulary_size

    def parameter_shapes(self, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every weight, as in the checkpoint, in its order."""
        rows = self.blocks * self.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        if self.embedding:
            shapes["embedding.weight"] = (vocabulary_size, self.embedding)
        for layer in range(self.layers):
            into = self.input_size(layer, vocabulary_size)
            shapes[f"recurrent.weight_ih_l{layer}"] = (rows, into)
            shapes[f"recurrent.weight_hh_l{layer}"] = (rows, self.hidden)
            shapes[f"recurrent.bias_ih_l{layer}"] = (rows,)
            shapes[f"recurrent.bias_hh_l{layer}"] = (rows,)
            if self.cell == "peephole":
                shapes[f"recurrent.weight_peephole_l{layer}"] = (3, self.hidden)
        shapes["head.weight"] = (vocabulary_size, self.hidden)
        shapes["head.bias"] = (vocabulary_size,)
        return shapes

    def parameter_count(self, vocabulary_size: int) -> int:
        """Return how many numbers are learned."""
        return sum(math.prod(shape) for shape in self.parameter_shapes(vocabulary_size).values())


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    With a corpus, a backend, a machine and its number of threads, a recipe determines the weights,
    bit for bit on a CPU, once ``precision`` is not ``"auto"``.

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
        sampling: ``"consecutive"`` windows that carry the state on, or ``"random"`` ones that
            start from zero.
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
        seed: of the weights, the order of the windows and the dropout.
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
    epochs: int = 20
    steps: int | None = None
    minutes: float | None = None
    patience: int | None = None
    validation: float = 0.1
    min_count: int = 1
    precision: str = "float32"
    seed: int = 0
    text: TextOptions = field(default_factory=TextOptions)

    def __post_init__(self) -> None:
        # It is shown, and the name of a stranger's recipe must not be able to pass for a report.
        if not isinstance(self.name, str) or not self.name.isprintable() or len(self.name) > 100:
            raise RecipeError(f"the recipe's name must be a line of text, not {shown(self.name)}.")
        _choice("initialization", self.initialization, ("orthogonal", "d2l", "torch"))
        _choice("optimizer", self.optimizer, ("sgd", "adam", "adamw"))
        check_real("learning rate", self.learning_rate, 0, math.inf, above=True)
        check_real("head rate", self.head_rate, 0, math.inf, above=True)
        _choice("schedule", self.schedule, ("constant", "cosine"))
        check_real("weight decay", self.weight_decay, 0, 1)
        check_real("clip", self.clip, 0, math.inf)
        check_real("dropout", self.dropout, 0, 0.95)
        check_whole("batch", self.batch, 1, 65_536)
        check_whole("window", self.window, 1, 65_536)
        _choice("sampling", self.sampling, ("consecutive", "random"))
        _check_count("epochs", self.epochs, 1)
        if self.steps is not None:
            _check_count("steps", self.steps, 1)
        if self.minutes is not None:
            check_real("minutes", self.minutes, 0, math.inf, above=True)
        if self.patience is not None:
            _check_count("patience", self.patience, 0)
        check_real("validation", self.validation, 0, 0.5)
        _check_count("min count", self.min_count, 1)
        _choice("precision", self.precision, PRECISIONS)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        if self.weight_decay and self.optimizer != "adamw":
            raise RecipeError(
                f"weight decay goes with --optimizer adamw; {self.optimizer} does not use it."
            )

    def override(self, **settings: Any) -> "Recipe":
        """Return this recipe with the settings that are not ``None`` replaced.

        Fields of the architecture and of the text options are named like the recipe's own.

        Raises:
            RecipeError: a value is out of range, or there is no such setting.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        if given.get("optimizer", "adamw") != "adamw":
            given.setdefault("weight_decay", 0.0)  # the recipe's own would be in the way
        parts: dict[str, Any] = {"architecture": self.architecture, "text": self.text}
        for part, old in parts.items():
            names = {entry.name for entry in dataclasses.fields(old)}
            inside = {name: given.pop(name) for name in names & given.keys()}
            if inside:
                given[part] = _replace(old, inside)
        recipe: Recipe = _replace(self, given)
        return recipe


def training_bytes(recipe: Recipe, vocabulary_size: int) -> int:
    """Return about how much memory a training takes, not counting the text."""
    architecture = recipe.architecture
    weights = architecture.parameter_count(vocabulary_size)
    moments = 0 if recipe.optimizer == "sgd" else 2
    # Weights, gradients and moments; the best weights; then the weights and moments three times:
    # to go back to, to be saved, and as the bytes of the file.
    kept = 4 * weights * (2 + moments + 1 + 3 * (1 + moments))
    # Logits, their logarithms and their gradient; a layer's gates, their gradients and its states.
    widest = 3 * vocabulary_size + 12 * architecture.hidden * architecture.layers
    widest += 3 * (architecture.embedding or 0)
    return _PROCESS_BYTES + kept + 4 * recipe.batch * recipe.window * widest


def _replace(old: Any, changes: dict[str, Any]) -> Any:
    unknown = changes.keys() - {entry.name for entry in dataclasses.fields(old)}
    if unknown:
        raise RecipeError(f"There is no setting called {', '.join(sorted(unknown))}.")
    try:
        return dataclasses.replace(old, **changes)
    except CorpusError as error:
        raise RecipeError(str(error)) from None


def d2l(backend: str = "scratch") -> Recipe:
    """Return the lyrics exercise of Dive into Deep Learning, setting for setting.

    The first edition trains it twice: from scratch, with the weights drawn by hand, and with the
    library's LSTM and the library's own initialisation. Training perplexity is the figure there,
    so nothing is held out.
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
        epochs=160,
        validation=0.0,
        text=TextOptions(newline="space", limit=10_000),
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
        epochs=epochs,
        patience=5,
        validation=min(0.1, _HELD_OUT / characters),
        precision="auto",
    )


def explain(recipe: Recipe, characters: int, alphabet: int) -> str:
    """Return in a few words which recipe it is, and why the text got it; see `auto`."""
    if recipe.name != "auto":
        return recipe.name
    size = f"under {_SMALL:,}" if characters < _SMALL else f"{_SMALL:,} or more"
    return f"auto, for {size} characters, each seen {characters / alphabet:,.0f} times on average"


def named(
    name: str,
    characters: int = 1,
    alphabet: int = 1,
    *,
    backend: str = "auto",
    passes: float | None = None,
) -> Recipe:
    """Return the recipe called `name`; the arguments are those of `auto` and `d2l`."""
    _choice("recipe", name, ("auto", "d2l"))
    return d2l(backend) if name == "d2l" else auto(characters, alphabet, passes)


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Return `recipe` as plain values for ``run.json``."""
    return dataclasses.asdict(recipe)


def recipe_from_json(value: object) -> Recipe:
    """Rebuild and check a recipe from what `recipe_to_json` wrote.

    Raises:
        RecipeError: a field is missing, unknown or out of range.
    """
    fields = dict(_fields(value, Recipe))
    try:
        fields["architecture"] = Architecture(**_fields(fields["architecture"], Architecture))
        fields["text"] = TextOptions(**_fields(fields["text"], TextOptions))
    except CorpusError as error:
        raise RecipeError(str(error)) from None
    return Recipe(**fields)


def _fields(value: object, kind: type[Any]) -> dict[str, Any]:
    names = {entry.name for entry in dataclasses.fields(kind)}
    if not isinstance(value, dict) or value.keys() != names:
        raise RecipeError(f"{kind.__name__.lower()} must have the fields {sorted(names)}.")
    return value
