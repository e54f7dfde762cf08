"""Where a text ends: with its song, after so many letters or lines, or before a text to stop at."""

from collections.abc import Sequence

from charlstm.text.letters import LONGEST, is_plain, joining, joins, last_letter
from charlstm.text.songs import END


class End:
    """Notices where one text ends, and holds back what may be the beginning of a stop text.

    Args:
        prefix: what the text begins with.
        lines: how many it has; ``None`` for any number.
        stop: the texts at which it ends.
        letters: how many it has at most, after the prefix; ``None`` does not count them.
        characters: those that may follow.
        songs: whether it may end with its song, and then without the line break at its end.

    Attributes:
        reached: whether it has ended.
        song: whether the song has: the model wrote its end.
    """

    def __init__(
        self,
        prefix: str,
        lines: int | None,
        stop: Sequence[str],
        letters: int | None,
        characters: str,
        *,
        songs: bool = False,
    ) -> None:
        self.reached = self.song = False
        self._lines_left = lines
        self._in_line = bool(prefix.rpartition("\n")[2].strip())
        self._stop = (*stop, *["\n" + END] * songs)
        self._held = ""
        self._letters_left = letters
        self._letter = last_letter(prefix)
        self._characters = characters
        # Then most characters change nothing but how many are left.
        self._counts_only = songs and not stop and lines is None and is_plain(characters)

    def push(self, character: str) -> str:
        """Take the next character; return what is certain to be part of the text by now."""
        if (
            self._counts_only
            and not self.reached
            and self._letters_left is not None
            and self._letters_left > 1
            and character not in ("\n", END)
            and not self._held
        ):
            self._letters_left -= 1
            self._letter = character
            return character
        if character == END and not self.reached:
            self._held, self.song = self._held.removesuffix("\n"), True
            return self.rest()
        if self.reached or self._is_full(character):
            return self.rest()
        certain = self._certain(character)
        if self._letters_left == 0 and not joining(self._letter, self._characters):
            certain += self.rest()
        return certain

    def _certain(self, character: str) -> str:
        # Only one character came, so a stop text that is here now ends here.
        stops = [text for text in self._stop if (self._held + character).endswith(text)]
        if self._letters_left is not None:  # a part of a letter is not what was meant
            stops = [text for text in stops if len(text) >= len(self._letter)]
        if stops:
            self._held = (self._held + character).removesuffix(max(stops, key=len))
            return self.rest()
        if self._lines_left is not None:
            if character == "\n":
                self._lines_left -= self._in_line
                self._in_line = False
                if not self._lines_left:
                    return self.rest()
            elif not character.isspace():
                self._in_line = True
        if not self._stop:
            return character
        self._held += character
        kept = max(_overlap(self._held, text) for text in self._stop)
        certain = self._held[: len(self._held) - kept]
        self._held = self._held[len(certain) :]
        return certain

    def _is_full(self, character: str) -> bool:
        """Whether the next character would begin a letter too many."""
        if self._letters_left is None:
            return False
        if len(self._letter) < LONGEST and joins(self._letter, character):
            self._letter += character
            return False
        self._letter = character
        self._letters_left -= 1
        return self._letters_left < 0

    @property
    def is_full(self) -> bool:
        """Whether it has as many letters as it may."""
        return self._letters_left is not None and self._letters_left <= 0

    def rest(self) -> str:
        """Return what was held back: the text has ended."""
        held, self._held, self.reached = self._held, "", True
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `stop`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
