"""A session put together: a new training, one begun from another run's weights, or one resumed."""

import dataclasses
import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from charlstm.errors import CorpusError, RecipeError
from charlstm.figures import Report
from charlstm.files import damaged
from charlstm.machine import machine_bytes
from charlstm.model.devices import (
    choose_backend,
    choose_device,
    compute_deterministically,
    may_have_fast_bfloat16,
    prepare_cpu,
    prepare_to_compute_deterministically,
)
from charlstm.recipes.named import explain, named
from charlstm.recipes.recipe import Recipe, training_bytes
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.names import check_name, name_for
from charlstm.runs.tensors import Arrays
from charlstm.sessions.session import Plan, Session
from charlstm.sessions.tensorboard import has_tensorboard, require_tensorboard
from charlstm.text.corpus import Corpus, OnRead, TextOptions, split
from charlstm.text.mapped import DIRECTORY, open_corpus
from charlstm.text.unseen import readable
from charlstm.text.vocabulary import Tokens, Vocabulary
from charlstm.training.batches import fit
from charlstm.training.trainer import Snapshot, Trainer

# Bfloat16 is tried from this width on, and taken when it makes a step this many times as fast.
_WIDE = 128
_WORTH_ROUNDING = 1.15
# Steps are timed to about this factor.
_MEASURABLE = 1.05
# Looking for copies in a longer text takes a minute and gigabytes, so it gets no index.
_MOST_INDEXED = 50_000_000
# The recipe's learning rate times this, for weights that have learned already.
_FROM_RATE = 0.3
# What may change when a run is resumed: how long it goes on. All else decides its weights.
_RESUMABLE = frozenset({"epochs", "steps", "minutes", "patience"})


