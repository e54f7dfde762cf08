"""Workers on this machine, started together by torch's own elastic launcher.

Each is a process of its own that runs the same command; `charlstm.training.distributed` has what
they tell each other. Whoever starts them waits and hands signals on.
"""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil
import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from charlstm.errors import WorkerError

# A worker that is asked to stop finishes its step and saves: so many seconds are enough for that.
_SAVING_SECONDS = 300


def launch(count: int, command: Sequence[str]) -> int:
    """Run a command of ours in several workers at once.

    Args:
        count: of them.
        command: its name and its arguments, as they follow ``charlstm``.

    Returns:
        What the first worker has exited with, or what a command does that a signal has ended.

    Raises:
        WorkerError: the first worker did not come to say what went wrong.
    """
    # What goes wrong is said by the first worker, once.
    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed"):
            logging.getLogger(name).disabled = True
    # Each has its share of the processors.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(torch.get_num_threads() // count, 1)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=_SAVING_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "charlstm", *command)
    except ChildFailedError as error:
        return _code_of(error.failures)
    except SignalException as error:
        return 128 + int(error.sigval)
    finally:
        _end_all(config.run_id)
    return 0


def _code_of(failures: Mapping[int, ProcessFailure]) -> int:
    """Return what the first worker has exited with.

    Raises:
        WorkerError: it was ended before it could say what went wrong.
    """
    if 0 not in failures:
        return 0  # it has finished
    code = failures[0].exitcode
    if code >= 0:
        return code
    # The others are ended with SIGTERM as soon as one is.
    causes = {
        rank: failure for rank, failure in failures.items() if failure.exitcode != -signal.SIGTERM
    }
    rank = min(causes, key=lambda rank: causes[rank].timestamp, default=0)
    code = failures[rank].exitcode
    how = (
        f"was ended by {signal.Signals(-code).name}"
        if code < 0
        else f"has ended with exit code {code}"
    )
    raise WorkerError(f"Worker {rank} {how}; what was saved last is kept.") from None


def _end_all(run_id: str) -> None:
    """End the workers that are left, where a second signal kept the launcher from doing it."""
    left = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("TORCHELASTIC_RUN_ID") == run_id:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=5)
