import math
import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from charlstm.figures import Report
from charlstm.sessions.curve import _ends, _ticks, draw_comparison, draw_curve

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
    first = draw_curve(some, "song")
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert {"perplexity", "characters read", "training text"} <= labels(first)
    assert draw_curve(some, "song") == first


def test_time_is_drawn_as_well_where_the_speed_was_not_the_same_all_along() -> None:
    assert "seconds of training" not in labels(draw_curve(MEASURED))
    paused = [replace(report, seconds=report.seconds**3) for report in MEASURED]
    assert "seconds of training" in labels(draw_curve(paused))
    long = [replace(report, seconds=30 * report.seconds**3) for report in MEASURED]
    assert "minutes of training" in labels(draw_curve(long))
    # Two trainings at their own speeds, each of them steady.
    slower = [replace(report, seconds=2 * report.seconds) for report in MEASURED]
    assert "seconds of training" in labels(draw_comparison({"a": MEASURED, "b": slower}))
    assert "seconds of training" not in labels(draw_comparison({"a": MEASURED, "b": MEASURED}))


def test_characters_are_counted_in_thousands_and_perplexities_stand_at_round_numbers() -> None:
    assert {"1k", "4k"} <= labels(draw_curve(MEASURED))
    # From exp(1.5) to exp(3.1), in the figures that the terminal tells.
    assert {"5", "7", "10", "20"} <= labels(draw_curve(MEASURED))
    many = [replace(report, characters=500_000 * report.epoch) for report in MEASURED]
    assert {"1,000k", "2,000k"} <= labels(draw_curve(many))
    assert not any("1e" in label for label in labels(draw_curve(many)))
    most = [replace(report, characters=50_000_000 * report.epoch) for report in MEASURED]
    assert {"100M", "200M"} <= labels(draw_curve(most))


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.5, 3.1), (4.9, 5.0), (0.0, 0.01), (6.9, 7.4), (2.0, 9.2), (-0.1, 99.0), (4.0, 4.0)],
)
def test_there_are_a_few_round_perplexities_whatever_they_are(low: float, high: float) -> None:
    lowest, highest = _ends([low, high])
    ticks = _ticks(lowest, highest)
    assert 4 <= len(ticks) <= 19
    assert ticks == sorted(set(ticks))
    assert all(lowest - 1e-9 <= math.log(tick) <= highest + 1e-9 for tick in ticks)


@pytest.mark.parametrize("title", ["song-2", "歌 <词> & שיר", "a\x1b]0;b\u202e"])
def test_a_curve_has_the_name_of_its_run(title: str) -> None:
    for svg in (draw_curve(MEASURED, title), draw_comparison({"a": MEASURED}, title)):
        (text,) = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        assert text.text == "".join(letter for letter in title if letter.isprintable())


def test_a_training_that_went_astray_can_be_drawn() -> None:
    for loss in (700.0, 1e38):
        astray = reports([3.0, loss], [3.1, loss])
        assert "best 22.20, epoch 1" in labels(draw_curve(astray))


def test_a_curve_has_both_perplexities_over_characters_and_over_time() -> None:
    svg = draw_curve([replace(report, seconds=report.seconds**3) for report in MEASURED])
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
    assert {"held-out text", "best 10.75, epoch 3"} <= labels(draw_curve(MEASURED))
    assert "best 13.46, epoch 2" in labels(draw_curve(MEASURED[:2]))


def test_with_recall_the_network_alone_is_drawn_as_well_dashed() -> None:
    blended = [replace(report, network_loss=3.5 - report.epoch / 10) for report in MEASURED]
    svg = draw_curve(blended)
    said = {"held-out text, with recall", "held-out text, the network alone"}
    assert said <= labels(svg)
    assert not said & labels(draw_curve(MEASURED))
    assert b"stroke-dasharray" in svg
    alone, recalled, *_ = (places(path) for path in lines_drawn(svg, HELD_OUT.decode()))
    assert len(alone) == len(recalled) == 4
    assert all(a > b for (_, b), (_, a) in zip(alone, recalled, strict=True))  # down the picture


def test_a_comparison_draws_the_networks_alone_and_what_was_counted_as_a_level() -> None:
    blended = [
        replace(report, validation_loss=1.0, network_loss=report.validation_loss)
        for report in MEASURED
    ]
    assert draw_comparison({"a": blended}) == draw_comparison({"a": MEASURED})
    assert "ngram" in labels(draw_comparison({"a": blended}, levels={"ngram": 2.2}))


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
        expected += expected > 0  # the legend has one more
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
    assert {"characters read", "perplexity of the held-out text"} <= labels(first)
    assert {"lstm", "gru-torch-h64-lr0.003", "none held out (training text)"} <= labels(first)
    assert draw_comparison(curves) == first


def test_a_comparison_gives_each_training_one_colour_in_both_panels() -> None:
    longer = reports([3.0, 2.0, 1.0, 0.5, 0.4], [3.0, 2.0, 1.0, 0.9, 0.8])
    slower = [replace(report, seconds=2 * report.seconds) for report in MEASURED]
    svg = draw_comparison({"one": slower, "two": longer, "three": NOT_MEASURED})
    # The colours that the library gives to the first, the second and the third.
    for color, count in (("#1f77b4", 4), ("#ff7f0e", 5), ("#2ca02c", 3)):
        assert [len(places(path)) for path in lines_drawn(svg, color)] == [count, count]


def test_a_comparison_draws_a_training_that_holds_nothing_out_dashed() -> None:
    assert b"stroke-dasharray: 5" in draw_comparison({"a": MEASURED, "b": NOT_MEASURED})
    grid_only = draw_comparison({"a": MEASURED})
    assert b"stroke-dasharray" not in grid_only
