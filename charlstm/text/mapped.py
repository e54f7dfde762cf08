"""Corpora that are too long for memory: their ids in a mapped file beside the runs.

A file is named after the bytes that were read and the form that the text was brought into, so that
whoever trains on the same text again finds it, and a text that was changed has another. Beside it
is what else is known of the text, written last: without that the file does not count. Both have
checksums, and are made anew if they are damaged. Both can be deleted at any time.
"""

import contextlib
import hashlib
import json
import mmap
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from charlstm.errors import CorpusError, RunError
from charlstm.files import opened, read_bytes, write_whole
from charlstm.text.corpus import Alphabet, Corpus, IdArray, TextOptions, narrowest
from charlstm.text.earlier import Earlier
from charlstm.text.formats.account import Account
from charlstm.text.labels import FOLDER, Labels
from charlstm.text.locations import Place
from charlstm.text.reading import Encodings, OnRead, Reading, Told, held_in_memory

DIRECTORY = ".charlstm-cache"
"""What the directory for the files is called, beside the runs."""

LONGEST_IN_MEMORY = 1 << 26
"""A corpus of more bytes than this is kept in a file while it is learned from."""

# The version of what is kept: a file of another one is not found.
_FORMAT = 5
# This much of a file is read at once.
_PIECE = 1 << 24


def open_corpus(
    places: Sequence[Place],
    *,
    cache: Path,
    options: TextOptions,
    encoding: Told | Encodings = None,
    earlier: Earlier | None = None,
    stdin: BinaryIO | None = None,
    on_read: OnRead | None = None,
) -> Corpus:
    """Read places as one text, into memory or, if it is long, into a file.

    Args:
        places: see `charlstm.text.locations.Locations`.
        cache: the directory for the files.
        options: the form of the text.
        encoding: see `charlstm.text.reading.Reading`.
        earlier: see there.
        stdin: where ``-`` reads.
        on_read: called now and then with the bytes read and the bytes in all.

    Raises:
        CorpusError: the text cannot be read, or its ids cannot be written.
        RunError: what is known of them cannot be written.
    """
    with Reading(
        places,
        options=options,
        encoding=encoding,
        earlier=earlier,
        stdin=stdin,
        on_read=on_read,
    ) as reading:
        if reading.bytes <= LONGEST_IN_MEMORY:
            return held_in_memory(reading)
        described = cache / f"{_key(reading)}.json"
        before = cache / f"{_key_before(reading)}.json"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / ".lock"):
                known = _open(described, reading) or _open_as_before(before, reading)
                return known or _make(described, reading)
        except (OSError, NotImplementedError) as error:  # not every file system has locks
            reason = getattr(error, "strerror", None) or str(error)
            raise CorpusError(
                f"The ids of the text cannot be kept in {cache}: {reason}. They take two or "
                "four bytes a character."
            ) from None


def _key(reading: Reading) -> str:
    return _key_of(reading, reading.options, reading.earlier.parted)


def _key_before(reading: Reading) -> str:
    """Return the key that a text had when it was first read, and nobody knew what parts songs."""
    asked = reading.earlier.asked or reading.options.songs
    return _key_of(reading, replace(reading.options, songs=asked), None)


def _key_of(reading: Reading, options: TextOptions, parted: str | None) -> str:
    encodings = [found.encoding for found in reading.found]
    formats = [asdict(form) for form in reading.formats]
    form = [asdict(options), reading.earlier.apart, parted]
    # The folders are part of the text only where songs are labelled with them.
    folders = reading.folders if FOLDER in reading.options.labels else []
    labels = [reading.earlier.labels.to_json(), folders]
    known = [_FORMAT, reading.hashes, encodings, formats, form, labels]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _make(described: Path, reading: Reading) -> Corpus:
    """Go through a reading and keep its ids in a file."""
    for left_behind in described.parent.glob("*.part"):  # by a process that was killed
        left_behind.unlink()
    kept, beside = described.with_suffix(".ids"), described.with_suffix(".part")
    alphabet = Alphabet()
    try:
        width, checksum = _write(beside, reading, alphabet)
        beside.replace(kept)
        value = {
            "width": width,
            "characters": reading.characters,
            "accounts": [account.to_json() for account in reading.accounts],
            "crc32": checksum,
            "sha256": reading.sha256,
            "parted": reading.parted,
            "alphabet": alphabet.characters,
            "changed": reading.changed,
            "labels": reading.labels.to_json(),
        }
        write_whole(described, json.dumps([value, _crc32(value)]).encode())
        ids, mapped = _map(kept, width)
    except BaseException:
        for path in (beside, kept):  # the disk may be full of it
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    sources = reading.sources(reading.characters, reading.accounts)
    form = (reading.options, reading.sha256, mapped, reading.parted, reading.changed)
    return Corpus(ids, alphabet, sources, *form, reading.labels)


def _open_as_before(described: Path, reading: Reading) -> Corpus | None:
    """Return the corpus that was made when a text was first read, if it is what is to come again.

    So the other workers of a training map the file of the one that leads, and a resume that of the
    training.
    """
    corpus = _open(described, reading) if reading.earlier.asked is not None else None
    if corpus is None:
        return None
    parted = None if corpus.songs is None else corpus.songs.parted
    return corpus if parted == reading.earlier.parted else None


def _open(described: Path, reading: Reading) -> Corpus | None:
    """Return the corpus in a file; ``None`` if there is none, or it is damaged."""
    try:
        value, checksum = json.loads(read_bytes(described))
        if checksum != _crc32(value):
            return None
        ids, mapped = _map(described.with_suffix(".ids"), value["width"])
        alphabet = Alphabet(value["alphabet"])
        accounts = [Account.from_json(account) for account in value["accounts"]]
        sources = reading.sources(value["characters"], accounts)
        changed = {chr(ord(character)): int(many) for character, many in value["changed"].items()}
        form = (reading.options, value["sha256"], mapped, value["parted"], changed)
        corpus = Corpus(ids, alphabet, sources, *form, Labels.from_json(value["labels"]))
        sound = value["crc32"] == _checksum(corpus)
    except (RunError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return corpus if sound else None


def _crc32(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _write(path: Path, reading: Reading, alphabet: Alphabet) -> tuple[str, int]:
    """Write the ids of a text; return the name of their type, and the checksum of the file."""
    # A text of more than 65,536 different characters, which is rare, is begun anew when noticed.
    for width in (np.dtype("<u2"), np.dtype("<u4")):
        checksum = 0
        with path.open("wb") as file:
            for ids in reading.ids(alphabet):
                if narrowest(len(alphabet)).itemsize > width.itemsize:
                    break
                data = ids.astype(width).tobytes()
                checksum = zlib.crc32(data, checksum)
                file.write(data)
            else:
                break
    return width.str, checksum


def _map(path: Path, width: str) -> tuple[IdArray, mmap.mmap]:
    with opened(path) as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, {"<u2": "<u2", "<u4": "<u4"}[width]), mapped


def _checksum(corpus: Corpus) -> int:
    """Return the checksum of a corpus's ids, or -1 if one of them is no character's."""
    checksum = 0
    for at in range(0, len(corpus), _PIECE):
        piece = corpus.ids[at : at + _PIECE]
        if int(piece.max()) >= len(corpus.alphabet):
            return -1
        checksum = zlib.crc32(piece.data, checksum)
        corpus.release()
    return checksum
