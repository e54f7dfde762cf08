"""The streams of a command: closed, full, broken or slow, none of them costs more than a sentence.

Standard error may be lost; a result may not, and what cannot be written of it ends the command.
"""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from charlstm.errors import OutputError


class StandardError:
    """Standard error for as long as there is one: what cannot be written any more is dropped.

    Its reader may go away, its terminal be closed, its disk be full. None of that may cost more
    than messages; `interruptible` ends what nobody sees any more.

    Attributes:
        broken: whether something could not be written.
        when_broken: what to do at that moment, if anything.
        quiet: whether nothing is to be said until something goes wrong.
        was_terminal: whether it began as a terminal, which breaks only when it is closed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.was_terminal = stream.isatty()
        self._waiting: list[str] = []
        self._writing = False
        self.broken = False
        self.when_broken: Callable[[], None] | None = None
        self.quiet = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, if that can be done.

        A write may take as long as a pager likes, and a signal that comes meanwhile has something
        to say as well: that waits for its turn, because a stream cannot be written to in a write.
        """
        if self.quiet and isinstance(text, str):  # anything else is an error, as ever
            return len(text)
        self._waiting.append(text)
        if not self._writing:
            self._writing = True
            try:
                while self._waiting:
                    self._stream.write(self._waiting.pop(0))
            except OSError:
                self._break()
            finally:
                self._writing = False
        return len(text)

    def flush(self) -> None:
        """Write what was held back, if that can be done."""
        if not self._writing:
            try:
                self._stream.flush()
            except OSError:
                self._break()

    def _break(self) -> None:
        self.broken = True
        if self.when_broken is not None:
            self.when_broken()


class StandardOutput:
    """Standard output, which holds the result: if that cannot be written, the command ends.

    Whoever writes to it, a table or a page of help as well, gets `OutputError`, or `SystemExit`
    where whoever read it, ``head`` for one, has had enough.

    Args:
        stream: where it goes; ``None`` if it is closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._broken = False

    def __getattr__(self, name: str) -> Any:
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write text.

        Raises:
            OutputError: it cannot be written.
            SystemExit: nobody reads it any more.
        """
        if not isinstance(text, str):
            raise TypeError("text is written here")
        if text and not self._broken:
            if self._stream is None:
                raise OutputError("The result cannot be written: standard output is closed.")
            try:
                self._stream.write(text)
            except OSError as error:
                self._break(self._stream, error)
        return len(text)

    def flush(self) -> None:
        """Write what was held back.

        Raises:
            OutputError: it cannot be written.
            SystemExit: nobody reads it any more.
        """
        if self._stream is not None and not self._broken:
            try:
                self._stream.flush()
            except OSError as error:
                self._break(self._stream, error)

    def _break(self, stream: TextIO, error: OSError) -> None:
        self._broken = True
        # Python would complain when it flushes once more at exit: let it flush where nobody minds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        raise OutputError(f"The result cannot be written: {error.strerror or error}.") from None


def take_streams() -> None:
    """Put such streams in the places of Python's own."""
    for descriptor in range(3):
        try:
            # A pipe may have been left so that nothing waits: then half of a song would be lost.
            os.set_blocking(descriptor, True)
        except OSError:  # it was closed, and its number must not become that of a run's file
            os.open(os.devnull, os.O_RDWR)
        except AttributeError:  # Windows has it since Python 3.12
            break
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, open until the end
    # Text is UTF-8 here whatever the locale says, and a lone surrogate cannot end a song.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.stdout = cast(TextIO, StandardOutput(sys.stdout))
    sys.stderr = cast(TextIO, StandardError(sys.stderr))


def be_quiet(wanted: bool) -> None:
    """Say nothing more on standard error, until something goes wrong."""
    if isinstance(sys.stderr, StandardError):
        sys.stderr.quiet = wanted


def open_inputs() -> list[Path | int]:
    """Return the descriptor that standard input is read from, if there is one."""
    return [*_descriptors(sys.stdin)]


def check_redirections(places: Sequence[str | Path]) -> None:
    """Check that nothing that is read is a file that standard output or standard error goes to.

    Args:
        places: what is read, as `charlstm.text.locations.Locations` has it.

    Raises:
        OutputError: something is.
        CorpusError: a place does not exist or cannot be listed.
    """
    if not places or not _redirected():
        return
    from charlstm.text.locations import Locations

    read: list[Path | int] = [*Locations(places).files]
    _check_not_redirected(read + (open_inputs() if "-" in map(str, places) else []))


def check_redirection(file: Path) -> None:
    """Check that standard output and standard error do not go to a file that is read.

    Args:
        file: its path, or ``-`` for standard input.

    Raises:
        OutputError: one does.
    """
    _check_not_redirected(open_inputs() if str(file) == "-" else [file])


def _redirected() -> list[Path | int]:
    """Return the descriptors of standard output and standard error that go to files."""
    return [
        descriptor
        for descriptor in _descriptors(sys.stdout, sys.stderr)
        if stat.S_ISREG(os.fstat(descriptor).st_mode)
    ]


def _check_not_redirected(read: Sequence[Path | int]) -> None:
    files = _redirected()
    if not files:
        return
    from charlstm.outputs import is_one_of

    for one in read:
        if is_one_of(one, files):
            name = one if isinstance(one, Path) else "Standard input"
            raise OutputError(
                f"{name} is read here, and what this command says goes to the same file: send it "
                "to another."
            )


def _descriptors(*streams: TextIO | None) -> list[int]:
    found = []
    for stream in streams:
        with suppress(AttributeError, OSError, ValueError):  # it is closed, or in memory
            found.append(cast(TextIO, stream).fileno())
    return found
