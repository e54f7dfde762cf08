"""Run directories from strangers: whatever is in them, they work or are refused in a sentence."""

import bz2
import dataclasses
import errno
import hashlib
import json
import math
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from directories import empty_run, put_held_out, put_index
from faults import cases, fuzz_runs
from faults.patience import HANGS_AFTER
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from saves import write_save

from charlstm.api import load
from charlstm.errors import RunError
from charlstm.figures import Report
from charlstm.files import opened_in_place, write_whole
from charlstm.machine import machine_bytes
from charlstm.model.charlm import CharLM
from charlstm.model.recall.followers import LENGTHS
from charlstm.model.recall.learning import learn_recall
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.remembered import Remembered, gram_bytes
from charlstm.runs.snapshot import Position, Snapshot
from charlstm.text.corpus import Source
from charlstm.text.vocabulary import Vocabulary

PLACES = st.randoms(use_true_random=False)

Json = Any
Arrays = dict[str, NDArray[Any]]
Patch = pytest.MonkeyPatch

LEARNED, HELD_OUT = "分开不分开\n" * 50, "我在车站\n"
REPORT = Report(
    step=3,
    epoch=1,
    seconds=0.5,
    characters=300,
    train_loss=2.5,
    validation_loss=2.25,
    learning_rate=0.002,
)
VOCABULARY = Vocabulary.build(LEARNED)
RECALL = learn_recall(VOCABULARY.encode(LEARNED), len(VOCABULARY))
INFO = RunInfo(
    recipe=Recipe(
        name="test",
        architecture=Architecture(cell="lstm", hidden=3, embedding=2),
        batch=2,
        window=8,
        recall=0.4,
    ),
    vocabulary=VOCABULARY,
    sources=(),
    places=("song.txt",),
    encoding=None,
    corpus_sha256=hashlib.sha256((LEARNED + HELD_OUT).encode()).hexdigest(),
    training_characters=len(LEARNED),
    held_out_characters=len(HELD_OUT),
    backend="scratch",
    best=REPORT,
    last=REPORT,
    versions={"charlstm": "0.1.0"},
    recall=Remembered.of(RECALL),
)
POSITION: dict[str, Json] = {
    **{"step": 3, "seconds": 0.5, "elapsed": 0.75, "measuring": 0.1, "rate": 0.002, "scale": 1.0},
    **{"returns": 0, "best_loss": 2.25, "best_epoch": 1, "loss_sum": 0.0, "loss_count": 0},
    **{"history": [REPORT.to_json()], "samples": ["--- epoch 1\n分开"]},
}


def arrays_of(info: RunInfo, steps: int = 3) -> tuple[Arrays, Arrays]:
    """Return the weights of a run, and all that it is resumed from."""
    recipe = info.recipe
    shapes = recipe.architecture.parameter_shapes(len(info.vocabulary))
    generator = np.random.default_rng(0)
    weights = {name: generator.random(shape, np.float32) for name, shape in shapes.items()}
    resume = {f"weights/{name}": array for name, array in weights.items()}
    for name, array in weights.items():
        resume[f"moments/{name}/exp_avg"] = resume[f"moments/{name}/exp_avg_sq"] = array
        resume[f"moments/{name}/step"] = np.array(steps, np.float32)
    state = np.zeros((recipe.architecture.layers, recipe.batch, recipe.architecture.hidden))
    resume["state/h"] = resume["state/c"] = state.astype(np.float32)
    return weights, resume


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("runs")
    run = RunDirectory.create("song", where, INFO, HELD_OUT, grams=gram_bytes(RECALL))
    weights, resume = arrays_of(INFO)
    run.write_model(weights)
    write_save(run.path / "resume.safetensors", resume, POSITION)
    put_index(run, LEARNED)
    run.write_history([REPORT])
    return run.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(made, tmp_path / "checkpoints" / "song")))


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    def hangs(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANGS_AFTER)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def reads(run: RunDirectory) -> dict[str, Callable[[], object]]:
    """Return what reads each file."""
    return {
        "run.json": run.read_info,
        "heldout.txt": lambda: run.read_held_out(INFO),
        "history.jsonl": run.read_history,
        "model.safetensors": lambda: run.read_model(INFO),
        "resume.safetensors": lambda: run.read_resume(INFO),
        "recall.safetensors": lambda: run.read_recall(INFO),
    }


TENSORS = ("model.safetensors", "resume.safetensors", "recall.safetensors")
FILES = ("run.json", "heldout.txt", "history.jsonl", *TENSORS)


def sentence(read: Callable[[], object]) -> str:
    with pytest.raises(RunError) as caught:
        read()
    told = str(caught.value)
    assert told.endswith(".")
    assert told.splitlines() == [told]
    assert len(told) < 1_000
    return told


def works_or_is_refused(read: Callable[[], object]) -> bool:
    try:
        read()
    except RunError:
        sentence(read)
        return False
    return True


def test_an_honest_run_is_read(run: RunDirectory) -> None:
    assert all(works_or_is_refused(read) for read in reads(run).values())
    assert run.read_index(INFO) == LEARNED


# What is no file.


GONE = {("run.json", "loop"), ("run.json", "nowhere")}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "socket", "loop", "nowhere"])
def test_what_is_no_file_is_refused_and_not_waited_for(
    run: RunDirectory, name: str, kind: str
) -> None:
    path = run.path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener, chdir(run.path):
            listener.bind(name)
    else:
        path.symlink_to(name if kind == "loop" else "absent")
    told = sentence(reads(run)[name])
    assert told.startswith(f"{path} cannot be read: ")
    if kind not in ("loop", "nowhere"):
        assert "it is not a file." in told
    # A save that is no file is no reason to begin anew.
    assert run.has_resume
    found = works_or_is_refused(lambda: RunDirectory.find(root=run.path.parent))
    assert found == (name != "model.safetensors" and (name, kind) not in GONE)


