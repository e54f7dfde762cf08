import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.func import functional_call
from torch.nn import functional
from trainers import (
    CPU,
    NOTHING,
    OTHER,
    ROWS,
    SMALL,
    TEXT,
    WINDOWS,
    Ids,
    T,
    V,
    Weights,
    skip_what_no_processor_here_can,
    trainer_for,
)
from trainings import is_step, numbered

from charlstm.errors import TrainingError
from charlstm.model.charlm import CharLM
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS
from charlstm.recipes.recipe import Recipe
from charlstm.runs.snapshot import Snapshot
from charlstm.training.clock import Clock
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Step,
    Stopped,
    TrainerEvent,
    WentBack,
)
from charlstm.training.trainer import Trainer

BOTH = [(cell, "scratch") for cell in CELLS] + [(cell, "torch") for cell in LIBRARY_CELLS]


def train(trainer: Trainer) -> list[TrainerEvent]:
    return list(trainer.run())


def ends(events: Sequence[TrainerEvent]) -> list[EpochEnd]:
    return [event for event in events if isinstance(event, EpochEnd)]


def norm(weights: Weights) -> float:
    return math.sqrt(
        sum(float((weight.astype(np.float64) ** 2).sum()) for weight in weights.values())
    )


def change(before: Weights, after: Weights) -> Weights:
    return {name: after[name].astype(np.float64) - before[name] for name in before}


def assert_same_arrays(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def assert_same_snapshot(found: Snapshot, expected: Snapshot) -> None:
    assert_same_arrays(found.weights, expected.weights)
    assert_same_arrays(found.best_weights, expected.best_weights)
    assert_same_arrays(found.moments, expected.moments)
    assert_same_arrays(found.state, expected.state)
    left, right = (
        replace(snapshot.position, seconds=0.0, elapsed=0.0, measuring=0.0)
        for snapshot in (found, expected)
    )
    assert left == right


def plain_training(recipe: Recipe, start: Weights, *, carried: bool, zeroed: bool) -> Weights:
    """Train by gradient descent written out: `carried` from window to window, `zeroed` each epoch.

    `TEXT` fills its windows exactly, so a row is a slice of it.
    """
    model = CharLM(recipe.architecture, V)
    weights = {name: torch.from_numpy(array.copy()) for name, array in start.items()}
    text = torch.from_numpy(TEXT.astype(np.int64))
    length = T * WINDOWS
    state = model.zero_state(ROWS)
    for _ in range(recipe.epochs):
        if zeroed:
            state = model.zero_state(ROWS)
        for window in range(WINDOWS):
            if not carried:
                state = model.zero_state(ROWS)
            at = window * T
            rows = [text[row * length + at : row * length + at + T + 1] for row in range(ROWS)]
            read = torch.stack([row[:-1] for row in rows], dim=1)
            targets = torch.stack([row[1:] for row in rows], dim=1)
            leaves = {name: weight.requires_grad_() for name, weight in weights.items()}
            logits, state = functional_call(model, leaves, (read, state))
            state = tuple(part.detach() for part in state)
            loss = functional.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))
            gradients = torch.autograd.grad(loss, list(leaves.values()))
            size = math.sqrt(sum(float((part.double() ** 2).sum()) for part in gradients))
            rate = recipe.learning_rate * min(1.0, recipe.clip / size)
            weights = {
                name: (weight - rate * part).detach()
                for (name, weight), part in zip(weights.items(), gradients, strict=True)
            }
    return {name: weight.numpy() for name, weight in weights.items()}


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_the_loss_goes_down_on_a_text_with_a_rhythm(
    cell: str, backend: str, stream: NDArray[np.uint16]
) -> None:
    recipe = SMALL.override(cell=cell, hidden=16, learning_rate=0.02, epochs=15, batch=4)
    reports = [end.report for end in ends(train(trainer_for(recipe, text=stream, backend=backend)))]
    assert reports[0].train_loss < 1.1 * math.log(V)
    assert reports[-1].train_loss < 0.6 * reports[0].train_loss


def test_the_loss_of_the_first_epoch_is_that_of_chance_when_nothing_is_known() -> None:
    recipe = SMALL.override(initialization="d2l", learning_rate=1e-9)
    report = ends(train(trainer_for(recipe)))[0].report
    assert report.train_loss == pytest.approx(math.log(V), abs=1e-3)


