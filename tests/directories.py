"""Run directories that a test makes a file at a time."""

import bz2
from pathlib import Path

from charlstm.runs.directory import RunDirectory


def empty_run(path: Path) -> RunDirectory:
    """Make a run directory without any file."""
    path.mkdir(parents=True)
    return RunDirectory(path)


def put_held_out(run: RunDirectory, text: str) -> None:
    """Put a text in the place of the run's held-out text."""
    (run.path / "heldout.txt").write_bytes(text.encode())


def put_index(run: RunDirectory, text: str) -> None:
    """Put a text in the place of what the run has learned from."""
    (run.path / "training.txt.bz2").write_bytes(bz2.compress(text.encode()))
