"""How a training goes on where its last save left it."""

import dataclasses
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlstm.errors import Command, CorpusError, Message, Part, RecipeError, Setting, count
from charlstm.figures import Report
from charlstm.files import damaged, is_file
from charlstm.machine import Machine
from charlstm.model.devices import Computing, compute_deterministically, prepare
from charlstm.model.recall.recall import Recall
from charlstm.recipes.named import explain
from charlstm.recipes.recipe import Recipe
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.remembered import NAME, gram_bytes
from charlstm.sessions.fitting import Fitted, Material, check_memory, check_prefixes, shrink
from charlstm.sessions.following import check_shared, lead
from charlstm.sessions.origin import Origin
from charlstm.sessions.plan import Plan, how_workers_differ
from charlstm.sessions.probe import (
    choose_threads,
    rehearse,
    repeatable,
    time_alone,
    time_steps,
)
from charlstm.sessions.remembering import Remembering
from charlstm.sessions.rereading import reread
from charlstm.sessions.session import Session
from charlstm.sessions.tensorboard import has_tensorboard
from charlstm.sessions.versions import check_versions, versions
from charlstm.text.corpus import Corpus
from charlstm.text.mapped import DIRECTORY
from charlstm.text.splitting import may_be_split
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.trainer import Trainer

# What may change when a run is resumed: how long it goes on. All else decides its weights.
_RESUMABLE = frozenset({"epochs", "steps", "minutes", "patience"})


def resume_session(
    run: str | Path | None = None,
    material: Material | None = None,
    wish: Wish | None = None,
    machine: Machine | None = None,
    *,
    root: Path = ROOT,
    workers: Workers = ALONE,
) -> Session:
    """Resume a training from its last save, or from its beginning if it has none.

    Args:
        run: its name or path; the newest run if ``None``.
        material: the corpus, if it is no longer where the run found it.
        wish: epochs, steps, minutes or patience may be new; whatever else differs is refused.
        machine: what computes; with the backend ``"auto"``, the run's own, it stays the same bit
            for bit.
        root: where runs live.
        workers: who trains it together, however many there were before; this one leads them.

    Raises:
        RunError: there is no such run, or it is damaged.
        CorpusError: the corpus is gone or no longer the same.
        RecipeError: a setting cannot change.
        WorkerError: another worker cannot train it as well.
    """
    wish, machine = wish or Wish(), machine or Machine()
    assert workers.leads, "the others follow"
    directory = RunDirectory.find(run, root, trained=False)
    with directory.locked():  # at once, and not after the plan is drawn
        info = directory.read_info()
    material = material or Material(())
    check_shared(material, workers)
    check_versions(workers)
    corpus = _read_again(directory, info, material)
    wished = _longer(info.recipe, wish)
    if machine.deterministic:
        repeatable(wished)
        compute_deterministically()
    fitted = replace(_fit_again(directory, info, corpus, wished), workers=workers)
    # Before the trainer takes memory, so that a damaged file is reported at once.
    saved = directory.read_resume(info) if directory.has_resume else None
    origin = None if saved is not None else Origin.of(info.started_from, root)
    backend = info.backend if machine.backend == "auto" else machine.backend
    computing = prepare(replace(machine, backend=backend), fitted.recipe.architecture)
    check_memory(fitted, computing)
    threads = choose_threads(fitted, computing)
    recall = _remembered(directory, info, fitted)
    trainer = fitted.trainer(computing, threads=threads, recall=recall, joined=True)
    history: list[Report] = []
    samples: list[str] = []
    if saved is not None:
        snapshot, history, samples = saved
        trainer.restore(snapshot)
    elif origin is not None:
        trainer.begin_from(origin.weights())
    _check_more_to_do(directory, trainer)
    notes = _how_to_go_on(directory, trainer)
    notes = (*notes, *how_workers_differ(fitted.recipe, workers.count))
    if info.tensorboard and not has_tensorboard():
        note = "TensorBoard is not installed here any more, so nothing is written for it."
        notes, info = (*notes, Message(note)), replace(info, tensorboard=False)
    info = replace(info, recipe=fitted.recipe, backend=backend, finished=None, versions=versions())
    alone_seconds = time_alone(fitted, computing) if workers.is_joined else 0.0
    lead(workers, info, corpus)
    teamwork = rehearse(fitted, computing, alone_seconds)
    plan = Plan(
        directory=directory,
        corpus=corpus,
        vocabulary=info.vocabulary,
        recipe=info.recipe,
        training_characters=info.training_characters,
        held_out_characters=info.held_out_characters,
        backend=backend,
        device=computing.device.type,
        threads=threads.chosen,
        started_from=info.started_from,
        new_characters=0,
        reason=explain(info.recipe, *corpus.size),
        places=info.places,
        notes=notes,
        resumed_step=trainer.step,
        budget=trainer.budget,
        epoch_steps=trainer.windows.steps,
        step_seconds=_step_seconds(trainer, fitted, computing)
        if teamwork is None
        else teamwork.step_seconds,
        elapsed=trainer.elapsed,
        progress=trainer.progress,
        teamwork=teamwork,
        remembering=Remembering.of(directory.path, info),
    )
    return Session(plan, trainer, info, recall=recall, history=history, samples=samples)