def test_consecutive_windows_carry_the_state_on_and_every_epoch_starts_from_zero() -> None:
    recipe = SMALL.override(optimizer="sgd", learning_rate=2.0, clip=0.5, epochs=3)
    trainer = trainer_for(recipe)
    start = trainer.weights()
    train(trainer)
    found = trainer.weights()
    expected = plain_training(recipe, start, carried=True, zeroed=True)
    for name, weight in expected.items():
        np.testing.assert_allclose(found[name], weight, rtol=0, atol=1e-5, err_msg=name)
    # The other two ways to do it would have been seen.
    for carried, zeroed in ((False, True), (True, False)):
        other = plain_training(recipe, start, carried=carried, zeroed=zeroed)
        assert norm(change(other, found)) > 1e-3


def test_random_windows_start_from_a_zero_state() -> None:
    recipe = SMALL.override(sampling="random", optimizer="sgd", learning_rate=2.0, epochs=1)
    trainer, reader = trainer_for(recipe), trainer_for(recipe)
    losses, counts = [], []
    for window, event in zip(reader.windows.epoch(0), trainer.run(), strict=False):
        assert isinstance(event, Step)
        logits, _ = reader.model(window.inputs, reader.model.zero_state(ROWS))
        loss = functional.cross_entropy(logits.reshape(-1, V), window.targets.reshape(-1))
        losses.append(float(loss.detach()) * window.targets.numel())
        counts.append(window.targets.numel())
        assert trainer.running_loss == pytest.approx(sum(losses) / sum(counts), rel=1e-6)
        reader.restore(trainer.snapshot())
    assert len(losses) == WINDOWS


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_clipping_bounds_the_global_norm_and_keeps_the_direction(backend: str) -> None:
    base = SMALL.override(optimizer="sgd", learning_rate=1.0, steps=1)
    steps: dict[float, Weights] = {}
    for clip in (0.0, 0.01, 100.0):
        trainer = trainer_for(base.override(clip=clip), backend=backend)
        before = trainer.weights()
        train(trainer)
        steps[clip] = change(before, trainer.weights())
    free = norm(steps[0.0])
    assert 0.05 < free < 100
    assert norm(steps[0.01]) == pytest.approx(0.01, rel=1e-3)
    for name, whole in steps[0.0].items():
        np.testing.assert_allclose(steps[0.01][name], whole * (0.01 / free), atol=1e-6)
        np.testing.assert_array_equal(steps[100.0][name], whole)


def test_a_constant_schedule_keeps_the_rate_and_a_step_is_made_at_that_rate() -> None:
    trainer = trainer_for(SMALL.override(learning_rate=0.25))
    reports = [end.report for end in ends(train(trainer))]
    assert [report.learning_rate for report in reports] == [0.25, 0.25]


def test_a_cosine_schedule_warms_up_and_falls_to_a_hundredth_of_its_peak() -> None:
    recipe = SMALL.override(schedule="cosine", learning_rate=0.5, epochs=400)
    trainer = trainer_for(recipe)
    assert trainer.budget.steps == 1200
    rates = [trainer.rate for event in trainer.run() if isinstance(event, Step)]
    for step in range(20):
        assert rates[step] == pytest.approx(0.5 * (step + 1) / 20, rel=2e-3)
    assert all(later < earlier for earlier, later in pairwise(rates[20:]))
    # Halfway between the peak and a hundredth of it.
    assert rates[600] == pytest.approx(0.5 * 0.505, rel=1e-6)
    assert rates[-1] == pytest.approx(0.005, rel=1e-2)


def test_the_scheduled_rate_is_the_rate_of_the_step() -> None:
    recipe = SMALL.override(
        optimizer="sgd", schedule="cosine", learning_rate=2.0, clip=0.001, epochs=4
    )
    trainer = trainer_for(recipe)
    before = trainer.weights()
    moved = []
    for event in trainer.run():
        if isinstance(event, Step):
            after = trainer.weights()
            # Every gradient is longer than the clip, so a step is as long as clip times rate.
            moved.append(norm(change(before, after)) / 0.001)
            before = after
        if isinstance(event, EpochEnd):
            assert event.report.learning_rate == pytest.approx(moved[-1], rel=1e-3)
    # 12 steps: all of them within the warm-up of 20, all of them on the half cosine.
    expected = [
        2.0 * (step + 1) / 20 * (0.01 + 0.99 * (1 + math.cos(math.pi * step / 12)) / 2)
        for step in range(12)
    ]
    assert moved == pytest.approx(expected, rel=1e-3)


