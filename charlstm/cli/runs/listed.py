"""`charlstm runs`: the runs in a table."""

from datetime import datetime
from typing import TYPE_CHECKING

from charlstm.cli.console import loading, notes, write_json
from charlstm.cli.names import option
from charlstm.cli.tables import fitting, in_a_cell, plain_table, told_size, write_tables

if TYPE_CHECKING:
    from charlstm.runs.listing import Listed

_NAME, _TEXT, _SONGS, _HELD_OUT, _SIZE, _SAVED, _STATE = _TITLES = (
    *("run", "text", "songs", "held-out ppl", "size", "saved", "state"),
)
# What a narrow terminal leaves out, in this order.
_LESS_TELLING = (_SONGS, _SAVED, _SIZE, _TEXT)
_FIGURES = (_SONGS, _HELD_OUT, _SIZE)
# No name of a text is shown longer.
_LONGEST = 30


def write_list(*, as_json: bool) -> None:
    """Write what there is of runs."""
    with loading():
        from charlstm.runs.directory import ROOT
        from charlstm.runs.listing import Listed

    runs = Listed.all_in(ROOT)
    if as_json:
        told = [{**run.to_json(option), "text": texts(run)} for run in runs]
        write_json({"runs": told, "root": str(ROOT)})
        return
    if not runs:
        note = f"There is no run in {ROOT} yet: train one with charlstm train CORPUS."
        notes().print(note, style="dim", markup=False)
        return
    rows = [_row(run) for run in runs]
    titles = fitting(_TITLES, rows, _LESS_TELLING)
    table = plain_table()
    for title in titles:
        right = title in _FIGURES
        table.add_column(
            title,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=title != _NAME,
        )
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(row[title]) for title in titles))
    problems = [
        f"{in_a_cell(run.directory.name)}: {in_a_cell(run.problem.told(option))}"
        for run in runs
        if run.problem is not None
    ]
    write_tables(table, *(["\n".join(problems)] if problems else []))


def texts(run: "Listed") -> list[str]:
    """Return the names of the texts that a run learned from."""
    return [] if run.info is None else [source.name for source in run.info.sources]


def told_texts(names: list[str], most: int = 1) -> str:
    """Return names of texts, the first of them and how many there are besides."""
    shown = [_shortened(in_a_cell(name)) for name in names[:most]]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(shown)}{more}" or "–"


def told_date(saved: float) -> str:
    """Return a time in seconds since 1970 as a date, here."""
    try:
        return datetime.fromtimestamp(saved).strftime("%Y-%m-%d %H:%M") if saved > 0 else "–"
    except (ValueError, OverflowError, OSError):  # in a stranger's run
        return "–"


def _row(run: "Listed") -> dict[str, str]:
    return {
        _NAME: in_a_cell(run.directory.name),
        _TEXT: told_texts(texts(run)),
        _SONGS: "–" if run.songs is None else f"{run.songs:,}",
        _HELD_OUT: "–" if run.perplexity is None else f"{run.perplexity:,.2f}",
        _SIZE: "link" if run.is_link else told_size(run.bytes),
        _SAVED: told_date(run.saved),
        _STATE: run.state,
    }


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
