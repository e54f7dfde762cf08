import gzip
import hashlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from charlstm.errors import CorpusError
from charlstm.text import locations
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.reading import read_corpus

ENGLISH = "The rain has stopped and nobody is waiting at the station tonight.\n"


ENDINGS = "*.txt, *.lrc, *.srt, *.vtt, *.csv, *.tsv, *.json, *.jsonl, *.ndjson or *.docx"


def file(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def archive(path: Path, members: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, text in members.items():
            opened.writestr(name, text)
    return path


def names(corpus: Corpus) -> list[str]:
    return [source.name for source in corpus.sources]


def handles() -> list[str]:
    return os.listdir("/dev/fd")  # noqa: PTH208, only their numbers


def message_of(*names: str | Path) -> str:
    with pytest.raises(CorpusError) as caught:
        read_corpus(names)
    message = str(caught.value)
    assert message.splitlines() == [message]
    return message


@contextmanager
def quick(seconds: float = 3) -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


# Finding files.


def test_a_source_says_its_name_its_encoding_its_characters_and_the_hash_of_its_bytes(
    tmp_path: Path,
) -> None:
    path = file(tmp_path / "歌 词.txt", "分开\r\ne\u0301", "gb18030")
    corpus = read_corpus([path])
    assert corpus.text == "分开\né"
    (source,) = corpus.sources
    assert source.name == str(path)
    assert source.encoding == "gb18030"
    assert source.characters == 6  # as decoded, before anything was normalised
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_places_are_read_in_the_order_given(tmp_path: Path) -> None:
    b, a = file(tmp_path / "b.txt", "b\n"), file(tmp_path / "a.txt", "a\n")
    assert read_corpus([b, str(a)]).text == "b\n\na\n"


def test_the_lines_of_two_files_never_run_together(tmp_path: Path) -> None:
    texts = ["", "first", "", "second\n", "third\r\n", "fourth\r", "fifth"]
    places = [file(tmp_path / f"{place}.txt", text) for place, text in enumerate(texts)]
    assert read_corpus(places).text == "first\n\nsecond\n\nthird\n\nfourth\n\nfifth"
    spaced = read_corpus(places, options=TextOptions(newline="space"))
    assert spaced.text == "first second third fourth fifth"


def test_a_directory_gives_every_text_file_below_it_in_sorted_order(tmp_path: Path) -> None:
    for name in ("z.txt", "b/2.txt", "b/1.TXT", "b/deep/er/0.txt", "a.txt", "c d/分开.txt"):
        file(tmp_path / "songs" / name, name + "\n")
    file(tmp_path / "songs" / "cover.png", "no text")
    file(tmp_path / "songs" / "notes.md", "no text")
    (tmp_path / "songs" / "folder.txt").mkdir()
    corpus = read_corpus([tmp_path / "songs"])
    assert corpus.text.split("\n\n") == [
        *("a.txt", "b/1.TXT", "b/2.txt", "b/deep/er/0.txt", "c d/分开.txt", "z.txt\n")
    ]
    assert names(corpus)[0] == str(tmp_path / "songs" / "a.txt")


def test_a_directory_without_text_is_an_error(tmp_path: Path) -> None:
    file(tmp_path / "cover.png", "no text")
    with pytest.raises(CorpusError) as caught:
        read_corpus([tmp_path])
    assert str(caught.value) == (
        f"There is no text in the directory {tmp_path} or below it: no {ENDINGS}, but there is 1 "
        f".png: if that is text, name it, as in '{tmp_path}/**/*.png'."
    )


def test_a_directory_of_other_texts_is_told_by_what_is_there(tmp_path: Path) -> None:
    nothing = f"There is no text in the directory {tmp_path} or below it: no {ENDINGS}"
    with pytest.raises(CorpusError, match=re.escape(f"{nothing}.")):
        read_corpus([tmp_path])
    for place in range(12):
        file(tmp_path / "a" / f"{place}.SONG", "la\n")
    for name in ("1.md", "2.md", "x.ini", "x.yaml", "._x.lrc", ".hidden", "Makefile"):
        file(tmp_path / name, "la\n")
    with pytest.raises(CorpusError) as caught:
        read_corpus([tmp_path])
    assert str(caught.value) == (
        f"{nothing}, but there are 12 .song, 2 .md and 1 .ini: if that is text, name it, as in "
        f"'{tmp_path}/**/*.song'."
    )
    assert len(read_corpus([f"{tmp_path}/**/*.md"]).sources) == 2


def test_a_glob_gives_the_files_that_match_in_sorted_order(tmp_path: Path) -> None:
    for name in ("song2.txt", "song1.txt", "song10.txt", "other.txt", "deep/er/song3.txt"):
        file(tmp_path / name, name + "\n")
    (tmp_path / "song_folder").mkdir()
    assert read_corpus([f"{tmp_path}/song*"]).text == "song1.txt\n\nsong10.txt\n\nsong2.txt\n"
    assert read_corpus([f"{tmp_path}/song[2-9].txt"]).text == "song2.txt\n"
    assert read_corpus([f"{tmp_path}/**/song[23].txt"]).text == "deep/er/song3.txt\n\nsong2.txt\n"


def test_a_name_that_looks_like_a_glob_is_a_name_when_there_is_such_a_file(
    tmp_path: Path,
) -> None:
    file(tmp_path / "song [live].txt", "live")
    file(tmp_path / "song l.txt", "studio")
    assert read_corpus([tmp_path / "song [live].txt"]).text == "live"


@pytest.mark.parametrize("pattern", ["*.md", "fold*", "**/*.md"])
def test_a_glob_that_matches_no_file_is_an_error(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CorpusError) as caught:
        read_corpus([f"{tmp_path}/{pattern}"])
    assert str(caught.value) == f"Nothing matches {tmp_path}/{pattern}."


@pytest.mark.parametrize("name", ["absent.txt", "absent/absent.txt", "song.txt/x", "s" * 300])
def test_a_place_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    file(tmp_path / "song.txt", "la")
    with pytest.raises(CorpusError) as caught:
        read_corpus([tmp_path / "song.txt", tmp_path / name])
    assert str(caught.value) == f"There is no file or directory called {tmp_path / name}."


def test_no_place_at_all_is_an_error() -> None:
    with pytest.raises(CorpusError) as caught:
        read_corpus([])
    assert str(caught.value) == (
        "No corpus was given: name a text file, a directory or - for a pipe."
    )


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_corpus_without_a_character_is_an_error_that_names_its_files(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(data)
    other = file(tmp_path / "other.txt", "")
    with pytest.raises(CorpusError) as caught:
        read_corpus([path, other])
    assert str(caught.value) == f"There is no text in {path}, {other}: the corpus is empty."


def test_a_file_that_is_reached_twice_is_read_once(tmp_path: Path) -> None:
    path = file(tmp_path / "songs" / "song.txt", "once\n")
    (tmp_path / "songs" / "link.txt").symlink_to(path)
    around = tmp_path / "songs" / ".." / "songs" / "song.txt"
    corpus = read_corpus([path, path, around, tmp_path / "songs", f"{tmp_path}/*/song.txt"])
    assert corpus.text == "once\n"
    assert names(corpus) == [str(path)]


def test_two_files_that_say_the_same_are_both_read(tmp_path: Path) -> None:
    places = [file(tmp_path / "1.txt", "same\n"), file(tmp_path / "2.txt", "same\n")]
    assert read_corpus(places).text == "same\n\nsame\n"


def test_standard_input_is_read_in_its_place(tmp_path: Path) -> None:
    path = file(tmp_path / "song.txt", "file")
    corpus = read_corpus([path, "-", tmp_path], stdin=io.BytesIO("管道".encode("gb18030") * 9))
    assert corpus.text == "file\n\n" + "管道" * 9
    assert names(corpus) == [str(path), "standard input"]
    assert corpus.sources[1].encoding == "gb18030"


def test_standard_input_is_the_process_s_own_unless_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("分开".encode())))
    assert read_corpus(["-"]).text == "分开"


def test_patterns_are_those_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("a.txt", ".a.txt", "b.txt.txt", "d/a.txt", "d/.a.txt", ".d/a.txt", "d/e/a.txt"),
        *("d/.e/a.txt", "d/e/b.txt", "[x].txt", "-", "d.txt/a.txt", "e f/ü.txt"),
    ):
        file(tmp_path / name, name + "\n")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d" / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "e f")
    for pattern in (
        *("../*", "../*.txt", "../.*", "../.*.txt", "../*/*.txt", "../.*/*.txt", "../d/.?/*"),
        *("../d/../*.txt", "./ü*", "*", "../[[]x].txt", "../?", "../d*/a.txt", "../[!a]*.txt"),
        *(f"{tmp_path}/*/*.txt", f"{tmp_path}/.d/*", "../d/*/a.txt", "../d/link/d/e/*"),
    ):
        shell = subprocess.run(
            ["bash", "-c", f'for name in {pattern}; do [ -f "$name" ] && realpath "$name"; done'],
            capture_output=True,
            check=False,
        )
        expected = set(shell.stdout.decode().split("\n")[:-1])
        assert expected, pattern
        assert {os.path.realpath(name) for name in names(read_corpus([pattern]))} == expected


