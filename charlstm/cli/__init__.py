"""The command line: the only part that draws, catches and exits.

Results go to standard output and everything else to standard error. Exit codes: 0 done, 1 an error
that the user can fix, 2 wrong usage, 130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from charlstm import __version__
from charlstm.cli import (
    compare,
    evaluate,
    generate,
    inspect,
    novelty,
    runs,
    serve,
    train,
    tune,
    write,
)
from charlstm.cli.console import fail, visible
from charlstm.cli.names import option
from charlstm.cli.streams import be_quiet, take_streams
from charlstm.errors import CharLSTMError


class _Commands(TyperGroup):
    """The commands, whose usage errors show control characters and do not send them."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        with _visibly():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _visibly():
            return super().invoke(ctx)

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)
        for param in params:
            # The pages about completion tell of it; in the help it would stand above all else.
            if param.name in ("install_completion", "show_completion"):
                param.hidden = True  # type: ignore[attr-defined]
        return params


@contextmanager
def _visibly() -> Iterator[None]:
    """Let usage errors be shown, in characters that no terminal obeys."""
    try:
        yield
    except Exception as error:
        be_quiet(False)
        # The class of these errors has no name common to every version of typer.
        if hasattr(error, "format_message") and hasattr(error, "message"):
            error.message = visible(error.message)
        raise


app = typer.Typer(
    cls=_Commands,
    help="Train a character-level LSTM on your own text, continue a prefix, and learn honestly "
    "how good it is.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.command("write")(write.write)
app.command("serve")(serve.serve)
app.command("inspect")(inspect.inspect)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
evaluate.app.command("novelty")(novelty.novelty)
app.add_typer(evaluate.app, name="eval")
app.add_typer(runs.app, name="runs")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"charlstm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """Hold the options of the command line as a whole."""


def main() -> None:
    """Run the command line and exit."""
    take_streams()
    try:
        app()
    except CharLSTMError as error:
        fail(error.message.told(option))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        be_quiet(False)
