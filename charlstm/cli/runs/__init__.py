"""`charlstm runs`: what there is in checkpoints/, and keeping it in order."""

from typing import Annotated

import typer

from charlstm.cli.console import loading, notes, visible
from charlstm.cli.names import option
from charlstm.cli.runs import listed, one, room, taking
from charlstm.cli.runs.asking import YesOption, agreed
from charlstm.cli.tables import told_size
from charlstm.errors import CharLSTMError, count

app = typer.Typer(
    help="List the runs in checkpoints/: what they learned, how good they are, what they take.",
    invoke_without_command=True,
)


@app.callback()
def runs(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as one JSON object.")
    ] = False,
) -> None:
    """List the runs in checkpoints/: what they learned, how good they are, what they take."""
    if context.invoked_subcommand is None:
        listed.write_list(as_json=as_json)
    elif as_json:
        raise typer.BadParameter(
            f"--json goes after the command: charlstm runs {context.invoked_subcommand} --json."
        )


app.command("show")(one.show)


@app.command("rename")
def rename(
    old: Annotated[str, typer.Argument(help="A run in checkpoints/.", show_default=False)],
    new: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
) -> None:
    """Give a run another name."""
    with loading():
        from charlstm.runs import keeping
        from charlstm.runs.directory import ROOT, RunDirectory
        from charlstm.runs.known import run_in

    run = keeping.rename(RunDirectory(run_in(ROOT, old)), new)
    notes().print(visible(f"{run.path} is what it is called now."), style="dim", markup=False)


@app.command("remove")
def remove(
    names: Annotated[list[str], typer.Argument(help="Runs in checkpoints/.", show_default=False)],
    yes: YesOption = False,
) -> None:
    """Remove runs, with their songs and all else in their directories."""
    with loading():
        from charlstm.runs import keeping
        from charlstm.runs.directory import ROOT, RunDirectory
        from charlstm.runs.known import run_in
        from charlstm.writing.draft import Draft

    # All are looked up before any is removed: a name that was mistyped costs nothing.
    paths = dict.fromkeys(run_in(ROOT, name) for name in names)
    told = []
    for path in paths:
        size, songs = keeping.size(RunDirectory(path)), len(Draft.all_of(path))
        written = f", {count(songs, 'song')} written with it" if songs else ""
        told.append(f"{path.name} ({told_size(size)}{written})")
    agreed(f"Remove {', '.join(told)}? Nothing brings that back.", yes=yes)
    failed = None
    for path in paths:
        try:
            keeping.remove(RunDirectory(path))
        except CharLSTMError as error:  # the others are removed all the same
            if failed is not None:
                notes().print(visible(failed.message.told(option)), style="yellow", markup=False)
            failed = error
            continue
        notes().print(visible(f"{path.name} is removed."), style="dim", markup=False)
    if failed is not None:
        raise failed


app.command("export")(taking.export)
app.command("size")(room.size)
app.command("free")(room.free)
