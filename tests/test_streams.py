"""Every command, with each of its streams closed, full, broken, slow, endless or silent.

A result is written whole, or one sentence says that it is not; what is lost of standard error is
no matter; and what comes in comes to an end.
"""

import contextlib
import fcntl
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import patience
from faults.commands import Commands, Ended
from songs import LYRICS, learn

from charlstm.cli.write.prompt import LONGEST_LINE, MOST_LINES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")

SMALL = ("--epochs", "1", "--hidden", "4", "--threads", "1")
# What a command is, and what it reads, if it reads anything.
COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "help of a command": ("train", "--help"),
    "version": ("--version",),
    "train": ("train", "song.txt", *SMALL, "--name", "new"),
    "generate": ("generate", "--length", "9", "--seed", "1"),
    "generate a form": ("generate", "--lines", "2", "--line-length", "5", "--seed", "1"),
    "generate as JSON": ("generate", "--length", "9", "--json", "--seed", "1"),
    "eval perplexity": ("eval", "perplexity"),
    "eval perplexity as JSON": ("eval", "perplexity", "--json"),
    "eval perplexity in colours": ("eval", "perplexity", "--show"),
    "eval novelty": ("eval", "novelty", "--samples", "2", "--seed", "1"),
    "eval novelty as JSON": ("eval", "novelty", "--samples", "2", "--seed", "1", "--json"),
    "compare": (
        "compare",
        "song.txt",
        "--cells",
        "rnn",
        *SMALL[:2],
        "--vary",
        "hidden=4",
        *SMALL[4:],
    ),
    "write": ("write", "--seed", "1"),
}
PIPED: dict[str, tuple[str, ...]] = {
    "train": ("train", "-", *SMALL, "--name", "new"),
    "generate": ("generate", "--prefix-file", "-", "--length", "9"),
    "eval perplexity": ("eval", "perplexity", "-"),
    "eval novelty": ("eval", "novelty", "-"),
    "write": ("write",),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("streams")
    learn(where, epochs=1, hidden=8, embedding=4, validation=0.1)
    (where / "checkpoints" / "song" / "draft.txt").write_text("我在桥边\n", encoding="utf-8")
    return where


@pytest.fixture
def where(trained: Path, tmp_path: Path) -> Path:
    """Return where there are a run, with a draft, and a text."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def assert_one_sentence(ended: Ended, message: str) -> None:
    """Check that a command ended with an error that this pattern fits, and nothing more."""
    assert ended.code == 1, ended
    (told,) = re.findall(r"^error: (.*)$", ended.errors, re.M)
    assert re.fullmatch(message, told)
    assert ended.errors.endswith(f"error: {told}\n")
    assert_calm(ended)


def assert_calm(ended: Ended) -> None:
    assert not re.search("Traceback|Exception|Error:|Warning", ended.errors), ended.errors


@contextlib.contextmanager
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# Standard output.


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_that_cannot_be_written_is_one_sentence(
    name: str, commands: Commands, where: Path
) -> None:
    with full() as out:
        ended = commands.run(*COMMANDS[name], where=where, out=out, to_the_end=True)
    assert_one_sentence(ended, r"The result cannot be written: No space left on device\.")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_that_has_nowhere_to_go_is_one_sentence(
    name: str, commands: Commands, where: Path
) -> None:
    ended = commands.run(*COMMANDS[name], where=where, before="without", stream="stdout")
    assert_one_sentence(ended, r"The result cannot be written: standard output is closed\.")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_that_goes_to_what_is_only_for_reading_is_one_sentence(
    name: str, commands: Commands, where: Path
) -> None:
    out = os.open(os.devnull, os.O_RDONLY)
    ended = commands.run(*COMMANDS[name], where=where, out=out, to_the_end=True)
    os.close(out)
    assert_one_sentence(ended, r"The result cannot be written: Bad file descriptor\.")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_that_nobody_reads_is_no_mistake(
    name: str, commands: Commands, where: Path
) -> None:
    nobody, out = os.pipe()
    os.close(nobody)
    ended = commands.run(*COMMANDS[name], where=where, out=out, to_the_end=True)
    os.close(out)
    assert ended.code == 0
    assert "error:" not in ended.errors
    assert_calm(ended)


@pytest.mark.parametrize("waits", [True, False])
def test_a_result_is_written_whole_however_slowly_it_is_read(
    waits: bool, commands: Commands, where: Path
) -> None:
    arguments = ("generate", "--length", "9000", "--seed", "1", "--allow-loops")
    expected = commands.run(*arguments, where=where).out
    reading, out = os.pipe()
    fcntl.fcntl(out, 1031, 4096)  # F_SETPIPE_SZ: less than the song
    os.set_blocking(out, waits)
    command = commands.start(*arguments, where=where, out=out)
    wchan = Path(f"/proc/{command.pid}/stat")
    patience.until(lambda: wchan.read_text().rpartition(") ")[2][0] in "SZ" and filled(reading))
    os.close(out)
    with os.fdopen(reading, encoding="utf-8") as slow:
        assert slow.read() == expected
    assert command.end().code == 0


def filled(pipe: int) -> bool:
    """Return whether there is something to read in a pipe."""
    import select

    return bool(select.select([pipe], [], [], 0)[0])


# Standard error.


@pytest.mark.parametrize("way", ["full", "closed"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_is_written_even_where_nothing_else_can_be(
    name: str, way: str, commands: Commands, where: Path
) -> None:
    if way == "closed":
        ended = commands.run(*COMMANDS[name], where=where, before="without", stream="stderr")
    else:
        with full() as errors:
            ended = commands.run(*COMMANDS[name], where=where, errors=errors, to_the_end=True)
    if name == "train" and way == "full":  # nobody sees it any more: it saves and ends
        assert ended.code == 1
    else:
        assert ended.code == 0
    assert ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_with_all_streams_closed_a_command_ends(name: str, commands: Commands, where: Path) -> None:
    before = {path.name: path.read_bytes() for path in run_files(where)}
    ended = commands.run(*COMMANDS[name], where=where, before="without_any")
    assert (ended.code, ended.out, ended.errors) == (1, "", "")
    assert {path.name: path.read_bytes() for path in run_files(where)} == before


def run_files(where: Path) -> list[Path]:
    """Return the files of the run that was there, but for the draft."""
    paths = (where / "checkpoints" / "song").iterdir()
    return [path for path in paths if "draft" not in path.name]


# Standard input.


@contextlib.contextmanager
def pipe_of(data: Callable[[], bytes], times: int | None = None) -> Iterator[int]:
    """Yield a pipe into which something is written until nobody reads it, or so many times."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as pipe:
            for _ in iter(int, 1) if times is None else range(times):
                pipe.write(data())

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "write"])
def test_what_is_not_read_may_be_closed_or_endless(
    name: str, commands: Commands, where: Path
) -> None:
    ended = commands.run(*COMMANDS[name], where=where, before="without", stream="stdin")
    assert (ended.code, bool(ended.out)) == (0, True)
    assert_calm(ended)


