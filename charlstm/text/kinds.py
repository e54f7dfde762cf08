"""What a file looks like that is no text, or text that is written for machines and not for people.

Such files are refused with their right names. The forms that songs come in are told apart in
`charlstm.text.formats.which`.
"""

import re

# The first bytes of what is no text; what they stand for.
_MAGIC = (
    (b"%PDF-", "a PDF"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF87a", "a picture (GIF)"),
    (b"GIF89a", "a picture (GIF)"),
    (b"II*\0", "a picture (TIFF)"),
    (b"MM\0*", "a picture (TIFF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an older Office (.doc, .xls)"),
    (b"\x1f\x8b\x08", "compressed (gzip), more than once"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (b"Rar!\x1a\x07", "an archive (RAR)"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"OggS", "sound (Ogg)"),
    (b"fLaC", "sound (FLAC)"),
    (b"ID3", "sound (MP3)"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
)
_WORD = "a Word document (.docx)"
# What a zip file is whose first members have such names.
_PACKED = (
    (b"mimetypeapplication/epub+zip", "an e-book (ePub)"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "a document of LibreOffice (.odt)"),
    (b"word/", _WORD),
    (b"xl/", "an Excel table (.xlsx)"),
    (b"ppt/", "a PowerPoint presentation (.pptx)"),
)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:]*(\s[^<>]*)?/?>")
_FEWEST_TAGS = 8


def is_word(data: bytes) -> bool:
    """Return whether the beginning of a file is a Word document's."""
    return data.startswith(b"PK\x03\x04") and binary_kind(data) == _WORD


def binary_kind(data: bytes) -> str | None:
    """Return what the beginning of a file is if it is no text: ``"a PDF"``; else ``None``."""
    if data.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _PACKED if mark in data), "an archive (zip)")
    if data.startswith(b"RIFF") and data[8:12] in (b"WAVE", b"WEBP", b"AVI "):
        return "sound (WAV)" if data[8:12] == b"WAVE" else "a picture or film (RIFF)"
    if data[4:12] in (b"ftypisom", b"ftypmp42", b"ftypM4A ", b"ftypheic", b"ftypqt  "):
        return "a film, sound or picture (MP4)"
    return next((kind for mark, kind in _MAGIC if data.startswith(mark)), None)


def marked_up(lines: list[str]) -> str | None:
    """Return what a text is that begins as what machines read does; ``None`` for others."""
    first = lines[0].lstrip("\ufeff \t")
    lowered = first.casefold()
    if first.startswith("{\\rtf"):
        return "RTF"
    if lowered.startswith(("<!doctype html", "<html")):
        return "HTML"
    if lowered.startswith("<?xml"):
        return "XML"
    if lowered.startswith("[script info]"):
        return "subtitles of another kind (ASS)"
    return None


def is_tagged(lines: list[str]) -> bool:
    """Return whether lines are a part of HTML or XML; a poem that mentions ``<b>`` is none."""
    tags = sum(1 for line in lines for _ in _TAG.finditer(line))
    return tags >= _FEWEST_TAGS and tags >= len(lines) / 2
