"""`charlstm serve`: the desk in the browser, and a server for other programs."""

import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from charlstm.cli.console import loading, notes, write_result
from charlstm.errors import MissingLibraryError


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; anything but this machine needs --api-key.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="0 takes any that is free.", show_default="8642, or the next"
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="CHARLSTM_API_KEY",
            help="What others must send, instead of the token that is kept in checkpoints/.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Let pages of this origin read the answers, such as https://example.org; "
            "repeatable.",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the page in a browser.")
    ] = False,
) -> None:
    """Write, train and look in the browser; the same address serves other programs."""
    # What is written together is multiplied row by row, by one thread: those of a matrix library
    # would only wait for each other. It looks here when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with loading():
        try:
            from charlstm.serve.server import Server
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] not in ("starlette", "uvicorn", "anyio"):
                raise
            raise MissingLibraryError(
                "The desk needs libraries that are not installed: pip install 'charlstm[serve]'."
            ) from None
        from charlstm.runs.directory import ROOT

    server = Server(Path(ROOT), host=host, port=port, key=api_key, origins=allow_origin or ())
    write_result(f"{server.address}\n")
    sys.stdout.flush()
    notes().print("Open this address in a browser; Ctrl-C ends the desk.", style="dim")
    if not no_browser:
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    server.serve()
