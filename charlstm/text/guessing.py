"""Which encoding a text is in that says nothing of it: how well each explains the bytes.

Every candidate reads the same bytes, and each reading is compared with what languages look like
(`charlstm.text.languages`): how likely are its characters, does a letter of another script or a
sign stand inside a word, does a word go on in capitals. The logarithms of these probabilities are
summed over the text, so the reading that explains all bytes best wins, whether it takes one or two
of them for a character.
"""

import codecs
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from charlstm.text import languages

# How much of a text is compared: only lines with bytes beyond ASCII, which is all that matters.
_COMPARED = 1 << 16
# Of independent characters a sum of logarithms would be certain after a few lines; they are not.
_TEMPER = 3.0
# Even the clearest guess is one.
SUREST = 0.99
# What is less likely is not named beside what is likelier.
_HOPELESS = 0.001
# Where the best reading explains a byte worse than this, no language of the table is there.
_UNLIKELY = -6.2
# What an ASCII letter counts. A reading that takes two bytes for one character has fewer of them.
_ASCII = -3.0

# Codecs with one byte a character, and how much less usual they are than Windows-1252.
_SINGLE = {
    "cp1252": 0.0, "cp1250": 2.0, "cp1251": 1.0, "cp1253": 2.0, "cp1254": 2.0, "cp1255": 2.0,
    "cp1256": 2.0, "cp1257": 2.5, "cp1258": 4.0, "cp874": 2.5, "iso8859_15": 2.5,
    "iso8859_2": 2.5, "iso8859_4": 5.0, "iso8859_5": 4.0, "iso8859_6": 4.0, "iso8859_7": 3.0,
    "iso8859_8": 3.0, "iso8859_9": 3.0, "iso8859_13": 4.0, "iso8859_16": 4.5, "koi8_r": 2.0,
    "koi8_u": 2.5, "mac_roman": 3.0, "mac_latin2": 5.0, "mac_cyrillic": 5.0, "mac_greek": 5.0,
    "mac_turkish": 5.5, "mac_iceland": 6.0, "cp850": 4.0, "cp437": 4.5, "cp852": 4.5,
    "cp866": 3.5, "cp857": 6.0,
}  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """What a text without a mark was taken for.

    Attributes:
        encoding: the codec.
        sure: how sure that is, from 0 to 1.
        others: what else it might be, the likeliest first.
        line: the first line that tells, as it is read.
    """

    encoding: str
    sure: float
    others: tuple[str, ...]
    line: str


def telling_lines(data: bytes) -> bytes:
    """Return the lines with bytes beyond ASCII, as many as are compared.

    A line feed is never a part of another character in any of the codecs that are tried.
    """
    kept, size = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            kept.append(line)
            size += len(line) + 1
            if size >= _COMPARED:
                break
    return b"\n".join(kept)[:_COMPARED]


def guesses(data: bytes) -> list[Guess]:
    """Return what bytes may be in, the likeliest first; nothing if no language explains them.

    Args:
        data: from the beginning of a line; may end inside a character.
    """
    best: dict[str, tuple[float, str]] = {}  # one codec for each different reading
    for codec, rarity, score in _CANDIDATES:
        text = _read(data, codec)
        if text:
            likely = score(text) - rarity
            if text not in best or likely > best[text][0]:
                best[text] = likely, codec
    ranked = sorted(((likely, codec, text) for text, (likely, codec) in best.items()), reverse=True)
    foreign = sum(1 for byte in data if byte > 0x7F)
    plain = len(data) - foreign
    if not ranked or ranked[0][0] - _ASCII * plain < _UNLIKELY * foreign - 6:
        return []
    top = ranked[0][0]
    weights = [math.exp((likely - top) / _TEMPER) for likely, _, _ in ranked]
    names = [codec for _, codec, _ in ranked]
    return [
        Guess(
            codec,
            min(weights[place] / sum(weights), SUREST),
            _others(names, weights, place),
            first_line(text),
        )
        for place, (_, codec, text) in enumerate(ranked[:6])
    ]


def _others(names: list[str], weights: list[float], place: int) -> tuple[str, ...]:
    """Return the two codecs that come next, the second only where it is not hopeless."""
    others = [other for other in range(min(3, len(names))) if other != place][:2]
    return tuple(
        names[other]
        for number, other in enumerate(others)
        if not number or weights[other] > _HOPELESS * sum(weights)
    )


