import dataclasses
import json
import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from trainings import is_step, resume_session, start_session

from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.sessions.session import Session
from charlstm.text.vocabulary import Tokens
from charlstm.training.clock import Clock
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Step,
    TrainerEvent,
    WentBack,
)
from charlstm.training.trainer import Trainer

V = 7
Ids = NDArray[np.uint16]

# Two rows of 24 characters, read in three windows of 8.
ROWS, T, WINDOWS = 2, 8, 3
TEXT: Ids = np.random.default_rng(1).integers(0, V, size=ROWS * T * WINDOWS + 1).astype(np.uint16)
OTHER: Ids = np.random.default_rng(2).integers(0, V, size=40).astype(np.uint16)
NOTHING: Ids = np.array([], dtype=np.uint16)

SMALL = Recipe(
    name="test",
    architecture=Architecture(hidden=6, embedding=4),
    batch=ROWS,
    window=T,
    epochs=10_000,
    schedule="cosine",
    learning_rate=0.02,
)
# For the tests that need a run directory.
SETTINGS: dict[str, Any] = {
    "hidden": 8,
    "embedding": 6,
    "batch": 4,
    "window": 16,
    "epochs": 10_000,
    "patience": 10_000,
    "learning_rate": 0.02,
}


class Time:
    """Stands still until a test moves it; all its moments are exact in binary."""

    def __init__(self) -> None:
        self.now = 1024.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


class SlowText(Tokens):
    """A text that takes seven seconds to read, whoever reads it."""

    def __init__(self, ids: Ids, clock: Time) -> None:
        self._ids = ids
        self._clock = clock

    def __getitem__(self, index: slice | NDArray[np.integer[Any]]) -> Ids:
        self._clock.now += 7
        return self._ids[index]


def trainer_for(
    recipe: Recipe = SMALL,
    now: Callable[[], float] = time.perf_counter,
    *,
    held_out: Ids | Tokens = NOTHING,
) -> Trainer:
    cpu = torch.device("cpu")
    return Trainer(recipe, TEXT, held_out, V, backend="scratch", device=cpu, clock=Clock(now))


def train(trainer: Trainer, clock: Time, step_seconds: float) -> list[TrainerEvent]:
    """Train with steps that take so long; the first one at once."""
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, Step):
            clock.now += step_seconds
    return events


def rates_of(trainer: Trainer, clock: Time, step_seconds: float) -> list[float]:
    rates = []
    for event in trainer.run():
        if isinstance(event, Step):
            rates.append(trainer.rate)
            clock.now += step_seconds
    return rates


def reports_of(events: list[TrainerEvent]) -> list[tuple[int, int]]:
    found = [event.report for event in events if isinstance(event, EpochEnd)]
    return [(report.step, report.epoch) for report in found]


@pytest.mark.parametrize("step_seconds", [0.25, 0.5])
@pytest.mark.parametrize("epochs", [1000, 50_000])
def test_the_rate_falls_with_the_minutes_whatever_the_epochs_and_the_machines_speed(
    clock: Time, epochs: int, step_seconds: float
) -> None:
    trainer = trainer_for(SMALL.override(minutes=1, epochs=epochs, learning_rate=0.5), clock)
    rates = rates_of(trainer, clock, step_seconds)
    assert len(rates) == 60 / step_seconds
    for step, rate in enumerate(rates):
        passed = step * step_seconds / 60
        warm_up = min(1.0, (step + 1) / 20)
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * max(passed, step / (3 * epochs)))) / 2
        assert rate == pytest.approx(0.5 * warm_up * fall, rel=1e-12)
    assert all(later < earlier for earlier, later in pairwise(rates[20:]))
    assert rates[-1] == pytest.approx(0.005, rel=0.02)


def test_training_stops_by_the_real_clock_with_a_report_of_its_last_step() -> None:
    trainer = trainer_for(SMALL.override(minutes=0.01, epochs=1_000_000), held_out=OTHER)
    *_, last, finished = trainer.run()
    assert finished == Finished("the 0.01 minutes are over")
    # What is left of them is kept for the last measurement, which cannot have taken longer yet.
    assert trainer.elapsed >= 0.3
    assert isinstance(last, EpochEnd)
    assert last.report.step == trainer.step
    assert last.report.validation_loss is not None


