"""Whatever is named as a corpus is read whole or refused with one sentence."""

import re
import sys
import tempfile
from pathlib import Path

import pytest
from faults.cases import Outcome
from faults.fuzz_corpora import AROUND, INSIDE, SONGS, case
from faults.patience import HANGS_AFTER
from hypothesis import given, settings
from hypothesis import strategies as st

import charlstm
from charlstm.errors import CorpusError
from charlstm.text.encodings import decode
from charlstm.text.reading import read_corpus

CODECS = ("utf-8", "utf-8-sig", "utf-16", "gb18030", "utf-16-le", "utf-16-be", "big5", "cp1252")
MARKS = {"utf-8-sig": b"\xef\xbb\xbf", "gb18030": b"\x84\x31\x95\x33"}
DAMAGE = (
    *(
        b"\xff",
        b"\0",
        b"\x80",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xe5\x88",
        b"\x81",
        b"\xd8\0",
        b"\r",
    ),
    *(b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\x84\x31\x95\x33", b"\xf4\x90\x80\x80"),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return lines in a real encoding, changed in some places."""
    song = draw(st.sampled_from(SONGS)) + draw(st.text(max_size=9))
    data = song.encode(draw(st.sampled_from(CODECS)), "ignore")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.one_of(st.sampled_from(DAMAGE), st.binary(max_size=3)))
        data = data[:at] + new + data[at + draw(st.integers(0, 3)) :]
    return data


def encoded(text: str, codec: str, data: bytes) -> bytes:
    """Return the text as bytes again, with a mark where `data` begins with one."""
    if codec == "utf-16":
        return data[:2] + text.encode("utf-16-le" if data[0] == 0xFF else "utf-16-be")
    mark = MARKS.get(codec, b"")
    return mark * data.startswith(mark) + text.encode(codec.removesuffix("-sig"))


def read(data: bytes, name: str, encoding: str | None = None) -> tuple[str, str] | str:
    """Return a text and its encoding, or the sentence that refuses it."""
    try:
        return decode(data, name=name, encoding=encoding)
    except CorpusError as error:
        return str(error)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=80), mutated()))
def test_bytes_are_a_text_that_has_lost_nothing_or_are_refused_with_one_sentence(
    data: bytes,
) -> None:
    with tempfile.TemporaryDirectory() as where:
        path = Path(where, "song.txt")
        path.write_bytes(data)
        found = read(data, str(path))
        if isinstance(found, str):
            assert found.startswith(str(path))
            assert found.splitlines() == [found]
            told = f"^{re.escape(found)}$"
            if data.startswith(b"\x1f\x8b"):  # of a file, what is packed in it counts
                told = f"^{re.escape(str(path))} "
            with pytest.raises(CorpusError, match=told):
                read_corpus([path])
            return
        text, codec = found
        if codec in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
            assert encoded(text, codec, data) == data
        if text:
            (source,) = read_corpus([path]).sources
            assert (source.encoding, source.characters) == (codec, len(text))


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(st.binary(max_size=40), mutated()), st.sampled_from(["utf-8", "gb18030", "utf-16-le"])
)
def test_bytes_in_an_encoding_that_was_told_have_lost_nothing_or_are_refused(
    data: bytes, codec: str
) -> None:
    found = read(data, "song.txt", codec)
    if isinstance(found, str):
        assert found.startswith(f"song.txt cannot be decoded as {codec}: byte 0x")
        with pytest.raises(UnicodeDecodeError):
            data.decode(codec)
        return
    mark = "\ufeff".encode(codec)
    assert found[0] == data.decode(codec).removeprefix("\ufeff")
    assert mark * data.startswith(mark) + found[0].encode(codec) == data


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that can be measured on anything."""
    where = tmp_path_factory.mktemp("known")
    (where / "song.txt").write_text("".join(SONGS), encoding="utf-8")
    trained = charlstm.train(where / "song.txt", root=where, steps=2, hidden=4, backend="torch")
    return trained.directory.path


@pytest.mark.skipif(sys.platform != "linux", reason="its files are strange in the way of Linux")
def test_forty_strange_corpora_work_or_are_refused(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.sessions.session.draw_curve", lambda *_: b"<svg/>")
    tried: list[Outcome] = []
    for number in range(40):
        tried.append(case(0, known, number, tmp_path, seconds=HANGS_AFTER))
        assert not tried[-1].offences, number
    assert len({outcome.kind for outcome in tried}) > 8
    assert any("train" in done for outcome in tried for done in outcome.worked)
    assert sum(bool(outcome.refused) for outcome in tried) > 10


def test_a_case_is_the_same_every_time(known: Path, tmp_path: Path) -> None:
    outcomes = [case(5, known, 3, tmp_path, seconds=HANGS_AFTER) for _ in range(2)]
    assert outcomes[0].kind == outcomes[1].kind
    assert outcomes[0].refused == outcomes[1].refused
    assert outcomes[0].kind in {**INSIDE, **AROUND}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["a\n", "ab\n", "哈哈哈哈\n"])
def test_one_line_again_and_again_is_learned_and_written(tmp_path: Path, line: str) -> None:
    # Half a line comes again at once there: that must not end the training that shows a sample.
    file = tmp_path / "lines.txt"
    file.write_text(line * 300, encoding="utf-8")
    model = charlstm.train(file, root=tmp_path / "runs", epochs=2, hidden=8, embedding=0)
    assert len(model.generate(length=100, seed=1)) == 100
