"""Several workers that train one model: which one this process is, and what they tell each other.

Each worker has a copy of the model and reads its own rows of every batch; the gradients of all are
summed before a step is made, so that all make the same one. One of them leads: it decides whatever
a clock decides, and saves. The engine is `torch.distributed`: gloo between processors,
NCCL between GPUs of Nvidia.

They meet in two ways. What may take long on one of them, as reading a text does, is waited for at
the store, a table that all of them reach, for as long as it takes. What is told during training
goes from worker to worker, and one that does not answer within `TIMEOUT` is given up.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor

from charlstm.errors import CharLSTMError, RecipeError, Setting, WorkerError, count
from charlstm.model.rows import Rows
from charlstm.training.beating import Beating
from charlstm.training.compression import packed, summed
from charlstm.training.processes import KEPT, end_missing, is_gone, this_process

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

TIMEOUT = 20.0
"""After so many seconds without an answer a worker is given up."""

# So many times as long is waited for a sign of life of one that others wait for as it works.
_PATIENCE = 3
# So long is listened for who else is there, once somebody does not answer.
_LISTENING = 4.0
# How often the store is looked at: at first, and after a while.
_SOON, _SELDOM = 0.01, 0.5


class Workers(AbstractContextManager["Workers"]):
    """One of several workers, without the others: what it would tell them goes nowhere.

    Without arguments it is the only one, and has all rows. One of several alone is good for timing
    what its share of the work takes.

    Args:
        rank: which, from 0.
        count: of how many.
        here: how many of them are on this machine.

    Attributes:
        rank: which, from 0.
        count: of how many.
        here: how many of them are on this machine.
        leader: the rank of the one that decides and saves; the same for all of them.
        waited: seconds spent on telling the others, and on waiting for what they tell.
    """

    is_joined = False
    """Whether there are others that listen."""

    def __init__(self, rank: int = 0, count: int = 1, here: int = 1) -> None:
        assert 0 <= rank < count
        self.rank = rank
        self.count = count
        self.here = here
        self.leader = 0
        self.waited = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.rank} of {self.count}>"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the others; they are told of an error."""

    @property
    def leads(self) -> bool:
        """Whether this is the one that decides and saves."""
        return self.rank == self.leader

    @property
    def apart(self) -> "Workers":
        """The same one without the others, to time its share of the work."""
        workers = Workers(self.rank, self.count, self.here)
        workers.leader = self.leader
        return workers

    def deal(self, whole: int) -> Rows:
        """Return which of so many this one takes; see `charlstm.model.rows.Rows.dealt`."""
        return Rows.dealt(whole, self.rank, self.count)

    def rows(self, batch: int) -> Rows:
        """Return which rows of a batch this one reads.

        Raises:
            RecipeError: there are fewer rows than workers.
        """
        if self.count > batch:
            raise RecipeError(
                f"A batch of {count(batch, 'row')} cannot be shared by {self.count} workers, each "
                "of which reads at least one: start fewer, or ask for a larger ",
                Setting("batch"),
                ".",
            )
        return self.deal(batch)

    def sum(self, values: Tensor) -> None:
        """Replace values by their sums over all workers, who call this at the same moment.

        All get the same bits. They must have heard something, by `tell`, before.

        Args:
            values: contiguous, on the device of training.

        Raises:
            WorkerError: another worker is gone, hangs or has failed.
        """

    def sum_rounded(self, values: Tensor, numbers: Tensor) -> None:
        """Replace values by nearly their sums, and numbers by their sums; see `sum`.

        Args:
            values: ``[N]``, told in bfloat16; see `charlstm.training.compression`.
            numbers: ``[M]``, float64, told as they are.
        """

    def copy(self, values: Tensor) -> None:
        """Replace values by those of the worker that leads; see `sum`."""

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums over all workers, as `sum` does."""
        return values

    def meet(self) -> None:
        """Wait until all workers have come here, for as long as it takes.

        Raises:
            WorkerError: another worker is gone or has failed.
        """

    def tell(self, data: bytes) -> bytes:
        """Return what the worker that leads says; all are waited for, as in `meet`.

        Args:
            data: what this one says, which counts if it leads.

        Raises:
            WorkerError: another worker is gone or has failed.
        """
        return data

    def gather(self, said: str) -> list[str]:
        """Return what each worker says, by rank; all are waited for, as in `meet`.

        Args:
            said: by this one.

        Raises:
            RecipeError: they compute on different kinds of devices.
            WorkerError: another worker is gone or has failed.
        """
        return [said]

    def compare(self, facts: Mapping[str, str]) -> None:
        """Check that something is the same on all workers; they are waited for, as in `tell`.

        Args:
            facts: by what they are called in a message: ``{"text": "d2a84f…"}``.

        Raises:
            WorkerError: it is not the same, or see `tell`.
        """


ALONE = Workers()
"""The one worker of a training in one process."""


class Joined(Workers):
    """One of several workers that have found each other; see `charlstm.training.joining`.

    Args:
        store: what all of them reach, and nobody else.
        rank: which.
        count: of how many.
        here: see `Workers`.
        device: where values to be summed are.
        timeout: after how many seconds without an answer a worker is given up.
    """

    is_joined = True

    def __init__(
        self,
        store: "Store",
        rank: int,
        count: int,
        here: int,
        device: torch.device,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(rank, count, here)
        self._timeout = timeout
        self._store = store
        self._device = device
        self._meetings = 0
        self._connected = False
        self._beating = Beating(store, rank, _PATIENCE * timeout)
        # From here on nobody waits long for a key that is not there.
        store.set_timeout(timedelta(seconds=_LISTENING))
        store.set(f"device/{rank}", device.type)
        store.set(f"process/{rank}", this_process())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._beating.end()
        # One that only lost another has no news.
        if error is not None and not isinstance(error, WorkerError):
            with suppress(RuntimeError):
                self._store.set(f"ended/{self.rank}", _told_of(error))
                self._store.add("ended", 1)
        if self._connected:
            torch.distributed.destroy_process_group()
            self._connected = False

    def sum(self, values: Tensor) -> None:
        """See `Workers`."""
        with self._talking():
            torch.distributed.all_reduce(values)

    def sum_rounded(self, values: Tensor, numbers: Tensor) -> None:
        """See `Workers`."""
        told = packed(values, numbers, self.count)
        heard = torch.empty_like(told)
        with self._talking():
            torch.distributed.all_to_all_single(heard, told)
        part, sums = summed(heard, len(numbers))
        whole = part.new_empty(self.count * len(part))
        with self._talking():
            torch.distributed.all_gather(list(whole.chunk(self.count)), part)
        values.copy_(whole[: len(values)])
        numbers.copy_(sums)

    def copy(self, values: Tensor) -> None:
        """See `Workers`."""
        with self._talking():
            torch.distributed.broadcast(values, src=self.leader)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Workers`."""
        self.meet()  # what they come from may have taken some of them longer
        summed = torch.from_numpy(values).to(self._device, copy=True)
        self.sum(summed)
        return summed.cpu().numpy()

    def tell(self, data: bytes) -> bytes:
        """See `Workers`."""
        self.meet()
        size = torch.tensor([len(data)], device=self._device)
        self.copy(size)
        told = torch.empty(int(size), dtype=torch.uint8, device=self._device)
        if self.leads:
            told.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        self.copy(told)
        return told.cpu().numpy().tobytes()

    def gather(self, said: str) -> list[str]:
        """See `Workers`."""
        place = f"said/{self._meetings}"
        try:
            self._store.set(f"{place}/{self.rank}", said)
            self.meet()
            return [self._store.get(f"{place}/{rank}").decode() for rank in range(self.count)]
        except RuntimeError:
            raise _without_store() from None

    def compare(self, facts: Mapping[str, str]) -> None:
        """See `Workers`."""
        told = json.loads(self.tell(json.dumps(dict(facts)).encode()))
        differs = np.zeros((self.count, len(facts)))
        differs[self.rank] = [told.get(name) != value for name, value in facts.items()]
        for rank, flags in enumerate(self.total(differs)):
            names = [name for name, flag in zip(facts, flags, strict=True) if flag]
            if names:
                raise WorkerError(
                    f"Worker {rank} has another {' and another '.join(names)} than worker "
                    f"{self.leader}: all must train the same model on the same text."
                )

    def meet(self) -> None:
        """See `Workers`."""
        place = f"met/{self._meetings}"
        self._meetings += 1
        began, pause = time.monotonic(), _SOON
        try:
            self._store.add(place, 1)
            while self._store.add(place, 0) < self.count:
                if self._store.add("ended", 0):
                    self._give_up(RuntimeError("a worker has ended"))
                time.sleep(pause)
                pause = min(1.5 * pause, _SELDOM)
                if pause == _SELDOM:
                    self._check_there()
        except RuntimeError:
            raise _without_store() from None
        self.waited += time.monotonic() - began
        if not self._connected:
            self._check_devices()
            with self._talking():
                self._connect()

    def _check_there(self) -> None:
        """Check that the workers are there that are waited for."""
        for rank in range(self.count):
            if self._store.check([f"process/{rank}"]):
                process = self._store.get(f"process/{rank}").decode()
                gone = is_gone(process) or self._beating.is_silent(rank)
                if gone and not self._store.add("ended", 0):
                    raise end_missing({rank: process})

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Talk to the others within; time it, and find out why if they do not answer."""
        began = time.perf_counter()
        try:
            yield
        except RuntimeError as error:
            self._give_up(error)
        self.waited += time.perf_counter() - began

    def _check_devices(self) -> None:
        for rank in range(self.count):
            device = self._store.get(f"device/{rank}").decode()
            if device != self._device.type:
                raise RecipeError(
                    f"Worker {rank} would compute on {device}, and worker {self.rank} on "
                    f"{self._device.type}; name one kind of ",
                    Setting("device"),
                    " that all of them have.",
                )

    def _connect(self) -> None:
        on_gpu = self._device.type == "cuda"
        if on_gpu:
            # Or a worker that does not answer would end this process, without a word.
            os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
        self._store.set_timeout(timedelta(seconds=self._timeout))
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=self._store,
            rank=self.rank,
            world_size=self.count,
            timeout=timedelta(seconds=self._timeout),
        )
        self._store.set_timeout(timedelta(seconds=_LISTENING))
        self._connected = True

    def _give_up(self, error: RuntimeError) -> NoReturn:
        """Raise what is known of why another worker does not answer."""
        found: list[WorkerError] = []
        # A store that hangs itself would be waited for without end.
        listener = Thread(target=lambda: found.append(self._listen(error)), daemon=True)
        listener.start()
        listener.join(_LISTENING + 1)
        raise (found[0] if found else _without_store()) from None

    def _listen(self, error: RuntimeError) -> WorkerError:
        """Find out who is still there, now that one of them does not answer."""
        others = sorted({*range(self.count)} - {self.rank})
        silent, until = others, time.monotonic() + _LISTENING
        try:
            self._store.set(f"here/{self.rank}", "")
            processes = {
                rank: self._store.get(f"process/{rank}").decode() for rank in range(self.count)
            }
            while True:
                # Looked at first, because one that is gone may have said why.
                gone = {rank: processes[rank] for rank in others if is_gone(processes[rank])}
                for rank in others:
                    if self._store.check([f"ended/{rank}"]):
                        why = self._store.get(f"ended/{rank}").decode(errors="replace")
                        return WorkerError(f"Worker {rank} has ended: {why}")
                silent = [rank for rank in others if not self._store.check([f"here/{rank}"])]
                if not silent or gone or time.monotonic() > until:
                    break
                time.sleep(_SOON)
        except RuntimeError:
            return _without_store()
        if not silent:
            return WorkerError(
                f"The workers cannot reach each other any more ({first_line(error)})", *KEPT
            )
        # Where one is gone, others may wait for it without knowing.
        return end_missing(gone or {rank: processes[rank] for rank in silent})


def _without_store() -> WorkerError:
    return WorkerError(
        "What the workers meet at, which worker 0 or its launcher keeps, does not answer any more",
        *KEPT,
    )


def _told_of(error: BaseException) -> str:
    """Return what others are told of an error."""
    if not isinstance(error, Exception):
        return "it was interrupted."
    if isinstance(error, CharLSTMError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip(": ") + "."


def first_line(error: BaseException) -> str:
    """Return how a message of torch begins, without a full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")
