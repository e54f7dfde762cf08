"""What is tried in a comparison, and what became of it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charlstm.errors import RecipeError
from charlstm.figures import Report
from charlstm.machine import BACKENDS
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS
from charlstm.recipes.varied import Value, shown_value

# What a setting is called in a run's name, where that is not the setting's own.
_SHORT = {"hidden": "h", "learning_rate": "lr"}


@dataclass(frozen=True)
class Trial:
    """One model of a comparison.

    Attributes:
        cell: one of `charlstm.recipes.architecture.CELLS`.
        backend: ``"scratch"`` or ``"torch"``.
        settings: names and values of those that are varied; all others are the recipe's.
    """

    cell: str
    backend: str
    settings: tuple[tuple[str, Value], ...] = ()

    @property
    def name(self) -> str:
        """Its run's name: ``lstm-scratch-h256-window35``."""
        parts = [self.cell, self.backend]
        for name, value in self.settings:
            between = "-" if isinstance(value, str) else ""
            told = shown_value(value).replace("+", "")
            parts.append(f"{_SHORT.get(name, name)}{between}{told}")
        return "-".join(parts)


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: which.
        parameters: how many numbers are learned.
        seconds_per_epoch: of training steps, for one pass over the text.
        characters_per_second: of training steps.
        report: of the epoch whose weights were kept; ``None`` for a training that diverged.
        reports: of all epochs.
        sample: a line that it wrote, the network alone.
    """

    trial: Trial
    parameters: int
    seconds_per_epoch: float = 0.0
    characters_per_second: float = 0.0
    report: Report | None = None
    reports: tuple[Report, ...] = ()
    sample: str = ""

    @property
    def held_out_perplexity(self) -> float | None:
        """Of the held-out text, for the network alone; ``None`` if nothing was measured."""
        if self.report is None:
            return None
        alone = self.report.network_perplexity
        return self.report.validation_perplexity if alone is None else alone

    @property
    def recall_perplexity(self) -> float | None:
        """Of the held-out text with recall; ``None`` where there is none, or nothing held out."""
        blended = self.report is not None and self.report.network_loss is not None
        return self.report.validation_perplexity if self.report and blended else None


def trials(
    cells: Sequence[str],
    backends: Sequence[str] = ("scratch",),
    varied: Mapping[str, Sequence[Value]] | None = None,
) -> list[Trial]:
    """Return every combination that exists: torch does not have every cell.

    Args:
        cells: the recurrent cells.
        backends: what computes them.
        varied: settings, with the values that each is to have in turn.

    Raises:
        RecipeError: a name is unknown, or nothing is left.
    """
    for kind, given, known in (("cell", cells, CELLS), ("backend", backends, BACKENDS)):
        for value in given:
            if value not in known:
                raise RecipeError(f"{kind} must be one of {', '.join(known)}, not {value!r}.")
    grid = [
        [(name, value) for value in dict.fromkeys(values)]
        for name, values in (varied or {}).items()
    ]
    possible = [
        Trial(cell, backend, settings)
        for cell, backend in itertools.product(dict.fromkeys(cells), dict.fromkeys(backends))
        if backend != "torch" or cell in LIBRARY_CELLS
        for settings in itertools.product(*grid)
    ]
    if not cells or not backends:
        raise RecipeError("There is nothing to compare: name at least one cell and one backend.")
    if not possible:
        raise RecipeError(
            f"torch has none of these cells, only {', '.join(LIBRARY_CELLS)}: nothing to compare."
        )
    return possible
