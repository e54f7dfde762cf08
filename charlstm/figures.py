"""The figures of a training, and how one follows from another.

A loss is a mean negative log-likelihood in nats a predicted character: a sum divided once by a
count. Everything else is computed from it at the last moment.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any

LARGEST = 2**53
"""No whole number in our files is larger: up to it, every one has a float of its own."""


ENDLESS = 1e12
"""No training takes this many seconds."""

# Of a report's figures. A loss is measured in float32, and may be a hair below zero.
_RANGES = {
    **dict.fromkeys(("step", "epoch", "characters"), (0, LARGEST)),
    **dict.fromkeys(("train_loss", "validation_loss", "network_loss"), (-1, 1e38)),
    "seconds": (0, ENDLESS),
    "learning_rate": (0, sys.float_info.max),
}


def perplexity(loss: float) -> float:
    """Return exp(loss), or infinity where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf


def bits(loss: float) -> float:
    """Return the loss in bits: nats / ln 2."""
    return loss / math.log(2)


def finite(value: Any) -> Any:
    """Return `value` with every infinity in it replaced by ``None``: JSON does not have them."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Report:
    """Where a training stood at the end of an epoch: one line of ``history.jsonl``.

    Attributes:
        step: optimiser steps so far.
        epoch: epochs so far.
        seconds: spent in training steps so far; measuring and saving are not counted.
        characters: read in training so far.
        train_loss: over the epoch, or what was read of it, each window measured with the weights
            as they were when it was read.
        validation_loss: over the whole held-out text, of what the model writes with: the blend, or
            the network alone; ``None`` when nothing is held out.
        learning_rate: of the epoch's last step.
        network_loss: over the held-out text, of the network alone where `validation_loss` is of
            what it is blended with; ``None`` otherwise.
    """

    step: int
    epoch: int
    seconds: float
    characters: int
    train_loss: float
    validation_loss: float | None
    learning_rate: float
    network_loss: float | None = None

    @property
    def train_perplexity(self) -> float:
        """Of the text it learns from: a figure of progress, not of quality."""
        return perplexity(self.train_loss)

    @property
    def validation_perplexity(self) -> float | None:
        """Of the held-out text: for the blend, where the network is blended with anything."""
        return None if self.validation_loss is None else perplexity(self.validation_loss)

    @property
    def network_perplexity(self) -> float | None:
        """Of the held-out text, for the network alone; see `network_loss`."""
        return None if self.network_loss is None else perplexity(self.network_loss)

    @property
    def bits_per_character(self) -> float | None:
        """Of the held-out text, as `validation_loss` is."""
        return None if self.validation_loss is None else bits(self.validation_loss)

    def to_json(self) -> dict[str, float | None]:
        """Return the fields, and what follows from them, as ``history.jsonl`` has them."""
        return {
            **dataclasses.asdict(self),
            "train_perplexity": self.train_perplexity,
            "validation_perplexity": self.validation_perplexity,
            "network_perplexity": self.network_perplexity,
            "bits_per_character": self.bits_per_character,
        }

    @classmethod
    def from_json(cls, value: object) -> "Report":
        """Rebuild and check what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, not a number or out of range.
        """
        if not isinstance(value, dict):
            raise TypeError("a report must be an object")
        # Reports of format 3 and before do not have the last one.
        value = {"network_loss": None, **value}
        fields = {entry.name: value[entry.name] for entry in dataclasses.fields(cls)}
        for name, number in fields.items():
            if name in ("validation_loss", "network_loss") and number is None:
                continue
            low, high = _RANGES[name]
            whole = type(high) is int
            if type(number) is not int and (whole or type(number) is not float):
                raise TypeError(f"{name} must be a {'whole ' * whole}number")
            if not low <= number <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}")
        return cls(**fields)
