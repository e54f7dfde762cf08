"""A model in one page that writes in any browser, without charlstm and without a network.

Its weights are rounded to float16 and stand in the page in base64, beside the grams that its run
remembers; what writes is the JavaScript in ``page/``, which computes as `charlstm.model.network`,
`charlstm.model.recall.blend` and `charlstm.writing.sampler` do.
"""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import RunError
from charlstm.exports.grams import pack_recall
from charlstm.exports.standalone import as_base64, as_json, assemble, language
from charlstm.exports.told import Figures, told_labels
from charlstm.model.recall.recall import Recall
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.letters import is_plain
from charlstm.text.unseen import lookalikes
from charlstm.writing.sampler import LENGTH, song_length

# In the order in which one thing needs another.
_SCRIPTS = ("numbers", "random", "network", "ngram", "recall", "text", "writing", "about", "main")
# Those that only a page has whose run remembers anything.
_REMEMBERING = ("ngram", "recall")
_GRAMS = """<script type="text/plain" id="grams">
{}
</script>
"""


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


def write_page(info: RunInfo, weights: Arrays, name: str, recall: Recall | None = None) -> bytes:
    """Return a page with a model in it.

    Args:
        info: what ``run.json`` says of its run.
        weights: of the model, float32.
        name: of the run.
        recall: what the run remembers, which the network is blended with as the recipe says;
            ``None`` for the network alone. Of its grams the page has those of
            `charlstm.exports.grams.Grams.of`.

    Raises:
        RunError: see `rounded`.
    """
    halves = rounded(weights)
    shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
    told, packed = _told(info, shapes, name), b""
    if recall is not None and (share := info.share()):
        told["recall"], packed = pack_recall(recall, share)
    parts = {
        "name": html.escape(name),
        "model": as_json(told),
        "weights": as_base64(b"".join(halves[weight].tobytes() for weight in shapes)),
        "grams": _GRAMS.format(as_base64(packed)) if packed else "",
    }
    left_out = () if told["recall"] else _REMEMBERING
    return assemble("page", [one for one in _SCRIPTS if one not in left_out], parts)


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
            "letters_only": text.letters_only,
        },
        "language": language(vocabulary),
        "recall": None,  # the network alone
        "figures": {
            "weights": architecture.parameter_count(len(vocabulary)),
            "learned": info.training_characters,
            "known": vocabulary.size,
            "alone": figures.alone,
            "blend": figures.blend,
        },
    }
