"""From places to one text: each file found, decoded, and put after the one before it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorpusError, Setting
from charlstm.text.corpus import Alphabet, Corpus, Source, TextOptions, narrowest
from charlstm.text.earlier import Earlier
from charlstm.text.encodings import Found, Pieces, beginning, check_encoding, decoded, find_encoding
from charlstm.text.formats.account import Account
from charlstm.text.formats.format import WORD, Format
from charlstm.text.formats.which import LOOKED_AT, find_format, songs_of, with_text
from charlstm.text.formats.word import read_word
from charlstm.text.kinds import is_word
from charlstm.text.labels import Labeller, Labels, without_symbols
from charlstm.text.lettering import LATIN
from charlstm.text.locations import Locations, Place, Text
from charlstm.text.separators import (
    FILES,
    Separator,
    find_separator,
    parts,
    separator_named,
    separator_of,
)
from charlstm.text.songs import END, Opening, with_ends

OnRead = Callable[[int, int], object]

Places = Sequence[str | Path]
"""Files, directories, globs or ``-``, by their names."""

Told = str | Mapping[str, str] | None
"""Encodings as somebody tells them: one for all files, or by names, with ``"*"`` for all others."""

# So many characters of all texts together are looked at to find what tells songs apart.
_SAMPLE = 1 << 21
# One mark is before the first song, and two songs are the fewest that can be told apart.
_FEWEST_ENDS = 3
# Songs that come one by one are handed on so many characters together.
_TOGETHER = 1 << 18


@dataclass(frozen=True)
class Encodings:
    """The encodings that files are read in, where they need not be found out.

    Attributes:
        plain: of all files that have none of their own.
        named: of files by their names, which may be the ends of paths: ``d.txt``, ``songs/d.txt``.
        known: of files by the hashes of their bytes: those that a run has learned from.

    Raises:
        CorpusError: there is no such encoding.
    """

    plain: str | None = None
    named: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    known: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for encoding in (self.plain, *self.named.values()):
            if encoding is not None:
                check_encoding(encoding)

    @classmethod
    def of(cls, told: "Told | Encodings") -> "Encodings":
        """Return what somebody told as a value."""
        if isinstance(told, Encodings):
            return told
        if told is None or isinstance(told, str):
            return cls(told)
        named = {str(name): encoding for name, encoding in told.items() if name != "*"}
        return cls(told.get("*"), MappingProxyType(named))

    def of_file(self, path: str) -> tuple[str | None, str | None]:
        """Return the name that means a file, the longest of them, and what it is to be read in."""
        parts = PurePath(path).parts
        means = [
            name
            for name in self.named
            if PurePath(name).parts == parts[-len(PurePath(name).parts) :]
            or (name == "-" and path == "standard input")
        ]
        if not means:
            return None, self.plain
        name = max(means, key=len)
        return name, self.named[name]


class Reading:
    """Places that are read twice: for what is in them, then for their text; a context.

    Args:
        places: see `charlstm.text.locations.Locations`.
        options: the form of the text.
        encoding: what is not to be found out; see `Encodings`.
        earlier: how an earlier reading went that is to be the same.
        stdin: where ``-`` reads; the process's standard input if ``None``.
        on_read: called now and then with the bytes read and the bytes in all.

    Attributes:
        bytes: how many bytes the texts have, unpacked.
        hashes: of the bytes of each text.
        found: the encoding of each text.
        formats: what each text is.
        characters: of each text that was gone through, before normalisation.
        changed: see `charlstm.text.corpus.Corpus`.
        accounts: of each text that was gone through, what was left out.
        folders: that each text lies in.

    Raises:
        CorpusError: a place does not exist, cannot be read, or its encoding is not found.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        options: TextOptions,
        encoding: Told | Encodings = None,
        earlier: Earlier | None = None,
        stdin: BinaryIO | None = None,
        on_read: OnRead | None = None,
    ) -> None:
        self.options = options
        # Where line breaks are spaces, an empty line would be two of them and no more.
        self.earlier = earlier or Earlier()
        self._apart = self.earlier.apart and options.newline == "keep"
        self._separator: Separator | None = None
        self.bytes = 0
        self.hashes: list[str] = []
        self.found: list[Found] = []
        self.formats: list[Format] = []
        self.characters: list[int] = []
        self.changed: Counter[str] = Counter()
        self.accounts: list[Account] = []
        self.folders: list[str | None] = []
        self._labeller = self._new_labeller()
        self._places = Locations(places, stdin, self.earlier.suffixes)
        self._on_read = on_read or (lambda _done, _total: None)
        self._names: list[str] = []
        self._read = 0
        self._sha256 = hashlib.sha256()
        try:
            self._find(Encodings.of(encoding), self.earlier.formats)
        except BaseException:
            self._places.close()
            raise

    def _find(self, encodings: Encodings, formats: Mapping[str, Format]) -> None:
        """Go through all texts for the first time."""
        meant = set()
        for text in self._places.texts():
            hashed, head, size = hashlib.sha256(), b"", 0
            for data in text.pieces():
                hashed.update(data)
                size += len(data)
                head = head or data[:LOOKED_AT]
            self.bytes += size
            name, told = encodings.of_file(text.name)
            meant.add(name)
            told = encodings.known.get(hashed.hexdigest(), told)
            if is_word(head):
                found, form = Found("utf-8"), Format(WORD)
            else:
                found = find_encoding(text.pieces, name=text.name, encoding=told)
                form = formats.get(hashed.hexdigest()) or self._format(
                    text, beginning(head, found.encoding), whole=size <= LOOKED_AT
                )
            self.found.append(found)
            self.formats.append(form)
            self.hashes.append(hashed.hexdigest())
            self._names.append(text.name)
            self.folders.append(text.folder)
        for name in encodings.named.keys() - meant:
            raise CorpusError(
                Setting("encoding"),
                f" names {name}, and no file of the corpus is called so: there is {self._named()}.",
            )

    def _tells_apart(self) -> Separator | None:
        """Return what tells songs apart; ``None`` for a stream."""
        if self.options.songs == "off" or self.options.newline == "space":
            return None
        if self.options.songs != "auto":
            return separator_of(self.options.songs)
        before = self.earlier.parted and separator_named(self.earlier.parted)
        if before and (before.name == FILES or not self.earlier.closed):
            return before
        sample, most = "", min(_SAMPLE, self.options.limit or _SAMPLE)
        plain = map(self.labels.stripped, self._decoded(songs=True, report=False))
        for piece in self.options.apply_to(plain):
            sample += piece
            if len(sample) >= most:
                break
        if before and parts(before, sample[:most]):
            return before
        found = find_separator(sample[:most])
        if found is not None or not self.options.labels:
            return found
        if self.earlier.closed:
            return separator_named(FILES)  # what is measured may be a single song
        raise CorpusError(
            f"Songs have labels, and in {self._named()} none are told apart: say what parts them "
            "with ",
            Setting("songs"),
            ".",
        )

    def _new_labeller(self) -> Labeller:
        return Labeller(self.options.labels, self.earlier.labels, growing=not self.earlier.closed)

    def _format(self, text: Text, head: str, *, whole: bool) -> Format:
        """Find out what a text is that no run has read."""
        if text.form is not None:
            return text.form
        return find_format(head, text.name, whole=whole, field=self.options.field)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._places.close()

    @property
    def parted(self) -> str | None:
        """What tells songs apart in the text that was gone through; ``None`` for a stream."""
        return None if self._separator is None else self._separator.name

    @property
    def labels(self) -> Labels:
        """Those of the text that was gone through."""
        return self._labeller.labels

    @property
    def sha256(self) -> str:
        """Of the text that was gone through, in UTF-8."""
        return self._sha256.hexdigest()

    def ids(self, alphabet: Alphabet) -> Iterator[NDArray[np.uint32]]:
        """Yield the normalised text as ids of an alphabet, which grows by what is new.

        Raises:
            CorpusError: a text cannot be read or decoded, was changed meanwhile, or there is none.
        """
        separator = self._separator = self._tells_apart()
        self.characters, self.accounts, self.changed = [], [], Counter()
        self._labeller = self._new_labeller()
        self._read, self._sha256 = 0, hashlib.sha256()
        plain = _together(self._decoded(songs=separator is not None))
        pieces = self._limited(self.options.apply_to(plain, self.changed))
        if separator is not None:
            none = self.labels.none
            pieces = with_ends(separator.marked(pieces, labelled=bool(none)), none)
        has_text, ends = False, 0
        for text in _together(pieces):
            self._sha256.update(text.encode())
            has_text = has_text or bool(text.strip(END))
            ends += text.count(END)
            yield alphabet.encode(text)
        if not has_text:
            raise CorpusError(f"There is no text in {self._named()}: the corpus is empty.")
        if self.options.letters_only and LATIN.isdisjoint(alphabet.characters):
            raise CorpusError(
                f"There are no Latin letters in {self._named()}, and ",
                Setting("letters_only"),
                " is for texts that are written with them.",
            )
        self._labeller.check()
        if separator is not None and ends < _FEWEST_ENDS and not self.earlier.closed:
            raise CorpusError(
                f"There is only one song in {self._named()} when it is parted by {separator.told}: "
                "change ",
                Setting("songs"),
                ", or leave it out.",
            )

    def _limited(self, pieces: Iterator[str]) -> Iterator[str]:
        left = self.options.limit
        for piece in pieces:
            text = piece[:left]
            if left is not None:
                left = max(left - len(text), 0)
            yield text

    def sources(self, characters: Sequence[int], accounts: Sequence[Account]) -> tuple[Source, ...]:
        """Return what the texts are, given how many characters each has and what it left out."""
        read = zip(self._names, self.found, characters, self.hashes, strict=True)
        as_what = zip(self.formats, accounts, strict=True)
        return tuple(
            Source(name, found.encoding, many, sha256, found.guess, form, account)
            for (name, found, many, sha256), (form, account) in zip(read, as_what, strict=True)
        )

    def _decoded(self, *, songs: bool, report: bool = True) -> Iterator[str]:
        """Yield the characters of all texts, no line of one running into the next.

        Args:
            songs: whether a text ends with `END`.
            report: whether those who wait are told how much was read.
        """
        last = ""
        known = zip(self.found, self.formats, self.hashes, strict=True)
        for text, was in zip_longest(self._places.texts(), known):
            if text is None or was is None:
                raise _changed()
            found, form, sha256 = was
            characters, hashed, account = 0, hashlib.sha256(), Account()
            counted = partial(self._counted, text, hashed, report=report)
            begins, opening = True, Opening()  # whether a text or a song begins, and how
            for piece in self._songs(text, counted, found.encoding, form, account):
                if isinstance(piece, Opening):
                    begins, opening = True, piece
                elif piece:
                    if begins:
                        piece = _titled(opening.title or "", piece, apart=self._apart)
                    if self.options.labels:
                        piece, number = without_symbols(piece)
                        account.leave_out("private character", number)
                    if begins and songs:
                        yield END + self._labeller.symbols(opening, text.folder)
                    elif begins and last:
                        yield self._between(last, piece[0])
                    begins = False
                    characters += len(piece)
                    last = (last + piece)[-4:] if len(piece) < 4 else piece[-4:]
                    yield piece if songs else piece.replace(END, "\n\n")
            if hashed.hexdigest() != sha256:
                raise _changed()
            self.characters.append(characters)
            self.accounts.append(account)

    def _songs(
        self, text: Text, counted: Pieces, encoding: str, form: Format, account: Account
    ) -> Iterator[Opening | str]:
        """Yield the songs of a text, or the pieces of a plain one."""
        if form.name == WORD:
            return with_text(read_word(counted(), text.name, account), form, text.name, account)
        pieces = decoded(counted, encoding, name=text.name)
        return songs_of(form, pieces, text.name, account)

    def _between(self, last: str, first: str) -> str:
        """Return the line breaks that are put between two texts.

        Args:
            last: the last characters of the one, four at most.
            first: the first character of the other.
        """
        options = replace(self.options, newline="keep", normalize=False, letters_only=False)
        plain = options.apply(last)
        there = len(plain) - len(plain.rstrip("\n"))
        missing = max((2 if self._apart else 1) - there, 0)
        # A line that ends with \r and an empty one that follows are two, not \r\n.
        joins = last[-1] == "\r" and (missing > 0 or first == "\n")
        return "\n" * (missing + joins)

    def _counted(self, text: Text, hashed: "hashlib._Hash", *, report: bool) -> Iterator[bytes]:
        for data in text.pieces():
            hashed.update(data)
            self._read += len(data)
            if report:
                self._on_read(self._read, self.bytes)
            yield data

    def _named(self) -> str:
        more = f" and {len(self._names) - 3:,} more" if len(self._names) > 3 else ""
        return ", ".join(self._names[:3]) + more


