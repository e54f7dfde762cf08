"""What a text begins with, and how a model reads characters that it has never seen."""

import functools
import importlib.util
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from charlstm.checks import shown
from charlstm.errors import (
    Message,
    Part,
    RecipeError,
    Setting,
    SettingError,
    UnknownCharactersError,
)
from charlstm.text.corpus import TextOptions
from charlstm.text.songs import without_ends
from charlstm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from opencc_purepy import OpenCC

_ADVICE: tuple[Part, ...] = (
    "Change the prefix, or use ",
    Setting("unknown", "skip"),
    " to leave such characters out, or ",
    Setting("unknown", "map"),
    " to put what is nearest in their place.",
)


@dataclass(frozen=True)
class Prefix:
    """What a text begins with.

    Attributes:
        given: as somebody wrote it.
        normalised: in the form of the training text; a text that goes on from it begins so.
        read: what the model reads of it: no character that it has never seen, unless nothing
            resembles it and it is read as ``<unk>``.
        changed: each character that the model has never seen, and what it reads instead: nothing
            where it is left out, ``None`` where it is ``<unk>``.
    """

    given: str
    normalised: str
    read: str
    changed: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def of(
        cls,
        given: str,
        options: TextOptions,
        vocabulary: Vocabulary,
        unknown: str = "error",
        *,
        what: Part = "the prefix",
    ) -> "Prefix":
        """Make a prefix; for the arguments and errors see `readable`."""
        given = without_ends(given)
        normalised = options.apply(given)
        strangers = _strangers(normalised, vocabulary)
        read = _as_read(normalised, strangers, unknown, what, _ADVICE)
        changed = ((c, "" if unknown == "skip" else near) for c, near in strangers.items())
        return cls(given, normalised, read, tuple(changed))

    def changes(self, what: Part = "the prefix") -> Message | None:
        """Say what the model reads otherwise than it was given; ``None`` if nothing.

        Args:
            what: what the message calls it.
        """
        if not self.changed:
            return None
        mapped = [f"{_shown(c)} as {_shown(instead)}" for c, instead in self.changed if instead]
        skipped = [_shown(c) for c, instead in self.changed if instead == ""]
        unread = [_shown(c) for c, instead in self.changed if instead is None]
        parts = []
        if mapped:
            parts.append(f"reads {', '.join(mapped)}")
        if skipped:
            parts.append(f"leaves out {', '.join(skipped)}")
        if unread:
            parts.append(f"reads {', '.join(unread)} as <unk>, which nothing resembles")
        advice = _advice("".join(unread))
        return Message("Of ", what, f" the model {'; and it '.join(parts)}.", advice)


def readable(
    prefix: str,
    vocabulary: Vocabulary,
    unknown: str,
    *,
    what: Part = "the prefix",
    advice: Sequence[Part] = _ADVICE,
) -> str:
    """Return `prefix` as the model can read it.

    Args:
        prefix: normalised.
        vocabulary: the model's.
        unknown: see `charlstm.writing.task.SamplingSettings`. A character that nothing in the
            vocabulary resembles is read as ``<unk>`` with ``"map"``.
        what: what the error calls it.
        advice: the last sentence of the error: what to do.

    Raises:
        UnknownCharactersError: with ``"error"``, naming each character that the model has never
            seen and what the vocabulary has in its place.
        SettingError: `unknown` is none of the three.
    """
    return _as_read(prefix, _strangers(prefix, vocabulary), unknown, what, advice)


def _strangers(text: str, vocabulary: Vocabulary) -> dict[str, str | None]:
    """Return the characters that a model has never seen, and what resembles each."""
    return {
        character: lookalike(character, vocabulary)
        for character in dict.fromkeys(text)
        if character not in vocabulary
    }


def _as_read(
    prefix: str,
    strangers: dict[str, str | None],
    unknown: str,
    what: Part,
    advice: Sequence[Part],
) -> str:
    if unknown not in ("error", "skip", "map"):
        raise SettingError("unknown", "error, skip or map", repr(unknown))
    if not strangers:
        return prefix
    if unknown == "skip":
        return "".join(character for character in prefix if character not in strangers)
    if unknown == "map":
        # What resembles nothing stays as it is, and the vocabulary reads it as <unk>.
        return "".join(strangers.get(character) or character for character in prefix)
    listed = [
        f"{_shown(character)} (it has {_shown(instead)})" if instead else _shown(character)
        for character, instead in strangers.items()
    ]
    more = _advice("".join(c for c, instead in strangers.items() if not instead))
    raise UnknownCharactersError(
        f"The model has never seen {', '.join(listed)} of ", what, ". ", *advice, more
    )


_PUNCTUATION = {
    ",": "，、", ".": "。．", "!": "！", "?": "？", ":": "：", ";": "；", "(": "（", ")": "）",
    '"': "“”「『", "'": "‘’", "~": "～", "-": "—–", " ": "\u3000\n", "…": "⋯", "—": "-–",
    "，": "、, ", "。": ".\n", "、": "， ", "“": '"「', "”": '"」', "‘": "'", "’": "'",
    "「": "“", "」": "”", "《": "〈", "》": "〉", "\u3000": " ", "\t": " ", "\n": " ",
}  # fmt: skip


