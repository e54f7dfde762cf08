"""What people ask for and are shown goes by letters as they see them, in every script."""

import io
import itertools
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from commandline import Charlstm
from rich.console import Console
from songs import learn

from charlstm.cli.console import shown_line
from charlstm.cli.write import page
from charlstm.errors import RecipeError
from charlstm.text.letters import counted, letters, number_of_letters
from charlstm.trained import TrainedModel
from charlstm.writing.constraints import Acrostic, AcrosticEnd, LineSoFar, Must
from charlstm.writing.form import Form
from charlstm.writing.song import Song

HINDI = """राह में धूप खिलती है
मन में एक गीत है
क्यों तू चुप है नदी
शाम को दीया जला
मैं तेरा नाम लूँ
नाव चली उस पार
"""
HEBREW = """שִׁיר חָדָשׁ לְאִמָּא
לַיְלָה טוֹב לָעִיר
וּבֹקֶר אוֹר לַיָּם
מָחָר נֵלֵךְ הַבַּיְתָה
"""
GERMAN = """Öfen glühen in der Nacht
Ähren rauschen überall
Über Brücken geht der Mond
über Dächer fällt der Schnee
"""
KOREAN = """하늘에는 별이 많다
국화꽃이 피었구나
바람은 어디로 가나
"""
FAMILY = "👨\u200d👩\u200d👧"
EMOJI = f"we are home {FAMILY} again\n{FAMILY}{FAMILY} sing along\nlove ❤️ and 🇩🇪🇫🇷 too\n"
TEXTS = {"hi": HINDI, "he": HEBREW, "de": GERMAN, "ko": KOREAN, "emoji": EMOJI}


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedModel]:
    where = tmp_path_factory.mktemp("letters")
    return {
        name: learn(where, text * 16, name=name, epochs=30, sample_every=0)
        for name, text in TEXTS.items()
    }


# Lengths.


@pytest.mark.parametrize("name", ["hi", "he", "emoji"])
def test_a_sample_has_as_many_letters_as_were_asked_for_and_ends_inside_none(
    models: dict[str, TrainedModel], name: str
) -> None:
    model = models[name]
    hotter: dict[str, Any] = {"temperature": 1.5, "allow_loops": True}
    for seed in range(6):
        whole = letters(model.generate(length=60, seed=seed, **hotter))
        assert len(whole) == 60
        for length in (0, 1, 7, 23):
            shorter = model.generate(length=length, seed=seed, **hotter)
            assert shorter == "".join(whole[:length])
    side_by_side = model.generate_many(samples=5, length=23, seed=1, **hotter)
    assert side_by_side == [model.generate(length=23, seed=1 + k, **hotter) for k in range(5)]
    assert "".join(model.stream(length=23, seed=1, **hotter)) == side_by_side[0]


def test_what_belongs_to_the_last_letter_of_the_prefix_is_not_counted(
    models: dict[str, TrainedModel],
) -> None:
    for seed in range(20):
        text = models["hi"].generate("र", length=5, seed=seed, temperature=2.0)
        assert number_of_letters(text) == 6


def test_a_text_that_ends_earlier_has_fewer_letters(models: dict[str, TrainedModel]) -> None:
    model = models["hi"]
    whole = model.generate(length=60, seed=1)
    assert model.generate(length=60, seed=1, lines=1) == whole.split("\n")[0]


def test_a_text_to_stop_at_is_not_found_inside_a_letter(models: dict[str, TrainedModel]) -> None:
    settings: dict[str, Any] = {"length": 120, "seed": 2, "temperature": 0.2}
    whole = models["emoji"].generate(**settings)
    assert FAMILY in whole
    # Where one begins with it, it is not known yet what it will be.
    found = itertools.takewhile(lambda letter: letter[0] != "👩", letters(whole))
    assert models["emoji"].generate(**settings, stop="👩") == "".join(found)
    before = models["emoji"].generate(**settings, stop=FAMILY)
    assert before == whole.partition(FAMILY)[0]


def test_lines_have_as_many_letters_as_were_asked_for(models: dict[str, TrainedModel]) -> None:
    for name in ("hi", "he"):
        text = models[name].compose(Form(lines=3, line_length="5,8,6"), seed=2)
        assert [len(counted(line)) for line in text.split("\n")] == [5, 8, 6]
        assert not any(unicodedata.category(line[0])[0] == "M" for line in text.split("\n"))


# Acrostics and words.


