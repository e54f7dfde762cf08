"""What has followed the last characters of one song, one character after the other."""

from collections import deque

LENGTHS = (0, 1, 2, 3, 4, 6, 9, 14, 20)
"""Of how many characters the contexts are; K of them."""

LONGEST = LENGTHS[-1]


class Followers:
    """How often which character followed each context of a song.

    Args:
        end: the id of the mark between songs, with which everything is forgotten; ``None`` for a
            text of one piece.
        reach: how many characters back what followed is counted.

    Attributes:
        here: how often each character followed what was read last: of the contexts of each length,
            the shortest first, as far as they have come before.
    """

    def __init__(self, end: int | None, reach: int) -> None:
        self._end = end
        self._reach = reach
        # A context is a piece of a string: there is no faster key.
        self._rows: dict[str, dict[int, int]] = {}
        self._last = ""
        self._contexts = [""]
        self.here: list[dict[int, int]] = []
        self._counted: deque[tuple[list[str], int]] = deque()

    def __len__(self) -> int:
        """Return how many characters are counted."""
        return len(self._counted)

    def read(self, character: int) -> None:
        """Read one character, by its id."""
        if character == self._end:
            self._rows.clear()
            self._counted.clear()
            self._last = ""
        else:
            for row in self.here:
                row[character] = row.get(character, 0) + 1
            for context in self._contexts[len(self.here) :]:
                self._rows[context] = {character: 1}
            self._counted.append((self._contexts, character))
            if len(self._counted) > self._reach:
                self._forget(*self._counted.popleft())
            self._last = (self._last + chr(character))[-LONGEST:]
        n, last = len(self._last), self._last
        self._contexts = [last[n - length :] for length in LENGTHS if length <= n]
        self.here = []
        for context in self._contexts:
            known = self._rows.get(context)
            if known is None:
                break  # a longer one has not come before either
            self.here.append(known)

    def _forget(self, contexts: list[str], character: int) -> None:
        """Take what followed at one place off the counts."""
        for context in contexts:
            row = self._rows[context]
            left = row[character] - 1
            if left:
                row[character] = left
            elif len(row) > 1:
                del row[character]
            else:
                del self._rows[context]
