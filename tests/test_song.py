import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from songs import LINES, LYRICS, VERSE, learn

from charlstm.errors import CharLSTMError, FormError, RecipeError, UnknownCharactersError
from charlstm.evaluation.novelty import TrainingText
from charlstm.text.letters import counted
from charlstm.trained import TrainedModel
from charlstm.writing.alike import Lines
from charlstm.writing.between import log_likelihoods
from charlstm.writing.decoding import Decoding
from charlstm.writing.form import Form
from charlstm.writing.rhyme import rhyme
from charlstm.writing.song import Proposal, Song


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return learn(tmp_path_factory.mktemp("writing"), epochs=50)


@pytest.fixture
def begin(model: TrainedModel) -> Callable[..., Song]:
    """Return what begins a song; one with the seed 5 and the training text, unless told else."""

    def begin(**settings: object) -> Song:
        settings = {"seed": 5, "training_text": model.learned.text, **settings}
        return Song(model.sampler, **settings)  # type: ignore[arg-type]

    return begin


Begin = Callable[..., Song]


def shown(proposals: list[Proposal]) -> list[str]:
    return [proposal.line for proposal in proposals]


def expected_next(song: Song) -> "list[float]":
    """Return what the model expects at the place where the song stands, at temperature 1."""
    logits: list[float] = song._sampler.network.logits(song._points[-1].state)[0].tolist()
    return logits


# Proposals.


@pytest.mark.parametrize("rhyme", ["", "AABB"])
def test_no_line_that_is_proposed_says_what_the_song_says_already(begin: Begin, rhyme: str) -> None:
    song = begin(form=Form(rhyme=rhyme))
    for stanza in range(3):
        for _ in range(4):
            proposals = song.propose()
            said = Lines(song.lines)
            assert [line for line in shown(proposals) if said.has(line)] == []
            song.take(proposals[0])
        if stanza < 2:
            song.write("")


def test_five_different_lines_are_proposed_the_likeliest_first(begin: Begin) -> None:
    song = begin()
    for _ in range(3):
        proposals = song.propose()
        assert len(set(shown(proposals))) == len(proposals) == 5
        assert not set(shown(proposals)) & set(song.lines)
        probabilities = [proposal.probability for proposal in proposals]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < probabilities[-1] < probabilities[0] < 1
        song.take(proposals[2])
    assert len(song.propose(2)) == 2


def test_the_probability_is_that_of_a_character_in_the_geometric_mean(
    model: TrainedModel, begin: Begin
) -> None:
    song = begin()
    song.take(song.propose()[0])
    song.write(["我在窗前等你来"])
    for proposal in song.propose():
        read = proposal.line + "\n"
        likely = model.sampler.log_probabilities(read, song.text)
        assert proposal.probability == pytest.approx(math.exp(likely.sum() / len(read)), rel=1e-4)


def test_what_a_proposal_copies_and_whether_all_of_it_is_told(begin: Begin) -> None:
    song = begin(decoding=Decoding(1.5))
    proposals = [proposal for _ in range(6) for proposal in song.propose()]
    known = set(LINES)
    for proposal in proposals:
        line = proposal.line
        assert proposal.verbatim == (line in known or (len(line) > 3 and line in LYRICS))
        copies = {
            line[start:end]
            for end in range(len(line) + 1)
            for start in range(end - 3)
            if line[start:end] in LYRICS
        }
        if not copies:
            assert proposal.copied is None
            continue
        assert proposal.copied is not None
        assert proposal.copied.text in copies
        assert len(proposal.copied.text) == max(map(len, copies))
        assert LYRICS.startswith(proposal.copied.text, proposal.copied.place)
        assert line.startswith(proposal.copied.text, proposal.copied.start)
    # All three kinds were seen.
    kinds = {(proposal.copied is None, proposal.verbatim) for proposal in proposals}
    assert kinds == {(True, False), (False, False), (False, True)}


