"""What takes room beside the models, and letting go what nobody would miss.

A resume file that is let go leaves a small one in its place, which says so: without it whoever
goes on with the run would begin it anew.
"""

import contextlib
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import CharLSTMError, RunError
from charlstm.files import exclusive, write_whole
from charlstm.runs.directory import RunDirectory
from charlstm.runs.keeping import TRAINING, is_training, sizes
from charlstm.runs.known import runs_in
from charlstm.runs.snapshot import NAME, is_let_go, let_go
from charlstm.text.mapped import DIRECTORY

KINDS = ("resume", "cache", "tensorboard")
"""What can be let go: resume files of trainings that have ended, ids of long texts, which are made
again from the text, and what was written for TensorBoard."""

_LOG = "tensorboard"
# What `charlstm.text.mapped` keeps of a text.
_KEPT = re.compile(r"[0-9a-f]{32}\.(ids|json|part)")


@dataclass(frozen=True)
class Room:
    """Something that could go.

    Attributes:
        kind: one of `KINDS`.
        path: a file or a directory.
        bytes: how many it has.
    """

    kind: str
    path: Path
    bytes: int


def of_run(run: RunDirectory) -> list[Room]:
    """Return what could go of a run: nothing while it learns, or could still go on by itself."""
    return [] if run.path.is_symlink() or is_training(run) else _of_unused(run)


def of_texts(root: Path) -> list[Room]:
    """Return what could go of the long texts kept beside the runs of a root; nothing in use."""
    if any(is_training(RunDirectory(path)) for path in runs_in(root)):
        return []
    files = sizes(root / DIRECTORY)
    return [
        Room("cache", root / DIRECTORY / name, files[name])
        for name in files
        if _KEPT.fullmatch(name)
    ]


def others(root: Path) -> dict[str, int]:
    """Return what else lies in a root, with its bytes: comparisons, texts, what the desk keeps."""
    known = {path.name for path in runs_in(root)}
    found = {}
    with contextlib.suppress(OSError):
        for path in sorted(root.iterdir()):
            if path.name not in known and path.is_dir() and (size := sum(sizes(path).values())):
                found[path.name] = size
    return found


def free(room: Room) -> int:
    """Let something go; return how many bytes that gave back.

    Args:
        room: as `of_run` and `of_texts` return it.

    Raises:
        RunError: somebody uses it, or it cannot be removed.
    """
    busy = f"{room.path} is in use: wait until no training runs, and try again."
    # Whoever trains in a run, and whoever makes such a file or looks for it, holds this lock.
    with _removing(room.path), exclusive(room.path.with_name(TRAINING), busy):
        if room.kind == "cache":
            room.path.unlink(missing_ok=True)
            return room.bytes
        # It may have been gone on with since it was looked at.
        if room not in _of_unused(RunDirectory(room.path.parent)):
            raise RunError(busy)
        if room.kind == "tensorboard":
            shutil.rmtree(room.path)
            return room.bytes
        write_whole(room.path, let_go())
        return room.bytes - len(let_go())


def _of_unused(run: RunDirectory) -> list[Room]:
    """Return what could go of a run that nobody trains."""
    try:
        if run.read_info().finished is None:
            return []
    except CharLSTMError:  # what it is, nobody can tell
        return []
    found = []
    with contextlib.suppress(OSError):
        status = (run.path / NAME).lstat()
        if stat.S_ISREG(status.st_mode) and not is_let_go(run.path):
            found.append(Room("resume", run.path / NAME, status.st_size))
    if written := sum(sizes(run.path / _LOG).values()):
        found.append(Room("tensorboard", run.path / _LOG, written))
    return found


@contextlib.contextmanager
def _removing(path: Path) -> Iterator[None]:
    """Say of an error of the system what it is about.

    Raises:
        RunError: instead.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be removed: {error.strerror}.") from None
