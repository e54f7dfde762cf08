"""Whether the pictures that are drawn from the code still show what the code says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.pictures.cell import draw_cell
from docs.pictures.flow import draw_flow

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


@pytest.mark.parametrize(("name", "draw"), [("cell", draw_cell), ("flow", draw_flow)])
def test_a_picture_drawn_from_the_code_is_current(name: str, draw: Callable[[], str]) -> None:
    drawn = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == draw(), f"make it again: python -m docs.pictures {name}"


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_is_small_and_asks_nobody_for_anything(path: Path) -> None:
    svg = path.read_text(encoding="utf-8")
    # Names of namespaces and of what the metadata mean look like addresses, and are not asked for.
    assert not re.search(r"<(image|script|link|foreignObject)|@import|@font-face", svg)
    assert all(place.startswith("#") for place in re.findall(r"href=\"([^\"]*)", svg))
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", svg))
    assert len(svg.encode()) < 150_000
