"""Learning curves as pictures: perplexity, as the terminal tells it, over what was read."""

import html
import io
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charlstm.figures import Report, perplexity
from charlstm.outputs import MAKER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAINING, _HELD_OUT = "#8a8a8a", "#c2410c"
# In inches, of which each has 72 of the picture's units.
_WIDTH, _HEIGHT, _UNITS = 8, 4, 72
# The share of the height that is left to the title, and what the title is set in.
_TITLE_SHARE, _TITLE_FONT = 0.1, "14px 'DejaVu Sans', Verdana, sans-serif"
# Time says nothing of its own while no curve is further than this from a steady speed, as a share
# of the longest time.
_STEADY = 0.05
# A loss that is drawn higher is that of a training that went astray.
_HIGHEST_LOSS = 100.0
# The rounds of a decade that ticks stand at: the first ones that give enough.
_ROUNDS = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    tuple(n / 10 for n in range(10, 100, 5)),
    tuple(n / 10 for n in range(10, 100)),
)
_FEWEST_TICKS = 4


def draw_curve(reports: Sequence[Report], title: str = "") -> bytes:
    """Return an SVG of the perplexity of the training text and of the held-out text.

    The training text is always predicted by the network alone; the held-out text with what it is
    blended with as well, if anything, and by the network alone, dashed.

    It is drawn over the characters read; beside it over time, where the speed was not the same
    all along. The distances are those of the losses: twice the perplexity is as far everywhere.

    Args:
        reports: at least one.
        title: the name of the run.
    """
    losses = [report.train_loss for report in reports]
    for measured_of in (_measured, _alone):
        losses += [loss for loss in map(measured_of, reports) if loss is not None]
    figure, panels = _panels([reports], losses)
    for axes, places in zip(panels, _places(reports), strict=False):
        dot = "." if len(reports) < 3 else None  # a line needs two ends to be seen
        learned = [_drawn(report.train_loss) for report in reports]
        axes.plot(places, learned, label="training text", color=_TRAINING, marker=dot)
        alone = _drawn_of(_alone, reports, places)
        if alone:
            label = "held-out text, the network alone"
            axes.plot(*zip(*alone, strict=True), "--", label=label, color=_HELD_OUT, marker=dot)
        measured = _drawn_of(_measured, reports, places)
        if measured:
            label = "held-out text, with recall" if alone else "held-out text"
            axes.plot(*zip(*measured, strict=True), label=label, color=_HELD_OUT)
            best = min(reports, key=_measured_loss)
            place = places[reports.index(best)]
            label = f"best {perplexity(_measured_loss(best)):,.2f}, epoch {best.epoch:,}"
            axes.plot(place, _drawn(_measured_loss(best)), "o", color=_HELD_OUT, label=label)
    panels[0].set_ylabel("perplexity")
    panels[0].legend(frameon=False)
    return _svg(figure, title)


def draw_comparison(
    curves: Mapping[str, Sequence[Report]],
    title: str = "",
    levels: Mapping[str, float] | None = None,
) -> bytes:
    """Return an SVG of the perplexity of the held-out text in several trainings.

    It is that of the networks alone. A training that holds nothing out is drawn by the perplexity
    of its training text, dashed.

    Args:
        curves: the reports of each, by the name it has in the legend; at least one of them.
        title: the name of the comparison.
        levels: held-out losses of models that are not trained, by their names; drawn dotted.
    """
    levels = levels or {}
    losses = [
        loss for reports in curves.values() for _, loss in _curve(reports, _places(reports)[0])[0]
    ]
    losses += levels.values()
    figure, panels = _panels(list(curves.values()), losses)
    for name, reports in curves.items():
        color = None
        for axes, places in zip(panels, _places(reports), strict=False):
            points, measured = _curve(reports, places)
            (line,) = axes.plot(
                *zip(*points, strict=True),
                "-" if measured else "--",
                label=name if measured else f"{name} (training text)",
                color=color,
                marker="." if len(points) < 3 else None,
            )
            color = line.get_color()  # the same one in both panels
    for name, loss in levels.items():
        for axes in panels:
            axes.axhline(_drawn(loss), linestyle=":", label=name, color=_TRAINING)
    panels[0].set_ylabel("perplexity of the held-out text")
    panels[0].legend(frameon=False)
    return _svg(figure, title)


