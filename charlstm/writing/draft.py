"""The song of `charlstm write` as the run directory keeps it from one session to the next."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from charlstm.checks import check_real, check_whole
from charlstm.errors import CharLSTMError, RunError, Setting
from charlstm.files import exclusive, is_file, parse, read_bytes, write_whole
from charlstm.runs.directory import RunDirectory
from charlstm.text.labels import Label
from charlstm.writing.decoding import Decoding
from charlstm.writing.form import Form
from charlstm.writing.song import Song

_SONG, _SETTINGS, _LOCK = "draft.txt", "draft.json", ".draft.lock"
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

    The words stand alone, as text, so that nothing but an editor is needed to have them.

    Args:
        directory: of the run.

    Attributes:
        kept: whether the file holds the song as it was last given.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / _SONG
        self._told = False
        self.kept = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other sessions from writing over this one's draft.

        Raises:
            RunError: there is another.
        """
        busy = (
            f"Another charlstm write is open on the draft of {self._directory}: go on there, or "
            "quit it first."
        )
        with contextlib.ExitStack() as stack:
            # Where no file can be made there will be no draft either.
            with contextlib.suppress(OSError):
                stack.enter_context(exclusive(self._directory / _LOCK, busy))
            yield

    def read(self) -> str:
        """Return the words.

        Raises:
            RunError: they cannot be read.
        """
        aside = ("Put it aside with ", Setting("new"), ".")
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
        path = self._directory / _SETTINGS
        if not path.exists():
            return None
        try:
            return _from_json(parse(path, read_bytes(path)))
        except (CharLSTMError, KeyError, TypeError):
            raise RunError(
                f"{path} does not hold the settings of a song, so they begin anew; the words are "
                "all there."
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
        for path in self._directory.parent.glob(f"*/{_SONG}"):
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
        self.kept = False
        try:
            write_whole(self._path, text.encode(errors="replace"))
            self.kept = True
            write_whole(self._directory / _SETTINGS, _to_json(song))
        except RunError as error:
            told, self._told = self._told, True
            return None if told else error
        return None

    def put_aside(self) -> Path:
        """Give the draft another name; return it.

        Raises:
            RunError: it cannot be renamed.
        """
        number = 1
        while (aside := self._path.with_stem(f"draft-{number}")).exists():
            number += 1
        settings = self._directory / _SETTINGS
        try:
            if settings.exists():
                settings.rename(aside.with_suffix(settings.suffix))
            self._path.rename(aside)
        except OSError as error:
            raise RunError(f"{error.filename} cannot be renamed: {error.strerror}.") from None
        return aside

    def __str__(self) -> str:
        return str(self._path)


def _to_json(song: Song) -> bytes:
    settings = {
        "temperature": song.decoding.temperature,
        "recall": song.recall,
        "max_copy": song.max_copy,
        **{name: getattr(song.form, name) for name in _TEXTS},
        "must": song.form.must,
        "label": dict(song.label),
    }
    return json.dumps(settings, ensure_ascii=False, indent=1).encode(errors="replace")


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
    form, decoding = Form(must=must, **texts), Decoding(value["temperature"])
    return Settings(form, decoding, value["max_copy"], label, recall)
