"""Pictures of the page that shows the inside of a model, opened from the disk."""

from pathlib import Path

from docs.pictures.browser import opened, photograph

_WIDTH, _HEIGHT, _COLORS = 1200, 700, 224


def draw_inside(file: Path, thing: str, phrase: str) -> bytes:
    """Draw a page with one of the units that are listed.

    Args:
        file: the page.
        thing: that the unit follows.
        phrase: of the text; its last character is pinned, and it is chosen.
    """
    with opened(file, _WIDTH, _HEIGHT, scale=1.5) as page:
        page.locator("#followed tr", has_text=thing).locator("button").click()
        page.evaluate(_CHOOSE, phrase)
        return photograph(page, _COLORS)


_CHOOSE = """phrase => {
    const many = Array.from(phrase).length;
    const from = page.sheet.letters.findIndex((_, k) => page.sheet.text(k, k + many) === phrase);
    page.pin(from + many - 1);
    page.take([from, from + many]);
    page.sheet.spans[from].scrollIntoView({ block: "center" });
    document.querySelector("aside").scrollTo(0, 0);
}"""
