"""Asking for a line: on a terminal, one that can be corrected, pasted, cleared and laid aside."""

import codecs
import io
import os
import select
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from charlstm.cli.console import is_terminal
from charlstm.cli.streams import open_inputs
from charlstm.errors import CorpusError

LONGEST_LINE = 10_000
"""No line of a song has more characters."""

MOST_LINES = 1_000
"""No song has more lines that nobody typed at a terminal; more are a mistake, or have no end."""

# This much is read at once, as much as a pipe holds.
_PIECE = 1 << 16

Ask = Callable[[str], str | None]
"""Shows a prompt and returns what is typed; ``None`` at the end of the input."""


class _Suspended(Exception):  # noqa: N818, nothing is wrong
    """Ctrl-Z was typed while a line was asked for."""


@contextmanager
def asking() -> Iterator[Ask]:
    """Yield what asks for a line; until the end, nothing else should go to standard output.

    Where standard input and standard error are a terminal and readline is there, the line can be
    edited, wide characters too, and what is pasted comes in one piece, with its line breaks.
    Ctrl-C clears a line that was begun, and Ctrl-Z keeps it until the process goes on. An empty
    line that is interrupted raises KeyboardInterrupt.
    """
    if sys.stdin is None:  # closed by whoever started the command
        yield lambda _: None
        return
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    with _terminal_as_output(), _utf8_expected():
        if is_terminal(sys.stdin):
            yield _edited if is_terminal(sys.stdout) else _plain
        else:
            yield _Piped() if open_inputs() else _plain


@contextmanager
def _terminal_as_output() -> Iterator[None]:
    """Put the terminal on descriptor 1: input() edits nothing while a file is there.

    Python's own standard output stays open and writes to the file again afterwards.
    """
    both = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    if not both or is_terminal(sys.stdout) or not _is_descriptor_1():
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(sys.stderr.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _is_descriptor_1() -> bool:
    try:
        return sys.stdout.fileno() == 1
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return False


def _plain(prompt: str) -> str | None:
    # Not through input(): it would print the prompt where the song belongs.
    if is_terminal(sys.stdin):
        sys.stderr.write(prompt)
        sys.stderr.flush()
    line = sys.stdin.readline()
    return line.removesuffix("\n") if line else None


class _Piped:
    """Hands out the lines of a file or a program, and refuses what cannot be meant for a session.

    All that is there already is looked at first: what has no end is refused before the model has
    thought about a thousand lines of it.
    """

    def __init__(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8")()
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._lines: deque[str] = deque()
        self._begun = ""
        self._read = 0
        self._ended = False

    def __call__(self, _prompt: str) -> str | None:
        while not self._ended and (not self._lines or _is_more_there()):
            self._read_on()
        return self._lines.popleft() if self._lines else None

    def _read_on(self) -> None:
        """Read what is there, and wait only where nothing is."""
        try:
            data = os.read(sys.stdin.fileno(), _PIECE)
        except OSError as error:
            raise CorpusError(f"Standard input cannot be read: {error.strerror}.") from None
        self._ended = not data
        try:
            *lines, self._begun = (
                self._begun + self._decoder.decode(data, final=self._ended)
            ).split("\n")
        except UnicodeDecodeError as error:
            number = self._read + 1 + error.object.count(b"\n", 0, error.start)
            raise CorpusError(
                f"Line {number:,} of standard input is not UTF-8, so it is no line of a song."
            ) from None
        if self._ended and self._begun:
            lines.append(self._begun)
        for number, line in enumerate([*lines, self._begun], start=self._read + 1):
            if len(line) > LONGEST_LINE:
                raise CorpusError(
                    f"Line {number:,} of standard input has more than {LONGEST_LINE:,} characters, "
                    "which no line of a song has."
                )
        self._lines.extend(lines)
        self._read += len(lines)
        if self._read > MOST_LINES:
            raise CorpusError(
                f"Standard input has more than {MOST_LINES:,} lines, which is more than a session "
                "takes that nobody types."
            )


def _is_more_there() -> bool:
    """Return whether reading from standard input would not wait."""
    try:
        return bool(select.select([sys.stdin], [], [], 0)[0])
    except OSError:  # Windows does not tell of pipes
        return False


def _edited(prompt: str) -> str | None:
    try:
        import readline
    except ImportError:  # Windows: its console has an editor of its own
        return _input(prompt)
    readline.parse_and_bind("set enable-bracketed-paste on")
    begun = ""

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal begun
        begun = readline.get_line_buffer()  # readline empties it on the way out
        raise KeyboardInterrupt if number == signal.SIGINT else _Suspended

    while True:
        kept, begun = begun, ""
        readline.set_startup_hook(partial(readline.insert_text, kept))
        try:
            with _hearing(hear):
                return _input(prompt)
        except KeyboardInterrupt:
            if not begun:
                raise
            begun = ""
            sys.stderr.write("\n")
        except _Suspended:
            # Now that readline has put the terminal back, do what Ctrl-Z usually does. What was
            # begun is there again when the process goes on.
            signal.raise_signal(signal.SIGTSTP)
        finally:
            readline.set_startup_hook()


def _input(prompt: str) -> str | None:
    try:
        return input(prompt)
    except EOFError:
        sys.stderr.write("\n")
        return None


@contextmanager
def _utf8_expected() -> Iterator[None]:
    """Let readline take a character for what it is, whatever the locale says.

    It looks at the environment when it is imported, and again whenever it asks for a line.
    """
    import locale

    before = os.environ.get("LC_ALL")
    # Windows has no such function, and needs none.
    codeset = locale.nl_langinfo(locale.CODESET) if hasattr(locale, "nl_langinfo") else "UTF-8"
    if codeset.upper() in ("UTF-8", "UTF8"):
        yield
        return
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        os.environ.pop("LC_ALL")
        if before is not None:
            os.environ["LC_ALL"] = before


@contextmanager
def _hearing(hear: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let `hear` answer Ctrl-C and Ctrl-Z."""
    numbers = [signal.SIGINT]
    with suppress(AttributeError):  # where there is no Ctrl-Z
        numbers.append(signal.SIGTSTP)
    # A handler that is not Python's own is told as None, and cannot be put back.
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
