"""The text of a run, read as it was when the run began."""

from dataclasses import replace
from pathlib import Path

from charlstm.runs.info import RunInfo
from charlstm.sessions.fitting import Material
from charlstm.text.corpus import Corpus
from charlstm.text.earlier import Earlier
from charlstm.text.reading import Encodings


def reread(info: RunInfo, material: Material, cache: Path) -> Corpus:
    """Read a run's corpus as it was read then, whatever would be guessed today.

    Whether it is the same is for the caller to check.

    Args:
        info: of the run.
        material: the corpus, if it is no longer where the run found it.
        cache: where the ids of a long text are kept.

    Raises:
        CorpusError: it cannot be read.
    """
    known = {source.sha256: source.encoding for source in info.sources}
    formats = {source.sha256: source.format for source in info.sources}
    again = replace(
        material,
        places=material.places or info.places,
        encoding=Encodings(info.encoding, known=known),
        earlier=Earlier(
            apart=info.apart,
            parted=None if info.songs is None else info.songs.parted,
            formats=formats,
            suffixes=info.suffixes,
            asked=info.recipe.text.songs,
        ),
    )
    options = info.recipe.text if info.songs else replace(info.recipe.text, songs="off")
    # Those of a run that it was started from have symbols that its own songs need not have.
    labels = info.labels if info.started_from else None
    return again.open(cache, options, labels)
