"""`charlstm inspect`, on a copy of a run that is stored in ``data/``."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import Charlstm, python
from terminals import terminal

import charlstm as package

DATA = Path(__file__).parent / "data"
RUN = Path("checkpoints", "song")
# A line of a table in which something is followed.
ROW = re.compile(
    r"^(\S.*?)  +(\d+\.\d+)  +([+-]\d\.\d\d)  +(\d\.\d\d)  +([\d.]+)  +([+-]\d\.\d{4})$", re.M
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where there is a run in ``checkpoints/``."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(DATA / "format-4", RUN)


def test_the_units_that_follow_something_are_ranked(charlstm: Charlstm) -> None:
    result = charlstm("inspect")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("what units follow, over 197 characters: held-out text of song")
    rows = ROW.findall(result.stdout)
    assert len(rows) >= 5
    sizes = [abs(float(r)) for _, _, r, _, _, _ in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert "0 of 8 units follow one of these closely" in result.stdout
    assert "most units mean nothing that one can name" in result.stdout
    # The same figures every time.
    assert charlstm("inspect").stdout == result.stdout


def test_json_has_what_the_table_has(charlstm: Charlstm) -> None:
    (told,) = charlstm("inspect", "--json").answers()
    rows = ROW.findall(charlstm("inspect").stdout)
    assert (told["characters"], told["units"], told["follow_closely"]) == (197, 8, 0)
    assert told["run"] == str(RUN)
    for one, (thing, unit, r, chance, remembers, off) in zip(told["followed"], rows, strict=True):
        assert one["thing"] == thing
        assert f"{one['layer']}.{one['unit']}" == unit
        assert f"{one['correlation']:+.2f} {one['by_chance']:.2f}" == f"{r} {chance}"
        assert f"{one['remembers']:,.1f} {one['off_bits']:+.4f}" == f"{remembers} {off}"


def test_units_are_held_against_held_out_text_and_a_text_is_coloured(
    charlstm: Charlstm, tmp_path: Path
) -> None:
    Path("mine.txt").write_text("Go on, go on\n" * 9, encoding="utf-8")
    assert "197 characters: held-out text of song" in charlstm("inspect", "mine.txt").stdout
    # A run that held nothing out is looked at on the text that it is given.
    (RUN / "heldout.txt").write_bytes(b"")
    info = (RUN / "run.json").read_text(encoding="utf-8")
    told = re.sub(r'"held_out_characters": \d+', '"held_out_characters": 0', info)
    (RUN / "run.json").write_text(told, encoding="utf-8")
    assert "117 characters: mine.txt" in charlstm("inspect", "mine.txt").stdout
    assert "trained without held-out text" in charlstm("inspect").stderr


def test_in_a_terminal_the_text_has_colours(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "charlstm", "inspect", "--unit", "0.2", "--show", "f"]
    with terminal(command, tmp_path) as screen:
        assert screen.end() == 0
    text, _, table = screen.shown.partition("what units follow")
    assert "held-out text of song, coloured by f of unit 0.2" in text
    # Black on a colour of the palette, or nothing.
    assert len(set(re.findall(r"\x1b\[30;48;5;\d+m|\x1b\[38;5;16;48;5;\d+m", text))) >= 2, text
    assert "by chance" in table


def test_all_of_it_is_computed_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # every import of it fails from here on
        "from charlstm.cli import main\n"
        "main()\n"
    )
    for given in (["inspect"], ["inspect", "--html", "inside.html"]):
        assert python("-c", code, *given, where=tmp_path).code == 0
    assert (tmp_path / "inside.html").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--unit", "0.4"], "The model has no unit 0.4: it has those from 0.0 to 1.3."),
        (["--unit", "x"], "The model has no unit x: it has those from 0.0 to 1.3."),
        (["--unit", "2.0"], "The model has no unit 2.0"),
        (["--show", "r"], "The units of lstm have no r, only c, h, i, f, o, g, kept, written."),
        (
            ["short.txt", "--html", "a.html"],
            "The text is too short to look at: it needs two characters or more.",
        ),
        (["empty.txt"], "There is no text in empty.txt"),
        (["nowhere.txt"], "There is no file or directory called nowhere.txt."),
        (["long.txt", "--html", "long.txt"], "long.txt is read here, so it is not written over"),
        (["--html", "mine.html"], "mine.html is there already, and charlstm has not made it"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    charlstm: Charlstm, given: list[str], told: str
) -> None:
    Path("empty.txt").touch()
    Path("short.txt").write_text("x", encoding="utf-8")
    Path("long.txt").write_text("Go on, they're waving\n", encoding="utf-8")
    Path("mine.html").write_text("<p>mine</p>", encoding="utf-8")
    result = charlstm("inspect", *given)
    assert (result.code, result.stdout) == (1, "")
    assert f"error: {told}" in result.stderr
    assert result.stderr.count("\n") <= 3


@pytest.mark.parametrize(
    "given",
    [
        ["--html", "a.html", "--json"],
        ["--html", "a.html", "--unit", "0.1"],
        ["--json", "--show", "f"],
        ["--force"],
        ["--show", "nothing"],
    ],
)
def test_options_that_have_no_effect_together_are_refused(
    charlstm: Charlstm, given: list[str]
) -> None:
    assert charlstm("inspect", *given).code == 2
    assert not Path("a.html").exists()


def test_a_page_is_written_and_written_again(charlstm: Charlstm) -> None:
    result = charlstm("inspect", "--html", "inside.html")
    assert (result.code, result.stdout) == (0, "")
    assert re.fullmatch(
        r"inside\.html: \d+ kB, held-out text of song\. Open it in a browser\.\n",
        result.stderr,
    )
    page = Path("inside.html").read_bytes()
    assert charlstm("inspect", "--html", "inside.html").code == 0
    assert Path("inside.html").read_bytes() == page


def test_from_python_it_is_the_same(charlstm: Charlstm) -> None:
    gates = package.load("song").gates()
    (told,) = charlstm("inspect", "--json").answers()
    first, row = gates.followed[0], told["followed"][0]
    assert (first.thing, first.unit.layer, first.unit.number) == (
        row["thing"],
        row["layer"],
        row["unit"],
    )
    assert first.correlation == row["correlation"]
    assert gates.remembered is not None
    assert np.isfinite(gates.remembered).all()
