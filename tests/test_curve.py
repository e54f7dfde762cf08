import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from charlstm.figures import Report
from charlstm.sessions.curve import draw_comparison, draw_curve

HELD_OUT = b"#c2410c"


def reports(training: Sequence[float], held_out: Sequence[float | None]) -> list[Report]:
    return [
        Report(
            step=10 * epoch,
            epoch=epoch,
            seconds=1.5 * epoch,
            characters=1000 * epoch,
            train_loss=loss,
            validation_loss=measured,
            learning_rate=0.003,
        )
        for epoch, (loss, measured) in enumerate(zip(training, held_out, strict=True), start=1)
    ]


MEASURED = reports([3.0, 2.5, 2.0, 1.5], [3.1, 2.6, 2.375, 2.5])
NOT_MEASURED = reports([3.0, 2.5, 2.0], [None, None, None])


def lines_drawn(svg: bytes, color: str) -> list[str]:
    """Return the paths in a colour that are lines, not the dots on them."""
    return [
        path.attrib["d"]
        for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
        if f"stroke: {color}" in path.attrib.get("style", "") and "clip-path" in path.attrib
    ]


def places(path: str) -> list[tuple[float, float]]:
    """Return the points of a path, across and down."""
    words = path.replace("M", " ").replace("L", " ").split()
    return [(float(x), float(y)) for x, y in zip(words[::2], words[1::2], strict=True)]


def labels(svg: bytes) -> set[str]:
    """Return the words of a picture, which are drawn as shapes with the words in comments."""
    return {words.strip() for words in re.findall("<!--(.*?)-->", svg.decode(), re.S)}


@pytest.mark.parametrize(
    "some",
    [MEASURED, MEASURED[:2], MEASURED[:1], NOT_MEASURED, NOT_MEASURED[:1]],
    ids=["several", "two", "one", "nothing held out", "one, nothing held out"],
)
def test_a_curve_is_a_whole_picture_and_the_same_every_time(some: list[Report]) -> None:
    first = draw_curve(some)
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert {"characters read", "seconds of training", "training text"} <= labels(first)
    assert draw_curve(some) == first


def test_a_curve_has_both_losses_over_characters_and_over_time() -> None:
    svg = draw_curve(MEASURED)
    for color, losses in (
        ("#8a8a8a", [report.train_loss for report in MEASURED]),
        ("#c2410c", [report.validation_loss or 0 for report in MEASURED]),
    ):
        drawn = [places(path) for path in lines_drawn(svg, color)]
        assert [len(points) for points in drawn] == [4, 4]
        for points in drawn:
            across = [x for x, _ in points]
            assert across == sorted(across)
            # A picture counts downwards: the lower the loss, the larger the number.
            by_depth = sorted(range(4), key=lambda place: points[place][1])
            assert by_depth == sorted(range(4), key=lambda place: -losses[place])


def test_a_curve_marks_the_best_held_out_loss() -> None:
    assert {"held-out text", "best 2.375"} <= labels(draw_curve(MEASURED))
    assert "best 2.6" in labels(draw_curve(MEASURED[:2]))


def test_a_curve_with_nothing_held_out_does_not_speak_of_it() -> None:
    svg = draw_curve(NOT_MEASURED)
    assert HELD_OUT not in svg
    assert "held-out text" not in labels(svg)
    assert not any(label.startswith("best") for label in labels(svg))


@pytest.mark.parametrize("some", [MEASURED, NOT_MEASURED], ids=["measured", "not measured"])
def test_points_that_are_not_yet_a_curve_can_be_seen(some: list[Report]) -> None:
    def dots(svg: bytes, color: str) -> int:
        return sum(
            f"fill: {color}" in dot.attrib.get("style", "")
            for dot in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}use")
        )

    for count, expected in ((1, 1), (2, 2), (3, 0)):
        # In both panels; the legend has one more.
        expected = 2 * expected + (expected > 0)
        assert dots(draw_curve(some[:count]), "#8a8a8a") == expected
        assert dots(draw_comparison({"a": some[:count]}), "#1f77b4") == expected


def test_a_comparison_is_a_whole_picture_and_the_same_every_time() -> None:
    curves = {
        "lstm": MEASURED,
        "gru-torch-h64-lr0.003": MEASURED[:2],
        "none held out": NOT_MEASURED,
    }
    first = draw_comparison(curves)
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert {"characters read", "seconds of training", *curves} <= labels(first)
    assert draw_comparison(curves) == first


def test_a_comparison_gives_each_training_one_colour_in_both_panels() -> None:
    longer = reports([3.0, 2.0, 1.0, 0.5, 0.4], [3.0, 2.0, 1.0, 0.9, 0.8])
    svg = draw_comparison({"one": MEASURED, "two": longer, "three": NOT_MEASURED})
    # The colours that the library gives to the first, the second and the third.
    for color, count in (("#1f77b4", 4), ("#ff7f0e", 5), ("#2ca02c", 3)):
        assert [len(places(path)) for path in lines_drawn(svg, color)] == [count, count]


def test_a_comparison_draws_a_training_that_holds_nothing_out_dashed() -> None:
    assert b"stroke-dasharray: 5" in draw_comparison({"a": MEASURED, "b": NOT_MEASURED})
    grid_only = draw_comparison({"a": MEASURED})
    assert b"stroke-dasharray" not in grid_only
