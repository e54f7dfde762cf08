"""The run directory: everything that a training leaves, in files that are data and nothing else.

Every file is written beside its place, flushed to the disk and renamed, so that whoever looks
finds the old file or the new one and never a part. ``resume.safetensors`` holds the tensors and
the counters together, because two files could not be replaced in one moment.
"""

import bz2
import contextlib
import glob
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save as to_safetensors

from charlstm.corpus import Source
from charlstm.errors import CharLSTMError, RunError
from charlstm.figures import Report, finite
from charlstm.recipes import Recipe, recipe_from_json, recipe_to_json
from charlstm.vocabulary import Vocabulary

FORMAT = 2
"""The version of the formats below; a directory with another one is refused."""

ROOT = Path("checkpoints")
"""Where runs live unless told otherwise."""

_ADVICE = "Copy the run from where it is whole, or train again."

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RunInfo:
    """What ``run.json`` holds.

    Attributes:
        recipe: architecture, hyperparameters and text options.
        vocabulary: with the counts of the training text.
        sources: the corpus's files as they were read.
        places: what was given to ``train``: where a resume looks for the corpus.
        encoding: the encoding that was asked for, if one was.
        corpus_sha256: of the normalised text, held-out part included.
        training_characters: how many were learned from.
        held_out_characters: how many were not.
        backend: ``"scratch"`` or ``"torch"``: what trained it; both can open it.
        started_from: the path of the run whose weights it began with, if any.
        prefixes: the prefixes of the samples written during training.
        sample_every: epochs between two samples; 0 for none.
        tensorboard: whether its figures are written for TensorBoard as well.
        best: the report with the lowest held-out loss, if any was made.
        last: the newest report.
        finished: why training ended, or ``None`` while it has not.
        versions: of Python and of the libraries that wrote this.
        saved: when it was written, in seconds since 1970.
    """

    recipe: Recipe
    vocabulary: Vocabulary
    sources: tuple[Source, ...]
    places: tuple[str, ...]
    encoding: str | None
    corpus_sha256: str
    training_characters: int
    held_out_characters: int
    backend: str
    started_from: str | None = None
    prefixes: tuple[str, ...] = ()
    sample_every: int = 0
    tensorboard: bool = False
    best: Report | None = None
    last: Report | None = None
    finished: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    saved: float = 0.0


