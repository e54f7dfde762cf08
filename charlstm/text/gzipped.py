"""Bytes that gzip has packed, by how they begin and not by a name, and how many at most."""

import gzip
from typing import Any, Protocol, cast

from charlstm.errors import CorpusError

# No text packs this well. Below this many bytes it does no harm, however well it packs.
_MOST_PACKED = 100
_HARMLESS = 1 << 26


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes | None:
        """Return the next bytes, `size` at most, and none at the end; ``None`` for none yet."""


def is_gzip(first: bytes | None) -> bool:
    """Return whether bytes begin as gzip does, with the one method that it has."""
    return first is not None and first.startswith(b"\x1f\x8b\x08")


class Unpacked:
    """What is packed in a file of which the first bytes are read already.

    Args:
        first: those bytes.
        file: what has the others.

    Attributes:
        packed: how many bytes were read of what is packed.
    """

    def __init__(self, first: bytes | None, file: Readable) -> None:
        self.packed = 0
        self._packed = _Packed(self, first or b"", file)
        self._file = gzip.GzipFile(fileobj=cast("Any", self._packed))

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, `size` at most, and none at the end."""
        return self._file.read(size)


class _Packed:
    """The packed bytes, those again that were read already."""

    def __init__(self, counter: Unpacked, first: bytes, file: Readable) -> None:
        self._counter, self._first, self._file = counter, first, file

    def read(self, size: int, /) -> bytes:
        data, self._first = self._first[:size], self._first[size:]
        data = data or self._file.read(size) or b""
        self._counter.packed += len(data)
        return data


def refuse_bomb(name: str, unpacked: int, packed: int) -> None:
    """Raise `CorpusError` where far more bytes are unpacked than any text has.

    Args:
        name: of the file.
        unpacked: how many came out.
        packed: how many went in.
    """
    if unpacked > max(_HARMLESS, _MOST_PACKED * packed):
        raise CorpusError(
            f"{name} unpacks into more than {_MOST_PACKED} times its size, which no text does: "
            "unpack it yourself if you trust it, and name the file."
        )
