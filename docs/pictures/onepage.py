"""The picture of a model in one page, which is opened from the disk and writes."""

from pathlib import Path

from docs.pictures.browser import opened, photograph

_WIDTH, _HEIGHT, _COLORS = 1000, 660, 96
_FIRST_LINE, _LINES, _SEED = "我在窗口等你", "8", "3"


def draw_page(file: Path) -> bytes:
    """Draw a page that has written a few lines."""
    with opened(file, _WIDTH, _HEIGHT, scale=2) as page:
        page.locator("#prefix").fill(_FIRST_LINE)
        page.locator("#measure").select_option("lines")
        page.locator("#number").fill(_LINES)
        page.locator("#seed").fill(_SEED)
        page.locator("#write").click()
        page.locator("#told", has_text=f"Seed {_SEED}.").wait_for()
        page.evaluate("scrollTo(0, 0)")
        return photograph(page, _COLORS)
