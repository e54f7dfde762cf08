"""A search for settings that suit a text: many short trainings, and a longer look at the best.

The search never sees the text that its winner is measured on (`charlstm.sessions.early`). Only the
winner's own trainings learn from all that is not held out, and so do those of the recipe, which it
is held against: three of each, with other seeds, say how much is chance.

All of it lies in one directory: a run for each training, the journal of the search, a table as
``tune.csv`` and a chart as ``tune.svg``. What is done stays done.
"""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from charlstm.checks import check_real
from charlstm.errors import RecipeError, TrainingError
from charlstm.files import (
    damaged,
    exclusive,
    is_file,
    parse,
    read_bytes,
    unwritable,
    write_whole,
)
from charlstm.machine import Machine
from charlstm.outputs import FIGURE
from charlstm.recipes.named import settings_of
from charlstm.recipes.ranges import Range
from charlstm.recipes.varied import Value
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.names import check_name, name_for
from charlstm.sessions.curve import draw_search
from charlstm.sessions.early import Early, cut_of
from charlstm.sessions.fitting import Material
from charlstm.sessions.resume import resume_session
from charlstm.sessions.searching import Journal, require_optuna
from charlstm.sessions.session import DIVERGED as ASTRAY
from charlstm.sessions.session import Event, Session
from charlstm.sessions.start import Keeping, start_session
from charlstm.sessions.together import Together, refuse_stdin
from charlstm.sessions.tried import (
    BEHIND,
    COLUMNS,
    DIVERGED,
    DONE,
    REFUSED,
    SearchPlan,
    Tried,
    curve_of,
    is_behind,
    table,
)
from charlstm.text.corpus import Corpus
from charlstm.text.mapped import DIRECTORY
from charlstm.text.reading import OnRead
from charlstm.training.events import EpochEnd, Stopped

WINNER, RECIPE = "winner", "recipe"
"""What the runs at the end are called, with their seeds behind."""

SEEDS = (0, 1, 2)
"""Those of the runs at the end."""

# There should be time for so many trials at least.
_FEWEST_TRIALS = 12
_MADE_HERE = {"tune.csv": [",".join(COLUMNS).encode()], "tune.svg": [FIGURE]}


@dataclass(frozen=True)
class Begun:
    """A training of a search is about to begin, or to go on."""

    name: str
    session: Session


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Attributes:
        winner: the best trial.
        trials: all of them; the first has the recipe's own settings.
        finals: the trainings of the winner and of the recipe on the whole text, in their order; of
            the winner alone where it is the recipe.
        importances: see `charlstm.sessions.searching.Journal.importances`.
    """

    winner: Tried
    trials: tuple[Tried, ...]
    finals: tuple[Tried, ...]
    importances: Mapping[str, float]

    def of(self, kind: str) -> list[Tried]:
        """Return the trainings at the end of the `WINNER` or of the `RECIPE`."""
        return [tried for tried in self.finals if tried.name.startswith(f"{kind}-")]

    @property
    def is_recipe(self) -> bool:
        """Whether nothing was better than the recipe's own settings."""
        return self.winner == self.trials[0]


