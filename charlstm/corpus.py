"""From files to one text: find them, decode them, normalise them, remember where each came from.

Bytes are never dropped. A file either decodes completely or is refused with its name, the
offset of the byte in the way and what to try.
"""

import glob
import gzip
import hashlib
import os
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charlstm.errors import CorpusError

# The longest first: the UTF-32 mark begins with the UTF-16 one.
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


# What makes up more than a tenth of any Chinese text, of Tang poems and of pop songs alike, and
# hardly ever appears where GB18030 is read into something else.
_COMMON_HANZI = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后"
    "作里无山风日春天花月水心如何相此去见"
)
# All that a Western European text has beyond ASCII.
_WESTERN = frozenset(
    "àâäãåæçéèêëîïíìñôöóòõøœùûüúýÿßÀÂÄÃÅÆÇÉÈÊËÎÏÍÌÑÔÖÓÒÕØŒÙÛÜÚÝŸ“”‘’„‚«»–—…¿¡°·€£§\u00a0"
)


@dataclass(frozen=True)
class TextOptions:
    """How decoded text is brought into the form that the model reads.

    Attributes:
        normalize: bring the text to Unicode's composed form (NFC).
        newline: ``"keep"`` leaves line breaks, ``"space"`` turns each into a space, as the
            classic lyrics tutorials do.
        limit: take only the first so many characters; ``None`` takes all.
    """

    normalize: bool = True
    newline: str = "keep"
    limit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.normalize, bool):
            raise CorpusError(f"normalize must be true or false, not {self.normalize!r}.")
        if self.newline not in ("keep", "space"):
            raise CorpusError(f"newline must be 'keep' or 'space', not {self.newline!r}.")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise CorpusError(f"limit must be a whole number from 1 up, not {self.limit!r}.")

    def apply(self, text: str) -> str:
        """Return `text` in this form; ``limit`` is not applied here."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if self.newline == "space":
            text = text.replace("\n", " ")
        return unicodedata.normalize("NFC", text) if self.normalize else text


@dataclass(frozen=True)
class Source:
    """One file of a corpus: its name as shown, the encoding found, its characters, its bytes' hash.

    ``characters`` counts decoded characters before normalisation.
    """

    name: str
    encoding: str
    characters: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """A text ready to be learned, and where it came from."""

    text: str
    sources: tuple[Source, ...]
    options: TextOptions

    @property
    def size(self) -> tuple[int, int]:
        """How many characters there are, and how many different ones among the first million."""
        return len(self.text), len(set(self.text[:1_000_000]))

    @property
    def sha256(self) -> str:
        """The hash of the normalised text in UTF-8: what a resumed run compares."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def read_corpus(
    places: Sequence[str | Path],
    *,
    options: TextOptions | None = None,
    encoding: str | None = None,
    stdin: BinaryIO | None = None,
) -> Corpus:
    """Read every place, in the order given, as one text.

    Args:
        places: files, directories (every ``*.txt`` below, in sorted order), globs, ``.zip`` and
            ``.gz`` text, or ``-`` for standard input. A file reached twice is read once.
        options: the form of the text; the defaults where ``None``.
        encoding: decode everything with this codec instead of finding out.
        stdin: where ``-`` reads; the process's standard input where ``None``.

    Raises:
        CorpusError: a place does not exist, cannot be read or decoded, or holds no text.
    """
    options = options or TextOptions()
    sources: list[Source] = []
    parts: list[str] = []
    for name, data in _read_bytes(places, stdin):
        text, found = decode(data, name=name, encoding=encoding)
        sources.append(Source(name, found, len(text), hashlib.sha256(data).hexdigest()))
        # Without this the last line of one file would run into the first of the next.
        if parts and parts[-1] and not parts[-1].endswith(("\n", "\r")):
            parts.append("\n")
        parts.append(text)
    text = options.apply("".join(parts))[: options.limit]
    if not text:
        named = ", ".join(source.name for source in sources)
        raise CorpusError(f"There is no text in {named}: the corpus is empty.")
    return Corpus(text, tuple(sources), options)


def decode(data: bytes, *, name: str, encoding: str | None = None) -> tuple[str, str]:
    """Decode `data` whole; return the text and the encoding that was used.

    Tried in this order: the given encoding and nothing else; a byte order mark; UTF-8; Windows-1252
    and GB18030 where the result looks Western or Chinese; the best guess of charset-normalizer.

    Raises:
        CorpusError: naming `name`, the offset in bytes and what to try.
    """
    if encoding is not None:
        return _decode_as(data, encoding, name)
    for mark, codec in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_as(data, codec, name)
    try:
        text, found = data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        text, found = _decode_foreign(data, name, error)
    if (offset := data.find(0)) >= 0:
        raise CorpusError(
            f"{name} is not plain text: there is a NUL byte at offset {offset}. If it is UTF-16 "
            "without a byte order mark, say --encoding utf-16-le or utf-16-be."
        )
    return text, found


def split(text: str, validation: float) -> tuple[str, str]:
    """Cut `text` once: the first part to train on, the last share `validation` to hold out."""
    held_out = int(len(text) * validation)
    cut = len(text) - held_out
    return text[:cut], text[cut:]


