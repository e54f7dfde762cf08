import dataclasses
import errno
import json
import math
import os
import pickle
import re
import reprlib
import shutil
import stat
import struct
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from directories import empty_run, put_held_out
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file
from saves import read_save, write_save

from charlstm.errors import RunError, SettingError
from charlstm.figures import Report
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.so_far import Pull
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.named import d2l
from charlstm.recipes.recipe import Recipe
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.names import name_for
from charlstm.runs.remembered import Remembered
from charlstm.runs.snapshot import Position, Snapshot
from charlstm.text.corpus import Source, TextOptions
from charlstm.text.formats.format import Format
from charlstm.text.vocabulary import Vocabulary

Json = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

FIRST = Report(
    step=12,
    epoch=1,
    seconds=0.75,
    characters=6_144,
    train_loss=3.5,
    validation_loss=3.25,
    learning_rate=0.002,
)
SECOND = replace(FIRST, step=24, epoch=2, seconds=1.5, validation_loss=None)

INFO = RunInfo(
    recipe=Recipe(
        name="test",
        architecture=Architecture(cell="gru", hidden=3, layers=2, embedding=2),
        steps=24,
        text=TextOptions(newline="space", limit=400),
    ),
    vocabulary=Vocabulary.build("分开不分开 la la\n\0\x7f\u2028é😀", min_count=1),
    sources=(
        Source("data/歌 词.txt", "gb18030", 400, "5" * 64),
        Source("songs.zip/\udcff.txt", "utf-8", 7, "0" * 64, format=Format("CSV", "歌词")),
    ),
    places=("data/歌 词.txt", "songs.zip", "\udcff"),
    encoding="gb18030",
    corpus_sha256="a" * 64,
    training_characters=360,
    held_out_characters=3,
    backend="scratch",
    prefixes=("分开", ""),
    sample_every=3,
    best=FIRST,
    last=SECOND,
    finished="steps",
    versions={"charlstm": "0.1.0", "python": "3.11.7"},
)
BARE = RunInfo(
    recipe=d2l(),
    vocabulary=Vocabulary.build("ab"),
    sources=(),
    places=("-",),
    encoding=None,
    corpus_sha256="b" * 64,
    training_characters=2,
    held_out_characters=0,
    backend="torch",
)
# Where the training that left `FIRST` and `SECOND` stood when it was saved.
POSITION = Position(
    step=24,
    seconds=1.5,
    elapsed=2.25,
    measuring=0.1 + 0.2,
    rate=0.002,
    scale=0.5,
    returns=1,
    best_loss=3.25,
    best_epoch=1,
    loss_sum=0.0,
    loss_count=0,
)
HISTORY, SAMPLES = [FIRST, SECOND], ["分开\n😀", ""]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return empty_run(tmp_path / "checkpoints" / "song")


