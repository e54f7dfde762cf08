"""Texts and files with something wrong in them, taken through everything that reads a corpus.

    python -m tests.faults.fuzz_corpora --cases 10000 --seed 0

Each case makes files, archives, pipes or what is none of them, with text, broken text or no text
inside, and options as odd. They are read, into memory or into a file, learned from, and now and
then a model that has learned something writes and is measured on them. A case is known by the seed
and its number alone, and ``--only NUMBER`` runs it again.
"""

import contextlib
import functools
import gzip
import hashlib
import io
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import unicodedata
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import charlstm.sessions.session
from charlstm.text import locations, mapped
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.reading import read_corpus

from .cases import SECONDS, Outcome, arguments_of, report

Random = random.Random

SONGS = (
    "夜里的街灯还亮着，我一个人走在回家的路上。\n你说过的话，像雨一样落下来。\n",
    "夜裡的街燈還亮著，我一個人走在回家的路上。\r\n你說過的話，像雨一樣落下來。\r\n",
    "Où es-tu, ma belle ? L'été s'en va déjà, là-bas, où la mer rêve.\n",
    "The rain has stopped and nobody is waiting at the station tonight.\n",
    "밤하늘에 별이 빛나고 나는 너를 기다려요.\n우리 함께 걷던 그 길을\n",
    "Дождь прошёл, и никто не ждёт на вокзале.\rСпи, моя радость\r",
    "雨が降る夜に ひとりで歩く\nさくら さくら\n",
    "ฝนตกทั้งคืน ฉันยังรอเธอ\n",
    "बारिश रुक गई है और कोई इंतज़ार नहीं कर रहा\n",
    "😀👩\u200d👩\u200d👧 la la 🇨🇳\U0001f3fd 𠮷\n",
)
CODECS = (
    *("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"),
    *("utf-32-be", "utf-7", "gb18030", "gb18030", "gbk", "hz", "big5", "big5hkscs", "cp1252"),
    *("latin-1", "shift_jis", "euc-jp", "iso2022_jp", "iso2022_kr", "euc-kr", "johab", "koi8-r"),
    *("cp1251", "cp874", "cp037", "mac-roman", "ascii", "unicode_escape"),
)
ODD_ENCODINGS = (
    *("", "-", "utf8 ", "UTF_8", "u8", "utf-9", "hex", "rot13", "base64", "zlib", "bz2", "idna"),
    *("punycode", "undefined", "raw_unicode_escape", "charmap", "mbcs", "oem", "utf\0", "\ud800"),
    *("x" * 10_000, "../utf_8", "aliases", "\n", "a\nerror: b", "\x1b[31m", "分开", "utf_8.decode"),
)
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"+/v8-")
ODD_NAMES = (
    *("two\nlines.txt", "\x1b[2J\x1b]0;title\x07.txt", "\r.txt", "\x9b31m.txt", "tab\t.txt"),
    *("\udcff\udc80.txt", "-.txt", "--resume.txt", "[ab]*?.txt", " .txt", ".txt", ".hidden.txt"),
    *(
        "u\u202e\u2066.txt",
        "\u2028.txt",
        "[bold red].txt",
        "%s{}.txt",
        "an error: x.txt",
        "._mac.txt",
    ),
    *("e\u0301.TXT", "x" * 251 + ".txt", "分" * 80 + ".txt", "run.json", "con.txt", "a.txt.txt"),
)
ODD_PLACES = (
    *(
        "",
        ".",
        "./.",
        "nowhere.txt",
        "a\0b.txt",
        "\ud800.txt",
        "\udcff*",
        "x" * 5_000,
        "x/" * 3_000,
    ),
    *("*", "**", "**/*.txt", "*/**/*", "**/**/*", "[", "[z-a]*", "?" * 300, "*\n*", "a\0*", "[!x]"),
    *("./*/../*", "*/" * 30 + "*", "./-", "two\nlines", "\x1b[31m*", "[[]", "{a,b}.txt", "~", ".*"),
    *("/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/dev/fd/99", "song.txt/x"),
)


