"""What the server lets a process of its own do, because it takes long, or torch is needed.

The server writes one line of JSON that says what; what comes back are lines of JSON, one an event.
Another line, SIGTERM, or the end of the server, however it came about, asks a training to finish
its step, to save and to end.
"""

import contextlib
import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from charlstm.errors import CharLSTMError
from charlstm.figures import Report, finite
from charlstm.serve.answers import named

if TYPE_CHECKING:
    from charlstm.sessions.session import Event, Session

# Somebody who writes meanwhile should not notice that a model learns.
_NICE = 5
# So often, in seconds, a step is told of.
_EVERY = 0.25
# So many characters of a text's first line are its title.
_TITLE = 40

Tell = Callable[[dict[str, Any]], None]


class Ending:
    """Whether a training was asked to end, before it could begin or later."""

    def __init__(self) -> None:
        self._asked = False
        self._session: Session | None = None
        self._lock = threading.RLock()

    def ask(self) -> None:
        """Ask it to end."""
        with self._lock:
            self._asked = True
            if self._session is not None:
                self._session.stop()

    def of(self, session: "Session") -> None:
        """Say which training it is, as soon as there is one."""
        with self._lock:
            self._session = session
            if self._asked:
                session.stop()


def main() -> None:
    """Do what the first line of standard input asks for."""
    # Whatever a library prints must not come between the lines.
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    given = os.fdopen(0, "rb")
    with contextlib.suppress(OSError, AttributeError):  # Windows has no such thing
        os.nice(_NICE)
    ending = Ending()
    # Ctrl-C in the terminal of the server is for the server, which then says what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: ending.ask())
    job = json.loads(given.readline())
    threading.Thread(target=_listen, args=(given, ending), daemon=True).start()
    writing = threading.Lock()

    def tell(event: dict[str, Any]) -> None:
        line = json.dumps(finite(event), ensure_ascii=False) + "\n"
        # Where nobody listens any more, the training was asked to end and still has to save.
        with writing, contextlib.suppress(OSError):
            told.write(line.encode(errors="replace"))
            told.flush()

    try:
        {"train": _train, "measure": _measure, "inside": _look_inside}[job["do"]](job, tell, ending)
    except CharLSTMError as error:
        tell({"type": "failed", "problem": error.message.told(named)})


def _listen(given: BinaryIO, ending: Ending) -> None:
    given.readline()
    ending.ask()


def _train(job: dict[str, Any], tell: Tell, ending: Ending) -> None:
    from charlstm.machine import Machine
    from charlstm.recipes.wish import Wish
    from charlstm.sessions.fitting import Material
    from charlstm.sessions.resume import resume_session
    from charlstm.sessions.start import Keeping, start_session

    root, minutes = Path(job["root"]), job["minutes"]
    material = Material(job["places"])
    if job["resume"]:
        longer = {} if minutes is None else _longer(root, job["name"], minutes)
        session = resume_session(job["name"], material, Wish(settings=longer), Machine(), root=root)
    else:
        wish = Wish(settings={} if minutes is None else {"minutes": minutes})
        # Somebody watches: there is something to read after every pass.
        keeping = Keeping(job["name"], root, sample_every=1)
        session = start_session(material, wish, Machine(), keeping)
    ending.of(session)
    tell(
        {
            "type": "begun",
            "run": session.plan.directory.name,
            "progress": session.plan.progress,
            "seconds_left": session.plan.seconds,
            "step": session.plan.resumed_step or 0,
            "epoch": session.last.epoch if session.last else 0,
            "history": [entry(report) for report in session.history],
            "samples": list(samples("\n".join(session.samples))),
            "notes": [note.told(named) for note in session.plan.notes],
        }
    )
    at = 0.0
    for event in session.events():
        now = time.monotonic()
        told = _told(event, due=now - at >= _EVERY)
        if told is not None:
            at = now if told["type"] == "step" else at
            tell(told)