def test_two_stars_stand_for_any_directories_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.txt", "d/a.txt", "d/e/a.txt", "d/.e/a.txt", ".d/a.txt", "d/e/b.md"):
        file(tmp_path / name, name + "\n")
    read = read_corpus([f"{tmp_path}/**/a.txt"])
    assert read.text == "a.txt\n\nd/a.txt\n\nd/e/a.txt\n"
    assert read_corpus([f"{tmp_path}/**/d/**/*.txt"]).text == "d/a.txt\n\nd/e/a.txt\n"
    assert read_corpus([f"{tmp_path}/d/**"]).text == "d/a.txt\n\nd/e/a.txt\n\nd/e/b.md\n"
    assert read_corpus([f"{tmp_path}/**/.e/*"]).text == "d/.e/a.txt\n"


@pytest.mark.parametrize(
    "name", ["\0", "a\0*", "\ud800", "\ud800*", "*" * 300, "[", "[z-a]*", "**"]
)
def test_what_can_be_no_name_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message_of(name) in (
        f"There is no file or directory called {name}.",
        f"Nothing matches {name}.",
    )


def test_names_with_line_breaks_are_shown_in_one_line(tmp_path: Path) -> None:
    strange = tmp_path / "two\nlines\u2028"
    assert names(read_corpus([file(strange / "a\rb.txt", "la")])) == [
        f"{tmp_path}/two⏎lines⏎/a⏎b.txt"
    ]
    assert message_of(f"{strange}/b.txt").endswith("two⏎lines⏎/b.txt.")
    assert message_of(f"{strange}/*b.md").endswith("two⏎lines⏎/*b.md.")
    (strange / "empty").mkdir()
    assert "two⏎lines⏎/empty or below it" in message_of(strange / "empty")
    packed = archive(strange / "songs.zip", {"a\nb.txt": "\0"})
    assert message_of(packed).startswith(f"{tmp_path}/two⏎lines⏎/songs.zip/a⏎b.txt is not plain")


