"""A text of lower-case letters and single spaces alone, as some exercises have it."""

import re
from collections.abc import Iterable, Iterator

LATIN = frozenset("abcdefghijklmnopqrstuvwxyz")
"""The letters without which there is nothing that such an exercise is about."""

_SPACES = re.compile("  +")


def letters_only(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a text in lower case, with one space in the place of all that stands between letters.

    A text does not begin with a space; one that ends with something else than a letter ends with a
    space, so that what follows a prefix begins a word. Letters of all scripts stay: none is lost in
    silence.

    Args:
        pieces: of a text, cut anywhere.
    """
    ended = True  # whether a space is there already, or none is wanted
    for piece in pieces:
        # The last sigma of a word is another letter, and a piece may end anywhere.
        text = piece.replace("Σ", "σ").lower()
        between = {ord(character): " " for character in set(text) if not character.isalpha()}
        text = _SPACES.sub(" ", text.translate(between))
        text = text[1:] if ended and text.startswith(" ") else text
        ended = text.endswith(" ") if text else ended
        yield text
