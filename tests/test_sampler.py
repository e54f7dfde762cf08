import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlstm.errors import RecipeError, UnknownCharactersError
from charlstm.model.cells import Array
from charlstm.model.charlm import CharLM
from charlstm.model.network import Network, State
from charlstm.model.reader import Standing
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.text.corpus import TextOptions
from charlstm.text.unseen import lookalike, readable
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.drawer import fresh_seed
from charlstm.writing.sampler import Sampler

GREEDY = Decoding(temperature=0, allow_loops=True)
LETTERS = "分开不说我们 ，。abcé\n"
WORDS = Vocabulary.build(LETTERS)
ONE_LINE = Vocabulary.build(LETTERS.replace("\n", ""))


def trained(architecture: Architecture, vocabulary_size: int, seed: int = 1) -> CharLM:
    """Return a model that is as sure of itself as one that has learned."""
    model = CharLM(architecture, vocabulary_size)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.7, generator=generator)
    return model.eval()


def network_of(model: CharLM) -> Network:
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    return Network(model.architecture, weights, model.vocabulary_size)


def sampler_of(model: CharLM, vocabulary: Vocabulary, **options: Any) -> Sampler:
    return Sampler(network_of(model), vocabulary, TextOptions(**options))


# No fixture, so that many examples can share it.
TINY = sampler_of(trained(Architecture(hidden=4), 6), Vocabulary.build("abc \n"))


@pytest.fixture(scope="module")
def model() -> CharLM:
    return trained(Architecture(hidden=12, embedding=5), len(WORDS), seed=10)


@pytest.fixture(scope="module")
def sampler(model: CharLM) -> Sampler:
    return sampler_of(model, WORDS)


@pytest.fixture(scope="module")
def line_sampler() -> Sampler:
    return sampler_of(trained(Architecture(hidden=12), len(ONE_LINE), seed=8), ONE_LINE)


def greedy(model: CharLM, ids: list[int], length: int) -> list[int]:
    """Continue `ids` with the likeliest character each time, by the torch model alone."""
    written: list[int] = []
    with torch.no_grad():
        for _ in range(length):
            text = torch.tensor(ids + written)[:, None]
            logits, _ = model(text, model.zero_state(1))
            written.append(1 + int(logits[-1, 0, 1:].argmax()))
    return written


