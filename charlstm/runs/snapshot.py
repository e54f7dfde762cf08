"""Where a training stands: all that decides how it goes on, and what must be in its file.

A snapshot may come from a stranger: every value is checked against what it must be.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from charlstm.checks import check_real, check_whole
from charlstm.errors import RunError, Setting
from charlstm.figures import ENDLESS, LARGEST, Report
from charlstm.files import ADVICE, opened_in_place, parse
from charlstm.runs.fields import check_writable, strings, typed
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays, Shapes

NAME = "resume.safetensors"
"""The file of a snapshot."""

# What stands in its place once it was let go. Without it whoever resumes the run would begin it
# anew, and put an untrained model in the place of the trained one.
_LET_GO = save({}, {"let_go": "true"})


@dataclass(frozen=True)
class Position:
    """The counters and sums of a training.

    Attributes:
        step: optimiser steps so far.
        seconds: spent in them.
        elapsed: seconds since training began, in all of its sessions.
        measuring: the most seconds that measuring the held-out text has taken.
        rate: the learning rate of the last step.
        scale: what the schedule's rate is multiplied by: halved each time training went back.
        returns: how often it went back.
        best_loss: the lowest held-out loss so far, in nats; ``None`` if there is none.
        best_epoch: the epoch it was measured after; 0 if there is none.
        loss_sum: nats of the epoch under way, summed.
        loss_count: over how many characters.

    Raises:
        SettingError, ValueError: one of them is not what it must be.
    """

    step: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    measuring: float = 0.0
    rate: float = 0.0
    scale: float = 1.0
    returns: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0

    def __post_init__(self) -> None:
        for name in ("step", "returns", "best_epoch", "loss_count"):
            check_whole(name, getattr(self, name), 0, LARGEST)
        for name in ("seconds", "elapsed", "measuring"):
            check_real(name, getattr(self, name), 0, ENDLESS)
        check_real("rate", self.rate, 0, math.inf)
        check_real("scale", self.scale, 0, 1, above=True)
        check_real("loss_sum", self.loss_sum, -math.inf, math.inf)
        if self.best_loss is not None:
            check_real("best_loss", self.best_loss, -math.inf, math.inf)
        if (self.best_loss is None) != (self.best_epoch == 0):
            raise ValueError("best_loss and best_epoch must both be there, or neither.")

    def to_json(self) -> dict[str, int | float | None]:
        """Return the counters by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Position":
        """Rebuild and check what `to_json` wrote.

        Raises:
            KeyError, SettingError, ValueError: a counter is missing or not what it must be.
        """
        return cls(**{entry.name: value[entry.name] for entry in dataclasses.fields(cls)})

    def check_history(self, history: Sequence[Report]) -> None:
        """Check that the reports of a training lead here.

        Raises:
            ValueError: they do not.
        """
        step = epoch = 0
        for report in history:
            if report.step <= step or report.epoch < epoch:
                raise ValueError("history must be in order.")
            step, epoch = report.step, report.epoch
        if step > self.step or self.best_epoch > epoch:
            raise ValueError("history does not fit its step and its best_epoch.")


