"""Writing a song together, a line at a time: the model proposes, a person decides.

Every line is a place to go back to, because the state of the model after it is kept: it takes a
few kilobytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charlstm.composing import Candidate, Composer, Place
from charlstm.decoding import Decoding, MaxCopy, Processor
from charlstm.errors import FormError, RecipeError
from charlstm.forms import Form
from charlstm.novelty import Passage, TrainingText
from charlstm.recipes import check_whole
from charlstm.sampling import Sampler


@dataclass(frozen=True)
class Proposal:
    """A line that may come next.

    Attributes:
        candidate: the line.
        likelihood: the probability that the model gives to a character of it, in the geometric
            mean, its end included.
        copied: the longest passage of four characters or more in it that stands in the training
            text; ``None`` when there is none, or nothing to look in.
        verbatim: whether it stands there as a whole line.
    """

    candidate: Candidate
    likelihood: float
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
        form: what its lines should be; they are counted from the last empty line.
        decoding: how characters are drawn.
        max_copy: how many characters in a row may be copied; 0 for any number.
        seed: the same one proposes the same lines to the same decisions.

    Raises:
        CharLSTMError: as `change`.
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        training_text: TrainingText | None = None,
        form: Form | None = None,
        decoding: Decoding | None = None,
        max_copy: int = 0,
        seed: int | None = None,
    ) -> None:
        self._sampler = sampler
        self._training_text = training_text
        if seed is not None:
            check_whole("seed", seed, 0)
        self._generator = np.random.default_rng(seed)
        self.form = Form() if form is None else form
        self.decoding = decoding or Decoding()
        self.max_copy = max_copy
        self._composer = self._composer_for(self.form, self.decoding, max_copy)
        self._places: list[Place] = [self._composer.start()]
        self._lines: list[str] = []

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, the empty ones too."""
        return tuple(self._lines)

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
    ) -> None:
        """Change how the next lines are written; what is ``None`` stays.

        Raises:
            UnknownCharactersError: the form has characters that the model has never seen.
            RecipeError: parts of the form exclude each other, or `max_copy` cannot be kept.
            MissingLibraryError: see `Form.constraints`.
        """
        form = self.form if form is None else form
        decoding = decoding or self.decoding
        max_copy = self.max_copy if max_copy is None else max_copy
        self._composer = self._composer_for(form, decoding, max_copy)
        self.form, self.decoding, self.max_copy = form, decoding, max_copy

    def _composer_for(self, form: Form, decoding: Decoding, max_copy: int) -> Composer:
        processors: tuple[Processor, ...] = ()
        if max_copy:
            if self._training_text is None:
                raise RecipeError(
                    "This run keeps no index of its training text, so copies cannot be kept short."
                )
            followers = self._training_text.followers
            processors = (MaxCopy(max_copy, followers, self._sampler.vocabulary),)
        return Composer(
            self._sampler,
            form.constraints(self._sampler.vocabulary),
            decoding=decoding,
            processors=processors,
            generator=self._generator,
        )

    def propose(self, count: int = 5) -> list[Proposal]:
        """Return so many different lines that may come next, the likeliest first.

        There are fewer where no more are found.

        Raises:
            FormError: there is none that meets the form.
        """
        place = self._places[-1]
        found = self._composer.choose(self._composer.candidates(place, count), count)
        proposals = [self._describe(place, candidate) for candidate in found]
        return sorted(proposals, key=lambda proposal: -proposal.likelihood)

    def take(self, proposal: Proposal) -> None:
        """Add a proposed line."""
        candidate = proposal.candidate
        self._add(candidate.line, candidate.end)

    def write(self, lines: Sequence[str]) -> None:
        """Add lines of one's own, which may hold any characters; an empty one ends a stanza."""
        for line in lines:
            self._add(line, None)

    def go_back(self) -> str | None:
        """Take the last line away and return it; ``None`` when there is none."""
        if not self._lines:
            return None
        self._places.pop()
        return self._lines.pop()

    def look_ahead(self, proposal: Proposal | None = None, lines: int = 4) -> list[str]:
        """Return how the song might go on, after a proposal if one is given; nothing is added.

        Args:
            proposal: the line to look behind; the song's last line where ``None``.
            lines: how many to return, or fewer where no way leads on.

        Raises:
            FormError: see `propose`.
        """
        place = self._places[-1]
        if proposal is not None:
            candidate = proposal.candidate
            place = self._composer.after(place, candidate.line, candidate.end)
        ahead: list[str] = []
        for _ in range(lines):
            try:
                (chosen,) = self._composer.choose(self._composer.candidates(place))
            except FormError:
                if not ahead:
                    raise
                break
            place = self._composer.after(place, chosen.line, chosen.end)
            ahead.append(chosen.line)
        return ahead

    def _add(self, line: str, end: str | None) -> None:
        place = self._places[-1]
        if line.strip():
            self._places.append(self._composer.after(place, line, end))
        else:
            self._places.append(self._composer.stanza(place))
        self._lines.append(line)

    def _describe(self, place: Place, candidate: Candidate) -> Proposal:
        read = candidate.line + candidate.end
        likely = self._sampler.log_probabilities(read, state=place.state)
        copied, verbatim = None, False
        if self._training_text is not None:
            novelty = self._training_text.novelty([candidate.line], most=1)
            copied, verbatim = novelty.longest, novelty.verbatim_lines > 0
        return Proposal(candidate, math.exp(likely.mean()), copied, verbatim)
