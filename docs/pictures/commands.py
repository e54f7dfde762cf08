"""The pictures of what the commands show and write."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops

from charlstm.runs.directory import RunDirectory
from charlstm.text.songs import END
from docs.pictures.browser import chromium, png
from docs.pictures.desk import draw_desk, draw_desk_dark, draw_watching
from docs.pictures.inside import draw_inside
from docs.pictures.lengths import draw_lengths
from docs.pictures.onepage import draw_page
from docs.pictures.terminal import Row, shell, text_of
from docs.pictures.window import draw_window

_HOME = Path(__file__).parents[2]
_LYRICS = _HOME / "data" / "lyrics_zh.txt"
_ENGLISH = _HOME / "data" / "lyrics_en.txt"
_COLUMNS = 100
# Chosen for what the model says with them.
_SONG_SEED, _WRITE_SEED, _FIRST_LINE, _TAKEN = 19, 8, "我在窗口等你", "1"
# The picture of a training is taken after this epoch; of the others, these are left out.
_EPOCH, _LEFT_OUT = 26, (*range(3, 12), *range(15, 24))
# How many songs are written to see how long they are.
_WRITTEN = 200
_COMPARED = "--cells lstm,gru,rnn --epochs 8"
# Of the page, in its own pixels, each of which is two of the picture's.
_PAGE_WIDTH, _PAGE_MARGIN, _PAGE_COLORS = 540, 24, 128


class Workshop:
    """A directory with the lyrics in it, in which the commands run.

    Args:
        where: the directory; a run that lies there is used again.
    """

    def __init__(self, where: Path) -> None:
        self._where = _furnished(where)
        self._run = where / "checkpoints" / _LYRICS.stem

    def train(self) -> bytes:
        """Draw a training in its middle, its end, and a song."""
        shutil.rmtree(self._run, ignore_errors=True)
        with shell(self._where, columns=_COLUMNS, rows=100) as window:
            window.type("charlstm train data/lyrics_zh.txt --prefix 分开\n")
            training = window.wait(lambda lines: _epoch(lines) == _EPOCH and "% ·" in lines[-1])
            trained = window.wait(lambda lines: lines[-1] == "$")
            end = next(n for n, row in enumerate(trained) if text_of(row).startswith("done:"))
            song = window.run(f"charlstm generate --prefix 分开 --lines 4 --seed {_SONG_SEED}")
        parts = (_shortened(training), [*trained[end:-1], *song])
        return draw_window("charlstm train, then charlstm generate", _COLUMNS, parts).encode()

    def write(self) -> bytes:
        """Draw a song that is written together: a line of one's own, one taken, the next ones."""
        self._without_drafts()  # or it would ask whether to go on with it
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            command = f"charlstm write --rhyme AABA --line-length 6-9 --seed {_WRITE_SEED}"
            for typed in (command, _FIRST_LINE, _TAKEN):
                window.run(typed, prompt="›")
            return draw_window("charlstm write", _COLUMNS, [window.rows()]).encode()

    def curve(self) -> bytes:
        """Return the run's own curve."""
        self._trained()
        return (self._run / "curve.svg").read_bytes()

    def compare(self) -> bytes:
        """Return the curves of three cells on the same text."""
        # Elsewhere, because the other commands take the newest run.
        where = self._where / "comparison"
        shutil.rmtree(where, ignore_errors=True)
        with shell(_furnished(where), columns=_COLUMNS, rows=60) as window:
            window.run(f"charlstm compare data/lyrics_zh.txt {_COMPARED} --name cells")
        return (where / "checkpoints" / "cells" / "compare.svg").read_bytes()

    def tune(self) -> bytes:
        """Return the chart of a search, which takes half an hour."""
        chart = self._where / "checkpoints" / f"{_LYRICS.stem}-tune" / "tune.svg"
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            window.run("charlstm tune data/lyrics_zh.txt")
        return chart.read_bytes()

    def surprisal(self) -> bytes:
        """Photograph the page on which a song that was held out is coloured by its surprise."""
        self._trained()
        held_out = (self._run / "heldout.txt").read_text(encoding="utf-8")
        # Songs begin with their titles. Two stanzas are enough; the ranking has them once more.
        song = held_out[held_out.index("《") :]
        start = "\n\n".join(song.split("\n\n")[:3])
        (self._where / "song.txt").write_text(f"{start}\n", encoding="utf-8")
        page = self._where / "page.html"
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            window.run(f"charlstm eval perplexity song.txt --html {page.name}")
        return _photograph(page)

    def lengths(self) -> bytes:
        """Draw how long songs are that the run learned and that it writes."""
        self._trained()
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            window.run(f"charlstm generate --songs {_WRITTEN} --seed 0 --out songs --force")
        written = [path.read_text(encoding="utf-8") for path in (self._where / "songs").iterdir()]
        run = RunDirectory(self._run)
        learned = (run.read_index(run.read_info()) or "").split(END)[1:]
        many = {"songs learned": learned, "songs written": written}
        lengths = {f"{len(of)} {what}": list(map(len, of)) for what, of in many.items()}
        return draw_lengths(lengths).encode()

    def onepage(self) -> bytes:
        """Photograph the run as a page of its own."""
        self._trained()
        page = self._where / "song.html"
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            window.run(f"charlstm runs export {self._run.name} {page.name}")
        return draw_page(page)

    def inside(self) -> bytes:
        """Photograph the inside of a model of the English lyrics."""
        page = self._page_of("lyrics_en", [str(_ENGLISH)])
        return draw_inside(page, "place in the line", "a swing door,")

    def inside_code(self) -> bytes:
        """Photograph the inside of a model of this package's own source: it has many brackets."""
        source = [str(_HOME / "charlstm" / "**" / "*.py"), "--minutes", "4"]
        return draw_inside(self._page_of("code", source), "inside brackets", "(self")

    def _page_of(self, name: str, corpus: list[str]) -> Path:
        """Return the page of a model that learns from a corpus, unless it has."""
        page = self._where / f"{name}.html"
        with shell(self._where, columns=_COLUMNS, rows=60) as window:
            if not (self._where / "checkpoints" / name / "curve.svg").exists():
                window.run(shlex.join(["charlstm", "train", *corpus, "--name", name]))
            window.run(f"charlstm inspect --run {name} --html {page.name}")
        return page

    def desk(self) -> bytes:
        """Photograph the desk with a song on it."""
        self._without_drafts()
        return draw_desk(self._where, _LYRICS.stem)

    def desk_dark(self) -> bytes:
        """Photograph it in the dark."""
        self._without_drafts()
        return draw_desk_dark(self._where, _LYRICS.stem)

    def watch(self) -> bytes:
        """Photograph a model that learns."""
        where = self._where / "watching"
        shutil.rmtree(where, ignore_errors=True)
        return draw_watching(_furnished(where), where / "data" / _LYRICS.name)

    def _without_drafts(self) -> None:
        self._trained()
        for draft in self._run.glob("draft*"):
            draft.unlink()

    def _trained(self) -> None:
        if not (self._run / "curve.svg").exists():
            self.train()


