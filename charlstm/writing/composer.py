"""Writing lines that meet a form, one after the other.

`charlstm.writing.candidates` writes many candidates for a line; here one of them is chosen, and a
line that cannot be followed is taken back. Nothing is ever undone: a `Point` stays what it was.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import FormError, Part, RecipeError, Setting
from charlstm.text.letters import letters
from charlstm.text.unseen import Prefix
from charlstm.writing.alike import Lines
from charlstm.writing.candidates import (
    COLDEST,
    Candidate,
    CandidateWriter,
    Row,
)
from charlstm.writing.constraints import Constraint, LineSoFar
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.form import Form
from charlstm.writing.point import Point
from charlstm.writing.sampler import Sampler

# How many candidates are written side by side for a line, and their lowest temperature. Where none
# fits there are more of them, and bolder ones: at temperature 0 all are the same.
_ROUNDS = ((32, 0.0), (64, 0.5), (128, 0.8))
# How often a line that cannot be followed is written anew before giving up.
_RETURNS = 3
# How many ways to place the words that must occur are tried before giving up.
_PLACINGS = 4
# Marks after which a text goes on.
_PAUSES = ("，", "；", "、", "：")
# So many lines of a text are looked at for one that a new one would repeat.
_LOOKED_AT = 200
# What would follow in a line is told as far as this many characters.
_SOON = 40
# An error shows at most this many letters of a line.
_SHOWN = 60
# Of lines that fit equally well the likelier one is taken more often, by this power of the
# geometric mean of its characters' probabilities: it is a small model's worst lines that a reader
# remembers.
_LIKELIER = 4.0


class Composer:
    """Writes lines that meet constraints.

    Args:
        sampler: the model.
        constraints: what each line must meet.
        decoding: how each character is drawn.
        processors: what else may change the logits, given the text as a person sees it; see
            `charlstm.writing.decoding`.
        read_processors: the same, given what the model has read: the two differ where the model
            reads as one line what is shown as several.
        generator: every choice comes from it; a fresh one where ``None``.

    Raises:
        RecipeError: the model knows nothing that ends a line.
    """

    def __init__(
        self,
        sampler: Sampler,
        constraints: Sequence[Constraint],
        *,
        decoding: Decoding | None = None,
        processors: Sequence[Processor] = (),
        read_processors: Sequence[Processor] = (),
        generator: np.random.Generator | None = None,
    ) -> None:
        self._decoding = decoding or Decoding()
        sampler = sampler.at(max(self._decoding.temperature, COLDEST))
        self._sampler = sampler
        self._constraints = tuple(constraints)
        self._generator = generator or np.random.default_rng()
        self._writer = CandidateWriter(
            sampler,
            constraints,
            self._decoding,
            (
                *self._decoding.processors(sampler.vocabulary, sampler.network.line),
                *processors,
            ),
            read_processors,
            self._generator,
        )
        self._breaks = self._writer.breaks
        if not self._breaks:
            raise RecipeError(
                "The model knows neither line breaks nor spaces, so none of its lines could end."
            )

    def start(self, prefix: str | Prefix = "", unknown: str = "error") -> Point:
        """Return the point after `prefix`, whose last line may be the beginning of the first.

        Raises:
            UnknownCharactersError: see `Sampler.stream`.
        """
        begins = self._sampler.prefix(prefix, unknown)
        # What a form asks of a line, no title meets.
        state = self._sampler.read(begins, line=bool(self._constraints))
        shown = self._laid_out(begins.normalised)
        ends = ("\n", *(mark for mark in self._breaks if mark.isspace()))
        begun = max(map(shown.rfind, ends)) + 1
        return Point((), shown[begun:], state, begins.read, shown, given=len(shown))

    def _laid_out(self, text: str) -> str:
        """Return finished lines of verse each on its own, as the lines to come will be shown."""
        marks = "".join(self._breaks.split())
        return re.sub(f"([{marks}]+[」』”’）》]*)\n?", r"\1\n", text) if marks else text

    def after(self, point: Point, line: str, end: str | None = None) -> Point:
        """Return the point after one more line, which may hold any characters.

        What the model has never seen it reads as the nearest that it knows, or as ``<unk>``. A
        line of somebody's own, which has no `end`, is brought into the form of the training text.

        Args:
            point: where the text stands.
            line: all of the line, with what was begun.
            end: what the model reads after it, see `Candidate`; where ``None``, what usually ends
                a line.

        Raises:
            RecipeError: the line does not begin as it should.
        """
        sampler = self._sampler
        if end is None:
            line = sampler.text.apply(line)
        if not line.startswith(point.begun):
            raise RecipeError(f"The line {line!r} must begin with {point.begun!r}.")
        if end is None:
            end = "" if line.endswith(tuple(self._breaks)) else self._breaks[:1]
        rest = sampler.prefix(line[len(point.begun) :], "map").read + end
        state = point.state.copy()
        sampler.network.read(state, sampler.vocabulary.encode(rest))
        likeliest = int(state.logits[0, 1:].argmax()) + 1
        if end != "\n" and likeliest == self._writer.newline:
            # With the line of verse the line of text may end too.
            sampler.network.step(state, likeliest)
            rest += "\n"
        shown = point.shown + line[len(point.begun) :] + "\n"
        return Point((*point.lines, line), "", state, point.read + rest, shown, point.given)

    def begin(self, point: Point, begun: str) -> Point:
        """Return the point at which the next line has a beginning already.

        Args:
            point: between two lines.
            begun: the beginning, which may hold any characters.
        """
        assert not point.begun, "a line begins once"
        begun = self._sampler.text.apply(begun)
        read, state = self._sampler.prefix(begun, "map").read, point.state.copy()
        self._sampler.network.read(state, self._sampler.vocabulary.encode(read))
        return replace(
            point, begun=begun, state=state, read=point.read + read, shown=point.shown + begun
        )

    def go_on(self, point: Point) -> str:
        """Return what is likeliest to follow in the line, to its end, and quickly.

        One way is tried, the same one for the same text; what rhymes is not looked for. A line that
        does not end soon is told to the end of a word.
        """
        (row,) = self._writer.write(point, 1, None, coldly=True, longest=_SOON)
        text = row.line[len(point.begun) :]
        words = text.rpartition(" ")[0]
        return text if row.end is not None or not words.strip() else words

    def stanza(self, point: Point) -> Point:
        """Return the point after an empty line, where the form begins again."""
        state = point.state.copy()
        gap = "\n" if self._writer.newline else ""
        self._sampler.network.read(state, self._sampler.vocabulary.encode(gap))
        return Point((), "", state, point.read + gap, point.shown + "\n", point.given)

    def candidates(self, point: Point, wanted: int = 1) -> list[Candidate]:
        """Return different lines that may come next, in no order.

        Args:
            point: where the text stands.
            wanted: more are looked for until there are this many, in a bounded number of tries.

        Raises:
            FormError: no line was found, in a bounded number of tries; says which wish stood in
                the way, and which line came nearest.
        """
        endings = self._endings(point)
        fitting: dict[str, Candidate] = {}
        missed: list[Row] = []
        # A network alone has no way of saying nearly the same again.
        lines = point.shown.split("\n")[:-1][-_LOOKED_AT:]
        said = Lines(lines).has if self._sampler.network.line else point.lines.__contains__
        for many, warmth in _ROUNDS:
            for row in self._writer.write(point, many, endings, warmth=warmth):
                if row.end is None or self._unmet(point, row):
                    missed.append(row)
                    continue
                candidate = row.candidate
                same = fitting.get(candidate.line)
                if same is not None:  # duplicates add up their weights
                    log_weight = float(np.logaddexp(candidate.log_weight, same.log_weight))
                    candidate = replace(candidate, log_weight=log_weight)
                fitting[candidate.line] = candidate
            # What the text says already, or nearly, does not count unless nothing else is found.
            new = [other for other in fitting.values() if not said(other.line)]
            if len(new) >= wanted:
                return new
        if not fitting:
            raise self._none_found(point, missed)
        return new or list(fitting.values())

    def choose(
        self,
        candidates: Sequence[Candidate],
        count: int = 1,
        likelihoods: NDArray[np.float64] | None = None,
    ) -> list[Candidate]:
        """Draw `count` different candidates, as the model would among lines that fit.

        The likelier ones are favoured; see `_LIKELIER`.

        Args:
            candidates: among which.
            count: how many.
            likelihoods: for each, the logarithm of how likely what is known besides is with it.
        """
        weights = np.array(
            [
                candidate.log_weight + _LIKELIER * candidate.mean_log_probability
                for candidate in candidates
            ]
        )
        if likelihoods is not None:
            weights = weights + likelihoods
        if self._decoding.temperature >= COLDEST:
            # The highest logarithms after this noise was added are a draw without replacement in
            # proportion to what they are logarithms of (Gumbel 1954).
            weights = weights + self._generator.gumbel(size=len(weights))
        return [candidates[index] for index in np.argsort(-weights, kind="stable")[:count]]

    def write(self, prefix: str | Prefix = "", *, lines: int, unknown: str = "error") -> str:
        """Return `prefix` and this many lines; see `compose`."""
        point = self.compose(prefix, lines=lines, unknown=unknown)
        return point.text if lines else point.shown

    def compose(self, prefix: str | Prefix = "", *, lines: int, unknown: str = "error") -> Point:
        """Return the point after `prefix` and this many lines, including the one that it begins.

        Raises:
            UnknownCharactersError: see `Sampler.stream`.
            FormError: see `candidates`.
        """
        points = [self.start(prefix, unknown)]
        returns = _RETURNS
        while len(points) <= lines:
            try:
                fitting = self.candidates(points[-1])
                if len(points) == lines:  # the last line should not break off at a comma
                    fitting = [c for c in fitting if not c.line.endswith(_PAUSES)] or fitting
                (chosen,) = self.choose(fitting)
            except FormError:
                # Perhaps nothing can follow the line before it, as where nothing answers its rhyme.
                if len(points) == 1 or not returns:
                    raise
                returns -= 1
                points.pop()
            else:
                points.append(self.after(points[-1], chosen.line, chosen.end))
        return points[-1]

    def _endings(self, point: Point) -> frozenset[str] | None:
        """Return the units that the next line may end on; ``None`` for all.

        Raises:
            FormError: there are none.
        """
        so_far = LineSoFar(point.lines, point.begun, after=point.after)
        asked = [
            (c.wish, endings)
            for c in self._constraints
            if (endings := c.endings(so_far)) is not None
        ]
        if not asked:
            return None
        shared = frozenset.intersection(*(endings for _, endings in asked))
        if not shared:
            raise FormError(
                f"No line {len(point.lines) + 1} can end as ",
                *_asking([wish for wish, _ in asked]),
                ": the model can write no word that would do. Ask for less, or change the lines "
                "before it.",
            )
        return shared

    def _unmet(self, point: Point, row: Row) -> list[Constraint]:
        so_far = LineSoFar(point.lines, row.line, row.chance, point.after)
        return [constraint for constraint in self._constraints if not constraint.fits(so_far)]

    def _none_found(self, point: Point, missed: list[Row]) -> FormError:
        """Say which wish stood in the way, and which line came nearest."""
        line = f"No line {len(point.lines) + 1}"
        if point.begun:
            line += f" that begins with {point.begun}"
        so_far = LineSoFar(point.lines, point.begun, after=point.after)
        asked = [c.wish for c in self._constraints if c.allowed(so_far) is not None]
        if len(asked) > 1 and all(row.line == point.begun for row in missed):
            return FormError(f"{line} can go on as ", *_asking(asked), " together. Ask for less.")
        if all(row.barred for row in missed):
            return FormError(
                f"{line} was found: whatever the form would let follow is ruled out by ",
                Setting("no_repeat"),
                ", ",
                Setting("max_copy"),
                " or another processor. Ask for less.",
            )
        whole = [row for row in missed if row.end is not None] or missed
        unmet = {id(row): self._unmet(point, row) for row in whole}
        nearest = min(whole, key=lambda row: (len(unmet[id(row)]), -sum(row.log_shares)))
        blamed = Counter(c.wish for wishes in unmet.values() for c in wishes).most_common(1)
        meets = (" that meets ", blamed[0][0]) if blamed else ()
        found = letters(nearest.line)
        line_shown = f"{''.join(found[:_SHOWN])}…" if len(found) > _SHOWN else nearest.line
        shown = f"The nearest was: {line_shown}" if nearest.line else "None came near"
        return FormError(
            f"{line} was found",
            *meets,
            f", in {len(missed):,} tries. {shown}. Ask for less, or try again, perhaps with a "
            "higher temperature.",
        )


def compose_form(
    sampler: Sampler,
    form: Form,
    prefix: str | Prefix = "",
    *,
    words: frozenset[str] | None = None,
    constraints: Sequence[Constraint] = (),
    decoding: Decoding | None = None,
    processors: Sequence[Processor] = (),
    read_processors: Sequence[Processor] = (),
    generator: np.random.Generator,
    unknown: str = "error",
) -> Point:
    """Return the point after lines that meet a form; the line that `prefix` begins is the first.

    Args:
        sampler: the model.
        form: what the lines must be.
        prefix: what they go on from.
        words: that lines are led to begin and end with; see `Form.constraints`.
        constraints: what else each line must meet.
        decoding: see `Composer`, as for the next three.
        processors: see there.
        read_processors: see there.
        generator: see there.
        unknown: see `charlstm.writing.task.SamplingSettings`.

    Raises:
        CharLSTMError: as `Form.constraints`, and as `Composer.compose`.
    """
    begun = sampler.prefix(prefix, unknown)
    form = form.as_read(sampler.text)
    tries = _PLACINGS if form.must else 1
    while True:
        parts = form.constraints(sampler.vocabulary, generator, words)
        composer = Composer(
            sampler,
            (*parts, *constraints),
            decoding=decoding,
            processors=processors,
            read_processors=read_processors,
            generator=generator,
        )
        try:
            return composer.compose(begun, lines=form.count)
        except FormError:
            # The word that must occur may fit in another line.
            tries -= 1
            if not tries:
                raise


def _asking(wishes: Sequence[Part]) -> list[Part]:
    """Return who asks: one wish asks, two and more ask."""
    first, *others = wishes
    listed = [first, *(part for wish in others for part in (" and ", wish))]
    return [*listed, " ask" if others else " asks"]
