"""How a text was read before, so that the same comes out again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from charlstm.text.formats.format import SUFFIXES, Format
from charlstm.text.labels import Labels


@dataclass(frozen=True)
class Earlier:
    """How an earlier reading went.

    Attributes:
        apart: whether an empty line was put between two texts that have none there; runs from
            before 0.2.0 have only a line break.
        parted: what told songs apart, see `charlstm.text.songs.Songs`; found out where ``None``.
        formats: of files by the hashes of their bytes, what they are; found out for all others.
        suffixes: which files of a folder or an archive are read, by what their names end in.
        labels: those that songs had, whose values have their symbols.
        asked: what was asked of songs, see `charlstm.text.corpus.TextOptions`: ids that were kept
            of a text then are used again where it is parted in the same way. ``None`` where that is
            not known.
        closed: whether the text is another one that is only measured: then it may be a single song,
            it may be parted in another way, and values that are new are no labels.
    """

    apart: bool = True
    parted: str | None = None
    formats: Mapping[str, Format] = field(default_factory=lambda: MappingProxyType({}))
    suffixes: tuple[str, ...] = SUFFIXES
    labels: Labels = field(default_factory=Labels)
    asked: str | None = None
    closed: bool = False