@dataclass(frozen=True)
class Snapshot:
    """The whole state of a training: restored, it goes on as if it had never been stopped.

    Attributes:
        weights: of the model as it is now.
        best_weights: those of the lowest held-out loss so far, or the last where nothing is held
            out.
        moments: of the optimiser, ``<weight>/<moment>``.
        state: ``h`` and ``c``, ``[L, B, H]``, as they go into the next window.
        position: the counters and sums.
        outer: the momentum of workers that meet now and then, by the names of the weights; see
            `charlstm.training.meetings`. Nothing where every step is made together.
    """

    weights: Arrays
    best_weights: Arrays
    moments: Arrays
    state: Arrays
    position: Position
    outer: Arrays = field(default_factory=dict)

    def tensors(self) -> Arrays:
        """Return what goes into ``resume.safetensors``: all but the best weights."""
        parts = {
            "weights": self.weights,
            "moments": self.moments,
            "state": self.state,
            "outer": self.outer,
        }
        return {
            f"{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def packed(self) -> bytes:
        """Return it for a process that trusts this one; see `unpacked`."""
        position = json.dumps(self.position.to_json()).encode()
        parts = {**self.tensors(), "position": np.frombuffer(position, dtype=np.uint8)}
        if self.best_weights is not self.weights:
            parts |= {f"best/{name}": array for name, array in self.best_weights.items()}
        return save(parts)

    @classmethod
    def unpacked(cls, data: bytes) -> "Snapshot":
        """Return what `packed` was made of, in a process that trusts the other one."""
        tensors = load(data)
        position = Position.from_json(json.loads(tensors.pop("position").tobytes()))
        best = _under("best/", tensors) or _under("weights/", tensors)
        return cls.of(tensors, best, position)

    @classmethod
    def of(cls, tensors: Arrays, best_weights: Arrays, position: Position) -> "Snapshot":
        """Put a snapshot together again, from what `tensors` returned."""
        return cls(
            _under("weights/", tensors),
            best_weights,
            _under("moments/", tensors),
            _under("state/", tensors),
            position,
            _under("outer/", tensors),
        )


def _under(part: str, tensors: Arrays) -> Arrays:
    return {
        name.removeprefix(part): array for name, array in tensors.items() if name.startswith(part)
    }


def let_go() -> bytes:
    """Return what stands in the place of a snapshot that was let go."""
    return _LET_GO


def is_let_go(run: Path) -> bool:
    """Return whether the snapshot of a run was let go, so that its training cannot go on."""
    try:
        with opened_in_place(run / NAME) as file:
            return file.read(len(_LET_GO) + 1) == _LET_GO
    except OSError:
        return False


def read_position(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the counters in the header of a snapshot's file, which are still to be checked.

    Args:
        path: of the file.
        metadata: of its header.

    Raises:
        RunError: it was let go, or does not say where training stood.
    """
    if "let_go" in metadata:
        raise RunError(
            f"{path.parent} cannot be trained further: its {NAME} was let go to save space. "
            "It writes and is measured as before; a new run begins with its weights, with ",
            Setting("start_from", str(path.parent)),
            ".",
        )
    value = parse(path, metadata.get("position", "").encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it does not say where training stood. {ADVICE}")
    return value


def read_log(value: object) -> tuple[list[Report], list[str]]:
    """Return the reports of a training, and what its model wrote, from JSON.

    Raises:
        KeyError, TypeError, ValueError: a part is missing or not what it must be.
    """
    if not isinstance(value, dict):
        raise TypeError("its log must be an object.")
    history, samples = typed(value, "history", list), list(strings(value, "samples"))
    for sample in samples:
        check_writable("samples", sample)
    return [Report.from_json(report) for report in history], samples


def resume_shapes(info: RunInfo, *, moved: bool) -> Shapes:
    """Return the name and shape of all that a training needs to go on.

    Args:
        info: of the run.
        moved: whether a step was made: before one, an optimiser has no moments.
    """
    recipe = info.recipe
    weights = recipe.architecture.parameter_shapes(len(info.vocabulary))
    shapes: Shapes = {f"weights/{name}": shape for name, shape in weights.items()}
    if moved and recipe.optimizer != "sgd":
        for name, shape in weights.items():
            of_adam = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
            shapes |= {f"moments/{name}/{moment}": size for moment, size in of_adam.items()}
    if recipe.sync_every > 1:
        shapes |= {f"outer/{name}": shape for name, shape in weights.items()}
    state = (recipe.architecture.layers, recipe.batch, recipe.architecture.hidden)
    shapes |= {f"state/{name}": state for name in recipe.architecture.state_names}
    return shapes | {"log": None}