def _longer(root: Path, name: str, minutes: float) -> dict[str, Any]:
    """Return what lets a run go on for so many minutes more."""
    from charlstm.runs.directory import RunDirectory

    directory = RunDirectory.find(name, root, trained=False)
    info = directory.read_info()
    if not directory.has_resume:
        return {"minutes": minutes}
    snapshot, history, _ = directory.read_resume(info)
    position = snapshot.position
    # In hundredths, because they are told in a sentence in the end.
    whole = math.ceil(100 * (position.elapsed / 60 + minutes)) / 100
    longer: dict[str, Any] = {"minutes": whole}
    # It may have been done because it had read the text often enough: then it reads it more often,
    # or because nothing got better: then it tries nevertheless.
    read = history[-1].epoch if history else 0
    if read:
        each = max(position.elapsed / read, 1e-3)
        longer["epochs"] = max(info.recipe.epochs, read + math.ceil(60 * minutes / each) + 1)
    if info.finished is not None and info.recipe.patience:
        longer["patience"] = 0
    return longer


def _told(event: "Event", *, due: bool) -> dict[str, Any] | None:
    """Return an event as the page hears of it; ``None`` where it does not."""
    from charlstm.sessions.session import Sample, Saved
    from charlstm.training.events import EpochEnd, Finished, Step, Stopped, WentBack

    match event:
        case Step():
            if not due:
                return None
            return {
                "type": "step",
                "step": event.step,
                "epoch": event.epoch,
                "progress": event.progress,
                "seconds_left": event.seconds_left,
                "loss": event.loss,
                "characters_per_second": event.characters_per_second,
            }
        case EpochEnd():
            report = event.report
            return {"type": "epoch", "epoch": report.epoch, "history": [entry(report)]}
        case Sample():
            # As it will be read again from the run.
            text = event.text.rstrip("\n")
            one = {"epoch": event.epoch, "prefix": event.prefix, "text": text}
            return {"type": "sample", "samples": [one]}
        case Saved():
            return {"type": "saved", "step": event.step}
        case WentBack():
            told = f"It diverged at step {event.diverged:,}, and goes on from step {event.step:,}."
            return {"type": "note", "notes": [told]}
        case Finished():
            return {"type": "finished", "reason": event.reason}
        case Stopped():
            reason = f"stopped at step {event.step:,} and saved"
            return {"type": "stopped", "reason": reason, "step": event.step}


def entry(report: Report) -> dict[str, Any]:
    """Return a report as the page draws it."""
    return {
        "epoch": report.epoch,
        "step": report.step,
        "training_loss": report.train_loss,
        "validation_loss": report.validation_loss,
        "seconds": report.seconds,
    }


_SAMPLE = re.compile(r"^--- epoch (\d+), step \d+\n", re.MULTILINE)


def samples(text: str) -> Iterator[dict[str, Any]]:
    """Yield what a model wrote while it learned, from what ``samples.txt`` holds."""
    parts = _SAMPLE.split(text)
    for epoch, sample in zip(parts[1::2], parts[2::2], strict=True):
        yield {"epoch": int(epoch), "prefix": "", "text": sample.rstrip("\n")}


def _measure(job: dict[str, Any], tell: Tell, _: Ending) -> None:
    from charlstm.api import load

    model = load(job["name"], root=job["root"])
    figures = model.perplexity().to_json()
    last = model.info.last
    tell(
        {
            "type": "measured",
            "figures": {
                **figures,
                "training_loss": None if last is None else last.train_loss,
                "recall_share": model.info.share(),
                "run": model.directory.name,
            },
        }
    )


def _look_inside(job: dict[str, Any], tell: Tell, _: Ending) -> None:
    from charlstm.api import load

    model, text = load(job["name"], root=job["root"]), job["text"]
    # It is called by its first line.
    title = next((line.strip() for line in text.split("\n") if line.strip()), "")
    if len(title) > _TITLE:
        title = f"{title[:_TITLE].rstrip()}…"
    page = model.inside(text or None, title=title or None)
    tell({"type": "made", "page": page.decode()})


if __name__ == "__main__":
    main()
