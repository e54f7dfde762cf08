"""Lower-case letters and single spaces alone: `letters_only`, and the exercise that has it."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import start_session

import charlstm
from charlstm.errors import CorpusError, RecipeError, UnknownCharactersError
from charlstm.recipes.named import d2l, named, time_machine
from charlstm.recipes.wish import Wish
from charlstm.text.corpus import TextOptions
from charlstm.text.lettering import letters_only
from charlstm.text.unseen import stop_text
from charlstm.text.vocabulary import Vocabulary

BARE = TextOptions(newline="space", letters_only=True)
BOOK = (
    "The Time Machine, by H. G. Wells [1898]\n\n\n\n\nI\n\n\n"
    "The Time Traveller (for so it will be convenient to speak of him)\n"
    "was expounding a recondite matter to us. It's _nil_ -- 4 o'clock.\n"
) * 4
QUICK: dict[str, Any] = {"hidden": 8, "batch": 4, "window": 16, "epochs": 2}


def test_all_that_stands_between_letters_is_one_space() -> None:
    assert BARE.apply(BOOK[:134]) == (
        "the time machine by h g wells i the time traveller for so it will be convenient to speak "
        "of him was expounding a rec"
    )
    assert BARE.apply("It's _nil_ -- 4 o'clock") == "it s nil o clock"


def test_letters_of_every_script_stay_and_composed_ones_are_one() -> None:
    assert BARE.apply("Cafe\u0301, 我的ÜBER²!") == "café 我的über "


def test_a_text_begins_with_a_letter_and_what_follows_its_end_begins_a_word() -> None:
    assert BARE.apply(" «Yes. ") == "yes "
    assert BARE.apply("…") == BARE.apply("") == ""


@settings(deadline=None, max_examples=80)
@given(st.lists(st.text("aZ é'ΣΑ\n3_", max_size=5), max_size=8))
def test_it_is_the_same_wherever_a_text_is_cut(pieces: list[str]) -> None:
    whole = "".join(pieces)
    made = "".join(letters_only(pieces))
    assert made == "".join(letters_only([whole]))
    assert re.fullmatch("([azéσα]+( |$))*", made)
    assert re.sub(" ", "", made) == "".join(c for c in whole.lower() if c.isalpha()).replace(
        "ς", "σ"
    )


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_the_time_machine_is_the_exercise_of_the_second_edition(backend: str) -> None:
    recipe = named("time-machine", 10_000, 27, backend=backend)
    changed: dict[str, Any] = {
        "learning_rate": 1.0,
        "clip": 1.0,
        "epochs": 500,
        "letters_only": True,
    }
    other: dict[str, Any] = {"name": "time-machine", "layout": "offset"}  # which nobody can ask for
    assert recipe == dataclasses.replace(d2l(backend).override(**changed), **other)
    assert (recipe.optimizer, recipe.learning_rate, recipe.clip) == ("sgd", 1.0, 1.0)
    assert (recipe.batch, recipe.window, recipe.epochs, recipe.layout) == (32, 35, 500, "offset")
    assert (recipe.architecture.hidden, recipe.architecture.embedding) == (256, 0)
    assert recipe.initialization == ("torch" if backend == "torch" else "d2l")
    assert recipe.text == TextOptions(newline="space", limit=10_000, songs="off", letters_only=True)
    assert recipe.validation == 0


def test_a_run_keeps_it_and_reads_prefixes_so(tmp_path: Path, root: Path) -> None:
    (tmp_path / "book.txt").write_text(BOOK, encoding="utf-8")
    run = charlstm.train(
        tmp_path / "book.txt", recipe="time-machine", root=root, name="book", threads=1, **QUICK
    )
    assert run.info.recipe.text.letters_only
    learned = run.directory.read_index(run.info)
    assert learned is not None
    assert re.fullmatch(r"([a-z]+ )+", learned)
    again = charlstm.load("book", root=root)
    assert again.info.recipe == run.info.recipe
    asked: dict[str, Any] = {"length": 20, "seed": 3}
    written = again.generate("time traveller ", **asked)
    assert again.generate("(Time  Traveller)\n", **asked).endswith(written[15:])
    with pytest.raises(UnknownCharactersError, match="The model has never seen '旅' of the prefix"):
        again.generate("time 旅", **asked)
    resumed = charlstm.resume("book", root=root, epochs=3, threads=1)
    assert resumed.info.recipe.text.letters_only
    with pytest.raises(RecipeError, match="book has newline space, and so does whatever starts"):
        start_session(
            [tmp_path / "book.txt"],
            settings={"newline": "keep"},
            start_from=root / "book",
            root=root,
        )
    started = start_session([tmp_path / "book.txt"], start_from=root / "book", root=root)
    assert started.plan.recipe.text.letters_only


def test_a_text_without_latin_letters_is_refused_in_a_sentence(tmp_path: Path, root: Path) -> None:
    (tmp_path / "歌.txt").write_text("分开的第一天 我在桥上等你\n" * 50, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        charlstm.train(tmp_path / "歌.txt", recipe="time-machine", root=root)
    assert str(caught.value) == (
        f"There are no Latin letters in {tmp_path / '歌.txt'}, and letters_only is for texts that "
        "are written with them."
    )
    assert not list(root.glob("*/run.json"))


def test_line_breaks_and_letters_alone_do_not_go_together() -> None:
    with pytest.raises(RecipeError) as caught:
        Wish(settings={"letters_only": True})
    assert str(caught.value) == (
        "letters_only makes spaces of line breaks as well: say so with newline='space'."
    )
    assert Wish(settings={"letters_only": True, "newline": "space"}).text.letters_only
    assert Wish("time-machine").text == time_machine().text


def test_a_text_to_stop_at_is_told_to_be_one_that_is_never_written() -> None:
    vocabulary = Vocabulary.build("time traveller")
    assert stop_text("me tr", BARE, vocabulary) == "me tr"
    with pytest.raises(RecipeError, match="The model never writes 'T'"):
        stop_text("T", BARE, vocabulary)
