"""Truncated backpropagation through time, one optimiser step after the other."""

import math
from collections.abc import Iterator

import torch

from charlstm.errors import Setting, TrainingError, count
from charlstm.figures import Report, perplexity
from charlstm.model.charlm import CharLM
from charlstm.model.devices import Computing, check_precision
from charlstm.model.initialization import initialize
from charlstm.model.recall.recall import Recall
from charlstm.model.threads import Threads
from charlstm.recipes.recipe import Recipe
from charlstm.runs.snapshot import Position, Snapshot
from charlstm.runs.tensors import Arrays
from charlstm.text.vocabulary import Ids
from charlstm.training.agreement import Agreement
from charlstm.training.batches import Ends, Labelled, Window, Windows
from charlstm.training.clock import Budget, Clock
from charlstm.training.descent import Descent
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.events import EpochEnd, Finished, Step, Stopped, TrainerEvent, WentBack
from charlstm.training.held_out import HeldOut
from charlstm.training.meetings import Rhythm
from charlstm.training.optimizer import moments_of, planned_rate, restore_moments
from charlstm.training.running import RunningLoss

# A diverged training goes back this often at most, each time with half the learning rate.
_RETURNS = 3
# Weights to go back to are set aside once in this many steps. On a GPU the loss is looked at
# rarely as well, because looking waits for it.
_SET_ASIDE_STEPS = 200
_LOOK_STEPS_ON_GPU = 50


