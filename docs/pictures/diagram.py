"""What the drawn pictures are drawn with: shapes that can be read in light and in dark."""

from collections.abc import Sequence
from html import escape

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', 'Liberation Sans', sans-serif"
_CODE = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_MATHS = "'STIX Two Text', 'Cambria Math', 'Times New Roman', 'DejaVu Serif', serif"

# What is drawn in which colour: in light, in dark. The card is drawn too, so that a page that is
# dark where the browser prefers light shows a light card and not dark letters on dark.
_COLORS = {
    "card": ("#ffffff", "#161b22"),
    "edge": ("#d0d7de", "#3d444d"),
    "box": ("#f6f8fa", "#1f262f"),
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9ea7b3"),
    "gate": ("#ffe9d1", "#5a3310"),
    "gate-edge": ("#c2410c", "#f0883e"),
    "squash": ("#dbeafe", "#12325c"),
    "squash-edge": ("#1d4ed8", "#79b8ff"),
    "node": ("#dcf5e3", "#12391f"),
    "node-edge": ("#1a7f37", "#56d364"),
}


class Diagram:
    """Shapes on a card, collected until they are all there.

    Args:
        title: what it shows, for those who do not see it.
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, title: str, width: int, height: int) -> None:
        self._title, self._width, self._height = title, width, height
        self._shapes: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, *, kind: str, round: float = 8
    ) -> None:
        """Add a rectangle: ``box``, or a ``gate`` or another kind with an edge of its own."""
        edge = f"{kind}-edge" if f"{kind}-edge" in _COLORS else "edge"
        self._shapes.append(
            f'<rect class="{kind} line-{edge}" x="{x:g}" y="{y:g}" width="{width:g}" '
            f'height="{height:g}" rx="{round:g}"/>'
        )

    def node(self, x: float, y: float, sign: str, *, radius: float = 16) -> None:
        """Add a circle with a sign in it, × or +, drawn from strokes."""
        self._shapes.append(
            f'<circle class="node line-node-edge" cx="{x:g}" cy="{y:g}" r="{radius:g}"/>'
        )
        arm = radius * (0.36 if sign == "×" else 0.5)
        strokes = {
            "×": f"M{x - arm:g} {y - arm:g}L{x + arm:g} {y + arm:g}"
            f"M{x - arm:g} {y + arm:g}L{x + arm:g} {y - arm:g}",
            "+": f"M{x - arm:g} {y:g}H{x + arm:g}M{x:g} {y - arm:g}V{y + arm:g}",
        }
        self._shapes.append(f'<path class="wire" d="{strokes[sign]}"/>')

    def wire(self, *points: tuple[float, float], arrow: bool = True) -> None:
        """Add a line through points, with its corners rounded and an arrow at its end."""
        path = f"M{points[0][0]:g} {points[0][1]:g}"
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            (ax, ay), (bx, by) = _towards(corner, before), _towards(corner, after)
            path += f"L{ax:g} {ay:g}Q{corner[0]:g} {corner[1]:g} {bx:g} {by:g}"
        x, y = points[-1]
        path += f"L{x:g} {y:g}"
        head = ' marker-end="url(#head)"' if arrow else ""
        self._shapes.append(f'<path class="wire" d="{path}"{head}/>')

    def dot(self, x: float, y: float) -> None:
        """Add what shows that a wire divides."""
        self._shapes.append(f'<circle class="ink" cx="{x:g}" cy="{y:g}" r="4"/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 15,
        kind: str = "ink",
        font: str = "plain",
        anchor: str = "start",
    ) -> None:
        """Add a line of text; y is its baseline."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._shapes.append(
            f'<text class="{kind} {font}" x="{x:g}" y="{y:g}" font-size="{size:g}"{place}>'
            f"{escape(text, quote=False)}</text>"
        )

    def svg(self) -> str:
        """Return the whole picture."""
        light, dark = _rules(0), _rules(1)
        width, height = self._width, self._height
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" '
                f'height="{height}" viewBox="0 0 {width} {height}" xml:space="preserve">',
                f"<title>{escape(self._title)}</title>",
                "<style>",
                f".plain {{ font-family: {_FONT} }}",
                f".bold {{ font-family: {_FONT}; font-weight: 600 }}",
                f".code {{ font-family: {_CODE} }}",
                f".maths {{ font-family: {_MATHS}; font-style: italic }}",
                ".wire { fill: none; stroke-width: 2 }",
                *light,
                "@media (prefers-color-scheme: dark) {",
                *dark,
                "}",
                "</style>",
                '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
                'markerHeight="7" orient="auto"><path class="ink" d="M0 0L10 5L0 10L2.5 5z"/>'
                "</marker>",
                f'<rect class="card line-edge" x=".5" y=".5" width="{width - 1}" '
                f'height="{height - 1}" rx="10"/>',
                *self._shapes,
                "</svg>\n",
            )
        )


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the point a few pixels from a corner on the way to another one."""
    (x, y), (to_x, to_y) = corner, other
    length = max(abs(to_x - x), abs(to_y - y), 1)
    part = min(8 / length, 0.5)
    return x + (to_x - x) * part, y + (to_y - y) * part


def _rules(scheme: int) -> Sequence[str]:
    colors = {name: both[scheme] for name, both in _COLORS.items()}
    rules = [
        f".line-{name} {{ stroke: {color} }}" if "edge" in name else f".{name} {{ fill: {color} }}"
        for name, color in colors.items()
    ]
    return [*rules, f".wire {{ stroke: {colors['ink']} }}"]
