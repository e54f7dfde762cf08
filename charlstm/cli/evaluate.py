"""`charlstm eval`: say how good a model is."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.console import (
    loading,
    notes,
    results,
    visible,
    write_json,
    write_result,
)
from charlstm.cli.measured import page_output, progress, read_text
from charlstm.cli.options import (
    BackendOption,
    DeviceOption,
    EncodingOption,
    FieldOption,
    ForceOption,
    QuietOption,
    RunOption,
    ThreadsOption,
    recall_option,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.errors import count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from charlstm.evaluation.highlight import Line
    from charlstm.evaluation.labels import Worth
    from charlstm.evaluation.perplexity import Evaluation
    from charlstm.outputs import Output

# Of text on a colour; the black of a terminal's palette may be a grey.
_LETTERS = "#000000"
# This many lines are shown at either end of the ranking.
_RANKED = 10

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
    recall: Annotated[float | None, recall_option()] = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            help="Also measure how well the model does when it goes on learning from the text as "
            "it reads (dynamic evaluation). Takes longer; the saved model stays as it is.",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Show the text, each character coloured by how surprising it was."
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write the text, coloured in the same way, as a self-contained page.",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    quiet: QuietOption = False,
    encoding: EncodingOption = None,
    field: FieldOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Measure how well the newest model predicts a text it has not learned from."""
    if show and as_json:
        raise typer.BadParameter("--show and --json cannot be combined.")
    if force and html is None:
        raise typer.BadParameter("--force is for --html, and that was not given.")
    be_quiet(quiet)
    check_redirections(text or ())
    with loading():
        import charlstm.evaluation.perplexity  # noqa: F401, which brings torch
        from charlstm.api import load

    model = load(run)
    # Before what may take long.
    written = None if html is None else page_output(html, model, text, force=force)
    corpus, measured = read_text(model, text, encoding, field)
    read = model.info.labels.stripped(model.measured(corpus))
    shown = progress(len(read) - 1, "dynamic evaluation") if dynamic else nullcontext()
    with shown as on_progress:
        figures = model.perplexity(
            corpus,
            dynamic=dynamic,
            recall=recall,
            on_progress=on_progress,
            backend=backend,
            device=device,
            threads=threads,
        )
    if written is not None:
        _write_page(written, measured, model.directory.name, read, figures)
    if as_json:
        from charlstm.figures import finite

        share = model.info.share(recall)
        answer = {**figures.to_json(), "recall_share": share, "run": str(model.directory.path)}
        write_json(finite(answer))
        return
    _draw(figures, measured, read if show else None, labelled=bool(model.info.labels))


def _write_page(
    written: "Output", measured: str, run: str, text: str, figures: "Evaluation"
) -> None:
    from charlstm.evaluation.highlight import lines, page

    summary = (
        f"Perplexity {figures.perplexity:,.2f}, {figures.bits_per_character:.3f} bits a character "
        f"over {count(figures.characters, 'character')}, by the run {run}. The deeper the colour, "
        "the less the model expected the character."
    )
    drawn = page(visible(measured), visible(summary), lines(visible(text), figures.surprisal))
    written.write(drawn.encode(errors="backslashreplace"))
    notes().print(visible(f"page: {written.path}"), style="dim", markup=False)


def _draw(figures: "Evaluation", measured: str, shown: str | None, *, labelled: bool) -> None:
    from rich.table import Table

    from charlstm.figures import bits
    from charlstm.figures import perplexity as perplexity_of

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("")
    for title in ("perplexity", "bits/char", "bits/byte", "nats/char"):
        table.add_column(title, justify="right")
    bytes_per_symbol = figures.utf8_bytes / (figures.characters + figures.ends)
    for name, loss, style in _rows(figures):
        each = bits(loss)
        row = (f"{perplexity_of(loss):,.2f}", f"{each:.3f}", f"{each / bytes_per_symbol:.3f}")
        table.add_row(name, *row, f"{loss:.4f}", style=style)

    console = results()
    # Drawn whole and written at once, so that a reader who leaves early is noticed in one place.
    with console.capture() as drawn:
        if shown is not None:
            _show(console, shown, figures)
        _print(console, figures, measured, table)
        if figures.labels is not None:
            _print_labels(console, figures.labels)
        elif labelled:
            told = "No song has a label that was learned, so nothing says what labels are worth."
            console.print(f"\n{told}", style="dim")
    write_result(drawn.get())


