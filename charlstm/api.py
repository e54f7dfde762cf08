"""The Python interface, in the words of the command line."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.checks import check_known, check_whole, keywords
from charlstm.machine import Machine
from charlstm.recipes.recipe import SETTINGS
from charlstm.recipes.wish import Wish
from charlstm.runs.directory import ROOT, RunDirectory
from charlstm.trained import TrainedModel

if TYPE_CHECKING:  # torch comes with the first training
    from charlstm.sessions.session import Event, Session
    from charlstm.text.handed import Song
    from charlstm.text.reading import Told


# What the command line calls settings that have another name here.
_TYPED = {
    "label": "labels",
    "lr": "learning_rate",
    "from_": "start_from",
    "prefix": "prefixes",
    "no_index": "index=False",
    "log": "tensorboard=True",
    "no_normalize": "normalize=False",
}


def load(run: str | Path | None = None, *, root: str | Path = ROOT) -> TrainedModel:
    """Open a run.

    Args:
        run: its name or its path; the newest one where ``None``.
        root: where runs live.

    Raises:
        RunError: there is none, or it is damaged.
    """
    return TrainedModel(RunDirectory.find(run, Path(root)))


def train(
    *places: str | Path,
    text: "str | Iterable[Song] | None" = None,
    recipe: str = "auto",
    start_from: str | Path | None = None,
    name: str | None = None,
    root: str | Path = ROOT,
    prefixes: Sequence[str] = (),
    sample_every: int | None = None,
    encoding: "Told" = None,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    tensorboard: bool = False,
    index: bool = True,
    deterministic: bool = False,
    progress: bool = True,
    on_event: "Callable[[Event], None] | None" = None,
    **settings: Any,
) -> TrainedModel:
    """Train a model and return it.

    Args:
        places: files, directories, globs or ``-``.
        text: the text itself, instead of places: a string, or several songs. It is kept nowhere, so
            `resume` needs it again.
        recipe: ``"auto"``, ``"d2l"`` or ``"time-machine"``.
        start_from: the name or path of a run whose weights to begin with instead of random ones.
        name: the run's name; from the corpus where ``None``.
        root: where runs live.
        prefixes: what the model continues while it learns.
        sample_every: epochs between two samples, 0 for none; a quarter of all where ``None``.
        encoding: of the corpus, or by file, ``"*"`` for all others; found out where ``None``.
        backend: ``"auto"``, ``"scratch"`` or ``"torch"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        threads: for torch, in this process; where ``None``, as many as are fastest, or with several
            workers the share of each.
        workers: how many processes of this machine train together; this one is the first. A script
            that asks for several must do so under ``if __name__ == "__main__":``, because the
            others import it.
        tensorboard: whether to write the figures for TensorBoard as well.
        index: whether the run keeps the text it learns from, compressed, to tell what is copied.
        deterministic: whether the same seed, machine and threads must give the same weights; see
            `charlstm.sessions.start.start_session`.
        progress: whether to show a bar on standard error where that is a terminal or a notebook.
        on_event: called with everything that happens; see `charlstm.sessions.session`.
        settings: whatever should differ from the recipe, by the names of
            `charlstm.recipes.recipe.Recipe`: ``minutes=5``, ``hidden=512``, ``limit=10_000``; with
            several workers also ``compress="bfloat16"`` and ``sync_every=8``, which are not exact.

    Raises:
        CharLSTMError: one of its children, each message saying what to do.
    """
    from charlstm.sessions.fitting import Material
    from charlstm.sessions.launching import accompanied
    from charlstm.sessions.start import Keeping, start_session

    check_known(settings, [*SETTINGS, *keywords(train)], _TYPED)
    check_whole("workers", workers, 1)
    material = Material.handed(places, text, encoding)
    wish = Wish(recipe, settings, start_from)
    keeping = Keeping(name, Path(root), prefixes, sample_every, tensorboard, index)
    machine = Machine(backend, device, threads, deterministic)
    with accompanied(workers, material, machine, keeping.root) as (team, machine):
        session = start_session(material, wish, machine, keeping, workers=team)
        return _train(session, on_event, progress=progress)


def resume(
    run: str | Path | None = None,
    *,
    places: str | Path | Sequence[str | Path] = (),
    text: "str | Iterable[Song] | None" = None,
    root: str | Path = ROOT,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    deterministic: bool = False,
    progress: bool = True,
    on_event: "Callable[[Event], None] | None" = None,
    **settings: Any,
) -> TrainedModel:
    """Go on with a training where its last save left it, and return the model.

    Args:
        run: its name or its path; the newest one where ``None``.
        places: the corpus, where it is no longer where the run found it.
        text: the text itself, where it was handed over to `train`; it must be the same.
        root: where runs live.
        backend: ``"auto"`` keeps the run's own.
        device: as in `train`.
        threads: as in `train`.
        workers: as in `train`; there may be more or fewer than before.
        deterministic: as in `train`.
        progress: as in `train`.
        on_event: as in `train`.
        settings: ``epochs``, ``steps``, ``minutes`` and ``patience`` may be new.

    Raises:
        CharLSTMError: one of its children, each message saying what to do.
    """
    from charlstm.sessions.fitting import Material
    from charlstm.sessions.launching import accompanied
    from charlstm.sessions.resume import resume_session

    check_known(settings, [*SETTINGS, *keywords(resume)], _TYPED)
    check_whole("workers", workers, 1)
    material, wish = Material.handed(places, text), Wish(settings=settings)
    machine = Machine(backend, device, threads, deterministic)
    with accompanied(workers, material, machine, Path(root)) as (team, machine):
        session = resume_session(run, material, wish, machine, root=Path(root), workers=team)
        return _train(session, on_event, progress=progress)


def _train(
    session: "Session", on_event: "Callable[[Event], None] | None", *, progress: bool
) -> TrainedModel:
    events = session.events()
    if progress:
        from charlstm.sessions.progress import watched

        events = watched(events, session.plan.progress, session.plan.directory.name)
    for event in events:
        if on_event is not None:
            on_event(event)
    return TrainedModel(session.plan.directory)
