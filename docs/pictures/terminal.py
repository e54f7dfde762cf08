"""A shell in a pseudo-terminal, and what its screen shows."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
from pyte.screens import Char

Row = list[Char]
"""The cells of a row; a wide character is followed by a cell without one."""


class _Screen(pyte.Screen):
    """A screen that knows faint text, which pyte does not: it is kept where blinking would be."""

    def select_graphic_rendition(self, *attrs: int, private: bool = False, **_: Any) -> None:
        if attrs[:1] not in ((38,), (48,)):  # in a colour, 2 means something else
            attrs = tuple(5 if attribute == 2 else attribute for attribute in attrs)
        super().select_graphic_rendition(*attrs)


class Shell:
    """A shell that types and waits, and whose screen can be looked at.

    Args:
        terminal: the descriptor of our side of its pseudo-terminal.
        columns: of the screen.
        rows: of the screen, enough for all that will be shown.
    """

    def __init__(self, terminal: int, columns: int, rows: int) -> None:
        self._terminal = terminal
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self._terminal, text.encode())

    def wait(self, until: Callable[[list[str]], bool], *, seconds: float = 900) -> list[Row]:
        """Wait until the lines on the screen are as they should be; return its rows."""
        end = time.monotonic() + seconds
        while not until(self.lines()):
            if time.monotonic() > end or not self._read():
                raise TimeoutError("\n".join(["This is all that was shown:", *self.lines()]))
        return self.rows()

    def run(self, typed: str, *, prompt: str = "$") -> list[Row]:
        """Type a line and wait for the next prompt; return the rows between, the typed one first.

        Args:
            typed: the line.
            prompt: what asks for the next one.
        """
        before = len(self.rows()) - 1
        self.type(f"{typed}\n")
        rows = self.wait(lambda lines: lines[-1] == prompt and len(lines) > before + 1)
        return rows[before:-1]

    def rows(self) -> list[Row]:
        """Return the rows as they are now, down to the last one with anything on it."""
        screen = self._screen
        rows = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
        while rows and not text_of(rows[-1]):
            rows.pop()
        return rows

    def lines(self) -> list[str]:
        """Return what the rows say; one that is empty where there is no row at all."""
        return [text_of(row) for row in self.rows()] or [""]

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 60)[0]:
            return False
        try:
            piece = os.read(self._terminal, 1 << 16)
        except OSError:  # Linux: the other side has closed
            return False
        self._stream.feed(piece)
        return bool(piece)


@contextmanager
def shell(where: Path, *, columns: int, rows: int) -> Iterator[Shell]:
    """Start a shell in a directory; ``charlstm`` in it is that of this Python."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(where)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        known = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PS1": "$ ", "PATH": path}
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")
        }
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**inherited, **known})
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        window = Shell(terminal, columns, rows)
        window.wait(lambda lines: lines[-1] == "$")
        yield window
    finally:
        os.kill(process, signal.SIGHUP)
        os.close(terminal)
        os.waitpid(process, 0)


def text_of(row: Row) -> str:
    """Return what a row says, without the empty cells at its end."""
    return "".join(cell.data for cell in row).rstrip()