class Trainer:
    """Trains a model on one text; `run` yields what happens.

    Several workers, each with a trainer of its own, train one model: what happens is the same for
    all, up to the order of sums the same as to one alone, and each yields it. Where they meet only
    now and then (the recipe's ``sync_every``), all is decided when they do.

    Args:
        recipe: with batch and window as `charlstm.training.batches.fit` allows them.
        ids: ``[N]`` the training text.
        held_out: the text that is measured and never learned from; empty for none.
        vocabulary_size: V.
        end: the id of the end of a song, see `charlstm.model.charlm.CharLM`.
        labels: of the songs in `ids`, see `charlstm.training.batches.Labelled`.
        ends: of the songs in `ids`, see `charlstm.training.batches.Windows`.
        backend: ``"scratch"`` or ``"torch"``.
        device: where the model lives.
        clock: what counts its seconds.
        threads: chooses with how many torch makes each step; ``None`` leaves them alone.
        recall: of the training text, where the held-out loss is to be that of the blend; ``None``
            for the network alone.
        workers: who trains it together.

    Raises:
        RecipeError: the backend has no such cell, or not in this precision on this device, or there
            are more workers than rows.
    """

    def __init__(
        self,
        recipe: Recipe,
        ids: Ids,
        held_out: Ids,
        vocabulary_size: int,
        *,
        end: int | None = None,
        labels: Labelled | None = None,
        ends: Ends | None = None,
        backend: str,
        device: torch.device,
        clock: Clock | None = None,
        threads: Threads | None = None,
        recall: Recall | None = None,
        workers: Workers = ALONE,
    ) -> None:
        check_precision(recipe.precision, recipe.architecture.cell, Computing(backend, device))
        self.recipe = recipe
        self.device = device
        # Labels are read and not predicted.
        unpredicted = None if labels is None else labels.places >= 0
        self.held_out = HeldOut(held_out, unpredicted, recall, recipe.recall, workers)
        self.windows = Windows(
            ids,
            batch=recipe.batch,
            window=recipe.window,
            sampling=recipe.sampling,
            layout=recipe.layout,
            seed=recipe.seed,
            labels=labels,
            ends=ends,
            rows=workers.rows(recipe.batch),
        )
        self.model = CharLM(
            recipe.architecture, vocabulary_size, backend=backend, dropout=recipe.dropout, end=end
        )
        generator = torch.Generator().manual_seed(recipe.seed)
        initialize(self.model, recipe.initialization, generator)
        self.model.to(device)
        self._descent = Descent(recipe, self.model, workers)
        self.budget = Budget.of(recipe, self.windows.steps)
        every = recipe.sync_every if workers.is_joined else 1
        self._rhythm = Rhythm(every, self.windows.steps, self.budget.steps)

        self.step = 0
        self.seconds = 0.0
        self.rate = 0.0
        self.best_loss = math.inf
        self.best_epoch = 0
        self._best: Arrays | None = None
        self._loss = RunningLoss(device)
        # What the schedule's rate is multiplied by, and how often training went back.
        self._scale = 1.0
        self._returns = 0
        self.clock = clock or Clock()
        self._threads = threads
        self._workers = workers
        self._agreement = Agreement(workers, self._spent)
        self._measuring = 0.0
        self._good: Snapshot | None = None

    @property
    def epoch(self) -> int:
        """The number of the epoch that the last step belongs to, from 1; 0 before the first."""
        return -(-self.step // self.windows.steps)

    @property
    def characters(self) -> int:
        """How many characters have been read in training so far."""
        return self.windows.characters(self.step)

    @property
    def running_loss(self) -> float:
        """The training loss of the epoch so far, in nats a character."""
        return self._loss.mean

    @property
    def elapsed(self) -> float:
        """Seconds since training began; see `Clock`."""
        return self.clock.elapsed

    @property
    def progress(self) -> float:
        """How much of the plan is done, from 0 to 1: of its steps, or of its minutes."""
        return self.budget.progress(self.step, self._agreement.spent)

    def _spent(self) -> float:
        if self.budget.minutes is None:
            return 0.0  # without a look at the clock, which every step's rate would take
        # Measuring takes as long as it did before; until it was done once, a third of what learning
        # from as much text would.
        learning = self.seconds / max(self.characters, 1)
        measuring = self._measuring or learning * len(self.held_out.ids) / 3
        return self.budget.spent(self.elapsed, measuring)

    @property
    def healthy(self) -> bool:
        """Whether perplexity and weights are finite numbers; if not, training goes back."""
        finite = all(bool(weight.isfinite().all()) for weight in self.model.parameters())
        return finite and math.isfinite(perplexity(self.running_loss))

    def run(self) -> Iterator[TrainerEvent]:
        """Train from where it stands; `stop` ends it after the step under way.

        Raises:
            TrainingError: it diverged, and going back did not help.
            WorkerError: another worker is gone, hangs or has failed.
        """
        self._assemble()
        self.clock.start()
        self._good = self.snapshot()
        while True:
            self._workers.meet()  # whoever leads may have saved for long
            if (self._agreement.stopping or self._at_epoch_end()) and not self._is_good():
                yield self._go_back()
                continue
            if self._loss.counted and self._at_epoch_end():
                yield self._end_epoch()
                self._workers.meet()
                self._good = self.snapshot()
            if reason := self.over:
                yield Finished(reason)
                return
            if self._agreement.stopping:
                yield Stopped(self.step)
                return
            yield from self._steps()

    def _steps(self) -> Iterator[Step | WentBack]:
        """Go to the end of the epoch, or as far as possible."""
        for window in self.windows.epoch(*divmod(self.step, self.windows.steps)):
            self._timed_step(window, meets=self._rhythm.meets(self.step + 1))
            if self._descent.is_apart:
                yield self._made_step()
                continue
            look = self.device.type == "cpu" or self._is_due(_LOOK_STEPS_ON_GPU)
            if look and not math.isfinite(perplexity(self.running_loss)):
                yield self._go_back()
                return
            if self._is_due(_SET_ASIDE_STEPS) and self._is_good():
                self._good = self.snapshot()
            if self._agreement.saving:
                self._descent.gather()
            yield self._made_step()
            if self.may_be_saved:
                self._workers.meet()
            if self._agreement.stopping or self._at_epoch_end():
                return

    def _is_due(self, every: int) -> bool:
        """Whether one of every so many steps was made since the workers met before."""
        return self.step // every > self._rhythm.before(self.step) // every

    def _assemble(self) -> None:
        """Let all workers begin where the one that leads stands."""
        if self._workers.is_joined:
            told = self._workers.tell(self.snapshot().packed() if self._workers.leads else b"")
            if not self._workers.leads:
                self.restore(Snapshot.unpacked(told))
            self._agreement.ask(self.device)

    def _is_good(self) -> bool:
        """Whether what was learned is worth keeping; all workers put it together first."""
        self._descent.gather()
        self._descent.align()
        return self.healthy and self._sound

    def _made_step(self) -> Step:
        step_seconds = self.seconds / max(self.step, 1)
        return Step(
            step=self.step,
            epoch=self.epoch,
            progress=self.progress,
            learning_rate=self.rate,
            characters=self.characters,
            seconds=self.seconds,
            seconds_left=self.budget.seconds_left(self.step, self.elapsed, step_seconds),
            measure=self._loss.later(),
        )

    def stop(self) -> None:
        """Ask `run` to end after the step under way, or, for the others to hear it, the next."""
        self._agreement.stop()

    @property
    def may_be_saved(self) -> bool:
        """Whether there can be a `snapshot` now.

        Always, but for one of several workers. Those put together what is in it at every end of an
        epoch and of `run`, and when they meet after the one that leads was to `prepare_to_save`.
        """
        return self._descent.knows_all

    def prepare_to_save(self) -> None:
        """See to it that there can be a `snapshot` after the next step, or when all meet."""
        self._agreement.save()

    def time_step(self) -> float:
        """Make the next step, and meet: for a trainer that is thrown away.

        Some settings are best chosen by timing; whoever does so trains with another trainer.

        Returns:
            The seconds it took.
        """
        before = self.seconds
        window = next(self.windows.epoch(*divmod(self.step, self.windows.steps)))
        self._timed_step(window, meets=True)
        if self.device.type == "cuda":
            began = self.clock.now()
            torch.cuda.synchronize(self.device)
            self.seconds += self.clock.now() - began
        return self.seconds - before

    def begin_from(self, weights: Arrays) -> None:
        """Begin with these weights instead of random ones.

        They may be of a smaller vocabulary whose ids this one keeps: the rows of the
        new characters stay as they were drawn.
        """
        for name, parameter in self.model.named_parameters():
            known = tuple(slice(size) for size in weights[name].shape)
            parameter.data[known].copy_(torch.from_numpy(weights[name]))

    def weights(self) -> Arrays:
        """Return a copy of the model's weights as they are now, float32."""
        return {
            name: parameter.detach().cpu().numpy().copy()
            for name, parameter in self.model.named_parameters()
        }

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that decides how this training goes on.

        Raises:
            TrainingError: it has diverged, so that there is nothing worth keeping.
        """
        assert self.may_be_saved
        if not self.healthy:
            raise TrainingError("The training has diverged: its weights are not worth keeping.")
        weights = self.weights()
        names = self.recipe.architecture.state_names
        return Snapshot(
            weights=weights,
            best_weights=weights if self._best is None else self._best,
            moments=moments_of(self.model, self._descent.optimizer),
            state={
                name: part.cpu().numpy().copy()
                for name, part in zip(names, self._descent.state, strict=True)
            },
            position=Position(
                step=self.step,
                seconds=self.seconds,
                elapsed=self.elapsed,
                measuring=self._measuring,
                rate=self.rate,
                scale=self._scale,
                returns=self._returns,
                best_loss=None if math.isinf(self.best_loss) else self.best_loss,
                best_epoch=self.best_epoch,
                loss_sum=float(self._loss.nats),
                loss_count=self._loss.counted,
            ),
            outer=self._descent.outer,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot of the same recipe and text."""
        for name, parameter in self.model.named_parameters():
            parameter.data.copy_(torch.from_numpy(snapshot.weights[name]))
        restore_moments(self.model, self._descent.optimizer, snapshot.moments)
        self._descent.restore(snapshot.state, snapshot.outer)
        position = snapshot.position
        self.step = position.step
        self.seconds = position.seconds
        self.clock.set(position.elapsed)
        self._measuring = position.measuring
        self.rate = position.rate
        self._scale = position.scale
        self._returns = position.returns
        self.best_epoch = position.best_epoch
        self.best_loss = math.inf if position.best_loss is None else position.best_loss
        self._best = None if position.best_loss is None else snapshot.best_weights
        self._loss.begin(position.loss_sum, position.loss_count)

    def _at_epoch_end(self) -> bool:
        return self.step % self.windows.steps == 0 or self.progress >= 1

    @property
    def over(self) -> str | None:
        """Why there is nothing more to do; ``None`` while there is."""
        if self.step >= self.budget.steps:
            steps = self.budget.steps
            return f"all {steps:,} steps are done" if steps > 1 else "its only step is done"
        if self.progress >= 1:
            return f"the {count(self.recipe.minutes or 0.0, 'minute is', 'minutes are')} over"
        patience = self.recipe.patience
        read = self.step // self.windows.steps  # whole epochs: one under way is not judged yet
        if patience and self.best_epoch and read - self.best_epoch >= patience:
            return f"the held-out loss has not improved since epoch {self.best_epoch}"
        return None

    def _timed_step(self, window: Window, *, meets: bool) -> None:
        if self._threads is not None:
            self._threads.before()
        began, waited = self.clock.now(), self._workers.waited
        self._step(window, meets)
        self.step += 1
        if self.device.type == "cuda" and self._at_epoch_end():
            torch.cuda.synchronize(self.device)  # or the last step's time would be lost
        seconds = self.clock.now() - began
        self.seconds += seconds
        if self._threads is not None:
            self._threads.after(seconds - (self._workers.waited - waited))

    def _step(self, window: Window, meets: bool) -> None:
        seen = self._descent.gradient(window, self.step, self._agreement.wishes())
        self._agreement.hear(seen.told)
        self.rate = planned_rate(self.recipe, self.step, self.progress, self._scale)
        self._descent.move(self.rate)
        if self._descent.is_apart:
            self._loss.add_own(seen.nats, seen.counted)
            if not meets:
                return
            seen = self._descent.meet(self._loss.own, self._agreement.wishes())
            self._agreement.hear(seen.told)
        self._loss.add(seen.nats, seen.counted)

    @property
    def _sound(self) -> bool:
        """Whether the epoch's loss is below twice that of knowing nothing."""
        return self.running_loss < 2 * math.log(self.model.vocabulary_size) + 1

    def _go_back(self) -> WentBack:
        """Restore the last good weights, and train on with half the learning rate.

        Raises:
            TrainingError: it has been done often enough.
        """
        assert self._good is not None, "run() sets the first one aside"
        diverged, returns, scale = self.step, self._returns, self._scale
        epoch, loss, elapsed = self.epoch, self.running_loss, self.elapsed
        self.restore(self._good)
        if returns >= _RETURNS:
            raise TrainingError(
                f"The training has diverged (epoch {epoch}, step {diverged:,}, loss {loss:.4g}), "
                f"and going back {_RETURNS} times, each with half the learning rate, did not help. "
                "Train anew with a lower ",
                Setting("learning_rate"),
                " or a smaller ",
                Setting("clip"),
                "; what was good before is kept.",
            )
        # The minutes are spent, whatever came of them.
        self.clock.set(elapsed)
        self.clock.start()
        self._returns, self._scale = returns + 1, scale / 2
        return WentBack(diverged, self.step, self._scale)

    def _end_epoch(self) -> EpochEnd:
        epoch, loss = self.epoch, self.running_loss
        began = self.clock.now()
        losses = self.held_out.losses(self.model)
        if losses.used is not None:
            # The longest so far, so that progress never falls.
            self._measuring = max(self._measuring, self.clock.now() - began)
        self._agreement.ask(self.device)
        report = Report(
            step=self.step,
            epoch=epoch,
            seconds=self.seconds,
            characters=self.characters,
            train_loss=loss,
            validation_loss=losses.used,
            learning_rate=self.rate,
            network_loss=losses.network,
        )
        best = losses.used is not None and losses.used < self.best_loss
        if losses.used is not None and best:
            self.best_loss, self.best_epoch = losses.used, epoch
            self._best = self.weights()
        self._loss.begin()
        return EpochEnd(report, best, last=self.progress >= 1)
