"""With how many threads torch computes: the number that is fastest on the machine as it is now.

Threads of a layer wait for each other at every step of a window. While another program keeps a
processor busy, one thread is therefore faster than many, on a quiet machine it is not, and which of
the two it is changes while one works.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

# How often each number is tried when they are compared.
_ROUNDS = 3
# A number that takes this many times as long as the fastest is not tried again.
_HOPELESS = 3.0
# Another number is chosen only if it is faster than the present one by this factor.
_WORTH_CHANGING = 1.1


class Threads:
    """Compares several numbers of threads over equal pieces of work, and again now and then.

    Ask `before` before each piece and tell `after` how long it took. Every piece is real work:
    nothing is computed for the comparison alone.

    Args:
        counts: the numbers to choose from, ascending; with a single one nothing is compared.
        every: seconds between two comparisons.
        now: returns the time in seconds, from whatever moment.

    Attributes:
        chosen: the number that was fastest; the greatest, until there was a comparison.
    """

    def __init__(
        self,
        counts: Sequence[int],
        *,
        every: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counts = tuple(counts)
        self._every = every
        self._now = now
        self._compared_at = now()
        self._waiting: list[int] = []
        self._seconds: dict[int, list[float]] = {}
        self.chosen = max(self._counts)
        self._compare()

    @property
    def is_comparing(self) -> bool:
        """Whether a comparison is under way."""
        return bool(self._waiting)

    def before(self) -> None:
        """Let torch compute the next piece with as many threads as it should."""
        if not self._waiting and self._now() - self._compared_at > self._every:
            self._compare()
        count = self._waiting[0] if self._waiting else self.chosen
        if torch.get_num_threads() != count:
            torch.set_num_threads(count)

    def after(self, seconds: float) -> None:
        """Take note of how long the piece took."""
        if not self._waiting:
            return
        tried = self._waiting.pop(0)
        self._seconds.setdefault(tried, []).append(seconds)
        fastest = min(map(min, self._seconds.values()))
        hopeless = {n for n, times in self._seconds.items() if times[-1] > _HOPELESS * fastest}
        self._waiting = [n for n in self._waiting if n not in hopeless]
        if not self._waiting:
            self._choose()

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Do a piece between `before` and `after`."""
        self.before()
        began = time.perf_counter()
        yield
        self.after(time.perf_counter() - began)

    def _compare(self) -> None:
        self._seconds = {}
        if len(self._counts) > 1:
            # In turn, so that a moment's load does not decide between them.
            self._waiting = list(self._counts) * _ROUNDS

    def _choose(self) -> None:
        typical = {count: statistics.median(times) for count, times in self._seconds.items()}
        fastest = min(typical, key=lambda count: typical[count])
        if typical[self.chosen] > _WORTH_CHANGING * typical[fastest]:
            self.chosen = fastest
        self._compared_at = self._now()


def counts_to_choose_from(most: int) -> tuple[int, ...]:
    """Return the numbers worth trying: one, half, and all of `most`."""
    return tuple(sorted({1, max(most // 2, 1), most}))
