"""Options that several commands share."""

from typing import Annotated, Literal

import typer

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
    typer.Option(min=1, help="Processor threads for torch.", show_default="torch's own choice"),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(help="The text's encoding, if it is not found by itself.", show_default="found"),
]
