"""What one sees of a training that was begun from Python."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from commandline import python
from terminals import terminal

from charlstm.sessions import progress
from charlstm.sessions.progress import told, watched
from charlstm.training.events import Finished, Step

TRAINING = """
import sys, charlstm
charlstm.train(sys.argv[1], epochs=40, hidden=16, embedding=6, batch=4, window=16, threads=1,
    patience=0{more})
print("trained")
"""


def steps() -> "Iterator[Step | Finished]":
    for number in range(1, 5):
        yield Step(number, 1, number / 4, 0.01, 100 * number, 0.1 * number, 0.0, lambda: 2.0)
    yield Finished("all 4 steps are done")


def test_as_much_is_told_beside_a_bar_as_there_is_room_for() -> None:
    first = next(steps())
    assert isinstance(first, Step)
    assert told(first, 80) == "epoch 1 · loss 2.000 · ppl 7.4 · 1,000 chars/s"
    assert told(first, 60) == "epoch 1 · ppl 7.4"


def test_a_bar_is_shown_on_a_terminal_and_nothing_is_left_of_it(corpus: Path) -> None:
    code = TRAINING.format(more="")
    with terminal([sys.executable, "-c", code, corpus.name], corpus.parent, height=24) as session:
        session.wait_for("ppl")
        session.wait_for("% ·")
        session.wait_for("trained")
        assert session.end() == 0
    assert session.shown.endswith("\rtrained\n")


def test_nothing_is_shown_where_nobody_looks_or_it_is_not_wanted(corpus: Path) -> None:
    piped = python("-c", TRAINING.format(more=""), corpus.name, where=corpus.parent)
    assert piped == (0, "trained\n", "")
    code = TRAINING.format(more=", progress=False")
    with terminal([sys.executable, "-c", code, corpus.name], corpus.parent, height=24) as session:
        assert session.end() == 0
    assert session.shown == "trained\n"


def test_a_notebook_is_known_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    known: list[tuple[dict[str, object], bool]] = [
        ({"IPKernelApp": {}}, True),
        ({"TerminalIPythonApp": {}}, False),
    ]
    for config, seen in known:
        shell = SimpleNamespace(config=config)
        monkeypatch.setattr(notebook, "get_ipython", lambda shell=shell: shell, raising=False)
        assert progress._is_seen() is seen
    monkeypatch.setattr(notebook, "get_ipython", lambda: None)
    assert not progress._is_seen()
    monkeypatch.setattr(sys, "stderr", None)
    assert not progress._is_seen()


def test_events_pass_through_a_bar_and_beside_it_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = list(watched(steps()))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "_is_seen", lambda: True)
    assert list(watched(steps(), title="song")) == plain
    shown = capsys.readouterr()
    assert "song" in shown.err
    assert shown.out == ""
