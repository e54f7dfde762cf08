"""A person at a terminal, for tests in which it matters that there is one."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
from faults.patience import HANGS_AFTER, until

# Makes the pseudo-terminal the one that the process is in control of, so that it gets its signals.
TAKE_TERMINAL = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


class Terminal:
    """A session in a pseudo-terminal, which it is in control of."""

    def __init__(self, number: int, process: "subprocess.Popen[bytes]") -> None:
        self._number = number
        self._process = process
        self.shown = ""
        self._seen = 0
        self._bytes = b""

    def type(self, text: str) -> None:
        os.write(self._number, text.encode())

    def paste(self, text: str) -> None:
        """Paste as a terminal does: marked at both ends, with the Enter key for each line break."""
        keys = text.replace("\n", "\r")
        self.type(f"\x1b[200~{keys}\x1b[201~")

    def interrupt(self, key: str = "\x03") -> None:
        """Type Ctrl-C, or another key that sends a signal, when all here wait for keys.

        Between Python's prompt and its waiting a signal would be noticed with the next key only.
        """
        until(self._is_asleep)
        self.type(key)

    def _is_asleep(self) -> bool:
        process = psutil.Process(self._process.pid)
        return all(
            one.status() == psutil.STATUS_SLEEPING
            for one in (process, *process.children(recursive=True))
        )

    def wait_for(self, text: str) -> None:
        """Wait until `text` is shown, behind what was waited for before."""
        while text not in self.shown[self._seen :]:
            assert self._read(), f"{text!r} was not shown: {self.shown}"
        self._seen = self.shown.index(text, self._seen) + len(text)

    def end(self) -> int:
        """Return the exit code; what is shown until the end is in `shown`."""
        while self._read():
            pass
        return self._process.wait(HANGS_AFTER)

    def _read(self) -> bool:
        if not select.select([self._number], [], [], HANGS_AFTER)[0]:
            return False
        try:
            piece = os.read(self._number, 4096)
        except OSError:  # Linux: the other side has closed
            return False
        self._bytes += piece
        self.shown = self._bytes.decode(errors="ignore").replace("\r\n", "\n")
        return bool(piece)


@contextmanager
def terminal(
    command: Sequence[str],
    where: Path,
    *,
    output: IO[bytes] | None = None,
    height: int = 0,
    **environment: str,
) -> Iterator[Terminal]:
    """Run a command on a terminal of its own.

    Args:
        command: the program and its arguments.
        where: the directory that it runs in.
        output: takes its standard output; the terminal does where ``None``.
        height: the rows of the terminal, which it does not know where 0.
        environment: further variables.
    """
    ours, theirs = pty.openpty()
    known = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLUMNS": "100", **environment}
    if height:
        size = struct.pack("4H", height, int(known["COLUMNS"]), 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    with subprocess.Popen(
        command,
        cwd=where,
        env={**os.environ, **known},
        stdin=theirs,
        stdout=output or theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)
