"""A sign of life of each worker, for what the others wait for as long as it takes.

A worker that reads a text for an hour is there, and one whose machine has lost its power is not; on
another machine nobody can look. So each counts up a number at the store, whatever else it does, and
one whose number stands still is gone.
"""

import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

# So often a number is counted up, in seconds.
_EVERY = 5.0


class Beating:
    """The signs of life of all workers, and this one's own.

    Args:
        store: what all of them reach; its connection is not used by two threads at once.
        rank: which this one is.
        patience: so many seconds a number may stand still; anything may keep a thread from its
            turn for some time.
    """

    def __init__(self, store: "Store", rank: int, patience: float) -> None:
        self._store = store
        self._rank = rank
        self._patience = patience
        self._seen: dict[int, tuple[int, float]] = {}
        self._ended = Event()
        # Before 2.8 torch has no second connection, and nobody is taken for gone.
        clone = getattr(store, "clone", None)
        if clone is not None:
            Thread(target=self._beat, args=(clone(),), daemon=True).start()

    def is_silent(self, rank: int) -> bool:
        """Return whether another one has given signs of life, and gives none for long.

        Raises:
            RuntimeError: the store does not answer.
        """
        number, now = self._store.add(f"alive/{rank}", 0), time.monotonic()
        before, since = self._seen.get(rank, (-1, now))
        if number != before:
            self._seen[rank] = (number, now)
        return bool(number) and number == before and now - since > self._patience

    def end(self) -> None:
        """Give no more signs."""
        self._ended.set()

    def _beat(self, store: "Store") -> None:
        with suppress(RuntimeError):  # whoever waits notices as well
            store.add(f"alive/{self._rank}", 1)
            while not self._ended.wait(_EVERY):
                store.add(f"alive/{self._rank}", 1)
