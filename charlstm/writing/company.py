"""Texts that are written together, though they were asked for at different times.

What a model remembers of a text takes some kilobytes, and a step of many texts far less time than
one of each. So texts join between two characters and leave between two characters, and what one of
them says does not depend on the others, bit for bit: each row of a product is multiplied by itself
(see `charlstm.model.network.Network.apart`), there are never fewer than two rows, and each text
draws from a generator of its own.
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CharLSTMError
from charlstm.model.cells import Array
from charlstm.model.reader import Reader, Standing
from charlstm.text.vocabulary import UNKNOWN
from charlstm.writing.beginning import marks_before, read_on
from charlstm.writing.decoding import Decoding
from charlstm.writing.drawer import Drawer, check_left, uniforms
from charlstm.writing.sampler import Sampler
from charlstm.writing.task import Task

MOST = 256
"""So many texts are written at once; those that come then wait until others have ended."""

# Of what a new text begins with, so many characters are read at once, and between two characters
# of the others so many seconds long: nobody waits for somebody who has brought a book.
_READ_AT_ONCE = 16
_READING_SECONDS = 0.004
# A row whose text has ended is computed on until there are so many of them among all.
_IDLE = 0.25


@dataclass(frozen=True)
class Drawn:
    """A character that was drawn, and how likely the model found it: at temperature 1.

    Attributes:
        character: as it is written; the mark between songs is one too.
        log_probability: in nats, before anything was ruled out.
        likeliest: the likeliest characters in its place with theirs, the likeliest first.
    """

    character: str
    log_probability: float
    likeliest: tuple[tuple[str, float], ...]


class Text:
    """A text on its way; made by `Company.join`.

    Args:
        task: what is to be written.
        number: of the text among those of its task.
        likeliest: how many of the likeliest characters are told with each; ``None`` tells nothing.

    Attributes:
        new: what was written after the prefix, as far as it is certain.
        seen: the prefix, and all that was drawn: what a processor sees.
        drawn: each character that was drawn, if that is told; there may be more than in `new`.
        read: each character of the prefix as the model read it, if that is told.
        reason: why it has ended: ``"song"``, ``"stop"``, ``"length"``, or ``"left"`` where nobody
            waits for it any more; ``None`` while it has not.
        error: why it cannot go on.
    """

    def __init__(self, task: Task, number: int, likeliest: int | None) -> None:
        self.task = task
        self.likeliest = likeliest
        self.new = ""
        self.drawn: list[Drawn] = []
        self.read: list[Drawn] = []
        self.reason: str | None = None
        self.error: CharLSTMError | None = None
        self.generator = task.generator(number)
        self.seen = task.prefix.normalised
        self._end = task.end()
        self._left = task.characters
        self._uniforms = uniforms([self.generator])

    @property
    def written(self) -> str:
        """The prefix as the model knows it, and what was written after it."""
        return self.task.prefix.normalised + self.new

    @property
    def is_over(self) -> bool:
        """Whether nothing follows any more."""
        return self.reason is not None or self.error is not None

    def leave(self) -> None:
        """Do not go on with it: nobody waits any more."""
        if not self.is_over:
            self.reason = "left"

    def uniform(self) -> float:
        """Return the next number to draw by."""
        return float(next(self._uniforms)[0])

    def push(self, character: str) -> None:
        """Go on by a character."""
        self.seen += character
        self._left -= 1
        end = self._end
        self.new += character if end is None else end.push(character)
        if end is not None and end.reached:
            self.reason = "song" if end.song else "length" if end.is_full else "stop"
        elif not self._left:
            self.new += "" if end is None else end.rest()
            self.reason = "length"


@dataclass
class _Arriving:
    """Texts of one task, whose prefix is being read.

    Attributes:
        texts: themselves.
        reading: see `charlstm.writing.beginning.read_on`.
        begins: whether there is anything to read, if only a line's beginning.
    """

    texts: list[Text]
    reading: Iterator[Standing | None]
    begins: bool


class Company:
    """Texts of one model that are written together.

    Args:
        sampler: the model.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._apart = sampler.network.apart()
        self._names = np.array(["\ufffd", *sampler.vocabulary.characters], dtype=object)
        self._arriving: deque[_Arriving] = deque()
        self._read: list[tuple[Text, Any]] = []
        self._rows: list[Text] = []
        self._state: Standing | None = None
        self._reader: Reader = self._apart
        self._drawers: list[tuple[Drawer, NDArray[np.intp]]] = []

    @property
    def texts(self) -> list[Text]:
        """All that are under way."""
        arriving = [text for group in self._arriving for text in group.texts]
        every = [*arriving, *(text for text, _ in self._read), *self._rows]
        return [text for text in every if not text.is_over]

    def __len__(self) -> int:
        """Return how many texts are under way."""
        return len(self.texts)

    def join(
        self,
        task: Task,
        samples: int = 1,
        *,
        likeliest: int | None = None,
        told_prefix: bool = False,
    ) -> list[Text]:
        """Begin with texts after one prefix, each with the seed of its number added.

        Args:
            task: of this company's sampler, or of one that differs in its label alone.
            samples: how many.
            likeliest: see `Text`.
            told_prefix: whether also the characters of the prefix are told.
        """
        texts = [Text(task, number, likeliest) for number in range(samples)]
        sampler, hear = self._sampler.labelled(task.label), None
        if told_prefix and likeliest is not None:
            read: list[Drawn] = []
            for text in texts:
                text.read = read

            def hear(character: int, logits: Array) -> None:
                read.append(self._told(character, _log_probabilities(logits[None])[0], likeliest))

        elif not task.characters:
            for text in texts:
                text.reason = "length"
            return texts
        reading = read_on(sampler, task.prefix.read, at_once=_READ_AT_ONCE, hear=hear)
        begins = bool(task.prefix.read or marks_before(sampler, ""))
        self._arriving.append(_Arriving(texts, reading, begins))
        return texts

    def advance(self) -> list[Text]:
        """Read on in what new texts begin with, and write the next character of all others.

        Returns:
            Those that have grown, or cannot go on.
        """
        changed = self._read_on()
        room = len(self._rows) - sum(text.is_over for text in self._rows) < MOST
        if (self._read and room) or self._many_idle():
            self._gather()
        return changed + (self._write_on() if self._state is not None else [])

    def _read_on(self) -> list[Text]:
        """Read for a moment; return those that are over with it."""
        changed: list[Text] = []
        until = time.perf_counter() + _READING_SECONDS
        while self._arriving:
            group = self._arriving.popleft()
            group.texts = [text for text in group.texts if not text.is_over]
            if not group.texts:
                continue
            state = next(group.reading)
            if state is None:
                self._arriving.append(group)  # the others come first
            elif not group.texts[0].task.characters:  # it was to be read, and that is all
                for text in group.texts:
                    text.reason = "length"
                changed += group.texts
            elif group.begins:
                memory = state.remember()
                self._read += [(text, memory) for text in group.texts]
            else:
                for text in group.texts:
                    self._begin(text)
                changed += group.texts
            if time.perf_counter() > until:
                break
        return changed

    def _begin(self, text: Text) -> None:
        """Draw the first character of a text that goes on from nothing."""
        network = self._sampler.network
        try:
            first = text.task.first(text.generator)
        except CharLSTMError as error:
            text.error = error
            return
        state = network.start()
        network.step(state, first)
        if text.likeliest is not None:
            likely = _log_probabilities(text.task.beginnings[None])[0]
            text.drawn.append(self._told(first, likely, text.likeliest))
        text.push(self._names[first])
        self._read.append((text, state.remember()))

    def _many_idle(self) -> bool:
        idle = sum(text.is_over for text in self._rows)
        return bool(idle) and idle >= _IDLE * len(self._rows)

    def _gather(self) -> None:
        """Put those that go on and those that were read side by side."""
        streams: list[tuple[Any, int]] = []
        rows: list[Text] = []
        if self._state is not None:
            memory = self._state.remember()
            for row, text in enumerate(self._rows):
                if not text.is_over:
                    rows.append(text)
                    streams.append((memory, row))
        room = max(MOST - len(rows), 0)
        for text, begun in self._read[:room]:
            if not text.is_over:
                rows.append(text)
                streams.append((begun, 0))
        self._read = self._read[room:]
        self._rows = rows
        if not rows:
            self._state = None
            return
        # Two rows at least: a single one would be added up in another order.
        padded = [*rows, *rows[: max(2 - len(rows), 0)]]
        streams += streams[: max(2 - len(streams), 0)]
        temperatures = [text.task.decoding.temperature for text in padded]
        self._reader = self._apart.at(np.array(temperatures))
        self._state = self._reader.gather(streams)
        by_decoding: dict[Decoding, list[int]] = defaultdict(list)
        for row, text in enumerate(rows):
            by_decoding[text.task.decoding].append(row)
        V = self._apart.vocabulary_size
        self._drawers = [
            (Drawer(decoding, V, len(which)), np.array(which))
            for decoding, which in by_decoding.items()
        ]

    def _write_on(self) -> list[Text]:
        """Draw a character in each row, and read it."""
        assert self._state is not None
        logits, texts = self._state.logits, self._rows
        running = [row for row, text in enumerate(texts) if not text.is_over]
        if not running:
            self._state, self._rows = None, []
            return []
        plain = self._plain(running)
        for row in running:
            text = texts[row]
            for process in text.task.processors:
                process(text.seen, logits[row])
        failed = self._check(running)
        chosen = np.full(len(logits), UNKNOWN, dtype=np.intp)
        numbers = np.array([0.0 if text.is_over else text.uniform() for text in texts])
        for drawer, rows in self._drawers:
            chosen[rows] = drawer.all(logits[rows], numbers[rows])
        for row in running:
            text = texts[row]
            if text.is_over:
                continue
            character = self._names[chosen[row]]
            if row in plain:
                text.drawn.append(self._told(int(chosen[row]), plain[row], text.likeliest or 0))
            text.push(character)
        over = [row for row, text in enumerate(texts) if text.is_over]
        chosen[over] = UNKNOWN
        if len(over) < len(texts):
            if len(texts) < len(chosen):
                chosen[len(texts) :] = chosen[0]
            self._reader.step(self._state, chosen)
        return [texts[row] for row in sorted({*running, *failed})]

    def _plain(self, running: Sequence[int]) -> dict[int, NDArray[np.float64]]:
        """Return the logarithms of the probabilities in the rows that tell them, each ``[V]``."""
        rows = [row for row in running if self._rows[row].likeliest is not None]
        if not rows:
            return {}
        assert self._state is not None
        # Two at least, as elsewhere.
        taken = self._state.take(rows if len(rows) > 1 else rows * 2)
        return dict(zip(rows, _log_probabilities(self._apart.logits(taken)), strict=False))

    def _told(self, chosen: int, likely: NDArray[np.float64], many: int) -> Drawn:
        order = np.argsort(-likely, kind="stable")[:many]
        likeliest = tuple((str(self._names[each]), float(likely[each])) for each in order)
        return Drawn(str(self._names[chosen]), float(likely[chosen]), likeliest)

    def _check(self, running: Sequence[int]) -> list[int]:
        """End the texts in which nothing may follow; return their rows."""
        assert self._state is not None
        logits: Array = self._state.logits
        logits[:, UNKNOWN] = -np.inf
        failed = []
        for row, highest in zip(running, logits[running].max(axis=1), strict=True):
            try:
                check_left(highest)
            except CharLSTMError as error:
                self._rows[row].error = error
                failed.append(row)
        # What is drawn in their rows is not looked at, but something must be there to draw.
        over = [row for row, text in enumerate(self._rows) if text.is_over]
        logits[over] = 0.0
        return failed


def _log_probabilities(logits: Array) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities in each row, ``[N, V]``."""
    likely = logits.astype(np.float64)
    likely -= likely.max(axis=1, keepdims=True)
    likely -= np.log(np.exp(likely).sum(axis=1, keepdims=True))
    return likely
