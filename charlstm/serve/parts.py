"""The parts of a request, each checked for what it must be."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from charlstm.checks import shown
from charlstm.serve.answers import Refused

_T = TypeVar("_T")

# Longer than any song, and short enough to be read while somebody waits.
_LONGEST = 200_000


def text_of(body: dict[str, Any], name: str, *, most: int = _LONGEST) -> str:
    """Return a part that must be a text.

    Args:
        body: the request.
        name: of the part.
        most: how many characters it may have.

    Raises:
        Refused: it is missing, something else or too long.
    """
    value = body.get(name)
    if not isinstance(value, str):
        found = "is missing" if value is None else f"must be a text, not {shown(value)}"
        raise Refused(f'"{name}" {found}.', param=name)
    if len(value) > most:
        told = f'"{name}" has {len(value):,} characters, and {most:,} are the most.'
        raise Refused(told, 413, param=name)
    # Half of a character, as JavaScript can send it, is none.
    return value.encode("utf-8", "replace").decode()


def optional(
    body: dict[str, Any], name: str, read: Callable[[dict[str, Any], str], _T]
) -> _T | None:
    """Return a part that may be missing or ``null``.

    Raises:
        Refused: it is there, and not what `read` takes.
    """
    return None if body.get(name) is None else read(body, name)


def texts_of(body: dict[str, Any], name: str) -> list[str]:
    """Return a part that must be a list of texts; nothing where it is missing.

    Raises:
        Refused: it is something else.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Refused(f'"{name}" must be a list of texts, not {shown(value)}.', param=name)
    return [one.encode("utf-8", "replace").decode() for one in value]


def whole_of(body: dict[str, Any], name: str) -> int:
    """Return a part that must be a whole number.

    Raises:
        Refused: it is something else.
    """
    value = body.get(name)
    if type(value) is not int or abs(value) > 1 << 63:
        raise Refused(f'"{name}" must be a whole number, not {shown(value)}.', param=name)
    return value


def client_of(body: dict[str, Any]) -> str:
    """Return which tab asks.

    Raises:
        Refused: it does not say so.
    """
    client = text_of(body, "client", most=100)
    if not re.fullmatch(r"[\w.-]+", client):
        raise Refused('"client" must be letters, digits, "." and "-".', param="client")
    return client
