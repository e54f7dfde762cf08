"""Where words begin and end within a line; a word is never found inside a longer one."""

import unicodedata
from functools import lru_cache

from charlstm.text.letters import counts, first_letter, joins, last_letter, letters, may_cut

APOSTROPHES = ("'", "’")


@lru_cache(maxsize=1 << 14)
def in_word(letter: str) -> bool:
    """Return whether a letter belongs to words that are separated by spaces."""
    base = next((character for character in letter if character.isalpha()), "")
    name = unicodedata.name(base, "") if base else "CJK"
    return not name.startswith(("CJK", "HIRAGANA", "KATAKANA"))


def first_word(line: str) -> str:
    """Return the word that `line` consists of so far; empty if there is more, or none."""
    start = next((place for place, c in enumerate(line) if counts(c)), len(line))
    word = line[start:]
    return word if all(in_word(c) or c in APOSTROPHES for c in letters(word)) else ""


def may_begin(word: str, line: str) -> bool:
    """Return whether `word` may follow `line` without becoming part of a longer word or letter."""
    before = line[:-1] if line.endswith(APOSTROPHES) else line
    within = in_word(first_letter(word)) and in_word(last_letter(before))
    return not (within or joins(last_letter(line), word[0]))


def has_word(line: str, word: str) -> bool:
    """Return whether `word` occurs in `line`, and not only as part of a longer word or letter."""
    start = line.find(word)
    while start >= 0:
        end = start + len(word)
        # can is a part of can't: an apostrophe with a letter after it continues the word.
        goes_on = in_word(first_letter(line[end:])) or (
            line[end : end + 1] in APOSTROPHES and in_word(first_letter(line[end + 1 :]))
        )
        within = goes_on and in_word(last_letter(word))
        if may_cut(line, end) and not within and may_begin(word, line[:start]):
            return True
        start = line.find(word, start + 1)
    return False
