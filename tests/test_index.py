import bz2
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import Charlstm

from charlstm.api import load, train
from charlstm.cli.tables import told_size
from charlstm.errors import RunError

LYRICS = "".join(
    f"分开的第{day}天 我在{place}等你\r\n不分开 我们说好不分开😀\r\n雨停了 {place}很安静\r\n\r\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)
SMALL = (
    *("--hidden", "16", "--embedding", "6", "--batch", "8", "--window", "16"),
    *("--steps", "2", "--threads", "1"),
)
INDEX = "training.txt.bz2"


def learned() -> str:
    """Return the part of the text that is learned from, as the model reads it."""
    text = LYRICS.replace("\r\n", "\n")
    return text[: len(text) - int(len(text) * 0.2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("index")
    (where / "song.txt").write_bytes(LYRICS.encode("gb18030"))
    train(
        where / "song.txt",
        root=where / "checkpoints",
        steps=2,
        hidden=16,
        embedding=6,
        batch=8,
        window=16,
        validation=0.2,
        encoding="gb18030",
        threads=1,
    )
    return where


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(trained, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_training_leaves_the_text_that_it_learned_from_and_no_more(trained: Path) -> None:
    packed = (trained / "checkpoints" / "song" / INDEX).read_bytes()
    text = bz2.decompress(packed).decode()
    assert text == learned()
    run = load("song", root=trained / "checkpoints")
    assert run.learned.is_kept
    assert run.directory.read_index(run.info) == text
    assert text + run.held_out() == LYRICS.replace("\r\n", "\n")
    found = run.novelty(text[100:200] + "Ω" + run.held_out()[-30:]).longest
    assert found is not None
    assert (found.text, found.place) == (text[100:200], text.index(text[100:200]))
    # It is not as large as the text.
    assert len(packed) < len(text.encode()) / 2


def test_the_plan_tells_its_size_and_what_it_took(charlstm: Charlstm, place: Path) -> None:
    result = charlstm("train", "song.txt", "--name", "other", *SMALL)
    assert result.code == 0, result.stderr
    size = (place / "checkpoints" / "other" / INDEX).stat().st_size
    told = (
        rf"^index: +{told_size(size)}, made in (under )?\d+\.\d seconds, to tell what is copied; "
        "--no-index"
    )
    assert re.search(told, result.stderr, re.M)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(65, "1 kB"), (31_499, "31 kB"), (99_499, "99 kB"), (100_000, "0.10 MB"), (7e6, "7.00 MB")],
)
def test_a_small_index_is_told_in_kilobytes(size: int, shown: str) -> None:
    assert told_size(size) == shown


def test_without_an_index_nothing_is_left_and_nothing_said(charlstm: Charlstm, place: Path) -> None:
    result = charlstm("train", "song.txt", "--name", "other", "--no-index", *SMALL)
    assert result.code == 0, result.stderr
    (told,) = (line for line in result.stderr.splitlines() if "index" in line)
    alone = "the song so far alone, because --no-index leaves out the grams of the text"
    assert told.startswith(f"recall: 0.4: {alone}; ")
    assert not (place / "checkpoints" / "other" / "recall.safetensors").exists()
    assert not (place / "checkpoints" / "other" / INDEX).exists()
    assert not load("other").learned.is_kept
    with pytest.raises(RunError, match=r"keeps no index of its training text .*index=False\.$"):
        load("other").novelty("分开")
    measured = charlstm("eval", "perplexity").stdout
    assert "+ song so far" in measured
    assert not re.search(r"\+ training text|5-gram  ", measured)
    assert "The run keeps no training text, so there is no 5-gram to compare with.\n" in measured
    written = charlstm("generate", "--length", "9")
    assert (written.code, len(written.stdout)) == (0, 9 + len("\n"))
    assert re.fullmatch(
        r"run other, seed \d+; copies were not looked for: the run keeps no index\n",
        written.stderr,
    )


def test_a_resume_keeps_the_index_and_cannot_leave_it_out(charlstm: Charlstm, place: Path) -> None:
    before = (place / "checkpoints" / "song" / INDEX).read_bytes()
    refused = charlstm("train", "--resume", "--no-index")
    assert refused.code == 2
    message = " ".join(re.sub(r"\x1b\[[\d;]*m|[│|]", "", refused.stderr).split())
    assert "--no-index cannot change when a run is resumed; leave it out." in message
    resumed = charlstm("train", "--resume", "--steps", "4", "--threads", "1")
    assert resumed.code == 0, resumed.stderr
    assert (place / "checkpoints" / "song" / INDEX).read_bytes() == before
    assert not re.search("^index:", resumed.stderr, re.M)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda packed: b"",
    "cut": lambda packed: packed[:-1],
    "cut at half": lambda packed: packed[: len(packed) // 2],
    "a bit": lambda packed: packed[:200] + bytes([packed[200] ^ 1]) + packed[201:],
    "not packed": lambda packed: bz2.decompress(packed),
    "shorter": lambda packed: bz2.compress(learned()[:-1].encode()),
    "longer": lambda packed: bz2.compress((learned() + "开").encode()),
    "not UTF-8": lambda packed: bz2.compress(learned().encode("gb18030")),
    "another text": lambda packed: bz2.compress(("Ω" * len(learned())).encode()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_that_is_not_that_of_the_run_is_refused(damage: str, place: Path) -> None:
    path = place / "checkpoints" / "song" / INDEX
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    run = load("song", root=place / "checkpoints")
    with pytest.raises(RunError) as caught:
        _ = run.learned.text
    assert str(caught.value) == (
        f"{path} is damaged: it does not hold the text that the run learned from. Without the "
        "file the run works like one made with index=False."
    )


def test_an_index_that_unpacks_to_much_more_is_not_unpacked(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "checkpoints" / "song" / INDEX
    # 6 kilobytes that stand for 8 megabytes.
    path.write_bytes(bz2.compress(b"\n" * 8_000_000))
    run = load("song", root=place / "checkpoints")
    unpacked: list[int] = []
    reader = bz2.BZ2Decompressor()

    class Watched:
        def decompress(self, data: bytes, max_length: int = -1) -> bytes:
            found = reader.decompress(data, max_length)
            unpacked.append(len(found))
            return found

        @property
        def eof(self) -> bool:
            return reader.eof

    monkeypatch.setattr("charlstm.files.bz2.BZ2Decompressor", Watched)
    with pytest.raises(RunError, match=r"training\.txt\.bz2 is damaged"):
        _ = run.learned.text
    assert 0 < sum(unpacked) <= 4 * len(learned()) + 1


def test_a_damaged_index_is_one_sentence_and_without_it_the_run_works(
    charlstm: Charlstm, place: Path
) -> None:
    path = place / "checkpoints" / "song" / INDEX
    path.write_bytes(b"BZh9")
    for arguments in (("generate", "--length", "5", "--max-copy", "4"), ("eval", "novelty")):
        result = charlstm(*arguments)
        assert (result.code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: checkpoints/song/{INDEX} is damaged: ")
        assert result.stderr.count("\n") == 1
    path.unlink()
    assert charlstm("generate", "--length", "5").code == 0
