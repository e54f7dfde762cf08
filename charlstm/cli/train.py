"""`charlstm train`: train a model on your own text."""

from typing import Annotated, Literal

import typer

from charlstm.cli.console import loading, reading_bar
from charlstm.cli.options import (
    BackendOption,
    CompressOption,
    DeviceOption,
    EncodingOption,
    FieldOption,
    QuietOption,
    SyncEveryOption,
    ThreadsOption,
    WorkersOption,
    recall_option,
    told_encoding,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.cli.workers import start, take_part, together, watch

# Every setting in these has its default from the recipe.
_TEXT = "The text, where it should differ from the recipe"
_MODEL = "The model, where it should differ from the recipe"
_TRAINING = "The training, where it should differ from the recipe"


def train(
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, directories, globs, .zip or .gz, or - for standard input: plain text, "
            "LRC, SRT, WebVTT, CSV, TSV, JSON, JSON Lines, Word. With --resume it may be left "
            "out.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Literal["auto", "d2l", "time-machine"] | None,
        typer.Option(
            help="auto suits the size of the text; d2l and time-machine are exercises of Dive into "
            "Deep Learning. Every setting below overrides it.",
            show_default="auto",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the run.", show_default="after the corpus")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where the newest run, or the one that --name names, stopped."
        ),
    ] = False,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Begin with the weights of this run, a name in checkpoints/ or a path, and let "
            "them learn the new text.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for this many minutes, counted from the run's beginning, or less if the "
            "text needs less; the learning rate comes to its end with them.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        Literal["tensorboard"] | None,
        typer.Option(
            help="Write the figures for TensorBoard as well, if it is installed.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="Let the model continue this while it learns; repeatable."),
    ] = None,
    sample_every: Annotated[
        int | None,
        typer.Option(
            min=0, help="Epochs between two samples; 0 for none.", show_default="a quarter of all"
        ),
    ] = None,
    no_index: Annotated[
        bool,
        typer.Option(
            "--no-index",
            help="Do not keep the compressed text in the run, nor the grams that the model would "
            "recall of it. Without the text nobody can tell what is copied.",
        ),
    ] = False,
    quiet: QuietOption = False,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    encoding: EncodingOption = None,
    field: FieldOption = None,
    newline: Annotated[
        Literal["keep", "space"] | None,
        typer.Option(
            help="Keep line breaks, or turn each into a space.",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    no_normalize: Annotated[
        bool,
        typer.Option(
            "--no-normalize",
            help="Leave the text as it is instead of composing it (Unicode NFC).",
            rich_help_panel=_TEXT,
        ),
    ] = False,
    tidy: Annotated[
        bool,
        typer.Option(
            "--tidy",
            help="Make all kinds of spaces plain ones, and leave out marks that nobody sees.",
            rich_help_panel=_TEXT,
        ),
    ] = False,
    letters_only: Annotated[
        bool,
        typer.Option(
            "--letters-only",
            help="Lower case, and one space for all that stands between letters.",
            rich_help_panel=_TEXT,
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Take only this many characters from the beginning.",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    songs: Annotated[
        str | None,
        typer.Option(
            help="What tells songs apart: auto finds out, off reads one stream of text, and "
            "anything else is a regular expression for the lines between them, such as '^$'.",
            metavar="PATTERN",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Read this of each song before it: the name of a column, a field or a tag such as "
            "artist, or folder for the name of the folder that its file lies in; repeatable.",
            metavar="NAME",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Characters seen fewer times become <unk>.",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="The share held out from the end of the text to measure on; 0 for none.",
            show_default=False,
            rich_help_panel=_TEXT,
        ),
    ] = None,
    cell: Annotated[
        Literal["lstm", "peephole", "coupled", "gru", "rnn"] | None,
        typer.Option(help="The recurrent cell.", show_default=False, rich_help_panel=_MODEL),
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(min=1, help="Width of a layer.", show_default=False, rich_help_panel=_MODEL),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(min=1, help="Recurrent layers.", show_default=False, rich_help_panel=_MODEL),
    ] = None,
    embedding: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Width of the learned character vectors; 0 feeds one-hot vectors.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Share dropped between the layers, and before and after them.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    initialization: Annotated[
        Literal["orthogonal", "d2l", "torch"] | None,
        typer.Option(
            help="How the weights are initialised.", show_default=False, rich_help_panel=_MODEL
        ),
    ] = None,
    recall: Annotated[float | None, recall_option(_MODEL)] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How often to read the text.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop after this many steps, if that comes first.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Stop when the held-out loss has not improved for this many epochs; 0 for never.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Streams read side by side.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Characters that the gradient reaches back.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    sampling: Annotated[
        Literal["consecutive", "songs", "random"] | None,
        typer.Option(
            help="Windows that carry the state on, the same with the songs in another order in "
            "every epoch, or windows anywhere in the text.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw"] | None,
        typer.Option(
            help="How the weights follow the gradient.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate.", show_default=False, rich_help_panel=_TRAINING),
    ] = None,
    head_rate: Annotated[
        float | None,
        typer.Option(
            help="The head learns at this many times the learning rate.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine"] | None,
        typer.Option(
            help="How the learning rate changes.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="How strongly adamw draws matrices towards zero.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(
            help="Largest global norm of the gradient; 0 does not clip.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(
            help="Of the operands of matrix products; auto takes what is faster here.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The same seed trains the same model, given the same precision and threads.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Make the same seed, machine and threads give the same weights, bit for bit, and "
            "say what it costs.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    workers: WorkersOption = None,
    compress: CompressOption = None,
    sync_every: SyncEveryOption = None,
) -> None:
    """Train a model on your own text and save it in checkpoints/."""
    if not corpus and not resume:
        raise typer.BadParameter("name a text file, a directory or - for standard input.")
    settings = {
        "field": field,
        "newline": newline,
        "normalize": False if no_normalize else None,
        "tidy": tidy or None,
        "letters_only": letters_only or None,
        "limit": limit,
        "songs": songs,
        "labels": label or None,
        "min_count": min_count,
        "validation": validation,
        "cell": cell,
        "hidden": hidden,
        "layers": layers,
        "embedding": embedding,
        "dropout": dropout,
        "initialization": initialization,
        "recall": recall,
        "epochs": epochs,
        "steps": steps,
        "minutes": minutes,
        "patience": patience,
        "batch": batch,
        "window": window,
        "sampling": sampling,
        "optimizer": optimizer,
        "learning_rate": lr,
        "head_rate": head_rate,
        "schedule": schedule,
        "weight_decay": weight_decay,
        "clip": clip,
        "precision": precision,
        "seed": seed,
        "compress": compress,
        "sync_every": sync_every,
    }
    if resume:
        _refuse_with_resume(
            {
                "--recipe": recipe,
                "--from": start_from,
                "--log": log,
                "--prefix": prefix,
                "--sample-every": sample_every,
                "--encoding": encoding or None,
                "--no-index": no_index or None,
            }
        )
    be_quiet(quiet)
    check_redirections(corpus or ())
    with loading():
        from charlstm.machine import Machine
        from charlstm.recipes.wish import Wish

    wish = Wish(recipe or "auto", settings, start_from)
    machine = Machine(backend, device, threads, deterministic)
    if workers is not None:
        start(workers)
    with loading():
        from charlstm.sessions.fitting import Material
        from charlstm.sessions.following import follow
        from charlstm.sessions.resume import resume_session
        from charlstm.sessions.start import Keeping, start_session

    with together(device, resume=resume, name=name) as launch:
        team = launch.workers
        with reading_bar() as on_read:
            material = Material(corpus or (), told_encoding(encoding), on_read=on_read)
            if not team.leads:
                part = follow(material, machine, workers=team)
            elif launch.run is not None:
                # What else was asked for is in the run since the launch has begun it.
                longer = wish if resume else Wish()
                session = resume_session(launch.run.name, material, longer, machine, workers=team)
            elif resume:
                session = resume_session(name, material, wish, machine, workers=team)
            else:
                keeping = Keeping(
                    name,
                    prefixes=prefix or (),
                    sample_every=sample_every,
                    tensorboard=log == "tensorboard",
                    index=not no_index,
                    mark=launch.mark,
                )
                session = start_session(material, wish, machine, keeping, workers=team)
        if team.leads:
            launch.lead(session)
        code = watch(session, launch) if team.leads else take_part(part, launch)
    if code:
        raise SystemExit(code)


def _refuse_with_resume(options: dict[str, object]) -> None:
    refused = [flag for flag, value in options.items() if value is not None]
    if refused:
        raise typer.BadParameter(
            f"{', '.join(refused)} cannot change when a run is resumed; leave it out."
        )
