"""Jobs that several worker processes do together over loopback, and what each of them made of it.

Importing torch takes longer than most jobs, so that the same processes do many, one after the
other, and join each other anew for each.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch._C._distributed_c10d import TCPStore
from trainers import CPU
from trainings import is_step

from charlstm.errors import CharLSTMError, RunError
from charlstm.machine import Machine
from charlstm.model.recall.learning import learn_recall
from charlstm.model.recall.recall import Recall
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.recipes.wish import Wish
from charlstm.runs.snapshot import Snapshot
from charlstm.sessions.fitting import Material
from charlstm.sessions.following import follow
from charlstm.sessions.resume import resume_session
from charlstm.sessions.start import Keeping, start_session
from charlstm.sessions.versions import check_versions, versions
from charlstm.text import mapped
from charlstm.training import distributed
from charlstm.training.batches import Labelled
from charlstm.training.clock import Clock
from charlstm.training.distributed import Workers
from charlstm.training.events import EpochEnd, Step, TrainerEvent
from charlstm.training.joining import join_workers
from charlstm.training.trainer import Trainer

Results = dict[str, Any]
"""What a job made: numbers, texts, lists, or arrays."""

# So long all jobs of some workers may take: on a busy machine, many times as long as they do.
_PATIENCE = 240

# A text of 250 songs of 12 characters, each after its label, and one of as many to be measured.
V, END, NONE, LABELS = 13, 12, 9, (10, 11)


def _songs(seed: int, number: int) -> NDArray[np.uint16]:
    random = np.random.default_rng(seed)
    ids: list[int] = [END]
    for song in range(number):
        ids += [LABELS[song % 2], *random.integers(0, 6 + song % 3, size=11).tolist(), END]
    return np.array(ids, dtype=np.uint16)


TEXT, HELD_OUT = _songs(1, 250), _songs(2, 240)
ENDS = np.flatnonzero(TEXT == END)
LABELLED = Labelled(np.where(np.isin(np.arange(V), LABELS), 0, -1), np.array([NONE]), ENDS)

# No batch is divisible by 2 or 3; an epoch has 36 steps.
RECIPE = Recipe(
    name="test",
    architecture=Architecture(hidden=6, embedding=4, layers=2),
    batch=7,
    window=13,
    epochs=99,
    dropout=0.3,
    clip=0.5,
)
STEPS = 50
CASES: Mapping[str, Mapping[str, Any]] = {
    "consecutive": {"embedding": 0},
    "random": {"sampling": "random", "cell": "peephole"},
    "songs": {"sampling": "songs", "backend": "torch", "labelled": True, "recall": 0.3},
    "labels": {"labelled": True, "layers": 1},
    "sgd": {"optimizer": "sgd", "learning_rate": 1.0, "cell": "gru", "backend": "torch"},
    "short": {"batch": 3, "window": 100, "steps": 20, "optimizer": "adamw", "weight_decay": 0.1},
}
# Of workers that meet after steps 8, 16, 24, 32, at the end of the epoch, 36, and so on.
MEETING: Mapping[str, Any] = {"sampling": "songs", "labelled": True, "sync_every": 8}


def trainer_of(
    workers: Workers,
    *,
    backend: str = "scratch",
    labelled: bool = False,
    clock: Clock | None = None,
    **settings: Any,
) -> Trainer:
    recipe = RECIPE.override(**{"steps": STEPS, **settings})
    return Trainer(
        recipe,
        TEXT,
        HELD_OUT,
        V,
        end=END,
        labels=LABELLED if labelled else None,
        ends=ENDS,
        backend=backend,
        device=CPU,
        clock=clock,
        recall=_recall() if recipe.recall else None,
        workers=workers,
    )


@cache
def _recall() -> Recall:
    return learn_recall(TEXT, V, end=END, unpredicted=LABELLED.places >= 0)


def is_last(workers: Workers) -> bool:
    return workers.rank + 1 == workers.count


def told(event: TrainerEvent) -> list[Any]:
    """Return what an event says, but for what the clock says."""
    if isinstance(event, Step):
        return ["step", event.step, event.epoch, event.loss]
    if isinstance(event, EpochEnd):
        return ["epoch", *(asdict(event.report) | {"seconds": 0}).values(), event.best, event.last]
    return [type(event).__name__, *asdict(event).values()]


def made(trainer: Trainer, events: list[TrainerEvent]) -> Results:
    snapshot = trainer.snapshot()
    best = {f"best/{name}": array for name, array in snapshot.best_weights.items()}
    return {"events": [told(event) for event in events], **snapshot.tensors(), **best}


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


# The jobs. Each can be done by a single worker in the process of a test as well.


def exactly(workers: Workers, case: str) -> Results:
    """Train in float64."""
    with float64():
        trainer = trainer_of(workers, **CASES[case])
        return made(trainer, list(trainer.run()))


def roundly(workers: Workers, precision: str) -> Results:
    """Train in ordinary precision, twice."""
    trainers = [trainer_of(workers, embedding=0, precision=precision) for _ in range(2)]
    first, second = (made(trainer, list(trainer.run())) for trainer in trainers)
    return {**first, **{f"again/{name}": value for name, value in second.items()}}


def partly(workers: Workers, before: str, until: int, after: str) -> Results:
    """Go on in float64 from a saved state to where the last worker wishes to stop, and save."""
    with float64():
        trainer = trainer_of(workers, **CASES["songs"])
        if workers.leads and before:
            trainer.restore(Snapshot.unpacked(Path(before).read_bytes()))
        events = []
        for event in trainer.run():
            events.append(event)
            if is_step(event, until) and is_last(workers):
                trainer.stop()
        if workers.leads:
            Path(after).write_bytes(trainer.snapshot().packed())
        return made(trainer, events)


def meeting(workers: Workers, before: str = "", until: int = -1, after: str = "") -> Results:
    """Train in float64, or go on, meeting now and then; to where the last worker wishes to stop."""
    with float64():
        trainer = trainer_of(workers, **MEETING)
        if workers.leads and before:
            trainer.restore(Snapshot.unpacked(Path(before).read_bytes()))
        events, possible = [], []
        for event in trainer.run():
            events.append(event)
            if isinstance(event, Step):
                possible.append((event.step, trainer.may_be_saved))
                if event.step == 10 and workers.leads:
                    trainer.prepare_to_save()
            if is_step(event, until) and is_last(workers):
                trainer.stop()
        if workers.leads and after:
            Path(after).write_bytes(trainer.snapshot().packed())
        saved = [step for step, may in possible if may]
        return {**made(trainer, events), "saved": saved}


def rounding(workers: Workers, every: int) -> Results:
    """Train with what workers tell each other rounded; sum numbers that show how."""
    trainer = trainer_of(workers, **CASES["labels"], compress="bfloat16", sync_every=every)
    results = made(trainer, list(trainer.run()))
    values = torch.tensor([1.0, 1 + 2**-9, 256.0, 3.0, 1e-30])
    numbers = torch.tensor([2.0**40 + workers.rank, 0.1], dtype=torch.float64)
    workers.sum_rounded(values, numbers)
    return {**results, "values": values.tolist(), "numbers": numbers.tolist()}


def other_versions(workers: Workers) -> Results:
    """Have another torch than the others, on the last worker."""
    ours = versions()
    patched = {**ours, "torch": "2.7.1+cpu"} if is_last(workers) else ours
    with patch("charlstm.sessions.versions.versions", lambda: patched):
        check_versions(workers)
    return {}


def going_back(workers: Workers, every: int = 1) -> Results:
    """Train, and spoil the weights of the last worker once."""
    trainer = trainer_of(workers, **CASES["labels"], sync_every=every)
    events: list[TrainerEvent] = []
    for event in trainer.run():
        if is_step(event, 40) and is_last(workers) and len(events) == 40:
            trainer.model.head.bias.data.fill_(np.nan)
        events.append(event)
    return made(trainer, events)


def giving_up(workers: Workers) -> Results:
    """Train with weights that are spoiled after every step."""
    trainer, events = trainer_of(workers), []
    try:
        for event in trainer.run():
            events.append(told(event))
            if isinstance(event, Step) and is_last(workers):
                trainer.model.head.bias.data.fill_(np.nan)
    except CharLSTMError as error:
        return {"events": events, "error": str(error), "saved": trainer.may_be_saved}
    return {}


def losing_patience(workers: Workers) -> Results:
    """Train without learning anything, and with little patience."""
    with float64():
        trainer = trainer_of(workers, optimizer="sgd", learning_rate=1e-30, patience=1, steps=999)
        return made(trainer, list(trainer.run()))


def by_the_clock(workers: Workers, every: int = 1) -> Results:
    """Train for minutes that only the first worker's clock knows; each step takes it a second."""
    now = [0.0]
    endless: dict[str, Any] = {
        "steps": 999,
        "epochs": 99,
        "schedule": "cosine",
        "sync_every": every,
    }
    trainer = trainer_of(workers, clock=Clock(lambda: now[0]), minutes=1, **endless)
    rates = []
    for event in trainer.run():
        now[0] += 1.0 if workers.leads else 1000.0
        if isinstance(event, Step):
            rates.append(trainer.rate)
    return {"rates": rates}


