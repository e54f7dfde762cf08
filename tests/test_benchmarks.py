import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("name", "rows"), [("training", 6), ("sampling", 5), ("forms", 6)])
def test_a_benchmark_still_runs_and_writes_its_figures(
    name: str, rows: int, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(file)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=100,
    )
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert len(figures["rows"]) >= rows
    assert all(row["ratio"] > 0 for row in figures["rows"])
