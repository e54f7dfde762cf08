"""Workers as a user starts them: with --workers, with torchrun, in Python; and how they end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from commandline import Result, module, python
from faults.patience import HANGS_AFTER

import charlstm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted and killed")

SONG = "".join(
    f"{adjective} {noun}, I keep you in the {place}\nand nobody asks for the {noun}\n\n"
    for adjective in ("red", "long", "cold", "late", "small")
    for noun in ("summer", "letter", "river", "engine")
    for place in ("kitchen", "harbour", "radio")
)
SMALL = (
    *("--hidden", "12", "--embedding", "6", "--batch", "5", "--window", "16", "--threads", "1"),
    *("--precision", "float32", "--songs", "off"),
)
TRAIN = ("train", "song.txt", *SMALL)
# As good as endless.
LONG = ("--epochs", "100000", "--patience", "0", "--sample-every", "0")
TWO = ("--workers", "2")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture
def where(tmp_path: Path) -> Path:
    (tmp_path / "song.txt").write_text(SONG, encoding="utf-8")
    return tmp_path


def last_loss(where: Path, name: str) -> float:
    last = charlstm.load(where / "checkpoints" / name).info.last
    assert last is not None
    assert last.validation_loss is not None
    return last.validation_loss


@contextmanager
def begun(where: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a training that has reported an epoch; nothing of it is left afterwards."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "charlstm", *arguments],
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if re.match(r" +1 ", line):
                break
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            for left in psutil.Process(process.pid).children(recursive=True):
                left.kill()
        process.kill()
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the workers that a launcher has started, by their ranks."""
    children = psutil.Process(process.pid).children()
    ranked = [child for child in children if "RANK" in child.environ()]
    return sorted(ranked, key=lambda child: int(child.environ()["RANK"]))


def end_of(process: subprocess.Popen[str]) -> Result:
    stdout, stderr = process.communicate(timeout=HANGS_AFTER)
    return Result(process.returncode, stdout, stderr)


def check_gone(workers: Sequence[psutil.Process]) -> None:
    assert psutil.wait_procs(workers, timeout=5)[1] == []


@pytest.mark.parametrize("start", ["workers", "torchrun"])
def test_two_workers_show_what_one_does_and_come_to_the_same(where: Path, start: str) -> None:
    one = module(*TRAIN, "--epochs", "3", "--name", "one", where=where)
    assert one.code == 0, one.stderr
    arguments = (*TRAIN, "--epochs", "3", "--name", "two")
    if start == "workers":
        two = module(*arguments, *TWO, where=where)
    else:
        two = python(*TORCHRUN, "-m", "charlstm", *arguments, where=where)
    assert two.code == 0, two.stderr
    assert "backend on 2 workers, each on cpu with 1 thread" in two.stderr
    assert re.search(
        r"^workers: (they do not pay, only )?[\d.]+ times as fast as one process with 2 threads; "
        r"telling and waiting for each other takes \d+% of a step$",
        two.stderr,
        re.M,
    )
    assert "workers:" not in one.stderr
    shape = r"^checkpoints/\w+: held-out perplexity [\d.]+ \(.*, epoch \d; [\d.]+ alone\)\n$"
    for result in (one, two):
        assert re.match(shape, result.stdout)
        reports = re.findall(r"^ +(\d) +[\d.,]+ +[\d.,]+", result.stderr, re.M)
        assert reports == ["1", "2", "3"]
    assert last_loss(where, "two") == pytest.approx(last_loss(where, "one"), abs=1e-4)


