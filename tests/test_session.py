import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saves import read_save, write_save
from trainers import files, history
from trainings import is_step, numbered, resume_session, start_session

import charlstm
from charlstm.cli.names import option
from charlstm.errors import (
    CharLSTMError,
    CorpusError,
    RecipeError,
    RunError,
    TrainingError,
    UnknownCharactersError,
)
from charlstm.runs.snapshot import Snapshot
from charlstm.sessions.session import Event, Sample, Saved, Session
from charlstm.trained import TrainedModel
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Step,
    Stopped,
    WentBack,
)

SETTINGS: dict[str, Any] = {
    "hidden": 10,
    "layers": 2,
    "embedding": 6,
    "dropout": 0.3,
    "batch": 4,
    "window": 16,
    "epochs": 4,
    "learning_rate": 0.02,
    "patience": 9,
}
FILES = {
    ".lock",
    "model.safetensors",
    "run.json",
    "recall.safetensors",
    "heldout.txt",
    "resume.safetensors",
    "history.jsonl",
    "curve.svg",
    "samples.txt",
    "training.txt.bz2",
}


@pytest.fixture
def misleading(tmp_path: Path, song: str) -> Path:
    """Return a text that ends, where it is held out, with the song read backwards.

    The better the song is known, the worse that becomes.
    """
    path = tmp_path / "song.txt"
    path.write_text(song + song[::-1][: len(song) // 9], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, song: str) -> TrainedModel:
    """Return a finished run that tests look at and do not change."""
    where = tmp_path_factory.mktemp("finished")
    (where / "song.txt").write_text(song, encoding="utf-8")
    session = prepare(where / "song.txt", where / "checkpoints")
    list(session.events())
    return charlstm.load(root=where / "checkpoints")


def prepare(
    corpus: Path,
    root: Path,
    *,
    name: str | None = None,
    backend: str = "scratch",
    prefixes: Sequence[str] = ("分开",),
    sample_every: int | None = 1,
    **settings: Any,
) -> Session:
    settings = {**SETTINGS, **settings}
    if settings.get("validation") == 0:
        settings.pop("patience")  # there is nothing to wait for
    return start_session(
        [corpus],
        settings=settings,
        name=name,
        root=root,
        prefixes=prefixes,
        sample_every=sample_every,
        backend=backend,
        device="cpu",
    )


def told(session: Session) -> list[str]:
    return [str(note) for note in session.plan.notes]


def resume(root: Path, run: str | None = None, **options: Any) -> Session:
    return resume_session(run, root=root, device="cpu", **options)


def train_until(session: Session, step: int) -> list[Event]:
    events = []
    for event in session.events():
        events.append(event)
        if isinstance(event, Step) and event.step == step:
            session.stop()
    return events


def without_seconds(directory: Path) -> list[dict[str, Any]]:
    return [{**entry, "seconds": 0} for entry in history(directory)]


def saved(directory: Path) -> Snapshot:
    """Return where the training of a run stood when it was saved."""
    model = charlstm.load(directory)
    return model.directory.read_resume(model.info)[0]


def assert_same_run(found: Path, expected: Path) -> None:
    for name in ("model.safetensors", "heldout.txt", "samples.txt"):
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    assert without_seconds(found) == without_seconds(expected)
    left, right = (saved(path).tensors() for path in (found, expected))
    assert left.keys() == right.keys()
    for name, array in right.items():
        np.testing.assert_array_equal(left[name], array, err_msg=name)
    infos = [charlstm.load(path).info for path in (found, expected)]
    assert infos[0].finished == infos[1].finished
    assert infos[0].recipe == infos[1].recipe
    bests = [info.best for info in infos]
    assert [best and best.epoch for best in bests] == [bests[1] and bests[1].epoch] * 2


def test_a_training_writes_every_file_of_the_run_directory_and_no_other(
    finished: TrainedModel,
) -> None:
    assert {path.name for path in finished.directory.path.iterdir()} == FILES
    assert finished.directory.name == "song"


def test_the_text_is_cut_once_and_its_end_is_held_out(finished: TrainedModel, song: str) -> None:
    path = finished.directory.path / "heldout.txt"
    held_out = path.read_bytes().decode()
    assert len(held_out) == len(song) // 10
    assert song.endswith(held_out)
    assert finished.info.held_out_characters == len(held_out)
    assert finished.info.training_characters == len(song) - len(held_out)
    assert finished.info.vocabulary.characters == "".join(
        sorted(
            set(song[: -len(held_out)]),
            key=lambda character: (-song[: -len(held_out)].count(character), character),
        )
    )


def test_the_history_has_one_line_an_epoch_with_every_figure(finished: TrainedModel) -> None:
    lines = history(finished.directory.path)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert line.keys() == {
            "step",
            "epoch",
            "seconds",
            "characters",
            "train_loss",
            "train_perplexity",
            "validation_loss",
            "validation_perplexity",
            "bits_per_character",
            "learning_rate",
            "network_loss",
            "network_perplexity",
        }
        assert line["validation_loss"] < line["network_loss"]
        assert line["train_perplexity"] == pytest.approx(math.exp(line["train_loss"]))
        assert line["validation_perplexity"] == pytest.approx(math.exp(line["validation_loss"]))
        assert line["bits_per_character"] == pytest.approx(line["validation_loss"] / math.log(2))
    steps = [line["step"] for line in lines]
    assert steps == [steps[0] * epoch for epoch in (1, 2, 3, 4)]
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]


def test_run_json_says_what_was_trained_on_what_and_how_it_ended(
    finished: TrainedModel, song: str
) -> None:
    value = json.loads((finished.directory.path / "run.json").read_text(encoding="utf-8"))
    assert value["format"] == 5
    assert value["backend"] == "scratch"
    assert value["finished"] == f"all {value['last']['step']:,} steps are done"
    assert value["recipe"]["architecture"]["hidden"] == 10
    assert value["recipe"]["learning_rate"] == 0.02
    (source,) = value["corpus"]["sources"]
    assert (source["encoding"], source["characters"]) == ("utf-8", len(song))
    losses = [line["validation_loss"] for line in history(finished.directory.path)]
    assert value["best"]["validation_loss"] == min(losses)
    assert value["last"]["validation_loss"] == losses[-1]
    assert value["versions"].keys() == {"python", "charlstm", "torch", "numpy", "safetensors"}


def test_the_saved_weights_are_those_with_the_best_held_out_loss(
    misleading: Path, root: Path
) -> None:
    list(prepare(misleading, root, learning_rate=0.1, dropout=0.0, epochs=6).events())
    model = charlstm.load(root=root)
    losses = [line["validation_loss"] for line in history(model.directory.path)]
    assert min(losses) < losses[-1] - 0.1
    assert model.perplexity(device="cpu").loss == pytest.approx(min(losses), rel=1e-6)


def test_a_resumed_training_keeps_the_best_weights_of_before(misleading: Path, root: Path) -> None:
    settings: dict[str, Any] = {"learning_rate": 0.1, "epochs": 6}
    list(prepare(misleading, root, name="unbroken", **settings).events())
    stopped = prepare(misleading, root, name="stopped", **settings)
    train_until(stopped, stopped.plan.total_steps - 1)
    list(resume(root, "stopped").events())
    losses = [line["validation_loss"] for line in history(root / "stopped")]
    assert min(losses) < losses[-1]
    assert_same_run(root / "stopped", root / "unbroken")


def test_without_held_out_text_the_saved_weights_are_the_last_ones(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root, validation=0.0, epochs=1)
    for event in session.events():
        if is_step(event, 2) or is_step(event, 5):
            session.save()
            saved = session.plan.directory.read_model(charlstm.load(root=root).info)
            for name, array in session.trainer.weights().items():
                np.testing.assert_array_equal(saved[name], array)
    assert (root / "song" / "heldout.txt").read_bytes() == b""
    saved = session.plan.directory.read_model(charlstm.load(root=root).info)
    for name, array in session.trainer.weights().items():
        np.testing.assert_array_equal(saved[name], array)


def test_events_come_in_order_and_saving_is_told(corpus: Path, root: Path) -> None:
    session = prepare(corpus, root, epochs=2, sample_every=2, prefixes=("分开", "车站"))
    events = list(session.events())
    steps = session.plan.total_steps // 2
    assert [type(event) for event in events] == [
        *[Step] * steps,
        EpochEnd,
        *[Step] * steps,
        EpochEnd,
        Sample,
        Sample,
        Finished,
        Saved,
    ]
    samples = [event for event in events if isinstance(event, Sample)]
    assert [(sample.epoch, sample.prefix) for sample in samples] == [(2, "分开"), (2, "车站")]
    assert all(len(sample.text) == 2 + 50 for sample in samples)
    assert events[-1] == Saved(2 * steps)
    written = (root / "song" / "samples.txt").read_text(encoding="utf-8")
    for sample in samples:
        assert sample.text.startswith(sample.prefix)
        assert f"--- epoch 2, step {2 * steps}\n{sample.text}\n" in written


def test_no_samples_are_written_where_none_are_wanted(corpus: Path, root: Path) -> None:
    events = list(prepare(corpus, root, epochs=1, sample_every=0).events())
    assert not [event for event in events if isinstance(event, Sample)]
    assert (root / "song" / "samples.txt").read_bytes() == b""


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_a_training_that_was_stopped_again_and_again_is_the_unbroken_one_bit_for_bit(
    corpus: Path, root: Path, backend: str
) -> None:
    unbroken = prepare(corpus, root, name="unbroken", backend=backend)
    list(unbroken.events())
    steps = unbroken.plan.total_steps // 4
    assert steps > 8
    # Before the first epoch's end, in the middle of one, at its last step, and just after it.
    stopped = prepare(corpus, root, name="stopped", backend=backend)
    for stop in (3, steps + 5, 2 * steps, 2 * steps + 1):
        assert train_until(stopped, stop)[-2:] == [Stopped(stop), Saved(stop)]
        assert charlstm.load("stopped", root=root).info.finished is None
        stopped = resume(root, "stopped")
        assert stopped.plan.resumed_step == stop
        assert stopped.plan.backend == backend
    events = list(stopped.events())
    assert isinstance(events[-2], Finished)
    assert {path.name for path in (root / "stopped").iterdir()} == FILES
    assert_same_run(root / "stopped", root / "unbroken")


@pytest.mark.parametrize(
    "settings",
    [
        {"validation": 0.0},
        {"optimizer": "sgd", "learning_rate": 1.0, "embedding": 0},
        {"optimizer": "adamw", "weight_decay": 0.1, "sampling": "random"},
        {"cell": "peephole", "newline": "space", "limit": 600},
        {"cell": "gru", "min_count": 3},
        {"precision": "bfloat16"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_resumed_training_is_the_unbroken_one_whatever_its_recipe(
    corpus: Path, root: Path, settings: dict[str, Any]
) -> None:
    list(prepare(corpus, root, name="unbroken", **settings, epochs=3).events())
    session = prepare(corpus, root, name="stopped", **settings, epochs=3)
    train_until(session, session.plan.total_steps // 2)
    list(resume(root, "stopped").events())
    assert_same_run(root / "stopped", root / "unbroken")


def test_a_training_that_was_killed_goes_on_from_its_last_save(corpus: Path, root: Path) -> None:
    list(prepare(corpus, root, name="unbroken").events())
    killed = prepare(corpus, root, name="killed")
    events = killed.events()
    for event in events:
        if is_step(event, 15):
            killed.save()
        if isinstance(event, EpochEnd) and event.report.epoch == 3:
            # Killed in the middle of another save: the weights are there, the position is not.
            killed.plan.directory.write_model(killed.trainer.snapshot().best_weights)
            break
    events.close()  # type: ignore[attr-defined]
    resumed = resume(root, "killed")
    assert resumed.plan.resumed_step == 15
    list(resumed.events())
    assert_same_run(root / "killed", root / "unbroken")


def test_a_finished_training_that_is_resumed_stays_as_it_is(corpus: Path, root: Path) -> None:
    list(prepare(corpus, root, epochs=2).events())
    shutil.copytree(root / "song", root / "copy")
    events = list(resume(root, "song").events())
    assert [type(event) for event in events] == [Finished, Saved]
    assert_same_run(root / "song", root / "copy")
    for name in ("history.jsonl", "curve.svg"):
        assert (root / "song" / name).read_bytes() == (root / "copy" / name).read_bytes()


def test_raising_the_epochs_gives_the_training_that_had_so_many_from_the_start(
    corpus: Path, root: Path
) -> None:
    list(prepare(corpus, root, name="long", schedule="constant").events())
    list(prepare(corpus, root, name="short", schedule="constant", epochs=2).events())
    resumed = resume(root, "short", settings={"epochs": 4})
    assert resumed.plan.total_steps == 2 * (resumed.plan.resumed_step or 0)
    list(resumed.events())
    assert_same_run(root / "short", root / "long")


def test_retyping_the_same_settings_is_accepted(corpus: Path, root: Path) -> None:
    # The text is too short for the batch, so that the run's own is another than was typed.
    typed = {**SETTINGS, "batch": 500, "newline": "space", "limit": 650}
    session = prepare(corpus, root, **typed)
    assert session.plan.recipe.batch < 500
    train_until(session, 2)
    resumed = resume(root, settings=typed)
    assert resumed.plan.recipe == session.plan.recipe
    assert resumed.plan.resumed_step == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"dropout": 0.1, "optimizer": "sgd"}, "optimizer, weight_decay, dropout"),
        ({"batch": 3}, "batch"),
        ({"validation": 0.2}, "validation"),
        ({"seed": 1}, "seed"),
        ({"hidden": 11}, "hidden"),
        ({"cell": "gru", "layers": 1}, "cell, layers"),
    ],
)
def test_a_setting_that_decides_the_weights_cannot_change(
    corpus: Path, root: Path, settings: dict[str, Any], named: str
) -> None:
    train_until(prepare(corpus, root), 2)
    with pytest.raises(RecipeError) as caught:
        resume(root, settings=settings)
    assert str(caught.value) == (
        f"{root / 'song'} was trained with another {named}; a resumed run keeps its settings. "
        "Leave them out, or train anew without resume."
    )


def test_another_form_of_the_text_is_refused_by_the_name_of_its_setting(
    corpus: Path, root: Path
) -> None:
    train_until(prepare(corpus, root), 2)
    with pytest.raises(RecipeError, match=r"was trained with another newline; a resumed run"):
        resume(root, settings={"newline": "space"})


def test_a_resume_with_another_text_is_refused(corpus: Path, root: Path, song: str) -> None:
    train_until(prepare(corpus, root), 2)
    corpus.write_text(song + "尾声", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        resume(root)
    assert str(caught.value) == (
        f"The text in {corpus} is not the one that {root / 'song'} was trained on, so it cannot "
        "go on from there. Restore the text, or train anew without resume."
    )


@pytest.mark.parametrize(
    ("settings", "reason", "longer"),
    [
        ({"epochs": 2}, "all 10 steps are done", "epochs=3"),
        ({"epochs": 12, "steps": 5}, "all 5 steps are done", "steps=6"),
        ({"epochs": 2, "steps": 10}, "all 10 steps are done", "epochs=3 and steps=12"),
        ({"epochs": 50, "steps": 1}, "its only step is done", "steps=2"),
        (
            {"epochs": 9_999, "minutes": 0.01, "patience": 0},
            "the 0.01 minutes are over",
            "minutes=2",
        ),
        (
            {"epochs": 50, "patience": 2, "learning_rate": 3.0, "schedule": "constant"},
            "the held-out loss has not improved since epoch ",
            "patience=3",
        ),
    ],
)
def test_a_run_that_is_done_says_what_would_make_it_longer(
    corpus: Path, root: Path, settings: dict[str, Any], reason: str, longer: str
) -> None:
    small = {"hidden": 16, "embedding": 6, "batch": 4, "window": 32, "precision": "float32"}
    session = start_session([corpus], settings={**small, **settings}, root=root, threads=1)
    for _ in session.events():
        pass
    again = resume_session("song", root=root, threads=1)
    (note,) = again.plan.notes
    assert str(note).startswith(f"{root / 'song'} is done: {reason}")
    assert str(note).endswith(f". To make it longer, ask for {longer}.")
    (_, value) = longer.rsplit(" ", 1)[-1].split("=")
    assert f" {value}." in note.told(option)
    (ended,) = [event for event in again.events() if isinstance(event, Finished)]
    assert ended.reason.startswith(reason)


def test_a_run_that_is_not_done_or_is_made_longer_says_nothing_of_it(
    corpus: Path, root: Path
) -> None:
    train_until(prepare(corpus, root), 2)
    assert resume(root).plan.notes == ()
    for _ in (longer := resume(root)).events():
        pass
    epochs = longer.plan.recipe.epochs
    assert len(resume(root).plan.notes) == 1
    assert resume(root, settings={"epochs": epochs + 1, "patience": 0}).plan.notes == ()


def test_a_text_that_moved_can_be_named_when_resuming(
    corpus: Path, root: Path, tmp_path: Path
) -> None:
    train_until(prepare(corpus, root), 2)
    moved = corpus.rename(tmp_path / "moved.txt")
    with pytest.raises(CorpusError, match=r"There is no file or directory called .*song\.txt\."):
        resume(root)
    assert resume(root, places=[moved]).plan.resumed_step == 2


def test_a_run_that_was_killed_before_its_first_save_is_resumed_from_its_beginning(
    corpus: Path, root: Path, finished: TrainedModel
) -> None:
    shutil.copytree(finished.directory.path, root / "older")
    prepare(corpus, root)  # and nothing more
    session = resume(root)
    assert (session.plan.directory.name, session.plan.resumed_step) == ("song", 0)
    list(session.events())
    assert_same_run(root / "song", finished.directory.path)


def test_a_run_that_starts_from_another_can_be_resumed_without_a_save_as_well(
    corpus: Path, root: Path, finished: TrainedModel
) -> None:
    def begin(name: str) -> Session:
        return start_session(
            [corpus],
            settings={"batch": 4, "window": 16, "steps": 5, "precision": "float32"},
            start_from=finished.directory.path,
            name=name,
            root=root,
            device="cpu",
        )

    list(begin("whole").events())
    begin("killed")
    list(resume(root, "killed").events())
    whole, killed = charlstm.load("whole", root=root), charlstm.load("killed", root=root)
    weights = whole.directory.read_model(whole.info)
    for name, weight in killed.directory.read_model(killed.info).items():
        assert (weight == weights[name]).all()


@pytest.mark.parametrize("lost", ["step", "loss_sum", "history", "weights/head.bias", "state/h"])
def test_a_resume_file_from_which_something_is_missing_is_refused_in_a_sentence(
    corpus: Path, root: Path, lost: str
) -> None:
    session = prepare(corpus, root)
    train_until(session, 2)
    path = session.plan.directory.path / "resume.safetensors"
    tensors, position = read_save(path)
    (tensors if lost in tensors else position).pop(lost)
    write_save(path, tensors, position)
    with pytest.raises(RunError, match=r"resume\.safetensors is damaged: "):
        resume(root)


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        (
            "recipe",
            "validation",
            0.2,
            r"run\.json is damaged: it does not say how its text",
        ),
        ("corpus", "training_characters", 5, r"run\.json is damaged: it does not say how its text"),
        ("samples", "prefixes", ["Ω"], r"The model has never seen 'Ω' of the prefix"),
    ],
)
def test_a_run_json_that_does_not_go_with_the_text_is_refused_before_training(
    corpus: Path, root: Path, part: str, name: str, value: object, message: str
) -> None:
    train_until(prepare(corpus, root), 2)
    path = root / "song" / "run.json"
    told = json.loads(path.read_bytes())
    told[part][name] = value
    path.write_bytes(json.dumps(told).encode())
    with pytest.raises(CharLSTMError, match=message):
        resume(root)