@pytest.mark.parametrize("embedding", [0, 5], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_network_gives_the_logits_of_the_torch_model(
    cell: str, layers: int, embedding: int
) -> None:
    model = trained(Architecture(cell, 7, layers, embedding), 9)
    ids = np.random.default_rng(2).integers(0, 9, size=30)
    with torch.no_grad():
        expected, _ = model(torch.from_numpy(ids)[:, None], model.zero_state(1))
    network = network_of(model)
    state = network.start()
    found = [network.step(state, np.array([character])).copy() for character in ids]
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(np.stack(found), expected.numpy(), rtol=0, atol=1e-4)
    assert np.ptp(expected.numpy(), axis=0).max() > 0.1


@pytest.mark.parametrize("cell", CELLS)
def test_several_streams_at_once_equal_each_alone(cell: str) -> None:
    network = network_of(trained(Architecture(cell, 7, 2, 5), 9))
    ids = np.random.default_rng(2).integers(0, 9, size=(20, 3))
    together = network.start(3)
    alone = [network.start() for _ in range(3)]
    for characters in ids:
        found = network.step(together, characters)
        assert found.shape == (3, 9)
        for stream, state in enumerate(alone):
            expected = network.step(state, characters[stream : stream + 1])
            np.testing.assert_allclose(found[stream], expected[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_a_copied_state_goes_its_own_way(cell: str) -> None:
    network = network_of(trained(Architecture(cell, 7, 2, 5), 9))

    def read(state: Any, ids: list[int]) -> NDArray[np.float32]:
        return np.stack([network.step(state, np.array([character])).copy() for character in ids])

    state = network.start()
    read(state, [1, 2, 3])
    copy = state.copy()
    first = read(state, [4, 5, 6])
    second = read(copy, [4, 5, 6])
    np.testing.assert_array_equal(first, second)
    other = read(network.start(), [1, 2, 3, 7])
    assert not np.array_equal(other[-1], first[0])


def numbers(state: Standing) -> list[NDArray[np.float32]]:
    assert isinstance(state, State)
    return [part for layer in state.layers for part in (layer.h, layer.c, layer.products)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_streams_taken_and_recalled_go_on_as_each_would_alone(cell: str, layers: int) -> None:
    network = network_of(trained(Architecture(cell, 7, layers, 5), 9))
    rng = np.random.default_rng(2)

    def alone(*parts: NDArray[np.int64] | list[int]) -> Array:
        state = network.start()
        for part in parts:
            for character in part:
                network.step(state, int(character))
        return state.logits

    read = rng.integers(0, 9, size=(6, 3))
    many, one = network.start(3), network.start()
    for characters in read:
        network.step(many, characters)
    network.step(one, 4)
    taken = many.take([2, 0, 0])
    memory = taken.remember()
    recalled = network.gather([(memory, stream) for stream in range(3)])
    begun = [read[:, 2], read[:, 0], read[:, 0]]
    later = rng.integers(0, 9, size=(5, 3))
    before = [part.copy() for state in (many, one, taken) for part in numbers(state)]
    for place in range(6):
        expected = np.concatenate([alone(begun[k], later[:place, k]) for k in range(3)])
        np.testing.assert_allclose(recalled.logits, expected, rtol=0, atol=1e-4)
        if place < 5:
            network.step(recalled, later[place])
    assert not np.allclose(recalled.logits[1], recalled.logits[2])

    # What they were made of stands where it stood, and goes on by itself too.
    after = [part for state in (many, one, taken) for part in numbers(state)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    network.step(many, np.array([1, 2, 3]))
    network.step(taken, np.array([4, 5, 6]))
    expected = np.concatenate([alone(read[:, k], [k + 1]) for k in range(3)])
    np.testing.assert_allclose(many.logits, expected, rtol=0, atol=1e-4)
    expected = np.concatenate([alone(read[:, k], [c]) for k, c in ((2, 4), (0, 5), (0, 6))])
    np.testing.assert_allclose(taken.logits, expected, rtol=0, atol=1e-4)


def test_reading_stands_where_stepping_by_hand_does(
    model: CharLM, sampler: Sampler, line_sampler: Sampler
) -> None:
    for each, text, read in (
        (sampler, "", "\n"),
        (sampler, "分开", "\n分开"),
        (line_sampler, "", ""),
        (line_sampler, "分开", "分开"),
    ):
        by_hand = each.network.start()
        for character in each.vocabulary.encode(read):
            each.network.step(by_hand, int(character))
        state = each.read(text)
        assert state.logits.shape == (1, len(each.vocabulary))
        np.testing.assert_array_equal(state.logits, by_hand.logits)
    with torch.no_grad():
        ids = torch.from_numpy(WORDS.encode("\n分开").astype(np.int64))[:, None]
        expected = model(ids, model.zero_state(1))[0][-1].numpy()
    np.testing.assert_allclose(sampler.read("分开").logits, expected, rtol=0, atol=1e-4)


def test_what_is_read_is_treated_as_a_prefix_is(sampler: Sampler) -> None:
    def logits(text: str, unknown: str = "error") -> Array:
        return sampler.read(text, unknown).logits

    np.testing.assert_array_equal(logits("e\u0301\r\n"), logits("é\n"))
    np.testing.assert_array_equal(logits("分,离", "skip"), logits("分"))
    np.testing.assert_array_equal(logits("分,A", "map"), logits("分，a"))
    with pytest.raises(UnknownCharactersError, match=r"^The model has never seen '离' of the "):
        sampler.read("离")


def measured_by_torch(model: CharLM, read: list[int], ids: list[int]) -> NDArray[np.float64]:
    with torch.no_grad():
        logits, _ = model(torch.tensor(read + ids)[:, None], model.zero_state(1))
        logs = torch.log_softmax(logits[:, 0].double(), dim=1)
    return np.array([float(logs[len(read) - 1 + k, ids[k]]) for k in range(len(ids))])


@pytest.mark.parametrize("prefix", ["", "不分开\n", "分离,A"])
@pytest.mark.parametrize("text", ["说好不分开", "分", "离我们", "\n\n"])
def test_how_likely_a_text_is_is_what_the_torch_model_says(
    model: CharLM, sampler: Sampler, prefix: str, text: str
) -> None:
    # The prefix is read with what is nearest in place of the unknown.
    read = WORDS.encode("\n" + prefix.replace(",", "，").replace("A", "a")).tolist()
    expected = measured_by_torch(model, read, WORDS.encode(text).tolist())
    found = sampler.log_probabilities(text, prefix)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert np.ptp(np.concatenate((found, sampler.log_probabilities("分，é\n", prefix)))) > 0.5


def test_the_probabilities_of_all_characters_and_the_unknown_add_up_to_one(
    sampler: Sampler, line_sampler: Sampler
) -> None:
    for each in (sampler, line_sampler):
        for prefix in ("", "分开"):
            logs = [
                each.log_probabilities(character, prefix)[0]
                for character in each.vocabulary.characters + "离"
            ]
            assert math.fsum(map(math.exp, logs)) == pytest.approx(1, abs=1e-9)


def test_without_a_prefix_a_text_is_read_from_its_beginning(sampler: Sampler) -> None:
    assert (sampler.read().logits == sampler.read("").logits).all()
    assert (sampler.log_probabilities("分开") == sampler.log_probabilities("分开", "")).all()


def test_nothing_has_no_probabilities(sampler: Sampler) -> None:
    assert sampler.log_probabilities("", "分开").shape == (0,)


def test_a_text_is_measured_from_a_state_as_from_its_prefix_and_leaves_the_state(
    sampler: Sampler,
) -> None:
    state = sampler.read("分开")
    before = [part.copy() for part in numbers(state)]
    for _ in range(2):
        found = sampler.log_probabilities("我们", state=state)
        np.testing.assert_array_equal(found, sampler.log_probabilities("我们", "分开"))
    for old, new in zip(before, numbers(state), strict=True):
        np.testing.assert_array_equal(old, new)


def test_greedy_text_is_what_the_torch_model_finds_likeliest(
    model: CharLM, sampler: Sampler
) -> None:
    # The line break that comes first is read too.
    ids = WORDS.encode("\n分开").tolist()
    expected = WORDS.decode(greedy(model, ids, 25))
    assert len(set(expected)) > 3
    for seed in (1, 2):
        assert sampler.generate("分开", length=25, decoding=GREEDY, seed=seed) == "分开" + expected


def test_the_same_seed_writes_the_same_text_and_others_write_others(sampler: Sampler) -> None:
    texts = [sampler.generate("分开", length=60, seed=seed) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_without_a_seed_every_text_is_another(sampler: Sampler) -> None:
    assert sampler.generate("分开", length=60) != sampler.generate("分开", length=60)


def test_fresh_seeds_come_from_four_thousand_million() -> None:
    seeds = {fresh_seed() for _ in range(50)}
    assert len(seeds) == 50
    assert 2**28 < max(seeds) < 2**32


def test_the_default_decoding_has_temperature_four_fifths_and_cuts_nothing(
    sampler: Sampler,
) -> None:
    plain = sampler.generate("分开", length=60, seed=4)
    everything = Decoding(0.8, 0, 1.0, 0.0, 0, allow_loops=False)
    assert plain == sampler.generate("分开", length=60, seed=4, decoding=everything)
    assert plain != sampler.generate("分开", length=60, seed=4, decoding=Decoding(1.6))


@pytest.mark.parametrize(
    "decoding",
    [GREEDY, Decoding(), Decoding(100), Decoding(1, top_k=1), Decoding(1, top_p=0.01)],
)
@pytest.mark.parametrize("prefix", ["", "分开"])
def test_the_unknown_character_is_never_written(decoding: Decoding, prefix: str) -> None:
    for vocabulary in (WORDS, ONE_LINE):
        model = trained(Architecture(hidden=12), len(vocabulary))
        with torch.no_grad():
            model.head.bias[0] = 1e6
        sampler = sampler_of(model, vocabulary)
        text = sampler.generate(prefix, length=100, decoding=decoding, seed=1)
        assert len(text) == len(prefix) + 100
        assert set(text) <= set(vocabulary.characters)


def test_an_empty_prefix_begins_a_line_where_the_vocabulary_has_line_breaks(
    model: CharLM, sampler: Sampler
) -> None:
    expected = WORDS.decode(greedy(model, WORDS.encode("\n").tolist(), 20))
    assert sampler.generate("", length=20, decoding=GREEDY) == expected
    assert "".join(sampler.stream(length=20, decoding=GREEDY)) == expected


def test_an_empty_prefix_starts_as_often_as_the_text_does_where_there_is_no_line_break() -> None:
    vocabulary = Vocabulary.build("aaaaaabbc")
    sampler = sampler_of(trained(Architecture(hidden=4), len(vocabulary)), vocabulary)
    texts = [sampler.generate(length=3, seed=seed) for seed in range(900)]
    assert {len(text) for text in texts} == {3}
    first = Counter(text[0] for text in texts)
    for character, expected in (("a", 600), ("b", 200), ("c", 100)):
        assert abs(first[character] - expected) < 5 * math.sqrt(expected)
    assert sampler.generate(length=3, seed=5) == texts[5]


def test_what_follows_a_drawn_first_character_is_what_follows_it_as_a_prefix(
    line_sampler: Sampler,
) -> None:
    text = line_sampler.generate(length=12, decoding=GREEDY, seed=3)
    assert line_sampler.generate(text[0], length=11, decoding=GREEDY) == text


def test_a_prefix_is_read_without_a_line_break_that_the_vocabulary_lacks() -> None:
    model = trained(Architecture(hidden=12), len(ONE_LINE), seed=8)
    expected = ONE_LINE.decode(greedy(model, ONE_LINE.encode("分开").tolist(), 20))
    found = sampler_of(model, ONE_LINE).generate("分开", length=20, decoding=GREEDY)
    assert found == "分开" + expected


def test_an_unknown_character_is_named_and_a_nearby_one_offered(sampler: Sampler) -> None:
    with pytest.raises(UnknownCharactersError) as caught:
        sampler.stream("分,离A开!")
    assert str(caught.value) == (
        "The model has never seen ',' (it has '，'), '离', 'A' (it has 'a'), '!' of the prefix. "
        "Change the prefix, or use unknown='skip' to leave such characters out, or unknown='map' "
        "to put what is nearest in their place."
    )


@pytest.mark.parametrize(
    ("stranger", "shown", "instead"),
    [
        (",", "','", "，"),  # half width -> full width
        (".", "'.'", "。"),
        ("Ａ", "'Ａ'", "a"),  # full width and another case
        ("ｂ", "'ｂ'", "b"),
        ("C", "'C'", "c"),  # another case
        ("ⓐ", "'ⓐ'", "a"),  # NFKC
        ("℀", "'℀'", None),  # NFKC, but to "a/c", of which "/" is unknown
        ("㏄", "'㏄'", "cc"),  # NFKC, to more than one character
        ("É", "'É'", "é"),
        ("à", "'à'", "a"),  # the letter without its mark
        ("\u3000", "U+3000", " "),
        ("\t", "U+0009", " "),
        ("\u200b", "U+200B", None),
        ("离", "'离'", None),
    ],
)
def test_another_width_case_or_form_is_offered_and_read_when_mapping(
    sampler: Sampler, stranger: str, shown: str, instead: str | None
) -> None:
    assert lookalike(stranger, WORDS) == instead
    offer = f"{shown} (it has {'U+0020' if instead == ' ' else repr(instead)})"
    with pytest.raises(UnknownCharactersError) as caught:
        readable(f"分{stranger}", WORDS, "error")
    named = offer if instead else shown
    assert str(caught.value).startswith(f"The model has never seen {named} of the prefix.")
    assert readable(f"分{stranger}", WORDS, "map") == f"分{instead or stranger}"


def test_a_full_width_vocabulary_is_offered_for_half_width_letters_and_the_reverse() -> None:
    wide, narrow = Vocabulary.build("Ａｂ！？"), Vocabulary.build("Ab!?")
    assert [lookalike(character, wide) for character in "Ab!?aB"] == list("Ａｂ！？Ａｂ")
    assert [lookalike(character, narrow) for character in "Ａｂ！？ａＢ"] == list("Ab!?Ab")


def test_an_unknown_character_is_named_once(sampler: Sampler) -> None:
    with pytest.raises(UnknownCharactersError, match=r"^The model has never seen '离' of the "):
        sampler.generate("离离离")


def test_an_unknown_character_is_told_before_anything_is_written(sampler: Sampler) -> None:
    with pytest.raises(UnknownCharactersError):
        sampler.stream("离")


def test_skipping_reads_the_prefix_without_the_unknown_and_writes_it_with_them(
    sampler: Sampler,
) -> None:
    known = sampler.generate("分开", length=30, seed=6)
    found = sampler.generate("离分离开离", length=30, seed=6, unknown="skip")
    assert found == "离分离开离" + known.removeprefix("分开")


def test_a_prefix_of_which_nothing_is_left_is_an_empty_one(
    sampler: Sampler, line_sampler: Sampler
) -> None:
    for each in (sampler, line_sampler):
        found = each.generate("离", length=30, seed=6, unknown="skip")
        assert found == "离" + each.generate("", length=30, seed=6)


def test_mapping_reads_what_is_nearest_and_writes_the_prefix_as_it_was(sampler: Sampler) -> None:
    known = sampler.generate("分，a", length=30, seed=6)
    found = sampler.generate("分,A", length=30, seed=6, unknown="map")
    assert found == "分,A" + known.removeprefix("分，a")


def test_mapping_reads_what_resembles_nothing_as_the_unknown_character(
    model: CharLM, sampler: Sampler
) -> None:
    ids = [*WORDS.encode("\n分").tolist(), 0, *WORDS.encode("开").tolist()]
    expected = WORDS.decode(greedy(model, ids, 20))
    found = sampler.generate("分离开", length=20, decoding=GREEDY, unknown="map")
    assert found == "分离开" + expected


def test_a_prefix_is_read_as_the_training_text_was_and_stands_unchanged(model: CharLM) -> None:
    composed = sampler_of(model, WORDS)
    expected = composed.generate("分é\n", length=20, seed=2).removeprefix("分é\n")
    assert composed.generate("分e\u0301\r\n", length=20, seed=2) == "分e\u0301\r\n" + expected

    as_it_is = sampler_of(model, WORDS, normalize=False)
    with pytest.raises(UnknownCharactersError, match=r"never seen 'e', "):
        as_it_is.generate("分e\u0301")

    spaced = sampler_of(model, WORDS, newline="space")
    expected = composed.generate("分 开", length=20, seed=2).removeprefix("分 开")
    assert spaced.generate("分\n开", length=20, seed=2) == "分\n开" + expected


def test_length_counts_what_is_written_and_not_the_prefix(
    sampler: Sampler, line_sampler: Sampler
) -> None:
    for each in (sampler, line_sampler):
        for prefix in ("", "分开"):
            for length in (0, 1, 2, 17):
                assert len(each.generate(prefix, length=length, seed=1)) == len(prefix) + length
                assert len(list(each.stream(prefix, length=length, seed=1))) == length


def test_length_zero_writes_the_prefix_alone(sampler: Sampler, line_sampler: Sampler) -> None:
    for each in (sampler, line_sampler):
        assert each.generate("分开", length=0) == "分开"
        assert each.generate("", length=0) == ""


def test_a_longer_text_begins_like_a_shorter_one(sampler: Sampler) -> None:
    long = sampler.generate("分开", length=50, seed=9)
    assert sampler.generate("分开", length=20, seed=9) == long[: 2 + 20]


def test_the_default_length_is_two_hundred(sampler: Sampler) -> None:
    assert len(sampler.generate("分开")) == 2 + 200
    assert len(sampler.generate("分开", length=None)) == 2 + 200
    assert [len(text) for text in sampler.generate_many("分", samples=2)] == [201, 201]


def test_the_default_length_is_two_hundred_for_each_line(sampler: Sampler) -> None:
    for lines in (1, 3):
        assert written(sampler, "a" * 1000, lines=lines) == "a" * (200 * lines)
    assert written(sampler, "a" * 1000, lines=3, length=7) == "a" * 7
    assert written(sampler, "a" * 1000, lines=3, length=900) == "a" * 900


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": -1}, "length must be a whole number from 0 up, not -1."),
        ({"seed": -1}, "seed must be a whole number from 0 up, not -1."),
        ({"unknown": "guess"}, "unknown must be error, skip or map, not 'guess'."),
        ({"lines": 0}, "lines must be a whole number from 1 up, not 0."),
        ({"lines": 1.5}, "lines must be a whole number from 1 up, not 1.5."),
        ({"stop": [""]}, "A text to stop at cannot be empty."),
        ({"stop": ["分", ""]}, "A text to stop at cannot be empty."),
    ],
)
def test_a_request_out_of_its_range_is_refused_before_anything_is_written(
    sampler: Sampler, options: dict[str, Any], message: str
) -> None:
    for write in (sampler.stream, sampler.generate):
        with pytest.raises(RecipeError) as caught:
            write("分开", **options)
        assert str(caught.value) == message


def test_counting_lines_is_refused_where_the_model_knows_no_line_breaks(
    line_sampler: Sampler,
) -> None:
    with pytest.raises(RecipeError) as caught:
        line_sampler.stream("分开", lines=1)
    assert str(caught.value) == "The model knows no line breaks, so it cannot count lines."


@pytest.mark.parametrize(
    "decoding",
    [GREEDY, Decoding(), Decoding(1.5, top_k=3), Decoding(1.5, top_p=0.6), Decoding(1e-5)],
)
@pytest.mark.parametrize("prefix", ["", "分开"])
def test_texts_written_side_by_side_are_those_written_alone_with_the_seeds_that_follow(
    sampler: Sampler, line_sampler: Sampler, decoding: Decoding, prefix: str
) -> None:
    for each in (sampler, line_sampler):
        found = each.generate_many(prefix, samples=4, length=30, decoding=decoding, seed=5)
        expected = [
            each.generate(prefix, length=30, decoding=decoding, seed=5 + k) for k in range(4)
        ]
        assert found == expected
        assert (
            each.generate_many(prefix, samples=1, length=30, decoding=decoding, seed=5)
            == (expected[:1])
        )


def test_texts_longer_than_a_block_of_random_numbers_agree_too(sampler: Sampler) -> None:
    found = sampler.generate_many("分", samples=2, length=600, seed=1)
    assert found == [sampler.generate("分", length=600, seed=seed) for seed in (1, 2)]
    assert len({found[0][at : at + 20] for at in (1, 257, 513)}) == 3


def test_more_texts_than_are_written_at_once_are_those_written_alone_as_well(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.writing.sampler._AT_ONCE", 2)
    texts = sampler.generate_many("分", samples=5, length=9, seed=7)
    assert texts == [sampler.generate("分", length=9, seed=7 + k) for k in range(5)]


def test_texts_side_by_side_differ_also_without_a_seed(sampler: Sampler) -> None:
    assert len(set(sampler.generate_many("分开", samples=5, length=60))) == 5


def test_side_by_side_the_unknown_character_is_never_written_either() -> None:
    model = trained(Architecture(hidden=12), len(WORDS))
    with torch.no_grad():
        model.head.bias[0] = 1e6
    sampler = sampler_of(model, WORDS)
    for decoding in (GREEDY, Decoding(100), Decoding(1, top_k=1), Decoding(1, top_p=0.01)):
        for text in sampler.generate_many(samples=3, length=60, decoding=decoding, seed=1):
            assert set(text) <= set(WORDS.characters)


def test_asking_for_no_text_at_all_is_refused(sampler: Sampler) -> None:
    with pytest.raises(RecipeError) as caught:
        sampler.generate_many("分开", samples=0)
    assert str(caught.value) == "samples must be a whole number from 1 up, not 0."


def script(text: str, vocabulary: Vocabulary, prefix: str = "") -> Processor:
    """Return a processor after which `text` is written behind `prefix`, then any rest of ``a``."""
    wanted = dict(enumerate(vocabulary.encode(text), start=len(prefix)))
    rest = vocabulary.encode("a")[0]

    def process(written: str, logits: Array) -> None:
        logits[np.arange(len(logits)) != wanted.get(len(written), rest)] = -np.inf

    return process


def written(
    sampler: Sampler, text: str, prefix: str = "", *, length: int | None = None, **options: Any
) -> str:
    """Return what of `text` is written behind `prefix`, having checked all ways to have it."""
    options["decoding"] = Decoding(allow_loops=True)
    options["processors"] = [script(text, sampler.vocabulary, prefix)]
    found = "".join(sampler.stream(prefix, length=length, seed=1, **options))
    assert sampler.generate(prefix, length=length, seed=1, **options) == prefix + found
    many = sampler.generate_many(prefix, samples=2, length=length, seed=1, **options)
    assert many == [prefix + found] * 2
    return found


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("分开不说我们", ["我"], "分开不说"),
        ("分开不说我们", ["分"], ""),
        ("分开不说我们", ["不说我"], "分开"),
        ("分开不说我们", ["我我"], "分开不说我们"),
        ("分开不说我们", ["我们", "不说"], "分开"),
        ("abab abc", ["abc"], "abab "),
        ("aaab", ["aab"], "a"),
        ("ababac", ["abac"], "ab"),
        # The end of one is the middle of another that has begun.
        ("abcé", ["abcb", "bcé"], "a"),
        ("abcé", ["abcé", "bc"], "a"),
        ("abca", ["abcb", "ca"], "ab"),
        ("分\n\n开", ["\n\n"], "分"),
        # Begun, and never finished.
        ("分开ab", ["abc"], "分开ab"),
        ("abbabb", ["abc", "bbc"], "abbabb"),
    ],
)
def test_a_text_ends_before_a_stop_text(
    sampler: Sampler, text: str, stop: list[str], expected: str
) -> None:
    assert written(sampler, text, stop=stop, length=len(text)) == expected
    assert written(sampler, text, "我们", stop=stop, length=len(text)) == expected


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        (
            "开离X",
            "The model never writes '离', 'X', so it would never stop at '开离X': change stop, or "
            "ask for a number of lines with lines.",
        ),
        (
            r"\n",
            r"'\n' has a backslash and a letter where a line break or a tab may be meant, and the "
            r"model never writes a backslash. Most shells type a line break as $'\n' and a tab as "
            r"$'\t'; a number of lines is asked for with lines.",
        ),
        ("", "A text to stop at cannot be empty."),
    ],
)
def test_a_stop_text_that_can_never_be_written_is_refused_at_once(
    sampler: Sampler, stop: str, message: str
) -> None:
    for stops in (stop, ["我", stop]):
        with pytest.raises(RecipeError) as caught:
            sampler.stream("我们", stop=stops)
        assert str(caught.value) == message


def test_a_stop_text_is_brought_into_the_form_of_the_training_text(sampler: Sampler) -> None:
    assert written(sampler, "abcé我", stop=["e\u0301"], length=5) == "abc"
    assert written(sampler, "分\n开我", stop=["\r\n"], length=4) == "分"


def test_a_model_without_line_breaks_never_stops_at_one() -> None:
    spaced = trained(Architecture(hidden=12), len(ONE_LINE), seed=8)
    model = replace(sampler_of(spaced, ONE_LINE), text=TextOptions(newline="space"))
    with pytest.raises(RecipeError, match=r"^The model never writes U\+000A, so"):
        model.stream(stop=["\n"])


def test_a_stop_text_in_the_prefix_or_over_its_end_does_not_count(sampler: Sampler) -> None:
    assert written(sampler, "b分ab", "ab，a", stop=["ab"], length=4) == "b分"
    assert written(sampler, "bc", "ab，a", stop=["ab"], length=2) == "bc"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("分开", ["分", "开"]),
        ("分ab分开", ["分", "ab分", "开"]),
        ("aab分", ["a", "ab分"]),
        ("分ab", ["分", "ab"]),
        ("分abc开", ["分"]),
    ],
)
def test_what_may_begin_a_stop_text_is_held_back_until_it_is_certain(
    sampler: Sampler, text: str, pieces: list[str]
) -> None:
    found = sampler.stream(length=len(text), stop=["abc"], processors=[script(text, WORDS)])
    assert list(found) == pieces