def test_weight_decay_pulls_on_matrices_only() -> None:
    base = SMALL.override(optimizer="adamw", learning_rate=0.01, steps=1)
    without, pulled = trainer_for(base), trainer_for(base.override(weight_decay=0.5))
    start = without.weights()
    train(without)
    train(pulled)
    free, decayed = without.weights(), pulled.weights()
    for name, weight in start.items():
        expected = free[name] - 0.01 * 0.5 * weight if weight.ndim > 1 else free[name]
        np.testing.assert_allclose(decayed[name], expected, rtol=0, atol=1e-7, err_msg=name)


def test_events_tell_every_step_every_epoch_and_the_end() -> None:
    trainer = trainer_for(held_out=OTHER)
    events = train(trainer)
    assert [type(event) for event in events] == [
        *[Step, Step, Step, EpochEnd],
        *[Step, Step, Step, EpochEnd],
        Finished,
    ]
    steps = [(event.step, event.epoch) for event in events if isinstance(event, Step)]
    assert steps == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]
    reports = [end.report for end in ends(events)]
    assert [(report.step, report.epoch) for report in reports] == [(3, 1), (6, 2)]
    assert [report.characters for report in reports] == [48, 96]
    assert 0 < reports[0].seconds < reports[1].seconds
    assert events[-1] == Finished("all 6 steps are done")


def test_an_epoch_reports_the_mean_of_its_own_characters_whatever_window_they_stood_in() -> None:
    # Rows of 24 characters are read in four windows of 5 and one of 4.
    recipe = SMALL.override(window=5, learning_rate=0.05)
    trainer, reader = trainer_for(recipe), trainer_for(recipe)
    reports = [end.report for end in ends(train(trainer))]
    expected, lengths = [], []
    events = reader.run()
    for epoch in range(2):
        nats, count = 0.0, 0
        for window in reader.windows.epoch(epoch):
            state = tuple(torch.from_numpy(part) for part in reader.snapshot().state.values())
            if window.fresh:
                state = reader.model.zero_state(ROWS)
            with torch.no_grad():
                logits, _ = reader.model(window.inputs, state)
            scores = logits.double().reshape(-1, V)
            losses = functional.cross_entropy(scores, window.targets.flatten(), reduction="none")
            nats, count = nats + float(losses.sum()), count + len(losses)
            lengths.append(len(window.inputs))
            assert isinstance(next(events), Step)
        assert isinstance(next(events), EpochEnd)
        expected.append(nats / count)
    assert lengths == [5, 5, 5, 5, 4] * 2
    assert [report.train_loss for report in reports] == pytest.approx(expected, rel=1e-6)


def test_the_held_out_loss_is_that_of_the_weights_as_they_are_at_the_epochs_end() -> None:
    trainer = trainer_for(SMALL.override(dropout=0.5, epochs=3, learning_rate=0.05), held_out=OTHER)
    for event in trainer.run():
        if not isinstance(event, EpochEnd):
            continue
        reader = CharLM(SMALL.architecture, V)
        reader.load_state_dict(
            {name: torch.from_numpy(array) for name, array in trainer.weights().items()}
        )
        ids = torch.from_numpy(OTHER.astype(np.int64))
        with torch.no_grad():
            logits, _ = reader(ids[:-1, None], reader.zero_state(1))
            expected = float(functional.cross_entropy(logits[:, 0], ids[1:]))
        assert event.report.validation_loss == pytest.approx(expected, rel=1e-6)


def test_best_marks_every_epoch_that_no_earlier_one_was_better_than() -> None:
    trainer = trainer_for(SMALL.override(epochs=12, learning_rate=0.05), held_out=OTHER)
    lowest, best_weights, marks = math.inf, {}, []
    for event in trainer.run():
        if isinstance(event, EpochEnd):
            loss = event.report.validation_loss
            assert loss is not None
            assert event.best == (loss < lowest)
            if loss < lowest:
                lowest, best_weights = loss, trainer.weights()
            marks.append(event.best)
    assert True in marks
    assert False in marks
    assert_same_arrays(trainer.snapshot().best_weights, best_weights)
    assert norm(change(best_weights, trainer.weights())) > 0


