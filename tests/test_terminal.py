"""No text commands a terminal: not a corpus, not a name, not a run that a stranger made.

The commands run in this process, on a real pseudo-terminal. Whatever arrives on it is harmless
when, without the few sequences that we draw with, it holds no control character, none that turns
the writing direction round, and none that hides text.
"""

import hashlib
import io
import json
import os
import pty
import re
import shutil
import signal
import sys
import threading
import tty
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commandline import Charlstm
from directories import put_index
from safetensors.numpy import load_file, save_file

from charlstm.api import load, train
from charlstm.cli import main
from charlstm.cli.console import visible
from charlstm.runs.directory import RunDirectory
from charlstm.text.corpus import TextOptions
from charlstm.text.letters import number_of_letters
from charlstm.writing.decoding import Decoding
from charlstm.writing.song import Song

# The title of a window, a colour begun by one character, colours, a line that is written over.
COMMANDS = "\x1b]0;pwned\x07\x9b31;42m\x1b[31;42mred\x1b[2J\x08\x7f\x0b"
# An overridden direction ("Trojan source") and an isolated one, other line ends, an annotation,
# a letter that nobody sees.
TURNS = "\u202epwned\u202c\u2066x\u2069\u2028\u2029\ufff9a\ufffab\ufffb\U000e0041"
HOSTILE = f"{COMMANDS}{TURNS}[bold][red]"
# A file's name may hold everything but this.
MARKED = f"{HOSTILE}[/]"
NAME = f"{HOSTILE}\rsong"
# As a source of the corpus, with an arrow for each line end.
SOURCE = "⏎".join(f"{NAME}.txt".splitlines())

# What the model has never seen.
STRANGE = "\u202d\x1c[/]"

ORDINARY = "分开 שלום\u200f! سلام می\u200cخواهم 👩\u200d👩\u200d👧 ❤\ufe0f e\u0301 ไทย\u200bไทย\tla"
LINES = [MARKED, "分开 la la", ORDINARY, "[/] [bold]x[/bold]", "还是分开了"]
SONG = "".join(f"{line}\n" for line in LINES * 4)

SMALL = ("--hidden", "16", "--embedding", "6", "--batch", "4", "--window", "16", "--threads", "1")

