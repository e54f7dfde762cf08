"""What all workers of a training must decide alike, and at the same moment."""

from collections.abc import Callable, Sequence

import torch

from charlstm.training.distributed import Workers


class Agreement:
    """When to stop, when to put together what is saved, and how much of the minutes is over.

    Any worker may wish to stop; the one that leads alone wishes to save, and has the clock. Wishes
    are told with the gradients of the next step. A single worker has its way at once.

    Args:
        workers: those who agree.
        spent: returns how much of the minutes is over, by the clock of this process.

    Attributes:
        stopping: whether training is to end.
        saving: whether the last step is to be saved.
    """

    def __init__(self, workers: Workers, spent: Callable[[], float]) -> None:
        self._workers = workers
        self._spent = spent
        self._told: float | None = None
        self._stop = self._save = False
        self.stopping = self.saving = False

    @property
    def spent(self) -> float:
        """How much of the minutes is over: by the clock of the one that leads, as last told."""
        return self._spent() if self._told is None else self._told

    def stop(self) -> None:
        """Wish that training ends."""
        self._stop = True
        self.stopping = self.stopping or not self._workers.is_joined

    def save(self) -> None:
        """Wish that all is put together that a save needs."""
        self._save = self._workers.leads

    def wishes(self) -> Sequence[float]:
        """Return what this worker has to tell the others; nothing where there are none."""
        if not self._workers.is_joined:
            return ()
        return self._stop, self._save, self._spent() if self._workers.leads else 0.0

    def hear(self, told: Sequence[float]) -> None:
        """Take note of the sums of what all workers told."""
        if told:
            stop, save, self._told = told
            self.stopping, self.saving = self.stopping or stop > 0, save > 0
            self._save = False

    def ask(self, device: torch.device) -> None:
        """Tell and hear apart from any step; all workers do at the same moment.

        Args:
            device: where training computes.

        Raises:
            WorkerError: another worker is gone.
        """
        if self._workers.is_joined:
            told = torch.tensor(self.wishes(), dtype=torch.float64, device=device)
            self._workers.sum(told)
            self.hear(told.tolist())
