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
from charlstm.sessions.versions import check_versions, versions
from charlstm.text.mapped import DIRECTORY
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.joining import is_one_of_several, join_workers
from charlstm.training.meetings import MOMENTUM, RATE, Rhythm
from charlstm.training.optimizer import restore_moments

# The case of each figure that is to be the same: of weights, moments and states, and of losses.
FIGURES = ("weights/", "moments/", "state/", "best/")
FIRST, SECOND = 11, 20
# How much of the last digits bfloat16 leaves.
ROUGH = 2**-8


def of_two(where: Path) -> list[Job]:
    return [
        *(("exactly", {"case": case}) for case in CASES),
        ("roundly", {"precision": "float32"}),
        ("roundly", {"precision": "bfloat16"}),
        ("partly", {"before": "", "until": FIRST, "after": str(where / "first")}),
        ("going_back", {}),
        ("going_back", {"every": 8}),
        ("meeting", {}),
        ("meeting", {"until": FIRST, "after": str(where / "met")}),
        ("meeting", {"before": str(where / "met")}),
        ("rounding", {"every": 1}),
        ("rounding", {"every": 8}),
        ("other_versions", {}),
        ("giving_up", {}),
        ("losing_patience", {}),
        ("by_the_clock", {}),
        ("by_the_clock", {"every": 8}),
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
        ("meeting", {"before": str(where / "met")}),
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


def by_hand(count: int, steps: int) -> dict[str, NDArray[np.float64]]:
    """Return what workers that meet every 8 steps come to, each of them trained by itself."""
    rate, momentum = RATE, MOMENTUM
    with jobs.float64():
        alone = [jobs.trainer_of(Workers(rank, count), **jobs.MEETING) for rank in range(count)]
        shares = [Workers(rank, count).rows(7).number / 7 for rank in range(count)]
        w = {name: array.copy() for name, array in alone[0].weights().items()}
        m = {name: np.zeros_like(array) for name, array in w.items()}
        for step in range(1, steps + 1):
            for trainer in alone:
                trainer.time_step()
            if step % 8 and step % 36 and step != steps:
                continue
            snapshots = [trainer.snapshot() for trainer in alone]
            for name in w:
                d = sum(
                    share * (one.weights[name] - w[name])
                    for share, one in zip(shares, snapshots, strict=True)
                )
                m[name] = momentum * m[name] + d
                w[name] = w[name] + rate * (d + momentum * m[name])
            moments = {
                name: np.add.reduce(
                    [
                        np.asarray(share * one.moments[name])
                        for share, one in zip(shares, snapshots, strict=True)
                    ]
                )
                for name in snapshots[0].moments
            }
            for trainer in alone:
                trainer.begin_from(w)
                restore_moments(trainer.model, trainer._descent.optimizer, moments)
        return {
            **{f"weights/{name}": array for name, array in w.items()},
            **{f"outer/{name}": array for name, array in m.items()},
            **{f"moments/{name}": np.asarray(array) for name, array in moments.items()},
        }


def test_workers_that_meet_now_and_then_average_what_each_has_come_to(two: Made) -> None:
    expected = by_hand(2, STEPS)
    leader, follower = two.of("meeting", **{})[:2]
    for found in (leader, follower):
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-10, err_msg=name)
    # After a step alone each knows its own loss, after a meeting that of all.
    for one, other in zip(leader["events"], follower["events"], strict=True):
        met = one[0] != "step" or one[1] % 8 == 0 or one[1] in (36, STEPS)
        assert (one == other) == met, (one, other)
    assert [event[0] for event in leader["events"]].count("step") == STEPS
    # What was wished for at step 10 is told at step 16.
    assert leader["saved"] == follower["saved"] == [16]


def test_stopped_between_two_meetings_they_stop_at_the_next_and_go_on_as_if_they_had_not(
    two: Made,
) -> None:
    for rank in range(2):
        whole, first, second = two.of("meeting")[rank::2]
        assert first["events"][-1] == ["Stopped", 16]
        events = [*first["events"][:-1], *second["events"]]
        assert second["outer/head.bias"].any()
        for name in (name for name in whole if name.startswith("outer/")):
            np.testing.assert_allclose(second[name], whole[name], rtol=0, atol=1e-10)
        assert_alike({**second, "events": events}, whole, 1e-10)


