"""A directory in which several trainings on one text lie together, and what was asked for there."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import CorpusError, RunError, Setting
from charlstm.files import parse, read_bytes, write_whole
from charlstm.outputs import is_made_here, is_one_of
from charlstm.text.locations import Locations


@dataclass(frozen=True)
class Together:
    """Such a directory.

    Attributes:
        path: where it is.
        noun: what it is: ``"comparison"``.
        asked: the name of the file that says what was asked for.
        marks: the names of its tables and charts, and what is in each that was made here.
    """

    path: Path
    noun: str
    asked: str
    marks: Mapping[str, Sequence[bytes]]

    def refuse_run(self) -> None:
        """Check that it is no run.

        Raises:
            RunError: it is one.
        """
        if (self.path / "run.json").exists():
            raise RunError(
                f"{self.path} is a run; give the {self.noun} another ", Setting("name"), "."
            )

    def begin(self, request: object, places: Sequence[str | Path]) -> None:
        """Make the directory, or check that the same was asked for in the one that is there.

        Args:
            request: what is asked for, as JSON has it.
            places: that are read.

        Raises:
            RunError: it cannot be made, is another one, or has files that are somebody's own.
        """
        path = self.path / self.asked
        if os.path.lexists(path):
            if _read(path) != request:
                raise RunError(
                    f"{self.path} is a {self.noun} on another text or with other settings. Give "
                    "this one a ",
                    Setting("name"),
                    " of its own, or repeat the settings to go on with that one.",
                )
            self._refuse_to_replace(places)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Hidden is what keeps the ids of a long text, and what a crash leaves.
            others = [name for name in os.listdir(self.path) if not name.startswith(".")]  # noqa: PTH208
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror}.") from None
        if others:
            raise RunError(
                f"{self.path} is there already and is no {self.noun}: give this one another ",
                Setting("name"),
                ".",
            )
        write_whole(path, (json.dumps(request, indent=1) + "\n").encode())

    def _refuse_to_replace(self, places: Sequence[str | Path]) -> None:
        """Refuse to write a table or a chart over what is read, or was not made here."""
        read = Locations(places).files
        for name, marks in self.marks.items():
            path = self.path / name
            if is_one_of(path, read):
                reason = "is read here"
            elif os.path.lexists(path) and not is_made_here(path, marks):
                reason = "was not made by charlstm"
            else:
                continue
            raise RunError(
                f"{path} {reason}, so it is not written over: move it away, or give this "
                f"{self.noun} another ",
                Setting("name"),
                ".",
            )


def _read(path: Path) -> object:
    try:
        return parse(path, read_bytes(path))
    except RunError:
        return None


def refuse_stdin(places: Sequence[str | Path]) -> None:
    """Check that a text can be read more than once.

    Raises:
        CorpusError: it cannot.
    """
    if "-" in map(str, places):
        raise CorpusError(
            "Standard input can be read only once, and every trial reads the text: save it to a "
            "file and name that."
        )
