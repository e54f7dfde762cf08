"""The run directory: everything that a training leaves, in files that are data and nothing else.

A run may come from a stranger. Nothing in it is executed; a file is looked at before it is opened
and measured before it is read, and every value is checked against what it must be, so that the
worst that a file can do is to be refused.

Every file is written beside its place, flushed to the disk and renamed, so that whoever looks
finds the old file or the new one and never a part. ``resume.safetensors`` holds the tensors and
the counters together, because two files could not be replaced in one moment.
"""

import bz2
import codecs
import contextlib
import errno
import glob
import hashlib
import itertools
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from safetensors.numpy import save as to_safetensors

from charlstm.corpus import Source
from charlstm.errors import CharLSTMError, RunError
from charlstm.figures import ENDLESS, LARGEST, Report, finite
from charlstm.memory import machine_bytes
from charlstm.recipes import (
    BACKENDS,
    Recipe,
    check_real,
    check_whole,
    recipe_from_json,
    recipe_to_json,
    shown,
)
from charlstm.vocabulary import Vocabulary

FORMAT = 2
"""The version of the formats below; a directory with another one is refused."""

ROOT = Path("checkpoints")
"""Where runs live unless told otherwise."""

# What describes is JSON, which may take more than twenty times its size in memory once it is read.
# The largest vocabulary that there can be has room in this, or the reports of 90,000 epochs.
_LARGEST_JSON = 32 << 20
# So much memory there is everywhere; finding out how much there is takes a moment.
_SURELY_THERE = 64 << 20
# Nothing that was learned is as large, and whatever is smaller can be multiplied: a product of two
# matrices of such numbers is still far from what a float32 can hold.
_LARGEST_WEIGHT = 1e15

# Text is encoded and compressed so many characters at a time, so that it never stands there twice.
_PIECE = 1 << 20

# File systems keep 255 bytes; a number may come behind.
_LONGEST_NAME = 240
# Systems know no longer paths than this.
_LONGEST_PATH = 4096
# Names that Windows has for devices, also with something behind a dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE)

