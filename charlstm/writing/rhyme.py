"""Which lines rhyme, in Chinese by the thirteen tracks (十三辙), in English by the CMU dictionary.

The libraries that know the sounds are optional, and take a few tenths of a second to load: they are
imported where they are first needed.
"""

import functools
import importlib.util
import re
import unicodedata
from collections import Counter

from charlstm.errors import MissingLibraryError, RecipeError, Setting
from charlstm.text.scripts import HAN, LATIN
from charlstm.text.vocabulary import Vocabulary

# The finals of standard Chinese as pypinyin spells them when it is strict: v for ü, iou for iu, and
# i for the i of shi and zi too. er has no track of its own and goes with i, as on the stage.
_FINALS = {
    "发花": "a ia ua",
    "梭坡": "o e uo",
    "乜斜": "ê ie ve",
    "一七": "i v er",
    "姑苏": "u",
    "怀来": "ai uai",
    "灰堆": "ei uei",
    "遥条": "ao iao",
    "油求": "ou iou",
    "言前": "an ian uan van",
    "人辰": "en in uen vn",
    "江阳": "ang iang uang",
    "中东": "eng ing ueng ong iong",
}
_TRACK = {final: track for track, finals in _FINALS.items() for final in finals.split()}

_APOSTROPHES = ("'", "’")
_OPENED = re.compile(r"(?<!\w)['‘]")
_WORD = re.compile("[a-z]+('[a-z]+)*'?")
_DROPPED_G = re.compile(r".*[aeiouy].*in", re.IGNORECASE)  # lovin, not thin

# English has hardly any letters with accents, and Chinese no kana; other languages have more.
_FOREIGN_ACCENTS = 0.008
_FOREIGN_KANA = 0.05
# Of the words of an English text far more than this are in the dictionary, of others far fewer.
_KNOWN_WORDS = 0.65
# Rhymes are looked for where at least this share of a text is in a language that has them.
_ENOUGH = 0.2

_RHYMING = re.compile(r"\w+[12](?!.*[12]).*")  # from the last vowel with stress 1 or 2 on


def require_rhyme_libraries() -> None:
    """Check that pypinyin and pronouncing are installed.

    Raises:
        MissingLibraryError: one of them is not.
    """
    if not all(importlib.util.find_spec(name) for name in ("pypinyin", "pronouncing")):
        raise MissingLibraryError(
            "Rhymes need pypinyin and pronouncing, which are not installed: "
            "pip install 'charlstm[rhyme]', or leave ",
            Setting("rhyme"),
            " out.",
        )


def require_rhyming_language(vocabulary: Vocabulary, words: frozenset[str] | None = None) -> None:
    """Check that a model's text is in a language whose rhymes are known: Chinese or English.

    Args:
        vocabulary: the model's, with the counts of its training text.
        words: the words of that text in Latin letters, in lower case, if they are known.

    Raises:
        RecipeError: it seems to be in another; a part of a fifth in one of the two is enough.
    """
    scripts: Counter[str] = Counter()
    for character, count in zip(vocabulary.characters, vocabulary.counts[1:], strict=True):
        if (script := _script(character)) is not None:
            scripts[script] += count
    letters = scripts.total()
    chinese, english = scripts["Han"], scripts["plain"]
    seems = max(scripts, key=lambda script: scripts[script]) if letters else ""
    if scripts["kana"] > _FOREIGN_KANA * (scripts["Han"] + scripts["kana"]):
        chinese, seems = 0, "Japanese"
    if scripts["accented"] > _FOREIGN_ACCENTS * (scripts["plain"] + scripts["accented"]):
        english, seems = 0, seems if seems not in ("plain", "accented") else "accented Latin"
    elif words is not None and english > chinese and _known_share(words) < _KNOWN_WORDS:
        english, seems = 0, "another language in Latin"
    if letters and chinese + english < _ENOUGH * letters:
        named = seems if seems == "Japanese" else f"written in {seems} letters"
        raise RecipeError(
            "Rhymes are known for Chinese and for English only, and the text that the model "
            f"learned from seems to be {named}: leave ",
            Setting("rhyme"),
            " out.",
        )


