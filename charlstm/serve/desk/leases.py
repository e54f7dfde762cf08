"""Which songs are open, and in which tab of a browser: none in two at once, or beside a terminal.

The lock of a run's songs is held while any of them is open here, as `charlstm write` holds it, and
dies with the process. A tab has a song for a minute from its last word on.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from charlstm.errors import CharLSTMError, RunError
from charlstm.runs.directory import RunDirectory
from charlstm.writing.draft import Draft

LEASE_SECONDS = 60.0
"""So long after its last word a tab still has its song."""


# Of so many songs that tabs have closed it is remembered by whom, long enough for what was still
# on its way.
_REMEMBERED = 1000


class InUseError(CharLSTMError):
    """A song is open elsewhere."""


@dataclass
class Lease:
    """A song that a tab has open.

    Attributes:
        client: the tab.
        until: when it ends, by a clock that never goes back.
        revision: of the song, as the tab has saved it last; ``None`` if it has not.
    """

    client: str
    until: float
    revision: int | None = None


@dataclass
class _Run:
    """A run some of whose songs are open."""

    locked: contextlib.ExitStack
    leases: dict[str, Lease] = field(default_factory=dict)


class Leases:
    """The songs that are open in a server."""

    def __init__(self) -> None:
        self._runs: dict[Path, _Run] = {}
        self._saving: dict[tuple[Path, str], threading.Lock] = {}
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._closed = False
        # What tabs have closed, with the revision that they had saved last.
        self._left: dict[tuple[Path, str, str], int | None] = {}

    def take(
        self, run: RunDirectory, song: str, client: str, *, over: bool = False
    ) -> tuple[Lease, bool]:
        """Open a song in a tab, or keep it open for longer.

        Args:
            run: whose song.
            song: its name.
            client: the tab.
            over: whether to take it from another tab that has it.

        Returns:
            The lease, and whether the tab had it already.

        Raises:
            InUseError: the song is open elsewhere.
        """
        with self._lock:
            self._sweep()
            here = self._runs.get(run.path)
            lease = None if here is None else here.leases.get(song)
            until = time.monotonic() + LEASE_SECONDS
            if lease is not None and lease.client == client:
                lease.until = until
                return lease, True
            if lease is not None and not over:
                raise InUseError(
                    "This song is open in another tab: go on there, or take it over here."
                )
            if here is None:
                here = self._runs[run.path] = _Run(_locked(run))
            lease = here.leases[song] = Lease(client, until)
            self._watch()
            return lease, False

    @contextlib.contextmanager
    def saving(self, run: RunDirectory, song: str) -> Iterator[None]:
        """Let saves of one song happen one after the other, each knowing of those before it."""
        with self._lock:
            lock = self._saving.setdefault((run.path, song), threading.Lock())
        with lock:
            yield

    def renew(self, run: RunDirectory, client: str) -> None:
        """Keep all songs of a run that a tab has open for longer."""
        with self._lock:
            self._sweep()
            here = self._runs.get(run.path)
            for lease in () if here is None else here.leases.values():
                if lease.client == client:
                    lease.until = time.monotonic() + LEASE_SECONDS

    def come(self, run: RunDirectory, song: str, client: str) -> None:
        """Let a tab that has closed a song have it again."""
        with self._lock:
            self._left.pop((run.path, song, client), None)

    def has_left(self, run: RunDirectory, song: str, client: str) -> bool:
        """Return whether a tab has closed a song: what it says later was on its way by then."""
        with self._lock:
            return (run.path, song, client) in self._left

    def left_with(self, run: RunDirectory, song: str, client: str) -> int | None:
        """Return the revision that a tab had saved last when it closed a song."""
        with self._lock:
            return self._left.get((run.path, song, client))

    def give_back(self, run: RunDirectory, song: str, client: str) -> None:
        """Close a song, if this tab has it."""
        with self._lock:
            here = self._runs.get(run.path)
            lease = None if here is None else here.leases.get(song)
            known = self._left.get((run.path, song, client))
            if here is not None and lease is not None and lease.client == client:
                known = known if lease.revision is None else lease.revision
                del here.leases[song]
            self._left[run.path, song, client] = known
            while len(self._left) > _REMEMBERED:
                del self._left[next(iter(self._left))]
            self._sweep()

    @contextlib.contextmanager
    def alone(self, run: RunDirectory, song: str | None, client: str | None) -> Iterator[None]:
        """Keep terminals away from the songs of a run, and check that no tab has one of them.

        Args:
            run: which.
            song: that no tab but `client` may have; ``None`` for none in particular.
            client: a tab that may have it.

        Raises:
            InUseError: somebody has.
        """
        with self._lock, contextlib.ExitStack() as stack:
            self._sweep()
            here = self._runs.get(run.path)
            if here is None:
                stack.enter_context(_locked(run))
            elif (lease := here.leases.get(song or "")) and lease.client != client:
                raise InUseError("This song is open in another tab: close it there first.")
            yield
            if here is not None and song is not None and not Draft(run.path, song).is_there:
                here.leases.pop(song, None)
                self._sweep()

    def has(self, run: RunDirectory) -> bool:
        """Return whether any song of a run is open here."""
        with self._lock:
            self._sweep()
            return run.path in self._runs

    def close(self) -> None:
        """Close all songs."""
        with self._lock:
            self._closed = True
            for here in self._runs.values():
                here.locked.close()
            self._runs.clear()
            if self._timer is not None:
                self._timer.cancel()

    def _sweep(self) -> None:
        """Close what nobody has said anything of for long, and let terminals have it."""
        now = time.monotonic()
        for path, here in list(self._runs.items()):
            for song, lease in list(here.leases.items()):
                if lease.until <= now:
                    del here.leases[song]
            if not here.leases:
                here.locked.close()
                del self._runs[path]

    def _watch(self) -> None:
        """See to it that a song is closed even if nobody asks anything any more."""
        if self._timer is None and self._runs and not self._closed:
            self._timer = threading.Timer(LEASE_SECONDS / 4, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            self._sweep()
            self._watch()


def _locked(run: RunDirectory) -> contextlib.ExitStack:
    """Return what holds the lock of a run's songs.

    Raises:
        InUseError: a terminal holds it, or another server.
    """
    told = (
        f"The songs of {run.name} are open in charlstm write, or at another desk: go on there, or "
        "quit it first."
    )
    stack = contextlib.ExitStack()
    try:
        stack.enter_context(Draft(run.path).locked(told))
    except RunError as error:
        raise InUseError(*error.message.parts) from None
    return stack
