"""Which lines rhyme, in Chinese by the thirteen tracks (十三辙), in English by the CMU dictionary.

The libraries that know the sounds are optional, and take a few tenths of a second to load: they are
imported where they are first needed.
"""

import functools
import importlib.util
import re
import unicodedata

from charlstm.errors import MissingLibraryError, Setting

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

_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile("[A-Za-zÀ-ÖØ-öø-ɏḀ-ỿＡ-Ｚａ-ｚ]")
_APOSTROPHES = ("'", "’")
_OPENED = re.compile(r"(?<!\w)['‘]")
_WORD = re.compile("[a-z]+('[a-z]+)*'?")
_DROPPED_G = re.compile(r".*[aeiouy].*in", re.IGNORECASE)  # lovin, not thin

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


def ending(line: str) -> tuple[int, int]:
    """Return where the unit that `line` rhymes on begins, and where it ends, exclusive.

    The unit is the last one in the line: a Han character, or a word of Latin letters with its
    apostrophes. Whatever is neither letter nor digit may follow it: punctuation, spaces, emoji. A
    line without a unit, or one that goes on after it in digits or another script, has an empty span
    at its end.
    """
    end = len(line)
    # isalnum alone knows only the ideographs of its own version of Unicode.
    while end and not (line[end - 1].isalnum() or _HAN.match(line[end - 1])):
        end -= 1
    if not end:
        return len(line), len(line)
    if _HAN.match(line[end - 1]):
        return end - 1, end
    start = end
    while start and (
        _LATIN.match(line[start - 1])
        or (start > 1 and line[start - 1] in _APOSTROPHES and _LATIN.match(line[start - 2]))
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
    if not _HAN.match(line[start]):
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

    han = _HAN.findall(characters)
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
