import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlstm.corpus import TextOptions
from charlstm.decoding import Decoding, choose
from charlstm.errors import RecipeError, UnknownCharactersError
from charlstm.model import CharLM
from charlstm.network import Network
from charlstm.prefix import lookalike, readable
from charlstm.recipes import CELLS, Architecture
from charlstm.sampling import Sampler
from charlstm.vocabulary import Vocabulary

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


def test_the_default_decoding_has_temperature_four_fifths_and_cuts_nothing(
    sampler: Sampler,
) -> None:
    plain = sampler.generate("分开", length=60, seed=4)
    assert plain == sampler.generate("分开", length=60, seed=4, decoding=Decoding(0.8, 0, 1.0))
    assert plain != sampler.generate("分开", length=60, seed=4, decoding=Decoding(1.6))


@pytest.mark.parametrize("temperature", [1e-3, 1e-10, 1e-38, 1e-40, 1e-50, 1e-300, 5e-324])
def test_a_tiny_temperature_is_greedy_and_does_not_overflow(
    sampler: Sampler, temperature: float
) -> None:
    expected = sampler.generate("分开", length=25, decoding=GREEDY)
    decoding = Decoding(temperature=temperature, allow_loops=True)
    assert sampler.generate("分开", length=25, decoding=decoding, seed=1) == expected


def test_the_highest_temperature_comes_near_to_chance() -> None:
    logits = np.array([50, 3, 2, 1, 0], dtype=np.float32)
    random = np.random.default_rng(1)
    found = Counter(choose(logits, Decoding(temperature=100), random) for _ in range(4000))
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(count - 1000) < 140 for count in found.values())


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(1.5, top_k=1, allow_loops=True),
        Decoding(1.5, top_p=1e-9, allow_loops=True),
        Decoding(1.5, min_p=1, allow_loops=True),
    ],
)
def test_keeping_only_the_likeliest_is_greedy(sampler: Sampler, decoding: Decoding) -> None:
    expected = sampler.generate("分开", length=25, decoding=GREEDY)
    for seed in range(3):
        assert sampler.generate("分开", length=25, decoding=decoding, seed=seed) == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_choices_are_as_frequent_as_the_softmax_says(temperature: float) -> None:
    logits = np.array([9.0, 1.0, -0.5, 0.3, 2.0, -1.0], dtype=np.float32)
    weights = [math.exp(logit / temperature) for logit in logits[1:].tolist()]
    random = np.random.default_rng(7)
    draws = 10_000
    found = Counter(choose(logits, Decoding(temperature), random) for _ in range(draws))
    assert found[0] == 0
    expected = [draws * weight / sum(weights) for weight in weights]
    distance = sum(
        (found[place] - count) ** 2 / count for place, count in enumerate(expected, start=1)
    )
    # Chi-square with four degrees of freedom is above this once in a hundred thousand times.
    assert distance < 28.5


@pytest.mark.parametrize(
    ("decoding", "kept"),
    [
        (Decoding(1.0, top_k=2), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_k=3), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, top_k=99), {3: 0.5, 1: 0.3, 4: 0.15, 2: 0.05}),
        (Decoding(1.0, top_p=0.4), {3: 1.0}),
        (Decoding(1.0, top_p=0.7), {3: 50 / 80, 1: 30 / 80}),
        (Decoding(1.0, top_p=0.9), {3: 50 / 95, 1: 30 / 95, 4: 15 / 95}),
        (Decoding(1.0, top_p=0.999), {3: 0.5, 1: 0.3, 4: 0.15, 2: 0.05}),
        # The nucleus is one of what top-k left: 0.6 of 0.8 is 0.48.
        (Decoding(1.0, top_k=2, top_p=0.6), {3: 1.0}),
        # Temperature comes first: at 1/2 the shares are those of the squares.
        (Decoding(0.5, top_p=0.9), {3: 2500 / 3400, 1: 900 / 3400}),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest_in_their_proportions(
    decoding: Decoding, kept: dict[int, float]
) -> None:
    # <unk> would be likelier than all of them together.
    shares = np.array([5.0, 0.3, 0.05, 0.5, 0.15])
    logits = np.log(shares).astype(np.float32)
    random = np.random.default_rng(5)
    found = Counter(choose(logits, decoding, random) for _ in range(2000))
    assert set(found) == set(kept)
    for character, share in kept.items():
        error = 5 * math.sqrt(share * (1 - share) / 2000)
        assert found[character] / 2000 == pytest.approx(share, abs=error + 1e-9)


def test_choosing_leaves_the_logits_as_they_were() -> None:
    logits = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    choose(logits, Decoding(0.5, top_k=1, top_p=0.5), np.random.default_rng(1))
    assert logits.tolist() == [1.0, 2.0, 3.0]


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
        "Change the prefix, or let --unknown skip leave such characters out, or --unknown map put "
        "what is nearest in their place."
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature must be a number from 0 to 100, not -0.1."),
        ({"temperature": 101}, "temperature must be a number from 0 to 100, not 101."),
        ({"temperature": math.nan}, "temperature must be a number from 0 to 100, not nan."),
        ({"temperature": math.inf}, "temperature must be a number from 0 to 100, not inf."),
        ({"top_k": -1}, "top-k must be a whole number from 0 up, not -1."),
        ({"top_k": 2.5}, "top-k must be a whole number from 0 up, not 2.5."),
        ({"top_p": 0}, "top-p must be a number above 0 to 1, not 0."),
        ({"top_p": 1.1}, "top-p must be a number above 0 to 1, not 1.1."),
        ({"top_p": math.nan}, "top-p must be a number above 0 to 1, not nan."),
    ],
)
def test_a_decoding_out_of_its_range_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Decoding(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": -1}, "length must be a whole number from 0 up, not -1."),
        ({"seed": -1}, "seed must be a whole number from 0 up, not -1."),
        ({"unknown": "guess"}, "unknown must be error, skip or map, not 'guess'."),
    ],
)
def test_a_request_out_of_its_range_is_refused_before_anything_is_written(
    sampler: Sampler, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        sampler.stream("分开", **settings)
    assert str(caught.value) == message


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
