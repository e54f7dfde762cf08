"""What a file is, and where in it the text of a song stands: what a run keeps of each source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from charlstm.text.labels import Labels

PLAIN, WORD = "plain text", "Word"
FORMATS = (
    *(PLAIN, "LRC", "SRT", "WebVTT", "CSV", "CSV with semicolons", "TSV", "JSON", "JSON Lines"),
    WORD,
)
"""All that a file can be."""

ENDINGS = (
    *(".txt", ".lrc", ".srt", ".vtt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".docx"),
)
"""What the names of texts end in, where a folder or an archive is searched."""

SUFFIXES = (*ENDINGS, *(f"{ending}.gz" for ending in ENDINGS))
"""The same, and what they end in when they are packed."""


@dataclass(frozen=True)
class Format:
    """What a file is read as.

    Attributes:
        name: one of `FORMATS`.
        field: the column or the path of the text, where it was asked for and there is any.
    """

    name: str = PLAIN
    field: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is read as it is."""
        return self.name == PLAIN


@dataclass(frozen=True)
class Earlier:
    """How files were read before, so that the same text comes out again.

    Attributes:
        formats: of files by the hashes of their bytes, what they are; found out for all others.
        suffixes: which files of a folder or an archive are read, by what their names end in.
        labels: those that songs had, whose values have their symbols.
        closed: whether no other values are labels.
    """

    formats: Mapping[str, Format] = field(default_factory=lambda: MappingProxyType({}))
    suffixes: tuple[str, ...] = SUFFIXES
    labels: Labels = field(default_factory=Labels)
    closed: bool = False
