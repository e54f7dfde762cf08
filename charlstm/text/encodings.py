"""From bytes to characters: which encoding a text is in, and its characters a piece at a time.

Bytes are never dropped. A text either decodes completely or is refused with its name, the offset
of the offending byte and what to try.
"""

import codecs
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from charlstm.errors import CorpusError, Setting
from charlstm.text.guessing import SUREST, Guess, first_line, guesses, telling_lines
from charlstm.text.kinds import binary_kind

# The longest first: the UTF-32 mark begins with the UTF-16 one.
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Codecs that remove such a mark themselves.
_MARKED = frozenset({"utf-8-sig", "utf-16", "utf-32"})
# Codecs for host names, not for texts: they do not work in pieces.
_OF_HOSTS = frozenset({"idna", "punycode"})
# This many bytes of a long text are looked at to guess its encoding; the guess is refused unless
# the whole text decodes.
_LOOKED_AT = 1 << 20
# Japanese and Korean mail: escapes into two ASCII bytes a character, and the codecs for them.
_ESCAPES = (b"\x1b$@", b"\x1b$B", b"\x1b$)C", b"\x1b$(D")
_ESCAPING = ("iso2022_jp", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_kr")
# How sure a guess is that no language bears out.
_HARDLY = 0.3

Pieces = Callable[[], Iterable[bytes]]
"""The bytes of a text, a piece at a time, from its beginning at every call."""


@dataclass(frozen=True)
class Found:
    """The encoding that a text is read in.

    Attributes:
        encoding: the codec.
        guess: how it was guessed; ``None`` where it was told, or is certain.
    """

    encoding: str
    guess: Guess | None = None


def decode(data: bytes, *, name: str, encoding: str | None = None) -> tuple[str, str]:
    """Decode `data` whole; return the text and the encoding that was used.

    Raises:
        CorpusError: see `find_encoding` and `decoded`.
    """
    codec = find_encoding(lambda: [data], name=name, encoding=encoding).encoding
    return "".join(decoded(lambda: [data], codec, name=name)), codec


def find_encoding(pieces: Pieces, *, name: str, encoding: str | None = None) -> Found:
    """Return the encoding that a text is read in.

    Tried in this order: the given encoding and nothing else; a byte order mark; ISO-2022-JP by its
    escapes; UTF-8; what explains the bytes best (`charlstm.text.guessing`); the best guess of
    charset-normalizer. What is a document, a picture or sound is refused, and so is a text with a
    NUL byte, unless the encoding is given or there is a mark.

    Raises:
        CorpusError: naming `name`, the offset in bytes and what to try.
    """
    if encoding is not None:
        check_encoding(encoding)
        return Found(encoding)
    head = _between(pieces, 0, _LOOKED_AT)
    for mark, codec in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return Found(codec)
    if (kind := binary_kind(head)) is not None:
        raise CorpusError(
            f"{name} is {kind}, not plain text: save its words as plain text (UTF-8) with the "
            "program that it belongs to, and name that file."
        )
    if (offset := _find_nul(pieces)) is not None:
        raise CorpusError(
            f"{name} is not plain text: there is a NUL byte at offset {offset}. If it is UTF-16 "
            "without a byte order mark, say ",
            Setting("encoding", "utf-16-le"),
            " or utf-16-be.",
        )
    if (guess := _escaped(pieces, head)) is not None:
        return Found(guess.encoding, guess)
    offset = _first_undecodable(pieces, "utf-8")
    if offset is None:
        return Found("utf-8")
    guess = _foreign(pieces, head, offset, name)
    return Found(guess.encoding, guess)


def check_encoding(encoding: str) -> None:
    """Check that there is such an encoding.

    Raises:
        CorpusError: there is none, or it is none for texts.
    """
    if not _exists(encoding):
        raise CorpusError(
            f"There is no encoding called {reprlib.repr(encoding)}; try utf-8, gb18030, big5 "
            "or utf-16."
        )


def _exists(encoding: str) -> bool:
    """Whether there is such an encoding, and it is one for texts."""
    try:
        name = codecs.lookup(encoding).name
        codecs.getincrementaldecoder(encoding)
        b"a".decode(encoding)
    except UnicodeDecodeError:  # it needs more than a byte
        pass
    except (LookupError, ValueError):  # some names are no codec's, some not names at all
        return False
    return name not in _OF_HOSTS


def beginning(head: bytes, encoding: str) -> str:
    """Return the text that a file begins with; nothing where it does not decode."""
    try:
        return codecs.decode(head, encoding, "ignore")
    except ValueError:  # not every codec can leave something out
        return ""


def decoded(pieces: Pieces, encoding: str, *, name: str) -> Iterator[str]:
    """Yield the characters of a text, without its byte order mark.

    Raises:
        CorpusError: naming `name`, the offset in bytes and what to try.
    """
    characters = 0
    mark = "" if codecs.lookup(encoding).name in _MARKED else "\ufeff"
    try:
        for text in _decoded(pieces, encoding):
            text.encode()  # utf-7 lets half characters through, which nothing could write again
            yield text if characters else text.removeprefix(mark)
            characters += len(text)
    except UnicodeEncodeError as error:
        at = characters + error.start
        raise CorpusError(
            f"{name} is not text in {encoding}: character {at:,} is half a surrogate pair."
        ) from None
    except _UndecodableError as error:
        raise _undecodable(pieces, name, error.offset, tried=encoding) from None


class _UndecodableError(Exception):
    """A byte does not belong where it is.

    Attributes:
        offset: how many bytes come before it.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset


def _decoded(pieces: Pieces, encoding: str) -> Iterator[str]:
    """Yield the characters of a text.

    Raises:
        _UndecodableError: where it does not decode.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    done = waiting = 0
    try:
        for data, final in chain(((piece, False) for piece in pieces()), [(b"", True)]):
            waiting = len(data) + len(decoder.getstate()[0])  # and the beginning of a character
            done += len(data)
            yield decoder.decode(data, final)
    except UnicodeDecodeError as error:
        # The object is what was looked at: it may lack a mark before it, or begin in a piece before
        # this one, but it ends where this one ends.
        raise _UndecodableError(done - len(error.object) + error.start) from None
    except UnicodeError:  # which does not say where
        raise _UndecodableError(done - waiting) from None


def _first_undecodable(pieces: Pieces, encoding: str) -> int | None:
    """Return the offset of the first byte that does not decode; ``None`` where all do."""
    try:
        for _ in _decoded(pieces, encoding):
            pass
    except _UndecodableError as error:
        return error.offset
    return None


def _find_nul(pieces: Pieces) -> int | None:
    done = 0
    for data in pieces():
        if (at := data.find(0)) >= 0:
            return done + at
        done += len(data)
    return None


def _between(pieces: Pieces, start: int, end: int) -> bytes:
    """Return the bytes from one offset to another."""
    stretch = bytearray()
    done = 0
    for data in pieces():
        stretch += data[max(start - done, 0) : max(end - done, 0)]
        done += len(data)
        if done >= end:
            break
    return bytes(stretch)


def _escaped(pieces: Pieces, head: bytes) -> Guess | None:
    """Return a guess for a text that escapes into Japanese or Korean, in ASCII bytes alone."""
    if not any(mark in head for mark in _ESCAPES) or not head.isascii():
        return None
    for codec in _ESCAPING:
        if _first_undecodable(pieces, codec) is None:
            return Guess(codec, SUREST, ("utf-8",), first_line(head.decode(codec, "ignore")))
    return None


def _foreign(pieces: Pieces, head: bytes, offset: int, name: str) -> Guess:
    """Guess the encoding of what is not UTF-8, unless it is UTF-8 that was damaged at `offset`.

    Nearly every byte string is valid in some codec, so a UTF-8 file with one broken byte would
    otherwise be turned into mojibake from its first line to its last.
    """
    start = max(0, offset - _LOOKED_AT // 2)
    around = _between(pieces, start, offset + _LOOKED_AT // 2)
    replaced = around.decode("utf-8", "replace")
    broken = replaced.count("\ufffd")
    sound = sum(1 for character in replaced if character > "\x7f") - broken
    if sound > 4 * broken:
        raise _undecodable(pieces, name, offset, tried="utf-8")
    whole = around.partition(b"\n")[2] if start else around
    # What is looked at includes the first bytes that are not UTF-8, wherever they are. It may begin
    # inside a character, but not after the end of a line.
    for guess in guesses(telling_lines(whole or around)):
        if _first_undecodable(pieces, guess.encoding) is None:
            return guess
    from charset_normalizer import from_bytes  # slow to import, seldom needed

    looked_at = head if offset < len(head) else around
    matches = from_bytes(looked_at)
    best = matches.best()
    if best is None or _first_undecodable(pieces, best.encoding) is not None:
        raise _undecodable(pieces, name, offset, tried="utf-8")
    others = tuple(match.encoding for match in matches if match.encoding != best.encoding)[:2]
    return Guess(best.encoding, _HARDLY, others, first_line(str(best)))


def _undecodable(pieces: Pieces, name: str, offset: int, tried: str) -> CorpusError:
    line, done, byte = 1, 0, 0
    for data in pieces():
        line += data.count(b"\n", 0, max(offset - done, 0))
        if done <= offset < done + len(data):
            byte = data[offset - done]
            break
        done += len(data)
    return CorpusError(
        f"{name} cannot be decoded as {tried}: byte 0x{byte:02x} at offset {offset:,} "
        f"(line {line:,}) does not belong there. Repair the file, or name its encoding with ",
        Setting("encoding"),
        " (gb18030, big5, shift_jis, cp1252 are common).",
    )
