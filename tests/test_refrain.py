import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commandline import Charlstm
from songs import LINES, learn

from charlstm.errors import RecipeError, RunError
from charlstm.text.songs import END
from charlstm.text.vocabulary import Vocabulary
from charlstm.trained import TrainedModel
from charlstm.writing.alike import Lines
from charlstm.writing.decoding import NoRepeat
from charlstm.writing.refrain import Refrain, Returning, stanzas
from charlstm.writing.song import Song

# Stanzas of three lines; the second one comes back as the fourth.
CHORUS = "等你来\n看花开\n看大海\n"


def with_chorus(many: int = 24) -> str:
    """Return songs of which each has a title, and a chorus of its own."""
    told = []
    for k in range(many):
        verse = ["\n".join(LINES[(k * 11 + 3 * n) % 60 :][:3]) + "\n" for n in range(4)]
        told.append("\n".join([f"《{LINES[k]}》\n", verse[0], verse[1], verse[2], verse[1]]))
    return "\n\n".join(told)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return learn(tmp_path_factory.mktemp("refrain"), with_chorus(), epochs=12)


# What comes back in songs.


def test_a_stanza_has_two_lines_and_is_parted_by_empty_ones() -> None:
    text = "《a title》\n\none\ntwo\n\n\nalone\n \t\nthree\nfour\nfive\n\nsix\nsev"
    found = [(stanza.line, stanza.text, stanza.last) for stanza in stanzas(text)]
    assert found == [
        (3, "one\ntwo", 4),
        (9, "three\nfour\nfive", 11),
        (13, "six\nsev", 14),
    ]
    assert stanzas("") == stanzas("\n\n") == stanzas("one\n\ntwo\n") == []


def test_the_commonest_place_of_the_first_stanza_that_comes_back_is_found() -> None:
    a, b, c, d = ("\n".join(LINES[n : n + 4]) for n in (0, 4, 8, 12))
    second_as_fourth = "\n\n".join(["《title》", a, b, c, b, b])
    first_as_third = "\n\n".join([a, b, a, b])
    nothing = "\n\n".join([a, b, c, d])
    assert Refrain.of([nothing, first_as_third, second_as_fourth, second_as_fourth]) == Refrain(
        2, 4, 4
    )
    assert Refrain.of([second_as_fourth, first_as_third]) == Refrain(1, 3, 4)
    assert Refrain.of([nothing, a, ""]) is None


def test_a_chorus_that_changes_some_of_its_lines_comes_back() -> None:
    verse, chorus = "\n".join(LINES[:4]), LINES[4:8]
    nearly = "\n".join([*chorus[:1], chorus[1] + "啊", *LINES[20:22]])
    assert Refrain.of(["\n\n".join([verse, "\n".join(chorus), nearly])]) == Refrain(2, 3, 4)
    other = "\n".join([chorus[0], *LINES[20:23]])
    assert Refrain.of(["\n\n".join([verse, "\n".join(chorus), other])]) is None


def test_lines_say_the_same_whatever_their_marks_and_case() -> None:
    said = Lines(["The rain came down on Friday.", "春眠不觉晓", ""])
    assert said.has("the rain came down on friday")
    assert said.has("The rain comes down on Friday")
    assert said.has("春眠总觉晓")
    assert not said.has("The sun went up on Monday")
    assert not said.has("春天来了花")
    assert not Lines([""]).has("春")


@pytest.mark.parametrize(("stanza", "returns"), [(0, 2), (2, 2), (3, 1), (True, 4)])
def test_a_stanza_returns_after_itself(stanza: int, returns: int) -> None:
    with pytest.raises(RecipeError, match=r"^refrain "):
        Refrain(stanza, returns)


# Writing.

letters = Vocabulary("ab\n" + END, [0, 4, 4, 4, 1])


def left(process: Callable[[str, np.ndarray], None], written: str) -> str:
    """Return the characters that may follow."""
    logits = np.zeros(len(letters), dtype=np.float32)
    process(written, logits)
    return "".join(
        c for c, value in zip(letters.characters, logits[1:], strict=True) if value > -np.inf
    )


def test_where_the_stanza_returns_nothing_else_may_follow() -> None:
    returning = Returning(Refrain(1, 3), letters)
    said = "ab\nba\n\na\na\n\n"
    for end in range(len(said)):
        assert left(returning, said[:end]) == "ab\n"  # and not the end of the song
    for written, following in itertools.pairwise(itertools.accumulate("ab\nba\n", initial="")):
        assert left(returning, said + written) == following[-1]
    assert left(returning, said + "ab\nba\n") == "ab\n" + END
    assert left(returning, said + "ab\nba\n\nb") == "ab\n" + END


def test_what_returned_is_not_what_comes_again_by_accident() -> None:
    said = "ab\nba\n\na\na\n\nab\nba\n"
    assert left(NoRepeat(4, letters), said) == "ab" + END
    assert left(Returning(Refrain(1, 3), letters, [NoRepeat(4, letters)]), said) == "ab\n" + END
    # What was written after it is looked for as ever.
    again = said + "\na\na\n"
    assert left(Returning(Refrain(1, 3), letters, [NoRepeat(4, letters)]), again) == "b" + END


