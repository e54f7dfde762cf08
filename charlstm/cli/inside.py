"""What `charlstm inspect` prints: a text coloured by one unit, and what the units follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlstm.cli.console import results, visible, write_result
from charlstm.cli.tables import fitting, plain_table
from charlstm.errors import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from charlstm.evaluation.gates import Followed, Gates, Unit

# Of text on a colour; the black of a terminal's palette may be a grey.
_LETTERS = "#000000"
# From this size on, these colours: what is high, what is low, and gates. They are of the palette
# of 256 that most terminals have, and those who see no red or no green can tell them apart.
_STEPS = (0.7, 0.4, 0.15)
_HIGH = ("#ff8700", "#ffaf5f", "#ffd7af")
_LOW = ("#5f87ff", "#87afff", "#d7d7ff")
_GATE = ("#5fafaf", "#87d7d7", "#d7ffff")
_GATES = "iforz"
_TITLES = ("unit", "r", "by chance", "remembers", "off")
# What a narrow terminal leaves out, in this order; --json has all of it.
_LESS_TELLING = ("remembers", "off", "by chance")


@dataclass(frozen=True)
class Coloured:
    """A text coloured by one unit.

    Attributes:
        title: what the text is called.
        text: N characters.
        cut: whether it goes on.
        unit: which.
        what: of the unit, by its letter.
        numbers: ``[N]``, that.
    """

    title: str
    text: str
    cut: bool
    unit: "Unit"
    what: str
    numbers: "NDArray[np.float32]"


def draw(coloured: Coloured, gates: "Gates", needed: "dict[Unit, float]", measured: str) -> None:
    """Print the text, coloured, and the units that follow something."""
    from rich.text import Text

    console = results()
    with console.capture() as drawn:
        if console.color_system:  # without colours there is nothing to see
            _print_text(console, coloured)
        title = f"what units follow, over {count(gates.characters, 'character')}: {measured}"
        console.print(Text(visible(title), style="bold"))
        console.print()
        if gates.followed:
            console.print(_table(gates, needed))
            console.print()
        for sentence in _sentences(gates):
            console.print(Text(sentence, style="dim"))
    write_result(drawn.get())


def _table(gates: "Gates", needed: "dict[Unit, float]") -> "Table":
    rows = [{"what": one.thing, **_figures(one, gates, needed)} for one in gates.followed]
    used = [title for title in _TITLES if any(row[title] for row in rows)]
    _, *titles = fitting(("what", *used), rows, _LESS_TELLING)
    table = plain_table()
    table.add_column("what", overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for one, row in zip(gates.followed, rows, strict=True):
        cells = [row[title] for title in ("what", *titles)]
        table.add_row(*cells, style="" if one.certain else "dim")
    return table


def _figures(one: "Followed", gates: "Gates", needed: "dict[Unit, float]") -> dict[str, str]:
    remembers = gates.remembers(one.unit)
    return {
        "unit": str(one.unit),
        "r": f"{one.correlation:+.2f}",
        "by chance": f"{one.by_chance:.2f}",
        "remembers": "" if remembers is None else f"{remembers:,.1f}",
        "off": f"{needed[one.unit]:+.4f}",
    }


def _sentences(gates: "Gates") -> Iterator[str]:
    """Yield what the figures mean."""
    from charlstm.evaluation.gates import CLOSELY

    if not gates.followed:
        yield "The text is too short to say what its units follow."
        return
    yield (
        "r: the correlation of a unit's memory with what a reader knows. by chance: what the best "
        "of all units comes to where the text is shuffled. remembers: for how many characters, by "
        "its mean gate. off: how many bits a character worse the network predicts without it."
    )
    mostly = ": most units mean nothing that one can name" * (2 * gates.named < gates.units)
    yield (
        f"{gates.named:,} of {count(gates.units, 'unit')} follow one of these closely, with r of "
        f"{CLOSELY} or more, without sign{mostly}."
    )


def _print_text(console: "Console", coloured: Coloured) -> None:
    from rich.text import Text

    is_gate = coloured.what in _GATES
    largest = 1.0 if is_gate else max(float(abs(coloured.numbers).max()), 1e-6)
    title = f"{coloured.title}, coloured by {coloured.what} of unit {coloured.unit}"
    if coloured.cut:
        title = f"the beginning of {title}"
    console.print(Text(visible(title), style="bold"))
    console.print(_colored(coloured.text, coloured.numbers / largest, is_gate))
    key = Text.assemble(("\n" + coloured.what + ": ", "dim"))
    sizes = (1.0, *_STEPS[1:], 0.0)
    for share in (*(() if is_gate else (-size for size in sizes[:-1])), *reversed(sizes)):
        key.append(f" {share * largest:.2f} ", style=_style(share, is_gate))
    console.print(key)
    console.print()


def _colored(text: str, numbers: "NDArray[np.float32]", is_gate: bool) -> "Text":
    """Return a text, each letter with the colour of its last character."""
    from rich.text import Text

    from charlstm.evaluation.highlight import LINE_END, SONG_END
    from charlstm.text.letters import letters
    from charlstm.text.songs import END, SYMBOL

    drawn, at = Text(), 0
    for letter in letters(text):
        at += len(letter)
        style = _style(float(numbers[at - 1]), is_gate)
        if letter in ("\n", END):
            drawn.append(LINE_END if letter == "\n" else SONG_END, style=style or "dim")
            drawn.append("\n" * (at < len(text)))
        elif not SYMBOL.match(letter):
            drawn.append(visible(letter), style=style)
    return drawn


def _style(number: float, is_gate: bool) -> str:
    """Return the style of a number from -1 to 1, or of a gate from 0 to 1."""
    colors = _GATE if is_gate else _LOW if number < 0 else _HIGH
    for least, color in zip(_STEPS, colors, strict=True):
        if abs(number) >= least:
            return f"{_LETTERS} on {color}"
    return ""
