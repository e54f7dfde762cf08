"""Where a text stands between two of its lines."""

from dataclasses import dataclass

from charlstm.model.reader import Standing


@dataclass(frozen=True)
class Point:
    """A point between two lines of a text; to go back is to use an earlier one again.

    Attributes:
        lines: the finished lines of the form.
        begun: what the next line begins with already.
        state: of one stream; never moved on, only copied.
        read: all that the model has read, including the context before the lines.
        shown: the same as a person sees it, each line on its own.
        given: how many characters of `shown` were given and not written.
        after: the lines of the form that stand below the next line already.
    """

    lines: tuple[str, ...]
    begun: str
    state: Standing
    read: str
    shown: str
    given: int = 0
    after: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`shown` without the line break at its end."""
        return self.shown.removesuffix("\n")
