"""Files that a user names: nothing of the user's is written over, by whatever name it goes."""

import os
import re
import sys
from pathlib import Path

import pytest
from commandline import Charlstm, python
from songs import learn

from charlstm.errors import OutputError
from charlstm.outputs import PAGE, Output

MINE = "mine\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "song.txt"
    path.write_text(MINE, encoding="utf-8")
    return path


def refusal(output: Output) -> str:
    with pytest.raises(OutputError) as caught:
        output.check()
    with pytest.raises(OutputError):
        output.write(b"new")
    return str(caught.value)


def test_what_is_not_there_yet_is_written_whole(tmp_path: Path) -> None:
    output = Output(tmp_path / "new.txt")
    output.check()
    output.write(b"new")
    assert (tmp_path / "new.txt").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_somebody_else_made_is_replaced_only_if_that_is_wished(mine: Path) -> None:
    assert refusal(Output(mine, marks=[PAGE])) == (
        f"{mine} is there already, and charlstm has not made it: name another file, or say force "
        "to write over it."
    )
    assert mine.read_text(encoding="utf-8") == MINE
    Output(mine, force=True).write(b"new")
    assert mine.read_bytes() == b"new"


def test_what_was_made_here_is_made_anew(mine: Path) -> None:
    mine.write_bytes(b"<!doctype html>\n" + PAGE)
    Output(mine, marks=[PAGE]).write(b"new")
    assert mine.read_bytes() == b"new"


def test_a_mark_far_from_the_beginning_is_somebody_elses(mine: Path) -> None:
    mine.write_bytes(b" " * 100_000 + PAGE)
    assert "charlstm has not made it" in refusal(Output(mine, marks=[PAGE]))


@pytest.mark.parametrize("spelling", ["same", "dots", "link", "hard link", "directory", "open"])
def test_what_is_read_is_never_replaced_whatever_it_is_called(
    mine: Path, tmp_path: Path, spelling: str
) -> None:
    named = tmp_path / "other.txt"
    if spelling == "link":
        named.symlink_to("song.txt")
    elif spelling == "hard link":
        named.hardlink_to(mine)
    elif spelling == "directory":
        (tmp_path / "linked").symlink_to(tmp_path)
        named = tmp_path / "linked" / "song.txt"
    elif spelling == "dots":
        named = tmp_path / ".." / tmp_path.name / "song.txt"
    else:
        named = mine
    with mine.open("rb") as file:
        read = [file.fileno() if spelling == "open" else mine]
        mark = [MINE.encode()]
        told = refusal(Output(named, read, mark, force=True))
    assert told == f"{named} is read here, so it is not written over: name another file."
    assert mine.read_text(encoding="utf-8") == MINE


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/full")
    else:
        path.symlink_to("/dev/full")
    assert refusal(Output(path, force=True)) == f"{path} cannot be written: it is not a file."


def test_a_directory_and_a_place_that_is_none_are_refused(mine: Path, tmp_path: Path) -> None:
    told = refusal(Output(tmp_path, force=True))
    assert told == f"{tmp_path} cannot be written: it is a directory."
    for parent in (tmp_path / "absent", mine):
        told = refusal(Output(parent / "new.txt"))
        assert told == f"{parent / 'new.txt'} cannot be written: {parent} is not a directory."


def test_a_link_is_written_through_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    Output(tmp_path / "link").write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    (tmp_path / "lost").symlink_to("absent/target")
    assert "is not a directory." in refusal(Output(tmp_path / "lost"))
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be written: " in refusal(Output(tmp_path / "loop"))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"], ids=["long", "NUL"])
def test_a_name_that_no_file_can_have_is_a_sentence(tmp_path: Path, name: str) -> None:
    assert "cannot be written: " in refusal(Output(tmp_path / name))


def test_what_appears_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    output = Output(tmp_path / "song.txt")
    output.check()
    (tmp_path / "song.txt").write_text(MINE, encoding="utf-8")
    assert "charlstm has not made it" in refusal(output)


# Each command that writes such a file.


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("outputs")
    learn(where, epochs=1, validation=0.1)
    return where


@pytest.fixture(autouse=True)
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


COMMANDS = {
    "--html": ("eval", "perplexity"),
    "--output": ("generate", "--length", "9", "--seed", "1"),
}


@pytest.mark.parametrize("option", COMMANDS)
def test_a_file_of_the_user_s_is_refused_before_anything_is_done(
    option: str, mine: Path, charlstm: Charlstm
) -> None:
    result = charlstm(*COMMANDS[option], option, str(mine))
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {mine} is there already, and charlstm has not made it: name another file, or say "
        "--force to write over it.\n"
    )
    assert mine.read_text(encoding="utf-8") == MINE
    assert charlstm(*COMMANDS[option], option, str(mine), "--force").code == 0
    assert mine.read_text(encoding="utf-8") != MINE


