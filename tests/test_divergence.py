import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trainers
from trainers import OTHER, TEXT, V, history, trainer_for
from trainings import is_step, resume_session, start_session

import charlstm
from charlstm.errors import TrainingError
from charlstm.sessions.session import Event, Session
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Step,
    WentBack,
)
from charlstm.training.trainer import Trainer

SMALL = trainers.SMALL.override(epochs=4, learning_rate=0.02)
# For the tests that need a run directory.
SETTINGS: dict[str, Any] = {
    "hidden": 8,
    "embedding": 6,
    "batch": 4,
    "window": 16,
    "epochs": 4,
    "patience": 9,
    "schedule": "constant",
    "learning_rate": 0.02,
}


def spoil(trainer: Trainer) -> None:
    """Make the weights such that the next step has no loss."""
    trainer.model.head.bias.data.fill_(math.nan)


def worsen(trainer: Trainer) -> None:
    """Make the weights such that the loss is a number still, but far worse than chance."""
    trainer.model.head.bias.data[0] += 500


def spoiled_once(session: Session, step: int) -> Iterator[Event]:
    """Train; the first time that this step is made its weights are spoiled."""
    done = False
    for event in session.events():
        if isinstance(event, Step) and event.step == step and not done:
            done = True
            spoil(session.trainer)
        yield event


