"""Which runs there are."""

import json
import math
import os
from pathlib import Path

from charlstm.checks import shown
from charlstm.errors import RunError
from charlstm.files import is_file, read_bytes


def runs_in(root: Path) -> list[Path]:
    """Return the directories of all runs; hidden ones are not runs yet, or something else."""
    try:
        directories = [path.parent for path in root.glob("*/run.json")]
    except (OSError, ValueError):  # no directory can have such a name
        return []
    return sorted(path for path in directories if not path.name.startswith("."))


def names_told(root: Path) -> str:
    """Return what an error that a run is not there adds: those that are."""
    names = [path.name if path.name.isprintable() else repr(path.name) for path in runs_in(root)]
    return f"; {root} has {', '.join(names)}" if names else f", and {root} has none at all"


def saved_at(path: Path) -> float:
    """Return when a run was saved; a damaged one counts as the oldest."""
    try:
        saved = json.loads(read_bytes(path / "run.json"))["saved"]
        return float(saved) if math.isfinite(saved) else 0.0
    except (RunError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0


def newest_first(root: Path) -> list[Path]:
    """Return the directories of all runs, the one that was saved last first."""
    return sorted(runs_in(root), key=lambda path: (saved_at(path), path), reverse=True)


def run_in(root: Path, name: str) -> Path:
    """Return the directory of a run that lies in a root, and nowhere else.

    Args:
        root: where runs live.
        name: of the run, or its path as a shell completes it: ``checkpoints/song``.

    Raises:
        RunError: there is none in the root.
    """
    path = root / Path(name).name
    if name != path.name and Path(name) != path:
        raise RunError(f"{shown(name)} is no run in {root}{os.sep}, and nothing else is changed.")
    if path.name.startswith(".") or not is_file(path / "run.json"):
        raise RunError(f"There is no run called {shown(path.name)}{names_told(root)}.")
    return path
