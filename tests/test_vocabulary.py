from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.errors import CorpusError
from charlstm.text import vocabulary
from charlstm.text.corpus import Alphabet, Corpus, TextOptions
from charlstm.text.vocabulary import UNKNOWN, Tokens, Vocabulary

# Whatever a Python string can hold, lone surrogates included.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)
# Few characters, so that many counts are equal.
FEW = st.text("分开ab\n😀\ud800\uffff", max_size=40)

quick = settings(deadline=None, max_examples=40)


def listed(text: str, min_count: int = 1) -> list[str]:
    counts = Counter(text)
    kept = [character for character in counts if counts[character] >= min_count]
    return sorted(kept, key=lambda character: (-counts[character], ord(character)))


@quick
@given(ANYTHING)
def test_any_text_comes_back_from_its_ids(text: str) -> None:
    known = Vocabulary.build(text)
    ids = known.encode(text)
    assert known.decode(ids) == text
    assert UNKNOWN not in ids
    assert len(known) == len(set(text)) + 1


@quick
@given(FEW, st.integers(1, 4))
def test_characters_stand_by_falling_count_and_then_by_code_point(
    text: str, min_count: int
) -> None:
    assert Vocabulary.build(text, min_count=min_count).characters == "".join(
        listed(text, min_count)
    )


@quick
@given(FEW, st.integers(1, 4))
def test_the_counts_are_those_of_the_text_and_sum_to_its_length(text: str, min_count: int) -> None:
    known = Vocabulary.build(text, min_count=min_count)
    kept = listed(text, min_count)
    rare = sum(1 for character in text if character not in kept)
    assert known.counts == (rare, *(text.count(character) for character in kept))
    assert sum(known.counts) == len(text)


@quick
@given(st.permutations("分分分开开开ab😀\n\n"))
def test_the_order_of_the_text_does_not_matter(characters: Sequence[str]) -> None:
    assert Vocabulary.build("".join(characters)) == Vocabulary.build("分分分开开开ab😀\n\n")


@quick
@given(FEW, FEW, st.integers(1, 3))
def test_ids_are_places_in_the_order_and_everything_else_is_unknown(
    text: str, other: str, min_count: int
) -> None:
    known = Vocabulary.build(text, min_count=min_count)
    kept = listed(text, min_count)
    ids = known.encode(other)
    assert ids.tolist() == [kept.index(c) + 1 if c in kept else 0 for c in other]
    assert known.decode(ids) == "".join(c if c in kept else "\ufffd" for c in other)
    assert [c in known for c in other] == [c in kept for c in other]


def test_a_vocabulary_reads_as_one_would_write_it_down() -> None:
    known = Vocabulary.build("banana 分开 banana")
    assert known.characters == "an b分开"
    assert known.counts == (0, 6, 4, 2, 2, 1, 1)
    assert len(known) == 7
    assert known.encode("nabob").tolist() == [2, 1, 4, 0, 4]
    assert known.decode([4, 1, 2, 0, 6]) == "ban\ufffd开"
    assert known.decode(np.array([5, 6], dtype=np.uint16)) == "分开"


def test_rare_characters_become_unknown_from_the_count_that_is_asked_for() -> None:
    text = "aaabbc"
    assert Vocabulary.build(text, min_count=0).characters == "abc"
    assert Vocabulary.build(text, min_count=1).characters == "abc"
    assert Vocabulary.build(text, min_count=2).characters == "ab"
    assert Vocabulary.build(text, min_count=3).characters == "a"
    nothing = Vocabulary.build(text, min_count=4)
    assert nothing.characters == ""
    assert nothing.counts == (6,)
    assert nothing.encode(text).tolist() == [0] * 6


def test_nothing_makes_a_vocabulary_of_the_unknown_alone() -> None:
    known = Vocabulary.build("")
    assert len(known) == 1
    assert known.counts == (0,)
    assert known.encode("").tolist() == []
    assert known.decode([]) == ""
    assert known.encode("a").tolist() == [0]


