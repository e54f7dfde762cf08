"""`charlstm inspect`: see what the gates of a model do, over one's own text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli.console import (
    loading,
    notes,
    visible,
    write_json,
)
from charlstm.cli.inside import Coloured, draw
from charlstm.cli.measured import page_output, progress, read_text
from charlstm.cli.options import (
    EncodingOption,
    FieldOption,
    ForceOption,
    QuietOption,
    RunOption,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.cli.tables import told_size
from charlstm.errors import RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charlstm.evaluation.gates import Gates, Unit
    from charlstm.outputs import Output
    from charlstm.text.corpus import Corpus
    from charlstm.trained import TrainedModel

# As many lines of the text as a screen has, or a little more, and no more characters than this.
_LINES, _CHARACTERS = 40, 2_000
# So many characters are read to find out what the listed units are needed for.
_NEEDED_OVER = 2_000
What = Literal["c", "h", "i", "f", "o", "g", "r", "z", "n", "kept", "written"]


def inspect(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories, globs or - for standard input.",
            show_default="the run's held-out text",
        ),
    ] = None,
    run: RunOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write all units, gates and equations as a page that stands alone.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="Colour the text by this unit: its layer and its number, as in 0.17.",
            show_default="the one that follows something most closely",
        ),
    ] = None,
    show: Annotated[
        What | None,
        typer.Option(
            help="What of the unit: its cell state c, its output h, a gate, what was kept or "
            "written.",
            show_default="what it remembers: c, or h",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the units as one JSON object.")
    ] = False,
    quiet: QuietOption = False,
    encoding: EncodingOption = None,
    field: FieldOption = None,
) -> None:
    """See what the units of the newest model follow, how long they remember, and what they do."""
    if html is None and force:
        raise typer.BadParameter("--force is for --html, and that was not given.")
    for option, value in (("--unit", unit), ("--show", show), ("--json", as_json)):
        if html is not None and value:
            raise typer.BadParameter(f"--html and {option} cannot be combined: the page has all.")
    if as_json and (unit or show):
        raise typer.BadParameter("--json has all units that are listed, and colours no text.")
    be_quiet(quiet)
    check_redirections(text or ())
    with loading():
        from charlstm.api import load
        from charlstm.evaluation.gates import Unit
        from charlstm.exports.insidepage import beginning

    model = load(run)
    output = None if html is None else page_output(html, model, text, force=force)
    corpus, title = read_text(model, text, encoding, field)
    if output is not None:
        _write_page(output, model, corpus, title)
        return
    chosen = None if unit is None else _unit(unit, model)
    what = _what(show, model)
    against, measured = model.held_against(corpus, title)
    compared = model.measured(against)
    gates = _gates(model, against, len(compared))
    needed = _needed(model, gates, compared)
    if as_json:
        write_json(_told(model, gates, needed, measured))
        return
    chosen = chosen or (gates.followed[0].unit if gates.followed else Unit(0, 0))
    read = model.measured(corpus)
    shown = beginning(read, _screen(read))
    numbers = _numbers(model, shown, chosen, what)
    coloured = Coloured(title, shown, len(shown) < len(read), chosen, what, numbers)
    draw(coloured, gates, needed, measured)


def _screen(text: str) -> int:
    """Return how many characters of a text are shown in a terminal."""
    return min(sum(map(len, text.splitlines(keepends=True)[:_LINES])), _CHARACTERS)


def _unit(given: str, model: "TrainedModel") -> "Unit":
    """Return the unit that was named."""
    from charlstm.evaluation.gates import Unit

    architecture = model.info.recipe.architecture
    layer, _, number = given.rpartition(".")
    if (layer or "0").isdecimal() and number.isdecimal():
        unit = Unit(int(layer or "0"), int(number))
        if unit.layer < architecture.layers and unit.number < architecture.hidden:
            return unit
    last = Unit(architecture.layers - 1, architecture.hidden - 1)
    raise RecipeError(f"The model has no unit {given}: it has those from 0.0 to {last}.")


def _what(given: str | None, model: "TrainedModel") -> str:
    """Return what is shown of a unit: what was asked for, if its cell has that."""
    from charlstm.model.inside import QUANTITIES

    cell = model.info.recipe.architecture.cell
    known = QUANTITIES[cell]
    if given is not None and given not in known:
        raise RecipeError(f"The units of {cell} have no {given}, only {', '.join(known)}.")
    return given or known[0]


def _gates(model: "TrainedModel", text: "str | Corpus | None", length: int) -> "Gates":
    from charlstm.evaluation.gates import most_characters

    most = most_characters(model.info.recipe.architecture)
    with progress(min(length, most), "reading") as on_progress:
        return model.gates(text, on_progress=on_progress)


def _needed(model: "TrainedModel", gates: "Gates", text: str) -> "dict[Unit, float]":
    """Return how much worse the network is without each listed unit, in bits a character."""
    from charlstm.evaluation.gates import worth

    units = list(dict.fromkeys(one.unit for one in gates.followed))
    text = text[:_NEEDED_OVER]
    vocabulary = model.info.vocabulary
    with progress(len(text) - 1, "switching units off") as on_progress:
        bits = worth(
            model.network,
            vocabulary.encode(text),
            units,
            unpredicted=vocabulary.unpredicted,
            on_progress=on_progress,
        )
    return dict(zip(units, map(float, bits), strict=True))


def _numbers(model: "TrainedModel", text: str, unit: "Unit", what: str) -> "NDArray[np.float32]":
    """Return what is shown of a unit at each character."""
    network = model.network
    inside = network.inside(network.start(), model.info.vocabulary.encode(text))
    return inside.layers[unit.layer].of(what)[:, unit.number]


def _write_page(
    output: "Output", model: "TrainedModel", corpus: "Corpus | None", title: str
) -> None:
    from charlstm.evaluation.gates import most_characters
    from charlstm.exports.insidepage import reads

    info = model.info
    against, _ = model.held_against(corpus, title)
    length = min(len(model.measured(against)), most_characters(info.recipe.architecture))
    length += reads(info, len(model.measured(corpus)))
    with progress(length, "looking inside") as on_progress:
        page = model.inside(corpus, title=title, on_progress=on_progress)
    output.write(page)
    told = f"{output.path}: {told_size(len(page))}, {title}. Open it in a browser."
    notes().print(visible(told), style="dim", markup=False)


def _told(
    model: "TrainedModel", gates: "Gates", needed: "dict[Unit, float]", measured: str
) -> dict[str, Any]:
    """Return what --json prints."""
    return {
        "run": str(model.directory.path),
        "measured": measured,
        "characters": gates.characters,
        "units": gates.units,
        "follow_closely": gates.named,
        "followed": [
            {
                "thing": one.thing,
                "layer": one.unit.layer,
                "unit": one.unit.number,
                "correlation": one.correlation,
                "by_chance": one.by_chance,
                "remembers": gates.remembers(one.unit),
                "off_bits": needed[one.unit],
            }
            for one in gates.followed
        ],
    }
