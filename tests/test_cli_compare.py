import contextlib
import csv
import fcntl
import os
import pty
import re
import struct
import termios
from functools import partial
from pathlib import Path

import pytest
from commandline import Charlstm
from faults.commands import Commands

LYRICS = "".join(
    f"分开的第{day}天 我在{place}等你\n不分开 我们说好不分开\n雨停了 {place}很安静\n\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)


@pytest.fixture
def compare(tmp_path: Path, process: Charlstm) -> Charlstm:
    """Return what compares trials of a song in an empty directory."""
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    return partial(process, "compare", "song.txt", where=tmp_path)


def test_the_table_is_on_standard_output_and_the_rest_beside_it(
    tmp_path: Path, compare: Charlstm
) -> None:
    options = (
        "--cells",
        "rnn, peephole",
        "--vary",
        "hidden=8",
        "--epochs",
        "1",
        "--prefix",
        "分开",
    )
    result = compare(*options)
    assert result.code == 0, result.stderr
    where = tmp_path / "checkpoints" / "song-compare"
    with (where / "compare.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["rnn-scratch-h8", "peephole-scratch-h8", "ngram"]
    ngram = rows.pop()

    figures, _, written = result.stdout.partition("\n\n")
    head, *lines, last = figures.splitlines()
    titles = ["weights", "s/epoch", "chars/s", "train", "ppl", "held-out", "ppl", "with", "recall"]
    assert head.split() == titles  # all of them, however wide
    assert last.split() == [
        "ngram",
        f"{int(ngram['parameters']):,}",
        f"{float(ngram['seconds_per_epoch']):.1f}",
        f"{float(ngram['held_out_perplexity']):.2f}",
        f"{float(ngram['recall_perplexity']):.2f}",
    ]
    for line, row in zip(lines, rows, strict=True):
        name, weights, *_, training, held_out, recalled = line.split()
        assert float(recalled) == pytest.approx(float(row["recall_perplexity"]), abs=0.01)
        assert (name, weights) == (row["trial"], f"{int(row['parameters']):,}")
        assert float(training) == pytest.approx(float(row["training_perplexity"]), abs=0.01)
        assert float(held_out) == pytest.approx(float(row["held_out_perplexity"]), abs=0.01)
    head, *lines = written.splitlines()
    assert head.strip() == "a line it wrote"
    for line, row in zip(lines, rows, strict=True):
        assert line.rstrip().split(maxsplit=1) == [row["trial"], row["sample"].rstrip()]
        assert row["sample"].startswith("分开")

    assert "rnn-scratch-h8: held-out perplexity " in result.stderr
    path = Path("checkpoints") / "song-compare"
    assert f"{path}: compare.csv, compare.svg, and a run for each" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_networks_are_compared_without_recall_where_that_is_asked_for(compare: Charlstm) -> None:
    options = ("--cells", "rnn", "--vary", "hidden=8", "--epochs", "1", "--recall", "0")
    result = compare(*options)
    assert result.code == 0, result.stderr
    head, trained, counted, *_ = result.stdout.splitlines()
    # The n-gram model has a figure with the song so far all the same.
    assert head.split()[-2:] == ["with", "recall"]
    assert len(trained.split()) == 6
    assert counted.split()[0] == "ngram"
    assert "with recall" not in result.stderr


def test_seeds_are_varied_like_any_setting(compare: Charlstm) -> None:
    options = ("--cells", "rnn", "--vary", "seed=0,1", "--epochs", "1", "--recall", "0")
    result = compare(*options)
    assert result.code == 0, result.stderr
    first, second = (line.split()[-1] for line in result.stdout.splitlines()[1:3])
    assert first != second


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--recall", "2"), 2, "it is auto, or a number from 0 to 1, not '2'."),
        (
            ("--vary", "hidden"),
            2,
            "--vary takes a setting and its values, as in window=35,64, not 'hidden'.",
        ),
        (
            ("--vary", "hidden=8,a"),
            1,
            "error: --hidden must be a whole number from 1 to 65,536, not 'a'.",
        ),
        (("--vary", "lr=fast"), 1, "error: --lr must be a number above 0, not 'fast'."),
        (("--vary", "windw=3"), 1, "error: There is no setting called windw: did you mean window?"),
        (("--vary", "window="), 1, "error: --window is to be varied and has no values."),
        (
            ("--vary", "window=3", "--vary", "window=4"),
            1,
            "error: --window is varied twice: name all its values at once, as in 1,2,3.",
        ),
        (
            ("--vary", "seed=1,2", "--seed", "3"),
            1,
            "error: --seed is varied here, so it cannot have one value for all.",
        ),
        (
            ("--vary", "cell=gru"),
            1,
            "error: Cells are not varied like other settings: name them as --cells.",
        ),
        (
            ("--vary", "limit=10,20"),
            1,
            "error: --limit decides what is measured, so models that differ in it cannot be "
            "compared.",
        ),
        (
            ("--cells", "lstm,transformer"),
            1,
            "error: cell must be one of lstm, peephole, coupled, gru, rnn, not 'transformer'.",
        ),
    ],
)
def test_a_mistake_gets_one_sentence_and_its_exit_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path, compare: Charlstm
) -> None:
    result = compare(*arguments)
    assert result.code == code
    # A usage error is drawn in a box.
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "checkpoints").exists()


def test_on_a_terminal_every_reading_of_the_text_has_a_bar(
    tmp_path: Path, commands: Commands
) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    arguments = ("compare", "song.txt", "--cells", "rnn", "--vary", "hidden=8", "--epochs", "1")
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    command = commands.start(*arguments, where=tmp_path, errors=side, before="impatient")
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # Linux: the other side has closed
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    assert command.end().code == 0, shown.decode()
    # Once for the comparison and once for its trial.
    begun = re.findall(rb"reading the text \|[^\r]*\| 0%|rnn-scratch-h8 \|[^\r]*\| 0%", shown)
    assert [bar.partition(b" |")[0] for bar in begun] == [
        b"reading the text",
        b"reading the text",
        b"rnn-scratch-h8",
    ]