def test_a_file_called_by_a_bare_hyphen_is_not_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tmp_path / "-", "file")
    monkeypatch.chdir(tmp_path)
    assert read_corpus(["?"], stdin=io.BytesIO(b"pipe")).text == "file"
    assert read_corpus(["-"], stdin=io.BytesIO(b"pipe")).text == "pipe"
    assert read_corpus(["-", "./-"], stdin=io.BytesIO(b"pipe")).text == "pipe\n\nfile"


def test_links_that_lead_in_circles_do_not(tmp_path: Path) -> None:
    below = tmp_path
    for _ in range(12):
        (below / "up").symlink_to(below.parent)
        (below / "again").symlink_to("..")
        below /= "d"
        file(below / "song.txt", "la\n")
    (tmp_path / "self.txt").symlink_to("self.txt")
    with quick():
        assert read_corpus([tmp_path]).text == "\n".join(["la\n"] * 12)
        assert read_corpus([f"{tmp_path}/**/*.txt"]).text == "\n".join(["la\n"] * 12)
        assert read_corpus([f"{tmp_path}/**/**/**/d/*.txt"]).text == "\n".join(["la\n"] * 12)
        assert read_corpus([f"{tmp_path}/d/*/*/song.txt"]).text == "la\n\nla\n"
    assert message_of(tmp_path / "self.txt").startswith("There is no file or directory called ")
    (tmp_path / "gone.txt").symlink_to("nowhere")
    assert message_of(tmp_path / "gone.txt").startswith("There is no file or directory called ")
    assert message_of(f"{tmp_path}/gone*").startswith("Nothing matches ")


