"""Which runs there are."""

import json
import math
from pathlib import Path

from charlstm.errors import RunError
from charlstm.files import read_bytes


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
