"""The run directory: all that a training leaves behind, in files that are data and nothing else.

A run may come from a stranger. Nothing in it is executed; a file is looked at before it is opened
and measured before it is read, and every value is checked against what it must be, so that a
bad file can do no worse than be refused.

Every file is written under another name, flushed to the disk and renamed, so that readers
find the old file or the new one and never a part. ``resume.safetensors`` holds the tensors and
the counters together, because two files could not be replaced at one moment.
"""

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from charlstm.checks import shown
from charlstm.errors import CharLSTMError, Command, RunError, Setting, count
from charlstm.figures import Report, finite
from charlstm.files import (
    ADVICE,
    LARGEST_JSON,
    check_memory,
    damaged,
    exclusive,
    is_file,
    opened_in_place,
    packed,
    parse,
    read_bytes,
    unpacked,
    unreadable,
    unwritable,
    utf8,
    write_pieces,
)
from charlstm.model.recall.recall import Recall
from charlstm.runs.formats import FORMAT, OLDEST, completed
from charlstm.runs.info import (
    FILES,
    LARGEST_HISTORY,
    WITHOUT_INDEX,
    RunInfo,
    info_from_json,
    info_to_json,
)
from charlstm.runs.known import names_told, runs_in, saved_at
from charlstm.runs.marks import MARK
from charlstm.runs.names import check_name
from charlstm.runs.remembered import NAME, read_recall
from charlstm.runs.snapshot import Position, Snapshot, read_log, read_position, resume_shapes
from charlstm.runs.tensors import Arrays, Shapes, read_tensors

ROOT = Path("checkpoints")
"""Where runs live by default."""


