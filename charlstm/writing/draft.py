"""The songs of a run as its directory keeps them from one session to the next.

`charlstm write` writes one of them, ``draft``; those that were put aside, and further songs of the
desk, are ``draft-1``, ``draft-2``.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charlstm.checks import check_real, check_whole
from charlstm.errors import CharLSTMError, Part, RunError, Setting
from charlstm.files import exclusive, is_file, parse, read_bytes, write_whole
from charlstm.runs.directory import RunDirectory
from charlstm.runs.keeping import WRITING
from charlstm.text.labels import Label
from charlstm.writing.decoding import Decoding
from charlstm.writing.form import Form
from charlstm.writing.song import Song
from charlstm.writing.tree import Tree

FIRST = "draft"
"""The song that `charlstm write` goes on with."""

_NAME = re.compile(f"{FIRST}(-[1-9][0-9]{{0,5}})?")
# What to do in a terminal about a song that cannot be read.
_ASIDE: tuple[Part, ...] = ("Put it aside with ", Setting("new"), ".")
# The parts of a form that are told as they are.
_TEXTS = ("line_length", "acrostic", "acrostic_end", "rhyme")


class Settings(NamedTuple):
    """How the lines of a song are written; see `charlstm.writing.song.Song`."""

    form: Form
    decoding: Decoding
    max_copy: int
    label: Label
    recall: float | None


class Draft:
    """A song on its way: its words in ``draft.txt``, its settings in ``draft.json``.

    The words stand alone, as text, so that nothing but an editor is needed to have them. The ways
    that the song has gone are in ``draft.tree.json``, where somebody keeps them.

    Args:
        directory: of the run.
        name: of the song: ``draft``, or with a number, as in ``draft-2``.

    Attributes:
        name: of the song.
        kept: whether the file holds the song as it was last given.

    Raises:
        RunError: no song has such a name.
    """

    def __init__(self, directory: Path, name: str = FIRST) -> None:
        if not _NAME.fullmatch(name):
            raise RunError(f"No song of {directory} is called so: its songs are draft, draft-1, ….")
        self._directory = directory
        self.name = name
        self._path = directory / f"{name}.txt"
        self._settings = directory / f"{name}.json"
        self._tree = directory / f"{name}.tree.json"
        self._told = False
        self.kept = False

    @classmethod
    def all_of(cls, directory: Path) -> "list[Draft]":
        """Return the songs of a run, those that are still empty too; the newest first."""
        found = []
        for path in directory.glob(f"{FIRST}*.txt"):
            with contextlib.suppress(OSError):  # it may be gone again
                if _NAME.fullmatch(path.stem) and is_file(path):
                    found.append((path.stat().st_mtime, path.stem))
        return [cls(directory, name) for _, name in sorted(found, reverse=True)]

    @classmethod
    def new(cls, directory: Path, text: str = "") -> "Draft":
        """Make a song that the run does not have yet; return it.

        Args:
            directory: of the run.
            text: its words.

        Raises:
            RunError: it cannot be written.
        """
        for number in itertools.count():
            draft = cls(directory, f"{FIRST}-{number}" if number else FIRST)
            try:
                draft._path.touch(exist_ok=False)  # so that two do not take the same name
            except FileExistsError:
                continue
            except OSError as error:
                raise RunError(f"{draft} cannot be written: {error.strerror}.") from None
            draft.write(text)
            return draft
        raise AssertionError("numbers do not end")

    @contextlib.contextmanager
    def locked(self, busy: str | None = None) -> Iterator[None]:
        """Keep other sessions from writing over this one's songs.

        Args:
            busy: what to say if there is another.

        Raises:
            RunError: there is.
        """
        busy = busy or (
            f"Another charlstm write is open on the draft of {self._directory}, or a desk in the "
            "browser: go on there, or quit it first."
        )
        with contextlib.ExitStack() as stack:
            # Where no file can be made there will be no draft either.
            with contextlib.suppress(OSError):
                stack.enter_context(exclusive(self._directory / WRITING, busy))
            yield

    @property
    def is_there(self) -> bool:
        """Whether the run has such a song, be it still empty."""
        return is_file(self._path)

    @property
    def revision(self) -> int | None:
        """A number that is another one whenever its words are others; ``None`` if it is not there.

        It is below 2^48, so that every language has it.

        Raises:
            RunError: the words cannot be read.
        """
        return revision_of(read_bytes(self._path)) if self.is_there else None

    @property
    def saved(self) -> float:
        """When its words were written, in seconds since 1970; 0 where there are none."""
        try:
            return self._path.stat().st_mtime
        except OSError:
            return 0.0

    def read(self, *, aside: Sequence[Part] = _ASIDE) -> str:
        """Return the words.

        Args:
            aside: the end of the error: what to do.

        Raises:
            RunError: they cannot be read.
        """
        try:
            text = read_bytes(self._path, advice=aside).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RunError(f"{self._path} cannot be read: it is not UTF-8. ", *aside) from None
        self.kept = True
        # As some editors leave it, like the mark at its beginning.
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def read_settings(self) -> Settings | None:
        """Return the settings, ``None`` where there are none.

        Raises:
            RunError: they cannot be read.
        """
        path = self._settings
        if not path.exists():
            return None
        try:
            return _from_json(parse(path, read_bytes(path)))
        except (CharLSTMError, KeyError, TypeError):
            raise RunError(
                f"{path} does not hold the settings of a song, so they begin anew; the words are "
                "all there."
            ) from None

    def read_tree(self, text: str) -> Tree:
        """Return the ways that the song has gone, which end with its words.

        Args:
            text: its words; they may have been changed elsewhere.

        Raises:
            RunError: they cannot be read.
        """
        path = self._tree
        if not path.exists():
            return Tree.begun(text, time.time())
        try:
            return Tree.from_json(parse(path, read_bytes(path))).grown(text, time.time())
        except (CharLSTMError, KeyError, TypeError):
            raise RunError(
                f"{path} does not hold the ways that a song has gone, so they begin anew; the "
                "words are all there."
            ) from None

    def exists(self) -> bool:
        """Return whether there is a draft: white space alone is none."""
        try:
            return bool(read_bytes(self._path).decode("utf-8-sig", "replace").strip())
        except RunError:  # what cannot be read may be a song nevertheless
            return self._path.exists()

    def beside(self) -> RunDirectory | None:
        """Return the run, of those beside this one, whose draft was written last."""
        drafts = []
        for path in self._directory.parent.glob(f"*/{FIRST}.txt"):
            with contextlib.suppress(OSError):  # it may be gone again
                if Draft(path.parent).exists() and is_file(path.parent / "run.json"):
                    drafts.append((path.stat().st_mtime, path.parent))
        return RunDirectory(max(drafts)[1]) if drafts else None

    def keep(self, song: Song, text: str) -> RunError | None:
        """Write the draft.

        Args:
            song: how it is being written.
            text: its words, perhaps with some that the song does not have yet.

        Returns:
            Why it cannot be written, once; `kept` says whether at least the words were.
        """
        settings = Settings(song.form, song.decoding, song.max_copy, song.label, song.recall)
        try:
            self.write(text, settings)
        except RunError as error:
            told, self._told = self._told, True
            return None if told else error
        return None

    def write(self, text: str, settings: Settings | None = None, tree: Tree | None = None) -> None:
        """Write the song; its words first.

        Args:
            text: the words.
            settings: how its lines are written; those that are kept stay where ``None``.
            tree: the ways that it has gone; see `settings`.

        Raises:
            RunError: something cannot be written; `kept` says whether at least the words were.
        """
        self.kept = False
        write_whole(self._path, text.encode(errors="replace"))
        self.kept = True
        if settings is not None:
            write_whole(self._settings, _to_json(settings))
        if tree is not None:
            write_whole(self._tree, tree.pruned().to_bytes())

    def remove(self) -> None:
        """Remove the song.

        Raises:
            RunError: it cannot be removed.
        """
        try:
            for path in (self._tree, self._settings, self._path):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{error.filename} cannot be removed: {error.strerror}.") from None

    def put_aside(self) -> Path:
        """Give the draft another name; return it.

        Raises:
            RunError: it cannot be renamed.
        """
        number = 1
        while os.path.lexists(self._directory / f"{FIRST}-{number}.txt"):
            number += 1
        other = Draft(self._directory, f"{FIRST}-{number}")
        aside = other._path
        try:
            for path, place in (
                (self._tree, other._tree),
                (self._settings, other._settings),
                (self._path, aside),
            ):
                if path.exists():
                    path.rename(place)
        except OSError as error:
            raise RunError(f"{error.filename} cannot be renamed: {error.strerror}.") from None
        return aside

    def __str__(self) -> str:
        return str(self._path)


def revision_of(data: bytes) -> int:
    """Return the revision of a song whose file holds this; see `Draft.revision`."""
    return int.from_bytes(hashlib.sha256(data).digest()[:6])


def _to_json(settings: Settings) -> bytes:
    value = {
        "temperature": settings.decoding.temperature,
        "recall": settings.recall,
        "max_copy": settings.max_copy,
        "lines": settings.form.lines,
        **{name: getattr(settings.form, name) for name in _TEXTS},
        "must": settings.form.must,
        "label": dict(settings.label),
    }
    return json.dumps(value, ensure_ascii=False, indent=1).encode(errors="replace")


def _from_json(value: Any) -> Settings:
    """Check what ``draft.json`` holds.

    Raises:
        RecipeError: a setting is out of its range.
        KeyError, TypeError: it is something else.
    """
    texts = {name: value[name] for name in _TEXTS}
    must = tuple(value["must"])
    if not all(isinstance(text, str) for text in (*texts.values(), *must)):
        raise TypeError("a part of the form is not a text")
    check_whole("max_copy", value["max_copy"], 0)
    label = value.get("label", {})  # which drafts before 0.3.0 have not
    if not isinstance(label, dict) or not all(isinstance(one, str) for one in label.values()):
        raise TypeError("a label is not a text")
    recall = value.get("recall")  # nor this
    if recall is not None:
        check_real("recall", recall, 0, 1)
    lines = value.get("lines")  # nor this
    form, decoding = Form(lines=lines, must=must, **texts), Decoding(value["temperature"])
    return Settings(form, decoding, value["max_copy"], label, recall)