_ADVICE = "Copy the run from where it is whole, or train again."

Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]


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
    def create(
        cls,
        name: str,
        root: Path = ROOT,
        info: RunInfo | None = None,
        held_out: str | Iterable[str] = (),
        training: str | Iterable[str] | None = None,
    ) -> "RunDirectory":
        """Make the directory `name` below `root`, or ``name-2``, ``name-3``: the next free one.

        With `info` it appears with all that is known before training, or not at all: whoever is
        killed half-way leaves nothing that could be taken for a run.

        Args:
            name: as `check_name` allows it.
            root: where runs live; made where it is not there.
            info: what is known of the run; the directory stays empty where ``None``.
            held_out: the held-out text that goes with `info`, whole or in pieces.
            training: the text that is learned from, for the index; no index where ``None``.

        Raises:
            RunError: the name could leave `root`, or the directory cannot be made.
        """
        check_name(name)
        try:
            root.mkdir(parents=True, exist_ok=True)
            if info is None:
                return cls(_claimed(root / name, lambda path: path.mkdir()))
            # Not by tempfile, which would leave the run readable by its owner alone.
            hidden = root / f".{secrets.token_hex(8)}"
            hidden.mkdir()
            try:
                _replace(hidden / "heldout.txt", _utf8(held_out))
                if training is not None:
                    _replace(hidden / "training.txt.bz2", _packed(_utf8(training)))
                _replace(hidden / "run.json", [_info_to_json(info)])
                return cls(_claimed(root / name, hidden.rename))
            except BaseException:
                shutil.rmtree(hidden, ignore_errors=True)
                raise
        except OSError as error:
            if os.path.lexists(root) and not root.is_dir():
                raise RunError(f"{root} is not a directory, so no run can live there.") from None
            raise RunError(f"{root / name} cannot be made: {error.strerror}.") from None

    @classmethod
    def find(
        cls, run: str | Path | None = None, root: Path = ROOT, *, trained: bool = True
    ) -> "RunDirectory":
        """Return a run.

        Args:
            run: its name below `root`, or its path; the newest one where ``None``.
            root: where runs live.
            trained: whether the newest one must have a model already.

        Raises:
            RunError: there is none.
        """
        if run is not None:
            for path in (root / run, Path(run)):
                if _is_file(path / "run.json"):
                    return cls(path)
            told = str(run) if len(str(run)) <= 500 else shown(str(run))
            raise RunError(f"There is no run called {told}{_known(root)}.")
        runs = [(_saved(path), str(path), path) for path in _runs(root)]
        if trained:
            runs = [found for found in runs if _is_file(found[2] / "model.safetensors")]
        if not runs:
            raise RunError(
                f"There is no trained model in {root}{os.sep} yet: train one with "
                "charlstm train CORPUS, or name a run with --run."
            )
        return cls(max(runs)[2])

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from training into this directory; the lock dies with the process.

        Raises:
            RunError: somebody trains into it, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        if not self.path.is_dir():  # which the lock would make
            raise RunError(f"{self.path} was removed while it was in use.")
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
        self._write("run.json", [_info_to_json(info)])

    def read_info(self) -> RunInfo:
        """Read and check ``run.json``.

        Raises:
            RunError: it is missing, damaged, or of a format this version does not know.
        """
        path = self.path / "run.json"
        value = _parse(path, _read(path))
        if not isinstance(value, dict):
            raise RunError(f"{path} is damaged: it does not hold an object. {_ADVICE}")
        found = value.get("format")
        if type(found) is not int or found != FORMAT:
            advice = "Use the version of charlstm that wrote it."
            if type(found) is int and found > FORMAT:
                advice = "Get a newer charlstm."
            raise RunError(
                f"{path} has format {shown(found)}; this version of charlstm reads format "
                f"{FORMAT}. {advice}"
            )
        try:
            return _info(value)
        except (KeyError, TypeError, ValueError, CharLSTMError) as error:
            raise _damaged(path, error) from None

    def write_model(self, weights: Arrays) -> None:
        """Write ``model.safetensors``."""
        self._write("model.safetensors", [to_safetensors(weights, {"charlstm": str(FORMAT)})])

    def read_model(self, info: RunInfo) -> Arrays:
        """Read the weights, float32, with the shapes that `info` asks for.

        Raises:
            RunError: the file is missing, damaged, of another shape or larger than the memory.
        """
        shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
        return _read_tensors(self.path / "model.safetensors", lambda _: shapes)

    def write_resume(self, arrays: Arrays, position: dict[str, Any]) -> None:
        """Write ``resume.safetensors``: the tensors, and `position` in the same file."""
        metadata = {"charlstm": str(FORMAT), "position": json.dumps(finite(position))}
        self._write("resume.safetensors", [to_safetensors(arrays, metadata)])

    @property
    def has_resume(self) -> bool:
        """Whether a training of it was saved, from where it can be resumed."""
        return os.path.lexists(self.path / "resume.safetensors")

    def read_resume(self, info: RunInfo | None = None) -> tuple[Arrays, dict[str, Any]]:
        """Return what `write_resume` wrote, if it is what a training with that recipe leaves.

        Args:
            info: what ``run.json`` says; read here where ``None``.

        Raises:
            RunError: it is missing, damaged or does not fit.
        """
        path = self.path / "resume.safetensors"
        if not self.has_resume:
            raise RunError(
                f"{self.path} was stopped before its first save, so there is nothing to resume; "
                "train again without --resume."
            )
        info = self.read_info() if info is None else info
        position: dict[str, Any] = {}

        def shapes(metadata: dict[str, str]) -> Shapes:
            value = _parse(path, metadata.get("position", "").encode("utf-8", "surrogatepass"))
            if not isinstance(value, dict):
                raise RunError(
                    f"{path} is damaged: it does not say where training stood. {_ADVICE}"
                )
            try:
                _check_position(value)
            except (KeyError, TypeError, ValueError, CharLSTMError) as error:
                raise _damaged(path, error) from None
            position.update(value)
            return _resume_shapes(info, moved=position["step"] > 0)

        return _read_tensors(path, shapes), position

    def write_held_out(self, text: str | Iterable[str]) -> None:
        """Write ``heldout.txt``, from the whole text or from its pieces."""
        self._write("heldout.txt", _utf8(text))

    def read_held_out(self, info: RunInfo | None = None) -> str:
        """Return the held-out text, empty when nothing was held out.

        Args:
            info: what ``run.json`` says; read here where ``None``.

        Raises:
            RunError: it is missing, or not as long as `info` says.
        """
        info = self.read_info() if info is None else info
        path = self.path / "heldout.txt"
        data = _read(path, 4 * info.held_out_characters)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise RunError(
                f"{path} is damaged: byte {error.start:,} is not UTF-8. {_ADVICE}"
            ) from None
        if len(text) != info.held_out_characters:
            raise RunError(
                f"{path} is damaged: it has {len(text):,} characters, and run.json says "
                f"{info.held_out_characters:,}. {_ADVICE}"
            )
        return text

    def write_index(self, training_text: str | Iterable[str]) -> int:
        """Write ``training.txt.bz2``, in which copies are looked for; return its size in bytes.

        The text may come whole or in pieces, of which one at a time is in memory.

        The text itself, compressed, is the smallest index that answers for passages of every
        length and says where they stand: two to four tenths of the text, where hashes of its
        n-grams, of one length alone and at ten bits each, take more than an English text.
        """
        return self._write("training.txt.bz2", _packed(_utf8(training_text)))

    @property
    def index_bytes(self) -> int | None:
        """How large the index is; ``None`` where there is none."""
        return (self.path / "training.txt.bz2").stat().st_size if self.has_index else None

    @property
    def has_index(self) -> bool:
        """Whether there is an index to read."""
        return _is_file(self.path / "training.txt.bz2")

    def read_index(self, info: RunInfo) -> str | None:
        """Return the text that the run learned from; ``None`` where it keeps no index.

        Raises:
            RunError: the index is damaged.
        """
        if not self.has_index:
            return None
        path = self.path / "training.txt.bz2"
        _check_memory(path, info.training_characters)
        hashed = hashlib.sha256()
        try:
            with path.open("rb") as file:
                text = _unpacked(file, info.training_characters, hashed.update)
        except (OSError, ValueError):
            text = None
        sound = text is not None
        if sound and os.path.lexists(self.path / "heldout.txt"):
            # With the held-out text behind it, it is the whole corpus.
            hashed.update(self.read_held_out(info).encode())
            sound = hashed.hexdigest() == info.corpus_sha256
        if not sound:
            raise RunError(
                f"{path} is damaged: it does not hold the text that the run learned from. Without "
                "the file the run works as one made with --no-index."
            )
        return text

    def write_history(self, reports: Iterable[Report]) -> None:
        """Write ``history.jsonl``, one report a line."""
        lines = (json.dumps(finite(report.to_json())) + "\n" for report in reports)
        self._write("history.jsonl", (line.encode() for line in lines))

    def read_history(self) -> list[Report]:
        """Return what `write_history` wrote.

        Raises:
            RunError: it is missing or damaged.
        """
        path = self.path / "history.jsonl"
        lines = _read(path).splitlines()
        try:
            return [Report.from_json(_parse(path, line)) for line in lines]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from None

    def write_samples(self, samples: Iterable[str]) -> None:
        """Write ``samples.txt``."""
        self._write("samples.txt", ["\n".join(samples).encode()])

    def write_curve(self, svg: bytes) -> None:
        """Write ``curve.svg``."""
        self._write("curve.svg", [svg])

    def _write(self, name: str, pieces: Iterable[bytes]) -> int:
        path = self.path / name
        try:
            return _replace(path, pieces)
        except OSError as error:
            if not self.path.is_dir():
                raise RunError(
                    f"{self.path} was removed while it was in use, so {name} cannot be written."
                ) from None
            raise _unwritable(path, error) from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, flush it to the disk and rename it.

    Raises:
        RunError: it cannot be written; what was there before stands.
    """
    try:
        _replace(path, [data])
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(f"{path} cannot be written: {error.strerror}. What was saved before stands.")


def _replace(path: Path, pieces: Iterable[bytes]) -> int:
    """Put a file that holds `pieces` in its place, whole or not at all; return its size."""
    beside = path.with_name(f".{path.name}.part")
    try:
        # What a crash left here, or somebody laid here that leads elsewhere, is not written into.
        beside.unlink(missing_ok=True)
        with beside.open("xb") as file:
            size = sum(map(file.write, pieces))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except Exception:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    return size


def _utf8(text: str | Iterable[str]) -> Iterator[bytes]:
    """Yield the bytes of a text, a piece at a time."""
    if isinstance(text, str):
        for start in range(0, len(text), _PIECE):
            yield text[start : start + _PIECE].encode()
    else:
        yield from (piece.encode() for piece in text)


def _packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = bz2.BZ2Compressor()
    yield from map(packer.compress, pieces)
    yield packer.flush()


def _claimed(path: Path, claim: Callable[[Path], object]) -> Path:
    """Make `path`, or the first of ``path-2``, ``path-3`` that is free, with `claim`."""
    for number in itertools.count(1):
        free = path if number == 1 else path.with_name(f"{path.name}-{number}")
        # Looked at first, because a directory that is empty would be renamed onto. One that is
        # taken meanwhile has its files in it already, and is refused.
        if os.path.lexists(free):
            continue
        try:
            claim(free)
            return free
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            if not os.path.lexists(free):
                raise
    raise AssertionError("numbers do not end")


def name_for(places: Iterable[str | Path]) -> str:
    """Return a run's name from the first place its corpus came from."""
    first = str(next(iter(places), "-"))
    path = Path(first)
    if glob.has_magic(path.name) and not os.path.lexists(path):
        path = path.parent
    stem = path.resolve().name if first != "-" else "stdin"
    stem = re.sub(r"(\.(txt|gz|zip))+$", "", stem, flags=re.IGNORECASE)
    # Whatever a shell, a file system or a reader could trip over becomes one underscore.
    name = re.sub(r"[^\w.-]+", "_", stem).strip("._")[:100]
    name = name.encode()[: _LONGEST_NAME - 40].decode(errors="ignore").strip("._") or "run"
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def check_name(name: str) -> None:
    """Check that a run can have this name, and stays below its root with it.

    It must be one that every system knows how to keep, because runs are copied to others.

    Raises:
        RunError: it cannot.
    """
    if not re.fullmatch(r"[\w -][\w .-]{0,119}", name) or name.endswith((".", " ")):
        raise RunError(
            f"A run cannot be called {shown(name)}: use letters, digits, spaces, '-', '_' and "
            "'.', 120 at most, do not begin with a dot, and do not end with a dot or a space."
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise RunError(
            f"A run cannot be called {shown(name)}: its name takes {len(name.encode())} bytes, and "
            f"at most {_LONGEST_NAME} can be relied on."
        )
    if _RESERVED.fullmatch(name):
        raise RunError(f"A run cannot be called {shown(name)}: on Windows that is a device.")


def _runs(root: Path) -> list[Path]:
    """Return the directories of all runs; hidden ones are none yet, or something else."""
    found = (path.parent for path in root.glob("*/run.json"))
    return sorted(path for path in found if not path.name.startswith("."))


def _known(root: Path) -> str:
    names = [path.name if path.name.isprintable() else repr(path.name) for path in _runs(root)]
    return f"; {root} has {', '.join(names)}" if names else f", and {root} has none at all"


def _saved(path: Path) -> float:
    """Return when a run was saved; a damaged one counts as the oldest."""
    try:
        saved = json.loads(_read(path / "run.json"))["saved"]
        return float(saved) if math.isfinite(saved) else 0.0
    except (RunError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0


def _is_file(path: Path) -> bool:
    """Whether there is such a file; there is none with a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113, which raises where it may not look


def _size(path: Path) -> int:
    """Return the size of a file.

    Raises:
        OSError: there is none, or it is something else. Opening a pipe waits for somebody to
            write into it, and a device has no end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a file")
    return found.st_size


def _read(path: Path, limit: int = _LARGEST_JSON) -> bytes:
    """Return what a file holds.

    Raises:
        RunError: it cannot be read, or has more than `limit` bytes.
    """
    try:
        size = _size(path)
        if size > limit:
            raise RunError(
                f"{path} is damaged: it has {size:,} bytes, and more than {limit:,} cannot be "
                f"right. {_ADVICE}"
            )
        _check_memory(path, size)
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or str(error)
    return RunError(f"{path} cannot be read: {_one_line(reason)}. {_ADVICE}")


def _one_line(text: str) -> str:
    """Return a library's words, which may quote what is damaged, so that they fit a sentence."""
    return "".join(filter(str.isprintable, " ".join(text.split())))[:200]


def _check_memory(path: Path, size: int) -> None:
    """Check that so many bytes could be in memory at all.

    Raises:
        RunError: they could not.
    """
    most = machine_bytes() if size > _SURELY_THERE else None
    if most is not None and size > most:
        raise RunError(
            f"{path} takes {size / 1e9:,.1f} GB of memory, and this machine has {most / 1e9:,.1f} "
            "GB; use a larger one."
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse(path: Path, data: bytes) -> object:
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RunError(f"{path} is damaged: it is not valid JSON. {_ADVICE}") from None


def _info_to_json(info: RunInfo) -> bytes:
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
    data = (json.dumps(finite(value), ensure_ascii=True, indent=1) + "\n").encode()
    if len(data) > _LARGEST_JSON:
        raise RunError(
            f"The corpus has too many files, {len(info.sources):,}, for run.json to name them: put "
            "their texts together into fewer."
        )
    return data


def _damaged(path: Path, error: Exception) -> RunError:
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    # What is damaged may be quoted in it, and may be as long as a book.
    return RunError(f"{path} is damaged: {what[:500].rstrip('.')}. {_ADVICE}")


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


def _count(value: dict[str, Any], name: str) -> int:
    check_whole(name, value[name], 0, LARGEST)
    found: int = value[name]
    return found


def _check_writable(name: str, text: str) -> None:
    """Check that a text can be written again: half of a surrogate pair is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must not hold half of a surrogate pair.") from None


def _report(value: dict[str, Any], name: str) -> Report | None:
    return None if value[name] is None else Report.from_json(value[name])


def _source(value: object) -> Source:
    if not isinstance(value, dict):
        raise TypeError("sources must hold objects.")
    return Source(
        name=_typed(value, "name", str),
        encoding=_typed(value, "encoding", str),
        characters=_count(value, "characters"),
        sha256=_typed(value, "sha256", str),
    )


def _vocabulary(value: dict[str, Any]) -> Vocabulary:
    characters, counts = _typed(value, "characters", str), _typed(value, "counts", list)
    _check_writable("characters", characters)
    if not all(type(count) is int and count <= LARGEST for count in counts):
        raise TypeError("counts must be whole numbers.")
    return Vocabulary(characters, counts)


def _info(value: dict[str, Any]) -> RunInfo:
    corpus = _typed(value, "corpus", dict)
    samples = _typed(value, "samples", dict)
    versions = _typed(value, "versions", dict)
    encoding = _typed(corpus, "encoding", str, type(None))
    places = _strings(corpus, "places")
    if any(len(place) > _LONGEST_PATH for place in places):
        raise ValueError("places must be paths.")
    if encoding is not None and not (encoding.isascii() and len(encoding) <= 100):
        raise ValueError("encoding must be the name of one.")
    if value["backend"] not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}.")
    check_real("saved", value["saved"], 0, math.inf)
    return RunInfo(
        recipe=recipe_from_json(value["recipe"]),
        vocabulary=_vocabulary(_typed(value, "vocabulary", dict)),
        sources=tuple(map(_source, _typed(corpus, "sources", list))),
        places=places,
        encoding=encoding,
        corpus_sha256=_typed(corpus, "sha256", str),
        training_characters=_count(corpus, "training_characters"),
        held_out_characters=_count(corpus, "held_out_characters"),
        backend=value["backend"],
        started_from=_typed(value, "started_from", str, type(None)),
        prefixes=_strings(samples, "prefixes"),
        sample_every=_count(samples, "every"),
        tensorboard=_typed(value, "tensorboard", bool),
        best=_report(value, "best"),
        last=_report(value, "last"),
        finished=_typed(value, "finished", str, type(None)),
        versions={name: _typed(versions, name, str) for name in versions},
        saved=float(value["saved"]),
    )


def _check_position(value: dict[str, Any]) -> None:
    """Check where a training stood: what `charlstm.training.Trainer.snapshot` says of it."""
    for name in ("step", "returns", "best_epoch", "loss_count"):
        _count(value, name)
    for name in ("seconds", "elapsed", "measuring"):
        check_real(name, value[name], 0, ENDLESS)
    check_real("rate", value["rate"], 0, math.inf)
    check_real("scale", value["scale"], 0, 1, above=True)
    check_real("loss_sum", value["loss_sum"], -math.inf, math.inf)
    if value["best_loss"] is not None:
        check_real("best_loss", value["best_loss"], -math.inf, math.inf)
    for sample in _strings(value, "samples"):
        _check_writable("samples", sample)
    step = epoch = 0
    for report in map(Report.from_json, _typed(value, "history", list)):
        if report.step <= step or report.epoch < epoch:
            raise ValueError("history must be in order.")
        step, epoch = report.step, report.epoch
    if step > value["step"] or value["best_epoch"] > epoch:
        raise ValueError("history does not go with its step and its best_epoch.")
    if (value["best_loss"] is None) != (value["best_epoch"] == 0):
        raise ValueError("best_loss and best_epoch must both be there, or neither.")


def _resume_shapes(info: RunInfo, *, moved: bool) -> Shapes:
    """Return the name and shape of all that a training needs to go on.

    Args:
        info: of the run.
        moved: whether a step was made: before it, an optimiser has no moments.
    """
    recipe = info.recipe
    weights = recipe.architecture.parameter_shapes(len(info.vocabulary))
    shapes: Shapes = {f"weights/{name}": shape for name, shape in weights.items()}
    if moved and recipe.optimizer != "sgd":
        for name, shape in weights.items():
            of_adam = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
            shapes |= {f"moments/{name}/{moment}": size for moment, size in of_adam.items()}
    state = (recipe.architecture.layers, recipe.batch, recipe.architecture.hidden)
    return shapes | {f"state/{name}": state for name in recipe.architecture.state_names}


def _read_tensors(path: Path, expect: Callable[[dict[str, str]], Shapes]) -> Arrays:
    """Return the tensors of a file, all of them float32 and what can be reckoned with.

    Nothing is made room for before the header is known to name what is expected and nothing else.

    Args:
        path: of the file.
        expect: returns what must be in it, given its metadata.

    Raises:
        RunError: it cannot be read, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        _check_header(path)
        with safe_open(str(path), framework="numpy") as file:
            shapes = expect(file.metadata() or {})
            found = file.keys()
            if set(found) != shapes.keys():
                odd = min(shapes.keys() ^ set(found))
                what = "lacks {}, which run.json asks for"
                if odd not in shapes:
                    what = "has {}, which run.json does not ask for"
                raise RunError(f"{path} is damaged: it {what.format(_one_line(odd))}. {_ADVICE}")
            for name, shape in shapes.items():
                entry = file.get_slice(name)
                if entry.get_dtype() != "F32" or tuple(entry.get_shape()) != shape:
                    raise RunError(
                        f"{path} is damaged: its {name} is {entry.get_dtype()} "
                        f"{shown(entry.get_shape())}, and run.json asks for F32 {list(shape)}. "
                        f"{_ADVICE}"
                    )
            # Whoever uses them lays them out in another way, and has them twice for a while.
            _check_memory(path, 2 * 4 * sum(map(math.prod, shapes.values())))
            arrays = {name: file.get_tensor(name) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise RunError(f"{path} takes more memory than there is.") from None
    for name, array in arrays.items():
        most = math.inf if name.startswith("moments/") else _LARGEST_WEIGHT
        # A number that is not one is neither above nor below.
        if not (-most < array.min() and array.max() < most):
            raise RunError(f"{path} is damaged: the numbers of {name} are out of range. {_ADVICE}")
    return arrays


def _check_header(path: Path) -> None:
    """Check that what describes the tensors of a file is not too long to be read.

    Raises:
        OSError: it cannot be read, or is too long.
    """
    _size(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_JSON:
        raise OSError(errno.EFBIG, f"its header cannot have {length:,} bytes")


def _unpacked(file: BinaryIO, characters: int, on_data: Callable[[bytes], object]) -> str:
    """Return the text that a bzip2 file holds.

    Args:
        file: where it is read.
        characters: how many the text has. No more than that is unpacked, whatever there is.
        on_data: called with the bytes of the text, one piece after the other.

    Raises:
        OSError, ValueError: it holds something else.
    """
    reader = bz2.BZ2Decompressor()
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces: list[str] = []
    left, packed = characters, file.read(_PIECE)
    while not reader.eof:
        # No character has more than four bytes.
        most = min(_PIECE, 4 * left + 1)
        data = reader.decompress(packed, most)
        on_data(data)
        piece = decoder.decode(data, final=reader.eof)
        left -= len(piece)
        if left < 0:
            raise ValueError("there is more")
        pieces.append(piece)
        if len(data) < most and not reader.eof:
            packed = file.read(_PIECE)
            if not packed:
                raise ValueError("there is less")
        else:
            packed = b""
    if left:
        raise ValueError("there is less")
    return "".join(pieces)
