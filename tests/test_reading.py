"""Folders of files that are in several encodings, and how a run finds its text again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commandline import Charlstm

import charlstm
from charlstm.errors import CorpusError
from charlstm.text.reading import Encodings, read_corpus

TINY: dict[str, Any] = {"hidden": 4, "embedding": 4, "batch": 2, "window": 8, "sample_every": 0}
OPTIONS = (
    *("--hidden", "4", "--embedding", "4", "--batch", "2", "--window", "8", "--steps", "2"),
    *("--threads", "1", "--sample-every", "0"),
)
A, D = "雨停在车站的屋檐下\n" * 20, "雨停在車站的屋簷下\n" * 20


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of files in three encodings; beside it is where runs are made."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mix"
    path.mkdir()
    (path / "a.txt").write_bytes(A.encode("gb18030"))
    (path / "b.txt").write_bytes(A.encode("utf-8"))
    (path / "d.txt").write_bytes(D.encode("big5"))
    return path


def run_json(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((path / "run.json").read_bytes())
    return read


# One encoding for one file.


@pytest.mark.parametrize("name", ["d.txt", "mix/d.txt", "./mix/d.txt"])
def test_an_encoding_can_be_told_for_one_file(mixed: Path, name: str) -> None:
    corpus = read_corpus(["mix"], encoding={name: "cp950"})
    assert [source.encoding for source in corpus.sources] == ["gb18030", "utf-8", "cp950"]
    assert corpus.text == f"{A}\n{A}\n{D}"
    assert corpus.sources[2].guess is None


def test_an_encoding_for_all_others_goes_with_it(mixed: Path) -> None:
    (mixed / "b.txt").unlink()
    corpus = read_corpus(["mix"], encoding={"d.txt": "big5", "*": "gbk"})
    assert [source.encoding for source in corpus.sources] == ["gbk", "big5"]


def test_the_longest_name_that_means_a_file_counts() -> None:
    told = Encodings.of({"d.txt": "big5", "mix/d.txt": "cp950"})
    assert told.of_file("songs/mix/d.txt") == ("mix/d.txt", "cp950")
    assert told.of_file("songs/d.txt") == ("d.txt", "big5")
    assert told.of_file("songs/ad.txt") == (None, None)


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ({"e.txt": "big5"}, r"^encoding names e\.txt, and no file of the corpus is called so: "),
        ({"d.txt": "big6"}, r"^There is no encoding called 'big6'"),
        ({"a.txt": "big5", "*": "nonsense"}, r"^There is no encoding called 'nonsense'"),
    ],
)
@pytest.mark.usefixtures("mixed")
def test_a_name_that_means_no_file_and_an_encoding_that_is_none_are_told(
    encoding: Mapping[str, str], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(["mix"], encoding=encoding)


def test_the_command_line_takes_both_and_a_resume_needs_neither(
    mixed: Path, tmp_path: Path, charlstm: Charlstm
) -> None:
    told = ("--encoding", "gb18030", "--encoding", "d.txt=cp950", "--encoding", "b.txt=utf-8")
    began = charlstm("train", "mix", *told, *OPTIONS)
    assert began.code == 0, began.stderr
    for line in ("mix/a.txt (gb18030)", "mix/b.txt (utf-8)", "mix/d.txt (cp950)"):
        assert line in began.stderr
    said = run_json(tmp_path / "checkpoints" / "mix")["corpus"]
    assert said["encoding"] == "gb18030"
    assert [source["encoding"] for source in said["sources"]] == ["gb18030", "utf-8", "cp950"]
    resumed = charlstm("train", "--resume", "--steps", "3", "--threads", "1")
    assert resumed.code == 0, resumed.stderr
    assert "mix/d.txt (cp950)" in resumed.stderr
    twice = charlstm("train", "mix", "--encoding", "a.txt=gbk", "--encoding", "a.txt=big5")
    assert twice.code == 2
    assert "given twice for a.txt" in twice.stderr


def test_a_text_is_measured_with_an_encoding_for_one_file(mixed: Path) -> None:
    model = charlstm.train("mix", root="checkpoints", steps=2, **TINY)
    assert model.read(["mix"], encoding={"d.txt": "cp950"}) == f"{A}\n{A}\n{D}"


# What was guessed.


def test_a_guess_is_shown_with_a_line_and_what_is_certain_as_before(
    mixed: Path, charlstm: Charlstm
) -> None:
    began = charlstm("train", "mix", *OPTIONS)
    lines = began.stderr.splitlines()
    assert lines[0].startswith("text: mix/a.txt (gb18030, guessed: 99% sure, else ")
    assert lines[1] == "  read as: 雨停在车站的屋檐下"
    assert lines[2] == "mix/b.txt (utf-8)"
    assert lines[3].startswith("mix/d.txt (big5, guessed: ")
    assert lines[4] == "  read as: 雨停在車站的屋簷下"


def test_of_many_files_those_that_were_guessed_are_shown(mixed: Path, charlstm: Charlstm) -> None:
    for place in range(9):
        (mixed / f"b{place}.txt").write_bytes(A.encode("utf-8"))
        (mixed / f"e{place}.txt").write_bytes(D.encode("big5"))
    began = charlstm("train", "mix", *OPTIONS)
    shown = began.stderr.partition("characters:")[0]
    assert shown.count("guessed: ") == 4
    assert "… and 17 more, 7 of them guessed as well" in shown


def test_a_resumed_run_reads_its_text_as_it_did_whatever_is_guessed_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "song.txt"
    path.write_bytes("źródło bije pod mostem\n".encode("cp1250") * 20)
    root = tmp_path / "checkpoints"
    # As a version did that took it for Western text.
    charlstm.train(path, root=root, steps=2, encoding="cp1252", **TINY)
    kept = root / "song" / "run.json"
    said = json.loads(kept.read_bytes())
    said["corpus"]["encoding"] = None
    kept.write_text(json.dumps(said), encoding="utf-8")
    assert charlstm.resume(root=root, steps=3).info.sources[0].encoding == "cp1252"


# Between two songs.


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n", "\r", "\r\n\r\n"])
@pytest.mark.parametrize("begin", ["", "\n"])
def test_an_empty_line_stands_between_two_songs_however_they_end(
    tmp_path: Path, end: str, begin: str
) -> None:
    for place in range(3):
        text = f"{begin}Title {place}\nla la{end}"
        (tmp_path / f"{place}.txt").write_text(text, encoding="utf-8", newline="")
    lines = read_corpus([tmp_path]).text.split("\n")
    for place in (1, 2):
        title = lines.index(f"Title {place}")
        assert lines[title - 1] == ""
        assert lines[title - 2 - bool(begin)] in ("la la", "")
    assert lines.count("la la") == 3


def test_line_breaks_that_become_spaces_stay_single(tmp_path: Path) -> None:
    for place in range(2):
        (tmp_path / f"{place}.txt").write_text("la\n", encoding="utf-8")
    options = charlstm.Recipe("auto").override(newline="space").text
    assert read_corpus([tmp_path], options=options).text == "la la "


def test_a_run_of_the_time_before_is_resumed_with_its_songs_joined(tmp_path: Path) -> None:
    root, songs = tmp_path / "checkpoints", tmp_path / "songs"
    songs.mkdir()
    (songs / "all.txt").write_text("la la li\n" * 40, encoding="utf-8")
    run = charlstm.train(songs, root=root, steps=2, name="old", **TINY)
    assert run.info.apart
    # As an older version would have it: two files, joined to the same text, and no field.
    for place in range(2):
        (songs / f"{place}.txt").write_text("la la li\n" * 20, encoding="utf-8")
    (songs / "all.txt").unlink()
    with pytest.raises(CorpusError, match="is not the one"):
        charlstm.resume(root=root, steps=3)
    kept = root / "old" / "run.json"
    said = json.loads(kept.read_bytes())
    del said["corpus"]["apart"]
    said["format"] = 2
    kept.write_text(json.dumps(said), encoding="utf-8")
    resumed = charlstm.resume(root=root, steps=3)
    assert resumed.info.last is not None
    assert resumed.info.last.step == 3
    assert not resumed.info.apart
    assert run_json(root / "old")["corpus"]["apart"] is False


def test_whatever_else_reads_a_text_says_what_it_guessed(
    mixed: Path, charlstm: Charlstm, tmp_path: Path
) -> None:
    assert charlstm("train", "mix", *OPTIONS).code == 0
    for command in (("eval", "perplexity"), ("eval", "novelty")):
        result = charlstm(*command, "mix/d.txt")
        assert "mix/d.txt (big5, guessed: " in result.stderr
        assert "read as: 雨停在車站的屋簷下" in result.stderr
        assert "guessed" not in charlstm(*command, "mix/b.txt").stderr
    compared = charlstm(
        "compare", "mix", "--cells", "rnn,gru", "--vary", "hidden=4", "--epochs", "1"
    )
    assert compared.stderr.count("mix/d.txt (big5, guessed: ") == 1
    lines = tmp_path / "lines.txt"
    lines.write_bytes("雨停\n站的\n".encode("gb18030"))
    written = charlstm("generate", "--prefix-file", "lines.txt", "--length", "3")
    assert "lines.txt is read as gb18030, guessed, " in written.stderr
