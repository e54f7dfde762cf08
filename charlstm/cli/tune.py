"""`charlstm tune`: a search for settings that suit a text."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.console import (
    interruptible,
    loading,
    notes,
    progress_bar,
    reading_bar,
    say_guesses,
    say_left_out,
    visible,
    write_json,
)
from charlstm.cli.names import option, setting_called
from charlstm.cli.options import (
    DeviceOption,
    EncodingOption,
    FieldOption,
    QuietOption,
    ThreadsOption,
    recall_option,
    told_encoding,
)
from charlstm.cli.streams import be_quiet, check_redirections
from charlstm.cli.tables import fitting, plain_table, told_duration, write_tables
from charlstm.errors import Setting

if TYPE_CHECKING:
    from tqdm import tqdm

    from charlstm.sessions.session import Session
    from charlstm.sessions.tried import Tried
    from charlstm.sessions.tuning import Tuned, Tuning

_STATES = {
    "diverged": "diverged",
    "refused": "would take more memory than there is",
}


def tune(
    corpus: Annotated[
        list[str],
        typer.Argument(help="Files, directories, globs or .zip and .gz text.", show_default=False),
    ],
    minutes: Annotated[float, typer.Option(help="How long all of it may take, about.")] = 30.0,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="What to search, as in 'hidden' or, with bounds of one's own, 'hidden=64..512'; "
            "repeatable.",
            metavar="NAME[=LOW..HIGH]",
            show_default="hidden, layers, embedding, dropout, lr, head-rate, weight-decay, batch, "
            "window",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search; the same for each trial.")] = 0,
    recall: Annotated[float | None, recall_option()] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What to call the search.", show_default="after the corpus"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one object instead of tables.")
    ] = False,
    quiet: QuietOption = False,
    encoding: EncodingOption = None,
    field: FieldOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Search for settings that suit a text, and say how much better than the recipe's they are.

    The end of the text is set aside before the search; only the winner and the recipe's own
    settings are trained to be measured on it, three times each. Repeat the command to go on with a
    search that was interrupted.
    """
    told = [_told_setting(entry) for entry in vary or ()]
    be_quiet(quiet)
    check_redirections(corpus)
    with loading():
        from charlstm.machine import Machine
        from charlstm.recipes.ranges import ranges
        from charlstm.sessions.fitting import Material
        from charlstm.sessions.tuning import Tuning

    tuning = Tuning(
        Material(corpus, told_encoding(encoding)),
        ranges(told),
        minutes=minutes,
        name=name,
        settings={"recall": recall, "seed": seed, "field": field},
        machine=Machine(device=device, threads=threads),
        reading=reading_bar,
    )
    tuned, code = _Screen(tuning).follow()
    if tuned is None:
        notes().print("interrupted and saved; repeat the command to go on", style="yellow")
        raise SystemExit(code)
    if json:
        write_json(_as_json(tuning, tuned))
    else:
        _draw(tuning, tuned)
    _say_what_now(tuning)


def _told_setting(entry: str) -> tuple[str, str | None]:
    name, equals, bounds = entry.partition("=")
    return setting_called(name.strip()), bounds.strip() if equals else None


def _called(name: str) -> str:
    return option(Setting(name)).removeprefix("--")


