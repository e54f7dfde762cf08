"""The desk as a songwriter uses it: a real browser, a real server, a small real model."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsers import PATIENCE, Desk, Visitor, missing

import charlstm
from charlstm.writing.rhyme import rhyme
from docs.pictures.browser import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

LYRICS = Path(__file__).parents[1] / "data" / "lyrics_zh.txt"
RUN = "songs"
# So much of a line is shown in any list.
SHOWN = 12
# What the browser itself says of an answer with this status, and of a server that is gone.
REFUSED = r"status of 409"
GONE = r"net::ERR_"

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a small model in it."""
    where = tmp_path_factory.mktemp("desk")
    charlstm.train(LYRICS, hidden=32, epochs=2, name=RUN, root=where / "checkpoints")
    return where


@pytest.fixture(scope="module")
def server(where: Path) -> Iterator[Serving]:
    server = Serving(where)
    yield server
    server.end()


@pytest.fixture
def visit(browser: "Browser", server: Serving, where: Path) -> Iterator[Visit]:
    """Return what lets somebody in; each finds a desk without songs, and leaves without trouble."""
    for draft in (where / "checkpoints" / RUN).glob("draft*"):
        draft.unlink()
    visitors: list[Visitor] = []

    def come(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, server, **options))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def desk(visit: Visit) -> Desk:
    """Return a desk with an empty song on it."""
    visitor = visit()
    return Desk(visitor.page, visitor.server.base).open(RUN)


def on_disk(where: Path, song: str = "draft") -> str:
    return (where / "checkpoints" / RUN / f"{song}.txt").read_text(encoding="utf-8")


