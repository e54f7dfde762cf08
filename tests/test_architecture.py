import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from faults.patience import HANGS_AFTER

import charlstm
from charlstm.cli import app
from charlstm.cli.names import option
from charlstm.errors import Setting
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.text.vocabulary import Vocabulary

PACKAGE = Path(charlstm.__file__).parent

# The flow, one way only: a room imports from the rooms before it. What stands in one line stands
# side by side, and knows nothing of the other.
ROOMS = (
    ("errors",),
    ("figures",),
    ("checks",),
    ("machine",),
    ("files",),
    ("outputs",),
    ("text",),
    ("recipes",),
    ("model",),
    ("runs",),
    ("training", "evaluation"),
    ("writing",),
    ("sessions", "exports"),
    ("trained",),
    ("api",),
    ("serve",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

# The rooms and files whose import brings torch; nothing else does.
COMPUTING = (
    "model.charlm",
    "model.devices",
    "model.initialization",
    "model.recurrent",
    "model.surprisal",
    "model.threads",
    "evaluation.dynamic",
    "evaluation.perplexity",
    "sessions.comparison",
    "sessions.counted",
    "sessions.copying",
    "sessions.fitting",
    "sessions.early",
    "sessions.following",
    "sessions.restarts",
    "sessions.launching",
    "sessions.probe",
    "sessions.rereading",
    "sessions.resume",
    "sessions.session",
    "sessions.start",
    "sessions.tuning",
    "sessions.versions",
    "cli.screen",
    "training.agreement",
    "training.batches",
    "training.compression",
    "training.descent",
    "training.distributed",
    "training.held_out",
    "training.joining",
    "training.meetings",
    "training.optimizer",
    "training.running",
    "training.sums",
    "training.trainer",
)
# A file that is longer has two things in it.
LONGEST = 450


def module_of(path: Path) -> str:
    """Return a module's name inside the package; the package itself is called ''."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = sorted(module_of(path) for path in PACKAGE.rglob("*.py"))
NAMED = [module for module in MODULES if module]


def is_room(module: str) -> bool:
    return (PACKAGE.joinpath(*module.split(".")) / "__init__.py").is_file()


def needs_torch(module: str) -> bool:
    inside = any(f"{module}.".startswith(f"{name}.") for name in COMPUTING)
    return inside and not is_room(module)


def path_of(module: str) -> Path:
    """Return the file of a module; the package itself is called ''."""
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is run when a module is imported: no function's body, nothing for types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_on_import(child)


def targets(node: ast.AST) -> list[str]:
    """Return the full names of the modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports name the package"
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if own(name) in NAMED else str(node.module) for name in whole]
    return []


def own(name: str) -> str | None:
    """Return a module's name inside the package, or ``None`` when it is someone else's."""
    first, _, rest = name.partition(".")
    return rest if first == "charlstm" else None


def imports(module: str, *, at_the_top: bool = False) -> set[str]:
    nodes = run_on_import(tree(module)) if at_the_top else ast.walk(tree(module))
    return {target for node in nodes for target in targets(node)}


@cache
def loaded_by(module: str) -> frozenset[str]:
    """Return the packages of others that importing `module` imports, through ours as well."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for target in imports(name, at_the_top=True):
            inside = own(target)
            if inside is None:
                found.add(target.partition(".")[0])
            elif inside not in seen:
                waiting.append(inside)
    return frozenset(found)


def imported_at_the_top(module: str) -> set[str | None]:
    return {own(target) for target in imports(module, at_the_top=True)}


@cache
def ours(module: str) -> frozenset[str]:
    """Return our modules that a module imports: in functions, and for type checking, too."""
    return frozenset(name for target in imports(module) if (name := own(target)) is not None)


def test_every_module_is_in_a_room_and_none_is_a_corridor() -> None:
    assert {module.partition(".")[0] for module in NAMED} == set(FLOOR)
    assert not {part for module in NAMED for part in module.split(".")} & {
        "utils",
        "helpers",
        "common",
    }


@pytest.mark.parametrize("module", NAMED)
def test_a_room_imports_only_from_the_rooms_before_it(module: str) -> None:
    room = module.partition(".")[0]
    for used in ours(module):
        if not used:  # the package itself, which the command line asks for its version
            assert room == "cli", f"{module} imports the public names"
            continue
        other = used.partition(".")[0]
        assert other == room or FLOOR[other] < FLOOR[room], f"{module} imports {used}"


def test_no_room_has_a_circle_in_it() -> None:
    waiting = {module: set(ours(module)) for module in NAMED}
    while free := [module for module, used in waiting.items() if not used & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert not waiting, f"in a circle, or behind one: {sorted(waiting)}"


@pytest.mark.parametrize("module", [name for name in NAMED if is_room(name) and "cli" not in name])
def test_a_room_says_what_it_is_for_and_imports_nothing(module: str) -> None:
    (docstring,) = tree(module).body
    assert ast.get_docstring(tree(module))
    assert isinstance(docstring, ast.Expr)


@pytest.mark.parametrize("module", NAMED)
def test_a_file_can_be_read_in_one_sitting(module: str) -> None:
    assert len(path_of(module).read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_package_itself_hands_on_the_interface_and_imports_none_of_it() -> None:
    assert loaded_by("") == {"typing"}


def test_torch_is_imported_by_the_modules_that_compute_with_it_and_by_no_other() -> None:
    for module in NAMED:
        assert ("torch" in loaded_by(module)) == needs_torch(module), module


# Of the command line: imported by a command once it runs.
DRAWING = {"cli.screen"}


def test_the_command_line_imports_nothing_heavy_before_a_command_runs() -> None:
    heavy = {"torch", "numpy", "safetensors", "matplotlib", "rich", "tqdm", "charset_normalizer"}
    heavy |= {"regex", "optuna"}
    for module in NAMED:
        if module.startswith("cli") and module not in DRAWING:
            assert not loaded_by(module) & heavy, module
    assert "typer" in loaded_by("cli")


# The one file of the library that draws, and on standard error alone: whoever trains from a prompt
# or in a notebook waits for minutes, and there is no front end that could show for what.
WATCHED = "sessions.progress"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli")])
def test_only_the_command_line_prints_reads_arguments_or_exits(module: str) -> None:
    streams = {"sys.argv", "sys.stdout", "sys.stderr"}
    drawing = {"typer", "rich", "tqdm", "argparse"}
    if module == WATCHED:
        streams.remove("sys.stderr")
        drawing.remove("tqdm")
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "input", "exit", "quit", "sys.exit"}
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in streams
        if isinstance(node, ast.Name):
            assert node.id not in {"SystemExit", "KeyboardInterrupt"}
    assert not {target.partition(".")[0] for target in imports(module)} & drawing


def test_the_bar_of_the_library_is_imported_only_when_a_training_shows_it() -> None:
    assert "tqdm" not in loaded_by(WATCHED)
    bringing = {name for name in NAMED if WATCHED in imported_at_the_top(name)}
    assert bringing == {"cli.screen"}


@pytest.mark.parametrize("module", MODULES)
def test_only_sessions_touch_a_trainer(module: str) -> None:
    if module.partition(".")[0] not in {"training", "sessions"}:
        assert "training.trainer" not in ours(module)
        names = [node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)]
        assert "trainer" not in names


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_pickled(module: str) -> None:
    assert not imports(module) & {"pickle", "shelve", "marshal", "joblib", "dill"}
    used = {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert not used & {"torch.load", "torch.save", "np.load", "np.save", "np.savez"}


# What a front end calls a setting is its own affair.


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli")])
def test_only_the_command_line_knows_what_its_options_are_called(module: str) -> None:
    assert not re.findall("--[a-z]+", path_of(module).read_text(encoding="utf-8"))


def settings_named_in(module: str) -> Iterator[Setting]:
    """Yield the settings that a module's messages name literally, with their values if literal."""
    for node in ast.walk(tree(module)):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Setting"):
            continue
        name, *value = node.args
        literal = value and isinstance(value[0], ast.Constant)
        for one in (name.body, name.orelse) if isinstance(name, ast.IfExp) else (name,):
            if isinstance(one, ast.Constant):
                yield Setting(str(one.value), *([ast.literal_eval(value[0])] if literal else []))


def test_every_setting_in_a_message_is_an_option_of_a_command() -> None:
    options = set(option_names(typer.main.get_command(app)))
    named = {setting for module in MODULES for setting in settings_named_in(module)}
    assert {setting.name for setting in named} >= {"learning_rate", "rhyme", "index", "run"}
    assert {setting for setting in named if option(setting).split()[0] not in options} == set()


# What really happens.


def python(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANGS_AFTER,
        check=True,
    ).stdout


def test_importing_the_package_loads_neither_torch_nor_numpy() -> None:
    loaded = python("import sys, charlstm; print(*sys.modules)").split()
    assert "charlstm" in loaded
    assert not {"torch", "numpy", "typer", "charlstm.api"} & set(loaded)


def test_opening_a_run_from_the_package_loads_numpy_and_not_torch() -> None:
    loaded = python("import sys, charlstm; charlstm.load; print(*sys.modules)").split()
    assert {"charlstm.api", "numpy"} <= set(loaded)
    assert "torch" not in loaded


def test_the_package_has_what_it_promises_and_nothing_else() -> None:
    for name in charlstm.__all__:
        assert getattr(charlstm, name).__module__.startswith("charlstm.")
        assert name in dir(charlstm)
    with pytest.raises(AttributeError, match=r"^module 'charlstm' has no attribute 'generate'$"):
        _ = charlstm.generate


def test_modules_that_do_without_torch_import_where_there_is_none() -> None:
    code = (
        "import importlib, sys\n"
        "sys.modules['torch'] = None\n"  # every import of it fails from here on
        "for name in sys.argv[1:]:\n"
        "    print(importlib.import_module(f'charlstm.{name}').__name__)\n"
    )
    free = [name for name in NAMED if not needs_torch(name) and name != "__main__"]
    assert python(code, *free).split() == [f"charlstm.{name}" for name in free]


def command_names(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command of the command line, and those that are only a list of commands."""
    yield names
    for name, inner in getattr(command, "commands", {}).items():
        yield from command_names(inner, (*names, name))


def option_names(command: Any) -> Iterator[str]:
    """Yield what the options of a command and of those below it are called."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from option_names(inner)


def test_help_is_shown_without_torch_or_numpy() -> None:
    code = (
        "import sys\n"
        "from charlstm.cli import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = ['charlstm', *command.split(), '--help']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code\n"
        "print('modules:', *sys.modules)\n"
    )
    commands = [" ".join(names) for names in command_names(typer.main.get_command(app))]
    shown, _, loaded = python(code, *commands).rpartition("modules:")
    assert shown.count("Usage:") == len(commands) >= 8
    assert not {"torch", "numpy"} & set(loaded.split())


def test_a_song_is_written_without_torch(tmp_path: Path) -> None:
    recipe = Recipe(name="test", architecture=Architecture(hidden=4, embedding=3))
    vocabulary = Vocabulary.build("分开不分开")
    info = RunInfo(
        recipe=recipe,
        vocabulary=vocabulary,
        sources=(),
        places=("song.txt",),
        encoding=None,
        corpus_sha256="",
        training_characters=5,
        held_out_characters=0,
        backend="torch",
    )
    run = RunDirectory.create("song", tmp_path / "checkpoints", info)
    shapes = recipe.architecture.parameter_shapes(len(vocabulary))
    run.write_model({name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    code = (
        "import json, sys\n"
        "from charlstm.cli import main\n"
        "sys.argv[1:] = ['generate', '--run', sys.argv[1], '--prefix', '分开', '--length', '5']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(json.dumps(list(sys.modules)))\n"
    )
    song, loaded = python(code, str(run.path)).splitlines()
    assert song.startswith("分开")
    assert len(song) == 7
    assert "numpy" in json.loads(loaded)
    assert "torch" not in json.loads(loaded)
