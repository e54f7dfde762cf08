"""`charlstm compare`: the same text, budget and seed for several models."""

from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.console import (
    interruptible,
    loading,
    notes,
    progress_bar,
    reading_bar,
    say_guesses,
    say_left_out,
    visible,
)
from charlstm.cli.names import setting_called
from charlstm.cli.options import (
    DeviceOption,
    EncodingOption,
    FieldOption,
    QuietOption,
    ThreadsOption,
    recall_option,
    told_encoding,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.cli.tables import fitting, plain_table, write_tables

if TYPE_CHECKING:
    from tqdm import tqdm

    from charlstm.sessions.comparison import Comparison
    from charlstm.sessions.counted import Counted
    from charlstm.sessions.trials import Outcome

_CELLS = "lstm,gru,rnn,peephole,coupled"
# Of the network alone: it is the architectures that are compared.
_HELD_OUT = "held-out ppl"
_RECALL = "with recall"
_TITLES = ("weights", "s/epoch", "chars/s", "train ppl", _HELD_OUT, _RECALL)
# What a narrow terminal leaves out, in this order; the file has all of it.
_LESS_TELLING = ("s/epoch", "chars/s", "weights", _RECALL)


def compare(
    corpus: Annotated[
        list[str],
        typer.Argument(help="Files, directories, globs or .zip and .gz text.", show_default=False),
    ],
    cells: Annotated[
        str | None,
        typer.Option(
            help="The recurrent cells, separated by commas.",
            show_default=f"{_CELLS}; with --vary the recipe's",
        ),
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            help="scratch, torch or scratch,torch; torch lacks peephole and coupled, which "
            "are left out there."
        ),
    ] = "scratch",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting and its values, as in 'window=35,64' or 'lr=0.001,0.003'; repeatable, "
            "and all are combined.",
            metavar="NAME=A,B",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="How often each reads the text.", show_default="the recipe's"),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="How long each may learn.", show_default=False)
    ] = None,
    recall: Annotated[float | None, recall_option()] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The same for each model.", show_default="0"),
    ] = None,
    prefix: Annotated[str, typer.Option(help="What the sample lines continue.")] = "",
    name: Annotated[
        str | None,
        typer.Option(help="What to call the comparison.", show_default="after the corpus"),
    ] = None,
    quiet: QuietOption = False,
    encoding: EncodingOption = None,
    field: FieldOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train several models with the same text, budget and seed, and say how they compare.

    Repeat the command to go on with a comparison that was interrupted.
    """
    told = [_told_setting(entry) for entry in vary or ()]
    be_quiet(quiet)
    check_redirections(corpus)
    with loading():
        from charlstm.machine import Machine
        from charlstm.recipes.architecture import Architecture
        from charlstm.recipes.varied import varied
        from charlstm.recipes.wish import Wish
        from charlstm.sessions.comparison import Comparison
        from charlstm.sessions.fitting import Material
        from charlstm.sessions.trials import trials

    if cells is None:
        cells = Architecture().cell if told else _CELLS
    comparison = Comparison(
        Material(corpus, told_encoding(encoding)),
        trials(_list(cells), _list(backends), varied(told)),
        name=name,
        wish=Wish(
            settings={
                "epochs": epochs,
                "minutes": minutes,
                "recall": recall,
                "seed": seed,
                "field": field,
            }
        ),
        prefix=prefix,
        machine=Machine(device=device, threads=threads),
        reading=reading_bar,
    )
    outcomes, code = _follow(comparison)
    if code:
        notes().print("interrupted and saved; repeat the command to go on", style="yellow")
        raise SystemExit(code)
    _draw(comparison, outcomes)


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _told_setting(entry: str) -> tuple[str, str]:
    name, equals, values = entry.partition("=")
    if not equals:
        raise typer.BadParameter(
            f"--vary takes a setting and its values, as in window=35,64, not {entry!r}."
        )
    return setting_called(name.strip()), values


def _follow(comparison: "Comparison") -> "tuple[list[Outcome], int]":
    """Train and draw; return the outcomes, and the exit code if it was interrupted."""
    from charlstm.sessions.comparison import Begun
    from charlstm.sessions.trials import Outcome
    from charlstm.training.events import Finished, Step, Stopped

    bar: tqdm[None] | None = None
    outcomes: list[Outcome] = []
    stopping = interrupted = False

    def stop() -> None:
        nonlocal stopping
        stopping = True
        if session is not None:
            session.stop()

    session = None
    with interruptible(stop) as interruption:
        for event in comparison.run():
            match event:
                case Begun():
                    if session is None:
                        say_guesses(event.session.plan.corpus.sources)
                        say_left_out(event.session.plan.corpus.sources)
                    session = event.session
                    if stopping:
                        session.stop()
                    bar = progress_bar(1.0, session.plan.progress, event.trial.name)
                case Step() if bar is not None:
                    bar.update(event.progress - bar.n)
                case Outcome():
                    outcomes.append(event)
                    _say(event)
                case Stopped():
                    interrupted = True
            if isinstance(event, Finished | Stopped | Outcome) and bar is not None:
                bar.close()
                bar = None
    return outcomes, interruption.code if interrupted else 0


def _say(outcome: "Outcome") -> None:
    if outcome.report is None:
        line = "diverged"
    else:
        held_out, recalled = outcome.held_out_perplexity, outcome.recall_perplexity
        line = f"training perplexity {outcome.report.train_perplexity:,.2f}"
        if recalled is not None:
            line = f"with recall {recalled:,.2f}, {line}"
        if held_out is not None:
            line = f"held-out perplexity {held_out:,.2f}, {line}"
    notes().print(f"{outcome.trial.name}: {line}", style="dim", markup=False)


def _draw(comparison: "Comparison", outcomes: "list[Outcome]") -> None:
    from rich.text import Text

    from charlstm.sessions.counted import NAME

    figures, written = plain_table(), plain_table()
    for table in (figures, written):
        table.add_column("", overflow="fold", no_wrap=True)
    rows = {outcome.trial.name: _figures(outcome) for outcome in outcomes}
    if comparison.ngram is not None:
        rows[NAME] = _counted(comparison.ngram)
    used = [title for title in _TITLES if any(title in row for row in rows.values())]
    named = [{"": name, **row} for name, row in rows.items()]
    _, *titles = fitting(("", *used), named, _LESS_TELLING)
    for title in titles:
        figures.add_column(title, justify="right", no_wrap=True)
    written.add_column("a line it wrote", overflow="fold")
    measured = {
        outcome.trial.name: outcome.held_out_perplexity
        for outcome in outcomes
        if outcome.held_out_perplexity is not None
    }
    for name, row in rows.items():
        best = name in measured and measured[name] == min(measured.values())
        cells = [row.get(title, "") for title in titles]
        figures.add_row(Text(name), *cells, style="bold" if best else "")
    for outcome in outcomes:
        if outcome.report is not None:
            written.add_row(Text(outcome.trial.name), Text(visible(outcome.sample)))
    write_tables(figures, *([written] if written.row_count else []))
    files = "compare.csv, compare.svg" if written.row_count else "compare.csv"
    notes().print(f"{comparison.path}: {files}, and a run for each", style="dim", markup=False)


def _figures(outcome: "Outcome") -> dict[str, str]:
    """Return what stands in the columns of the table for a trial."""
    report = outcome.report
    if report is None:
        return {_HELD_OUT: "diverged"}
    return {
        "weights": f"{outcome.parameters:,}",
        "s/epoch": f"{outcome.seconds_per_epoch:,.1f}",
        "chars/s": f"{outcome.characters_per_second:,.0f}",
        "train ppl": f"{report.train_perplexity:,.2f}",
        _HELD_OUT: _figure(outcome.held_out_perplexity),
        **({} if report.network_loss is None else {_RECALL: _figure(outcome.recall_perplexity)}),
    }


def _counted(ngram: "Counted") -> dict[str, str]:
    """Return what stands in the columns of the table for the n-gram model."""
    return {
        "weights": f"{ngram.grams:,}",
        "s/epoch": f"{ngram.seconds:,.1f}",
        _HELD_OUT: _figure(ngram.perplexity),
        _RECALL: _figure(ngram.recall_perplexity),
    }


def _figure(perplexity: float | None) -> str:
    return "–" if perplexity is None else f"{perplexity:,.2f}"
