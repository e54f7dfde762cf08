"""What is said of files that were read: the same words in a terminal and on a page."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from charlstm.text.formats.account import together

if TYPE_CHECKING:
    from charlstm.text.corpus import Source

# This much of a line is shown of a text whose encoding was guessed.
_SHOWN = 60


def text_lines(source: "Source") -> list[str]:
    """Say in which encoding a file is read; if that was guessed, also what its text looks like."""
    guess, read_as = source.guess, _read_as(source)
    if guess is None:
        return [f"{source.name} ({read_as})"]
    others = f", else {' or '.join(guess.others)}" if guess.others else ""
    line = guess.line if len(guess.line) <= _SHOWN else f"{guess.line[:_SHOWN]}…"
    return [
        f"{source.name} ({read_as}, guessed: {guess.sure:.0%} sure{others})",
        f"  read as: {line}",
    ]


def _read_as(source: "Source") -> str:
    """Say what a file is, where its text stands, and in which encoding it is read."""
    form = source.format
    if form.is_plain:
        return source.encoding
    fields = [name for name, _ in source.account.fields.most_common(3)]
    where = f" with the text in {' and '.join(fields)}" if fields else ""
    return f"{form.name}{where}" + (f", {source.encoding}" if form.name != "Word" else "")


def left_out(sources: "Iterable[Source]") -> str:
    """Say what was left out of files, of all together: ``2,113 timestamps, 3 tags``."""
    return ", ".join(together([source.account for source in sources]).told())
