"""The commands of `charlstm write` that change how its lines are written, such as /rhyme AABB."""

import re
import unicodedata
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from charlstm.cli.names import option
from charlstm.errors import Command, RecipeError, Setting

if TYPE_CHECKING:
    from charlstm.writing.song import Song

TEMPERATURE = 0.8
"""The temperature of a song, unless another one is asked for."""

EXAMPLES = {
    "temperature": "0.9",
    "recall": "0.2",
    "length": "7",
    "rhyme": "AABA",
    "acrostic": "我喜欢你",
    "end": "来",
    "must": "雨",
    "copy": "6",
}
"""The commands, without their slashes, and a value for each."""

# Where a command is not called like its setting.
_COMMANDS = {
    "line_length": "length",
    "acrostic_end": "end",
    "max_copy": "copy",
    **{name: name for name in ("acrostic", "rhyme", "must", "refrain", "temperature", "recall")},
}
_QUOTES = '"＂“”„«»「」『』'
_PHRASE = re.compile(f"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]|(\\S+)")


def settings(song: "Song") -> dict[str, str]:
    """Return how the lines are written by the commands that change it; empty for what is off."""
    form = song.form
    return {
        "temperature": f"{song.decoding.temperature:g}",
        "recall": f"{song.recall:g}" if song.recall else "",
        "length": form.line_length,
        "rhyme": form.rhyme,
        "acrostic": form.acrostic,
        "end": form.acrostic_end,
        "must": " ".join(map(_quoted, form.must)),
        "copy": str(song.max_copy or ""),
    }


def told(song: "Song", name: str) -> str:
    """Say how the lines are written by one command, and how that is turned off or on.

    Args:
        song: as it is now.
        name: of the command, one of `EXAMPLES`.
    """
    value = settings(song)[name]
    if name == "temperature":
        return f"temperature is {value}; /temperature off goes back to {TEMPERATURE}."
    if value and name == "recall":
        return f"recall is {value}; /recall off is the network alone, /recall auto as the recipe."
    if value:
        return f"{name} is {value}; /{name} off turns it off."
    return f"{name} is off; /{name} {EXAMPLES[name]}, for example, turns it on."


def apply(song: "Song", name: str, value: str) -> None:
    """Change how the next lines are written.

    Args:
        song: whose lines.
        name: of the command, one of `EXAMPLES`.
        value: as it was typed; ``off`` turns it off.

    Raises:
        CharLSTMError: it cannot be so; see `Song.change` too.
    """
    plain = unicodedata.normalize("NFKC", value)
    if plain.lower() == "off":
        plain = value = ""
    if name == "temperature":
        song.change(decoding=replace(song.decoding, temperature=_temperature(plain)))
    elif name == "recall":
        song.change(recall=_recall(plain))
    elif name == "copy":
        song.change(max_copy=_max_copy(plain))
    else:
        parts: dict[str, dict[str, Any]] = {
            "length": {"line_length": plain},
            "rhyme": {"rhyme": plain},
            "acrostic": {"acrostic": value},
            "end": {"acrostic_end": value},
            "must": {"must": _phrases(value)},
        }
        song.change(form=replace(song.form, **parts[name]))


def command(part: Setting | Command) -> str:
    """Return what a message names as the command that says it, or as the command line does."""
    if isinstance(part, Command) or part.name not in _COMMANDS:
        return option(part)
    name = f"/{_COMMANDS[part.name]}"
    if part.value is ...:
        return name
    values = part.value if isinstance(part.value, tuple) else (part.value,)
    return " ".join(f"{name} {_quoted(str(value))}" for value in values)


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def _temperature(text: str) -> float:
    """Return the temperature that was typed, the usual one for nothing.

    Raises:
        RecipeError: it is no number.
    """
    try:
        return float(text or TEMPERATURE)
    except ValueError:
        raise RecipeError(f"A temperature is a number, as in 0.9, not {text!r}.") from None


def _recall(text: str) -> float | Literal["auto"]:
    """Return the share that was typed, 0 for nothing.

    Raises:
        RecipeError: it is no share.
    """
    if text.lower() == "auto":
        return "auto"
    with suppress(ValueError):
        if 0 <= (share := float(text or 0)) <= 1:
            return share
    raise RecipeError(f"/recall needs auto or a number from 0 to 1, as in 0.2, not {text!r}.")


def _max_copy(text: str) -> int:
    """Return the number of characters that was typed, 0 for nothing.

    Raises:
        RecipeError: it is no whole number from 1.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,8}|", text):
        raise RecipeError("/copy needs a whole number from 1, as in /copy 6.")
    return int(text or 0)


def _phrases(text: str) -> tuple[str, ...]:
    """Return the words, and the phrases in quotes, that were typed.

    Raises:
        RecipeError: a quote has no other side.
    """
    words = tuple(phrase.strip() or word for phrase, word in _PHRASE.findall(text))
    if any(quote in word for word in words for quote in _QUOTES):
        raise RecipeError('A phrase needs quotes on both sides, as in /must "my love".')
    return words
