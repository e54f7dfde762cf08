"""Figures of models, each computed once for a state of its files, by a process that has torch."""

import threading
from typing import Any

from charlstm.errors import RunError
from charlstm.serve.answers import BROKEN
from charlstm.serve.desk.work import Work
from charlstm.serve.opened import Models, State, state_of

# When the server ends, nobody waits for figures.
_ENDING_SECONDS = 5.0


class Measures:
    """The figures of the runs of a server.

    Args:
        models: the runs.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._kept: dict[str, tuple[State, dict[str, Any]]] = {}
        # One at a time: each takes all processors that there are.
        self._lock = threading.Lock()
        self._work: Work | None = None
        self._closed = False

    def of(self, name: str) -> dict[str, Any]:
        """Return the held-out figures of a run; the first time they take a while.

        Raises:
            RunError: there is no such run, nothing was held out, or it is damaged.
        """
        directory = self._models.directory(name)
        with self._lock:
            state = state_of(directory.path)
            kept = self._kept.get(name)
            if kept is not None and kept[0] == state:
                return kept[1]
            if self._closed:
                raise RunError("The server is about to end: measure when it runs again.")
            heard: list[dict[str, Any]] = []
            job = {"do": "measure", "root": str(self._models.root), "name": name}
            try:
                self._work = Work(job, heard.append, lambda _: None)
            except OSError as error:
                raise RunError(f"Nothing can be measured: {error.strerror}.") from None
            self._work.wait()
            self._work = None
            event: dict[str, Any] = heard[-1] if heard else {"problem": BROKEN}
            if "problem" in event:
                raise RunError(str(event["problem"]))
            figures: dict[str, Any] = event["figures"]
            self._kept[name] = (state, figures)
            return figures

    def close(self) -> None:
        """End what is being computed."""
        self._closed = True
        work = self._work
        if work is not None:
            work.kill()
            work.wait(_ENDING_SECONDS)
