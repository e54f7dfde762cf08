"""`charlstm write`: write a song together with the model, a line at a time."""

import sys
from typing import Annotated

import typer

from charlstm.cli.console import is_terminal, loading, notes, visible
from charlstm.cli.names import option
from charlstm.cli.options import (
    AcrosticEndOption,
    AcrosticOption,
    LabelOption,
    LineLengthOption,
    MaxCopyOption,
    MustOption,
    RecallOption,
    RhymeOption,
    RunOption,
    TemperatureOption,
    is_given,
    told_label,
)
from charlstm.cli.write.desk import Desk
from charlstm.cli.write.prompt import asking
from charlstm.cli.write.settings import TEMPERATURE
from charlstm.errors import CharLSTMError, RunError


def write(
    context: typer.Context,
    run: RunOption = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a new song, and put the draft aside.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Propose the same lines to the same decisions.", show_default="random"
        ),
    ] = None,
    temperature: TemperatureOption = TEMPERATURE,
    recall: RecallOption = None,
    label: LabelOption = None,
    max_copy: MaxCopyOption = None,
    line_length: LineLengthOption = "",
    acrostic: AcrosticOption = "",
    acrostic_end: AcrosticEndOption = "",
    rhyme: RhymeOption = "",
    must: MustOption = None,
) -> None:
    """Write a song together with the model: it proposes lines, you decide."""
    with loading():
        from charlstm.api import load
        from charlstm.writing.decoding import Decoding
        from charlstm.writing.draft import Draft
        from charlstm.writing.form import Form
        from charlstm.writing.song import Song

    told = told_label(label)
    model = load(run)
    training_text, uncopied = None, ""
    try:
        training_text = model.learned.text
    except RunError as error:
        if max_copy is not None:
            raise
        uncopied = error.message.told(option)
        if model.learned.is_kept:
            reason = visible(uncopied)
            notes().print(f"Copies are not looked for: {reason}", style="yellow", markup=False)
    song = Song(
        model.recalling(recall),
        training_text=training_text,
        words=model.learned.words,
        form=Form(None, line_length, acrostic, acrostic_end, rhyme, tuple(must or ())),
        decoding=Decoding(temperature),
        max_copy=max_copy or 0,
        label=told,
        recalling=model.recalling,
        seed=seed,
    )
    draft = Draft(model.directory.path)
    desk = Desk(song, draft, model.directory, uncopied, model.learned)
    given = {name for name in context.params if is_given(context, name)}
    code = 0
    with draft.locked():
        try:
            with asking() as ask:
                desk.work(ask, new=new, given=given, newest=run is None)
        except KeyboardInterrupt:
            code = 130
            if is_terminal(sys.stderr):
                sys.stderr.write("\n")  # the prompt was waiting
        except CharLSTMError:
            desk.say_where()
            raise
        desk.close(code)
    raise SystemExit(code)