def test_a_copy_may_begin_in_the_song_before_the_line(begin: Begin) -> None:
    song = begin()
    song.write(["Ω", "我在车站"])
    lines = shown(song.propose())
    learned = TrainingText("".join(f"我在车站\n{line[:2]}。\n" for line in lines))
    song = begin(training_text=learned)
    song.write(["Ω", "我在车站"])
    for proposal in song.propose():
        assert proposal.copied is not None
        assert proposal.copied.text.strip() == f"我在车站\n{proposal.line[:2]}"
        assert proposal.copied.start + len(proposal.copied.text) == 2
        assert not proposal.verbatim


def test_a_line_within_a_copied_passage_is_copied_whole(model: TrainedModel, begin: Begin) -> None:
    lines = [proposal.line for proposal in begin().propose()]
    learned = TrainingText("".join(f"花{line}花\n" for line in lines))
    assert {proposal.verbatim for proposal in begin(training_text=learned).propose()} == {True}
    nearly = TrainingText("".join(f"花{line[:-1]}花\n" for line in lines))
    for proposal in begin(training_text=nearly).propose():
        assert not proposal.verbatim
        assert proposal.copied is not None
        assert proposal.copied.text == proposal.line[:-1]


def test_lines_that_are_left_out_are_not_proposed_again(begin: Begin) -> None:
    song = begin()
    seen: set[str] = set()
    for _ in range(20):
        found = shown(song.propose(without=seen))
        assert len(found) == 5
        assert not seen.intersection(found)
        seen.update(found)
    song.change(form=Form(None, "2", "我", "在"))
    assert shown(song.propose()) == ["我在"]
    assert song.propose(without=["我在"]) == []


def test_no_more_than_two_lines_end_alike_unless_there_are_no_others(begin: Begin) -> None:
    song = begin(decoding=Decoding(0.5))
    for _ in range(20):
        ends = [line[-1] for line in shown(song.propose())]
        assert max(map(ends.count, ends)) <= 2
    song.change(form=Form(acrostic_end="来来"))
    assert {line[-1] for line in shown(song.propose())} == {"来"}
    assert len(song.propose()) == 5


def test_without_a_training_text_nothing_is_said_to_be_copied(begin: Begin) -> None:
    with_it, without = begin(), begin(training_text=None)
    for one, other in zip(with_it.propose(), without.propose(), strict=True):
        assert (one.line, one.probability) == (other.line, other.probability)
        assert (other.copied, other.verbatim) == (None, False)


def test_the_same_seed_and_decisions_give_the_same_proposals(begin: Begin) -> None:
    def session(seed: int) -> list[list[str]]:
        song = begin(seed=seed)
        found = [shown(song.propose())]
        song.take(song.propose()[1])
        found.append(shown(song.propose()))
        song.write(["你在桥边"])
        found.append([ahead.line for ahead in song.look_ahead()])
        song.go_back()
        found.append(shown(song.propose()))
        return found

    assert session(5) == session(5)
    assert session(5) != session(6)
    assert begin(seed=None).propose() != begin(seed=None).propose()


# Decisions.


def test_lines_taken_and_lines_of_ones_own_make_the_song(begin: Begin) -> None:
    song = begin()
    assert (song.lines, song.text) == ((), "")
    chosen = song.propose()[3]
    song.take(chosen)
    song.write(["自己写的", "", "再写一行"])
    assert song.lines == (chosen.line, "自己写的", "", "再写一行")
    assert song.text == f"{chosen.line}\n自己写的\n\n再写一行\n"


def test_after_a_line_the_model_stands_where_it_would_had_it_read_the_song(
    model: TrainedModel, begin: Begin
) -> None:
    song = begin()
    song.take(song.propose()[0])
    song.write(["你在桥边看花开", "", "他在海上"])
    read = model.sampler.read(song.text)
    np.testing.assert_allclose(expected_next(song), read.logits[0], atol=1e-4)