@pytest.mark.parametrize("backend", ["scratch", "torch"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_after_going_back_training_is_that_from_the_earlier_step_at_half_the_rate(
    optimizer: str, backend: str
) -> None:
    recipe = SMALL.override(optimizer=optimizer, dropout=0.3)
    trainer = trainer_for(recipe, held_out=OTHER, backend=backend)
    plain = trainer_for(recipe.override(learning_rate=0.01), held_out=OTHER, backend=backend)
    returns: list[WentBack] = []
    rates = []
    for event in trainer.run():
        if isinstance(event, EpochEnd) and not returns:
            plain.restore(trainer.snapshot())
        if is_step(event, 4) and not returns:
            spoil(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
        if isinstance(event, Step) and returns:
            rates.append((event.step, trainer.rate))
    assert returns == [WentBack(5, 3, 0.5)]
    assert rates == [(step, 0.01) for step in range(4, 13)]
    assert event == Finished("all 12 steps are done")
    list(plain.run())
    for name, array in plain.weights().items():
        np.testing.assert_array_equal(trainer.weights()[name], array)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_training_that_goes_back_to_its_beginning_has_no_moments_again(optimizer: str) -> None:
    recipe = SMALL.override(optimizer=optimizer)
    trainer, plain = trainer_for(recipe), trainer_for(recipe.override(learning_rate=0.01))
    returns: list[WentBack] = []
    for event in trainer.run():
        if is_step(event, 1) and not returns:
            spoil(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
    assert returns == [WentBack(2, 0, 0.5)]
    assert event == Finished("all 12 steps are done")
    list(plain.run())
    for name, array in plain.weights().items():
        np.testing.assert_array_equal(trainer.weights()[name], array)


def test_an_epoch_is_reported_once_although_training_went_back_to_its_end() -> None:
    trainer = trainer_for(SMALL, held_out=OTHER)
    returns: list[WentBack] = []
    reported = []
    for event in trainer.run():
        if is_step(event, 4) and not returns:
            spoil(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
            assert trainer.best_epoch == 1
        if isinstance(event, EpochEnd):
            reported.append((event.report.step, event.report.epoch))
    assert returns == [WentBack(5, 3, 0.5)]
    assert reported == [(3, 1), (6, 2), (9, 3), (12, 4)]


def test_training_goes_back_within_a_long_epoch_no_further_than_two_hundred_steps() -> None:
    # An epoch of 240 steps.
    text = np.random.default_rng(3).integers(0, V, size=2 * 240 + 1).astype(np.uint16)
    trainer = trainer_for(SMALL.override(window=1, epochs=1), text=text)
    returns: list[WentBack] = []
    kept = {}
    for event in trainer.run():
        if is_step(event, 200):
            kept = trainer.weights()
        if is_step(event, 215) and not returns:
            spoil(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
            for name, array in trainer.weights().items():
                np.testing.assert_array_equal(array, kept[name])
    assert returns == [WentBack(216, 200, 0.5)]
    assert isinstance(event, Finished)
    assert trainer.healthy


def test_an_epoch_far_worse_than_knowing_nothing_has_diverged_too() -> None:
    trainer = trainer_for(SMALL, held_out=OTHER)
    returns: list[WentBack] = []
    losses = []
    for event in trainer.run():
        if isinstance(event, EpochEnd):
            losses.append(event.report.train_loss)
        if is_step(event, 4) and not returns:
            worsen(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
    assert returns == [WentBack(6, 3, 0.5)]
    assert len(losses) == 4
    assert max(losses) < 2 * math.log(V)


def test_the_best_weights_of_before_survive_going_back() -> None:
    # What is held out has only characters that the training text teaches it to forget.
    text, held_out = (TEXT % 3).astype(np.uint16), (3 + OTHER % 3).astype(np.uint16)
    trainer = trainer_for(SMALL, text=text, held_out=held_out)
    best: dict[str, Any] = {}
    returns: list[WentBack] = []
    losses = []
    for event in trainer.run():
        if isinstance(event, EpochEnd):
            losses.append(event.report.validation_loss)
            best = best or trainer.weights()
        if is_step(event, 7) and not returns:
            spoil(trainer)
        if isinstance(event, WentBack):
            returns.append(event)
    assert returns == [WentBack(8, 6, 0.5)]
    assert (trainer.best_loss, trainer.best_epoch) == (losses[0], 1)
    found = trainer.snapshot().best_weights
    for name, array in best.items():
        np.testing.assert_array_equal(found[name], array)
    assert any((trainer.weights()[name] != array).any() for name, array in best.items())


def test_a_best_epoch_that_has_not_happened_is_forgotten() -> None:
    trainer = trainer_for(SMALL, held_out=OTHER)
    before = trainer.snapshot()
    for event in trainer.run():
        if isinstance(event, EpochEnd):
            break
    assert trainer.best_epoch == 1
    trainer.restore(before)
    assert (trainer.best_loss, trainer.best_epoch) == (math.inf, 0)
    for name, array in trainer.snapshot().best_weights.items():
        np.testing.assert_array_equal(array, before.weights[name])


def test_a_training_that_is_taken_up_again_keeps_its_rate_and_how_often_it_went_back() -> None:
    first = trainer_for(SMALL)
    returns: list[WentBack] = []
    for event in first.run():
        if is_step(event, 4):
            if returns:
                first.stop()
            else:
                spoil(first)
        if isinstance(event, WentBack):
            returns.append(event)
    second = trainer_for(SMALL)
    second.restore(first.snapshot())

    def spoil_every_step() -> None:
        for event in second.run():
            if isinstance(event, WentBack):
                returns.append(event)
            elif isinstance(event, Step):
                assert second.rate == 0.02 * returns[-1].scale
                spoil(second)

    with pytest.raises(TrainingError, match=r"\(epoch 2, step 6, loss nan\), and going back 3 "):
        spoil_every_step()
    assert returns == [WentBack(5, 3, 0.5), WentBack(6, 4, 0.25), WentBack(6, 4, 0.125)]


def prepare(corpus: Path, root: Path, **settings: Any) -> Session:
    return start_session(
        [corpus], settings={**SETTINGS, **settings}, root=root, device="cpu", sample_every=0
    )


def test_what_was_reported_after_the_step_gone_back_to_has_not_happened(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root)
    steps = session.trainer.windows.steps
    returns: list[WentBack] = []
    for event in session.events():
        if is_step(event, steps + 1) and not returns:
            worsen(session.trainer)
        if isinstance(event, WentBack):
            returns.append(event)
            assert session.last is not None
            assert session.last.step == steps
    assert returns == [WentBack(2 * steps, steps, 0.5)]
    assert max(line["train_loss"] for line in history(root / "song")) < 5
    assert history(root / "song")[-1]["step"] == 4 * steps


def test_the_history_of_a_run_that_went_back_has_one_line_an_epoch(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root, epochs=3)
    events = list(spoiled_once(session, session.trainer.windows.steps + 1))
    assert len([event for event in events if isinstance(event, WentBack)]) == 1
    assert [line["epoch"] for line in history(root / "song")] == [1, 2, 3]


def test_a_run_that_went_back_holds_the_weights_of_its_best_epoch(corpus: Path, root: Path) -> None:
    session = prepare(corpus, root)
    events = list(spoiled_once(session, 3 * session.trainer.windows.steps + 2))
    assert len([event for event in events if isinstance(event, WentBack)]) == 1
    model = charlstm.load(root=root)
    assert model.info.finished == f"all {session.plan.total_steps:,} steps are done"
    losses = [line["validation_loss"] for line in history(root / "song")]
    assert model.perplexity(device="cpu").loss == pytest.approx(min(losses), rel=1e-4)


def test_a_resumed_run_keeps_its_rate_and_how_often_it_went_back(corpus: Path, root: Path) -> None:
    session = prepare(corpus, root)
    steps = session.trainer.windows.steps
    for event in spoiled_once(session, steps + 1):
        if is_step(event, 2 * steps + 1):
            session.stop()
    saved = {path.name: path.read_bytes() for path in (root / "song").iterdir()}
    assert history(root / "song")[-1]["learning_rate"] == 0.01
    resumed = resume_session(root=root, device="cpu")
    returns: list[WentBack] = []

    def spoil_every_step() -> None:
        for event in resumed.events():
            if isinstance(event, WentBack):
                returns.append(event)
            elif isinstance(event, Step):
                spoil(resumed.trainer)

    with pytest.raises(TrainingError, match=r"going back 3 times, .* did not help\. Train anew "):
        spoil_every_step()
    assert [event.scale for event in returns] == [0.25, 0.125]
    # It has ended, and holds what was good when it was stopped.
    assert charlstm.load(root=root).info.finished == "it diverged"
    assert (root / "song" / "model.safetensors").read_bytes() == saved["model.safetensors"]
