import ast
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Charlstm
from songs import ENDS, LYRICS, PLACES, learn

import charlstm
from charlstm.recipes.architecture import CELLS
from charlstm.writing.rhyme import rhyme
from docs import command_line

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
FORMS = (DOCS / "forms.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "data" / "README.md", *DOCS.glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)


def without_code(page: str) -> str:
    return re.sub(r"^```.*?^```$|^    .*?$|`[^`\n]*`", "", page, flags=re.M | re.S)


def anchors(page: str) -> set[str]:
    """Return what a link may name after its #: the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_can_be_read_at_a_sitting() -> None:
    assert len(README.encode()) <= 8_000


def test_the_python_of_the_readme_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    text = LYRICS.replace("你在", "分开，不")
    (tmp_path / "data" / "lyrics_zh.txt").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (block,) = python_of(README)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    written = capsys.readouterr().out
    assert written.startswith("分开")
    *lines, share = written.splitlines()[-5:]
    assert 0 <= float(share) <= 1
    assert "".join(line[0] for line in lines) == "我不分开"
    assert all(6 <= sum(c.isalnum() for c in line) <= 9 for line in lines)


def test_the_python_at_the_head_of_its_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "songs.txt").write_text(LYRICS.replace("你在", "分开，不"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (block,) = python_of((DOCS / "python.md").read_text(encoding="utf-8"))
    exec(compile(block, "python.md", "exec"), {"__name__": "python"})
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert rhyme(lines[0], lines[1])
    assert rhyme(lines[0], lines[3])


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
    snowball, rhymed, lipogram = python_of(FORMS)
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


def test_the_parts_of_a_character_on_the_page_about_what_is_remembered_add_up(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    text = (DOCS / "recall.md").read_text(encoding="utf-8")
    (block,) = python_of(text)
    exec(compile(block, "recall.md", "exec"), {"__name__": "recall"})
    found = capsys.readouterr().out
    (shown,) = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)
    for table in (found, shown):
        said, head, *rows = table.splitlines()
        share = float(said.removeprefix("share of the grams: "))
        assert head == "     network   grams    both  with the song"
        parts = [[float(part) for part in row.split()[-4:]] for row in rows]
        assert len(parts) == 4
        for network, grams, both, _ in parts:
            assert both == pytest.approx((1 - share) * network + share * grams, abs=0.002)
        assert [row[3] for row in parts] == sorted((row[3] for row in parts), reverse=True)


def test_the_program_of_the_page_about_runs_writes_what_the_network_alone_does(
    trained: Path,
    charlstm: Charlstm,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(trained)
    assert charlstm("runs", "export", "song", "song.onnx").code == 0
    capsys.readouterr()
    (block,) = python_of((DOCS / "runs.md").read_text(encoding="utf-8"))
    assert "import charlstm" not in block
    exec(compile(block.replace("分开", "春在"), "runs.md", "exec"), {"__name__": "runs"})
    written = capsys.readouterr().out
    options = "--prefix 春在 --temperature 0.8 --length 200 --seed 1 --recall 0"
    assert written == charlstm("generate", *options.split()).stdout


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


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_a_page_links_to_and_shows_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        name, _, anchor = target.partition("#")
        if ":" in name:
            continue
        path = (page.parent / name) if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_use_public_names_only(page: Path) -> None:
    public = {*charlstm.__all__, "__version__"}
    text = page.read_text(encoding="utf-8")
    for block in python_of(text):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).partition(".")[0] != "charlstm", ast.unparse(node)
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("charlstm.") for alias in node.names)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "charlstm":
                assert node.attr in public


def test_the_page_about_python_describes_every_public_name() -> None:
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^::: charlstm\.(\w+)$", text, re.M)) == set(charlstm.__all__)


def is_tested_with(library: str) -> bool:
    """Return whether a library has the version that charlstm is tested with."""
    pin = f"{library}=={importlib.metadata.version(library)}"
    return pin in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(
    not (is_tested_with("typer") and is_tested_with("rich")),
    reason="other versions lay --help out differently",
)
def test_the_page_of_the_command_line_is_what_help_says() -> None:
    written = command_line.PAGE.read_text(encoding="utf-8")
    assert written == command_line.page(), "make it again: python -m docs.command_line"


def files_drawn(block: str) -> Iterator[str]:
    """Yield the files of a tree that is drawn by indentation, two spaces a folder."""
    folders: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            yield "".join([*folders, name])


def test_the_tree_of_the_page_about_architecture_is_the_tree() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text\n(charlstm/\n.*?)^```$", text, re.M | re.S)
    drawn = sorted(files_drawn(block))
    there = sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "charlstm").rglob("*.py")
        # What a room's own file holds stands in the line of its folder.
        if path.name != "__init__.py" or path.parent.name == "charlstm"
    )
    assert drawn == there
    for file in re.findall(r"^\| .*? \| `(\S+\.py)` \|", text, re.M):
        assert (ROOT / file).is_file()


# The page of the formulas.

EQUATIONS = (DOCS / "equations.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(\w+\.py): ([\w.]+)`", EQUATIONS)


def names_in(path: Path) -> set[str]:
    """Return what a file defines: functions, classes with their methods, and constants."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
            found.update(f"{node.name}.{name}" for name in methods)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(ast.unparse(target) for target in targets)
    return found


def test_every_function_and_every_test_that_the_page_of_the_formulas_names_is_there() -> None:
    assert len(NAMED) > 80
    for file, name in NAMED:
        where = ROOT / "tests" if file.startswith("test_") else ROOT / "charlstm"
        (path,) = where.rglob(file)
        assert name in names_in(path), f"{file}: {name}"


def test_every_formula_has_a_function_and_a_test_and_every_misprint_has_a_test() -> None:
    tables = re.findall(
        r"^\| what \| computed by \| held by \|\n.*\n((?:\|.*\n)+)", EQUATIONS, re.M
    )
    rows = [row.strip("| ").split(" | ") for table in tables for row in table.splitlines()]
    assert len(rows) > 30
    for _, function, test in rows:
        assert ".py: " in function, function
        assert ".py: test_" in test or test == "the same", function
    _, misprints = EQUATIONS.split("## Misprints that circulate")
    each = re.split(r"^- ", misprints, flags=re.M)[1:]
    assert len(each) > 15
    for one in each:
        assert one.startswith(("**", '**"'))
        assert len(re.findall(r"`test_misprints\.py: \w+`", one)) == 1, one


def test_the_page_of_the_formulas_names_every_misprint_every_cell_and_every_formula() -> None:
    for file in ("test_misprints.py", "test_formulas.py"):
        tests = {name for name in names_in(ROOT / "tests" / file) if name.startswith("test_")}
        assert tests == {name for where, name in NAMED if where == file}
    assert set(CELLS) <= {name for where, name in NAMED if where == "equations.py"}
