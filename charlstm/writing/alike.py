"""Whether two lines say the same, or nearly."""

import itertools
from collections.abc import Iterable

from charlstm.text.letters import counted

# Of all pairs of neighbouring letters in both, so large a share is in both.
_ALIKE = 0.6

Pairs = frozenset[tuple[str, str]]
"""The neighbouring letters of a line, with nothing before its first and after its last."""


def pairs(line: str) -> Pairs:
    """Return the neighbouring letters of a line; punctuation, spaces and case do not matter."""
    letters = ["", *counted(line.casefold()), ""]
    return frozenset(itertools.pairwise(letters))


def alike(one: Pairs, other: Pairs) -> bool:
    """Return whether two lines say the same, or nearly (Dice 1945)."""
    return 2 * len(one & other) >= _ALIKE * (len(one) + len(other))


class Lines:
    """Lines that were said.

    Args:
        lines: of which those without letters do not count.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._said = {pairs(line) for line in lines if counted(line)}

    def has(self, line: str) -> bool:
        """Return whether one of them says the same, or nearly."""
        asked = pairs(line)
        return asked in self._said or any(alike(asked, said) for said in self._said)