def test_others_are_asked_about_all_that_was_written_and_not_where_the_stanza_returns() -> None:
    asked = []
    returning = Returning(
        Refrain(1, 2), letters, others=[lambda written, logits: asked.append(written)]
    )
    for written in ("ab\nba\n\n", "ab\nba\n\nab\nba\n"):
        left(returning, written)
    assert asked == ["ab\nba\n\nab\nba\n"]


def test_a_stanza_that_grows_too_long_ends() -> None:
    returning = Returning(Refrain(1, 3, 3), letters)
    assert left(returning, "a\nb\n") == "ab\n"
    assert left(returning, "a\nb\na\n") == "\n"


def test_what_the_model_cannot_write_does_not_return() -> None:
    assert left(Returning(Refrain(1, 2), letters), "aΩ\nb\n\n") == "ab\n"


@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.5])
def test_the_stanza_returns_in_every_song(model: TrainedModel, temperature: float) -> None:
    assert model.learned.refrain == Refrain(2, 4, 3)
    for written in model.write_many(samples=6, seed=1, refrain=True, temperature=temperature):
        song = [stanza.text for stanza in stanzas(written.text)]
        assert len(song) >= 4
        assert f"{song[3]}\n".startswith(f"{song[1]}\n")
    (one, *_) = model.generate_many(samples=2, seed=5, refrain=True)
    assert one == "".join(model.stream(seed=5, refrain=True))


def test_what_was_given_returns_too(model: TrainedModel) -> None:
    begun = f"{LINES[0]}\n{LINES[1]}\n\n{CHORUS}\n"
    written = model.generate(begun, seed=2, refrain=True)
    assert written.startswith(begun)
    assert [stanza.text for stanza in stanzas(written)][3].startswith(CHORUS.rstrip())
    assert written.count(CHORUS.rstrip()) == 2


def test_the_lines_of_the_refrain_are_counted() -> None:
    text = f"《a》\n\none\ntwo\n\n{CHORUS}\nthree\nfour\n\n{CHORUS}five\n\n{CHORUS}"
    assert Refrain(2, 4).lines(text) == [(6, 8), (13, 15)]
    assert Refrain(2, 4).lines(text[:30]) == [(6, 8)]
    assert Refrain(2, 4).lines("one\ntwo\n") == []


def test_without_a_stanza_that_comes_back_or_an_index_one_sentence_says_so(
    tmp_path: Path,
) -> None:
    stream = learn(tmp_path, epochs=1)
    with pytest.raises(RecipeError, match="needs a model of songs, and this one learned a single"):
        stream.generate(refrain=True)
    songs = "\n\n".join(f"《{line}》\n\n{line}\n{line[::-1]}\n" for line in LINES[:24])
    never = learn(tmp_path, songs, name="never", epochs=1)
    with pytest.raises(RecipeError, match="in none of those that the model learned does one"):
        never.generate(refrain=True)
    unkept = learn(tmp_path, songs, name="unkept", epochs=1, index=False)
    with pytest.raises(RunError, match="nobody can tell which stanza returns: train again"):
        unkept.generate(refrain=True)


# The command line.


def test_generate_tells_which_lines_are_the_refrain(
    model: TrainedModel, charlstm: Charlstm
) -> None:
    run = ("--run", str(model.directory.path), "--seed", "3")
    (answer,) = charlstm("generate", *run, "--refrain", "--json").answers()
    lines = answer["text"].split("\n")
    first, last = answer["refrain"]["lines"]
    again, end = answer["refrain"]["returns"]
    assert lines[first - 1 : last] == lines[again - 1 : end]
    (answer,) = charlstm("generate", *run, "--json").answers()
    assert answer["refrain"] is None


def test_a_form_has_no_stanza_that_could_return(model: TrainedModel, charlstm: Charlstm) -> None:
    run = ("--run", str(model.directory.path))
    result = charlstm("generate", *run, "--refrain", "--rhyme", "AABA")
    assert result.code == 2
    assert "a form is one stanza, which cannot return" in " ".join(result.stderr.split())


# A song that is written together.


def test_a_stanza_that_was_named_returns_and_is_taken_back_line_by_line(
    model: TrainedModel,
) -> None:
    song = Song(model.sampler, seed=1)
    song.write("one\n\n" + CHORUS.rstrip() + "\n\n在你\n不要")
    assert song.bring_back(1) == ("", *CHORUS.split())
    assert song.text.endswith(f"不要\n\n{CHORUS}")
    said = song._points[-1].state.logits.copy()
    for _ in range(4):
        song.go_back()
    assert song.lines[-1] == "不要"
    song.write(["", *CHORUS.split()])
    np.testing.assert_array_equal(song._points[-1].state.logits, said)
    song.write("")
    assert song.bring_back(2) == ("在你", "不要")
    with pytest.raises(RecipeError, match="no stanza 5 that could return: the song has 4 stanzas"):
        song.bring_back(5)
    with pytest.raises(RecipeError, match="has 0 stanzas of two lines or more"):
        Song(model.sampler).bring_back(1)