def test_directories_nested_too_deep_are_an_error_and_no_more(tmp_path: Path) -> None:
    tmp_path.joinpath(*"d" * 300).mkdir(parents=True)
    before = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(300)
        for place in (tmp_path, f"{tmp_path}/**/*.txt"):
            message = message_of(place)
            # From Python 3.12 on directories are not read recursively.
            assert "are nested too deep" in message or sys.version_info >= (3, 12)
    finally:
        sys.setrecursionlimit(before)


def test_two_stars_after_two_stars_do_not_look_everywhere_twice(tmp_path: Path) -> None:
    file(tmp_path.joinpath(*"d" * 220, "a.txt"), "la")
    with quick():
        assert read_corpus([f"{tmp_path}/**/d/**/d/**/a.txt"]).text == "la"


def test_a_file_that_goes_away_after_it_was_found_is_an_error(tmp_path: Path) -> None:
    paths = [file(tmp_path / f"{place}.txt", "la") for place in range(3)]
    found = locations.Locations([tmp_path])
    paths[1].unlink()
    with pytest.raises(CorpusError) as caught:
        [list(text.pieces()) for text in found.texts()]
    assert str(caught.value) == f"{paths[1]} cannot be read: No such file or directory."


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused = "is not a file but a device or a socket: name a text file."
    for device in ("/dev/zero", "/dev/null", "/dev/urandom"):
        assert message_of(device) == f"{device} {refused}"
    with tempfile.TemporaryDirectory(dir="/tmp") as where:  # names of sockets are short
        path = Path(where, "s.txt")
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(path))
            assert message_of(path) == f"{path} {refused}"


def test_reading_takes_one_handle_however_many_files_there_are(tmp_path: Path) -> None:
    for place in range(300):
        file(tmp_path / "songs" / f"{place}.txt", "la\n")
    (tmp_path / "packed").mkdir()
    for place in range(40):
        archive(tmp_path / "packed" / f"{place}.zip", {f"{n}.txt": "la\n" for n in range(9)})
        (tmp_path / "packed" / f"{place}.gz").write_bytes(gzip.compress(b"la\n"))
    program = """if True:
        import os, resource, sys
        from charlstm.text.reading import read_corpus
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        before = os.listdir("/dev/fd")
        read = read_corpus(sys.argv[1:])
        assert os.listdir("/dev/fd") == before
        print(len(read.sources), len(read))
    """
    command = [sys.executable, "-c", program, f"{tmp_path}/songs", f"{tmp_path}/packed/*"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("700 2799\n", "")


# Pipes.


@pytest.mark.parametrize("name", ["pipe", "two\nlines.txt"])
def test_a_pipe_into_which_nobody_writes_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    assert message_of(path) == (
        f"{path} is a pipe that nobody writes to: start what writes to it first."
    ).replace("\n", "⏎")


def test_a_pipe_is_read_to_its_end_however_slowly_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_KEPT_IN_MEMORY", 5)  # the rest goes into a file
    path = tmp_path / "pipe.txt"
    os.mkfifo(path)

    # For reading as well, so that opening it waits for nobody.
    pipe = os.open(path, os.O_RDWR)

    def write() -> None:
        for part in (b"", b"la \xe5", b"\x88\x86", b"\xe5\xbc\x80 la"):
            time.sleep(0.05)
            os.write(pipe, part)
        os.close(pipe)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    read = read_corpus([path])
    writer.join()
    assert read.text == "la 分开 la"
    assert names(read) == [str(path)]


def test_the_output_of_commands_is_read_in_the_shell_s_own_way() -> None:
    program = (
        "import sys; from charlstm.text.reading import read_corpus as r; "
        "print(r(sys.argv[1:]).text)"
    )
    shell = '"$0" -c "$1" <(sleep 0.1; printf la) <(printf 分; sleep 0.1; printf 开)'
    ended = subprocess.run(
        ["bash", "-c", shell, sys.executable, program], capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("la\n\n分开\n", "")


def test_a_pipe_that_breaks_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = None) -> bytes:
            if data := super().read(9):
                return data
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(locations, "_KEPT_IN_MEMORY", 5)
    before = handles()
    with pytest.raises(CorpusError) as caught:
        read_corpus(["-"], stdin=Broken(b"la la la la"))
    assert str(caught.value) == "standard input cannot be read: Input/output error."
    with pytest.raises(CorpusError, match="NUL"):
        read_corpus(["-"], stdin=io.BytesIO(b"la la la la\0"))
    assert handles() == before


# Archives.


def test_a_zip_archive_gives_its_text_files_in_sorted_order_without_mac_shadows(
    tmp_path: Path,
) -> None:
    path = archive(
        tmp_path / "songs.zip",
        {
            "b.txt": "b",
            "a/分开.TXT": "a",
            "cover.png": "no text",
            "__MACOSX/._b.txt": "\0\5\x16\7 no text",
            "__MACOSX/a/._分开.TXT": "\0\5\x16\7 no text",
        },
    )
    corpus = read_corpus([path])
    assert corpus.text == "a\n\nb"
    assert names(corpus) == [f"{path}/a/分开.TXT", f"{path}/b.txt"]
    assert corpus.sources[1].sha256 == hashlib.sha256(b"b").hexdigest()


def test_an_archive_without_text_is_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "songs.zip", {"cover.png": "no text", "__MACOSX/a.txt": "shadow"})
    with pytest.raises(CorpusError) as caught:
        read_corpus([path])
    assert str(caught.value) == f"There is no text in the archive {path}: no {ENDINGS}."


