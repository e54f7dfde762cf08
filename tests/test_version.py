import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import charlstm

ROOT = Path(__file__).parent.parent


def test_the_version_is_told_without_torch_or_numpy() -> None:
    code = (
        "import sys\n"
        "from charlstm.cli import main\n"
        "sys.argv = ['charlstm', '--version']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == f"charlstm {charlstm.__version__}\n"
    assert told.stderr == ""


def test_the_version_that_is_installed_is_that_of_the_package() -> None:
    assert importlib.metadata.version("charlstm") == charlstm.__version__


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$", text, re.M)
    assert versions[0] == charlstm.__version__
