"""`charlstm runs export`, on a copy of a run that is stored in ``data/``."""

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commandline import Charlstm

import charlstm as package

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
    # Network and blend, each as it was measured on the held-out text.
    assert "it writes by the network alone, held-out perplexity 24.13." in result.stderr
    assert (
        "What the run remembers of its text, with which that is 13.28, is not in the page."
        in result.stderr
    )
    page = Path("song.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    # Its own work is written over.
    assert charlstm("runs", "export", "song", "song.html").code == 0


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
        ("song", "song.txt", "in .html for a page that writes in any browser, in .onnx"),
        ("song", "song", "What song is to be is told by how its name ends"),
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
