"""Somebody at the desk with a real browser, and what one does there."""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docs.pictures.browser import Serving, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# How long to wait for what takes a moment, in seconds: a busy machine takes longer.
PATIENCE = 60


def missing() -> str | None:
    """Return why no browser can be driven, or nothing."""
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "Playwright is not installed: pip install playwright"
    try:
        chromium()
    except FileNotFoundError as error:
        return f"Chromium is not there: {error}"
    return None


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
        for page in self.context.pages:
            if "#/desk" in page.url:  # a song that is open is free again before the next one comes
                with page.expect_response(lambda answer: answer.url.endswith("/close")):
                    page.evaluate("location.hash = '#/'")
        self.context.close()
        assert not self.troubles, self.troubles


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
        return self.page.locator(".proposed").all_text_contents()

    def take(self, number: int) -> str:
        """Take a line with the keys, in the song; return it when the next ones are there."""
        line = self.proposed[number - 1]
        self.song.press(f"Alt+{number}")
        self.wait()
        return line
