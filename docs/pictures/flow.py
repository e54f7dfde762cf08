"""The rooms of the package and what passes from one to the next, drawn from the package itself."""

import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path

from docs.pictures.diagram import Diagram

_ROOT = Path(__file__).parents[2]
_PACKAGE, _ORDER = _ROOT / "charlstm", _ROOT / "tests" / "test_architecture.py"
# Where everybody stands, and the door: neither is a station of the flow.
_GROUND = {"errors", "figures", "checks", "machine", "files", "outputs"}
_DOOR = {"__main__"}
# What a room hands on. One that is missing here is an error, so that nobody forgets it.
_HANDS_ON = {
    "text": "songs as one text, its characters as ids, the vocabulary",
    "recipes": "a recipe: the architecture, and how it is to be trained",
    "model": "weights, and what they say: the surprisal of each character, the next one",
    "runs": "a run read and checked: recipe, vocabulary, weights",
    "training": "events: a step, an epoch with its figures",
    "evaluation": "figures: sums of nats, counts, copies",
    "writing": "the lines of a song, each with its probability",
    "sessions": "events for whoever draws them, and a run that was saved",
    "exports": "a page that writes by itself, a graph for others",
    "trained": "a model that writes and is measured",
    "api": "train, load and resume",
    "serve": "pages and JSON",
    "cli": "songs and figures",
}
_ENTERS = "bytes: files, directories, archives, a pipe"
_RULE = "A room imports from the rooms above it and from the ground, and from none below."

# In pixels.
_WIDTH, _MARGIN, _BESIDE, _GAP, _LINE = 880, 24, 16, 36, 20
# Where the purpose of a room begins when it has the floor for itself, and how many letters of it
# fit on a line then, and where it stands beside another one.
_INDENT, _WHOLE, _HALF = 110, 94, 50


def draw_flow() -> str:
    """Return the SVG: the rooms from the first to the last, and the ground they stand on."""
    floors = rooms_in_order()
    flow = [floor for floor in floors if not set(floor) & (_GROUND | _DOOR)]
    ground = [room for floor in floors for room in floor if room in _GROUND]
    tops = [22 + _GAP]
    for floor in flow:
        tops.append(tops[-1] + _height(floor) + _GAP)
    bottom = tops[-1] + 30
    height = bottom + 30 + 22 * len(ground)
    drawing = Diagram("The rooms of charlstm and the flow", _WIDTH, height)
    _draw_passage(drawing, _MARGIN, tops[0] - _GAP, _ENTERS)
    for floor, top in zip(flow, tops, strict=False):
        width = (_WIDTH - 2 * _MARGIN - _BESIDE * (len(floor) - 1)) / len(floor)
        for place, room in enumerate(floor):
            x = _MARGIN + place * (width + _BESIDE)
            drawing.box(x, top, width, _height(floor), kind="box")
            drawing.text(x + 16, top + 26, room, size=16, font="code")
            right, down = (0, _LINE + 2) if len(floor) > 1 else (_INDENT, 0)
            for number, line in enumerate(_purpose_lines(room, alone=len(floor) == 1)):
                drawing.text(x + 16 + right, top + 26 + down + _LINE * number, line, size=14)
            _draw_passage(drawing, x, top + _height(floor), _HANDS_ON[room])
    drawing.text(_MARGIN + 16, bottom, "The ground", size=14, font="bold")
    drawing.text(_MARGIN + 16 + _INDENT, bottom, _RULE, size=13, kind="faint")
    for number, room in enumerate(ground):
        y = bottom + 28 + 22 * number
        drawing.text(_MARGIN + 16, y, room, size=14, font="code")
        drawing.text(_MARGIN + 16 + _INDENT, y, purpose(room), size=13, kind="faint")
    return drawing.svg()


def _height(floor: Sequence[str]) -> int:
    """Return how high the cards of a floor are."""
    alone = len(floor) == 1
    lines = max(len(_purpose_lines(room, alone=alone)) for room in floor)
    return 22 + _LINE * (lines if alone else lines + 1)


def _purpose_lines(room: str, *, alone: bool) -> list[str]:
    return textwrap.wrap(purpose(room), _WHOLE if alone else _HALF)


def _draw_passage(drawing: Diagram, x: float, y: float, what: str) -> None:
    """Draw an arrow down from a room, or from outside, with what passes beside it."""
    drawing.wire((x + 40, y + 2), (x + 40, y + _GAP - 2))
    drawing.text(x + 56, y + _GAP / 2 + 4, what, size=13, kind="faint")


def rooms_in_order() -> Sequence[Sequence[str]]:
    """Return the rooms as the test of the architecture has them: side by side, floor by floor."""
    for node in ast.parse(_ORDER.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and ast.unparse(target or node) == "ROOMS":
            floors: Sequence[Sequence[str]] = ast.literal_eval(node.value)
            return floors
    raise LookupError(f"{_ORDER} has no ROOMS")


def purpose(room: str) -> str:
    """Return the first line of a room's docstring."""
    path = _PACKAGE / room / "__init__.py"
    source = (path if path.exists() else _PACKAGE / f"{room}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