@pytest.mark.parametrize(
    ("name", "acrostic"), [("hi", "राम"), ("hi", "क्या"), ("he", "שִׁלוֹ"), ("he", "מָםשִׁ")]
)
def test_every_letter_of_an_acrostic_begins_a_line(
    models: dict[str, TrainedModel], name: str, acrostic: str
) -> None:
    form = Form(acrostic=acrostic)
    assert form.count == number_of_letters(acrostic)
    for seed in range(3):
        lines = models[name].compose(form, seed=seed).split("\n")
        assert [counted(line)[0] for line in lines] == letters(acrostic)


def test_a_letter_asked_for_is_written_part_by_part_and_then_no_other_made_of_it() -> None:
    acrostic = Acrostic("रा", "नराि \u0301")
    part, whole, other = LineSoFar((), "र"), LineSoFar((), "रा"), LineSoFar((), "रि")
    assert acrostic.allowed(LineSoFar((), "")) == "रर"
    assert acrostic.allowed(part) == "ाा"
    assert acrostic.allowed(whole) == "नर "
    assert [acrostic.may_end(line) for line in (part, whole)] == [False, True]
    assert [acrostic.fits(line) for line in (part, whole, other)] == [False, True, False]
    assert AcrosticEnd("रा", "नराि").fits(LineSoFar((), "नरा!"))
    assert not AcrosticEnd("रा", "नराि").fits(LineSoFar((), "नर"))


@pytest.mark.parametrize(
    ("word", "line", "fits"),
    [
        ("नाम", "मेरा नाम है", True),
        ("नाम", "मेरा नामी है", False),
        ("मी", "मेरा नामी है", False),
        ("👩", f"home {FAMILY}", False),
        (FAMILY, f"home {FAMILY}", True),
        ("home", f"home{FAMILY}", True),
    ],
)
def test_a_word_is_not_found_in_a_part_of_a_letter_or_of_a_word(
    word: str, line: str, fits: bool
) -> None:
    assert Must((word,)).fits(LineSoFar((), line)) == fits


@pytest.mark.parametrize("text", ["\u0301", FAMILY, "a❤️"])
def test_an_acrostic_of_what_is_no_letter_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="acrostic needs letters, one for each line"):
        Form(acrostic=text)


# What is handed over goes the way of the training text.


@pytest.mark.parametrize(("name", "acrostic"), [("de", "ÖÄÜ"), ("ko", "하국")])
def test_an_acrostic_may_be_typed_in_parts(
    models: dict[str, TrainedModel], name: str, acrostic: str
) -> None:
    form = Form(acrostic=decomposed(acrostic))
    assert form.count == len(acrostic)
    text = models[name].compose(form, seed=1)
    assert [line[0] for line in text.split("\n")] == list(acrostic)
    ends = "".join(line[-1] for line in TEXTS[name].split("\n")[:2])
    last = models[name].compose(Form(acrostic_end=decomposed(ends)), seed=1)
    assert [line[-1] for line in last.split("\n")] == list(ends)


def test_words_and_ends_may_be_typed_in_parts(models: dict[str, TrainedModel]) -> None:
    model = models["de"]
    text = model.compose(Form(lines=2, must=(decomposed("Brücken"),)), seed=1)
    assert "Brücken" in text
    whole = model.generate(length=200, seed=1)
    assert "ü" in whole
    assert model.generate(length=200, seed=1, stop=[decomposed("ü")]) == whole.partition("ü")[0]
    assert model.generate(length=200, seed=1, stop=decomposed("ü")) == whole.partition("ü")[0]


def test_a_text_that_was_left_as_it_was_is_asked_for_as_it_is(tmp_path: Path) -> None:
    model = learn(tmp_path, decomposed(GERMAN) * 12, epochs=10, normalize=False, sample_every=0)
    acrostic = decomposed("ÖÄ")
    lines = model.compose(Form(acrostic=acrostic), seed=1).split("\n")
    assert [counted(line)[0] for line in lines] == letters(acrostic)


def test_lines_of_ones_own_stay_as_they_were_typed_and_are_read_as_the_text_was(
    models: dict[str, TrainedModel],
) -> None:
    sampler = models["de"].sampler
    form = Form(must=(decomposed("Brücken"),), acrostic=decomposed("ÖÄ"))
    song = Song(sampler, form=form, seed=1)
    song.write(decomposed("Öl auf den Brücken"))
    assert song.lines == (decomposed("Öl auf den Brücken"),)
    assert song.form == form
    assert song.stanza == ("Öl auf den Brücken",)
    # The word is there, so no other line needs it.
    assert all(proposal.line[0] == "Ä" for proposal in song.propose())
    assert any("Brücken" not in proposal.line for proposal in song.propose())


