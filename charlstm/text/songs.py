"""What a song is to a reader of files: where it begins, and what is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Opening:
    """The beginning of a song among the pieces of a text; what follows it is its text.

    Attributes:
        title: if it has one that does not stand in its text.
        fields: what else is told of it, by name: the artist, the genre, the year.
    """

    title: str | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
