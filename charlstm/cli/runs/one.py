"""`charlstm runs show`: everything that one run says of itself."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.console import loading, write_json
from charlstm.cli.names import option
from charlstm.cli.runs.listed import texts, told_date, told_texts
from charlstm.cli.tables import (
    fitting,
    in_a_cell,
    plain_table,
    told_duration,
    told_size,
    write_tables,
)
from charlstm.errors import Setting, count

if TYPE_CHECKING:
    from rich.table import Table

    from charlstm.figures import Report
    from charlstm.runs.info import RunInfo
    from charlstm.runs.listing import Listed

# This many names of texts, and values of a label, are shown; --json has all.
_MOST = 5
_WHICH, _ALONE, _BITS = "figures", "network alone", "bits/char"
# What a narrow terminal leaves out, in this order.
_LESS_TELLING = (_BITS, _ALONE)


def show(
    name: Annotated[
        str | None,
        typer.Argument(help="A run in checkpoints/, or its path.", show_default="the newest"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as one JSON object.")
    ] = False,
) -> None:
    """Say what a run learned, how, how good it is, and what its files are."""
    with loading():
        from charlstm.runs.directory import RunDirectory
        from charlstm.runs.keeping import sizes
        from charlstm.runs.listing import Listed

    run = Listed.of(RunDirectory.find(name, trained=False))
    files = sizes(run.directory.path)
    if as_json:
        write_json({**_whole(run), "files": files})
        return
    tables = [_facts(run)]
    if run.info is not None and (run.info.best or run.info.last) is not None:
        tables.append(_figures(run.info))
    tables.append(_files(files))
    write_tables(*tables)


def _whole(run: "Listed") -> dict[str, Any]:
    from dataclasses import asdict

    from charlstm.figures import finite
    from charlstm.recipes.recipe import recipe_to_json

    told = run.to_json(option)
    told |= {"path": str(run.directory.path), "text": texts(run), "told": run.told().told(option)}
    info = run.info
    if info is None:
        return told
    whole: dict[str, Any] = finite(
        {
            **told,
            "recipe": recipe_to_json(info.recipe),
            "differs": {
                name: {"run": mine, "recipe": theirs}
                for name, (mine, theirs) in _differing(info).items()
            },
            "weights": info.recipe.architecture.parameter_count(len(info.vocabulary)),
            "backend": info.backend,
            "started_from": info.started_from,
            "training_characters": info.training_characters,
            "held_out_characters": info.held_out_characters,
            "song_lengths": info.songs and asdict(info.songs),
            "best": info.best and info.best.to_json(),
            "last": info.last and info.last.to_json(),
            "versions": info.versions,
        }
    )
    return whole


def _differing(info: "RunInfo") -> dict[str, tuple[Any, Any]]:
    from charlstm.recipes.named import differing

    characters = info.training_characters + info.held_out_characters
    return differing(
        info.recipe,
        characters,
        info.vocabulary.size,
        backend=info.backend,
        started=info.started_from is not None,
    )


def _facts(run: "Listed") -> "Table":
    """Return what it learned, how, when, and how that ended."""
    info, path = run.info, run.directory.path
    rows = {"run": str(path), "state": f"{run.state}. {run.told().told(option)}"}
    if info is not None:
        architecture = info.recipe.architecture
        weights = architecture.parameter_count(len(info.vocabulary))
        ends = "" if info.songs is None else ", ends of songs among them,"
        held_out = f"; the last {info.held_out_characters:,}{ends} are held out"
        rows["text"] = told_texts(texts(run), _MOST)
        rows["length"] = count(run.characters, "character")
        rows["length"] += f", {info.vocabulary.size:,} different"
        rows["length"] += held_out if info.held_out_characters else "; nothing is held out"
        if info.songs is not None:
            songs = info.songs
            lengths = f"{songs.shortest:,}, {songs.median:,} and {songs.longest:,} characters"
            rows["songs"] = f"{songs.number:,}; the shortest, the median and the longest: {lengths}"
        for label in info.labels.names:
            values = list(info.labels.values[label])
            more = f" and {len(values) - _MOST:,} more" if len(values) > _MOST else ""
            rows[f"label {label}"] = f"{', '.join(values[:_MOST])}{more}"
        rows["model"] = f"{architecture.title}, {count(weights, 'weight')}, backend {info.backend}"
        if architecture.embedding:
            rows["model"] += f", embedding {architecture.embedding:,}"
        rows["recipe"] = _told_recipe(info)
        if info.recipe.recall:
            rows["recall"] = f"{info.recipe.recall:g}"
        if info.started_from is not None:
            rows["began with"] = info.started_from
        if info.last is not None:
            rows["trained"] = (
                f"{count(info.last.epoch, 'epoch')}, {count(info.last.step, 'step')}, "
                f"{told_duration(info.last.seconds)}"
            )
    rows["saved"] = told_date(run.saved)
    if info is not None and info.versions:
        rows["with"] = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    table = plain_table(header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return _filled(table, rows.items())


def _told_recipe(info: "RunInfo") -> str:
    """Return the name of the recipe, and what differs from it."""
    different = _differing(info)
    if not different:
        return info.recipe.name
    told = [
        f"{option(Setting(name))} {_value(mine)} (recipe: {_value(theirs)})"
        for name, (mine, theirs) in different.items()
    ]
    return f"{info.recipe.name}, but {', '.join(told)}"


def _value(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _figures(info: "RunInfo") -> "Table":
    """Return the figures of the best epoch and of the last one."""
    reports = {"the model": info.best, "last": info.last}
    rows = [_cells(name, report) for name, report in reports.items() if report is not None]
    table = plain_table()
    for title in fitting(tuple(rows[0]), rows, _LESS_TELLING):
        table.add_column(title, justify="left" if title == _WHICH else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[str(column.header)] for column in table.columns))
    return table


def _cells(name: str, report: "Report") -> dict[str, str]:
    bits = report.bits_per_character
    return {
        _WHICH: name,
        "epoch": f"{report.epoch:,}",
        "training ppl": _figure(report.train_perplexity),
        "held-out ppl": _figure(report.validation_perplexity),
        _ALONE: _figure(report.network_perplexity),
        _BITS: "–" if bits is None else f"{bits:.3f}",
    }


def _figure(perplexity: float | None) -> str:
    return "–" if perplexity is None else f"{perplexity:,.2f}"


def _files(files: dict[str, int]) -> "Table":
    table = plain_table()
    table.add_column("file", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    rows = {name: told_size(size) for name, size in files.items()}
    return _filled(table, [*rows.items(), ("all", told_size(sum(files.values())))])


def _filled(table: "Table", rows: Any) -> "Table":
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(in_a_cell(cell)) for cell in row))
    return table
