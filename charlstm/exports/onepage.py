"""A model in one page that writes in any browser, without charlstm and without a network.

Its weights are rounded to float16 and stand in the page in base64; what writes is the JavaScript in
``page/``, which computes as `charlstm.model.network` and `charlstm.writing.sampler` do.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import RunError
from charlstm.exports.told import Figures, told_labels
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.letters import is_plain
from charlstm.text.unseen import lookalikes
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.sampler import LENGTH, song_length

_PAGE = Path(__file__).parent / "page"
# In the order in which one thing needs another.
_SCRIPTS = ("numbers", "random", "network", "text", "writing", "strings", "main")
# Nothing but these very scripts and styles, and no request to anywhere.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
# Editors are slow where all is in one line.
_LINE = 1000
# A text of which so much is Han is set as Chinese.
_CHINESE = 0.3


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
    data = base64.b64encode(b"".join(halves[weight].tobytes() for weight in shapes)).decode()
    style = f"\n{_read('page.css')}"
    script = "\n" + "\n".join(_read(f"{part}.js") for part in _SCRIPTS)
    parts = {
        "policy": _POLICY.format(script=_hash(script), style=_hash(style)),
        "name": html.escape(name),
        "style": style,
        "script": script,
        # No text of a stranger's can end the script that it stands in.
        "model": json.dumps(_told(info, shapes, name)).replace("<", "\\u003c"),
        "weights": "\n".join(data[at : at + _LINE] for at in range(0, len(data), _LINE)),
    }
    page = re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], _read("index.html"))
    return page.encode(errors="replace")


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
        "labels": told_labels(vocabulary),
        "lookalikes": lookalikes(vocabulary),
        "text": {
            "normalize": text.normalize,
            "newline": text.newline,
            "tidy": text.tidy,
            "line_ends": text.line_ends,
        },
        "language": _language(vocabulary),
        "recall": info.recall is not None,
        "figures": {
            "weights": architecture.parameter_count(len(vocabulary)),
            "learned": info.training_characters,
            "known": vocabulary.size,
            "alone": figures.alone,
            "blend": figures.blend,
        },
    }


def _language(vocabulary: Vocabulary) -> str:
    """Return the language whose typefaces suit the songs; empty where that is any."""
    counts = dict(zip(vocabulary.characters, vocabulary.counts[1:], strict=True))
    han = sum(many for one, many in counts.items() if "\u3400" <= one <= "\u9fff")
    return "zh-Hans" if han > _CHINESE * max(sum(counts.values()), 1) else ""


def _read(file: str) -> str:
    return (_PAGE / file).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
