"""What the commands draw with."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from charlstm.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console
    from tqdm import tqdm

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: 0x2421} | dict.fromkeys(range(128, 160), 65533)

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
# Of a long text so much is shown from its beginning and from its end.
_ENDS = 30


def notes() -> "Console":
    """Return a console on standard error: everything that is not a result."""
    from rich.console import Console

    plain = not is_terminal(sys.stderr)
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=plain)


def results() -> "Console":
    """Return a console on standard output."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=not is_terminal(sys.stdout))


def visible(text: str) -> str:
    """Show control characters as pictures, so that no text can command the terminal."""
    return text.translate(_VISIBLE)


def shown_line(text: str) -> str:
    """Show text within a line: control characters as pictures, line breaks as an arrow, not all."""
    if len(text) > 2 * _ENDS:
        text = f"{text[:_ENDS]} … {text[-_ENDS:]}"
    return visible(text).replace("\n", "⏎")


@contextmanager
def loading() -> Iterator[None]:
    """End the process at Ctrl-C: libraries swallow KeyboardInterrupt while they are imported."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def progress_bar(total: float, done: float = 0.0, title: str = "") -> "tqdm[None] | None":
    """Return a bar on standard error, or ``None`` where that is not a terminal."""
    if not is_terminal(sys.stderr):
        return None
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc} |{bar}| {percentage:.0f}% · {remaining} left",
        desc=title,
    )


@dataclass
class Interruption:
    """What interrupted a command, if anything did.

    Attributes:
        code: the exit code that says so: 130 for Ctrl-C, 143 for SIGTERM; 0 for nothing.
    """

    code: int = 0


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[Interruption]:
    """Call `stop` at the first Ctrl-C or SIGTERM; the second one gets the usual answer."""
    interruption = Interruption()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        interruption.code = 128 + number
        stop()

    before = {number: signal.signal(number, interrupt) for number in _INTERRUPTS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_result(text: str) -> None:
    """Write to standard output at once.

    Raises:
        SystemExit: whoever read it, ``head`` for one, has had enough.
        OutputError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain when it flushes once more at exit: let it flush where nobody minds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"The result cannot be written: {error.strerror}.") from None


def is_terminal(stream: "TextIO | None") -> bool:
    """Return whether `stream` is a terminal; a closed one is not."""
    return stream is not None and stream.isatty()


def fail(message: str) -> None:
    """Show an error: one plain line, or a coloured one on a terminal."""
    message = visible(message)
    if not is_terminal(sys.stderr):
        print(f"error: {message}", file=sys.stderr)
        return
    from rich.text import Text

    notes().print(Text.assemble(("error: ", "bold red"), message))
