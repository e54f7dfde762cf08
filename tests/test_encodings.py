from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError
from charlstm.text.encodings import decode, decoded, find_encoding

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


def message_of(data: bytes, encoding: str | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        decode(data, name="song.txt", encoding=encoding)
    return str(caught.value)


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
        "does not belong there. Repair the file, or name its encoding with encoding (gb18030, "
        "big5, shift_jis, cp1252 are common)."
    )


@pytest.mark.parametrize(
    "encoding", ["gb18031", "rot13", "undefined", "", "utf\0", "\ud800", "idna", "punycode"]
)
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
        "not belong there. Repair the file, or name its encoding with encoding (gb18030, big5, "
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
        "byte order mark, say encoding='utf-16-le' or utf-16-be."
    )
    assert message_of(b"la la\0la") == expected.format(5)
    assert message_of("分开 abc\n".encode("utf-16-le")) == expected.format(2)  # 开 is U+5F00


def test_a_place_after_a_byte_order_mark_is_counted_from_the_beginning() -> None:
    assert "byte 0xff at offset 9 (line 2)" in message_of(
        b"\xef\xbb\xbfla la\xff"[:6] + b"\nab\xff"
    )
    assert "byte 0xff at offset 3 (line 1)" in message_of(b"\xef\xbb\xbf\xff")


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_only_one_byte_order_mark_is_taken_away(codec: str) -> None:
    assert decode("\ufeffla".encode(codec), name="song.txt") == ("\ufeffla", codec)
    assert decode("\ufeffla".encode(codec), name="song.txt", encoding=codec)[0] == "\ufeffla"
    marked = "\ufeff\ufeffla".encode("gb18030")
    assert decode(marked, name="song.txt", encoding="gb18030")[0] == "\ufeffla"


def test_half_a_surrogate_pair_is_an_error_that_says_which_character_it_is() -> None:
    assert message_of("la 😀 ".encode("utf-7") + b"+2D0-", encoding="utf-7") == (
        "song.txt is not text in utf-7: character 5 is half a surrogate pair."
    )


# A text comes in pieces, wherever they are cut.

CODECS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-7"),
    *("gb18030", "gbk", "hz", "big5", "big5hkscs", "shift_jis", "euc-jp", "iso2022_jp", "euc-kr"),
    *("johab", "cp1252", "latin-1", "cp949", "koi8-r", "ascii"),
)
LINES = st.text("la \n\r\ufeff\x1b~+é分开밤ひ😀𠮷\u0301Ω", max_size=30)


@st.composite
def stored(draw: st.DrawFn) -> tuple[bytes, str]:
    """Return a text as bytes, perhaps damaged, and the encoding it is in."""
    codec = draw(st.sampled_from(CODECS))
    data = draw(LINES).encode(codec, "ignore") * draw(st.integers(1, 3))
    at = draw(st.integers(0, len(data)))
    damage = draw(
        st.sampled_from([b"", b"", b"", b"\xff", b"\0", b"\xe5\x88", b"\n\x1b$B", b"\xd8"])
    )
    return data[:at] + damage + data[at + draw(st.integers(0, 2)) :], codec


def outcome(data: bytes, size: int, encoding: str | None) -> tuple[str, str]:
    def pieces() -> Iterator[bytes]:
        yield from (data[at : at + size] for at in range(0, len(data), size))

    try:
        found = find_encoding(pieces, name="song.txt", encoding=encoding)
        return found.encoding, "".join(decoded(pieces, found.encoding, name="song.txt"))
    except CorpusError as error:
        return "refused", str(error)


@settings(deadline=None, max_examples=250)
@given(stored(), st.booleans(), st.integers(1, 7))
def test_neither_a_text_nor_an_error_depends_on_where_pieces_are_cut(
    text: tuple[bytes, str], told: bool, size: int
) -> None:
    data, codec = text
    # Without a mark utf-16 is refused in any case, and for the first of two reasons.
    unmarked = codec in ("utf-16", "utf-32") and not data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encoding = codec if told and not unmarked else None
    assert outcome(data, size, encoding) == outcome(data, 1 << 20, encoding)


def test_utf_16_without_a_mark_is_read_where_the_order_of_its_bytes_is_told() -> None:
    data = SIMPLIFIED.encode("utf-16-le")
    for size in (1, 3, 1000):
        _, message = outcome(data, size, "utf-16")
        assert "cannot be decoded as utf-16: byte 0x1c at offset 0 (line 1)" in message
        assert outcome(data, size, "utf-16-le") == ("utf-16-le", SIMPLIFIED)


def test_a_picture_is_not_a_text() -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0" + bytes(range(256))
    with pytest.raises(CorpusError, match=r"^song\.txt is a picture"):
        decode(picture, name="song.txt")


# What is no text at all is called by its name.


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF"),
        (b"PK\x03\x04\x14\0\0\0[Content_Types].xmlPK\x03\x04word/document.xml", "a Word document"),
        (b"PK\x03\x04\n\0\0\0mimetypeapplication/epub+zipPK", r"an e-book \(ePub\)"),
        (b"PK\x03\x04\n\0\0\0anything", r"an archive \(zip\)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"a picture \(PNG\)"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", r"a picture \(JPEG\)"),
    ],
)
def test_a_document_or_a_picture_is_called_what_it_is_and_not_utf_16(
    data: bytes, kind: str
) -> None:
    with pytest.raises(CorpusError, match=rf"^song\.txt is {kind}.*, not plain text: save ") as got:
        decode(data, name="song.txt")
    assert "UTF-16" not in str(got.value)


def test_a_song_about_a_pdf_is_a_song() -> None:
    assert decode(b"PK and %PDF- are two words\n", name="song.txt")[1] == "utf-8"
