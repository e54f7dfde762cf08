import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from desks import Page, Server, desk
from faults.patience import HANGS_AFTER, until
from songs import learn

from charlstm.serve.desk import leases

SONGS = "/api/runs/song/songs"
LINES = "我在桥边等你来\n他在海上看大海\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("songs")
    learn(where, epochs=3)
    return where


@pytest.fixture
def place(trained: Path) -> Iterator[Path]:
    """Return where the runs are, without any song."""
    yield trained
    for path in (trained / "checkpoints").glob("*/draft*"):
        path.unlink()


@pytest.fixture
def page(place: Path) -> Iterator[Page]:
    with desk(place / "checkpoints") as page:
        yield page


@pytest.fixture
def run(place: Path) -> Path:
    return place / "checkpoints" / "song"


def opened(page: Page, text: str = "", *, client: str = "tab-1") -> tuple[str, Any]:
    """Make a song and open it; return its address, and what the page is told."""
    song = f"{SONGS}/{page.post(SONGS, {'text': text})['id']}"
    return song, page.post(f"{song}/open", {"client": client})


def test_a_song_is_kept_with_all_that_is_known_of_it(page: Page, run: Path) -> None:
    song, told = opened(page)
    assert (told["text"], told["problem"]) == ("", None)
    settings = {
        **told["settings"],
        "rhyme": "AABB",
        "must": ["雨"],
        "lines": 4,
        "temperature": 0.5,
        "recall": 0.1,
        "max_copy": 6,
        "line_length": "7",
    }
    tree = told["tree"]
    tree["nodes"].append({"id": 2, "parent": 1, "text": LINES, "at": 5.0, "how": "taken"})
    tree["current"] = 2
    saved = page.post(
        f"{song}/save",
        {
            "client": "tab-1",
            "revision": told["revision"],
            "text": LINES,
            "settings": settings,
            "tree": tree,
        },
    )
    assert saved["problem"] is None
    assert (run / "draft.txt").read_text(encoding="utf-8") == LINES
    page.post(f"{song}/close", {"client": "tab-1"})
    again = page.post(f"{song}/open", {"client": "tab-2"})
    assert again == {
        "text": LINES,
        "settings": settings,
        "tree": tree,
        "revision": saved["revision"],
        "problem": None,
    }
    (listed,) = page.get(SONGS)["songs"]
    assert listed.pop("saved") == pytest.approx(time.time(), abs=HANGS_AFTER)
    assert listed == {"id": "draft", "title": "我在桥边等你来", "lines": 2}


def test_a_run_has_several_songs_and_each_can_be_removed(page: Page, run: Path) -> None:
    first = page.post(SONGS, {"text": "一\n"})["id"]
    second = page.post(SONGS, {"text": "\n二\n"})["id"]
    assert (first, second) == ("draft", "draft-1")
    assert [song["title"] for song in page.get(SONGS)["songs"]] == ["二", "一"]
    assert page.get("/api/runs/song")["drafts"] == 2
    page.post(f"{SONGS}/draft-1/open", {"client": "tab-1"})
    told = page.refused(f"{SONGS}/draft-1/remove", {}, 409)
    assert told == "This song is open in another tab: close it there first."
    page.post(f"{SONGS}/draft-1/remove", {"client": "tab-1"})
    assert [path.name for path in run.glob("draft*")] == ["draft.txt"]
    for name in ("draft-1", "draft-7", "run", "draft.json", "..%2Fsong"):
        page.client.post(f"{SONGS}/{name}/open", json={"client": "a"})
        assert page.client.post(f"{SONGS}/{name}/open", json={"client": "a"}).status_code == 404


def test_a_song_is_open_in_one_tab_and_another_may_take_it_over(page: Page) -> None:
    song, told = opened(page, LINES)
    error = page.post(f"{song}/open", {"client": "tab-2"}, 409)["error"]
    assert error["code"] == "in_use"
    assert error["message"] == (
        "This song is open in another tab: go on there, or take it over here."
    )
    page.post(f"{song}/open", {"client": "tab-2", "take_over": True})
    save = {"client": "tab-1", "revision": told["revision"], "text": "mine\n"}
    assert page.post(f"{song}/save", save, 409)["error"]["code"] == "in_use"
    assert page.post(f"{song}/alive", {"client": "tab-1"}, 409)["error"]["code"] == "in_use"
    page.post(f"{song}/close", {"client": "tab-1"})  # which is not its to close
    assert page.post(f"{song}/open", {"client": "tab-1"}, 409)["error"]["code"] == "in_use"
    page.post(f"{song}/close", {"client": "tab-2"})
    assert page.post(f"{song}/open", {"client": "tab-1"})["text"] == LINES


