"""`charlstm eval novelty`: say how much of a text appears in what the model learned from."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.console import (
    is_terminal,
    loading,
    notes,
    results,
    say_guesses,
    say_left_out,
    shown_line,
    visible,
    write_json,
    write_result,
)
from charlstm.cli.options import (
    EncodingOption,
    FieldOption,
    QuietOption,
    RecallOption,
    RunOption,
    TemperatureOption,
    is_given,
    told_encoding,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.errors import count

if TYPE_CHECKING:
    from rich.text import Text

    from charlstm.evaluation.novelty import Novelty, Passage, TrainingText

_SAMPLES = 20
_CHARACTERS = 300
# More would hardly change the figures, and a million characters can take half a minute.
_HELD_OUT = 100_000
# How many characters of the training text are shown on either side of what was copied from it.
_AROUND = 12
# A terminal so narrow that fewer cells are left for a passage may break its row.
_LEAST_CELLS = 20


def novelty(
    context: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories, globs or - for standard input.",
            show_default="samples of the model",
        ),
    ] = None,
    run: RunOption = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"How many samples of {_CHARACTERS} characters to measure.",
            show_default=f"{_SAMPLES}, without a TEXT",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Measure the same samples again.", show_default="random, printed"),
    ] = None,
    temperature: TemperatureOption = 0.8,
    recall: RecallOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    quiet: QuietOption = False,
    encoding: EncodingOption = None,
    field: FieldOption = None,
) -> None:
    """Say how much of a text, or of what the model writes, is copied from its training text."""
    for option in ("samples", "seed", "temperature", "recall"):
        if text and is_given(context, option):
            raise typer.BadParameter(f"a TEXT and --{option} cannot be combined.")
    for option, value in (("encoding", encoding), ("field", field)):
        if value and not text:
            raise typer.BadParameter(f"--{option} is for a TEXT, and none was given.")
    be_quiet(quiet)
    check_redirections(text or ())
    with loading():
        from charlstm.api import load
        from charlstm.text.songs import as_read
        from charlstm.writing.drawer import first_seed

    model = load(run)
    training = model.learned.text
    share, alone = model.info.share(recall), None
    if text:
        measured = ", ".join(text)
        corpus = model.read_corpus(text, encoding=told_encoding(encoding), field=field)
        say_guesses(corpus.sources)
        say_left_out(corpus.sources)
        texts = [as_read(corpus.labels.stripped(corpus.text))]
    else:
        samples = samples or _SAMPLES
        seed = first_seed(seed)
        measured = f"{count(samples, 'sample')} of {model.directory.name}, seed {seed}"

        def written_with(share: float) -> list[str]:
            return model.generate_many(
                samples=samples or _SAMPLES,
                length=_CHARACTERS,
                seed=seed,
                temperature=temperature,
                recall=share,
            )

        texts = written_with(share)
        if share:  # what recall adds, with the same seeds
            alone = model.novelty(*written_with(0.0))
    novelty = model.novelty(*texts)
    held_out = as_read(model.info.labels.stripped(model.directory.read_held_out(model.info)))
    compared = model.novelty(held_out[:_HELD_OUT]) if held_out else None
    if as_json:
        written: dict[str, Any] = {}
        if not text:
            written = {"samples": samples, "seed": seed, "temperature": temperature}
            written["recall"] = share
        beside = compared and {
            "characters": len(held_out),
            "compared": min(len(held_out), _HELD_OUT),
            **compared.to_json(),
        }
        answer = {
            **written,
            **novelty.to_json(),
            "network_alone": alone and alone.to_json(),
            "held_out": beside,
            "run": str(model.directory.path),
        }
        write_json(answer)
        return
    writer = f"with recall {share:g}" if share else "network alone"
    columns = {"this text" if text else writer: novelty}
    if alone is not None:
        columns["network alone"] = alone
    if compared is not None:
        # What a new text by the same hand has in common with the old ones.
        columns["held-out text"] = compared
    _draw(columns, measured, training, cut=len(held_out) > _HELD_OUT)
    if not text:
        told = f"temperature {temperature:g}, seed {seed}, recall {share:g}"
        notes().print(told, style="dim", markup=False)


def _draw(
    columns: "dict[str, Novelty]",
    measured: str,
    training: "TrainingText",
    *,
    cut: bool,
) -> None:
    """Print the shares of each column, and the passages of the first one."""
    from rich.table import Table

    all_texts = list(columns.values())
    novelty = all_texts[0]
    shares = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shares.add_column("copied in a row")
    for title in columns:
        shares.add_column(title, justify="right", style="bold" * (columns[title] is novelty))
    for n in novelty.windows:
        shares.add_row(f"{n} characters", *(_percent(text.share(n)) for text in all_texts))
    whole = (text.verbatim_lines / text.lines if text.lines else None for text in all_texts)
    shares.add_row("whole lines", *map(_percent, whole))

    console = results()
    with console.capture() as drawn:
        console.print(visible(measured), style="bold", markup=False)
        console.print()
        console.print(shares)
        if cut:
            note = f"held-out text: its first {_HELD_OUT:,} characters only"
            console.print(note, style="dim")
        console.print()
        if novelty.passages:
            title = "longest copied passages, and the line they first appear in"
            console.print(title, style="bold")
        else:
            console.print("nothing of four characters or more is copied")
        width = console.width if is_terminal(sys.stdout) else None
        # Where there are no colours, marks say which part was copied.
        marks = ("", "") if console.color_system else ("«", "»")
        for passage in novelty.passages:
            console.print(_row(passage, training, width, marks))
    write_result(drawn.get())


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _row(
    passage: "Passage", training: "TrainingText", width: int | None, marks: tuple[str, str]
) -> "Text":
    """Return the row of a passage.

    Args:
        passage: what was copied.
        training: where it is from.
        width: how many cells of a terminal the row may take; ``None`` where there is no terminal.
        marks: what to put before the passage, and after it.
    """
    from rich.cells import cell_len
    from rich.text import Text

    from charlstm.text.letters import letters

    opening, closing = marks
    number, _ = training.line_at(passage.place)
    head = f"{passage.letters:>4,}  {number:>7,}  "
    parts = (*training.around(passage, _AROUND), passage.text)
    # How wide a tab is depends on where it is.
    before, after, copied = (part.replace("\t", "␉") for part in parts)
    before, after, shown = map(shown_line, (before, after, copied))
    if width is not None:
        room = max(width - len(head), _LEAST_CELLS) - cell_len(opening + closing)
        shown = _shortened(copied, room)
        room -= cell_len(shown)
        # Each side gets half of what is left, and what the other side does not need.
        most = max(room // 2, room - cell_len(after))
        while cell_len(before) > most:
            before = "".join(letters(before)[1:])
        while cell_len(before + after) > room:
            after = "".join(letters(after)[:-1])
    return Text.assemble(
        (head + before, "dim"), (f"{opening}{shown}{closing}", "bold yellow"), (after, "dim")
    )


def _shortened(text: str, cells: int) -> str:
    """Show text within a line, its middle left out where it takes more cells of a terminal."""
    from rich.cells import cell_len

    from charlstm.text.letters import letters

    shown = shown_line(text)
    found = letters(text)
    ends = min(cells, len(found)) // 2  # of a long text, no end has more letters than cells
    while cell_len(shown) > cells:
        ends -= 1
        shown = " … ".join(shown_line("".join(end)) for end in (found[:ends], found[-ends:]))
    return shown