class _Screen:
    """Draws a search: what it is about to do, a bar for all of it, a line for each training."""

    def __init__(self, tuning: "Tuning") -> None:
        self._tuning = tuning
        self._bar: tqdm[None] | None = None
        self._session: Session | None = None
        self._stopping = False
        self._finals = 0

    def follow(self) -> "tuple[Tuned | None, int]":
        """Train and draw; return what came of it, and the exit code if it was interrupted."""
        from charlstm.sessions.tuning import Tuned

        tuned = None
        self._say_plan()
        with interruptible(self._stop) as interruption:
            self._bar = progress_bar(self._tuning.seconds, self._place(0.0))
            try:
                for event in self._tuning.run():
                    if isinstance(event, Tuned):
                        tuned = event
                    else:
                        self._draw(event)
            finally:
                if self._bar is not None:
                    self._bar.close()
        return tuned, interruption.code

    def _stop(self) -> None:
        self._stopping = True
        if self._session is not None:
            self._session.stop()

    def _draw(self, event: Any) -> None:
        from charlstm.sessions.tried import Tried
        from charlstm.sessions.tuning import Begun
        from charlstm.training.events import Step

        match event:
            case Begun():
                self._session = event.session
                if self._stopping:
                    event.session.stop()
                self._move(event.session.plan.progress, event.name)
            case Step():
                self._move(event.progress)
            case Tried():
                self._finals += not event.name.startswith("trial-")
                self._say(event)

    def _place(self, progress: float) -> float:
        """Return how many seconds of all are over, about."""
        tuning = self._tuning
        if tuning.is_over:
            left = tuning.finals - self._finals - progress
            return max(tuning.seconds - left * tuning.final_seconds, 0.0)
        return min(tuning.spent + progress * tuning.plan.seconds, tuning.seconds)

    def _move(self, progress: float, name: str = "") -> None:
        if self._bar is None:
            return
        if name:
            best = self._tuning.best
            told = "" if best is None else f" · best {best.perplexity:,.2f}"
            self._bar.set_description_str(f"{name}{told}", refresh=False)
        self._bar.update(self._place(progress) - self._bar.n)

    def _say_plan(self) -> None:
        tuning = self._tuning
        say_guesses(tuning.sources)
        say_left_out(tuning.sources)
        if tuning.trials:
            self._line(f"{tuning.path}: goes on after {len(tuning.trials):,} trials")
        each = f"a trial takes {_about(tuning.plan.seconds)}"
        if tuning.plan.shortened:
            own = _about(tuning.plan.own_seconds)
            each += f", though the recipe would take {own}: more minutes make trials longer"
        self._line(f"{each}; {tuning.finals} trainings at the end are part of the minutes")
        self._line(f"searched: {', '.join(map(_called, tuning.ranges))}")

    def _say(self, tried: "Tried") -> None:
        if tried.perplexity is None:
            told = _STATES[tried.state]
        else:
            told = f"held-out perplexity {tried.perplexity:,.2f}"
            if tried.state == "behind":
                told += ", stopped because it is behind"
            elif tried == self._tuning.best:
                settings = (f"{_called(name)} {_shown(tried, name)}" for name in tried.settings)
                told += f", the best so far ({', '.join(settings)})"
        self._line(f"{tried.name}: {told}")

    def _line(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        notes().print(visible(line), style="dim", markup=False)
        if self._bar is not None:
            self._bar.refresh()


def _about(seconds: float) -> str:
    return told_duration(seconds) if seconds >= 10 else f"about {seconds:.2g} seconds"


def _draw(tuning: "Tuning", tuned: "Tuned") -> None:
    from rich.text import Text

    settings, figures = plain_table(), plain_table()
    rows = []
    for name in tuned.winner.settings:
        row = {"": _called(name), "winner": _shown(tuned.winner, name)}
        row["recipe"] = _shown(tuned.trials[0], name)
        if name in tuned.importances:
            row["importance"] = f"{tuned.importances[name]:.0%}"
        rows.append(row)
    titles = ["", "recipe", "winner", *(["importance"] if tuned.importances else [])]
    for title in titles:
        settings.add_column(title, justify="right" if title else "left", no_wrap=True)
    for row in rows:
        settings.add_row(*(Text(row.get(title, "")) for title in titles))

    kinds = ["winner"] if tuned.is_recipe else ["recipe", "winner"]
    measured = _measured(tuned, kinds)
    wanted = ["held-out ppl", *kinds, *(f"{kind} alone" for kind in kinds)]
    used = [title for title in wanted if any(title in row for row in measured)]
    used = fitting(used, measured, [f"{kind} alone" for kind in kinds])
    for title in used:
        right = title != "held-out ppl"
        figures.add_column(title, justify="right" if right else "left", no_wrap=True)
    for row in measured:
        figures.add_row(*(row.get(title, "") for title in used))
    write_tables(settings, figures, _verdict(tuning, tuned))


def _shown(tried: "Tried", name: str) -> str:
    from charlstm.recipes.varied import shown_value

    return shown_value(tried.settings[name])


def _measured(tuned: "Tuned", kinds: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each seed, and one for what they come to together."""
    from charlstm.figures import perplexity
    from charlstm.sessions.tuning import SEEDS

    rows: list[dict[str, str]] = [{"held-out ppl": f"seed {seed}"} for seed in SEEDS]
    mean = {"held-out ppl": "mean"}
    for kind in kinds:
        finals = tuned.of(kind)
        for row, tried in zip(rows, finals, strict=True):
            row[kind] = "diverged" if tried.perplexity is None else f"{tried.perplexity:,.2f}"
            if tried.best is not None and tried.best.network_perplexity is not None:
                row[f"{kind} alone"] = f"{tried.best.network_perplexity:,.2f}"
        losses = [tried.loss for tried in finals if tried.loss is not None]
        if len(losses) == len(finals):
            mean[kind] = f"{perplexity(sum(losses) / len(losses)):,.2f}"
        bests = [tried.best for tried in finals if tried.best is not None]
        alone = [best.network_loss for best in bests if best.network_loss is not None]
        if len(alone) == len(finals):
            mean[f"{kind} alone"] = f"{perplexity(sum(alone) / len(alone)):,.2f}"
    return [*rows, mean]


def _verdict(tuning: "Tuning", tuned: "Tuned") -> str:
    """Say what the search has brought, in a sentence or two."""
    told = _compared(tuned)
    if tuning.plan.shortened:
        each, own = map(_about, (tuning.plan.seconds, tuning.plan.own_seconds))
        told += f" Each had {each}; the recipe by itself would take {own}, and was not given them."
    return told


def _compared(tuned: "Tuned") -> str:
    on = "on the end of the text, which the search has not seen"
    if tuned.is_recipe:
        return f"Nothing was better than the recipe's own settings; measured {on}."
    winner, recipe = (
        [tried.perplexity for tried in tuned.of(kind) if tried.perplexity is not None]
        for kind in ("winner", "recipe")
    )
    if not winner or not recipe:
        return f"Not all could be measured {on}."
    if max(winner) < min(recipe):
        return f"All of the winner are better than all of the recipe, {on}."
    if max(recipe) < min(winner):
        return f"All of the recipe are better than all of the winner, {on}: keep the recipe."
    return f"Winner and recipe overlap, {on}: what lies between them may be chance."


def _as_json(tuning: "Tuning", tuned: "Tuned") -> dict[str, object]:
    from charlstm.figures import finite

    def told(tried: "Tried") -> dict[str, object]:
        best = None if tried.best is None else finite(tried.best.to_json())
        known = {"training": tried.name, "state": tried.state, "settings": dict(tried.settings)}
        return {**known, "parameters": tried.parameters, "passes": tried.passes, "best": best}

    return {
        "search": str(tuning.path),
        "winner": tuned.winner.name,
        "trials": [told(tried) for tried in tuned.trials],
        "finals": [told(tried) for tried in tuned.finals],
        "importances": dict(tuned.importances),
    }


def _say_what_now(tuning: "Tuning") -> None:
    path = tuning.path / "winner-0"
    line = f"{tuning.path}: tune.csv, tune.svg, and a run for each training"
    notes().print(visible(line), style="dim", markup=False)
    again = shlex.join(["charlstm", "generate", "--run", str(path)])
    notes().print(visible(f"now: {again}"), style="dim", markup=False)
