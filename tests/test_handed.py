"""Text that a program hands over itself, instead of naming files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Charlstm

import charlstm
from charlstm.errors import CorpusError
from charlstm.text.handed import check_places, handed_over
from charlstm.text.reading import read_corpus

SMALL: dict[str, Any] = {"hidden": 16, "embedding": 6, "batch": 4, "window": 16, "threads": 1}


def bytes_of(text: Any) -> bytes:
    return b"".join(handed_over(text).pieces())


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("分开\n不分开", "分开\n不分开"),
        (["分开\n不分开\n", "\n离开\r\n\r\n", "留下"], "分开\n不分开\ufdd0离开\ufdd0留下\n"),
        (("one", " \n", "two"), "one\ufdd0two\n"),
        ((f"song {k}" for k in (1, 2)), "song 1\ufdd0song 2\n"),
        ([], ""),
    ],
)
def test_songs_are_told_apart_and_a_text_stays_as_it_is(text: Any, whole: str) -> None:
    assert bytes_of(text) == whole.encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"song", "must be a string, not bytes: decode it first"),
        (io.StringIO("a\nb"), "must be a string, not an open file: read it first"),
        (Path("song.txt"), "must be a string or a list of them, not "),
        (7, "must be a string or a list of them, not 7."),
        (["one", 2], "A list of songs must hold strings, or mappings with a text, not 2."),
        ("la\ud800", "what stands at place 2 is half of one: U+D800."),
    ],
)
def test_what_is_no_text_is_refused(text: Any, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        handed_over(text)
    assert message in str(caught.value)


def test_nothing_in_memory_is_refused_like_an_empty_file(root: Path) -> None:
    for nothing in ("", [], [" ", "\n"]):
        with pytest.raises(CorpusError, match=r"^There is no text in memory: the corpus is empty"):
            charlstm.train(text=nothing, root=root)
    assert not root.exists()


def test_a_text_in_memory_is_learned_like_the_same_text_in_a_file(
    corpus: Path, root: Path, song: str
) -> None:
    settings = {**SMALL, "steps": 8, "precision": "float32"}
    handed = charlstm.train(text=song, root=root, **settings)
    named = charlstm.train(corpus, root=root, **settings)
    assert handed.directory.name == "text"
    (source,) = handed.info.sources
    assert (source.name, source.encoding, source.characters) == ("memory", "utf-8", len(song))
    assert handed.info.places == ()
    assert handed.info.corpus_sha256 == named.info.corpus_sha256
    weights, others = (one.directory.read_model(one.info) for one in (handed, named))
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


def test_a_run_from_memory_says_that_its_text_must_be_handed_over_again(
    root: Path,
    song: str,
    charlstm: Charlstm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from charlstm import resume, train

    monkeypatch.chdir(root.parent)
    train(text=[song, song], name="songs", steps=4, **SMALL)
    told = (
        "checkpoints/songs learned from text that was handed over in memory and is kept nowhere: "
        "hand the same text over again, with "
    )
    with pytest.raises(CorpusError) as caught:
        resume("songs", steps=8)
    assert str(caught.value) == f"{told}charlstm.resume('songs', text=...)."
    result = charlstm("train", "--resume", "--name", "songs", "--steps", "8")
    assert result.code == 1
    assert result.stderr == f"error: {told}charlstm train FILE --resume --name songs.\n"

    with pytest.raises(CorpusError, match=r"^The text in memory is not the one that checkpoints"):
        resume("songs", text=song, steps=8)
    longer = resume("songs", text=[song, song], steps=8, threads=1)
    assert longer.info.last is not None
    assert longer.info.last.step == 8
    # It may lie in a file by now.
    kept = "\n\n".join([song.strip("\n")] * 2) + "\n"
    (root.parent / "kept.txt").write_text(kept, encoding="utf-8")
    again = resume("songs", places="kept.txt", steps=10, threads=1)
    assert again.info.last is not None
    assert again.info.last.step == 10


def test_places_and_a_text_exclude_each_other(root: Path, corpus: Path, song: str) -> None:
    with pytest.raises(CorpusError, match=r"^Name the places of a text or hand it over as text="):
        charlstm.train(corpus, text=song, root=root)
    with pytest.raises(CorpusError, match=r"leave encoding out"):
        charlstm.train(text=song, encoding="big5", root=root)


# A mistake in a place.

LYRICS = "We walk along the river\n[Chorus]\nand never *ever* ask\n" * 14_000


def test_a_text_that_is_taken_for_a_place_is_not_quoted_whole(root: Path) -> None:
    model = charlstm.train(text=LYRICS[:3_000], steps=1, root=root, **SMALL)
    for ask in (
        lambda: charlstm.train(LYRICS, root=root),
        lambda: charlstm.train(LYRICS.replace("\n", " "), root=root),
        lambda: charlstm.resume(model.directory.path, places=LYRICS, root=root),
        lambda: model.read(LYRICS),
        lambda: model.read([LYRICS]),
    ):
        with pytest.raises(CorpusError) as caught:
            ask()
        told = str(caught.value)
        assert told.endswith("If that is the text itself, hand it over as text=...")
        assert len(told) < 200


@pytest.mark.parametrize("text", [LYRICS, LYRICS.replace("\n", " "), "x" * 720_037])
def test_no_message_is_as_long_as_the_text_that_was_given_for_a_name(
    text: str, corpus: Path, root: Path
) -> None:
    unknown: Any = {text: 1}
    for ask in (
        lambda: read_corpus([text]),
        lambda: charlstm.load(text, root=root),
        lambda: charlstm.load(root=text),
        lambda: charlstm.train(corpus, start_from=text, root=root),
        lambda: charlstm.train(corpus, name=text, root=root),
        lambda: charlstm.train(corpus, root=text, steps=1),
        lambda: charlstm.train(corpus, encoding=text, root=root),
        lambda: charlstm.train(corpus, recipe=text, root=root),
        lambda: charlstm.train(corpus, root=root, **unknown),
    ):
        with pytest.raises(charlstm.CharLSTMError) as caught:
            ask()
        assert len(str(caught.value)) < 2_500


def test_a_list_as_a_place_is_told_how_it_is_meant(root: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        charlstm.train(["a.txt", "b.txt"], root=root)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "A place is the name of a file or a folder, not ['a.txt', 'b.txt']. Name several one "
        "after the other; hand text itself over as text=..."
    )


def test_places_with_strange_names_stay_places(tmp_path: Path) -> None:
    strange = tmp_path / "two\nlines.txt"
    strange.write_text("分开", encoding="utf-8")
    assert check_places([strange, "songs/*.txt", "-"]) == [strange, "songs/*.txt", "-"]
    assert check_places("songs.txt") == ["songs.txt"]