class RunDirectory:
    """One run's directory; `create` makes it, `find` looks it up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The directory's name, by which ``--run`` and ``--name`` know the run."""
        return self.path.name

    @classmethod
    def create(cls, name: str, root: Path = ROOT) -> "RunDirectory":
        """Make the directory `name` below `root`, or ``name-2``, ``name-3``: the next free one.

        Raises:
            RunError: the name could leave `root`, or the directory cannot be made.
        """
        check_name(name)
        number = 1
        while True:
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
                return cls(path)
            except FileExistsError:
                if not root.is_dir():
                    raise RunError(
                        f"{root} is not a directory, so no run can live there."
                    ) from None
                number += 1
            except OSError as error:
                raise RunError(f"{path} cannot be made: {error.strerror}.") from None

    @classmethod
    def find(cls, run: str | Path | None = None, root: Path = ROOT) -> "RunDirectory":
        """Return the run called `run`, or at that path; the newest one where `run` is ``None``.

        Raises:
            RunError: there is none.
        """
        if run is not None:
            for path in (root / run, Path(run)):
                if os.path.isfile(path / "run.json"):  # noqa: PTH113, whatever the name is
                    return cls(path)
            raise RunError(f"There is no run called {run}{_known(root)}.")
        runs = [(_saved(path), str(path), path) for path in root.glob("*/run.json")]
        ready = [found for found in runs if (found[2].parent / "model.safetensors").is_file()]
        if not ready:
            raise RunError(
                f"There is no trained model in {root}{os.sep} yet: train one with "
                "charlstm train CORPUS, or name a run with --run."
            )
        return cls(max(ready)[2].parent)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from training into this directory; the lock dies with the process.

        Raises:
            RunError: somebody trains into it, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise RunError(
                f"Another training goes on in {self.path}: wait until it has ended, or stop it."
            ) from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}.") from None
        try:
            yield
        finally:
            lock.release()

    def write_info(self, info: RunInfo) -> None:
        """Write ``run.json``."""
        value = {
            "format": FORMAT,
            "saved": time.time(),
            "finished": info.finished,
            "backend": info.backend,
            "started_from": info.started_from,
            "tensorboard": info.tensorboard,
            "recipe": recipe_to_json(info.recipe),
            "corpus": {
                "places": list(info.places),
                "encoding": info.encoding,
                "sha256": info.corpus_sha256,
                "training_characters": info.training_characters,
                "held_out_characters": info.held_out_characters,
                "sources": [vars(source) for source in info.sources],
            },
            "samples": {"prefixes": list(info.prefixes), "every": info.sample_every},
            "best": info.best and info.best.to_json(),
            "last": info.last and info.last.to_json(),
            "versions": info.versions,
            "vocabulary": {
                "characters": info.vocabulary.characters,
                "counts": list(info.vocabulary.counts),
            },
        }
        self._write("run.json", _json(value, indent=1))

    def read_info(self) -> RunInfo:
        """Read and check ``run.json``.

        Raises:
            RunError: it is missing, damaged, or of a format this version does not know.
        """
        path = self.path / "run.json"
        value = _parse(path, self._read("run.json"))
        if not isinstance(value, dict):
            raise RunError(f"{path} is damaged: it does not hold an object. {_ADVICE}")
        if value.get("format") != FORMAT:
            raise RunError(
                f"{path} has format {value.get('format')!r}; this version of charlstm reads format "
                f"{FORMAT}. Use the version of charlstm that wrote it."
            )
        try:
            return _info(value)
        except (KeyError, TypeError, ValueError, OverflowError, CharLSTMError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{path} is damaged: {what.rstrip('.')}. {_ADVICE}") from None

    def write_model(self, weights: Arrays) -> None:
        """Write ``model.safetensors``."""
        self._write("model.safetensors", to_safetensors(weights, {"charlstm": str(FORMAT)}))

    def read_model(self, info: RunInfo) -> Arrays:
        """Read the weights, float32, with the shapes that `info` asks for.

        Raises:
            RunError: the file is missing, damaged or of another shape.
        """
        shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
        arrays, _ = self._read_tensors("model.safetensors")
        _check_shapes(self.path / "model.safetensors", arrays, shapes)
        return arrays

    def write_resume(self, arrays: Arrays, position: dict[str, Any]) -> None:
        """Write ``resume.safetensors``: the tensors, and `position` in the same file."""
        metadata = {"charlstm": str(FORMAT), "position": json.dumps(position)}
        self._write("resume.safetensors", to_safetensors(arrays, metadata))

    def read_resume(self) -> tuple[Arrays, dict[str, Any]]:
        """Return what `write_resume` wrote.

        Raises:
            RunError: it is missing or damaged.
        """
        path = self.path / "resume.safetensors"
        if not path.is_file():
            raise RunError(
                f"{self.path} was stopped before its first save, so there is nothing to resume; "
                "train again without --resume."
            )
        arrays, metadata = self._read_tensors("resume.safetensors")
        position = _parse(path, metadata.get("position", "").encode())
        if not isinstance(position, dict):
            raise RunError(f"{path} is damaged: it does not say where training stood. {_ADVICE}")
        return arrays, position

    def write_held_out(self, text: str) -> None:
        """Write ``heldout.txt``."""
        self._write("heldout.txt", text.encode())

    def read_held_out(self) -> str:
        """Return the held-out text, empty when nothing was held out."""
        try:
            return self._read("heldout.txt").decode()
        except UnicodeDecodeError as error:
            raise RunError(
                f"{self.path / 'heldout.txt'} is damaged: byte {error.start:,} is not UTF-8. "
                f"{_ADVICE}"
            ) from None

    def write_index(self, training_text: str) -> int:
        """Write ``training.txt.bz2``, in which copies are looked for; return its size in bytes.

        The text itself, compressed, is the smallest index that answers for passages of every
        length and says where they stand: two to four tenths of the text, where hashes of its
        n-grams, of one length alone and at ten bits each, take more than an English text.
        """
        data = bz2.compress(training_text.encode())
        self._write("training.txt.bz2", data)
        return len(data)

    @property
    def has_index(self) -> bool:
        """Whether there is an index to read."""
        return (self.path / "training.txt.bz2").is_file()

    def read_index(self, info: RunInfo) -> str | None:
        """Return the text that the run learned from; ``None`` where it keeps no index.

        Raises:
            RunError: the index is damaged.
        """
        if not self.has_index:
            return None
        path = self.path / "training.txt.bz2"
        packed = self._read("training.txt.bz2")
        # No character has more than four bytes, so a file that holds more is not unpacked further.
        reader = bz2.BZ2Decompressor()
        try:
            data = reader.decompress(packed, max_length=4 * info.training_characters + 1)
            text = data.decode()
        except (OSError, EOFError, UnicodeDecodeError):
            data, text = b"", ""
        sound = reader.eof and len(text) == info.training_characters
        if sound and (self.path / "heldout.txt").is_file():
            # With the held-out text behind it, it is the whole corpus.
            whole = hashlib.sha256(data + self._read("heldout.txt")).hexdigest()
            sound = whole == info.corpus_sha256
        if not sound:
            raise RunError(
                f"{path} is damaged: it does not hold the text that the run learned from. Without "
                "the file the run works as one made with --no-index."
            )
        return text

    def write_history(self, reports: Iterable[Report]) -> None:
        """Write ``history.jsonl``, one report a line."""
        lines = [json.dumps(finite(report.to_json())) + "\n" for report in reports]
        self._write("history.jsonl", "".join(lines).encode())

    def read_history(self) -> list[Report]:
        """Return what `write_history` wrote.

        Raises:
            RunError: it is missing or damaged.
        """
        path = self.path / "history.jsonl"
        lines = self._read("history.jsonl").splitlines()
        try:
            return [Report.from_json(_parse(path, line)) for line in lines]  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged: {error}. {_ADVICE}") from None

    def write_samples(self, samples: Iterable[str]) -> None:
        """Write ``samples.txt``."""
        self._write("samples.txt", "\n".join(samples).encode())

    def write_curve(self, svg: bytes) -> None:
        """Write ``curve.svg``."""
        self._write("curve.svg", svg)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise RunError(
                f"{self.path / name} cannot be read: {error.strerror}. {_ADVICE}"
            ) from None

    def _read_tensors(self, name: str) -> tuple[Arrays, dict[str, str]]:
        from safetensors import safe_open

        path = self.path / name
        try:
            with safe_open(str(path), framework="numpy") as file:
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                return arrays, file.metadata() or {}
        except (OSError, SafetensorError, TypeError) as error:  # TypeError: not a type of NumPy's
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{path} cannot be read: {reason}. {_ADVICE}") from None

    def _write(self, name: str, data: bytes) -> None:
        write_whole(self.path / name, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, flush it to the disk and rename it.

    Raises:
        RunError: it cannot be written; what was there before stands.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise RunError(
            f"{path} cannot be written: {error.strerror}. What was saved before stands."
        ) from None


def name_for(places: Iterable[str | Path]) -> str:
    """Return a run's name from the first place its corpus came from."""
    first = str(next(iter(places), "-"))
    path = Path(first)
    if glob.has_magic(path.name) and not os.path.lexists(path):
        path = path.parent
    stem = path.resolve().name if first != "-" else "stdin"
    stem = re.sub(r"(\.(txt|gz|zip))+$", "", stem, flags=re.IGNORECASE)
    # Whatever a shell, a file system or a reader could trip over becomes one underscore.
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[:100] or "run"


def check_name(name: str) -> None:
    """Check that a run can have this name, and stays below its root with it.

    Raises:
        RunError: it cannot.
    """
    if not name or name.startswith(".") or not re.fullmatch(r"[\w .-]{1,120}", name):
        raise RunError(
            f"A run cannot be called {name!r}: use letters, digits, spaces, '-', '_' and '.', and "
            "do not begin with a dot."
        )


def _known(root: Path) -> str:
    names = sorted(path.parent.name for path in root.glob("*/run.json"))
    return f"; {root} has {', '.join(names)}" if names else f", and {root} has none at all"


def _saved(path: Path) -> float:
    """Return when a run was saved; a damaged one counts as the oldest."""
    try:
        saved = json.loads(path.read_bytes())["saved"]
        return float(saved) if math.isfinite(saved) else 0.0
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0


def _parse(path: Path, data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise RunError(f"{path} is damaged: it is not valid JSON. {_ADVICE}") from None


def _json(value: object, indent: int | None = None) -> bytes:
    return (json.dumps(finite(value), ensure_ascii=True, indent=indent) + "\n").encode()


def _typed(value: dict[str, Any], name: str, *kinds: type) -> Any:
    found = value[name]
    if type(found) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {expected}, not {type(found).__name__}.")
    return found


def _strings(value: dict[str, Any], name: str) -> tuple[str, ...]:
    found = _typed(value, name, list)
    if not all(isinstance(entry, str) for entry in found):
        raise TypeError(f"{name} must hold text.")
    return tuple(found)


def _report(value: dict[str, Any], name: str) -> Report | None:
    found = _typed(value, name, dict, type(None))
    return None if found is None else Report.from_json(found)


def _info(value: dict[str, Any]) -> RunInfo:
    corpus = _typed(value, "corpus", dict)
    samples = _typed(value, "samples", dict)
    vocabulary = _typed(value, "vocabulary", dict)
    counts = _typed(vocabulary, "counts", list)
    if not all(type(count) is int for count in counts):
        raise TypeError("counts must be whole numbers.")
    return RunInfo(
        recipe=recipe_from_json(value["recipe"]),
        vocabulary=Vocabulary(_typed(vocabulary, "characters", str), counts),
        sources=tuple(
            Source(
                _typed(source, "name", str),
                _typed(source, "encoding", str),
                _typed(source, "characters", int),
                _typed(source, "sha256", str),
            )
            for source in _typed(corpus, "sources", list)
        ),
        places=_strings(corpus, "places"),
        encoding=_typed(corpus, "encoding", str, type(None)),
        corpus_sha256=_typed(corpus, "sha256", str),
        training_characters=_typed(corpus, "training_characters", int),
        held_out_characters=_typed(corpus, "held_out_characters", int),
        backend=_typed(value, "backend", str),
        started_from=_typed(value, "started_from", str, type(None)),
        prefixes=_strings(samples, "prefixes"),
        sample_every=_typed(samples, "every", int),
        tensorboard=_typed(value, "tensorboard", bool),
        best=_report(value, "best"),
        last=_report(value, "last"),
        finished=_typed(value, "finished", str, type(None)),
        versions=_typed(value, "versions", dict),
        saved=float(_typed(value, "saved", float, int)),
    )


def _check_shapes(path: Path, arrays: Arrays, shapes: dict[str, tuple[int, ...]]) -> None:
    if arrays.keys() != shapes.keys():
        odd = ", ".join(sorted(arrays.keys() ^ shapes.keys()))
        raise RunError(
            f"{path} does not fit its run.json: {odd} should not, or should, be there. {_ADVICE}"
        )
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise RunError(
                f"{path} does not fit its run.json: {name} is {arrays[name].dtype} "
                f"{list(arrays[name].shape)}, expected float32 {list(shape)}. {_ADVICE}"
            )
