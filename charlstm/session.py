"""A training from the corpus to the run directory: what ``charlstm train`` does, without a screen.

A session reads the text, fits the recipe to it, makes the run directory, trains, lets the model
write now and then, and saves. It yields events; whoever likes may draw them.
"""

import dataclasses
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from charlstm.batches import fit
from charlstm.corpus import Corpus, read_corpus, split
from charlstm.curve import draw_curve
from charlstm.devices import choose_device, may_have_fast_bfloat16, prepare_cpu
from charlstm.errors import CorpusError, RecipeError, RunError
from charlstm.figures import Report
from charlstm.model import choose_backend
from charlstm.network import Network
from charlstm.prefix import readable
from charlstm.recipes import Recipe, named
from charlstm.run import ROOT, Arrays, RunDirectory, RunInfo, name_for
from charlstm.sampling import Sampler
from charlstm.training import (
    EpochEnd,
    Finished,
    Snapshot,
    Stopped,
    Trainer,
    TrainerEvent,
)
from charlstm.vocabulary import Vocabulary

_SAVE_EVERY_SECONDS = 15.0
_SAMPLE_CHARACTERS = 50
# Bfloat16 is tried from this width on, and taken when it makes a step so many times as fast.
_WIDE = 128
_WORTH_ROUNDING = 1.15
# What may change when a run is resumed: how long it goes on. All else decides its weights.
_RESUMABLE = frozenset({"epochs", "steps", "patience"})


@dataclass(frozen=True)
class Sample:
    """What the model wrote after an epoch."""

    epoch: int
    prefix: str
    text: str


@dataclass(frozen=True)
class Saved:
    """The run directory holds everything up to this step."""

    step: int


Event = TrainerEvent | Sample | Saved


@dataclass(frozen=True)
class Plan:
    """What a session is about to do: the report before training.

    Attributes:
        directory: the run directory.
        corpus: the text and its sources.
        vocabulary: of the training part.
        recipe: as it will be followed.
        training_characters: how many are learned from.
        held_out_characters: how many are only measured.
        backend: ``"scratch"`` or ``"torch"``.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        places: where the corpus was read from.
        notes: sentences about what differs from what was asked for.
        resumed_step: where a resumed run goes on; ``None`` for a new one.
        total_steps: when it will be done.
    """

    directory: RunDirectory
    corpus: Corpus
    vocabulary: Vocabulary
    recipe: Recipe
    training_characters: int
    held_out_characters: int
    backend: str
    device: str
    places: tuple[str, ...]
    notes: tuple[str, ...]
    resumed_step: int | None
    total_steps: int


class Session:
    """One training; made by `start_session` or `resume_session`."""

    def __init__(
        self,
        plan: Plan,
        trainer: Trainer,
        info: RunInfo,
        *,
        history: list[Report],
        samples: list[str],
    ) -> None:
        self.plan = plan
        self.trainer = trainer
        self._info = info
        self._history = history
        self._samples = samples
        self._saved_at = time.monotonic()
        self._saved_best_loss: float | None = None

    @property
    def best(self) -> Report | None:
        """The report with the lowest held-out loss so far; ``None`` when nothing is held out."""
        measured = [report for report in self._history if report.validation_loss is not None]
        return min(measured, key=lambda report: report.validation_loss or 0.0, default=None)

    @property
    def last(self) -> Report | None:
        """The newest report."""
        return self._history[-1] if self._history else None

    def events(self) -> Iterator[Event]:
        """Train until the end or until `stop`; save now and then, and at the end.

        Raises:
            TrainingError: training diverged.
            RunError: the run directory cannot be written.
        """
        for event in self.trainer.run():
            # Recorded first: whoever saves when told of an epoch saves that epoch as well.
            if isinstance(event, EpochEnd):
                self._history.append(event.report)
            elif isinstance(event, Finished):
                self._info = dataclasses.replace(self._info, finished=event.reason)
            yield event
            if isinstance(event, EpochEnd):
                yield from self._write_samples(event.report.epoch)
            ended = isinstance(event, Finished | Stopped)
            if ended or time.monotonic() - self._saved_at > _SAVE_EVERY_SECONDS:
                self.save()
                yield Saved(self.trainer.step)
            if ended and self._history:
                self.plan.directory.write_curve(draw_curve(self._history))

    def stop(self) -> None:
        """Ask `events` to finish the step under way, save and end."""
        self.trainer.stop()

    def save(self) -> None:
        """Write everything that the run directory holds, but for the curve.

        Raises:
            RunError: something cannot be written; what was saved before stands.
        """
        directory, trainer = self.plan.directory, self.trainer
        snapshot = trainer.snapshot()
        if trainer.best_loss != self._saved_best_loss or not trainer.best_epoch:
            directory.write_model(snapshot.best_weights)
            self._saved_best_loss = trainer.best_loss
        directory.write_history(self._history)
        directory.write_samples(self._samples)
        self._info = dataclasses.replace(self._info, best=self.best, last=self.last)
        directory.write_info(self._info)
        # Last, because with it the save has happened: a resume starts from this file.
        directory.write_resume(
            {
                **{f"weights/{name}": array for name, array in snapshot.weights.items()},
                **{f"moments/{name}": array for name, array in snapshot.moments.items()},
                **{f"state/{name}": array for name, array in snapshot.state.items()},
            },
            {
                **snapshot.position,
                "history": [report.to_json() for report in self._history],
                "samples": self._samples,
            },
        )
        self._saved_at = time.monotonic()

    def _write_samples(self, epoch: int) -> Iterator[Sample]:
        every = self._info.sample_every
        if not every or epoch % every:
            return
        recipe, vocabulary = self.plan.recipe, self.plan.vocabulary
        network = Network(recipe.architecture, self.trainer.weights(), len(vocabulary))
        sampler = Sampler(network, vocabulary, recipe.text)
        for prefix in self._info.prefixes or ("",):
            text = sampler.generate(prefix, length=_SAMPLE_CHARACTERS, seed=recipe.seed + epoch)
            self._samples.append(f"--- epoch {epoch}, step {self.trainer.step}\n{text}\n")
            yield Sample(epoch, prefix, text)