def test_the_part_of_an_epoch_that_was_read_is_reported(clock: Time) -> None:
    recipe = SMALL.override(schedule="constant")
    trainer, reader = trainer_for(recipe.override(minutes=0.125), clock), trainer_for(recipe)
    events = train(trainer, clock, 1.0)
    # 7.5 seconds: the eighth step is under way when they are over.
    assert reports_of(events) == [(3, 1), (6, 2), (8, 3)]
    assert events[-1] == Finished("the 0.125 minutes are over")
    last = events[-2]
    assert isinstance(last, EpochEnd)
    assert last.report.characters == 8 * ROWS * T
    for event in reader.run():
        if is_step(event, 8):
            break
    assert last.report.train_loss == reader.running_loss


def test_minutes_that_end_with_an_epoch_report_it_once(clock: Time) -> None:
    events = train(trainer_for(SMALL.override(minutes=0.1), clock), clock, 1.0)
    assert reports_of(events) == [(3, 1), (6, 2)]
    assert events[-1] == Finished("the 0.1 minutes are over")


def test_steps_end_a_training_when_they_are_done_before_the_minutes(clock: Time) -> None:
    trainer = trainer_for(SMALL.override(minutes=1, steps=4, learning_rate=0.5), clock)
    rates = []
    for event in trainer.run():
        if isinstance(event, Step):
            rates.append(trainer.rate)
            clock.now += 1
    assert event == Finished("all 4 steps are done")
    # The schedule is that of the steps, as if there were no minutes.
    steps_alone = trainer_for(SMALL.override(steps=4, learning_rate=0.5), clock)
    assert rates == rates_of(steps_alone, clock, 1.0)
    assert len(rates) == 4


def test_progress_is_that_of_the_steps_or_of_the_minutes_whichever_is_further(
    clock: Time,
) -> None:
    trainer = trainer_for(SMALL.override(minutes=1, steps=8), clock)
    # What passes before training begins is not part of it.
    clock.now += 500
    seen = [(trainer.elapsed, trainer.progress)]
    for event in trainer.run():
        if isinstance(event, Step):
            clock.now += {1: 1, 2: 29, 3: 0, 4: 0, 5: 15, 6: 500}[event.step]
            seen.append((trainer.elapsed, trainer.progress))
    assert seen == [
        (0, 0),
        (1, 1 / 8),
        (30, 1 / 2),
        (30, 1 / 2),
        (30, 1 / 2),
        (45, 3 / 4),
        (545, 1),
    ]


def test_without_minutes_progress_is_that_of_the_steps(clock: Time) -> None:
    trainer = trainer_for(SMALL.override(epochs=2), clock)
    seen = []
    for event in trainer.run():
        if isinstance(event, Step):
            clock.now += 10.0**event.step
            seen.append(trainer.progress)
    assert seen == [step / 6 for step in range(1, 7)]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_recipe_without_minutes_does_not_depend_on_the_clock(clock: Time, schedule: str) -> None:
    recipe = SMALL.override(schedule=schedule, epochs=4, dropout=0.3)
    weights, reports = [], []
    for step_seconds in (0.0, 1e9):
        trainer = trainer_for(recipe, clock, held_out=OTHER)
        events = train(trainer, clock, step_seconds)
        weights.append(trainer.weights())
        reports.append([event for event in events if isinstance(event, EpochEnd)])
    assert reports[0] == reports[1]
    assert len(reports[0]) == 4
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


@pytest.mark.parametrize("stopped_after", [1, 3, 5, 25, 39])
def test_a_resumed_training_keeps_its_plan_whatever_time_lies_between(
    clock: Time, stopped_after: int
) -> None:
    recipe = SMALL.override(minutes=0.5, dropout=0.3)
    unbroken = trainer_for(recipe, clock)
    expected = rates_of(unbroken, clock, 0.75)
    assert len(expected) == 40
    stopped = trainer_for(recipe, clock)
    rates = []
    for event in stopped.run():
        if isinstance(event, Step):
            rates.append(stopped.rate)
            clock.now += 0.75
            if event.step == stopped_after:
                stopped.stop()
    moment = stopped.snapshot()
    assert moment.position.elapsed == 0.75 * stopped_after
    clock.now += 1e6
    resumed = trainer_for(recipe, clock)
    resumed.restore(moment)
    assert resumed.elapsed == 0.75 * stopped_after
    rates += rates_of(resumed, clock, 0.75)
    assert rates == expected
    for name, array in unbroken.weights().items():
        np.testing.assert_array_equal(resumed.weights()[name], array)


