"""A server in a process of its own and a real browser before it, as a songwriter has them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# No sandbox, because tests may run as root; and nothing that asks others by itself.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# How long to wait for what takes a moment, in seconds: a busy machine takes longer.
PATIENCE = 60


def chromium() -> str | None:
    """Return where the browser is, or nothing."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def missing() -> str | None:
    """Return why no browser can be driven, or nothing."""
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "Playwright is not installed: pip install playwright"
    if chromium() is None:
        return f"none of these is installed: {', '.join(_NAMES)}"
    return None


class Serving:
    """A server that can be killed and started again at the same address.

    Args:
        where: the directory that it runs in, with the runs in its ``checkpoints``.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "charlstm", "serve", "--no-browser", "--port"]
        log = (self.where / "serve.log").open("a", encoding="utf-8")
        with log:
            self._process = subprocess.Popen(
                [*command, str(self._port)],
                cwd=self.where,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Whatever it starts ends with it.
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        told = (self.where / "serve.log").read_text(encoding="utf-8")
        assert self.address.startswith("http://"), told
        self._port = urlsplit(self.address).port or 0

    @property
    def base(self) -> str:
        """The address without the token."""
        return f"http://127.0.0.1:{self._port}/"

    def kill(self) -> None:
        """Kill it and all that it has started, without a word."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._end()

    def end(self) -> None:
        """End it as Ctrl-C does."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.wait(PATIENCE)
        self._process.stdout.close()


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


class Visitor:
    """Somebody with a browser, whose every page is watched.

    Args:
        browser: a fresh profile of it is used.
        server: the server.
        allowed: what a page may say on its console: what the browser itself says of an answer
            that refuses, or of a server that is gone.
        options: of the profile: ``viewport``, ``locale``, ``color_scheme``.
    """

    def __init__(
        self, browser: "Browser", server: Serving, *, allowed: str = "(?!)", **options: Any
    ) -> None:
        self.server = server
        self.troubles: list[str] = []
        self._allowed = re.compile(allowed)
        settings: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}}
        self.context: BrowserContext = browser.new_context(**{**settings, **options})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = self.open_tab()

    def open_tab(self) -> "Page":
        """Open one more tab, at the address that the server printed."""
        page = self.context.new_page()
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(self.server.address)
        page.wait_for_selector("[data-shown]")
        return page

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not self._allowed.search(text):
            self.troubles.append(text)

    def _asked(self, address: str) -> None:
        parts = urlsplit(address)
        local = parts.scheme in ("data", "blob")
        if not local and f"{parts.scheme}://{parts.netloc}/" != self.server.base:
            self.troubles.append(f"asked for {address}")

    def leave(self) -> None:
        """Close everything; nothing must have gone wrong."""
        self.context.close()
        assert not self.troubles


class Desk:
    """A page with a song on the desk.

    Args:
        page: the page.
        base: the server's address.
    """

    def __init__(self, page: "Page", base: str) -> None:
        self.page = page
        self.base = base
        self.song = page.locator("#song")
        self.lines = page.locator(".proposal")

    def open(self, run: str, song: str = "") -> "Desk":
        """Open a song, or the last one, and wait for what is proposed."""
        self.page.goto(f"{self.base}#/desk/{run}/{song}".rstrip("/"))
        self.page.wait_for_selector(".room.desk")
        return self.wait()

    def wait(self) -> "Desk":
        """Wait until everything has been proposed and saved."""
        self.page.wait_for_selector(".proposing:not(.waiting) .proposal")
        return self.saved()

    def saved(self) -> "Desk":
        """Wait until the song is on disk."""
        self.page.wait_for_selector('.saved[data-state="saved"]')
        return self

    @property
    def text(self) -> str:
        """The song as it stands in the field."""
        return self.song.input_value()

    @property
    def proposed(self) -> list[str]:
        """The lines that are proposed."""
        return self.page.locator(".proposed").all_inner_texts()

    def take(self, number: int) -> str:
        """Take a line with the keys, in the song; return it when the next ones are there."""
        line = self.proposed[number - 1]
        self.song.press(f"Alt+{number}")
        self.wait()
        return line
