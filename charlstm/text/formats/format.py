"""What a file is, and where in it the text of a song stands: what a run keeps of each source."""

from dataclasses import dataclass

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
