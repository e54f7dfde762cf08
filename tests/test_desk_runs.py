import base64
import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desks import Page, desk
from songs import LYRICS, learn

from charlstm.api import load
from charlstm.files import exclusive
from charlstm.runs.directory import RunDirectory
from charlstm.runs.freeing import free, of_run
from charlstm.serve.desk import uploads


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a run, packed as the page hands it on."""
    where = tmp_path_factory.mktemp("runs")
    learn(where, epochs=2, validation=0.1, sample_every=1)
    with desk(where / "checkpoints") as page:
        answer = page.client.get("/api/runs/song/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="song.zip"')
    assert int(answer.headers["content-length"]) == len(answer.content)
    return answer.content


@pytest.fixture
def page(trained: bytes, root: Path) -> Iterator[Page]:
    """Return a desk with the run, unpacked as on another machine."""
    zipfile.ZipFile(io.BytesIO(trained)).extractall(root)
    with desk(root) as page:
        yield page


def test_a_run_that_was_handed_on_works_where_it_was_unpacked(page: Page, root: Path) -> None:
    (run,) = page.get("/api/runs")["runs"]
    info = load("song", root=root).info
    assert info.best is not None
    assert run == {
        "name": "song",
        "state": "ready",
        "problem": None,
        "characters": len(LYRICS),
        "songs": None,
        "vocabulary": info.vocabulary.size,
        "loss": info.best.validation_loss,
        "perplexity": info.best.validation_perplexity,
        "bytes": sum(path.stat().st_size for path in (root / "song").iterdir()),
        "saved": info.saved,
        "finished": "all 24 steps are done",
        "labels": {},
        "described": info.described(),
        "can_resume": True,
        "is_kept": True,
        "recall": info.recipe.recall,
        "drafts": 0,
    }
    whole = page.get("/api/runs/song")
    assert [entry["epoch"] for entry in whole["history"]] == [1, 2]
    assert len(whole["samples"]) == 2
    assert not whole["samples"][0].startswith("---")
    page.get("/api/runs/other", 404)


def test_a_run_gets_another_name_and_is_removed(page: Page, root: Path) -> None:
    assert page.post("/api/runs/song/rename", {"name": "我的 歌"})["name"] == "我的 歌"
    (root / "other").mkdir()
    told = page.refused("/api/runs/我的 歌/rename", {"name": "other"}, 409)
    assert told == f"There is other already in {root}: choose another name."
    told = page.refused("/api/runs/我的 歌/rename", {"name": "../x"})
    assert told.startswith("A run cannot be called '../x'")
    page.refused("/api/runs/我的 歌/rename", {})
    page.post("/api/runs/song/remove", {}, 404)
    page.post("/api/runs/我的 歌/remove")
    assert page.get("/api/runs")["runs"] == []
    assert [path.name for path in root.iterdir()] == ["other"]


def test_a_run_that_is_in_use_stays(page: Page, root: Path) -> None:
    song = page.post("/api/runs/song/songs")["id"]
    page.post(f"/api/runs/song/songs/{song}/open", {"client": "tab"})
    for change, body in (("remove", {}), ("rename", {"name": "other"})):
        error = page.post(f"/api/runs/song/{change}", body, 409)["error"]
        assert error["code"] == "in_use"
        assert error["message"] == "A song of song is open in a tab: close it first."
    page.post(f"/api/runs/song/songs/{song}/close", {"client": "tab"})
    with exclusive(root / "song" / ".lock", "busy"):
        assert page.get("/api/runs/song")["state"] == "training"
        told = page.refused("/api/runs/song/remove", {}, 409)
        assert told.startswith("A training is running in")
    page.post("/api/runs/song/remove")


def test_a_damaged_run_is_listed_with_what_is_wrong_and_can_be_removed(
    page: Page, root: Path
) -> None:
    (root / "song" / "run.json").write_bytes(b"{")
    (run,) = page.get("/api/runs")["runs"]
    assert run["state"] == "damaged"
    assert "run.json is damaged: it is not valid JSON" in run["problem"]
    assert page.get("/api/runs/song")["state"] == "damaged"
    page.post("/api/runs/song/remove")
    assert page.get("/api/runs")["runs"] == []


def test_a_run_without_a_model_is_empty(page: Page, root: Path) -> None:
    (root / "song" / "model.safetensors").unlink()
    (root / "song" / "samples.txt").unlink()
    (root / "song" / "history.jsonl").unlink()
    told = page.get("/api/runs/song")
    assert (told["state"], told["history"], told["samples"]) == ("empty", [], [])


def test_a_run_whose_resume_file_was_let_go_is_not_offered_to_learn_on(
    page: Page, root: Path
) -> None:
    (room,) = of_run(RunDirectory(root / "song"))
    free(room)
    told = page.get("/api/runs/song")
    assert (told["state"], told["can_resume"]) == ("ready", False)


# Texts.

JPEG = b"\xff\xd8\xff" * 9


def file(path: str, data: bytes | str, *, more: bool = False) -> dict[str, Any]:
    data = data.encode() if isinstance(data, str) else data
    return {"path": path, "data": base64.b64encode(data).decode(), "more": more}


def dropped(page: Page, *files: dict[str, Any]) -> str:
    text = str(page.post("/api/texts")["id"])
    page.post(f"/api/texts/{text}/files", {"files": list(files)})
    return f"/api/texts/{text}"


@pytest.fixture
def empty(root: Path) -> Iterator[Page]:
    with desk(root) as page:
        yield page


def test_what_was_dropped_is_shown_before_anything_is_trained(empty: Page) -> None:
    text = dropped(
        empty,
        file("我的歌/一.txt", LYRICS[:800], more=True),
        file("我的歌/二.lrc", "[ti:题]\n[00:01.00]我在\n[00:02.00]桥边等你来\n" * 9),
        file("我的歌/cover.jpg", JPEG),
        file("我的歌/notes.pdf", b"%PDF-1.7"),
    )
    empty.post(f"{text}/files", {"files": [file("我的歌/一.txt", LYRICS[800:])]})
    told = empty.post(f"{text}/look")
    assert told["name"] == "我的歌"
    assert [one["path"] for one in told["files"]] == ["我的歌/一.txt", "我的歌/二.lrc"]
    assert told["files"][0] == {
        "path": "我的歌/一.txt",
        "encoding": "utf-8",
        "characters": len(LYRICS),
    }
    assert told["more_files"] == 0
    assert told["left_out"][0].startswith("Left out: ")
    assert told["left_out"][1:] == ["1 file .jpg is not read.", "1 file .pdf is not read."]
    assert told["excerpt"].startswith("我在车站等你来\n你在海上过一年\n")
    assert len(told["excerpt"].split("\n")) <= 12
    assert (told["minutes"], told["usual"]) == ([1, 5, 20], 5)
    assert told["characters"] > len(LYRICS)
    assert told["distinct"] < 100


def test_files_that_were_dropped_by_themselves_are_read_as_a_terminal_reads_them(
    empty: Page,
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("b.txt", LYRICS)
    text = dropped(
        empty,
        file("lyrics", LYRICS),
        file("songs.zip", archive.getvalue()),
        file("z.png", b"\x89PNG\r\n\x1a\n"),
    )
    told = empty.post(f"{text}/look")
    assert [one["path"] for one in told["files"]] == ["lyrics", "songs.zip/b.txt"]
    assert told["name"] == "lyrics"
    assert "z.png is a picture (PNG), and not read." in told["left_out"]


def test_an_encoding_that_was_guessed_is_told_with_what_it_makes_of_the_text(empty: Page) -> None:
    text = dropped(empty, file("song.txt", LYRICS.encode("gb18030")))
    told = empty.post(f"{text}/look")
    (note,) = (note for note in told["notes"] if "guessed" in note)
    assert note.startswith("song.txt (gb18030, guessed: ")
    assert "read as: 我" in note


def test_what_cannot_be_read_is_refused_in_the_words_of_the_command_line(empty: Page) -> None:
    text = dropped(empty, file("a.txt", ""))
    told = empty.refused(f"{text}/look")
    assert told == "There is no text in a.txt: the corpus is empty."
    told = empty.refused(f"{dropped(empty, file('a.jpg', JPEG))}/look")
    assert told.startswith("There is no text in what was dropped: there is only a picture (JPEG).")
    empty.post(f"{text}/remove")
    assert empty.post(f"{text}/look", {}, 404)["error"]["message"].startswith("This text is not")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/etc/passwd.txt", "etc/passwd.txt"),
        ("C:\\songs\\a.txt", "C_/songs/a.txt"),
        ("a\0b?.txt", "a_b_.txt"),
        ("./a//b.txt", "a/b.txt"),
        ("con.txt", "_con.txt"),
        ("歌.txt", "歌.txt"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
    ],
)
def test_no_name_that_a_browser_sends_leads_out_of_the_text(
    empty: Page, root: Path, path: str, kept: str
) -> None:
    text = dropped(empty, file(path, LYRICS))
    top = root / ".texts" / text.rpartition("/")[2]
    (found,) = (path for path in top.rglob("*") if path.is_file())
    assert found.relative_to(top).as_posix() == kept
    assert [one["path"] for one in empty.post(f"{text}/look")["files"]] == [kept]


@pytest.mark.parametrize(
    "files",
    [
        [file("../a.txt", "x")],
        [file("a/../../b.txt", "x")],
        [file("", "x")],
        [file("/".join("a" * 40), "x")],
        [{"path": "a.txt", "data": "§"}],
        [{"path": "a.txt"}],
        [{"data": ""}],
        ["a.txt"],
        "a.txt",
        None,
    ],
)
def test_what_is_no_file_is_refused(empty: Page, root: Path, files: object) -> None:
    text = empty.post("/api/texts")["id"]
    empty.refused(f"/api/texts/{text}/files", {"files": files})
    assert list((root / ".texts" / text).rglob("*")) == []


def test_files_of_one_name_are_all_kept_and_too_many_bytes_are_refused(
    empty: Page, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = dropped(empty, file("a?.txt", "一"), file("a*.txt", "二"), file("A_.TXT", "三"))
    top = root / ".texts" / text.rpartition("/")[2]
    assert sorted(path.read_text(encoding="utf-8") for path in top.iterdir()) == ["一", "三", "二"]
    monkeypatch.setattr(uploads, "_MOST_BYTES", 10)
    empty.refused(f"{text}/files", {"files": [file("b.txt", "12")]}, 413)
    empty.refused(f"{text}/files", {"files": [file("b.txt", b"x" * (3 << 20) + b"xx" * (1 << 20))]})


def test_texts_that_no_run_needs_are_forgotten_after_a_day(page: Page, root: Path) -> None:
    old = dropped(page, file("a.txt", LYRICS)).rpartition("/")[2]
    needed = dropped(page, file("b.txt", LYRICS)).rpartition("/")[2]
    info = root / "song" / "run.json"
    place = str(root / ".texts" / needed)
    before = info.read_text(encoding="utf-8")
    (told,) = load("song", root=root).info.places
    info.write_text(before.replace(told, place), encoding="utf-8")
    for name in (old, needed):
        os.utime(root / ".texts" / name, (time.time() - 90_000,) * 2)
    new = dropped(page).rpartition("/")[2]
    assert {path.name for path in (root / ".texts").iterdir()} == {needed, new}
    page.post(f"/api/texts/{needed}/remove")  # which the run needs to go on
    assert page.get("/api/runs/song")["can_resume"]
    page.post("/api/runs/song/remove")
    assert {path.name for path in (root / ".texts").iterdir()} == {new}
