"""A launch of a command by torchrun, which starts its workers again when one dies, comes or goes.

Workers that are started again are to go on with the run that their launch has begun, from the
newest save. The run's mark says which launch that is (`charlstm.runs.marks`). Each machine keeps a
save on its own disk, so that any of them may be lost: the workers tell each other how far theirs
has come, and the one leads whose save is the newest.
"""

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from charlstm.errors import RunError
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.runs.marks import Mark, marked, read_mark, saved_step, write_mark
from charlstm.runs.remembered import gram_bytes
from charlstm.sessions.copying import Copy
from charlstm.sessions.following import Following
from charlstm.sessions.session import Session
from charlstm.training.distributed import ALONE, TIMEOUT, Workers
from charlstm.training.joining import is_first_here, may_be_started_again
from charlstm.training.processes import launcher

# A worker whose launcher was killed notices after a step, or when another one is silent for long.
_PATIENCE = TIMEOUT + 10


@dataclass
class Launch:
    """A launch, as one of its workers knows it; `join_launch` finds it.

    Attributes:
        workers: all of them; it is settled who leads.
        root: where runs live here.
        restarts: whether there is a launcher that may start the workers again.
        run: the run that this launch has begun already, where this worker leads and there is one.
    """

    workers: Workers = ALONE
    root: Path = ROOT
    restarts: bool = False
    run: RunDirectory | None = None
    _known: Mark | None = None
    _parent: int = 0

    @property
    def mark(self) -> bytes | None:
        """What a run that begins now is marked with; ``None`` where nothing is started again."""
        return None if self._known is None else self._known.to_json()

    @property
    def is_left_alone(self) -> bool:
        """Whether the launcher of this worker is gone, so that nobody would start it again."""
        return self.restarts and os.getppid() != self._parent

    @property
    def code_when_left(self) -> int:
        """What to exit with when others have stopped: an error, if that starts this one again."""
        return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0")

    def lead(self, session: Session) -> None:
        """Mark the run of a session as that of this launch, and tell the others; see `copy`.

        Raises:
            RunError: the mark cannot be written.
            WorkerError: another worker is gone or has failed.
        """
        if self._known is None:
            return
        directory = session.plan.directory
        known = read_mark(directory.path)
        if known != self._known:
            if known is not None:  # of another launch
                self._known = replace(self._known, run=known.run)
            write_mark(directory.path, self._known)
        session.save_soon()  # each machine is to have one
        told = {
            "name": directory.name,
            "mark": self._known.to_json().decode(),
            "index": directory.has_index,
            "history": [report.to_json() for report in session.history],
            "samples": session.samples,
        }
        self.workers.tell(json.dumps(told).encode("utf-8", "surrogatepass"))

    def copy(self, following: Following) -> Copy | None:
        """Return what keeps a save of the training here, where this machine has its own disk.

        Raises:
            RunError: there is no place for it.
            WorkerError: another worker is gone or has failed.
        """
        if self._known is None:
            return None
        told = json.loads(self.workers.tell(b""))
        mark = Mark(**json.loads(told["mark"]))
        if not is_first_here() or marked(self.root, lambda known: known.start == mark.start):
            return None
        mark = Mark(mark.run, "", tuple(mark.launchers))
        known = marked(self.root, lambda other: other.run == mark.run)
        if known:
            directory = RunDirectory(known[-1])
            write_mark(directory.path, mark)
        else:
            corpus, recall = following.corpus, following.recall
            cut = following.info.training_characters
            directory = RunDirectory.create(
                told["name"],
                self.root,
                following.info,
                corpus.pieces(cut),
                corpus.pieces(0, cut) if told["index"] else None,
                None if recall is None else gram_bytes(recall),
                mark.to_json(),
            )
        if not _wait_until_free(directory):
            return None  # another machine with the same disk keeps it
        return Copy.of(directory, following, told["history"], told["samples"])


def join_launch(
    workers: Workers, root: Path = ROOT, *, resume: bool = False, name: str | None = None
) -> Launch:
    """Find out what this launch has begun, and settle who leads.

    Args:
        workers: all of them.
        root: where runs live here.
        resume: whether the launch is to go on with a run that another one has begun.
        name: that run's; the newest one if ``None``.

    Raises:
        RunError: the run is still being trained by a worker that was not ended.
        RecipeError: the workers compute on different kinds of devices.
        WorkerError: another worker is gone or has failed.
    """
    if not may_be_started_again():
        return Launch(workers, root)
    parent, me = os.getppid(), f"{os.environ['TORCHELASTIC_RUN_ID']} {launcher()}"
    known = marked(root, lambda mark: me in mark.launchers) if is_first_here() else []
    newest = known[-1] if known else None
    said = json.dumps([me, -1 if newest is None else saved_step(newest)])
    all_said = [json.loads(one) for one in workers.gather(said)]
    steps = [step for _, step in all_said]
    workers.leader = steps.index(max(steps))
    if max(steps) < 0 and resume:
        newest = _asked_for(workers, root, name)
    elif newest is not None and workers.leads and not _wait_until_free(RunDirectory(newest)):
        raise RunError(
            f"Another training is still running in {newest}, which was begun by the same launch: "
            "stop it."
        )
    if not workers.leads:
        newest = None
    mark = None if newest is None else read_mark(newest)
    now = Mark(
        secrets.token_hex(8) if mark is None else mark.run,
        secrets.token_hex(8),
        tuple(sorted({one for one, _ in all_said})),
    )
    run = None if newest is None else RunDirectory(newest)
    return Launch(workers, root, True, run, now, parent)


def _asked_for(workers: Workers, root: Path, name: str | None) -> Path | None:
    """Settle who leads a run that is asked for; return it where it has a mark.

    The first worker that has it says which run is meant, and the newest copy counts.
    """
    mark = None
    with suppress(RunError):  # whoever leads says so
        mark = read_mark(RunDirectory.find(name, root, trained=False).path)
    meant = next(filter(None, workers.gather("" if mark is None else mark.run)), "")
    copies = marked(root, lambda other: other.run == meant) if meant and is_first_here() else []
    steps = [int(step) for step in workers.gather(str(saved_step(copies[-1]) if copies else -1))]
    workers.leader = steps.index(max(steps))
    return copies[-1] if copies else None


def _wait_until_free(directory: RunDirectory) -> bool:
    """Wait until nobody trains in a directory; return whether that is so."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with directory.locked():
                return True
        except RunError:
            if time.monotonic() > until:
                return False
        time.sleep(0.1)
