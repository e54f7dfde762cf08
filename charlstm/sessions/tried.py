"""What a search plans, what became of each of its trainings, and the table of all."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Any

from charlstm.checks import check_real
from charlstm.errors import RecipeError
from charlstm.figures import ENDLESS, Report
from charlstm.recipes.recipe import Recipe, recipe_from_json, recipe_to_json
from charlstm.recipes.varied import Value, shown_value

DONE, BEHIND, DIVERGED, REFUSED = "done", "behind", "diverged", "refused"
"""What can become of a training: ended, stopped because it fell behind, and the two failures."""

COLUMNS = ("training", "state", "measured_on", "parameters", "passes", "seconds")
"""Those that a table begins with; the settings that are searched follow."""
_FIGURES = (
    "characters_per_second",
    "epoch",
    "training_perplexity",
    "held_out_loss",
    "held_out_perplexity",
    "network_perplexity",
)
# A trial is judged after this share of its time, and once so many others went to their end.
_JUDGED_FROM, _JUDGED_BY = 0.2, 4


@dataclass(frozen=True)
class SearchPlan:
    """What a search is about to do.

    Attributes:
        recipe: what the text would get in the time of a trial; the first trial, and what the
            winner is held against.
        seconds: that a trial may learn and measure.
        own_seconds: what the recipe's own epochs would take; no less than `seconds`.
        ratio: how many times as much text the winner learns from as a trial.
    """

    recipe: Recipe
    seconds: float
    own_seconds: float
    ratio: float

    @property
    def shortened(self) -> bool:
        """Whether the recipe would read the text for longer than a trial may."""
        return self.seconds < self.own_seconds

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        figures = {name: getattr(self, name) for name in _PLANNED}
        return {"recipe": recipe_to_json(self.recipe), **figures}

    @classmethod
    def from_json(cls, value: object) -> "SearchPlan":
        """Rebuild and check what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: something is not what it must be.
        """
        if not isinstance(value, dict):
            raise TypeError("a plan must be an object")
        try:
            recipe = recipe_from_json(value["recipe"])
            for name in _PLANNED:
                check_real(name, value[name], 0, ENDLESS, above=True)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return cls(recipe, *(float(value[name]) for name in _PLANNED))


_PLANNED = ("seconds", "own_seconds", "ratio")


@dataclass(frozen=True)
class Tried:
    """What became of a training of a search.

    Attributes:
        name: its run's.
        settings: those that are searched, with its values.
        state: one of `DONE`, `BEHIND`, `DIVERGED` and `REFUSED`.
        parameters: how many numbers are learned.
        passes: how often it was to read its text.
        steps: how many steps that is.
        wall: seconds that it took with everything, reading the text and counting included.
        reports: of all its epochs.
        best: the one whose weights were kept.
    """

    name: str
    settings: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    state: str = DONE
    parameters: int = 0
    passes: float = 0.0
    steps: int = 0
    wall: float = 0.0
    reports: tuple[Report, ...] = ()
    best: Report | None = None

    @property
    def loss(self) -> float | None:
        """The held-out loss of what it would write with; ``None`` if it failed."""
        return None if self.best is None else self.best.validation_loss

    @property
    def perplexity(self) -> float | None:
        """The held-out perplexity of what it would write with."""
        return None if self.best is None else self.best.validation_perplexity

    @property
    def curve(self) -> list[tuple[float, float]]:
        """After which share of its plan it had come to which held-out loss, at best."""
        return curve_of(self.reports, self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "state": self.state,
            "parameters": self.parameters,
            "passes": self.passes,
            "steps": self.steps,
            "wall": self.wall,
            "reports": [asdict(report) for report in self.reports],
            "best": None if self.best is None else asdict(self.best),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], settings: Mapping[str, Value]) -> "Tried":
        """Rebuild what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: something is not what it must be.
        """
        if value["state"] not in (DONE, BEHIND, DIVERGED, REFUSED):
            raise ValueError("there is no such state")
        for name in ("parameters", "passes", "steps", "wall"):
            if not isinstance(value[name], int | float) or not 0 <= value[name] <= ENDLESS:
                raise ValueError(f"{name} must be a number from 0 up")
        best = value["best"]
        return cls(
            str(value["name"]),
            settings,
            value["state"],
            int(value["parameters"]),
            float(value["passes"]),
            int(value["steps"]),
            float(value["wall"]),
            tuple(map(Report.from_json, value["reports"])),
            None if best is None else Report.from_json(best),
        )


def curve_of(reports: Sequence[Report], steps: int) -> list[tuple[float, float]]:
    """Return after which share of so many steps which held-out loss was reached, at best."""
    curve: list[tuple[float, float]] = []
    for report in reports:
        if (loss := report.validation_loss) is not None:
            best = min(loss, curve[-1][1]) if curve else loss
            curve.append((min(report.step / max(steps, 1), 1.0), best))
    return curve


def is_behind(curve: Sequence[tuple[float, float]], others: Sequence[Tried]) -> bool:
    """Whether a trial is worse than half of those that ended were after the same share of theirs.

    It is judged by the best loss that each had come to by then. Trials are measured at the ends of
    epochs, which none has at the same moments as another.

    Args:
        curve: of the trial; see `Tried.curve`.
        others: the trials before it.
    """
    if not curve or curve[-1][0] < _JUDGED_FROM:
        return False
    share, loss = curve[-1]
    there = []
    for other in others:
        before = [best for at, best in other.curve if at <= share]
        if other.state == DONE and before:
            there.append(before[-1])
    return len(there) >= _JUDGED_BY and loss > median(there)


def table(trials: Sequence[Tried], finals: Sequence[Tried], names: Sequence[str]) -> str:
    """Return a CSV of all trainings of a search.

    Args:
        trials: in their order.
        finals: of the winner and the recipe.
        names: of the settings that are searched.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*COLUMNS, *names, *_FIGURES))
    for tried in (*trials, *finals):
        where = "last tenth" if tried in finals else "tenth before"
        row: list[object] = [tried.name, tried.state, where, tried.parameters]
        last = tried.reports[-1] if tried.reports else None
        row += [f"{tried.passes:.4g}", "" if last is None else round(last.seconds, 2)]
        row += [shown_value(tried.settings[name]) for name in names]
        best = tried.best
        if best is not None and last is not None:
            alone = best.network_perplexity
            row += [
                round(last.characters / max(last.seconds, 1e-9)),
                best.epoch,
                round(best.train_perplexity, 4),
                "" if best.validation_loss is None else round(best.validation_loss, 6),
                "" if best.validation_perplexity is None else round(best.validation_perplexity, 4),
                "" if alone is None else round(alone, 4),
            ]
        writer.writerow(row + [""] * (len(COLUMNS) + len(names) + len(_FIGURES) - len(row)))
    return file.getvalue()
