import errno
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from trainings import resume_session, start_session

from charlstm.errors import CharLSTMError, CorpusError
from charlstm.text import corpus, mapped
from charlstm.text.corpus import Alphabet, Corpus, TextOptions
from charlstm.text.mapped import open_corpus
from charlstm.text.reading import read_corpus
from charlstm.text.vocabulary import Tokens, Vocabulary

SONG = "夜里的街灯还亮着，我一个人走在回家的路上。\r\nLa la e\u0301 😀\r" * 3


@pytest.fixture(autouse=True)
def _everything_is_too_long_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", 0)


@pytest.fixture
def song_file(tmp_path: Path) -> Path:
    path = tmp_path / "song.txt"
    path.write_bytes(SONG.encode())
    return path


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / ".charlstm-cache"


class Reader:
    """Opens texts, and knows whether they were decoded for it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.decoded = False

    def __call__(
        self, *paths: Path, encoding: str | None = None, **options: Any
    ) -> tuple[Corpus, bool]:
        self.decoded = False
        read = open_corpus(
            paths,
            cache=self.where,
            options=TextOptions(**options),
            encoding=encoding,
            on_read=self._hear,
        )
        return read, self.decoded

    def _hear(self, _done: int, _total: int) -> None:
        self.decoded = True


@pytest.fixture
def reader(where: Path) -> Reader:
    return Reader(where)


def kept(where: Path) -> list[str]:
    return sorted(path.suffix for path in where.iterdir() if path.name != ".lock")


def one(where: Path, kind: str) -> Path:
    (path,) = where.glob(f"*{kind}")
    return path


def everything(read: Corpus) -> dict[str, Any]:
    return {
        "text": read.text,
        "pieces": list(read.pieces(1, 9)),
        "counts": read.counts(),
        "part": read.counts(2, 5),
        "sha256": read.sha256,
        "sources": read.sources,
        "options": read.options,
        "size": read.size,
        "length": len(read),
        "lines": read.lines,
        "changed": read.changed,
    }


# What is kept is what was read.


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.text("ae\u0301\u0323분ᄒ\u1161分😀\r\n\u2028\xa0\u200b ", max_size=30),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["keep", "space"]),
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(1, 5),
)
def test_a_text_in_a_file_is_the_one_in_memory(
    texts: list[str], normalize: bool, tidy: bool, newline: str, limit: int | None, piece: int
) -> None:
    options = TextOptions(normalize, newline, limit, tidy=tidy)
    with tempfile.TemporaryDirectory() as below, pytest.MonkeyPatch.context() as patch:
        paths = [Path(below, f"{place}.txt") for place in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(("ab" + text).encode())
        in_memory = read_corpus(paths, options=options)
        patch.setattr(corpus, "_PIECE", piece)
        patch.setattr(mapped, "_PIECE", piece)
        for _ in range(2):
            in_file = open_corpus(paths, cache=Path(below, "cache"), options=options)
            assert everything(in_file) == everything(in_memory)
            assert (in_file.memory_bytes, in_file.file_bytes) == (0, 2 * len(in_memory))
            assert in_file.counts() == Counter(in_file.text)
        del in_file


def test_a_short_text_stays_in_memory(
    reader: Reader, song_file: Path, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", len(SONG.encode()))
    read, _ = reader(song_file)
    assert (read.memory_bytes, read.file_bytes) == (2 * len(read), 0)
    assert not where.exists()
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", len(SONG.encode()) - 1)
    assert reader(song_file)[0].file_bytes == 2 * len(read)


def test_a_text_of_more_characters_than_two_bytes_can_number_is_kept_whole(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.text.locations.PIECE", 100_000)  # it is noticed after some pieces
    path = tmp_path / "song.txt"
    path.write_bytes("".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x1_2000)])).encode())
    in_memory = read_corpus([path])
    for decoded in (True, False):
        read, was_decoded = reader(path)
        assert was_decoded == decoded
        assert read.ids.dtype == np.uint32
        assert read.text == in_memory.text
        assert read.sha256 == in_memory.sha256
        assert read.sources == in_memory.sources


# It is found again.


def test_a_text_that_was_read_before_is_not_decoded_again(
    reader: Reader, song_file: Path, where: Path
) -> None:
    first, decoded = reader(song_file)
    assert decoded
    assert kept(where) == [".ids", ".json"]
    second, decoded = reader(song_file)
    assert not decoded
    assert everything(second) == everything(first)


def test_a_text_is_known_by_its_bytes_and_shown_by_its_name(
    reader: Reader, song_file: Path
) -> None:
    reader(song_file)
    other = song_file.rename(song_file.with_name("other.txt"))
    read, decoded = reader(other)
    assert not decoded
    assert [source.name for source in read.sources] == [str(other)]
    other.write_bytes(SONG.encode().replace(b"a", b"e", 1))
    read, decoded = reader(other)
    assert decoded
    assert read.text == TextOptions().apply(SONG.replace("a", "e", 1))


@pytest.mark.parametrize(
    "options",
    [{"limit": 5}, {"limit": 6}, {"newline": "space"}, {"normalize": False}, {"encoding": "cp437"}],
)
def test_another_form_of_a_text_is_another_text(
    reader: Reader, song_file: Path, options: dict[str, Any]
) -> None:
    reader(song_file)
    reader(song_file, limit=7)
    read, decoded = reader(song_file, **options)
    assert decoded
    encoding = options.pop("encoding", None)
    expected = read_corpus([song_file], options=TextOptions(**options), encoding=encoding)
    assert everything(read) == everything(expected)
    assert not reader(song_file, limit=7)[1]


def test_the_order_of_files_matters(reader: Reader, song_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("la la\n")
    assert [reader(*paths)[1] for paths in ((song_file, other), (other, song_file))] == [True] * 2
    assert reader(other, song_file)[0].text == read_corpus([other, song_file]).text
    # Nor are two files the one that has the text of both.
    both = tmp_path / "both.txt"
    both.write_bytes(b"la la\n" + SONG.encode())
    assert reader(both)[1]


# It is damaged.


def damage_ids(data: bytes) -> Iterator[bytes]:
    yield from (b"", data[:-1], data[:-2], data + b"\0\0", bytes(len(data)), b"\xff" * len(data))
    for at in (0, 1, len(data) // 2, len(data) - 1):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    yield np.frombuffer(data, "<u2").astype("<u4").tobytes()


def damage_json(data: bytes) -> Iterator[bytes]:
    value, checksum = json.loads(data)
    yield from (
        b"",
        data[:-1],
        data[:50],
        b"[" * 100_000,
        b"\xff",
        b"{}",
        b"[]",
        b"null",
        b"[1, 2]",
    )
    yield json.dumps([value, checksum ^ 1]).encode()
    yield json.dumps([value, None]).encode()
    odd: Any
    for name in value:
        for odd in (
            None,
            0,
            -1,
            1.5,
            True,
            "",
            "<u2",
            "<u4",
            "xyz",
            [],
            [1, 2],
            ["a"],
            {},
            1 << 99,
        ):
            if value[name] != odd:
                yield json.dumps([{**value, name: odd}, checksum]).encode()
        without = {key: kept for key, kept in value.items() if key != name}
        yield json.dumps([without, checksum]).encode()
        yield json.dumps(
            [without, zlib.crc32(json.dumps(without, sort_keys=True).encode())]
        ).encode()


@pytest.mark.parametrize(("kind", "damage"), [(".ids", damage_ids), (".json", damage_json)])
def test_what_is_damaged_is_made_anew(
    reader: Reader, song_file: Path, where: Path, kind: str, damage: Any
) -> None:
    first = everything(reader(song_file)[0])
    path = one(where, kind)
    sound = path.read_bytes()
    for data in damage(sound):
        assert data != sound
        path.write_bytes(data)
        read, decoded = reader(song_file)
        assert decoded, data[:200]
        assert everything(read) == first
        assert path.read_bytes() == sound
        assert not reader(song_file)[1]


@pytest.mark.parametrize("kind", [".ids", ".json"])
def test_one_file_without_the_other_is_made_anew(
    reader: Reader, song_file: Path, where: Path, kind: str
) -> None:
    first = everything(reader(song_file)[0])
    one(where, kind).unlink()
    read, decoded = reader(song_file)
    assert decoded
    assert everything(read) == first
    assert kept(where) == [".ids", ".json"]


def test_what_a_process_left_half_done_goes_away(
    reader: Reader, song_file: Path, where: Path
) -> None:
    where.mkdir(parents=True)
    (where / "0.part").write_bytes(b"half")
    (where / ".0.json.part").write_bytes(b"half")
    assert reader(song_file)[0].text == TextOptions().apply(SONG)
    assert kept(where) == [".ids", ".json"]


# It cannot be kept.


@pytest.mark.parametrize("place", [".", "checkpoints", "checkpoints/.charlstm-cache"])
def test_a_directory_that_cannot_be_made_is_an_error(
    reader: Reader, song_file: Path, where: Path, tmp_path: Path, place: str
) -> None:
    if place == ".":
        reader.where = where = song_file / "checkpoints" / ".charlstm-cache"
    else:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("a file")
    with pytest.raises(CorpusError) as caught:
        reader(song_file)
    reason = "File exists" if place == "checkpoints/.charlstm-cache" else "Not a directory"
    assert str(caught.value) == (
        f"The ids of the text cannot be kept in {where}: {reason}. They take two or four bytes a "
        "character."
    )


def test_a_lock_that_cannot_be_taken_is_an_error(
    reader: Reader, song_file: Path, where: Path
) -> None:
    (where / ".lock").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"cannot be kept in .*: Is a directory\."):
        reader(song_file)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_text_that_has_no_room_is_an_error_and_takes_none(
    reader: Reader, where: Path, tmp_path: Path
) -> None:
    (tmp_path / "few.txt").write_bytes(SONG.encode() * 99)  # the ids take more room
    (tmp_path / "many.txt").write_bytes("".join(map(chr, range(0x4E00, 0x5200))).encode())
    for name, kind in (("few", ".ids"), ("many", ".json")):
        path = tmp_path / f"{name}.txt"
        reader(path)
        needed = one(where, kind).stat().st_size
        for file in where.glob("*.*"):
            file.unlink()
        for room in (0, 1, needed // 2, needed - 1):
            with largest_file(room), pytest.raises(CharLSTMError, match="File too large"):
                reader(path)
            assert kept(where) == []
        with largest_file(needed):
            assert reader(path)[0].text == read_corpus([path]).text
        for file in where.glob("*.*"):
            file.unlink()


@pytest.mark.parametrize(("call", "number"), [("fsync", 1), ("replace", 1), ("replace", 2)])
def test_a_disk_that_is_full_is_an_error_wherever_that_is_noticed(
    reader: Reader, song_file: Path, where: Path, call: str, number: int
) -> None:
    calls = 0
    real = getattr(os, call)

    def full(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(CharLSTMError, match="No space left on device"):
            reader(song_file)
    assert kept(where) == []
    assert [reader(song_file)[1] for _ in range(2)] == [True, False]


def test_a_text_that_is_refused_leaves_nothing(reader: Reader, tmp_path: Path, where: Path) -> None:
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\0\xd8")
    with pytest.raises(CorpusError, match="cannot be decoded as utf-16"):
        reader(tmp_path / "a.txt", tmp_path / "b.txt")
    assert kept(where) == []
    (tmp_path / "c.txt").write_text("")
    with pytest.raises(CorpusError, match=r"There is no text"):
        reader(tmp_path / "c.txt")
    assert kept(where) == []


# Several processes.

# What dies at every call that matters, before it and after it, and what is found after that; then
# many at once, of which one reads the text and the others wait.
PROGRAM = """if True:
    import os, signal, sys, zlib
    from pathlib import Path
    from charlstm.text import mapped
    from charlstm.text import locations, reading
    from charlstm.text.corpus import TextOptions

    mapped.LONGEST_IN_MEMORY = 0
    locations.PIECE = 50
    reading._TOGETHER = 1

    def opened(where):
        read = mapped.open_corpus([sys.argv[1]], cache=Path(where), options=TextOptions())
        return read.sha256

    def deadly(call, moment):
        def die(*arguments, **options):
            global calls
            calls += 1
            if calls == place and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **options)
            if calls == place:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return die

    whole = opened("whole")
    for moment in ("before", "after"):
        for place in range(1, 50):
            where = f"{moment}-{place}"
            pid = os.fork()
            if not pid:
                calls = 0
                zlib.crc32 = deadly(zlib.crc32, moment)
                for name in ("fsync", "replace", "unlink"):
                    setattr(os, name, deadly(getattr(os, name), moment))
                opened(where)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert opened(where) == whole
            assert sorted(path.suffix for path in Path(where).glob("*.*")) == ["", ".ids", ".json"]
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
        print(place)

    begin, go = os.pipe()
    pids = []
    for _ in range(4):
        pids.append(os.fork())
        if not pids[-1]:
            os.read(begin, 1)
            real, decoded = mapped._make, []
            mapped._make = lambda *arguments: decoded.append(1) or real(*arguments)
            os._exit(10 * (opened("shared") != whole) + len(decoded))
    os.write(go, b"go!!")
    print(sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids))
