"""What ``run.json`` says of a run, and what must be in its other files if that is right.

A run may come from a stranger: every value is checked against what it must be, so that a bad
file can do no worse than be refused.
"""

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from charlstm.checks import check_real, check_whole
from charlstm.errors import RunError
from charlstm.figures import ENDLESS, LARGEST, Report, finite
from charlstm.files import LARGEST_JSON
from charlstm.recipes.architecture import BACKENDS
from charlstm.recipes.recipe import Recipe, recipe_from_json, recipe_to_json
from charlstm.text.corpus import Source
from charlstm.text.vocabulary import Vocabulary

FORMAT = 2
"""The version of the formats; a directory with another one is refused."""

# No system has longer paths than this.
_LONGEST_PATH = 4096
Shapes = dict[str, tuple[int, ...] | None]
"""The shapes of float32 tensors by name; ``None`` stands for a row of bytes."""


@dataclass(frozen=True)
class RunInfo:
    """What ``run.json`` holds.

    Attributes:
        recipe: architecture, hyperparameters and text options.
        vocabulary: with the counts of the training text.
        sources: the corpus's files as they were read.
        places: what was given to ``train``: where a resume looks for the corpus.
        encoding: the encoding that was asked for, if one was.
        corpus_sha256: of the normalised text, held-out part included.
        training_characters: how many were learned from.
        held_out_characters: how many were not.
        backend: ``"scratch"`` or ``"torch"``: what trained it; both can open it.
        started_from: the path of the run whose weights it began with, if any.
        prefixes: the prefixes of the samples written during training.
        sample_every: epochs between two samples; 0 for none.
        tensorboard: whether its figures are written for TensorBoard as well.
        best: the report with the lowest held-out loss, if any was made.
        last: the newest report.
        finished: why training ended, or ``None`` while it has not.
        versions: of Python and of the libraries that wrote this.
        saved: when it was written, in seconds since 1970.
    """

    recipe: Recipe
    vocabulary: Vocabulary
    sources: tuple[Source, ...]
    places: tuple[str, ...]
    encoding: str | None
    corpus_sha256: str
    training_characters: int
    held_out_characters: int
    backend: str
    started_from: str | None = None
    prefixes: tuple[str, ...] = ()
    sample_every: int = 0
    tensorboard: bool = False
    best: Report | None = None
    last: Report | None = None
    finished: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    saved: float = 0.0


def info_to_json(info: RunInfo) -> bytes:
    """Return what ``run.json`` holds.

    Raises:
        RunError: it would be too long to be read back.
    """
    value = {
        "format": FORMAT,
        "saved": time.time(),
        "finished": info.finished,
        "backend": info.backend,
        "started_from": info.started_from,
        "tensorboard": info.tensorboard,
        "recipe": recipe_to_json(info.recipe),
        "corpus": {
            "places": list(info.places),
            "encoding": info.encoding,
            "sha256": info.corpus_sha256,
            "training_characters": info.training_characters,
            "held_out_characters": info.held_out_characters,
            "sources": [vars(source) for source in info.sources],
        },
        "samples": {"prefixes": list(info.prefixes), "every": info.sample_every},
        "best": info.best and info.best.to_json(),
        "last": info.last and info.last.to_json(),
        "versions": info.versions,
        "vocabulary": {
            "characters": info.vocabulary.characters,
            "counts": list(info.vocabulary.counts),
        },
    }
    data = (json.dumps(finite(value), ensure_ascii=True, indent=1) + "\n").encode()
    if len(data) > LARGEST_JSON:
        raise RunError(
            f"The corpus has too many files, {len(info.sources):,}, for run.json to name them: "
            "join their texts into fewer files."
        )
    return data


