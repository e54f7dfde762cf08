"""`charlstm runs`, on copies of the runs that are stored in ``data/``."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import Charlstm
from rich.cells import cell_len
from terminals import terminal

import charlstm as package
from charlstm.errors import RunError
from charlstm.files import exclusive
from charlstm.runs.directory import RunDirectory
from charlstm.runs.freeing import free, of_run, of_texts
from charlstm.runs.keeping import size
from charlstm.runs.known import run_in
from charlstm.runs.listing import Listed
from charlstm.text.mapped import DIRECTORY

DATA = Path(__file__).parent / "data"
NAMES = ("format-2", "format-3", "format-4")
ROOT = Path("checkpoints")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand where there are three runs in ``checkpoints/``."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        shutil.copytree(DATA / name, ROOT / name)
    return ROOT


def change(run: str, **fields: Any) -> None:
    path = ROOT / run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields), encoding="utf-8")


def damage(name: str, data: bytes = b"{") -> None:
    (ROOT / name).mkdir()
    (ROOT / name / "run.json").write_bytes(data)


def listed(charlstm: Charlstm) -> list[str]:
    (answer,) = charlstm("runs", "--json").answers()
    return [run["name"] for run in answer["runs"]]


# The list.


def test_runs_are_listed_with_the_newest_first(charlstm: Charlstm) -> None:
    change("format-3", saved=2e9)
    result = charlstm("runs")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["run", "text", "songs", "held-out", "ppl", "size", "saved", "state"]
    assert [row.split()[0] for row in rows] == ["format-3", "format-4", "format-2"]
    assert rows[0].split()[1:4] == ["song.txt", "–", "24.13"]
    assert {row.split()[-1] for row in rows} == {"ready"}
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_a_program_gets_the_list_as_the_desk_does(charlstm: Charlstm) -> None:
    (answer,) = charlstm("runs", "--json").answers()
    assert answer["root"] == "checkpoints"
    told = next(run for run in answer["runs"] if run["name"] == "format-4")
    run = RunDirectory(ROOT / "format-4")
    info = run.read_info()
    assert info.best is not None
    assert told["text"] == ["song.txt"]
    assert told["perplexity"] == info.best.validation_perplexity
    assert (told["state"], told["problem"], told["bytes"]) == ("ready", None, size(run))


def test_where_no_run_is_that_is_no_error(charlstm: Charlstm) -> None:
    shutil.rmtree(ROOT)
    result = charlstm("runs")
    assert (result.code, result.stdout) == (0, "")
    assert "There is no run in checkpoints yet: train one with charlstm train" in result.stderr
    assert charlstm("runs", "--json").answers() == [{"runs": [], "root": "checkpoints"}]
    assert not ROOT.exists()


def test_a_state_is_what_can_be_done_with_a_run(charlstm: Charlstm) -> None:
    change("format-2", finished=None)
    (ROOT / "format-3" / "model.safetensors").unlink()
    with exclusive(ROOT / "format-4" / ".lock", "busy"):
        rows = charlstm("runs").stdout.splitlines()[1:]
    assert {row.split()[0]: row.split()[-1] for row in rows} == {
        "format-2": "stopped",
        "format-3": "empty",
        "format-4": "training",
    }


def test_what_is_damaged_or_of_a_newer_version_is_listed_with_its_sentence(
    charlstm: Charlstm,
) -> None:
    damage("bad")
    damage("newer", b'{"format": 999}')
    result = charlstm("runs")
    assert result.code == 0
    assert len(re.findall("damaged$", result.stdout, re.M)) == 2
    assert "bad: checkpoints/bad/run.json is damaged: it is not valid JSON." in result.stdout
    assert "newer: checkpoints/newer/run.json has format 999; " in result.stdout
    assert listed(charlstm)[-2:] == ["newer", "bad"]


def test_names_of_strangers_are_shown_and_not_sent(charlstm: Charlstm) -> None:
    name = "e\x1b[31mvil\n\u202ename"
    damage(name)
    for arguments in (("runs",), ("runs", "size"), ("runs", "show", name)):
        shown = charlstm(*arguments).stdout
        assert "e␛[31mvil⏎�name" in shown
        assert not {"\x1b", "\u202e"} & set(shown)


def test_a_link_to_a_run_is_listed_as_one_and_has_no_size_here(
    charlstm: Charlstm, tmp_path: Path
) -> None:
    shutil.move(ROOT / "format-2", tmp_path / "elsewhere")
    (ROOT / "link").symlink_to(tmp_path / "elsewhere")
    row = next(row for row in charlstm("runs").stdout.splitlines() if row.startswith("link"))
    assert row.split()[3:5] == ["24.13", "link"]
    assert size(RunDirectory(ROOT / "link")) == 0
    assert of_run(RunDirectory(ROOT / "link")) == []
    result = charlstm("runs", "remove", "--yes", "link")
    assert result.stderr.startswith("error: checkpoints/link is a link to a run elsewhere")
    assert (tmp_path / "elsewhere" / "run.json").exists()


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (100, "run text songs held-out ppl size saved state"),
        (60, "run text held-out ppl size state"),
        (34, "run held-out ppl state"),
    ],
)
def test_on_a_narrow_terminal_names_are_whole_and_what_tells_least_is_left_out(
    columns: int, titles: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "charlstm", "runs"]
    with terminal(command, tmp_path, COLUMNS=str(columns)) as session:
        assert session.end() == 0
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", session.shown)
    head, *rows = plain.splitlines()
    assert " ".join(head.split()) == titles
    assert {row.split()[0] for row in rows} == set(NAMES)
    assert max(map(cell_len, rows)) <= columns


# One run.


def test_one_run_tells_what_it_learned_how_and_how_good_it_is(charlstm: Charlstm) -> None:
    shown = charlstm("runs", "show", "format-4").stdout
    for told in (
        "ready. Done: all 104 steps are done.",
        "song.txt",
        "986 characters, 69 different; the last 197 are held out",
        "2 × lstm 4, 864 weights, backend scratch, embedding 3",
        "--lr 0.05 (recipe: 0.003)",
        "8 epochs, 104 steps",
    ):
        assert told in shown
    assert re.search(r"^the model +4 +26\.84 +13\.28 +24\.13 +3\.731$", shown, re.M)
    assert re.search(r"^resume\.safetensors +17 kB$", shown, re.M)
    assert "--precision" not in shown  # which the machine chose


def test_on_a_narrow_terminal_the_figures_of_a_run_keep_their_names(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "charlstm", "runs", "show", "format-4"]
    with terminal(command, tmp_path, COLUMNS="60") as session:
        assert session.end() == 0
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", session.shown)
    assert re.search(r"^the model +4 +26\.84 +13\.28 +24\.13\n", plain, re.M)
    assert max(map(cell_len, plain.splitlines())) <= 60


def test_a_program_gets_all_that_a_run_says(charlstm: Charlstm) -> None:
    (told,) = charlstm("runs", "show", "checkpoints/format-4", "--json").answers()
    assert told["recipe"]["architecture"]["hidden"] == 4
    assert told["differs"]["learning_rate"] == {"run": 0.05, "recipe": 0.003}
    assert told["best"]["epoch"] == 4
    assert sum(told["files"].values()) == told["bytes"] > 0
    assert told["told"] == "Done: all 104 steps are done."


def test_a_damaged_run_is_shown_with_what_is_wrong_and_its_files(charlstm: Charlstm) -> None:
    damage("bad")
    shown = charlstm("runs", "show", "bad")
    assert shown.code == 0
    assert "damaged. checkpoints/bad/run.json is damaged: it is not valid JSON." in shown.stdout
    assert re.search("^run.json +1 kB$", shown.stdout, re.M)
    result = charlstm("runs", "show", "other")
    assert result.code == 1
    assert result.stderr.startswith("error: There is no run called other; checkpoints has bad, ")


def test_a_setting_differs_only_where_the_recipe_would_have_it_otherwise(
    charlstm: Charlstm,
) -> None:
    recipe = json.loads((ROOT / "format-4" / "run.json").read_bytes())["recipe"]
    # Epochs of a budget in minutes are as many as there was time for.
    change("format-4", recipe=recipe | {"minutes": 5.0, "epochs": 33}, started_from="format-3")
    (told,) = charlstm("runs", "show", "format-4", "--json").answers()
    assert told["differs"]["minutes"] == {"run": 5.0, "recipe": None}
    assert not {"epochs", "precision", "learning_rate", "name"} & set(told["differs"])
    change("format-4", recipe=recipe | {"name": "a stranger's"})
    (told,) = charlstm("runs", "show", "format-4", "--json").answers()
    assert told["differs"] == {}


# Other names, and removing.


def test_a_run_gets_another_name(charlstm: Charlstm) -> None:
    assert charlstm("runs", "rename", "checkpoints/format-2/", "我的 歌").code == 0
    assert listed(charlstm) == ["format-4", "format-3", "我的 歌"]
    result = charlstm("runs", "rename", "我的 歌", "format-3")
    assert result.code == 1
    assert "There is format-3 already in checkpoints: choose another name." in result.stderr


@pytest.mark.parametrize("name", ["../outside", "outside", "/", ".", "", ".hidden", "checkpoints"])
def test_nothing_outside_the_root_is_touched(name: str, charlstm: Charlstm, tmp_path: Path) -> None:
    shutil.copytree(DATA / "format-4", tmp_path / "outside")
    shutil.copytree(DATA / "format-4", ROOT / ".hidden")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for arguments in (("remove", "--yes", name), ("rename", name, "x"), ("free", "--yes", name)):
        result = charlstm("runs", *arguments)
        assert result.code == 1
        assert result.stderr.startswith("error: ")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(RunError):
        run_in(ROOT, name)


def test_runs_are_removed_and_a_name_that_is_mistyped_costs_nothing(charlstm: Charlstm) -> None:
    damage("bad")
    result = charlstm("runs", "remove", "--yes", "bad", "format-2", "formt-3")
    assert result.stderr.startswith("error: There is no run called 'formt-3'; checkpoints has bad")
    assert len(listed(charlstm)) == 4
    result = charlstm("runs", "remove", "--yes", "bad", "format-2", "checkpoints/bad")
    assert (result.code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == ["bad is removed.", "format-2 is removed."]
    assert listed(charlstm) == ["format-4", "format-3"]


def test_a_run_in_use_stays_and_the_others_go(charlstm: Charlstm) -> None:
    with exclusive(ROOT / "format-2" / ".lock", "busy"):
        result = charlstm("runs", "remove", "--yes", "format-2", "format-3")
    assert result.code == 1
    assert "error: A training is running in checkpoints/format-2" in result.stderr
    assert listed(charlstm) == ["format-4", "format-2"]


@pytest.mark.parametrize("arguments", [("remove", "format-2"), ("free",)])
def test_without_a_terminal_and_without_a_yes_nothing_goes(
    arguments: tuple[str, ...], charlstm: Charlstm
) -> None:
    result = charlstm("runs", *arguments)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: Nothing is removed without a yes: there is no terminal to ask on, and --yes was "
        "not given.\n"
    )
    assert len(listed(charlstm)) == 3
    assert (ROOT / "format-2" / "resume.safetensors").stat().st_size > 1000


@pytest.mark.parametrize(("typed", "code", "left"), [("y\r", 0, 2), ("\r", 1, 3), ("\x04", 1, 3)])
def test_on_a_terminal_a_person_is_asked_with_what_would_go(
    typed: str, code: int, left: int, tmp_path: Path
) -> None:
    (ROOT / "format-2" / "draft.txt").write_text("la\n", encoding="utf-8")
    command = [sys.executable, "-m", "charlstm", "runs", "remove", "format-2"]
    with terminal(command, tmp_path) as session:
        session.wait_for("Remove format-2 (28 kB, 1 song written with it)? Nothing brings that")
        session.wait_for("[y/N] ")
        session.type(typed)
        assert session.end() == code
    assert len(list(ROOT.glob("*/run.json"))) == left


# Room.


def test_every_size_is_told_with_what_could_go(charlstm: Charlstm) -> None:
    change("format-2", finished=None)
    log = ROOT / "format-3" / "tensorboard"
    log.mkdir()
    (log / "events").write_bytes(b"x" * 5000)
    (ROOT / "song-compare").mkdir()
    (ROOT / "song-compare" / "compare.csv").write_bytes(b"x" * 700)
    (told,) = charlstm("runs", "size", "--json").answers()
    assert [run["could_go"] for run in told["runs"]] == [
        {"resume": 17228},
        {"resume": 16952, "tensorboard": 5000},
        {},  # it would go on from there
    ]
    assert told["beside"] == {"song-compare": 700}
    files = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    assert told["bytes"] == files
    rows = charlstm("runs", "size").stdout.splitlines()
    assert rows[0].split() == ["run", "size", "could", "go", "what"]
    assert rows[2].split() == [
        "format-3",
        "33",
        "kB",
        "22",
        "kB",
        "resume",
        "file,",
        "TensorBoard",
        "log",
    ]
    assert rows[-1].split()[0] == "all"


def test_a_resume_file_that_was_let_go_says_what_the_run_can_no_longer_do(
    charlstm: Charlstm,
) -> None:
    before = package.load("format-4").generate("The ", length=20, seed=7)
    result = charlstm("runs", "free", "--yes", "format-4")
    assert result.stderr == "17 kB are free again.\n"
    assert package.load("format-4").generate("The ", length=20, seed=7) == before
    shown = charlstm("runs", "show", "format-4").stdout
    assert "It cannot be trained further: its resume file was let go." in shown
    assert "with --from format-4." in shown
    assert not Listed.of(RunDirectory(ROOT / "format-4")).may_go_on
    files = {path: path.read_bytes() for path in (ROOT / "format-4").iterdir()}
    result = charlstm("train", str(DATA / "song.txt"), "--resume", "--name", "format-4")
    assert result.code == 1
    assert result.stderr.splitlines()[-1] == (
        "error: checkpoints/format-4 cannot be trained further: its resume.safetensors was let go "
        "to save space. It writes and is measured as before; a new run begins with its weights, "
        "with --from checkpoints/format-4."
    )
    assert {path: path.read_bytes() for path in (ROOT / "format-4").iterdir()} == files
    again = charlstm("runs", "free", "--yes", "format-4")
    assert (again.code, again.stderr) == (0, "There is nothing to let go.\n")


def test_only_what_is_named_goes_and_never_what_a_training_would_go_on_from(
    charlstm: Charlstm,
) -> None:
    change("format-2", finished=None)
    (ROOT / "format-3" / "tensorboard").mkdir()
    (ROOT / "format-3" / "tensorboard" / "events").write_bytes(b"x" * 5000)
    with exclusive(ROOT / "format-4" / ".lock", "busy"):
        charlstm("runs", "free", "--yes")
    sizes = {name: (ROOT / name / "resume.safetensors").stat().st_size for name in NAMES}
    assert sizes["format-3"] < 100 < min(sizes["format-2"], sizes["format-4"])
    assert (ROOT / "format-3" / "tensorboard" / "events").exists()
    charlstm("runs", "free", "--yes", "--what", "tensorboard")
    assert not (ROOT / "format-3" / "tensorboard").exists()
    assert (ROOT / "format-4" / "resume.safetensors").stat().st_size > 1000


def test_the_ids_of_long_texts_go_unless_a_training_reads_them(charlstm: Charlstm) -> None:
    cache = ROOT / DIRECTORY
    cache.mkdir()
    kept = [cache / f"{'0' * 32}{ending}" for ending in (".ids", ".json")]
    for path in (*kept, cache / "mine.txt"):
        path.write_bytes(b"x" * 2000)
    with exclusive(ROOT / "format-4" / ".lock", "busy"):
        assert of_texts(ROOT) == []
    assert [room.path for room in of_texts(ROOT)] == kept
    with exclusive(cache / ".lock", "busy"):
        result = charlstm("runs", "free", "--yes", "--what", "cache")
    assert "is in use: wait until no training runs, and try again." in result.stderr
    assert charlstm("runs", "free", "--yes", "--what", "cache").code == 0
    assert [path.name for path in cache.iterdir() if path.name != ".lock"] == ["mine.txt"]


def test_links_are_not_followed_to_what_could_go(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{'0' * 32}.ids").write_bytes(b"x" * 2000)
    (ROOT / DIRECTORY).symlink_to(outside)
    run = RunDirectory(ROOT / "format-4")
    (run.path / "tensorboard").symlink_to(outside)
    (run.path / "resume.safetensors").rename(outside / "resume.safetensors")
    (run.path / "resume.safetensors").symlink_to(outside / "resume.safetensors")
    assert of_texts(ROOT) == []
    assert of_run(run) == []


def test_what_was_gone_on_with_since_it_was_looked_at_stays() -> None:
    run = RunDirectory(ROOT / "format-4")
    (room,) = of_run(run)
    change("format-4", finished=None)
    with pytest.raises(RunError, match="is in use: wait until no training runs"):
        free(room)
    assert room.path.stat().st_size == room.bytes
