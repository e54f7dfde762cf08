"""Texts that were dropped on the page, kept beside the runs until a model has learned them.

Nobody but us decides where something is written: of the names that a browser sends, only what can
be a part of a file's name on every system is kept.
"""

import base64
import binascii
import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlstm.errors import CorpusError, RunError, count
from charlstm.files import read_bytes
from charlstm.runs.info import RunInfo
from charlstm.runs.known import runs_in
from charlstm.runs.names import check_name, name_for
from charlstm.serve.answers import Refused
from charlstm.text.formats.format import ENDINGS, SUFFIXES
from charlstm.text.kinds import binary_kind

DIRECTORY = ".texts"
"""What the directory for them is called, beside the runs."""

_ID = re.compile("[0-9a-f]{16}")
_MOST_BYTES = 512 << 20
_MOST_FILES = 50_000
# A text that no run has learned is forgotten after so many seconds.
_KEPT_SECONDS = 86_400
# Of base64, in a request.
_PIECE_CHARACTERS = 4 << 20
_LONGEST_PART, _DEEPEST = 200, 32
_STRANGE = re.compile(r'[\x00-\x1f\x7f<>:"|?*]|[\ud800-\udfff]')
# So much of a file tells what it is.
_HEAD = 1 << 12


@dataclass
class _Arriving:
    """A text whose files are on their way."""

    stored: dict[str, Path] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Upload:
    """A text that was dropped.

    Args:
        path: of its directory.

    Attributes:
        path: the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """What a run may be called that learns it: after its folder, or its first file."""
        top = sorted(path.name for path in self._top())
        name = name_for(top[:1])
        try:
            check_name(name)
        except RunError:
            return "text"
        return name

    def places(self) -> list[str]:
        """Return what is to be read of it: its files, as if they were named in a terminal.

        Raises:
            CorpusError: there is nothing to read.
        """
        odd = [path for path in self._top() if path.is_file() and not _is_text(path)]
        named = [path for path in odd if _is_archive(path) or _kind(path) is None]
        texts = any(_is_text(Path(name)) for _, _, names in os.walk(self.path) for name in names)
        if not texts and not named:
            kinds = sorted({kind for path in odd if (kind := _kind(path))})
            told = f": there is only {', '.join(kinds)}" if kinds else ""
            endings = ", ".join(f"*{ending}" for ending in ENDINGS)
            raise CorpusError(f"There is no text in what was dropped{told}. Texts are {endings}.")
        return [*([str(self.path)] if texts else []), *map(str, named)]

    def left_out(self) -> list[str]:
        """Say which files are not read."""
        told = []
        others: dict[str, int] = {}
        for directory, _, names in os.walk(self.path):
            for name in sorted(names):
                path = Path(directory, name)
                if _is_text(path) or (_is_archive(path) and path.parent == self.path):
                    continue
                kind = _kind(path)
                if path.parent != self.path:
                    ending = path.suffix.lower() or "without an ending"
                    others[ending] = others.get(ending, 0) + 1
                elif kind is not None:
                    told.append(f"{name} is {kind}, and not read.")
        for ending, many in sorted(others.items()):
            verb = "is" if many == 1 else "are"
            told.append(f"{count(many, 'file')} {ending} {verb} not read.")
        return told

    def plainly(self, message: str) -> str:
        """Return a message in which files are called as they were dropped."""
        return message.replace(f"{self.path}{os.sep}", "").replace(str(self.path), "the folder")

    def _top(self) -> list[Path]:
        return sorted(self.path.iterdir())


class Uploads:
    """All of them.

    Args:
        root: where runs live.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = Path(os.path.abspath(root / DIRECTORY))  # noqa: PTH100, no link is followed
        self._arriving: dict[str, _Arriving] = {}
        # The one that was learned last: its run may still have to be made.
        self._learned_last: str | None = None

    def begin(self) -> str:
        """Make a text without files; return its number.

        Raises:
            RunError: the directory cannot be made.
        """
        self._forget_old()
        name = secrets.token_hex(8)
        try:
            (self._path / name).mkdir(parents=True)
        except OSError as error:
            raise RunError(f"{self._path} cannot be written: {error.strerror}.") from None
        self._arriving[name] = _Arriving()
        return name

    def find(self, name: str) -> Upload:
        """Return a text.

        Raises:
            Refused: there is none.
        """
        path = self._path / name
        if not _ID.fullmatch(name) or not path.is_dir() or path.is_symlink():
            told = "This text is not here any more: drop it once more."
            raise Refused(told, 404, param="text")
        return Upload(path)

    def learning(self, upload: Upload) -> None:
        """Keep a text while a model begins to learn it."""
        self._learned_last = upload.path.name
        with contextlib.suppress(OSError):
            os.utime(upload.path)  # for another day

    def receive(self, name: str, files: object) -> dict[str, int]:
        """Keep pieces of files.

        Args:
            name: of the text.
            files: as they are sent: objects with ``path``, ``data`` in base64 and ``more``.

        Returns:
            How many bytes there are, and how many files.

        Raises:
            Refused: there is no such text, or they are not what they must be, or too many.
            RunError: it cannot be written.
        """
        upload, arriving = self.find(name), self._arriving.get(name)
        if arriving is None:
            raise Refused("The server was started anew meanwhile: drop the text once more.", 409)
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise Refused('"files" must be a list of objects.', param="files")
        if not all(isinstance(file.get("data"), str) for file in files):
            raise Refused('A file needs a "path" and its "data", in base64.', param="files")
        if sum(len(file["data"]) for file in files) > _PIECE_CHARACTERS:
            raise Refused("A request may have at most 4 MiB of files: send the rest in another.")
        with arriving.lock:
            for file in files:
                self._keep(upload, arriving, file)
            return {"bytes": arriving.bytes, "files": len(arriving.stored)}

    def _keep(self, upload: Upload, arriving: _Arriving, file: dict[str, Any]) -> None:
        given, more = file.get("path"), bool(file.get("more"))
        if not isinstance(given, str):
            raise Refused('A file needs a "path" and its "data", in base64.', param="files")
        try:
            data = base64.b64decode(file["data"], validate=True)
        except (binascii.Error, ValueError):
            raise Refused(f"The data of {given[:100]} is not base64.", param="files") from None
        if arriving.bytes + len(data) > _MOST_BYTES or len(arriving.stored) >= _MOST_FILES:
            raise Refused(
                f"A text may have at most {_MOST_BYTES >> 20} MiB and {_MOST_FILES:,} files here: "
                "train with the command line, which reads it where it is.",
                413,
            )
        goes_on = given in arriving.open
        try:
            if not goes_on:
                arriving.stored[given] = _free(upload.path, given, arriving)
                arriving.stored[given].parent.mkdir(parents=True, exist_ok=True)
            with arriving.stored[given].open("ab" if goes_on else "xb") as stored:
                stored.write(data)
        except OSError as error:
            raise RunError(f"{given[:100]} cannot be kept: {error.strerror}.") from None
        arriving.bytes += len(data)
        (arriving.open.add if more else arriving.open.discard)(given)

    def remove(self, name: str) -> None:
        """Forget a text, unless a run needs it to go on.

        Raises:
            Refused: there is none.
        """
        path = self.find(name).path
        self._arriving.pop(name, None)
        if not self._is_needed(name):
            shutil.rmtree(path, ignore_errors=True)

    def learned_by(self, run: Path) -> list[str]:
        """Return the texts that a run has learned."""
        try:
            data = read_bytes(run / "run.json")
        except RunError:
            return []
        return [name for name in self._names() if name.encode() in data]

    def forget(self, names: list[str]) -> None:
        """Forget texts that no run needs any more."""
        for name in names:
            if name == self._learned_last:
                self._learned_last = None
            with contextlib.suppress(Refused):
                self.remove(name)

    def places_of(self, info: RunInfo) -> list[str]:
        """Return where the text of a run is, if it was dropped here and the run was moved.

        Nothing where the run finds it by itself.
        """
        if all(map(os.path.lexists, info.places)):
            return []
        moved = []
        for place in info.places:
            parts = Path(place).parts
            if DIRECTORY in parts:
                inside = parts[len(parts) - 1 - parts[::-1].index(DIRECTORY) + 1 :]
                moved.append(str(self._path.joinpath(*inside)))
        there = len(moved) == len(info.places) and all(map(os.path.lexists, moved))
        return moved if there and all(map(self._is_inside, moved)) else []

    def _is_inside(self, place: str) -> bool:
        return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(self._path))

    def _names(self) -> list[str]:
        if not self._path.is_dir():
            return []
        return [path.name for path in self._path.iterdir() if _ID.fullmatch(path.name)]

    def _is_needed(self, name: str) -> bool:
        runs = runs_in(self._root)
        return name == self._learned_last or any(name in self.learned_by(run) for run in runs)

    def _forget_old(self) -> None:
        for name in self._names():
            with contextlib.suppress(OSError):
                if (self._path / name).stat().st_mtime < time.time() - _KEPT_SECONDS:
                    self.forget([name])


