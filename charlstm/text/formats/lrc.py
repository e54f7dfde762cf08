"""LRC, the lyrics of music players: lines with the times at which they are sung.

Times go, and the lines are put in their order. What has the time of a line before it is its
translation, and is left out.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import lt

from charlstm.errors import CorpusError
from charlstm.text.formats.account import Account
from charlstm.text.formats.lines import in_blocks
from charlstm.text.songs import Opening

_TIME = r"\d{1,4}:\d{1,2}(?:[.:]\d{1,3}){0,2}"
_STAMP = re.compile(rf"\[({_TIME})\]")
_WORD = re.compile(rf"<{_TIME}>|\[{_TIME}\]")
# The times before a line, and the line.
_LINE = re.compile(rf"^[ \t]*((?:\[{_TIME}\][ \t]*)*)(.*)$", re.MULTILINE)
_TAG = re.compile(
    r"\[(ti|ar|al|au|by|offset|length|re|ve|la|tool|id|hash|sign|qq|total|kana|encoding|#):(.*)\]",
    re.IGNORECASE,
)
_FIRST_TAG = re.compile(r"^[ \t]*\[(?:ti|ar|al):", re.MULTILINE | re.IGNORECASE)
SUNG = re.compile(rf"^[ \t]*\[{_TIME}\]", re.MULTILINE)
"""The beginning of a line that is sung."""
TAGGED = re.compile(rf"[ \t]*{_TAG.pattern}[ \t]*$", re.IGNORECASE)
"""A line that tells something of the song."""
_KEPT = {"ti": "title", "ar": "artist", "al": "album", "au": "author"}
# A line, its translation, how it is pronounced and another translation share a time. Where more do,
# nobody has timed them.
_MOST_TRANSLATED = 4
# A song is looked at whole. None is as long as this.
_LONGEST_SONG = 16_000_000


def read_lrc(pieces: Iterator[str], name: str, account: Account) -> Iterator[Opening | str]:
    """Yield the songs of a text in LRC; where tags follow sung lines, another song begins.

    Args:
        pieces: the text.
        name: of its file.
        account: counts what is left out.

    Raises:
        CorpusError: it has a song that is longer than any.
    """
    waiting = ""
    for block in in_blocks(pieces, name, longest=_LONGEST_SONG):
        *whole, waiting = _parted(waiting + block)
        for song in whole:
            yield from _read(song, account)
        if len(waiting) > _LONGEST_SONG:
            raise CorpusError(
                f"{name} is LRC with a song of more than {_LONGEST_SONG:,} characters, which none "
                "has: it is damaged."
            )
    yield from _read(waiting, account)


def without_times(text: str, account: Account) -> str:
    """Return the text of a song that stands in a table or in JSON, which may be LRC itself."""
    if "[0" not in text or SUNG.search(text) is None:
        return text
    lines = [line for line in text.split("\n") if line.strip()]
    if 2 * sum(1 for line in lines if SUNG.match(line)) <= len(lines):
        return text
    return "".join(item for item in _read(text, account) if isinstance(item, str)).strip("\n")


def _parted(text: str) -> list[str]:
    """Return the songs of a text; more of the last may follow."""
    songs = []
    start = 0
    for tag in _FIRST_TAG.finditer(text):
        if SUNG.search(text, start, tag.start()):
            songs.append(text[start : tag.start()])
            start = tag.start()
    return [*songs, text[start:]]


def _read(song: str, account: Account) -> Iterator[Opening | str]:
    """Yield one song, if it has any line that is sung."""
    told: dict[str, str] = {}
    times, texts = [], []
    before: list[str] = []  # lines before the first that has a time
    breaks: list[int] = []  # the lines after which there is an empty one
    for time, text in _LINE.findall(song.rstrip("\n")):
        if time:
            times.append(time)
            texts.append(text.rstrip())
        elif not text or text.isspace():
            breaks.append(len(texts) - 1)
        elif tag := _TAG.fullmatch(text.strip()):
            called = tag[1].lower()
            account.leave_out("tag", int(called in told or called not in _KEPT))
            told.setdefault(called, tag[2].strip())
        elif texts:  # a line that was broken: it goes where its beginning goes
            texts[-1] += "\n" + text.rstrip()
        else:
            before.append(text.rstrip())
    if 2 * len(breaks) < len(texts):  # else they are not between stanzas but between lines
        for place in breaks:
            if place >= 0:
                texts[place] += "\n"
    sung = "\n".join([*before, *_in_order(times, texts, account)])
    text = re.sub("\n{3,}", "\n\n", sung).strip("\n")
    if text:
        kept = {_KEPT[tag]: account.whole(told[tag]) for tag in _KEPT if told.get(tag)}
        yield Opening(kept.pop("title", None), kept)
        yield account.whole(text) + "\n"
    elif times:
        account.leave_out("song without words")


def _in_order(times: list[str], texts: list[str], account: Account) -> list[str]:
    """Return the lines in the order in which they are sung."""
    stamps = "".join(times).count("[")
    account.leave_out("timestamp", stamps)
    keys: Sequence[str | int] = times
    plain = stamps == len(times) and _alike(times)
    if not plain or "[" in (joined := "".join(texts)) or "<" in joined:
        keys, texts = _told_apart(times, texts, account)
    if all(map(lt, keys, islice(keys, 1, None))):
        return texts
    ordered = sorted(zip(keys, range(len(texts)), texts, strict=True))
    lines = []
    for _, together in groupby(ordered, key=lambda line: line[0]):
        alike = [text for _, _, text in together]
        spoken = [text for text in alike if text.strip()]
        if 1 < len(spoken) <= _MOST_TRANSLATED:
            account.leave_out("translation", len(spoken) - 1)
            spoken = spoken[:1]
        lines += spoken or alike[:1]
    return lines


def _alike(times: list[str]) -> bool:
    """Whether times can be compared as they are written, having as many digits and points."""
    return len(set(map(len, times))) <= 1 and "".join(times).count(".") in (0, len(times))


def _told_apart(
    times: list[str], texts: list[str], account: Account
) -> tuple[list[int], list[str]]:
    """Return the time and the text of every line as often as it is sung, without times inside."""
    keys, lines = [], []
    for time, text in zip(times, texts, strict=True):
        sung = [_milliseconds(stamp) for stamp in _STAMP.findall(time)]
        if "[" in text or "<" in text:
            bare, number = _WORD.subn("", text)
            if number:
                account.leave_out("timestamp", number)
                if _STAMP.search(text):  # then those before the line are of its words as well
                    del sung[1:]
                text = "\n".join(" ".join(line.split()) for line in bare.split("\n"))
        keys += sung
        lines += [text] * len(sung)
    return keys, lines


def _milliseconds(stamp: str) -> int:
    minutes, seconds, *rest = stamp.replace(".", ":").split(":")
    if len(rest) == 2:  # hours come first
        minutes, seconds, rest = str(60 * int(minutes) + int(seconds)), rest[0], rest[1:]
    fraction = int(rest[0].ljust(3, "0")) if rest else 0
    return (60 * int(minutes) + int(seconds)) * 1000 + fraction
