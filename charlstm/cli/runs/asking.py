"""Asking before something goes that nothing brings back."""

import sys
from typing import Annotated

import typer

from charlstm.cli.console import is_terminal, notes, visible
from charlstm.errors import RunError, Setting

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")
]


def agreed(question: str, *, yes: bool) -> None:
    """Ask whether to go on, unless that was said already.

    Args:
        question: what is asked.
        yes: whether it was said.

    Raises:
        RunError: there is no terminal to ask on.
        SystemExit: the answer is no.
    """
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise RunError(
            "Nothing is removed without a yes: there is no terminal to ask on, and ",
            Setting("yes"),
            " was not given.",
        )
    notes().print(visible(f"{question} [y/N] "), end="", markup=False)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        notes().print("Nothing was removed.", style="dim")
        raise SystemExit(1)