def test_a_tab_that_says_nothing_for_long_has_closed(
    page: Page, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.4)
    song, _ = opened(page, LINES)
    for _ in range(6):
        page.post(f"{song}/alive", {"client": "tab-1"})
        time.sleep(0.1)
    assert page.post(f"{song}/open", {"client": "tab-2"}, 409)["error"]["code"] == "in_use"
    # Nobody asks anything any more, and a terminal may have it.
    until(lambda: written(place, "q").returncode == 0)
    page.post(f"{song}/open", {"client": "tab-2"})


def test_what_was_changed_in_an_editor_is_not_written_over(page: Page, run: Path) -> None:
    song, told = opened(page, LINES)
    (run / "draft.txt").write_text("from an editor\n", encoding="utf-8")
    save = {"client": "tab-1", "revision": told["revision"], "text": "mine\n"}
    assert page.post(f"{song}/save", save, 409)["error"]["code"] == "changed"
    assert (run / "draft.txt").read_text(encoding="utf-8") == "from an editor\n"
    # Who has seen it may.
    told = page.post(f"{song}/open", {"client": "tab-1"})
    assert told["text"] == "from an editor\n"
    page.post(f"{song}/save", {**save, "revision": told["revision"]})
    assert (run / "draft.txt").read_text(encoding="utf-8") == "mine\n"


def test_two_saves_may_be_on_their_way_at_once(page: Page, run: Path) -> None:
    song, told = opened(page)
    for text in ("一\n", "一\n二\n"):
        save = {"client": "tab-1", "revision": told["revision"], "text": text}
        page.post(f"{song}/save", save)
    assert (run / "draft.txt").read_text(encoding="utf-8") == "一\n二\n"


def test_saves_of_one_tab_never_disturb_each_other(page: Page, run: Path) -> None:
    song, told = opened(page)
    texts = ["一\n" * many for many in range(1, 25)]

    def save(text: str) -> None:
        page.post(f"{song}/save", {"client": "tab-1", "revision": told["revision"], "text": text})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, texts))
    assert (run / "draft.txt").read_text(encoding="utf-8") in texts
    assert not list(run.glob(".draft*.part"))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"settings": {"rhyme": "ABCD"}}, "No two lines of the rhyme scheme ABCD"),
        ({"settings": {"temperature": "hot"}}, '"temperature" must be a number from 0 to 100'),
        ({"settings": [1]}, '"settings" must be an object'),
        ({"tree": {"nodes": [], "current": 1}}, "State 1 of a song is not there."),
        ({"tree": 5}, '"tree" is not one.'),
    ],
)
def test_the_words_are_kept_whatever_else_is_wrong(
    page: Page, run: Path, wrong: dict[str, Any], why: str
) -> None:
    song, told = opened(page)
    save = {"client": "tab-1", "revision": told["revision"], "text": LINES, **wrong}
    assert why in page.post(f"{song}/save", save)["problem"]
    assert (run / "draft.txt").read_text(encoding="utf-8") == LINES


def test_what_stands_damaged_beside_the_words_is_told_and_begins_anew(
    page: Page, run: Path
) -> None:
    page.post(SONGS, {"text": LINES})
    (run / "draft.json").write_bytes(b"{")
    (run / "draft.tree.json").write_bytes(b"[]")
    told = page.post(f"{SONGS}/draft/open", {"client": "tab-1"})
    assert told["text"] == LINES
    assert "draft.json does not hold the settings of a song" in told["problem"]
    assert "draft.tree.json does not hold the ways that a song has gone" in told["problem"]
    assert [node["text"] for node in told["tree"]["nodes"]] == [LINES]
    (run / "draft.txt").write_bytes(b"\xff\xfe\xff")
    page.post(f"{SONGS}/draft/close", {"client": "tab-1"})
    refused = page.refused(f"{SONGS}/draft/open", {"client": "tab-1"})
    assert refused.endswith("draft.txt cannot be read: it is not UTF-8. Save it as UTF-8 first.")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client": ""},
        {"client": "a/b"},
        {"client": 5},
        {"client": "a", "text": "x"},
        {"client": "a", "text": "x", "revision": 1.5},
        {"client": "a", "text": None, "revision": 1},
    ],
)
def test_a_save_that_lacks_something_is_refused(page: Page, body: dict[str, Any]) -> None:
    song, _ = opened(page)
    page.refused(f"{song}/save", body)


# Beside a terminal, and after a fall.


