"""Characters to ids and back, in an order that is the same every time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorpusError
from charlstm.text.corpus import Corpus, IdArray, code_points, from_code_points, narrowest
from charlstm.text.labels import Labels
from charlstm.text.songs import END

UNKNOWN = 0
"""The id of ``<unk>``: whatever has no id of its own."""

_CODE_POINTS = 0x110000
# Text passes through the tables a piece at a time, so that 4 bytes a character are never held
# for the whole of it.
_PIECE = 1 << 20


class Vocabulary:
    """The characters a model knows: id 0 is ``<unk>``, the others are in the order of their ids.

    A text of songs has one more, `charlstm.text.songs.END`, which is no character. `build` orders
    them by falling count, then by code point; `grown` adds new ones at the end.

    Args:
        characters: the characters in the order of their ids, from id 1.
        counts: how often each appeared in the training text, ``<unk>`` first; V numbers.
        labels: of the songs; their symbols are no characters either. A value that has no id is read
            as none.

    Raises:
        CorpusError: a character appears twice, or the counts do not fit the characters.
    """

    def __init__(
        self, characters: str, counts: Sequence[int], labels: Labels | None = None
    ) -> None:
        if len(set(characters)) != len(characters):
            raise CorpusError("A vocabulary cannot hold the same character twice.")
        if len(counts) != len(characters) + 1 or any(count < 0 for count in counts):
            raise CorpusError(
                f"A vocabulary of {len(characters)} characters and <unk> needs as many counts, "
                f"none negative; there are {len(counts)}."
            )
        self.characters = characters
        self.counts: tuple[int, ...] = tuple(int(count) for count in counts)
        codes = code_points(characters)
        narrow = narrowest(len(self))
        self._ids: IdArray = np.full(_CODE_POINTS, UNKNOWN, dtype=narrow)
        self._ids[codes] = np.arange(1, len(self), dtype=narrow)
        self._codes = np.concatenate(([0xFFFD], codes)).astype("<u4")
        labels = labels or Labels()
        self.labels = labels.among(set(characters))
        self._marks = frozenset((END, *labels.places))
        if labels:
            if not all(self._ids[ord(symbol)] for symbol in labels.none):
                raise CorpusError("A vocabulary of songs with labels needs the symbols of none.")
            symbols = "".join(labels.places)
            read_as = [labels.none[place] for place in labels.places.values()]
            missing = self._ids[code_points(symbols)] == UNKNOWN
            none = self._ids[code_points("".join(read_as))]
            self._ids[code_points(symbols)[missing]] = none[missing]

    @classmethod
    def build(
        cls, text: str | Mapping[str, int], *, min_count: int = 1, labels: Labels | None = None
    ) -> "Vocabulary":
        """Take every character that appears in a text at least `min_count` times.

        Args:
            text: the text itself, or how often each character appears in it.
            min_count: those that appear fewer times become ``<unk>``; the end of a song never, nor
                do labels.
            labels: of the songs in it; a model reads none of any name even if no song is without.
        """
        labels = labels or Labels()
        counts = Counter(text)
        counts.update(dict.fromkeys(labels.none, 0))
        always = {END, *labels.places}
        fewest = max(min_count, 1)
        chosen = [one for one in counts if one in always or counts[one] >= fewest]
        chosen.sort(key=lambda character: (-counts[character], character))
        kept = [counts[character] for character in chosen]
        return cls("".join(chosen), [counts.total() - sum(kept), *kept], labels)

    def grown(self, other: "Vocabulary", text: str | Mapping[str, int]) -> "Vocabulary":
        """Return this vocabulary followed by the characters that only `other` has.

        Every id keeps its character. The counts are those of `text`, which is given as to `build`.
        """
        counts, known = Counter(text), set(self.characters)
        characters = self.characters + "".join(c for c in other.characters if c not in known)
        kept = [counts[character] for character in characters]
        return Vocabulary(characters, [counts.total() - sum(kept), *kept], other.labels)

    def __repr__(self) -> str:
        return f"<Vocabulary: {self.size:,} characters>"

    def __len__(self) -> int:
        """V: the number of ids, ``<unk>`` among them."""
        return len(self.characters) + 1

    def __contains__(self, character: object) -> bool:
        """Whether a character has an id; neither the end of a song nor a label is one."""
        return (
            isinstance(character, str)
            and len(character) == 1
            and self._ids[ord(character)] != UNKNOWN
            and character not in self._marks
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Vocabulary)
            and self.characters == other.characters
            and self.counts == other.counts
            and self.labels == other.labels
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content, never a key

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        """Return the ids of `text`, one a character: uint16, or uint32 from V = 65,537 on."""
        ids = np.empty(len(text), dtype=self._ids.dtype)
        for start in range(0, len(text), _PIECE):
            piece = code_points(text[start : start + _PIECE])
            np.take(self._ids, piece, out=ids[start : start + len(piece)])
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the characters of `ids`; ``<unk>`` comes back as U+FFFD, the replacement mark."""
        return from_code_points(self._codes[np.asarray(ids, dtype=np.intp)])

    @property
    def end(self) -> int | None:
        """The id of the end of a song; ``None`` if no text that was learned had songs."""
        place = int(self._ids[ord(END)])
        return None if place == UNKNOWN else place

    @cached_property
    def places(self) -> NDArray[np.int64] | None:
        """``[V]``: of each id that is a label's, which of the names; -1 of all others.

        ``None`` without labels. Those with a name are read and never predicted.
        """
        if not self.labels:
            return None
        places = np.full(len(self), -1, dtype=np.int64)
        symbols = code_points("".join(self.labels.places))
        places[self._ids[symbols]] = list(self.labels.places.values())
        return places

    @cached_property
    def unpredicted(self) -> NDArray[np.bool_] | None:
        """``[V]``: the ids that are read and never predicted, those of labels; ``None`` if none."""
        return None if self.places is None else self.places >= 0

    @cached_property
    def marks(self) -> NDArray[np.intp]:
        """The ids that stand for no character: the end of a song, if any, and labels."""
        ids = [] if self.end is None else [self.end]
        labels = () if self.unpredicted is None else np.flatnonzero(self.unpredicted)
        return np.array([*ids, *labels], dtype=np.intp)

    @property
    def size(self) -> int:
        """How many characters there are, without ``<unk>``, the end of a song and labels."""
        return len(self.characters) - len(self.marks)

    @property
    def seen_once(self) -> float:
        """The share of the vocabulary's characters that appeared in the text only once."""
        counted = zip(self.characters, self.counts[1:], strict=True)
        once = sum(1 for one, count in counted if count == 1 and one not in self._marks)
        return once / max(self.size, 1)


class Tokens:
    """A stretch of a corpus as ids of a vocabulary, made when it is looked at.

    It is used like an array of ids: its length, a slice of it, or the ids at many places.

    Args:
        corpus: where the text is.
        vocabulary: whose ids are asked for.
        start: of the stretch, in characters.
        end: of the stretch.
    """

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, start: int, end: int) -> None:
        self._ids = corpus.ids[start:end]
        self._table: NDArray[Any] = vocabulary.encode(corpus.alphabet.characters)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: slice | NDArray[np.integer[Any]]) -> IdArray:
        ids: IdArray = np.take(self._table, self._ids[index])
        return ids


Ids = IdArray | Tokens
"""A text as the ids of its characters."""
