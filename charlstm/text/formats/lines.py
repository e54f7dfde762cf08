"""The lines of a text that comes in pieces of any size, and how long one may be."""

from collections.abc import Iterable, Iterator

from charlstm.errors import CorpusError

LONGEST = 64_000_000
"""A line, a field or a row of more characters than this is refused: it is no song's."""

# Text is looked at in blocks of about so many characters.
_BLOCK = 1 << 20


def in_blocks(pieces: Iterable[str], name: str, *, longest: int = LONGEST) -> Iterator[str]:
    """Yield a text in blocks of whole lines, with every line break as a line feed.

    Args:
        pieces: the text.
        name: of its file, for errors.
        longest: how many characters a line may have.

    Raises:
        CorpusError: a line is longer.
    """
    waiting: list[str] = []  # the beginning of a block, and perhaps of a line
    size = since_break = lines = 0
    for piece in _with_line_feeds(pieces):
        end = piece.rfind("\n") + 1
        waiting.append(piece)
        size += len(piece)
        since_break = len(piece) - end if end else since_break + len(piece)
        if since_break > longest:
            done = sum(part.count("\n") for part in waiting)
            raise CorpusError(
                f"{name} has more than {longest:,} characters in line {lines + done + 1:,}, which "
                "is too much for one: it is damaged, or no text."
            )
        if size >= _BLOCK and end:
            block = "".join(waiting)
            cut = len(block) - since_break
            lines += block.count("\n")
            yield block[:cut]
            waiting, size = [block[cut:]], since_break
    if rest := "".join(waiting):
        yield rest


def _with_line_feeds(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a text with every line break as a line feed, even where a piece ends inside one."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        text = text[: len(text) - len(held)]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if text:
            yield text
    if held:
        yield "\n"
