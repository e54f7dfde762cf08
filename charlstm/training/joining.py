"""How the workers of a training find each other, as torchrun or a program has started them."""

import json
import os
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed

from charlstm.errors import RecipeError, Setting, WorkerError, count
from charlstm.training.distributed import ALONE, Joined, Workers, first_line

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

ROLE = "charlstm"
"""What our own launcher calls its workers. It never starts them again."""

# So long they wait for each other to be started; and so long where all are started again if one
# does not come, because its machine was lost at that moment.
_GATHERING, _GATHERING_AGAIN = 300.0, 60.0
# So long for a program that is busy with something else.
_PATIENCE = 600.0
# How often the store is looked at.
_SOON = 0.01


def is_one_of_several() -> bool:
    """Return whether this process was started as one of several workers, by torchrun or alike."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def workers_here() -> int:
    """Return how many workers were started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first_here() -> bool:
    """Return whether this process is the first worker of its machine, or the only one."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def may_be_started_again() -> bool:
    """Return whether a launcher has started this process that may start it again."""
    ours = os.environ.get("ROLE_NAME") == ROLE
    return "TORCHELASTIC_RUN_ID" in os.environ and not ours


def join_workers(device: torch.device) -> Workers:
    """Join the workers that this process was started with; leave them at the end of a ``with``.

    What torchrun sets says who they are: ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``,
    ``MASTER_PORT``, and with GPUs ``LOCAL_RANK``. It returns when all of them are there.

    Args:
        device: where training computes; a GPU becomes the one of this worker's local rank.

    Raises:
        RecipeError: this machine, or its torch, cannot take part.
        WorkerError: the others cannot be found.
    """
    if not is_one_of_several():
        return ALONE
    _check_device(device)
    from torch.distributed.rendezvous import rendezvous  # there is one only where it is available

    if device.type == "cuda":
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")), workers_here())
    try:
        patience = _GATHERING_AGAIN if may_be_started_again() else _GATHERING
        timeout = timedelta(seconds=patience)
        store, rank, number = next(rendezvous("env://", timeout=timeout))
        store = _of_this_start(store, rank, number, patience)
        return Joined(store, rank, number, workers_here(), device)
    except (RuntimeError, ValueError) as error:
        raise WorkerError(
            f"The other workers cannot be found ({first_line(error)}): start all of them with "
            "torchrun, or unset WORLD_SIZE."
        ) from None


def join_at(store: "Store", rank: int, number: int, device: torch.device) -> Workers:
    """Join workers of this machine that meet at a store; see `join_workers`.

    They are patient: the first is a program that may do something else between two steps.

    Args:
        store: that all of them reach.
        rank: which this one is.
        number: of how many.
        device: see there.

    Raises:
        RecipeError: see there.
    """
    _check_device(device)
    if device.type == "cuda":
        _take_gpu(rank, number)
    return Joined(store, rank, number, number, device, _PATIENCE)


def _check_device(device: torch.device) -> None:
    if device.type not in ("cpu", "cuda") or not torch.distributed.is_available():
        raise RecipeError(
            f"Several workers cannot train on {device.type} with this build of torch; use ",
            Setting("device", "cpu"),
            ", or train in one process.",
        )


def _take_gpu(local_rank: int, here: int) -> None:
    """Compute on the GPU of a local rank from here on, one of so many."""
    there = torch.cuda.device_count()
    if max(local_rank + 1, here) > there:
        raise RecipeError(
            f"This machine has {count(there, 'GPU')}, and each worker needs one of its own: start "
            "fewer here, or use ",
            Setting("device", "cpu"),
            ".",
        )
    torch.cuda.set_device(local_rank)


def _of_this_start(store: "Store", rank: int, number: int, patience: float) -> "Store":
    """Return what only those workers see that were started together.

    A launcher that starts its workers again may give them the store of those before, with all that
    those have left in it. So each says with a word of its own that it is here; the first one calls
    out the words that it sees; and when each has heard its own, they are those of this start.

    Raises:
        WorkerError: not all have come.
        RuntimeError: the store does not answer.
    """
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    word = secrets.token_hex(8)
    store.set(f"word/{rank}", word)
    places = [f"word/{other}" for other in range(number)]
    until = time.monotonic() + patience
    start, words = "", [""]
    while time.monotonic() < until:
        if rank == 0 and store.check(places):
            seen = _texts(store, places)
            if seen != words:
                start, words = secrets.token_hex(8), seen
                store.set("start", json.dumps([start, words]))
            if store.add(f"heard/{start}", 0) == number - 1:
                store.set(f"go/{start}", "")
                return PrefixStore(start, store)
        elif rank and store.check(["start"]):
            called, words = json.loads(store.get("start"))
            if words[rank : rank + 1] == [word]:
                if called != start:
                    start = called
                    store.add(f"heard/{start}", 1)
                if store.check([f"go/{start}"]):
                    return PrefixStore(start, store)
        time.sleep(_SOON)
    raise WorkerError(
        f"Not all of the {number} workers have come within {patience:.0f} seconds: see on the "
        "other machines why."
    )


def _texts(store: "Store", places: Sequence[str]) -> list[str]:
    return [store.get(place).decode() for place in places]
