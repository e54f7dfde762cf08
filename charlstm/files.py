"""Writing files so that nothing is lost, and reading them so that nothing is trusted.

A file is looked at before it is opened and measured before it is read. It is written under
another name, flushed to the disk and renamed, so that readers find the old file or the new one and
never a part.
"""

import bz2
import codecs
import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from charlstm.errors import Part, RunError
from charlstm.machine import machine_bytes

ADVICE = "Restore the run from an intact copy, or train again."
"""What to do about a damaged run."""

# Descriptions are JSON, which may take more than twenty times its size in memory once it is read.
# The largest possible vocabulary fits into this, or the reports of 90,000 epochs.
LARGEST_JSON = 32 << 20
"""No file that is parsed is longer than this, in bytes."""
# Every machine has this much memory; finding out how much there is takes a moment.
_SURELY_THERE = 64 << 20
# Whoever only looks whether a lock is held has it for a moment, which is waited out.
_LOOKED_AT_SECONDS = 0.2
# How files are opened that may be anything: Windows has no such waiting, and would change bytes.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Text is encoded and compressed this many characters at a time, so that it is never there twice.
_PIECE = 1 << 20


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name, flush it to the disk and rename it.

    Raises:
        RunError: it cannot be written; what was there before is kept.
    """
    try:
        write_pieces(path, [data])
    except OSError as error:
        raise unwritable(path, error) from None


def write_pieces(path: Path, pieces: Iterable[bytes]) -> int:
    """Put a file that holds `pieces` in its place, whole or not at all; return its size."""
    beside = path.with_name(f".{path.name}.part")
    try:
        # What a crash left here, or a link that somebody put here, is not written to.
        beside.unlink(missing_ok=True)
        with beside.open("xb") as file:
            size = sum(map(file.write, pieces))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_directory(path.parent)
    except Exception:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    return size


def _flush_directory(path: Path) -> None:
    """Make sure that a power cut does not undo a renaming; not every system can."""
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock, which is an empty file and dies with the process.

    Args:
        path: of the file.
        busy: what to say when somebody else holds it.

    Raises:
        RunError: somebody does.
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout

    # Not by the mere existence of the file, which would outlive a process that is killed.
    # It may be given back in another thread than it was taken in.
    lock = FileLock(path, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire(timeout=_LOOKED_AT_SECONDS, poll_interval=_LOOKED_AT_SECONDS / 10)
    except Timeout:
        raise RunError(busy) from None
    except NotImplementedError as error:  # not every file system has locks
        raise OSError(errno.ENOTSUP, str(error)) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether somebody holds a lock; one that was never made is held by nobody.

    Args:
        path: of its file.
    """
    if not is_file(path):
        return False
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, fallback_to_soft=False).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # whoever may not even look holds none there
        return False


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error for a file that cannot be written."""
    return RunError(f"{path} cannot be written: {error.strerror}. What was saved before is kept.")


def read_bytes(
    path: Path, limit: int = LARGEST_JSON, *, advice: Sequence[Part] = (ADVICE,)
) -> bytes:
    """Return what a file holds.

    Args:
        path: of the file.
        limit: no sound one has more bytes.
        advice: the end of the error: what to do.

    Raises:
        RunError: it cannot be read, or has more than `limit` bytes.
    """
    try:
        size = size_of(path)
        if size > limit:
            raise RunError(
                f"{path} is damaged: it has {size:,} bytes, and more than {limit:,} cannot be "
                "right. ",
                *advice,
            )
        check_memory(path, size)
        with opened_in_place(path) as file:
            return file.read(size) or b""
    except OSError as error:
        raise unreadable(path, error, advice) from None


def size_of(path: Path) -> int:
    """Return the size of a file.

    Raises:
        OSError: there is none, or it is something else. Opening a pipe waits for somebody to
            write into it, and a device has no end.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a file")
    return status.st_size


