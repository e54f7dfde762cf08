"""Make the pictures again: python -m docs.pictures [NAME]... [--where DIR]."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from docs.pictures.cell import draw_cell
from docs.pictures.commands import Workshop
from docs.pictures.flow import draw_flow

HERE = Path(__file__).parent


def make(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which ones.", show_default="all")
    ] = None,
    where: Annotated[
        Path | None,
        typer.Option(
            help="Where the commands run; a run that lies there is used again.",
            show_default="a temporary directory",
        ),
    ] = None,
) -> None:
    """Make the pictures again."""
    with tempfile.TemporaryDirectory() as temporary:
        workshop = Workshop(where or Path(temporary))
        pictures: dict[str, Callable[[], bytes]] = {
            "train.svg": workshop.train,
            "write.svg": workshop.write,
            "surprisal.png": workshop.surprisal,
            "curve.svg": workshop.curve,
            "compare.svg": workshop.compare,
            "tune.svg": workshop.tune,
            "lengths.svg": workshop.lengths,
            "desk.png": workshop.desk,
            "desk-dark.png": workshop.desk_dark,
            "watch.png": workshop.watch,
            "onepage.png": workshop.onepage,
            "inside.png": workshop.inside,
            "inside-code.png": workshop.inside_code,
            "cell.svg": lambda: draw_cell().encode(),
            "flow.svg": lambda: draw_flow().encode(),
        }
        known = {Path(file).stem: file for file in pictures}
        for name in names or known:
            if name not in known:
                raise typer.BadParameter(f"there is no {name!r}, only {', '.join(known)}")
        for name in names or known:
            picture = pictures[known[name]]()
            (HERE / known[name]).write_bytes(picture)
            typer.echo(f"{known[name]}: {len(picture) / 1e3:,.0f} kB")


typer.run(make)
