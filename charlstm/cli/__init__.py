"""The command line: the only part that draws, catches and exits.

Results go to standard output and everything else to standard error. Exit codes: 0 done, 1 an error
that the user can mend, 2 wrong usage, 130 interrupted by Ctrl-C, 143 by SIGTERM.
"""

import sys

import typer

from charlstm.cli import compare, evaluate, generate, novelty, train, write
from charlstm.cli.console import fail
from charlstm.errors import CharLSTMError

app = typer.Typer(
    help="Train a character-level LSTM on your own text, continue a prefix, and learn honestly "
    "how good it is.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.command("write")(write.write)
app.command("compare")(compare.compare)
evaluate.app.command("novelty")(novelty.novelty)
app.add_typer(evaluate.app, name="eval")


def main() -> None:
    """Run the command line and exit."""
    # Text is UTF-8 here whatever the locale says, and a lone surrogate cannot end a song.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except CharLSTMError as error:
        fail(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
