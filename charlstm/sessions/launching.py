"""Workers on this machine, started together; `charlstm.training.distributed` has what they tell.

From the command line torch's own elastic launcher starts all of them, each a process that runs the
same command; whoever starts them waits and hands signals on. In Python the process that asks for
them is the first, so that what happens is told where it was asked, and only the others are started.
"""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.multiprocessing import get_context

from charlstm.errors import CharLSTMError, WorkerError
from charlstm.machine import Machine
from charlstm.model.devices import choose_device
from charlstm.sessions.fitting import Material
from charlstm.sessions.following import follow
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.joining import ROLE, join_at
from charlstm.training.processes import KEPT, told_of

# A worker that is asked to stop finishes its step and saves: so many seconds are enough for that.
_SAVING_SECONDS = 300
# Those that have made the last step leave at once.
_LEAVING_SECONDS = 10


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
    # The launchers of older versions wait for 30 seconds, and cannot be told.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SAVING_SECONDS))
    # Each has its share of the processors.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(torch.get_num_threads() // count, 1)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        role=ROLE,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_IGN:
        # That is what nohup is for.
        config.signals_to_handle = "SIGTERM,SIGINT,SIGQUIT"
    # Nothing that lies in this directory is imported, unless it would be here.
    alone = () if {"", str(Path.cwd())} & set(sys.path) else ("-P",)
    arguments = [argument.replace("$", "$$") for argument in command]  # torch fills in a template
    try:
        elastic_launch(config, sys.executable)(*alone, "-m", "charlstm", *arguments)
    except ChildFailedError as error:
        return _code_of(error.failures)
    except SignalException as error:
        return 128 + int(error.sigval)
    finally:
        _end_all(config.run_id)
    return 0


@contextmanager
def accompanied(
    count: int, material: Material, machine: Machine, root: Path
) -> Iterator[tuple[Workers, Machine]]:
    """Start the workers that train with this one; yield all of them, and what each computes with.

    Args:
        count: of them, with this one.
        material: the text that all read.
        machine: what computes; threads that it does not say are shared by all.
        root: see `charlstm.sessions.following.follow`.

    Raises:
        WorkerError: another one is gone or has failed.
    """
    if count == 1:
        yield ALONE, machine
        return
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    before = torch.get_num_threads()
    machine = replace(machine, threads=machine.threads or max(before // count, 1))
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    others = [
        get_context("spawn").Process(
            target=_accompany,
            args=(store.port, rank, count, replace(material, on_read=None), machine, root),
            daemon=True,
        )
        for rank in range(1, count)
    ]
    try:
        for rank, process in enumerate(others, start=1):
            process.start()
            # So that it is missed if it never comes to say that itself.
            store.set(f"process/{rank}", told_of(psutil.Process(process.pid)))
        with join_at(store, 0, count, choose_device(machine.device)) as workers:
            yield workers, machine
            for process in others:
                process.join(_LEAVING_SECONDS)
    finally:
        torch.set_num_threads(before)
        for process in others:
            if process.pid is not None:
                process.kill()
                process.join()


def _accompany(
    port: int, rank: int, count: int, material: Material, machine: Machine, root: Path
) -> None:
    """Train with the worker that has started this one, which says what goes wrong."""
    # A Ctrl-C reaches both, and the one that has started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore("localhost", port, timeout=timedelta(seconds=_LEAVING_SECONDS))
    with (
        suppress(CharLSTMError),
        join_at(store, rank, count, choose_device(machine.device)) as workers,
    ):
        for _ in follow(material, machine, workers=workers, root=root).events():
            pass


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
    raise WorkerError(f"Worker {rank} {how}", *KEPT) from None


def _end_all(run_id: str) -> None:
    """End the workers that are left, where a second signal kept the launcher from doing it."""
    left = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("TORCHELASTIC_RUN_ID") == run_id:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=5)