"""


def test_a_process_that_is_killed_and_many_at_once_leave_the_text_whole(
    song_file: Path, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, song_file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    before, after, shared = ended.stdout.splitlines()
    assert min(int(before), int(after)) > 8
    assert shared == "[0, 0, 0, 1]"


# Its memory can be given back.


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="there is no such call")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nobody tells")
def test_what_was_looked_at_of_a_text_in_a_file_is_let_go(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    path = tmp_path / "long.ids"
    size = 1 << 26
    np.arange(size // 2, dtype="<u2").tofile(path)
    ids, memory = mapped._map(path, "<u2")
    read = Corpus(ids, Alphabet("a"), (), TextOptions(), "", memory)
    before = resident()
    total = int(ids.sum(dtype=np.int64))
    looked_at = resident()
    assert looked_at - before > 0.9 * size
    read.release()
    assert looked_at - resident() > 0.9 * size
    assert int(ids.sum(dtype=np.int64)) == total
    in_memory = Corpus(ids[:9].copy(), Alphabet("a"), (), TextOptions(), "")
    in_memory.release()
    assert in_memory.ids.tolist() == list(range(9))


# Who learns from it learns the same.


def learned(directory: Path) -> dict[str, bytes]:
    """Return all tensors of a run, the optimiser's included, and what it held out."""
    tensors = {
        f"{name}: {key}": array.tobytes()
        for name in ("model.safetensors", "resume.safetensors")
        for key, array in load_file(directory / name).items()
        if key != "log"  # which has the seconds
    }
    return tensors | {"held out": (directory / "heldout.txt").read_bytes()}


