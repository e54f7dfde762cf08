"""The same text, budget and seed for several models, side by side.

A comparison lives in a directory of its own: a run for each trial, a table of the figures as
``compare.csv`` and all curves as ``compare.svg``. It is held against an n-gram model of the text,
which is counted. Architectures are compared by the figures of the networks alone, at the epoch that
is kept, which is the best with recall if there is any; what each comes to with it stands beside
them. What is done stays done, so one that was interrupted goes on where it stopped.
"""

import csv
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from charlstm.errors import CorpusError, RecipeError, RunError, Setting, TrainingError
from charlstm.figures import Report
from charlstm.files import parse, read_bytes, write_whole
from charlstm.machine import BACKENDS, Machine
from charlstm.outputs import FIGURE, is_made_here, is_one_of
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.names import check_name, name_for
from charlstm.sessions.counted import NAME, Counted, counted_from, read_counted, write_counted
from charlstm.sessions.curve import draw_comparison
from charlstm.sessions.fitting import Material
from charlstm.sessions.resume import resume_session
from charlstm.sessions.session import DIVERGED, Event, Session
from charlstm.sessions.start import Keeping, start_session
from charlstm.text.locations import Locations
from charlstm.text.mapped import DIRECTORY
from charlstm.text.reading import OnRead
from charlstm.training.events import Stopped
from charlstm.writing.sampler import open_sampler

_COUNTED = "ngram.json"
_SAMPLE_CHARACTERS = 60
# More than any budget in minutes has time for.
_MANY_EPOCHS = 1_000_000
_COLUMNS = (
    "trial",
    "cell",
    "backend",
    "parameters",
    "state",
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
    "compare.csv": [",".join(_COLUMNS[:5]).encode()],
    "compare.svg": [FIGURE, b"<dc:title>Matplotlib v"],
}


