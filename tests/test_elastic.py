"""Launches whose workers are started again."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from faults.elastic import Disturbed
from faults.patience import until
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from charlstm.errors import WorkerError
from charlstm.runs.marks import MARK, Mark, marked, read_mark, saved_step, write_mark
from charlstm.sessions.restarts import join_launch
from charlstm.training import beating, joining
from charlstm.training.beating import Beating
from charlstm.training.distributed import ALONE
from charlstm.training.joining import ROLE, may_be_started_again


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted and killed")
def test_a_training_whose_machines_die_and_come_back_ends_like_one_left_alone(
    tmp_path: Path,
) -> None:
    training = Disturbed(tmp_path, seed=1, seconds=10)
    training.run()
    assert training.complaints == []
    counts = training.counts
    assert counts.disturbances >= 1
    assert counts.restarts == counts.saves_found >= 1


# Marks.


def run_with(root: Path, name: str, mark: bytes | None) -> Path:
    run = root / name
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    if mark is not None:
        (run / MARK).write_bytes(mark)
    return run


def test_a_mark_is_found_by_whom_it_names(root: Path) -> None:
    ours, other = Mark("word", "start", ("a", "b")), Mark("x", "y", ("c",))
    run = run_with(root, "ours", ours.to_json())
    for name, mark in (("other", other.to_json()), ("none", None)):
        run_with(root, name, mark)
    assert read_mark(run) == ours
    assert marked(root, lambda mark: "b" in mark.launchers) == [run]
    write_mark(run, other)
    assert marked(root, lambda mark: "b" in mark.launchers) == []
    assert saved_step(run) == 0


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"run": 1}',
        b'{"run": 1, "start": 2, "launchers": 3}',
        b"[" * 9999,
    ],
)
def test_a_damaged_mark_is_none(root: Path, damaged: bytes) -> None:
    assert read_mark(run_with(root, "run", damaged)) is None
    assert marked(root, lambda _: True) == []


# Launches.


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def started(run_id: str) -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id)
        monkeypatch.setenv("ROLE_NAME", "default")

    return started


def test_a_run_belongs_to_the_launch_whose_launcher_its_mark_names(
    root: Path, torchrun: Callable[[str], None]
) -> None:
    assert join_launch(ALONE, root).mark is None
    torchrun("big")
    first = join_launch(ALONE, root)
    assert first.run is None
    assert not first.is_left_alone
    run = run_with(root, "big", first.mark)
    again = join_launch(ALONE, root)
    assert again.run is not None
    assert again.run.path == run
    # The word of the run stays, and that of the start does not.
    before, now = (json.loads(launch.mark or b"") for launch in (first, again))
    assert (now["run"], now["launchers"]) == (before["run"], before["launchers"])
    assert now["start"] != before["start"]
    torchrun("another")
    assert join_launch(ALONE, root).run is None


def test_our_own_launcher_starts_nothing_again(
    root: Path, torchrun: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not may_be_started_again()
    torchrun("big")
    assert may_be_started_again()
    monkeypatch.setenv("ROLE_NAME", ROLE)
    assert not may_be_started_again()
    assert join_launch(ALONE, root).mark is None


def test_workers_that_are_started_again_hear_nothing_of_those_before() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for rank in range(2):  # what those before have left
        store.set(f"word/{rank}", "old")
    store.set("start", json.dumps(["old", ["old", "old"]]))
    store.set("go/old", "")
    store.add("heard/old", 1)
    store.add("ended", 1)

    def of_this_start(rank: int) -> None:
        client = TCPStore("127.0.0.1", store.port, is_master=False)
        mine = joining._of_this_start(client, rank, 2, 60)
        mine.add("met", 1)
        counted[rank] = mine

    counted: dict[int, object] = {}
    threads = [Thread(target=of_this_start, args=(rank,)) for rank in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [counted[rank].add("met", 0) for rank in (0, 1)] == [2, 2]  # type: ignore[attr-defined]
    assert [counted[rank].add("ended", 0) for rank in (0, 1)] == [0, 0]  # type: ignore[attr-defined]


def test_a_worker_that_does_not_come_is_not_waited_for_without_end() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(WorkerError) as caught:
        joining._of_this_start(store, 0, 2, 0.1)
    assert str(caught.value) == (
        "Not all of the 2 workers have come within 0 seconds: see on the other machines why."
    )


def test_whoever_stops_giving_signs_of_life_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "_EVERY", 0.01)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    other = Beating(TCPStore("127.0.0.1", store.port, is_master=False), 1, 0.5)
    ours = Beating(store, 0, 0.5)
    until(lambda: store.add("alive/1", 0) > 3)
    assert not ours.is_silent(1)
    assert not ours.is_silent(2)  # it has not begun
    other.end()
    until(lambda: ours.is_silent(1))
    assert not ours.is_silent(2)
    ours.end()