def test_a_second_training_takes_the_next_free_name_and_says_so(corpus: Path, root: Path) -> None:
    first = prepare(corpus, root)
    train_until(first, 2)
    before = files(root / "song")
    second, third = prepare(corpus, root), prepare(corpus, root, name="song")
    train_until(second, 2)
    assert told(first) == []
    assert told(second) == [f"{root / 'song'} is another run, so this one is called song-2."]
    assert third.plan.directory.name == "song-3"
    assert files(root / "song") == before
    assert (root / "song-2" / "model.safetensors").is_file()


def test_a_batch_or_window_that_the_text_does_not_fill_shrinks_and_says_so(
    corpus: Path, root: Path, song: str
) -> None:
    characters = len(song) - len(song) // 10
    batch = (characters - 1) // 16
    shrunk = prepare(corpus, root, batch=1000)
    assert shrunk.plan.recipe.batch == batch
    assert told(shrunk) == [f"The text is too short for a batch of 1,000, so it is {batch}."]
    shrunk = prepare(corpus, root, name="wide", window=5000)
    assert (shrunk.plan.recipe.batch, shrunk.plan.recipe.window) == (1, characters - 1)
    assert told(shrunk) == [
        "The text is too short for a batch of 4, so it is 1.",
        f"The text is too short for a window of 5,000, so it is {characters - 1}.",
    ]


