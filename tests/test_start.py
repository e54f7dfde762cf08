import dataclasses
import importlib.machinery
import importlib.util
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from trainers import files
from trainings import is_step, resume_session, start_session

import charlstm
from charlstm.cli.names import option
from charlstm.errors import MissingLibraryError, RecipeError, RunError, TrainingError
from charlstm.machine import Machine
from charlstm.model.devices import prepare
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.so_far import Pull
from charlstm.recipes.named import auto
from charlstm.recipes.recipe import training_bytes
from charlstm.sessions.fitting import Fitted, check_memory
from charlstm.sessions.plan import Plan, Teamwork
from charlstm.sessions.remembering import _again
from charlstm.sessions.session import Session
from charlstm.sessions.tensorboard import TensorBoardLog
from charlstm.training.distributed import Workers
from charlstm.training.events import EpochEnd
from charlstm.training.trainer import Trainer

OLD: dict[str, Any] = {
    "hidden": 8,
    "embedding": 6,
    "batch": 4,
    "window": 16,
    "epochs": 2,
    "learning_rate": 0.02,
}
# What a run that starts from another is told; the architecture it takes over.
NEW: dict[str, Any] = {"batch": 4, "window": 16, "epochs": 2, "precision": "float32"}
ADDED = "雨下了整夜 我的爱溢出\n"
FIGURES = {
    "loss/training",
    "loss/held-out",
    "loss/held-out, network alone",
    "perplexity/training",
    "perplexity/held-out",
    "perplexity/held-out, network alone",
    "learning rate",
    "characters a second",
}


@pytest.fixture
def first(tmp_path: Path, song: str) -> Path:
    path = tmp_path / "first.txt"
    path.write_text(song, encoding="utf-8")
    return path


@pytest.fixture
def second(tmp_path: Path, song: str) -> Path:
    """Return a text with every character of the first, and others before them."""
    path = tmp_path / "second.txt"
    path.write_text(ADDED * 20 + 2 * song, encoding="utf-8")
    return path


def train_first(first: Path, root: Path, **settings: Any) -> Path:
    """Return the directory of a finished run called ``old``."""
    session = start_session(
        [first], settings={**OLD, **settings}, name="old", root=root, device="cpu", sample_every=0
    )
    list(session.events())
    return root / "old"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, song: str) -> Path:
    """Return a finished run that tests copy."""
    where = tmp_path_factory.mktemp("trained")
    (where / "first.txt").write_text(song, encoding="utf-8")
    return train_first(where / "first.txt", where / "checkpoints")


@pytest.fixture
def old(trained: Path, root: Path) -> Path:
    """Return the directory of a finished run called ``old``, below `root`."""
    shutil.copytree(trained, root / "old")
    return root / "old"


def begin(
    text: Path, root: Path, *, start_from: str | Path | None = "old", **options: Any
) -> Session:
    settings = {**NEW, **options.pop("settings", {})}
    return start_session(
        [text],
        settings=settings,
        start_from=start_from,
        root=root,
        device="cpu",
        sample_every=0,
        **options,
    )


@pytest.mark.parametrize("backend", ["scratch", "torch"])
@pytest.mark.parametrize("embedding", [6, 0])
def test_a_run_begins_with_the_weights_of_the_old_one_and_random_ones_for_new_characters(
    first: Path, second: Path, root: Path, embedding: int, backend: str
) -> None:
    train_first(first, root, embedding=embedding)
    old = charlstm.load("old", root=root)
    before = old.directory.read_model(old.info)
    session = begin(second, root, backend=backend)
    found, vocabulary = session.trainer.weights(), session.plan.vocabulary
    assert vocabulary.characters.startswith(old.info.vocabulary.characters)
    V, grown = len(old.info.vocabulary), len(vocabulary)
    assert grown > V + 5
    # All that training from nothing would have drawn: the vocabulary is as large.
    shape = {"hidden": 8, "embedding": embedding}
    fresh = begin(second, root, start_from=None, settings=shape, backend=backend)
    assert len(fresh.plan.vocabulary) == grown
    drawn = fresh.trainer.weights()
    by_row = {"head.weight", "head.bias"} | ({"embedding.weight"} if embedding else set())
    for name, array in before.items():
        if name in by_row:
            np.testing.assert_array_equal(found[name][:V], array, err_msg=name)
            np.testing.assert_array_equal(found[name][V:], drawn[name][V:], err_msg=name)
        elif name == "recurrent.weight_ih_l0" and not embedding:
            # One-hot characters choose a column.
            np.testing.assert_array_equal(found[name][:, :V], array)
            np.testing.assert_array_equal(found[name][:, V:], drawn[name][:, V:])
            assert (found[name][:, :V] != drawn[name][:, :V]).any()
        else:
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert found.keys() == before.keys()