@pytest.mark.parametrize("recall", [0.0, None])
def test_with_another_temperature_lines_are_those_of_a_song_that_always_had_it(
    model: TrainedModel, recall: float | None
) -> None:
    lines = ["你在桥边看花开", "他在海上等你来", "你在桥边看花开", "他在"]
    changed, always = (
        Song(model.recalling(recall), decoding=Decoding(temperature), seed=5)
        for temperature in (0.3, 3.0)
    )
    for song in (changed, always):
        song.write(lines)
    changed.change(decoding=Decoding(3.0))
    found, expected = changed.propose(), always.propose()
    assert shown(found) == shown(expected)
    probabilities = [one.probability for one in expected]
    assert [one.probability for one in found] == pytest.approx(probabilities)


def test_going_back_restores_exactly_what_would_have_been_proposed(begin: Begin) -> None:
    song = begin()
    before = [expected_next(song)]
    for decision in ("take", "own", "stanza", "take"):
        if decision == "take":
            song.take(song.propose()[0])
        else:
            song.write(["我在车站Ω" if decision == "own" else ""])
        before.append(expected_next(song))
    lines = list(song.lines)
    while lines:
        assert expected_next(song) == before.pop()
        assert song.go_back() == lines.pop()
        assert song.lines == tuple(lines)
    assert expected_next(song) == before.pop()
    assert song.go_back() is None
    assert song.text == ""
    # Where it began, the same numbers propose the same lines again.
    other = begin()
    song._generator.bit_generator.state = other._generator.bit_generator.state
    assert song.propose() == other.propose()


def test_going_back_over_an_empty_line_continues_the_stanza_above_it(begin: Begin) -> None:
    song = begin(form=Form(acrostic="我你他"))
    song.write(["我在桥边", ""])
    assert {line[0] for line in shown(song.propose())} == {"我"}
    assert song.go_back() == ""
    assert {line[0] for line in shown(song.propose())} == {"你"}


def test_looking_ahead_adds_nothing(begin: Begin) -> None:
    song = begin(form=Form(acrostic="我你他我你他"))
    song.write(["我在桥边"])
    before = expected_next(song)
    ahead = song.look_ahead()
    assert "".join(one.line[0] for one in ahead) == "你他我你"
    assert "".join(one.line[0] for one in song.look_ahead(lines=2)) == "你他"
    assert song.lines == ("我在桥边",)
    assert expected_next(song) == before


def test_looking_ahead_after_a_proposal_begins_behind_it(begin: Begin) -> None:
    song = begin(form=Form(acrostic="我你他我你他"))
    proposal = song.propose()[2]
    ahead = song.look_ahead(proposal)
    assert "".join(one.line[0] for one in ahead) == "你他我你"
    # Taking it and looking ahead from there is the same.
    one, other = begin(seed=9), begin(seed=9)
    proposal = one.propose()[1]
    other.take(other.propose()[1])
    assert one.look_ahead(proposal) == other.look_ahead()
    assert (one.lines, other.lines) == ((), (proposal.line,))


def test_lines_that_were_shown_ahead_can_be_taken(model: TrainedModel, begin: Begin) -> None:
    song = begin(form=Form(acrostic="我你他我你他"))
    proposal = song.propose()[2]
    ahead = song.look_ahead(proposal)
    song.take(proposal)
    for line in ahead:
        song.take(line)
    assert song.lines == song.stanza == (proposal.line, *(one.line for one in ahead))
    read = model.sampler.read(song.text)
    np.testing.assert_allclose(expected_next(song), read.logits[0], atol=1e-4)


