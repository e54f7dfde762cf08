"""The training that a server runs: one at a time, in a process of its own, watched by any page."""

import itertools
import threading
from collections import deque
from pathlib import Path
from typing import Any

from charlstm.errors import CharLSTMError, RunError
from charlstm.serve.answers import BROKEN
from charlstm.serve.desk.work import Work

# So many seconds a training has to finish its step and to save when the server ends.
_SAVING_SECONDS = 60.0
# Whoever watches and has missed more events than this is told everything anew.
_REMEMBERED = 400

# Of what a model writes while it learns, so much is kept here; its run has all.
_SAMPLES = 40

OVER = ("finished", "stopped", "failed")
"""The states of a training that has ended."""


class BusyError(CharLSTMError):
    """A training is running already."""


class Trainings:
    """The training of a server.

    Args:
        root: where runs live.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._work: Work | None = None
        self._told: dict[str, Any] | None = None
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._newest = 0
        self._lock = threading.RLock()
        self._closed = False

    @property
    def told(self) -> dict[str, Any] | None:
        """What there is to say of the training; ``None`` if there was none."""
        with self._lock:
            return None if self._told is None else dict(self._told)

    @property
    def run(self) -> str | None:
        """The name of the run that is being trained; ``None`` if none is."""
        with self._lock:
            return self._told["run"] if self.is_running and self._told else None

    @property
    def is_running(self) -> bool:
        """Whether a training is running."""
        return self._told is not None and self._told["state"] not in OVER

    def begin(
        self, *, name: str, places: list[str], minutes: float | None, resume: bool
    ) -> dict[str, Any]:
        """Begin a training, or go on with one; return what there is to say of it.

        Args:
            name: of the run; a new one gets the next free number if it is taken.
            places: of its text; nothing where a run knows them.
            minutes: how long; as the recipe has it where ``None``.
            resume: whether the run is there already.

        Raises:
            BusyError: a training is running.
            RunError: no process can be started.
        """
        job = {
            "do": "train",
            "root": str(self._root),
            "name": name,
            "places": places,
            "minutes": minutes,
            "resume": resume,
        }
        with self._lock:
            if self.is_running or self._closed:
                raise BusyError(
                    "A training is running already: wait until it ends, or stop it, and begin then."
                )
            self._told = {
                "run": name if resume else None,
                "state": "starting",
                "progress": 0.0,
                "seconds_left": None,
                "epoch": 0,
                "step": 0,
                "loss": None,
                "characters_per_second": None,
                "history": [],
                "samples": [],
                "notes": [],
                "problem": None,
                "reason": None,
            }
            self._events.clear()
            self._happened({"type": "training", **self._told})
            try:
                self._work = Work(job, self._hear, self._ended)
            except OSError as error:
                self._told = None
                raise RunError(f"No training can be started: {error.strerror}.") from None
            return dict(self._told)

    def stop(self) -> None:
        """Ask the training to finish its step, to save and to end; nothing if none runs."""
        with self._lock:
            if not self.is_running or self._told is None or self._work is None:
                return
            self._told["state"] = "stopping"
            self._happened({"type": "state", "state": "stopping"})
            self._work.stop()

    def since(self, number: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the events after one, and the number of the newest.

        Whoever has seen none, or has missed some, is told all that there is to say.

        Args:
            number: of the newest event that was seen; 0 for none.
        """
        with self._lock:
            if self._told is None:
                return self._newest, []
            if number and (not self._events or self._events[0][0] <= number + 1):
                return self._newest, [event for at, event in self._events if at > number]
            return self._newest, [{"type": "training", **self._told}]

    def close(self) -> None:
        """Stop the training and wait until it has saved."""
        with self._lock:
            self._closed = True
            work = self._work
        if work is None:
            return
        self.stop()
        if not work.wait(_SAVING_SECONDS):
            work.kill()
            work.wait(_SAVING_SECONDS)

    def _happened(self, event: dict[str, Any]) -> None:
        self._newest = next(self._numbers)
        self._events.append((self._newest, event))

    def _hear(self, event: dict[str, Any]) -> None:
        with self._lock:
            assert self._told is not None, "it has begun"
            kind = event.pop("type")
            if kind == "failed":
                event = {"problem": event["problem"], "state": "failed"}
            elif kind in OVER:
                event |= {"state": kind, "seconds_left": None}
                if kind == "finished":
                    event["progress"] = 1.0
            elif kind == "begun":
                going_on = self._told["state"] == "starting"
                event |= {"state": "running"} if going_on else {}
            elif kind == "saved":
                event = {"step": event["step"]}
            # What ends is told only when the process has ended, and another may begin.
            ends = event.pop("state", None) if event.get("state") in OVER else None
            for name in ("history", "samples", "notes"):
                if name in event:
                    self._told[name] = [*self._told[name], *event[name]]
            del self._told["samples"][:-_SAMPLES]
            self._told |= {name: event[name] for name in event if name not in _LISTS}
            if ends is not None:
                self._told["ends"] = ends
            elif event:
                told = kind if kind in ("step", "epoch", "sample", "saved") else "state"
                self._happened({"type": told, **event})

    def _ended(self, code: int) -> None:
        with self._lock:
            assert self._told is not None, "it has begun"
            state = self._told.pop("ends", None)
            if state is None:
                state = "failed"
                self._told["problem"] = _sentence(code)
            self._told["state"] = state
            self._work = None
            changed = ("state", "problem", "reason", "progress", "seconds_left", "step", "run")
            self._happened({"type": "state", **{name: self._told[name] for name in changed}})


_LISTS = ("history", "samples", "notes")


def _sentence(code: int) -> str:
    """Say why a training has ended without a word."""
    if code < 0:
        return (
            f"The training was ended from outside, by signal {-code}: perhaps there was not enough "
            "memory. What was saved before is kept, and it can go on from there."
        )
    return BROKEN
