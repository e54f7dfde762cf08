import re
from pathlib import Path

import pytest
from commandline import Charlstm
from songs import ENDS, PLACES, learn

from charlstm.writing.rhyme import rhyme

FORMS = (Path(__file__).parent.parent / "docs" / "forms.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("docs")
    lines = [
        f"{'春夏秋冬'[k % 4]}在{PLACES[k % 6]}{ENDS[k * 7 % len(ENDS)]}\n"
        + "see me\n" * (k % 4 == 0)
        for k in range(66)
    ]
    learn(where, "".join(lines) * 3, epochs=30, validation=0.1)
    return where


def test_the_examples_of_the_page_about_forms_run_as_they_stand(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    snowball, rhymed, lipogram = re.findall(r"^```python\n(.*?)^```$", FORMS, re.M | re.S)
    names: dict[str, object] = {"__name__": "forms"}
    exec(compile(snowball, "forms.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    letters = [[c for c in line if c.isalnum()] for line in lines]
    assert [len(line) for line in letters] == [3, 4, 5, 6, 7]
    assert all(len(set(line)) == len(line) for line in letters)

    exec(compile(rhymed, "forms.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    letters = [[c for c in line if c.isalnum()] for line in lines]
    assert [len(line) for line in letters] == [3, 4, 5, 6]
    assert rhyme(lines[0], lines[1])
    assert rhyme(lines[2], lines[3])

    exec(compile(lipogram, "forms.md", "exec"), names)
    written = capsys.readouterr().out
    assert len(written) == 80 + len("\n")
    assert "e" not in written


def test_the_command_at_the_head_of_the_page_about_forms_is_one(
    trained: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = re.findall(r"^    (charlstm .*)$", FORMS, re.M)
    assert command.split()[:2] == ["charlstm", "generate"]
    monkeypatch.chdir(trained)
    written = charlstm(*command.split()[1:], "--seed", "1")
    assert written.code == 0, written.stderr
    lines = written.stdout.splitlines()
    assert "".join(line[0] for line in lines) == "春夏秋冬"
    assert [sum(c.isalnum() for c in line) for line in lines] == [7] * 4
