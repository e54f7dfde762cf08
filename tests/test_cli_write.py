import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import Charlstm, Result, python
from faults.patience import until
from rich.cells import cell_len
from rich.console import Console
from songs import learn
from terminals import TAKE_TERMINAL, Terminal, terminal

from charlstm.api import load
from charlstm.cli.write import page
from charlstm.cli.write.settings import settings
from charlstm.writing.form import Form
from charlstm.writing.song import Song

# What no terminal should be sent: all controls but the line break.
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


Step = str | Callable[[], object]
Write = Callable[..., Result]


class Typist:
    """A standard input that types line after line; what can be called is called in between."""

    def __init__(self, steps: tuple[Step, ...], *, asked: bool) -> None:
        self._steps = iter(steps)
        self._asked = asked

    def isatty(self) -> bool:
        return self._asked

    def readline(self) -> str:
        for step in self._steps:
            if isinstance(step, str):
                return step + "\n"
            step()
        return ""


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("write") / "我 的 歌"
    where.mkdir()
    learn(where)
    learn(where, name="plain", epochs=1, index=False)
    return where


@pytest.fixture
def place(trained: Path) -> Iterator[Path]:
    """Return where the runs are, without a draft."""
    yield trained
    for path in (trained / "checkpoints").glob("*/draft*"):
        path.unlink()


@pytest.fixture
def draft(place: Path) -> Path:
    return place / "checkpoints" / "song" / "draft.txt"


