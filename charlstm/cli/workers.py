"""A training as the command line watches it, in one process or in several."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from charlstm.cli.console import interruptible, loading
from charlstm.cli.streams import be_quiet
from charlstm.errors import CharLSTMError

if TYPE_CHECKING:
    from charlstm.sessions.following import Following
    from charlstm.sessions.session import Session
    from charlstm.training.distributed import Workers


def start(count: int) -> None:
    """Run this command in so many processes of this machine, unless this is one of them.

    Raises:
        SystemExit: they have ended.
        WorkerError: they ended without a word.
    """
    with loading():
        from charlstm.sessions.launching import launch
        from charlstm.training.distributed import is_one_of_several, workers_here

    if not is_one_of_several():
        if count > 1:
            raise SystemExit(launch(count, sys.argv[1:]))
    elif count != workers_here():
        raise typer.BadParameter(
            f"whoever started this worker has started {workers_here()} on this machine; leave "
            "--workers out."
        )


@contextmanager
def together(device: str) -> Iterator["Workers"]:
    """Join the workers that this process was started with, if there are others.

    Only the first of a machine says what goes wrong, and only the first of all what goes on.

    Args:
        device: what is to compute.
    """
    with loading():
        from charlstm.model.devices import choose_device
        from charlstm.training.distributed import is_first_here, is_one_of_several, join_workers

    try:
        with join_workers(choose_device(device)) as workers:
            if not workers.leads:
                be_quiet(True)
            yield workers
    except CharLSTMError:
        if is_one_of_several():
            # Whoever started it may end it now, but it has something to say.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not is_first_here():
            raise SystemExit(1) from None
        raise


def watch(session: "Session") -> int:
    """Train and draw; return the exit code."""
    with loading():
        from charlstm.cli.screen import Screen
        from charlstm.training.events import Finished, Stopped

    def stop() -> None:
        session.stop()
        screen.say("finishing the step and saving; press Ctrl-C again to stop at once")

    with Screen(session) as screen:
        ended = None
        with interruptible(stop) as interruption:
            for event in session.events():
                screen.draw(event)
                if isinstance(event, Finished | Stopped):
                    ended = event
        code = interruption.code if isinstance(ended, Stopped) else 0
        screen.summarize(code)
    return code


def take_part(following: "Following") -> int:
    """Train with the worker that draws; return the exit code."""
    with interruptible(following.stop) as interruption:
        following.run()
    return interruption.code
