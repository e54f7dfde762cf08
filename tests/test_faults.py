"""Full disks, closed windows, impatient people: none of them costs what was saved."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import shutil
import signal
import stat
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest
from faults import patience
from faults.commands import Command, Commands, Ended
from faults.inside import ASLEEP, AWAKE
from faults.kills import kill_trainings
from trainings import resume_session

import charlstm
from charlstm.errors import RunError
from charlstm.runs.directory import ROOT
from charlstm.training.events import EpochEnd

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and limited")

SONG = "".join(
    f"分开的第{day}天 我在{place}等你\n不分开 我们说好不分开\n{place}很安静\n\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)
TRAIN = (
    *("train", "song.txt", "--threads", "1", "--precision", "float32"),
    *("--hidden", "12", "--layers", "1", "--embedding", "6", "--batch", "8", "--window", "16"),
)
RESUME = ("train", "--resume", "--name", "song", "--threads", "1")
# As good as endless, with a report every twenty epochs, which take half a second.
LONG = ("--epochs", "400", "--steps", "10000000", "--patience", "0")


@pytest.fixture(scope="module")
def trained(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a finished run is, to be looked at and copied."""
    where = tmp_path_factory.mktemp("trained")
    (where / "song.txt").write_text(SONG, encoding="utf-8")
    ended = commands.run(*TRAIN, "--epochs", "2", where=where)
    assert ended.code == 0, ended.errors
    return where


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """Return where there is a song and no run yet."""
    (tmp_path / "song.txt").write_text(SONG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """Return where there is a copy of the finished run."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_of(where: Path) -> Path:
    return where / "checkpoints" / "song"


def files(where: Path) -> dict[str, bytes]:
    """Return what is in a run, without the parts that nobody reads."""
    paths = run_of(where).iterdir()
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}


def assert_it_can_be_used(where: Path) -> None:
    model = charlstm.load(root=where / "checkpoints")
    assert len(model.generate("分开", length=3, seed=1)) == 5
    assert model.directory.read_resume(model.info)[0].position.step >= 0


def assert_one_sentence(ended: Ended, message: str) -> None:
    """Check that a command ended with this error and nothing that frightens people."""
    assert ended.code == 1
    (line,) = re.findall(r"^error: .*$", ended.errors, re.M)
    assert line == f"error: {message}"
    assert ended.errors.endswith(line + "\n")
    assert "Traceback" not in ended.errors
    assert "Exception" not in ended.errors


def read_until(stream: TextIO, line: str) -> None:
    """Read to a line that begins with this pattern."""
    assert any(re.match(line, read) for read in stream), "it ended before it said so"


def read_report(stream: TextIO, epoch: int) -> None:
    """Read what a training says to the line with the figures of that epoch."""
    read_until(stream, rf" +{epoch} +\d+\.\d\d ")


def until(happened: Callable[[], bool], command: Command) -> None:
    """Wait for something that a command does."""
    try:
        patience.until(happened)
    except TimeoutError:
        command.send(signal.SIGKILL)
        pytest.fail(f"it did not happen: {command.end().errors}")


def waits(command: Command, call: str) -> bool:
    """Return whether a command waits in that call of the operating system."""
    where = Path(f"/proc/{command.pid}/wchan").read_text()
    if where == "0":  # it runs, or nobody may know: then it must do that it sleeps
        return Path(f"/proc/{command.pid}/stat").read_text().rpartition(") ")[2][0] == "S"
    return call in where


def until_saved(where: Path, command: Command) -> None:
    until((run_of(where) / "resume.safetensors").is_file, command)


# Killed.


def test_a_training_that_is_killed_ten_times_loses_nothing(
    commands: Commands, tmp_path: Path
) -> None:
    counts, complaints = kill_trainings(commands, tmp_path, kills=10, seed=3, epochs=2)
    assert complaints == []
    assert counts.kills == 10
    assert counts.right, str(counts)


# A disk that is full, cannot be written to, or loses what is on it.


def test_a_disk_that_is_full_at_any_write_of_a_save_costs_nothing_that_was_saved(
    copy: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    before = files(trained)
    failed: list[str] = []
    while len(failed) < 20:
        shutil.rmtree(run_of(copy))
        shutil.copytree(run_of(trained), run_of(copy))
        session = resume_session("song", settings={"epochs": 3}, root=ROOT, threads=1)
        next(event for event in session.events() if isinstance(event, EpochEnd))
        room = len(failed)

        def full(handle: int) -> None:
            nonlocal room
            if stat.S_ISDIR(os.fstat(handle).st_mode):  # after the file, which is there by then
                return
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            room -= 1

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                session.save()
                break
            except RunError as error:
                message = str(error)
        (name,) = (name for name in before if f"{run_of(Path())}/{name} " in message)
        assert message == (
            f"{run_of(Path())}/{name} cannot be written: No space left on device. "
            "What was saved before is kept."
        )
        failed.append(name)
        after = files(copy)
        assert after.keys() == before.keys()
        assert after[name] == before[name]
        if name != "curve.svg":  # with which a save ends that has happened
            assert after["resume.safetensors"] == before["resume.safetensors"]
        assert not [path for path in run_of(copy).iterdir() if path.suffix == ".part"]
        assert_it_can_be_used(copy)
    # Whatever a run has but the text and its grams, which are written once.
    once = {"heldout.txt", "training.txt.bz2", "recall.safetensors"}
    assert sorted(failed) == sorted(before.keys() - once)


def test_a_file_that_cannot_grow_is_told_in_a_sentence_and_the_last_save_stands(
    commands: Commands, copy: Path
) -> None:
    before = files(copy)
    ended = commands.run(*RESUME, "--epochs", "3", where=copy, before="with_small_files", size=100)
    assert_one_sentence(
        ended,
        "checkpoints/song/model.safetensors cannot be written: File too large. "
        "What was saved before is kept.",
    )
    assert files(copy) == before
    assert_it_can_be_used(copy)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="nothing that root cannot write to")
def test_a_place_where_nothing_can_be_made_is_told_in_a_sentence(
    commands: Commands, where: Path
) -> None:
    (where / "checkpoints").symlink_to("/sys")
    ended = commands.run(*TRAIN, "--steps", "1", where=where)
    assert re.search(r"song cannot be made: (Operation not permitted|Perm|Read-only)", ended.errors)
    assert_one_sentence(ended, ended.errors.splitlines()[-1].removeprefix("error: "))


def test_a_run_that_is_read_only_is_told_and_stays_as_it_is(commands: Commands, copy: Path) -> None:
    before = files(copy)
    copy.chmod(0o755)
    run_of(copy).chmod(0o555)
    try:
        ended = commands.run(*RESUME, "--epochs", "3", where=copy, before="as_nobody")
    finally:
        run_of(copy).chmod(0o755)
    assert_one_sentence(ended, "checkpoints/song cannot be written: Permission denied.")
    assert files(copy) == before
    assert_it_can_be_used(copy)


def test_a_run_that_is_removed_under_way_is_told_to_be_gone(
    commands: Commands, where: Path
) -> None:
    command = commands.start(*TRAIN, *LONG, where=where, before="watched", save_every=0.05)
    until_saved(where, command)
    run_of(where).rename(where / "gone")  # at once, where removing is in a race with the save
    shutil.rmtree(where / "gone")
    ended = command.end()
    name = re.search(r"so (\S+) cannot be written", ended.errors)
    assert name is not None, ended.errors
    assert_one_sentence(
        ended,
        f"checkpoints/song was removed while it was in use, so {name[1]} cannot be written.",
    )
    assert not run_of(where).exists()


# Nobody reads any more.


@pytest.mark.parametrize(
    ("lines", "together"), [(3, False), (3, True), (13, False)], ids=["plan", "2>&1", "report"]
)
def test_a_training_whose_standard_error_breaks_saves_and_ends(
    commands: Commands, where: Path, lines: int, together: bool
) -> None:
    shown, errors = os.pipe()
    command = commands.start(
        *TRAIN, *LONG, where=where, errors=errors, out=errors if together else None, to_the_end=True
    )
    os.close(errors)
    with os.fdopen(shown, encoding="utf-8") as reader:
        for _ in range(lines):
            assert reader.readline()
    ended = command.end()
    assert ended.code == 1
    assert ended.out.count("\n") == (0 if together else 1)
    assert_it_can_be_used(where)
    assert charlstm.load(root=where / "checkpoints").info.finished is None


def test_a_training_whose_standard_error_is_a_full_disk_saves_and_ends(
    commands: Commands, where: Path
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = commands.run(*TRAIN, *LONG, where=where, errors=full, to_the_end=True)
    os.close(full)
    assert ended.code == 1
    assert ended.out == "checkpoints/song: not measured yet\n"
    assert_it_can_be_used(where)


def test_a_song_is_written_even_where_its_notes_cannot_be(
    commands: Commands, trained: Path
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = commands.run(
        *("generate", "--prefix", "分开", "--length", "3"),
        where=trained,
        errors=full,
        to_the_end=True,
    )
    os.close(full)
    assert ended.code == 0
    assert ended.out.startswith("分开")
    assert len(ended.out) == 6


def test_a_stream_that_is_closed_is_neither_a_traceback_nor_the_other_one(
    commands: Commands, trained: Path
) -> None:
    ended = commands.run("generate", where=trained, before="without", stream="stdout")
    assert_one_sentence(ended, "The result cannot be written: standard output is closed.")
    ended = commands.run(
        "generate", "--run", "nobody", where=trained, before="without", stream="stderr"
    )
    assert (ended.code, ended.out, ended.errors) == (1, "", "")


def test_a_training_whose_result_cannot_be_written_is_saved(
    commands: Commands, where: Path
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = commands.run(*TRAIN, "--steps", "1", where=where, out=full, to_the_end=True)
    os.close(full)
    assert_one_sentence(ended, "The result cannot be written: No space left on device.")
    assert_it_can_be_used(where)


def test_a_training_whose_result_nobody_reads_ends_quietly(commands: Commands, where: Path) -> None:
    nobody, out = os.pipe()
    os.close(nobody)
    ended = commands.run(*TRAIN, "--steps", "1", where=where, out=out, to_the_end=True)
    os.close(out)
    assert ended.code == 0
    assert "Traceback" not in ended.errors
    assert "Exception" not in ended.errors
    assert_it_can_be_used(where)


# Somebody wants it to end.


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_saves_and_its_resume_ends_as_if_it_never_stopped(
    commands: Commands, where: Path, number: signal.Signals, code: int
) -> None:
    settings = ("--epochs", "60", "--patience", "0", "--dropout", "0.3")
    command = commands.start(*TRAIN, *settings, where=where)
    assert command.errors is not None
    read_report(command.errors, 3)
    command.send(number)
    ended = command.end()
    assert ended.code == code
    assert "go on with: charlstm train --resume --name song" in ended.errors
    assert_it_can_be_used(where)

    resumed = commands.run(*RESUME, where=where)
    assert resumed.code == 0, resumed.errors
    assert "resumed: at step" in resumed.errors
    assert commands.run(*TRAIN, *settings, "--name", "unbroken", where=where).code == 0
    unbroken = where / "checkpoints" / "unbroken" / "model.safetensors"
    assert files(where)["model.safetensors"] == unbroken.read_bytes()


def test_a_second_training_into_the_same_run_is_refused_until_the_first_is_dead(
    commands: Commands, where: Path
) -> None:
    first = commands.start(*TRAIN, *LONG, where=where)
    assert first.errors is not None
    read_report(first.errors, 1)
    second = commands.run(*RESUME, "--epochs", "401", where=where)
    first.send(signal.SIGKILL)  # no chance to let go of anything
    first.end()
    assert_one_sentence(
        second,
        f"Another training is running in {run_of(Path())}: wait until it ends, or stop it.",
    )
    third = commands.run(*RESUME, "--steps", "1", where=where)
    assert (third.code, third.errors.count("Another training")) == (0, 0)


def test_a_window_that_is_closed_ends_a_training_after_a_save(
    commands: Commands, where: Path
) -> None:
    window, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    command = commands.start(
        *TRAIN, *LONG, where=where, out=terminal, errors=terminal, before="on_its_own_terminal"
    )
    os.close(terminal)
    shown = b""
    while not re.search(rb"epoch \d", shown):
        shown += os.read(window, 1 << 16)
    os.close(window)
    time.sleep(0.02)
    command.send(signal.SIGHUP)  # the shell in the window says so too
    assert command.end().code == 129
    assert_it_can_be_used(where)
    assert charlstm.load(root=where / "checkpoints").info.finished is None


def test_a_training_under_nohup_does_not_care_about_the_window(
    commands: Commands, where: Path
) -> None:
    command = commands.start(*TRAIN, *LONG, where=where, before="not_hanging_up")
    assert command.errors is not None
    read_report(command.errors, 1)
    command.send(signal.SIGHUP)
    read_report(command.errors, 20)
    command.send(signal.SIGTERM)
    assert command.end().code == 143
    assert_it_can_be_used(where)


def test_a_signal_that_comes_while_a_pager_keeps_a_line_waiting_is_heard(
    commands: Commands, where: Path
) -> None:
    shown, errors = os.pipe()
    command = commands.start(*TRAIN, *LONG, where=where, errors=errors)
    with os.fdopen(shown, encoding="utf-8") as reader:
        read_report(reader, 1)
        # Nothing goes through the pipe any more, so the next report waits. Opened anew, because
        # whether it may wait is shared by all who were given it.
        stopper = os.open(f"/proc/self/fd/{errors}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while os.write(stopper, b"\n"):
                pass
        os.close(stopper)
        os.close(errors)
        until(lambda: waits(command, "pipe_write"), command)
        command.send(signal.SIGINT)
        time.sleep(0.05)
        told = reader.read()
    assert command.end().code == 130
    assert "finishing the step and saving" in told
    assert "Traceback" not in told
    assert_it_can_be_used(where)


def test_a_second_ctrl_c_ends_a_save_at_once_and_the_one_before_stands(
    commands: Commands, copy: Path
) -> None:
    before = files(copy)
    command = commands.start(*RESUME, *LONG, where=copy, before="sleeping_in_saves")
    assert command.errors is not None
    read_report(command.errors, 20)
    command.send(signal.SIGINT)
    until((copy / ASLEEP).exists, command)
    command.send(signal.SIGINT)
    ended = command.end()
    assert not (copy / AWAKE).exists()
    assert ended.code == 130
    assert "Traceback" not in ended.errors
    assert files(copy) == before
    assert_it_can_be_used(copy)


def test_a_ctrl_c_before_training_leaves_no_run_and_no_words(
    commands: Commands, where: Path
) -> None:
    reading, text = os.pipe()
    command = commands.start("train", "-", *TRAIN[2:], where=where, given=reading)
    os.close(reading)
    os.write(text, SONG.encode())
    until(lambda: waits(command, "pipe_read"), command)
    command.send(signal.SIGINT)
    ended = command.end()
    os.close(text)
    assert (ended.code, ended.out, ended.errors) == (130, "", "")

    command = commands.start(*TRAIN, where=where, before="sleeping_in_the_plan")
    until((where / ASLEEP).exists, command)
    command.send(signal.SIGINT)
    ended = command.end()
    assert (ended.code, ended.out, ended.errors) == (130, "", "")
    assert not run_of(where).exists()
