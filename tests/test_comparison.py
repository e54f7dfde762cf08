import csv
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainers import files
from trainings import is_step, start_session

import charlstm
from charlstm.errors import RecipeError, RunError
from charlstm.machine import Machine
from charlstm.recipes.varied import varied
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import RunDirectory
from charlstm.runs.names import check_name
from charlstm.sessions.comparison import Begun, Comparison
from charlstm.sessions.fitting import Material, fit_recipe
from charlstm.sessions.session import Event, Saved
from charlstm.sessions.trials import Outcome, Trial, trials
from charlstm.text import mapped
from charlstm.text.reading import OnRead
from charlstm.training.events import (
    EpochEnd,
    Finished,
    Stopped,
)


def grid(cells: Sequence[str], **varied: Sequence[Any]) -> list[Trial]:
    return trials(cells, varied=varied)


SETTINGS: dict[str, Any] = {"embedding": 6, "batch": 4, "window": 16, "epochs": 2, "seed": 5}
CHOSEN = grid(["rnn", "gru"], hidden=[8], learning_rate=[0.02])
# Of a run, what is there before it is trained and stays.
UNCHANGED = ("heldout.txt", "training.txt.bz2", "recall.safetensors")
FIRST, SECOND = "rnn-scratch-h8-lr0.02", "gru-scratch-h8-lr0.02"


@pytest.fixture
def corpus(tmp_path: Path, song: str) -> Path:
    path = tmp_path / "song.txt"
    path.write_text(2 * song, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Done:
    """A finished comparison that tests look at and do not change."""

    root: Path
    path: Path
    events: list[Begun | Event | Outcome]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, song: str) -> Done:
    where = tmp_path_factory.mktemp("done")
    (where / "song.txt").write_text(2 * song, encoding="utf-8")
    compared = comparison(where / "song.txt", where / "checkpoints")
    return Done(where / "checkpoints", compared.path, list(compared.run()))


@pytest.fixture
def copied(done: Done, root: Path) -> Path:
    """Return the directory of a copy of it, below `root`."""
    shutil.copytree(done.root, root)
    return root / done.path.name


def comparison(
    corpus: Path,
    root: Path,
    chosen: Sequence[Trial] = CHOSEN,
    *,
    name: str | None = None,
    prefix: str = "分开",
    **settings: Any,
) -> Comparison:
    return Comparison(
        Material([corpus]),
        chosen,
        name=name,
        root=root,
        wish=Wish(settings={**SETTINGS, **settings}),
        prefix=prefix,
        machine=Machine(device="cpu"),
    )


def begun(events: Sequence[Begun | Event | Outcome]) -> list[tuple[str, int | None]]:
    """Return which trials were trained, and from which step on."""
    return [
        (event.trial.name, event.session.plan.resumed_step)
        for event in events
        if isinstance(event, Begun)
    ]


