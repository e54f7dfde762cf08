"""`charlstm runs export`: a model in one page, a network as a graph, or a run in an archive."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm import __version__
from charlstm.cli.console import loading, notes, visible
from charlstm.cli.options import ForceOption
from charlstm.cli.tables import told_size
from charlstm.errors import OutputError

if TYPE_CHECKING:
    from charlstm.outputs import Output
    from charlstm.runs.directory import RunDirectory
    from charlstm.runs.info import RunInfo

_PAGES, _GRAPHS, _ARCHIVES = (".html", ".htm"), (".onnx",), (".zip",)
_PIECE = 1 << 20


def export(
    name: Annotated[
        str, typer.Argument(help="A run in checkpoints/, or its path.", show_default=False)
    ],
    file: Annotated[
        Path,
        typer.Argument(
            help="What to write: a page, .html, that writes in any browser without a network; the "
            "neural network, .onnx, for programs in any language (needs charlstm\\[onnx]); or the "
            "whole run, .zip, for another machine.",
            show_default=False,
        ),
    ],
    force: ForceOption = False,
) -> None:
    """Take a model along: as a page that writes by itself, for other programs, or its run."""
    ending = file.suffix.lower()
    if ending not in _PAGES + _GRAPHS + _ARCHIVES:
        raise OutputError(
            f"What {file.name} is to be is told by how its name ends, in .html for a page that "
            "writes in any browser, in .onnx for other programs, in .zip for the whole run."
        )
    with loading():
        from charlstm.outputs import GRAPH, PAGE, Output
        from charlstm.runs.directory import RunDirectory
        from charlstm.runs.keeping import MADE_HERE

    mark = PAGE if ending in _PAGES else GRAPH if ending in _GRAPHS else MADE_HERE
    write = _write_page if ending in _PAGES else _write_graph if ending in _GRAPHS else _write_zip
    run = RunDirectory.find(name)
    output = Output(file, run.files, [mark], force)
    output.check()  # before what takes long
    told = write(run, output)
    size = told_size(file.stat().st_size)
    notes().print(visible(f"{file}: {size}. {told}"), style="dim", markup=False)


def _write_page(run: "RunDirectory", output: "Output") -> str:
    """Write a page; return what it is, and what it is worth."""
    with loading():
        from charlstm.exports.onepage import write_page

        info = run.read_info()
        output.write(write_page(info, run.read_model(info), run.name))
    return _worth(info, "Open it in a browser: it writes by", "the page")


def _write_graph(run: "RunDirectory", output: "Output") -> str:
    """Write a graph; return what it is, and what it is worth."""
    with loading():
        from charlstm.exports.graph import write_graph

        info = run.read_info()
        output.write(write_graph(info, run.read_model(info), run.name, __version__))
    return _worth(info, "Run it with onnxruntime, one character a step: it is", "the file")


def _worth(info: "RunInfo", opening: str, place: str) -> str:
    """Return what is in a file that was written, and the held-out perplexities."""
    from charlstm.exports.told import Figures

    figures = Figures.of(info)
    alone = "" if figures.alone is None else f", held-out perplexity {figures.alone:,.2f}"
    told = f"{opening} the network alone{alone}."
    if info.recall is not None:
        blend = "" if figures.blend is None else f", with which that is {figures.blend:,.2f}"
        told += f" What the run remembers of its text{blend}, is not in {place}."
    return told


def _write_zip(run: "RunDirectory", output: "Output") -> str:
    """Write an archive; return what to do with it."""
    from charlstm.runs.keeping import write_zip

    run.read_info()  # a run that cannot be read is not handed on
    with tempfile.TemporaryFile() as file:
        write_zip(run, file)
        file.seek(0)
        output.write_pieces(iter(lambda: file.read(_PIECE), b""))
    return "Unpacked into checkpoints/ it is a run on any machine."