class Tuning:
    """A search on one text; `run` goes on with what is not done yet.

    Args:
        material: the text.
        ranges: of the settings that are searched; see `charlstm.recipes.ranges.ranges`.
        minutes: that all of it may take, about.
        name: its directory below `root`; named after the corpus if ``None``.
        root: where runs live.
        settings: what differs from the recipe in all trainings; its seed is that of the search.
        machine: what computes.
        reading: entered whenever the text is read; yields what to call now and then with the bytes
            read and the bytes in all.

    Attributes:
        path: its directory.
        ranges: the same.
        sources: the files of the text.
        plan: what it is about to do.
        trials: those that are over.

    Raises:
        CorpusError: the text cannot be read, or is too small to hold out two parts of it.
        MissingLibraryError: Optuna is not installed.
        RecipeError: a setting is out of range.
        RunError: the name could leave `root` or is a run's, or what is there is another search.
    """

    def __init__(
        self,
        material: Material,
        ranges: Mapping[str, Range],
        *,
        minutes: float = 30.0,
        name: str | None = None,
        root: Path = ROOT,
        settings: Mapping[str, Any] | None = None,
        machine: Machine | None = None,
        reading: Callable[[], AbstractContextManager[OnRead | None]] = nullcontext,
    ) -> None:
        require_optuna()
        check_real("minutes", minutes, 0, math.inf, above=True)
        refuse_stdin(material.places)
        name = f"{name_for(material.places)}-tune" if name is None else name
        check_name(name)
        self.path = root / name
        self.ranges = dict(ranges)
        self._material = material
        self._minutes = minutes
        self._machine = machine or Machine()
        self._reading = reading
        # As in a comparison, nothing but what is searched may decide between two trainings.
        self._wish = Wish(settings={"precision": "float32", **(settings or {})})
        self._seed = int(self._wish.settings.get("seed", 0))
        together = Together(self.path, "search", "tune.json", _MADE_HERE)
        together.refuse_run()
        with reading() as on_read:
            corpus = replace(material, on_read=on_read).open(self.path / DIRECTORY, self._wish.text)
        recipe = self._wish.fulfilled(*corpus.size)
        cut_of(corpus, recipe)
        self.sources = corpus.sources
        bounds = {name: [entry.low, entry.high] for name, entry in self.ranges.items()}
        together.begin(
            {
                "text": corpus.sha256,
                "settings": dict(self._wish.settings),
                "minutes": minutes,
                "ranges": bounds,
            },
            material.places,
        )
        with _locked(self.path):
            self._early = Early.of(corpus, recipe, self.path)
            self.plan = self._planned(corpus)
            self._journal = self._read_journal()

    @property
    def trials(self) -> list[Tried]:
        """The trials that are over."""
        return list(self._journal.trials)

    @property
    def best(self) -> Tried | None:
        """The best trial that came to its end; ``None`` before the first did."""
        done = [tried for tried in self._journal.trials if tried.state == DONE]
        return min(done, key=lambda tried: tried.loss or math.inf, default=None)

    @property
    def seconds(self) -> float:
        """What all of it may take."""
        return 60 * self._minutes

    @property
    def spent(self) -> float:
        """Seconds that the trials have taken that are over."""
        return sum(tried.wall for tried in self._journal.trials)

    @property
    def finals(self) -> int:
        """How many trainings there are at the end, as far as can be told."""
        return 2 * len(SEEDS) if self.best is None else len(list(self._finals()))

    @property
    def final_seconds(self) -> float:
        """About what a training at the end takes: of the winner so far, or of the recipe."""
        best = self.best
        walls = [] if best is None else [best.wall, self._journal.trials[0].wall]
        return self.plan.ratio * max(self.plan.seconds, sum(walls) / 2)

    @property
    def is_over(self) -> bool:
        """Whether there is no time for another trial before the trainings at the end."""
        if len(self._journal.trials) < 2:
            return False  # or there is nothing beside the recipe
        kept = 2 * len(SEEDS) * self.final_seconds
        return self.spent + self._trial_seconds > self.seconds - kept

    @property
    def _trial_seconds(self) -> float:
        # The machine may be slower than it was when a step was timed.
        done = [tried.wall for tried in self._journal.trials if tried.state == DONE]
        return max(self.plan.seconds, median(done) if done else 0.0)

    def run(self) -> Iterator[Begun | Event | Tried | Tuned]:
        """Train what is not done; yield a `Tried` for each training, and `Tuned` at the end.

        Those that are over already are not told again. The table and the chart are written anew
        after each. After `charlstm.training.events.Stopped` of a trial that is not behind, that one
        is saved, and nothing more comes.

        Raises:
            CorpusError: the text is gone or no longer the same.
            RunError: a run cannot be written, is damaged, or another search is under way here.
            TrainingError: no trial came to its end.
        """
        with _locked(self.path):
            self._journal = self._read_journal()  # another process may have gone on meanwhile
            while not self.is_over:
                tried = yield from self._trial()
                if tried is None:
                    return
                self._journal.tell(tried)
                self._write()
                yield tried
            finals: list[Tried] = []
            for name, wish in self._finals():
                tried = yield from self._final(name, wish)
                if tried is None:
                    return
                finals.append(tried)
                self._write(finals)
                yield tried
            winner = self._winner()
            importances = self._journal.importances()
            yield Tuned(winner, tuple(self._journal.trials), tuple(finals), importances)

    def _planned(self, corpus: Corpus) -> SearchPlan:
        """Return the plan, which is made once and kept."""
        path = self.path / "plan.json"
        if is_file(path):
            try:
                return SearchPlan.from_json(parse(path, read_bytes(path)))
            except (KeyError, TypeError, ValueError) as error:
                raise damaged(path, error) from None
        # Those at the end are to have the time that they take as well.
        parts = _FEWEST_TRIALS + 2 * len(SEEDS) * self._early.ratio
        plan = self._early.plan(self._wish, corpus, self._machine, self.seconds / parts)
        write_whole(path, (json.dumps(plan.to_json(), indent=1) + "\n").encode())
        return plan

    def _read_journal(self) -> Journal:
        first = {name: settings_of(self.plan.recipe)[name] for name in self.ranges}
        return Journal(self.path / "journal.log", self.ranges, first, self._seed)

    # The trials.

    def _trial(self) -> "Generator[Begun | Event, None, Tried | None]":
        """Train the next trial; return what became of it, or ``None`` if it was interrupted."""
        began = time.monotonic()
        settings = self._journal.propose()
        name = f"trial-{len(self._journal.trials):03}"
        try:
            session = self._session(name, lambda: self._trial_wish(settings), self._early.material)
        except RecipeError:  # it would take more memory than there is
            return Tried(name, settings, REFUSED, wall=time.monotonic() - began)
        stopped = behind = False
        for event in self._events(name, session):
            yield event
            if isinstance(event, EpochEnd) and not event.last and not behind:
                assert session is not None
                curve = curve_of(session.history, session.plan.total_steps)
                behind = is_behind(curve, self._journal.trials)
                if behind:
                    session.stop()
            stopped = stopped or isinstance(event, Stopped)
        if stopped and not behind:
            return None
        earlier = 0.0 if session is None else session.plan.elapsed
        wall = earlier + time.monotonic() - began
        return self._became(name, settings, BEHIND if stopped else DONE, wall)

    def _trial_wish(self, settings: Mapping[str, Value]) -> Wish:
        recipe = self.plan.recipe.override(**settings)
        budget = self._early.budget(self.plan, recipe, self._machine)
        return self._early.wish(recipe).changed(**budget)

    # The end.

    def _winner(self) -> Tried:
        winner = self.best
        if winner is None:
            raise TrainingError(
                f"None of the {len(self._journal.trials):,} trials came to its end, so there is "
                "nothing to choose from: give the search more time."
            )
        return winner

    def _finals(self) -> Iterator[tuple[str, Tried]]:
        """Yield what is trained at the end: one of each in turn, so that both are as far."""
        winner, first = self._winner(), self._journal.trials[0]
        for seed in SEEDS:
            yield f"{WINNER}-{seed}", winner
            if winner != first:
                yield f"{RECIPE}-{seed}", first

    def _final(self, name: str, tried: Tried) -> "Generator[Begun | Event, None, Tried | None]":
        """Train at the end as a trial was trained, on all that is not held out."""
        began = time.monotonic()
        seed = int(name.rpartition("-")[2])
        session = self._session(name, lambda: self._final_wish(tried, seed), self._material)
        stopped = False
        for event in self._events(name, session):
            yield event
            stopped = stopped or isinstance(event, Stopped)
        if stopped:
            return None
        return self._became(name, tried.settings, DONE, time.monotonic() - began)

    def _final_wish(self, tried: Tried, seed: int) -> Wish:
        trained = RunDirectory(self.path / tried.name).read_info().recipe
        recipe = self.plan.recipe.override(**tried.settings)
        steps = trained.steps and round(trained.steps * self.plan.ratio)  # as many passes
        budget = {"epochs": trained.epochs + (steps is not None), "steps": steps}
        return Wish(settings={**settings_of(recipe), **budget, "seed": seed})

    # Both.

    def _session(self, name: str, wish: Callable[[], Wish], material: Material) -> Session | None:
        """Return a training that begins or goes on; ``None`` where it is done."""
        path = self.path / name
        with self._reading() as on_read:
            read = replace(material, on_read=on_read)
            if (path / "run.json").is_file():
                if RunDirectory(path).read_info().finished:
                    return None
                return resume_session(path, read, machine=self._machine, root=self.path)
            keeping = Keeping(name, self.path, sample_every=0)
            return start_session(read, wish(), self._machine, keeping)

    def _events(self, name: str, session: Session | None) -> Iterator[Begun | Event]:
        """Yield what happens in a training, if it is not done; to its end, for it is saved then."""
        if session is not None:
            yield Begun(name, session)
            with suppress(TrainingError):  # a training that diverged; its run says so
                yield from session.events()

    def _became(self, name: str, settings: Mapping[str, Value], state: str, wall: float) -> Tried:
        directory = RunDirectory(self.path / name)
        info = directory.read_info()
        parameters = info.recipe.architecture.parameter_count(len(info.vocabulary))
        if info.finished == ASTRAY or info.last is None:
            return Tried(name, settings, DIVERGED, parameters, wall=wall)
        reports = tuple(directory.read_history())
        steps, last = info.recipe.steps, reports[-1]
        passes = float(info.recipe.epochs)
        if steps is not None:
            passes = steps * last.characters / last.step / info.training_characters
        best = info.best or last
        return Tried(
            name,
            settings,
            state,
            parameters=parameters,
            passes=passes,
            steps=steps or round(passes * reports[0].step / reports[0].epoch),
            wall=wall,
            reports=reports,
            best=best,
        )

    def _write(self, finals: Sequence[Tried] = ()) -> None:
        trials = self._journal.trials
        told = table(trials, finals, list(self.ranges))
        write_whole(self.path / "tune.csv", told.encode())
        curves = {tried.name: tried.reports for tried in trials if tried.reports}
        if curves and self.best is not None:
            behind = {tried.name for tried in trials if tried.state == BEHIND}
            chart = draw_search(curves, behind, self.best.name, self.path.name)
            write_whole(self.path / "tune.svg", chart)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    busy = f"Another search is running in {path}: wait until it ends, or stop it."
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(path / ".lock", busy))
        except OSError as error:
            raise unwritable(path, error) from None
        yield