def _rows(figures: "Evaluation") -> Iterator[tuple[str, float, str]]:
    """Yield what is measured: what it is called, its loss, and a style.

    What writes comes first, then the parts that it is made of, then what adapts to the very text,
    which answers another question, and last what is there to compare with.
    """
    yield "this model", figures.loss, "bold"
    parts = figures.parts
    named = {
        "lstm": "  network alone",
        "recall": "  + training text",
        "so_far": "  + song so far",
    }
    if parts["so_far"] is not None:
        for part, title in named.items():
            # Where no grams are kept, the song so far is all that is remembered.
            if (loss := parts[part]) is not None:
                yield title, loss, ""
    if figures.dynamic_loss is not None:
        yield "network, adapting", figures.dynamic_loss, ""
        if parts["so_far"] is not None:
            yield "all, adapting", figures.adapting_loss or 0.0, ""
    compared = {"five_gram": "5-gram", "unigram": "unigram", "uniform": "uniform"}
    for part, title in compared.items():
        if (loss := parts[part]) is not None:
            yield title, loss, "dim"


def _show(console: "Console", text: str, figures: "Evaluation") -> None:
    """Print the text, coloured, and its most and least surprising lines."""
    from rich.text import Text

    from charlstm.evaluation.highlight import SHADES, lines, ranked, shade_names

    in_order = lines(text, figures.surprisal)
    for line in in_order:
        console.print(_colored(line))
    if console.is_terminal:  # elsewhere there are no colours to explain
        # A style of the whole would dim the letters on the colours as well.
        key = Text.assemble(("\nbits a character: ", "dim"))
        for (_, color), name in zip(SHADES, shade_names(), strict=True):
            key.append(f" {name} ", style=f"{_LETTERS} on {color}" if color else "")
        console.print(key)
    order = ranked(in_order)
    parts = {"lines, the most surprising first": order}
    if len(order) > 2 * _RANKED:
        parts = {
            "most surprising lines": order[:_RANKED],
            "least surprising lines": order[: -_RANKED - 1 : -1],
        }
    for title, part in parts.items():
        console.print(Text(f"\n{title}, in bits a character", style="bold"))
        for line in part:
            console.print(Text.assemble((f"{line.mean:7.2f}  ", "dim"), _colored(line)))
    console.print()


def _colored(line: "Line") -> "Text":
    from rich.text import Text

    from charlstm.evaluation.highlight import shade

    drawn = Text()
    marked = list(line.letters())
    for place, (letter, bits) in enumerate(marked, start=1):
        color = shade(bits)
        plain = "dim" if place > len(marked) - line.ended - line.closes else ""
        drawn.append(visible(letter), style=f"{_LETTERS} on {color}" if color else plain)
    return drawn


def _print(console: "Console", figures: "Evaluation", measured: str, table: "Table") -> None:
    console.print(visible(measured), style="bold", markup=False)
    ends = ""
    if figures.ends:
        ends = f" and the {'end' if figures.ends == 1 else 'ends'} of {count(figures.ends, 'song')}"
    console.print(
        f"{count(figures.characters, 'character')}{ends} predicted, {figures.unknown_share:.2%} of "
        "them unknown to the model\n",
        style="dim",
    )
    console.print(table)
    console.print(f"\n{_told_error(figures.standard_error)}", style="dim")
    network, five_gram = figures.parts["lstm"], figures.five_gram_loss
    if network is not None and five_gram is not None and network >= five_gram:
        told = (
            "The network alone is no better than a 5-gram, which is counted without any training."
        )
        console.print(f"\n{told}", style="dim")
    if five_gram is None:
        told = "The run keeps no training text, so there is no 5-gram to compare with."
        console.print(f"\n{told}", style="dim")


def _told_error(error: float | None) -> str:
    """Return how far other text may be from a perplexity, by its standard error in nats."""
    if error is None:
        return "These are too few characters to say how far other text of the same kind would be."
    from charlstm.evaluation.perplexity import PIECES

    return (
        f"Other text of the same kind may well be {math.expm1(error):.1%} better or worse (a "
        f"standard error, from {PIECES} pieces of this text)."
    )


def _print_labels(console: "Console", labels: "Worth") -> None:
    """Print what the labels are worth: the perplexity with them, with none and with others'."""
    from rich.table import Table

    from charlstm.figures import perplexity as perplexity_of

    losses = {
        "as they are": labels.loss,
        "none": labels.none_loss,
        "of other songs": labels.shuffled_loss,
    }
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("labels")
    for title in losses:
        table.add_column(title, justify="right")
    told = (None if loss is None else f"{perplexity_of(loss):,.2f}" for loss in losses.values())
    table.add_row("perplexity", *(figure or "-" for figure in told))
    console.print()
    console.print(table)
    worth = "The labels are worth nothing here: what they change is no more than chance would."
    if labels.certain:
        others = ", and than with those of other songs" * (labels.shuffled_loss is not None)
        worth = (
            f"The labels are worth {labels.share:.2%}: the perplexity is lower by as much than "
            f"with none{others}."
        )
    console.print(worth, style="dim")