@dataclass(frozen=True)
class Trial:
    """One model of a comparison; ``None`` is the recipe's own.

    Attributes:
        cell: one of `charlstm.recipes.architecture.CELLS`.
        backend: ``"scratch"`` or ``"torch"``.
        hidden: the width of its layers.
        learning_rate: its peak.
    """

    cell: str
    backend: str
    hidden: int | None
    learning_rate: float | None

    @property
    def name(self) -> str:
        """Its run's name."""
        parts = [self.cell, self.backend]
        if self.hidden is not None:
            parts.append(f"h{self.hidden}")
        if self.learning_rate is not None:
            parts.append(f"lr{self.learning_rate:g}".replace("+", ""))
        return "-".join(parts)


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: which.
        parameters: how many numbers are learned.
        seconds_per_epoch: of training steps, for one pass over the text.
        characters_per_second: of training steps.
        report: of the epoch whose weights were kept; ``None`` for a training that diverged.
        reports: of all epochs.
        sample: a line that it wrote, the network alone.
    """

    trial: Trial
    parameters: int
    seconds_per_epoch: float = 0.0
    characters_per_second: float = 0.0
    report: Report | None = None
    reports: tuple[Report, ...] = ()
    sample: str = ""

    @property
    def held_out_perplexity(self) -> float | None:
        """Of the held-out text, for the network alone; ``None`` if nothing was measured."""
        if self.report is None:
            return None
        alone = self.report.network_perplexity
        return self.report.validation_perplexity if alone is None else alone

    @property
    def recall_perplexity(self) -> float | None:
        """Of the held-out text with recall; ``None`` where there is none, or nothing held out."""
        blended = self.report is not None and self.report.network_loss is not None
        return self.report.validation_perplexity if self.report and blended else None


@dataclass(frozen=True)
class Begun:
    """A trial is about to train, or to go on."""

    trial: Trial
    session: Session


def trials(
    cells: Sequence[str],
    backends: Sequence[str] = ("scratch",),
    hidden: Sequence[int] = (),
    learning_rates: Sequence[float] = (),
) -> list[Trial]:
    """Return every combination that exists: torch does not have every cell.

    Raises:
        RecipeError: a name is unknown, or nothing is left.
    """
    for kind, given, known in (("cell", cells, CELLS), ("backend", backends, BACKENDS)):
        for value in given:
            if value not in known:
                raise RecipeError(f"{kind} must be one of {', '.join(known)}, not {value!r}.")
    possible = [
        Trial(*choice)
        for choice in itertools.product(
            dict.fromkeys(cells),
            dict.fromkeys(backends),
            dict.fromkeys(hidden) or (None,),
            dict.fromkeys(learning_rates) or (None,),
        )
        if choice[1] != "torch" or choice[0] in LIBRARY_CELLS
    ]
    if not cells or not backends:
        raise RecipeError("There is nothing to compare: name at least one cell and one backend.")
    if not possible:
        raise RecipeError(
            f"torch has none of these cells, only {', '.join(LIBRARY_CELLS)}: nothing to compare."
        )
    return possible


class Comparison:
    """Several trials on one text; `run` trains what is not done yet.

    Args:
        material: the text.
        chosen: what `trials` returned.
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
        RecipeError: a setting of a trial is out of range.
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
        if "-" in map(str, material.places):
            raise CorpusError(
                "Standard input can be read only once, and every trial reads the text: save it to "
                "a file and name that."
            )
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
        self._refuse_run()
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
            base.override(**self._wish_for(trial).settings)
        self._request = {
            "text": corpus.sha256,
            "recipe": wish.recipe,
            "settings": dict(wish.settings),
        }
        self._begin()

    def _refuse_run(self) -> None:
        if (self.path / "run.json").exists():
            raise RunError(
                f"{self.path} is a run; give the comparison another ", Setting("name"), "."
            )

    def _begin(self) -> None:
        """Make the directory, or check that what is there is this comparison."""
        path = self.path / "compare.json"
        if os.path.lexists(path):
            if _read_request(path) != self._request:
                raise RunError(
                    f"{self.path} is a comparison on another text or with other settings. Give "
                    "this one a ",
                    Setting("name"),
                    " of its own, or repeat the settings to go on with that one.",
                )
            self._refuse_to_replace()
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Hidden is what keeps the ids of a long text, and what a crash leaves.
            others = [name for name in os.listdir(self.path) if not name.startswith(".")]  # noqa: PTH208
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror}.") from None
        if others:
            raise RunError(
                f"{self.path} is there already and is no comparison: give this one another ",
                Setting("name"),
                ".",
            )
        write_whole(path, (json.dumps(self._request, indent=1) + "\n").encode())

    def _refuse_to_replace(self) -> None:
        """Refuse to write the table or the chart over what is read, or was not made here."""
        read = Locations(self._material.places).files
        for name, marks in _MADE_HERE.items():
            path = self.path / name
            if is_one_of(path, read):
                reason = "is read here"
            elif os.path.lexists(path) and not is_made_here(path, marks):
                reason = "was not made by charlstm"
            else:
                continue
            raise RunError(
                f"{path} {reason}, so it is not written over: move it away, or give this "
                "comparison another ",
                Setting("name"),
                ".",
            )

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
        own = {"hidden": trial.hidden, "learning_rate": trial.learning_rate}
        given = {name: value for name, value in own.items() if value is not None}
        return self._wish.changed(cell=trial.cell, **given)

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


def _read_request(path: Path) -> object:
    try:
        return parse(path, read_bytes(path))
    except RunError:
        return None


def _table(outcomes: Sequence[Outcome], ngram: Counted | None) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for outcome in outcomes:
        trial, report = outcome.trial, outcome.report
        figures: list[object] = ["diverged"]
        if report is not None:
            figures = [
                "done",
                round(outcome.seconds_per_epoch, 3),
                round(outcome.characters_per_second),
                report.epoch,
                round(report.train_perplexity, 4),
                _figure(outcome.held_out_perplexity),
                _figure(outcome.recall_perplexity),
                outcome.sample,
            ]
        row = [trial.name, trial.cell, trial.backend, outcome.parameters, *figures]
        writer.writerow(row + [""] * (len(_COLUMNS) - len(row)))
    if ngram is not None:
        measured = (_figure(ngram.perplexity), _figure(ngram.recall_perplexity))
        cells: list[object] = [NAME, "", "", ngram.grams, "counted", ngram.seconds, "", "", ""]
        writer.writerow([*cells, *measured, ""])
    return file.getvalue()


def _figure(perplexity: float | None) -> object:
    return "" if perplexity is None else round(perplexity, 4)
