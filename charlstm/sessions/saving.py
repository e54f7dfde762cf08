"""What is saved of a training, in which order, and what is reported of it before."""

from collections.abc import Sequence
from dataclasses import replace

from charlstm.figures import Report
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.snapshot import Snapshot
from charlstm.training.events import EpochEnd, TrainerEvent, WentBack


def recorded(history: list[Report], event: TrainerEvent) -> list[Report]:
    """Return the reports of a training after an event."""
    if isinstance(event, EpochEnd):
        return [*history, event.report]
    if isinstance(event, WentBack):
        # What was reported after that step has not happened.
        return [report for report in history if report.step <= event.step]
    return history


def best_of(history: Sequence[Report]) -> Report | None:
    """Return the report with the lowest held-out loss; ``None`` when nothing is held out."""
    measured = [report for report in history if report.validation_loss is not None]
    return min(measured, key=lambda report: report.validation_loss or 0.0, default=None)


def save(
    directory: RunDirectory,
    snapshot: Snapshot,
    info: RunInfo,
    history: Sequence[Report],
    samples: Sequence[str],
    *,
    model: bool = True,
) -> RunInfo:
    """Write all that a resume needs, and a reader; return what ``run.json`` says now.

    Args:
        directory: of the run.
        snapshot: where its training stands.
        info: what ``run.json`` said.
        history: its reports so far.
        samples: what its model wrote.
        model: whether the best weights are others than those that are there.

    Raises:
        RunError: something cannot be written; what was saved before is kept.
    """
    if model:
        directory.write_model(snapshot.best_weights)
    directory.write_history(history)
    directory.write_samples(samples)
    info = replace(info, best=best_of(history), last=history[-1] if history else None)
    directory.write_info(info)
    # Last, because it completes the save: a resume starts from this file.
    directory.write_resume(snapshot, history, samples)
    return info
