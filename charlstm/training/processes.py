"""The processes that workers are: where each is, and what to say of those that do not answer."""

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress

import psutil

from charlstm.errors import WorkerError

KEPT = "; what was saved last is kept."


def end_missing(processes: Mapping[int, str]) -> WorkerError:
    """End workers that hang here; return what to say of all that do not answer.

    Args:
        processes: of each worker that is missing, as `this_process` has it.
    """
    gone = all(map(is_gone, processes.values()))
    for process in map(_find, processes.values()):
        if process is not None:
            # Whoever started it might wait for it long.
            with suppress(psutil.Error):
                process.kill()
    one = len(processes) == 1
    named = f"Worker{'' if one else 's'} {' and '.join(map(str, sorted(processes)))} "
    if gone:
        named += "is gone" if one else "are gone"
    else:
        named += f"{'does' if one else 'do'} not answer any more"
    return WorkerError(
        f"{named}, and training cannot go on without {'it' if one else 'them'}{KEPT}"
    )


def this_process() -> str:
    """Return on which machine this process is, its number, and when it began."""
    return _told_of(psutil.Process())


def launcher() -> str:
    """Return which process has started this one, as `this_process` tells of it."""
    return _told_of(psutil.Process(os.getppid()))


def _told_of(process: psutil.Process) -> str:
    return json.dumps([platform.node(), process.pid, process.create_time()])


def is_gone(told: str) -> bool:
    """Return whether a process that `this_process` told of was on this machine and is not now."""
    return json.loads(told)[0] == platform.node() and _find(told) is None


def _find(told: str) -> psutil.Process | None:
    """Return a process that `this_process` told of, if it is on this machine and still there."""
    node, number, began = json.loads(told)
    with suppress(psutil.Error):
        process = psutil.Process(number)
        same = node == platform.node() and process.create_time() == began
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
