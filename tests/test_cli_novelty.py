import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from commandline import Charlstm, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from charlstm.api import load, train
from charlstm.cli.novelty import _row
from charlstm.evaluation.novelty import SIZES, Passage, TrainingText

LYRICS = "".join(
    f"分开的第{day}天 我在{place}等你\n不分开 我们说好不分开\n雨停了 {place}很安静\n\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)
# Line 2 is as it stands, lines 1 and 4 in parts, and the third shares nothing.
OTHER = "昨夜雨停了 桥上很\n不分开 我们说好不分开\nWir sagen: nein\n我们说好分开\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("novelty")
    (where / "song.txt").write_text(LYRICS, encoding="utf-8")
    (where / "其 他.txt").write_text(OTHER, encoding="utf-8")
    for name, validation, index in (
        ("plain", 0.1, False),
        ("whole", 0.0, True),
        ("song", 0.1, True),
    ):
        train(
            where / "song.txt",
            root=where / "checkpoints",
            name=name,
            epochs=40 if name == "song" else 1,
            hidden=24,
            embedding=8,
            batch=8,
            window=16,
            validation=validation,
            index=index,
            threads=1,
        )
    return where


@pytest.fixture
def novelty(trained: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch) -> Charlstm:
    """Return what runs the command in this process, in the directory of `trained`."""
    monkeypatch.chdir(trained)
    return partial(charlstm, "eval", "novelty")


def training_text() -> str:
    return LYRICS[: len(LYRICS) - int(len(LYRICS) * 0.1)]


def shares(text: str, training: str) -> list[str]:
    """Return the column of a text, counted plainly."""
    found = []
    for n in SIZES:
        windows = [text[start : start + n] for start in range(len(text) - n + 1)]
        found.append(f"{sum(window in training for window in windows) / len(windows):.1%}")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    known = {line.strip() for line in training.split("\n")}
    return [*found, f"{sum(line in known for line in lines) / len(lines):.1%}"]


def column(shown: str, number: int) -> list[str]:
    """Return a column of the table of shares."""
    titles = [*(f"{n} characters" for n in SIZES), "whole lines"]
    lines = shown.split("\n")
    return [
        next(line for line in lines if line.startswith(title)).removeprefix(title).split()[number]
        for title in titles
    ]


def passages(shown: str) -> list[tuple[int, int, str]]:
    """Return length, line number and what is shown of each passage."""
    below = shown.partition("the line they first appear in\n")[2]
    found = re.findall(r"^ *([\d,]+)  +([\d,]+)  (.*)$", below, re.M)
    return [(int(size.replace(",", "")), int(line.replace(",", "")), m) for size, line, m in found]


def test_a_text_is_measured_beside_the_held_out_text(novelty: Charlstm) -> None:
    result = novelty("其 他.txt", "--run", "song")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("其 他.txt\n\n")
    assert re.search("^copied in a row +this text +held-out text *$", result.stdout, re.M)
    training = training_text()
    assert column(result.stdout, 0) == shares(OTHER, training)
    assert column(result.stdout, 1) == shares(LYRICS[len(training) :], training)
    assert "\x1b" not in result.stdout


def test_copied_passages_are_shown_with_the_line_they_first_appear_in(novelty: Charlstm) -> None:
    shown = passages(novelty("其 他.txt", "--run", "song").stdout)
    lines = training_text().split("\n")
    whole = "\n不分开 我们说好不分开\n"
    assert shown[0][0] == len(whole) == 13
    assert "⏎不分开 我们说好不分开⏎" in shown[0][2]
    # The line break before it ends the first line.
    assert shown[0][1] == 1
    again = next(passage for passage in shown if "雨停了 桥上很" in passage[2])
    assert again[1] == 1 + lines.index("雨停了 桥上很安静") == 7
    assert again[0] == len("雨停了 桥上很")
    # With what stands on either side of it in the training text.
    assert again[2] == "不分开 我们说好不分开⏎«雨停了 桥上很»安静⏎⏎分开的第一天 我"
    assert [size for size, _, _ in shown] == sorted((size for size, _, _ in shown), reverse=True)


def test_as_json_every_figure_is_there_for_both_texts(novelty: Charlstm) -> None:
    result = novelty("其 他.txt", "--run", "song", "--json")
    assert result.code == 0
    answer = json.loads(result.stdout)
    assert answer["run"] == "checkpoints/song"
    training = training_text()
    for figures, text in ((answer, OTHER), (answer["held_out"], LYRICS[len(training) :])):
        assert [entry["n"] for entry in figures["ngrams"]] == list(SIZES)
        assert [f"{entry['share']:.1%}" for entry in figures["ngrams"]] == shares(text, training)[
            :-1
        ]
        assert [e["copied"] / e["windows"] for e in figures["ngrams"]] == [
            entry["share"] for entry in figures["ngrams"]
        ]
        for passage in figures["passages"]:
            copied = passage["text"]
            assert text.startswith(copied, passage["start"])
            assert training.index(copied) == passage["place"]
    assert (answer["lines"], answer["verbatim_lines"]) == (4, 1)


def test_samples_are_measured_where_no_text_is_named_and_can_be_written_again(
    novelty: Charlstm, trained: Path
) -> None:
    first = novelty("--run", "song", "--samples", "3")
    assert first.code == 0
    (seed,) = re.findall(r"^temperature 0.8, seed (\d+), recall 0.4$", first.stderr, re.M)
    assert first.stdout.startswith(f"3 samples of song, seed {seed}\n")
    again = novelty("--run", "song", "--samples", "3", "--seed", seed)
    assert again == first
    head = "^copied in a row +with recall 0.4 +network alone +held-out text *$"
    assert re.search(head, first.stdout, re.M)
    texts, alone = (
        load("song").generate_many(
            samples=3, length=300, seed=int(seed), temperature=0.8, recall=recall
        )
        for recall in (None, 0.0)
    )
    figures = json.loads(
        novelty("--run", "song", "--samples", "3", "--seed", seed, "--json").stdout
    )
    assert [entry["windows"] for entry in figures["ngrams"]] == [3 * (300 - n + 1) for n in SIZES]
    assert figures["network_alone"] == load("song").novelty(*alone).to_json()
    for passage in figures["passages"]:
        assert texts[passage["sample"]].startswith(passage["text"], passage["start"])
    assert novelty("--run", "song", "--samples", "3").stdout != first.stdout
    # The temperature is heard.
    cold = novelty("--run", "song", "--samples", "1", "--temperature", "0", "--json")
    warm = novelty("--run", "song", "--samples", "1", "--temperature", "3", "--json")
    copied = [json.loads(one.stdout)["ngrams"][0]["share"] for one in (cold, warm)]
    assert copied[0] > copied[1]


def test_how_much_is_recalled_is_asked_for(novelty: Charlstm) -> None:
    samples = ("--run", "song", "--samples", "3", "--seed", "7")
    alone = novelty(*samples, "--recall", "0")
    assert re.search("^copied in a row +network alone +held-out text *$", alone.stdout, re.M)
    assert "temperature 0.8, seed 7, recall 0\n" in alone.stderr
    shown = novelty(*samples, "--recall", "1")
    assert re.search("^copied in a row +with recall 1 +network alone ", shown.stdout, re.M)
    assert column(shown.stdout, 1) == column(alone.stdout, 0)
    figures = [
        json.loads(novelty(*samples, "--recall", recall, "--json").stdout)
        for recall in ("0", "auto", "1")
    ]
    assert [answer["recall"] for answer in figures] == [0, 0.4, 1]
    assert figures[0]["network_alone"] is None
    assert figures[1]["network_alone"]["ngrams"] == figures[0]["ngrams"]


def test_twenty_samples_are_measured_unless_told_otherwise(novelty: Charlstm) -> None:
    result = novelty("--seed", "4")
    assert result.stdout.startswith("20 samples of song, seed 4\n")


def test_a_fresh_seed_is_in_the_json_as_well(novelty: Charlstm) -> None:
    answer = json.loads(novelty("--samples", "2", "--json").stdout)
    again = novelty("--samples", "2", "--seed", str(answer["seed"]), "--json")
    assert json.loads(again.stdout) == answer


def test_without_held_out_text_there_is_no_column_for_it(novelty: Charlstm) -> None:
    shown = novelty("其 他.txt", "--run", "whole").stdout
    assert re.search("^copied in a row +this text *$", shown, re.M)
    assert column(shown, 0) == shares(OTHER, LYRICS)
    answer = json.loads(novelty("其 他.txt", "--run", "whole", "--json").stdout)
    assert answer["held_out"] is None


@pytest.mark.parametrize("arguments", [(), ("其 他.txt",), ("--json",)])
def test_without_an_index_one_sentence_says_what_to_do(
    arguments: tuple[str, ...], novelty: Charlstm
) -> None:
    result = novelty("--run", "plain", *arguments)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: checkpoints/plain keeps no index of its training text (it was made with "
        "--no-index, or by an older version), so nobody can tell what is copied: train again "
        "without --no-index.\n"
    )


def plain_message(result: Result) -> str:
    """Return what wrong usage is told, without its frame."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│|]", "", result.stderr).split())


# 0.8 is what the temperature would be anyway: it counts that it was asked for.
@pytest.mark.parametrize(
    ("option", "value"),
    [("--samples", "3"), ("--seed", "3"), ("--temperature", "0.8"), ("--recall", "0")],
)
def test_a_text_and_what_is_for_samples_exclude_each_other(
    option: str, value: str, novelty: Charlstm
) -> None:
    result = novelty("其 他.txt", option, value)
    assert (result.code, result.stdout) == (2, "")
    assert f"a TEXT and {option} cannot be combined." in plain_message(result)


def test_an_encoding_without_a_text_is_wrong_usage(novelty: Charlstm) -> None:
    result = novelty("--encoding", "gb18030")
    assert (result.code, result.stdout) == (2, "")
    assert "--encoding is for a TEXT, and none was given." in plain_message(result)


def test_of_a_long_held_out_text_only_the_beginning_is_compared(
    novelty: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = LYRICS[len(training_text()) :]
    whole = novelty("其 他.txt")
    assert "held-out text:" not in whole.stdout
    figures = json.loads(novelty("其 他.txt", "--json").stdout)["held_out"]
    assert (figures["compared"], figures["characters"]) == (len(held_out), len(held_out))
    monkeypatch.setattr("charlstm.cli.novelty._HELD_OUT", 40)
    cut = novelty("其 他.txt")
    assert "\nheld-out text: its first 40 characters only\n" in cut.stdout
    assert column(cut.stdout, 1) == shares(held_out[:40], training_text())
    assert column(cut.stdout, 0) == column(whole.stdout, 0)
    figures = json.loads(novelty("其 他.txt", "--json").stdout)["held_out"]
    assert (figures["compared"], figures["characters"]) == (40, len(held_out))
    assert figures["ngrams"][0]["windows"] == 40 - 3


# Rows on a terminal.


def on_terminal(where: Path, columns: int, *arguments: str) -> str:
    """Return what the command shows on a terminal so wide, with its colours."""
    outside, inside = pty.openpty()
    received = b""
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", "eval", "novelty", *arguments],
        cwd=where,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=inside,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(inside)
        with suppress(OSError):  # Linux: the other side has closed
            while piece := os.read(outside, 4096):
                received += piece
    os.close(outside)
    assert process.returncode == 0
    return received.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_a_passage_takes_one_row_of_a_terminal_and_stands_in_its_middle(
    columns: int, trained: Path, tmp_path: Path
) -> None:
    training = training_text()
    copies = [training[100:400], training[500:520], training[700:705]]
    (tmp_path / "copies.txt").write_text("Ω".join(copies), encoding="utf-8")
    shown = on_terminal(trained, columns, str(tmp_path / "copies.txt"), "--run", "song")
    rows = shown.partition("first appear in\x1b[0m\n")[2].splitlines()
    assert len(rows) == 3
    for row, copied in zip(rows, copies, strict=True):
        found = re.fullmatch(r"\x1b\[2m([ \d,]{15})(.*)\x1b\[0m\x1b\[1;33m(.*)", row)
        assert found, row
        head, before, rest = found.groups()
        passage, _, after = re.sub(r"\x1b\[2m", "", rest).partition("\x1b[0m")
        after = after.removesuffix("\x1b[0m")
        assert cell_len(head + before + passage + after) <= columns
        whole, place = copied.replace("\n", "⏎"), training.index(copied)
        if len(copied) < 12:
            assert passage == whole
            assert abs(cell_len(before) - cell_len(after)) <= 2
        beginning, _, end = passage.partition(" … ")
        assert (whole.startswith(beginning), whole.endswith(end)) == (True, True)
        assert training[:place].replace("\n", "⏎").endswith(before)
        assert training[place + len(copied) :].replace("\n", "⏎").startswith(after)
        # Nothing is cut that there is room for.
        if cell_len(before + after) < 24:
            assert cell_len(head + before + passage + after) >= columns - 3


PARTS = st.text("a 床⏎\n\t\x1b…\u0301", max_size=80)


@settings(max_examples=300, deadline=None)
@given(PARTS, PARTS.map("床b ".__add__), PARTS, st.integers(40, 160), st.sampled_from(["", "«"]))
def test_no_row_is_wider_than_the_terminal(
    before: str, copied: str, after: str, width: int, mark: str
) -> None:
    training = TrainingText(before + copied + after)
    row = _row(Passage(0, 0, copied, len(before)), training, width, (mark, mark))
    assert cell_len(row.plain) <= width
    assert not {"\n", "\t", "\x1b"} & set(row.plain)
    # It begins as the passage does, however much of it is left out.
    assert f"{mark}床b" in row.plain


def test_a_long_passage_is_shortened_on_the_screen_and_whole_in_the_json(
    novelty: Charlstm, tmp_path: Path
) -> None:
    copied = training_text()[100:400]
    (tmp_path / "long.txt").write_text("Ω" + copied + "Ω", encoding="utf-8")
    (found,) = json.loads(novelty(str(tmp_path / "long.txt"), "--json").stdout)["passages"]
    assert (found["text"], found["start"], found["place"]) == (copied, 1, 100)
    ((size, line, shown),) = passages(novelty(str(tmp_path / "long.txt")).stdout)
    assert (size, line) == (300, LYRICS[:100].count("\n") + 1)
    ends = f"{copied[:30]} … {copied[-30:]}".replace("\n", "⏎")
    before, after = (LYRICS[place : place + 12].replace("\n", "⏎") for place in (88, 400))
    assert shown == f"{before}«{ends}»{after}"


def test_a_text_that_copies_nothing_says_so(novelty: Charlstm, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("abcdef\nghijkl\nmnopqr\n", encoding="utf-8")
    result = novelty(str(tmp_path / "new.txt"))
    assert set(column(result.stdout, 0)) == {"0.0%"}
    assert result.stdout.endswith("\nnothing of four characters or more is copied\n")


def test_a_text_shorter_than_any_window_has_no_shares(novelty: Charlstm, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("分开", encoding="utf-8")
    answer = json.loads(novelty(str(tmp_path / "short.txt"), "--json").stdout)
    assert {entry["windows"] for entry in answer["ngrams"]} == {0}
    assert {entry["share"] for entry in answer["ngrams"]} == {None}
    shown = novelty(str(tmp_path / "short.txt")).stdout
    assert column(shown, 0) == ["–"] * len(SIZES) + ["0.0%"]
    (tmp_path / "short.txt").write_text(" \n", encoding="utf-8")
    assert set(column(novelty(str(tmp_path / "short.txt")).stdout, 0)) == {"–"}


def test_standard_input_is_a_text(novelty: Charlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(OTHER.encode("gb18030"))))
    result = novelty("-", "--encoding", "gb18030")
    assert result.stdout.startswith("-\n")
    assert column(result.stdout, 0) == shares(OTHER, training_text())


def test_names_and_texts_are_shown_as_they_are_but_for_controls(
    novelty: Charlstm, tmp_path: Path
) -> None:
    path = tmp_path / ":heart: [b]\x1b.txt"
    path.write_text("Ω分开的第\x1bΩ", encoding="utf-8")
    result = novelty(str(path))
    assert result.stdout.startswith(f"{tmp_path}/:heart: [b]␛.txt\n")
    assert "\x1b" not in result.stdout