def _script(character: str) -> str | None:
    """Return what a letter is written in; ``None`` for what is none."""
    if HAN.match(character):
        return "Han"
    if "\u3041" <= character <= "\u30ff":
        return "kana"
    if not character.isalpha():
        return None
    if character.isascii():
        return "plain"
    if LATIN.match(character):
        return "plain" if unicodedata.normalize("NFKC", character).isascii() else "accented"
    return unicodedata.name(character, "other").partition(" ")[0].capitalize()


def _known_share(words: frozenset[str]) -> float:
    """Return the share of words that the CMU dictionary has."""
    known = {word for rhyming in _words().values() for word in rhyming}
    plain = {_plain(word) for word in words}
    return len(plain & known) / max(len(plain), 1)


def ending(line: str) -> tuple[int, int]:
    """Return where the unit that `line` rhymes on begins, and where it ends, exclusive.

    The unit is the last one in the line: a Han character, or a word of Latin letters with its
    apostrophes. Whatever is neither letter nor digit may follow it: punctuation, spaces, emoji. A
    line without a unit, or one that goes on after it in digits or another script, has an empty span
    at its end.
    """
    end = len(line)
    # isalnum alone knows only the ideographs of its own version of Unicode.
    while end and not (line[end - 1].isalnum() or HAN.match(line[end - 1])):
        end -= 1
    if not end:
        return len(line), len(line)
    if HAN.match(line[end - 1]):
        return end - 1, end
    start = end
    while start and (
        LATIN.match(line[start - 1])
        or (start > 1 and line[start - 1] in _APOSTROPHES and LATIN.match(line[start - 2]))
    ):
        start -= 1
    if start == end:
        return len(line), len(line)
    # An apostrophe (lovin', the boys') looks like a closing quote: it is one where one opened.
    if line[end : end + 1] in _APOSTROPHES and (
        _DROPPED_G.fullmatch(line[start:end]) or not _OPENED.search(line[:start])
    ):
        end += 1
    return start, end


def sounds(line: str) -> frozenset[str]:
    """Return what the ending of `line` rhymes on: two lines rhyme on a sound that both have.

    A Han character has one, its track among the thirteen, by its reading in the line. pypinyin
    knows its phrases in simplified characters, so a traditional one has its commonest reading.
    A word has the rhyming part of each of its pronunciations in the CMU dictionary, without the
    degrees of stress: ``AA R T`` for heart. What is in neither has none.

    Raises:
        MissingLibraryError: see `require_rhyme_libraries`.
    """
    require_rhyme_libraries()
    return _sounds(line)


@functools.lru_cache(maxsize=1 << 12)
def _sounds(line: str) -> frozenset[str]:
    start, end = ending(line)
    if start == end:
        return frozenset()
    if not HAN.match(line[start]):
        return _word_sounds(line[start:end])
    from pypinyin import Style, lazy_pinyin

    final = lazy_pinyin(line[:end], style=Style.FINALS, strict=True)[-1]
    return frozenset({_TRACK[final]} if final in _TRACK else ())


def rhyme(line: str, other: str) -> bool:
    """Return whether two lines rhyme: on different units, since none rhymes with itself.

    Raises:
        MissingLibraryError: see `require_rhyme_libraries`.
    """
    ours, theirs = (_with_g(_plain(text[slice(*ending(text))])) for text in (line, other))
    return ours != theirs and not sounds(line).isdisjoint(sounds(other))