# What Rich and tqdm draw with: colours, an erased line, a moved or hidden cursor, the line anew.
DRAWN = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d*[ABCDGJK]|\x1b\[\?25[hl]|\r(?!\n?song)")
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def harmful(character: str) -> bool:
    """Whether it commands a terminal, turns a line round, ends it or hides something in it."""
    code = ord(character)
    return (
        (unicodedata.category(character) == "Cc" and character not in "\n\t")
        or unicodedata.category(character) in ("Zl", "Zp")
        or unicodedata.bidirectional(character) in TURNING
        or 0x206A <= code <= 0x206F  # deprecated: other forms of digits and letters
        or 0xFFF9 <= code <= 0xFFFB
        or 0xE0000 <= code <= 0xE007F
    )


def shown(text: str) -> str:
    """Return `text` as it should stand on a terminal."""
    marks = {"\x7f": "␡", **{chr(code): chr(0x2400 + code) for code in range(32)}}
    return "".join(marks.get(c, "\ufffd") if harmful(c) else c for c in text)


def assert_harmless(terminal: str) -> None:
    # What was planted looks like what is drawn with, in part.
    for planted in ("\x1b]", "\x07", "\x1b[31;42m", "\x1b[2J", "\r\n", "\rsong"):
        assert planted not in terminal, ascii(terminal)
    rest = DRAWN.sub("", terminal)
    assert {ascii(character) for character in rest if harmful(character)} == set()


class Shown(NamedTuple):
    """What a command left: its exit code, what the terminal was sent and what the pipe was."""

    code: object
    terminal: str
    piped: bytes

    @property
    def text(self) -> str:
        """What stands on the terminal, the colours and movements aside."""
        return DRAWN.sub("", self.terminal)


def on_terminal(
    *arguments: str, typed: str = "", pipe: bool = False, interrupt_at: str = ""
) -> Shown:
    """Run a command on a pseudo-terminal; what arrives there is checked.

    Args:
        arguments: of charlstm.
        typed: what a person types meanwhile.
        pipe: whether standard output is a pipe, and only standard error the terminal.
        interrupt_at: send Ctrl-C's signal when this has appeared.
    """
    outside, inside = pty.openpty()
    tty.setraw(inside)  # or the kernel would add a \r to each \n
    os.write(outside, typed.encode())
    received = bytearray()

    def receive() -> None:
        awaited = interrupt_at.encode()
        with suppress(OSError):  # Linux: the other side has closed
            while piece := os.read(outside, 4096):
                received.extend(piece)
                if awaited and awaited in received:
                    awaited = b""
                    os.kill(os.getpid(), signal.SIGINT)

    reader = threading.Thread(target=receive)
    terminal, file = Path(os.ttyname(inside)), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        with ExitStack() as streams:
            pipe_end = io.TextIOWrapper(file, encoding="ascii")
            output = streams.enter_context(pipe_end if pipe else terminal.open("w"))
            patch.setattr(sys, "argv", ["charlstm", *arguments])
            patch.setattr(sys, "stdin", streams.enter_context(terminal.open()))
            patch.setattr(sys, "stdout", output)
            patch.setattr(sys, "stderr", streams.enter_context(terminal.open("w")))
            patch.setenv("COLUMNS", "2000")  # so that nothing is folded
            patch.setenv("TERM", "xterm-256color")
            os.close(inside)
            reader.start()
            with pytest.raises(SystemExit) as end:
                main()
            output.flush()
            piped = file.getvalue()
        reader.join()
        os.close(outside)
    found = Shown(end.value.code, received.decode(), piped)
    assert_harmless(found.terminal)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a hostile text has taught a model, and a stranger's run lies beside it."""
    where = tmp_path_factory.mktemp("hostile")
    (where / NAME).with_suffix(".txt").write_text(SONG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        # As a run of format 2 reads it: line ends of Unicode are characters like others.
        defaults = TextOptions.__init__.__defaults__
        assert defaults is not None
        older = tuple("plain" if value == "unicode" else value for value in defaults)
        patch.setattr(TextOptions.__init__, "__defaults__", older)
        model = train(
            where / f"{NAME}.txt",
            root=where / "checkpoints",
            name="song",
            epochs=2,
            hidden=16,
            embedding=6,
            batch=4,
            window=16,
            validation=0.3,
            prefixes=[MARKED],
            threads=1,
        )
    assert model.info.recipe.text.line_ends == "plain"
    strange = where / "checkpoints" / NAME
    shutil.copytree(model.directory.path, strange)
    info = json.loads((strange / "run.json").read_bytes())
    info["started_from"] = info["finished"] = MARKED
    info["corpus"]["sources"] = [{**source, "name": MARKED} for source in info["corpus"]["sources"]]
    info["versions"] = {MARKED: MARKED}
    info["saved"] -= 100  # the other one is the newest
    (strange / "run.json").write_text(json.dumps(info))
    (strange / "draft.txt").write_text(f"{MARKED}\n分开\n{MARKED}\n", encoding="utf-8")
    return where


@pytest.fixture(autouse=True)
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.fixture
def strange(trained: Path, tmp_path: Path) -> str:
    """Return the path of a stranger's run, which a test may change."""
    path = tmp_path / NAME
    shutil.copytree(trained / "checkpoints" / NAME, path)
    return str(path)


# What is shown, and how.


def test_what_could_command_a_terminal_is_shown_and_nothing_else_is_changed() -> None:
    everything = "".join(
        map(chr, (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)))
    )
    assert visible(everything) == shown(everything)
    assert visible(ORDINARY) == ORDINARY
    assert visible("a\ud83db") == "a\ud83db"
    assert visible(visible(MARKED)) == visible(MARKED) == shown(MARKED)
    # Whoever colours a character by its place relies on this.
    assert len(visible(everything)) == len(everything)


def test_the_check_itself_finds_what_is_planted() -> None:
    for text in (*HOSTILE, f"\x1b[1m{COMMANDS}", NAME):
        if any(map(harmful, text)):
            with pytest.raises(AssertionError):
                assert_harmless(f"la {text} la")
    assert_harmless(f"\x1b[1;32m{ORDINARY}\x1b[0m\n\r\x1b[K\x1b[?25l{shown(MARKED)}")


# Training.


def test_a_training_shows_its_files_samples_and_summary(tmp_path: Path) -> None:
    prefix = MARKED.replace("\u2028", "")  # another one than in the run's own samples
    found = on_terminal(
        *("train", f"{NAME}.txt", "--epochs", "2", "--sample-every", "1", "--name", "anew"),
        *("--prefix", prefix, *SMALL),
    )
    assert found.code == 0
    assert f"{shown(SOURCE)} (utf-8)" in found.text
    assert found.text.count(shown(prefix)) == 2


def test_a_log_of_a_training_is_as_harmless(
    charlstm: Charlstm,
) -> None:
    arguments = ("train", f"{NAME}.txt", "--steps", "1", "--prefix", MARKED, "--name", "log")
    log = charlstm(*arguments, *SMALL).stderr
    assert f"text: {shown(SOURCE)} (utf-8)\n" in log
    assert not any(map(harmful, log))


def test_a_strangers_run_is_resumed_and_interrupted_without_obeying_it(strange: str) -> None:
    found = on_terminal(
        *(
            "train",
            f"{NAME}.txt",
            "--resume",
            "--name",
            strange,
            "--epochs",
            "400",
            "--patience",
            "0",
        ),
        interrupt_at="bits/char",
    )
    assert found.code == 130
    assert re.search(f"from +the weights of {re.escape(shown(MARKED))}", found.text)
    assert re.search(
        f"go on with: charlstm train --resume --name .*{re.escape(shown(NAME))}", found.text
    )
    assert found.text.count(shown(NAME)) >= 3  # the run, the summary and what to type


def test_a_run_begun_from_a_strangers_shows_whose_weights_it_has(strange: str) -> None:
    found = on_terminal(
        "train", f"{NAME}.txt", "--from", strange, "--steps", "1", "--name", "from", *SMALL[4:]
    )
    assert found.code == 0
    assert f"the weights of {shown(strange)}" in found.text


def test_a_comparison_shows_its_lines_and_its_place() -> None:
    found = on_terminal(
        *("compare", f"{NAME}.txt", "--cells", "rnn", "--vary", "hidden=8", "--epochs", "1"),
        *("--prefix", MARKED, "--threads", "1"),
    )
    assert found.code == 0
    assert shown(MARKED) in found.text
    assert "compare.csv" in found.text


# Writing.


@pytest.mark.parametrize(
    "form", [(), ("--samples", "2"), ("--lines", "2"), ("--line-length", "9-99")]
)
def test_a_song_is_shown_as_it_is_written_and_at_once(form: tuple[str, ...], strange: str) -> None:
    prefix = MARKED.replace("\u2028", "").replace("\u2029", "")
    found = on_terminal(
        *("generate", "--run", strange, "--prefix", prefix, "--seed", "1"),
        *("--temperature", "2", *form),
    )
    assert found.code == 0
    written = found.text.partition("\n")[2] if "--samples" in form else found.text  # below the rule
    assert written.startswith(shown(prefix))
    # The model has learned such characters, and writes them.
    assert {"␛", "\ufffd"} <= set(found.text.replace(shown(prefix), ""))
    assert f"run {shown(NAME)}, seed 1; " in found.text


def let_it_have_learned(text: str, run: str) -> None:
    """Put a text in the place of what a run has learned from."""
    put_index(RunDirectory(Path(run)), text)
    Path(run, "heldout.txt").unlink()
    info = json.loads(Path(run, "run.json").read_bytes())
    info["corpus"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    info["corpus"].update(training_characters=len(text), held_out_characters=0)
    Path(run, "run.json").write_text(json.dumps(info))


def test_a_passage_that_was_copied_is_shown(strange: str) -> None:
    settings: dict[str, Any] = {"length": 3, "seed": 1, "temperature": 0.8}
    song = load(strange).generate(MARKED, **settings)
    let_it_have_learned(song, strange)
    command = ("generate", "--run", strange, "--prefix", MARKED, "--length", "3", "--seed", "1")
    copied = f"longest copy {number_of_letters(song)} characters, {shown(COMMANDS)[:29]}"
    assert copied in on_terminal(*command).text


def test_json_on_a_terminal_is_the_same_object_without_commands(trained: Path) -> None:
    for command in (
        ("generate", "--prefix", MARKED, "--seed", "1"),
        ("eval", "novelty", f"{NAME}.txt"),
        ("eval", "perplexity", "--run", f"checkpoints/{NAME}"),
    ):
        here = on_terminal(*command, "--json")
        piped = on_terminal(*command, "--json", pipe=True)
        assert (here.code, piped.code, piped.terminal) == (0, 0, "")
        assert json.loads(here.terminal) == json.loads(piped.piped)
        assert "pwned" in here.terminal


def test_a_pipe_gets_every_character_as_it_was_written(trained: Path) -> None:
    settings: dict[str, Any] = {"seed": 1, "temperature": 2.0, "length": 300}
    prefix = MARKED + ORDINARY
    song = load("song").generate(prefix, **settings)
    assert sum(map(harmful, song)) > 30
    command = (
        *("generate", "--run", "song", "--prefix", prefix),
        *("--seed", "1", "--temperature", "2", "--length", "300"),
    )
    assert on_terminal(*command, pipe=True).piped == f"{song}\n".encode()
    answer = on_terminal(*command, "--json", pipe=True).piped
    assert json.loads(answer)["text"] == song
    assert "\x9b" in answer.decode()
    assert "שלום" in answer.decode()


def test_a_song_written_together_shows_drafts_lines_and_names(strange: str) -> None:
    path, present = (
        str(Path(strange).parent / f"\u202e[red]{name}") for name in ("new", "present")
    )
    Path(present).touch()
    typed = (
        *("y", f"我 {TURNS}", "l", f"/must {TURNS}", f"/\u202e{TURNS} x", "/temperature \u202e"),
        *("r", "u", f"s {path}", f"s {present}", f"s /{TURNS}/no", "q"),
    )
    found = on_terminal(
        "write", "--run", strange, "--seed", "1", typed="".join(f"{line}\n" for line in typed)
    )
    assert found.code == 0
    assert found.text.count(shown(MARKED)) >= 3  # asked about, and twice in the song
    assert f"我 {shown(TURNS)}" in found.text
    assert f"saved: {shown(path)}" in found.text
    assert f"{shown(present)} exists" in found.text
    assert f"{shown(NAME)} · temperature" in found.text


def test_what_a_proposal_copies_is_shown(strange: str) -> None:
    Path(strange, "draft.txt").unlink()
    song = Song(load(strange).sampler, decoding=Decoding(2.0), seed=1)
    lines = [proposal.line for proposal in song.propose(5)]
    assert any(harmful(character) for line in lines for character in line[:30])
    # All but its last character, or it would be all of the line.
    let_it_have_learned("".join(f"x{line[:-1]}\n" for line in lines), strange)
    found = on_terminal("write", "--run", strange, "--seed", "1", "--temperature", "2", typed="q\n")
    for line in lines:
        beginning = line[:-1][:30].partition("\t")[0]  # a table has spaces for a tab
        assert re.search(rf"% +{number_of_letters(line[:-1])}  ", found.text)
        assert f"«{shown(beginning)}" in found.text


def test_why_copies_are_not_looked_for_is_shown(strange: str) -> None:
    Path(strange, "training.txt.bz2").write_bytes(b"none")
    reason = re.escape(f"{shown(NAME)}/training.txt.bz2 is damaged")
    found = on_terminal("write", "--run", strange, "--new", typed="q\n")
    assert re.search(f"Copies are not looked for: .*{reason}", found.text)
    found = on_terminal("generate", "--run", strange, "--length", "1")
    assert re.search(f"not looked for: .*{reason}", found.text)


# Measuring.


def test_a_text_that_is_measured_is_shown_with_its_colours(strange: str, tmp_path: Path) -> None:
    page = tmp_path / f"{TURNS}[bold].html"
    found = on_terminal(
        "eval", "perplexity", f"{NAME}.txt", "--run", strange, "--show", "--html", str(page)
    )
    assert found.code == 0
    assert found.text.count(shown(MARKED)) > 4
    assert f"{shown(NAME)}.txt\n" in found.text
    assert f"page: {shown(str(page))}" in found.text
    written = page.read_text(encoding="utf-8")
    assert not any(map(harmful, written))
    assert shown(NAME) in written


def test_what_is_copied_is_shown_with_its_surroundings(strange: str) -> None:
    found = on_terminal("eval", "novelty", f"{NAME}.txt", "--run", strange)
    assert found.code == 0
    assert f"{shown(NAME)}.txt\n" in found.text
    assert "␛]0;pwned␇" in found.text
    part = Path(strange, "part.txt")
    part.write_text(HOSTILE[len(COMMANDS) :], encoding="utf-8")
    found = on_terminal("eval", "novelty", str(part), "--run", strange)
    assert f"{shown(COMMANDS)[-12:]}{shown(HOSTILE)[len(COMMANDS) :]}[/]" in found.text
    found = on_terminal("eval", "novelty", "--run", strange, "--samples", "2", "--seed", "1")
    assert f"2 samples of {shown(NAME)}, seed 1" in found.text


# Mistakes.


def damaged(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return what changes a run's ``run.json``."""

    def apply(path: Path) -> None:
        info = json.loads((path / "run.json").read_bytes())
        change(info)
        (path / "run.json").write_text(json.dumps(info))

    return apply


def with_strange_tensors(path: Path) -> None:
    arrays = load_file(path / "model.safetensors")
    save_file(
        {MARKED if k == "head.bias" else k: v for k, v in arrays.items()},
        path / "model.safetensors",
    )


@pytest.mark.parametrize(
    "damage",
    [
        damaged(lambda info: info.update(format=MARKED)),
        damaged(lambda info: info["recipe"]["architecture"].update(cell=MARKED)),
        damaged(lambda info: info["recipe"].update(name=MARKED)),
        damaged(lambda info: info["recipe"].update(optimizer=MARKED)),
        damaged(lambda info: info["recipe"]["text"].update(newline=MARKED)),
        damaged(lambda info: info["recipe"].update(learning_rate=MARKED)),
        with_strange_tensors,
    ],
)
def test_what_is_wrong_with_a_strangers_run_is_told(
    damage: Callable[[Path], None], strange: str
) -> None:
    damage(Path(strange))
    found = on_terminal("generate", "--run", strange)
    assert found.code == 1
    assert found.text.startswith("error: ")
    assert found.text.count("pwned") >= 2 + ("\\x1b]0;pwned" in found.text)
    assert found.text.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", MARKED),
        ("train", f"{MARKED}\nerror: a second line"),
        ("train", "song.txt", "--name", MARKED),
        ("train", f"{NAME}.txt", "--encoding", MARKED),
        ("train", f"{NAME}.txt", "--encoding", "shift_jis"),
        ("train", f"{NAME}.txt", "--prefix", STRANGE),
        ("train", f"{NAME}.txt", "--from", MARKED),
        ("train", "--resume", "--name", MARKED),
        ("train", "damaged.zip"),
        ("generate", "--run", MARKED),
        ("generate", "--prefix-file", MARKED),
        ("generate", "--prefix-file", f"checkpoints/{NAME}"),
        ("generate", "--prefix", STRANGE),
        ("generate", "--must", STRANGE),
        ("generate", "--line-length", MARKED),
        ("generate", "--rhyme", MARKED),
        ("eval", "perplexity", MARKED),
        ("eval", "perplexity", "--html", f"{HOSTILE}/page.html"),
        ("eval", "novelty", "--run", MARKED),
        ("write", "--run", MARKED),
        ("compare", MARKED),
        ("tune", MARKED),
        ("tune", "song.txt", "--vary", MARKED),
        ("tune", "song.txt", "--vary", f"window={MARKED}"),
        ("compare", "song.txt", "--cells", MARKED),
    ],
)
def test_a_mistake_is_told_in_one_line_that_shows_what_was_given(
    arguments: tuple[str, ...], trained: Path
) -> None:
    with zipfile.ZipFile(trained / "damaged.zip", "w") as archive:
        archive.writestr(f"{HOSTILE}.txt", b"\xff\xfe\x00")
    found = on_terminal(*arguments)
    assert found.code == 1
    assert found.text.startswith("error: ")
    assert re.search(r"pwned|U\+202D U\+001C", found.text.replace(", ", " "))
    assert found.text.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (MARKED,),
        (f"--{MARKED}",),
        ("eval", MARKED),
        ("eval", "perplexity", f"--{MARKED}"),
        ("train", "song.txt", "--recipe", MARKED),
        ("train", "song.txt", "--cell", MARKED),
        ("train", "song.txt", "--epochs", MARKED),
        ("train", "song.txt", f"--{MARKED}"),
        ("train", "song.txt", f"-{MARKED}"),
        ("train", "song.txt", f"--resume={MARKED}"),
        ("generate", MARKED),
        ("generate", "--length", MARKED),
        ("generate", "--unknown", MARKED),
        ("generate", "--top-p", MARKED),
        ("compare", "song.txt", "--vary", MARKED),
    ],
)
def test_wrong_usage_is_told_without_obeying_what_was_typed(arguments: tuple[str, ...]) -> None:
    found = on_terminal(*arguments)
    assert found.code == 2
    assert "Error" in found.text


