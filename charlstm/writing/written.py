"""What a model writes, and whether it ended it itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charlstm.writing.stopping import End


@dataclass(frozen=True)
class Written:
    """A text that was written.

    Attributes:
        text: prefix and continuation.
        ended: whether the model ended its song, and nothing else did.
    """

    text: str
    ended: bool


class Writing(Iterator[str]):
    """A text while it is written: its pieces, as `Sampler.stream` yields them."""

    def __init__(self, pieces: Iterator[str], ends: Sequence[End]) -> None:
        self._pieces = pieces
        self._ends = ends

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def ended(self) -> bool:
        """Whether the model has ended its song, and nothing else did."""
        return any(end.song for end in self._ends)


@dataclass
class Texts:
    """Texts that are written side by side.

    Attributes:
        written: each with its prefix, normalised.
        running: the numbers of those that have not ended.
    """

    written: list[str]
    running: list[int]
