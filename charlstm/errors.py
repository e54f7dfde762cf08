"""The errors that a user of charlstm can see.

    CharLSTMError
    ├── CorpusError             text that cannot be read, decoded or learned from
    ├── UnknownCharactersError  a prefix or a form with characters the model has never seen
    ├── RecipeError             a setting out of range, or two that cannot be combined
    ├── FormError               a form that no line was found for
    ├── TrainingError           a training that cannot go on
    ├── OutputError             a result that cannot be written
    ├── MissingLibraryError     a library that charlstm can use but does not install
    └── RunError                a run directory that is missing, damaged or of another format

Each message is one clear sentence, or a few: what was wrong, where, and what to do. The command
line shows it and exits with 1; everything else that is raised is a bug.
"""


class CharLSTMError(Exception):
    """The parent of every error that a user can cause and fix."""


class CorpusError(CharLSTMError):
    """Text that cannot be found, read, decoded or learned from."""


class UnknownCharactersError(CharLSTMError):
    """A prefix or a form holds characters that are not in the model's vocabulary."""


class RecipeError(CharLSTMError):
    """A setting is out of range, or two settings cannot be combined."""


class FormError(CharLSTMError):
    """No line could be written that meets the form."""


class TrainingError(CharLSTMError):
    """A training that cannot start or cannot go on."""


class OutputError(CharLSTMError):
    """A result cannot be written, to standard output or to a file that was asked for."""


class MissingLibraryError(CharLSTMError):
    """Something was asked for that needs a library which is not installed."""


class RunError(CharLSTMError):
    """A run directory is missing, damaged, in the way or of an unknown format."""
