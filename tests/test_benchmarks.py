import json
import math
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each measures, and in which unit. What is in bfloat16 needs a processor that is good at it.
WORKS = {
    "training": {
        "scratch float32, ": "ms",
        "torch bfloat16, ": "ms",
        "scratch bfloat16, ": "ms",
        "peak memory of scratch, ": "MB",
    },
    "sampling": {
        "one stream, ": "chars/s",
        "4 streams at once": "chars/s",
        "charlstm generate ": "ms",
        "charlstm --help": "ms",
    },
    "forms": {
        "我我我我, 5 characters a line, AABA: met": "texts",
        "我我我我, 5 characters a line, AABA: median": "s",
        "我我我我, 5 characters a line, AABA: slowest": "s",
        "making the index": "MB/s",
        "size of the index": "MB",
        "1,000 characters ": "s",
    },
    "recall": {
        "one stream": "chars/s",
        "4 streams at once": "chars/s",
        "opening, later by": "ms",
        "memory": "MB",
        "file": "MB",
        "learning": "s",
    },
    "serving": {
        "3 streams at once, the network alone": "chars/s",
        "3 streams at once, with recall": "chars/s",
        "one stream, the network alone": "chars/s",
        "one stream, with recall": "chars/s",
        "a text begins while 2 are written, the network alone": "ms",
        "a text begins while 2 are written, with recall": "ms",
        "the slowest of 4 to begin, the network alone": "ms",
        "the slowest of 4 to begin, with recall": "ms",
    },
    "workers": {"2 workers, tiny": "ms"},
}


@pytest.mark.parametrize("name", WORKS)
def test_a_benchmark_measures_what_it_says_on_both_sides_and_compares_the_two(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--json", str(file)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert not end.value.code

    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    works = WORKS[name]
    found = {}
    for row in rows:
        (work,) = (work for work in works if row["work"].startswith(work))
        found[work] = row["unit"]
        ours, theirs = row["ours"], row["theirs"]
        assert math.isfinite(ours)
        assert math.isfinite(theirs)
        assert min(ours, theirs) > 0
        # A ratio above one is good, also where less is better, unless it is to stay below.
        less_is_better = row["unit"] in ("ms", "s") and not row["below"]
        expected = theirs / ours if less_is_better else ours / theirs
        assert row["ratio"] == pytest.approx(expected), row
    assert found == {work: unit for work, unit in works.items() if work in found}
    assert all("bfloat16" in work for work in works if work not in found)