def focused(page: "Page") -> str:
    """Return the id or the class of what has the focus."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def go_to(page: "Page", wished: str, key: str = "Tab") -> None:
    """Press a key until the focus is where one wants it."""
    for _ in range(40):
        if focused(page) == wished:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{wished} cannot be reached by {key}")


def test_a_folder_is_dropped_and_learned_to_its_end(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "my songs"
    (folder / "old").mkdir(parents=True)
    text = LYRICS.read_text(encoding="utf-8")
    (folder / "new.txt").write_text(text[:6000], encoding="utf-8")
    (folder / "old" / "first.txt").write_bytes(text[6000:9000].encode("gb18030"))
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    page = visit().page
    drop(page, ".room.models", folder)  # wherever one lets go of it

    page.wait_for_selector(".counts")
    page.get_by_text("2 files, and how they were read").click()
    assert "new.txt" in page.locator(".files").inner_text()
    assert "gb18030" in page.locator(".files").inner_text().lower()
    assert ".jpg is not read" in page.locator(".notes").inner_text()
    assert text[:8] in page.locator(".excerpt").inner_text()
    page.get_by_label("Name").fill("dropped")
    page.get_by_label("Minutes of your own choice").fill("0.05")
    page.get_by_role("button", name="Learn").click()

    page.wait_for_selector(".progress progress")
    page.get_by_role("link", name="Models").click()  # it goes on while nobody watches
    page.get_by_role("link", name="Watch").or_(page.get_by_role("link", name="Look")).first.click()
    page.get_by_role("link", name="Write with it").wait_for(timeout=2 * PATIENCE * 1000)
    assert page.locator(".curve path.held-out").get_attribute("d") != "M0 0"
    page.reload()  # it is told again, from the beginning
    page.get_by_role("link", name="Write with it").click()
    page.wait_for_selector(".proposal")
    page.goto(f"{page.url.split('#')[0]}#/")
    remove(page, "dropped")


def drop(page: "Page", selector: str, path: Path) -> None:
    """Drop something from the disk, as the system does it."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 4}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def remove(page: "Page", run: str) -> None:
    model = page.locator(f'[data-run="{run}"]')
    model.get_by_role("button", name="Remove…").click()
    page.keyboard.press("Enter")  # the answer that has the focus removes nothing
    model.get_by_role("button", name="Remove…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    model.wait_for(state="detached")


def test_four_lines_to_a_rhyme_with_the_mouse(desk: Desk, where: Path) -> None:
    page = desk.page
    page.get_by_label("Lines").fill("4")
    page.get_by_label("Rhyme").fill("AABB")
    desk.wait()
    for _ in range(4):
        desk.lines.first.click()
        desk.saved()
        page.wait_for_selector(".proposing:not(.waiting)")
    lines = desk.text.rstrip("\n").split("\n")
    assert len(lines) == 4
    assert rhyme(lines[0], lines[1])
    assert rhyme(lines[2], lines[3])
    assert on_disk(where) == desk.text
    settings = json.loads((where / "checkpoints" / RUN / "draft.json").read_text("utf-8"))
    assert "AABB" in json.dumps(settings)


def test_four_lines_to_a_rhyme_with_keys_alone(desk: Desk, where: Path) -> None:
    page = desk.page
    assert focused(page) == "song"
    go_to(page, "form-lines")
    page.keyboard.type("4")
    go_to(page, "form-rhyme")
    page.keyboard.type("AABB")
    desk.wait()
    go_to(page, "proposal", "Shift+Tab")
    for taken in range(4):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter" if taken % 2 else "1")
        desk.saved()
        page.wait_for_selector(".proposing:not(.waiting)")
    lines = on_disk(where).rstrip("\n").split("\n")
    assert len(lines) == 4
    assert rhyme(lines[0], lines[1])
    assert rhyme(lines[2], lines[3])
    page.keyboard.press("Escape")
    assert focused(page) == "song"


def test_going_back_and_another_way_keeps_both_and_a_reload_finds_them(desk: Desk) -> None:
    page = desk.page
    first, second = desk.take(1), desk.take(1)
    assert desk.text == f"{first}\n{second}\n"
    desk.song.press("Control+z")
    desk.wait()
    assert desk.text == f"{first}\n"
    other = desk.take(2)
    steps = page.locator(".steps [role=option]")
    assert steps.count() == 4
    # By its number, for a line may be part of another one.
    page.locator('.steps [data-step="3"]').click()
    assert desk.text == f"{first}\n{second}\n"
    page.keyboard.press("ArrowDown")  # the list is walked with keys as well
    assert desk.text == f"{first}\n{other}\n"
    desk.wait()

    page.reload()
    desk.wait()
    assert desk.text == f"{first}\n{other}\n"
    assert steps.count() == 4
    desk.song.press("Control+z")
    desk.song.press("Control+Shift+z")
    assert desk.text == f"{first}\n{other}\n"
    desk.saved()


def test_a_line_is_written_anew_between_its_neighbours(desk: Desk) -> None:
    first, second, third = desk.take(1), desk.take(2), desk.take(1)
    desk.song.press("Control+Home")
    for _ in range(len(first) + 1):  # a long line has several rows to go down
        desk.song.press("ArrowRight")
    desk.wait()
    assert desk.page.locator("#proposals-title").inner_text() == "Line 2, anew"
    anew = desk.take(3)
    assert second != anew
    assert desk.text == f"{first}\n{anew}\n{third}\n"


def test_nothing_acts_while_an_input_method_composes(desk: Desk, where: Path) -> None:
    page = desk.page
    desk.song.focus()
    page.keyboard.type("我")
    desk.wait()
    before = on_disk(where)
    session = page.context.new_cdp_session(page)
    session.send(
        "Input.imeSetComposition", {"text": "fenk", "selectionStart": 4, "selectionEnd": 4}
    )
    assert desk.text == "我fenk"
    # Keys that an input method has taken: it chooses a word by a digit, and ends by Tab or Escape.
    for key in ("Tab", "Escape", "1"):
        event = {"key": key, "windowsVirtualKeyCode": 229, "nativeVirtualKeyCode": 229}
        session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **event})
    desk.song.dispatch_event(
        "keydown", {"key": "1", "code": "Digit1", "altKey": True, "isComposing": True}
    )
    page.wait_for_timeout(700)  # longer than a pause after which it is saved
    assert desk.text == "我fenk"
    assert focused(page) == "song"
    assert on_disk(where) == before
    assert page.locator(".ghost").count() == 0
    session.send("Input.insertText", {"text": "分开"})
    desk.wait()
    assert desk.text == on_disk(where) == "我分开"


