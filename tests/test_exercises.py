"""What stands on the page of the exercises is what one gets."""

import math
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from charlstm.cli import app

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^    \$ charlstm (.*)$", re.sub(r"\\\n +", "", PAGE), re.M)
# A line worked out with numbers: h = 0.4 * tanh(0.8) = 0.27
WORKED = re.findall(r"^    (\w+ +=.*\d)(?: {2,}.*)?$", PAGE, re.M)


def test_every_program_of_the_page_is_followed_by_what_it_prints() -> None:
    assert len(PROGRAMS) == len(re.findall(r"^```python$", PAGE, re.M)) >= 6


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_a_program_prints_what_the_page_says(
    program: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(program, "exercises.md", "exec"), {"__name__": "exercises"})
    found = capsys.readouterr().out
    assert [line.rstrip() for line in found.splitlines()] == printed.splitlines()


def test_two_steps_by_hand_are_worked_out_right_line_by_line() -> None:
    names: dict[str, Any] = {
        "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
        "tanh": math.tanh,
        "__builtins__": {},
    }
    assert len(WORKED) >= 28
    for line in WORKED:
        _, *parts = (part.strip() for part in line.split("="))
        values = [eval(part.replace("^", "**"), names) for part in parts]
        # Each was rounded to four places before it was put into the next.
        assert all(abs(one - other) < 2e-4 for one, other in pairwise(values)), line


def test_the_numbers_worked_out_by_hand_are_those_of_the_program() -> None:
    (printed,) = [printed for _, printed in PROGRAMS if "by autograd" in printed]
    known = {float(number) for number in re.findall(r"-?\d\.\d{4}", printed)}
    results = [line.rsplit("=", 1)[1].strip() for line in WORKED]
    # What goes back from step 2 is no gradient of its own, and the program does not print it.
    between = [result for result in results if float(result) not in known]
    assert between == ["0.0709", "0.2662"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_one(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    inner: Any = typer.main.get_command(app)
    words = shlex.split(command)
    while hasattr(inner, "commands"):
        inner = inner.commands[words.pop(0)]
    with inner.make_context(inner.name, words) as context:
        assert context.params
