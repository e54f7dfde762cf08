"""From bytes to characters: which encoding a text is in, and its characters a piece at a time.

Bytes are never dropped. A text either decodes completely or is refused with its name, the offset
of the offending byte and what to try.
"""

import codecs
import reprlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from charlstm.errors import CorpusError, Setting

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


# Together they make up more than a tenth of any Chinese text, Tang poems and pop songs alike, and
# they hardly ever appear where something else is read as GB18030.
_COMMON_HANZI = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后"
    "作里无山风日春天花月水心如何相此去见"
)
# All that a Western European text has beyond ASCII.
_WESTERN = frozenset(
    "àâäãåæçéèêëîïíìñôöóòõøœùûüúýÿßÀÂÄÃÅÆÇÉÈÊËÎÏÍÌÑÔÖÓÒÕØŒÙÛÜÚÝŸ“”‘’„‚«»–—…¿¡°·€£§\u00a0"
)

Pieces = Callable[[], Iterable[bytes]]
"""The bytes of a text, a piece at a time, from its beginning at every call."""


def decode(data: bytes, *, name: str, encoding: str | None = None) -> tuple[str, str]:
    """Decode `data` whole; return the text and the encoding that was used.

    Raises:
        CorpusError: see `find_encoding` and `decoded`.
    """
    codec = find_encoding(lambda: [data], name=name, encoding=encoding)
    return "".join(decoded(lambda: [data], codec, name=name)), codec


def find_encoding(pieces: Pieces, *, name: str, encoding: str | None = None) -> str:
    """Return the encoding that a text is read in.

    Tried in this order: the given encoding and nothing else; a byte order mark; UTF-8; Windows-1252
    and GB18030 where the result looks Western or Chinese; the best guess of charset-normalizer. A
    text with a NUL byte is refused unless the encoding is given or there is a mark.

    Raises:
        CorpusError: naming `name`, the offset in bytes and what to try.
    """
    if encoding is not None:
        if not _exists(encoding):
            raise CorpusError(
                f"There is no encoding called {reprlib.repr(encoding)}; try utf-8, gb18030, big5 "
                "or utf-16."
            )
        return encoding
    head = _between(pieces, 0, _LOOKED_AT)
    for mark, codec in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return codec
    if (offset := _find_nul(pieces)) is not None:
        raise CorpusError(
            f"{name} is not plain text: there is a NUL byte at offset {offset}. If it is UTF-16 "
            "without a byte order mark, say ",
            Setting("encoding", "utf-16-le"),
            " or utf-16-be.",
        )
    offset = _first_undecodable(pieces, "utf-8")
    return "utf-8" if offset is None else _foreign(pieces, head, offset, name)


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


def _foreign(pieces: Pieces, head: bytes, offset: int, name: str) -> str:
    """Find the encoding of what is not UTF-8, unless it is UTF-8 that was damaged at `offset`.

    Nearly every byte string is valid in some codec, so a UTF-8 file with one broken byte would
    otherwise be turned into mojibake from its first line to its last.
    """
    around = _between(pieces, max(0, offset - _LOOKED_AT // 2), offset + _LOOKED_AT // 2)
    replaced = around.decode("utf-8", "replace")
    broken = replaced.count("\ufffd")
    sound = sum(1 for character in replaced if character > "\x7f") - broken
    if sound > 4 * broken:
        raise _undecodable(pieces, name, offset, tried="utf-8")
    for codec, looks_right in (("cp1252", _looks_western), ("gb18030", _looks_chinese)):
        # What is looked at includes the first bytes that are not UTF-8, wherever they are.
        text = around.decode(codec, "ignore")
        if looks_right(text) and _first_undecodable(pieces, codec) is None:
            return codec
    from charset_normalizer import from_bytes  # slow to import, seldom needed

    guess = from_bytes(head if offset < len(head) else around).best()
    if guess is None or _first_undecodable(pieces, guess.encoding) is not None:
        raise _undecodable(pieces, name, offset, tried="utf-8")
    return guess.encoding


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
    # A few words may lack them; then it is enough that all are everyday characters or punctuation,
    # rows 0xB0-0xD7 and 0xA1-0xA9 of GB 2312.
    few = len(foreign) < 50 and all(
        b"\xa1" <= row <= b"\xa9" or b"\xb0" <= row <= b"\xd7"
        for row in (character.encode("gb2312", "ignore")[:1] for character in foreign)
    )
    return few or common >= 0.04 * len(foreign)


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
