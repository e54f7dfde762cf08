"""The runs of a server, each opened once for all who ask."""

import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from charlstm.checks import shown
from charlstm.errors import RunError
from charlstm.files import is_file
from charlstm.runs.directory import RunDirectory
from charlstm.runs.known import names_told, runs_in, saved_at
from charlstm.runs.names import check_name
from charlstm.serve.answers import Refused
from charlstm.trained import TrainedModel

# More models than this are closed again, the one first that was not asked for longest.
_MOST = 8
# What a model is made of: where one of these has changed, it is opened anew.
_FILES = ("run.json", "model.safetensors", "recall.safetensors", "training.txt.bz2")

State = tuple[tuple[int, int] | None, ...]


class Models:
    """The models below a root.

    Args:
        root: where runs live.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._opened: OrderedDict[str, tuple[State, TrainedModel]] = OrderedDict()
        self._lock = threading.Lock()

    def directory(self, name: str) -> RunDirectory:
        """Return a run by its name, which is never a path.

        Raises:
            Refused: there is none, or no run can be called so.
        """
        with suppress(RunError):
            check_name(name)
            path = self.root / name
            if is_file(path / "run.json"):
                return RunDirectory(path)
        told = f"There is no run called {shown(name)}{names_told(self.root)}."
        raise Refused(told, 404, param="model", code="model_not_found")

    def get(self, name: str) -> TrainedModel:
        """Return a model, opened anew where its files have changed.

        Raises:
            Refused: there is no such run.
            RunError: it is damaged.
        """
        directory = self.directory(name)
        state = state_of(directory.path)
        with self._lock:
            kept = self._opened.get(name)
            if kept is not None and kept[0] == state:
                self._opened.move_to_end(name)
                return kept[1]
            model = TrainedModel(directory)
            self._opened[name] = (state, model)
            self._opened.move_to_end(name)
            while len(self._opened) > _MOST:
                self._opened.popitem(last=False)
            return model

    def trained(self) -> list[Path]:
        """Return the directories of all runs that have a model, the newest first."""
        runs = [path for path in runs_in(self.root) if is_file(path / "model.safetensors")]
        return sorted(runs, key=lambda path: (-saved_at(path), path.name))


def state_of(path: Path) -> State:
    """Return what tells whether the files of a run have changed."""
    found: list[tuple[int, int] | None] = []
    for name in _FILES:
        try:
            status = (path / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