def lookalike(character: str, vocabulary: Vocabulary) -> str | None:
    """Return what the vocabulary has in the place of `character`: another width, case or form.

    A Chinese character has its traditional or its simplified form, if opencc-purepy is installed.
    """
    candidates: list[str] = [
        unicodedata.normalize("NFKC", character),
        character.swapcase(),
        *_PUNCTUATION.get(character, ""),
    ]
    if "!" <= character <= "~":
        candidates.append(chr(ord(character) + 0xFEE0))  # the full-width forms
        candidates.append(chr(ord(character.swapcase()) + 0xFEE0))
    folded = unicodedata.normalize("NFKC", character)
    candidates.append(folded.swapcase())
    parts = unicodedata.normalize("NFKD", character)
    if all(unicodedata.combining(mark) for mark in parts[1:]):
        candidates.append(parts[0])  # é -> e
    candidates += _written_otherwise(character, vocabulary.characters)
    for candidate in candidates:
        if candidate and all(part in vocabulary for part in candidate):
            return candidate
    return None


def lookalikes(vocabulary: Vocabulary) -> dict[str, str]:
    """Return what `lookalike` does for every character that a vocabulary has not; takes a second.

    Of what Unicode has assigned, whatever has something in its place.
    """
    found = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        if character in vocabulary or not _may_look_like_another(character):
            continue
        if (near := lookalike(character, vocabulary)) is not None:
            found[character] = near
    return found


def _may_look_like_another(character: str) -> bool:
    """Whether `lookalike` has anything to look for, quickly."""
    return (
        character in _PUNCTUATION
        or "!" <= character <= "~"
        or character.swapcase() != character
        or unicodedata.normalize("NFKD", character) != character
        or (
            "\u3400" <= character <= "\U0003ffff"
            and unicodedata.name(character, "").startswith("CJK")
            and _has_opencc()
        )
    )


def named(characters: str) -> str:
    """Return characters one by one, quoted for a message."""
    return ", ".join(map(_shown, characters))


def stop_text(given: str, options: TextOptions, vocabulary: Vocabulary) -> str:
    """Return a text to stop at in the form of the training text.

    Raises:
        RecipeError: the model can never write it.
    """
    if not given:
        raise RecipeError("A text to stop at cannot be empty.")
    # Where line breaks were spaces, a text does not stop at its first space.
    text = replace(options, newline="keep", letters_only=False).apply(without_ends(given))
    never = "".join(dict.fromkeys(c for c in text if c not in vocabulary))
    if vocabulary.counts[0]:
        never = never.replace("\ufffd", "")  # which it writes for <unk>
    if not never:
        return text
    quoted = shown(given).replace("\\\\", "\\")  # as it was typed
    if "\\" in never and re.search(r"\\[nrt]", text):
        raise RecipeError(
            f"{quoted} has a backslash and a letter where a line break or a tab may be "
            "meant, and the model never writes a backslash. Most shells type a line break as "
            "$'\\n' and a tab as $'\\t'; a number of lines is asked for with ",
            Setting("lines"),
            ".",
        )
    raise RecipeError(
        f"The model never writes {named(never)}, so it would never stop at {quoted}: ",
        "change ",
        Setting("stop"),
        ", or ask for a number of lines with ",
        Setting("lines"),
        ".",
    )


def _written_otherwise(character: str, characters: str) -> list[str]:
    """Return those of `characters` that are another form of a Chinese character."""
    if not "\u3400" <= character <= "\U0003ffff" or not _has_opencc():
        return []
    simplified = _simplified(character)
    return [simplified, *_forms(characters).get(simplified, ())]


def _has_opencc() -> bool:
    return importlib.util.find_spec("opencc_purepy") is not None


def _simplified(character: str) -> str:
    return _converter().convert(character)


@functools.cache
def _converter() -> "OpenCC":
    from opencc_purepy import OpenCC

    return OpenCC("t2s")


@functools.lru_cache(maxsize=4)
def _forms(characters: str) -> dict[str, list[str]]:
    """Return Chinese characters by their simplified forms, in the order that they are given in."""
    forms: dict[str, list[str]] = {}
    for character in characters:
        if "\u3400" <= character <= "\U0003ffff":
            forms.setdefault(_simplified(character), []).append(character)
    return forms


def _advice(unread: str) -> str:
    """Say what to install where it would find what resembles one of these characters."""
    if _has_opencc() or not any(map(_has_another_form, unread)):
        return ""
    return (
        " With pip install 'charlstm[chinese]' traditional and simplified characters stand for "
        "each other."
    )


def _has_another_form(character: str) -> bool:
    """Whether a Chinese character is likely to be of the one kind only."""
    # The standards of the two kinds hold what is in use there.
    return "\u4e00" <= character <= "\u9fff" and (
        bool(character.encode("gb2312", "ignore")) != bool(character.encode("big5", "ignore"))
    )


def _shown(text: str) -> str:
    """Quote a text for a message; what does not print is shown by its code point."""
    if text.isprintable() and not text.isspace():
        return f"'{text}'"
    return " ".join(f"U+{ord(character):04X}" for character in text)
