import io
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commandline import Charlstm, Result, python
from songs import LINES, LYRICS, learn

from charlstm.api import load
from charlstm.text.letters import counted
from charlstm.writing.decoding import Decoding
from charlstm.writing.learned import Learned
from charlstm.writing.rhyme import rhyme


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("generate")
    learn(where, name="plain", epochs=1, index=False)
    learn(where, epochs=50)
    return where


@pytest.fixture
def generate(trained: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch) -> Charlstm:
    """Return what runs the command in this process, with the seed 1 unless told another."""
    monkeypatch.chdir(trained)

    def call(*arguments: str) -> Result:
        seed = () if "--seed" in arguments else ("--seed", "1")
        return charlstm("generate", *seed, *arguments)

    return call


def plain_message(result: Result) -> str:
    """Return what wrong usage is told, without its frame."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│|]", "", result.stderr).split())


# Where a text ends.


def test_so_many_lines_are_written_empty_ones_aside(generate: Charlstm) -> None:
    written = generate("--lines", "7").stdout.removesuffix("\n")
    assert sum(bool(line) for line in written.split("\n")) == 7
    assert "\n\n" in written
    assert not written.endswith("\n")
    # The line that the prefix begins is the first.
    begun = generate("--lines", "2", "--prefix", "我在").stdout
    assert begun.startswith("我在")
    assert sum(bool(line) for line in begun.split("\n")) == 2
    assert len(generate("--lines", "7", "--length", "5").stdout) == 5 + len("\n")


def test_a_text_ends_before_the_first_of_the_texts_to_stop_at(generate: Charlstm) -> None:
    whole = generate().stdout
    first = min(place for place in (whole.find("在桥"), whole.find("你在")) if place >= 0)
    assert 0 < first < 50
    assert generate("--stop", "在桥", "--stop", "你在").stdout == whole[:first] + "\n"
    assert "cannot be empty" in generate("--stop", "").stderr


def test_without_an_end_there_are_two_hundred_characters(generate: Charlstm) -> None:
    assert len(generate().stdout) == 200 + len("\n")


# How characters are drawn.


def test_without_recall_the_network_alone_writes(generate: Charlstm) -> None:
    model = load("song")
    network = model.sampler.network.network  # type: ignore[attr-defined]
    alone = replace(model.sampler, network=network).generate(
        length=200, seed=1, decoding=Decoding(0.8)
    )
    assert generate("--recall", "0").stdout == alone + "\n"
    usual = generate().stdout
    assert usual == generate("--recall", "auto").stdout == generate("--recall", "0.4").stdout
    assert len({usual, alone + "\n", generate("--recall", "1").stdout}) == 3
    formed = [generate("--line-length", "5", "--recall", share).stdout for share in ("0", "1")]
    assert formed[0] != formed[1]


def test_the_recall_is_told_as_json_so_that_a_text_can_be_written_again(
    generate: Charlstm,
) -> None:
    for asked, told in (("auto", 0.4), ("0", 0.0), ("0.25", 0.25)):
        for form in ((), ("--line-length", "5")):
            (answer,) = generate("--json", "--recall", asked, *form).answers()
            assert answer["recall"] == told
            (again,) = generate("--json", "--recall", str(answer["recall"]), *form).answers()
            assert again == answer
            sampler = load("song").recalling(told)
            likely = sampler.log_probabilities(answer["text"]).mean()
            assert answer["mean_log_probability"] == pytest.approx(likely)


@pytest.mark.parametrize("asked", ["much", "1.5", "-0.1", "nan", "inf", ""])
def test_what_is_no_share_is_refused(asked: str, generate: Charlstm) -> None:
    result = generate(f"--recall={asked}")
    assert result.code == 2
    assert f"it is auto, or a number from 0 to 1, not '{asked}'." in plain_message(result)


def test_without_its_grams_a_run_writes_by_the_network_alone(
    generate: Charlstm, trained: Path
) -> None:
    alone = generate("--recall", "0")
    grams = trained / "checkpoints" / "song" / "recall.safetensors"
    grams.rename(grams.with_suffix(".aside"))
    try:
        assert generate("--recall", "0") == alone
        refused = generate()
        assert refused.code == 1
        assert "--recall 0" in refused.stderr
    finally:
        grams.with_suffix(".aside").rename(grams)


def test_min_p_of_one_takes_the_likeliest_whatever_the_seed(generate: Charlstm) -> None:
    likeliest = generate("--min-p", "1", "--temperature", "2", "--seed", "1").stdout
    assert generate("--min-p", "1", "--temperature", "2", "--seed", "2").stdout == likeliest
    assert generate("--min-p", "0", "--temperature", "2").stdout != likeliest
    assert "min-p must be a number from 0 to 1" in generate("--min-p", "1.5").stderr


def test_no_passage_comes_a_second_time_where_none_may(generate: Charlstm) -> None:
    def repeated(text: str) -> bool:
        windows = [text[start : start + 4] for start in range(len(text) - 3)]
        return len(set(windows)) < len(windows)

    assert repeated(generate("--temperature", "0.5").stdout)
    assert not repeated(generate("--temperature", "0.5", "--no-repeat", "4").stdout)


def test_loops_are_left_unless_they_are_allowed(generate: Charlstm) -> None:
    cold = ("--temperature", "0", "--length", "600")
    allowed = generate(*cold, "--allow-loops").stdout
    assert re.search(r"([^\n].{2,}?)\1{5}", allowed, re.S)
    assert not re.search(r"([^\n].{2,}?)\1{5}", generate(*cold).stdout, re.S)


def test_nothing_longer_than_max_copy_is_copied(generate: Charlstm) -> None:
    def longest(*arguments: str) -> int:
        (answer,) = generate("--json", *arguments).answers()
        found: int = answer["longest_copy"]["characters"]
        return found

    assert longest() > 6
    assert longest("--max-copy", "6") <= 6
    # Nor in lines that meet a form.
    assert longest("--max-copy", "6", "--line-length", "7") <= 6


def test_a_limit_on_copies_needs_an_index(generate: Charlstm) -> None:
    result = generate("--run", "plain", "--max-copy", "6")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: checkpoints/plain keeps no index of its training text")
    assert result.stderr.count("\n") == 1


# Prefixes from a file.


def test_every_line_of_a_file_is_continued_with_its_own_seeds(
    generate: Charlstm, tmp_path: Path
) -> None:
    (tmp_path / "前 缀.txt").write_text("我在\n你 在海上，\n他\n", encoding="utf-8")
    several = ("--prefix-file", str(tmp_path / "前 缀.txt"), "--unknown", "skip", "--length", "9")
    answers = generate(*several, "--samples", "2", "--seed", "10", "--json").answers()
    assert [(answer["prefix"], answer["seed"]) for answer in answers] == [
        *(
            ("我在", 10),
            ("我在", 11),
            ("你 在海上，", 12),
            ("你 在海上，", 13),
            ("他", 14),
            ("他", 15),
        )
    ]
    for answer in answers:
        again = generate(
            *("--prefix", answer["prefix"], "--seed", str(answer["seed"])),
            *("--unknown", "skip", "--length", "9"),
        )
        assert again.stdout == answer["text"] + "\n"
        assert len(answer["text"]) == len(answer["prefix"]) + 9
    shown = generate(*several, "--samples", "2", "--seed", "10")
    assert shown.stdout == "\n".join(answer["text"] + "\n" for answer in answers)
    assert ", seed 10;" in shown.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_file_of_prefixes_is_read_in_its_encoding(
    encoding: str, generate: Charlstm, tmp_path: Path
) -> None:
    text = "".join(line + "\r\n" for line in LINES[:20])
    (tmp_path / "prefixes.txt").write_bytes(text.encode(encoding))
    answers = generate(
        "--prefix-file", str(tmp_path / "prefixes.txt"), "--length", "1", "--json"
    ).answers()
    assert [answer["prefix"] for answer in answers] == LINES[:20]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_prefixes_come_through_a_pipe(
    end: str, generate: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.TextIOWrapper(io.BytesIO(f"我在海{end}{end}他在山".encode()))
    monkeypatch.setattr(sys, "stdin", piped)
    answers = generate("--prefix-file", "-", "--length", "1", "--json").answers()
    assert [answer["prefix"] for answer in answers] == ["我在海", "他在山"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    nothing = generate("--prefix-file", "-")
    message = "error: standard input is empty: it needs one prefix a line.\n"
    assert nothing == Result(1, "", message)


def test_lines_of_a_form_begin_with_each_prefix_of_a_file(
    generate: Charlstm, tmp_path: Path
) -> None:
    (tmp_path / "prefixes.txt").write_text("我在海\n他在山", encoding="utf-8")
    answers = generate(
        *("--prefix-file", str(tmp_path / "prefixes.txt"), "--line-length", "7", "--samples", "2"),
        *("--seed", "20", "--json"),
    ).answers()
    assert [answer["seed"] for answer in answers] == [20, 21, 22, 23]
    for answer, prefix in zip(answers, ("我在海", "我在海", "他在山", "他在山"), strict=True):
        assert answer["text"].startswith(prefix)
        assert [len(counted(line)) for line in answer["text"].split("\n")] == [7] * 4


def test_a_file_without_prefixes_or_that_cannot_be_read_is_one_sentence(
    generate: Charlstm, tmp_path: Path
) -> None:
    empty, absent = tmp_path / "empty.txt", tmp_path / "absent.txt"
    empty.write_bytes(b"")
    for path, sentence in (
        (empty, f"{empty} is empty: it needs one prefix a line."),
        (absent, f"{absent} cannot be read: No such file or directory."),
        (tmp_path, f"{tmp_path} cannot be read: Is a directory."),
    ):
        result = generate("--prefix-file", str(path))
        assert result == Result(1, "", f"error: {sentence}\n")


def test_a_prefix_and_a_file_of_them_exclude_each_other(generate: Charlstm) -> None:
    result = generate("--prefix", "我", "--prefix-file", "song.txt")
    assert (result.code, result.stdout) == (2, "")
    assert "--prefix and --prefix-file cannot be combined." in plain_message(result)


# What is told about a text.


def test_as_json_the_mean_log_probability_is_that_of_what_was_written(
    generate: Charlstm,
) -> None:
    for arguments in (("--prefix", "我在", "--samples", "2"), ("--line-length", "5")):
        for answer in generate("--json", *arguments).answers():
            prefix = answer["prefix"]
            assert answer["text"].startswith(prefix)
            found = load("song").sampler.log_probabilities(answer["text"][len(prefix) :], prefix)
            assert answer["mean_log_probability"] == pytest.approx(found.mean())
            assert found.mean() < 0
    (nothing,) = generate("--json", "--prefix", "我在", "--length", "0").answers()
    assert nothing["mean_log_probability"] is None


def test_as_json_the_longest_copy_is_told_with_its_line(generate: Charlstm) -> None:
    (answer,) = generate("--json", "--length", "60").answers()
    text, copy = answer["text"], answer["longest_copy"]
    length = max(
        end - start
        for end in range(len(text) + 1)
        for start in range(end)
        if text[start:end] in LYRICS
    )
    assert copy["characters"] == len(copy["text"]) == length >= 4
    assert copy["text"] in text
    assert copy["line"] == LYRICS[: LYRICS.index(copy["text"])].count("\n") + 1
    # What was given is not copied, however it reads.
    (given,) = generate("--json", "--prefix", LINES[0], "--length", "0").answers()
    assert given["longest_copy"] == {"characters": 0, "text": "", "line": None}
    (unknown,) = generate("--json", "--run", "plain").answers()
    assert unknown["longest_copy"] is None


def test_as_json_the_settings_are_told(generate: Charlstm) -> None:
    (answer,) = generate(
        *("--json", "--min-p", "0.1", "--no-repeat", "9", "--allow-loops", "--max-copy", "8")
    ).answers()
    expected = {"min_p": 0.1, "no_repeat": 9, "allow_loops": True, "max_copy": 8, "top_k": 0}
    assert {name: answer[name] for name in expected} == expected
    assert answer["run"] == "checkpoints/song"


def test_the_longest_copy_of_all_texts_is_told_beside_them(generate: Charlstm) -> None:
    answers = generate("--json", "--samples", "4", "--length", "40").answers()
    copies = [answer["longest_copy"] for answer in answers]
    longest = max(copies, key=lambda copy: int(copy["characters"]))
    shown = longest["text"].replace("\n", "⏎")
    result = generate("--samples", "4", "--length", "40")
    assert result.stderr == (
        f"run song, seed 1; longest copy {longest['characters']} characters, {shown} "
        f"(line {longest['line']} of the training text)\n"
    )
    nothing = generate("--length", "3")
    assert nothing.stderr == "run song, seed 1; nothing of four characters or more is copied\n"
    unknown = generate("--run", "plain")
    assert unknown.stderr == (
        "run plain, seed 1; copies were not looked for: the run keeps no index\n"
    )


def test_in_a_long_training_text_copies_are_not_looked_for_and_that_is_said(
    trained: Path, generate: Charlstm
) -> None:
    long = trained / "checkpoints" / "long"
    shutil.copytree(trained / "checkpoints" / "song", long)
    os.truncate(long / "training.txt.bz2", 8_000_001)
    told = generate("--run", "long")
    shutil.rmtree(long)
    assert told.stderr == (
        "run long, seed 1; the training text is long, so copies were not looked for: save the "
        "song and run charlstm eval novelty FILE\n"
    )


def test_copies_in_a_long_training_text_are_looked_for_if_it_is_read_anyway(trained: Path) -> None:
    model = load("song", root=trained / "checkpoints")
    learned = Learned(model.directory, model.info, quick_to_read=100)
    assert str(learned.reason_not_to_look()).startswith("the training text is long, so copies")
    assert learned.reason_not_to_look(max_copy=6) is None
    plain = load("plain", root=trained / "checkpoints")
    reason = Learned(plain.directory, plain.info, quick_to_read=100).reason_not_to_look(max_copy=6)
    assert str(reason) == "copies were not looked for: the run keeps no index"


# Forms.


def test_the_forms_of_the_command_line_hold(generate: Charlstm) -> None:
    answers = generate(
        *("--line-length", "6-8", "--acrostic", "我 你 他 我", "--rhyme", "aaba"),
        *("--must", "花下", "--samples", "3", "--json"),
    ).answers()
    assert len({answer["text"] for answer in answers}) == 3
    for answer in answers:
        lines = answer["text"].split("\n")
        assert "".join(line[0] for line in lines) == "我你他我"
        assert {len(counted(line)) for line in lines} <= {6, 7, 8}
        assert rhyme(lines[0], lines[1])
        assert rhyme(lines[0], lines[3])
        assert rhyme(lines[1], lines[3])
        assert "花下" in answer["text"]
    ends = generate("--acrostic-end", "来海", "--lines", "3", "--line-length", "5,7").stdout
    lines = ends.splitlines()
    assert [len(counted(line)) for line in lines] == [5, 7, 5]
    assert [line[-1] for line in lines[:2]] == ["来", "海"]


def test_the_same_seed_writes_the_same_form(generate: Charlstm) -> None:
    form = ("--rhyme", "AABB", "--must", "桥边")
    one, other = (generate(*form, "--seed", "6") for _ in range(2))
    assert one == other
    assert one.stdout != generate(*form, "--seed", "7").stdout
    several = generate(*form, "--seed", "5", "--samples", "2", "--json").answers()
    assert several[1]["text"] + "\n" == one.stdout


@pytest.mark.parametrize("end", [("--length", "9"), ("--stop", "。"), ("--length", "0")])
@pytest.mark.parametrize("form", [("--line-length", "5"), ("--must", "花"), ("--rhyme", "AA")])
def test_a_form_with_another_end_is_wrong_usage(
    form: tuple[str, ...], end: tuple[str, ...], generate: Charlstm
) -> None:
    result = generate(*form, *end)
    assert (result.code, result.stdout) == (2, "")
    message = "a form determines its own length; leave --length and --stop out."
    assert message in plain_message(result)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--line-length", "x"), "A line length is a number from 1 to 100"),
        (("--line-length", "9-5"), "A line length is a number from 1 to 100"),
        (("--rhyme", "A-A"), "A rhyme scheme is a letter a line"),
        (("--acrostic", "我。"), "--acrostic needs letters"),
        (("--acrostic", "我你他", "--lines", "2"), "--acrostic has 3 characters and --lines is 2"),
        (("--acrostic", "我Ω"), "The model has never seen 'Ω' of --acrostic."),
        (
            ("--must", "花下", "--line-length", "1"),
            "--must 花下 does not fit into a line of --line-length 1.",
        ),
        (("--must", " "), "--must needs a word"),
        (("--rhyme", "AA", "--acrostic-end", "来香"), "来 and 香 of --acrostic-end do not"),
        (
            ("--acrostic", "来", "--acrostic-end", "海", "--line-length", "1"),
            "No line 1 was found that meets --",
        ),
    ],
)
def test_a_form_that_cannot_be_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, generate: Charlstm
) -> None:
    result = generate(*arguments)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_the_rhyme_libraries_a_rhyme_says_what_to_install(trained: Path) -> None:
    result = python(
        "-c",
        "import importlib.util as util, sys\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: (\n"
        "    None if name in ('pypinyin', 'pronouncing') else find(name, *rest))\n"
        "sys.modules['pypinyin'] = sys.modules['pronouncing'] = None\n"
        "from charlstm.cli import main\n"
        "sys.argv = ['charlstm', 'generate', '--rhyme', 'AABA']\n"
        "main()\n",
        where=trained,
    )
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: Rhymes need pypinyin and pronouncing, which are not installed: pip install "
        "'charlstm[rhyme]', or leave --rhyme out.\n"
    )


def test_a_form_without_copies_is_written_without_torch(trained: Path) -> None:
    result = python(
        "-c",
        "import sys\nfrom charlstm.cli import main\n"
        "sys.argv = ['charlstm', 'generate', '--max-copy', '6', '--rhyme', 'AABA', '--json',\n"
        "    '--line-length', '5-9', '--must', '花']\n"
        "try:\n    main()\nfinally:\n"
        "    print(sorted({'torch', 'matplotlib'} & set(sys.modules)))\n",
        where=trained,
    )
    assert result.code == 0, result.stderr
    answer, modules = result.stdout.splitlines()
    assert len(json.loads(answer)["text"].split("\n")) == 4
    assert modules == "[]"


# What a model cannot read or write is told.


def test_a_line_break_typed_as_two_characters_is_an_error_that_says_how(generate: Charlstm) -> None:
    result = generate("--stop", r"\n")
    assert (result.code, result.stdout) == (1, "")
    assert r"Most shells type a line break as $'\n'" in result.stderr
    assert "with --lines." in result.stderr
    assert "The model never writes 'X', so" in generate("--stop", "你X").stderr
    assert generate("--stop", "\n", "--prefix", "我在").stdout.count("\n") == 1


def test_what_is_mapped_or_left_out_is_said_on_standard_error(
    generate: Charlstm, tmp_path: Path
) -> None:
    mapped = generate("--prefix", "說我X", "--unknown", "map", "--length", "5")
    assert mapped.stdout.startswith("說我X")
    assert (
        "Of the prefix the model reads '說' as '说'; and it reads 'X' as <unk>, which nothing "
        "resembles." in " ".join(mapped.stderr.split())
    )
    skipped = generate("--prefix", "我X", "--unknown", "skip", "--length", "5")
    assert "Of the prefix the model leaves out 'X'." in skipped.stderr
    lines = tmp_path / "lines.txt"
    lines.write_text("我\n\n說\n", encoding="utf-8")
    several = generate("--prefix-file", str(lines), "--unknown", "map", "--length", "5")
    assert "Of prefix 2 the model reads '說' as '说'." in several.stderr
    assert "Of the prefix" not in generate("--prefix", "我", "--unknown", "map").stderr
