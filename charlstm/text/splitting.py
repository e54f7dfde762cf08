"""Where a text is cut into what is learned and what is held out."""

import numpy as np

from charlstm.text.corpus import Corpus
from charlstm.text.letters import start_of_letter

# Whether a cut is inside a letter is seen from so much before it; a letter of more than so many
# characters is cut all the same.
_BEFORE, _LONGEST_LETTER = 1_000, 64


def split(corpus: Corpus, validation: float) -> int:
    """Return where a text is cut: what follows is held out, this share of it.

    Songs are held out whole, as near to the share as they allow: the cut is the mark between two
    of them, which belongs to what follows and is what the song before it ends with.

    A letter is not cut, see `charlstm.text.letters`: it is held out whole, as long as it is none
    of dozens of characters.
    """
    exact = len(corpus) - int(len(corpus) * validation)
    if corpus.songs is not None and validation:
        between = corpus.ends[1:-1]
        return int(between[np.abs(between - exact).argmin()]) if len(between) else len(corpus)
    start = max(exact - _BEFORE, 0)
    around = "".join(corpus.pieces(start, min(exact + 1, len(corpus))))
    earlier = exact - start - start_of_letter(around, exact - start)
    return exact - earlier if earlier <= min(_LONGEST_LETTER, exact - 1) else exact


def may_be_split(corpus: Corpus, validation: float, cut: int) -> bool:
    """Return whether a text may have been cut there, by this version or by another.

    Older ones cut inside letters, and Unicode may say something else of what a letter is.
    """
    if corpus.songs is not None:
        return cut == split(corpus, validation)
    exact = len(corpus) - int(len(corpus) * validation)
    return 0 <= exact - cut <= _LONGEST_LETTER