@pytest.mark.parametrize("name", [*FILES, "training.txt.bz2"])
def test_a_link_that_leads_out_of_the_run_is_refused(run: RunDirectory, name: str) -> None:
    path, outside = run.path / name, run.path.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    told = sentence((reads(run) | {"training.txt.bz2": lambda: run.read_index(INFO)})[name])
    assert told.startswith(f"{path} cannot be read: it is a link that leads out of its directory. ")


@pytest.mark.parametrize("name", FILES)
def test_a_link_within_the_run_is_read(run: RunDirectory, name: str) -> None:
    (run.path / name).rename(run.path / "other")
    (run.path / name).symlink_to("other")
    assert works_or_is_refused(reads(run)[name])


def test_a_run_that_is_itself_a_link_is_read(run: RunDirectory) -> None:
    linked = run.path.parent / "linked"
    linked.symlink_to(run.path)
    assert all(works_or_is_refused(read) for read in reads(RunDirectory(linked)).values())


def test_what_a_file_holds_is_not_waited_for(run: RunDirectory) -> None:
    with opened_in_place(run.path / "run.json") as file:
        assert not os.get_blocking(file.fileno())


def test_the_lock_of_a_run_leads_nowhere(run: RunDirectory, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    (run.path / ".lock").symlink_to(mine)

    def lock() -> None:
        with run.locked():
            pass

    works_or_is_refused(lock)
    assert mine.read_bytes() == b"mine"


# Sizes.


@pytest.mark.parametrize("name", ["run.json", "history.jsonl"])
def test_json_that_is_too_long_is_not_even_read(
    run: RunDirectory, name: str, monkeypatch: Patch
) -> None:
    # A history has a line for every epoch.
    limit = (1 << 30) if name == "history.jsonl" else 32 << 20
    os.truncate(run.path / name, limit + 1)
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr(json, "loads", None)
    assert sentence(reads(run)[name]) == (
        f"{run.path / name} is damaged: it has {limit + 1:,} bytes, and more than {limit:,} cannot "
        "be right. Restore the run from an intact copy, or train again."
    )
    if name == "run.json":  # and when the newest is looked for
        assert RunDirectory.find(root=run.path.parent).path == run.path


def test_a_run_json_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("charlstm.runs.info.LARGEST_JSON", 30_000)
    source = Source("n" * 500, "utf-8", 1, "0" * 64)
    assert RunDirectory.create("song", tmp_path, replace(INFO, sources=(source,) * 40))
    many = replace(INFO, sources=(source,) * 60)
    told = sentence(lambda: RunDirectory.create("song", tmp_path, many))
    assert told.startswith("The corpus has too many files, 60, for run.json to name them: join ")
    assert [path.name for path in tmp_path.iterdir()] == ["song"]


@pytest.mark.parametrize(
    ("held_out", "told"),
    [
        (HELD_OUT[:-1], "it has 4 characters, and run.json says 5."),
        (HELD_OUT + "a", "it has 6 characters, and run.json says 5."),
        ("😀" * 6, "it has 24 bytes, and more than 20 cannot be right."),
        ("", "it has 0 characters, and run.json says 5."),
    ],
)
def test_a_held_out_text_of_another_length_is_damaged(
    run: RunDirectory, held_out: str, told: str
) -> None:
    put_held_out(run, held_out)
    path = run.path / "heldout.txt"
    assert sentence(lambda: run.read_held_out(INFO)).startswith(f"{path} is damaged: {told}")
    assert sentence(run.read_held_out).startswith(f"{path} is damaged: {told}")


def test_an_index_is_unpacked_once_and_only_as_far_as_it_should_go(run: RunDirectory) -> None:
    text = "".join(map(chr, range(0x4E00, 0x9FA6))) * 120
    put_index(run, text)
    (run.path / "heldout.txt").unlink()
    info = replace(INFO, training_characters=len(text))
    tracemalloc.start()
    try:
        assert run.read_index(info) == text
        _, most = tracemalloc.get_traced_memory()
        # The text takes two bytes a character here, as pieces and then as a whole. Its bytes take
        # three, but no more than some of them are in memory at a time.
        assert most < 4 * len(text) + 7_000_000
        (run.path / "training.txt.bz2").write_bytes(bz2.compress(b"\n" * 30_000_000))
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        sentence(lambda: run.read_index(info))
        _, most = tracemalloc.get_traced_memory()
        assert most - before < len(text) + 8_000_000
    finally:
        tracemalloc.stop()


# The headers of tensors.


def crafted(path: Path, change: Callable[[Json], object], *, length: int | None = None) -> None:
    """Change a file's header, its numbers staying as they are."""
    header, data = fuzz_runs.parts(path)
    change(header)
    fuzz_runs.put(path, json.dumps(header).encode(), data, length)


def first(header: Json) -> Json:
    """Return the entry of the tensor whose numbers come first."""
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    return min(entries, key=lambda entry: entry["data_offsets"])


CRAFTED: dict[str, Callable[[Json], object]] = {
    "terabytes": lambda header: first(header).update(shape=[2**38]),
    "terabytes that offsets agree with": lambda header: first(header).update(
        shape=[2**38], data_offsets=[0, 2**40]
    ),
    "a shape beyond all numbers": lambda header: first(header).update(shape=[2**63, 2**63]),
    "no shape": lambda header: first(header).pop("shape"),
    "a scalar": lambda header: first(header).update(shape=[]),
    "a negative shape": lambda header: first(header).update(shape=[-1]),
    "float16": lambda header: first(header).update(dtype="F16"),
    "integers": lambda header: first(header).update(dtype="I32"),
    "no type": lambda header: first(header).update(dtype="pickle"),
    "offsets that overlap": lambda header: first(header).update(data_offsets=[4, 8]),
    "offsets the wrong way": lambda header: first(header).update(data_offsets=[8, 0]),
    "a name more": lambda header: header.update({"a\nb": first(header)}),
    "a name less": lambda header: [
        header.pop(name, None) for name in ("head.bias", "state/h", "3/starts")
    ],
    "nothing": lambda header: header.clear(),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("what", CRAFTED)
def test_a_header_of_something_else_is_refused(run: RunDirectory, name: str, what: str) -> None:
    path = run.path / name
    crafted(path, CRAFTED[what])
    assert sentence(reads(run)[name]).startswith(str(path))


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("length", [0, 1, (32 << 20) + 1, 2**63, 2**64 - 1])
def test_a_header_of_an_impossible_length_is_refused_unread(
    run: RunDirectory, name: str, length: int
) -> None:
    path = run.path / name
    crafted(path, len, length=length)
    told = sentence(reads(run)[name])
    assert told.startswith(f"{path} cannot be read: ")
    assert (f"its header cannot have {length:,} bytes." in told) == (length > 32 << 20)


def test_nothing_is_computed_with_before_the_weights_are_known_to_be_there(
    run: RunDirectory, monkeypatch: Patch
) -> None:
    built: list[int] = []

    class Watched(CharLM):
        def __init__(self, architecture: Architecture, *arguments: Any, **options: Any) -> None:
            built.append(architecture.hidden)
            super().__init__(architecture, *arguments, **options)

    monkeypatch.setattr("charlstm.model.charlm.CharLM", Watched)
    load(run.path).perplexity(LEARNED)
    value = json.loads((run.path / "run.json").read_bytes())
    value["recipe"]["architecture"]["hidden"] = 60
    (run.path / "run.json").write_bytes(json.dumps(value).encode())
    told = sentence(lambda: load(run.path).perplexity(LEARNED))
    assert "model.safetensors is damaged: " in told
    assert built == [3]  # with 60,000 it would have taken gigabytes


@pytest.mark.parametrize("name", TENSORS[:2])
def test_terabytes_that_everything_agrees_on_are_refused_before_they_are_asked_for(
    run: RunDirectory, name: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("charlstm.files.machine_bytes", lambda: 10**12)
    huge = Architecture(cell="rnn", hidden=65_536, layers=60)
    info = replace(INFO, recipe=replace(INFO.recipe, architecture=huge, optimizer="sgd"))
    run.write_info(info)
    shapes = huge.parameter_shapes(len(INFO.vocabulary))
    position = "{}"
    if name == "resume.safetensors":
        shapes = {f"weights/{key}": shape for key, shape in shapes.items()}
        shapes["state/h"] = (60, 2, 65_536)
        position = json.dumps(POSITION)
    entries: Json = {"__metadata__": {"position": position}}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        entries[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    log = 2 if name == "resume.safetensors" else 0
    if log:
        entries["log"] = {"dtype": "U8", "shape": [log], "data_offsets": [end, end + log]}
    header = json.dumps(entries).encode()
    fuzz_runs.put(run.path / name, header, b"")
    os.truncate(run.path / name, 8 + len(header) + end + log)  # a hole of two terabytes
    info = run.read_info()
    read = run.read_model if name == "model.safetensors" else run.read_resume
    assert sentence(lambda: read(info)) == (
        f"{run.path / name} takes {2 * end / 1e9:,.1f} GB of memory, and this machine has 1,000.0 "
        "GB; use a larger one."
    )


def test_what_the_machine_has_decides_what_is_read(run: RunDirectory, monkeypatch: Patch) -> None:
    monkeypatch.setattr("charlstm.files._SURELY_THERE", 0)
    read = reads(run)["model.safetensors"]
    needed = 2 * 4 * INFO.recipe.architecture.parameter_count(len(INFO.vocabulary))
    for most, enough in ((needed - 1, False), (needed, True), (None, True)):
        monkeypatch.setattr("charlstm.files.machine_bytes", lambda most=most: most)
        assert works_or_is_refused(read) == enough


def test_memory_that_runs_out_all_the_same_is_told(run: RunDirectory, monkeypatch: Patch) -> None:
    def out(_size: object) -> None:
        raise MemoryError

    monkeypatch.setattr("charlstm.runs.tensors.math.prod", out)
    told = sentence(lambda: run.read_model(INFO))
    assert told == f"{run.path / 'model.safetensors'} takes more memory than there is."


# Numbers.


@pytest.mark.parametrize("name", TENSORS[:2])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 3e38, -1e16])
def test_numbers_that_cannot_have_been_learned_are_refused(
    run: RunDirectory, name: str, number: float
) -> None:
    path = run.path / name
    header, data = fuzz_runs.parts(path)
    key = "head.weight" if name == "model.safetensors" else "weights/head.weight"
    begin, _ = header[key]["data_offsets"]
    data = data[:begin] + struct.pack("<f", number) + data[begin + 4 :]
    fuzz_runs.put(path, json.dumps(header).encode(), data)
    assert sentence(reads(run)[name]).startswith(
        f"{path} is damaged: the numbers of {key} are out of range."
    )


# What is remembered of the training text.

GRAMS = "recall.safetensors"
RECALL_OR_NONE = (
    "Restore the run from an intact copy, or train again. Without it the network alone can still "
    "write and be measured, with recall=0."
)


def changed_grams(run: RunDirectory, **tensors: NDArray[Any]) -> None:
    """Put other numbers in the place of some of the grams, named ``level_what``."""
    grams = load_file(run.path / GRAMS)
    grams |= {name.replace("_", "/").lstrip("k"): array for name, array in tensors.items()}
    save_file(grams, run.path / GRAMS)


def test_a_run_whose_grams_are_gone_can_be_asked_without_them(run: RunDirectory) -> None:
    (run.path / GRAMS).unlink()
    model = load(run.path)
    told = sentence(lambda: model.generate("分", length=3))
    assert told.startswith(f"{run.path / GRAMS} cannot be read: ")
    assert told.endswith(
        "Without it the network alone can still write and be measured, with recall=0."
    )
    assert len(model.generate("分", length=3, recall=0)) == 4


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_grams_that_are_cut_off_are_refused(run: RunDirectory, size: int) -> None:
    data = (run.path / GRAMS).read_bytes()
    (run.path / GRAMS).write_bytes(data[:size])
    told = sentence(lambda: run.read_recall(INFO))
    assert told.endswith(
        "Without it the network alone can still write and be measured, with recall=0."
    )


def grams_of(length: int, what: str) -> NDArray[Any]:
    assert RECALL.ngram is not None
    return np.array(getattr(RECALL.ngram.levels[length - 1], what))


def but(array: NDArray[Any], place: int, value: float) -> NDArray[Any]:
    changed = array.copy()
    changed[place] = value
    return changed


V = len(VOCABULARY)


@pytest.mark.parametrize(
    ("length", "tensors"),
    [
        (1, {"k1_symbols": but(grams_of(1, "symbols"), 0, V)}),
        (2, {"k2_symbols": but(grams_of(2, "symbols"), -1, 65_535)}),
        (1, {"k1_symbols": grams_of(1, "symbols")[::-1].copy()}),
        (1, {"k1_symbols": but(grams_of(1, "symbols"), 1, grams_of(1, "symbols")[0])}),
        (1, {"k1_starts": but(grams_of(1, "starts"), 0, 1)}),
        (1, {"k1_starts": but(grams_of(1, "starts"), -1, 4_000_000_000)}),
        (3, {"k3_starts": but(grams_of(3, "starts"), 1, 4_000_000_000)}),
        (3, {"k3_starts": grams_of(3, "starts")[::-1].copy()}),
        (3, {"k3_starts": np.zeros_like(grams_of(3, "starts"))}),
        (2, {"k2_shares": but(grams_of(2, "shares"), 0, -0.1)}),
        (2, {"k2_shares": but(grams_of(2, "shares"), 0, 1.01)}),
        (2, {"k2_shares": np.ones_like(grams_of(2, "shares"))}),
        (1, {"k1_shares": np.full_like(grams_of(1, "shares"), 1.1 / len(grams_of(1, "shares")))}),
    ],
)
def test_grams_that_are_no_probabilities_are_refused(
    run: RunDirectory, length: int, tensors: Arrays
) -> None:
    changed_grams(run, **tensors)
    assert sentence(lambda: run.read_recall(INFO)) == (
        f"{run.path / GRAMS} is damaged: its grams of {length} are no probabilities. "
        f"{RECALL_OR_NONE}"
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e16])
def test_shares_that_are_no_numbers_are_refused(run: RunDirectory, number: float) -> None:
    changed_grams(run, k2_shares=but(grams_of(2, "shares"), 0, number))
    assert sentence(lambda: run.read_recall(INFO)) == (
        f"{run.path / GRAMS} is damaged: the numbers of 2/shares are out of range. {RECALL_OR_NONE}"
    )


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"k2_shares": grams_of(2, "shares").astype(np.float64)}, "2/shares is F64"),
        ({"k2_shares": grams_of(2, "shares")[:-1]}, "2/shares is F32"),
        ({"k2_shares": grams_of(2, "shares")[None]}, "2/shares is F32"),
        ({"k2_starts": grams_of(2, "starts").astype(np.int32)}, "2/starts is I32"),
        ({"k2_starts": grams_of(2, "starts")[:-1]}, "2/starts is U32"),
        ({"k2_symbols": grams_of(2, "symbols").astype(np.uint32)}, "2/symbols is U32"),
        ({"k2_symbols": grams_of(2, "symbols").astype(np.int16)}, "2/symbols is I16"),
    ],
)
def test_grams_of_another_kind_are_refused(run: RunDirectory, tensors: Arrays, told: str) -> None:
    changed_grams(run, **tensors)
    found = sentence(lambda: run.read_recall(INFO))
    assert found.startswith(f"{run.path / GRAMS} is damaged: its {told} ")
    assert found.endswith(RECALL_OR_NONE)


