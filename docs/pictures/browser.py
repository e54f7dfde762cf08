"""A browser, driven by Playwright, before a desk that is served from a process of its own."""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox, because this may run as root; and nothing that asks others by itself.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_ENDING_SECONDS = 60
# For what takes a moment, in milliseconds.
_PATIENCE = 60_000


def chromium() -> str:
    """Return where the browser is.

    Raises:
        FileNotFoundError: it is not installed.
    """
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise FileNotFoundError(f"none of these is installed: {', '.join(_BROWSERS)}")
    return browser


@contextmanager
def browsing() -> Iterator["Browser"]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Serving:
    """A server that can be killed and started again at the same address.

    Args:
        where: the directory that it runs in, with the runs in its ``checkpoints``.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        self._port = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "charlstm", "serve", "--no-browser", "--port"]
        log = self._where / "serve.log"
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [*command, str(self._port)],
                cwd=self._where,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # so that what it starts can be ended with it
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address.startswith("http://"), log.read_text(encoding="utf-8")
        self._port = urlsplit(self.address).port or 0

    @property
    def base(self) -> str:
        """The address without the token."""
        return f"http://127.0.0.1:{self._port}/"

    def kill(self) -> None:
        """Kill it and all that it has started, without a word."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._ended()

    def end(self) -> None:
        """End it as a system does that shuts down."""
        self._process.terminate()
        self._ended()

    def _ended(self) -> None:
        self._process.wait(_ENDING_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def opened(file: Path, width: int, height: int, scale: float) -> Iterator["Page"]:
    """Open a page that stands alone, from the disk, by day and in English.

    Args:
        file: the page.
        width: of the window, in the page's own pixels.
        height: of the window.
        scale: of the picture, for each of these.
    """
    with browsing() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            color_scheme="light",
            locale="en-GB",
        )
        page.set_default_timeout(_PATIENCE)
        page.goto(file.as_uri())
        page.wait_for_selector("[data-ready]")
        yield page


def photograph(page: "Page", colors: int) -> bytes:
    """Return a picture of what a page shows, with nothing pointed at."""
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.evaluate("document.fonts.ready")
    with Image.open(io.BytesIO(page.screenshot())) as shown:
        return png(shown.convert("RGB"), colors)


def png(image: Image.Image, colors: int) -> bytes:
    """Return a picture of a page in few colours, as a small PNG."""
    with io.BytesIO() as file:
        image.quantize(colors, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        return file.getvalue()
