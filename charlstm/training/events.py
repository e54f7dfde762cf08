"""What happens in a training, as whoever draws it is told."""

from dataclasses import dataclass

from charlstm.figures import Report


@dataclass(frozen=True)
class Step:
    """One optimiser step was made."""

    step: int
    epoch: int


@dataclass(frozen=True)
class EpochEnd:
    """An epoch was read and measured; `best` says that no earlier one was better."""

    report: Report
    best: bool


@dataclass(frozen=True)
class WentBack:
    """Training diverged, so it goes on from an earlier step.

    Attributes:
        diverged: the step at which it was noticed.
        step: the step whose weights were restored.
        scale: what the recipe's learning rate is multiplied by from now on.
    """

    diverged: int
    step: int
    scale: float


@dataclass(frozen=True)
class Finished:
    """Training is over; `reason` is a sentence."""

    reason: str


@dataclass(frozen=True)
class Stopped:
    """Training was asked to stop and did so between two steps."""


TrainerEvent = Step | EpochEnd | WentBack | Finished | Stopped