def test_workers_that_do_not_train_exactly_say_so_and_go_on_in_the_same_way(where: Path) -> None:
    inexact = ("--compress", "bfloat16", "--sync-every", "4", "--no-index")
    two = module(*TRAIN, *inexact, "--epochs", "2", *TWO, where=where)
    assert two.code == 0, two.stderr
    told = " ".join(two.stderr.split())
    assert (
        "Not exact: what workers tell each other is rounded to bfloat16 and they meet once in 4 "
        "steps, so the model is not quite that of one process (--compress bfloat16 and "
        "--sync-every 4)." in told
    )
    again = module("train", "--resume", "--epochs", "3", *TWO, where=where)
    assert again.code == 0, again.stderr
    assert "they meet once in 4 steps" in " ".join(again.stderr.split())
    one = module("train", "--resume", "--epochs", "4", "--threads", "1", where=where)
    assert one.code == 0, one.stderr
    assert (
        "One process has nobody to tell, so --compress bfloat16 and --sync-every 4 do nothing "
        "here." in " ".join(one.stderr.split())
    )
    changed = module("train", "--resume", "--sync-every", "2", "--epochs", "5", where=where)
    assert changed.code == 1
    assert "was trained with another --sync-every; a resumed run keeps" in changed.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_saves_once_and_leaves_no_process_behind(
    where: Path, number: signal.Signals
) -> None:
    with begun(where, *TRAIN, *LONG, *TWO) as process:
        workers = workers_of(process)
        assert len(workers) == 2
        process.send_signal(number)
        ended = end_of(process)
    assert ended.code == 128 + number
    assert ended.stderr.count("finishing the step and saving") == 1
    assert "error" not in ended.stderr
    check_gone(workers)
    # It goes on with another number of workers, from where all of them were.
    stopped = re.search(r"interrupted at step ([\d,]+) and saved", ended.stderr)
    assert stopped
    steps = int(stopped[1].replace(",", ""))
    again = module("train", "--resume", "--steps", str(steps + 3), "--threads", "1", where=where)
    assert again.code == 0, again.stderr
    assert f"resumed: at step {stopped[1]} of" in again.stderr


@pytest.mark.parametrize(
    ("rank", "told"),
    [
        (0, "Worker 0 was ended by SIGKILL"),
        (1, "Worker 1 is gone, and training cannot go on without it"),
    ],
)
def test_a_worker_that_is_killed_ends_all_of_them_with_a_sentence(
    where: Path, rank: int, told: str
) -> None:
    with begun(where, *TRAIN, *LONG, *TWO) as process:
        workers, killed_at = workers_of(process), time.monotonic()
        workers[rank].kill()
        ended = end_of(process)
    assert ended.code == 1
    assert time.monotonic() - killed_at < 30
    errors = [line for line in ended.stderr.splitlines(keepends=True) if "error" in line]
    go_on = "; go on from what was saved last with charlstm train --resume.\n"
    assert errors == [f"error: {told}{go_on}"]
    check_gone(workers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*TRAIN, "--batch", "1"), "A batch of 1 row cannot be shared by 2 workers"),
        ((*TRAIN, "--lr", "-1"), "--lr must be"),
        (("train", "no.txt"), "There is no file or directory called no.txt."),
        (("train", "-"), "Standard input can be read by one process only"),
    ],
)
def test_what_cannot_be_trained_is_said_once(
    where: Path, arguments: Sequence[str], message: str
) -> None:
    ended = module(*arguments, *TWO, where=where)
    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (where / "checkpoints").exists()


def test_other_workers_than_were_started_are_refused(where: Path) -> None:
    ended = python(*TORCHRUN, "-m", "charlstm", *TRAIN, "--workers", "3", where=where)
    assert ended.code != 0
    told = " ".join(re.sub("[│\n]", " ", ended.stderr).split())
    assert "has started 2 on this machine; leave --workers out." in told


def test_in_python_the_process_that_asks_for_workers_is_the_first_of_them(where: Path) -> None:
    script = where / "script.py"
    script.write_text(
        """
import charlstm

if __name__ == "__main__":
    events = []
    settings = {"hidden": 12, "embedding": 6, "batch": 5, "window": 16, "precision": "float32"}
    model = charlstm.train(
        "song.txt", workers=2, threads=1, name="two", epochs=2, on_event=events.append,
        progress=False, **settings,
    )
    print(len(events) > 10, model.info.last.epoch)
    for kind in (3, 2):
        model = charlstm.resume("two", workers=kind, threads=1, epochs=6 - kind, progress=False)
        print(model.info.last.epoch)
    try:
        charlstm.train("song.txt", workers=2, batch=1, progress=False)
    except charlstm.CharLSTMError as error:
        print(error)
    try:
        charlstm.train("song.txt", workers=0)
    except charlstm.CharLSTMError as error:
        print(error)
""",
        encoding="utf-8",
    )
    ended = python("script.py", where=where)
    assert ended.code == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "True 2",
        "3",
        "4",
        "A batch of 1 row cannot be shared by 2 workers, each of which reads at least one: start "
        "fewer, or ask for a larger batch.",
        "workers must be a whole number from 1 up, not 0.",
    ]
    assert ended.stderr == ""