def test_more_grams_than_there_is_memory_for_are_refused_before_they_are_asked_for(
    run: RunDirectory, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("charlstm.files.machine_bytes", lambda: 10**9)
    assert INFO.recall is not None
    many = 2**32 - 1
    info = replace(INFO, recall=replace(INFO.recall, grams=(many,) * 3))
    entries: Json = {}
    end = 0
    for length, contexts in enumerate((1, many, many), start=1):
        for name, kind, size, number in (
            ("shares", "F32", 4, many),
            ("starts", "U32", 4, contexts + 1),
            ("symbols", "U16", 2, many),
        ):
            begin, end = end, end + size * number
            entry = {"dtype": kind, "shape": [number], "data_offsets": [begin, end]}
            entries[f"{length}/{name}"] = entry
    header = json.dumps(entries).encode()
    fuzz_runs.put(run.path / GRAMS, header, b"")
    os.truncate(run.path / GRAMS, 8 + len(header) + end)
    run.write_info(info)
    tracemalloc.start()
    try:
        told = sentence(lambda: run.read_recall(run.read_info()))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "GB of memory, and this machine has 1.0 GB" in told
    assert told.endswith(
        "Without it the network alone can still write and be measured, with recall=0."
    )
    assert most < 10_000_000


@settings(deadline=None, max_examples=60)
@given(PLACES, st.sampled_from(["flip", "cut", "number"]))
def test_grams_with_any_bytes_work_or_are_refused(
    made: Path, random: fuzz_runs.Random, does: str
) -> None:
    data = bytearray((made / GRAMS).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    if does == "flip":
        for _ in range(random.randint(1, 9)):
            data[random.randrange(len(data))] = random.randrange(256)
    elif does == "cut":
        del data[random.randrange(len(data)) :]
    else:
        at = random.randrange(8 + length, len(data) - 4)
        odd = [math.nan, math.inf, -1.0, 2.0, 1e-45, 0.5]
        data[at : at + 4] = struct.pack("<f", random.choice(odd))
    with tempfile.TemporaryDirectory() as root:
        copy = RunDirectory(Path(shutil.copytree(made, Path(root) / "song")))
        (copy.path / GRAMS).write_bytes(data)
        if works_or_is_refused(lambda: copy.read_recall(INFO)):
            model = load(copy.path)
            assert np.isfinite(model.sampler.log_probabilities("分开不分开")).all()
            assert len(model.generate("分", length=5, seed=1)) == 6


# Values. Whatever stands in their places, they are what they must be or are refused.

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 3)
    | st.floats()
    | st.sampled_from([2**53 + 1, 10**400, -(10**400)])
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.text("x", min_size=2_000, max_size=2_000)
    | st.sampled_from(["gru", "sgd", "torch", "random", "space", "分" * 5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def test_a_name_with_line_breaks_in_it_does_not_break_the_sentence(run: RunDirectory) -> None:
    path = run.path / "run.json"
    whole = json.loads(path.read_bytes())
    whole["versions"] = {"a\r\u2028\x1b[31mb": None}
    path.write_text(json.dumps(whole), encoding="ascii")
    assert "is damaged: a\ufffd\ufffd\ufffd[31mb must be str" in sentence(run.read_info)


@settings(deadline=None, max_examples=100)
@given(PLACES, VALUES, st.booleans())
def test_a_run_json_with_any_value_in_any_place_is_sound_or_refused(
    made: Path, random: fuzz_runs.Random, value: Json, remove: bool
) -> None:
    whole = json.loads((made / "run.json").read_bytes())
    held, key = random.choice(list(fuzz_runs.places(whole)))
    if remove:
        del held[key]
    else:
        held[key] = value
    with tempfile.TemporaryDirectory() as root:
        run = empty_run(Path(root) / "song")
        (run.path / "run.json").write_text(json.dumps(whole), encoding="ascii")
        if works_or_is_refused(run.read_info):
            # What was read can be written and is the same when it is read again.
            info = run.read_info()
            run.write_info(info)
            assert replace(run.read_info(), saved=info.saved) == info
        works_or_is_refused(lambda: RunDirectory.find(root=run.path.parent))


@settings(deadline=None, max_examples=60)
@given(PLACES, VALUES, st.booleans())
def test_a_position_with_any_value_in_any_place_is_sound_or_refused(
    made: Path, random: fuzz_runs.Random, value: Json, remove: bool
) -> None:
    whole = json.loads(json.dumps(POSITION))
    held, key = random.choice(list(fuzz_runs.places(whole)))
    if remove:
        del held[key]
    else:
        held[key] = value
    with tempfile.TemporaryDirectory() as root:
        run = RunDirectory(Path(root))
        shutil.copy(made / "model.safetensors", root)
        write_save(run.path / "resume.safetensors", arrays_of(INFO)[1], whole)
        if works_or_is_refused(lambda: run.read_resume(INFO)):
            snapshot, history, samples = run.read_resume(INFO)
            found = snapshot.position
            json.dumps([found.to_json(), *map(dataclasses.asdict, history)], allow_nan=False)
            "\n".join(samples).encode()
            assert type(found.step) is int
            assert 0 < found.step <= 2**53
            assert 0 < found.scale <= 1
            assert all(map(math.isfinite, (found.seconds, found.elapsed, found.loss_sum)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": -1},
        {"step": 3.0},
        {"step": True},
        {"step": 2},  # before the last report
        {"step": 2**53 + 1},
        {"seconds": -0.1},
        {"seconds": -1},
        {"elapsed": 1e300},
        {"measuring": None},
        {"rate": -1},
        {"scale": 0},
        {"scale": 2},
        {"returns": -1},
        {"best_loss": None},
        {"best_loss": "2"},
        {"best_epoch": 2},
        {"loss_sum": []},
        {"loss_sum": 10**20},  # torch has no whole number as large
        {"loss_count": 0.5},
        {"samples": [1]},
        {"samples": ["\ud800"]},
        {"history": {}},
        {"history": [REPORT.to_json(), REPORT.to_json()]},
        {"history": [REPORT.to_json() | {"epoch": 1.5}]},
        {"history": [REPORT.to_json() | {"seconds": 1e13}]},
        {"history": [[]]},
    ],
)
def test_a_position_that_no_training_has_is_refused(run: RunDirectory, wrong: Json) -> None:
    _, arrays = arrays_of(INFO)
    write_save(run.path / "resume.safetensors", arrays, POSITION | wrong)
    told = sentence(lambda: run.read_resume(INFO))
    assert told.startswith(f"{run.path / 'resume.safetensors'} is damaged: ")


@pytest.mark.parametrize(
    "data",
    [
        b'{"format": 2, "saved": NaN}',
        b'{"format": 2, "saved": -Infinity}',
        b'{"format": 1' + b"0" * 5_000 + b"}",
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"format": 2, "format": 2}',
        b'{"format": "' + b"x" * 1_000_000 + b'"}',
    ],
    ids=["nan", "infinity", "huge number", "deep", "deep list", "a key twice", "long"],
)
def test_json_that_is_none_or_odd_is_refused_in_a_sentence(run: RunDirectory, data: bytes) -> None:
    (run.path / "run.json").write_bytes(data)
    sentence(run.read_info)
    assert RunDirectory.find(root=run.path.parent).path == run.path


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_python_takes_for_json_and_is_none_is_refused(
    run: RunDirectory, constant: str
) -> None:
    path = run.path / "run.json"
    path.write_text(path.read_text(encoding="ascii")[:-2] + f',"more": {constant}}}', "ascii")
    assert sentence(run.read_info).startswith(f"{path} is damaged: it is not valid JSON.")


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("recipe", "text", "newline"), "x" * 100_000),
        (("recipe", "name"), "x" * 100_000),
        (("recipe", "epochs"), 10**4_000),
        (("corpus", "encoding"), "x" * 101),
        (("corpus", "encoding"), "分"),
        (("corpus", "places"), ["x" * 4_097]),
        (("corpus", "training_characters"), 2**53 + 1),
        (("vocabulary", "counts"), [2**53 + 1] * len(INFO.vocabulary)),
        (("vocabulary", "counts"), [True] * len(INFO.vocabulary)),
        (("versions",), {"charlstm": 1}),
        (("last", "seconds"), 1e13),
        (("last", "step"), 3.0),
        (("best", "train_loss"), 1e39),
        (("samples", "every"), -1),
        (("backend",), "cuda"),
        (("recipe", "recall"), 0),  # and grams all the same
        (("recipe", "recall"), 1.5),
        (("recall",), None),
        (("recall", "discount"), 1),
        (("recall", "discount"), -0.1),
        (("recall", "pulls"), [1.0]),
        (("recall", "pulls"), [0.0] * len(LENGTHS)),
        (("recall", "pulls"), [1e8] * len(LENGTHS)),
        (("recall", "pulls"), ["1"] * len(LENGTHS)),
        (("recall", "line"), -1),
        (("recall", "grams"), [0]),
        (("recall", "grams"), [2**32]),
        (("recall", "grams"), [True]),
        (("recall", "grams"), [7] * 101),
        (("saved",), -1),
    ],
)
def test_a_value_out_of_its_range_is_refused_in_a_sentence(
    run: RunDirectory, place: tuple[str, ...], wrong: Json
) -> None:
    value = json.loads((run.path / "run.json").read_bytes())
    held = value
    for key in place[:-1]:
        held = held[key]
    assert place[-1] in held
    held[place[-1]] = wrong
    (run.path / "run.json").write_text(json.dumps(value), encoding="ascii")
    assert sentence(run.read_info).startswith(f"{run.path / 'run.json'} is damaged: ")


