"""A training from the corpus to the run directory: what ``charlstm train`` does, without a screen.

A session reads the text, fits the recipe to it, makes the run directory, trains, lets the model
write now and then, and saves. It yields events; callers may draw them.
"""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charlstm.errors import TrainingError
from charlstm.figures import Report
from charlstm.model.network import Network
from charlstm.model.recall.recall import Recall
from charlstm.runs.info import RunInfo
from charlstm.sessions.curve import draw_curve
from charlstm.sessions.plan import Plan
from charlstm.sessions.saving import best_of, recorded, save
from charlstm.sessions.tensorboard import TensorBoardLog
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Stopped,
    TrainerEvent,
)
from charlstm.training.trainer import Trainer
from charlstm.writing.sampler import make_sampler

RELEASE_STEPS = 100
"""What was read of a mapped text counts as memory until it is released, every so many steps."""

_SAMPLE_CHARACTERS = 50

DIVERGED = "it diverged"
"""Why a training that was given up ended."""


@dataclass(frozen=True)
class Sample:
    """What the model wrote after an epoch."""

    epoch: int
    prefix: str
    text: str


@dataclass(frozen=True)
class Saved:
    """The run directory holds everything up to this step."""

    step: int


Event = TrainerEvent | Sample | Saved


class Session:
    """One training; made by `charlstm.sessions.start` or `charlstm.sessions.resume`.

    Args:
        plan: what it is about to do.
        trainer: stands where the training begins, or goes on.
        info: what ``run.json`` says.
        recall: what the network is blended with, if anything.
        history: the reports of earlier sessions.
        samples: what the model wrote in them.
        save_every: seconds between two saves, about.

    Attributes:
        history: the reports so far.
        samples: what the model has written so far.
    """

    def __init__(
        self,
        plan: Plan,
        trainer: Trainer,
        info: RunInfo,
        *,
        recall: Recall | None = None,
        history: Sequence[Report] = (),
        samples: Sequence[str] = (),
        save_every: float = 15.0,
    ) -> None:
        self.plan = plan
        self.trainer = trainer
        self._info = info
        self._recall = recall
        self.history = list(history)
        self.samples = list(samples)
        self._save_every = save_every
        self._saved_at = time.monotonic()
        self._saved_best_loss: float | None = None
        self._drawn: list[Report] = []

    def __repr__(self) -> str:
        steps = f"step {self.trainer.step:,} of {self.plan.total_steps:,}"
        return f"<Session of {str(self.plan.directory.path)!r}: {steps}>"

    @property
    def best(self) -> Report | None:
        """The report with the lowest held-out loss so far; ``None`` when nothing is held out."""
        return best_of(self.history)

    @property
    def last(self) -> Report | None:
        """The newest report."""
        return self.history[-1] if self.history else None

    def events(self) -> Iterator[Event]:
        """Train until the end or until `stop`; save now and then, and at the end.

        Raises:
            TrainingError: training diverged, and going back did not help.
            RunError: the run directory cannot be written, or another training is running in it.
        """
        with self.plan.directory.locked():
            yield from self._train()

    def _train(self) -> Iterator[Event]:
        log = None
        if self._info.tensorboard:
            log = TensorBoardLog(self.plan.directory.path, self.trainer.step)
        try:
            for event in self.trainer.run():
                yield from self._handle(event, log)
        except TrainingError:
            self._info = dataclasses.replace(self._info, finished=DIVERGED)
            if self.trainer.step:
                self.save()
            else:  # nothing was learned
                self.plan.directory.write_info(self._info)
            raise
        finally:
            if log is not None:
                log.close()

    def _handle(self, event: TrainerEvent, log: TensorBoardLog | None) -> Iterator[Event]:
        # Recorded first: whoever saves on an epoch's end saves that epoch as well.
        self.history = recorded(self.history, event)
        if isinstance(event, Finished):
            self._info = dataclasses.replace(self._info, finished=event.reason)
        elif self.trainer.step % RELEASE_STEPS == 0:
            self.plan.corpus.release()
        yield event
        if isinstance(event, EpochEnd):
            if log is not None:
                log.write(event.report)
            yield from self._write_samples(event.report.epoch)
        ended = isinstance(event, Finished | Stopped)
        due = time.monotonic() - self._saved_at > self._save_every
        if due and not self.trainer.may_be_saved:
            self.trainer.prepare_to_save()
        elif ended or (due and self.trainer.healthy):
            self.save()
            yield Saved(self.trainer.step)

    def stop(self) -> None:
        """Ask `events` to finish the step under way, save and end."""
        self.trainer.stop()

    def save_soon(self) -> None:
        """Ask `events` to save as soon as that is possible, and not only when it is due."""
        self._saved_at = -math.inf

    def save(self) -> None:
        """Write everything that the run directory holds.

        A session that leads several workers can do so only while its trainer `may_be_saved`.

        Raises:
            RunError: something cannot be written; what was saved before is kept.
        """
        directory, trainer = self.plan.directory, self.trainer
        snapshot = trainer.snapshot()
        better = trainer.best_loss != self._saved_best_loss or not trainer.best_epoch
        self._info = save(directory, snapshot, self._info, self.history, self.samples, model=better)
        self._saved_best_loss = trainer.best_loss
        if self.history and self.history != self._drawn:
            directory.write_curve(draw_curve(self.history, directory.name))
            self._drawn = list(self.history)
        self._saved_at = time.monotonic()

    def _write_samples(self, epoch: int) -> Iterator[Sample]:
        every = self._info.sample_every
        if not every or epoch % every:
            return
        recipe, vocabulary = self.plan.recipe, self.plan.vocabulary
        weights = self.trainer.weights()
        network = Network(recipe.architecture, weights, len(vocabulary), vocabulary.end)
        sampler = make_sampler(network, self._recall, recipe.recall, self._info)
        for prefix in self._info.prefixes or ("",):
            text = sampler.generate(prefix, length=_SAMPLE_CHARACTERS, seed=recipe.seed + epoch)
            self.samples.append(f"--- epoch {epoch}, step {self.trainer.step}\n{text}\n")
            yield Sample(epoch, prefix, text)
