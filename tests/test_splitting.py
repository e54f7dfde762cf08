from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import resume_session, start_session

import charlstm
from charlstm.sessions import fitting
from charlstm.text.corpus import Alphabet, Corpus, TextOptions, code_points
from charlstm.text.letters import may_cut
from charlstm.text.reading import read_corpus
from charlstm.text.splitting import may_be_split, split

FAMILY = "👨\u200d👩\u200d👧"


def corpus(text: str) -> Corpus:
    alphabet = Alphabet("".join(sorted(set(text))))
    assert len(code_points(text)) == len(text)
    return Corpus(alphabet.encode(text), alphabet, (), TextOptions(), "")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 50), st.floats(0, 0.5))
def test_a_split_cuts_once_and_holds_out_the_end(characters: int, validation: float) -> None:
    text = corpus("分" * characters)
    held_out = characters - split(text, validation)
    assert held_out <= validation * characters < held_out + 1


def test_a_split_of_nothing_holds_out_nothing() -> None:
    assert split(corpus("0123456789"), 0) == 10
    assert split(corpus("0123456789"), 0.2) == 8
    assert split(corpus(FAMILY), 0) == len(FAMILY)


@pytest.mark.parametrize(
    ("letter", "count"), [("रा", 7), ("שָׁ", 6), (FAMILY, 5), ("🇩🇪", 9), ("q\u0301\u0302", 11)]
)
@pytest.mark.parametrize("validation", [0.1, 0.25, 0.3, 0.5])
def test_what_is_held_out_begins_with_a_whole_letter(
    letter: str, count: int, validation: float
) -> None:
    text = letter * count
    cut = split(corpus(text), validation)
    assert cut % len(letter) == 0
    exact = len(text) - int(len(text) * validation)
    assert exact - len(letter) < cut <= exact
    assert may_be_split(corpus(text), validation, cut)


@settings(deadline=None, max_examples=200)
@given(st.text("aअराि्\u0301\u200d👨👩🇩\n", min_size=2, max_size=80), st.floats(0, 0.5))
def test_no_letter_is_cut_unless_it_is_the_whole_beginning(text: str, validation: float) -> None:
    cut = split(corpus(text), validation)
    exact = len(text) - int(len(text) * validation)
    assert may_cut(text, cut) or (cut == exact and not any(may_cut(text, k) for k in range(1, cut)))


def test_a_letter_of_more_characters_than_any_language_has_is_cut() -> None:
    text = corpus("ab" + "\u0301" * 500)
    assert split(text, 0.5) == 251


def test_a_cut_that_an_older_version_made_inside_a_letter_is_believed(tmp_path: Path) -> None:
    (tmp_path / "hi.txt").write_text("राम\n" * 20, encoding="utf-8")
    text = read_corpus([tmp_path / "hi.txt"])
    assert not may_cut(text.text, 73)
    assert may_be_split(text, 7 / 80, 73)
    assert not may_be_split(text, 7 / 80, 74)
    assert not may_be_split(text, 7 / 80, 5)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_run_keeps_its_split_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    path = tmp_path / "hi.txt"
    path.write_text("राम गा रहा है\n" * 40 + FAMILY, encoding="utf-8")
    text = read_corpus([path]).text
    # So that the cut is between a consonant and its vowel.
    share = next(
        share
        for share in (k / 1000 for k in range(100, 200))
        if not may_cut(text, len(text) - int(len(text) * share))
    )
    exact = len(text) - int(len(text) * share)
    small = {"hidden": 4, "embedding": 3, "batch": 2, "window": 8, "validation": share}
    if old:  # as versions before 0.2.0 split a text
        monkeypatch.setattr(fitting, "split", lambda _, __: exact)
    session = start_session([path], settings={**small, "epochs": 2}, root=tmp_path / "runs")
    list(session.events())
    monkeypatch.undo()
    resumed = resume_session(root=tmp_path / "runs", settings={"epochs": 3})
    list(resumed.events())
    run = charlstm.load("hi", root=tmp_path / "runs")
    assert (run.info.training_characters == exact) == old
    assert run.held_out() == text[run.info.training_characters :]
    assert may_cut(text, run.info.training_characters) != old
    assert run.info.last is not None
    assert run.info.last.epoch == 3