def endings_on(sounds: frozenset[str], characters: str) -> frozenset[str]:
    """Return every unit that rhymes on one of `sounds` and can be spelled with `characters`.

    Han characters go by the reading that they have alone. Words are in lower case and with straight
    apostrophes, whichever kind is among `characters`.

    Raises:
        MissingLibraryError: see `require_rhyme_libraries`.
    """
    require_rhyme_libraries()
    tracks = sounds & _FINALS.keys()
    parts = sounds - tracks
    units: set[str] = set()
    if tracks:
        units.update(*(_han(characters).get(track, ()) for track in tracks))
    if parts:
        spelled = _spellable(characters)
        units.update(
            word
            for part in parts
            for word in _words().get(part, ())
            # Not 'em, t-shirt and a.m.: only a part of them would be the ending of a line.
            if spelled.issuperset(word) and _WORD.fullmatch(word)
        )
    return frozenset(units)


@functools.lru_cache(maxsize=64)
def words_ending_in(letter: str, characters: str) -> frozenset[str] | None:
    """Return the English words that end in a letter and can be spelled with `characters`.

    In lower case; ``None`` where the letter is not one that English words are written with, or
    the CMU dictionary is not installed.
    """
    letter = letter.casefold()
    if not "a" <= letter <= "z" or importlib.util.find_spec("pronouncing") is None:
        return None
    spelled = _spellable(characters)
    return frozenset(
        word
        for words in _words().values()
        for word in words
        if word.endswith(letter) and spelled.issuperset(word) and _WORD.fullmatch(word)
    )


def _spellable(characters: str) -> frozenset[str]:
    """Return what a word of the dictionary may consist of if `characters` are to spell it."""
    return frozenset(characters.casefold().replace("’", "'"))


@functools.lru_cache(maxsize=4)
def _han(characters: str) -> dict[str, list[str]]:
    """Return the Han characters among `characters` by their tracks."""
    from pypinyin import Style, lazy_pinyin

    han = HAN.findall(characters)
    # A list is read item by item, without looking for phrases across items.
    finals = lazy_pinyin(han, style=Style.FINALS, strict=True)
    by_track: dict[str, list[str]] = {}
    for character, final in zip(han, finals, strict=True):
        if final in _TRACK:
            by_track.setdefault(_TRACK[final], []).append(character)
    return by_track


@functools.cache
def _words() -> dict[str, list[str]]:
    """Return the words of the CMU dictionary by the sounds that they rhyme on."""
    import pronouncing

    pronouncing.init_cmu()
    by_part: dict[str, list[str]] = {}
    for phones, words in pronouncing.rhyme_lookup.items():
        part = _rhyming_part(phones)
        if part is not None:
            by_part.setdefault(part, []).extend(words)
    return by_part


def _word_sounds(word: str) -> frozenset[str]:
    """Return the rhyming parts of a word's pronunciations."""
    import pronouncing

    plain = _plain(word)
    # lovin' is loving, and makin', which has an entry of its own, is both. What is not found is
    # looked for without its apostrophes (rain's, mo'), and then with the g that was left out.
    written = (plain, _with_g(plain)) if plain.endswith("'") else (plain,)
    for entries in (written, (plain.replace("'", ""),), (_with_g(plain),)):
        phones = [reading for entry in entries for reading in pronouncing.phones_for_word(entry)]
        if phones:
            return frozenset(part for part in map(_rhyming_part, phones) if part)
    return frozenset()


def _rhyming_part(phones: str) -> str | None:
    """Return the part of a CMU pronunciation that rhymes; None where no vowel is stressed."""
    # Not pronouncing.rhyming_part: it takes all of what has no stress, and the comment that a few
    # entries end with as well. Without stress are hmm, and the weak forms of to, for and him, which
    # no line ends on.
    match = _RHYMING.search(phones.partition(" #")[0])
    return re.sub(r"\d", "", match[0]) if match else None


def _plain(unit: str) -> str:
    """Spell a unit as the CMU dictionary does: lower case, no accents, straight apostrophes."""
    parts = unicodedata.normalize("NFKD", unit.replace("’", "'"))
    return "".join(part for part in parts if not unicodedata.combining(part)).casefold()


def _with_g(word: str) -> str:
    """Return loving for lovin', and any other word without the apostrophe at its end."""
    bare = word.rstrip("'")
    return bare + "g" if _DROPPED_G.fullmatch(bare) else bare