def opened(path: Path) -> BinaryIO:
    """Open a file to be read, whoever made it, and wait for nothing.

    What it holds may come later or never, as in some that a system makes up: then reading returns
    ``None``.

    Raises:
        OSError: it is no file, or cannot be opened.
    """
    size_of(path)  # first, because opening a device may do something
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced meanwhile
        file.close()
        raise OSError(errno.EINVAL, "it is not a file")
    return file


def opened_in_place(path: Path) -> BinaryIO:
    """Open a file of a directory that may come from a stranger, as `opened` does.

    Raises:
        OSError: it is a link that leads out of its directory; or see there.
    """
    size_of(path)
    home = os.path.realpath(path.parent)  # all of it may be a link
    if not Path(os.path.realpath(path)).is_relative_to(home):
        raise OSError(errno.EPERM, "it is a link that leads out of its directory")
    return opened(path)


def is_file(path: Path) -> bool:
    """Whether there is such a file; there is none with a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113, which raises where it may not look


def check_memory(path: Path, size: int) -> None:
    """Check that this many bytes could fit into memory at all.

    Raises:
        RunError: they could not.
    """
    most = machine_bytes() if size > _SURELY_THERE else None
    if most is not None and size > most:
        raise RunError(
            f"{path} takes {size / 1e9:,.1f} GB of memory, and this machine has {most / 1e9:,.1f} "
            "GB; use a larger one."
        )


def parse(path: Path, data: bytes) -> object:
    """Return the value of some JSON.

    Raises:
        RunError: it is not JSON.
    """
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RunError(f"{path} is damaged: it is not valid JSON. {ADVICE}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def damaged(path: Path, error: Exception) -> RunError:
    """Return the error for a file in which something is not what it must be."""
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    # The damaged part may be quoted in it, and may be as long as a book.
    told = "".join(c if c.isprintable() else "\ufffd" for c in what[:500]).rstrip(".")
    return RunError(f"{path} is damaged: {told}. {ADVICE}")


def unreadable(path: Path, error: Exception, advice: Sequence[Part] = (ADVICE,)) -> RunError:
    """Return the error for a file that cannot be read; `advice` says what to do."""
    reason = getattr(error, "strerror", None) or str(error)
    return RunError(f"{path} cannot be read: {one_line(reason)}. ", *advice)


def one_line(text: str) -> str:
    """Return a library's message, which may quote what is damaged, made to fit a sentence."""
    return "".join(filter(str.isprintable, " ".join(text.split())))[:200]


def utf8(text: str | Iterable[str]) -> Iterator[bytes]:
    """Yield the bytes of a text, a piece at a time."""
    if isinstance(text, str):
        for start in range(0, len(text), _PIECE):
            yield text[start : start + _PIECE].encode()
    else:
        yield from (piece.encode() for piece in text)


def packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what bzip2 makes of some bytes."""
    packer = bz2.BZ2Compressor()
    yield from map(packer.compress, pieces)
    yield packer.flush()


def unpacked(file: BinaryIO, characters: int, on_data: Callable[[bytes], object]) -> str:
    """Return the text that a bzip2 file holds.

    Args:
        file: where it is read.
        characters: how many the text has. No more than that is unpacked, however much there is.
        on_data: called with the bytes of the text, one piece after the other.

    Raises:
        OSError, ValueError: it holds something else.
    """
    reader = bz2.BZ2Decompressor()
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces: list[str] = []
    left, packed = characters, file.read(_PIECE) or b""
    while not reader.eof:
        # No character has more than four bytes.
        most = min(_PIECE, 4 * left + 1)
        data = reader.decompress(packed, most)
        on_data(data)
        piece = decoder.decode(data, final=reader.eof)
        left -= len(piece)
        if left < 0:
            raise ValueError("there is more")
        pieces.append(piece)
        if len(data) < most and not reader.eof:
            packed = file.read(_PIECE)
            if not packed:
                raise ValueError("there is less")
        else:
            packed = b""
    if left:
        raise ValueError("there is less")
    return "".join(pieces)
