import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commandline import Charlstm, Result, module, python
from faults.commands import Commands
from terminals import terminal

from charlstm.cli.console import reading_bar

LYRICS = "".join(
    f"分开的第{day}天 我在{place}等你\n不分开 我们说好不分开\n雨停了 {place}很安静\n\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)
SMALL = ("--hidden", "24", "--embedding", "8", "--batch", "8", "--window", "16")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("a path") / "我 的 歌"
    (where / "data").mkdir(parents=True)
    (where / "data" / "歌 词.txt").write_text(LYRICS, encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def training(place: Path) -> Result:
    return module(
        "train", "data/歌 词.txt", "--epochs", "3", *SMALL, "--prefix", "分开", where=place
    )


@pytest.fixture(scope="module")
def trained(training: Result, place: Path) -> Path:
    """Return where ``checkpoints`` holds a finished run."""
    assert training.code == 0, training.stderr
    return place


def test_training_reports_the_text_each_epoch_and_a_sample_without_control_codes(
    training: Result,
) -> None:
    result = training
    assert result.code == 0
    assert result.stdout.startswith("checkpoints/歌_词: held-out perplexity ")
    assert "text: data/歌 词.txt (utf-8)" in result.stderr
    assert f"characters: {len(LYRICS):,}" in result.stderr
    assert re.search(r"vocabulary: \d+ characters, \d+% of them seen once", result.stderr)
    assert re.search(r"split: [\d,]+ to learn from, [\d,]+ held out", result.stderr)
    reports = re.findall(
        r"^ +(\d+) +[\d.,]+ +([\d.,]+) +([\d.,]+) +[\d.]+ +[\d.]+ +[\d,]+$", result.stderr, re.M
    )
    assert [epoch for epoch, _, _ in reports] == ["1", "2", "3"]
    titles = "epoch train ppl held-out alone with recall bits/char seconds chars/s"
    assert titles in [" ".join(line.split()) for line in result.stderr.splitlines()]
    epoch, alone, recalled = min(reports, key=lambda report: float(report[2]))
    assert float(recalled) < float(alone)
    told = rf"held-out perplexity {recalled} \(.*, epoch {epoch}; {alone} alone\)\n"
    assert re.search(told, result.stdout)
    (kept,) = re.findall("^recall: (.*)$", result.stderr, re.M)
    assert re.fullmatch(
        r"0.4: [\d,]+ grams of up to \d characters, [\d.]+ [kM]B, "
        r"counted in (under )?[\d.]+ seconds; "
        r"(a passage of \d+ characters? that comes again is expected to go on as before"
        r"|what a song has said .+)",
        kept,
    )
    assert re.search(r"^ +3  分开.", result.stderr, re.M)
    assert "\x1b" not in result.stderr + result.stdout
    assert "\r" not in result.stderr + result.stdout


def test_generate_writes_the_song_to_standard_output_and_nothing_more(
    trained: Path, process: Charlstm
) -> None:
    result = process("generate", "--prefix", "分开", "--length", "30", where=trained)
    assert result.code == 0
    assert result.stdout.startswith("分开")
    assert len(result.stdout) == len("分开") + 30 + len("\n")
    assert re.fullmatch(
        r"run 歌_词, seed \d+; (nothing of four characters or more is copied"
        r"|longest copy \d+ characters, .+ \(line \d+ of the training text\))\n",
        result.stderr,
    )


def test_generate_says_the_same_with_the_same_seed_and_something_else_without(
    trained: Path, process: Charlstm
) -> None:
    def write(*arguments: str) -> str:
        return process("generate", "--prefix", "分开", *arguments, where=trained).stdout

    assert write("--seed", "7") == write("--seed", "7")
    assert write() != write()


def test_generate_as_json_tells_what_made_the_text(trained: Path, process: Charlstm) -> None:
    result = process(
        "generate", "--prefix", "分开", "--length", "5", "--seed", "3", "--json", where=trained
    )
    answer = json.loads(result.stdout)
    assert answer["text"].startswith("分开")
    assert len(answer["text"]) == 7
    assert (answer["prefix"], answer["seed"]) == ("分开", 3)


def test_several_samples_are_set_apart_and_each_can_be_written_again(
    trained: Path, process: Charlstm
) -> None:
    def write(*arguments: str) -> str:
        return process(
            "generate", "--prefix", "分开", "--length", "9", *arguments, where=trained
        ).stdout

    plain = write("--samples", "3", "--seed", "5")
    assert plain.endswith("\n")
    lines = write("--samples", "3", "--seed", "5", "--json").splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["seed"] for answer in answers] == [5, 6, 7]
    assert plain == "\n".join(answer["text"] + "\n" for answer in answers)
    assert write("--seed", "6") == answers[1]["text"] + "\n"


def test_an_unseen_prefix_character_is_named_and_the_ways_out_work(
    trained: Path, process: Charlstm
) -> None:
    result = process("generate", "--prefix", "分开Ω", where=trained)
    assert result.code == 1
    assert result.stdout == ""
    assert "never seen 'Ω' of the prefix" in result.stderr
    for way in ("skip", "map"):
        result = process(
            "generate", "--prefix", "分开Ω", "--unknown", way, "--length", "4", where=trained
        )
        assert result.code == 0
        assert result.stdout.startswith("分开Ω")


def test_eval_perplexity_measures_the_held_out_text_and_any_other(
    trained: Path, process: Charlstm
) -> None:
    own = json.loads(process("eval", "perplexity", "--json", where=trained).stdout)
    assert own["perplexity"] < own["uniform_perplexity"]
    assert own["bits_per_byte"] < own["bits_per_character"]
    assert own["unknown_share"] < 0.1
    other = process("eval", "perplexity", "-", "--json", where=trained, stdin="分开Ω以后".encode())
    figures = json.loads(other.stdout)
    assert figures["characters"] == 4
    assert figures["unknown_share"] == 0.75
    table = process("eval", "perplexity", where=trained)
    assert f"{own['perplexity']:,.2f}" in table.stdout
    assert "\x1b" not in table.stdout


def test_a_second_training_takes_the_next_free_name_and_says_so(
    trained: Path, process: Charlstm
) -> None:
    before = (trained / "checkpoints" / "歌_词" / "model.safetensors").read_bytes()
    result = process("train", "data/歌 词.txt", "--steps", "2", *SMALL, where=trained)
    assert result.code == 0
    assert "checkpoints/歌_词 is another run, so this one is called 歌_词-2." in result.stderr
    assert (trained / "checkpoints" / "歌_词" / "model.safetensors").read_bytes() == before
    # The newest run is what generate takes.
    assert "run 歌_词-2," in process("generate", "--length", "1", where=trained).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "absent.txt"), 1, "There is no file or directory called absent.txt."),
        (("train", "empty.txt"), 1, "There is no text in empty.txt: the corpus is empty."),
        (("train", "tiny.txt"), 1, "at least 100 are needed"),
        (("train", "broken.txt"), 1, "byte 0xff at offset 300"),
        (("train", "song.txt", "--lr", "0"), 1, "--lr must be a number above 0"),
        (("train", "song.txt", "--backend", "torch", "--cell", "peephole"), 1, "no peephole cell"),
        (("train", "song.txt", "--prefix", "Ω"), 1, "never seen 'Ω' of the prefix. The training"),
        (("train", "song.txt", "--patience", "2", "--validation", "0"), 1, "needs held-out text"),
        (("train", "song.txt", "--resume", "--recipe", "d2l"), 2, "--recipe cannot change"),
        (("train", "song.txt", "--name", "../up"), 1, "A run cannot be called '../up'"),
        (("train",), 2, "name a text file"),
        (("train", "song.txt", "--cell", "transformer"), 2, "transformer"),
        (("generate",), 1, "There is no trained model in checkpoints/ yet"),
        (("generate", "--run", "nobody"), 1, "There is no run called nobody"),
        (("train", "--resume"), 1, "There is no run in checkpoints/ yet"),
        (("eval", "perplexity"), 1, "There is no trained model in checkpoints/ yet"),
    ],
)
def test_a_mistake_gets_one_sentence_and_its_exit_code(
    arguments: Sequence[str], code: int, message: str, tmp_path: Path, process: Charlstm
) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "tiny.txt").write_text("分开", encoding="utf-8")
    (tmp_path / "broken.txt").write_bytes("分".encode() * 100 + b"\xff" + "开".encode() * 100)
    result = process(*arguments, where=tmp_path)
    assert result.code == code
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "--length", "100000"),
        ("generate", "--length", "100000", "--json"),
        ("eval", "perplexity"),
        ("eval", "perplexity", "--json"),
    ],
)
def test_a_reader_that_goes_away_ends_a_command_quietly(
    arguments: Sequence[str], commands: Commands, trained: Path
) -> None:
    nobody, out = os.pipe()
    os.close(nobody)
    ended = commands.run(*arguments, where=trained, out=out, to_the_end=True)
    os.close(out)
    assert ended.code == 0
    assert "Traceback" not in ended.errors
    assert "Exception" not in ended.errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_result_that_cannot_be_written_is_one_sentence(commands: Commands, trained: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = commands.run("generate", "--length", "5", where=trained, out=full.fileno())
    assert ended.code == 1
    assert ended.errors == "error: The result cannot be written: No space left on device.\n"


def test_standard_input_is_a_corpus_and_its_run_says_how_to_go_on(
    tmp_path: Path, process: Charlstm
) -> None:
    first = process("train", "-", "--steps", "2", *SMALL, where=tmp_path, stdin=LYRICS.encode())
    assert first.code == 0, first.stderr
    assert (tmp_path / "checkpoints" / "stdin" / "model.safetensors").is_file()
    result = process("train", "--resume", where=tmp_path)
    assert result.code == 1
    assert "pipe the same text in again, with charlstm train - --resume" in result.stderr
    again = ("train", "-", "--resume", "--name", "stdin", "--steps", "4")
    assert process(*again, where=tmp_path, stdin=LYRICS.encode()).code == 0


def test_a_directory_of_texts_is_read_without_the_runs_in_it(
    tmp_path: Path, process: Charlstm
) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    assert process("train", ".", "--steps", "2", *SMALL, where=tmp_path).code == 0
    resumed = process("train", "--resume", "--steps", "3", where=tmp_path)
    assert resumed.code == 0, resumed.stderr
    assert f"characters: {len(LYRICS):,} in" in resumed.stderr


def in_terminal(arguments: Sequence[str], where: Path) -> str:
    """Run charlstm in a pseudo-terminal and return what would appear on it."""
    command = [sys.executable, "-m", "charlstm", *arguments]
    with terminal(command, where, height=30) as session:
        assert session.end() == 0, session.shown
    return session.shown


def test_on_a_terminal_there_is_a_bar_with_loss_speed_and_time_left(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text(LYRICS, encoding="utf-8")
    shown = in_terminal(["train", "song.txt", "--epochs", "10", *SMALL], tmp_path)
    bar = r"epoch \d+ · loss [\d.]+ · ppl [\d.,]+ · [\d,]+ chars/s \|.*\| \d+% · .* left"
    assert re.search(bar, shown)


def test_a_terminal_is_never_given_control_characters_from_a_text(
    tmp_path: Path, process: Charlstm
) -> None:
    text = ("\x1b[31m红\x07\x9b" * 200) + LYRICS
    (tmp_path / "song.txt").write_text(text, encoding="utf-8")
    assert process("train", "song.txt", "--steps", "1", *SMALL, where=tmp_path).code == 0
    shown = in_terminal(["generate", "--prefix", "\x1b[31m红", "--length", "0"], tmp_path)
    assert "\x1b[31m红" not in shown
    assert "␛[31m红" in shown


def modules_after(arguments: Sequence[str], where: Path) -> set[str]:
    """Return which of the heavy modules a command had imported when it ended."""
    result = python(
        "-c",
        "import sys, charlstm.cli\n"
        f"sys.argv = ['charlstm', *{list(arguments)!r}]\n"
        "try:\n    charlstm.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n' + ' '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))\n",
        where=where,
    )
    assert result.code == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def test_help_imports_neither_torch_nor_numpy_and_generate_no_torch(trained: Path) -> None:
    assert modules_after(["--help"], trained) == set()
    assert modules_after(["train", "--help"], trained) == set()
    assert modules_after(["generate", "--length", "3"], trained) == {"numpy"}


@pytest.mark.parametrize(("patience", "shown"), [(-1.0, True), (60.0, False)])
def test_reading_has_a_bar_where_it_takes_long(
    patience: float,
    shown: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("charlstm.cli.console.is_terminal", lambda _: True)
    monkeypatch.setattr("charlstm.cli.console._PATIENCE_SECONDS", patience)
    with reading_bar() as on_read:
        on_read(1_000, 4_000)
        on_read(4_000, 4_000)
    told = capsys.readouterr().err
    assert ("reading the text |" in told) is shown
