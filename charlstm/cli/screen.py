"""What a training looks like: a plan, a line per report, a bar while it works, a last word.

Everything goes to standard error except the last word, which is the result. Where standard error is
not a terminal there is no bar and no colour, and every event is one plain line.
"""

import shlex
import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from charlstm.cli.console import (
    is_terminal,
    notes,
    progress_bar,
    visible,
    write_result,
)
from charlstm.cli.names import option
from charlstm.cli.tables import told_duration, told_size
from charlstm.errors import count
from charlstm.figures import Report
from charlstm.recipes.recipe import Recipe
from charlstm.sessions.plan import Plan, Teamwork
from charlstm.sessions.progress import told
from charlstm.sessions.remembering import Remembering
from charlstm.sessions.session import Event, Sample, Session
from charlstm.text.corpus import Corpus, Source
from charlstm.text.separators import FILES, separator_named, separator_of
from charlstm.text.told import left_out, text_lines
from charlstm.training.events import EpochEnd, Finished, Step, Stopped, WentBack

# More lines than this tell nobody more; history.jsonl has every epoch.
_REPORTS = 20
# Workers that are less than so many times as fast are not worth their processes.
_WORTH_WHILE = 1.05
_COLUMNS = (("epoch", 7), ("train ppl", 12), ("held-out ppl", 15), ("bits/char", 12))
# Where the network is blended with what it recalls: the training perplexity is its own, and the
# bits are those of the blend.
_BLENDED = (
    *(("epoch", 7), ("train ppl", 11), ("held-out alone", 16), ("with recall", 13)),
    ("bits/char", 11),
)
_SPEED = (("seconds", 11), ("chars/s", 11))