def _titled(title: str, text: str, *, apart: bool) -> str:
    """Return the beginning of a song below its title."""
    return f"{title}{chr(10) * (2 if apart else 1)}{text}" if title else text


def _together(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces that are not small, which would take long one by one."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _TOGETHER:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


def _changed() -> CorpusError:
    return CorpusError(
        "The corpus changed while it was being read: run the command again when it no longer "
        "changes."
    )


def read_corpus(
    places: Sequence[str | Path],
    *,
    options: TextOptions | None = None,
    encoding: Told | Encodings = None,
    earlier: Earlier | None = None,
    stdin: BinaryIO | None = None,
) -> Corpus:
    """Read every place, in the order given, as one text in memory.

    Args:
        places: see `charlstm.text.locations.Locations`.
        options: the form of the text; the defaults if ``None``.
        encoding: see `Reading`.
        earlier: see `Reading`.
        stdin: see `Reading`.

    Raises:
        CorpusError: a place does not exist, cannot be read or decoded, or holds no text.
    """
    options = options or TextOptions()
    with Reading(
        places, options=options, encoding=encoding, earlier=earlier, stdin=stdin
    ) as reading:
        return held_in_memory(reading)


def held_in_memory(reading: Reading) -> Corpus:
    """Go through a reading and keep its text in memory."""
    alphabet = Alphabet()
    parts = [ids.astype(narrowest(len(alphabet))) for ids in reading.ids(alphabet)]
    sources = reading.sources(reading.characters, reading.accounts)
    return Corpus(
        np.concatenate(parts),
        alphabet,
        sources,
        reading.options,
        reading.sha256,
        parted=reading.parted,
        changed=reading.changed,
        labels=reading.labels,
    )
