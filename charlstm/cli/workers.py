"""A training as the command line watches it, in one process or in several."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import typer

from charlstm.cli.console import interruptible, loading
from charlstm.cli.streams import be_quiet
from charlstm.errors import CharLSTMError

if TYPE_CHECKING:
    from charlstm.sessions.following import Following
    from charlstm.sessions.restarts import Launch
    from charlstm.sessions.session import Session

_Event = TypeVar("_Event")

# A launcher that starts all workers again ends those that have stopped within so many seconds.
_RESTART_SECONDS = 5
# So long the first worker of a machine has to say what went wrong.
_SPEAKING_SECONDS = 2
# What a command exits with that another worker has stopped.
_BY_ANOTHER = 128 + signal.SIGTERM


def start(count: int) -> None:
    """Run this command in so many processes of this machine, unless this is one of them.

    Raises:
        SystemExit: they have ended.
        WorkerError: they ended without a word.
    """
    with loading():
        from charlstm.sessions.launching import launch
        from charlstm.training.joining import is_one_of_several, workers_here

    if not is_one_of_several():
        if count > 1:
            raise SystemExit(launch(count, sys.argv[1:]))
    elif count != workers_here():
        raise typer.BadParameter(
            f"whoever started this worker has started {workers_here()} on this machine; leave "
            "--workers out."
        )


@contextmanager
def together(device: str, *, resume: bool, name: str | None) -> Iterator["Launch"]:
    """Join the workers that this process was started with, if there are others.

    Only the first of a machine says what goes wrong, and only the one that leads what goes on.

    Args:
        device: what is to compute.
        resume: whether a run is to go on.
        name: of the run, if it was given.
    """
    with loading():
        from charlstm.model.devices import choose_device
        from charlstm.sessions.restarts import join_launch
        from charlstm.training.joining import is_first_here, is_one_of_several, join_workers

    try:
        with join_workers(choose_device(device)) as workers:
            launch = join_launch(workers, resume=resume, name=name)
            if not workers.leads:
                be_quiet(True)
            yield launch
    except CharLSTMError:
        if is_one_of_several():
            # Whoever started it may end it now, but it has something to say.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not is_first_here():
            time.sleep(_SPEAKING_SECONDS)  # the first is ended as soon as this one has
            raise SystemExit(1) from None
        raise


def watch(session: "Session", launch: "Launch") -> int:
    """Train and draw; return the exit code."""
    with loading():
        from charlstm.cli.screen import Screen

    def stop() -> None:
        session.stop()
        screen.say("finishing the step and saving; press Ctrl-C again to stop at once")

    with Screen(session) as screen:
        code = _train(session.events(), stop, launch, screen.draw)
        screen.summarize(code)
    return code


def take_part(following: "Following", launch: "Launch") -> int:
    """Train with the worker that draws; return the exit code."""
    copy = launch.copy(following)
    with nullcontext() if copy is None else copy.directory.locked():
        keep = (lambda _: None) if copy is None else copy.hear
        return _train(following.events(), following.stop, launch, keep)


def _train(
    events: Iterable[_Event],
    stop: Callable[[], None],
    launch: "Launch",
    see: Callable[[_Event], None],
) -> int:
    """Train to the end, or until somebody stops it; return the exit code."""
    from charlstm.training.events import Finished, Stopped

    ended = None
    with interruptible(stop) as interruption:
        for event in events:
            see(event)
            if isinstance(event, Finished | Stopped):
                ended = event
            elif launch.is_left_alone:
                stop()
        if not isinstance(ended, Stopped):
            return 0
        if launch.restarts:
            # Another one was stopped. If all are started again, this one is ended at any moment.
            until = time.monotonic() + _RESTART_SECONDS
            while not interruption.code and time.monotonic() < until:
                time.sleep(0.05)
            return interruption.code or launch.code_when_left
        return interruption.code or _BY_ANOTHER
