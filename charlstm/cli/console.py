"""What the commands draw with."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from charlstm.cli.streams import StandardError, be_quiet
from charlstm.errors import OutputError
from charlstm.text.told import left_out, text_lines

if TYPE_CHECKING:
    from rich.console import Console
    from tqdm import tqdm

    from charlstm.text.corpus import Source

# What can control a terminal, reverse the order of a line, end it, or hide something in it.
# Characters that Arabic, Hebrew, Persian, Thai and emoji need are not among them: their letters,
# U+200B to 200F, variation selectors.
_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE[0x7F] = 0x2421
for _first, _last in (
    (0x80, 0x9F),  # C1 controls
    (0x2028, 0x202E),  # separators of lines and paragraphs; embedded and overridden directions
    (0x2066, 0x206F),  # isolated directions; other forms of digits and letters
    (0xFFF9, 0xFFFB),  # annotations between the lines
    (0xE0000, 0xE007F),  # tags: a whole alphabet that nobody sees
):
    _VISIBLE |= dict.fromkeys(range(_first, _last + 1), 0xFFFD)

# What asks a training to end, and how the same signal is answered from then on. A terminal that is
# closed may say so twice, once through its shell and once through the kernel: the second must not
# end the save that the first one asked for.
_INTERRUPTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _INTERRUPTS[signal.SIGHUP] = signal.SIG_IGN

# This much of a long text is shown from its beginning and from its end.
_ENDS = 30
# What is read in less time needs no bar.
_PATIENCE_SECONDS = 0.5


def notes() -> "Console":
    """Return a console on standard error: everything that is not a result."""
    from rich.console import Console

    plain = not is_terminal(sys.stderr)
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=plain)


def say_left_out(sources: "Iterable[Source]") -> None:
    """Say what was left out of texts, if anything was."""
    if what := left_out(sources):
        notes().print(visible(f"left out: {what}"), style="dim", markup=False)


def say_guesses(sources: "Iterable[Source]") -> None:
    """Say of which texts the encoding was guessed."""
    for source in sources:
        if source.guess is not None:
            notes().print(visible("\n".join(text_lines(source))), style="yellow", markup=False)


def results() -> "Console":
    """Return a console on standard output."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=not is_terminal(sys.stdout))


def visible(text: str) -> str:
    """Show control characters as pictures, so that no text can control the terminal.

    What has no picture, such as the characters that reverse the writing direction, is shown as
    U+FFFD. Line breaks and tabs stay, and no character becomes more than one.
    """
    return text.translate(_VISIBLE)


def shown_line(text: str) -> str:
    """Show text within a line, shortened: control characters as pictures, line breaks as arrows."""
    if len(text) > 2 * _ENDS:
        from charlstm.text.letters import letters

        if len(found := letters(text)) > 2 * _ENDS:
            text = f"{''.join(found[:_ENDS])} … {''.join(found[-_ENDS:])}"
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

    from charlstm.sessions.progress import FORM

    return tqdm(
        total=total,
        initial=done,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        bar_format=FORM,
        desc=title,
    )


@contextmanager
def reading_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar if reading takes long; yields what to call with the bytes read and in all."""
    bar: tqdm[None] | None = None
    begun = False
    start = time.monotonic()

    def on_read(done: int, total: int) -> None:
        nonlocal bar, begun
        if not begun and time.monotonic() - start > _PATIENCE_SECONDS:
            bar, begun = progress_bar(total, title="reading the text"), True
        if bar is not None:
            bar.update(done - bar.n)
            if done >= total:  # if it is read once more, it begins anew
                bar.close()
                bar, begun = None, False

    try:
        yield on_read
    finally:
        if bar is not None:
            bar.close()


@dataclass
class Interruption:
    """What interrupted a command, if anything did.

    Attributes:
        code: the exit code that says so: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 1 where
            standard error broke; 0 for nothing.
    """

    code: int = 0


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[Interruption]:
    """Call `stop` at the first Ctrl-C, SIGTERM or SIGHUP, or when standard error breaks.

    The second Ctrl-C or SIGTERM has its usual effect.
    """
    interruption = Interruption()

    def interrupt(code: int) -> None:
        if not interruption.code:
            interruption.code = code
            stop()

    def hear(number: int, _frame: FrameType | None) -> None:
        for heard in before:
            signal.signal(heard, _INTERRUPTS[heard])
        interrupt(128 + number)
        interruption.code = 128 + number  # a terminal that is closed breaks standard error as well

    # A SIGHUP that is ignored already stays ignored: that is what nohup is for.
    hangup = getattr(signal, "SIGHUP", None)
    numbers = [
        number
        for number in _INTERRUPTS
        if number != hangup or signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.getsignal(number) for number in numbers}
    errors = sys.stderr if isinstance(sys.stderr, StandardError) else None
    for number in before:
        signal.signal(number, hear)
    try:
        if errors is not None:
            # A terminal that is closed may be noticed before the signal that says so.
            code = 128 + hangup if errors.was_terminal and hangup is not None else 1
            errors.when_broken = lambda: interrupt(code)
            if errors.broken:
                interrupt(code)
        yield interruption
    finally:
        if errors is not None:
            errors.when_broken = None
        for number, handler in before.items():
            signal.signal(number, handler)


def write_result(text: str, *, code: int = 0) -> None:
    """Write to standard output at once.

    Args:
        text: the result, or a part of it.
        code: what the command will exit with; if that is not 0, a result that cannot be written
            does not change it.

    Raises:
        SystemExit: whoever read it, ``head`` for one, has had enough.
        OutputError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OutputError, SystemExit):
        if code:
            raise SystemExit(code) from None
        raise


def write_json(answer: object) -> None:
    """Write an object, on a line of its own, as `write_result` does.

    A pipe gets every character as it is. On a terminal those that could control it are written as
    escapes, which mean the same to whatever reads JSON.
    """
    line = json.dumps(answer, ensure_ascii=False)
    if is_terminal(sys.stdout):
        line = "".join(c if visible(c) == c else _escaped(c) for c in line)
    write_result(line + "\n")


def _escaped(character: str) -> str:
    """Return a character as JSON writes it in ASCII; json.dumps would leave a DEL as it is."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether `stream` is a terminal; a closed one is not."""
    return stream is not None and stream.isatty()


def fail(message: str) -> None:
    """Show an error: one plain line, or a coloured one on a terminal."""
    be_quiet(False)
    message = visible(message).replace("\n", "⏎")  # from a file's name
    if not is_terminal(sys.stderr):
        print(f"error: {message}", file=sys.stderr)
        return
    from rich.text import Text

    notes().print(Text.assemble(("error: ", "bold red"), message))