def info_from_json(value: dict[str, Any]) -> RunInfo:
    """Rebuild and check what `info_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError, CharLSTMError: a field is missing or not what it must be.
    """
    corpus = _typed(value, "corpus", dict)
    samples = _typed(value, "samples", dict)
    versions = _typed(value, "versions", dict)
    encoding = _typed(corpus, "encoding", str, type(None))
    places = _strings(corpus, "places")
    if any(len(place) > _LONGEST_PATH for place in places):
        raise ValueError("places must be paths.")
    if encoding is not None and not (encoding.isascii() and len(encoding) <= 100):
        raise ValueError("encoding must be the name of one.")
    if value["backend"] not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}.")
    check_real("saved", value["saved"], 0, math.inf)
    return RunInfo(
        recipe=recipe_from_json(value["recipe"]),
        vocabulary=_vocabulary(_typed(value, "vocabulary", dict)),
        sources=tuple(map(_source, _typed(corpus, "sources", list))),
        places=places,
        encoding=encoding,
        corpus_sha256=_typed(corpus, "sha256", str),
        training_characters=_count(corpus, "training_characters"),
        held_out_characters=_count(corpus, "held_out_characters"),
        backend=value["backend"],
        started_from=_typed(value, "started_from", str, type(None)),
        prefixes=_strings(samples, "prefixes"),
        sample_every=_count(samples, "every"),
        tensorboard=_typed(value, "tensorboard", bool),
        best=_report(value, "best"),
        last=_report(value, "last"),
        finished=_typed(value, "finished", str, type(None)),
        versions={name: _typed(versions, name, str) for name in versions},
        saved=float(value["saved"]),
    )


def _source(value: object) -> Source:
    if not isinstance(value, dict):
        raise TypeError("sources must hold objects.")
    return Source(
        name=_typed(value, "name", str),
        encoding=_typed(value, "encoding", str),
        characters=_count(value, "characters"),
        sha256=_typed(value, "sha256", str),
    )


def _vocabulary(value: dict[str, Any]) -> Vocabulary:
    characters, counts = _typed(value, "characters", str), _typed(value, "counts", list)
    _check_writable("characters", characters)
    if not all(type(count) is int and count <= LARGEST for count in counts):
        raise TypeError("counts must be whole numbers.")
    return Vocabulary(characters, counts)


def _report(value: dict[str, Any], name: str) -> Report | None:
    return None if value[name] is None else Report.from_json(value[name])


def check_position(value: dict[str, Any]) -> None:
    """Check where a training stood: as a snapshot of a trainer says it."""
    for name in ("step", "returns", "best_epoch", "loss_count"):
        _count(value, name)
    for name in ("seconds", "elapsed", "measuring"):
        check_real(name, value[name], 0, ENDLESS)
    check_real("rate", value["rate"], 0, math.inf)
    check_real("scale", value["scale"], 0, 1, above=True)
    check_real("loss_sum", value["loss_sum"], -math.inf, math.inf)
    if value["best_loss"] is not None:
        check_real("best_loss", value["best_loss"], -math.inf, math.inf)
    for sample in _strings(value, "samples"):
        _check_writable("samples", sample)
    step = epoch = 0
    for report in map(Report.from_json, _typed(value, "history", list)):
        if report.step <= step or report.epoch < epoch:
            raise ValueError("history must be in order.")
        step, epoch = report.step, report.epoch
    if step > value["step"] or value["best_epoch"] > epoch:
        raise ValueError("history does not fit its step and its best_epoch.")
    if (value["best_loss"] is None) != (value["best_epoch"] == 0):
        raise ValueError("best_loss and best_epoch must both be there, or neither.")


def resume_shapes(info: RunInfo, *, moved: bool) -> Shapes:
    """Return the name and shape of all that a training needs to go on.

    Args:
        info: of the run.
        moved: whether a step was made: before one, an optimiser has no moments.
    """
    recipe = info.recipe
    weights = recipe.architecture.parameter_shapes(len(info.vocabulary))
    shapes: Shapes = {f"weights/{name}": shape for name, shape in weights.items()}
    if moved and recipe.optimizer != "sgd":
        for name, shape in weights.items():
            of_adam = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
            shapes |= {f"moments/{name}/{moment}": size for moment, size in of_adam.items()}
    state = (recipe.architecture.layers, recipe.batch, recipe.architecture.hidden)
    shapes |= {f"state/{name}": state for name in recipe.architecture.state_names}
    return shapes | {"log": None}


def _typed(value: dict[str, Any], name: str, *kinds: type) -> Any:
    found = value[name]
    if type(found) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {expected}, not {type(found).__name__}.")
    return found


def _strings(value: dict[str, Any], name: str) -> tuple[str, ...]:
    found = _typed(value, name, list)
    if not all(isinstance(entry, str) for entry in found):
        raise TypeError(f"{name} must hold text.")
    return tuple(found)


def _count(value: dict[str, Any], name: str) -> int:
    check_whole(name, value[name], 0, LARGEST)
    found: int = value[name]
    return found


def _check_writable(name: str, text: str) -> None:
    """Check that a text can be written again: half of a surrogate pair is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must not hold half of a surrogate pair.") from None
