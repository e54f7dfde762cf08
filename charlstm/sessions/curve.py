"""Learning curves as pictures."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from charlstm.figures import Report
from charlstm.outputs import MAKER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAINING, _HELD_OUT = "#8a8a8a", "#c2410c"


def draw_curve(reports: Sequence[Report]) -> bytes:
    """Return an SVG of the training and the held-out loss over characters read and over time.

    Args:
        reports: at least one.
    """
    figure, (over_characters, over_time) = _panels()
    for axes, places in (
        (over_characters, [report.characters for report in reports]),
        (over_time, [report.seconds for report in reports]),
    ):
        dot = "." if len(reports) < 3 else None  # a line needs two ends to be seen
        losses = [report.train_loss for report in reports]
        axes.plot(places, losses, label="training text", color=_TRAINING, marker=dot)
        measured = _held_out(reports, places)
        if measured:
            axes.plot(*zip(*measured, strict=True), label="held-out text", color=_HELD_OUT)
            place, loss = min(measured, key=lambda point: point[1])
            axes.plot(place, loss, "o", color=_HELD_OUT, label=f"best {loss:.4g}")
    over_characters.legend(frameon=False)
    return _svg(figure)


def draw_comparison(curves: Mapping[str, Sequence[Report]]) -> bytes:
    """Return an SVG of several trainings' held-out losses over characters read and over time.

    A training that holds nothing out is drawn by its training loss, dashed.

    Args:
        curves: the reports of each, by the name it has in the legend; at least one of them.
    """
    figure, (over_characters, over_time) = _panels()
    for name, reports in curves.items():
        color = None
        for axes, places in (
            (over_characters, [report.characters for report in reports]),
            (over_time, [report.seconds for report in reports]),
        ):
            measured = _held_out(reports, places)
            style = "-" if measured else "--"
            points = measured or list(
                zip(places, [report.train_loss for report in reports], strict=True)
            )
            marker = "." if len(points) < 3 else None
            (line,) = axes.plot(
                *zip(*points, strict=True), style, label=name, color=color, marker=marker
            )
            color = line.get_color()  # the same one in both panels
    over_characters.legend(frameon=False)
    return _svg(figure)


def _held_out(reports: Sequence[Report], places: Sequence[float]) -> list[tuple[float, float]]:
    losses = [report.validation_loss for report in reports]
    return [(place, loss) for place, loss in zip(places, losses, strict=True) if loss is not None]


def _panels() -> "tuple[Figure, Sequence[Axes]]":
    # Not pyplot: it would look for a screen and keep global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axes, label in zip(panels, ("characters read", "seconds of training"), strict=True):
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("loss (nats a character)")
    return figure, panels


def _svg(figure: "Figure") -> bytes:
    from matplotlib import rc_context

    # Without a date and with fixed ids the same figures give the same file.
    with io.BytesIO() as file, rc_context({"svg.hashsalt": "charlstm"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": MAKER})
        return file.getvalue()