def test_a_text_that_has_ended_is_written_no_further(sampler: Sampler) -> None:
    told: list[str] = []

    def listen(written: str, logits: Array) -> None:
        told.append(written)

    processors = [script("分开我们", WORDS), listen]
    assert sampler.generate(stop=["开我"], processors=processors) == "分"
    assert told == ["", "分", "分开"]


def ends_before(text: str, stop: Sequence[str]) -> str:
    """Return `text` up to the stop text that is finished first."""
    for end in range(1, len(text) + 1):
        for each in stop:
            if text[:end].endswith(each):
                return text[: end - len(each)]
    return text


# Of two that end at the same place neither is part of the other.
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3).filter(
    lambda stop: not any(a != b and a.endswith(b) for a in stop for b in stop)
)


@settings(max_examples=80, deadline=None)
@given(st.text("abc", max_size=25), STOPS)
def test_stopping_cuts_the_text_that_would_have_been_written(text: str, stop: list[str]) -> None:
    assert written(TINY, text, "ab", stop=stop, length=len(text)) == ends_before(text, stop)


@pytest.mark.parametrize(
    ("prefix", "text", "lines", "expected"),
    [
        ("", "分开\n我们\n不说", 1, "分开"),
        ("", "分开\n我们\n不说", 2, "分开\n我们"),
        ("", "\n\n分开\n\n \n我们\n\n不说\n", 2, "\n\n分开\n\n \n我们"),
        # The line that the prefix begins is the first.
        ("不", "说\n我们\n", 1, "说"),
        ("不说", "\n我们\n", 1, ""),
        ("不说", "\n我们\n", 2, "\n我们"),
        ("a\nb\n不", "说\n我们\n", 2, "说\n我们"),
        # A finished line of the prefix is none of them, nor is white space a beginning.
        ("不说\n", "我们\n分\n", 1, "我们"),
        ("不说\n ", "\n我们\n分\n", 1, "\n我们"),
        (" ", "我们\n分\n", 1, "我们"),
    ],
)
def test_so_many_lines_are_written_and_no_line_break_at_their_end(
    sampler: Sampler, prefix: str, text: str, lines: int, expected: str
) -> None:
    for length in (None, len(expected) + 1, len(expected)):
        assert written(sampler, text, prefix, lines=lines, length=length) == expected
    if expected:
        shorter = written(sampler, text, prefix, lines=lines, length=len(expected) - 1)
        assert shorter == expected[:-1]


