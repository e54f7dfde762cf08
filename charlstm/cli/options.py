"""Options that several commands share."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from charlstm.text.reading import Told

RunOption = Annotated[
    str | None,
    typer.Option(help="A run's name in checkpoints/, or its path.", show_default="the newest"),
]
BackendOption = Annotated[
    Literal["auto", "scratch", "torch"],
    typer.Option(
        help="Our own layers from the equations, or the library's; the weights are the same.",
    ),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where to compute; auto: cuda, else cpu."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Processor threads for torch.", show_default="as is fastest"),
]

_WORKERS = "Several workers"

WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes on this machine that train together, each with threads of its own; "
        "torchrun starts them on several machines.",
        show_default="1",
        rich_help_panel=_WORKERS,
    ),
]
CompressOption = Annotated[
    Literal["bfloat16"] | None,
    typer.Option(
        help="For slow networks: round what they tell each other, to half its size. Not exact.",
        show_default=False,
        rich_help_panel=_WORKERS,
    ),
]
SyncEveryOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="For slow networks: let each make K steps of its own before they meet. Not exact, "
        "unless K is 1.",
        metavar="K",
        show_default="1",
        rich_help_panel=_WORKERS,
    ),
]
EncodingOption = Annotated[
    list[str] | None,
    typer.Option(
        help="The text's encoding, if detection fails; big5 for all files, d.txt=big5 for one of "
        "them. Repeatable.",
        show_default="detected",
    ),
]
FieldOption = Annotated[
    str | None,
    typer.Option(
        help="Where the text is in CSV and JSON: the name of a column, or a path like data.lyrics.",
        show_default="found by the usual names",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing on standard error unless something is wrong."),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Write over a file that charlstm has not made."),
]

LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Write as in songs with this label, of a model that learned labels: "
        "'artist=Sappho'; repeatable.",
        metavar="NAME=VALUE",
        show_default=False,
    ),
]

FORM = "Form"
"""The panel of what a text should be."""

_DRAWING = "How characters are drawn"


def told_label(given: list[str] | None) -> dict[str, str]:
    """Return what --label says, given any number of times."""
    label: dict[str, str] = {}
    for entry in given or ():
        name, _, value = (part.strip() for part in entry.partition("="))
        if not name or not value:
            raise typer.BadParameter(
                f"--label needs a name and a value, as in 'artist=Sappho', not {entry!r}."
            )
        if name in label:
            raise typer.BadParameter(f"--label is given twice for {name}; once is enough.")
        label[name] = value
    return label


def told_recall(given: str) -> float | None:
    """Return what --recall says: a share, or ``None`` for the recipe's own."""
    if given.strip().lower() == "auto":
        return None
    with suppress(ValueError):
        if 0 <= (share := float(given)) <= 1:
            return share
    raise typer.BadParameter(f"it is auto, or a number from 0 to 1, not {given!r}.")


def recall_option(panel: str | None = None) -> Any:
    """Return --recall, which stands in a panel of its command's help."""
    return typer.Option(
        parser=told_recall,
        metavar="auto|0..1",
        help="How much it goes by the passages that it has read, beside the network; 0 is the "
        "network alone.",
        show_default="auto: as the recipe",
        rich_help_panel=panel,
    )


def told_encoding(given: list[str] | None) -> "Told":
    """Return what --encoding says, given any number of times."""
    told: dict[str, str] = {}
    for entry in given or ():
        name, _, encoding = entry.rpartition("=")
        if (name or "*") in told:
            of = name or "all files"
            raise typer.BadParameter(f"--encoding is given twice for {of}; once is enough.")
        told[name or "*"] = encoding
    return told or None


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether an option was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


TemperatureOption = Annotated[
    float,
    typer.Option(
        min=0.0,
        help="Below 1 plays safe, above 1 takes risks; 0 always takes the likeliest.",
        rich_help_panel=_DRAWING,
    ),
]
RecallOption = Annotated[float | None, recall_option(_DRAWING)]
MaxCopyOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Never copy more than N characters in a row from the training text.",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
LineLengthOption = Annotated[
    str,
    typer.Option(
        help="Characters per line, not counting punctuation and spaces: 7, 6-9, or 5,7,5,7.",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
AcrosticOption = Annotated[
    str,
    typer.Option(
        help="The n-th line begins with the n-th character of this.",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
AcrosticEndOption = Annotated[
    str,
    typer.Option(
        help="The n-th line ends with the n-th character of this.",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
RhymeOption = Annotated[
    str,
    typer.Option(
        help="Lines with the same letter rhyme: AABB, ABAB, AABA, AAAA. Needs charlstm\\[rhyme].",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
MustOption = Annotated[
    list[str] | None,
    typer.Option(
        help="This word occurs somewhere; repeatable.",
        show_default=False,
        rich_help_panel=FORM,
    ),
]
