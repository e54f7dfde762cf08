"""The learning curve as a picture."""

import io
from collections.abc import Sequence

from charlstm.figures import Report


def draw_curve(reports: Sequence[Report]) -> bytes:
    """Return an SVG of training and held-out perplexity over the characters read.

    Args:
        reports: at least one.
    """
    # Not pyplot: it would look for a screen and keep global state.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    characters = [report.characters for report in reports]
    axes.plot(
        characters,
        [report.train_perplexity for report in reports],
        label="training text",
        color="#888888",
        marker="." if len(reports) < 3 else None,
    )
    held_out = [report.validation_perplexity for report in reports]
    if any(value is not None for value in held_out):
        best = min((value, place) for place, value in enumerate(held_out) if value is not None)
        axes.plot(characters, held_out, label="held-out text", color="#c2410c")  # type: ignore[arg-type]
        axes.plot(characters[best[1]], best[0], "o", color="#c2410c", label=f"best {best[0]:.4g}")
    axes.set_yscale("log")
    axes.set_xlabel("characters read")
    axes.set_ylabel("perplexity")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    # Without a date and with fixed ids the same figures give the same file.
    with io.BytesIO() as file, rc_context({"svg.hashsalt": "charlstm"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()
