"""What a model reads before a text, and how it reads a text bit by bit."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charlstm.model.network import Array
from charlstm.model.reader import Standing
from charlstm.text.songs import END

if TYPE_CHECKING:  # whose methods these are
    from charlstm.writing.sampler import Sampler

# Whether a prefix begins a song or a line, so much of it decides.
_DECIDES = 200
# So many characters are read without a pause.
_AT_ONCE = 4096


def read_on(
    sampler: "Sampler",
    text: str,
    *,
    line: bool = False,
    at_once: int = _AT_ONCE,
    hear: Callable[[int, Array], object] | None = None,
) -> Iterator[Standing | None]:
    """Read a text bit by bit, so that other things can be done in between.

    Args:
        sampler: the model.
        text: as it reads it.
        line: see `charlstm.writing.sampler.Sampler.read`.
        at_once: how many characters are a bit.
        hear: called before each character of the text with its id and the ``[V]`` logits of what
            was expected in its place, at temperature 1.

    Yields:
        Where the model stands after all of it, once it does; ``None`` before.
    """
    network, vocabulary = sampler.network, sampler.vocabulary
    marks = marks_before(sampler, text, line=line)
    if len(marks) > 1:
        likelihoods = []
        for mark in marks:
            state = network.start()
            network.read(state, vocabulary.encode(mark))
            likely = 0.0
            for start in range(0, min(len(text), _DECIDES), at_once):
                bit = text[start : min(start + at_once, _DECIDES)]
                likely += float(advance(sampler, bit, state).sum())
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


def marks_before(sampler: "Sampler", text: str, *, line: bool = False) -> list[str]:
    """Return what a model may read before a text, of which the likeliest is taken.

    Few songs begin in the middle, so a text may be the beginning of a song or of a line.
    """
    symbols = sampler.vocabulary.labels.symbols(sampler.label)
    song = END + symbols
    marks = ["\n"] if "\n" in sampler.vocabulary else []
    if symbols:  # a line has the label of its song
        marks = [song + mark for mark in marks]
    if sampler.songs is not None and not (line and marks and not text):
        marks.insert(0, song)
    return marks if text else marks[:1]


def advance(sampler: "Sampler", text: str, state: Standing) -> NDArray[np.float64]:
    """Read a text in the only stream; return how likely each character was, ``[len(text)]``."""
    log_probabilities = np.empty(len(text))
    for place, character in enumerate(sampler.vocabulary.encode(text)):
        logits = sampler.network.logits(state)[0].astype(np.float64)
        highest = logits.max()
        log_sum = highest + np.log(np.exp(logits - highest).sum())
        log_probabilities[place] = logits[character] - log_sum
        sampler.network.step(state, int(character))
    return log_probabilities