@pytest.mark.parametrize(
    "line",
    ["Ωmega, ça va? не знаю", "😀👩‍👩‍👧‍👦", "\t我", "\ud83d", "我" * 300, "\\r", "a b\u2028c"],
    ids=["strangers", "emoji", "tab", "surrogate", "long", "backslash", "separator"],
)
def test_a_line_of_ones_own_may_hold_anything_and_stands_as_it_was_written(
    line: str, begin: Begin
) -> None:
    song = begin()
    song.write([line])
    assert song.lines == (line,)
    assert song.text == line + "\n"
    assert len(song.propose()) == 5
    assert song.go_back() == line


# The form.


def test_a_form_is_met_by_every_proposal_and_counts_anew_after_an_empty_line(begin: Begin) -> None:
    song = begin(form=Form(None, "5,7", "我你", "", "AA"), decoding=Decoding(1.0))
    for stanza in range(2):
        first = song.propose()
        assert {line[0] for line in shown(first)} == {"我"}
        assert {len(counted(line)) for line in shown(first)} == {5}
        song.take(first[0])
        second = song.propose()
        assert {line[0] for line in shown(second)} == {"你"}
        assert {len(counted(line)) for line in shown(second)} == {7}
        assert all(rhyme(first[0].line, line) for line in shown(second))
        if stanza:
            break
        song.take(second[-1])
        song.write([""])
    # An empty line of blanks does the same.
    song.write(["  "])
    assert {line[0] for line in shown(song.propose())} == {"我"}


def test_a_line_of_ones_own_counts_for_the_form_as_it_is(begin: Begin) -> None:
    song = begin(form=Form(acrostic="我你", rhyme="AA"))
    song.write(["Ω不管这些，夜很长！"])
    proposals = shown(song.propose())
    assert {line[0] for line in proposals} == {"你"}
    assert all(rhyme("夜很长", line) for line in proposals)


def test_a_word_that_must_occur_is_in_the_next_line_of_each_stanza(begin: Begin) -> None:
    song = begin(form=Form(must=("花下",)))
    proposals = song.propose()
    assert all("花下" in line for line in shown(proposals))
    song.take(proposals[0])
    assert not all("花下" in line for line in shown(song.propose()))
    song.write([""])
    assert all("花下" in line for line in shown(song.propose()))


def test_a_form_that_no_line_meets_is_an_error_and_changes_nothing(begin: Begin) -> None:
    song = begin(form=Form(None, "1,5", acrostic="来", acrostic_end="海"))
    song.write(["我在桥边花下"])
    before = expected_next(song)
    song.write([""])
    with pytest.raises(FormError, match=r"^No line 1 was found that meets line_length='1,5'"):
        song.propose()
    with pytest.raises(FormError):
        song.look_ahead()
    assert song.go_back() == ""
    assert expected_next(song) == before
    assert {len(line) for line in shown(song.propose())} == {5}


# Changes on the way.


def test_a_change_counts_from_the_next_line_and_leaves_the_rest(begin: Begin) -> None:
    song = begin(form=Form(line_length="5"), decoding=Decoding(0.7), max_copy=6)
    song.write(["我在桥边看"])
    song.change(form=Form(line_length="7"), max_copy=6)
    assert (song.form, song.decoding, song.max_copy) == (Form(None, "7"), Decoding(0.7), 6)
    assert {len(counted(line)) for line in shown(song.propose())} == {7}
    song.change(decoding=Decoding(0.0), max_copy=4)
    assert (song.form, song.decoding, song.max_copy) == (Form(None, "7"), Decoding(0.0), 4)
    song.change()
    assert (song.form, song.decoding, song.max_copy) == (Form(None, "7"), Decoding(0.0), 4)
    song.change(max_copy=0)
    assert (song.form, song.decoding, song.max_copy) == (Form(None, "7"), Decoding(0.0), 0)
    assert song.lines == ("我在桥边看",)


def test_a_form_can_be_left_altogether(begin: Begin) -> None:
    song = begin(form=Form(line_length="9"))
    song.change(form=Form())
    assert song.form == Form()
    assert song.propose() == begin().propose()


