"""What is to be written, with everything checked before the first character."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from charlstm.model.cells import Array
from charlstm.text.labels import Label
from charlstm.text.letters import LONGEST, is_plain
from charlstm.text.unseen import Prefix
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.drawer import choose
from charlstm.writing.refrain import Refrain
from charlstm.writing.stopping import End


class SamplingSettings(TypedDict, total=False):
    """How a prefix is continued; every part may be left out.

    Attributes:
        length: how many letters to write at most, not counting the prefix; by default 200, or that
            many for each of `lines`. Of a model that learned songs it is four times the middle one
            by default, since songs end by themselves. They are letters as people see them, see
            `charlstm.text.letters`: no text ends inside one.
        lines: how many lines to write, not counting empty ones; one that the prefix begins is the
            first. No song ends before them.
        stop: texts at which to end; they are not part of what is written.
        decoding: how each character is drawn.
        processors: what else may change the logits; see `charlstm.writing.decoding`.
        refrain: the stanza that returns, and where; by default none does.
        seed: the same one writes the same text; by default a random one.
        unknown: what to do with characters of the prefix that the model has never seen:
            ``"error"``, the default, ``"skip"`` them, or ``"map"`` them to the nearest that the
            vocabulary has.
    """

    length: int | None
    lines: int | None
    stop: Sequence[str]
    decoding: Decoding | None
    processors: Sequence[Processor]
    refrain: Refrain | None
    seed: int | None
    unknown: str


@dataclass(frozen=True)
class Task:
    """What is to be written after a prefix; made by `charlstm.writing.sampler.Sampler.task`.

    Attributes:
        prefix: what it goes on from.
        label: what the model reads before its song.
        letters: how many it has at most, after the prefix.
        lines: how many lines; ``None`` for any number.
        stop: the texts at which it ends, as the model writes them.
        songs: whether it may end with its song.
        decoding: how each character is drawn.
        processors: what changes the logits before.
        seed: of its generator.
        vocabulary: the model's.
    """

    prefix: Prefix
    label: Label
    letters: int
    lines: int | None
    stop: tuple[str, ...]
    songs: bool
    decoding: Decoding
    processors: tuple[Processor, ...]
    seed: int
    vocabulary: Vocabulary

    @property
    def characters(self) -> int:
        """How many characters are drawn at most: a letter may have several."""
        if not self.letters or self._counts_by_itself:
            return self.letters
        return self.letters * LONGEST + 1

    @property
    def _counts_by_itself(self) -> bool:
        # Where every character is a letter, and none is an end, they need not be looked at one by
        # one.
        return is_plain(self.vocabulary.characters) and not self.songs

    @property
    def beginnings(self) -> Array:
        """``[V]`` logits of a first character with nothing before it: the text's frequencies."""
        with np.errstate(divide="ignore"):
            logits: Array = np.log(np.array(self.vocabulary.counts, dtype=np.float32))
        return logits

    def end(self) -> End | None:
        """Return what notices the end of one text; ``None`` where it is merely long enough."""
        most = None if self._counts_by_itself else self.letters
        if not (self.lines or self.stop or self.songs or most is not None):
            return None
        known = self.vocabulary.characters
        begun = self.prefix.normalised
        return End(begun, self.lines, self.stop, most, known, songs=self.songs)

    def generator(self, number: int = 0) -> np.random.Generator:
        """Return what one of several texts draws from."""
        return np.random.default_rng(self.seed + number)

    def first(self, generator: np.random.Generator) -> int:
        """Draw a first character where there is nothing to read, not even a line's beginning.

        Raises:
            RecipeError: every character is ruled out.
        """
        row = self.beginnings
        for process in self.processors:
            process(self.prefix.normalised, row)
        return choose(row, Decoding(temperature=1.0), generator)
