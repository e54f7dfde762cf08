"""From what a user names to streams of bytes: files, directories, globs, archives, pipes.

Texts are opened one after the other and read a piece at a time, so that neither a tree of fifty
thousand files nor one file of many gigabytes takes more than one piece's memory and one handle.
"""

import contextlib
import errno
import fnmatch
import glob
import gzip
import io
import os
import stat
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from charlstm.errors import CorpusError, shortened
from charlstm.text.formats.format import ENDINGS, SUFFIXES, Format
from charlstm.text.gzipped import Readable, Unpacked, is_gzip, refuse_bomb

PIECE = 1 << 22
"""How many bytes are read at once."""

# All of these, as an error names them.
_ENDINGS = f"{', '.join(f'*{ending}' for ending in ENDINGS[:-1])} or *{ENDINGS[-1]}"
# What cannot be opened twice is kept meanwhile: in memory up to this many bytes, else in a file.
_KEPT_IN_MEMORY = 1 << 26
# Nobody knows when a pipe will end: of one that does not, no more than this is kept.
_MOST_PIPED = 1 << 30
# No text has as many zeros in a row, in whatever encoding.
_ZEROS = bytes(16)
# Of a longer name, its beginning and its end are shown.
_LONGEST_SHOWN = 500
# The flag bit of an encrypted member of an archive.
_ENCRYPTED = 1
# With any other method zipfile unpacks all that it has read at once, however much comes out, and
# four thousand bytes of bzip2 can become as many megabytes.
_UNPACKED_BY_AND_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Text:
    """The bytes of one text, which can be read as often as needed while it is the current one.

    Attributes:
        name: as it is shown, on one line.
        open: opens it anew.
        packed: the size of the compressed file that it is in; 0 if it is not compressed.
        form: what it is, whatever it looks like; found out where ``None``.
        folder: the name of the folder that it lies in, if it lies in one.
    """

    name: str
    open: Callable[[], contextlib.AbstractContextManager[Readable]]
    packed: int = 0
    form: Format | None = None
    folder: str | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes, `PIECE` at a time.

        Raises:
            CorpusError: it cannot be read, or unpacks into more than any text does.
        """
        packed = self.packed
        # Each kind of compression has errors of its own, and not every Python has every kind.
        with _readable(self.name, Exception if packed else OSError), self.open() as file:
            first = file.read(PIECE)
            if not is_gzip(first):
                yield from _counted(self.name, file, first, packed)
                return
            with _readable(self.name, Exception):
                unpacked = Unpacked(first, file)
                yield from _counted(self.name, unpacked, unpacked.read(PIECE), packed or 1)


def _counted(name: str, file: Readable, first: bytes | None, packed: int) -> Iterator[bytes]:
    """Yield what a file holds, unless that is more than what is packed in it can be."""
    done = 0
    data = first
    while data:
        done += len(data)
        if packed:
            refuse_bomb(name, done, max(packed, getattr(file, "packed", 0)))
        yield data
        data = file.read(PIECE)
    if data is None:  # as some files that a system makes up
        raise OSError(errno.EAGAIN, "there is nothing to read yet")


Place = str | Path | Text
"""Where a text is: a name, or the text itself."""


class Locations:
    """What a user named as the corpus; `texts` can be gone through several times.

    Args:
        names: files, directories (every file below that is called like a text, in sorted order),
            globs, ``.zip`` and ``.gz`` text, ``-`` for standard input, or a text
            itself. A file reached twice is read once.
        stdin: where ``-`` reads; the process's standard input if ``None``.
        suffixes: what the names of texts in a directory or an archive end in.

    Raises:
        CorpusError: a place does not exist or cannot be listed.
    """

    def __init__(
        self,
        names: Sequence[Place],
        stdin: BinaryIO | None = None,
        suffixes: tuple[str, ...] = SUFFIXES,
    ) -> None:
        if not names:
            raise CorpusError("No corpus was given: name a text file, a directory or - for a pipe.")
        self._stdin, self._suffixes = stdin, suffixes
        self._kept: dict[str, tempfile.SpooledTemporaryFile[bytes]] = {}
        # By the place that they lead to; there may be a file called - as well.
        self._paths: dict[str, str] = {}
        self._handed = [name for name in names if isinstance(name, Text)]
        for name in (str(name) for name in names if not isinstance(name, Text)):
            if name == "-":
                self._paths.setdefault("-", "standard input")
                continue
            for path in _find(name, suffixes):
                self._paths.setdefault(os.path.realpath(path), str(path))

    @property
    def files(self) -> list[Path]:
        """The files that are read, without standard input."""
        return [Path(path) for place, path in self._paths.items() if place != "-"]

    def close(self) -> None:
        """Discard what was kept of pipes."""
        for kept in self._kept.values():
            kept.close()
        self._kept.clear()

    def texts(self) -> Iterator[Text]:
        """Yield every text, in the order given; each is to be read before the next is asked for.

        Raises:
            CorpusError: a place cannot be opened.
        """
        yield from self._handed
        for place, path in self._paths.items():
            if place == "-":
                yield Text(path, lambda: self._kept_open("-", _standard_input(self._stdin)))
            else:
                yield from self._open(path)

    def _open(self, path: str) -> Iterator[Text]:
        name = _shown(path)
        with _readable(name, OSError):
            status = os.stat(path)  # noqa: PTH116, whatever the name is
        if stat.S_ISFIFO(status.st_mode):
            yield Text(name, lambda: self._kept_open(path, _pipe(path)), folder=_folder(path))
        elif not stat.S_ISREG(status.st_mode):
            raise CorpusError(f"{name} is not a file but a device or a socket: name a text file.")
        elif path.lower().endswith(".zip"):
            yield from _members(path, status.st_size, self._suffixes)
        elif path.lower().endswith(".gz"):
            yield Text(name, partial(gzip.open, path), status.st_size, folder=_folder(path))
        else:
            yield Text(name, partial(io.FileIO, path, opener=_at_once), folder=_folder(path))

    def _kept_open(
        self, path: str, pieces: Iterator[bytes]
    ) -> contextlib.AbstractContextManager[Readable]:
        """Return a file that holds all that comes out of a pipe, which can be read only once."""
        if path not in self._kept:
            with contextlib.ExitStack() as stack:
                kept = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_KEPT_IN_MEMORY))
                for data in pieces:
                    kept.write(data)
                    _refuse_endless(path, data, kept.tell())
                stack.pop_all()  # all of it is there: it stays open
            self._kept[path] = kept
        self._kept[path].seek(0)
        return contextlib.nullcontext(self._kept[path])


def read_short(path: str | Path, limit: int) -> bytes:
    """Return what a file, a pipe or, for ``-``, standard input holds, as it is.

    Args:
        path: of the file.
        limit: how many bytes at most.

    Raises:
        CorpusError: it cannot be read, or has more.
    """
    name = "standard input" if str(path) == "-" else _shown(str(path))
    data = bytearray()
    with _readable(name, OSError):
        for piece in _pieces(str(path)):
            data += piece
            if len(data) > limit:
                raise CorpusError(f"{name} has more than {limit:,} bytes, which is too much here.")
    return bytes(data)


def _pieces(path: str) -> Iterator[bytes]:
    if path == "-":
        return _standard_input()
    mode = os.stat(path).st_mode  # noqa: PTH116, whatever the name is
    if stat.S_ISFIFO(mode):
        return _pipe(path)
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening that says what it is
        raise OSError(errno.EINVAL, "it is not a file")
    return Text(_shown(path), partial(io.FileIO, path, opener=_at_once)).pieces()


def _standard_input(given: BinaryIO | None = None) -> Iterator[bytes]:
    if given is None and sys.stdin is None:
        raise CorpusError("Standard input is closed: pipe a text in, or name a file.")
    file = given or sys.stdin.buffer
    if _is_device(file):
        raise CorpusError("Standard input is a device: pipe a text in, or name a file.")
    return iter(lambda: file.read(PIECE), b"")


@contextlib.contextmanager
def _readable(name: str, errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except CorpusError:
        raise
    except errors as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CorpusError(f"{name} cannot be read: {reason}.") from None


def _shown(name: str) -> str:
    """Return the name of a file on one line: it may contain line breaks, and be a whole song."""
    return "⏎".join(shortened(name, _LONGEST_SHOWN).splitlines())


def _folder(path: str) -> str | None:
    """Return the name of the folder that a file lies in; ``None`` at the top of everything."""
    return Path(os.path.abspath(path)).parent.name or None  # noqa: PTH100, links are not followed


def _refuse_endless(path: str, data: bytes, size: int) -> None:
    name = "standard input" if path == "-" else _shown(path)
    if _ZEROS in data:
        raise CorpusError(f"{name} is no text: it has zeros in it.")
    if size > _MOST_PIPED:
        raise CorpusError(
            f"{name} does not end after {_MOST_PIPED:,} bytes: save it to a file if it is a text, "
            "and name that."
        )


def _is_device(file: BinaryIO) -> bool:
    """Return whether an open file is a device that has no end; a terminal has one, and null."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, ValueError):  # it is in memory
        return False
    null = os.path.realpath(os.devnull)
    return (
        stat.S_ISCHR(status.st_mode)
        and not file.isatty()
        and not os.path.samestat(status, os.stat(null))  # noqa: PTH116
    )


