"""SRT and WebVTT, the subtitles of films: cues with a number, the times and some lines."""

import re
from collections.abc import Iterable, Iterator
from html import unescape

from charlstm.text.formats.account import Account
from charlstm.text.formats.lines import in_blocks
from charlstm.text.songs import Opening

TIMES = re.compile(r"\s*(\d+:)?\d{1,2}:\d\d[,.]\d{1,3}\s*-->\s*(\d+:)?\d{1,2}:\d\d[,.]\d{1,3}")
"""The line of a cue that says when it is shown."""

_MARKUP = re.compile(
    r"</?(?:[bcisuv]|em|strong|font|lang|ruby|rt|span)(?:[.\s][^<>\n]*)?/?>"  # <i>, <c.loud>
    r"|<(?:\d+:)?\d\d:\d\d\.\d{3}>"
    r"|\{\\[^{}\n]*\}"  # {\an8}
    r"|\{[yY]:[^{}\n]*\}",
    re.IGNORECASE,
)
# What begins a block of WebVTT that is not shown.
_NOT_SHOWN = ("NOTE", "STYLE", "REGION")


def read_subtitles(
    pieces: Iterator[str], name: str, account: Account, *, web: bool
) -> Iterator[Opening | str]:
    """Yield the lines of all cues, one after the other, as one song.

    Args:
        pieces: the text.
        name: of its file.
        account: counts what is left out.
        web: whether it is WebVTT, which has a head, notes, names of cues and entities.

    Raises:
        CorpusError: it has a line that is longer than any.
    """
    shown = _Shown(account, web=web)
    yield Opening()
    for block in in_blocks(pieces, name):
        if lines := list(shown.lines(block.removesuffix("\n").split("\n"))):
            yield account.whole("\n".join(lines)) + "\n"
    yield from (account.whole(line) + "\n" for line in shown.rest())


class _Shown:
    """Tells what is shown from what is not, a line after the other."""

    def __init__(self, account: Account, *, web: bool) -> None:
        self._account = account
        self._web = web
        self._begins = True  # whether a block of lines begins here
        self._inside = ""  # the kind of a block that is not shown
        self._held: str | None = None  # a line that is a number if a time follows
        self._held_first = False  # whether it was the first of its block
        self._head = web

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines that are shown, as soon as that is certain."""
        for line in lines:
            if "-->" in line and TIMES.match(line):
                if self._held is not None and self._is_number(self._held):
                    self._account.leave_out("cue number")
                    self._held = None
                yield from self.rest()
                self._account.leave_out("cue time")
                self._inside, self._head, self._begins = "", False, False
            elif not line or line.isspace():
                self._inside, self._begins, self._head = "", True, False
            elif self._is_hidden(line):
                self._begins = False
            else:
                yield from self.rest()
                self._held, self._held_first, self._begins = line, self._begins, False

    def rest(self) -> Iterator[str]:
        """Yield the line that was held back, if it is shown."""
        if self._held is not None and (text := self._bare(self._held)):
            yield text
        self._held = None

    def _is_hidden(self, line: str) -> bool:
        if self._head:
            self._account.leave_out("header line")
            return True
        if self._web and self._begins and line.split()[0] in _NOT_SHOWN:
            self._inside = line.split()[0]
            self._account.leave_out("note" if self._inside == "NOTE" else "style")
        return bool(self._inside)

    def _is_number(self, line: str) -> bool:
        return self._held_first if self._web else line.strip().isdecimal()

    def _bare(self, line: str) -> str:
        if "<" in line or "{" in line:
            line, number = _MARKUP.subn("", line)
            self._account.leave_out("tag", number)
        if self._web and "&" in line:
            line = unescape(line).replace("\xa0", " ").replace("\u200e", "").replace("\u200f", "")
        return line.strip()
