"""Where `charlstm write` works: the song and its draft, and what each key does with them."""

import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Container
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from charlstm.cli.console import is_terminal, notes, shown_line, visible, write_result
from charlstm.cli.streams import open_inputs
from charlstm.cli.write import page
from charlstm.cli.write.prompt import LONGEST_LINE, Ask
from charlstm.cli.write.settings import EXAMPLES, apply, command, told
from charlstm.errors import CharLSTMError, count

if TYPE_CHECKING:
    from charlstm.runs.directory import RunDirectory
    from charlstm.writing.candidates import Candidate
    from charlstm.writing.draft import Draft, Settings
    from charlstm.writing.learned import Learned
    from charlstm.writing.song import Proposal, Song

_PROPOSALS = 5
# What people type who do not know the keys.
_WORDS = {
    "quit": "q quits",
    "exit": "q quits",
    "help": "? shows the keys",
    "undo": "u takes the last line back",
}
# To the question whether to go on with the draft.
_ANSWERS = {
    **dict.fromkeys(("", "y", "yes", "好", "是"), "y"),
    **dict.fromkeys(("n", "no", "不", "否"), "n"),
    "q": "q",
}
_T = TypeVar("_T")


@dataclass
class _Seen:
    """What was shown at a place of the song.

    Attributes:
        proposals: the lines to choose from.
        lines: all that were proposed here.
        ahead: how the song might go on, as it was shown last.
    """

    proposals: "list[Proposal]" = field(default_factory=list)
    lines: set[str] = field(default_factory=set)
    ahead: "list[Proposal | Candidate]" = field(default_factory=list)