def test_no_more_than_max_copy_characters_in_a_row_are_copied(begin: Begin) -> None:
    def longest(song: Song) -> int:
        copied = [p.copied for _ in range(4) for p in song.propose()]
        return max(len(passage.text) for passage in copied if passage is not None)

    song = begin(decoding=Decoding(0.5))
    assert longest(song) > 5
    song.change(max_copy=5)
    assert longest(song) <= 5
    # Over the border between two lines as well.
    song.change(max_copy=3)
    song.write(["我在车站等你来"])
    training = TrainingText(LYRICS)
    for line in shown(song.propose()):
        read = song.text + line
        copied = training.novelty([read], after=[len(song.text)]).longest
        assert copied is None


def test_what_is_said_to_be_copied_keeps_the_limit_where_a_line_of_text_has_two_verses(
    tmp_path: Path,
) -> None:
    model = learn(tmp_path, VERSE)
    song = Song(model.sampler, training_text=model.learned.text, max_copy=5, seed=5)
    for _ in range(6):
        proposals = song.propose()
        assert all(len(one.copied.text) <= 5 for one in proposals if one.copied is not None)
        song.take(proposals[0])


def test_with_another_recall_or_temperature_all_lines_are_read_again(
    begin: Begin, model: TrainedModel
) -> None:
    changed = begin(recalling=model.recalling)
    changed.write(["我在桥边看", "他在花下"])
    for recall, temperature in ((0.0, 0.5), (1.0, 1.5), (0.7, 0.3)):
        changed.change(recall=recall)
        changed.change(decoding=Decoding(temperature))
        straight = begin(decoding=Decoding(temperature), recalling=model.recalling)
        straight.change(recall=recall)
        straight.write(["我在桥边看", "他在花下"])
        assert changed.recall == recall
        assert changed.text == straight.text
        assert expected_next(changed) == expected_next(straight)
    changed.change(recall="auto")
    assert changed.recall == 0.4


def test_a_song_of_one_model_cannot_have_another_recall(model: TrainedModel) -> None:
    song = Song(model.sampler)
    song.change(recall=0.4)
    with pytest.raises(RecipeError, match=r"^This song knows its model with one recall only\.$"):
        song.change(recall=0.0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"form": Form(acrostic="我Ω"), "decoding": Decoding(2.0)}, UnknownCharactersError),
        ({"form": Form(rhyme="AA", acrostic_end="来香")}, RecipeError),
        ({"max_copy": -2}, RecipeError),
        ({"form": Form(line_length="7"), "decoding": Decoding(2.0), "max_copy": -1}, RecipeError),
    ],
)
def test_a_change_that_fails_leaves_everything_as_it_was(
    change: dict[str, object], error: type[CharLSTMError], begin: Begin
) -> None:
    settings = {"form": Form(line_length="5"), "decoding": Decoding(0.9), "max_copy": 6}
    song, other = begin(**settings), begin(**settings)
    with pytest.raises(error):
        song.change(**change)  # type: ignore[arg-type]
    assert song.form == Form(line_length="5")
    assert (song.decoding, song.max_copy) == (Decoding(0.9), 6)
    assert song.propose() == other.propose()


def test_a_song_cannot_begin_with_a_form_of_characters_never_seen(begin: Begin) -> None:
    with pytest.raises(UnknownCharactersError, match="never seen 'Ω' of must"):
        begin(form=Form(must=("Ω",)))


def test_a_limit_on_copies_cannot_be_kept_without_a_training_text(begin: Begin) -> None:
    with pytest.raises(RecipeError):
        begin(training_text=None, max_copy=6)
    song = begin(training_text=None)
    with pytest.raises(RecipeError):
        song.change(max_copy=6)
    assert song.max_copy == 0


# Lines that are begun, lines between others, and what would follow.