def test_a_vocabulary_of_what_cannot_be_written_is_refused(run: RunDirectory) -> None:
    value = json.loads((run.path / "run.json").read_bytes())
    value["vocabulary"] = {"characters": "a\ud800", "counts": [0, 1, 1]}
    (run.path / "run.json").write_text(json.dumps(value), encoding="ascii")
    assert "characters must not hold half of a surrogate pair." in sentence(run.read_info)


@pytest.mark.parametrize("name", ["a\0", "\udcff", "x" * 100_000, "", "..", "a\nb", "~", "con"])
def test_a_run_with_an_odd_name_is_not_found(run: RunDirectory, name: str) -> None:
    with pytest.raises(RunError, match=r"^There is no run called ") as caught:
        RunDirectory.find(name, run.path.parent)
    assert str(caught.value).endswith("checkpoints has song.")
    assert len(str(caught.value)) < 1_000


def test_a_run_that_is_hidden_is_none_yet(run: RunDirectory) -> None:
    root = run.path.parent
    shutil.move(run.path, root / ".song")
    assert "no trained model" in sentence(lambda: RunDirectory.find(root=root))
    assert sentence(lambda: RunDirectory.find("absent", root)).endswith("has none at all.")


def test_what_runs_are_called_cannot_pass_for_a_message(run: RunDirectory) -> None:
    shutil.copytree(run.path, run.path.parent / "a\nerror: b\x1b[2J")
    told = sentence(lambda: RunDirectory.find("absent", run.path.parent))
    assert r"checkpoints has 'a\nerror: b\x1b[2J', song." in told


