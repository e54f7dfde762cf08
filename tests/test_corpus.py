import gzip
import hashlib
import io
import re
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.corpus import Corpus, TextOptions, decode, read_corpus, split
from charlstm.errors import CorpusError

SIMPLIFIED = (
    "夜里的街灯还亮着，我一个人走在回家的路上。\n"
    "你说过的话，像雨一样落下来，打湿了我的肩膀。\n"
    "时间慢慢地走，我们慢慢地忘，谁还记得那一年的夏天？\n"
)
TRADITIONAL = (
    "夜裡的街燈還亮著，我一個人走在回家的路上。\n"
    "你說過的話，像雨一樣落下來，打溼了我的肩膀。\n"
    "時間慢慢地走，我們慢慢地忘，誰還記得那一年的夏天？\n"
)
FRENCH = (
    "Où es-tu, ma belle ? L'été s'en va déjà, là-bas, où la mer rêve.\n"
    "J'ai gardé ta lettre près du cœur, écrite à l'encre pâle.\n"
)
GERMAN = (
    "Über den Dächern schläft die Stadt, und müde Vögel träumen süß.\n"
    "Schöne Grüße aus München, für dich und für mich.\n"
)
SPANISH = (
    "Corazón, mañana volveré a la ciudad donde nació nuestra canción. ¿Dónde estás?\n"
    "Niño de la luna, ¡qué noche tan pequeña!\n"
)
ENGLISH = "The rain has stopped and nobody is waiting at the station tonight.\n"
KOREAN = (
    "밤하늘에 별이 빛나고 나는 너를 기다려요. 우리 함께 걷던 그 길을 오늘도 혼자 걸어가네.\n"
    "사랑한다고 말하고 싶지만 바람만 불어와.\n"
)


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