@pytest.mark.parametrize("sampling", ["consecutive", "random"])
def test_a_training_from_a_file_is_that_from_memory_also_when_it_is_resumed(
    tmp_path: Path, song: str, monkeypatch: pytest.MonkeyPatch, sampling: str
) -> None:
    path = tmp_path / "song.txt"
    path.write_text(song, encoding="utf-8")
    found = {}
    for name, longest in (("memory", 1 << 20), ("file", 0), ("resumed", 0)):
        monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", longest)
        settings: dict[str, Any] = {
            "hidden": 8,
            "embedding": 4,
            "batch": 4,
            "window": 16,
            "epochs": 2,
        }
        settings |= {"sampling": sampling, "precision": "float32", "min_count": 2}
        session = start_session(
            [path], settings=settings, name=name, root=tmp_path, device="cpu", sample_every=0
        )
        assert session.plan.corpus.file_bytes == (0 if longest else 2 * len(song))
        if name == "resumed":
            for event, _ in zip(session.events(), range(7), strict=False):
                assert event
                session.stop()
            session = resume_session(name, root=tmp_path, device="cpu")
            assert 0 < (session.plan.resumed_step or 0) < session.plan.total_steps
            assert session.plan.corpus.file_bytes
        list(session.events())
        # Where the text is read again it is found.
        assert len(list((tmp_path / mapped.DIRECTORY).glob("*.ids"))) == (not longest)
        found[name] = learned(tmp_path / name)
    assert found["file"] == found["memory"]
    assert found["resumed"] == found["memory"]


def test_batches_of_a_text_in_a_file_are_those_of_one_in_memory(
    reader: Reader, song_file: Path
) -> None:
    from charlstm.training.batches import Windows

    in_file, in_memory = reader(song_file)[0], read_corpus([song_file])
    vocabulary = Vocabulary.build(in_memory.counts())
    assert vocabulary == Vocabulary.build(in_memory.text)
    for sampling in ("consecutive", "random"):
        texts = (
            Tokens(in_file, vocabulary, 3, 90),
            Tokens(in_memory, vocabulary, 3, 90),
            vocabulary.encode(in_memory.text[3:90]),
        )
        for number in range(2):
            first, *others = (
                [
                    torch.cat((window.inputs, window.targets[-1:]))
                    for window in Windows(ids, batch=3, window=7, sampling=sampling, seed=1).epoch(
                        number
                    )
                ]
                for ids in texts
            )
            for other in others:
                assert all(map(torch.equal, first, other))
                assert len(first) == len(other)
