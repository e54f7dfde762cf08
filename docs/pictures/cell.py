"""The LSTM's cell, drawn with the letters of `charlstm.model.recurrent.equations`."""

import ast
from pathlib import Path

from docs.pictures.diagram import Diagram

EQUATIONS = Path(__file__).parents[2] / "charlstm" / "model" / "recurrent" / "equations.py"

_WIDTH, _HEIGHT = 880, 610
# The cell state runs along the top, the hidden state along the bottom. Left to right: the forget
# gate, the input gate and the candidate, the output gate, and where the results leave.
_TOP, _BOTTOM, _GATES = 100, 368, 284
_F, _I, _G, _O, _OUT = 236, 340, 480, 596, 700
_WRITE, _RADIUS = (_I + _G) / 2, 16
_BOX, _LEFT, _RIGHT = 62, 52, 828
_HALF = _BOX / 2


def draw_cell() -> str:
    """Return the SVG: the wires, and below them the lines of `equations.lstm` as they stand."""
    drawing = Diagram("A step of the LSTM, with the letters of equations.py", _WIDTH, _HEIGHT)
    drawing.box(120, 48, 650, 360, kind="box", round=18)
    _draw_wires(drawing)
    for x, letter, squash in ((_F, "f", "σ"), (_I, "i", "σ"), (_G, "g", "tanh"), (_O, "o", "σ")):
        kind = "gate" if squash == "σ" else "squash"
        drawing.box(x - _HALF, _GATES - _HALF, _BOX, _BOX, kind=kind)
        drawing.text(x, _GATES - 3, letter, size=24, font="maths", anchor="middle")
        drawing.text(x, _GATES + 20, squash, size=16, kind="faint", anchor="middle")
    drawing.box(_OUT - _HALF, 140, _BOX, 34, kind="squash")
    drawing.text(_OUT, 162, "tanh", size=16, kind="faint", anchor="middle")
    drawing.node(_F, _TOP, "×", radius=_RADIUS)
    drawing.node(_WRITE, _TOP, "+", radius=_RADIUS)
    drawing.node(_WRITE, 190, "×", radius=_RADIUS)
    drawing.node(_OUT, 222, "×", radius=_RADIUS)
    _draw_words(drawing)
    return drawing.svg()


def _draw_wires(drawing: Diagram) -> None:
    gap = _RADIUS + 2
    below = _GATES + _HALF + 2
    above = _GATES - _HALF
    # c = f * c + i * g
    drawing.wire((_LEFT, _TOP), (_F - gap, _TOP))
    drawing.wire((_F + _RADIUS, _TOP), (_WRITE - gap, _TOP))
    drawing.wire((_WRITE + _RADIUS, _TOP), (_RIGHT, _TOP))
    drawing.wire((_F, above), (_F, _TOP + gap))
    drawing.wire((_I, above), (_I, 190), (_WRITE - gap, 190))
    drawing.wire((_G, above), (_G, 190), (_WRITE + gap, 190))
    drawing.wire((_WRITE, 190 - _RADIUS), (_WRITE, _TOP + gap))
    # h = o * tanh(c)
    drawing.dot(_OUT, _TOP)
    drawing.wire((_OUT, _TOP), (_OUT, 138))
    drawing.wire((_OUT, 174), (_OUT, 222 - gap))
    drawing.wire((_O, above), (_O, 222), (_OUT - gap, 222))
    drawing.wire((_OUT, 222 + _RADIUS), (_OUT, _BOTTOM), (_RIGHT, _BOTTOM))
    # What all four see: x and the old h.
    drawing.wire((_LEFT, _BOTTOM), (_O, _BOTTOM), (_O, below))
    drawing.wire((160, 462), (160, _BOTTOM + 5))
    drawing.dot(160, _BOTTOM)
    for x in (_F, _I, _G):
        drawing.dot(x, _BOTTOM)
        drawing.wire((x, _BOTTOM), (x, below))


def _draw_words(drawing: Diagram) -> None:
    for x, y, letter in (
        (_LEFT - 20, _TOP + 7, "c"),
        (_RIGHT + 16, _TOP + 7, "c′"),
        (_LEFT - 20, _BOTTOM + 7, "h"),
        (_RIGHT + 16, _BOTTOM + 7, "h′"),
        (160, 486, "x"),
    ):
        drawing.text(x, y, letter, size=26, font="maths", anchor="middle")
    drawing.text(_F + 14, 182, "what to keep", size=13, kind="faint")
    drawing.text(_WRITE + 12, 148, "what to write", size=13, kind="faint")
    drawing.text(_O - 8, 214, "what to show", size=13, kind="faint", anchor="end")
    drawing.text(_F + 14, _BOTTOM + 22, "a + h Uᵀ + b, a block a gate", size=13, kind="faint")
    drawing.text(174, 442, "a = W_ih x + b_ih", size=13, kind="faint")
    x, y = 376, 441
    for kind, words in (
        ("gate", "σ: 0 to 1"),
        ("squash", "tanh: −1 to 1"),
        ("node", "×, +: element by element"),
    ):
        drawing.box(x, y - 12, 16, 16, kind=kind, round=8 if kind == "node" else 4)
        drawing.text(x + 24, y + 1, words, size=13, kind="faint")
        x += 36 + 7 * len(words)
    for number, line in enumerate(_equations()):
        drawing.text(220, 492 + 25 * number, line, size=15, font="code")


def _equations() -> list[str]:
    """Return the lines of `equations.lstm` that compute something."""
    source = EQUATIONS.read_text(encoding="utf-8")
    (lstm,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "lstm"
    )
    return [
        str(ast.get_source_segment(source, node))
        for node in lstm.body
        if isinstance(node, ast.Assign)
    ]
