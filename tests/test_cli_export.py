"""`charlstm runs export`, on a copy of a run that is stored in ``data/``."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commandline import Charlstm

import charlstm as package
from charlstm.exports import grams

DATA = Path(__file__).parent / "data"
RUN = Path("checkpoints", "song")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where there is a run that remembers its text in ``checkpoints/``."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(DATA / "format-4", RUN)


def test_a_page_is_written_and_what_it_is_worth_is_told(charlstm: Charlstm) -> None:
    result = charlstm("runs", "export", "song", "song.html")
    assert (result.code, result.stdout) == (0, "")
    told = " ".join(result.stderr.split())
    # Blend and network, each as it was measured on the held-out text.
    assert told.endswith(
        "Open it in a browser: it writes with what the run remembers, held-out perplexity "
        "13.28 (24.13 by the network alone). It has 3,659 grams of the training text, of up to 7 "
        "characters, and much of that text can be told from them."
    )
    page = Path("song.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    # Its own work is written over.
    assert charlstm("runs", "export", "song", "song.html").code == 0


def test_grams_that_have_no_room_in_a_page_are_told(
    charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grams, "MOST_GRAMS", 3_000)
    told = " ".join(charlstm("runs", "export", "song", "song.html").stderr.split())
    assert "It has 2,916 grams of the training text, of up to 6 characters, and " in told
    assert told.endswith(" 743 longer ones had no room, and that perplexity is with them.")


def test_a_run_that_keeps_no_grams_has_none_in_its_page(charlstm: Charlstm) -> None:
    file = RUN / "run.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    said["recall"]["grams"] = []
    file.write_text(json.dumps(said), encoding="utf-8")
    (RUN / "recall.safetensors").unlink()
    told = " ".join(charlstm("runs", "export", "song", "song.html").stderr.split())
    assert told.endswith("held-out perplexity 13.28 (24.13 by the network alone).")
    assert "grams" not in told


def test_a_run_whose_grams_are_lost_is_no_page(charlstm: Charlstm) -> None:
    (RUN / "recall.safetensors").unlink()
    result = charlstm("runs", "export", "song", "song.html")
    assert result.code == 1
    assert "recall.safetensors" in result.stderr
    assert not Path("song.html").exists()
    # The graph has the network alone.
    assert charlstm("runs", "export", "song", "song.onnx").code == 0


def test_a_run_without_recall_tells_one_figure(charlstm: Charlstm) -> None:
    shutil.copytree(DATA / "format-3", Path("checkpoints", "older"))
    told = charlstm("runs", "export", "older", "older.htm").stderr
    assert "it writes by the network alone, held-out perplexity 24.13." in told
    assert "remembers" not in told


def test_an_archive_is_a_run_elsewhere(charlstm: Charlstm, tmp_path: Path) -> None:
    result = charlstm("runs", "export", "song", "song.ZIP")
    assert (result.code, result.stdout) == (0, "")
    there = tmp_path / "there" / "checkpoints"
    zipfile.ZipFile("song.ZIP").extractall(there)
    copied, model = package.load("song", root=there), package.load("song")
    assert copied.generate("a", seed=1, unknown="skip") == model.generate(
        "a", seed=1, unknown="skip"
    )
    assert charlstm("runs", "export", "song", "song.ZIP").code == 0


def test_a_graph_is_written_and_what_it_is_worth_is_told(charlstm: Charlstm) -> None:
    result = charlstm("runs", "export", "song", "song.onnx")
    assert (result.code, result.stdout) == (0, "")
    told = " ".join(result.stderr.split())
    assert told.endswith(
        "Run it with onnxruntime, one character a step: it is the network alone, held-out "
        "perplexity 24.13. What the run remembers of its text, with which that is 13.28, is not "
        "in the file."
    )
    assert charlstm("runs", "export", "song", "song.onnx").code == 0


def test_without_the_library_a_graph_is_one_sentence(
    charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # every import of it fails
    result = charlstm("runs", "export", "song", "song.onnx")
    assert (result.code, result.stdout) == (1, "")
    told = (
        "ONNX files need the library onnx, and that is not installed: pip install 'charlstm[onnx]'."
    )
    assert told in " ".join(result.stderr.split())
    assert not Path("song.onnx").exists()


@pytest.mark.parametrize("name", ["song.html", "song.onnx", "song.zip"])
def test_nobodys_work_is_written_over(charlstm: Charlstm, name: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("song/run.json", "{}")
    Path(name).write_bytes(archive.getvalue())
    result = charlstm("runs", "export", "song", name)
    assert result.code == 1
    assert (
        f"{name} is there already, and charlstm has not made it: name another file, or say "
        "--force to write over it." in result.stderr
    )
    assert Path(name).read_bytes() == archive.getvalue()
    assert charlstm("runs", "export", "song", name, "--force").code == 0
    assert Path(name).read_bytes() != archive.getvalue()


@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        (
            "song",
            "song.txt",
            "song.txt ends in none of these: .html for a page that writes in any ",
        ),
        ("song", "song", "How a name ends says what is written, and song ends in none of these"),
        ("none", "song.html", "There is no run called none; checkpoints has song."),
        ("song", "no/song.html", "no/song.html cannot be written: no is not a directory."),
    ],
)
def test_what_cannot_be_is_one_sentence(
    charlstm: Charlstm, name: str, file: str, told: str
) -> None:
    result = charlstm("runs", "export", name, file)
    assert (result.code, result.stdout) == (1, "")
    assert told in result.stderr
    assert not Path(file).exists()


def test_a_run_without_a_model_says_what_to_do(charlstm: Charlstm) -> None:
    (RUN / "model.safetensors").unlink()
    result = charlstm("runs", "export", "song", "song.html")
    assert result.code == 1
    assert "checkpoints/song has no model yet: go on with charlstm train --resume" in result.stderr
    assert not Path("song.html").exists()


@pytest.mark.parametrize("file", ["song.html", "song.onnx"])
def test_nothing_that_is_taken_along_is_made_with_torch(file: str) -> None:
    code = (
        "import sys\n"
        "from charlstm.cli import main\n"
        "sys.argv[1:] = ['runs', 'export', 'song', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout == "False\n"
