"""`charlstm write`: write a song together with the model, a line at a time."""

import contextlib
import re
import sys
import unicodedata
from collections.abc import Callable, Container
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from charlstm.cli.console import is_terminal, loading, notes, shown_line, visible, write_result
from charlstm.cli.options import (
    AcrosticEndOption,
    AcrosticOption,
    LineLengthOption,
    MaxCopyOption,
    MustOption,
    RhymeOption,
    RunOption,
    TemperatureOption,
)
from charlstm.errors import CharLSTMError, RecipeError, RunError

if TYPE_CHECKING:
    from rich.table import Table

    from charlstm.cli.draft import Settings, SongDraft
    from charlstm.writing import Proposal, Song

_PROPOSALS = 5
# So much of the song is shown above the proposals.
_SHOWN = 12

_KEYS = "1-5 take · your own words · r five more · u back · l look ahead · s FILE save · q quit · ?"
_HELP = """\
1 … 5             take that line
any other words   are the next line, and the model goes on from them
r                 five other lines
u                 take the last line back
l    l 3          look ahead: how it might go on from here, or after line 3
b                 an empty line: a new stanza, and the form begins again
s FILE            save the song there; s! FILE writes over a file that exists
q                 quit; the draft is kept, and offered next time as it is now

/temperature 0.9  below 1 plays safe, above 1 takes risks
/length 7         characters a line: 7, 6-9, 5,7,5,7
/rhyme AABA       lines with the same letter rhyme
/acrostic 我喜欢你  first characters of the lines of a stanza; /end for the last ones
/must 雨          a word that the stanza must have
/copy 6           copy no more characters in a row from the training text
/length off       turns one off, as it does the others

A line that looks like one of these is written with a backslash before it: \\r"""


def write(
    context: typer.Context,
    run: RunOption = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a new song, and put the draft aside.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Propose the same lines to the same decisions.", show_default="fresh"
        ),
    ] = None,
    temperature: TemperatureOption = 0.8,
    max_copy: MaxCopyOption = None,
    line_length: LineLengthOption = "",
    acrostic: AcrosticOption = "",
    acrostic_end: AcrosticEndOption = "",
    rhyme: RhymeOption = "",
    must: MustOption = None,
) -> None:
    """Write a song together with the model: it proposes lines, you decide."""
    with loading():
        from charlstm.api import load
        from charlstm.cli.draft import SongDraft
        from charlstm.decoding import Decoding
        from charlstm.forms import Form
        from charlstm.writing import Song

    model = load(run)
    training_text = None
    if max_copy is not None:
        training_text = model.training_text  # says so where there is none
    elif model.has_index:
        try:
            training_text = model.training_text
        except RunError as error:
            reason = visible(str(error))
            notes().print(f"Copies are not looked for: {reason}", style="yellow", markup=False)
    song = Song(
        model.sampler,
        training_text=training_text,
        form=Form(None, line_length, acrostic, acrostic_end, rhyme, tuple(must or ())),
        decoding=Decoding(temperature),
        max_copy=max_copy or 0,
        seed=seed,
    )
    draft = SongDraft(model.directory.path)
    desk = _Desk(song, draft, model.directory.name)
    given = {name for name in context.params if _is_given(context, name)}
    with draft.locked():
        try:
            desk.open(new=new, given=given)
            desk.work()
        except KeyboardInterrupt:
            if is_terminal(sys.stderr):
                sys.stderr.write("\n")  # the prompt was waiting
            desk.close()
            raise SystemExit(130) from None
        desk.close()


