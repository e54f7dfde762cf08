"""What there is to say of a run at a glance, wherever runs are listed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.errors import CharLSTMError, Command, Message, Setting
from charlstm.figures import finite
from charlstm.files import is_file
from charlstm.runs import keeping
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.known import newest_first, saved_at
from charlstm.runs.snapshot import is_let_go

Naming = Callable[[Setting | Command], str]
"""Returns what a setting or a command is called where a message is read."""


@dataclass(frozen=True)
class Listed:
    """A run as it is listed; `of` looks at one, `all_in` at those of a root.

    Attributes:
        directory: of the run.
        state: ``"training"`` while somebody trains it; ``"empty"`` without a model; ``"stopped"``
            where its training has not ended; ``"ready"``; ``"damaged"`` where it cannot be read.
        bytes: that its files have; 0 of a run that is a link to one elsewhere.
        saved: when, in seconds since 1970; 0 where that cannot be read.
        info: what ``run.json`` says; ``None`` of a damaged run.
        problem: why it cannot be read, if it cannot.
    """

    directory: RunDirectory
    state: str
    bytes: int
    saved: float
    info: RunInfo | None = None
    problem: Message | None = None

    @classmethod
    def of(cls, directory: RunDirectory, *, training: bool = False) -> "Listed":
        """Look at a run.

        Args:
            directory: of the run.
            training: whether it is known that somebody trains it.
        """
        size, saved = keeping.size(directory), saved_at(directory.path)
        try:
            info = directory.read_info()
        except CharLSTMError as error:
            return cls(directory, "damaged", size, saved, problem=error.message)
        training = training or keeping.is_training(directory)
        return cls(directory, _state(directory, info, training=training), size, saved, info)

    @classmethod
    def all_in(cls, root: Path) -> "list[Listed]":
        """Look at all runs of a root, the newest first."""
        return [cls.of(RunDirectory(path)) for path in newest_first(root)]

    @property
    def is_link(self) -> bool:
        """Whether it is a link to a run elsewhere."""
        return self.directory.path.is_symlink()

    @property
    def characters(self) -> int:
        """How many it learned from or holds out, without the marks and labels of songs."""
        info = self.info
        if info is None:
            return 0
        songs = info.songs
        marks = 0 if songs is None else songs.number * (1 + len(info.labels.names)) + 1
        return info.training_characters + info.held_out_characters - marks

    @property
    def songs(self) -> int | None:
        """How many songs its text has; ``None`` of a stream."""
        return None if self.info is None or self.info.songs is None else self.info.songs.number

    @property
    def perplexity(self) -> float | None:
        """The lowest one of its held-out text; ``None`` if there is none."""
        best = None if self.info is None else self.info.best
        return None if best is None else best.validation_perplexity

    @property
    def may_go_on(self) -> bool:
        """Whether its training could go on, if its text is there."""
        return self.state not in ("training", "damaged") and not is_let_go(self.directory.path)

    def told(self) -> Message:
        """Return the sentence that says how its training ended, and what can be done with it."""
        if self.info is None:
            assert self.problem is not None, "it could not be read"
            return self.problem
        resume = Command("resume", self.directory.handle)
        if self.state == "training":
            return Message("It is learning at this moment.")
        if self.state == "empty":
            return Message("It has no model yet: go on with ", resume, ".")
        if self.state == "stopped":
            return Message("It was stopped before its end: go on with ", resume, ".")
        ended = self.info.finished
        done = "Its training has not ended" if ended is None else f"Done: {ended}"
        if is_let_go(self.directory.path):
            return Message(
                f"{done}. It cannot be trained further: its resume file was let go. A new run "
                "begins with its weights, with ",
                Setting("start_from", self.directory.handle),
                ".",
            )
        if not self.directory.has_resume:
            lost = "Its resume file is not there, so its training would begin from the start."
            return Message(f"{done}. {lost}")
        return Message(f"{done}.")

    def to_json(self, name: Naming) -> dict[str, Any]:
        """Return it as plain values.

        Args:
            name: of settings and commands in messages.
        """
        info = self.info
        best = None if info is None else info.best
        told: dict[str, Any] = {
            "name": self.directory.name,
            "state": self.state,
            "problem": self.problem and self.problem.told(name),
            "characters": self.characters,
            "songs": self.songs,
            "vocabulary": 0 if info is None else info.vocabulary.size,
            "loss": best and best.validation_loss,
            "perplexity": self.perplexity,
            "bytes": self.bytes,
            "saved": self.saved,
            "finished": info and info.finished,
            "labels": {}
            if info is None
            else {label: list(info.labels.values[label]) for label in info.labels.names},
            "described": "" if info is None else info.described(),
            "recall": 0.0 if info is None else info.recipe.recall,
        }
        result: dict[str, Any] = finite(told)
        return result


def _state(directory: RunDirectory, info: RunInfo, *, training: bool) -> str:
    if training:
        return "training"
    if not is_file(directory.path / "model.safetensors"):
        return "empty"
    return "ready" if info.finished is not None or not directory.has_resume else "stopped"