def draw_search(
    curves: Mapping[str, Sequence[Report]],
    behind: Collection[str],
    winner: str,
    title: str = "",
) -> bytes:
    """Return an SVG of the perplexity of the held-out text over the seconds of each training.

    Of what writes: with recall, where there is any. The step line is the best that any training had
    come to by then.

    Args:
        curves: the reports of each training, by its name.
        behind: the names of those that were stopped; they are lighter.
        winner: the name of the best.
        title: the name of the search.
    """
    points = {
        name: _drawn_of(_measured, reports, [report.seconds for report in reports])
        for name, reports in curves.items()
    }
    unit, length = _time_unit(max(seconds for some in points.values() for seconds, _ in some))
    figure, (axes,) = _empty([loss for some in points.values() for _, loss in some], 1)
    _show_time(axes, unit, length)
    axes.set_ylabel("perplexity of the held-out text")
    styles: dict[str, dict[str, Any]] = {
        "stopped behind": {"color": _TRAINING, "alpha": 0.35, "linewidth": 0.8},
        "other trials": {"color": _TRAINING, "linewidth": 0.8},
        f"{winner}, the best": {"color": _HELD_OUT, "linewidth": 1.5},
    }
    told = set()
    for name, some in points.items():
        place = 2 if name == winner else 0 if name in behind else 1
        label, style = list(styles.items())[place]
        marker = "." if len(some) < 3 else None
        once = None if label in told else label
        axes.plot(*zip(*some, strict=True), label=once, marker=marker, gid=name, **style)
        told.add(label)
    seconds, best = _envelope(point for some in points.values() for point in some)
    axes.step(seconds, best, where="post", color="black", linewidth=0.8, label="best by then")
    axes.plot(*min(points[winner], key=lambda point: point[1]), "o", color=_HELD_OUT)
    axes.legend(frameon=False)
    return _svg(figure, title)


def _envelope(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return where the lowest loss so far falls, and to what; it stays there to the end."""
    seconds: list[float] = []
    best: list[float] = []
    last = 0.0
    for second, loss in sorted(points):
        last = second
        if not best or loss < best[-1]:
            seconds.append(second)
            best.append(loss)
    return [*seconds, last], [*best, best[-1]]


def _places(reports: Sequence[Report]) -> tuple[list[float], list[float]]:
    """Return where the reports stand in each panel: characters read, seconds of training."""
    return [report.characters for report in reports], [report.seconds for report in reports]


def _measured_loss(report: Report) -> float:
    return math.inf if report.validation_loss is None else report.validation_loss


def _measured(report: Report) -> float | None:
    return report.validation_loss


def _alone(report: Report) -> float | None:
    """Return the held-out loss of a network without what it is blended with."""
    return report.network_loss


def _compared(report: Report) -> float | None:
    """Return the held-out loss of a network, which may be blended with something or not."""
    return report.validation_loss if report.network_loss is None else report.network_loss


def _drawn_of(
    loss_of: Callable[[Report], float | None],
    reports: Sequence[Report],
    places: Sequence[float],
) -> list[tuple[float, float]]:
    """Return where the reports that have a loss are drawn."""
    losses = map(loss_of, reports)
    return [
        (place, _drawn(loss))
        for place, loss in zip(places, losses, strict=True)
        if loss is not None
    ]


def _curve(
    reports: Sequence[Report], places: Sequence[float]
) -> tuple[list[tuple[float, float]], bool]:
    """Return a training's curve in a comparison, and whether it is of held-out text."""
    held_out = _drawn_of(_compared, reports, places)
    return held_out or _drawn_of(lambda report: report.train_loss, reports, places), bool(held_out)


def _drawn(loss: float) -> float:
    return min(loss, _HIGHEST_LOSS)


def _panels(
    curves: Sequence[Sequence[Report]], losses: Sequence[float]
) -> "tuple[Figure, Sequence[Axes]]":
    """Return a figure and its empty panels, with room for these losses."""
    seconds = max(report.seconds for reports in curves for report in reports)
    unit, length = _time_unit(seconds)
    figure, panels = _empty(losses, 1 if _is_steady(curves) else 2)
    panels[0].set_xlabel("characters read")
    panels[0].xaxis.set_major_formatter(lambda place, _: _thousands(place))
    if len(panels) == 2:
        _show_time(panels[1], unit, length)
    return figure, panels


def _empty(losses: Sequence[float], count: int) -> "tuple[Figure, Sequence[Axes]]":
    """Return a figure and so many panels that share the room for these losses."""
    # Not pyplot: it would look for a screen and keep global state.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FixedFormatter, FixedLocator

    lowest, highest = _ends(losses)
    ticks = _ticks(lowest, highest)
    figure = Figure(
        figsize=(_WIDTH if count == 1 else _WIDTH * 1.4, _HEIGHT),
        layout=ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - _TITLE_SHARE)),
    )
    panels: list[Axes] = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_ylim(lowest, highest)
        axes.yaxis.set_major_locator(FixedLocator([math.log(tick) for tick in ticks]))
        axes.yaxis.set_major_formatter(FixedFormatter([_number(tick) for tick in ticks]))
    return figure, panels


