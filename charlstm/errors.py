"""The errors that a user of charlstm can see, and what their messages are made of.

    CharLSTMError
    ├── CorpusError             text that cannot be read, decoded or learned from
    ├── UnknownCharactersError  a prefix or a form with characters the model has never seen
    ├── RecipeError             settings that cannot be combined, or not here
    │   ├── SettingError        a setting that is not what it must be
    │   └── UnknownSettingError a setting that there is not, which is a TypeError as well
    ├── FormError               a form that no line was found for
    ├── TrainingError           a training that cannot go on
    ├── WorkerError             another worker of a training that is gone, or trains something else
    ├── OutputError             a result that cannot be written
    ├── MissingLibraryError     a library that charlstm can use but does not install
    └── RunError                a run directory that is missing, damaged or of another format

Each message is one clear sentence, or a few: what was wrong, where, and what to do. The command
line shows it and exits with 1; everything else that is raised is a bug.

A message names settings and commands, and those have other names in Python than on the command
line or in a writing session. So it is text with a `Setting` or a `Command` in their places, and
whoever shows it puts in the names that its reader knows; as a string it has Python's.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A setting in a message.

    Attributes:
        name: as Python has it: ``"learning_rate"``.
        value: the value that is meant, if one is.
    """

    name: str
    value: object = ...

    def __str__(self) -> str:
        return self.name if self.value is ... else f"{self.name}={self.value!r}"


@dataclass(frozen=True)
class Command:
    """Something that can be done next, in a message.

    Attributes:
        name: ``"train"``, ``"resume"`` or ``"novelty"``.
        run: the run that it is done with, if one is meant.
        piped: whether the text comes through a pipe.
        handed: whether the text itself has to be handed over.
    """

    name: str
    run: str | None = None
    piped: bool = False
    handed: bool = False

    def __str__(self) -> str:
        if self.name == "novelty":
            return "TrainedModel.novelty"
        run = "..." if self.run is None else repr(self.run)
        return f"charlstm.{self.name}({run}{', text=...' * self.handed})"


Part = str | Setting | Command
"""What a message is made of."""

# A message quotes paths, names and texts, which may be as long as a book. Of a longer part, its
# beginning and its end are told, where it says what is wrong and what to do.
_LONGEST_PART = 2_000


class Message:
    """A message: text, settings and commands, one after the other."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def told(self, name: Callable[[Setting | Command], str] = str) -> str:
        """Return the whole text.

        Args:
            name: returns how a setting or a command is called where the text is read.
        """
        parts = (part if isinstance(part, str) else name(part) for part in self.parts)
        return "".join(shortened(part, _LONGEST_PART) for part in parts)

    def __str__(self) -> str:
        return self.told()


def shortened(text: str, most: int) -> str:
    """Return a text, or its beginning and its end if it has more than `most` characters."""
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]} … {text[-(most // 3) :]}"


def count(number: float, one: str, several: str = "") -> str:
    """Return a number of things: ``1 line``, ``30 lines``."""
    told = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{told} {one if number == 1 else several or f'{one}s'}"


class CharLSTMError(Exception):
    """The parent of every error that a user can cause and fix.

    Args:
        parts: of its message.

    Attributes:
        message: the same.
    """

    def __init__(self, *parts: Part) -> None:
        super().__init__(*parts)
        self.message = Message(*parts)

    def __str__(self) -> str:
        return str(self.message)


class CorpusError(CharLSTMError):
    """Text that cannot be found, read, decoded or learned from."""


class UnknownCharactersError(CharLSTMError):
    """A prefix or a form holds characters that are not in the model's vocabulary."""


class RecipeError(CharLSTMError):
    """Settings cannot be combined, or not with this text or on this machine."""


class SettingError(RecipeError):
    """A setting is not what it must be.

    Args:
        setting: its name.
        expected: what it must be.
        found: what it is, as it is shown.

    Attributes:
        setting: its name.
        expected: what it must be, in words: ``"a whole number from 1 up"``.
        found: what it is.
    """

    def __init__(self, setting: str, expected: str, found: str) -> None:
        super().__init__(Setting(setting), f" must be {expected}, not {found}.")
        self.setting, self.expected, self.found = setting, expected, found
        self.args = (setting, expected, found)  # by which a copy is made


class UnknownSettingError(RecipeError, TypeError):
    """There is no such setting."""


class FormError(CharLSTMError):
    """No line could be written that meets the form."""


class TrainingError(CharLSTMError):
    """A training that cannot start or cannot go on."""


class WorkerError(CharLSTMError):
    """Another worker of a training is gone, hangs, has failed, or trains something else."""


class OutputError(CharLSTMError):
    """A result cannot be written, to standard output or to a file that was asked for."""


class MissingLibraryError(CharLSTMError):
    """Something was asked for that needs a library which is not installed."""


class RunError(CharLSTMError):
    """A run directory is missing, damaged, in the way or of an unknown format."""
