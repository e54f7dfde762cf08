import csv
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from trainers import files
from trainings import is_step, resume_session

import charlstm
from charlstm.errors import (
    CorpusError,
    MissingLibraryError,
    RecipeError,
    RunError,
    UnknownSettingError,
)
from charlstm.figures import Report
from charlstm.machine import Machine
from charlstm.recipes.ranges import RANGES, Range, ranges
from charlstm.recipes.varied import Value
from charlstm.runs.directory import RunDirectory
from charlstm.sessions import early, searching, tuning
from charlstm.sessions.early import Early
from charlstm.sessions.fitting import Material
from charlstm.sessions.searching import Journal
from charlstm.sessions.start import Keeping, start_session
from charlstm.sessions.tried import SearchPlan, Tried, is_behind
from charlstm.sessions.tuning import Begun, Tuned, Tuning
from charlstm.text.songs import END
from charlstm.training.events import Stopped

SETTINGS: dict[str, Any] = {
    "hidden": 8,
    "embedding": 6,
    "batch": 4,
    "window": 16,
    "epochs": 2,
    "weight_decay": 0.0,
    "dropout": 0.0,
}
SEARCHED = {"learning_rate": Range(0.005, 0.05), "hidden": Range(4, 12, whole=True)}
TRIALS = 3
FINALS = ["winner-0", "recipe-0", "winner-1", "recipe-1", "winner-2", "recipe-2"]