# Writing into a run.


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "file"])
def test_what_lies_where_a_file_is_written_first_leads_nowhere(
    run: RunDirectory, tmp_path: Path, kind: str
) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    part = run.path / ".run.json.part"
    if kind == "link":
        part.symlink_to(mine)
    elif kind == "pipe":
        os.mkfifo(part)
    elif kind == "directory":
        part.mkdir()
    else:
        part.write_bytes(b"left behind")
    assert works_or_is_refused(lambda: run.write_info(INFO)) == (kind != "directory")
    assert mine.read_bytes() == b"mine"
    assert (run.path / "run.json").is_file()
    assert not (run.path / "run.json").is_symlink()
    assert replace(run.read_info(), saved=0.0) == INFO


def test_a_text_is_written_piece_by_piece(tmp_path: Path) -> None:
    held_out = (chr(0x4E00 + number) * 10_000 for number in range(1_000))
    learned = (f"{number:9}" * 1_000 for number in range(300))
    tracemalloc.start()
    try:
        run = RunDirectory.create("song", tmp_path, INFO, held_out, learned)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (run.path / "heldout.txt").stat().st_size == 30_000_000
    packed = (run.path / "training.txt.bz2").read_bytes()
    assert len(packed) == run.index_bytes
    expected = "".join(f"{number:9}" * 1_000 for number in range(300))
    assert bz2.decompress(packed).decode() == expected
    assert most < 10_000_000