# Copies.


def test_no_more_letters_in_a_row_are_copied_than_may_be(models: dict[str, TrainedModel]) -> None:
    model = models["hi"]
    for most in (4, 6):
        texts = model.generate_many(samples=4, length=60, seed=1, max_copy=most)
        longest = [model.novelty(text).longest for text in texts]
        assert max(passage.letters for passage in longest if passage) <= most
        # Without a limit they are longer, and with one by characters they were shorter.
        assert max(len(passage.text) for passage in longest if passage) > most
    passage = model.novelty(model.generate(length=60, seed=1)).longest
    assert passage is not None
    assert passage.letters > 6


def test_what_is_shown_as_copied_consists_of_whole_letters(models: dict[str, TrainedModel]) -> None:
    for name in ("hi", "emoji"):
        model = models[name]
        learned = letters(model.learned.text._text)
        text = model.generate(length=400, seed=3, allow_loops=True)
        written = letters(text)
        passages = model.novelty(text).passages
        assert passages
        counts = [passage.letters for passage in passages]
        assert counts == sorted(counts, reverse=True)
        assert min(counts) >= 4
        for passage in passages:
            whole = letters(passage.text)
            for found in (written, learned):
                starts = range(len(found) - len(whole) + 1)
                assert any(found[start : start + len(whole)] == whole for start in starts)


def test_around_a_copied_passage_no_letter_is_torn(models: dict[str, TrainedModel]) -> None:
    training = models["emoji"].learned.text
    passage = training.novelty(["sing along\n"]).longest
    assert passage is not None
    for many in range(1, 12):
        before, after = training.around(passage, many)
        assert before[:1] not in ("\u200d", "👩", "👧", "\ufe0f")
        assert after[-1:] not in ("\u200d", "👨", "👩", "❤")


# On the command line.


def test_what_was_copied_is_told_in_letters(
    models: dict[str, TrainedModel], charlstm: Charlstm
) -> None:
    run = str(models["hi"].directory.path)
    (answer,) = charlstm(
        "generate", "--run", run, "--seed", "1", "--length", "60", "--json"
    ).answers()
    assert number_of_letters(answer["text"]) == 60
    assert answer["longest_copy"]["characters"] == number_of_letters(answer["longest_copy"]["text"])
    told = charlstm("generate", "--run", run, "--seed", "1", "--length", "60").stderr
    assert f"longest copy {answer['longest_copy']['characters']} characters, " in told
    novelty = charlstm("eval", "novelty", "--run", run, "--seed", "1", "--samples", "2").stdout
    rows = re.findall(r"^ +(\d+) +[\d,]+  .*?«(.*?)».*$", novelty, re.M)
    assert rows
    for letters_told, passage in rows:
        assert int(letters_told) == number_of_letters(passage.replace("⏎", "\n"))


def test_an_acrostic_of_the_command_line_may_be_typed_in_parts(
    models: dict[str, TrainedModel], charlstm: Charlstm
) -> None:
    run = str(models["de"].directory.path)
    asked = ("--acrostic", decomposed("ÖÄ"), "--must", decomposed("für"), "--seed", "1")
    lines = charlstm("generate", "--run", run, *asked).stdout.splitlines()
    assert [line[0] for line in lines] == ["Ö", "Ä"]
    assert "für" in " ".join(lines)


def test_in_a_table_of_proposals_the_figures_stand_before_the_line(
    models: dict[str, TrainedModel],
) -> None:
    model = models["hi"]
    song = Song(model.sampler, training_text=model.learned.text, seed=1)
    song.write("राह में धूप")
    proposals = song.propose()
    drawn = io.StringIO()
    page.draw(Console(file=drawn, width=100, highlight=False), "song", song, proposals)
    rows = re.findall(r"^(\d) +[\d.]+% +(all|\d*) +(\S.*?) *$", drawn.getvalue(), re.M)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(proposals) + 1))
    for (_, copied, text), proposal in zip(rows, proposals, strict=True):
        assert text.startswith(proposal.line)
        known = proposal.copied
        assert copied == ("all" if proposal.verbatim else str(known.letters) if known else "")


def test_shown_text_is_shortened_between_letters() -> None:
    text = "रा" * 40 + FAMILY * 40
    assert shown_line(text) == "रा" * 30 + " … " + FAMILY * 30
    assert shown_line("रा" * 60) == "रा" * 60
