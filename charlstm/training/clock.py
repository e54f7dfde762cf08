"""The clock of a training, and how much of its plan is done."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from charlstm.recipes.recipe import Recipe


class Clock:
    """Counts the seconds of a training, over all of its sessions.

    They include measuring, and whatever the caller does between two events; the time between a
    stop and the resume after it is not counted.

    Args:
        now: returns the time in seconds, from whatever moment.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self._earlier = 0.0
        self._began: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since training began."""
        return self._earlier + (0.0 if self._began is None else self.now() - self._began)

    def start(self) -> None:
        """Begin to count, or go on."""
        self._earlier, self._began = self.elapsed, self.now()

    def set(self, elapsed: float) -> None:
        """Stand still at so many seconds, until `start`."""
        self._earlier, self._began = elapsed, None


@dataclass(frozen=True)
class Budget:
    """What a training may take.

    Attributes:
        steps: how many optimiser steps.
        minutes: how many minutes, if they are over first; ``None`` for any number.
    """

    steps: int
    minutes: float | None

    @classmethod
    def of(cls, recipe: Recipe, epoch_steps: int) -> "Budget":
        """Return what a recipe allows where an epoch has so many steps."""
        steps = recipe.epochs * epoch_steps
        return cls(steps if recipe.steps is None else min(steps, recipe.steps), recipe.minutes)

    def progress(self, step: int, spent: float) -> float:
        """Return how much is done, from 0 to 1: of the steps, or of the minutes.

        Args:
            step: how many were made.
            spent: what `spent` returned.
        """
        return min(max(step / self.steps, spent), 1.0)

    def spent(self, elapsed: float, measuring: float) -> float:
        """Return how much of the minutes is over, 0 where there are none to keep to.

        Args:
            elapsed: seconds that are over.
            measuring: seconds that the last measurement will take; it is part of the minutes.
        """
        if self.minutes is None:
            return 0.0
        return elapsed / max(60 * self.minutes - measuring, 1e-9)

    def seconds_left(self, step: int, elapsed: float, step_seconds: float) -> float:
        """Return how long the rest takes, if each step takes so many seconds."""
        left = (self.steps - step) * step_seconds
        if self.minutes is None:
            return left
        return min(left, max(60 * self.minutes - elapsed, 0.0))
