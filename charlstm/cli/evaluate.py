"""`charlstm eval`: say how good a model is."""

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.console import loading, results, visible, write_result
from charlstm.cli.options import (
    BackendOption,
    DeviceOption,
    EncodingOption,
    RunOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    with loading():
        import charlstm.evaluation  # noqa: F401, which brings torch
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
        from charlstm.figures import finite

        answer = {**figures.to_json(), "run": str(model.directory.path)}
        write_result(json.dumps(finite(answer)) + "\n")
        return

    _draw(figures, measured)


def _draw(figures: "Evaluation", measured: str) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("this model", justify="right", style="bold")
    table.add_column("unigram", justify="right")
    table.add_column("uniform", justify="right")
    others = (figures.unigram_perplexity, figures.uniform_perplexity)
    table.add_row("perplexity", *(f"{value:,.2f}" for value in (figures.perplexity, *others)))
    bits = (figures.bits_per_character, *(math.log2(value) for value in others))
    table.add_row("bits per character", *(f"{value:.3f}" for value in bits))
    table.add_row("bits per byte", f"{figures.bits_per_byte:.3f}", "", "")
    table.add_row("nats per character", f"{figures.loss:.4f}", "", "")

    console = results()
    # Drawn whole and written at once, so that a reader who leaves early is noticed in one place.
    with console.capture() as drawn:
        _print(console, figures, measured, table)
    write_result(drawn.get())


def _print(console: "Console", figures: "Evaluation", measured: str, table: "Table") -> None:
    console.print(visible(measured), style="bold", markup=False)
    console.print(
        f"{figures.characters:,} characters predicted, {figures.unknown_share:.2%} of them unknown "
        "to the model\n",
        style="dim",
    )
    console.print(table)
