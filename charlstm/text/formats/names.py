"""What people call the columns and fields that a song's text and its title stand in."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from charlstm.text.formats.account import Account
from charlstm.text.songs import Opening

# The likeliest first: a table with lyrics and a text has the words in the lyrics.
_TEXTS = (
    *("lyrics", "lyric", "song lyrics", "lyrics text", "歌词", "歌詞", "가사", "letra", "letras"),
    *("paroles", "songtext", "liedtext", "testo", "текст песни", "text", "body", "content"),
    *("contents", "paragraphs", "lines", "verses", "stanzas", "poem", "words", "内容", "內容"),
    *("正文", "文本", "诗", "詩", "texto", "texte", "текст", "본문"),
)
_TITLES = (
    *("title", "song title", "song name", "track name", "track title", "song", "track", "标题"),
    *("標題", "题目", "題目", "歌名", "曲名", "歌曲", "タイトル", "제목", "titre", "título"),
    *("titulo", "titolo", "titel", "название", "name", "headline", "rhythmic"),
)
# A longer value tells a story of its own, and is no mark of a song.
_LONGEST_FIELD = 200
# Of so many columns the names are told.
_SHOWN, _LONGEST_SHOWN = 12, 40


def plainly(name: str) -> str:
    """Return a name as it is compared: in small letters, with spaces between its words."""
    return " ".join(name.strip("\ufeff \t").replace("_", " ").replace("-", " ").casefold().split())


@lru_cache(maxsize=64)
def texts_among(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those names that mean a song's text, the likeliest first."""
    return _ordered(names, _TEXTS)


@lru_cache(maxsize=64)
def titles_among(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those names that mean a song's title, the likeliest first."""
    return _ordered(names, _TITLES)


def _ordered(names: tuple[str, ...], meant: tuple[str, ...]) -> tuple[str, ...]:
    plain = [(plainly(name), name) for name in names]
    return tuple(name for word in meant for plainer, name in plain if plainer == word)


def opening(told: Mapping[str, object], account: Account) -> Opening:
    """Return how a song opens of which this is told besides its text.

    Args:
        told: by name; what is long or no string is left out and counted.
        account: of the file.
    """
    fields = {}
    for name, value in told.items():
        if value is None or value == "":
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > _LONGEST_FIELD or "\n" in value.strip():
            account.leave_out("field")
        elif short := value.strip():
            fields[name] = account.whole(short)
    titles = titles_among(tuple(fields))
    title = fields.pop(titles[0]) if titles else None
    return Opening(title, {account.whole(plainly(name)): fields[name] for name in fields})


def listed(names: Iterable[str]) -> str:
    """Return names as an error lists them."""
    told = [name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…" for name in names]
    more = f" and {len(told) - _SHOWN:,} more" if len(told) > _SHOWN else ""
    return ", ".join(" ".join(name.split()) or "(no name)" for name in told[:_SHOWN]) + more