def take(random: Random, count: int) -> int:
    """Return a number below `count`, a small one most often."""
    return min(int(random.expovariate(4 / count)), count - 1)


# What is in a file.


def song(random: Random) -> str:
    """Return some lines."""
    return "".join(random.choices(SONGS, k=random.choice([1, 2, 9, 30])))


def honest(random: Random) -> bytes:
    """Return lines in some encoding, which may lack some of their characters."""
    return song(random).encode(random.choice(CODECS), "ignore")


def noise(random: Random) -> bytes:
    """Return bytes without a meaning."""
    few = bytes(random.sample(range(256), random.choice([2, 9, 256])))
    return bytes(random.choices(few, k=take(random, 4000)))


def broken(random: Random) -> bytes:
    """Return lines in some encoding, of which some bytes are others."""
    data = bytearray(honest(random))
    for _ in range(random.choice([1, 1, 2, 30])):
        at, length = random.randrange(len(data) + 1), random.choice([0, 1, 1, 2, 3, 50])
        odd = [b"", b"\xff", b"\0", b"\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\xed\xa0\x80"]
        odd += [b"\xe5\x88", b"\x1b$B", b"\x84\x31\x95", b"\x81", b"~{", b"\xfe\xff", b"\x1a", b"+"]
        data[at : at + length] = random.choice([*odd, random.randbytes(length)])
    return bytes(data)


def halves(random: Random) -> bytes:
    """Return lines with half characters, in every way in which they can be written."""
    text = list(song(random))
    for _ in range(random.choice([1, 2, 9])):
        text.insert(
            random.randrange(len(text)), chr(random.choice([0xD800, 0xDBFF, 0xDC00, 0xDFFF]))
        )
    codec = random.choice(["utf-8", "utf-16", "utf-16-be", "utf-32", "utf-7", "unicode_escape"])
    data = "".join(text).encode(codec, "surrogatepass")
    if random.random() < 0.3:  # CESU-8: each half of a pair on its own
        units = "😀𠮷 la".encode("utf-16-be")
        values = struct.unpack(f">{len(units) // 2}H", units)
        data += "".join(map(chr, values)).encode("utf-8", "surrogatepass") + b"\xc0\x80"
    return data


def zeros(random: Random) -> bytes:
    """Return lines with NUL bytes, or nothing but them."""
    data = honest(random)
    if random.random() < 0.3:
        return bytes(take(random, 1 << 20))
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes(random.choice([1, 2, 3, 100])) + data[at:]


def marked(random: Random) -> bytes:
    """Return lines with byte order marks in odd places."""
    data = honest(random)
    for _ in range(random.choice([1, 2, 3])):
        at = random.choice([0, 0, 0, 1, 2, len(data), random.randrange(len(data) + 1)])
        data = data[:at] + random.choice(MARKS) + data[at:]
    return data if random.random() < 0.9 else b"".join(random.choices(MARKS, k=2))


def heaps(random: Random) -> bytes:
    """Return marks upon marks, or parts of syllables without end."""
    alphabets = ["\u0301\u0323\u0308", "\u1161\u11a8", "\u09be\u0dcf\u0dd9", "\u0344\u0f73\u3099"]
    alphabet = random.choice([*alphabets, "".join(alphabets) + "e가"])
    many = "".join(random.choices(alphabet, k=random.choice([1, 200, 300, 5000, 100_000])))
    return (song(random) + "e" + many + song(random)).encode(random.choice(["utf-8", "utf-16"]))


def breaks(random: Random) -> bytes:
    """Return line breaks and other signs that are no letters."""
    signs = "\r\n\r\n\t\v\f\x1c\x1d\x1e\x85\u2028\u2029\x1b\x07\x7f\x9b\ufeff\ufffe\u200b\u202e a"
    text = "".join(random.choices(signs, k=take(random, 2000)))
    return text.encode(random.choice(["utf-8", "utf-16", "gb18030"]))


