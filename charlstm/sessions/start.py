"""How a new training begins: the text is read, the recipe fitted to it, and the run made."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charlstm.errors import Message, RecipeError, Setting, count, shortened
from charlstm.machine import Machine
from charlstm.model.devices import Computing, prepare
from charlstm.model.recall.recall import Recall
from charlstm.recipes.named import explain
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.names import check_name, name_for
from charlstm.runs.remembered import Remembered, gram_bytes
from charlstm.sessions.fitting import Fitted, Material, check_memory, check_prefixes, fit_recipe
from charlstm.sessions.following import check_shared, lead
from charlstm.sessions.origin import Origin
from charlstm.sessions.plan import Plan, how_workers_differ
from charlstm.sessions.probe import (
    Timed,
    choose_precision,
    choose_threads,
    determine,
    plan_passes,
    rehearse,
    repeatable,
    time_alone,
)
from charlstm.sessions.remembering import Remembering
from charlstm.sessions.session import Session
from charlstm.sessions.tensorboard import require_tensorboard
from charlstm.sessions.versions import check_versions, versions
from charlstm.text.corpus import Corpus
from charlstm.text.mapped import DIRECTORY
from charlstm.text.reading import Encodings
from charlstm.text.tidying import SPACES
from charlstm.text.tidying import notes as alike
from charlstm.text.twins import twins
from charlstm.training.distributed import ALONE, Workers

# Of a longer title, its beginning and its end are shown.
_TITLE = 40
# Looking for copies in a longer text takes a minute and gigabytes, so it gets no index.
_MOST_INDEXED = 50_000_000


@dataclass(frozen=True)
class Keeping:
    """What a new run is called, where it lives, and what it keeps besides its model.

    Attributes:
        name: from the corpus if ``None``. If it is taken, it gets the next free number.
        root: where runs live.
        prefixes: what the model continues while it learns; nothing means an empty prefix.
        sample_every: epochs between two samples, 0 for none; a quarter of all if ``None``.
        tensorboard: whether to write the figures for TensorBoard as well.
        index: whether to keep the text it learns from, compressed, to tell what is copied.
        mark: of the launch that begins it; see `charlstm.sessions.restarts`.

    Raises:
        RunError: a run cannot have this name.
    """

    name: str | None = None
    root: Path = ROOT
    prefixes: Sequence[str] = ()
    sample_every: int | None = None
    tensorboard: bool = False
    index: bool = True
    mark: bytes | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)


def start_session(
    material: Material,
    wish: Wish | None = None,
    machine: Machine | None = None,
    keeping: Keeping | None = None,
    *,
    workers: Workers = ALONE,
) -> Session:
    """Prepare a new training; nothing is trained before its `events` are read.

    Args:
        material: the text.
        wish: the recipe, and what should differ from it.
        machine: what computes.
        keeping: the run.
        workers: who trains it together; this one leads them.

    Raises:
        CorpusError: the text cannot be read or is too small.
        RecipeError: settings cannot be combined, or are not those of the run to start from, or the
            training would not fit into memory.
        UnknownCharactersError: a prefix has characters that the training text lacks.
        RunError: the run directory cannot be made, or there is no run to start from.
        MissingLibraryError: TensorBoard is asked for and not installed.
        WorkerError: another worker cannot train it as well.
    """
    assert workers.leads, "the others follow"
    check_shared(material, workers)
    check_versions(workers)
    wish, machine, keeping = wish or Wish(), machine or Machine(), keeping or Keeping()
    origin = Origin.of(wish.start_from, keeping.root)
    if origin is not None:
        wish = origin.settle(wish)
    labels = None if origin is None else origin.info.labels
    corpus = material.open(keeping.root / DIRECTORY, wish.text, labels)
    passes = wish.settings.get("epochs")
    wished = wish.fulfilled(*corpus.size, backend=machine.backend, passes=passes)
    if machine.deterministic:
        wished = repeatable(wished)
    known = None if origin is None else origin.info.vocabulary
    fitted = replace(fit_recipe(corpus, wished, known), workers=workers)
    _check(fitted, wish, keeping)
    computing = prepare(machine, fitted.recipe.architecture)
    check_memory(fitted, computing)
    weights = None if origin is None else origin.weights()
    threads = choose_threads(fitted, computing)
    fitted, timed = _time(fitted, wish, machine, computing)
    began = time.monotonic()
    recall = fitted.recall(grams=keeping.index)
    counting_seconds = time.monotonic() - began
    trainer = fitted.trainer(computing, threads=threads, recall=recall, joined=True)
    if weights is not None:
        trainer.begin_from(weights)
    alone_seconds = time_alone(fitted, computing) if workers.is_joined else 0.0
    made = _make_run(fitted, material, computing, keeping, origin, recall)
    teamwork = rehearse(fitted, computing, alone_seconds)
    plan = Plan(
        directory=made.directory,
        corpus=corpus,
        vocabulary=fitted.vocabulary,
        recipe=fitted.recipe,
        training_characters=fitted.cut,
        held_out_characters=fitted.held_out,
        backend=computing.backend,
        device=computing.device.type,
        threads=threads.chosen,
        started_from=made.info.started_from,
        new_characters=0 if known is None else fitted.vocabulary.size - known.size,
        reason=explain(fitted.recipe, *corpus.size),
        places=made.info.places,
        notes=(
            *_alike(corpus),
            *_twins(fitted),
            *_unlearned(fitted),
            *fitted.notes,
            *timed.notes,
            *how_workers_differ(fitted.recipe, workers.count),
            *made.notes,
        ),
        resumed_step=None,
        budget=trainer.budget,
        epoch_steps=trainer.windows.steps,
        step_seconds=timed.step_seconds if teamwork is None else teamwork.step_seconds,
        teamwork=teamwork,
        index_bytes=made.directory.index_bytes,
        index_seconds=made.index_seconds,
        remembering=Remembering.of(made.directory.path, made.info, counting_seconds),
    )
    return Session(plan, trainer, made.info, recall=recall)


def _check(fitted: Fitted, wish: Wish, keeping: Keeping) -> None:
    """Check what can be checked before anything takes long."""
    if wish.settings.get("patience") and not fitted.held_out:
        raise RecipeError(
            "patience needs held-out text: leave ",
            Setting("patience"),
            " out, or hold out a share with ",
            Setting("validation"),
            ".",
        )
    check_prefixes(keeping.prefixes, fitted.vocabulary, fitted.recipe.text)
    if keeping.tensorboard:
        require_tensorboard()


def _time(
    fitted: Fitted, wish: Wish, machine: Machine, computing: Computing
) -> tuple[Fitted, Timed]:
    """Settle the precision, and the passes that there is time for; time a step."""
    timed = choose_precision(fitted, computing)
    if timed.recipe.minutes is not None and "epochs" not in wish.settings:
        # Only now is it known how often the text can be read in that time.
        fitted = plan_passes(fitted, timed, wish, machine)
        timed = replace(choose_precision(fitted, computing), notes=timed.notes)
    if machine.deterministic:
        timed = determine(fitted, timed, wish, computing)
    return replace(fitted, recipe=timed.recipe), timed


@dataclass(frozen=True)
class _Made:
    directory: RunDirectory
    info: RunInfo
    notes: tuple[Message, ...]
    index_seconds: float


def _make_run(
    fitted: Fitted,
    material: Material,
    computing: Computing,
    keeping: Keeping,
    origin: Origin | None,
    recall: Recall | None,
) -> _Made:
    """Make the run directory, with all that is known before training."""
    corpus, recipe, cut = fitted.corpus, fitted.recipe, fitted.cut
    notes = []
    if corpus.file_bytes:
        notes.append(
            f"The text is read from {keeping.root / DIRECTORY}, where its ids take "
            f"{corpus.file_bytes / 1e9:.1f} GB; what is there can be deleted when no training runs."
        )
    index = keeping.index and cut <= _MOST_INDEXED
    if keeping.index and not index:
        notes.append(
            f"No index is made: with more than {_MOST_INDEXED:,} characters to learn from, looking "
            "for copies would take too long."
        )
    every = keeping.sample_every
    info = RunInfo(
        recipe=recipe,
        vocabulary=fitted.vocabulary,
        sources=corpus.sources,
        places=tuple(str(place) for place in material.places),
        encoding=Encodings.of(material.encoding).plain,
        songs=corpus.songs,
        labels=corpus.labels,
        corpus_sha256=corpus.sha256,
        training_characters=cut,
        held_out_characters=fitted.held_out,
        backend=computing.backend,
        started_from=None if origin is None else origin.name,
        prefixes=tuple(keeping.prefixes),
        sample_every=max(1, recipe.epochs // 4) if every is None else every,
        tensorboard=keeping.tensorboard,
        versions=versions(),
        recall=Remembered.of(recall),
    )
    lead(fitted.workers, info, corpus)
    wished = keeping.name or name_for(material.places)
    began = time.monotonic()
    training = corpus.pieces(0, cut) if index else None
    grams = None if recall is None else gram_bytes(recall)
    directory = RunDirectory.create(
        wished, keeping.root, info, corpus.pieces(cut), training, grams, keeping.mark
    )
    index_seconds = time.monotonic() - began
    if directory.name != wished:
        other = keeping.root / wished
        notes.append(f"{other} is another run, so this one is called {directory.name}.")
    return _Made(directory, info, tuple(map(Message, notes)), index_seconds)


def _twins(fitted: Fitted) -> tuple[Message, ...]:
    """Say which held-out songs are learned as well, or nearly."""
    if fitted.corpus.songs is None or not fitted.held_out:
        return ()
    songs = twins(fitted.corpus, fitted.cut)
    if not songs:
        return ()
    held_out = int((fitted.corpus.ends > fitted.cut).sum())
    titles = [shortened(title, _TITLE) for title in songs[:3]]
    named = ", ".join(titles) + (f" and {len(songs) - 3:,} more" if len(songs) > 3 else "")
    verb = "is" if len(songs) == 1 else "are"
    return (
        Message(
            f"{len(songs):,} of {count(held_out, 'held-out song')} {verb} for the most part in the "
            f"training text as well ({named}), so the held-out figures flatter."
        ),
    )


def _unlearned(fitted: Fitted) -> tuple[Message, ...]:
    """Say how many held-out songs have a label that no song has which is learned."""
    corpus, learned = fitted.corpus, fitted.vocabulary.labels
    held_out = corpus.labelled[corpus.ends[:-1] >= fitted.cut]
    notes = []
    for place, name in enumerate(corpus.labels.names):
        read = {*learned.values[name].values(), corpus.labels.none[place]}
        unknown = sum(symbol not in read for symbol in corpus.alphabet.decode(held_out[:, place]))
        if unknown:
            verb = "has" if unknown == 1 else "have"
            notes.append(
                Message(
                    f"{unknown:,} of {count(len(held_out), 'held-out song')} {verb} a label of "
                    f"{name} that no learned song has, and {'is' if unknown == 1 else 'are'} read "
                    "as if without one."
                )
            )
    return tuple(notes)


def _alike(corpus: Corpus) -> tuple[Message, ...]:
    """Say which characters of the text look like others, or like nothing."""
    learned = set(SPACES) & set(corpus.alphabet.characters)
    return alike(corpus.changed, corpus.counts() if learned and not corpus.options.tidy else {})