@settings(max_examples=80, deadline=None)
@given(st.text("a \n", max_size=6), st.text("ab \n", max_size=25), st.integers(1, 4))
def test_lines_are_counted_from_the_one_that_the_prefix_begins(
    prefix: str, text: str, lines: int
) -> None:
    begun = prefix.rpartition("\n")[2]
    expected = text
    for place, character in enumerate(text):
        so_far = (begun + text[:place]).split("\n")
        if character == "\n" and sum(bool(line.strip()) for line in so_far) == lines:
            expected = text[:place]
            break
    assert written(TINY, text, prefix, lines=lines, length=len(text)) == expected


def test_of_stop_texts_that_end_together_the_longest_is_left_out(sampler: Sampler) -> None:
    for stop in (["c", "abc"], ["abc", "c"]):
        assert written(sampler, "分abc", stop=stop, length=4) == "分"
    # A text is a sequence of texts as well, and is meant as one.
    assert sampler.generate(length=4, stop="ba", processors=[script("cabb", WORDS)]) == "cabb"


def test_a_text_that_has_ended_cannot_stop_the_others() -> None:
    # What ended at its line break would soon have no two characters left to write.
    settings: dict[str, Any] = {
        "length": 40,
        "stop": ["\n"],
        "decoding": Decoding(0.8, no_repeat=2),
    }
    small = Vocabulary.build("abc\n")
    sampler = sampler_of(trained(Architecture(hidden=12, embedding=5), len(small), seed=3), small)
    for seed in range(0, 400, 40):
        try:
            alone = [sampler.generate(seed=seed + k, **settings) for k in range(8)]
        except RecipeError:
            continue
        assert sampler.generate_many(samples=8, seed=seed, **settings) == alone
        return
    pytest.fail("no seed writes all eight alone")


