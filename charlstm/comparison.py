"""The same text, budget and seed for several models, side by side.

A comparison lives in a directory of its own: a run for each trial, a table of the figures as
``compare.csv`` and all curves as ``compare.svg``. What was done stays done, so one that was
interrupted goes on where it stopped.
"""

import csv
import io
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.api import load
from charlstm.batches import fit
from charlstm.corpus import read_corpus
from charlstm.curve import draw_comparison
from charlstm.errors import RecipeError, RunError, TrainingError
from charlstm.figures import Report
from charlstm.recipes import BACKENDS, CELLS, LIBRARY_CELLS, named
from charlstm.run import ROOT, RunDirectory, check_name, name_for, write_whole
from charlstm.session import Event, Session
from charlstm.start import resume_session, start_session
from charlstm.training import Stopped

_SAMPLE_CHARACTERS = 60
# Epochs without an improvement after which a trial stops early: every one has the same budget.
_NEVER = 1_000_000


@dataclass(frozen=True)
class Trial:
    """One model of a comparison; ``None`` is the recipe's own.

    Attributes:
        cell: one of `charlstm.recipes.CELLS`.
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
        parameters: how many numbers were learned.
        seconds_per_epoch: of training steps.
        characters_per_second: of training steps.
        report: of the epoch whose weights were kept; ``None`` for a training that diverged.
        reports: of all epochs.
        sample: a line that it wrote.
    """

    trial: Trial
    parameters: int = 0
    seconds_per_epoch: float = 0.0
    characters_per_second: float = 0.0
    report: Report | None = None
    reports: tuple[Report, ...] = ()
    sample: str = ""


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
    """Return every combination that exists: torch has not every cell.

    Raises:
        RecipeError: a name is unknown, or nothing is left.
    """
    for kind, given, known in (("cell", cells, CELLS), ("backend", backends, BACKENDS)):
        for value in given:
            if value not in known:
                raise RecipeError(f"{kind} must be one of {', '.join(known)}, not {value!r}.")
    found = [
        Trial(*choice)
        for choice in itertools.product(
            dict.fromkeys(cells),
            dict.fromkeys(backends),
            dict.fromkeys(hidden) or (None,),
            dict.fromkeys(learning_rates) or (None,),
        )
        if choice[1] != "torch" or choice[0] in LIBRARY_CELLS
    ]
    if not found:
        raise RecipeError(
            f"torch has none of these cells, only {', '.join(LIBRARY_CELLS)}: nothing to compare."
        )
    return found


