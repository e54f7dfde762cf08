"""A text that is read again and again while somebody changes it: how surprising each part is."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.figures import bits
from charlstm.model.reader import Standing
from charlstm.text.letters import letters
from charlstm.text.songs import END
from charlstm.text.vocabulary import UNKNOWN
from charlstm.writing.sampler import Sampler

Real = NDArray[np.float64]


class Followed:
    """A text that changes a line at a time; what stands before the change is not read once more.

    Args:
        sampler: the model, with the label that the text has.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._lines: list[str] = []
        self._bits: list[Real] = []
        # Where the model stands before each of the lines, and after the last.
        self._states: list[Standing] = [sampler.read()]

    def surprisal(self, text: str) -> Real:
        """Return how surprising each character of a text is, in bits.

        Args:
            text: of which each line is read in the form of the training text. Where that has other
                characters than somebody wrote, as where marks are written apart from their
                letters, the bits of a letter are shared out evenly among its own.

        Returns:
            ``[len(text)]``: -log2 of the probability of each, at temperature 1.
        """
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        same = 0
        for one, other in zip(lines, self._lines, strict=False):
            if one != other:
                break
            same += 1
        del self._lines[same:], self._bits[same:], self._states[same + 1 :]
        for line in lines[same:]:
            self._read(line)
        return np.concatenate([*self._bits, np.empty(0)])

    def unknown(self, text: str) -> list[int]:
        """Return the places of the characters that the model has never seen."""
        vocabulary, plain = self._sampler.vocabulary, self._sampler.text
        marks = {END, *vocabulary.decode(vocabulary.marks)}
        unseen = {
            character
            for character in set(text)
            if character in marks or any(c not in vocabulary for c in plain.apply(character))
        }
        return [place for place, character in enumerate(text) if character in unseen]

    def _read(self, line: str) -> None:
        sampler, state = self._sampler, self._states[-1].copy()
        parts = [(line, line)]
        if sampler.text.apply(line) != line:
            parts = [(letter, sampler.text.apply(letter)) for letter in letters(line)]
        read = "".join(plain for _, plain in parts)
        ids = sampler.vocabulary.encode(read).astype(np.intp)
        ids[np.isin(ids, sampler.vocabulary.marks)] = UNKNOWN  # which no text of a person has
        each = self._step(state, ids)
        self._lines.append(line)
        self._bits.append(_shared(each, parts) if read != line else each)
        self._states.append(state)

    def _step(self, state: Standing, ids: NDArray[np.intp]) -> Real:
        """Read characters and return the bits of each; `state` advances."""
        network = self._sampler.network
        found = np.empty(len(ids))
        for place, character in enumerate(ids):
            logits = network.logits(state)[0].astype(np.float64)
            highest = logits.max()
            log_sum = highest + np.log(np.exp(logits - highest).sum())
            found[place] = bits(log_sum - logits[character])
            network.step(state, int(character))
        return found


def _shared(each: Real, parts: Sequence[tuple[str, str]]) -> Real:
    """Return the bits of what was read, shared out among what was written in its place."""
    found: list[float] = []
    at = 0
    for written, read in parts:
        total = float(each[at : at + len(read)].sum())
        found += [total / len(written)] * len(written)
        at += len(read)
    return np.array(found)
