"""What happens in a training, with all that a viewer draws: nobody has to ask the trainer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from charlstm.figures import Report


@dataclass(frozen=True)
class Step:
    """One optimiser step was made.

    Attributes:
        step: how many there have been.
        epoch: the one that it belongs to, from 1.
        progress: how much of the plan is done, from 0 to 1.
        learning_rate: of this step.
        characters: read in training so far.
        seconds: spent in steps so far.
        seconds_left: until the plan is done, at the speed so far.
        measure: returns the loss; see `loss`.
    """

    step: int
    epoch: int
    progress: float
    learning_rate: float
    characters: int
    seconds: float
    seconds_left: float
    measure: Callable[[], float] = field(repr=False, compare=False)

    @property
    def loss(self) -> float:
        """The training loss of the epoch so far, in nats a character; a GPU is waited for."""
        return self.measure()

    @property
    def characters_per_second(self) -> float:
        """The speed of the steps so far."""
        return self.characters / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class EpochEnd:
    """An epoch, or the part of it that there was time for, was read and measured.

    Attributes:
        report: its figures.
        best: whether no earlier one was better.
        last: whether the plan is done with it.
    """

    report: Report
    best: bool
    last: bool = False


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
    """Training was asked to stop and did so after this many steps."""

    step: int


TrainerEvent = Step | EpochEnd | WentBack | Finished | Stopped
