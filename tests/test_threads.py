from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from trainers import SMALL, files, trainer_for
from trainings import resume_session, start_session

from charlstm.machine import Machine
from charlstm.model.devices import prepare
from charlstm.model.threads import Threads, counts_to_choose_from
from charlstm.recipes.architecture import Architecture


class Time:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(threads: Threads, seconds: Callable[[int], float], time: Time, pieces: int) -> list[int]:
    """Do pieces of work that take so long with so many threads; return with how many each was."""
    counts = []
    for _ in range(pieces):
        threads.before()
        counts.append(torch.get_num_threads())
        took = seconds(counts[-1])
        time.now += took
        threads.after(took)
    return counts


def quiet(count: int) -> float:
    return float(count**-0.5)


def busy(count: int) -> float:
    return 2.0 * count


@pytest.mark.parametrize(
    ("most", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 3)), (4, (1, 2, 4)), (16, (1, 8, 16))]
)
def test_one_half_and_all_are_worth_trying(most: int, counts: tuple[int, ...]) -> None:
    assert counts_to_choose_from(most) == counts


def test_each_number_is_tried_in_turn_and_the_fastest_stays() -> None:
    time = Time()
    threads = Threads((1, 2, 4), now=time)
    assert threads.is_comparing
    assert work(threads, quiet, time, 12) == [1, 2, 4] * 3 + [4] * 3
    assert (threads.is_comparing, threads.chosen) == (False, 4)


def test_a_number_that_is_hopeless_is_tried_once() -> None:
    time = Time()
    threads = Threads((1, 2, 4), now=time)
    assert work(threads, busy, time, 8) == [1, 2, 4, 1, 2, 1, 2, 1]
    assert threads.chosen == 1


def test_another_number_must_be_worth_the_change() -> None:
    time = Time()
    threads = Threads((1, 2), now=time)
    work(threads, lambda count: 1.0 + 0.05 * count, time, 6)
    assert threads.chosen == 2


def test_it_is_looked_at_again_when_the_machine_may_have_changed() -> None:
    time = Time()
    threads = Threads((1, 2), every=60.0, now=time)
    work(threads, busy, time, 6)
    assert threads.chosen == 1
    time.now += 59.0
    assert work(threads, quiet, time, 1) == [1]
    time.now += 1.0
    assert work(threads, quiet, time, 7) == [1, 2, 1, 2, 1, 2, 2]
    assert threads.chosen == 2


def test_with_a_single_number_nothing_is_compared() -> None:
    time = Time()
    threads = Threads((1,), now=time)
    assert not threads.is_comparing
    time.now += 1000.0
    assert work(threads, busy, time, 3) == [1, 1, 1]


def test_a_trainer_makes_its_steps_with_the_threads_that_are_tried() -> None:
    threads = Threads((1, 2))
    trainer = trainer_for(SMALL.override(epochs=4), threads=threads)
    counts = []
    for _ in trainer.run():
        counts.append(torch.get_num_threads())
    assert counts[:2] == [1, 2]
    assert not threads.is_comparing
    assert counts[-1] == threads.chosen


def test_threads_are_chosen_unless_they_are_named_or_must_not_change() -> None:
    torch.set_num_threads(2)
    architecture = Architecture()
    assert prepare(Machine(device="cpu"), architecture).threads == (1, 2)
    assert prepare(Machine(device="cpu", deterministic=True), architecture).threads == (2,)
    assert prepare(Machine(device="cpu", threads=1), architecture).threads == (1,)


def test_a_session_says_with_how_many_threads_it_begins(corpus: Path, root: Path) -> None:
    settings = {"hidden": 8, "embedding": 6, "epochs": 1}
    torch.set_num_threads(2)
    chosen = start_session([corpus], settings=settings, root=root, device="cpu")
    assert chosen.plan.threads == torch.get_num_threads()
    named = start_session([corpus], settings=settings, root=root, device="cpu", threads=2)
    assert named.plan.threads == 2
    list(named.events())
    again = resume_session(
        named.plan.directory.name, root=root, settings={"epochs": 2}, device="cpu", threads=1
    )
    assert again.plan.threads == 1
    assert files(again.plan.directory.path)