def test_tab_takes_the_grey_text_and_after_escape_it_moves_on(desk: Desk) -> None:
    page = desk.page
    desk.song.focus()
    page.keyboard.type("我")
    grey = page.locator(".ghost").inner_text()
    assert grey
    page.keyboard.press("Tab")
    assert focused(page) == "song"
    assert desk.text == f"我{grey}"
    page.keyboard.press("Control+z")
    page.keyboard.press("End")
    page.keyboard.type("们")
    page.wait_for_selector(".ghost")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert focused(page) != "song"
    desk.saved()
    assert desk.text == "我们"


def test_digits_are_written_like_anything_else(desk: Desk, where: Path) -> None:
    desk.song.focus()
    desk.page.keyboard.type("12 点 3 分\n")
    desk.wait()
    assert on_disk(where) == "12 点 3 分\n"


def test_a_second_tab_is_told_and_takes_over(visit: Visit, where: Path) -> None:
    visitor = visit(allowed=REFUSED)
    first = Desk(visitor.page, visitor.server.base).open(RUN)
    line = first.take(1)
    second = Desk(visitor.open_tab(), visitor.server.base)
    second.page.goto(first.page.url)
    notice = second.page.locator(".notice")
    notice.get_by_role("button").wait_for()
    assert "another tab" in notice.inner_text()
    assert not second.song.is_editable()
    notice.get_by_role("button", name="Take over").click()
    second.wait()
    assert second.text == f"{line}\n"
    another = second.take(2)

    first.song.focus()
    first.page.keyboard.type("!")
    first.page.get_by_role("button", name="Take over").wait_for()
    assert not first.song.is_editable()
    assert on_disk(where) == second.text == f"{line}\n{another}\n"
    first.page.get_by_role("button", name="Take over").click()
    first.wait()
    # What was typed meanwhile is a way of its own, beside what the other tab has written.
    assert first.text == on_disk(where) == f"{line}\n!"
    assert first.page.locator(".steps").get_by_text(another[:SHOWN]).count() >= 1


def test_a_song_that_is_closed_elsewhere_opens_here_by_itself(visit: Visit) -> None:
    visitor = visit(allowed=REFUSED)
    first = Desk(visitor.page, visitor.server.base).open(RUN)
    line = first.take(1)
    second = Desk(visitor.open_tab(), visitor.server.base)
    second.page.goto(first.page.url)
    second.page.get_by_role("button", name="Take over").wait_for()
    first.page.get_by_role("link", name="Models").click()
    second.wait()
    assert second.text == f"{line}\n"
    assert second.song.is_editable()


def test_a_server_that_dies_and_comes_back_loses_nothing(visit: Visit, where: Path) -> None:
    visitor = visit(allowed=GONE)
    desk = Desk(visitor.page, visitor.server.base).open(RUN)
    line = desk.take(1)
    visitor.server.kill()
    desk.song.focus()
    desk.page.keyboard.type("我们")
    desk.page.wait_for_selector('.saved[data-state="gone"]')
    assert "does not answer" in desk.page.locator(".notice").inner_text()
    assert desk.text == f"{line}\n我们"
    visitor.server.start()
    desk.wait()
    assert on_disk(where) == f"{line}\n我们"
    assert desk.page.locator(".notice").inner_text() == ""


def test_a_song_that_was_changed_on_disk_is_not_written_over(visit: Visit, where: Path) -> None:
    visitor = visit(allowed=REFUSED)
    desk = Desk(visitor.page, visitor.server.base).open(RUN)
    line = desk.take(1)
    other = f"{line}\n别人写的\n"
    (where / "checkpoints" / RUN / "draft.txt").write_text(other, encoding="utf-8")
    desk.song.focus()
    desk.page.keyboard.type("我写的")
    keep = desk.page.get_by_role("button", name="Keep mine")
    keep.wait_for()
    assert on_disk(where) == other
    keep.click()
    desk.wait()
    assert on_disk(where) == f"{line}\n我写的"
    # What stood on disk is a way of its own.
    assert desk.page.locator(".steps").get_by_text("别人写的").count() == 1