@pytest.fixture(scope="module")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that has every file; waiting for the disk takes its time."""
    run = empty_run(tmp_path_factory.mktemp("runs") / "song")
    run.write_info(INFO)
    run.write_model(weights_for(INFO))
    run.write_resume(snapshot(INFO), HISTORY, SAMPLES)
    put_held_out(run, "分开\n")
    run.write_history([FIRST, SECOND])
    run.write_samples(["--- epoch 1\n分开"])
    run.write_curve(b"<svg/>")
    return run.path


@pytest.fixture
def whole(written_once: Path, tmp_path: Path) -> RunDirectory:
    """Return a run that has every file, and that a test may change."""
    shutil.copytree(written_once, tmp_path / "checkpoints" / "song")
    return RunDirectory(tmp_path / "checkpoints" / "song")


def weights_for(info: RunInfo) -> Arrays:
    generator = np.random.default_rng(0)
    shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
    return {
        name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }


def resumed_from(info: RunInfo) -> Arrays:
    """Return what a training that has made a step with Adam must go on with."""
    weights = weights_for(info)
    state = (info.recipe.architecture.layers, info.recipe.batch, info.recipe.architecture.hidden)
    return {
        **{f"weights/{name}": array for name, array in weights.items()},
        **{f"moments/{name}/exp_avg": -array for name, array in weights.items()},
        **{f"moments/{name}/exp_avg_sq": array**2 for name, array in weights.items()},
        **{f"moments/{name}/step": np.array(24, np.float32) for name in weights},
        "state/h": np.full(state, 1e-40, np.float32),
    }


def snapshot(info: RunInfo, position: Position = POSITION) -> Snapshot:
    return Snapshot.of(resumed_from(info), weights_for(info), position)


def files(run: RunDirectory) -> set[str]:
    return {path.name for path in run.path.iterdir()}


def written(run: RunDirectory) -> Json:
    value: Json = json.loads((run.path / "run.json").read_bytes())
    return value


def rewrite(run: RunDirectory, change: Callable[[Json], object]) -> None:
    value = written(run)
    change(value)
    (run.path / "run.json").write_text(json.dumps(value), encoding="ascii")


def saved_at(root: Path, name: str, saved: object) -> RunDirectory:
    """Make a run that says it was saved then, and that has a model."""
    run = empty_run(root / name)
    run.write_info(BARE)
    rewrite(run, lambda value: value.update(saved=saved))
    run.write_model({})
    return run


def assert_same_arrays(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def keys(value: object) -> object:
    """Return the keys of `value`, those inside it too, in their order."""
    if isinstance(value, dict):
        return {key: keys(entry) for key, entry in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(value[0])]
    return None


# What is written comes back.


@pytest.mark.parametrize("info", [INFO, BARE], ids=["full", "bare"])
def test_what_is_known_of_a_run_comes_back_as_it_was(run: RunDirectory, info: RunInfo) -> None:
    before = time.time()
    run.write_info(info)
    found = run.read_info()
    assert before <= found.saved <= time.time()
    assert replace(found, saved=0.0) == info


@settings(deadline=None, max_examples=25)
@given(
    st.text(max_size=30),
    st.floats(0, 1e4),
    st.none() | st.floats(0, 1e4),
    st.lists(st.text(), max_size=3),
)
def test_any_text_and_any_loss_come_back_as_they_were(
    text: str, train_loss: float, validation_loss: float | None, prefixes: list[str]
) -> None:
    info = replace(
        INFO,
        vocabulary=Vocabulary.build(text),
        prefixes=tuple(prefixes),
        last=replace(FIRST, train_loss=train_loss, validation_loss=validation_loss),
    )
    with tempfile.TemporaryDirectory() as root:
        run = RunDirectory(Path(root))
        run.write_info(info)
        assert replace(run.read_info(), saved=0.0) == info


def test_run_json_has_these_keys(run: RunDirectory) -> None:
    report = {
        "step": None,
        "epoch": None,
        "seconds": None,
        "characters": None,
        "train_loss": None,
        "validation_loss": None,
        "learning_rate": None,
        "network_loss": None,
        "network_perplexity": None,
        "train_perplexity": None,
        "validation_perplexity": None,
        "bits_per_character": None,
    }
    run.write_info(INFO)
    found = written(run)
    recipe = found.pop("recipe")
    assert found["format"] == 5
    assert keys(found) == {
        "format": None,
        "saved": None,
        "finished": None,
        "backend": None,
        "started_from": None,
        "tensorboard": None,
        "corpus": {
            "places": None,
            "encoding": None,
            "apart": None,
            "songs": None,
            "sha256": None,
            "training_characters": None,
            "held_out_characters": None,
            "suffixes": None,
            "labels": {},
            "sources": [{"name": None, "encoding": None, "characters": None, "sha256": None}],
        },
        "samples": {"prefixes": None, "every": None},
        "recall": None,
        "best": report,
        "last": report,
        "versions": {"charlstm": None, "python": None},
        "vocabulary": {"characters": None, "counts": None},
    }
    assert set(recipe) == {
        *("name", "architecture", "initialization", "optimizer", "learning_rate", "schedule"),
        *("head_rate", "layout"),
        *("weight_decay", "clip", "dropout", "batch", "window", "sampling", "epochs", "steps"),
        *("minutes", "patience", "validation", "min_count", "precision", "seed", "text"),
        *("recall", "compress", "sync_every", "layout"),
    }
    assert set(recipe["architecture"]) == {"cell", "hidden", "layers", "embedding"}

    remembered = Remembered(Pull(0.5, (2.0,) * len(LENGTHS)), 12, (4, 9))
    run.write_info(replace(INFO, recipe=replace(INFO.recipe, recall=0.4), recall=remembered))
    assert keys(written(run)["recall"]) == {
        "discount": None,
        "pulls": None,
        "line": None,
        "grams": None,
    }
    assert run.read_info().recall == remembered
    assert set(recipe["text"]) == {
        *("normalize", "newline", "limit", "songs", "tidy", "line_ends", "field", "labels"),
        "letters_only",
    }


def test_run_json_is_strict_json_in_ascii_whatever_the_figures(run: RunDirectory) -> None:
    hopeless = replace(FIRST, train_loss=1e4, validation_loss=1e4)
    assert hopeless.train_perplexity == math.inf
    run.write_info(replace(INFO, best=hopeless, last=hopeless))
    text = (run.path / "run.json").read_bytes().decode("ascii")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    value = json.loads(text, parse_constant=refuse)
    assert value["best"]["validation_perplexity"] is None
    assert value["best"]["validation_loss"] == 1e4
    assert run.read_info().best == hopeless


def test_history_has_one_object_a_line_with_these_keys_and_figures(run: RunDirectory) -> None:
    hopeless = replace(FIRST, train_loss=1e4)
    run.write_history([FIRST, SECOND, hopeless])
    lines = (run.path / "history.jsonl").read_text(encoding="ascii").splitlines()
    first, second, third = map(json.loads, lines)
    assert first == {
        "step": 12,
        "epoch": 1,
        "seconds": 0.75,
        "characters": 6_144,
        "train_loss": 3.5,
        "validation_loss": 3.25,
        "learning_rate": 0.002,
        "network_loss": None,
        "network_perplexity": None,
        "train_perplexity": pytest.approx(33.11545, rel=1e-6),
        "validation_perplexity": pytest.approx(25.79034, rel=1e-6),
        "bits_per_character": pytest.approx(4.688759, rel=1e-6),
    }
    assert second.keys() == first.keys()
    assert second["validation_loss"] is None
    assert second["validation_perplexity"] is None
    assert second["bits_per_character"] is None
    assert third["train_perplexity"] is None  # infinite


def test_weights_come_back_bit_for_bit(run: RunDirectory) -> None:
    weights = weights_for(INFO)
    run.write_model(weights)
    assert_same_arrays(run.read_model(INFO), weights)


def test_what_a_resume_needs_comes_back_bit_for_bit(run: RunDirectory) -> None:
    run.write_model(weights_for(INFO))
    run.write_resume(snapshot(INFO), HISTORY, SAMPLES)
    found, history, samples = run.read_resume(INFO)
    assert_same_arrays(found.tensors(), resumed_from(INFO))
    assert_same_arrays(found.best_weights, weights_for(INFO))
    assert found.position == POSITION
    assert (history, samples) == (HISTORY, SAMPLES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": -1},
        {"step": 1.0},
        {"returns": True},
        {"seconds": math.nan},
        {"elapsed": 1e13},
        {"measuring": -1.0},
        {"rate": math.inf},
        {"scale": 0.0},
        {"scale": 1.5},
        {"loss_sum": math.inf},
        {"best_loss": math.nan},
        {"best_loss": None},
        {"best_epoch": 0},
        {"loss_count": -1},
    ],
)
def test_a_position_is_checked_when_it_is_made(wrong: Json) -> None:
    with pytest.raises((SettingError, ValueError), match=rf"^{next(iter(wrong))}|^best_loss and "):
        replace(POSITION, **wrong)


def test_a_position_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        POSITION.step = -1  # type: ignore[misc]


def test_the_file_that_a_training_is_resumed_from_names_what_it_holds(run: RunDirectory) -> None:
    run.write_resume(snapshot(INFO), HISTORY, SAMPLES)
    tensors, position = read_save(run.path / "resume.safetensors")
    assert_same_arrays(tensors, resumed_from(INFO))
    reports = [dataclasses.asdict(report) for report in HISTORY]
    assert position == {
        "step": 24,
        "seconds": 1.5,
        "elapsed": 2.25,
        "measuring": 0.1 + 0.2,
        "rate": 0.002,
        "scale": 0.5,
        "returns": 1,
        "best_loss": 3.25,
        "best_epoch": 1,
        "loss_sum": 0.0,
        "loss_count": 0,
        "history": reports,
        "samples": SAMPLES,
    }


def test_a_file_put_together_by_hand_is_resumed_from_as_well(run: RunDirectory) -> None:
    run.write_model(weights_for(INFO))
    position: Json = dataclasses.asdict(POSITION)
    position |= {"history": [report.to_json() for report in HISTORY], "samples": SAMPLES}
    write_save(run.path / "resume.safetensors", resumed_from(INFO), position)
    found, history, samples = run.read_resume(INFO)
    assert_same_arrays(found.tensors(), resumed_from(INFO))
    assert (found.position, history, samples) == (POSITION, HISTORY, SAMPLES)


@pytest.mark.parametrize(("optimizer", "step"), [("sgd", 24), ("adamw", 0)])
def test_a_resume_needs_no_moments_before_they_are_there(
    run: RunDirectory, optimizer: str, step: int
) -> None:
    info = replace(INFO, recipe=INFO.recipe.override(optimizer=optimizer))
    arrays = {
        name: array for name, array in resumed_from(info).items() if not name.startswith("moments/")
    }
    position, history = POSITION, HISTORY
    if not step:
        position = replace(POSITION, step=0, best_loss=None, best_epoch=0)
        history = []
    run.write_model(weights_for(info))
    run.write_resume(Snapshot.of(arrays, weights_for(info), position), history, SAMPLES)
    assert_same_arrays(run.read_resume(info)[0].tensors(), arrays)
    # With them the optimiser would be another one.
    run.write_resume(snapshot(info, position), history, SAMPLES)
    message = damaged_message(lambda: run.read_resume(info))
    assert "is damaged: it has moments/embedding.weight/exp_avg, which run.json does not" in message


def test_a_perplexity_beyond_every_float_does_not_make_a_save_unreadable(
    run: RunDirectory,
) -> None:
    hopeless = replace(SECOND, validation_loss=1e4)
    run.write_model(weights_for(INFO))
    run.write_resume(snapshot(INFO), [FIRST, hopeless], SAMPLES)
    _, history, _ = run.read_resume(INFO)
    assert history == [FIRST, hopeless]


@pytest.mark.parametrize("text", ["", "分开\n不分开\n", "\ufeff \u2028\x85\0\r\n"])
def test_the_held_out_text_comes_back_character_for_character(tmp_path: Path, text: str) -> None:
    info = replace(INFO, held_out_characters=len(text))
    for pieces in (text, iter(text), [text[:2], "", text[2:]]):
        run = RunDirectory.create("song", tmp_path, info, pieces)
        assert run.read_held_out(info) == text


def test_samples_and_curve_are_written_as_they_are(run: RunDirectory) -> None:
    run.write_samples(["--- epoch 1\n分开\n", "--- epoch 2\n不分开\n"])
    run.write_curve(b"<svg/>")
    samples = (run.path / "samples.txt").read_bytes().decode()
    assert samples == "--- epoch 1\n分开\n\n--- epoch 2\n不分开\n"
    assert (run.path / "curve.svg").read_bytes() == b"<svg/>"


def test_a_run_works_where_it_was_copied_to(whole: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "elsewhere" / "copy")
    shutil.rmtree(whole.path)
    copy = RunDirectory.find("copy", tmp_path / "elsewhere")
    assert replace(copy.read_info(), saved=0.0) == INFO
    assert_same_arrays(copy.read_model(INFO), weights_for(INFO))
    assert copy.read_held_out() == "分开\n"
    found, history, samples = copy.read_resume(INFO)
    assert (found.position, history, samples) == (POSITION, HISTORY, SAMPLES)


# How it is written.


def test_nothing_but_the_files_is_left_after_writing_them_again_and_again(
    whole: RunDirectory,
) -> None:
    whole.write_info(BARE)
    whole.write_model(weights_for(INFO))
    assert files(whole) == {
        "model.safetensors",
        "run.json",
        "heldout.txt",
        "resume.safetensors",
        "history.jsonl",
        "curve.svg",
        "samples.txt",
    }


def test_until_the_new_file_is_safe_on_the_disk_the_old_one_stands(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = run.path / "curve.svg"
    run.write_curve(b"old")
    seen: list[tuple[bytes, bytes]] = []
    fsync = os.fsync

    def watch(handle: int) -> None:
        fsync(handle)
        if stat.S_ISDIR(os.fstat(handle).st_mode):  # so that the renaming lasts as well
            seen.append((curve.read_bytes(), b""))
            return
        (new,) = set(run.path.iterdir()) - {curve}
        seen.append((curve.read_bytes(), new.read_bytes()))

    monkeypatch.setattr(os, "fsync", watch)
    run.write_curve(b"new")
    assert seen == [(b"old", b"new"), (b"new", b"")]
    assert curve.read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one(
    whole: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(whole)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError) as caught:
        whole.write_info(BARE)
    assert str(caught.value) == (
        f"{whole.path / 'run.json'} cannot be written: No space left on device. What was saved "
        "before is kept."
    )
    assert files(whole) == before
    assert replace(whole.read_info(), saved=0.0) == INFO


def test_a_directory_that_is_gone_or_in_the_way_is_told(run: RunDirectory) -> None:
    (run.path / "run.json").mkdir()
    with pytest.raises(RunError, match=r"run\.json cannot be written: Is a directory\."):
        run.write_info(INFO)
    assert files(run) == {"run.json"}
    shutil.rmtree(run.path)
    writers: list[Callable[[], object]] = [
        lambda: run.write_info(INFO),
        lambda: run.write_samples(["分开"]),
    ]
    for write in writers:
        with pytest.raises(RunError, match=r"song was removed while it was in use, so .* cannot"):
            write()
    with pytest.raises(RunError, match=r"song was removed while it was in use\.$"), run.locked():
        pass
    assert not run.path.exists()


def test_a_part_that_a_crash_left_behind_is_in_nobody_s_way(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            run.write_curve(b"a part that is longer than what follows")
    assert "curve.svg" not in files(run)
    run.write_curve(b"whole")
    assert (run.path / "curve.svg").read_bytes() == b"whole"
    assert files(run) == {"curve.svg"}


# Making and finding a run.


def test_a_second_run_of_a_name_takes_the_next_free_one(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there" / "yet"
    made = [RunDirectory.create("歌 词", root, INFO).name for _ in range(3)]
    assert made == ["歌 词", "歌 词-2", "歌 词-3"]
    assert sorted(path.name for path in root.iterdir()) == made
    shutil.rmtree(root / "歌 词-2")
    assert RunDirectory.create("歌 词", root, INFO).name == "歌 词-2"


def test_a_file_takes_a_name_as_well(tmp_path: Path) -> None:
    (tmp_path / "song").write_bytes(b"keep me")
    assert RunDirectory.create("song", tmp_path, INFO).path == tmp_path / "song-2"
    assert (tmp_path / "song").read_bytes() == b"keep me"


def test_runs_that_begin_at_the_same_time_never_share_a_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunDirectory.create("song", tmp_path, INFO).name, range(8)))
    assert sorted(made) == ["song", *(f"song-{number}" for number in range(2, 9))]


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../out", "a/../../out", "/out", "a/b", "a\\b", ".hidden"),
        *("a\0", "a\n", "a:b", " ", "a.", "a ", "\ud800", "l" * 121),
    ],
)
def test_a_name_that_could_leave_the_root_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "checkpoints"
    with pytest.raises(RunError) as caught:
        RunDirectory.create(name, root, INFO)
    assert str(caught.value) == (
        f"A run cannot be called {reprlib.repr(name)}: use letters, digits, spaces, '-', '_' "
        "and '.', 120 at most, do not begin with a dot, and do not end with a dot or a space."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["con", "NUL", "Aux.txt", "com¹", "LPT9 .a.b"])
def test_a_name_that_another_system_has_for_a_device_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match=r"^A run cannot be called '.*': on Windows that is a dev"):
        RunDirectory.create(name, tmp_path, INFO)
    assert RunDirectory.create(f"my{name}", tmp_path, INFO).path.is_dir()


def test_a_name_that_is_longer_than_file_systems_have_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"its name takes 243 bytes, and at most 240 can be"):
        RunDirectory.create("分" * 81, tmp_path, INFO)
    assert RunDirectory.create("分" * 80, tmp_path, INFO).path.is_dir()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    for root in ("file", "dangling"):
        with pytest.raises(RunError) as caught:
            RunDirectory.create("song", tmp_path / root, INFO)
        assert str(caught.value) == (
            f"{tmp_path / root} is not a directory, so no run can live there."
        )
    below = tmp_path / "file" / "below"
    with pytest.raises(RunError) as caught:
        RunDirectory.create("song", below, INFO)
    assert str(caught.value) == f"{below / 'song'} cannot be made: Not a directory."


def test_the_newest_run_is_the_one_saved_last_whatever_the_file_system_says(
    tmp_path: Path,
) -> None:
    for name, saved, touched in (("a", 300.0, 1), ("b", 200.0, 2), ("c", 100, 3)):
        path = saved_at(tmp_path, name, saved).path
        for place in (path / "run.json", path / "model.safetensors", path):
            os.utime(place, (touched, touched))
    assert RunDirectory.find(root=tmp_path).name == "a"
    RunDirectory(tmp_path / "b").write_info(BARE)
    assert RunDirectory.find(root=tmp_path).name == "b"


@pytest.mark.parametrize(
    "saved", ["yesterday", None, [], math.inf, math.nan, pytest.param(10**400, id="huge")]
)
def test_a_run_that_does_not_say_when_it_was_saved_counts_as_the_oldest(
    tmp_path: Path, saved: object
) -> None:
    saved_at(tmp_path, "z", saved)
    assert RunDirectory.find(root=tmp_path).name == "z"
    saved_at(tmp_path, "a", 1.0)
    assert RunDirectory.find(root=tmp_path).name == "a"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_run_does_not_hide_the_others(tmp_path: Path, damage: bytes) -> None:
    saved_at(tmp_path, "sound", 1.0)
    (saved_at(tmp_path, "unsound", 2.0).path / "run.json").write_bytes(damage)
    assert RunDirectory.find(root=tmp_path).name == "sound"


def test_a_run_without_a_model_yet_is_not_the_newest_but_has_its_name(tmp_path: Path) -> None:
    saved_at(tmp_path, "trained", 1.0)
    (saved_at(tmp_path, "begun", 2.0).path / "model.safetensors").unlink()
    assert RunDirectory.find(root=tmp_path).name == "trained"
    assert RunDirectory.find("begun", root=tmp_path).name == "begun"


def test_where_nothing_was_trained_there_is_nothing_to_find(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (saved_at(tmp_path, "begun", 2.0).path / "model.safetensors").unlink()
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunError) as caught:
            RunDirectory.find(root=root)
        assert str(caught.value) == (
            f"There is no trained model in {root}/ yet: train one with charlstm.train(...), or "
            "name a run with run."
        )


def test_a_run_is_found_by_its_name_and_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "checkpoints"
    saved_at(root, "歌 词", 1.0)
    saved_at(root, "newer", 2.0)
    assert RunDirectory.find("歌 词", root).path == root / "歌 词"
    assert RunDirectory.find(root / "歌 词", tmp_path / "absent").path == root / "歌 词"
    monkeypatch.chdir(tmp_path)
    assert RunDirectory.find("checkpoints/歌 词", Path("absent")).read_info().backend == "torch"
    assert RunDirectory.find("歌 词").name == "歌 词"


@pytest.mark.parametrize("name", ["absent", "empty", "s" * 300])
def test_a_run_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError) as caught:
        RunDirectory.find(name, tmp_path)
    assert str(caught.value) == (f"There is no run called {name}, and {tmp_path} has none at all.")
    saved_at(tmp_path, "b", 1.0)
    saved_at(tmp_path, "a", 2.0)
    with pytest.raises(RunError) as caught:
        RunDirectory.find(name, tmp_path)
    assert str(caught.value) == f"There is no run called {name}; {tmp_path} has a, b."


@pytest.mark.parametrize(
    ("places", "name"),
    [
        (["data/歌 词.txt"], "歌_词"),
        (["b.txt", "a.txt"], "b"),
        (["songs/"], "songs"),
        (["songs/../other"], "other"),
        (["lyrics.TXT.gz"], "lyrics"),
        (["my.songs.zip"], "my.songs"),
        (["a & b (live).txt"], "a_b_live"),
        (["songs/*.txt"], "songs"),
        (["...txt"], "run"),
        ([".lyrics.txt"], "lyrics"),
        (["-", "a.txt"], "stdin"),
        ([], "text"),
        (["l" * 200], "l" * 100),
        (["分" * 100], "分" * 66),
        (["l" * 99 + ".txt.more"], "l" * 99),
        (["con.txt"], "con_"),
        (["aux.old"], "aux.old_"),
    ],
)
def test_a_run_is_named_after_the_first_place_of_its_corpus(places: list[str], name: str) -> None:
    assert name_for(places) == name


def test_a_run_on_the_directory_one_is_in_is_named_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "songs" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "songs" / "deep")
    assert name_for([Path()]) == name_for(["."]) == "deep"
    assert name_for([".."]) == "songs"


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=150))
def test_whatever_a_corpus_is_called_its_run_can_be_made(place: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        run = RunDirectory.create(name_for([place]), Path(root), INFO)
        assert run.path.is_dir()
        assert run.path.parent == Path(root)


# Files that are not what they should be.


def damaged_message(read: Callable[[], object]) -> str:
    with pytest.raises(RunError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b"not json", b"[" * 100_000])
def test_a_run_json_that_is_not_json_is_damaged(whole: RunDirectory, data: bytes) -> None:
    path = whole.path / "run.json"
    path.write_bytes(data)
    message = damaged_message(whole.read_info)
    assert message.startswith(f"{path} is damaged: it is not valid JSON.")


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"run"'])
def test_a_run_json_that_is_no_object_is_damaged(whole: RunDirectory, data: bytes) -> None:
    path = whole.path / "run.json"
    path.write_bytes(data)
    message = damaged_message(whole.read_info)
    assert message.startswith(f"{path} is damaged: it does not hold an object.")


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (6, "Get a newer charlstm."),
        (1, "Use the version of charlstm that wrote it."),
        ("2", "Use the version of charlstm that wrote it."),
        (2.0, "Use the version of charlstm that wrote it."),
        (None, "Use the version of charlstm that wrote it."),
    ],
)
def test_a_run_of_another_format_is_refused_with_what_to_do(
    whole: RunDirectory, version: object, advice: str
) -> None:
    rewrite(whole, lambda value: value.update(format=version))
    assert damaged_message(whole.read_info) == (
        f"{whole.path / 'run.json'} has format {version!r}; this version of charlstm reads formats "
        f"2 to 5. {advice}"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda value: value.pop("vocabulary"), "'vocabulary' is missing"),
        (lambda value: value.pop("finished"), "'finished' is missing"),
        (lambda value: value["corpus"].pop("sha256"), "'sha256' is missing"),
        (lambda value: value["last"].pop("step"), "'step' is missing"),
        (lambda value: value.update(corpus=[]), "corpus must be dict, not list."),
        (lambda value: value.update(backend=None), "backend must be one of scratch, torch."),
        (lambda value: value.update(finished=1), "finished must be str or NoneType, not int."),
        (
            lambda value: value["samples"].update(every=True),
            "every must be a whole number from 0 to 9,007,199,254,740,992, not True.",
        ),
        (lambda value: value["samples"].update(prefixes=[1]), "prefixes must hold text."),
        (lambda value: value["last"].update(train_loss="3"), "train_loss must be a number"),
        (lambda value: value["vocabulary"].update(counts=[0.5]), "counts must be whole numbers."),
        (
            lambda value: value["vocabulary"].update(characters="aa", counts=[0, 1, 1]),
            "A vocabulary cannot hold the same character twice.",
        ),
        (
            lambda value: value["vocabulary"].update(characters="ab"),
            "A vocabulary of 2 characters and <unk> needs as many counts",
        ),
        (
            lambda value: value["recipe"].update(batch=0),
            "batch must be a whole number from 1 to 65,536, not 0.",
        ),
        (
            lambda value: value["recipe"]["architecture"].update(cell="mlp"),
            "cell must be one of lstm, peephole, coupled, gru, rnn, not 'mlp'.",
        ),
        (
            lambda value: value["recipe"].pop("seed"),
            "recipe must have the fields ['architecture', ",
        ),
        (lambda value: value.update(saved=10**400), "saved must be a number from 0 up, not 1000"),
        (lambda value: value["corpus"].update(sources=["song.txt"]), "sources must hold objects."),
        (lambda value: value["recipe"].update(learning_rate=10**400), "learning_rate must be"),
    ],
)
def test_a_run_json_with_something_wrong_in_it_says_what(
    whole: RunDirectory, change: Callable[[Json], object], what: str
) -> None:
    rewrite(whole, change)
    message = damaged_message(whole.read_info)
    assert message.startswith(f"{whole.path / 'run.json'} is damaged: {what}")


@pytest.mark.parametrize("name", ["run.json", "heldout.txt", "model.safetensors"])
def test_a_file_that_is_missing_is_named(whole: RunDirectory, name: str) -> None:
    (whole.path / name).unlink()
    reads: dict[str, Callable[[], object]] = {
        "run.json": whole.read_info,
        "heldout.txt": whole.read_held_out,
        "model.safetensors": lambda: whole.read_model(INFO),
    }
    message = damaged_message(reads[name])
    if name == "model.safetensors":
        assert message == (
            f"{whole.path} has no model yet: go on with "
            f"charlstm.resume({str(whole.path)!r}), or restore it from an intact copy."
        )
        return
    assert message.startswith(f"{whole.path / name} cannot be read: No such file or directory")


def test_a_run_without_a_save_has_nothing_to_resume(whole: RunDirectory) -> None:
    (whole.path / "resume.safetensors").unlink()
    assert damaged_message(lambda: whole.read_resume(INFO)) == (
        f"{whole.path} was stopped before its first save."
    )


def bfloat16() -> bytes:
    """Return a sound safetensors file with a type that NumPy does not have."""
    entry = {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}
    header = json.dumps({"head.bias": entry}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:40],
        lambda data: data + b"\0",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: pickle.dumps({"head.bias": [1.0]}),
        lambda data: bfloat16(),
    ],
    ids=["empty", "cut", "cut in the header", "longer", "header", "pickle", "bfloat16"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "resume.safetensors"])
def test_weights_that_are_damaged_or_foreign_are_refused(
    whole: RunDirectory, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = whole.path / name
    path.write_bytes(change(path.read_bytes()))
    read: Callable[[], object] = lambda: whole.read_resume(INFO)  # noqa: E731
    if name == "model.safetensors":
        read = lambda: whole.read_model(INFO)  # noqa: E731
    assert re.match(r"\S+ (cannot be read|is damaged): ", damaged_message(read))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda arrays: arrays.update({"head.bias": np.zeros(5, np.float32)}),
            "its head.bias is F32 [5], and run.json asks for F32 [13].",
        ),
        (
            lambda arrays: arrays.update({"head.bias": np.zeros((14, 1), np.float32)}),
            "its head.bias is F32 [14, 1], and run.json asks for F32 [13].",
        ),
        (
            lambda arrays: arrays.update({"head.bias": np.zeros(14, np.float64)}),
            "its head.bias is F64 [14], and run.json asks for F32 [13].",
        ),
        (lambda arrays: arrays.pop("head.bias"), "it lacks head.bias, which run.json asks for."),
        (
            lambda arrays: arrays.update({"head.extra": np.zeros(1, np.float32)}),
            "it has head.extra, which run.json does not ask for.",
        ),
    ],
)
def test_weights_that_do_not_fit_run_json_are_refused_with_what_was_expected(
    whole: RunDirectory, change: Callable[[Arrays], object], what: str
) -> None:
    weights = weights_for(INFO)
    change(weights)
    path = whole.path / "model.safetensors"
    save_file(weights, path)
    message = damaged_message(lambda: whole.read_model(INFO))
    assert message.startswith(f"{path} is damaged: {what}")


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        (None, "it is not valid JSON."),
        ({"charlstm": "1"}, "it is not valid JSON."),
        ({"position": "{"}, "it is not valid JSON."),
        ({"position": "[]"}, "it does not say where training stood."),
    ],
)
def test_a_resume_file_without_its_position_is_damaged(
    whole: RunDirectory, metadata: dict[str, str] | None, what: str
) -> None:
    path = whole.path / "resume.safetensors"
    save_file({"weights/head.bias": np.zeros(3, np.float32)}, path, metadata)
    assert damaged_message(lambda: whole.read_resume(INFO)).startswith(f"{path} is damaged: {what}")


def test_a_held_out_text_that_is_not_utf_8_is_damaged(whole: RunDirectory) -> None:
    path = whole.path / "heldout.txt"
    path.write_bytes("分开".encode() + b"\xff")
    message = damaged_message(whole.read_held_out)
    assert message.startswith(f"{path} is damaged: byte 6 is not UTF-8.")


@pytest.mark.parametrize("name", ["run.json", "heldout.txt", "model.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "broken", "does not fit"])
def test_whatever_is_wrong_with_a_file_the_message_says_what_to_do(
    whole: RunDirectory, name: str, damage: str
) -> None:
    path = whole.path / name
    if damage == "gone":
        path.unlink()
    elif damage == "broken":
        path.write_bytes(b"\xff")
    elif name == "run.json":
        rewrite(whole, lambda value: value.pop("recipe"))
    elif name == "model.safetensors":
        save_file({"head.bias": np.zeros(1, np.float32)}, path)
    else:
        path.unlink()
        path.mkdir()
    reads: dict[str, Callable[[], object]] = {
        "run.json": whole.read_info,
        "heldout.txt": whole.read_held_out,
        "model.safetensors": lambda: whole.read_model(INFO),
    }
    message = damaged_message(reads[name])
    advice = message.removeprefix(str(path))
    assert re.search(r"\b(train|copy|restore|bring|name)\b.*\.$", advice, re.IGNORECASE)