def outcomes(events: Sequence[Begun | Event | Outcome]) -> list[Outcome]:
    return [event for event in events if isinstance(event, Outcome)]


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of the trials, above that of the n-gram model if there is one."""
    with (path / "compare.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["trial"] != "ngram" for row in rows[:-1])
    return [row for row in rows if row["trial"] != "ngram"]


def model(path: Path, trial: str) -> bytes:
    return (path / trial / "model.safetensors").read_bytes()


def test_every_combination_is_a_trial_with_a_name_of_its_own() -> None:
    values: dict[str, list[Any]] = {"hidden": [8, 16], "learning_rate": [0.01]}
    found = trials(["lstm", "gru"], ["scratch", "torch"], values)
    assert found[:3] == [
        Trial("lstm", "scratch", (("hidden", 8), ("learning_rate", 0.01))),
        Trial("lstm", "scratch", (("hidden", 16), ("learning_rate", 0.01))),
        Trial("lstm", "torch", (("hidden", 8), ("learning_rate", 0.01))),
    ]
    assert len(found) == 8
    names = [trial.name for trial in found]
    assert names[2] == "lstm-torch-h8-lr0.01"
    assert len(set(names)) == 8


def test_what_is_not_named_is_left_to_the_recipe() -> None:
    assert trials(["lstm"]) == [Trial("lstm", "scratch")]
    assert trials(["lstm"])[0].name == "lstm-scratch"


def test_what_is_named_twice_is_tried_once() -> None:
    values: dict[str, list[Any]] = {"hidden": [8, 8], "learning_rate": [0.1, 0.1]}
    found = trials(["gru", "lstm", "gru"], ["scratch", "scratch"], values)
    assert [trial.name for trial in found] == ["gru-scratch-h8-lr0.1", "lstm-scratch-h8-lr0.1"]


def test_torch_is_not_tried_with_cells_that_it_does_not_have() -> None:
    found = trials(["peephole", "lstm", "coupled"], ["torch", "scratch"])
    assert [trial.name for trial in found] == [
        "peephole-scratch",
        "lstm-torch",
        "lstm-scratch",
        "coupled-scratch",
    ]


@pytest.mark.parametrize(
    ("cells", "backends", "message"),
    [
        (
            ["lstm", "transformer"],
            ["scratch"],
            "cell must be one of lstm, peephole, coupled, gru, rnn, not 'transformer'.",
        ),
        (["lstm"], ["jax"], "backend must be one of scratch, torch, not 'jax'."),
        (
            ["peephole", "coupled"],
            ["torch"],
            "torch has none of these cells, only lstm, gru, rnn: nothing to compare.",
        ),
    ],
)
def test_trials_that_cannot_be_are_refused(
    cells: list[str], backends: list[str], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        trials(cells, backends)
    assert str(caught.value) == message


def test_every_trial_is_the_training_that_it_would_be_alone(corpus: Path, root: Path) -> None:
    values: dict[str, list[Any]] = {"hidden": [8], "learning_rate": [0.02]}
    chosen = trials(["lstm"], ["scratch", "torch"], values)
    compared = comparison(corpus, root, chosen, epochs=1)
    events = list(compared.run())
    assert begun(events) == [(trial.name, None) for trial in chosen]
    named = {"hidden": 8, "learning_rate": 0.02, "epochs": 1, "precision": "float32"}
    for trial in chosen:
        alone = start_session(
            [corpus],
            settings={**SETTINGS, **named},
            name=trial.name,
            root=root,
            backend=trial.backend,
            device="cpu",
            sample_every=0,
        )
        list(alone.events())
        assert model(compared.path, trial.name) == model(root, trial.name)
        assert charlstm.load(compared.path / trial.name).info.recipe.seed == 5


def test_an_outcome_has_the_figures_of_the_run_and_a_line_that_it_wrote(
    done: Done,
) -> None:
    assert done.path == done.root / "song-compare"
    found = outcomes(done.events)
    assert [outcome.trial for outcome in found] == CHOSEN
    ends = [event.report for event in done.events if isinstance(event, EpochEnd)]
    for place, outcome in enumerate(found):
        info = charlstm.load(done.path / outcome.trial.name).info
        V, embedding, H = len(info.vocabulary), 6, 8
        blocks = {"rnn": 1, "gru": 3}[outcome.trial.cell]
        recurrent = blocks * (H * embedding + H * H + 2 * H)
        assert outcome.parameters == V * embedding + recurrent + V * H + V
        assert outcome.reports == tuple(ends[2 * place : 2 * place + 2])
        last = outcome.reports[-1]
        losses = [report.validation_loss for report in outcome.reports]
        assert outcome.report == outcome.reports[losses.index(min(losses, key=lambda x: x or 9))]
        # By the speed and not by the epochs: the last bit may differ.
        assert outcome.seconds_per_epoch == pytest.approx(last.seconds / 2)
        assert outcome.characters_per_second == pytest.approx(last.characters / last.seconds)
        assert outcome.sample.startswith("分开")
        assert "\n" not in outcome.sample


def test_a_training_is_compared_by_its_best_epoch_and_not_by_its_last(
    tmp_path: Path, root: Path, song: str
) -> None:
    text = tmp_path / "misleading.txt"
    # The better the song is known, the worse it is known backwards, where it is held out.
    text.write_text(song + song[::-1][: len(song) // 9], encoding="utf-8")
    chosen = grid(["gru"], hidden=[8], learning_rate=[0.1])
    (outcome,) = outcomes(list(comparison(text, root, chosen, epochs=8).run()))
    losses = [report.validation_loss or 0 for report in outcome.reports]
    assert min(losses) < losses[-1] - 0.05
    assert outcome.report == outcome.reports[losses.index(min(losses))]


def test_a_training_without_held_out_text_is_compared_by_its_last_epoch(
    corpus: Path, root: Path
) -> None:
    compared = comparison(corpus, root, CHOSEN[:1], validation=0.0)
    (outcome,) = outcomes(list(compared.run()))
    assert outcome.report == outcome.reports[-1]
    assert [row["held_out_perplexity"] for row in table(compared.path)] == [""]
    # Nor is there anything that an n-gram model could be measured on.
    assert compared.ngram is None
    assert "ngram" not in (compared.path / "compare.csv").read_text(encoding="utf-8")


def test_the_table_has_a_row_for_each_trial_and_the_chart_a_curve(done: Done) -> None:
    found = outcomes(done.events)
    rows = table(done.path)
    assert [row["trial"] for row in rows] == [FIRST, SECOND]
    for row, outcome in zip(rows, found, strict=True):
        report = outcome.report
        assert report is not None
        assert (row["cell"], row["backend"]) == (outcome.trial.cell, "scratch")
        assert int(row["parameters"]) == outcome.parameters
        assert int(row["epoch"]) == report.epoch
        assert float(row["training_perplexity"]) == round(report.train_perplexity, 4)
        # Of the network alone, and beside it what the model comes to with recall.
        assert float(row["held_out_perplexity"]) == round(report.network_perplexity or 0, 4)
        assert float(row["recall_perplexity"]) == round(report.validation_perplexity or 0, 4)
        assert float(row["seconds_per_epoch"]) == round(outcome.seconds_per_epoch, 3)
        assert float(row["characters_per_second"]) == round(outcome.characters_per_second)
        assert row["sample"] == outcome.sample
    chart = (done.path / "compare.svg").read_text(encoding="utf-8")
    assert chart.rstrip().endswith("</svg>")
    for trial in CHOSEN:
        assert f"<!-- {trial.name} -->" in chart


def test_trials_are_held_against_an_ngram_model_that_is_counted(done: Done) -> None:
    text = (done.root.parent / "song.txt").read_text(encoding="utf-8")
    fitted = fit_recipe(
        Material([done.root.parent / "song.txt"]).open(done.root, Wish().text),
        Wish(settings={"recall": 1.0}).fulfilled(len(text), len(set(text))),
    )
    recall = fitted.recall()
    assert recall is not None
    assert recall.ngram is not None
    ids = np.asarray(fitted.measured[:])
    contexts, nats = recall.ngram.start(), 0.0
    recall.ngram.step(contexts, [int(ids[0])])
    for character in ids[1:].tolist():
        nats -= math.log(recall.ngram.expected(contexts)[0, character])
        recall.ngram.step(contexts, [character])
    with (done.path / "compare.csv").open(encoding="utf-8", newline="") as file:
        *_, row = csv.DictReader(file)
    assert (row["trial"], row["state"], row["cell"], row["sample"]) == ("ngram", "counted", "", "")
    assert float(row["held_out_perplexity"]) == pytest.approx(math.exp(nats / (len(ids) - 1)), 1e-4)
    assert 1 < float(row["recall_perplexity"]) < float(row["held_out_perplexity"])
    assert int(row["parameters"]) == sum(len(level.symbols) for level in recall.ngram.levels)
    assert float(row["seconds_per_epoch"]) < 30
    assert "<!-- ngram -->" in (done.path / "compare.svg").read_text(encoding="utf-8")


def test_without_recall_there_is_one_figure_and_the_ngram_model_all_the_same(
    corpus: Path, root: Path
) -> None:
    compared = comparison(corpus, root, CHOSEN[:1], recall=0.0, epochs=1)
    (outcome,) = outcomes(list(compared.run()))
    assert outcome.report is not None
    assert outcome.held_out_perplexity == outcome.report.validation_perplexity
    assert outcome.recall_perplexity is None
    assert [row["recall_perplexity"] for row in table(compared.path)] == [""]
    assert compared.ngram is not None


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"loss": 1}', "{"])
def test_figures_of_the_ngram_model_that_cannot_be_read_are_counted_anew(
    kept: str, corpus: Path, root: Path, copied: Path, done: Done
) -> None:
    shutil.rmtree(copied / SECOND)
    (copied / "ngram.json").write_text(kept, encoding="utf-8")
    compared = comparison(corpus, root)
    assert compared.ngram is None
    list(compared.run())
    kept_now, before = (
        json.loads((path / "ngram.json").read_bytes()) for path in (copied, done.path)
    )
    assert {**kept_now, "seconds": 0} == {**before, "seconds": 0}


def test_a_sample_that_holds_commas_and_quotes_stays_in_its_cell(
    tmp_path: Path, root: Path
) -> None:
    text = tmp_path / "quoted.txt"
    text.write_text('",' * 700, encoding="utf-8")
    compared = comparison(text, root, CHOSEN[:1], prefix='",', epochs=1)
    (outcome,) = outcomes(list(compared.run()))
    assert {'"', ","} <= set(outcome.sample)
    assert [row["sample"] for row in table(compared.path)] == [outcome.sample]


def test_the_table_is_there_after_the_first_trial_already(corpus: Path, root: Path) -> None:
    compared = comparison(corpus, root)
    for event in compared.run():
        if isinstance(event, Outcome):
            break
    assert [row["trial"] for row in table(compared.path)] == [FIRST]
    assert f"<!-- {FIRST} -->" in (compared.path / "compare.svg").read_text(encoding="utf-8")


def test_a_finished_comparison_that_is_run_again_trains_nothing_and_says_the_same(
    corpus: Path, root: Path, copied: Path, done: Done
) -> None:
    assert list(comparison(corpus, root).run()) == outcomes(done.events)
    for name in (".", FIRST, SECOND):
        assert files(copied / name) == files(done.path / name)


def test_trials_that_are_added_are_trained_beside_those_that_are_done(
    corpus: Path, root: Path, copied: Path
) -> None:
    added = grid(["lstm"], hidden=[4], learning_rate=[0.02])
    events = list(comparison(corpus, root, CHOSEN + added).run())
    assert begun(events) == [("lstm-scratch-h4-lr0.02", None)]
    assert [row["trial"] for row in table(copied)] == [FIRST, SECOND, "lstm-scratch-h4-lr0.02"]


def test_a_comparison_that_was_stopped_saves_the_trial_under_way_and_goes_on_from_there(
    corpus: Path, root: Path, copied: Path, done: Done
) -> None:
    shutil.rmtree(copied / SECOND)
    events = []
    session = None
    for event in comparison(corpus, root).run():
        events.append(event)
        if isinstance(event, Begun) and event.trial.name == SECOND:
            session = event.session
        if session is not None and is_step(event, 30):
            session.stop()
    assert events[-2:] == [Stopped(30), Saved(30)]
    assert [outcome.trial.name for outcome in outcomes(events)] == [FIRST]
    assert begun(list(comparison(corpus, root).run())) == [(SECOND, 30)]
    assert files(copied / FIRST) == files(done.path / FIRST)
    assert model(copied, SECOND) == model(done.path, SECOND)


def test_a_comparison_that_was_killed_goes_on_from_the_last_save_of_the_trial_under_way(
    corpus: Path, root: Path, copied: Path, done: Done
) -> None:
    shutil.rmtree(copied / SECOND)
    session = None
    for event in comparison(corpus, root).run():
        if isinstance(event, Begun) and event.trial.name == SECOND:
            session = event.session
        if session is not None and is_step(event, 30):
            session.save()
        if session is not None and is_step(event, 35):
            break
    events = list(comparison(corpus, root).run())
    assert begun(events) == [(SECOND, 30)]
    assert files(copied / FIRST) == files(done.path / FIRST)
    assert model(copied, SECOND) == model(done.path, SECOND)
    assert [outcome.trial for outcome in outcomes(events)] == CHOSEN


def test_a_trial_that_was_killed_before_its_first_save_is_gone_on_with_from_its_beginning(
    corpus: Path, root: Path, done: Done
) -> None:
    killed = comparison(corpus, root, CHOSEN[:1])
    for event in killed.run():
        if is_step(event, 3):
            break
    left = files(killed.path / FIRST)
    assert set(left) == {"run.json", *UNCHANGED}
    made = {name: (killed.path / FIRST / name).stat().st_ino for name in UNCHANGED}
    events = list(comparison(corpus, root, CHOSEN[:1]).run())
    assert begun(events) == [(FIRST, 0)]
    assert [path.name for path in killed.path.iterdir() if path.is_dir()] == [FIRST]
    # They are the same files, and not others that hold the same.
    assert {name: (killed.path / FIRST / name).stat().st_ino for name in UNCHANGED} == made
    assert {name: files(killed.path / FIRST)[name] for name in UNCHANGED} == {
        name: left[name] for name in UNCHANGED
    }
    assert model(killed.path, FIRST) == model(done.path, FIRST)
    assert [event.report.step for event in events if isinstance(event, EpochEnd)] == [
        event.report.step for event in done.events if isinstance(event, EpochEnd)
    ][:2]


@pytest.mark.parametrize("saved", [False, True])
def test_a_trial_that_is_trained_by_another_process_is_refused_and_left_as_it_is(
    corpus: Path, root: Path, done: Done, saved: bool
) -> None:
    compared = comparison(corpus, root, CHOSEN[:1])
    for event in compared.run():
        if isinstance(event, Begun):
            session = event.session
        if is_step(event, 3):
            if saved:
                session.save()
            break
    path = compared.path / FIRST
    left = files(path)
    assert ("resume.safetensors" in left) is saved
    refused = f"Another training is running in {path}: wait until it ends, or stop it."
    with RunDirectory(path).locked():
        with pytest.raises(RunError) as caught:
            list(comparison(corpus, root, CHOSEN[:1]).run())
        assert str(caught.value) == refused
        assert files(path) == left
        assert [found.name for found in compared.path.iterdir() if found.is_dir()] == [FIRST]
    list(comparison(corpus, root, CHOSEN[:1]).run())
    assert model(compared.path, FIRST) == model(done.path, FIRST)


def test_a_second_comparison_does_not_disturb_the_first_one(
    corpus: Path, root: Path, done: Done
) -> None:
    first = comparison(corpus, root, CHOSEN[:1])
    for event in first.run():
        if is_step(event, 3):
            with pytest.raises(RunError, match=r"^Another training is running in "):
                list(comparison(corpus, root, CHOSEN[:1]).run())
    assert files(first.path / FIRST).keys() == files(done.path / FIRST).keys()
    assert model(first.path, FIRST) == model(done.path, FIRST)


def test_a_text_that_is_too_long_for_memory_gives_the_same_and_is_kept_once_for_all_trials(
    corpus: Path, root: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", 0)
    compared = comparison(corpus, root)
    kept = compared.path / mapped.DIRECTORY
    made = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.*")}
    assert {Path(name).suffix for name in made} >= {".ids", ".json"}
    events = []
    for event in compared.run():
        events.append(event)
        if isinstance(event, Begun):
            assert event.session.plan.corpus.file_bytes > 0
    assert {path.name: path.stat().st_mtime_ns for path in kept.glob("*.*")} == made
    assert {path.parent for path in root.rglob("*.ids")} == {kept}
    assert begun(events) == [(FIRST, None), (SECOND, None)]
    for here, there in zip(outcomes(events), outcomes(done.events), strict=True):
        assert (here.parameters, here.sample) == (there.parameters, there.sample)
        assert here.report is not None
        assert there.report is not None
        assert here.report.validation_loss == there.report.validation_loss
    for name in (FIRST, SECOND):
        assert model(compared.path, name) == model(done.path, name)
    # In memory again, it is the same comparison.
    monkeypatch.undo()
    assert list(comparison(corpus, root).run()) == outcomes(events)


def test_a_run_gets_no_files_of_a_comparison(
    corpus: Path, root: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", 0)
    shutil.move(copied / FIRST, root / "alone")
    before = sorted((root / "alone").iterdir())
    with pytest.raises(RunError, match=r"alone is a run; give the comparison another name\.$"):
        comparison(corpus, root, name="alone")
    assert sorted((root / "alone").iterdir()) == before


def test_every_reading_of_the_text_is_told_of(corpus: Path, root: Path) -> None:
    told: list[list[tuple[int, int]]] = []

    @contextmanager
    def reading() -> Iterator[OnRead]:
        told.append([])
        yield lambda done, total: told[-1].append((done, total))

    compared = Comparison(
        Material([corpus]),
        CHOSEN,
        root=root,
        wish=Wish(settings={**SETTINGS, "epochs": 1}),
        machine=Machine(device="cpu"),
        reading=reading,
    )
    assert len(told) == 1
    list(compared.run())
    size = corpus.stat().st_size
    assert [readings[-1] for readings in told] == 3 * [(size, size)]


@pytest.mark.parametrize("changed", [{"epochs": 3}, {"seed": 6}, {"dropout": 0.2}, {"text": "!"}])
def test_other_settings_or_another_text_under_the_same_name_are_refused(
    corpus: Path, root: Path, copied: Path, done: Done, changed: dict[str, Any], song: str
) -> None:
    settings = dict(changed)
    corpus.write_text(2 * song + settings.pop("text", ""), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        list(comparison(corpus, root, **settings).run())
    assert str(caught.value) == (
        f"{copied} is a comparison on another text or with other settings. Give this one a "
        "name of its own, or repeat the settings to go on with that one."
    )
    for name in (".", FIRST, SECOND):
        assert files(copied / name) == files(done.path / name)


def test_a_trial_that_diverges_is_an_outcome_without_figures_and_the_rest_goes_on(
    corpus: Path, root: Path
) -> None:
    chosen = grid(["rnn"], hidden=[8], learning_rate=[9e5, 0.02])
    compared = comparison(corpus, root, chosen, optimizer="sgd", clip=0.0)
    events = list(compared.run())
    lost, found = outcomes(events)
    assert lost == Outcome(chosen[0], parameters=found.parameters)
    assert lost.report is None
    assert found.report is not None
    assert [event for event in events if isinstance(event, Finished)] == [
        Finished(f"all {found.reports[-1].step} steps are done")
    ]
    first, second = table(compared.path)
    assert (first["trial"], first["state"]) == ("rnn-scratch-h8-lr900000", "diverged")
    assert (first["sample"], second["state"]) == ("", "done")
    assert (first["training_perplexity"], first["held_out_perplexity"]) == ("", "")
    assert float(second["held_out_perplexity"]) > 1
    chart = (compared.path / "compare.svg").read_text(encoding="utf-8")
    assert f"<!-- {chosen[1].name} -->" in chart
    assert f"<!-- {chosen[0].name} -->" not in chart


def test_a_comparison_of_which_nothing_is_left_has_a_table_and_no_chart(
    corpus: Path, root: Path
) -> None:
    chosen = grid(["rnn"], hidden=[8], learning_rate=[9e5])
    compared = comparison(corpus, root, chosen, optimizer="sgd", clip=0.0)
    (lost,) = outcomes(list(compared.run()))
    assert lost == Outcome(chosen[0], parameters=lost.parameters)
    # What was done stays done, and that is done.
    assert list(comparison(corpus, root, chosen, optimizer="sgd", clip=0.0).run()) == [lost]
    (row,) = table(compared.path)
    assert (row["trial"], row["state"]) == (chosen[0].name, "diverged")
    assert not (compared.path / "compare.svg").exists()


def test_a_batch_that_was_shrunk_is_no_other_setting(corpus: Path, root: Path) -> None:
    found = outcomes(list(comparison(corpus, root, CHOSEN[:1], batch=500, epochs=1).run()))
    assert list(comparison(corpus, root, CHOSEN[:1], batch=500, epochs=1).run()) == found


def test_settings_hold_for_the_trials_that_do_not_name_their_own(corpus: Path, root: Path) -> None:
    events = comparison(corpus, root, trials(["rnn"]), hidden=8, learning_rate=0.02).run()
    first = next(events)
    assert isinstance(first, Begun)
    assert first.session.plan.recipe.learning_rate == 0.02
    assert first.session.plan.recipe.architecture.hidden == 8


def test_any_setting_is_varied_and_stands_in_the_name_and_in_the_table(
    corpus: Path, root: Path
) -> None:
    chosen = grid(["rnn"], window=[8, 16], sampling=["songs"], dropout=[0.25], hidden=[8])
    compared = comparison(corpus, root, chosen, window=None, epochs=1)
    list(compared.run())
    names = [f"rnn-scratch-window{window}-sampling-songs-dropout0.25-h8" for window in (8, 16)]
    rows = table(compared.path)
    assert [row["trial"] for row in rows] == names
    assert [row["window"] for row in rows] == ["8", "16"]
    assert {(row["sampling"], row["dropout"], row["hidden"]) for row in rows} == {
        ("songs", "0.25", "8")
    }
    head = (compared.path / "compare.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert head.startswith("trial,cell,backend,parameters,state,window,sampling,dropout,hidden,sec")
    for name, window in zip(names, (8, 16), strict=True):
        recipe = charlstm.load(compared.path / name).info.recipe
        assert (recipe.window, recipe.sampling, recipe.dropout) == (window, "songs", 0.25)


def test_minutes_that_are_varied_are_what_ends_each(corpus: Path, root: Path) -> None:
    compared = comparison(corpus, root, grid(["rnn"], hidden=[4], minutes=[0.01]), epochs=None)
    begin = next(event for event in compared.run() if isinstance(event, Begun))
    assert begin.session.plan.recipe.minutes == 0.01
    assert begin.session.plan.recipe.epochs == 1_000_000


def test_a_setting_that_is_varied_has_no_value_for_all(corpus: Path, root: Path) -> None:
    with pytest.raises(RecipeError, match=r"^window is varied here, so it cannot have one value"):
        comparison(corpus, root, grid(["rnn"], window=[8]))


def test_values_are_read_as_what_their_setting_is() -> None:
    told = [("window", " 8, 16,8"), ("learning_rate", "1,2e-3"), ("minutes", "2"), ("steps", "3")]
    read = varied([*told, ("sampling", "random, songs")])
    assert read == {
        "window": (8, 16),
        "learning_rate": (1.0, 0.002),
        "minutes": (2.0,),
        "steps": (3,),
        "sampling": ("random", "songs"),
    }
    assert {type(value) for value in read["learning_rate"] + read["minutes"]} == {float}
    assert {type(value) for value in read["window"] + read["steps"]} == {int}


@pytest.mark.parametrize("name", ["validation", "min_count", "songs", "labels", "normalize"])
def test_what_decides_what_is_measured_is_not_varied(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"^{name} decides what is measured, so models that"):
        varied([(name, "1,2")])


def test_values_that_differ_in_their_last_digits_have_names_of_their_own() -> None:
    found = grid(["rnn"], learning_rate=[0.003, 0.0030000001])
    assert len({trial.name for trial in found}) == 2


def test_every_rate_gives_a_name_that_a_run_can_have() -> None:
    found = grid(["rnn"], hidden=[8], learning_rate=[1e6, 1e-6])
    assert [trial.name for trial in found] == ["rnn-scratch-h8-lr1e06", "rnn-scratch-h8-lr1e-06"]
    for trial in found:
        check_name(trial.name)


def test_a_comparison_cannot_be_called_what_leaves_its_root(corpus: Path, root: Path) -> None:
    with pytest.raises(RunError, match=r"^A run cannot be called '\.\./up': use letters"):
        comparison(corpus, root, name="../up")


def test_a_trial_is_a_run_like_any_other(copied: Path, root: Path) -> None:
    shutil.move(copied / FIRST, root / "alone")
    directory = RunDirectory.find("alone", root)
    assert directory.read_info().finished is not None
    assert charlstm.load("alone", root=root).generate("分开", length=5, seed=1).startswith("分开")
