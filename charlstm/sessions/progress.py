"""The bar that `charlstm.train` and `charlstm.resume` show while somebody watches.

Whoever calls from Python at a prompt or in a notebook waits for minutes, and should see for what.
So this is the one file of the library that draws: on standard error, only where that is a terminal
or a notebook, and never with ``progress=False``. The command line draws by itself.
"""

import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from charlstm.figures import perplexity
from charlstm.training.events import Step

if TYPE_CHECKING:
    from charlstm.sessions.session import Event

FORM = "{desc} |{bar}| {percentage:.0f}% · {remaining} left"
"""What a bar shows of a training, in tqdm's words."""


# With fewer columns there is no room for more than the epoch and its perplexity beside a bar.
_NARROW = 72


def told(step: Step, columns: int) -> str:
    """Return where a training stands after a step, in the words that stand beside a bar."""
    loss = step.loss
    if columns < _NARROW:
        return f"epoch {step.epoch} · ppl {perplexity(loss):,.1f}"
    return (
        f"epoch {step.epoch} · loss {loss:.3f} · ppl {perplexity(loss):,.1f} · "
        f"{step.characters_per_second:,.0f} chars/s"
    )


def watched(events: "Iterable[Event]", done: float = 0.0, title: str = "") -> "Iterator[Event]":
    """Yield the events of a training, and show a bar meanwhile if somebody can see it.

    Args:
        events: of a session.
        done: how much of the plan was done before, from 0 to 1.
        title: what stands beside the bar until the first step is made.
    """
    if not _is_seen():
        yield from events
        return
    with warnings.catch_warnings():
        # That a notebook has no widgets is nothing to warn of: its bar is made of letters then.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm  # here, because few trainings are watched

    with tqdm(
        total=1.0,
        initial=done,
        desc=title,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        bar_format=FORM,
    ) as bar:
        for event in events:
            if isinstance(event, Step) and bar.update(event.progress - bar.n):
                columns = shutil.get_terminal_size().columns
                bar.set_description_str(told(event, columns), refresh=False)
            yield event


def _is_seen() -> bool:
    """Whether standard error is a terminal, or the output of a notebook."""
    # If IPython was not imported, this is no notebook.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and "IPKernelApp" in shell.config:
        return True
    return sys.stderr is not None and sys.stderr.isatty()
