"""Files as people have them, from a folder, an archive or a pipe into a run."""

import base64
import gzip
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import docx
import pytest
from commandline import Charlstm
from docx.document import Document

import charlstm as package
from charlstm.errors import CorpusError, MissingLibraryError, RunError
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.mapped import open_corpus
from charlstm.text.reading import read_corpus
from charlstm.text.songs import END

# A picture of one pixel (PNG).
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
OPTIONS = ("--steps", "2", "--hidden", "4", "--batch", "1", "--window", "8", "--sample-every", "0")


def document() -> bytes:
    written = docx.Document()
    written.add_heading("Harbour", 1)
    for line in ("the boats are home", "and so am I", "", "la la"):
        written.add_paragraph(line)
    file = io.BytesIO()
    written.save(file)
    return file.getvalue()


LRC = (
    "[ti:Harbour]\n[00:01.00]the boats are home\n[00:02.00]and so am I\n[00:03.00]\n"
    "[00:04.00]la la\n"
)
SRT = "1\n00:00:01,000 --> 00:00:02,000\nthe boats are home\nand so am I\n\n"
SONG = {"title": "Harbour", "lyrics": "the boats are home\nand so am I\n\nla la"}
TABLE = 'title,lyrics\nHarbour,"the boats are home\nand so am I\n\nla la"\n'
TEXT = "Harbour\n\nthe boats are home\nand so am I\n\nla la\n"
FILES = {
    "a.lrc": (LRC.encode(), "LRC", TEXT),
    "b.srt": (SRT.encode(), "SRT", "the boats are home\nand so am I\n"),
    "c.vtt": (b"WEBVTT\n\n00:01.000 --> 00:02.000\nla la\n", "WebVTT", "la la\n"),
    "d.csv": (TABLE.encode("utf-8-sig"), "CSV", TEXT),
    "e.tsv": (b"title\tlyrics\nHarbour\tla la\n", "TSV", "Harbour\n\nla la\n"),
    "f.json": (json.dumps([SONG], indent=1).encode("utf-16"), "JSON", TEXT),
    "g.jsonl": (f'{json.dumps(SONG)}\n{{"text": "li"}}'.encode(), "JSON Lines", f"{TEXT}\nli\n"),
    "h.docx": (document(), "Word", TEXT),
    "i.txt": (b"la la\n", "plain text", "la la\n"),
}


