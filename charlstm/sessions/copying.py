"""A save of a training on a machine whose workers only follow, so that it may lead later."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charlstm.figures import Report
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.sessions.following import Following
from charlstm.sessions.saving import recorded, save
from charlstm.training.events import Finished, Stopped, TrainerEvent
from charlstm.training.trainer import Trainer

# Whoever leads saves at most once in so many seconds, and all hold at that moment what is saved.
_LEAST_SECONDS = 5.0


class Copy:
    """What keeps a run as the one that leads does, but for its samples and pictures.

    Args:
        directory: of the run, on this machine.
        trainer: of this machine's first worker.
        info: what ``run.json`` says.
        history: the reports so far.
        samples: what the model has written so far.
    """

    def __init__(
        self,
        directory: RunDirectory,
        trainer: Trainer,
        info: RunInfo,
        history: Sequence[Report],
        samples: Sequence[str],
    ) -> None:
        self.directory = directory
        self._trainer = trainer
        self._info = info
        self._history = list(history)
        self._samples = list(samples)
        self._saved_at = -math.inf

    @classmethod
    def of(
        cls,
        directory: RunDirectory,
        following: Following,
        history: Sequence[dict[str, Any]],
        samples: Sequence[str],
    ) -> "Copy":
        """Return what keeps the training of a worker that follows; see `Launch.copy`."""
        reports = [Report.from_json(report) for report in history]
        return cls(directory, following.trainer, following.info, reports, samples)

    def hear(self, event: TrainerEvent) -> None:
        """Take note of what happens, and save where that is due and possible.

        Raises:
            RunError: something cannot be written; what was saved before is kept.
        """
        self._history = recorded(self._history, event)
        if isinstance(event, Finished):
            self._info = replace(self._info, finished=event.reason)
        due = time.monotonic() - self._saved_at >= _LEAST_SECONDS
        ended = isinstance(event, Finished | Stopped)
        if ended or (due and self._trainer.may_be_saved and self._trainer.healthy):
            self._info = save(
                self.directory, self._trainer.snapshot(), self._info, self._history, self._samples
            )
            self._saved_at = time.monotonic()