# A run appears whole.


def test_until_it_is_whole_there_is_no_run(tmp_path: Path, monkeypatch: Patch) -> None:
    root = tmp_path / "checkpoints"
    seen: list[set[str]] = []
    fsync = os.fsync

    def watch(handle: int) -> None:
        fsync(handle)
        seen.append({path.name for path in root.iterdir()})
        assert "none at all" in sentence(lambda: RunDirectory.find("song", root))
        assert "no trained model" in sentence(lambda: RunDirectory.find(root=root))

    monkeypatch.setattr(os, "fsync", watch)
    run = RunDirectory.create("song", root, INFO, iter(HELD_OUT))
    assert len(seen) == 4  # two files, and after each the directory
    assert all(name.startswith(".") for names in seen for name in names)
    assert {path.name for path in root.iterdir()} == {"song"}
    assert {path.name for path in run.path.iterdir()} == {"run.json", "heldout.txt"}
    assert replace(run.read_info(), saved=0.0) == INFO
    assert run.read_held_out() == HELD_OUT


def test_a_whole_run_can_be_read_by_those_who_can_read_an_empty_one(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        modes = [
            run.path.stat().st_mode & 0o777
            for run in (
                empty_run(tmp_path / "empty"),
                RunDirectory.create("song", tmp_path, INFO),
            )
        ]
    finally:
        os.umask(before)
    assert modes == [0o750, 0o750]


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
def test_a_birth_that_fails_leaves_nothing(
    tmp_path: Path, end: BaseException | type[BaseException], monkeypatch: Patch
) -> None:
    calls: list[int] = []

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:  # the second file: after the first comes its directory
            raise end

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((KeyboardInterrupt, RunError)) as caught:
        RunDirectory.create("song", tmp_path, INFO, HELD_OUT)
    if isinstance(end, OSError):
        assert str(caught.value) == f"{tmp_path / 'song'} cannot be made: No space left."
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_of_a_birth_a_day_ago_is_removed(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / name for name in ("." + "0a" * 8, "." + "1b" * 8, ".charlstm-cache")
    )
    for directory in (old, young, other):
        directory.mkdir()
        (directory / "heldout.txt").write_bytes(b"")
    for directory in (old, other):
        os.utime(directory, (0, 0))
    RunDirectory.create("song", tmp_path, INFO, HELD_OUT)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, ".charlstm-cache", "song"}


