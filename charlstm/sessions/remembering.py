"""What is remembered of a training text, as the report before a training tells it."""

from dataclasses import dataclass
from pathlib import Path

from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.recall import MOST_CHARACTERS
from charlstm.model.recall.so_far import Pull
from charlstm.runs.info import RunInfo
from charlstm.runs.remembered import NAME


@dataclass(frozen=True)
class Remembering:
    """What is remembered of a training text.

    Attributes:
        grams: how many grams are kept; 0 if none are, and only the song so far is recalled.
        order: of how many characters the longest of them is.
        size: how many bytes their file has.
        characters: of how many characters at the end of the text they are; ``None`` for all.
        again: a passage of so many characters that comes again in a song is expected to go on as
            it did before, with more than even odds; ``None`` if none is.
        seconds: what counting took; ``None`` if this session counted nothing.
    """

    grams: int
    order: int
    size: int
    characters: int | None
    again: int | None
    seconds: float | None = None

    @classmethod
    def of(cls, run: Path, info: RunInfo, seconds: float | None = None) -> "Remembering | None":
        """Return what is to be told of a run; ``None`` where its network is alone.

        Args:
            run: its directory.
            info: what its ``run.json`` says.
            seconds: see `Remembering`.
        """
        remembered, characters = info.recall, info.training_characters
        if remembered is None:
            return None
        return cls(
            sum(remembered.grams),
            len(remembered.grams),
            (run / NAME).stat().st_size if remembered.grams else 0,
            MOST_CHARACTERS if characters > MOST_CHARACTERS else None,
            _again(remembered.pull),
            seconds,
        )


def _again(pull: Pull) -> int | None:
    """Return after how many characters that a song has said once it goes on as it did then.

    That is where ``p_k`` of `charlstm.model.recall.so_far` passes a half, with ``n = T = U = 1`` in
    every context and next to nothing expected without the song.
    """
    expected, D = 0.0, pull.discount
    for length, strength in zip(LENGTHS, pull.pulls, strict=True):
        expected = (1 - D + (strength + D) * expected) / (1 + strength)
        if expected > 0.5:
            return length
    return None
