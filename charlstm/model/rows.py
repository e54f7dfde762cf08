"""Which rows of a batch are whose, where several workers read it together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """The rows that one worker reads of a batch, or of whatever else is dealt out.

    Attributes:
        first: the first of them.
        end: the one after the last.
        whole: how many there are for all workers together.
    """

    first: int
    end: int
    whole: int

    @classmethod
    def dealt(cls, whole: int, rank: int = 0, count: int = 1) -> "Rows":
        """Return the share of one worker: ``rank * whole // count`` and those after it.

        Every row has one worker, and no worker has two rows more than another.

        Args:
            whole: how many there are.
            rank: which worker, from 0.
            count: how many workers there are.
        """
        return cls(rank * whole // count, (rank + 1) * whole // count, whole)

    @property
    def number(self) -> int:
        """How many they are."""
        return self.end - self.first

    @property
    def part(self) -> slice:
        """What takes them out of all."""
        return slice(self.first, self.end)
