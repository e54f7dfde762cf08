"""What a text begins with, and how a model reads characters that it has never seen."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from charlstm.errors import Part, Setting, SettingError, UnknownCharactersError
from charlstm.text.corpus import TextOptions
from charlstm.text.vocabulary import Vocabulary

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
    """

    given: str
    normalised: str
    read: str

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
        normalised = options.apply(given)
        return cls(given, normalised, readable(normalised, vocabulary, unknown, what=what))


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
        unknown: see `charlstm.writing.sampler.SamplingSettings`. A character that nothing in the
            vocabulary resembles is read as ``<unk>`` with ``"map"``.
        what: what the error calls it.
        advice: the last sentence of the error: what to do.

    Raises:
        UnknownCharactersError: with ``"error"``, naming each character that the model has never
            seen and what the vocabulary has in its place.
        SettingError: `unknown` is none of the three.
    """
    if unknown not in ("error", "skip", "map"):
        raise SettingError("unknown", "error, skip or map", repr(unknown))
    strangers = {
        character: lookalike(character, vocabulary)
        for character in prefix
        if character not in vocabulary
    }
    if not strangers:
        return prefix
    if unknown == "skip":
        return "".join(character for character in prefix if character not in strangers)
    if unknown == "map":
        # What resembles nothing stays as it is, and the vocabulary reads it as <unk>.
        return "".join(strangers.get(character) or character for character in prefix)
    named = [
        f"{_shown(character)} (it has {_shown(instead)})" if instead else _shown(character)
        for character, instead in strangers.items()
    ]
    raise UnknownCharactersError(
        f"The model has never seen {', '.join(named)} of ", what, ". ", *advice
    )


_PUNCTUATION = {
    ",": "，、", ".": "。．", "!": "！", "?": "？", ":": "：", ";": "；", "(": "（", ")": "）",
    '"': "“”「『", "'": "‘’", "~": "～", "-": "—–", " ": "\u3000\n", "…": "⋯", "—": "-–",
    "，": "、, ", "。": ".\n", "、": "， ", "“": '"「', "”": '"」', "‘": "'", "’": "'",
    "「": "“", "」": "”", "《": "〈", "》": "〉", "\u3000": " ", "\t": " ", "\n": " ",
}  # fmt: skip


def lookalike(character: str, vocabulary: Vocabulary) -> str | None:
    """Return what the vocabulary has in the place of `character`: another width, case or form."""
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
    for candidate in candidates:
        if candidate and all(part in vocabulary for part in candidate):
            return candidate
    return None


def _shown(text: str) -> str:
    """Quote a text for a message; what does not print is shown by its code point."""
    if text.isprintable() and not text.isspace():
        return f"'{text}'"
    return " ".join(f"U+{ord(character):04X}" for character in text)
