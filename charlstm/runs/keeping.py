"""Keeping runs in order: how large they are, other names, removing them, handing them on.

Nothing outside the directory where runs live is ever touched: a run that is a link is left to
whoever made the link, and links inside a run are neither followed nor handed on.
"""

import contextlib
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charlstm.errors import RunError
from charlstm.files import exclusive, is_file, is_held, opened_in_place
from charlstm.runs.directory import RunDirectory
from charlstm.runs.names import check_name

TRAINING, WRITING = ".lock", ".draft.lock"
"""The locks of a run: of whoever trains in it, and of whoever writes its songs."""

MADE_HERE = b"lc\x08\x00charlstm"
"""What each file of an archive says of who made it: an extra field, which others pass over."""

_PIECE = 1 << 20


def size(run: RunDirectory) -> int:
    """Return how many bytes the files of a run have; links do not count, nor does what is one."""
    return sum(sizes(run.path).values())


def sizes(top: Path) -> dict[str, int]:
    """Return the files below a directory, and how many bytes each has.

    Args:
        top: the directory; nothing of one that is a link counts, and no link below it.
    """
    found = {}
    for path in () if top.is_symlink() else _files(top):
        with contextlib.suppress(OSError):  # it may be gone again
            found[path.relative_to(top).as_posix()] = path.lstat().st_size
    return found


def is_training(run: RunDirectory) -> bool:
    """Return whether somebody trains in a run at this moment."""
    return is_held(run.path / TRAINING)


def rename(run: RunDirectory, name: str) -> RunDirectory:
    """Give a run another name; return it.

    Args:
        run: which; nobody may be training in it, or writing its songs.
        name: as `check_name` allows it.

    Raises:
        RunError: it cannot be called so, the name is taken, somebody uses the run, or it is a
            link.
    """
    check_name(name)
    path = run.path.with_name(name)
    if path == run.path:
        return run
    # On some disks Song and song are one name: then it is no other run.
    if os.path.lexists(path) and not _is_same(path, run.path):
        raise RunError(f"There is {name} already in {run.path.parent}: choose another name.")
    with _alone(run, "renamed"):
        try:
            run.path.rename(path)
        except OSError as error:
            raise RunError(f"{run.path} cannot be renamed: {error.strerror}.") from None
    return RunDirectory(path)


def remove(run: RunDirectory) -> None:
    """Remove a run and all that is in its directory, its songs too.

    It is gone at once or not at all; what is left when the process is killed meanwhile is removed
    when the next run is made.

    Args:
        run: see `rename`.

    Raises:
        RunError: somebody uses it, it is a link, or it cannot be removed.
    """
    hidden = run.path.with_name(f".{secrets.token_hex(8)}")
    with _alone(run, "removed"):
        try:
            run.path.rename(hidden)
        except OSError as error:
            raise RunError(f"{run.path} cannot be removed: {error.strerror}.") from None
    try:
        shutil.rmtree(hidden)
    except OSError as error:
        raise RunError(f"{run.name} is removed, but not all of {hidden}: {error}.") from None


def write_zip(run: RunDirectory, file: BinaryIO) -> None:
    """Pack a run, so that it can be unpacked and used on another machine.

    Every file is whole, as the run directory holds it at that moment.

    Args:
        run: which.
        file: that the archive is written to.

    Raises:
        RunError: a file of the run cannot be read.
        OSError: the archive cannot be written.
    """
    # Weights hardly shrink, and the index is compressed already.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in _files(run.path):
            if path.name.startswith("."):  # locks, and what was not finished
                continue
            try:
                source = opened_in_place(path)
            except FileNotFoundError:  # it was removed meanwhile
                continue
            except OSError as error:
                raise RunError(f"{path} cannot be read: {error.strerror}.") from None
            inside = Path(run.name, path.relative_to(run.path)).as_posix()
            entry = zipfile.ZipInfo.from_file(path, inside, strict_timestamps=False)
            entry.extra = MADE_HERE
            with source, archive.open(entry, "w") as packed:
                shutil.copyfileobj(source, packed, _PIECE)


@contextlib.contextmanager
def _alone(run: RunDirectory, done: str) -> Iterator[None]:
    """Check that a run may be `done`, and keep everybody else out meanwhile.

    Raises:
        RunError: it is a link, it is gone, or somebody uses it.
    """
    if run.path.is_symlink():
        raise RunError(f"{run.path} is a link to a run elsewhere, which is not {done} here.")
    if not is_file(run.path / "run.json"):
        raise RunError(f"There is no run called {run.name} any more.")
    training = f"A training is running in {run.path}: stop it before the run is {done}."
    writing = f"A song of {run.path} is open: close it before the run is {done}."
    with contextlib.ExitStack() as stack:
        for lock, busy in ((TRAINING, training), (WRITING, writing)):
            # Where no file can be made nothing can be removed either, which says so itself.
            with contextlib.suppress(OSError):
                stack.enter_context(exclusive(run.path / lock, busy))
        if os.name == "nt":  # where a directory with open files has to keep its name
            stack.close()
        yield


def _files(top: Path) -> Iterator[Path]:
    """Yield all files below a directory; links are not followed, and are none."""
    for directory, below, names in os.walk(top):
        below.sort()
        for name in sorted(names):
            path = Path(directory, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _is_same(path: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.samefile(other) and not path.is_symlink()
    return False