def _read_again(directory: RunDirectory, info: RunInfo, material: Material) -> Corpus:
    """Read the run's corpus, and check that it is the same."""
    if material.text is None and not material.places and not info.places:
        raise CorpusError(
            f"{directory.path} learned from text that was handed over in memory and is kept "
            "nowhere: hand the same text over again, with ",
            Command("resume", directory.handle, handed=True),
            ".",
        )
    if material.text is None and not material.places and "-" in info.places:
        raise CorpusError(
            f"{directory.path} learned from standard input, which is gone: pipe the same text in "
            "again, with ",
            Command("resume", directory.handle, piped=True),
            ".",
        )
    corpus = reread(info, material, directory.path.parent / DIRECTORY)
    # The text itself says that songs have another label, but not which.
    if corpus.sha256 != info.corpus_sha256 or corpus.labels != info.labels:
        raise CorpusError(
            f"The text in {', '.join(source.name for source in corpus.sources[:3])} is not the one "
            f"that {directory.path} was trained on, so it cannot go on from there. Restore the "
            "text, or train anew without ",
            Setting("resume"),
            ".",
        )
    return corpus


def _remembered(directory: RunDirectory, info: RunInfo, fitted: Fitted) -> Recall | None:
    """Return what is remembered; grams that were lost are counted again, from the same text."""
    if info.recall is not None and info.recall.grams and not is_file(directory.path / NAME):
        recall = fitted.recall()
        grams = None if recall is None else gram_bytes(recall)
        assert grams is not None, "the recipe asks for them"
        directory.write_grams(grams)
    return directory.read_recall(info)


def _longer(recipe: Recipe, wish: Wish) -> Recipe:
    """Return the run's recipe with what is asked for."""
    settings = dict(wish.settings)
    if settings.get("precision") == "auto":
        del settings["precision"]  # it was chosen when the run began
    minutes = settings.get("minutes")
    if minutes is not None and "epochs" not in settings:
        # The epochs of a budget in minutes were set to more than it has time for.
        longer = minutes / recipe.minutes if recipe.minutes else 1.0
        settings["epochs"] = math.ceil(recipe.epochs * max(longer, 1.0))
    return recipe.override(**settings)


def _fit_again(directory: RunDirectory, info: RunInfo, corpus: Corpus, wished: Recipe) -> Fitted:
    """Fit the recipe to the text as it was when the run began, and check that it is the same."""
    cut = info.training_characters
    whole = cut + info.held_out_characters == len(corpus)
    if not (whole and may_be_split(corpus, info.recipe.validation, cut)):
        raise damaged(
            directory.path / "run.json", ValueError("it does not say how its text was split")
        )
    shrunk = shrink(corpus, wished, cut)
    _refuse_changes(directory, info.recipe, shrunk.recipe)
    check_prefixes(info.prefixes, info.vocabulary, shrunk.recipe.text)
    return Fitted(corpus, shrunk.recipe, shrunk.cut, info.vocabulary)


def _refuse_changes(directory: RunDirectory, old: Recipe, new: Recipe) -> None:
    before, after = _flat(dataclasses.asdict(old)), _flat(dataclasses.asdict(new))
    changed = [name for name in before if name not in _RESUMABLE and before[name] != after[name]]
    if changed:
        named = [part for name in changed for part in (", ", Setting(name))][1:]
        raise RecipeError(
            f"{directory.path} was trained with another ",
            *named,
            "; a resumed run keeps its settings. Leave them out, or train anew without ",
            Setting("resume"),
            ".",
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Bring the settings of the architecture and of the text up among the recipe's own."""
    inner = [value for value in settings.values() if isinstance(value, dict)]
    outer = {name: value for name, value in settings.items() if not isinstance(value, dict)}
    return {name: value for part in (outer, *inner) for name, value in part.items()}


def _check_more_to_do(directory: RunDirectory, trainer: Trainer) -> None:
    if trainer.step > trainer.budget.steps:
        raise RecipeError(
            f"{directory.path} has made {count(trainer.step, 'step')} already, and would have been "
            f"done after {trainer.budget.steps:,} with these ",
            Setting("epochs"),
            " or ",
            Setting("steps"),
            "; ask for more.",
        )


def _how_to_go_on(directory: RunDirectory, trainer: Trainer) -> tuple[Message, ...]:
    """Say of a training that is over what would make it longer."""
    recipe, reason = trainer.recipe, trainer.over
    if reason is None:
        return ()
    longer: list[Setting] = []
    if trainer.step >= recipe.epochs * trainer.windows.steps:
        longer.append(Setting("epochs", _more(recipe.epochs)))
    if recipe.steps is not None and trainer.step >= recipe.steps:
        longer.append(Setting("steps", _more(recipe.steps)))
    if not longer and recipe.minutes is not None and trainer.progress >= 1:
        longer.append(Setting("minutes", _more(math.ceil(recipe.minutes))))
    if not longer and recipe.patience is not None:
        longer.append(Setting("patience", _more(recipe.patience)))
    parts: list[Part] = [f"{directory.path} is done: {reason}. To make it longer, ask for "]
    for setting in longer:
        parts += [setting, " and "]
    return (Message(*parts[:-1], "."),)


def _more(present: int) -> int:
    """Return a fifth more, as much as anybody would try first."""
    return present + max(present // 5, 1)


def _step_seconds(trainer: Trainer, fitted: Fitted, computing: Computing) -> float:
    if trainer.step:
        # It comes from a file and may be anything; the plan divides by it.
        return max(trainer.seconds / trainer.step, 1e-9)
    (seconds,) = time_steps([fitted.trainer(computing)])
    return seconds
