import io
import signal
import sys
from pathlib import Path

import pytest
from terminals import TAKE_TERMINAL, terminal

from charlstm.cli.write.prompt import asking

# Shows what was typed at every prompt, and writes it all to standard output at the end.
ASK = """
import sys
from charlstm.cli.write.prompt import asking
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding="utf-8")
typed = []
with asking() as ask:
    while (line := ask("› ")) is not None:
        typed.append(line)
        print(f"got {line!r}.", file=sys.stderr)
print(*typed, sep="|", end="")
"""
COMMAND = [sys.executable, "-c", TAKE_TERMINAL + ASK]


@pytest.mark.parametrize("locale", ["C", "xx_YY"], ids=["C", "not installed"])
def test_a_line_in_chinese_can_be_corrected_while_the_song_goes_to_a_file(
    locale: str, tmp_path: Path
) -> None:
    song = tmp_path / "song.txt"
    with (
        song.open("wb") as output,
        terminal(COMMAND, tmp_path, output=output, LC_ALL=locale) as person,
    ):
        person.wait_for("› ")
        person.type("中文é行\x1b[D\x7fx\n")  # the arrow to the left, and a character deleted
        person.wait_for("got '中文x行'.")
        person.wait_for("› ")
        person.type("\x04")
        assert person.end() == 0
    assert song.read_bytes() == "中文x行".encode()


def test_lines_that_are_pasted_come_together_and_ctrl_c_clears_what_was_begun(
    tmp_path: Path,
) -> None:
    with terminal(COMMAND, tmp_path) as person:
        person.wait_for("› ")
        person.paste("第一行\nq\n\n2\n")
        person.type("\n")
        person.wait_for(r"got '第一行\nq\n\n2\n'.")
        person.wait_for("› ")
        person.type("begun")
        person.wait_for("begun")
        person.interrupt()
        person.wait_for("› ")
        person.type("r\n")
        person.wait_for("got 'r'.")
        person.wait_for("› ")
        person.interrupt()  # nothing was begun
        assert person.end() == -signal.SIGINT


def test_a_line_that_was_begun_is_still_there_after_ctrl_z(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(ASK)
    start = f"{TAKE_TERMINAL}import os\nos.execvp('bash', ['bash', '--norc', '-i'])\n"
    with terminal([sys.executable, "-c", start], tmp_path, PS1="shell: ") as person:
        person.wait_for("shell: ")
        person.type(f"{sys.executable} ask.py\n")
        person.wait_for("› ")
        person.type("等你")
        person.wait_for("等你")
        person.interrupt("\x1a")
        person.wait_for("Stopped")
        person.wait_for("shell: ")
        person.type("fg\n")
        person.wait_for("› 等你")
        person.type("来\n")
        person.wait_for("got '等你来'.")
        person.wait_for("› ")
        person.type("\x04")
        person.wait_for("shell: ")
        person.type("exit\n")
        person.end()


def test_through_a_pipe_lines_are_read_as_they_are_and_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("第一行\n \nlast"))
    with asking() as ask:
        assert [ask("› ") for _ in range(4)] == ["第一行", " ", "last", None]
    assert capsys.readouterr() == ("", "")


def test_a_standard_input_that_is_closed_is_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with asking() as ask:
        assert ask("› ") is None
