"""`charlstm runs export`: a model in one page, a network as a graph, or a run in an archive."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm import __version__
from charlstm.cli.console import loading, notes, visible
from charlstm.cli.options import ForceOption
from charlstm.cli.tables import told_size
from charlstm.errors import OutputError, count

if TYPE_CHECKING:
    from charlstm.model.recall.recall import Recall
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
            f"How a name ends says what is written, and {file} ends in none of these: .html for a "
            "page that writes in any browser, .onnx for other programs, .zip for the whole run."
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
    """Write a page; return what it is, what it is worth, and what can be told from it."""
    with loading():
        from charlstm.exports.onepage import write_page

        info = run.read_info()
        recall = run.read_recall(info) if info.share() else None
        output.write(write_page(info, run.read_model(info), run.name, recall))
    opening = "Open it in a browser: it writes"
    if recall is None:
        return _alone(info, f"{opening} by")
    return f"{opening} {_remembered(info, recall)}"


def _remembered(info: "RunInfo", recall: "Recall") -> str:
    """Return what a page goes by besides its network, what both are worth, and what that tells."""
    from charlstm.exports.grams import Grams
    from charlstm.exports.told import Figures

    figures, grams = Figures.of(info), Grams.of(recall)
    told = "with what the run remembers"
    if figures.blend is not None:
        told += f", held-out perplexity {figures.blend:,.2f}"
        if figures.alone is not None:
            told += f" ({figures.alone:,.2f} by the network alone)"
    told += "."
    if grams.levels:
        told += (
            f" It has {count(grams.number, 'gram')} of the training text, of up to {grams.longest} "
            "characters, and much of that text can be told from them."
        )
    if grams.left_out:
        told += f" {count(grams.left_out, 'longer one')} had no room"
        told += ", and that perplexity is with them." if figures.blend is not None else "."
    return told


def _write_graph(run: "RunDirectory", output: "Output") -> str:
    """Write a graph; return what it is, and what it is worth."""
    with loading():
        from charlstm.exports.graph import write_graph
        from charlstm.exports.told import Figures

        info = run.read_info()
        output.write(write_graph(info, run.read_model(info), run.name, __version__))
    told = _alone(info, "Run it with onnxruntime, one character a step: it is")
    if info.recall is not None:
        blend = Figures.of(info).blend
        worth = "" if blend is None else f", with which that is {blend:,.2f}"
        told += f" What the run remembers of its text{worth}, is not in the file."
    return told


def _alone(info: "RunInfo", opening: str) -> str:
    """Return that a file has the network alone, and what that is worth."""
    from charlstm.exports.told import Figures

    alone = Figures.of(info).alone
    worth = "" if alone is None else f", held-out perplexity {alone:,.2f}"
    return f"{opening} the network alone{worth}."


def _write_zip(run: "RunDirectory", output: "Output") -> str:
    """Write an archive; return what to do with it."""
    from charlstm.runs.keeping import write_zip

    run.read_info()  # a run that cannot be read is not handed on
    with tempfile.TemporaryFile() as file:
        write_zip(run, file)
        file.seek(0)
        output.write_pieces(iter(lambda: file.read(_PIECE), b""))
    return "Unpacked into checkpoints/ it is a run on any machine."
