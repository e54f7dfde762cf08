import contextlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import pronouncing
import pytest
import torch
from bigrams import bigrams, uniform
from numpy.typing import NDArray
from pypinyin import Style, lazy_pinyin
from songs import LINES, VERSE
from torch.nn import functional

from charlstm.errors import FormError, RecipeError, UnknownCharactersError
from charlstm.model.charlm import CharLM
from charlstm.model.initialization import initialize
from charlstm.model.network import Network, State
from charlstm.recipes.architecture import Architecture
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.candidates import Candidate
from charlstm.writing.composer import Composer
from charlstm.writing.constraints import Constraint, LineLength, LineSoFar, Rhyme, line_ends
from charlstm.writing.decoding import Decoding, MaxCopy
from charlstm.writing.form import Form
from charlstm.writing.point import Point
from charlstm.writing.sampler import Sampler

# The thirteen tracks, as far as the texts here rhyme on them.
TRACKS = {
    "怀来": ("ai", "uai"),
    "言前": ("an", "ian", "uan", "van"),
    "江阳": ("ang", "iang", "uang"),
    "梭坡": ("o", "e", "uo"),
    "人辰": ("en", "in", "uen", "vn"),
}
SEEDS = range(20)
LITTLE = Decoding(temperature=1.0, allow_loops=True)


def chinese_song() -> str:
    return "".join(f"{line[:4]}{'，' * (k % 5 == 0)}{line[4:]}\n" for k, line in enumerate(LINES))


def english_song() -> str:
    who = ["I", "You", "We", "The moon", "my heart", "don't"]
    do = ["walk", "sing", "wait", "run", "fly"]
    ends = "in the night,to the light,for the day,on the way,of the sea,with me,in the rain,by you"
    return "".join(
        f"{who[k % 6]} {do[k % 5]} {ends.split(',')[k * 5 % 8]}{',' * (k % 3 == 0)}\n"
        for k in range(60)
    )


def learned(text: str) -> Sampler:
    """Return a model that has read `text` a few dozen times."""
    torch.set_num_threads(1)
    vocabulary = Vocabulary.build(text)
    ids = torch.from_numpy(vocabulary.encode("\n" + text).astype(np.int64))
    model = CharLM(Architecture(hidden=48, embedding=16), len(vocabulary), backend="torch")
    generator = torch.Generator().manual_seed(1)
    initialize(model, "orthogonal", generator)
    adam = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(80):
        starts = torch.randint(len(ids) - 41, (12,), generator=generator).tolist()
        windows = torch.stack([ids[start : start + 41] for start in starts], dim=1)
        logits, _ = model(windows[:-1], model.zero_state(12))
        adam.zero_grad()
        loss = functional.cross_entropy(logits.flatten(0, 1), windows[1:].flatten())
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        adam.step()
    weights = {name: weight.detach().numpy() for name, weight in model.state_dict().items()}
    return Sampler(Network(model.architecture, weights, len(vocabulary)), vocabulary)


@pytest.fixture(scope="module")
def chinese() -> Sampler:
    return learned(chinese_song())


@pytest.fixture(scope="module")
def english() -> Sampler:
    return learned(english_song())


@pytest.fixture(scope="module")
def poems() -> Sampler:
    return learned(VERSE)


def composer(
    sampler: Sampler, form: Form | Sequence[Constraint], seed: int, **more: Any
) -> Composer:
    generator = np.random.default_rng(seed)
    if isinstance(form, Form):
        form = form.constraints(sampler.vocabulary, generator)
    return Composer(sampler, form, generator=generator, **more)


def written(sampler: Sampler, form: Form, seed: int, prefix: str = "", **more: Any) -> list[str]:
    text = composer(sampler, form, seed, **more).write(prefix, lines=form.count)
    assert text.startswith(prefix)
    lines = text[prefix.rfind("\n") + 1 :].split("\n")
    assert len(lines) == form.count
    return lines


def letters(line: str) -> str:
    return "".join(re.findall(r"[^\W_]", line))


def track(line: str) -> str:
    """Return the track that a Chinese line rhymes on, by pypinyin alone."""
    final: str = lazy_pinyin(letters(line), style=Style.FINALS, strict=True)[-1]
    return next((name for name, finals in TRACKS.items() if final in finals), final)


def last_word(line: str) -> str:
    return str(re.findall("[a-z']+", line.lower())[-1])


def english_rhymes(one: str, other: str) -> bool:
    """Return whether the last words of two lines rhyme, by the CMU dictionary alone."""
    parts = [
        {
            re.sub(r"\d", "", pronouncing.rhyming_part(phones))
            for phones in pronouncing.phones_for_word(last_word(line))
        }
        for line in (one, other)
    ]
    return last_word(one) != last_word(other) and bool(parts[0] & parts[1])


# Forms, one by one and together.