def _find(place: str, suffixes: tuple[str, ...]) -> list[Path]:
    path = Path(place)
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # not there, too long, a loop of links: all the same to the user
        files = _match(place)
    else:
        files = list(_files_below(path, suffixes)) if is_directory else [path]
    return sorted(files)


def _files_below(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    nothing = True
    others: Counter[str] = Counter()
    for directory, below, names in _walk(path, _refuse_directory):
        if "run.json" in names:
            below.clear()  # a run's held-out text and its samples are nobody's corpus
            continue
        for file in (Path(directory, name) for name in names):
            if file.name.startswith("._") or not _is_file(file):
                continue
            if _is_text(file.name, suffixes):
                nothing = False
                yield file
            elif not file.name.startswith("."):
                others[file.suffix.lower()] += 1
    if nothing:
        raise CorpusError(
            f"There is no text in the directory {_shown(str(path))} or below it: no {_ENDINGS}"
            f"{_instead(path, others)}."
        )


def _is_text(name: str, suffixes: tuple[str, ...]) -> bool:
    # macOS leaves a shadow ._NAME of each file on foreign disks; it is not text.
    return name.lower().endswith(suffixes) and not name.rpartition("/")[2].startswith("._")


def _instead(path: Path, others: Mapping[str, int]) -> str:
    """Say what a directory holds instead of texts, and how to name it."""
    kinds = [
        (suffix, number)
        for suffix, number in sorted(others.items(), key=lambda kind: (-kind[1], kind[0]))
        if suffix
    ]
    if not kinds:
        return ""
    listed = [f"{number:,} {suffix}" for suffix, number in kinds[:3]]
    found = f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else listed[0]
    verb = "is" if len(kinds) == 1 and kinds[0][1] == 1 else "are"
    pattern = _shown(str(path / "**" / f"*{kinds[0][0]}"))
    return f", but there {verb} {found}: if that is text, name it, as in '{pattern}'"


def _walk(
    top: Path, on_error: Callable[[OSError], None] | None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk through directories without following links, which may lead in circles."""
    try:
        yield from os.walk(top, onerror=on_error)
    except RecursionError:
        raise CorpusError(
            f"The directories in {_shown(str(top))} are nested too deep: name the files."
        ) from None


def _refuse_directory(error: OSError) -> None:
    raise CorpusError(f"{_shown(error.filename)} cannot be read: {error.strerror}.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # its name is too long, or not a name at all
        return False


def _match(place: str) -> list[Path]:
    """Return the files that a pattern stands for, as a shell that knows ``**`` would."""
    if not glob.has_magic(place):
        raise CorpusError(f"There is no file or directory called {_shown(place)}.")
    pattern = Path(place)
    base = Path(pattern.anchor)
    parts = pattern.relative_to(base).parts
    matches = {base}
    for part in (*parts, "*") if parts[-1] == "**" else parts:
        if part == "**":
            matches = _directories_below(matches)
        else:
            matches = {match for path in matches for match in _matches_in(path, part)}
    files = [path for path in matches if _is_file(path)]
    if not files:
        raise CorpusError(f"Nothing matches {_shown(place)}.")
    return files


def _directories_below(directories: set[Path]) -> set[Path]:
    """Return directories and those below them, except hidden ones."""
    together: set[Path] = set()
    for directory in sorted(directories):  # each before those below it
        if directory not in together:
            for path, below, _ in _walk(directory, None):
                below[:] = (name for name in below if not name.startswith("."))
                together.add(Path(path))
    return together


def _matches_in(directory: Path, part: str) -> Iterator[Path]:
    """Yield what one part of a pattern stands for in a directory."""
    if glob.has_magic(part):
        with contextlib.suppress(OSError, ValueError):  # nothing matches in what is not a directory
            for name in fnmatch.filter(os.listdir(directory), part):  # noqa: PTH208, only names
                if part.startswith(".") or not name.startswith("."):
                    yield directory / name
    else:
        yield directory / part


def _at_once(path: str, flags: int) -> int:
    """Open a file, and wait for nothing."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _pipe(path: str) -> Iterator[bytes]:
    # Opening a pipe that nobody writes to would block forever.
    descriptor = _at_once(path, os.O_RDONLY)
    with open(descriptor, "rb", buffering=0) as pipe:  # noqa: PTH123, it is open already
        first = pipe.read(PIECE)
        if first == b"":
            raise CorpusError(
                f"{_shown(path)} is a pipe that nobody writes to: start what writes to it first."
            )
        os.set_blocking(descriptor, True)
        yield first or b""  # nothing may have been written yet
        while data := pipe.read(PIECE):
            yield data


def _members(path: str, size: int, suffixes: tuple[str, ...]) -> Iterator[Text]:
    name = _shown(path)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # as when reading from it
        raise CorpusError(f"{name} cannot be read as a zip archive: {error}.") from None
    with archive:
        members = sorted(
            (
                member
                for member in archive.infolist()
                # macOS adds a shadow of each file there; it is not text.
                if _is_text(member.filename, suffixes)
                and not member.filename.startswith("__MACOSX/")
            ),
            key=lambda member: member.filename,
        )
        if not members:
            raise CorpusError(f"There is no text in the archive {name}: no {_ENDINGS}.")
        # Members may overlap, each of them harmless. None unpacks into more than it says.
        refuse_bomb(name, sum(member.file_size for member in members), size)
        for member in members:
            shown = _shown(f"{path}/{member.filename}")
            if member.flag_bits & _ENCRYPTED:
                raise CorpusError(f"{shown} is encrypted: unpack the archive and name the files.")
            if member.compress_type not in _UNPACKED_BY_AND_BY:
                raise CorpusError(
                    f"{shown} is packed in a way that is not supported: unpack the archive and "
                    "name the files."
                )
            # An archive stands for the folder that it was made of.
            folder = Path(member.filename).parent.name or Path(path).stem
            yield Text(shown, partial(archive.open, member), size, folder=folder)