def message_of(data: bytes, encoding: str | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        decode(data, name="song.txt", encoding=encoding)
    return str(caught.value)


# Decoding.


@pytest.mark.parametrize(
    ("mark", "codec", "found"),
    [
        (b"", "utf-8", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8", "utf-8-sig"),
        (b"\xff\xfe", "utf-16-le", "utf-16"),
        (b"\xfe\xff", "utf-16-be", "utf-16"),
        (b"\xff\xfe\x00\x00", "utf-32-le", "utf-32"),
        (b"\x00\x00\xfe\xff", "utf-32-be", "utf-32"),
    ],
)
def test_a_byte_order_mark_says_the_encoding_and_is_no_part_of_the_text(
    mark: bytes, codec: str, found: str
) -> None:
    song = SIMPLIFIED + "😀 café\n"
    assert decode(mark + song.encode(codec), name="song.txt") == (song, found)


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_any_text_comes_back_from_every_unicode_encoding(text: str, codec: str) -> None:
    assert decode(text.encode(codec), name="song.txt")[0] == text


@pytest.mark.parametrize(
    "song",
    [
        SIMPLIFIED,
        SIMPLIFIED[:12],
        ENGLISH * 3 + SIMPLIFIED + "😀",
        # In Windows-1252 these bytes are letters, and nothing but letters: "ÎÒÃÇ".
        "我们\n" * 3,
    ],
)
def test_gb18030_is_found_without_being_told(song: str) -> None:
    assert decode(song.encode("gb18030"), name="song.txt") == (song, "gb18030")


def test_big5_is_not_taken_for_gb18030() -> None:
    assert decode(TRADITIONAL.encode("big5"), name="song.txt") == (TRADITIONAL, "big5")


def test_korean_is_not_taken_for_gb18030() -> None:
    assert decode(KOREAN.encode("euc-kr"), name="song.txt")[0] == KOREAN


@pytest.mark.parametrize("song", [FRENCH, GERMAN, SPANISH, ENGLISH.replace("nobody", "no “one”")])
def test_western_text_of_the_time_before_unicode_comes_back_as_it_was(song: str) -> None:
    assert decode(song.encode("cp1252"), name="song.txt")[0] == song


def test_one_accent_late_in_a_long_western_text_does_not_make_it_chinese() -> None:
    # GB18030 takes the two bytes "ïv" for one Chinese character.
    song = ENGLISH * 2_000 + "so naïve\n"
    assert decode(song.encode("cp1252"), name="song.txt")[0] == song


def test_a_given_encoding_is_used_even_where_another_would_be_found() -> None:
    assert decode("é".encode(), name="song.txt", encoding="latin-1") == ("Ã©", "latin-1")
    song = SIMPLIFIED.encode("utf-16-be")
    assert decode(song, name="song.txt", encoding="utf-16-be") == (SIMPLIFIED, "utf-16-be")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_the_text_when_the_encoding_is_given(
    encoding: str,
) -> None:
    data = ("\ufeff" + SIMPLIFIED).encode(encoding)
    assert decode(data, name="song.txt", encoding=encoding)[0] == SIMPLIFIED


def test_a_given_encoding_that_does_not_fit_is_an_error_and_nothing_else_is_tried() -> None:
    # The first two bytes of the Chinese could be UTF-8; the third could not.
    data = ENGLISH.encode() + SIMPLIFIED.encode("gb18030")
    assert message_of(data, encoding="utf-8") == (
        f"song.txt cannot be decoded as utf-8: byte 0xc0 at offset {len(ENGLISH) + 2} (line 2) "
        "does not belong there. Repair the file, or name its encoding with --encoding (gb18030, "
        "big5, shift_jis, cp1252 are common)."
    )


@pytest.mark.parametrize("encoding", ["gb18031", "rot13", "undefined", "", "utf\0"])
def test_an_encoding_that_does_not_exist_is_told_with_those_that_do(encoding: str) -> None:
    assert message_of(SIMPLIFIED.encode(), encoding=encoding) == (
        f"There is no encoding called {encoding!r}; try utf-8, gb18030, big5 or utf-16."
    )


def test_one_broken_byte_in_utf_8_is_an_error_that_says_where() -> None:
    data = bytearray((SIMPLIFIED * 50).encode())
    offset = len((SIMPLIFIED * 40).encode()) + 1
    data[offset] = 0xFF
    # The character that was broken begins a byte earlier.
    assert message_of(bytes(data)) == (
        f"song.txt cannot be decoded as utf-8: byte 0xe5 at offset {offset - 1:,} (line 121) does "
        "not belong there. Repair the file, or name its encoding with --encoding (gb18030, big5, "
        "shift_jis, cp1252 are common)."
    )


@pytest.mark.parametrize("line", ["分开不分开", "Où es-tu, là-bas, où la mer rêve déjà ? "])
@pytest.mark.parametrize("broken", [b"\xff", b"\xe9", b"\x80", b"\xb0"])
def test_a_broken_byte_in_a_short_text_is_an_error_and_no_other_encoding_is_guessed(
    line: str, broken: bytes
) -> None:
    offset = len(line.encode())
    assert f"cannot be decoded as utf-8: byte 0x{broken.hex()} at offset {offset} (line 1)" in (
        message_of(line.encode() + broken + b" la la\n")
    )


def test_utf_8_that_ends_inside_a_character_is_an_error() -> None:
    data = SIMPLIFIED.rstrip().encode()[:-1]
    assert f"cannot be decoded as utf-8: byte 0xef at offset {len(data) - 2:,} (line 3)" in (
        message_of(data)
    )


def test_utf_16_that_ends_inside_a_character_is_an_error() -> None:
    assert "song.txt cannot be decoded as utf-16: byte 0x62 at offset 4 (line 1)" in message_of(
        b"\xff\xfea\0b"
    )


def test_a_nul_byte_is_refused_with_a_word_about_utf_16() -> None:
    expected = (
        "song.txt is not plain text: there is a NUL byte at offset {}. If it is UTF-16 without a "
        "byte order mark, say --encoding utf-16-le or utf-16-be."
    )
    assert message_of(b"la la\0la") == expected.format(5)
    assert message_of("分开 abc\n".encode("utf-16-le")) == expected.format(2)  # 开 is U+5F00


def test_a_picture_is_not_a_text() -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0" + bytes(range(256))
    with pytest.raises(CorpusError, match=r"^song\.txt (is not plain text|cannot be decoded)"):
        decode(picture, name="song.txt")


# The form of the text.


def test_every_kind_of_line_break_becomes_a_line_feed() -> None:
    assert TextOptions().apply("one\r\ntwo\rthree\n\r\n\r\rfour") == "one\ntwo\nthree\n\n\n\nfour"


def test_line_breaks_become_spaces_on_request() -> None:
    assert TextOptions(newline="space").apply("one\r\ntwo\r\rthree\n") == "one two  three "


def test_letters_and_their_accents_are_composed_unless_told_not_to() -> None:
    apart = "cafe\u0301 \u1112\u1161\u11ab が"
    assert TextOptions().apply(apart) == "caf\u00e9 \ud55c が"
    assert TextOptions(normalize=False).apply(apart) == apart


def test_full_width_characters_stay_full_width() -> None:
    assert TextOptions().apply("，ＡＢ①ﬁ") == "，ＡＢ①ﬁ"


@settings(deadline=None, max_examples=60)
@given(st.text("ab\r\n\u0301é분\u1112\u1161"), st.booleans(), st.sampled_from(["keep", "space"]))
def test_text_in_the_right_form_stays_as_it_is(text: str, normalize: bool, newline: str) -> None:
    options = TextOptions(normalize=normalize, newline=newline)
    once = options.apply(text)
    assert options.apply(once) == once
    assert "\r" not in once
    assert newline == "keep" or "\n" not in once
    assert not normalize or unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"newline": "tab"}, "newline must be 'keep' or 'space', not 'tab'."),
        ({"limit": 0}, "limit must be a whole number from 1 up, not 0."),
        ({"limit": True}, "limit must be a whole number from 1 up, not True."),
        ({"limit": 2.5}, "limit must be a whole number from 1 up, not 2.5."),
        ({"normalize": 1}, "normalize must be true or false, not 1."),
    ],
)
def test_an_option_out_of_its_range_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        TextOptions(**options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_the_limit_counts_characters_of_the_finished_text(tmp_path: Path) -> None:
    path = file(tmp_path / "song.txt", "e\u0301\r\n\r\ne\u0301x")
    assert read_corpus([path], options=TextOptions(limit=4)).text == "é\n\né"
    assert read_corpus([path], options=TextOptions(limit=5)).text == "é\n\néx"
    assert read_corpus([path], options=TextOptions(limit=500)).text == "é\n\néx"


def test_the_limit_runs_over_all_files_together(tmp_path: Path) -> None:
    first, second = file(tmp_path / "1.txt", "abc"), file(tmp_path / "2.txt", "def")
    assert read_corpus([first, second], options=TextOptions(limit=6)).text == "abc\nde"


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
    assert read_corpus([b, str(a)]).text == "b\na\n"


def test_the_lines_of_two_files_never_run_together(tmp_path: Path) -> None:
    texts = ["", "first", "", "second\n", "third\r\n", "fourth\r", "fifth"]
    places = [file(tmp_path / f"{place}.txt", text) for place, text in enumerate(texts)]
    assert read_corpus(places).text == "first\nsecond\nthird\nfourth\nfifth"
    spaced = read_corpus(places, options=TextOptions(newline="space"))
    assert spaced.text == "first second third fourth fifth"


def test_a_directory_gives_every_text_file_below_it_in_sorted_order(tmp_path: Path) -> None:
    for name in ("z.txt", "b/2.txt", "b/1.TXT", "b/deep/er/0.txt", "a.txt", "c d/分开.txt"):
        file(tmp_path / "songs" / name, name + "\n")
    file(tmp_path / "songs" / "cover.png", "no text")
    file(tmp_path / "songs" / "notes.md", "no text")
    (tmp_path / "songs" / "folder.txt").mkdir()
    corpus = read_corpus([tmp_path / "songs"])
    assert corpus.text.split("\n") == [
        *("a.txt", "b/1.TXT", "b/2.txt", "b/deep/er/0.txt", "c d/分开.txt", "z.txt", "")
    ]
    assert names(corpus)[0] == str(tmp_path / "songs" / "a.txt")


def test_a_directory_without_text_is_an_error(tmp_path: Path) -> None:
    file(tmp_path / "cover.png", "no text")
    with pytest.raises(CorpusError) as caught:
        read_corpus([tmp_path])
    assert str(caught.value) == (f"There is no *.txt file in the directory {tmp_path} or below it.")


def test_a_glob_gives_the_files_that_match_in_sorted_order(tmp_path: Path) -> None:
    for name in ("song2.txt", "song1.txt", "song10.txt", "other.txt", "deep/er/song3.txt"):
        file(tmp_path / name, name + "\n")
    (tmp_path / "song_folder").mkdir()
    assert read_corpus([f"{tmp_path}/song*"]).text == "song1.txt\nsong10.txt\nsong2.txt\n"
    assert read_corpus([f"{tmp_path}/song[2-9].txt"]).text == "song2.txt\n"
    assert read_corpus([f"{tmp_path}/**/song[23].txt"]).text == "deep/er/song3.txt\nsong2.txt\n"


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
    assert read_corpus(places).text == "same\nsame\n"


def test_standard_input_is_read_in_its_place(tmp_path: Path) -> None:
    path = file(tmp_path / "song.txt", "file")
    corpus = read_corpus([path, "-", tmp_path], stdin=io.BytesIO("管道".encode("gb18030") * 9))
    assert corpus.text == "file\n" + "管道" * 9
    assert names(corpus) == [str(path), "standard input"]
    assert corpus.sources[1].encoding == "gb18030"


def test_standard_input_is_the_process_s_own_unless_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("分开".encode())))
    assert read_corpus(["-"]).text == "分开"


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
    assert corpus.text == "a\nb"
    assert names(corpus) == [f"{path}/a/分开.TXT", f"{path}/b.txt"]
    assert corpus.sources[1].sha256 == hashlib.sha256(b"b").hexdigest()