def _is_given(context: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


_T = TypeVar("_T")


class _Desk:
    """The screen and the keys; everything is drawn on standard error."""

    def __init__(self, song: "Song", draft: "SongDraft", name: str) -> None:
        self._song = song
        self._draft = draft
        self._name = name
        self._proposals: list[Proposal] = []
        self._console = notes()
        self._ask = _reader()
        self._saved_as: set[Path] = set()

    def open(self, *, new: bool, given: Container[str]) -> None:
        """Take up the draft, or put it aside.

        Args:
            new: put it aside without asking.
            given: the options on the command line, which the draft's settings do not override.
        """
        if new:
            if self._draft.exists():
                self._put_aside()
            return
        text = self._draft.read()
        if not text.strip():
            return
        lines = text.removesuffix("\n").split("\n")
        if not is_terminal(sys.stdin):
            self._say(f"Going on with the draft ({len(lines):,} lines); --new begins anew.")
        else:
            self._say(f"There is a draft ({len(lines):,} lines), and its last line is:")
            self._say(f"  {shown_line(next(line for line in reversed(lines) if line.strip()))}")
            answer = self._ask("Go on with it? [Y/n] ")
            if answer is not None and answer.strip().lower() in ("n", "no", "不", "否"):
                self._put_aside()
                return
        self._song.write(lines)
        kept = self._try(self._draft.read_settings)
        if kept is not None:
            self._try(lambda: self._take_up(kept, given))

    def _take_up(self, kept: "Settings", given: Container[str]) -> None:
        """Go on as the draft was written; options on the command line have the last word."""
        song = self._song
        parts = {field.name: getattr(song.form, field.name) for field in fields(song.form)}
        asked = {name: part for name, part in parts.items() if name in given}
        song.change(
            form=replace(kept.form, **asked),
            decoding=song.decoding if "temperature" in given else kept.decoding,
            max_copy=song.max_copy if "max_copy" in given else kept.max_copy,
        )

    def _put_aside(self) -> None:
        self._say(f"The draft is kept as {self._draft.put_aside()}.")

    def work(self) -> None:
        """Propose and obey until it is time to quit."""
        self._propose()
        while True:
            typed = self._ask("› ")
            if typed is None or not self._obey(typed):
                return

    def close(self) -> None:
        """Say where the draft is; the song itself goes where a song is waited for."""
        if self._song.lines and self._draft.kept:
            self._say(f"The draft is in {self._draft}; charlstm write goes on with it.")
        if not is_terminal(sys.stdout):
            write_result(self._song.text)

    def _obey(self, typed: str) -> bool:
        """Do what was typed; return whether to go on."""
        line = _cleaned(typed)
        # A Chinese keyboard types ｒ, １ and wide spaces as easily.
        plain = unicodedata.normalize("NFKC", line).strip()
        key, _, _ = plain.partition(" ")
        value = "".join(line.split(maxsplit=1)[1:]).strip()
        if plain == "q":
            return False
        if plain in ("", "\\"):
            self._draw()
        elif plain == "?":
            self._console.print(_HELP, markup=False)
        elif re.fullmatch("[0-9]", plain):
            self._take(int(plain))
        elif plain == "r":
            self._propose()
        elif plain == "u":
            self._go_back()
        elif plain == "b":
            self._add([""])
        elif re.fullmatch("l( *[0-9])?", plain):
            self._look_ahead(int(plain[1:] or 0))
        elif key in ("s", "s!"):
            self._save(value, over=key == "s!")
        elif plain.startswith("/"):
            self._change(key[1:], value)
        else:
            self._add([line.removeprefix("\\")])
        return True

    def _add(self, lines: list[str]) -> None:
        self._song.write(lines)
        self._keep()
        self._propose()

    def _take(self, number: int) -> None:
        if not 1 <= number <= len(self._proposals):
            self._say(f"There is no line {number}; a backslash before it makes it one: \\{number}")
            return
        self._song.take(self._proposals[number - 1])
        self._keep()
        self._propose()

    def _go_back(self) -> None:
        line = self._song.go_back()
        if line is None:
            self._say("There is no line to take back.")
            return
        self._keep()
        self._say(f"taken back: {shown_line(line)}")
        self._propose()

    def _look_ahead(self, number: int) -> None:
        if number > len(self._proposals):
            self._say(f"There is no line {number}.")
            return
        chosen = self._proposals[number - 1] if number else None
        found = self._try(lambda: self._song.look_ahead(chosen))
        for line in found or ():
            self._console.print(f"    {visible(line)}", style="cyan", markup=False)

    def _save(self, name: str, *, over: bool) -> None:
        from charlstm.files import write_whole

        if not name:
            self._say("Say where to save it: s FILE.")
            return
        try:
            path = Path(name).expanduser()
            if path.exists() and not over and path.resolve() not in self._saved_as:
                self._say(f"{name} exists; s! {name} writes over it.")
                return
            write_whole(path, self._song.text.encode(errors="replace"))
        except CharLSTMError as error:
            self._say(str(error))
            return
        # ~nobody is a RuntimeError, and a NUL in the name a ValueError.
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self._say(f"{name} cannot be written: {reason}.")
            return
        self._saved_as.add(path.resolve())
        self._say(f"saved: {name}")

    def _change(self, what: str, value: str) -> None:
        value = "" if unicodedata.normalize("NFKC", value) == "off" else value
        changed = self._try(lambda: self._apply(what, value))
        if changed:
            if self._song.lines:
                self._keep()
            self._propose()

    def _apply(self, what: str, value: str) -> bool:
        """Change a setting; return whether there is such a one.

        Raises:
            CharLSTMError: it cannot be so.
        """
        song = self._song
        plain = unicodedata.normalize("NFKC", value)
        parts: dict[str, dict[str, Any]] = {
            "length": {"line_length": plain},
            "rhyme": {"rhyme": plain},
            "acrostic": {"acrostic": value},
            "end": {"acrostic_end": value},
            "must": {"must": tuple(value.split())},
        }
        changes: dict[str, Any] = {}
        if what == "temperature":
            changes["decoding"] = replace(song.decoding, temperature=_number(plain))
        elif what == "copy" and (plain.isdecimal() or not plain):
            changes["max_copy"] = int(plain or 0)
        elif what in parts:
            changes["form"] = replace(song.form, **parts[what])
        else:
            self._say(f"{f'/{what} {value}'.strip()} is none of the commands; ? shows them.")
            return False
        song.change(**changes)
        return True

    def _keep(self) -> None:
        trouble = self._draft.keep(self._song)
        if trouble is not None:
            self._say(trouble)

    def _propose(self) -> None:
        self._proposals = self._try(lambda: self._song.propose(_PROPOSALS)) or []
        self._draw()

    def _try(self, act: "Callable[[], _T]") -> "_T | None":
        """Act; say what went wrong if the user can mend it."""
        try:
            return act()
        except CharLSTMError as error:
            self._say(str(error))
            return None

    def _draw(self) -> None:
        from rich.text import Text

        song, console = self._song, self._console
        console.print()
        console.print(Text(self._title(), style="dim"))
        lines = song.lines
        if len(lines) > _SHOWN:
            console.print(Text("  …", style="dim"))
        for line in lines[-_SHOWN:]:
            console.print(Text(f"  {visible(line)}", style="bold"))
        if self._proposals:
            console.print(self._table())
        console.print(Text(_KEYS, style="dim"))

    def _title(self) -> str:
        form, decoding = self._song.form, self._song.decoding
        parts = {
            "length": form.line_length,
            "rhyme": form.rhyme,
            "acrostic": form.acrostic,
            "end": form.acrostic_end,
            "must": " ".join(form.must),
            "copy": self._song.max_copy and str(self._song.max_copy),
        }
        asked = [f"{name} {value}" for name, value in parts.items() if value]
        return visible(" · ".join([self._name, f"temperature {decoding.temperature:g}", *asked]))

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("", style="bold cyan")
        table.add_column("the next line", overflow="fold")
        table.add_column("likely", justify="right")
        table.add_column("copied", overflow="fold", style="dim")
        for number, proposal in enumerate(self._proposals, start=1):
            copied = ""
            if proposal.verbatim:
                copied = "all of it"
            elif proposal.copied is not None:
                copied = f"{len(proposal.copied.text)}: {shown_line(proposal.copied.text)}"
            table.add_row(
                str(number),
                Text(visible(proposal.line)),
                f"{proposal.likelihood:.1%}",
                Text(copied, style="yellow" if proposal.verbatim else ""),
            )
        return table

    def _say(self, text: str) -> None:
        self._console.print(visible(text), style="yellow", markup=False)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecipeError(f"A temperature is a number, as in 0.9, not {text!r}.") from None


def _cleaned(typed: str) -> str:
    """Return a typed line without what keys without a character leave in it."""
    typed = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)?", "", typed)
    return "".join(c for c in typed if c == "\t" or unicodedata.category(c) != "Cc").rstrip()


def _reader() -> "Callable[[str], str | None]":
    """Return what asks for a line and returns it; ``None`` at the end of the input."""
    if sys.stdin is None:  # closed by whoever started the command
        return lambda _: None
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401, with it input() can be edited, wide characters too

        def ask(prompt: str) -> str | None:
            try:
                return input(prompt)
            except EOFError:
                sys.stderr.write("\n")
                return None

        return ask

    def read(prompt: str) -> str | None:
        # Not through input(): it would print the prompt where the song belongs.
        if is_terminal(sys.stdin):
            sys.stderr.write(prompt)
            sys.stderr.flush()
        line = sys.stdin.readline()
        return line.removesuffix("\n") if line else None

    return read
