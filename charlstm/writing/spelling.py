"""Words, letter by letter."""


class Spelling:
    """Which letters lead on from the beginning of a word to one of some words.

    Args:
        words: in any case, with straight apostrophes; a Han character is a word too.
        characters: the model's.
    """

    def __init__(self, words: frozenset[str], characters: str) -> None:
        self._words = frozenset(word.casefold() for word in words)
        self._characters = frozenset(characters)
        self._next: dict[str, set[str]] = {}
        for word in self._words:
            for length in range(len(word)):
                self._next.setdefault(word[:length], set()).add(word[length])

    def next(self, begun: str) -> tuple[str, bool]:
        """Return the letters that may come next, and whether a word is complete.

        What follows a complete word, punctuation, leads nowhere and leaves it complete.
        """
        plain = begun.casefold().replace("’", "'")
        while plain and not plain[-1].isalnum() and not self._leads(plain):
            plain = plain[:-1]
        punctuated = len(plain) < len(begun)
        letters = set() if punctuated else self._next.get(plain, set())
        spelled = {self._spelled(letter) for letter in letters}
        if not begun:  # a word may begin with a capital letter
            spelled |= {letter.upper() for letter in letters}
        return "".join(sorted(spelled)), plain in self._words

    def _spelled(self, letter: str) -> str:
        """Return a letter as the model knows it: some know only capitals or curly apostrophes."""
        if letter in self._characters:
            return letter
        return "’" if letter == "'" else letter.upper()

    def _leads(self, word: str) -> bool:
        return word in self._next or word in self._words