def test_on_the_same_text_a_run_goes_on_from_what_the_old_one_had_learned(
    first: Path, root: Path
) -> None:
    # The grams of this text know what is held out, so that with them the first epoch is the best.
    old = train_first(first, root, epochs=6, recall=0.0)
    lines = (old / "history.jsonl").read_text(encoding="utf-8").splitlines()
    session = begin(first, root)
    (begun, _) = [event for event in session.events() if isinstance(event, EpochEnd)]
    # What is remembered of the text was there before, and is new to neither.
    assert begun.report.network_loss is not None
    assert begun.report.network_loss < json.loads(lines[0])["validation_loss"] - 0.2
    assert begun.report.step == session.trainer.windows.steps


@pytest.mark.parametrize("recipe", ["auto", "d2l"])
def test_the_rate_is_a_share_of_the_recipes_unless_one_is_named(
    first: Path, root: Path, old: Path, recipe: str
) -> None:
    architecture = {"hidden": 8, "embedding": 6}
    fresh = begin(first, root, start_from=None, recipe=recipe, settings=architecture)
    rate = begin(first, root, recipe=recipe).plan.recipe.learning_rate
    assert rate == pytest.approx(0.3 * fresh.plan.recipe.learning_rate)
    named = begin(first, root, recipe=recipe, settings={"learning_rate": 0.07})
    assert named.plan.recipe.learning_rate == 0.07


def test_the_old_ones_architecture_and_newline_are_taken_over(
    first: Path, second: Path, root: Path
) -> None:
    train_first(first, root, cell="gru", layers=2, newline="space")
    session = begin(second, root)
    architecture = session.plan.recipe.architecture
    assert (architecture.cell, architecture.hidden) == ("gru", 8)
    assert (architecture.layers, architecture.embedding) == (2, 6)
    assert session.plan.recipe.text.newline == "space"
    assert "\n" not in session.plan.vocabulary
    # Nor is it a mistake to name them.
    same = {"cell": "gru", "hidden": 8, "newline": "space"}
    assert begin(second, root, settings=same).plan.recipe.architecture == architecture


