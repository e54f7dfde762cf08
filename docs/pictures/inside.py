"""Pictures of the page that shows the inside of a model, opened from the disk."""

import io
from pathlib import Path

from PIL import Image

from docs.pictures.browser import browsing, png

_WIDTH, _HEIGHT, _COLORS = 1200, 700, 224
_PATIENCE = 60_000


def draw_inside(file: Path, thing: str, phrase: str) -> bytes:
    """Draw a page with one of the units that are listed.

    Args:
        file: the page.
        thing: that the unit follows.
        phrase: of the text; its last character is pinned, and it is chosen.
    """
    with browsing() as browser:
        page = browser.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT},
            device_scale_factor=1.5,
            color_scheme="light",
            locale="en-GB",
        )
        page.set_default_timeout(_PATIENCE)
        page.goto(file.as_uri())
        page.wait_for_selector("[data-ready]")
        page.locator("#followed tr", has_text=thing).locator("button").click()
        page.evaluate(_CHOOSE, phrase)
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        page.evaluate("document.fonts.ready")
        with Image.open(io.BytesIO(page.screenshot())) as opened:
            return png(opened.convert("RGB"), _COLORS)


_CHOOSE = """phrase => {
    const many = Array.from(phrase).length;
    const from = page.sheet.letters.findIndex((_, k) => page.sheet.text(k, k + many) === phrase);
    page.pin(from + many - 1);
    page.take([from, from + many]);
    page.sheet.spans[from].scrollIntoView({ block: "center" });
    document.querySelector("aside").scrollTo(0, 0);
}"""