def _decode_as(data: bytes, encoding: str, name: str) -> tuple[str, str]:
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
        text.encode()  # utf-7 lets half characters through, which nothing could write again
        return text, encoding
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{name} is not text in {encoding}: character {error.start:,} is half a surrogate pair."
        ) from None
    except UnicodeDecodeError as error:
        raise _undecodable(data, name, error, tried=encoding) from None
    except (LookupError, ValueError):  # some names are no codec's, some no name at all
        raise CorpusError(
            f"There is no encoding called {encoding!r}; try utf-8, gb18030, big5 or utf-16."
        ) from None


def _decode_foreign(data: bytes, name: str, error: UnicodeDecodeError) -> tuple[str, str]:
    """Decode what is not UTF-8, unless it is UTF-8 that was damaged: that must not be guessed at.

    Nearly every byte string is valid in some codec, so a UTF-8 file with one broken byte would
    otherwise be turned into mojibake from its first line to its last.
    """
    replaced = data.decode("utf-8", "replace")
    broken = replaced.count("\ufffd")
    sound = sum(1 for character in replaced if character > "\x7f") - broken
    if sound > 4 * broken:
        raise _undecodable(data, name, error, tried="utf-8")
    for codec, looks_right in (("cp1252", _looks_western), ("gb18030", _looks_chinese)):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if looks_right(text):
            return text, codec
    from charset_normalizer import from_bytes  # slow to import, seldom needed

    guess = from_bytes(data).best()
    if guess is None:
        raise _undecodable(data, name, error, tried="utf-8")
    return _decode_as(data, guess.encoding, name)


def _looks_western(text: str) -> bool:
    """Whether it has the letters of Western Europe, here and there among plain ones."""
    foreign = sum(1 for character in text if character > "\x7f")
    western = sum(1 for character in text if character in _WESTERN)
    letters = sum(1 for character in text if character.isalpha())
    return western == foreign and 3 * foreign < letters


def _looks_chinese(text: str) -> bool:
    """Whether the commonest characters are there: GB18030 accepts nearly all other bytes too."""
    foreign = [character for character in text if character > "\x7f"]
    common = sum(1 for character in foreign if character in _COMMON_HANZI)
    # A few words may lack them; there it must do that all are everyday characters or punctuation,
    # rows 0xB0-0xD7 and 0xA1-0xA9 of GB 2312.
    few = len(foreign) < 50 and all(
        b"\xa1" <= row <= b"\xa9" or b"\xb0" <= row <= b"\xd7"
        for row in (character.encode("gb2312", "ignore")[:1] for character in foreign)
    )
    return few or common >= 0.04 * len(foreign)


def _undecodable(data: bytes, name: str, error: UnicodeDecodeError, tried: str) -> CorpusError:
    offset = error.start
    line = data.count(b"\n", 0, offset) + 1
    return CorpusError(
        f"{name} cannot be decoded as {tried}: byte 0x{data[offset]:02x} at offset {offset:,} "
        f"(line {line:,}) does not belong there. Repair the file, or name its encoding with "
        "--encoding (gb18030, big5, shift_jis, cp1252 are common)."
    )


def _read_bytes(
    places: Sequence[str | Path], stdin: BinaryIO | None
) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for place in places:
        if str(place) == "-":
            if stdin is None and sys.stdin is None:
                raise CorpusError("Standard input is closed: pipe a text in, or name a file.")
            yield "standard input", (stdin or sys.stdin.buffer).read()
            continue
        for path in _find(str(place)):
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                yield from _open(path)
    if not places:
        raise CorpusError("No corpus was given: name a text file, a directory or - for a pipe.")


def _find(place: str) -> list[Path]:
    path = Path(place)
    try:
        path.stat()
    except (OSError, ValueError):  # not there, too long, a loop of links: the same to its user
        return _match(place)
    if path.is_dir():
        found = sorted(
            file
            for file in _files_below(path)
            # macOS leaves a shadow ._NAME of each file on foreign disks; it is not text.
            if file.suffix.lower() == ".txt" and not file.name.startswith("._") and file.is_file()
        )
        if not found:
            raise CorpusError(f"There is no *.txt file in the directory {place} or below it.")
        return found
    return [path]


def _files_below(path: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(path, onerror=_refuse_directory):
        if "run.json" in names:
            below.clear()  # a run's held-out text and its samples are nobody's corpus
        else:
            yield from (Path(directory, name) for name in names)


def _refuse_directory(error: OSError) -> None:
    raise CorpusError(f"{error.filename} cannot be read: {error.strerror}.")


def _match(place: str) -> list[Path]:
    if glob.has_magic(place):
        found = sorted(Path(match) for match in glob.glob(place, recursive=True))  # noqa: PTH207
        files = [match for match in found if match.is_file()]
        if files:
            return files
        raise CorpusError(f"Nothing matches {place}.")
    raise CorpusError(f"There is no file or directory called {place}.")


def _open(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        suffix = path.suffix.lower()
        if suffix == ".zip":
            yield from _open_zip(path)
        elif suffix == ".gz":
            with gzip.open(path) as file:
                yield str(path), file.read()
        else:
            yield str(path), path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorpusError(f"{path} cannot be read: {reason}.") from None


def _open_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(
                member
                for member in archive.namelist()
                # macOS adds a shadow of each file there; it is not text.
                if member.lower().endswith(".txt") and not member.startswith("__MACOSX/")
            )
            if not members:
                raise CorpusError(f"There is no *.txt file in the archive {path}.")
            for member in members:
                yield f"{path}/{member}", archive.read(member)
    except CorpusError:
        raise
    # Each kind of compression has errors of its own, and not every Python has every kind.
    except Exception as error:
        raise CorpusError(f"{path} cannot be read as a zip archive: {error}.") from None