@pytest.mark.parametrize("name", PIPED)
def test_a_closed_standard_input_is_told_or_is_the_end(
    name: str, commands: Commands, where: Path
) -> None:
    ended = commands.run(*PIPED[name], where=where, before="without", stream="stdin")
    if name == "write":
        assert (ended.code, ended.out) == (0, "我在桥边\n")
    else:
        assert_one_sentence(ended, r"Standard input is closed: pipe a text in, or name a file\.")


@pytest.mark.parametrize("name", PIPED)
def test_a_device_without_an_end_is_refused(name: str, commands: Commands, where: Path) -> None:
    zeros = os.open("/dev/zero", os.O_RDONLY)
    ended = commands.run(*PIPED[name], where=where, given=zeros)
    os.close(zeros)
    message = r"Standard input is a device: pipe a text in, or name a file\."
    if name == "write":
        message = rf"Line 1 of standard input has more than {LONGEST_LINE:,} characters, .*\."
    assert_one_sentence(ended, message)


@pytest.mark.parametrize("name", PIPED)
def test_a_standard_input_that_is_only_for_writing_is_told(
    name: str, commands: Commands, where: Path
) -> None:
    given = os.open(os.devnull, os.O_WRONLY)
    ended = commands.run(*PIPED[name], where=where, given=given)
    os.close(given)
    assert_one_sentence(ended, r"[Ss]tandard input cannot be read: .*\.")