def saving_between(workers: Workers) -> Results:
    """Prepare to save after the fourth step; say when that would be possible."""
    trainer = trainer_of(workers, steps=9)
    possible, step_five = [], {}
    for event in trainer.run():
        if isinstance(event, Step):
            possible.append(trainer.may_be_saved)
            if event.step == 4 and workers.leads:
                trainer.prepare_to_save()
            if event.step == 5:
                step_five = trainer.snapshot().tensors()
    return {"possible": possible, **step_five}


def running(workers: Workers, **arguments: Any) -> Results:
    """Train a run, from a text in a mapped file, until the last worker wishes to stop."""
    before, mapped.LONGEST_IN_MEMORY = mapped.LONGEST_IN_MEMORY, 0
    try:
        return _running(workers, **arguments)
    finally:
        mapped.LONGEST_IN_MEMORY = before


def _running(workers: Workers, corpus: str, root: str, stop: int, *, resumed: bool) -> Results:
    machine = Machine(backend="scratch", device="cpu", threads=1)
    if not workers.leads:
        following = follow(Material((corpus,)), machine, workers=workers, root=Path(root))
        trainer = following.trainer
        if stop:
            for happened in trainer.run():
                if is_step(happened, stop) and is_last(workers):
                    following.stop()
        else:
            for _ in following.events():
                pass
        return {"step": trainer.step, "mapped": following.corpus.file_bytes > 0}
    settings = {"hidden": 8, "embedding": 4, "batch": 5, "window": 16, "epochs": 3, "dropout": 0.2}
    if resumed:
        session = resume_session("song", None, None, machine, root=Path(root), workers=workers)
    else:
        keeping = Keeping("song", Path(root), prefixes=["分开"], sample_every=1)
        wish = Wish(settings=settings)
        session = start_session(Material((corpus,)), wish, machine, keeping, workers=workers)
    events = []
    for event in session.events():
        events.append(type(event).__name__)
        if is_step(event, stop) and is_last(workers):
            session.stop()
    teamwork = session.plan.teamwork
    assert (teamwork is not None) == workers.is_joined
    if teamwork is not None:
        assert teamwork.workers == workers.count
        assert teamwork.alone_seconds > 0
        assert 0 < teamwork.telling_seconds < teamwork.step_seconds
    return {"step": session.trainer.step, "events": events, "workers": workers.count}


