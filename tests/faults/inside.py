"""What goes wrong inside of a process: called in one that has just been started."""

import fcntl
import functools
import os
import resource
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import charlstm.cli.console
import charlstm.sessions.resume
import charlstm.sessions.session
import charlstm.sessions.start
import charlstm.text.locations
import charlstm.training.trainer

from .patience import HANGS_AFTER

MARK = "saving"
"""A file in the working directory: its one byte is 1 while something is being saved."""

ASLEEP, AWAKE = "asleep", "awake"
"""Files in the working directory that appear when a process goes to sleep, and if it sleeps out."""


def watched(
    *, save_every: float, place: int | None = None, moment: str = "before", count_in: str = ""
) -> None:
    """Save often, say when, and die at one of the writes, if at any.

    Args:
        save_every: seconds between two saves.
        place: at which call of the operating system that puts something on the disk to die,
            counted from 0.
        moment: ``"before"`` it, ``"after"`` it, or with ``"half"`` of the next file written.
        count_in: a file that is as long as calls were made.
    """
    often = functools.partial(charlstm.sessions.session.Session, save_every=save_every)
    for room in (charlstm.sessions.start, charlstm.sessions.resume):
        room.Session = often  # type: ignore[attr-defined]
    # Drawing takes ten times as long as everything else that a save does.
    charlstm.sessions.session.draw_curve = (  # type: ignore[attr-defined]
        lambda reports, title="": b"<svg/>" * len(reports)
    )
    mark = os.open(MARK, os.O_CREAT | os.O_WRONLY)
    counts = os.open(count_in, os.O_CREAT | os.O_WRONLY | os.O_APPEND) if count_in else None
    calls = 0
    save = charlstm.sessions.session.Session.save

    def marked(self: charlstm.sessions.session.Session) -> None:
        os.pwrite(mark, b"1", 0)
        save(self)
        os.pwrite(mark, b"0", 0)

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def die(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            due = place is not None and calls >= place
            calls += 1
            if counts is not None:
                os.write(counts, b".")
            if due and moment == "half" and call is fsync:
                os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            if due and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **options)
            if due and moment == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return die

    fsync = os.fsync
    charlstm.sessions.session.Session.save = marked  # type: ignore[method-assign]
    for name in ("mkdir", "fsync", "rename", "replace"):
        setattr(os, name, deadly(getattr(os, name)))


def sleeping_in_saves() -> None:
    """Let a save wait for the disk, longer than anybody would."""
    os.fsync = _sleep  # type: ignore[assignment]


def sleeping_in_the_plan() -> None:
    """Let the steps that are timed before a training take longer than anybody would wait."""
    charlstm.training.trainer.Trainer.time_step = _sleep  # type: ignore[assignment]


def _sleep(_: object) -> None:
    Path(ASLEEP).touch()
    time.sleep(HANGS_AFTER / 4)
    Path(AWAKE).touch()


def with_small_files(*, size: int) -> None:
    """Let no file become larger than so many bytes, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def as_nobody() -> None:
    """Be somebody who may not write everywhere, where one is root."""
    if os.geteuid() == 0:
        os.seteuid(65534)


def on_its_own_terminal() -> None:
    """Make standard error the terminal that the process hears of when its window is closed."""
    os.setsid()
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)


def impatient() -> None:
    """Show a bar for whatever is read, however short it takes."""
    charlstm.cli.console._PATIENCE_SECONDS = -1


def not_hanging_up() -> None:
    """Ignore SIGHUP, as nohup has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def without(*, stream: str) -> None:
    """Be started with this stream closed, ``"stdin"`` for one, as ``<&-`` has it."""
    os.close({"stdin": 0, "stdout": 1, "stderr": 2}[stream])
    setattr(sys, stream, None)


def with_short_pipes(*, size: int) -> None:
    """Take a pipe for endless after so many bytes."""
    charlstm.text.locations._MOST_PIPED = size


def without_any() -> None:
    """Be started with all streams closed."""
    for stream in ("stdin", "stdout", "stderr"):
        without(stream=stream)