def start_session(
    places: Sequence[str | Path],
    *,
    recipe: str = "auto",
    settings: dict[str, Any] | None = None,
    name: str | None = None,
    root: Path = ROOT,
    prefixes: Sequence[str] = (),
    sample_every: int | None = None,
    encoding: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    stdin: BinaryIO | None = None,
) -> Session:
    """Prepare a new training; nothing is trained before its `events` are read.

    Args:
        places: the corpus, as `charlstm.corpus.read_corpus` takes it.
        recipe: ``"auto"`` or ``"d2l"``.
        settings: what differs from the recipe, by the names of `charlstm.recipes.Recipe`.
        name: the run's name; from the corpus where ``None``. The next free one is taken.
        root: where runs live.
        prefixes: what the model continues while it learns; nothing means an empty prefix.
        sample_every: epochs between two samples, 0 for none; a quarter of all where ``None``.
        encoding: of the corpus; found out where ``None``.
        backend: ``"auto"``, ``"scratch"`` or ``"torch"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        threads: for torch, in this process; torch's own choice where ``None``.
        stdin: where ``-`` reads.

    Raises:
        CorpusError: the text cannot be read or is too small.
        RecipeError: a setting is out of its range.
        UnknownCharactersError: a prefix has characters that the training text has not.
        RunError: the run directory cannot be made.
    """
    settings = settings or {}
    options = named(recipe, 0).override(**_text_settings(settings)).text
    corpus = read_corpus(places, options=options, encoding=encoding, stdin=stdin)
    wish = named(recipe, len(corpus.text), backend).override(**settings)
    training, held_out, fitted, notes = _prepare(corpus, wish)
    vocabulary = Vocabulary.build(training, min_count=fitted.min_count)
    if not vocabulary.characters:
        raise CorpusError(
            f"No character stands {fitted.min_count:,} times in the text; lower --min-count."
        )
    if settings.get("patience") is not None and not held_out:
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

    fitted, told = _choose_precision(fitted, where, backend, trainer_for)
    notes += told
    trainer = trainer_for(fitted)
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
        prefixes=tuple(prefixes),
        sample_every=max(1, fitted.epochs // 4) if sample_every is None else sample_every,
        versions=_versions(),
    )
    directory.write_held_out(held_out)
    directory.write_info(info)
    return _session(directory, corpus, info, trainer, notes=tuple(notes))


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
        settings: epochs, steps or patience may be new; whatever else differs is refused.
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
    wish = info.recipe.override(**settings)
    training, held_out, recipe, _ = _prepare(corpus, wish)
    _refuse_changes(directory, info.recipe, recipe)
    # Before the trainer takes memory, so that a damaged file is told at once.
    snapshot, history, samples = _read_snapshot(directory, info)

    prepare_cpu(threads)
    where = choose_device(device)
    backend = info.backend if backend == "auto" else backend
    trainer = Trainer(
        recipe,
        info.vocabulary.encode(training),
        info.vocabulary.encode(held_out),
        len(info.vocabulary),
        backend=backend,
        device=where,
    )
    try:
        trainer.restore(snapshot)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(directory, error) from None
    info = dataclasses.replace(
        info, recipe=recipe, backend=backend, finished=None, versions=_versions()
    )
    return _session(
        directory,
        corpus,
        info,
        trainer,
        resumed_step=trainer.step,
        history=history,
        samples=samples,
    )


def _session(
    directory: RunDirectory,
    corpus: Corpus,
    info: RunInfo,
    trainer: Trainer,
    *,
    notes: tuple[str, ...] = (),
    resumed_step: int | None = None,
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
        places=info.places,
        notes=notes,
        resumed_step=resumed_step,
        total_steps=trainer.total_steps,
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


def _choose_precision(
    recipe: Recipe, device: torch.device, backend: str, trainer_for: Callable[[Recipe], Trainer]
) -> tuple[Recipe, list[str]]:
    """Put the faster precision in the place of ``auto``; the note says what was measured.

    Narrow layers are not tried: their time is not in the products. Nor are processors without
    the instructions, where bfloat16 takes several times as long.
    """
    if recipe.precision != "auto":
        return recipe, []
    plain, low = recipe.override(precision="float32"), recipe.override(precision="bfloat16")
    wide = recipe.architecture.hidden >= _WIDE
    if not wide or not may_have_fast_bfloat16(device, backend):
        return plain, []
    trainers = (trainer_for(plain), trainer_for(low))
    seconds: tuple[list[float], list[float]] = ([], [])
    # In turn, so that a moment's load on the machine does not decide; the first is a warm-up.
    for _ in range(4):
        for trainer, times in zip(trainers, seconds, strict=True):
            times.append(trainer.time_pass())
    gain = min(seconds[0][1:]) / min(seconds[1][1:])
    if gain < _WORTH_ROUNDING:
        return plain, [
            f"Products stay in float32: bfloat16 makes a step only {gain:.1f} times as fast."
        ]
    return low, [
        f"Products in bfloat16 make a step {gain:.1f} times as fast on this machine, so they are "
        "used; --precision float32 turns them off."
    ]


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