@pytest.fixture
def write(place: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what runs a session in this process, where nothing is a terminal.

    With `asked`, standard input is taken for one, and asks what to do with the draft.
    """
    monkeypatch.chdir(place)

    def session(
        *steps: Step,
        options: tuple[str, ...] = (),
        run: str | None = "song",
        asked: bool = False,
    ) -> Result:
        seed = () if "--seed" in options else ("--seed", "3")
        named = ("--run", run) if run else ()
        monkeypatch.setattr(sys, "stdin", Typist(steps, asked=asked))
        return charlstm("write", *named, *seed, *options)

    return session


# A session through pipes.


def test_a_piped_session_gives_the_song_and_everything_else_apart(place: Path) -> None:
    typed = "1\n自己写的 \x1b[31m红\x07\n\nb\n2\nq\n".encode() + b"never read\n"
    program = (
        "import sys\nfrom charlstm.cli import main\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    result = python("-c", program, "write", "--run", "song", where=place, stdin=typed)
    code, stdout, stderr = result
    assert code == 0, stderr
    lines = stdout.split("\n")
    assert len(lines) == 5
    assert lines[1:3] == ["自己写的 红", ""]
    assert lines[0]
    assert lines[3]
    found = result.tables()
    assert found[2] == found[3]  # the empty line only draws again
    assert len(found) == 6
    assert (lines[0], lines[3]) == (found[0][0], found[4][1])
    assert not CONTROL.search(stdout + stderr)
    assert "The draft is in checkpoints/song/draft.txt; charlstm write goes on with it." in stderr


def test_a_stanza_that_is_named_returns_and_the_draft_keeps_it(write: Write, draft: Path) -> None:
    verse = ("我在车站等你来", "你在海上看花开")
    result = write(*verse, "b", "他在窗前", "不见了", "/refrain 1", "q")
    assert result.code == 0, result.stderr
    whole = [*verse, "", "他在窗前", "不见了", "", *verse]
    assert result.stdout.splitlines() == whole
    assert draft.read_text("utf-8").splitlines() == whole
    result = write("u", "/refrain 3", "/refrain two", "/refrain ２", "q")
    assert "There is no stanza 3 that could return: the song has 2 stanzas" in result.stderr
    assert "/refrain needs the number of a stanza, as in /refrain 2." in result.stderr
    assert result.stdout.splitlines() == [*whole[:-1], "", *whole[3:5]]
    result = write("/refrain", "q")
    assert "/refrain needs a model of songs, and this one learned a single text." in result.stderr


def test_a_session_that_adds_nothing_leaves_nothing(write: Write, draft: Path) -> None:
    result = write("q")
    assert (result.code, result.stdout) == (0, "")
    assert "The draft is in" not in result.stderr
    assert not draft.exists()


def test_numbers_take_the_proposed_line_in_either_width(write: Write) -> None:
    result = write("1", "５", " 3 ", "q")
    tables = result.tables()
    assert [len(table) for table in tables] == [5] * 4
    assert result.stdout.splitlines() == [tables[0][0], tables[1][4], tables[2][2]]


def test_other_lines_are_proposed_in_either_width(write: Write) -> None:
    result = write("r", "ｒ", "q")
    first, second, third = result.tables()
    assert len({*map(tuple, (first, second, third))}) == 3
    assert result.stdout == ""


def test_a_line_that_was_shown_at_a_place_is_not_shown_there_again(write: Write) -> None:
    result = write("r", "r", "1", "r", "q")
    first, again, third, second, _ = result.tables()
    assert len({*first, *again, *third}) == 15
    assert len(second) == 5


def test_when_there_are_no_other_lines_it_is_told_and_the_old_ones_stay(write: Write) -> None:
    only = ("--line-length", "2", "--acrostic", "我", "--acrostic-end", "在")
    result = write("r", "1", "q", options=only)
    assert "Only 1 line was found; a higher /temperature finds more.\n" in result.stderr
    assert "No other line was found; a higher /temperature finds more.\n" in result.stderr
    assert result.tables()[:2] == [["我在"], ["我在"]]
    assert "\n1 take · your own words" in result.stderr
    assert result.stdout == "我在\n"


def test_what_was_seen_at_a_place_is_shown_again_when_one_comes_back(write: Write) -> None:
    result = write("r", "3", "2", "u", "u", "我在这里", "b", "u", "u", "5", "q")
    tables = result.tables()
    _, seen, behind, _, again, first, *_ = tables
    assert again == behind
    assert first == seen == tables[-2]
    assert result.stdout == f"{seen[4]}\n"


def test_other_settings_propose_other_lines_even_where_one_was_before(write: Write) -> None:
    result = write("1", "/length 5", "u", "q")
    assert [{len(line) for line in table} for table in result.tables()[2:]] == [{5}, {5}]


def test_keys_and_commands_may_be_capitals(write: Write, tmp_path: Path) -> None:
    name = tmp_path / "Song.txt"
    result = write(
        "R", "我在这里", "B", "U", "L", f"S {name}", "/LENGTH 5", "/Length OFF", "Q", "x"
    )
    assert result.stdout == name.read_text(encoding="utf-8") == "我在这里\n"
    assert "taken back: \n" in result.stderr
    titles = re.findall(r"^song · .*$", result.stderr, re.M)
    assert titles[-2:] == [
        "song · temperature 0.8 · recall 0.4 · length 5",
        "song · temperature 0.8 · recall 0.4",
    ]


def test_lines_that_are_pasted_are_lines_and_no_keys(write: Write, draft: Path) -> None:
    result = write("\n第一行\nq \n\n/length 5\n\\r\n 2\x07\n", "u", "q")
    assert result.stdout == "第一行\nq\n\n/length 5\n\\r\n"
    assert "taken back:  2\n" in result.stderr
    assert len(result.tables()) == 3  # for all of them together there is one
    # One line alone is as if it had been typed.
    assert write("\nq\n", "我").stdout == result.stdout


def test_the_end_of_the_input_is_a_way_to_quit(write: Write, draft: Path) -> None:
    result = write("1")
    assert result.code == 0
    assert result.stdout == draft.read_text(encoding="utf-8") == result.tables()[0][0] + "\n"


def test_the_same_seed_and_decisions_make_the_same_session(write: Write, draft: Path) -> None:
    def session(seed: str) -> Result:
        draft.unlink(missing_ok=True)
        return write("1", "我在这里", "r", "l", "2", options=("--seed", seed))

    assert session("8") == session("8")
    assert session("8") != session("9")


def test_lines_are_taken_back_one_by_one(write: Write, draft: Path) -> None:
    kept: list[str] = []

    def look() -> None:
        kept.append(draft.read_text(encoding="utf-8"))

    result = write("我的第一行", "第二行", "u", look, "ｕ", look, "u", "q")
    assert kept == ["我的第一行\n", ""]
    assert "taken back: 第二行\n" in result.stderr
    assert "taken back: 我的第一行\n" in result.stderr
    assert "There is no line to take back.\n" in result.stderr
    assert (result.code, result.stdout) == (0, "")


def test_the_session_looks_ahead_from_here_and_from_a_proposal(write: Write) -> None:
    result = write("l", "l 2", "l3", "l 9", "q", options=("--acrostic", "我你他我你他"))
    ahead = re.findall(r"^    (\S+)$", result.stderr, re.M)
    assert "".join(line[0] for line in ahead) == "我你他我" + "你他我你" * 2
    assert "There is no line 9.\n" in result.stderr
    assert result.stdout == ""
    assert len(result.tables()) == 1  # the proposals stand


def test_lines_shown_ahead_are_taken_with_the_proposal_before_them(write: Write) -> None:
    result = write("l", "t", "q", options=("--acrostic", "我你他我你他"))
    ahead = re.findall(r"^    (\S+)$", result.stderr, re.M)
    assert "t takes these lines\n" in result.stderr
    assert result.stdout.splitlines() == ahead
    result = write("l 3", "t", "u", "t", "q", options=("--new",))
    first, *ahead = result.stdout.splitlines()
    assert first == result.tables()[0][2]
    assert ahead == re.findall(r"^    (\S+)$", result.stderr, re.M)[:3]
    assert "t takes line 3 and these lines\n" in result.stderr
    assert "There is nothing to take yet" in result.stderr  # they are gone with the first t


def test_the_whole_song_is_printed(write: Write, draft: Path) -> None:
    draft.write_text("".join(f"行{n}。\n" for n in range(40)), encoding="utf-8")
    before, _, after = write("p", "q").stderr.partition("? help\n")
    assert "  行0。\n" not in before
    assert re.findall(r"^  行(\d+)。$", after, re.M) == [str(n) for n in range(40)]


def test_an_empty_line_begins_the_form_again(write: Write) -> None:
    result = write("1", "b", "q", options=("--acrostic", "我你"))
    assert [{line[0] for line in table} for table in result.tables()] == [{"我"}, {"你"}, {"我"}]
    assert result.stdout == result.tables()[0][0] + "\n\n"


def test_the_song_is_saved_but_not_over_another_file(write: Write, tmp_path: Path) -> None:
    name = str(tmp_path / "我 的 Song.txt")
    other = tmp_path / "other.txt"
    other.write_text("mine", encoding="utf-8")
    kept: list[str] = []

    def look() -> None:
        kept.append(other.read_text(encoding="utf-8"))

    result = write(
        *("我在这里", f"s {name}", "第二行", f"s {name}"),
        *(f"s {other}", look, f"s! {other}", look),
        *(f"s {tmp_path}/absent/song.txt", f"s! {tmp_path}", "q"),
    )
    song = "我在这里\n第二行\n"
    assert Path(name).read_text(encoding="utf-8") == result.stdout == song
    assert kept == ["mine", song]
    assert f"{other} exists; s! {other} writes over it.\n" in result.stderr
    assert result.stderr.count(f"saved: {name}\n") == 2  # its own file it writes over
    absent = f"{tmp_path}/absent"
    assert f"{absent}/song.txt cannot be written: {absent} is not a directory." in result.stderr
    assert f"{tmp_path} is a directory: name a file in it." in result.stderr


@pytest.mark.parametrize("name", ["run.json", "draft.txt", "link"])
def test_a_song_is_not_saved_over_what_the_session_reads(
    name: str, write: Write, draft: Path, tmp_path: Path
) -> None:
    path = tmp_path / "link" if name == "link" else draft.with_name(name)
    if name == "link":
        path.symlink_to(draft.with_name("model.safetensors"))
    before = draft.with_name("run.json").read_bytes()
    result = write("我在这里", f"s! {path}", "q")
    told = f"{path} is read here, so it is not written over: name another file."
    assert told in " ".join(result.stderr.split("\n"))
    assert "saved: " not in result.stderr
    assert draft.with_name("run.json").read_bytes() == before
    assert draft.read_text(encoding="utf-8") == "我在这里\n"


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 300, "~nobody-of-this-name/song.txt"], ids=["NUL", "long", "home"]
)
def test_a_name_that_no_file_can_have_is_told_and_the_session_goes_on(
    name: str, write: Write
) -> None:
    result = write("我在这里", f"s {name}", "第二行", "q")
    assert result.code == 0
    assert result.stdout == "我在这里\n第二行\n"
    # A key without a character may be left out of the name, as it is out of a line.
    assert re.search("cannot be written|^saved: ab$", result.stderr, re.M)


def test_a_full_width_space_sets_the_rest_of_a_command_apart_as_well(
    write: Write, tmp_path: Path
) -> None:
    result = write("我在这里", f"ｓ\u3000{tmp_path}/song.txt", "／ｌｅｎｇｔｈ\u3000５", "q")
    assert (tmp_path / "song.txt").read_text(encoding="utf-8") == "我在这里\n"
    assert {len(line) for line in result.tables()[-1]} == {5}


def test_the_help_names_every_command(write: Write) -> None:
    result = write("?", "？", "q")
    for command in (
        *("s! FILE", "/temperature", "/recall", "/length", "/rhyme", "/acrostic", "/end", "/must"),
    ):
        assert result.stderr.count(command) >= 2
    assert "must be written with a backslash" not in result.stderr
    assert result.stderr.count("is written with a backslash before it: \\r\n") == 2


def test_what_the_form_asks_for_is_changed_and_turned_off(write: Write) -> None:
    result = write(
        *("/length 9", "/acrostic 你", "/acrostic off", "/end 来", "/end off", "/length off"),
        *(
            "/must 花下",
            "/must off",
            "/temperature 0.31",
            "/copy 5",
            "/temperature 0.4",
            "/copy off",
            "q",
        ),
    )
    tables = iter(result.tables()[1:])
    assert {len(line) for line in next(tables)} == {9}
    assert {line[0] + str(len(line)) for line in next(tables)} == {"你9"}
    assert len({line[0] for line in next(tables)}) > 1
    assert {line[-1] for line in next(tables)} == {"来"}
    assert len({line[-1] for line in next(tables)}) > 1
    assert len({len(line) for line in next(tables)}) > 1
    assert all("花下" in line for line in next(tables))
    assert not all("花下" in line for line in next(tables))
    titles = re.findall(r"^song · .*$", result.stderr, re.M)
    assert titles == [
        "song · temperature 0.8 · recall 0.4",
        "song · temperature 0.8 · recall 0.4 · length 9",
        "song · temperature 0.8 · recall 0.4 · length 9 · acrostic 你 0/1",
        "song · temperature 0.8 · recall 0.4 · length 9",
        "song · temperature 0.8 · recall 0.4 · length 9 · end 来 0/1",
        "song · temperature 0.8 · recall 0.4 · length 9",
        "song · temperature 0.8 · recall 0.4",
        "song · temperature 0.8 · recall 0.4 · must 花下",
        "song · temperature 0.8 · recall 0.4",
        "song · temperature 0.31 · recall 0.4",
        "song · temperature 0.31 · recall 0.4 · copy 5",
        "song · temperature 0.4 · recall 0.4 · copy 5",
        "song · temperature 0.4 · recall 0.4",
    ]
    last = result.stderr.rpartition("· copy 5\n")[2].partition("\nsong")[0]
    copied = [int(number) for number in re.findall(r"%\s+(\d+) ", last)]
    whole = re.findall(r"^\d .*%\s+all  (\S+)", last, re.M)
    assert max([*copied, *map(len, whole)], default=0) <= 5


def test_the_title_says_how_far_an_acrostic_has_come(write: Write) -> None:
    result = write(
        "1", "1", "b", "u", "q", options=("--acrostic", "我 你", "--acrostic-end", "来在天")
    )
    complete = "complete, b begins a stanza"
    assert re.findall(r"acrostic .*$", result.stderr, re.M) == [
        "acrostic 我 你 0/2 · end 来在天 0/3",
        "acrostic 我 你 1/2 · end 来在天 1/3",
        f"acrostic 我 你 {complete} · end 来在天 2/3",
        "acrostic 我 你 0/2 · end 来在天 0/3",
        f"acrostic 我 你 {complete} · end 来在天 2/3",
    ]


def test_a_setting_without_a_value_is_shown(write: Write) -> None:
    result = write("/length 5-7", "/length", "/RHYME", "/must 花下", "/must ", "/temperature ", "q")
    for told in (
        "length is 5-7; /length off turns it off.",
        "rhyme is off; /rhyme AABA, for example, turns it on.",
        "must is 花下; /must off turns it off.",
        "temperature is 0.8; /temperature off goes back to 0.8.",
    ):
        assert f"{told}\n" in result.stderr
    assert len(result.tables()) == 3


def test_the_temperature_goes_back_to_where_it_was(write: Write) -> None:
    result = write("/temperature Off", "q", options=("--temperature", "0.3"))
    titles = re.findall(r"^song · .*$", result.stderr, re.M)
    assert titles == ["song · temperature 0.3 · recall 0.4", "song · temperature 0.8 · recall 0.4"]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("花下 看", "花下 看"),
        ('"花下" “看”', "花下 看"),
        ("「花下」看", "花下 看"),
    ],
)
def test_words_that_must_occur_may_stand_in_quotes(typed: str, title: str, write: Write) -> None:
    result = write(f"/must {typed}", "q", options=("--line-length", "10"))
    assert f"· must {title}\n" in result.stderr
    assert all(re.search("花下|看", line) for line in result.tables()[-1])


def test_a_phrase_is_shown_in_quotes(song: Song) -> None:
    song.form = Form(must=("花 下", "看"))
    assert settings(song)["must"] == '"花 下" 看'


@pytest.mark.parametrize("typed", ['"花下', "花下”", '""', '花下 "'])
def test_a_phrase_needs_quotes_on_both_sides(typed: str, write: Write) -> None:
    result = write(f"/must {typed}", "q")
    assert re.search("A phrase needs quotes on both sides|/must needs a word", result.stderr)
    assert "· must" not in result.stderr


def test_lines_rhyme_once_it_is_asked_for(write: Write) -> None:
    result = write("/rhyme AA", "夜很长", "q")
    assert len(result.tables()) == 3
    ang = set("光上窗想长忘香向相")
    assert {line[-1] for line in result.tables()[2]} <= ang - {"长"}


def test_recall_is_a_setting_like_the_others(write: Write, draft: Path) -> None:
    result = write(
        *("/recall", "/recall 0.2", "我在桥边", "/recall off", "/recall", "/recall auto", "q"),
        options=("--recall", "1"),
    )
    titles = [line for line in result.stderr.splitlines() if line.startswith("song · ")]
    assert titles == [
        "song · temperature 0.8 · recall 1",
        "song · temperature 0.8 · recall 0.2",
        "song · temperature 0.8 · recall 0.2",
        "song · temperature 0.8",
        "song · temperature 0.8 · recall 0.4",
    ]
    for told in (
        "recall is 1; /recall off is the network alone, /recall auto as the recipe.",
        "recall is off; /recall 0.2, for example, turns it on.",
    ):
        assert told in result.stderr.splitlines()
    assert json.loads(draft.with_name("draft.json").read_bytes())["recall"] == 0.4


def test_a_draft_is_gone_on_with_the_recall_that_it_had(write: Write) -> None:
    write("我在桥边", "/recall 0", "q")
    assert "recall" not in write("q").stderr
    shown = write("q", options=("--recall", "0.7")).stderr
    assert "song · temperature 0.8 · recall 0.7" in shown.splitlines()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/recall much", "/recall needs auto or a number from 0 to 1, as in 0.2, not 'much'."),
        ("/recall 2", "/recall needs auto or a number from 0 to 1, as in 0.2, not '2'."),
        ("/recall nan", "/recall needs auto or a number from 0 to 1, as in 0.2, not 'nan'."),
        ("/", "/ is none of the commands; ? shows them."),
        ("/nonsense 3", "/nonsense 3 is none of the commands; ? shows them."),
        ("/temperature warm", "A temperature is a number, as in 0.9, not 'warm'."),
        ("/temperature", "temperature is 0.8; /temperature off goes back to 0.8."),
        ("/length", "length is off; /length 7, for example, turns it on."),
        ("/temperature -1", "temperature must be a number from 0 to 100, not -1"),
        ("/temperature nan", "temperature must be a number from 0 to 100, not nan"),
        ("/copy many", "/copy needs a whole number from 1, as in /copy 6."),
        ("/copy 0", "/copy needs a whole number from 1, as in /copy 6."),
        ("/copy 1.5", "/copy needs a whole number from 1, as in /copy 6."),
        (f"/copy {'9' * 5000}", "/copy needs a whole number from 1, as in /copy 6."),
        ("/length seven", "A line length is a number from 1 to 100"),
        ("/rhyme 1", "A rhyme scheme is a letter a line"),
        ("/acrostic Ω", "The model has never seen 'Ω' of /acrostic."),
        ("/must Ω", "The model has never seen 'Ω' of /must."),
        ("0", "There is no line 0; a backslash before it makes it one: \\0"),
        ("9", "There is no line 9; a backslash before it makes it one: \\9"),
        ("12", "There is no line 12; a backslash before it makes it one: \\12"),
        ("300", "There is no line 300; a backslash before it makes it one: \\300"),
        ("１２", "There is no line 12; a backslash before it makes it one: \\12"),
        ("quit", "q quits; a backslash makes a line of the word: \\quit"),
        ("Exit", "q quits; a backslash makes a line of the word: \\Exit"),
        ("HELP", "? shows the keys; a backslash makes a line of the word: \\HELP"),
        ("ｕｎｄｏ", "u takes the last line back; a backslash makes a line of the word: \\undo"),
        ("t", "There is nothing to take yet: l looks ahead first."),
        ("1999", None),
        ("help me", None),
        ("l 0 0", None),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    typed: str, told: str | None, write: Write
) -> None:
    result = write(typed, "q")
    assert result.code == 0
    if told is None:  # these are words of a song
        assert result.stdout == typed + "\n"
        return
    assert told in result.stderr
    assert result.stdout == ""
    assert len(result.tables()) == 1


def test_a_backslash_makes_a_line_of_a_command(write: Write) -> None:
    result = write("\\r", "\\5", "\\/length 5", "\\\\", "\\\\r", "＼ｒ", "\\quit", "q")
    assert result.stdout == "r\n5\n/length 5\n\\\n\\r\nｒ\nquit\n"


def test_a_form_that_no_line_meets_is_told_and_can_be_changed(write: Write) -> None:
    result = write("/acrostic 来", "/end 海", "/length 1", "1", "/length off", "q")
    assert re.search(r"^No line 1 .*/(length|end|acrostic) ", result.stderr, re.M)
    assert "--" not in result.stderr
    assert "There is no line 1; a backslash" in result.stderr
    assert {line[0] + line[-1] for line in result.tables()[-1]} == {"来海"}
    assert len(result.tables()) == 4
    assert result.stdout == ""


def test_a_limit_on_copies_needs_an_index(write: Write) -> None:
    begun = write("q", run="plain", options=("--max-copy", "5"))
    assert begun.code == 1
    assert "plain keeps no index of its training text" in begun.stderr
    changed = write("/copy 5", "q", run="plain")
    assert changed.code == 0
    assert "index" in changed.stderr
    assert "· copy 5" not in changed.stderr


def test_a_damaged_index_is_told_as_what_it_is(write: Write, draft: Path) -> None:
    write("/copy 6", "/length 7", "我在桥边", "q")
    index = draft.with_name("training.txt.bz2")
    intact = index.read_bytes()
    index.write_bytes(b"none")
    try:
        result = write("/copy 5", "/copy off", "q")
    finally:
        index.write_bytes(intact)
    told = " ".join(result.stderr.split())
    assert "Copies are not looked for: " in told
    assert told.count("training.txt.bz2 is damaged") == 2
    assert "keeps no index" not in told
    assert (
        "song · temperature 0.8 · recall 0.4 · length 7\n" in result.stderr
    )  # the draft's other settings


def test_what_is_copied_is_shown_only_where_it_can_be_known(write: Write) -> None:
    assert re.search(r"%\s+(all|\d+)  ", write("q").stderr)
    result = write("q", run="plain")
    assert len(result.tables()[0]) == 5
    assert not re.search(r"%\s+(all|\d+)  ", result.stderr)


def test_the_keys_fit_into_eighty_columns(write: Write) -> None:
    keys = re.findall(r"^.*your own words.*$", write("q").stderr, re.M)
    assert keys == [
        "1-5 take · your own words · r more · u back · l ahead · s FILE · q quit · ? help"
    ]
    assert len(keys[0]) <= 80
    assert max(map(cell_len, page.HELP.splitlines())) <= 80
    # Where there are no proposals, none can be taken.
    result = write("q", options=("--acrostic", "来", "--acrostic-end", "海", "--line-length", "1"))
    assert re.search(r"^your own words", result.stderr, re.M)


def console(width: int, height: int) -> tuple[Console, io.StringIO]:
    drawn = io.StringIO()
    return Console(file=drawn, width=width, height=height, highlight=False), drawn


@pytest.fixture
def song(place: Path) -> Song:
    model = load(place / "checkpoints" / "song")
    return Song(model.sampler, training_text=model.learned.text, seed=3)


@pytest.mark.parametrize(("width", "height"), [(100, 40), (80, 24), (100, 11)])
def test_of_a_long_song_as_much_is_shown_as_the_terminal_has_room_for(
    width: int, height: int, song: Song, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "is_terminal", lambda _: True)
    song.write([f"行{n}。" for n in range(60)])
    screen, drawn = console(width, height)
    page.draw(screen, "song", song, song.propose())
    shown = re.findall(r"^  行(\d+)。$", drawn.getvalue(), re.M)
    assert shown == [str(n) for n in range(60 - len(shown), 60)]
    rows = drawn.getvalue().count("\n")
    # A row for the prompt is left, and one for what was told before.
    assert rows == height - 2 if height > 11 else len(shown) == 3


def test_a_narrow_console_shows_only_how_much_is_copied(song: Song) -> None:
    proposals = song.propose()
    drawn = []
    for width in (60, 59):
        screen, text = console(width, 24)
        page.draw(screen, "song", song, proposals)
        drawn.append(text.getvalue())
    wide, narrow = drawn
    assert re.search(r"%\s+(\d+  .*«|all)", wide)
    assert re.search(r"%\s+(\d+|all)  ", narrow)
    assert "«" not in narrow


def test_on_a_terminal_what_takes_long_shows_that_something_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "is_terminal", lambda _: True)
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with page.busy(screen):
        pass
    assert screen.file.getvalue() == ""  # type: ignore[attr-defined]
    monkeypatch.setattr(page, "_PATIENCE_SECONDS", 0.0)
    with page.busy(screen):
        until(lambda: "looking for lines" in screen.file.getvalue())  # type: ignore[attr-defined]
    assert screen.file.getvalue().endswith("\x1b[2K")  # type: ignore[attr-defined]


# The draft.


def test_the_draft_is_written_at_every_step(write: Write, draft: Path) -> None:
    kept: list[str] = []

    def look() -> None:
        kept.append(draft.read_text(encoding="utf-8"))

    result = write("1", look, "第二行", look, "b", look, "u", look, "2", look, "q")
    tables = result.tables()
    first = tables[0][0] + "\n"
    second = first + "第二行\n"
    assert kept == [first, second, second + "\n", second, second + tables[4][1] + "\n"]
    assert draft.read_text(encoding="utf-8") == kept[-1] == result.stdout


def test_a_session_that_is_killed_loses_nothing(place: Path, draft: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", "write", "--run", "song"],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        process.stdin.write("第一行\n第二行\n".encode())
        process.stdin.flush()
        typed = "第一行\n第二行\n".encode()
        until(lambda: draft.exists() and len(draft.read_bytes()) >= len(typed))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert draft.read_text(encoding="utf-8") == "第一行\n第二行\n"


@pytest.mark.parametrize("blank", ["", "\n", " \n\u3000\n", "\ufeff\n"])
def test_white_space_is_no_draft(blank: str, write: Write, draft: Path) -> None:
    draft.write_text(blank, encoding="utf-8")
    result = write("q")
    assert "Going on with the draft" not in result.stderr
    assert result.stdout == ""
    write("q", options=("--new",))
    assert not draft.with_name("draft-1.txt").exists()


def test_a_byte_order_mark_is_no_part_of_a_draft(write: Write, draft: Path) -> None:
    draft.write_text("我在桥边\n", encoding="utf-8-sig")
    result = write("q")
    assert "Going on with the draft (1 line); --new begins anew.\n" in result.stderr
    assert result.stdout == "我在桥边\n"


def test_a_draft_that_lies_in_another_run_is_told(write: Write, draft: Path) -> None:
    # The newest run is plain.
    told = "There is a draft in checkpoints/song: charlstm write --run song goes on with it.\n"
    assert "There is a draft" not in write("q", run=None).stderr
    draft.write_text("我在桥边\n", encoding="utf-8")
    assert told in write("q", run=None).stderr
    assert told not in write("q", run=None, options=("--new",)).stderr
    assert told not in write("q", run="plain").stderr  # it was asked for
    assert told not in write("我", "q", run="plain").stderr
    assert "There is a draft" not in write("q", run=None).stderr  # it has one itself


@pytest.mark.parametrize("yes", ["", "Y", "yes", "ｙ", "ＹＥＳ", "好", " 是 "])
def test_a_yes_in_any_width_goes_on_with_the_draft(yes: str, write: Write, draft: Path) -> None:
    draft.write_text("我在桥边\n", encoding="utf-8")
    result = write(yes, "u", "q", asked=True)
    assert "There is a draft (1 line), and its last line is:\n" in result.stderr
    assert "taken back: 我在桥边\n" in result.stderr


@pytest.mark.parametrize("no", ["n", "NO", "ｎ", "不", "否"])
def test_a_no_in_any_width_begins_anew(no: str, write: Write, draft: Path) -> None:
    draft.write_text("我在桥边\n", encoding="utf-8")
    assert write(no, "q", asked=True).stdout == ""
    assert draft.with_name("draft-1.txt").read_text(encoding="utf-8") == "我在桥边\n"


@pytest.mark.parametrize("steps", [("q",), ("Ｑ",), ()], ids=["q", "wide", "end"])
def test_one_may_quit_instead_and_the_draft_stays(
    steps: tuple[str, ...], write: Write, draft: Path
) -> None:
    draft.write_text("我在桥边\n", encoding="utf-8")
    result = write(*steps, asked=True)
    assert (result.code, result.tables()) == (0, [])
    assert draft.read_text(encoding="utf-8") == "我在桥边\n"


def test_any_other_answer_is_asked_again(write: Write, draft: Path) -> None:
    draft.write_text("我在桥边\n", encoding="utf-8")
    result = write("maybe", "你在海上\n好", "1", "n", "q", asked=True)
    assert result.stderr.count("Go on with it? [Y/n] ") == 4
    why = "is no answer here: y goes on with the draft, n puts it aside and begins anew, q quits."
    assert f"maybe {why}" in result.stderr
    assert result.stderr.count(why) == 3
    assert draft.with_name("draft-1.txt").exists()


def test_through_a_pipe_the_draft_is_gone_on_with(write: Write, draft: Path) -> None:
    draft.write_text("我在桥边\n\n你在海上\n", encoding="utf-8")
    result = write("1", "q", options=("--acrostic", "他我你"))
    # The draft's second stanza has a line, so the next has the second character.
    assert {line[0] for line in result.tables()[0]} == {"我"}
    assert result.stdout == f"我在桥边\n\n你在海上\n{result.tables()[0][0]}\n"
    assert draft.read_text(encoding="utf-8") == result.stdout


def test_a_draft_is_gone_on_with_as_it_was_left(write: Write, draft: Path) -> None:
    changes = ["/temperature 0.5", "/length 3-5", "/rhyme AABB", "/must 我", "/copy 9"]
    before = write("我在桥边", *changes, "q")
    after = write("q", options=("--rhyme", "AAAA", "--temperature", "0.8"))
    title = "song · temperature 0.5 · recall 0.4 · length 3-5 · rhyme AABB · must 我 · copy 9"
    assert before.stderr.splitlines().count(title) == 1
    # Only what stands on the command line is other than it was.
    assert title.replace("AABB", "AAAA").replace("0.5", "0.8") in after.stderr.splitlines()
    write("/must off", "q")
    assert title.replace(" · must 我", "") in write("q").stderr.splitlines()
    # A new song begins as new songs do, and the other keeps its settings.
    kept = draft.with_name("draft.json").read_bytes()
    assert (
        "song · temperature 0.8 · recall 0.4" in write("q", options=("--new",)).stderr.splitlines()
    )
    assert not draft.with_name("draft.json").exists()
    assert draft.with_name("draft-1.json").read_bytes() == kept


@pytest.mark.parametrize(
    "held",
    [
        "",
        "[]",
        '{"temperature": 0.5}',
        '{"temperature": 0.5, "max_copy": 0, "line_length": 7, "acrostic": "", "acrostic_end": "", '
        '"rhyme": "", "must": []}',
        '{"temperature": -1, "max_copy": 0, "line_length": "", "acrostic": "", "acrostic_end": "", '
        '"rhyme": "", "must": []}',
    ],
)
def test_settings_that_cannot_be_read_cost_no_words(held: str, write: Write, draft: Path) -> None:
    write("我在桥边", "q")
    draft.with_name("draft.json").write_text(held, encoding="utf-8")
    result = write("q")
    told = "draft.json does not hold the settings of a song, so they begin anew"
    assert told in " ".join(result.stderr.split())
    assert result.stdout == "我在桥边\n"


def test_two_sessions_do_not_write_one_draft(write: Write, draft: Path) -> None:
    others: list[Result] = []
    result = write("我在桥边", lambda: others.append(write("别的", "q")), "q")
    (other,) = others
    assert other.code == 1
    assert "Another charlstm write is open on the draft of checkpoints/song" in other.stderr
    assert result.stdout == draft.read_text(encoding="utf-8") == "我在桥边\n"
    assert write("q").code == 0


def test_a_new_song_puts_the_draft_aside_under_a_name_that_is_free(
    write: Write, draft: Path
) -> None:
    for number in (1, 2):
        draft.write_text(f"第{number}首\n", encoding="utf-8")
        result = write("新的", "q", options=("--new",))
        assert f"The draft is kept as checkpoints/song/draft-{number}.txt.\n" in result.stderr
        assert result.stdout == draft.read_text(encoding="utf-8") == "新的\n"
    kept = [draft.with_name(f"draft-{n}.txt").read_text(encoding="utf-8") for n in (1, 2)]
    assert kept == ["第1首\n", "第2首\n"]


def test_a_draft_comes_back_line_by_line_whatever_stands_in_it(write: Write, draft: Path) -> None:
    lines = ["a\u2028b", "😀", "", "\t。", "x" * 200]
    first = write(*(line if line else "b" for line in lines), "q")
    assert first.stdout == "".join(line + "\n" for line in lines)
    result = write("u", "u", "q")
    assert result.stdout == "a\u2028b\n😀\n\n"
    assert write("u", "u", "u", "q").stdout == ""


def test_lines_are_kept_before_the_model_has_read_them(
    write: Write, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Song.write

    def interrupted(song: Song, lines: list[str]) -> None:
        read(song, lines[:1])
        interrupt()

    monkeypatch.setattr(Song, "write", interrupted)
    pasted = "我在这里\n第二行\n\n第四行"
    result = write(pasted, "q")
    assert result.code == 130
    assert draft.read_text(encoding="utf-8") == result.stdout == pasted + "\n"
    assert "The draft is in checkpoints/song/draft.txt" in result.stderr


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_draft_that_an_editor_has_saved_is_read_as_it_is_meant(
    end: str, write: Write, draft: Path
) -> None:
    draft.write_bytes(f"\ufeff我在桥边{end}{end}你在海上{end}".encode())
    assert write("q").stdout == "我在桥边\n\n你在海上\n"


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_a_draft_that_is_no_file_is_told_with_what_to_do(
    kind: str, write: Write, draft: Path
) -> None:
    if kind == "pipe":
        os.mkfifo(draft)
    else:
        draft.mkdir()
    try:
        result = write("q")
        aside = write("我在这里", "q", options=("--new",))
    finally:
        for path in draft.parent.glob("draft*"):
            path.rmdir() if path.is_dir() else path.unlink()
    assert result.code == 1
    message = " ".join(result.stderr.split())
    assert "draft.txt cannot be read: it is not a file. Put it aside with --new." in message
    assert (aside.code, aside.stdout) == (0, "我在这里\n")


def test_settings_that_cannot_be_written_cost_no_words(write: Write, draft: Path) -> None:
    settings = draft.with_name("draft.json")
    settings.mkdir()
    try:
        result = write("我在桥边", "第二行", "q")
    finally:
        settings.rmdir()
    assert draft.read_text(encoding="utf-8") == result.stdout == "我在桥边\n第二行\n"
    message = " ".join(result.stderr.split())
    assert message.count("The words are kept; only the settings are not.") == 1
    assert "The draft is in checkpoints/song/draft.txt" in message


def test_a_command_by_a_name_that_it_does_not_have_is_told_its_key(write: Write) -> None:
    result = write("/quit", "/help", "q")
    lines = result.stderr.splitlines()
    assert lines.count("q quits.") == lines.count("? shows the keys.") == 1


def test_an_interrupted_session_keeps_its_draft(write: Write, draft: Path) -> None:
    result = write("我在这里", interrupt)
    assert result.code == 130
    assert result.stdout == draft.read_text(encoding="utf-8") == "我在这里\n"
    assert "The draft is in checkpoints/song/draft.txt" in result.stderr


@pytest.mark.parametrize("barred", ["draft.txt", ".draft.txt.part"])
def test_a_draft_that_cannot_be_written_is_told_once_and_the_session_goes_on(
    barred: str, write: Write, draft: Path, tmp_path: Path
) -> None:
    def bar() -> None:
        # Root can write everywhere, but not a file over a directory.
        if os.geteuid():
            draft.parent.chmod(0o500)
        else:
            (draft.parent / barred).mkdir()

    try:
        result = write(bar, "第一行", "第二行", f"s {tmp_path}/song.txt", "q")
    finally:
        draft.parent.chmod(0o700)
        if not os.geteuid():
            (draft.parent / barred).rmdir()
    assert result.code == 0
    assert result.stdout == "第一行\n第二行\n"
    told = re.findall(r"draft\.txt cannot be written: .* with s FILE\.", result.stderr)
    assert len(told) == 1
    assert (tmp_path / "song.txt").read_text(encoding="utf-8") == result.stdout


def test_a_draft_that_was_not_written_is_not_said_to_be_there(write: Write, draft: Path) -> None:
    try:
        result = write(draft.mkdir, "第一行", "q")
    finally:
        draft.rmdir()
    assert "The draft is in" not in result.stderr


# What reaches the terminal.


def test_keys_without_a_character_are_no_part_of_a_line_and_never_echoed(write: Write) -> None:
    result = write("\x1b[A我\x1b[31m红\x07了\x7f\x9b2J", "\x1b[A", "\x1b[D1", "\x1b", "u", "q")
    assert not CONTROL.search(result.stderr + result.stdout)
    lines = result.stdout.splitlines()
    assert lines[0] == "我红了2J"
    # An arrow key alone is nothing, and before a command it does not make a line of it.
    assert lines == ["我红了2J"]


def test_controls_in_a_name_are_never_echoed(write: Write, tmp_path: Path) -> None:
    result = write("我", f"s {tmp_path}/\x1b[31m红\x07\x9b", "/\x1b[31m红 \x07", "q")
    assert "saved: " in result.stderr
    assert "is none of the commands" in result.stderr
    assert not CONTROL.search(result.stderr)


def test_controls_in_a_draft_are_shown_as_pictures_and_kept(write: Write, draft: Path) -> None:
    draft.write_text("我\x1b[31m红\x07\n\x9b2J你\x7f\n", encoding="utf-8", newline="")
    result = write("u", "q")
    assert not CONTROL.search(result.stderr)
    assert "  我␛[31m红␇\n" in result.stderr
    assert "taken back: \ufffd2J你␡\n" in result.stderr
    assert result.stdout == "我\x1b[31m红\x07\n"  # a pipe gets the song as it is


def test_words_between_colons_and_brackets_are_shown_as_they_are(write: Write) -> None:
    result = write(":heart: [bold]我[/bold]", "u", "/:heart: 1", "q")
    assert "  :heart: [bold]我[/bold]\n" in result.stderr
    assert "taken back: :heart: [bold]我[/bold]\n" in result.stderr
    assert "/:heart: 1 is none of the commands" in result.stderr


def test_a_very_long_line_is_taken_and_shown_shortened_when_taken_back(
    write: Write, draft: Path
) -> None:
    line = "我在车站等你来，" * 1000
    kept: list[str] = []

    def look() -> None:
        kept.append(draft.read_text(encoding="utf-8"))

    result = write(line, look, "u", "q")
    assert kept == [line + "\n"]
    (told,) = re.findall("^taken back: .*$", result.stderr, re.M)
    assert told == f"taken back: {line[:30]} … {line[-30:]}"
    assert len(result.tables()) == 3


def test_of_a_long_song_its_end_is_shown(write: Write, draft: Path) -> None:
    draft.write_text("".join(f"行{n}。\n" for n in range(40)), encoding="utf-8")
    result = write("q")
    assert re.findall(r"^  行(\d+)。$", result.stderr, re.M) == [str(n) for n in range(28, 40)]
    assert re.search(r"^  …$", result.stderr, re.M)
    assert result.stdout.count("\n") == 40


@contextmanager
def on_terminal(where: Path) -> Iterator[Terminal]:
    program = f"{TAKE_TERMINAL}from charlstm.cli import main\nmain()\n"
    with terminal([sys.executable, "-c", program, "write", "--run", "song"], where) as person:
        yield person


def test_on_a_terminal_the_draft_is_offered_and_chinese_can_be_corrected(
    place: Path, draft: Path
) -> None:
    draft.write_text("我在桥边\n\x1b[31m红\x07\n", encoding="utf-8")
    with on_terminal(place) as session:
        session.wait_for("There is a draft (2 lines), and its last line is:")
        session.wait_for("␛[31m红␇")
        session.wait_for("Go on with it? [Y/n] ")
        session.type("是\n")
        session.wait_for("我在桥边")
        session.wait_for("› ")
        session.type("你在海下\x7f上\n")
        session.wait_for("› ")
        session.type("\x04")
        assert session.end() == 0
    assert draft.read_text(encoding="utf-8") == "我在桥边\n\x1b[31m红\x07\n你在海上\n"
    assert "\x1b[31m红" not in session.shown
    assert "\x07" not in session.shown
    assert "The draft is in checkpoints/song/draft.txt" in session.shown
    assert session.shown.count("\n你在海上\n") == 0  # the song is not printed once more


def test_on_a_terminal_the_draft_can_be_put_aside_and_ctrl_c_keeps_the_new_one(
    place: Path, draft: Path
) -> None:
    draft.write_text("旧的\n", encoding="utf-8")
    with on_terminal(place) as session:
        session.wait_for("[Y/n] ")
        session.type("n\n")
        session.wait_for("The draft is kept as checkpoints/song/draft-1.txt.")
        session.wait_for("› ")
        session.type("新的\n")
        session.wait_for("› ")
        session.interrupt()
        assert session.end() == 130
    assert draft.read_text(encoding="utf-8") == "新的\n"
    assert draft.with_name("draft-1.txt").read_text(encoding="utf-8") == "旧的\n"
    assert "Traceback" not in session.shown
    # What is told stands on a line of its own.
    assert re.search(
        r"\n(\x1b\[[\d;]*m)*The draft is in checkpoints/song/draft\.txt", session.shown
    )
