"""Fields of JSON that anybody may have written."""

from collections.abc import Mapping
from typing import Any

from charlstm.checks import check_whole
from charlstm.figures import LARGEST


def typed(value: Mapping[str, Any], name: str, *kinds: type) -> Any:
    """Return a field of one of these types.

    Raises:
        KeyError: there is none.
        TypeError: it is of another type.
    """
    field = value[name]
    if type(field) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {expected}, not {type(field).__name__}.")
    return field


def strings(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a list of texts.

    Raises:
        KeyError, TypeError: it is not.
    """
    entries = typed(value, name, list)
    if not all(isinstance(entry, str) for entry in entries):
        raise TypeError(f"{name} must hold text.")
    return tuple(entries)


def counted(value: Mapping[str, Any], name: str) -> int:
    """Return a field that counts something.

    Raises:
        KeyError, SettingError: it does not.
    """
    count: int = value[name]
    check_whole(name, count, 0, LARGEST)
    return count


def check_writable(name: str, text: str) -> None:
    """Check that a text can be written again: half of a surrogate pair is no character.

    Raises:
        ValueError: it cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must not hold half of a surrogate pair.") from None
