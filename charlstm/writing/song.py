"""Writing a song together, a line at a time: the model proposes, a person decides.

Every line is a point to go back to, because the state of the model after it is kept: it takes a
few kilobytes.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from charlstm.checks import check_whole
from charlstm.errors import FormError, RecipeError, Setting, count
from charlstm.evaluation.novelty import Passage, TrainingText
from charlstm.text.labels import Label
from charlstm.text.letters import start_of_letter
from charlstm.writing.between import log_likelihoods
from charlstm.writing.candidates import Candidate
from charlstm.writing.composer import Composer
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.form import Form
from charlstm.writing.learned import keeping_short
from charlstm.writing.point import Point
from charlstm.writing.refrain import stanzas
from charlstm.writing.rhyme import ending
from charlstm.writing.sampler import Sampler

# At most this many of the lines proposed together end on the same unit, unless there are no others.
_SAME_ENDING = 2
# Of the lines that might stand between two others, so many are looked past.
_LOOKED_PAST = 16
# A copy is followed back over this many characters of the song before a line.
_BEFORE = 500


@dataclass(frozen=True)
class Proposal:
    """A line that may come next.

    Attributes:
        candidate: the line.
        probability: what the model gives to a character of it, its end included and what it was
            begun with left out: the geometric mean, at temperature 1.
        copied: the longest passage of four characters or more that reaches into it and appears in
            the training text; it starts below 0 if it begins in the song before the line. ``None``
            if there is none, or nothing to look in.
        verbatim: whether all of it appears there, as a line or within a longer one.
    """

    candidate: Candidate
    probability: float
    copied: Passage | None
    verbatim: bool

    @property
    def line(self) -> str:
        """The line itself."""
        return self.candidate.line


class Song:
    """A song under way.

    Args:
        sampler: the model.
        training_text: where copies are looked for; ``None`` does not look.
        words: what lines are led to begin and end with; see `Form.constraints`.
        form: what its lines should be; they are counted from the last empty line.
        decoding: how characters are drawn.
        max_copy: how many characters in a row may be copied; 0 for any number.
        label: what the model reads before it; see `Sampler.labelled`.
        recalling: returns the same model with another share of what is remembered of its training
            text, as `charlstm.trained.TrainedModel.recalling` does; ``None`` if there is no other.
        seed: the same one proposes the same lines to the same decisions.

    Raises:
        CharLSTMError: as `change`.
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        training_text: TrainingText | None = None,
        words: frozenset[str] | None = None,
        form: Form | None = None,
        decoding: Decoding | None = None,
        max_copy: int = 0,
        label: Label | None = None,
        recalling: Callable[[float | None], Sampler] | None = None,
        seed: int | None = None,
    ) -> None:
        self._sampler = sampler.labelled(label)
        self._recalling = recalling
        self._training_text = training_text
        self._words = words
        if seed is not None:
            check_whole("seed", seed, 0)
        self._generator = np.random.default_rng(seed)
        self.form = Form() if form is None else form
        self.decoding = decoding or Decoding()
        self.max_copy = max_copy
        self._composer = self._composer_for(self._sampler, self.form, self.decoding, max_copy)
        self._points: list[Point] = [self._composer.start()]
        self._lines: list[str] = []
        self._ends: list[str | None] = []

    @property
    def label(self) -> Label:
        """What the model reads before it, by the names of the labels."""
        return self._sampler.label

    @property
    def recall(self) -> float:
        """The share of what is remembered of the training text; 0 for the network alone."""
        return self._sampler.recall

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, the empty ones too."""
        return tuple(self._lines)

    @property
    def stanza(self) -> tuple[str, ...]:
        """The lines after the last empty one: those that the form counts."""
        return self._points[-1].lines

    @property
    def end_probability(self) -> float | None:
        """How likely the model finds it that the song ends here; ``None`` if it knows no songs."""
        return self._sampler.end_probability(self._points[-1].state)

    @property
    def text(self) -> str:
        """The song, with a line break at its end unless it is empty."""
        return "".join(line + "\n" for line in self._lines)

    def change(
        self,
        *,
        form: Form | None = None,
        decoding: Decoding | None = None,
        max_copy: int | None = None,
        label: Label | None = None,
        recall: float | Literal["auto"] | None = None,
    ) -> None:
        """Change how the next lines are written; what is ``None`` stays.

        With another label or recall, and with another temperature where it recalls, the model reads
        all lines so far once more.

        Args:
            form: see `Song`, as for the next three.
            decoding: see there.
            max_copy: see there.
            label: see there.
            recall: the share of what is remembered; ``"auto"`` for the recipe's own.

        Raises:
            UnknownCharactersError: the form has characters that the model has never seen.
            RecipeError: there is no such label or share, parts of the form cannot be combined, or
                `max_copy` cannot be kept.
            MissingLibraryError: see `Form.constraints`.
        """
        form = self.form if form is None else form
        decoding = decoding or self.decoding
        max_copy = self.max_copy if max_copy is None else max_copy
        sampler = self._remembering(recall).labelled(self.label if label is None else label)
        self._composer = self._composer_for(sampler, form, decoding, max_copy)
        # What is expected after the last line was worked out for a temperature.
        warmer = bool(sampler.recall) and decoding.temperature != self.decoding.temperature
        self.form, self.decoding, self.max_copy = form, decoding, max_copy
        if warmer or (sampler.label, sampler.recall) != (self.label, self.recall):
            self._sampler = sampler
            self._points, lines, ends = [self._composer.start()], self._lines, self._ends
            self._lines, self._ends = [], []
            for line, end in zip(lines, ends, strict=True):
                self._add(line, end)

    def _remembering(self, recall: float | Literal["auto"] | None) -> Sampler:
        """Return the model with a share of what is remembered."""
        if recall is None or recall == self.recall:
            return self._sampler
        if self._recalling is None:
            raise RecipeError("This song knows its model with one ", Setting("recall"), " only.")
        return self._recalling(None if recall == "auto" else recall)

    def _composer_for(
        self, sampler: Sampler, form: Form, decoding: Decoding, max_copy: int
    ) -> Composer:
        processors: tuple[Processor, ...] = ()
        if max_copy:
            if self._training_text is None:
                raise RecipeError(
                    "There is no training text to look for copies in, so they cannot be kept short."
                )
            processors = keeping_short(max_copy, self._training_text, sampler.vocabulary)
        asked = form.as_read(sampler.text)
        return Composer(
            sampler,
            asked.constraints(sampler.vocabulary, None, self._words),
            decoding=decoding,
            processors=processors,
            read_processors=processors,
            generator=self._generator,
        )

    def propose(
        self,
        count: int = 5,
        *,
        without: Collection[str] = (),
        begun: str = "",
        following: str = "",
    ) -> list[Proposal]:
        """Return this many different lines that may come next, the likeliest first.

        There are fewer, or none, if no more are found. Lines that all end alike are no choice, so
        at most two of them are proposed together, unless there are no others.

        Args:
            count: how many.
            without: lines that are left out, such as those that were proposed before.
            begun: what the line begins with already.
            following: the lines that follow it already, where it is written anew between others.
                Then those lines are likelier that lead on to them, and what is answered there is
                to be met here: a rhyme.

        Raises:
            FormError: there is none that meets the form.
        """
        check_whole("count", count, 1)
        point = self._points[-1]
        if begun:
            point = self._composer.begin(point, begun)
        if following:
            below = following.split("\n")
            point = replace(point, after=tuple(itertools.takewhile(str.strip, below)))
        # So that enough are left, even if all of those left out are found once more.
        candidates = self._composer.candidates(point, count + len(without))
        new = [candidate for candidate in candidates if candidate.line not in without]
        if following and new:
            new = self._composer.choose(new, _LOOKED_PAST)
            read = [one.line[len(point.begun) :] + one.end for one in new]
            likelihoods = log_likelihoods(self._sampler, point.state, read, following)
            ranked = self._composer.choose(new, len(new), likelihoods)
        else:
            ranked = self._composer.choose(new, len(new))
        proposals = [self._describe(point, candidate) for candidate in _varied(ranked)[:count]]
        return sorted(proposals, key=lambda proposal: -proposal.probability)

    def go_on(self, begun: str = "") -> str:
        """Return what is likeliest to follow in the line that is begun, to its end.

        The same text gives the same answer, in a few hundredths of a second with a small model.

        Args:
            begun: the beginning of the line.
        """
        point = self._points[-1]
        return self._composer.go_on(self._composer.begin(point, begun) if begun else point)

    def reseed(self, seed: int) -> None:
        """Begin the choices that are left to chance anew; see `Song`."""
        check_whole("seed", seed, 0)
        self._generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    def take(self, chosen: Proposal | Candidate) -> None:
        """Add a line that was proposed, or one that `look_ahead` returned."""
        candidate = chosen.candidate if isinstance(chosen, Proposal) else chosen
        self._add(candidate.line, candidate.end)

    def write(self, lines: Sequence[str]) -> None:
        """Add lines of one's own, or a text of several; an empty line ends a stanza.

        They may hold any characters.
        """
        text = lines if isinstance(lines, str) else "\n".join(lines)
        for line in text.split("\n"):
            self._add(line, None)

    def bring_back(self, number: int) -> tuple[str, ...]:
        """Let a stanza return after an empty line; return what was added.

        Args:
            number: of the stanza, from 1; a single line is none, see `charlstm.writing.refrain`.

        Raises:
            RecipeError: there is no such stanza.
        """
        said = stanzas(self.text)
        if not 1 <= number <= len(said):
            raise RecipeError(
                f"There is no stanza {number} that could return: the song has "
                f"{count(len(said), 'stanza')} of two lines or more."
            )
        lines = said[number - 1].lines
        if self._lines[-1].strip():
            lines = ["", *lines]
        self.write(lines)
        return tuple(lines)

    def go_back(self) -> str | None:
        """Take the last line away and return it; ``None`` when there is none."""
        if not self._lines:
            return None
        self._points.pop()
        self._ends.pop()
        return self._lines.pop()

    def look_ahead(self, proposal: Proposal | None = None, lines: int = 4) -> list[Candidate]:
        """Return how the song might go on, after a proposal if one is given; nothing is added.

        Args:
            proposal: the line to look past; the song's last line if ``None``.
            lines: how many to return; there are fewer if no way leads on.

        Returns:
            The lines; `take` adds them one after the other, the proposal first.

        Raises:
            FormError: see `propose`.
        """
        point = self._points[-1]
        if proposal is not None:
            candidate = proposal.candidate
            point = self._composer.after(point, candidate.line, candidate.end)
        ahead: list[Candidate] = []
        for _ in range(lines):
            try:
                (chosen,) = self._composer.choose(self._composer.candidates(point))
            except FormError:
                if not ahead:
                    raise
                break
            point = self._composer.after(point, chosen.line, chosen.end)
            ahead.append(chosen)
        return ahead

    def _add(self, line: str, end: str | None) -> None:
        point = self._points[-1]
        if line.strip():
            self._points.append(self._composer.after(point, line, end))
        else:
            self._points.append(self._composer.stanza(point))
        self._lines.append(line)
        self._ends.append(end)

    def _describe(self, point: Point, candidate: Candidate) -> Proposal:
        read = candidate.line[len(point.begun) :] + candidate.end
        likely = self._sampler.log_probabilities(read, state=point.state)
        if self._training_text is None:
            return Proposal(candidate, math.exp(likely.mean()), None, False)
        # What the song ends on may be the beginning of what the line copies.
        before = point.read[start_of_letter(point.read, max(len(point.read) - _BEFORE, 0)) :]
        text, begins = before + candidate.line[len(point.begun) :], len(before) - len(point.begun)
        novelty = self._training_text.novelty([text], after=len(before), most=1)
        copied, verbatim = novelty.longest, novelty.verbatim_lines > 0
        if copied is not None:
            copied = replace(copied, start=copied.start - begins)
            verbatim |= candidate.line in copied.text
        return Proposal(candidate, math.exp(likely.mean()), copied, verbatim)


def _varied(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Put those with an ending that two before them have after all others."""
    endings: Counter[str] = Counter()
    varied: list[Candidate] = []
    alike: list[Candidate] = []
    for candidate in ranked:
        unit = candidate.line[slice(*ending(candidate.line))].casefold()
        endings[unit] += 1
        (varied if endings[unit] <= _SAME_ENDING else alike).append(candidate)
    return [*varied, *alike]
