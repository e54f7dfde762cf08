"""Where songs end in a text, and what it becomes."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError, RecipeError
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.earlier import Earlier
from charlstm.text.reading import read_corpus
from charlstm.text.separators import find_separator, separator_named, separator_of
from charlstm.text.songs import END, Songs, with_ends
from charlstm.text.splitting import may_be_split, split
from charlstm.text.twins import twins
from charlstm.text.vocabulary import UNKNOWN, Vocabulary


def song(number: int, lines: int = 6) -> str:
    """Return a song whose lines no other has."""
    random = Random(number)
    words = ["rain", "window", "late", "bread", "tram", "coat", "letter", "river", "salt"]
    return "\n".join(" ".join([*random.choices(words, k=4), f"{number}"]) for _ in range(lines))


def joined(many: int, between: str, before: str = "") -> str:
    return between.join(before.format(k) + song(k) for k in range(1, many + 1)) + "\n"


def parts(text: str) -> list[str]:
    """Return the songs of a marked text."""
    assert text.startswith(END)
    assert text.endswith("\n" + END)
    return text[1:-1].split(END)


TOLD_APART = {
    "rules": joined(6, "\n\n* * *\n\n"),
    "rules of hyphens": joined(6, "\n---\n"),
    "rules of equals signs": joined(6, "\n=====\n"),
    "titles": joined(6, "\n\n", "《第{}首》\n"),
    "empty lines": joined(6, "\n\n\n"),
    "many empty lines with spaces": joined(6, "\n \n\t\n\n"),
    "numbers": joined(6, "\n\n", "{}. Rain\n\n"),
    "numbers alone": joined(6, "\n", "{}\n"),
    "numbers after a word": joined(6, "\n\n", "Song {}\n"),
    "numbers after other words": joined(6, "\n\n", "No. {}\n\n") + "İ\n",
    "Chinese numbers": "\n".join(f"第{n}首\n{song(k)}" for k, n in enumerate("一二三四五六")),
    "Roman numbers": "\n\n".join(
        f"{n}\n\n{song(k)}" for k, n in enumerate(("I", "II", "III", "IV", "V", "VI", "VII"))
    ),
}


@pytest.mark.parametrize("kind", TOLD_APART)
def test_what_tells_songs_apart_is_found(kind: str) -> None:
    text = TOLD_APART[kind]
    separator = find_separator(text)
    assert separator is not None
    found = parts("".join(with_ends(separator.marked([text]))))
    assert len(found) == (7 if kind == "Roman numbers" else 6)
    assert all(one == one.strip() + "\n" for one in found)
    assert all(f" {k}\n" in one for k, one in enumerate(found, start=0 if " 0\n" in text else 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        song(1, 60),
        joined(30, "\n\n"),  # they may be stanzas
        joined(4, "\n\n\n"),  # too few
        joined(6, "\n\n\n").replace("\n\n\n", "\n\n\n", 1).replace(song(3), song(3, 900)),
        "la\n\n\n" * 9,  # nothing that short is a song
        "".join(f"verse {k % 2 + 1}.\n{song(k)}\n" for k in range(12)),
        "\n".join(f"{k % 3 + 1}. {song(k)}" for k in range(12)),  # they begin again
        "\n".join(f"{n}. kar\n{song(k)}" for k, n in enumerate(["İ", "İİ", "İİİ", "İV", "V"])),
    ],
)
def test_a_text_without_songs_is_one_stream(text: str) -> None:
    assert find_separator(text) is None


def test_a_book_has_chapters_and_no_songs() -> None:
    assert find_separator("\n\n\n".join(song(k, 400) for k in range(12))) is None


@given(st.data())
@settings(max_examples=60)
def test_it_does_not_matter_how_a_text_is_cut_into_pieces(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(list(TOLD_APART.values()))) + data.draw(
        st.text("ab 《》*\n\n\n\t--1.", max_size=40)
    )
    names = ("rules", "titles", "empty lines", "numbers", "files", None)
    name = data.draw(st.sampled_from(names))
    pattern = data.draw(st.sampled_from(["^$", "-- ", " *", "[a-c]+"]))
    separator = separator_of(pattern) if name is None else separator_named(name)
    assert separator is not None
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = "".join(with_ends(separator.marked([text])))
    assert "".join(with_ends(separator.marked(pieces))) == whole
    # A text that is marked already stays as it is.
    assert "".join(with_ends([whole])) == whole


@given(st.text("a \n" + END, max_size=60))
def test_a_song_ends_with_one_line_break_and_nothing_of_it_is_lost(text: str) -> None:
    marked = "".join(with_ends([text]))
    assert "".join(marked.split()).replace(END, "") == "".join(text.split()).replace(END, "")
    assert marked.startswith(END)
    for one in marked.split(END)[1:-1]:
        assert one.strip()
        assert one == one.rstrip() + "\n"
        assert one.partition("\n")[0].strip()
    assert marked.split(END)[-1] == ""


def test_a_line_of_letters_is_the_title_of_its_song_and_another_is_left_out() -> None:
    text = "one\nEND OF SIDE\ntwo\n~x\nthree\n"
    titles = separator_of("[A-Z ]+")
    assert parts("".join(with_ends(titles.marked([text])))) == [
        "one\n",
        "END OF SIDE\ntwo\n~x\nthree\n",
    ]
    rules = separator_of("~+|#+")
    assert parts("".join(with_ends(rules.marked([text.replace("~x", "~~")])))) == [
        "one\nEND OF SIDE\ntwo\n",
        "three\n",
    ]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{99999999999999999999}", "(" * 5000])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(RecipeError, match="auto, off or a regular expression"):
        TextOptions(songs=pattern)


def test_a_pattern_may_be_any_regular_expression() -> None:
    for pattern in (
        "(?i)side [ab]",
        "^side [AB]$|^SIDE .$",
        "[[]x|SIDE A|SIDE B",
        "SIDE (?P<of>.)",
    ):
        marked = separator_of(pattern).marked(["SIDE A\none\nSIDE B\ntwo\n"])
        assert parts("".join(with_ends(marked))) == ["SIDE A\none\n", "SIDE B\ntwo\n"]


def test_songs_need_lines() -> None:
    with pytest.raises(RecipeError, match="needs the lines of the text"):
        TextOptions(songs="^$", newline="space")


def read(tmp_path: Path, text: str | dict[str, str], **options: object) -> Corpus:
    files = {"songs.txt": text} if isinstance(text, str) else text
    paths = []
    for name, content in files.items():
        paths.append(tmp_path / name)
        paths[-1].write_text(content, encoding="utf-8")
    return read_corpus(paths, options=TextOptions(**options))  # type: ignore[arg-type]


def test_a_corpus_of_songs_says_how_many_and_how_long(tmp_path: Path) -> None:
    text = "\n\n\n".join(song(k, k + 3) for k in range(7))
    corpus = read(tmp_path, text)
    lengths = sorted(len(song(k, k + 3)) + 1 for k in range(7))
    assert corpus.songs == Songs(7, lengths[0], lengths[3], lengths[-1], "empty lines")
    assert corpus.characters == sum(lengths)
    assert len(corpus) == corpus.characters + 8
    assert corpus.text == END + "".join(song(k, k + 3) + "\n" + END for k in range(7))
    assert corpus.text[int(corpus.ends[3])] == END
    assert corpus.lines == sum(k + 3 for k in range(7))


def test_every_file_is_a_song_where_there_are_several(tmp_path: Path) -> None:
    files = {f"{k}.txt": f"\n\n{song(k)}\n\n" for k in range(6)}
    corpus = read(tmp_path, files)
    assert parts(corpus.text) == [song(k) + "\n" for k in range(6)]
    assert corpus.songs is not None
    assert corpus.songs.parted == "files"
    # Songs within the files are told apart as well, where the files alone are too few.
    few = {"a.txt": joined(3, "\n\n\n"), "b.txt": joined(4, "\n\n\n")}
    assert len(parts(read(tmp_path, few).text)) == 7


def test_a_stream_stays_what_it_was(tmp_path: Path) -> None:
    text = joined(6, "\n\n\n")
    corpus = read(tmp_path, text, songs="off")
    assert (corpus.text, corpus.songs, len(corpus.ends)) == (text, None, 0)
    assert read(tmp_path, text, newline="space").songs is None


def test_what_is_measured_is_parted_as_the_songs_were_that_were_learned(tmp_path: Path) -> None:
    stanzas, titled = joined(6, "\n\n\n"), joined(6, "\n\n\n", "《第{}首》\n")
    for text, parted, number in (
        (stanzas, "files", 1),  # a song with two empty lines between its stanzas
        (stanzas, "rules", 6),
        (titled, "titles", 6),
        (song(1), "titles", 1),
    ):
        path = tmp_path / "text.txt"
        path.write_text(text, encoding="utf-8")
        corpus = read_corpus([path], earlier=Earlier(parted=parted, closed=True))
        assert corpus.text.count(END) == number + 1 or (corpus.songs is None and number == 1)


def test_a_pattern_that_parts_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"There is only one song in .*songs\.txt when it is parted"
    ):
        read(tmp_path, song(1), songs="~~~")


def test_whole_songs_are_held_out_as_near_to_the_share_as_they_allow(tmp_path: Path) -> None:
    corpus = read(tmp_path, joined(20, "\n\n\n"))
    cut = split(corpus, 0.1)
    assert cut in corpus.ends
    held_out = "".join(corpus.pieces(cut))
    assert parts(held_out) == [song(k) + "\n" for k in (19, 20)]
    distances = np.abs(corpus.ends[1:-1] - 0.9 * len(corpus))
    assert abs(cut - 0.9 * len(corpus)) <= distances.min() + 1
    assert may_be_split(corpus, 0.1, cut)
    assert not may_be_split(corpus, 0.1, cut - 1)
    assert split(corpus, 0.0) == len(corpus)


def test_songs_that_are_learned_as_well_are_found(tmp_path: Path) -> None:
    songs = [song(k) for k in range(20)]
    songs[18] = songs[4].replace("rain", "snow", 1)
    corpus = read(tmp_path, "\n\n\n".join(songs))
    assert twins(corpus, split(corpus, 0.1)) == [songs[18].partition("\n")[0]]
    assert twins(read(tmp_path, joined(20, "\n\n\n")), split(corpus, 0.1)) == []


def test_the_end_of_a_song_has_an_id_whatever_its_number() -> None:
    vocabulary = Vocabulary.build(END + "aab" + END, min_count=3)
    assert vocabulary.end is not None
    assert vocabulary.end != UNKNOWN
    assert vocabulary.size == 0
    assert vocabulary.encode("ab").tolist() == [UNKNOWN, UNKNOWN]
    stream = Vocabulary.build("aab")
    assert (stream.end, stream.size) == (None, 2)
    assert Vocabulary.build(END + "ab" + END).seen_once == 1.0