def test_a_text_in_an_archive_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "songs.zip", {"fine.txt": "la", "nul.txt": "la\0la"})
    message = f"{path}/nul.txt is not plain text: there is a NUL byte at offset 2."
    with pytest.raises(CorpusError, match="^" + re.escape(message)):
        read_corpus([path])


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 no archive"])
def test_a_file_that_is_no_zip_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "songs.zip"
    path.write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        read_corpus([path])
    assert str(caught.value) == (f"{path} cannot be read as a zip archive: File is not a zip file.")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_an_archive_is_an_error(tmp_path: Path, compression: int) -> None:
    path = archive(tmp_path / "songs.zip", {"a.txt": ENGLISH * 9}, compression)
    data = bytearray(path.read_bytes())
    for offset in range(60, 76):
        data[offset] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(
        CorpusError, match=f"^{re.escape(str(path))}/a[.]txt cannot be read: .+[.]$"
    ):
        read_corpus([path])


def test_an_archive_that_asks_for_a_password_is_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "songs.zip", {"a.txt": ENGLISH})
    data = bytearray(path.read_bytes())
    # The first bit of the flags, in the member's own header and in the directory.
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        read_corpus([path])
    assert str(caught.value) == (
        f"{path}/a.txt is encrypted: unpack the archive and name the files."
    )


def test_a_gz_file_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "song.txt.GZ"
    path.write_bytes(gzip.compress("分".encode()) + gzip.compress("开\r\n".encode()))
    corpus = read_corpus([path])
    assert corpus.text == "分开\n"
    assert names(corpus) == [str(path)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"no gz", r"Not a gzipped file \(b'no'\)"),
        (lambda data: data[:-9], "Compressed file ended before the end-of-stream marker .*"),
        (lambda data: data[:-5] + b"x" + data[-4:], "CRC check failed .*"),
        (lambda data: data[:10] + b"\xff" * 9 + data[19:], "Error -3 while decompressing .*"),
    ],
    ids=["another format", "cut short", "wrong checksum", "broken inside"],
)
def test_a_broken_gz_file_is_an_error(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "song.gz"
    path.write_bytes(change(gzip.compress(ENGLISH.encode())))
    with pytest.raises(CorpusError, match=f"^{re.escape(str(path))} cannot be read: {reason}[.]$"):
        read_corpus([path])


def test_texts_of_the_same_name_in_an_archive_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "songs.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.txt", "first\n")
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("a.txt", "second\n")
    assert read_corpus([path]).text == "first\n\nsecond\n"


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_an_unusual_kind_of_compression_is_an_error(tmp_path: Path, kind: int) -> None:
    path = archive(tmp_path / "songs.zip", {"a.txt": ENGLISH}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 8] = data[data.index(b"PK\x01\x02") + 10] = kind
    path.write_bytes(data)
    assert message_of(path) == (
        f"{path}/a.txt is packed in a way that is not supported: unpack the archive and name the "
        "files."
    )