def _free(top: Path, given: str, arriving: _Arriving) -> Path:
    """Return where a file is kept that a browser calls so.

    Raises:
        Refused: nothing can be called so.
    """
    parts = [part for part in re.split(r"[/\\]", given) if part not in ("", ".")]
    if not parts or ".." in parts or len(parts) > _DEEPEST:
        raise Refused(f"No file can be called {given[:100]!r}.", param="files")
    path = top.joinpath(*map(_plain, parts))
    stem, suffix, number = path.stem, path.suffix, 1
    while str(path).casefold() in arriving.taken or path.exists():
        number += 1
        path = path.with_name(f"{stem}-{number}{suffix}")
    arriving.taken.add(str(path).casefold())
    return path


def _plain(part: str) -> str:
    """Return a part of a path as every system can have it."""
    plain = _STRANGE.sub("_", part).rstrip(". ") or "_"
    stem, suffix = os.path.splitext(plain)  # noqa: PTH122, a leading dot is no ending
    data = stem.encode()[: _LONGEST_PART - len(suffix.encode()[:20])]
    plain = data.decode(errors="ignore") + suffix[:20]
    try:
        check_name(plain)
    except RunError:
        if re.match(r"(?i)(con|prn|aux|nul|com|lpt)", plain):
            return f"_{plain}"
    return plain


def _is_text(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(".zip")


def _kind(path: Path) -> str | None:
    """Say what a file is if it is no text."""
    try:
        with path.open("rb") as file:
            return binary_kind(file.read(_HEAD))
    except OSError as error:
        return f"not readable ({error.strerror})"
