"""The processes that workers are: where each is, and what to say of those that do not answer."""

import json
import os
import platform
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from charlstm.errors import Command, WorkerError

KEPT = ("; go on from what was saved last with ", Command("resume"), ".")
"""How a message ends that tells of a training which cannot go on."""


def end_missing(processes: Mapping[int, str]) -> WorkerError:
    """End workers that hang here; return what to say of all that do not answer.

    Args:
        processes: of each worker that is missing, as `this_process` has it.
    """
    gone = all(map(is_gone, processes.values()))
    above = {process.pid for process in psutil.Process().parents()}
    for process in map(_find, processes.values()):
        # Whoever started one that hangs might wait for it long; but whoever started this one may
        # be a program of the user's that is busy with something else.
        if process is not None and process.pid not in above:
            with suppress(psutil.Error):
                process.kill()
    one = len(processes) == 1
    named = f"Worker{'' if one else 's'} {' and '.join(map(str, sorted(processes)))} "
    if gone:
        named += "is gone" if one else "are gone"
    else:
        named += f"{'does' if one else 'do'} not answer any more"
    them = "it" if one else "them"
    return WorkerError(f"{named}, and training cannot go on without {them}", *KEPT)


def this_process() -> str:
    """Return on which machine this process is, its number, and when it began."""
    return told_of(psutil.Process())


def launcher() -> str:
    """Return which process has started this one, as `this_process` tells of it."""
    return told_of(psutil.Process(os.getppid()))


def told_of(process: psutil.Process) -> str:
    """Return on which machine a process is, its number, and when it began."""
    return json.dumps([_this_machine(), process.pid, _beginning(process)])


@cache
def _this_machine() -> str:
    """Return what tells this machine from all others for as long as it runs: names need not."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{platform.node()} {uuid.getnode()}"


def _beginning(process: psutil.Process) -> float:
    """Return when a process began, by a clock that nobody sets, where there is one."""
    try:
        told = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace")
        return float(told.rpartition(")")[2].split()[19])
    except OSError:
        began: float = process.create_time()
        return began


def is_gone(told: str) -> bool:
    """Return whether a process that `this_process` told of was on this machine and is not now."""
    return json.loads(told)[0] == _this_machine() and _find(told) is None


def _find(told: str) -> psutil.Process | None:
    """Return a process that `this_process` told of, if it is on this machine and still there."""
    machine, number, began = json.loads(told)
    with suppress(psutil.Error):
        process = psutil.Process(number)
        same = machine == _this_machine() and _beginning(process) == began
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
