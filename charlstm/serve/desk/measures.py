"""Figures and insides of models, each computed once for a state of its files, beside the server."""

import hashlib
import threading
from collections import OrderedDict
from typing import Any

from charlstm.errors import RunError
from charlstm.serve.answers import BROKEN
from charlstm.serve.desk.work import Work
from charlstm.serve.opened import Models, State, state_of

# When the server ends, nobody waits for figures.
_ENDING_SECONDS = 5.0
# A page has a few megabytes.
_PAGES = 4


class Measures:
    """What is found out about the runs of a server, by a process of its own.

    Args:
        models: the runs.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._kept: dict[str, tuple[State, dict[str, Any]]] = {}
        self._pages: OrderedDict[str, bytes] = OrderedDict()
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
            figures: dict[str, Any] = self._done({"do": "measure", "name": name})["figures"]
            self._kept[name] = (state, figures)
            return figures

    def look_inside(self, name: str, text: str) -> str:
        """Make a page of what a run does while it reads a text; return what `page` knows it by.

        Args:
            name: of the run.
            text: what it reads; its held-out text where empty.

        Raises:
            RunError: there is no such run, nothing was held out, or it is damaged.
            CorpusError: the text is too short.
        """
        directory = self._models.directory(name)
        with self._lock:
            asked = repr((name, state_of(directory.path), text)).encode(errors="backslashreplace")
            called = hashlib.sha256(asked).hexdigest()[:32]
            if called not in self._pages:
                made = self._done({"do": "inside", "name": name, "text": text})
                self._pages[called] = made["page"].encode()
            self._pages.move_to_end(called)
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
            return called

    def page(self, called: str) -> bytes | None:
        """Return a page that was made not long ago; ``None`` if there is none."""
        return self._pages.get(called)

    def _done(self, job: dict[str, Any]) -> dict[str, Any]:
        """Let a process do a job and return what it says in the end."""
        if self._closed:
            raise RunError("The server is about to end: ask again when it runs again.")
        heard: list[dict[str, Any]] = []
        try:
            whole = {**job, "root": str(self._models.root)}
            self._work = Work(whole, heard.append, lambda _: None)
        except OSError as error:
            raise RunError(f"No process can be started: {error.strerror}.") from None
        self._work.wait()
        self._work = None
        event: dict[str, Any] = heard[-1] if heard else {"problem": BROKEN}
        if "problem" in event:
            raise RunError(str(event["problem"]))
        return event

    def close(self) -> None:
        """End what is being computed."""
        self._closed = True
        work = self._work
        if work is not None:
            work.kill()
            work.wait(_ENDING_SECONDS)