def test_processors_have_their_say_in_the_first_character_too(line_sampler: Sampler) -> None:
    def only_c(written: str, logits: Array) -> None:
        if not written:
            kept = ONE_LINE.encode("c")
            value = logits[kept]
            logits[:] = -np.inf
            logits[kept] = value

    assert line_sampler.generate(length=3, seed=1, processors=[only_c])[0] == "c"


def test_lines_and_stop_texts_end_a_text_together(sampler: Sampler) -> None:
    text = "分开\n我们\n不说\n"
    assert written(sampler, text, lines=2, stop=["们"]) == "分开\n我"
    assert written(sampler, text, lines=1, stop=["们"]) == "分开"
    # What was held back for a stop text is part of the line.
    assert written(sampler, text, lines=1, stop=["开我"]) == "分开"
    assert written(sampler, text, lines=2, stop=["开\n我不"]) == "分开\n我们"


@pytest.mark.parametrize(
    "options",
    [
        {"lines": 1},
        {"lines": 4},
        {"lines": 3, "length": 20},
        {"stop": ["。"]},
        {"stop": ["，a", "们", "\n\n"], "length": 120},
        {"lines": 3, "stop": ["。", "é开"]},
        {"lines": 2, "decoding": Decoding(0.8, no_repeat=3)},
        {"stop": ["。\n", "说"], "decoding": Decoding(0.5, min_p=0.1)},
    ],
)
@pytest.mark.parametrize("prefix", ["", "分开"])
def test_side_by_side_each_text_ends_where_it_ends_alone(
    sampler: Sampler, prefix: str, options: dict[str, Any]
) -> None:
    found = sampler.generate_many(prefix, samples=5, seed=3, **options)
    assert found == [sampler.generate(prefix, seed=3 + k, **options) for k in range(5)]
    streams = [sampler.stream(prefix, seed=3 + k, **options) for k in range(5)]
    assert found == [prefix + "".join(stream) for stream in streams]
    assert len({len(text) for text in found}) > 1


