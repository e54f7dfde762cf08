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

from charlstm.batches import fit
from charlstm.corpus import Corpus, read_corpus, split
from charlstm.devices import choose_device, may_have_fast_bfloat16, prepare_cpu
from charlstm.errors import CorpusError, RecipeError, RunError
from charlstm.figures import Report
from charlstm.model import choose_backend
from charlstm.prefix import readable
from charlstm.recipes import Recipe, explain, named
from charlstm.run import ROOT, Arrays, RunDirectory, RunInfo, check_name, name_for
from charlstm.session import Plan, Session
from charlstm.tensorboard import has_tensorboard, require_tensorboard
from charlstm.training import Snapshot, Trainer
from charlstm.vocabulary import Vocabulary

# Bfloat16 is tried from this width on, and taken when it makes a step so many times as fast.
_WIDE = 128
_WORTH_ROUNDING = 1.15
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
    stdin: BinaryIO | None = None,
) -> Session:
    """Prepare a new training; nothing is trained before its `events` are read.

    Args:
        places: the corpus, as `charlstm.corpus.read_corpus` takes it.
        recipe: ``"auto"`` or ``"d2l"``.
        settings: what differs from the recipe, by the names of `charlstm.recipes.Recipe`.
        start_from: the name or path of a run whose weights to begin with instead of random ones.
            Its architecture and text options are kept; its vocabulary grows by the characters
            that are new.
        name: the run's name; from the corpus where ``None``. The next free one is taken.
        root: where runs live.
        prefixes: what the model continues while it learns; nothing means an empty prefix.
        sample_every: epochs between two samples, 0 for none; a quarter of all where ``None``.
        encoding: of the corpus; found out where ``None``.
        backend: ``"auto"``, ``"scratch"`` or ``"torch"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        threads: for torch, in this process; torch's own choice where ``None``.
        tensorboard: whether to write the figures for TensorBoard as well.
        index: whether the run keeps the text it learns from, compressed, to tell what is copied.
        stdin: where ``-`` reads.

    Raises:
        CorpusError: the text cannot be read or is too small.
        RecipeError: a setting is out of its range, or not that of the run to start from.
        UnknownCharactersError: a prefix has characters that the training text has not.
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
    corpus = read_corpus(places, options=options, encoding=encoding, stdin=stdin)

    def wish_for(passes: float | None) -> Recipe:
        found = named(recipe, *corpus.size, backend=backend, passes=passes)
        if source is not None:
            found = found.override(learning_rate=found.learning_rate * _FROM_RATE)
        return found.override(**settings)

    wish = wish_for(settings.get("epochs"))
    training, held_out, fitted, notes = _prepare(corpus, wish)
    vocabulary = Vocabulary.build(training, min_count=fitted.min_count)
    if source is not None:
        vocabulary = source.info.vocabulary.grown(vocabulary, training)
    if not vocabulary.characters:
        raise CorpusError(
            f"No character stands {fitted.min_count:,} times in the text; lower --min-count."
        )
    if settings.get("patience") and not held_out:
        raise RecipeError(
            "patience needs held-out text: leave --patience out, or hold out a share with "
            "--validation."
        )
    for prefix in prefixes:
        readable(
            options.apply(prefix),
            vocabulary,
            "error",
            advice="The training text does not have them either: change --prefix, or leave it out.",
        )
    if tensorboard:
        require_tensorboard()

    prepare_cpu(threads)
    where = choose_device(device)
    backend = choose_backend(backend, fitted.architecture, where)

    ids, held_out_ids = vocabulary.encode(training), vocabulary.encode(held_out)

    def trainer_for(recipe: Recipe) -> Trainer:
        return Trainer(
            recipe,
            ids,
            held_out_ids,
            len(vocabulary),
            backend=backend,
            device=where,
        )

    weights = None if source is None else source.weights()
    fitted, step_seconds, told = _probe(fitted, where, backend, trainer_for)
    if fitted.minutes is not None and settings.get("epochs") is None:
        # Only now is it known how often the text can be read in that time.
        speed = fitted.batch * fitted.window / step_seconds
        wish = wish_for(60 * fitted.minutes * speed / len(training))
        _, _, fitted, notes = _prepare(corpus, wish.override(precision=fitted.precision))
        (step_seconds,) = _time_steps([trainer_for(fitted)])
    notes += told
    trainer = trainer_for(fitted)
    if weights is not None:
        trainer.begin_from(weights)
    wished = name or name_for(places)
    directory = RunDirectory.create(wished, root)
    if directory.name != wished:
        notes.append(f"{root / wished} is another run, so this one is called {directory.name}.")
    info = RunInfo(
        recipe=fitted,
        vocabulary=vocabulary,
        sources=corpus.sources,
        places=tuple(str(place) for place in places),
        encoding=encoding,
        corpus_sha256=corpus.sha256,
        training_characters=len(training),
        held_out_characters=len(held_out),
        backend=backend,
        started_from=None if source is None else source.name,
        prefixes=tuple(prefixes),
        sample_every=max(1, fitted.epochs // 4) if sample_every is None else sample_every,
        tensorboard=tensorboard,
        versions=_versions(),
    )
    directory.write_held_out(held_out)
    directory.write_info(info)
    began = time.monotonic()
    index_bytes = directory.write_index(training) if index else None
    index_seconds = time.monotonic() - began
    new = 0 if source is None else len(vocabulary) - len(source.info.vocabulary)
    return _session(
        directory,
        corpus,
        info,
        trainer,
        step_seconds,
        notes=tuple(notes),
        new_characters=new,
        index_bytes=index_bytes,
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
    stdin: BinaryIO | None = None,
) -> Session:
    """Take up a training where its last save left it; see `start_session`.

    Args:
        run: its name or path; the newest run where ``None``.
        places: the corpus, where it is no longer where the run found it.
        settings: epochs, steps, minutes or patience may be new; whatever else differs is refused.
        root: where runs live.
        backend: ``"auto"`` keeps the run's own, with which it stays the same bit for bit.
        device: as for a new run.
        threads: as for a new run.
        stdin: where ``-`` reads.

    Raises:
        RunError: there is no such run, or nothing was saved yet.
        CorpusError: the corpus is gone or no longer the same.
        RecipeError: a setting cannot change.
    """
    directory = RunDirectory.find(run, root)
    with directory.locked():  # at once, and not after the plan is drawn
        info = directory.read_info()
    if not places and "-" in info.places:
        raise CorpusError(
            f"{directory.path} learned from standard input, which is gone: pipe the same text in "
            f"again, with charlstm train - --resume --name {directory.name}."
        )
    corpus = read_corpus(
        places or info.places, options=info.recipe.text, encoding=info.encoding, stdin=stdin
    )
    if corpus.sha256 != info.corpus_sha256:
        raise CorpusError(
            f"The text of {', '.join(map(str, places or info.places))} is not the one that "
            f"{directory.path} was trained on, so it cannot go on from there. Bring the text back, "
            "or train anew without --resume."
        )
    settings = dict(settings or {})
    if settings.get("precision") == "auto":
        del settings["precision"]  # it was chosen when the run began
    before, minutes = info.recipe.minutes, settings.get("minutes")
    if minutes is not None and settings.get("epochs") is None:
        # The epochs of a budget in minutes were made to be more than it has time for.
        longer = minutes / before if before else 1.0
        settings["epochs"] = math.ceil(info.recipe.epochs * max(longer, 1.0))
    wish = info.recipe.override(**settings)
    training, held_out, recipe, _ = _prepare(corpus, wish)
    _refuse_changes(directory, info.recipe, recipe)
    # Before the trainer takes memory, so that a damaged file is told at once.
    snapshot, history, samples = _read_snapshot(directory, info)

    prepare_cpu(threads)
    where = choose_device(device)
    backend = info.backend if backend == "auto" else backend
    ids, held_out_ids = info.vocabulary.encode(training), info.vocabulary.encode(held_out)

    def trainer_for(recipe: Recipe) -> Trainer:
        return Trainer(
            recipe, ids, held_out_ids, len(info.vocabulary), backend=backend, device=where
        )

    trainer = trainer_for(recipe)
    try:
        trainer.restore(snapshot)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(directory, error) from None
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
        step_seconds = trainer.seconds / trainer.step
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


def _prepare(corpus: Corpus, wish: Recipe) -> tuple[str, str, Recipe, list[str]]:
    """Split the text and shrink batch and window to it; the notes say what was shrunk."""
    training, held_out = split(corpus.text, wish.validation)
    batch, window = fit(len(training), wish.batch, wish.window)
    notes = [
        f"The text is too short for a {name} of {asked:,}, so it is {possible:,}."
        for name, asked, possible in (
            ("batch", wish.batch, batch),
            ("window", wish.window, window),
        )
        if possible < asked
    ]
    return training, held_out, wish.override(batch=batch, window=window), notes


def _probe(
    recipe: Recipe, device: torch.device, backend: str, trainer_for: Callable[[Recipe], Trainer]
) -> tuple[Recipe, float, list[str]]:
    """Put the faster precision in the place of ``auto``; return the seconds of a step as well.

    Narrow layers are not tried in bfloat16: their time is not in the products. Nor are processors
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
        """Return `settings` with this run's architecture and way with text, which must stay.

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
                    f"{self.name} has {name} {value}, and so has whatever starts from it; leave "
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


def _read_snapshot(
    directory: RunDirectory, info: RunInfo
) -> tuple[Snapshot, list[Report], list[str]]:
    arrays, position = directory.read_resume()

    def under(prefix: str) -> Arrays:
        return {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }

    try:
        history = [Report.from_json(entry) for entry in position.pop("history")]
        samples = [str(sample) for sample in position.pop("samples")]
        snapshot = Snapshot(
            weights=under("weights/"),
            best_weights=directory.read_model(info),
            moments=under("moments/"),
            state=under("state/"),
            position=position,
        )
    except (KeyError, TypeError) as error:
        raise _damaged(directory, error) from None
    return snapshot, history, samples


def _damaged(directory: RunDirectory, error: Exception) -> RunError:
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return RunError(
        f"{directory.path / 'resume.safetensors'} is damaged: {what}. The model itself still opens "
        "in generate and eval."
    )


def _versions() -> dict[str, str]:
    libraries = ("charlstm", "torch", "numpy", "safetensors")
    found = {"python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            found[library] = "unknown"
    return found
