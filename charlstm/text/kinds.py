"""What a file looks like that is no plain text: a document, a picture, or text with a form.

What is no text at all is refused with its right name. What is text, but also holds times, tags or
columns, is learned all the same, and a note says what it looks like: nobody but its owner knows
whether that is what should be learned.
"""

import csv
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
    (b"\x1f\x8b\x08", "compressed (gzip); its name should end in .gz"),
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
# What a zip file is whose first members have such names.
_PACKED = (
    (b"mimetypeapplication/epub+zip", "an e-book (ePub)"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "a document of LibreOffice (.odt)"),
    (b"word/", "a Word document (.docx)"),
    (b"xl/", "an Excel table (.xlsx)"),
    (b"ppt/", "a PowerPoint presentation (.pptx)"),
)
# Of a text this many lines are looked at.
_LINES = 400
_FEWEST_ROWS = 5

_TIMES = re.compile(r"\s*(\d+:)?\d\d:\d\d[,.]\d{3}\s+-->\s+(\d+:)?\d\d:\d\d[,.]\d{3}")
_SUNG = re.compile(r"\s*\[(\d+:\d\d([.:]\d+)?|(ti|ar|al|by|offset|length|re|ve):.*)\]")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:]*(\s[^<>]*)?/?>")
_FIELD = re.compile(r'"[^"\n]*"\s*:\s*(["\[{\d-]|true|false|null)')


def binary_kind(data: bytes) -> str | None:
    """Return what the beginning of a file is if it is no text: ``"a PDF"``; else ``None``."""
    if data.startswith(b"PK\x03\x04"):
        return next((kind for mark, kind in _PACKED if mark in data), "an archive (zip)")
    if data.startswith(b"RIFF") and data[8:12] in (b"WAVE", b"WEBP", b"AVI "):
        return "sound (WAV)" if data[8:12] == b"WAVE" else "a picture or film (RIFF)"
    if data[4:12] in (b"ftypisom", b"ftypmp42", b"ftypM4A ", b"ftypheic", b"ftypqt  "):
        return "a film, sound or picture (MP4)"
    return next((kind for mark, kind in _MAGIC if data.startswith(mark)), None)


def text_kind(text: str) -> tuple[str, str] | None:
    """Return what the beginning of a text looks like, and what else than words it holds.

    ``None`` for plain text: a poem that mentions ``<b>`` or has commas is one.
    """
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()][:_LINES]
    if not lines:
        return None
    first = lines[0].lstrip("\ufeff \t")
    lowered = first.casefold()
    timed = sum(1 for line in lines if _TIMES.match(line))
    if lowered.startswith("webvtt") and timed:
        return "WebVTT subtitles", "times"
    if timed >= 2 and timed >= len(lines) / 8:
        return "SRT subtitles", "numbers and times"
    if sum(1 for line in lines if _SUNG.match(line)) > len(lines) / 2:
        return "LRC lyrics", "times"
    if first.startswith("{\\rtf"):
        return "RTF", "commands"
    if lowered.startswith(("<!doctype html", "<html")):
        return "HTML", "tags"
    if lowered.startswith("<?xml"):
        return "XML", "tags"
    tags = sum(1 for line in lines for _ in _TAG.finditer(line))
    if tags >= 8 and tags >= len(lines) / 2:
        return "HTML or XML", "tags"
    fields = sum(1 for line in lines for _ in _FIELD.finditer(line))
    if first.startswith(("{", "[")) and fields >= 2:
        return "JSON", "names and brackets"
    return _table(lines)


def _table(lines: list[str]) -> tuple[str, str] | None:
    for delimiter, name in (("\t", "TSV"), (",", "CSV"), (";", "CSV")):
        try:
            rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter))
        except csv.Error:
            continue
        if len(lines) == _LINES:
            del rows[-1:]  # it may end after these lines
        columns = len(rows[0]) if rows else 0
        even = sum(1 for row in rows if len(row) == columns)
        # In a sentence a space follows the comma.
        spaced = sum(cell.startswith(" ") for row in rows for cell in row[1:])
        parted = sum(len(row) - 1 for row in rows)
        if (
            columns >= (2 if name == "TSV" else 3)
            and len(rows) >= _FEWEST_ROWS
            and even >= 0.9 * len(rows)
            and spaced <= 0.2 * parted
        ):
            return f"a table ({name})", "columns and separators"
    return None