def start_session(
    places: Sequence[str | Path],
    *,
    recipe: str = "auto",
    settings: dict[str, Any] | None = None,
    start_from: str | Path | None = None,
    name: str | None = None,
    root: Path = ROOT,
    prefixes: Sequence[str] = (),
    sample_every: int | None = None,
    encoding: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    tensorboard: bool = False,
    index: bool = True,
    deterministic: bool = False,
    stdin: BinaryIO | None = None,
    on_read: OnRead | None = None,
) -> Session:
    """Prepare a new training; nothing is trained before its `events` are read.

    Args:
        places: the corpus, as `charlstm.text.corpus.read_corpus` takes it.
        recipe: ``"auto"`` or ``"d2l"``.
        settings: what differs from the recipe, by the names of `charlstm.recipes.recipe.Recipe`.
        start_from: the name or path of a run whose weights to begin with instead of random ones.
            Its architecture and text options are kept; its vocabulary grows by the characters
            that are new.
        name: the run's name; from the corpus if ``None``. If taken, it gets the next free number.
        root: where runs live.
        prefixes: what the model continues while it learns; nothing means an empty prefix.
        sample_every: epochs between two samples, 0 for none; a quarter of all if ``None``.
        encoding: of the corpus; detected if ``None``.
        backend: ``"auto"``, ``"scratch"`` or ``"torch"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        threads: for torch, in this process; torch's own choice if ``None``.
        tensorboard: whether to write the figures for TensorBoard as well.
        index: whether the run keeps the text it learns from, compressed, to tell what is copied.
        deterministic: whether the same seed, machine and threads must give the same weights: by
            deterministic algorithms alone, in this process from now on, and with nothing chosen by
            timing.
        stdin: where ``-`` reads.
        on_read: called now and then with the bytes read and the bytes in all.

    Raises:
        CorpusError: the text cannot be read or is too small.
        RecipeError: a setting is out of range, or not that of the run to start from, or the
            training would not fit into memory.
        UnknownCharactersError: a prefix has characters that the training text lacks.
        RunError: the run directory cannot be made, or there is no run to start from.
        MissingLibraryError: TensorBoard is asked for and not installed.
    """
    if name is not None:
        check_name(name)
    settings = dict(settings or {})
    source = None if start_from is None else _Source.open(start_from, root)
    if source is not None:
        settings = source.settle(settings)
    options = named(recipe).override(**_text_settings(settings)).text
    corpus = open_corpus(
        places,
        cache=root / DIRECTORY,
        options=options,
        encoding=encoding,
        stdin=stdin,
        on_read=on_read,
    )

    def wish_for(passes: float | None) -> Recipe:
        found = named(recipe, *corpus.size, backend=backend, passes=passes)
        if source is not None:
            found = found.override(learning_rate=found.learning_rate * _FROM_RATE)
        return found.override(**settings)

    wish = wish_for(settings.get("epochs"))
    if deterministic:
        wish = _repeatable(wish)
        prepare_to_compute_deterministically()
    cut, fitted, notes = _prepare(corpus, wish)
    learned, held_out = corpus.counts(0, cut), len(corpus) - cut
    vocabulary = Vocabulary.build(learned, min_count=fitted.min_count)
    if source is not None:
        vocabulary = source.info.vocabulary.grown(vocabulary, learned)
    if not vocabulary.characters:
        raise CorpusError(
            f"No character appears {fitted.min_count:,} times in the text; lower --min-count."
        )
    if settings.get("patience") and not held_out:
        raise RecipeError(
            "patience needs held-out text: leave --patience out, or hold out a share with "
            "--validation."
        )
    _check_prefixes(prefixes, vocabulary, options)
    if tensorboard:
        require_tensorboard()

    prepare_cpu(threads)
    where = choose_device(device)
    backend = choose_backend(backend, fitted.architecture, where)
    _refuse_what_does_not_fit(fitted, len(vocabulary), corpus, where)
    trainer_for = _maker(corpus, cut, vocabulary, backend, where)
    weights = None if source is None else source.weights()
    fitted, step_seconds, told = _probe(fitted, where, backend, trainer_for)
    if fitted.minutes is not None and settings.get("epochs") is None:
        # Only now is it known how often the text can be read in that time.
        speed = fitted.batch * fitted.window / step_seconds
        wish = wish_for(60 * fitted.minutes * speed / cut)
        _, fitted, notes = _prepare(corpus, wish.override(precision=fitted.precision))
        (step_seconds,) = _time_steps([trainer_for(fitted)])
    notes += told
    if deterministic:
        untried = (
            ", and bfloat16 was not tried" if settings.get("precision") in (None, "auto") else ""
        )
        compute_deterministically()
        free, (step_seconds,) = step_seconds, _time_steps([trainer_for(fitted)])
        times = step_seconds / free
        cost = f"{times:.2f} times as long as" if times > _MEASURABLE else "no longer than"
        notes.append(f"All computation is deterministic: a step takes {cost} without{untried}.")
    if corpus.file_bytes:
        notes.append(
            f"The text is read from {root / DIRECTORY}, where its ids take "
            f"{corpus.file_bytes / 1e9:.1f} GB; what is there can be deleted when no training runs."
        )
    if index and cut > _MOST_INDEXED:
        index = False
        notes.append(
            f"No index is made: with more than {_MOST_INDEXED:,} characters to learn from, looking "
            "for copies would take too long."
        )
    trainer = trainer_for(fitted)
    if weights is not None:
        trainer.begin_from(weights)
    wished = name or name_for(places)
    info = RunInfo(
        recipe=fitted,
        vocabulary=vocabulary,
        sources=corpus.sources,
        places=tuple(str(place) for place in places),
        encoding=encoding,
        corpus_sha256=corpus.sha256,
        training_characters=cut,
        held_out_characters=held_out,
        backend=backend,
        started_from=None if source is None else source.name,
        prefixes=tuple(prefixes),
        sample_every=max(1, fitted.epochs // 4) if sample_every is None else sample_every,
        tensorboard=tensorboard,
        versions=_versions(),
    )
    began = time.monotonic()
    training = corpus.pieces(0, cut) if index else None
    directory = RunDirectory.create(wished, root, info, corpus.pieces(cut), training)
    index_seconds = time.monotonic() - began
    if directory.name != wished:
        notes.append(f"{root / wished} is another run, so this one is called {directory.name}.")
    new = 0 if source is None else len(vocabulary) - len(source.info.vocabulary)
    return _session(
        directory,
        corpus,
        info,
        trainer,
        step_seconds,
        notes=tuple(notes),
        new_characters=new,
        index_bytes=directory.index_bytes,
        index_seconds=index_seconds,
    )


def resume_session(
    run: str | Path | None = None,
    *,
    places: Sequence[str | Path] = (),
    settings: dict[str, Any] | None = None,
    root: Path = ROOT,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    deterministic: bool = False,
    stdin: BinaryIO | None = None,
    on_read: OnRead | None = None,
) -> Session:
    """Resume a training from its last save, or from its beginning if it has none.

    Args:
        run: its name or path; the newest run if ``None``.
        places: the corpus, if it is no longer where the run found it.
        settings: epochs, steps, minutes or patience may be new; whatever else differs is refused.
        root: where runs live.
        backend: ``"auto"`` keeps the run's own, with which it stays the same bit for bit.
        device: as for a new run.
        threads: as for a new run.
        deterministic: as for a new run.
        stdin: where ``-`` reads.
        on_read: as for a new run.

    Raises:
        RunError: there is no such run, or it is damaged.
        CorpusError: the corpus is gone or no longer the same.
        RecipeError: a setting cannot change.
    """
    directory = RunDirectory.find(run, root, trained=False)
    with directory.locked():  # at once, and not after the plan is drawn
        info = directory.read_info()
    if not places and "-" in info.places:
        raise CorpusError(
            f"{directory.path} learned from standard input, which is gone: pipe the same text in "
            f"again, with charlstm train - --resume --name {directory.handle}."
        )
    corpus = open_corpus(
        places or info.places,
        cache=directory.path.parent / DIRECTORY,
        options=info.recipe.text,
        encoding=info.encoding,
        stdin=stdin,
        on_read=on_read,
    )
    if corpus.sha256 != info.corpus_sha256:
        raise CorpusError(
            f"The text of {', '.join(source.name for source in corpus.sources[:3])} is not the one "
            f"that {directory.path} was trained on, so it cannot go on from there. Restore the "
            "text, or train anew without --resume."
        )
    settings = dict(settings or {})
    if settings.get("precision") == "auto":
        del settings["precision"]  # it was chosen when the run began
    before, minutes = info.recipe.minutes, settings.get("minutes")
    if minutes is not None and settings.get("epochs") is None:
        # The epochs of a budget in minutes were set to more than it has time for.
        longer = minutes / before if before else 1.0
        settings["epochs"] = math.ceil(info.recipe.epochs * max(longer, 1.0))
    wish = info.recipe.override(**settings)
    if deterministic:
        _repeatable(wish)
        prepare_to_compute_deterministically()
        compute_deterministically()
    cut, recipe, _ = _prepare(corpus, wish)
    _refuse_changes(directory, info.recipe, recipe)
    if (cut, len(corpus) - cut) != (info.training_characters, info.held_out_characters):
        raise damaged(
            directory.path / "run.json", ValueError("it does not say how its text was split")
        )
    _check_prefixes(info.prefixes, info.vocabulary, recipe.text)
    # Before the trainer takes memory, so that a damaged file is reported at once.
    saved = _read_saved(directory, info) if directory.has_resume else None
    source = None
    if saved is None and info.started_from is not None:
        source = _Source.open(info.started_from, root)

    prepare_cpu(threads)
    where = choose_device(device)
    backend = info.backend if backend == "auto" else backend
    _refuse_what_does_not_fit(recipe, len(info.vocabulary), corpus, where)
    trainer_for = _maker(corpus, cut, info.vocabulary, backend, where)
    trainer = trainer_for(recipe)
    history: list[Report] = []
    samples: list[str] = []
    if saved is not None:
        snapshot, history, samples = saved
        trainer.restore(snapshot)
    elif source is not None:
        trainer.begin_from(source.weights())
    if trainer.step > trainer.total_steps:
        raise RecipeError(
            f"{directory.path} has made {trainer.step:,} steps already, and would have been done "
            f"after {trainer.total_steps:,} with these --epochs or --steps; ask for more."
        )
    notes = []
    if info.tensorboard and not has_tensorboard():
        notes.append("TensorBoard is not installed here any more, so nothing is written for it.")
        info = dataclasses.replace(info, tensorboard=False)
    if trainer.step:
        # It comes from a file and may be anything; the plan divides by it.
        step_seconds = max(trainer.seconds / trainer.step, 1e-9)
    else:
        (step_seconds,) = _time_steps([trainer_for(recipe)])
    info = dataclasses.replace(
        info, recipe=recipe, backend=backend, finished=None, versions=_versions()
    )
    return _session(
        directory,
        corpus,
        info,
        trainer,
        step_seconds,
        notes=tuple(notes),
        resumed_step=trainer.step,
        history=history,
        samples=samples,
    )


def _session(
    directory: RunDirectory,
    corpus: Corpus,
    info: RunInfo,
    trainer: Trainer,
    step_seconds: float,
    *,
    notes: tuple[str, ...] = (),
    new_characters: int = 0,
    resumed_step: int | None = None,
    index_bytes: int | None = None,
    index_seconds: float = 0.0,
    history: Sequence[Report] = (),
    samples: Sequence[str] = (),
) -> Session:
    """Put a session together; its plan is what `info` and the trainer say."""
    plan = Plan(
        directory=directory,
        corpus=corpus,
        vocabulary=info.vocabulary,
        recipe=info.recipe,
        training_characters=info.training_characters,
        held_out_characters=info.held_out_characters,
        backend=info.backend,
        device=trainer.device.type,
        started_from=info.started_from,
        new_characters=new_characters,
        reason=explain(info.recipe, *corpus.size),
        places=info.places,
        notes=notes,
        resumed_step=resumed_step,
        total_steps=trainer.total_steps,
        epoch_steps=trainer.windows.steps,
        step_seconds=step_seconds,
        elapsed=trainer.elapsed,
        index_bytes=index_bytes,
        index_seconds=index_seconds,
    )
    return Session(plan, trainer, info, history=list(history), samples=list(samples))


def _check_prefixes(prefixes: Sequence[str], vocabulary: Vocabulary, options: TextOptions) -> None:
    """Check that the model can continue what it is to continue while it learns.

    Raises:
        UnknownCharactersError: it has never seen some of it.
    """
    for prefix in prefixes:
        readable(
            options.apply(prefix),
            vocabulary,
            "error",
            advice="The training text does not have them either: change --prefix, or leave it out.",
        )


def _maker(
    corpus: Corpus, cut: int, vocabulary: Vocabulary, backend: str, device: torch.device
) -> Callable[[Recipe], Trainer]:
    """Return a function that makes trainers on a corpus that is split at `cut`."""
    training = Tokens(corpus, vocabulary, 0, cut)
    held_out = Tokens(corpus, vocabulary, cut, len(corpus))

    def trainer_for(recipe: Recipe) -> Trainer:
        return Trainer(recipe, training, held_out, len(vocabulary), backend=backend, device=device)

    return trainer_for


def _repeatable(wish: Recipe) -> Recipe:
    """Return a recipe in which nothing is decided by the clock.

    Raises:
        RecipeError: its end is.
    """
    if wish.minutes is not None:
        raise RecipeError(
            "A run that --minutes ends cannot be repeated bit for bit: with --deterministic, give "
            "--epochs or --steps instead."
        )
    return wish.override(precision="float32") if wish.precision == "auto" else wish


def _refuse_what_does_not_fit(
    recipe: Recipe, vocabulary_size: int, corpus: Corpus, device: torch.device
) -> None:
    V = vocabulary_size
    needed = training_bytes(recipe, V) + corpus.memory
    there = machine_bytes()
    if device.type == "cuda":
        there = torch.cuda.get_device_properties(device).total_memory
    if there is not None and needed > there:
        raise RecipeError(
            f"This training would take about {needed / 1e9:,.1f} GB of memory, and there are "
            f"{there / 1e9:,.1f}: with a vocabulary of {V:,} its head has "
            f"{V * recipe.architecture.hidden:,} weights and its batches "
            f"{V * recipe.batch * recipe.window:,} logits. Lower --hidden, --batch or --window, or "
            "make the vocabulary smaller with --min-count."
        )


def _prepare(corpus: Corpus, wish: Recipe) -> tuple[int, Recipe, list[str]]:
    """Split the text and shrink batch and window to it; the notes say what was shrunk."""
    cut = split(len(corpus), wish.validation)
    batch, window = fit(cut, wish.batch, wish.window)
    notes = [
        f"The text is too short for a {name} of {asked:,}, so it is {possible:,}."
        for name, asked, possible in (
            ("batch", wish.batch, batch),
            ("window", wish.window, window),
        )
        if possible < asked
    ]
    return cut, wish.override(batch=batch, window=window), notes


def _probe(
    recipe: Recipe, device: torch.device, backend: str, trainer_for: Callable[[Recipe], Trainer]
) -> tuple[Recipe, float, list[str]]:
    """Replace ``auto`` by the faster precision; return the seconds of a step as well.

    Bfloat16 is not tried on narrow layers, whose time is not in the products, nor on processors
    without the instructions, where it takes several times as long. The trainers are thrown away.
    """
    if recipe.precision != "auto":
        return recipe, _time_steps([trainer_for(recipe)])[0], []
    plain, low = recipe.override(precision="float32"), recipe.override(precision="bfloat16")
    wide = recipe.architecture.hidden >= _WIDE
    if not wide or not may_have_fast_bfloat16(device, backend):
        return plain, _time_steps([trainer_for(plain)])[0], []
    seconds = _time_steps([trainer_for(plain), trainer_for(low)])
    gain = seconds[0] / seconds[1]
    if gain < _WORTH_ROUNDING:
        return (
            plain,
            seconds[0],
            [f"Products stay in float32: bfloat16 makes a step only {gain:.1f} times as fast."],
        )
    return (
        low,
        seconds[1],
        [
            f"Products in bfloat16 make a step {gain:.1f} times as fast on this machine, so they "
            "are used; --precision float32 turns them off."
        ],
    )


def _time_steps(trainers: list[Trainer]) -> list[float]:
    """Return the seconds that a step of each takes: the fastest of three after a warm-up.

    They are timed in turn, so that a moment's load on the machine does not decide between them.
    """
    rounds = [[trainer.time_step() for trainer in trainers] for _ in range(4)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]


@dataclass(frozen=True)
class _Source:
    """The run that a new one starts from."""

    directory: RunDirectory
    info: RunInfo

    @classmethod
    def open(cls, run: str | Path, root: Path) -> "_Source":
        directory = RunDirectory.find(run, root)
        return cls(directory, directory.read_info())

    @property
    def name(self) -> str:
        return str(self.directory.path)

    def weights(self) -> Arrays:
        return self.directory.read_model(self.info)

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` with this run's architecture and text options, which must stay.

        Raises:
            RecipeError: another one is asked for.
        """
        recipe = self.info.recipe
        kept = {
            **dataclasses.asdict(recipe.architecture),
            "normalize": recipe.text.normalize,
            "newline": recipe.text.newline,
        }
        for name, value in kept.items():
            if settings.get(name) not in (None, value):
                option = "--no-normalize" if name == "normalize" else f"--{name}"
                raise RecipeError(
                    f"{self.name} has {name} {value}, and so does whatever starts from it; leave "
                    f"{option} out."
                )
        return {**settings, **kept}


def _text_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings.get(name) for name in ("normalize", "newline", "limit")}


def _refuse_changes(directory: RunDirectory, old: Recipe, new: Recipe) -> None:
    before, after = _flat(dataclasses.asdict(old)), _flat(dataclasses.asdict(new))
    changed = [name for name in before if name not in _RESUMABLE and before[name] != after[name]]
    if changed:
        raise RecipeError(
            f"{directory.path} was trained with another {', '.join(changed)}; a resumed run keeps "
            "its settings. Leave them out, or train anew without --resume."
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Bring the settings of the architecture and of the text up among the recipe's own."""
    inner = [value for value in settings.values() if isinstance(value, dict)]
    outer = {name: value for name, value in settings.items() if not isinstance(value, dict)}
    return {name: value for part in (outer, *inner) for name, value in part.items()}


def _read_saved(directory: RunDirectory, info: RunInfo) -> tuple[Snapshot, list[Report], list[str]]:
    arrays, position = directory.read_resume(info)

    def under(prefix: str) -> Arrays:
        return {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }

    history = [Report.from_json(entry) for entry in position.pop("history")]
    samples = position.pop("samples")
    snapshot = Snapshot(
        weights=under("weights/"),
        best_weights=directory.read_model(info),
        moments=under("moments/"),
        state=under("state/"),
        position=position,
    )
    return snapshot, history, samples


def _versions() -> dict[str, str]:
    libraries = ("charlstm", "torch", "numpy", "safetensors")
    found = {"python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            found[library] = "unknown"
    return found