def test_characters_beyond_the_first_plane_are_one_id_each() -> None:
    text = "😀𠮷😀\U0010ffff"
    known = Vocabulary.build(text)
    assert known.characters == "😀𠮷\U0010ffff"
    assert known.encode(text).tolist() == [1, 2, 1, 3]
    # The code points whose last 16 bits are the same are not the same character.
    assert known.encode(chr(ord("😀") & 0xFFFF) + "\uffff").tolist() == [0, 0]


def test_two_halves_of_a_surrogate_pair_are_two_characters_and_not_the_one() -> None:
    text = "\ud83d\ude00😀"
    known = Vocabulary.build(text)
    assert known.characters == "\ud83d\ude00😀"
    assert known.decode(known.encode(text)) == text


def test_only_single_characters_are_in_a_vocabulary() -> None:
    known = Vocabulary.build("ab")
    assert "a" in known
    assert "ab" not in known
    assert "" not in known
    assert 1 not in known
    assert "\ufffd" not in known


@settings(deadline=None, max_examples=20)
@given(FEW, st.integers(1, 5))
def test_a_text_longer_than_a_piece_is_read_as_one(text: str, piece: int) -> None:
    whole = Vocabulary.build(text)
    ids = whole.encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "_PIECE", piece)
        assert Vocabulary.build(text) == whole
        assert whole.encode(text).tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("characters", "kind"), [(65_535, np.dtype(np.uint16)), (65_536, np.dtype(np.uint32))]
)
def test_ids_are_two_bytes_wide_as_long_as_they_fit(
    characters: int, kind: np.dtype[np.generic]
) -> None:
    text = "".join(map(chr, range(1, characters + 1)))
    known = Vocabulary(text, [0] + [1] * characters)
    ids = known.encode("\1" + text[-1])
    assert len(known) == characters + 1
    assert ids.dtype == kind
    assert ids.tolist() == [1, characters]
    assert known.decode(ids) == "\1" + text[-1]


def test_a_vocabulary_is_rebuilt_from_its_characters_and_counts() -> None:
    text = "分开不分开 la la\n\ud800😀"
    known = Vocabulary.build(text, min_count=2)
    again = Vocabulary(known.characters, list(known.counts))
    assert again == known
    assert again.encode(text).tolist() == known.encode(text).tolist()


def test_vocabularies_are_equal_by_content_and_are_no_keys() -> None:
    known = Vocabulary("ab", [0, 2, 1])
    assert known == Vocabulary("ab", (0, 2, 1))
    assert known != Vocabulary("ba", [0, 2, 1])
    assert known != Vocabulary("ab", [1, 2, 1])
    assert known != "ab"
    with pytest.raises(TypeError, match="unhashable"):
        hash(known)