class Desk:
    """Where the song lies and what is done with it; everything is drawn on standard error.

    Args:
        song: still without lines.
        draft: where it is kept.
        run: whose model writes with it.
        uncopied: why copies are not looked for; empty when they are.
        learned: what the model learned from.
    """

    def __init__(
        self,
        song: "Song",
        draft: "Draft",
        run: "RunDirectory",
        uncopied: str,
        learned: "Learned",
    ) -> None:
        self._song = song
        self._draft = draft
        self._run = run
        self._uncopied = uncopied
        self._learned = learned
        # For every place between two lines, so that going back shows what was seen there.
        self._seen = [_Seen()]
        # The words, with those that the model has not read yet.
        self._text = ""
        self._console = notes()
        self._saved_as: set[Path] = set()

    def work(self, ask: Ask, *, new: bool, given: Container[str], newest: bool) -> None:
        """Take up the draft or put it aside, then propose and obey until it is time to quit.

        Args:
            ask: see `charlstm.cli.write.prompt.asking`.
            new: put it aside without asking.
            given: the options on the command line, which the draft's settings do not override.
            newest: whether the run was chosen because it is the newest one.
        """
        if not self._open(ask, new=new, given=given, newest=newest):
            return
        self._propose()
        while (typed := ask("› ")) is not None:
            lines = [_cleaned(line) for line in typed.strip("\n").split("\n")]
            if max(map(len, lines)) > LONGEST_LINE:
                self._say(f"A line has {LONGEST_LINE:,} characters at most.")
            elif len(lines) > 1:  # they were pasted
                self._add(lines)
            elif not self._obey(lines[0]):
                return

    def close(self, code: int) -> None:
        """Say where the draft is; the song itself goes where a song is waited for.

        Args:
            code: what the command will exit with.
        """
        self.say_where()
        if not is_terminal(sys.stdout):
            write_result(self._text, code=code)

    def say_where(self) -> None:
        """Say where the draft is, if there is one."""
        if self._text and self._draft.kept:
            self._say(f"The draft is in {self._draft}; charlstm write goes on with it.")

    def _open(self, ask: Ask, *, new: bool, given: Container[str], newest: bool) -> bool:
        """Take up the draft, or put it aside; return whether to go on."""
        if not self._draft.exists():
            if newest and not new:
                self._look_beside()
            return True
        if new:
            self._put_aside()
            return True
        lines = self._draft.read().removesuffix("\n").split("\n")
        answer = self._offer(ask, lines)
        if answer == "n":
            self._put_aside()
        elif answer == "y":
            self._text = "".join(line + "\n" for line in lines)
            self._song.write(lines)
            self._seen += [_Seen() for _ in lines]
            kept = self._try(self._draft.read_settings)
            if kept is not None:
                self._try(lambda: self._take_up(kept, given))
        return answer != "q"

    def _look_beside(self) -> None:
        other = self._draft.beside()
        if other is not None:
            command = f"charlstm write --run {shlex.quote(other.handle)}"
            self._say(f"There is a draft in {other.path}: {command} goes on with it.")

    def _offer(self, ask: Ask, lines: list[str]) -> str:
        """Ask whether to go on with the draft; return y, n or q."""
        size = count(len(lines), "line")
        if not is_terminal(sys.stdin):
            self._say(f"Going on with the draft ({size}); --new begins anew.")
            return "y"
        self._say(f"There is a draft ({size}), and its last line is:")
        self._say(f"  {shown_line(next(line for line in reversed(lines) if line.strip()))}")
        while (typed := ask("Go on with it? [Y/n] ")) is not None:
            plain = unicodedata.normalize("NFKC", _cleaned(typed)).strip().lower()
            if plain in _ANSWERS:
                return _ANSWERS[plain]
            self._say(
                f"{shown_line(typed.strip())} is no answer here: y goes on with the draft, n puts "
                "it aside and begins anew, q quits."
            )
        return "q"

    def _take_up(self, kept: "Settings", given: Container[str]) -> None:
        """Go on as the draft was written; options on the command line have the last word."""
        song = self._song
        stays = "max_copy" in given or self._uncopied  # which was told already
        parts = {part.name: getattr(song.form, part.name) for part in fields(song.form)}
        asked = {name: part for name, part in parts.items() if name in given}
        song.change(
            form=replace(kept.form, **asked),
            decoding=song.decoding if "temperature" in given else kept.decoding,
            max_copy=song.max_copy if stays else kept.max_copy,
            label=song.label if "label" in given else kept.label,
            recall=song.recall if "recall" in given else kept.recall,
        )

    def _put_aside(self) -> None:
        self._say(f"The draft is kept as {self._draft.put_aside()}.")

    def _obey(self, line: str) -> bool:
        """Do what was typed; return whether to go on."""
        # A Chinese keyboard types ｒ, １ and wide spaces as easily.
        plain = unicodedata.normalize("NFKC", line).strip()
        keys = plain.lower()
        key = keys.partition(" ")[0]
        value = "".join(line.split(maxsplit=1)[1:]).strip()
        if keys == "q":
            return False
        if keys in ("", "\\"):
            self._draw()
        elif keys == "?":
            self._console.print(page.HELP, markup=False)
        elif keys in _WORDS:
            self._say(f"{_WORDS[keys]}; a backslash makes a line of the word: \\{plain}")
        elif re.fullmatch("[0-9]{1,3}", keys):
            self._take(int(keys))
        elif keys == "r":
            self._propose()
        elif keys == "u":
            self._go_back()
        elif keys == "b":
            self._add([""])
        elif keys == "p":
            self._print()
        elif keys == "t":
            self._take_ahead()
        elif re.fullmatch("l( *[0-9]{1,3})?", keys):
            self._look_ahead(int(keys[1:] or 0))
        elif key in ("s", "s!"):
            self._save(value, over=key == "s!")
        elif key == "/refrain":
            self._bring_back(unicodedata.normalize("NFKC", value).strip())
        elif key.startswith("/"):
            self._set(key[1:], value)
        else:
            bare = line.lstrip()
            self._add([bare[1:] if bare[0] in "\\＼" else line])
        return True

    def _add(self, lines: list[str]) -> None:
        # Kept before the model reads them, which takes a while if they are many.
        self._text += "".join(line + "\n" for line in lines)
        self._keep()
        self._song.write(lines)
        self._step(len(lines))

    def _take(self, number: int) -> None:
        proposals = self._seen[-1].proposals
        if not 1 <= number <= len(proposals):
            self._say(f"There is no line {number}; a backslash before it makes it one: \\{number}")
            return
        self._song.take(proposals[number - 1])
        self._step()

    def _take_ahead(self) -> None:
        ahead = self._seen[-1].ahead
        if not ahead:
            self._say("There is nothing to take yet: l looks ahead first.")
            return
        for line in ahead:
            self._song.take(line)
        self._step(len(ahead))

    def _step(self, lines: int = 1) -> None:
        """Go on after this many new lines."""
        self._seen += [_Seen() for _ in range(lines)]
        self._text = self._song.text
        self._keep()
        self._propose()

    def _go_back(self) -> None:
        line = self._song.go_back()
        if line is None:
            self._say("There is no line to take back.")
            return
        self._seen.pop()
        self._text = self._song.text
        self._keep()
        self._say(f"taken back: {shown_line(line)}")
        if self._seen[-1].proposals:
            self._draw()
        else:
            self._propose()

    def _bring_back(self, stanza: str) -> None:
        """Let a stanza return, the one that does in the training songs if no other is named."""
        if stanza and not re.fullmatch("[0-9]{1,4}", stanza):
            self._say("/refrain needs the number of a stanza, as in /refrain 2.")
            return
        lines = self._try(
            lambda: self._song.bring_back(int(stanza or self._learned.refrain.stanza))
        )
        if lines is not None:
            self._step(len(lines))

    def _look_ahead(self, number: int) -> None:
        seen = self._seen[-1]
        if number > len(seen.proposals):
            self._say(f"There is no line {number}.")
            return
        first = seen.proposals[number - 1] if number else None
        lines = self._find(lambda: self._song.look_ahead(first))
        if lines is None:
            return
        seen.ahead = [*([first] if first else []), *lines]
        for ahead in lines:
            self._console.print(f"    {visible(ahead.line)}", style="cyan", markup=False)
        behind = f"line {number} and these lines" if number else "these lines"
        self._console.print(f"t takes {behind}", style="dim", markup=False)

    def _print(self) -> None:
        for line in self._song.lines:
            self._console.print(page.song_line(line))

    def _save(self, name: str, *, over: bool) -> None:
        from charlstm.outputs import Output

        if not name:
            self._say("Say where to save it: s FILE.")
            return
        try:
            path = Path(name).expanduser()
            if path.is_dir():
                self._say(f"{name} is a directory: name a file in it.")
                return
            if path.exists() and not over and path.resolve() not in self._saved_as:
                self._say(f"{name} exists; s! {name} writes over it.")
                return
            read: list[Path | int] = [*self._run.files, *open_inputs()]
            Output(path, read, force=True).write(self._song.text.encode(errors="replace"))
        except CharLSTMError as error:
            self._tell(error)
            return
        # ~nobody is a RuntimeError, and a NUL in the name a ValueError.
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self._say(f"{name} cannot be written: {reason}.")
            return
        self._saved_as.add(path.resolve())
        self._say(f"saved: {name}")

    def _set(self, name: str, value: str) -> None:
        """Change a setting, or show it when no value is given."""
        plain = unicodedata.normalize("NFKC", value).strip()
        if name in _WORDS:
            self._say(f"{_WORDS[name]}.")
        elif name not in EXAMPLES:
            self._say(f"{f'/{name} {value}'.strip()} is none of the commands; ? shows them.")
        elif not plain:
            self._say(told(self._song, name))
        elif name == "copy" and self._uncopied and plain.lower() != "off":
            self._say(self._uncopied)
        else:
            try:
                apply(self._song, name, value)
            except CharLSTMError as error:
                self._tell(error)
                return
            # What was seen under other settings is no choice any more.
            self._seen = [_Seen() for _ in self._seen]
            if self._song.lines:
                self._keep()
            self._propose()

    def _keep(self) -> None:
        trouble = self._draft.keep(self._song, self._text)
        if trouble is not None:
            advice = "Save the song yourself, with s FILE."
            if self._draft.kept:
                advice = "The words are kept; only the settings are not."
            self._say(f"{trouble.message.told(command)} {advice}")

    def _propose(self) -> None:
        """Propose lines that were not shown here before; where there are none, keep those."""
        seen = self._seen[-1]
        proposals = self._find(lambda: self._song.propose(_PROPOSALS, without=seen.lines))
        if proposals is not None and len(proposals) < _PROPOSALS:
            many = f"Only {len(proposals)}" if proposals else "No"
            other = " other" if seen.lines else ""
            were = "line was" if len(proposals) < 2 else "lines were"
            self._say(f"{many}{other} {were} found; a higher /temperature finds more.")
        if proposals:
            seen.proposals = proposals
            seen.lines.update(proposal.line for proposal in proposals)
        self._draw()

    def _find(self, act: "Callable[[], _T]") -> "_T | None":
        """Do what takes a moment."""

        def visibly() -> "_T":
            with page.busy(self._console):
                return act()

        return self._try(visibly)

    def _try(self, act: "Callable[[], _T]") -> "_T | None":
        """Act; say what went wrong if the user can mend it."""
        try:
            return act()
        except CharLSTMError as error:
            self._tell(error)
            return None

    def _tell(self, error: CharLSTMError) -> None:
        """Say what went wrong, in the words of this session."""
        self._say(error.message.told(command))

    def _draw(self) -> None:
        page.draw(self._console, self._run.name, self._song, self._seen[-1].proposals)

    def _say(self, text: str) -> None:
        self._console.print(visible(text), style="yellow", markup=False)


def _cleaned(typed: str) -> str:
    """Return a typed line without what keys without a character leave in it."""
    typed = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)?", "", typed)
    return "".join(c for c in typed if c == "\t" or unicodedata.category(c) != "Cc").rstrip()
