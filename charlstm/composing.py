"""Writing lines that meet a form.

Many candidates for a line are written side by side, from copies of one state. Where the form says
what may come next, the other characters are ruled out before one is drawn; where it says what a
line may end on, the candidates are taken back to where their last word began and led from there
to one that is allowed, letter by letter.

Each time characters are ruled out, a candidate keeps a share Z of the probability that the model
gave to all of them. A candidate x is thus drawn with probability p(x) / (Z_1 Z_2 ...), so choosing
among the candidates in proportion to the product of their Z is choosing as the model itself would
among lines that fit (sampling importance resampling, Rubin 1987): a line that goes to its rhyme
willingly beats one that is led there against the model's will. Exactly so where the line's end is
not itself a choice; and of lines that fit alike the likelier one is favoured, see `_LIKELIER`.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from charlstm.constraints import Constraint, Draft, counts, line_ends
from charlstm.decoding import Decoding, Drawer, Processor
from charlstm.errors import FormError, RecipeError
from charlstm.network import Array, Memory, State
from charlstm.rhyme import ending
from charlstm.sampling import Sampler
from charlstm.vocabulary import UNKNOWN, Vocabulary

# How many candidates are written side by side for a line; where none fits, more.
_CANDIDATES = (32, 64, 128)
# How often a line that cannot be followed is written anew before giving up.
_RETURNS = 3
# A line that grows longer than this will not end by itself, and one that has kept so much less of
# the probability than a finished one (a logarithm) would not be chosen.
_LONGEST = 150
_HOPELESS = 10.0
# Of lines that fit alike the likelier one is taken more often, by this power of the probability of
# a character: it is a small model's worst lines that a reader remembers.
_LIKELIER = 4.0
# The shares are those of this temperature at least: at zero every share would be zero or one.
_WARM = 0.1
# So many marks may stand between a line's last word and its end: 」！ and one more.
_CLOSING = 3


@dataclass(frozen=True)
class Place:
    """Where a text stands between two lines; to go back is to use an earlier one again.

    Attributes:
        lines: the finished lines of the form.
        begun: what the next line begins with already.
        state: of one stream; never stepped on, only copied.
        read: all that the model has read, the context before the lines included.
        shown: the same as a person sees it, each line on its own.
    """

    lines: tuple[str, ...]
    begun: str
    state: State
    read: str
    shown: str


@dataclass(frozen=True)
class Candidate:
    """A line that fits.

    Attributes:
        line: without its line break.
        weight: the logarithm of the share of probability that was left to it; see above.
        likelihood: the logarithm of the probability that the model gave to a character of it, in
            the mean, at the temperature of the decoding.
        end: what the model read at its end: a line break, or nothing where a mark of the line's
            own ends it.
    """

    line: str
    weight: float
    likelihood: float
    end: str


@dataclass
class _Row:
    """A candidate being written.

    Attributes:
        line: so far.
        chance: see `Draft`.
        weights: the logarithm of the share kept, for each character drawn.
        likelihoods: the logarithm of its probability before anything was ruled out, for each.
        unit: where the last unit begins, once the line is being led to an ending.
        end: see `Candidate`; ``None`` while it is unfinished.
    """

    line: str
    chance: float
    weights: list[float] = field(default_factory=list)
    likelihoods: list[float] = field(default_factory=list)
    unit: int | None = None
    end: str | None = None


class Composer:
    """Writes lines that meet constraints.

    Args:
        sampler: the model.
        constraints: what each line must meet.
        decoding: how each character is drawn.
        processors: what else may change the logits; see `charlstm.decoding`.
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
        generator: np.random.Generator | None = None,
    ) -> None:
        self._sampler = sampler
        self._constraints = tuple(constraints)
        self._decoding = decoding or Decoding()
        vocabulary = sampler.vocabulary
        self._processors = (*self._decoding.processors(vocabulary), *processors)
        self._generator = generator or np.random.default_rng()
        self._names = ["\ufffd", *vocabulary.characters]
        self._breaks = line_ends(vocabulary)
        if not self._breaks:
            raise RecipeError(
                "The model knows neither line breaks nor spaces, so none of its lines could end."
            )
        self._break_ids = _ids(vocabulary, self._breaks)
        self._break_id = int(vocabulary.encode("\n")[0])  # 0 where there is none
        inside = [c for c in vocabulary.characters if c not in (*self._breaks, "\n")]
        self._inside_ids = _ids(vocabulary, inside)
        self._first_ids = _ids(vocabulary, [c for c in inside if not c.isspace()])
        self._closing_ids = _ids(vocabulary, [c for c in inside if _closes(c)])
        self._allowed_ids: dict[str, NDArray[np.intp]] = {}

    def start(self, prefix: str = "", unknown: str = "error") -> Place:
        """Return the place behind `prefix`, whose last line may be the beginning of the first.

        Raises:
            UnknownCharactersError: see `Sampler.stream`.
        """
        read = self._sampler.readable(prefix, unknown)
        state = self._sampler.read(prefix, unknown)
        text = self._sampler.text.apply(prefix)
        begun = max(text.rfind(mark) for mark in ("\n", *self._breaks)) + 1
        return Place((), text[begun:], state, read, prefix)

    def after(self, place: Place, line: str, end: str | None = None) -> Place:
        """Return the place behind one more line, which may hold any characters.

        What the model has never seen it reads as the nearest that it knows, or as ``<unk>``.

        Args:
            place: where the text stands.
            line: all of the line, with what was begun.
            end: what the model reads behind it, see `Candidate`; what usually ends a line where
                ``None``.
        """
        sampler = self._sampler
        if end is None:
            end = "" if line.endswith(tuple(self._breaks)) else self._breaks[:1]
        rest = sampler.readable(line[len(place.begun) :], "map") + end
        state = place.state.copy()
        sampler.network.read(state, sampler.vocabulary.encode(rest))
        likeliest = int(state.logits[0, 1:].argmax()) + 1
        if end != "\n" and likeliest == self._break_id:
            # With the line of verse the line of text may end too.
            sampler.network.step(state, likeliest)
            rest += "\n"
        shown = place.shown + line[len(place.begun) :] + "\n"
        return Place((*place.lines, line), "", state, place.read + rest, shown)

    def stanza(self, place: Place) -> Place:
        """Return the place behind an empty line, where the form begins again."""
        state = place.state.copy()
        gap = "\n" if self._break_id else ""
        self._sampler.network.read(state, self._sampler.vocabulary.encode(gap))
        return Place((), "", state, place.read + gap, place.shown + "\n")

    def candidates(self, place: Place, wanted: int = 1) -> list[Candidate]:
        """Return different lines that may come next, in no order.

        Args:
            place: where the text stands.
            wanted: more are looked for until there are so many, in a bounded number of tries.

        Raises:
            FormError: no line was found, in a bounded number of tries; says which wish stood in
                the way, and which line came nearest.
        """
        found: dict[str, Candidate] = {}
        missed: list[_Row] = []
        for many in _CANDIDATES:
            for row in self._write_many(place, many):
                if row.end is None or not self._fits(place, row):
                    missed.append(row)
                    continue
                one = _candidate(row)
                if one.line in found:  # drawn twice, it counts twice
                    weight = float(np.logaddexp(one.weight, found[one.line].weight))
                    one = replace(one, weight=weight)
                found[one.line] = one
            # A line that stands there already is no new one, unless nothing else is found.
            new = [one for one in found.values() if one.line not in place.lines]
            if len(new) >= wanted:
                return new
        if not found:
            raise self._none_found(place, missed)
        return new or list(found.values())

    def choose(self, candidates: Sequence[Candidate], count: int = 1) -> list[Candidate]:
        """Draw so many different candidates: as the model would among lines that fit, but surer."""
        weights = np.array([one.weight + _LIKELIER * one.likelihood for one in candidates])
        if self._decoding.temperature >= _WARM:
            # The highest of logarithms with this noise added are a draw without replacement in
            # proportion to what they are logarithms of (Gumbel 1954).
            weights = weights + self._generator.gumbel(size=len(weights))
        return [candidates[place] for place in np.argsort(-weights, kind="stable")[:count]]

    def write(self, prefix: str = "", *, lines: int, unknown: str = "error") -> str:
        """Return `prefix` and so many lines; see `compose`."""
        shown = self.compose(prefix, lines=lines, unknown=unknown).shown
        return shown.removesuffix("\n") if lines else shown

    def compose(self, prefix: str = "", *, lines: int, unknown: str = "error") -> Place:
        """Return the place behind `prefix` and so many lines, the one that it begins among them.

        Raises:
            UnknownCharactersError: see `Sampler.stream`.
            FormError: see `candidates`.
        """
        places = [self.start(prefix, unknown)]
        returns = _RETURNS
        while len(places) <= lines:
            try:
                (chosen,) = self.choose(self.candidates(places[-1]))
            except FormError:
                # Perhaps the line before leaves no way on, as one whose rhyme nobody answers.
                if len(places) == 1 or not returns:
                    raise
                returns -= 1
                places.pop()
            else:
                places.append(self.after(places[-1], chosen.line, chosen.end))
        return places[-1]

    def _fits(self, place: Place, row: _Row) -> bool:
        draft = self._draft(place, row)
        return all(constraint.fits(draft) for constraint in self._constraints)

    def _draft(self, place: Place, row: _Row) -> Draft:
        return Draft(place.lines, row.line, row.chance)

    def _write_many(self, place: Place, many: int) -> list[_Row]:
        """Write so many candidates; those that no character was left for are unfinished."""
        rows = [_Row(place.begun, chance) for chance in self._generator.random(many)]
        state = place.state.take([0] * many)
        endings = self._endings(Draft(place.lines, place.begun))
        if endings is None:
            self._run(place, rows, state)
            return rows
        snapshots: list[_Snapshot] = []
        self._run(place, rows, state, snapshots=snapshots)
        led, streams = [], []
        for row in rows:
            start, end = ending(row.line)
            if row.end is None or start == end or start < len(place.begun):
                continue
            # As it stood before the first character of its last unit. Those that end well by
            # themselves are led like the others: else they would count more than their share.
            memory, running = snapshots[start - len(place.begun)]
            streams.append((memory, next(k for k, r in enumerate(running) if r is row)))
            row.line, row.unit, row.end = row.line[:start], start, None
            del row.weights[start - len(place.begun) :]
            del row.likelihoods[start - len(place.begun) :]
            led.append(row)
        if led:
            state = self._sampler.network.recall(_gathered(streams))
            spelling = _Spelling(endings, self._sampler.vocabulary)
            self._run(place, led, state, spelling=spelling)
        return rows

    def _endings(self, draft: Draft) -> frozenset[str] | None:
        asked = [constraint.endings(draft) for constraint in self._constraints]
        wanted = [endings for endings in asked if endings is not None]
        return frozenset.intersection(*wanted) if wanted else None

    def _run(
        self,
        place: Place,
        rows: list[_Row],
        state: State,
        *,
        snapshots: "list[_Snapshot] | None" = None,
        spelling: "_Spelling | None" = None,
    ) -> None:
        """Write on every row until it ends, or until nothing is left that could follow.

        Args:
            place: where the line stands.
            rows: the candidates.
            state: where the model stands in each.
            snapshots: takes what the model remembers before every character, and of whom.
            spelling: leads the last units to the endings that are allowed.
        """
        network = self._sampler.network
        drawer = Drawer(self._decoding, network.vocabulary_size, len(rows))
        running = list(rows)
        best = -np.inf
        while running:
            if snapshots is not None:
                snapshots.append((state.remember(), running))
            logits = state.logits.copy()
            logits[:, UNKNOWN] = -np.inf
            for row, of_row in zip(running, logits, strict=True):
                self._process(place, row, of_row)
            free = logits / np.float32(max(self._decoding.temperature, _WARM))
            before = self._mass(logits)
            for row, of_row in zip(running, logits, strict=True):
                self._rule_out(place, row, of_row, spelling)
            kept = self._mass(logits)
            alive = np.flatnonzero(kept > -np.inf)
            if not len(alive):
                return
            uniforms = self._generator.random(len(alive))
            drawn = drawer.all(logits[alive], uniforms)
            still = []
            for stream, character in zip(alive.tolist(), drawn.tolist(), strict=True):
                row = running[stream]
                row.weights.append(float(kept[stream] - before[stream]))
                row.likelihoods.append(float(free[stream, character] - before[stream]))
                self._append(row, self._names[character])
                weight = sum(row.weights)
                if row.end is not None:
                    best = max(best, weight)
                elif len(row.weights) < _LONGEST and weight > best - _HOPELESS:
                    still.append((stream, character))
            if not still:
                return
            streams, characters = zip(*still, strict=True)
            running = [running[stream] for stream in streams]
            if len(running) < len(state.logits):
                state = state.take(streams)
            network.step(state, np.array(characters))

    def _append(self, row: _Row, character: str) -> None:
        if character not in self._breaks:
            row.line += character
        elif character.isspace():
            row.end = character
        else:  # a mark is part of its line
            row.line += character
            row.end = ""

    def _mass(self, logits: Array) -> NDArray[np.float64]:
        """Return the logarithm of the probability, not normalised, that ``[N, V]`` logits hold."""
        temperature = max(self._decoding.temperature, _WARM)
        highest = logits.max(axis=1, keepdims=True)
        reference = np.where(highest > -np.inf, highest, 0.0)
        with np.errstate(divide="ignore"):
            summed = np.log(np.exp((logits - reference) / np.float32(temperature)).sum(axis=1))
        return np.asarray(summed + reference[:, 0] / temperature, dtype=np.float64)

    def _process(self, place: Place, row: _Row, logits: Array) -> None:
        """Let the processors change logits in place.

        They are told the text as a person sees it, and what they promise holds for that one: so
        where a mark ends a line, they are asked about the line break that is shown behind it too.
        """
        written = place.shown + row.line[len(place.begun) :]
        for process in self._processors:
            process(written, logits)
        if not self._break_id:
            return
        for mark, mark_id in zip(self._breaks, self._break_ids, strict=True):
            if mark.isspace() or logits[mark_id] == -np.inf:
                continue
            behind = np.zeros_like(logits)
            for process in self._processors:
                process(written + mark, behind)
            if behind[self._break_id] == -np.inf:
                logits[mark_id] = -np.inf

    def _rule_out(
        self, place: Place, row: _Row, logits: Array, spelling: "_Spelling | None"
    ) -> None:
        """Rule out, in place, what the form does not let follow."""
        draft = self._draft(place, row)
        may_end = _counts_any(row.line) and all(c.may_end(draft) for c in self._constraints)
        must_end = any(c.must_end(draft) for c in self._constraints)
        allowed = [one for c in self._constraints if (one := c.allowed(draft)) is not None]
        if spelling is not None:
            letters, complete = spelling.next(row.line[row.unit :])
            allowed.append(letters)
            may_end = may_end and complete
            must_end = must_end or not letters
        keep = []
        if may_end:
            keep.append(self._break_ids)
        if must_end:
            if any(map(counts, row.line[-_CLOSING:])):
                keep.append(self._closing_ids)
        elif allowed:
            shared = set(allowed[0]).intersection(*allowed[1:])
            keep.append(self._ids_of("".join(sorted(shared))))
        else:
            keep.append(self._inside_ids if row.line else self._first_ids)
        kept = np.concatenate(keep) if keep else np.empty(0, dtype=np.intp)
        values = logits[kept]
        logits.fill(-np.inf)
        logits[kept] = values

    def _ids_of(self, characters: str) -> NDArray[np.intp]:
        if characters not in self._allowed_ids:
            self._allowed_ids[characters] = _ids(self._sampler.vocabulary, characters)
        return self._allowed_ids[characters]

    def _none_found(self, place: Place, missed: list[_Row]) -> FormError:
        """Say which wish stood in the way, and which line came nearest."""

        def unmet(row: _Row) -> list[Constraint]:
            draft = self._draft(place, row)
            return [c for c in self._constraints if not c.fits(draft)]

        whole = [row for row in missed if row.end is not None]
        draft = Draft(place.lines, place.begun)
        asked = [c.wish for c in self._constraints if c.allowed(draft) is not None]
        if len(asked) > 1 and all(row.line == place.begun for row in missed):
            return FormError(
                f"No line {len(place.lines) + 1} can begin as {' and '.join(asked)} ask together. "
                "Ask for less."
            )
        nearest = min(
            whole or missed, key=lambda row: (len(unmet(row)), -sum(row.weights)), default=None
        )
        blamed = Counter(c.wish for row in whole or missed for c in unmet(row)).most_common(1)
        wish = blamed[0][0] if blamed else "what may follow"
        shown = f"The nearest was: {nearest.line}" if nearest and nearest.line else "None came near"
        return FormError(
            f"No line {len(place.lines) + 1} was found that meets {wish}, in {len(missed):,} "
            f"tries. {shown}. Ask for less, or try again, perhaps with a higher temperature."
        )


