"""What ``run.json`` says of a run, and what must be in its other files if that is right.

A run may come from a stranger: every value is checked against what it must be, so that a bad
file can do no worse than be refused.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from charlstm.checks import check_real
from charlstm.errors import Part, RecipeError, RunError, Setting, count
from charlstm.figures import LARGEST, Report, finite
from charlstm.files import LARGEST_JSON
from charlstm.machine import BACKENDS
from charlstm.recipes.recipe import Recipe, recipe_from_json, recipe_to_json
from charlstm.runs.fields import check_writable, counted, strings, typed
from charlstm.runs.formats import FORMAT
from charlstm.runs.marks import MARK
from charlstm.runs.remembered import NAME, Remembered
from charlstm.text.corpus import Source
from charlstm.text.formats.format import FORMATS, SUFFIXES, Format
from charlstm.text.labels import Labels
from charlstm.text.songs import Songs
from charlstm.text.vocabulary import Vocabulary

FILES = (
    *("run.json", "heldout.txt", "training.txt.bz2", "model.safetensors", "resume.safetensors"),
    *("history.jsonl", "samples.txt", "curve.svg", "draft.txt", "draft.json", "draft.tree.json"),
    *(NAME, MARK),
)
"""What is read of a run, and what tells of it."""
LARGEST_HISTORY = 1 << 30
"""No ``history.jsonl`` has more bytes: millions of epochs, a line each."""
WITHOUT_INDEX: tuple[Part, ...] = (
    "Without the file the run works like one made with ",
    Setting("index", False),
    ".",
)
"""What to do about an index that cannot be read."""

# No system has longer paths than this.
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class RunInfo:
    """What ``run.json`` holds.

    Attributes:
        recipe: architecture, hyperparameters and text options.
        vocabulary: with the counts of the training text.
        sources: the corpus's files as they were read.
        places: what was given to ``train``: where a resume looks for the corpus; nothing where
            the text itself was handed over.
        encoding: the encoding that was asked for, if one was. One that was asked for a single file
            is that of its source.
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
        apart: whether there is an empty line between any two of the files; there was none before
            0.2.0.
        songs: of the whole text; ``None`` if it was read as one stream.
        suffixes: which files of folders were read, by what their names end in.
        labels: of the songs, those that are held out included.
        recall: what the network is blended with; ``None`` for the network alone.
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
    apart: bool = True
    songs: Songs | None = None
    suffixes: tuple[str, ...] = SUFFIXES
    labels: Labels = field(default_factory=Labels)
    recall: Remembered | None = None

    def share(self, recall: float | None = None) -> float:
        """Return the share of what is remembered of the training text that is asked for.

        Args:
            recall: from 0 to 1; the recipe's own where ``None``.

        Raises:
            RecipeError: nothing is remembered, or there is no such share.
        """
        if recall is None:
            return self.recipe.recall
        check_real("recall", recall, 0, 1)
        if recall and self.recall is None:
            raise RecipeError(
                "This run remembers nothing of its training text besides: it was made with ",
                Setting("recall", 0),
                " or by an older version. Train again, or leave ",
                Setting("recall"),
                " out.",
            )
        return float(recall)

    def described(self) -> str:
        """Return in a few words what was trained on how much, and how good it is."""
        told = [
            self.recipe.architecture.title,
            f"{count(self.training_characters, 'character')} learned",
            "no figure yet",
        ]
        if self.best is not None and self.best.validation_perplexity is not None:
            told[-1] = f"held-out perplexity {self.best.validation_perplexity:,.2f}"
            if self.best.network_perplexity is not None:
                told[-1] += f", {self.best.network_perplexity:,.2f} by the network alone"
        elif self.last is not None:
            told[-1] = f"training perplexity {self.last.train_perplexity:,.2f}, nothing held out"
        return ", ".join(told)

    def __repr__(self) -> str:
        return f"<RunInfo: {self.described()}>"


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
            "apart": info.apart,
            "songs": info.songs and asdict(info.songs),
            "suffixes": list(info.suffixes),
            "labels": info.labels.to_json(),
            "sha256": info.corpus_sha256,
            "training_characters": info.training_characters,
            "held_out_characters": info.held_out_characters,
            "sources": [_source_to_json(source) for source in info.sources],
        },
        "samples": {"prefixes": list(info.prefixes), "every": info.sample_every},
        "recall": info.recall and info.recall.to_json(),
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

    Args:
        value: of the present format; see `charlstm.runs.formats.completed`.

    Raises:
        KeyError, TypeError, ValueError, CharLSTMError: a field is missing or not what it must be.
    """
    corpus = typed(value, "corpus", dict)
    samples = typed(value, "samples", dict)
    versions = typed(value, "versions", dict)
    encoding = typed(corpus, "encoding", str, type(None))
    places = strings(corpus, "places")
    if any(len(place) > _LONGEST_PATH for place in places):
        raise ValueError("places must be paths.")
    if encoding is not None and not (encoding.isascii() and len(encoding) <= 100):
        raise ValueError("encoding must be the name of one.")
    if value["backend"] not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}.")
    check_real("saved", value["saved"], 0, math.inf)
    recipe, songs = recipe_from_json(value["recipe"]), _songs(corpus)
    recall = typed(value, "recall", dict, type(None))
    if (recall is None) != (recipe.recall == 0):
        raise ValueError("recall must be there if the recipe has any, and only then.")
    labels = Labels.from_json(corpus["labels"])
    if labels.names != recipe.text.labels or (labels and songs is None):
        raise ValueError("labels must be those of the recipe, and of songs.")
    return RunInfo(
        recipe=recipe,
        vocabulary=_vocabulary(typed(value, "vocabulary", dict), labels),
        sources=tuple(map(_source, typed(corpus, "sources", list))),
        places=places,
        encoding=encoding,
        corpus_sha256=typed(corpus, "sha256", str),
        training_characters=counted(corpus, "training_characters"),
        held_out_characters=counted(corpus, "held_out_characters"),
        backend=value["backend"],
        started_from=typed(value, "started_from", str, type(None)),
        prefixes=strings(samples, "prefixes"),
        sample_every=counted(samples, "every"),
        tensorboard=typed(value, "tensorboard", bool),
        best=_report(value, "best"),
        last=_report(value, "last"),
        finished=typed(value, "finished", str, type(None)),
        versions={name: typed(versions, name, str) for name in versions},
        saved=float(value["saved"]),
        apart=typed(corpus, "apart", bool),
        songs=songs,
        suffixes=strings(corpus, "suffixes"),
        labels=labels,
        recall=None if recall is None else Remembered.from_json(recall),
    )


def _songs(corpus: dict[str, Any]) -> Songs | None:
    value = typed(corpus, "songs", dict, type(None))
    if value is None:
        return None
    songs = Songs(
        number=counted(value, "number"),
        shortest=counted(value, "shortest"),
        median=counted(value, "median"),
        longest=counted(value, "longest"),
        parted=typed(value, "parted", str),
    )
    # Songs that are written may be as long as some of these say.
    characters = counted(corpus, "training_characters") + counted(corpus, "held_out_characters")
    if not songs.shortest <= songs.median <= songs.longest <= characters:
        raise ValueError("songs must be as long as the text has room for.")
    return songs


def _source_to_json(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "encoding": source.encoding,
        "characters": source.characters,
        "sha256": source.sha256,
        # There may be fifty thousand, and most of them are plain text.
        **({} if source.format.is_plain else {"format": asdict(source.format)}),
    }


def _source(value: object) -> Source:
    if not isinstance(value, dict):
        raise TypeError("sources must hold objects.")
    return Source(
        name=typed(value, "name", str),
        encoding=typed(value, "encoding", str),
        characters=counted(value, "characters"),
        sha256=typed(value, "sha256", str),
        format=_format(value),
    )


def _format(value: dict[str, Any]) -> Format:
    """Return what a source was read as; one that says nothing of it is plain text."""
    value = value.get("format", asdict(Format()))
    if not isinstance(value, dict) or value.get("name") not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}.")
    return Format(value["name"], typed(value, "field", str, type(None)))


def _vocabulary(value: dict[str, Any], labels: Labels) -> Vocabulary:
    characters, counts = typed(value, "characters", str), typed(value, "counts", list)
    check_writable("characters", characters)
    if not all(type(count) is int and count <= LARGEST for count in counts):
        raise TypeError("counts must be whole numbers.")
    return Vocabulary(characters, counts, labels)


def _report(value: dict[str, Any], name: str) -> Report | None:
    return None if value[name] is None else Report.from_json(value[name])