@pytest.fixture(params=["folder", "zip", "gz", "zip of gz", "names without a meaning"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return where the same files are, in one of several ways."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for name, (data, _, _) in FILES.items():
        packed = gzip.compress(data) if "gz" in request.param else data
        (folder / f"{name}{'.gz' if 'gz' in request.param else ''}").write_bytes(packed)
    (folder / "._a.lrc").write_bytes(b"\0")
    if "zip" in request.param:
        with zipfile.ZipFile(tmp_path / "songs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"songs/{path.name}")
            archive.writestr("__MACOSX/songs/._a.lrc", b"\0")
        return tmp_path / "songs.zip"
    if request.param == "names without a meaning":
        (folder / "._a.lrc").unlink()
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(f"{path.stem}.txt"))
    return folder


def test_every_kind_of_file_is_read_wherever_it_lies(place: Path) -> None:
    corpus = read_corpus([place], options=TextOptions(songs="off"))
    assert [source.format.name for source in corpus.sources] == [
        kind for _, kind, _ in FILES.values()
    ]
    assert corpus.text == "\n".join(text for _, _, text in FILES.values())
    (first, *_), (_, _, text) = corpus.sources, FILES["a.lrc"]
    assert first.characters == len(text)
    corpus = read_corpus([place])
    assert corpus.songs is not None
    assert corpus.songs.number == len(FILES) + 1  # one of them has two
    assert corpus.text.split(END)[1:2] + corpus.text.split(END)[-4:-1] == [
        TEXT,
        "li\n",
        TEXT,
        "la la\n",
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_holds_what_a_file_holds_packed_or_not(name: str) -> None:
    data, kind, text = FILES[name]
    for piped in (data, gzip.compress(data)):
        corpus = read_corpus(["-"], stdin=io.BytesIO(piped))
        assert (corpus.sources[0].format.name, corpus.text) == (kind, text)


def test_what_gzip_packed_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_bytes(gzip.compress(b"la ") + gzip.compress(b"li\n"))
    assert read_corpus([tmp_path / "song.txt"]).text == "la li\n"
    (tmp_path / "song.txt").write_bytes(gzip.compress(b"la la la" * 100)[:-9])
    with pytest.raises(CorpusError, match=r"song\.txt cannot be read: Compressed file ended "):
        read_corpus([tmp_path / "song.txt"])
    (tmp_path / "song.txt").write_bytes(gzip.compress(b"a" * (80 << 20)))
    with pytest.raises(CorpusError, match=r"song\.txt unpacks into more than 100 times its size"):
        read_corpus([tmp_path / "song.txt"])


def test_titles_are_lines_where_line_breaks_are_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,lyrics\nA,la\nB,li\n")
    spaced = read_corpus([tmp_path / "a.csv"], options=TextOptions(newline="space"))
    assert spaced.text == "A la B li "


def test_a_text_that_a_program_hands_over_is_what_it_is(tmp_path: Path) -> None:
    model = package.train(
        text=LRC * 3, root=tmp_path, steps=1, hidden=4, batch=1, window=8, progress=False
    )
    assert model.info.sources[0].format.is_plain
    held_out = model.directory.read_held_out(model.info)
    assert f"{LRC * 3}".endswith(held_out)
    assert "[00:04.00]la" in held_out


# Word documents.


def told_of(write: Callable[[Document], object], path: Path) -> Corpus:
    written = docx.Document()
    write(written)
    written.save(str(path))
    return read_corpus([path])


def test_a_document_without_headings_is_one_text(tmp_path: Path) -> None:
    def write(document: Document) -> None:
        for line in ("", "la la", "li\nlo\tlu", "", "", "lu"):
            document.add_paragraph(line)

    assert told_of(write, tmp_path / "a.docx").text == "la la\nli\nlo\tlu\n\n\nlu\n"


def test_what_stands_in_tables_is_read_and_pictures_are_counted(tmp_path: Path) -> None:
    def write(document: Document) -> None:
        document.add_paragraph("la")
        table = document.add_table(2, 2)
        for place, cell in enumerate(cell for row in table.rows for cell in row.cells):
            cell.text = f"cell {place}"
        document.add_heading("a smaller heading", 2)
        document.add_picture(io.BytesIO(PIXEL))

    corpus = told_of(write, tmp_path / "a.docx")
    assert corpus.text == "la\ncell 0\ncell 1\ncell 2\ncell 3\na smaller heading\n"
    assert corpus.sources[0].account.told() == ("1 picture",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: data[: len(data) // 2],
            r"is a Word document that cannot be read \(.*\)",
        ),
        (lambda data: data.replace(b"word/document", b"word/documemt"), "cannot be read"),
    ],
)
def test_a_damaged_document_is_refused(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.docx").write_bytes(change(document()))
    with pytest.raises(CorpusError, match=message):
        read_corpus([tmp_path / "a.docx"])


def test_a_document_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.docx is Word without any text: leave the file out"):
        told_of(lambda document: document.add_paragraph(" "), tmp_path / "a.docx")


def test_a_document_that_unpacks_into_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(70 << 20))
    with pytest.raises(CorpusError, match=r"a\.docx is a Word document too large to be read"):
        read_corpus([tmp_path / "a.docx"])


def test_without_its_library_a_document_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.docx").write_bytes(document())
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(MissingLibraryError) as caught:
        read_corpus([tmp_path / "a.docx"])
    assert str(caught.value) == (
        f"{tmp_path}/a.docx is a Word document, which needs python-docx, and that is not "
        "installed: pip install 'charlstm[word]', or save the document as plain text (UTF-8)."
    )


# In a run.


def test_a_training_says_what_it_read_and_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charlstm: Charlstm
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (data, _, _) in FILES.items():
        if name[0] in "adgh":
            Path(name).write_bytes(data)
    began = charlstm("train", "a.lrc", "d.csv", "g.jsonl", "h.docx", *OPTIONS)
    assert began.code == 0, began.stderr
    assert "text: a.lrc (LRC, utf-8)\n" in began.stderr
    assert "d.csv (CSV with the text in lyrics, utf-8-sig)\n" in began.stderr
    assert "g.jsonl (JSON Lines with the text in lyrics and text, utf-8)\n" in began.stderr
    assert "h.docx (Word)\n" in began.stderr
    assert "left out: 4 timestamps\n" in began.stderr
    assert began.stdout.startswith("checkpoints/a: ")
    assert "left out" not in charlstm("train", "d.csv", *OPTIONS).stderr
    for command in (("eval", "perplexity"), ("eval", "novelty")):
        assert "left out: 4 timestamps\n" in charlstm(*command, "a.lrc").stderr


def test_a_field_is_kept_with_the_run_and_may_be_another_to_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charlstm: Charlstm
) -> None:
    monkeypatch.chdir(tmp_path)
    songs = [{"words of it": f"la li {n}", "lyrics": "x"} for n in range(30)]
    Path("a.json").write_text(json.dumps(songs))
    began = charlstm("train", "a.json", "--field", "words of it", *OPTIONS)
    assert began.code == 0, began.stderr
    assert "a.json (JSON with the text in words of it, utf-8)" in began.stderr
    model = package.load()
    assert model.info.recipe.text.field == "words of it"
    assert model.info.sources[0].format.field == "words of it"
    assert model.read(["a.json"]).startswith("la li 0\n\nla li 1\n")
    assert model.read(["a.json"], field="lyrics").startswith("x\n\nx\n")
    assert charlstm("train", "--resume", "--steps", "3").code == 0
    Path("b.json").write_text(json.dumps([{"words": "la li"}]))
    for command in (("eval", "perplexity"), ("eval", "novelty")):
        refused = charlstm(*command, "b.json")
        assert refused.code == 1
        assert "JSON without a text called words of it. The fields are words: say" in refused.stderr
        assert "with --field, a path" in refused.stderr
        assert charlstm(*command, "b.json", "--field", "words").code == 0
    assert charlstm("eval", "novelty", "--field", "words").code == 2


def as_before(kept: Path) -> dict[str, Any]:
    """Return what run.json would hold if version 0.2.0 had written it."""
    said: dict[str, Any] = json.loads(kept.read_text())
    said["format"] = 2
    options = said["recipe"]["text"]
    for name in options.keys() - {"normalize", "newline", "limit"}:
        del options[name]
    for name in ("suffixes", "songs"):
        del said["corpus"][name]
    return said


def test_a_run_is_resumed_with_its_files_read_as_they_were(tmp_path: Path) -> None:
    """A run from before files had forms has learned their times as well."""
    path = tmp_path / "a.lrc"
    path.write_text(LRC * 3)
    train = partial(
        package.train, root=tmp_path, steps=1, hidden=4, batch=1, window=8, progress=False
    )
    new = train(path, name="new")
    assert new.info.sources[0].format.name == "LRC"
    plain = tmp_path / "a.txt"
    plain.write_text(LRC * 3)
    handed = train(text=LRC * 3, name="old")
    kept = tmp_path / "old" / "run.json"
    said = as_before(kept)
    said["corpus"]["places"] = [os.fspath(path)]
    kept.write_text(json.dumps(said))
    again = package.resume("old", root=tmp_path, steps=2, progress=False)
    assert again.info.corpus_sha256 == handed.info.corpus_sha256 != new.info.corpus_sha256
    assert package.resume("new", root=tmp_path, steps=2, progress=False).info.last is not None


def test_a_run_from_before_is_resumed_with_the_files_that_were_read_then(tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    (folder / "a.txt").write_text("la la li\n" * 30)
    package.train(
        *(folder,), name="old", root=tmp_path, steps=1, hidden=4, batch=1, window=8, progress=False
    )
    (folder / "b.lrc").write_text(LRC)
    (folder / "c.txt.gz").write_bytes(gzip.compress(b"la\n"))
    with pytest.raises(CorpusError, match="is not the one"):
        package.resume("old", root=tmp_path, steps=2, progress=False)
    kept = tmp_path / "old" / "run.json"
    said = as_before(kept)
    kept.write_text(json.dumps(said))
    assert package.resume("old", root=tmp_path, steps=2, progress=False).info.suffixes == (".txt",)
    for damaged in ({"name": "PDF", "field": None}, {"name": "CSV", "field": 1}, "CSV", {}):
        said["corpus"]["sources"][0]["format"] = damaged
        kept.write_text(json.dumps(said))
        with pytest.raises(RunError, match=r"run\.json is damaged"):
            package.load("old", root=tmp_path)


def test_what_was_read_is_known_of_a_long_text_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.text.mapped.LONGEST_IN_MEMORY", 0)
    (tmp_path / "a.csv").write_text("title,lyrics,other\nA,la,x\nB\nC,li,y\n")
    first, again = (
        open_corpus([tmp_path / "a.csv"], cache=tmp_path / "cache", options=TextOptions())
        for _ in range(2)
    )
    assert first.sources == again.sources
    assert again.sources[0].account.told() == ("1 row with too few columns (line 3)",)
    assert again.text == "A\n\nla\n\nC\n\nli\n"
    other = open_corpus(
        [tmp_path / "a.csv"], cache=tmp_path / "cache", options=TextOptions(field="other")
    )
    assert other.text == "A\n\nx\n\nC\n\ny\n"


def test_a_setting_that_is_no_field_is_refused(
    tmp_path: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("la\n")
    refused = charlstm("train", "a.txt", "--field", " ")
    assert refused.code == 1
    assert "--field must be the name of a column or field, not ' '." in refused.stderr
