"""Tables that give way on narrow terminals, and what stands in their cells."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from charlstm.cli.console import is_terminal, results, visible, write_result

if TYPE_CHECKING:
    from rich.table import Table

# Where nobody sees how wide it is, every column is whole.
_WIDE = 1_000
# Empty cells between two columns.
_BETWEEN = 2


def fitting(
    titles: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    less_telling: Sequence[str],
) -> list[str]:
    """Return the columns that standard output has room for; all where it is no terminal.

    Args:
        titles: of all columns, from the left.
        rows: what stands in each column; nothing in those that are not named.
        less_telling: the columns that are left out, in this order, until there is room.
    """
    from rich.cells import cell_len

    widths = {
        title: max(cell_len(cell) for cell in (title, *(row.get(title, "") for row in rows)))
        for title in titles
    }
    if is_terminal(sys.stdout):
        width = results().width
        for title in less_telling:
            if sum(widths.values()) + _BETWEEN * (len(widths) - 1) <= width:
                break
            widths.pop(title, None)
    return list(widths)


def plain_table(*, header: bool = True) -> "Table":
    """Return a table without a frame."""
    from rich.table import Table

    padding = (0, _BETWEEN, 0, 0)
    return Table(box=None, pad_edge=False, padding=padding, header_style="dim", show_header=header)


def write_tables(*tables: "Table | str") -> None:
    """Write tables and lines of text to standard output, with an empty line between any two."""
    console = results()
    if not is_terminal(sys.stdout):
        console.width = _WIDE
    with console.capture() as drawn:
        for number, table in enumerate(tables):
            if number:
                console.print()
            if isinstance(table, str):
                console.print(visible(table), markup=False)
            else:
                console.print(table)
    lines = drawn.get().split("\n")
    write_result("\n".join(line.rstrip(" ") for line in lines))


def in_a_cell(text: str) -> str:
    """Return a text as it can stand in a table: within a line, nothing that a terminal obeys."""
    return visible(text).replace("\n", "⏎").replace("\t", "␉")


def told_duration(seconds: float) -> str:
    """Return about how long something takes or took."""
    if seconds < 10:
        return "10 seconds or less"
    if seconds < 100:
        return f"about {seconds:.0f} seconds"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"


def told_size(size: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    if size < 100_000:
        return f"{max(size / 1e3, 1):.0f} kB" if size else "0 kB"
    return f"{size / 1e6:,.2f} MB"
