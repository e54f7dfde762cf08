"""Trainings begun and resumed with all that a test asks for in one call, and steps recognised."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from charlstm.machine import Machine
from charlstm.recipes.wish import Wish
from charlstm.sessions import resume, start
from charlstm.sessions.fitting import Material
from charlstm.sessions.session import Session
from charlstm.sessions.start import Keeping
from charlstm.text.reading import OnRead
from charlstm.training.events import Step


def start_session(
    places: Sequence[str | Path],
    *,
    recipe: str = "auto",
    settings: Mapping[str, Any] | None = None,
    start_from: str | Path | None = None,
    name: str | None = None,
    root: Path,
    prefixes: Sequence[str] = (),
    sample_every: int | None = None,
    encoding: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    tensorboard: bool = False,
    index: bool = True,
    deterministic: bool = False,
    stdin: BinaryIO | None = None,
    on_read: OnRead | None = None,
) -> Session:
    """Begin a training; see `charlstm.sessions.start.start_session`."""
    return start.start_session(
        Material(places, encoding, stdin, on_read),
        Wish(recipe, settings or {}, start_from),
        Machine(backend, device, threads, deterministic),
        Keeping(name, root, prefixes, sample_every, tensorboard, index),
    )


def resume_session(
    run: str | Path | None = None,
    *,
    places: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    root: Path,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    deterministic: bool = False,
    on_read: OnRead | None = None,
) -> Session:
    """Go on with a training; see `charlstm.sessions.resume.resume_session`."""
    return resume.resume_session(
        run,
        Material(places, on_read=on_read),
        Wish(settings=settings or {}),
        Machine(backend, device, threads, deterministic),
        root=root,
    )


def is_step(event: object, number: int) -> bool:
    """Return whether this is the step with a number."""
    return isinstance(event, Step) and event.step == number


def numbered(events: Sequence[object]) -> list[object]:
    """Return events with each step as its number and its epoch's, to be compared."""
    return [(event.step, event.epoch) if isinstance(event, Step) else event for event in events]