def written(place: Path, typed: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run `charlstm write` with some lines."""
    return subprocess.run(
        [sys.executable, "-m", "charlstm", "write", "--run", "song", *options],
        cwd=place,
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANGS_AFTER,
        check=False,
    )


def test_a_terminal_and_the_desk_write_the_same_song_one_after_the_other(
    page: Page, place: Path
) -> None:
    song, told = opened(page)
    settings = {**told["settings"], "line_length": "7", "lines": 4}
    save = {"client": "tab-1", "revision": told["revision"], "text": LINES, "settings": settings}
    page.post(f"{song}/save", {**save, "tree": told["tree"]})
    busy = written(place, "q\n")
    assert busy.returncode == 1
    assert "Another charlstm write is open on the draft of checkpoints/song" in busy.stderr
    page.post(f"{song}/close", {"client": "tab-1"})
    result = written(place, "从终端来\n/rhyme AABB\nq\n")
    assert result.returncode == 0, result.stderr
    assert result.stdout == LINES + "从终端来\n"
    told = page.post(f"{song}/open", {"client": "tab-1"})
    assert told["text"] == LINES + "从终端来\n"
    assert told["settings"]["rhyme"] == "AABB"
    assert (told["settings"]["line_length"], told["settings"]["lines"]) == ("7", 4)
    # What the terminal did is a step of the same way, and what was before it is not lost.
    texts = [node["text"] for node in told["tree"]["nodes"]]
    assert texts == ["", LINES, told["text"]]
    page.post(f"{song}/close", {"client": "tab-1"})
    result = written(place, "另一首\nq\n", "--new")
    assert result.returncode == 0, result.stderr
    assert {song["id"] for song in page.get(SONGS)["songs"]} == {"draft", "draft-1"}


def test_while_a_terminal_writes_no_tab_opens_a_song_of_its_run(page: Page, place: Path) -> None:
    page.post(SONGS, {"text": LINES})
    terminal = subprocess.Popen(
        [sys.executable, "-m", "charlstm", "write", "--run", "song"],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert terminal.stdin is not None
    assert terminal.stderr is not None
    try:
        assert b"Going on with the draft" in terminal.stderr.readline()
        error = page.post(f"{SONGS}/draft/open", {"client": "a", "take_over": True}, 409)["error"]
        assert error["code"] == "in_use"
        assert error["message"].startswith("The songs of song are open in charlstm write")
        assert page.post(SONGS, {}, 409)["error"]["code"] == "in_use"
        assert "A song of" in page.refused("/api/runs/song/remove", {}, 409)
    finally:
        terminal.stdin.close()
        terminal.stderr.read()
        terminal.stderr.close()
        assert terminal.wait(HANGS_AFTER) == 0
    page.post(f"{SONGS}/draft/open", {"client": "a"})


def test_a_server_that_is_killed_loses_nothing_that_was_saved_and_a_page_goes_on(
    place: Path, run: Path
) -> None:
    server = Server(place)
    song = f"{SONGS}/{server.post(SONGS, {})['id']}"
    told = server.post(f"{song}/open", {"client": "tab-1"})
    save = {"client": "tab-1", "revision": told["revision"], "text": LINES, "tree": told["tree"]}
    saved = server.post(f"{song}/save", save)
    server.end(kill=True)
    assert (run / "draft.txt").read_text(encoding="utf-8") == LINES
    assert json.loads((run / "draft.tree.json").read_bytes())["nodes"][-1]["text"] == LINES
    server = Server(place)
    try:
        # The page was not loaded again: it saves what was typed meanwhile, and has its song back.
        more = {**save, "revision": saved["revision"], "text": LINES + "再来\n"}
        server.post(f"{song}/save", more)
        assert (run / "draft.txt").read_text(encoding="utf-8") == LINES + "再来\n"
        busy = server.post(f"{song}/open", {"client": "tab-2"}, 409)
        assert busy["error"]["code"] == "in_use"
    finally:
        server.end()
    assert server.process.returncode == 0
    assert written(place, "q\n").returncode == 0


def test_last_words_that_arrive_after_the_song_was_closed_are_kept_and_leave_it_closed(
    page: Page,
) -> None:
    song, told = opened(page)
    page.post(f"{song}/close", {"client": "tab-1"})
    for text in ("最\n", "最后\n"):  # the second knows of the first as little as of the end
        last = {"client": "tab-1", "revision": told["revision"], "text": text}
        page.post(f"{song}/save", last)
    page.post(f"{song}/alive", {"client": "tab-1"})
    assert page.post(f"{song}/open", {"client": "tab-2"})["text"] == "最后\n"
