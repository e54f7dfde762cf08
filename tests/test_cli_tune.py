import csv
import re
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from commandline import Charlstm
from faults.commands import Commands
from faults.patience import until
from rich.cells import cell_len
from songs import LYRICS
from terminals import terminal

import charlstm
from charlstm.runs.directory import RunDirectory

SMALL = ("--vary", "hidden=4..8", "--vary", "lr", "--minutes", "0.15", "--threads", "1")
PATH = Path("checkpoints") / "song-tune"


@pytest.fixture
def tune(tmp_path: Path, process: Charlstm) -> Charlstm:
    """Return what searches for a song in an empty directory."""
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    return partial(process, "tune", "song.txt", where=tmp_path)


def test_a_search_tells_its_plan_its_trials_and_what_it_has_brought(
    tmp_path: Path, tune: Charlstm
) -> None:
    result = tune(*SMALL)
    assert result.code == 0, result.stderr
    with (tmp_path / PATH / "tune.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plan, searched, *lines, files, now = result.stderr.splitlines()
    assert plan.startswith("a trial takes about ")
    assert plan.endswith("; 6 trainings at the end are part of the minutes")
    assert searched == "searched: hidden, lr"
    assert [line.partition(":")[0] for line in lines] == [row["training"] for row in rows]
    assert lines[0].endswith(", the best so far (hidden 256, lr 0.003)")
    assert files == f"{PATH}: tune.csv, tune.svg, and a run for each training"
    assert now == f"now: charlstm generate --run {PATH}/winner-0"
    settings, figures, verdict = result.stdout.split("\n\n")
    assert settings.split()[:2] == ["recipe", "winner"]
    assert [line.split()[0] for line in settings.splitlines()[1:]] == ["hidden", "lr"]
    assert [line.split()[0] for line in figures.splitlines()[1:]] == ["seed"] * 3 + ["mean"]
    finals = {row["training"]: float(row["held_out_perplexity"]) for row in rows}
    assert f"{finals['winner-1']:,.2f}" in figures
    assert "Each had about " in verdict
    assert "\x1b" not in result.stdout + result.stderr
    assert charlstm.load(tmp_path / PATH / "winner-0").generate("我", length=3, seed=1)

    again = tune(*SMALL, "--json")
    assert again.stderr.splitlines()[0].startswith(f"{PATH}: goes on after ")
    (answer,) = again.answers()
    assert answer["search"] == str(PATH)
    assert answer["winner"] in {trial["training"] for trial in answer["trials"]}
    measured = {one["training"]: one["best"]["validation_perplexity"] for one in answer["finals"]}
    for name, found in measured.items():
        assert found == pytest.approx(finals[name], abs=1e-4)
    other = tune(*SMALL[:-4], "--minutes", "9")
    assert other.code == 1
    assert "is a search on another text or with other settings. Give this one a --name" in (
        other.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--recall", "2"), 2, "it is auto, or a number from 0 to 1, not '2'."),
        (("--minutes", "0"), 1, "error: --minutes must be a number above 0, not 0.0."),
        (("--vary", "windw"), 1, "error: There is no setting called windw: did you mean window?"),
        (("--vary", "lr=fast"), 1, "error: --lr must be a range such as 64..512 here, not 'fast'."),
        (
            ("--vary", "head-rate=2..1"),
            1,
            "error: --head-rate must be a range from a smaller to a larger number, not '2..1'.",
        ),
        (("--vary", "seed"), 1, "error: --seed is no setting that is searched; those are --hidden"),
        (("--name", "../up"), 1, "error: A run cannot be called '../up'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_its_exit_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path, tune: Charlstm
) -> None:
    result = tune(*arguments)
    assert result.code == code
    # A usage error is drawn in a box.
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_search_that_was_interrupted_goes_on_when_the_command_is_repeated(
    number: int, code: int, tmp_path: Path, commands: Commands
) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    command = commands.start("tune", "song.txt", *SMALL, where=tmp_path)
    trial = tmp_path / PATH / "trial-001"
    until((trial / "run.json").is_file)
    command.send(number)
    ended = command.end()
    assert ended.code == code, ended.errors
    told = number != signal.SIGKILL
    assert ("interrupted and saved; repeat the command to go on" in ended.errors) is told
    before = RunDirectory(trial).read_info()
    made = (trial / "heldout.txt").stat().st_ino
    again = commands.start("tune", "song.txt", *SMALL, where=tmp_path).end()
    assert again.code == 0, again.errors
    # It is the same run, with the same recipe.
    assert (trial / "heldout.txt").stat().st_ino == made
    assert RunDirectory(trial).read_info().recipe == before.recipe
    names = re.findall(r"^(trial-\d+|winner-\d|recipe-\d): ", again.errors, re.M)
    assert names[0] in ("trial-001", "trial-002")
    assert len(set(names)) == len(names)
    assert names[-1].endswith("-2")


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal_there_is_one_bar_and_everything_fits(columns: int, tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    command = [sys.executable, "-m", "charlstm", "tune", "song.txt", *SMALL]
    with terminal(command, tmp_path, height=30, COLUMNS=str(columns)) as screen:
        assert screen.end() == 0, screen.shown
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.shown)
    assert re.search(r"trial-001 · best [\d.]+ *\|", plain) or columns == 40
    rows = [row for line in plain.split("\n") for row in line.split("\r")]
    too_wide = [row for row in rows if cell_len(row.rstrip()) > columns]
    assert not too_wide
    assert "winner-0" in plain