def _show_time(axes: "Axes", unit: str, length: float) -> None:
    """Let a panel's width be time."""
    axes.set_xlabel(f"{unit} of training")
    axes.xaxis.set_major_formatter(lambda at, _: _number(at / length))


def _is_steady(curves: Sequence[Sequence[Report]]) -> bool:
    """Whether all were read at one speed, so that time would show the same curves once more."""
    reports = [report for some in curves for report in some]
    last = max(reports, key=lambda report: report.seconds)
    if not last.characters or not last.seconds:
        return True
    pace = last.seconds / last.characters
    return all(
        abs(report.seconds - pace * report.characters) <= _STEADY * last.seconds
        for report in reports
    )


def _time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit that suits a time, and how many seconds it has."""
    if seconds < 600:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 36_000 else ("hours", 3600.0)


def _ends(losses: Sequence[float]) -> tuple[float, float]:
    """Return the losses at which the picture begins and ends, some room included."""
    lowest, highest = min(map(_drawn, losses)), max(map(_drawn, losses))
    room = max(0.06 * (highest - lowest), 0.02)
    return lowest - room, highest + room


def _ticks(lowest: float, highest: float) -> list[float]:
    """Return round perplexities between two losses."""
    decades = range(math.floor(lowest / math.log(10)), math.ceil(highest / math.log(10)) + 1)
    ticks: list[float] = []
    for rounds in _ROUNDS:
        every = max(1, len(decades) // 8) if len(rounds) == 1 else 1
        ticks = [
            number * 10.0**decade
            for decade in decades[::every]
            for number in rounds
            if lowest <= math.log(number * 10.0**decade) <= highest
        ]
        if len(ticks) >= _FEWEST_TICKS:
            return ticks
    # So near to each other that nothing that round lies between them.
    low, high = math.exp(lowest), math.exp(highest)
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (1, 0.5, 0.2, 0.1) if (high - low) / (step * part) >= 4)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(number: float) -> str:
    return f"{number:,.0f}" if 1000 <= number < 1e9 else f"{number:.4g}"


def _thousands(number: float) -> str:
    """Return a number of characters in thousands, or in millions where those would be many."""
    if abs(number) >= 1e7:
        return f"{number / 1e6:,.4g}M"
    return f"{number / 1e3:,.6g}k" if number else "0"


def _svg(figure: "Figure", title: str) -> bytes:
    from matplotlib import rc_context

    # Without a date and with fixed ids the same figures give the same file.
    with io.BytesIO() as file, rc_context({"svg.hashsalt": "charlstm"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": MAKER})
        drawn = file.getvalue()
    # A run has a name in any script, and its letters are left to the fonts of whoever looks.
    name = html.escape("".join(letter for letter in title if letter.isprintable()))
    middle = figure.get_figwidth() * _UNITS / 2
    text = f'<text x="{middle:g}" y="20" style="font: {_TITLE_FONT}; text-anchor: middle">{name}'
    end = drawn.rindex(b"</svg>")
    return drawn[:end] + f"{text}</text>\n".encode() + drawn[end:]
