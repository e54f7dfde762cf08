import json
import math
import re
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
    "memory": {"worker 0 of 2, the network": "MB", "worker 1 of 2, the network": "MB"},
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


def test_the_price_of_not_training_exactly_is_told_for_each_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Who is there?\nNobody, I said, and went on.\n" * 200, encoding="utf-8")
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", ["prices", str(text), "--quick", "--seeds", "1"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("benchmarks.prices", run_name="__main__")
    assert not end.value.code
    *_, exact, rarely, _ = capsys.readouterr().out.splitlines()
    assert re.search(r"\| every step together \| \d\.\d{3} \|  \|$", exact)
    assert re.search(r"\| --sync-every 8 \| \d\.\d{3} \| ([+-]0\.\d{3}) \(\1 to \1\) \|$", rarely)


def test_the_cell_is_measured_beside_its_variants(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    options = ("--epochs", "1", "--seeds", "2", "--hidden", "4")
    monkeypatch.setattr(sys, "argv", ["variants", *options])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("benchmarks.variants", run_name="__main__")
    assert not end.value.code
    *_, as_it_is, without, closed = capsys.readouterr().out.splitlines()
    found = []
    for line, name in (
        (as_it_is, "h = o tanh(c)"),
        (without, "h = o c"),
        (closed, "forget bias 0"),
    ):
        number = r"(\d+\.\d{3})"
        told = re.fullmatch(
            rf"\| {re.escape(name)} \| {number} \| {number}, {number} \| (\d+\.\d\d) \|", line
        )
        assert told, line
        mean, *each, largest = map(float, told.groups())
        assert mean == pytest.approx(sum(each) / 2, abs=0.001)
        found.append((mean, largest))
    assert len({mean for mean, _ in found}) == 3
    assert max(found[0][1], found[2][1]) <= 1


def test_a_step_of_each_cell_is_timed_beside_that_of_the_lstm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", ["cells", "--rounds", "2", "--hidden", "4"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("benchmarks.cells", run_name="__main__")
    assert not end.value.code
    lines = capsys.readouterr().out.splitlines()[-8:]
    rows = [line.strip("| ").split(" | ") for line in lines]
    taken = {(backend, cell): float(step.removesuffix(" ms")) for backend, cell, step, _ in rows}
    assert len(taken) == 8
    for backend, cell, _, share in rows:
        ratio = taken[backend, cell] / taken[backend, "lstm"]
        assert float(share) == pytest.approx(ratio, rel=0.1, abs=0.01)
