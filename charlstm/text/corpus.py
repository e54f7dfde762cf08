"""One text, in the form that a model reads, and where each part of it came from.

A corpus is kept as the ids of its own alphabet, two or four bytes a character, in memory or, if
it is long, in a mapped file (`charlstm.text.mapped`).
"""

import mmap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checks import check_whole, shown
from charlstm.errors import RecipeError, Setting, SettingError, count
from charlstm.text.formats.account import Account
from charlstm.text.formats.format import Format
from charlstm.text.labels import Labels, check_names
from charlstm.text.lettering import letters_only
from charlstm.text.separators import separator_of
from charlstm.text.songs import END, Songs
from charlstm.text.tidying import tidied, with_line_feeds

if TYPE_CHECKING:  # a text that is only written of is not guessed
    from charlstm.text.guessing import Guess

_CODE_POINTS = 0x110000
# Corpora are gone through this many characters at a time.
_PIECE = 1 << 20
# A text is composed in pieces that end where nothing is composed. If there is no such place in
# this many characters, it is cut all the same.
_LONGEST_WORD = 4096
# Putting the marks on one letter in order takes a time that grows as the square of their number. No
# language has more than a few; more than this many stay as they are.
_MARKS = 256

IdArray = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class TextOptions:
    r"""How decoded text is brought into the form that the model reads.

    Attributes:
        normalize: bring the text to Unicode's composed form (NFC).
        newline: ``"keep"`` leaves line breaks, ``"space"`` turns each into a space, as the
            classic lyrics tutorials do.
        limit: take only this many characters from the beginning; ``None`` takes all.
        songs: what tells the songs of a text apart: ``"auto"`` finds out, ``"off"`` reads it as one
            stream, and a regular expression matches the lines between them; see
            `charlstm.text.separators`. With line breaks turned into spaces there are none.
        tidy: make all spaces plain ones and leave out marks that nobody sees; see
            `charlstm.text.tidying.tidied`.
        line_ends: ``"unicode"`` takes all line ends of Unicode for line breaks; ``"plain"``, which
            nobody chooses, only ``\n``, ``\r\n`` and ``\r``, as before 0.3.0.
        field: the column of tables, or the path in JSON, that has the text; found out where
            ``None``. See `charlstm.text.formats`.
        letters_only: bring the text to lower case, and put one space in the place of all that
            stands between letters, line breaks too; see `charlstm.text.lettering`.
        labels: what of each song is read before it: the names of columns, fields or tags, or
            ``"folder"``; see `charlstm.text.labels`.
    """

    normalize: bool = True
    newline: str = "keep"
    limit: int | None = None
    songs: str = "auto"
    tidy: bool = False
    line_ends: str = "unicode"
    field: str | None = None
    letters_only: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("normalize", "tidy", "letters_only"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(name, "true or false", shown(getattr(self, name)))
        if self.newline not in ("keep", "space"):
            raise SettingError("newline", "'keep' or 'space'", shown(self.newline))
        if self.line_ends not in ("unicode", "plain"):
            raise SettingError("line_ends", "'unicode' or 'plain'", shown(self.line_ends))
        if self.limit is not None:
            check_whole("limit", self.limit, 1)
        if not isinstance(self.songs, str):
            raise SettingError("songs", "auto, off or a regular expression", shown(self.songs))
        if self.songs not in ("auto", "off"):
            separator_of(self.songs)
            if self.newline == "space":
                raise RecipeError(
                    Setting("songs"),
                    " needs the lines of the text: leave ",
                    Setting("newline", "space"),
                    " out.",
                )
        if self.field is not None and not (isinstance(self.field, str) and self.field.strip()):
            raise SettingError("field", "the name of a column or field", shown(self.field))
        try:
            object.__setattr__(self, "labels", check_names(self.labels))
        except ValueError:
            wanted = "different names of columns or fields, such as artist"
            raise SettingError("labels", wanted, shown(self.labels)) from None
        if self.labels and (self.songs == "off" or self.newline == "space"):
            stream = Setting("songs", "off") if self.songs == "off" else Setting("newline", "space")
            raise RecipeError("Songs are what has ", Setting("labels"), ": leave ", stream, " out.")

    def again(self, field: str | None) -> "TextOptions":
        """Return the form that other texts are measured in: whole, the field if it is another."""
        return replace(self, limit=None, field=field or self.field)

    def apply(self, text: str) -> str:
        """Return `text` in this form; ``limit`` is not applied here."""
        return "".join(self.apply_to([text]))

    def apply_to(self, pieces: Iterable[str], changed: Counter[str] | None = None) -> Iterator[str]:
        """Yield the text that `pieces` make together in this form, as `apply` would return it.

        Args:
            pieces: of a text, cut anywhere.
            changed: counts the characters that looked like others, or like nothing, and were
                changed; see `charlstm.text.tidying`.
        """
        changed = Counter() if changed is None else changed
        pieces = with_line_feeds(pieces, changed, unicode=self.line_ends == "unicode")
        if self.tidy:
            pieces = tidied(pieces, changed)
        if self.newline == "space":
            pieces = (piece.replace("\n", " ") for piece in pieces)
        pieces = _composed_pieces(pieces) if self.normalize else iter(pieces)
        return letters_only(pieces) if self.letters_only else pieces


def _composed_pieces(pieces: Iterable[str]) -> Iterator[str]:
    waiting = ""
    for piece in pieces:
        text = waiting + piece
        ready = _ready(text)
        waiting = text[ready:]
        yield _composed(text[:ready])
    yield _composed(waiting)


def _ready(text: str) -> int:
    """Return how much of the text is composed without regard to what follows it.

    That is up to the last character that begins anew. Where there is none for long, enough are kept
    that marks which stay as they are do so on either side.
    """
    first = max(len(text) - _LONGEST_WORD, 0)
    places = range(len(text) - 1, first - 1, -1)
    longest = len(text) - _MARKS - 1 if first else 0
    return next((at for at in places if _begins_anew(text[at])), longest)


def _begins_anew(character: str) -> bool:
    """Whether it is never composed with what comes before it."""
    if character < "\u0300" or "\u3400" <= character <= "\u9fff":  # the commonest
        return True
    # What is composed with the character before it is a mark of some kind or the second or third
    # part of a Korean syllable; the only other letters are some vowels of Kirat Rai.
    return unicodedata.category(character)[0] != "M" and not (
        "\u1160" <= character <= "\u11ff" or "\U00016d40" <= character <= "\U00016d7f"
    )


def _is_mark(character: str) -> bool:
    """Whether it is put in order with those beside it, or its parts are: some vowels are two."""
    return unicodedata.combining(unicodedata.normalize("NFD", character)[0]) > 0


def _composed(text: str) -> str:
    if text.isascii():
        return text
    parts = []
    done = 0
    for at in range(_MARKS, len(text), _MARKS):  # any long run contains one of them
        if at >= done and _is_mark(text[at]):
            start = end = at
            while start > done and _is_mark(text[start - 1]):
                start -= 1
            while end < len(text) and _is_mark(text[end]):
                end += 1
            if end - start > _MARKS:
                parts += [unicodedata.normalize("NFC", text[done:start]), text[start:end]]
                done = end
    return "".join([*parts, unicodedata.normalize("NFC", text[done:])])


@dataclass(frozen=True)
class Source:
    """One file of a corpus.

    Attributes:
        name: as it is shown.
        encoding: that it was read in.
        characters: how many were decoded, before normalisation.
        sha256: of its bytes.
        guess: how its encoding was guessed, where it was; not kept in a run.
        format: what the file is, and the column or field of its text that was asked for.
        account: where its text was found, and what was left out; not kept in a run.
    """

    name: str
    encoding: str
    characters: int
    sha256: str
    guess: "Guess | None" = None
    format: Format = field(default_factory=Format)
    account: Account = field(default_factory=Account)


class Alphabet:
    """The characters of a text, with ids in the order met: by piece, then by code point."""

    def __init__(self, characters: str = "") -> None:
        self._codes = code_points(characters)
        self._ids = np.full(_CODE_POINTS, _CODE_POINTS, dtype=np.uint32)
        self._ids[self._codes] = np.arange(len(self._codes), dtype=np.uint32)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def characters(self) -> str:
        """The characters in the order of their ids."""
        return from_code_points(self._codes)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a text; what is new in it gets the next ones."""
        codes = code_points(text)
        ids = self._ids[codes]
        missing = ids == _CODE_POINTS
        if missing.any():
            new = np.unique(codes[missing])
            self._ids[new] = np.arange(len(self), len(self) + len(new), dtype=np.uint32)
            self._codes = np.concatenate((self._codes, new))
            ids = self._ids[codes]
        return ids

    def decode(self, ids: NDArray[np.integer[Any]]) -> str:
        """Return the characters of `ids`."""
        return from_code_points(self._codes[ids])


class Corpus:
    """A text ready to be learned, and where it came from.

    Args:
        ids: ``[N]`` the text, as ids of `alphabet`.
        alphabet: its characters.
        sources: the files it was read from, in their order.
        options: the form it is in.
        sha256: the hash of the text in UTF-8: what a resumed run compares.
        mapped: the file that `ids` are in, if they are not in memory.
        parted: what tells its songs apart, see `Songs`; ``None`` for a stream.
        changed: characters that looked like others, or like nothing, and how many of each were
            changed in what was read; see `charlstm.text.tidying`.
        labels: of its songs.
    """

    def __init__(
        self,
        ids: IdArray,
        alphabet: Alphabet,
        sources: tuple[Source, ...],
        options: TextOptions,
        sha256: str,
        mapped: mmap.mmap | None = None,
        parted: str | None = None,
        changed: Mapping[str, int] = MappingProxyType({}),
        labels: Labels | None = None,
    ) -> None:
        self.ids = ids
        self.alphabet = alphabet
        self.sources = sources
        self.options = options
        self.sha256 = sha256
        self.changed = changed
        self.labels = labels or Labels()
        self._mapped = mapped
        self._parted = parted

    def __repr__(self) -> str:
        return f"<Corpus: {count(len(self), 'character')} of {count(len(self.sources), 'source')}>"

    def __len__(self) -> int:
        """How many characters there are."""
        return len(self.ids)

    @property
    def characters(self) -> int:
        """How many characters there are, without the ends of songs and their labels."""
        return len(self) - len(self.ends) - self.labelled.size

    @property
    def size(self) -> tuple[int, int]:
        """How many characters there are, and how many different ones among the first million."""
        met = self.alphabet.decode(np.unique(self.ids[:1_000_000]))
        return len(self), len(self.labels.stripped(met))

    @property
    def memory_bytes(self) -> int:
        """How many bytes of memory it takes."""
        return 0 if self.file_bytes else self.ids.nbytes

    @property
    def file_bytes(self) -> int:
        """The size of the file that the text is in; 0 if it is in memory."""
        return 0 if self._mapped is None else self.ids.nbytes

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The places of `END`, ascending; one more than there are songs, and none in a stream."""
        if self._parted is None:
            return np.empty(0, dtype=np.int64)
        (end,) = self.alphabet.encode(END)
        places = []
        for at in range(0, len(self), _PIECE):
            places.append(at + np.flatnonzero(self.ids[at : at + _PIECE] == end))
            self.release()
        return np.concatenate(places)

    @cached_property
    def songs(self) -> Songs | None:
        """How many songs there are, and how long; ``None`` for a stream."""
        if self._parted is None:
            return None
        lengths = np.sort(np.diff(self.ends) - 1 - len(self.labels.names))
        shortest, median, longest = lengths[[0, len(lengths) // 2, -1]].tolist()
        return Songs(len(lengths), shortest, median, longest, self._parted)

    @cached_property
    def labelled(self) -> IdArray:
        """``[songs, names]``: the labels of each song, as ids of `alphabet`."""
        labels: IdArray = self.ids[self.ends[:-1, None] + np.arange(1, len(self.labels.names) + 1)]
        return labels

    def labels_met(self) -> dict[str, tuple[int, int]]:
        """Return of each label how many values there are, and how many songs have none."""
        met = {}
        for place, (name, none) in enumerate(zip(self.labels.names, self.labels.none, strict=True)):
            values = self.alphabet.decode(self.labelled[:, place])
            met[name] = (len(set(values) - {none}), values.count(none))
        return met

    @property
    def lines(self) -> int:
        """How many lines there are; the last one may end with a line break or without."""
        breaks = self.counts().get("\n", 0)
        return breaks + (self.alphabet.decode(self.ids[-1:]) not in ("\n", END))

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces())

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the characters from one place to another, some at a time."""
        end = len(self) if end is None else end
        for at in range(start, end, _PIECE):
            yield self.alphabet.decode(self.ids[at : min(at + _PIECE, end)])
            self.release()

    def counts(self, start: int = 0, end: int | None = None) -> dict[str, int]:
        """Return how often each character appears between two places."""
        end = len(self) if end is None else end
        counts = np.zeros(len(self.alphabet), dtype=np.int64)
        for at in range(start, end, _PIECE):
            ids = self.ids[at : min(at + _PIECE, end)]
            counts += np.bincount(ids, minlength=len(counts))
            self.release()
        met = np.flatnonzero(counts)
        return dict(zip(self.alphabet.decode(met), counts[met].tolist(), strict=True))

    def release(self) -> None:
        """Release the memory taken by what was read of a mapped file."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def narrowest(size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the type for the ids of this many characters."""
    return np.dtype("<u2" if size <= 1 << 16 else "<u4")


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, one a character."""
    # surrogatepass: an argument that was not valid UTF-8 reaches Python with lone surrogates.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def from_code_points(codes: NDArray[np.uint32]) -> str:
    """Return the text of these code points."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