def first_line(text: str) -> str:
    """Return the first line that has more than ASCII, or the first that has anything."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return next((line for line in lines if not line.isascii()), lines[0] if lines else "")


def _read(data: bytes, codec: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(data)
    except UnicodeError:
        return None


def _alphabetic(text: str) -> float:
    """Return how well the best language explains a text with one byte a character."""
    counts = Counter(text)
    foreign = {character: n for character, n in counts.items() if character > "\x7f"}
    plain = len(text) - sum(foreign.values())
    floors = {character: languages.floor(character) for character in foreign}
    best = -math.inf
    for language in languages.ALPHABETS:
        shares = languages.shares(language)
        likely = sum(
            n * math.log(shares.get(character, 0) + floors[character])
            for character, n in foreign.items()
        )
        best = max(best, likely)
    if _shouts(text):  # rare, but there are such
        likely = _alphabetic(text.lower()) - 4
        return max(likely, best + plain * _ASCII + _breaks(text))
    return best + plain * _ASCII + _breaks(text)


def _shouts(text: str) -> bool:
    """Whether nearly all of it is in capitals."""
    capitals = sum(1 for character in text if character.isupper())
    return capitals > 0.8 * sum(1 for character in text if character.isalpha()) > 0


def _breaks(text: str) -> float:
    """Return what it costs that words are broken: by signs, by capitals, by other scripts."""
    cost = 0.0
    for (one, other), n in Counter(pairwise(text)).items():
        if one <= "\x7f" and other <= "\x7f":
            continue
        if one.isalpha() and other.isalpha():
            if one.islower() and other.isupper():
                cost -= 2.5 * n
            elif _script(one) != _script(other):
                cost -= 3.0 * n
        elif one.isalpha() or other.isalpha():
            sign = other if one.isalpha() else one
            if sign > "\x7f" and sign not in languages.PUNCTUATION and not _joins(sign):
                cost -= 2.0 * n
    return cost


def _joins(sign: str) -> bool:
    return unicodedata.category(sign)[0] == "M"


def _script(letter: str) -> str:
    if letter <= "\u024f":
        return "latin"
    if letter <= "\u03ff":
        return "greek"
    if letter <= "\u052f":
        return "cyrillic"
    return "other"


def _tiered(tiers: Callable[[str], float], text: str) -> float:
    """Return how well a language of many characters explains a text."""
    likely = 0.0
    for character, n in Counter(text).items():
        likely += n * (_ASCII if character <= "\x7f" else math.log(tiers(character)))
    inside = 0
    for (one, other), n in Counter(pairwise(text)).items():
        if one.isascii() and one.islower() and other > "\u2fff" and other.isalpha():
            inside += n  # a word of Latin letters that goes on in others
    return likely - 2.0 * inside


def _row(character: str, codec: str) -> int:
    """Return the first byte of a character in a codec; 0 if it has none of two bytes."""
    data = character.encode(codec, "ignore")
    return data[0] if len(data) == 2 else 0


def _simplified(character: str) -> float:
    if character in languages.SIMPLIFIED:
        return 0.28 / len(languages.SIMPLIFIED)
    if character in languages.HANZI_PUNCTUATION:
        return 0.12 / len(languages.HANZI_PUNCTUATION)
    row = _row(character, "gb2312")
    if 0xB0 <= row <= 0xD7:
        return 0.58 / 3755
    if row > 0xD7:
        return 0.006 / 3008
    if row:
        return 0.001 / 700
    return 2e-7 if _row(character, "gbk") else 1e-9


def _traditional(character: str) -> float:
    if character in languages.TRADITIONAL:
        return 0.28 / len(languages.TRADITIONAL)
    if character in languages.HANZI_PUNCTUATION:
        return 0.12 / len(languages.HANZI_PUNCTUATION)
    row = _row(character, "big5")
    if 0xA4 <= row <= 0xC6:
        return 0.58 / 5401
    if row > 0xC6:
        return 0.006 / 7652
    return 0.001 / 400 if row else 1e-8


def _japanese(character: str) -> float:
    if "\u3041" <= character <= "\u3093":
        return 0.52 / 83
    if character in languages.KANA_PUNCTUATION:
        return 0.1 / len(languages.KANA_PUNCTUATION)
    if "\u30a1" <= character <= "\u30f6":
        return 0.1 / 86
    if "\uff61" <= character <= "\uff9f":
        return 0.001 / 63
    row = _row(character, "euc_jp")
    if 0xB0 <= row <= 0xCF:
        return 0.26 / 2965
    if row > 0xCF:
        return 0.003 / 3390
    return 0.004 / 500 if row else 1e-8


def _half_width(character: str) -> float:
    if character in languages.HALF_WIDTH:
        return 0.65 / len(languages.HALF_WIDTH)
    return 0.34 / 40 if "\uff61" <= character <= "\uff9f" else 1e-8


def _korean(character: str) -> float:
    if character in languages.HANGUL:
        return 0.5 / len(languages.HANGUL)
    if "\uac00" <= character <= "\ud7a3":
        return 0.42 / 2350 if _row(character, "euc_kr") else 0.002 / 8822
    if character in languages.HANZI_PUNCTUATION:
        return 0.02 / len(languages.HANZI_PUNCTUATION)
    return 0.002 / 4888 if _row(character, "euc_kr") else 1e-8


def _scored(tiers: Callable[[str], float]) -> Callable[[str], float]:
    return lambda text: _tiered(tiers, text)


# Each codec, how unusual it is, and what scores a text that it reads. Where two read the same, the
# one that is more usual has its name.
_CANDIDATES: Sequence[tuple[str, float, Callable[[str], float]]] = (
    ("gb18030", 0.5, _scored(_simplified)),
    ("big5", 1.0, _scored(_traditional)),
    ("big5hkscs", 2.0, _scored(_traditional)),
    ("shift_jis", 1.0, _scored(_japanese)),
    ("cp932", 1.5, _scored(_japanese)),
    ("shift_jis", 4.0, _scored(_half_width)),  # as devices wrote that had no other letters
    ("euc_jp", 1.5, _scored(_japanese)),
    ("euc_kr", 1.0, _scored(_korean)),
    ("cp949", 1.5, _scored(_korean)),
    *((codec, rarity, _alphabetic) for codec, rarity in _SINGLE.items()),
)
