"""`charlstm eval`: say how good a model is."""

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.console import results, visible
from charlstm.cli.options import (
    BackendOption,
    DeviceOption,
    EncodingOption,
    RunOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from charlstm.evaluation import Evaluation

app = typer.Typer(help="Say how good a model is.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Say how good a model is."""


@app.command("perplexity")
def perplexity(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories, globs or - for standard input.",
            show_default="the run's held-out text",
        ),
    ] = None,
    run: RunOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    encoding: EncodingOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Measure how well the newest model predicts a text it has not learned from."""
    from charlstm.api import load

    model = load(run)
    options: dict[str, Any] = {"backend": backend, "device": device, "threads": threads}
    if text:
        figures = model.perplexity_of(text, encoding=encoding, **options)
        measured = ", ".join(text)
    else:
        figures = model.perplexity(**options)
        measured = f"held-out text of {model.directory.name}"
    if as_json:
        print(json.dumps({**figures.to_json(), "run": str(model.directory.path)}))
        return

    _draw(figures, measured)


def _draw(figures: "Evaluation", measured: str) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("this model", justify="right", style="bold")
    table.add_column("unigram", justify="right")
    table.add_column("uniform", justify="right")
    rows = (figures.perplexity, figures.unigram_perplexity, figures.uniform_perplexity)
    table.add_row("perplexity", *(f"{value:,.2f}" for value in rows))
    table.add_row("bits per character", *(f"{math.log2(value):.3f}" for value in rows))
    table.add_row("bits per byte", f"{figures.bits_per_byte:.3f}", "", "")
    table.add_row("nats per character", f"{figures.loss:.4f}", "", "")

    console = results()
    console.print(visible(measured), style="bold", markup=False)
    console.print(
        f"{figures.characters:,} characters predicted, {figures.unknown_share:.2%} of them unknown "
        "to the model\n",
        style="dim",
    )
    console.print(table)