class Screen:
    """Draws a session; a context, so that the bar is gone whatever happens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._plan = session.plan
        self._console = notes()
        self._columns = _COLUMNS if self._plan.remembering is None else _BLENDED
        self._speed = _SPEED[: _room_for_speed(self._console, self._columns)]
        self._every = max(1, self._plan.recipe.epochs // _REPORTS)
        self._bar: tqdm[None] | None = None
        self._headed = False
        self._before: Report | None = session.last
        self._stopped_at = 0

    def __enter__(self) -> "Screen":
        _draw_plan(self._console, self._plan)
        self._bar = progress_bar(1.0, self._plan.progress)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, text: str) -> None:
        """Put a line above the bar."""
        self._line(Text(text, style="yellow"))

    def draw(self, event: Event) -> None:
        """Draw one event."""
        match event:
            case Step():
                self._move_bar(event)
            case EpochEnd(report, best, last):
                if last or report.epoch % self._every == 0 or self._before is None:
                    self._draw_report(report, best)
            case Sample(epoch, prefix, text):
                self._draw_sample(epoch, prefix, text)
            case WentBack(diverged, step, scale):
                self._before = self._session.last
                self.say(
                    f"training diverged at step {diverged:,}: back at step {step:,}, with "
                    f"{scale:g} times the learning rate"
                )
            case Stopped(step):
                self._stopped_at = step
            case Finished(reason):
                self._line(Text(f"done: {reason}", style="dim"))
            case _:
                pass

    def summarize(self, code: int) -> None:
        """Say where the model is, how good it is and what to type next.

        Args:
            code: what the command will exit with; not 0 where the training was interrupted.
        """
        if self._bar is not None:
            self._bar.close()
        path, best, last = self._plan.directory.path, self._session.best, self._session.last
        figures = "not measured yet"
        if best is not None:
            alone = ""
            if best.network_perplexity is not None:
                alone = f"; {best.network_perplexity:,.2f} alone"
            figures = (
                f"held-out perplexity {best.validation_perplexity:,.2f} "
                f"({best.bits_per_character:.3f} bits a character, epoch {best.epoch}{alone})"
            )
        elif last is not None:
            figures = f"training perplexity {last.train_perplexity:,.2f}, nothing held out"
        write_result(visible(f"{path}: {figures}\n"), code=code)
        if code:
            again = shlex.join(
                ["charlstm", "train", "--resume", "--name", self._plan.directory.handle]
            )
            if "-" in self._plan.places:
                again += " - < THE SAME TEXT"
            self._line(
                Text(
                    f"interrupted at step {self._stopped_at:,} and saved; go on with: "
                    f"{visible(again)}",
                    style="yellow",
                )
            )
        else:
            text = "" if self._plan.held_out_characters > 1 else " TEXT"
            self._line(Text(f"now: charlstm generate, charlstm eval perplexity{text}", style="dim"))

    def _line(self, line: Text) -> None:
        # The bar steps aside while something is printed above it.
        if self._bar is not None:
            self._bar.clear()
        self._console.print(line)
        if self._bar is not None:
            self._bar.refresh()

    def _move_bar(self, made: Step) -> None:
        if self._bar is not None and self._bar.update(made.progress - self._bar.n):
            self._bar.set_description_str(told(made, self._console.width), refresh=False)

    def _draw_report(self, report: Report, best: bool) -> None:
        if not self._headed:
            self._headed = True
            head = "".join(f"{title:>{width}}" for title, width in self._columns + self._speed)
            self._line(Text(head, style="dim"))
        cells = [
            f"{report.epoch:,}",
            f"{report.train_perplexity:,.2f}",
            *([_figure(report.network_perplexity, ",.2f")] if self._columns is _BLENDED else ()),
            _figure(report.validation_perplexity, ",.2f"),
            _figure(report.bits_per_character, ".3f"),
        ]
        line = Text()
        for (title, width), cell in zip(self._columns, cells, strict=True):
            good = title in ("held-out ppl", "with recall") and best
            line.append(f"{cell:>{width}}", style="bold green" if good else "")
        figures = (f"{report.seconds:,.1f}", f"{_speed(report, self._before):,.0f}")
        for (_, width), cell in zip(self._speed, figures, strict=False):
            line.append(f"{cell:>{width}}")
        self._line(line)
        self._before = report

    def _draw_sample(self, epoch: int, prefix: str, text: str) -> None:
        shown = visible(text).replace("\n", " ⏎ ")
        line = Text(f"{epoch:>7,}  ", style="dim")
        line.append(visible(prefix).replace("\n", " ⏎ "), style="bold cyan")
        line.append(shown[len(visible(prefix).replace("\n", " ⏎ ")) :], style="cyan")
        if is_terminal(sys.stderr):  # one row of it each, so that the figures stay in sight
            line.truncate(self._console.width, overflow="ellipsis")
        self._line(line)


def _room_for_speed(console: Console, columns: Sequence[tuple[str, int]]) -> int:
    """Return how many columns of the speed a terminal has room for beside the others."""
    if not is_terminal(sys.stderr):
        return len(_SPEED)
    room = console.width - sum(width for _, width in columns)
    widths = [width for _, width in _SPEED]
    return next(many for many in (2, 1, 0) if sum(widths[:many]) <= max(room, 0))


def _draw_plan(console: Console, plan: Plan) -> None:
    """Draw the report before training."""
    recipe, corpus = plan.recipe, plan.corpus
    architecture = recipe.architecture
    counts = plan.vocabulary
    files = _files(corpus.sources)
    learned, measured = plan.characters
    held_out = (
        f"{measured:,} held out"
        if measured
        else ("nothing held out: no figure will say how good the model is")
    )
    into = f"embedding {architecture.embedding}" if architecture.embedding else "one-hot"
    rows = {
        "text": "\n".join(files),
        "left out": left_out(corpus.sources),
        "characters": f"{corpus.characters:,} in {count(corpus.lines, 'line')}",
        "songs": _songs(corpus),
        "labels": _labels(corpus),
        "vocabulary": f"{count(counts.size, 'character')}, {counts.seen_once:.0%} of "
        "them seen once",
        "split": f"{learned:,} to learn from, {held_out}",
        "model": f"{architecture.title}, {into}, "
        f"{count(architecture.parameter_count(len(counts)), 'weight')}",
        "recipe": plan.reason,
        "settings": _settings(recipe),
        "machine": f"{plan.backend} backend on {_device(plan)}, {recipe.precision}, about "
        f"{plan.memory_bytes / 1e9:.1f} GB of memory",
        "time": _time(plan),
        "run": str(plan.directory.path),
    }
    if plan.teamwork is not None:
        rows["workers"] = _teamwork(plan.teamwork, on_gpu=plan.device != "cpu")
    if plan.index_bytes is not None:
        took = "under 0.1" if plan.index_seconds < 0.1 else f"{plan.index_seconds:.1f}"
        rows["index"] = (
            f"{told_size(plan.index_bytes)}, made in {took} seconds, to tell what is copied; "
            "--no-index leaves it out"
        )
    if plan.remembering is not None:
        rows["recall"] = _remembered(plan.remembering, plan.recipe.recall)
    if plan.started_from is not None:
        new = count(plan.new_characters, "character is", "characters are")
        rows["from"] = f"the weights of {plan.started_from}; {new} new"
    if plan.resumed_step is not None:
        rows["resumed"] = f"at step {plan.resumed_step:,} of {plan.total_steps:,}"
    for title in ("left out", "labels"):
        if not rows[title]:
            del rows[title]
    if not is_terminal(sys.stderr):
        for title, value in rows.items():
            console.print(f"{title}: {visible(value)}", markup=False)
    else:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", justify="right")
        table.add_column(overflow="fold")
        for title, value in rows.items():
            table.add_row(title, Text(visible(value)))
        console.print(table)
    for note in plan.notes:
        console.print(Text(visible(note.told(option)), style="yellow"))


def _songs(corpus: Corpus) -> str:
    songs = corpus.songs
    if songs is None:
        return "none told apart: the text is one stream"
    separator = separator_named(songs.parted) or separator_of(corpus.options.songs)
    apart = "" if songs.parted == FILES else "told apart by "
    return (
        f"{songs.number:,} of {songs.shortest:,} to {songs.longest:,} characters, {apart}"
        f"{separator.told}"
    )


def _labels(corpus: Corpus) -> str:
    return "\n".join(
        f"{name}: {count(values, 'value')}, "
        f"{count(without, 'song') if without else 'no song'} without one"
        for name, (values, without) in corpus.labels_met().items()
    )


def _remembered(told: Remembering, share: float) -> str:
    """Say what is remembered of the training text, and what a song that repeats itself tells."""
    what = "the song so far alone, because --no-index leaves out the grams of the text"
    if told.grams:
        of = "" if told.characters is None else f" of the last {told.characters:,}"
        what = f"{told.grams:,} grams of up to {told.order} characters{of}, {told_size(told.size)}"
    if told.grams and told.seconds is not None:
        took = "under 0.1" if told.seconds < 0.1 else f"{told.seconds:.1f}"
        what += f", counted in {took} seconds"
    often = "what a song has said already tells little more"
    if told.again is not None:
        passage = f"a passage of {count(told.again, 'character')}"
        often = f"{passage} that comes again is expected to go on as before"
    return f"{share:g}: {what}; {often}"


def _device(plan: Plan) -> str:
    device = plan.device
    if device == "cpu":
        device = f"cpu with {count(plan.threads, 'thread')}"
    return device if plan.teamwork is None else f"{plan.teamwork.workers} workers, each on {device}"


def _teamwork(teamwork: Teamwork, *, on_gpu: bool) -> str:
    """Say whether several workers pay."""
    gain = teamwork.gain
    one = "one process" if on_gpu else f"one process with {count(teamwork.threads, 'thread')}"
    pays = f"{gain:.1f} times as fast as {one}"
    if gain < _WORTH_WHILE:
        pays = f"they do not pay, only {pays}"
    return f"{pays}; telling and waiting for each other takes {teamwork.telling:.0%} of a step"


def _files(sources: Sequence[Source]) -> list[str]:
    """Return a line for each file, at most five files, those first whose encoding was guessed."""
    if len(sources) <= 5:
        return [line for source in sources for line in text_lines(source)]
    ordered = sorted(sources, key=lambda source: source.guess is None)
    guessed = sum(1 for source in ordered[4:] if source.guess is not None)
    also = f", {guessed:,} of them guessed as well" if guessed else ""
    lines = [line for source in ordered[:4] for line in text_lines(source)]
    return [*lines, f"… and {len(sources) - 4:,} more{also}"]


def _settings(recipe: Recipe) -> str:
    parts = [
        f"batch {recipe.batch} × window {recipe.window}",
        f"{recipe.optimizer} {recipe.learning_rate:g} {recipe.schedule}",
    ]
    if recipe.head_rate != 1:
        parts[-1] += f" (head × {recipe.head_rate:g})"
    if recipe.dropout:
        parts.append(f"dropout {recipe.dropout:g}")
    if recipe.weight_decay:
        parts.append(f"weight decay {recipe.weight_decay:g}")
    if recipe.patience:
        parts.append(f"patience {count(recipe.patience, 'epoch')}")
    return ", ".join(parts)


def _time(plan: Plan) -> str:
    """Say how long it will take and how often the text will be read."""
    if not plan.seconds:
        return "none, it is done already"
    often = f"{plan.passes:,.0f} times" if plan.passes >= 2 else f"{plan.passes:.2g} times"
    if often == "1 times":
        often = "once"
    return f"{told_duration(plan.seconds)}, reading the text {often}"


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _speed(report: Report, before: Report | None) -> float:
    """Characters a second since the previous report."""
    characters = report.characters - (before.characters if before else 0)
    seconds = report.seconds - (before.seconds if before else 0.0)
    return characters / max(seconds, 1e-9)
