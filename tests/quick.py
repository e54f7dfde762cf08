"""Lint and test what was changed.

python -m tests.quick [REVISION]

Without a revision it looks at what is not committed yet; with one, at all that has changed since.
The linter and the type checker look at everything, which takes them a few seconds. Of the tests it
runs those that were changed and those that import a module that was changed, or all of them where
what all depend on was changed. `.ci/run` always runs all.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ARCHITECTURE, DOCUMENTS = "tests/test_architecture.py", "tests/test_docs.py"
# What every test depends on.
EVERYWHERE = {"tests/conftest.py", "pyproject.toml", "constraints.txt"}


def changed(revision: str) -> list[str]:
    """Return the files that differ from a revision and still exist, new ones included."""
    commands = (
        ("git", "diff", "--name-only", "--diff-filter=d", revision),
        ("git", "ls-files", "--others", "--exclude-standard"),
    )
    names: list[str] = []
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        names += done.stdout.splitlines()
    return names


def module_of(name: str) -> str:
    """Return how tests import a file: their own by its name alone, others in full."""
    parts = Path(name).with_suffix("").parts
    if parts[0] == "tests" and len(parts) == 2:
        parts = parts[1:]
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, and the names that it takes from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tests_of(names: list[str]) -> list[str]:
    """Return what to run for the files that were changed."""
    if EVERYWHERE & set(names):
        return ["tests"]
    chosen = {name for name in names if re.fullmatch(r"tests/test_\w+\.py", name)}
    if any(name.startswith("charlstm/") for name in names):
        chosen.add(ARCHITECTURE)
    if any(name.startswith(("docs/", "charlstm/cli/")) or name.endswith(".md") for name in names):
        chosen.add(DOCUMENTS)
    modules = {module_of(name) for name in names if name.endswith(".py")}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        if modules & set(imported(path)):
            chosen.add(f"tests/{path.name}")
    return sorted(chosen)


def main() -> None:
    """Run the linter, the formatter, the type checker and the tests; exit with what failed."""
    names = changed(sys.argv[1] if len(sys.argv) > 1 else "HEAD")
    commands = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
    if tests := tests_of(names):
        commands.append(["pytest", "-n", "auto", *tests])
    failed = []
    for command in commands:
        print("==>", *command, flush=True)
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode:
            failed.append(command[0])
    if failed:
        raise SystemExit(f"failed: {', '.join(dict.fromkeys(failed))}")


if __name__ == "__main__":
    main()
