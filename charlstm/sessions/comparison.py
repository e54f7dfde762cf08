"""The same text, budget and seed for several models, side by side.

A comparison lives in a directory of its own: a run for each trial, a table of the figures as
``compare.csv`` and all curves as ``compare.svg``. It is held against an n-gram model of the text,
which is counted. Architectures are compared by the figures of the networks alone, at the epoch that
is kept, which is the best with recall if there is any; what each comes to with it stands beside
them. What is done stays done, so one that was interrupted goes on where it stopped.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from charlstm.errors import RecipeError, Setting, TrainingError
from charlstm.files import write_whole
from charlstm.machine import Machine
from charlstm.outputs import FIGURE
from charlstm.recipes.varied import shown_value
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.names import check_name, name_for
from charlstm.sessions.counted import NAME, Counted, counted_from, read_counted, write_counted
from charlstm.sessions.curve import draw_comparison
from charlstm.sessions.fitting import Material
from charlstm.sessions.resume import resume_session
from charlstm.sessions.session import DIVERGED, Event, Session
from charlstm.sessions.start import Keeping, start_session
from charlstm.sessions.together import Together, refuse_stdin
from charlstm.sessions.trials import Outcome, Trial
from charlstm.text.mapped import DIRECTORY
from charlstm.text.reading import OnRead
from charlstm.training.events import Stopped
from charlstm.writing.sampler import open_sampler

_COUNTED = "ngram.json"
_SAMPLE_CHARACTERS = 60
# More than any budget in minutes has time for.
_MANY_EPOCHS = 1_000_000
_COLUMNS = ("trial", "cell", "backend", "parameters", "state")
_FIGURES = (
    "seconds_per_epoch",
    "characters_per_second",
    "epoch",
    "training_perplexity",
    "held_out_perplexity",
    "recall_perplexity",
    "sample",
)
# By what a table or a chart of a comparison is known; before 0.2.0 a chart had no other mark.
_MADE_HERE = {
    "compare.csv": [",".join(_COLUMNS).encode()],
    "compare.svg": [FIGURE, b"<dc:title>Matplotlib v"],
}


@dataclass(frozen=True)
class Begun:
    """A trial is about to train, or to go on."""

    trial: Trial
    session: Session


class Comparison:
    """Several trials on one text; `run` trains what is not done yet.

    Args:
        material: the text.
        chosen: what `charlstm.sessions.trials.trials` returned.
        name: the comparison's directory below `root`; named after the corpus if ``None``.
        root: where runs live.
        wish: the recipe, and what should differ from it, for all.
        prefix: what the sample line continues.
        machine: what computes; each trial has a backend of its own.
        reading: entered whenever the text is read; yields what to call now and then with the bytes
            read and the bytes in all.

    Attributes:
        trials: those to train.
        path: its directory.
        ngram: what the trials are held against, once the first of them has begun; ``None`` where
            nothing is held out.

    Raises:
        CorpusError: the text cannot be read.
        RecipeError: a setting of a trial is out of range, or has one value for all as well.
        RunError: the name could leave `root` or is a run's, or what is there is another comparison.
    """

    def __init__(
        self,
        material: Material,
        chosen: Sequence[Trial],
        *,
        name: str | None = None,
        root: Path = ROOT,
        wish: Wish | None = None,
        prefix: str = "",
        machine: Machine | None = None,
        reading: Callable[[], AbstractContextManager[OnRead | None]] = nullcontext,
    ) -> None:
        refuse_stdin(material.places)
        name = f"{name_for(material.places)}-compare" if name is None else name
        check_name(name)
        wish = wish or Wish()
        self.trials = list(chosen)
        self.path = root / name
        self._material = material
        self._prefix = prefix
        self._reading = reading
        self._machine = machine or Machine()
        self.ngram = read_counted(self.path / _COUNTED)
        together = Together(self.path, "comparison", "compare.json", _MADE_HERE)
        together.refuse_run()
        with reading() as on_read:
            # Where the trials look for the ids of a long text as well.
            corpus = replace(material, on_read=on_read).open(self.path / DIRECTORY, wish.text)
        base = wish.fulfilled(*corpus.size)
        # One recipe for all: none stops early or chooses its precision or its budget by itself.
        self._wish = Wish(
            wish.recipe,
            {
                "precision": "float32",
                "patience": 0,
                "epochs": base.epochs if base.minutes is None else _MANY_EPOCHS,
                **wish.settings,
            },
        )
        for trial in self.trials:
            for setting, _ in trial.settings:
                if setting in wish.settings:
                    raise RecipeError(
                        Setting(setting), " is varied here, so it cannot have one value for all."
                    )
            base.override(**self._wish_for(trial).settings)
        asked = {"text": corpus.sha256, "recipe": wish.recipe, "settings": dict(wish.settings)}
        together.begin(asked, material.places)

    def run(self) -> Iterator[Begun | Event | Outcome]:
        """Train every trial that is not finished; yield an `Outcome` for each, in their order.

        The table and the chart are written anew after each. After
        `charlstm.training.events.Stopped` that trial is saved, and nothing more comes.

        Raises:
            CorpusError: the text is gone or no longer the same.
            RunError: a trial cannot be written, is damaged, or is being trained by another process.
        """
        outcomes: list[Outcome] = []
        for trial in self.trials:
            directory = self._finished(trial)
            if directory is None:
                session = self._session(trial)
                self._count(session)
                yield Begun(trial, session)
                stopped = False
                # A training that diverged is an outcome as well; its run says so.
                with suppress(TrainingError):
                    # To its end, because it is saved after it has stopped.
                    for event in session.events():
                        yield event
                        stopped = stopped or isinstance(event, Stopped)
                if stopped:
                    return
                directory = session.plan.directory
            outcome = self._outcome(trial, directory)
            outcomes.append(outcome)
            self._write(outcomes)
            yield outcome

    def _wish_for(self, trial: Trial) -> Wish:
        own = dict(trial.settings)
        if "minutes" in own:
            own.setdefault("epochs", _MANY_EPOCHS)
        return self._wish.changed(cell=trial.cell, **own)

    def _finished(self, trial: Trial) -> RunDirectory | None:
        """Return the trial's run if it is done."""
        directory = RunDirectory(self.path / trial.name)
        if not (directory.path / "run.json").is_file():
            return None
        return directory if directory.read_info().finished else None

    def _session(self, trial: Trial) -> Session:
        path = self.path / trial.name
        with self._reading() as on_read:
            material = replace(self._material, on_read=on_read)
            if (path / "run.json").is_file():
                return resume_session(path, material, machine=self._machine, root=self.path)
            return start_session(
                material,
                self._wish_for(trial),
                replace(self._machine, backend=trial.backend),
                Keeping(trial.name, self.path, prefixes=[self._prefix], sample_every=0),
            )

    def _count(self, session: Session) -> None:
        """Count what the trials are held against, unless that is done."""
        if self.ngram is None:
            self.ngram = counted_from(session.plan)
            if self.ngram is not None:
                write_counted(self.path / _COUNTED, self.ngram)

    def _outcome(self, trial: Trial, directory: RunDirectory) -> Outcome:
        info = directory.read_info()
        recipe, last = info.recipe, info.last
        parameters = recipe.architecture.parameter_count(len(info.vocabulary))
        if info.finished == DIVERGED or last is None:
            return Outcome(trial, parameters)
        written = open_sampler(directory, info, 0.0).generate(
            self._prefix, length=_SAMPLE_CHARACTERS, seed=recipe.seed
        )
        speed = last.characters / max(last.seconds, 1e-9)
        return Outcome(
            trial,
            parameters,
            seconds_per_epoch=info.training_characters / speed,
            characters_per_second=speed,
            report=info.best or last,
            reports=tuple(directory.read_history()),
            sample=next((line for line in written.split("\n") if line.strip()), ""),
        )

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        write_whole(self.path / "compare.csv", _table(outcomes, self.ngram).encode())
        curves = {outcome.trial.name: outcome.reports for outcome in outcomes if outcome.reports}
        levels = {} if self.ngram is None else {NAME: self.ngram.loss}
        if curves:
            write_whole(self.path / "compare.svg", draw_comparison(curves, self.path.name, levels))


