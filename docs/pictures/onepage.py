"""The picture of a model in one page, which is opened from the disk and writes."""

import io
from pathlib import Path

from PIL import Image

from docs.pictures.browser import browsing, png

_WIDTH, _HEIGHT, _COLORS = 1000, 660, 96
_FIRST_LINE, _LINES, _SEED = "我在窗口等你", "8", "3"
_PATIENCE = 60_000


def draw_page(file: Path) -> bytes:
    """Draw a page that has written a few lines."""
    with browsing() as browser:
        page = browser.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT},
            device_scale_factor=2,
            color_scheme="light",
            locale="en-GB",
        )
        page.set_default_timeout(_PATIENCE)
        page.goto(file.as_uri())
        page.wait_for_selector("[data-ready]")
        page.locator("#prefix").fill(_FIRST_LINE)
        page.locator("#measure").select_option("lines")
        page.locator("#number").fill(_LINES)
        page.locator("#seed").fill(_SEED)
        page.locator("#write").click()
        page.locator("#told", has_text=f"Seed {_SEED}.").wait_for()
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.evaluate("document.fonts.ready")
        with Image.open(io.BytesIO(page.screenshot())) as opened:
            return png(opened.convert("RGB"), _COLORS)
