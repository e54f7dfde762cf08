"""Rows of a terminal as a picture: every character in the column where the terminal has it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from pyte.screens import Char

from docs.pictures.terminal import Row

# In pixels: a column, a row, the letters, the bar at the top, the space around the text.
_COLUMN, _ROW, _SIZE, _TOP, _AROUND = 8.4, 20, 14, 34, 18
_BACKGROUND, _EDGE, _PLAIN, _DIM = "#161b22", "#3d444d", "#dfe3e8", "#8d96a0"
_COLORS = {
    "default": _PLAIN,
    "black": "#484f58",
    "red": "#ff7b72",
    "green": "#56d364",
    "brown": "#e3b341",  # which is what yellow was on the first colour terminals
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#56d4dd",
    "white": "#ffffff",
}
# No font is loaded: these are on somebody's machine or not. The last ones have Chinese.
_FONTS = (
    "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', "
    "'Noto Sans Mono CJK SC', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', monospace"
)
# Unicode's arrows and signs begin here; the blocks that fill a column, or an eighth of one.
_ARROWS, _FULL_BLOCK, _EIGHTH_BLOCK = 0x2190, 0x2588, 0x258F


def draw_window(title: str, columns: int, parts: Sequence[Sequence[Row | None]]) -> str:
    """Return an SVG of a terminal's window.

    Args:
        title: what the picture shows, for those who do not see it.
        columns: how wide the terminal is.
        parts: rows from one moment each, drawn one below the other with a rule between;
            ``None`` is drawn as an ellipsis.
    """
    width = columns * _COLUMN + 2 * _AROUND
    y: float = _TOP + _AROUND / 2
    drawn = []
    for number, part in enumerate(parts):
        if number:
            drawn.append(
                f'<path d="M0 {y + _ROW / 2:g}H{width:g}" stroke="{_EDGE}" stroke-dasharray="4 4"/>'
            )
            y += _ROW
        for row in part:
            drawn += _cut(y) if row is None else _drawn(row, y)
            y += _ROW
    height = y + _AROUND - 4
    dots = "".join(
        f'<circle cx="{20 + 18 * place}" cy="17" r="5.5" fill="{color}"/>'
        for place, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" xml:lang="zh-Hans" role="img" '
            f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
            f'font-family="{_FONTS}" font-size="{_SIZE}" xml:space="preserve">',
            f"<title>{escape(title)}</title>",
            f'<rect x=".5" y=".5" width="{width - 1:g}" height="{height - 1:g}" rx="9" '
            f'fill="{_BACKGROUND}" stroke="{_EDGE}"/>',
            dots,
            *drawn,
            "</svg>\n",
        )
    )


def _cut(y: float) -> list[str]:
    return [f'<text x="{_AROUND + 6 * _COLUMN:g}" y="{y + 14:g}" fill="{_DIM}">…</text>']


@dataclass(frozen=True)
class _Placed:
    """A character in its column, and whether it takes the next one as well."""

    column: int
    cell: Char
    wide: bool

    @property
    def x(self) -> float:
        return _AROUND + self.column * _COLUMN

    @property
    def end(self) -> float:
        return self.x + (1 + self.wide) * _COLUMN

    @property
    def letter_x(self) -> float:
        """Where its letter begins: one that is as wide as it is high is put in the middle."""
        return self.x + ((2 * _COLUMN - _SIZE) / 2 if self.wide else 0)

    @property
    def eighths(self) -> int:
        """How many eighths of its column a block fills, as in a bar; 0 where it is a letter."""
        code = ord(self.cell.data[0])
        return 8 - (code - _FULL_BLOCK) if _FULL_BLOCK <= code <= _EIGHTH_BLOCK else 0

    @property
    def sign(self) -> bool:
        """Whether it is narrow here and may come from a font in which it is wider."""
        return ord(self.cell.data[0]) >= _ARROWS and not self.wide and not self.eighths


def _drawn(row: Row, y: float) -> list[str]:
    """Draw the cells of one row, those that look alike together."""
    following = [*row[1:], None]
    characters = [
        _Placed(column, cell, wide=after is not None and not after.data)
        for column, (cell, after) in enumerate(zip(row, following, strict=True))
        if cell.data
    ]
    drawn = []
    for (ink, ground, style), group in groupby(characters, key=lambda one: _look(one.cell)):
        run = list(group)
        if ground:
            drawn.append(_bar(run[0].x, y, run[-1].end - run[0].x, _ROW, ground))
        for one in run:
            if one.eighths:  # drawn, because fonts leave gaps between these
                drawn.append(_bar(one.x, y + 2, one.eighths / 8 * _COLUMN + 0.2, _ROW - 4, ink))
            elif one.sign:
                drawn.append(
                    f'<text x="{one.x:.5g}" y="{y + 14:g}" fill="{ink}" textLength="{_COLUMN}" '
                    f'lengthAdjust="spacingAndGlyphs">{one.cell.data}</text>'
                )
        for words in _words(run):
            places = " ".join(f"{one.letter_x:.5g}" for one in words)
            text = escape("".join(one.cell.data for one in words), quote=False)
            drawn.append(f'<text x="{places}" y="{y + 14:g}" fill="{ink}"{style}>{text}</text>')
    return drawn


def _words(run: Sequence[_Placed]) -> Iterator[Sequence[_Placed]]:
    """Yield the letters with one space between them at most; SVG would make one of several."""
    text = "".join(" " if one.eighths or one.sign else one.cell.data[0] for one in run)
    for found in re.finditer(r"[^ ]+( [^ ]+)*", text):
        yield run[found.start() : found.end()]


def _bar(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.5g}" y="{y:g}" width="{width:.4g}" height="{height:g}" fill="{color}"/>'


def _look(cell: Char) -> tuple[str, str, str]:
    """Return the colour of a cell's letter, that of its ground if it has one, and its style."""
    ink = _color(cell.fg)
    if cell.blink:  # which stands for faint, see the terminal
        ink = _DIM if cell.fg == "default" else ink
    ground = "" if cell.bg == "default" else _color(cell.bg)
    if cell.reverse:
        ink, ground = ground or _BACKGROUND, ink
    style = ' font-weight="bold"' * cell.bold + ' font-style="italic"' * cell.italics
    return ink, ground, style


def _color(name: str) -> str:
    return _COLORS.get(name) or _COLORS.get(name.removeprefix("bright")) or f"#{name}"