def test_words_that_were_not_saved_yet_are_saved_while_the_page_is_left(
    visit: Visit, where: Path
) -> None:
    # The new page may ask for the song before the old one has given it back, and then waits.
    visitor = visit(allowed=REFUSED)
    page = visitor.page
    desk = Desk(page, visitor.server.base).open(RUN)
    page.on("dialog", lambda dialog: dialog.accept())  # yes, the page may be left
    line = desk.take(1)
    desk.song.focus()
    page.keyboard.type("最后")
    page.goto("about:blank")
    page.goto(desk.base)
    desk.open(RUN)  # it is free again
    assert desk.text == on_disk(where) == f"{line}\n最后"


def test_songs_are_begun_and_given_up(desk: Desk, where: Path) -> None:
    page = desk.page
    line = desk.take(1)
    page.get_by_role("button", name="New song").click()
    page.locator(".songs li").nth(1).wait_for()
    desk.wait()
    assert desk.text == ""
    page.locator(".songs a").filter(has_text=line).click()
    page.locator(".steps").get_by_text(line[:SHOWN]).wait_for()
    desk.wait()
    with page.expect_download() as loading:
        page.get_by_role("button", name="Download").click()
    assert loading.value.path().read_text("utf-8") == f"{line}\n"
    page.get_by_role("button", name=f"Remove {line}", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.locator(".songs li").nth(1).wait_for(state="detached")
    desk.wait()
    assert desk.text == ""
    assert len(list((where / "checkpoints" / RUN).glob("draft*.txt"))) == 1


def test_a_text_is_measured_letter_by_letter(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"{visitor.server.base}#/measure/{RUN}")
    page.get_by_label("Paste a song").fill("分开 👩‍👩‍👧 é\nשלום")
    page.get_by_role("button", name="Where it surprises").click()
    drawn = page.locator(".surprised")
    assert drawn.inner_text().split("\n") == ["分开 👩‍👩‍👧 é", "שלום"]
    pieces = drawn.locator("span").all_inner_texts()
    assert not any(piece.startswith(("\u200d", "\u0301")) for piece in pieces)
    page.get_by_role("button", name="What is copied").click()
    page.locator(".measured table").wait_for()
    page.get_by_role("button", name="Measure", exact=True).click()
    page.locator("tr.whole").wait_for()
    assert page.locator("tr.beside").count() == 3
    assert re.search(
        r"Other text of the same kind may well be [\d.]+% better", page.inner_text("main")
    )


def test_the_inside_of_a_model_opens_in_a_page_of_its_own(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"{visitor.server.base}#/measure/{RUN}")
    page.get_by_role("button", name="Look inside").click()
    page.get_by_role("link", name="Open the page").wait_for()
    page.get_by_label("Paste a song").fill("分开 é\nשלום")
    page.get_by_role("button", name="What its units do").click()
    page.get_by_role("link", name="Open the page").nth(1).wait_for()
    for place, shown in ((0, f"held-out text of {RUN}"), (1, "分开 é")):
        with page.context.expect_page() as opening:
            page.get_by_role("link", name="Open the page").nth(place).click()
        inside = opening.value
        inside.wait_for_selector("[data-ready]")
        assert shown in inside.title()
        assert inside.locator("#followed-is").is_visible()
        # It stands alone, and knows nothing of the desk.
        assert inside.evaluate("self.origin") == "null"
        inside.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1280, 3840])
def test_every_room_fits_and_is_drawn(
    visit: Visit, tmp_path: Path, width: int, scheme: str
) -> None:
    viewport = {"width": width, "height": 900}
    chinese = {"locale": "zh-CN"} if scheme == "dark" else {}
    visitor = visit(viewport=viewport, color_scheme=scheme, **chinese)
    page = visitor.page
    for room in ("", "new", f"measure/{RUN}", f"training/{RUN}", f"desk/{RUN}"):
        page.goto(f"{visitor.server.base}#/{room}")
        page.wait_for_selector(f".room.{room.split('/')[0] or 'models'}[data-shown]")
        if room.startswith("desk"):
            Desk(page, visitor.server.base).wait()
        inside = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert inside, f"{room} is wider than {width}"
        page.screenshot(path=tmp_path / f"{room.split('/')[0] or 'models'}-{width}-{scheme}.png")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    assert page.evaluate("document.documentElement.lang") == ("zh-Hans" if chinese else "en")
    assert page.get_by_role("link", name="写作" if chinese else "Desk").count() == 1