@pytest.mark.parametrize(
    ("characters", "counts", "message"),
    [
        ("aba", [0, 1, 1, 1], "A vocabulary cannot hold the same character twice."),
        (
            "ab",
            [1, 1],
            "A vocabulary of 2 characters and <unk> needs as many counts, none negative; there "
            "are 2.",
        ),
        (
            "ab",
            [0, 2, -1],
            "A vocabulary of 2 characters and <unk> needs as many counts, none negative; there "
            "are 3.",
        ),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(
    characters: str, counts: list[int], message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        Vocabulary(characters, counts)
    assert str(caught.value) == message


def test_the_share_seen_once_is_of_the_characters_that_were_kept() -> None:
    assert Vocabulary.build("aabc").seen_once == pytest.approx(2 / 3)
    assert Vocabulary.build("aabbc", min_count=2).seen_once == 0
    assert Vocabulary.build("").seen_once == 0


def test_a_vocabulary_grows_behind_its_own_characters() -> None:
    old, text = Vocabulary.build("banana"), "nab 分开 分 nab"
    grown = old.grown(Vocabulary.build(text), text)
    # The old ones in their order, then those that are new in the order of the other.
    assert grown.characters == "anb 分开"
    assert grown.counts == (0, 2, 2, 2, 3, 2, 1)
    assert grown.encode("banana").tolist() == old.encode("banana").tolist()


@quick
@given(FEW, FEW, st.integers(1, 3), st.integers(1, 3))
def test_a_grown_vocabulary_keeps_every_id_and_counts_the_new_text(
    text: str, other: str, min_count: int, other_min_count: int
) -> None:
    old = Vocabulary.build(text, min_count=min_count)
    new = Vocabulary.build(other, min_count=other_min_count)
    grown = old.grown(new, other)
    assert grown.characters.startswith(old.characters)
    added = grown.characters.removeprefix(old.characters)
    assert added == "".join(character for character in new.characters if character not in old)
    known = listed(text, min_count) + list(added)
    unknown = sum(1 for character in other if character not in known)
    assert grown.counts == (unknown, *(other.count(character) for character in known))
    # Whatever counts as unknown is what is read as unknown.
    assert grown.encode(other).tolist().count(UNKNOWN) == unknown


def test_characters_that_the_new_text_lacks_keep_their_ids_and_count_nothing() -> None:
    grown = Vocabulary.build("aab").grown(Vocabulary.build("cc"), "cc")
    assert grown == Vocabulary("abc", [0, 0, 0, 2])


def test_a_rare_new_character_is_unknown_and_a_rare_old_one_is_not() -> None:
    text = "xxxay"
    grown = Vocabulary.build("aab").grown(Vocabulary.build(text, min_count=2), text)
    assert grown == Vocabulary("abx", [1, 1, 0, 3])


@quick
@given(ANYTHING, FEW, st.integers(1, 3))
def test_a_vocabulary_is_the_same_made_from_a_text_and_from_its_counts(
    text: str, other: str, min_count: int
) -> None:
    known = Vocabulary.build(text, min_count=min_count)
    assert Vocabulary.build(Counter(text), min_count=min_count) == known
    backwards = dict(sorted(Counter(text).items(), reverse=True))
    assert Vocabulary.build(backwards, min_count=min_count) == known
    assert known.grown(known, Counter(other)) == known.grown(known, other)


# A stretch of a corpus.


def held(text: str) -> Corpus:
    alphabet = Alphabet("zy")  # which the text need not have
    return Corpus(alphabet.encode(text), alphabet, (), TextOptions(), "")


@quick
@given(FEW, st.text("分开abcd\n", max_size=20), st.data())
def test_a_stretch_of_a_corpus_is_looked_at_as_its_ids_are(
    text: str, learned: str, data: st.DataObject
) -> None:
    known = Vocabulary.build(learned, min_count=2)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    tokens, expected = Tokens(held(text), known, start, end), known.encode(text[start:end])
    assert len(tokens) == len(expected)
    piece = data.draw(st.slices(len(expected)))
    assert tokens[piece].tolist() == expected[piece].tolist()
    assert tokens[piece].dtype == expected.dtype
    if end > start:
        places = data.draw(st.lists(st.integers(0, end - start - 1), min_size=6, max_size=6))
        matrix = np.array(places).reshape(2, 3)
        assert tokens[matrix].tolist() == expected[matrix].tolist()
        with pytest.raises(IndexError):
            tokens[matrix + end - start]


def test_a_stretch_of_a_corpus_has_ids_of_four_bytes_where_the_vocabulary_does() -> None:
    characters = "".join(map(chr, range(0x1_0000, 0x2_0010)))
    known = Vocabulary(characters, [0] + [1] * len(characters))
    tokens = Tokens(held("a" + characters[-2:]), known, 0, 3)
    assert tokens[:].tolist() == [UNKNOWN, len(characters) - 1, len(characters)]
    assert tokens[:].dtype == np.uint32