@pytest.mark.parametrize("seed", SEEDS)
def test_chinese_lines_have_their_lengths(chinese: Sampler, seed: int) -> None:
    lines = written(chinese, Form(line_length="5,7-8,6", lines=5), seed)
    assert [len(letters(line)) for line in lines] in [
        [5, second, 6, 5, fifth] for second in (7, 8) for fifth in (7, 8)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_english_lines_have_their_lengths(english: Sampler, seed: int) -> None:
    lines = written(english, Form(line_length="14-17", lines=3), seed)
    assert all(14 <= len(letters(line)) <= 17 for line in lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_chinese_lines_rhyme_begin_and_count_as_asked_all_at_once(
    chinese: Sampler, seed: int
) -> None:
    form = Form(line_length="7", acrostic="我不看他", rhyme="AABA", must=("大海",))
    lines = written(chinese, form, seed)
    assert [letters(line)[0] for line in lines] == list("我不看他")
    assert [len(letters(line)) for line in lines] == [7, 7, 7, 7]
    assert sum("大海" in line for line in lines) >= 1
    rhyming = [lines[k] for k in (0, 1, 3)]
    assert len({track(line) for line in rhyming}) == 1
    assert len({letters(line)[-1] for line in rhyming}) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_chinese_lines_end_as_asked(chinese: Sampler, seed: int) -> None:
    lines = written(chinese, Form(acrostic_end="天来边海", rhyme="ABAB", line_length="6-9"), seed)
    assert [letters(line)[-1] for line in lines] == list("天来边海")
    assert all(6 <= len(letters(line)) <= 9 for line in lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_english_lines_rhyme_and_hold_a_word(english: Sampler, seed: int) -> None:
    lines = written(english, Form(rhyme="AA", must=("moon",), line_length="12-20"), seed)
    assert english_rhymes(*lines)
    assert re.search(r"\bmoon\b", "\n".join(lines))
    assert all(12 <= len(letters(line)) <= 20 for line in lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_english_lines_begin_and_end_with_letters_in_either_case(
    english: Sampler, seed: int
) -> None:
    lines = written(english, Form(acrostic="wTi", acrostic_end="T E"), seed)
    assert [letters(line)[0].lower() for line in lines] == list("wti")
    assert [letters(line)[-1].lower() for line in lines[:2]] == list("te")


@pytest.mark.parametrize("seed", SEEDS)
def test_verse_printed_two_clauses_to_a_line_ends_its_lines_at_the_marks(
    poems: Sampler, seed: int
) -> None:
    assert set(line_ends(poems.vocabulary)) >= set("，。")
    form = Form(line_length="5-6", rhyme="AABA", acrostic="我你他花")
    lines = written(poems, form, seed)
    assert all(re.fullmatch(r"[^\W_]{5,6}[，。]", line) for line in lines)
    assert [line[0] for line in lines] == list("我你他花")
    assert len({track(lines[k]) for k in (0, 1, 3)}) == 1
    assert len({lines[k][-2] for k in (0, 1, 3)}) == 3


def test_a_second_stanza_rhymes_with_itself(chinese: Sampler) -> None:
    found = []
    for seed in range(10):
        lines = written(chinese, Form(lines=4, rhyme="AA", line_length="6"), seed)
        assert track(lines[0]) == track(lines[1])
        assert track(lines[2]) == track(lines[3])
        found.append(track(lines[0]) == track(lines[2]))
    assert not all(found)


def test_several_words_may_stand_in_one_line() -> None:
    # Neither word would begin by itself.
    sampler = bigrams(
        {
            "甲": {"甲": 0.7, "\n": 0.3},
            "乙": {"丙": 1.0},
            "丙": {"甲": 0.8, "\n": 0.2},
            "丁": {"甲": 0.8, "\n": 0.2},
            "\n": {"甲": 1.0},
        }
    )
    form = Form(lines=1, must=("乙丙", "丁"))
    constraints = form.constraints(sampler.vocabulary, np.random.default_rng(1))
    for seed in range(5):
        line = composer(sampler, constraints, seed).write(lines=1)
        assert "乙丙" in line
        assert "丁" in line


def test_a_word_stands_in_lines_of_all_numbers_and_in_many_places(chinese: Sampler) -> None:
    found = set()
    for seed in range(30):
        lines = written(chinese, Form(lines=3, must=("楼",), line_length="7"), seed)
        found |= {(number, line.find("楼")) for number, line in enumerate(lines) if "楼" in line}
    assert {number for number, _ in found} == {0, 1, 2}
    assert len({place for _, place in found}) >= 4


def test_a_word_that_the_prefix_has_in_the_first_line_is_not_asked_for_again() -> None:
    # 乙 never comes by itself, so a second one would have to be led in.
    sampler = bigrams(
        {"甲": {"甲": 0.7, "\n": 0.3}, "乙": {"甲": 1.0}, "丙": {"甲": 1.0}, "\n": {"甲": 1.0}}
    )
    constraints = Form(must=("乙丙",)).constraints(sampler.vocabulary)
    for prefix in ("乙", "乙丙", "甲乙丙甲"):
        for seed in range(5):
            text = composer(sampler, constraints, seed).write(prefix, lines=2)
            assert text.startswith(prefix)
            assert text.count("乙丙") == text.count("乙") == 1
    # In a line of its own, before the form, it is no line of the form.
    assert composer(sampler, constraints, 1).write("乙丙\n", lines=1).count("乙丙") == 2


def test_long_lines_are_found_as_well_as_short_ones() -> None:
    for asked in ("99", "100"):
        lines = written(uniform("ab \n"), Form(lines=1, line_length=asked), 1)
        assert [len(letters(line)) for line in lines] == [int(asked)]


def test_lines_may_be_longer_than_the_prefix_left_them(english: Sampler) -> None:
    lines = written(english, Form(lines=1, line_length="22"), 1, "I walk in the night")
    assert len(letters(lines[0])) == 22
    assert lines[0].startswith("I walk in the night")


def test_a_mixed_song_keeps_its_lengths_and_rhymes() -> None:
    sampler = uniform("我在车站等你来看花开海爱外天边baby,。\n")
    han = 0
    for seed in range(10):
        lines = written(sampler, Form(rhyme="AA", line_length="5"), seed)
        assert [len(letters(line)) for line in lines] == [5, 5]
        ends = [letters(line)[-1] for line in lines]
        if max(ends) > "z":
            assert track(lines[0]) == track(lines[1])
            assert ends[0] != ends[1]
            han += 1
        else:
            assert english_rhymes(*lines)
    assert han


def test_english_in_capitals_alone_can_rhyme() -> None:
    text = english_song().upper()
    (first, second) = written(learned(text), Form(rhyme="AA"), 1)
    assert english_rhymes(first, second)


def test_a_word_with_a_curly_apostrophe_ends_a_line_that_rhymes() -> None:
    # A model that writes nothing but one of two words, which rhyme.
    after_n = {"’": 1.0}
    sampler = bigrams(
        {
            "\n": {"d": 0.5, "w": 0.5},
            "d": {"o": 1.0},
            "w": {"o": 1.0},
            "o": {"n": 1.0},
            "n": after_n,
            "’": {"t": 1.0},
            "t": {"\n": 1.0},
        }
    )
    constraints = [Rhyme("AA", sampler.vocabulary.characters)]
    there = composer(sampler, [], 1, decoding=LITTLE)
    place = there.after(there.start(), "won’t")
    found = composer(sampler, constraints, 1, decoding=LITTLE).candidates(place)
    assert "don’t" in [one.line for one in found]


def test_a_word_that_begins_a_line_may_have_a_capital() -> None:
    letters_of = {before: {"o": 0.5, "\n": 0.5} for before in "Nnightlo"}
    sampler = bigrams({"\n": {"N": 1.0}, **letters_of})
    constraints = [Rhyme("AA", sampler.vocabulary.characters), Beginning("N")]
    one = composer(sampler, constraints, 1, decoding=LITTLE)
    found = one.candidates(one.after(one.start(), "light"))
    assert {"Night"} <= {candidate.line for candidate in found}


def test_a_line_that_is_led_to_a_word_does_not_end_before_it_and_ends_behind_it() -> None:
    # Left alone, the model would end every line after one letter.
    after_letter = {"o": 0.001, "\n": 0.999}
    sampler = bigrams({"\n": {"o": 1.0}, **dict.fromkeys("night lo", after_letter)})
    constraints = [Rhyme("AA", sampler.vocabulary.characters)]
    one = composer(sampler, constraints, 1, decoding=LITTLE)
    for candidate in one.candidates(one.after(one.start(), "light"), 5):
        assert english_rhymes("light", candidate.line)
        assert candidate.end == "\n"


def test_punctuation_may_follow_what_a_line_is_led_to() -> None:
    sampler = bigrams(
        {
            "\n": {"二": 1.0},
            "二": {"地": 1.0},
            "地": {"！": 1.0},
            "天": {"！": 1.0},
            "！": {"\n": 1.0},
        }
    )
    assert written(sampler, Form(acrostic_end="天"), 1, decoding=LITTLE) == ["二天！"]


def test_a_quote_may_close_behind_the_mark_that_ends_a_line() -> None:
    sampler = bigrams(
        {"\n": {"“": 1.0}, "“": {"我": 1.0}, "我": {"！": 1.0}, "！": {"”": 1.0}, "”": {"\n": 1.0}}
    )
    assert written(sampler, Form(lines=1, line_length="1"), 1, decoding=LITTLE) == ["“我！”"]


# Where the text begins.


def test_an_unfinished_line_of_the_prefix_is_the_beginning_of_the_first(chinese: Sampler) -> None:
    for seed in SEEDS:
        lines = written(chinese, Form(lines=2, line_length="7"), seed, "我在大海")
        assert lines[0].startswith("我在大海")
        assert [len(letters(line)) for line in lines] == [7, 7]


def test_finished_lines_of_the_prefix_are_context_and_no_part_of_the_form(
    chinese: Sampler,
) -> None:
    prefix = "我在车站，等你来\n你在海上看花开\n"
    for seed in SEEDS:
        form = Form(acrostic="他我", line_length="6", must=("花",))
        text = composer(chinese, form, seed).write(prefix, lines=2)
        assert text.startswith(prefix)
        first, second = text.removeprefix(prefix).split("\n")
        assert (first[0], second[0]) == ("他", "我")
        assert (len(letters(first)), len(letters(second))) == (6, 6)
        assert "花" in first + second


def test_the_model_reads_the_prefix() -> None:
    sampler = bigrams(
        {"\n": {"a": 1.0}, "a": {"b": 1.0}, "b": {"\n": 1.0}, "x": {"y": 1.0}, "y": {"\n": 1.0}}
    )
    assert composer(sampler, [], 1).write("ab\nx", lines=2) == "ab\nxy\nab"


def test_a_prefix_of_what_the_model_has_never_seen_is_refused(chinese: Sampler) -> None:
    form = Form(line_length="6", lines=1)
    with pytest.raises(UnknownCharactersError):
        composer(chinese, form, 1).write("离我", lines=1)


@pytest.mark.parametrize("unknown", ["skip", "map"])
def test_what_the_model_has_never_seen_of_a_line_begun_is_shown_and_counted(
    chinese: Sampler, unknown: str
) -> None:
    for seed in range(5):
        text = composer(chinese, Form(line_length="6"), seed).write(
            "离我", lines=1, unknown=unknown
        )
        assert text.startswith("离我")
        assert len(letters(text)) == 6


def test_in_verse_a_clause_of_the_prefix_is_a_line(poems: Sampler) -> None:
    start = composer(poems, [], 1).start("我在海上，你在花")
    assert start.begun == "你在花"
    # It is shown as the lines to come are, each on its own.
    assert start.shown == "我在海上，\n你在花"
    assert start.given == len(start.shown)
    whole = composer(poems, [], 1).start("我在海上，你在花。」看\n山外，", "map")
    assert (whole.begun, whole.shown) == ("", "我在海上，\n你在花。」\n看\n山外，\n")
    closed = composer(poems, [], 1).start("我在海上。」你", "map")
    assert (closed.begun, closed.shown) == ("你", "我在海上。」\n你")
    for seed in range(5):
        text = composer(poems, Form(line_length="6"), seed).write("我在海上，你在花", lines=2)
        given, first, second = text.split("\n")
        assert given == "我在海上，"
        assert re.fullmatch(r"你在花\w{3}[，。]", first)
        assert re.fullmatch(r"\w{6}[，。]", second)


# The same again.


def test_the_same_seed_gives_the_same_text_and_another_another(chinese: Sampler) -> None:
    form = Form(line_length="7", rhyme="AABA", must=("大海",))
    texts = [tuple(written(chinese, form, seed)) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_the_same_generator_goes_on(chinese: Sampler) -> None:
    one = composer(chinese, Form(line_length="7"), 1)
    assert one.write(lines=2) != one.write(lines=2)


@pytest.mark.parametrize("temperature", [0, 1e-5, 0.05])
def test_at_temperature_zero_every_seed_gives_the_same_text(
    chinese: Sampler, temperature: float
) -> None:
    form = Form(line_length="6", acrostic="我你他", rhyme="AAB")
    decoding = Decoding(temperature=temperature)
    texts = {tuple(written(chinese, form, seed, decoding=decoding)) for seed in range(3)}
    for first, second, third in texts:
        assert (first[0], second[0], third[0]) == ("我", "你", "他")
        assert track(first) == track(second)
    if temperature < 1e-3:
        assert len(texts) == 1


def test_temperature_zero_without_a_form_is_what_the_model_finds_likeliest(
    chinese: Sampler,
) -> None:
    decoding = Decoding(temperature=0)
    text = composer(chinese, [], 1, decoding=decoding).write("我", lines=1)
    assert text == chinese.generate("我", lines=1, decoding=decoding)


# Other wishes about the next character.


def test_no_passage_is_repeated_in_a_form_where_none_may_be(chinese: Sampler) -> None:
    decoding = Decoding(temperature=1.0, no_repeat=4)
    for seed in range(10):
        form = Form(lines=4, line_length="7", acrostic="我你他我")
        text = "\n".join(written(chinese, form, seed, decoding=decoding))
        passages = [text[at : at + 4] for at in range(len(text) - 3)]
        assert len(set(passages)) == len(passages)


def test_nothing_longer_is_copied_in_a_form_than_may_be(chinese: Sampler) -> None:
    song = chinese_song()

    def followers(passage: str) -> str:
        return "".join(m[1] for m in re.finditer(f"(?={re.escape(passage)}(.))", song, re.DOTALL))

    copy = MaxCopy(4, followers, chinese.vocabulary)
    form = Form(lines=3, line_length="7", rhyme="AAA")
    for seed in range(6):
        text = "\n".join(written(chinese, form, seed, processors=[copy]))
        assert not any(text[at : at + 5] in song for at in range(len(text) - 4))


def test_processors_are_told_the_text_as_it_is_shown_or_as_it_is_read(poems: Sampler) -> None:
    shown: set[str] = set()
    read: set[str] = set()

    def note(text: str, logits: NDArray[np.float32]) -> None:
        shown.add(text)

    def note_read(text: str, logits: NDArray[np.float32]) -> None:
        read.add(text)

    one = composer(poems, Form(line_length="5"), 1, processors=[note], read_processors=[note_read])
    text = one.write("我在海上，", lines=2)
    _, first, second = text.split("\n")
    assert all(before.startswith("我在海上，\n") for before in shown)
    assert text[:-1] in shown
    # Where the line ends, about the break as well that only a person sees.
    assert f"我在海上，\n{first}" in shown
    assert all(before.startswith("我在海上，") for before in read)
    assert any(before.startswith(f"我在海上，{first}{second[:2]}") for before in read)


@pytest.mark.parametrize("prefix", ["我在车站\r\n", "我e\u0301\n"])
def test_processors_are_told_the_prefix_as_texts_are_normalised(prefix: str) -> None:
    sampler = uniform("我在车站é\n")
    told: list[str] = []

    def note(text: str, logits: NDArray[np.float32]) -> None:
        told.append(text)

    one = composer(sampler, Form(line_length="2"), 1, processors=[note])
    one.write(prefix, lines=1)
    assert told[0] == prefix.replace("\r", "").replace("e\u0301", "é")


def test_no_longer_copy_runs_over_the_end_of_a_verse(poems: Sampler) -> None:
    learned_from = VERSE

    def followers(passage: str) -> str:
        found = re.finditer(f"(?={re.escape(passage)}(.))", learned_from, re.DOTALL)
        return "".join(m[1] for m in found)

    copy = MaxCopy(4, followers, poems.vocabulary)
    longest = []
    for read_processors in ([], [copy]):
        texts = []
        for seed in range(10):
            one = composer(poems, Form(), seed, processors=[copy], read_processors=read_processors)
            texts.append(one.compose("", lines=2).read)
        longest.append(
            max(
                size
                for text in texts
                for at in range(len(text))
                for size in range(1, 8)
                if text[at : at + size] in learned_from and at + size <= len(text)
            )
        )
    assert longest[0] > 4
    assert longest[1] == 4


# Choosing as the model would.


def conditional(
    chances: Mapping[str, Mapping[str, float]], lines: Sequence[str]
) -> dict[str, float]:
    """Return how likely each of `lines` is where it must be one of them."""
    whole = {
        line: math.prod(chances[a].get(b, 0.0) for a, b in pairwise(f"\n{line}\n"))
        for line in lines
    }
    return {line: chance / sum(whole.values()) for line, chance in whole.items()}


@pytest.fixture
def _as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose as the model would: not surer than it."""
    monkeypatch.setattr("charlstm.writing.composer._LIKELIER", 0.0)


def chosen(
    sampler: Sampler, constraints: Sequence[Constraint], times: int, decoding: Decoding = LITTLE
) -> Counter[str]:
    one = composer(sampler, constraints, 3, decoding=decoding)
    start = one.start()
    return Counter(one.choose(one.candidates(start))[0].line for _ in range(times))


def assert_close(found: Counter[str], expected: Mapping[str, float]) -> None:
    """Allow chance 4.5 standard deviations, and 32 candidates a bias of a few hundredths."""
    times = found.total()
    assert set(found) <= set(expected)
    for line, share in expected.items():
        bound = 4.5 * math.sqrt(share * (1 - share) / times) + 0.03
        assert found[line] / times == pytest.approx(share, abs=bound), (line, found, expected)


CHANCES = {
    "\n": {"a": 0.6, "b": 0.3, "c": 0.1},
    "a": {"a": 0.5, "b": 0.3, "c": 0.1, "\n": 0.1},
    "b": {"a": 0.1, "b": 0.1, "c": 0.2, "\n": 0.6},
    "c": {"a": 0.05, "b": 0.05, "\n": 0.9},
}


@pytest.mark.usefixtures("_as_likely")
@pytest.mark.parametrize("length", [2, 3])
def test_lines_of_a_length_are_chosen_as_often_as_the_model_writes_them(length: int) -> None:
    lines = ["".join(line) for line in product("abc", repeat=length)]
    constraints = [LineLength(((length, length),))]
    found = chosen(bigrams(CHANCES), constraints, 200)
    assert_close(found, conditional(CHANCES, lines))


@pytest.mark.usefixtures("_as_likely")
def test_a_line_that_a_rare_character_forces_is_as_rare_as_the_model_has_it() -> None:
    # Every candidate must begin with one of two: what follows them is what makes the difference.
    sampler = bigrams(CHANCES)
    found = chosen(sampler, [Beginning("ac"), LineLength(((1, 1),))], 200)
    assert_close(found, conditional(CHANCES, ["a", "c"]))


@pytest.mark.usefixtures("_as_likely")
def test_lines_led_to_an_ending_are_chosen_as_often_as_the_model_writes_them() -> None:
    # 一 is rare and likes 天; 二 is common and nearly never goes on with it.
    chances = {
        "\n": {"一": 0.05, "二": 0.95},
        "一": {"天": 0.6, "地": 0.3, "\n": 0.1},
        "二": {"天": 0.05, "地": 0.15, "\n": 0.8},
        "天": {"\n": 1.0},
        "地": {"\n": 1.0},
    }
    constraints = Form(acrostic_end="天", line_length="2").constraints(bigrams(chances).vocabulary)
    found = chosen(bigrams(chances), constraints, 200)
    assert_close(found, conditional(chances, ["一天", "二天"]))


@pytest.mark.usefixtures("_as_likely")
def test_a_temperature_sharpens_what_is_chosen() -> None:
    lines = ["".join(line) for line in product("abc", repeat=2)]
    # At one half the chances are squared, character by character.
    sharper = {
        before: {
            after: p**2 / sum(q**2 for q in following.values()) for after, p in following.items()
        }
        for before, following in CHANCES.items()
    }
    decoding = Decoding(temperature=0.5, allow_loops=True)
    found = chosen(bigrams(CHANCES), [LineLength(((2, 2),))], 300, decoding)
    assert_close(found, conditional(sharper, lines))


def test_a_choice_is_drawn_by_the_weights(chinese: Sampler) -> None:
    candidates = [Candidate("a", math.log(3), -1.0, "\n"), Candidate("b", 0.0, -1.0, "\n")]
    one = composer(chinese, [], 1)
    found = Counter(one.choose(candidates)[0].line for _ in range(2000))
    assert found["a"] / 2000 == pytest.approx(0.75, abs=5 * math.sqrt(0.75 * 0.25 / 2000))
    # Also where the logarithms are far from zero.
    far = [Candidate("a", -2000.0, -1.0, "\n"), Candidate("b", -2100.0, -1.0, "\n")]
    assert {one.choose(far)[0].line for _ in range(50)} == {"a"}
    cold = composer(chinese, [], 1, decoding=Decoding(temperature=0))
    assert {cold.choose(candidates)[0].line for _ in range(50)} == {"a"}


def test_of_lines_alike_the_one_that_the_model_finds_likelier_is_taken_more_often(
    chinese: Sampler,
) -> None:
    candidates = [Candidate("a", 0.0, -1.0, "\n"), Candidate("b", 0.0, -2.0, "\n")]
    one = composer(chinese, [], 1)
    assert sum(one.choose(candidates)[0].line == "a" for _ in range(100)) > 90


def test_several_choices_differ_and_are_no_more_than_there_are(chinese: Sampler) -> None:
    one = composer(chinese, [], 1)
    candidates = [Candidate(line, 0.0, -1.0, "\n") for line in "abcd"]
    firsts = set()
    for _ in range(50):
        lines = [candidate.line for candidate in one.choose(candidates, 3)]
        assert len(set(lines)) == len(lines) == 3
        firsts.add(lines[0])
    assert firsts == set("abcd")
    assert len(one.choose(candidates, 9)) == 4


# Where no line is found.


@dataclass(frozen=True)
class Beginning(Constraint):
    """Lines begin with one of some characters."""

    characters: str
    wish: str = "the beginning"

    def fits(self, so_far: LineSoFar) -> bool:
        return bool(so_far.text) and so_far.text[0] in self.characters

    def allowed(self, so_far: LineSoFar) -> str | None:
        return None if so_far.text else self.characters


@dataclass(frozen=True)
class Growing(Constraint):
    """Every line is a character longer than the one before."""

    wish: str = "growth"

    def _due(self, so_far: LineSoFar) -> int:
        return len(letters(so_far.before[-1])) + 1 if so_far.before else 3

    def fits(self, so_far: LineSoFar) -> bool:
        return len(letters(so_far.text)) == self._due(so_far)

    def may_end(self, so_far: LineSoFar) -> bool:
        return self.fits(so_far)

    def must_end(self, so_far: LineSoFar) -> bool:
        return self.fits(so_far)


@dataclass(frozen=True)
class Never(Constraint):
    """Whatever it is asked, the answer is no: what is written is never as it should be."""

    after: str | None = None
    wish: str = "the impossible"

    def fits(self, so_far: LineSoFar) -> bool:
        return bool(self.after) and so_far.before[-1:] != (self.after,)


def test_a_constraint_of_ones_own_is_met(chinese: Sampler) -> None:
    for seed in SEEDS:
        lines = composer(chinese, [Growing()], seed).write(lines=5).split("\n")
        assert [len(letters(line)) for line in lines] == [3, 4, 5, 6, 7]


def test_a_wish_that_cannot_be_met_is_named_with_the_nearest_line() -> None:
    sampler = bigrams({"\n": {"a": 1.0}, "a": {"b": 1.0}, "b": {"\n": 1.0}})
    one = composer(sampler, [Beginning("a"), Never()], 1)
    with pytest.raises(FormError) as caught:
        one.write(lines=2)
    assert str(caught.value) == (
        "No line 1 was found that meets the impossible, in 224 tries. The nearest was: ab. "
        "Ask for less, or try again, perhaps with a higher temperature."
    )


def test_a_length_that_the_prefix_has_passed_is_named(chinese: Sampler) -> None:
    with pytest.raises(FormError) as caught:
        composer(chinese, Form(line_length="3"), 1).write("我在车站", lines=1)
    found = str(caught.value)
    assert found.startswith(
        "No line 1 that begins with 我在车站 was found that meets line_length='3', in 224 tries. "
        "The nearest was: 我在车站"
    )


def test_what_leaves_no_character_at_all_is_told_too(chinese: Sampler) -> None:
    with pytest.raises(FormError) as caught:
        composer(chinese, [Beginning("离")], 1).write(lines=1)
    assert str(caught.value) == (
        "No line 1 was found that meets the beginning, in 224 tries. None came near. "
        "Ask for less, or try again, perhaps with a higher temperature."
    )


def test_a_rhyme_that_nothing_answers_is_named_at_once() -> None:
    sampler = uniform("花家在\n")
    song = composer(sampler, [Rhyme("AAA", sampler.vocabulary.characters, answers=0)], 1)
    place = song.after(song.after(song.start(), "花"), "家")
    with pytest.raises(FormError) as caught:
        song.candidates(place)
    assert str(caught.value) == (
        "No line 3 can end as the rhyme asks: the model can write no word that would do. Ask for "
        "less, or change the lines before it."
    )


def test_endings_are_those_that_all_constraints_allow_whatever_they_are_called() -> None:
    class Ending(Constraint):
        def __init__(self, units: str) -> None:
            self.units = frozenset(units)

        def endings(self, so_far: LineSoFar) -> frozenset[str]:
            return self.units

    sampler = uniform("春人风天\n")
    one = composer(sampler, [Ending("春人风"), Ending("人天")], 1)
    assert {candidate.line[-1] for candidate in one.candidates(one.start(), 10)} == {"人"}


def test_where_only_processors_are_in_the_way_they_are_named() -> None:
    sampler = uniform("我花\n")
    form = Form(line_length="3")
    with pytest.raises(FormError) as caught:
        composer(sampler, form, 1, decoding=Decoding(no_repeat=1)).write(lines=2)
    assert str(caught.value) == (
        "No line 1 was found: whatever the form would let follow is ruled out by no_repeat, "
        "max_copy or another processor. Ask for less."
    )


def test_at_temperature_0_bolder_lines_are_tried_where_the_likeliest_does_not_fit() -> None:
    sampler = bigrams(
        {
            "\n": {"a": 0.6, "b": 0.4},
            "a": {"\n": 1.0},
            "b": {"\n": 1.0},
        }
    )
    cold = Decoding(temperature=0.0)
    assert composer(sampler, [], 1, decoding=cold).write(lines=1) == "a"
    assert composer(sampler, [Never("x")], 1, decoding=cold).write("", lines=0) == ""

    class NotA(Constraint):
        def fits(self, so_far: LineSoFar) -> bool:
            return so_far.text != "a"

    assert composer(sampler, [NotA()], 1, decoding=cold).write(lines=1) == "b"
    one = composer(sampler, [], 1, decoding=cold)
    assert {candidate.line for candidate in one.candidates(one.start(), 2)} == {"a", "b"}


def test_bolder_lines_count_as_they_would_at_the_temperature_that_was_asked_for() -> None:
    chances = {"\n": {"a": 0.6, "b": 0.4}, "a": {"\n": 1.0}, "b": {"\n": 1.0}}
    sampler = bigrams(chances)
    cold = Decoding(temperature=0.3, allow_loops=True)
    shares = []
    for seed in range(60):
        one = composer(sampler, [], seed, decoding=cold)
        # There are no three, so all rounds are gone through, and most lines are drawn warmer.
        found = {c.line: math.exp(c.log_weight) for c in one.candidates(one.start(), 3)}
        shares.append(found["a"] / sum(found.values()))
    expected = 0.6 ** (1 / 0.3) / (0.6 ** (1 / 0.3) + 0.4 ** (1 / 0.3))
    assert np.mean(shares) == pytest.approx(expected, abs=0.01)


def test_a_constraint_that_allows_all_but_a_few_characters_allows_no_line_break() -> None:
    class Lipogram(Constraint):
        def allowed(self, so_far: LineSoFar) -> str:
            return "我你 \n"

    sampler = uniform("我你花 \n")
    for seed in range(20):
        constraints = [Lipogram(), LineLength(((4, 4),))]
        line = composer(sampler, constraints, seed).write(lines=1)
        assert re.fullmatch("[我你][我你 ]*", line)
        assert len(letters(line)) == 4


def test_a_full_line_is_closed_by_one_mark_and_by_what_it_opened() -> None:
    sampler = uniform("我，。！」「\"'\n")
    lines = set()
    for seed in range(40):
        one = composer(sampler, [LineLength(((2, 2),))], seed)
        lines |= {candidate.line for candidate in one.candidates(one.start(), 20)}
    for line in lines:
        tail = line[line.rindex("我") + 1 :]
        assert sum(mark in "，。！" for mark in tail) <= 1
        if line.count("「") <= line[: len(line) - len(tail)].count("」"):
            assert "」" not in tail
    assert any("」" in line for line in lines)


def test_a_bracket_is_closed_in_its_line() -> None:
    sampler = uniform("我花《》「」\n")
    lines = set()
    for seed in range(30):
        one = composer(sampler, [LineLength(((3, 4),))], seed)
        lines |= {candidate.line for candidate in one.candidates(one.start(), 20)}
    assert all(line.count("《") <= line.count("》") for line in lines)
    assert any(line.count("《") for line in lines)
    assert any(line.count("「") > line.count("」") for line in lines)  # which may go on
    # A model that knows no closing bracket still ends its lines.
    open_ended = uniform("我花《\n")
    assert composer(open_ended, [LineLength(((3, 4),))], 1).write(lines=2).count("\n") == 1


def test_the_last_line_does_not_break_off_at_a_comma_if_others_fit(poems: Sampler) -> None:
    ends = {
        composer(poems, Form(line_length="7"), seed).write(lines=lines)[-1]
        for seed in range(12)
        for lines in (1, 2)
    }
    assert ends == {"。"}


def test_of_a_long_line_that_came_nearest_the_beginning_is_shown() -> None:
    sampler = bigrams({"a": {"b": 1.0}, "b": {"a": 1.0}, "\n": {"a": 1.0}})
    with pytest.raises(FormError, match=r"The nearest was: (ab){30}…\. Ask"):
        composer(sampler, [], 1, decoding=LITTLE).write(lines=1)


def test_a_line_must_begin_as_it_was_begun(chinese: Sampler) -> None:
    one = composer(chinese, [], 1)
    with pytest.raises(RecipeError) as caught:
        one.after(one.start("我在"), "花开")
    assert str(caught.value) == "The line '花开' must begin with '我在'."


def test_a_model_that_never_ends_a_line_is_no_endless_loop() -> None:
    sampler = bigrams({"a": {"b": 1.0}, "b": {"a": 1.0}, "\n": {"a": 1.0}})
    with pytest.raises(FormError, match=r"^No line 1 was found, in 224 tries"):
        composer(sampler, [], 1, decoding=LITTLE).write(lines=1)


def test_where_nothing_can_follow_it_returns_to_the_line_before() -> None:
    # Behind the line b, no second line fits.
    sampler = bigrams({"\n": {"a": 0.5, "b": 0.5}, "a": {"\n": 1.0}, "b": {"\n": 1.0}})
    plain = composer(sampler, [], 1, decoding=LITTLE)
    assert {plain.write(lines=1) for _ in range(20)} == {"a", "b"}
    texts = []
    for seed in range(20):
        # Three returns may lead to b each time.
        with contextlib.suppress(FormError):
            texts.append(composer(sampler, [Never("b")], seed, decoding=LITTLE).write(lines=2))
    assert len(texts) >= 18
    assert {text[0] for text in texts} == {"a"}


def test_a_line_that_stands_there_is_not_written_again_unless_there_is_no_other() -> None:
    sampler = bigrams({"\n": {"a": 0.9, "b": 0.1}, "a": {"\n": 1.0}, "b": {"\n": 1.0}})
    for seed in SEEDS:
        first, second, third = composer(sampler, [], seed, decoding=LITTLE).write(lines=3).split()
        assert {first, second} == {"a", "b"}
        assert third in "ab"


def test_as_many_candidates_are_found_as_are_wanted_and_all_differ(chinese: Sampler) -> None:
    one = composer(chinese, Form(line_length="7"), 1, decoding=Decoding(temperature=1.5))
    found = one.candidates(one.start(), 60)
    lines = [candidate.line for candidate in found]
    assert len(lines) == len(set(lines)) >= 60
    assert all(len(letters(line)) == 7 for line in lines)
    assert all(math.isfinite(candidate.log_weight) for candidate in found)


# Places.


def contents(place: Point) -> tuple[Any, ...]:
    assert isinstance(place.state, State)
    layers = [
        array.copy()
        for layer in place.state.layers
        for array in (layer.h_and_one, layer.c, layer.products)
    ]
    return place.lines, place.begun, place.read, place.shown, layers


def assert_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert one[:-1] == other[:-1]
    for a, b in zip(one[-1], other[-1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_place_is_not_changed_by_what_follows_so_going_back_is_using_it_again(
    chinese: Sampler,
) -> None:
    one = composer(chinese, Form(line_length="6", rhyme="AAAA"), 1)
    start = one.start("我在")
    first = one.after(start, one.candidates(start)[0].line)
    places = [start, first]
    noted = [contents(place) for place in places]
    for place in places:
        for candidate in one.candidates(place)[:3]:
            one.after(place, candidate.line, candidate.end)
    one.candidates(first, 50)
    for place, before in zip(places, noted, strict=True):
        assert_same(contents(place), before)


def test_the_place_behind_a_line_is_where_reading_it_leads(chinese: Sampler) -> None:
    one = composer(chinese, [], 1)
    place = one.after(one.start("他在山外\n我在"), "我在海上，看花开")
    assert place.lines == ("我在海上，看花开",)
    assert (place.begun, place.read) == ("", "他在山外\n我在海上，看花开\n")
    assert place.shown == place.read
    expected = chinese.read("他在山外\n我在海上，看花开\n")
    np.testing.assert_array_equal(place.state.logits, expected.logits)


def test_a_line_may_hold_what_the_model_has_never_seen(chinese: Sampler) -> None:
    one = composer(chinese, Form(line_length="5", lines=2), 1)
    place = one.after(one.start(), "离Q,花")
    assert place.lines == ("离Q,花",)
    assert place.shown == "离Q,花\n"
    expected = chinese.read("离Q，花\n", unknown="map")
    np.testing.assert_array_equal(place.state.logits, expected.logits)
    (second, *_) = one.candidates(place)
    assert one.after(place, second.line, second.end).shown == f"离Q,花\n{second.line}\n"


def test_in_verse_the_model_reads_a_mark_and_a_person_sees_lines(poems: Sampler) -> None:
    one = composer(poems, [], 1)
    first = one.after(one.start(), "我在海上看花开，")
    assert (first.read, first.shown) == ("我在海上看花开，", "我在海上看花开，\n")
    second = one.after(first, "你在窗前不能忘。")
    assert second.read == "我在海上看花开，你在窗前不能忘。\n"
    assert second.shown == "我在海上看花开，\n你在窗前不能忘。\n"
    np.testing.assert_array_equal(second.state.logits, poems.read(second.read).logits)
    # A line that somebody wrote without a mark is read with the commonest.
    bare = one.after(one.start(), "我在海上看花开")
    assert bare.lines == ("我在海上看花开",)
    assert re.fullmatch(r"我在海上看花开[，。]\n?", bare.read)
    assert bare.shown == "我在海上看花开\n"


# Where lines end.


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("我在这里，你在那里\n我走了\n", "\n"),
        ("a, b, c!\nd, e\n", "\n"),
        ("一，二\n三，四\n", "\n"),  # as many as line breaks
        ("一，二 三。四 五，", "，。 "),
        ("ab\n", "\n"),
    ],
)
def test_lines_end_where_they_do_in_the_text(text: str, ends: str) -> None:
    assert sorted(line_ends(Vocabulary.build(text))) == sorted(ends)


def test_the_commonest_end_comes_first() -> None:
    assert line_ends(Vocabulary.build("一，二。三，四！五，六。\n"))[:3] == "，。！"


@pytest.mark.parametrize("text", ["love me do and go", "我在 你在 他在"])
def test_a_text_without_line_breaks_or_clauses_ends_lines_at_its_spaces(text: str) -> None:
    assert line_ends(Vocabulary.build(text)) == " "


def test_no_line_of_verse_holds_a_line_break() -> None:
    sampler = uniform("我你花，。\n")
    counts = Vocabulary("我你花，。\n", [0, 5, 5, 5, 4, 4, 2])
    sampler = Sampler(sampler.network, counts)
    for seed in range(10):
        one = composer(sampler, Form(line_length="3"), seed)
        found = one.candidates(one.start(), 10)
        assert not any("\n" in candidate.line for candidate in found)