def nothing(random: Random) -> bytes:
    """Return next to nothing."""
    return random.choice(
        [b"", b"\n", b"a", b"\xff", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b" " * 99]
    )


def strange(random: Random) -> bytes:
    """Return characters from anywhere in Unicode."""
    size = random.choice([50, 200, 500, 3000])
    codes = random.sample(range(0x110000), size)
    text = "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)
    return text.encode(random.choice(["utf-8", "utf-16", "utf-32", "gb18030"]))


def endless(random: Random) -> bytes:
    """Return one line of tens of megabytes."""
    unit = random.choice(["la la ", "分开", "é", "e\u0301", "\ufeff", "😀", "\r"]).encode(
        random.choice(["utf-8", "utf-16-le", "gb18030"]), "ignore"
    )
    return unit * (random.choice([4, 10, 20]) * 1_000_000 // max(len(unit), 1))


INSIDE: dict[str, Callable[[Random], bytes]] = {
    kind.__name__: kind
    for kind in (
        *(honest, noise, broken, halves, zeros, marked, heaps, breaks, nothing, strange, endless),
    )
}
WEIGHTS = {"honest": 5, "broken": 5, "endless": 0.05}


# What it is in. Each makes it and returns the names of the places.


@dataclass
class Where:
    """Where a case is made.

    Attributes:
        path: an empty directory, which becomes the working directory.
        random: what decides.
        content: returns the bytes of one more file.
        told: whether an encoding is given.
        stdin: what comes in at standard input.
        later: what is to be done at the end.
    """

    path: Path
    random: Random
    content: Callable[[], bytes]
    told: bool
    stdin: bytes = b""
    later: list[Callable[[], object]] = field(default_factory=list)

    def name(self) -> str:
        """Return the name of a file, an odd one now and then."""
        if self.random.random() < 0.3:
            return self.random.choice(ODD_NAMES)
        return f"{self.random.choice('abc')}.{self.random.choice(['txt', 'txt', 'TXT', 'md'])}"

    def put(self, name: str, data: bytes | None = None) -> str:
        """Write a file and return its name."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            path.write_bytes(self.content() if data is None else data)
        return name


def files(where: Where) -> list[str]:
    """One file or a few."""
    return [where.put(where.name()) for _ in range(where.random.choice([1, 1, 1, 2, 4]))]


def tree(where: Where) -> list[str]:
    """A directory with all kinds of things in it."""
    below = ["d", *(f"d/{'e' * depth}/{depth}" for depth in range(3)), "d/.hidden", "d/x.txt"]
    for place in below:
        (where.path / place).mkdir(parents=True, exist_ok=True)
        for _ in range(where.random.choice([0, 1, 2])):
            where.put(f"{place}/{where.name()}")
        if where.random.random() < 0.3:
            targets = ["..", ".", "self.txt", "nowhere", "/dev/zero", "../..", "../d/a.txt"]
            for link in ("up", "self.txt"):
                with contextlib.suppress(FileExistsError):
                    (where.path / place / link).symlink_to(where.random.choice(targets))
    return [where.random.choice(["d", "d/", ".", "./d/..", "d/*", "d/**/*.txt", "**/*", "d/**"])]


def patterns(where: Where) -> list[str]:
    """Patterns and names of what is not there."""
    for name in ("song.txt", where.name(), "sub/a.txt", "sub/" + where.name()):
        where.put(name)
    return [where.random.choice(ODD_PLACES) for _ in range(where.random.choice([1, 1, 2]))]


def deep(where: Where) -> list[str]:
    """Directories in directories."""
    depth = where.random.choice([50, 400, 950, 1100])
    path = where.path.joinpath(*"d" * depth)
    for start in range(0, depth, 200):  # made piece by piece, as pathlib itself is recursive
        where.path.joinpath(*"d" * min(start + 200, depth)).mkdir(parents=True)
    (path / "a.txt").write_bytes(where.content())
    return [where.random.choice([".", "d", "**/*.txt", "**/d/**/a.txt", str(path / "a.txt")])]


def squeezed(where: Where) -> list[str]:
    """A .gz file, perhaps a damaged one."""
    data = b"".join(
        gzip.compress(where.content(), 1) for _ in range(where.random.choice([1, 1, 2]))
    )
    return [where.put("a.txt.gz", damaged(where.random, data))]


def archive(where: Where) -> list[str]:
    """A .zip archive, perhaps a damaged one."""
    random, stream = where.random, io.BytesIO()
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
    with zipfile.ZipFile(stream, "w", random.choice(kinds)) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        for _ in range(random.choice([0, 1, 1, 2, 5])):
            name = random.choice(["", "", "sub/", "../", "/", "__MACOSX/"]) + where.name()
            opened.writestr(name.encode("utf-8", "replace").decode(), where.content())
        for member in opened.filelist:
            if random.random() < 0.15:
                value = random.choice([0, 1, 9, 97, 1000, 1 << 31, (1 << 32) - 2])
                name = random.choice(["file_size", "compress_size", "CRC", "header_offset"])
                setattr(member, name, value)
            if random.random() < 0.1:
                member.flag_bits |= random.choice([1, 8, 0x20, 0x40, 0x800])
    return [where.put("a.zip", damaged(random, stream.getvalue()))]


def bomb(where: Where) -> list[str]:
    """A small file that unpacks into a large one."""
    random = where.random
    letters = random.choice([b"a", b"\n", b"\0", b"\xe5\x88\x86"]) * (1 << 20)
    packer = zlib.compressobj(1, wbits=random.choice([31, -15]))
    head = packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH)
    count = random.choice([10, 100, 1000])
    data = head + piece * (count - 1) + packer.flush()
    if data.startswith(b"\x1f\x8b"):
        return [where.put("bomb.gz", data)]
    size = random.choice([count * len(letters), 10, 50_000_000])
    with zipfile.ZipFile(where.path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("0.txt", b"")
        (entry,) = opened.filelist
        assert opened.fp is not None
        opened.fp.seek(entry.header_offset)
        entry.compress_size, entry.file_size = len(data), size
        opened.fp.write(entry.FileHeader() + data)
        opened.start_dir = opened.fp.tell()
        opened.filelist *= random.choice([1, 1, 50, 5000])
    return ["bomb.zip"]


def pipe(where: Where) -> list[str]:
    """A pipe into which somebody writes, or nobody."""
    path = where.path / where.random.choice(["pipe", "pipe.gz", "pipe.zip", where.name()])
    os.mkfifo(path)
    if where.random.random() < 0.7:
        # Opened for both, so that it does not wait for a reader; what it holds is not much.
        writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            os.write(writer, where.content()[:60_000])
        timer = threading.Timer(0.03, os.close, (writer,))
        timer.start()
        where.later.append(timer.join)
    return [path.name]


def standard_input(where: Where) -> list[str]:
    """What comes in at standard input, with or without a file beside it."""
    where.stdin = where.content()
    return where.random.choice(
        [["-"], ["-", where.put("a.txt")], [where.put("a.txt"), "-"], ["-", "-"]]
    )


def none(where: Where) -> list[str]:
    """What is no file."""
    random, path = where.random, where.path / "a.txt"
    does = random.randrange(5)
    if does == 0:
        path.symlink_to(
            random.choice(["a.txt", "nowhere", "/dev/zero", "/dev/full", "/proc/self/mem"])
        )
    elif does == 1:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("a.txt")  # by its short name: the working directory is this one
    elif does == 2:
        path.mkdir()
        where.put("a.txt/b.txt")
    elif does == 3:
        path.write_bytes(b"")
        # A hole; where the encoding is told zeros are text, and there is much to read.
        os.truncate(path, 1 << (20 if where.told else 40))
    else:
        path.mkdir()
    return [random.choice(["a.txt", "*.txt", ".", "./a.txt", "**/*"])]


def damaged(random: Random, data: bytes) -> bytes:
    """Return data, some of it lost or changed half of the time."""
    does = random.randrange(8)
    if does == 0:
        return data[: random.randrange(len(data) + 1)]
    if does == 1:
        return data + random.randbytes(random.choice([1, 20, 400]))
    if does == 2:
        return random.choice(
            [b"", b"PK", b"PK\x05\x06", b"\x1f\x8b", b"\x1f\x8b\x08\xff", b"PK\x05\x06" + bytes(18)]
        )
    if does == 3:
        changed = bytearray(data)
        for _ in range(random.choice([1, 3, 20])):
            if changed:
                changed[random.randrange(len(changed))] = random.randrange(256)
        return bytes(changed)
    return data


Container = Callable[[Where], list[str]]
AROUND: dict[str, tuple[Container, float]] = {
    kind.__name__: (kind, weight)
    for kind, weight in (
        *((files, 10), (tree, 2), (patterns, 2), (deep, 0.1), (squeezed, 2), (archive, 3)),
        *((bomb, 0.5), (pipe, 0.5), (standard_input, 1), (none, 0.5)),
    )
}


# What is done with it.


@dataclass(frozen=True)
class Wishes:
    """The options of a case."""

    encoding: str | None
    newline: str | None
    normalize: bool
    limit: int | None
    min_count: int | None
    validation: float | None
    cached: bool
    piece: int | None

    @classmethod
    def draw(cls, random: Random) -> "Wishes":
        """Choose; most often nothing special."""

        def sometimes(share: float, *values: Any) -> Any:
            return random.choice(values) if random.random() < share else None

        return cls(
            encoding=sometimes(0.15, *CODECS) or sometimes(0.08, *ODD_ENCODINGS),
            newline=sometimes(0.2, "keep", "space"),
            normalize=random.random() < 0.8,
            limit=sometimes(0.2, 1, 2, 99, 150, 1000, 1 << 40, 1 << 70),
            min_count=sometimes(0.2, 1, 2, 3, 1 << 40),
            validation=sometimes(0.3, 0.0, 0.5, 0.1, 0.99, 1.0, -1.0, float("nan"), 1e-300),
            cached=random.random() < 0.4,
            piece=sometimes(0.2, 1, 2, 3, 7, 100),
        )

    @property
    def text(self) -> TextOptions:
        """The form of the text."""
        return TextOptions(self.normalize, self.newline or "keep", self.limit)

    @property
    def arguments(self) -> Iterator[str]:
        """The same for the command line."""
        for name in ("encoding", "newline", "limit", "min_count", "validation"):
            if (value := getattr(self, name)) is not None:
                yield f"--{name.replace('_', '-')}={value}"
        if not self.normalize:
            yield "--no-normalize"


def sound(read: Corpus, options: TextOptions) -> list[str]:
    """Return what is wrong with a corpus that was read."""
    text = read.text
    checks = {
        "its length": len(read) == len(text) > 0,
        "its hash": read.sha256 == hashlib.sha256(text.encode()).hexdigest(),
        "its counts": len(text) > 1 << 20 or read.counts() == Counter(text),
        "its line breaks": "\r" not in text and (options.newline == "keep" or "\n" not in text),
        "its limit": options.limit is None or len(text) <= options.limit,
        "its names": all(len(source.name.splitlines()) == 1 for source in read.sources),
        # Marks in hundreds stay as they are, and a limit may leave only some of them.
        "its form": not options.normalize
        or options.limit is not None
        or unicodedata.is_normalized("NFC", text)
        or max((len(list(run)) for mark, run in groupby(text, _is_mark) if mark), default=0) > 256,
    }
    return [name for name, right in checks.items() if not right]


def _is_mark(character: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFD", character)[0]) > 0


def try_all(names: list[str], where: Where, wishes: Wishes, outcome: Outcome, large: bool) -> None:
    """Read, learn, write and measure."""

    def read() -> None:
        stdin = io.BytesIO(where.stdin)
        options: dict[str, Any] = {"options": wishes.text, "encoding": wishes.encoding}
        for _ in range(2 if wishes.cached else 1):
            if wishes.cached:
                found = mapped.open_corpus(
                    names, cache=where.path / ".cache", stdin=stdin, **options
                )
            else:
                found = read_corpus(names, stdin=stdin, **options)
            outcome.offences += [f"read: {wrong}" for wrong in sound(found, wishes.text)]
            stdin.seek(0)

    outcome.attempt("read", read)
    train = ["train", "--steps=2", "--hidden=4", "--layers=1", "--embedding=2", "--threads=1"]
    train += ["--batch=2", "--window=4", "--sample-every=0", "--precision=float32", "--name=new"]
    train += ["--backend=torch", *wishes.arguments]
    if large:
        train += ["--no-index", "--limit=100000"]
    learned = outcome.command(*train, "--", *names, stdin=where.stdin)
    if learned and where.random.random() < 0.1:
        outcome.command("generate", "--length=9", "--seed=1")
    if where.random.random() < 0.1 and not large:
        measure = [
            "eval",
            "perplexity",
            "--threads=1",
            f"--run={'checkpoints/new' if learned else 'known'}",
        ]
        if wishes.encoding is not None:
            measure.append(f"--encoding={wishes.encoding}")
        outcome.command(*measure, "--", *names, stdin=where.stdin)


def case(seed: int, known: Path, number: int, root: Path, *, seconds: float = SECONDS) -> Outcome:
    """Make a case and try it.

    Args:
        seed: of all cases.
        known: a model that can be measured on anything.
        number: of this case.
        root: an empty directory.
        seconds: that it may take.
    """
    random = Random(f"{seed}/{number}")
    inside = random.choices(list(INSIDE), [WEIGHTS.get(kind, 1) for kind in INSIDE])[0]
    around = random.choices(list(AROUND), [weight for _, weight in AROUND.values()])[0]
    wishes = Wishes.draw(random)
    large = inside == "endless"
    path = root / "case"
    path.mkdir()
    where = Where(path, random, functools.partial(INSIDE[inside], random), bool(wishes.encoding))
    outcome = Outcome(inside if around in ("files", "standard_input") else around)
    before = mapped.LONGEST_IN_MEMORY, locations.PIECE
    with contextlib.chdir(path):
        names = AROUND[around][0](where)
        Path("known").symlink_to(known)
        if wishes.cached:
            mapped.LONGEST_IN_MEMORY = 0
        if wishes.piece and inside not in ("endless", "heaps") and around not in ("bomb", "none"):
            locations.PIECE = wishes.piece
        try:
            with outcome.limited(seconds):
                try_all(names, where, wishes, outcome, large)
        finally:
            mapped.LONGEST_IN_MEMORY, locations.PIECE = before
            for do in where.later:
                do()
    remove(path)
    return outcome


def remove(path: Path) -> None:
    """Remove a directory, however deep it is."""
    deep = path / "d"
    while (below := deep / "d" / ("d/" * 100)).is_dir():
        shutil.move(below, path / "moved")
        shutil.rmtree(deep)
        (path / "moved").rename(deep)
    shutil.rmtree(path)


def main() -> None:
    """Run cases, print counts and every offender; exit with 1 if there is one."""
    arguments = arguments_of(__doc__)
    # Drawing takes ten times as long as everything else.
    charlstm.sessions.session.draw_curve = lambda *_: b"<svg/>"  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (place / "song.txt").write_text("".join(SONGS), encoding="utf-8")
        known = charlstm.train(
            place / "song.txt", root=place, steps=2, hidden=4, threads=1, backend="torch"
        )
        right = report(functools.partial(case, arguments.seed, known.directory.path), arguments)
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()
