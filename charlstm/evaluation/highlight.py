"""A text with the surprise of a model at each of its characters: in lines, and as a page."""

import html
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.outputs import PAGE
from charlstm.text.letters import letters
from charlstm.text.songs import END

SHADES = (
    (1.0, None),
    (2.0, "#fff3d6"),
    (4.0, "#ffe0a3"),
    (6.0, "#ffc06b"),
    (9.0, "#ff9248"),
    (float("inf"), "#f2603c"),
)
"""Backgrounds by surprisal: up to this many bits, this colour; ``None`` is no colour."""

# The page's ranking has this many lines.
_RANKED = 100

LINE_END = "⏎"
"""What stands for a line break, which is predicted like any other character."""

SONG_END = "∎"
"""What stands for the end of a song, which is predicted as well."""

_LINE = re.compile(f"([^\n{END}]*)(\n?)({END}?)")


@dataclass(frozen=True)
class Line:
    """One line of the text.

    Attributes:
        number: from 1.
        text: its characters, without the line break at its end.
        ended: whether a line break follows.
        bits: the surprisal of every character, of the line break after them, and of the end of the
            song; NaN for the very first character of the text, which is not predicted.
        closes: whether a song ends with it.
    """

    number: int
    text: str
    ended: bool
    bits: NDArray[np.float32]
    closes: bool = False

    def letters(self) -> Iterator[tuple[str, float]]:
        """Yield the letters, as people see them, and the surprisal of each: of all its characters.

        The last are `LINE_END` where a line break follows, and `SONG_END` where a song ends. NaN
        is what was not predicted.
        """
        at = 0
        marks = [LINE_END] * self.ended + [SONG_END] * self.closes
        for letter in (*letters(self.text), *marks):
            bits = self.bits[at : at + len(letter)]
            at += len(letter)
            if len(bits) > 1:  # of the text's first letter, all but the first character
                bits = bits[~np.isnan(bits)]
            yield letter, float(bits.sum())

    @property
    def mean(self) -> float:
        """Bits a character, the line break included; NaN where nothing was predicted."""
        known = self.bits[~np.isnan(self.bits)]
        return float(known.mean()) if len(known) else float("nan")


def lines(text: str, surprisal: NDArray[np.float32]) -> list[Line]:
    """Cut a text and its surprisal into lines.

    Args:
        text: N characters, the ends of songs among them; see `charlstm.text.songs.END`.
        surprisal: ``[N - 1]`` bits, of every character but the first.
    """
    bits = np.concatenate(([np.float32(np.nan)], surprisal))
    separate: list[Line] = []
    at = int(text.startswith(END))  # which is only read
    while at < len(text) or not separate:
        found = _LINE.match(text, at)
        assert found is not None, "it matches anything"
        line, ended, closes = found.groups()
        of_line = bits[at : found.end()]
        separate.append(Line(len(separate) + 1, line, bool(ended), of_line, bool(closes)))
        at = found.end()
    return separate


def ranked(unranked: Sequence[Line]) -> list[Line]:
    """Return the lines that are not empty, the most surprising first."""
    full = [line for line in unranked if line.text.strip() and not np.isnan(line.mean)]
    return sorted(full, key=lambda line: -line.mean)


def shade(bits: float) -> str | None:
    """Return the background of a character of this many bits, as ``#rrggbb``; ``None`` for none."""
    return next((color for most, color in SHADES if bits <= most), None)


_PAGE = """<!doctype html>
<html lang="und">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{mark}
<title>{title}</title>
<style>
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff;
  font: 1.1rem/1.9 system-ui, sans-serif }}
h1 {{ font-size: 1.3rem }} h2 {{ font-size: 1.1rem; margin-top: 2.5rem }}
p, .n {{ color: #666 }} .n {{ display: inline-block; min-width: 4.5em; font-size: .75em }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere }}
.r {{ display: flex; align-items: baseline }} .r p {{ flex: 1; min-width: 0 }}
.text p {{ margin: 0; color: inherit }}
.text span, .key span {{ border-radius: 2px; padding: .1em 0 }}
.key span {{ padding: .1em .5em; color: #222 }}
.e {{ color: #767676 }} .e[class^="s"] {{ color: #222 }}
{shades}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
<p class="key">Bits a character: {key}</p>
<div class="text">{text}</div>
<h2>Lines, the most surprising first</h2>
<div class="text">{ranking}</div>
</body>
</html>
"""


def page(title: str, summary: str, in_order: Sequence[Line]) -> str:
    """Return a self-contained HTML page: the text, coloured, and its most surprising lines.

    Args:
        title: its heading.
        summary: a sentence below it.
        in_order: the lines of the text in their order.
    """
    colors = [color for _, color in SHADES]
    rules = [f".s{n} {{ background: {color} }}" for n, color in enumerate(colors) if color]
    return _PAGE.format(
        mark=PAGE.decode(),
        title=html.escape(title),
        summary=html.escape(summary),
        shades="\n".join(rules),
        key=" ".join(f'<span class="s{n}">{name}</span>' for n, name in enumerate(shade_names())),
        text="".join(map(_marked, in_order)),
        ranking="".join(
            f'<div class="r"><span class="n">{line.mean:.2f}</span>{_marked(line)}</div>'
            for line in ranked(in_order)[:_RANKED]
        ),
    )


def shade_names() -> list[str]:
    """Return what each of `SHADES` stands for: ``0–1``, ``1–2`` and so on."""
    limits = [0.0, *(most for most, _ in SHADES[:-1])]
    return [
        *(f"{low:g}–{high:g}" for low, high in itertools.pairwise(limits)),
        f"over {limits[-1]:g}",
    ]


def _marked(line: Line) -> str:
    colors = [color for _, color in SHADES]
    pieces = []
    marked = list(line.letters())
    for place, (letter, bits) in enumerate(marked, start=1):
        number = colors.index(shade(bits))
        classes = ["s" + str(number)] if number else []
        if place > len(marked) - line.ended - line.closes:
            classes.append("e")
        # The exact figure appears when a reader points at a character.
        title = "" if math.isnan(bits) else f' title="{bits:.1f}"'
        mark = f' class="{" ".join(classes)}"' if classes else ""
        pieces.append(f"<span{mark}{title}>{html.escape(letter)}</span>")
    # Each line has a direction of its own, and the mark of its line break stands where it ends.
    return f'<p dir="auto">{"".join(pieces)}</p>'
