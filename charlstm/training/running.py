"""The training loss of an epoch as it goes on: sums and counts, divided when somebody asks."""

from collections.abc import Callable

import torch
from torch import Tensor


class RunningLoss:
    """Summed nats and their count, of all workers as far as they have told each other.

    Args:
        device: where the model computes. Nothing here waits for it unless it must.

    Attributes:
        nats: summed.
        counted: over how many characters.
    """

    def __init__(self, device: torch.device) -> None:
        # mps has no float64.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._zero = torch.zeros((), device=device, dtype=dtype)
        self.begin()

    def begin(self, nats: float = 0.0, counted: int = 0) -> None:
        """Begin an epoch, or go on with one."""
        self.nats, self.counted = self._zero + nats, counted
        self._own, self._own_counted = self._zero, 0

    def add(self, nats: Tensor | float, counted: int) -> None:
        """Add what all workers have read since they met."""
        # Not in place: an event may look at the sum of its step later.
        self.nats = self.nats + nats
        self.counted += counted
        self._own, self._own_counted = self._zero, 0

    def add_own(self, nats: Tensor | float, counted: int) -> None:
        """Add what this worker has read, until it tells the others."""
        self._own = self._own + nats
        self._own_counted += counted

    @property
    def own(self) -> tuple[float, int]:
        """What this worker has read since all met: summed nats, and their count."""
        return float(self._own), self._own_counted

    @property
    def mean(self) -> float:
        """The loss that all workers know, in nats a character."""
        return float(self.nats) / max(self.counted, 1)

    def later(self) -> Callable[[], float]:
        """Return what tells the loss as it is now, with what this worker alone knows of it."""
        nats, counted = self.nats + self._own, self.counted + self._own_counted
        return lambda: float(nats) / max(counted, 1)