def other_texts(workers: Workers, corpora: list[str], root: str) -> Results:
    """Read a text each, and begin to train."""
    corpus, machine = Material((corpora[workers.rank],)), Machine(device="cpu", threads=1)
    if workers.leads:
        keeping = Keeping("song", Path(root), sample_every=0)
        start_session(corpus, Wish(settings={"hidden": 4}), machine, keeping, workers=workers)
    else:
        follow(corpus, machine, workers=workers, root=Path(root))
    return {}


def too_many(workers: Workers) -> Results:
    trainer_of(workers, batch=1)
    return {}


def mixed(workers: Workers) -> Results:
    """Have another kind of device than the others, on the last worker."""
    assert isinstance(workers, distributed.Joined)
    if is_last(workers):
        workers._store.set(f"device/{workers.rank}", "cuda")
        workers._device = torch.device("cuda")
    workers.tell(b"")
    return {}


def failing(workers: Workers, how: str) -> Results:
    """Train until the last worker ends in some way."""
    setattr(workers, "_timeout", 1.0)  # noqa: B010
    for event in trainer_of(workers).run():
        if is_step(event, 5) and is_last(workers):
            if how == "error":
                raise RunError("The disk is full.")
            if how == "bug":
                raise KeyError("x")
            if how == "sleep":
                time.sleep(60)  # it is ended before
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
    return {}


