"""The page of the command line, made of what every command says with ``--help``.

python -m docs.command_line
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from charlstm.cli import app

PAGE = Path(__file__).parent / "cli.md"
WIDTH = 100
HEAD = """\
# The command line

What each command says with `--help`, without its colours and frames.
`python -m docs.command_line` makes this page, and a test holds it to the commands as they are.

Results go to standard output, everything else to standard error. The exit code is 0 when a command
is done, 1 after an error that you can mend, 2 after wrong usage, 130 after Ctrl-C, 143 after
SIGTERM and 129 when the terminal was closed. `charlstm` is also `python -m charlstm`.
"""
# A frame around a group of options.
_TOP = re.compile(r"^╭─ (.*?) ─*╮$")
_SIDES = re.compile(r"^│(.*)│$")
# As it is called where it is installed, and not `python -m`.
_RUN = "import sys; from charlstm.cli import main; sys.argv[0] = 'charlstm'; main()"


def commands(group: Any, name: str = "charlstm") -> Iterator[str]:
    """Yield the names of a group of commands and of all in it."""
    yield name
    for word, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


def told(command: str) -> str:
    """Return what a command says with ``--help``, in plain text of a fixed width."""
    environment = {
        **os.environ,
        "COLUMNS": str(WIDTH),
        "TERMINAL_WIDTH": str(WIDTH),
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
    }
    environment.pop("FORCE_COLOR", None)
    whole = subprocess.run(
        [sys.executable, "-c", _RUN, *command.split()[1:], "--help"],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    return "\n".join(_unframed(whole.splitlines())).strip("\n")


def _unframed(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if top := _TOP.match(line):
            yield top[1]
        elif sides := _SIDES.match(line):
            yield f" {sides[1]}".rstrip()
        else:
            yield "" if line.startswith("╰") else line.strip()


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for command in commands(typer.main.get_command(app)):
        parts.append(f"## `{command}`\n\n```text\n{told(command)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
