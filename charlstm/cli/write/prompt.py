"""Asking for a line: on a terminal, one that can be corrected, pasted, cleared and laid aside."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from charlstm.cli.console import is_terminal

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
        yield _edited if is_terminal(sys.stdin) and is_terminal(sys.stdout) else _plain


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