@pytest.fixture(scope="module", autouse=True)
def paced() -> Any:
    """Let a step take as long everywhere, and a search have a few trials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early, "time_steps", lambda trainers: [0.01] * len(trainers))
        patch.setattr(early, "choose_threads", lambda *_: None)
        patch.setattr(Tuning, "is_over", property(lambda self: len(self.trials) >= TRIALS))
        yield


@pytest.fixture
def corpus(tmp_path: Path, song: str) -> Path:
    path = tmp_path / "song.txt"
    path.write_text(2 * song, encoding="utf-8")
    return path


def search(corpus: Path, root: Path, searched: dict[str, Range] = SEARCHED, **other: Any) -> Tuning:
    settings = {**SETTINGS, "learning_rate": 0.02, **other.pop("settings", {})}
    return Tuning(
        Material([corpus]),
        searched,
        root=root,
        settings=settings,
        machine=Machine(device="cpu"),
        **{"minutes": 60.0, **other},
    )


@dataclass(frozen=True)
class Done:
    """A finished search that tests look at and do not change."""

    root: Path
    path: Path
    events: list[Any]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, song: str) -> Done:
    where = tmp_path_factory.mktemp("done")
    (where / "song.txt").write_text(2 * song, encoding="utf-8")
    tuned = search(where / "song.txt", where / "checkpoints")
    return Done(where / "checkpoints", tuned.path, list(tuned.run()))


def tried(events: Sequence[Any]) -> list[Tried]:
    return [event for event in events if isinstance(event, Tried)]


def begun(events: Sequence[Any]) -> list[tuple[str, int | None]]:
    return [(e.name, e.session.plan.resumed_step) for e in events if isinstance(e, Begun)]


def tuned(events: Sequence[Any]) -> Tuned:
    assert isinstance(events[-1], Tuned)
    return events[-1]


def losses(trials: Sequence[Tried]) -> list[tuple[str, Any, float | None]]:
    return [(one.name, dict(one.settings), one.loss) for one in trials]


def model(path: Path, name: str) -> bytes:
    return (path / name / "model.safetensors").read_bytes()


# What a search is.


def test_a_search_begins_with_the_recipe_and_trains_the_best_and_the_recipe_again(
    done: Done,
) -> None:
    names = [one.name for one in tried(done.events)]
    result = tuned(done.events)
    finals = FINALS if not result.is_recipe else FINALS[::2]
    assert names == ["trial-000", "trial-001", "trial-002", *finals]
    assert result.trials[0].settings == {"learning_rate": 0.02, "hidden": 8}
    assert result.winner == min(result.trials, key=lambda one: one.loss or 9)
    for one in result.trials[1:]:
        assert all(SEARCHED[name].holds(value) for name, value in one.settings.items())
    for seed, one in enumerate(result.of("winner")):
        recipe = charlstm.load(done.path / one.name).info.recipe
        assert recipe.seed == seed
        assert recipe.learning_rate == result.winner.settings["learning_rate"]
        assert recipe.architecture.hidden == result.winner.settings["hidden"]


def test_no_trial_has_seen_what_the_winner_is_measured_on(done: Done, song: str) -> None:
    whole = RunDirectory(done.path / "winner-0")
    seen, unseen = whole.read_index(whole.read_info()), whole.read_held_out()
    assert seen is not None
    assert seen + unseen == 2 * song
    for name in ("trial-000", "trial-001", "trial-002"):
        trial = RunDirectory(done.path / name)
        learned, judged = trial.read_index(trial.read_info()), trial.read_held_out()
        assert learned is not None
        assert learned + judged == seen
        # As long as what is measured in the end, but for a letter that is not cut.
        assert abs(len(judged) - len(unseen)) <= 1


def test_the_texts_songs_end_where_they_did(tmp_path: Path, root: Path) -> None:
    songs = [f"song {n}\n\n" + f"verse {n} of it, la la\n" * (3 + n % 4) for n in range(40)]
    text = tmp_path / "songs.txt"
    text.write_text("\n***\n".join(songs), encoding="utf-8")
    whole = Material([text]).open(root, early_options())
    assert whole.songs is not None
    root.mkdir()
    kept = Early.of(whole, base(whole.size), root)
    assert kept.corpus.songs is not None
    assert kept.corpus.songs.number == whole.songs.number - 4
    assert whole.text.startswith(kept.corpus.text)
    assert kept.corpus.text.endswith("\n" + END)


@pytest.mark.parametrize(
    "text",
    [
        "la la la, a line of it\n" * 200,  # a stream
        "[00:01.00] not a time\n{not: json}\n" + "a,b,c\n1,2,3\n" * 100,
        "\n\n" + "  spaces before and after it all  \n" * 60 + "\n\n",
    ],
)
def test_a_stream_stays_the_stream_that_it_was(text: str, tmp_path: Path) -> None:
    path = tmp_path / "stream.md"
    path.write_text(text, encoding="utf-8")
    whole = Material([path]).open(tmp_path, early_options())
    kept = Early.of(whole, base(whole.size), tmp_path)
    assert whole.text.startswith(kept.corpus.text)
    assert kept.corpus.songs is None
    assert kept.corpus.sources[0].format.name == whole.sources[0].format.name


def early_options() -> Any:
    return charlstm.Recipe("test").text


def base(size: tuple[int, int]) -> charlstm.Recipe:
    return replace(charlstm.Recipe("test"), validation=0.1)


def test_a_text_that_cannot_be_parted_twice_is_refused(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("la", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^A search needs two parts of the text that nobody"):
        search(path, root)
    assert not root.exists()


def test_standard_input_is_refused(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"^Standard input can be read only once"):
        search(Path("-"), root)


def test_every_trial_reads_as_often_as_it_has_time_for(
    corpus: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = search(corpus, root).plan
    assert not plan.shortened
    assert plan.seconds == plan.own_seconds
    # A third of the time: the recipe cannot read the text twice any more.
    minutes = plan.own_seconds / 60 * (12 + 6 * plan.ratio) / 3
    short = search(corpus, root, name="short", minutes=minutes)
    assert short.plan.shortened
    assert short.plan.seconds == pytest.approx(plan.seconds / 3)
    event = next(iter(short.run()))
    assert isinstance(event, Begun)
    recipe = event.session.plan.recipe
    assert (recipe.epochs, recipe.steps) == (1, event.session.plan.total_steps)
    assert event.session.plan.total_steps == pytest.approx(
        2 * event.session.plan.epoch_steps / 3, 1
    )


def test_the_table_has_a_row_for_each_training_and_the_chart_a_line_for_each_trial(
    done: Done,
) -> None:
    with (done.path / "tune.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    told = tried(done.events)
    assert [row["training"] for row in rows] == [one.name for one in told]
    for row, one in zip(rows, told, strict=True):
        where = "tenth before" if one.name.startswith("trial") else "last tenth"
        assert (row["state"], row["measured_on"]) == (one.state, where)
        assert float(row["held_out_loss"]) == pytest.approx(one.loss, abs=1e-6)
        assert one.best is not None
        assert float(row["network_perplexity"]) == pytest.approx(
            one.best.network_perplexity, abs=1e-4
        )
        assert float(row["learning_rate"]) == one.settings["learning_rate"]
        assert int(row["hidden"]) == one.settings["hidden"]
        assert float(row["passes"]) == 2
    chart = (done.path / "tune.svg").read_text(encoding="utf-8")
    assert chart.rstrip().endswith("</svg>")
    for one in tuned(done.events).trials:
        assert f'id="{one.name}"' in chart


def test_the_winner_writes_as_any_run_does(done: Done) -> None:
    written = charlstm.load(done.path / "winner-0").generate("分开", length=5, seed=1)
    assert written.startswith("分开")


# Going on.


def test_a_finished_search_that_is_run_again_trains_nothing_and_says_the_same(
    done: Done, root: Path
) -> None:
    shutil.copytree(done.root, root)
    shutil.copy(done.root.parent / "song.txt", root.parent)
    events = list(search(done.root.parent / "song.txt", root).run())
    assert begun(events) == []
    again, before = tuned(events), tuned(done.events)
    assert losses(again.trials) == losses(before.trials)
    assert losses(again.finals) == losses(before.finals)
    for name in ("trial-001", "winner-2"):
        assert files(root / done.path.name / name) == files(done.path / name)


def test_a_search_that_was_stopped_goes_on_and_ends_like_one_that_was_not(
    corpus: Path, root: Path, done: Done
) -> None:
    for where in ("trial-001", "winner-1"):
        session = None
        events = []
        for event in search(corpus, root).run():
            events.append(event)
            if isinstance(event, Begun) and event.name == where:
                session = event.session
            if session is not None and is_step(event, 20):
                session.stop()
        assert any(isinstance(event, Stopped) for event in events[-2:])
    events = list(search(corpus, root).run())
    assert begun(events)[0] == ("winner-1", 20)
    assert losses(tuned(events).trials) == losses(tuned(done.events).trials)
    assert losses(tuned(events).finals) == losses(tuned(done.events).finals)
    for one in tuned(events).finals:
        assert model(root / done.path.name, one.name) == model(done.path, one.name)


def test_a_search_that_was_killed_goes_on_wherever_that_was(
    corpus: Path, root: Path, done: Done
) -> None:
    for name, step in (("trial-000", 3), ("trial-001", 5), ("trial-002", 1), ("winner-0", 7)):
        session = None
        for event in search(corpus, root).run():
            if isinstance(event, Begun) and event.name == name:
                session = event.session
            if session is not None and is_step(event, step):
                break  # nothing of it is saved
    events = list(search(corpus, root).run())
    assert begun(events)[0] == ("winner-0", 0)
    assert losses(tuned(events).finals) == losses(tuned(done.events).finals)


def test_a_trial_that_ended_and_was_not_written_down_is_not_trained_again(
    corpus: Path, root: Path, done: Done
) -> None:
    for event in search(corpus, root).run():
        if isinstance(event, Tried) and event.name == "trial-001":
            break
    journal = root / done.path.name / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    # As if the process had been killed while it wrote the last line.
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    events = list(search(corpus, root).run())
    assert begun(events)[0][0] == "trial-002"
    assert losses(tuned(events).trials) == losses(tuned(done.events).trials)


def test_a_trial_that_is_behind_is_stopped_and_can_go_on_bit_for_bit(
    corpus: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "is_behind", lambda _, others: len(others) == 1)
    searched = search(corpus, root)
    events = []
    for event in searched.run():
        events.append(event)
        if isinstance(event, Tried) and event.name == "trial-001":
            break
    assert [one.state for one in tried(events)] == ["done", "behind"]
    stopped = searched.path / "trial-001"
    info = RunDirectory(stopped).read_info()
    assert info.finished is None
    assert searched.best is not None
    assert searched.best.name == "trial-000"
    list(resume_session(stopped, root=searched.path, device="cpu").events())
    material = Material(
        [searched.path / ".search.txt"], "utf-8", earlier=searched._early.material.earlier
    )
    wish = searched._early.wish(info.recipe).changed(steps=info.recipe.steps)
    whole = start_session(material, wish, Machine(device="cpu"), Keeping("whole", root))
    list(whole.events())
    assert model(searched.path, "trial-001") == model(root, "whole")
    # What was behind stays behind, and the search goes on without it.
    after = list(search(corpus, root).run())
    assert begun(after)[0][0] == "trial-002"


def test_trainings_that_diverge_stand_in_the_table_and_win_nothing(
    corpus: Path, root: Path
) -> None:
    wild = {"learning_rate": Range(9e5, 9e6)}
    settings = {"optimizer": "sgd", "clip": 0.0}
    events = list(search(corpus, root, wild, settings=settings).run())
    result = tuned(events)
    assert [one.state for one in result.trials] == ["done", "diverged", "diverged"]
    assert result.is_recipe
    assert [one.name for one in result.finals] == ["winner-0", "winner-1", "winner-2"]
    with (root / "song-tune" / "tune.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows[:3]] == ["done", "diverged", "diverged"]
    assert rows[1]["held_out_loss"] == ""


@pytest.mark.parametrize(
    "changed",
    [{"minutes": 61.0}, {"settings": {"seed": 6}}, {"searched": {"hidden": Range(4, 9)}}],
)
def test_another_search_under_the_same_name_is_refused(
    changed: dict[str, Any], corpus: Path, root: Path
) -> None:
    path = search(corpus, root).path
    with pytest.raises(RunError) as caught:
        search(corpus, root, **changed)
    assert str(caught.value) == (
        f"{path} is a search on another text or with other settings. Give this one a name of its "
        "own, or repeat the settings to go on with that one."
    )


def test_two_searches_at_once_in_one_place_are_refused(corpus: Path, root: Path) -> None:
    running = search(corpus, root).run()
    next(running)
    with pytest.raises(RunError, match=r"^Another search is running in .*song-tune: wait until"):
        next(iter(search(corpus, root).run()))
    running.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["journal.log", "plan.json"])
def test_a_damaged_file_is_named(name: str, corpus: Path, root: Path) -> None:
    searched = search(corpus, root)
    for event in searched.run():
        if isinstance(event, Tried):
            break
    for left in ('{"op_code": 77}\n{}\n', "[]\n", '{"recipe": 3}\n'):
        (searched.path / name).write_text(left, encoding="utf-8")
        with pytest.raises(RunError, match=rf"{name} is damaged: "):
            search(corpus, root)


def test_a_directory_that_is_somebodys_own_is_left_alone(corpus: Path, root: Path) -> None:
    (root / "song-tune").mkdir(parents=True)
    (root / "song-tune" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=r"is there already and is no search: give this one another"):
        search(corpus, root)
    assert [path.name for path in (root / "song-tune").iterdir()] == ["mine.txt"]


def test_without_optuna_the_command_says_what_to_install(
    corpus: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "find_spec", lambda _: None)
    with pytest.raises(MissingLibraryError) as caught:
        search(corpus, root)
    assert str(caught.value) == ("Optuna is not installed here: pip install 'charlstm[tune]'.")
    assert not root.exists()


# What is tried next.


def outcome(number: int, settings: dict[str, Value], loss: float, state: str = "done") -> Tried:
    report = Report(10, 1, 1.0, 100, loss, loss, 0.01)
    best = None if state == "diverged" else report
    return Tried(f"trial-{number:03}", settings, state, 5, 1.0, 10, 1.0, (report,), best)


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], Journal]:
    return lambda: Journal(tmp_path / "j.log", SEARCHED, {"learning_rate": 0.5, "hidden": 8}, 3)


def filled(journal: Journal, number: int) -> Journal:
    for k in range(number):
        settings = journal.propose()
        state = ("done", "done", "behind", "done", "diverged")[k % 5]
        journal.tell(outcome(k, settings, 2 + float(settings["hidden"]) / 10, state))
    return journal


def test_the_same_trials_lead_to_the_same_proposal(journal: Callable[[], Journal]) -> None:
    first = journal()
    assert first.propose() == {"learning_rate": 0.5, "hidden": 8}  # though it is outside
    proposals = []
    for k in range(9):
        proposals.append(first.propose())
        assert proposals[-1] == journal().propose()  # as a process that begins anew would
        first.tell(outcome(k, proposals[-1], 2.0 + k))
    assert len({tuple(one.items()) for one in proposals}) > 5
    for one in proposals[1:]:
        assert all(SEARCHED[name].holds(value) for name, value in one.items())
        assert one["learning_rate"] == float(f"{one['learning_rate']:.3g}")
        assert type(one["hidden"]) is int


def test_a_journal_is_read_as_it_was_told(journal: Callable[[], Journal]) -> None:
    assert journal().trials == []
    told = filled(journal(), 7).trials
    assert journal().trials == told


def test_another_seed_proposes_something_else(tmp_path: Path) -> None:
    first = {"learning_rate": 0.02, "hidden": 8}
    found = []
    for seed in (1, 2):
        journal = Journal(tmp_path / f"{seed}.log", SEARCHED, first, seed)
        found.append(filled(journal, 1).propose())
    assert found[0] != found[1]


def test_what_matters_is_told_once_there_is_enough_to_go_by(journal: Callable[[], Journal]) -> None:
    short = filled(journal(), 8)
    assert short.importances() == {}
    long = filled(short, 22)
    found = long.importances()
    assert found.keys() == SEARCHED.keys()
    assert sum(found.values()) == pytest.approx(1)
    assert found["hidden"] > found["learning_rate"]  # of which the losses were made


def test_optuna_says_nothing_and_is_left_as_it_was(
    journal: Callable[[], Journal], capfd: pytest.CaptureFixture[str]
) -> None:
    level = logging.getLogger("optuna").level
    filled(journal(), 12).importances()
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("optuna").level == level


# What falls behind.


def curved(losses: Sequence[float], state: str = "done") -> Tried:
    reports = [
        Report(10 * (k + 1), k + 1, 1.0, 100, loss, loss, 0.01) for k, loss in enumerate(losses)
    ]
    return Tried("trial", state=state, steps=10 * len(losses), reports=tuple(reports))


def test_a_trial_is_behind_where_half_of_those_that_ended_had_done_better_by_then() -> None:
    others = [curved([3, 2, 1.8, 1.7]) for _ in range(2)] + [curved([3, 3, 3, 2.5])] * 2
    # The median at half of the time is 2.5.
    assert is_behind([(0.5, 2.6)], others)
    assert not is_behind([(0.5, 2.4)], others)
    assert not is_behind([(0.1, 9.0)], others)  # too early to say
    assert not is_behind([(0.5, 9.0)], others[:3])  # too few to say
    assert not is_behind([], others)
    # Those that were stopped themselves are nothing to be measured by.
    assert not is_behind([(0.5, 2.6)], [*others[1:], curved([1], "behind")])
    # Nor are those that were first measured later.
    assert not is_behind([(0.3, 9.0)], [curved([3, 1])] * 4)


def test_a_curve_is_of_the_best_so_far() -> None:
    assert curved([3, 2, 2.5, 1]).curve == [(0.25, 3), (0.5, 2), (0.75, 2), (1.0, 1)]


# What is searched.


def test_everything_is_searched_unless_something_is_named() -> None:
    assert ranges() == dict(RANGES)
    assert ranges([("window", None), ("dropout", "0..0.3")]) == {
        "window": RANGES["window"],
        "dropout": replace(RANGES["dropout"], low=0.0, high=0.3),
    }
    # Where a range begins at 0, twice as much cannot be as far everywhere.
    assert not ranges([("weight_decay", "0..0.1")])["weight_decay"].even


@pytest.mark.parametrize("characters", [5_000, 50_000, 500_000, 50_000_000])
@pytest.mark.parametrize("alphabet", [60, 4_000])
@pytest.mark.parametrize("passes", [None, 0.5, 3, 6])
def test_what_the_recipe_has_lies_in_the_ranges(
    characters: int, alphabet: int, passes: float | None
) -> None:
    from charlstm.recipes.named import auto, settings_of

    settings = settings_of(auto(characters, alphabet, passes))
    assert all(entry.holds(settings[name]) for name, entry in RANGES.items())


@pytest.mark.parametrize(
    ("name", "bounds", "message"),
    [
        ("window", "35", "window must be a range such as 64..512 here, not '35'."),
        ("window", "a..b", "window must be a range such as 64..512 here, not 'a..b'."),
        ("dropout", "0..nan", "dropout must be a range such as 64..512 here, not '0..nan'."),
        ("window", "0..9", "window must be a whole number from 1 to 65,536, not 0."),
        ("dropout", "0.1..2", "dropout must be a number from 0 to 0.95, not 2.0."),
        ("window", "9..9", "window must be a range from a smaller to a larger number, not '9..9'."),
        (
            "clip",
            None,
            "clip is no setting that is searched; those are hidden, layers, embedding, dropout, "
            "learning_rate, head_rate, weight_decay, batch, window.",
        ),
    ],
)
def test_bounds_that_cannot_be_are_refused(name: str, bounds: str | None, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        ranges([(name, bounds)])
    assert str(caught.value) == message


def test_what_is_searched_is_named_once_and_known() -> None:
    with pytest.raises(RecipeError, match=r"^window is named twice: once is enough\.$"):
        ranges([("window", None), ("window", "3..4")])
    with pytest.raises(UnknownSettingError, match=r"did you mean window\?$"):
        ranges([("windows", None)])


def test_a_value_is_rounded_to_what_is_told_in_few_digits() -> None:
    assert RANGES["hidden"].rounded(317.2) == 320
    assert RANGES["hidden"].rounded(9_000) == 768
    assert RANGES["learning_rate"].rounded(0.0012345) == 0.00123
    assert Range(4, 12, whole=True, multiple=True).rounded(6.6) == 7


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = SearchPlan(charlstm.Recipe("test"), 3.5, 9.0, 1.1)
    assert plan.shortened
    assert SearchPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
