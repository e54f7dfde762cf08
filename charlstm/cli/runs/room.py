"""`charlstm runs size` and `charlstm runs free`: what runs take, and what of it may go."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.console import loading, notes, visible, write_json
from charlstm.cli.names import option
from charlstm.cli.runs.asking import YesOption, agreed
from charlstm.cli.tables import fitting, in_a_cell, plain_table, told_size, write_tables
from charlstm.errors import CharLSTMError

if TYPE_CHECKING:
    from charlstm.runs.freeing import Room

_NAME, _SIZE, _COULD_GO, _WHAT = _TITLES = ("run", "size", "could go", "what")


class Kind(StrEnum):
    """What can be let go."""

    RESUME = "resume"
    CACHE = "cache"
    TENSORBOARD = "tensorboard"


# What each kind is called, and what is lost with it.
_CALLED = {"resume": "resume file", "cache": "ids of texts", "tensorboard": "TensorBoard log"}
_COSTS = {
    "resume": "{} cannot be trained further then: the model writes and is measured as before.",
    "cache": "The ids of long texts are made again when such a text is trained on again.",
    "tensorboard": "{} can then no longer be looked at in TensorBoard; history.jsonl stays.",
}


def size(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as one JSON object.")
    ] = False,
) -> None:
    """Say how many bytes each run takes, and what of that could go with `charlstm runs free`."""
    with loading():
        from charlstm.runs import freeing, keeping
        from charlstm.runs.directory import ROOT, RunDirectory
        from charlstm.runs.known import newest_first

    runs = [RunDirectory(path) for path in newest_first(ROOT)]
    taken = {run.name: keeping.size(run) for run in runs}
    room = {run.name: freeing.of_run(run) for run in runs}
    beside = freeing.others(ROOT)
    kept = freeing.of_texts(ROOT)
    total = sum(taken.values()) + sum(beside.values())
    if as_json:
        could_go = {name: _by_kind(found) for name, found in room.items()}
        write_json(
            {
                "runs": [
                    {"name": name, "bytes": taken[name], "could_go": could_go[name]}
                    for name in taken
                ],
                "beside": beside,
                "could_go": _by_kind(kept),
                "bytes": total,
                "root": str(ROOT),
            }
        )
        return
    if not total:
        notes().print(f"There is nothing in {ROOT}.", style="dim", markup=False)
        return
    rows = [_row(name, taken[name], room[name]) for name in taken]
    for row, run in zip(rows, runs, strict=True):
        if run.path.is_symlink():
            row[_SIZE] = "link"
    for name, many in beside.items():
        rows.append(_row(name, many, kept if kept and kept[0].path.parent.name == name else []))
    everything = [*kept, *(one for found in room.values() for one in found)]
    rows.append({**_row("all", total, everything), _WHAT: ""})
    table = plain_table()
    titles = fitting(_TITLES, rows, (_WHAT,))
    for title in titles:
        right = title in (_SIZE, _COULD_GO)
        table.add_column(
            title, justify="right" if right else "left", overflow="fold", no_wrap=title != _NAME
        )
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(row[title]) for title in titles))
    write_tables(table)


def _row(name: str, taken: int, room: "list[Room]") -> dict[str, str]:
    could_go = sum(one.bytes for one in room)
    return {
        _NAME: in_a_cell(name),
        _SIZE: told_size(taken),
        _COULD_GO: told_size(could_go) if could_go else "–",
        _WHAT: ", ".join(_CALLED[kind] for kind in _by_kind(room)),
    }


def _by_kind(room: "list[Room]") -> dict[str, int]:
    """Return how many bytes of each kind there are."""
    found: dict[str, int] = {}
    for one in room:
        found[one.kind] = found.get(one.kind, 0) + one.bytes
    return found


def free(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Runs in checkpoints/.", show_default="all, and the ids of texts"),
    ] = None,
    what: Annotated[
        list[Kind] | None,
        typer.Option(
            help="What to let go: the resume files of trainings that have ended, the ids of long "
            "texts, logs of TensorBoard; repeatable.",
            show_default="resume and cache",
        ),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Let go what takes room and is not needed to write; runs without a resume file say so."""
    with loading():
        from charlstm.runs import freeing
        from charlstm.runs.directory import ROOT, RunDirectory
        from charlstm.runs.known import newest_first, run_in

    paths = [run_in(ROOT, name) for name in names] if names else newest_first(ROOT)
    wanted = set(what or (Kind.RESUME, Kind.CACHE))
    found = [room for path in dict.fromkeys(paths) for room in freeing.of_run(RunDirectory(path))]
    if not names:
        found += freeing.of_texts(ROOT)
    found = [room for room in found if room.kind in wanted]
    if not found:
        notes().print("There is nothing to let go.", style="dim")
        return
    agreed(_question(found), yes=yes)
    given, failed = 0, None
    for room in found:
        try:
            given += freeing.free(room)
        except CharLSTMError as error:  # the others go all the same
            if failed is not None:
                notes().print(visible(failed.message.told(option)), style="yellow", markup=False)
            failed = error
    notes().print(f"{told_size(given)} are free again.", style="dim")
    if failed is not None:
        raise failed


def _question(found: "list[Room]") -> str:
    """Return what is asked before something goes, with what it costs."""
    lines = []
    for kind, size in _by_kind(found).items():
        of = [room.path.parent.name for room in found if room.kind == kind]
        runs = "" if kind == "cache" else f" of {', '.join(of)}"
        cost = _COSTS[kind].format("It" if len(of) == 1 else "They")
        lines.append(f"{_CALLED[kind]}{runs}, {told_size(size)}. {cost}")
    return "\n".join([*lines, "Let go?"])