@pytest.mark.parametrize(
    ("settings", "has", "named"),
    [
        ({"hidden": 9}, "hidden 8", "hidden"),
        ({"embedding": 0}, "embedding 6", "embedding"),
        ({"layers": 2}, "layers 1", "layers"),
        ({"cell": "gru"}, "cell lstm", "cell"),
        ({"newline": "space"}, "newline keep", "newline"),
    ],
)
def test_another_architecture_or_newline_than_the_old_ones_is_refused(
    second: Path, root: Path, old: Path, settings: dict[str, Any], has: str, named: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        begin(second, root, settings=settings)
    assert str(caught.value) == (
        f"{old} has {has}, and so does whatever starts from it; leave {named} out."
    )
    assert [path.name for path in root.iterdir()] == ["old"]


@pytest.mark.parametrize("by_path", [False, True])
def test_run_json_says_what_it_started_from_and_the_old_run_stays_as_it_was(
    second: Path, root: Path, old: Path, by_path: bool
) -> None:
    before = files(old)
    session = begin(second, root, start_from=old if by_path else "old", name="new")
    list(session.events())
    assert files(old) == before
    written = json.loads((root / "new" / "run.json").read_text(encoding="utf-8"))
    assert written["started_from"] == str(old)
    assert json.loads(before["run.json"])["started_from"] is None
    assert written["finished"] == f"all {session.plan.total_steps:,} steps are done"


def test_a_resume_does_not_need_the_run_that_was_started_from(
    second: Path, root: Path, old: Path
) -> None:
    list(begin(second, root, name="unbroken").events())
    stopped = begin(second, root, name="stopped")
    for event in stopped.events():
        if is_step(event, 5):
            stopped.stop()
    shutil.rmtree(old)
    resumed = resume_session("stopped", root=root, device="cpu")
    assert resumed.plan.resumed_step == 5
    list(resumed.events())
    models = [(root / name / "model.safetensors").read_bytes() for name in ("unbroken", "stopped")]
    assert models[0] == models[1]
    assert charlstm.load("stopped", root=root).info.started_from == str(old)


def test_a_run_that_is_not_there_cannot_be_started_from(second: Path, root: Path) -> None:
    with pytest.raises(RunError) as caught:
        begin(second, root, start_from="nobody")
    assert str(caught.value) == f"There is no run called nobody, and {root} has none at all."
    assert not root.exists()


def test_a_run_without_weights_cannot_be_started_from(second: Path, root: Path, old: Path) -> None:
    (old / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"old has no model yet: go on with charlstm\.resume\("):
        begin(second, root)
    assert [path.name for path in root.iterdir()] == ["old"]


def test_a_plan_says_how_long_and_how_much_memory_before_anything_is_trained(
    first: Path, root: Path
) -> None:
    def plan(**settings: Any) -> Plan:
        return begin(first, root, start_from=None, settings={**OLD, **settings}).plan

    small, long, wide = plan(), plan(epochs=2000), plan(hidden=400)
    assert small.seconds > 0
    # The figure is measured each time, so that it is not a thousand times as long to the last bit.
    assert long.seconds > 100 * small.seconds
    assert long.memory_bytes == small.memory_bytes > 0
    # At the least the weights of W_hh, their gradients and Adam's two moments, in float32.
    assert wide.memory_bytes - small.memory_bytes > 4 * 4 * 4 * 400**2
    assert plan(epochs=10**9, minutes=3).seconds == 180
    assert 0 < plan(minutes=10**6).seconds < 180


def test_the_plan_of_a_resumed_run_counts_the_steps_that_are_left(first: Path, root: Path) -> None:
    session = begin(first, root, start_from=None, settings=OLD)
    for event in session.events():
        if is_step(event, 5):
            session.stop()
    plan = resume_session(root=root, device="cpu").plan
    assert plan.seconds == pytest.approx((plan.total_steps - 5) * session.trainer.seconds / 5)
    list(resume_session(root=root, device="cpu").events())
    assert resume_session(root=root, device="cpu").plan.seconds == 0


class Writer:
    """What stands in for TensorBoard's, which is not needed to test ours."""

    made: ClassVar[list["Writer"]] = []

    def __init__(self, path: Path, purge_step: int) -> None:
        self.path = path
        self.purge_step = purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.flushed = 0
        self.closed = False
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None:
        self.flushed = len(self.scalars)

    def close(self) -> None:
        self.closed = True


def pretend(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    found: Callable[..., Any] = importlib.util.find_spec
    spec = importlib.machinery.ModuleSpec("tensorboard", None) if installed else None
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: spec if name == "tensorboard" else found(name, package),
    )


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """Pretend that TensorBoard is installed; return what is written with it, in its order."""
    pretend(monkeypatch, installed=True)
    module = ModuleType("torch.utils.tensorboard")
    module.__dict__["SummaryWriter"] = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


def logged(first: Path, root: Path, **settings: Any) -> Session:
    settings = {**OLD, **settings}
    return begin(first, root, start_from=None, settings=settings, tensorboard=True)


def test_tensorboard_that_is_not_installed_is_told_before_anything_is_made(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, installed=False)
    with pytest.raises(MissingLibraryError) as caught:
        logged(first, root)
    assert str(caught.value) == (
        "TensorBoard is not installed here: pip install tensorboard, or leave tensorboard out."
    )
    assert not root.exists()


def test_figures_are_not_written_where_a_link_leads(tmp_path: Path, writers: list[Writer]) -> None:
    (tmp_path / "tensorboard").symlink_to("elsewhere")
    with pytest.raises(RunError, match=r"tensorboard is a link, and figures are not written there"):
        TensorBoardLog(tmp_path, 0)
    assert writers == []


def test_every_epochs_figures_are_written_once_at_their_step(
    first: Path, root: Path, writers: list[Writer]
) -> None:
    session = logged(first, root, epochs=3)
    events = list(session.events())
    (writer,) = writers
    assert (writer.path, writer.purge_step) == (root / "first" / "tensorboard", 1)
    assert (writer.flushed, writer.closed) == (3 * len(FIGURES), True)
    reports = [event.report for event in events if isinstance(event, EpochEnd)]
    assert len(reports) == 3
    for place, report in enumerate(reports):
        part = writer.scalars[place * len(FIGURES) : (place + 1) * len(FIGURES)]
        assert {step for _, _, step in part} == {report.step}
        found = {name: value for name, value, _ in part}
        assert found.keys() == FIGURES
        assert found["loss/training"] == report.train_loss
        assert found["loss/held-out"] == report.validation_loss
        assert found["loss/held-out, network alone"] == report.network_loss
        assert found["perplexity/held-out, network alone"] == report.network_perplexity
        assert found["perplexity/training"] == pytest.approx(math.exp(report.train_loss))
        assert found["perplexity/held-out"] == pytest.approx(math.exp(report.validation_loss or 0))
        assert found["learning rate"] == report.learning_rate
        assert found["characters a second"] == report.characters / report.seconds
    assert json.loads((root / "first" / "run.json").read_text())["tensorboard"] is True


def test_without_held_out_text_there_are_no_held_out_figures(
    first: Path, root: Path, writers: list[Writer]
) -> None:
    list(logged(first, root, validation=0.0).events())
    assert {name for name, _, _ in writers[0].scalars} == {
        name for name in FIGURES if "held-out" not in name
    }


def test_a_resumed_run_goes_on_writing_and_drops_what_is_behind_its_step(
    first: Path, root: Path, writers: list[Writer]
) -> None:
    session = logged(first, root)
    steps = session.trainer.windows.steps
    for event in session.events():
        if is_step(event, steps + 3):
            session.stop()
    list(resume_session(root=root, device="cpu").events())
    assert [writer.purge_step for writer in writers] == [1, steps + 4]
    assert [{step for _, _, step in writer.scalars} for writer in writers] == [
        {steps},
        {2 * steps},
    ]
    assert writers[1].path == writers[0].path
    assert all(writer.closed for writer in writers)


def test_a_run_that_is_resumed_where_tensorboard_is_missing_goes_on_without_it(
    first: Path, root: Path, writers: list[Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = logged(first, root)
    for event in session.events():
        if is_step(event, 3):
            session.stop()
    pretend(monkeypatch, installed=False)
    resumed = resume_session(root=root, device="cpu")
    assert [str(note) for note in resumed.plan.notes] == [
        "TensorBoard is not installed here any more, so nothing is written for it.",
    ]
    list(resumed.events())
    assert len(writers) == 1


def test_the_figures_file_is_closed_when_training_fails(
    first: Path, root: Path, writers: list[Writer]
) -> None:
    session = logged(first, root, optimizer="sgd", learning_rate=1e38, clip=0.0)
    with pytest.raises(TrainingError, match=r"^The training has diverged "):
        list(session.events())
    assert [writer.closed for writer in writers] == [True]


def test_a_run_without_tensorboard_opens_none(
    first: Path, root: Path, writers: list[Writer]
) -> None:
    list(begin(first, root, start_from=None, settings=OLD).events())
    assert writers == []


# What is promised before the first step.


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Let torch choose its algorithms again when the test is over."""
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_deterministic_takes_the_clock_out_of_everything_and_says_what_it_costs(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = iter([2.0, 2.0, 2.0, 3.0])  # without and with, twice

    def time_steps(trainers: list[Any]) -> list[float]:
        return [2.0, 1.0] if len(trainers) == 2 else [next(alone)]

    monkeypatch.setattr("charlstm.sessions.probe.time_steps", time_steps)
    monkeypatch.setattr("charlstm.sessions.probe.may_have_fast_bfloat16", lambda *_: True)
    settings = {**OLD, "hidden": 130, "precision": "auto"}

    def precision(*, deterministic: bool) -> tuple[str, str]:
        session = start_session(
            [first], settings=settings, root=root, device="cpu", deterministic=deterministic
        )
        return session.plan.recipe.precision, str(session.plan.notes[0])

    chosen, why = precision(deterministic=False)
    assert chosen == "bfloat16"
    assert why.startswith("Products in bfloat16 make a step 2.0 times as fast")
    assert not torch.are_deterministic_algorithms_enabled()
    kept, cost = precision(deterministic=True)
    assert kept == "float32"
    assert cost == (
        "All computation is deterministic: a step takes no longer than without, and bfloat16 was "
        "not tried."
    )
    _, cost = precision(deterministic=True)
    assert "a step takes 1.50 times as long as without, and" in cost
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("deterministic")
def test_a_run_is_resumed_deterministically_as_well(first: Path, root: Path) -> None:
    train_first(first, root)
    assert not torch.are_deterministic_algorithms_enabled()
    resume_session("old", root=root, device="cpu", settings={"epochs": 3}, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()


# What a processor, or torch, cannot do.


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this processor one for which the library's LSTM has no kernel."""
    monkeypatch.setattr("charlstm.model.devices.library_has_bfloat16", lambda: False)


@pytest.mark.usefixtures("without_bfloat16")
def test_bfloat16_that_the_librarys_lstm_lacks_is_refused_before_anything_is_made(
    first: Path, root: Path
) -> None:
    settings = {**OLD, "precision": "bfloat16"}
    with pytest.raises(RecipeError) as caught:
        start_session([first], settings=settings, root=root, device="cpu", backend="torch")
    assert caught.value.message.told(option) == (
        "The library's LSTM has no bfloat16 on this processor; use --backend scratch, or for a "
        "new run --precision float32."
    )
    assert not root.exists()
    # What does not need that kernel is trained.
    for backend, cell in (("scratch", "lstm"), ("torch", "gru")):
        wish = {**settings, "cell": cell, "epochs": 1}
        session = start_session([first], settings=wish, root=root, device="cpu", backend=backend)
        assert session.plan.recipe.precision == "bfloat16"


def test_a_run_from_another_machine_goes_on_with_the_backend_that_can(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start_session(
        [first],
        settings={**OLD, "precision": "bfloat16"},
        name="old",
        root=root,
        device="cpu",
        backend="scratch",
    )
    list(session.events())
    run = root / "old" / "run.json"
    run.write_text(run.read_text().replace('"backend": "scratch"', '"backend": "torch"'))
    monkeypatch.setattr("charlstm.model.devices.library_has_bfloat16", lambda: False)
    with pytest.raises(RecipeError, match=r"use backend='scratch', or for a new run precision="):
        resume_session("old", root=root, device="cpu", settings={"epochs": 3})
    resumed = resume_session(
        "old", root=root, device="cpu", settings={"epochs": 3}, backend="scratch"
    )
    list(resumed.events())
    assert charlstm.load("old", root=root).info.finished is not None


def test_bfloat16_that_was_asked_for_and_is_slow_is_told(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_steps(trainers: list[Any]) -> list[float]:
        precisions = [trainer.recipe.precision for trainer in trainers]
        return [{"float32": 0.1, "bfloat16": 2.3}[precision] for precision in precisions]

    monkeypatch.setattr("charlstm.sessions.probe.time_steps", time_steps)
    monkeypatch.setattr("charlstm.sessions.probe.may_have_fast_bfloat16", lambda *_: False)
    settings = {**OLD, "precision": "bfloat16"}
    plan = start_session(
        [first], settings=settings, root=root, device="cpu", backend="scratch"
    ).plan
    assert [note.told(option) for note in plan.notes] == [
        "This processor has no instructions for bfloat16: a step takes 23.0 times as long as with "
        "--precision float32."
    ]
    assert plan.step_seconds == 2.3


def test_what_torch_refuses_at_the_first_step_is_told_before_anything_is_made(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_first(first, root)

    def refuse(trainer: Trainer) -> float:
        raise RuntimeError("could not create a primitive.\nRun with ONEDNN_VERBOSE=all")

    monkeypatch.setattr(Trainer, "time_step", refuse)
    told = (
        "torch refuses to make a training step here (could not create a primitive). Try --device "
        "cpu, --backend scratch or --precision float32."
    )
    before = sorted(root.iterdir())
    beginnings: list[Callable[[], Session]] = [
        lambda: start_session([first], settings=OLD, root=root, device="cpu"),
        lambda: resume_session("old", root=root, device="cpu", settings={"epochs": 3}),
    ]
    for begin in beginnings:
        with pytest.raises(RecipeError) as caught:
            begin()
        assert caught.value.message.told(option) == told
    assert sorted(root.iterdir()) == before


def test_minutes_cannot_be_repeated(first: Path, root: Path) -> None:
    with pytest.raises(RecipeError, match=r"^A run that minutes ends cannot be repeated"):
        start_session(
            [first], settings={**OLD, "minutes": 1.0}, root=root, device="cpu", deterministic=True
        )
    assert not root.exists()


def test_a_training_that_does_not_fit_into_memory_is_refused_before_anything_is_made(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.sessions.fitting.machine_bytes", lambda: 100_000_000)
    with pytest.raises(RecipeError) as caught:
        start_session([first], settings=OLD, root=root, device="cpu")
    found = re.fullmatch(
        r"This training would take about \d+\.\d GB of memory, and there are 0\.1: with a "
        r"vocabulary of "
        r"(\d+) its head has ([\d,]+) weights and its batches ([\d,]+) logits\. Lower hidden, "
        r"batch or window, or make the vocabulary smaller with min_count\.",
        str(caught.value),
    )
    assert found
    V, weights, logits = (int(number.replace(",", "")) for number in found.groups())
    assert (weights, logits) == (V * 8, V * 4 * 16)
    assert not root.exists()


def test_workers_of_one_machine_must_fit_into_its_memory_together(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = begin(first, root, start_from=None, settings=OLD).plan
    learned = plan.training_characters
    fitted = Fitted(plan.corpus, plan.recipe, learned, plan.vocabulary)
    computing = prepare(Machine(device="cpu"), plan.recipe.architecture)
    there = int(1.5 * plan.memory_bytes)
    monkeypatch.setattr("charlstm.sessions.fitting.machine_bytes", lambda: there)
    check_memory(fitted, computing)
    check_memory(dataclasses.replace(fitted, workers=Workers(0, 2, here=1)), computing)
    here = dataclasses.replace(fitted, workers=Workers(0, 2, here=2))
    with pytest.raises(RecipeError, match=r"GB of memory for the 2 workers of this machine, and "):
        check_memory(here, computing)
    # So are they in the plan.
    team = Teamwork(2, 1, 2, 1.0, 1.0, 0.1)
    apart = dataclasses.replace(plan, teamwork=team)
    together = dataclasses.replace(plan, teamwork=dataclasses.replace(team, here=2))
    assert together.memory_bytes == 2 * apart.memory_bytes > 1.9 * plan.memory_bytes
    # Each has half of the rows, and what goes to the other.
    rarely = dataclasses.replace(plan.recipe, sync_every=8)
    assert training_bytes(rarely, 99, 2) > training_bytes(plan.recipe, 99, 2)
    large = plan.recipe.override(batch=512, window=512)
    assert training_bytes(large, 99) - training_bytes(large, 99, 2) > 4 * 256 * 512 * 12 * 8


def test_a_text_that_cannot_be_counted_in_memory_may_be_trained_without(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.sessions.fitting.machine_bytes", lambda: 10_000)
    message = (
        r"^Counting what is to be remembered of this text would take about 0\.0 GB of memory, and "
        r"there are 0\.0: recall=0 trains the network alone\.$"
    )
    with pytest.raises(RecipeError, match=message):
        start_session([first], settings={**OLD, "recall": 0.4}, root=root, device="cpu")
    with pytest.raises(RecipeError, match=r"^This training would take"):
        start_session([first], settings={**OLD, "recall": 0.0}, root=root, device="cpu")
    assert not root.exists()


def test_a_plan_has_the_memory_that_counting_takes(first: Path, root: Path) -> None:
    plan = begin(first, root, start_from=None, settings=OLD).plan
    counted = dataclasses.replace(plan, training_characters=8_000_000)
    assert counted.memory_bytes > 8_000_000 * 200
    assert dataclasses.replace(counted, training_characters=10**9).memory_bytes == (
        counted.memory_bytes
    )
    for kind in ({"resumed_step": 3}, {"remembering": None}):
        assert dataclasses.replace(counted, **kind).memory_bytes == plan.memory_bytes


@pytest.mark.parametrize("there", [10**12, None], ids=["enough", "nobody knows"])
def test_a_training_begins_where_nothing_says_that_it_does_not_fit(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch, there: int | None
) -> None:
    monkeypatch.setattr("charlstm.sessions.fitting.machine_bytes", lambda: there)
    session = start_session([first], settings=OLD, root=root, device="cpu")
    assert session.plan.directory.path.is_dir()


def test_a_text_too_long_to_look_for_copies_in_gets_no_index(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.sessions.start._MOST_INDEXED", 100)
    session = start_session([first], settings=OLD, root=root, device="cpu")
    assert session.plan.index_bytes is None
    assert str(session.plan.notes[-1]).startswith(
        "No index is made: with more than 100 characters "
    )
    assert not (session.plan.directory.path / "training.txt.bz2").exists()


def test_the_plan_says_what_is_remembered(
    first: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start_session([first], settings=OLD, root=root, device="cpu")
    told = session.plan.remembering
    grams = session.plan.directory.path / "recall.safetensors"
    assert told is not None
    assert told.seconds is not None
    assert (told.size, told.characters) == (grams.stat().st_size, None)
    assert told.grams > session.plan.vocabulary.size
    monkeypatch.setattr("charlstm.sessions.remembering.MOST_CHARACTERS", 100)
    long = start_session([first], settings=OLD, root=root, device="cpu").plan.remembering
    assert long is not None
    assert long.characters == 100
    without = start_session([first], settings=OLD, root=root, device="cpu", index=False)
    assert without.plan.remembering is not None
    assert (without.plan.remembering.grams, without.plan.remembering.size) == (0, 0)
    alone = start_session([first], settings={**OLD, "recall": 0.0}, root=root, device="cpu")
    assert alone.plan.remembering is None


@pytest.mark.parametrize(("pull", "again"), [(1e6, None), (0.01, 0), (0.6, 1)])
def test_how_strongly_a_text_repeats_itself_is_told_by_the_length_of_what_comes_again(
    pull: float, again: int | None
) -> None:
    assert _again(Pull(0.4, (pull,) * len(LENGTHS))) == again


def test_of_a_long_text_a_million_characters_are_held_out() -> None:
    assert auto(1_000_000, 60).validation == 0.1
    assert auto(10_000_000, 60).validation == 0.1
    assert auto(2_000_000_000, 60).validation == 0.0005