def test_patience_without_held_out_text_is_refused(corpus: Path, root: Path) -> None:
    with pytest.raises(RecipeError, match=r"^patience needs held-out text: "):
        start_session([corpus], settings={**SETTINGS, "validation": 0.0}, root=root)
    assert not root.exists()


def test_the_saved_model_is_the_best_one_even_when_an_epoch_is_reported_twice(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root, steps=4, prefixes=())
    for event in session.events():
        if isinstance(event, EpochEnd):
            session.save()
    resumed = resume_session(root=root, settings={"steps": 40})
    for event in resumed.events():
        if isinstance(event, EpochEnd):
            resumed.save()
    model = charlstm.load(root=root)
    assert model.info.best is not None
    assert model.perplexity(device="cpu").loss == pytest.approx(
        model.info.best.validation_loss, rel=1e-4
    )


def test_from_python_a_stopped_training_can_be_resumed_and_an_encoding_named(
    corpus: Path, root: Path
) -> None:
    corpus.write_bytes(corpus.read_text(encoding="utf-8").encode("gb18030"))
    tiny: dict[str, Any] = {"hidden": 8, "embedding": 4, "batch": 4, "window": 16}
    charlstm.train(corpus, root=root, encoding="gb18030", sample_every=0, steps=2, **tiny)
    model = charlstm.resume(root=root, steps=5)
    assert model.info.last is not None
    assert model.info.last.step == 5
    assert model.info.encoding == "gb18030"


