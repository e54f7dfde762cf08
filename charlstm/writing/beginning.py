"""What a model reads before a text, and how it reads a text bit by bit."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.model.cells import Array
from charlstm.model.reader import Reader, Standing
from charlstm.text.labels import Label
from charlstm.text.songs import END, Songs
from charlstm.text.vocabulary import Vocabulary

# Whether a prefix begins a song or a line, so much of it decides.
_DECIDES = 200
# So many characters are read without a pause.
_AT_ONCE = 4096


class Model(Protocol):
    """What reads: a `charlstm.writing.sampler.Sampler`, whose attributes these are."""

    @property
    def network(self) -> Reader:
        """See there, as for the next three."""

    @property
    def vocabulary(self) -> Vocabulary:
        """See there."""

    @property
    def songs(self) -> Songs | None:
        """See there."""

    @property
    def label(self) -> Label:
        """See there."""


def read_on(
    model: Model,
    text: str,
    *,
    line: bool = False,
    at_once: int = _AT_ONCE,
    hear: Callable[[int, Array], object] | None = None,
) -> Iterator[Standing | None]:
    """Read a text bit by bit, so that other things can be done in between.

    Args:
        model: what reads.
        text: as it reads it.
        line: see `charlstm.writing.sampler.Sampler.read`.
        at_once: how many characters are a bit.
        hear: called before each character of the text with its id and the ``[V]`` logits of what
            was expected in its place, at temperature 1.

    Yields:
        Where the model stands after all of it, once it does; ``None`` before.
    """
    network, vocabulary = model.network, model.vocabulary
    marks = marks_before(model, text, line=line)
    if len(marks) > 1:
        likelihoods = []
        for mark in marks:
            state = network.start()
            network.read(state, vocabulary.encode(mark))
            likely = 0.0
            for start in range(0, min(len(text), _DECIDES), at_once):
                bit = text[start : min(start + at_once, _DECIDES)]
                likely += float(advance(model, bit, state).sum())
                yield None
            likelihoods.append(likely)
        marks = [marks[likelihoods.index(max(likelihoods))]]
    state = network.start()
    network.read(state, vocabulary.encode("".join(marks)))
    ids = vocabulary.encode(text)
    for start in range(0, len(ids), at_once):
        if start:
            yield None
        part = ids[start : start + at_once]
        if hear is None:
            network.read(state, part)
            continue
        for character in part.tolist():
            hear(character, network.logits(state)[0])
            network.step(state, character)
    yield state


def marks_before(model: Model, text: str, *, line: bool = False) -> list[str]:
    """Return what a model may read before a text, of which the likeliest is taken.

    Few songs begin in the middle, so a text may be the beginning of a song or of a line.
    """
    symbols = model.vocabulary.labels.symbols(model.label)
    song = END + symbols
    marks = ["\n"] if "\n" in model.vocabulary else []
    if symbols:  # a line has the label of its song
        marks = [song + mark for mark in marks]
    if model.songs is not None and not (line and marks and not text):
        marks.insert(0, song)
    return marks if text else marks[:1]


def advance(model: Model, text: str, state: Standing) -> NDArray[np.float64]:
    """Read a text in the only stream; return how likely each character was, ``[len(text)]``."""
    log_probabilities = np.empty(len(text))
    for place, character in enumerate(model.vocabulary.encode(text)):
        logits = model.network.logits(state)[0].astype(np.float64)
        highest = logits.max()
        log_sum = highest + np.log(np.exp(logits - highest).sum())
        log_probabilities[place] = logits[character] - log_sum
        model.network.step(state, int(character))
    return log_probabilities