def test_the_last_measurement_is_part_of_the_minutes(clock: Time) -> None:
    trainer = trainer_for(SMALL.override(minutes=1), clock, held_out=SlowText(OTHER, clock))
    events = train(trainer, clock, 2.0)
    # Four epochs of 3 * 2 + 7 seconds, and one step more, after which 7 are left but for a bit.
    assert reports_of(events) == [(3, 1), (6, 2), (9, 3), (12, 4), (13, 5)]
    assert trainer.elapsed == 61


def test_a_resumed_training_keeps_time_for_its_last_measurement(clock: Time) -> None:
    recipe = SMALL.override(minutes=1)
    held_out = SlowText(OTHER, clock)
    unbroken, resumed = (trainer_for(recipe, clock, held_out=held_out) for _ in range(2))
    for event in unbroken.run():
        if isinstance(event, Step):
            clock.now += 2
        if is_step(event, 11):
            break
    # Three epochs of 3 * 2 + 7 seconds and two steps, of a minute less 7 seconds.
    assert unbroken.progress == 43 / 53
    resumed.restore(unbroken.snapshot())
    assert resumed.progress == unbroken.progress


def test_going_back_does_not_give_the_minutes_back(clock: Time) -> None:
    trainer = trainer_for(SMALL.override(minutes=0.5, optimizer="sgd"), clock)
    steps, returns = 0, []
    for event in trainer.run():
        if isinstance(event, Step):
            steps += 1
            clock.now += 1
            if steps == 8:
                trainer.model.head.bias.data.fill_(math.nan)
        if isinstance(event, WentBack):
            returns.append((event.step, trainer.elapsed))
    # The step that noticed it took no time of this clock.
    assert returns == [(6, 8)]
    assert event == Finished("the 0.5 minutes are over")
    assert (steps, trainer.elapsed) == (30, 30)


@pytest.fixture
def corpus(tmp_path: Path, song: str) -> Path:
    path = tmp_path / "song.txt"
    path.write_text(song, encoding="utf-8")
    return path


def follow(session: Session, clock: Time, *, until: int | None = None) -> None:
    """Train with steps of a second."""
    session.trainer.clock.now = clock
    for event in session.events():
        if isinstance(event, Step):
            clock.now += 1
            if event.step == until:
                session.stop()


def test_an_interrupted_run_has_the_rest_of_its_minutes_and_ends_like_the_unbroken_one(
    corpus: Path, tmp_path: Path, clock: Time
) -> None:
    root = tmp_path / "checkpoints"
    for name in ("unbroken", "stopped"):
        settings = {**SETTINGS, "minutes": 0.5}
        session = start_session([corpus], settings=settings, name=name, root=root, device="cpu")
        follow(session, clock, until=17 if name == "stopped" else None)
    clock.now += 1e6
    resumed = resume_session("stopped", root=root, device="cpu")
    assert resumed.trainer.elapsed == 17
    follow(resumed, clock)
    infos = [json.loads((root / name / "run.json").read_text()) for name in ("unbroken", "stopped")]
    assert [info["finished"] for info in infos] == ["the 0.5 minutes are over"] * 2
    assert [info["last"]["step"] for info in infos] == [30, 30]
    models = [(root / name / "model.safetensors").read_bytes() for name in ("unbroken", "stopped")]
    assert models[0] == models[1]


def test_the_plan_of_a_resumed_run_counts_the_minutes_that_are_left(
    corpus: Path, tmp_path: Path, clock: Time
) -> None:
    root = tmp_path / "checkpoints"
    session = start_session(
        [corpus], settings={**SETTINGS, "minutes": 1}, root=root, device="cpu", sample_every=0
    )
    follow(session, clock, until=8)
    plan = resume_session(root=root, device="cpu").plan
    assert plan.elapsed == 8
    # This clock stands still within a step, so that a step's time has to be put in.
    assert dataclasses.replace(plan, step_seconds=1.0).seconds == 52


def test_a_run_whose_minutes_are_over_goes_on_when_it_gets_more(
    corpus: Path, tmp_path: Path, clock: Time
) -> None:
    root = tmp_path / "checkpoints"
    settings = {**SETTINGS, "minutes": 0.25}
    follow(start_session([corpus], settings=settings, root=root, device="cpu"), clock)
    resumed = resume_session("song", root=root, device="cpu", settings={"minutes": 0.5})
    assert resumed.plan.resumed_step == 15
    follow(resumed, clock)
    last = resumed.last
    assert last is not None
    assert last.step == 30
    assert json.loads((root / "song" / "run.json").read_text())["recipe"]["minutes"] == 0.5
