"""A model in one page that writes in any browser, without charlstm and without a network.

Its weights are rounded to float16 and stand in the page in base64; what writes is the JavaScript in
``page/``, which computes as `charlstm.model.network` and `charlstm.writing.sampler` do.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import RunError
from charlstm.exports.standalone import as_base64, as_json, assemble, language
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.letters import is_plain
from charlstm.text.unseen import lookalikes
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.sampler import LENGTH, song_length

# In the order in which one thing needs another.
_SCRIPTS = ("numbers", "random", "network", "text", "writing", "main")


@dataclass(frozen=True)
class Figures:
    """The held-out perplexities that a run has told, ``None`` where nothing was measured.

    Attributes:
        alone: of the network alone.
        blend: of the network and what is remembered, if the run writes so.
    """

    alone: float | None
    blend: float | None

    @classmethod
    def of(cls, info: RunInfo) -> "Figures":
        """Return those of the weights that a run writes with."""
        report = info.best or info.last
        if report is None:
            return cls(None, None)
        if info.recall is None:
            return cls(report.validation_perplexity, None)
        return cls(report.network_perplexity, report.validation_perplexity)


def rounded(weights: Arrays) -> dict[str, NDArray[np.float16]]:
    """Return the weights as the page has them.

    Raises:
        RunError: one is too large for float16.
    """
    with np.errstate(over="ignore"):
        halves = {name: array.astype("<f2") for name, array in weights.items()}
    for name, array in halves.items():
        if not np.isfinite(array).all():
            raise RunError(
                f"{name} has weights beyond 65,504, which float16 cannot hold, so the model does "
                "not fit in a page."
            )
    return halves


def write_page(info: RunInfo, weights: Arrays, name: str) -> bytes:
    """Return a page with a model in it.

    Args:
        info: what ``run.json`` says of its run.
        weights: of the model, float32.
        name: of the run.

    Raises:
        RunError: see `rounded`.
    """
    halves = rounded(weights)
    shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
    parts = {
        "name": html.escape(name),
        "model": as_json(_told(info, shapes, name)),
        "weights": as_base64(b"".join(halves[weight].tobytes() for weight in shapes)),
    }
    return assemble("page", _SCRIPTS, parts)


def _told(info: RunInfo, shapes: Mapping[str, tuple[int, ...]], name: str) -> dict[str, Any]:
    """Return what the page has to know of the model beside its weights."""
    architecture, vocabulary, text = info.recipe.architecture, info.vocabulary, info.recipe.text
    songs, figures = info.songs is not None, Figures.of(info)
    reads_something = songs or "\n" in vocabulary
    return {
        "name": name,
        "title": architecture.title,
        "cell": architecture.cell,
        "hidden": architecture.hidden,
        "layers": architecture.layers,
        "embedding": architecture.embedding,
        "weights": [[weight, list(shape)] for weight, shape in shapes.items()],
        "characters": vocabulary.characters,
        "plain": is_plain(vocabulary.characters),
        "marks": vocabulary.marks.tolist(),
        "end": vocabulary.end,
        # By which the first character is drawn where nothing is read before it.
        "counts": None if reads_something else list(vocabulary.counts),
        "songs": songs,
        "song_letters": song_length(info.songs),
        "letters": LENGTH,
        "labels": _labels(vocabulary),
        "lookalikes": lookalikes(vocabulary),
        "text": {
            "normalize": text.normalize,
            "newline": text.newline,
            "tidy": text.tidy,
            "line_ends": text.line_ends,
        },
        "language": language(vocabulary),
        "recall": info.recall is not None,
        "figures": {
            "weights": architecture.parameter_count(len(vocabulary)),
            "learned": info.training_characters,
            "known": vocabulary.size,
            "alone": figures.alone,
            "blend": figures.blend,
        },
    }


def _labels(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the names of the labels, the id of none of each, and its values with their ids."""
    labels = vocabulary.labels
    return [
        {
            "name": name,
            "none": int(vocabulary.encode(none)[0]),
            "values": [
                [value, int(vocabulary.encode(symbol)[0])]
                for value, symbol in labels.values[name].items()
            ],
        }
        for name, none in zip(labels.names, labels.none, strict=True)
    ]