# Bombs. What they unpack into is made of one letter, so that it could be a text.

GIGABYTE = 1 << 30
TOO_MUCH = (
    "unpacks into more than 100 times its size, which no text does: unpack it yourself if you "
    "trust it, and name the file."
)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def gigabyte() -> bytes:
    """Return a gigabyte of the letter a, as gzip packs it."""
    letters = b"a" * (1 << 24)
    packer = zlib.compressobj(1, wbits=31)
    # Flushed wholly, every piece is packed in the same way as the one before.
    head = packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (GIGABYTE // len(letters) - 1) + packer.flush()


def test_a_gz_file_that_unpacks_into_a_gigabyte_is_refused_early(
    tmp_path: Path, gigabyte: bytes
) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gigabyte)
    assert len(gigabyte) < GIGABYTE / 100
    with quick(), little_memory():
        assert message_of(path) == f"{path} {TOO_MUCH}"


def zip_of(path: Path, member: bytes, size: int, count: int, kind: int, unpacked: bytes) -> Path:
    """Write a zip whose members are one and the same place, by `zipfile` itself but for that."""
    with zipfile.ZipFile(path, "w", kind) as opened:
        opened.writestr("0.txt", b"")
        entry = opened.infolist()[0]
        opened.fp.seek(entry.header_offset)  # type: ignore[union-attr]
        entry.compress_size, entry.file_size, entry.CRC = len(member), size, zlib.crc32(unpacked)
        opened.fp.write(entry.FileHeader() + member)  # type: ignore[union-attr]
        opened.start_dir = opened.fp.tell()  # type: ignore[union-attr]
        opened.filelist *= count
    return path


def test_an_archive_that_says_that_it_is_a_bomb_is_refused_at_once(
    tmp_path: Path, gigabyte: bytes
) -> None:
    deflated = gigabyte[10:]  # behind the header of gzip
    path = zip_of(tmp_path / "one.zip", deflated, GIGABYTE, 1, zipfile.ZIP_DEFLATED, b"")
    with quick(1), little_memory():
        assert message_of(path) == f"{path} {TOO_MUCH}"


def test_members_that_lie_on_top_of_each_other_count_each(tmp_path: Path) -> None:
    letters = b"a" * 1_000_000
    packer = zlib.compressobj(wbits=-15)
    member = packer.compress(letters) + packer.flush()
    path = zip_of(tmp_path / "many.zip", member, len(letters), 2000, zipfile.ZIP_DEFLATED, letters)
    with quick(1), little_memory():
        assert message_of(path) == f"{path} {TOO_MUCH}"


@pytest.mark.parametrize("size", [10, 1000])
def test_a_member_that_says_less_than_it_holds_is_not_unpacked_any_further(
    tmp_path: Path, size: int, gigabyte: bytes
) -> None:
    path = zip_of(tmp_path / "liar.zip", gigabyte[10:], size, 1, zipfile.ZIP_DEFLATED, b"")
    with quick(1), little_memory():
        assert message_of(path) == f"{path}/0.txt cannot be read: Bad CRC-32 for file '0.txt'."


def test_a_member_that_says_more_than_it_holds_is_what_it_holds(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=-15)
    member = packer.compress(b"la la") + packer.flush()
    path = zip_of(tmp_path / "liar.zip", member, 50_000_000, 1, zipfile.ZIP_DEFLATED, b"la la")
    assert read_corpus([path]).text == "la la"


def test_a_text_that_repeats_itself_is_no_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "songs.zip", {"a.txt": "la " * 100_000, "b.txt": "la " * 100_000})
    assert len(read_corpus([path])) == 600_002
    packed = tmp_path / "song.gz"
    packed.write_bytes(gzip.compress(b"la " * 100_000))
    assert len(read_corpus([packed])) == 300_000
