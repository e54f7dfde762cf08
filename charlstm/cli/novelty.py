"""`charlstm eval novelty`: say how much of a text stands in what the model learned from."""

from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.console import (
    loading,
    notes,
    results,
    shown_line,
    visible,
    write_json,
    write_result,
)
from charlstm.cli.options import EncodingOption, RunOption, TemperatureOption

if TYPE_CHECKING:
    from charlstm.novelty import Novelty, TrainingText

_SAMPLES = 20
_CHARACTERS = 300
# So much of the training text is shown on either side of what was copied from it.
_AROUND = 12


def novelty(
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
            help=f"Measure so many samples of {_CHARACTERS} characters that the model writes.",
            show_default=f"{_SAMPLES}, without a TEXT",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Measure the same samples again.", show_default="fresh, and told"),
    ] = None,
    temperature: TemperatureOption = 0.8,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
    encoding: EncodingOption = None,
) -> None:
    """Say how much of a text, or of what the model writes, is copied from its training text."""
    if text and (samples is not None or seed is not None):
        raise typer.BadParameter("a TEXT and --samples exclude each other.")
    with loading():
        from charlstm.api import load
        from charlstm.sampling import fresh_seed

    model = load(run)
    training = model.training_text
    if text:
        measured = ", ".join(text)
        texts = [model.read(text, encoding=encoding)]
    else:
        samples = samples or _SAMPLES
        seed = fresh_seed() if seed is None else seed
        measured = f"{samples:,} samples of {model.directory.name}, seed {seed}"
        texts = model.generate_many(
            samples=samples, length=_CHARACTERS, seed=seed, temperature=temperature
        )
    found = model.novelty(*texts)
    held_out = model.directory.read_held_out(model.info)
    compared = model.novelty(held_out) if held_out else None
    if as_json:
        written = {} if text else {"samples": samples, "seed": seed, "temperature": temperature}
        answer = {
            **written,
            **found.to_json(),
            "held_out": compared and compared.to_json(),
            "run": str(model.directory.path),
        }
        write_json(answer)
        return
    _draw(found, compared, measured, training)
    if not text:
        notes().print(f"temperature {temperature:g}, seed {seed}", style="dim", markup=False)


def _draw(
    found: "Novelty", compared: "Novelty | None", measured: str, training: "TrainingText"
) -> None:
    from rich.table import Table
    from rich.text import Text

    both = [found] if compared is None else [found, compared]
    shares = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    shares.add_column("copied")
    shares.add_column("this text", justify="right", style="bold")
    if compared is not None:
        # What a new text by the same hand has in common with the old ones.
        shares.add_column("held-out text", justify="right")
    for n in found.windows:
        shares.add_row(f"of {n} characters in a row", *(f"{one.share(n):.1%}" for one in both))
    whole = (one.verbatim_lines / max(one.lines, 1) for one in both)
    shares.add_row("whole lines", *(f"{share:.1%}" for share in whole))

    console = results()
    with console.capture() as drawn:
        console.print(visible(measured), style="bold", markup=False)
        console.print()
        console.print(shares)
        console.print()
        if found.passages:
            console.print("longest copied passages, and the line where they stand", style="bold")
        else:
            console.print("nothing of four characters or more is copied")
        for passage in found.passages:
            number, _ = training.line_at(passage.place)
            before, after = training.around(passage, _AROUND)
            line = Text(f"{len(passage.text):>4,}  {number:>7,}  ", style="dim")
            line.append(shown_line(before), style="dim")
            shown = shown_line(passage.text)
            # Where there are no colours, marks say which part was copied.
            line.append(shown if console.is_terminal else f"«{shown}»", style="bold yellow")
            line.append(shown_line(after), style="dim")
            console.print(line)
    write_result(drawn.get())
