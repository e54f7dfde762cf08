"""`charlstm runs export`: a model in one page, or a run in an archive."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.console import loading, notes, visible
from charlstm.cli.options import ForceOption
from charlstm.cli.tables import told_size
from charlstm.errors import OutputError

if TYPE_CHECKING:
    from charlstm.exports.onepage import Figures
    from charlstm.outputs import Output
    from charlstm.runs.directory import RunDirectory
    from charlstm.runs.info import RunInfo

_PAGES, _ARCHIVES = (".html", ".htm"), (".zip",)
_PIECE = 1 << 20


def export(
    name: Annotated[
        str, typer.Argument(help="A run in checkpoints/, or its path.", show_default=False)
    ],
    file: Annotated[
        Path,
        typer.Argument(
            help="What to write: a page, .html, that writes in any browser without a network; or "
            "the whole run, .zip, for another machine.",
            show_default=False,
        ),
    ],
    force: ForceOption = False,
) -> None:
    """Take a model along: in one page that writes in any browser, or its run in an archive."""
    ending = file.suffix.lower()
    if ending not in _PAGES + _ARCHIVES:
        raise OutputError(
            f"What {file.name} is to be is told by how its name ends, in .html for a page that "
            "writes in any browser, in .zip for the whole run."
        )
    with loading():
        from charlstm.outputs import PAGE, Output
        from charlstm.runs.directory import RunDirectory
        from charlstm.runs.keeping import MADE_HERE

    run = RunDirectory.find(name)
    mark = PAGE if ending in _PAGES else MADE_HERE
    output = Output(file, run.files, [mark], force)
    output.check()  # before what takes long
    told = _write_page(run, output) if ending in _PAGES else _write_archive(run, output)
    size = told_size(file.stat().st_size)
    notes().print(visible(f"{file}: {size}. {told}"), style="dim", markup=False)


def _write_page(run: "RunDirectory", output: "Output") -> str:
    """Write a page; return what it is, and what it is worth."""
    with loading():
        from charlstm.exports.onepage import Figures, write_page

        info = run.read_info()
        output.write(write_page(info, run.read_model(info), run.name))
    return _worth(info, Figures.of(info))


def _worth(info: "RunInfo", figures: "Figures") -> str:
    alone = "" if figures.alone is None else f", held-out perplexity {figures.alone:,.2f}"
    told = f"Open it in a browser: it writes by the network alone{alone}."
    if info.recall is not None:
        blend = "" if figures.blend is None else f", with which that is {figures.blend:,.2f}"
        told += f" What the run remembers of its text{blend}, is not in the page."
    return told


def _write_archive(run: "RunDirectory", output: "Output") -> str:
    """Write an archive; return what to do with it."""
    from charlstm.runs.keeping import write_zip

    run.read_info()  # a run that cannot be read is not handed on
    with tempfile.TemporaryFile() as file:
        write_zip(run, file)
        file.seek(0)
        output.write_pieces(iter(lambda: file.read(_PIECE), b""))
    return "Unpacked into checkpoints/ it is a run on any machine."