@pytest.mark.parametrize("option", COMMANDS)
@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "training.txt.bz2"])
def test_a_file_of_the_run_is_never_written_over(
    option: str, name: str, trained: Path, charlstm: Charlstm
) -> None:
    path = trained / "checkpoints" / "song" / name
    before = path.read_bytes()
    result = charlstm(*COMMANDS[option], option, str(path), "--force")
    assert (result.code, result.stdout) == (1, "")
    assert "is read here, so it is not written over" in result.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["song.txt", ".", "*.txt", "link.txt"])
def test_a_text_that_is_measured_is_never_written_over(
    place: str, tmp_path: Path, mine: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("checkpoints", "song").resolve()
    monkeypatch.chdir(tmp_path)
    Path("link.txt").symlink_to("song.txt")
    result = charlstm(
        *("eval", "perplexity", place, "--run", str(run), "--html", "./song.txt", "--force")
    )
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: song.txt is read here, so it is not written over: name another file.\n"
    )
    assert mine.read_text(encoding="utf-8") == MINE


def test_a_text_that_comes_through_a_redirection_is_never_written_over(
    mine: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (
        ("eval", "perplexity", "-", "--html"),
        ("generate", "--prefix-file", "-", "--output"),
    ):
        with mine.open(encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stdin", file)
            result = charlstm(*arguments, str(mine), "--force")
        assert (result.code, result.stdout) == (1, "")
        assert "is read here, so it is not written over" in result.stderr
        assert mine.read_text(encoding="utf-8") == MINE


def test_a_list_of_prefixes_is_never_written_over(mine: Path, charlstm: Charlstm) -> None:
    result = charlstm("generate", "--prefix-file", str(mine), "--output", str(mine), "--force")
    assert (result.code, result.stdout) == (1, "")
    assert "is read here, so it is not written over" in result.stderr
    assert mine.read_text(encoding="utf-8") == MINE


def test_a_page_is_made_anew_without_a_question(tmp_path: Path, charlstm: Charlstm) -> None:
    page = tmp_path / "page.html"
    for _ in range(2):
        result = charlstm("eval", "perplexity", "--html", str(page))
        assert (result.code, result.stderr) == (0, f"page: {page}\n")
        page.write_bytes(page.read_bytes().replace(b"Perplexity", b"old"))


@pytest.mark.parametrize("option", COMMANDS)
def test_force_alone_is_wrong_usage(option: str, charlstm: Charlstm) -> None:
    result = charlstm(*COMMANDS[option], "--force")
    assert (result.code, result.stdout) == (2, "")
    told = " ".join(re.sub(r"\x1b\[[\d;]*m|[│|]", "", result.stderr).split())
    assert re.search(rf"--force is for {option}\b.*, and (that|neither) was.* given\.", told)


def test_a_song_in_a_file_is_what_would_have_been_printed(
    tmp_path: Path, charlstm: Charlstm
) -> None:
    for number, more in enumerate(((), ("--samples", "3"), ("--json", "--samples", "2"))):
        path = tmp_path / f"{number}.txt"
        printed = charlstm(*COMMANDS["--output"], *more)
        result = charlstm(*COMMANDS["--output"], *more, "--output", str(path))
        assert (result.code, result.stdout) == (0, "")
        assert result.stderr == f"{'songs' if more else 'song'}: {path}\n{printed.stderr}"
        assert path.read_text(encoding="utf-8") == printed.stdout


def test_a_song_that_cannot_be_written_leaves_no_part_of_a_file(
    tmp_path: Path, charlstm: Charlstm
) -> None:
    path = tmp_path / "song.txt"
    result = charlstm("generate", "--prefix", "\U0001f999", "--output", str(path))
    assert result.code == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_is_not_where_the_output_goes(mine: Path, trained: Path) -> None:
    program = (
        "import sys\nfrom charlstm.cli import main\n"
        "sys.stdout = open(sys.argv.pop(1), 'a')\nmain()\n"
    )
    for arguments in (
        ("eval", "perplexity", str(mine)),
        ("eval", "novelty", str(mine)),
        ("train", str(mine)),
        ("compare", str(mine)),
        ("generate", "--prefix-file", str(mine)),
    ):
        result = python("-c", program, str(mine), *arguments, where=trained)
        assert (result.code, result.stdout) == (1, "")
        assert result.stderr == (
            f"error: {mine} is read here, and what this command says goes to the same file: send "
            "it to another.\n"
        )
        assert mine.read_text(encoding="utf-8") == MINE


# A comparison, whose directory is named.


COMPARE = (
    "compare",
    "song.txt",
    "--cells",
    "rnn",
    "--vary",
    "hidden=4",
    "--epochs",
    "1",
    "--threads",
)


def test_a_directory_that_is_no_comparison_is_left_alone(trained: Path, charlstm: Charlstm) -> None:
    where = trained / "checkpoints" / "mine"
    where.mkdir()
    (where / "compare.csv").write_text(MINE, encoding="utf-8")
    result = charlstm(*COMPARE, "1", "--name", "mine")
    assert result.code == 1
    assert result.stderr == (
        "error: checkpoints/mine is there already and is no comparison: give this one another "
        "--name.\n"
    )
    assert [path.name for path in where.iterdir()] == ["compare.csv"]
    assert (where / "compare.csv").read_text(encoding="utf-8") == MINE


@pytest.mark.parametrize("name", ["compare.csv", "compare.svg"])
def test_a_table_or_a_chart_that_no_comparison_made_is_left_alone(
    name: str, trained: Path, charlstm: Charlstm
) -> None:
    compare = (*COMPARE, "1", "--name", "other")
    for _ in range(2):  # its own it writes over
        assert charlstm(*compare).code == 0
    path = trained / "checkpoints" / "other" / name
    kept = path.read_bytes()
    path.write_text(MINE, encoding="utf-8")
    result = charlstm(*compare)
    assert result.code == 1
    assert result.stderr == (
        f"error: checkpoints/other/{name} was not made by charlstm, so it is not written over: "
        "move it away, or give this comparison another --name.\n"
    )
    assert path.read_text(encoding="utf-8") == MINE
    path.write_bytes(kept)


def test_a_text_that_is_compared_on_is_not_written_over(trained: Path, charlstm: Charlstm) -> None:
    (trained / "linked.txt").write_bytes((trained / "song.txt").read_bytes())
    compare = ("compare", "linked.txt", *COMPARE[2:], "1", "--name", "read")
    assert charlstm(*compare).code == 0
    table = trained / "checkpoints" / "read" / "compare.csv"
    table.unlink()
    table.hardlink_to(trained / "linked.txt")
    result = charlstm(*compare)
    assert result.code == 1
    assert "compare.csv is read here, so it is not written over" in result.stderr
    assert table.read_bytes() == (trained / "song.txt").read_bytes()


# Little is said, or nothing.


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "--length", "9"),
        ("eval", "perplexity"),
        ("eval", "perplexity", "--html", "quiet.html"),
        ("eval", "novelty", "--samples", "2"),
        ("train", "song.txt", "--steps", "1", "--name", "quiet", "--threads", "1"),
        ("compare", "song.txt", "--cells", "rnn", "--vary", "hidden=4", "--epochs", "1"),
        ("tune", "song.txt", "--vary", "hidden=4..8", "--vary", "lr", "--minutes", "0.1"),
    ],
)
def test_quiet_leaves_the_result_and_nothing_beside_it(
    arguments: tuple[str, ...], charlstm: Charlstm
) -> None:
    for quiet in ("--quiet", "-q"):
        result = charlstm(*arguments, quiet)
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("generate", "--run", "nobody"), 1, "error: There is no run called nobody"),
        (("eval", "perplexity", "absent.txt"), 1, "error: There is no file or directory called"),
        (("generate", "--length", "9", "--line-length", "5"), 2, "a form determines"),
        (("train", "song.txt", "--lr", "0"), 1, "error: --lr must be a number above 0"),
    ],
)
def test_quiet_does_not_hide_what_is_wrong(
    arguments: tuple[str, ...], code: int, told: str, charlstm: Charlstm
) -> None:
    result = charlstm(*arguments, "--quiet")
    assert result.code == code
    assert told in result.stderr


# A shell that completes commands.


def test_completion_is_offered_and_not_in_the_way(
    charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "completion" not in charlstm("--help").stdout
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = charlstm("--show-completion", "bash")
    assert result.code == 0
    assert "complete -o default -F" in result.stdout
    for begun, completed in (("charlstm gen", "generate"), ("charlstm generate --qu", "--quiet")):
        monkeypatch.setenv("_CHARLSTM_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", begun)
        monkeypatch.setenv("COMP_CWORD", str(begun.count(" ")))
        assert charlstm().stdout.split() == [completed]