# Half characters.


def test_half_characters_crash_nothing(trained: Path, strange: str) -> None:
    half = "\udcff"
    odd = os.fsdecode(b"\xff song.txt")
    Path(odd).write_text("分开 la la\n" * 20, encoding="utf-8")
    found = on_terminal("train", odd, "--steps", "1", "--name", "half", *SMALL)
    assert found.code == 0
    assert "\\udcff song.txt (utf-8)" in found.text
    settings = ("--run", strange, "--prefix", f"分\ud83d{half}", "--unknown", "skip")
    for form in ((), ("--samples", "2"), ("--json",)):
        command = ("generate", *settings, "--seed", "1", *form)
        found = on_terminal(*command)
        assert found.code == 0
        assert "分\\ud83d\\udcff" in found.text
        assert "分\\ud83d\\udcff" in on_terminal(*command, pipe=True).piped.decode()
    assert on_terminal("eval", "perplexity", odd, "--show", "--run", strange).code == 0
    # A vocabulary of a stranger's could make a model write them.
    characters = load(strange).info.vocabulary.characters.replace("a", "\ud83d")
    damaged(lambda info: info["vocabulary"].update(characters=characters))(Path(strange))
    for command in (("generate",), ("eval", "novelty", "--samples", "1"), ("eval", "perplexity")):
        found = on_terminal(*command, "--run", strange)
        assert found.text.startswith("error: ")
        assert "half of a surrogate pair" in found.text
    for command in (("train", half), ("generate", "--run", half), ("generate", "--prefix", half)):
        found = on_terminal(*command)
        assert found.code == 1
        assert re.search(r"\\udcff|U\+DCFF", found.text)
    assert on_terminal("generate", half).code == 2