def test_a_text_that_ends_in_an_error_leaves_nothing(tmp_path: Path) -> None:
    def text() -> Iterator[str]:
        yield HELD_OUT
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RunDirectory.create("song", tmp_path, INFO, text())
    assert list(tmp_path.iterdir()) == []


def test_a_whole_run_is_not_put_over_anything(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()  # a directory can be renamed onto an empty one
    (tmp_path / "song-2").write_bytes(b"mine")
    (tmp_path / "song-3").symlink_to("absent")
    (tmp_path / "song-4").mkdir()
    (tmp_path / "song-4" / "mine").mkdir()
    assert RunDirectory.create("song", tmp_path, INFO).name == "song-5"
    assert list((tmp_path / "song").iterdir()) == []
    assert (tmp_path / "song-2").read_bytes() == b"mine"


def test_whole_runs_that_are_born_at_the_same_time_never_share_a_directory(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def born(number: int) -> tuple[int, str]:
        info = replace(INFO, corpus_sha256=str(number))
        together.wait()
        return number, RunDirectory.create("song", tmp_path, info, HELD_OUT).name

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(born, range(8)))
    assert len({name for _, name in made}) == 8
    assert len(list(tmp_path.iterdir())) == 8
    for number, name in made:
        assert RunDirectory(tmp_path / name).read_info().corpus_sha256 == str(number)


def test_a_place_that_is_taken_between_the_look_and_the_claim_is_left(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    looked: list[str] = []
    exists = os.path.lexists

    def look(path: Path) -> bool:
        found = exists(path)
        if Path(path).name == "song" and not looked:
            looked.append("song")
            (tmp_path / "song").mkdir()
            (tmp_path / "song" / "theirs").mkdir()
        return found

    monkeypatch.setattr(os.path, "lexists", look)
    assert RunDirectory.create("song", tmp_path, INFO).name == "song-2"
    assert [path.name for path in (tmp_path / "song").iterdir()] == ["theirs"]


def test_a_claim_that_is_refused_though_nothing_is_there_is_not_made_for_ever(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    def refuse(_path: Path, _to: Path) -> None:
        raise OSError(errno.ENOTDIR, "Not a directory")

    monkeypatch.setattr(Path, "rename", refuse)
    told = sentence(lambda: RunDirectory.create("song", tmp_path, INFO))
    assert told == f"{tmp_path / 'song'} cannot be made: Not a directory."
    assert list(tmp_path.iterdir()) == []


def test_write_whole_says_what_cannot_be_written(tmp_path: Path) -> None:
    told = sentence(lambda: write_whole(tmp_path / "absent" / "song.txt", b""))
    assert re.search(r"song\.txt cannot be written: No such file or directory\. What was", told)


# How much memory there is.


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Return where the control groups of a machine with 1,000 bytes are."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 1_000}))
    (tmp_path / "groups").mkdir()
    return tmp_path


def bytes_of(groups: Path) -> int | None:
    return machine_bytes(groups / "cgroup", groups / "groups")


def limit(path: Path, value: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value, encoding="ascii")


def test_the_memory_is_what_the_machine_has() -> None:
    found = machine_bytes()
    assert found is not None
    assert 10**8 < found < 10**15


@pytest.mark.parametrize(
    ("group", "limits", "most"),
    [
        ("", {}, 1_000),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, 1_000),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "700\n"}, 700),
        ("0::/a/b\n", {"a/b/memory.max": "600\n", "a/memory.max": "700\n"}, 600),
        ("0::/\n", {"memory.max": "500\n"}, 500),
        # What the host calls the group is not to be seen in a container.
        ("4:memory:/docker/7\n", {"memory/memory.limit_in_bytes": "400\n"}, 400),
        ("5:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "300\n"}, 300),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1_000),
        ("4:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "300\n"}, 1_000),
        ("0::/a\n", {"a/memory.max": "5000\n"}, 1_000),
        ("odd\n", {"memory.max": "5\n"}, 1_000),
    ],
)
def test_a_control_group_may_allow_less(
    groups: Path, group: str, limits: dict[str, str], most: int
) -> None:
    (groups / "cgroup").write_text(group, encoding="ascii")
    for name, value in limits.items():
        limit(groups / "groups" / name, value)
    assert bytes_of(groups) == most


def test_no_group_outside_of_the_hierarchy_is_looked_at(groups: Path) -> None:
    (groups / "cgroup").write_text("0::/a\n", encoding="ascii")
    limit(groups / "memory.max", "5")
    assert bytes_of(groups) == 1_000


def test_where_nobody_tells_how_much_memory_there_is_it_is_not_known(
    groups: Path, monkeypatch: Patch
) -> None:
    def silent() -> None:
        raise OSError(errno.ENOENT, "no /proc")

    monkeypatch.setattr("psutil.virtual_memory", silent)
    assert bytes_of(groups) is None
    limit(groups / "groups" / "memory.max", "500")
    (groups / "cgroup").write_text("0::/\n", encoding="ascii")
    assert bytes_of(groups) == 500


# All of it, through the command line; see there for thousands of cases.


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return fuzz_runs.train(tmp_path_factory.mktemp("honest"), runs=2)


def test_changed_runs_work_or_are_refused_in_a_sentence(honest: list[Path], tmp_path: Path) -> None:
    offenders = {}
    kinds = set()
    for number in range(20):
        outcome = fuzz_runs.case(0, honest, number, tmp_path, seconds=HANGS_AFTER)
        kinds.add(outcome.kind)
        if outcome.offences:
            offenders[number, outcome.kind] = outcome.offences
    assert not offenders
    assert len(kinds) > 8


def test_honest_runs_work_and_a_missing_one_is_judged(honest: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(honest[0], tmp_path / "changed"))
    outcome = cases.Outcome("none")
    fuzz_runs.try_all(run, outcome, set(FILES))
    assert not outcome.offences
    assert not outcome.refused
    assert {"load", "generate", "eval", "train"} <= set(outcome.worked)
    for code, out, errors in (
        (1, "", "Traceback (most recent call last):\n"),
        (1, "", "error: a\nerror: b\n"),
        (1, "half", "error: a.\n"),
        (1, "", ""),
        (2, "", "error: a.\n"),
        (0, "song", "RuntimeWarning: overflow\n"),
    ):
        assert cases.judge(code, out, errors)
    assert not cases.judge(1, "", "plan\nerror: a.\n")


# What grows with the epochs.


def snapshot_after(epochs: int) -> Snapshot:
    """Return where a training stands whose epochs have a step each."""
    weights, arrays = arrays_of(INFO)
    counters = {name: POSITION[name] for name in POSITION if name not in ("history", "samples")}
    position = Position.from_json(counters | {"step": epochs, "best_epoch": epochs})
    return Snapshot.of(arrays, weights, position)


def test_a_training_of_very_many_epochs_can_be_resumed(run: RunDirectory) -> None:
    reports = [replace(REPORT, step=step, epoch=step) for step in range(1, 100_001)]
    run.write_resume(snapshot_after(100_000), reports, ["分开" * 25] * 100_000)
    _, history, samples = run.read_resume(INFO)
    assert history == reports
    assert len(samples) == 100_000


def test_of_what_grows_beyond_all_measure_the_newest_is_kept(
    run: RunDirectory, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("charlstm.runs.directory.LARGEST_JSON", 20_000)
    reports = [replace(REPORT, step=step, epoch=step) for step in range(1, 401)]
    run.write_resume(snapshot_after(400), reports, ["a", "b"])
    _, found, _ = run.read_resume(INFO)
    assert found == reports[-len(found) :]
    assert 50 <= len(found) < 200
