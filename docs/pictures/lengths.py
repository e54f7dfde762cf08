"""How long songs are: those that were learned, beside those that a model wrote."""

from collections.abc import Mapping, Sequence

from docs.pictures.diagram import Diagram

# In pixels.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _ROW = 720, 170, 190, 40, 52


def draw_lengths(lengths: Mapping[str, Sequence[int]]) -> str:
    """Return the SVG: for each kind its shortest, its quartiles, its median and its longest.

    Args:
        lengths: in characters, by what is said of them.
    """
    drawing = Diagram("How long songs are", _WIDTH, _HEIGHT)
    longest = max(map(max, lengths.values()))

    def place(length: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * length / longest

    for number, (name, kind) in enumerate(lengths.items()):
        y = 46 + _ROW * number
        shortest, low, median, high, most = quartiles(kind)
        drawing.text(20, y + 5, name, size=14)
        drawing.wire((place(shortest), y), (place(most), y), arrow=False)
        width = max(place(high) - place(low), 2)
        drawing.box(place(low), y - 11, width, 22, kind="squash", round=3)
        drawing.wire((place(median), y - 11), (place(median), y + 11), arrow=False)
        drawing.text(place(median), y + 27, f"{median:,}", size=12, kind="faint", anchor="middle")
    drawing.text(
        20,
        _HEIGHT - 16,
        "Characters a song: the shortest and the longest, the middle half, the median",
        size=13,
        kind="faint",
    )
    return drawing.svg()


def quartiles(lengths: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Return the shortest, the quarter, the middle one, three quarters and the longest."""
    ordered = sorted(lengths)
    last = len(ordered) - 1
    shortest, low, median, high, longest = (ordered[last * k // 4] for k in range(5))
    return shortest, low, median, high, longest
