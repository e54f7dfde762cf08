"""Candidates for a line, written side by side and led to what the line must be.

All of them begin as copies of one state. Where the form says what may come next, the other
characters are ruled out before one is drawn; where it says what a line may end on, candidates are
taken back to where their last word began and led from there to one that is allowed, letter by
letter.

Each time characters are ruled out, a candidate keeps a share Z of the probability that the model
gave to all of them. A candidate x is thus drawn with probability p(x) / (Z_1 Z_2 ...), so choosing
among the candidates in proportion to the product of their Z is choosing as the model itself would
among lines that fit (sampling importance resampling, Rubin 1987): a line that goes to its rhyme
willingly beats one that is led there against the model's will. This holds the better, the more
candidates there are. It does not hold for a line's end that is itself a choice, nor with top-k,
top-p or min-p, which choose among the characters that the form has left. Candidates that were drawn
at a higher temperature than was asked for are weighted by the ratio of their probabilities too.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.model.cells import Array
from charlstm.model.reader import Standing
from charlstm.text.letters import counts, joining, last_letter
from charlstm.text.vocabulary import UNKNOWN, Vocabulary
from charlstm.writing.constraints import Constraint, LineSoFar, line_ends
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.drawer import Drawer
from charlstm.writing.point import Point
from charlstm.writing.rhyme import ending
from charlstm.writing.sampler import Sampler
from charlstm.writing.spelling import Spelling

# A line that grows longer than this will not end by itself, and one that has kept this much less of
# the probability than a finished one (a logarithm) would not be chosen.
_LONGEST = 150
_HOPELESS = 10.0
# Shares are computed at this temperature at least: at zero every share would be zero or one.
COLDEST = 0.1
"""Below this temperature there is nothing to choose by."""

# What closes what.
_PAIRS = dict(zip(")]）］」』》〉】”", "([（［「『《〈【“", strict=True))
# What is closed in the line in which it was opened; what somebody says may go on, and smile :(
_IN_A_LINE = "）］》〉】"


@dataclass(frozen=True)
class Candidate:
    """A line that fits.

    Attributes:
        line: without its line break.
        log_weight: the logarithm of how much it counts among the others, by the probability that
            was left when it was drawn; see the head of this file.
        mean_log_probability: of its characters, in nats, at the temperature that was asked for,
            before the form ruled any out.
        end: what the model read at its end: a line break, or nothing where a mark that is part of
            the line ends it.
    """

    line: str
    log_weight: float
    mean_log_probability: float
    end: str


@dataclass
class Row:
    """One candidate while it is written.

    Attributes:
        line: so far.
        chance: see `LineSoFar`.
        log_shares: for each character drawn, the logarithm of the share Z that was left.
        log_probabilities: of each, before the form ruled any out, at the temperature that was
            asked for.
        log_ratios: of each, by how much that exceeds the same at the temperature of the draw.
        unit: where the last unit begins, once the line is being led to an ending.
        end: what the model reads at its end: a line break, or nothing where a mark that is
            part of the line ends it; ``None`` while it is unfinished.
        barred: whether no character was left because processors had ruled out all that the form
            allows.
    """

    line: str
    chance: float
    log_shares: list[float] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    log_ratios: list[float] = field(default_factory=list)
    unit: int | None = None
    end: str | None = None
    barred: bool = False

    def take_back(self, start: int, begun: int) -> None:
        """Go back to before the character ``line[start]``; the first `begun` were not drawn."""
        self.line, self.unit, self.end = self.line[:start], start, None
        for logarithms in (self.log_shares, self.log_probabilities, self.log_ratios):
            del logarithms[start - begun :]

    @property
    def candidate(self) -> Candidate:
        """The finished line."""
        assert self.end is not None, "only a finished line can be chosen"
        log_weight = sum(self.log_shares) + sum(self.log_ratios)
        mean = sum(self.log_probabilities) / max(len(self.log_probabilities), 1)
        return Candidate(self.line, log_weight, mean, self.end)


_Snapshot = tuple[Any, list[Row]]


class CandidateWriter:
    """Writes candidates for lines.

    Args:
        sampler: the model.
        constraints: what each line must meet; candidates are led there, and may still miss it.
        decoding: how each character is drawn; its own processors are not applied here.
        processors: what else may change the logits, given the text as a person sees it.
        read_processors: the same, given what the model has read: the two differ where the model
            reads as one line what is shown as several.
        generator: every choice comes from it.

    Attributes:
        breaks: the characters at which a line ends, the commonest first.
        newline: the id of the line break; 0 if there is none.
    """

    def __init__(
        self,
        sampler: Sampler,
        constraints: Sequence[Constraint],
        decoding: Decoding,
        processors: Sequence[Processor],
        read_processors: Sequence[Processor],
        generator: np.random.Generator,
    ) -> None:
        self._sampler = sampler
        self._constraints = tuple(constraints)
        self._decoding = decoding
        self._processors = tuple(processors)
        self._read_processors = tuple(read_processors)
        self._generator = generator
        vocabulary = sampler.vocabulary
        self._names = ["\ufffd", *vocabulary.characters]
        self.breaks = line_ends(vocabulary)
        self._break_ids = _ids(vocabulary, self.breaks)
        self.newline = int(vocabulary.encode("\n")[0])
        inside = [c for c in vocabulary.characters if c not in (*self.breaks, "\n")]
        self._inside = "".join(inside)
        # Nor does a line begin with a part of a letter, unless there is nothing else.
        first = "".join(self._inside.split())
        self._first = "".join(c for c in first if unicodedata.category(c)[0] != "M") or first
        self._marks = "".join(c for c in inside if _is_mark(c))
        self._ids: dict[tuple[str, ...], NDArray[np.intp]] = {}

    def write(
        self,
        point: Point,
        many: int,
        endings: frozenset[str] | None,
        *,
        warmth: float = 0.0,
        coldly: bool = False,
        longest: int = _LONGEST,
    ) -> list[Row]:
        """Write candidates for the next line.

        Args:
            point: where the text stands.
            many: how many.
            endings: the units that the line may end on; ``None`` for all.
            warmth: they are drawn at this temperature at least.
            coldly: whether nothing is left to chance: each character is the likeliest.
            longest: more characters than this are not written.

        Returns:
            All of them; those that could not be finished have no `end`.
        """
        temperature = 0.0 if coldly else max(self._decoding.temperature, warmth)
        decoding = replace(self._decoding, temperature=temperature)
        chances = np.full(many, 0.5) if coldly else self._generator.random(many)
        rows = [Row(point.begun, chance) for chance in chances]
        state = self._sampler.network.take(point.state, [0] * many)
        if endings is None:
            self._run(point, rows, state, decoding, longest=longest)
            return rows
        snapshots: list[_Snapshot] = []
        self._run(point, rows, state, decoding, snapshots=snapshots)
        led, streams = [], []
        for row in rows:
            start, end = ending(row.line)
            if row.end is None or start == end or start < len(point.begun):
                continue
            # As it was before the first character of its last unit. Those that end well by
            # themselves are led like the others: otherwise they would count more than their share.
            memory, running = snapshots[start - len(point.begun)]
            streams.append((memory, next(k for k, other in enumerate(running) if other is row)))
            row.take_back(start, len(point.begun))
            led.append(row)
        if led:
            state = self._sampler.network.gather(streams)
            spelling = Spelling(endings, self._sampler.vocabulary.characters)
            self._run(point, led, state, decoding, spelling=spelling)
        return rows

    def _run(
        self,
        point: Point,
        rows: list[Row],
        state: Standing,
        decoding: Decoding,
        *,
        snapshots: list[_Snapshot] | None = None,
        spelling: Spelling | None = None,
        longest: int = _LONGEST,
    ) -> None:
        """Continue every row until it ends, or until no character is left that may follow.

        Args:
            point: where the line stands.
            rows: the candidates.
            state: where the model stands in each.
            decoding: how each character is drawn.
            snapshots: collects what the model remembers before every character, and for which rows.
            spelling: leads the last units to the endings that are allowed.
            longest: more characters than this are not written.
        """
        network = self._sampler.network
        drawer = Drawer(decoding, network.vocabulary_size, len(rows))
        asked = max(self._decoding.temperature, COLDEST)
        warm = max(decoding.temperature, COLDEST)
        running = list(rows)
        best = -np.inf
        while running:
            if snapshots is not None:
                snapshots.append((state.remember(), running))
            offered, left = self._steered(point, running, state.logits, spelling)
            before, after = _log_sum(offered, warm), _log_sum(left, warm)
            alive = np.flatnonzero(after > -np.inf)
            if not len(alive):
                return
            drawn = drawer.all(left[alive], self._generator.random(len(alive)))
            log_shares = after[alive] - before[alive]
            logits = offered[alive, drawn].astype(np.float64)
            log_probabilities = logits / asked - _log_sum(offered[alive], asked)
            log_ratios = log_probabilities - (logits / warm - before[alive])
            going_on = []
            for k, (stream, character) in enumerate(
                zip(alive.tolist(), drawn.tolist(), strict=True)
            ):
                row = running[stream]
                row.log_shares.append(float(log_shares[k]))
                row.log_probabilities.append(float(log_probabilities[k]))
                row.log_ratios.append(float(log_ratios[k]))
                self._append(row, self._names[character])
                kept = sum(row.log_shares)
                if row.end is not None:
                    best = max(best, kept)
                elif len(row.log_shares) < longest and kept > best - _HOPELESS:
                    going_on.append((stream, character))
            if not going_on:
                return
            streams, characters = zip(*going_on, strict=True)
            running = [running[stream] for stream in streams]
            if len(running) < len(state.logits):
                state = state.take(streams)
            network.step(state, np.array(characters))

    def _steered(
        self, point: Point, rows: list[Row], expected: Array, spelling: Spelling | None
    ) -> tuple[Array, Array]:
        """Return ``[N, V]`` logits as the processors leave them, and as the form leaves those."""
        offered = expected.copy()
        offered[:, UNKNOWN] = -np.inf
        if len(marks := self._sampler.vocabulary.marks):
            offered[:, marks] = -np.inf  # a song that is written to a form is as long as that
        for row, logits in zip(rows, offered, strict=True):
            self._process(point, row, logits)
        left = offered.copy()
        for row, logits in zip(rows, left, strict=True):
            self._rule_out(point, row, logits, spelling)
        return offered, left

    def _append(self, row: Row, character: str) -> None:
        if character not in self.breaks:
            row.line += character
        elif character.isspace():
            row.end = character
        else:  # a mark is part of its line
            row.line += character
            row.end = ""

    def _process(self, point: Point, row: Row, logits: Array) -> None:
        """Let the processors change logits in place.

        Where a mark ends a line, they are asked about the line break after it too: it is always
        shown, and may be read.
        """
        new = row.line[len(point.begun) :]
        self._ask(point, new, logits)
        if not self.newline:
            return
        for mark, mark_id in zip(self.breaks, self._break_ids, strict=True):
            if mark.isspace() or logits[mark_id] == -np.inf:
                continue
            after = np.zeros_like(logits)
            self._ask(point, new + mark, after)
            if after[self.newline] == -np.inf:
                logits[mark_id] = -np.inf

    def _ask(self, point: Point, new: str, logits: Array) -> None:
        for process in self._processors:
            process(point.shown + new, logits)
        for process in self._read_processors:
            process(point.read + new, logits)

    def _rule_out(self, point: Point, row: Row, logits: Array, spelling: Spelling | None) -> None:
        """Rule out, in place, what the form does not let follow."""
        so_far = LineSoFar(point.lines, row.line, row.chance, point.after)
        closed = not any(closer in self._inside for closer in _unclosed(row.line, _IN_A_LINE))
        begun = any(map(counts, row.line))
        may_end = begun and closed and all(c.may_end(so_far) for c in self._constraints)
        must_end = any(c.must_end(so_far) for c in self._constraints)
        allowed = [
            characters for c in self._constraints if (characters := c.allowed(so_far)) is not None
        ]
        completing = self._completing(row.line, allowed) if must_end else ""
        if spelling is not None:
            letters, complete = spelling.next(row.line[row.unit :])
            allowed.append(letters)
            may_end = may_end and complete
            must_end = must_end or not letters
        inside = (self._inside if row.line else self._first, *allowed)
        if must_end:
            inside = (_closing(row.line, self._marks) + completing,)
        kept = self._ids_of(inside)
        if may_end:
            kept = np.concatenate((kept, self._break_ids))
        values = logits[kept]
        logits.fill(-np.inf)
        logits[kept] = values
        row.barred = bool(len(kept)) and values.max() == -np.inf

    def _completing(self, line: str, allowed: Sequence[str]) -> str:
        """Return what may still follow as a part of the last letter of a line that is full."""
        letter = last_letter(line)
        parts = joining(letter, self._inside) if counts(letter) else ""
        return "".join(c for c in parts if all(c in characters for characters in allowed))

    def _ids_of(self, characters: tuple[str, ...]) -> NDArray[np.intp]:
        """Return the ids of the characters that several strings have in common."""
        if characters not in self._ids:
            shared = set(characters[0]).intersection(*characters[1:])
            self._ids[characters] = _ids(self._sampler.vocabulary, sorted(shared))
        return self._ids[characters]


def _log_sum(logits: Array, temperature: float) -> NDArray[np.float64]:
    """Return ``[N]``, the logarithms of the sums of ``exp(logits / temperature)``."""
    highest = logits.max(axis=1, keepdims=True)
    reference = np.where(highest > -np.inf, highest, 0.0)
    with np.errstate(divide="ignore"):
        summed = np.log(np.exp((logits - reference) / np.float32(temperature)).sum(axis=1))
    return np.asarray(summed + reference[:, 0] / temperature, dtype=np.float64)


def _is_mark(character: str) -> bool:
    """Return whether a character may end a sentence or a clause; quotes and apostrophes do not."""
    return unicodedata.category(character) == "Po" and character not in "\"'"


def _closing(line: str, marks: str) -> str:
    """Return what may follow the last word of `line`: one of `marks`, and what closes a pair."""
    tail = line[max((index + 1 for index, c in enumerate(line) if counts(c)), default=0) :]
    closing = "" if any(map(_is_mark, tail)) else marks
    if line.count('"') % 2:
        closing += '"'
    return closing + _unclosed(line, "".join(_PAIRS))


def _unclosed(line: str, closers: str) -> str:
    """Return those of some closing brackets that `line` still needs."""
    return "".join(c for c in closers if line.count(_PAIRS[c]) > line.count(c))


def _ids(vocabulary: Vocabulary, characters: Sequence[str]) -> NDArray[np.intp]:
    ids = vocabulary.encode("".join(characters)).astype(np.intp)
    known: NDArray[np.intp] = ids[ids != UNKNOWN]
    return known
