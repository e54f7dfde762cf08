"""What the commands draw with."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: 0x2421} | dict.fromkeys(range(128, 160), 65533)


def notes() -> "Console":
    """Return a console on standard error: everything that is not a result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def results() -> "Console":
    """Return a console on standard output."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def visible(text: str) -> str:
    """Show control characters as pictures, so that no text can command the terminal."""
    return text.translate(_VISIBLE)


def fail(message: str) -> None:
    """Show an error: one plain line, or a coloured one on a terminal."""
    message = visible(message)
    if not sys.stderr.isatty():
        print(f"error: {message}", file=sys.stderr)
        return
    from rich.text import Text

    notes().print(Text.assemble(("error: ", "bold red"), message))