def _candidate(row: _Row) -> Candidate:
    assert row.end is not None
    likelihood = sum(row.likelihoods) / max(len(row.likelihoods), 1)
    return Candidate(row.line, sum(row.weights), likelihood, row.end)


_Snapshot = tuple[list[Memory], list[_Row]]


def _gathered(streams: Sequence[tuple[list[Memory], int]]) -> list[Memory]:
    """Return the memory of streams that come from different moments, side by side."""
    layers = range(len(streams[0][0]))
    return [
        Memory(
            np.stack([memory[layer].h_and_one[stream] for memory, stream in streams]),
            np.stack([memory[layer].c[stream] for memory, stream in streams]),
        )
        for layer in layers
    ]


class _Spelling:
    """Which letters lead on from the beginning of a unit to one of the allowed endings."""

    def __init__(self, endings: frozenset[str], vocabulary: Vocabulary) -> None:
        self._endings = endings
        self._vocabulary = vocabulary
        self._next: dict[str, set[str]] = {}
        for unit in endings:
            for length in range(len(unit)):
                self._next.setdefault(unit[:length], set()).add(unit[length])

    def next(self, begun: str) -> tuple[str, bool]:
        """Return the letters that may come next, and whether an ending is complete.

        What follows a complete ending, punctuation, leads nowhere and leaves it complete.
        """
        plain = begun.casefold().replace("’", "'")
        while plain and not counts(plain[-1]) and not self._leads(plain):
            plain = plain[:-1]
        punctuated = len(plain) < len(begun)
        letters = set() if punctuated else self._next.get(plain, set())
        spelled = {self._spelled(letter) for letter in letters}
        if not begun:  # a word may begin with a capital letter
            spelled |= {letter.upper() for letter in letters}
        return "".join(sorted(spelled)), plain in self._endings

    def _spelled(self, letter: str) -> str:
        """Return a letter as the model knows it: some know capitals or curly apostrophes alone."""
        if letter in self._vocabulary:
            return letter
        return "’" if letter == "'" else letter.upper()

    def _leads(self, unit: str) -> bool:
        return unit in self._next or unit in self._endings


def _closes(character: str) -> bool:
    """Return whether a character may stand between the last word of a line and its end."""
    return unicodedata.category(character) in ("Po", "Pe", "Pf")


def _counts_any(line: str) -> bool:
    return any(map(counts, line))


def _ids(vocabulary: Vocabulary, characters: Sequence[str]) -> NDArray[np.intp]:
    found = vocabulary.encode("".join(characters)).astype(np.intp)
    known: NDArray[np.intp] = found[found != UNKNOWN]
    return known