def test_without_held_out_text_no_epoch_is_best_and_the_last_weights_are_kept() -> None:
    trainer = trainer_for()
    events = ends(train(trainer))
    assert [end.best for end in events] == [False, False]
    assert [end.report.validation_loss for end in events] == [None, None]
    assert_same_arrays(trainer.snapshot().best_weights, trainer.weights())


@pytest.mark.parametrize("backend", ["scratch", "torch"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize(
    ("embedding", "sampling"), [(4, "consecutive"), (0, "consecutive"), (4, "random")]
)
def test_a_snapshot_of_any_moment_goes_on_bit_for_bit_like_the_unbroken_run(
    backend: str, optimizer: str, embedding: int, sampling: str
) -> None:
    recipe = SMALL.override(
        layers=2,
        embedding=embedding,
        dropout=0.3,
        optimizer=optimizer,
        learning_rate=0.5 if optimizer == "sgd" else 0.02,
        weight_decay=0.1 if optimizer == "adamw" else None,
        schedule="cosine",
        sampling=sampling,
        epochs=3,
    )
    unbroken = trainer_for(recipe, held_out=OTHER, backend=backend)
    moments = [unbroken.snapshot()]
    events: list[TrainerEvent] = []
    for event in unbroken.run():
        events.append(event)
        moments.append(unbroken.snapshot())
    expected = unbroken.snapshot()
    assert len(moments) == 1 + 3 * (WINDOWS + 1) + 1
    for place, moment in enumerate(moments):
        torch.manual_seed(place)  # whatever else draws numbers in this process
        resumed = trainer_for(recipe, held_out=OTHER, backend=backend)
        resumed.restore(moment)
        assert_same_snapshot(resumed.snapshot(), moment)
        rest = train(resumed)
        assert_same_snapshot(resumed.snapshot(), expected)
        # The end is told again to whoever comes back after it.
        remaining = events[place:] or events[-1:]
        assert [type(event) for event in rest] == [type(event) for event in remaining]
        for found, end in zip(ends(rest), ends(remaining), strict=True):
            assert replace(found.report, seconds=0) == replace(end.report, seconds=0)
            assert found.best == end.best


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_every_cell_goes_on_bit_for_bit_from_the_middle_of_an_epoch(
    cell: str, backend: str, precision: str
) -> None:
    skip_what_no_processor_here_can(cell, backend, precision)
    recipe = SMALL.override(cell=cell, layers=2, dropout=0.3, precision=precision)
    unbroken = trainer_for(recipe, backend=backend)
    events = unbroken.run()
    middle = [unbroken.snapshot() for _ in zip(range(2), events, strict=False)][-1]
    list(events)
    resumed = trainer_for(recipe, backend=backend)
    resumed.restore(middle)
    train(resumed)
    assert_same_snapshot(resumed.snapshot(), unbroken.snapshot())


@pytest.mark.parametrize(("cell", "backend"), BOTH)
def test_bfloat16_rounds_the_products_and_learns_nearly_the_same(
    cell: str, backend: str, stream: NDArray[np.uint16]
) -> None:
    skip_what_no_processor_here_can(cell, backend, "bfloat16")
    recipe = SMALL.override(cell=cell, layers=2, learning_rate=0.01, epochs=3)
    plain, low = (
        trainer_for(recipe.override(precision=precision), text=stream, backend=backend)
        for precision in ("float32", "bfloat16")
    )
    expected = [end.report.train_loss for end in ends(train(plain))]
    found = [end.report.train_loss for end in ends(train(low))]
    assert found != expected
    assert found == pytest.approx(expected, rel=0.01)
    assert {weight.dtype for weight in low.weights().values()} == {np.dtype(np.float32)}


def test_a_snapshot_is_a_copy_that_training_on_does_not_change() -> None:
    trainer = trainer_for(held_out=OTHER)
    events = trainer.run()
    for _ in range(4):
        next(events)
    first, second = trainer.snapshot(), trainer.snapshot()
    resumed = trainer_for(held_out=OTHER)
    resumed.restore(first)
    train(resumed)
    list(events)
    assert_same_snapshot(first, second)
    assert norm(change(first.weights, trainer.weights())) > 0


def test_dropout_makes_a_difference_and_leaves_torchs_generator_as_it_was() -> None:
    plain, dropping = trainer_for(), trainer_for(SMALL.override(dropout=0.5))
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    train(plain)
    train(dropping)
    assert torch.equal(torch.get_rng_state(), expected)
    assert norm(change(plain.weights(), dropping.weights())) > 1e-3


def test_dropout_drops_something_else_at_every_step() -> None:
    # Every window is the same and nothing is learned: only what is dropped can differ.
    recipe = SMALL.override(dropout=0.5, sampling="random", optimizer="sgd", learning_rate=1e-30)
    losses: dict[float, list[float]] = {}
    for dropout in (0.0, 0.5):
        trainer = trainer_for(recipe.override(dropout=dropout), text=np.full(49, 3, np.uint16))
        total, losses[dropout] = 0.0, []
        for event in trainer.run():
            if isinstance(event, Step) and event.epoch == 1:
                losses[dropout].append(trainer.running_loss * event.step - total)
                total += losses[dropout][-1]
    assert np.ptp(losses[0.0]) < 1e-5
    assert len({round(loss, 4) for loss in losses[0.5]}) == WINDOWS


@pytest.mark.parametrize("seed", [0, 1, 2**62, 2**63 - 1])
def test_every_seed_that_a_recipe_accepts_can_train(seed: int) -> None:
    recipe = SMALL.override(seed=seed, dropout=0.5, sampling="random", epochs=1)
    assert isinstance(train(trainer_for(recipe))[-1], Finished)


def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    weights = []
    for seed in (3, 3, 4):
        trainer = trainer_for(SMALL.override(seed=seed, dropout=0.2))
        train(trainer)
        weights.append(trainer.weights())
    assert_same_arrays(weights[0], weights[1])
    assert norm(change(weights[0], weights[2])) > 1e-3


@pytest.mark.parametrize("sampling", ["consecutive", "random"])
@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_validation_does_not_disturb_training(backend: str, sampling: str) -> None:
    recipe = SMALL.override(layers=2, dropout=0.3, sampling=sampling, epochs=3)
    alone, measured = (
        trainer_for(recipe, held_out=held_out, backend=backend) for held_out in (NOTHING, OTHER)
    )
    reports = [end.report for end in ends(train(alone))]
    others = [end.report for end in ends(train(measured))]
    assert_same_arrays(measured.weights(), alone.weights())
    assert_same_arrays(measured.snapshot().moments, alone.snapshot().moments)
    assert_same_arrays(measured.snapshot().state, alone.snapshot().state)
    assert [report.train_loss for report in reports] == [report.train_loss for report in others]
    assert all(report.validation_loss is not None for report in others)


def worse_every_epoch(patience: int) -> tuple[Recipe, Ids, Ids]:
    """Return a training whose held-out text has only characters that it unlearns."""
    recipe = SMALL.override(epochs=30, learning_rate=0.05, patience=patience)
    return recipe, (TEXT % 3).astype(np.uint16), (3 + OTHER % 3).astype(np.uint16)


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_a_training_that_no_longer_improves(patience: int) -> None:
    recipe, text, held_out = worse_every_epoch(patience)
    trainer = trainer_for(recipe, text=text, held_out=held_out)
    events = train(trainer)
    assert [end.best for end in ends(events)] == [True] + [False] * patience
    assert events[-1] == Finished("the held-out loss has not improved since epoch 1")
    assert trainer.step == WINDOWS * (1 + patience)


@pytest.mark.parametrize("stopped_after", range(1, 2 * WINDOWS + 1))
def test_patience_waits_for_the_epochs_end_wherever_a_training_is_taken_up(
    stopped_after: int,
) -> None:
    recipe, text, held_out = worse_every_epoch(patience=1)
    stopped = trainer_for(recipe, text=text, held_out=held_out)
    for event in stopped.run():
        if isinstance(event, Step) and event.step == stopped_after:
            stopped.stop()
    resumed = trainer_for(recipe, text=text, held_out=held_out)
    resumed.restore(stopped.snapshot())
    train(resumed)
    assert resumed.step == 2 * WINDOWS


def test_patience_without_held_out_text_waits_for_ever() -> None:
    events = train(trainer_for(SMALL.override(epochs=4, patience=1)))
    assert len(ends(events)) == 4


def test_steps_end_a_training_within_an_epoch_and_report_what_was_read() -> None:
    trainer = trainer_for(SMALL.override(steps=4), held_out=OTHER)
    events = train(trainer)
    assert trainer.step == trainer.budget.steps == 4
    reports = [end.report for end in ends(events)]
    assert [(report.step, report.epoch) for report in reports] == [(3, 1), (4, 2)]
    assert [report.characters for report in reports] == [48, 64]
    assert reports[-1].validation_loss is not None
    assert events[-1] == Finished("all 4 steps are done")


def test_more_steps_than_the_epochs_have_change_nothing() -> None:
    assert trainer_for(SMALL.override(steps=1000)).budget.steps == 2 * WINDOWS


def test_stopping_ends_after_the_step_under_way_and_says_so() -> None:
    trainer = trainer_for()
    events = []
    for event in trainer.run():
        events.append(event)
        if is_step(event, 2):
            trainer.stop()
    assert numbered(events) == [(1, 1), (2, 1), Stopped(2)]


def test_a_step_says_all_that_is_drawn_of_it_whenever_it_is_asked() -> None:
    now = [0.0]
    recipe, clock = SMALL.override(schedule="cosine"), Clock(lambda: now[0])
    trainer = Trainer(recipe, TEXT, OTHER, V, backend="scratch", device=CPU, clock=clock)
    steps, losses = [], []
    for event in trainer.run():
        if isinstance(event, Step):
            steps.append(event)
            losses.append(trainer.running_loss)
            assert (event.learning_rate, event.seconds) == (trainer.rate, trainer.seconds)
    assert [(step.step, step.epoch) for step in steps] == [
        (step, 1 + (step > WINDOWS)) for step in range(1, 2 * WINDOWS + 1)
    ]
    assert [step.progress for step in steps] == [step.step / 6 for step in steps]
    assert [step.characters for step in steps] == [step.step * ROWS * T for step in steps]
    assert [step.seconds_left for step in steps] == [0.0] * 6  # this clock stands still
    # Asked only now, each has the loss of its own moment.
    assert [step.loss for step in steps] == losses
    assert len(set(losses)) == 6


def test_a_step_says_how_fast_training_is_and_how_long_the_rest_takes() -> None:
    now = itertools.count()
    clock = Clock(lambda: float(next(now)))  # a second passes whenever it is looked at
    trainer = Trainer(SMALL, TEXT, NOTHING, V, backend="scratch", device=CPU, clock=clock)
    steps = [event for event in trainer.run() if isinstance(event, Step)]
    assert [step.seconds for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.seconds_left for step in steps] == [5, 4, 3, 2, 1, 0]
    assert [step.characters_per_second for step in steps] == [ROWS * T] * 6


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_a_training_that_diverges_goes_back_three_times_and_then_says_what_to_try(
    backend: str,
) -> None:
    trainer = trainer_for(SMALL, held_out=OTHER, backend=backend)
    start = trainer.weights()
    returns = []

    def spoil_every_step() -> None:
        for event in trainer.run():
            if isinstance(event, WentBack):
                returns.append((event.diverged, event.step, event.scale))
                assert_same_arrays(trainer.weights(), start)
            else:
                trainer.model.head.bias.data.fill_(math.nan)

    with pytest.raises(TrainingError) as caught:
        spoil_every_step()
    assert returns == [(2, 0, 0.5), (2, 0, 0.25), (2, 0, 0.125)]
    assert re.fullmatch(
        r"The training has diverged \(epoch 1, step 2, loss nan\), and going back 3 times, each "
        r"with half the learning rate, did not help\. Train anew with a lower learning_rate or a "
        r"smaller clip; what was good before is kept\.",
        str(caught.value),
    )


def test_weights_are_a_copy_in_float32_named_as_in_the_checkpoint() -> None:
    trainer = trainer_for()
    weights = trainer.weights()
    assert {name: weight.shape for name, weight in weights.items()} == (
        SMALL.architecture.parameter_shapes(V)
    )
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    kept = {name: weight.copy() for name, weight in weights.items()}
    train(trainer)
    assert_same_arrays(weights, kept)