class Comparison:
    """Several trials on one text; `run` trains what is not done yet.

    Args:
        places: the corpus, as `charlstm.corpus.read_corpus` takes it.
        chosen: what `trials` returned.
        name: the comparison's directory below `root`; after the corpus where ``None``.
        root: where runs live.
        recipe: ``"auto"`` or ``"d2l"``, for all.
        settings: what differs from the recipe, for all, by the names of `charlstm.recipes.Recipe`.
        prefix: what the sample line continues.
        encoding: of the corpus.
        device: as in `charlstm.start.start_session`.
        threads: as there.

    Raises:
        CorpusError: the text cannot be read.
        RunError: the name could leave `root`.
    """

    def __init__(
        self,
        places: Sequence[str | Path],
        chosen: Sequence[Trial],
        *,
        name: str | None = None,
        root: Path = ROOT,
        recipe: str = "auto",
        settings: dict[str, Any] | None = None,
        prefix: str = "",
        encoding: str | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.trials = list(chosen)
        name = f"{name_for(places)}-compare" if name is None else name
        check_name(name)
        self.path = root / name
        self._places = places
        self._encoding = encoding
        self._recipe = recipe
        self._prefix = prefix
        self._machine: dict[str, Any] = {"device": device, "threads": threads}
        options = named(recipe, 0).override(**(settings or {})).text
        self._corpus = read_corpus(places, options=options, encoding=encoding)
        base = named(recipe, len(self._corpus.text)).override(**(settings or {}))
        # The same budget for each: none stops early, and none takes its own precision.
        self._settings = {"precision": "float32", "patience": _NEVER, **(settings or {})}
        if not base.validation:
            del self._settings["patience"]

    def run(self) -> Iterator[Begun | Event | Outcome]:
        """Train every trial that is not finished; yield an `Outcome` for each, in their order.

        The table and the chart are written anew after each. After
        `charlstm.training.Stopped` that trial is saved, and nothing more comes.

        Raises:
            RunError: a finished trial has another text or other settings.
        """
        outcomes: list[Outcome] = []
        for trial in self.trials:
            directory = self._finished(trial)
            if directory is None:
                session = self._session(trial)
                yield Begun(trial, session)
                stopped = False
                try:
                    # To its end, because it is saved after it has stopped.
                    for event in session.events():
                        yield event
                        stopped = stopped or isinstance(event, Stopped)
                except TrainingError:
                    outcome = Outcome(trial)
                else:
                    if stopped:
                        return
                    outcome = self._outcome(trial, session.plan.directory)
            else:
                outcome = self._outcome(trial, directory)
            outcomes.append(outcome)
            self._write(outcomes)
            yield outcomes[-1]

    def _wish(self, trial: Trial) -> dict[str, Any]:
        return {
            **self._settings,
            "cell": trial.cell,
            "hidden": trial.hidden or self._settings.get("hidden"),
            "learning_rate": trial.learning_rate or self._settings.get("learning_rate"),
        }

    def _finished(self, trial: Trial) -> RunDirectory | None:
        """Return the trial's run if it is done.

        Raises:
            RunError: it is of another text or has other settings.
        """
        path = self.path / trial.name
        if not (path / "run.json").is_file():
            return None
        directory = RunDirectory(path)
        info = directory.read_info()
        wish = info.recipe.override(**self._wish(trial))
        batch, window = fit(info.training_characters, wish.batch, wish.window)
        same = info.recipe == wish.override(batch=batch, window=window)
        if info.corpus_sha256 != self._corpus.sha256 or not same:
            raise RunError(
                f"{path} is of another comparison: its text or its settings are not these. Give "
                "this one a --name of its own, or repeat the settings to go on with that one."
            )
        return directory if info.finished else None

    def _session(self, trial: Trial) -> Session:
        path = self.path / trial.name
        if (path / "resume.safetensors").is_file():
            return resume_session(path, root=self.path, places=self._places, **self._machine)
        # Killed before its first save: nothing of it is of use, and its name is needed.
        shutil.rmtree(path, ignore_errors=True)
        return start_session(
            self._places,
            recipe=self._recipe,
            settings=self._wish(trial),
            name=trial.name,
            root=self.path,
            sample_every=0,
            encoding=self._encoding,
            backend=trial.backend,
            **self._machine,
        )

    def _outcome(self, trial: Trial, directory: RunDirectory) -> Outcome:
        model = load(directory.path, root=self.path)
        recipe, last = model.info.recipe, model.info.last
        assert last is not None, "a finished run has a report"
        written = model.generate(
            self._prefix, length=_SAMPLE_CHARACTERS, seed=recipe.seed, unknown="skip"
        )
        return Outcome(
            trial,
            parameters=recipe.architecture.parameter_count(len(model.info.vocabulary)),
            seconds_per_epoch=last.seconds / last.epoch,
            characters_per_second=last.characters / max(last.seconds, 1e-9),
            report=model.info.best or last,
            reports=tuple(directory.read_history()),
            sample=next((line for line in written.split("\n") if line.strip()), ""),
        )

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        write_whole(self.path / "compare.csv", _table(outcomes).encode())
        curves = {outcome.trial.name: outcome.reports for outcome in outcomes if outcome.reports}
        if curves:
            write_whole(self.path / "compare.svg", draw_comparison(curves))


def _table(outcomes: Sequence[Outcome]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "trial",
            "cell",
            "backend",
            "parameters",
            "seconds_per_epoch",
            "characters_per_second",
            "epoch",
            "training_perplexity",
            "held_out_perplexity",
            "sample",
        ]
    )
    for outcome in outcomes:
        report = outcome.report
        figures: list[object] = ["", "", "", "", "", "(diverged)"]
        if report is not None:
            held_out = report.validation_perplexity
            figures = [
                round(outcome.seconds_per_epoch, 3),
                round(outcome.characters_per_second),
                report.epoch,
                round(report.train_perplexity, 4),
                "" if held_out is None else round(held_out, 4),
                outcome.sample,
            ]
        trial = outcome.trial
        writer.writerow([trial.name, trial.cell, trial.backend, outcome.parameters, *figures])
    return file.getvalue()