def _furnished(where: Path) -> Path:
    """Put the lyrics into a directory, and return it."""
    (where / "data").mkdir(parents=True, exist_ok=True)
    shutil.copy(_LYRICS, where / "data")
    return where


def _epoch(lines: Sequence[str]) -> int:
    """Return the last epoch that a training's lines tell the figures of."""
    told = [found[1] for line in lines if (found := re.match(r" +(\d+) +[\d.]+ ", line))]
    return int(told[-1]) if told else 0


def _shortened(rows: Sequence[Row]) -> list[Row | None]:
    """Leave out most epochs, with ``None`` in their place."""
    kept: list[Row | None] = []
    for row in rows:
        if _epoch([text_of(row)]) not in _LEFT_OUT:
            kept.append(row)
        elif kept[-1] is not None:
            kept.append(None)
    return kept


def _photograph(page: Path) -> bytes:
    """Return a PNG of a page as a browser shows it, without the empty part below it."""
    photograph = page.with_suffix(".png")
    subprocess.run(
        [
            chromium(),
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=zh-CN"),
            f"--window-size={_PAGE_WIDTH},3000",
            "--force-device-scale-factor=2",
            f"--screenshot={photograph}",
            page.as_uri(),
        ],
        env={**os.environ, "LANG": "zh_CN.UTF-8"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(photograph) as opened:
        image = opened.convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((0, 0)))
    box = ImageChops.difference(image, ground).getbbox()
    assert box is not None, "the page is empty"
    image = image.crop((0, 0, image.width, min(image.height, box[3] + 2 * _PAGE_MARGIN)))
    return png(image, _PAGE_COLORS)