@pytest.mark.parametrize("prefix", ["", "分开"])
def test_a_processor_is_told_the_text_so_far_with_its_prefix(sampler: Sampler, prefix: str) -> None:
    told: list[str] = []

    def listen(written: str, logits: Array) -> None:
        assert logits.shape == (len(WORDS),)
        told.append(written)

    ends = range(len(prefix), len(prefix) + 20)
    plain = sampler.generate(prefix, length=20, seed=1)
    assert sampler.generate(prefix, length=20, processors=[listen], seed=1) == plain
    assert told == [plain[:end] for end in ends]
    told.clear()
    texts = sampler.generate_many(prefix, samples=3, length=20, processors=[listen], seed=1)
    assert told == [text[:end] for end in ends for text in texts]


def test_a_processor_is_told_the_prefix_as_it_is_normalised_and_whole(sampler: Sampler) -> None:
    told: list[str] = []

    def listen(written: str, logits: Array) -> None:
        told.append(written)

    sampler.generate("分,e\u0301", length=1, processors=[listen], unknown="map")
    sampler.generate("分离", length=1, processors=[listen], unknown="skip")
    # With the characters that the model has not read: what is shown is what must keep promises.
    assert told == ["分,é", "分离"]


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_a_processor_steers_what_is_written(sampler: Sampler, temperature: float) -> None:
    comma = int(WORDS.encode("，")[0])

    def punctuate(written: str, logits: Array) -> None:
        logits[comma] = 1e4 if len(written) % 4 == 3 else -np.inf

    options: dict[str, Any] = {
        "length": 39,
        "decoding": Decoding(temperature, allow_loops=True),
        "processors": [punctuate],
    }
    texts = sampler.generate_many("分", samples=3, seed=1, **options)
    texts.append(sampler.generate("分", seed=4, **options))
    for text in texts:
        assert [place for place in range(40) if text[place] == "，"] == list(range(3, 40, 4))


def test_processors_act_together_with_each_other_and_with_the_decoding(sampler: Sampler) -> None:
    def without(characters: str) -> Processor:
        def process(written: str, logits: Array) -> None:
            logits[WORDS.encode(characters)] = -np.inf

        return process

    text = sampler.generate(
        length=len(LETTERS) - 5,
        decoding=Decoding(no_repeat=1),
        processors=[without("分开"), without("\n é")],
        seed=1,
    )
    assert sorted(text) == sorted(set(LETTERS) - set("分开\n é"))
