"""Several workers against one: real processes over loopback."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import workers as jobs
from numpy.typing import NDArray
from trainers import files, history
from workers import CASES, STEPS, Job, Results, together

import charlstm
from charlstm.errors import CorpusError, RecipeError, WorkerError
from charlstm.sessions.fitting import Material
from charlstm.sessions.following import check_shared, follow
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.joining import is_one_of_several, join_workers

# The case of each figure that is to be the same: of weights, moments and states, and of losses.
FIGURES = ("weights/", "moments/", "state/", "best/")
FIRST, SECOND = 11, 20


def of_two(where: Path) -> list[Job]:
    return [
        *(("exactly", {"case": case}) for case in CASES),
        ("roundly", {"precision": "float32"}),
        ("roundly", {"precision": "bfloat16"}),
        ("partly", {"before": "", "until": FIRST, "after": str(where / "first")}),
        ("going_back", {}),
        ("giving_up", {}),
        ("losing_patience", {}),
        ("by_the_clock", {}),
        ("saving_between", {}),
        ("running", {**_run(where), "stop": FIRST, "resumed": False}),
        ("other_texts", {"corpora": [_text(where), _text(where, "x")], "root": str(where / "no")}),
        ("too_many", {}),
        ("mixed", {}),
        ("failing", {"how": "error"}),
        ("failing", {"how": "bug"}),
        ("failing", {"how": "sleep"}),
    ]


def of_three(where: Path) -> list[Job]:
    before, after = str(where / "first"), str(where / "second")
    return [
        *(("exactly", {"case": case}) for case in ("consecutive", "songs", "short")),
        ("roundly", {"precision": "float32"}),
        ("partly", {"before": before, "until": SECOND, "after": after}),
        ("running", {**_run(where), "stop": SECOND, "resumed": True}),
        ("failing", {"how": "kill"}),
    ]


def _run(where: Path) -> dict[str, str]:
    return {"corpus": _text(where), "root": str(where / "checkpoints")}


def _text(where: Path, more: str = "") -> str:
    path = where / f"song{more}.txt"
    song = "".join(
        f"分开的第{day}天 我在桥上等你\n不分开，说好了\n\n" for day in "一二三四五六" * 20
    )
    path.write_text(song + more, encoding="utf-8")
    return str(path)


class Made:
    """What workers made of their jobs."""

    def __init__(self, count: int, asked: list[Job], out: Path) -> None:
        self.count, self._asked = count, asked
        self._results = together(count, asked, out)

    def of(self, name: str, **arguments: Any) -> list[Results]:
        """Return what a job with these arguments was to each worker, if they did it, by rank."""
        return [
            results
            for (known, given), each in zip(self._asked, self._results, strict=True)
            if known == name and arguments.items() <= given.items()
            for results in each
        ]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def two(where: Path) -> Made:
    return Made(2, of_two(where), where / "two")


@pytest.fixture(scope="module")
def three(where: Path, two: Made) -> Made:
    return Made(3, of_three(where), where / "three")  # they go on where two stopped


@pytest.fixture(params=["two", "three"])
def several(request: pytest.FixtureRequest) -> Made:
    made: Made = request.getfixturevalue(request.param)
    return made


def assert_alike(found: Results, expected: Results, tolerance: float) -> None:
    assert "error" not in found, found["error"]
    names = [name for name in expected if name.startswith(FIGURES)]
    assert names
    for name in names:
        np.testing.assert_allclose(
            found[name], expected[name], rtol=0, atol=tolerance, err_msg=name
        )
    assert_same_events(found["events"], expected["events"], tolerance)


def assert_same_events(found: list[Any], expected: list[Any], tolerance: float) -> None:
    for event, other in zip(found, expected, strict=True):
        for value, figure in zip(event, other, strict=True):
            if isinstance(figure, float):
                assert value == pytest.approx(figure, rel=0, abs=tolerance), (event, other)
            else:
                assert value == figure, (event, other)


@pytest.mark.parametrize("case", CASES)
def test_workers_make_the_training_that_one_makes_up_to_the_order_of_sums(
    two: Made, three: Made, case: str
) -> None:
    expected = jobs.exactly(ALONE, case)
    assert len([event for event in expected["events"] if event[0] == "step"]) == CASES[case].get(
        "steps", STEPS
    )
    assert expected["weights/head.weight"].dtype == np.float64
    for several in (two, three):
        for found in several.of("exactly", case=case):
            assert_alike(found, expected, 1e-10)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_in_ordinary_precision_workers_have_nearly_the_losses_of_one(
    two: Made, three: Made, precision: str, tolerance: float
) -> None:
    expected = jobs.roundly(ALONE, precision)
    made = [*two.of("roundly", precision=precision), *three.of("roundly", precision=precision)]
    for found in made:
        ends, others = (
            [event for event in results["events"] if event[0] == "epoch"]
            for results in (found, expected)
        )
        assert len(ends) == 2
        assert_same_events(ends, others, tolerance)


def test_as_many_workers_give_the_same_bits_again_and_each_has_them(several: Made) -> None:
    first, *others = several.of("roundly", precision="float32")
    names = [name for name in first if name.startswith(FIGURES)]
    for name in names:
        np.testing.assert_array_equal(first[f"again/{name}"], first[name], err_msg=name)
        for other in others:
            np.testing.assert_array_equal(other[name], first[name], err_msg=name)
    assert first["again/events"] == first["events"]
    assert all(other["events"] == first["events"] for other in others)


def test_stopped_at_two_resumed_at_three_and_then_at_one_it_is_the_training_never_stopped(
    two: Made, three: Made, where: Path
) -> None:
    whole = jobs.exactly(ALONE, "songs")
    last = jobs.partly(ALONE, str(where / "second"), -1, str(where / "third"))
    parts = [two.of("partly")[1], three.of("partly")[2], last]
    # The others hear of the wish with the step after.
    assert parts[0]["events"][-1] == ["Stopped", FIRST + 1]
    assert parts[1]["events"][-1] == ["Stopped", SECOND + 1]
    events = [event for part in parts for event in part["events"] if event[0] != "Stopped"]
    assert_alike({**last, "events": events}, whole, 1e-10)


def test_all_go_back_where_the_weights_of_one_are_spoiled(two: Made) -> None:
    expected = jobs.going_back(ALONE)
    assert ["WentBack", 41, 36, 0.5] in expected["events"]
    for found in two.of("going_back"):
        assert_alike(found, expected, 1e-4)


def test_all_give_up_at_the_same_step_and_what_was_good_can_be_saved(two: Made) -> None:
    expected = jobs.giving_up(ALONE)
    assert "going back 3 times" in expected["error"]
    for found in two.of("giving_up"):
        assert found["error"] == expected["error"]
        assert found["saved"]
        assert [event[:2] for event in found["events"]] == [
            event[:2] for event in expected["events"]
        ]


def test_all_stop_early_in_the_same_epoch(two: Made) -> None:
    expected = jobs.losing_patience(ALONE)
    assert expected["events"][-1][0] == "Finished"
    assert expected["events"][-1][1] == "the held-out loss has not improved since epoch 1"
    for found in two.of("losing_patience"):
        assert_alike(found, expected, 1e-8)


def test_the_minutes_are_those_of_the_first_workers_clock(two: Made) -> None:
    expected = jobs.by_the_clock(ALONE)
    assert 40 < len(expected["rates"]) < 60
    for found in two.of("by_the_clock"):
        # That they are over is told with one more step.
        *rates, _ = found["rates"]
        assert rates == pytest.approx(expected["rates"], rel=1e-5)


def test_after_a_step_that_was_prepared_for_it_there_is_all_that_a_save_needs(two: Made) -> None:
    expected = jobs.saving_between(ALONE)
    assert expected["possible"] == [True] * 9
    for found in two.of("saving_between"):
        assert found["possible"] == [False] * 4 + [True] + [False] * 4
        for name in (name for name in expected if name.startswith(FIGURES)):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)


def test_a_run_is_led_by_one_and_is_resumed_by_any_number(
    two: Made, three: Made, where: Path, tmp_path: Path
) -> None:
    leader, follower = two.of("running")
    assert leader["events"][-2:] == ["Stopped", "Saved"]
    assert (leader["step"], leader["workers"]) == (FIRST + 1, 2)
    assert (follower["step"], follower["mapped"]) == (FIRST + 1, True)
    leader, *followers = three.of("running")
    assert [one["step"] for one in (leader, *followers)] == [SECOND + 1] * 3
    assert leader["workers"] == 3
    last = jobs.running(ALONE, stop=-1, resumed=True, **_run(where))
    assert last["events"][-2:] == ["Finished", "Saved"]
    # It is the run that one process makes.
    alone = {**_run(where), "root": str(tmp_path / "alone")}
    jobs.running(ALONE, stop=-1, resumed=False, **alone)
    found, expected = where / "checkpoints" / "song", tmp_path / "alone" / "song"
    assert files(found).keys() == files(expected).keys()
    for line, same in zip(history(found), history(expected), strict=True):
        assert line | {"seconds": 0} == pytest.approx(same | {"seconds": 0}, rel=1e-3)
    run, same_run = charlstm.load(found), charlstm.load(expected)
    loss, known = (one.perplexity(device="cpu").loss for one in (run, same_run))
    assert loss == pytest.approx(known, abs=1e-4)
    assert run.info.recipe == same_run.info.recipe
    assert json.loads((found / "run.json").read_text(encoding="utf-8"))["finished"]


def test_workers_with_different_texts_do_not_begin(two: Made, where: Path) -> None:
    for found in two.of("other_texts"):
        assert found["error"] == (
            "WorkerError: Worker 1 has another text than worker 0: all must train the same model "
            "on the same text."
        )
    assert not (where / "no" / "song").exists()


def test_more_workers_than_rows_are_refused(two: Made) -> None:
    for found in two.of("too_many"):
        assert found["error"] == (
            "RecipeError: A batch of 1 row cannot be shared by 2 workers, each of which reads at "
            "least one: start fewer, or ask for a larger batch."
        )
    assert Workers(2, 3).rows(3).part == slice(2, 3)
    with pytest.raises(RecipeError, match="start fewer"):
        Workers(0, 4).rows(3)


def test_one_kind_of_device_is_asked_for(two: Made) -> None:
    for found, (one, other) in zip(two.of("mixed"), ((1, 0), (0, 1)), strict=True):
        kinds = ("cpu", "cuda")
        assert found["error"] == (
            f"RecipeError: Worker {one} would compute on {kinds[one]}, and worker {other} on "
            f"{kinds[other]}; name one kind of device that all of them have."
        )


class Listening(Workers):
    is_joined = True

    def tell(self, data: bytes) -> bytes:
        return b'{"format": 99}'


def test_workers_of_another_version_do_not_follow() -> None:
    with pytest.raises(WorkerError) as caught:
        follow(Material(()), workers=Listening(1, 2))
    assert str(caught.value) == (
        "Worker 0 has another version of charlstm: install the same one on all machines."
    )


def test_standard_input_is_for_one_process_alone() -> None:
    check_shared(Material(("-",)), ALONE)
    check_shared(Material(("song.txt",)), Listening(0, 2))
    with pytest.raises(CorpusError) as caught:
        check_shared(Material(("song.txt", "-")), Listening(0, 2))
    assert str(caught.value) == (
        "Standard input can be read by one process only, and every worker reads the text: save it "
        "to a file and name that."
    )


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("error", r"Worker 1 has ended: The disk is full\."),
        ("bug", r"Worker 1 has ended: KeyError: 'x'\."),
        (
            "sleep",
            r"Worker 1 does not answer any more, and training cannot go on without it; go on from "
            r"what was saved last with charlstm\.resume\(\.\.\.\)\.",
        ),
    ],
)
def test_what_becomes_of_one_is_told_by_the_others(two: Made, how: str, said: str) -> None:
    found = two.of("failing", how=how)[0]
    assert re.fullmatch(f"WorkerError: {said}", found["error"])
    assert found["seconds"] < 30


def test_a_worker_that_was_killed_is_named_by_all_others(three: Made) -> None:
    *others, killed = three.of("failing", how="kill")
    assert killed == {}
    for found in others:
        assert found["error"].startswith("WorkerError: Worker 2 is gone, and ")


def test_of_four_only_the_one_that_is_gone_is_missed(tmp_path: Path) -> None:
    # Some of the others wait for workers that are alive and wait themselves.
    four = Made(4, [("failing", {"how": "kill"})], tmp_path / "four")
    *others, killed = four.of("failing")
    assert killed == {}
    assert len(others) == 3
    for found in others:
        assert found["error"].startswith("WorkerError: Worker 3 is gone, and ")


def test_a_process_that_was_not_started_as_one_of_several_is_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in (None, "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if number is not None:
            monkeypatch.setenv("WORLD_SIZE", number)
        assert not is_one_of_several()
        with join_workers(torch.device("cpu")) as workers:
            assert workers is ALONE
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert is_one_of_several()
    with pytest.raises(RecipeError, match=r"^Several workers cannot train on mps"):
        join_workers(torch.device("mps"))


def test_a_worker_apart_from_the_others_times_its_own_rows() -> None:
    trainer = jobs.trainer_of(Workers(1, 3))
    assert next(trainer.windows.epoch(0)).inputs.shape == (13, 2)
    assert trainer.time_step() > 0
    assert math.isfinite(trainer.running_loss)
    assert trainer.may_be_saved


def test_a_single_worker_tells_and_hears_itself() -> None:
    values: NDArray[np.float64] = np.arange(3.0)
    assert ALONE.total(values) is values
    assert ALONE.tell(b"x") == b"x"
    ALONE.compare({"text": "x"})
    tensor = torch.arange(3.0)
    ALONE.sum(tensor)
    ALONE.copy(tensor)
    assert tensor.tolist() == [0, 1, 2]
    assert (ALONE.rank, ALONE.count, ALONE.waited) == (0, 1, 0)
