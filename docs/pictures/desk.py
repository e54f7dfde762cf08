"""The pictures of the desk: the page itself, with a real model behind it."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from docs.pictures.browser import Serving, browsing, png

if TYPE_CHECKING:
    from playwright.sync_api import Page

_WIDTH, _HEIGHT, _COLORS = 1240, 800, 128
# The browser is slow where others train; so many milliseconds are enough.
_PATIENCE = 120_000
_FIRST_LINE = "我在窗口等你"
_NAME, _MINUTES, _SHOWN_SHARE = "my songs", 1, 0.6


def draw_desk(where: Path, run: str) -> bytes:
    """Draw a song to a rhyme, in light: one way that was left, one line that is proposed anew."""

    def write(page: "Page") -> None:
        _begin(page, run, rhyme="AABB", length="6-9")
        for number in (1, 2, 1):
            _take(page, number)
        for _ in range(2):
            page.keyboard.press("Control+z")
        _wait(page)
        for number in (3, 1):
            _take(page, number)
        page.get_by_role("button", name="Rhymes").click()
        page.locator("#song").focus()
        page.wait_for_selector(".mirror .rhymed")
        page.mouse.move(0, 0)

    return _drawn(where, write, color_scheme="light", locale="en-GB")


def draw_desk_dark(where: Path, run: str) -> bytes:
    """Draw a song in the dark, in Chinese, with what is copied and what surprises."""

    def write(page: "Page") -> None:
        _begin(page, run, rhyme="", length="6-9")
        for number in (1, 1, 2, 1):
            _take(page, number)
        page.get_by_role("button", name="意外").click()
        page.locator("#song").focus()
        page.keyboard.type("分开")
        _wait(page)
        page.wait_for_selector(".ghost")
        page.wait_for_selector(".mirror .s3")

    return _drawn(where, write, color_scheme="dark", locale="zh-CN")


def draw_watching(where: Path, text: Path) -> bytes:
    """Draw a model that learns."""

    def learn(page: "Page") -> None:
        page.get_by_role("link", name="New model").click()
        page.locator("input[type=file]").first.set_input_files(text)
        page.get_by_label("Name").fill(_NAME)
        page.get_by_label(f"{_MINUTES} minute", exact=True).check()
        page.get_by_role("button", name="Learn").click()
        bar = page.locator(".progress progress")
        while float(bar.get_attribute("value") or bar.evaluate("bar => bar.value")) < _SHOWN_SHARE:
            page.wait_for_timeout(500)
        page.mouse.move(0, 0)

    return _drawn(where, learn, color_scheme="light", locale="en-GB")


def _drawn(where: Path, do: Callable[["Page"], None], **options: Any) -> bytes:
    """Open the page, do something, and return a picture of it."""
    with _page(where, options) as page:
        do(page)
        page.evaluate("document.fonts.ready")
        with Image.open(io.BytesIO(page.screenshot())) as opened:
            return png(opened.convert("RGB"), _COLORS)


@contextmanager
def _page(where: Path, options: dict[str, Any]) -> Iterator["Page"]:
    server = Serving(where)
    try:
        with browsing() as browser:
            page = browser.new_page(
                viewport={"width": _WIDTH, "height": _HEIGHT}, device_scale_factor=2, **options
            )
            page.set_default_timeout(_PATIENCE)
            page.goto(server.address)
            page.wait_for_selector("[data-shown]")
            yield page
            page.goto("about:blank")  # the song is saved, and free again
    finally:
        server.end()


def _begin(page: "Page", run: str, *, rhyme: str, length: str) -> None:
    """Open an empty song, and write its first line by hand."""
    page.goto(f"{page.url.split('#')[0]}#/desk/{run}")
    _wait(page)
    page.locator("#form-rhyme").fill(rhyme)
    page.locator("#form-line_length").fill(length)
    page.locator("#song").focus()
    page.keyboard.type(f"{_FIRST_LINE}\n")
    _wait(page)


def _take(page: "Page", number: int) -> None:
    page.keyboard.press(f"Alt+{number}")
    _wait(page)


def _wait(page: "Page") -> None:
    """Wait until lines are proposed and the song is saved."""
    page.wait_for_selector(".proposing:not(.waiting) .proposal")
    page.wait_for_selector('.saved[data-state="saved"]')
