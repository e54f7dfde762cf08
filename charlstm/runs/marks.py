"""Which launch has begun a run, or gone on with it: a launcher may start its workers again.

The mark is a small file in the run. It names the launchers, one a machine, as
`charlstm.training.processes` tells of processes: whoever was started by one of them belongs to the
launch, and nobody else ever does, because no process has the same number and the same beginning.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from charlstm.errors import RunError
from charlstm.files import read_bytes, write_whole
from charlstm.runs.known import runs_in

MARK = ".launch"
"""The file of the mark."""


@dataclass(frozen=True)
class Mark:
    """The mark of a launch.

    Attributes:
        run: a random word, the same in all copies of the run.
        start: another, of the last start of its workers, in the run that was trained and in no
            copy: whoever finds it shares the disk with whoever leads.
        launchers: the processes that started the workers.
    """

    run: str
    start: str
    launchers: tuple[str, ...]

    def to_json(self) -> bytes:
        """Return what the file holds."""
        return json.dumps(asdict(self)).encode()


def read_mark(run: Path) -> Mark | None:
    """Return the mark of a run; ``None`` where there is none that can be read."""
    try:
        value = json.loads(read_bytes(run / MARK))
        name, start, launchers = (value[name] for name in ("run", "start", "launchers"))
        return Mark(str(name), str(start), tuple(map(str, launchers)))
    except (RunError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_mark(run: Path, mark: Mark) -> None:
    """Put a mark in the place of the one that is there.

    Raises:
        RunError: it cannot be written.
    """
    write_whole(run / MARK, mark.to_json())


def marked(root: Path, wanted: Callable[[Mark], bool]) -> list[Path]:
    """Return the runs whose marks are wanted; the one that has come furthest is the last."""
    marks = [(path, read_mark(path)) for path in runs_in(root)]
    found = [path for path, mark in marks if mark is not None and wanted(mark)]
    return sorted(found, key=saved_step)


def saved_step(run: Path) -> int:
    """Return which step a run was saved at; 0 where nothing is saved that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(run / "resume.safetensors"), framework="numpy") as file:
            return int(json.loads((file.metadata() or {})["position"])["step"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return 0