def _table(outcomes: Sequence[Outcome], ngram: Counted | None) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    varied = [name for name, _ in outcomes[0].trial.settings] if outcomes else []
    columns = (*_COLUMNS, *varied, *_FIGURES)
    writer.writerow(columns)
    for outcome in outcomes:
        trial, report = outcome.trial, outcome.report
        figures: list[object] = []
        if report is not None:
            figures = [
                round(outcome.seconds_per_epoch, 3),
                round(outcome.characters_per_second),
                report.epoch,
                round(report.train_perplexity, 4),
                _figure(outcome.held_out_perplexity),
                _figure(outcome.recall_perplexity),
                outcome.sample,
            ]
        state = "diverged" if report is None else "done"
        values = [shown_value(value) for _, value in trial.settings]
        row = [trial.name, trial.cell, trial.backend, outcome.parameters, state, *values, *figures]
        writer.writerow(row + [""] * (len(columns) - len(row)))
    if ngram is not None:
        measured = (_figure(ngram.perplexity), _figure(ngram.recall_perplexity))
        cells: list[object] = [NAME, "", "", ngram.grams, "counted", *[""] * len(varied)]
        writer.writerow([*cells, ngram.seconds, "", "", "", *measured, ""])
    return file.getvalue()


def _figure(perplexity: float | None) -> object:
    return "" if perplexity is None else round(perplexity, 4)
