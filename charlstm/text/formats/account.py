"""What a reader of files tells besides the songs: what it left out, and where it found the text."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charlstm.errors import count

# What no text may hold: halves of characters, and the character that ends strings elsewhere.
_BROKEN = re.compile("[\0\ud800-\udfff]")


@dataclass
class Account:
    """What was met in one file.

    Attributes:
        left_out: how many of what, each in the singular: ``"timestamp"``, ``"row without text"``.
        first: the line where the first of a kind was left out, where lines are told.
        fields: by the names of the columns or fields that texts were found in, how many songs.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    fields: Counter[str] = field(default_factory=Counter)

    def leave_out(self, what: str, number: int = 1, *, line: int | None = None) -> None:
        """Count what is left out.

        Args:
            what: one of them, in words.
            number: how many.
            line: where, from 1; the first one is told.
        """
        if number:
            self.left_out[what] += number
            if line is not None:
                self.first.setdefault(what, line)

    def whole(self, text: str) -> str:
        """Return a text without halves of characters and NUL: U+FFFD stands in their place."""
        if "\0" not in text:
            try:
                text.encode()
            except UnicodeEncodeError:
                pass
            else:
                return text
        whole, number = _BROKEN.subn("\ufffd", text)
        self.left_out["broken character"] += number
        return whole

    def told(self) -> tuple[str, ...]:
        """Return what was left out, each kind in words, the most first: ``2,113 timestamps``."""
        ordered = sorted(self.left_out.items(), key=lambda one: (-one[1], one[0]))
        return tuple(
            count(number, what, _several(what)) + _where(number, self.first.get(what))
            for what, number in ordered
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"left_out": self.left_out, "first": self.first, "fields": self.fields}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Account":
        """Rebuild what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not that.
        """
        left_out, first, fields = (dict(value[name]) for name in ("left_out", "first", "fields"))
        return cls(Counter(left_out), first, Counter(fields))


def together(accounts: Sequence[Account]) -> Account:
    """Return the account of several files; only of one are lines told."""
    if len(accounts) == 1:
        return accounts[0]
    whole = Account()
    for account in accounts:
        whole.left_out.update(account.left_out)
        whole.fields.update(account.fields)
    return whole


def _several(what: str) -> str:
    """Return the plural: of ``row without text`` it is ``rows without text``."""
    return re.sub(r"(?= with| that |$)", "s", what, count=1)


def _where(number: int, line: int | None) -> str:
    if line is None:
        return ""
    return f" (line {line:,})" if number == 1 else f" (the first in line {line:,})"
