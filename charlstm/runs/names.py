"""What a run may be called, and what it is called by itself."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from charlstm.checks import shown
from charlstm.errors import RunError
from charlstm.text.formats.format import ENDINGS

# What the name of a corpus ends in and that of a run does not.
_ENDINGS = frozenset((*ENDINGS, ".gz", ".zip"))
# File systems allow 255 bytes; a number may follow.
_LONGEST_NAME = 240
# Names that Windows has for devices, even with something after a dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE)


def name_for(places: Iterable[str | Path]) -> str:
    """Return a run's name from the first place its corpus came from; ``text`` without any."""
    first = str(next(iter(places), "text"))
    path = Path(first)
    if glob.has_magic(path.name) and not os.path.lexists(path):
        path = path.parent
    stem = path.resolve().name if first != "-" else "stdin"
    while (path := Path(stem)).stem and path.suffix.lower() in _ENDINGS:
        stem = path.stem
    # Whatever a shell, a file system or a reader could trip over becomes one underscore.
    name = re.sub(r"[^\w.-]+", "_", stem).strip("._")[:100]
    name = name.encode()[: _LONGEST_NAME - 40].decode(errors="ignore").strip("._") or "run"
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def check_name(name: str) -> None:
    """Check that a run can have this name, and stays below its root with it.

    It must be one that every system can store, because runs are copied to others.

    Raises:
        RunError: it cannot.
    """
    if not re.fullmatch(r"[\w -][\w .-]{0,119}", name) or name.endswith((".", " ")):
        raise RunError(
            f"A run cannot be called {shown(name)}: use letters, digits, spaces, '-', '_' and "
            "'.', 120 at most, do not begin with a dot, and do not end with a dot or a space."
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise RunError(
            f"A run cannot be called {shown(name)}: its name takes {len(name.encode())} bytes, and "
            f"at most {_LONGEST_NAME} can be relied on."
        )
    if _RESERVED.fullmatch(name):
        raise RunError(f"A run cannot be called {shown(name)}: on Windows that is a device.")
