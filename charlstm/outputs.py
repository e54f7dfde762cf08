"""Files that a user names to be written: nobody's work is written over.

What is there already is replaced only if charlstm made it, which a mark in it says, or if the user
says so. What is read meanwhile is never replaced, by whatever name it goes.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import OutputError, Setting
from charlstm.files import opened, write_pieces

MAKER = "charlstm"
"""Who made a file, as a mark in it says."""

PAGE = f'<meta name="generator" content="{MAKER}">'.encode()
"""The mark in the head of a page."""

FIGURE = f"<dc:title>{MAKER}</dc:title>".encode()
"""The mark of a figure: its creator."""

GRAPH = bytes([0x12, len(MAKER)]) + MAKER.encode()
"""The mark of an ONNX file: its producer, the second field of such a file."""

# Whatever was made here says so within this many bytes.
_HEAD = 1 << 13


@dataclass(frozen=True)
class Output:
    """A file to be written.

    Attributes:
        path: of the file.
        read: what is read meanwhile: files, or descriptors of open ones.
        marks: one of these has a file in it that may be replaced, because it was made here.
        force: whether a file that was not made here may be replaced.
    """

    path: Path
    read: Sequence[Path | int] = ()
    marks: Sequence[bytes] = ()
    force: bool = False

    def check(self) -> None:
        """Check that it can be written, and that nothing is lost by it.

        Raises:
            OutputError: it cannot, or something is.
        """
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            # A link may lead to what is not there yet.
            parent = (self._place if self.path.is_symlink() else self.path).parent
            if not parent.is_dir():
                raise self._refused(f"{parent} is not a directory") from None
            return
        except (OSError, ValueError) as error:
            raise self._refused(getattr(error, "strerror", None) or str(error)) from None
        if stat.S_ISDIR(status.st_mode):
            raise self._refused("it is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise self._refused("it is not a file")
        if is_one_of(self.path, self.read):
            raise OutputError(
                f"{self.path} is read here, so it is not written over: name another file."
            )
        if not self.force and not is_made_here(self.path, self.marks):
            raise OutputError(
                f"{self.path} is there already, and charlstm has not made it: name another file, "
                "or say ",
                Setting("force"),
                " to write over it.",
            )

    def write(self, data: bytes) -> None:
        """Put `data` there, whole or not at all; through a link, where it leads.

        Raises:
            OutputError: see `check`; or it cannot be written, and what was there is kept.
        """
        self.write_pieces([data])

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Put what `pieces` make together there; see `write`."""
        self.check()  # once more: what was not there may be there now
        try:
            write_pieces(self._place, pieces)
        except OSError as error:
            raise self._refused(str(error.strerror)) from None

    @property
    def _place(self) -> Path:
        return Path(os.path.realpath(self.path))

    def _refused(self, reason: str) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {reason}.")


def is_made_here(path: Path, marks: Sequence[bytes]) -> bool:
    """Return whether a file has one of these marks near its beginning."""
    try:
        with opened(path) as file:
            head = file.read(_HEAD) or b""
    except OSError:
        return False
    return any(mark in head for mark in marks)


def is_one_of(file: Path | int, others: Sequence[Path | int]) -> bool:
    """Return whether a file is one of others, whatever they are called."""
    found = _status(file)
    known = (_status(other) for other in others)
    return found is not None and any(
        other is not None and os.path.samestat(found, other) for other in known
    )


def _status(file: Path | int) -> os.stat_result | None:
    try:
        return os.stat(file)  # noqa: PTH116, which takes descriptors as well
    except (OSError, ValueError):
        return None
