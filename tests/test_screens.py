"""What a person at a terminal sees, whatever its width."""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from songs import LYRICS, learn
from terminals import terminal

from charlstm.cli.evaluate import _show
from charlstm.errors import count
from charlstm.evaluation.highlight import SHADES, lines, page
from charlstm.evaluation.perplexity import Evaluation

SMALL = ("--hidden", "16", "--embedding", "6", "--batch", "4", "--window", "16", "--threads", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("screens")
    learn(where, LYRICS, epochs=10)
    return where


def rows_of(shown: str) -> Iterator[str]:
    """Yield the rows of a terminal, without colours and movements."""
    for row in shown.split("\n"):
        yield re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", row.rpartition("\r")[2])


def run(where: Path, *arguments: str, columns: int = 100) -> str:
    command = [sys.executable, "-m", "charlstm", *arguments]
    with terminal(command, where, COLUMNS=str(columns)) as session:
        assert session.end() == 0, session.shown
    return session.shown


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (100, "weights s/epoch chars/s train ppl held-out ppl with recall"),
        (60, "train ppl held-out ppl with recall"),
        (45, "train ppl held-out ppl"),
    ],
)
def test_a_comparison_shows_whole_names_and_the_figures_that_there_is_room_for(
    trained: Path, columns: int, titles: str
) -> None:
    options = ("--cells", "peephole,rnn", "--vary", "hidden=8", "--epochs", "1", "--threads", "1")
    shown = run(
        trained, "compare", "song.txt", *options, "--name", f"c{columns}", columns=columns
    )  # fmt: skip
    rows = list(rows_of(shown))
    head = next(place for place, row in enumerate(rows) if " ".join(row.split()) == titles)
    assert max(map(cell_len, rows[head : head + 6])) <= columns
    table = [row.split() for row in rows[head + 1 : head + 3]]
    assert [row[0] for row in table] == ["peephole-scratch-h8", "rnn-scratch-h8"]
    assert [len(row) for row in table] == [len(re.sub(" (ppl|recall)", "", titles).split()) + 1] * 2
    assert sum(row.startswith("peephole-scratch-h8  ") for row in rows[head:]) == 2


@pytest.mark.parametrize("columns", [60, 80])
def test_a_training_fits_a_terminal_with_a_row_for_each_sample(trained: Path, columns: int) -> None:
    options = (*SMALL, "--epochs", "2", "--sample-every", "1", "--name", f"w{columns}")
    prefixes = ("--prefix", "我在车站", "--prefix", "")
    shown = run(trained, "train", "song.txt", *options, *prefixes, columns=columns)
    # The last row but one is the result, which no command folds.
    rows = [row for row in rows_of(shown) if row and "held-out perplexity" not in row]
    assert max(cell_len(row) for row in rows) <= columns
    samples = [row for row in rows if re.match(r" +[12]  \S", row)]
    assert len(samples) == 2 * 2
    for row in samples:
        assert row.endswith("…")
        assert cell_len(row) >= columns - 1  # a wide character may not fit into the last cell
    figures = [row.split() for row in rows if re.match(r" +[12] +[\d,.]+ ", row)]
    assert [len(cells) for cells in figures] == [7 if columns > 68 else 5] * 2


def test_samples_on_a_terminal_are_told_apart_by_a_rule_with_the_seed_of_each(
    trained: Path,
) -> None:
    asked = ("generate", "--run", "song", "--lines", "2", "--seed", "7")
    rows = list(rows_of(run(trained, *asked, "--samples", "3", columns=60)))
    rules = [row.strip("─ ") for row in rows if "──" in row]
    assert rules == ["1 of 3 · seed 7", "2 of 3 · seed 8", "3 of 3 · seed 9"]
    assert all(cell_len(row) == 60 for row in rows if "──" in row)
    second = rows.index(next(row for row in rows if "2 of 3" in row))
    alone = list(rows_of(run(trained, *asked[:-1], "8")))
    assert "─" not in "".join(alone)
    assert rows[second + 1 : second + 3] == alone[:2]
    assert rows[second - 1] == ""


def test_prefixes_on_a_terminal_are_told_apart_as_well(trained: Path) -> None:
    (trained / "prefixes.txt").write_text("我在\n你在\n", encoding="utf-8")
    asked = ("generate", "--run", "song", "--length", "5", "--seed", "7", "--recall", "0")
    rows = list(rows_of(run(trained, *asked, "--prefix-file", "prefixes.txt")))
    heads = [place for place, row in enumerate(rows) if " · seed " in row]
    told = [rows[place].strip("─ ") for place in heads]
    assert told == ["1 of 2 · seed 7", "2 of 2 · seed 8"]
    assert [rows[place + 1][:2] for place in heads] == ["我在", "你在"]


# Colours of surprisal.

TEXT = "ab\ncd\n"
BITS = np.array([0.5, 12.0, 12.0, 3.0, 12.0], np.float32)
FIGURES = Evaluation(1.0, 5, 5, 0.0, 10.0, 5.0, BITS)


def test_letters_on_a_colour_are_black_and_never_dimmed() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="truecolor", width=80)
    _show(console, TEXT, FIGURES)
    styles = re.findall(r"\x1b\[([\d;]*)m[^\x1b]", file.getvalue())
    colored = [style for style in styles if "48;2" in style]
    # In the text and in the ranking, and the five of the legend.
    assert len(colored) == 2 * 4 + len(SHADES) - 1
    assert all(re.fullmatch(r"38;2;0;0;0;48;2;[\d;]+", style) for style in colored)


def test_the_mark_of_a_line_break_on_the_page_is_as_dark_as_the_letters_on_its_colour() -> None:
    drawn = page("song", "A song.", lines(TEXT, BITS))
    assert drawn.count('<span class="s5 e" title="12.0">⏎</span>') == 2 * 2
    assert '.e[class^="s"] { color: #222 }' in drawn
    assert ".key span { padding: .1em .5em; color: #222 }" in drawn


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (30_000, "30,000 lines")]
)
def test_one_thing_is_told_in_the_singular(number: int, told: str) -> None:
    assert count(number, "line") == told
    assert (count(1.0, "minute"), count(1.5, "minute")) == ("1 minute", "1.5 minutes")
    assert count(number, "character is", "characters are").startswith(told.split()[0])