JOBS: Mapping[str, Callable[..., Results]] = {
    job.__name__: job
    for job in (
        *(exactly, roundly, partly, going_back, giving_up, losing_patience, by_the_clock),
        *(saving_between, running, other_texts, too_many, mixed, failing),
        *(meeting, rounding, other_versions),
    )
}


def _main(out: str, *jobs: str) -> None:
    """Do jobs, each with the workers that meet at a port of its own; write what became of them."""
    torch.set_num_threads(1)
    for number, text in enumerate(jobs):
        name, port, arguments = json.loads(text)
        os.environ["MASTER_PORT"] = str(port)
        results: Results = {}
        began = time.monotonic()
        try:
            with join_workers(CPU) as workers:
                results = JOBS[name](workers, **arguments)
        except Exception as error:  # of whatever kind: the tests say which they expect
            results["error"] = f"{type(error).__name__}: {error}"
        results["seconds"] = time.monotonic() - began
        arrays = {key: value for key, value in results.items() if isinstance(value, np.ndarray)}
        plain = {key: value for key, value in results.items() if key not in arrays}
        arrays["plain"] = np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)
        save_file(arrays, f"{out}/{number}-{os.environ['RANK']}.safetensors")


Job = tuple[str, dict[str, Any]]


def together(count: int, jobs: list[Job], out: Path) -> list[list[Results]]:
    """Let so many workers do jobs; return what each job is to each of them, by rank.

    A worker that was killed has no results.
    """
    out.mkdir()
    # Kept here, as a launcher does, and not by a worker that may be killed.
    meet = [TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=60)) for _ in jobs]
    told = [
        json.dumps([name, store.port, arguments])
        for (name, arguments), store in zip(jobs, meet, strict=True)
    ]
    path = os.pathsep.join([str(Path(__file__).parent.parent), str(Path(__file__).parent)])
    everywhere = {
        **os.environ,
        "PYTHONPATH": path,
        "MASTER_ADDR": "127.0.0.1",
        "WORLD_SIZE": str(count),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(out), *told], env={**everywhere, "RANK": str(rank)}
        )
        for rank in range(count)
    ]
    try:
        until = time.monotonic() + _PATIENCE
        for process in processes:
            process.wait(until - time.monotonic())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [
        [_read(out / f"{number}-{rank}.safetensors") for rank in range(count)]
        for number in range(len(jobs))
    ]


def _read(path: Path) -> Results:
    if not path.exists():
        return {}
    results = load_file(path)
    plain = json.loads(results.pop("plain").tobytes())
    return {**results, **plain}


if __name__ == "__main__":
    _main(*sys.argv[1:])