def test_a_line_that_is_begun_keeps_its_beginning_and_is_weighed_without_it(begin: Begin) -> None:
    song = begin()
    song.write(LINES[:2])
    sampler, point = song._sampler, song._points[-1]
    for proposal in song.propose(begun="他在"):
        assert proposal.line.startswith("他在")
        read = proposal.line + proposal.candidate.end
        likely = sampler.log_probabilities(read, state=point.state)[2:]
        assert proposal.probability == pytest.approx(math.exp(likely.mean()))
        copied = proposal.copied
        if copied is not None:
            written = "".join(song.text[copied.start :] if copied.start < 0 else "")
            whole = written + proposal.line
            assert whole[max(copied.start, 0) :].startswith(copied.text)
    assert song.text == "".join(line + "\n" for line in LINES[:2])


def test_how_likely_a_text_follows_is_what_the_model_says_of_it(begin: Begin) -> None:
    song = begin()
    song.write(LINES[0])
    composer, point = song._composer, song._points[-1]
    lines = [LINES[1], LINES[2][:3], LINES[3] + LINES[4]]
    points = [composer.after(point, line) for line in lines]
    following = LINES[4] + "\n"
    before = expected_next(song)
    read = [line + "\n" for line in lines]
    together = log_likelihoods(song._sampler, point.state, read, following)
    alone = [song._sampler.log_probabilities(following, state=one.state).sum() for one in points]
    assert together == pytest.approx(alone, abs=1e-3)
    assert expected_next(song) == before


def test_between_two_lines_those_that_lead_on_are_preferred(
    begin: Begin, model: TrainedModel
) -> None:
    # In the training text each of these lines is followed by the next.
    gained = []
    for at in range(4, 40, 6):
        song = begin(seed=at)
        song.write(LINES[at - 1])
        point = song._points[-1]
        best = {}
        for following in ("", LINES[at + 1] + "\n"):
            song.reseed(at)
            found = song.propose(3, following=following)
            read = [one.line + "\n" for one in found]
            likely = log_likelihoods(song._sampler, point.state, read, LINES[at + 1])
            best[following] = likely.mean()
        gained.append(best[LINES[at + 1] + "\n"] - best[""])
    assert np.mean(gained) > 0


def test_a_line_that_is_answered_below_rhymes_with_what_answers_it(begin: Begin) -> None:
    song = begin(form=Form(rhyme="ABAB"))
    song.write(LINES[0])
    below = f"{LINES[6]}\n{LINES[9]}\n\n{LINES[20]}\n"
    for proposal in song.propose(following=below):
        assert rhyme(proposal.line, LINES[9])
    # A word that has come already, above or below, need not come again.
    song = begin(form=Form(must=("花下",)))
    assert any("花下" not in line for line in shown(song.propose(following="他在花下不相见\n")))


def test_what_would_follow_is_the_same_each_time_and_as_long_as_the_form_has_it(
    begin: Begin,
) -> None:
    song = begin(form=Form(line_length="7"))
    song.write(LINES[:2])
    text = song.go_on("他在")
    assert len("他在" + text) == 7
    song.propose()
    assert song.go_on("他在") == text == begin_again(begin).go_on("他在")
    assert len(song.go_on()) == 7


def begin_again(begin: Begin) -> Song:
    song = begin(form=Form(line_length="7"), seed=77)
    song.write(LINES[:2])
    return song


def test_a_song_that_is_reseeded_proposes_the_same_again(begin: Begin) -> None:
    song = begin()
    song.write(LINES[:3])
    song.reseed(4)
    first = song.propose()
    assert shown(song.propose()) != shown(first)
    song.reseed(4)
    assert song.propose() == first
    with pytest.raises(RecipeError, match="seed must be a whole number from 0 up"):
        song.reseed(-1)


def test_what_would_follow_is_short_where_no_line_ends(model: TrainedModel) -> None:
    song = Song(model.sampler, form=Form(line_length="90"))
    assert 20 < len(song.go_on("我")) <= 40