class RunDirectory:
    """One run's directory; `create` makes it, `find` looks it up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The directory's name, by which the run is known."""
        return self.path.name

    @property
    def handle(self) -> str:
        """What the run is found by: its name, or its path."""
        return self.name if self.path.parent == ROOT else str(self.path)

    @property
    def files(self) -> list[Path]:
        """What belongs to it, and is there for nobody to write over."""
        return [self.path / name for name in FILES]

    @classmethod
    def create(
        cls,
        name: str,
        root: Path,
        info: RunInfo,
        held_out: str | Iterable[str] = (),
        training: str | Iterable[str] | None = None,
        grams: bytes | None = None,
        mark: bytes | None = None,
    ) -> "RunDirectory":
        """Make the directory `name` below `root`, or ``name-2``, ``name-3``: the next free one.

        It appears with all that is known before training, or not at all: a process killed half-way
        leaves nothing that could be taken for a run.

        Args:
            name: as `check_name` allows it.
            root: where runs live; made if it is missing.
            info: what is known of the run.
            held_out: the held-out text that goes with `info`, whole or in pieces.
            training: the text that is learned from, for the index; no index if ``None``.
            grams: of that text; see `charlstm.runs.remembered`.
            mark: of the launch that makes it; see `charlstm.runs.marks`.

        Raises:
            RunError: the name could leave `root`, or the directory cannot be made.
        """
        check_name(name)
        try:
            root.mkdir(parents=True, exist_ok=True)
            _remove_unborn(root)
            # Not by tempfile, which would leave the run readable by its owner alone.
            hidden = root / f".{secrets.token_hex(8)}"
            hidden.mkdir()
            try:
                # First, because a directory that has it is not read as text.
                write_pieces(hidden / "run.json", [info_to_json(info)])
                write_pieces(hidden / "heldout.txt", utf8(held_out))
                for file, data in ((NAME, grams), (MARK, mark)):
                    if data is not None:
                        write_pieces(hidden / file, [data])
                if training is not None:
                    # The text itself, compressed, is the smallest index that answers for passages
                    # of every length and says where they are: two to four tenths of the text,
                    # while hashes of its n-grams, of one length alone and at ten bits each, take
                    # more than an English text itself.
                    write_pieces(hidden / "training.txt.bz2", packed(utf8(training)))
                return cls(_renamed(hidden, root / name))
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
            run: its name below `root`, or its path; the newest one if ``None``.
            root: where runs live.
            trained: whether the newest one must have a model already.

        Raises:
            RunError: there is none.
        """
        if run is not None:
            for path in (root / run, Path(run)):
                if is_file(path / "run.json"):
                    return cls(path)
            told = str(run) if len(str(run)) <= 500 else shown(str(run))
            raise RunError(f"There is no run called {told}{names_told(root)}.")
        runs = [(saved_at(path), str(path), path) for path in runs_in(root)]
        if trained:
            runs = [run for run in runs if is_file(run[2] / "model.safetensors")]
        if not runs:
            what = "trained model" if trained else "run"
            raise RunError(
                f"There is no {what} in {root}{os.sep} yet: train one with ",
                Command("train"),
                ", or name a run with ",
                Setting("run" if trained else "name"),
                ".",
            )
        return cls(max(runs)[2])

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from training in this directory; the lock dies with the process.

        Raises:
            RunError: another process trains in it, or it cannot be written.
        """
        if not self.path.is_dir():  # which the lock would make
            raise RunError(f"{self.path} was removed while it was in use.")
        busy = f"Another training is running in {self.path}: wait until it ends, or stop it."
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(exclusive(self.path / ".lock", busy))
            except OSError as error:
                raise RunError(f"{self.path} cannot be written: {error.strerror}.") from None
            yield

    def write_info(self, info: RunInfo) -> None:
        """Write ``run.json``."""
        self._write("run.json", [info_to_json(info)])

    def read_info(self) -> RunInfo:
        """Read and check ``run.json``.

        Raises:
            RunError: it is missing, damaged, or of a format this version does not know.
        """
        path = self.path / "run.json"
        value = parse(path, read_bytes(path))
        if not isinstance(value, dict):
            raise RunError(f"{path} is damaged: it does not hold an object. {ADVICE}")
        version = value.get("format")
        if type(version) is not int or not OLDEST <= version <= FORMAT:
            advice = "Use the version of charlstm that wrote it."
            if type(version) is int and version > FORMAT:
                advice = "Get a newer charlstm."
            raise RunError(
                f"{path} has format {shown(version)}; this version of charlstm reads formats "
                f"{OLDEST} to {FORMAT}. {advice}"
            )
        try:
            return info_from_json(completed(value, version))
        except (KeyError, TypeError, ValueError, CharLSTMError) as error:
            raise damaged(path, error) from None

    def write_model(self, weights: Arrays) -> None:
        """Write ``model.safetensors``."""
        self._write("model.safetensors", [to_safetensors(weights, {"charlstm": str(FORMAT)})])

    def read_model(self, info: RunInfo) -> Arrays:
        """Read the weights, float32, with the shapes that `info` asks for.

        Raises:
            RunError: the file is missing, damaged, of another shape or larger than the memory.
        """
        shapes = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
        path = self.path / "model.safetensors"
        if not os.path.lexists(path):
            raise RunError(
                f"{self.path} has no model yet: go on with ",
                Command("resume", self.handle),
                ", or restore it from an intact copy.",
            )
        return read_tensors(path, lambda _: dict(shapes))

    def write_grams(self, grams: bytes) -> None:
        """Write ``recall.safetensors``; see `charlstm.runs.remembered`."""
        self._write(NAME, [grams])

    def read_recall(self, info: RunInfo) -> Recall | None:
        """Return what the network is blended with; ``None`` for a run of the network alone.

        Raises:
            RunError: the file of its grams is missing or damaged.
        """
        if info.recall is None:
            return None
        return read_recall(self.path / NAME, info.recall, info.vocabulary)

    def write_resume(
        self, snapshot: Snapshot, history: Sequence[Report], samples: Sequence[str]
    ) -> None:
        """Write ``resume.safetensors``: the tensors, the counters and the log in one file.

        Args:
            snapshot: where the training stands.
            history: its reports so far.
            samples: what the model wrote meanwhile.
        """
        # What grows with the epochs is not part of the header, which stays short. If it grows too
        # large, over hundreds of thousands of epochs, the newest half is kept.
        log = {"history": [dataclasses.asdict(report) for report in history], "samples": samples}
        while len(data := _compact(log)) > LARGEST_JSON:
            log = {name: entries[len(entries) // 2 :] for name, entries in log.items()}
        position = json.dumps(finite(snapshot.position.to_json()))
        metadata = {"charlstm": str(FORMAT), "position": position}
        tensors = {**snapshot.tensors(), "log": np.frombuffer(data, dtype=np.uint8)}
        self._write("resume.safetensors", [to_safetensors(tensors, metadata)])

    @property
    def has_resume(self) -> bool:
        """Whether there is a saved training to resume."""
        return os.path.lexists(self.path / "resume.safetensors")

    def read_resume(self, info: RunInfo) -> tuple[Snapshot, list[Report], list[str]]:
        """Return what `write_resume` wrote, if it is what a training with that recipe leaves.

        Args:
            info: what ``run.json`` says.

        Raises:
            RunError: it is missing, damaged or does not fit.
        """
        path = self.path / "resume.safetensors"
        if not self.has_resume:
            raise RunError(f"{self.path} was stopped before its first save.")
        counters: dict[str, Any] = {}

        def shapes(metadata: dict[str, str]) -> Shapes:
            counters.update(read_position(path, metadata))
            return resume_shapes(info, moved=counters.get("step") != 0)

        tensors = read_tensors(path, shapes)
        log = parse(path, tensors.pop("log").tobytes())
        try:
            position = Position.from_json(counters)
            history, samples = read_log(log)
            position.check_history(history)
        except (KeyError, TypeError, ValueError, CharLSTMError) as error:
            raise damaged(path, error) from None
        return Snapshot.of(tensors, self.read_model(info), position), history, samples

    def read_held_out(self, info: RunInfo | None = None) -> str:
        """Return the held-out text, empty when nothing was held out.

        Args:
            info: what ``run.json`` says; read here if ``None``.

        Raises:
            RunError: it is missing, or not as long as `info` says.
        """
        info = self.read_info() if info is None else info
        path = self.path / "heldout.txt"
        data = read_bytes(path, 4 * info.held_out_characters)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise RunError(
                f"{path} is damaged: byte {error.start:,} is not UTF-8. {ADVICE}"
            ) from None
        if len(text) != info.held_out_characters:
            raise RunError(
                f"{path} is damaged: it has {count(len(text), 'character')}, and run.json says "
                f"{info.held_out_characters:,}. {ADVICE}"
            )
        return text

    @property
    def index_bytes(self) -> int | None:
        """How large the index is; ``None`` if there is none."""
        return (self.path / "training.txt.bz2").stat().st_size if self.has_index else None

    @property
    def has_index(self) -> bool:
        """Whether there is an index to read."""
        return is_file(self.path / "training.txt.bz2")

    def read_index(self, info: RunInfo) -> str | None:
        """Return the text that the run learned from; ``None`` if it keeps no index.

        Raises:
            RunError: the index is damaged.
        """
        if not self.has_index:
            return None
        path = self.path / "training.txt.bz2"
        check_memory(path, info.training_characters)
        hashed = hashlib.sha256()
        try:
            with opened_in_place(path) as file:
                text = unpacked(file, info.training_characters, hashed.update)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None):  # bz2 has OSErrors of its own, without a number
                raise unreadable(path, error, WITHOUT_INDEX) from None
            text = None
        sound = text is not None
        if sound and os.path.lexists(self.path / "heldout.txt"):
            # With the held-out text after it, it is the whole corpus.
            hashed.update(self.read_held_out(info).encode())
            sound = hashed.hexdigest() == info.corpus_sha256
        if not sound:
            raise RunError(
                f"{path} is damaged: it does not hold the text that the run learned from. ",
                *WITHOUT_INDEX,
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
        lines = read_bytes(path, LARGEST_HISTORY).splitlines()
        try:
            return [Report.from_json(parse(path, line)) for line in lines]
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, error) from None

    def write_samples(self, samples: Iterable[str]) -> None:
        """Write ``samples.txt``."""
        self._write("samples.txt", ["\n".join(samples).encode()])

    def write_curve(self, svg: bytes) -> None:
        """Write ``curve.svg``."""
        self._write("curve.svg", [svg])

    def _write(self, name: str, pieces: Iterable[bytes]) -> int:
        path = self.path / name
        try:
            return write_pieces(path, pieces)
        except OSError as error:
            if not self.path.is_dir():
                raise RunError(
                    f"{self.path} was removed while it was in use, so {name} cannot be written."
                ) from None
            raise unwritable(path, error) from None


def _compact(value: object) -> bytes:
    return json.dumps(finite(value), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _remove_unborn(root: Path) -> None:
    """Remove what is left of runs whose creation was killed a day ago or earlier."""
    for path in root.glob("." + 16 * "[0-9a-f]"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(path)


def _renamed(hidden: Path, path: Path) -> Path:
    """Give a directory the name `path`, or the first of ``path-2``, ``path-3`` that is free."""
    for number in itertools.count(1):
        free = path if number == 1 else path.with_name(f"{path.name}-{number}")
        # Looked at first, because a rename would replace an empty directory. One that is taken
        # meanwhile has its files in it already, and the rename is refused.
        if os.path.lexists(free):
            continue
        try:
            return hidden.rename(free)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            if not os.path.lexists(free):
                raise
    raise AssertionError("numbers do not end")