def test_an_archive_without_text_is_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "songs.zip", {"cover.png": "no text", "__MACOSX/a.txt": "shadow"})
    with pytest.raises(CorpusError) as caught:
        read_corpus([path])
    assert str(caught.value) == f"There is no *.txt file in the archive {path}."


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


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
def test_a_damaged_member_of_an_archive_is_an_error(tmp_path: Path, compression: int) -> None:
    path = archive(tmp_path / "songs.zip", {"a.txt": ENGLISH * 9}, compression)
    data = bytearray(path.read_bytes())
    for offset in range(60, 76):
        data[offset] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=f"^{re.escape(str(path))} cannot be read.*: .+[.]$"):
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
        f"{path} cannot be read as a zip archive: File 'a.txt' is encrypted, password required "
        "for extraction."
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


# What a corpus is known by, and its split.


def test_the_hash_of_a_corpus_is_that_of_its_text_however_it_was_stored(tmp_path: Path) -> None:
    plain = file(tmp_path / "plain.txt", SIMPLIFIED)
    other = file(tmp_path / "other.txt", SIMPLIFIED.replace("\n", "\r\n"), "gb18030")
    assert read_corpus([plain]).sha256 == hashlib.sha256(SIMPLIFIED.encode()).hexdigest()
    assert read_corpus([other]).sha256 == read_corpus([plain]).sha256
    shorter = read_corpus([plain], options=TextOptions(limit=20))
    assert shorter.sha256 != read_corpus([plain]).sha256
    half = Corpus("la\ud800", (), TextOptions())
    assert half.sha256 != Corpus("la", (), TextOptions()).sha256


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=50), st.floats(0, 0.5))
def test_a_split_cuts_once_and_holds_out_the_end(text: str, validation: float) -> None:
    training, held_out = split(text, validation)
    assert training + held_out == text
    assert len(held_out) <= validation * len(text) < len(held_out) + 1


def test_a_split_of_nothing_holds_out_nothing() -> None:
    assert split("abcdefghij", 0) == ("abcdefghij", "")
    assert split("abcdefghij", 0.2) == ("abcdefgh", "ij")