def test_a_text_too_small_to_learn_from_is_refused_and_leaves_no_directory(
    corpus: Path, root: Path
) -> None:
    corpus.write_text("分开" * 55, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        prepare(corpus, root)
    assert str(caught.value) == (
        "The training text has 99 characters; at least 100 are needed (10,000 or more before it "
        "learns to spell). Add text, or hold out less with validation."
    )
    assert not root.exists()
    assert prepare(corpus, root, validation=0.0, prefixes=()).plan.training_characters == 110


def test_a_prefix_that_the_text_does_not_have_is_told_before_anything_is_made(
    corpus: Path, root: Path
) -> None:
    with pytest.raises(UnknownCharactersError, match=r"^The model has never seen '离' of the "):
        prepare(corpus, root, prefixes=("分开", "离开"))
    assert not root.exists()


def test_a_min_count_that_leaves_no_character_is_refused(corpus: Path, root: Path) -> None:
    with pytest.raises(CharLSTMError, match=r"min.count"):
        list(prepare(corpus, root, min_count=10_000, prefixes=()).events())


def test_a_cell_that_the_backend_lacks_is_refused_and_leaves_no_directory(
    corpus: Path, root: Path
) -> None:
    with pytest.raises(RecipeError, match=r"^torch has no coupled cell; use backend='scratch'"):
        prepare(corpus, root, cell="coupled", backend="torch")
    assert not root.exists()


def test_a_training_that_diverges_says_so_and_what_was_saved_stands(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root, optimizer="sgd", learning_rate=1e38, clip=0.0, validation=0.0)
    session.save()
    saved = files(root / "song")
    with pytest.raises(TrainingError) as caught:
        list(session.events())
    assert re.fullmatch(
        r"The training has diverged \(epoch 1, step 2, loss [\d.e+]+\), and going back 3 times, "
        r"each with half the learning rate, did not help\. Train anew with a lower "
        r"learning_rate or a smaller clip; what was good before is kept\.",
        str(caught.value),
    )
    left = files(root / "song")
    assert json.loads(left.pop("run.json"))["finished"] == "it diverged"
    assert left == {name: data for name, data in saved.items() if name != "run.json"}


def test_weights_that_the_last_step_made_infinite_are_not_saved(corpus: Path, root: Path) -> None:
    session = prepare(
        corpus, root, optimizer="sgd", learning_rate=1e300, clip=0.0, validation=0.0, steps=1
    )
    session.save()
    saved = files(root / "song")
    with pytest.raises(TrainingError) as caught:
        list(session.events())
    # The loss is that of the weights before the step.
    assert re.fullmatch(
        r"The training has diverged \(epoch 1, step 1, loss \d\.\d+\), and going back 3 times, "
        r"each with half the learning rate, did not help\. Train anew with a lower "
        r"learning_rate or a smaller clip; what was good before is kept\.",
        str(caught.value),
    )
    left = files(root / "song")
    assert json.loads(left.pop("run.json"))["finished"] == "it diverged"
    assert left == {name: data for name, data in saved.items() if name != "run.json"}


def test_a_training_that_is_stopped_when_it_has_diverged_saves_what_it_went_back_to(
    corpus: Path, root: Path
) -> None:
    session = prepare(corpus, root)
    steps = session.trainer.windows.steps
    good: dict[str, Any] = {}
    events = []
    for event in session.events():
        events.append(event)
        if isinstance(event, EpochEnd):
            good = session.trainer.weights()
        if is_step(event, steps + 2):
            session.trainer.model.head.bias.data.fill_(math.nan)
            session.stop()
    assert events[-3:] == [WentBack(steps + 2, steps, 0.5), Stopped(steps), Saved(steps)]
    weights = saved(root / "song").weights
    for name, array in good.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_save_that_is_due_waits_until_the_weights_are_numbers_again(
    corpus: Path, root: Path
) -> None:
    made = prepare(corpus, root, steps=4, prefixes=())
    session = Session(made.plan, made.trainer, made.plan.directory.read_info(), save_every=0.0)
    events = []
    for event in session.events():
        events.append(event)
        if is_step(event, 2) and WentBack(3, 0, 0.5) not in events:
            session.trainer.model.head.bias.data.fill_(math.nan)
    steps = [[(step, 1), Saved(step)] for step in (1, 2, 3, 4)]
    told = numbered(events)
    assert told[:5] == [*steps[0], (2, 1), WentBack(3, 0, 0.5), Saved(0)]
    assert told[5:13] == [event for pair in steps for event in pair]
    assert isinstance(events[13], EpochEnd)


def test_without_held_out_text_there_is_nothing_to_measure_unless_a_text_is_given(
    corpus: Path, root: Path, song: str
) -> None:
    session = prepare(corpus, root, validation=0.0, epochs=1)
    list(session.events())
    assert session.best is None
    assert session.last is not None
    assert session.last.validation_loss is None
    model = charlstm.load(root=root)
    with pytest.raises(RunError) as caught:
        model.perplexity(device="cpu")
    assert str(caught.value) == (
        f"{root / 'song'} was trained without held-out text, so there is nothing to measure it "
        "on: name a TEXT that it has not learned from."
    )
    assert model.perplexity(song, device="cpu").characters == len(song) - 1


def test_a_loaded_model_writes(finished: TrainedModel) -> None:
    text = finished.generate("分开", length=40, seed=3)
    assert text.startswith("分开")
    assert len(text) == 2 + 40
    assert finished.generate("分开", length=40, seed=3) == text
    assert finished.generate("分开", length=40, seed=4) != text
    assert "".join(finished.stream("分开", length=40, seed=3)) == text.removeprefix("分开")
    greedy = finished.generate("分开", length=40, temperature=0)
    assert finished.generate("分开", length=40, temperature=2.0, top_k=1, seed=1) == greedy
    assert finished.generate("分开", length=40, temperature=2.0, top_p=1e-9, seed=1) == greedy
    assert finished.generate("离", length=3, unknown="skip").startswith("离")


def test_a_loaded_model_opens_in_both_backends(finished: TrainedModel) -> None:
    scratch = finished.perplexity(backend="scratch", device="cpu").to_json()
    library = finished.perplexity(backend="torch", device="cpu").to_json()
    assert scratch.keys() == library.keys()
    for name, found in scratch.items():  # some are objects, and some are not there
        expected = library[name]
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_a_text_is_measured_in_the_form_that_the_model_learned(
    corpus: Path, root: Path, tmp_path: Path
) -> None:
    list(prepare(corpus, root, epochs=1, newline="space", limit=500).events())
    model = charlstm.load(root=root)
    expected = model.perplexity("分开 la la 等你", device="cpu")
    assert expected.unknown_share == 0
    assert model.perplexity("分开\r\nla la\n等你", device="cpu") == expected
    other = tmp_path / "other.txt"
    other.write_text("分开\nla la\n等你" * 60, encoding="gb18030")
    # All of it, however little was learned.
    text = model.read([other], encoding="gb18030")
    assert model.perplexity(text, device="cpu").characters == 659


def test_load_opens_the_run_that_was_saved_last(corpus: Path, root: Path) -> None:
    for name in ("first", "second"):
        train_until(prepare(corpus, root, name=name), 2)
    assert charlstm.load(root=root).directory.name == "second"
    assert charlstm.load("first", root=root).directory.name == "first"
    assert charlstm.load(root / "first").directory.name == "first"
    train_until(resume(root, "first"), 4)
    assert charlstm.load(root=root).directory.name == "first"
    # A run that has no weights yet is not one that could be opened.
    prepare(corpus, root, name="third")
    assert charlstm.load(root=root).directory.name == "first"


def test_load_says_what_there_is_when_there_is_no_such_run(corpus: Path, root: Path) -> None:
    with pytest.raises(RunError, match=r"^There is no trained model in .* yet: train one with "):
        charlstm.load(root=root)
    train_until(prepare(corpus, root), 1)
    with pytest.raises(RunError) as caught:
        charlstm.load("song-9", root=root)
    assert str(caught.value) == f"There is no run called song-9; {root} has song."


def test_train_returns_a_model_that_writes_and_is_measured(corpus: Path, root: Path) -> None:
    events: list[Event] = []
    model = charlstm.train(
        corpus,
        root=root,
        name="mine",
        prefixes=["分开"],
        backend="torch",
        device="cpu",
        on_event=events.append,
        **{**SETTINGS, "epochs": 2},
    )
    assert model.directory.path == root / "mine"
    assert model.info.backend == "torch"
    assert model.info.recipe.epochs == 2
    assert [event.report.epoch for event in events if isinstance(event, EpochEnd)] == [1, 2]
    assert isinstance(events[-2], Finished)
    assert re.fullmatch(r"分开.{10}", model.generate("分开", length=10), re.DOTALL)
    assert 1 < model.perplexity(device="cpu").perplexity < 100


def test_train_refuses_a_setting_that_does_not_exist(corpus: Path, root: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        charlstm.train(corpus, root=root, hiden=12)
    assert str(caught.value) == "There is no setting called hiden: did you mean hidden?"
    assert not root.exists()