ENDLESS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: bytes(1 << 16),
    "random": lambda: os.urandom(1 << 16),
    "one line": lambda: b"y" * (1 << 16),
    "lines": lambda: "我在桥边\n".encode() * 1000,
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", PIPED)
def test_a_pipe_without_an_end_is_left_with_a_sentence(
    name: str, kind: str, commands: Commands, where: Path
) -> None:
    with pipe_of(ENDLESS[kind]) as given:
        ended = commands.run(
            *PIPED[name], where=where, given=given, before="with_short_pipes", size=1 << 22
        )
    assert_one_sentence(ended, r"[Ss]tandard input .*\.|Line \d+ of standard input .*\.")
    assert ended.out == ""


def test_three_million_random_bytes_are_no_song(commands: Commands, where: Path) -> None:
    with pipe_of(lambda: os.urandom(3_000_000), times=1) as given:
        ended = commands.run("write", where=where, given=given)
    assert_one_sentence(ended, r"Line \d+ of standard input is not UTF-8, so .*\.")


def test_a_session_that_nobody_types_takes_no_more_than_a_song_has(
    commands: Commands, where: Path
) -> None:
    draft = where / "checkpoints" / "song" / "draft.txt"
    with pipe_of(lambda: b"\n" * MOST_LINES + "第二行\n".encode(), times=1) as given:
        ended = commands.run("write", where=where, given=given)
    assert_one_sentence(ended, rf"Standard input has more than {MOST_LINES:,} lines, .*\.")
    assert draft.read_text(encoding="utf-8") == "我在桥边\n"
    assert "The draft is in checkpoints/song/draft.txt" in ended.errors


def test_a_line_that_is_as_long_as_can_be_is_taken(commands: Commands, where: Path) -> None:
    line = "y" * LONGEST_LINE
    with pipe_of(lambda: f"{line}\nq\n".encode(), times=1) as given:
        ended = commands.run("write", "--new", where=where, given=given)
    assert (ended.code, ended.out) == (0, f"{line}\n")


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("name", PIPED)
def test_what_comes_slowly_is_waited_for(
    name: str, waits: bool, commands: Commands, where: Path
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, waits)
    command = commands.start(*PIPED[name], where=where, given=reading)
    os.close(reading)
    stat = Path(f"/proc/{command.pid}/stat")
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        middle, end = (8, 16) if name == "write" else (400, 800)  # each line takes a while
        for piece in ("", LYRICS[:middle], LYRICS[middle:end]):
            pipe.write(piece.encode())
            patience.until(lambda: stat.read_text().rpartition(") ")[2][0] in "SZ")
    ended = command.end()
    assert ended.code == 0, ended.errors
    assert ended.out


def test_a_list_of_prefixes_has_an_end_and_is_no_device(commands: Commands, where: Path) -> None:
    for path, message in (
        ("/dev/zero", r"/dev/zero cannot be read: it is not a file\."),
        ("pipe", r"pipe is a pipe that nobody writes to: start what writes to it first\."),
        ("large", r"large has more than [\d,]+ bytes, which is too much here\."),
    ):
        if path == "pipe":
            os.mkfifo(where / path)
        elif path == "large":
            (where / path).touch()
            os.truncate(where / path, 1 << 30)
        ended = commands.run("generate", "--prefix-file", path, where=where)
        assert_one_sentence(ended, message)