def test_another_number_goes_on_from_where_workers_met(two: Made, three: Made) -> None:
    whole = two.of("meeting")[0]
    for found in three.of("meeting"):
        assert found["events"][-1] == whole["events"][-1]
        assert [event[:2] for event in found["events"]] == [
            event[:2] for event in whole["events"] if event[0] != "step" or event[1] > 16
        ]
        last, same = (
            next(event for event in reversed(one["events"]) if event[0] == "epoch")
            for one in (found, whole)
        )
        assert last[5:7] == pytest.approx(same[5:7], abs=0.1)


def test_a_single_worker_goes_on_from_where_several_met_without_their_momentum(
    two: Made, where: Path
) -> None:
    whole = two.of("meeting")[0]
    found = jobs.meeting(ALONE, before=str(where / "met"))
    assert found["saved"] == [*range(17, STEPS + 1)]
    assert found["events"][-1] == whole["events"][-1]
    assert not any(found[name].any() for name in found if name.startswith("outer/"))


def test_a_single_worker_trains_exactly_whatever_several_would_tell_each_other() -> None:
    exact = jobs.exactly(ALONE, "labels")
    with jobs.float64():
        trainer = jobs.trainer_of(ALONE, **CASES["labels"], sync_every=8, compress="bfloat16")
        found = jobs.made(trainer, list(trainer.run()))
    assert found["events"] == exact["events"]
    for name in (name for name in exact if name != "events"):
        np.testing.assert_array_equal(found[name], exact[name], err_msg=name)
    outer = {name for name in found if name.startswith("outer/")}
    assert len(outer) == len(trainer.weights())
    assert not any(found[name].any() for name in outer)


@pytest.mark.parametrize("every", [1, 8])
def test_what_workers_tell_each_other_may_be_rounded_but_for_numbers(two: Made, every: int) -> None:
    first, second = two.of("rounding", every=every)
    for name in (name for name in first if name.startswith((*FIGURES, "outer/"))):
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)
    # The second value has a digit too many, and a sum of three digits more is rounded again.
    assert first["values"] == pytest.approx([2, 2, 512, 6, 2e-30], rel=ROUGH)
    assert first["values"][:4] == [2, 2, 512, 6]
    assert first["numbers"] == [2.0**41 + 1, 0.2]
    one = jobs.trainer_of(ALONE, **CASES["labels"])
    exact = jobs.made(one, list(one.run()))
    ends, others = (
        [event for event in made["events"] if event[0] == "epoch"] for made in (first, exact)
    )
    assert_same_events(ends, others, 0.02 if every == 1 else 0.2)
    if every == 1:
        # What is counted is not rounded, so the first loss is that of one process.
        assert_same_events(first["events"][:1], exact["events"][:1], 1e-6)
        assert any((first[name] != exact[name]).any() for name in first if "weights/" in name)


def test_workers_of_other_versions_do_not_begin(two: Made) -> None:
    ours = versions()["torch"].partition("+")[0]
    for found in two.of("other_versions"):
        assert found["error"] == (
            f"WorkerError: Worker 1 has torch 2.7.1, and worker 0 has torch {ours}: install the "
            "same version for all of them."
        )
    check_versions(ALONE)


def test_workers_that_meet_now_and_then_go_back_to_where_they_met(two: Made) -> None:
    for found in two.of("going_back", every=8):
        # What was spoiled after step 40 is noticed at the end of the stretch, the last step.
        assert ["WentBack", 48, 36, 0.5] in found["events"]
        assert found["events"][-1][0] == "Finished"


def test_all_go_back_where_the_weights_of_one_are_spoiled(two: Made) -> None:
    expected = jobs.going_back(ALONE)
    assert ["WentBack", 41, 36, 0.5] in expected["events"]
    for found in two.of("going_back")[:2]:
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
    for found in two.of("by_the_clock")[:2]:
        # That they are over is told with one more step.
        *rates, _ = found["rates"]
        assert rates == pytest.approx(expected["rates"], rel=1e-5)
    first, second = two.of("by_the_clock", every=8)
    assert first["rates"] == second["rates"]
    assert len(first["rates"]) == 64  # where all meet after the minute


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
    # All of them read the text from one file, whose pages are in memory once.
    assert len(list((where / "checkpoints" / DIRECTORY).glob("*.ids"))) == 1
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


def test_workers_meet_every_so_many_steps_and_where_an_epoch_and_the_training_end() -> None:
    rhythm = Rhythm(every=4, epoch=10, last=23)
    met = [step for step in range(1, 24) if rhythm.meets(step)]
    assert met == [4, 8, 10, 12, 16, 20, 23]
    assert [rhythm.before(step) for step in met] == [0, *met[:-1]]
    every = Rhythm(every=1, epoch=10, last=23)
    assert all(every.meets(step) and every.before(step) == step - 1 for step in range(1, 24))


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
