"""What `charlstm write` shows: the song so far, the lines proposed, the keys, the help."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from charlstm.cli.console import is_terminal, shown_line, visible
from charlstm.cli.write.settings import settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from charlstm.writing.song import Proposal, Song

HELP = """\
1 … 5             take that line
any other words   are the next line, and the model goes on from them
r                 other lines, none that was shown here before
u                 take the last line back
l    l 3          look ahead: how it might go on from here, or after line 3
t                 take the lines that were shown ahead
/refrain 2        the second stanza returns; /refrain: the one that does in what
                  the model learned
b                 an empty line: a new stanza, and the form begins again
p                 print the whole song
s FILE            save the song there; s! FILE writes over a file that exists
q                 quit; the draft is kept, and offered next time as it is now

/temperature 0.9  below 1 plays safe, above 1 takes risks
/recall 0.2       how much it goes by what it has read; 0: the network alone
/length 7         characters a line: 7, 6-9, 5,7,5,7
/rhyme AABA       lines with the same letter rhyme
/acrostic 春夏    first characters of the lines of a stanza; /end: the last ones
/must "my love"   words, or phrases in quotes, that the stanza must have
/copy 6           copy no more characters in a row from the training text
/length           shows it, and /length off turns it off; the others likewise

Lines that are pasted together are lines of the song, whatever they look like.
A line that looks like one of these is written with a backslash before it: \\r"""

# So many lines of the song are shown where no screen has a height, and at least on any screen.
_LINES, _FEWEST = 12, 3
# Rows that the page itself does not have: what was typed or told above it, an empty one, the mark
# that there is more of the song, the prompt.
_AROUND = 4
# A narrower console has no room for what is copied beside the lines.
_NARROW = 60
# What takes less time needs no sign that something happens.
_PATIENCE_SECONDS = 0.4


def draw(console: "Console", name: str, song: "Song", proposals: "Sequence[Proposal]") -> None:
    """Draw the song so far, as much of it as there is room for, and what can be done with it.

    Args:
        console: to draw on.
        name: of the run.
        song: as it is now.
        proposals: the lines to choose from.
    """
    from rich.text import Text

    title, keys = Text(_title(name, song), style="dim"), Text(_keys(len(proposals)), style="dim")
    below: list[Text | Table] = [keys]
    if proposals:
        below = [_table(proposals, passages=console.width >= _NARROW), keys]
    room = console.height - _AROUND - sum(_rows(console, part) for part in (title, *below))
    lines = _last_lines(console, song.lines, room)
    console.print()
    console.print(title)
    if len(lines) < len(song.lines):
        console.print(Text("  …", style="dim"))
    for part in (*lines, *below):
        console.print(part)


def _title(name: str, song: "Song") -> str:
    """Return the run and the settings, and how far the stanza has come with its acrostic."""
    from charlstm.text.letters import number_of_letters

    asked = {setting: value for setting, value in settings(song).items() if value}
    for setting in asked.keys() & {"acrostic", "end"}:
        done, letters = len(song.stanza), number_of_letters("".join(asked[setting].split()))
        far = f"{done}/{letters}" if done < letters else "complete, b begins a stanza"
        asked[setting] += f" {far}"
    told = [name, *(f"{setting} {asked[setting]}" for setting in asked)]
    ends = song.end_probability
    if song.lines and ends is not None:
        told.append(f"the song ends here: {ends:.0%} likely")
    return visible(" · ".join(told))


def _keys(proposals: int) -> str:
    keys = ["your own words", "r more", "u back", "l ahead", "s FILE", "q quit", "? help"]
    if proposals:
        keys.insert(0, f"1-{proposals} take" if proposals > 1 else "1 take")
    return " · ".join(keys)


def _table(proposals: "Sequence[Proposal]", *, passages: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", style="bold cyan", no_wrap=True)
    table.add_column("likely", justify="right", no_wrap=True)
    table.add_column("copied", justify="right", no_wrap=True, style="dim")
    # After the figures: how wide a terminal draws a text is not always what is computed here.
    table.add_column("the next line", overflow="fold")
    table.add_column("", overflow="fold", style="dim")
    for number, proposal in enumerate(proposals, start=1):
        copied = passage = ""
        if proposal.verbatim:
            copied = "all"
        elif proposal.copied is not None:
            copied = f"{proposal.copied.letters}"
            # The quotes show the spaces at its edges.
            passage = f"«{shown_line(proposal.copied.text)}»" if passages else ""
        table.add_row(
            str(number),
            f"{proposal.probability:.1%}",
            Text(copied, style="yellow" if proposal.verbatim else ""),
            Text(visible(proposal.line)),
            Text(passage),
        )
    return table


def song_line(line: str) -> "Text":
    """Return a line of the song as it is drawn."""
    from rich.text import Text

    return Text(f"  {visible(line)}", style="bold")


def _last_lines(console: "Console", lines: Sequence[str], room: int) -> "list[Text]":
    """Return the last lines that so many rows have room for, and a few in any case."""
    if not is_terminal(sys.stderr):
        return [song_line(line) for line in lines[-_LINES:]]
    shown: list[Text] = []
    for line in reversed(lines):
        text = song_line(line)
        room -= _rows(console, text)
        if len(shown) >= _FEWEST and room < 0:
            break
        shown.append(text)
    return shown[::-1]


def _rows(console: "Console", part: "Text | Table") -> int:
    return len(console.render_lines(part, pad=False))


@contextmanager
def busy(console: "Console") -> Iterator[None]:
    """Show on a terminal that something happens, if it takes longer than a moment."""
    if not is_terminal(sys.stderr):
        yield
        return
    status = console.status("looking for lines …")
    timer = threading.Timer(_PATIENCE_SECONDS, status.start)
    try:
        timer.start()
        yield
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()  # it may be showing it just now
        status.stop()
