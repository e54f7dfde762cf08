"""Characters to ids and back, in an order that is the same every time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorpusError

UNKNOWN = 0
"""The id of ``<unk>``: whatever stands in no other place."""

_CODE_POINTS = 0x110000
# Text passes through the tables a piece at a time, so that 4 bytes a character are never held
# for the whole of it.
_PIECE = 1 << 20


class Vocabulary:
    """The characters a model knows: id 0 is ``<unk>``, the others are in the order of their ids.

    `build` orders them by falling count, then by code point; `grown` adds new ones behind.

    Args:
        characters: the characters in the order of their ids, from id 1.
        counts: how often each stood in the training text, ``<unk>`` first; V numbers.

    Raises:
        CorpusError: a character appears twice, or the counts do not fit the characters.
    """

    def __init__(self, characters: str, counts: Sequence[int]) -> None:
        if len(set(characters)) != len(characters):
            raise CorpusError("A vocabulary cannot hold the same character twice.")
        if len(counts) != len(characters) + 1 or any(count < 0 for count in counts):
            raise CorpusError(
                f"A vocabulary of {len(characters)} characters and <unk> needs as many counts, "
                f"none negative; there are {len(counts)}."
            )
        self.characters = characters
        self.counts: tuple[int, ...] = tuple(int(count) for count in counts)
        codes = _codes(characters)
        narrow = np.uint16 if len(self) <= 1 << 16 else np.uint32
        self._ids = np.full(_CODE_POINTS, UNKNOWN, dtype=narrow)
        self._ids[codes] = np.arange(1, len(self), dtype=narrow)
        self._codes = np.concatenate(([0xFFFD], codes)).astype("<u4")

    @classmethod
    def build(cls, text: str, *, min_count: int = 1) -> "Vocabulary":
        """Take every character of `text` that stands in it at least `min_count` times."""
        counts = np.zeros(_CODE_POINTS, dtype=np.int64)
        for start in range(0, len(text), _PIECE):
            piece = np.bincount(_codes(text[start : start + _PIECE]))
            counts[: len(piece)] += piece
        codes = np.flatnonzero(counts >= max(min_count, 1))
        # A stable sort by falling count leaves equal counts in the order of their code points.
        codes = codes[np.argsort(-counts[codes], kind="stable")]
        kept = counts[codes]
        characters = codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        return cls(characters, [len(text) - int(kept.sum()), *kept.tolist()])

    def grown(self, other: "Vocabulary", text: str) -> "Vocabulary":
        """Return this vocabulary with the characters that only `other` has behind its own.

        Every id keeps its character. The counts are those of `text`.
        """
        added = "".join(character for character in other.characters if character not in self)
        here = Vocabulary.build(text)
        found = dict(zip(here.characters, here.counts[1:], strict=True))
        counts = [found.get(character, 0) for character in self.characters + added]
        return Vocabulary(self.characters + added, [len(text) - sum(counts), *counts])

    def __len__(self) -> int:
        """V: the number of ids, ``<unk>`` among them."""
        return len(self.characters) + 1

    def __contains__(self, character: object) -> bool:
        return (
            isinstance(character, str)
            and len(character) == 1
            and self._ids[ord(character)] != UNKNOWN
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Vocabulary)
            and self.characters == other.characters
            and self.counts == other.counts
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content, never a key

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        """Return the ids of `text`, one a character: uint16, or uint32 from V = 65,537 on."""
        ids = np.empty(len(text), dtype=self._ids.dtype)
        for start in range(0, len(text), _PIECE):
            piece = _codes(text[start : start + _PIECE])
            np.take(self._ids, piece, out=ids[start : start + len(piece)])
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the characters of `ids`; ``<unk>`` comes back as U+FFFD, the replacement mark."""
        return (
            self._codes[np.asarray(ids, dtype=np.intp)]
            .tobytes()
            .decode("utf-32-le", "surrogatepass")
        )

    @property
    def seen_once(self) -> float:
        """The share of the vocabulary's characters that stood in the text a single time."""
        return sum(1 for count in self.counts[1:] if count == 1) / max(len(self.characters), 1)


def _codes(text: str) -> NDArray[np.uint32]:
    # surrogatepass: an argument that was not valid UTF-8 reaches Python with lone surrogates.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
